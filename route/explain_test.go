package route

import (
	"slices"
	"strconv"
	"testing"

	"github.com/maru-msa/maru/message"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	w := 3
	list := []Match{
		0: match(t, "api.example.com/auctions/{id}"),
		1: match(t, "*.example.com/{rest...}"),
		2: match(t, "POST /auctions/{id}"),
		3: {Host: List{"api.example.com"}, Path: "/auctions/{id}", Headers: map[string]string{"X-Beta": "1"}},
		4: match(t, "/auctions/{rest...}"),
		5: match(t, "other.example/x"),
		6: {Path: "/w", Weight: &w},
		7: {Path: "/w", Weight: &w},
		8: {Path: "/{rest...}", Priority: -1},
		9: match(t, "/auctions/{id:[a-z]+}"),
	}
	tab := table(t, rules(t, list...))
	tab.draw = func(int64) int64 { return 0 }
	why := func(i int, because string) Rejection { return Rejection{i, because} }
	for _, test := range []struct {
		name    string
		r       *message.Request
		rule    int
		verdict Verdict
		why     []string
		not     []Rejection
	}{
		{
			"the host decides", ask("GET", "api.example.com", "/auctions/7"), 0, Found,
			[]string{"host exact", "prefix 10 bytes", "segments"},
			[]Rejection{
				why(3, "needs header x-beta: 1"), why(1, "less specific host: *.example.com"), why(2, "takes POST, not GET"),
				why(4, "less specific host: any"), why(8, "lower priority: -1, not 0"),
			},
		},
		{
			"a header decides", ask("GET", "api.example.com", "/auctions/7", "X-Beta", "1"), 3, Found,
			[]string{"host exact", "prefix 10 bytes", "segments", "header x-beta: 1"},
			[]Rejection{
				why(0, "less specific headers"), why(1, "less specific host: *.example.com"), why(2, "takes POST, not GET"),
				why(4, "less specific host: any"), why(8, "lower priority: -1, not 0"),
			},
		},
		{
			"the prefix decides", ask("GET", "x", "/auctions/7/bids"), 4, Found,
			[]string{"prefix 9 bytes", "rest"},
			[]Rejection{why(8, "lower priority: -1, not 0")},
		},
		{
			"an expression decides", ask("POST", "x", "/auctions/abc"), 9, Found,
			[]string{"prefix 10 bytes", "segments"},
			[]Rejection{why(2, "fewer parameters with an expression"), why(4, "shorter prefix"), why(8, "lower priority: -1, not 0")},
		},
		{
			"a weight decides", ask("GET", "x", "/w"), 6, Found,
			[]string{"path exact", "weight 3 of 6"},
			[]Rejection{why(8, "lower priority: -1, not 0")},
		},
		{
			"the path can be read otherwise", ask("GET", "x", "/auctions%2F7"), -1, Ambiguous, nil,
			[]Rejection{why(8, "read by slash the path is /auctions/7, which r4 takes")},
		},
	} {
		d, err := Canonical(test.r)
		if err != nil {
			t.Fatal(err)
		}
		got := tab.Explain(test.r, d)
		if got.Rule != test.rule || got.Verdict != test.verdict || !slices.Equal(got.Why, test.why) || !slices.Equal(got.Not, test.not) {
			t.Errorf("%s: got\n%+v, want\n%+v", test.name, got, test)
		}
	}
}

// ask makes a request with header fields in pairs.
func ask(method, host, path string, fields ...string) *message.Request {
	r := requestOf(path, fields...)
	r.Method, r.Host = method, host
	return r
}

func TestExplainNamesWhatIsNear(t *testing.T) {
	t.Parallel()
	tab := table(t, rules(t, match(t, "GET a.example/members/{id}"), match(t, "b.example/members/list"), match(t, "b.example/x"), match(t, "PUT a.example/p")))
	got := tab.Explain(ask("GET", "b.example", "/members/7"), 0)
	want := []Rejection{{0, "its host is a.example"}, {1, "its path is /members/list"}}
	if got.Verdict != NotFound || got.Rule != -1 || !slices.Equal(got.Not, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = tab.Explain(ask("POST", "a.example", "/p"), 0)
	if got.Verdict != MethodNotAllowed || !slices.Equal(got.Not, []Rejection{{3, "takes PUT, not POST"}}) {
		t.Errorf("got %+v", got)
	}
}

func TestExplainTellsWhereAReadingLeads(t *testing.T) {
	t.Parallel()
	list := rules(t, match(t, "/{rest...}"), match(t, "/a/admin"), match(t, "/strict/{rest...}"), match(t, "/only/{id}"))
	list[2].Encoded = Refuse
	tab := table(t, list)
	for path, want := range map[string]string{
		"/a%2Fadmin":    "read by slash the path is /a/admin, which r1 takes",
		"/a%2F%2Fadmin": "read by slash, backslash, params, empty, twice, query, fragment the path is /a/admin, which r1 takes",
		"/x%2F..%2F..":  "read by slash the path leads above the root",
		"/strict/a%2Fb": "takes no path that can be read in other ways: slash",
		"/only/a%2Fb":   "read by slash the path is /only/a/b, which r0 takes",
	} {
		r := ask("GET", "x", path)
		d, err := Canonical(r)
		if err != nil {
			t.Fatal(err)
		}
		got := tab.Explain(r, d)
		if got.Verdict != Ambiguous || len(got.Not) == 0 || !slices.ContainsFunc(got.Not, func(n Rejection) bool { return n.Because == want }) {
			t.Errorf("%s: got %+v, want %s", path, got, want)
		}
	}
}

func TestExplainIsBounded(t *testing.T) {
	t.Parallel()
	var list []Match
	for i := range 100 {
		list = append(list, Match{Path: "/a", Headers: map[string]string{"X": strconv.Itoa(i)}})
	}
	tab := table(t, rules(t, list...))
	if got := tab.Explain(ask("GET", "x", "/a"), 0); len(got.Not) != maxRejections {
		t.Errorf("%d rejections", len(got.Not))
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	w := 1
	tab := table(t, rules(t, match(t, "/{rest...}"), match(t, "/a/{id}"), match(t, "a.example/b"), Match{Path: "/a/b", Weight: &w}, Match{Path: "/a/b", Weight: &w},
		Match{Path: "/{rest...}", Priority: 1, Methods: List{"GET"}}))
	if got := tab.Order(); !slices.Equal(got, []int{5, 2, 3, 4, 1, 0}) {
		t.Errorf("got %v", got)
	}
	if got := tab.Members(4); !slices.Equal(got, []int{3, 4}) {
		t.Errorf("got %v", got)
	}
	if got := tab.Members(1); got != nil {
		t.Errorf("got %v", got)
	}
}
