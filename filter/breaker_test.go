package filter

import (
	"errors"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

func TestBreakerConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "breaker", [][2]string{
		{`{"like": "histrix"}`, "like"},
		{`{"volume": -1}`, "volume"},
		{`{"errors": 101}`, "errors"},
		{`{"slow-calls": -2}`, "slow-calls"},
		{`{"slow": "-1s"}`, "slow"},
		{`{"open": "1us"}`, "open"},
		{`{"mode": "opened"}`, "mode"},
	})
	if f, err := new(Breaker).Filter(Bare()); err == nil || f != nil {
		t.Error("a breaker that guards nothing was taken")
	}
	takes(t, "breaker", "{}", `{"like": "hystrix", "name": "mine", "volume": 5, "errors": 30, "slow-calls": -1, "slow": "2s", "open": "1s", "mode": "observe"}`)
}

// Routes to one service share the state, a named one has its own, and a changed
// service begins anew.
func TestBreakerIsTheServices(t *testing.T) {
	t.Parallel()
	kept := make(map[string]any)
	env := Bare()
	env.To, env.ToKey = "shop", "shop 1"
	env.Keep = func(key string, mk func() any) any {
		if kept[key] == nil {
			kept[key] = mk()
		}
		return kept[key]
	}
	down := func(*message.Request) (*message.Response, error) { return nil, problem.New(502, "reset", "") }
	through := func(c Breaker, route, key string) string {
		e := env
		e.Route, e.ToKey = route, key
		f, err := c.Filter(e)
		if err != nil {
			t.Fatal(err)
		}
		r := ask("GET", "/")
		defer r.Release()
		_, err = f(down)(r)
		return problem.Of(err).Reason
	}
	for i, c := range []struct {
		config     Breaker
		route, key string
		want       string
	}{
		{Breaker{Volume: 1}, "a", "shop 1", "reset"},
		{Breaker{Volume: 1}, "b", "shop 1", "breaker_open"},
		{Breaker{Volume: 1, Name: "b"}, "b", "shop 1", "reset"},
		{Breaker{Volume: 1}, "a", "shop 2", "reset"},
	} {
		if got := through(c.config, c.route, c.key); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		want   resilience.Outcome
	}{
		{nil, 200, resilience.Success},
		{nil, 101, resilience.Success},
		{nil, 404, resilience.BadRequest},
		{nil, 500, resilience.Failure},
		{nil, 504, resilience.Failure},
		{problem.New(504, "head_timeout", ""), 0, resilience.Timeout},
		{problem.New(502, "reset", ""), 0, resilience.Failure},
		{problem.New(503, "overloaded", ""), 0, resilience.Rejected},
		{problem.New(503, "bulkhead_full", ""), 0, resilience.Rejected},
		{problem.New(503, "breaker_open", ""), 0, resilience.ShortCircuited},
		{problem.New(499, "client_abort", ""), 0, resilience.Cancelled},
		{problem.New(413, "too_large", ""), 0, resilience.BadRequest},
		{errors.New("what"), 0, resilience.Failure},
	} {
		var resp *message.Response
		if c.err == nil {
			resp = message.NewResponse(c.status)
		}
		r := ask("GET", "/")
		if got := outcomeOf(&r.X, resp, c.err); got != c.want {
			t.Errorf("%v %d: %v, want %v", c.err, c.status, got, c.want)
		}
		r.X.Cancel(message.ErrClientGone)
		if got := outcomeOf(&r.X, resp, c.err); c.err != nil && got != resilience.Cancelled {
			t.Errorf("%v given up: %v", c.err, got)
		}
		r.Release()
	}
}

// A panic behind the breaker is a failure and gives its permit back.
func TestBreakerPanic(t *testing.T) {
	t.Parallel()
	env := Bare()
	env.To = "shop"
	f, err := (&Breaker{Volume: 1}).Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	chain := f(func(*message.Request) (*message.Response, error) { panic("behind it") })
	r := ask("GET", "/")
	defer r.Release()
	func() {
		defer func() { _ = recover() }()
		_, _ = chain(r)
	}()
	if _, err := chain(r); problem.Of(err).Reason != "breaker_open" {
		t.Error(err)
	}
}
