// Package protobuf turns a .proto file, or a descriptor set, into a gRPC source
// and the graph of a maru.yaml, to be pruned.
//
// The flow: [Import] parses the file without following its imports (or decodes the
// set), gives each message a type with the names of its JSON form, and each method
// an entry of Query that calls it. The text is proved to pass maru check
// (sketch.File), which reads the contract.
package protobuf

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/sketch"
)

// Import reads a .proto file, or what ends in .binpb or .pb as a descriptor set;
// name stands for it in findings and comments, and as the contract. It opens
// nothing but the contract, and never fails: what is wrong is a finding.
func Import(name string, text []byte) sketch.Result {
	im := &importer{name: name, messages: make(map[string]*message), enums: make(map[string]bool), taken: make(map[string]bool)}
	im.file.Head = []string{
		"Written by maru import proto " + filepath.Base(name) + ", to be pruned: give the types a key and calls (one:, many:), and move methods",
		"that change something from Query to Mutation.",
	}
	var files []*descriptorpb.FileDescriptorProto
	if ext := filepath.Ext(name); ext == ".binpb" || ext == ".pb" {
		files = im.set(text)
	} else if f := im.parse(text); f != nil {
		files = append(files, f)
	}
	im.files(files)
	return im.file.Prove(im.Findings)
}

type importer struct {
	sketch.Reader

	name     string
	file     sketch.File
	result   parser.Result // nil for a descriptor set
	messages map[string]*message
	order    []*message
	enums    map[string]bool
	taken    map[string]bool // names of types
}

// message is a message with the name that its type gets.
type message struct {
	full string
	name string
	d    *descriptorpb.DescriptorProto
}

// tree is a place for findings.
func (im *importer) tree(at diag.Position) *config.Tree { return &config.Tree{Position: at} }

// at is where a message, field or method is written.
func (im *importer) at(m proto.Message) diag.Position {
	if im.result != nil {
		if n := im.result.Node(m); n != nil {
			return im.place(im.result.FileNode().NodeInfo(n).Start())
		}
	}
	return diag.Position{File: im.name, Line: 1, Column: 1}
}

func (im *importer) place(p ast.SourcePos) diag.Position {
	return diag.Position{File: im.name, Line: max(1, p.Line), Column: max(1, p.Col)}
}

// parse reads a .proto file; faults are findings.
func (im *importer) parse(text []byte) *descriptorpb.FileDescriptorProto {
	tell := func(err reporter.ErrorWithPos) error {
		im.Lost(im.tree(im.place(err.GetPosition())), "syntax", "mend it as protoc wants it", err.Unwrap().Error())
		return nil // go on
	}
	h := reporter.NewHandler(reporter.NewReporter(tell, nil))
	node, err := parser.Parse(im.name, bytes.NewReader(text), h)
	if node == nil || err != nil || len(im.Findings) > 0 {
		return im.failed(err)
	}
	r, err := parser.ResultFromAST(node, true, h)
	if err != nil || r == nil || len(im.Findings) > 0 {
		return im.failed(err)
	}
	im.result = r
	return r.FileDescriptorProto()
}

// failed makes sure that a file that can't be read has a finding.
func (im *importer) failed(err error) *descriptorpb.FileDescriptorProto {
	if err != nil && len(im.Findings) == 0 {
		im.Lost(im.tree(diag.Position{File: im.name, Line: 1, Column: 1}), "syntax", "mend it as protoc wants it", err.Error())
	}
	return nil
}

// set reads a descriptor set.
func (im *importer) set(text []byte) []*descriptorpb.FileDescriptorProto {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(text, &set); err != nil {
		im.Lost(im.tree(diag.Position{File: im.name, Line: 1, Column: 1}), "syntax", "write it by protoc --descriptor_set_out, or buf build -o", "it is no descriptor set")
		return nil
	}
	return set.GetFile()
}

