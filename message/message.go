// Package message is maru's HTTP message model: requests, responses, header
// fields and bodies, without net/http.
//
// The flow: an engine (http1, or the HTTP/2 and HTTP/3 adapters of edge) fills
// a [Request], hands it down through filters to a service, and gets a
// [Response] value back through the same filters. The engine writes the
// response, then releases both.
//
// Ownership: a message and every string and byte it shows belong to the
// exchange. They are views into pooled buffers and die with
// [Request.Release] or [Response.Release]. Whoever keeps something longer
// copies it (strings.Clone). A build with the tag "poison" overwrites released
// memory, so that a test finds who did not.
//
// Strings built during an exchange come from [Exchange.String] and friends:
// an arena that is reset with the exchange, so that adding a header field on
// the request path does not allocate.
//
// Nothing in this package repairs: a setter that would let CR, LF, NUL or a
// bad name through returns an error and changes nothing (RFC 9110 §5.5).
package message

import (
	"strconv"
	"sync"
)

// Proto is the protocol version that a message came with.
type Proto uint8

// The protocol versions, in ascending order.
const (
	HTTP10 Proto = iota + 1
	HTTP11
	HTTP2
	HTTP3
)

// String gives the version as an access log writes it: "HTTP/1.1".
func (p Proto) String() string {
	switch p {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP11:
		return "HTTP/1.1"
	case HTTP2:
		return "HTTP/2"
	case HTTP3:
		return "HTTP/3"
	}
	return "HTTP/?"
}

// Unknown is the Length of a body whose size is not announced (chunked,
// close-delimited, or HTTP/2 without content-length).
const Unknown = int64(-1)

// Request is one request. An engine fills it; filters may change every field.
type Request struct {
	// Method as it came, case-sensitive (RFC 9110 §9.1).
	Method string
	// Path is the path that is matched, decided on and forwarded. The engine
	// sets it to the path as it came; edge replaces it by the canonical form.
	Path string
	// RawPath is the path as the client sent it.
	RawPath string
	// Query is the query without its '?', byte for byte; HasQuery tells an
	// empty query from none.
	Query    string
	HasQuery bool
	// Scheme is "http" or "https", by the client's transport, or by a trusted
	// peer's X-Forwarded-Proto.
	Scheme string
	// Authority is the Host as the client wrote it, with its port.
	Authority string
	// Host is Authority in lower case without port and trailing dot: what
	// routes match. Empty for HTTP/1.0 without Host.
	Host string
	// Proto is the version the client spoke.
	Proto Proto
	// Header holds all fields but Host, in the order and case they came.
	// Framing fields (Content-Length, Transfer-Encoding) are not in it: Length
	// says it all, and each engine writes its own framing.
	Header Header
	// Body is never nil; NoBody when there is none. Only one reader at a time.
	Body Body
	// Length is the size of Body in bytes, or Unknown.
	Length int64
	// Trailer holds trailer fields, complete once Body has returned io.EOF.
	Trailer Header
	// Upgrade is the protocol of a valid upgrade (RFC 9110 §7.8), as the client
	// wrote it, else "".
	Upgrade string
	// Expect is true when the client waits for 100 (RFC 9110 §10.1.1).
	Expect bool
	// X is the state of this exchange, shared by all layers.
	X Exchange
}

// HasBody tells whether a body may follow the head.
func (r *Request) HasBody() bool { return r.Length != 0 }

// Idempotent tells whether sending the request twice means the same as once
// (RFC 9110 §9.2.2), or the caller said so with Idempotency-Key.
func (r *Request) Idempotent() bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return r.Header.Has(IdempotencyKey)
}

// Safe tells whether the method is read-only (RFC 9110 §9.2.1).
func (r *Request) Safe() bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// AppendTarget appends the origin-form request target: path, then '?' and query.
func (r *Request) AppendTarget(dst []byte) []byte {
	dst = append(dst, r.Path...)
	if r.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, r.Query...)
	}
	return dst
}

