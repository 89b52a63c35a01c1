package filter

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// cacheRig is a cache in front of a service that the test plays.
type cacheRig struct {
	t     *testing.T
	store *CacheStore
	chain Func
	calls atomic.Int64
	serve atomic.Pointer[func(n int64, r *message.Request) (*message.Response, error)]
}

func newCacheRig(t *testing.T, c *Cache, serve func(n int64, r *message.Request) (*message.Response, error)) *cacheRig {
	t.Helper()
	g := &cacheRig{t: t}
	g.serve.Store(&serve)
	if c.Tell == "" {
		c.Tell = "always"
	}
	env := Bare()
	env.Keep = func(_ string, mk func() any) any {
		if g.store == nil {
			g.store, _ = mk().(*CacheStore)
		}
		return g.store
	}
	f, err := c.Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	g.chain = f(func(r *message.Request) (*message.Response, error) {
		return (*g.serve.Load())(g.calls.Add(1), r)
	})
	return g
}

// got is what a client saw.
type got struct {
	status int
	body   string
	told   string // Cache-Status
	head   message.Header
	err    error
}

func (g *cacheRig) ask(method, path string, fields ...string) got {
	r := ask(method, path, fields...)
	defer r.Release()
	return g.run(r)
}

func (g *cacheRig) run(r *message.Request) got {
	resp, err := g.chain(r)
	if err != nil {
		return got{err: err, status: problem.Of(err).Status}
	}
	defer resp.Release()
	out := got{status: resp.Status}
	for _, f := range resp.Header.Fields() {
		_ = out.head.Add(strings.Clone(f.Name), strings.Clone(f.Value))
	}
	out.told = out.head.Value(message.CacheStatus)
	b, err := io.ReadAll(resp.Body)
	out.body, out.err = string(b), err
	if err == nil {
		resp.MarkComplete()
	}
	return out
}

func fresh(body string, fields ...string) *message.Response {
	return answer(200, body, append([]string{"Cache-Control: max-age=60"}, fields...)...)
}

// many asks n times at once, and waits until all of them wait for others.
func (g *cacheRig) many(n int, path string, fields ...string) func() []got {
	out := make([]got, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { out[i] = g.ask("GET", path, fields...) })
	}
	synctest.Wait()
	return func() []got { wg.Wait(); return out }
}

func TestCacheCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
			<-gate
			return fresh(strings.Repeat("x", 5000)), nil
		})
		all := g.many(50, "/x")
		close(gate)
		collapsed := 0
		for _, r := range all() {
			if r.err != nil || r.status != 200 || len(r.body) != 5000 {
				t.Fatalf("%d %v, %d bytes", r.status, r.err, len(r.body))
			}
			if strings.Contains(r.told, "collapsed") {
				collapsed++
			}
		}
		if g.calls.Load() != 1 || collapsed != 49 {
			t.Errorf("%d calls, %d collapsed", g.calls.Load(), collapsed)
		}
	})
}

func TestCacheLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(_ int64, r *message.Request) (*message.Response, error) {
			<-gate
			return fresh("for all"), r.X.Err()
		})
		leader := ask("GET", "/x")
		left := make(chan got)
		go func() { left <- g.run(leader) }()
		synctest.Wait()
		all := g.many(3, "/x")
		leader.X.Cancel(message.ErrClientGone)
		if r := <-left; !errors.Is(r.err, message.ErrClientGone) {
			t.Errorf("the leader got %+v", r)
		}
		leader.Release()
		close(gate)
		for _, r := range all() {
			if r.body != "for all" {
				t.Errorf("a follower got %d %q %v", r.status, r.body, r.err)
			}
		}
		if r := g.ask("GET", "/x"); r.told != "maru; hit; ttl=60" || g.calls.Load() != 1 {
			t.Errorf("%s after %d calls", r.told, g.calls.Load())
		}
	})
}

