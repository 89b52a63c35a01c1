package upstream

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// A service without endpoints opens no breaker: the first that comes is called
// at once.
func TestNoEndpointOpensNoBreaker(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{})
	<-c.Filled()
	for range 3 {
		if err := c.Set(nil); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			_, err := c.Do(request("GET", "/"))
			wantProblem(t, err, 503, "no_endpoint")
		}
		if err := c.Set([]Addr{{URL: s.url()}}); err != nil {
			t.Fatal(err)
		}
		if status, body := do(t, c, request("GET", "/")); status != 200 {
			t.Fatalf("the first call after that gives %d %s", status, body)
		}
	}
	if n := c.Stats().Guard.Counts.Failure; n != 600 {
		t.Errorf("%d failures are counted, not 600", n)
	}
}

// slowBody is a body whose client sends when it likes.
type slowBody struct{ r *io.PipeReader }

func (b slowBody) Read(p []byte) (int, error) { return b.r.Read(p) }
func (b slowBody) Close() error               { return b.r.Close() }

// A client that sends slowly takes no place from the others, whether its body is
// small or not, and neither does one that holds a stream.
func TestSlowClientsTakeNoPlace(t *testing.T) {
	got := make(chan string, 3)
	s := serve(t, func(w net.Conn, n int, h string, b []byte) bool { got <- string(b); return ok(w, n, h, b) })
	c := cluster(t, Config{URL: s.url(), Limit: Limit{Algorithm: "fixed", Initial: 1, Queue: -1}}, Env{})
	for _, size := range []int64{5, smallBody + 5} {
		in, out := io.Pipe()
		r := request("POST", "/")
		r.Body, r.Length = slowBody{in}, size
		done := make(chan error, 1)
		go func() {
			resp, err := c.Do(r)
			if err == nil {
				_, _ = message.ReadAll(nil, resp.Body, 100)
				resp.MarkComplete()
				resp.Release()
			}
			done <- err
		}()
		_, _ = out.Write([]byte("he"))
		if status, _ := do(t, c, request("GET", "/")); status != 200 {
			t.Errorf("%d while a client sends", status)
		}
		<-got
		_, _ = out.Write([]byte("llo" + string(make([]byte, size-5))))
		_ = out.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if b := <-got; int64(len(b)) != size || b[:5] != "hello" {
			t.Errorf("the service got %d bytes", len(b))
		}
	}
	nothingKept(t, c)
}

// A body that ends early is its client's fault and not sent at all.
func TestSmallBodyCutShort(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{})
	in, out := io.Pipe()
	_ = out.Close()
	r := request("POST", "/")
	r.Body, r.Length = slowBody{in}, 5
	_, err := c.Do(r)
	wantProblem(t, err, 499, "client_abort")
	if g := c.Stats().Guard; s.conns.Load() != 0 || g.Counts.Errors() != 0 {
		t.Errorf("%d connections, %+v", s.conns.Load(), g.Counts)
	}
	nothingKept(t, c)
}

// A time-out proves nothing when the caller gave no time; the service's own does.
func TestImpatientCallersOpenNoBreaker(t *testing.T) {
	s := serve(t, silent)
	c := cluster(t, Config{URL: s.url(), TryTimeout: 20 * time.Millisecond, Retry: Retry{Attempts: 1}}, Env{})
	for range 30 {
		r := request("GET", "/")
		r.X.Deadline, r.X.CallerDeadline = r.X.Began.Add(time.Millisecond), true
		_, err := c.Do(r)
		wantProblem(t, err, 504, "exchange_timeout")
	}
	if b := c.Stats().Guard.Breaker; b.Opened != 0 {
		t.Errorf("%+v", b)
	}
	for range 20 {
		_, _ = c.Do(request("GET", "/"))
	}
	if b := c.Stats().Guard.Breaker; b.Opened != 1 {
		t.Errorf("%+v", b)
	}
}
