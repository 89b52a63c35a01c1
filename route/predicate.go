package route

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// predicate is one thing that a route wants beyond host, path and method. It allocates nothing
// unless said so, and keeps nothing of the request.
type predicate interface {
	holds(r *message.Request) bool
	// String is the predicate as people read it: "header x-a: 1".
	String() string
}

// op is what a named value must be.
type op uint8

const (
	opExact op = iota
	opRegex
	opPresent
	opAbsent
)

// test is a predicate on a named value that may be there several times.
type test struct {
	name string
	op   op
	want string // exact: the value; regex: the expression
	re   *regexp.Regexp
}

// words are "x-a: 1", "x-a present".
func (t *test) words() string {
	switch t.op {
	case opExact:
		return t.name + ": " + t.want
	case opRegex:
		return t.name + ": " + regexPrefix + t.want
	case opPresent:
		return t.name + " present"
	default:
		return t.name + " absent"
	}
}

func (t *test) takes(value string) bool {
	switch t.op {
	case opExact:
		return value == t.want
	case opRegex:
		return t.re.MatchString(value)
	default:
		return true
	}
}

// headerTest is a predicate on a header field; all its lines are tried.
type headerTest struct {
	test
	id message.ID
}

func (t *headerTest) String() string { return "header " + t.words() }

func (t *headerTest) holds(r *message.Request) bool {
	if t.id != message.Other && !r.Header.Has(t.id) {
		return t.op == opAbsent
	}
	fields := r.Header.Fields()
	for i := range fields {
		f := &fields[i]
		if !sameField(f, t.id, t.name) {
			continue
		}
		if t.op == opAbsent {
			return false
		}
		if t.takes(f.Value) {
			return true
		}
	}
	return t.op == opAbsent
}

// sameField tells whether a field line has a name, given with its ID.
func sameField(f *message.Field, id message.ID, name string) bool {
	return f.ID == id && len(f.Name) == len(name) && (id != message.Other || strings.EqualFold(f.Name, name))
}

// cookieTest is a predicate on a cookie (RFC 6265 §4.2.1).
type cookieTest struct{ test }

func (t *cookieTest) String() string { return "cookie " + t.words() }

func (t *cookieTest) holds(r *message.Request) bool {
	if r.Header.Has(message.Cookie) {
		for _, f := range r.Header.Fields() {
			if f.ID != message.Cookie {
				continue
			}
			for rest := f.Value; rest != ""; {
				var pair string
				pair, rest, _ = strings.Cut(rest, ";")
				name, value, _ := strings.Cut(strings.TrimLeft(pair, " \t"), "=")
				if name != t.name {
					continue
				}
				if t.op == opAbsent {
					return false
				}
				if t.takes(value) {
					return true
				}
			}
		}
	}
	return t.op == opAbsent
}

// cookie gives the first cookie of a name.
func cookie(r *message.Request, name string) (string, bool) {
	for _, f := range r.Header.Fields() {
		if f.ID != message.Cookie {
			continue
		}
		for rest := f.Value; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			if n, value, _ := strings.Cut(strings.TrimLeft(pair, " \t"), "="); n == name {
				return value, true
			}
		}
	}
	return "", false
}

// queryTest is a predicate on a parameter of the query, percent-decoded, with
// '+' for a space (the form of HTML forms).
type queryTest struct{ test }

func (t *queryTest) String() string { return "query " + t.words() }

func (t *queryTest) holds(r *message.Request) bool {
	for rest := r.Query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		if !decodesTo(name, t.name) {
			continue
		}
		switch t.op {
		case opAbsent:
			return false
		case opPresent:
			return true
		case opExact:
			if decodesTo(value, t.want) {
				return true
			}
		case opRegex:
			if t.re.MatchString(decodeQuery(r, value)) {
				return true
			}
		}
	}
	return t.op == opAbsent
}

// queryOctet reads one octet of a query and how many it took.
func queryOctet(s string) (c byte, n int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] == '%' && len(s) > 2 && unhex(s[1]) < 16 && unhex(s[2]) < 16:
		return unhex(s[1])<<4 | unhex(s[2]), 3
	}
	return s[0], 1
}