// Calls whose clients all left go on up to a bound; beyond it they are given up.
func TestCacheOrphansAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Int64
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(_ int64, r *message.Request) (*message.Response, error) {
			dropped := make(message.Gone)
			if err := r.X.OnCancel(dropped); err != nil {
				cancelled.Add(1)
				return nil, err
			}
			defer r.X.OffCancel(dropped)
			select {
			case <-gate:
				return fresh("x"), nil
			case <-dropped:
				cancelled.Add(1)
				return nil, r.X.Err()
			}
		})
		const more = 20
		var wg sync.WaitGroup
		for i := range maxOrphans + more {
			r := ask("GET", fmt.Sprint("/", i))
			wg.Go(func() {
				g.run(r)
				r.Release()
			})
			synctest.Wait()
			r.X.Cancel(message.ErrClientGone)
		}
		wg.Wait()
		synctest.Wait()
		if cancelled.Load() != more {
			t.Errorf("%d calls were given up, want %d", cancelled.Load(), more)
		}
		close(gate)
		synctest.Wait()
		if g.store.flights.orphans != 0 || g.store.busy() {
			t.Errorf("%d orphans are left", g.store.flights.orphans)
		}
	})
}

// A leader that leaves while only it may have the response: the response is given back.
func TestCacheLeaderLeavesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		body := &trickle{data: []byte("secret"), size: 10}
		g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
			<-gate
			resp := answer(200, "", "Cache-Control: private")
			resp.Body, resp.Length = body, 6
			return resp, nil
		})
		leader := ask("GET", "/x")
		left := make(chan got)
		go func() { left <- g.run(leader) }()
		synctest.Wait()
		leader.X.Cancel(message.ErrClientGone)
		<-left
		leader.Release()
		close(gate)
		synctest.Wait()
		if body.closed == 0 {
			t.Error("the response that nobody took was not closed")
		}
	})
}

func TestCacheFailedLeaderHandsOver(t *testing.T) {
	for name, failure := range map[string]func() (*message.Response, error){
		"error": func() (*message.Response, error) { return nil, problem.New(502, "reset", "") },
		"500":   func() (*message.Response, error) { return answer(500, "broken"), nil },
		"panic": func() (*message.Response, error) { panic("in the service") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				g := newCacheRig(t, &Cache{}, func(n int64, _ *message.Request) (*message.Response, error) {
					<-gate
					if n == 1 {
						return failure()
					}
					return fresh("good"), nil
				})
				all := g.many(20, "/x")
				close(gate)
				bad := 0
				for _, r := range all() {
					if r.status >= 500 {
						bad++
					} else if r.body != "good" {
						t.Errorf("%d %q", r.status, r.body)
					}
				}
				if bad != 1 || g.calls.Load() != 2 {
					t.Errorf("%d failed, %d calls: want the leader alone, and one more call", bad, g.calls.Load())
				}
			})
		})
	}
}

func TestCacheUnshareableGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(n int64, r *message.Request) (*message.Response, error) {
			<-gate
			return answer(200, "for "+r.Header.Get("X-Who"), "Cache-Control: private", fmt.Sprintf("Set-Cookie: n=%d", n)), nil
		})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				who := fmt.Sprint("client ", i)
				r := g.ask("GET", "/x", "X-Who: "+who)
				if r.body != "for "+who {
					t.Errorf("%s got %q", who, r.body)
				}
			})
		}
		synctest.Wait()
		if g.calls.Load() != 1 {
			t.Errorf("%d calls before the head: the others should wait for it", g.calls.Load())
		}
		close(gate)
		wg.Wait()
		if g.calls.Load() != 10 {
			t.Errorf("%d calls for 10 clients", g.calls.Load())
		}
		if r := g.ask("GET", "/x", "X-Who: me"); r.told != "maru; fwd=bypass" {
			t.Errorf("%q: the key should be marked", r.told)
		}
		time.Sleep(passTime)
		if r := g.ask("GET", "/x", "X-Who: me"); !strings.Contains(r.told, "detail=private") {
			t.Errorf("%q: the mark should be over", r.told)
		}
	})
}

func TestCacheFollowersWaitFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(n int64, _ *message.Request) (*message.Response, error) {
			if n == 1 {
				<-gate
			}
			return answer(200, "own", "Cache-Control: no-store"), nil
		})
		begin := time.Now()
		all := g.many(5, "/x")
		time.Sleep(headWait)
		synctest.Wait()
		if g.calls.Load() != 5 {
			t.Errorf("%d calls after %v", g.calls.Load(), headWait)
		}
		close(gate)
		for _, r := range all() {
			if r.body != "own" {
				t.Errorf("%d %q", r.status, r.body)
			}
		}
		if took := time.Since(begin); took > headWait+time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCacheFollowersReadAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &gatedBody{parts: make(chan string)}
		g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
			resp := fresh("")
			resp.Body, resp.Length = body, message.Unknown
			return resp, nil
		})
		open := func() (*message.Request, *message.Response) {
			r := ask("GET", "/x")
			resp, err := g.chain(r)
			if err != nil {
				t.Fatal(err)
			}
			return r, resp
		}
		r1, first := open()
		body.parts <- "hello "
		r2, second := open() // joins after the head
		var buf [100]byte
		for _, resp := range []*message.Response{first, second} {
			if n, err := resp.Body.Read(buf[:]); string(buf[:n]) != "hello " || err != nil {
				t.Errorf("read %q, %v while the body is on its way", buf[:n], err)
			}
		}
		first.Release() // the leader goes; the fill goes on
		r1.Release()
		body.parts <- "world"
		close(body.parts)
		if rest := readBody(t, second.Body); rest != "world" {
			t.Errorf("rest %q", rest)
		}
		second.Release()
		r2.Release()
		synctest.Wait()
		if r := g.ask("GET", "/x"); r.body != "hello world" || g.calls.Load() != 1 {
			t.Errorf("%q after %d calls", r.body, g.calls.Load())
		}
	})
}

// gatedBody gives what the test sends.
type gatedBody struct {
	parts chan string
	end   error
}

func (b *gatedBody) Read(p []byte) (int, error) {
	s, ok := <-b.parts
	if !ok {
		if b.end != nil {
			return 0, b.end
		}
		return 0, io.EOF
	}
	return copy(p, s), nil
}

func (b *gatedBody) Close() error { return nil }

func TestCacheCutBodyIsNotStored(t *testing.T) {
	for name, length := range map[string]int64{"chunked": message.Unknown, "announced": 100} {
		t.Run(name, func(t *testing.T) {
			g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
				resp := fresh("half of it")
				resp.Length = length
				if length < 0 {
					resp.Body = &trickle{data: []byte("half of it"), size: 3, end: message.ErrAborted}
				}
				return resp, nil
			})
			for range 2 {
				if r := g.ask("GET", "/x"); !errors.Is(r.err, message.ErrAborted) {
					t.Errorf("a cut body ended with %v", r.err)
				}
			}
			if g.calls.Load() != 2 {
				t.Error("a cut body was stored")
			}
		})
	}
}

// A body that grows over the limit becomes a stream for those who read it, at
// the pace of the slowest, and is not stored.
func TestCacheLargeBodyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 3 << 20
		big := make([]byte, size)
		for i := range big {
			big[i] = byte(i * 7 >> 3)
		}
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
			<-gate
			resp := fresh("")
			resp.Body, resp.Length = &trickle{data: big, size: 30_000}, message.Unknown
			return resp, nil
		})
		all := g.many(4, "/x")
		close(gate)
		for _, r := range all() {
			if r.err != nil || r.body != string(big) {
				t.Errorf("%d bytes of %d, %v", len(r.body), size, r.err)
			}
		}
		if g.calls.Load() != 1 {
			t.Errorf("%d calls", g.calls.Load())
		}
		if r := g.ask("GET", "/x"); r.told != "maru; fwd=bypass" {
			t.Errorf("%q: the key should be marked", r.told)
		}
		if st := g.store.Stats(); st.Bytes > 4096 || g.store.filling.Load() != 0 {
			t.Errorf("%+v, %d filling", st, g.store.filling.Load())
		}
	})
}

func TestCacheStalledReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := strings.Repeat("0123456789", 300_000)
		g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
			resp := fresh("")
			resp.Body, resp.Length = &trickle{data: []byte(big), size: 30_000}, message.Unknown
			return resp, nil
		})
		r := ask("GET", "/x")
		resp, err := g.chain(r)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * streamStall)
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, message.ErrAborted) {
			t.Errorf("a reader that stood still got %v", err)
		}
		resp.Release()
		r.Release()
		synctest.Wait()
	})
}

func TestCacheTooLargeIsKnownAtTheHead(t *testing.T) {
	g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
		return fresh(strings.Repeat("x", 1<<20+1)), nil
	})
	if r := g.ask("GET", "/x"); r.told != "maru; fwd=miss; detail=too_large" || len(r.body) != 1<<20+1 {
		t.Errorf("%q, %d bytes", r.told, len(r.body))
	}
}

