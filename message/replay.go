package message

import (
	"errors"
	"io"
	"sync/atomic"
)

// ReplaySize is how much of a request's body is kept for another try.
const ReplaySize = 64 << 10

// Replay is a body that keeps what passes, up to [ReplaySize] bytes, so that a
// request can be sent again as it was. It may be asked while a sender still reads.
type Replay struct {
	Body

	kept                 []byte
	length               int64 // or Unknown: a sender that knows it does not read on to the EOF
	started, whole, over atomic.Bool
}

// NewReplay wraps the body of a request, which is length bytes long or Unknown.
func NewReplay(b Body, length int64) *Replay { return &Replay{Body: b, length: length} }

// Read reads and keeps.
func (b *Replay) Read(p []byte) (int, error) {
	b.started.Store(true)
	n, err := b.Body.Read(p)
	if b.over.Load() || b.whole.Load() {
		return n, err
	}
	if len(b.kept)+n > ReplaySize {
		b.kept = nil
		b.over.Store(true)
		return n, err
	}
	b.kept = append(b.kept, p[:n]...)
	if errors.Is(err, io.EOF) || int64(len(b.kept)) == b.length {
		b.whole.Store(true)
	}
	return n, err
}

// Close ends the reading of the source, unless another try may need it.
func (b *Replay) Close() error {
	if !b.started.Load() || b.whole.Load() {
		return nil
	}
	return b.Body.Close()
}

// Again gives the body for another try: the source itself when nothing was read of
// it, else what was kept. It gives nil when that is not all.
func (b *Replay) Again() Body {
	switch {
	case b.whole.Load():
		return Bytes(b.kept)
	case !b.started.Load():
		return b
	}
	return nil
}
