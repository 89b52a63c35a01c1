package edge

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/route"
)

// answer runs a request and always gives a response: an error becomes a problem.
func (f *front) answer(r *message.Request) *message.Response {
	media := filter.GRPCMedia(r) // as the call came: filters may change it
	p, err := f.guarded(r)
	switch {
	case err != nil:
		return f.render(r, err)
	case media != "":
		return filter.GRPCAnswer(r, p, media)
	}
	return p
}

// render turns an error into the client's answer and remembers the cause for the log.
func (f *front) render(r *message.Request, err error) *message.Response {
	if ref, ok := errors.AsType[*http1.Refusal](err); ok {
		p := problem.Wrap(err, ref.Status, ref.Reason, ref.Detail())
		p.Close = ref.Status < 500 && r.HasBody() // where the next request begins may not be known
		err = p
	}
	if errors.Is(err, message.ErrClientGone) {
		err = problem.Wrap(err, 499, "client_gone", "the client left")
	}
	e := problem.Of(err)
	r.X.Reason, r.X.Cause = e.Reason, e.Cause
	p := filter.Render(r, e)
	if e.Close {
		p.Close = true
	}
	return p
}

// guarded runs a request; a panic in our code becomes a 500 that closes the connection.
func (f *front) guarded(r *message.Request) (p *message.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			f.rt.env.Log.Error("panic while serving", "value", fmt.Sprint(v), "route", r.X.Route, "stack", string(debug.Stack()))
			e := problem.New(500, "panic", "something went wrong inside the gateway")
			e.Close = true
			p, err = nil, e
		}
	}()
	if err := f.admit(r); err != nil {
		return nil, err
	}
	if r.Method == "OPTIONS" && (r.Path == "*" || r.Header.Has(message.MaxForwards) && lastHop(&r.Header, &r.X)) {
		return f.options()
	}
	if f.tls == nil && len(f.rt.acme) > 0 {
		if p := f.rt.challenge(r); p != nil {
			return p, nil
		}
	}
	return f.chain(r)
}

// methods are what the gateway as a whole takes; a route may take more.
const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// options answers for the gateway itself (RFC 9110 §9.3.7).
func (f *front) options() (*message.Response, error) {
	p := message.NewResponse(200)
	p.Header.AppendID(message.Allow, methods)
	return p, nil
}

// lastHop tells whether Max-Forwards ends here, else counts it down (RFC 9110
// §7.6.2). A value that is no number is left to the service.
func lastHop(h *message.Header, x *message.Exchange) bool {
	n, err := strconv.ParseUint(h.Value(message.MaxForwards), 10, 31)
	switch {
	case err != nil:
		return false
	case n == 0:
		return true
	}
	h.SetID(message.MaxForwards, message.View(strconv.AppendUint(x.Scratch(10), n-1, 10)))
	return false
}

// admit applies what holds before any filter, in the order of http1 §9.1: trace
// identity, so that a refusal has one; trust and the names that only maru or a
// trusted peer may use; hop-by-hop removal.
func (f *front) admit(r *message.Request) error {
	startTrace(r)
	f.trust.apply(r)
	if r.X.Lookalikes > 0 {
		f.rt.env.Count("trust", f.name, "lookalike")
	}
	if err := f.underscores(&r.Header); err != nil {
		return err
	}
	if err := http1.StripRequest(r); err != nil {
		return err
	}
	if f.tls != nil && f.tls.misdirected(r.X.TLS, r.Host) {
		return problem.New(421, "misdirected", "this connection was opened for a host with other rules")
	}
	if ownHops(&r.Header, f.via) > maxHops {
		return problem.New(508, "loop", "the request went through this gateway too often")
	}
	if r.Path == "*" {
		return nil
	}
	// The listener's filters decide on the canonical path too (gateway §1); as
	// they may change it, routed looks again.
	_, err := route.Canonical(r)
	return err //nolint:wrapcheck // a problem
}

