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

// Whatever calls show, every algorithm stays within its bounds, and who counts
// with the limit counts rightly.
func TestLimitHolds(t *testing.T) {
	t.Parallel()
	for _, a := range []Algorithm{Gradient, AIMD, Vegas} {
		rng, h := random(uint64(a)+7), newHand()
		l := NewLimit(LimitConfig{Algorithm: a, Initial: 30, Min: 5, Max: 400, Now: h.now})
		running, moves, before := 0, 0, l.Limit()
		took := time.Millisecond
		for range 1_000_000 {
			switch n := rng.IntN(1000); {
			case n < 490:
				room := running < l.Limit()
				if l.Enter() != room {
					t.Fatalf("%d under way of %d: entered %v", running, l.Limit(), !room)
				}
				if room {
					running++
				}
			case n < 980 && running > 0:
				o := Success
				if rng.IntN(300) == 0 {
					o = Outcome(rng.IntN(numOutcomes))
				}
				l.Done(o, took/2+time.Duration(rng.Int64N(int64(took))))
				running--
			case n == 981 && rng.IntN(20) == 0: // the service changes
				took = time.Duration(1+rng.IntN(2000)) * 100 * time.Microsecond
			default:
				h.pass(time.Duration(rng.Int64N(int64(50 * time.Millisecond))))
			}
			n := l.Limit()
			if n < 5 || n > 400 || l.InFlight() != running {
				t.Fatalf("algorithm %d: limit %d, %d under way of %d", a, n, l.InFlight(), running)
			}
			if n != before {
				moves, before = moves+1, n
			}
		}
		if moves < 10 {
			t.Errorf("algorithm %d moved %d times only", a, moves)
		}
	}
}

// A service that does as well with many calls at once as with few: the limit is no
// bound for it, within a second.
func TestLimitGetsOutOfTheWay(t *testing.T) {
	t.Parallel()
	h := newHand()
	l := NewLimit(LimitConfig{Now: h.now})
	for range 100 { // 10 ms each
		n := l.Limit()
		for range n {
			l.Begin()
		}
		l.Pressed(h.at)
		h.pass(10 * time.Millisecond)
		for range n {
			l.Done(Success, 10*time.Millisecond)
		}
	}
	if n := l.Limit(); n < 1000 {
		t.Errorf("%d after a second", n)
	}
}

// A service that has become slower by itself, and not by how much it gets: the
// limit does not fall for ever.
func TestLimitTakesANewTime(t *testing.T) {
	t.Parallel()
	h := newHand()
	l := NewLimit(LimitConfig{Now: h.now})
	seconds(60, l, h, 1000, 40, 40*time.Millisecond, 0)
	seconds(60, l, h, 1000, 40, 200*time.Millisecond, 0)
	if n := l.Limit(); n < 40 {
		t.Errorf("a limit of %d", n)
	}
}

func TestVegasKeepsAShortQueue(t *testing.T) {
	t.Parallel()
	h := newHand()
	l := NewLimit(LimitConfig{Algorithm: Vegas, Now: h.now})
	for range 300 { // a server that does 100 calls at once
		n := l.Limit()
		second(l, h, 100, n, 20*time.Millisecond*time.Duration(max(n, 100))/100, 0)
	}
	if n := l.Limit(); n < 100 || n > 130 {
		t.Errorf("a limit of %d for 100", n)
	}
}
