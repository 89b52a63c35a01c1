package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/message"
)

// after lets d pass and everything that can happen by then happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *client) want(want string) {
	c.t.Helper()
	if got := c.got(); got != want {
		c.t.Errorf("client got\n%q, want\n%q", got, want)
	}
}

func (g *rig) wantSeen(want ...string) {
	g.t.Helper()
	_, _, seen := g.counts()
	if strings.Join(seen, "|") != strings.Join(want, "|") {
		g.t.Errorf("service saw\n%q, want\n%q", seen, want)
	}
}

func (g *rig) wantIdle(want int) {
	g.t.Helper()
	if _, idle, _ := g.counts(); idle != want {
		g.t.Errorf("%d connections in the pool, want %d", idle, want)
	}
}

const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

// §10 1xx (RFC 9110 §15.2).
func TestSection10Interim(t *testing.T) {
	t.Parallel()
	run(t, []row{
		{name: "unknown ones too", in: getA, say: []string{"HTTP/1.1 142 Hm\r\nConnection: x-a\r\nX-A: 1\r\nA: b\r\n\r\n" + okay}, want: "HTTP/1.1 142 Hm\r\nA: b\r\n\r\n" + gotOK, sees: []string{sawA}, idle: 1},
		{name: "never to 1.0", in: "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", say: []string{hints + okay}, want: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", sees: []string{sawA}, idle: 1},
		{name: "100 is for us", in: getA, say: []string{"HTTP/1.1 100 Continue\r\n\r\n" + okay}, want: gotOK, sees: []string{sawA}, idle: 1},
		{name: "many, one after the other", in: getA, say: []string{strings.Repeat(hints, 8) + okay}, want: strings.Repeat(hints, 8) + gotOK, sees: []string{sawA}, idle: 1},
		{name: "unasked 101", in: getA + getA, say: []string{"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw", okay}, want: bad(ReasonUnexpected101) + bad(ReasonUnexpected101), sees: []string{sawA, sawA}},
	})
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) {
			s.request()
			s.say(hints)
			time.Sleep(time.Second)
			s.say(okay)
			s.request()
		}, func(g *rig) {
			c := g.client()
			c.send(getA)
			after(10 * time.Millisecond)
			c.want(hints)
			after(time.Second)
			c.want(hints + gotOK)
		})
	})
}

const (
	expecting  = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
	goOn       = "HTTP/1.1 100 Continue\r\n\r\n"
	goOnFields = "HTTP/1.1 100 Continue\r\nA: b\r\n\r\n"
)