// decodesTo tells whether the encoded text stands for want.
func decodesTo(encoded, want string) bool {
	for encoded != "" {
		if want == "" {
			return false
		}
		c, n := queryOctet(encoded)
		if c != want[0] {
			return false
		}
		encoded, want = encoded[n:], want[1:]
	}
	return want == ""
}

// decodeQuery decodes a value, into the exchange's arena when it must.
func decodeQuery(r *message.Request, value string) string {
	if !strings.ContainsAny(value, "%+") {
		return value
	}
	b := r.X.Scratch(len(value))
	for value != "" {
		c, n := queryOctet(value)
		b, value = append(b, c), value[n:]
	}
	return message.View(b)
}

type clientTest struct{ prefixes []netip.Prefix }

func (t *clientTest) String() string { return "client " + strings.Trim(fmt.Sprint(t.prefixes), "[]") }

func (t *clientTest) holds(r *message.Request) bool {
	a := r.X.Client.Unmap()
	for _, p := range t.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

type schemeTest struct{ scheme string }

func (t *schemeTest) String() string { return "scheme " + t.scheme }

func (t *schemeTest) holds(r *message.Request) bool { return r.Scheme == t.scheme }

type listenerTest struct{ names []string }

func (t *listenerTest) String() string { return "listener " + strings.Join(t.names, " or ") }

func (t *listenerTest) holds(r *message.Request) bool { return slices.Contains(t.names, r.X.Listener) }

type grpcTest struct{}

func (grpcTest) String() string { return "protocol grpc" }

// holds tells gRPC by its content type: "application/grpc", with +proto and the
// like, but not gRPC-Web, which is a protocol of its own.
func (grpcTest) holds(r *message.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Value(message.ContentType), "application/grpc")
	return ok && r.Method == "POST" && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

type websocketTest struct{}

func (websocketTest) String() string { return "protocol websocket" }

func (websocketTest) holds(r *message.Request) bool { return strings.EqualFold(r.Upgrade, "websocket") }

// windowTest compares the beginning of the exchange, so that one request sees
// one time.
type windowTest struct{ after, before time.Time }

func (t *windowTest) String() string {
	s := "time"
	if !t.after.IsZero() {
		s += " from " + t.after.Format(time.RFC3339)
	}
	if !t.before.IsZero() {
		s += " before " + t.before.Format(time.RFC3339)
	}
	return s
}

func (t *windowTest) holds(r *message.Request) bool {
	now := r.X.Began
	if now.IsZero() {
		now = time.Now()
	}
	return (t.after.IsZero() || !now.Before(t.after)) && (t.before.IsZero() || now.Before(t.before))
}

// segmentTest takes callers whose key hashes into a share of all.
type segmentTest struct {
	by       string // as written
	kind     byte   // 'c' client, 'h' header, 'k' cookie
	name     string
	from, to float64
}

func (t *segmentTest) String() string {
	return fmt.Sprintf("segment %v to %v by %s", t.from, t.to, t.by)
}

func (t *segmentTest) holds(r *message.Request) bool { return t.inside(t.place(r)) }

func (t *segmentTest) inside(at float64) bool { return at >= t.from && at < t.to }

// place is where a request's key lies in [0, 1).
func (t *segmentTest) place(r *message.Request) float64 {
	var value string
	ok := false
	switch t.kind {
	case 'h':
		value, ok = r.Header.Lookup(t.name)
	case 'k':
		value, ok = cookie(r, t.name)
	}
	return t.at(value, r.X.Client, ok)
}

// at is the place of a value, or of a client without one.
func (t *segmentTest) at(value string, client netip.Addr, ok bool) float64 {
	h := uint64(fnvOffset)
	if ok {
		for i := range len(value) {
			h = (h ^ uint64(value[i])) * fnvPrime
		}
	} else {
		for _, c := range client.As16() {
			h = (h ^ uint64(c)) * fnvPrime
		}
	}
	// FNV-1a leaves the upper bits of short keys alike: mix them (the finaliser
	// of MurmurHash3).
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)
