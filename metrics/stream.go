package metrics

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/problem"
)

// Numbers of the streams.
const (
	// mostReaders is how many may read one kind of stream at a time.
	mostReaders = 50
	// patience is how long a reader may take for one frame.
	patience = 2 * time.Second
)

// Readers is what one kind of stream shows of its readers.
type Readers struct {
	Stream string
	// Open is how many read now; Cut counts those that were too slow, Refused
	// those that found no seat.
	Open         int
	Cut, Refused uint64
}

// seats bounds the readers of one kind of stream. The zero value is ready.
type seats struct {
	taken        atomic.Int64
	cut, refused atomic.Uint64
}

// enter gives a seat, or answers 503. A seat is given back by leave.
func (s *seats) enter(w http.ResponseWriter) bool {
	if s.taken.Add(1) <= mostReaders {
		return true
	}
	s.taken.Add(-1)
	s.refused.Add(1)
	w.Header().Set("Retry-After", "5")
	refuse(w, problem.New(http.StatusServiceUnavailable, "too_many_readers", "as many clients read this stream as it serves"))
	return false
}

func (s *seats) leave() { s.taken.Add(-1) }

func (s *seats) readers(name string) Readers {
	return Readers{Stream: name, Open: int(s.taken.Load()), Cut: s.cut.Load(), Refused: s.refused.Load()}
}

// refuse answers with a problem document.
func refuse(w http.ResponseWriter, e *problem.Error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.AppendJSON(nil, http.StatusText(e.Status), "", "")) //nolint:gosec // JSON, and the caller may be gone
}

// reader is one open stream.
type reader struct {
	w     io.Writer
	out   *http.ResponseController
	seats *seats
}

// open begins a stream; the fields of the answer are set already.
func (s *seats) open(w http.ResponseWriter) *reader {
	w.WriteHeader(http.StatusOK)
	return &reader{w: w, out: http.NewResponseController(w), seats: s}
}

// send writes whole events. Once it says no the stream is over: the reader left,
// or did not take them in time.
func (r *reader) send(b []byte) bool {
	began := time.Now()
	_ = r.out.SetWriteDeadline(began.Add(patience)) // a recorder in tests has none
	_, err := r.w.Write(b)
	if err == nil {
		err = r.out.Flush()
	}
	if err != nil && time.Since(began) >= patience {
		r.seats.cut.Add(1)
	}
	return err == nil
}
