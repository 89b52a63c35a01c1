package contract

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/scan"
)

// direction is which way a message goes.
type direction uint8

const (
	toService direction = iota
	toClient
)

// maxSchemas bounds the schemas of one contract.
const maxSchemas = 20_000

// compiler makes programs of schemas.
type compiler struct {
	*loader

	openapi bool // the schemas stand in an OpenAPI document
	old     bool // of version 3.0
	formats map[string]scan.Format
	schemas map[compiled]*scan.Schema
	bundle  bundle

	coverage []Coverage
	unknown  map[string]bool // formats that were warned of
	known    map[string][]Kind
	words    []string // of known
	looked   map[*Node]bool
}

// compiled names a schema that was compiled.
type compiled struct {
	node *Node
	way  direction
}

func newCompiler(l *loader, openapi, old bool) *compiler {
	c := &compiler{
		loader: l, openapi: openapi, old: old, formats: formats(),
		schemas: make(map[compiled]*scan.Schema), unknown: make(map[string]bool),
	}
	c.bundle.c = c
	return c
}

// rules are the scan's for messages that go that way.
func rules(way direction) scan.Rules {
	if way == toService {
		return scan.RequestRules()
	}
	return scan.ResponseRules()
}

// program makes the program of a schema; bundle.finish completes it.
func (c *compiler) program(doc *document, n *Node, way direction) *scan.Program {
	s := &scan.Schema{Place: c.place(doc, n)}
	if c.opt.Fallback || c.raw(doc) {
		s.Foreign = c.bundle.foreign(doc, n, way)
	} else {
		s = c.schema(doc, n, way)
	}
	if !c.sound() {
		return nil
	}
	p, err := scan.Compile(s, nil, rules(way))
	if errors.Is(err, scan.ErrUndecided) {
		c.covered(doc, n, err.Error())
		s = &scan.Schema{Place: c.place(doc, n), Foreign: c.bundle.foreign(doc, n, way)}
		p, err = scan.Compile(s, nil, rules(way))
	}
	if err != nil {
		c.fault(n, "schema", "the schema can't be compiled: "+err.Error(), "mend it there")
		return nil
	}
	return p
}

// sound tells whether nothing wrong was found so far.
func (c *compiler) sound() bool {
	errs, _ := diag.Count(c.findings)
	return errs == 0
}

// place names a schema in its document.
func (c *compiler) place(doc *document, n *Node) string {
	return doc.name + "#" + doc.pointers[n]
}

// covered notes that a schema goes to the reference validator.
func (c *compiler) covered(doc *document, n *Node, keyword string) {
	for i := range c.coverage {
		if c.coverage[i].Position == n.Position && c.coverage[i].Keyword == keyword {
			return
		}
	}
	c.coverage = append(c.coverage, Coverage{Position: n.Position, Schema: c.place(doc, n), Keyword: keyword})
}

// schema makes a schema of a node.
func (c *compiler) schema(doc *document, n *Node, way direction) *scan.Schema {
	at := compiled{n, way}
	if s := c.schemas[at]; s != nil {
		return s
	}
	s := &scan.Schema{Place: c.place(doc, n)}
	c.schemas[at] = s
	switch {
	case len(c.schemas) > maxSchemas:
		c.fault(n, "limit", fmt.Sprintf("the contract has more than %d schemas", maxSchemas), "split it")
		return s
	case n.Kind == Bool:
		s.Never = n.Text == "false"
		return s
	case n.Kind != Object:
		c.fault(n, "type", "a schema is an object, true or false", "write one such as {type: string}")
		return s
	}
	c.look(n)
	if c.circle(doc, n, n, make(map[*Node]bool)) {
		c.fault(n, "reference", "the schema refers to itself without going into the value", "let the circle pass a property or an element")
		return s
	}
	if ref := n.Get("$ref"); ref != nil {
		if to, target := c.target(doc, ref); target != nil {
			s.All = append(s.All, c.schema(to, target, way))
		}
		if c.old {
			return s
		}
	}
	if keyword := c.undecided(doc, n); keyword != "" {
		c.covered(doc, n, keyword)
		s.All = nil
		s.Foreign = c.bundle.foreign(doc, n, way)
		return s
	}
	c.fill(s, doc, n, way)
	return s
}

