package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// ClientConfig is what all connections to one service share.
type ClientConfig struct {
	// Limits of what a service may answer; its zero value means the defaults.
	Limits ResponseLimits
	// Watch keeps the deadlines; it must be running.
	Watch *Watchdog
	// Write is how long one write may wait for the service (default 30 s).
	Write time.Duration
}

// ClientConn is one connection to a service. It carries one exchange at a time.
type ClientConn struct {
	cfg  *ClientConfig
	conn net.Conn
	in   input
	out  output
	peek probe

	resp   message.Response
	head   responseHead
	body   bodyReader
	duplex duplex
	x      *message.Exchange
	onIdle func(c *ClientConn, reusable bool)

	spoilt    atomic.Bool
	closed    bool
	extra     bool // bytes beyond the response were there
	served    int
	idleSince time.Time
	interims  int
	interimN  int

	upload upload
	answer *watch // deadline of the answer to a streamed body; nil before the first
}

// upload is a body that is written beside the reading of the response.
type upload struct {
	running bool
	r       *message.Request
	wait    time.Duration // for the answer, once all is written
	sent    int64         // bytes of the body
	headIn  atomic.Bool   // the answer has begun
	end     chan error    // the result, once
	run     func()        // made once, so that starting does not allocate
}

// RoundTripOptions are the particulars of one exchange.
type RoundTripOptions struct {
	// Host is what the Host field says.
	Host string
	// Head is the end of the wait for the response head; zero means none.
	Head time.Time
	// Answer is how long the head may take after a streamed body was wholly
	// written; zero means no limit of its own. Head bounds it too.
	Answer time.Duration
	// BodyIdle is how long one read of the response's body may wait.
	BodyIdle time.Duration
	// End bounds the whole response; zero means none.
	End time.Time
	// OnIdle is called once, when the response is released or RoundTrip failed:
	// reusable tells whether the connection may carry another exchange. If not,
	// the callee closes it.
	OnIdle func(c *ClientConn, reusable bool)
}

// ConnError says how far an exchange got before its connection failed.
type ConnError struct {
	Op      string // "write" or "read"
	Sent    bool   // a byte of the request may have reached the service
	Replay  bool   // the request's body is still whole: it may be sent again
	GotByte bool   // a byte of the response came
	Timeout bool   // a deadline passed
	Err     error
}

// Error gives operation and cause.
func (e *ConnError) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }

// Unwrap gives the cause.
func (e *ConnError) Unwrap() error { return e.Err }

// NewClientConn takes over c, which is connected and, for TLS, shaken hands.
func NewClientConn(c net.Conn, cfg *ClientConfig) *ClientConn {
	c = Quick(c)
	cc := &ClientConn{cfg: cfg, conn: c}
	cc.in.init(c, cfg.Watch, cc)
	cc.out.init(c, cfg.Watch, cc)
	cc.out.limit = cfg.Write
	if cc.out.limit == 0 {
		cc.out.limit = 30 * time.Second
	}
	cc.peek.init(c)
	cc.duplex.c = cc
	cc.resp.Reset()
	return cc
}

// expire wakes whoever reads or writes.
func (c *ClientConn) expire(w *watch) {
	if w == c.out.watch {
		_ = c.conn.SetWriteDeadline(longAgo)
		return
	}
	_ = c.conn.SetReadDeadline(longAgo)
}

// Cancel wakes whoever waits on the connection because the exchange was given up.
func (c *ClientConn) Cancel(error) {
	c.spoilt.Store(true)
	c.in.stop()
	c.out.stop()
}

// Served counts finished exchanges.
func (c *ClientConn) Served() int { return c.served }

// IdleSince is when the last exchange ended.
func (c *ClientConn) IdleSince() time.Time { return c.idleSince }

// KeepAlive is the idle time that the service announced (Keep-Alive: timeout=N); zero without.
func (c *ClientConn) KeepAlive() time.Duration { return c.head.keepAliveTimeout }

// NetConn is the connection below.
func (c *ClientConn) NetConn() net.Conn { return c.conn }

// Alive looks, without waiting, whether an idle connection is still good: an
// end, an error, or any byte that nobody asked for makes it unusable.
func (c *ClientConn) Alive() bool {
	return len(c.in.buffered()) == 0 && c.peek.quiet()
}

// Extra tells that the service sent more than its answers announced.
func (c *ClientConn) Extra() bool { return c.extra }

