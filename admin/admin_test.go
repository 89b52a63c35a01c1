package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// bench is an API over a live edge with one route and one service.
type bench struct {
	api   API
	url   string
	asked []string // what was asked of the process
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	server := &edge.Server{}
	status := &Status{}
	rt, err := edge.Build(edge.Config{
		Services: map[string]edge.ServiceConfig{"reward": {Config: upstream.Config{URL: "http://127.0.0.1:1"}}},
		Routes: []edge.RouteConfig{{
			Name: "rewards", Match: matching(t, "GET /rewards/{id}"), To: "reward",
			Filters: []filter.Named{{Word: "cache", Config: new(filter.Cache)}},
		}},
	}, edge.Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Swap(rt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Drain(t.Context()); err != nil {
			t.Logf("drain: %v", err)
		}
	})
	status.Loaded(Reload{At: time.Now(), By: "start", Version: rt.Version, Hash: "abc"})
	b.api = API{
		Server: server, Status: status, Recorder: new(telemetry.Recorder), Version: "v1.2.3",
		Check: func(text io.Reader) []diag.Finding {
			body, _ := io.ReadAll(text)
			return []diag.Finding{{Code: "value", Text: string(body)}}
		},
		Place: func(path string) diag.Position { return diag.Position{File: path} },
		Drain: func() { b.asked = append(b.asked, "drain") },
	}
	b.serve(t)
	return b
}

