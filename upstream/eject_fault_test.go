package upstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaults breaks one of several endpoints at 500 requests a second and holds
// the bars of the faults: from 2 s after its begin on, clients see less than
// 0.1 % errors and a p99 of at most 1.5 times the healthy one; 10 s after its
// end the endpoint is in use again.
func TestFaults(t *testing.T) {
	const begin, end, whole = 5 * time.Second, 20 * time.Second, 36 * time.Second
	faults := []struct {
		name string
		mode int32
	}{{"hangs", hangs}, {"answers 500", fails500}, {"answers 503", fails503}, {"10 times slow", slow10}, {"refuses", refuses}, {"resets", resets}}
	for _, f := range faults {
		for _, n := range []int{2, 3, 10} {
			for _, took := range []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
				for _, kind := range []string{peakEWMA, roundRobin} {
					switch {
					case kind == roundRobin && f.mode == slow10 && took < 10*time.Millisecond:
						continue // 18 ms more are not 50: only the default balance sees them
					case n != 3 && took != 20*time.Millisecond:
						continue // the times were tried with three
					}
					t.Run(fmt.Sprintf("%s/%d/%v/%s", f.name, n, took, kind), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							e := newEstate(t, n, took, Config{Balance: Balance{Kind: kind}})
							defer e.stop()
							all := e.load(500, whole, map[time.Duration]func(){
								begin: func() { e.instances[0].become(f.mode) },
								end:   func() { e.instances[0].become(healthy) },
								end + 10*time.Second: func() {
									if s := e.row(0); s.State != Up {
										t.Errorf("10 s after the fault it is %v: %s", s.State, s.Why)
									}
								},
							})
							before, during := between(all, time.Second, begin), between(all, begin+2*time.Second, whole)
							if bad := errorsIn(during); bad*1000 >= len(during) {
								t.Errorf("%d errors in %d", bad, len(during))
							}
							if was, is := p99(before), p99(during); is > was*3/2 {
								t.Errorf("p99 %v, healthy %v", is, was)
							}
							if got := share(between(all, whole-time.Second, whole), "e0:80"); got < 0.7/float64(n) {
								t.Errorf("in the end it gets %.2f of the requests", got)
							}
						})
					})
				}
			}
		}
	}
}
