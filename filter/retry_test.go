package filter

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

func TestRetryConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "retry", [][2]string{
		{"1", "attempts"}, {"11", "attempts"}, {`{"backoff": "2s"}`, "backoff"}, {`{"budget": 101}`, "budget"}, {`{"statuses": ["x"]}`, "statuses[0]"},
	})
	takes(t, "retry", "", "2", `{"attempts": 3, "backoff": "10ms", "budget": 10, "statuses": ["5xx"]}`)
	if _, err := configOf("retry", "often"); err == nil {
		t.Error(`"often" was taken`)
	}
}

// ailing answers n times with status, then well, and keeps the bodies it saw.
func ailing(n, status int, bodies *[]string) Func {
	return func(r *message.Request) (*message.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		*bodies = append(*bodies, string(b))
		resp, err := reply(r)
		resp.Local = false
		if n--; n >= 0 {
			resp.Status = status
		}
		return resp, err
	}
}

// A body is sent again byte by byte up to 64 KiB; a larger one is not.
func TestRetryBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size  int
		known bool
		calls int
	}{{0, true, 2}, {10, true, 2}, {10, false, 2}, {message.ReplaySize, true, 2}, {message.ReplaySize, false, 2}, {message.ReplaySize + 1, true, 1}, {message.ReplaySize + 1, false, 1}} {
		var bodies []string
		f := build(t, &Retry{}, ailing(1, 503, &bodies))
		r := ask("PUT", "/")
		body := []byte(strings.Repeat("0123456789abcdef", c.size/16+1)[:c.size])
		r.Body, r.Length = &trickle{data: body, size: 1000}, message.Unknown
		if c.known {
			r.Length = int64(c.size)
		}
		resp, err := f(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(bodies) != c.calls || (resp.Status == 200) != (c.calls == 2) {
			t.Errorf("%+v: %d calls, %d", c, len(bodies), resp.Status)
		}
		for _, b := range bodies {
			if b != string(body) {
				t.Errorf("%+v: a body of %d bytes", c, len(b))
			}
		}
		resp.Release()
		r.Release()
	}
}

// What was not sent at all is tried again whatever the method, if its body was
// not touched; a body that was read in part is not.
func TestRetryConnect(t *testing.T) {
	t.Parallel()
	for _, reads := range []int{0, 3, 5} {
		calls, got := 0, ""
		f := build(t, &Retry{}, func(r *message.Request) (*message.Response, error) {
			if calls++; calls == 1 {
				_, _ = io.ReadFull(r.Body, make([]byte, reads))
				_ = r.Body.Close()
				return nil, problem.New(502, "connect_failed", "")
			}
			b, err := io.ReadAll(r.Body)
			got = string(b)
			if err != nil {
				return nil, err
			}
			return reply(r)
		})
		r := ask("POST", "/")
		r.Body, r.Length = &trickle{data: []byte("hello"), size: 5}, 5
		resp, err := f(r)
		if again := reads != 3; again != (err == nil) || again && got != "hello" {
			t.Errorf("%d bytes read: %q, %v", reads, got, err)
		}
		if err == nil {
			resp.Release()
		}
		r.Release()
	}
}

// The failed answer is released once, and nothing of upgrades, streams and
// exchanges that were given up is tried again.
func TestRetryReleasesAndRefrains(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*message.Request){
		"plain":   func(*message.Request) {},
		"upgrade": func(r *message.Request) { r.Upgrade = "websocket" },
		"stream":  func(r *message.Request) { r.X.Stream = true },
		"late":    func(r *message.Request) { r.X.Deadline = time.Now().Add(-time.Second) },
	} {
		calls, released := 0, 0
		f := build(t, &Retry{}, func(r *message.Request) (*message.Response, error) {
			calls++
			resp, err := reply(r)
			resp.Local, resp.Status = false, 503
			resp.Owner = ownerFunc(func() { released++ })
			return resp, err
		})
		r := ask("GET", "/")
		prepare(r)
		resp, err := f(r)
		if err != nil {
			t.Fatal(err)
		}
		want := 1
		if name == "plain" {
			want = 2
		}
		if calls != want || released != want-1 {
			t.Errorf("%s: %d calls, %d released", name, calls, released)
		}
		resp.Release()
		r.Release()
	}
}

