package filter

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// This file holds what cache and coalesce share: one call to the service that
// several exchanges wait for.
//
// The flow: an exchange joins the flight of its key. The first one leads: the
// call runs on a goroutine of its own with a copy of its request, so that a
// client that leaves stops nothing. Everyone waits for the head. Then each looks
// at the outcome and either answers from it, goes alone, or tries again.

const (
	maxFollowers = 10_000
	headWait     = 5 * time.Second // of a follower, over all its tries
	// maxOrphans is how many calls may go on for nobody: clients that ask for
	// much and leave must not pile up work.
	maxOrphans = 256
)

// flightTable holds the flights that can be joined.
type flightTable struct {
	mu      sync.Mutex
	open    map[string]*flight
	orphans int
}

// flight is one call to the service.
type flight struct {
	key    string
	urlLen int
	done   chan struct{} // closed once out is set
	out    outcome
	doomed atomic.Bool       // a purge may mean what comes: it is not stored
	call   *message.Exchange // of the leader's call, until it has landed

	// Under the table's lock:
	waiters    int
	leaderGone bool
	orphan     bool
	landed     bool
}

// outcomeKind says what became of a flight.
type outcomeKind uint8

const (
	outcomeFailed    outcomeKind = iota // no answer, or one of 5xx
	outcomeAlone                        // an answer for the leader only
	outcomeFill                         // a body on its way, for all
	outcomeValidated                    // a stored response, fresh again
)

// outcome is the result of a flight. All but resp and cookies is for everybody.
type outcome struct {
	kind    outcomeKind
	fill    *cacheFill
	obj     *cacheObject
	status  int               // that the service answered
	reason  string            // why it can't be shared
	resp    *message.Response // for the leader, or nil
	cookies []message.Field   // Set-Cookie of a 304, for the leader
	err     error
	trail   trail
}

// trail is what a call left in its exchange for log and metrics.
type trail struct {
	route, service, endpoint string
	attempts                 int
	phases                   [message.NumPhases]time.Duration
}

func trailOf(x *message.Exchange) trail {
	return trail{x.Route, x.Service, x.Endpoint, x.Attempts, x.Phases}
}

func (t *trail) copyTo(x *message.Exchange) {
	// The route is found behind a filter of a listener.
	x.Route, x.Service, x.Endpoint, x.Attempts = t.route, t.service, t.endpoint, t.attempts
	for _, p := range []message.Phase{message.PhaseRoute, message.PhaseFilters, message.PhaseConnect, message.PhaseSent, message.PhaseHead} {
		x.Phases[p] = t.phases[p]
	}
}

func (f *flight) url() string { return f.key[:f.urlLen] }

// mayHaveTag tells whether a purge by tag can mean what the flight brings.
func (f *flight) mayHaveTag(tag string) bool {
	select {
	case <-f.done:
	default:
		return true // not known yet
	}
	if f.out.fill == nil {
		return false
	}
	return slices.Contains(f.out.fill.obj.tags, tag)
}

// join takes part in the flight of a key. It gives nil when there is no place
// left. After a landed flight's fill, the caller is announced as its reader.
func (t *flightTable) join(key []byte, urlLen int) (f *flight, leads bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f = t.open[string(key)]
	switch {
	case f == nil:
		f = &flight{key: string(key), urlLen: urlLen, done: make(chan struct{}), waiters: 1}
		t.open[f.key] = f
		return f, true
	case f.landed:
		if !f.out.fill.enter() {
			return nil, false
		}
	case f.waiters > maxFollowers:
		return nil, false
	default:
		f.waiters++
		if f.orphan { // somebody wants it after all
			f.orphan = false
			t.orphans--
		}
	}
	return f, false
}

// lead opens a flight unless there is one; the opener does not wait for it.
func (t *flightTable) lead(key []byte, urlLen int) *flight {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[string(key)] != nil {
		return nil
	}
	f := &flight{key: string(key), urlLen: urlLen, done: make(chan struct{}), leaderGone: true}
	t.open[f.key] = f
	return f
}

// land tells the outcome to everybody. Unless it is a fill, nobody can join any
// more. It gives false when the leader left and won't take its response.
func (t *flightTable) land(f *flight, out outcome) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.out, f.landed, f.call = out, true, nil
	if f.orphan {
		t.orphans--
	}
	if out.fill != nil {
		out.fill.pending = f.waiters // nobody else has seen it yet
	} else {
		t.remove(f)
	}
	close(f.done)
	return !f.leaderGone
}

// forget makes sure that nobody joins any more.
func (t *flightTable) forget(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(f)
}

func (t *flightTable) remove(f *flight) {
	if t.open[f.key] == f {
		delete(t.open, f.key)
	}
}

// doom keeps what the chosen flights bring out of the store, and lets nobody
// join them: they may have asked before the change that a purge is about.
func (t *flightTable) doom(chosen func(*flight) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.open {
		if chosen(f) {
			f.doomed.Store(true)
			delete(t.open, key)
		}
	}
}

// quit gives up waiting. It gives false when the flight has landed meanwhile.
func (t *flightTable) quit(f *flight, leads bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.landed {
		return false
	}
	f.waiters--
	f.leaderGone = f.leaderGone || leads
	if f.waiters > 0 || !f.leaderGone || f.orphan {
		return true
	}
	f.orphan = true
	if t.orphans++; t.orphans > maxOrphans && f.call != nil {
		f.call.Cancel(message.ErrClientGone)
	}
	return true
}

