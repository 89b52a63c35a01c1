package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

func match(t testing.TB, short string) Match {
	t.Helper()
	var m Match
	if err := m.UnmarshalText([]byte(short)); err != nil {
		t.Fatalf("%s: %v", short, err)
	}
	return m
}

func rules(t testing.TB, matches ...Match) []Rule[int] {
	t.Helper()
	out := make([]Rule[int], len(matches))
	for i, m := range matches {
		out[i] = Rule[int]{Match: m, Name: fmt.Sprintf("r%d", i), Value: i}
	}
	return out
}

func TestTies(t *testing.T) {
	t.Parallel()
	with := func(short string, change func(*Match)) Match {
		m := match(t, short)
		change(&m)
		return m
	}
	header := func(short, name, value string) Match {
		return with(short, func(m *Match) { m.Headers = map[string]string{name: value} })
	}
	segment := func(from, to float64) Match {
		return with("/a", func(m *Match) { m.Segment = Segment{From: from, To: to} })
	}
	for _, test := range []struct {
		name string
		a, b Match
		want string // the example; "" is no tie
	}{
		{"same path", match(t, "/a"), match(t, "/a"), "GET http://example.com/a"},
		{"other path", match(t, "/a"), match(t, "/b"), ""},
		{"slash at the end", match(t, "/a"), match(t, "/a/"), ""},
		{"parameters have no names for this", match(t, "/a/{id}"), match(t, "/a/{name}"), "GET http://example.com/a/1"},
		{"crossed literals", match(t, "/{a}/b/{c}"), match(t, "/{a}/{b}/c"), "GET http://example.com/1/b/c"},
		{"literals that differ", match(t, "/{a}/b/{c}"), match(t, "/{a}/c/{b}"), ""},
		{"other length", match(t, "/{a}/b"), match(t, "/{a}/b/{c}"), ""},
		{"rest and rest", match(t, "/a/{x...}"), match(t, "/a/{y...}"), "GET http://example.com/a/maru"},
		{"more literals win", match(t, "/{a}/b/c"), match(t, "/{a}/b/{c}"), ""},
		{"expressions apart", match(t, "/{a:[0-9]+}"), match(t, "/{a:[a-z]+}"), ""},
		{"expressions that meet", match(t, "/{a:[0-9]+b?}"), match(t, "/{a:[0-9]*b}"), "GET http://example.com/1b"},
		{"an expression before none", match(t, "/{a:[0-9]+}"), match(t, "/{a}"), ""},
		{"whole paths that meet", match(t, "regex:/a/[0-9]+x*"), match(t, "regex:/a/1+y?"), "GET http://example.com/a/1"},
		{"whole paths apart", match(t, "regex:/a/[0-9]+"), match(t, "regex:/a/[a-z]+"), ""},
		{"other host", match(t, "a.example/a"), match(t, "b.example/a"), ""},
		{"same host", match(t, "a.example/a"), match(t, "A.example/a"), "GET http://a.example/a"},
		{"one host of several", with("/a", func(m *Match) { m.Host = List{"a.example", "b.example"} }), match(t, "b.example/a"), "GET http://b.example/a"},
		{"same wildcard", match(t, "*.example/a"), match(t, "*.example/a"), "GET http://www.example/a"},
		{"methods apart", match(t, "GET /a"), match(t, "POST /a"), ""},
		{"methods that meet", match(t, "GET,PUT /a"), match(t, "POST,PUT /a"), "PUT http://example.com/a"},
		{"HEAD is implied by GET", match(t, "GET /a"), match(t, "HEAD /a"), "HEAD http://example.com/a"},
		{"a method listed wins", match(t, "GET /a"), match(t, "/a"), ""},
		{"headers apart", header("/a", "x", "1"), header("/a", "X", "2"), ""},
		{"other headers meet", header("/a", "x", "1"), header("/a", "y", "2"), "GET http://example.com/a -H 'x: 1' -H 'y: 2'"},
		{"exact before regex", header("/a", "x", "1"), header("/a", "x", "regex:."), ""},
		{"header expressions meet", header("/a", "x", "regex:a+b*"), header("/a", "x", "regex:a*b+"), "GET http://example.com/a -H 'x: ab'"},
		{"present and absent", header("/a", "x", "present"), header("/a", "x", "absent"), ""},
		{"schemes apart", with("/a", func(m *Match) { m.Scheme = "http" }), with("/a", func(m *Match) { m.Scheme = "https" }), ""},
		{"segments apart", segment(0, 0.5), segment(0.5, 1), ""},
		{"priority", match(t, "/a"), with("/a", func(m *Match) { m.Priority = 1 }), ""},
		{"clients apart", with("/a", func(m *Match) { m.Client = List{"10.0.0.0/16"} }), with("/a", func(m *Match) { m.Client = List{"10.1.0.0/16"} }), ""},
		{
			"clients that meet", with("/a", func(m *Match) { m.Client = List{"10.0.0.0/16", "10.2.0.0/16"} }),
			with("/a", func(m *Match) { m.Client = List{"10.1.0.0/16", "10.2.0.0/16"} }), "GET http://example.com/a --client 10.2.0.0",
		},
		{"protocols apart", with("/a", func(m *Match) { m.Protocol = "grpc" }), with("/a", func(m *Match) { m.Protocol = "websocket" }), ""},
		{
			"windows apart", with("/a", func(m *Match) { m.Time.After = "2999-01-01T00:00:00Z" }),
			with("/a", func(m *Match) { m.Time.Before = "2999-01-01T00:00:00Z" }), "",
		},
	} {
		for range 2 {
			_, err := Build(rules(t, test.a, test.b))
			found := diag.Flatten(err)
			if test.want == "" {
				if err != nil {
					t.Errorf("%s: %v (%s)", test.name, err, found[0].Example)
				}
			} else if len(found) != 1 || found[0].Code != "tie" || found[0].Example != test.want ||
				found[0].Path != "[1].match" || !slices.Equal(found[0].Related, []string{"[0].match"}) {
				t.Errorf("%s: got %+v, want a tie by %s", test.name, found, test.want)
			}
			test.a, test.b = test.b, test.a
			test.want = strings.Replace(test.want, "-H 'x: 1' -H 'y: 2'", "-H 'y: 2' -H 'x: 1'", 1)
		}
	}
}

