package aggregate_test

import (
	"encoding/binary"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/message"
)

// locationProto is a contract with all that a mapping to JSON has to know.
const locationProto = `syntax = "proto3";
package location.v1;
import "location/v1/kinds.proto";
import "google/protobuf/timestamp.proto";
service Areas {
  rpc Batch(BatchRequest) returns (BatchReply) { option idempotency_level = NO_SIDE_EFFECTS; }
  rpc Get(GetRequest) returns (Area);
  rpc Watch(GetRequest) returns (stream Area);
  rpc Upload(stream GetRequest) returns (Area);
}
message BatchRequest { repeated string codes = 1; Filter filter = 2; }
message Filter { int32 limit = 1; }
message GetRequest { string code = 1; }
message BatchReply { map<string, Area> areas = 1; }
message Area {
  string code = 1;
  string label = 2;
  int64 people = 3;
  Kind kind = 4;
  repeated double box = 5;
  optional int32 rank = 6;
  google.protobuf.Timestamp since = 7;
  bytes seal = 8;
  Area parent = 9;
}
`

const kindsProto = `syntax = "proto3";
package location.v1;
enum Kind { UNKNOWN = 0; CITY = 1; }
`

func contracts(name string) ([]byte, error) {
	switch name {
	case "specs/location/v1/location.proto":
		return []byte(locationProto), nil
	case "specs/location/v1/kinds.proto":
		return []byte(kindsProto), nil
	case "specs/broken.proto":
		return []byte("syntax = \"proto3\";\nmessage {}\n"), nil
	case "specs/rubbish.pb":
		return []byte("\xff\xff\xff"), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// area writes a message Area.
func area(code, label string, people int64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendString(b, code)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, label)
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(people))
	b = protowire.AppendTag(b, 4, protowire.VarintType)
	b = protowire.AppendVarint(b, 1)
	b = protowire.AppendTag(b, 5, protowire.Fixed64Type) // not packed: both ways are legal
	return protowire.AppendFixed64(b, 0x3ff8000000000000)
}

// batch writes a message BatchReply.
func batch(areas ...[]byte) []byte {
	var b []byte
	for _, a := range areas {
		_, _, n := protowire.ConsumeTag(a)
		code, _ := protowire.ConsumeString(a[n:])
		entry := protowire.AppendTag(nil, 1, protowire.BytesType)
		entry = protowire.AppendString(entry, code)
		entry = protowire.AppendTag(entry, 2, protowire.BytesType)
		entry = protowire.AppendBytes(entry, a)
		b = protowire.AppendTag(b, 1, protowire.BytesType)
		b = protowire.AppendBytes(b, entry)
	}
	return b
}

func framed(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = append(b, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return b
}

// rpcAnswer is a response of a gRPC service.
func rpcAnswer(status int, body []byte) *message.Response {
	resp := message.NewResponse(200)
	resp.Header.AppendID(message.ContentType, "application/grpc+proto")
	resp.Trailer.AppendID(message.GrpcStatus, strconv.Itoa(status))
	resp.SetBytes(body)
	return resp
}

// rpcEnv is an environment with one gRPC service, that answers as it is told.
type rpcEnv struct {
	t      *testing.T
	answer func() *message.Response
	asked  []string
	heads  []string
}

func (e *rpcEnv) env() aggregate.Env {
	return aggregate.Env{ReadFile: contracts, Service: func(string) aggregate.Caller {
		return func(r *message.Request) (*message.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				e.t.Error(err)
			}
			e.asked = append(e.asked, r.Method+" "+r.Path+" "+strconv.Quote(string(body)))
			e.heads = append(e.heads, r.Header.Get("Content-Type")+" "+r.Header.Get("TE")+" "+r.Header.Get("Accept"))
			return e.answer(), nil
		}
	}}
}

func locations() aggregate.Config {
	return aggregate.Config{
		Sources: map[string]aggregate.SourceConfig{"location": {GRPC: "geo", Contract: "specs/location/v1/location.proto"}},
		Graph: aggregate.GraphConfig{
			Query: map[string]aggregate.RootConfig{
				"watch": {Type: "[Area]", Args: map[string]string{"code": "String!"}, Call: aggregate.CallConfig{Call: "location location.v1.Areas/Watch", Body: map[string]any{"code": "{code}"}}},
				"get":   {Type: "Area", Args: map[string]string{"code": "String!"}, Call: aggregate.CallConfig{Call: "location location.v1.Areas/Get", Body: map[string]any{"code": "{code}"}}},
			},
			Types: map[string]aggregate.TypeConfig{"Area": {
				Key: aggregate.KeyConfig{Fields: []string{"code"}},
				Many: &aggregate.CallConfig{
					Call: "location location.v1.Areas/Batch at areas", Body: map[string]any{"codes": "{keys}"}, Pair: aggregate.PairConfig{How: "map"},
				},
				Fields: map[string]string{"code": "_", "name": "label", "people": "_", "kind": "_", "box": "_", "rank": "_", "since": "_", "seal": "_"},
			}},
		},
	}
}

