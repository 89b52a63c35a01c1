package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/maru-msa/maru/diag"
)

// This file holds what a gRPC source's contract says: its methods and messages.
// rpcwire.go has the way to the service and back, rpcjson.go the JSON of a message.

// descriptors are what the contract of a gRPC source declares.
type descriptors struct {
	files *protoregistry.Files
	types *dynamicpb.Types
	longs bool // 64-bit integers are numbers
}

// rpc is one method of a gRPC service.
type rpc struct {
	d      *descriptors
	in     protoreflect.MessageDescriptor
	out    protoreflect.MessageDescriptor
	stream bool // the service answers with any number of messages
}

// maxContract is the longest file of a contract, in bytes.
const maxContract = 16 << 20

// contract reads the contract of a gRPC source.
func (b *builder) contract(s *source, at string) {
	name := s.cfg.Contract
	if name == "" {
		b.f.at(at, "a gRPC source needs a contract, which says what its messages hold").
			WithFix("write contract: FILE.proto, or a descriptor set: FILE.binpb")
		return
	}
	files, err := b.descriptors(name)
	if err != nil {
		b.f.at(at+".contract", "%s can't be used: %v", name, err).WithFix("name a .proto file, or a descriptor set (.binpb, .pb) with its imports")
		return
	}
	s.rpc = &descriptors{files: files, types: dynamicpb.NewTypes(files), longs: s.cfg.Longs == "number"}
}

// descriptors reads a .proto file with what it imports, or a descriptor set.
func (b *builder) descriptors(name string) (*protoregistry.Files, error) {
	if !strings.HasSuffix(name, ".proto") {
		text, err := b.read(name)
		if err != nil {
			return nil, err
		}
		set := new(descriptorpb.FileDescriptorSet)
		if err := proto.Unmarshal(text, set); err != nil || len(set.GetFile()) == 0 {
			return nil, errors.New("it is no descriptor set")
		}
		return protodesc.NewFiles(set) //nolint:wrapcheck // the finding names the file
	}
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: b.opener(path.Dir(name))}),
		MaxParallelism: 1,
	}
	list, err := c.Compile(context.Background(), path.Base(name))
	if err != nil {
		return nil, err //nolint:wrapcheck // the finding names the file
	}
	files := new(protoregistry.Files)
	for _, f := range list {
		if err := register(files, f); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// opener opens imports: below the contract's folder, or below one of those around
// it, because imports are named from the root of a tree.
func (b *builder) opener(dir string) func(string) (io.ReadCloser, error) {
	return func(name string) (io.ReadCloser, error) {
		for root := dir; ; root = path.Dir(root) {
			text, err := b.read(path.Join(root, name))
			if err == nil {
				return io.NopCloser(bytes.NewReader(text)), nil
			}
			if !errors.Is(err, fs.ErrNotExist) || root == path.Dir(root) {
				return nil, err
			}
		}
	}
}

func (b *builder) read(name string) ([]byte, error) {
	if b.g.env.ReadFile == nil {
		return nil, errors.New("no files can be read here")
	}
	text, err := b.g.env.ReadFile(name)
	if err == nil && len(text) > maxContract {
		err = fmt.Errorf("it is longer than %d bytes", maxContract)
	}
	return text, err
}

// register puts a file and what it imports into files.
func register(files *protoregistry.Files, f protoreflect.FileDescriptor) error {
	if _, err := files.FindFileByPath(f.Path()); err == nil {
		return nil
	}
	imports := f.Imports()
	for i := range imports.Len() {
		if err := register(files, imports.Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return files.RegisterFile(f) //nolint:wrapcheck // the finding names the file
}

// shortRPC reads "source package.Service/Method [at path] [-> name]".
func (c *call) shortRPC(text string) error {
	words := strings.Fields(text)
	if len(words) < 2 {
		return fmt.Errorf("%q is not a call", text)
	}
	service, method, ok := strings.Cut(words[1], "/")
	if !ok || !protoreflect.FullName(service).IsValid() || !protoreflect.Name(method).IsValid() {
		return fmt.Errorf("%q is not a method of a gRPC service", words[1])
	}
	c.source, c.method = words[0], "POST"
	c.path = []piece{{lit: "/" + words[1]}}
	return c.tail(words[2:])
}

// bindRPC finds the method of a call in its contract, and proves that what is sent
// and taken is in its messages.
func (c *call) bindRPC(d *descriptors) error {
	if d == nil {
		return nil // told already
	}
	service, method, _ := strings.Cut(c.path[0].lit[1:], "/")
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(service))
	sd, ok := found.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return diag.At("", "the contract has no service %q", service).WithFix("%s", nearest(service, d.services()))
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	switch {
	case md == nil:
		return diag.At("", "the service %s has no method %q", service, method).WithFix("%s", nearest(method, methodNames(sd)))
	case md.IsStreamingClient():
		return diag.At("", "%s takes a stream of messages, which a view can't send", method).WithFix("call a method that takes one message")
	case md.IsStreamingServer() && len(c.at) > 0:
		return diag.At("", "%s answers with a stream, which is a list: nothing can be picked from it as a whole", method).WithFix("leave at out, and name paths in the fields")
	}
	c.rpc = &rpc{d: d, in: md.Input(), out: md.Output(), stream: md.IsStreamingServer()}
	if o, ok := md.Options().(*descriptorpb.MethodOptions); ok && o.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
		c.idempotent = true
	}
	var f faults
	f.add(inMessage(c.rpc.out, c.at))
	if c.body != nil {
		f.add(diag.Under("body", c.body.fits(c.rpc.in)))
	}
	return f.join()
}

func (d *descriptors) services() func(func(string) bool) {
	return func(yield func(string) bool) {
		d.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
			for i := range f.Services().Len() {
				if !yield(string(f.Services().Get(i).FullName())) {
					return false
				}
			}
			return true
		})
	}
}