type ownerFunc func()

func (f ownerFunc) ReleaseResponse(*message.Response, bool) { f() }

// A client that leaves while a retry waits ends it.
func TestRetryGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		f := build(t, &Retry{}, func(r *message.Request) (*message.Response, error) {
			calls++
			resp, err := reply(r)
			resp.Local, resp.Status = false, 503
			resp.Header.AppendID(message.RetryAfter, "1")
			return resp, err
		})
		r := ask("GET", "/")
		defer r.Release()
		time.AfterFunc(300*time.Millisecond, func() { r.X.Cancel(message.ErrClientGone) })
		began := time.Now()
		if _, err := f(r); err == nil || calls != 1 || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %v and %d calls", err, time.Since(began), calls)
		}
	})
}

// A service that is down gets at most a fifth more.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	calls := 0
	f := build(t, &Retry{Backoff: time.Nanosecond}, func(*message.Request) (*message.Response, error) {
		calls++
		return nil, problem.New(502, "connect_failed", "")
	})
	for range 1000 {
		r := ask("GET", "/")
		_, _ = f(r)
		r.Release()
	}
	if calls < 1100 || calls > 1210 {
		t.Errorf("%d calls for 1000 requests", calls)
	}
}

func TestResilientPathAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	env := Bare()
	env.To = "shop"
	var filters []Filter
	for _, c := range []Config{&Bulkhead{}, &Breaker{}, &Retry{}} {
		f, err := c.Filter(env)
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, f)
	}
	chain := Chain(reply, filters...)
	r := message.NewRequest()
	defer r.Release()
	if n := testing.AllocsPerRun(500, func() {
		browse(r, "/api/users/7")
		resp, err := chain(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
	}); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// In front of a service its budget counts, and the service's own retries stand back.
func TestRetryTakesFromTheService(t *testing.T) {
	t.Parallel()
	g := &guarding{budget: resilience.NewBudget(resilience.BudgetConfig{Percent: -1, Least: 1, LeastRate: 1})}
	env := Bare()
	env.To, env.Guard = "shop", g
	env.Float = func() float64 { return 0 }
	filter, err := new(Retry).Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	do := filter(func(r *message.Request) (*message.Response, error) {
		if calls++; !r.X.Retrying {
			t.Error("two layers retry")
		}
		return nil, problem.New(502, "reset", "gone")
	})
	for range 3 {
		r := message.NewRequest()
		r.Method = "GET"
		if _, err := do(r); err == nil {
			t.Error("no error")
		}
		r.Release()
	}
	if s := g.budget.Stats(); calls != 4 || s.Taken != 1 || s.Refused != 2 || s.Calls != 0 {
		t.Errorf("%d calls, %+v", calls, s)
	}
	if f, err := (&Retry{Budget: 30}).Filter(env); err == nil || f != nil {
		t.Error("a budget beside the service's was taken")
	}
}

// A fallback is counted where the service's other numbers are.
func TestFallbackIsCounted(t *testing.T) {
	t.Parallel()
	g := &guarding{budget: resilience.NewBudget(resilience.BudgetConfig{})}
	env := Bare()
	env.To, env.Guard = "shop", g
	filter, err := (&Fallback{Status: 200, Body: "soon"}).Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	do := filter(func(*message.Request) (*message.Response, error) {
		return nil, problem.New(503, "breaker_open", "left alone")
	})
	r := message.NewRequest()
	defer r.Release()
	resp, err := do(r)
	if err != nil || resp.Status != 200 || g.fell.Load() != 1 {
		t.Fatalf("%v, %d", err, g.fell.Load())
	}
	resp.Release()
}
