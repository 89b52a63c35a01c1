package upstream

import (
	"time"

	"github.com/maru-msa/maru/resilience"
)

// SetBreakerMode obeys an operator; it gives false where the breaker is off.
func (c *Cluster) SetBreakerMode(m resilience.Mode) bool {
	if c.guard.breaker == nil {
		return false
	}
	c.guard.breaker.SetMode(m)
	return true
}

// Budget is what bounds the service's retries and hedges together.
func (c *Cluster) Budget() *resilience.Budget { return c.guard.budget }

// HedgeAfter is the time that 95 % of the tries of the last ten seconds stayed
// within; false says that too little is known.
func (c *Cluster) HedgeAfter() (time.Duration, bool) { return c.guard.hedge.Delay() }

// FellBack counts an answer that somebody gave in place of the service's.
func (c *Cluster) FellBack() { c.guard.fallbacks.Add(1) }

// GuardStats is what the guard of a service shows of itself.
type GuardStats struct {
	// Breaker is zero when BreakerOff.
	Breaker    resilience.BreakerStats
	BreakerOff bool
	// BreakerWait is how long an open breaker refuses calls, at least.
	BreakerWait time.Duration
	// Limit is how many calls may be under way until the head of their answer,
	// InFlight how many are, Waiting how many wait for a place and Queue how many
	// may. Learning says that the limit was never met by a bound of the service's.
	Limit, InFlight, Waiting, Queue int
	LimitOff, Learning              bool
	// Shed counts calls refused for want of a place, by priority from high to
	// sheddable; Late are those of them that waited in vain.
	Shed [resilience.NumPriorities]uint64
	Late uint64
	// Budget is of retries and hedges; Retried counts the service's own retries.
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

// BreakerConfig gives the settings of the service's breaker; false when it is off.
func (c *Cluster) BreakerConfig() (resilience.BreakerConfig, bool) {
	if b := c.guard.breaker; b != nil {
		return b.Config(), true
	}
	return resilience.BreakerConfig{}, false
}

func (g *guard) stats() GuardStats {
	s := GuardStats{
		BreakerOff: g.breaker == nil, LimitOff: g.places == nil,
		Budget: g.budget.Stats(), Retried: g.retried.Load(), Fallbacks: g.fallbacks.Load(),
		Counts: g.total.Counts(), Latency: g.total.Latency(), Execute: g.execute.Latency(),
		MaxInFlight: g.most.top(g.c.env.Now().Sub(g.c.born)),
	}
	if g.breaker != nil {
		s.Breaker, s.BreakerWait = g.breaker.Stats(), g.breaker.Wait()
	}
	s.InFlight = s.Budget.Calls
	if g.places != nil {
		b := g.places.Stats()
		s.Limit, s.InFlight, s.Waiting, s.Queue = g.limit.Limit(), b.InFlight, b.Waiting, b.Queue
		s.Shed, s.Late, s.Learning = b.Shed, b.Late, g.limit.Learning()
	}
	return s
}
