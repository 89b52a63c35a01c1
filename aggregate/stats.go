package aggregate

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// nodeStats is what was seen of one fetch: how often it was called and how long
// that took. Times are kept as counts by powers of two.
type nodeStats struct {
	calls, failures atomic.Uint64
	buckets         [40]atomic.Uint64 // of microseconds
}

func (s *nodeStats) done(took time.Duration, good bool) {
	s.calls.Add(1)
	if !good {
		s.failures.Add(1)
		return
	}
	us := uint64(max(took.Microseconds(), 0))
	s.buckets[min(bits.Len64(us), len(s.buckets)-1)].Add(1)
}

func (s *nodeStats) failed() {
	s.calls.Add(1)
	s.failures.Add(1)
}

// quantile is the upper end of the bucket in which a share of the times lies; 0
// without any.
func (s *nodeStats) quantile(q float64) time.Duration {
	var counts [40]uint64
	var sum uint64
	for i := range s.buckets {
		counts[i] = s.buckets[i].Load()
		sum += counts[i]
	}
	want := uint64(q * float64(sum))
	for i, n := range counts {
		if n > want {
			return time.Duration(1<<i) * time.Microsecond
		}
		want -= n
	}
	return 0
}

// known is how many times must have been seen before they say anything.
const known = 20

// slow is the 95th percentile of the times, and whether enough were seen.
func (s *nodeStats) slow() (time.Duration, bool) {
	if s.calls.Load()-s.failures.Load() < known {
		return 0, false
	}
	return s.quantile(0.95), true
}
