package http1

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// §14: each class of request smuggling is one test. The client sends what two
// readers could take apart differently; the service must see exactly what the
// class allows, and never the request that was hidden.

// smuggled is what an attacker wants a service to see.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

// attack sends in and checks that nothing hidden gets through: the service sees
// the given requests and no others, the client gets the refusals' reasons.
func attack(t *testing.T, in string, reason string, sees ...string) {
	t.Helper()
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send(in)
		after(2 * time.Second)
		_, _, seen := g.counts()
		for _, s := range seen {
			if strings.HasPrefix(s, "GET /smuggled") {
				t.Errorf("%q got through: %q", in, seen)
			}
		}
		if len(seen) != len(sees) {
			t.Errorf("%q: service saw %q, want %q", in, seen, sees)
		}
		for i := range min(len(seen), len(sees)) {
			if seen[i] != sees[i] && !strings.HasSuffix(sees[i], "…") {
				t.Errorf("%q: service saw %q, want %q", in, seen[i], sees[i])
			}
		}
		got := c.got()
		if reason != "" && !strings.HasSuffix(got, reason+"<end>") {
			t.Errorf("%q: client got %q, want %s", in, got, reason)
		}
	})
}

func TestSection14CLTE(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
		"content-length: 0\r\ntransfer-encoding: CHUNKED\r\n", "Transfer-Encoding: identity\r\nContent-Length: 3\r\n",
	} {
		attack(t, post(fields)+"0\r\n\r\n"+smuggled, ReasonCLTE)
	}
}

func TestSection14CL0AndZeroCL(t *testing.T) {
	t.Parallel()
	// A body that somebody might forget to read is read or ends the connection.
	attack(t, "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: "+itoa(len(smuggled))+"\r\n\r\n"+smuggled, "",
		"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: "+itoa(len(smuggled))+"\r\n\r\n"+smuggled)
	attack(t, "HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: "+itoa(len(smuggled))+"\r\n\r\n"+smuggled, "",
		"HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: "+itoa(len(smuggled))+"\r\n\r\n"+smuggled)
	for _, cl := range []string{"", " +40", " -1", " 0x28", " 4 0", " 4.0", " 40,", "\t\x0b40"} {
		in := post("Content-Length:"+cl+"\r\n") + smuggled
		bubble(t, answering(okay), func(g *rig) {
			c := g.client()
			c.send(in)
			after(10 * time.Millisecond)
			g.wantSeen()
			if !strings.HasPrefix(c.got(), "HTTP/1.1 400 ") {
				t.Errorf("%q: %q", in, c.got())
			}
		})
	}
}

func TestSection14ManyCL(t *testing.T) {
	t.Parallel()
	for _, fields := range []string{
		"Content-Length: 0\r\nContent-Length: 40\r\n", "Content-Length: 3\r\nContent-Length: 3\r\n", "Content-Length: 3, 3\r\n", "Content-Length: 0,40\r\n",
	} {
		attack(t, post(fields)+smuggled, ReasonCLMany)
	}
	attack(t, post("Content-Length: 18446744073709551656\r\n")+smuggled, ReasonCLRange)
}

func TestSection14TETE(t *testing.T) {
	t.Parallel()
	for te, reason := range map[string]string{
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n":       ReasonTEMany,
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n": ReasonTEMany,
		"Transfer-Encoding: chunked, chunked\r\n":                      ReasonTEMany,
		"Transfer-Encoding: chunked, identity\r\n":                     ReasonTESyntax,
		"Transfer-Encoding: identity, chunked\r\n":                     ReasonTESyntax,
		"Transfer-Encoding: xchunked\r\n":                              ReasonTESyntax,
		"Transfer-Encoding: \x0bchunked\r\n":                           ReasonTESyntax,
		"Transfer-Encoding: \"chunked\"\r\n":                           ReasonTESyntax,
		"Transfer-Encoding: ,chunked\r\n":                              ReasonTESyntax,
		"Transfer-Encoding: chunked;q=1\r\n":                           ReasonTESyntax,
		"Transfer_Encoding: chunked\r\n":                               ReasonFramingLookalike,
		"Transfer.Encoding: chunked\r\nContent-Length: 5\r\n":          ReasonFramingLookalike,
		"Content_Length: 5\r\n":                                        ReasonFramingLookalike,
		"Transfer-Encoding : chunked\r\n":                              ReasonSpaceBeforeColon,
		"X: y\r\n Transfer-Encoding: chunked\r\n":                      ReasonObsFold,
		"X: y\nTransfer-Encoding: chunked\r\n":                         ReasonBareLF,
		"X: y\rTransfer-Encoding: chunked\r\n":                         ReasonBareCR,
	} {
		attack(t, post(te)+"0\r\n\r\n"+smuggled, reason)
	}
}

