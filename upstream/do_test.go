package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// service is a scripted HTTP/1 service on loopback: handle is called per
// connection and per request, and says what to do.
type service struct {
	net.Listener
	t     testing.TB
	conns atomic.Int64
	wait  sync.WaitGroup
	mu    sync.Mutex
	open  map[net.Conn]bool // true: it has served a request
	ends  atomic.Bool       // it drains: connections close behind their answer
}

// answer writes the answer to the n-th request (from 0) of a connection; false
// closes the connection without one.
type answer func(w net.Conn, n int, head string, body []byte) bool

func ok(w net.Conn, _ int, _ string, _ []byte) bool {
	_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello")
	return err == nil
}

// silent never answers: it waits for the end of the connection.
func silent(w net.Conn, _ int, _ string, _ []byte) bool {
	_, _ = w.Read(make([]byte, 1))
	return false
}

func serve(t testing.TB, fn answer) *service {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", fn)
}

func serveOn(t testing.TB, address string, fn answer) *service {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Listener: l, t: t, open: map[net.Conn]bool{}}
	s.wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			s.mu.Lock()
			s.open[c] = false
			s.mu.Unlock()
			s.wait.Go(func() { s.run(c, fn) })
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *service) run(c net.Conn, fn answer) {
	defer func() {
		s.mu.Lock()
		_ = c.Close()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for n := 0; ; n++ {
		var head strings.Builder
		length := 0
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			if v, ok := strings.CutPrefix(strings.ToLower(line), "content-length: "); ok {
				_, _ = fmt.Sscan(v, &length)
			}
			head.WriteString(line)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		s.mu.Lock()
		s.open[c] = true
		s.mu.Unlock()
		if !fn(c, n, head.String(), body) || s.ends.Load() {
			return
		}
	}
}

// stop closes the listener and all connections.
func (s *service) stop() {
	_ = s.Close()
	s.closeConns()
	s.wait.Wait()
}

func (s *service) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}

func (s *service) url() string { return "http://" + s.Addr().String() }

func cluster(t testing.TB, cfg Config, env Env) *Cluster {
	t.Helper()
	c, err := New("svc", cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = c.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return c
}

func request(method, path string) *message.Request {
	r := message.NewRequest()
	r.Method, r.Path, r.RawPath = method, path, path
	r.Scheme, r.Authority, r.Host, r.Proto = "http", "example.com", "example.com", message.HTTP11
	r.X.Began = time.Now().Add(-time.Microsecond) // no phase is at the same moment, in virtual time neither
	return r
}

func withBody(r *message.Request, body string) *message.Request {
	r.Body, r.Length = message.Bytes([]byte(body)), int64(len(body))
	return r
}

// get makes one exchange and gives status and body.
func do(t testing.TB, c *Cluster, r *message.Request) (int, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	b, err := message.ReadAll(nil, resp.Body, 1<<20)
	if err != nil {
		t.Fatalf("body: %v", err)
	}
	resp.MarkComplete()
	status := resp.Status
	resp.Release()
	return status, string(b)
}

func wantProblem(t testing.TB, err error, status int, reason string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Status != status || p.Reason != reason {
		t.Fatalf("got %v, want %d %s", err, status, reason)
	}
}

func TestDoPlain(t *testing.T) {
	var head atomic.Value
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool { head.Store(h); return ok(w, n, h, b) })
	c := cluster(t, Config{URL: s.url()}, Env{})
	for range 3 {
		r := request("GET", "/a")
		r.Query, r.HasQuery = "x=1", true
		_ = r.Header.Add("X-Mine", "1")
		status, body := do(t, c, r)
		if status != 200 || body != "hello" {
			t.Fatalf("%d %q", status, body)
		}
		if r.X.Service != "svc" || r.X.Endpoint != s.Addr().String() || r.X.Attempts != 1 {
			t.Fatalf("exchange: %q %q %d", r.X.Service, r.X.Endpoint, r.X.Attempts)
		}
		p := r.X.Phases
		if p[message.PhaseConnect] <= 0 || p[message.PhaseSent] < p[message.PhaseConnect] || p[message.PhaseHead] < p[message.PhaseSent] {
			t.Fatalf("phases: %v", p)
		}
		r.Release()
	}
	if h := head.Load().(string); !strings.HasPrefix(h, "GET /a?x=1 HTTP/1.1\r\n") || !strings.Contains(h, "Host: example.com\r\n") {
		t.Fatalf("head: %q", h)
	}
	if n := s.conns.Load(); n != 1 {
		t.Fatalf("%d connections for three exchanges", n)
	}
	st := c.Stats().Endpoints[0]
	if st.Requests != 3 || st.InFlight != 0 || st.Conns != 1 || st.Idle != 1 || st.Latency == 0 || st.State != Up {
		t.Fatalf("stats: %+v", st)
	}
}

