package edge

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

var (
	errStreamReset = errors.New("the client reset the stream")
	errClientSlow  = errors.New("the client takes no bytes")
	errBadLength   = errors.New("the body is not as long as announced")
)

const (
	slowQuiet = time.Hour        // how long a call or a stream may be silent: it has deadlines of its own
	rateGrace = 10 * time.Second // the rate of a body counts from then on
	bodyKept  = 16 << 10         // a stream's buffer up to this size is used again
)

// h2Stream is one stream and the exchange on it. It is the request's body too.
type h2Stream struct {
	c   *h2Conn
	id  uint32
	ref *http1.Refusal // the request is refused with it

	reqMu sync.Mutex
	req   *message.Request // nil once the exchange is over

	// Under c.mu.
	cond     sync.Cond
	counted  bool  // has one of the places for streams
	gone     bool  // reset by either side, or the connection is over
	byClient bool  // the client has reset it
	why      error // with gone
	ended    bool  // the client sends no more
	fault    error // of the body
	declared int64 // content-length, or -1
	got      int64
	buf      []byte // received and not read: buf[off:]
	off      int
	unread   int // bytes of the window in use
	granted  int // taken and not granted again yet
	trailer  []message.Field
	window   int64     // what we may send
	reading  time.Time // since when the exchange waits for the client's bytes
	writing  time.Time // since when it waits for the client's window
	began    time.Time
	closed   bool // the body's reader has no more interest
	slow     bool // slow bodies are the nature of the route, or of the call

	total int64 // bytes of the body that were read

	// The exchange's own.
	r         *message.Request
	grpc      bool // as it came
	continued bool
}

func newH2Stream(c *h2Conn, id uint32, r *message.Request, ref *http1.Refusal, ended bool) *h2Stream {
	st := &h2Stream{c: c, id: id, ref: ref, r: r, req: r, ended: ended, declared: r.Length, began: r.X.Began}
	st.cond.L = &c.mu
	st.grpc = isGRPC(&r.Header)
	r.X.Interim = st.interim
	if !ended {
		if r.Length != 0 {
			r.Body = st
		}
		if r.Expect {
			r.X.Continue = st.sendContinue
		}
	}
	return st
}

// run is the exchange.
func (st *h2Stream) run() {
	defer st.guard()
	r, s := st.r, st.c.s
	var p *message.Response
	if st.ref != nil {
		p = s.refuse(st.ref, r.X.Peer, []byte(r.Method))
		r.X.Reason = st.ref.Reason
	} else {
		p = s.handle(r)
	}
	if p.Status < 200 {
		p.Release()
		p = filter.Render(r, problem.New(502, http1.ReasonUnexpected101, "the service switched protocols without being asked"))
	}
	err := st.respond(p)
	if err == nil {
		p.MarkComplete()
	}
	r.X.Mark(message.PhaseDone)
	st.c.mu.Lock()
	r.X.Received = st.total
	st.c.mu.Unlock()
	if st.ref == nil {
		s.done(r, p, err)
	}
	p.Release()
	st.over()
	r.Release()
}

// guard keeps a panic to its stream, when it happened outside of a handler: in a
// body that a filter reads. The stream is reset.
func (st *h2Stream) guard() {
	v := recover()
	if v == nil {
		return
	}
	c := st.c
	c.s.log.Error("panic while writing an answer", "value", fmt.Sprint(v), "listener", c.info.listener, "stack", string(debug.Stack()))
	st.abort(errStreamReset)
	st.over()
}

// respond writes the response. One that can't be completed is reset, so that it
// never looks whole.
func (st *h2Stream) respond(p *message.Response) error {
	err := st.write(p)
	if err == nil {
		return nil
	}
	st.abort(err)
	return err
}

// abort resets the stream, unless it is gone already.
func (st *h2Stream) abort(why error) {
	_ = st.c.out.push() // what was left behind goes before the reset
	c := st.c
	c.mu.Lock()
	gone := st.gone
	st.close(why)
	c.mu.Unlock()
	if !gone {
		c.out.queue(appendReset(nil, st.id, http2.ErrCodeInternal))
	}
}

func (st *h2Stream) write(p *message.Response) error {
	if st.r.Method == "HEAD" || message.NoContent(p.Status) || p.Body == message.NoBody {
		st.finishing()
		return st.frames(false, func(b []byte) []byte {
			return appendHeaders(b, st.id, true, func(b []byte) []byte { return appendResponse(b, p, st.c.s.date.Date(time.Now())) })
		})
	}
	err := st.frames(true, func(b []byte) []byte {
		return appendHeaders(b, st.id, false, func(b []byte) []byte { return appendResponse(b, p, st.c.s.date.Date(time.Now())) })
	})
	if err != nil {
		return err
	}
	err = st.body(p)
	if err != nil && st.grpc && !errors.Is(err, errStreamReset) {
		// The call ends in its own words (gateway §12), not with a reset.
		filter.GRPCAbort(&p.Trailer, st.r)
		if st.end(p) == nil {
			return err
		}
	}
	if err == nil {
		return st.end(p)
	}
	return err
}

