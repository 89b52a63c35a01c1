package edge

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/route"
)

// ExplainQuery is a request to explain.
type ExplainQuery struct {
	// Method; "" is GET.
	Method string `json:"method"`
	// URL is "http://host/path?query", "host/path" or "/path".
	URL string `json:"url"`
	// Headers are pairs of name and value.
	Headers [][2]string `json:"headers"`
	// Client is the address of the connection's other end; "" is 127.0.0.1. The name
	// of one of clients: makes it a request of that client, from 127.0.0.1.
	Client string `json:"client"`
	// Listener that the request enters by; "" is public, or the first by name.
	Listener string `json:"listener"`
}

// Explanation tells what would happen to a request, and why (gateway §16).
type Explanation struct {
	// Verdict is "found", "not found", "method not allowed", "options",
	// "ambiguous" or "refused"; Status and Reason are those of our own answer,
	// if it is one.
	Verdict string `json:"verdict"`
	Status  int    `json:"status,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Allow   string `json:"allow,omitempty"`

	// Route is the route's name and At where the file has it.
	Route string `json:"route,omitempty"`
	At    string `json:"at,omitempty"`
	// Why says what made it the most specific one.
	Why []string `json:"why,omitempty"`
	// Not are the routes that came into question.
	Not []NotRoute `json:"not,omitempty"`

	// Canonical is the path that is matched and forwarded; Readings are further
	// ones that it has.
	Canonical string            `json:"canonical,omitempty"`
	Readings  string            `json:"readings,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Listener  string            `json:"listener"`
	Client    string            `json:"client"`

	// Filters in the order they see the request: the listener's, those of every
	// route, the route's, the service's.
	Filters []string `json:"filters,omitempty"`
	Service string   `json:"service,omitempty"`
	// Endpoints that the service has now.
	Endpoints int `json:"endpoints,omitempty"`
	// Timeout is for the whole exchange, TryTimeout for one try at the service,
	// ConnectTimeout for one connect; "0s" is none.
	Timeout        string `json:"timeout,omitempty"`
	TryTimeout     string `json:"try_timeout,omitempty"`
	ConnectTimeout string `json:"connect_timeout,omitempty"`

	// View is the plan of the view that takes the request.
	View *aggregate.Explanation `json:"view,omitempty"`
}

// NotRoute is a route that did not take the request.
type NotRoute struct {
	Route   string `json:"route"`
	At      string `json:"at,omitempty"`
	Because string `json:"because"`
}

// Explain tells which route takes a request and what happens then. It runs the
// checks of a listener and the real route table, but no filter and no call: a filter
// of a listener that changes the request is not seen. place gives the place of a
// configuration path such as "routes[3]"; nil means that there is no file. An
// error says that the query itself is wrong.
func (rt *Runtime) Explain(q ExplainQuery, place func(path string) string) (*Explanation, error) {
	if place == nil {
		place = func(string) string { return "" }
	}
	r := message.NewRequest()
	defer r.Release()
	return rt.asked(r, q, place)
}

// asked makes r the request of a query and explains it.
func (rt *Runtime) asked(r *message.Request, q ExplainQuery, place func(string) string) (*Explanation, error) {
	f, err := rt.frontOf(q.Listener)
	if err != nil {
		return nil, err
	}
	rt.asClient(&q)
	target, err := q.fill(r, f)
	if err != nil {
		return nil, err
	}
	d, err := f.accept(r, target)
	if err != nil {
		x := &Explanation{Listener: f.name, Client: r.X.Client.String()}
		x.refused(err)
		return x, nil
	}
	return rt.explained(f, r, d, place), nil
}

