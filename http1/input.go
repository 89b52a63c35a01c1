package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maru-msa/maru/message"
)

// block is a pooled piece of memory for reading and writing.
type block struct{ b []byte }

const (
	smallBlock = 4 << 10  // heads; small bodies
	largeBlock = 32 << 10 // streamed bodies
)

//nolint:gochecknoglobals // pools are shared by their nature
var (
	smallBlocks = sync.Pool{New: func() any { return &block{make([]byte, smallBlock)} }}
	largeBlocks = sync.Pool{New: func() any { return &block{make([]byte, largeBlock)} }}
)

// takeBlock gives a block of at least n bytes.
func takeBlock(n int) *block {
	switch {
	case n <= smallBlock:
		b, _ := smallBlocks.Get().(*block)
		return b
	case n <= largeBlock:
		b, _ := largeBlocks.Get().(*block)
		return b
	}
	return &block{make([]byte, n)}
}

func (b *block) give() {
	message.Poison(b.b)
	switch cap(b.b) {
	case smallBlock:
		b.b = b.b[:smallBlock]
		smallBlocks.Put(b)
	case largeBlock:
		b.b = b.b[:largeBlock]
		largeBlocks.Put(b)
	}
}

// input is the read side of a connection: the socket and the bytes that were
// read and not yet consumed. Bytes before base are views of the message in
// hand and stay where they are; an idle connection holds no block at all.
type input struct {
	conn  net.Conn
	tcp   *net.TCPConn    // nil when conn is not a plain TCP connection
	raw   syscall.RawConn // of tcp
	below *socket         // the socket under TLS, nil without one
	first [1]byte         // what a wait on TLS reads
	watch *watch          // deadline of reading
	// idle is how long one read may wait; zero means for ever. by is an
	// additional absolute end on the watchdog's clock, neverAt for none.
	idle time.Duration
	by   int64

	blk        *block
	headBlk    *block // holds the head when blk had no room left behind it
	base, r, w int

	timedOut bool
	stopped  atomic.Bool // the exchange was given up: no wait may begin any more

	// say is sent before the next wait of await: see there.
	say  []byte
	said bool // some of it was sent

	awaitFn func(fd uintptr) bool // made once, so that waiting does not allocate
	awaitN  int
	awaitEr error
}

// errTimeout is what reads and writes return when their watch fired.
var errTimeout = errors.New("deadline exceeded")

// tcpOf is the plain TCP connection that c is; nil when bytes go through
// anything else on their way.
func tcpOf(c net.Conn) *net.TCPConn {
	switch v := c.(type) {
	case *net.TCPConn:
		return v
	case *socket:
		return v.TCPConn
	}
	return nil
}

func (in *input) init(c net.Conn, d *Watchdog, who expirer) {
	in.conn = c
	in.watch = d.add(who)
	if in.tcp = tcpOf(c); in.tcp != nil {
		in.raw = rawOf(in.tcp)
		in.awaitFn = in.awaitRead
	} else if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		in.below, _ = t.NetConn().(*socket)
	}
}

// buffered are the bytes read and not consumed.
func (in *input) buffered() []byte {
	if in.blk == nil {
		return nil
	}
	return in.blk.b[in.r:in.w]
}

// arm sets the deadline of the next wait.
func (in *input) arm() (fired bool) {
	at := in.by
	if in.idle > 0 {
		idle := in.watch.dog.now() + int64(in.idle)
		if at == neverAt || idle < at {
			at = idle
		}
	}
	return in.watch.arm(at)
}

// await waits, without holding memory, until the first byte of the next message
// is there, and reads what has come. It needs an empty buffer.
//
// What say holds is sent first, in one go with the wait: its answer can't be
// there yet, so the read that would find nothing is saved. The poller's state is
// reset before the sending, so that an answer that comes at once still wakes.
// An error of the sending is a *writeError.
func (in *input) await() error {
	if in.arm() {
		in.timedOut = true
		return errTimeout
	}
	var err error
	if in.raw != nil {
		in.awaitN, in.awaitEr = 0, nil
		err = in.raw.Read(in.awaitFn)
		if err == nil {
			err = in.awaitEr
		}
		if err == nil && len(in.say) > 0 {
			return in.sayRest()
		}
		if err == nil && in.awaitN == 0 {
			err = io.EOF
		}
	} else {
		err = in.awaitPlain()
	}
	return in.settle(err)
}

