package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maru-msa/maru/message"
)

// Server serves HTTP/1 connections: parse, handle, write, again. It starts
// nothing but what ServeConn runs on the caller's goroutine.
type Server struct {
	// Handler answers a request; never nil. The server releases the response.
	Handler func(*message.Request) *message.Response
	// Refuse makes the answer to a message that broke the protocol; nil means
	// an answer without a body. line is the start of what came.
	Refuse func(ref *Refusal, peer netip.AddrPort, line []byte) *message.Response
	// Done is called when an exchange is over, before its parts are released;
	// err says why the response was not delivered whole. nil means nothing.
	Done func(r *message.Request, p *message.Response, err error)
	// H2C takes a connection that began with the HTTP/2 preface; nil means 505.
	H2C func(c net.Conn, info ConnInfo)
	// Limits of what a client may send; zero values mean the defaults.
	Limits Limits
	// Gate counts the listener's connections; nil means no bound. Whoever accepts
	// calls its methods.
	Gate *Gate
	// Watch keeps the deadlines; it must be running.
	Watch *Watchdog
	// Date is the clock for the Date field; nil means one of its own.
	Date *Clock

	draining atomic.Bool
	mu       sync.Mutex
	conns    map[*serverConn]struct{}
	empty    chan struct{} // made by Drain, closed when the last connection has ended
	shed     int64         // when Shed last looked, on the watchdog's clock
	shard    atomic.Uint32
	ready    sync.Once
}

// ConnInfo is what is known of a connection before its first byte.
type ConnInfo struct {
	Peer     netip.AddrPort
	Listener string
	Port     uint16
	Exchange func(x *message.Exchange) // fills what the listener knows; may be nil
	Scheme   string                    // "http" or "https"
}

// serverConn is one client connection.
type serverConn struct {
	s    *Server
	conn net.Conn
	info ConnInfo
	in   input
	out  output
	peek syscall.RawConn

	req   *message.Request
	head  requestHead
	body  bodyReader
	used  int // requests on this connection
	shard uint32

	last time.Time // when the last exchange was over

	phase     atomic.Uint32
	watching  chan struct{} // closed when the client watcher has ended
	stopWatch atomic.Bool
	early     sync.Mutex // 1xx responses may come from more than one goroutine
	continued bool

	interimFn  func(*message.Response) error
	continueFn func() error
	bodyDone   func()
}

// phases of a connection, for whoever looks at it from outside.
const (
	phaseIdle uint32 = iota
	phaseShut        // was idle when the server drained or had too many connections
	phaseHead
	phaseBody
	phaseHandle
	phaseTunnel
)

func (s *Server) prepare() {
	s.ready.Do(func() {
		s.Limits = s.Limits.WithDefaults()
		if s.Date == nil {
			s.Date = NewClock()
		}
	})
}

// Conns counts the open connections.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// ServeConn serves one connection until it ends, and closes it.
func (s *Server) ServeConn(c net.Conn, info ConnInfo) {
	s.prepare()
	c = Quick(c)
	sc := &serverConn{s: s, conn: c, info: info, shard: s.shard.Add(1), last: time.Now()}
	sc.in.init(c, s.Watch, sc)
	sc.out.init(c, s.Watch, sc)
	sc.out.limit = s.Limits.Write
	sc.peek = rawOf(c)
	sc.interimFn, sc.continueFn, sc.bodyDone = sc.sendInterim, sc.sendContinue, sc.watchNow
	s.mu.Lock()
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[sc] = struct{}{}
	s.mu.Unlock()
	defer s.forget(sc)
	sc.serve()
}

func (s *Server) forget(c *serverConn) {
	_ = c.conn.Close()
	c.in.close()
	c.out.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.empty != nil && len(s.conns) == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// settleTime is how long Drain waits for connections that were accepted and
// not yet served.
const settleTime = 20 * time.Millisecond

// Drain asks every connection to end: the next response says Connection:
// close, idle connections are closed a second later (a request may be under
// way), tunnels stay. It returns when all are gone or ctx ends.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	if err := pause(ctx, nil, settleTime); err != nil {
		return err
	}
	gone := s.whenEmpty()
	if err := pause(ctx, gone, time.Second); err != nil {
		return err
	}
	s.mu.Lock()
	for c := range s.conns {
		c.shut()
	}
	s.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// whenEmpty gives a channel that is closed once no connection is left.
func (s *Server) whenEmpty() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := s.empty
	if gone == nil {
		gone = make(chan struct{})
		if len(s.conns) == 0 {
			close(gone)
		} else {
			s.empty = gone
		}
	}
	return gone
}

