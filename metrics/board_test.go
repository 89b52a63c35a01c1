package metrics

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// record feeds one exchange to a recorder.
func record(rec *telemetry.Recorder, route, service string, status int, took time.Duration) {
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.X.Route, r.X.Service = "GET", route, service
	r.X.Phases[message.PhaseDone] = took
	p := message.NewResponse(status)
	defer p.Release()
	rec.Done(r, p, nil)
}

// named makes services without endpoints that answer.
func named(t testing.TB, endpoints int, names ...string) func() []*upstream.Cluster {
	t.Helper()
	clusters := make([]*upstream.Cluster, len(names))
	for i, name := range names {
		cfg := upstream.Config{}
		for k := range endpoints {
			cfg.URLs = append(cfg.URLs, upstream.EndpointConfig{URL: fmt.Sprintf("http://127.0.%d.%d:%d", i/250, i%250, 1000+k)})
		}
		c, err := upstream.New(name, cfg, upstream.Env{})
		if err != nil {
			t.Fatal(err)
		}
		clusters[i] = c
	}
	return func() []*upstream.Cluster { return clusters }
}

// The board's counts are those of the access log: N known exchanges through a
// real gateway, its own answers and refusals among them.
func TestCountsAreTheAccessLogs(t *testing.T) {
	t.Parallel()
	service := edgetest.NewService(t, func(request string) string {
		if strings.HasPrefix(request, "GET /good/broken") {
			return "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
		}
		return edgetest.OK
	})
	dead := edgetest.NewService(t, func(string) string { return "" })
	var rec telemetry.Recorder
	g := edgetest.StartWith(t, edge.Config{
		Listen: map[string]edge.ListenerConfig{"public": {Address: "127.0.0.1:0"}},
		Services: map[string]edge.ServiceConfig{
			"good": {Config: upstream.Config{URL: service.URL()}}, "dead": {Config: upstream.Config{URL: dead.URL()}},
		},
		Routes: []edge.RouteConfig{
			{Name: "good", Match: edgetest.Match(t, "GET /good/{rest...}"), To: "good"},
			{Name: "dead", Match: edgetest.Match(t, "GET /dead"), To: "dead"},
		},
	}, func(env *edge.Env) {
		done := env.Done
		env.Done = func(r *message.Request, p *message.Response, err error) {
			rec.Done(r, p, err)
			done(r, p, err)
		}
	})
	rec.Declare([]string{"good", "dead"}, []string{"good", "dead"})
	b := &Board{Recorder: &rec, Clusters: g.Server.Runtime().Clusters}
	start := time.Unix(1_790_000_000, 0)
	b.sample(start)
	says := []string{"GET /good/a", "GET /good/b", "GET /good/broken", "GET /dead", "GET /nowhere", "PUT /dead"}
	const rounds = 4
	for range rounds {
		for _, line := range says {
			g.Say("public", edgetest.Wire(line+" HTTP/1.1\nHost: a\nConnection: close\n\n"))
		}
	}
	log := g.Done(rounds * len(says))
	for k := range 3 { // late and early seconds: the counts stay
		b.sample(start.Add(time.Duration(k+1) * 1100 * time.Millisecond))
	}
	var requests, errors uint64
	byService := map[string][2]uint64{}
	for _, x := range log {
		n := byService[x.Service]
		requests, n[0] = requests+1, n[0]+1
		if x.Status >= 500 {
			errors, n[1] = errors+1, n[1]+1
		}
		byService[x.Service] = n
	}
	v := b.View()
	if v.Totals.Requests != requests || v.Totals.Errors != errors || requests != rounds*uint64(len(says)) || errors != 2*rounds {
		t.Errorf("totals %+v, the log has %d requests and %d errors", v.Totals, requests, errors)
	}
	if want := percent(errors, requests); v.Totals.ErrorPercent != want {
		t.Errorf("error_percent %v, want %v", v.Totals.ErrorPercent, want)
	}
	if want := round(float64(requests) / 4.3); v.Totals.RPS != want {
		t.Errorf("rps %v, want %v", v.Totals.RPS, want)
	}
	if len(v.Services) != 2 {
		t.Fatalf("%d services", len(v.Services))
	}
	for _, s := range v.Services {
		if want := byService[s.Name]; s.Requests != want[0] || s.Errors != want[1] || want[0] == 0 {
			t.Errorf("service %s has %d requests and %d errors, the log %v", s.Name, s.Requests, s.Errors, want)
		}
	}
	if len(v.Routes) != 2 || v.Routes[1].Name != "good" || v.Routes[1].Requests != 3*rounds {
		t.Errorf("routes %+v", v.Routes)
	}
	if len(v.History) != 4 || v.History[1].RPS != round(float64(requests)/1.1) || v.History[2].RPS != 0 {
		t.Errorf("history %+v", v.History)
	}
}

