package message

import (
	"errors"
	"io"
	"net"
)

// Body is a stream of content. Read returns io.EOF at the proper end and any
// other error when the body was cut short: such a body must never be passed on
// as if it were whole (RFC 9112 §8). Close stops reading; it may be called more
// than once, before the end, and from another goroutine: it wakes a Read.
type Body interface {
	Read(p []byte) (int, error)
	Close() error
}

// Buffered is a body with bytes already in memory. Peek shows them without
// taking them (empty when there are none), Skip takes n of them. After the last
// byte the next Read returns io.EOF.
type Buffered interface {
	Body
	Peek() []byte
	Skip(n int)
}

// Raw is a body whose remaining bytes, after those that Peek shows, come
// unframed from a plain connection: an engine may splice them. RawConn returns
// nil when that is not so. Advance tells the body that n bytes were taken.
type Raw interface {
	Buffered
	RawConn() (c *net.TCPConn, remaining int64)
	Advance(n int64)
}

// Duplex is the body of a 101: the tunnel to the service (RFC 9110 §7.8).
// CloseWrite passes on a half-close.
type Duplex interface {
	Body
	Write(p []byte) (int, error)
	CloseWrite() error
}

// ErrAborted is the error of a body that ended before its end.
var ErrAborted = errors.New("body aborted")

// NoBody is the empty body.
const NoBody = noBody(0)

type noBody int

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }
func (noBody) Peek() []byte             { return nil }
func (noBody) Skip(int)                 {}

type bytesBody struct {
	data []byte
}

func (b *bytesBody) reset() { b.data = nil }

func (b *bytesBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func (b *bytesBody) Close() error { b.data = nil; return nil }
func (b *bytesBody) Peek() []byte { return b.data }
func (b *bytesBody) Skip(n int)   { b.data = b.data[n:] }

// Bytes makes a body of b, which must stay unchanged until the body is closed.
// It allocates; on the request path prefer [Response.SetBytes].
func Bytes(b []byte) Body {
	if len(b) == 0 {
		return NoBody
	}
	return &bytesBody{data: b}
}

// ReadAll reads b to its end into dst, at most limit bytes. A longer body gives
// [ErrTooLarge], with the limit's worth of bytes read.
func ReadAll(dst []byte, b Body, limit int64) ([]byte, error) {
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := b.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if int64(len(dst)-start) > limit {
			return dst[:start+int(limit)], ErrTooLarge
		}
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// ErrTooLarge is returned by ReadAll for a body over its limit.
var ErrTooLarge = errors.New("body over its limit")