func locationViews() map[string]aggregate.ViewConfig {
	return map[string]aggregate.ViewConfig{
		"GET /areas":       {Select: aggregate.SelectConfig{"": `areas(codes: ["seoul", "busan", "nowhere"]) { name people }`}},
		"GET /area/{code}": {Select: aggregate.SelectConfig{"": "...get(code: code) { code name people kind box rank since seal }"}},
		"GET /watch":       {Select: aggregate.SelectConfig{"": `watch(code: "a") { name }`}},
	}
}

func TestRPC(t *testing.T) {
	e := &rpcEnv{t: t}
	g, err := aggregate.Compile(locations(), locationViews(), e.env())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		route, target string
		body          []byte
		asked, want   string
	}{
		{
			"GET /areas", "/areas", framed(batch(area("busan", "부산", 1<<62), area("seoul", "서울", -1))),
			`POST /location.v1.Areas/Batch "\x00\x00\x00\x00\x17\n\x05seoul\n\x05busan\n\anowhere"`,
			`{"areas":[{"name":"서울","people":"-1"},{"name":"부산","people":"4611686018427387904"}]}`,
		},
		{
			"GET /area/{code}", "/area/x", framed(area("x", `a"b`, 0)),
			`POST /location.v1.Areas/Get "\x00\x00\x00\x00\x03\n\x01x"`,
			`{"code":"x","name":"a\"b","people":"0","kind":"CITY","box":[1.5],"rank":null,"since":null,"seal":""}`,
		},
		{
			"GET /watch", "/watch", framed(area("x", "1", 1), nil, area("y", "2", 2)),
			`POST /location.v1.Areas/Watch "\x00\x00\x00\x00\x03\n\x01a"`, `{"watch":[{"name":"1"},{"name":""},{"name":"2"}]}`,
		},
	} {
		e.asked, e.heads = nil, nil
		e.answer = func() *message.Response { return rpcAnswer(0, c.body) }
		status, body, _ := ask(t, g, c.route, c.target)
		if status != 200 || body != c.want {
			t.Errorf("%s: got %d %s\nwant %s", c.target, status, body, c.want)
		}
		if got := strings.Join(e.asked, "; "); got != c.asked {
			t.Errorf("%s: asked %s\nwant %s", c.target, got, c.asked)
		}
		if got := strings.Join(e.heads, "; "); got != "application/grpc trailers " {
			t.Errorf("%s: fields %q", c.target, got)
		}
	}
}

func TestRPCStatus(t *testing.T) {
	e := &rpcEnv{t: t}
	g, err := aggregate.Compile(locations(), map[string]aggregate.ViewConfig{
		"GET /area/{code}": {Select: aggregate.SelectConfig{"": "...get(code: code) { name }"}},
	}, e.env())
	if err != nil {
		t.Fatal(err)
	}
	plain := func(status int, contentType string, body []byte) func() *message.Response {
		return func() *message.Response {
			resp := message.NewResponse(status)
			resp.Header.AppendID(message.ContentType, contentType)
			resp.SetBytes(body)
			return resp
		}
	}
	status := func(n int) func() *message.Response {
		return func() *message.Response { return rpcAnswer(n, nil) }
	}
	bytes := func(b []byte) func() *message.Response {
		return func() *message.Response { return rpcAnswer(0, b) }
	}
	long := framed(area("x", "y", 1))
	long[1] = 0x7f
	squeezed := framed(area("x", "y", 1))
	squeezed[0] = 1
	for name, c := range map[string]struct {
		answer func() *message.Response
		want   int
		kind   string
	}{
		"invalid argument":    {status(3), 502, "part_refused"},
		"deadline":            {status(4), 504, "part_timeout"},
		"not found":           {status(5), 404, "part_not_found"},
		"denied":              {status(7), 403, "part_unauthorized"},
		"exhausted":           {status(8), 503, "part_unavailable"},
		"failed precondition": {status(9), 502, "part_refused"},
		"internal":            {status(13), 502, "part_failed"},
		"unavailable":         {status(14), 503, "part_unavailable"},
		"unauthenticated":     {status(16), 401, "part_unauthorized"},
		"no status":           {plain(200, "application/grpc", framed(area("x", "y", 1))), 502, "part_failed"},
		"a proxy's 503":       {plain(503, "text/html", nil), 503, "part_unavailable"},
		"a proxy's 404":       {plain(404, "text/html", nil), 502, "part_failed"},
		"a page":              {plain(200, "text/html", []byte("<html>")), 502, "part_failed"},
		"no message":          {bytes(nil), 502, "part_failed"},
		"two messages":        {bytes(framed(nil, nil)), 502, "part_failed"},
		"half a head":         {bytes([]byte{0, 0}), 502, "part_failed"},
		"half a message":      {bytes(long), 502, "part_failed"},
		"compressed":          {bytes(squeezed), 502, "part_failed"},
		"rubbish":             {bytes(framed([]byte("\xff\xff\xff"))), 502, "part_failed"},
		"no UTF-8":            {bytes(framed([]byte("\x0a\x01\xff"))), 502, "part_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			e.t, e.answer = t, c.answer
			got, body, _ := ask(t, g, "GET /area/{code}", "/area/x")
			if got != c.want || !strings.Contains(body, c.kind) {
				t.Errorf("got %d %s", got, body)
			}
		})
	}
}