func methodNames(sd protoreflect.ServiceDescriptor) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range sd.Methods().Len() {
			if !yield(string(sd.Methods().Get(i).Name())) {
				return
			}
		}
	}
}

// fieldNames are the names of a message's fields in JSON.
func fieldNames(md protoreflect.MessageDescriptor) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range md.Fields().Len() {
			if !yield(md.Fields().Get(i).JSONName()) {
				return
			}
		}
	}
}

// inMessage proves that a path is in a message; behind a map, or in a message whose
// JSON is none of its fields, everything may be.
func inMessage(md protoreflect.MessageDescriptor, at []string) error {
	for _, name := range at {
		if md == nil {
			return diag.At("", "%q is below a plain value", name).WithFix("end the path before it")
		}
		if wellKnown(md) {
			return nil
		}
		fd := md.Fields().ByJSONName(name)
		if fd == nil {
			return diag.At("", "%s has no field %q in JSON", md.FullName(), name).WithFix("%s", nearest(name, fieldNames(md)))
		}
		if fd.IsMap() {
			return nil
		}
		md = fd.Message()
	}
	return nil
}

// proven finds fields of a type that the messages of its gRPC calls don't have.
func (b *builder) proven(t *graphType) {
	calls := []*call{t.one, t.many}
	for _, name := range slices.Sorted(maps.Keys(t.by)) {
		calls = append(calls, t.by[name].one, t.by[name].many)
	}
	for _, c := range calls {
		if c == nil || c.rpc == nil {
			continue
		}
		md := c.element()
		if md == nil {
			continue
		}
		for _, name := range t.order {
			if f := t.fields[name]; f.link == nil {
				b.f.add(diag.Under("graph."+t.name+".fields."+name, inMessage(md, f.path)))
			}
		}
	}
}

// element is the message that holds one element of the answer; nil when the
// contract can't tell.
func (c *call) element() protoreflect.MessageDescriptor { //nolint:ireturn // descriptors are interfaces
	md := c.rpc.out
	at := c.at
	if c.pairing.how == pairGrouped {
		at = slices.Concat(at, c.pairing.at)
	}
	for i, name := range at {
		if md == nil || wellKnown(md) {
			return nil
		}
		fd := md.Fields().ByJSONName(name)
		switch {
		case fd == nil:
			return nil
		case fd.IsMap() && i == len(at)-1 && c.pairing.how == pairMap:
			return fd.MapValue().Message()
		case fd.IsMap():
			return nil
		}
		md = fd.Message()
	}
	return md
}

// fits proves that a body can be a message.
func (b *bodyTemplate) fits(md protoreflect.MessageDescriptor) error {
	switch {
	case wellKnown(md) || b.whole != nil:
		return nil
	case !b.object:
		return diag.At("", "%s is written as a mapping of its fields", md.FullName()).WithFix("write field: value")
	}
	var f faults
	for i, name := range b.names {
		fd := md.Fields().ByJSONName(name)
		if fd == nil {
			fd = md.Fields().ByTextName(name)
		}
		if fd == nil {
			f.add(diag.At(name, "%s has no field %q", md.FullName(), name).WithFix("%s", nearest(name, fieldNames(md))))
			continue
		}
		f.add(diag.Under(name, b.values[i].fitsField(fd)))
	}
	return f.join()
}

func (b *bodyTemplate) fitsField(fd protoreflect.FieldDescriptor) error {
	switch {
	case b.whole != nil || fd.IsMap():
		return nil
	case fd.IsList() != b.list:
		if fd.IsList() {
			return diag.At("", "%s is a list", fd.Name()).WithFix(`write [ … ], or "{keys}" for all keys`)
		}
		return diag.At("", "%s is no list", fd.Name()).WithFix("write one value")
	case fd.IsList() && fd.Message() != nil:
		for i, v := range b.values {
			if err := v.fits(fd.Message()); err != nil {
				return diag.Under(fmt.Sprintf("[%d]", i), err) //nolint:wrapcheck // a field error
			}
		}
		return nil
	case fd.Message() != nil:
		return b.fits(fd.Message())
	case b.object:
		return diag.At("", "%s is a plain value", fd.Name()).WithFix("write one value")
	}
	return nil
}

// wellKnown tells whether a message has a form of its own in JSON (ProtoJSON
// format, JSON mapping).
func wellKnown(md protoreflect.MessageDescriptor) bool {
	if md.FullName().Parent() != "google.protobuf" {
		return false
	}
	switch md.Name() {
	case "Any", "Timestamp", "Duration", "Struct", "Value", "ListValue", "FieldMask", "Empty",
		"DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue":
		return true
	}
	return false
}
