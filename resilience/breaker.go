package resilience

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// BreakerConfig makes a [Breaker]. Zero fields take their default; a negative
// number turns a check off.
type BreakerConfig struct {
	// Window is the long window (default 10s), Short the short one (default 1s).
	// Either can open the breaker.
	Window, Short time.Duration
	// Volume is how many outcomes a window needs before it counts (default 20).
	Volume int
	// ErrorPercent of errors opens (default 50), and so does SlowPercent of slow
	// calls (default 80).
	ErrorPercent, SlowPercent int
	// Slow is the least time that counts as slow (default 1s); a service whose
	// median over ten minutes is above a fifth of it gets five times that median.
	// While fewer than 100 calls of these ten minutes are known, nothing is slow:
	// it may be the service's nature.
	Slow time.Duration
	// Open is how long the breaker stays open first (default 2s). It doubles
	// each time that a trial fails, to at most MaxOpen (default 8s, or Open
	// where that is longer).
	Open, MaxOpen time.Duration
	// Trials is how many calls a half-open breaker lets through, one at a time
	// (default 3), and Successes how many in a row close it (default 2).
	Trials, Successes int
	// HalfOpen is the longest that trials may take (default 30s, twice the
	// usual overall time-out): after it a lost trial no longer counts. Where it is
	// known what is slow, a trial that takes longer has failed, and another may
	// begin after the open time: a service that hangs would keep it until then.
	HalfOpen time.Duration
	// Jitter is how much an open time varies (default 0.1 for ±10 %).
	Jitter float64
	// Look is the least time between two looks at the ratios (default 0).
	Look time.Duration
	// Changed is told of each change of state, after it; nil for nobody. It may
	// be called by any caller of the breaker and should not wait.
	Changed func(BreakerChange)
	// Now is the clock (default time.Now), Float gives random numbers in [0, 1).
	Now   func() time.Time
	Float func() float64
}

// Hystrix gives the settings of Hystrix 1.5: one window of 10 s, 20 requests,
// 50 %, a sleep of 5 s, one trial, a look each 500 ms, nothing about slow calls.
func Hystrix() BreakerConfig {
	return BreakerConfig{
		Short: -1, SlowPercent: -1, Open: 5 * time.Second, MaxOpen: 5 * time.Second,
		Trials: 1, Successes: 1, Jitter: -1, Look: 500 * time.Millisecond,
	}
}

func (c BreakerConfig) withDefaults() BreakerConfig {
	c.Window, c.Short = orTime(c.Window, 10*time.Second), orTime(c.Short, time.Second)
	c.Volume, c.ErrorPercent, c.SlowPercent = or(c.Volume, 20), or(c.ErrorPercent, 50), or(c.SlowPercent, 80)
	c.Slow, c.Open, c.HalfOpen = orTime(c.Slow, time.Second), orTime(c.Open, 2*time.Second), orTime(c.HalfOpen, 30*time.Second)
	c.MaxOpen = max(orTime(c.MaxOpen, 8*time.Second), c.Open)
	c.Successes = or(c.Successes, 2)
	c.Trials = max(or(c.Trials, 3), c.Successes)
	if c.Jitter == 0 {
		c.Jitter = 0.1
	}
	c.Now = clock(c.Now)
	if c.Float == nil {
		c.Float = rand.Float64
	}
	return c
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

func orTime(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// State is where a breaker stands.
type State uint32

// The states.
const (
	Closed State = iota // calls pass
	Open                // calls are refused
	HalfOpen
)

// String gives the word for logs and metrics.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "unknown"
}

// BreakerChange is a change of state, and what caused it.
type BreakerChange struct {
	State State
	// Why is "errors", "slow calls", "stalled", "time is up", "trial failed",
	// "trial lost", "trials succeeded" or "operator".
	Why string
	// Window is the span that Counts are of, where a ratio was the cause.
	Window time.Duration
	Counts Counts
	// Wait is how long it stays open.
	Wait time.Duration
}

// Mode is what an operator asks of a breaker.
type Mode uint32

// The modes.
const (
	Auto         Mode = iota // the outcomes decide
	ForcedOpen               // every call is refused
	ForcedClosed             // every call passes, outcomes are counted
	Observe                  // the same, and [BreakerStats.WouldOpen] counts
)

// String gives the word that operators write.
func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case ForcedOpen:
		return "forced-open"
	case ForcedClosed:
		return "forced-closed"
	case Observe:
		return "observe"
	}
	return "unknown"
}

