package edge

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// trust decides who a request comes from and what its fields may claim.
type trust struct {
	proxies []netip.Prefix
	private bool // who reaches the listener may say how much a request matters, and how long it may take
	xff     bool // write X-Forwarded-*
	rfc7239 bool // write Forwarded
}

func newTrust(cfg *ListenerConfig) (trust, error) {
	var t trust
	var faults []error
	for i, s := range cfg.TrustedProxies {
		p, err := parsePrefix(s)
		if err != nil {
			faults = append(faults, diag.At(fmt.Sprintf("trusted-proxies[%d]", i), "%q is not a CIDR", s).
				WithFix("write an address range such as 10.0.0.0/8"))
			continue
		}
		t.proxies = append(t.proxies, p)
	}
	switch cfg.Forwarded {
	case "", "x-forwarded":
		t.xff = true
	case "rfc7239":
		t.rfc7239 = true
	case "both":
		t.xff, t.rfc7239 = true, true
	default:
		faults = append(faults, diag.At("forwarded", "%q is not known", cfg.Forwarded).
			WithFix("write x-forwarded, rfc7239 or both"))
	}
	return t, diag.Join(faults...)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func (t *trust) trusts(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range t.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// apply finds the client's address, and from a peer that is not trusted removes
// every field that claims what only maru may say. Look-alikes of such fields are
// gone already, whoever sent them (http1).
func (t *trust) apply(r *message.Request) {
	peer := peerAddr(r)
	r.X.Client = peer
	if len(t.proxies) == 0 || !t.trusts(peer) {
		stripClaims(&r.Header)
		if !t.private {
			r.Header.DelID(message.XMaruPriority)
			r.Header.DelID(message.XRequestTimeoutMs)
		}
		return
	}
	r.X.Trusted = true
	r.X.Client = t.walk(r, peer)
	if v := r.Header.Value(message.XForwardedProto); v == "https" || v == "http" {
		r.Scheme = v
	}
}

// peerAddr is the peer's address as fields carry it: no IPv6 form of an IPv4
// address, and no zone, which means something on this machine only.
func peerAddr(r *message.Request) netip.Addr { return r.X.Peer.Addr().Unmap().WithZone("") }

const maxForwarded = 32

// walk goes X-Forwarded-For from the right: the first entry that is not a
// trusted proxy is the client. An entry that can't be read ends the walk.
func (t *trust) walk(r *message.Request, peer netip.Addr) netip.Addr {
	client, seen := peer, 0
	fields := r.Header.Fields()
	for _, field := range slices.Backward(fields) {
		if field.ID != message.XForwardedFor {
			continue
		}
		rest := field.Value
		for rest != "" {
			var entry string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, entry = rest[:at], rest[at+1:]
			} else {
				rest, entry = "", rest
			}
			if entry = strings.Trim(entry, " \t"); entry == "" {
				continue // RFC 9110 §5.6.1.2: empty members don't count
			}
			a, ok := forwardedAddr(entry)
			if seen++; !ok || seen > maxForwarded {
				return client
			}
			client = a
			if !t.trusts(a) {
				return client
			}
		}
	}
	return client
}

// forwardedAddr reads an entry: an address with optional port and brackets.
func forwardedAddr(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return a.Unmap(), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Zone() == "" {
		return ap.Addr().Unmap(), true
	}
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		a, err := netip.ParseAddr(s[1 : n-1])
		return a, err == nil && a.Zone() == ""
	}
	return netip.Addr{}, false
}

// stripClaims removes what a stranger must not say about a request's origin.
func stripClaims(h *message.Header) {
	for _, id := range [...]message.ID{
		message.Forwarded, message.XForwardedFor, message.XForwardedProto, message.XForwardedHost,
		message.XForwardedPort, message.XForwardedPrefix, message.XForwardedServer, message.XRealIP,
		message.XOriginalURL, message.XRewriteURL, message.ClientCert, message.ClientCertChain,
		message.XMaruAttempt, message.XMaruExplain, message.XMaruMirror, message.XMaruSubject, message.XMaruVariant,
	} {
		h.DelID(id)
	}
	for _, f := range h.Fields() {
		if f.ID == message.Other && message.Reserved(f.Name) {
			h.DelFunc(func(f *message.Field) bool { return f.ID == message.Other && message.Reserved(f.Name) })
			return
		}
	}
}

