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
	"strings"
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

// route holds what is counted per route. Counters are made at first use: of
// 10,000 routes most get few kinds of requests.
type route struct {
	requests [len(Methods)]atomic.Pointer[byClass]
	sent     atomic.Pointer[counter]
	received atomic.Pointer[counter]
}

// byClass are the counters of one method.
type byClass [len(Classes)]atomic.Pointer[counter]

// made gives what p points to, made at first use.
func made[T any](p *atomic.Pointer[T]) *T {
	if v := p.Load(); v != nil {
		return v
	}
	p.CompareAndSwap(nil, new(T))
	return p.Load()
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

	totals   totals
	routes   table[route]
	services table[service]
	reasons  table[counter] // "reason"
	refused  table[counter] // "listener\x00reason"
	filters  table[counter] // "filter\x00route\x00reason"
}

// Declare names the routes and services that there are from now on. Their series
// are there before the first request, so that a table with thousands of routes
// is not copied once for each; the series of others end, so that a configuration
// that changes a million times takes no more memory than one that never did.
func (t *Recorder) Declare(routes, services []string) {
	t.routes.declare(routes)
	t.services.declare(services)
	t.filters.keep(func(key string) bool {
		owner := strings.Split(key, "\x00")
		// "global", "listener:public" and "service:reward" are few.
		return len(owner) < 2 || t.routes.has(owner[1]) || owner[1] == "global" || strings.Contains(owner[1], ":")
	})
}

// declare makes the table hold exactly names, and what stands for no name or too many.
func (t *table[T]) declare(names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	have := 0
	for _, n := range names {
		if old[n] != nil {
			have++
		}
	}
	for _, n := range [...]string{"", Overflow} {
		if old[n] != nil {
			have++
		}
	}
	if have == len(old) && len(names) <= have {
		return // the usual change leaves the names alone
	}
	next := make(map[string]*T, len(names)+2)
	for _, n := range [...]string{"", Overflow} {
		if v := old[n]; v != nil {
			next[n] = v
		}
	}
	for _, n := range names {
		switch v := old[n]; {
		case v != nil:
			next[n] = v
		case len(next) < MaxSeries:
			next[n] = new(T)
		}
	}
	t.m.Store(&next)
}

// keep drops the names that are not wanted.
func (t *table[T]) keep(wanted func(name string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.all()
	next := make(map[string]*T, len(old))
	for name, v := range old {
		if wanted(name) {
			next[name] = v
		}
	}
	if len(next) < len(old) {
		t.m.Store(&next)
	}
}

func (t *table[T]) has(name string) bool { return t.all()[name] != nil }

// Done records a finished exchange. p may be a tunnel's 101.
func (t *Recorder) Done(r *message.Request, p *message.Response, err error) {
	x := &r.X
	class := classNumber(p.Status)
	t.totals.add(x, p.Status)
	rt := t.routes.get(x.Route)
	made(&made(&rt.requests[methodNumber(r.Method)])[class]).add(x.Shard, 1)
	if x.Sent > 0 {
		made(&rt.sent).add(x.Shard, uint64(x.Sent))
	}
	if x.Received > 0 {
		made(&rt.received).add(x.Shard, uint64(x.Received))
	}
	if x.Service != "" {
		s := t.services.get(x.Service)
		s.requests[class].add(x.Shard, 1)
		s.attempts.add(x.Shard, uint64(max(x.Attempts, 0)))
		if p.Status != 101 && x.Attempts > 0 { // what the guard of a service refuses takes no time
			s.latency.add(x.Shard, x.Phases[message.PhaseDone]-x.Phases[message.PhaseFilters])
		}
	}
	if x.Reason != "" {
		t.reasons.get(x.Reason).add(x.Shard, 1)
	}
	if x.Cache != "" { // an event of the filter, but one that must not allocate
		var room [128]byte
		key := append(append(room[:0], "cache\x00"...), x.Route...)
		t.filters.get(message.View(append(append(key, 0), x.Cache...))).add(x.Shard, 1)
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