// TestTiesAgreeWithRandomRequests sends random requests at random tables: when two
// routes of equal rank take one, there must be a finding about the later one.
func TestTiesAgreeWithRandomRequests(t *testing.T) {
	t.Parallel()
	w := world{rand.New(rand.NewPCG(3, 4))}
	r := message.NewRequest()
	seen := 0
	for range 600 {
		matches := w.alike(2 + w.IntN(20))
		found := make(map[string]bool)
		_, err := Build(rules(t, matches...))
		for _, e := range diag.Flatten(err) {
			found[e.Path] = true
		}
		c := build(t, matches)
		for range 100 {
			w.request(r)
			r.Header.Reset() // one header twice with two values is no tie
			r.Query = ""
			for _, later := range tied(taking(c, r)) {
				if seen++; !found[at("", int(later))+".match"] {
					t.Fatalf("%s %s %s meets a tie of %+v that was not found", r.Method, r.Host, r.Path, matches[later])
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d requests met a tie", seen)
	}
}

// alike makes matches of which many repeat one another in part.
func (w world) alike(n int) []Match {
	matches := make([]Match, n)
	for i := range matches {
		if matches[i] = w.match(); i > 0 && w.chance(2) {
			path := matches[i].Path
			if matches[i] = matches[w.IntN(i)]; w.chance(2) {
				matches[i].Path = path
			}
		}
	}
	return matches
}

// tied gives the later rules of entries that rank equal.
func tied(took []entry) []int32 {
	var out []int32
	for i := 1; i < len(took); i++ {
		if took[i].source != took[i-1].source && took[i].rank == took[i-1].rank {
			out = append(out, max(took[i].source, took[i-1].source))
		}
	}
	return out
}

func taking(c *core, r *message.Request) []entry {
	var out []entry
	for i := range c.index.entries {
		e := &c.index.entries[i]
		if e.host.takes(r.Host) && e.rule.path.matches(r.Path) && e.rule.methods.has(methodBit(r.Method), r.Method) && e.rule.takes(r) {
			out = append(out, *e)
		}
	}
	return out
}

// TestTiesAreNotQuadratic builds tables whose routes rank equal: a comparison of
// each with each would take minutes.
func TestTiesAreNotQuadratic(t *testing.T) {
	const n = 5_000
	for name, mk := range map[string]func(i int) Match{
		"literal behind a parameter": func(i int) Match { return Match{Path: fmt.Sprintf("/{a}/s%d/{b}", i)} },
		"one path, many tenants": func(i int) Match {
			return Match{Path: "/a", Headers: map[string]string{"X-Tenant": fmt.Sprintf("t%d", i)}}
		},
		"one path, many clients": func(i int) Match {
			return Match{Path: "/a", Client: List{fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)}}
		},
		"all the same": func(int) Match { return Match{Path: "/a"} },
	} {
		matches := make([]Match, n)
		for i := range matches {
			matches[i] = mk(i)
		}
		began := time.Now()
		_, err := Build(rules(t, matches...))
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: %v for %d routes", name, took, n)
		}
		if (err != nil) != (name == "all the same") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyExpressionsBehindOnePrefixAreBounded builds a table whose expressions
// can't be told apart by anything cheap: the search for ties gives up in time.
func TestManyExpressionsBehindOnePrefixAreBounded(t *testing.T) {
	matches := make([]Match, 1500)
	for i := range matches {
		matches[i] = Match{Path: fmt.Sprintf("regex:/svc/(a|b)+%d[a-z]*", i)}
	}
	began := time.Now()
	tab := table(t, rules(t, matches...))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%v for %d routes", took, len(matches))
	}
	if got, v := tab.Find(requestOf("/svc/ab7x"), 0); v != Found || got != 7 {
		t.Errorf("got %d %v", got, v)
	}
}
