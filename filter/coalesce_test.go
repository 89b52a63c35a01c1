package filter

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// together asks with all requests at once while the service is held back.
func together(t *testing.T, c *Coalesce, requests []*message.Request, serve func(n int64, r *message.Request) (*message.Response, error)) (calls int64, bodies []string) {
	t.Helper()
	gate := make(chan struct{})
	var count atomic.Int64
	f := build(t, c, func(r *message.Request) (*message.Response, error) {
		n := count.Add(1)
		<-gate
		return serve(n, r)
	})
	bodies = make([]string, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() {
			defer r.Release()
			resp, err := f(r)
			if err != nil {
				bodies[i] = fmt.Sprint(problem.Of(err).Status)
				return
			}
			defer resp.Release()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			bodies[i] = string(b)
		})
	}
	synctest.Wait()
	close(gate)
	wg.Wait()
	return count.Load(), bodies
}

func TestCoalesceComparesBy(t *testing.T) {
	for _, c := range []struct {
		name string
		by   Coalesce
		a, b []string // path, then fields
		same bool
	}{
		{"url", Coalesce{By: []string{"url"}}, []string{"/x?a"}, []string{"/x?a"}, true},
		{"another query", Coalesce{By: []string{"url"}}, []string{"/x?a"}, []string{"/x?b"}, false},
		{"path", Coalesce{By: []string{"path"}}, []string{"/x?a"}, []string{"/x?b"}, true},
		{"one parameter", Coalesce{By: []string{"path", "query.p"}}, []string{"/x?p=1&z=1"}, []string{"/x?z=2&p=1"}, true},
		{"its value", Coalesce{By: []string{"path", "query.p"}}, []string{"/x?p=1"}, []string{"/x?p=2"}, false},
		{"header", Coalesce{By: []string{"url", "header.X-T"}}, []string{"/x", "X-T: 1"}, []string{"/x", "X-T: 2"}, false},
		{"authorization", Coalesce{By: []string{"url"}}, []string{"/x", "Authorization: a"}, []string{"/x", "Authorization: b"}, false},
		{"excluded", Coalesce{By: []string{"url"}, Exclude: []string{"authorization"}}, []string{"/x", "Authorization: a"}, []string{"/x", "Authorization: b"}, true},
		{"cookie", Coalesce{By: []string{"url"}}, []string{"/x", "Cookie: a=1"}, []string{"/x", "Cookie: a=2"}, false},
		{"one cookie", Coalesce{By: []string{"url", "cookie.a"}, Exclude: []string{"cookie"}}, []string{"/x", "Cookie: a=1; b=1"}, []string{"/x", "Cookie: b=2; a=1"}, true},
		{"range", Coalesce{By: []string{"url"}}, []string{"/x", "Range: bytes=0-1"}, []string{"/x"}, false},
		{"condition", Coalesce{By: []string{"url"}}, []string{"/x", `If-None-Match: "a"`}, []string{"/x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, _ := together(t, &c.by, []*message.Request{ask("GET", c.a[0], c.a[1:]...), ask("GET", c.b[0], c.b[1:]...)},
					func(int64, *message.Request) (*message.Response, error) { return answer(200, "x"), nil })
				if (calls == 1) != c.same {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

func TestCoalesceOutcomes(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve func(n int64, r *message.Request) (*message.Response, error)
		calls int64
		same  bool // all bodies
	}{
		{"shared", func(n int64, _ *message.Request) (*message.Response, error) {
			return answer(200, fmt.Sprint("call ", n)), nil
		}, 1, true},
		{"errors of the service are shared", func(n int64, _ *message.Request) (*message.Response, error) {
			return answer(503, fmt.Sprint("call ", n)), nil
		}, 1, true},
		{"streamed", func(int64, *message.Request) (*message.Response, error) {
			resp := answer(200, strings.Repeat("0123456789", 200_000))
			resp.Length = message.Unknown
			return resp, nil
		}, 1, true},
		{"set-cookie", func(n int64, _ *message.Request) (*message.Response, error) {
			return answer(200, fmt.Sprint("call ", n), "Set-Cookie: a=b"), nil
		}, 5, false},
		{"no-store", func(n int64, _ *message.Request) (*message.Response, error) {
			return answer(200, fmt.Sprint("call ", n), "Cache-Control: no-store"), nil
		}, 5, false},
		{"too large", func(n int64, _ *message.Request) (*message.Response, error) {
			return answer(200, strings.Repeat(fmt.Sprint(n), 2<<20)), nil
		}, 5, false},
		{"failed leader", func(n int64, _ *message.Request) (*message.Response, error) {
			if n == 1 {
				return nil, problem.New(502, "reset", "")
			}
			time.Sleep(time.Second) // nothing is stored: the others must come while it lasts
			return answer(200, "good"), nil
		}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var list []*message.Request
				for range 5 {
					list = append(list, ask("GET", "/x"))
				}
				calls, bodies := together(t, &Coalesce{By: []string{"url"}}, list, c.serve)
				if calls != c.calls {
					t.Errorf("%d calls, want %d", calls, c.calls)
				}
				for _, b := range bodies[1:] {
					if c.same && b != bodies[0] {
						t.Errorf("%d and %d bytes differ", len(b), len(bodies[0]))
					}
				}
			})
		})
	}
}

