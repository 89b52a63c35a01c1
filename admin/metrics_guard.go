package admin

import (
	"github.com/maru-msa/maru/resilience"
	"github.com/maru-msa/maru/upstream"
)

// guards is what stands between callers and the services.
func (e *exposition) guards(stats []upstream.Stats) {
	state := e.gauge("maru_breaker_state", "0 closed, 1 half-open, 2 open, whoever wants it so.", "service")
	opened := e.counter("maru_breaker_opened_total", "How often the breaker opened.", "service")
	limit := e.gauge("maru_limit", "How many requests may wait for the service's answer at once.", "service")
	busy := e.gauge("maru_limit_in_flight", "How many do.", "service")
	waiting := e.gauge("maru_limit_waiting", "How many wait for a place among these.", "service")
	shed := e.counter("maru_limit_shed_total", "Requests refused for want of a place, by priority.", "service", "priority")
	late := e.counter("maru_limit_late_total", "Those of them that waited in vain.", "service")
	retries := e.counter("maru_retries_total", "Retries that the service's own policy made.", "service")
	refused := e.counter("maru_retry_budget_refused_total", "Retries and hedges that the budget refused.", "service")
	fallbacks := e.counter("maru_fallbacks_total", "Other answers given in place of the service's.", "service")
	for i := range stats {
		name, g := stats[i].Name, &stats[i].Guard
		if !g.BreakerOff {
			state.add(breakerState(&g.Breaker), name)
			opened.some(g.Breaker.Opened, name)
		}
		if !g.LimitOff {
			limit.add(float64(g.Limit), name)
			busy.add(float64(g.InFlight), name)
			waiting.add(float64(g.Waiting), name)
		}
		for p, word := range priorityWords() {
			shed.some(g.Shed[p], name, word)
		}
		late.some(g.Late, name)
		retries.some(g.Retried, name)
		refused.some(g.Budget.Refused, name)
		fallbacks.some(g.Fallbacks, name)
	}
}

// breakerState is the state as callers meet it.
func breakerState(b *resilience.BreakerStats) float64 {
	switch {
	case b.Mode == resilience.ForcedOpen, b.Mode == resilience.Auto && b.State == resilience.Open:
		return 2
	case b.Mode == resilience.Auto && b.State == resilience.HalfOpen:
		return 1
	}
	return 0
}

// some adds a counter's value once there is one.
func (f *family) some(n uint64, values ...string) {
	if n > 0 {
		f.add(float64(n), values...)
	}
}