// TE in 1.0, where a reader may take the body to the end of the connection.
func TestSection14TEOn10(t *testing.T) {
	t.Parallel()
	attack(t, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"+smuggled, ReasonTEOn10)
}

func TestSection14Chunks(t *testing.T) {
	t.Parallel()
	head := post("Transfer-Encoding: chunked\r\n")
	for body, reason := range map[string]string{
		"2\r\nxx\r\n2;\nxx\r\n4c\r\n0\r\n\r\n" + smuggled + "\r\n0\r\n\r\n": ReasonChunkExt,
		"1;a=\"\n\"\r\nx\r\n0\r\n\r\n" + smuggled:                           ReasonChunkExt,
		"0\n\r\n" + smuggled:                             ReasonChunkLF,
		"1\r\nxy\r\n0\r\n\r\n" + smuggled:                ReasonChunkEnd,
		"1\r\nx\n0\r\n\r\n" + smuggled:                   ReasonChunkLF,
		"0x1\r\nx\r\n0\r\n\r\n" + smuggled:               ReasonChunkSize,
		"10000000000000001\r\nx\r\n0\r\n\r\n" + smuggled: ReasonChunkSize,
		"1 \r\nx\r\n0\r\n\r\n" + smuggled:                ReasonChunkSpace,
		"0\r\nContent-Length: 3\r\n\r\n" + smuggled:      ReasonTrailerFraming,
		"0\r\nX: y\n\r\n" + smuggled:                     ReasonChunkLF,
	} {
		attack(t, head+body, reason, head+"{…")
	}
	// A second zero-size chunk is the start of a request, and no good one.
	attack(t, head+"0\r\n\r\n0\r\n\r\n"+smuggled, ReasonRequestLine, head+"{}")
}

func TestSection14HeadOctets(t *testing.T) {
	t.Parallel()
	for in, reason := range map[string]string{
		"GET / HTTP/1.1\nHost: a\n\n" + smuggled:                       ReasonBareLF,
		"GET / HTTP/1.1\r\nHost: a\r\n\n" + smuggled:                   ReasonBareLF,
		"GET / HTTP/1.1\rHost: a\r\n\r\n" + smuggled:                   ReasonBareCR,
		with("A: b\r\r\n") + smuggled:                                  ReasonBareCR,
		with("A: b\x00c\r\n") + smuggled:                               ReasonFieldValue,
		with("A\x00: b\r\n") + smuggled:                                ReasonFieldName,
		with("A: b\r\n c: d\r\n") + smuggled:                           ReasonObsFold,
		"GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n" + smuggled:     ReasonLeadingSpace,
		"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled:              ReasonRequestLine,
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc":   ReasonSpaceBeforeColon,
		"GET / HTTP/0.9\r\n\r\n" + smuggled:                            ReasonVersion,
		"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled:         ReasonLeadingLines,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\nFoo\r\n\r\n": ReasonFieldName,
	} {
		attack(t, in, reason)
	}
}

func TestSection14HostConfusion(t *testing.T) {
	t.Parallel()
	for in, reason := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":           ReasonHostMany,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n":           ReasonHostMany,
		"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n":              ReasonAuthorityMismatch,
		"GET http://a/ HTTP/1.1\r\n\r\n":                         ReasonHostMissing,
		"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n":                    ReasonHostSyntax,
		"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n":                    ReasonHostSyntax,
		"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n":                   ReasonHostSyntax,
		"GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n":                ReasonHostSyntax,
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                        ReasonHostEmpty,
		"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n":            ReasonTargetForm,
		"GET / HTTP/1.1\r\nHost : a\r\nHost: b\r\n\r\n":          ReasonSpaceBeforeColon,
		"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n":                ReasonHostPort,
		"GET / HTTP/1.1\r\nHost: a\r\n Host: b\r\n\r\n":          ReasonObsFold,
		"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n":                   ReasonTargetForm,
		"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n":               ReasonTargetForm,
		"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n":       ReasonHostSyntax,
		"GET / HTTP/1.1\r\nHost: a%00b\r\n\r\n":                  ReasonHostSyntax,
		"GET https://a:443/ HTTP/1.1\r\nHost: a:443\r\n\r\n":     ReasonTargetForm,
		"GET /\\..\\admin HTTP/1.1\r\nHost: a\r\n\r\n":           ReasonBackslash,
		"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n":                 ReasonPercentControl,
		"GET /a%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n":         ReasonPercentControl,
		"GET /#/../admin HTTP/1.1\r\nHost: a\r\n\r\n":            ReasonTargetOctet,
		"GET /a HTTP/1.1\r\nHost: b\xe3\x80\x82c\r\n\r\n":        ReasonHostSyntax,
		"GET /a HTTP/1.1\r\nHost: a..b\r\n\r\n":                  ReasonHostSyntax,
		"GET /a HTTP/1.1\r\nX-Forwarded_Host: b\r\nA: b\r\n\r\n": ReasonHostMissing,
	} {
		attack(t, in+smuggled, reason)
	}
}

