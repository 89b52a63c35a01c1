package admin

import (
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/resilience"
	"github.com/maru-msa/maru/upstream"
)

// guardRow is what stands between the callers and a service.
type guardRow struct {
	// Breaker is null when it is off, and so is Limit.
	Breaker *breakerRow `json:"breaker"`
	WaitMS  float64     `json:"breaker_wait_ms,omitempty"`
	SlowMS  float64     `json:"slow_above_ms,omitempty"`
	Limit   *limitRow   `json:"limit"`
	// Retried counts the service's own retries, BudgetRefused retries and hedges
	// that there was no budget for, Fallbacks answers given in its place.
	Retried       uint64 `json:"retried"`
	BudgetRefused uint64 `json:"budget_refused"`
	Fallbacks     uint64 `json:"fallbacks"`
	// Outcomes are those of the last 10 s, as callers saw them.
	Outcomes outcomesRow `json:"outcomes_10s"`
}

// limitRow is how many requests may wait for the service at once, and how many do.
type limitRow struct {
	Now      int  `json:"now"`
	InFlight int  `json:"in_flight"`
	Waiting  int  `json:"waiting"`
	Queue    int  `json:"queue"`
	Learning bool `json:"learning"`
	// Shed counts requests refused for want of a place, Late those of them that
	// waited in vain.
	Shed map[string]uint64 `json:"shed"`
	Late uint64            `json:"late"`
}

type outcomesRow struct {
	Success        uint64  `json:"success"`
	Failure        uint64  `json:"failure"`
	Timeout        uint64  `json:"timeout"`
	Rejected       uint64  `json:"rejected"`
	ShortCircuited uint64  `json:"short_circuited"`
	BadRequest     uint64  `json:"bad_request"`
	Cancelled      uint64  `json:"cancelled"`
	P50MS          float64 `json:"p50_ms"`
	P99MS          float64 `json:"p99_ms"`
}

// priorityWords are the words of the priorities, by the index of Shed.
func priorityWords() [resilience.NumPriorities]string {
	return [resilience.NumPriorities]string{
		resilience.High: message.PriorityHigh.String(), resilience.Normal: message.PriorityNormal.String(),
		resilience.Low: message.PriorityLow.String(), resilience.Sheddable: message.PrioritySheddable.String(),
	}
}

func newGuardRow(g *upstream.GuardStats) *guardRow {
	c := g.Counts
	row := &guardRow{
		Retried: g.Retried, BudgetRefused: g.Budget.Refused, Fallbacks: g.Fallbacks,
		Outcomes: outcomesRow{
			c.Success, c.Failure, c.Timeout, c.Rejected, c.ShortCircuited, c.BadRequest, c.Cancelled,
			milliseconds(g.Latency.P50), milliseconds(g.Latency.P99),
		},
	}
	if !g.BreakerOff {
		row.Breaker = &breakerRow{g.Breaker.State.String(), g.Breaker.Mode.String(), g.Breaker.Opened}
		row.WaitMS, row.SlowMS = milliseconds(g.BreakerWait), milliseconds(g.Breaker.Slow)
	}
	if !g.LimitOff {
		row.Limit = &limitRow{
			Now: g.Limit, InFlight: g.InFlight, Waiting: g.Waiting, Queue: g.Queue, Learning: g.Learning,
			Shed: make(map[string]uint64), Late: g.Late,
		}
		for i, word := range priorityWords() {
			if g.Shed[i] > 0 {
				row.Limit.Shed[word] = g.Shed[i]
			}
		}
	}
	return row
}
