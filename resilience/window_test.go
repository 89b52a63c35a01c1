package resilience

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// hand is a clock that a test moves.
type hand struct{ at time.Time }

func newHand() *hand                    { return &hand{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }
func (h *hand) now() time.Time          { return h.at }
func (h *hand) pass(d time.Duration)    { h.at = h.at.Add(d) }
func random(seed uint64) *rand.Rand     { return rand.New(rand.NewPCG(seed, seed)) }
func middleOf(ds []time.Duration) int64 { slices.Sort(ds); return int64(ds[(len(ds)-1)/2]) }

// The window against the plainest model: a list of all that was recorded.
func TestWindowEqualsAList(t *testing.T) {
	t.Parallel()
	type event struct {
		slot int64
		o    Outcome
		took time.Duration
	}
	rng, h := random(1), newHand()
	w := NewWindow(WindowConfig{Latency: true, Now: h.now})
	born := h.at
	var events []event
	for step := range 200_000 {
		switch n := rng.IntN(1000); {
		case n < 900:
			e := event{int64(h.at.Sub(born) / time.Second), Outcome(rng.IntN(numOutcomes)), time.Duration(rng.Int64N(int64(3 * time.Second)))}
			w.Record(e.o, e.took)
			events = append(events, e)
		case n < 998:
			h.pass(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
		case n == 998:
			h.pass(time.Duration(rng.Int64N(int64(30 * time.Second))))
		default:
			w.Reset()
			events = nil
		}
		if step%500 != 0 {
			continue
		}
		newest := int64(h.at.Sub(born) / time.Second)
		events = slices.DeleteFunc(events, func(e event) bool { return e.slot <= newest-10 })
		var want [numOutcomes]uint64
		var times []time.Duration
		for _, e := range events {
			want[e.o]++
			if e.o == Success {
				times = append(times, e.took)
			}
		}
		c := w.Counts()
		got := [numOutcomes]uint64{c.Success, c.Failure, c.Timeout, c.Rejected, c.ShortCircuited, c.BadRequest, c.Cancelled}
		if got != want {
			t.Fatalf("step %d: %v, want %v", step, got, want)
		}
		if len(times) == 0 {
			continue
		}
		d, n := w.Quantile(0.5)
		exact := middleOf(times)
		if n != uint64(len(times)) || exact > int64(time.Millisecond) && max(int64(d)-exact, exact-int64(d)) > exact/25 {
			t.Fatalf("step %d: median %v of %d, want %v of %d", step, d, n, time.Duration(exact), len(times))
		}
	}
}

func TestHistogramError(t *testing.T) {
	t.Parallel()
	for d := time.Microsecond; d < 120*time.Second; d += d/97 + 1 {
		if m := middle(stepOf(d)); m < d-d/25 || m > d+d/25 {
			t.Fatalf("%v is kept as %v", d, m)
		}
	}
	for _, d := range []time.Duration{-1, 0, time.Hour, 1 << 62} {
		if s := stepOf(d); s < 0 || s >= histogramSize {
			t.Errorf("%v is in step %d", d, s)
		}
	}
}

// Nothing is lost while many write and nobody's time ends.
func TestWindowCountsAll(t *testing.T) {
	t.Parallel()
	h := newHand()
	w := NewWindow(WindowConfig{Latency: true, Now: h.now})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 1000 {
				w.Record(Success, time.Millisecond)
				w.Record(Timeout, 0)
			}
		})
	}
	wait.Wait()
	if c := w.Counts(); c.Success != 8000 || c.Timeout != 8000 || c.Total() != 16000 || c.ErrorPercent() != 50 {
		t.Errorf("%+v", c)
	}
}

// A clock that goes back is the same as one that stands.
func TestWindowClockGoesBack(t *testing.T) {
	t.Parallel()
	h := newHand()
	w := NewWindow(WindowConfig{Now: h.now})
	w.Record(Failure, 0)
	h.pass(-time.Hour)
	w.Record(Failure, 0)
	w.Record(Outcome(99), 0) // no outcome at all
	if c := w.Counts(); c.Failure != 2 || c.Total() != 2 {
		t.Errorf("%+v", c)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	var got []string
	for o := range numOutcomes + 1 {
		got = append(got, Outcome(o).String())
	}
	for s := range HalfOpen + 2 {
		got = append(got, s.String())
	}
	want := []string{
		"success", "failure", "timeout", "rejected", "short_circuited", "bad_request", "cancelled", "unknown",
		"closed", "open", "half-open", "unknown",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// While calls go well, nothing allocates.
func TestHealthyPathAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b, bulk, lim := NewBreaker(BreakerConfig{}), NewBulkhead(BulkheadConfig{}), NewLimit(LimitConfig{})
	budget, hedge := NewBudget(BudgetConfig{}), NewHedge(HedgeConfig{})
	retry := NewRetry(RetryConfig{})
	var room [32]byte
	n := testing.AllocsPerRun(1000, func() {
		p, allowed := b.Allow()
		if !allowed || !lim.Enter() || bulk.Enter(nil, 0) != nil {
			t.Fatal("refused")
		}
		budget.Enter()
		_, _ = hedge.Delay()
		_, _ = retry.Next(1, 0, time.Second)
		_ = AppendMillis(room[:0], time.Second)
		hedge.Observe(time.Millisecond)
		budget.Leave()
		bulk.Leave()
		lim.Done(Success, time.Millisecond)
		p.Done(Success)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHealthyCall(b *testing.B) {
	br, bulk, lim, budget := NewBreaker(BreakerConfig{}), NewBulkhead(BulkheadConfig{}), NewLimit(LimitConfig{}), NewBudget(BudgetConfig{})
	b.ReportAllocs()
	for b.Loop() {
		p, _ := br.Allow()
		lim.Begin()
		_ = bulk.Enter(nil, 0)
		budget.Enter()
		budget.Leave()
		bulk.Leave()
		lim.Done(Success, time.Millisecond)
		p.Done(Success)
	}
}
