package aggregate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// errValue is why a call was not made: a value does not fit the message.
var errValue = errors.New("a value does not fit the message of the call")

// frameHead is the length of what stands before a message: whether it is
// compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
const frameHead = 5

// maxNested bounds messages within messages.
const maxNested = 100

// request turns a call with a body of JSON into one with a message. The time that
// is left goes out with it as grpc-timeout, as it does with every gRPC request.
func (m *rpc) request(r *message.Request) error {
	text, err := message.ReadAll(nil, r.Body, math.MaxInt32)
	if err != nil {
		return fmt.Errorf("the body of the call: %w", err)
	}
	in := dynamicpb.NewMessage(m.in)
	if len(text) > 0 {
		o := protojson.UnmarshalOptions{Resolver: m.d.types, RecursionLimit: maxNested}
		if err := o.Unmarshal(text, in); err != nil {
			return unfit(err)
		}
	}
	frame, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, frameHead, 64), in)
	if err != nil {
		return unfit(err)
	}
	binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-frameHead))
	r.Body, r.Length = message.Bytes(frame), int64(len(frame))
	h := &r.Header
	h.DelID(message.Accept)
	h.SetID(message.ContentType, "application/grpc")
	h.SetID(message.TE, "trailers")
	return nil
}

func unfit(err error) error {
	p := problem.New(400, "part_invalid_key", "a value does not fit the call")
	p.Cause = fmt.Errorf("%w: %w", errValue, err)
	return p
}

// answer reads the messages of a response, and writes them behind dst as JSON: the
// one, or of a stream the list.
func (m *rpc) answer(dst []byte, resp *message.Response, limits *LimitsConfig) ([]byte, failure) {
	if resp.Status != 200 {
		return dst, rpcHTTPFailure(resp.Status)
	}
	if !strings.HasPrefix(resp.Header.Value(message.ContentType), "application/grpc") {
		return dst, failure{code: codeInvalid}
	}
	wire, fail := readBody(nil, resp, limits.Body)
	if fail.code != codeOK {
		return dst, fail
	}
	if fail = rpcFailure(rpcStatus(resp)); fail.code != codeOK {
		return dst, fail
	}
	return m.json(dst, wire, limits)
}

// json writes the messages of a body as JSON.
func (m *rpc) json(dst, wire []byte, limits *LimitsConfig) ([]byte, failure) {
	w := messageWriter{d: m.d, b: dst, end: len(dst) + int(min(limits.Body, math.MaxInt32))}
	n := 0
	if m.stream {
		w.b = append(w.b, '[')
	}
	for len(wire) > 0 {
		one, rest, ok := frame(wire)
		if !ok || n == 1 && !m.stream {
			return dst, failure{code: codeInvalid}
		}
		if n >= limits.List && m.stream {
			return dst, failure{code: codeLimit}
		}
		out := dynamicpb.NewMessage(m.out)
		o := proto.UnmarshalOptions{Resolver: m.d.types, RecursionLimit: maxNested, DiscardUnknown: true, AllowPartial: true}
		if o.Unmarshal(one, out) != nil {
			return dst, failure{code: codeInvalid}
		}
		if n++; n > 1 {
			w.b = append(w.b, ',')
		}
		w.message(out)
		if w.fail.code != codeOK {
			return dst, w.fail
		}
		wire = rest
	}
	if m.stream {
		return append(w.b, ']'), failure{}
	}
	if n == 0 {
		return dst, failure{code: codeInvalid}
	}
	return w.b, failure{}
}

// frame takes one message off a body. A compressed one is refused: none was asked
// for.
func frame(wire []byte) (one, rest []byte, ok bool) {
	if len(wire) < frameHead || wire[0] != 0 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(wire[1:]))
	wire = wire[frameHead:]
	if n > uint64(len(wire)) {
		return nil, nil, false
	}
	return wire[:n], wire[n:], true
}

// rpcStatus is the grpc-status of a response whose body was read, -1 without: it
// is in the trailers, or in the head when there is nothing else.
func rpcStatus(resp *message.Response) int {
	text := resp.Trailer.Value(message.GrpcStatus)
	if text == "" {
		text = resp.Header.Value(message.GrpcStatus)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// rpcFailure is what a status of gRPC means for a part (status codes of gRPC).
func rpcFailure(status int) failure {
	switch status {
	case 0:
		return failure{}
	case 3, 9: // INVALID_ARGUMENT, FAILED_PRECONDITION
		return failure{codeRefused, 400}
	case 4: // DEADLINE_EXCEEDED
		return failure{code: codeTimeout}
	case 5: // NOT_FOUND
		return failure{codeNotFound, 404}
	case 7: // PERMISSION_DENIED
		return failure{codeUnauthorized, 403}
	case 16: // UNAUTHENTICATED
		return failure{codeUnauthorized, 401}
	case 8, 14: // RESOURCE_EXHAUSTED, UNAVAILABLE
		return failure{code: codeUnavailable}
	}
	return failure{code: codeFailed}
}

// rpcHTTPFailure is what a status means that no gRPC service gave, but somebody on
// the way (HTTP to gRPC Status Code Mapping).
func rpcHTTPFailure(status int) failure {
	switch status {
	case 401, 403:
		return failure{codeUnauthorized, uint16(status)}
	case 429, 502, 503:
		return failure{code: codeUnavailable}
	case 504:
		return failure{code: codeTimeout}
	}
	return failure{code: codeFailed}
}
