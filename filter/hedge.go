package filter

import (
	"fmt"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// Hedge asks a second endpoint when the first takes longer than nearly all
// requests do, and gives whichever answer comes first. It is for requests that
// may be sent twice and have no body. Short form: after.
type Hedge struct {
	// After is when the second request is sent (default the time that 95 % of the
	// service's tries of the last 10 s stayed within).
	After time.Duration `yaml:"after"`
}

// UnmarshalText reads after.
func (c *Hedge) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time; write one such as 50ms", text)
	}
	c.After = d
	return nil
}

type hedging struct {
	env    Env
	after  time.Duration
	budget *resilience.Budget
}

// Filter is the constructor.
func (c *Hedge) Filter(env Env) (Filter, error) {
	var f faults
	if c.After < 0 || c.After > time.Minute || c.After > 0 && c.After < time.Millisecond {
		f.at("after", "%v is not between 1ms and 1m", c.After).WithFix("write a time such as 50ms, or leave it out")
	}
	if env.To == "" {
		f.at("", "a hedge is for one service, and this leads to several or none").
			WithFix("write it among the filters of a service, or of a route with to:")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	h := &hedging{env: env, after: c.After}
	if env.Guard != nil {
		h.budget = env.Guard.Budget()
	} else {
		h.budget = keptBudget(&env, 0)
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return h.do(r, next) }
	}, nil
}

// delay is when a second request is worth sending; false says not at all.
func (h *hedging) delay(r *message.Request) (time.Duration, bool) {
	if !r.Idempotent() || r.HasBody() || r.Upgrade != "" || r.X.Stream {
		return 0, false
	}
	if v := r.Header.Value(message.XMaruAttempt); v != "" && v != "0" {
		return 0, false // one layer sends twice: whoever sent this does
	}
	if h.after > 0 {
		return h.after, true
	}
	if h.env.Guard == nil {
		return 0, false
	}
	return h.env.Guard.HedgeAfter()
}

// try is one of the two requests, and what came of it.
type try struct {
	q    *message.Request
	resp *message.Response
	err  error
	main bool // it is the first
}

// race is one exchange with its one or two tries.
type race struct {
	h       *hedging
	next    Func
	r       *message.Request
	twin    *message.Twin
	ended   chan *try
	running [2]*try
	hedged  bool // there were two
}

func (h *hedging) do(r *message.Request, next Func) (*message.Response, error) {
	wait, ok := h.delay(r)
	if !ok {
		return next(r)
	}
	gone := make(message.Gone)
	if err := r.X.OnCancel(gone); err != nil {
		return nil, err
	}
	defer r.X.OffCancel(gone)
	a := &race{h: h, next: next, r: r, twin: new(message.Twin), ended: make(chan *try, 2)}
	a.start(0)
	late := time.NewTimer(wait)
	defer late.Stop()
	for {
		select {
		case t := <-a.ended:
			if a.takes(t) {
				return a.give(t)
			}
		case <-late.C:
			if h.budget.Take() {
				h.env.Count("hedge", "sent")
				a.start(1)
			} else {
				h.env.Count("hedge", "budget")
			}
		case <-gone:
			a.abandon(r.X.Err())
			return nil, r.X.Err()
		}
	}
}

// start sends a copy of the request on a goroutine of its own: the loser must not
// hold up the answer.
func (a *race) start(i int) {
	q := copyRequest(a.r, func(message.ID) bool { return false })
	q.X.Twin = a.twin
	if i == 1 {
		a.hedged = true
		q.X.Retrying = true
		q.Header.SetID(message.XMaruAttempt, "1")
	}
	t := &try{q: q, main: i == 0}
	a.running[i] = t
	env, next, budget, ended := &a.h.env, a.next, a.h.budget, a.ended
	go func() {
		t.resp, t.err = guarded(env, next, q)
		if !t.main {
			budget.Give()
		}
		ended <- t
	}()
}

// takes tells whether t decides: it is good, or there is nothing else to come.
func (a *race) takes(t *try) bool {
	for i := range a.running {
		if a.running[i] == t {
			a.running[i] = nil
		}
	}
	other := a.running[0] != nil || a.running[1] != nil
	if !other || t.err == nil && t.resp.Status < 500 {
		return true
	}
	t.drop()
	return false
}

// give makes t's outcome that of the exchange, and ends the other try.
func (a *race) give(t *try) (*message.Response, error) {
	a.abandon(errOutrun)
	if !t.main {
		a.h.env.Count("hedge", "won")
	}
	x, from := &a.r.X, trailOf(&t.q.X)
	from.copyTo(x)
	if a.hedged {
		x.Attempts++
	}
	if t.err != nil {
		err := own(t.err)
		x.Reason, x.Cause = t.q.X.Reason, t.q.X.Cause
		t.q.Release()
		return nil, err
	}
	hand(t.resp, t.q)
	adopt(t.resp, x)
	return t.resp, nil
}

// errOutrun ends a try whose twin was quicker. Its endpoint is not to blame.
var errOutrun = problem.New(499, "outrun", "another endpoint was quicker")

// abandon ends the tries under way; what they still give is thrown away.
func (a *race) abandon(cause error) {
	left := 0
	for _, t := range a.running {
		if t != nil {
			t.q.X.Cancel(cause)
			left++
		}
	}
	if left == 0 {
		return
	}
	ended := a.ended
	go func() {
		for range left {
			(<-ended).drop()
		}
	}()
}

// drop gives back what nobody gets.
func (t *try) drop() {
	if t.resp != nil {
		t.resp.Release()
	}
	t.q.Release()
}