func TestRPCLimits(t *testing.T) {
	e := &rpcEnv{t: t}
	cfg := locations()
	cfg.Limits = aggregate.LimitsConfig{List: 3, Body: 200}
	g, err := aggregate.Compile(cfg, map[string]aggregate.ViewConfig{"GET /watch": {Select: aggregate.SelectConfig{"": `watch(code: "a") { name }`}}}, e.env())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body []byte
		want int
		kind string
	}{
		"as many as may be": {framed(nil, nil), 200, "watch"},
		"one too many":      {framed(nil, nil, nil, nil), 502, "part_limit"},
		"too many bytes":    {framed(make([]byte, 300)), 502, "part_failed"},
		// Empty messages are small on the wire and large as JSON.
		"too large as JSON": {framed([]byte("\x4a\x04\x4a\x02\x4a\x00"), []byte("\x4a\x04\x4a\x02\x4a\x00")), 502, "part_failed"},
	} {
		e.answer = func() *message.Response { return rpcAnswer(0, c.body) }
		if got, body, _ := ask(t, g, "GET /watch", "/watch"); got != c.want || !strings.Contains(body, c.kind) {
			t.Errorf("%s: got %d %s", name, got, body)
		}
	}
}

func TestRPCLongs(t *testing.T) {
	e := &rpcEnv{t: t, answer: func() *message.Response { return rpcAnswer(0, framed(area("x", "y", 1<<62))) }}
	cfg := locations()
	s := cfg.Sources["location"]
	s.Longs = "number"
	cfg.Sources["location"] = s
	g, err := aggregate.Compile(cfg, map[string]aggregate.ViewConfig{"GET /area/{code}": {Select: aggregate.SelectConfig{"": "...get(code: code) { people }"}}}, e.env())
	if err != nil {
		t.Fatal(err)
	}
	if _, body, _ := ask(t, g, "GET /area/{code}", "/area/x"); body != `{"people":4611686018427387904}` {
		t.Errorf("got %s", body)
	}
}

