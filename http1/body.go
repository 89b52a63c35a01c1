package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// bodyReader is the body of a message that is being read from a connection: of
// a request on the server side, of a response on the client side.
type bodyReader struct {
	in   *input
	kind framing
	// remain counts the bytes to come of a body with a length.
	remain int64
	dec    chunkDecoder
	avail  int // chunked: payload bytes at the front of the buffer
	// limit bounds a chunked body; zero means no limit. total is what came.
	limit int64
	total atomic.Int64
	// rate is the least average rate of a client's body in bytes per second,
	// zero for none; waited is how long the client made us wait, in nanoseconds.
	rate, waited, since int64
	// begin is called before the first wait for body bytes: it tells a client
	// that waits for 100 to go on.
	begin func() error
	// finished is called once when the last byte was taken.
	finished func()

	ahead    []byte // the rest of a small body, read ahead as a whole
	aheadBlk *block // what holds it, nil when it is a part of the input's block

	x       *message.Exchange // of a client's body; nil for a service's
	direct  bool              // bytes were read past the buffer: what follows them is not in it
	ended   bool
	err     error
	reading atomic.Bool
	closed  atomic.Bool
}

var errBodyClosed = errors.New("body closed")

// longAgo is a deadline that wakes everything that waits.
var longAgo = time.Unix(1, 0) //nolint:gochecknoglobals // a constant

func (b *bodyReader) start(in *input, kind framing, length int64) {
	b.in, b.kind, b.remain = in, kind, length
	b.avail, b.limit, b.rate, b.waited = 0, 0, 0, 0
	b.total.Store(0)
	b.x, b.direct = nil, false
	b.begin, b.finished = nil, nil
	b.ended, b.err = kind == framingNone || kind == framingLength && length == 0, nil
	b.closed.Store(false)
}

// stop gives back what the body holds.
func (b *bodyReader) stop() {
	if b.aheadBlk != nil {
		b.aheadBlk.give()
		b.aheadBlk = nil
	}
	b.ahead = nil
}

func (b *bodyReader) end() {
	if b.ended {
		return
	}
	b.ended = true
	if b.finished != nil {
		b.finished()
	}
}

func (b *bodyReader) fail(err error) error {
	if b.err == nil {
		b.err = err
	}
	return b.err
}

// Ended tells that the body was taken to its proper end.
func (b *bodyReader) Ended() bool { return b.ended }

// Peek shows the body bytes in memory.
func (b *bodyReader) Peek() []byte {
	if len(b.ahead) > 0 {
		return b.ahead
	}
	if b.ended || b.err != nil {
		return nil
	}
	buf := b.in.buffered()
	switch b.kind {
	case framingLength:
		if int64(len(buf)) > b.remain {
			buf = buf[:b.remain]
		}
	case framingChunked:
		if b.avail == 0 {
			b.advance()
		}
		buf = b.in.buffered()[:b.avail]
	case framingClose:
	case framingNone:
		return nil
	}
	return buf
}

// advance reads chunk framing out of the buffer until there is payload at its
// front, the end, or nothing left.
func (b *bodyReader) advance() {
	for b.avail == 0 && !b.ended && b.err == nil && b.in.r < b.in.w {
		skip, data, err := b.dec.next(b.in.buffered())
		if err != nil {
			_ = b.fail(err)
			return
		}
		b.in.r += skip
		b.avail = data
		if total := b.total.Add(int64(data)); b.limit > 0 && total > b.limit {
			b.avail = 0
			_ = b.fail(refuseBodyTooLarge)
			return
		}
		if b.dec.done {
			b.end()
		}
	}
}

// Skip takes n bytes that Peek showed.
func (b *bodyReader) Skip(n int) {
	if len(b.ahead) > 0 {
		if b.ahead = b.ahead[n:]; len(b.ahead) == 0 {
			b.stop()
		}
		return
	}
	b.in.r += n
	b.took(n)
}

// took accounts for n payload bytes.
func (b *bodyReader) took(n int) {
	switch b.kind {
	case framingLength:
		b.remain -= int64(n)
		b.total.Add(int64(n))
		if b.remain == 0 {
			b.end()
		}
	case framingChunked:
		b.avail -= n
		if b.avail == 0 {
			b.advance()
		}
	case framingClose:
		b.total.Add(int64(n))
	case framingNone:
	}
}

