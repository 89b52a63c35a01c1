package filter

import (
	"errors"
	"strconv"
	"time"

	"github.com/maru-msa/maru/message"
)

// This file is the part of cache that calls the service: who leads, what the
// answer means, and who gets it.

// takeFilling and giveFilling bound the bodies on their way to half of the store.
func (s *CacheStore) takeFilling(n int64) bool {
	if s.filling.Add(n) > s.size/2 {
		s.filling.Add(-n)
		return false
	}
	return true
}

func (s *CacheStore) giveFilling(n int64) { s.filling.Add(-n) }

// join takes part in the call for this key, or makes it. again tells to look
// at the store once more.
func (v *visit) join(now time.Time) (resp *message.Response, again bool, err error) {
	if v.until.IsZero() {
		v.until = now.Add(headWait)
		v.rule = v.found.vary
	}
	var room [1024]byte
	key := append(room[:0], v.base...)
	for i := range v.rule {
		key = append(key, 0)
		key = appendVary(key, &v.r.Header, v.rule[i].name, v.rule[i].reduced)
	}
	t := &v.c.store.flights
	f, leads := t.join(key, v.url)
	if f == nil {
		v.c.env.Count("cache", "followers_full")
		resp, err = v.pass("bypass")
		return resp, false, err
	}
	if leads {
		// Another flight may have landed between our look at the store and this one.
		if f2 := v.c.store.find(v.key, v.key[:v.url], &v.r.Header, now); f2.obj != v.found.obj {
			t.land(f, outcome{kind: outcomeFailed})
			return nil, true, nil
		}
		p := v.plan(f)
		f.call = &p.q.X
		go p.run(v.next)
	}
	if err := t.wait(f, &v.r.X, leads, max(0, v.until.Sub(now))); err != nil {
		if errors.Is(err, errWaited) {
			v.c.env.Count("cache", "waited")
			resp, err = v.pass("bypass")
			return resp, false, err
		}
		return nil, false, err
	}
	return v.outcome(f, leads)
}

// plan prepares the call of a flight: a copy of the request that asks for the
// whole response, on the condition that it is not one that we hold.
func (v *visit) plan(f *flight) *fetch {
	q := copyRequest(v.r, conditional)
	p := &fetch{c: v.c, f: f, q: q, key: string(v.key), url: v.url, held: v.found.obj, auth: v.r.Header.Has(message.Authorization)}
	if v.found.obj == nil && v.found.vary == nil {
		return p
	}
	if tags := v.c.store.validators(v.key, v.key[:v.url], &v.r.Header); tags != "" {
		q.Header.AppendID(message.IfNoneMatch, tags)
		p.asks = true
	} else if o := v.found.obj; o != nil && !o.answer.lastModified.IsZero() {
		q.Header.AppendID(message.IfModifiedSince, o.answer.lastModified.UTC().Format(httpTime))
		p.asks = true
	}
	return p
}

// refresh fetches a new copy behind a stale answer: one at a time for a key.
func (v *visit) refresh(now time.Time) {
	e := v.found.entry
	if now.UnixNano() < e.retry.Load() {
		return
	}
	s := v.c.store
	select {
	case s.refresh <- struct{}{}:
	default:
		v.c.env.Count("cache", "refresh_dropped")
		return
	}
	var room [1024]byte
	key := append(room[:0], v.base...)
	for i := range v.found.vary {
		key = append(key, 0)
		key = appendVary(key, &v.r.Header, v.found.vary[i].name, v.found.vary[i].reduced)
	}
	f := s.flights.lead(key, v.url)
	if f == nil {
		<-s.refresh
		return
	}
	e.retry.Store(now.Add(refreshPause).UnixNano())
	p := v.plan(f)
	p.q.Method = "GET"
	limit := refreshTime
	if !v.r.X.Deadline.IsZero() { // the route's budget, from now on
		limit = v.r.X.Deadline.Sub(v.r.X.Began)
	}
	p.q.X.Began, p.q.X.Deadline = now, now.Add(limit)
	v.c.env.Count("cache", "refresh")
	next := v.next // a closure over v would put every visit on the heap
	go func() {
		defer func() { <-s.refresh }()
		p.run(next)
	}()
}

