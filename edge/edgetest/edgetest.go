// Package edgetest runs a whole gateway on loopback for tests, between a raw
// client and a raw service, so that a test says and sees the very bytes.
//
// The flow: [NewService] starts a service that records each request as it came
// and answers with bytes of the test's choice. [Start] builds and swaps an
// edge.Config; [Gateway.Say] dials a listener, writes bytes and reads what
// comes back. What the gateway told its house (refusals, exchanges, filter
// events, log lines) is collected in the Gateway.
//
// It is test support and never reaches the binary.
package edgetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/upstream"
)

// patience bounds everything that a test waits for.
const patience = 10 * time.Second

// Exchange is what the gateway reported of one exchange.
type Exchange struct {
	Status                 int
	Reason, Route, Service string
	Trace                  [16]byte
	Client                 string
	Cause                  error // of the problem, for the log
	Err                    error // why the answer was not delivered whole
}

// Gateway is a running gateway and what it reported.
type Gateway struct {
	// Server serves; Env is what Build and Server were given.
	Server edge.Server
	Env    edge.Env

	t    testing.TB
	log  lockedBuffer
	mu   sync.Mutex
	done []Exchange
	// refused and counted hold "listener reason" and "filter owner reason".
	refused, counted []string
	changed          *sync.Cond
}

// Start builds cfg and serves it until the test ends.
func Start(t testing.TB, cfg edge.Config) *Gateway {
	t.Helper()
	return StartWith(t, cfg, func(*edge.Env) {})
}

// StartWith is Start with a change to what the gateway uses of its house.
func StartWith(t testing.TB, cfg edge.Config, change func(*edge.Env)) *Gateway {
	t.Helper()
	g := &Gateway{t: t}
	g.changed = sync.NewCond(&g.mu)
	watch := http1.NewWatchdog()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = watch.Run(ctx) }()
	g.Env = edge.Env{
		Log:   slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Watch: watch, Done: g.onDone,
		Refused: func(listener, reason string) { g.note(&g.refused, listener+" "+reason) },
		Count:   func(filter, owner, reason string) { g.note(&g.counted, filter+" "+owner+" "+reason) },
	}
	change(&g.Env)
	g.Server.Env = g.Env
	t.Cleanup(func() {
		cut, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // a test waits for nobody
		defer cancel()
		_ = g.Server.Drain(cut)
		stop()
		<-ended
	})
	g.Swap(cfg)
	return g
}

// Swap makes another configuration live.
func (g *Gateway) Swap(cfg edge.Config) {
	g.t.Helper()
	rt, err := edge.Build(cfg, g.Env, g.Server.Runtime())
	if err != nil {
		g.t.Fatalf("build: %v", err)
	}
	if err := g.Server.Swap(rt); err != nil {
		g.t.Fatalf("swap: %v", err)
	}
}

func (g *Gateway) onDone(r *message.Request, p *message.Response, err error) {
	x := &r.X
	e := Exchange{
		Status: p.Status, Reason: strings.Clone(x.Reason), Route: x.Route, Service: x.Service,
		Trace: x.Trace.ID, Client: x.Client.String(), Cause: x.Cause, Err: err,
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done = append(g.done, e)
	g.changed.Broadcast()
}

func (g *Gateway) note(list *[]string, what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*list = append(*list, what)
	g.changed.Broadcast()
}

// Done waits until n exchanges were reported and gives them.
func (g *Gateway) Done(n int) []Exchange {
	g.t.Helper()
	g.await(func() bool { return len(g.done) >= n }, "%d exchanges", n)
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Exchange(nil), g.done...)
}

// AwaitRefused waits until a refusal "listener reason" was counted n times.
func (g *Gateway) AwaitRefused(what string, n int) {
	g.t.Helper()
	g.await(func() bool { return times(g.refused, what) >= n }, "refusal %q × %d", what, n)
}