// §10 Expect (RFC 9110 §10.1.1).
func TestSection10Expect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		play func(*service)
		test func(g *rig, c *client)
	}{
		{name: "the service asks for the body", play: func(s *service) {
			s.head()
			s.say(goOnFields)
			body, _ := s.body(expecting)
			s.say(okay)
			if body != "abc" {
				s.rig.t.Errorf("body %q", body)
			}
			s.request()
		}, test: func(g *rig, c *client) {
			c.send(expecting)
			after(10 * time.Millisecond)
			c.want(goOn)
			c.send("abc")
			after(10 * time.Millisecond)
			c.want(goOn + gotOK)
			g.wantIdle(1)
			c.send(getA)
			after(10 * time.Millisecond)
			g.wantSeen(sawA)
		}},
		{name: "a silent service: we ask after a second", play: answering(okay), test: func(g *rig, c *client) {
			c.send(expecting)
			after(990 * time.Millisecond)
			c.want("")
			after(30 * time.Millisecond)
			c.want(goOn)
			c.send("abc")
			after(10 * time.Millisecond)
			c.want(goOn + gotOK)
			g.wantSeen(expecting + "abc")
			g.wantIdle(1)
		}},
		{name: "hints do not prolong the second", play: func(s *service) {
			s.head()
			for range 3 {
				time.Sleep(400 * time.Millisecond)
				s.say(hints)
			}
			s.body(expecting)
			s.say(okay)
			s.request()
		}, test: func(_ *rig, c *client) {
			c.send(expecting)
			after(1020 * time.Millisecond)
			c.want(hints + hints + goOn)
			c.send("abc")
			after(time.Second)
			c.want(hints + hints + goOn + hints + gotOK)
		}},
		{name: "a final answer instead", play: func(s *service) {
			s.head()
			s.say("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
			s.request()
		}, test: func(g *rig, c *client) {
			c.send(expecting)
			after(10 * time.Millisecond)
			c.want("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno<end>")
		}},
		{name: "the service repeats itself", play: func(s *service) {
			s.head()
			s.say(goOn + goOn + goOn)
			s.body(expecting)
			s.say(goOn + okay)
			s.request()
		}, test: func(_ *rig, c *client) {
			c.send(expecting)
			after(10 * time.Millisecond)
			c.send("abc")
			after(10 * time.Millisecond)
			c.want(goOn + gotOK)
		}},
		{name: "the service asks and dies", play: func(s *service) {
			s.head()
			s.say(goOn)
		}, test: func(g *rig, c *client) {
			c.send(expecting)
			after(10 * time.Millisecond)
			c.send("abc")
			after(2 * time.Second)
			c.want(goOn + "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nreset")
			g.wantIdle(0)
		}},
		{name: "asks again and again, and never answers", play: func(s *service) {
			s.head()
			for s.say(goOn) {
				time.Sleep(10 * time.Millisecond)
			}
		}, test: func(_ *rig, c *client) {
			c.send(expecting)
			after(10 * time.Millisecond)
			c.send("abc")
			after(time.Second)
			c.want(goOn + bad(ReasonTooManyInterim))
		}},
		{name: "the body came with the head", play: answering(okay), test: func(g *rig, c *client) {
			c.send(expecting + "abc")
			after(10 * time.Millisecond)
			c.want(gotOK)
			g.wantSeen(expecting + "abc")
		}},
		{name: "1.0 knows no 100", play: answering(okay), test: func(g *rig, c *client) {
			c.send(strings.Replace(expecting, "1.1", "1.0", 1))
			after(10 * time.Millisecond)
			c.send("abc")
			after(10 * time.Millisecond)
			c.want(gotLast)
			g.wantSeen("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
		}},
		{name: "without a body it is dropped", play: answering(okay), test: func(g *rig, c *client) {
			c.send(with("Expect: 100-continue\r\n"))
			after(10 * time.Millisecond)
			c.want(gotOK)
			g.wantSeen("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}},
		{name: "any other expectation", play: answering(okay), test: func(_ *rig, c *client) {
			c.send(with("Expect: 200-ok\r\n"))
			after(10 * time.Millisecond)
			c.want(refused(417, ReasonExpectation))
		}},
		{name: "chunked", play: func(s *service) {
			s.head()
			s.say(goOn)
			s.chunked()
			s.say(okay)
			s.request()
		}, test: func(g *rig, c *client) {
			c.send(post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"))
			after(10 * time.Millisecond)
			c.send("3\r\nabc\r\n0\r\n\r\n")
			after(10 * time.Millisecond)
			c.want(goOn + gotOK)
			g.wantIdle(1)
		}},
		{name: "a filter answers early", play: answering(okay), test: func(g *rig, c *client) {
			g.handle = func(*message.Request) *message.Response { return message.NewResponse(429) }
			c.send(expecting)
			after(10 * time.Millisecond)
			c.want("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>")
			g.wantSeen()
		}},
		{name: "a filter reads the body", play: answering(okay), test: func(g *rig, c *client) {
			g.handle = func(r *message.Request) *message.Response {
				b, err := message.ReadAll(nil, r.Body, 100)
				if err != nil {
					g.t.Error(err)
				}
				p := message.NewResponse(200)
				p.SetBytes(b)
				return p
			}
			c.send(expecting)
			after(10 * time.Millisecond)
			c.want(goOn)
			c.send("abc")
			after(10 * time.Millisecond)
			c.want(goOn + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
			c.send(getA) // and the connection lives on
			after(10 * time.Millisecond)
			c.want(goOn + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}},
		{name: "the client leaves while we wait", play: answering(okay), test: func(g *rig, c *client) {
			c.send(expecting)
			after(10 * time.Millisecond)
			_ = c.Conn.(*memnet.Conn).Reset()
			after(2 * time.Second)
			g.wantIdle(0)
			if line, err := g.outcome(); err == nil {
				g.t.Errorf("%s was delivered", line)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, tt.play, func(g *rig) { tt.test(g, g.client()) })
		})
	}
}

const (
	upgrading = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nsec-websocket-KEY: x\r\n\r\n"
	sawUp     = "GET /ws HTTP/1.1\r\nHost: a\r\nsec-websocket-KEY: x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"
	switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n"
	gotSwitch = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\n\r\n"
)

// echo answers an upgrade and sends every byte back until the client's half is
// closed, then a last word.
func echo(s *service) {
	if _, ok := s.request(); !ok {
		return
	}
	s.say(switching + "hello ")
	_, _ = io.Copy(s.Conn, s.in)
	s.say("<bye>")
}

// §10 Upgrade (RFC 9110 §7.8).
func TestSection10Upgrade(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		play func(*service)
		test func(g *rig, c *client)
	}{
		{name: "bytes of both sides, half-close of the client", play: echo, test: func(g *rig, c *client) {
			c.send(upgrading + "early ")
			after(10 * time.Millisecond)
			c.want(gotSwitch + "hello early ")
			c.send("more")
			after(10 * time.Millisecond)
			_ = c.Conn.(*memnet.Conn).CloseWrite()
			after(10 * time.Millisecond)
			c.want(gotSwitch + "hello early more<bye><end>")
			g.wantSeen(sawUp)
			g.wantIdle(0)
			if n := g.srv.Conns(); n != 0 {
				g.t.Errorf("%d connections are left", n)
			}
		}},
		{name: "half-close of the service", play: func(s *service) {
			s.request()
			s.say(switching)
			_ = s.Conn.(*memnet.Conn).CloseWrite()
			rest, _ := io.ReadAll(s.in)
			s.rig.mu.Lock()
			s.rig.seen = append(s.rig.seen, string(rest))
			s.rig.mu.Unlock()
		}, test: func(g *rig, c *client) {
			c.send(upgrading)
			after(10 * time.Millisecond)
			c.want(gotSwitch + "<end>")
			c.send("still ")
			after(time.Minute)
			c.send("here")
			_ = c.Conn.(*memnet.Conn).CloseWrite()
			after(10 * time.Millisecond)
			g.wantSeen(sawUp, "still here")
		}},
		{name: "refused: the bytes behind are the next request", play: answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", okay), test: func(g *rig, c *client) {
			c.send(upgrading + getA)
			after(10 * time.Millisecond)
			c.want("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno" + gotOK)
			g.wantSeen(sawUp, sawA)
			g.wantIdle(1)
		}},
		{name: "another protocol than asked for", play: answering("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ftp\r\n\r\n"), test: func(g *rig, c *client) {
			c.send(upgrading + "not a request")
			after(10 * time.Millisecond)
			c.want(bad(ReasonUnexpected101))
			g.wantIdle(0)
		}},
		{name: "h2c is dropped", play: answering(okay), test: func(g *rig, c *client) {
			c.send(with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"))
			after(10 * time.Millisecond)
			c.want(gotOK)
			g.wantSeen("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}},
		{name: "with a body it is dropped", play: answering(okay), test: func(g *rig, c *client) {
			c.send(post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n") + "x")
			after(10 * time.Millisecond)
			g.wantSeen("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
		}},
		{name: "two protocols, or without Connection, or in 1.0", play: answering(okay), test: func(g *rig, c *client) {
			plain := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
			c.send(with("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n") + with("Connection: upgrade\r\nUpgrade: a, b\r\n") + with("Upgrade: a\r\n") +
				"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n")
			after(10 * time.Millisecond)
			g.wantSeen(plain, plain, plain, plain)
		}},
		{name: "silent for an hour", play: echo, test: func(g *rig, c *client) {
			c.send(upgrading)
			after(59 * time.Minute)
			c.send("x")
			after(59 * time.Minute)
			c.want(gotSwitch + "hello x")
			after(2 * time.Minute)
			if !strings.HasSuffix(c.got(), ">") {
				g.t.Error("still open")
			}
		}},
		{name: "one direction keeps it open", play: func(s *service) {
			s.request()
			s.say(switching)
			for range 10 {
				time.Sleep(50 * time.Minute)
				s.say(".")
			}
		}, test: func(_ *rig, c *client) {
			c.send(upgrading)
			after(501 * time.Minute)
			c.want(gotSwitch + "..........<end>")
		}},
		{name: "the client breaks off", play: echo, test: func(g *rig, c *client) {
			c.send(upgrading)
			after(10 * time.Millisecond)
			_ = c.Conn.(*memnet.Conn).Reset()
			after(10 * time.Millisecond)
			if n := g.srv.Conns(); n != 0 {
				g.t.Errorf("%d connections are left", n)
			}
			if _, err := g.outcome(); err == nil {
				g.t.Error("no error told")
			}
		}},
		{name: "the service breaks off", play: func(s *service) {
			s.request()
			s.say(switching)
			time.Sleep(time.Millisecond)
			_ = s.Conn.(*memnet.Conn).Reset()
		}, test: func(g *rig, c *client) {
			c.send(upgrading)
			after(20 * time.Millisecond)
			if n := g.srv.Conns(); n != 0 {
				g.t.Errorf("%d connections are left", n)
			}
			if !strings.HasPrefix(c.got(), gotSwitch+"<e") {
				g.t.Errorf("%q", c.got())
			}
		}},
		{name: "a drain leaves it", play: echo, test: func(g *rig, c *client) {
			c.send(upgrading)
			after(10 * time.Millisecond)
			ctx, stop := context.WithTimeout(context.Background(), time.Minute) //nolint:usetesting // inside a bubble
			defer stop()
			done := make(chan error, 1)
			go func() { done <- g.srv.Drain(ctx) }()
			after(10 * time.Second)
			c.send("x")
			after(10 * time.Millisecond)
			_ = c.Conn.(*memnet.Conn).CloseWrite()
			after(10 * time.Millisecond)
			c.want(gotSwitch + "hello x<bye><end>")
			if err := <-done; err != nil {
				g.t.Error(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, tt.play, func(g *rig) { tt.test(g, g.client()) })
		})
	}
}

// §11 Keep-alive and pipelining.
func TestSection11KeepAlive(t *testing.T) {
	t.Parallel()
	alive := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
	get10 := "GET /a HTTP/1.0\r\nHost: a\r\n"
	run(t, []row{
		{name: "1.1 persists", in: getA + getA + getA, want: gotOK + gotOK + gotOK, sees: []string{sawA, sawA, sawA}, idle: 1},
		{name: "the client asks to close", in: with("Connection: close\r\n") + getA, want: gotLast, sees: []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"}, idle: 1},
		{name: "1.0 closes", in: get10 + "\r\n" + getA, want: gotLast, sees: []string{sawA}, idle: 1},
		{name: "1.0 with keep-alive", in: get10 + "Connection: Keep-Alive\r\n\r\n" + get10 + "\r\n", want: alive + gotLast, sees: []string{sawA, sawA}, idle: 1},
		{name: "1.0 with keep-alive, length unknown", in: get10 + "Connection: keep-alive\r\n\r\n", say: []string{ok("Transfer-Encoding: chunked\r\n") + "1\r\na\r\n0\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na<end>", sees: []string{sawA}, idle: 1},
		{name: "pipelined in order", in: getA + with("A: 2\r\n") + getA, say: []string{ok("Content-Length: 1\r\n") + "1", ok("Content-Length: 1\r\n") + "2", ok("Content-Length: 1\r\n") + "3"}, want: ok("Content-Length: 1\r\n") + "1" + ok("Content-Length: 1\r\n") + "2" + ok("Content-Length: 1\r\n") + "3", sees: []string{sawA, "GET / HTTP/1.1\r\nHost: a\r\nA: 2\r\n\r\n", sawA}, idle: 1},
		{name: "pipelined behind bodies", in: post("Content-Length: 3\r\n") + "abc" + post("Transfer-Encoding: chunked\r\n") + "1\r\nx\r\n0\r\n\r\n" + getA, want: gotOK + gotOK + gotOK, sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{x}", sawA}, idle: 1},
		{name: "a response that says close", in: getA + getA, set: func(g *rig) {
			g.handle = func(*message.Request) *message.Response {
				p := message.NewResponse(200)
				p.Close = true
				return p
			}
		}, want: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n<end>"},
	})
}

// ignore answers without reading the request's body.
func ignore(*message.Request) *message.Response { return message.NewResponse(404) }

const (
	gone    = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	goneEnd = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n<end>"
)

// §11: response done, request body not.
func TestSection11UnreadBody(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 300<<10)
	tests := []struct {
		name string
		test func(g *rig, c *client)
	}{
		{name: "what is there is discarded", test: func(_ *rig, c *client) {
			c.send(post("Content-Length: 3\r\n") + "abc" + getA)
			after(10 * time.Millisecond)
			c.want(gone + gone)
		}},
		{name: "chunks too", test: func(_ *rig, c *client) {
			c.send(post("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\nA: b\r\n\r\n" + getA)
			after(10 * time.Millisecond)
			c.want(gone + gone)
		}},
		{name: "what comes within a second", test: func(_ *rig, c *client) {
			c.send(post("Content-Length: 3\r\n"))
			after(900 * time.Millisecond)
			c.send("abc" + getA)
			after(10 * time.Millisecond)
			c.want(gone + gone)
		}},
		{name: "a second is the end", test: func(_ *rig, c *client) {
			c.send(post("Content-Length: 3\r\n"))
			after(1100 * time.Millisecond)
			c.want(goneEnd)
			after(time.Second)
		}},
		{name: "200 KiB are discarded", test: func(_ *rig, c *client) {
			c.send(post("Transfer-Encoding: chunked\r\n") + "32000\r\n" + big[:0x32000] + "\r\n0\r\n\r\n" + getA)
			after(10 * time.Millisecond)
			c.want(gone + gone)
		}},
		{name: "300 KiB are not", test: func(_ *rig, c *client) {
			go func() { _, _ = io.WriteString(c.Conn, post("Content-Length: 307200\r\n")+big+getA) }()
			after(2 * time.Second)
			if got := c.got(); !strings.HasPrefix(got, gone) || strings.Contains(got[len(gone):], "HTTP") {
				c.t.Errorf("got %q", got)
			}
		}},
		{name: "nor as chunks", test: func(_ *rig, c *client) {
			go func() {
				_, _ = io.WriteString(c.Conn, post("Transfer-Encoding: chunked\r\n")+"4b000\r\n"+big+"\r\n0\r\n\r\n"+getA)
			}()
			after(2 * time.Second)
			if got := c.got(); !strings.HasPrefix(got, gone) || strings.Contains(got[len(gone):], "HTTP") {
				c.t.Errorf("got %q", got)
			}
		}},
		{name: "a fault in it ends the connection", test: func(_ *rig, c *client) {
			c.send(post("Transfer-Encoding: chunked\r\n") + "x\r\n" + getA)
			after(10 * time.Millisecond)
			c.want(goneEnd)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, answering(okay), func(g *rig) {
				g.handle = ignore
				tt.test(g, g.client())
			})
		})
	}
}

// §11: a service that answers before the upload ends: the answer goes at once,
// the upload stops, neither connection is used again for anything else than
// reading the rest.
func TestSection11EarlyAnswer(t *testing.T) {
	t.Parallel()
	tooMuch := "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
	early := func(s *service) {
		s.head()
		s.say(tooMuch)
		_, _ = io.Copy(io.Discard, s.in)
	}
	t.Run("the client pauses", func(t *testing.T) {
		t.Parallel()
		bubble(t, early, func(g *rig) {
			c := g.client()
			c.send(post("Content-Length: 100000\r\n") + strings.Repeat("x", 1000))
			after(50 * time.Millisecond)
			c.want(tooMuch)
			g.wantIdle(0)
			after(2 * time.Second)
			c.want(tooMuch + "<end>")
			if n := g.srv.Conns(); n != 0 {
				t.Errorf("%d connections are left", n)
			}
		})
	})
	t.Run("the client goes on and is heard out", func(t *testing.T) {
		t.Parallel()
		bubble(t, early, func(g *rig) {
			c := g.client()
			c.send(post("Content-Length: 100000\r\n") + strings.Repeat("x", 1000))
			after(50 * time.Millisecond)
			c.send(strings.Repeat("x", 99000))
			after(10 * time.Millisecond)
			c.send(getA)
			after(50 * time.Millisecond)
			c.want(tooMuch + tooMuch)
		})
	})
	t.Run("the service stops reading", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) {
			s.head()
			s.say(tooMuch)
			time.Sleep(time.Minute)
		}, func(g *rig) {
			c := g.client()
			go func() {
				_, _ = io.WriteString(c.Conn, post("Transfer-Encoding: chunked\r\n")+"80000\r\n"+strings.Repeat("x", 0x80000))
			}()
			after(time.Second)
			if !strings.HasPrefix(c.got(), tooMuch) {
				t.Errorf("got %q", c.got())
			}
			g.wantIdle(0)
		})
	})
	t.Run("the service answers and breaks off", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) {
			s.head()
			s.say(tooMuch)
		}, func(g *rig) {
			c := g.client()
			c.send(post("Content-Length: 100000\r\n") + strings.Repeat("x", 50000))
			after(50 * time.Millisecond)
			c.want(tooMuch)
			g.wantIdle(0)
		})
	})
	t.Run("an answer that outlives the upload is whole", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) {
			s.head()
			s.say(ok("Content-Length: 6\r\n") + "abc")
			s.body("Content-Length: 100000\r\n")
			s.say("def")
			s.request()
		}, func(g *rig) {
			c := g.client()
			c.send(post("Content-Length: 100000\r\n"))
			after(10 * time.Millisecond)
			c.want(ok("Content-Length: 6\r\n") + "abc")
			c.send(strings.Repeat("x", 50000))
			after(10 * time.Millisecond)
			c.send(strings.Repeat("x", 50000))
			after(10 * time.Millisecond)
			c.want(ok("Content-Length: 6\r\n") + "abcdef")
			g.wantIdle(1)
		})
	})
}

// §6: the client leaves inside its body: the upstream connection is closed
// without a valid end, and nobody blames the service.
func TestSection6ClientAbort(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*memnet.Conn){
		"by an end":  func(c *memnet.Conn) { _ = c.CloseWrite() },
		"by a reset": func(c *memnet.Conn) { _ = c.Reset() },
	} {
		for _, head := range []string{"Content-Length: 5\r\n", "Content-Length: 50000\r\n", "Transfer-Encoding: chunked\r\n"} {
			t.Run(head+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, answering(okay), func(g *rig) {
					c := g.client()
					body := "abc"
					if strings.HasPrefix(head, "T") {
						body = "5\r\nabc"
					}
					c.send(post(head) + body)
					after(10 * time.Millisecond)
					leave(c.Conn.(*memnet.Conn))
					after(10 * time.Millisecond)
					_, idle, seen := g.counts()
					if idle != 0 || len(seen) > 1 || len(seen) == 1 && !strings.HasSuffix(seen[0], "…") {
						t.Errorf("idle %d, service saw %q", idle, seen)
					}
					if len(g.causes) != 1 || g.causes[0] != "client_gone" {
						t.Errorf("causes %q", g.causes)
					}
					if n := g.srv.Conns(); n != 0 {
						t.Errorf("%d connections are left", n)
					}
				})
			})
		}
	}
}

// §13 Time-outs.
func TestSection13TimeOuts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		play func(*service)
		test func(g *rig, c *client)
	}{
		{name: "first byte", play: answering(okay), test: func(_ *rig, c *client) {
			after(9 * time.Second)
			c.want("")
			after(2 * time.Second)
			c.want("<end>")
		}},
		{name: "head, from its first byte", play: answering(okay), test: func(g *rig, c *client) {
			after(9 * time.Second)
			for _, b := range "GET / HT" { // a byte a second does not prolong it
				c.send(string(b))
				after(time.Second)
			}
			c.want("")
			after(2100 * time.Millisecond)
			c.want(refused(408, ReasonHeadTimeout))
			after(time.Second)
			if n := g.srv.Conns(); n != 0 {
				g.t.Errorf("%d connections are left", n)
			}
		}},
		{name: "head of a later request", play: answering(okay), test: func(_ *rig, c *client) {
			c.send(getA + "GET")
			after(9 * time.Second)
			c.want(gotOK)
			after(2 * time.Second)
			c.want(gotOK + refused(408, ReasonHeadTimeout))
		}},
		{name: "keep-alive idle", play: answering(okay), test: func(_ *rig, c *client) {
			c.send(getA)
			after(74 * time.Second)
			c.send(getA)
			after(74 * time.Second)
			c.want(gotOK + gotOK)
			after(2 * time.Second)
			c.want(gotOK + gotOK + "<end>")
		}},
		{name: "a pause in the body", play: answering(okay), test: func(g *rig, c *client) {
			c.send(post("Content-Length: 5\r\n") + "ab")
			after(9900 * time.Millisecond) // two bytes are too few for more time
			c.want("")
			after(200 * time.Millisecond)
			c.want(refused(408, ReasonBodyTimeout))
			g.wantSeen() // a small body is read before the service is called
		}},
		{name: "a pause in a streamed body", play: answering(okay), test: func(g *rig, c *client) {
			body := strings.Repeat("x", 30000)
			c.send(post("Transfer-Encoding: chunked\r\n") + "7530\r\n" + body + "\r\n")
			after(29 * time.Second)
			c.want("")
			after(2 * time.Second)
			c.want(refused(408, ReasonBodyTimeout))
			g.wantSeen("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{" + body + "…")
			g.wantIdle(0)
		}},
		{name: "a body that trickles", play: answering(okay), test: func(g *rig, c *client) {
			c.send(post("Content-Length: 100000\r\n"))
			for i := 0; i < 100 && !strings.Contains(c.got(), "HTTP"); i++ {
				c.send(strings.Repeat("x", 400)) // 400 B/s
				after(time.Second)
			}
			if got := c.got(); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
				g.t.Errorf("got %q", got)
			}
		}},
		{name: "a body that is just fast enough", play: answering(okay), test: func(_ *rig, c *client) {
			c.send(post("Content-Length: 60000\r\n"))
			for range 100 {
				c.send(strings.Repeat("x", 600)) // 600 B/s
				after(time.Second)
			}
			c.want(gotOK)
		}},
		{name: "a body that may trickle on a streaming route", play: answering(okay), test: func(g *rig, c *client) {
			g.handle = func(r *message.Request) *message.Response {
				r.X.Stream = true
				return g.forward(r)
			}
			c.send(post("Content-Length: 20000\r\n"))
			for range 100 {
				c.send(strings.Repeat("x", 200))
				after(time.Second)
			}
			c.want(gotOK)
		}},
		{name: "a service that is slow to take the body", play: func(s *service) {
			s.head()
			for range 40 {
				time.Sleep(time.Second) // its buffers fill: the client is not to blame
				_, _ = io.ReadFull(s.in, make([]byte, 4000))
			}
			_, _ = io.CopyN(io.Discard, s.in, 300_000)
			s.say(okay)
			s.request()
		}, test: func(_ *rig, c *client) {
			go func() { _, _ = io.WriteString(c.Conn, post("Content-Length: 460000\r\n")+strings.Repeat("x", 460000)) }()
			after(50 * time.Second)
			c.want(gotOK)
		}},
		{name: "the client takes nothing", play: func(s *service) {
			s.request()
			s.say(ok("Content-Length: 10000000\r\n") + strings.Repeat("x", 10000000))
		}, test: func(g *rig, _ *client) {
			stuck := g.dialIn()
			_, _ = io.WriteString(stuck, getA)
			after(59 * time.Second)
			if n := g.srv.Conns(); n != 1 {
				g.t.Errorf("%d connections, want 1", n)
			}
			after(63 * time.Second) // twice, when a part of the last write was taken
			if _, err := g.outcome(); !errors.Is(err, errTimeout) {
				g.t.Errorf("outcome %v", err)
			}
		}},
		{name: "the client takes little", play: func(s *service) {
			s.request()
			s.say(ok("Content-Length: 200000\r\n") + strings.Repeat("x", 200000))
			s.request()
		}, test: func(g *rig, _ *client) {
			slow := g.dialIn()
			_, _ = io.WriteString(slow, getA)
			for range 1000 {
				_, _ = io.ReadFull(slow, make([]byte, 201))
				after(2 * time.Second)
			}
			if line, err := g.outcome(); line != "GET /a 200" || err != nil {
				g.t.Errorf("outcome %q %v", line, err)
			}
		}},
		{name: "upstream head", play: func(s *service) { s.request(); time.Sleep(time.Hour) }, test: func(g *rig, c *client) {
			g.handle = func(r *message.Request) *message.Response {
				g.opts.Head = time.Now().Add(5 * time.Second)
				return g.forward(r)
			}
			c.send(getA)
			after(4900 * time.Millisecond)
			c.want("")
			after(200 * time.Millisecond)
			c.want("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 7\r\n\r\ntimeout")
			g.wantIdle(0)
		}},
		{name: "upstream head behind an upload", play: func(s *service) { s.request(); time.Sleep(time.Hour) }, test: func(g *rig, c *client) {
			g.opts.Answer = 5 * time.Second
			c.send(post("Transfer-Encoding: chunked\r\n") + "1\r\nx\r\n")
			after(9 * time.Second) // the client's time does not count
			c.send("0\r\n\r\n")
			after(4900 * time.Millisecond)
			c.want("")
			after(200 * time.Millisecond)
			c.want("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 7\r\n\r\ntimeout")
			g.wantIdle(0)
		}},
		{name: "an answer in time behind an upload", play: func(s *service) {
			s.request()
			time.Sleep(4 * time.Second)
			s.say(ok("Content-Length: 2\r\n"))
			time.Sleep(4 * time.Second)
			s.say("ok")
			s.request()
		}, test: func(g *rig, c *client) {
			g.opts.Answer = 5 * time.Second
			c.send(post("Transfer-Encoding: chunked\r\n") + "1\r\nx\r\n0\r\n\r\n")
			after(20 * time.Second)
			c.want(gotOK)
		}},
		{name: "upstream body", play: func(s *service) {
			s.request()
			s.say(ok("Content-Length: 5\r\n") + "abc")
			time.Sleep(time.Hour)
		}, test: func(g *rig, c *client) {
			g.opts.BodyIdle = 30 * time.Second
			c.send(getA)
			after(29 * time.Second)
			c.want(ok("Content-Length: 5\r\n") + "abc")
			after(2 * time.Second)
			c.want(ok("Content-Length: 5\r\n") + "abc<end>")
			g.wantIdle(0)
		}},
		{name: "the end of the whole exchange", play: func(s *service) {
			s.request()
			s.say(ok("Transfer-Encoding: chunked\r\n"))
			for s.say("1\r\nx\r\n") {
				time.Sleep(time.Second)
			}
		}, test: func(g *rig, c *client) {
			g.handle = func(r *message.Request) *message.Response {
				g.opts.End = time.Now().Add(5500 * time.Millisecond)
				return g.forward(r)
			}
			c.send(getA)
			after(7 * time.Second)
			c.want(ok("Transfer-Encoding: chunked\r\n") + strings.Repeat("1\r\nx\r\n", 6) + "<end>")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, tt.play, func(g *rig) { tt.test(g, g.client()) })
		})
	}
}

