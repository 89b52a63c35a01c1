package filter

import (
	"errors"
	"io"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Buffer holds bodies in memory until they are whole, so that slow clients do
// not keep services busy and later filters can look at them. Never on disk.
// Short form: the limit for requests.
type Buffer struct {
	// Request is the largest request body, in bytes (default 1MiB; 0 with a
	// response limit set leaves requests alone). Over it: 413.
	Request message.Size `yaml:"request"`
	// Response is the largest response body, in bytes (default 0: not held). Over it: 502.
	Response message.Size `yaml:"response"`
}

const defaultBuffer = 1 << 20

// UnmarshalText reads the limit for requests.
func (c *Buffer) UnmarshalText(text []byte) error { return c.Request.UnmarshalText(text) }

// Filter is the constructor.
func (c *Buffer) Filter(Env) (Filter, error) {
	var f faults
	const most = 1 << 30
	for _, s := range []struct {
		path string
		n    message.Size
	}{{"request", c.Request}, {"response", c.Response}} {
		if s.n < 0 || s.n > most {
			f.at(s.path, "%d bytes can't be held in memory for each request", int64(s.n)).WithFix("write at most 1GiB; larger bodies stream")
		}
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	in, out := int64(c.Request), int64(c.Response)
	if in == 0 && out == 0 {
		in = defaultBuffer
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			if in > 0 && r.HasBody() {
				if err := bufferRequest(r, in); err != nil {
					return nil, err
				}
			}
			resp, err := next(r)
			if err != nil || out == 0 {
				return resp, err
			}
			return bufferResponse(r, resp, out)
		}
	}, nil
}

// bufferRequest reads the body to its end. A client that waits for 100 is told
// to send (RFC 9110 §10.1.1), and the service is not asked again.
func bufferRequest(r *message.Request, limit int64) error {
	if r.Length > limit {
		return tooLarge()
	}
	if r.Expect {
		if r.X.Continue != nil {
			if err := r.X.Continue(); err != nil {
				return problem.Wrap(err, 499, "client_abort", "the client left before it sent the body")
			}
		}
		r.Expect = false
		r.Header.DelID(message.Expect)
	}
	b, err := message.ReadAll(room(r.Length), r.Body, limit)
	switch {
	case errors.Is(err, message.ErrTooLarge):
		return tooLarge()
	case err != nil:
		return bodyError(err)
	}
	r.Body = &heldBody{data: b, src: r.Body}
	if r.Trailer.Len() == 0 { // trailers need the chunked coding (RFC 9112 §7.1.2)
		r.Length = int64(len(b))
	}
	return nil
}

// bodyError makes a problem of a request body that broke off, unless it is one.
func bodyError(err error) error {
	if _, ok := errors.AsType[*problem.Error](err); ok {
		return err
	}
	return problem.Wrap(err, 400, "body_aborted", "the body ended before its end")
}

// room is memory for a body of that length, one byte more so that its end is
// seen without growing.
func room(length int64) []byte {
	if length < 0 {
		length = 4 << 10
	}
	return make([]byte, 0, length+1)
}

func bufferResponse(r *message.Request, resp *message.Response, limit int64) (*message.Response, error) {
	// HEAD and bodiless answers have nothing to hold; tunnels and streams have no end to wait for.
	if resp.Status < 200 || resp.Stream || resp.Length == 0 || resp.Body == message.NoBody {
		return resp, nil
	}
	large := problem.New(502, "response_too_large", "the service's answer is larger than this route takes")
	if resp.Length > limit {
		resp.Release()
		return nil, large
	}
	b, err := message.ReadAll(room(resp.Length), resp.Body, limit)
	if err != nil {
		resp.Release()
		if errors.Is(err, message.ErrTooLarge) {
			return nil, large
		}
		if _, ok := errors.AsType[*problem.Error](err); ok {
			return nil, err
		}
		if cause := r.X.Err(); cause != nil {
			return nil, cause
		}
		return nil, problem.Wrap(err, 502, "response_aborted", "the service's answer ended before its end")
	}
	resp.Body = &heldBody{data: b, src: resp.Body}
	if resp.Trailer.Len() == 0 {
		resp.Length = int64(len(b))
	}
	return resp, nil
}

// heldBody is a body that is whole in memory, with the one it came from, whose
// owner wants to see it closed.
type heldBody struct {
	data []byte
	src  message.Body
}

func (b *heldBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.data)
	b.data = b.data[n:]
	return n, nil
}

func (b *heldBody) Close() error { return b.src.Close() }
func (b *heldBody) Peek() []byte { return b.data }
func (b *heldBody) Skip(n int)   { b.data = b.data[n:] }
