package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// soakTime is how long TestSoak runs: MARU_SOAK, or a few seconds.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("MARU_SOAK")
	if text == "" {
		return 6 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// soak is load of several kinds on one maru. No client sends anything again that
// may have been taken.
type soak struct {
	p       *process
	ctx     context.Context // ends when the load does
	clients sync.WaitGroup
	sockets atomic.Int64 // WebSockets that are open

	mu     sync.Mutex
	counts map[string]int // exchanges by kind
	faults []string
}

func (s *soak) count(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[kind]++
}

func (s *soak) fault(kind string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf("%s %s: %v", time.Now().Format("05.000"), kind, err))
}

// backend answers /echo with the body it got, /text with its name, /stream with
// a line now and then until the client has enough, /ws with an echo.
func soakBackend(t *testing.T, name string) *httptest.Server {
	t.Helper()
	tunnel := echoes(t, name)
	mux := http.NewServeMux()
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(name), 64<<10)) })
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // net/http gives up reading once it writes
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			fmt.Fprintln(w, name)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	mux.Handle("/ws", tunnel.Config.Handler)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// raw is an HTTP/1.1 client that hides nothing: it sends on a connection until
// that is closed as announced, and fails on every other end.
type raw struct {
	address string
	fresh   bool // a new connection for each request
	conn    net.Conn
	r       *bufio.Reader
}

func (c *raw) do(ctx context.Context, method, path, body string) (string, error) {
	if c.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return "", err
		}
		c.conn, c.r = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: soak\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body); err != nil {
		return "", fmt.Errorf("send: %w", err)
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", fmt.Errorf("head: %w", err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("body: %w", err)
	}
	if c.fresh || res.Close {
		c.close()
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", res.StatusCode, text)
	}
	return string(text), nil
}

func (c *raw) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// plain runs requests one after the other.
func (s *soak) plain(kind, method, path, body string, fresh bool) {
	c := &raw{address: s.p.front, fresh: fresh}
	defer c.close()
	for s.ctx.Err() == nil {
		text, err := c.do(context.WithoutCancel(s.ctx), method, path, body)
		switch {
		case err != nil:
			s.fault(kind, err)
			c.close()
		case body != "" && text != body, text == "":
			s.fault(kind, fmt.Errorf("got %d bytes, want %d", len(text), len(body)))
		}
		s.count(kind)
		time.Sleep(time.Duration(1+rand.IntN(8)) * time.Millisecond)
	}
}

// http2 runs requests over HTTP/2 without TLS, several at once on a connection.
// net/http sends a POST again only when it could not be sent at all, because the
// connection began to end, or when GOAWAY says that it was not taken.
func (s *soak) http2() {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var streams sync.WaitGroup
	for range 4 {
		streams.Go(func() {
			for s.ctx.Err() == nil {
				if err := s.http2Once(client); err != nil {
					s.fault("h2", err)
				}
				s.count("h2")
				time.Sleep(time.Duration(1+rand.IntN(8)) * time.Millisecond)
			}
		})
	}
	streams.Wait()
}

func (s *soak) http2Once(client *http.Client) error {
	body := strings.Repeat("h2", 5000)
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.ctx), http.MethodPost, "http://"+s.p.front+"/a/echo", strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || res.ProtoMajor != 2 || string(text) != body) {
		err = fmt.Errorf("HTTP/%d status %d, %d bytes", res.ProtoMajor, res.StatusCode, len(text))
	}
	return err
}

// socket holds one WebSocket open for the whole time.
func (s *soak) socket() {
	ctx := context.WithoutCancel(s.ctx)
	c, _, err := websocket.Dial(ctx, "ws://"+s.p.front+"/ws", nil)
	if err != nil {
		s.fault("websocket", err)
		return
	}
	defer c.CloseNow() //nolint:errcheck // closed below
	s.sockets.Add(1)
	defer s.sockets.Add(-1)
	for i := 0; s.ctx.Err() == nil; i++ {
		if err := echo(ctx, c, fmt.Sprint("message ", i)); err != nil {
			s.fault("websocket", err)
			return
		}
		s.count("websocket")
		time.Sleep(time.Duration(20+rand.IntN(40)) * time.Millisecond)
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		s.fault("websocket", fmt.Errorf("close: %w", err))
	}
}

