package http1

import (
	"net/netip"

	"github.com/maru-msa/maru/message"
)

const maxAuthority = 255

// ValidAuthority judges a host with an optional port, as Host and :authority
// hold it (RFC 9110 §7.2, RFC 3986 §3.2), and gives the host in lower case
// without port and trailing dot. The result is a view of s, or a copy in x's
// arena when s holds upper case; x may be nil, then a copy is allocated.
func ValidAuthority(x *message.Exchange, s string) (host string, err error) {
	host, _, ref := splitAuthority(s)
	if ref != nil {
		return "", ref
	}
	return lower(x, host), nil
}

// class of octets in a host name.
const (
	hostBad   = 0
	hostPlain = 1
	hostUpper = 2
)

var hostClass = hostClasses() //nolint:gochecknoglobals // read-only table

func hostClasses() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case c >= 'a' && c <= 'z', digit(c), c == '.', c == '_', c == '-':
			t[i] = hostPlain
		case c >= 'A' && c <= 'Z':
			t[i] = hostUpper
		}
	}
	return t
}

// splitAuthority judges s and gives its host, without trailing dot, and port; 0
// is no port.
func splitAuthority(s string) (host string, port int, ref *Refusal) {
	if s == "" {
		return "", 0, refuseHostEmpty
	}
	if len(s) > maxAuthority {
		return "", 0, refuseHostSyntax
	}
	i := 0
	if s[0] == '[' {
		if i = literalEnd(s); i == 0 {
			return "", 0, refuseHostSyntax
		}
		host = s[:i]
	} else {
		for i < len(s) && hostClass[s[i]] != hostBad {
			if s[i] == '.' && (i == 0 || s[i-1] == '.') {
				return "", 0, refuseHostSyntax // an empty label
			}
			i++
		}
		if i == 0 {
			if s[0] == ':' {
				return "", 0, refuseHostEmpty
			}
			return "", 0, refuseHostSyntax
		}
		host = s[:i]
		if host[i-1] == '.' {
			host = host[:i-1]
		}
	}
	if i == len(s) {
		return host, 0, nil
	}
	if s[i] != ':' {
		return "", 0, refuseHostSyntax
	}
	port, ref = parsePort(s[i+1:])
	return host, port, ref
}

// literalEnd gives the place behind the ']' of a valid "[IPv6]", else 0. A zone
// has no meaning to another host (RFC 6874).
func literalEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == ']':
			if a, err := netip.ParseAddr(s[1:i]); err != nil || !a.Is6() {
				return 0
			}
			return i + 1
		case hexValue[c] == 0xFF && c != ':' && c != '.':
			return 0
		}
	}
	return 0
}

func parsePort(s string) (int, *Refusal) {
	if s == "" {
		return 0, nil // RFC 3986 §3.2.3: an empty port is the default one
	}
	for i := range len(s) {
		if hostJunk(s[i]) {
			return 0, refuseHostSyntax
		}
	}
	port := 0
	for i := range len(s) {
		if !digit(s[i]) {
			return 0, refuseHostPort
		}
		port = min(port*10+int(s[i]-'0'), 1<<16)
	}
	if port == 0 || port > 65535 || len(s) > 5 {
		return 0, refuseHostPort
	}
	return port, nil
}

// hostJunk are the octets that stand in no authority that we take, whatever
// place they have in it.
func hostJunk(c byte) bool {
	switch c {
	case ',', '@', '/', '\\', '?', '#', '%', ' ', '\t', ':', '[', ']':
		return true
	}
	return c >= 0x80
}

// lower gives s in lower case, itself when it is so already.
func lower(x *message.Exchange, s string) string {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			continue
		}
		var b []byte
		if x != nil {
			b = x.Scratch(len(s))
		} else {
			b = make([]byte, 0, len(s))
		}
		for i := range len(s) {
			c := s[i]
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			b = append(b, c)
		}
		return message.View(b)
	}
	return s
}

// judgeHost sets r.Authority and r.Host (RFC 9112 §3.2, §3.2.2).
func (st *requestState) judgeHost(r *message.Request) *Refusal {
	r.Authority, r.Host = "", ""
	if st.hosts > 1 {
		return refuseHostMany
	}
	authority := st.host
	if st.hosts == 0 {
		if r.Proto != message.HTTP10 {
			return refuseHostMissing
		}
		if authority = st.authority; authority == "" {
			return nil
		}
	}
	host, port, ref := splitAuthority(authority)
	if ref != nil {
		return ref
	}
	if st.authority != "" && st.hosts == 1 {
		thost, tport, ref := splitAuthority(st.authority)
		if ref != nil {
			return ref
		}
		if st.connect {
			if tport == 0 {
				return refuseTargetForm // RFC 9112 §3.2.3: CONNECT names its port
			}
			authority, port = st.authority, or0(port, tport)
		}
		def := defaultPort(r.Scheme)
		if !sameHost(host, thost) || or0(port, def) != or0(tport, def) {
			return refuseAuthorityMismatch
		}
	}
	r.Authority, r.Host = authority, lower(&r.X, host)
	return nil
}

// defaultPort is the scheme's port (RFC 9110 §4.2.1, §4.2.2).
func defaultPort(scheme string) int {
	if scheme == "https" {
		return 443
	}
	return 80
}

func or0(port, def int) int {
	if port == 0 {
		return def
	}
	return port
}

func sameHost(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
