package openapi

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// parameter is one of an operation.
type parameter struct {
	name, in string
	array    bool
	explode  bool
	required bool
	typ      string
}

// path reads the operations of a path.
func (im *importer) path(key, value *config.Tree) {
	o := im.Object(value, key.Text)
	if o == nil {
		return
	}
	shared := im.parameters(o)
	for _, method := range []string{"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"} {
		t := o.Get(method)
		if t == nil {
			continue
		}
		if method != "get" {
			im.file.Notes = append(im.file.Notes, sketch.Lines(o.Key(method).Position, sketch.LastLine(t))+": "+strings.ToUpper(method)+" "+key.Text+
				" is not carried: write it below Mutation, or a route")
			continue
		}
		if op := im.Object(t, "get "+key.Text); op != nil {
			im.get(key, op, slices.Concat(shared, im.parameters(op)))
		}
	}
}

// parameters reads those of a path or an operation.
func (im *importer) parameters(o *sketch.Object) []parameter {
	var out []parameter
	for _, t := range o.List("parameters") {
		if r := textOf(t, "$ref"); r != "" {
			im.Look(t, "reference", "write the parameter out, or into the call", "the parameter "+sketch.Shorten(r)+" is not followed")
			continue
		}
		schema := find(t, "schema")
		p := parameter{
			name: textOf(t, "name"), in: textOf(t, "in"), array: typeOf(schema) == "array", explode: textOf(t, "explode") != "false",
			required: textOf(t, "required") == "true", typ: "String",
		}
		switch typeOf(schema) {
		case "integer":
			p.typ = "Int"
		case "number":
			p.typ = "Float"
		case "boolean":
			p.typ = "Boolean"
		}
		out = append(out, p)
	}
	return out
}

// answer is what an operation gives: one of a type, or a list of it at a path.
type answer struct {
	of   *sketch.Type
	list bool
	at   string
}

// answerOf reads the JSON body of the response 200.
func (im *importer) answerOf(op *sketch.Object) (a answer) {
	responses := op.Get("responses")
	r := find(responses, "200")
	if r == nil {
		r = find(responses, "2XX")
	}
	content := find(r, "content")
	if content == nil {
		return a
	}
	for _, e := range content.Entries {
		if e.Key.Text != "application/json" && !strings.HasSuffix(e.Key.Text, "+json") {
			continue
		}
		schema := find(e.Value, "schema")
		if t := im.types[im.ref(schema)]; t != nil {
			a = answer{of: t}
			if items, at := im.wrapped(im.schemas[im.ref(schema)]); items != nil {
				a = answer{items, true, at}
			}
			return a
		}
		if typeOf(schema) == "array" {
			return answer{im.types[im.ref(find(schema, "items"))], true, ""}
		}
		items, at := im.wrapped(schema)
		return answer{items, items != nil, at}
	}
	return a
}

// wrapped finds the only list of a type in an object that is there to hold it.
func (im *importer) wrapped(schema *config.Tree) (of *sketch.Type, at string) {
	props := find(schema, "properties")
	if props == nil {
		return nil, ""
	}
	for _, e := range props.Entries {
		switch typeOf(e.Value) {
		case "array":
			t := im.types[im.ref(find(e.Value, "items"))]
			if t == nil || of != nil {
				return nil, ""
			}
			of, at = t, e.Key.Text
		case "string": // more than a frame around a list
			if name := strings.ToLower(e.Key.Text); !strings.Contains(name, "next") && !strings.Contains(name, "cursor") && !strings.Contains(name, "prev") {
				return nil, ""
			}
		case "":
			return nil, ""
		}
	}
	if !sketch.Identifier(at) {
		return nil, ""
	}
	return of, at
}