func TestWindowForgets(t *testing.T) {
	t.Parallel()
	var rec telemetry.Recorder
	b := &Board{Recorder: &rec, Clusters: named(t, 1, "s")}
	at := time.Unix(1_790_000_000, 0)
	step := func() { at = at.Add(time.Second); b.sample(at) }
	step()
	for second := range 200 {
		for range second {
			record(&rec, "r", "s", 200, 10*time.Millisecond)
		}
		step()
	}
	v := b.View()
	const want = 199 + 198 + 197 + 196 + 195 + 194 + 193 + 192 + 191 + 190
	s := v.Services[0]
	if v.Totals.Requests != want || s.Requests != want || v.Routes[0].Requests != want || s.RPS != want/10.0 {
		t.Errorf("totals %+v service %+v", v.Totals, s)
	}
	if n := len(v.History); n != history || v.History[n-1].RPS != 199 || v.History[0].RPS != 80 {
		t.Errorf("%d seconds, from %+v to %+v", n, v.History[0], v.History[n-1])
	}
	if n := len(s.RPSHistory); n != spark || s.RPSHistory[n-1] != 199 || s.RPSHistory[0] != 140 {
		t.Errorf("%d seconds: %v", n, s.RPSHistory)
	}
	if d := v.Totals.P50; math.Abs(d-10) > 0.5 {
		t.Errorf("median %v ms", d)
	}
	for range 10 {
		step()
	}
	if v := b.View(); v.Totals.Requests != 0 || v.Totals.P99 != 0 || v.Services[0].Requests != 0 || v.Routes[0].Requests != 0 {
		t.Errorf("after ten silent seconds: %+v", v.Totals)
	}
}

// A service that goes and comes back counts from nothing again.
func TestServicesComeAndGo(t *testing.T) {
	t.Parallel()
	var rec telemetry.Recorder
	b := &Board{Recorder: &rec, Clusters: named(t, 1, "s")}
	at := time.Unix(1_790_000_000, 0)
	step := func() { at = at.Add(time.Second); b.sample(at) }
	say := func(n int) {
		for range n {
			record(&rec, "r", "s", 503, time.Millisecond)
		}
	}
	say(7)
	step()
	rec.Declare(nil, nil)
	rec.Declare(nil, []string{"s"})
	say(3)
	step()
	if s := b.View().Services[0]; s.Requests != 10 || s.Errors != 10 || s.ErrorPercent != 100 {
		t.Errorf("after a short absence: %+v", s)
	}
	rec.Declare(nil, nil)
	step()
	say(2)
	step()
	if s := b.View().Services[0]; s.Requests != 2 {
		t.Errorf("after a long absence: %+v", s)
	}
}

func TestPercentilesAreClose(t *testing.T) {
	t.Parallel()
	var rec telemetry.Recorder
	b := &Board{Recorder: &rec, Clusters: named(t, 1)}
	b.sample(time.Unix(1_790_000_000, 0))
	for i := range 10_000 {
		record(&rec, "r", "s", 200, time.Duration(i+1)*50*time.Microsecond)
	}
	b.sample(time.Unix(1_790_000_001, 0))
	got := b.View().Totals
	for _, tt := range []struct{ got, want float64 }{{got.P50, 250}, {got.P90, 450}, {got.P99, 495}} {
		if math.Abs(tt.got-tt.want) > 0.05*tt.want {
			t.Errorf("got %v ms, want %v within 5 %%", tt.got, tt.want)
		}
	}
}

// events gives the data of each board event; a ping is "".
func events(t *testing.T, r io.Reader) func() string {
	t.Helper()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	return func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
			if lines.Text() == ": ping" {
				return ""
			}
		}
		t.Errorf("the stream ended: %v", lines.Err())
		return ""
	}
}

