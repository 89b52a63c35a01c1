package filter

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
)

// cacheFill is a body on its way from the service, with everyone who reads it.
// While it may still be stored it is kept whole and runs ahead of its readers.
// One that grows over the limit becomes a plain stream: what all readers have
// passed is let go, and the service is held to the pace of the slowest.
type cacheFill struct {
	obj    *cacheObject
	length int64 // announced, or message.Unknown
	limit  int64 // to store
	budget *budget

	mu      sync.Mutex
	first   *fillChunk // nil once it is a stream
	last    *fillChunk
	size    int64 // bytes so far
	err     error // io.EOF at the proper end
	trailer []message.Field
	readers []*fillReader
	pending int           // readers that are about to attach
	space   chan struct{} // signalled by readers of a stream
	stream  bool
}

// fillChunk is a piece of the body. data grows up to its capacity, then next is set.
type fillChunk struct {
	data []byte
	next *fillChunk
}

const (
	firstChunk = 4 << 10
	largeChunk = 64 << 10
	// streamAhead is how far a stream may run ahead of its slowest reader.
	streamAhead = 256 << 10
	// streamStall is how long one reader may hold the others of a stream up.
	streamStall = 10 * time.Second
)

// budget bounds the bytes of all bodies that are being filled.
type budget struct {
	take func(n int64) bool
	give func(n int64)
}

func newFill(o *cacheObject, length, limit int64, b *budget) *cacheFill {
	f := &cacheFill{obj: o, length: length, limit: limit, budget: b, space: make(chan struct{}, 1)}
	f.first = &fillChunk{}
	f.last = f.first
	return f
}

// pump reads src to its end. It tells whether the body is whole and may be
// stored. overflow is called once when it turns out that it may not.
func (f *cacheFill) pump(src message.Body, trailer *message.Header, overflow func()) bool {
	taken, told := int64(0), false
	defer func() { f.budget.give(taken) }()
	for {
		p := f.room(&taken)
		if f.isStream() && !told {
			told = true
			f.budget.give(taken)
			taken = 0
			overflow()
		}
		if err := f.wait(); err != nil {
			f.end(err)
			return false
		}
		n, err := src.Read(p)
		f.grow(n)
		switch {
		case errors.Is(err, io.EOF):
			return f.finish(trailer)
		case err != nil:
			f.end(err)
			return false
		}
	}
}

// room gives space for the next read: the rest of the last chunk, or a new one.
func (f *cacheFill) room(taken *int64) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if free := f.last.data[len(f.last.data):cap(f.last.data)]; len(free) > 0 {
		return free
	}
	n := int64(largeChunk)
	switch {
	case f.stream:
	case f.size == 0 && f.length > 0:
		n = f.length
	case f.length >= 0: // one byte tells the end
		n = 1
	default:
		n = min(max(firstChunk, f.size), largeChunk)
	}
	if !f.stream {
		if f.budget.take(n) {
			*taken += n
		} else {
			f.toStream()
		}
	}
	c := &fillChunk{data: make([]byte, 0, n)}
	if cap(f.last.data) == 0 && f.size == 0 {
		f.last.data = c.data
		return c.data[:n]
	}
	f.last.next = c
	f.last = c
	return c.data[:n]
}

func (f *cacheFill) isStream() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stream
}

// toStream gives up storing. f.mu is held.
func (f *cacheFill) toStream() {
	f.stream = true
	if f.pending == 0 {
		f.first = nil
	}
}

// enter announces one more reader, unless the beginning is gone. It is paired
// with arrived.
func (f *cacheFill) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		return false
	}
	f.pending++
	return true
}

// arrived says that an announced reader has attached itself, or will not.
func (f *cacheFill) arrived() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending--
	if f.stream && f.pending == 0 {
		f.first = nil
	}
	f.signal()
}

// signal wakes the pump. f.mu is held.
func (f *cacheFill) signal() {
	select {
	case f.space <- struct{}{}:
	default:
	}
}

// grow publishes n bytes that were read behind the last chunk's data.
func (f *cacheFill) grow(n int) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last.data = f.last.data[:len(f.last.data)+n]
	f.size += int64(n)
	if !f.stream && f.size > f.limit {
		f.toStream()
	}
	f.tell()
}

// tell wakes every reader. f.mu is held.
func (f *cacheFill) tell() {
	for _, r := range f.readers {
		r.wake()
	}
}

var errNoReader = errors.New("nobody reads the response any more")

// wait holds a stream back while its slowest reader is far behind. A reader
// that does not move for streamStall is cut off; without readers the stream ends.
func (f *cacheFill) wait() error {
	for {
		slow, at, goOn, err := f.slowest()
		if goOn || err != nil {
			return err
		}
		stall := time.NewTimer(streamStall)
		select {
		case <-f.space:
			stall.Stop()
		case <-stall.C:
			f.cut(slow, at)
		}
	}
}

// slowest finds the reader to wait for, nil when one has not arrived yet.
func (f *cacheFill) slowest() (slow *fillReader, at int64, goOn bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.stream:
		return nil, 0, true, nil
	case f.pending > 0:
		return nil, 0, f.size < streamAhead, nil
	case len(f.readers) == 0:
		return nil, 0, false, errNoReader
	}
	slow = f.readers[0]
	for _, r := range f.readers[1:] {
		if r.pos < slow.pos {
			slow = r
		}
	}
	return slow, slow.pos, f.size-slow.pos < streamAhead, nil
}

// cut ends a reader that has not moved since at.
func (f *cacheFill) cut(slow *fillReader, at int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slow != nil && slow.pos == at {
		slow.fail(message.ErrAborted)
		f.leave(slow)
	}
}

