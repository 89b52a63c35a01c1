package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// deadTest is a table of routes of which one takes no request.
type deadTest struct {
	name    string
	rules   []Match
	dead    int // the route that is, or -1
	by      []int
	why     string
	example string
}

func deadTests(t *testing.T) []deadTest {
	t.Helper()
	with := func(short string, change func(*Match)) Match {
		m := match(t, short)
		change(&m)
		return m
	}
	first := func(short string) Match { return with(short, func(m *Match) { m.Priority = 1 }) }
	header := func(short, name, value string, priority int) Match {
		return with(short, func(m *Match) { m.Headers, m.Priority = map[string]string{name: value}, priority })
	}
	return []deadTest{
		{name: "nothing hides", rules: []Match{match(t, "/a"), match(t, "/b"), match(t, "/{rest...}")}, dead: -1},
		{
			name: "a catch-all first", rules: []Match{first("/{rest...}"), match(t, "/a/{id}")}, dead: 1, by: []int{0},
			example: "GET http://example.com/a/1",
		},
		{
			name: "an expression that takes every segment", rules: []Match{match(t, "/a/{id:.+}"), match(t, "/a/{id}")}, dead: 1, by: []int{0},
			example: "GET http://example.com/a/1",
		},
		{name: "an expression that takes some", rules: []Match{match(t, "/a/{id:[0-9]+}"), match(t, "/a/{id}")}, dead: -1},
		{
			name: "present and absent together", rules: []Match{header("/a", "x", "present", 0), header("/a", "x", "absent", 0), match(t, "/a")},
			dead: 2, by: []int{1, 0}, example: "GET http://example.com/a",
		},
		{
			name: "both schemes", rules: []Match{
				with("/a", func(m *Match) { m.Scheme = "http" }), with("/a", func(m *Match) { m.Scheme = "https" }), match(t, "/a"),
			},
			dead: 2, by: []int{0, 1}, example: "GET http://example.com/a",
		},
		{
			name: "both listeners", rules: []Match{
				with("/a", func(m *Match) { m.Listener = List{"private"} }), with("/a", func(m *Match) { m.Listener, m.Priority = List{"public"}, 1 }), match(t, "/a"),
			},
			dead: 2, by: []int{1, 0}, example: "GET http://example.com/a",
		},
		{
			name:  "halves of the internet",
			rules: []Match{with("/a", func(m *Match) { m.Client = List{"0.0.0.0/0", "::/0"} }), match(t, "/a")}, dead: 1, by: []int{0},
			example: "GET http://example.com/a",
		},
		{name: "one half of the internet", rules: []Match{with("/a", func(m *Match) { m.Client = List{"0.0.0.0/0"} }), match(t, "/a")}, dead: -1},
		{name: "methods leave one out", rules: []Match{match(t, "GET,POST,PUT,PATCH,DELETE,OPTIONS /a"), match(t, "/a")}, dead: -1},
		{
			name: "the wildcard first", rules: []Match{first("*.example/{rest...}"), match(t, "a.example/a")}, dead: 1, by: []int{0},
			example: "GET http://a.example/a",
		},
		{name: "the wildcard leaves the domain", rules: []Match{first("*.example/{rest...}"), match(t, "example/a")}, dead: -1},
		{
			name: "an expression without paths", rules: []Match{match(t, "regex:/a b")}, dead: 0, why: "the path",
		},
		{
			name: "gRPC by GET", rules: []Match{with("GET /a", func(m *Match) { m.Protocol = "grpc" })}, dead: 0, why: "the method",
		},
		{
			name: "a window that is over", rules: []Match{with("/a", func(m *Match) { m.Time.Before = "2020-01-01T00:00:00Z" })}, dead: -1,
		},
		{name: "a window to come hides nothing for good", rules: []Match{
			with("/a", func(m *Match) { m.Time.After, m.Priority = "2999-01-01T00:00:00Z", 1 }), match(t, "/a"),
		}, dead: -1},
		{name: "half of all callers", rules: []Match{with("/a", func(m *Match) { m.Segment = Segment{From: 0, To: 0.5} }), match(t, "/a")}, dead: -1},
	}
}

func TestDeadRoutes(t *testing.T) {
	t.Parallel()
	for _, test := range deadTests(t) {
		tab := table(t, rules(t, test.rules...))
		p := Prover{Listeners: []string{"public", "private"}, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		got := tab.Dead(p)
		if test.dead < 0 {
			if len(got) != 0 {
				t.Errorf("%s: %+v", test.name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Rule != test.dead || !sameSet(got[0].By, test.by) || got[0].Dead != test.why {
			t.Errorf("%s: got %+v", test.name, got)
			continue
		}
		if test.example != "" && (got[0].Example == nil || got[0].Example.String() != test.example) {
			t.Errorf("%s: example %v", test.name, got[0].Example)
		}
	}
}

func sameSet(a, b []int) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x int) bool { return !slices.Contains(b, x) })
}

// TestDeadRoutesGetNoRandomRequest sends random requests: a route that is said to
// be dead must not take any.
func TestDeadRoutesGetNoRandomRequest(t *testing.T) {
	t.Parallel()
	w := world{rand.New(rand.NewPCG(5, 6))}
	r := message.NewRequest()
	dead := 0
	for range 300 {
		matches := make([]Match, 2+w.IntN(30))
		for i := range matches {
			if matches[i] = w.match(); w.chance(6) {
				matches[i] = Match{Path: w.of("", "/a/{rest...}", "/{a}/{b}"), Priority: 1}
			}
		}
		c := build(t, matches)
		is := make(map[int32]Proof)
		for _, proof := range (&Table[int]{core: *c}).Dead(Prover{}) {
			is[int32(proof.Rule)] = proof
			dead++
		}
		for range 150 {
			w.request(r)
			if got, v := c.search(r, 0); v == Found {
				if proof, ok := is[got]; ok {
					t.Fatalf("%s %s%s %v is taken by %+v, which is said to be dead: %+v", r.Method, r.Host, r.Path, r.Header.Fields(), matches[got], proof)
				}
			}
		}
	}
	if dead < 50 {
		t.Errorf("only %d dead routes", dead)
	}
}

func TestProvingManyRoutesIsFast(t *testing.T) {
	tab := table(t, many(10_000))
	began := time.Now()
	if got := tab.Dead(Prover{}); len(got) > 0 {
		t.Errorf("%+v", got[0])
	}
	t.Log(fmt.Sprint(time.Since(began)))
}