// pause waits for d, or until over is closed; the error is ctx's.
func pause(ctx context.Context, over <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// CloseAll closes every connection at once.
func (s *Server) CloseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.conn.Close()
	}
}

// expire is called when a deadline of the connection passed. While a handler
// works, that is the sign to watch whether the client is still there.
func (c *serverConn) expire(w *watch) {
	switch {
	case w != c.in.watch:
		_ = c.conn.SetWriteDeadline(longAgo)
	case c.phase.Load() == phaseHandle:
		c.watching = make(chan struct{})
		go c.watchClient()
	default: // only reading ends: the answer may tell why
		_ = c.conn.SetReadDeadline(longAgo)
	}
}

// serve is the life of a connection.
func (c *serverConn) serve() {
	defer c.in.drop()
	for {
		if !c.next() {
			return
		}
		again := c.exchange()
		c.req.Release()
		c.req = nil
		if !again {
			return
		}
	}
}

// next waits for the head of the next request and parses it. False means that
// the connection is over.
func (c *serverConn) next() bool {
	l := &c.s.Limits
	c.in.done()
	c.in.by = neverAt
	if len(c.in.buffered()) == 0 {
		c.phase.Store(phaseIdle)
		limit := l.Idle
		switch {
		case c.s.draining.Load():
			limit = time.Second
		case c.used == 0:
			limit = l.FirstByte
		case c.s.Gate != nil && c.s.Gate.Crowded():
			limit = crowdedIdle
		}
		c.in.idle, c.in.by = 0, c.s.Watch.offset(c.last.Add(limit))
		if err := c.in.await(); err != nil {
			return false
		}
		if !c.phase.CompareAndSwap(phaseIdle, phaseHead) {
			c.spare()
		}
	}
	c.phase.Store(phaseHead)
	c.in.by = neverAt
	c.req = message.NewRequest()
	x := &c.req.X
	x.Began = time.Now()
	x.Shard = c.shard
	x.Peer, x.Client = c.info.Peer, c.info.Peer.Addr()
	x.Listener, x.Port = c.info.Listener, c.info.Port
	if c.info.Exchange != nil {
		c.info.Exchange(x)
	}
	c.req.Scheme = c.info.Scheme
	if err := c.readHead(x.Began); err != nil {
		c.refuse(err)
		c.req.Release()
		c.req = nil
		return false
	}
	return true
}

// spare goes on with a connection that was about to be ended as an idle one when
// its next request came.
func (c *serverConn) spare() {
	c.s.mu.Lock()   // behind it the deadline is set
	c.s.mu.Unlock() //nolint:staticcheck // nothing to do in between
	c.in.revive()
}

// readHead reads and parses one request head; a partial one is parsed again
// only when another line has come, or when it outgrows a limit.
func (c *serverConn) readHead(began time.Time) error {
	limit := int(c.s.Limits.HeaderBytes)
	line := int(c.s.Limits.RequestLine) + len("\r\n\r\n") // an empty line may stand before it
	c.in.idle = 0
	for fresh := true; ; {
		if fresh {
			h, ok, err := parseRequest(c.in.buffered(), c.req, &c.s.Limits)
			if err != nil {
				return err
			}
			if ok {
				c.head = h
				c.req.X.Lookalikes = h.lookalikes
				c.in.r += h.size
				return nil
			}
			c.req.Header.Reset()
		}
		if c.in.by == neverAt {
			c.in.by = c.s.Watch.offset(began.Add(c.s.Limits.Head))
		}
		seen, was := c.in.w, c.in.w-c.in.r
		if err := c.in.fill(limit + 2); err != nil {
			if errors.Is(err, errFull) {
				return refuseHeadTooLarge
			}
			if errors.Is(err, errTimeout) {
				return refuseHeadTimeout
			}
			return err
		}
		n := c.in.w - c.in.r
		fresh = hasLF(c.in.blk.b[min(seen, c.in.w):c.in.w]) || n >= limit || n >= line && was < line
	}
}

// exchange handles the parsed request and writes its answer; it tells whether
// the connection goes on.
func (c *serverConn) exchange() bool {
	if c.head.preface {
		return c.prefaced()
	}
	c.used++
	r := c.req
	hasBody := r.Length != 0
	c.in.keep(hasBody)
	c.startBody(r)
	if hasBody {
		c.phase.Store(phaseBody)
	} else {
		c.watchFrom(r.X.Began)
	}
	p := c.s.Handler(r)
	if p.Status == 101 {
		c.unwatch()
		return c.upgrade(r, p)
	}
	opt, bodyless := c.frame(r, p)
	err := c.write(r, p, opt, bodyless)
	if err == nil {
		p.MarkComplete()
	}
	r.X.Mark(message.PhaseDone)
	c.last = r.X.Began.Add(r.X.Phases[message.PhaseDone])
	r.X.Received = c.body.total.Load()
	if c.s.Done != nil {
		c.s.Done(r, p, err)
	}
	p.Release() // ends an upload that still reads the body
	c.unwatch()
	again := err == nil && !opt.close && c.finishBody()
	c.body.stop()
	if err == nil && !again && !c.saidAll() {
		c.linger()
	}
	return again
}

