package resilience

import (
	"math"
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
	// Vegas estimates the queue from the shortest time that calls ever took, and
	// keeps it between 3 and 6 times log10 of the limit (after TCP Vegas).
	Vegas
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
//
// Gradient differs from its model where that one hurts. A limit that holds calls
// back though the service is as quick as ever grows by half, and before its first
// bound was met by the whole ([Limit.Learning]), instead of by less than one a
// second. It falls at once and not by a fifth of the way. Times below 25 ms are
// never a reason to fall. And where falling did not make the service quicker, the
// service has become a slower one: the limit goes back up, and the new time is
// what is usual.
type Limit struct {
	cfg      LimitConfig
	born     time.Time
	limit    atomic.Int64
	inflight atomic.Int64
	peak     atomic.Int64 // the most at once in this window
	good     atomic.Int64
	dropped  atomic.Int64
	end      atomic.Int64 // of this window, since born
	round    atomic.Int64 // good calls that end it before that
	pressed  atomic.Bool  // somebody had to wait for a place in this window
	learning atomic.Bool
	usual    atomic.Int64 // nanoseconds; 0: not known
	times    histogram

	mu       sync.Mutex // of a window's end
	began    int64      // of this window, since born
	estimate float64
	long     float64 // average of the medians, nanoseconds
	windows  int     // whole ones that long is made of, until warmSamples
	floors   [2]float64
	floorAt  int64 // since born, when the floors move on
	slows    int   // windows in a row that were too slow
	from     descent
	vegas    vegas
}

// descent is where a limit was when it began to fall.
type descent struct{ limit, short float64 }

// vegas is what the algorithm of that name remembers.
type vegas struct {
	least   float64 // the shortest median
	windows float64 // since then
}

const (
	longSamples = 600 // seconds that the long average looks back
	warmSamples = 10  // of them that are averaged plainly
	tolerance   = 1.5
	headroom    = 4
	smoothing   = 0.2
	backoff     = 0.9
	sprint      = 1.5
	drift       = 1.1
	leastTime   = 100 * time.Microsecond // shorter medians say more of the clock than of the service
	comfort     = 25 * time.Millisecond  // a queue that nobody notices
	floorTime   = 5 * time.Minute        // the least median of this time, or twice that, is remembered
	window      = time.Second
	pressWindow = 200 * time.Millisecond // while somebody has to wait
	pressCalls  = 50                     // good ones that it needs
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
	l.end.Store(int64(window))
	l.round.Store(math.MaxInt64)
	l.learning.Store(cfg.Algorithm == Gradient)
	return l
}

// Limit is how many calls may be under way now.
func (l *Limit) Limit() int { return int(l.limit.Load()) }

// InFlight is how many are, of those that [Limit.Enter] and [Limit.Begin] let in.
func (l *Limit) InFlight() int { return int(l.inflight.Load()) }

// Learning tells that no bound was ever met: how much the service can take is not
// known, and who finds no place may well find one in a moment.
func (l *Limit) Learning() bool { return l.learning.Load() }

// Usual is how long calls take while they need not wait for one another; 0 when
// that is not known, or does not matter to the algorithm.
func (l *Limit) Usual() time.Duration { return time.Duration(l.usual.Load()) }

// Enter takes a place; false says that the limit is reached. After true,
// [Limit.Done] must follow.
func (l *Limit) Enter() bool {
	n := l.inflight.Add(1)
	if n > l.limit.Load() {
		l.inflight.Add(-1)
		l.Pressed(l.cfg.Now())
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

// Pressed tells that a call found no place at once.
func (l *Limit) Pressed(now time.Time) {
	if l.pressed.Load() || l.cfg.Algorithm != Gradient || !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	// What was seen before, while there was room, says nothing about now.
	since := int64(now.Sub(l.born))
	l.restart(since)
	l.end.Store(since + int64(pressWindow))
	if l.learning.Load() {
		l.round.Store(max(l.limit.Load(), int64(l.cfg.Samples)))
	}
	l.pressed.Store(true)
}

// restart begins a window. The caller has the lock.
func (l *Limit) restart(since int64) {
	l.good.Store(0)
	l.dropped.Store(0)
	l.times.reset()
	l.began = since
	l.end.Store(since + int64(window))
	l.round.Store(math.MaxInt64)
}

// Done gives the place back. took is the time to the head of the answer.
// Failure and Timeout are to be told only for calls that were lost (no answer);
// an answer that is an error is no sample: tell BadRequest.
func (l *Limit) Done(o Outcome, took time.Duration) {
	now := l.cfg.Now()
	l.Observe(now, o, took, int(l.inflight.Add(-1))+1)
}

// Observe is [Limit.Done] for a caller that counts the calls under way itself,
// this one included, and knows the time.
func (l *Limit) Observe(now time.Time, o Outcome, took time.Duration, inflight int) {
	l.seen(int64(inflight))
	n := int64(0)
	switch o {
	case Success:
		l.times.add(took)
		n = l.good.Add(1)
	case Failure, Timeout:
		l.dropped.Add(1)
	case Rejected, ShortCircuited, BadRequest, Cancelled:
	}
	if since := int64(now.Sub(l.born)); since >= l.end.Load() || n >= l.round.Load() {
		l.turn(since)
	}
}

// turn ends a window: the first call to come by does it, the others go on.
func (l *Limit) turn(since int64) {
	if l.cfg.Algorithm == Fixed || !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	good, dropped := l.good.Load(), l.dropped.Load()
	if since < l.end.Load() && good < l.round.Load() {
		return // somebody else did it
	}
	lossy := dropped*100 > good+dropped
	least := int64(l.cfg.Samples)
	if since < l.began+int64(window) && good < l.round.Load() {
		least = pressCalls
	}
	if good < least && !(lossy && good+dropped >= least) {
		l.end.Store(max(l.began+int64(window), since+int64(pressWindow))) // too little to tell: this one goes on
		return
	}
	w := look{span: time.Duration(max(since-l.began, 1)), at: since}
	var sum [histogramSize]uint64
	w.median = float64(quantile(&sum, l.times.addTo(&sum), 0.5))
	if l.cfg.Algorithm == Gradient && w.span < window && float64(w.span) < 2*w.median {
		l.end.Store(min(l.began+int64(2*w.median), l.began+int64(window))) // most of these calls began before it
		l.round.Store(math.MaxInt64)
		return
	}
	w.peak, w.pressed = float64(l.peak.Swap(l.inflight.Load())), l.pressed.Swap(false)
	l.restart(since)
	if lossy {
		l.estimate *= backoff
	} else {
		l.move(&w)
	}
	l.estimate = min(max(l.estimate, float64(l.cfg.Min)), float64(l.cfg.Max))
	l.limit.Store(int64(l.estimate))
}

// look is what a window showed.
type look struct {
	span         time.Duration
	at           int64
	median, peak float64
	pressed      bool
}

func (l *Limit) move(w *look) {
	switch {
	case l.cfg.Algorithm == AIMD:
		if w.peak >= l.estimate/2 {
			l.estimate++
		}
	case w.median < float64(leastTime):
		if w.pressed && l.cfg.Algorithm == Gradient {
			l.estimate *= sprint
		}
	case l.cfg.Algorithm == Vegas:
		l.byQueue(w)
	default:
		l.gradient(w)
	}
}

// gradient is one step of Gradient2.
func (l *Limit) gradient(w *look) {
	floor := l.floor(w)
	l.remember(w)
	// What is usual may not creep up with the limit: it stays near the time that
	// calls took when there were few.
	usual := max(min(l.long, drift*floor), float64(comfort)/tolerance)
	l.usual.Store(int64(usual))
	slope := min(max(tolerance*usual/w.median, 0.5), 1)
	if slope < 1 {
		l.fall(w, slope)
		return
	}
	l.slows, l.from = 0, descent{}
	quick := w.median <= max(drift*floor, float64(comfort))
	switch {
	case w.pressed && quick && l.learning.Load():
		l.estimate *= 2
	case w.pressed && quick:
		l.estimate *= sprint
	case w.pressed || w.peak >= l.estimate/2: // else it was not felt: nothing is learnt by raising it
		l.estimate += headroom * smoothing * w.span.Seconds()
	}
}

// fall lowers the limit after windows that were too slow.
func (l *Limit) fall(w *look, slope float64) {
	l.slows++
	switch {
	case !w.pressed && w.peak < l.estimate/2:
		return // it is not the limit that fills the service
	case w.peak > 1.1*l.estimate+1:
		return // it fell a moment ago, and those beyond it are still under way
	case l.learning.Swap(false) && w.pressed:
		l.slows = 2 // the last doubling was too much, or the service was busy before
		l.from = descent{l.estimate, w.median}
		l.estimate = l.estimate*slope/tolerance + headroom*smoothing
		return
	case l.slows < 2 && w.span < window:
		return // a hiccup, perhaps of this process
	}
	if l.from.limit == 0 || w.median > 1.2*l.from.short { // it begins, or got worse
		l.from = descent{l.estimate, w.median}
	}
	if l.estimate <= 0.6*l.from.limit && w.median >= 0.85*l.from.short {
		// Fewer calls did not make it quicker: there is no queue of our making.
		l.long, l.floors = w.median, [2]float64{w.median, w.median}
		l.estimate = l.from.limit
		l.from = descent{}
		return
	}
	l.estimate = l.estimate*slope + headroom*smoothing
}

// remember takes the median into the long average.
func (l *Limit) remember(w *look) {
	switch {
	case l.long == 0:
		l.long = w.median
	case l.windows < warmSamples && w.span >= window:
		l.windows++
		l.long += (w.median - l.long) / float64(l.windows+1)
	default:
		l.long += (w.median - l.long) * min(2*w.span.Seconds()/(longSamples+1), 1)
	}
	if l.long > 2*w.median { // it was slow for long and no longer is: forget faster
		l.long *= 1 - 0.05*min(w.span.Seconds(), 1)
	}
}

// floor is the least median of the last five to ten minutes in which the service
// had little to do, or the least of all while there was no such minute.
func (l *Limit) floor(w *look) float64 {
	if w.at >= l.floorAt {
		l.floorAt = w.at + int64(floorTime)
		if l.floors[0] > 0 {
			l.floors[1], l.floors[0] = l.floors[0], 0
		}
	}
	least := w.median
	for _, f := range l.floors {
		if f > 0 {
			least = min(least, f)
		}
	}
	busy := w.pressed || w.peak >= l.estimate/2
	switch {
	case l.floors == [2]float64{}, w.median <= least:
		l.floors[0] = w.median
	case !busy && (l.floors[0] == 0 || w.median < l.floors[0]):
		l.floors[0] = w.median
	}
	return least
}

// probes times its own height, in windows, is how long a limit waits until it
// measures the shortest time anew; at most ten minutes.
const probes = 30

// byQueue is one step of Vegas.
func (l *Limit) byQueue(w *look) {
	v := &l.vegas
	if v.windows++; v.least == 0 || w.median < v.least || v.windows > min(probes*l.estimate, longSamples) {
		v.least, v.windows = w.median, 0
	}
	step := max(math.Log10(l.estimate), 1)
	queue := l.estimate * (1 - v.least/w.median)
	switch {
	case queue > 6*step:
		l.estimate -= step
	case w.peak < l.estimate/2:
	case queue <= step:
		l.estimate += 6 * step
	case queue < 3*step:
		l.estimate += step
	}
}