// Close ends the connection. It must not be called during an exchange.
func (c *ClientConn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.conn.Close()
	if c.answer != nil {
		c.cfg.Watch.remove(c.answer)
	}
	c.in.close()
	c.out.close()
	c.body.stop()
	return err
}

// RoundTrip sends r and waits for the head of the final response. The
// response's strings and body live until it is released; then, and also when
// RoundTrip fails, o.OnIdle is called. Interim responses go to r.X.Interim.
//
// The error is a *Refusal when the service's answer broke the protocol, the
// cause of the cancel when the exchange was given up, else a *ConnError.
func (c *ClientConn) RoundTrip(r *message.Request, o *RoundTripOptions) (*message.Response, error) {
	c.x, c.onIdle = &r.X, o.OnIdle
	c.out.wrote, c.in.said = 0, false
	c.interims, c.interimN = 0, 0
	if err := r.X.OnCancel(c); err != nil {
		c.x = nil
		o.OnIdle(c, true)
		return nil, err
	}
	err := c.send(r, o)
	if err == nil {
		r.X.Mark(message.PhaseSent)
		err = c.receive(r, o)
	}
	if err != nil {
		return nil, c.failed(r, err)
	}
	r.X.Mark(message.PhaseHead)
	return &c.resp, nil
}

// failed ends an exchange that gave no response and finds out why.
func (c *ClientConn) failed(r *message.Request, err error) error {
	cause := r.X.Err()
	ce := &ConnError{Op: "read", GotByte: c.in.w > c.in.r || c.interims > 0, Replay: !c.upload.running}
	c.spoilt.Store(true)
	uerr := c.endUpload()
	ce.Sent = c.out.wrote > 0 || c.in.said
	ce.Timeout = errors.Is(err, errTimeout) || c.answer != nil && c.answer.disarm()
	c.finish(false)
	var ref *Refusal
	switch {
	case cause != nil:
		return cause
	case errors.As(err, &ref):
		return err
	}
	var be *bodyError
	if errors.As(err, &be) || errors.As(uerr, &be) { // the fault is the client's
		return be.err
	}
	var we *writeError
	switch {
	case errors.As(err, &we):
		ce.Op, err = "write", we.err
	case uerr != nil && !errors.Is(err, errTimeout):
		ce.Op, err = "write", uerr
		ce.Timeout = errors.Is(uerr, errTimeout)
	}
	ce.Err = err
	return ce
}

type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// aheadSize is the largest body that is read whole before the request is sent:
// head and body then leave in one write and nothing runs beside the exchange.
// That of a request which may be sent twice can be larger, so that it can be
// (http1 §12.4).
const (
	aheadSize  = joinSize
	replaySize = 64 << 10
)

type readAheader interface{ ReadAhead() error }

// send writes the request; a long body goes on being written in the background.
func (c *ClientConn) send(r *message.Request, o *RoundTripOptions) error {
	c.out.room(smallBlock)
	c.out.buf = appendRequestHead(c.out.buf, r, o.Host)
	if r.Length == 0 && r.Body == message.NoBody {
		return c.say()
	}
	if r.Expect && r.X.Continue != nil {
		if err := c.flushHead(); err != nil {
			return err
		}
		return nil // the body waits for 100, see receive
	}
	if r.Length > 0 && (r.Length <= aheadSize || r.Length <= replaySize && r.Idempotent()) {
		if ra, ok := r.Body.(readAheader); ok {
			if err := ra.ReadAhead(); err != nil {
				return &bodyError{err}
			}
		}
	}
	if src, ok := r.Body.(message.Buffered); ok && r.Length >= 0 && !chunkedRequest(r) {
		if p := src.Peek(); int64(len(p)) == r.Length {
			if err := c.out.put(p); err != nil {
				return &writeError{err}
			}
			return c.say()
		}
	}
	c.startUpload(r, o)
	return nil
}

// say sends the whole request, on a plain connection together with the wait for
// its answer.
func (c *ClientConn) say() error {
	if c.in.raw == nil {
		return c.flushHead()
	}
	c.in.say = c.out.buf
	return nil
}

func (c *ClientConn) flushHead() error {
	if err := c.out.flush(); err != nil {
		return &writeError{err}
	}
	return nil
}

// startUpload writes what is collected and the body beside the reading of the
// response. Close of the body and of the connection end it early.
func (c *ClientConn) startUpload(r *message.Request, o *RoundTripOptions) {
	u := &c.upload
	if u.run == nil {
		u.run, u.end = c.runUpload, make(chan error, 1)
	}
	if o.Answer > 0 && c.answer == nil {
		c.answer = c.cfg.Watch.add(c)
	}
	u.running, u.r, u.wait, u.sent = true, r, o.Answer, 0
	u.headIn.Store(false)
	go u.run()
}

