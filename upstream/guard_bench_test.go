package upstream

import (
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// What the guard costs a call that goes well.
func BenchmarkGuard(b *testing.B) {
	c, err := New("svc", Config{URL: "http://127.0.0.1:9"}, Env{})
	if err != nil {
		b.Fatal(err)
	}
	r, resp := request("GET", "/"), message.NewResponse(200)
	b.ReportAllocs()
	for b.Loop() {
		r.X.Began = time.Now()
		r.X.Phases = [message.NumPhases]time.Duration{message.PhaseFilters: 1, message.PhaseConnect: 2, message.PhaseSent: 3, message.PhaseHead: 1e6}
		k := call{g: c.guard, x: &r.X}
		if k.enter(r) != nil {
			b.Fatal("refused")
		}
		k.prepare(r)
		k.answered(r, resp)
		k.leave()
	}
}