// Five hundred services: the board is there at once, follows each second, pings
// while nothing happens, and is the same as the single answer.
func TestStreamOfFiveHundredServices(t *testing.T) {
	t.Parallel()
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("service-%03d", i)
	}
	clusters := named(t, 10, names...)
	synctest.Test(t, func(t *testing.T) {
		var rec telemetry.Recorder
		rec.Declare(nil, names)
		b := &Board{Recorder: &rec, Clusters: clusters, Version: func() int { return 3 }}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = b.Run(ctx) }()
		synctest.Wait()
		r, w := io.Pipe()
		go b.ServeStream(&pipeWriter{PipeWriter: w}, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/board/stream", nil))
		next := events(t, r)
		var v View
		if err := json.Unmarshal([]byte(next()), &v); err != nil {
			t.Fatal(err)
		}
		if len(v.Services) != 500 || v.ConfigVersion != 3 || v.WindowSeconds != 10 {
			t.Errorf("%d services, version %d", len(v.Services), v.ConfigVersion)
		}
		if s := v.Services[499]; s.Name != "service-499" || s.Endpoints != 10 || s.Up != 10 || s.Source.Kind != "urls" || s.Breaker.State == "" {
			t.Errorf("the last one: %+v", s)
		}
		if data := next(); data != "" {
			t.Errorf("nothing happened, yet there is %.80s", data)
		}
		record(&rec, "r", "service-007", 500, 3*time.Millisecond)
		text := next()
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if v.Totals.Requests != 1 || v.Services[7].Errors != 1 || v.Services[7].ErrorPercent != 100 {
			t.Errorf("after one error: %+v", v.Services[7])
		}
		single := httptest.NewRecorder()
		b.ServeView(single, nil)
		if single.Body.String() != text+"\n" {
			t.Error("the single answer differs from the stream's")
		}
		stop()
		_ = r.Close()
		synctest.Wait()
		if open := b.Readers().Open; open != 0 {
			t.Errorf("%d readers are left", open)
		}
	})
}

// pipeWriter is a response whose body is a pipe.
type pipeWriter struct {
	*io.PipeWriter
	header http.Header
	status int
	late   time.Time
}

func (p *pipeWriter) Header() http.Header {
	if p.header == nil {
		p.header = make(http.Header)
	}
	return p.header
}

func (p *pipeWriter) WriteHeader(status int)              { p.status = status }
func (p *pipeWriter) Flush()                              {}
func (p *pipeWriter) SetWriteDeadline(at time.Time) error { p.late = at; return nil }

// Write gives up at the deadline, as a socket does.
func (p *pipeWriter) Write(b []byte) (int, error) {
	timer := time.AfterFunc(time.Until(p.late), func() { _ = p.CloseWithError(context.DeadlineExceeded) })
	defer timer.Stop()
	return p.PipeWriter.Write(b)
}

func TestSlowReadersAreCutAndSeatsAreBounded(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1, "s")
	synctest.Test(t, func(t *testing.T) {
		b := &Board{Recorder: new(telemetry.Recorder), Clusters: clusters}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = b.Run(ctx) }()
		for range mostReaders {
			_, w := io.Pipe()
			go b.ServeStream(&pipeWriter{PipeWriter: w}, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		}
		synctest.Wait()
		full := httptest.NewRecorder()
		b.ServeStream(full, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		if full.Code != http.StatusServiceUnavailable || full.Header().Get("Retry-After") == "" {
			t.Errorf("one too many got %d %v", full.Code, full.Header())
		}
		time.Sleep(patience + time.Second) // nobody reads
		synctest.Wait()
		if got := b.Readers(); got.Open != 0 || got.Cut == 0 || got.Refused != 1 {
			t.Errorf("readers %+v", got)
		}
	})
}

// BenchmarkSample is what the board costs each second while nobody looks, and
// BenchmarkFrame what it costs while somebody does: 500 services of 10 endpoints
// and as many routes.
func BenchmarkSample(b *testing.B) {
	board := busy(b)
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Second)
		board.sample(at)
	}
}

func BenchmarkFrame(b *testing.B) {
	board := busy(b)
	board.sample(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		board.tick++ // the frame is of an earlier sample
		b.SetBytes(int64(len(board.current().json)))
	}
}

func busy(b *testing.B) *Board {
	b.Helper()
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("service-%03d", i)
	}
	rec := new(telemetry.Recorder)
	for _, name := range names {
		for i := range 100 {
			record(rec, name, name, 200+i%2*300, time.Duration(i)*time.Millisecond)
		}
	}
	return &Board{Recorder: rec, Clusters: named(b, 10, names...)}
}