func TestCacheTrailersPassUnstored(t *testing.T) {
	g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
		resp := fresh("hello")
		resp.Length = message.Unknown
		_ = resp.Trailer.Add("X-Sum", "5")
		return resp, nil
	})
	for range 2 {
		r := ask("GET", "/x")
		resp, err := g.chain(r)
		if err != nil {
			t.Fatal(err)
		}
		if body := readBody(t, resp.Body); body != "hello" || resp.Trailer.Get("X-Sum") != "5" {
			t.Errorf("%q, trailer %q", body, resp.Trailer.Get("X-Sum"))
		}
		resp.Release()
		r.Release()
		for g.store.busy() {
			runtime.Gosched()
		}
	}
	if g.calls.Load() != 2 {
		t.Error("a response with trailers was stored")
	}
}

func TestCacheStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(n int64, _ *message.Request) (*message.Response, error) {
			switch n {
			case 1:
				return answer(200, "one", "Cache-Control: max-age=10, stale-while-revalidate=100"), nil
			case 2:
				<-gate
				return nil, problem.New(502, "reset", "")
			}
			return answer(200, "two", "Cache-Control: max-age=10"), nil
		})
		g.ask("GET", "/x")
		time.Sleep(15 * time.Second)
		for range 20 {
			if r := g.ask("GET", "/x"); r.body != "one" || r.told != "maru; hit; ttl=-5" {
				t.Fatalf("%q %q", r.body, r.told)
			}
		}
		synctest.Wait()
		if g.calls.Load() != 2 {
			t.Fatalf("%d calls: one refresh at a time", g.calls.Load())
		}
		close(gate)
		synctest.Wait()
		for range 20 { // a failed refresh is not repeated at once
			g.ask("GET", "/x")
			synctest.Wait()
		}
		if n := g.calls.Load(); n > 3 {
			t.Fatalf("%d calls", n)
		}
		time.Sleep(refreshPause)
		g.ask("GET", "/x")
		synctest.Wait()
		if r := g.ask("GET", "/x"); r.body != "two" || g.calls.Load() != 3 {
			t.Errorf("%q after %d calls", r.body, g.calls.Load())
		}
	})
}

func TestCacheValidatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(n int64, r *message.Request) (*message.Response, error) {
			if n == 1 {
				return answer(200, "body", "Cache-Control: max-age=10", `ETag: "v"`), nil
			}
			<-gate
			if r.Header.Get("If-None-Match") != `"v"` {
				return answer(200, "unconditional"), nil
			}
			return answer(304, "", "Cache-Control: max-age=10", `ETag: "v"`, "Set-Cookie: a=b"), nil
		})
		g.ask("GET", "/x")
		time.Sleep(11 * time.Second)
		all := g.many(10, "/x")
		close(gate)
		cookies := 0
		for _, r := range all() {
			if r.body != "body" || r.head.Get("Age") != "0" {
				t.Errorf("%q, age %s", r.body, r.head.Get("Age"))
			}
			if r.head.Has(message.SetCookie) {
				cookies++
			}
		}
		if g.calls.Load() != 2 || cookies != 1 {
			t.Errorf("%d calls, %d clients got the cookie of the 304", g.calls.Load(), cookies)
		}
		if r := g.ask("GET", "/x"); r.head.Has(message.SetCookie) {
			t.Error("the cookie of a 304 was stored")
		}
	})
}

