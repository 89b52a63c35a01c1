package upstream

import (
	"strconv"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// trial is an endpoint that one request is to try: because its ejection is over,
// or because the picker passes it over so strictly that nothing would ever show
// that it is well again. There is one at a time in a cluster.
type trial struct {
	ep    *Endpoint
	since time.Time // from when on it was due
	kind  trialKind
}

type trialKind uint8

const (
	afterEjection trialKind = iota
	passedOver
	lastResort // all others fail: an ejected endpoint is better than no answer
)

const (
	// trialPatience is how long a trial waits for a request that may be sent
	// twice; then any will do, or a service of POSTs alone would never get its
	// endpoints back.
	trialPatience = 2 * time.Second
	// trialLeast is the least time that a trial has to answer.
	trialLeast = 250 * time.Millisecond
)

// claim gives the due trial to r, when there is one and r suits it. It is one
// load on the plain path. A request that failed at the only usable endpoint tries
// an ejected one: while instances restart in turn, that is the one that is up.
func (c *Cluster) claim(s *set, r *message.Request, avoid *Endpoint) *trial {
	if avoid != nil {
		if len(s.spare) == 0 || len(s.usable) > 1 || len(s.usable) == 1 && s.usable[0] != avoid {
			return nil
		}
		return &trial{ep: s.spare[c.balancer.index(len(s.spare))], kind: lastResort}
	}
	t := c.health.due.Load()
	if t == nil || !c.suits(s, t, r) || !c.health.due.CompareAndSwap(t, nil) {
		return nil
	}
	t.ep.tried.Store(true)
	return t
}

// suits tells whether r may be used to try t's endpoint: one that can be sent
// again elsewhere, with time left to do so, or any once those did not come for a
// while; and of no client that is kept at another endpoint.
func (c *Cluster) suits(s *set, t *trial, r *message.Request) bool {
	x := &r.X
	switch {
	case len(s.usable) == 0, s.byMAC != nil && s.stuck(c, r) != nil:
		return false
	case movable(r) && (x.Deadline.IsZero() || x.Deadline.Sub(x.Began) >= 4*c.trialTime()):
		return true
	}
	return t.kind == afterEjection && x.Began.Sub(t.since) > trialPatience
}

// movable tells whether r is an ordinary request that can be sent again as it is.
func movable(r *message.Request) bool {
	return r.Idempotent() && r.Length == 0 && r.Upgrade == "" && !r.X.Stream
}

// trialTime is how long a trial may take until the head of its answer: whoever
// needs longer than this does not do as well as its siblings.
func (c *Cluster) trialTime() time.Duration {
	return min(max(trialLeast, 3*time.Duration(c.health.p99.Load())), c.cfg.TryTimeout)
}

// tryOut makes the one try of a trial and judges the endpoint by it. A failure
// of a request that may be sent again is one that Do replaces. The connection is
// a new one: those from before tell nothing.
func (c *Cluster) tryOut(t *trial, r *message.Request) (*message.Response, *failure) {
	x := &r.X
	if t.kind == lastResort {
		resp, f := c.try(r, t.ep, true)
		if f == nil && resp.Status < 500 {
			c.readmit(t.ep)
		}
		return resp, f
	}
	defer t.ep.tried.Store(false)
	route, twice := x.TryTimeout, movable(r)
	if twice {
		x.TryTimeout = shorter(c.trialTime(), route)
	}
	resp, f := c.try(r, t.ep, true)
	x.TryTimeout = route
	switch {
	case f != nil && (x.Err() != nil || !f.blames()):
		c.health.due.CompareAndSwap(nil, t) // it says nothing: the next request, then
		return nil, f
	case f != nil:
		c.failTrial(t, f.Reason)
	case resp.Status >= 500:
		c.failTrial(t, "it answered "+strconv.Itoa(resp.Status))
		if !twice {
			return resp, nil
		}
		resp.Release()
		f = &failure{Error: problem.New(502, "trial_failed", "service "+c.name+" answered a trial with an error")}
	case c.stillSlow(t, headTime(x)):
		c.failTrial(t, "it took "+headTime(x).Round(time.Millisecond).String())
	default:
		c.passTrial(t)
	}
	if f != nil && twice {
		f.retry = retryTrial
	}
	return resp, f
}

func (c *Cluster) failTrial(t *trial, why string) {
	if t.kind == afterEjection {
		c.ejectAgain(t.ep, why)
	}
}

func (c *Cluster) passTrial(t *trial) {
	if t.kind == afterEjection {
		c.readmit(t.ep)
		return
	}
	now := c.env.Now()
	failed := t.ep.success.value(second(now.Sub(c.born))) < fewFailures
	t.ep.startOver()
	if failed { // one answer is little against many failures
		c.startSlowly(t.ep, now)
	}
}

// stillSlow judges the time of a good answer: as the rule about slow answers does
// when an ejection is over, by what is usual when the picker passes one over.
func (c *Cluster) stillSlow(t *trial, took time.Duration) bool {
	typical := time.Duration(c.health.median.Load())
	if t.kind == afterEjection {
		return slowAgainst(took, typical)
	}
	return typical > 0 && took > max(shunTimes*typical, time.Duration(c.health.p99.Load()), time.Millisecond)
}

// headTime is how long the endpoint took from the request to the head.
func headTime(x *message.Exchange) time.Duration {
	return x.Phases[message.PhaseHead] - x.Phases[message.PhaseSent]
}