// §1: a lingering close takes what is still coming, half a second or 64 KiB of it.
func TestSection1Linger(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send("GET  / HTTP/1.1\r\n")
		after(10 * time.Millisecond)
		c.want(refused(400, ReasonRequestLine))
		c.send(strings.Repeat("x", 1000)) // not reset
		after(300 * time.Millisecond)
		c.send(strings.Repeat("x", 1000))
		if g.srv.Conns() != 1 {
			t.Error("closed too soon")
		}
		after(300 * time.Millisecond)
		if g.srv.Conns() != 0 {
			t.Error("half a second is over")
		}
	})
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send("GET  / HTTP/1.1\r\n")
		after(time.Millisecond)
		_, _ = io.WriteString(c.Conn, strings.Repeat("x", 65<<10))
		after(time.Millisecond)
		if g.srv.Conns() != 0 {
			t.Error("64 KiB are enough")
		}
	})
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send("GET  / HTTP/1.1\r\n")
		after(time.Millisecond)
		_ = c.Close() // the polite client: no waiting
		after(time.Millisecond)
		if g.srv.Conns() != 0 {
			t.Error("the client has left")
		}
	})
}

// §11 Drain.
func TestSection11Drain(t *testing.T) {
	t.Parallel()
	drain := func(g *rig, d time.Duration) <-chan error {
		ctx, stop := context.WithTimeout(context.Background(), d) //nolint:usetesting // inside a bubble: the outer test's context is not of it
		done := make(chan error, 1)
		go func() { defer stop(); done <- g.srv.Drain(ctx) }()
		return done
	}
	t.Run("nothing is open", func(t *testing.T) {
		t.Parallel()
		bubble(t, answering(okay), func(g *rig) {
			began := time.Now()
			if err := <-drain(g, time.Minute); err != nil || time.Since(began) > 100*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("idle connections have a second", func(t *testing.T) {
		t.Parallel()
		bubble(t, answering(okay), func(g *rig) {
			idle, next := g.client(), g.client()
			for _, c := range []*client{idle, next} {
				c.send(getA)
				after(10 * time.Millisecond)
			}
			done := drain(g, time.Minute)
			after(900 * time.Millisecond)
			idle.want(gotOK)
			next.send(getA)
			after(10 * time.Millisecond)
			next.want(gotOK + gotLast)
			after(200 * time.Millisecond)
			idle.want(gotOK + "<end>")
			_ = next.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("exchanges end, and say so", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) {
			s.request()
			time.Sleep(10 * time.Second)
			s.say(okay)
		}, func(g *rig) {
			c := g.client()
			c.send(getA)
			after(10 * time.Millisecond)
			done := drain(g, time.Minute)
			after(11 * time.Second)
			c.want(gotLast)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("what takes too long is told", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) { s.request(); time.Sleep(time.Hour) }, func(g *rig) {
			c := g.client()
			c.send(getA)
			after(10 * time.Millisecond)
			if err := <-drain(g, 10*time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			g.srv.CloseAll()
			after(10 * time.Millisecond)
			if !strings.Contains(c.got(), ">") {
				t.Error("not closed")
			}
		})
	})
	t.Run("a new connection while draining", func(t *testing.T) {
		t.Parallel()
		bubble(t, answering(okay), func(g *rig) {
			old := g.client()
			old.send(getA)
			after(10 * time.Millisecond)
			done := drain(g, time.Minute)
			after(500 * time.Millisecond)
			c, mute := g.client(), g.client()
			c.send(getA)
			after(10 * time.Millisecond)
			c.want(gotLast)
			_ = c.Close()
			after(1100 * time.Millisecond)
			mute.want("<end>")
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}

// The request that comes at the very moment when Drain ends idle connections is
// served all the same.
func TestDrainSparesARequestUnderWay(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send(getA)
		after(10 * time.Millisecond)
		g.srv.draining.Store(true)
		g.srv.mu.Lock()
		for sc := range g.srv.conns {
			if !sc.phase.CompareAndSwap(phaseIdle, phaseShut) {
				t.Error("not idle")
			}
		}
		g.srv.mu.Unlock()
		c.send(getA) // read before the deadline is set
		synctest.Wait()
		c.want(gotOK + gotLast)
	})
}

// Bodies of both kinds and many sizes arrive byte for byte, both ways.
func TestBodySizes(t *testing.T) {
	t.Parallel()
	pattern := make([]byte, 300<<10)
	for i := range pattern {
		pattern[i] = byte('a' + i*7%26)
	}
	for _, n := range []int{0, 1, 1500, 3500, 4000, 4096, 5000, 16 << 10, 16<<10 + 1, 32 << 10, 64 << 10, 64<<10 + 1, 100_000, 300 << 10} {
		for _, chunked := range []bool{false, true} {
			bubble(t, func(s *service) {
				for {
					head := s.head()
					if head == "" {
						return
					}
					body, _ := s.body(head)
					body = strings.TrimSuffix(strings.TrimPrefix(body, "{"), "}")
					if chunked {
						s.say(ok("Transfer-Encoding: chunked\r\n"))
						for rest := body; rest != ""; {
							k := min(len(rest), 7000)
							s.say(string(appendChunkEnd(append(appendChunkHead(nil, k), rest[:k]...))))
							rest = rest[k:]
						}
						s.say("0\r\n\r\n")
						continue
					}
					s.say(ok("Content-Length: "+itoa(len(body))+"\r\n") + body)
				}
			}, func(g *rig) {
				c := g.client()
				body := string(pattern[:n])
				go func() {
					for range 2 { // the second finds the buffers used
						if chunked {
							_, _ = io.WriteString(c.Conn, post("Transfer-Encoding: chunked\r\n"))
							for rest := body; rest != ""; {
								k := min(len(rest), 5000)
								_, _ = c.Conn.Write(appendChunkEnd(append(appendChunkHead(nil, k), rest[:k]...)))
								rest = rest[k:]
							}
							_, _ = io.WriteString(c.Conn, "0\r\n\r\n")
							continue
						}
						_, _ = io.WriteString(c.Conn, post("Content-Length: "+itoa(n)+"\r\n")+body)
					}
				}()
				after(time.Second)
				got := c.got()
				if !chunked {
					if want := ok("Content-Length: "+itoa(n)+"\r\n") + body; got != want+want {
						t.Errorf("%d bytes: got %d, want %d", n, len(got), 2*len(want))
					}
				} else if payload := dechunk(got); payload != body+body {
					t.Errorf("%d bytes in chunks: got %d, want %d", n, len(payload), 2*n)
				}
				g.wantIdle(1)
			})
		}
	}
}

// dechunk joins the payload of all chunked responses in text.
func dechunk(text string) (payload string) {
	for _, part := range strings.Split(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")[1:] {
		var d chunkDecoder
		var trailer message.Header
		lim := ResponseLimits{}.WithDefaults()
		d.reset(lim.chunk(), &trailer)
		for in := []byte(part); len(in) > 0 && !d.done; {
			skip, data, err := d.next(in)
			if err != nil {
				return err.Error()
			}
			payload += string(in[skip : skip+data])
			in = in[skip+data:]
		}
		if !d.done {
			payload += "…"
		}
	}
	return payload
}

// A connection that waits for its next request holds no block.
func TestIdleHoldsNoMemory(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send(post("Content-Length: 3000\r\n") + strings.Repeat("x", 3000))
		after(10 * time.Millisecond)
		c.want(gotOK)
		g.srv.mu.Lock()
		defer g.srv.mu.Unlock()
		for sc := range g.srv.conns {
			if sc.in.blk != nil || sc.in.headBlk != nil || sc.out.blk != nil || sc.req != nil || sc.body.aheadBlk != nil {
				t.Error("the idle connection holds a block")
			}
		}
		for _, cc := range g.idle {
			if cc.in.blk != nil || cc.in.headBlk != nil || cc.out.blk != nil {
				t.Error("the idle upstream connection holds a block")
			}
		}
	})
}

// Peers that are not TCP, nor able to half-close, are served too.
func TestPlainConn(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() { g.srv.ServeConn(there, ConnInfo{Scheme: "http"}); close(done) }()
		go func() { _, _ = io.WriteString(here, getA+with("Connection: close\r\n")) }()
		b, err := io.ReadAll(here)
		if got := dateLine.ReplaceAllString(string(b), ""); got != gotOK+strings.TrimSuffix(gotLast, "<end>") || err != nil {
			t.Errorf("%q %v", got, err)
		}
		<-done
	})
}
