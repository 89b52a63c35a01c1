// Package memnet is a network in memory for tests: a listener, a dialer, and
// connections with deadlines and half-close that behave like TCP ones.
//
// The flow: [Listen] makes a listener; [Listener.Dial] gives one end of a new
// connection and [Listener.Accept] the other. Each direction is a bounded
// buffer, so a writer that nobody reads from blocks. Nothing uses the system's
// network or a runtime poller, so everything works inside a testing/synctest
// bubble.
package memnet

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// window is how many bytes one direction of a connection holds unread.
const window = 64 << 10

// backlog is how many connections wait to be accepted.
const backlog = 128

// Addr is the address of a listener or a connection: a plain name.
type Addr string

// Network is "mem".
func (Addr) Network() string { return "mem" }

// String gives the name.
func (a Addr) String() string { return string(a) }

// Listener accepts what [Listener.Dial] dials.
type Listener struct {
	addr   Addr
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen makes a listener under a name, which is only shown as its address.
func Listen(name string) *Listener {
	return &Listener{addr: Addr(name), queue: make(chan net.Conn, backlog), closed: make(chan struct{})}
}

// Accept waits for the next connection; net.ErrClosed after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close stops accepting: later dials are refused, waiting connections reset.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	for {
		select {
		case c := <-l.queue:
			if conn, ok := c.(*Conn); ok {
				_ = conn.Reset()
			}
		default:
			return nil
		}
	}
}

// Addr is the listener's name.
func (l *Listener) Addr() net.Addr { return l.addr }

// Dial connects to the listener; ECONNREFUSED when it is closed.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: "mem", Addr: l.addr, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	select {
	case <-l.closed:
		return nil, refused
	default:
	}
	here, there := Pipe()
	here.remote, there.local = l.addr, l.addr
	select {
	case l.queue <- there:
		return here, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: l.addr, Err: ctx.Err()}
	}
}

// DialContext is [Listener.Dial] in the shape of net.Dialer.DialContext.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return l.Dial(ctx)
}

// Pipe gives the two ends of a connection without a listener.
func Pipe() (a, b *Conn) {
	ab, ba := newHalf(), newHalf()
	a = &Conn{in: ba, out: ab, local: "client", remote: "server"}
	b = &Conn{in: ab, out: ba, local: "server", remote: "client"}
	return a, b
}

// Conn is one end of a connection.
type Conn struct {
	in, out       *half
	local, remote Addr
	abrupt        atomic.Bool
}

// Read reads what the other end wrote; io.EOF after its half-close.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write gives p to the other end; it blocks while the window is full.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the contract of io.Reader
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// Close closes both directions. Like TCP, closing with unread bytes resets the
// connection: the other end sees ECONNRESET, behind what it had received before
// (as on Linux).
func (c *Conn) Close() error {
	if c.abrupt.Load() {
		return c.Reset()
	}
	if c.in.stopReading() > 0 {
		c.out.reset(syscall.ECONNRESET)
		return nil
	}
	c.out.closeWrite(true)
	return nil
}

// SetLinger with 0 makes Close reset the connection, as on TCP; any other value
// makes it orderly again.
func (c *Conn) SetLinger(sec int) error {
	c.abrupt.Store(sec == 0)
	return nil
}

// CloseWrite half-closes: the other end reads io.EOF, reading here goes on.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite(false)
	return nil
}

// Reset ends the connection at once: the other end sees ECONNRESET.
func (c *Conn) Reset() error {
	c.in.stopReading()
	c.out.reset(syscall.ECONNRESET)
	return nil
}

// Peek tells without blocking how many bytes wait to be read, and whether the
// stream has ended behind them: what recv with MSG_PEEK tells of a socket.
func (c *Conn) Peek() (n int, err error) { return c.in.peek() }

// LocalAddr is the name of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the name of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline bounds Read.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

// SetWriteDeadline bounds Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}

// half is one direction: written at one end, read at the other.
type half struct {
	mu   sync.Mutex
	cond sync.Cond
	buf  []byte
	// ended: the writer is done; gone: the reader is; broken: reset.
	ended, gone bool
	writerShut  bool
	broken      error
	reading     deadline
	writing     deadline
}

type deadline struct {
	timer  *time.Timer
	passed bool
	serial int
}

func newHalf() *half {
	h := new(half)
	h.cond.L = &h.mu
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.gone:
			return 0, net.ErrClosed
		case h.reading.passed:
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[:copy(h.buf, h.buf[n:])]
			h.cond.Broadcast()
			return n, nil
		case h.broken != nil:
			return 0, h.broken
		case h.ended:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		h.cond.Wait()
	}
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.writerShut:
			return n, net.ErrClosed
		case h.writing.passed:
			return n, os.ErrDeadlineExceeded
		case h.broken != nil:
			return n, h.broken
		case h.gone || h.ended:
			return n, syscall.EPIPE
		case len(p) == 0:
			return n, nil
		}
		if room := window - len(h.buf); room > 0 {
			k := min(room, len(p))
			h.buf = append(h.buf, p[:k]...)
			p = p[k:]
			n += k
			h.cond.Broadcast()
			continue
		}
		h.cond.Wait()
	}
}

func (h *half) peek() (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.buf) > 0:
		return len(h.buf), nil
	case h.gone:
		return 0, net.ErrClosed
	case h.broken != nil:
		return 0, h.broken
	case h.ended:
		return 0, io.EOF
	}
	return 0, nil
}

// stopReading ends the reader's side and tells how many bytes it left unread.
func (h *half) stopReading() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := len(h.buf)
	if h.gone {
		left = 0
	}
	h.gone = true
	h.reading.stop()
	h.cond.Broadcast()
	return left
}

// closeWrite ends the writer's side in order; shut is a whole close.
func (h *half) closeWrite(shut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if shut {
		h.writerShut = true
		h.writing.stop()
	}
	h.cond.Broadcast()
}

func (h *half) reset(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = err
	h.writerShut = true
	h.writing.stop()
	h.cond.Broadcast()
}

func (h *half) setReadDeadline(t time.Time)  { h.set(&h.reading, t) }
func (h *half) setWriteDeadline(t time.Time) { h.set(&h.writing, t) }

func (h *half) set(d *deadline, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.stop()
	d.passed = false
	if !t.IsZero() {
		if wait := time.Until(t); wait > 0 {
			serial := d.serial
			d.timer = time.AfterFunc(wait, func() { h.expire(d, serial) })
		} else {
			d.passed = true
		}
	}
	h.cond.Broadcast()
}

func (h *half) expire(d *deadline, serial int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.serial == serial {
		d.passed = true
		h.cond.Broadcast()
	}
}

// stop cancels the timer; a callback already under way sees another serial.
func (d *deadline) stop() {
	d.serial++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
