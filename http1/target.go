package http1

import (
	"bytes"

	"github.com/maru-msa/maru/message"
)

// classes of octets in a request target.
const (
	targetBad    = 0 // never: controls, SP, '#', 0x7F, obs-text
	targetPlain  = 1
	targetQuery  = 2 // only behind '?': '"' '<' '>' '\'
	targetEscape = 3 // '%'
	targetMark   = 4 // '?'
)

var targetClass = targetClasses() //nolint:gochecknoglobals // read-only table

func targetClasses() (t [256]byte) {
	for i := 0x21; i < 0x7F; i++ {
		switch byte(i) {
		case '#':
		case '"', '<', '>', '\\':
			t[i] = targetQuery
		case '%':
			t[i] = targetEscape
		case '?':
			t[i] = targetMark
		default:
			t[i] = targetPlain
		}
	}
	return t
}

// parseTarget parses the request target (RFC 9112 §3.2) into path and query.
func parseTarget(b []byte, r *message.Request, st *requestState) *Refusal {
	if st.connect {
		st.authority = message.View(b)
		r.Path, r.RawPath, r.Query, r.HasQuery = "", "", "", false
		return anyOctet(b)
	}
	if b[0] == '/' {
		return parseOrigin(b, r)
	}
	if ref := anyOctet(b); ref != nil {
		return ref
	}
	if len(b) == 1 && b[0] == '*' {
		if r.Method != "OPTIONS" { // RFC 9112 §3.2.4
			return refuseTargetForm
		}
		r.Path, r.RawPath, r.Query, r.HasQuery = "*", "*", "", false
		return nil
	}
	return parseAbsolute(b, r, st)
}

func anyOctet(b []byte) *Refusal {
	for _, c := range b {
		if targetClass[c] == targetBad {
			return refuseTargetOctet
		}
	}
	return nil
}

// parseOrigin parses "/path?query"; the query is opaque (RFC 3986 §3.4).
func parseOrigin(b []byte, r *message.Request) *Refusal {
	i := 0
	for i < len(b) {
		c := targetClass[b[i]]
		if c == targetPlain {
			i++
			continue
		}
		if c == targetMark {
			break
		}
		if ref := pathFault(b, i); ref != nil {
			return ref
		}
		i += 3 // an escape
	}
	path := message.View(b[:i])
	r.Path, r.RawPath, r.Query, r.HasQuery = path, path, "", false
	if i == len(b) {
		return nil
	}
	q := b[i+1:]
	r.Query, r.HasQuery = message.View(q), true
	return anyOctet(q)
}

// pathFault judges the octet at i of a path, which is not a plain one; nil
// means a valid escape.
func pathFault(b []byte, i int) *Refusal {
	switch {
	case b[i] == '\\':
		return refuseBackslash
	case b[i] != '%':
		return refuseTargetOctet
	case i+2 >= len(b):
		return refusePercent
	}
	hi, lo := hexValue[b[i+1]], hexValue[b[i+2]]
	if hi|lo == 0xFF {
		return refusePercent
	}
	if c := hi<<4 | lo; c < 0x20 || c == 0x7F {
		return refusePercentControl
	}
	return nil
}

// hexValue is the value of a hex digit, 0xFF for other octets.
var hexValue = hexValues() //nolint:gochecknoglobals // read-only table

func hexValues() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case digit(c):
			t[i] = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			t[i] = c | 0x20 - 'a' + 10
		default:
			t[i] = 0xFF
		}
	}
	return t
}

// parseAbsolute parses "http://authority/path?query" (RFC 9112 §3.2.2). The
// scheme must be the transport's: who is in front decided by it.
func parseAbsolute(b []byte, r *message.Request, st *requestState) *Refusal {
	before, after, ok := bytes.Cut(b, []byte("://"))
	if !ok {
		return refuseTargetForm
	}
	scheme := message.View(before)
	secure := foldEqual(scheme, "https")
	if !secure && !foldEqual(scheme, "http") || r.Scheme != "" && secure != (r.Scheme == "https") {
		return refuseTargetForm
	}
	rest := after
	end := 0
	for end < len(rest) && rest[end] != '/' && rest[end] != '?' {
		end++
	}
	authority := rest[:end]
	if end == 0 || bytes.IndexByte(authority, '@') >= 0 || authority[0] == ':' {
		return refuseTargetForm // RFC 9110 §4.2.1, §4.2.4: no empty host, no userinfo
	}
	st.authority, st.absolute = message.View(authority), true
	rest = rest[end:]
	if len(rest) > 0 && rest[0] == '/' {
		return parseOrigin(rest, r)
	}
	r.Path, r.RawPath, r.Query, r.HasQuery = "/", "/", "", false
	if len(rest) > 0 {
		r.Query, r.HasQuery = message.View(rest[1:]), true
	} else if r.Method == "OPTIONS" {
		r.Path, r.RawPath = "*", "*" // RFC 9112 §3.2.4
	}
	return nil
}