// What is private to someone is shared only among requests that carry the same credentials.
func TestCoalescePrivate(t *testing.T) {
	for _, c := range []struct {
		exclude []string
		calls   int64
	}{{nil, 1}, {[]string{"cookie"}, 3}} {
		synctest.Test(t, func(t *testing.T) {
			var list []*message.Request
			for range 3 {
				list = append(list, ask("GET", "/x", "Cookie: sid=1"))
			}
			calls, _ := together(t, &Coalesce{By: []string{"url"}, Exclude: c.exclude}, list,
				func(int64, *message.Request) (*message.Response, error) {
					return answer(200, "mine", "Cache-Control: private"), nil
				})
			if calls != c.calls {
				t.Errorf("exclude %v: %d calls, want %d", c.exclude, calls, c.calls)
			}
		})
	}
}

func TestCoalesceVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list []*message.Request
		for i := range 10 {
			list = append(list, ask("GET", "/x", "Accept-Language: "+[]string{"de", "en"}[i%2]))
		}
		calls, bodies := together(t, &Coalesce{By: []string{"url"}}, list, func(_ int64, r *message.Request) (*message.Response, error) {
			time.Sleep(time.Second)
			return answer(200, strings.Clone(r.Header.Get("Accept-Language")), "Vary: Accept-Language"), nil
		})
		for i, b := range bodies {
			if b != []string{"de", "en"}[i%2] {
				t.Errorf("client %d got %q", i, b)
			}
		}
		if calls > 3 {
			t.Errorf("%d calls for two variants", calls)
		}
	})
}

func TestCoalesceWaitsFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var calls atomic.Int64
		f := build(t, &Coalesce{By: []string{"url"}}, func(*message.Request) (*message.Response, error) {
			if calls.Add(1) == 1 {
				<-gate
			}
			return answer(200, "x"), nil
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				r := ask("GET", "/x")
				defer r.Release()
				if resp, err := f(r); err != nil {
					t.Error(err)
				} else {
					resp.Release()
				}
			})
		}
		time.Sleep(headWait)
		synctest.Wait()
		if calls.Load() != 3 {
			t.Errorf("%d calls after %v", calls.Load(), headWait)
		}
		close(gate)
		wg.Wait()
	})
}

func TestCoalesceConfig(t *testing.T) {
	for _, c := range []*Coalesce{
		{},
		{By: []string{"uri"}},
		{By: []string{"url.x"}},
		{By: []string{"header."}},
		{By: []string{"header.a b"}},
		{By: []string{"url"}, Exclude: []string{"cookies"}},
		{By: make([]string, 20)},
	} {
		if _, err := c.Filter(Bare()); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
