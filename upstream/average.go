package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// The averages keep a value and the second of its last change in one word, so
// that recording is one load in the common case and one compare-and-swap else.
// A precision of one second is enough for a time constant of ten.

// decaySteps is how many seconds of decay the table knows; after them less than
// a thousandth is left.
const decaySteps = 70

// decayTable holds exp(-t/10s) for t in whole seconds.
var decayTable = func() (t [decaySteps]float32) { //nolint:gochecknoglobals // read-only table
	for i := range t {
		t[i] = float32(math.Exp(-float64(i) / 10))
	}
	return t
}()

// decay is what is left after the seconds between two stamps.
func decay(from, to uint32) float32 {
	if to <= from {
		return 1
	}
	if to-from >= decaySteps {
		return 0
	}
	return decayTable[to-from]
}

func pack(v float32, sec uint32) uint64 { return uint64(math.Float32bits(v))<<32 | uint64(sec) }

func unpack(w uint64) (v float32, sec uint32) {
	return math.Float32frombits(uint32(w >> 32)), uint32(w)
}

// latency is a peak-sensitive moving average in nanoseconds: a sample above it
// replaces it at once, one below pulls it down with a time constant of 10 s.
type latency struct{ w atomic.Uint64 }

// observe records a sample at second sec, which is never 0.
func (l *latency) observe(sample float32, sec uint32) {
	for {
		old := l.w.Load()
		v, at := unpack(old)
		next := sample
		if at != 0 && sample < v {
			if sec <= at {
				return
			}
			next = sample + (v-sample)*decay(at, sec)
		}
		if l.w.CompareAndSwap(old, pack(next, max(sec, at))) {
			return
		}
	}
}

// value is the average at second sec; known is false before the first sample.
// Without samples a high value returns to the median, or a spike would keep an
// endpoint out for ever.
func (l *latency) value(sec uint32, median float32) (v float32, known bool) {
	v, at := unpack(l.w.Load())
	if at == 0 {
		return median, false
	}
	if v > median && sec > at+1 {
		v = median + (v-median)*decay(at, sec)
	}
	return v, true
}

// success is the moving share of good answers, 1 at the start. Each outcome
// weighs a tenth; without outcomes it returns to 1 with a time constant of 10 s.
type success struct{ w atomic.Uint64 }

const (
	successStep  = 0.1
	successFloor = 0.01
)

func (s *success) observe(good bool, sec uint32) {
	for {
		old := s.w.Load()
		v, at := unpack(old)
		if at == 0 {
			if good {
				return
			}
			v, at = 1, sec
		}
		v = 1 - (1-v)*decay(at, sec)
		goal := float32(0)
		if good {
			goal = 1
		}
		v += (goal - v) * successStep
		next := pack(v, max(sec, at))
		if v > 0.999 {
			next = 0
		}
		if s.w.CompareAndSwap(old, next) {
			return
		}
	}
}

// value is the share at second sec, never below successFloor.
func (s *success) value(sec uint32) float32 {
	v, at := unpack(s.w.Load())
	if at == 0 {
		return 1
	}
	return max(1-(1-v)*decay(at, sec), successFloor)
}

// second is the stamp of a moment: whole seconds since the epoch of the
// cluster, plus one so that it is never 0.
func second(sinceBorn time.Duration) uint32 {
	if sinceBorn < 0 {
		return 1
	}
	return uint32(sinceBorn/time.Second) + 1
}