// quietEndpoint answers every read with the same response. Its goroutines
// allocate nothing, so that they do not count.
func quietEndpoint(t *testing.T) EndpointConfig {
	t.Helper()
	quiet := func(w net.Conn) {
		buf := make([]byte, 4096)
		reply := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		for {
			if _, err := w.Read(buf); err != nil {
				return
			}
			if _, err := w.Write(reply); err != nil {
				return
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go quiet(c)
		}
	}()
	return EndpointConfig{URL: "http://" + l.Addr().String()}
}

func TestDoAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget at random")
	}
	for _, balance := range []Balance{{}, {Kind: "round-robin"}, {Kind: "least-request"}, {Kind: "weighted"}, {Kind: "hash", By: "header X-Key"}} {
		t.Run(balance.Kind, func(t *testing.T) {
			urls := []EndpointConfig{quietEndpoint(t), quietEndpoint(t), quietEndpoint(t)}
			c := cluster(t, Config{URLs: urls, Balance: balance, Sticky: &Sticky{Cookie: "s"}}, Env{})
			r := request("GET", "/a")
			_ = r.Header.Add("X-Key", "k")
			_ = r.Header.Add("Cookie", "a=b; s=nonsense")
			r.X.Deadline, r.X.Priority = time.Now().Add(time.Hour), message.PriorityHigh
			buf := make([]byte, 64)
			once := func() {
				resp, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				for {
					if _, err := resp.Body.Read(buf); err != nil {
						break
					}
				}
				resp.MarkComplete()
				resp.Release()
				r.X.Service, r.X.Endpoint, r.X.Attempts = "", "", 0
			}
			for range 50 {
				once()
			}
			if n := testing.AllocsPerRun(200, once); n != 0 {
				t.Fatalf("%v allocations per exchange", n)
			}
		})
	}
}

func TestHostField(t *testing.T) {
	var head atomic.Value
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool { head.Store(h); return ok(w, n, h, b) })
	for _, tt := range []struct{ host, want string }{
		{"", "example.com"},
		{"service", s.Addr().String()},
		{"other.example:81", "other.example:81"},
	} {
		c := cluster(t, Config{URL: s.url(), Host: tt.host}, Env{})
		do(t, c, request("GET", "/"))
		if h := head.Load().(string); !strings.Contains(h, "Host: "+tt.want+"\r\n") {
			t.Errorf("host: %q gave %q", tt.host, h)
		}
	}
}

func TestProblems(t *testing.T) {
	text := func(s string) answer {
		return func(w net.Conn, _ int, _ string, _ []byte) bool {
			_, _ = io.WriteString(w, s)
			return false
		}
	}
	tests := []struct {
		name   string
		answer answer
		status int
		reason string
	}{
		{"no answer in time", silent, 504, "head_timeout"},
		{"closed at once", text(""), 502, "reset"},
		{"not HTTP", text("SSH-2.0-OpenSSH\r\n\r\n"), 502, "status_line"},
		{"both lengths", text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 502, "cl_te"},
		{"unasked 101", text("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 502, "unexpected_101"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.answer)
			c := cluster(t, Config{URL: s.url(), TryTimeout: 100 * time.Millisecond, Retry: Retry{Attempts: 1}}, Env{})
			_, err := c.Do(request("GET", "/"))
			wantProblem(t, err, tt.status, tt.reason)
			st := c.Stats().Endpoints[0]
			if st.Errors != 1 || st.LastError == "" || st.InFlight != 0 || st.Success >= 1 || st.Conns != 0 {
				t.Fatalf("stats: %+v", st)
			}
			if st.Latency < 100*time.Millisecond {
				t.Fatalf("the failure looks fast: %v", st.Latency)
			}
		})
	}
}

