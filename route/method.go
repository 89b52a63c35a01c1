package route

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/message"
)

// methodSet is a set of methods: a bit for each of the known ones, and the
// others by name. The zero set holds every method.
type methodSet struct {
	bits   uint16
	others []string
}

// The known methods, in the order of an Allow field.
var knownMethods = [...]string{ //nolint:gochecknoglobals // read-only table
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
}

const (
	bitGet     = 1 << 0
	bitHead    = 1 << 1
	bitOptions = 1 << 6
)

// methodBit is the bit of a known method, or 0.
func methodBit(m string) uint16 {
	switch m {
	case "GET":
		return bitGet
	case "HEAD":
		return bitHead
	case "POST":
		return 1 << 2
	case "PUT":
		return 1 << 3
	case "PATCH":
		return 1 << 4
	case "DELETE":
		return 1 << 5
	case "OPTIONS":
		return bitOptions
	case "CONNECT":
		return 1 << 7
	case "TRACE":
		return 1 << 8
	}
	return 0
}

// all tells whether every method is in the set.
func (s *methodSet) all() bool { return s.bits == 0 && s.others == nil }

// add puts a method in; GET brings HEAD (RFC 9110 §9.3.2).
func (s *methodSet) add(m string) {
	switch b := methodBit(m); {
	case b == bitGet:
		s.bits |= bitGet | bitHead
	case b != 0:
		s.bits |= b
	case !slices.Contains(s.others, m):
		s.others = append(s.others, m)
	}
}

func (s *methodSet) has(bit uint16, name string) bool {
	if s.bits&bit != 0 || s.all() {
		return true
	}
	return bit == 0 && slices.Contains(s.others, name)
}

// join adds all of o.
func (s *methodSet) join(o *methodSet) {
	s.bits |= o.bits
	for _, m := range o.others {
		s.add(m)
	}
}

// common gives a method of both sets, the plainest first, or "".
func (s *methodSet) common(o *methodSet) string {
	switch {
	case s.all():
		return o.first()
	case o.all():
		return s.first()
	}
	both := methodSet{bits: s.bits & o.bits}
	for _, m := range s.others {
		if slices.Contains(o.others, m) {
			both.others = append(both.others, m)
		}
	}
	if both.all() {
		return ""
	}
	return both.first()
}

func (s *methodSet) first() string {
	if s.bits == 0 && s.others != nil {
		return s.others[0]
	}
	for i, m := range knownMethods {
		if s.all() || s.bits&(1<<i) != 0 {
			return m
		}
	}
	return ""
}

func (s *methodSet) names() []string {
	var out []string
	for i, m := range knownMethods {
		if s.bits&(1<<i) != 0 {
			out = append(out, m)
		}
	}
	return append(out, s.others...)
}

func (s *methodSet) String() string { return strings.Join(s.names(), ", ") }

// preflight gives the method that a CORS preflight asks for (Fetch §3.2.2), or "".
func preflight(r *message.Request) string {
	if r.Method != "OPTIONS" || !r.Header.Has(message.AccessControlRequestMethod) || !r.Header.Has(message.Origin) {
		return ""
	}
	return r.Header.Value(message.AccessControlRequestMethod)
}
