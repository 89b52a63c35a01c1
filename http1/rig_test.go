package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/message"
)

// rig is a whole proxy: a client's bytes go through a real Server, a handler
// that strips and forwards, and real ClientConns to a service that the test
// plays. Over memnet it runs inside a synctest bubble, over TCP on loopback.
type rig struct {
	t      *testing.T
	srv    *Server
	limits ResponseLimits
	opts   RoundTripOptions
	handle func(*message.Request) *message.Response // nil: forward
	play   func(*service)

	watch  *Watchdog
	dialIn func() net.Conn
	dialUp func() (net.Conn, error)
	stop   func()

	mu     sync.Mutex
	idle   []*ClientConn
	far    []net.Conn // the service's ends
	dials  int
	seen   []string // requests as the service read them
	done   []string // what Server.Done was told: "GET /path 200" and the error's class
	errs   []error
	causes []string // reasons of refusals
}

// service is the other end of one upstream connection.
type service struct {
	net.Conn
	rig *rig
	in  *bufio.Reader
	n   int // requests read
}

// newRig makes a rig over memnet; call it inside a bubble.
func newRig(t *testing.T, play func(*service)) *rig {
	t.Helper()
	front, back := memnet.Listen("front"), memnet.Listen("back")
	g := &rig{t: t, play: play}
	g.dialIn = func() net.Conn {
		c, err := front.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	g.dialUp = func() (net.Conn, error) { return back.Dial(t.Context()) }
	g.start(front, back)
	return g
}

// newTCPRig makes a rig on loopback.
func newTCPRig(t *testing.T, play func(*service)) *rig {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	front, back := listen(), listen()
	g := &rig{t: t, play: play}
	dial := func(l net.Listener) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	g.dialIn = func() net.Conn {
		c, err := dial(front)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	g.dialUp = func() (net.Conn, error) { return dial(back) }
	g.start(front, back)
	t.Cleanup(g.close)
	return g
}

// start runs everything; close ends it.
func (g *rig) start(front, back net.Listener) {
	g.watch = NewWatchdog()
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = g.watch.Run(ctx) })
	g.srv = &Server{
		Watch: g.watch,
		Handler: func(r *message.Request) *message.Response {
			g.mu.Lock()
			handle := g.handle
			g.mu.Unlock()
			if handle != nil {
				return handle(r)
			}
			return g.forward(r)
		},
		Done: func(r *message.Request, p *message.Response, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.done = append(g.done, strings.Clone(r.Method+" "+r.Path)+" "+strconv.Itoa(p.Status))
			g.errs = append(g.errs, err)
		},
		Refuse: func(ref *Refusal, _ netip.AddrPort, _ []byte) *message.Response {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.causes = append(g.causes, ref.Reason)
			p := message.NewResponse(ref.Status)
			p.SetBytes([]byte(ref.Reason))
			return p
		},
	}
	accept := func(l net.Listener, serve func(net.Conn)) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { serve(c) })
		}
	}
	wait.Go(func() {
		accept(front, func(c net.Conn) { g.srv.ServeConn(c, ConnInfo{Scheme: "http", Listener: "public"}) })
	})
	wait.Go(func() {
		accept(back, func(c net.Conn) {
			defer c.Close()
			g.mu.Lock()
			g.far = append(g.far, c)
			g.mu.Unlock()
			g.play(&service{Conn: c, rig: g, in: bufio.NewReader(c)})
		})
	})
	g.stop = sync.OnceFunc(func() {
		_ = front.Close()
		_ = back.Close()
		g.srv.CloseAll()
		g.closeIdle()
		cancel()
		wait.Wait()
	})
}

func (g *rig) close() { g.stop() }