// explained explains a request that a listener let in.
func (rt *Runtime) explained(f *front, r *message.Request, d route.Reading, place func(string) string) *Explanation {
	x := &Explanation{Listener: f.name, Client: r.X.Client.String(), Canonical: strings.Clone(r.Path), Readings: d.String()}
	rt.explain(x, f, rt.table.Explain(r, d), place)
	if x.Verdict == route.MethodNotAllowed.String() || x.Verdict == route.Options.String() {
		x.Allow = rt.table.Allow(r)
	}
	for _, p := range r.X.Params() {
		if x.Params == nil {
			x.Params = make(map[string]string)
		}
		x.Params[p.Name] = strings.Clone(p.Value)
	}
	if v := rt.viewOf(x); v != nil {
		p, err := v.Plan(r)
		if err != nil {
			x.refused(err)
			return x
		}
		e := v.ExplainPlan(p)
		x.View = &e
	}
	return x
}

// live answers a trusted peer that asked with X-Maru-Explain what would happen
// to its request. By then the listener's filters have seen it.
func (f *front) live(r *message.Request, d route.Reading) (*message.Response, error) {
	text, err := json.Marshal(f.rt.explained(f, r, d, func(string) string { return "" }))
	if err != nil {
		return nil, fmt.Errorf("write the explanation: %w", err)
	}
	p := message.NewResponse(200)
	p.Header.AppendID(message.ContentType, "application/json")
	p.Header.AppendID(message.CacheControl, "no-store")
	p.SetBytes(append(text, '\n'))
	return p, nil
}

// frontOf gives a listener by name, or the one that is meant without.
func (rt *Runtime) frontOf(name string) (*front, error) {
	names := slices.Sorted(maps.Keys(rt.listeners))
	if name == "" && len(names) > 0 {
		name = names[0]
		if rt.listeners["public"] != nil {
			name = "public"
		}
	}
	f := rt.listeners[name]
	if f == nil {
		return nil, fmt.Errorf("there is no listener %q; there are: %s", name, strings.Join(names, ", "))
	}
	return f, nil
}

// fill makes r the request of the query and gives its target.
func (q *ExplainQuery) fill(r *message.Request, f *front) (target string, err error) {
	r.Method, r.Proto, r.Scheme = q.Method, message.HTTP11, "http"
	if r.Method == "" {
		r.Method = "GET"
	}
	if f.tls != nil {
		r.Scheme = "https"
	}
	scheme, rest, ok := strings.Cut(q.URL, "://")
	if !ok {
		scheme, rest = r.Scheme, q.URL
	}
	if r.Scheme = strings.ToLower(scheme); r.Scheme != "http" && r.Scheme != "https" {
		return "", fmt.Errorf("the URL %q is neither http nor https", q.URL)
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		r.Authority, target = rest[:i], rest[i:]
	} else {
		r.Authority = rest
	}
	if r.Authority == "" {
		r.Authority = "localhost"
	}
	if target == "" || target[0] != '/' {
		target = "/" + target
	}
	if i := strings.IndexByte(target, '#'); i >= 0 {
		target = target[:i] // a fragment stays with the client
	}
	client := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if q.Client != "" {
		if client, err = netip.ParseAddr(q.Client); err != nil {
			return "", fmt.Errorf("the client %q is not an IP address", q.Client)
		}
	}
	r.X.Began, r.X.Listener, r.X.Peer = time.Now(), f.name, netip.AddrPortFrom(client, 0)
	if f.tls != nil {
		r.X.TLS = &tls.ConnectionState{ServerName: strings.Split(r.Authority, ":")[0]}
	}
	for _, h := range q.Headers {
		switch id := message.NameID(h[0]); id {
		case message.Host:
			r.Authority = h[1]
		case message.Upgrade:
			r.Upgrade = h[1]
		case message.Connection: // of the connection, which there is none of
		default:
			r.Header.Append(message.Field{Name: h[0], Value: strings.TrimSpace(h[1]), ID: id})
		}
	}
	return target, nil
}