// outcome answers one exchange from what a flight brought.
func (v *visit) outcome(f *flight, leads bool) (resp *message.Response, again bool, err error) {
	out := &f.out
	if leads {
		out.trail.copyTo(&v.r.X)
	}
	switch out.kind {
	case outcomeFill:
		if !leads && !varyMatches(out.obj.vary, &v.r.Header) {
			out.fill.arrived()
			return v.otherVariant(out.obj.vary)
		}
		resp = out.obj.respond(v.r, out.fill, -1)
		out.fill.arrived()
		v.say(resp, missWord(leads), v.forward(), storedWord(f), collapsed(leads))
		return resp, false, nil
	case outcomeValidated:
		if !leads && out.reason != "" {
			break
		}
		if !leads && !varyMatches(out.obj.vary, &v.r.Header) {
			return v.otherVariant(out.obj.vary)
		}
		resp = out.obj.respond(v.r, nil, out.obj.answer.age(v.c.env.Now()))
		if leads {
			for i := range out.cookies {
				resp.Header.Append(out.cookies[i])
			}
		}
		v.say(resp, "revalidated", v.forward(), "fwd-status=304", collapsed(leads))
		return resp, false, nil
	case outcomeFailed:
		return v.failed(out, leads)
	case outcomeAlone:
		if leads {
			adopt(out.resp, &v.r.X)
			v.say(out.resp, "miss", v.forward(), "detail="+out.reason)
			return out.resp, false, nil
		}
	}
	resp, err = v.pass("bypass")
	return resp, false, err
}

// failed is the outcome of a call that brought no answer, or a 5xx.
func (v *visit) failed(out *outcome, leads bool) (*message.Response, bool, error) {
	if out.err == nil && out.status == 0 { // it never took off
		return v.retry()
	}
	now := v.c.env.Now()
	if o := v.found.obj; o != nil && o.answer.onError(&v.wants, o.left(now)) {
		out.refuse(leads)
		return v.standIn(o, now), false, nil
	}
	switch {
	case !leads:
		return v.retry() // the first of those who waited leads now
	case out.resp != nil:
		adopt(out.resp, &v.r.X)
		v.say(out.resp, "miss", v.forward(), "fwd-status="+strconv.Itoa(out.status))
		return out.resp, false, nil
	default:
		v.r.X.Cache = "miss"
		return nil, false, v.unreachable(out.err)
	}
}

// otherVariant looks again, for those who asked for the same variant. Responses
// that don't agree on what they vary by end that.
func (v *visit) otherVariant(vary []cacheVary) (*message.Response, bool, error) {
	v.rule = vary
	if v.variants++; v.variants > 3 {
		resp, err := v.pass("bypass")
		return resp, false, err
	}
	return v.retry()
}

// retry looks again while there is time to wait, and goes alone after: a lock
// that ran out is not taken again.
func (v *visit) retry() (*message.Response, bool, error) {
	if v.c.env.Now().Before(v.until) {
		return nil, true, nil
	}
	resp, err := v.pass("bypass")
	return resp, false, err
}

// forward says why the request went to the service (RFC 9211 §2.2).
func (v *visit) forward() string {
	switch {
	case v.found.obj == nil && v.found.vary == nil:
		return "fwd=miss"
	case v.found.obj == nil:
		return "fwd=vary-miss"
	case v.wants.noCache || v.wants.maxAge >= 0 || v.wants.minFresh >= 0:
		return "fwd=request"
	default:
		return "fwd=stale"
	}
}

func missWord(leads bool) string {
	if leads {
		return "miss"
	}
	return "collapsed"
}

func collapsed(leads bool) string {
	if leads {
		return ""
	}
	return "collapsed"
}

func storedWord(f *flight) string {
	if f.doomed.Load() {
		return ""
	}
	return "stored"
}

// fetch is the call of one flight.
type fetch struct {
	c    *cacher
	f    *flight
	q    *message.Request
	key  string
	url  int
	held *cacheObject // the variant that the request selects
	asks bool         // q has a condition of ours
	auth bool
}

// run calls the service and lands the flight. It owns the request.
func (p *fetch) run(next Func) {
	resp, asked, received, err := p.call(next)
	if err == nil && resp.Status == 304 && p.asks && !p.validated(resp, asked, received) {
		// A 304 about something that we don't hold (RFC 9111 §4.3.4): ask for all of it.
		resp.Release()
		p.asks = false
		p.q.Header.DelID(message.IfNoneMatch)
		p.q.Header.DelID(message.IfModifiedSince)
		resp, asked, received, err = p.call(next)
	}
	switch {
	case err != nil:
		p.c.store.flights.land(p.f, outcome{kind: outcomeFailed, err: own(err), trail: trailOf(&p.q.X)})
		p.q.Release()
	case p.f.landed: // by validated; only this goroutine lands it
		p.q.Release()
	default:
		p.take(resp, asked, received)
	}
}

func (p *fetch) call(next Func) (resp *message.Response, asked, received time.Time, err error) {
	asked = p.c.env.Now()
	resp, err = guarded(&p.c.env, next, p.q)
	return resp, asked, p.c.env.Now(), err
}