// get finds what a GET operation is for.
func (im *importer) get(key *config.Tree, op *sketch.Object, params []parameter) {
	path := key.Text
	a := im.answerOf(op)
	skipped := func(why string) {
		im.file.Notes = append(im.file.Notes, sketch.Lines(key.Position, sketch.LastLine(op.Tree))+": GET "+path+" is not carried: "+why)
	}
	if a.of == nil {
		skipped("its answer is no named schema, nor a list of one")
		return
	}
	var inPath []string
	for _, p := range params {
		if p.in == "path" {
			inPath = append(inPath, p.name)
		}
	}
	if n := strings.Count(path, "{"); n != len(inPath) || n > 1 {
		skipped("it has more than one parameter in its path")
		return
	}
	if len(inPath) == 1 && !sketch.Identifier(inPath[0]) || !strings.HasPrefix(path, "/") {
		skipped("its path can't be written as a call")
		return
	}
	switch {
	case len(inPath) == 1 && !a.list:
		im.one(key, op, a.of, path, inPath[0], skipped)
	case len(inPath) == 1:
		im.below(key, a, path, inPath[0], skipped)
	case a.list:
		im.list(key, a, path, params)
	default:
		im.root(key, sketch.Lower(sketch.TypeName(last(path))), a.of.Name, path, "", nil)
	}
}

// one is a type by its key: GET /members/{id}.
func (im *importer) one(key *config.Tree, op *sketch.Object, t *sketch.Type, path, param string, skipped func(string)) {
	field := keyField(t, param)
	if field == "" || t.One != "" || t.Key != "" && t.Key != field {
		skipped("no field of " + t.Name + " is its parameter, or another operation gives it")
		return
	}
	t.Key = field
	t.One = im.service + " GET " + im.prefix + strings.Replace(path, "{"+param+"}", "{"+field+"}", 1)
	t.Above += ", " + sketch.Lines(key.Position, sketch.LastLine(op.Tree))
	var names []string
	for _, f := range t.Fields {
		if typ := strings.TrimSuffix(strings.TrimPrefix(f.Text, "_ as "), "!"); typ == "_" || scalar(typ) {
			names = append(names, f.Name)
		}
	}
	view := &sketch.Block{Text: sketch.Quoted("GET "+strings.Replace(path, "{"+param+"}", "{"+field+"}", 1)) + ":", Off: "plain", Plain: true, Above: "a first view: take the # away"}
	view.Add(&sketch.Block{Text: "select: |"}).Add(&sketch.Block{Text: "..." + sketch.Lower(t.Name) + "(" + field + ") { " + strings.Join(names, " ") + " }"})
	im.views = append(im.views, view)
}

func scalar(typ string) bool {
	switch typ {
	case "String", "Int", "Float", "Boolean", "ID", "Long", "[String]", "[Int]":
		return true
	}
	return false
}

// keyField is the field of a type that a parameter names: id for id, and for
// memberId where there is no such field.
func keyField(t *sketch.Type, param string) string {
	switch {
	case t.Has(param):
		return param
	case t.Has("id") && (strings.HasSuffix(param, "Id") || strings.HasSuffix(param, "_id") || strings.EqualFold(param, t.Name)):
		return "id"
	}
	return ""
}

// below is a list under one of another type: GET /members/{id}/orders.
func (im *importer) below(key *config.Tree, a answer, path, param string, skipped func(string)) {
	field := ""
	parent := strings.TrimSuffix(path[:strings.Index(path, "{")], "/")
	for _, f := range a.of.Fields {
		if f.Name == param && param != "id" || strings.EqualFold(plain(f.Name), singular(last(parent))+"id") {
			field = f.Name
		}
	}
	if field == "" {
		skipped("no field of " + a.of.Name + " names the parent")
		return
	}
	im.by(key, a, field, strings.Replace(path, "{"+param+"}", "{key}", 1))
}

// by adds a list by the value of a field.
func (im *importer) by(key *config.Tree, a answer, field, target string) {
	for _, f := range a.of.By {
		if f.Name == field {
			return
		}
	}
	call := im.service + " GET " + im.prefix + target
	if a.at != "" {
		call += " at " + a.at
	}
	a.of.By = append(a.of.By, sketch.Field{Name: field, Text: call, Behind: sketch.Lines(key.Position, 0), At: key.Position})
	path, _, _ := strings.Cut(target, "?")
	im.lists = append(im.lists, list{a.of, field, last(path)})
}

