package http1

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// What needs real sockets: the watch for a client that leaves, splicing, resets,
// half-closes, TLS. Waits are for events, with a limit of seconds for a failure.

// until waits for a condition that something else makes true.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); {
		if time.Now().After(end) {
			buf := make([]byte, 64<<10)
			t.Fatalf("%s: it did not happen\n%s", what, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// §11 Client gone: the upstream call is cancelled while the service makes us wait.
func TestSection11ClientGone(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*client){
		"closes":      func(c *client) { _ = c.Close() },
		"half-closes": func(c *client) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
		"resets":      func(c *client) { reset(c.Conn) },
		"closes with a pipelined request before": func(c *client) {
			c.send(getA)
			_ = c.Conn.(*net.TCPConn).CloseWrite()
		},
	} {
		for _, in := range []string{getA, post("Content-Length: 3\r\n") + "abc", post("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n"} {
			t.Run(name+" "+in[:4]+in[len(in)-5:], func(t *testing.T) {
				t.Parallel()
				asked, left := make(chan struct{}), make(chan struct{})
				g := newTCPRig(t, func(s *service) {
					s.request()
					close(asked)
					_, _ = s.in.ReadByte() // the end of the upstream connection
					close(left)
				})
				c := g.client()
				c.send(in)
				<-asked
				time.Sleep(2 * watchStep) // the watch begins
				leave(c)
				select {
				case <-left:
				case <-time.After(5 * time.Second):
					t.Fatal("the upstream call goes on")
				}
				until(t, "the connection's end", func() bool { return g.srv.Conns() == 0 })
				g.wantIdle(0)
				g.mu.Lock()
				defer g.mu.Unlock()
				if len(g.causes) != 1 || g.causes[0] != "client_gone" {
					t.Errorf("causes %q", g.causes)
				}
			})
		}
	}
}

// The client also counts as gone while a slow response is on its way.
func TestSection11ClientGoneInsideResponse(t *testing.T) {
	t.Parallel()
	said, left := make(chan struct{}), make(chan struct{})
	g := newTCPRig(t, func(s *service) {
		s.request()
		s.say(ok("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n") + "3\r\nabc\r\n")
		close(said)
		_, _ = s.in.ReadByte()
		close(left)
	})
	c := g.client()
	c.send(getA)
	<-said
	c.wait("abc\r\n")
	time.Sleep(2 * watchStep)
	_ = c.Close()
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the service streams on for nobody")
	}
	until(t, "the connection's end", func() bool { return g.srv.Conns() == 0 })
}

// The watch leaves pipelined bytes where they are, and a slow exchange does not
// spoil the connection for the next ones.
func TestClientWatchIsHarmless(t *testing.T) {
	t.Parallel()
	g := newTCPRig(t, func(s *service) {
		for {
			if _, ok := s.request(); !ok {
				return
			}
			time.Sleep(2 * watchStep)
			s.say(okay)
		}
	})
	c := g.client()
	for range 3 {
		c.send(getA + getA)
	}
	c.wait(strings.Repeat(gotOK, 6))
	g.untilIdle(1)
	if n := g.srv.Conns(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A watch that fires around the very end of an exchange: many exchanges of
// about its length, on many connections.
func TestClientWatchRace(t *testing.T) {
	t.Parallel()
	g := newTCPRig(t, func(s *service) {
		for {
			if _, ok := s.request(); !ok {
				return
			}
			time.Sleep(watchStep - 2*time.Millisecond + time.Duration(s.n%8)*time.Millisecond)
			s.say(okay)
		}
	})
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			c := g.client()
			for i := range 15 {
				if i%3 == 0 {
					c.send(post("Content-Length: 3\r\n") + "abc")
				} else {
					c.send(getA)
				}
				c.wait(strings.Repeat(gotOK, i+1))
			}
			_ = c.Close()
		})
	}
	wait.Wait()
}

// body makes n bytes that do not repeat in powers of two.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 31 >> 3)
	}
	return p
}

// §16.3 Large bodies with a length are spliced, both ways, whole and cut.
func TestSplice(t *testing.T) {
	t.Parallel()
	want := pattern(3 << 20)
	head := "Content-Length: " + itoa(len(want)) + "\r\n"
	g := newTCPRig(t, func(s *service) {
		for {
			h := s.head()
			if h == "" {
				return
			}
			body, _ := s.body(h)
			if !s.say(ok("Content-Length: "+itoa(len(body))+"\r\n") + body) {
				return
			}
		}
	})
	for range 3 {
		c := g.dialIn()
		go func() {
			for range 2 {
				_, _ = c.Write(append([]byte(post(head)), want...))
			}
		}()
		for range 2 {
			got := make([]byte, len(ok(head)))
			if _, err := readHead(c, got); err != nil {
				t.Fatal(err)
			}
			body := make([]byte, len(want))
			if _, err := io.ReadFull(c, body); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(body, want) {
				t.Fatal("the body is not the same")
			}
		}
		_ = c.Close()
	}
	g.untilIdle(1)
}