func TestConnectProblems(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	_ = l.Close()
	c := cluster(t, Config{URL: "http://" + dead}, Env{})
	_, err = c.Do(request("POST", "/"))
	wantProblem(t, err, 502, "connect_failed")

	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
	}
	c = cluster(t, Config{URL: "http://" + dead, ConnectTimeout: 20 * time.Millisecond}, Env{Dial: hang})
	_, err = c.Do(request("GET", "/"))
	wantProblem(t, err, 504, "connect_timeout")

	// From here on only the exchange ends the wait, however slow this machine is.
	c = cluster(t, Config{URL: "http://" + dead, ConnectTimeout: 10 * time.Second}, Env{Dial: hang})
	r := request("GET", "/")
	r.X.Deadline = time.Now().Add(10 * time.Millisecond)
	_, err = c.Do(r)
	wantProblem(t, err, 504, "exchange_timeout")

	r = request("GET", "/")
	r.X.Deadline = time.Now().Add(-time.Second)
	_, err = c.Do(r)
	wantProblem(t, err, 504, "exchange_timeout")

	r = request("GET", "/")
	time.AfterFunc(5*time.Millisecond, func() { r.X.Cancel(message.ErrClientGone) })
	_, err = c.Do(r)
	wantProblem(t, err, 499, "client_abort")
	if !errors.Is(err, message.ErrClientGone) {
		t.Fatalf("%v does not wrap the cause", err)
	}

	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	_, err = c.Do(request("GET", "/"))
	wantProblem(t, err, 503, "no_endpoint")
}

func TestConnectFailover(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	_ = l.Close()
	s := serve(t, ok)
	c := cluster(t, Config{URLs: []EndpointConfig{{URL: "http://" + dead}, {URL: s.url()}}, Balance: Balance{Kind: "round-robin"}}, Env{})
	for range 6 {
		r := withBody(request("POST", "/"), "data")
		if status, _ := do(t, c, r); status != 200 {
			t.Fatal(status)
		}
	}
	if st := c.Stats(); st.Failover == 0 || st.Endpoints[0].Refused == 0 {
		t.Fatalf("nothing failed over: %+v", st)
	}
}

func TestCancelWhileWaiting(t *testing.T) {
	asked := make(chan struct{})
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool { close(asked); return silent(w, n, h, b) })
	c := cluster(t, Config{URL: s.url()}, Env{})
	r := request("GET", "/")
	go func() { <-asked; r.X.Cancel(message.ErrClientGone) }()
	_, err := c.Do(r)
	wantProblem(t, err, 499, "client_abort")
	st := c.Stats().Endpoints[0]
	if st.Errors != 0 || st.Success != 1 || st.Latency != 0 || st.InFlight != 0 {
		t.Fatalf("a cancel was held against the endpoint: %+v", st)
	}
}

// warm makes one exchange so that a pooled connection lies idle.
func warm(t *testing.T, c *Cluster) {
	t.Helper()
	do(t, c, request("GET", "/"))
	if st := c.Stats().Endpoints[0]; st.Idle != 1 {
		t.Fatalf("not pooled: %+v", st)
	}
}

