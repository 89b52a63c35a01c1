// Package resilience holds the state machines that decide what to do with calls
// to a service that may be slow, failing or down.
//
// The flow: a caller asks before a call ([Breaker.Allow], [Bulkhead.Enter],
// [Limit.Enter], [Budget.Enter]), makes the call, and tells its [Outcome]
// afterwards. What was told is kept in rolling windows ([Window]), and the next
// answer comes from there. [Retry] and [Hedge] say how long to wait before
// another call, and [AppendMillis] and [AppendGRPC] tell the next hop what is left
// of the time.
//
// Nothing here knows a network or starts a goroutine. Each type is made from its
// Config, whose zero value gives the defaults; the clock is a field of the
// Config. All types are safe for concurrent use, hold a lock for a few
// instructions at most, and allocate nothing while calls go well.
package resilience

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is how a call ended, as its caller saw it.
type Outcome uint8

// The outcomes. Failure, Timeout and Rejected are errors; ShortCircuited,
// BadRequest and Cancelled say nothing about the service and are in no ratio.
const (
	Success        Outcome = iota
	Failure                // an answer that is an error, or a broken connection
	Timeout                // no answer in time
	Rejected               // refused for want of room
	ShortCircuited         // refused by an open breaker
	BadRequest             // the caller's own fault
	Cancelled              // the caller left
)

const numOutcomes = int(Cancelled) + 1

// String gives the word for logs and metrics.
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Failure:
		return "failure"
	case Timeout:
		return "timeout"
	case Rejected:
		return "rejected"
	case ShortCircuited:
		return "short_circuited"
	case BadRequest:
		return "bad_request"
	case Cancelled:
		return "cancelled"
	}
	return "unknown"
}

// Bad tells whether the outcome is an error of the service.
func (o Outcome) Bad() bool { return o == Failure || o == Timeout || o == Rejected }

