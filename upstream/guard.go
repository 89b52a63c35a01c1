package upstream

import (
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// guard stands between callers and a service, and protects the one from the
// other: it refuses calls while most would fail, and counts how they end. It
// belongs to the service, whichever route a call came by, and lives as long as
// the service's definition.
type guard struct {
	c       *Cluster
	breaker *resilience.Breaker // nil when off
	budget  *resilience.Budget
	// total and execute hold 10 s of outcomes as callers saw them, after retries:
	// the one with the time from the call to the head of the answer, the other
	// with that of the try that decided.
	total, execute *resilience.Window

	shed      [4]atomic.Uint64 // by priority
	late      atomic.Uint64
	retried   atomic.Uint64
	fallbacks atomic.Uint64
}

func newGuard(c *Cluster) *guard {
	g := &guard{c: c}
	now := c.env.Now
	g.breaker = resilience.NewBreaker(resilience.BreakerConfig{Now: now, Float: c.env.Float, Changed: g.changed})
	g.budget = resilience.NewBudget(resilience.BudgetConfig{Now: now})
	g.total = resilience.NewWindow(resilience.WindowConfig{Latency: true, Now: now})
	g.execute = resilience.NewWindow(resilience.WindowConfig{Latency: true, Now: now})
	return g
}

// changed tells operators that the breaker opened or closed, and why.
func (g *guard) changed(b resilience.BreakerChange) {
	log, name := g.c.env.Log, g.c.name
	switch b.State {
	case resilience.Open:
		log.Warn("breaker opened", "service", name, "why", b.Why, "for", b.Wait.Round(time.Millisecond),
			"window", b.Window, "outcomes", b.Counts.Total(), "errors", b.Counts.Errors(), "error_percent", b.Counts.ErrorPercent(),
			"timeouts", b.Counts.Timeout, "slow", b.Counts.Slow)
	case resilience.Closed:
		log.Info("breaker closed", "service", name, "why", b.Why)
	case resilience.HalfOpen:
		log.Debug("breaker half-open", "service", name)
	}
}

// call is one exchange as its guard sees it. What it took is given back by leave,
// on every path.
type call struct {
	g      *guard
	x      *message.Exchange
	permit resilience.Permit
	began  time.Time // of the call
	ended  time.Time
	end    resilience.Outcome
	took   time.Duration // from began to the head, or negative
	last   time.Duration // the same of the deciding try
	nobody bool          // no endpoint was there to be called
}

// enter asks whether the call may be made.
func (k *call) enter() *problem.Error {
	g := k.g
	k.began = g.c.at(k.x)
	if g.breaker != nil {
		var ok bool
		if k.permit, ok = g.breaker.AllowAt(k.began); !ok {
			g.total.RecordAt(k.began, resilience.ShortCircuited, -1)
			p := problem.New(503, "breaker_open", "service "+g.c.name+" is failing and is left alone for a moment")
			p.RetryAfter = max(g.breaker.Wait(), time.Second)
			return p
		}
	}
	g.budget.EnterAt(k.began)
	k.end, k.took, k.last = resilience.Failure, -1, -1 // what a panic leaves behind
	return nil
}

// at is the time of a call, without a look at the clock where that was made just now.
func (c *Cluster) at(x *message.Exchange) time.Time {
	if d := x.Phases[message.PhaseFilters]; d > 0 {
		return x.Began.Add(d)
	}
	return c.env.Now()
}

// answered judges a response by its head.
func (k *call) answered(r *message.Request, resp *message.Response) {
	x := k.x
	sent, head := x.Phases[message.PhaseSent], x.Phases[message.PhaseHead]
	k.ended = x.Began.Add(head)
	switch {
	case resp.Status >= 500:
		k.end = resilience.Failure
	case resp.Status >= 400:
		k.end = resilience.BadRequest
	default:
		k.end = resilience.Success
	}
	if resp.Status == 101 || r.Length < 0 || r.Length > smallBody || sent == 0 || sent > head {
		return // the time would tell nothing about the service
	}
	k.took, k.last = k.ended.Sub(k.began), head-x.Phases[message.PhaseConnect]
}

// failed judges a call that got no response.
func (k *call) failed(p *problem.Error) {
	k.nobody = p.Reason == "no_endpoint"
	switch {
	case k.x.Err() != nil || p.Status == 499:
		k.end = resilience.Cancelled
	case p.Status < 500:
		k.end = resilience.BadRequest
	case p.Status == 504:
		k.end = resilience.Timeout
	default:
		k.end = resilience.Failure
	}
}

// leave gives back what the call took, and tells how it ended.
func (k *call) leave() {
	g := k.g
	if k.ended.IsZero() {
		k.ended = g.c.env.Now()
	}
	g.budget.Leave()
	g.total.RecordAt(k.ended, k.end, k.took)
	g.execute.RecordAt(k.ended, k.end, k.last)
	told := k.end
	if k.nobody {
		// There is nobody to be left alone: with a breaker open the first instance
		// that registers would have to wait for it.
		told = resilience.Cancelled
	}
	k.permit.DoneAt(k.ended, told, k.took)
}

// SetBreakerMode obeys an operator; it does nothing where the breaker is off.
func (c *Cluster) SetBreakerMode(m resilience.Mode) {
	if b := c.guard.breaker; b != nil {
		b.SetMode(m)
	}
}

// GuardStats is what the guard of a service shows of itself.
type GuardStats struct {
	// Breaker is zero when BreakerOff.
	Breaker    resilience.BreakerStats
	BreakerOff bool
	// BreakerWait is how long an open breaker refuses calls, at least.
	BreakerWait time.Duration
	// Limit is how many calls may be under way until the head of their answer,
	// InFlight how many are, Waiting how many wait for a place and Queue how many may.
	Limit, InFlight, Waiting, Queue int
	LimitOff                        bool
	// Shed counts calls refused for want of a place, by priority from high to
	// sheddable; Late are those of them that waited in vain.
	Shed [4]uint64
	Late uint64
	// Budget is of retries and hedges; Retried counts those that were made.
	Budget  resilience.BudgetStats
	Retried uint64
	// Counts are the outcomes of the last 10 s as callers saw them.
	Counts resilience.Counts
	// Fallbacks counts other answers that a filter gave in place of the service's.
	Fallbacks uint64
	// Latency is from the call to the head of the answer over the last 10 s, wait
	// and retries included; Execute that of the deciding tries alone.
	Latency, Execute resilience.LatencyStats
	// MaxInFlight is the most at once in the last 10 s.
	MaxInFlight int
}

func (g *guard) stats() GuardStats {
	s := GuardStats{
		BreakerOff: g.breaker == nil, LimitOff: true,
		Late: g.late.Load(), Budget: g.budget.Stats(), Retried: g.retried.Load(), Fallbacks: g.fallbacks.Load(),
		Counts: g.total.Counts(), Latency: g.total.Latency(), Execute: g.execute.Latency(),
	}
	if g.breaker != nil {
		s.Breaker, s.BreakerWait = g.breaker.Stats(), g.breaker.Wait()
	}
	s.InFlight = s.Budget.Calls
	for i := range s.Shed {
		s.Shed[i] = g.shed[i].Load()
	}
	return s
}