// ParseMode reads what [Mode.String] writes.
func ParseMode(s string) (Mode, bool) {
	for _, m := range [...]Mode{Auto, ForcedOpen, ForcedClosed, Observe} {
		if m.String() == s {
			return m, true
		}
	}
	return Auto, false
}

// Breaker refuses calls to a service while most of them would fail. The ratios
// are looked at whenever a call ended badly or slowly, so that a healthy service
// costs one atomic load and the counting.
type Breaker struct {
	cfg   BreakerConfig
	born  time.Time
	long  *Window
	short *Window // nil when off
	slow  slowness

	state atomic.Uint32
	mode  atomic.Uint32
	until atomic.Int64 // since born: the end of Open, or of HalfOpen
	turns atomic.Uint32
	next  atomic.Int64 // since born: before it, nobody looks

	mu        sync.Mutex // of changes of state, and of all below
	open      time.Duration
	trials    int
	running   bool // a trial is under way
	successes int
	opened    uint64
	would     uint64
}

// slowness learns what is slow for a service.
type slowness struct {
	times *Window      // ten minutes of them; nil when slow calls don't matter
	bound atomic.Int64 // nanoseconds; 0: not known
	next  atomic.Int64 // since born: when to look at times again
}

// slowSamples is how many calls tell what is usual.
const slowSamples = 100

// NewBreaker makes a closed breaker.
func NewBreaker(cfg BreakerConfig) *Breaker { //nolint:gocritic // kept as a value
	cfg = cfg.withDefaults()
	b := &Breaker{cfg: cfg, born: cfg.Now(), open: cfg.Open}
	b.long = NewWindow(WindowConfig{Slot: cfg.Window / 10, Now: cfg.Now})
	if cfg.Short > 0 {
		b.short = NewWindow(WindowConfig{Slot: cfg.Short / 10, Now: cfg.Now})
	}
	if cfg.SlowPercent > 0 {
		b.slow.times = NewWindow(WindowConfig{Slot: time.Minute, Latency: true, Now: cfg.Now})
	}
	return b
}

// Config is what the breaker was made of, defaults filled in.
func (b *Breaker) Config() BreakerConfig { return b.cfg }

// Permit is the right to make one call. It must be given back with
// [Permit.Done] on every path; a second Done does nothing.
type Permit struct {
	b     *Breaker
	began time.Time
	turn  uint32
	trial bool
}

// Allow asks for a call. When it says no, [Breaker.Wait] tells for how long.
func (b *Breaker) Allow() (Permit, bool) { return b.AllowAt(b.cfg.Now()) }

// AllowAt is Allow for a caller that knows the time.
func (b *Breaker) AllowAt(now time.Time) (Permit, bool) {
	turn := b.turns.Load() // before the state: a change between the two makes the permit an old one
	switch Mode(b.mode.Load()) {
	case ForcedOpen:
		return b.refuse(now)
	case ForcedClosed, Observe:
		return Permit{b: b, began: now, turn: turn}, true
	case Auto:
	}
	switch State(b.state.Load()) {
	case Closed:
		return Permit{b: b, began: now, turn: turn}, true
	case Open:
		if now.Sub(b.born) < time.Duration(b.until.Load()) {
			return b.refuse(now)
		}
	case HalfOpen:
	}
	return b.try(now)
}

func (b *Breaker) refuse(now time.Time) (Permit, bool) {
	b.long.record(now, ShortCircuited, 0, false)
	return Permit{}, false
}

// Passes tells, without taking a permit, whether one would be given. It is for
// callers that wait for something else before they ask.
func (b *Breaker) Passes(now time.Time) bool {
	switch Mode(b.mode.Load()) {
	case ForcedOpen:
		return false
	case ForcedClosed, Observe:
		return true
	case Auto:
	}
	return State(b.state.Load()) != Open || now.Sub(b.born) >= time.Duration(b.until.Load())
}

// try gives the permit of a trial, if there is one to give.
func (b *Breaker) try(now time.Time) (Permit, bool) {
	p, ok, change := b.trial(now)
	b.tell(change)
	if !ok {
		return b.refuse(now)
	}
	return p, true
}

