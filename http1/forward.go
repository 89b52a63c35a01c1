package http1

import "github.com/maru-msa/maru/message"

// maxNominations is the most members a Connection field may have.
const maxNominations = 16

// nominations are the field names that Connection declares to be for one hop
// (RFC 9110 §7.6.1); the strings are views.
type nominations struct {
	names [maxNominations]string
	n     int
}

// collect reads all Connection lines; it refuses members that are no token and
// more than 16 of them.
func (o *nominations) collect(h *message.Header) (ref *Refusal) {
	o.n = 0
	if !h.Has(message.Connection) {
		return nil
	}
	count := 0
	for _, f := range h.Fields() {
		if f.ID != message.Connection {
			continue
		}
		for rest := f.Value; rest != ""; {
			var m string
			m, rest = message.NextMember(rest)
			if m == "" {
				continue
			}
			count++
			switch {
			case count > maxNominations || !message.ValidToken(m):
				ref = refuseConnectionSyntax
			case foldEqual(m, "close"), foldEqual(m, "keep-alive"), foldEqual(m, "upgrade"):
			default:
				o.names[o.n] = m
				o.n++
			}
		}
	}
	return ref
}

func (o *nominations) has(name string) bool {
	for _, m := range o.names[:o.n] {
		if sameHost(m, name) {
			return true
		}
	}
	return false
}

// protected counts the nominated names that must not be removed and forgets them.
func (o *nominations) protected() (count int) {
	keep := 0
	for _, m := range o.names[:o.n] {
		if protectedName(m) {
			count++
			continue
		}
		o.names[keep] = m
		keep++
	}
	o.n = keep
	return count
}

func protectedName(m string) bool {
	return protectedNames.has(message.NameID(m)) || message.Reserved(m)
}

//nolint:gochecknoglobals // read-only tables
var (
	// hopNames are removed whatever Connection says (RFC 9110 §7.6.1).
	hopNames = setOf(message.Connection, message.ProxyConnection, message.KeepAlive, message.TE, message.TransferEncoding,
		message.Upgrade, message.HTTP2Settings, message.ProxyAuthenticate, message.ProxyAuthorization, message.ProxyAuthenticationInfo)

	// connectionNames make a message malformed in HTTP/2 and HTTP/3 (RFC 9113
	// §8.2.2, RFC 9114 §4.2).
	connectionNames = setOf(message.Connection, message.ProxyConnection, message.KeepAlive, message.TransferEncoding,
		message.Upgrade, message.HTTP2Settings)

	// protectedNames carry routing, trust or identity: no honest sender
	// nominates them.
	protectedNames = setOf(message.Host, message.ContentLength, message.Authorization, message.Cookie, message.CacheControl,
		message.Via, message.Forwarded, message.XForwardedFor, message.XForwardedHost, message.XForwardedPort,
		message.XForwardedPrefix, message.XForwardedProto, message.XForwardedServer, message.XRealIP, message.Traceparent,
		message.XMaruAttempt, message.XMaruExplain, message.XMaruMirror, message.XMaruPriority, message.XMaruSubject, message.XMaruVariant,
		message.ClientCert, message.ClientCertChain)
)

// StripRequest removes what belongs to the client's connection alone (RFC 9110
// §7.6.1): the hop-by-hop fields and those that Connection nominates. TE is
// rebuilt as "TE: trailers" when it held that; Expect stays while the client
// waits for 100; Trailer stays while the body can have trailers. It runs before
// maru adds fields of its own, so that a client can't nominate those.
//
// It returns a *Refusal when Connection is malformed or nominates a field that
// carries routing, trust or identity.
func StripRequest(r *message.Request) error {
	h := &r.Header
	var noms nominations
	if ref := noms.collect(h); ref != nil {
		return ref
	}
	if noms.protected() > 0 {
		return refuseConnectionProtected
	}
	trailers := h.HasToken(message.TE, "trailers")
	drop := hopNames
	if !r.Expect { // RFC 9110 §10.1.1: not without a body, not in 1.0
		drop.add(message.Expect)
	}
	if r.Length != message.Unknown {
		drop.add(message.Trailer)
	}
	strip(h, drop, &noms)
	if trailers {
		h.AppendID(message.TE, "trailers")
	}
	return nil
}

// StripResponse is StripRequest for a service's response. Upgrade stays in a
// 101. A nomination of a protected field is ignored; their number is returned.
func StripResponse(p *message.Response) (nominatedProtected int) {
	h := &p.Header
	var noms nominations
	_ = noms.collect(h) // what is malformed nominates nothing
	nominatedProtected = noms.protected()
	drop := hopNames
	if p.Status == 101 {
		drop.remove(message.Upgrade)
	}
	if p.Length != message.Unknown {
		drop.add(message.Trailer)
	}
	strip(h, drop, &noms)
	return nominatedProtected
}

// strip removes the known names in drop and the nominated ones.
func strip(h *message.Header, drop idSet, noms *nominations) {
	if noms.n == 0 && !drop.anyIn(h) {
		return
	}
	h.DelFunc(func(f *message.Field) bool {
		return drop.has(f.ID) || noms.n > 0 && noms.has(f.Name)
	})
}
