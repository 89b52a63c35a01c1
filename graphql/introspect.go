package graphql

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/maru-msa/maru/scan"
)

// This file answers __schema and __type from the schema itself (GraphQL §4.2). No
// service is called.

// metaWriter writes the answer to introspection.
type metaWriter struct {
	out    *scan.Output
	schema *ast.Schema
	vars   values
}

// thing is something that introspection shows: each writes its members by name.
type thing interface {
	// typename is the type's name, such as "__Field".
	typename() string
	// member writes the value of one member.
	member(w *metaWriter, n *node)
}

// members writes the members of an object.
func (w *metaWriter) members(t thing, list []*node) {
	for i, n := range list {
		if i > 0 {
			w.out.Byte(',')
		}
		w.out.Text(n.out)
		w.out.Byte(':')
		if n.first().Name == "__typename" {
			w.out.Text(t.typename())
			continue
		}
		t.member(w, n)
	}
}

func (w *metaWriter) object(t thing, n *node) {
	w.out.Byte('{')
	w.members(t, n.sub)
	w.out.Byte('}')
}

func (w *metaWriter) null() { w.out.Literal("null") }

// text writes a text; one that is empty is null.
func (w *metaWriter) text(s string) {
	if s == "" {
		w.null()
		return
	}
	w.out.Text(s)
}

func (w *metaWriter) boolean(b bool) {
	if b {
		w.out.Literal("true")
		return
	}
	w.out.Literal("false")
}

// list writes a list of things.
func list[T thing](w *metaWriter, n *node, things []T) {
	w.out.Byte('[')
	for i, t := range things {
		if i > 0 {
			w.out.Byte(',')
		}
		w.object(t, n)
	}
	w.out.Byte(']')
}

// named writes the type of a definition, null without one.
func (w *metaWriter) named(d *ast.Definition, n *node) {
	if d == nil {
		w.null()
		return
	}
	w.object(typeThing{def: d}, n)
}

// argument gives the JSON of an argument, with the variables at hand.
func (w *metaWriter) argument(n *node, name string) []byte {
	f := n.first()
	def := f.Definition.Arguments.ForName(name)
	if def == nil {
		return nil
	}
	if arg := f.Arguments.ForName(name); arg != nil {
		if text, ok := appendLiteral(nil, arg.Value, def.Type, w.schema, w.vars); ok {
			return text
		}
	}
	if def.DefaultValue != nil {
		text, _ := appendLiteral(nil, def.DefaultValue, def.Type, w.schema, nil)
		return text
	}
	return nil
}

// deprecated tells whether the field asks for what is deprecated too.
func (w *metaWriter) deprecated(n *node) bool {
	return string(w.argument(n, "includeDeprecated")) == "true"
}

// schemaThing is __Schema, and what a query begins with.
type schemaThing struct{ *ast.Schema }

func (s schemaThing) typename() string { return "__Schema" }

func (s schemaThing) member(w *metaWriter, n *node) {
	switch n.first().Name {
	case "__schema":
		w.object(s, n)
	case "__type":
		var name string
		if json.Unmarshal(w.argument(n, "name"), &name) != nil {
			name = ""
		}
		w.named(s.Types[name], n)
	case "types":
		var types []typeThing
		for _, name := range slices.Sorted(maps.Keys(s.Types)) {
			types = append(types, typeThing{def: s.Types[name]})
		}
		list(w, n, types)
	case "queryType":
		w.named(s.Query, n)
	case "mutationType":
		w.named(s.Mutation, n)
	case "directives":
		var all []directiveThing
		for _, name := range slices.Sorted(maps.Keys(s.Directives)) {
			all = append(all, directiveThing{s.Directives[name]})
		}
		list(w, n, all)
	case "description":
		w.text(s.Description)
	default: // subscriptionType
		w.null()
	}
}

// typeThing is __Type: a definition, or what wraps one.
type typeThing struct {
	def     *ast.Definition
	wrapped *ast.Type // a list or non-null type; nil of a definition
}

func (t typeThing) typename() string { return "__Type" }

// typeOf is the thing of a type as a field has it.
func (w *metaWriter) typeOf(t *ast.Type) typeThing {
	if t.NonNull || t.Elem != nil {
		return typeThing{wrapped: t}
	}
	return typeThing{def: w.schema.Types[t.NamedType]}
}

