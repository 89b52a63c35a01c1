package resilience

import (
	"testing"
	"time"
)

// second plays one second of calls, so many of them at once, into l.
func second(l *Limit, h *hand, calls, atOnce int, took time.Duration, lost int) {
	for range atOnce {
		l.Begin()
	}
	for range atOnce {
		l.Done(Cancelled, 0)
	}
	for i := range calls {
		l.Begin()
		if i < lost {
			l.Done(Timeout, took)
		} else {
			l.Done(Success, took)
		}
	}
	h.pass(time.Second)
	l.Begin()
	l.Done(Cancelled, 0)
}

// A server that does 100 calls at once in 20 ms, and queues the rest: the limit
// finds a height that uses it and keeps the queue short, and comes back after
// the server was slower for a while.
func TestLimitFindsItsHeight(t *testing.T) {
	t.Parallel()
	h := newHand()
	l := NewLimit(LimitConfig{Now: h.now})
	took := func(capacity int) time.Duration {
		return 20 * time.Millisecond * time.Duration(max(l.Limit(), capacity)) / time.Duration(capacity)
	}
	for range 300 {
		second(l, h, 100, l.Limit(), took(100), 0)
	}
	if n := l.Limit(); n < 100 || n > 300 {
		t.Errorf("a limit of %d for 100", n)
	}
	high := l.Limit()
	for range 60 {
		second(l, h, 100, l.Limit(), took(20), 0)
	}
	if n := l.Limit(); n >= high/2 {
		t.Errorf("the server lost four fifths, the limit went from %d to %d", high, n)
	}
	for range 120 {
		second(l, h, 100, l.Limit(), took(100), 0)
	}
	if n := l.Limit(); n < 90 {
		t.Errorf("the limit stays at %d", n)
	}
}

func TestLimitTraps(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		name      string
		cfg       LimitConfig
		play      func(l *Limit, h *hand)
		low, high int
	}{
		{"few calls tell nothing", LimitConfig{}, func(l *Limit, h *hand) { second(l, h, 5, 50, 5*time.Second, 0) }, 50, 50},
		{"a limit that is not felt does not grow", LimitConfig{}, func(l *Limit, h *hand) { seconds(100, l, h, 100, 1, ms, 0) }, 50, 50},
		{"nor without an end", LimitConfig{Max: 500}, func(l *Limit, h *hand) { seconds(700, l, h, 20, 500, ms, 0) }, 500, 500},
		{"lost calls lower it", LimitConfig{}, func(l *Limit, h *hand) { second(l, h, 100, 50, ms, 2) }, 45, 45},
		{"to its floor", LimitConfig{}, func(l *Limit, h *hand) { seconds(100, l, h, 100, 50, ms, 100) }, 10, 10},
		{"one in a hundred does not", LimitConfig{}, func(l *Limit, h *hand) { second(l, h, 100, 1, ms, 1) }, 50, 50},
		{"times below 100 µs say nothing", LimitConfig{}, func(l *Limit, h *hand) { seconds(10, l, h, 100, 50, 50*time.Microsecond, 0) }, 50, 50},
		{"AIMD grows by one", LimitConfig{Algorithm: AIMD}, func(l *Limit, h *hand) { seconds(10, l, h, 100, 30, ms, 0) }, 30, 30},
		{"AIMD has its bounds", LimitConfig{Algorithm: AIMD}, func(l *Limit, h *hand) { seconds(1000, l, h, 100, 300, ms, 0) }, 200, 200},
		{"AIMD has its floor", LimitConfig{Algorithm: AIMD}, func(l *Limit, h *hand) { seconds(10, l, h, 100, 30, ms, 50) }, 20, 20},
		{"fixed is fixed", LimitConfig{Algorithm: Fixed, Initial: 7}, func(l *Limit, h *hand) { seconds(10, l, h, 100, 30, ms, 50) }, 7, 7},
	} {
		h := newHand()
		c.cfg.Now = h.now
		l := NewLimit(c.cfg)
		c.play(l, h)
		if n := l.Limit(); n < c.low || n > c.high || l.InFlight() != 0 {
			t.Errorf("%s: %d, %d under way", c.name, n, l.InFlight())
		}
	}
}

func seconds(n int, l *Limit, h *hand, calls, atOnce int, took time.Duration, lost int) {
	for range n {
		second(l, h, calls, atOnce, took, lost)
	}
}

func TestLimitRefuses(t *testing.T) {
	t.Parallel()
	l := NewLimit(LimitConfig{Algorithm: Fixed, Initial: 3})
	for range 3 {
		if !l.Enter() {
			t.Fatal("full too soon")
		}
	}
	if l.Enter() || l.InFlight() != 3 {
		t.Error("a fourth came in")
	}
	l.Done(Success, time.Millisecond)
	if !l.Enter() {
		t.Error("the free place is not given")
	}
}
