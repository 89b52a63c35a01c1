package filter

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestMirrorConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "mirror", [][2]string{
		{"{}", "to"},
		{"none", "to"},
		{`{"to": "shadow", "percent": 101}`, "percent"},
		{`{"to": "shadow", "percent": -1}`, "percent"},
		{`{"to": "shadow", "methods": ["G T"]}`, "methods[0]"},
		{`{"to": "shadow", "concurrent": -1}`, "concurrent"},
		{`{"to": "shadow", "timeout": "-1s"}`, "timeout"},
	})
	takes(t, "mirror", "shadow", `{"to": "shadow", "percent": 0.5, "methods": ["POST"]}`)
}

// mirrorRig is a mirror whose copies the test serves.
type mirrorRig struct {
	mu     sync.Mutex
	copies []string
	counts map[string]int
	chain  Func
}

func newMirrorRig(t *testing.T, c *Mirror, shadow, main Func) *mirrorRig {
	t.Helper()
	g := &mirrorRig{counts: map[string]int{}}
	env := Bare()
	env.Float = func() float64 { return 0.5 }
	env.Count = func(_, reason string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.counts[reason]++
	}
	env.Service = func(string) (Func, error) {
		return func(r *message.Request) (*message.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			g.mu.Lock()
			g.copies = append(g.copies, strings.Join([]string{r.Method, r.Path, r.Query, r.Header.Get("X-Maru-Mirror"), r.Header.Get("X-A"), string(b)}, " "))
			g.mu.Unlock()
			return shadow(r)
		}, nil
	}
	f, err := c.Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	g.chain = f(main)
	return g
}

func readThenReply(r *message.Request) (*message.Response, error) {
	if _, err := io.ReadAll(r.Body); err != nil {
		return nil, problem.Wrap(err, 502, "upstream_write", "")
	}
	return reply(r)
}

func (g *mirrorRig) ask(t *testing.T, r *message.Request) {
	t.Helper()
	resp, err := g.chain(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Has(message.XMaruMirror) || r.Header.Has(message.XMaruMirror) {
		t.Error("the main exchange was marked")
	}
	resp.Release()
	r.Release()
}

func TestMirrorCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMirrorRig(t, &Mirror{To: "s", Methods: []string{"GET", "POST"}}, reply, readThenReply)
		g.ask(t, ask("GET", "/x?q=1", "X-A: 1"))
		post := ask("POST", "/p")
		post.Body, post.Length = &trickle{data: []byte("hello"), size: 2}, message.Unknown
		g.ask(t, post)
		known := ask("POST", "/k")
		known.Body, known.Length = &trickle{data: []byte("hello"), size: 5}, 5
		g.ask(t, known)
		big := ask("POST", "/big")
		big.Body, big.Length = &trickle{data: make([]byte, mirrorBody+1), size: 4096}, message.Unknown
		g.ask(t, big)
		announced := ask("POST", "/announced")
		announced.Body, announced.Length = &trickle{data: make([]byte, mirrorBody+1), size: 4096}, mirrorBody+1
		g.ask(t, announced)
		g.ask(t, ask("PUT", "/not"))
		twice := ask("GET", "/twice")
		twice.Header.AppendID(message.XMaruMirror, "1") // a copy is not copied
		resp, err := g.chain(twice)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
		upgrade := ask("GET", "/ws")
		upgrade.Upgrade = "websocket"
		g.ask(t, upgrade)
		synctest.Wait()
		want := []string{"GET /x q=1 1 1 ", "POST /p  1  hello", "POST /k  1  hello"}
		if len(g.copies) != len(want) || g.counts["sent"] != 3 || g.counts["body_too_large"] != 2 {
			t.Fatalf("%q, %v", g.copies, g.counts)
		}
		for _, w := range want {
			if !strings.Contains(strings.Join(g.copies, "|"), w) {
				t.Errorf("no copy %q in %q", w, g.copies)
			}
		}
	})
}

// Neither a hanging nor a panicking nor a failing copy is felt by the main
// exchange; copies over the bound are dropped.
func TestMirrorIsNotFelt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := newMirrorRig(t, &Mirror{To: "s", Concurrent: 2}, func(r *message.Request) (*message.Response, error) {
			<-gate
			if r.Path == "/panic" {
				panic("in the copy")
			}
			return nil, problem.New(502, "reset", "")
		}, reply)
		begin := time.Now()
		for _, path := range []string{"/a", "/panic", "/c", "/d"} {
			g.ask(t, ask("GET", path))
		}
		if time.Since(begin) != 0 {
			t.Error("the main exchange waited")
		}
		if g.counts["dropped"] != 2 {
			t.Errorf("%v", g.counts)
		}
		close(gate)
		synctest.Wait()
		if g.counts["panic"] != 1 || g.counts["failed"] != 1 {
			t.Errorf("%v", g.counts)
		}
		g.ask(t, ask("GET", "/e"))
		synctest.Wait()
		if g.counts["failed"] != 2 {
			t.Errorf("the slots were not given back: %v", g.counts)
		}
	})
}

// A body that the service did not take whole is not mirrored: it would be another request.
func TestMirrorIncompleteBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newMirrorRig(t, &Mirror{To: "s", Methods: []string{"POST"}}, reply, reply)
		r := ask("POST", "/")
		r.Body, r.Length = &trickle{data: []byte("hello"), size: 2}, message.Unknown
		g.ask(t, r)
		synctest.Wait()
		if len(g.copies) != 0 || g.counts["body_incomplete"] != 1 {
			t.Errorf("%q %v", g.copies, g.counts)
		}
	})
}

func TestMirrorPercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for percent, want := range map[float64]int{0: 0, 49: 0, 51: 1, 100: 1} {
			g := newMirrorRig(t, &Mirror{To: "s", Percent: &percent}, reply, reply)
			g.ask(t, ask("GET", "/"))
			synctest.Wait()
			if len(g.copies) != want {
				t.Errorf("%v %%: %d copies", percent, len(g.copies))
			}
		}
	})
}

// An answer without end is cut, so that a copy ends.
func TestMirrorEndlessAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &endless{}
		g := newMirrorRig(t, &Mirror{To: "s"}, func(*message.Request) (*message.Response, error) {
			resp := answer(200, "")
			resp.Body, resp.Length = body, message.Unknown
			return resp, nil
		}, reply)
		g.ask(t, ask("GET", "/"))
		synctest.Wait()
		if body.closed == 0 || body.n > mirrorResponse+(64<<10) {
			t.Errorf("read %d bytes, closed %d times", body.n, body.closed)
		}
	})
}

type endless struct{ n, closed int }

func (e *endless) Read(p []byte) (int, error) { e.n += len(p); return len(p), nil }
func (e *endless) Close() error               { e.closed++; return nil }
