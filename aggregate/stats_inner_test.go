package aggregate

import (
	"testing"
	"time"
)

// Buckets follow one another without a gap, and none is wider than a quarter of
// where it begins.
func TestBucketsOfTimes(t *testing.T) {
	t.Parallel()
	last := 0
	for us := range time.Duration(1 << 20) {
		b := bucketOf(us * time.Microsecond)
		if b != last && b != last+1 {
			t.Fatalf("%d µs is in bucket %d, after %d", us, b, last)
		}
		if end := bucketEnd(b); us*time.Microsecond >= end {
			t.Fatalf("%d µs is in bucket %d, which ends at %v", us, b, end)
		} else if us > 8 && end > (us+us/4+1)*time.Microsecond {
			t.Fatalf("%d µs is in bucket %d, which ends at %v", us, b, end)
		}
		last = b
	}
	if bucketOf(time.Hour*24*365*100) != numBuckets-1 {
		t.Error("a very long time is not in the last bucket")
	}
	var s nodeStats
	for i := range 100 {
		s.done(time.Duration(i+1)*time.Millisecond, true)
	}
	if p := s.quantile(0.5); p < 50*time.Millisecond || p > 63*time.Millisecond {
		t.Errorf("the median of 1 to 100 ms is %v", p)
	}
}
