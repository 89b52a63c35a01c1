package aggregate

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// fetchState is one fetch of a run: its keys, its calls, and the row of each key.
type fetchState struct {
	f     *fetch
	x     *run // that it is of
	waits atomic.Int32
	done  atomic.Bool
	keys  keyTable
	rows  [][]int32 // by gather: the key of each place, see noKey
	ends  [][]int32 // by gather with lists of keys: where each place's keys end
	calls []callState
	heads []keyRow // by key
	links []linked // elements of lists, chained
	whole failure  // of the fetch as a whole
	queue ready    // of the goroutine that began with this fetch

	began time.Time // of a traced run
	took  time.Duration
}

// noKey marks a place without a key: its value is null there.
const (
	noKey      = -1
	invalidKey = -2
)

// keyRow is what a key got: an element, a chain of elements, or a failure.
type keyRow struct {
	failure

	found bool // a single element is there, or the list is known
	at    elem // of a single one
	first int32
	last  int32
	n     int32
}

type linked struct {
	elem

	next int32
}

// elem is one element: a node of a body. A nil tape is null.
type elem struct {
	tape *scan.Tape
	ref  scan.Ref
}

// callState is one call of a fetch.
type callState struct {
	from, to int // keys
	failure

	body   []byte
	tape   *scan.Tape
	active active
	room   []byte // of its target
	shared bool   // body is a flight's
	flaw   code   // of a GraphQL answer: an error somewhere inside
	joined bool   // a flight that another request had started
}

func (s *fetchState) reset() {
	s.done.Store(false)
	s.keys.reset()
	for i := range s.rows {
		s.rows[i] = s.rows[i][:0]
	}
	for i := range s.ends {
		s.ends[i] = s.ends[i][:0]
	}
	for i := range s.calls {
		c := &s.calls[i]
		switch {
		case c.tape == nil:
		case i == 0: // this mask's next answer is like the last one
			c.tape.Reset()
		default:
			c.tape.Release()
			c.tape = nil
		}
		if cap(c.body) > keepBuffer || c.shared {
			c.body, c.shared = nil, false
		}
		c.body = c.body[:0]
		c.failure, c.flaw = failure{}, codeOK
	}
	s.calls, s.heads, s.links, s.whole = s.calls[:0], s.heads[:0], s.links[:0], failure{}
	s.began, s.took = time.Time{}, 0
}

// fetch gathers the keys of a fetch, makes its calls, and pairs the answers.
func (x *run) fetch(s *fetchState) {
	f := s.f
	if f.after != nil && !x.p.graphql && x.fetches[f.after.id].failed() {
		s.whole = failure{code: codeAfter}
		return
	}
	if !x.wanted(f) {
		s.whole = failure{code: codeNotFound}
		return
	}
	n := 1
	if f.kind != fetchRoot {
		if !x.gather(s) {
			return
		}
		if n = s.keys.len(); n == 0 {
			return
		}
		if n > x.p.graph.limits.Keys {
			s.whole = failure{code: codeLimit}
			return
		}
	}
	for range n {
		s.heads = append(s.heads, keyRow{first: -1, last: -1})
	}
	size := 1
	if f.kind.batched() {
		size = f.call.max
	}
	if f.split(s) {
		size = 1
	}
	for at := 0; at < n; at += size {
		s.call(at, min(at+size, n))
	}
	if len(s.calls) > x.p.graph.limits.Calls {
		s.whole = failure{code: codeLimit}
		return
	}
	x.calls(s)
	for i := range s.calls {
		s.pair(&s.calls[i])
	}
}

// split tells that the keys can't share a call: one holds the character that
// would part them.
func (f *fetch) split(s *fetchState) bool {
	if !f.kind.batched() {
		return false
	}
	for v := range f.slots {
		if (v.join == ',' || v.join == '|') && s.keys.holds(v.join) {
			return true
		}
	}
	return false
}

