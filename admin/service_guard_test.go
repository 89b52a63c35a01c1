package admin

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/maru-msa/maru/resilience"
	"github.com/maru-msa/maru/upstream"
)

func TestGuardRow(t *testing.T) {
	t.Parallel()
	g := upstream.GuardStats{
		Breaker:     resilience.BreakerStats{State: resilience.Open, Mode: resilience.Auto, Opened: 3, Slow: time.Second},
		BreakerWait: 1500 * time.Millisecond, Limit: 20, InFlight: 18, Waiting: 4, Queue: 10, Late: 2, Retried: 5,
		Shed: [resilience.NumPriorities]uint64{resilience.Normal: 7, resilience.Sheddable: 9}, Counts: resilience.Counts{Success: 11, Rejected: 16},
	}
	got, err := json.Marshal(newGuardRow(&g))
	const want = `{"breaker":{"state":"open","mode":"auto","opened":3},"breaker_wait_ms":1500,"slow_above_ms":1000,` +
		`"limit":{"now":20,"in_flight":18,"waiting":4,"queue":10,"learning":false,"shed":{"normal":7,"sheddable":9},"late":2},` +
		`"retried":5,"budget_refused":0,"fallbacks":0,"outcomes_10s":{"success":11,"failure":0,"timeout":0,"rejected":16,` +
		`"short_circuited":0,"bad_request":0,"cancelled":0,"p50_ms":0,"p99_ms":0}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	off, err := json.Marshal(newGuardRow(&upstream.GuardStats{BreakerOff: true, LimitOff: true}))
	if err != nil || string(off[:29]) != `{"breaker":null,"limit":null,` {
		t.Errorf("%s, %v", off, err)
	}
}
