package upstream

import (
	"maps"
	"time"
)

// Stats is what a cluster shows of itself at one moment.
type Stats struct {
	Name   string
	Filled bool // the endpoints were known at least once
	// Panic tells that too few endpoints are usable, so that ejections are ignored.
	Panic bool
	// Ejections counts them by kind, failed trials included.
	Ejections [EjectionKinds]uint64
	// ChecksPassed and ChecksFailed count active checks.
	ChecksPassed, ChecksFailed uint64
	Endpoints                  []EndpointStats

	// Dead counts pooled connections found dead before use; StaleFree and
	// StaleReplayed those that failed in use and were replaced, StalePost those
	// that could not be. Failover counts second endpoints after a failed connect.
	Dead, StaleFree, StaleReplayed, StalePost, Failover uint64
	// ExtraBytes counts responses that more bytes came behind than they
	// announced: their connections were closed.
	ExtraBytes uint64
	// Overloaded and NoEndpoint count requests refused for these reasons.
	Overloaded, NoEndpoint uint64
	// LearnedIdle is the idle limit learnt from dead connections; 0 when none.
	LearnedIdle time.Duration
	// SourceError is the last fault of finding endpoints, "" when none.
	SourceError   string
	SourceErrorAt time.Time
	SourceErrors  uint64
	// SourceGood is when the endpoints were last known to be right; zero when
	// they stand in the file, or were never found.
	SourceGood time.Time
	// Guard is what stands between the callers and the service.
	Guard GuardStats
}

// EndpointStats is one endpoint at one moment.
type EndpointStats struct {
	Name, URL, Zone string
	Weight          float64
	Meta            map[string]string
	State           State
	Why             string    // why it is not up, or "" or "slow start"
	Ejected         *Ejection // nil while it is not ejected
	Check           CheckStats
	InFlight        int
	// Latency is the peak-sensitive average; 0 before the first sample.
	Latency time.Duration
	// Success is the moving share of good answers, 0 to 1.
	Success float64
	// Conns are open connections, Idle those unused, Waiting the requests that
	// wait for one.
	Conns, Idle, Waiting                          int
	Requests, Errors, Connects, Refused, TimeOuts uint64
	LastError                                     string
	LastErrorAt                                   time.Time
}

// CheckStats is what active checks say of an endpoint.
type CheckStats struct {
	// State is "up" or "down", and "" while there are no checks or none ended yet.
	State string
	// LastError is why the last check that failed did, At when that was.
	LastError string
	At        time.Time
}

// Stats takes a snapshot.
func (c *Cluster) Stats() Stats {
	now := c.env.Now()
	s := Stats{
		Name: c.name, Filled: c.isFilled(),
		Dead: c.dead.Load(), StaleFree: c.staleFree.Load(), StaleReplayed: c.staleReplay.Load(),
		StalePost: c.stalePost.Load(), ExtraBytes: c.extraBytes.Load(), Failover: c.failover.Load(),
		Overloaded: c.overloaded.Load(), NoEndpoint: c.noEndpoint.Load(), SourceErrors: c.sourceErrors.Load(),
		Guard: c.guard.stats(),
	}
	if l := c.learned.Load(); l != nil {
		s.LearnedIdle = l.limit(now)
	}
	if e := c.sourceError.Load(); e != nil {
		s.SourceError, s.SourceErrorAt = e.text, e.at
	}
	if at := c.sourceGood.Load(); at != 0 {
		s.SourceGood = time.Unix(0, at)
	}
	s.Panic = c.health.panicking.Load()
	s.ChecksPassed, s.ChecksFailed = c.health.checksPassed.Load(), c.health.checksFailed.Load()
	for k := range s.Ejections {
		s.Ejections[k] = c.health.ejections[k].Load()
	}
	c.setMu.Lock()
	defer c.setMu.Unlock()
	for _, ep := range c.set.Load().all {
		s.Endpoints = append(s.Endpoints, ep.stats(now.Sub(c.born), *c.cfg.SlowStart))
	}
	return s
}

// stats is a snapshot. The caller holds setMu of the cluster.
func (e *Endpoint) stats(now, ramp time.Duration) EndpointStats {
	sec := second(now)
	v, known := e.latency.value(sec, 0)
	s := EndpointStats{
		Name: e.name, URL: e.URL(), Zone: e.Zone(), Weight: e.Weight(), Meta: maps.Clone(e.Meta()),
		State: e.State(), InFlight: e.InFlight(), Success: float64(e.success.value(sec)),
		Conns: int(e.pool.open.Load()), Idle: int(e.pool.idle.Load()), Waiting: int(e.pool.waiting.Load()),
		Requests: e.requests.Load(), Errors: e.errors.Load(), Connects: e.connects.Load(),
		Refused: e.refused.Load(), TimeOuts: e.timeouts.Load(),
	}
	if known {
		s.Latency = time.Duration(v)
	}
	if e.h2 != nil {
		n, idle := e.h2.count()
		s.Conns += n
		s.Idle += idle
	}
	if s.Why = e.health.why(); s.State == Up && e.ramp(now, ramp) < 1 {
		s.Why = "slow start"
	}
	s.Check = e.checkup.stats(&e.health)
	if e.health.ejection != nil {
		ejected := *e.health.ejection
		s.Ejected = &ejected
	}
	if l := e.lastError.Load(); l != nil {
		s.LastError, s.LastErrorAt = l.text, l.at
	}
	return s
}

// SourceKind says where the endpoints come from: "urls", "dns", "file" or "registry".
func (c *Cluster) SourceKind() string {
	switch {
	case c.cfg.DNS != nil:
		return "dns"
	case c.cfg.File != "":
		return "file"
	case c.cfg.Registry != nil:
		return "registry"
	}
	return "urls"
}

// Endpoints lists the present endpoints in the source's order. The slice is the
// caller's.
func (c *Cluster) Endpoints() []*Endpoint {
	return append([]*Endpoint(nil), c.set.Load().all...)
}

// Timeouts gives the limits of one connect and of one try.
func (c *Cluster) Timeouts() (connect, try time.Duration) {
	return c.cfg.ConnectTimeout, c.cfg.TryTimeout
}