// frames writes frames in turn, unless the stream is gone.
func (st *h2Stream) frames(more bool, write func([]byte) []byte) error {
	o := &st.c.out
	o.lock()
	st.c.mu.Lock()
	gone, why := st.gone, st.why
	st.c.mu.Unlock()
	if gone {
		return errors.Join(why, o.unlock(false))
	}
	o.buf = write(o.buf)
	return o.unlock(more)
}

var bodyBlocks = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool is shared by its nature
	b := make([]byte, h2Frame)
	return &b
}}

// body writes the content as it comes: what is in memory at once, and all that
// was written before each wait for more.
func (st *h2Stream) body(p *message.Response) error {
	src, _ := p.Body.(message.Buffered)
	sent := &st.r.X.Sent
	for {
		if src != nil {
			if b := src.Peek(); len(b) > 0 {
				if err := st.send(b); err != nil {
					return err
				}
				*sent += int64(len(b))
				src.Skip(len(b))
				continue
			}
		}
		if e, ok := p.Body.(interface{ Ended() bool }); ok && e.Ended() {
			break
		}
		if p.Local && p.Length >= 0 && *sent == p.Length {
			break
		}
		if err := st.c.out.push(); err != nil {
			return err
		}
		done, err := st.more(p)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if p.Length >= 0 && *sent != p.Length {
		return errBadLength
	}
	return nil
}

// more waits for more of the body and writes it.
func (st *h2Stream) more(p *message.Response) (done bool, err error) {
	block, _ := bodyBlocks.Get().(*[]byte)
	defer bodyBlocks.Put(block)
	n, err := p.Body.Read(*block)
	if n > 0 {
		if sendErr := st.send((*block)[:n]); sendErr != nil {
			return false, sendErr
		}
		st.r.X.Sent += int64(n)
	}
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// send writes content, as far as the client's windows let it. What it leaves
// unwritten is written by the next push.
func (st *h2Stream) send(b []byte) error {
	for len(b) > 0 {
		n, err := st.allowance(len(b))
		if err != nil {
			return err
		}
		err = st.frames(true, func(out []byte) []byte {
			return append(appendFrameHead(out, n, http2.FrameData, 0, st.id), b[:n]...)
		})
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// allowance takes up to n bytes of the windows and waits until there are some.
func (st *h2Stream) allowance(n int) (int, error) {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for st.window <= 0 || c.window <= 0 || st.gone {
		if st.gone {
			return 0, st.why
		}
		c.mu.Unlock()
		err := c.out.push()
		c.mu.Lock()
		if err != nil {
			return 0, err
		}
		if st.window > 0 && c.window > 0 || st.gone {
			continue
		}
		st.writing = time.Now()
		st.cond.Wait()
		st.writing = time.Time{}
	}
	n = int(min(int64(n), st.window, c.window, h2Frame))
	st.window -= int64(n)
	c.window -= int64(n)
	c.earned += dataCredit
	return n, nil
}

// end ends the stream from our side: with trailers when there are any.
func (st *h2Stream) end(p *message.Response) error {
	st.finishing()
	return st.frames(false, func(b []byte) []byte {
		if p.Trailer.Len() == 0 {
			return appendFrameHead(b, 0, http2.FrameData, http2.FlagDataEndStream, st.id)
		}
		return appendHeaders(b, st.id, true, func(b []byte) []byte { return appendTrailer(b, &p.Trailer) })
	})
}

// finishing frees the stream's place: the client may use it as soon as it has
// read our last frame.
func (st *h2Stream) finishing() {
	st.c.mu.Lock()
	defer st.c.mu.Unlock()
	if st.counted {
		st.counted = false
		st.c.live--
	}
}

// interim passes a 1xx on at once (RFC 9110 §15.2).
func (st *h2Stream) interim(p *message.Response) error {
	return st.frames(false, func(b []byte) []byte {
		return appendHeaders(b, st.id, false, func(b []byte) []byte { return appendResponse(b, p, "") })
	})
}

// sendContinue asks the client for its body, once.
func (st *h2Stream) sendContinue() error {
	if st.continued {
		return nil
	}
	st.continued = true
	return st.frames(false, func(b []byte) []byte {
		return appendHeaders(b, st.id, false, func(b []byte) []byte { return appendStatus(b, 100) })
	})
}

// over takes the stream out of the connection after its exchange.
func (st *h2Stream) over() {
	st.reqMu.Lock()
	st.req = nil
	st.reqMu.Unlock()
	c := st.c
	st.finishing()
	c.mu.Lock()
	// An answer before the end of the request: the rest is not wanted (RFC 9113 §8.1).
	stop := !st.ended && !st.gone
	st.close(errStreamReset)
	delete(c.streams, st.id)
	if !st.ended && !st.byClient {
		c.late[c.lateNext%remembered] = st.id
		c.lateNext++
	}
	c.seen.Store(time.Now().UnixNano())
	c.leaveIfEmpty()
	c.mu.Unlock()
	if stop {
		c.out.queue(appendReset(nil, st.id, http2.ErrCodeNo))
	}
}

// close ends the stream for good; whoever waits on it is woken. The caller
// holds c.mu.
func (st *h2Stream) close(why error) {
	if st.gone {
		return
	}
	st.gone, st.why = true, why
	_ = st.c.grant(st.unread)
	st.unread, st.buf, st.off = 0, nil, 0
	st.cond.Broadcast()
}

// giveUp cancels the exchange; what it was waiting for elsewhere is woken.
func (st *h2Stream) giveUp() {
	st.reqMu.Lock()
	defer st.reqMu.Unlock()
	if st.req != nil {
		st.req.X.Cancel(message.ErrClientGone)
	}
}

// fill adds received bytes. The caller holds c.mu.
func (st *h2Stream) fill(p []byte) {
	st.unread += len(p)
	if st.closed || len(p) == 0 {
		_ = st.taken(len(p))
		return
	}
	if st.off > 0 && len(st.buf)+len(p) > cap(st.buf) {
		st.buf = append(st.buf[:0], st.buf[st.off:]...)
		st.off = 0
	}
	st.buf = append(st.buf, p...)
	st.cond.Broadcast()
}

// taken gives n bytes of the windows back, in parts of a quarter. The caller
// holds c.mu.
func (st *h2Stream) taken(n int) error {
	st.unread -= n
	st.granted += n
	if st.granted >= streamWindow/4 && !st.ended && !st.gone {
		update := appendWindowUpdate(nil, st.id, st.granted)
		st.granted = 0
		if err := st.c.queue(update); err != nil {
			return err
		}
	}
	return st.c.grant(n)
}

// finish marks the proper end of the body. The caller holds c.mu.
func (st *h2Stream) finish() error {
	st.ended = true
	st.cond.Broadcast()
	if st.declared >= 0 && st.got != st.declared { // RFC 9113 §8.1.1
		return http2.StreamError{StreamID: st.id, Code: http2.ErrCodeProtocol}
	}
	return nil
}

// tooSlow tells whether the body comes slower than the least rate.
func (st *h2Stream) tooSlow(now time.Time, l *http1.Limits) bool {
	age := now.Sub(st.began)
	if st.slow || st.reading.IsZero() || age < rateGrace {
		return false
	}
	return float64(st.got) < float64(l.BodyRate)*(age-rateGrace).Seconds()
}

// Read gives content of the request's body (message.Body).
func (st *h2Stream) Read(p []byte) (int, error) {
	if st.r.X.Continue != nil {
		if err := st.sendContinue(); err != nil {
			return 0, errors.Join(message.ErrAborted, err)
		}
	}
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case st.closed:
			return 0, message.ErrAborted
		case st.fault != nil:
			return 0, st.fault
		case st.gone:
			return 0, errors.Join(message.ErrAborted, st.why)
		case st.off < len(st.buf):
			return st.take(p)
		case st.ended:
			for i := range st.trailer {
				st.r.Trailer.Append(st.trailer[i])
			}
			st.trailer = nil
			return 0, io.EOF
		}
		st.slow = st.r.X.Stream || st.grpc
		st.reading = time.Now()
		st.cond.Wait()
		st.reading = time.Time{}
	}
}

// take copies buffered bytes and grants the client as many.
func (st *h2Stream) take(p []byte) (int, error) {
	n := copy(p, st.buf[st.off:])
	if st.off += n; st.off == len(st.buf) {
		st.off, st.buf = 0, st.buf[:0]
		if cap(st.buf) > bodyKept {
			st.buf = nil
		}
	}
	st.total += int64(n)
	if limit := st.c.s.limits.BodyLimit(); limit > 0 && st.total > limit {
		st.fault = http1.ErrBodyTooLarge
		return 0, st.fault
	}
	return n, st.taken(n)
}

// Close ends the reading of the body; it wakes a Read.
func (st *h2Stream) Close() error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.closed {
		return nil
	}
	st.closed = true
	if !st.gone && st.unread > 0 {
		_ = st.taken(st.unread)
	}
	st.buf, st.off = nil, 0
	st.cond.Broadcast()
	return nil
}
