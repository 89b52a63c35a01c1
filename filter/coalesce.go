package filter

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// Coalesce makes one call to the service of equal GET requests that are under
// way at the same time; nothing is stored. Responses that are for one client
// only (Set-Cookie, no-store, events, another Vary) are not shared, nor are
// bodies over 1 MiB: then each request goes alone, and so do those of the next
// 10 seconds. Short form: the list of by.
type Coalesce struct {
	// By lists what makes requests equal besides scheme and host: "url" (path
	// and query), "path", "query.NAME", "header.NAME", "cookie.NAME" (required).
	By []string `yaml:"by"`
	// Exclude takes "authorization" or "cookie" out of the comparison, where
	// they are by default (default none).
	Exclude []string `yaml:"exclude"`
}

// UnmarshalList reads by.
func (c *Coalesce) UnmarshalList(list []string) error {
	c.By = list
	return nil
}

type coalescer struct {
	env    Env
	by     []keyPart
	fields []message.ID // compared too
	shared bool         // private responses are for all who are compared
	state  *CacheStore  // flights and marks; no responses
	budget *budget
}

// keyPart is one entry of by.
type keyPart struct {
	kind string // "url", "path", "query", "header", "cookie"
	name string
}

const (
	coalesceBody  = 1 << 20
	coalesceState = 16 << 20 // bodies on their way: half of it; marks: the rest
	maxBy         = 16
)

// Filter is the constructor.
func (c *Coalesce) Filter(env Env) (Filter, error) {
	var f faults
	k := &coalescer{env: env, shared: len(c.Exclude) == 0}
	if len(c.By) == 0 {
		f.at("by", "coalesce needs to know which requests are equal").WithFix("write coalesce: [url]")
	}
	if len(c.By) > maxBy {
		f.at("by", "%d parts are more than %d", len(c.By), maxBy).WithFix("compare by fewer")
	}
	for i, text := range c.By {
		k.by = append(k.by, f.keyPart(at("by", i), text))
	}
	for i, word := range c.Exclude {
		f.oneOf(at("exclude", i), word, "authorization", "cookie")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	if !slices.Contains(c.Exclude, "authorization") {
		k.fields = append(k.fields, message.Authorization)
	}
	if !slices.Contains(c.Exclude, "cookie") {
		k.fields = append(k.fields, message.Cookie)
	}
	// What asks for another form or part of the response.
	k.fields = append(k.fields, message.Range, message.IfRange, message.IfNoneMatch, message.IfModifiedSince,
		message.IfMatch, message.IfUnmodifiedSince, message.CacheControl)
	k.state = newCacheStore(coalesceState, coalesceBody)
	k.budget = &budget{take: k.state.takeFilling, give: k.state.giveFilling}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return k.do(r, next) }
	}, nil
}

func (f *faults) keyPart(path, text string) keyPart {
	kind, name, named := strings.Cut(text, ".")
	switch kind {
	case "url", "path":
		if !named {
			return keyPart{kind: kind}
		}
	case "query", "cookie", "header":
		if name != "" && (kind == "query" || message.ValidToken(name)) {
			return keyPart{kind, name}
		}
	}
	f.at(path, "%q is nothing to compare by", text).WithFix("write url, path, query.NAME, header.NAME or cookie.NAME")
	return keyPart{}
}

func (k *coalescer) appendKey(dst []byte, r *message.Request) []byte {
	dst = appendCacheURL(dst, r.Scheme, r.Authority, "", "", false, &queryMode{})
	dst = append(append(dst, 0), r.X.Route...)
	for i := range k.by {
		dst = append(dst, 0)
		switch p := &k.by[i]; p.kind {
		case "url":
			dst = r.AppendTarget(dst)
		case "path":
			dst = append(dst, r.Path...)
		case "query":
			dst = append(dst, queryValue(r.Query, p.name)...)
		case "header":
			dst = appendFolded(dst, &r.Header, p.name)
		case "cookie":
			v, _ := cookie(&r.Header, p.name)
			dst = append(dst, v...)
		}
	}
	for _, id := range k.fields {
		dst = appendFolded(append(dst, 0), &r.Header, id.String())
	}
	return dst
}

func (k *coalescer) do(r *message.Request, next Func) (*message.Response, error) {
	if r.Method != "GET" || r.HasBody() || r.Upgrade != "" {
		return next(r)
	}
	var room [1024]byte
	v := companion{k: k, r: r, next: next, key: k.appendKey(room[:0], r), until: k.env.Now().Add(headWait)}
	v.base = len(v.key)
	for range maxRounds {
		if resp, again, err := v.round(); !again {
			return resp, err
		}
	}
	return next(r)
}

