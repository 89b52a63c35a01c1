package resilience

import (
	"strconv"
	"time"
)

// TimeoutConfig makes a [Timeouts].
type TimeoutConfig struct {
	// Total is for a call with all its tries and waits (default 15s), Try for
	// one try until its answer begins (default 5s).
	Total, Try time.Duration
}

// Timeouts turns the time-outs of a service into the deadline of a call: a
// budget that is set once, and only ever gets shorter.
type Timeouts struct{ total, try time.Duration }

// NewTimeouts makes a Timeouts.
func NewTimeouts(cfg TimeoutConfig) *Timeouts {
	return &Timeouts{orTime(cfg.Total, 15*time.Second), orTime(cfg.Try, 5*time.Second)}
}

// Deadline is the end of a call that began then. asked is what the caller gave
// it (0: nothing said); it can shorten ours, not lengthen it.
func (t *Timeouts) Deadline(began time.Time, asked time.Duration) time.Time {
	if asked > 0 && asked < t.total {
		return began.Add(asked)
	}
	return began.Add(t.total)
}

// Try is how long a try that begins now may take; false says that the time is
// used up and nothing is to be started.
func (t *Timeouts) Try(now, deadline time.Time) (time.Duration, bool) {
	left := deadline.Sub(now)
	return max(min(left, t.try), 0), left > 0
}

// Fits tells whether that many tries, each with its whole time, fit into the
// total: where they don't, the last ones will be cut short.
func (t *Timeouts) Fits(attempts int) bool {
	return time.Duration(attempts)*t.try <= t.total
}

// maxTimeout is the longest time that is read; more is no bound.
const maxTimeout = 24 * time.Hour

// ParseMillis reads X-Request-Timeout-Ms: decimal milliseconds, at least 1.
func ParseMillis(s string) (time.Duration, bool) { return digits(s, 15, time.Millisecond) }

// AppendMillis writes what is left, rounded down so that the next hop gives up first.
func AppendMillis(dst []byte, left time.Duration) []byte {
	return strconv.AppendInt(dst, max(left, 0).Milliseconds(), 10)
}

// ParseGRPC reads grpc-timeout: one to eight digits and a unit of H, M, S, m, u, n.
func ParseGRPC(s string) (time.Duration, bool) {
	if len(s) < 2 {
		return 0, false
	}
	var unit time.Duration
	switch s[len(s)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	return digits(s[:len(s)-1], 8, unit)
}

// AppendGRPC writes what is left as a grpc-timeout in milliseconds.
func AppendGRPC(dst []byte, left time.Duration) []byte {
	return append(strconv.AppendInt(dst, min(max(left, 0), maxTimeout).Milliseconds(), 10), 'm')
}

// digits reads at most size decimal digits of unit; more than a day is a day.
func digits(s string, size int, unit time.Duration) (time.Duration, bool) {
	if s == "" || len(s) > size {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	if n > int64(maxTimeout/unit) {
		return maxTimeout, true
	}
	return time.Duration(n) * unit, n > 0
}