// WindowConfig makes a [Window].
type WindowConfig struct {
	// Slot is the length of one slot (default 1s).
	Slot time.Duration
	// Slots is how many of them are summed, the running one included (default 10).
	Slots int
	// Latency keeps durations too, for [Window.Quantile] and [Window.Latency]:
	// about 2 KB a slot, once it is written to.
	Latency bool
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Window counts outcomes over the last slots of time. Writing is one atomic add,
// two with latency; the first writer of a slot's time empties it under a lock.
type Window struct {
	slot  time.Duration
	now   func() time.Time
	born  time.Time
	times bool
	mu    sync.Mutex // of whoever empties a slot
	slots []slot     // one more than are summed, so that a late writer meets nobody
}

// slot is one piece of time. Epoch is its index since the window was made, plus
// one; it is stored after the counters were emptied, so whoever reads the right
// epoch reads counters of that time.
type slot struct {
	epoch   atomic.Int64
	counts  [numOutcomes]atomic.Uint64
	slow    atomic.Uint64
	latency *histogram
	_       [48]byte // the next slot begins on a cache line of its own
}

// NewWindow makes an empty window.
func NewWindow(cfg WindowConfig) *Window {
	if cfg.Slot <= 0 {
		cfg.Slot = time.Second
	}
	if cfg.Slots <= 0 {
		cfg.Slots = 10
	}
	w := &Window{slot: cfg.Slot, now: clock(cfg.Now), times: cfg.Latency, slots: make([]slot, cfg.Slots+1)}
	w.born = w.now()
	return w
}

func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

func (w *Window) epochAt(now time.Time) int64 {
	return int64(max(now.Sub(w.born), 0)/w.slot) + 1
}

// Record counts one outcome that took that long. Only a success's time is kept:
// what fails fast must not look fast.
func (w *Window) Record(o Outcome, took time.Duration) { w.record(w.now(), o, took, false) }

// RecordAt is Record for a caller that knows the time. A negative took says that
// there is no time worth keeping.
func (w *Window) RecordAt(now time.Time, o Outcome, took time.Duration) {
	w.record(now, o, took, false)
}

func (w *Window) record(now time.Time, o Outcome, took time.Duration, slow bool) {
	if int(o) >= numOutcomes {
		return
	}
	epoch := w.epochAt(now)
	s := &w.slots[epoch%int64(len(w.slots))]
	if s.epoch.Load() != epoch && !w.turn(s, epoch) {
		return
	}
	s.counts[o].Add(1)
	if slow {
		s.slow.Add(1)
	}
	if s.latency != nil && o == Success && took >= 0 {
		s.latency.add(took)
	}
}

// turn empties s for a new epoch; false says that time has gone past it already.
func (w *Window) turn(s *slot, epoch int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := s.epoch.Load(); at >= epoch {
		return at == epoch
	}
	for i := range s.counts {
		s.counts[i].Store(0)
	}
	s.slow.Store(0)
	switch {
	case s.latency != nil:
		s.latency.reset()
	case w.times:
		s.latency = new(histogram)
	}
	s.epoch.Store(epoch)
	return true
}

// Counts is what a window holds at one moment.
type Counts struct {
	Success, Failure, Timeout, Rejected, ShortCircuited, BadRequest, Cancelled uint64
	// Slow are those of Success that took too long.
	Slow uint64
}

// Errors are failures, time-outs and rejections.
func (c Counts) Errors() uint64 { return c.Failure + c.Timeout + c.Rejected }

// Total are errors and successes: what ratios are of.
func (c Counts) Total() uint64 { return c.Errors() + c.Success }

// ErrorPercent is the share of errors, truncated as Hystrix does it.
func (c Counts) ErrorPercent() int { return percent(c.Errors(), c.Total()) }

func percent(part, whole uint64) int {
	if whole == 0 {
		return 0
	}
	return int(part * 100 / whole)
}

// Counts sums the window.
func (w *Window) Counts() Counts { return w.countsAt(w.now()) }

func (w *Window) countsAt(now time.Time) Counts { return w.last(now, len(w.slots)-1) }

// last sums the newest slots, the running one included.
func (w *Window) last(now time.Time, slots int) Counts {
	var n [numOutcomes]uint64
	var slow uint64
	newest := w.epochAt(now)
	for i := range w.slots {
		s := &w.slots[i]
		if !w.inside(s, newest) || s.epoch.Load() <= newest-int64(slots) {
			continue
		}
		for o := range n {
			n[o] += s.counts[o].Load()
		}
		slow += s.slow.Load()
	}
	return Counts{n[Success], n[Failure], n[Timeout], n[Rejected], n[ShortCircuited], n[BadRequest], n[Cancelled], slow}
}

// inside tells whether s is among the slots that count when newest is running.
func (w *Window) inside(s *slot, newest int64) bool {
	e := s.epoch.Load()
	return e > 0 && e <= newest && e > newest-int64(len(w.slots)-1)
}

// Quantile is the time that the share q (0 to 1) of the successes stayed within,
// at most 4 % off between 1 µs and 120 s. It is 0, and n too, when there were
// none or the window keeps no latency; n is how many there were.
func (w *Window) Quantile(q float64) (d time.Duration, n uint64) {
	var sum [histogramSize]uint64
	n = w.sum(&sum)
	return quantile(&sum, n, q), n
}

// sum adds the times of all slots that count.
func (w *Window) sum(sum *[histogramSize]uint64) (n uint64) {
	if !w.times {
		return 0
	}
	newest := w.epochAt(w.now())
	for i := range w.slots {
		if s := &w.slots[i]; w.inside(s, newest) {
			n += s.latency.addTo(sum)
		}
	}
	return n
}

// LatencyStats are the times of the successes in a window: the mean, and the
// quantiles that Hystrix' boards show. Each is at most 4 % off.
type LatencyStats struct {
	Count                                        uint64
	Mean                                         time.Duration
	P0, P25, P50, P75, P90, P95, P99, P995, P100 time.Duration
}

// Latency sums the window's times.
func (w *Window) Latency() LatencyStats {
	var sum [histogramSize]uint64
	l := LatencyStats{Count: w.sum(&sum)}
	if l.Count == 0 {
		return l
	}
	whole := 0.0
	for i, c := range sum {
		whole += float64(c) * float64(middle(i))
	}
	l.Mean = time.Duration(whole / float64(l.Count))
	for _, q := range [...]struct {
		q  float64
		to *time.Duration
	}{
		{0, &l.P0},
		{0.25, &l.P25},
		{0.5, &l.P50},
		{0.75, &l.P75},
		{0.9, &l.P90},
		{0.95, &l.P95},
		{0.99, &l.P99},
		{0.995, &l.P995},
		{1, &l.P100},
	} {
		*q.to = quantile(&sum, l.Count, q.q)
	}
	return l
}

// Reset forgets everything.
func (w *Window) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.slots {
		w.slots[i].epoch.Store(0)
	}
}

// histogram counts durations in steps of a 16th of a power of two.
type histogram [histogramSize]atomic.Uint32

const (
	lowExp        = 9  // 2^9 ns is the first bound, about 0.5 µs
	highExp       = 36 // 2^37 ns is the last one, about 137 s
	steps         = 16 // a power of two
	stepBits      = 4
	histogramSize = (highExp - lowExp + 1) * steps
)

func stepOf(d time.Duration) int {
	v := uint64(max(d, 1<<lowExp))
	exp := bits.Len64(v) - 1
	if exp > highExp {
		return histogramSize - 1
	}
	return (exp-lowExp)*steps + int(v>>(exp-stepBits))&(steps-1)
}

// middle is the duration in the middle of a step.
func middle(step int) time.Duration {
	exp, sub := step/steps+lowExp, step%steps
	width := 1 << (exp - stepBits)
	return time.Duration((steps+sub)*width + width/2)
}

func (h *histogram) add(d time.Duration) { h[stepOf(d)].Add(1) }

func (h *histogram) reset() {
	for i := range h {
		h[i].Store(0)
	}
}

func (h *histogram) addTo(sum *[histogramSize]uint64) (n uint64) {
	for i := range h {
		c := uint64(h[i].Load())
		sum[i] += c
		n += c
	}
	return n
}

func quantile(sum *[histogramSize]uint64, n uint64, q float64) time.Duration {
	if n == 0 {
		return 0
	}
	rank := uint64(q * float64(n-1))
	for i, c := range sum {
		if c > rank {
			return middle(i)
		}
		rank -= c
	}
	return middle(histogramSize - 1)
}