// stamp writes who the request is from, appending to what a trusted proxy said.
func (t *trust) stamp(r *message.Request) {
	peer := peerAddr(r)
	if t.xff {
		t.stampX(r, peer)
	}
	if t.rfc7239 {
		r.Header.AppendID(message.Forwarded, message.View(appendForwarded(r.X.Scratch(128+len(r.Authority)), r, peer)))
	}
	if r.X.TLS != nil && len(r.X.TLS.PeerCertificates) > 0 {
		stampClientCert(&r.Header, &r.X)
	}
}

// stampX writes the X-Forwarded-* fields and X-Real-IP.
func (t *trust) stampX(r *message.Request, peer netip.Addr) {
	h, x := &r.Header, &r.X
	var old string
	if h.Has(message.XForwardedFor) {
		old = joinField(h, message.XForwardedFor, x)
	}
	b := x.Scratch(len(old) + 2 + 40)
	if old != "" {
		b = append(append(b, old...), ", "...)
	}
	h.SetID(message.XForwardedFor, message.View(peer.AppendTo(b)))
	h.SetID(message.XForwardedProto, r.Scheme) // a trusted proxy's word is in it
	keepOrSet(h, x, message.XForwardedHost, r.Authority)
	if !x.Trusted || !h.Has(message.XForwardedPort) {
		h.SetID(message.XForwardedPort, message.View(strconv.AppendUint(x.Scratch(5), uint64(x.Port), 10)))
	}
	if x.Stripped != "" {
		before := h.Value(message.XForwardedPrefix)
		h.SetID(message.XForwardedPrefix, message.View(append(append(x.Scratch(len(before)+len(x.Stripped)), before...), x.Stripped...)))
	}
	h.SetID(message.XRealIP, message.View(x.Client.AppendTo(x.Scratch(40))))
}

// keepOrSet leaves what a trusted proxy said, else sets our own view.
func keepOrSet(h *message.Header, x *message.Exchange, id message.ID, value string) {
	if (x.Trusted && h.Has(id)) || value == "" {
		return
	}
	h.SetID(id, value)
}

// stampClientCert passes the verified certificate of this connection on (RFC
// 9440 §2.2, §2.3); what a proxy said of another connection gives way to it.
func stampClientCert(h *message.Header, x *message.Exchange) {
	leaf, chain := x.TLS.PeerCertificates[0], x.TLS.PeerCertificates[1:]
	h.SetID(message.ClientCert, message.View(appendBytes(x.Scratch(bytesLen(leaf.Raw)), leaf.Raw)))
	h.DelID(message.ClientCertChain)
	if len(chain) == 0 {
		return
	}
	size := 0
	for _, c := range chain {
		size += bytesLen(c.Raw) + 2
	}
	b := x.Scratch(size)
	for i, c := range chain {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendBytes(b, c.Raw)
	}
	h.AppendID(message.ClientCertChain, message.View(b))
}

// appendBytes writes a byte sequence of a structured field (RFC 9651 §3.3.5).
func appendBytes(dst, p []byte) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, ':'), p)
	return append(dst, ':')
}

func bytesLen(p []byte) int { return base64.StdEncoding.EncodedLen(len(p)) + 2 }

// joinField gives all lines of a list field as one value.
func joinField(h *message.Header, id message.ID, x *message.Exchange) string {
	n, lines := 0, 0
	for _, f := range h.Fields() {
		if f.ID == id {
			n += len(f.Value) + 2
			lines++
		}
	}
	if lines == 1 {
		return h.Value(id)
	}
	b := x.Scratch(n)
	for _, f := range h.Fields() {
		if f.ID == id {
			if len(b) > 0 {
				b = append(b, ", "...)
			}
			b = append(b, f.Value...)
		}
	}
	return message.View(b)
}

// appendForwarded writes one element of Forwarded (RFC 7239 §4): the peer with
// its port, which an IPv6 address or a port puts in quotes (§6).
func appendForwarded(b []byte, r *message.Request, peer netip.Addr) []byte {
	port := r.X.Peer.Port()
	b = append(b, "for="...)
	switch {
	case port != 0:
		b = append(netip.AddrPortFrom(peer, port).AppendTo(append(b, '"')), '"')
	case peer.Is6():
		b = append(peer.AppendTo(append(b, `"[`...)), `]"`...)
	default:
		b = peer.AppendTo(b)
	}
	b = append(b, ";proto="...)
	b = append(b, r.Scheme...)
	if r.Authority == "" {
		return b
	}
	b = append(b, ";host="...)
	if message.ValidToken(r.Authority) {
		return append(b, r.Authority...)
	}
	b = append(b, '"') // a valid authority has neither '"' nor '\\'
	b = append(b, r.Authority...)
	return append(b, '"')
}