// maxRounds is how often a follower joins again: after a failed leader, or one
// that asked for another variant.
const maxRounds = 4

// companion is one request among equal ones.
type companion struct {
	k     *coalescer
	r     *message.Request
	next  Func
	key   []byte // base, then what the response varies by
	base  int
	until time.Time
}

// round joins a flight and looks at what it brought; again tells to join another.
func (v *companion) round() (resp *message.Response, again bool, err error) {
	k, now := v.k, v.k.env.Now()
	if !now.Before(v.until) || k.state.marked(v.key[:v.base], v.base, now) {
		return v.alone("")
	}
	t := &k.state.flights
	f, leads := t.join(v.key, v.base)
	if f == nil {
		return v.alone("followers_full")
	}
	if leads {
		q := copyRequest(v.r, func(id message.ID) bool { return id == message.Expect })
		f.call = &q.X
		go k.fetch(f, q, v.base, v.next)
	}
	if err := t.wait(f, &v.r.X, leads, v.until.Sub(now)); err != nil {
		if errors.Is(err, errWaited) {
			return v.alone("waited")
		}
		return nil, false, err
	}
	return v.outcome(f, leads)
}

// alone calls the service for this request only.
func (v *companion) alone(reason string) (*message.Response, bool, error) {
	if reason != "" {
		v.k.env.Count("coalesce", reason)
	}
	resp, err := v.next(v.r)
	return resp, false, err
}

func (v *companion) outcome(f *flight, leads bool) (*message.Response, bool, error) {
	out := &f.out
	if leads {
		out.trail.copyTo(&v.r.X)
	}
	switch {
	case out.kind == outcomeFill && (leads || varyMatches(out.obj.vary, &v.r.Header)):
		resp := out.obj.respond(v.r, out.fill, -1)
		out.fill.arrived()
		if !leads {
			v.r.X.Cache = "collapsed"
			v.k.env.Count("coalesce", "shared")
		}
		return resp, false, nil
	case out.kind == outcomeFill: // next, with those who ask for the same variant
		out.fill.arrived()
		v.key = v.key[:v.base]
		for _, f := range out.obj.vary {
			v.key = appendVary(append(v.key, 0), &v.r.Header, f.name, f.reduced)
		}
		return nil, true, nil
	case leads && out.resp != nil:
		adopt(out.resp, &v.r.X)
		return out.resp, false, nil
	case leads:
		return nil, false, out.err
	case out.kind == outcomeAlone:
		return v.alone("")
	default: // the leader failed; the first to come back leads
		return nil, true, nil
	}
}

// fetch calls the service and lands the flight.
func (k *coalescer) fetch(f *flight, q *message.Request, url int, next Func) {
	t := &k.state.flights
	asked := k.env.Now()
	resp, err := guarded(&k.env, next, q)
	received := k.env.Now()
	if err != nil {
		t.land(f, outcome{kind: outcomeFailed, err: own(err), trail: trailOf(&q.X)})
		q.Release()
		return
	}
	o := newObject(resp.Status, &resp.Header, &q.Header, received)
	o.answer = readAnswer(resp.Status, &resp.Header, asked, received, cacheTerms{})
	if reason := k.unshareable(resp, o); reason != "" {
		k.state.mark(f.key[:url], url, received.Add(passTime))
		k.env.Count("coalesce", "alone_"+reason)
		hand(resp, q)
		if !t.land(f, outcome{kind: outcomeAlone, resp: resp, status: resp.Status, reason: reason, trail: trailOf(&q.X)}) {
			resp.Release()
		}
		return
	}
	fill := newFill(o, resp.Length, coalesceBody, k.budget)
	t.land(f, outcome{kind: outcomeFill, fill: fill, obj: o, status: resp.Status, trail: trailOf(&q.X)})
	fill.pump(resp.Body, &resp.Trailer, func() {
		t.forget(f)
		k.state.mark(f.key[:url], url, k.env.Now().Add(passTime))
	})
	if fill.complete() {
		resp.MarkComplete()
	}
	t.forget(f)
	resp.Release()
	q.Release()
}

// unshareable gives the reason why a response is for its leader alone, or "".
func (k *coalescer) unshareable(resp *message.Response, o *cacheObject) string {
	cc := &o.answer.cc
	switch {
	case resp.Status < 200:
		return "status"
	case resp.Stream:
		return "stream"
	case cc.is(ccNoStore) || cc.bad:
		return "no_store"
	case cc.is(ccPrivate) && !k.shared:
		return "private"
	case resp.Header.Has(message.SetCookie):
		return "set_cookie"
	case varyStar(&resp.Header):
		return "vary"
	case resp.Length > coalesceBody:
		return "too_large"
	}
	return ""
}