// A 304 selects the variant with its tag; about one that nobody holds it is asked again.
func TestCacheValidatesVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reply := func(n int64, r *message.Request) (*message.Response, error) {
			lang := r.Header.Get("Accept-Language")
			return answer(200, "in "+lang, "Cache-Control: max-age=10", `ETag: "`+lang+`"`, "Vary: Accept-Language"), nil
		}
		g := newCacheRig(t, &Cache{}, reply)
		g.ask("GET", "/x", "Accept-Language: de")
		g.ask("GET", "/x", "Accept-Language: en")
		asked := make(chan string, 3)
		selected := func(tag string) {
			f := func(n int64, r *message.Request) (*message.Response, error) {
				asked <- strings.Clone(r.Header.Get("If-None-Match"))
				if !r.Header.Has(message.IfNoneMatch) {
					return reply(n, r)
				}
				return answer(304, "", "Cache-Control: max-age=10", `ETag: "`+tag+`"`, "Vary: Accept-Language"), nil
			}
			g.serve.Store(&f)
		}
		selected("de")
		if r := g.ask("GET", "/x", "Accept-Language: de-AT"); r.body != "in de" || r.told != "maru; fwd=vary-miss; fwd-status=304" {
			t.Errorf("%q %q", r.body, r.told)
		}
		if q := <-asked; q != `"en", "de"` {
			t.Errorf("asked with %s", q)
		}
		selected("gone")
		if r := g.ask("GET", "/x", "Accept-Language: ko"); r.body != "in ko" {
			t.Errorf("%q", r.body)
		}
		if q := <-asked; !strings.Contains(q, `"de"`) {
			t.Errorf("asked with %s", q)
		}
		if q := <-asked; q != "" {
			t.Errorf("asked again with %s", q)
		}
		if r := g.ask("GET", "/x", "Accept-Language: de-AT"); r.body != "in de" || !strings.Contains(r.told, "hit") {
			t.Errorf("%q %q", r.body, r.told)
		}
	})
}

// One tag for all codings is a fault of the service, which must not reach clients.
func TestCacheTagsOfCodings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newCacheRig(t, &Cache{}, func(_ int64, r *message.Request) (*message.Response, error) {
			if r.Header.Has(message.IfNoneMatch) {
				return answer(304, "", "Cache-Control: max-age=10", `ETag: "v"`, "Vary: Accept-Encoding"), nil
			}
			if r.Header.Get("Accept-Encoding") == "gzip" {
				return answer(200, "zipped", "Cache-Control: max-age=10", `ETag: "v"`, "Vary: Accept-Encoding", "Content-Encoding: gzip"), nil
			}
			return answer(200, "plain", "Cache-Control: max-age=10", `ETag: "v"`, "Vary: Accept-Encoding"), nil
		})
		if r := g.ask("GET", "/x", "Accept-Encoding: gzip"); r.body != "zipped" {
			t.Fatal(r.body)
		}
		synctest.Wait()
		if r := g.ask("GET", "/x"); r.body != "plain" {
			t.Errorf("a client without gzip got %q", r.body)
		}
		time.Sleep(11 * time.Second)
		for accept, want := range map[string]string{"gzip": "zipped", "": "plain"} {
			if r := g.ask("GET", "/x", "Accept-Encoding: "+accept); r.body != want {
				t.Errorf("%q got %q", accept, r.body)
			}
			synctest.Wait()
		}
	})
}

// Followers of a leader who asked for another variant share a flight of their own.
func TestCacheCoalescesByVariant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newCacheRig(t, &Cache{}, func(n int64, r *message.Request) (*message.Response, error) {
			<-gate
			return fresh("in "+r.Header.Get("Accept-Language"), "Vary: Accept-Language"), nil
		})
		de := g.many(10, "/x", "Accept-Language: de")
		en := g.many(10, "/x", "Accept-Language: en")
		close(gate)
		for lang, list := range map[string][]got{"de": de(), "en": en()} {
			for _, r := range list {
				if r.body != "in "+lang {
					t.Errorf("%s got %q", lang, r.body)
				}
			}
		}
		if g.calls.Load() != 2 {
			t.Errorf("%d calls for two variants", g.calls.Load())
		}
	})
}

// What was asked for before a purge is served, but not stored after it.
func TestCachePurgeDoomsFlights(t *testing.T) {
	for name, purge := range map[string]func(g *cacheRig){
		"url":    func(g *cacheRig) { _, _ = g.store.Purge(Purge{URL: "http://example.com/x"}, time.Now()) },
		"prefix": func(g *cacheRig) { _, _ = g.store.Purge(Purge{Prefix: "http://example.com/"}, time.Now()) },
		"tag":    func(g *cacheRig) { _, _ = g.store.Purge(Purge{Tag: "any"}, time.Now()) },
		"all":    func(g *cacheRig) { _, _ = g.store.Purge(Purge{All: true}, time.Now()) },
		"POST":   func(g *cacheRig) { g.ask("POST", "/x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				g := newCacheRig(t, &Cache{}, func(n int64, r *message.Request) (*message.Response, error) {
					if r.Method == "POST" {
						return answer(204, ""), nil
					}
					if n == 1 {
						<-gate
						return fresh("old"), nil
					}
					return fresh("new"), nil
				})
				before := g.many(1, "/x")
				purge(g)
				if r := g.ask("GET", "/x"); r.body != "new" {
					t.Errorf("%q: a request after the purge joined one from before it", r.body)
				}
				close(gate)
				before()
				synctest.Wait()
				if r := g.ask("GET", "/x"); r.body != "new" {
					t.Errorf("%q was stored after the purge", r.body)
				}
			})
		})
	}
}