// validated applies a 304 to what is stored, releases it, and lands the flight;
// false means that nothing stored is meant.
func (p *fetch) validated(resp *message.Response, asked, received time.Time) bool {
	o := p.held
	if tag := resp.Header.Value(message.ETag); tag != "" {
		if o == nil || !weakEqual(o.etag, tag) {
			o = p.c.store.byTag([]byte(p.key), []byte(p.key[:p.url]), tag)
		}
	}
	if o == nil {
		return false
	}
	n := o.freshened(&resp.Header, &p.q.Header, asked, received, p.c.terms)
	out := outcome{kind: outcomeValidated, obj: n, status: 304, trail: trailOf(&p.q.X)}
	if !p.c.strip {
		for _, f := range resp.Header.Fields() {
			if f.ID == message.SetCookie {
				out.cookies = append(out.cookies, message.Field{Name: f.ID.String(), Value: string(octets(f.Value)), ID: f.ID})
			}
		}
	}
	out.reason = n.answer.unstorable(n.header(), p.auth, false)
	if out.reason != "" {
		p.c.store.drop(p.key, p.url, o)
	} else {
		p.c.store.put(p.key, p.url, &p.q.Header, n, &p.f.doomed)
	}
	resp.MarkComplete()
	resp.Release()
	p.c.store.flights.land(p.f, out)
	return true
}

// take decides on a whole response: for all, or for the leader alone.
func (p *fetch) take(resp *message.Response, asked, received time.Time) {
	c := p.c
	h := &resp.Header
	if c.strip {
		h.DelID(message.SetCookie)
	}
	o := newObject(resp.Status, h, &p.q.Header, received)
	o.answer = readAnswer(resp.Status, h, asked, received, c.terms)
	reason := o.answer.unstorable(h, p.auth, false)
	switch {
	case reason != "":
	case resp.Stream:
		reason = "stream"
	case resp.Length > c.object:
		reason = "too_large"
	case resp.Length > 0 && c.store.filling.Load()+resp.Length > c.store.size/2:
		reason = "busy"
	}
	failed := resp.Status >= 500 && (reason != "" || p.held != nil && p.held.answer.sie > 0)
	switch {
	case failed:
		p.handOver(resp, outcome{kind: outcomeFailed, reason: reason})
	case reason != "":
		if p.held != nil { // superseded
			c.store.drop(p.key, p.url, p.held)
		}
		if reason != "busy" && !p.f.doomed.Load() {
			c.store.mark(p.f.key[:len(p.key)+boolInt(p.auth)], p.url, received.Add(passTime))
		}
		c.env.Count("cache", "unstorable_"+reason)
		p.handOver(resp, outcome{kind: outcomeAlone, reason: reason})
	default:
		p.fill(resp, o)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// handOver gives the response to the leader, if it is still there.
func (p *fetch) handOver(resp *message.Response, out outcome) {
	hand(resp, p.q)
	out.resp, out.status, out.trail = resp, resp.Status, trailOf(&p.q.X)
	if !p.c.store.flights.land(p.f, out) {
		resp.Release()
	}
}

// fill reads a storable body to its end while everybody reads along.
func (p *fetch) fill(resp *message.Response, o *cacheObject) {
	s := p.c.store
	f := newFill(o, resp.Length, p.c.object, p.c.budget)
	s.flights.land(p.f, outcome{kind: outcomeFill, fill: f, obj: o, status: resp.Status, trail: trailOf(&p.q.X)})
	whole := f.pump(resp.Body, &resp.Trailer, func() {
		s.flights.forget(p.f)
		s.mark(p.f.key[:len(p.key)+boolInt(p.auth)], p.url, p.c.env.Now().Add(passTime))
		p.c.env.Count("cache", "unstorable_too_large")
	})
	if whole {
		kept := *o
		kept.body = f.bytes()
		s.put(p.key, p.url, &p.q.Header, &kept, &p.f.doomed)
	}
	s.flights.forget(p.f)
	if f.complete() {
		resp.MarkComplete()
	}
	resp.Release()
	p.q.Release()
}

// header shows the fields of an object as a Header.
func (o *cacheObject) header() *message.Header {
	h := new(message.Header)
	for i := range o.fields {
		h.Append(o.fields[i])
	}
	return h
}

// marked tells whether responses to a key can't be shared at the moment.
func (s *CacheStore) marked(key []byte, url int, now time.Time) bool {
	sh := s.shard(key[:url])
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	n := sh.nodes[string(key)]
	return n != nil && n.pass != nil && now.Before(n.pass.until)
}
