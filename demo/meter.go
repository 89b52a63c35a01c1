package demo

import (
	"slices"
	"sync"
	"time"
)

// Meter counts calls, and keeps the times of the latest. Its Seen fits
// [Client]. The zero value works.
type Meter struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	mu       sync.Mutex
	calls    int64
	failures int64
	last     error
	samples  []sample // a ring
	next     int
}

type sample struct {
	at      time.Time
	service string
	took    time.Duration
}

const (
	meterWindow  = 10 * time.Second
	meterSamples = 16384
)

// Seen counts a call.
func (m *Meter) Seen(service string, took time.Duration, failed error) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if failed != nil {
		m.failures++
		m.last = failed
	}
	s := sample{at: now, service: service, took: took}
	if len(m.samples) < meterSamples {
		m.samples = append(m.samples, s)
		return
	}
	m.samples[m.next] = s
	m.next = (m.next + 1) % meterSamples
}

func (m *Meter) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

// Reading is what a Meter shows.
type Reading struct {
	// Calls and Failures count from the start; Last is the latest failure.
	Calls, Failures int64
	Last            error
	// All is of every call of the last ten seconds, Services of those by service.
	All      Pace
	Services map[string]Pace
}

// Pace is how fast calls were made and answered.
type Pace struct {
	// Rate is in calls a second.
	Rate float64
	// P50 and P99 are quantiles of the time a call took.
	P50, P99 time.Duration
}

// Read gives what there is now.
func (m *Meter) Read() Reading {
	now := m.now()
	m.mu.Lock()
	r := Reading{Calls: m.calls, Failures: m.failures, Last: m.last}
	oldest, all, services := now, []time.Duration(nil), make(map[string][]time.Duration)
	for _, s := range m.samples {
		if now.Sub(s.at) > meterWindow {
			continue
		}
		if s.at.Before(oldest) {
			oldest = s.at
		}
		all = append(all, s.took)
		services[s.service] = append(services[s.service], s.took)
	}
	m.mu.Unlock()
	span := max(time.Second, now.Sub(oldest))
	r.All = paceOf(all, span)
	r.Services = make(map[string]Pace, len(services))
	for name, times := range services {
		r.Services[name] = paceOf(times, span)
	}
	return r
}

// Mark is a moment of a [Meter].
type Mark struct {
	at              time.Time
	calls, failures int64
}

// Mark notes the present moment.
func (m *Meter) Mark() Mark {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	return Mark{now, m.calls, m.failures}
}

// Stretch is what there was since a [Mark].
type Stretch struct {
	// Calls and Failures count those that ended since.
	Calls    int64 `json:"requests"`
	Failures int64 `json:"errors"`
	// P99 is of their times, the latest thousands of them.
	P99 time.Duration `json:"p99_ns"`
}

// Since gives what there was since a mark.
func (m *Meter) Since(mark Mark) Stretch {
	m.mu.Lock()
	s := Stretch{Calls: m.calls - mark.calls, Failures: m.failures - mark.failures}
	var times []time.Duration
	for _, one := range m.samples {
		if !one.at.Before(mark.at) {
			times = append(times, one.took)
		}
	}
	m.mu.Unlock()
	s.P99 = paceOf(times, time.Second).P99
	return s
}

func paceOf(times []time.Duration, span time.Duration) Pace {
	if len(times) == 0 {
		return Pace{}
	}
	slices.Sort(times)
	return Pace{
		Rate: float64(len(times)) / span.Seconds(),
		P50:  times[len(times)/2],
		P99:  times[len(times)*99/100],
	}
}