var errWaited = problem.New(503, "coalesce_wait", "the wait for another client's call was too long")

// wait waits until f has landed. The error is errWaited after limit (0: none),
// or why the client's exchange ended.
func (t *flightTable) wait(f *flight, x *message.Exchange, leads bool, limit time.Duration) error {
	select {
	case <-f.done:
		return nil
	default:
	}
	g := make(message.Gone)
	if err := x.OnCancel(g); err != nil {
		return t.settle(f, leads, err)
	}
	defer x.OffCancel(g)
	var late <-chan time.Time
	if !leads {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-f.done:
		return nil
	case <-late:
		return t.settle(f, leads, errWaited)
	case <-g:
		return t.settle(f, leads, x.Err())
	}
}

// settle leaves a flight; one that has just landed is taken after all.
func (t *flightTable) settle(f *flight, leads bool, err error) error {
	if t.quit(f, leads) {
		return err
	}
	return nil
}

// refuse gives up what an outcome holds for this exchange.
func (o *outcome) refuse(leads bool) {
	if o.fill != nil {
		o.fill.arrived()
	}
	if leads && o.resp != nil {
		o.resp.Release()
	}
}

// guarded calls next; a panic there must not end the process, because nobody
// above this goroutine would catch it.
func guarded(env *Env, next Func, q *message.Request) (resp *message.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			env.Log.Error("panic in a shared call", "value", fmt.Sprint(v), "route", env.Route, "stack", string(debug.Stack()))
			resp, err = nil, problem.New(500, "panic", "something went wrong inside the gateway")
		}
	}()
	return next(q)
}

// own gives an error that may outlive its request: what filters put into a
// problem may be views into the exchange.
func own(err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	q := *p
	q.Detail, q.Allow, q.Authenticate = strings.Clone(p.Detail), strings.Clone(p.Allow), strings.Clone(p.Authenticate)
	q.Fields = make([]problem.Field, len(p.Fields))
	for i, f := range p.Fields {
		q.Fields[i] = problem.Field{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)}
	}
	return &q
}

// copyRequest makes a request of its own: every string is copied, because those
// of r die with its exchange. The body is left out, and so are the fields for
// which drop is true.
func copyRequest(r *message.Request, drop func(message.ID) bool) *message.Request {
	t := message.NewRequest()
	x := &t.X
	t.Method, t.Path, t.RawPath = keep(x, r.Method), keep(x, r.Path), keep(x, r.RawPath)
	t.Query, t.HasQuery = keep(x, r.Query), r.HasQuery
	t.Scheme, t.Authority, t.Host, t.Proto = keep(x, r.Scheme), keep(x, r.Authority), keep(x, r.Host), r.Proto
	for i := range r.Header.Fields() {
		f := &r.Header.Fields()[i]
		if !drop(f.ID) {
			t.Header.Append(message.Field{Name: keep(x, f.Name), Value: keep(x, f.Value), ID: f.ID})
		}
	}
	for _, p := range r.X.Params() {
		x.AddParam(p.Name, keep(x, p.Value))
	}
	x.Began, x.Deadline, x.Phases = r.X.Began, r.X.Deadline, r.X.Phases
	x.TryTimeout, x.IdleTimeout = r.X.TryTimeout, r.X.IdleTimeout
	x.Peer, x.Client, x.Trusted, x.Port, x.TLS = r.X.Peer, r.X.Client, r.X.Trusted, r.X.Port, r.X.TLS
	x.Listener, x.Route = r.X.Listener, r.X.Route // names of the configuration
	x.Stripped, x.RequestID = keep(x, r.X.Stripped), keep(x, r.X.RequestID)
	x.CallerDeadline, x.Priority, x.Retrying = r.X.CallerDeadline, r.X.Priority, r.X.Retrying
	x.Trace, x.Shard, x.Forwarded = r.X.Trace, r.X.Shard, r.X.Forwarded
	return t
}

// conditional tells the fields that ask for less than the whole response.
func conditional(id message.ID) bool {
	switch id {
	case message.IfNoneMatch, message.IfModifiedSince, message.IfRange, message.Range,
		message.IfMatch, message.IfUnmodifiedSince, message.Expect:
		return true
	default:
		return false
	}
}

// handed is a response of a shared call in the hands of its leader: it keeps
// the copied request alive, and ends the call when the leader's client leaves.
type handed struct {
	q     *message.Request
	inner message.Owner
	x     *message.Exchange // the leader's, once adopted
}

// hand makes the response own the request that it came for.
func hand(resp *message.Response, q *message.Request) {
	resp.Owner = &handed{q: q, inner: resp.Owner}
}

// adopt ties a handed response to the leader's exchange.
func adopt(resp *message.Response, x *message.Exchange) {
	h, ok := resp.Owner.(*handed)
	if !ok {
		return
	}
	if err := x.OnCancel(h); err != nil {
		h.q.X.Cancel(err)
		return
	}
	h.x = x
}

// Cancel passes the end of the leader's exchange on.
func (h *handed) Cancel(cause error) { h.q.X.Cancel(cause) }

// ReleaseResponse gives response and request back.
func (h *handed) ReleaseResponse(r *message.Response, complete bool) {
	if h.x != nil {
		h.x.OffCancel(h)
	}
	if h.inner != nil {
		h.inner.ReleaseResponse(r, complete)
	} else {
		r.Reset()
	}
	h.q.Release()
}
