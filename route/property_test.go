package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

// world makes random matches and requests out of few parts, so that they meet often.
type world struct{ *rand.Rand }

func (w world) of(list ...string) string { return list[w.IntN(len(list))] }

func (w world) chance(n int) bool { return w.IntN(n) == 0 }

func (w world) pattern() string {
	if w.chance(12) {
		return w.of("regex:/a/.*", "regex:/[ab]/b", "regex:.*", "regex:/a/b[0-9]*(/c)?", "regex:/b(?P<x>[a-z/]*)", "regex:/a", "regex:/a/", "regex:/ab?/.+")
	}
	if w.chance(20) {
		return w.of("", "/")
	}
	var b strings.Builder
	n := 1 + w.IntN(4)
	for i := range n {
		b.WriteByte('/')
		switch w.IntN(6) {
		case 0:
			fmt.Fprintf(&b, "{p%d}", i)
		case 1:
			fmt.Fprintf(&b, "{p%d:%s}", i, w.of("[0-9]+", "[a-z]+", "a.*", "b"))
		default:
			b.WriteString(w.of("a", "b", "c", "ab", "7"))
		}
	}
	switch w.IntN(5) {
	case 0:
		b.WriteString("/{rest...}")
	case 1:
		b.WriteByte('/')
	}
	return b.String()
}

func (w world) match() Match {
	m := Match{Path: w.pattern()}
	for range w.IntN(3) {
		h := w.of("a.example", "b.example", "*.example", "*.a.example", "example")
		if !slices.Contains(m.Host, h) {
			m.Host = append(m.Host, h)
		}
	}
	for range w.IntN(3) {
		m.Methods = append(m.Methods, w.of("GET", "POST", "PURGE", "OPTIONS", "HEAD"))
	}
	if w.chance(4) {
		m.Headers = map[string]string{w.of("X-A", "Accept"): w.of("1", "2", "present", "absent", "regex:[0-9]+")}
	}
	if w.chance(5) {
		m.Query = map[string]string{w.of("q", "z"): w.of("1", "a b", "present", "absent", "regex:[0-9]+")}
	}
	if w.chance(6) {
		m.Cookies = map[string]string{w.of("c", "d"): w.of("1", "present", "absent")}
	}
	if w.chance(6) {
		m.Client = List{w.of("10.0.0.0/8", "10.1.0.0/16", "::/0")}
	}
	if w.chance(8) {
		m.Scheme = w.of("http", "https")
	}
	if w.chance(8) {
		m.Priority = w.IntN(3) - 1
	}
	if w.chance(12) {
		m.Segment = Segment{From: 0.25, To: 0.75}
	}
	return m
}

// crowd makes matches of one path that differ in their headers and methods.
func (w world) crowd(n int) []Match {
	path := w.of("/a", "/a/{rest...}", "/{x}")
	out := make([]Match, n)
	for i := range out {
		m := w.match()
		m.Path, m.Host = path, nil
		m.Headers = map[string]string{w.of("x-a", "X-A", "x-a", "Accept"): w.of("1", "2", "3", "4", "present", "absent", "regex:[12]")}
		out[i] = m
	}
	return out
}

func (w world) path() string {
	if w.chance(30) {
		return "/"
	}
	var b strings.Builder
	for range 1 + w.IntN(5) {
		b.WriteByte('/')
		b.WriteString(w.of("a", "b", "c", "ab", "7", "a", "b", ""))
		if w.chance(12) {
			b.WriteString(w.of("%2Fb", "%2F..%2Fb", ";x", "%5Cb", "%252Fb", "%3Fx", "%23", "%3Bb", "%25", "/..", "%2e"))
		}
	}
	return b.String()
}

func (w world) request(r *message.Request) {
	r.Reset()
	r.Method = w.of("GET", "POST", "PURGE", "OPTIONS", "HEAD", "PUT")
	r.Path = w.path()
	r.Host = w.of("a.example", "b.example", "x.a.example", "y.x.a.example", "example", "other", "")
	r.Scheme = w.of("http", "https")
	r.X.Client = netip.MustParseAddr(w.of("10.0.0.1", "10.1.0.1", "::1", "192.0.2.1"))
	for range w.IntN(3) {
		_ = r.Header.Add(w.of("x-a", "Accept", "Cookie"), w.of("1", "2", "c=1; d=2", "c=1"))
	}
	if w.chance(2) {
		r.Query = w.of("q=1", "q=a+b&z=2", "q=%31", "z", "q=x&q=1")
	}
	if w.chance(8) {
		_ = r.Header.Add("Origin", "http://x")
		_ = r.Header.Add("Access-Control-Request-Method", w.of("GET", "POST", "PUT"))
	}
}

