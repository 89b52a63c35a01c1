package filter

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Media types of what Render gives.
const (
	typeProblem = "application/problem+json"
	typeHTML    = "text/html; charset=utf-8"
)

// Render makes the answer to a request that ended in err: a problem document
// (RFC 9457), a small HTML page where Accept prefers one, or for gRPC callers a
// trailers-only response. It says status, reason and detail, never the cause.
// The response is local and the caller releases it.
func Render(r *message.Request, err error) *message.Response {
	p := problem.Of(err)
	resp := message.NewResponse(p.Status)
	resp.Close = p.Close
	if media, ok := grpcType(r); ok {
		renderGRPC(resp, r, p, media)
		return resp
	}
	h := &resp.Header
	var body []byte
	if prefersHTML(&r.Header) {
		h.AppendID(message.ContentType, typeHTML)
		body = appendPage(make([]byte, 0, 1024), r, p)
	} else {
		h.AppendID(message.ContentType, typeProblem)
		var trace [32]byte
		body = p.AppendJSON(make([]byte, 0, 512), titleOf(p), r.Path, string(appendTraceID(trace[:0], r)))
	}
	// Heuristic freshness (RFC 9111 §4.2.2) would let a cache keep the 404 of a route that is about to come.
	h.AppendID(message.CacheControl, "no-store")
	h.AppendID(message.Vary, "Accept")
	finish(resp, r, p, body)
	return resp
}

