package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// h3Exchange joins a request and a response of quic-go's HTTP/3, which has them
// in net/http's types, to messages. Their maps know no order of fields: here it
// is that of the names.
type h3Exchange struct {
	s   *h3Server
	w   http.ResponseWriter
	ctl *http.ResponseController
	hr  *http.Request
	r   *message.Request

	body    h3Body
	written time.Time // the write deadline that is set

	mu   sync.Mutex
	gone bool // the exchange is over
}

// serve is the handler of every HTTP/3 request.
func (s *h3Server) serve(w http.ResponseWriter, hr *http.Request) {
	c, _ := hr.Context().Value(h3connKey{}).(*h3Conn)
	s.enter(c)
	defer s.leave(c)
	defer s.guard()
	e := &h3Exchange{s: s, w: w, ctl: http.NewResponseController(w), hr: hr, r: message.NewRequest()}
	ref, err := e.request(c)
	if err != nil {
		e.r.Release()
		panic(http.ErrAbortHandler) // malformed: the stream is reset (RFC 9114 §4.1.2)
	}
	stop := context.AfterFunc(hr.Context(), e.clientGone)
	err = e.run(ref)
	stop()
	e.mu.Lock()
	e.gone = true
	e.mu.Unlock()
	e.r.Release()
	if err != nil {
		panic(http.ErrAbortHandler) // resets the stream: what is not whole must not look so
	}
}