// runUpload writes the body, and on a fault makes the exchange end.
func (c *ClientConn) runUpload() {
	u := &c.upload
	err := c.writeUpload(u.r)
	if err == nil && u.wait > 0 {
		c.answer.after(u.wait)
		if u.headIn.Load() {
			c.answer.disarm()
		}
	}
	u.end <- err
	if err != nil {
		// Never end a cut body validly (RFC 9112 §8), and wake the reading.
		c.cutUpload(err)
	}
}

func (c *ClientConn) writeUpload(r *message.Request) error {
	chunked := chunkedRequest(r)
	if err := c.out.writeBody(r.Body, r.Length, chunked, &c.upload.sent); err != nil {
		return err
	}
	if c.upload.sent < r.Length {
		return &bodyError{io.ErrUnexpectedEOF}
	}
	if chunked {
		c.out.buf = appendLastChunk(c.out.buf, &r.Trailer)
	}
	return c.out.flush()
}

// cutUpload ends the sending side after a body that could not be completed.
func (c *ClientConn) cutUpload(err error) {
	c.spoilt.Store(true)
	if _, ok := errors.AsType[*bodyError](err); ok {
		c.in.stop()
		return
	}
	// The service stopped taking the body; what it answers may still arrive.
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
}

// uploadGrace is for an upload whose last write has been answered but has not
// returned yet.
const uploadGrace = 5 * time.Millisecond

// endUpload makes a running upload end, waits for it, and gives its fault.
func (c *ClientConn) endUpload() (err error) {
	u := &c.upload
	if !u.running {
		return nil
	}
	select {
	case err = <-u.end:
	default:
		err = c.cutShort()
	}
	if err != nil {
		c.spoilt.Store(true)
	}
	u.running, u.r = false, nil
	return err
}

// cutShort stops an upload after a moment's grace.
func (c *ClientConn) cutShort() error {
	u := &c.upload
	if !c.spoilt.Load() {
		timer := time.NewTimer(uploadGrace)
		defer timer.Stop()
		select {
		case err := <-u.end:
			return err
		case <-timer.C:
		}
	}
	c.spoilt.Store(true)
	_ = u.r.Body.Close()
	c.out.stop()
	<-u.end //nolint:errcheck // its fault is of our making
	return nil
}

// continueWait is how long a body waits for the service's 100 (RFC 9110
// §10.1.1 lets a proxy not wait for ever).
const continueWait = time.Second

// receive reads heads until the final one.
func (c *ClientConn) receive(r *message.Request, o *RoundTripOptions) error {
	waiting := r.Expect && r.X.Continue != nil && !c.upload.running && r.Body != message.NoBody
	c.in.idle = 0
	c.in.by = c.cfg.Watch.offset(o.Head)
	if proceed := c.cfg.Watch.now() + int64(continueWait); waiting && (c.in.by == neverAt || proceed < c.in.by) {
		c.in.by = proceed
	}
	for {
		err := c.readHead(r)
		switch {
		case waiting && errors.Is(err, errTimeout):
			waiting = false
			err = c.proceed(r, o)
			if err == nil {
				continue
			}
		case err == nil && waiting && c.resp.Status == 100:
			waiting = false
			err = c.proceed(r, o)
		}
		if err != nil {
			return err
		}
		if c.resp.Status >= 200 || c.resp.Status == 101 {
			return c.begin(r, o)
		}
		if err := c.interim(r); err != nil {
			return err
		}
	}
}

// proceed tells the client to send its body and starts forwarding it.
func (c *ClientConn) proceed(r *message.Request, o *RoundTripOptions) error {
	if !o.Head.IsZero() && !time.Now().Before(o.Head) {
		return errTimeout
	}
	c.in.by = c.cfg.Watch.offset(o.Head)
	if c.in.timedOut { // the wait for 100 ended by time, not by fault
		c.in.revive()
	}
	if err := r.X.Continue(); err != nil {
		return &bodyError{err}
	}
	c.startUpload(r, o)
	return nil
}

