package http1

import (
	"io"
	"net"
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
	limit time.Duration // how long one write may wait

	blk  *block
	buf  []byte // what is to be written; in blk unless it grew
	vec  [2][]byte
	bufs net.Buffers
	lim  io.LimitedReader
}

const (
	joinSize   = 16 << 10 // head and body up to this leave in one write
	spliceSize = 64 << 10 // bodies from here on are spliced
	splicePart = 1 << 20  // a part of a spliced body between two looks at the clock
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

// write writes p whole. Mostly the socket takes it at once; the deadline is set
// only when it does not.
func (o *output) write(p []byte) error {
	if o.quick != nil {
		n, err := o.quick.try(p)
		if err != nil || n == len(p) {
			return err
		}
		p = p[n:]
	}
	if o.watch.after(o.limit) {
		return errTimeout
	}
	_, err := o.conn.Write(p)
	return o.settle(err)
}

func (o *output) settle(err error) error {
	if o.watch.disarm() {
		return errTimeout
	}
	return err
}

// put collects p, or writes the collected bytes and p together when it is large.
func (o *output) put(p []byte) error {
	if len(o.buf)+len(p) <= cap(o.buf) || len(o.buf)+len(p) <= joinSize {
		o.buf = append(o.buf, p...)
		return nil
	}
	if o.watch.after(o.limit) {
		return errTimeout
	}
	o.vec[0], o.vec[1] = o.buf, p
	o.bufs = o.vec[:]
	var w io.Writer = o.conn
	if o.tcp != nil {
		w = o.tcp // takes both with one system call
	}
	_, err := o.bufs.WriteTo(w)
	o.vec[0], o.vec[1] = nil, nil
	o.buf = o.buf[:0]
	return o.settle(err)
}

// Ender is a body that knows its end before a Read would return io.EOF.
type ender interface{ Ended() bool }

func ended(b message.Body) bool {
	e, ok := b.(ender)
	return ok && e.Ended()
}

// writeBody writes a body behind the collected head. count is told of each
// payload byte. An error of the body itself comes back as *bodyError.
func (o *output) writeBody(b message.Body, length int64, chunked bool, count *int64) error {
	src, _ := b.(message.Buffered)
	for {
		if src != nil {
			if p := src.Peek(); len(p) > 0 {
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
	if raw, ok := b.(message.Raw); ok && o.tcp != nil && !chunked {
		if c, remaining := raw.RawConn(); c != nil && remaining >= spliceSize {
			return true, o.splice(raw, c, remaining, count)
		}
	}
	blk := takeBlock(largeBlock)
	defer blk.give()
	const margin = 16 // for the chunk head before and CRLF behind
	p := blk.b
	if chunked {
		p = p[margin : len(p)-2]
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
func (o *output) splice(b message.Raw, src *net.TCPConn, remaining int64, count *int64) error {
	idle, _ := b.(*bodyReader)
	for remaining > 0 {
		if o.watch.after(o.limit) || idle != nil && idle.in.arm() {
			return errTimeout
		}
		o.lim.R, o.lim.N = src, min(remaining, splicePart)
		n, err := o.tcp.ReadFrom(&o.lim)
		o.lim.R = nil
		b.Advance(n)
		*count += n
		remaining -= n
		if idle != nil {
			err = idle.in.settle(err)
		}
		if err = o.settle(err); err != nil {
			return err
		}
		if n == 0 {
			return &bodyError{io.ErrUnexpectedEOF}
		}
	}
	return nil
}

// bodyError is a fault of the body that is passed on, not of the connection it
// is written to.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }
