package filter

import (
	"strconv"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestFallbackConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "fallback", [][2]string{
		{"{}", ""},
		{"nobody", "to"},
		{"shop", "to"},
		{`{"stale": "1ms"}`, "stale"},
		{`{"status": 100}`, "status"},
		{`{"status": 204, "body": "x"}`, "status"},
		{`{"to": "shadow", "timeout": "-1s"}`, "timeout"},
		{`{"to": "shadow", "concurrent": -1}`, "concurrent"},
		{`{"body": "x", "statuses": ["x"]}`, "statuses[0]"},
		{`{"body": "x", "content-type": "a\u0001"}`, "content-type"},
	})
	takes(t, "fallback", "shadow", `{"stale": "10m", "to": "shadow", "timeout": "2s", "concurrent": 5, "status": 200, "body": "x", "content-type": "text/plain", "statuses": ["503"]}`)
}

// The other service has a time and room of its own, though the request's is
// over; the log still tells what failed first. A client that left gets nothing.
func TestFallbackOtherService(t *testing.T) {
	t.Parallel()
	env := Bare()
	asked := 0
	env.Service = func(string) (Func, error) {
		return func(r *message.Request) (*message.Response, error) {
			asked++
			if left := time.Until(r.X.Deadline); left < time.Second || left > 3*time.Second {
				t.Errorf("%v left", left)
			}
			r.X.Reason = "other"
			return reply(r)
		}, nil
	}
	f, err := (&Fallback{To: "spare", Timeout: 3 * time.Second}).Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	chain := f(func(r *message.Request) (*message.Response, error) {
		r.X.Reason = "head_timeout"
		return nil, problem.New(504, "head_timeout", "")
	})
	r := ask("GET", "/")
	defer r.Release()
	r.X.Deadline = time.Now().Add(-time.Second)
	resp, err := chain(r)
	if err != nil || r.X.Reason != "head_timeout" || asked != 1 {
		t.Fatalf("%v, %q, asked %d times", err, r.X.Reason, asked)
	}
	resp.Release()
	r.X.Cancel(message.ErrClientGone)
	if _, err := chain(r); err == nil || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

// Services that stand in for each other do not go round for ever.
func TestFallbackRound(t *testing.T) {
	t.Parallel()
	env, calls := Bare(), 0
	var one, two Func
	env.Service = func(name string) (Func, error) {
		return func(r *message.Request) (*message.Response, error) {
			if name == "one" {
				return one(r)
			}
			return two(r)
		}, nil
	}
	down := func(*message.Request) (*message.Response, error) {
		calls++
		return nil, problem.New(502, "reset", "")
	}
	for _, c := range []struct {
		to    string
		chain *Func
	}{{"two", &one}, {"one", &two}} {
		f, err := (&Fallback{To: c.to}).Filter(env)
		if err != nil {
			t.Fatal(err)
		}
		*c.chain = f(down)
	}
	r := ask("GET", "/")
	defer r.Release()
	if _, err := one(r); err == nil || calls > 21 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// The failed answer is released, and only that.
func TestFallbackReleases(t *testing.T) {
	t.Parallel()
	released := 0
	f := build(t, &Fallback{Body: "x"}, func(r *message.Request) (*message.Response, error) {
		resp, err := reply(r)
		resp.Status, resp.Owner = 500, ownerFunc(func() { released++ })
		return resp, err
	})
	r := ask("GET", "/")
	defer r.Release()
	resp, err := f(r)
	if err != nil || released != 1 || resp.Header.Has(message.ETag) {
		t.Errorf("%v, %d released", err, released)
	}
	resp.Release()
}

// However many URLs there are, memory has a bound, and the newest are kept.
func TestGoodAnswersAreBounded(t *testing.T) {
	t.Parallel()
	g, now := newGoodAnswers(), time.Now()
	const n = 20_000
	for i := range n {
		r := ask("GET", "/"+strconv.Itoa(i))
		resp, _ := reply(r)
		resp.Header.DelID(message.CacheControl)
		body := make([]byte, 8<<10)
		resp.SetBytes(body)
		resp, err := g.keep(goodKey(nil, r), r, resp, now)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
		if g.size > goodTotal || len(g.byKey) > goodEntries || len(g.order) > 2*goodEntries+2 {
			t.Fatalf("%d bytes, %d answers, %d keys", g.size, len(g.byKey), len(g.order))
		}
		r.Release()
	}
	r := ask("GET", "/"+strconv.Itoa(n-1))
	defer r.Release()
	resp := g.give(goodKey(nil, r), now, time.Minute)
	if resp == nil || resp.Length != 8<<10 {
		t.Fatal("the newest is gone")
	}
	resp.Release()
	if len(g.byKey) < 1000 {
		t.Errorf("only %d are kept", len(g.byKey))
	}
}
