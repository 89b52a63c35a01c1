package upstream

import (
	"testing"
	"testing/synctest"
	"time"
)

// What one instance of three answers with 500 others may know: who reads sees
// nothing of it. When all fail, it is told, and the service is not asked twice
// as much.
func TestReadersSeeNothingOfOneThatFails(t *testing.T) {
	const begin, worse, whole = 2 * time.Second, 6 * time.Second, 8 * time.Second
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 10*time.Millisecond, Config{Breaker: Breaker{Mode: off}})
		defer e.stop()
		all := e.load(500, whole, map[time.Duration]func(){
			begin: func() { e.instances[0].become(fails500) },
			worse: func() { e.instances[1].become(fails500); e.instances[2].become(fails500) },
		})
		if n := errorsIn(between(all, 0, worse-time.Second)); n > 0 {
			t.Errorf("%d errors of one instance were seen", n)
		}
		after := between(all, worse+time.Second, whole)
		attempts := 0
		for _, o := range after {
			attempts += o.attempts
		}
		if n := errorsIn(after); n != len(after) {
			t.Errorf("%d of %d failed while all instances do", n, len(after))
		}
		if most := len(after) * 6 / 5; attempts > most {
			t.Errorf("%d attempts for %d requests", attempts, len(after))
		}
	})
}
