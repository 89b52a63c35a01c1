package filter

import (
	"sync/atomic"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Body limits the size of request bodies: 413 before the service sees anything
// when the announced length is over the limit, else as soon as the stream is.
// Short form: the limit.
type Body struct {
	// Limit is the most bytes of a request body, such as 1MiB (required; 0 refuses every body).
	Limit *message.Size `yaml:"limit"`
}

// UnmarshalText reads the limit.
func (c *Body) UnmarshalText(text []byte) error {
	c.Limit = new(message.Size)
	return c.Limit.UnmarshalText(text)
}

func tooLarge() *problem.Error {
	return problem.New(413, "body_too_large", "the body is larger than this route takes")
}

// Filter is the constructor.
func (c *Body) Filter(Env) (Filter, error) {
	var f faults
	if c.Limit == nil {
		f.at("limit", "body needs a limit").WithFix("write body: 1MiB")
	} else if *c.Limit < 0 {
		f.at("limit", "a size can't be negative").WithFix("write one such as 1MiB")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	limit := int64(*c.Limit)
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			switch {
			case r.Length > limit:
				return nil, tooLarge()
			case r.Length != message.Unknown: // the engine holds it to its length
				return next(r)
			}
			b := &limitedBody{Body: r.Body, left: limit}
			r.Body = b
			resp, err := next(r)
			if err != nil && b.over.Load() {
				return nil, tooLarge() // whatever the cut made of the call to the service
			}
			return resp, err
		}
	}, nil
}

// limitedBody fails once more than its limit was read.
type limitedBody struct {
	message.Body

	left int64
	over atomic.Bool // asked from the filter while a sender may still read
}

// Read never hands on a byte beyond the limit; it asks for one more than is
// left to tell the end from too much.
func (b *limitedBody) Read(p []byte) (int, error) {
	if b.over.Load() {
		return 0, tooLarge()
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.Body.Read(p)
	if int64(n) > b.left {
		b.over.Store(true)
		return int(b.left), tooLarge()
	}
	b.left -= int64(n)
	return n, err
}