// saidAll tells that the client wanted the connection closed and has sent all
// that it had to send, so that closing cannot destroy the answer.
func (c *serverConn) saidAll() bool {
	return c.head.close && c.body.Ended() && len(c.in.buffered()) == 0
}

// startBody makes the request's body ready to be read.
func (c *serverConn) startBody(r *message.Request) {
	kind := framingNone
	if c.head.chunked {
		kind = framingChunked
	} else if r.Length > 0 {
		kind = framingLength
	}
	c.body.start(&c.in, kind, r.Length)
	c.body.x, c.body.rate = &r.X, int64(c.s.Limits.BodyRate)
	c.in.by, c.in.idle = neverAt, c.s.Limits.BodyIdle
	c.continued = false
	r.X.Interim, r.X.Continue = nil, nil
	if r.Proto == message.HTTP11 {
		r.X.Interim = c.interimFn
	}
	if kind == framingNone {
		return
	}
	r.Body = &c.body
	c.body.finished = c.bodyDone
	if c.head.chunked {
		c.body.dec.reset(c.s.Limits.chunk(), &r.Trailer)
		c.body.dec.nominate(&r.Header)
		c.body.limit = c.s.Limits.body()
	}
	if r.Expect && len(c.in.buffered()) == 0 {
		r.X.Continue = c.continueFn
		c.body.begin = c.continueFn
	}
}

// frame decides how the response is framed and whether the connection ends with
// it; bodyless tells that nothing may follow its head.
func (c *serverConn) frame(r *message.Request, p *message.Response) (opt responseOptions, bodyless bool) {
	opt = responseOptions{proto: r.Proto, head: r.Method == "HEAD", close: c.mustClose(p), date: c.s.Date.Date(c.latest())}
	bodyless = opt.head || message.NoContent(p.Status) || p.Status == 205
	if !bodyless && p.Length < 0 {
		switch {
		case p.Body == message.NoBody:
			p.Length = 0
		case r.Proto >= message.HTTP11:
			opt.chunked = true
		default:
			opt.close = true // only the connection's end can end it
		}
	}
	opt.keepAlive10 = c.head.keepAlive10 && !opt.close
	return opt, bodyless
}

// mustClose tells whether the connection ends with this response.
func (c *serverConn) mustClose(p *message.Response) bool {
	r := c.req
	if r.X.Err() != nil || c.head.close || p.Close || c.s.draining.Load() || c.used >= c.s.Limits.RequestsPerConnection {
		return true
	}
	// Nobody told the client to send its body: whether it will is unknown.
	return r.X.Continue != nil && !c.continued && !c.body.Ended()
}

// write writes the response. A response that can't be completed ends the
// connection without a valid end (RFC 9112 §8).
func (c *serverConn) write(r *message.Request, p *message.Response, opt responseOptions, bodyless bool) error {
	c.out.room(smallBlock)
	c.out.buf = appendResponseHead(c.out.buf, p, opt)
	if bodyless || p.Length == 0 {
		return c.flushAll()
	}
	err := c.out.writeBody(p.Body, p.Length, opt.chunked, &r.X.Sent)
	if err == nil && r.X.Sent < p.Length {
		err = &bodyError{io.ErrUnexpectedEOF}
	}
	if err != nil {
		c.out.drop()
		if !opt.chunked && p.Length < 0 {
			reset(c.conn) // an orderly end would make it look whole
		}
		return err
	}
	if opt.chunked {
		c.out.buf = appendLastChunk(c.out.buf, &p.Trailer)
	}
	return c.flushAll()
}

// latest is a recent moment of the exchange, which saves asking the clock: when
// the service answered, else when the request came.
func (c *serverConn) latest() time.Time {
	if c.req == nil {
		return time.Now()
	}
	return c.req.X.Began.Add(c.req.X.Phases[message.PhaseHead])
}

func (c *serverConn) flushAll() error {
	err := c.out.flush()
	c.out.drop()
	return err
}

// sendInterim passes a 1xx to the client at once (RFC 9110 §15.2).
func (c *serverConn) sendInterim(p *message.Response) error {
	c.early.Lock()
	defer c.early.Unlock()
	c.out.room(smallBlock)
	c.out.buf = appendResponseHead(c.out.buf, p, responseOptions{proto: message.HTTP11})
	return c.flushAll()
}

