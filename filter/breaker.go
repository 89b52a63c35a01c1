package filter

import (
	"fmt"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// Breaker refuses requests to a service while most of them would fail or be
// slow, and lets a few through from time to time to see whether it is back. The
// state belongs to the service, so that all its routes share what was learnt.
type Breaker struct {
	// Name gives a route a breaker of its own (default: the service's, shared).
	Name string `yaml:"name"`
	// Like "hystrix" takes Hystrix' defaults: 10 s, 20 requests, 50 %, 5 s
	// (default none).
	Like string `yaml:"like"`
	// Volume is how many outcomes a window of 1 s or 10 s needs to count (default 20).
	Volume int `yaml:"volume"`
	// Errors is the percentage of errors that opens (default 50).
	Errors int `yaml:"errors"`
	// SlowCalls is the percentage of slow calls that opens (default 80; -1 turns it off).
	SlowCalls int `yaml:"slow-calls"`
	// Slow is the least time that counts as slow (default 1s; five times the
	// service's median where that is more).
	Slow time.Duration `yaml:"slow"`
	// Open is how long it stays open first (default 2s); doubled to at most 8s.
	Open time.Duration `yaml:"open"`
	// Mode is "auto" (default), "forced-open", "forced-closed" or "observe",
	// which counts and never opens.
	Mode string `yaml:"mode"`
}

type breaking struct {
	env   Env
	state *resilience.Breaker
}

// Filter is the constructor.
func (c *Breaker) Filter(env Env) (Filter, error) {
	var f faults
	cfg := resilience.BreakerConfig{}
	if c.Like != "" {
		f.oneOf("like", c.Like, "hystrix")
		cfg = resilience.Hystrix()
	}
	if c.Volume < 0 || c.Volume > 100_000 {
		f.at("volume", "%d is not between 1 and 100000", c.Volume).WithFix("write one such as 20")
	}
	if c.Errors < 0 || c.Errors > 100 {
		f.at("errors", "%d is not between 1 and 100", c.Errors).WithFix("write one such as 50")
	}
	if c.SlowCalls < -1 || c.SlowCalls > 100 {
		f.at("slow-calls", "%d is not between 1 and 100", c.SlowCalls).WithFix("write one such as 80, or -1 for none")
	}
	f.span("slow", c.Slow)
	f.span("open", c.Open)
	mode, known := breakerModes()[c.Mode]
	if !known {
		f.oneOf("mode", c.Mode, sortedKeys(breakerModes())[1:]...)
	}
	if env.To == "" {
		f.at("", "a breaker guards one service, and this leads to several or none").
			WithFix("write it among the filters of a service, or of a route with to:")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	c.apply(&cfg)
	cfg.Now, cfg.Float = env.Now, env.Float
	b := &breaking{env: env}
	b.state, _ = env.Keep(stateKey(&env, "breaker", fmt.Sprintf("%+v", *c)), func() any {
		s := resilience.NewBreaker(cfg)
		s.SetMode(mode)
		return s
	}).(*resilience.Breaker)
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return b.do(r, next) }
	}, nil
}

// span checks a time that may be left out.
func (f *faults) span(path string, d time.Duration) {
	if d < 0 || d > 10*time.Minute || d > 0 && d < time.Millisecond {
		f.at(path, "%v is not between 1ms and 10m", d).WithFix("write a time such as 2s")
	}
}

// apply lays what is written over the defaults.
func (c *Breaker) apply(cfg *resilience.BreakerConfig) {
	if c.Volume != 0 {
		cfg.Volume = c.Volume
	}
	if c.Errors != 0 {
		cfg.ErrorPercent = c.Errors
	}
	if c.SlowCalls != 0 {
		cfg.SlowPercent = c.SlowCalls
	}
	if c.Slow != 0 {
		cfg.Slow = c.Slow
	}
	if c.Open != 0 {
		cfg.Open = c.Open
	}
}

func breakerModes() map[string]resilience.Mode {
	return map[string]resilience.Mode{
		"": resilience.Auto, "auto": resilience.Auto, "forced-open": resilience.ForcedOpen,
		"forced-closed": resilience.ForcedClosed, "observe": resilience.Observe,
	}
}

func (b *breaking) do(r *message.Request, next Func) (resp *message.Response, err error) {
	permit, ok := b.state.Allow()
	if !ok {
		b.env.Count("breaker", "open")
		p := problem.New(503, "breaker_open", "service "+b.env.To+" is failing and is left alone for a moment")
		p.RetryAfter = max(b.state.Wait(), time.Second)
		return nil, p
	}
	end := resilience.Failure // also of a panic
	defer func() { permit.Done(end) }()
	resp, err = next(r)
	end = outcomeOf(&r.X, resp, err)
	return resp, err
}

// outcomeOf judges a call as its caller would.
func outcomeOf(x *message.Exchange, resp *message.Response, err error) resilience.Outcome {
	status, reason := 0, ""
	if err != nil {
		p := problem.Of(err)
		status, reason = p.Status, p.Reason
	} else {
		status = resp.Status
	}
	switch {
	case reason == "client_abort" || err != nil && x.Err() != nil:
		return resilience.Cancelled
	case reason == "overloaded" || reason == "bulkhead_full":
		return resilience.Rejected
	case reason == "breaker_open":
		return resilience.ShortCircuited
	case err != nil && status == 504:
		return resilience.Timeout
	case status >= 500:
		return resilience.Failure
	case status >= 400:
		return resilience.BadRequest
	}
	return resilience.Success
}