func (b *Breaker) trial(now time.Time) (p Permit, ok bool, change BreakerChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	since := now.Sub(b.born)
	over := since >= time.Duration(b.until.Load())
	switch State(b.state.Load()) {
	case Closed: // in the meantime
		return Permit{b: b, began: now, turn: b.turns.Load()}, true, change
	case Open:
		if !over {
			return p, false, change
		}
		b.trials, b.successes, b.running = 0, 0, false
		b.turn(HalfOpen, since+b.trialTime())
		change = BreakerChange{State: HalfOpen, Why: "time is up"}
	case HalfOpen:
		if b.running {
			if over { // the trial was lost
				change = b.trip(since, BreakerChange{Why: "trial lost"})
			}
			return p, false, change
		}
	}
	b.running = true
	b.until.Store(int64(since + b.trialTime()))
	b.trials++
	return Permit{b: b, began: now, turn: b.turns.Load(), trial: true}, true, change
}

// trialTime is how long a trial may take.
func (b *Breaker) trialTime() time.Duration {
	if bound := time.Duration(b.slow.bound.Load()); bound > 0 {
		return min(bound, b.cfg.HalfOpen)
	}
	return b.cfg.HalfOpen
}

// tell passes a change on, if it is one. Nobody holds the lock.
func (b *Breaker) tell(c BreakerChange) {
	if c.Why != "" && b.cfg.Changed != nil {
		b.cfg.Changed(c)
	}
}

// turn changes the state; permits of before no longer count. The caller has the lock.
func (b *Breaker) turn(s State, until time.Duration) {
	b.until.Store(int64(until))
	b.state.Store(uint32(s))
	b.turns.Add(1)
}

// trip opens the breaker; the next time will be longer. The caller has the lock.
func (b *Breaker) trip(since time.Duration, c BreakerChange) BreakerChange {
	d := b.open
	if b.cfg.Jitter > 0 {
		d += time.Duration(b.cfg.Jitter * (2*b.cfg.Float() - 1) * float64(d))
	}
	b.open = min(2*b.open, b.cfg.MaxOpen)
	b.opened++
	b.turn(Open, since+d)
	c.State, c.Wait = Open, d
	return c
}

// Done gives the permit back and tells how the call ended.
func (p *Permit) Done(o Outcome) {
	if p.b != nil {
		now := p.b.cfg.Now()
		p.DoneAt(now, o, now.Sub(p.began))
	}
}

// DoneAt is Done for a caller that knows the time, and how long the call took; a
// negative took says that this tells nothing about the service.
func (p *Permit) DoneAt(now time.Time, o Outcome, took time.Duration) {
	b := p.b
	if b == nil {
		return
	}
	p.b = nil
	slow := b.slow.is(b, now, o, took)
	if p.trial {
		b.tell(b.tried(p, o, slow, now, took))
		return
	}
	if p.turn != b.turns.Load() {
		return // it began before the breaker opened: old news
	}
	b.long.record(now, o, took, slow)
	if b.short != nil {
		b.short.record(now, o, took, slow)
	}
	if o.Bad() || slow {
		b.look(now)
	}
}

// is tells whether a call was slow, and learns from it.
func (s *slowness) is(b *Breaker, now time.Time, o Outcome, took time.Duration) bool {
	if s.times == nil || o != Success || took < 0 {
		return false
	}
	bound := s.bound.Load()
	s.times.record(now, o, took, false)
	since := int64(now.Sub(b.born))
	if next := s.next.Load(); since >= next && s.next.CompareAndSwap(next, since+int64(time.Second)) {
		median, n := s.times.Quantile(0.5)
		if n >= slowSamples {
			s.bound.Store(int64(max(b.cfg.Slow, 5*median)))
		} else {
			s.bound.Store(0)
		}
	}
	return bound > 0 && int64(took) > bound
}

// tried is the end of a trial.
func (b *Breaker) tried(p *Permit, o Outcome, slow bool, now time.Time, took time.Duration) (change BreakerChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.turn != b.turns.Load() {
		return change
	}
	b.running = false
	since := now.Sub(b.born)
	b.long.record(now, o, took, slow)
	switch {
	case o.Bad() || slow:
		return b.trip(since, BreakerChange{Why: "trial failed"})
	case o == Success || o == BadRequest: // it answered
		b.successes++
	}
	switch {
	case b.successes >= b.cfg.Successes:
		b.close()
		return BreakerChange{State: Closed, Why: "trials succeeded"}
	case b.trials >= b.cfg.Trials: // callers that leave tell as much as a failure
		return b.trip(since, BreakerChange{Why: "trial lost"})
	}
	return change
}

