package edge

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// isGRPC tells whether the fields are of a gRPC message: application/grpc, with
// or without a subtype such as +proto, but not gRPC-Web.
func isGRPC(h *message.Header) bool {
	const media = "application/grpc"
	v := h.Value(message.ContentType)
	if len(v) < len(media) || !strings.EqualFold(v[:len(media)], media) {
		return false
	}
	return len(v) == len(media) || v[len(media)] == '+' || v[len(media)] == ';'
}

// grpcDeadline takes the client's own time-out into the exchange's deadline: the
// shorter one counts (gRPC over HTTP/2, "Timeout").
func grpcDeadline(r *message.Request) error {
	v := r.Header.Value(message.GrpcTimeout)
	if v == "" {
		return nil
	}
	d, ok := parseGRPCTimeout(v)
	if !ok {
		return problem.New(400, "grpc_timeout", "grpc-timeout is not 1 to 8 digits and a unit")
	}
	if by := r.X.Began.Add(d); r.X.Deadline.IsZero() || by.Before(r.X.Deadline) {
		r.X.Deadline = by
	}
	return nil
}

// grpcUnits are the units of grpc-timeout, the finest first.
var grpcUnits = [...]struct { //nolint:gochecknoglobals // read-only table
	unit byte
	d    time.Duration
}{{'n', time.Nanosecond}, {'u', time.Microsecond}, {'m', time.Millisecond}, {'S', time.Second}, {'M', time.Minute}, {'H', time.Hour}}

const maxGRPCDigits = 8

func parseGRPCTimeout(v string) (time.Duration, bool) {
	digits := len(v) - 1
	if digits < 1 || digits > maxGRPCDigits {
		return 0, false
	}
	n := int64(0)
	for i := range digits {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(v[i]-'0')
	}
	for _, u := range grpcUnits {
		if u.unit == v[digits] {
			if n > math.MaxInt64/int64(u.d) {
				return math.MaxInt64, true
			}
			return time.Duration(n) * u.d, true
		}
	}
	return 0, false
}

// stampGRPC tells the service how much time is left.
func stampGRPC(r *message.Request) {
	if r.X.Deadline.IsZero() || !isGRPC(&r.Header) {
		return
	}
	r.Header.SetID(message.GrpcTimeout, message.View(appendGRPCTimeout(r.X.Scratch(maxGRPCDigits+1), time.Until(r.X.Deadline))))
}

// appendGRPCTimeout writes d in the finest unit that 8 digits hold, never longer
// than it is.
func appendGRPCTimeout(b []byte, d time.Duration) []byte {
	const most = 99_999_999
	d = max(d, 0)
	for _, u := range grpcUnits {
		if n := int64(d / u.d); n <= most {
			return append(strconv.AppendInt(b, n, 10), u.unit)
		}
	}
	return append(strconv.AppendInt(b, most, 10), 'H')
}
