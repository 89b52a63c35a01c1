package filter

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// guarding is a Guard whose service answers in a known time.
type guarding struct {
	budget *resilience.Budget
	after  time.Duration
	fell   atomic.Int64
}

func (g *guarding) Budget() *resilience.Budget        { return g.budget }
func (g *guarding) HedgeAfter() (time.Duration, bool) { return g.after, g.after > 0 }
func (g *guarding) FellBack()                         { g.fell.Add(1) }

// runner is one try at a service: how long it takes, and what it gives.
type runner struct {
	takes  time.Duration
	status int // 0: a reset
}

func TestHedge(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		tries    [2]runner
		status   int // that the client gets; 0: a reset
		took     time.Duration
		calls    int
		attempts int
	}{
		{"quick enough", [2]runner{{5 * ms, 200}, {}}, 200, 5 * ms, 1, 1},
		{"the second is quicker", [2]runner{{time.Second, 200}, {5 * ms, 201}}, 201, 15 * ms, 2, 2},
		{"the first is quicker after all", [2]runner{{12 * ms, 200}, {5 * ms, 201}}, 200, 12 * ms, 2, 2},
		{"a failure does not win", [2]runner{{20 * ms, 200}, {1 * ms, 500}}, 200, 20 * ms, 2, 2},
		{"nor does a broken connection", [2]runner{{12 * ms, 0}, {10 * ms, 201}}, 201, 20 * ms, 2, 2},
		{"unless there is nothing else", [2]runner{{12 * ms, 500}, {10 * ms, 0}}, 0, 20 * ms, 2, 2},
		{"an early failure stays alone", [2]runner{{1 * ms, 0}, {}}, 0, 1 * ms, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &guarding{budget: resilience.NewBudget(resilience.BudgetConfig{}), after: 10 * ms}
			env := Bare()
			env.To, env.Guard = "shop", g
			filter, err := new(Hedge).Filter(env)
			if err != nil {
				t.Fatal(err)
			}
			var calls, cancelled atomic.Int64
			do := filter(func(q *message.Request) (*message.Response, error) {
				n := calls.Add(1)
				if attempt := q.Header.Value(message.XMaruAttempt); (n == 2) != (attempt == "1") || q.Path != "/a" {
					t.Errorf("%s: call %d of %q is marked %q", c.name, n, q.Path, attempt)
				}
				q.X.Attempts, q.X.Endpoint = 1, "e"
				run := c.tries[n-1]
				if err := q.X.Wait(run.takes); err != nil {
					cancelled.Add(1)
					return nil, err
				}
				if run.status == 0 {
					return nil, problem.New(502, "reset", "gone")
				}
				return message.NewResponse(run.status), nil
			})
			r := message.NewRequest()
			r.Method, r.Path = "GET", "/a"
			began := time.Now()
			resp, err := do(r)
			took := time.Since(began)
			status := 0
			if err == nil {
				status = resp.Status
				resp.Release()
			}
			synctest.Wait()
			if status != c.status || took != c.took || int(calls.Load()) != c.calls || r.X.Attempts != c.attempts || r.X.Endpoint != "e" {
				t.Errorf("%s: %d (%v) in %v by %d calls, %d attempts", c.name, status, err, took, calls.Load(), r.X.Attempts)
			}
			if s := g.budget.Stats(); s.Extra != 0 || int(s.Taken) != c.calls-1 {
				t.Errorf("%s: %+v", c.name, s)
			}
			r.Release()
		})
	}
}

// A client that leaves ends both tries, and a budget that is used up the second.
func TestHedgeEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &guarding{budget: resilience.NewBudget(resilience.BudgetConfig{Percent: -1, Least: 1}), after: time.Millisecond}
		env := Bare()
		env.To, env.Guard = "shop", g
		filter, _ := new(Hedge).Filter(env)
		var running, ended atomic.Int64
		do := filter(func(q *message.Request) (*message.Response, error) {
			running.Add(1)
			defer ended.Add(1)
			return nil, q.X.Wait(time.Hour)
		})
		left := errors.New("left")
		for range 2 {
			r := message.NewRequest()
			r.Method = "GET"
			time.AfterFunc(10*time.Millisecond, func() { r.X.Cancel(left) })
			go func() {
				if _, err := do(r); !errors.Is(err, left) {
					t.Error(err)
				}
			}()
		}
		time.Sleep(time.Second)
		if running.Load() != 3 || ended.Load() != 3 {
			t.Errorf("%d tries, %d ended", running.Load(), ended.Load())
		}
	})
}

func TestHedgeConfig(t *testing.T) {
	t.Parallel()
	takes(t, "hedge", `{}`, `50ms`, `{"after": "1ms"}`)
	refuses(t, "hedge", [][2]string{{`1us`, "after"}, {`2m`, "after"}, {`-1s`, "after"}})
	if _, err := new(Hedge).Filter(Bare()); err == nil {
		t.Error("a hedge that leads to no service was taken")
	}
}
