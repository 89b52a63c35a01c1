package filter

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// Bulkhead bounds the requests to a service that are under way at once, so that
// one that is slow can't hold everything. A few wait for a place, for a quarter
// of the time they have left; the rest get 503. Short form: the limit.
type Bulkhead struct {
	// Limit is how many may be under way, body included; "auto" finds it from
	// the service's times (default auto).
	Limit string `yaml:"limit"`
	// Queue is how many may wait (default half of the limit; -1 for none).
	Queue int `yaml:"queue"`
	// Min is the least that auto finds (default 10).
	Min int `yaml:"min"`
	// Max is the most that auto finds (default 10000).
	Max int `yaml:"max"`
}

// UnmarshalText reads the limit.
func (c *Bulkhead) UnmarshalText(text []byte) error {
	c.Limit = string(text)
	return nil
}

// bulkState is what belongs to the service.
type bulkState struct {
	places *resilience.Bulkhead
	limit  *resilience.Limit
	owners sync.Pool
}

type bulkheading struct {
	env   Env
	state *bulkState
}

// queuePatience is how long a request without a deadline waits.
const queuePatience = time.Second

// Filter is the constructor.
func (c *Bulkhead) Filter(env Env) (Filter, error) {
	var f faults
	cfg := resilience.LimitConfig{Min: c.Min, Max: c.Max, Now: env.Now}
	if c.Limit != "" && c.Limit != "auto" {
		n, err := strconv.Atoi(c.Limit)
		if err != nil || n < 1 || n > 1_000_000 {
			f.at("limit", "%q is not auto, nor between 1 and 1000000", c.Limit).WithFix("write one such as 100, or auto")
		}
		if c.Min != 0 || c.Max != 0 {
			f.at("min", "min and max are for auto, and the limit is %s", c.Limit).WithFix("remove them, or write limit: auto")
		}
		cfg.Algorithm, cfg.Initial = resilience.Fixed, n
	}
	if c.Min < 0 || c.Max < 0 || c.Max > 0 && max(c.Min, 1) > c.Max {
		f.at("max", "%d to %d is no range", c.Min, c.Max).WithFix("write a max above min")
	}
	if c.Queue < -1 || c.Queue > 1_000_000 {
		f.at("queue", "%d is not between 1 and 1000000", c.Queue).WithFix("write one such as 50, or -1 for none")
	}
	if env.To == "" {
		f.at("", "a bulkhead guards one service, and this leads to several or none").
			WithFix("write it among the filters of a service, or of a route with to:")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	b := &bulkheading{env: env}
	b.state, _ = env.Keep(stateKey(&env, "bulkhead", fmt.Sprintf("%+v", *c)), func() any {
		s := &bulkState{limit: resilience.NewLimit(cfg)}
		s.places = resilience.NewBulkhead(resilience.BulkheadConfig{Limit: s.limit.Limit(), Queue: c.Queue, Now: env.Now})
		s.owners.New = func() any { return new(place) }
		return s
	}).(*bulkState)
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return b.do(r, next) }
	}, nil
}

func (b *bulkheading) do(r *message.Request, next Func) (resp *message.Response, err error) {
	s := b.state
	if !s.places.TryEnter() {
		if err := b.wait(r); err != nil {
			return nil, err
		}
	}
	s.limit.Begin()
	began := b.env.Now()
	end := resilience.Failure // also of a panic
	defer func() {
		s.limit.Done(end, b.env.Now().Sub(began))
		if resp == nil {
			s.leave()
		}
	}()
	resp, err = next(r)
	if end = outcomeOf(&r.X, resp, err); err == nil && end == resilience.Failure {
		end = resilience.BadRequest // an answer, though an error: no sample, and not lost
	}
	if resp != nil {
		p, _ := s.owners.Get().(*place)
		p.state, p.inner = s, resp.Owner
		resp.Owner = p
	}
	return resp, err
}

// leave gives a place back, and tells the places what the limit is now.
func (s *bulkState) leave() {
	s.places.Leave()
	if n := s.limit.Limit(); n != s.places.Limit() {
		s.places.SetLimit(n)
	}
}

// wait waits for a place.
func (b *bulkheading) wait(r *message.Request) error {
	patience := queuePatience
	if d := r.X.Deadline; !d.IsZero() {
		patience = resilience.Patience(d.Sub(b.env.Now()))
	}
	g := make(message.Gone)
	if err := r.X.OnCancel(g); err != nil {
		return err
	}
	defer r.X.OffCancel(g)
	err := b.state.places.Enter(g, patience)
	switch {
	case err == nil:
		b.env.Count("bulkhead", "waited")
		return nil
	case errors.Is(err, resilience.ErrGivenUp):
		return r.X.Err()
	case errors.Is(err, resilience.ErrWaited):
		b.env.Count("bulkhead", "waited_in_vain")
	default:
		b.env.Count("bulkhead", "full")
	}
	p := problem.Wrap(err, 503, "bulkhead_full", "service "+b.env.To+" has as many requests as it takes")
	p.RetryAfter = time.Second
	return p
}

// place is held by a response until it is released.
type place struct {
	state *bulkState
	inner message.Owner
}

// ReleaseResponse gives the place back, and the response to its owner.
func (p *place) ReleaseResponse(r *message.Response, complete bool) {
	s, inner := p.state, p.inner
	p.state, p.inner = nil, nil
	s.owners.Put(p)
	if inner != nil {
		inner.ReleaseResponse(r, complete)
	} else {
		r.Release() // it has no owner now, and goes back to its pool
	}
	s.leave()
}