// failed tells whether any call of the fetch did.
func (s *fetchState) failed() bool {
	if s.whole.code != codeOK {
		return true
	}
	for i := range s.calls {
		if s.calls[i].code != codeOK {
			return true
		}
	}
	return false
}

// call adds a call for some keys; the memory of an earlier run's is used again.
func (s *fetchState) call(from, to int) {
	if len(s.calls) < cap(s.calls) {
		s.calls = s.calls[:len(s.calls)+1]
	} else {
		s.calls = append(s.calls, callState{})
	}
	c := &s.calls[len(s.calls)-1]
	c.from, c.to, c.failure, c.joined = from, to, failure{}, false
}

// calls makes all calls of a fetch, as many at once as the source takes.
func (x *run) calls(s *fetchState) {
	switch n := len(s.calls); n {
	case 0:
	case 1:
		x.call(s, &s.calls[0])
	default:
		var next atomic.Int32
		worker := func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				x.call(s, &s.calls[i])
			}
		}
		var wait sync.WaitGroup
		for range min(n, s.f.source.limit) - 1 {
			wait.Go(worker)
		}
		worker()
		wait.Wait()
	}
}

// call makes one call and reads its answer.
func (x *run) call(s *fetchState, c *callState) {
	f := s.f
	sub := message.NewRequest()
	defer sub.Release()
	if fail := x.prepare(sub, s, c); fail.code != codeOK {
		c.failure = fail
		return
	}
	if f.source.shares(f.call) && x.shared(s, c, sub) {
		return
	}
	c.active = active{call: &sub.X, required: f.required}
	if err := x.begin(&c.active); err != nil {
		c.failure = failure{code: codeOf(err)}
		return
	}
	defer x.end(&c.active)
	began := sub.X.Began
	resp, err := f.source.send(f.call, sub)
	if err != nil {
		c.failure = failure{code: codeOf(err)}
		f.stats.failed()
		x.blame(f, err)
		return
	}
	defer resp.Release()
	if c.failure = x.read(s, c, resp); c.code != codeOK && c.code != codeNotFound {
		x.blame(f, c.failure.cause(resp))
	}
	f.stats.done(x.p.graph.env.Now().Sub(began), c.code == codeOK)
}

// read takes the body in and scans it.
func (x *run) read(s *fetchState, c *callState, resp *message.Response) failure {
	var fail failure
	if c.body, fail = s.f.source.answer(c.body[:0], s.f.call, resp, &x.p.graph.limits); fail.code != codeOK {
		return fail
	}
	return x.scan(s, c)
}

// scan finds in the body what the plan wants of it.
func (x *run) scan(s *fetchState, c *callState) failure {
	if x.bytes.Add(int64(len(c.body))) > x.p.graph.limits.Bodies {
		return failure{code: codeTooLarge}
	}
	if c.tape == nil {
		c.tape = scan.NewTape()
	}
	if err := scan.Scan(s.f.mask, c.body, c.tape); err != nil {
		return failure{code: codeInvalid}
	}
	if s.f.refusals != nil {
		return x.refused(s, c)
	}
	return failure{}
}

// headFailure tells by the head whether an answer is of use.
func (s *source) headFailure(resp *message.Response) failure {
	if fail := statusFailure(resp.Status); fail.code != codeOK {
		return fail
	}
	if resp.Status == 204 {
		return failure{code: codeNotFound}
	}
	if s.cfg.Media != "any" && !isJSON(resp.Header.Value(message.ContentType)) || encoded(resp) {
		return failure{code: codeInvalid}
	}
	return failure{}
}

// readBody copies the whole body into dst, so that its connection is free again.
func readBody(dst []byte, resp *message.Response, limit int64) ([]byte, failure) {
	if b, ok := resp.Body.(message.Buffered); ok {
		if got := b.Peek(); int64(len(got)) == resp.Length && resp.Length <= limit {
			dst = append(dst, got...)
			b.Skip(len(got))
			resp.MarkComplete()
			return dst, failure{}
		}
	}
	dst, err := message.ReadAll(dst, resp.Body, limit)
	switch {
	case errors.Is(err, message.ErrTooLarge):
		return dst, failure{code: codeTooLarge}
	case err != nil:
		return dst, failure{code: codeInvalid}
	}
	resp.MarkComplete()
	return dst, failure{}
}

