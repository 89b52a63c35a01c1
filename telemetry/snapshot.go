package telemetry

import (
	"strings"
	"time"
)

// Snapshot is everything recorded so far, merged; counters only grow.
type Snapshot struct {
	Routes   map[string]RouteCounts
	Services map[string]ServiceCounts
	Reasons  map[string]uint64
	Refused  []Labelled // labels: listener, reason
	Filters  []Labelled // labels: filter, route, reason
	// LogDropped counts access-log lines that did not fit.
	LogDropped uint64
}

// RouteCounts are the counts of one route. Requests holds only what happened.
type RouteCounts struct {
	Requests       []MethodCount
	Sent, Received uint64 // body bytes
}

// MethodCount is how often a method ended in a status class.
type MethodCount struct {
	Method, Class string
	N             uint64
}

// ServiceCounts are the counts of one service.
type ServiceCounts struct {
	Classes  map[string]uint64
	Attempts uint64
	// Buckets are cumulative counts per upper bound in seconds; Count includes
	// what is above the last; Sum is in seconds.
	Buckets map[float64]uint64
	Count   uint64
	Sum     float64
}

// Labelled is a count with its labels.
type Labelled struct {
	Labels []string
	N      uint64
}

// Snapshot merges the counters. It is made off the request path and costs time
// in proportion to the series.
func (t *Recorder) Snapshot() Snapshot {
	s := Snapshot{Routes: map[string]RouteCounts{}, Services: map[string]ServiceCounts{}, Reasons: map[string]uint64{}}
	for name, r := range t.routes.all() {
		s.Routes[name] = r.counts()
	}
	for name, v := range t.services.all() {
		s.Services[name] = v.counts()
	}
	for name, c := range t.reasons.all() {
		s.Reasons[name] = c.sum()
	}
	s.Refused, s.Filters = labelled(&t.refused), labelled(&t.filters)
	if t.Log != nil {
		s.LogDropped = t.Log.Dropped()
	}
	return s
}

func labelled(t *table[counter]) []Labelled {
	var out []Labelled
	for key, c := range t.all() {
		out = append(out, Labelled{strings.Split(key, "\x00"), c.sum()})
	}
	return out
}

func (r *route) counts() RouteCounts {
	out := RouteCounts{}
	if c := r.sent.Load(); c != nil {
		out.Sent = c.sum()
	}
	if c := r.received.Load(); c != nil {
		out.Received = c.sum()
	}
	for m := range r.requests {
		method := r.requests[m].Load()
		if method == nil {
			continue
		}
		for class := range method {
			if c := method[class].Load(); c != nil {
				out.Requests = append(out.Requests, MethodCount{Methods[m], Classes[class], c.sum()})
			}
		}
	}
	return out
}

func (s *service) counts() ServiceCounts {
	out := ServiceCounts{Classes: map[string]uint64{}, Buckets: map[float64]uint64{}, Attempts: s.attempts.sum()}
	for i := range s.requests {
		if n := s.requests[i].sum(); n > 0 {
			out.Classes[Classes[i]] = n
		}
	}
	for i := range s.latency.buckets {
		out.Count += s.latency.buckets[i].sum()
		if i < len(bounds) {
			out.Buckets[bounds[i].Seconds()] = out.Count
		}
	}
	out.Sum = time.Duration(s.latency.sum.sum()).Seconds()
	return out
}
