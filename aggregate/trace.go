package aggregate

import (
	"errors"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// CallRun is what one fetch did in one run.
type CallRun struct {
	// Began is when it had all that it waits for, counted from the start of the
	// run, and Took how long it was under way; both in milliseconds.
	Began float64 `json:"began_ms"`
	Took  float64 `json:"took_ms"`
	// Calls that were made, for Keys keys; 0 when nothing asked for any.
	Calls int `json:"calls"`
	Keys  int `json:"keys"`
	// Bytes of the answers' bodies, and how many answers were those of another
	// request's call under way.
	Bytes  int `json:"bytes"`
	Shared int `json:"shared,omitempty"`
	// Code is why it gave nothing (the first call that failed), "" when all is well.
	Code string `json:"code,omitempty"`
}

// Answer is what a traced run gave.
type Answer struct {
	Status int     `json:"status"`
	Took   float64 `json:"took_ms"`
	Bytes  int64   `json:"bytes"`
	// Partial is the field Maru-Partial.
	Partial string `json:"partial,omitempty"`
	// Detail says why there is no answer.
	Detail string `json:"detail,omitempty"`
}

// errUnsafe says that a plan is not run just to look at it.
var errUnsafe = errors.New("the view changes something: it is not run just to be looked at")

// Trace runs the plan for a request as [Plan.Run] does, throws the answer away and
// tells what each call took. A plan with a call that is not safe is not run.
func (p *Plan) Trace(r *message.Request) (*Explanation, error) {
	for _, f := range p.fetches {
		if !f.call.safe() {
			return nil, errUnsafe
		}
	}
	x := p.newRun(r)
	var err error
	if x.in, err = readInputs(p.inputs, r, x.in); err != nil {
		x.release()
		return nil, err
	}
	x.traced = true
	resp, err := x.respondAll()
	took := p.graph.env.Now().Sub(x.began)
	e := p.Explain()
	for i, f := range p.ordered() {
		e.Calls[i].Run = x.traceOf(&x.fetches[f.id])
	}
	e.Answer = &Answer{Took: ms(took)}
	if err != nil {
		x.release()
		why := problem.Of(err)
		e.Answer.Status, e.Answer.Detail = why.Status, why.Detail
		return &e, nil
	}
	e.Answer.Status, e.Answer.Bytes, e.Answer.Partial = resp.Status, resp.Length, resp.Header.Get("Maru-Partial")
	resp.Release() // and the run with it
	return &e, nil
}

// traceOf tells what a fetch did.
func (x *run) traceOf(s *fetchState) *CallRun {
	t := &CallRun{Took: ms(s.took), Calls: len(s.calls), Keys: s.keys.len(), Code: s.whole.code.String()}
	if !s.began.IsZero() {
		t.Began = ms(s.began.Sub(x.began))
	}
	for i := range s.calls {
		c := &s.calls[i]
		t.Bytes += len(c.body)
		if c.joined {
			t.Shared++
		}
		if t.Code == "" {
			t.Code = c.code.String()
		}
	}
	return t
}

// clocked makes the calls of a fetch and notes when.
func (x *run) clocked(s *fetchState) {
	if !x.traced {
		x.fetch(s)
		return
	}
	s.began = x.p.graph.env.Now()
	x.fetch(s)
	s.took = x.p.graph.env.Now().Sub(s.began)
}
