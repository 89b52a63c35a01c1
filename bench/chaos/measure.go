package main

import (
	"slices"
	"time"
)

// phases are the moments of a scenario, from the start of its load.
type phases struct {
	healthy, fault, healed, end time.Duration
}

// late is when the fault must not be felt any more.
func (p phases) late() time.Duration { return p.fault + settle }

const (
	warmUp = time.Second
	settle = 2 * time.Second
	// calm is how long all must be well to count as recovered.
	calm = 2 * time.Second
)

// tally is what became of the calls of a stretch of time.
type tally struct {
	calls, failed, fallback int
	p50, p99                time.Duration // of the calls that were answered as they should
}

// count tallies the calls due in [from, to).
func count(calls []call, from, to time.Duration) tally {
	var t tally
	var times []time.Duration
	for i := range calls {
		c := &calls[i]
		if c.due < from || c.due >= to {
			continue
		}
		t.calls++
		switch {
		case c.ok():
			times = append(times, c.took)
		case c.fallback:
			t.fallback++
		default:
			t.failed++
		}
	}
	slices.Sort(times)
	t.p50, t.p99 = quantile(times, 0.50), quantile(times, 0.99)
	return t
}

// quantile is the smallest time that at least a share q of the sorted times does
// not exceed; 0 without any.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := int(q * float64(len(sorted)))
	if float64(n) < q*float64(len(sorted)) {
		n++
	}
	return sorted[max(n, 1)-1]
}

// never stands for a moment that did not come.
const never = time.Duration(-1)

// recovered is the time from the end of the fault until all was well: no call
// failed any more, and for [calm] the p99 was at most 1.5 times the healthy one
// while each of the endpoints had its part. It is never when that did not come.
func recovered(calls []call, p phases, healthy time.Duration) time.Duration {
	lastBad := p.healed
	for i := range calls {
		if c := &calls[i]; c.due >= p.healed && !c.ok() {
			lastBad = max(lastBad, c.due+1)
		}
	}
	const step = 250 * time.Millisecond
	for from := p.healed; from+calm <= p.end; from += step {
		t := count(calls, from, from+calm)
		if t.calls > 0 && float64(t.p99) <= 1.5*float64(healthy) && t.failed+t.fallback == 0 && allServe(calls, from, from+calm) {
			return max(from, lastBad) - p.healed
		}
	}
	return never
}

// allServe tells whether each endpoint answered some of the calls due in [from,
// to): one in thirty at least.
func allServe(calls []call, from, to time.Duration) bool {
	by, all := make(map[byte]int), 0
	for i := range calls {
		if c := &calls[i]; c.due >= from && c.due < to && c.ok() {
			by[c.endpoint]++
			all++
		}
	}
	for i := range endpoints {
		if by[byte('1'+i)]*30 < all {
			return false
		}
	}
	return true
}

// attempts are what reached the backends, by slots of [slotTime] from the start
// of the load.
type attempts []int

// attemptsOf sorts the backends' slots, which they count by the wall clock.
func attemptsOf(slots map[int64]int, began time.Time, long time.Duration) attempts {
	first := began.UnixNano() / int64(slotTime)
	out := make(attempts, int(long/slotTime)+1)
	for slot, n := range slots {
		if i := slot - first; i >= 0 && i < int64(len(out)) {
			out[i] += n
		}
	}
	return out
}

// between sums the attempts of [from, to).
func (a attempts) between(from, to time.Duration) int {
	sum := 0
	for i := int(from / slotTime); i < int(to/slotTime) && i < len(a); i++ {
		sum += a[i]
	}
	return sum
}

// worst is the most attempts per call in any whole second of [from, to).
func (a attempts) worst(calls []call, from, to time.Duration) float64 {
	most := 0.0
	for t := from; t+time.Second <= to; t += time.Second {
		due := 0
		for i := range calls {
			if c := &calls[i]; c.due >= t && c.due < t+time.Second {
				due++
			}
		}
		if due > 0 {
			most = max(most, float64(a.between(t, t+time.Second))/float64(due))
		}
	}
	return most
}

// quiet is the time from the start of the fault until next to nothing reached
// the backends for half a second: a tenth of the rate at most.
func (a attempts) quiet(p phases, rate float64) time.Duration {
	const long = 500 * time.Millisecond
	for from := p.fault; from+long <= p.healed; from += slotTime {
		if float64(a.between(from, from+long)) <= rate*long.Seconds()/10 {
			return from - p.fault
		}
	}
	return never
}

// lateness is the p99 of how late calls left: what else the machine had to do.
func lateness(calls []call) time.Duration {
	times := make([]time.Duration, len(calls))
	for i := range calls {
		times[i] = calls[i].late
	}
	slices.Sort(times)
	return quantile(times, 0.99)
}

// ofKind keeps the calls of one kind.
func ofKind(calls []call, k kind) []call {
	var out []call
	for i := range calls {
		if calls[i].kind == k {
			out = append(out, calls[i])
		}
	}
	return out
}
