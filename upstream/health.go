package upstream

import (
	"errors"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// What is known of an endpoint's health, and who finds it out:
//
//   - Every try leaves its outcome in the endpoint's [tally]: a few atomic
//     additions, no lock. Errors in a row eject at once, from there.
//   - The cluster's watch ([Cluster.look]) compares the endpoints with one
//     another: ten times a second while requests come, else once a second.
//   - Active checks and operators say whether an endpoint may be used at all.
//
// All of them change the [health] of an endpoint under the lock of the set, and
// [Cluster.assess] makes its state of it. State belongs to the endpoint, never to
// a route: two routes to one endpoint share what was learnt.

// health is why an endpoint is in or out. Cluster.setMu guards it.
type health struct {
	down     string    // why it may not be used, as a check says; "" when it may
	drained  bool      // an operator wants no new requests there
	ejection *Ejection // nil while it is not ejected
	weight   int       // as an operator wants it; 0: as the source says
	times    int       // ejections in a row
	inSince  time.Time // when it last came back; zero when it never was out
}

// Ejection is why and how long an endpoint is out of the choice.
type Ejection struct {
	// Kind is what gave the reason.
	Kind EjectionKind
	// Detail holds the numbers that did.
	Detail string
	// At is when it began, Until when the endpoint gets its next trial.
	At, Until time.Time
	// Times counts ejections in a row, this one included.
	Times int
}

// EjectionKind is a reason to eject.
type EjectionKind uint8

// The kinds (resilience §4.2).
const (
	// GatewayErrors: resets, time-outs, 502, 503 or 504, one after the other.
	GatewayErrors EjectionKind = iota
	// ConnectErrors: connections that could not be made, one after the other.
	ConnectErrors
	// SuccessRate: it fails more often than its siblings.
	SuccessRate
	// SlowAnswers: it answers far slower than its siblings.
	SlowAnswers
	// Stalled: requests wait there and nothing comes, while its siblings answer.
	Stalled
	// ByOperator: somebody asked for it.
	ByOperator
	// EjectionKinds counts the kinds.
	EjectionKinds
)

// String is the word for metrics and the admin page.
func (k EjectionKind) String() string {
	switch k {
	case GatewayErrors:
		return "gateway-errors"
	case ConnectErrors:
		return "connect-errors"
	case SuccessRate:
		return "success-rate"
	case SlowAnswers:
		return "latency"
	case Stalled:
		return "stall"
	case ByOperator:
		return "operator"
	case EjectionKinds:
	}
	return "?"
}

// clusterHealth is what a cluster keeps for all its endpoints.
type clusterHealth struct {
	ejections    [EjectionKinds]atomic.Uint64
	checksPassed atomic.Uint64
	checksFailed atomic.Uint64
	panicking    atomic.Bool
	due          atomic.Pointer[trial] // waits for a request that tries it
	view         view                  // of the goroutine that runs the cluster

	// p99 and median are of the good answers of the last ten seconds, in
	// nanoseconds, slow is from when on one is far slower; 0 before there were
	// enough.
	p99, median, slow atomic.Int64
}

// tally is what tries leave behind for those who judge. The numbers only grow,
// but for waiting and the rows of errors.
type tally struct {
	waiting atomic.Int64  // tries that wait for a response head
	heard   atomic.Int64  // since the cluster was born: the last head, or when the first began to wait
	answers atomic.Uint64 // response heads that came
	bad     atomic.Uint64 // those of them with a status of 500 and above
	lost    atomic.Uint64 // tries without an answer that the endpoint is to blame for
	took    atomic.Uint64 // nanoseconds of the good answers that were timed
	failed  atomic.Uint32 // tries in a row without an answer, or with 500 and above
	gateway atomic.Uint32 // gateway errors in a row, at most failed
	connect atomic.Uint32 // connections in a row that could not be made, at most gateway
	slow    atomic.Uint32 // slow answers in a row
	slowAll atomic.Uint64 // slow answers
	times   spread        // of the good answers that were timed
}

// spread counts durations by size: two steps to each doubling, from 16 µs to
// two minutes.
type spread [spreadSteps]atomic.Uint32

const (
	spreadSteps = 48
	spreadShift = 14 // everything below 1<<14 ns is the first step
)

func (s *spread) add(d time.Duration) { s[spreadStep(d)].Add(1) }

func spreadStep(d time.Duration) int {
	halves := uint64(max(d, 0)) >> (spreadShift - 1)
	if halves < 2 {
		return 0
	}
	n := bits.Len64(halves)
	upper := int(halves>>(n-2)) & 1
	return min(2*(n-2)+upper+1, spreadSteps-1)
}

// spreadTop is the upper end of a step.
func spreadTop(step int) time.Duration {
	if step == 0 {
		return 1 << spreadShift
	}
	octave, upper := (step-1)/2, (step-1)%2
	return time.Duration(1<<(spreadShift+octave)) * time.Duration(3+upper) / 2
}

// waits tells whether the endpoint alone is to blame when no head comes: the
// request is there as a whole, and it asks for an ordinary answer.
func (e *Endpoint) waits(r *message.Request) bool {
	if r.Upgrade != "" || r.X.Stream || e.h2 != nil && isGRPC(&r.Header) {
		return false
	}
	if r.Length == 0 {
		return true
	}
	b, ok := r.Body.(message.Buffered)
	return ok && r.Length > 0 && r.Length <= smallBody && int64(len(b.Peek())) == r.Length
}

// waitsFrom counts a try that waits for its head from now on.
func (c *Cluster) waitsFrom(ep *Endpoint, now time.Time) {
	if ep.tally.waiting.Add(1) == 1 {
		ep.tally.heard.Store(int64(now.Sub(c.born)))
	}
}

const (
	// silentFewest is how many tries must wait for silence to mean something: one
	// alone may be a question that takes its time.
	silentFewest = 2
	// silentMost is how many times as slow an endpoint may look for its silence,
	// so that those that answer are not drowned for the sake of long polls.
	silentMost = 10
)

// silence is how long an endpoint with tries that wait has said nothing, in
// nanoseconds; usual is what it or its siblings usually take.
func (e *Endpoint) silence(now time.Duration, usual float32) float32 {
	if e.tally.waiting.Load() < silentFewest {
		return 0
	}
	return min(float32(now-time.Duration(e.tally.heard.Load())), silentMost*usual)
}

// noteAnswer takes in that a head came with this status.
func (c *Cluster) noteAnswer(ep *Endpoint, x *message.Exchange, status int) {
	t := &ep.tally
	t.answers.Add(1)
	t.heard.Store(int64(x.Began.Sub(c.born) + x.Phases[message.PhaseHead]))
	if status < 500 {
		if t.failed.Load() != 0 {
			t.clearRows()
		}
		return
	}
	t.bad.Add(1)
	t.failed.Add(1)
	t.connect.Store(0)
	if status >= 502 && status <= 504 {
		c.gatewayError(ep, false)
	} else {
		t.gateway.Store(0)
	}
}

// clearRows ends the rows of errors.
func (t *tally) clearRows() {
	t.failed.Store(0)
	t.gateway.Store(0)
	t.connect.Store(0)
}

// noteTime takes in how long a good answer took to begin.
func (c *Cluster) noteTime(ep *Endpoint, d time.Duration) {
	t := &ep.tally
	t.took.Add(uint64(max(d, 0)))
	t.times.add(d)
	switch limit := c.health.slow.Load(); {
	case limit > 0 && int64(d) > limit:
		t.slow.Add(1)
		t.slowAll.Add(1)
	case t.slow.Load() != 0:
		t.slow.Store(0)
	}
}

// noteLost takes in a try that ended without an answer after some time. That a
// client had less patience than the service is allowed says nothing about it.
func (c *Cluster) noteLost(ep *Endpoint, cause error, after time.Duration) {
	_, connect := errors.AsType[*dialError](cause)
	if !connect && after < min(time.Second, c.cfg.TryTimeout, c.trialTime()) && isTimeout(cause) {
		return
	}
	ep.tally.lost.Add(1)
	ep.tally.failed.Add(1)
	c.gatewayError(ep, connect)
}

// isTimeout tells whether a try ended because its time was over.
func isTimeout(cause error) bool {
	ce, ok := errors.AsType[*http1.ConnError](cause)
	return ok && ce.Timeout || errors.Is(cause, errHeadTimeout) || errors.Is(cause, errDeadline)
}

// assess works out the states of all, and tells whether so few are usable that
// automatic ejection is ignored. The caller holds setMu.
func (c *Cluster) assess(all []*Endpoint) {
	n := c.census(all)
	panicking := n.ejected > 0 && 2*n.up < n.able
	for _, e := range all {
		s := e.health.state()
		e.state.Store(uint32(s))
		e.usable.Store(s == Up || panicking && s == Ejected && e.health.ejection.Kind != ByOperator)
	}
	if c.health.panicking.Swap(panicking) == panicking {
		return
	}
	if panicking {
		c.env.Log.Warn("too few endpoints are usable: ejections are ignored",
			"service", c.name, "usable", n.up, "ejected", n.ejected, "endpoints", len(all))
	} else {
		c.env.Log.Info("enough endpoints are usable again: ejections count", "service", c.name, "usable", n.up, "endpoints", len(all))
	}
}

// census counts endpoints.
type census struct {
	able    int // all but those that an operator took out
	up      int
	ejected int // automatically
}

// census counts endpoints by their health. The caller holds setMu.
func (c *Cluster) census(all []*Endpoint) (n census) {
	for _, e := range all {
		switch s := e.health.state(); {
		case s == Draining, s == Ejected && e.health.ejection.Kind == ByOperator:
			continue
		case s == Up:
			n.up++
		case s == Ejected:
			n.ejected++
		}
		n.able++
	}
	return n
}

// state is what follows from the reasons. An operator's word counts most, then
// what checks say.
func (h *health) state() State {
	switch {
	case h.drained:
		return Draining
	case h.down != "":
		return Down
	case h.ejection != nil:
		return Ejected
	}
	return Up
}

// why says in words why the endpoint is out; "" while it is in.
func (h *health) why() string {
	switch h.state() {
	case Draining:
		return "drained by an operator"
	case Down:
		return h.down
	case Ejected:
		return "ejected, " + h.ejection.Kind.String() + ": " + h.ejection.Detail
	case Up, Gone:
	}
	return ""
}

// setDown notes that an endpoint may not be used, or with why "" that it may.
func (c *Cluster) setDown(e *Endpoint, why string) {
	c.setMu.Lock()
	defer c.setMu.Unlock()
	if e.health.down == why {
		return
	}
	e.health.down = why
	c.rebuild()
}

// rebuild makes a new set of the same endpoints. The caller holds setMu.
func (c *Cluster) rebuild() { c.set.Store(c.newSet(c.set.Load().all)) }
