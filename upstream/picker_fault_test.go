package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

// An endpoint that stops to answer right after its siblings had a bad moment
// looks like the best of them. It must not draw all requests until a time-out
// tells otherwise.
func TestSilenceIsNoSpeed(t *testing.T) {
	const begin, end, whole = 5 * time.Second, 15 * time.Second, 20 * time.Second
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 10*time.Millisecond, Config{})
		defer e.stop()
		all := e.load(500, whole, map[time.Duration]func(){
			begin - time.Second:          func() { e.instances[1].become(hangs); e.instances[2].become(hangs) },
			begin - 600*time.Millisecond: func() { e.instances[1].become(healthy); e.instances[2].become(healthy) },
			begin:                        func() { e.instances[0].become(hangs) },
			end:                          func() { e.instances[0].become(healthy) },
		})
		late := 0
		for _, o := range between(all, begin, end) {
			if o.took > time.Second {
				late++
			}
		}
		if late > 40 {
			t.Errorf("%d requests waited in vain", late)
		}
	})
}