func (t typeThing) member(w *metaWriter, n *node) {
	if t.wrapped != nil {
		t.wrapper(w, n)
		return
	}
	d := t.def
	object := d.Kind == ast.Object || d.Kind == ast.Interface
	switch name := n.first().Name; {
	case name == "kind":
		w.out.Text(string(d.Kind))
	case name == "name":
		w.out.Text(d.Name)
	case name == "description":
		w.text(d.Description)
	case name == "fields" && object:
		list(w, n, fieldsOf(d, w.deprecated(n)))
	case name == "interfaces" && object:
		var of []typeThing
		for _, one := range d.Interfaces {
			of = append(of, typeThing{def: w.schema.Types[one]})
		}
		list(w, n, of)
	case name == "possibleTypes" && d.IsAbstractType():
		var of []typeThing
		for _, one := range w.schema.GetPossibleTypes(d) {
			of = append(of, typeThing{def: one})
		}
		list(w, n, of)
	case name == "enumValues" && d.Kind == ast.Enum:
		var of []enumThing
		for _, one := range d.EnumValues {
			if one.Directives.ForName("deprecated") == nil || w.deprecated(n) {
				of = append(of, enumThing{one})
			}
		}
		list(w, n, of)
	case name == "inputFields" && d.Kind == ast.InputObject:
		var of []inputThing
		for _, f := range d.Fields {
			of = append(of, inputThing{f.Name, f.Description, f.Type, f.DefaultValue, f.Directives})
		}
		list(w, n, shown(of, w.deprecated(n)))
	case name == "specifiedByURL" && d.Kind == ast.Scalar:
		url := ""
		if by := d.Directives.ForName("specifiedBy"); by != nil && by.Arguments.ForName("url") != nil {
			url = by.Arguments.ForName("url").Value.Raw
		}
		w.text(url)
	case name == "isOneOf" && d.Kind == ast.InputObject:
		w.boolean(d.Directives.ForName("oneOf") != nil)
	default:
		w.null()
	}
}

// wrapper writes a member of [T] or T!.
func (t typeThing) wrapper(w *metaWriter, n *node) {
	kind, inner := "LIST", t.wrapped.Elem
	if t.wrapped.NonNull {
		bare := *t.wrapped
		bare.NonNull = false
		kind, inner = "NON_NULL", &bare
	}
	switch n.first().Name {
	case "kind":
		w.out.Text(kind)
	case "ofType":
		w.object(w.typeOf(inner), n)
	default:
		w.null()
	}
}

// fieldsOf are the fields of a type that are not introspection's own.
func fieldsOf(d *ast.Definition, deprecated bool) []fieldThing {
	var out []fieldThing
	for _, f := range d.Fields {
		if !strings.HasPrefix(f.Name, "__") && (deprecated || f.Directives.ForName("deprecated") == nil) {
			out = append(out, fieldThing{f})
		}
	}
	return out
}

// fieldThing is __Field.
type fieldThing struct{ *ast.FieldDefinition }

func (f fieldThing) typename() string { return "__Field" }

func (f fieldThing) member(w *metaWriter, n *node) {
	switch n.first().Name {
	case "name":
		w.out.Text(f.Name)
	case "description":
		w.text(f.Description)
	case "args":
		list(w, n, shown(inputsOf(f.Arguments), w.deprecated(n)))
	case "type":
		w.object(w.typeOf(f.Type), n)
	default:
		w.deprecation(n, f.Directives)
	}
}

// deprecation writes isDeprecated or deprecationReason.
func (w *metaWriter) deprecation(n *node, list ast.DirectiveList) {
	d := list.ForName("deprecated")
	switch n.first().Name {
	case "isDeprecated":
		w.boolean(d != nil)
	case "deprecationReason":
		if d == nil {
			w.null()
			return
		}
		reason := "No longer supported"
		if arg := d.Arguments.ForName("reason"); arg != nil {
			reason = arg.Value.Raw
		}
		w.out.Text(reason)
	default:
		w.null()
	}
}

// inputThing is __InputValue.
type inputThing struct {
	name, description string
	typ               *ast.Type
	def               *ast.Value
	directives        ast.DirectiveList
}

func inputsOf(args ast.ArgumentDefinitionList) []inputThing {
	var out []inputThing
	for _, a := range args {
		out = append(out, inputThing{a.Name, a.Description, a.Type, a.DefaultValue, a.Directives})
	}
	return out
}

// shown leaves out what is deprecated unless it is asked for.
func shown(all []inputThing, deprecated bool) []inputThing {
	return slices.DeleteFunc(all, func(i inputThing) bool { return !deprecated && i.directives.ForName("deprecated") != nil })
}

func (i inputThing) typename() string { return "__InputValue" }

func (i inputThing) member(w *metaWriter, n *node) {
	switch n.first().Name {
	case "name":
		w.out.Text(i.name)
	case "description":
		w.text(i.description)
	case "type":
		w.object(w.typeOf(i.typ), n)
	case "defaultValue":
		if i.def == nil {
			w.null()
			return
		}
		w.out.Text(i.def.String())
	default:
		w.deprecation(n, i.directives)
	}
}

// enumThing is __EnumValue.
type enumThing struct{ *ast.EnumValueDefinition }

func (e enumThing) typename() string { return "__EnumValue" }

func (e enumThing) member(w *metaWriter, n *node) {
	switch n.first().Name {
	case "name":
		w.out.Text(e.Name)
	case "description":
		w.text(e.Description)
	default:
		w.deprecation(n, e.Directives)
	}
}

// directiveThing is __Directive.
type directiveThing struct{ *ast.DirectiveDefinition }

func (d directiveThing) typename() string { return "__Directive" }

func (d directiveThing) member(w *metaWriter, n *node) {
	switch n.first().Name {
	case "name":
		w.out.Text(d.Name)
	case "description":
		w.text(d.Description)
	case "isRepeatable":
		w.boolean(d.IsRepeatable)
	case "args":
		list(w, n, shown(inputsOf(d.Arguments), w.deprecated(n)))
	case "locations":
		w.out.Byte('[')
		for i, l := range d.Locations {
			if i > 0 {
				w.out.Byte(',')
			}
			w.out.Text(string(l))
		}
		w.out.Byte(']')
	default:
		w.null()
	}
}
