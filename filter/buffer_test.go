package filter

import (
	"errors"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestBufferConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "buffer", [][2]string{{`{"request": "2GiB"}`, "request"}, {`{"response": "2GiB"}`, "response"}})
	takes(t, "buffer", "", "64KiB", `{"response": "1MiB"}`)
}

// The service gets the whole body at once, with a length.
func TestBufferRequest(t *testing.T) {
	t.Parallel()
	r := ask("POST", "/", "Expect: 100-continue")
	defer r.Release()
	src := &trickle{data: []byte(strings.Repeat("x", 5000)), size: 100}
	r.Body, r.Length, r.Expect = src, message.Unknown, true
	told := 0
	r.X.Continue = func() error { told++; return nil }
	f := build(t, &Buffer{}, func(r *message.Request) (*message.Response, error) {
		b, ok := r.Body.(message.Buffered)
		if !ok || len(b.Peek()) != 5000 || r.Length != 5000 || r.Expect || r.Header.Has(message.Expect) {
			t.Errorf("length %d, expect %v", r.Length, r.Expect)
		}
		return answer(200, ""), nil
	})
	resp, err := f(r)
	if err != nil || told != 1 {
		t.Fatalf("%v; the client was told to send %d times", err, told)
	}
	resp.Release()
	if _ = r.Body.Close(); src.closed == 0 {
		t.Error("the client's body was not closed")
	}
}

func TestBufferRequestFaults(t *testing.T) {
	t.Parallel()
	f := build(t, &Buffer{Request: 100}, func(*message.Request) (*message.Response, error) {
		t.Error("the service was called")
		return answer(200, ""), nil
	})
	for _, c := range []struct {
		name   string
		body   *trickle
		length int64
		status int
	}{
		{"announced too large", &trickle{data: make([]byte, 101), size: 50}, 101, 413},
		{"too large", &trickle{data: make([]byte, 101), size: 50}, message.Unknown, 413},
		{"cut", &trickle{data: make([]byte, 10), size: 5, end: message.ErrAborted}, 50, 400},
		{"a fault with its own status", &trickle{data: make([]byte, 10), size: 5, end: problem.New(408, "slow", "")}, 50, 408},
	} {
		r := ask("POST", "/")
		r.Body, r.Length = c.body, c.length
		if _, err := f(r); err == nil || problem.Of(err).Status != c.status {
			t.Errorf("%s: %v, want %d", c.name, err, c.status)
		}
		r.Release()
	}
}

func TestBufferResponse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		make   func() *message.Response
		status int
		length int64
	}{
		{"chunked", func() *message.Response {
			p := answer(200, "hello")
			p.Length = message.Unknown
			return p
		}, 200, 5},
		{"trailers keep it chunked", func() *message.Response {
			p := answer(200, "hello")
			p.Length = message.Unknown
			_ = p.Trailer.Add("X-Sum", "1")
			return p
		}, 200, message.Unknown},
		{"stream", func() *message.Response {
			p := answer(200, strings.Repeat("x", 200))
			p.Length, p.Stream = message.Unknown, true
			return p
		}, 200, message.Unknown},
		{"too large", func() *message.Response { return answer(200, strings.Repeat("x", 101)) }, 502, 0},
		{"too large, chunked", func() *message.Response {
			p := answer(200, strings.Repeat("x", 101))
			p.Length = message.Unknown
			return p
		}, 502, 0},
		{"cut", func() *message.Response {
			p := answer(200, "x")
			p.Body = &trickle{data: []byte("hel"), size: 2, end: message.ErrAborted}
			return p
		}, 502, 0},
	} {
		r := ask("GET", "/")
		resp, err := build(t, &Buffer{Response: 100}, func(*message.Request) (*message.Response, error) { return c.make(), nil })(r)
		switch {
		case err != nil:
			if problem.Of(err).Status != c.status {
				t.Errorf("%s: %v", c.name, err)
			}
		default:
			if resp.Status != c.status || resp.Length != c.length {
				t.Errorf("%s: %d, length %d", c.name, resp.Status, resp.Length)
			}
			resp.Release()
		}
		r.Release()
	}
}

// A client that left is not reported as a broken service.
func TestBufferClientGone(t *testing.T) {
	t.Parallel()
	r := ask("GET", "/")
	defer r.Release()
	f := build(t, &Buffer{Response: 100}, func(r *message.Request) (*message.Response, error) {
		r.X.Cancel(message.ErrClientGone)
		p := answer(200, "x")
		p.Body = &trickle{data: []byte("hel"), size: 2, end: message.ErrAborted}
		return p, nil
	})
	if _, err := f(r); !errors.Is(err, message.ErrClientGone) {
		t.Error(err)
	}
}