// list is GET /members: by keys, by the value of a field, and a root.
func (im *importer) list(key *config.Tree, a answer, path string, params []parameter) {
	var args []parameter
	for _, p := range params {
		if p.in != "query" {
			continue
		}
		name := strings.TrimSuffix(p.name, "[]")
		field := keyOfMany(a.of, name)
		switch {
		case p.array && field != "" && a.of.Many == "" && a.at == "" && (a.of.Key == "" || a.of.Key == field):
			a.of.Key = field
			join := "{keys*}"
			if !p.explode {
				join = "{keys,}"
			}
			a.of.Many = im.service + " GET " + im.prefix + path + "?" + p.name + "=" + join
			a.of.Above += ", " + sketch.Lines(key.Position, 0)
		case !p.array && a.of.Has(p.name) && isKeyName(p.name):
			im.by(key, a, p.name, path+"?"+p.name+"={key}")
		case !p.array && sketch.Identifier(p.name):
			args = append(args, p)
		}
	}
	im.root(key, sketch.Lower(sketch.TypeName(last(path))), "["+a.of.Name+"]", path, a.at, args)
}

// root writes an entry of Query.
func (im *importer) root(key *config.Tree, name, typ, path, at string, args []parameter) {
	var target strings.Builder
	target.WriteString(im.service + " GET " + im.prefix + path)
	sign := "?"
	v := sketch.Map()
	for _, p := range args {
		mark := "?"
		t := p.typ
		if p.required {
			mark, t = "", t+"!"
		}
		v = v.With(p.name, sketch.Text(t))
		target.WriteString(sign + p.name + "={" + p.name + mark + "}")
		sign = "&"
	}
	call := target.String()
	if at != "" {
		call += " at " + at
	}
	r := sketch.Map(sketch.Pair("type", sketch.Text(typ)))
	if v.Len() > 0 {
		r = r.With("args", v)
	}
	for _, b := range im.roots {
		if strings.HasPrefix(b.Text, name+":") {
			return
		}
	}
	im.roots = append(im.roots, &sketch.Block{Text: name + ": " + r.With("call", sketch.Text(call)).String(), Behind: sketch.Lines(key.Position, 0), At: key.Position})
}

// keyOfMany is the field whose values a parameter lists: ids for id, memberIds for
// memberId or the id of a Member.
func keyOfMany(t *sketch.Type, param string) string {
	one := strings.TrimSuffix(param, "s")
	switch {
	case one != "" && t.Has(one) && (one == t.Key || strings.HasSuffix(strings.ToLower(one), "id") || strings.HasSuffix(one, "code")):
		return one
	case t.Has("id") && strings.EqualFold(plain(one), t.Name+"id"):
		return "id"
	}
	return ""
}

func isKeyName(name string) bool {
	return len(name) > 2 && (strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "_id"))
}

// plain is a name without underscores, in lower case.
func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func last(path string) string {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	for _, part := range slices.Backward(parts) {
		if !strings.Contains(part, "{") {
			return part
		}
	}
	return "root"
}

// singular cuts the plural of an English word, as well as it goes.
func singular(s string) string {
	switch {
	case strings.HasSuffix(s, "ies"):
		return strings.ToLower(s[:len(s)-3] + "y")
	case strings.HasSuffix(s, "s"):
		return strings.ToLower(plain(s[:len(s)-1]))
	}
	return strings.ToLower(s)
}

// links adds the guesses: memberId leads to Member, and a Member has the lists of
// what names it.
func (im *importer) links() {
	for _, t := range im.order {
		for _, f := range t.Fields {
			if !isKeyName(f.Name) {
				continue
			}
			name := strings.TrimSuffix(strings.TrimSuffix(f.Name, "Id"), "_id")
			for _, target := range im.order {
				if target.Key != "" && strings.EqualFold(plain(name), target.Name) && !t.Has(name) && (target.One != "" || target.Many != "") {
					t.Fields = append(t.Fields, sketch.Field{Name: name, Text: target.Name + "(" + target.Key + ": " + f.Name + ")", Behind: "guess", At: f.At})
				}
			}
		}
	}
	for _, l := range im.lists {
		for _, target := range im.order {
			if strings.EqualFold(plain(l.field), target.Name+"id") && target.Key != "" && sketch.Identifier(l.name) && !target.Has(l.name) {
				target.Fields = append(target.Fields, sketch.Field{Name: l.name, Text: "[" + l.of.Name + "](" + l.field + ": " + target.Key + ")", Behind: "guess", At: target.At})
			}
		}
	}
}