// Bytes behind an Upgrade request never reach the service before its 101; a
// fake 101 opens no tunnel; h2c takes no later request past the rules.
func TestSection14Upgrade(t *testing.T) {
	t.Parallel()
	t.Run("premature", func(t *testing.T) {
		t.Parallel()
		bubble(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(g *rig) {
			c := g.client()
			c.send(upgrading + "GET /\x01smuggled HTTP/1.1\r\n\r\n")
			after(10 * time.Millisecond)
			g.wantSeen(sawUp)
			c.want(gotOK + refused(400, ReasonTargetOctet))
		})
	})
	t.Run("before the answer", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(s *service) {
			s.request()
			time.Sleep(time.Second)
			if n := s.in.Buffered(); n > 0 {
				s.rig.t.Errorf("%d bytes came before the 101", n)
			}
			s.say(okay)
		}, func(g *rig) {
			c := g.client()
			c.send(upgrading + smuggled)
			after(500 * time.Millisecond)
			g.wantSeen(sawUp)
		})
	})
	t.Run("fake 101", func(t *testing.T) {
		t.Parallel()
		for _, fake := range []string{
			"HTTP/1.1 101 Switching Protocols\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n\r\n",
		} {
			bubble(t, answering(fake), func(g *rig) {
				c := g.client()
				c.send(upgrading)
				after(10 * time.Millisecond)
				c.want(bad(ReasonUnexpected101))
				g.wantIdle(0)
			})
		}
	})
	t.Run("h2c", func(t *testing.T) {
		t.Parallel()
		attack(t, with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	})
}

// Connection can't take away what maru or a proxy before it vouches for.
func TestSection14ConnectionNominations(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Host", "Content-Length", "Authorization", "Cookie", "Cache-Control", "Via", "Forwarded", "X-Forwarded-For", "x-forwarded-proto",
		"X-Forwarded-Anything", "X-Real-IP", "traceparent", "X-Maru-Subject", "Client-Cert",
	} {
		attack(t, with("Connection: close, "+name+"\r\n")+smuggled, ReasonConnectionProtected)
	}
	attack(t, with("Connection: "+strings.Repeat("a,", 17)+"\r\n")+smuggled, ReasonConnectionSyntax)
}

// Setters refuse what would split a message; what a filter wrote past them is
// encoded.
func TestSection14Splitting(t *testing.T) {
	t.Parallel()
	var h message.Header
	for _, v := range []string{"a\r\nb: c", "a\nb", "a\rb", "a\x00b"} {
		if h.Add("A", v) == nil || h.Set("A", v) == nil || h.Add(v, "a") == nil {
			t.Errorf("%q was set", v)
		}
	}
	if h.Len() > 0 {
		t.Error("something was set")
	}
	bubble(t, answering(okay), func(g *rig) {
		g.handle = func(r *message.Request) *message.Response {
			r.Path = "/a b\r\nX: y"
			return g.forward(r)
		}
		c := g.client()
		c.send(getA)
		after(10 * time.Millisecond)
		g.wantSeen("GET /a%20b%0D%0AX:%20y HTTP/1.1\r\nHost: a\r\n\r\n")
	})
}