// cause tells what was wrong with an answer, for the log.
func (f failure) cause(resp *message.Response) error {
	if n := rpcStatus(resp); n > 0 {
		return fmt.Errorf("it answered with the status %d of gRPC", n)
	}
	if resp.Status >= 300 {
		return fmt.Errorf("it answered %d", resp.Status)
	}
	return fmt.Errorf("its answer is %s (%s)", f.code, resp.Header.Value(message.ContentType))
}

func encoded(resp *message.Response) bool {
	v := resp.Header.Value(message.ContentEncoding)
	return v != "" && v != "identity"
}

// isJSON tells application/json and +json types.
func isJSON(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimSpace(t)
	return t == "application/json" || strings.EqualFold(t, "application/json") ||
		len(t) > 5 && strings.EqualFold(t[len(t)-5:], "+json")
}

func statusFailure(status int) failure {
	switch {
	case status >= 200 && status < 300:
		return failure{}
	case status == 404 || status == 410:
		return failure{codeNotFound, uint16(status)}
	case status == 401 || status == 403:
		return failure{codeUnauthorized, uint16(status)}
	case status == 503 || status == 429:
		if status == 429 {
			return failure{codeRefused, 429}
		}
		return failure{code: codeUnavailable}
	case status == 504:
		return failure{code: codeTimeout}
	case status >= 500:
		return failure{code: codeFailed}
	}
	return failure{codeRefused, uint16(status)}
}

// prepare writes the request of a call.
func (x *run) prepare(sub *message.Request, s *fetchState, c *callState) failure {
	f, r := s.f, x.r
	sub.Method = f.call.method
	sub.Scheme, sub.Authority, sub.Host, sub.Proto = r.Scheme, r.Authority, r.Host, r.Proto
	q := &sub.X
	now := x.began // the first calls are ready when the run is
	if f.depth > 1 || f.after != nil || len(f.behind) > 0 {
		now = x.p.graph.env.Now()
	}
	q.Began, q.Deadline = now, x.deadline(f, now)
	q.Peer, q.Client, q.Trusted, q.Port, q.TLS = r.X.Peer, r.X.Client, r.X.Trusted, r.X.Port, r.X.TLS
	q.Listener, q.Route, q.RequestID, q.Trace, q.Shard = r.X.Listener, r.X.Route, r.X.RequestID, r.X.Trace, r.X.Shard
	for i := range r.Header.Fields() {
		if h := &r.Header.Fields()[i]; f.source.forwards(h) {
			sub.Header.Append(*h)
		}
	}
	sub.Header.SetID(message.Accept, "application/json")
	w := writer{x: x, s: s, c: c, sub: sub}
	return w.request()
}

// forwards tells whether a field of the client goes on to the source.
func (s *source) forwards(h *message.Field) bool {
	switch h.ID {
	case message.Traceparent, message.Tracestate, message.XRequestID:
		return true
	default:
	}
	for _, name := range s.forward {
		if strings.EqualFold(name, h.Name) {
			return true
		}
	}
	return false
}

// deadline is the end of one call's time.
func (x *run) deadline(f *fetch, now time.Time) time.Time {
	by := x.by
	if !by.IsZero() {
		by = by.Add(-max(minReserve, x.p.budget/50))
	}
	limit := f.call.timeout
	if limit == 0 {
		limit = f.source.cfg.Timeout
	}
	if own := now.Add(limit); limit > 0 && (by.IsZero() || own.Before(by)) {
		by = own
	}
	return by
}

// minReserve is the least time kept for shaping the answer.
const minReserve = 5 * time.Millisecond