// sendContinue tells the client to send its body, once (RFC 9110 §10.1.1).
func (c *serverConn) sendContinue() error {
	c.early.Lock()
	defer c.early.Unlock()
	if c.continued {
		return nil
	}
	c.continued = true
	c.body.begin = nil
	c.out.room(smallBlock)
	c.out.buf = append(c.out.buf, "HTTP/1.1 100 Continue\r\n\r\n"...)
	return c.flushAll()
}

// leftover is how much of an unread request body is discarded to keep a connection.
const leftover = 256 << 10

// finishBody makes sure that nothing of the request is left on the connection.
func (c *serverConn) finishBody() bool {
	if c.body.Ended() {
		return true
	}
	c.phase.Store(phaseBody)
	c.in.idle, c.in.by = 0, c.s.Watch.now()+int64(time.Second)
	c.body.finished, c.body.rate = nil, 0
	return c.body.discard(leftover)
}

// upgrade writes the 101 and runs the tunnel.
func (c *serverConn) upgrade(r *message.Request, p *message.Response) bool {
	far, ok := p.Body.(message.Duplex)
	if !ok {
		p.Release()
		return false
	}
	c.phase.Store(phaseTunnel)
	c.in.stash()
	c.out.room(smallBlock)
	c.out.buf = appendResponseHead(c.out.buf, p, responseOptions{proto: message.HTTP11, date: c.s.Date.Date(c.latest())})
	err := c.flushAll()
	if err == nil {
		err = c.runTunnel(far, &r.X)
	}
	r.X.Mark(message.PhaseDone)
	if c.s.Done != nil {
		c.s.Done(r, p, err)
	}
	p.Release()
	return false
}

// prefaced hands a connection that speaks HTTP/2 over.
func (c *serverConn) prefaced() bool {
	if c.s.H2C == nil || c.used > 0 {
		c.refuse(refuseOtherVersion)
		return false
	}
	seen := append([]byte(nil), c.in.blk.b[:c.in.w]...)
	c.phase.Store(phaseTunnel)
	c.s.H2C(&replayConn{Conn: c.conn, seen: seen}, c.info)
	return false
}

// replayConn gives bytes that were read already back to the next reader.
type replayConn struct {
	net.Conn
	seen []byte
}

func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.seen) > 0 {
		n := copy(p, c.seen)
		c.seen = c.seen[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// NetConn is the connection below.
func (c *replayConn) NetConn() net.Conn { return c.Conn }

// refuse answers a message that broke the protocol and ends the connection
// (RFC 9112 §9.6: a reset would destroy the answer).
func (c *serverConn) refuse(err error) {
	var ref *Refusal
	if !errors.As(err, &ref) || ref.Drop {
		return
	}
	if ref == refuseVersion && c.used == 0 && c.s.H2C != nil {
		c.linger() // neither HTTP/1 nor the preface of HTTP/2 (RFC 9113 §3.4)
		return
	}
	line := c.in.buffered()
	var p *message.Response
	if c.s.Refuse != nil {
		p = c.s.Refuse(ref, c.info.Peer, line[:min(len(line), 64)])
	} else {
		p = message.NewResponse(ref.Status)
	}
	if p.Status == 405 && !p.Header.Has(message.Allow) { // RFC 9110 §15.5.6
		p.Header.AppendID(message.Allow, servedMethods)
	}
	c.out.room(smallBlock)
	c.out.buf = appendResponseHead(c.out.buf, p, responseOptions{proto: message.HTTP11, close: true, date: c.s.Date.Date(c.latest())})
	if src, ok := p.Body.(message.Buffered); ok {
		c.out.buf = append(c.out.buf, src.Peek()...)
	}
	p.Release()
	if c.flushAll() == nil {
		c.linger()
	}
}

// servedMethods is what Allow says when a method is refused before routing.
const servedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

const (
	lingerBytes = 64 << 10
	lingerTime  = 500 * time.Millisecond
)

// linger closes our side and takes what is still coming, for a while, so that
// the client reads our answer before it learns that the connection is closed.
func (c *serverConn) linger() {
	hc, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || hc.CloseWrite() != nil {
		return
	}
	c.phase.Store(phaseHead)
	c.in.revive() // it may be a time-out that we told of
	c.in.idle, c.in.by = 0, c.s.Watch.now()+int64(lingerTime)
	blk := takeBlock(smallBlock)
	defer blk.give()
	for left := lingerBytes; left > 0; {
		n, err := c.in.read(blk.b)
		left -= n
		if err != nil {
			return
		}
	}
}
