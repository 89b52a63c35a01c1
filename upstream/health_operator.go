package upstream

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// What operators may do with an endpoint. It lasts until they take it back, the
// service's definition changes, or the process ends.

// ErrNoEndpoint says that a service has no endpoint of that name.
var ErrNoEndpoint = errors.New("there is no such endpoint")

// ErrLastUsable refuses to take the last usable endpoint of a service out.
var ErrLastUsable = errors.New("it is the last usable endpoint of the service")

// maxEjection bounds how long an operator may eject an endpoint; longer is a drain.
const maxEjection = 24 * time.Hour

// EndpointByName finds an endpoint by its host:port; nil when there is none.
func (c *Cluster) EndpointByName(name string) *Endpoint {
	for _, e := range c.set.Load().all {
		if e.name == name {
			return e
		}
	}
	return nil
}

// EndpointStats shows one endpoint; ok is false when there is none of that name.
func (c *Cluster) EndpointStats(name string) (s EndpointStats, ok bool) {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	e := c.EndpointByName(name)
	if e == nil {
		return EndpointStats{}, false
	}
	return e.stats(c.env.Now().Sub(c.born), *c.cfg.SlowStart), true
}

// Eject takes an endpoint out of the choice for d, at most a day; then a trial
// decides, as after every ejection. Requests under way go on. The last usable
// endpoint stays ([ErrLastUsable]).
func (c *Cluster) Eject(name string, d time.Duration, why string) error {
	if d < time.Second || d > maxEjection {
		return fmt.Errorf("%v is not between 1s and %v", d, maxEjection)
	}
	return c.operate(name, func(e *Endpoint, h *health) error {
		if err := c.lastUsable(e); err != nil {
			return err
		}
		now := c.env.Now()
		h.ejection = &Ejection{Kind: ByOperator, Detail: why, At: now, Until: now.Add(d), Times: 1}
		c.health.ejections[ByOperator].Add(1)
		return nil
	})
}

// Drain keeps new requests from an endpoint until [Cluster.Return]; those under
// way finish. The last usable endpoint stays ([ErrLastUsable]).
func (c *Cluster) Drain(name string) error {
	return c.operate(name, func(e *Endpoint, h *health) error {
		if err := c.lastUsable(e); err != nil {
			return err
		}
		h.drained = true
		return nil
	})
}

// Return ends a drain or an ejection of either kind at once; the endpoint starts
// slowly. What a check says stays.
func (c *Cluster) Return(name string) error {
	return c.operate(name, func(e *Endpoint, h *health) error {
		if !h.drained && h.ejection == nil {
			if h.down != "" {
				return fmt.Errorf("it is neither drained nor ejected, but down: %s", h.down)
			}
			return errors.New("it is neither drained nor ejected")
		}
		now := c.env.Now()
		h.drained, h.ejection, h.times, h.inSince = false, nil, 0, now
		e.startOver()
		c.startSlowly(e, now)
		return nil
	})
}

// SetWeight gives an endpoint another weight, 1 to 1000, whatever its source
// says; 0 gives it the source's again.
func (c *Cluster) SetWeight(name string, w int) error {
	if w < 0 || w > maxWeight {
		return fmt.Errorf("weight %d is not between 1 and %d", w, maxWeight)
	}
	return c.operate(name, func(e *Endpoint, h *health) error {
		h.weight = w
		e.weigh()
		return nil
	})
}

// operate changes the health of an endpoint and makes the new set.
func (c *Cluster) operate(name string, change func(*Endpoint, *health) error) error {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	e := c.EndpointByName(name)
	if e == nil {
		return fmt.Errorf("service %s: %q: %w", c.name, name, ErrNoEndpoint)
	}
	if err := change(e, &e.health); err != nil {
		return fmt.Errorf("endpoint %s: %w", name, err)
	}
	c.rebuild()
	return nil
}

// lastUsable refuses to take e out when no other endpoint is up. The caller
// holds setMu.
func (c *Cluster) lastUsable(e *Endpoint) error {
	if e.State() == Up && c.census(c.set.Load().all).up < 2 {
		return ErrLastUsable
	}
	return nil
}

// weigh works out the weight: an operator's, else the source's.
func (e *Endpoint) weigh() {
	w := e.health.weight
	if w == 0 {
		w = max(e.about.Load().Weight, 1)
	}
	e.weight.Store(math.Float64bits(float64(w)))
}
