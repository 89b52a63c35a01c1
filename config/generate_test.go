package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
)

// update writes what is generated or golden instead of comparing with it.
var update = flag.Bool("update", false, "write generated and golden files") //nolint:gochecknoglobals // a flag

// The JSON Schema and the tables of docs/configuration.md are made here, from
// the same structs that the decoder fills and from the comments of their source.

const module = "github.com/maru-msa/maru/"

// object keeps the order of its keys, so that the schema reads as the structs do.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encode(&b, m.key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := encode(&b, m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func encode(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1)
	return nil
}

// generator makes the schema of types.
type generator struct {
	t     *testing.T
	docs  map[string]map[string]string // package path: "Type" or "Type.Field": comment
	defs  map[string]any
	order []reflect.Type // struct types as they are met
}

func newGenerator(t *testing.T) *generator {
	t.Helper()
	return &generator{t: t, docs: make(map[string]map[string]string), defs: make(map[string]any)}
}

// comments reads the comments of a package of this module.
func (g *generator) comments(pkg string) map[string]string {
	if d, ok := g.docs[pkg]; ok {
		return d
	}
	out := make(map[string]string)
	g.docs[pkg] = out
	dir, ok := strings.CutPrefix(pkg, module)
	if !ok {
		return out
	}
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(dir), "*.go"))
	if err != nil || len(files) == 0 {
		g.t.Fatalf("no source of %s: %v", pkg, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, d := range f.Decls {
			if decl, ok := d.(*ast.GenDecl); ok {
				typeComments(decl, out)
			}
		}
	}
	return out
}

