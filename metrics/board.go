package metrics

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// How much is kept, in seconds.
const (
	window  = 10  // what rates and percentages are of
	spark   = 60  // of each service
	history = 120 // of the totals
)

// Board keeps the last seconds of what was counted. Its fields are set before
// Run and stay.
type Board struct {
	// Recorder counts the exchanges.
	Recorder *telemetry.Recorder
	// Clusters gives the live services, by name.
	Clusters func() []*upstream.Cluster
	// Version gives the number of the live configuration; nil means 0.
	Version func() int
	// Targets gives the service of each route; nil means that no route's events
	// are a service's. It is asked once for each version.
	Targets func() map[string]string

	mu       sync.Mutex
	tick     int // of the last sample, from 1
	at       time.Time
	spans    [history]time.Duration // how long each second really was
	totals   telemetry.Totals       // at the last sample
	requests [history]uint64        // of each second
	errors   [history]uint64
	p99      [history]time.Duration
	latency  [window]telemetry.Latency // as it was before each of the last seconds
	services map[string]*series
	routes   map[string]*series
	events   map[string]*eventSeries // of filters, by telemetry's key
	targets  map[string]string
	targetsV int           // the version that targets are of
	changed  chan struct{} // closed by the next sample
	frame    *frame        // the last that somebody looked at

	seats seats
}

// series are the last seconds of one service or route.
type series struct {
	last     telemetry.Tally
	tick     int // when it was last there
	requests [spark]uint32
	errors   [window]uint32
}

// eventSeries are the last seconds of one kind of a filter's events.
type eventSeries struct {
	owner, name string // name is "filter reason"
	last        uint64
	tick        int
	counts      [window]uint32
}

// shown tells which filters' events boards show.
func shown(filter string) bool { return filter == "fallback" || filter == "cache" }

// Run samples each second until ctx ends.
func (b *Board) Run(ctx context.Context) error {
	b.sample(time.Now())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.sample(time.Now())
		}
	}
}

// sample files how much the counters grew since the last one. A late second is
// filed under its real length.
func (b *Board) sample(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	span := time.Second
	if !b.at.IsZero() {
		span = max(now.Sub(b.at), time.Millisecond)
	}
	b.at = now
	b.tick++
	i := b.tick % history
	b.spans[i] = span
	before := b.totals
	b.latency[b.tick%window] = before.Latency
	b.Recorder.Totals(&b.totals)
	b.requests[i] = b.totals.Requests - before.Requests
	b.errors[i] = b.totals.Errors - before.Errors
	second := b.totals.Latency
	second.Since(&before.Latency)
	b.p99[i] = second.Quantile(0.99)
	if b.services == nil {
		b.services, b.routes, b.events = make(map[string]*series), make(map[string]*series), make(map[string]*eventSeries)
	}
	for name, n := range b.Recorder.Services() {
		b.file(b.services, name, n)
	}
	for name, n := range b.Recorder.Routes() {
		if n.Requests != 0 || b.routes[name] != nil { // most of 10,000 routes have nothing to tell
			b.file(b.routes, name, n)
		}
	}
	b.fileEvents()
	gone := func(_ string, s *series) bool { return s.tick != b.tick }
	maps.DeleteFunc(b.services, gone)
	maps.DeleteFunc(b.routes, gone)
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// file notes a series' second. A count that fell began anew: its service was
// gone for a moment.
func (b *Board) file(list map[string]*series, name string, n telemetry.Tally) {
	s := list[name]
	if s == nil {
		s = new(series)
		list[name] = s
	}
	if n.Requests < s.last.Requests || n.Errors < s.last.Errors {
		s.last = telemetry.Tally{}
	}
	s.requests[b.tick%spark] = uint32(n.Requests - s.last.Requests)
	s.errors[b.tick%window] = uint32(n.Errors - s.last.Errors)
	s.last, s.tick = n, b.tick
}

func (b *Board) fileEvents() {
	for key, e := range b.Recorder.Events(shown) {
		s := b.events[key]
		if s == nil {
			s = &eventSeries{owner: e.Owner, name: e.Filter + " " + e.Reason}
			b.events[key] = s
		}
		if e.N < s.last {
			s.last = 0
		}
		s.counts[b.tick%window] = uint32(e.N - s.last)
		s.last, s.tick = e.N, b.tick
	}
	maps.DeleteFunc(b.events, func(_ string, s *eventSeries) bool { return s.tick != b.tick })
}

// happened counts the events of the last ten seconds by service. The caller has
// the lock.
func (b *Board) happened() map[string]map[string]uint64 {
	out := make(map[string]map[string]uint64)
	b.eachEvent(func(service string, s *eventSeries) {
		n := uint64(0)
		for _, c := range s.counts {
			n += uint64(c)
		}
		if n == 0 {
			return
		}
		if out[service] == nil {
			out[service] = make(map[string]uint64)
		}
		out[service][s.name] += n
		if r := b.routes[s.owner]; r != nil && s.name == "cache collapsed" {
			requests, _ := r.window()
			out[service]["batched"] += requests
		}
	})
	return out
}

// fellBack counts the other answers that a filter gave, by the service that failed.
// The caller has the lock.
func (b *Board) fellBack() map[string]uint64 {
	out := make(map[string]uint64)
	b.eachEvent(func(service string, s *eventSeries) {
		switch s.name {
		case "fallback static", "fallback service", "fallback stale":
			out[service] += s.last
		}
	})
	return out
}

// eachEvent gives the events of routes and services that are known, with their
// service.
func (b *Board) eachEvent(take func(service string, s *eventSeries)) {
	if len(b.events) == 0 {
		return
	}
	if b.Version != nil && b.Targets != nil && (b.targets == nil || b.targetsV != b.Version()) {
		b.targets, b.targetsV = b.Targets(), b.Version()
	}
	for _, s := range b.events {
		service, isService := strings.CutPrefix(s.owner, "service:")
		if !isService {
			service = b.targets[s.owner]
		}
		if service != "" {
			take(service, s)
		}
	}
}

// span is how long the last n seconds really were. The caller has the lock.
func (b *Board) span(n int) (d time.Duration) {
	for k := range min(n, b.tick) {
		d += b.spans[(b.tick-k)%history]
	}
	return max(d, time.Millisecond)
}

// window gives the series' counts of the last ten seconds.
func (s *series) window() (requests, errors uint64) {
	for k := range window {
		requests += uint64(s.requests[(s.tick-k+spark)%spark])
		errors += uint64(s.errors[k])
	}
	return requests, errors
}

// wait gives what is closed at the next sample.
func (b *Board) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

// Readers tells of the board's own stream.
func (b *Board) Readers() Readers { return b.seats.readers("board") }
