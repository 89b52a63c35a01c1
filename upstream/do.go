package upstream

import (
	"errors"
	"time"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// uploadHead bounds the wait for the response head of a request whose body is
// streamed: the try-timeout counts only from the end of the body, and until then
// the client's own time-outs and the exchange's deadline do.
const uploadHead = time.Hour

// smallBody is the largest body that leaves in one write together with the
// head, so that the time from there to the answer says something of the service.
const smallBody = 16 << 10

// Do sends r to one of the service's endpoints, past the service's guard, and
// gives its response, which the caller must Release. It fills Service, Endpoint, Attempts and the phases
// of r.X. An error is a *problem.Error; when the exchange was given up, the
// cause is wrapped in it.
func (c *Cluster) Do(r *message.Request) (*message.Response, error) {
	x := &r.X
	if x.Began.IsZero() {
		x.Began = time.Now()
	}
	k := call{g: c.guard, x: x}
	if err := k.enter(r); err != nil {
		x.Service, x.Reason, x.Cause = c.name, err.Reason, err.Cause
		return nil, err
	}
	defer k.leave()
	k.prepare(r)
	resp, err := c.attempt(r, &k)
	if err != nil {
		x.Reason, x.Cause = err.Reason, err.Cause
		k.failed(err)
		k.forget(r)
		return nil, err
	}
	k.answered(r, resp)
	return resp, nil
}

// attempt makes tries until one gives a response that is not tried again, or no
// other may follow.
func (c *Cluster) attempt(r *message.Request, k *call) (*message.Response, *problem.Error) {
	x := &r.X
	s := c.set.Load()
	avoid := c.triedBefore(s, x)
	x.Service = c.name
	for fresh := false; ; {
		var ep *Endpoint
		var resp *message.Response
		var err *failure
		if t := c.claim(s, r, avoid); t != nil {
			ep = t.ep
			resp, err = c.tryOut(t, r)
		} else if ep = s.choose(c, r, avoid); ep != nil {
			resp, err = c.try(r, ep, fresh)
		} else {
			c.noEndpoint.Add(1)
			x.Endpoint = ""
			return nil, problem.New(503, "no_endpoint", "service "+c.name+" has no endpoint")
		}
		if err == nil && resp.Status < 500 || !k.again(r, resp, err, len(s.usable)+len(s.spare)) {
			if err != nil {
				return nil, err.Error
			}
			if s.byMAC != nil {
				c.stick(r, resp, ep)
			}
			return resp, nil
		}
		// A connection that was dead is not the only one, perhaps.
		fresh = err != nil
		avoid, s = ep, c.set.Load() // the failure may have changed the set
	}
}

// triedBefore is the endpoint that an earlier call of the same exchange used, or
// its twin: a retry goes elsewhere while there is an elsewhere.
func (c *Cluster) triedBefore(s *set, x *message.Exchange) *Endpoint {
	name := x.Endpoint
	if x.Attempts == 0 || x.Service != c.name {
		name = x.Twin.Endpoint()
	}
	if name == "" {
		return nil
	}
	for _, e := range s.usable {
		if e.name == name {
			return e
		}
	}
	return nil
}

// failure is why a try gave no response, and whether another may follow.
type failure struct {
	*problem.Error
	retry retryKind
}

type retryKind uint8

const (
	retryNone    retryKind = iota
	retryConnect           // nothing was sent: another endpoint may do
	retryFree              // stale connection, nothing was sent
	retryReplay            // stale connection, the request may be sent again
	retryStall             // the endpoint stalls and was ejected; the request may be sent again
	retryTrial             // the endpoint failed its trial; the request may be sent again
	retryLost              // no answer came: a request that may be sent twice can be
)

// blames tells whether the failure speaks against the endpoint.
func (f *failure) blames() bool {
	switch {
	case f.retry == retryFree, f.retry == retryReplay, f.Reason == "stale_post":
		return false // of the connection
	}
	return f.Status == 502 || f.Status == 504
}

// enter and leave frame an exchange at an endpoint.
func (c *Cluster) enter(ep *Endpoint) {
	ep.inflight.Add(1)
	ep.requests.Add(1)
	if c.balancer.countTotal {
		c.balancer.total.Add(1)
	}
}

func (c *Cluster) leave(ep *Endpoint) {
	ep.inflight.Add(-1)
	if c.balancer.countTotal {
		c.balancer.total.Add(-1)
	}
}

// try makes one exchange with ep. The second one of a request uses a freshly
// dialled connection, never another pooled one that may be dead too.
func (c *Cluster) try(r *message.Request, ep *Endpoint, fresh bool) (*message.Response, *failure) {
	x := &r.X
	x.Endpoint = ep.name
	x.Twin.Went(ep.name)
	x.Attempts++
	x.Phases[message.PhaseSent], x.Phases[message.PhaseHead] = 0, 0
	if x.Phases[message.PhaseConnect] = x.Phases[message.PhaseFilters]; x.Attempts > 1 || x.Phases[message.PhaseFilters] == 0 {
		x.Mark(message.PhaseConnect)
	}
	now := x.Began.Add(x.Phases[message.PhaseConnect])
	if !x.Deadline.IsZero() && !now.Before(x.Deadline) {
		return nil, &failure{Error: problem.New(504, "exchange_timeout", "the time for this request is used up")}
	}
	passOn(r, now)
	waits := ep.waits(r)
	if waits {
		c.waitsFrom(ep, now)
	}
	c.enter(ep)
	resp, err := c.exchange(r, ep, fresh, now)
	if waits {
		ep.tally.waiting.Add(-1)
	}
	return resp, err
}

// exchange sends r over a connection of ep and waits for the head of the answer.
func (c *Cluster) exchange(r *message.Request, ep *Endpoint, fresh bool, now time.Time) (*message.Response, *failure) {
	x := &r.X
	// HTTP/2 has no Upgrade (RFC 9113 §8.6): such a request goes by HTTP/1.1.
	if ep.h2 != nil && r.Upgrade == "" {
		return c.try2(r, ep, now)
	}
	cn, err := c.acquire(ep, r, fresh, now)
	if err != nil {
		c.leave(ep)
		return nil, c.notConnected(r, ep, err, now)
	}
	pooled, idle := !cn.since.IsZero(), now.Sub(cn.since)
	if !pooled {
		x.Mark(message.PhaseConnect)
	}
	cn.opts.Host = c.hostFor(r, ep)
	cn.opts.Head, cn.opts.End = c.headBy(r, now), x.Deadline
	cn.opts.Answer, cn.opts.BodyIdle = c.tryTime(x), shorter(c.cfg.BodyIdle, x.IdleTimeout)
	cn.waits(r)
	resp, err := cn.h1.RoundTrip(r, &cn.opts)
	if err != nil {
		if cn.stalled && x.Err() == nil {
			ce, ok := errors.AsType[*http1.ConnError](err)
			return nil, c.stalledAt(r, ep, ok && ce.Replay)
		}
		return nil, c.broken(r, ep, err, pooled, idle)
	}
	if cn.waited(); cn.stalled { // the head came, but the connection is gone
		resp.Release()
		return nil, c.stalledAt(r, ep, r.Length == 0)
	}
	c.answered(r, ep, resp.Status)
	return resp, nil
}

// passOn tells the service how much time is left for this exchange, so that it
// does not work for somebody who has gone (resilience §6.1).
func passOn(r *message.Request, now time.Time) {
	x := &r.X
	if x.Deadline.IsZero() {
		return
	}
	left := x.Deadline.Sub(now)
	r.Header.SetID(message.XRequestTimeoutMs, message.View(resilience.AppendMillis(x.Scratch(20), left)))
	if isGRPC(&r.Header) {
		r.Header.SetID(message.GrpcTimeout, message.View(resilience.AppendGRPC(x.Scratch(10), left)))
	}
}

// headBy is the end of this try's wait for a response head.
func (c *Cluster) headBy(r *message.Request, now time.Time) time.Time {
	try := c.tryTime(&r.X)
	if r.Length < 0 || r.Length > smallBody {
		try = max(try, uploadHead)
	}
	by := now.Add(try)
	if d := r.X.Deadline; !d.IsZero() && d.Before(by) {
		return d
	}
	return by
}

// tryTime is how long one try may take until the head of the response: the
// service's own time, or what the route allows where that is shorter.
func (c *Cluster) tryTime(x *message.Exchange) time.Duration {
	return shorter(c.cfg.TryTimeout, x.TryTimeout)
}

// shorter is the shorter of two times, of which the second may be zero for none.
func shorter(a, b time.Duration) time.Duration {
	if b > 0 && b < a {
		return b
	}
	return a
}

// hostFor is what the Host field says.
func (c *Cluster) hostFor(r *message.Request, ep *Endpoint) string {
	switch c.cfg.Host {
	case "client":
		if r.Authority != "" {
			return r.Authority
		}
		return ep.target.literal
	case "service":
		return ep.target.literal
	}
	return c.cfg.Host
}

// answered records a response. Its time counts from when the request was
// written; of a long upload, and of an upgrade, it would tell nothing.
func (c *Cluster) answered(r *message.Request, ep *Endpoint, status int) {
	good := status < 500
	if !good {
		ep.errors.Add(1)
	}
	c.noteAnswer(ep, &r.X, status)
	if status == 101 || good && (r.Length < 0 || r.Length > smallBody) {
		return
	}
	x := &r.X
	head := x.Phases[message.PhaseHead]
	if good {
		c.noteTime(ep, head-x.Phases[message.PhaseSent])
	}
	c.balancer.record(ep, head-x.Phases[message.PhaseSent], x.Began.Sub(c.born)+head, good)
}

// lost records a try that the endpoint is to blame for.
func (c *Cluster) lost(r *message.Request, ep *Endpoint, cause error) {
	at := time.Now()
	ep.failed(cause, at)
	x := &r.X
	c.noteLost(ep, cause, at.Sub(x.Began)-x.Phases[message.PhaseConnect])
	c.balancer.record(ep, at.Sub(x.Began)-x.Phases[message.PhaseConnect], at.Sub(c.born), false)
}

// notConnected turns a connection that could not be made into a failure.
func (c *Cluster) notConnected(r *message.Request, ep *Endpoint, err error, began time.Time) *failure {
	if cause := r.X.Err(); cause != nil {
		return &failure{Error: givenUp(cause)}
	}
	if errors.Is(err, errOverloaded) {
		c.overloaded.Add(1)
		p := problem.Wrap(err, 503, "overloaded", "service "+c.name+" has too many requests waiting")
		p.RetryAfter = time.Second
		return &failure{Error: p}
	}
	if d := r.X.Deadline; !d.IsZero() && !time.Now().Before(d) {
		ep.timeouts.Add(1)
		c.lost(r, ep, err)
		return &failure{Error: problem.Wrap(err, 504, "exchange_timeout", "the time for this request ran out while connecting")}
	}
	c.lost(r, ep, err)
	f := &failure{retry: retryConnect}
	op := "connect"
	if de, ok := errors.AsType[*dialError](err); ok {
		op = de.op
	}
	switch {
	case timedOut(err):
		ep.timeouts.Add(1)
		f.Error = problem.Wrap(err, 504, op+"_timeout", "service "+c.name+" could not be reached in time")
		if time.Since(began) >= c.tryTime(&r.X) {
			f.retry = retryNone
		}
	case op == "tls":
		f.Error = problem.Wrap(err, 502, "tls_failed", "no trusted connection to service "+c.name)
	default:
		f.Error = problem.Wrap(err, 502, "connect_failed", "service "+c.name+" could not be reached")
	}
	return f
}

// broken turns a failed exchange over a connection into a failure. reused tells
// that the connection had carried others before, idle how long it lay since.
func (c *Cluster) broken(r *message.Request, ep *Endpoint, err error, reused bool, idle time.Duration) *failure {
	if cause := r.X.Err(); cause != nil {
		return &failure{Error: givenUp(cause)}
	}
	if ref, ok := errors.AsType[*http1.Refusal](err); ok {
		if ref.Status < 500 {
			return &failure{Error: c.clientFault(r, err)}
		}
		c.lost(r, ep, err)
		return &failure{Error: problem.Wrap(err, ref.Status, ref.Reason, "service "+c.name+" sent an invalid response")}
	}
	var ce *http1.ConnError
	if !errors.As(err, &ce) {
		return &failure{Error: c.clientFault(r, err)}
	}
	if ce.Timeout {
		ep.timeouts.Add(1)
		c.lost(r, ep, err)
		return &failure{Error: c.late(r, err), retry: retryLost}
	}
	if reused && !ce.GotByte {
		return c.stale(r, ce, idle)
	}
	c.lost(r, ep, err)
	return &failure{Error: problem.Wrap(err, 502, "reset", "service "+c.name+" closed the connection without an answer"), retry: retryLost}
}

// clientFault is the problem of a request whose own body is at fault, or whose
// client can be neither read nor written to: the service is not to blame.
func (c *Cluster) clientFault(r *message.Request, err error) *problem.Error {
	if cause := r.X.Err(); cause != nil {
		return givenUp(cause)
	}
	if ref, ok := errors.AsType[*http1.Refusal](err); ok {
		p := problem.Wrap(err, ref.Status, ref.Reason, ref.Detail())
		p.Close = true
		return p
	}
	return problem.Wrap(err, 499, "client_abort", "the request was not completed")
}

// late is the problem of a response head that did not come in time.
func (c *Cluster) late(r *message.Request, err error) *problem.Error {
	if d := r.X.Deadline; !d.IsZero() && !time.Now().Before(d) {
		return problem.Wrap(err, 504, "exchange_timeout", "service "+c.name+" did not answer in the time for this request")
	}
	return problem.Wrap(err, 504, "head_timeout", "service "+c.name+" did not answer in time")
}

// stale is for a pooled connection that the service had closed before our
// request reached it. It may be replaced once: always when nothing was sent,
// else only when sending twice means the same as once (RFC 9110 §9.2.2, RFC
// 9112 §9.3.1). It says nothing about the endpoint's health.
func (c *Cluster) stale(r *message.Request, ce *http1.ConnError, idle time.Duration) *failure {
	c.learn(idle, time.Now())
	f := &failure{Error: problem.Wrap(ce, 502, "reset", "service "+c.name+" closed the connection without an answer")}
	switch {
	case !ce.Sent:
		f.retry = retryFree
	case !r.Idempotent():
		c.stalePost.Add(1)
		f.Error = problem.Wrap(ce, 502, "stale_post",
			"service "+c.name+" closed the connection; the request may have been carried out and is not sent again")
	case ce.Replay:
		f.retry = retryReplay
	}
	return f
}

// givenUp is the problem of a cancelled exchange.
func givenUp(cause error) *problem.Error {
	if p, ok := errors.AsType[*problem.Error](cause); ok {
		return p
	}
	return problem.Wrap(cause, 499, "client_abort", "the client left before the answer")
}

// stick gives the client the cookie of the endpoint that answered, unless it
// has it already.
func (c *Cluster) stick(r *message.Request, resp *message.Response, ep *Endpoint) {
	if cookieValue(&r.Header, c.cfg.Sticky.Cookie) == ep.mac {
		return
	}
	v := ep.cookie
	if r.Scheme == "https" {
		v = ep.cookieSecure
	}
	resp.Header.AppendID(message.SetCookie, v)
}