// build makes the core of a table without refusing ties, which random tables have.
func build(t testing.TB, matches []Match) *core {
	t.Helper()
	c := &core{compiled: make([]*rule, len(matches)), names: make([]string, len(matches)), draw: rand.Int64N}
	for i := range matches {
		r, err := compile(&matches[i])
		if err != nil {
			t.Fatalf("%+v: %v", matches[i], err)
		}
		c.compiled[i] = r
	}
	entries, faults := c.entries()
	if faults != nil {
		t.Fatal(faults)
	}
	c.index = newIndex(entries)
	return c
}

// naive goes through all rules and keeps the most specific: what the tries must
// agree with. It gives the entry's place in the list, or the verdict without one.
func naive(c *core, r *message.Request, method string) (source int32, missed bool) {
	source = none
	var best rank
	for i, rule := range c.compiled {
		for _, h := range rule.hosts {
			if !h.takes(r.Host) || !rule.path.matches(r.Path) || !rule.takes(r) {
				continue
			}
			if !rule.methods.has(methodBit(method), method) {
				missed = true
				continue
			}
			if k := rule.on(h); source == none || k.compare(&best) > 0 {
				source, best = int32(i), k
			}
		}
	}
	return source, missed && source == none
}

func naiveFind(c *core, r *message.Request, d Reading) (int32, Verdict) {
	source, missed, method := none, false, r.Method
	if asked := preflight(r); asked != "" {
		if source, missed = naive(c, r, asked); source != none {
			method = asked
		}
	}
	if source == none {
		var m bool
		source, m = naive(c, r, r.Method)
		missed = missed || m
	}
	switch {
	case source != none && naiveElsewhere(c, r, d, method, source):
		return none, Ambiguous
	case source != none:
		return source, Found
	case missed && r.Method == "OPTIONS":
		return none, Options
	case missed:
		return none, MethodNotAllowed
	}
	return none, NotFound
}

// naiveElsewhere judges the further readings of a path by the linear search.
func naiveElsewhere(c *core, r *message.Request, d Reading, method string, source int32) bool {
	switch encoded := c.compiled[source].encoded; {
	case encoded == Accept || d == 0:
		return false
	case encoded == Refuse:
		return true
	}
	path := r.Path
	defer func() { r.Path = path }()
	for i := range numReadings + 1 {
		one := Reading(1) << i
		if i == numReadings {
			one = readAll // at the end all at once
		}
		if d&one == 0 {
			continue
		}
		p := reread(nil, path, one)
		if p == nil {
			return true
		}
		r.Path = string(p)
		if got, _ := naive(c, r, method); got != source {
			return true
		}
	}
	return false
}

func TestFindAgreesWithALinearSearch(t *testing.T) {
	t.Parallel()
	const tables, requests = 1200, 150
	w := world{rand.New(rand.NewPCG(1, 2))}
	r := message.NewRequest()
	verdicts := make(map[Verdict]int)
	for range tables {
		matches := make([]Match, 1+w.IntN(60))
		for i := range matches {
			matches[i] = w.match()
		}
		if w.chance(3) {
			matches = w.crowd(20 + w.IntN(60))
		}
		c := build(t, matches)
		for _, rule := range c.compiled {
			rule.encoded = Encoded(w.of("", "", string(SameRoute), string(Refuse), string(Accept)))
		}
		for range requests {
			w.request(r)
			d, err := Canonical(r)
			if err != nil {
				continue // above the root
			}
			want, wantVerdict := naiveFind(c, r, d)
			got, verdict := c.search(r, d)
			verdicts[verdict]++
			if got != want || verdict != wantVerdict {
				t.Fatalf("%s %s host %q: got %d %v, want %d %v\ngot  %+v\nwant %+v", r.Method, r.Path, r.Host,
					got, verdict, want, wantVerdict, at1(matches, got), at1(matches, want))
			}
		}
	}
	for _, v := range []Verdict{Found, NotFound, MethodNotAllowed, Options, Ambiguous} {
		if verdicts[v] < 1000 {
			t.Errorf("only %d requests were %v: the world is too one-sided", verdicts[v], v)
		}
	}
}

func at1(matches []Match, i int32) any {
	if i < 0 {
		return "none"
	}
	return matches[i]
}