// TestStaleSocket is RFC 9112 §9.3.1: a service closes an idle connection just
// as the next request goes out on it.
func TestStaleSocket(t *testing.T) {
	tests := []struct {
		name    string
		request func() *message.Request
		reason  string // "" when the request succeeds
	}{
		{"GET", func() *message.Request { return request("GET", "/") }, ""},
		{"PUT with a body", func() *message.Request { return withBody(request("PUT", "/"), "data") }, ""},
		{"POST", func() *message.Request { return withBody(request("POST", "/"), "data") }, "stale_post"},
		{"POST with Idempotency-Key", func() *message.Request {
			r := withBody(request("POST", "/"), "data")
			_ = r.Header.Add("Idempotency-Key", "1")
			return r
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bodies []string
			var mu sync.Mutex
			s := serve(t, func(w net.Conn, n int, h string, b []byte) bool {
				mu.Lock()
				bodies = append(bodies, string(b))
				mu.Unlock()
				// The second request of a connection is read and not answered.
				return n == 0 && ok(w, n, h, b)
			})
			c := cluster(t, Config{URL: s.url()}, Env{})
			warm(t, c)
			r := tt.request()
			if tt.reason != "" {
				_, err := c.Do(r)
				wantProblem(t, err, 502, tt.reason)
				if st := c.Stats(); st.StalePost != 1 || st.Endpoints[0].Errors != 0 {
					t.Fatalf("stats: %+v", st)
				}
				if s.conns.Load() != 1 {
					t.Fatal("it was sent again")
				}
				return
			}
			if status, _ := do(t, c, r); status != 200 {
				t.Fatal(status)
			}
			if st := c.Stats(); st.StaleReplayed != 1 || st.Endpoints[0].Errors != 0 || r.X.Attempts != 2 {
				t.Fatalf("attempts %d, stats %+v", r.X.Attempts, st)
			}
			mu.Lock()
			defer mu.Unlock()
			if n := len(bodies); n != 3 || bodies[1] != bodies[2] {
				t.Fatalf("bodies %q", bodies)
			}
		})
	}
}

func TestStaleSocketNeverTwice(t *testing.T) {
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool {
		return strings.HasPrefix(h, "GET /warm") && ok(w, n, h, b)
	})
	c := cluster(t, Config{URL: s.url(), Retry: Retry{Attempts: 1}}, Env{})
	do(t, c, request("GET", "/warm"))
	r := request("GET", "/")
	_, err := c.Do(r)
	wantProblem(t, err, 502, "reset")
	if r.X.Attempts != 2 || s.conns.Load() != 2 {
		t.Fatalf("%d attempts, %d connections", r.X.Attempts, s.conns.Load())
	}
}

func TestFreshSocketIsNotRetried(t *testing.T) {
	s := serve(t, func(net.Conn, int, string, []byte) bool { return false })
	c := cluster(t, Config{URL: s.url(), Retry: Retry{Attempts: 1}}, Env{})
	_, err := c.Do(request("GET", "/"))
	wantProblem(t, err, 502, "reset")
	if n := s.conns.Load(); n != 1 {
		t.Fatalf("%d connections", n)
	}
}

func TestFirstByteEndsTheStaleRule(t *testing.T) {
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool {
		if n == 0 {
			return ok(w, n, h, b)
		}
		_, _ = io.WriteString(w, "HTTP/1.1 2")
		return false
	})
	c := cluster(t, Config{URL: s.url(), Retry: Retry{Attempts: 1}}, Env{})
	warm(t, c)
	r := request("GET", "/")
	_, err := c.Do(r)
	wantProblem(t, err, 502, "reset")
	if r.X.Attempts != 1 {
		t.Fatalf("%d attempts", r.X.Attempts)
	}
}

func TestLivenessCheckAndLearnedIdle(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{})
	warm(t, c)
	ep := c.Endpoints()[0]
	s.closeConns()
	waitFor(t, func() bool { return !peekAlive(ep) })
	// The clock is ours: nothing waits here.
	if cn := c.take(ep, request("GET", "/"), time.Now().Add(2*time.Second)); cn != nil {
		t.Fatal("a dead connection was handed out")
	}
	st := c.Stats()
	if st.Dead != 1 || st.LearnedIdle < 1500*time.Millisecond || st.LearnedIdle > 1700*time.Millisecond {
		t.Fatalf("dead %d, learned %v", st.Dead, st.LearnedIdle)
	}
	l := c.learned.Load()
	if got, want := l.limit(l.at.Add(10*time.Minute)), time.Duration(float64(l.first)*2.5937); got < want-10*time.Millisecond || got > want+10*time.Millisecond {
		t.Fatalf("after ten minutes %v, want %v", got, want)
	}
}

func peekAlive(ep *Endpoint) bool {
	for i := range ep.pool.shards {
		s := &ep.pool.shards[i]
		s.mu.Lock()
		for _, cn := range s.stack {
			if cn.h1.Alive() {
				s.mu.Unlock()
				return true
			}
		}
		s.mu.Unlock()
	}
	return false
}

// waitFor polls a condition that another goroutine or the kernel brings about.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if cond() {
			return
		}
		<-tick.C
	}
	t.Fatal("it never happened")
}

func TestAnnouncedKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		announced string
		pooled    bool
	}{{"timeout=1", false}, {"timeout=60", true}} {
		s := serve(t, func(w net.Conn, _ int, _ string, _ []byte) bool {
			_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: "+tt.announced+"\r\n\r\n")
			return err == nil
		})
		c := cluster(t, Config{URL: s.url()}, Env{})
		do(t, c, request("GET", "/"))
		if idle := c.Stats().Endpoints[0].Idle == 1; idle != tt.pooled {
			t.Errorf("%s: pooled %v", tt.announced, idle)
		}
	}
}

func TestIdleLimitAndReap(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{})
	warm(t, c)
	ep := c.Endpoints()[0]
	c.reap(ep, time.Now().Add(29*time.Second))
	if n := ep.pool.idle.Load(); n != 1 {
		t.Fatalf("reaped early: %d", n)
	}
	c.reap(ep, time.Now().Add(31*time.Second))
	if n, o := ep.pool.idle.Load(), ep.pool.open.Load(); n != 0 || o != 0 {
		t.Fatalf("idle %d open %d", n, o)
	}
}

func TestConnectionLimit(t *testing.T) {
	type gate struct{ in, out chan struct{} }
	g := gate{make(chan struct{}, 10), make(chan struct{})}
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool {
		g.in <- struct{}{}
		<-g.out
		return ok(w, n, h, b)
	})
	c := cluster(t, Config{URL: s.url(), Connections: Connections{Max: 2, Pending: 1}}, Env{})
	results := make(chan error, 4)
	call := func() {
		resp, err := c.Do(request("GET", "/"))
		if err == nil {
			resp.MarkComplete()
			_, err = message.ReadAll(nil, resp.Body, 100)
			resp.Release()
		}
		results <- err
	}
	go call()
	go call()
	<-g.in
	<-g.in
	go call() // waits
	ep := c.Endpoints()[0]
	waitFor(t, func() bool { return ep.pool.waiting.Load() == 1 })
	_, err := c.Do(request("GET", "/"))
	wantProblem(t, err, 503, "overloaded")
	g.out <- struct{}{}
	<-g.in // the one that waited got the connection
	g.out <- struct{}{}
	g.out <- struct{}{}
	for range 3 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if n := s.conns.Load(); n != 2 {
		t.Fatalf("%d connections", n)
	}
	if n := ep.pool.waiting.Load(); n != 0 {
		t.Fatalf("%d still wait", n)
	}
}

func TestConnectionLimitUnderLoad(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url(), Connections: Connections{Max: 3}}, Env{})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			for range 100 {
				resp, err := c.Do(request("GET", "/"))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = message.ReadAll(nil, resp.Body, 100)
				resp.MarkComplete()
				resp.Release()
			}
		})
	}
	wait.Wait()
	if n := s.conns.Load(); n > 3 {
		t.Fatalf("%d connections", n)
	}
}

// TestRollingRestart stops and starts the instances of a service one after the
// other while GETs go on: none may fail.
func TestRollingRestart(t *testing.T) {
	services := []*service{serve(t, ok), serve(t, ok)}
	c := cluster(t, Config{URLs: []EndpointConfig{{URL: services[0].url()}, {URL: services[1].url()}}}, Env{})
	stop := make(chan struct{})
	var wait sync.WaitGroup
	var failed atomic.Int64
	var done [8]atomic.Int64
	// A round is over when every worker has made some requests: none is still
	// at one from before.
	round := func() {
		var before [8]int64
		for i := range done {
			before[i] = done[i].Load()
		}
		for i := range done {
			waitFor(t, func() bool { return done[i].Load() > before[i]+30 })
		}
	}
	for i := range done {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Do(request("GET", "/"))
				if err != nil {
					failed.Add(1)
					t.Log(err)
					continue
				}
				_, err = message.ReadAll(nil, resp.Body, 100)
				if err != nil {
					failed.Add(1)
				}
				resp.MarkComplete()
				resp.Release()
				done[i].Add(1)
			}
		})
	}
	for n := range 6 {
		round()
		i := n % 2
		address := services[i].Addr().String()
		services[i].drain()
		round()
		services[i] = serveOn(t, address, ok)
	}
	close(stop)
	wait.Wait()
	if failed.Load() != 0 {
		t.Fatalf("%d failed", failed.Load())
	}
	st := c.Stats()
	if st.StaleReplayed+st.StaleFree+st.Failover == 0 {
		t.Fatal("the restarts were not noticed: the test proves nothing")
	}
}