// target follows a $ref to a schema, and refuses references that only lead in a circle.
func (c *compiler) target(doc *document, ref *Node) (*document, *Node) {
	to, target := c.resolve(doc, ref)
	at, next := to, target
	for range maxDepth {
		if next == nil || next.Get("$ref") == nil || !c.old && len(next.Entries) > 1 {
			return to, target
		}
		at, next = c.resolve(at, next.Get("$ref"))
	}
	c.fault(ref, "reference", "the references lead in a circle", "let one of them be a schema")
	return nil, nil
}

// circle tells whether what holds at the same place as n comes back to start.
func (c *compiler) circle(doc *document, n, start *Node, seen map[*Node]bool) bool {
	back := func(to *document, next *Node) bool {
		if next == nil || next.Kind != Object {
			return false
		}
		if next == start {
			return true
		}
		if seen[next] {
			return false
		}
		seen[next] = true
		return c.circle(to, next, start, seen)
	}
	if ref := n.Get("$ref"); ref != nil && (c.openapi || strings.HasPrefix(ref.Text, "#")) {
		if to, target := c.resolve(doc, ref); back(to, target) {
			return len(n.Entries) > 1 || n != start || target != start // a pure one is told by target
		}
		if c.old {
			return false
		}
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		for _, item := range items(n.Get(keyword)) {
			if back(doc, item) {
				return true
			}
		}
	}
	return n.has("not") && back(doc, n.Get("not"))
}

// fill reads the keywords that a scan decides.
func (c *compiler) fill(s *scan.Schema, doc *document, n *Node, way direction) {
	s.Types = c.types(n)
	s.Literal = c.opt.Integers == "literal"
	if list := n.Get("enum"); list != nil {
		for _, v := range list.Items {
			s.Enum = append(s.Enum, v.json())
		}
	}
	if v := n.Get("const"); v != nil && !c.old {
		s.Const = v.json()
	}
	c.bounds(s, n)
	s.Length, s.Members, s.Count = c.span(n, "Length"), c.span(n, "Properties"), c.span(n, "Items")
	c.texts(s, n)
	c.object(s, doc, n, way)
	c.array(s, doc, n, way)
	for _, also := range items(n.Get("allOf")) {
		s.All = append(s.All, c.schema(doc, also, way))
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		if list := items(n.Get(keyword)); list != nil {
			c.choice(s, keyword, doc, list, way)
		}
	}
}

// items are a list's; none of what is no list.
func items(n *Node) []*Node {
	if n == nil || n.Kind != List {
		return nil
	}
	return n.Items
}

// typeBit is the type of that name; 0 is none.
func typeBit(name string) scan.Types {
	i := slices.Index([]string{"null", "boolean", "integer", "number", "string", "array", "object"}, name)
	if i < 0 {
		return 0
	}
	return 1 << i
}

// types reads type, and nullable of 3.0.
func (c *compiler) types(n *Node) scan.Types {
	t := n.Get("type")
	if t == nil {
		return 0
	}
	names := []*Node{t}
	if t.Kind == List && !c.old {
		names = t.Items
	}
	var out scan.Types
	for _, name := range names {
		bit := typeBit(name.Text)
		if bit == 0 || name.Kind != String || c.old && name.Text == "null" {
			c.fault(name, "type", fmt.Sprintf("%q is no type", name.Text), "write string, number, integer, boolean, array or object")
		}
		out |= bit
	}
	if c.old && n.is("nullable") {
		out |= scan.TypeNull
	}
	return out
}

// number is the text of a member that has to be a number.
func (c *compiler) number(n *Node, name string) string {
	v := n.Get(name)
	switch {
	case v == nil:
		return ""
	case v.Kind != Number:
		c.fault(v, "type", name+" is a number", "write it without quotes")
		return ""
	}
	return v.Text
}