// readHead reads a head byte by byte, so that the body stays in the socket.
func readHead(c net.Conn, buf []byte) (string, error) {
	n := 0
	for !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
		if n == len(buf) {
			buf = append(buf, 0)
		}
		if _, err := io.ReadFull(c, buf[n:n+1]); err != nil {
			return string(buf[:n]), err
		}
		n++
	}
	return string(buf[:n]), nil
}

// A spliced body that is cut is never completed, and the right side is blamed.
func TestSpliceCut(t *testing.T) {
	t.Parallel()
	big := string(pattern(200 << 10))
	for name, end := range map[string]func(net.Conn){"by an end": func(c net.Conn) { _ = c.Close() }, "by a reset": reset} {
		t.Run("the service "+name, func(t *testing.T) {
			t.Parallel()
			g := newTCPRig(t, func(s *service) {
				s.request()
				s.say(ok("Content-Length: 1000000\r\n") + big)
				time.Sleep(5 * time.Millisecond)
				end(s.Conn)
			})
			c := g.client()
			c.send(getA)
			until(t, "the end", func() bool { return strings.HasSuffix(c.got(), ">") })
			_, err := g.outcome()
			if _, ok := errors.AsType[*bodyError](err); !ok {
				t.Errorf("outcome %v, want one of the body", err)
			}
			g.wantIdle(0)
		})
		t.Run("the client "+name, func(t *testing.T) {
			t.Parallel()
			got := make(chan int64, 1)
			g := newTCPRig(t, func(s *service) {
				s.head()
				n, _ := io.Copy(io.Discard, s.in)
				got <- n
			})
			c := g.client()
			c.send(post("Content-Length: 1000000\r\n") + big)
			time.Sleep(5 * time.Millisecond)
			end(c.Conn)
			select {
			case n := <-got:
				if n >= 1000000 {
					t.Errorf("the service got %d bytes", n)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("the service waits on")
			}
			until(t, "the connection's end", func() bool { return g.srv.Conns() == 0 })
			g.mu.Lock()
			defer g.mu.Unlock()
			if len(g.causes) != 1 || g.causes[0] != "client_gone" {
				t.Errorf("causes %q", g.causes)
			}
		})
	}
	t.Run("the reader leaves", func(t *testing.T) {
		t.Parallel()
		left := make(chan struct{})
		g := newTCPRig(t, func(s *service) {
			s.request()
			s.say(ok("Content-Length: 100000000\r\n"))
			for s.say(big) {
			}
			close(left)
		})
		c := g.dialIn()
		_, _ = io.WriteString(c, getA)
		_, _ = io.ReadFull(c, make([]byte, 100<<10))
		reset(c)
		select {
		case <-left:
		case <-time.After(5 * time.Second):
			t.Fatal("the service streams on for nobody")
		}
	})
}

// An early answer stops an upload that is being spliced.
func TestSpliceEarlyAnswer(t *testing.T) {
	t.Parallel()
	g := newTCPRig(t, func(s *service) {
		s.head()
		_, _ = io.CopyN(io.Discard, s.in, 150<<10)
		s.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, s.in)
	})
	c := g.client()
	c.send(post("Content-Length: 1000000\r\n") + string(pattern(200<<10))) // and then it waits
	c.wait("no")
	until(t, "the connection's end", func() bool { return g.srv.Conns() == 0 })
	g.wantIdle(0)
}

