package http1

import (
	"strconv"

	"github.com/maru-msa/maru/message"
)

// writtenNames are written by the engine itself and skipped in a header.
var writtenNames = setOf(message.ContentLength, message.TransferEncoding, message.Host, message.Connection, //nolint:gochecknoglobals // read-only table
	message.ProxyConnection, message.KeepAlive, message.Upgrade, message.HTTP2Settings)

func appendField(dst []byte, f *message.Field) []byte {
	dst = append(dst, f.Name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, f.Value...)
	return append(dst, '\r', '\n')
}

// appendFields appends the header section byte for byte, in order, without the
// names in skip.
func appendFields(dst []byte, h *message.Header, skip idSet) []byte {
	fields := h.Fields()
	if !skip.anyIn(h) {
		for i := range fields {
			dst = appendField(dst, &fields[i])
		}
		return dst
	}
	for i := range fields {
		if !skip.has(fields[i].ID) {
			dst = appendField(dst, &fields[i])
		}
	}
	return dst
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// chunkedRequest tells whether r's body is written chunked: its length is not
// known, or trailers are announced, which a body with a length can't have.
func chunkedRequest(r *message.Request) bool {
	return r.Length == message.Unknown || r.Length != 0 && r.Header.Has(message.Trailer)
}

// appendRequestHead appends the head of r as a service gets it: HTTP/1.1,
// origin-form, one Host, framing of our own (RFC 9112 §3.2.1, §6).
func appendRequestHead(dst []byte, r *message.Request, host string) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = appendTarget(dst, r)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, '\r', '\n')
	skip := writtenNames
	chunked := chunkedRequest(r)
	if !chunked {
		skip.add(message.Trailer)
	}
	dst = appendFields(dst, &r.Header, skip)
	switch {
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || expectsContent(r.Method):
		dst = appendLength(dst, r.Length)
	}
	te := r.Header.Has(message.TE)
	switch {
	case r.Upgrade != "":
		dst = append(dst, "Connection: upgrade"...)
		if te {
			dst = append(dst, ", TE"...)
		}
		dst = append(dst, "\r\nUpgrade: "...)
		dst = append(dst, r.Upgrade...)
		dst = append(dst, '\r', '\n')
	case te: // RFC 9110 §10.1.4: TE is of one hop and must be nominated
		dst = append(dst, "Connection: TE\r\n"...)
	}
	return append(dst, '\r', '\n')
}

// expectsContent tells the methods whose requests say "Content-Length: 0" when
// they have no body (RFC 9110 §8.6).
func expectsContent(method string) bool {
	switch method {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}

// appendTarget appends the origin-form target. Path and query come from a parser or
// from filters; octets that would break the request line are percent-encoded,
// so that no filter can split a request.
func appendTarget(dst []byte, r *message.Request) []byte {
	from := len(dst)
	dst = r.AppendTarget(dst)
	for i := from; i < len(dst); i++ {
		if targetClass[dst[i]] == targetBad {
			return encodeTarget(dst[:i], string(dst[i:]))
		}
	}
	if len(dst) == from {
		dst = append(dst, '/')
	}
	return dst
}

func encodeTarget(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; targetClass[c] == targetBad {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// responseOptions are what a response head depends on besides the response.
type responseOptions struct {
	proto       message.Proto // what the client spoke
	head        bool          // it answers HEAD
	close       bool          // the connection closes after it
	keepAlive10 bool          // a 1.0 connection stays open
	chunked     bool          // the body is chunked
	date        string        // for a response without Date
}

// appendResponseHead appends the head of p as the client gets it. The version is
// always ours, 1.1 (RFC 9110 §6.2).
func appendResponseHead(dst []byte, p *message.Response, o responseOptions) []byte {
	dst = appendStatusLine(dst, p)
	bodyless := o.head || message.NoContent(p.Status) || p.Status == 205
	chunked := o.chunked && !bodyless
	skip := writtenNames
	if p.Status == 101 || p.Status == 426 { // RFC 9110 §15.2.2, §15.5.22
		skip.remove(message.Upgrade)
	}
	if !chunked {
		skip.add(message.Trailer)
	}
	dst = appendFields(dst, &p.Header, skip)
	switch {
	case p.Status < 200 || p.Status == 204: // RFC 9110 §8.6
	case p.Status == 205:
		dst = appendLength(dst, 0) // RFC 9110 §15.3.6
	case chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case p.Length > 0 || p.Length == 0 && p.Status != 304:
		dst = appendLength(dst, p.Length)
	}
	if p.Status >= 200 && o.date != "" && !p.Header.Has(message.Date) { // RFC 9110 §6.6.1
		dst = append(dst, "Date: "...)
		dst = append(dst, o.date...)
		dst = append(dst, '\r', '\n')
	}
	return appendConnection(dst, p, o)
}

func appendStatusLine(dst []byte, p *message.Response) []byte {
	if p.Status == 200 && (p.Reason == "" || p.Reason == "OK") {
		return append(dst, "HTTP/1.1 200 OK\r\n"...)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, ' ') // it must stand even without a phrase (RFC 9112 §4)
	from := len(dst)
	dst = append(dst, p.Reason...)
	if p.Reason == "" || valueEnd(dst, from) != len(dst) {
		dst = append(dst[:from], message.StatusText(p.Status)...)
	}
	return append(dst, '\r', '\n')
}

// appendConnection appends Connection and the end of the head.
func appendConnection(dst []byte, p *message.Response, o responseOptions) []byte {
	upgrade := p.Status == 101 || p.Status == 426 && p.Header.Has(message.Upgrade)
	switch {
	case p.Status < 200 && !upgrade:
		return append(dst, '\r', '\n')
	case upgrade && o.close:
		return append(dst, "Connection: upgrade, close\r\n\r\n"...)
	case upgrade:
		return append(dst, "Connection: Upgrade\r\n\r\n"...)
	case o.close:
		return append(dst, "Connection: close\r\n\r\n"...)
	case o.keepAlive10 && o.proto == message.HTTP10:
		return append(dst, "Connection: keep-alive\r\n\r\n"...)
	}
	return append(dst, '\r', '\n')
}
