package config

import (
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
)

// usualTimeout is the time of a route that names none.
const usualTimeout = 15 * time.Second

// guards warns of what a service has by itself and the file says against it.
func (w *whole) guards() {
	for i := range w.file.Routes {
		r := &w.file.Routes[i]
		s, known := w.file.Services[r.To]
		if !known || r.Stream || s.TryTimeout < time.Millisecond { // tries never exceed what is left: only who chose the time should know
			continue
		}
		whole := usualTimeout
		if r.Timeout != nil {
			whole = *r.Timeout
		}
		attempts := s.Retry.Attempts
		if attempts == 0 {
			attempts = 2
		}
		if need := time.Duration(attempts) * s.TryTimeout; whole > 0 && need > whole {
			at := diag.Index("routes", i)
			if r.Timeout != nil {
				at += ".timeout"
			}
			w.add(diag.At(at, "the route has %v, and service %s may take %d tries of %v: the last one will be cut short", whole, r.To, attempts, s.TryTimeout).
				WithCode("guard").WithRelated("services."+r.To+".try-timeout").
				WithFix("give the route %v, or the tries less", need).AsWarning())
		}
	}
	for _, name := range w.services() {
		for i, n := range w.file.Services[name].Filters {
			w.repeats(diag.Index("services."+name+".filters", i), name, n)
		}
	}
}

// repeats warns of a filter of a service that only repeats what the service has.
func (w *whole) repeats(path, service string, n filter.Named) {
	text, key := "service %s has a breaker of its own, and this one stands in front of it", "breaker"
	switch c := n.Config.(type) {
	case *filter.Breaker:
		if c.Name != "" {
			return
		}
	case *filter.Retry:
		text, key = "service %s retries by itself, which this filter takes the place of", "retry"
		if c.Statuses != nil {
			return // the key has no word for it
		}
	default:
		return
	}
	w.add(diag.At(path, text, service).WithCode("guard").
		WithFix("write its numbers as the key %s of the service, and remove the filter", key).AsWarning())
}