// close makes a fresh start. The caller has the lock.
func (b *Breaker) close() {
	b.open = b.cfg.Open
	b.long.Reset()
	if b.short != nil {
		b.short.Reset()
	}
	b.turn(Closed, 0)
}

// look opens the breaker when a window says so.
func (b *Breaker) look(now time.Time) {
	since := now.Sub(b.born)
	next := b.next.Load()
	if int64(since) < next {
		return
	}
	if b.cfg.Look > 0 && !b.next.CompareAndSwap(next, int64(since+b.cfg.Look)) {
		return
	}
	change := b.over(b.long, now, b.cfg.Window)
	if change.Why == "" && b.short != nil {
		change = b.over(b.short, now, b.cfg.Short)
	}
	b.openFor(since, change)
}

// Stalled tells that calls are under way and none has come back for longer than
// a call that is slow takes: it opens a closed breaker. It does nothing while
// what is slow is not known.
func (b *Breaker) Stalled(now time.Time, silence time.Duration) {
	if bound := b.slow.bound.Load(); bound > 0 && int64(silence) > bound && int64(now.Sub(b.born)) >= b.next.Load() {
		b.openFor(now.Sub(b.born), BreakerChange{Why: "stalled", Window: silence, Counts: b.long.countsAt(now)})
	}
}

// openFor opens a closed breaker because of c, if that is a cause.
func (b *Breaker) openFor(since time.Duration, c BreakerChange) {
	if c.Why == "" {
		return
	}
	b.mu.Lock()
	switch {
	case State(b.state.Load()) != Closed:
		c.Why = ""
	case Mode(b.mode.Load()) == Auto:
		c = b.trip(since, c)
	case Mode(b.mode.Load()) == Observe:
		b.would++
		b.next.Store(int64(since + b.cfg.Open))
		c.Why = ""
	default:
		c.Why = ""
	}
	b.mu.Unlock()
	b.tell(c)
}

// over gives the cause why w opens the breaker; one without Why is none.
func (b *Breaker) over(w *Window, now time.Time, span time.Duration) (c BreakerChange) {
	n := w.countsAt(now)
	total := n.Total()
	switch {
	case total < uint64(max(b.cfg.Volume, 1)):
		return c
	case b.cfg.ErrorPercent > 0 && n.ErrorPercent() >= b.cfg.ErrorPercent:
		c.Why = "errors"
	case b.cfg.SlowPercent > 0 && percent(n.Slow, total) >= b.cfg.SlowPercent:
		c.Why = "slow calls"
	default:
		return c
	}
	c.Window, c.Counts = span, n
	return c
}

// Wait is how long an open breaker will refuse calls, at least; 0 when it may
// let one through.
func (b *Breaker) Wait() time.Duration {
	if Mode(b.mode.Load()) == ForcedOpen {
		return b.cfg.MaxOpen
	}
	if State(b.state.Load()) != Open {
		return 0
	}
	return max(time.Duration(b.until.Load())-b.cfg.Now().Sub(b.born), 0)
}

// SetMode obeys an operator. Going back to Auto starts closed.
func (b *Breaker) SetMode(m Mode) {
	b.mu.Lock()
	var c BreakerChange
	if Mode(b.mode.Swap(uint32(m))) != m {
		if State(b.state.Load()) != Closed {
			c = BreakerChange{State: Closed, Why: "operator"}
		}
		b.close()
	}
	b.mu.Unlock()
	b.tell(c)
}

// BreakerStats is what a breaker shows of itself.
type BreakerStats struct {
	State  State
	Mode   Mode
	Counts Counts // of the long window
	// Opened counts the times it opened, WouldOpen those that Observe held back.
	Opened, WouldOpen uint64
	// Slow is the time above which a call is slow now; 0 while that is not known.
	Slow time.Duration
}

// Stats takes a snapshot.
func (b *Breaker) Stats() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BreakerStats{
		State: State(b.state.Load()), Mode: Mode(b.mode.Load()), Counts: b.long.Counts(),
		Opened: b.opened, WouldOpen: b.would, Slow: time.Duration(b.slow.bound.Load()),
	}
}
