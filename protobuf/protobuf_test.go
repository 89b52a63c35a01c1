package protobuf_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/maru-msa/maru/protobuf"
	"github.com/maru-msa/maru/sketch/sketchtest"
)

var update = flag.Bool("update", false, "write the golden files again") //nolint:gochecknoglobals // flags are

// TestExamples imports each file in its own folder, where check finds the contract.
func TestExamples(t *testing.T) {
	for _, e := range sketchtest.Examples(t) {
		t.Run(filepath.Base(e.Dir), func(t *testing.T) {
			t.Chdir(e.Dir)
			e.Dir = "."
			r := protobuf.Import(e.Name, e.Text)
			sketchtest.Golden(t, &e, &r, *update)
		})
	}
}

func TestDescriptorSet(t *testing.T) {
	t.Parallel()
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: new("a.proto"), Package: new("a"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: new("A"), Field: []*descriptorpb.FieldDescriptorProto{{
			Name: new("user_id"), JsonName: new("userId"), Number: new(int32(1)),
			Type: descriptorpb.FieldDescriptorProto_TYPE_INT32.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}}}},
	}}}
	text, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	r := protobuf.Import("a.binpb", text)
	sketchtest.Loads(t, r.YAML)
	if len(r.Findings) > 0 || !strings.Contains(string(r.YAML), `userId: "_ as Int"`) {
		t.Errorf("got %v\n%s", r.Findings, r.YAML)
	}
	if r := protobuf.Import("a.binpb", []byte("rubbish")); len(r.Findings) != 1 {
		t.Errorf("rubbish gave %v", r.Findings)
	}
}

func FuzzImport(f *testing.F) {
	for _, e := range sketchtest.Examples(f) {
		f.Add(e.Text)
	}
	f.Add([]byte(`syntax = "proto2"; message A { optional group B = 1 { required A a = 1; } extensions 5; } service S { rpc X(A) returns (.A); }`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		for _, name := range []string{"none.proto", "none.binpb"} {
			sketchtest.Loads(t, protobuf.Import(name, text).YAML)
		}
	})
}
