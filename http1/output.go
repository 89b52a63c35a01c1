package http1

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// output is the write side of a connection: a pooled block that collects the
// head and small bodies, so that they leave in one write.
type output struct {
	conn  net.Conn
	tcp   *net.TCPConn
	quick *socket // nil where there is none
	watch *watch
	limit time.Duration // how long a write may wait for its next byte to be taken
	wrote int64         // bytes written since the exchange began

	stopped atomic.Bool // the exchange was given up: no wait may begin any more
	slow    bool        // the reader of this body is too slow for splicing

	blk  *block
	buf  []byte // what is to be written; in blk unless it grew
	vec  [2][]byte
	bufs net.Buffers
	lim  io.LimitedReader
}

const (
	joinSize   = 16 << 10 // head and body up to this leave in one write
	spliceSize = 64 << 10 // bodies from here on are spliced

	// A spliced body is moved in parts, and between two of them there is a look
	// at the clock: what a deadline finds in the kernel's pipe is lost. A reader
	// that takes long for a part gets the rest by copying, where bytes count.
	spliceFirst = 128 << 10
	splicePart  = 1 << 20
	spliceTime  = int64(2 * time.Second)
)

func (o *output) init(c net.Conn, d *Watchdog, who expirer) {
	o.conn = c
	o.watch = d.add(who)
	o.tcp = tcpOf(c)
	o.quick, _ = c.(*socket)
}

// room takes the block, of at least n bytes.
func (o *output) room(n int) { //nolint:unparam // a body may ask for a large one
	if o.blk == nil {
		o.blk = takeBlock(n)
		o.buf = o.blk.b[:0]
	}
}

// grow moves what was collected to a block of at least n bytes.
func (o *output) grow(n int) {
	next := takeBlock(n)
	o.buf = append(next.b[:0], o.buf...)
	if o.blk != nil {
		o.blk.give()
	}
	o.blk = next
}

func (o *output) drop() {
	if o.blk != nil {
		o.blk.give()
		o.blk, o.buf = nil, nil
	}
}

func (o *output) close() {
	o.watch.dog.remove(o.watch)
	o.drop()
}

// flush writes what was collected.
func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	err := o.write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// write writes all of p. Mostly the socket takes it at once; the deadline is set
// only when it does not.
func (o *output) write(p []byte) error {
	if o.quick != nil {
		n, err := o.quick.try(p)
		o.wrote += int64(n)
		if err != nil || n == len(p) {
			return err
		}
		p = p[n:]
	}
	for {
		if o.watch.after(o.limit) {
			return errTimeout
		}
		n, err := o.conn.Write(p)
		o.wrote += int64(n)
		if err = o.settle(err); err == nil || !o.moved(int64(n), err) {
			return err
		}
		p = p[n:]
	}
}

// moved tells whether a write that ran into its deadline got some bytes away:
// then the reader is slow, not stuck, and the time begins anew.
func (o *output) moved(n int64, err error) bool {
	if n == 0 || !errors.Is(err, errTimeout) {
		return false
	}
	o.watch.rearm()
	_ = o.conn.SetWriteDeadline(time.Time{})
	return !o.stopped.Load()
}

// stop ends writing for good; it may be called from another goroutine.
func (o *output) stop() {
	o.stopped.Store(true)
	_ = o.conn.SetWriteDeadline(longAgo)
}

func (o *output) settle(err error) error {
	if o.watch.disarm() {
		return errTimeout
	}
	return err
}

// put collects p, or writes the collected bytes and p together when it is large.
func (o *output) put(p []byte) error {
	n := len(o.buf) + len(p)
	if n > cap(o.buf) && n <= joinSize {
		o.grow(n)
	}
	if n <= cap(o.buf) {
		o.buf = append(o.buf, p...)
		return nil
	}
	o.vec[0], o.vec[1] = o.buf, p
	o.bufs = o.vec[:]
	err := o.writeVector()
	o.vec[0], o.vec[1] = nil, nil
	o.buf = o.buf[:0]
	return err
}

// writeVector writes all of o.bufs.
func (o *output) writeVector() error {
	var w io.Writer = o.conn
	if o.tcp != nil {
		w = o.tcp // takes all with one system call
	}
	for {
		if o.watch.after(o.limit) {
			return errTimeout
		}
		n, err := o.bufs.WriteTo(w)
		o.wrote += n
		if err = o.settle(err); err == nil || !o.moved(n, err) {
			return err
		}
	}
}

