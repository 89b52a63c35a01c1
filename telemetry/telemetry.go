// Package telemetry is what this process records of itself: counters,
// histograms, and the access log. It only records; others show.
//
// The flow: the edge calls [Recorder.Done] once at the end of each exchange.
// That adds to a few sharded counters and appends one line to a buffer that
// one goroutine ([AccessLog.Run]) writes out. Nothing on that path waits for a
// disk, takes a lock that is held across I/O, or allocates; what does not fit
// is dropped and counted. Readers call [Recorder.Snapshot], which merges.
//
// Labels come from the configuration (route, service) or from short fixed
// lists (method, status class, reason): never from a path, a query or a field.
package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// MaxSeries bounds the routes, services and reasons that are told apart; what
// comes after is counted under the name Overflow.
const (
	MaxSeries = 20_000
	Overflow  = "_other"
)

// counter is a count that several processors add to without meeting.
type counter [shards]struct {
	n atomic.Uint64
	_ [56]byte
}

const shards = 4

func (c *counter) add(shard uint32, n uint64) { c[shard%shards].n.Add(n) }

func (c *counter) sum() (n uint64) {
	for i := range c {
		n += c[i].n.Load()
	}
	return n
}

// Methods are the method labels, in the order of their numbers.
var Methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "OTHER"} //nolint:gochecknoglobals // read-only table

func methodNumber(m string) int {
	for i, name := range Methods {
		if m == name {
			return i
		}
	}
	return len(Methods) - 1
}

// Classes are the status-class labels; a 499 counts as 4xx.
var Classes = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"} //nolint:gochecknoglobals // read-only table

func classNumber(status int) int { return min(max(status/100-1, 0), len(Classes)-1) }

// route holds what is counted per route.
type route struct {
	requests [len(Methods)][len(Classes)]atomic.Pointer[counter]
	sent     counter
	received counter
}

// service holds what is counted per service.
type service struct {
	requests [len(Classes)]counter
	attempts counter
	latency  histogram
}

// table is a map that is read without a lock and copied to add a name.
type table[T any] struct {
	mu sync.Mutex
	m  atomic.Pointer[map[string]*T]
}

func (t *table[T]) get(name string) *T {
	if m := t.m.Load(); m != nil {
		if v := (*m)[name]; v != nil {
			return v
		}
	}
	return t.add(name)
}

func (t *table[T]) add(name string) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	if v := old[name]; v != nil {
		return v
	}
	if len(old) >= MaxSeries {
		name = Overflow
		if v := old[name]; v != nil {
			return v
		}
	}
	next := make(map[string]*T, len(old)+1)
	maps.Copy(next, old)
	v := new(T)
	next[cloned(name)] = v
	t.m.Store(&next)
	return v
}

func (t *table[T]) all() map[string]*T {
	if m := t.m.Load(); m != nil {
		return *m
	}
	return nil
}

func cloned(s string) string { return string(append([]byte(nil), s...)) }

// Recorder records exchanges. Its zero value is ready.
type Recorder struct {
	// Log gets a line per exchange; nil means none.
	Log *AccessLog

	routes   table[route]
	services table[service]
	reasons  table[counter] // "reason"
	refused  table[counter] // "listener\x00reason"
	filters  table[counter] // "filter\x00route\x00reason"
}

// Declare makes the series of a route before its first request, so that a
// table with thousands of routes is not copied once for each.
func (t *Recorder) Declare(routes, services []string) {
	declare(&t.routes, routes)
	declare(&t.services, services)
}

func declare[T any](t *table[T], names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]*T, len(names))
	maps.Copy(next, t.all())
	for _, n := range names {
		if next[n] == nil && len(next) < MaxSeries {
			next[n] = new(T)
		}
	}
	t.m.Store(&next)
}

// Done records a finished exchange. p may be a tunnel's 101.
func (t *Recorder) Done(r *message.Request, p *message.Response, err error) {
	x := &r.X
	class := classNumber(p.Status)
	rt := t.routes.get(x.Route)
	cell := &rt.requests[methodNumber(r.Method)][class]
	c := cell.Load()
	if c == nil {
		cell.CompareAndSwap(nil, new(counter))
		c = cell.Load()
	}
	c.add(x.Shard, 1)
	if x.Sent > 0 {
		rt.sent.add(x.Shard, uint64(x.Sent))
	}
	if x.Received > 0 {
		rt.received.add(x.Shard, uint64(x.Received))
	}
	if x.Service != "" {
		s := t.services.get(x.Service)
		s.requests[class].add(x.Shard, 1)
		s.attempts.add(x.Shard, uint64(max(x.Attempts, 0)))
		if p.Status != 101 {
			s.latency.add(x.Shard, x.Phases[message.PhaseDone]-x.Phases[message.PhaseFilters])
		}
	}
	if x.Reason != "" {
		t.reasons.get(x.Reason).add(x.Shard, 1)
	}
	if t.Log != nil {
		t.Log.add(r, p, err)
	}
}

// Refused counts bytes that never became a request.
func (t *Recorder) Refused(listener, reason string) {
	t.refused.get(listener+"\x00"+reason).add(0, 1)
}

// Filter counts an event of a filter.
func (t *Recorder) Filter(filter, route, reason string) {
	t.filters.get(filter+"\x00"+route+"\x00"+reason).add(0, 1)
}

// bounds are the upper bounds of the latency buckets.
var bounds = [...]time.Duration{ //nolint:gochecknoglobals // read-only table
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// histogram counts durations in fixed buckets; the last one is open.
type histogram struct {
	buckets [len(bounds) + 1]counter
	sum     counter // nanoseconds
}

func (h *histogram) add(shard uint32, d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.buckets[i].add(shard, 1)
	h.sum.add(shard, uint64(d))
}
