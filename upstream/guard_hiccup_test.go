package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

// A moment in which nothing answers, because something behind the service or this
// process itself stood still, is no overload: all who came meanwhile are answered
// when it is over.
func TestHiccupsLoseNothing(t *testing.T) {
	for _, long := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			e := newEstate(t, 3, 10*time.Millisecond, Config{})
			defer e.stop()
			at := map[time.Duration]func(){}
			become := func(mode int32) func() {
				return func() {
					for _, i := range e.instances {
						i.become(mode)
					}
				}
			}
			for s := 2 * time.Second; s < 20*time.Second; s += 1500 * time.Millisecond {
				at[s], at[s+long] = become(hangs), become(healthy)
			}
			all := e.load(500, 22*time.Second, at)
			if n := errorsIn(all); n > 0 {
				t.Errorf("%v: %d of %d were refused; %+v", long, n, len(all), e.Stats().Guard.Shed)
			}
		})
	}
}
