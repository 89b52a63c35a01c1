package resilience

import (
	"sync"
	"sync/atomic"
	"time"
)

// Algorithm is how a [Limit] moves.
type Algorithm uint8

// The algorithms.
const (
	// Gradient compares the time of calls now with that of the last ten minutes
	// (Netflix' Gradient2): slower calls mean a queue somewhere, and a lower limit.
	Gradient Algorithm = iota
	// AIMD adds one while all goes well, and takes a tenth away when calls are lost.
	AIMD
	// Fixed stays where it began.
	Fixed
)

// LimitConfig makes a [Limit].
type LimitConfig struct {
	// Algorithm moves the limit (default Gradient).
	Algorithm Algorithm
	// Initial, Min and Max are calls at once (default 50, 10 and 10,000; for
	// AIMD 20, 20 and 200).
	Initial, Min, Max int
	// Samples is how many good calls a second needs to count (default 10).
	Samples int
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Limit is a bound on the calls at once that finds its own height. Once a
// second it looks at the times of the calls that went well; those that failed
// have no say, as failing is fast. More than 1 % of time-outs and broken
// connections lower it by a tenth, whatever the times say.
type Limit struct {
	cfg      LimitConfig
	born     time.Time
	limit    atomic.Int64
	inflight atomic.Int64
	peak     atomic.Int64 // the most at once in this second
	good     atomic.Int64
	dropped  atomic.Int64
	end      atomic.Int64 // of this second, since born
	times    histogram

	mu       sync.Mutex // of the second's end
	estimate float64
	long     float64 // average of the medians, nanoseconds
	seconds  int     // that long is made of, until longSamples
}

const (
	longSamples = 600 // seconds that the long average looks back
	warmSamples = 10  // of them that are averaged plainly
	tolerance   = 1.5
	headroom    = 4
	smoothing   = 0.2
	backoff     = 0.9
	leastTime   = 100 * time.Microsecond // shorter medians say more of the clock than of the service
)

// NewLimit makes a limit at its initial height.
func NewLimit(cfg LimitConfig) *Limit {
	initial, low, high := 50, 10, 10_000
	if cfg.Algorithm == AIMD {
		initial, low, high = 20, 20, 200
	}
	if cfg.Max > 0 {
		low = min(low, cfg.Max)
	}
	cfg.Min = max(or(cfg.Min, low), 1)
	cfg.Max = max(or(cfg.Max, high), cfg.Min)
	cfg.Samples, cfg.Now = or(cfg.Samples, 10), clock(cfg.Now)
	l := &Limit{cfg: cfg, born: cfg.Now()}
	l.estimate = float64(or(cfg.Initial, initial))
	if cfg.Algorithm != Fixed || cfg.Initial == 0 {
		l.estimate = min(max(l.estimate, float64(cfg.Min)), float64(cfg.Max))
	}
	l.limit.Store(int64(l.estimate))
	l.end.Store(int64(time.Second))
	return l
}

// Limit is how many calls may be under way now.
func (l *Limit) Limit() int { return int(l.limit.Load()) }

// InFlight is how many are.
func (l *Limit) InFlight() int { return int(l.inflight.Load()) }

// Enter takes a place; false says that the limit is reached. After true,
// [Limit.Done] must follow.
func (l *Limit) Enter() bool {
	n := l.inflight.Add(1)
	if n > l.limit.Load() {
		l.inflight.Add(-1)
		return false
	}
	l.seen(n)
	return true
}

// Begin takes a place without asking, for a caller that bounds calls by other
// means, such as a [Bulkhead] whose limit this is.
func (l *Limit) Begin() { l.seen(l.inflight.Add(1)) }

func (l *Limit) seen(n int64) {
	for {
		p := l.peak.Load()
		if n <= p || l.peak.CompareAndSwap(p, n) {
			return
		}
	}
}

// Done gives the place back. took is the time to the head of the answer.
// Failure and Timeout are to be told only for calls that were lost (no answer);
// an answer that is an error is no sample: tell BadRequest.
func (l *Limit) Done(o Outcome, took time.Duration) {
	l.inflight.Add(-1)
	switch o {
	case Success:
		l.times.add(took)
		l.good.Add(1)
	case Failure, Timeout:
		l.dropped.Add(1)
	case Rejected, ShortCircuited, BadRequest, Cancelled:
	}
	if since := int64(l.cfg.Now().Sub(l.born)); since >= l.end.Load() {
		l.second(since)
	}
}

// second ends one: the first call to come by does it, the others go on.
func (l *Limit) second(since int64) {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	good, dropped := l.good.Load(), l.dropped.Load()
	if since < l.end.Load() || l.cfg.Algorithm == Fixed {
		return
	}
	l.end.Store(since + int64(time.Second))
	lossy := dropped*100 > good+dropped
	if good < int64(l.cfg.Samples) && !(lossy && good+dropped >= int64(l.cfg.Samples)) {
		return // too little to tell: this second goes on
	}
	l.good.Add(-good)
	l.dropped.Add(-dropped)
	peak := l.peak.Swap(l.inflight.Load())
	var sum [histogramSize]uint64
	median := quantile(&sum, l.times.addTo(&sum), 0.5)
	l.times.reset()
	switch {
	case lossy:
		l.estimate *= backoff
	case l.cfg.Algorithm == AIMD:
		if float64(peak) >= l.estimate/2 {
			l.estimate++
		}
	case median >= leastTime:
		l.gradient(float64(median), float64(peak))
	}
	l.estimate = min(max(l.estimate, float64(l.cfg.Min)), float64(l.cfg.Max))
	l.limit.Store(int64(l.estimate))
}

// gradient is one step of Gradient2.
func (l *Limit) gradient(short, peak float64) {
	l.seconds = min(l.seconds+1, longSamples)
	if l.seconds <= warmSamples {
		l.long += (short - l.long) / float64(l.seconds)
	} else {
		l.long += (short - l.long) * 2 / (longSamples + 1)
	}
	if l.long > 2*short { // it was slow for long and no longer is: forget faster
		l.long *= 0.95
	}
	slope := min(max(tolerance*l.long/short, 0.5), 1)
	next := l.estimate*(1-smoothing) + (l.estimate*slope+headroom)*smoothing
	if next > l.estimate && peak < l.estimate/2 {
		return // the limit was not felt: nothing is learnt by raising it
	}
	l.estimate = next
}