func (g *rig) closeIdle() {
	g.mu.Lock()
	idle := g.idle
	g.idle = nil
	for _, c := range g.far {
		_ = c.Close()
	}
	g.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

// forward sends a request to the service, on the newest idle connection or a
// new one, as upstream does.
func (g *rig) forward(r *message.Request) *message.Response {
	if err := StripRequest(r); err != nil {
		return g.fail(err)
	}
	c, err := g.conn()
	if err != nil {
		return g.fail(err)
	}
	o := g.opts
	o.Host = r.Authority
	o.OnIdle = func(c *ClientConn, reusable bool) {
		if !reusable {
			_ = c.Close()
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.idle = append(g.idle, c)
	}
	p, err := c.RoundTrip(r, &o)
	if err != nil {
		return g.fail(err)
	}
	return p
}

func (g *rig) conn() (*ClientConn, error) {
	g.mu.Lock()
	if n := len(g.idle); n > 0 {
		c := g.idle[n-1]
		g.idle = g.idle[:n-1]
		g.mu.Unlock()
		return c, nil
	}
	g.dials++
	g.mu.Unlock()
	nc, err := g.dialUp()
	if err != nil {
		return nil, err
	}
	return NewClientConn(nc, &ClientConfig{Limits: g.limits.WithDefaults(), Watch: g.watch}), nil
}

// fail answers as edge would, with the reason as the body.
func (g *rig) fail(err error) *message.Response {
	status, word := 502, "reset"
	var ref *Refusal
	var ce *ConnError
	switch {
	case errors.As(err, &ref):
		status, word = ref.Status, ref.Reason
	case errors.Is(err, message.ErrClientGone):
		status, word = 499, "client_gone"
	case errors.As(err, &ce) && ce.Timeout:
		status, word = 504, "timeout"
	}
	g.mu.Lock()
	g.causes = append(g.causes, word)
	g.mu.Unlock()
	p := message.NewResponse(status)
	p.SetBytes([]byte(word))
	p.Close = status < 500
	return p
}

// counts are what the rig remembers of the service side.
func (g *rig) counts() (dials, idle int, seen []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dials, len(g.idle), append([]string(nil), g.seen...)
}

// outcome gives the last exchange's line and error as Server.Done was told.
func (g *rig) outcome() (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.done) == 0 {
		return "", nil
	}
	return g.done[len(g.done)-1], g.errs[len(g.errs)-1]
}

// head reads one request head; "" at the end of the connection.
func (s *service) head() string {
	var b strings.Builder
	for {
		line, err := s.in.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return ""
		}
		if line == "\r\n" {
			s.n++
			return b.String()
		}
	}
}

// request reads one whole request as it came and notes it. What was cut short
// is noted with "…" at its end; then the connection is over.
func (s *service) request() (string, bool) {
	head := s.head()
	if head == "" {
		return "", false
	}
	body, whole := s.body(head)
	text := head + body
	if !whole {
		text += "…"
	}
	s.rig.mu.Lock()
	s.rig.seen = append(s.rig.seen, text)
	s.rig.mu.Unlock()
	return text, whole
}

var lengthLine = regexp.MustCompile(`(?im)^content-length: (\d+)\r$`)

func (s *service) body(head string) (string, bool) {
	if m := lengthLine.FindStringSubmatch(head); m != nil {
		n, _ := strconv.Atoi(m[1])
		buf := make([]byte, n)
		got, err := io.ReadFull(s.in, buf)
		return string(buf[:got]), err == nil
	}
	if !strings.Contains(head, "Transfer-Encoding: chunked\r\n") {
		return "", true
	}
	return s.chunked()
}

// chunked gives a chunked body as "{payload}" and the trailer lines behind it.
func (s *service) chunked() (string, bool) {
	text := "{"
	for {
		line, err := s.in.ReadString('\n')
		n, perr := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 32)
		if err != nil || perr != nil {
			return text, false
		}
		if n == 0 {
			break
		}
		data := make([]byte, n+2)
		if _, err := io.ReadFull(s.in, data); err != nil {
			return text, false
		}
		text += string(data[:n])
	}
	for text += "}"; ; {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return text, false
		}
		if line == "\r\n" {
			return text, true
		}
		text += line
	}
}

func (s *service) say(text string) bool {
	_, err := io.WriteString(s.Conn, text)
	return err == nil
}

// answering answers the requests of a connection with the given texts, the last
// one again and again.
func answering(texts ...string) func(*service) {
	return func(s *service) {
		for {
			if _, ok := s.request(); !ok {
				return
			}
			if !s.say(texts[min(s.n, len(texts))-1]) {
				return
			}
		}
	}
}

