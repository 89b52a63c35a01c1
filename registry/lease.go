package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// dialFunc opens a connection.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Numbers of eviction (specification §8.5).
const (
	tickEvery = time.Second
	// lateTick is the gap between two ticks from which the process is believed to
	// have stood still: nobody could renew then.
	lateTick      = 5 * time.Second
	renewalShare  = 0.85 // of the expected renewals must arrive
	recountEvery  = 15 * time.Minute
	overrideLimit = time.Hour
	probeEvery    = 10 * time.Second
	probesNeeded  = 3
	mostProbes    = 64 // at once
)

// protection is what the evictor remembers from tick to tick. Only Run's
// goroutine touches it, but for the atomic mirror in state.
type protection struct {
	ring     [60]uint64 // renewals counted until each of the last 60 ticks
	tick     int
	last     time.Duration
	recount  time.Duration
	allowed  float64 // evictions that are still allowed
	active   bool
	probed   time.Duration
	refusals map[key]int
	lastMin  uint64
}

// evictor ticks until ctx ends.
func (g *Registry) evictor(ctx context.Context) {
	g.mu.Lock()
	g.guard = protection{last: g.env.Elapsed(), refusals: make(map[key]int), recount: g.env.Elapsed()}
	for i := range g.guard.ring {
		g.guard.ring[i] = g.renewals.Load()
	}
	g.mu.Unlock()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if expired := g.evict(); len(expired) > 0 {
				g.probe(ctx, expired)
			}
		}
	}
}

// evict is one tick: it removes what may be removed and gives the expired ones
// that protection keeps and whose ports should be looked at.
func (g *Registry) evict() []*record {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, p := g.env.Elapsed(), &g.guard
	if gap := now - p.last; gap > lateTick {
		for _, rec := range g.records {
			rec.lease.last.Add(int64(gap - tickEvery))
		}
	}
	p.last = now
	total := g.renewals.Load()
	p.lastMin = total - p.ring[p.tick%len(p.ring)]
	p.ring[p.tick%len(p.ring)] = total
	p.tick++
	g.trim(now)
	g.forget(now)
	g.recount(now)
	expired := g.expired(now)
	g.protect(len(expired))
	most := float64(len(g.records) - int(float64(len(g.records))*renewalShare))
	p.allowed = min(p.allowed+most/60, most)
	if p.active {
		if g.cfg.Load().Protect == "on" && len(expired) > 0 && now-p.probed >= probeEvery {
			p.probed = now
			return expired[:min(len(expired), mostProbes)]
		}
		return nil
	}
	for _, rec := range expired[:min(len(expired), int(p.allowed+1e-6))] {
		p.allowed--
		g.expel(rec, now)
	}
	return nil
}

// expel removes one instance whose lease ended. Peers decide for themselves.
func (g *Registry) expel(rec *record, now time.Duration) {
	if o := g.overrides[rec.key()]; o != nil {
		o.idle, o.since = true, now
	}
	g.remove(rec)
	g.totals.evicted.Add(1)
	g.env.Log.Info("evicted: its lease ended", "app", rec.App, "id", rec.ID)
}

// expired lists the instances whose lease ended, in random order.
func (g *Registry) expired(now time.Duration) []*record {
	doubled := g.doubled()
	var out []*record
	for _, rec := range g.records {
		if rec.lease.deadline(doubled) < now {
			out = append(out, rec)
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] }) //nolint:gosec // it only spreads evictions
	return out
}

// deadline is when a lease ends. The original adds the duration twice to a lease
// that was renewed.
func (l *lease) deadline(doubled bool) time.Duration {
	d := time.Duration(l.last.Load()) + l.duration
	if doubled && l.renewed.Load() {
		d += l.duration
	}
	return d
}

// doubled tells whether leases last two durations, so that we agree with peers.
func (g *Registry) doubled() bool {
	if g.cfg.Load().Expiry == "eureka" {
		return true
	}
	if peers := g.peers.Load(); peers != nil {
		for _, p := range *peers {
			if p.foreign.Load() {
				return true
			}
		}
	}
	return false
}

// threshold is how many renewals a minute must be exceeded for eviction.
func (g *Registry) threshold() int { return int(g.expected * renewalShare) }

// protect enters or leaves self-preservation; entering and leaving is a line in
// the log.
func (g *Registry) protect(expired int) {
	p, threshold := &g.guard, g.threshold()
	active := expired > 0 && g.cfg.Load().Protect != "off" && (threshold == 0 || p.lastMin <= uint64(threshold))
	if active == p.active {
		return
	}
	p.active = active
	if !active {
		clear(p.refusals)
		g.env.Log.Info("self-preservation ended", "renewals", p.lastMin, "threshold", threshold)
		return
	}
	g.env.Log.Warn("self-preservation: too few renewals, nobody is evicted for a missing one",
		"renewals", p.lastMin, "threshold", threshold, "expired", expired)
}

// recount sets the expected renewals to those of the present leases, unless too
// many are gone at once.
func (g *Registry) recount(now time.Duration) {
	if now-g.guard.recount < recountEvery {
		return
	}
	g.guard.recount = now
	sum := 0.0
	for _, rec := range g.records {
		sum += rec.lease.perMin
	}
	if sum > renewalShare*g.expected || g.cfg.Load().Protect == "off" {
		g.expected = sum
	}
}

// forget drops overrides whose instance is long gone.
func (g *Registry) forget(now time.Duration) {
	for k, o := range g.overrides {
		if o.idle && now-o.since > overrideLimit {
			delete(g.overrides, k)
		}
	}
}

// probe asks expired instances whether their port still is open. A refusal
// proves a machine without the process; silence proves nothing.
func (g *Registry) probe(ctx context.Context, expired []*record) {
	type outcome struct {
		rec     *record
		refused bool
	}
	results := make(chan outcome, len(expired))
	for _, rec := range expired {
		go func() {
			ctx, stop := context.WithTimeout(ctx, tickEvery)
			defer stop()
			port := rec.Port
			if !port.Enabled {
				port = rec.SecurePort
			}
			conn, err := g.env.Dial(ctx, "tcp", net.JoinHostPort(rec.IPAddr, strconv.Itoa(port.Number)))
			if err == nil {
				_ = conn.Close()
			}
			results <- outcome{rec, errors.Is(err, syscall.ECONNREFUSED)}
		}()
	}
	outcomes := make([]outcome, len(expired))
	for i := range outcomes {
		outcomes[i] = <-results
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now, doubled := g.env.Elapsed(), g.doubled()
	for _, o := range outcomes {
		k := o.rec.key()
		alive := g.records[k] != o.rec || o.rec.lease.deadline(doubled) >= now
		if alive || !o.refused {
			delete(g.guard.refusals, k)
			continue
		}
		if g.guard.refusals[k]++; g.guard.refusals[k] >= probesNeeded {
			delete(g.guard.refusals, k)
			g.expel(o.rec, now)
		}
	}
}