// Ender is a body that knows its end before a Read would return io.EOF.
type ender interface{ Ended() bool }

func ended(b message.Body) bool {
	e, ok := b.(ender)
	return ok && e.Ended()
}

// writeBody writes a body behind the collected head. count is told of each
// payload byte. An error of the body itself comes back as *bodyError.
func (o *output) writeBody(b message.Body, length int64, chunked bool, count *int64) error { //nolint:gocognit // one loop that all bytes pass
	src, _ := b.(message.Buffered)
	o.slow = false
	for {
		if src != nil {
			if p := src.Peek(); len(p) > 0 {
				if left := length - *count; length >= 0 && int64(len(p)) > left {
					p = p[:left] // never more than the head announced
				}
				if err := o.putPayload(p, chunked); err != nil {
					return err
				}
				*count += int64(len(p))
				src.Skip(len(p))
				if length >= 0 && *count >= length {
					return nil
				}
				continue
			}
		}
		if ended(b) {
			return nil
		}
		if err := o.flush(); err != nil {
			return err
		}
		done, err := o.writeMore(b, length, chunked, count)
		if done || err != nil {
			return err
		}
	}
}

// writeMore waits for more of the body and writes it.
func (o *output) writeMore(b message.Body, length int64, chunked bool, count *int64) (done bool, err error) {
	if body, ok := b.(*bodyReader); ok && o.tcp != nil && !chunked && !o.slow {
		if c, remaining := body.RawConn(); c != nil && remaining >= spliceSize {
			return o.splice(body, c, count)
		}
	}
	blk := takeBlock(largeBlock)
	defer blk.give()
	const margin = 16 // for the chunk head before and CRLF behind
	p := blk.b
	if chunked {
		p = p[margin : len(p)-2]
	}
	if left := length - *count; length >= 0 && int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.Read(p)
	if err != nil && n == 0 {
		if err == io.EOF { //nolint:errorlint // the contract of Body
			return true, nil
		}
		return true, &bodyError{err}
	}
	*count += int64(n)
	if chunked {
		head := appendChunkHead(blk.b[:0], n)
		at := margin - len(head)
		copy(blk.b[at:], head)
		end := margin + n
		p = append(blk.b[at:end], '\r', '\n')
	} else {
		p = p[:n]
	}
	err = o.write(p)
	return length >= 0 && *count >= length, err
}

func (o *output) putPayload(p []byte, chunked bool) error {
	if !chunked {
		return o.put(p)
	}
	o.buf = appendChunkHead(o.buf, len(p))
	if err := o.put(p); err != nil {
		return err
	}
	o.buf = append(o.buf, '\r', '\n')
	return nil
}

// splice moves the rest of a body from socket to socket inside the kernel.
// done is false when the rest is better copied.
func (o *output) splice(b *bodyReader, src *net.TCPConn, count *int64) (done bool, err error) {
	for part := int64(spliceFirst); !b.ended; part = min(2*part, splicePart) {
		began := o.watch.dog.now()
		n, err := o.move(b, src, min(b.remain, part))
		*count += n
		if err != nil {
			return true, err
		}
		if o.watch.dog.now()-began > spliceTime {
			o.slow = true
			return b.ended, nil
		}
	}
	return true, nil
}

// move splices one part.
func (o *output) move(b *bodyReader, src *net.TCPConn, part int64) (int64, error) {
	if err := b.enter(); err != nil {
		return 0, &bodyError{err}
	}
	if b.in.arm() || o.watch.after(o.limit) {
		b.leave()
		return 0, errTimeout
	}
	o.lim.R, o.lim.N = src, part
	n, err := o.tcp.ReadFrom(&o.lim)
	o.lim.R = nil
	b.leave()
	late := b.in.watch.disarm()
	err = o.settle(err)
	o.wrote += n
	b.Advance(n)
	switch {
	case errors.Is(err, errTimeout): // of the reader
		return n, err
	case late && n > 0: // the sender is slow, not silent
		b.in.revive()
		return n, nil
	case late:
		return n, &bodyError{b.fail(b.cut(errTimeout))}
	case b.closed.Load() && err != nil:
		return n, &bodyError{errBodyClosed}
	case err == nil && n == 0:
		return n, &bodyError{b.fail(b.cut(io.EOF))}
	case err != nil && broken(b.in.raw):
		return n, &bodyError{b.fail(b.cut(err))}
	}
	return n, err
}

// bodyError is a fault of the body that is passed on, not of the connection it
// is written to.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