// underscores applies the listener's rule for names with '_', which CGI, WSGI
// and others can't tell from names with '-'.
func (f *front) underscores(h *message.Header) error {
	if f.cfg.Underscores == "" || f.cfg.Underscores == "pass" {
		return nil
	}
	n := 0
	for _, field := range h.Fields() {
		if field.ID == message.Other && strings.IndexByte(field.Name, '_') >= 0 {
			n++
		}
	}
	switch {
	case n == 0:
	case f.cfg.Underscores == "refuse":
		return problem.New(400, "underscore", "a field name has an underscore")
	default:
		h.DelFunc(func(f *message.Field) bool { return f.ID == message.Other && strings.IndexByte(f.Name, '_') >= 0 })
		f.rt.env.Count("trust", f.name, "underscore")
	}
	return nil
}

// routed finds the route and runs its chain; it is the end of the listener's filters.
func (f *front) routed(r *message.Request) (*message.Response, error) {
	reading, err := route.Canonical(r)
	if err != nil {
		return nil, err
	}
	r.X.Path = r.Path
	if r.X.Trusted && r.Header.Has(message.XMaruExplain) {
		return f.live(r, reading)
	}
	e, verdict := f.rt.table.Find(r, reading)
	r.X.Mark(message.PhaseRoute)
	switch verdict {
	case route.Found:
	case route.MethodNotAllowed:
		p := problem.New(405, "method_not_allowed", "the path is known, but not with this method")
		p.Allow = f.rt.table.Allow(r)
		return nil, p
	case route.Options:
		p := message.NewResponse(204)
		p.Header.AppendID(message.Allow, r.X.String([]byte(f.rt.table.Allow(r))))
		return p, nil
	case route.Ambiguous:
		return nil, problem.New(400, "path_ambiguous", "the path can be read in more than one way")
	case route.NotFound:
		fallthrough
	default:
		return nil, problem.New(404, "no_route", "no route matches this request")
	}
	r.X.Route, r.X.Stream, r.X.Priority = e.name, e.stream, e.prio
	if e.timeout > 0 && !e.stream && r.Upgrade == "" {
		r.X.Deadline = r.X.Began.Add(e.timeout)
	}
	if err := wishes(r); err != nil {
		return nil, err
	}
	p, err := e.chain(r)
	if p != nil && e.stream {
		p.Stream = true
	}
	return p, err
}

// call is the last step of every chain: own fields, then the service.
func (rt *Runtime) call(c *cluster) filter.Func {
	return func(r *message.Request) (*message.Response, error) {
		r.X.Mark(message.PhaseFilters) // whether time is left is for the service's cluster to see
		if !r.X.Forwarded {
			rt.stamp(r)
		}
		return c.Do(r)
	}
}

// stamp adds maru's own fields, once per request, after everything a client
// could have nominated for removal is gone.
func (rt *Runtime) stamp(r *message.Request) {
	r.X.Forwarded = true
	f := rt.listeners[r.X.Listener]
	if f == nil { // a request that no listener took: a mirror, a view
		return
	}
	f.trust.stamp(r)
	writeTrace(r)
	if r.X.Priority != message.PriorityNormal {
		r.Header.SetID(message.XMaruPriority, r.X.Priority.String())
	}
	if f.via != "" {
		r.Header.AppendID(message.Via, f.via)
	}
}

const maxHops = 10

// ownHops counts how often this gateway is in Via (RFC 9110 §7.6.3).
func ownHops(h *message.Header, via string) int {
	if via == "" || !h.Has(message.Via) {
		return 0
	}
	_, own, _ := strings.Cut(via, " ")
	n := 0
	for _, f := range h.Fields() {
		if f.ID != message.Via {
			continue
		}
		for rest := f.Value; rest != ""; {
			var entry string
			entry, rest = message.NextMember(rest)
			_, by, _ := strings.Cut(entry, " ") // the protocol may be any: HTTP/2 came as 2.0
			by, _, _ = strings.Cut(strings.TrimLeft(by, " \t"), " ")
			if by == own {
				n++
			}
		}
	}
	return n
}
