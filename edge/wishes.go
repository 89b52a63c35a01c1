package edge

import (
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// wishes takes in what the caller asks for itself: how long the exchange may
// take, and how much it matters. A wish can shorten our time, never lengthen it.
// What a stranger has no say in is gone from the fields already ([trust.apply]).
func wishes(r *message.Request) error {
	x := &r.X
	if v := r.Header.Value(message.XMaruPriority); v != "" {
		p, known := message.ParsePriority(v)
		if !known {
			return problem.New(400, "priority", "X-Maru-Priority is not high, normal, low or sheddable")
		}
		x.Priority = p
	}
	if v := r.Header.Value(message.GrpcTimeout); v != "" {
		d, ok := resilience.ParseGRPC(v)
		if !ok {
			return problem.New(400, "grpc_timeout", "grpc-timeout is not 1 to 8 digits and a unit")
		}
		hurry(x, d)
	}
	if v := r.Header.Value(message.XRequestTimeoutMs); v != "" {
		d, ok := resilience.ParseMillis(v)
		if !ok {
			return problem.New(400, "request_timeout", "X-Request-Timeout-Ms is not a number of milliseconds")
		}
		if !x.Stream && r.Upgrade == "" {
			hurry(x, d)
		}
	}
	return nil
}

// hurry makes d the time of the exchange where ours is longer.
func hurry(x *message.Exchange, d time.Duration) {
	if by := x.Began.Add(d); x.Deadline.IsZero() || by.Before(x.Deadline) {
		x.Deadline, x.CallerDeadline = by, true
	}
}