func matching(t *testing.T, text string) route.Match {
	t.Helper()
	var m route.Match
	if err := m.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

func (b *bench) serve(t *testing.T) {
	t.Helper()
	s := httptest.NewServer(b.api.Handler())
	t.Cleanup(s.Close)
	b.url = s.URL
}

// call makes a request; fields are "Name: value".
func (b *bench) call(t *testing.T, method, path, body string, fields ...string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(out)
}

func TestGuard(t *testing.T) {
	t.Parallel()
	open := newBench(t)
	closed := newBench(t)
	closed.api.Token = func() string { return "s3cret" }
	closed.api.Console = http.NotFoundHandler()
	closed.serve(t)
	for _, tt := range []struct {
		name   string
		b      *bench
		method string
		path   string
		fields []string
		want   int
	}{
		{"plain", open, "GET", "/healthz", nil, 200},
		{"localhost", open, "GET", "/healthz", []string{"Host: localhost:7070"}, 200},
		{"IPv6 loopback", open, "GET", "/healthz", []string{"Host: [::1]:7070"}, 200},
		{"DNS rebinding", open, "GET", "/v1/config", []string{"Host: evil.example"}, 403},
		{"DNS rebinding with a loopback-like name", open, "GET", "/v1/config", []string{"Host: 127.0.0.1.evil.example"}, 403},
		{"GET does not change anything", open, "GET", "/v1/drain", nil, 405},
		{"cross-site by Origin", open, "POST", "/v1/drain", []string{"Origin: http://evil.example"}, 403},
		{"cross-site by Sec-Fetch-Site", open, "POST", "/v1/drain", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"same site only is not same origin", open, "POST", "/v1/drain", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"no token", closed, "GET", "/metrics", nil, 401},
		{"wrong token", closed, "GET", "/metrics", []string{"Authorization: Bearer s3cre"}, 401},
		{"wrong scheme", closed, "GET", "/metrics", []string{"Authorization: Basic s3cret"}, 401},
		{"token", closed, "GET", "/metrics", []string{"Authorization: bearer s3cret"}, 200},
		{"token under any name", closed, "GET", "/healthz", []string{"Authorization: Bearer s3cret", "Host: gateway.example"}, 200},
		{"a page needs no token", closed, "GET", "/console/services/a", nil, 404},
		{"what is beside the pages does", closed, "GET", "/consoles/", nil, 401},
		{"nor does a way out of them lead on", closed, "GET", "/console/../v1/config", nil, 401},
		{"pages are only read", closed, "POST", "/console/", nil, 401},
		{"token, cross-site", closed, "POST", "/v1/drain", []string{"Authorization: Bearer s3cret", "Sec-Fetch-Site: cross-site"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, text := tt.b.call(t, tt.method, tt.path, "", tt.fields...); got != tt.want {
				t.Errorf("%s %s %q: %d, want %d\n%s", tt.method, tt.path, tt.fields, got, tt.want, text)
			}
		})
	}
}

func TestGuardRefusesRemotePeers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for remote, want := range map[string]int{"127.0.0.1:5": 200, "[::1]:5": 200, "192.0.2.1:5": 403, "": 403} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/healthz", http.NoBody)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		b.api.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("peer %q: %d, want %d", remote, w.Code, want)
		}
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got, _ := b.call(t, "POST", "/v1/config/reload", ""); got != 501 {
		t.Errorf("without a file: %d, want 501", got)
	}
	next := Reload{By: "api", At: time.Now(), Version: 2, Hash: "def"}
	b.api.Reload = func(by string) Reload {
		b.asked = append(b.asked, "reload "+by)
		b.api.Status.Loaded(next)
		return next
	}
	b.serve(t)
	if got, text := b.call(t, "POST", "/v1/config/reload", ""); got != 200 || !strings.Contains(text, `"version": 2`) {
		t.Errorf("reload: %d %s", got, text)
	}
	next = Reload{By: "api", At: time.Now(), Hash: "bad", Findings: []diag.Finding{{Code: "unknown-key", Text: "unknown key"}}}
	if got, text := b.call(t, "POST", "/v1/config/reload", ""); got != 409 || !strings.Contains(text, "unknown-key") {
		t.Errorf("refused reload: %d %s", got, text)
	}
	_, text := b.call(t, "GET", "/v1/config", "")
	var cfg liveConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.Version != 2 || cfg.Hash != "def" || cfg.LastError == nil || cfg.LastError.Hash != "bad" || len(cfg.LastError.Findings) != 1 {
		t.Errorf("config after a refused reload: %s", text)
	}
	_, text = b.call(t, "GET", "/metrics", "")
	for _, want := range []string{
		"maru_config_version 2\n", "maru_config_last_reload_successful 0\n",
		`maru_config_reloads_total{by="api",result="refused"} 1`, `maru_config_reloads_total{by="start",result="live"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	next = Reload{By: "api", Err: errors.New("open listener public: address in use")}
	if got, text := b.call(t, "POST", "/v1/config/reload", ""); got != 409 || !strings.Contains(text, "address in use") {
		t.Errorf("reload that can't bind: %d %s", got, text)
	}
	if want := "reload api reload api reload api"; strings.Join(b.asked, " ") != want {
		t.Errorf("asked %v", b.asked)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got, text := b.call(t, "GET", "/readyz", ""); got != 200 {
		t.Errorf("live: %d %s", got, text)
	}
	if got, _ := b.call(t, "POST", "/v1/drain", ""); got != 202 || len(b.asked) != 1 {
		t.Errorf("drain: %d, asked %v", got, b.asked)
	}
	b.api.Status.Drain()
	if got, text := b.call(t, "GET", "/readyz", ""); got != 503 || !strings.Contains(text, "draining") {
		t.Errorf("draining: %d %s", got, text)
	}
	if got, _ := b.call(t, "GET", "/healthz", ""); got != 200 {
		t.Errorf("alive while draining: %d", got)
	}
}

func TestUnreadyUntilEndpointsAreKnown(t *testing.T) {
	t.Parallel()
	rt, err := edge.Build(edge.Config{Services: map[string]edge.ServiceConfig{
		"slow": {Config: upstream.Config{File: "/nowhere/endpoints.json"}},
		"fast": {Config: upstream.Config{URL: "http://127.0.0.1:1"}},
	}}, edge.Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	s := Status{Now: func() time.Time { return now }}
	if got := s.Unready(nil); len(got) != 1 {
		t.Errorf("before the first configuration: %v", got)
	}
	s.Loaded(Reload{At: now, Version: 1})
	if got := s.Unready(rt); len(got) != 1 || !strings.Contains(got[0], "slow") {
		t.Errorf("endpoints unknown: %v, want the service slow", got)
	}
	now = now.Add(patience)
	if got := s.Unready(rt); got != nil {
		t.Errorf("after %s: %v, want ready", patience, got)
	}
	s.Loaded(Reload{At: now, Version: 2})
	if got := s.Unready(rt); got != nil {
		t.Errorf("a reload made it unready: %v", got)
	}
}

func TestEstate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for path, want := range map[string][]string{
		"/v1/routes":             {`"rewards"`, `"/rewards/{id}"`, `"reward"`, `"routes[0]"`},
		"/v1/services":           {`"reward"`, `"up": 1`, `"services.reward"`},
		"/v1/services/reward":    {`"http://127.0.0.1:1"`, `"state": "up"`},
		"/v1/listeners":          {`[]`},
		"/":                      {"/metrics"},
		"/debug/pprof/":          {"goroutine"},
		"/debug/pprof/goroutine": {},
	} {
		got, text := b.call(t, "GET", path, "")
		if got != 200 {
			t.Errorf("GET %s: %d", path, got)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("GET %s lacks %s:\n%s", path, w, text)
			}
		}
	}
	for path, want := range map[string]int{
		"/v1/services/none": 404, "/debug/pprof/none": 404, "/debug/pprof/profile?seconds=x": 400, "/debug/pprof/trace?seconds=1e9": 400, "/none": 404,
	} {
		if got, _ := b.call(t, "GET", path, ""); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	if got, text := b.call(t, "POST", "/v1/check", "routes: 7"); got != 200 || !strings.Contains(text, "routes: 7") || !strings.Contains(text, `"errors": 1`) {
		t.Errorf("check: %d %s", got, text)
	}
}

// done feeds the recorder one exchange.
func done(rec *telemetry.Recorder, route, service, method string, status int, reason string) {
	r := message.NewRequest()
	defer r.Release()
	r.Method = method
	r.X.Route, r.X.Service, r.X.Reason, r.X.Attempts, r.X.Sent = route, service, reason, 1, 10
	r.X.Phases[message.PhaseDone] = 3 * time.Millisecond
	p := message.NewResponse(status)
	defer p.Release()
	rec.Done(r, p, nil)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	done(b.api.Recorder, "rewards", "reward", "GET", 200, "")
	done(b.api.Recorder, "rewards", "reward", "BREW", 503, "no_endpoint")
	b.api.Recorder.Refused("public", "cl_te")
	b.api.Recorder.Filter("cors", "rewards", "preflight")
	got, text := b.call(t, "GET", "/metrics", "")
	if got != 200 {
		t.Fatalf("status %d: %s", got, text)
	}
	for _, want := range []string{
		`maru_requests_total{route="rewards",method="GET",class="2xx"} 1`,
		`maru_requests_total{route="rewards",method="OTHER",class="5xx"} 1`,
		`maru_response_body_bytes_total{route="rewards"} 20`,
		`maru_service_requests_total{service="reward",class="2xx"} 1`,
		`maru_service_attempts_total{service="reward"} 2`,
		`maru_service_duration_seconds_bucket{service="reward",le="0.0025"} 0`,
		`maru_service_duration_seconds_bucket{service="reward",le="0.005"} 2`,
		`maru_service_duration_seconds_bucket{service="reward",le="+Inf"} 2`,
		`maru_service_duration_seconds_sum{service="reward"} 0.006`,
		`maru_problems_total{reason="no_endpoint"} 1`,
		`maru_http1_refused_total{listener="public",reason="cl_te"} 1`,
		`maru_filter_total{filter="cors",route="rewards",reason="preflight"} 1`,
		`maru_endpoint_up{service="reward",endpoint="127.0.0.1:1"} 1`,
		`maru_build_info{version="v1.2.3"`,
		"maru_ready 1\n", "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "BREW") {
			t.Errorf("a method of a client became a label: %s", line)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { served <- b.api.Serve(ctx, ln) }()
	b.url = "http://" + ln.Addr().String()
	if got, _ := b.call(t, "GET", "/healthz", ""); got != 200 {
		t.Errorf("health: %d", got)
	}
	stop()
	if err := <-served; err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for body, want := range map[string]int{
		`{"tag": "menu"}`:              200,
		`{"all": true, "soft": true}`:  200,
		`{"url": "http://a/b?c"}`:      200,
		`{"url": "b"}`:                 400,
		`{"tag": "menu", "all": true}`: 400,
		`{}`:                           400,
		`{"path": "/misspelt"}`:        400,
		`nonsense`:                     400,
		`{"tag": "` + strings.Repeat("x", maxQuery): 400,
	} {
		if got, text := b.call(t, "POST", "/v1/cache/purge", body); got != want {
			t.Errorf("purge %.60s: %d, want %d: %s", body, got, want, text)
		}
	}
	if _, text := b.call(t, "POST", "/v1/cache/purge", `{"all": true}`); !strings.Contains(text, `"caches": 1`) {
		t.Errorf("purge: %s", text)
	}
	if _, text := b.call(t, "GET", "/metrics", ""); !strings.Contains(text, "maru_cache_entries 0\n") {
		t.Error("the metrics lack the cache")
	}
}

// BenchmarkScrape is a scrape at 10,000 routes that all had requests.
func BenchmarkScrape(b *testing.B) {
	rec := new(telemetry.Recorder)
	names := make([]string, 10_000)
	for i := range names {
		names[i] = "route#" + strconv.Itoa(i)
	}
	rec.Declare(names, []string{"reward"})
	for _, name := range names {
		done(rec, name, "reward", "GET", 200, "")
	}
	api := API{Server: new(edge.Server), Status: new(Status), Recorder: rec}
	h := api.Handler()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://localhost/metrics", http.NoBody)
		r.RemoteAddr = "127.0.0.1:5"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Body.Len() < 500_000 {
			b.Fatal(w.Code, w.Body.Len())
		}
	}
}
