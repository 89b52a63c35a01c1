package filter

import (
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// GRPCAnswer gives a gRPC caller what it can read: a response that does not
// speak gRPC becomes a trailers-only one with the code that its HTTP status maps
// to (gRPC, "HTTP to gRPC Status Code Mapping"). p is released then. caller is
// the media type that the call came with.
func GRPCAnswer(r *message.Request, p *message.Response, caller string) *message.Response {
	if strings.HasPrefix(p.Header.Value(message.ContentType), "application/grpc") || p.Header.Has(message.GrpcStatus) {
		return p
	}
	status := p.Status
	p.Release()
	out := message.NewResponse(200)
	h := &out.Header
	setIfValid(h, message.ContentType.String(), caller)
	h.AppendID(message.GrpcStatus, strconv.Itoa(grpcCodeOfHTTP(status)))
	text := "the service answered with HTTP status " + strconv.Itoa(status)
	if status == 200 {
		text = "the service's answer is not gRPC"
	}
	h.AppendID(message.GrpcMessage, text)
	problemFields(h, r, &problem.Error{})
	return out
}

// GRPCMedia is the media type that a gRPC or gRPC-Web call is answered with,
// without parameters; "" for any other request.
func GRPCMedia(r *message.Request) string {
	media, ok := grpcType(r)
	if !ok {
		return ""
	}
	return media
}

func grpcCodeOfHTTP(status int) int {
	switch status {
	case 400:
		return 13 // INTERNAL
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404:
		return 12 // UNIMPLEMENTED
	case 429, 502, 503, 504:
		return 14 // UNAVAILABLE
	}
	return 2 // UNKNOWN
}

// GRPCAbort makes the trailers of a call whose answer could not be completed:
// DEADLINE_EXCEEDED when its time is up, else UNAVAILABLE.
func GRPCAbort(t *message.Header, r *message.Request) {
	code, text := "14", "the service broke its answer off"
	const slack = 20 * time.Millisecond // the service has the time from us and may end a little earlier
	if d := r.X.Deadline; !d.IsZero() && time.Until(d) < slack {
		code, text = "4", "the time for this call is used up"
	}
	t.Reset()
	t.AppendID(message.GrpcStatus, code)
	t.AppendID(message.GrpcMessage, text)
}
