package aggregate

import (
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// This file shares calls under way between requests.
//
// The flow: a call of a source that declared what changes its answers (vary) has a
// key: its target and body, the value of every field that is forwarded, and who
// asks. The first request with a key starts a flight on a goroutine of its own;
// others wait for it. A flight lives until its answer is there or its last waiter
// has left: a leader that is cancelled takes nobody with it. Bodies are shared,
// never changed, and each waiter scans them with its own mask.

// maxFlights bounds the flights of a source; more calls go alone.
const maxFlights = 1024

// flightTime is the longest that a flight may take.
const flightTime = 30 * time.Second

// flights are those of one source.
type flights struct {
	mu   sync.Mutex
	open map[string]*flight
}

// flight is one call that several requests wait for.
type flight struct {
	key  string
	done chan struct{}
	req  *message.Request // nil once it has landed

	waiters int // under flights.mu

	// Set before done is closed.
	body   []byte
	alone  bool // the answer is for one only: the others ask themselves
	err    error
	failed failure
}

// anchor is a waiter's hook on its own run.
type anchor struct {
	once sync.Once
	gone chan struct{}
	why  error
}

// Cancel ends the wait.
func (a *anchor) Cancel(cause error) {
	a.once.Do(func() {
		a.why = cause
		close(a.gone)
	})
}

// shares tells whether calls of this kind may be shared.
func (s *source) shares(c *call) bool {
	return s.cfg.Vary != nil && c.safe()
}

// flightKey is everything that the answer may depend on.
func (x *run) flightKey(f *fetch, sub *message.Request, body []byte) string {
	var b strings.Builder
	b.WriteString(sub.Method + " " + sub.Path + "?" + sub.Query + "\x00")
	b.Write(body)
	for i := range sub.Header.Fields() {
		h := &sub.Header.Fields()[i]
		switch h.ID { // names that only one request has would part all
		case message.Traceparent, message.Tracestate, message.XRequestID, message.XRequestTimeoutMs, message.B3, message.Accept:
			continue
		default:
			b.WriteString("\x00" + strings.ToLower(h.Name) + "\x01" + h.Value)
		}
	}
	for _, id := range []message.ID{message.XMaruSubject, message.Authorization, message.Cookie} {
		b.WriteString("\x02")
		b.WriteString(x.r.Header.Value(id))
	}
	b.WriteString("\x03" + x.r.Authority + "\x03" + f.source.name)
	return b.String()
}

// shared makes a call or joins the same one of another request. ok is false when
// it must be made alone.
func (x *run) shared(s *fetchState, c *callState, sub *message.Request) (ok bool) {
	src := s.f.source
	var body []byte
	if s.f.call.body != nil {
		w := writer{x: x, s: s, c: c, sub: sub}
		body = w.body(nil, s.f.call.body)
	}
	fl, joined := src.flights.join(x.flightKey(s.f, sub, body), func() *message.Request { return copyCall(sub, body) }, x.fly, s.f)
	if fl == nil {
		return false
	}
	c.joined = joined
	a := &anchor{gone: make(chan struct{})}
	c.active = active{call: a, required: s.f.required}
	if err := x.begin(&c.active); err != nil {
		src.flights.leave(fl)
		c.failure = failure{code: codeOf(err)}
		return true
	}
	defer x.end(&c.active)
	var late <-chan time.Time
	if by := sub.X.Deadline; !by.IsZero() {
		timer := time.NewTimer(by.Sub(x.p.graph.env.Now()))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-fl.done:
	case <-a.gone:
		src.flights.leave(fl)
		c.failure = failure{code: codeOf(a.why)}
		return true
	case <-late:
		src.flights.leave(fl)
		c.failure = failure{code: codeTimeout}
		x.blame(s.f, problem.New(504, "exchange_timeout", "the shared call took too long"))
		return true
	}
	src.flights.leave(fl)
	if fl.alone {
		c.joined = false
		return false
	}
	x.landed(s, c, fl)
	return true
}

// landed takes a flight's answer as this call's own.
func (x *run) landed(s *fetchState, c *callState, fl *flight) {
	switch {
	case fl.err != nil:
		c.failure = failure{code: codeOf(fl.err)}
		x.blame(s.f, fl.err)
	case fl.failed.code != codeOK:
		c.failure = fl.failed
	default:
		c.body, c.shared = fl.body, true
		c.failure = x.scan(s, c)
	}
}

// join finds the flight of a key (joined) or starts it; nil means that there is no
// room.
func (t *flights) join(key string, request func() *message.Request, fly func(*fetch, *flight), f *fetch) (_ *flight, joined bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fl := t.open[key]; fl != nil {
		fl.waiters++
		return fl, true
	}
	if len(t.open) >= maxFlights {
		return nil, false
	}
	if t.open == nil {
		t.open = make(map[string]*flight)
	}
	fl := &flight{key: key, done: make(chan struct{}), req: request(), waiters: 1}
	t.open[key] = fl
	go fly(f, fl)
	return fl, false
}

// leave ends a wait; the last one to leave ends the call.
func (t *flights) leave(fl *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fl.waiters--; fl.waiters > 0 || fl.req == nil {
		return
	}
	t.forget(fl) // nobody joins a call that is being given up
	fl.req.X.Cancel(message.ErrClientGone)
}

func (t *flights) forget(fl *flight) {
	if t.open[fl.key] == fl {
		delete(t.open, fl.key)
	}
}

// fly makes the call of a flight. It uses nothing of the request that started it.
func (x *run) fly(f *fetch, fl *flight) { f.source.fly(f, fl, &x.p.graph.limits) }

func (s *source) fly(f *fetch, fl *flight, limits *LimitsConfig) {
	req := fl.req
	resp, err := s.send(f.call, req)
	if err != nil {
		fl.err = own(err)
		f.stats.failed()
	} else {
		fl.failed, fl.body, fl.alone = s.takeShared(f.call, resp, limits)
		resp.Release()
		f.stats.done(time.Since(req.X.Began), fl.failed.code == codeOK)
	}
	s.flights.mu.Lock()
	s.flights.forget(fl)
	fl.req = nil
	s.flights.mu.Unlock()
	close(fl.done)
	req.Release()
}

// takeShared reads an answer that others may get too.
func (s *source) takeShared(c *call, resp *message.Response, limits *LimitsConfig) (failure, []byte, bool) {
	if resp.Header.Has(message.SetCookie) || resp.Header.HasToken(message.CacheControl, "private") || resp.Header.HasToken(message.Vary, "*") {
		return failure{}, nil, true
	}
	body, fail := s.answer(nil, c, resp, limits)
	if fail.code != codeOK {
		return fail, nil, false
	}
	return fail, body, false
}

// own gives an error that may outlive its request.
func own(err error) error {
	p := *problem.Of(err)
	p.Detail = strings.Clone(p.Detail)
	return &p
}

// copyCall makes a request that does not end with the one it was made for.
func copyCall(sub *message.Request, body []byte) *message.Request {
	t := message.NewRequest()
	x := &t.X
	str := func(s string) string { return x.String([]byte(s)) }
	t.Method, t.Path, t.RawPath = sub.Method, str(sub.Path), str(sub.Path)
	t.Query, t.HasQuery = str(sub.Query), sub.HasQuery
	t.Scheme, t.Authority, t.Host, t.Proto = str(sub.Scheme), str(sub.Authority), str(sub.Host), sub.Proto
	for i := range sub.Header.Fields() {
		h := &sub.Header.Fields()[i]
		t.Header.Append(message.Field{Name: str(h.Name), Value: str(h.Value), ID: h.ID})
	}
	if body != nil {
		t.Body, t.Length = message.Bytes(body), int64(len(body))
	}
	q := &sub.X
	x.Began, x.Deadline = q.Began, q.Began.Add(flightTime)
	x.Peer, x.Client, x.Trusted, x.Port = q.Peer, q.Client, q.Trusted, q.Port
	x.Listener, x.Route, x.RequestID, x.Trace, x.Shard = q.Listener, q.Route, str(q.RequestID), q.Trace, q.Shard
	return t
}