func TestCachePurgeCounts(t *testing.T) {
	g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
		return fresh("x", "Surrogate-Key: all", "Vary: X-V"), nil
	})
	for i := range 10 {
		g.ask("GET", fmt.Sprintf("/a/%d", i), "X-V: 1")
		g.ask("GET", fmt.Sprintf("/b/%d", i), "X-V: 1")
		g.ask("GET", fmt.Sprintf("/b/%d", i), "X-V: 2")
	}
	for g.store.busy() {
		runtime.Gosched()
	}
	for _, c := range []struct {
		p    Purge
		want int
	}{
		{Purge{URL: "http://example.com/b/1"}, 2},
		{Purge{URL: "http://example.com/b/1"}, 0},
		{Purge{Prefix: "http://example.com/a/", Soft: true}, 10},
		{Purge{Prefix: "http://example.com/a/"}, 10},
		{Purge{Tag: "all"}, 18},
		{Purge{All: true}, 0},
	} {
		if n, err := g.store.Purge(c.p, time.Now()); n != c.want || err != nil {
			t.Errorf("%+v purged %d, %v; want %d", c.p, n, err, c.want)
		}
	}
	if st := g.store.Stats(); st.Entries != 0 || st.Bytes != 0 {
		t.Errorf("left over: %+v", st)
	}
	for _, p := range []Purge{{}, {URL: "/x"}, {URL: "ftp://a/b"}, {URL: "http:///x"}, {Tag: "a", All: true}, {Prefix: "example.com"}} {
		if _, err := g.store.Purge(p, time.Now()); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}

// An error of a shared call is rendered after its request is gone.
func TestCacheErrorsOutliveTheirRequest(t *testing.T) {
	g := newCacheRig(t, &Cache{}, func(_ int64, r *message.Request) (*message.Response, error) {
		p := problem.New(503, "no_endpoint", "")
		p.Fields = []problem.Field{{Name: "X-Origin", Value: r.X.String([]byte("of the call"))}}
		return nil, p
	})
	r := ask("GET", "/x")
	defer r.Release()
	_, err := g.chain(r)
	for g.store.busy() {
		runtime.Gosched()
	}
	other := ask("GET", "/y") // takes the memory of the call's request
	defer other.Release()
	_ = other.X.String([]byte("something else"))
	if p := problem.Of(err); len(p.Fields) != 1 || p.Fields[0].Value != "of the call" {
		t.Errorf("%+v", p.Fields)
	}
}