// files carries messages and services of all files.
func (im *importer) files(files []*descriptorpb.FileDescriptorProto) {
	var services []*sketch.Block
	source := sourceName(im.name)
	service := im.file.Section("services").Add(&sketch.Block{Text: source + ":", Kind: "service", Spare: true, Above: "guess: a .proto file names no address"})
	service.At = diag.Position{File: im.name, Line: 1, Column: 1}
	service.Line("url", sketch.Text("http://127.0.0.1:9090"))
	service.Line("http", sketch.Text("2c"))
	contract := im.file.Section("sources").Add(&sketch.Block{Text: source + ": " + sketch.Map(
		sketch.Pair("grpc", sketch.Text(source)), sketch.Pair("contract", sketch.Text(im.name))).String(), Spare: true, Needs: []*sketch.Block{service}})
	contract.At = service.At
	for _, f := range files {
		if f.GetPackage() == "google.protobuf" {
			continue // known by their JSON forms
		}
		for _, d := range f.GetEnumType() {
			im.enums[dotted(f.GetPackage(), d.GetName())] = true
		}
		for _, d := range f.GetMessageType() {
			im.collect(f.GetPackage(), d)
		}
	}
	im.file.Section("graph")
	for _, m := range im.order {
		im.typeOf(m)
	}
	query := im.file.Section("graph").Add(&sketch.Block{Text: "Query:", Group: true})
	for _, f := range files {
		for _, s := range f.GetService() {
			services = append(services, im.methods(f.GetPackage(), s, source, contract)...)
		}
	}
	query.Kids = services
}

// collect finds messages and enums, also those within others.
func (im *importer) collect(scope string, d *descriptorpb.DescriptorProto) {
	full := dotted(scope, d.GetName())
	for _, e := range d.GetEnumType() {
		im.enums[dotted(full, e.GetName())] = true
	}
	if d.GetOptions().GetMapEntry() {
		return
	}
	name := sketch.TypeName(d.GetName())
	for i := 0; im.taken[name]; i++ {
		name += "_"
	}
	im.taken[name] = true
	m := &message{full, name, d}
	im.messages[full] = m
	im.order = append(im.order, m)
	for _, n := range d.GetNestedType() {
		im.collect(full, n)
	}
}

func dotted(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}

// resolve finds what a type's name means within a scope, innermost first.
func (im *importer) resolve(scope, name string) (m *message, enum bool) {
	if full, ok := strings.CutPrefix(name, "."); ok {
		return im.messages[full], im.enums[full]
	}
	for {
		full := dotted(scope, name)
		if m := im.messages[full]; m != nil || im.enums[full] {
			return m, im.enums[full]
		}
		if scope == "" {
			return nil, false
		}
		scope = scope[:max(0, strings.LastIndexByte(scope, '.'))]
	}
}

// typeOf writes the type of a message; one without fields is any JSON.
func (im *importer) typeOf(m *message) {
	if len(m.d.GetField()) == 0 {
		return
	}
	at := im.at(m.d)
	t := &sketch.Type{Name: m.name, At: at, Above: m.full + ", " + sketch.Lines(at, 0)}
	for _, f := range m.d.GetField() {
		name := jsonName(f)
		if !sketch.Identifier(name) || t.Has(name) {
			im.Look(im.tree(im.at(f)), "name", "nothing, or write NAME: path", "the field "+sketch.Shorten(name)+" can't name a field here")
			continue
		}
		text := "_"
		if typ := im.field(m.full, f); typ != "JSON" {
			text = "_ as " + typ
		}
		t.Fields = append(t.Fields, sketch.Field{Name: name, Text: text, At: im.at(f)})
	}
	im.file.AddType(t)
}

// jsonName is a field's name in JSON: lowerCamelCase, unless the file says another.
func jsonName(f *descriptorpb.FieldDescriptorProto) string {
	if f.JsonName != nil {
		return f.GetJsonName()
	}
	var b strings.Builder
	up := false
	for _, r := range f.GetName() {
		switch {
		case r == '_':
			up = true
		case up && r >= 'a' && r <= 'z':
			b.WriteRune(r - 'a' + 'A')
			up = false
		default:
			b.WriteRune(r)
			up = false
		}
	}
	return b.String()
}

// field is the type of a field as its JSON form has it.
func (im *importer) field(scope string, f *descriptorpb.FieldDescriptorProto) string {
	typ := im.scalar(scope, f)
	if typ != "JSON" && f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED {
		return "[" + typ + "]"
	}
	return typ
}

