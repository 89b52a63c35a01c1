package resilience

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// RetryConfig makes a [Retry].
type RetryConfig struct {
	// Attempts is how often a call is made at most, the first one included (default 2).
	Attempts int
	// Backoff is the longest wait before the first retry (default 25ms); it
	// doubles with each, to at most MaxBackoff (default 1s).
	Backoff, MaxBackoff time.Duration
	// RetryAfter is the longest wish of a service to be left alone that is
	// waited for (default 1s); a longer one ends the retries.
	RetryAfter time.Duration
	// Float gives random numbers in [0, 1) (default math/rand/v2).
	Float func() float64
}

// Retry says whether and when to try again. It has no state.
type Retry struct{ cfg RetryConfig }

// NewRetry makes a Retry.
func NewRetry(cfg RetryConfig) *Retry {
	cfg.Attempts = or(cfg.Attempts, 2)
	cfg.Backoff, cfg.MaxBackoff = orTime(cfg.Backoff, 25*time.Millisecond), orTime(cfg.MaxBackoff, time.Second)
	cfg.RetryAfter = orTime(cfg.RetryAfter, time.Second)
	if cfg.Float == nil {
		cfg.Float = rand.Float64
	}
	return &Retry{cfg}
}

// Next says how long to wait after attempts calls, and whether to call again.
// The wait is anything from 0 to the back-off (full jitter), but not shorter than
// retryAfter, which is what the service asked for (0: nothing). left is what
// remains of the caller's time; a retry that could not begin within it is none.
func (r *Retry) Next(attempts int, retryAfter, left time.Duration) (time.Duration, bool) {
	if attempts < 1 || attempts >= r.cfg.Attempts || retryAfter > r.cfg.RetryAfter {
		return 0, false
	}
	most := r.cfg.MaxBackoff
	if n := attempts - 1; n < 16 {
		most = min(r.cfg.Backoff<<n, most)
	}
	wait := max(time.Duration(r.cfg.Float()*float64(most)), retryAfter)
	return wait, wait < left
}

// BudgetConfig makes a [Budget].
type BudgetConfig struct {
	// Percent of the calls may be extra ones: retries and hedges (default 20;
	// negative for none but the least).
	Percent int
	// Least is how many extra calls may be under way at once, or made in a second,
	// however few calls there are (default 3), and LeastRate how many in 10 s
	// (default 10).
	Least, LeastRate int
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Budget bounds extra calls by the calls that were asked for, so that retries
// can't multiply the load of a service that is down: by what is under way now,
// and by what was made in the last second and in the last 10.
type Budget struct {
	cfg            BudgetConfig
	calls, extra   atomic.Int64
	made           *Window // Success: a call, Failure: an extra one
	refused, taken atomic.Uint64
}

// budgetSlot is half of what counts as the last second: as much of it as has
// passed, and the half before.
const budgetSlot = 500 * time.Millisecond

// NewBudget makes a budget of which nothing is used.
func NewBudget(cfg BudgetConfig) *Budget {
	cfg.Percent, cfg.Least, cfg.LeastRate = or(cfg.Percent, 20), or(cfg.Least, 3), or(cfg.LeastRate, 10)
	return &Budget{cfg: cfg, made: NewWindow(WindowConfig{Slot: budgetSlot, Slots: 20, Now: cfg.Now})}
}

// Enter and Leave frame a call that was asked for.
func (b *Budget) Enter() { b.EnterAt(b.made.now(), true) }

// EnterAt is Enter for a caller that knows the time. A call that was not asked for
// is an extra one that came by another way: it is under way, but no reason for
// more extra ones. The result is how many calls are under way, this one included.
func (b *Budget) EnterAt(now time.Time, asked bool) int {
	if asked {
		b.made.RecordAt(now, Success, -1)
	}
	return int(b.calls.Add(1))
}

// Calls is how many calls are under way.
func (b *Budget) Calls() int { return int(b.calls.Load()) }

// Leave is the end of a call.
func (b *Budget) Leave() { b.calls.Add(-1) }

// Take asks for one extra call; [Budget.Give] ends it.
func (b *Budget) Take() bool {
	now := b.made.now()
	made, recent := b.made.countsAt(now), b.made.last(now, 2)
	n := b.extra.Add(1)
	if n > b.share(b.calls.Load(), b.cfg.Least) || int64(recent.Failure) >= b.share(int64(recent.Success), b.cfg.Least) ||
		int64(made.Failure) >= b.share(int64(made.Success), b.cfg.LeastRate) {
		b.extra.Add(-1)
		b.refused.Add(1)
		return false
	}
	b.made.RecordAt(now, Failure, -1)
	b.taken.Add(1)
	return true
}

// share is how many extra calls so many calls are worth.
func (b *Budget) share(calls int64, least int) int64 {
	return max(int64(least), calls*int64(max(b.cfg.Percent, 0))/100)
}

// Charge counts an extra call that was made without asking.
func (b *Budget) Charge() { b.made.Record(Failure, -1) }

// Give ends an extra call.
func (b *Budget) Give() { b.extra.Add(-1) }

// BudgetStats is what a budget shows of itself.
type BudgetStats struct {
	Calls, Extra   int    // under way
	Taken, Refused uint64 // extra calls, since it was made
}

// Stats takes a snapshot.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{int(b.calls.Load()), int(b.extra.Load()), b.taken.Load(), b.refused.Load()}
}
