package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/maru-msa/maru/scan"
)

// bundleURL names the document in which the reference validator finds all that
// it has to judge.
const bundleURL = "file:///contract"

// bundle collects the schemas that go to the reference validator: each becomes
// a definition of one document, with its references rewritten to others.
type bundle struct {
	c       *compiler
	defs    map[string]any
	names   map[compiled]string
	places  map[string]*Node
	queue   []queued
	pending []*foreign
	whole   []*foreign // of documents that are handed over as they are
}

type queued struct {
	doc  *document
	node *Node
	way  direction
}

// raw tells whether a document has to be handed over as it is: it names its
// schemas in ways that are not followed here, or is of another dialect.
func (c *compiler) raw(doc *document) bool {
	if c.openapi {
		return false
	}
	found := false
	doc.node.walk("", func(n *Node, pointer string) bool {
		if n.Kind != Object || found {
			return !found
		}
		ref := n.str("$ref")
		dialect := n.str("$schema")
		found = n.has("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef", "$recursiveAnchor", "$vocabulary") ||
			n.has("$id") && (pointer != "" || ref != "") || strings.Contains(ref, ":") || ref != "" && ref[0] != '#' && n.has("$id") ||
			ref != "" && !strings.HasPrefix(ref, "#/") && ref != "#" && doc.node.has("$id") ||
			dialect != "" && strings.TrimSuffix(dialect, "#") != "https://json-schema.org/draft/2020-12/schema"
		return !found
	})
	return found
}

// foreign registers a schema for the reference validator.
func (b *bundle) foreign(doc *document, n *Node, way direction) *foreign {
	f := &foreign{node: n, way: way}
	if b.c.raw(doc) {
		f.url = bundleURL + "/" + doc.name + "#" + doc.pointers[n]
		b.whole = append(b.whole, f)
		return f
	}
	f.url = bundleURL + "#/$defs/" + b.name(doc, n, way)
	b.pending = append(b.pending, f)
	return f
}

// name gives the name of the schema's definition.
func (b *bundle) name(doc *document, n *Node, way direction) string {
	at := compiled{n, way}
	if name, known := b.names[at]; known {
		return name
	}
	if b.names == nil {
		b.names, b.defs, b.places = make(map[compiled]string), make(map[string]any), make(map[string]*Node)
	}
	name := "s" + strconv.Itoa(len(b.names))
	b.names[at], b.places[name] = name, n
	b.queue = append(b.queue, queued{doc, n, way})
	return name
}

// finish compiles what was registered.
func (b *bundle) finish() {
	if len(b.pending)+len(b.whole) == 0 || !b.c.sound() {
		return
	}
	for len(b.queue) > 0 {
		q := b.queue[0]
		b.queue = b.queue[1:]
		b.defs[b.names[compiled{q.node, q.way}]] = b.schema(q.doc, q.node, q.way)
	}
	if !b.c.sound() {
		return
	}
	v := b.validator()
	if err := v.AddResource(bundleURL, map[string]any{"$defs": b.defs}); err != nil {
		b.refused(b.pending, err)
		return
	}
	for _, f := range slices.Concat(b.pending, b.whole) {
		schema, err := v.Compile(f.url)
		if err != nil {
			b.refused([]*foreign{f}, err)
			return
		}
		f.schema = schema
	}
	b.pending, b.whole = nil, nil
}

// validator is a compiler of the reference validator with our formats and patterns.
func (b *bundle) validator() *jsonschema.Compiler {
	v := jsonschema.NewCompiler()
	v.DefaultDraft(jsonschema.Draft2020)
	v.UseRegexpEngine(func(source string) (jsonschema.Regexp, error) {
		list, err := patterns(source)
		return &expression{source, list}, err
	})
	v.UseLoader(texts{b.c})
	if b.c.opt.Formats == "annotate" {
		return v
	}
	v.AssertFormat()
	for _, f := range b.c.formats {
		v.RegisterFormat(&jsonschema.Format{Name: f.Name, Validate: func(value any) error {
			switch value := value.(type) {
			case string:
				if f.Text != nil && !f.Text([]byte(value)) {
					return errors.New(f.Want)
				}
			case json.Number:
				if f.Number != nil && !f.Number([]byte(value)) {
					return errors.New(f.Want)
				}
			}
			return nil
		}})
	}
	return v
}

// texts gives the reference validator the documents that it may see.
type texts struct{ c *compiler }

// Load gives a document by its URL.
func (t texts) Load(url string) (any, error) {
	text, known := t.c.opt.Known[url]
	if name, own := strings.CutPrefix(url, bundleURL+"/"); own {
		if d := t.c.document(name); d != nil {
			text, known = []byte(d.node.json()), true
		}
	}
	if !known {
		return nil, fmt.Errorf("%s is not below the contract's folder", url)
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text)) //nolint:wrapcheck // the finding says where
}

