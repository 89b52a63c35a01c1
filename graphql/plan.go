package graphql

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/maru-msa/maru/scan"
)

// plan is an operation for one outcome of its conditions.
type plan struct {
	op     *operation
	roots  []*node // what the engine answers
	metas  []*node // __schema and __type, which are answered here
	runner Runner  // nil when the engine has nothing to do
	vary   string  // the value of Vary
	slots  []*slot
	places []*ast.Position // by Selection.At
}

// node is one member of the answer: all fields of its name, merged (GraphQL
// §6.3.2, CollectFields).
type node struct {
	out    string
	fields []*ast.Field
	sub    []*node
	// types are the members by type, of a field that gives a union.
	types []typed
}

type typed struct {
	name string
	sub  []*node
}

// first is the field whose arguments count: validation has seen that all are equal.
func (n *node) first() *ast.Field { return n.fields[0] }

// slot is a value that the engine gets with each request.
type slot struct {
	id  string
	val *ast.Value
	typ *ast.Type
	def *ast.Value // the argument's own default; nil without
}

// maxConditions is how many variables @include and @skip may look at, maxPlans how
// many plans of one operation are kept.
const (
	maxConditions = 16
	maxPlans      = 32
)

// conditionsOf lists the variables of an operation on which it depends what is
// selected at all.
func conditionsOf(def *ast.OperationDefinition, doc *ast.QueryDocument) []string {
	names := make(map[string]bool)
	seen := make(map[string]bool)
	directives := func(list ast.DirectiveList) {
		for _, d := range list {
			if arg := d.Arguments.ForName("if"); (d.Name == "include" || d.Name == "skip") && arg != nil && arg.Value.Kind == ast.Variable {
				names[arg.Value.Raw] = true
			}
		}
	}
	var set func(ast.SelectionSet)
	set = func(list ast.SelectionSet) {
		for _, one := range list {
			switch s := one.(type) {
			case *ast.Field:
				directives(s.Directives)
				set(s.SelectionSet)
			case *ast.InlineFragment:
				directives(s.Directives)
				set(s.SelectionSet)
			case *ast.FragmentSpread:
				directives(s.Directives)
				if f := doc.Fragments.ForName(s.Name); f != nil && !seen[s.Name] {
					seen[s.Name] = true
					set(f.SelectionSet)
				}
			}
		}
	}
	set(def.SelectionSet)
	return slices.Sorted(maps.Keys(names))
}

