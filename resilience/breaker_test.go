package resilience

import (
	"sync"
	"testing"
	"time"
)

// run makes one call that takes that long.
func run(b *Breaker, h *hand, o Outcome, took time.Duration) bool {
	p, ok := b.Allow()
	if !ok {
		return false
	}
	h.pass(took)
	p.Done(o)
	return true
}

func steady(cfg BreakerConfig, h *hand) BreakerConfig {
	cfg.Now, cfg.Jitter = h.now, -1
	return cfg
}

// At 500 requests a second, a service that dies is shut off within a second;
// it is tried after 2 s, 4 s, 8 s and 8 s, and two good trials close the breaker.
func TestBreakerOpensInASecond(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBreaker(steady(BreakerConfig{}, h))
	for range 10_000 {
		run(b, h, Success, 2*time.Millisecond)
	}
	died := h.at
	for called := true; called && h.at.Sub(died) < 10*time.Second; {
		called = run(b, h, Failure, 2*time.Millisecond)
	}
	if d := h.at.Sub(died); d > time.Second || b.Stats().State != Open {
		t.Errorf("open after %v, %v", d, b.Stats().State)
	}
	for _, want := range []time.Duration{2, 4, 8, 8} {
		if w := b.Wait(); w != want*time.Second {
			t.Errorf("waits %v, want %vs", w, want)
		}
		h.pass(b.Wait() - 1)
		if run(b, h, Success, 0) {
			t.Error("a call passed before its time")
		}
		h.pass(1)
		if !run(b, h, Timeout, 0) {
			t.Error("no trial")
		}
	}
	h.pass(b.Wait())
	for range 2 {
		if b.Stats().State == Closed || !run(b, h, Success, 0) {
			t.Error("no second trial")
		}
	}
	if s := b.Stats(); s.State != Closed || s.Opened != 5 || s.Counts.Total() != 0 || b.Wait() != 0 {
		t.Errorf("%+v", s)
	}
}

// Each word of the configuration, by its edge.
func TestBreakerEdges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  BreakerConfig
		feed func(b *Breaker, h *hand)
		open bool
	}{
		{"19 failures are too few", BreakerConfig{}, func(b *Breaker, h *hand) { times(19, b, h, Failure, 0) }, false},
		{"20 are enough", BreakerConfig{}, func(b *Breaker, h *hand) { times(20, b, h, Failure, 0) }, true},
		{"49 % is too little", BreakerConfig{}, func(b *Breaker, h *hand) { times(51, b, h, Success, 0); times(49, b, h, Failure, 0) }, false},
		{"50 % is enough", BreakerConfig{}, func(b *Breaker, h *hand) { times(50, b, h, Success, 0); times(50, b, h, Timeout, 0) }, true},
		{"no time is in two windows", BreakerConfig{}, func(b *Breaker, h *hand) {
			times(19, b, h, Failure, 0)
			h.pass(11 * time.Second)
			times(19, b, h, Failure, 0)
		}, false},
		{"slow calls", BreakerConfig{}, func(b *Breaker, h *hand) { times(20, b, h, Success, 1100*time.Millisecond) }, false}, // 20 take 22 s
		{"many slow calls", BreakerConfig{}, func(b *Breaker, h *hand) { usual(b, h); together(20, b, h, 1100*time.Millisecond) }, true},
		{"it may be its nature", BreakerConfig{}, func(b *Breaker, h *hand) { together(99, b, h, 1100*time.Millisecond) }, false},
		{"not when off", BreakerConfig{SlowPercent: -1}, func(b *Breaker, h *hand) { usual(b, h); together(20, b, h, 1100*time.Millisecond) }, false},
		{"callers' faults", BreakerConfig{}, func(b *Breaker, h *hand) { times(100, b, h, BadRequest, 0); times(100, b, h, Cancelled, 0) }, false},
		{"rejections are errors", BreakerConfig{}, func(b *Breaker, h *hand) { times(20, b, h, Rejected, 0) }, true},
		{"errors off", BreakerConfig{ErrorPercent: -1}, func(b *Breaker, h *hand) { times(200, b, h, Failure, 0) }, false},
		{"Hystrix does not look twice in 500 ms", Hystrix(), func(b *Breaker, h *hand) { times(400, b, h, Failure, time.Millisecond) }, false},
		{"but then", Hystrix(), func(b *Breaker, h *hand) { times(600, b, h, Failure, time.Millisecond) }, true},
	} {
		h := newHand()
		b := NewBreaker(steady(c.cfg, h))
		c.feed(b, h)
		if got := b.Stats().State == Open; got != c.open {
			t.Errorf("%s: open %v; %+v", c.name, got, b.Stats())
		}
	}
}

// usual lets the breaker learn that calls are quick, and forget them but for that.
func usual(b *Breaker, h *hand) {
	times(200, b, h, Success, 10*time.Millisecond)
	h.pass(11 * time.Second)
}

func times(n int, b *Breaker, h *hand, o Outcome, took time.Duration) {
	for range n {
		run(b, h, o, took)
	}
}

func together(n int, b *Breaker, h *hand, took time.Duration) {
	permits := make([]Permit, n)
	for i := range permits {
		permits[i], _ = b.Allow()
	}
	h.pass(took)
	for i := range permits {
		permits[i].Done(Success)
	}
}

// A service that is slow by its nature is not slow: the bound follows its median.
func TestBreakerLearnsWhatIsSlow(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBreaker(steady(BreakerConfig{}, h))
	for range 30 { // 10 calls each 800 ms
		together(10, b, h, 800*time.Millisecond)
	}
	if s := b.Stats(); s.Slow < 3800*time.Millisecond || s.Slow > 4200*time.Millisecond {
		t.Errorf("slow is above %v", s.Slow)
	}
	together(40, b, h, 3*time.Second)
	if b.Stats().State != Closed {
		t.Error("it opened")
	}
}

