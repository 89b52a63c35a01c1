package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
)

const (
	// replaySize is how much of a body is kept so that a refused stream can be
	// sent again.
	replaySize = 64 << 10
	uploadRead = 16 << 10
	// continueWait is how long a body waits for the service's 100 (RFC 9110 §10.1.1).
	continueWait = time.Second
)

var (
	errUploadClosed = errors.New("upload closed")
	errNotKept      = errors.New("the body is no longer whole")
)

// upload feeds the request's body to the transport. The transport may give a
// stream up and start another, and it closes bodies from its own goroutines, so
// the body is read by one goroutine only, on demand, into a buffer that the
// streams read from; its first 64 KiB stay for a repetition.
type upload struct {
	e       *h2exchange
	src     message.Body
	trailer http.Header // announced fields, filled at the end

	go100  chan struct{} // closed by the service's 100
	once   sync.Once
	contMu sync.Mutex
	headed bool          // the answer has begun: the client gets no 100 any more
	quit   chan struct{} // closed by stop
	done   chan struct{} // closed when the reading goroutine has ended

	mu      sync.Mutex
	cond    sync.Cond
	kept    []byte // bytes from offset base on
	base    int64
	want    bool // a stream waits for more
	started bool
	err     error // io.EOF or the fault, once all was read
	stopped bool
}

func newUpload(e *h2exchange, trailer http.Header) *upload {
	u := &upload{
		e: e, src: e.r.Body, trailer: trailer,
		go100: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	u.cond.L = &u.mu
	return u
}

// uploadReader is the body of one stream.
type uploadReader struct {
	u      *upload
	at     int64
	closed bool // under u.mu
}

func (u *upload) open() io.ReadCloser { return &uploadReader{u: u} }

// reopen gives the body once more, from its start.
func (u *upload) reopen() (io.ReadCloser, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.base > 0 {
		return nil, errNotKept
	}
	return u.open(), nil
}

// Read gives what was read of the body, or waits for more.
func (s *uploadReader) Read(p []byte) (int, error) {
	u := s.u
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		end := u.base + int64(len(u.kept))
		switch {
		case s.closed || u.stopped:
			return 0, errUploadClosed
		case s.at < end:
			n := copy(p, u.kept[s.at-u.base:])
			s.at += int64(n)
			return n, nil
		case u.err != nil:
			return 0, u.err
		}
		if !u.started {
			u.started = true
			go u.run()
		}
		u.want = true
		u.cond.Broadcast()
		u.cond.Wait()
	}
}

// Close ends this stream's reading; the body itself stays for another.
func (s *uploadReader) Close() error {
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	s.closed = true
	s.u.cond.Broadcast()
	return nil
}

// run reads the body whenever a stream has used up what is there.
func (u *upload) run() {
	defer close(u.done)
	err := u.await100()
	buf := make([]byte, uploadRead)
	for {
		u.mu.Lock()
		for !u.want && !u.stopped {
			u.cond.Wait()
		}
		if u.stopped {
			u.mu.Unlock()
			return
		}
		u.want = false
		u.mu.Unlock()
		n := 0
		if err == nil {
			n, err = u.src.Read(buf)
		}
		u.mu.Lock()
		u.take(buf[:n], err)
		u.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take adds what was read. Beyond replaySize the bytes before it are forgotten:
// they were taken, or more would not have been asked for.
func (u *upload) take(p []byte, err error) {
	if u.base > 0 || len(u.kept)+len(p) > replaySize {
		u.base += int64(len(u.kept))
		u.kept = u.kept[:0]
	}
	u.kept = append(u.kept, p...)
	if err != nil {
		if errors.Is(err, io.EOF) && !u.stopped {
			u.trailers()
		}
		if u.stopped && !errors.Is(err, io.EOF) {
			err = errUploadClosed // it was us who closed the body
		}
		u.err = err
	}
	u.cond.Broadcast()
}

func (u *upload) trailers() {
	fields := u.e.r.Trailer.Fields()
	for i := range fields {
		f := &fields[i]
		for name := range u.trailer {
			if strings.EqualFold(name, f.Name) {
				u.trailer[name] = append(u.trailer[name], strings.Clone(f.Value))
			}
		}
	}
}

// proceed notes the service's 100.
func (u *upload) proceed() { u.once.Do(func() { close(u.go100) }) }

// await100 holds the body of a client that waits for 100 until the service
// sent one, at most a second, then tells the client to go on.
func (u *upload) await100() error {
	x := &u.e.r.X
	if !u.e.r.Expect || x.Continue == nil {
		return nil
	}
	t := time.NewTimer(continueWait)
	defer t.Stop()
	select {
	case <-u.go100:
	case <-t.C:
	case <-u.quit:
		return errUploadClosed
	}
	u.contMu.Lock()
	defer u.contMu.Unlock()
	if !u.headed {
		return x.Continue()
	}
	<-u.quit
	return errUploadClosed
}

// answered tells that the final response has begun.
func (u *upload) answered() {
	u.contMu.Lock()
	u.headed = true
	u.contMu.Unlock()
}

// fault is the error of the client's body, nil when it is whole or still coming.
func (u *upload) fault() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if errors.Is(u.err, io.EOF) || errors.Is(u.err, errUploadClosed) {
		return nil
	}
	return u.err
}

// stop ends the upload and waits until nobody reads the body any more: it
// belongs to the exchange, which is about to end.
func (u *upload) stop() {
	u.mu.Lock()
	u.stopped = true
	close(u.quit)
	started, ended := u.started, u.err != nil
	u.cond.Broadcast()
	u.mu.Unlock()
	if !started {
		return
	}
	if !ended {
		_ = u.src.Close() // wakes a Read in progress
	}
	<-u.done
}