// finish sets the fields that every answer to a problem has, and its body.
func finish(resp *message.Response, r *message.Request, p *problem.Error, body []byte) {
	h := &resp.Header
	if p.RetryAfter > 0 { // RFC 9110 §10.2.3: whole seconds, never too early
		h.SetID(message.RetryAfter, strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if p.Allow != "" || p.Status == 405 { // RFC 9110 §15.5.6: a 405 must have it
		setIfValid(h, message.Allow.String(), p.Allow)
	}
	if p.Authenticate != "" {
		setIfValid(h, message.WWWAuthenticate.String(), p.Authenticate)
	}
	problemFields(h, r, p)
	resp.SetBytes(body)
	if r.Method == "HEAD" { // RFC 9110 §9.3.2: the fields of a GET, no content
		resp.Body = message.NoBody
	}
}

func problemFields(h *message.Header, r *message.Request, p *problem.Error) {
	for _, f := range p.Fields {
		switch message.NameID(f.Name) {
		case message.Vary:
			varyBy(h, f.Value)
		case message.ContentType: // says what the body is
		case message.CacheControl:
			setIfValid(h, f.Name, f.Value)
		default:
			_ = h.Add(f.Name, f.Value) // a field that could not be sent is left out
		}
	}
	if id := r.X.RequestID; id != "" {
		setIfValid(h, message.XRequestID.String(), id)
	}
}

func setIfValid(h *message.Header, name, value string) {
	_ = h.Set(name, value) // the setter refuses CR, LF and NUL and changes nothing then
}

func titleOf(p *problem.Error) string {
	switch {
	case p.Title != "":
		return p.Title
	case message.StatusText(p.Status) != "":
		return message.StatusText(p.Status)
	case p.Status == 499:
		return "Client Closed Request"
	}
	return "Error"
}

func appendTraceID(dst []byte, r *message.Request) []byte {
	if r.X.Trace.ID == ([16]byte{}) {
		return dst
	}
	return hex.AppendEncode(dst, r.X.Trace.ID[:])
}

// appendPage writes the built-in HTML page: no script, nothing fetched.
func appendPage(dst []byte, r *message.Request, p *problem.Error) []byte {
	title := titleOf(p)
	dst = append(dst, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>"...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, ' ')
	dst = appendHTML(dst, title)
	dst = append(dst, "</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36rem;padding:0 1rem}small{color:#666}</style></head>\n<body><h1>"...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, ' ')
	dst = appendHTML(dst, title)
	dst = append(dst, "</h1>\n<p>"...)
	dst = appendHTML(dst, p.Detail)
	dst = append(dst, "</p>\n<p><small>"...)
	dst = appendHTML(dst, p.Reason)
	if r.X.Trace.ID != ([16]byte{}) {
		dst = append(dst, " &middot; "...)
		dst = appendTraceID(dst, r)
	}
	return append(dst, "</small></p></body></html>\n"...)
}

// grpcType tells whether r is a gRPC call and gives the media type to answer
// with: application/grpc, application/grpc+proto, application/grpc-web+proto.
func grpcType(r *message.Request) (string, bool) {
	ct := r.Header.Value(message.ContentType)
	const base = "application/grpc"
	if len(ct) < len(base) || !strings.EqualFold(ct[:len(base)], base) {
		return "", false
	}
	media, _, _ := strings.Cut(ct, ";")
	media = strings.TrimRight(media, " \t")
	rest := media[len(base):]
	return media, rest == "" || rest[0] == '+' || strings.HasPrefix(rest, "-web")
}

// renderGRPC writes a trailers-only response: HTTP 200, everything in the one
// header block (gRPC over HTTP/2, "Responses").
func renderGRPC(resp *message.Response, r *message.Request, p *problem.Error, media string) {
	resp.Status = 200
	h := &resp.Header
	setIfValid(h, message.ContentType.String(), media)
	h.AppendID(message.GrpcStatus, strconv.Itoa(grpcCode(p)))
	text := p.Detail
	if text == "" {
		text = titleOf(p)
	}
	h.AppendID(message.GrpcMessage, message.View(appendGRPCMessage(nil, text)))
	problemFields(h, r, p)
}

// grpcCode maps our problem onto a gRPC status code.
func grpcCode(p *problem.Error) int {
	switch p.Status {
	case 400, 414, 422:
		return 3 // INVALID_ARGUMENT: the call is malformed
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404, 405, 501:
		return 12 // UNIMPLEMENTED: no route
	case 413, 429, 431:
		return 8 // RESOURCE_EXHAUSTED
	case 499:
		return 1 // CANCELLED
	case 502, 503:
		return 14 // UNAVAILABLE
	case 504:
		return 4 // DEADLINE_EXCEEDED
	case 500:
		return 13 // INTERNAL
	default:
		return 2 // UNKNOWN
	}
}

// appendGRPCMessage percent-encodes every octet outside 0x20–0x7E, and '%'.
func appendGRPCMessage(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c <= 0x7E && c != '%' {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

// prefersHTML tells whether Accept gives text/html more weight than JSON
// (RFC 9110 §12.5.1). The more specific range decides; a tie, and no Accept,
// mean JSON.
func prefersHTML(h *message.Header) bool {
	if !h.Has(message.Accept) {
		return false
	}
	var html, js preference
	members := 0
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if f.ID != message.Accept {
			continue
		}
		for rest := f.Value; rest != "" && members < 64; members++ {
			var m string
			m, rest = message.NextMember(rest)
			media, params, _ := strings.Cut(m, ";")
			media = strings.TrimRight(media, " \t")
			q, ok := rangeWeight(params)
			if !ok {
				continue
			}
			switch {
			case media == "*/*":
				html.see(1, q)
				js.see(1, q)
			case strings.EqualFold(media, "text/*"):
				html.see(2, q)
			case strings.EqualFold(media, "application/*"):
				js.see(2, q)
			case strings.EqualFold(media, "text/html"):
				html.see(3, q)
			case strings.EqualFold(media, "application/problem+json"), strings.EqualFold(media, "application/json"):
				js.see(3, q)
			}
		}
	}
	return html.q > js.q
}

// preference is the weight of the most specific range seen.
type preference struct{ specific, q int }

func (p *preference) see(specific, q int) {
	if specific > p.specific || specific == p.specific && q > p.q {
		p.specific, p.q = specific, q
	}
}

// rangeWeight reads q out of parameters, in thousandths (RFC 9110 §12.4.2); 1000 without one.
func rangeWeight(params string) (int, bool) {
	for params != "" {
		var one string
		one, params, _ = strings.Cut(params, ";")
		one = strings.Trim(one, " \t")
		if len(one) < 2 || one[0]|0x20 != 'q' || one[1] != '=' {
			continue
		}
		return weight(one[2:])
	}
	return 1000, true
}

func weight(v string) (int, bool) {
	if v == "" || v[0] != '0' && v[0] != '1' || len(v) > 5 || len(v) > 1 && v[1] != '.' {
		return 0, false
	}
	q, unit := int(v[0]-'0')*1000, 100
	for i := 2; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		q += int(v[i]-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}
