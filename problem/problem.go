// Package problem is the one error type that crosses maru's role borders. An
// [Error] says what the client may know (status, reason word, detail) and keeps
// the cause for the operator's log. It is written as RFC 9457 problem details.
//
// Reason is a stable lower-case word with underscores, such as "no_endpoint": it
// is the metric label, the log field and the end of the problem's type URN.
package problem

import (
	"errors"
	"slices"
	"strconv"
	"time"
)

// Error is a problem. Zero values of the optional fields are left out.
type Error struct {
	Status int    // HTTP status, 400 to 599; 499 is for the log only
	Reason string // one word, stable
	Title  string // short, the same for every problem of this reason; default from the status
	Detail string // what happened here; holds no address, version or stack
	// Allow lists methods for a 405; RetryAfter becomes Retry-After, rounded up
	// to seconds.
	Allow      string
	RetryAfter time.Duration
	// Authenticate becomes WWW-Authenticate of a 401.
	Authenticate string
	// Fields are further header fields of the answer (CORS, rate limits). A
	// problem may be shared: a filter that adds some does it with [With].
	Fields []Field
	// Members are extension members of the document (RFC 9457 §3.2).
	Members []Member
	// Close asks an HTTP/1 engine to close the connection after the answer.
	Close bool
	// Cause is for the log, never for the client.
	Cause error
}

// Field is one header field of the answer to a problem.
type Field struct{ Name, Value string }

// Member is an extension member: its name, a plain word, and its value as JSON.
type Member struct{ Name, JSON string }

// With gives a copy of the problem in err's chain with more header fields; err
// itself stays as it is.
func With(err error, fields ...Field) *Error {
	p := Of(err)
	q := *p
	q.Fields = append(slices.Clip(p.Fields), fields...)
	return &q
}

// New makes a problem without a cause.
func New(status int, reason, detail string) *Error {
	return &Error{Status: status, Reason: reason, Detail: detail}
}

// Wrap makes a problem with a cause for the log.
func Wrap(cause error, status int, reason, detail string) *Error {
	return &Error{Status: status, Reason: reason, Detail: detail, Cause: cause}
}

// Of finds the problem in err's chain. Any other error becomes a 500
// "internal" with err as its cause, so that nothing inner reaches a client.
func Of(err error) *Error {
	if p, ok := errors.AsType[*Error](err); ok {
		return p
	}
	return &Error{Status: 500, Reason: "internal", Detail: "something went wrong inside the gateway", Cause: err}
}

// Error gives reason, detail and cause, for logs.
func (e *Error) Error() string {
	s := e.Reason
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// AppendJSON appends the problem document (RFC 9457 §3). instance is the path
// of the request and may be empty; traceID is 32 hex digits or empty.
func (e *Error) AppendJSON(dst []byte, title, instance, traceID string) []byte {
	if e.Title != "" {
		title = e.Title
	}
	dst = append(dst, `{"type":"urn:maru:problem:`...)
	for i := range len(e.Reason) {
		c := e.Reason[i]
		if c == '_' {
			c = '-'
		}
		dst = append(dst, c)
	}
	dst = append(dst, `","title":`...)
	dst = AppendString(dst, title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = appendMember(dst, "detail", e.Detail)
	dst = appendMember(dst, "instance", instance)
	dst = appendMember(dst, "reason", e.Reason)
	dst = appendMember(dst, "trace_id", traceID)
	for _, m := range e.Members {
		dst = append(append(append(dst, `,"`...), m.Name...), `":`...)
		dst = append(dst, m.JSON...)
	}
	return append(dst, '}', '\n')
}

func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return AppendString(dst, value)
}

// AppendString appends s as a JSON string. Octets outside printable ASCII are
// escaped, so that foreign bytes can't break the document.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r >= 0x20 && r < 0x7F:
			dst = append(dst, byte(r))
		case r < 0x10000:
			dst = append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		default:
			r -= 0x10000
			hi, lo := 0xD800+r>>10, 0xDC00+r&0x3FF
			dst = append(dst, '\\', 'u', hex[hi>>12&15], hex[hi>>8&15], hex[hi>>4&15], hex[hi&15])
			dst = append(dst, '\\', 'u', hex[lo>>12&15], hex[lo>>8&15], hex[lo>>4&15], hex[lo&15])
		}
	}
	return append(dst, '"')
}