// accept applies what holds for every message of a listener.
func (f *front) accept(r *message.Request, target string) (route.Reading, error) {
	r.X.Client = peerAddr(r)
	var err error
	if r.X.Lookalikes, err = http1.CheckRequest(r, target, false); err != nil {
		return 0, fmt.Errorf("check the message: %w", err)
	}
	if err := f.admit(r); err != nil {
		return 0, err
	}
	return route.Canonical(r) //nolint:wrapcheck // a problem
}

// refused notes an answer of our own.
func (x *Explanation) refused(err error) {
	if ref, ok := errors.AsType[*http1.Refusal](err); ok {
		x.Verdict, x.Status, x.Reason, x.Detail = "refused", ref.Status, ref.Reason, "the message breaks the rules of HTTP"
		return
	}
	p := problem.Of(err)
	x.Verdict, x.Status, x.Reason, x.Detail = "refused", p.Status, p.Reason, p.Detail
}

// explain fills in what the route table says.
func (rt *Runtime) explain(x *Explanation, f *front, e route.Explanation, place func(string) string) {
	at := func(i int) string { return place(rt.Config.RulePath(i)) }
	x.Verdict, x.Why = e.Verdict.String(), e.Why
	for _, n := range e.Not {
		x.Not = append(x.Not, NotRoute{rt.rules[n.Rule].Name, at(n.Rule), n.Because})
	}
	switch e.Verdict {
	case route.Found:
		x.Route, x.At = rt.rules[e.Rule].Name, at(e.Rule)
		rt.leads(x, f, rt.rules[e.Rule].Value)
	case route.NotFound:
		x.Status, x.Reason = 404, "no_route"
	case route.MethodNotAllowed:
		x.Status, x.Reason = 405, "method_not_allowed"
	case route.Options:
		x.Status = 204
	case route.Ambiguous:
		x.Status, x.Reason = 400, "path_ambiguous"
	}
}

// leads fills in what a route leads to.
func (rt *Runtime) leads(x *Explanation, f *front, e *entry) {
	for _, n := range f.cfg.Filters {
		x.Filters = append(x.Filters, n.Word)
	}
	x.Filters = append(x.Filters, e.words...)
	x.Service = e.service
	if x.Timeout = e.timeout.String(); e.stream {
		x.Timeout = "0s"
	}
	c := rt.clusters[e.service]
	if c == nil {
		return
	}
	for _, n := range rt.Config.Services[e.service].Filters {
		x.Filters = append(x.Filters, n.Word)
	}
	x.Endpoints = len(c.Endpoints())
	connect, try := c.Timeouts()
	x.ConnectTimeout, x.TryTimeout = connect.String(), try.String()
}

// RouteInfo is one route for a list.
type RouteInfo struct {
	// Name is the route's and At where the file has it.
	Name string `json:"name"`
	At   string `json:"at,omitempty"`
	// Methods that the route takes; none means all.
	Methods []string `json:"methods,omitempty"`
	Hosts   []string `json:"hosts,omitempty"`
	Path    string   `json:"path"`
	// If are the other predicates in words.
	If      []string `json:"if,omitempty"`
	Filters []string `json:"filters"`
	Service string   `json:"service,omitempty"`
}

// RoutesInfo lists the routes by precedence: the first one that takes a request
// gets it. place is as for [Runtime.Explain].
func (rt *Runtime) RoutesInfo(place func(path string) string) []RouteInfo {
	out := make([]RouteInfo, 0, len(rt.rules))
	for _, i := range rt.table.Order() {
		m := &rt.rules[i].Match
		info := RouteInfo{
			Name: rt.rules[i].Name, Methods: m.Methods, Hosts: m.Host, Path: m.Path, If: rt.table.Predicates(i),
			Filters: append([]string{}, rt.rules[i].Value.words...), Service: rt.rules[i].Value.service,
		}
		if info.Path == "" {
			info.Path = "/{rest...}"
		}
		if place != nil {
			info.At = place(rt.Config.RulePath(i))
		}
		out = append(out, info)
	}
	return out
}