// configuration is the i-th variant: other endpoints, routes that come and go,
// another listener, other limits, another name for the listener.
func (s *soak) configuration(i int, backends []*httptest.Server, extra string) string {
	var b strings.Builder
	name := "public"
	if i%20 >= 15 {
		name = "main"
	}
	fmt.Fprintf(&b, "listen:\n  %s: {address: %q, h2c: true, limits: {header-count: %d}}\n", name, s.p.front, 100+i/10%2)
	if i%4 == 3 {
		fmt.Fprintf(&b, "  extra: {address: %q}\n", extra)
	}
	fmt.Fprintf(&b, "services:\n  a:\n    urls:\n")
	for k, s := range backends {
		if k == i%len(backends) || k == (i+1)%len(backends) {
			fmt.Fprintf(&b, "      - %s\n", s.URL)
		}
	}
	fmt.Fprintf(&b, "  tunnel: {url: %q}\n", backends[0].URL)
	fmt.Fprintf(&b, "routes:\n")
	for k := range i % 5 {
		fmt.Fprintf(&b, "  - {match: 'GET /more/%d', to: tunnel}\n", k)
	}
	if i%2 == 1 {
		b.WriteString("  - {match: '/a/{rest...}', filters: [{strip: /a}, {headers: {request: {set: {X-Soak: soaked}}}}], to: a}\n")
	} else {
		b.WriteString("  - {match: '/a/{rest...}', filters: [{strip: /a}], to: a}\n")
	}
	b.WriteString("  - {match: '/ws', to: tunnel}\n")
	return b.String()
}

// change makes n changes over the time that the load runs, and one upgrade in
// the middle. Every change must become live.
func (s *soak) change(n int, every time.Duration, backends []*httptest.Server) {
	extra := freeAddress(s.p.t)
	hash := s.p.live().Hash
	for i := 1; i <= n; i++ {
		began := time.Now()
		if i == n/2 {
			s.upgrade()
		}
		s.p.write(s.configuration(i, backends, extra), i%3 != 0)
		switch i % 10 {
		case 4:
			_ = syscall.Kill(s.p.pid(), syscall.SIGHUP)
		case 7:
			s.p.ask("POST", "/v1/config/reload")
		}
		// Versions tell nothing here: those of a successor begin at 1, and for a
		// moment both processes answer. Each file differs from the one before.
		before := hash
		s.p.until("the change is live", func() bool {
			l := s.p.live()
			if l.LastError != nil {
				s.p.t.Fatalf("change %d was refused: %+v", i, l.LastError)
			}
			hash = l.Hash
			return hash != "" && hash != before
		})
		time.Sleep(every - time.Since(began))
	}
}

func (s *soak) upgrade() {
	old := s.p.pid()
	if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
		s.p.t.Fatal(err)
	}
	s.p.until("the successor serves", func() bool { return s.p.pid() != old && strings.Contains(s.p.log.String(), "upgraded; draining") })
}

// TestSoak is the bar of pains 1 and 4: reloads, endpoint changes and one binary
// upgrade under mixed load, no failed request and no closed WebSocket.
func TestSoak(t *testing.T) {
	d := soakTime(t)
	backends := []*httptest.Server{soakBackend(t, "one"), soakBackend(t, "two"), soakBackend(t, "three")}
	p := newProcess(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := &soak{p: p, ctx: ctx, counts: make(map[string]int)}
	p.write(s.configuration(0, backends, ""), false)
	p.start("--drain-wait", "100ms")

	for range 8 {
		s.clients.Go(s.socket)
	}
	for range 3 {
		s.clients.Go(func() { s.plain("keep-alive", "GET", "/a/text", "", false) })
		s.clients.Go(func() { s.plain("post", "POST", "/a/echo", strings.Repeat("x", 20_000), false) })
		s.clients.Go(func() { s.plain("new connection", "GET", "/a/text", "", true) })
	}
	s.clients.Go(func() { s.plain("large", "GET", "/a/large", "", false) })
	s.clients.Go(func() { s.plain("slow", "GET", "/a/slow", "", false) })
	s.clients.Go(s.http2)
	p.until("all WebSockets are open", func() bool { return s.sockets.Load() == 8 })

	const every = 300 * time.Millisecond
	n := int(d / every)
	s.change(n, every, backends)
	if open := s.sockets.Load(); open != 8 {
		t.Errorf("%d of 8 WebSockets are open at the end", open)
	}
	stop()
	s.clients.Wait()
	if code := p.exit(); code != 0 { // the old process, once its last tunnel has ended
		t.Errorf("the old process ended with %d", code)
	}
	t.Logf("%d changes and an upgrade in %s; exchanges: %v", n, d, s.counts)
	if len(s.faults) > 0 {
		t.Errorf("%d faults:\n%s", len(s.faults), strings.Join(s.faults[:min(len(s.faults), 20)], "\n"))
	}
}
