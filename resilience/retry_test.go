package resilience

import (
	"testing"
	"time"
)

func TestRetryNext(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	r := NewRetry(RetryConfig{Attempts: 4, Float: func() float64 { return 0.8 }})
	for _, c := range []struct {
		attempts    int
		after, left time.Duration
		wait        time.Duration
		ok          bool
	}{
		{1, 0, time.Second, 20 * ms, true},
		{2, 0, time.Second, 40 * ms, true},
		{3, 0, time.Second, 80 * ms, true},
		{4, 0, time.Second, 0, false},
		{0, 0, time.Second, 0, false},
		{1, 0, 20 * ms, 20 * ms, false}, // could only begin when the time is over
		{1, 0, -ms, 20 * ms, false},
		{1, 500 * ms, time.Second, 500 * ms, true},
		{1, time.Second, time.Minute, time.Second, true},
		{1, 2 * time.Second, time.Minute, 0, false},
	} {
		wait, ok := r.Next(c.attempts, c.after, c.left)
		if wait != c.wait || ok != c.ok {
			t.Errorf("%+v: %v %v", c, wait, ok)
		}
	}
	if wait, ok := NewRetry(RetryConfig{Attempts: 1 << 30, Float: func() float64 { return 1 }}).Next(1<<29, 0, time.Minute); wait != time.Second || !ok {
		t.Error("the back-off has no bound", wait)
	}
	if _, ok := NewRetry(RetryConfig{}).Next(2, 0, time.Minute); ok {
		t.Error("three calls by default")
	}
}

// However calls and retries come, the extra ones stay within their share.
func TestBudgetHolds(t *testing.T) {
	t.Parallel()
	rng, h := random(3), newHand()
	b := NewBudget(BudgetConfig{Now: h.now})
	calls, extra := 0, 0
	var made []struct {
		at    time.Time
		extra bool
	}
	for range 1_000_000 {
		switch n := rng.IntN(100); {
		case n < 40:
			b.Enter()
			calls++
			made = append(made, struct {
				at    time.Time
				extra bool
			}{h.at, false})
		case n < 78 && calls > 0:
			b.Leave()
			calls--
		case n < 90:
			if b.Take() {
				extra++
				made = append(made, struct {
					at    time.Time
					extra bool
				}{h.at, true})
				if extra > max(3, calls/5) {
					t.Fatalf("%d extra of %d calls", extra, calls)
				}
			}
		case n < 97 && extra > 0:
			b.Give()
			extra--
		default:
			h.pass(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
		}
		if s := b.Stats(); s.Calls != calls || s.Extra != extra {
			t.Fatalf("%+v, want %d and %d", s, calls, extra)
		}
	}
	asked, more := 0, 0
	for _, m := range made {
		if m.extra {
			more++
		} else {
			asked++
		}
	}
	if more*5 > asked+10*5*5 { // the floor of each of the few windows
		t.Errorf("%d extra calls for %d", more, asked)
	}
	if s := b.Stats(); s.Refused == 0 || s.Taken != uint64(more) {
		t.Errorf("%+v", s)
	}
}

// A service that fails at once gets a fifth more, though hardly anything is
// under way at any moment.
func TestBudgetBoundsTheRate(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBudget(BudgetConfig{Now: h.now})
	extra := 0
	for range 5000 {
		b.Enter()
		if b.Take() {
			extra++
			b.Give()
		}
		b.Leave()
		h.pass(2 * time.Millisecond)
	}
	if extra < 900 || extra > 1010 {
		t.Errorf("%d extra calls for 5000", extra)
	}
	if none := NewBudget(BudgetConfig{Percent: -1, Least: -1}); none.Take() {
		t.Error("there is no budget to take from")
	}
}

func TestHedgeDelay(t *testing.T) {
	t.Parallel()
	h := newHand()
	g := NewHedge(HedgeConfig{Now: h.now})
	for range 19 {
		g.Observe(10 * time.Millisecond)
	}
	if _, ok := g.Delay(); ok {
		t.Error("19 calls tell nothing")
	}
	for i := range 81 {
		g.Observe(time.Duration(10+i/60*40) * time.Millisecond) // 79 of 10 ms, 21 of 50 ms
	}
	if _, ok := g.Delay(); ok {
		t.Error("it is looked at again too soon")
	}
	h.pass(200 * time.Millisecond)
	if d, ok := g.Delay(); !ok || d < 48*time.Millisecond || d > 52*time.Millisecond {
		t.Errorf("%v %v", d, ok)
	}
	h.pass(11 * time.Second)
	if _, ok := g.Delay(); ok {
		t.Error("what was 11 s ago still counts")
	}
	bounds := NewHedge(HedgeConfig{Least: time.Second, Most: time.Minute, Samples: 1, Now: h.now})
	bounds.Observe(time.Millisecond)
	if d, _ := bounds.Delay(); d != time.Second {
		t.Error(d)
	}
}