// okay is a plain answer.
const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// client is the test's end of a client connection; what comes back is collected.
type client struct {
	net.Conn
	t    *testing.T
	mu   sync.Mutex
	cond *sync.Cond
	buf  bytes.Buffer
	err  error // of reading; io.EOF for an orderly end
}

func (g *rig) client() *client {
	c := &client{Conn: g.dialIn(), t: g.t}
	c.cond = sync.NewCond(&c.mu)
	go func() {
		p := make([]byte, 16<<10)
		for {
			n, err := c.Conn.Read(p)
			c.mu.Lock()
			c.buf.Write(p[:n])
			c.err = err
			c.cond.Broadcast()
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatalf("client writes: %v", err)
	}
}

var dateLine = regexp.MustCompile(`(?m)^Date: .* GMT\r\n`)

// got is everything that came so far, without Date; "<end>" and "<error>" tell
// how the connection ended.
func (c *client) got() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text()
}

func (c *client) text() string {
	text := dateLine.ReplaceAllString(c.buf.String(), "")
	switch {
	case c.err == nil:
	case errors.Is(c.err, io.EOF):
		text += "<end>"
	default:
		text += "<error>"
	}
	return text
}

// wait blocks until what came ends with suffix, at most for a while.
func (c *client) wait(suffix string) string {
	c.t.Helper()
	timer := time.AfterFunc(5*time.Second, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.err = errors.New("nothing more came")
		}
		c.cond.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		text := c.text()
		if strings.HasSuffix(text, suffix) {
			return text
		}
		if c.err != nil {
			c.t.Errorf("got %q (%v), want an end like %q", text, c.err, suffix)
			return text
		}
		c.cond.Wait()
	}
}

// bubble runs a test over memnet with a clock of its own.
func bubble(t *testing.T, play func(*service), test func(g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, play)
		defer g.close()
		test(g)
	})
}

// row is one exchange or more through the whole proxy: the client sends in, the
// service answers say, the client gets want (without Date) and the service saw sees.
type row struct {
	name string
	in   string
	say  []string // answers of the service in order; none: okay
	want string
	sees []string
	// idle is how many upstream connections are in the pool afterwards.
	idle int
	set  func(g *rig)
}

// run runs rows, each in a bubble, whole and byte by byte.
func run(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		if len(r.say) == 0 {
			r.say = []string{okay}
		}
		for _, step := range []int{0, 1} {
			if step > 0 && len(r.in) > 4096 {
				continue
			}
			name := r.name
			if step > 0 {
				name += ", byte by byte"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bubble(t, answering(r.say...), func(g *rig) { r.play(t, g, step) })
			})
		}
	}
}

func (r *row) play(t *testing.T, g *rig, step int) {
	t.Helper()
	if r.set != nil {
		r.set(g)
	}
	c := g.client()
	defer c.Close()
	for rest := r.in; rest != ""; {
		n := len(rest)
		if step > 0 {
			n = step
		}
		// The connection may be over: writing on is what clients do.
		if _, err := io.WriteString(c.Conn, rest[:n]); err != nil {
			break
		}
		synctest.Wait()
		rest = rest[n:]
	}
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
	if got := c.got(); got != r.want {
		t.Errorf("client got\n%q, want\n%q", got, r.want)
	}
	_, idle, seen := g.counts()
	if len(seen) != len(r.sees) {
		t.Errorf("service saw %q, want %q", seen, r.sees)
		return
	}
	for i := range seen {
		want, cut := strings.CutSuffix(r.sees[i], "…")
		if cut && strings.HasPrefix(seen[i], want) && strings.HasSuffix(seen[i], "…") {
			continue // how much of a cut body gets through depends on its pieces
		}
		if seen[i] != r.sees[i] {
			t.Errorf("service saw\n%q, want\n%q", seen[i], r.sees[i])
		}
	}
	if idle != r.idle {
		t.Errorf("%d connections in the pool, want %d", idle, r.idle)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }
