package upstream

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

const (
	// grpcIdle is how long a gRPC call may pause: it has deadlines of its own.
	grpcIdle = time.Hour
	// grpcSlack is how much earlier than us a service may end a call whose time is
	// up: it has that time from us.
	grpcSlack = 20 * time.Millisecond
)

// h2exchange is one exchange over HTTP/2: the request as net/http has it, the
// response as a message, and what joins them. It is not the allocation-free
// path: the frames, header tables and streams are golang.org/x/net/http2's.
type h2exchange struct {
	c  *Cluster
	ep *Endpoint
	r  *message.Request

	ctx    context.Context //nolint:containedctx // the exchange's own
	cancel context.CancelCauseFunc
	end    *time.Timer // ends the exchange; nil without a deadline
	began  time.Time
	wait   time.Duration // for the head, from when the request is complete
	grpc   bool

	headMu sync.Mutex
	head   *time.Timer // ends the wait for the response head
	headed bool        // that wait is over

	up       *upload // nil without a body
	interims interims
	sentAt   atomic.Int64 // nanoseconds since Began
	reused   bool

	resp message.Response
	body h2body
}

// try2 makes one exchange with ep over HTTP/2.
func (c *Cluster) try2(r *message.Request, ep *Endpoint, now time.Time) (*message.Response, *failure) {
	e := &h2exchange{c: c, ep: ep, r: r, reused: true}
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), h2key{}, e))
	e.ctx, e.cancel = ctx, cancel
	e.interims.forward = r.X.Interim
	if err := r.X.OnCancel(e); err != nil {
		cancel(err)
		c.leave(ep)
		return nil, &failure{Error: givenUp(err)}
	}
	e.startTimers(now)
	again := !r.HasBody() && !e.grpc && r.Idempotent()
	if again {
		ep.h2.wait(e)
	}
	res, err := ep.h2.t.RoundTrip(e.request())
	e.stopHead()
	if again && ep.h2.waited(e) && r.X.Err() == nil {
		if err == nil {
			_ = res.Body.Close()
		}
		ep.h2.suspect()
		e.interims.close()
		e.finish(errStalled)
		return nil, c.stalledAt(r, ep, true)
	}
	if e.up != nil {
		e.up.answered()
	}
	e.interims.close()
	if at := e.sentAt.Load(); at > 0 {
		r.X.Phases[message.PhaseSent] = time.Duration(at)
	}
	if err != nil {
		e.finish(err)
		return nil, e.failed(err, now)
	}
	r.X.Mark(message.PhaseHead)
	e.answer(res)
	return &e.resp, nil
}

// startTimers arms the ends of the exchange. The wait for the head counts from
// when the request is complete; a gRPC service may send its head with the first
// message, so there only the exchange's own deadline counts.
func (e *h2exchange) startTimers(now time.Time) {
	e.wait = e.c.tryTime(&e.r.X)
	wait := e.wait
	e.began, e.grpc = e.r.X.Began, isGRPC(&e.r.Header)
	switch {
	case e.grpc:
		wait = grpcIdle
	case e.r.HasBody():
		wait = uploadHead // until the body is sent
	}
	e.head = time.AfterFunc(wait, func() { e.cancel(errHeadTimeout) })
	if d := e.r.X.Deadline; !d.IsZero() {
		e.end = time.AfterFunc(d.Sub(now), func() { e.cancel(errDeadline) })
	}
}

func isGRPC(h *message.Header) bool {
	return strings.HasPrefix(h.Value(message.ContentType), "application/grpc")
}

// Cancel ends the exchange because it was given up.
func (e *h2exchange) Cancel(cause error) { e.cancel(cause) }

// connected is called by the pool for each connection that the transport takes.
func (e *h2exchange) connected(reused bool) {
	e.reused = reused
	e.r.X.Mark(message.PhaseConnect)
}

// request builds the net/http request. Every string is copied: the transport
// keeps field lines in its compression table after the exchange has ended.
func (e *h2exchange) request() *http.Request {
	r := e.r
	host := strings.Clone(e.c.hostFor(r, e.ep))
	req := &http.Request{
		Method: strings.Clone(r.Method),
		URL: &url.URL{
			Scheme: e.ep.target.scheme(), Host: e.ep.target.address,
			RawQuery: strings.Clone(r.Query), ForceQuery: r.HasQuery && r.Query == "",
		},
		Host: host, Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: h2header(&r.Header),
	}
	setPath(req.URL, strings.Clone(r.Path))
	if r.HasBody() && r.Body != message.NoBody {
		req.ContentLength = r.Length
		req.Trailer = announced(&r.Header)
		e.up = newUpload(e, req.Trailer)
		req.Body, req.GetBody = e.up.open(), e.up.reopen
	}
	ctx := httptrace.WithClientTrace(e.ctx, &httptrace.ClientTrace{
		Got1xxResponse: e.got1xx,
		WroteRequest:   e.wrote,
	})
	return req.WithContext(ctx)
}

// wrote notes that the whole request has left. It runs on a goroutine of the
// transport, perhaps after the exchange has ended.
func (e *h2exchange) wrote(i httptrace.WroteRequestInfo) {
	if i.Err != nil {
		return
	}
	e.sentAt.Store(int64(time.Since(e.began)))
	e.headMu.Lock()
	defer e.headMu.Unlock()
	if e.up != nil && !e.grpc && !e.headed {
		e.head.Reset(e.wait)
	}
}

// stopHead ends the wait for the response head.
func (e *h2exchange) stopHead() {
	e.headMu.Lock()
	defer e.headMu.Unlock()
	e.headed = true
	e.head.Stop()
}

// setPath makes the URL print path byte for byte.
func setPath(u *url.URL, path string) {
	if !strings.HasPrefix(path, "//") {
		u.Opaque = path
		return
	}
	// An opaque part that begins with two slashes would be taken for a host.
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	u.Path, u.RawPath = plain, path
}

// h2header copies the fields, names in lower case (RFC 9113 §8.2), without
// those of the connection (§8.2.2).
func h2header(h *message.Header) http.Header {
	fields := h.Fields()
	out := make(http.Header, len(fields)+1)
	values := make([]string, 0, len(fields))
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.Connection, message.ProxyConnection, message.KeepAlive, message.TransferEncoding,
			message.Upgrade, message.HTTP2Settings, message.Host, message.ContentLength, message.Trailer:
			continue
		case message.TE:
			if !strings.EqualFold(f.Value, "trailers") {
				continue
			}
		default:
		}
		name := lowerName(f)
		values = append(values, strings.Clone(f.Value))
		if old := out[name]; old != nil {
			out[name] = append(old, values[len(values)-1])
			continue
		}
		out[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if _, ok := out["user-agent"]; !ok { //nolint:staticcheck // names are lower case here, as on the wire
		out["user-agent"] = nil // keeps the transport from adding its own
	}
	return out
}

func lowerName(f *message.Field) string {
	return strings.Clone(strings.ToLower(f.Name))
}

// announced lists the trailer fields that the client announced; others can't be
// sent over HTTP/2 by this transport.
func announced(h *message.Header) http.Header {
	if !h.Has(message.Trailer) {
		return nil
	}
	out := http.Header{}
	for _, v := range h.Values(nil, "Trailer") {
		for v != "" {
			var name string
			if name, v = message.NextMember(v); message.ValidToken(name) {
				out[textproto.CanonicalMIMEHeaderKey(strings.Clone(name))] = nil
			}
		}
	}
	return out
}

// got1xx takes an interim response (RFC 9110 §15.2). It runs on the
// connection's reading goroutine, which must not wait for our client.
func (e *h2exchange) got1xx(code int, header textproto.MIMEHeader) error {
	if code == 100 {
		if e.up != nil {
			e.up.proceed()
		}
		return nil
	}
	return e.interims.add(code, header, e.c.cfg.Limits.Interim)
}

// answer makes the response of what the transport gave.
func (e *h2exchange) answer(res *http.Response) {
	p := &e.resp
	p.Reset()
	p.Owner = e
	p.Status, p.Proto = res.StatusCode, message.HTTP2
	fill(&p.Header, res.Header)
	if len(res.Trailer) > 0 {
		names := slices.Sorted(maps.Keys(res.Trailer))
		p.Header.Append(message.Field{Name: "trailer", ID: message.Trailer, Value: strings.ToLower(strings.Join(names, ", "))})
	}
	for _, id := range []message.ID{message.Connection, message.ProxyConnection, message.KeepAlive, message.TransferEncoding, message.Upgrade} {
		p.Header.DelID(id)
	}
	p.Length = res.ContentLength
	if e.r.Method == "HEAD" || message.NoContent(res.StatusCode) {
		// What Content-Length would say; without one there is none (RFC 9110 §8.6).
		p.Length = message.Unknown
		if n, err := strconv.ParseInt(p.Header.Value(message.ContentLength), 10, 64); err == nil && n >= 0 {
			p.Length = n
		}
		if res.StatusCode == 204 {
			p.Length = 0
		}
	}
	p.Header.DelID(message.ContentLength)
	grpc := isGRPC(&p.Header)
	idle := e.c.cfg.BodyIdle
	switch {
	case grpc:
		idle = grpcIdle
		p.Stream = true
	case http1.EventStream(&p.Header), e.r.X.Stream:
		if e.r.X.IdleTimeout == 0 {
			idle = max(idle, http1.StreamIdle)
		}
		p.Stream = http1.EventStream(&p.Header)
		if e.end != nil {
			e.end.Stop() // such an answer ends when it ends
		}
	}
	e.body = h2body{e: e, res: res, idle: idle}
	// A length of 0 that no field announced: the head ended the stream, as in
	// gRPC's trailers-only form.
	ended := res.ContentLength == 0 && res.Header["Content-Length"] == nil
	if !ended && e.r.Method != "HEAD" {
		p.Body = &e.body
	}
	e.record(res.StatusCode, grpc)
}

// record feeds the averages. An answer that began before the request was sent
// has no time to measure, and one that a client's stream delayed neither.
func (e *h2exchange) record(status int, grpc bool) {
	x := &e.r.X
	good := status < 500
	if grpc {
		// 14 is UNAVAILABLE; of a trailers-only answer it is in the head.
		good = good && e.resp.Header.Value(message.GrpcStatus) != "14"
	}
	if !good {
		e.ep.errors.Add(1)
	}
	if grpc && !good && status < 500 {
		status = 503 // what UNAVAILABLE means in HTTP
	}
	e.c.noteAnswer(e.ep, x, status)
	sent, head := x.Phases[message.PhaseSent], x.Phases[message.PhaseHead]
	if good && (sent == 0 || sent > head) {
		return
	}
	if good {
		e.c.noteTime(e.ep, head-sent)
	}
	e.c.balancer.record(e.ep, head-sent, x.Began.Sub(e.c.born)+head, good)
}

// fill appends the fields in lower case and the order of their names: a map
// knows no other.
func fill(h *message.Header, from http.Header) {
	for _, name := range slices.Sorted(maps.Keys(from)) {
		id := message.NameID(name)
		lower := strings.ToLower(name)
		for _, v := range from[name] {
			if message.ValidToken(lower) && message.ValidValue(strings.Trim(v, " \t")) {
				h.Append(message.Field{Name: lower, Value: strings.Trim(v, " \t"), ID: id})
			}
		}
	}
}

// ReleaseResponse ends the exchange.
func (e *h2exchange) ReleaseResponse(_ *message.Response, _ bool) {
	e.finish(errReleased)
	e.resp.Reset()
}

// finish gives everything back. After it nothing touches the request any more.
func (e *h2exchange) finish(cause error) {
	if e.end != nil {
		e.end.Stop()
	}
	e.r.X.OffCancel(e)
	e.cancel(cause)
	if e.up != nil {
		e.up.stop()
	}
	e.c.leave(e.ep)
}