// AwaitCount waits until an event "filter owner reason" was counted n times.
func (g *Gateway) AwaitCount(what string, n int) {
	g.t.Helper()
	g.await(func() bool { return times(g.counted, what) >= n }, "event %q × %d", what, n)
}

// Refused gives what was refused so far.
func (g *Gateway) Refused() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.refused...)
}

// Log gives the log so far.
func (g *Gateway) Log() string { return g.log.String() }

// await waits for a condition, which is looked at under the lock.
func (g *Gateway) await(ok func() bool, format string, args ...any) {
	g.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		late = true
		g.changed.Broadcast()
	})
	defer timer.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for !ok() {
		if late {
			g.t.Fatalf("waited in vain for %s; refused %q, counted %q, done %+v\nlog:\n%s",
				fmt.Sprintf(format, args...), g.refused, g.counted, g.done, g.log.String())
		}
		g.changed.Wait()
	}
}

func times(list []string, what string) (n int) {
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}

// Addr is where a listener is bound.
func (g *Gateway) Addr(listener string) string {
	g.t.Helper()
	a := g.Server.Addr(listener)
	if a == nil {
		g.t.Fatalf("there is no listener %q", listener)
	}
	return a.String()
}

// Dial opens a connection to a listener; the test's end closes it.
func (g *Gateway) Dial(listener string) net.Conn {
	g.t.Helper()
	var d net.Dialer
	c, err := d.DialContext(g.t.Context(), "tcp", g.Addr(listener))
	if err != nil {
		g.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	g.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Say writes bytes to a listener on a new connection and reads one answer. In
// text, line ends "\n" become CRLF.
func (g *Gateway) Say(listener, text string) *Answer {
	g.t.Helper()
	return Talk(g.t, g.Dial(listener), text)
}

// Talk writes text, with CRLF for "\n", and reads one answer.
func Talk(t testing.TB, c net.Conn, text string) *Answer {
	t.Helper()
	if _, err := io.WriteString(c, Wire(text)); err != nil {
		t.Fatalf("write: %v", err)
	}
	a, err := Read(c, strings.HasPrefix(text, "HEAD "))
	if err != nil {
		t.Fatalf("read the answer to %q: %v", text, err)
	}
	return a
}

// Wire is text with CRLF for each "\n" that has no CR yet.
func Wire(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
}

// Answer is one response as it came.
type Answer struct {
	Status int
	Header textproto.MIMEHeader
	Body   string
	// Interim are the statuses of 1xx responses before it.
	Interim []int
}

// Read reads one response from a connection, and maybe more.
func Read(c net.Conn, head bool) (*Answer, error) { return ReadAnswer(bufio.NewReader(c), head) }

// ReadAnswer reads one response; head says that it answers a HEAD request.
func ReadAnswer(r *bufio.Reader, head bool) (*Answer, error) {
	a := &Answer{}
	for {
		tr := textproto.NewReader(r)
		line, err := tr.ReadLine()
		if err != nil {
			return nil, err
		}
		if len(line) < 12 {
			return nil, fmt.Errorf("%q is no status line", line)
		}
		if a.Status, err = strconv.Atoi(line[9:12]); err != nil {
			return nil, fmt.Errorf("%q is no status line: %w", line, err)
		}
		if a.Header, err = tr.ReadMIMEHeader(); err != nil {
			return nil, err
		}
		if a.Status >= 200 || a.Status == 101 {
			break
		}
		a.Interim = append(a.Interim, a.Status)
	}
	if head || a.Status == 204 || a.Status == 304 || a.Status == 101 {
		return a, nil
	}
	body, err := readBody(r, a.Header, true)
	a.Body = string(body)
	return a, err
}

// readBody reads a framed body; toEnd says that one without framing ends with
// the connection.
func readBody(r *bufio.Reader, h textproto.MIMEHeader, toEnd bool) ([]byte, error) {
	if strings.EqualFold(h.Get("Transfer-Encoding"), "chunked") {
		return readChunks(r)
	}
	if v := h.Get("Content-Length"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, err
		}
		body := make([]byte, n)
		_, err = io.ReadFull(r, body)
		return body, err
	}
	if toEnd {
		return io.ReadAll(r)
	}
	return nil, nil
}

// readChunks reads a chunked body with its trailers, which stand behind the body
// as they came.
func readChunks(r *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return body, err
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 16, 31)
		if err != nil {
			return body, fmt.Errorf("chunk size: %w", err)
		}
		if n == 0 {
			break
		}
		data := make([]byte, n+2)
		if _, err := io.ReadFull(r, data); err != nil {
			return body, err
		}
		body = append(body, data[:n]...)
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return body, err
		}
		if line == "\r\n" {
			return body, nil
		}
		body = append(body, line...)
	}
}

