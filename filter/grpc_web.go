package filter

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// GRPCWeb lets browsers call a gRPC service: it turns gRPC-Web calls
// (application/grpc-web and -text, by any HTTP version) into gRPC ones and the
// answers back. Unary calls and server streaming; what a browser can't do, a
// stream of requests, is answered with status 12. Other requests pass.
type GRPCWeb struct {
	// Limit is the largest message that a client may send (default 4MiB); a
	// larger one is answered with status 8.
	Limit *message.Size `yaml:"limit"`
}

const (
	grpcWebLimit = 4 << 20
	frameHead    = 5 // flag and length of a message (gRPC over HTTP/2, "Length-Prefixed-Message")
	trailerFlag  = 0x80
	webChunk     = 12 << 10 // read at once; 16 KiB in base64
)

// Filter makes the filter.
func (c *GRPCWeb) Filter(env Env) (Filter, error) {
	w := &grpcWeb{limit: grpcWebLimit, count: env.Count}
	if c.Limit != nil {
		if w.limit = int64(*c.Limit); w.limit < 1 {
			return nil, diag.At("limit", "a limit of %d bytes lets nothing through", w.limit).WithFix("write a size such as 4MiB")
		}
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return w.serve(r, next) }
	}, nil
}

type grpcWeb struct {
	limit int64
	count func(filter, reason string)
}

func (w *grpcWeb) serve(r *message.Request, next Func) (*message.Response, error) {
	call, ok := webCallOf(r)
	if !ok {
		return next(r)
	}
	h := &r.Header
	came := h.Value(message.ContentType)
	body := &webRequest{src: r.Body, text: call.textIn, limit: w.limit}
	r.Body = body
	if call.textIn && r.Length > 0 {
		r.Length = message.Unknown
	}
	h.SetID(message.ContentType, call.service)
	h.SetID(message.TE, "trailers")
	p, err := next(r)
	h.SetID(message.ContentType, came) // what answers from here on speaks to the caller
	if fault := body.problem(); err != nil && fault != nil {
		w.count("grpc-web", fault.Reason)
		return nil, fault
	}
	if err != nil {
		return nil, err
	}
	p = GRPCAnswer(r, p, call.caller)
	answerWeb(r, p, call)
	return p, nil
}

// webCall is how one call is translated.
type webCall struct {
	service string // media type towards the service: application/grpc+proto
	caller  string // and towards the caller: application/grpc-web+proto
	textIn  bool   // the request is in base64
	textOut bool   // the answer is to be
}

func webCallOf(r *message.Request) (webCall, bool) {
	media, ok := grpcType(r)
	rest, web := strings.CutPrefix(strings.ToLower(media), "application/grpc-web")
	if !ok || !web || r.Method != "POST" {
		return webCall{}, false
	}
	suffix, text := strings.CutPrefix(rest, "-text")
	if suffix != "" && suffix[0] != '+' {
		return webCall{}, false
	}
	c := webCall{textIn: text, textOut: text}
	if accept := strings.ToLower(r.Header.Value(message.Accept)); strings.Contains(accept, "application/grpc-web") {
		c.textOut = strings.Contains(accept, "application/grpc-web-text")
	}
	c.service = concat(r, "application/grpc", suffix)
	c.caller = "application/grpc-web"
	if c.textOut {
		c.caller = "application/grpc-web-text"
	}
	c.caller = concat(r, c.caller, suffix)
	return c, true
}

func concat(r *message.Request, a, b string) string {
	return message.View(append(append(r.X.Scratch(len(a)+len(b)), a...), b...))
}

// answerWeb turns a gRPC answer into a gRPC-Web one. A trailers-only answer
// keeps its status in the header section, where clients look for it first.
func answerWeb(r *message.Request, p *message.Response, call webCall) {
	p.Header.SetID(message.ContentType, call.caller)
	p.Header.DelID(message.Trailer)
	if p.Header.Has(message.GrpcStatus) || r.Method == "HEAD" {
		return
	}
	p.Body = &webAnswer{src: p.Body, r: r, p: p, text: call.textOut}
	p.Length, p.Stream = message.Unknown, true
}

// webRequest gives the service the one message of a call and sees to it that it
// is one. The caller's goroutine and the transport's may both look at it.
type webRequest struct {
	src   message.Body
	text  bool
	limit int64

	quad  [4]byte // base64 that is not a whole group yet
	nquad int
	head  [frameHead]byte
	nhead int
	left  int64 // bytes of the message to come
	whole bool  // the message is complete
	in    []byte
	out   []byte // decoded, not read yet

	mu    sync.Mutex
	fault *problem.Error
}

func (b *webRequest) problem() *problem.Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault
}

func (b *webRequest) fail(p *problem.Error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault == nil {
		b.fault = p
	}
	return b.fault
}