// TestDescriptorSet: a set of descriptors, as protoc writes it, is as good as the
// text.
func TestDescriptorSet(t *testing.T) {
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: protocompile.SourceAccessorFromMap(map[string]string{"location/v1/location.proto": locationProto, "location/v1/kinds.proto": kindsProto}),
	})}
	files, err := c.Compile(t.Context(), "location/v1/location.proto")
	if err != nil {
		t.Fatal(err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	for _, f := range []protoreflect.FileDescriptor{
		files[0].FindImportByPath("google/protobuf/timestamp.proto"), files[0].FindImportByPath("location/v1/kinds.proto"), files[0],
	} {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	text, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	e := &rpcEnv{t: t, answer: func() *message.Response { return rpcAnswer(0, framed(area("x", "X", 3))) }}
	env := e.env()
	env.ReadFile = func(name string) ([]byte, error) {
		if name != "location.binpb" {
			t.Errorf("asked for %s", name)
		}
		return text, nil
	}
	cfg := locations()
	cfg.Sources["location"] = aggregate.SourceConfig{GRPC: "geo", Contract: "location.binpb"}
	g, err := aggregate.Compile(cfg, locationViews(), env)
	if err != nil {
		t.Fatal(err)
	}
	if _, body, _ := ask(t, g, "GET /watch", "/watch"); body != `{"watch":[{"name":"X"}]}` {
		t.Errorf("got %s", body)
	}
}

func TestRPCFindings(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*aggregate.Config)
		want   string
	}{
		"no contract":      {contract(""), "sources.location: a gRPC source needs a contract"},
		"no file":          {contract("specs/none.proto"), "sources.location.contract: specs/none.proto can't be used"},
		"broken file":      {contract("specs/broken.proto"), "broken.proto:2:9"},
		"rubbish":          {contract("specs/rubbish.pb"), "it is no descriptor set"},
		"no such service":  {get("location location.v1.Area/Get", nil), `graph.Query.get.call: the contract has no service "location.v1.Area"`},
		"no such method":   {get("location location.v1.Areas/Gets", nil), `graph.Query.get.call: the service location.v1.Areas has no method "Gets"`},
		"not a method":     {get("location GET /x", nil), `"GET" is not a method of a gRPC service`},
		"client stream":    {get("location location.v1.Areas/Upload", nil), "Upload takes a stream of messages"},
		"at of a stream":   {get("location location.v1.Areas/Watch at code", nil), "Watch answers with a stream"},
		"at of nothing":    {get("location location.v1.Areas/Get at codes", nil), `location.v1.Area has no field "codes" in JSON`},
		"unknown in body":  {get("location location.v1.Areas/Get", map[string]any{"cod": "{code}"}), `graph.Query.get.call.body.cod: location.v1.GetRequest has no field "cod"`},
		"list for a value": {get("location location.v1.Areas/Get", map[string]any{"code": []any{"a"}}), "code is no list"},
		"value for a list": {get("location location.v1.Areas/Batch", map[string]any{"codes": "a"}), "codes is a list"},
		"nested":           {get("location location.v1.Areas/Batch", map[string]any{"filter": map[string]any{"limits": 1}}), `graph.Query.get.call.body.filter.limits: location.v1.Filter has no field "limits"`},
		"text as message":  {get("location location.v1.Areas/Batch", map[string]any{"filter": "x"}), "location.v1.Filter is written as a mapping"},
		"unknown path":     {func(c *aggregate.Config) { c.Graph.Types["Area"].Fields["name"] = "labl" }, `graph.Area.fields.name: location.v1.Area has no field "labl" in JSON`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := locations()
			c.change(&cfg)
			if got := findings(cfg, nil, (&rpcEnv{t: t}).env()); !strings.Contains(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func contract(name string) func(*aggregate.Config) {
	return func(c *aggregate.Config) {
		c.Sources["location"] = aggregate.SourceConfig{GRPC: "geo", Contract: name}
	}
}

func get(call string, body any) func(*aggregate.Config) {
	return func(c *aggregate.Config) {
		c.Graph.Query["get"] = aggregate.RootConfig{Type: "Area", Args: map[string]string{"code": "String!"}, Call: aggregate.CallConfig{Call: call, Body: body}}
	}
}

// FuzzRPCAnswer: whatever a service sends, a view answers with JSON or a problem.
func FuzzRPCAnswer(f *testing.F) {
	f.Add(framed(area("x", "y", 1)))
	f.Add(framed(nil, area("x", "y", 1)))
	f.Add(framed([]byte("\x3a\x02\x08\x01\x4a\x00")))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{0, 255, 255, 255, 255})
	e := new(rpcEnv)
	g, err := aggregate.Compile(locations(), map[string]aggregate.ViewConfig{
		"GET /watch": {Select: aggregate.SelectConfig{"": `watch(code: "a") { code name people kind box rank since seal }`}},
	}, e.env())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e.t, e.asked, e.heads = t, nil, nil
		e.answer = func() *message.Response { return rpcAnswer(0, body) }
		if status, got, _ := ask(t, g, "GET /watch", "/watch"); status != 200 && status != 502 {
			t.Errorf("%d %s", status, got)
		}
	})
}

// TestRPCShared: calls of a method without side effects are shared between requests
// like any other, and each gets the whole answer.
func TestRPCShared(t *testing.T) {
	e := &rpcEnv{t: t, answer: func() *message.Response { return rpcAnswer(0, framed(batch(area("x", "X", 3)))) }}
	cfg := locations()
	s := cfg.Sources["location"]
	s.Vary = &[]string{}
	cfg.Sources["location"] = s
	g, err := aggregate.Compile(cfg, map[string]aggregate.ViewConfig{"GET /a": {Select: aggregate.SelectConfig{"": `...area(code: "x") { name people }`}}}, e.env())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body, _ := ask(t, g, "GET /a", "/a"); status != 200 || body != `{"name":"X","people":"3"}` {
			t.Errorf("got %d %s", status, body)
		}
	}
	for _, asked := range e.asked {
		if asked != `POST /location.v1.Areas/Batch "\x00\x00\x00\x00\x03\n\x01x"` {
			t.Errorf("asked %s", asked)
		}
	}
}