func (im *importer) scalar(scope string, f *descriptorpb.FieldDescriptorProto) string {
	if f.GetTypeName() != "" {
		switch strings.TrimPrefix(f.GetTypeName(), ".") {
		case "google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask":
			return "String"
		}
		m, enum := im.resolve(scope, f.GetTypeName())
		switch {
		case enum:
			return "String"
		case m != nil && len(m.d.GetField()) > 0:
			return m.name
		}
		return "JSON" // a map, a message of another file, or one without fields
	}
	switch f.GetType() {
	case descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_FLOAT:
		return "JSON" // a number, or the texts NaN and Infinity
	case descriptorpb.FieldDescriptorProto_TYPE_INT32, descriptorpb.FieldDescriptorProto_TYPE_SINT32, descriptorpb.FieldDescriptorProto_TYPE_SFIXED32:
		return "Int"
	case descriptorpb.FieldDescriptorProto_TYPE_UINT32, descriptorpb.FieldDescriptorProto_TYPE_FIXED32:
		return "Long"
	case descriptorpb.FieldDescriptorProto_TYPE_BOOL:
		return "Boolean"
	default: // text, bytes, and 64-bit integers, which are text in JSON
		return "String"
	}
}

// methods writes an entry of Query for each method.
func (im *importer) methods(pkg string, s *descriptorpb.ServiceDescriptorProto, source string, contract *sketch.Block) []*sketch.Block {
	var out []*sketch.Block
	for _, m := range s.GetMethod() {
		at := im.at(m)
		if m.GetClientStreaming() {
			im.Lost(im.tree(at), "stream", "call a method that takes one message, or write a route", m.GetName()+" takes a stream of messages, which a view can't send")
			continue
		}
		typ := "JSON"
		if answer, _ := im.resolve(pkg, m.GetOutputType()); answer != nil && len(answer.d.GetField()) > 0 {
			typ = answer.name
		}
		if m.GetServerStreaming() {
			typ = "[" + typ + "]"
		}
		args, body := sketch.Map(), sketch.Map()
		request, _ := im.resolve(pkg, m.GetInputType())
		if request == nil && !strings.HasSuffix(m.GetInputType(), "google.protobuf.Empty") {
			im.Look(im.tree(at), "message", "write the arguments and the body of the call", "the request of "+m.GetName()+" stands in another file: it is sent empty")
		}
		if request != nil {
			for _, f := range request.d.GetField() {
				name, t := jsonName(f), im.scalar(request.full, f)
				if f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED || !sketch.Identifier(name) || t == "JSON" || im.taken[t] {
					im.Look(im.tree(im.at(f)), "argument", "write it into the body of the call, such as "+sketch.Shorten(name)+": [\"{name}\"]",
						"the field "+sketch.Shorten(name)+" of "+request.d.GetName()+" is no single value, and not among the arguments of "+m.GetName())
					continue
				}
				args = args.With(name, sketch.Text(t))
				body = body.With(name, sketch.Text("{"+name+"}"))
			}
		}
		v := sketch.Map(sketch.Pair("type", sketch.Text(typ)))
		call := sketch.Text(source + " " + dotted(pkg, s.GetName()) + "/" + m.GetName())
		if args.Len() > 0 {
			v = v.With("args", args)
			call = sketch.Map(sketch.Pair("call", call), sketch.Pair("body", body))
		}
		name := sketch.Lower(m.GetName())
		for i := 0; im.taken["root "+name]; i++ {
			name += "_"
		}
		im.taken["root "+name] = true
		out = append(out, &sketch.Block{Text: sketch.Quoted(name) + ": " + v.With("call", call).String(), Behind: sketch.Lines(at, 0), At: at, Needs: []*sketch.Block{contract}})
	}
	return out
}

// sourceName makes a name of the file's.
func sourceName(file string) string {
	base := filepath.Base(file)
	name := strings.ToLower(sketch.TypeName(strings.TrimSuffix(base, filepath.Ext(base))))
	return name[:min(len(name), 60)]
}
