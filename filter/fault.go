package filter

import (
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Fault makes requests fail or slow on purpose, to see what clients do then. It
// works on one listener, which it names and which must not be the public one;
// requests of other listeners pass untouched.
type Fault struct {
	// Listener is the one whose requests are meant (required; never public).
	Listener string `yaml:"listener"`
	// Percent of the requests that are hit (default 100).
	Percent *float64 `yaml:"percent"`
	// Header limits it to requests with this field, "Name" or "Name: value"
	// (default all).
	Header string `yaml:"header"`
	// Delay is how long a request is held before it goes on (default none).
	Delay time.Duration `yaml:"delay"`
	// Abort answers with this status in the service's place (default none).
	Abort int `yaml:"abort"`
	// Bandwidth is how many bytes of the response pass in a second, such as
	// 16KiB (default all).
	Bandwidth message.Size `yaml:"bandwidth"`
}

type faulting struct {
	env         Env
	c           Fault
	share       float64
	name, value string
}

// Filter is the constructor.
func (c *Fault) Filter(env Env) (Filter, error) {
	var f faults
	t := &faulting{env: env, c: *c, share: 1}
	switch c.Listener {
	case "":
		f.at("listener", "a fault needs the listener whose requests it may hit").WithFix("write listener: private, the name of one that is not public")
	case "public":
		f.at("listener", "faults are not made on the public listener").WithFix("add a listener on loopback, and name it here")
	}
	if c.Percent != nil {
		t.share = *c.Percent / 100
		if *c.Percent < 0 || *c.Percent > 100 {
			f.at("percent", "%v is not between 0 and 100", *c.Percent).WithFix("write one such as 10")
		}
	}
	if c.Header != "" {
		t.name, t.value, _ = strings.Cut(c.Header, ":")
		t.value = strings.TrimSpace(t.value)
		if !message.ValidToken(t.name) {
			f.at("header", "%q is not a field name", t.name).WithFix("write Name, or Name: value")
		}
	}
	f.span("delay", c.Delay)
	if c.Abort != 0 && (c.Abort < 400 || c.Abort > 599 || c.Abort == 499) {
		f.at("abort", "%d is no status of an error", c.Abort).WithFix("write one such as 503")
	}
	if c.Delay == 0 && c.Abort == 0 && c.Bandwidth <= 0 {
		f.at("", "fault does nothing").WithFix("add delay, abort or bandwidth")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return t.do(r, next) }
	}, nil
}

// hits tells whether this request is meant.
func (t *faulting) hits(r *message.Request) bool {
	if r.X.Listener != t.c.Listener {
		return false
	}
	if t.name != "" {
		if v, ok := r.Header.Lookup(t.name); !ok || t.value != "" && v != t.value {
			return false
		}
	}
	return t.share >= 1 || t.env.Float() < t.share
}

func (t *faulting) do(r *message.Request, next Func) (*message.Response, error) {
	if !t.hits(r) {
		return next(r)
	}
	if t.c.Delay > 0 {
		t.env.Count("fault", "delay")
		if err := t.hold(&r.X); err != nil {
			return nil, err
		}
	}
	if t.c.Abort > 0 {
		t.env.Count("fault", "abort")
		return nil, problem.New(t.c.Abort, "fault", "this failure was asked for by the configuration")
	}
	resp, err := next(r)
	if err == nil && t.c.Bandwidth > 0 && resp.Status >= 200 && resp.Body != message.NoBody {
		t.env.Count("fault", "bandwidth")
		resp.Body = &narrowBody{Body: resp.Body, x: &r.X, rate: int64(t.c.Bandwidth)}
	}
	return resp, err
}

// hold waits for the delay, or for the end of the exchange's time.
func (t *faulting) hold(x *message.Exchange) error {
	wait, late := t.c.Delay, false
	if !x.Deadline.IsZero() {
		if left := x.Deadline.Sub(t.env.Now()); left <= wait {
			wait, late = left, true
		}
	}
	if err := x.Wait(wait); err != nil {
		return err
	}
	if late {
		return problem.New(504, "exchange_timeout", "the time for this request is used up")
	}
	return nil
}

// narrowBody lets rate bytes through in a second, a tenth of them at once.
type narrowBody struct {
	message.Body

	x    *message.Exchange
	rate int64
}

func (b *narrowBody) Read(p []byte) (int, error) {
	if most := max(b.rate/10, 1); int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.Body.Read(p)
	if n == 0 || err != nil {
		return n, err
	}
	return n, b.x.Wait(time.Duration(n) * time.Second / time.Duration(b.rate))
}
