package aggregate

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// nodeStats is what was seen of one fetch: how often it was called and how long
// that took. Times are kept as counts, four to each power of two.
type nodeStats struct {
	calls, failures atomic.Uint64
	buckets         [numBuckets]atomic.Uint64 // of microseconds, see bucketOf
}

func (s *nodeStats) done(took time.Duration, good bool) {
	s.calls.Add(1)
	if !good {
		s.failures.Add(1)
		return
	}
	s.buckets[bucketOf(took)].Add(1)
}

// bucketOf is the number of a time's bucket: its power of two, and the next two
// bits. Times below 4 µs have one each.
func bucketOf(took time.Duration) int {
	us := uint64(max(took.Microseconds(), 0))
	if us < 4 {
		return int(us)
	}
	power := bits.Len64(us) - 3
	return min(power<<2+int(us>>power), numBuckets-1)
}

const numBuckets = 160

// bucketEnd is where a bucket ends.
func bucketEnd(i int) time.Duration {
	if i < 4 {
		return time.Duration(i+1) * time.Microsecond
	}
	power := i>>2 - 1
	return time.Duration(i&3+5) << power * time.Microsecond
}

func (s *nodeStats) failed() {
	s.calls.Add(1)
	s.failures.Add(1)
}

// quantile is the upper end of the bucket in which a share of the times lies; 0
// without any.
func (s *nodeStats) quantile(q float64) time.Duration {
	var counts [numBuckets]uint64
	var sum uint64
	for i := range s.buckets {
		counts[i] = s.buckets[i].Load()
		sum += counts[i]
	}
	want := uint64(q * float64(sum))
	for i, n := range counts {
		if n > want {
			return bucketEnd(i)
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
