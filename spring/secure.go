package spring

import "strings"

// secureField is one field of SecureHeaders.
type secureField struct {
	key   string // in Spring's settings
	name  string
	value string
}

// secureFields are what SecureHeaders sets unless told otherwise.
func secureFields() []secureField {
	return []secureField{
		{"xss-protection-header", "X-Xss-Protection", "1 ; mode=block"},
		{"strict-transport-security", "Strict-Transport-Security", "max-age=631138519"},
		{"frame-options", "X-Frame-Options", "DENY"},
		{"content-type-options", "X-Content-Type-Options", "nosniff"},
		{"referrer-policy", "Referrer-Policy", "no-referrer"},
		{"content-security-policy", "Content-Security-Policy", "default-src 'self' https:; font-src 'self' https: data:; img-src 'self' https: data:; object-src 'none'; script-src https:; style-src 'self' https: 'unsafe-inline'"},
		{"download-options", "X-Download-Options", "noopen"},
		{"permitted-cross-domain-policies", "X-Permitted-Cross-Domain-Policies", "none"},
	}
}

// secureHeaders writes the fields out; those that the service sent are kept, as there.
func (b *routeReader) secureHeaders(c *call) {
	c.get("none")
	e := &element{from: c.from}
	off := make(map[string]bool)
	for _, name := range splitAll(c.all("disable")) {
		off[canonical(name)] = true
	}
	v := mapping()
	for _, root := range b.gatewayRoots() {
		n := root.get("filter", "secure-headers")
		for _, name := range b.words(n.get("disable"), e) {
			off[canonical(name)] = true
		}
		b.note(n.get("enabled"), "see the filters")
		b.note(n.get("default"), "what is on by default is written out")
	}
	for _, f := range secureFields() {
		text := f.value
		for _, root := range b.gatewayRoots() {
			if t, ok := b.take(root.get("filter", "secure-headers", f.key), e); ok {
				text = t
			}
		}
		if t, ok := c.lookup(f.key); ok {
			text = t
		}
		// X-Xss-Protection is "xss-protection-header" in one list, "x-xss-protection" in the other.
		if off[canonical(f.key)] || off[canonical(f.name)] {
			continue
		}
		v = v.With(f.name, word(quoted(strings.ReplaceAll(text, "{", "{{"))))
	}
	if t, ok := c.lookup("permissions-policy"); ok { // only where it is asked for
		c.get("enable")
		v = v.With("Permissions-Policy", word(quoted(strings.ReplaceAll(t, "{", "{{"))))
	}
	if v.Len() == 0 {
		return
	}
	s := b.step(c, "headers", mapping(keyed("response", mapping(keyed("default", v)))))
	s.from = e.from
}
