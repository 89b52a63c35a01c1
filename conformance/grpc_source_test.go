package conformance

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/upstream"
)

const areasProto = `syntax = "proto3";
package location.v1;
service Areas {
  rpc Batch(BatchRequest) returns (BatchReply);
  rpc Get(GetRequest) returns (Area);
  rpc Near(GetRequest) returns (stream Area);
}
message BatchRequest { repeated string codes = 1; }
message BatchReply { map<string, Area> areas = 1; }
message GetRequest { string code = 1; }
message Area { string code = 1; string label = 2; int64 people = 3; }
`

// TestGRPCSource composes views of a gRPC service by Google's implementation: one
// message, many keys in one call, a stream, statuses, a deadline, compression.
func TestGRPCSource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "areas.proto")
	if err := os.WriteFile(file, []byte(areasProto), 0o600); err != nil {
		t.Fatal(err)
	}
	server := &areas{t: t, cut: make(chan bool, 1)}
	addr := server.start(file)
	cfg := edgetest.Config(t, "http://"+addr, edge.ListenerConfig{})
	cfg.Services["geo"] = edge.ServiceConfig{Config: upstream.Config{URL: "http://" + addr, HTTP: upstream.HTTP2C}}
	cfg.Compose = areasConfig(file)
	cfg.Views = map[string]edge.ViewConfig{
		"GET /areas":       {ViewConfig: aggregate.ViewConfig{Select: aggregate.SelectConfig{"": `areas(codes: ["seoul", "busan"]) { code name people }`}}},
		"GET /area/{code}": {ViewConfig: aggregate.ViewConfig{Budget: 500 * time.Millisecond, Select: aggregate.SelectConfig{"": "...get(code: code) { name people }"}}},
		"GET /near/{code}": {ViewConfig: aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "near(code: code) { name }"}}},
	}
	h := edgetest.Start(t, cfg)
	for path, want := range map[string]string{
		"/areas":             `200 {"areas":[{"code":"seoul","name":"at seoul","people":"9007199254740993"},{"code":"busan","name":"at busan","people":"9007199254740993"}]}`,
		"/area/seoul":        `200 {"name":"at seoul","people":"9007199254740993"}`,
		"/near/seoul":        `200 {"near":[{"name":"at seoul 0"},{"name":"at seoul 1"},{"name":"at seoul 2"}]}`,
		"/near/nowhere":      `404 `,
		"/area/nowhere":      `404 `,
		"/area/forbidden":    `403 `,
		"/area/unavailable":  `503 `,
		"/area/slow":         `504 `,
		"/area/compressed":   `502 `, // only identity was accepted
		"/area/%EA%B9%80%2B": `200 {"name":"at 김+","people":"9007199254740993"}`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.Addr("public")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := resp.Status[:4] + string(body); err != nil || !strings.HasPrefix(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: got %s, %v\nwant %s", path, got, err, want)
		}
	}
	if !<-server.cut {
		t.Error("the slow call had no deadline of its own")
	}
}

func areasConfig(file string) aggregate.Config {
	code := map[string]any{"code": "{code}"}
	return aggregate.Config{
		Sources: map[string]aggregate.SourceConfig{"location": {GRPC: "geo", Contract: file}},
		Graph: aggregate.GraphConfig{
			Query: map[string]aggregate.RootConfig{
				"get":  {Type: "Area", Args: map[string]string{"code": "String!"}, Call: aggregate.CallConfig{Call: "location location.v1.Areas/Get", Body: code}},
				"near": {Type: "[Area]", Args: map[string]string{"code": "String!"}, Call: aggregate.CallConfig{Call: "location location.v1.Areas/Near", Body: code}},
			},
			Types: map[string]aggregate.TypeConfig{"Area": {
				Key: aggregate.KeyConfig{Fields: []string{"code"}},
				Many: &aggregate.CallConfig{
					Call: "location location.v1.Areas/Batch at areas", Body: map[string]any{"codes": "{keys}"}, Pair: aggregate.PairConfig{How: "map"},
				},
				Fields: map[string]string{"code": "_", "name": "label", "people": "_"},
			}},
		},
	}
}

// areas is the service, with messages made from its contract.
type areas struct {
	t   *testing.T
	fd  protoreflect.FileDescriptor
	cut chan bool // tells whether a call had a deadline when it ended
}

// start serves until the test ends, and gives the address.
func (s *areas) start(file string) string {
	s.t.Helper()
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{filepath.Dir(file)}}}
	files, err := c.Compile(s.t.Context(), filepath.Base(file))
	if err != nil {
		s.t.Fatal(err)
	}
	s.fd = files[0]
	var lc net.ListenConfig
	l, err := lc.Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	g := grpc.NewServer(grpc.UnknownServiceHandler(s.serve))
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(l) }()
	s.t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

func (s *areas) serve(_ any, stream grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(stream)
	md := s.fd.Services().ByName("Areas").Methods().ByName(protoreflect.Name(name[strings.LastIndex(name, "/")+1:]))
	in := dynamicpb.NewMessage(md.Input())
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	if md.Name() == "Batch" {
		var parts []string
		codes := in.Get(md.Input().Fields().ByName("codes")).List()
		for i := range codes.Len() {
			parts = append(parts, `"`+codes.Get(i).String()+`":`+area(codes.Get(i).String(), ""))
		}
		return s.send(stream, md, `{"areas":{`+strings.Join(parts, ",")+`}}`)
	}
	code := in.Get(md.Input().Fields().ByName("code")).String()
	if err := s.trouble(stream, code); err != nil {
		return err
	}
	if md.IsStreamingServer() {
		for _, n := range []string{" 0", " 1", " 2"} {
			if err := s.send(stream, md, area(code, n)); err != nil {
				return err
			}
		}
		return nil
	}
	return s.send(stream, md, area(code, ""))
}

// trouble is what some codes lead to.
func (s *areas) trouble(stream grpc.ServerStream, code string) error {
	switch code {
	case "nowhere":
		return status.Error(codes.NotFound, "secret")
	case "forbidden":
		return status.Error(codes.PermissionDenied, "secret")
	case "unavailable":
		return status.Error(codes.Unavailable, "secret")
	case "slow":
		_, has := stream.Context().Deadline()
		<-stream.Context().Done()
		s.cut <- has
		return stream.Context().Err()
	case "compressed":
		return grpc.SetSendCompressor(stream.Context(), gzip.Name)
	}
	return nil
}

func area(code, more string) string {
	return `{"code":"` + code + `","label":"at ` + code + more + `","people":"9007199254740993"}`
}

func (s *areas) send(stream grpc.ServerStream, md protoreflect.MethodDescriptor, text string) error {
	out := dynamicpb.NewMessage(md.Output())
	if err := protojson.Unmarshal([]byte(text), out); err != nil {
		s.t.Error(err)
		return err
	}
	return stream.SendMsg(out)
}