// A permit that is never given back, a caller that leaves and a late answer of
// before do not hold the breaker half-open or close it.
func TestBreakerLostPermits(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBreaker(steady(BreakerConfig{}, h))
	old, _ := b.Allow()
	times(20, b, h, Failure, 0)
	h.pass(2 * time.Second)
	lost, ok := b.Allow()
	if !ok {
		t.Fatal("no trial")
	}
	if _, ok := b.Allow(); ok {
		t.Error("two trials at once")
	}
	old.Done(Success) // began before: no trial
	if s := b.Stats(); s.State != HalfOpen || s.Counts.Success != 0 {
		t.Errorf("%+v", s)
	}
	h.pass(30 * time.Second)
	if _, ok := b.Allow(); ok || b.Stats().State != Open {
		t.Error("the lost trial still counts")
	}
	lost.Done(Success)
	lost.Done(Success)
	if b.Stats().State != Open {
		t.Error("a lost trial closed the breaker")
	}
	h.pass(b.Wait())
	for range 3 {
		if !run(b, h, Cancelled, 0) {
			t.Error("no trial after one that was left")
		}
	}
	if b.Stats().State != Open {
		t.Error("three trials that were left keep it half-open")
	}
	h.pass(b.Wait())
	times(2, b, h, BadRequest, 0)
	if b.Stats().State != Closed {
		t.Error("a service that answers 404 is there")
	}
}

// Trials may come far apart: one that went well is not lost by the next one's time.
func TestBreakerTrialsOfQuietServices(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBreaker(steady(BreakerConfig{}, h))
	times(200, b, h, Success, time.Millisecond)
	h.pass(11 * time.Second)
	times(20, b, h, Failure, 0)
	h.pass(b.Wait())
	for range 2 {
		if b.Stats().State == Closed || !run(b, h, Success, time.Millisecond) {
			t.Error("no trial")
		}
		h.pass(time.Minute)
	}
	if s := b.Stats(); s.State != Closed || s.Opened != 1 {
		t.Errorf("%+v", s)
	}
}

func TestBreakerModes(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBreaker(steady(BreakerConfig{}, h))
	b.SetMode(ForcedOpen)
	if run(b, h, Success, 0) || b.Wait() != 8*time.Second || b.Stats().Counts.ShortCircuited != 1 {
		t.Error("forced open")
	}
	b.SetMode(ForcedClosed)
	times(100, b, h, Failure, 0)
	if s := b.Stats(); s.State != Closed || s.Counts.Failure != 100 || s.Mode != ForcedClosed {
		t.Errorf("forced closed: %+v", s)
	}
	b.SetMode(Observe)
	for range 50 {
		times(10, b, h, Failure, 100*time.Millisecond)
	}
	if s := b.Stats(); s.State != Closed || s.WouldOpen < 10 || s.WouldOpen > 30 || s.Opened != 0 {
		t.Errorf("observe: %+v", s)
	}
	b.SetMode(Auto)
	if !run(b, h, Success, 0) {
		t.Error("auto does not begin closed")
	}
}

// A million random steps: what must hold whatever comes.
func TestBreakerHolds(t *testing.T) {
	t.Parallel()
	rng, h := random(7), newHand()
	b := NewBreaker(BreakerConfig{Now: h.now, Float: rng.Float64})
	var open []Permit // calls under way
	var errors, total int
	for range 1_000_000 {
		before := b.Stats().State
		switch n := rng.IntN(100); {
		case n < 45:
			p, ok := b.Allow()
			if ok {
				open = append(open, p)
			}
			if before == Closed && !ok {
				t.Fatal("a closed breaker refused")
			}
			if before == Open && ok && !p.trial {
				t.Fatal("an open breaker let a call through that is no trial")
			}
		case n < 90 && len(open) > 0:
			i := rng.IntN(len(open))
			p := open[i]
			open[i] = open[len(open)-1]
			open = open[:len(open)-1]
			p.Done(Outcome(rng.IntN(numOutcomes)))
		case n < 92 && len(open) > 0 && rng.IntN(20) == 0:
			open = open[:len(open)-1] // lost
		default:
			h.pass(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		}
		trials := 0
		for _, p := range open {
			if p.trial && p.turn == b.turns.Load() {
				trials++
			}
		}
		if trials > 1 {
			t.Fatalf("%d trials at once", trials)
		}
		if w := b.Wait(); w > 8800*time.Millisecond {
			t.Fatalf("waits %v", w)
		}
		s := b.Stats()
		if before == Closed && s.State == Open {
			errors++
			if s.Counts.Total() < 20 {
				t.Fatalf("opened by %+v", s.Counts)
			}
		}
		total++
	}
	if errors == 0 {
		t.Error("it never opened")
	}
	// Whatever happened, it closes once the service is well.
	for range 100 {
		h.pass(time.Second)
		run(b, h, Success, 0)
	}
	if s := b.Stats(); s.State != Closed {
		t.Errorf("%+v", s)
	}
}

// Many callers at once: one trial, and no race.
func TestBreakerConcurrent(t *testing.T) {
	t.Parallel()
	h := newHand()
	b := NewBreaker(steady(BreakerConfig{}, h))
	times(20, b, h, Failure, 0)
	h.pass(2 * time.Second)
	var wait sync.WaitGroup
	permits := make(chan Permit, 64)
	for range 64 {
		wait.Go(func() {
			if p, ok := b.Allow(); ok {
				permits <- p
			}
		})
	}
	wait.Wait()
	if len(permits) != 1 {
		t.Errorf("%d trials", len(permits))
	}
}