// guard keeps a panic to its stream, which is reset.
func (s *h3Server) guard() {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		s.env.Log.Error("panic while serving a stream", "value", fmt.Sprint(v), "listener", s.name, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// clientGone gives the exchange up.
func (e *h3Exchange) clientGone() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.gone {
		e.r.X.Cancel(message.ErrClientGone)
	}
}

// request makes the message and judges it.
func (e *h3Exchange) request(c *h3Conn) (*http1.Refusal, error) {
	r, hr := e.r, e.hr
	x := &r.X
	x.Began, x.Shard = time.Now(), c.shard
	x.Peer, x.Client = c.peer, c.peer.Addr()
	x.Listener, x.Port, x.TLS = e.s.name, e.s.port, hr.TLS
	x.Interim = e.interim
	r.Method, r.Authority, r.Scheme, r.Proto = hr.Method, hr.Host, "https", message.HTTP3
	for _, name := range slices.Sorted(maps.Keys(hr.Header)) {
		id, lower := message.NameID(name), strings.ToLower(name)
		for _, v := range hr.Header[name] {
			r.Header.Append(message.Field{Name: lower, Value: v, ID: id})
		}
	}
	if len(hr.Trailer) > 0 {
		names := strings.ToLower(strings.Join(slices.Sorted(maps.Keys(hr.Trailer)), ", "))
		r.Header.Append(message.Field{Name: "trailer", Value: names, ID: message.Trailer})
	}
	e.body = h3Body{e: e}
	r.Length = message.Unknown
	if hr.ContentLength < 0 && r.Safe() {
		// Such a request hardly has content, but only its end says so.
		e.body.peek()
		if e.body.ended {
			r.Length = 0
		}
	}
	ref, err := judge(r, &pseudoFields{scheme: "https", path: hr.RequestURI}, &e.s.limits)
	if r.Length != 0 {
		r.Body = &e.body
	}
	if r.Expect {
		x.Continue = e.sendContinue
	}
	return ref, err
}

// run answers the request.
func (e *h3Exchange) run(ref *http1.Refusal) error {
	r := e.r
	var p *message.Response
	if ref != nil {
		p = e.s.e.front.Load().refuse(ref, r.X.Peer, []byte(r.Method))
	} else {
		p = e.s.e.handle(r)
	}
	if p.Status < 200 {
		p.Release()
		p = filter.Render(r, problem.New(502, http1.ReasonUnexpected101, "the service switched protocols without being asked"))
	}
	err := e.write(p)
	if err == nil {
		p.MarkComplete()
	}
	r.X.Mark(message.PhaseDone)
	r.X.Received = e.body.count()
	if ref == nil {
		e.s.env.Done(r, p, err)
	}
	p.Release()
	return err
}

// write writes the response.
func (e *h3Exchange) write(p *message.Response) error {
	h := e.w.Header()
	e.fields(h, p)
	grpc := isGRPC(&p.Header)
	bodyless := e.r.Method == "HEAD" || message.NoContent(p.Status) || p.Body == message.NoBody
	// A key without values keeps net/http from inventing the field.
	length := p.Length
	if p.Status == 205 {
		length = 0
	}
	h["Content-Length"] = nil
	if length > 0 || length == 0 && p.Status != 304 && p.Status != 204 && !grpc {
		h["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil
	}
	if _, ok := h["Date"]; !ok {
		h["Date"] = []string{e.s.date.Date(time.Now())}
	}
	e.w.WriteHeader(p.Status)
	if bodyless {
		return nil
	}
	err := e.content(p)
	if err != nil && grpc && e.hr.Context().Err() == nil {
		filter.GRPCAbort(&p.Trailer, e.r)
		e.trailers(h, p)
		return nil
	}
	if err == nil {
		e.trailers(h, p)
	}
	return err
}

// fields copies the header section. Every string is copied: the head may be
// written after the exchange.
func (e *h3Exchange) fields(h http.Header, p *message.Response) {
	for _, f := range p.Header.Fields() {
		switch f.ID {
		case message.Connection, message.ProxyConnection, message.KeepAlive, message.TransferEncoding,
			message.Upgrade, message.HTTP2Settings, message.ContentLength, message.Trailer: // RFC 9114 §4.2
			continue
		default:
		}
		name := http.CanonicalHeaderKey(strings.Clone(f.Name))
		h[name] = append(h[name], strings.Clone(f.Value))
	}
}

func (e *h3Exchange) trailers(h http.Header, p *message.Response) {
	for _, f := range p.Trailer.Fields() {
		name := http.TrailerPrefix + http.CanonicalHeaderKey(strings.Clone(f.Name))
		h[name] = append(h[name], strings.Clone(f.Value))
	}
}

// content writes the body, each read at once.
func (e *h3Exchange) content(p *message.Response) error {
	block, _ := bodyBlocks.Get().(*[]byte)
	defer bodyBlocks.Put(block)
	sent := &e.r.X.Sent
	if src, ok := p.Body.(message.Buffered); !ok || len(src.Peek()) == 0 {
		if err := e.ctl.Flush(); err != nil { // the body may take its time
			return errors.Join(errStreamReset, err)
		}
	}
	for {
		n, err := p.Body.Read(*block)
		if n > 0 {
			e.moveWriteDeadline()
			if _, err := e.w.Write((*block)[:n]); err != nil {
				return errors.Join(errStreamReset, err)
			}
			*sent += int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if *sent == p.Length {
			continue // the end goes with the last bytes
		}
		if err := e.ctl.Flush(); err != nil {
			return errors.Join(errStreamReset, err)
		}
	}
	if p.Length >= 0 && *sent != p.Length {
		return errBadLength
	}
	return nil
}

func (e *h3Exchange) moveWriteDeadline() {
	limit := e.s.limits.Write
	if now := time.Now(); e.written.Sub(now) < max(limit-time.Second, limit/2) {
		e.written = now.Add(limit)
		_ = e.ctl.SetWriteDeadline(e.written)
	}
}

// interim passes a 1xx on at once (RFC 9110 §15.2).
func (e *h3Exchange) interim(p *message.Response) error {
	h := e.w.Header()
	e.fields(h, p)
	e.w.WriteHeader(p.Status)
	clear(h)
	return nil
}

func (e *h3Exchange) sendContinue() error {
	e.body.begin()
	return nil
}

// h3Body is the body of a request by HTTP/3.
type h3Body struct {
	e *h3Exchange

	mu        sync.Mutex // for what Read and others both see
	total     int64
	continued bool

	ahead    [1]byte
	hasAhead bool
	ended    bool
	err      error
	by       time.Time // the read deadline that is set
}

// peek waits for the first byte, or the end.
func (b *h3Body) peek() {
	n, err := b.read(b.ahead[:])
	b.hasAhead, b.err = n == 1, err
	b.ended = n == 0 && errors.Is(err, io.EOF)
}

func (b *h3Body) count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// begin asks the client for its body, once.
func (b *h3Body) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.continued {
		b.continued = true
		b.e.w.WriteHeader(http.StatusContinue)
	}
}

// Read gives content; with its end the trailers are complete.
func (b *h3Body) Read(p []byte) (int, error) {
	if b.e.r.X.Continue != nil {
		b.begin()
	}
	if b.hasAhead && len(p) > 0 {
		p[0], b.hasAhead = b.ahead[0], false
		return 1, b.add(1)
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	if n > 0 {
		b.err = err
		return n, b.add(n)
	}
	b.err = err
	return 0, err
}

// add counts n bytes against the limit.
func (b *h3Body) add(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += int64(n)
	if limit := b.e.s.limits.BodyLimit(); limit > 0 && b.total > limit {
		b.err = http1.ErrBodyTooLarge
		return b.err
	}
	return nil
}

func (b *h3Body) read(p []byte) (int, error) {
	idle := b.e.s.limits.BodyIdle
	if b.e.r.X.Stream || isGRPC(&b.e.r.Header) {
		idle = slowQuiet
	}
	if now := time.Now(); b.by.Sub(now) < max(idle-time.Second, idle/2) {
		b.by = now.Add(idle)
		_ = b.e.ctl.SetReadDeadline(b.by)
	}
	n, err := b.e.hr.Body.Read(p)
	for n == 0 && err == nil && len(p) > 0 { // a trailer section came
		n, err = b.e.hr.Body.Read(p)
	}
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		return n, b.trailers()
	}
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return n, http1.ErrBodyTimeout
	}
	return n, errors.Join(message.ErrAborted, err)
}

// trailers takes the trailer section; it gives io.EOF when it is good.
func (b *h3Body) trailers() error {
	t := b.e.hr.Trailer
	if len(t) > b.e.s.limits.TrailerCount {
		return &http1.Refusal{Status: 400, Reason: http1.ReasonTrailerTooLarge}
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		for _, v := range t[name] {
			lower := strings.ToLower(name)
			keep, err := http1.CheckTrailer(lower, v)
			if err != nil {
				return err
			}
			if keep {
				b.e.r.Trailer.Append(message.Field{Name: lower, Value: v, ID: message.NameID(name)})
			}
		}
	}
	return io.EOF
}

// Close ends the reading; it wakes a Read.
func (b *h3Body) Close() error { return b.e.hr.Body.Close() }