// plan gives the plan for what the variables say about the conditions.
func (op *operation) plan(vars values) (*plan, *refusal) {
	key := make([]byte, len(op.conditions))
	for i, name := range op.conditions {
		key[i] = '0'
		if string(vars[name]) == "true" {
			key[i] = '1'
		}
	}
	op.mu.Lock()
	p := op.plans[string(key)]
	op.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, no := op.prepare(func(name string) bool { return string(vars[name]) == "true" })
	if no != nil {
		return nil, no
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	if len(op.plans) >= maxPlans {
		for one := range op.plans { // any will do: so many outcomes are nobody's habit
			delete(op.plans, one)
			break
		}
	}
	op.plans[string(key)] = p
	return p, nil
}

// prepare collects the fields and has the engine plan them. holds tells whether a
// condition's variable is true; nil takes every field, which is the most that the
// operation can ask for.
func (op *operation) prepare(holds func(string) bool) (*plan, *refusal) {
	p := &plan{op: op, vary: "Accept"}
	c := &collector{door: op.door, doc: op.doc.ast, holds: holds}
	root := op.door.schema.Query
	if op.def.Operation == ast.Mutation {
		root = op.door.schema.Mutation
	}
	all := c.members(root, []ast.SelectionSet{op.def.SelectionSet})
	for _, n := range all {
		if isMeta(n.first().Name) {
			p.metas = append(p.metas, n)
		} else {
			p.roots = append(p.roots, n)
		}
	}
	if c.fault != nil {
		return nil, c.fault
	}
	if len(p.roots) == 0 && len(p.metas) > 0 {
		return p, nil
	}
	o := &Operation{Name: op.def.Name, Mutation: op.def.Operation == ast.Mutation, Selection: p.selections(p.roots)}
	for _, s := range p.slots {
		o.Variables = append(o.Variables, Variable{Name: s.id, Type: s.typ.String()})
	}
	runner, faults := op.door.engine.Prepare(o)
	if len(faults) > 0 {
		return nil, p.refused(faults)
	}
	p.runner = runner
	p.vary = strings.Join(append([]string{p.vary}, runner.Vary()...), ", ")
	return p, nil
}

// refused is what the engine found wrong with an operation.
func (p *plan) refused(faults []Fault) *refusal {
	no := &refusal{kind: kindInvalid}
	for _, f := range faults[:min(len(faults), maxErrors)] {
		one := fault{code: "PLAN_REFUSED", text: f.Text}
		if f.Fix != "" {
			one.text += ": " + f.Fix
		}
		if f.At > 0 && f.At <= len(p.places) {
			one.at = []place{placeOf(p.places[f.At-1])}
		}
		no.faults = append(no.faults, one)
	}
	return no
}

// collector merges the fields of selection sets.
type collector struct {
	door  *Door
	doc   *ast.QueryDocument
	holds func(string) bool
	fault *refusal
}

// members are the members of an object of that type, in the order of the document.
func (c *collector) members(t *ast.Definition, sets []ast.SelectionSet) []*node {
	var out []*node
	seen := make(map[string]bool) // fragments: twice is no more than once
	for _, set := range sets {
		out = c.collect(t, set, seen, out)
	}
	for _, n := range out {
		c.below(n)
	}
	return out
}

func (c *collector) collect(t *ast.Definition, set ast.SelectionSet, seen map[string]bool, out []*node) []*node {
	for _, one := range set {
		switch s := one.(type) {
		case *ast.Field:
			if !c.included(s.Directives) {
				continue
			}
			name := s.Alias
			if name == "" {
				name = s.Name
			}
			i := slices.IndexFunc(out, func(n *node) bool { return n.out == name })
			if i < 0 {
				out = append(out, &node{out: name})
				i = len(out) - 1
			}
			out[i].fields = append(out[i].fields, s)
		case *ast.InlineFragment:
			if c.included(s.Directives) && c.applies(s.TypeCondition, t) {
				out = c.collect(t, s.SelectionSet, seen, out)
			}
		case *ast.FragmentSpread:
			f := c.doc.Fragments.ForName(s.Name)
			if seen[s.Name] || f == nil || !c.included(s.Directives) || !c.applies(f.TypeCondition, t) {
				continue
			}
			seen[s.Name] = true
			out = c.collect(t, f.SelectionSet, seen, out)
		}
	}
	return out
}

// applies tells whether a fragment's type condition takes objects of a type.
func (c *collector) applies(condition string, t *ast.Definition) bool {
	return condition == "" || condition == t.Name ||
		slices.ContainsFunc(c.door.schema.PossibleTypes[condition], func(d *ast.Definition) bool { return d.Name == t.Name })
}

// included decides @include and @skip (GraphQL §3.13.1).
func (c *collector) included(list ast.DirectiveList) bool {
	if c.holds == nil {
		return true
	}
	for _, d := range list {
		if d.Name != "include" && d.Name != "skip" {
			continue
		}
		arg := d.Arguments.ForName("if")
		if arg == nil {
			continue
		}
		holds := arg.Value.Raw == "true"
		if arg.Value.Kind == ast.Variable {
			holds = c.holds(arg.Value.Raw)
		}
		if holds != (d.Name == "include") {
			return false
		}
	}
	return true
}

// below collects what is selected in the values of a member.
func (c *collector) below(n *node) {
	var sets []ast.SelectionSet
	for _, f := range n.fields {
		if len(f.SelectionSet) > 0 {
			sets = append(sets, f.SelectionSet)
		}
		if c.fault == nil && shapeOf(f) != shapeOf(n.first()) {
			c.fault = invalid("GRAPHQL_VALIDATION_FAILED",
				fmt.Sprintf("Fields %q conflict because they have differing directives. Use different aliases on the fields.", n.out),
				placeOf(n.first().Position), placeOf(f.Position))
		}
	}
	if len(sets) == 0 {
		return
	}
	t := c.door.schema.Types[n.first().Definition.Type.Name()]
	if !t.IsAbstractType() {
		n.sub = c.members(t, sets)
		return
	}
	for _, possible := range c.door.schema.GetPossibleTypes(t) {
		n.types = append(n.types, typed{possible.Name, c.members(possible, sets)})
	}
}

// shapeOf is the text of the directives that shape a list.
func shapeOf(f *ast.Field) string {
	var b strings.Builder
	for _, d := range f.Directives {
		if d.Name == "include" || d.Name == "skip" {
			continue
		}
		b.WriteString("@" + d.Name)
		for _, a := range d.Arguments {
			b.WriteString(" " + a.Name + ":" + a.Value.String())
		}
	}
	return b.String()
}

// selections writes members as the engine takes them.
func (p *plan) selections(list []*node) []Selection {
	out := make([]Selection, 0, len(list))
	for _, n := range list {
		f := n.first()
		p.places = append(p.places, f.Position)
		s := Selection{Name: f.Name, At: len(p.places)}
		if n.out != f.Name {
			s.Alias = n.out
		}
		for _, def := range f.Definition.Arguments {
			if arg := f.Arguments.ForName(def.Name); arg != nil {
				s.Args = append(s.Args, p.arg(arg, def))
			}
		}
		for _, d := range f.Directives {
			if d.Name == "include" || d.Name == "skip" || d.Definition == nil {
				continue
			}
			one := Directive{Name: d.Name}
			for _, arg := range d.Arguments {
				if def := d.Definition.Arguments.ForName(arg.Name); def != nil {
					one.Args = append(one.Args, p.arg(arg, def))
				}
			}
			s.Directives = append(s.Directives, one)
		}
		s.Sub = p.selections(n.sub)
		for _, t := range n.types {
			s.Sub = append(s.Sub, Selection{On: t.name, At: s.At, Sub: p.selections(t.sub)})
		}
		out = append(out, s)
	}
	return out
}

// arg writes an argument: a literal, or a slot for what the variables make of it.
func (p *plan) arg(arg *ast.Argument, def *ast.ArgumentDefinition) Arg {
	if !hasVariable(arg.Value) {
		text, _ := appendLiteral(nil, arg.Value, def.Type, p.op.door.schema, nil)
		return Arg{Name: arg.Name, JSON: string(text)}
	}
	for _, s := range p.slots {
		if s.val.String() == arg.Value.String() && s.typ.String() == def.Type.String() && s.def.String() == def.DefaultValue.String() {
			return Arg{Name: arg.Name, Var: s.id}
		}
	}
	s := &slot{id: strconv.Itoa(len(p.slots)), val: arg.Value, typ: def.Type, def: def.DefaultValue}
	p.slots = append(p.slots, s)
	return Arg{Name: arg.Name, Var: s.id}
}

func hasVariable(v *ast.Value) bool {
	return v.Kind == ast.Variable || slices.ContainsFunc(v.Children, func(c *ast.ChildValue) bool { return hasVariable(c.Value) })
}

// bind gives the slots their values.
func (p *plan) bind(vars values) [][]byte {
	out := make([][]byte, len(p.slots))
	for i, s := range p.slots {
		out[i] = s.value(vars, p.op.door.schema)
	}
	return out
}

func (s *slot) value(vars values, schema *ast.Schema) []byte {
	if text, ok := appendLiteral(nil, s.val, s.typ, schema, vars); ok {
		return text
	}
	if s.def != nil {
		text, _ := appendLiteral(nil, s.def, s.typ, schema, nil)
		return text
	}
	return nil
}

// fault is the error of a part, with the place of its field in the document.
func (p *plan) fault(e PartError) fault {
	f := fault{code: strings.ToUpper(strings.ReplaceAll(e.Code, "-", "_")), text: partText(e.Code), path: e.Path}
	list := p.roots
	for _, part := range e.Path {
		if part.Name == "" {
			continue
		}
		n := find(list, part.Name)
		if n == nil {
			break
		}
		f.at = []place{placeOf(n.first().Position)}
		if list = n.sub; len(n.types) > 0 {
			list = nil
			for _, t := range n.types {
				list = append(list, t.sub...)
			}
		}
	}
	return f
}

func find(list []*node, name string) *node {
	for _, n := range list {
		if n.out == name {
			return n
		}
	}
	return nil
}

// partText says a code in words; nothing of a service reaches a client.
func partText(code string) string {
	switch code {
	case "timeout", "no-time", "laggard":
		return "this part did not come in time"
	case "unavailable":
		return "this part is not available now"
	case "refused", "failed", "invalid":
		return "this part could not be had"
	case "unauthorized":
		return "this part may not be read"
	case "not-found", "unpaired":
		return "this part does not exist"
	case "mismatch":
		return "this part is not of its type"
	case "too-large", "limit":
		return "this part is too large"
	case "invalid-key":
		return "this part has no proper key"
	}
	return "this part has failed"
}

// data writes the data of an answer: what the engine gave, and what is known here.
func (d *Door) data(out *scan.Output, parts Answer, p *plan, vars values) {
	if len(p.metas) == 0 {
		if parts == nil {
			out.Literal("{}")
			return
		}
		parts.Data(out)
		return
	}
	m := &metaWriter{out: out, schema: d.schema, vars: vars}
	var own scan.Output
	if parts != nil {
		if parts.Data(&own); own.Len() == len("null") {
			out.Literal("null")
			return
		}
	}
	out.Byte('{')
	if text := own.Bytes(); len(text) > len("{}") {
		out.Span(text[1 : len(text)-1])
		out.Byte(',')
	}
	m.members(schemaThing{d.schema}, p.metas)
	out.Byte('}')
}
