package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// streamed is a body that is not in memory, as HTTP/2 clients send them.
type streamed struct{ io.Reader }

func (streamed) Close() error { return nil }

// seen is what a pair of instances got.
type seen struct {
	mu     sync.Mutex
	bodies [][]byte
	marks  []string
}

func (s *seen) note(head string, body []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := ""
	for line := range strings.SplitSeq(head, "\r\n") {
		if v, ok := strings.CutPrefix(line, "X-Maru-Attempt: "); ok {
			mark = v
		}
	}
	s.bodies, s.marks = append(s.bodies, body), append(s.marks, mark)
	return len(s.bodies)
}

func TestOwnRetries(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", message.ReplaySize/16)
	const unavailable = "HTTP/1.1 503 No\r\nContent-Length: 4\r\nX-Old: 1\r\n"
	rows := []struct {
		name   string
		cfg    Config
		method string
		body   string
		stream bool   // the body is not in memory
		first  string // the first answer; "" for none
		change func(r *message.Request)
		tries  int
		status int // 0: a reset
	}{
		{"a GET after 503", Config{}, "GET", "", false, unavailable + "\r\nwait", nil, 2, 200},
		{"a GET after a reset", Config{}, "GET", "", false, "", nil, 2, 200},
		{"a POST after 503", Config{}, "POST", "body", false, unavailable + "\r\nwait", nil, 1, 503},
		{"a POST after a reset", Config{}, "POST", "body", false, "", nil, 1, 0},
		{"a POST with a key", Config{}, "POST", "body", false, "", func(r *message.Request) { _ = r.Header.Add("Idempotency-Key", "k") }, 2, 200},
		{"a PUT with 64 KiB", Config{}, "PUT", large, false, unavailable + "\r\nwait", nil, 2, 200},
		{"a PUT with 64 KiB that are streamed", Config{}, "PUT", large, true, unavailable + "\r\nwait", nil, 2, 200},
		{"a PUT with more", Config{}, "PUT", large + "x", true, unavailable + "\r\nwait", nil, 1, 503},
		{"a short wish to be left alone", Config{}, "GET", "", false, unavailable + "Retry-After: 0\r\n\r\nwait", nil, 2, 200},
		{"a long one", Config{}, "GET", "", false, unavailable + "Retry-After: 2\r\n\r\nwait", nil, 1, 503},
		{"404", Config{}, "GET", "", false, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", nil, 1, 404},
		{"off", Config{Retry: Retry{Attempts: 1}}, "GET", "", false, unavailable + "\r\nwait", nil, 1, 503},
		{"another layer retries", Config{}, "GET", "", false, unavailable + "\r\nwait", func(r *message.Request) { r.X.Retrying = true }, 1, 503},
		{"the layer before retries", Config{}, "GET", "", false, unavailable + "\r\nwait", func(r *message.Request) { r.Header.SetID(message.XMaruAttempt, "1") }, 1, 503},
		{"streams", Config{}, "GET", "", false, unavailable + "\r\nwait", func(r *message.Request) { r.X.Stream = true }, 1, 503},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var got seen
			handle := func(w net.Conn, n int, head string, body []byte) bool {
				if got.note(head, body) > 1 {
					return ok(w, n, head, body)
				}
				_, _ = io.WriteString(w, row.first)
				return row.first != ""
			}
			one, two := serve(t, handle), serve(t, handle)
			row.cfg.URLs = []EndpointConfig{{URL: one.url()}, {URL: two.url()}}
			c := cluster(t, row.cfg, Env{})
			r := request(row.method, "/")
			r.X.Deadline = r.X.Began.Add(10 * time.Second)
			if row.body != "" {
				withBody(r, row.body)
				if row.stream {
					r.Body = streamed{strings.NewReader(row.body)}
				}
			}
			if row.change != nil {
				row.change(r)
			}
			resp, err := c.Do(r)
			status := 0
			if err == nil {
				if status = resp.Status; status == 200 && resp.Header.Has(message.RetryAfter) || resp.Header.Has(message.Other) && strings.Contains(fmt.Sprint(resp.Header.Fields()), "X-Old") && status == 200 {
					t.Error("fields of the failed answer are in the good one")
				}
				_, _ = message.ReadAll(nil, resp.Body, 100)
				resp.MarkComplete()
				resp.Release()
			}
			got.mu.Lock()
			defer got.mu.Unlock()
			if status != row.status || len(got.bodies) != row.tries || r.X.Attempts != row.tries {
				t.Fatalf("%d (%v) after %d tries, %d attempts", status, err, len(got.bodies), r.X.Attempts)
			}
			for i, b := range got.bodies {
				if !bytes.Equal(b, []byte(row.body)) {
					t.Errorf("try %d had a body of %d bytes, not %d", i, len(b), len(row.body))
				}
			}
			if row.tries == 2 && got.marks[1] != "1" {
				t.Errorf("marked %q", got.marks)
			}
			if a, b := one.conns.Load(), two.conns.Load(); row.tries == 2 && (a == 0 || b == 0) {
				t.Errorf("both tries went to one endpoint: %d and %d", a, b)
			}
			nothingKept(t, c)
		})
	}
}

// What fails in the end carries no mark of ours: another service may get it next.
func TestFailedRetriesLeaveNoMark(t *testing.T) {
	t.Parallel()
	s := serve(t, func(net.Conn, int, string, []byte) bool { return false })
	c := cluster(t, Config{URL: s.url(), Retry: Retry{Attempts: 4}}, Env{})
	r := request("GET", "/")
	_, err := c.Do(r)
	wantProblem(t, err, 502, "reset")
	if r.X.Attempts < 2 || r.Header.Has(message.XMaruAttempt) {
		t.Errorf("%d attempts, marked %q", r.X.Attempts, r.Header.Value(message.XMaruAttempt))
	}
	nothingKept(t, c)
}

// Time that is not enough for a try is not spent on a retry.
func TestNoRetryWithoutTime(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	s := serve(t, func(w net.Conn, _ int, _ string, _ []byte) bool {
		tries.Add(1)
		_, err := io.WriteString(w, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
		return err == nil
	})
	c := cluster(t, Config{URL: s.url()}, Env{})
	c.health.median.Store(int64(time.Minute)) // what a try usually takes
	r := request("GET", "/")
	r.X.Deadline = r.X.Began.Add(30 * time.Second)
	resp, err := c.Do(r)
	if err != nil || resp.Status != 503 || tries.Load() != 1 {
		t.Fatalf("%v, %d tries", err, tries.Load())
	}
	resp.Release()
}
