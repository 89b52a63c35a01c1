package route

import (
	"net/netip"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

func requestOf(path string, fields ...string) *message.Request {
	r := message.NewRequest()
	r.Method, r.Path, r.Scheme, r.Host = "GET", path, "http", "example.com"
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Append(message.Field{Name: fields[i], Value: fields[i+1], ID: message.NameID(fields[i])})
	}
	return r
}

func TestPredicates(t *testing.T) {
	t.Parallel()
	headers := func(name, value string) Match { return Match{Headers: map[string]string{name: value}} }
	query := func(name, value string) Match { return Match{Query: map[string]string{name: value}} }
	cookies := func(name, value string) Match { return Match{Cookies: map[string]string{name: value}} }
	with := func(change func(*message.Request), fields ...string) *message.Request {
		r := requestOf("/", fields...)
		change(r)
		return r
	}
	q := func(query string) *message.Request {
		return with(func(r *message.Request) { r.Query, r.HasQuery = query, true })
	}
	client := func(a string) *message.Request {
		return with(func(r *message.Request) { r.X.Client = netip.MustParseAddr(a) })
	}
	for _, test := range []struct {
		match Match
		r     *message.Request
		want  bool
	}{
		{headers("X-A", "1"), requestOf("/", "x-a", "1"), true},
		{headers("X-A", "1"), requestOf("/", "x-a", "2", "X-A", "1"), true},
		{headers("X-A", "1"), requestOf("/", "x-a", "11"), false},
		{headers("X-A", "1"), requestOf("/"), false},
		{headers("Accept", "text/html"), requestOf("/", "ACCEPT", "text/html"), true},
		{headers("Accept", "text/html"), requestOf("/", "Accept", "text/plain"), false},
		{headers("X-A", "regex:[0-9]+"), requestOf("/", "X-A", "12"), true},
		{headers("X-A", "regex:[0-9]+"), requestOf("/", "X-A", "a12"), false},
		{headers("X-A", "present"), requestOf("/", "X-A", ""), true},
		{headers("X-A", "present"), requestOf("/"), false},
		{headers("X-A", "absent"), requestOf("/", "X-A", ""), false},
		{headers("X-A", "absent"), requestOf("/", "X-B", ""), true},
		{headers("Accept", "absent"), requestOf("/"), true},
		{headers("X-A", "exact:present"), requestOf("/", "X-A", "present"), true},
		{headers("X-A", "exact:present"), requestOf("/", "X-A", "1"), false},
		{query("q", "a b"), q("q=a+b"), true},
		{query("q", "a b"), q("q=a%20b"), true},
		{query("q", "a b"), q("x=1&q=z&q=a%20b"), true},
		{query("q", "a"), q("q=ab"), false},
		{query("q", "ab"), q("q=a"), false},
		{query("q", ""), q("q"), true},
		{query("q", ""), q("q="), true},
		{query("Q", "1"), q("q=1"), false},
		{query("a b", "1"), q("a%20b=1"), true},
		{query("q", "%zz"), q("q=%zz"), true},
		{query("q", "regex:a b"), q("q=a%20b"), true},
		{query("q", "present"), q("q=x"), true},
		{query("q", "present"), q("qq=x"), false},
		{query("q", "absent"), q(""), true},
		{query("q", "absent"), q("q"), false},
		{cookies("c", "1"), requestOf("/", "Cookie", "a=2; c=1"), true},
		{cookies("c", "1"), requestOf("/", "Cookie", "a=2", "Cookie", "c=1"), true},
		{cookies("c", "1"), requestOf("/", "Cookie", "c=2; c=1"), true},
		{cookies("c", "1"), requestOf("/", "Cookie", "C=1"), false},
		{cookies("c", "1"), requestOf("/", "Cookie", "xc=1"), false},
		{cookies("c", "a=b"), requestOf("/", "Cookie", "c=a=b"), true},
		{cookies("c", "present"), requestOf("/", "Cookie", "c"), true},
		{cookies("c", "absent"), requestOf("/", "Cookie", "d=1"), true},
		{cookies("c", "absent"), requestOf("/"), true},
		{Match{Client: List{"10.0.0.0/8", "::1"}}, client("10.2.3.4"), true},
		{Match{Client: List{"10.0.0.0/8", "::1"}}, client("::ffff:10.2.3.4"), true},
		{Match{Client: List{"10.0.0.0/8", "::1"}}, client("::1"), true},
		{Match{Client: List{"10.0.0.0/8", "::1"}}, client("11.0.0.1"), false},
		{Match{Scheme: "http"}, requestOf("/"), true},
		{Match{Scheme: "https"}, requestOf("/"), false},
		{Match{Listener: List{"a", "b"}}, with(func(r *message.Request) { r.X.Listener = "b" }), true},
		{Match{Listener: List{"a", "b"}}, with(func(r *message.Request) { r.X.Listener = "c" }), false},
		{Match{Protocol: "grpc"}, with(func(r *message.Request) { r.Method = "POST" }, "Content-Type", "application/grpc+proto"), true},
		{Match{Protocol: "grpc"}, with(func(r *message.Request) { r.Method = "POST" }, "Content-Type", "application/grpc"), true},
		{Match{Protocol: "grpc"}, with(func(r *message.Request) { r.Method = "POST" }, "Content-Type", "application/grpc-web"), false},
		{Match{Protocol: "grpc"}, requestOf("/", "Content-Type", "application/grpc"), false},
		{Match{Protocol: "websocket"}, with(func(r *message.Request) { r.Upgrade = "WebSocket" }), true},
		{Match{Protocol: "websocket"}, requestOf("/"), false},
	} {
		tab := table(t, []Rule[int]{{Match: test.match}})
		if _, got := tab.Find(test.r, 0); (got == Found) != test.want {
			t.Errorf("%+v, %s ?%s %v: got %v", test.match, test.r.Method, test.r.Query, test.r.Header.Fields(), got)
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tab := table(t, []Rule[int]{
		{Match: Match{Path: "/a", Time: Window{After: "2026-12-24T18:00:00+09:00", Before: "2026-12-25T00:00:00+09:00"}}, Value: 0},
		{Match: Match{Path: "/b", Time: Window{Between: List{"2026-12-24T18:00:00+09:00", "2026-12-25T00:00:00+09:00"}}}, Value: 1},
	})
	for s, want := range map[string]Verdict{
		"2026-12-24T17:59:59+09:00": NotFound,
		"2026-12-24T18:00:00+09:00": Found,
		"2026-12-24T14:59:59Z":      Found,
		"2026-12-24T15:00:00Z":      NotFound,
	} {
		for _, path := range []string{"/a", "/b"} {
			r := requestOf(path)
			r.X.Began = at(s)
			if _, got := tab.Find(r, 0); got != want {
				t.Errorf("%s at %s: got %v, want %v", path, s, got, want)
			}
		}
	}
}

func TestSegmentIsStableAndFair(t *testing.T) {
	t.Parallel()
	tab := table(t, []Rule[int]{
		{Match: Match{Path: "/a"}, Value: 0},
		{Match: Match{Path: "/a", Segment: Segment{By: "header X-User", From: 0.2, To: 0.3}}, Value: 1},
	})
	const callers = 20_000
	inside := 0
	for i := range callers {
		name := "user-" + time.Unix(int64(i), 0).UTC().Format(time.RFC3339)
		first, _ := tab.Find(requestOf("/a", "x-user", name), 0)
		again, _ := tab.Find(requestOf("/a", "x-user", name), 0)
		if first != again {
			t.Fatalf("%s changes sides", name)
		}
		inside += first
	}
	if share := float64(inside) / callers; share < 0.09 || share > 0.11 {
		t.Errorf("%v of the callers, want 0.1", share)
	}
	r := requestOf("/a")
	r.X.Client = netip.MustParseAddr("192.0.2.1")
	one, _ := tab.Find(r, 0)
	for range 100 {
		if got, _ := tab.Find(r, 0); got != one {
			t.Fatal("a caller without the header changes sides")
		}
	}
}

func TestWeights(t *testing.T) {
	t.Parallel()
	w := func(n int) *int { return &n }
	tab := table(t, []Rule[int]{
		{Match: Match{Path: "/a/{id}", Weight: w(70)}, Value: 0},
		{Match: Match{Path: "/a/{id}", Weight: w(30)}, Value: 1},
		{Match: Match{Path: "/a/{id}", Weight: w(0)}, Value: 2},
		{Match: Match{Path: "/b", Weight: w(0)}, Value: 3},
	})
	counts := [4]int{}
	tab.draw = func(n int64) int64 { counts[3]++; return int64(counts[3]-1) % n }
	for range 100 {
		got, v := tab.Find(requestOf("/a/7"), 0)
		if v != Found {
			t.Fatal(v)
		}
		counts[got]++
	}
	if counts[0] != 70 || counts[1] != 30 || counts[2] != 0 {
		t.Errorf("got %v", counts)
	}
	if _, v := tab.Find(requestOf("/b"), 0); v != NotFound {
		t.Errorf("a route whose weight is 0: %v", v)
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	tab := table(t, []Rule[int]{
		{Match: Match{Path: "/m/{id}/x/{n:[0-9]+}"}}, {Match: Match{Path: "/r/{rest...}"}}, {Match: Match{Path: "regex:/g/(?P<year>[0-9]+)/(?:a|b)/?(?P<tail>.*)"}},
	})
	for path, want := range map[string][]message.Param{
		"/m/a%20b/x/12": {{Name: "id", Value: "a%20b"}, {Name: "n", Value: "12"}},
		"/r":            {{Name: "rest", Value: ""}},
		"/r/":           {{Name: "rest", Value: ""}},
		"/r/a/b":        {{Name: "rest", Value: "a/b"}},
		"/g/2026/a/x/y": {{Name: "year", Value: "2026"}, {Name: "tail", Value: "x/y"}},
	} {
		r := requestOf(path)
		if _, v := tab.Find(r, 0); v != Found {
			t.Errorf("%s: %v", path, v)
			continue
		}
		got := r.X.Params()
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Errorf("%s: got %v, want %v", path, got, want)
				break
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	tab := table(t, []Rule[int]{
		{Match: match(t, "GET,PURGE /a"), Value: 0},
		{Match: match(t, "POST /a"), Value: 1},
		{Match: match(t, "/any"), Value: 2},
		{Match: match(t, "OPTIONS /own"), Value: 3},
		{Match: match(t, "GET /own"), Value: 4},
	})
	preflight := func(path, method string) *message.Request {
		r := requestOf(path, "Origin", "http://x", "Access-Control-Request-Method", method)
		r.Method = "OPTIONS"
		return r
	}
	plain := func(path, method string) *message.Request {
		r := requestOf(path)
		r.Method = method
		return r
	}
	for _, test := range []struct {
		r       *message.Request
		want    int
		verdict Verdict
		allow   string
	}{
		{plain("/a", "GET"), 0, Found, ""},
		{plain("/a", "HEAD"), 0, Found, ""},
		{plain("/a", "PURGE"), 0, Found, ""},
		{plain("/a", "POST"), 1, Found, ""},
		{plain("/a", "PUT"), 0, MethodNotAllowed, "GET, HEAD, POST, OPTIONS, PURGE"},
		{plain("/a", "OPTIONS"), 0, Options, "GET, HEAD, POST, OPTIONS, PURGE"},
		{plain("/any", "OPTIONS"), 2, Found, ""},
		{plain("/any", "WHATEVER"), 2, Found, ""},
		{preflight("/a", "POST"), 1, Found, ""},
		{preflight("/a", "HEAD"), 0, Found, ""},
		{preflight("/a", "DELETE"), 0, Options, "GET, HEAD, POST, OPTIONS, PURGE"},
		{preflight("/own", "GET"), 4, Found, ""},
		{preflight("/own", "PUT"), 3, Found, ""},
		{plain("/none", "GET"), 0, NotFound, ""},
	} {
		got, v := tab.Find(test.r, 0)
		if got != test.want || v != test.verdict {
			t.Errorf("%s %s: got %d %v, want %d %v", test.r.Method, test.r.Path, got, v, test.want, test.verdict)
		}
		if test.allow != "" && tab.Allow(test.r) != test.allow {
			t.Errorf("%s %s: Allow %q", test.r.Method, test.r.Path, tab.Allow(test.r))
		}
	}
}
