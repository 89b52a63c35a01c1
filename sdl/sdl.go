// Package sdl turns a GraphQL schema into the types of a maru.yaml's graph, to be
// pruned and given calls.
//
// The flow: [Import] parses the document, gives each object type its fields, and
// writes the fields of Query and Mutation as comments in which a call is missing:
// a schema does not say where values come from. The text is proved to pass maru
// check (sketch.File).
package sdl

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/sketch"
)

// maxTokens bounds what the parser reads.
const maxTokens = 500_000

// Import reads a schema in GraphQL's definition language; name stands for it in
// findings and comments. It opens nothing and never fails: what is wrong is a finding.
func Import(name string, text []byte) sketch.Result {
	im := &importer{name: name, types: make(map[string]*ast.Definition), roots: map[string]string{"Query": "Query", "Mutation": "Mutation", "Subscription": "Subscription"}}
	im.file.Head = []string{
		"Written by maru import graphql " + filepath.Base(name) + ", to be pruned: give the types a key and calls (one:, many:, by:), and the roots",
		"at the end a call each.",
	}
	doc, err := parser.ParseSchemaWithLimit(&ast.Source{Name: name, Input: string(text)}, maxTokens)
	if err != nil {
		f := diag.Finding{Position: diag.Position{File: name, Line: 1, Column: 1}, Code: "syntax", Text: sketch.Comment(err.Error()), Fix: "write a schema in GraphQL's definition language"}
		if e, ok := errors.AsType[*gqlerror.Error](err); ok {
			f.Text = sketch.Comment(e.Message)
			if len(e.Locations) > 0 {
				f.Line, f.Column = e.Locations[0].Line, e.Locations[0].Column
			}
		}
		return im.file.Prove([]diag.Finding{f})
	}
	im.document(doc)
	return im.file.Prove(im.Findings)
}

type importer struct {
	sketch.Reader

	name  string
	file  sketch.File
	types map[string]*ast.Definition
	order []*ast.Definition
	roots map[string]string // operation to the name of its type
}

// at is a place of the schema as findings want it.
func (im *importer) at(p *ast.Position) *config.Tree {
	t := &config.Tree{Position: diag.Position{File: im.name, Line: 1, Column: 1}}
	if p != nil {
		t.Line, t.Column = p.Line, p.Column
	}
	return t
}

func (im *importer) lines(p *ast.Position) string { return sketch.Lines(im.at(p).Position, 0) }

// document reads all definitions; extensions add to what they extend.
func (im *importer) document(doc *ast.SchemaDocument) {
	for _, s := range slices.Concat(doc.Schema, doc.SchemaExtension) {
		for _, o := range s.OperationTypes {
			im.roots[strings.ToUpper(string(o.Operation[:1]))+string(o.Operation[1:])] = o.Type
		}
	}
	for _, d := range doc.Definitions {
		if im.types[d.Name] != nil {
			im.Lost(im.at(d.Position), "twice", "remove one of the two", "the type "+d.Name+" is there twice")
			continue
		}
		im.types[d.Name] = d
		im.order = append(im.order, d)
	}
	for _, x := range doc.Extensions {
		if d := im.types[x.Name]; d != nil {
			d.Fields = append(d.Fields, x.Fields...)
			d.Types = append(d.Types, x.Types...)
			continue
		}
		im.types[x.Name] = x // as federation writes them
		im.order = append(im.order, x)
	}
	for _, d := range im.order {
		im.definition(d)
	}
	for _, d := range doc.Directives {
		im.file.Notes = append(im.file.Notes, im.lines(d.Position)+": the directive @"+d.Name+" is not carried")
	}
	for _, op := range []string{"Query", "Mutation"} {
		if d := im.types[im.roots[op]]; d != nil {
			im.operations(op, d)
		}
	}
}