// refused makes a finding of what the reference validator refuses.
func (b *bundle) refused(of []*foreign, err error) {
	if len(of) == 0 {
		return
	}
	n, text := of[0].node, err.Error()
	if bad, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if v, ok := errors.AsType[*jsonschema.ValidationError](bad.Err); ok {
			n, text = b.blame(n, v)
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	b.c.fault(n, "schema", "the schema is none: "+text, "mend it there")
}

// blame finds the node that a fault by the meta-schema is about.
func (b *bundle) blame(n *Node, v *jsonschema.ValidationError) (*Node, string) {
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	path := v.InstanceLocation
	if len(path) > 1 && path[0] == "$defs" && b.places[path[1]] != nil {
		n, path = b.places[path[1]], path[2:]
	}
	for _, token := range path {
		next := n.at("/" + step(token))
		if next == nil {
			break
		}
		n = next
	}
	keyword, want := told(v)
	return n, keyword + " " + want
}

// schema writes a schema for the reference validator.
func (b *bundle) schema(doc *document, n *Node, way direction) any {
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Object:
	default:
		b.c.fault(n, "type", "a schema is an object, true or false", "write one such as {type: string}")
		return false
	}
	b.c.look(n)
	out := make(map[string]any, len(n.Entries))
	if ref := n.Get("$ref"); ref != nil {
		if to, target := b.c.target(doc, ref); target != nil {
			out["$ref"] = "#/$defs/" + b.name(to, target, way)
		}
		if b.c.old {
			return out
		}
	}
	for _, e := range n.Entries {
		b.keyword(out, doc, n, e, way)
	}
	if b.c.old {
		b.modern(out, n)
	}
	return out
}

// keyword writes one keyword.
func (b *bundle) keyword(out map[string]any, doc *document, n *Node, e Entry, way direction) {
	name := e.Key.Text
	switch name {
	case "not", "if", "then", "else", "items", "additionalProperties", "propertyNames", "contains", "unevaluatedItems", "unevaluatedProperties":
		if !b.c.old || name == "not" || name == "items" || name == "additionalProperties" {
			out[name] = b.schema(doc, e.Value, way)
		}
	case "allOf", "anyOf", "oneOf", "prefixItems":
		if b.c.old && name == "prefixItems" {
			return
		}
		list := []any{}
		for _, item := range items(e.Value) {
			list = append(list, b.schema(doc, item, way))
		}
		out[name] = list
	case "properties", "patternProperties", "dependentSchemas":
		if b.c.old && name != "properties" {
			return
		}
		out[name] = b.members(doc, name, e.Value, way)
	case "required":
		list := []any{}
		for _, item := range items(e.Value) {
			if !b.c.excused(doc, n, item.Text, way) {
				list = append(list, item.Text)
			}
		}
		out[name] = list
	case "pattern":
		if _, err := patterns(e.Value.Text); err != nil {
			b.c.pattern(e.Value, err)
			return
		}
		out[name] = e.Value.Text
	case "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "format",
		"minProperties", "maxProperties", "minItems", "maxItems", "uniqueItems", "dependentRequired", "minContains", "maxContains":
		out[name] = plainValue(e.Value)
	}
}

// members writes schemas by name.
func (b *bundle) members(doc *document, keyword string, list *Node, way direction) any {
	out := make(map[string]any, len(list.Entries))
	for _, e := range list.Entries {
		if keyword == "patternProperties" {
			if _, err := patterns(e.Key.Text); err != nil {
				b.c.pattern(e.Key, err)
				continue
			}
		}
		if keyword == "properties" && b.c.openapi && b.c.member(doc, e.Value, way).Never && e.Value.Kind == Object {
			out[e.Key.Text] = false
			continue
		}
		out[e.Key.Text] = b.schema(doc, e.Value, way)
	}
	return out
}

// modern writes what OpenAPI 3.0 says in its own way as 2020-12 does.
func (b *bundle) modern(out map[string]any, n *Node) {
	for _, pair := range [][2]string{{"exclusiveMinimum", "minimum"}, {"exclusiveMaximum", "maximum"}} {
		exclusive, _ := out[pair[0]].(bool)
		delete(out, pair[0])
		if bound := out[pair[1]]; exclusive && bound != nil {
			out[pair[0]] = bound
			delete(out, pair[1])
		}
	}
	for _, name := range []string{"const", "dependentRequired", "minContains", "maxContains"} {
		delete(out, name)
	}
	if kind := n.str("type"); kind != "" && n.is("nullable") {
		out["type"] = []any{kind, "null"}
	}
}

// plainValue is a node as the reference validator takes values.
func plainValue(n *Node) any {
	switch n.Kind {
	case Null:
		return nil
	case Bool:
		return n.Text == "true"
	case Number:
		return json.Number(n.Text)
	case String:
		return n.Text
	case List:
		list := make([]any, 0, len(n.Items))
		for _, item := range n.Items {
			list = append(list, plainValue(item))
		}
		return list
	default:
		out := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			out[e.Key.Text] = plainValue(e.Value)
		}
		return out
	}
}

// bare compiles a document that is a JSON Schema.
func (c *compiler) bare(doc *document) *Media {
	m := &Media{Type: "application/json", kind: jsonBody}
	for _, way := range []direction{toService, toClient} {
		m.programs[way] = c.program(doc, doc.node, way)
	}
	c.bundle.finish()
	return m
}

var _ scan.Foreign = (*foreign)(nil)