// finish ends the body properly, and tells whether it can be stored.
func (f *cacheFill) finish(trailer *message.Header) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.length >= 0 && f.size != f.length { // RFC 9111 §3.3: incomplete
		f.err = message.ErrAborted
		f.tell()
		return false
	}
	for _, t := range trailer.Fields() {
		f.trailer = append(f.trailer, message.Field{Name: string(octets(t.Name)), Value: string(octets(t.Value)), ID: t.ID})
	}
	f.err = io.EOF
	f.tell()
	return !f.stream && len(f.trailer) == 0
}

func (f *cacheFill) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.tell()
}

// complete tells whether the body ended properly.
func (f *cacheFill) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Is(f.err, io.EOF)
}

// bytes gives the whole body in one piece, without slack.
func (f *cacheFill) bytes() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first.next == nil && len(f.first.data) == cap(f.first.data) {
		return f.first.data
	}
	if f.length > 0 { // the chunk behind it was for the end
		return f.first.data
	}
	b := make([]byte, 0, f.size)
	for c := f.first; c != nil; c = c.next {
		b = append(b, c.data...)
	}
	return b
}

// reader attaches one more exchange, for the bytes from to before to (-1: to
// the end), between enter and arrived.
func (f *cacheFill) reader(r *message.Request, resp *message.Response, from, to int64) *fillReader {
	rd := &fillReader{fill: f, x: &r.X, resp: resp, ready: make(chan struct{}, 1), skip: from, left: -1}
	if to >= 0 {
		rd.left = to - from
	}
	f.mu.Lock()
	rd.chunk = f.first
	f.readers = append(f.readers, rd)
	f.mu.Unlock()
	resp.Owner = rd
	if err := r.X.OnCancel(rd); err != nil {
		rd.fail(err)
	} else {
		rd.hooked = true
	}
	return rd
}

// leave takes a reader off the list. f.mu is held.
func (f *cacheFill) leave(r *fillReader) {
	if i := slices.Index(f.readers, r); i >= 0 {
		f.readers = slices.Delete(f.readers, i, i+1)
	}
	f.signal()
}

// fillReader is one exchange's view of a fill.
type fillReader struct {
	fill   *cacheFill
	x      *message.Exchange
	resp   *message.Response
	ready  chan struct{}
	hooked bool

	chunk *fillChunk
	at    int   // in chunk
	pos   int64 // in the body; under fill.mu
	skip  int64 // bytes to pass over first
	left  int64 // bytes to give, -1 for all

	mu     sync.Mutex
	broken error
}

func (r *fillReader) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// fail ends the reader; the first cause counts.
func (r *fillReader) fail(err error) {
	r.mu.Lock()
	if r.broken == nil {
		r.broken = err
	}
	r.mu.Unlock()
	r.wake()
}

func (r *fillReader) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// Cancel is called when the client left.
func (r *fillReader) Cancel(cause error) { r.fail(cause) }

// view shows what is there without waiting; err is set when nothing more comes.
func (r *fillReader) view() (p []byte, err error) {
	if err := r.failure(); err != nil {
		return nil, err
	}
	f := r.fill
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for r.at == len(r.chunk.data) && r.chunk.next != nil {
			r.chunk, r.at = r.chunk.next, 0
		}
		p = r.chunk.data[r.at:]
		if r.skip == 0 || len(p) == 0 {
			break
		}
		n := min(int64(len(p)), r.skip)
		r.skip -= n
		r.step(int(n))
	}
	if r.left >= 0 && int64(len(p)) > r.left {
		p = p[:r.left]
	}
	switch {
	case len(p) > 0:
		return p, nil
	case r.left == 0:
		return nil, io.EOF
	case errors.Is(f.err, io.EOF):
		r.putTrailer()
		return nil, io.EOF
	}
	return nil, f.err
}

// putTrailer hands the trailer on, once. f.mu is held.
func (r *fillReader) putTrailer() {
	if r.resp.Trailer.Len() > 0 {
		return
	}
	for _, t := range r.fill.trailer {
		r.resp.Trailer.Append(t)
	}
}

// step moves on by n bytes. fill.mu is held.
func (r *fillReader) step(n int) {
	r.at += n
	r.pos += int64(n)
	if r.fill.stream {
		r.fill.signal()
	}
}

// Read waits for bytes.
func (r *fillReader) Read(b []byte) (int, error) {
	for len(b) > 0 {
		p, err := r.view()
		if len(p) > 0 {
			n := copy(b, p)
			r.Skip(n)
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		<-r.ready
	}
	return 0, nil
}

// Peek shows the bytes that are there.
func (r *fillReader) Peek() []byte {
	p, _ := r.view()
	return p
}

// Skip takes n of them.
func (r *fillReader) Skip(n int) {
	r.fill.mu.Lock()
	defer r.fill.mu.Unlock()
	r.step(n)
	if r.left >= 0 {
		r.left -= int64(n)
	}
}

// Close detaches the reader; the fill goes on.
func (r *fillReader) Close() error {
	r.fail(message.ErrAborted)
	r.fill.mu.Lock()
	r.fill.leave(r)
	r.fill.mu.Unlock()
	return nil
}

// Ended tells an engine that nothing more comes, so that it need not ask.
func (r *fillReader) Ended() bool {
	p, err := r.view()
	return len(p) == 0 && errors.Is(err, io.EOF)
}

// ReleaseResponse ends the hook on the exchange.
func (r *fillReader) ReleaseResponse(resp *message.Response, _ bool) {
	if r.hooked {
		r.hooked = false
		r.x.OffCancel(r)
	}
	resp.Reset()
}
