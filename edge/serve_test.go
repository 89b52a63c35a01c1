package edge_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/upstream"
)

// blows is a filter with a bug.
type blows struct{}

func (blows) Filter(filter.Env) (filter.Filter, error) {
	return func(filter.Func) filter.Func {
		return func(*message.Request) (*message.Response, error) { panic("a bug") }
	}, nil
}

// deadAddress is an address where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

// estate is a gateway with a route for each way to fail.
func estate(t *testing.T) (*edgetest.Gateway, *edgetest.Service) {
	t.Helper()
	s := edgetest.NewService(t, func(request string) string {
		switch target, _, _ := strings.Cut(request[strings.IndexByte(request, ' ')+1:], " "); target {
		case "/reset":
			return ""
		case "/rubbish":
			return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"
		}
		return edgetest.OK
	})
	silent := edgetest.NewSilent(t)
	short, sixteen := 50*time.Millisecond, message.Size(16)
	service := func(url string) edge.ServiceConfig {
		return edge.ServiceConfig{Config: upstream.Config{URL: url}}
	}
	empty := upstream.Config{File: emptyFile(t)}
	cfg := edge.Config{
		Listen: map[string]edge.ListenerConfig{"public": {
			Address: "127.0.0.1:0", Limits: http1.Limits{Body: &sixteen, RequestLine: 256, HeaderBytes: 1024},
		}},
		Services: map[string]edge.ServiceConfig{
			"good": service(s.URL()), "dead": service(deadAddress(t)), "silent": service(silent.URL()), "empty": {Config: empty},
		},
		Routes: []edge.RouteConfig{
			{Name: "good", Match: edgetest.Match(t, "/good"), To: "good"},
			{Name: "get", Match: edgetest.Match(t, "GET /get"), To: "good"},
			{Name: "reset", Match: edgetest.Match(t, "/reset"), To: "good"},
			{Name: "rubbish", Match: edgetest.Match(t, "/rubbish"), To: "good"},
			{Name: "dead", Match: edgetest.Match(t, "/dead"), To: "dead"},
			{Name: "slow", Match: edgetest.Match(t, "/slow"), To: "silent", Timeout: &short},
			{Name: "empty", Match: edgetest.Match(t, "/empty"), To: "empty"},
			{Name: "bug", Match: edgetest.Match(t, "/bug"), To: "good", Filters: []filter.Named{{Word: "blows", Config: blows{}}}},
			{Name: "encoded", Match: edgetest.Match(t, "/encoded/{rest...}"), To: "good"},
		},
	}
	return edgetest.Start(t, cfg), s
}

// TestErrorTable is the table of gateway §17, by bytes.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, request  string
		status         int
		reason, route  string
		fields         map[string]string
		closes, refuse bool // refuse: it never became a request
	}{
		{name: "malformed", request: "GET  / HTTP/1.1\nHost: h\n\n", status: 400, reason: "request_line", closes: true, refuse: true},
		{name: "bad Host", request: "GET / HTTP/1.1\nHost: a,b\n\n", status: 400, reason: "host_syntax", closes: true, refuse: true},
		{name: "path above root", request: "GET /../x HTTP/1.1\nHost: h\n\n", status: 400, reason: "path_above_root"},
		{name: "ambiguous path", request: "GET /encoded/..%2fgood HTTP/1.1\nHost: h\n\n", status: 400, reason: "path_ambiguous"},
		{name: "Connection nominates trust", request: "GET /good HTTP/1.1\nHost: h\nConnection: x-forwarded-FOR\n\n", status: 400, reason: "connection_protected"},
		{name: "Connection nominates identity", request: "GET /good HTTP/1.1\nHost: h\nConnection: close, Txn-Token\n\n", status: 400, reason: "connection_protected", closes: true},
		{name: "Connection is no list of tokens", request: "GET /good HTTP/1.1\nHost: h\nConnection: a b\n\n", status: 400, reason: "connection_syntax"},
		{name: "no route", request: "GET /nowhere HTTP/1.1\nHost: h\n\n", status: 404, reason: "no_route"},
		{name: "method not allowed", request: "POST /get HTTP/1.1\nHost: h\nContent-Length: 0\n\n", status: 405, reason: "method_not_allowed", fields: map[string]string{"Allow": "GET, HEAD, OPTIONS"}},
		{name: "TRACE", request: "TRACE /good HTTP/1.1\nHost: h\n\n", status: 405, reason: "method_not_allowed", closes: true, refuse: true, fields: map[string]string{"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}},
		{name: "body too large, announced", request: "POST /good HTTP/1.1\nHost: h\nContent-Length: 17\n\n12345678901234567", status: 413, reason: "body_too_large", closes: true, refuse: true},
		{name: "target too long", request: "GET /" + strings.Repeat("a", 300) + " HTTP/1.1\nHost: h\n\n", status: 414, reason: "target_too_long", closes: true, refuse: true},
		{name: "head too large", request: "GET /good HTTP/1.1\nHost: h\nA: " + strings.Repeat("a", 1100) + "\n\n", status: 431, reason: "head_too_large", closes: true, refuse: true},
		{name: "expectation", request: "POST /good HTTP/1.1\nHost: h\nExpect: more\nContent-Length: 1\n\na", status: 417, reason: "expectation", closes: true, refuse: true},
		{name: "no endpoint", request: "GET /empty HTTP/1.1\nHost: h\n\n", status: 503, reason: "no_endpoint", route: "empty"},
		{name: "connect refused", request: "GET /dead HTTP/1.1\nHost: h\n\n", status: 502, reason: "connect_failed", route: "dead"},
		{name: "reset by the service", request: "POST /reset HTTP/1.1\nHost: h\nContent-Length: 0\n\n", status: 502, reason: "reset", route: "reset"},
		{name: "bad response", request: "GET /rubbish HTTP/1.1\nHost: h\n\n", status: 502, reason: "cl_many", route: "rubbish"},
		{name: "exchange time-out", request: "GET /slow HTTP/1.1\nHost: h\n\n", status: 504, reason: "exchange_timeout", route: "slow"},
		{name: "loop", request: "GET /good HTTP/1.1\nHost: h\nVia: " + strings.Repeat("1.1 maru, ", 10) + "2.0 maru (x)\n\n", status: 508, reason: "loop"},
		{name: "panic", request: "GET /bug HTTP/1.1\nHost: h\n\n", status: 500, reason: "panic", route: "bug", closes: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g, s := estate(t)
			a := g.Say("public", row.request)
			if a.Status != row.status {
				t.Fatalf("status %d, want %d: %s", a.Status, row.status, a.Body)
			}
			checkProblem(t, a, row.reason)
			for name, want := range row.fields {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if closes := a.Header.Get("Connection") == "close"; closes != row.closes {
				t.Errorf("Connection: %q", a.Header.Get("Connection"))
			}
			switch row.route {
			case "reset", "rubbish":
			default:
				if n := len(s.Requests()); n > 0 {
					t.Errorf("the service was called %d times", n)
				}
			}
			counted(t, g, row.status, row.reason, row.route, row.refuse)
		})
	}
}

// checkProblem tells whether an answer is a problem document as it must be.
func checkProblem(t *testing.T, a *edgetest.Answer, reason string) {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	var p struct {
		Type, Title, Detail, Instance, Reason string
		TraceID                               string `json:"trace_id"`
		Status                                int
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("%v: %q", err, a.Body)
	}
	if p.Reason != reason || p.Status != a.Status || p.Title == "" || len(p.TraceID) != 32 ||
		p.Type != "urn:maru:problem:"+strings.ReplaceAll(reason, "_", "-") {
		t.Errorf("problem %+v, want reason %s", p, reason)
	}
	for _, secret := range []string{"127.0.0.1", "goroutine", ".go:", "dial"} {
		if strings.Contains(a.Body, secret) {
			t.Errorf("%q is told to the client: %s", secret, a.Body)
		}
	}
}

// counted tells whether a failure was counted by its reason, once.
func counted(t *testing.T, g *edgetest.Gateway, status int, reason, route string, refused bool) {
	t.Helper()
	if refused {
		g.AwaitRefused("public "+reason, 1)
		if n := len(g.Refused()); n != 1 {
			t.Errorf("refused %d times: %q", n, g.Refused())
		}
		if n := strings.Count(g.Log(), "reason="+reason); n != 1 {
			t.Errorf("logged %d times:\n%s", n, g.Log())
		}
		return
	}
	done := g.Done(1)
	e := done[0]
	if len(done) != 1 || e.Status != status || e.Reason != reason || e.Trace == [16]byte{} || route != "" && e.Route != route {
		t.Errorf("exchanges %+v, want one with %d %s on route %q", done, status, reason, route)
	}
	if lines := strings.Count(g.Log(), "\n"); reason == "panic" && lines != 1 || reason != "panic" && strings.Contains(g.Log(), reason) {
		t.Errorf("the log beside the access log:\n%s", g.Log())
	}
}

func TestErrorPageByAccept(t *testing.T) {
	t.Parallel()
	g, _ := estate(t)
	a := g.Say("public", "GET /nowhere HTTP/1.1\nHost: h\nAccept: text/html,application/xhtml+xml\n\n")
	if a.Status != 404 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || !strings.Contains(a.Body, "<h1>404") {
		t.Errorf("%+v", a)
	}
	h := g.Say("public", "HEAD /nowhere HTTP/1.1\nHost: h\n\n")
	if h.Status != 404 || h.Body != "" || h.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %+v", h)
	}
}

