package aggregate

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/maru-msa/maru/message"
)

// This file holds the kinds of sources.
//
// The flow: all kinds meet the rest of the package as a request with a body of
// JSON that goes out and a body of JSON that comes back. A static source answers
// from memory. A gRPC source turns both bodies into and from messages of its
// contract. A GraphQL source is called like any other over HTTP, with a document
// that is written at load from what the plan wants of the answer.

// sourceKind is how a source is spoken to.
type sourceKind uint8

const (
	sourceHTTP sourceKind = iota
	sourceStatic
	sourceGRPC
	sourceGraphQL
)

// source is one API that views call.
type source struct {
	name    string
	cfg     SourceConfig
	kind    sourceKind
	caller  Caller
	forward []string // vary and forward
	limit   int
	flights flights
	rpc     *descriptors // of a gRPC source
}

// send makes one call.
func (s *source) send(c *call, r *message.Request) (*message.Response, error) {
	if c.rpc != nil {
		if err := c.rpc.request(r); err != nil {
			return nil, err
		}
	}
	return s.caller(r)
}

// answer takes in what a call gave, as JSON, behind dst.
func (s *source) answer(dst []byte, c *call, resp *message.Response, limits *LimitsConfig) ([]byte, failure) {
	if c.rpc != nil {
		return c.rpc.answer(dst, resp, limits)
	}
	if fail := s.headFailure(resp); fail.code != codeOK {
		return dst, fail
	}
	return readBody(dst, resp, limits.Body)
}

// kinds lists what the entry says it is, with the service that it names.
func (c *SourceConfig) kinds() map[sourceKind]string {
	out := make(map[sourceKind]string)
	for kind, name := range map[sourceKind]string{sourceHTTP: c.HTTP, sourceGRPC: c.GRPC, sourceGraphQL: c.GraphQL} {
		if name != "" {
			out[kind] = name
		}
	}
	if c.Static != nil {
		out[sourceStatic] = ""
	}
	return out
}

// service is the name of the service behind the source of that name; "" of a
// static one.
func (c *SourceConfig) service(name string) string {
	for _, service := range c.kinds() {
		return service
	}
	return name
}

// sources makes those that the file declares.
func (b *builder) sources() {
	for _, name := range slices.Sorted(maps.Keys(b.cfg.Sources)) {
		cfg := b.cfg.Sources[name]
		at := "sources." + name
		s := &source{name: name, cfg: cfg, limit: cfg.Concurrent, forward: slices.Clone(cfg.Forward)}
		if cfg.Vary != nil {
			s.forward = append(s.forward, *cfg.Vary...)
		}
		if s.limit == 0 {
			s.limit = 32
		}
		if s.limit < 1 || s.limit > 256 {
			b.f.at(at+".concurrent", "%d is not between 1 and 256", cfg.Concurrent).WithFix("write one such as 32")
		}
		if cfg.Media != "" && cfg.Media != "any" {
			b.f.at(at+".media", "%q is not any", cfg.Media).WithFix("write any, or leave it out")
		}
		b.kind(s, at)
		b.g.sources[name] = s
	}
}

// kind settles how a source is spoken to, and finds what answers.
func (b *builder) kind(s *source, at string) {
	kinds := s.cfg.kinds()
	if len(kinds) > 1 {
		b.f.at(at, "a source is one of http, grpc, graphql and static, and this is %d of them", len(kinds)).WithFix("keep one")
		return
	}
	for kind := range kinds {
		s.kind = kind
	}
	b.fitting(s, at)
	if s.kind == sourceStatic {
		s.caller = b.static(s, at)
		return
	}
	if s.kind == sourceGRPC {
		b.contract(s, at)
	}
	service := s.cfg.service(s.name)
	if s.caller = b.g.env.Service(service); s.caller == nil {
		b.f.at(at, "there is no service %q", service).WithCode("reference").WithFix("name one of services:, by http: SERVICE")
	}
}

// fitting finds keys that mean nothing to a source of this kind.
func (b *builder) fitting(s *source, at string) {
	if s.cfg.Path != "" && s.kind != sourceGraphQL {
		b.f.at(at+".path", "only a GraphQL source has a path").WithFix("write it in the calls, or graphql: SERVICE")
	}
	if s.cfg.Path != "" && s.cfg.Path[0] != '/' {
		b.f.at(at+".path", "%q does not begin with /", s.cfg.Path).WithFix("write one such as /graphql")
	}
	switch {
	case s.cfg.Longs != "" && s.kind != sourceGRPC:
		b.f.at(at+".longs", "only a gRPC source has 64-bit integers of its own").WithFix("leave it out")
	case s.cfg.Longs != "" && s.cfg.Longs != "number" && s.cfg.Longs != "string":
		b.f.at(at+".longs", "%q is neither string nor number", s.cfg.Longs).WithFix("write number, or leave it out")
	}
	if s.kind == sourceStatic && (s.cfg.Contract != "" || s.cfg.Vary != nil || len(s.cfg.Forward) > 0) {
		b.f.at(at, "a static source calls nobody: contract, vary and forward have no meaning").WithFix("leave them out")
	}
}

// static makes the caller of a source that calls nobody.
func (b *builder) static(s *source, at string) Caller {
	text, err := json.Marshal(s.cfg.Static)
	if err != nil {
		b.f.at(at+".static", "it can't be written as JSON: %v", err).WithFix("write text, numbers, lists and mappings")
		return nil
	}
	return func(*message.Request) (*message.Response, error) {
		resp := message.NewResponse(200)
		resp.Header.AppendID(message.ContentType, "application/json")
		resp.SetBytes(text)
		return resp, nil
	}
}

// source gives the source of a call: declared, or a service under its own name.
// It is nil, with a finding, when there is neither.
func (b *builder) source(name, where string) *source {
	if s := b.g.sources[name]; s != nil {
		return s
	}
	if name == "" {
		b.f.at(where, "%q is not a call", name).WithFix("%s", sourceHTTP.form())
		return nil
	}
	call := b.g.env.Service(name)
	if call == nil {
		b.f.at(where, "there is neither a source nor a service %q", name).WithCode("reference").
			WithFix("name one of services: or sources:")
		return nil
	}
	s := &source{name: name, caller: call, limit: 32}
	b.g.sources[name] = s
	return s
}

// form is how a call to a source of the kind is written.
func (k sourceKind) form() string {
	switch k {
	case sourceStatic:
		return "write SOURCE GET /, with at PATH for a part of it"
	case sourceGRPC:
		return "write SOURCE PACKAGE.SERVICE/METHOD, such as: location location.v1.Areas/Batch"
	case sourceGraphQL:
		return "write SOURCE FIELD(argument: {name}), or SOURCE _entities TYPE(key)"
	case sourceHTTP:
	}
	return "write SOURCE METHOD /path, such as: member GET /members/{id}"
}