// drain ends a service as a well-behaved one does: the listener first, then
// connections when they are between requests, in whatever phase the next
// request on its way may be. A new one still gets its first answer.
func (s *service) drain() {
	_ = s.Close()
	s.ends.Store(true)
	s.mu.Lock()
	for c, served := range s.open {
		if served {
			// Reading ends at once; an answer under way is still written.
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
	}
	s.mu.Unlock()
	s.wait.Wait()
}

func TestSplitReadsOfBody(t *testing.T) {
	s := serve(t, func(w net.Conn, _ int, _ string, _ []byte) bool {
		_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")
		return err == nil
	})
	c := cluster(t, Config{URL: s.url()}, Env{})
	r := request("GET", "/")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := message.ReadAll(nil, resp.Body, 100)
	if err != nil || string(b) != "abc" || resp.Trailer.Get("X-T") != "1" {
		t.Fatalf("%q %v %q", b, err, resp.Trailer.Get("X-T"))
	}
	resp.MarkComplete()
	resp.Release()
}

func TestRemovedEndpointFinishes(t *testing.T) {
	gate := make(chan struct{})
	a := serve(t, func(w net.Conn, n int, h string, b []byte) bool {
		if strings.HasPrefix(h, "GET /slow") {
			<-gate
		}
		return ok(w, n, h, b)
	})
	b := serve(t, ok)
	c := cluster(t, Config{URL: a.url()}, Env{})
	warm(t, c)
	ep := c.Endpoints()[0]
	result := make(chan string, 1)
	go func() {
		resp, err := c.Do(request("GET", "/slow"))
		if err != nil {
			result <- err.Error()
			return
		}
		body, _ := message.ReadAll(nil, resp.Body, 100)
		resp.MarkComplete()
		resp.Release()
		result <- string(body)
	}()
	waitFor(t, func() bool { return ep.InFlight() == 1 })
	if err := c.Set([]Addr{{URL: b.url()}}); err != nil {
		t.Fatal(err)
	}
	r := request("GET", "/")
	do(t, c, r)
	if r.X.Endpoint != b.Addr().String() {
		t.Fatalf("went to %s", r.X.Endpoint)
	}
	close(gate)
	if got := <-result; got != "hello" {
		t.Fatalf("the exchange under way gave %q", got)
	}
	waitFor(t, func() bool { return ep.pool.open.Load() == 0 })
	if ep.State() != Gone {
		t.Fatal(ep.State())
	}
}

func TestEndpointsKeepStateAcrossSets(t *testing.T) {
	a, b := serve(t, ok), serve(t, ok)
	c := cluster(t, Config{URL: a.url()}, Env{})
	warm(t, c)
	if err := c.Set([]Addr{{URL: b.url()}, {URL: a.url(), Weight: 3, Zone: "z"}}); err != nil {
		t.Fatal(err)
	}
	eps := c.Endpoints()
	if len(eps) != 2 || eps[1].requests.Load() != 1 || eps[1].pool.idle.Load() != 1 || eps[1].Weight() != 3 || eps[1].Zone() != "z" {
		t.Fatalf("%+v", c.Stats())
	}
	if err := c.Set([]Addr{{URL: "ftp://x"}}); err == nil {
		t.Fatal("a bad address was taken")
	}
	if len(c.Endpoints()) != 2 {
		t.Fatal("a refused set changed something")
	}
}

func TestSticky(t *testing.T) {
	a, b := serve(t, ok), serve(t, ok)
	secret := func(string) []byte { return []byte("0123456789abcdef0123456789abcdef") }
	cfg := Config{URLs: []EndpointConfig{{URL: a.url()}, {URL: b.url()}}, Sticky: &Sticky{Cookie: "who"}, Balance: Balance{Kind: "round-robin"}}
	c := cluster(t, cfg, Env{Secret: secret})
	cookieOf := func(c *Cluster, r *message.Request) string {
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		v := strings.Clone(resp.Header.Value(message.SetCookie))
		_, _ = message.ReadAll(nil, resp.Body, 100)
		resp.MarkComplete()
		resp.Release()
		return v
	}
	r := request("GET", "/")
	set := cookieOf(c, r)
	value, attrs, _ := strings.Cut(strings.TrimPrefix(set, "who="), ";")
	if attrs != " Path=/; HttpOnly; SameSite=Lax" || strings.Contains(value, "127") {
		t.Fatalf("cookie %q", set)
	}
	first := r.X.Endpoint
	other := cluster(t, cfg, Env{Secret: secret}) // another process
	for i := range 6 {
		r := request("GET", "/")
		r.Scheme = "https"
		_ = r.Header.Add("Cookie", "x=y; who="+value)
		from := c
		if i%2 == 1 {
			from = other
		}
		if set := cookieOf(from, r); set != "" || r.X.Endpoint != first {
			t.Fatalf("went to %s with %q, want %s", r.X.Endpoint, set, first)
		}
	}
	for _, e := range c.Endpoints() {
		if e.Name() == first {
			c.setDown(e, "test")
		}
	}
	r = request("GET", "/")
	r.Scheme = "https"
	_ = r.Header.Add("Cookie", "who="+value)
	if set := cookieOf(c, r); !strings.HasPrefix(set, "who=") || !strings.HasSuffix(set, "; Secure") || strings.Contains(set, value) || r.X.Endpoint == first {
		t.Fatalf("after its endpoint went down: %q at %s", set, r.X.Endpoint)
	}
}

func TestRetryAvoidsTheEndpointThatFailed(t *testing.T) {
	a, b := serve(t, ok), serve(t, ok)
	c := cluster(t, Config{URLs: []EndpointConfig{{URL: a.url()}, {URL: b.url()}}}, Env{})
	for range 10 {
		r := request("GET", "/")
		do(t, c, r)
		first := r.X.Endpoint
		do(t, c, r)
		if r.X.Endpoint == first || r.X.Attempts != 2 {
			t.Fatalf("the second call went to %s too, attempts %d", first, r.X.Attempts)
		}
	}
}

func TestWarm(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{Watch: nil})
	if err := c.Warm(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats().Endpoints[0]; st.Idle != 1 || st.Conns != 1 {
		t.Fatalf("%+v", st)
	}
	do(t, c, request("GET", "/"))
	if n := s.conns.Load(); n != 1 {
		t.Fatalf("%d connections", n)
	}
}

func TestUpgrade(t *testing.T) {
	s := serve(t, func(w net.Conn, _ int, h string, _ []byte) bool {
		if !strings.Contains(h, "Upgrade: echo") {
			return false
		}
		_, _ = io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(w, w)
		return false
	})
	c := cluster(t, Config{URL: s.url()}, Env{})
	r := request("GET", "/")
	r.Upgrade = "echo"
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	far := resp.Body.(message.Duplex)
	if _, err := far.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if _, err := far.Read(buf); err != nil || string(buf) != "ping" {
		t.Fatalf("%q %v", buf, err)
	}
	if st := c.Stats().Endpoints[0]; st.InFlight != 1 || st.Latency != 0 {
		t.Fatalf("%+v", st)
	}
	resp.Release()
	if st := c.Stats().Endpoints[0]; st.InFlight != 0 || st.Conns != 0 {
		t.Fatalf("%+v", st)
	}
}

// TestStdlibService runs against net/http, with bodies large enough to be
// written beside the reading.
func TestStdlibService(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}), ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	c := cluster(t, Config{URL: "http://" + l.Addr().String()}, Env{Watch: running(t)})
	for _, n := range []int{0, 1, 16 << 10, 16<<10 + 1, 300 << 10} {
		r := withBody(request("POST", "/"), strings.Repeat("x", n))
		status, body := do(t, c, r)
		if status != 200 || len(body) != n {
			t.Fatalf("%d bytes: %d, %d bytes back", n, status, len(body))
		}
	}
}

func running(t *testing.T) *http1.Watchdog {
	t.Helper()
	w := http1.NewWatchdog()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = w.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return w
}
