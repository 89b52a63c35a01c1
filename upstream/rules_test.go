package upstream

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// once answers the first request of a connection and closes it behind the
// answer, without saying so.
func once(w net.Conn, n int, head string, body []byte) bool {
	ok(w, n, head, body)
	return false
}

// §12.2: a request that can't be sent twice looks at its connection first, however
// short it was idle: a closed one costs nothing.
func TestPostLooksFirst(t *testing.T) {
	s := serve(t, once)
	c := cluster(t, Config{URL: s.url()}, Env{})
	for range 5 {
		if status, _ := do(t, c, withBody(request("POST", "/"), "abc")); status != 200 {
			t.Fatal(status)
		}
		waitFor(t, func() bool { // the service has closed
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.open) == 0
		})
	}
	if st := c.Stats(); st.Dead != 4 || st.StalePost != 0 || s.conns.Load() != 5 {
		t.Errorf("%d dead, %d stale, %d connections", st.Dead, st.StalePost, s.conns.Load())
	}
}

// §12.4: a body up to 64 KiB that may be sent twice is sent again whole.
func TestReplayOfABody(t *testing.T) {
	bodies := make(chan string, 9)
	s := serve(t, func(w net.Conn, n int, head string, body []byte) bool {
		bodies <- string(body)
		if n == 1 {
			return false // the second request of a connection is lost
		}
		return ok(w, n, head, body)
	})
	c := cluster(t, Config{URL: s.url()}, Env{})
	want := strings.Repeat("0123456789", 4000)
	do(t, c, request("GET", "/"))
	if status, _ := do(t, c, withBody(request("PUT", "/"), want)); status != 200 {
		t.Fatal(status)
	}
	<-bodies // of the GET
	for range 2 {
		if got := <-bodies; got != want {
			t.Errorf("a body of %d bytes", len(got))
		}
	}
	if st := c.Stats(); st.StaleReplayed != 1 {
		t.Errorf("%+v", st)
	}
}

// §6: bytes behind a response close its connection and are counted.
func TestExtraBytes(t *testing.T) {
	s := serve(t, func(w net.Conn, _ int, _ string, _ []byte) bool {
		_, err := io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
		return err == nil
	})
	c := cluster(t, Config{URL: s.url()}, Env{})
	for range 3 {
		if _, body := do(t, c, request("GET", "/")); body != "ok" {
			t.Fatalf("%q", body)
		}
	}
	if st := c.Stats(); st.ExtraBytes != 3 || s.conns.Load() != 3 {
		t.Errorf("%d counted, %d connections", st.ExtraBytes, s.conns.Load())
	}
}

// A route may give a try, and the silence inside a body, less time than the service has.
func TestTimesOfTheExchange(t *testing.T) {
	c := cluster(t, Config{URL: serve(t, silent).url()}, Env{})
	r := request("GET", "/")
	r.X.TryTimeout = 50 * time.Millisecond
	began := time.Now()
	_, err := c.Do(r)
	wantProblem(t, err, 504, "head_timeout")
	if d := time.Since(began); d < 50*time.Millisecond || d > 2*time.Second {
		t.Errorf("it took %v", d)
	}

	stuck := serve(t, func(w net.Conn, _ int, _ string, _ []byte) bool {
		_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
		return silent(w, 0, "", nil)
	})
	c = cluster(t, Config{URL: stuck.url()}, Env{})
	r = request("GET", "/")
	r.X.IdleTimeout = 50 * time.Millisecond
	p, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if b, err := message.ReadAll(nil, p.Body, 100); err == nil || string(b) != "ab" {
		t.Errorf("%q %v", b, err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
	p.Release()
	if st := c.Stats().Endpoints[0]; st.Conns != 0 {
		t.Errorf("the stuck connection is kept: %+v", st)
	}
}

// A client that gives up inside its own upload is not the service's fault.
func TestUploadFaultIsTheClients(t *testing.T) {
	s := serve(t, func(w net.Conn, _ int, _ string, _ []byte) bool {
		_, _ = io.Copy(io.Discard, w)
		return false
	})
	c := cluster(t, Config{URL: s.url()}, Env{})
	r := request("POST", "/")
	r.Body, r.Length = &cutBody{}, message.Unknown
	_, err := c.Do(r)
	wantProblem(t, err, 499, "client_abort")
	if st := c.Stats().Endpoints[0]; st.Errors != 0 || st.Success != 1 || st.Conns != 0 {
		t.Errorf("%+v", st)
	}
}

// cutBody gives a few bytes and breaks off.
type cutBody struct{ n int }

func (b *cutBody) Read(p []byte) (int, error) {
	if b.n++; b.n > 3 {
		return 0, message.ErrClientGone
	}
	return copy(p, "abc"), nil
}

func (b *cutBody) Close() error { return nil }

// A body shorter than it said never ends validly, and its connection is not used again.
func TestShortBody(t *testing.T) {
	s := serve(t, ok)
	c := cluster(t, Config{URL: s.url()}, Env{})
	r := request("POST", "/")
	r.Body, r.Length = message.Bytes([]byte("abc")), 100_000
	_, err := c.Do(r)
	wantProblem(t, err, 499, "client_abort")
	if st := c.Stats().Endpoints[0]; st.Conns != 0 {
		t.Errorf("%+v", st)
	}
}
