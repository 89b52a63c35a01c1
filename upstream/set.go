package upstream

import (
	"time"

	"github.com/maru-msa/maru/message"
)

// set is one immutable state of a cluster's endpoints. A request loads the
// pointer once and works with what it found.
type set struct {
	all    []*Endpoint
	usable []*Endpoint // those that pickers see
	spare  []*Endpoint // ejected ones, for when all others fail
	pick   Picker
	byMAC  map[string]*Endpoint // sticky clients; nil without

	// near and far are the usable endpoints in and out of the own zone; near is
	// nil when zones do not matter. share is the part of the requests that the
	// own zone's capacity stands for.
	near, far         []*Endpoint
	pickNear, pickFar Picker
	share             float64
	farShare          float64
}

// newSet builds the set of all, with a picker over those that are usable. The
// caller holds setMu.
func (c *Cluster) newSet(all []*Endpoint) *set {
	s := &set{all: all}
	c.assess(all)
	for _, e := range all {
		switch {
		case e.Usable():
			s.usable = append(s.usable, e)
		case e.State() == Ejected && e.health.ejection.Kind != ByOperator:
			s.spare = append(s.spare, e)
		}
	}
	if len(s.usable) > 0 {
		s.pick = c.balancer.picker(s.usable)
	}
	if c.cfg.Sticky != nil {
		s.byMAC = make(map[string]*Endpoint, len(all))
		for _, e := range all {
			s.byMAC[e.mac] = e
		}
	}
	if c.cfg.Zone == "prefer" && c.env.Zone != "" && c.cfg.Balance.Kind != hashPick {
		s.splitZones(c)
	}
	return s
}

// splitZones works out which part of the requests the own zone can carry, when
// every zone sends an equal part: its capacity against an average zone's. A
// smaller own zone keeps what it can carry and spills the rest, so that losing
// endpoints one by one moves traffic bit by bit and never all at once.
func (s *set) splitZones(c *Cluster) {
	zones := map[string]bool{c.env.Zone: true}
	var near, whole float64
	for _, e := range s.usable {
		zones[e.Zone()] = true
		whole += e.Weight()
		if e.Zone() == c.env.Zone {
			s.near = append(s.near, e)
			near += e.Weight()
		} else {
			s.far = append(s.far, e)
		}
	}
	if len(s.near) == 0 || len(s.far) == 0 {
		s.near = nil
		return
	}
	s.share = min(1, near*float64(len(zones))/whole)
	s.farShare = 1 - near/whole
	s.pickNear = c.balancer.picker(s.near)
	s.pickFar = c.balancer.picker(s.far)
}

// choose picks an endpoint; avoid, when not nil, was tried in vain just now and
// is taken only if there is no other. nil means that there is none at all.
func (s *set) choose(c *Cluster, r *message.Request, avoid *Endpoint) *Endpoint {
	if len(s.usable) == 0 {
		return nil
	}
	if avoid != nil {
		return s.chooseOther(c, r, avoid)
	}
	if s.byMAC != nil {
		if e := s.stuck(c, r); e != nil {
			return e
		}
	}
	if s.near != nil {
		return s.chooseZone(c, r)
	}
	return s.pick(r, s.usable)
}

// chooseOther picks among all but one. It allocates: retries are not the plain path.
func (s *set) chooseOther(c *Cluster, r *message.Request, avoid *Endpoint) *Endpoint {
	others := make([]*Endpoint, 0, len(s.usable))
	for _, e := range s.usable {
		if e != avoid {
			others = append(others, e)
		}
	}
	switch len(others) {
	case 0:
		return s.pick(r, s.usable)
	case 1:
		return others[0]
	}
	if c.cfg.Balance.Kind == hashPick {
		return c.balancer.picker(others)(r, others)
	}
	return c.balancer.pickEWMA(r, others)
}

// stuck is the endpoint that the client's cookie names, while it is usable.
func (s *set) stuck(c *Cluster, r *message.Request) *Endpoint {
	v := cookieValue(&r.Header, c.cfg.Sticky.Cookie)
	if v == "" {
		return nil
	}
	if e := s.byMAC[v]; e != nil && e.Usable() {
		return e
	}
	return nil
}

// The own zone is slow when its answer takes more than slowFrom times as long
// as elsewhere; from slowTo on it keeps only its share of the capacity.
const (
	slowFrom = 2.0
	slowTo   = 4.0
)

// chooseZone picks in the own zone, except for what that can't carry: by
// capacity, and by how much slower it answers than the others.
func (s *set) chooseZone(c *Cluster, r *message.Request) *Endpoint {
	b := c.balancer
	if s.share < 1 && b.float() >= s.share {
		return s.pickFar(r, s.far)
	}
	e := s.pickNear(r, s.near)
	if c.cfg.Balance.Kind != peakEWMA {
		return e
	}
	now := b.now(r)
	sec, median := second(now), b.typical(now, s.usable)
	f := s.pickFar(r, s.far)
	over := slowness(e, f, sec, median)
	if over > slowFrom && b.float() < s.farShare*min(1, (over-slowFrom)/(slowTo-slowFrom)) {
		return f
	}
	return e
}

// slowness is how many times slower near answers than far. Below a millisecond
// differences do not count.
func slowness(near, far *Endpoint, sec uint32, median float32) float64 {
	const least = float64(time.Millisecond)
	n, _ := near.latency.value(sec, median)
	f, known := far.latency.value(sec, median)
	if !known {
		return 1
	}
	return max(float64(n), least) / max(float64(f), least)
}