// The store survives a reload; a changed definition finds nothing of the old one.
func TestCacheSurvivesReload(t *testing.T) {
	var store *CacheStore
	build := func(c *Cache) Func {
		env := Bare()
		env.Keep = func(_ string, mk func() any) any {
			if store == nil {
				store, _ = mk().(*CacheStore)
			}
			return store
		}
		f, err := c.Filter(env)
		if err != nil {
			t.Fatal(err)
		}
		return f(func(*message.Request) (*message.Response, error) { return fresh("x"), nil })
	}
	word := func(f Func) string {
		r := ask("GET", "/x")
		defer r.Release()
		resp, err := f(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Release()
		readBody(t, resp.Body)
		for store.busy() {
			runtime.Gosched()
		}
		return r.X.Cache
	}
	a, b, c := word(build(&Cache{})), word(build(&Cache{})), word(build(&Cache{StripCookies: true}))
	if a != "miss" || b != "hit" || c != "miss" {
		t.Errorf("%s, %s after a reload, %s after a change", a, b, c)
	}
}

// The store keeps to its bound, and what is asked for again survives a scan.
func TestCacheStoreEviction(t *testing.T) {
	s := newCacheStore(4<<20, 64<<10)
	now := time.Now()
	none, alive := new(message.Header), new(atomic.Bool)
	object := func() *cacheObject { return &cacheObject{status: 200, body: make([]byte, 4<<10)} }
	find := func(key string) bool { return s.find([]byte(key), []byte(key), none, now).obj != nil }
	for i := range 100 {
		key := fmt.Sprint("hot ", i)
		s.put(key, len(key), none, object(), alive)
		find(key)
		find(key)
	}
	for i := range 20_000 {
		key := fmt.Sprint("once ", i)
		if i%10 == 0 {
			s.mark(key, len(key), now.Add(time.Second))
		} else {
			s.put(key, len(key), none, object(), alive)
		}
		if st := s.Stats(); st.Bytes > st.Limit {
			t.Fatalf("%+v", st)
		}
	}
	survived := 0
	for i := range 100 {
		if find(fmt.Sprint("hot ", i)) {
			survived++
		}
	}
	if survived < 95 {
		t.Errorf("%d of 100 wanted objects survived a scan", survived)
	}
	for i := range s.shards {
		sh := &s.shards[i]
		n := 0
		for _, node := range sh.nodes {
			n += len(node.variants)
			if node.pass != nil {
				n++
			}
		}
		if n != sh.small.count+sh.main.count {
			t.Errorf("%d entries in the map, %d in the queues", n, sh.small.count+sh.main.count)
		}
		urls := 0
		for _, node := range sh.urls {
			for ; node != nil; node = node.next {
				urls++
			}
		}
		if urls != len(sh.nodes) {
			t.Errorf("%d nodes by URL, %d by key", urls, len(sh.nodes))
		}
	}
}

func TestCacheVariantsAreBounded(t *testing.T) {
	g := newCacheRig(t, &Cache{}, func(_ int64, r *message.Request) (*message.Response, error) {
		return fresh("x", "Vary: X-V"), nil
	})
	for i := range 100 {
		g.ask("GET", "/x", fmt.Sprint("X-V: ", i))
		for g.store.busy() {
			runtime.Gosched()
		}
	}
	if st := g.store.Stats(); st.Entries != maxCacheVary {
		t.Errorf("%d variants, want %d", st.Entries, maxCacheVary)
	}
	if r := g.ask("GET", "/x", "X-V: 99"); !strings.Contains(r.told, "hit") {
		t.Error("the newest variant is gone")
	}
}

// No response crosses keys: clients of many kinds, evictions, purges, changes
// and failures at the same time, and each body names the request it is for.
func TestCacheNothingCrossesKeys(t *testing.T) {
	small := message.Size(1 << 20)
	object := message.Size(64 << 10)
	g := newCacheRig(t, &Cache{Size: &small, Object: &object, Headers: []string{"X-Tenant"}}, crossService)
	var wg sync.WaitGroup
	var hits atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for i := range 1500 {
				if crossClient(t, g, rnd, i) {
					hits.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for g.store.busy() {
		runtime.Gosched()
	}
	if st := g.store.Stats(); st.Bytes > st.Limit || g.store.filling.Load() != 0 {
		t.Errorf("%+v, %d filling", st, g.store.filling.Load())
	}
	if hits.Load() < 500 {
		t.Errorf("%d hits: hardly anything was shared", hits.Load())
	}
}

func crossName(r *message.Request) string {
	h := &r.Header
	return strings.Join([]string{r.Authority, r.Path, r.Query, h.Get("Accept-Language"), h.Get("X-Tenant"), h.Get("Authorization")}, "|")
}

// crossService answers by the path: "/KIND/n".
func crossService(n int64, r *message.Request) (*message.Response, error) {
	if r.Method == "POST" {
		return answer(200, ""), nil
	}
	name := crossName(r)
	size := 200
	fields := []string{"Vary: Accept-Language", "Surrogate-Key: k1"}
	switch kind := strings.Split(r.Path, "/")[1]; kind {
	case "fresh":
		fields = append(fields, "Cache-Control: max-age=60")
	case "large":
		size = 100 << 10
		fields = append(fields, "Cache-Control: max-age=60")
	case "private":
		fields = append(fields, "Cache-Control: private, max-age=60")
	case "cookie":
		fields = append(fields, "Cache-Control: max-age=60", "Set-Cookie: a=b")
	case "etag":
		fields = append(fields, "Cache-Control: no-cache", fmt.Sprintf("ETag: %q", strings.ReplaceAll(name, `"`, "")))
		if r.Header.Has(message.IfNoneMatch) && strings.Contains(r.Header.Get("If-None-Match"), `"`+name+`"`) {
			return answer(304, "", fields[2:]...), nil
		}
	case "failing":
		if n%3 == 0 {
			return nil, problem.New(502, "reset", "")
		}
		fields = append(fields, "Cache-Control: max-age=60")
	}
	body := name + "\n" + strings.Repeat(name[:1], size)
	resp := answer(200, body, fields...)
	if n%2 == 0 {
		resp.Length = message.Unknown
	}
	return resp, nil
}

// crossClient asks for something and tells whether it came from the store.
func crossClient(t *testing.T, g *cacheRig, rnd *rand.Rand, i int) bool {
	kinds := []string{"fresh", "large", "private", "cookie", "etag", "failing"}
	path := fmt.Sprintf("/%s/%d?q=%d", kinds[rnd.IntN(len(kinds))], rnd.IntN(5), rnd.IntN(2))
	switch rnd.IntN(300) {
	case 0:
		_, _ = g.store.Purge(Purge{Prefix: "http://example.com/fresh/1", Soft: rnd.IntN(2) == 0}, time.Now())
	case 1:
		_, _ = g.store.Purge(Purge{Tag: "k1"}, time.Now())
	case 2:
		g.ask("POST", path)
	}
	r := ask("GET", path, "Accept-Language: "+[]string{"de", "en"}[rnd.IntN(2)], "X-Tenant: "+[]string{"t1", "t2"}[rnd.IntN(2)])
	defer r.Release()
	r.Authority = []string{"a.example", "b.example"}[rnd.IntN(2)]
	if rnd.IntN(10) == 0 {
		r.Header.AppendID(message.Authorization, fmt.Sprint("Basic ", i))
	}
	want := crossName(r)
	out := g.run(r)
	if out.status == 502 {
		return false
	}
	name, _, _ := strings.Cut(out.body, "\n")
	// A shared response was made for someone else's credentials only where none were there.
	if name != want && !(r.Header.Has(message.Authorization) && name == strings.TrimSuffix(want, r.Header.Get("Authorization"))) {
		t.Errorf("asked for %q, got %q (%s, %v)", want, name, out.told, out.err)
	}
	return strings.Contains(out.told, "hit")
}

// A hit costs hardly more than its header fields.
func TestCacheHitAllocs(t *testing.T) {
	g := newCacheRig(t, &Cache{}, func(int64, *message.Request) (*message.Response, error) {
		return fresh("hello", "Content-Type: text/plain", `ETag: "a"`), nil
	})
	g.ask("GET", "/x")
	for g.store.busy() {
		runtime.Gosched()
	}
	r := ask("GET", "/x", "Accept: */*")
	defer r.Release()
	n := testing.AllocsPerRun(200, func() {
		resp, err := g.chain(r)
		if err != nil || r.X.Cache != "hit" {
			t.Fatal(r.X.Cache, err)
		}
		resp.Release()
	})
	if n > 0 && !raceEnabled {
		t.Errorf("%v allocations for a hit", n)
	}
}

func TestCacheConfig(t *testing.T) {
	size := func(n message.Size) *message.Size { return &n }
	for _, c := range []*Cache{
		{Size: size(10)},
		{Object: size(0)},
		{Object: size(32 << 20)},
		{Query: "some"},
		{Query: "only"},
		{Only: []string{"a"}},
		{Headers: []string{"a b"}},
		{Headers: make([]string, 20)},
		{Heuristic: "maybe"},
		{ClientControl: "maybe"},
		{StaleIfError: -1},
		{StaleWhileRevalidate: -1},
		{Tell: "me"},
	} {
		if _, err := c.Filter(Bare()); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	if _, err := (&Cache{Query: "only", Only: []string{"a"}, Size: size(8 << 20), Heuristic: "off"}).Filter(Bare()); err != nil {
		t.Error(err)
	}
}