// The reader of a spliced body is slow: it gets everything, by copying.
func TestSpliceSlowReader(t *testing.T) {
	t.Parallel()
	want := pattern(1 << 20)
	g := newTCPRig(t, nil)
	var wait sync.WaitGroup
	t.Cleanup(wait.Wait)
	src, dst := pair(t), pair(t)
	in, out := new(input), new(output)
	in.init(Quick(src[0]), g.watch, nobody{src[0]})
	out.init(Quick(dst[0]), g.watch, nobody{dst[0]})
	out.limit, out.slow = time.Minute, false
	wait.Go(func() { _, _ = src[1].Write(want) })
	got := make(chan []byte, 1)
	wait.Go(func() {
		b := make([]byte, len(want))
		_, _ = io.ReadFull(dst[1], b)
		got <- b
	})
	var b bodyReader
	b.start(in, framingLength, int64(len(want)))
	var count int64
	n, err := out.move(&b, src[0], spliceFirst)
	if err != nil {
		t.Fatal(err)
	}
	count += n
	out.slow = true // as a part that took too long makes it
	for !b.Ended() {
		if _, err := out.writeMore(&b, int64(len(want)), false, &count); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(<-got, want) || count != int64(len(want)) {
		t.Errorf("%d bytes, or not the same", count)
	}
	in.close()
	out.close()
}

type nobody struct{ c net.Conn }

func (n nobody) expire(*watch) { _ = n.c.SetDeadline(longAgo) }

// pair gives both ends of a TCP connection.
func pair(t *testing.T) (ends [2]*net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return [2]*net.TCPConn{a.(*net.TCPConn), b.(*net.TCPConn)}
}

// A source that is silent for too long ends a spliced body, one that is only
// slow does not.
func TestSpliceSilence(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		g := newTCPRig(t, nil)
		src, dst := pair(t), pair(t)
		in, out := new(input), new(output)
		in.init(src[0], g.watch, nobody{src[0]})
		out.init(dst[0], g.watch, nobody{dst[0]})
		in.idle, out.limit = 100*time.Millisecond, time.Minute
		const size = 200_000
		go func() {
			for range 10 {
				_, _ = src[1].Write(pattern(size / 10))
				time.Sleep(20 * time.Millisecond)
				if silent {
					return
				}
			}
		}()
		go func() { _, _ = io.Copy(io.Discard, dst[1]) }()
		var b bodyReader
		b.start(in, framingLength, size)
		var count int64
		_, err := out.splice(&b, src[0], &count)
		var be *bodyError
		if silent && (!errors.As(err, &be) || !errors.Is(err, errTimeout)) || !silent && (err != nil || count != size) {
			t.Errorf("silent %v: %d bytes, %v", silent, count, err)
		}
	}
}

// §10 Tunnels over TCP: read-ahead bytes, half-close both ways, big data.
func TestTunnelTCP(t *testing.T) {
	t.Parallel()
	g := newTCPRig(t, echo)
	c := g.dialIn()
	want := pattern(1 << 20)
	go func() {
		_, _ = io.WriteString(c, upgrading)
		_, _ = c.Write(want)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	b, err := io.ReadAll(c)
	if got, rest, _ := strings.Cut(string(b), "hello "); err != nil || dateLine.ReplaceAllString(got, "") != gotSwitch || rest != string(want)+"<bye>" {
		t.Errorf("%q and %d bytes, %v", got, len(rest), err)
	}
	until(t, "the connection's end", func() bool { return g.srv.Conns() == 0 })
	g.wantIdle(0)
}

// A client that resets its tunnel ends the service's side at once.
func TestTunnelReset(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	g := newTCPRig(t, func(s *service) {
		s.request()
		s.say(switching)
		_, _ = s.in.ReadByte()
		close(left)
	})
	c := g.client()
	c.send(upgrading)
	c.wait("Connection: Upgrade\r\n\r\n")
	reset(c.Conn)
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the tunnel stays open")
	}
	until(t, "the connection's end", func() bool { return g.srv.Conns() == 0 })
}

// certificate makes a key pair for 127.0.0.1.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsRig serves and calls over TLS.
func tlsRig(t *testing.T, play func(*service)) *rig {
	t.Helper()
	g := newTCPRig(t, play)
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, InsecureSkipVerify: true}
	dial := func(serve func(net.Conn)) net.Conn {
		ends := pair(t)
		go func() {
			s := tls.Server(ends[1], cfg)
			if s.Handshake() == nil {
				serve(s)
			}
		}()
		c := tls.Client(ends[0], cfg)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	g.dialIn = func() net.Conn {
		return dial(func(c net.Conn) { g.srv.ServeConn(c, ConnInfo{Scheme: "https"}) })
	}
	g.dialUp = func() (net.Conn, error) {
		return dial(func(c net.Conn) {
			defer c.Close()
			s := &service{Conn: c, rig: g}
			s.in = newReader(c)
			g.play(s)
		}), nil
	}
	return g
}