// Response queue poisoning: bytes behind a response are never the next answer.
func TestSection14ResponseQueue(t *testing.T) {
	t.Parallel()
	poison := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, first := range []string{
		okay + poison,
		ok("Transfer-Encoding: chunked\r\n") + "1\r\nx\r\n0\r\n\r\n" + poison,
		"HTTP/1.1 204 No Content\r\n\r\n" + poison,
		"HTTP/1.1 304 Not Modified\r\n\r\n" + poison,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + poison,
		"HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n" + poison,
	} {
		bubble(t, answering(first), func(g *rig) {
			c := g.client()
			c.send(getA)
			after(10 * time.Millisecond)
			c.send(getA)
			after(10 * time.Millisecond)
			if got := c.got(); strings.Contains(got, "poison") {
				t.Errorf("%q", got)
			}
			if dials, idle, _ := g.counts(); dials != 2 || idle != 0 {
				t.Errorf("%d dials, %d idle", dials, idle)
			}
		})
	}
	t.Run("behind a body that was read past the buffer", func(t *testing.T) {
		t.Parallel()
		g := newTCPRig(t, func(s *service) {
			s.request()
			s.say(ok("Content-Length: 100000\r\n"))
			time.Sleep(5 * time.Millisecond)
			s.say(strings.Repeat("x", 100000) + poison)
			s.request()
		})
		c := g.client()
		c.send(getA)
		c.wait("xxx")
		until(t, "the exchange's end", func() bool { line, _ := g.outcome(); return line != "" })
		c.wait(strings.Repeat("x", 1000))
		until(t, "the connection's end", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return len(g.done) == 1
		})
		time.Sleep(5 * time.Millisecond)
		g.wantIdle(0)
	})
}

// Pause-based: a head whose body does not come ends both connections, and the
// upstream one is never used for anything else.
func TestSection14Pause(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send(post("Content-Length: 50000\r\n") + strings.Repeat("x", 20000))
		after(10 * time.Millisecond)
		g.wantIdle(0)
		other := g.client()
		other.send(getA)
		after(10 * time.Millisecond)
		other.want(gotOK)
		if dials, _, _ := g.counts(); dials != 2 {
			t.Errorf("%d dials: the unfinished connection was used", dials)
		}
		after(31 * time.Second)
		c.want(refused(408, ReasonBodyTimeout))
		g.wantIdle(1)
	})
}

// Client-side desync: an answer that does not wait for the body leaves nothing
// of it to be taken for a request.
func TestSection14ClientSideDesync(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		g.handle = func(r *message.Request) *message.Response {
			if r.Path == "/smuggled" {
				t.Error("the body was taken for a request")
			}
			return message.NewResponse(405)
		}
		for _, in := range []string{
			post("Content-Length: "+itoa(len(smuggled))+"\r\n") + smuggled,
			post("Transfer-Encoding: chunked\r\n") + "24\r\n" + smuggled + "\r\n0\r\n\r\n",
			post("Content-Length: "+itoa(len(smuggled))+"\r\nExpect: 100-continue\r\n") + smuggled,
		} {
			c := g.client()
			c.send(in)
			after(10 * time.Millisecond)
			if got := c.got(); strings.Count(got, "HTTP/1.1 405") != 1 {
				t.Errorf("%q", got)
			}
		}
		// Without its body, and then something that looks like a request.
		c := g.client()
		c.send(post("Content-Length: " + itoa(len(smuggled)) + "\r\nExpect: 100-continue\r\n"))
		after(10 * time.Millisecond)
		_, _ = c.Conn.Write([]byte(smuggled))
		after(10 * time.Millisecond)
		if got := c.got(); strings.Count(got, "HTTP/1.1 405") != 1 || !strings.HasSuffix(got, "<end>") {
			t.Errorf("%q", got)
		}
	})
}

// A request that was refused while its body is on the way upstream never ends
// validly there (no last chunk, no full length).
func TestSection14NoValidEnd(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		c := g.client()
		c.send(post("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\nzz\r\n" + smuggled)
		after(10 * time.Millisecond)
		_, idle, seen := g.counts()
		if idle != 0 || len(seen) != 1 || !strings.HasSuffix(seen[0], "…") || strings.Contains(seen[0], "}") {
			t.Errorf("service saw %q, %d idle", seen, idle)
		}
		if line, err := g.outcome(); line != "POST / 400" || err != nil {
			t.Errorf("outcome %q %v", line, errors.Unwrap(err))
		}
	})
}
