package upstream

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/resilience"
)

// A service that is wholly down is left alone within a second, gets at most a
// fifth more tries than requests in every second, and is back within ten.
func TestServiceDown(t *testing.T) {
	const rate = 500
	for name, mode := range map[string]int32{"503": fails503, "500": fails500, "resets": resets, "refuses": refuses, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEstate(t, 3, 5*time.Millisecond, Config{})
				defer e.stop()
				everyone := func(mode int32) func() {
					return func() {
						for _, i := range e.instances {
							i.become(mode)
						}
					}
				}
				var open atomic.Bool
				at := map[time.Duration]func(){3 * time.Second: everyone(mode), 15 * time.Second: everyone(healthy)}
				within := time.Second
				if mode == hangs { // what takes longer than a second has to be seen first
					within = 1500 * time.Millisecond
				}
				at[3*time.Second+within] = func() { open.Store(e.Stats().Guard.Breaker.State == resilience.Open) }
				all := e.load(rate, 28*time.Second, at)
				if !open.Load() {
					t.Error("the breaker is not open in time")
				}
				for s := range 28 {
					some := between(all, time.Duration(s)*time.Second, time.Duration(s+1)*time.Second)
					tries := 0
					for _, o := range some {
						tries += o.attempts
					}
					if tries*10 > len(some)*12 {
						t.Errorf("second %d: %d tries for %d requests", s, tries, len(some))
					}
				}
				if n := errorsIn(between(all, 0, 2900*time.Millisecond)); n > 0 {
					t.Errorf("%d errors before", n)
				}
				if n := errorsIn(between(all, 25*time.Second, 28*time.Second)); n > 0 {
					t.Errorf("%d errors after ten seconds", n)
				}
				nothingKept(t, e.Cluster)
			})
		})
	}
}

// nothingKept checks that all that calls took was given back.
func nothingKept(t *testing.T, c *Cluster) {
	t.Helper()
	s := c.Stats().Guard
	if s.InFlight != 0 || s.Waiting != 0 || s.Budget.Calls != 0 || s.Budget.Extra != 0 {
		t.Errorf("kept: %d in flight, %d waiting, %+v", s.InFlight, s.Waiting, s.Budget)
	}
}

// asked is how one request of an overload ended.
type asked struct {
	sent, took time.Duration
	priority   message.Priority
	good       bool
}

// overload sends requests at a rate, one in ten of high priority.
func (e *estate) overload(rate int, whole time.Duration) []asked {
	var mu sync.Mutex
	var out []asked
	var wait sync.WaitGroup
	began := time.Now()
	for n := range int(whole.Seconds() * float64(rate)) {
		a := asked{sent: time.Duration(n) * time.Second / time.Duration(rate)}
		if n%10 == 7 {
			a.priority = message.PriorityHigh
		}
		time.Sleep(time.Until(began.Add(a.sent)))
		wait.Go(func() {
			r := request("GET", "/")
			defer r.Release()
			r.X.Priority, r.X.Deadline = a.priority, r.X.Began.Add(15*time.Second)
			resp, err := e.Do(r)
			a.took = time.Since(r.X.Began)
			if err == nil {
				a.good = resp.Status == 200
				_, _ = message.ReadAll(nil, resp.Body, 100)
				resp.MarkComplete()
				resp.Release()
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, a)
		})
	}
	wait.Wait()
	return out
}

func lateness(all []asked) time.Duration {
	var took []time.Duration
	for _, a := range all {
		if a.good {
			took = append(took, a.took)
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// Four times as much as the service can do: it goes on doing it, who is let in is
// answered soon, and who matters is let in.
func TestOverload(t *testing.T) {
	for _, tt := range []struct {
		name    string
		took    time.Duration
		workers int // of each of three instances
	}{
		{"few slow workers", 40 * time.Millisecond, 4},
		{"many quick ones", 20 * time.Millisecond, 8},
		{"many slow ones", 200 * time.Millisecond, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEstate(t, 3, tt.took, Config{})
				defer e.stop()
				for _, i := range e.instances {
					i.busy = make(chan struct{}, tt.workers)
				}
				capacity := int(float64(3*tt.workers) / tt.took.Seconds())
				before := lateness(e.overload(capacity/4, 10*time.Second))
				const whole = 30 * time.Second
				all := e.overload(4*capacity, whole)
				good, high, shed := 0, 0, 0
				for _, a := range all {
					if a.good {
						good++
					}
					if a.priority == message.PriorityHigh {
						high++
						if !a.good {
							shed++
						}
					}
				}
				s := e.Stats().Guard
				t.Logf("capacity %d/s, goodput %.1f %%, p99 %v against %v, limit %d, shed of high %d of %d, opened %d", capacity,
					100*float64(good)/whole.Seconds()/float64(capacity), lateness(all), before, s.Limit, shed, high, s.Breaker.Opened)
				if float64(good) < 0.9*whole.Seconds()*float64(capacity) {
					t.Errorf("%d good answers", good)
				}
				if late := lateness(all); late > 3*before {
					t.Errorf("p99 %v, unloaded %v", late, before)
				}
				if shed*100 >= high {
					t.Errorf("%d of %d that matter were refused", shed, high)
				}
				nothingKept(t, e.Cluster)
			})
		})
	}
}

// However calls end, nothing of what they took is kept: by a client that leaves,
// by time, by a failure, by a panic.
func TestNothingLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 2, 5*time.Millisecond, Config{TryTimeout: 50 * time.Millisecond, Limit: Limit{Algorithm: "fixed", Initial: 20}})
		defer e.stop()
		float := e.balancer.float
		e.balancer.float = func() float64 {
			if float() < 0.01 {
				panic("a picker")
			}
			return float()
		}
		var wait sync.WaitGroup
		panics := atomic.Int64{}
		for n := range 4000 {
			e.instances[n%2].become(cmp.Or(map[int]int32{0: hangs, 3: resets, 5: fails503, 6: refuses}[n/100%8], healthy))
			wait.Go(func() {
				defer func() {
					if recover() != nil {
						panics.Add(1)
					}
				}()
				method := "GET"
				if n%3 == 0 {
					method = "POST"
				}
				r := withBody(request(method, "/"), "some body")
				r.X.Deadline = r.X.Began.Add(time.Duration(n%100) * time.Millisecond)
				if n%5 == 0 {
					time.AfterFunc(time.Duration(n%40)*time.Millisecond, func() { r.X.Cancel(message.ErrClientGone) })
				}
				if resp, err := e.Do(r); err == nil {
					resp.Release()
				}
			})
			time.Sleep(time.Millisecond)
		}
		wait.Wait()
		if panics.Load() == 0 {
			t.Error("nothing panicked")
		}
		nothingKept(t, e.Cluster)
		e.balancer.float = float
		for _, i := range e.instances {
			i.become(healthy)
		}
		time.Sleep(20 * time.Second)
		for range 20 {
			e.get()
		}
		if o := e.get(); o.bad || e.Stats().Guard.Breaker.State != resilience.Closed {
			t.Errorf("%+v, %v", o, e.Stats().Guard.Breaker)
		}
	})
}