func typeComments(decl *ast.GenDecl, out map[string]string) {
	for _, spec := range decl.Specs {
		ts, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		doc := ts.Doc
		if doc == nil {
			doc = decl.Doc
		}
		out[ts.Name.Name] = oneLine(doc.Text())
		st, ok := ts.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range st.Fields.List {
			text := oneLine(field.Doc.Text())
			if text == "" {
				text = oneLine(field.Comment.Text())
			}
			for _, name := range field.Names {
				out[ts.Name.Name+"."+name.Name] = text
			}
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// description is a field's comment, starting with the key instead of Go's name.
func (g *generator) description(t reflect.Type, f reflect.StructField, key string) string {
	text := g.comments(t.PkgPath())[t.Name()+"."+f.Name]
	if rest, ok := strings.CutPrefix(text, f.Name+" "); ok {
		return key + " " + rest
	}
	return text
}

func nameOf(t reflect.Type) string { return path.Base(t.PkgPath()) + "." + t.Name() }

func ref(name string) object { return object{{"$ref", "#/$defs/" + name}} }

// of is the schema of a type.
func (g *generator) of(t reflect.Type) any {
	switch {
	case t.Kind() == reflect.Pointer:
		return g.of(t.Elem())
	case isDuration(t):
		return ref("duration")
	case t == reflect.TypeFor[message.Size]():
		return ref("size")
	case isNamed(t):
		return g.filters()
	case t.Kind() == reflect.Struct:
		return g.structure(t)
	}
	plain := g.plain(t)
	v := reflect.New(t).Elem()
	var forms []any
	if asText(v) != nil {
		forms = append(forms, ref("text"))
	}
	if asList(v) != nil {
		forms = append(forms, object{{"type", "array"}, {"items", ref("text")}})
	}
	if forms == nil {
		return plain
	}
	if t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		return object{{"anyOf", append(forms, plain)}}
	}
	return object{{"anyOf", forms}}
}

func (g *generator) plain(t reflect.Type) any {
	switch t.Kind() {
	case reflect.String:
		return ref("text")
	case reflect.Bool:
		return ref("boolean")
	case reflect.Float32, reflect.Float64:
		return ref("number")
	case reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", g.of(t.Elem())}}
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Struct && !isNamed(e) && fieldsOf(e).own != nil {
			return object{{"type", "object"}, {"additionalProperties", g.of(e)}}
		}
		return object{{"type", "array"}, {"items", g.of(t.Elem())}}
	case reflect.Interface:
		return true
	default:
		if t.ConvertibleTo(reflect.TypeFor[int64]()) {
			return ref("integer")
		}
		g.t.Fatalf("no schema for %v", t)
		return nil
	}
}

func (g *generator) structure(t reflect.Type) any {
	name := nameOf(t)
	if _, ok := g.defs[name]; ok {
		return ref(name)
	}
	g.defs[name] = nil // a type may hold itself
	g.order = append(g.order, t)
	var properties object
	for _, k := range g.keys(t) {
		schema, ok := g.of(k.field.Type).(object)
		if !ok {
			schema = object{}
		}
		properties = append(properties, member{k.key, append(object{{"description", k.description}}, schema...)})
	}
	var others any = false
	if rest := fieldsOf(t).rest; rest != nil {
		others = g.of(t.FieldByIndex(rest).Type.Elem())
	}
	full := object{{"type", "object"}, {"properties", properties}, {"additionalProperties", others}}
	if t == reflect.TypeFor[File]() {
		full = append(full, member{"patternProperties", object{{"^x-", object{{"description", "Your own: a place for anchors."}}}}})
	}
	v := reflect.New(t).Elem()
	var forms []any
	if asText(v) != nil {
		forms = append(forms, object{{"type", []string{"string", "number", "boolean"}}})
	}
	if asList(v) != nil {
		forms = append(forms, object{{"type", "array"}, {"items", ref("text")}})
	}
	def := full
	if forms != nil {
		def = object{{"anyOf", append(forms, full)}}
	}
	if text := g.comments(t.PkgPath())[t.Name()]; text != "" {
		def = append(object{{"description", text}}, def...)
	}
	g.defs[name] = def
	return ref(name)
}

type keyOf struct {
	key, description string
	field            reflect.StructField
}

func (g *generator) keys(t reflect.Type) []keyOf {
	f := fieldsOf(t)
	out := make([]keyOf, 0, len(f.keys))
	for _, key := range f.keys {
		owner := t
		index := f.byKey[key]
		for _, i := range index[:len(index)-1] {
			owner = owner.Field(i).Type
		}
		field := t.FieldByIndex(index)
		out = append(out, keyOf{key, g.description(owner, field, key), field})
	}
	return out
}

// words lists the filters in order with the types of their Configs.
func words() ([]string, map[string]reflect.Type) {
	types := make(map[string]reflect.Type)
	var names []string
	for word, mk := range filter.Kinds() {
		t := reflect.TypeOf(mk())
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		names, types[word] = append(names, word), t
	}
	slices.Sort(names)
	return names, types
}

// filters is the schema of an entry of a filter list. One object with at most
// one property gives better messages and completion than one object a word.
func (g *generator) filters() any {
	if _, ok := g.defs["filter"]; ok {
		return ref("filter")
	}
	g.defs["filter"] = nil
	names, types := words()
	properties := object{}
	for _, word := range names {
		t := types[word]
		settings := g.of(t)
		properties = append(properties, member{word, object{
			{"description", g.comments(t.PkgPath())[t.Name()]}, {"anyOf", []any{settings, object{{"type", "null"}}}},
		}})
	}
	one := object{{"type", "object"}, {"minProperties", 1}, {"maxProperties", 1}, {"properties", properties}, {"additionalProperties", false}}
	g.defs["filter"] = object{
		{"description", "A filter: its word, or its word with settings."},
		{"anyOf", []any{object{{"enum", append([]string{}, names...)}}, one}},
	}
	return ref("filter")
}

const environment = `\$\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\}`

func (g *generator) schema() []byte {
	root := g.of(reflect.TypeFor[File]())
	variable := object{{"type", "string"}, {"pattern", environment}, {"description", "An environment variable: ${NAME} or ${NAME:-default}."}}
	or := func(typ, text string) object {
		return object{{"description", text}, {"anyOf", []any{object{{"type", typ}}, ref("variable")}}}
	}
	g.defs["variable"] = variable
	g.defs["boolean"] = or("boolean", "true or false.")
	g.defs["integer"] = or("integer", "A whole number.")
	g.defs["number"] = or("number", "A number.")
	g.defs["text"] = object{{"type", []string{"string", "number"}}}
	g.defs["duration"] = object{
		{"description", "A duration with its unit, such as 800ms, 15s, 5m or 1h; 0 has none."},
		{"anyOf", []any{
			object{{"const", 0}},
			object{{"type", "string"}, {"pattern", `^(0|\+?([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|μs|ms|s|m|h)(([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|μs|ms|s|m|h))*)$`}},
			ref("variable"),
		}},
	}
	g.defs["size"] = object{
		{"description", "A number of bytes: 512, 64KiB, 1MiB, 2GiB, or KB, MB, GB in powers of ten."},
		{"anyOf", []any{
			object{{"type", "integer"}, {"minimum", 0}},
			object{{"type", "string"}, {"pattern", `^[0-9]+ *(B|KiB|MiB|GiB|KB|MB|GB)?$`}},
			ref("variable"),
		}},
	}
	var defs object
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range g.defs {
			if !yield(k) {
				return
			}
		}
	}) {
		defs = append(defs, member{name, g.defs[name]})
	}
	head := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "https://maru-msa.github.io/maru.schema.json"},
		{"title", "maru.yaml"},
	}
	all := append(head, root.(object)...)
	all = append(all, member{"$defs", defs})
	var b bytes.Buffer
	if err := encode(&b, all); err != nil {
		g.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		g.t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// tables gives the key tables of docs/configuration.md.
func (g *generator) tables() []byte {
	g.of(reflect.TypeFor[File]())
	var b bytes.Buffer
	names, types := words()
	isFilter := make(map[reflect.Type]string)
	for _, w := range names {
		if _, twice := isFilter[types[w]]; !twice {
			isFilter[types[w]] = w
		}
	}
	for _, t := range g.order {
		keys := g.keys(t)
		if len(keys) == 0 || path.Base(t.PkgPath()) == "filter" {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| key | takes | meaning |\n| --- | --- | --- |\n", headingOf(t), g.comments(t.PkgPath())[t.Name()])
		for _, k := range keys {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.key, takes(k.field.Type), escapeCell(k.description))
		}
	}
	b.WriteString("\n### Filters\n\n| word | does |\n| --- | --- |\n")
	for _, w := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", w, escapeCell(g.comments(types[w].PkgPath())[types[w].Name()]))
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func escapeCell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func headingOf(t reflect.Type) string {
	if t == reflect.TypeFor[File]() {
		return "The file"
	}
	return "`" + nameOf(t) + "`"
}

// takes names a type for readers.
func takes(t reflect.Type) string {
	v := reflect.New(t).Elem()
	switch {
	case t.Kind() == reflect.Pointer:
		return takes(t.Elem())
	case isDuration(t):
		return "duration"
	case t == reflect.TypeFor[message.Size]():
		return "size"
	case isNamed(t):
		return "filter"
	case t.Kind() == reflect.Struct:
		name := "`" + nameOf(t) + "`"
		if asText(v) != nil {
			name = "text or " + name
		}
		if asList(v) != nil {
			name = "list or " + name
		}
		return name
	case t.Kind() == reflect.Slice:
		return "list of " + takes(t.Elem())
	case t.Kind() == reflect.Map:
		return "mapping to " + takes(t.Elem())
	case asText(v) != nil, t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "true, false"
	case t.Kind() == reflect.Interface:
		return "anything"
	default:
		return "number"
	}
}

// current compares a generated file with what is there, or writes it.
func current(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if !*update {
		t.Errorf("%s is not what the structs give; run make generate", name)
		return
	}
	if err := os.WriteFile(name, want, fs.FileMode(0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestGeneratedSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	current(t, "schema.json", newGenerator(t).schema())
}

func TestGeneratedTablesAreCurrent(t *testing.T) {
	t.Parallel()
	const name = "../docs/configuration.md"
	const begin, end = "<!-- keys: generated from the code, do not edit -->\n", "<!-- end of keys -->\n"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the marks of the tables", name)
	}
	current(t, name, []byte(before+begin+string(newGenerator(t).tables())+end+after))
}

func TestEveryKeyHasAComment(t *testing.T) {
	t.Parallel()
	g := newGenerator(t)
	g.schema()
	for _, typ := range g.order {
		for _, k := range g.keys(typ) {
			if k.description == "" {
				t.Errorf("the key %s of %s has no comment", k.key, nameOf(typ))
			}
		}
	}
}