func badFrame(detail string) *problem.Error { return problem.New(400, "grpc_web_frame", detail) }

// Read gives bytes of the message.
func (b *webRequest) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.out) == 0 {
		if fault := b.problem(); fault != nil {
			return 0, fault
		}
		if b.in == nil {
			b.in = make([]byte, min(max(len(p), 512), webChunk))
		}
		n, err := b.src.Read(b.in)
		if n > 0 {
			if taken := b.take(b.in[:n]); taken != nil {
				return 0, b.fail(taken)
			}
		}
		if err == nil || len(b.out) > 0 && errors.Is(err, io.EOF) {
			continue
		}
		if errors.Is(err, io.EOF) && (b.nquad > 0 || !b.whole) {
			return 0, b.fail(badFrame("the request ends within its message"))
		}
		return 0, err
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// take decodes and judges received bytes.
func (b *webRequest) take(p []byte) *problem.Error {
	b.out = b.out[:0]
	if !b.text {
		b.out = append(b.out, p...)
		return b.judge(p)
	}
	for _, c := range p {
		b.quad[b.nquad] = c
		if b.nquad++; b.nquad < len(b.quad) {
			continue
		}
		b.nquad = 0
		// Group by group: padding may stand inside, where the client flushed.
		var three [3]byte
		n, err := base64.StdEncoding.Decode(three[:], b.quad[:])
		if err != nil {
			if fault := b.judge(b.out); fault != nil { // what stands before is to blame first
				return fault
			}
			return badFrame("the request is not in base64")
		}
		b.out = append(b.out, three[:n]...)
	}
	return b.judge(b.out)
}

// judge follows the framing: one message, no more (gRPC-Web has no streams of requests).
func (b *webRequest) judge(p []byte) *problem.Error {
	for len(p) > 0 {
		switch {
		case b.whole:
			return problem.New(501, "grpc_web_streaming", "gRPC-Web has no streams of requests")
		case b.nhead < frameHead:
			n := copy(b.head[b.nhead:], p)
			b.nhead += n
			p = p[n:]
			if b.head[0] > 1 {
				return badFrame("the request's message has unknown flags")
			}
			if b.nhead < frameHead {
				return nil
			}
			if b.left = int64(binary.BigEndian.Uint32(b.head[1:])); b.left > b.limit {
				return problem.New(413, "grpc_web_too_large", "the request's message is larger than the limit")
			}
		default:
			n := min(int64(len(p)), b.left)
			b.left -= n
			p = p[n:]
		}
		b.whole = b.nhead == frameHead && b.left == 0
	}
	return nil
}

// Close stops reading.
func (b *webRequest) Close() error { return b.src.Close() }

// webAnswer gives the messages of an answer and then its trailers as one more
// frame (gRPC-Web, "Message framing").
type webAnswer struct {
	src  message.Body
	r    *message.Request
	p    *message.Response
	text bool

	in   []byte
	out  []byte // not read yet
	done bool   // the trailers are in out, or read
}

// Read gives bytes of the answer; in base64 those of one read of the service's
// body are padded, so that the browser can decode them at once.
func (b *webAnswer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.out) == 0 {
		if b.done {
			return 0, io.EOF
		}
		if b.in == nil {
			b.in = make([]byte, webChunk)
		}
		n, err := b.src.Read(b.in)
		b.add(b.in[:n])
		if err != nil {
			b.finish(err)
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

func (b *webAnswer) add(p []byte) {
	if b.text {
		b.out = base64.StdEncoding.AppendEncode(b.out[:0], p)
		return
	}
	b.out = append(b.out[:0], p...)
}

// finish adds the trailers. An answer that broke off gets some that say so: the
// body ends properly, the call does not.
func (b *webAnswer) finish(err error) {
	b.done = true
	t := &b.p.Trailer
	switch {
	case !errors.Is(err, io.EOF):
		GRPCAbort(t, b.r)
	case !t.Has(message.GrpcStatus):
		t.AppendID(message.GrpcStatus, "2")
		t.AppendID(message.GrpcMessage, "the service sent no status")
	}
	frame := appendWebTrailers(nil, t)
	t.Reset() // they are in the body
	if b.text {
		b.out = base64.StdEncoding.AppendEncode(b.out, frame)
		return
	}
	b.out = append(b.out, frame...)
}

// appendWebTrailers encodes trailers as a frame: field lines with names in lower case.
func appendWebTrailers(dst []byte, t *message.Header) []byte {
	at := len(dst)
	dst = append(dst, trailerFlag, 0, 0, 0, 0)
	for _, f := range t.Fields() {
		dst = append(dst, strings.ToLower(f.Name)...)
		dst = append(dst, ':')
		dst = append(dst, f.Value...)
		dst = append(dst, '\r', '\n')
	}
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-frameHead))
	return dst
}

// Close stops reading.
func (b *webAnswer) Close() error { return b.src.Close() }
