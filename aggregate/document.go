package aggregate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/scan"
)

// This file holds calls of GraphQL sources.
//
// The flow: a call names a field of Query (or, below Mutation, of that), or the
// entities of a federated schema, with arguments. While a plan is compiled, what it
// wants of the answer becomes the text of the document; the values of arguments
// travel as variables. So a document is the same text for every request, and the
// service may keep its plan of it.

// document is what a call asks a GraphQL source for.
type document struct {
	text     string // as written, for explain
	field    string
	entity   string   // of _entities: the type
	keys     []string // of _entities: the members of a representation
	args     []documentArg
	mutation bool
}

// documentArg is an argument: a variable with its type, or a literal.
type documentArg struct {
	name string
	v    *variable
	typ  string
	lit  string
}

// entitiesField is the root field of federated schemas that gives objects by
// their keys (Apollo Federation, subgraph specification).
const entitiesField = "_entities"

// shortGraphQL reads "source field(arg: {name}, …) [at path] [-> name]" and "source
// _entities Type(key, …)".
func (c *call) shortGraphQL(text string) error {
	source, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	d := new(document)
	c.source, c.method, c.doc = source, "POST", d
	if d.field, rest = takeName(rest); d.field == "" {
		return fmt.Errorf("%q names no field", text)
	}
	if d.field == entitiesField {
		if d.entity, rest = takeName(rest); d.entity == "" {
			return fmt.Errorf("%q names no type of entities", text)
		}
	}
	args, rest, err := takeArgs(rest)
	if err != nil {
		return err
	}
	d.text = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), source), rest))
	if d.entity != "" {
		err = d.entities(args)
	} else {
		err = d.arguments(args)
	}
	if err != nil {
		return err
	}
	if err := c.tail(strings.Fields(rest)); err != nil {
		return err
	}
	c.at = append([]string{"data", d.field}, c.at...)
	c.body = d.body()
	return nil
}

// takeName takes a name off the front of text.
func takeName(text string) (name, rest string) {
	text = strings.TrimSpace(text)
	n := 0
	for n < len(text) && (nameStart(text[n]) || n > 0 && nameByte(text[n])) {
		n++
	}
	return text[:n], text[n:]
}

// takeArgs takes (a, b) off the front of text and splits it at its commas, but not
// within strings.
func takeArgs(text string) (args []string, rest string, err error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "(") {
		return nil, text, nil
	}
	from, quoted := 1, false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',' || c == ')':
			args = append(args, strings.TrimSpace(text[from:i]))
			if from = i + 1; c == ')' {
				return args, text[from:], nil
			}
		}
	}
	return nil, "", errors.New("a ( is not closed")
}

// entities reads the names of key fields.
func (d *document) entities(names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("%s needs the fields of its key", d.entity)
	}
	for _, name := range names {
		if !validName(name) {
			return fmt.Errorf("%q is not a field of a key", name)
		}
	}
	d.keys = names
	d.args = []documentArg{{name: "representations", typ: "[_Any!]!", v: &variable{text: "keys", name: "keys"}}}
	return nil
}