// awaitPlain waits on a connection that is not a socket: TLS, or a test's. Under
// TLS it waits for one octet, so that no block is held meanwhile, and then takes
// what came along with it and is decrypted already.
func (in *input) awaitPlain() error {
	var blk *block
	var n int
	var err error
	if in.below == nil {
		blk = takeBlock(smallBlock)
		n, err = in.conn.Read(blk.b)
	} else if n, err = in.conn.Read(in.first[:]); n > 0 {
		blk = takeBlock(smallBlock)
		blk.b[0] = in.first[0]
		in.below.in.once = true
		more, _ := in.conn.Read(blk.b[1:]) // an error comes again with the next read
		in.below.in.once = false
		n += more
	}
	switch {
	case n > 0:
		in.blk, in.base, in.r, in.w = blk, 0, 0, n
		return nil
	case blk != nil:
		blk.give()
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// sayRest sends what the socket did not take at once and waits as usual.
func (in *input) sayRest() error {
	if at := in.watch.at.Load(); at > 0 {
		_ = in.conn.SetWriteDeadline(in.watch.dog.start.Add(time.Duration(at)))
	}
	n, err := in.conn.Write(in.say)
	in.say = nil
	in.said = in.said || n > 0
	if errors.Is(err, os.ErrDeadlineExceeded) {
		in.timedOut, err = true, errTimeout
	}
	if err = in.settle(err); err != nil {
		return &writeError{err}
	}
	_ = in.conn.SetWriteDeadline(time.Time{})
	if in.stopped.Load() {
		return os.ErrDeadlineExceeded
	}
	return in.await()
}

// awaitRead is the callback of RawConn.Read: it takes a block only for as long
// as the socket has something for it.
func (in *input) awaitRead(fd uintptr) bool {
	if len(in.say) > 0 {
		n, errno := send(fd, in.say)
		in.say = in.say[n:]
		in.said = in.said || n > 0
		switch {
		case errno == 0 && len(in.say) == 0:
			return false
		case errno != 0 && errno != syscall.EAGAIN:
			in.say = nil
			in.awaitEr = &writeError{os.NewSyscallError("write", errno)}
		}
		return true
	}
	blk := takeBlock(smallBlock)
	n, errno := receive(fd, blk.b)
	switch {
	case errno == syscall.EAGAIN:
		blk.give()
		return false
	case n > 0:
		in.blk, in.base, in.r, in.w, in.awaitN = blk, 0, 0, n, n
		return true
	}
	blk.give()
	if errno != 0 {
		in.awaitEr = os.NewSyscallError("read", errno)
	}
	return true
}

// settle disarms the watch after a wait and turns a fired one into errTimeout.
func (in *input) settle(err error) error {
	if in.watch.disarm() {
		in.timedOut = true
		return errTimeout
	}
	return err
}

// stop ends reading for good; it may be called from another goroutine.
func (in *input) stop() {
	in.stopped.Store(true)
	_ = in.conn.SetReadDeadline(longAgo)
}

// revive makes the connection readable again after a deadline, unless it was
// stopped meanwhile.
func (in *input) revive() {
	in.watch.rearm()
	in.timedOut = false
	_ = in.conn.SetReadDeadline(time.Time{})
	if in.stopped.Load() {
		_ = in.conn.SetReadDeadline(longAgo)
	}
}

// fill reads more bytes behind the buffered ones, at least one. It keeps what
// is before base in place and grows the block up to limit bytes; errFull when
// that is not enough.
func (in *input) fill(limit int) error {
	if in.blk == nil {
		return in.await()
	}
	if in.r == in.w && in.r > in.base {
		in.r, in.w = in.base, in.base
	}
	if in.w == len(in.blk.b) {
		if err := in.makeRoom(limit); err != nil {
			return err
		}
	}
	n, err := in.read(in.blk.b[in.w:])
	in.w += n
	return err
}

var errFull = errors.New("buffer full")

func (in *input) makeRoom(limit int) error {
	if in.r > in.base {
		copy(in.blk.b[in.base:], in.blk.b[in.r:in.w])
		in.w -= in.r - in.base
		in.r = in.base
		return nil
	}
	if len(in.blk.b) >= limit || in.base > 0 {
		return errFull
	}
	bigger := takeBlock(min(2*len(in.blk.b), limit))
	copy(bigger.b, in.blk.b[:in.w])
	in.blk.give()
	in.blk = bigger
	return nil
}

// read reads straight from the connection into p, past the buffer.
func (in *input) read(p []byte) (int, error) {
	if in.arm() {
		in.timedOut = true
		return 0, errTimeout
	}
	n, err := in.conn.Read(p)
	if n > 0 {
		err = nil
	} else if err == nil {
		err = io.ErrNoProgress
	}
	return n, in.settle(err)
}

// keep fixes everything consumed so far in its place: views point into it.
// Before a body it makes sure that there is room to read into.
func (in *input) keep(body bool) {
	in.base = in.r
	if !body || len(in.blk.b)-in.base >= smallBlock/2 || in.headBlk != nil {
		return
	}
	next := takeBlock(max(smallBlock, in.w-in.r))
	in.w = copy(next.b, in.blk.b[in.r:in.w])
	in.headBlk, in.blk = in.blk, next
	in.base, in.r = 0, 0
}

// stash puts the block with the head aside for the rest of the exchange: a
// tunnel reads into blocks of its own.
func (in *input) stash() {
	if in.blk == nil || in.headBlk != nil {
		return
	}
	in.headBlk, in.blk = in.blk, nil
	rest := in.headBlk.b[in.r:in.w]
	in.base, in.r, in.w = 0, 0, 0
	if len(rest) > 0 {
		in.blk = takeBlock(len(rest))
		in.w = copy(in.blk.b, rest)
	}
}

// some gives the next bytes of a tunnel, waiting without memory for them; take
// them before the next call.
func (in *input) some() ([]byte, error) {
	if in.r == in.w {
		if in.blk != nil {
			in.blk.give()
			in.blk = nil
		}
		if err := in.await(); err != nil {
			return nil, err
		}
	}
	p := in.buffered()
	in.r = in.w
	return p, nil
}

// done forgets the message in hand; an empty buffer is given back.
func (in *input) done() {
	in.base = 0
	if in.headBlk != nil {
		in.headBlk.give()
		in.headBlk = nil
	}
	if in.blk == nil {
		return
	}
	if in.r == in.w {
		in.drop()
		return
	}
	copy(in.blk.b, in.blk.b[in.r:in.w])
	in.w -= in.r
	in.r = 0
}

func (in *input) drop() {
	if in.headBlk != nil {
		in.headBlk.give()
		in.headBlk = nil
	}
	if in.blk != nil {
		in.blk.give()
		in.blk = nil
	}
	in.base, in.r, in.w = 0, 0, 0
}

func (in *input) close() {
	in.say = nil
	in.watch.dog.remove(in.watch)
	in.drop()
}
