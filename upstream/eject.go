package upstream

import (
	"fmt"
	"time"
)

// Ejection takes an endpoint out of the choice for a time because of what tries
// at it gave, or did not (resilience §4.2). It is always on. What bounds it: at
// most half of the endpoints are out, never the last usable one, and when fewer
// than half are usable it is ignored as a whole.
//
// The way back: when its time is over, one trial decides ([Cluster.claim], or an
// active check); then the endpoint starts slowly, else it is out again.

const (
	ejectBase = 2 * time.Second // doubled per ejection in a row
	ejectMost = 8 * time.Second // whatever chance adds: recovery has a bar of 10 s
	// ejectCalm is how long an endpoint must stay in so that the next ejection is
	// the first of a row again.
	ejectCalm = 30 * time.Second

	gatewayRow = 5 // gateway errors one after the other
	connectRow = 3 // of which so many connects that failed
)

// gatewayError counts an error of the gateway's kind: no connection, reset,
// time-out, 502, 503 or 504. A plain 500 is none: a fault of one route must not
// take the endpoint from all others.
func (c *Cluster) gatewayError(ep *Endpoint, connect bool) {
	row := ep.tally.gateway.Add(1)
	if connect {
		if n := ep.tally.connect.Add(1); n%connectRow == 0 {
			c.eject(ep, ConnectErrors, fmt.Sprintf("%d connections in a row could not be made", n))
			return
		}
	}
	// Every so many errors and not each: while the bounds hold it in, there is
	// nothing to gain by asking again at once.
	if row%gatewayRow == 0 {
		c.eject(ep, GatewayErrors, fmt.Sprintf("%d gateway errors in a row", row))
	}
}

// eject takes ep out, if the bounds allow it, and tells whether it did.
func (c *Cluster) eject(ep *Endpoint, kind EjectionKind, detail string) bool {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	if ep.State() != Up || !c.spare(ep) {
		return false
	}
	now := c.env.Now()
	h := &ep.health
	if now.Sub(h.inSince) > ejectCalm {
		h.times = 0
	}
	d := c.sentence(h)
	h.ejection = &Ejection{Kind: kind, Detail: detail, At: now, Until: now.Add(d), Times: h.times}
	c.health.ejections[kind].Add(1)
	c.env.Log.Warn("endpoint ejected", "service", c.name, "endpoint", ep.name, "kind", kind.String(), "detail", detail, "for", d)
	c.rebuild()
	return true
}

// sentence counts one more ejection in a row and gives its time.
func (c *Cluster) sentence(h *health) time.Duration {
	d := ejectMost
	if h.times < 2 {
		d = ejectBase << h.times
	}
	h.times++
	return min(time.Duration(float64(d)*(0.9+0.2*c.env.Float())).Round(time.Millisecond), ejectMost)
}

// spare tells whether the service can do without ep: at most half are ejected,
// and another one is usable. The caller holds setMu.
func (c *Cluster) spare(ep *Endpoint) bool {
	n := c.census(c.set.Load().all)
	return n.ejected+1 <= n.able/2 && n.up > 1 && ep.State() != Gone
}

// ejectAgain is for an ejected endpoint whose trial failed.
func (c *Cluster) ejectAgain(ep *Endpoint, why string) {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	h := &ep.health
	if h.ejection == nil {
		return
	}
	now := c.env.Now()
	again := *h.ejection
	again.Until, again.Detail = now.Add(c.sentence(h)), "its trial failed: "+why
	again.Times = h.times
	h.ejection = &again
	c.health.ejections[again.Kind].Add(1)
	c.env.Log.Debug("endpoint stays ejected", "service", c.name, "endpoint", ep.name, "detail", why, "until", again.Until)
}

// readmit takes an ejected endpoint back in, with a slow start.
func (c *Cluster) readmit(ep *Endpoint) {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	c.comeBack(ep)
}

// comeBack ends an ejection. The caller holds setMu.
func (c *Cluster) comeBack(ep *Endpoint) {
	h := &ep.health
	if h.ejection == nil {
		return
	}
	now := c.env.Now()
	c.env.Log.Info("endpoint returned", "service", c.name, "endpoint", ep.name,
		"kind", h.ejection.Kind.String(), "after", now.Sub(h.ejection.At).Round(time.Millisecond))
	h.ejection, h.inSince = nil, now
	ep.startOver()
	c.startSlowly(ep, now)
	c.rebuild()
}

// startOver forgets what made e look bad.
func (e *Endpoint) startOver() {
	e.latency.w.Store(0)
	e.success.w.Store(0)
	e.tally.clearRows()
	e.tally.slow.Store(0)
}

// startSlowly begins a slow start.
func (c *Cluster) startSlowly(ep *Endpoint, now time.Time) {
	if *c.cfg.SlowStart > 0 {
		ep.rampSince.Store(max(int64(now.Sub(c.born)), 1))
	}
}
