package resilience

import (
	"math"
	"strconv"
	"time"
)

// What is left of a call's time travels with it, so that the next hop gives up
// no later than this one: as X-Request-Timeout-Ms, and with gRPC as
// grpc-timeout. Both are written rounded down.

// maxMillis is how many digits X-Request-Timeout-Ms may have.
const maxMillis = 15

// ParseMillis reads X-Request-Timeout-Ms: decimal milliseconds.
func ParseMillis(s string) (time.Duration, bool) { return digits(s, maxMillis, time.Millisecond) }

// AppendMillis writes what is left as X-Request-Timeout-Ms.
func AppendMillis(dst []byte, left time.Duration) []byte {
	return strconv.AppendInt(dst, max(left, 0).Milliseconds(), 10)
}

// units are those of grpc-timeout, the finest first.
var units = [...]struct { //nolint:gochecknoglobals // read-only table
	unit byte
	d    time.Duration
}{{'n', time.Nanosecond}, {'u', time.Microsecond}, {'m', time.Millisecond}, {'S', time.Second}, {'M', time.Minute}, {'H', time.Hour}}

// maxGRPC is how many digits grpc-timeout may have.
const maxGRPC = 8

// ParseGRPC reads grpc-timeout: one to eight digits and a unit of H, M, S, m, u,
// n (gRPC over HTTP/2, "Timeout").
func ParseGRPC(s string) (time.Duration, bool) {
	if len(s) < 2 {
		return 0, false
	}
	last := len(s) - 1
	for _, u := range units {
		if u.unit == s[last] {
			return digits(s[:last], maxGRPC, u.d)
		}
	}
	return 0, false
}

// AppendGRPC writes what is left as grpc-timeout, in the finest unit that eight
// digits hold.
func AppendGRPC(dst []byte, left time.Duration) []byte {
	const most = 99_999_999
	left = max(left, 0)
	for _, u := range units {
		if n := int64(left / u.d); n <= most {
			return append(strconv.AppendInt(dst, n, 10), u.unit)
		}
	}
	return append(strconv.AppendInt(dst, most, 10), 'H')
}

// digits reads at most size decimal digits of unit; more than a Duration holds
// is the longest of them.
func digits(s string, size int, unit time.Duration) (time.Duration, bool) {
	if s == "" || len(s) > size {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64, true
	}
	return time.Duration(n) * unit, true
}
