package telemetry

import (
	"testing"

	"github.com/maru-msa/maru/message"
)

// What a cache did with an exchange is counted as an event of the filter, and
// counting allocates nothing.
func TestDoneCountsTheCache(t *testing.T) {
	var rec Recorder
	r := message.NewRequest()
	defer r.Release()
	p := message.NewResponse(200)
	defer p.Release()
	r.Method, r.X.Route, r.X.Cache = "GET", "a-route-with-a-longer-name", "collapsed"
	rec.Done(r, p, nil)
	if n := testing.AllocsPerRun(99, func() { rec.Done(r, p, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	r.X.Cache = ""
	rec.Done(r, p, nil)
	events := rec.Snapshot().Filters
	if len(events) != 1 || events[0].N != 101 {
		t.Errorf("%+v", events)
	}
}