// Over TLS both ways: exchanges, a client that leaves, a truncated body, a tunnel.
func TestTLS(t *testing.T) {
	t.Parallel()
	t.Run("exchanges", func(t *testing.T) {
		t.Parallel()
		g := tlsRig(t, answering(okay))
		c := g.client()
		for i := range 3 {
			c.send(getA + post("Content-Length: 3\r\n") + "abc")
			c.wait(strings.Repeat(gotOK, 2*i+2))
		}
		g.untilIdle(1)
	})
	t.Run("a large body", func(t *testing.T) {
		t.Parallel()
		want := string(pattern(500_000))
		g := tlsRig(t, func(s *service) {
			head := s.head()
			body, _ := s.body(head)
			s.say(ok("Content-Length: "+itoa(len(body))+"\r\n") + body)
		})
		c := g.client()
		go func() { _, _ = io.WriteString(c.Conn, post("Content-Length: 500000\r\n")+want) }()
		if got := c.wait(want[len(want)-1000:]); got != ok("Content-Length: 500000\r\n")+want {
			t.Error("not the same")
		}
	})
	t.Run("the client leaves", func(t *testing.T) {
		t.Parallel()
		asked, left := make(chan struct{}), make(chan struct{})
		g := tlsRig(t, func(s *service) {
			s.request()
			close(asked)
			_, _ = s.in.ReadByte()
			close(left)
		})
		c := g.client()
		c.send(getA)
		<-asked
		time.Sleep(2 * watchStep)
		_ = c.Close()
		select {
		case <-left:
		case <-time.After(5 * time.Second):
			t.Fatal("the upstream call goes on")
		}
	})
	t.Run("a slow exchange does not spoil the connection", func(t *testing.T) {
		t.Parallel()
		g := tlsRig(t, func(s *service) {
			for {
				if _, ok := s.request(); !ok {
					return
				}
				time.Sleep(2 * watchStep)
				s.say(okay)
			}
		})
		c := g.client()
		c.send(getA + getA)
		c.wait(gotOK + gotOK)
		c.send(getA)
		c.wait(gotOK + gotOK + gotOK)
	})
	t.Run("a close-delimited body that is cut", func(t *testing.T) {
		t.Parallel()
		g := tlsRig(t, func(s *service) {
			s.request()
			s.say(ok("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n")
		})
		c := g.client()
		c.send("GET /a HTTP/1.0\r\nHost: a\r\n\r\n")
		if got := c.wait(">"); !strings.HasSuffix(got, "<error>") {
			t.Errorf("it looks whole: %q", got)
		}
	})
	t.Run("a tunnel", func(t *testing.T) {
		t.Parallel()
		g := tlsRig(t, echo)
		c := g.client()
		c.send(upgrading + "early ")
		c.wait("hello early ")
		_ = c.Conn.(*tls.Conn).CloseWrite()
		c.wait("<bye><end>")
	})
}

// A stalled connection costs others nothing: 500 clients send half a head, one
// more is served.
func TestSlowClientsDoNotBlock(t *testing.T) {
	t.Parallel()
	g := newTCPRig(t, answering(okay))
	for range 500 {
		_, _ = io.WriteString(g.dialIn(), "GET / HTTP/1.1\r\nHost: a\r\nX")
	}
	c := g.client()
	began := time.Now()
	c.send(getA)
	c.wait(gotOK)
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %v", d)
	}
}

// A cancel at any moment leaves neither a goroutine nor a connection behind.
func TestCancelAnytime(t *testing.T) {
	t.Parallel()
	g := newTCPRig(t, func(s *service) {
		for {
			head := s.head()
			if head == "" {
				return
			}
			if _, whole := s.body(head); !whole {
				return
			}
			time.Sleep(time.Duration(s.n%5) * time.Millisecond)
			if !s.say(ok("Content-Length: 100000\r\n") + strings.Repeat("x", 100000)) {
				return
			}
		}
	})
	errGivenUp := errors.New("given up")
	g.mu.Lock()
	g.handle = func(r *message.Request) *message.Response {
		fired := make(chan struct{})
		timer := time.AfterFunc(time.Duration(len(r.Query))*time.Millisecond, func() { r.X.Cancel(errGivenUp); close(fired) })
		p := g.forward(r)
		if !timer.Stop() {
			<-fired // nobody may touch a request that was released
		}
		return p
	}
	g.mu.Unlock()
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			c := g.dialIn()
			q := strings.Repeat("x", i%8)
			if i%2 == 0 {
				_, _ = io.WriteString(c, "GET /?"+q+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			} else {
				_, _ = io.WriteString(c, "POST /?"+q+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("y", 100000))
			}
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		})
	}
	wait.Wait()
	until(t, "the connections' end", func() bool { return g.srv.Conns() == 0 })
}

// untilIdle waits for n connections in the pool: the client has its answer a
// moment before the connection is given back.
func (g *rig) untilIdle(n int) {
	g.t.Helper()
	until(g.t, "connections in the pool", func() bool { _, idle, _ := g.counts(); return idle == n })
}