// bounds reads the keywords of numbers.
func (c *compiler) bounds(s *scan.Schema, n *Node) {
	s.Minimum, s.Maximum, s.MultipleOf = c.number(n, "minimum"), c.number(n, "maximum"), c.number(n, "multipleOf")
	if strings.HasPrefix(s.MultipleOf, "-") || strings.Trim(s.MultipleOf, "0.") == "" && s.MultipleOf != "" {
		c.fault(n.Get("multipleOf"), "value", "multipleOf is more than 0", "write a positive number")
	}
	if !c.old {
		s.ExclusiveMinimum, s.ExclusiveMaximum = c.number(n, "exclusiveMinimum"), c.number(n, "exclusiveMaximum")
		return
	}
	if n.is("exclusiveMinimum") {
		s.Minimum, s.ExclusiveMinimum = "", s.Minimum
	}
	if n.is("exclusiveMaximum") {
		s.Maximum, s.ExclusiveMaximum = "", s.Maximum
	}
}

// span reads a pair such as minLength and maxLength.
func (c *compiler) span(n *Node, things string) scan.Range {
	var r scan.Range
	if v := n.Get("min" + things); v != nil {
		r.Min = c.count(v)
	}
	if v := n.Get("max" + things); v != nil {
		r.Max, r.Bounded = c.count(v), true
	}
	return r
}

// count reads a number of things: 2.0 is one too.
func (c *compiler) count(v *Node) int {
	const most = 1 << 31
	if r, valid := new(big.Rat).SetString(v.Text); v.Kind == Number && len(v.Text) < 20 && valid && r.IsInt() && r.Sign() >= 0 {
		if r.Num().Cmp(big.NewInt(most)) > 0 {
			return most
		}
		return int(r.Num().Int64())
	}
	c.fault(v, "value", fmt.Sprintf("%q is no number of things", v.Text), "write 0 or more")
	return 0
}

// texts reads pattern and format.
func (c *compiler) texts(s *scan.Schema, n *Node) {
	if p := n.Get("pattern"); p != nil {
		list, err := patterns(p.Text)
		if err != nil {
			c.pattern(p, err)
		}
		s.Patterns = append(s.Patterns, list...)
	}
	name := n.str("format")
	if name == "" || c.opt.Formats == "annotate" {
		return
	}
	f, known := c.formats[name]
	if known {
		s.Formats = append(s.Formats, f)
	} else if !c.unknown[name] {
		c.unknown[name] = true
		if !slices.Contains([]string{"password", "binary", "idn-email", "idn-hostname", "iri", "iri-reference", "uri-template", "relative-json-pointer"}, name) {
			c.warn(n.Get("format"), "format", fmt.Sprintf("the format %q is not known and so not checked", name), "")
		}
	}
}

// pattern tells of a pattern that can't be compiled.
func (c *compiler) pattern(p *Node, err error) {
	if c.opt.Patterns == "skip" {
		c.warn(p, "pattern", err.Error()+"; it is not checked", "")
		return
	}
	c.fault(p, "pattern", err.Error(), "rewrite it, or write patterns: skip for this contract: it is not checked then")
}

// object reads the keywords of objects.
func (c *compiler) object(s *scan.Schema, doc *document, n *Node, way direction) {
	if list := n.Get("properties"); list != nil {
		s.Properties = make(map[string]*scan.Schema, len(list.Entries))
		for _, e := range list.Entries {
			s.Properties[e.Key.Text] = c.member(doc, e.Value, way)
		}
	}
	for _, name := range items(n.Get("required")) {
		if !c.excused(doc, n, name.Text, way) {
			s.Required = append(s.Required, name.Text)
		}
	}
	if more := n.Get("additionalProperties"); more != nil {
		s.Additional = c.schema(doc, more, way)
	}
	if c.old {
		return
	}
	if list := n.Get("patternProperties"); list != nil {
		for _, e := range list.Entries {
			all, err := patterns(e.Key.Text)
			if err != nil {
				c.pattern(e.Key, err)
				continue
			}
			s.PatternProperties = append(s.PatternProperties, scan.PatternProperty{Expr: all[0].Expr, Schema: c.schema(doc, e.Value, way)})
		}
	}
	if names := n.Get("propertyNames"); names != nil {
		s.Names = c.schema(doc, names, way)
	}
	if list := n.Get("dependentRequired"); list != nil {
		s.Dependent = make(map[string][]string)
		for _, e := range list.Entries {
			for _, name := range items(e.Value) {
				s.Dependent[e.Key.Text] = append(s.Dependent[e.Key.Text], name.Text)
			}
		}
	}
}

// member is the schema of a property, which may be for one direction only.
func (c *compiler) member(doc *document, n *Node, way direction) *scan.Schema {
	s := c.schema(doc, n, way)
	if !c.openapi {
		return s
	}
	keyword := ""
	switch {
	case way == toClient && c.marked(doc, n, "writeOnly"):
		keyword = "writeOnly"
	case way == toService && c.opt.ReadOnly == "refuse" && c.marked(doc, n, "readOnly"):
		keyword = "readOnly"
	default:
		return s
	}
	return &scan.Schema{Place: s.Place + "/" + keyword, Never: true}
}

// marked tells whether a property, or what it refers to, is readOnly or writeOnly.
func (c *compiler) marked(doc *document, n *Node, mark string) bool {
	if n.is(mark) {
		return true
	}
	if ref := n.Get("$ref"); ref != nil && ref.Kind == String {
		if _, target := c.target(doc, ref); target != nil {
			return target.is(mark)
		}
	}
	return false
}

// excused tells whether a required member need not be there in this direction.
func (c *compiler) excused(doc *document, n *Node, name string, way direction) bool {
	if !c.openapi || c.opt.Direction == "strict" && !c.old {
		return false
	}
	p := n.Get("properties").Get(name)
	mark := "readOnly"
	if way == toClient {
		mark = "writeOnly"
	}
	return p != nil && c.marked(doc, p, mark)
}

// array reads the keywords of arrays.
func (c *compiler) array(s *scan.Schema, doc *document, n *Node, way direction) {
	s.Unique = n.is("uniqueItems")
	if !c.old {
		for _, item := range items(n.Get("prefixItems")) {
			s.Prefix = append(s.Prefix, c.schema(doc, item, way))
		}
	}
	if all := n.Get("items"); all != nil {
		s.Items = c.schema(doc, all, way)
	}
}

// choice makes a oneOf or anyOf of which something decides the branch; undecided
// has seen to it that something does.
func (c *compiler) choice(s *scan.Schema, keyword string, doc *document, list []*Node, way direction) {
	if len(list) == 1 {
		s.All = append(s.All, c.schema(doc, list[0], way))
		return
	}
	d, _ := c.decide(doc, list)
	branch := func(i int) *scan.Schema { return c.schema(doc, list[i], way) }
	var tagged *scan.Choice
	if d.tag != "" {
		tagged = &scan.Choice{Keyword: keyword, Tag: d.tag}
		for _, i := range d.objects {
			tagged.Branches = append(tagged.Branches, scan.Branch{Tags: d.shapes[i].tags[d.tag], Schema: branch(i)})
		}
	}
	if len(d.objects) == len(list) && tagged != nil {
		s.Choices = append(s.Choices, tagged)
		return
	}
	byType := &scan.Choice{Keyword: keyword}
	if tagged != nil {
		byType.Branches = append(byType.Branches, scan.Branch{
			Types: scan.TypeObject, Schema: &scan.Schema{Place: s.Place, Choices: []*scan.Choice{tagged}},
		})
	}
	for i := range list {
		if tagged == nil || !slices.Contains(d.objects, i) {
			byType.Branches = append(byType.Branches, scan.Branch{Types: d.shapes[i].types, Schema: branch(i)})
		}
	}
	s.Choices = append(s.Choices, byType)
}

// plain tells whether a name's expression is one that a scan can use.
func plain(source string) (*regexp.Regexp, bool) {
	list, err := patterns(source)
	if err != nil || len(list) != 1 {
		return nil, err != nil // an error is told later
	}
	return list[0].Expr, true
}