// definition carries one type.
func (im *importer) definition(d *ast.Definition) {
	for op, name := range im.roots {
		if name != d.Name {
			continue
		}
		if op == "Subscription" {
			im.Look(im.at(d.Position), "subscription", "nothing, or keep it where it is", "subscriptions are not carried")
		}
		return
	}
	switch d.Kind {
	case ast.Object, ast.Interface:
		if d.Kind == ast.Interface {
			im.Look(im.at(d.Position), "interface", "name one of the types, or write union: and tag:", "the interface "+d.Name+" became a type of its own: fragments on its types are not possible")
		}
		if strings.HasPrefix(d.Name, "__") {
			im.Look(im.at(d.Position), "name", "nothing", "the type "+d.Name+" was left out: the name is introspection's")
			return
		}
		im.object(d)
	case ast.Union:
		t := &sketch.Type{Name: sketch.TypeName(d.Name), At: im.at(d.Position).Position, Above: im.lines(d.Position), Tag: "__typename"}
		for _, m := range d.Types {
			t.Union = append(t.Union, sketch.TypeName(m))
		}
		im.Look(im.at(d.Position), "union", "write tag: with the field that names the type", "nothing in the schema tells the types of the union "+d.Name+" apart")
		im.file.AddType(t)
	case ast.Enum, ast.Scalar:
		im.file.Notes = append(im.file.Notes, im.lines(d.Position)+": "+strings.ToLower(string(d.Kind))+" "+d.Name+" is "+im.scalar(d.Name))
	case ast.InputObject:
		im.file.Notes = append(im.file.Notes, im.lines(d.Position)+": input "+d.Name+" is not carried: write body: at a call")
	}
}

// object writes an object's type.
func (im *importer) object(d *ast.Definition) {
	t := &sketch.Type{Name: sketch.TypeName(d.Name), At: im.at(d.Position).Position, Above: im.lines(d.Position)}
	for _, f := range d.Fields {
		if strings.HasPrefix(f.Name, "__") || t.Has(f.Name) {
			continue
		}
		text := "_"
		if typ := im.typeOf(f.Type); typ != "JSON" {
			text = "_ as " + typ
		}
		field := sketch.Field{Name: f.Name, Text: text, At: im.at(f.Position).Position}
		if len(f.Arguments) > 0 {
			field.Behind = "its arguments are not carried: make it a link, " + named(f.Type) + "(key: path)"
			im.Look(im.at(f.Position), "arguments", "make it a link: "+f.Name+": "+named(f.Type)+"(key: path)", "the arguments of "+d.Name+"."+f.Name+" are not carried")
		}
		t.Fields = append(t.Fields, field)
	}
	im.file.AddType(t)
}

func named(t *ast.Type) string {
	if t.Elem != nil {
		return "[" + strings.Trim(named(t.Elem), "[]") + "]"
	}
	return t.NamedType
}

// typeOf is a type as the graph has it; lists of lists are JSON.
func (im *importer) typeOf(t *ast.Type) string {
	out := ""
	switch {
	case t.Elem == nil:
		if out = im.scalar(t.NamedType); out == "JSON" {
			return out
		}
	case t.Elem.Elem != nil:
		im.Look(im.at(t.Position), "list", "nothing, or give it a type", "a list of lists is any JSON")
		return "JSON"
	default:
		inner := im.typeOf(t.Elem)
		if inner == "JSON" {
			return inner
		}
		out = "[" + inner + "]"
	}
	if t.NonNull {
		out += "!"
	}
	return out
}

// scalar is the type of a name: enums are text, scalars of their own any JSON.
func (im *importer) scalar(name string) string {
	switch name {
	case "String", "Int", "Float", "Boolean", "ID":
		return name
	}
	d := im.types[name]
	if d == nil {
		return "JSON"
	}
	switch d.Kind {
	case ast.Enum:
		return "String"
	case ast.Object, ast.Interface, ast.Union:
		if strings.HasPrefix(name, "__") {
			return "JSON"
		}
		return sketch.TypeName(name)
	case ast.Scalar, ast.InputObject:
	}
	return "JSON"
}

// operations writes the fields of Query or Mutation as comments to fill in.
func (im *importer) operations(op string, d *ast.Definition) {
	section := im.file.Section("graph").Add(&sketch.Block{Text: op + ":", Off: "plain", Plain: true, Above: "write a call for each that shall be there: SOURCE GET /path?name={name}"})
	for _, f := range d.Fields {
		v := sketch.Map(sketch.Pair("type", sketch.Text(strings.ReplaceAll(im.typeOf(f.Type), "!", ""))))
		args := sketch.Map()
		for _, a := range f.Arguments {
			text := strings.NewReplacer("[", "", "]", "").Replace(a.Type.String())
			if a.DefaultValue != nil {
				text += " = " + a.DefaultValue.String()
			}
			args = args.With(a.Name, sketch.Text(text))
		}
		if args.Len() > 0 {
			v = v.With("args", args)
		}
		section.Add(&sketch.Block{Text: sketch.Quoted(f.Name) + ": " + v.With("call", sketch.Text("SOURCE GET /")).String(), Behind: im.lines(f.Position)})
	}
}