// Service is a raw HTTP/1 service that records what it gets.
type Service struct {
	ln       net.Listener
	answer   func(request string) string
	mu       sync.Mutex
	requests []string
	conns    map[net.Conn]bool
}

// OK is an answer for NewService.
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// NewService starts a service on loopback until the test ends. answer gives the
// bytes to send for a request; "" closes the connection without an answer. A
// nil answer says OK.
func NewService(t testing.TB, answer func(request string) string) *Service {
	t.Helper()
	if answer == nil {
		answer = func(string) string { return OK }
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{ln: ln, answer: answer, conns: make(map[net.Conn]bool)}
	var alive sync.WaitGroup
	alive.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			alive.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		alive.Wait()
	})
	return s
}

func (s *Service) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		text, err := readRequest(r)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, text)
		s.mu.Unlock()
		answer := s.answer(text)
		if answer == "" {
			return
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// readRequest reads one request as it came, its body decoded.
func readRequest(r *bufio.Reader) (string, error) {
	var head bytes.Buffer
	tr := textproto.NewReader(bufio.NewReader(io.TeeReader(&lineReader{r: r}, &head)))
	if _, err := tr.ReadLine(); err != nil {
		return "", err
	}
	h, err := tr.ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	body, err := readBody(r, h, false)
	return head.String() + string(body), err
}

// lineReader gives a head line by line and nothing behind it.
type lineReader struct {
	r    *bufio.Reader
	rest []byte
	over bool
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if l.over {
			return 0, io.EOF
		}
		line, err := l.r.ReadBytes('\n')
		if err != nil {
			return 0, err
		}
		l.rest, l.over = line, len(line) == 2
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// URL is the service's address.
func (s *Service) URL() string { return "http://" + s.ln.Addr().String() }

// Open counts the connections that are open.
func (s *Service) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Requests gives what came so far, each as its bytes.
func (s *Service) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Last gives the newest request, "" when none came.
func (s *Service) Last() string {
	all := s.Requests()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// Field gives the values of a field in a request as bytes, each line apart.
func Field(request, name string) []string {
	var out []string
	for line := range strings.SplitSeq(request, "\r\n") {
		if line == "" {
			break
		}
		n, v, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(n, name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// Config routes everything that comes to the listener "public" to the service at
// url; change what it gives to test more.
func Config(t testing.TB, url string, listener edge.ListenerConfig) edge.Config {
	t.Helper()
	if listener.Address == "" {
		listener.Address = "127.0.0.1:0"
	}
	return edge.Config{
		Listen: map[string]edge.ListenerConfig{"public": listener},
		Services: map[string]edge.ServiceConfig{
			"service": {Config: upstream.Config{URL: url}},
		},
		Routes: []edge.RouteConfig{{Name: "all", Match: Match(t, "/{rest...}"), To: "service"}},
	}
}

// Match reads the short form of a match.
func Match(t testing.TB, text string) route.Match {
	t.Helper()
	var m route.Match
	if err := m.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

// lockedBuffer is a buffer that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// NewSilent starts a service that takes connections and never says a word.
func NewSilent(t testing.TB) *Service {
	t.Helper()
	over := make(chan struct{})
	s := NewService(t, func(string) string { <-over; return "" })
	t.Cleanup(func() { close(over) })
	return s
}