// interim passes a 1xx on; 100 was for us.
func (c *ClientConn) interim(r *message.Request) error {
	c.interims++
	c.interimN += c.head.size
	if c.interims > c.cfg.Limits.Interim || c.interimN > int(c.cfg.Limits.InterimBytes) {
		return refuseTooManyInterim
	}
	var err error
	if c.resp.Status != 100 && r.X.Interim != nil {
		StripResponse(&c.resp)
		err = r.X.Interim(&c.resp)
	}
	c.in.done()
	if err != nil {
		return &bodyError{err}
	}
	return nil
}

// readHead reads and parses one response head.
func (c *ClientConn) readHead(r *message.Request) error {
	limit := int(c.cfg.Limits.Head)
	fresh := true
	for {
		if fresh && len(c.in.buffered()) > 0 {
			c.resp.Reset()
			h, ok, err := parseResponse(c.in.buffered(), &c.resp, r.Method, &c.cfg.Limits)
			if err != nil {
				return err
			}
			if ok {
				c.head = h
				c.in.r += h.size
				return nil
			}
		}
		seen := c.in.w
		if err := c.in.fill(limit); err != nil {
			if errors.Is(err, errFull) {
				return refuseResponseHeadTooLarge
			}
			if errors.Is(err, io.EOF) && seen > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		// The first bytes tell another protocol at once.
		fresh = seen == 0 || hasLF(c.in.blk.b[min(seen, c.in.w):c.in.w]) || c.in.w >= limit
	}
}

func hasLF(b []byte) bool {
	return slices.Contains(b, '\n')
}

// begin turns the parsed head into the response that RoundTrip returns.
func (c *ClientConn) begin(r *message.Request, o *RoundTripOptions) error {
	if c.upload.running {
		c.answered()
	}
	p := &c.resp
	p.Owner = c
	c.in.idle, c.in.by = o.BodyIdle, c.cfg.Watch.offset(o.End)
	if p.Status == 101 {
		return c.tunnel(r)
	}
	if events := EventStream(&p.Header); events || r.X.Stream {
		p.Stream = events
		if r.X.IdleTimeout == 0 {
			c.in.idle = max(o.BodyIdle, StreamIdle)
		}
		c.in.by = neverAt // such an answer ends when it ends
	}
	c.in.keep(c.head.framing != framingNone)
	c.body.start(&c.in, c.head.framing, p.Length)
	if c.head.framing == framingChunked {
		c.body.dec.reset(c.cfg.Limits.chunk(), &p.Trailer)
		c.body.dec.nominate(&p.Header)
	}
	StripResponse(p)
	if c.head.framing != framingNone && !c.body.Ended() {
		p.Body = &c.body
	}
	return nil
}

// StreamIdle is how long a stream may be silent.
const StreamIdle = 5 * time.Minute

// EventStream tells whether a body is a stream of events (Server-Sent Events).
func EventStream(h *message.Header) bool {
	const media = "text/event-stream"
	v := h.Value(message.ContentType)
	return len(v) >= len(media) && foldEqual(v[:len(media)], media) && (len(v) == len(media) || v[len(media)] == ';' || v[len(media)] == ' ')
}

// answered takes the deadline of the answer away from an upload under way.
func (c *ClientConn) answered() {
	c.upload.headIn.Store(true)
	if c.answer != nil && c.answer.disarm() {
		c.answer.rearm()
		c.in.revive()
	}
}

// ReleaseResponse ends the exchange; it is called by Response.Release.
func (c *ClientConn) ReleaseResponse(_ *message.Response, complete bool) {
	_ = c.endUpload()
	c.finish(complete || c.body.Ended())
}

// unasked tells that the service sent something behind its response: the next
// request would take it for its answer.
func (c *ClientConn) unasked() bool {
	return len(c.in.buffered()) > 0 || c.body.direct && !c.peek.quiet()
}

// finish gives the connection to its pool, or to be closed.
func (c *ClientConn) finish(whole bool) {
	c.idleSince = time.Time{}
	if c.x != nil {
		c.x.OffCancel(c)
		if d := c.x.Phases[message.PhaseDone]; d > 0 {
			c.idleSince = c.x.Began.Add(d) // known already: the clock costs
		}
		c.x = nil
	}
	if c.idleSince.IsZero() {
		c.idleSince = time.Now()
	}
	reusable := whole && c.body.Ended() && !c.head.close && !c.spoilt.Load() && !c.in.timedOut
	if c.extra = reusable && c.unasked(); c.extra {
		reusable = false
	}
	c.body.stop()
	c.in.say = nil
	c.out.drop()
	c.in.done()
	c.resp.Reset()
	c.served++
	if idle := c.onIdle; idle != nil {
		c.onIdle = nil
		idle(c, reusable)
	}
}
