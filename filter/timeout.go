package filter

import (
	"fmt"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Timeout shortens the time an exchange may take. It only ever shortens: what a
// route, a caller's deadline or a filter before it allows is never made longer.
// Short form: the total.
type Timeout struct {
	// Total is for the whole exchange from its first byte, retries included (no default).
	Total time.Duration `yaml:"total"`
	// Try is for one try at the service (no default).
	Try time.Duration `yaml:"try"`
	// Idle is the longest silence inside a body, for streams (no default).
	Idle time.Duration `yaml:"idle"`
}

// UnmarshalText reads the total.
func (c *Timeout) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time; write one such as 800ms or 10s", text)
	}
	c.Total = d
	return nil
}

// Filter is the constructor.
func (c *Timeout) Filter(env Env) (Filter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	total, try, idle := c.Total, c.Try, c.Idle
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			x := &r.X
			now := env.Now()
			if total > 0 {
				from := x.Began
				if from.IsZero() {
					from = now
				}
				if end := from.Add(total); x.Deadline.IsZero() || end.Before(x.Deadline) {
					x.Deadline = end
				}
			}
			x.TryTimeout = shorter(x.TryTimeout, try)
			x.IdleTimeout = shorter(x.IdleTimeout, idle)
			if !x.Deadline.IsZero() && !now.Before(x.Deadline) {
				// Work that nobody waits for is not started.
				return nil, problem.New(504, "deadline", "the time for this request is over")
			}
			return next(r)
		}
	}, nil
}

// check finds times that can't be meant.
func (c *Timeout) check() error {
	var f faults
	for _, d := range []struct {
		path string
		d    time.Duration
	}{{"total", c.Total}, {"try", c.Try}, {"idle", c.Idle}} {
		if d.d < 0 || d.d > 0 && d.d < time.Millisecond {
			f.at(d.path, "%v is too short to be meant", d.d).WithFix("write a time with its unit, such as 800ms or 10s")
		}
	}
	if c.Total == 0 && c.Try == 0 && c.Idle == 0 {
		f.at("", "timeout sets nothing").WithFix("write timeout: 5s, or total, try or idle")
	}
	if c.Total > 0 && c.Try > c.Total {
		f.at("try", "a try of %v can't fit into a total of %v", c.Try, c.Total).WithFix("make try shorter than total")
	}
	return f.join()
}

// shorter gives the shorter of two times, of which 0 means none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
