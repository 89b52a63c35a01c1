package upstream

import (
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// Addr is one endpoint as a source knows it.
type Addr struct {
	// URL is http://host:port or https://host:port.
	URL string
	// Zone where it is, or "".
	Zone string
	// Weight against the others; 0 counts as 1.
	Weight int
	// Meta is free data for the admin page.
	Meta map[string]string
}

// State tells whether an endpoint may be chosen.
type State uint32

// The states of an endpoint.
const (
	// Up may be chosen.
	Up State = iota
	// Down may not, for the reason that Why tells.
	Down
	// Gone was removed from its service; it only finishes its exchanges.
	Gone
	// Ejected is out for a time because of how it answered, or did not.
	Ejected
	// Draining gets no new requests because an operator wants it so.
	Draining
)

// String is the word for the admin page.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Down:
		return "down"
	case Gone:
		return "gone"
	case Ejected:
		return "ejected"
	case Draining:
		return "draining"
	}
	return "?"
}

// Endpoint is one address of a service with what was learnt about it. It lives
// as long as its URL stays in the set.
type Endpoint struct {
	// inflight and the averages are written by every exchange.
	inflight  atomic.Int64
	requests  atomic.Uint64
	latency   latency
	success   success
	state     atomic.Uint32
	weight    atomic.Uint64 // float64 bits
	usable    atomic.Bool
	rampSince atomic.Int64 // nanoseconds since the cluster was born, 0 when at its whole share
	tally     tally
	_         [64]byte

	name   string // host:port, for logs and metrics
	target target
	dial   endpointDial
	// mac and the ready-made cookies are for sticky clients.
	mac, cookie, cookieSecure string

	pool pool
	h2   *h2pool // nil unless the service speaks HTTP/2

	health  health // of Cluster.setMu
	checkup checkup
	tried   atomic.Bool // a trial is under way
	watched *watched    // of the goroutine that runs the cluster; nil before the first request

	about     atomic.Pointer[Addr]
	lastError atomic.Pointer[lastError]
	errors    atomic.Uint64
	connects  atomic.Uint64
	refused   atomic.Uint64 // connects that failed
	timeouts  atomic.Uint64
}

type lastError struct {
	text string
	at   time.Time
}

// Name is host:port.
func (e *Endpoint) Name() string { return e.name }

// URL is the canonical URL.
func (e *Endpoint) URL() string { return e.target.key() }

// Zone is where the endpoint is, or "".
func (e *Endpoint) Zone() string { return e.about.Load().Zone }

// Meta is the source's data; it is not to be changed.
func (e *Endpoint) Meta() map[string]string { return e.about.Load().Meta }

// Weight is its share against the others.
func (e *Endpoint) Weight() float64 { return math.Float64frombits(e.weight.Load()) }

// InFlight counts exchanges under way.
func (e *Endpoint) InFlight() int { return int(e.inflight.Load()) }

// State tells whether the endpoint may be chosen.
func (e *Endpoint) State() State { return State(e.state.Load()) }

// Usable tells whether a picker may choose it: it is up, or it is ejected and too
// few others are left.
func (e *Endpoint) Usable() bool { return e.usable.Load() }

// describe takes over what a source says besides the URL. The caller holds setMu
// of the cluster.
func (e *Endpoint) describe(a Addr) {
	a.Meta = maps.Clone(a.Meta)
	e.about.Store(&a)
	e.weigh()
}

func (e *Endpoint) failed(err error, at time.Time) {
	e.errors.Add(1)
	e.lastError.Store(&lastError{text: err.Error(), at: at})
}

// ramp is the part of its weight that an endpoint in slow start gets, 0.1 to 1.
func (e *Endpoint) ramp(now, whole time.Duration) float64 {
	since := e.rampSince.Load()
	if since == 0 {
		return 1
	}
	age := now - time.Duration(since)
	if age >= whole {
		e.rampSince.CompareAndSwap(since, 0)
		return 1
	}
	return max(0.1, float64(age)/float64(whole))
}

// cost is what peak-EWMA compares: the expected wait if one more request went there.
func (e *Endpoint) cost(now, rampTime time.Duration, median float32) float64 {
	sec := second(now)
	v, _ := e.latency.value(sec, median)
	v = max(v, e.silence(now, max(v, median))) // who does not answer is not fast
	c := float64(v) * float64(e.inflight.Load()+1) / (e.Weight() * float64(e.success.value(sec)))
	if e.rampSince.Load() != 0 {
		c /= e.ramp(now, rampTime)
	}
	return c
}

// Picker chooses one of the usable endpoints, of which there is at least one.
// It runs for each request: it neither allocates nor waits.
type Picker func(*message.Request, []*Endpoint) *Endpoint