// arguments reads "name: {variable}", "name: {variable} as Type" and "name: literal".
func (d *document) arguments(list []string) error {
	for _, text := range list {
		name, value, ok := strings.Cut(text, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !validName(name) || value == "" {
			return fmt.Errorf("%q is not an argument", text)
		}
		if slices.ContainsFunc(d.args, func(a documentArg) bool { return a.name == name }) {
			return fmt.Errorf("the argument %q is here twice", name)
		}
		a := documentArg{name: name}
		if inner, isVariable := strings.CutPrefix(value, "{"); isVariable {
			if err := a.variable(inner); err != nil {
				return err
			}
		} else if a.lit = value; !plainLiteral(value) {
			return fmt.Errorf("%q is neither {name} nor a plain value", value)
		}
		d.args = append(d.args, a)
	}
	return nil
}

// variable reads what follows the brace of an argument.
func (a *documentArg) variable(text string) (err error) {
	name, typ, ok := strings.Cut(text, "}")
	if !ok {
		return fmt.Errorf("a { is not closed in {%s", text)
	}
	if a.v, err = parseVariable(name); err != nil {
		return err
	}
	if typ = strings.TrimSpace(typ); typ == "" {
		return nil
	}
	typ, ok = strings.CutPrefix(typ, "as ")
	ref, err := parseTypeRef(typ)
	if !ok || err != nil {
		return fmt.Errorf("%q does not say the type of {%s}", typ, name)
	}
	a.typ = ref.String()
	return nil
}

// plainLiteral tells a number, a string or a name (true, null, an enum's value).
func plainLiteral(s string) bool {
	if n := len(s); n > 1 && s[0] == '"' {
		return s[n-1] == '"' && !strings.ContainsAny(s, "\n\r")
	}
	return validName(s) || jsonNumber(s)
}

// body is the template of what is sent; the document's text comes in later.
func (d *document) body() *bodyTemplate {
	values := &bodyTemplate{object: true}
	for i := range d.args {
		a := &d.args[i]
		if a.v == nil {
			continue
		}
		one := &bodyTemplate{whole: a.v}
		if d.entity != "" {
			one.entity, one.names = d.entity, d.keys
		}
		values.names, values.values = append(values.names, a.name), append(values.values, one)
	}
	return &bodyTemplate{object: true, names: []string{"query", "variables"}, values: []*bodyTemplate{{lit: `""`}, values}}
}

// types settles the types of variables that the call does not say itself.
func (d *document) types(of func(*variable) string) {
	for i := range d.args {
		if a := &d.args[i]; a.v != nil && a.typ == "" {
			a.typ = of(a.v)
		}
	}
}

// keyVariable is the type of a variable that stands for keys of t.
func keyVariable(t *graphType, keys []string, v *variable) string {
	name := v.name
	if (name == "keys" || name == "key") && len(keys) == 1 {
		name = keys[0]
	}
	if !slices.Contains(keys, name) {
		return ""
	}
	if v.keys() {
		return "[" + keyType(t, name) + "!]!"
	}
	return keyType(t, name) + "!"
}

// literalType is the type that a default tells.
func literalType(v *variable) string {
	switch def := v.def; {
	case !v.hasDef || def == "null":
		return ""
	case def == "true" || def == "false":
		return "Boolean"
	case jsonNumber(def) && strings.ContainsAny(def, ".eE"):
		return "Float"
	case jsonNumber(def):
		return "Int"
	}
	return "String"
}

// settle gives the variables of a call of a GraphQL source their types.
func (b *builder) settle(c *call, of func(*variable) string) {
	if c == nil || c.doc == nil {
		return
	}
	c.doc.types(of)
	c.doc.types(literalType)
	for i := range c.doc.args {
		if a := &c.doc.args[i]; a.v != nil && a.typ == "" {
			b.f.at(c.where, "nothing tells the type of {%s}", a.v.text).WithFix("write %s: {%s} as Int, or the type that it has", a.name, a.v.text)
		}
	}
	for i, at := 0, c.body.values[1]; i < len(at.values); i++ {
		j := slices.IndexFunc(c.doc.args, func(a documentArg) bool { return a.name == at.names[i] })
		typ := strings.TrimSuffix(c.doc.args[j].typ, "!")
		at.values[i].bare = typ == "Int" || typ == "Float" || typ == "Boolean"
	}
}

// documents settles the documents of a type's calls.
func (b *builder) documents(t *graphType) {
	for _, c := range []*call{t.one, t.many} {
		b.settle(c, func(v *variable) string { return keyVariable(t, t.key, v) })
	}
	for _, name := range sortedKeys(t.by) {
		for _, c := range []*call{t.by[name].one, t.by[name].many} {
			b.settle(c, func(v *variable) string { return keyVariable(t, []string{name}, v) })
			b.onlyMany(c)
		}
	}
	b.onlyMany(t.one)
	if c := t.many; c != nil && c.doc != nil && c.doc.entity != "" && len(c.doc.keys) != len(t.key) {
		b.f.at(c.where, "the key of %s has %d fields, and that of %s %d", c.doc.entity, len(c.doc.keys), t.name, len(t.key)).
			WithFix("name as many, in the order of key:")
	}
	if c := t.many; c != nil && c.doc != nil && len(t.union) > 0 {
		b.f.at(c.where, "a union can't be asked of a GraphQL source").WithFix("make a type of each of its members")
	}
}

// rootDocument settles the document of a root.
func (b *builder) rootDocument(r *root, mutation bool) {
	if r.call.doc != nil {
		r.call.doc.mutation = mutation
	}
	b.onlyMany(r.call)
	b.settle(r.call, func(v *variable) string {
		if arg, ok := r.args[v.name]; ok {
			return arg.typ.String()
		}
		return ""
	})
}

// onlyMany finds entities where keys go out one by one, or have lists.
func (b *builder) onlyMany(c *call) {
	if c != nil && c.doc != nil && c.doc.entity != "" {
		b.f.at(c.where, "_entities gives one object for each of many keys").WithFix("write it as many:")
	}
}

// pairsDocument settles how the answers of a document find their keys.
func (c *call) pairsDocument(p *PairConfig) error {
	switch {
	case c.doc.entity != "" && *p != (PairConfig{}) && p.How != "position":
		return diag.At("pair", "_entities answers in the order of its keys").WithFix("leave pair out")
	case c.doc.entity != "":
		c.pairing.how = pairPosition
	case c.pairing.how == pairMap:
		return diag.At("pair", "a GraphQL answer has no members named by keys").WithFix("leave pair out: elements name their key themselves")
	}
	return nil
}

// ask gives the call with the document of what build wants of its answer. way leads
// to the elements: its second node is that of the root field.
func (c *call) ask(build *scan.Builder, way chain) (*call, error) {
	d := c.doc
	var b strings.Builder
	b.WriteString(map[bool]string{false: "query", true: "mutation"}[d.mutation])
	declared, used := make([]string, 0, len(d.args)), make([]string, 0, len(d.args))
	for i := range d.args {
		a := &d.args[i]
		if a.v == nil {
			used = append(used, a.name+":"+a.lit)
			continue
		}
		declared, used = append(declared, "$"+a.name+":"+a.typ), append(used, a.name+":$"+a.name)
	}
	writeList(&b, declared)
	b.WriteString("{" + d.field)
	writeList(&b, used)
	var sel strings.Builder
	if err := writeWanted(&sel, build, way[1]); err != nil {
		return nil, err
	}
	switch {
	case d.entity != "" && sel.Len() == 0:
		b.WriteString("{__typename}")
	case d.entity != "":
		b.WriteString("{...on " + d.entity + sel.String() + "}")
	default:
		b.WriteString(sel.String())
	}
	b.WriteString("}")
	out := *c
	body := *c.body
	body.values = []*bodyTemplate{{lit: quoteJSON(b.String())}, c.body.values[1]}
	out.body = &body
	return &out, nil
}

func writeList(b *strings.Builder, list []string) {
	if len(list) > 0 {
		b.WriteString("(" + strings.Join(list, ",") + ")")
	}
}

// writeWanted writes the selection of what is wanted below a node.
func writeWanted(b *strings.Builder, build *scan.Builder, at scan.Field) error {
	names, nodes := build.Wanted(at)
	if len(names) == 0 {
		return nil
	}
	b.WriteByte('{')
	for i, name := range names {
		if !validName(name) {
			return fmt.Errorf("%q is not a name that GraphQL knows", name)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name)
		if err := writeWanted(b, build, nodes[i]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// refusals are where a GraphQL answer says what went wrong (GraphQL §7.1.2, Errors).
type refusals struct {
	list chain
	path chain // of one error
	code chain // of one error
}

func wantRefusals(b *scan.Builder) *refusals {
	r := new(refusals)
	var at scan.Field
	at, r.list = member(b, scan.Root, []string{"errors"})
	var path scan.Field
	path, r.path = member(b, at, []string{"path"})
	b.Each(path)
	_, r.code = member(b, at, []string{"extensions", "code"})
	return r
}

// each calls f with every error of an answer.
func (r *refusals) each(t *scan.Tape, f func(elem)) {
	if list, ok := (elem{t, 0}).find(r.list); ok && t.Kind(list) == scan.Array {
		for n := t.First(list); n != scan.None; n = t.After(list, n) {
			f(elem{t, n})
		}
	}
}

// failure is what one error means for a part.
func (r *refusals) failure(e elem) failure {
	at, ok := e.find(r.code)
	if !ok {
		return failure{code: codeFailed}
	}
	switch strings.Trim(string(e.tape.Span(at)), `"`) {
	case "NOT_FOUND":
		return failure{codeNotFound, 404}
	case "UNAUTHENTICATED":
		return failure{codeUnauthorized, 401}
	case "FORBIDDEN":
		return failure{codeUnauthorized, 403}
	case "BAD_REQUEST", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED":
		return failure{codeRefused, 400}
	case "TIMEOUT", "GATEWAY_TIMEOUT":
		return failure{code: codeTimeout}
	case "UNAVAILABLE", "SERVICE_UNAVAILABLE":
		return failure{code: codeUnavailable}
	}
	return failure{code: codeFailed}
}

// refused tells whether the errors of an answer leave nothing of it. Errors deeper
// inside leave null where they happened, unless the call is strict.
func (x *run) refused(s *fetchState, c *callState) failure {
	first := failure{}
	s.f.refusals.each(c.tape, func(e elem) {
		if first.code == codeOK {
			first = s.f.refusals.failure(e)
		}
	})
	if first.code == codeOK {
		return first
	}
	x.blame(s.f, fmt.Errorf("its answer has errors (%s)", first.code))
	at, ok := (elem{c.tape, 0}).find(s.f.body)
	if s.f.call.strict || !ok || c.tape.Kind(at) == scan.Null {
		return first
	}
	c.flaw = first.code
	return failure{}
}

// refusedElements gives keys whose element is null the error that says why. What is
// left of the errors is a flaw of the answer.
func (s *fetchState) refusedElements(c *callState) {
	if s.f.refusals == nil {
		return
	}
	c.flaw = codeOK
	s.f.refusals.each(c.tape, func(e elem) {
		fail := s.f.refusals.failure(e)
		if i := s.index(e); i >= 0 && c.from+i < c.to && !s.heads[c.from+i].found {
			s.heads[c.from+i].failure = fail
			return
		}
		c.flaw = fail.code
	})
}

// index is the place in the list of elements that an error's path names, or -1.
func (s *fetchState) index(e elem) int {
	path, ok := e.find(s.f.refusals.path)
	if !ok || e.tape.Kind(path) != scan.Array {
		return -1
	}
	depth := len(s.f.call.at) - 1 // of the index: data is not part of a path
	for n := e.tape.First(path); n != scan.None; n = e.tape.After(path, n) {
		if depth--; depth >= 0 {
			continue
		}
		if i, ok := intOf(e.tape.Span(n)); ok {
			return i
		}
		break
	}
	return -1
}

// noteFlaws tells the client of errors inside answers that were used all the same:
// such an answer is not complete.
func (x *run) noteFlaws() {
	for _, f := range x.p.fetches {
		if f.refusals == nil || len(f.feeds) == 0 {
			continue
		}
		for i := range x.fetches[f.id].calls {
			if flaw := x.fetches[f.id].calls[i].flaw; flaw != codeOK {
				x.noteAt(f.feeds[0].shown, flaw)
			}
		}
	}
}
