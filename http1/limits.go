package http1

import (
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// Limits bound what a client may send and how long it may take. A zero field
// means its default; see [Limits.WithDefaults].
type Limits struct {
	// RequestLine is the longest request line in bytes, without its CRLF
	// (default 8KiB; RFC 9112 §3 asks for at least 8000).
	RequestLine message.Size `yaml:"request-line"`
	// HeaderBytes is the largest head in bytes: request line and header
	// section (default 32KiB).
	HeaderBytes message.Size `yaml:"header-bytes"`
	// HeaderCount is the most field lines of a head (default 128).
	HeaderCount int `yaml:"header-count"`
	// HeaderName is the longest field name in bytes (default 256).
	HeaderName int `yaml:"header-name"`
	// TrailerBytes is the largest trailer section in bytes (default 8KiB).
	TrailerBytes message.Size `yaml:"trailer-bytes"`
	// TrailerCount is the most trailer fields (default 32).
	TrailerCount int `yaml:"trailer-count"`
	// ChunkLine is the longest chunk-size line in bytes, extensions included
	// (default 256).
	ChunkLine int `yaml:"chunk-line"`
	// Body is the largest request body in bytes (default 256MiB; 0 turns the
	// limit off).
	Body *message.Size `yaml:"body"`
	// RequestsPerConnection is how many requests one connection may carry
	// before it is closed (default 100000).
	RequestsPerConnection int `yaml:"requests-per-connection"`
	// Connections is how many connections the listener holds at once (default
	// 40 % of the process's limit of open files).
	Connections int `yaml:"connections"`
	// FirstByte is how long a new connection may wait with its first byte, and
	// how long a TLS handshake may take (default 10s).
	FirstByte time.Duration `yaml:"first-byte"`
	// Head is the time for a whole head from its first byte (default 10s).
	Head time.Duration `yaml:"head"`
	// Idle is how long a connection is kept between requests (default 75s).
	Idle time.Duration `yaml:"idle"`
	// BodyIdle is the longest pause inside a request body (default 30s).
	BodyIdle time.Duration `yaml:"body-idle"`
	// BodyRate is the least average rate of a request body in bytes per second
	// after its first 10 seconds (default 500).
	BodyRate message.Size `yaml:"body-rate"`
	// Write is the longest time in which the client takes no byte of a
	// response (default 60s).
	Write time.Duration `yaml:"write"`

	// Connect lets CONNECT through to the handler; without it the method is
	// refused. It belongs to a listener's forward-proxy part, not to its limits.
	Connect bool `yaml:"-"`
}

// DefaultBody is the default limit of a request body in bytes.
const DefaultBody = message.Size(256 << 20)

// WithDefaults fills every zero field but Connections, whose default depends on
// the process.
func (l Limits) WithDefaults() Limits {
	or(&l.RequestLine, 8<<10)
	or(&l.HeaderBytes, 32<<10)
	or(&l.HeaderCount, 128)
	or(&l.HeaderName, 256)
	or(&l.TrailerBytes, 8<<10)
	or(&l.TrailerCount, 32)
	or(&l.ChunkLine, 256)
	if l.Body == nil {
		body := DefaultBody
		l.Body = &body
	}
	or(&l.RequestsPerConnection, 100_000)
	or(&l.FirstByte, 10*time.Second)
	or(&l.Head, 10*time.Second)
	or(&l.Idle, 75*time.Second)
	or(&l.BodyIdle, 30*time.Second)
	or(&l.BodyRate, 500)
	or(&l.Write, 60*time.Second)
	return l
}

// Check lists limits that no message could keep, as field errors of package
// diag. Zero stands for the default.
func (l Limits) Check() error {
	return atLeast(
		bound{"request-line", int64(l.RequestLine), 64},
		bound{"header-bytes", int64(l.HeaderBytes), 256},
		bound{"header-count", int64(l.HeaderCount), 4},
		bound{"header-name", int64(l.HeaderName), 16},
		bound{"trailer-bytes", int64(l.TrailerBytes), 16},
		bound{"trailer-count", int64(l.TrailerCount), 1},
		bound{"chunk-line", int64(l.ChunkLine), 16},
		bound{"requests-per-connection", int64(l.RequestsPerConnection), 1},
		bound{"connections", int64(l.Connections), 1},
	)
}

// bound is the least that a limit may be.
type bound struct {
	key      string
	n, least int64
}

func atLeast(bounds ...bound) error {
	var errs []error
	for _, b := range bounds {
		if b.n != 0 && b.n < b.least {
			errs = append(errs, diag.At(b.key, "a limit of %d refuses everything", b.n).
				WithFix("write %d or more, or leave it out for the default", b.least))
		}
	}
	return diag.Join(errs...)
}

// body is the limit of a request body in bytes; 0 means none.
func (l *Limits) body() int64 {
	if l.Body == nil {
		return int64(DefaultBody)
	}
	return int64(*l.Body)
}

func (l *Limits) chunk() chunkLimits {
	return chunkLimits{line: l.ChunkLine, trailerBytes: int(l.TrailerBytes), trailerCount: l.TrailerCount, name: l.HeaderName}
}

// ResponseLimits bound what a service may answer. A zero field means its
// default; see [ResponseLimits.WithDefaults].
type ResponseLimits struct {
	// Head is the largest response head in bytes (default 64KiB).
	Head message.Size `yaml:"head"`
	// Fields is the most field lines of a response (default 256).
	Fields int `yaml:"fields"`
	// Interim is the most 1xx responses of one exchange (default 8).
	Interim int `yaml:"interim"`
	// InterimBytes is what they may hold together in bytes (default 32KiB).
	InterimBytes message.Size `yaml:"interim-bytes"`
	// TrailerBytes is the largest trailer section in bytes (default 8KiB).
	TrailerBytes message.Size `yaml:"trailer-bytes"`
	// TrailerCount is the most trailer fields (default 32).
	TrailerCount int `yaml:"trailer-count"`
	// ChunkLine is the longest chunk-size line in bytes (default 256).
	ChunkLine int `yaml:"chunk-line"`
}

// WithDefaults fills every zero field.
func (l ResponseLimits) WithDefaults() ResponseLimits {
	or(&l.Head, 64<<10)
	or(&l.Fields, 256)
	or(&l.Interim, 8)
	or(&l.InterimBytes, 32<<10)
	or(&l.TrailerBytes, 8<<10)
	or(&l.TrailerCount, 32)
	or(&l.ChunkLine, 256)
	return l
}

// Check lists limits that no response could keep, as field errors of package
// diag. Zero stands for the default.
func (l ResponseLimits) Check() error {
	return atLeast(
		bound{"head", int64(l.Head), 256},
		bound{"fields", int64(l.Fields), 4},
		bound{"interim", int64(l.Interim), 1},
		bound{"interim-bytes", int64(l.InterimBytes), 256},
		bound{"trailer-bytes", int64(l.TrailerBytes), 16},
		bound{"trailer-count", int64(l.TrailerCount), 1},
		bound{"chunk-line", int64(l.ChunkLine), 16},
	)
}

func (l *ResponseLimits) chunk() chunkLimits {
	return chunkLimits{line: l.ChunkLine, trailerBytes: int(l.TrailerBytes), trailerCount: l.TrailerCount, response: true}
}

// chunkLimits bound one chunked body; response makes its refusals a 502.
type chunkLimits struct {
	line, trailerBytes, trailerCount int
	name                             int // longest trailer name; 0: no own limit
	response                         bool
}

// or sets *v to d when it is zero.
func or[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