// Reset clears the request for its next exchange and keeps its memory.
func (r *Request) Reset() {
	r.Method, r.Path, r.RawPath, r.Query, r.HasQuery = "", "", "", "", false
	r.Scheme, r.Authority, r.Host, r.Proto = "", "", "", 0
	r.Header.Reset()
	r.Trailer.Reset()
	r.Body, r.Length = NoBody, 0
	r.Upgrade, r.Expect = "", false
	r.X.reset()
}

// Release gives a request from [NewRequest] back. Nobody may use it after.
func (r *Request) Release() {
	r.Reset()
	requests.Put(r)
}

// NewRequest takes an empty request from the pool. Its Body is NoBody.
func NewRequest() *Request {
	r, _ := requests.Get().(*Request)
	return r
}

var requests = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool is shared by its nature
	r := new(Request)
	r.Reset()
	return r
}}

// Owner takes back what a response was made of: an upstream connection, a
// cache entry. Release is called exactly once; complete tells whether the body
// was read to its end.
type Owner interface {
	ReleaseResponse(r *Response, complete bool)
}

// Response is one final response, or an interim one (1xx) on its way to the client.
type Response struct {
	// Status is 100 to 599; 101 only with a Body that is a [Duplex].
	Status int
	// Reason is the reason phrase of HTTP/1; empty means the standard one.
	Reason string
	// Proto is the version the service spoke; zero for a local response.
	Proto Proto
	// Header holds all fields in order, without framing fields.
	Header Header
	// Body is never nil; NoBody when there is none.
	Body Body
	// Length is the size of Body in bytes, or Unknown. For an answer to HEAD and
	// for 304 it is what Content-Length would say, and Body is NoBody; Unknown
	// there means no Content-Length at all.
	Length int64
	// Trailer is complete once Body has returned io.EOF.
	Trailer Header
	// Stream asks the engine to pass on each read at once (SSE, gRPC-Web).
	Stream bool
	// Local is true when maru made this response itself.
	Local bool
	// Close makes an HTTP/1 engine close the client connection after it.
	Close bool
	// Owner takes the parts back on Release; nil for a local response.
	Owner Owner

	bytes bytesBody
	eof   bool
}

// NewResponse takes an empty local response from the pool: no body, no header fields.
func NewResponse(status int) *Response {
	r, _ := responses.Get().(*Response)
	r.Status = status
	r.Local = true
	return r
}

var responses = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool is shared by its nature
	r := new(Response)
	r.Reset()
	return r
}}

// Reset clears the response and keeps its memory.
func (r *Response) Reset() {
	r.Status, r.Reason, r.Proto = 0, "", 0
	r.Header.Reset()
	r.Trailer.Reset()
	r.Body, r.Length = NoBody, 0
	r.Stream, r.Local, r.Close = false, false, false
	r.Owner = nil
	r.bytes.reset()
	r.eof = false
}

// SetBytes makes b the whole body. b must stay unchanged until Release.
func (r *Response) SetBytes(b []byte) {
	if len(b) == 0 {
		r.Body, r.Length = NoBody, 0
		return
	}
	r.bytes.data = b
	r.Body = &r.bytes
	r.Length = int64(len(b))
}

// MarkComplete records that the body was delivered to its end; an engine calls
// it before Release. A response released without it was cut short, and its
// upstream connection is not used again.
func (r *Response) MarkComplete() { r.eof = true }

// Release ends the response: closes the body and gives everything back to its
// owner. It must be called exactly once by whoever holds the response last.
func (r *Response) Release() {
	_ = r.Body.Close()
	if o := r.Owner; o != nil {
		r.Owner = nil
		o.ReleaseResponse(r, r.eof)
		return
	}
	r.Reset()
	responses.Put(r)
}

// NoContent tells whether the status forbids a body (RFC 9110 §6.4.1).
func NoContent(status int) bool {
	return status < 200 || status == 204 || status == 304
}

// StatusText gives the standard reason phrase, or "".
func StatusText(status int) string { return statusText(status) }

// AppendInt appends the decimal digits of n.
func AppendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
