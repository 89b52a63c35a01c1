package edge

import (
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
// every field that claims what only maru may say.
func (t *trust) apply(r *message.Request) error {
	peer := r.X.Peer.Addr().Unmap()
	r.X.Client = peer
	if len(t.proxies) == 0 || !t.trusts(peer) {
		stripClaims(&r.Header)
		return nil
	}
	r.X.Trusted = true
	r.X.Client = t.walk(r, peer)
	if v := r.Header.Value(message.XForwardedProto); v == "https" || v == "http" {
		r.Scheme = v
	}
	return nil
}

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
			a, ok := forwardedAddr(strings.Trim(entry, " \t"))
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

// stripClaims removes what a stranger must not say.
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
		if f.ID == message.Other && claims(f.Name) {
			h.DelFunc(func(f *message.Field) bool { return f.ID == message.Other && claims(f.Name) })
			return
		}
	}
}

// claims tells whether a name without an ID of its own is reserved, in any
// spelling that a service could fold onto it.
func claims(name string) bool {
	return foldPrefix(name, "x-forwarded-") || foldPrefix(name, "x-maru-")
}

func foldPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		default:
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// stamp writes who the request is from, appending to what a trusted proxy said.
func (t *trust) stamp(r *message.Request) {
	h, x := &r.Header, &r.X
	peer := x.Peer.Addr().Unmap()
	if t.xff {
		old := h.Value(message.XForwardedFor)
		if n := h.Has(message.XForwardedFor); n {
			old = joinField(h, message.XForwardedFor, x)
		}
		b := x.Scratch(len(old) + 2 + 40)
		if old != "" {
			b = append(append(b, old...), ", "...)
		}
		h.SetID(message.XForwardedFor, message.View(peer.AppendTo(b)))
		t.keepOrSet(h, x, message.XForwardedProto, r.Scheme)
		t.keepOrSet(h, x, message.XForwardedHost, r.Authority)
		h.SetID(message.XForwardedPort, message.View(strconv.AppendUint(x.Scratch(5), uint64(x.Port), 10)))
		if x.Stripped != "" {
			h.SetID(message.XForwardedPrefix, x.Stripped)
		}
		h.SetID(message.XRealIP, message.View(x.Client.AppendTo(x.Scratch(40))))
	}
	if t.rfc7239 {
		h.AppendID(message.Forwarded, message.View(appendForwarded(x.Scratch(80+len(r.Authority)), r, peer)))
	}
}

// keepOrSet leaves what a trusted proxy said, else sets our own view.
func (t *trust) keepOrSet(h *message.Header, x *message.Exchange, id message.ID, value string) {
	if (x.Trusted && h.Has(id)) || value == "" {
		return
	}
	h.SetID(id, value)
}

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

// appendForwarded writes one element of Forwarded (RFC 7239 §4).
func appendForwarded(b []byte, r *message.Request, peer netip.Addr) []byte {
	b = append(b, "for="...)
	if peer.Is6() {
		b = append(b, `"[`...)
		b = peer.AppendTo(b)
		b = append(b, `]"`...)
	} else {
		b = peer.AppendTo(b)
	}
	b = append(b, ";proto="...)
	b = append(b, r.Scheme...)
	if r.Authority != "" {
		b = append(b, `;host="`...)
		b = append(b, r.Authority...)
		b = append(b, '"')
	}
	return b
}