// Read reads payload; see message.Body.
func (b *bodyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if buf := b.Peek(); len(buf) > 0 {
			n := copy(p, buf)
			b.Skip(n)
			return n, nil
		}
		switch {
		case b.err != nil:
			return 0, b.err
		case b.ended:
			return 0, io.EOF
		case b.closed.Load():
			return 0, errBodyClosed
		}
		if n, err := b.wait(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// wait reads from the connection: straight into p where no framing is in the way.
func (b *bodyReader) wait(p []byte) (int, error) {
	if b.begin != nil {
		begin := b.begin
		b.begin = nil
		if err := begin(); err != nil {
			return 0, b.fail(err)
		}
	}
	if err := b.enter(); err != nil {
		return 0, err
	}
	defer b.leave()
	var n int
	var err error
	switch b.kind {
	case framingChunked:
		if inside := b.dec.inside(); inside > 0 && b.in.r == b.in.w {
			n, err = b.in.read(p[:min(int64(len(p)), inside)])
			return b.inside(n, err)
		}
		err = b.in.fill(largeBlock)
	case framingLength:
		if int64(len(p)) > b.remain {
			p = p[:b.remain]
		}
		b.direct = true
		n, err = b.in.read(p)
		b.took(n)
	case framingClose:
		n, err = b.in.read(p)
		b.took(n)
		if n == 0 && errors.Is(err, io.EOF) {
			b.end()
			return 0, nil
		}
	case framingNone:
	}
	return b.outcome(n, err)
}

// inside accounts for bytes that were read straight out of a chunk.
func (b *bodyReader) inside(n int, err error) (int, error) {
	b.dec.took(n)
	if total := b.total.Add(int64(n)); b.limit > 0 && total > b.limit {
		return 0, b.fail(refuseBodyTooLarge)
	}
	return b.outcome(n, err)
}

// outcome is what wait returns after a read.
func (b *bodyReader) outcome(n int, err error) (int, error) {
	switch {
	case n > 0:
		return n, nil
	case err == nil:
		return 0, nil
	case b.closed.Load(): // woken: what follows may still be discarded
		return 0, errBodyClosed
	}
	return 0, b.fail(b.cut(err))
}

// slowStart is how long a client's body may be slower than the least rate.
const slowStart = int64(10 * time.Second)

// enter comes before a wait on the connection: from here to leave, Close wakes
// it. A client that is too slow on average gets no more time than it has left;
// the time in which the service does not take what came is not its fault.
func (b *bodyReader) enter() error {
	b.reading.Store(true)
	if b.closed.Load() {
		b.reading.Store(false)
		return errBodyClosed
	}
	if b.rate > 0 && !b.x.Stream {
		b.since = b.in.watch.dog.now()
		allowed := max(slowStart, b.total.Load()/b.rate*int64(time.Second))
		b.in.by = b.since + max(allowed-b.waited, 1)
	}
	return nil
}

func (b *bodyReader) leave() {
	b.reading.Store(false)
	if b.rate > 0 && !b.x.Stream {
		b.waited += b.in.watch.dog.now() - b.since
	}
}

// cut names the fault of a body that stopped before its end.
func (b *bodyReader) cut(err error) error {
	eof := errors.Is(err, io.EOF)
	switch {
	case b.x != nil && errors.Is(err, errTimeout):
		return refuseBodyTimeout
	case b.x != nil:
		return fmt.Errorf("%w: in the request body: %w", message.ErrClientGone, err)
	case eof:
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close stops reading; from elsewhere it wakes a Read in progress.
func (b *bodyReader) Close() error {
	b.closed.Store(true)
	if b.reading.Load() && !b.ended {
		_ = b.in.conn.SetReadDeadline(longAgo)
	}
	return nil
}

// RawConn gives the connection when the rest of the body may be spliced from it.
func (b *bodyReader) RawConn() (*net.TCPConn, int64) {
	if b.kind != framingLength || b.in.tcp == nil || b.in.r < b.in.w || b.begin != nil {
		return nil, 0
	}
	return b.in.tcp, b.remain
}

// Advance accounts for n bytes taken from RawConn.
func (b *bodyReader) Advance(n int64) {
	b.direct = true
	b.took(int(n))
}

// ReadAhead reads a small body whole into memory, so that Peek shows all of it.
func (b *bodyReader) ReadAhead() error {
	if b.kind != framingLength || b.ended {
		return nil
	}
	if n := int(b.remain); b.in.w-b.in.r >= n { // it stays where it came
		b.ahead = b.in.blk.b[b.in.r : b.in.r+n]
		b.in.r += n
		b.took(n)
		return nil
	}
	blk := takeBlock(int(b.remain))
	n := 0
	for !b.ended {
		m, err := b.Read(blk.b[n:])
		n += m
		if err != nil {
			blk.give()
			return err
		}
	}
	b.ahead, b.aheadBlk = blk.b[:n], blk
	return nil
}

// discard takes and forgets up to limit bytes; it tells whether the end was reached.
func (b *bodyReader) discard(limit int64) bool {
	if b.ended {
		return true
	}
	if b.kind == framingLength && b.remain > limit || b.closed.Load() && b.reading.Load() {
		return false
	}
	if b.closed.Swap(false) {
		b.in.revive()
	}
	b.begin = nil
	blk := takeBlock(largeBlock)
	defer blk.give()
	for limit > 0 {
		n, err := b.Read(blk.b)
		limit -= int64(n)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if b.ended {
			return true
		}
	}
	return false
}
