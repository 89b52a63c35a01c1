//go:build !race

package http1_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/upstream"
)

// (The race detector makes pools forget at random: not with it.)

// reply serves connections with the same answer to each request, which ends with
// end. It allocates nothing once it runs.
func reply(t *testing.T, end, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(c net.Conn) {
		buf, n := make([]byte, 256<<10), 0
		text, last := []byte(answer), []byte(end)
		for {
			k, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			if n += k; !bytes.HasSuffix(buf[:n], last) {
				continue
			}
			n = 0
			if _, err := c.Write(text); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return "http://" + l.Addr().String()
}

// proxy runs a Server in front of a Cluster and gives a connection to it.
func proxy(t *testing.T, url string) net.Conn {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	watch := http1.NewWatchdog()
	go func() { _ = watch.Run(ctx) }()
	c, err := upstream.New("svc", upstream.Config{URL: url}, upstream.Env{Watch: watch})
	if err != nil {
		t.Fatal(err)
	}
	s := &http1.Server{Watch: watch, Handler: func(r *message.Request) *message.Response {
		if err := http1.StripRequest(r); err != nil {
			t.Error(err)
		}
		p, err := c.Do(r)
		if err != nil {
			t.Error(err)
			return message.NewResponse(502)
		}
		return p
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go s.ServeConn(nc, http1.ConnInfo{Scheme: "http"})
		}
	}()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = l.Close()
		s.CloseAll()
		c.CloseIdle()
		stop()
	})
	return client
}

// A whole exchange, from the client's socket to the service's and back,
// allocates nothing.
func TestExchangeAllocatesNothing(t *testing.T) {
	kib := strings.Repeat("x", 1<<10)
	const fields = "Host: a\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b\r\nConnection: keep-alive\r\n"
	answer := func(n int) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: " + strconv.Itoa(n) +
			"\r\n\r\n" + strings.Repeat("y", n)
	}
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + kib + "\r\n0\r\n\r\n"
	get := "GET /a?b=c HTTP/1.1\r\n" + fields + "\r\n"
	for _, tt := range []struct{ name, in, end, answer string }{
		{"GET, 1 KiB", get, "\r\n\r\n", answer(1 << 10)},
		{"GET, 8 KiB", get, "\r\n\r\n", answer(8 << 10)},
		{"GET, 60 KiB", get, "\r\n\r\n", answer(60 << 10)},
		{"GET, 200 KiB, spliced", get, "\r\n\r\n", answer(200 << 10)},
		{"GET, chunked", get, "\r\n\r\n", chunks},
		{"POST, 1 KiB", "POST /a HTTP/1.1\r\n" + fields + "Content-Length: 1024\r\n\r\n" + kib, "xxxx", answer(2)},
		{"POST, 8 KiB", "POST /a HTTP/1.1\r\n" + fields + "Content-Length: 8192\r\n\r\n" + strings.Repeat(kib, 8), strings.Repeat("x", 8000), answer(2)},
		{"POST, 100 KiB, streamed", "POST /a HTTP/1.1\r\n" + fields + "Content-Length: 102400\r\n\r\n" + strings.Repeat(kib, 100), strings.Repeat("x", 100<<10), answer(2)},
		{"POST, chunked", "POST /a HTTP/1.1\r\n" + fields + "Transfer-Encoding: chunked\r\n\r\n400\r\n" + kib + "\r\n0\r\n\r\n", "\r\n0\r\n\r\n", chunks},
		{"HEAD", "HEAD / HTTP/1.1\r\n" + fields + "\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
		{"204", get, "\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := proxy(t, reply(t, tt.end, tt.answer))
			in := []byte(tt.in)
			first := make([]byte, 256<<10)
			// The length of an answer is learnt from the first one.
			if _, err := c.Write(in); err != nil {
				t.Fatal(err)
			}
			body := len(tt.answer) - strings.Index(tt.answer, "\r\n\r\n") - 4
			n := 0
			for at := -1; at < 0 || n < at+4+body; {
				k, err := c.Read(first[n:])
				if err != nil {
					t.Fatal(err)
				}
				n += k
				at = bytes.Index(first[:n], []byte("\r\n\r\n"))
			}
			buf := make([]byte, n)
			once := func() {
				if _, err := c.Write(in); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					t.Fatal(err)
				}
			}
			for range 100 {
				once()
			}
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // pools keep what they have
			if n := testing.AllocsPerRun(200, once); n != 0 {
				t.Errorf("%v allocations per exchange", n)
			}
		})
	}
}