// failed turns what RoundTrip returned into a failure.
func (e *h2exchange) failed(err error, began time.Time) *failure {
	c, r := e.c, e.r
	if cause := r.X.Err(); cause != nil {
		return &failure{Error: givenUp(cause)}
	}
	cause := context.Cause(e.ctx)
	var de *dialError
	switch {
	case errors.As(err, &de), errors.Is(err, errOverloaded):
		return c.notConnected(r, e.ep, err, began)
	case errors.Is(cause, errHeadTimeout), errors.Is(cause, errDeadline):
		e.ep.timeouts.Add(1)
		e.ep.h2.suspect()
		c.lost(r, e.ep, cause)
		return &failure{Error: c.late(r, cause), retry: retryLost}
	}
	if e.up != nil {
		if fault := e.up.fault(); fault != nil { // the client's body ended badly
			if ref, ok := errors.AsType[*http1.Refusal](fault); ok && ref.Status < 500 {
				p := problem.Wrap(fault, ref.Status, ref.Reason, ref.Detail())
				p.Close = true
				return &failure{Error: p}
			}
			return &failure{Error: problem.Wrap(fault, 499, "client_abort", "the request was not completed")}
		}
	}
	f := &failure{}
	var se http2.StreamError
	switch {
	case errors.As(err, &se) && e.grpc && se.Code == http2.ErrCodeCancel && !r.X.Deadline.IsZero() && time.Until(r.X.Deadline) < grpcSlack:
		e.ep.timeouts.Add(1)
		f.Error = problem.Wrap(err, 504, "exchange_timeout", "service "+c.name+" did not answer in the time for this request")
	case errors.As(err, &se):
		if se.Code == http2.ErrCodeRefusedStream { // it was not begun (RFC 9113 §8.7)
			f.retry = retryConnect
		}
		f.Error = problem.Wrap(err, 502, "h2_"+strings.ToLower(se.Code.String()), "service "+c.name+" reset the stream")
	case errors.Is(err, errTooManyInterim):
		f.Error = problem.Wrap(err, 502, "too_many_interim", "service "+c.name+" sent an invalid response")
	default:
		f.Error = problem.Wrap(err, 502, "reset", "service "+c.name+" closed the connection without an answer")
		f.retry = retryLost
		// The stale-connection rule, as far as the request can be sent again.
		if e.reused && e.up == nil && r.Idempotent() {
			f.retry = retryReplay
			return f
		}
	}
	c.lost(r, e.ep, err)
	return f
}

// h2body is the body of a response.
type h2body struct {
	e     *h2exchange
	res   *http.Response
	idle  time.Duration
	timer *time.Timer
}

// Read reads content; at its end the trailers are complete.
func (b *h2body) Read(p []byte) (int, error) {
	if b.timer == nil {
		b.timer = time.AfterFunc(b.idle, func() { b.e.cancel(errBodyIdle) })
	} else {
		b.timer.Reset(b.idle)
	}
	n, err := b.res.Body.Read(p)
	b.timer.Stop()
	if err == nil || n > 0 && errors.Is(err, io.EOF) {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		if b.e.resp.Trailer.Len() == 0 {
			fill(&b.e.resp.Trailer, b.res.Trailer)
		}
		return n, io.EOF
	}
	if cause := context.Cause(b.e.ctx); cause != nil {
		err = cause
	}
	return n, errors.Join(message.ErrAborted, err)
}

// Close stops reading; an unfinished stream is reset.
func (b *h2body) Close() error {
	if b.timer != nil {
		b.timer.Stop()
	}
	return b.res.Body.Close()
}

// interims passes 1xx responses on, in order, on a goroutine of their own while
// there are any.
type interims struct {
	forward func(*message.Response) error

	mu      sync.Mutex
	queue   []*message.Response
	seen    int
	running bool
	closed  bool
	done    sync.WaitGroup
}

var errTooManyInterim = errors.New("too many interim responses")

func (q *interims) add(code int, header textproto.MIMEHeader, limit int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen++; q.seen > limit {
		return errTooManyInterim
	}
	if q.forward == nil || q.closed {
		return nil
	}
	p := message.NewResponse(code)
	p.Local, p.Proto = false, message.HTTP2
	fill(&p.Header, http.Header(header))
	q.queue = append(q.queue, p)
	if !q.running {
		q.running = true
		q.done.Go(q.run)
	}
	return nil
}

func (q *interims) run() {
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		p := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		_ = q.forward(p) // a client that can't take it will not take the answer either
		p.Release()
	}
}

// close waits until what came was passed on: the final response follows.
func (q *interims) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.done.Wait()
}