// TestBodyTooLargeUnannounced: the limit is met while the body flows.
func TestBodyTooLargeUnannounced(t *testing.T) {
	t.Parallel()
	g, s := estate(t)
	a := g.Say("public", "POST /good HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n11\n12345678901234567\n0\n\n")
	if a.Status != 413 {
		t.Fatalf("%+v", a)
	}
	checkProblem(t, a, "body_too_large")
	for _, r := range s.Requests() {
		t.Errorf("the service got a whole request: %q", r)
	}
}

func TestClientGoneIsForTheLogOnly(t *testing.T) {
	t.Parallel()
	for name, tls := range map[string]*edge.TLSConfig{"plain": nil, "TLS": {Development: true}} {
		silent := edgetest.NewSilent(t)
		g := edgetest.Start(t, edgetest.Config(t, silent.URL(), edge.ListenerConfig{TLS: tls}))
		c := g.Dial("public")
		if tls != nil {
			c = overTLS(c)
		}
		if _, err := c.Write([]byte("GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if e := g.Done(1)[0]; e.Status != 499 || e.Reason != "client_gone" || e.Route != "all" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	g, s := estate(t)
	rows := []struct {
		request string
		status  int
		allow   string
		called  bool
		hops    string // Max-Forwards that the service sees
	}{
		{"OPTIONS * HTTP/1.1\nHost: h\n\n", 200, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", false, ""},
		{"OPTIONS /get HTTP/1.1\nHost: h\n\n", 204, "GET, HEAD, OPTIONS", false, ""},
		{"OPTIONS /good HTTP/1.1\nHost: h\n\n", 200, "", true, ""},
		{"OPTIONS /good HTTP/1.1\nHost: h\nMax-Forwards: 0\n\n", 200, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", false, ""},
		{"OPTIONS /good HTTP/1.1\nHost: h\nMax-Forwards: 3\n\n", 200, "", true, "2"},
		{"GET /good HTTP/1.1\nHost: h\nMax-Forwards: 0\n\n", 200, "", true, "0"},
	}
	for _, row := range rows {
		before := len(s.Requests())
		a := g.Say("public", row.request)
		called := len(s.Requests()) > before
		if a.Status != row.status || a.Header.Get("Allow") != row.allow || called != row.called {
			t.Errorf("%q: %d, Allow %q, called %t", row.request, a.Status, a.Header.Get("Allow"), called)
		}
		if hops := edgetest.Field(s.Last(), "Max-Forwards"); row.hops != "" && fmt.Sprint(hops) != "["+row.hops+"]" {
			t.Errorf("%q: Max-Forwards %q", row.request, hops)
		}
	}
}

// TestOrderOfARequest is http1 §9.1: what a client nominates for removal is gone
// before maru's own fields are added, and never takes them along.
func TestOrderOfARequest(t *testing.T) {
	t.Parallel()
	got := through(t, edge.ListenerConfig{}, "GET /x HTTP/1.1\nHost: h\nConnection: close, X-Mine, X-B3-TraceId\nX-Mine: 1\nKeep-Alive: 5\nProxy-Connection: close\n"+
		"Proxy-Authorization: x\nTE: trailers, deflate\nUpgrade: h2c\nHTTP2-Settings: x\nX-Stays: 2\n\n")
	want{
		"X-Mine": nil, "Keep-Alive": nil, "Proxy-Connection": nil, "Proxy-Authorization": nil, "TE": {"trailers"}, "Upgrade": nil,
		"HTTP2-Settings": nil, "Connection": {"TE"}, "X-Stays": {"2"}, "Via": {"1.1 maru"}, "X-Forwarded-For": {"127.0.0.1"},
	}.check(t, got)
}

func TestUnderscoresRefused(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{Underscores: "refuse"}))
	a := g.Say("public", "GET / HTTP/1.1\nHost: h\nA_b: 1\n\n")
	if a.Status != 400 || len(s.Requests()) > 0 {
		t.Errorf("%+v", a)
	}
	checkProblem(t, a, "underscore")
	g.Say("public", "GET / HTTP/1.1\nHost: h\nX_Real_IP: 1\n\n")
	g.AwaitCount("trust public lookalike", 1)
}

// TestTrailersCarryNoClaims: who a request is from is never said behind its body.
func TestTrailersCarryNoClaims(t *testing.T) {
	t.Parallel()
	got := through(t, trusted("127.0.0.1"), "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nTE: trailers\n\n"+
		"2\nhi\n0\nX-Identity-User: root\nX_Forwarded_For: 1\nClient-Cert: :A:\nX-Checksum: 7\n\n")
	_, rest, _ := strings.Cut(got, "\r\n\r\n")
	if rest != "hiX-Checksum: 7\r\n" {
		t.Errorf("body and trailers %q", rest)
	}
}

// emptyFile is an endpoint file without endpoints.
func emptyFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "endpoints.json")
	if err := os.WriteFile(name, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// bursts is a filter with a bug in the body that it puts around the service's.
type bursts struct{}

func (bursts) Filter(filter.Env) (filter.Filter, error) {
	return func(next filter.Func) filter.Func {
		return func(r *message.Request) (*message.Response, error) {
			p, err := next(r)
			if err == nil {
				p.Body, p.Length = &burstingBody{Body: p.Body}, message.Unknown
			}
			return p, err
		}
	}, nil
}

// burstingBody panics at its second read.
type burstingBody struct {
	message.Body

	reads int
}

func (b *burstingBody) Read(p []byte) (int, error) {
	if b.reads++; b.reads > 1 {
		panic("a bug in a body")
	}
	return copy(p, "begin"), nil
}

// TestPanicInABody: the exchange is cut, never ended as if it were whole; the
// process and the other exchanges go on.
func TestPanicInABody(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	cfg := edgetest.Config(t, s.URL(), edge.ListenerConfig{H2C: true})
	cfg.Routes = append(cfg.Routes, edge.RouteConfig{
		Name: "bug", Match: edgetest.Match(t, "/bug"), To: "service", Filters: []filter.Named{{Word: "bursts", Config: bursts{}}},
	})
	g := edgetest.Start(t, cfg)
	c := g.Dial("public")
	if _, err := c.Write([]byte("GET /bug HTTP/1.1\r\nHost: h\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if all, _ := io.ReadAll(c); strings.HasSuffix(string(all), "0\r\n\r\n") {
		t.Errorf("HTTP/1.1: the answer looks whole: %q", all)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	h2 := &http.Transport{Protocols: &protocols}
	defer h2.CloseIdleConnections()
	for _, path := range []string{"/bug", "/good"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.Addr("public")+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		p, err := h2.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(p.Body)
		_ = p.Body.Close()
		if bad := path == "/bug"; bad != (err != nil) {
			t.Errorf("HTTP/2 %s: %v", path, err)
		}
	}
	if n := strings.Count(g.Log(), "level=ERROR"); n != 2 {
		t.Errorf("%d panics were logged, not 2:\n%s", n, g.Log())
	}
}
