package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/maru-msa/maru/scan"
)

// fault is what is wrong with a selection, by its byte offset in the text.
type fault struct {
	at      int
	text    string
	fix     string
	example string
	warn    bool
}

// operation is what one plan is compiled from.
type operation struct {
	name      string
	client    string
	mutation  bool
	graphql   bool
	sel       []Selection
	inputs    []input
	parts     map[string]policy
	fragments map[string][]Selection // besides those of the graph
}

// compiler makes one plan.
type compiler struct {
	g      *Graph
	op     *operation
	p      *Plan
	faults []fault
	open   []string // fragments being spread
	fields int
	last   *fetch // the last unsafe one
	merged map[string]*fetch
}

// compile makes the plan of an operation, or says everything that is wrong.
func (g *Graph) compile(op *operation) (*Plan, []fault) {
	c := &compiler{
		g: g, op: op, merged: make(map[string]*fetch),
		p: &Plan{Name: op.name, Client: op.client, graph: g, serial: g.serial.Add(1), inputs: op.inputs, graphql: op.graphql, inTurn: op.graphql && op.mutation},
	}
	top := &level{bound: 1, bounded: true, required: true}
	c.p.levels = []*level{top}
	c.p.root = &object{}
	top.sub = c.p.root
	c.roots(op.sel, c.p.root, nil)
	c.finish()
	if slices.ContainsFunc(c.faults, func(f fault) bool { return !f.warn }) {
		return nil, c.faults
	}
	return c.p, c.faults
}

func (c *compiler) fail(at int, format string, args ...any) *fault {
	c.faults = append(c.faults, fault{at: at, text: fmt.Sprintf(format, args...)})
	return &c.faults[len(c.faults)-1]
}

// roots compiles the selection's first set.
func (c *compiler) roots(sel []Selection, out *object, guards []guard) {
	roots := c.g.queries
	if c.op.mutation {
		roots = c.g.mutations
	}
	for i := range sel {
		s := &sel[i]
		if c.spread(s, guards, func(sub []Selection, g []guard) { c.roots(sub, out, g) }) {
			continue
		}
		if s.Name == "__typename" {
			name := "Query"
			if c.op.mutation {
				name = "Mutation"
			}
			c.add(out, s, outField{kind: outConst, value: []byte(`"` + name + `"`), guards: c.guards(s, guards)})
			continue
		}
		r := roots[s.Name]
		if r == nil {
			c.fail(s.At, "there is no root %q", s.Name).fix = nearest(s.Name, maps.Keys(roots))
			continue
		}
		before := len(c.p.fetches)
		if c.op.graphql && c.op.mutation {
			c.merged = make(map[string]*fetch) // nothing is shared between them
		}
		c.root(r, s, out, guards)
		if c.op.graphql && c.op.mutation && before < len(c.p.fetches) {
			f := c.p.fetches[before]
			f.after, f.behind = nil, slices.Clone(c.p.fetches[:before])
		}
	}
}

// spread inlines a fragment, and tells whether s was one.
func (c *compiler) spread(s *Selection, guards []guard, inline func([]Selection, []guard)) bool {
	if !s.Spread {
		return false
	}
	if s.Name == "" {
		if s.On == "" || c.op.graphql && len(c.unionOf(s.On)) == 0 {
			inline(s.Sub, c.guards(s, guards))
			return true
		}
		return false // a type condition: the caller knows the type
	}
	if len(s.Path) > 0 || len(s.Args) > 0 {
		return false
	}
	sub := c.op.fragments[s.Name]
	if sub == nil {
		sub = c.g.fragments[s.Name]
	}
	if sub == nil {
		return false
	}
	if len(s.Sub) > 0 {
		c.fail(s.At, "%q is both a fragment and lifted here", s.Name).fix = "give the fragment another name"
		return true
	}
	if slices.Contains(c.open, s.Name) {
		c.fail(s.At, "the fragment %q spreads itself", s.Name).fix = "write out what it holds"
		return true
	}
	c.open = append(c.open, s.Name)
	inline(sub, c.guards(s, guards))
	c.open = c.open[:len(c.open)-1]
	return true
}

func (c *compiler) unionOf(name string) []*graphType {
	if t := c.g.types[name]; t != nil {
		return t.union
	}
	return nil
}

// guards are those of the place with those of s: @include and @skip.
func (c *compiler) guards(s *Selection, outer []guard) []guard {
	out := slices.Clone(outer)
	for i := range s.Directives {
		d := &s.Directives[i]
		if d.Name != "include" && d.Name != "skip" {
			continue
		}
		v, ok := d.arg("if")
		if !ok || len(d.Args) != 1 {
			c.fail(d.At, "@%s needs if: and nothing else", d.Name).fix = "write @" + d.Name + "(if: input)"
			continue
		}
		c.value(v, d.At)
		out = append(out, guard{value: v, want: d.Name == "include"})
	}
	return out
}

// value checks that a variable is an input.
func (c *compiler) value(v Value, at int) {
	if v.Var == "" {
		return
	}
	if c.input(v.Var) < 0 {
		names := make(map[string]bool)
		for _, in := range c.op.inputs {
			names[in.name] = true
		}
		c.fail(at, "there is no input %q", v.Var).fix = nearest(v.Var, maps.Keys(names))
	}
}

func (c *compiler) input(name string) int {
	return slices.IndexFunc(c.op.inputs, func(in input) bool { return in.name == name })
}

// add puts a member into an object; a name that is there twice is a fault.
func (c *compiler) add(out *object, s *Selection, f outField) {
	if f.name = s.Out(); !f.lift {
		for i := range out.fields {
			if out.fields[i].name == f.name && !out.fields[i].lift && !exclusive(out.fields[i].guards, f.guards) {
				c.fail(s.At, "the member %q is here twice", f.name).fix = "give one of them another name: new: " + s.Name
				return
			}
		}
		f.lit = quoteJSON(f.name) + ":"
	}
	if s.Default != "" {
		f.def = []byte(s.Default)
	}
	if c.fields++; c.fields > maxFields {
		if c.fields == maxFields+1 {
			c.fail(s.At, "more than %d fields are selected", maxFields)
		}
		return
	}
	out.fields = append(out.fields, f)
}

// maxFields is how many fields one plan may have.
const maxFields = 10_000

// exclusive tells whether two members can't both be there: they are of
// different types of a union.
func exclusive(a, b []guard) bool {
	for _, x := range a {
		for _, y := range b {
			if x.tagIs != "" && y.tagIs != "" && x.tagIs != y.tagIs {
				return true
			}
		}
	}
	return false
}

// textual tells whether the key of a root is of type ID, whose values GraphQL takes
// and gives as text, whatever the source has (GraphQL §3.5.5).
func (c *compiler) textual(r *root) bool {
	return slices.ContainsFunc(r.of.key, func(k string) bool { return keyType(r.of, k) == "ID" })
}

// partName is the path of a part: the names in the answer from the top, lifts left out.
func (c *compiler) partName(parent *level, s *Selection) string {
	name := s.Out()
	if parent != nil && parent.name != "" {
		name = parent.name + "." + name
	}
	return name
}

// place registers a level.
func (c *compiler) place(lv *level, s *Selection, in *fetch, typ *graphType) {
	lv.id = len(c.p.levels)
	lv.order, lv.written = lv.id, s.At
	lv.in, lv.typ = in, typ
	if lv.fetch != nil {
		lv.elem = lv.fetch.elem
	}
	lv.sub = &object{}
	if lv.shown = lv.parent.shown; !s.Lift {
		lv.shown = strings.TrimPrefix(lv.shown+"."+s.Out(), ".")
	}
	lv.parent.children = append(lv.parent.children, lv)
	c.p.levels = append(c.p.levels, lv)
	if len(strings.Split(lv.name, ".")) > c.g.limits.Depth {
		c.fail(s.At, "the selection is deeper than %d", c.g.limits.Depth).fix = "select less, or raise limits.depth"
	}
}

// policy takes the part's policy, or its default.
func (c *compiler) policy(lv *level, s *Selection, def policyKind) {
	lv.policy = policy{kind: def}
	if lv.fetch != nil && lv.fetch.source.cfg.Optional || c.op.graphql {
		lv.policy.kind = policyNull
	}
	written, ok := c.op.parts[lv.name]
	if ok {
		lv.policy = written
	}
	if s.Default != "" {
		if ok {
			c.fail(s.At, "parts and ?? both say what stands in for %s", lv.name).fix = "keep one of the two"
		}
		lv.policy = policy{kind: policyDefault, def: []byte(s.Default)}
	}
}

// finishLevel compiles what a level shows, and adds it to the object around it.
func (c *compiler) finishLevel(lv *level, s *Selection, out *object, typ typeRef, guards []guard, src *field) {
	c.directives(lv, s)
	f := outField{
		kind: outLevel, level: lv, typ: typ, lift: s.Lift, guards: c.guards(s, guards), source: src,
	}
	if lv.post.first || lv.post.last {
		f.typ.list = false
	}
	switch {
	case lv.typ == nil && len(s.Sub) > 0:
		c.fail(s.At, "%s is a %s: nothing can be selected in it", s.Name, typ.name)
	case lv.typ != nil && len(s.Sub) == 0 && len(s.Path) == 0:
		c.fail(s.At, "%s is a %s: say which fields of it", s.Name, typ.name).fix =
			"write " + s.Name + " { " + strings.Join(firstFields(lv.typ), " ") + " }"
	}
	if s.Lift && lv.list && !lv.post.first && !lv.post.last {
		c.fail(s.At, "a list can't be lifted").fix = "give it a name, or take one element: @first"
	}
	if lv.typ != nil && len(lv.typ.union) > 0 {
		_, lv.tag = member(lv.in.build, lv.elem, strings.Split(lv.typ.tag, "."))
	}
	if lv.typ != nil {
		sub := s.Sub
		if len(s.Path) > 0 { // new: a.b.c is a { b { c } } with the names in between left out
			f.pluck = !s.Lift
			inner := Selection{Name: s.Path[0], Path: s.Path[1:], Sub: s.Sub, At: s.At, Lift: s.Lift, Spread: s.Lift}
			if len(inner.Path) == 0 && !s.Lift {
				inner.Alias = s.Path[0]
			}
			sub = []Selection{inner}
		}
		c.object(lv, lv.elem, lv.typ, sub, lv.sub, nil)
	} else if lv.in != nil {
		lv.in.build.Each(lv.elem)
	}
	c.add(out, s, f)
}

func firstFields(t *graphType) []string {
	if len(t.order) > 3 {
		return append(slices.Clone(t.order[:3]), "…")
	}
	return t.order
}

// object compiles a selection on elements of a type that lie at the node elem of
// lv's bodies.
func (c *compiler) object(lv *level, elem scan.Field, t *graphType, sel []Selection, out *object, guards []guard) {
	for i := range sel {
		s := &sel[i]
		if s.On != "" {
			c.condition(lv, elem, t, s, out, guards)
			continue
		}
		if c.spread(s, guards, func(sub []Selection, g []guard) { c.object(lv, elem, t, sub, out, g) }) {
			continue
		}
		if s.Name == "__typename" {
			c.typename(lv, elem, t, s, out, guards)
			continue
		}
		f := t.fields[s.Name]
		if f == nil {
			c.fail(s.At, "%s has no field %q", t.name, s.Name).fix = nearest(s.Name, maps.Keys(t.fields))
			continue
		}
		if f.link != nil {
			c.link(lv, elem, f, s, out, guards)
			continue
		}
		c.plain(lv, elem, t, f, s, out, guards)
	}
}

// condition compiles ... on Type { }.
func (c *compiler) condition(lv *level, elem scan.Field, t *graphType, s *Selection, out *object, guards []guard) {
	if s.On == t.name {
		c.object(lv, elem, t, s.Sub, out, c.guards(s, guards))
		return
	}
	i := slices.IndexFunc(t.union, func(m *graphType) bool { return m.name == s.On })
	if i < 0 {
		c.fail(s.At, "%s is never a %s", t.name, s.On)
		return
	}
	tag := guard{tagIs: s.On}
	_, tag.tag = member(lv.in.build, elem, strings.Split(t.tag, "."))
	c.object(lv, elem, t.union[i], s.Sub, out, append(c.guards(s, guards), tag))
}

func (c *compiler) typename(lv *level, elem scan.Field, t *graphType, s *Selection, out *object, guards []guard) {
	if len(t.union) > 0 {
		_, at := member(lv.in.build, elem, strings.Split(t.tag, "."))
		c.add(out, s, outField{kind: outLeaf, at: at, typ: typeRef{name: "String"}, guards: c.guards(s, guards)})
		return
	}
	c.add(out, s, outField{kind: outConst, value: []byte(`"` + t.name + `"`), guards: c.guards(s, guards)})
}

// plain compiles a field that lies in the element itself.
func (c *compiler) plain(lv *level, elem scan.Field, t *graphType, f *field, s *Selection, out *object, guards []guard) {
	c.noArgs(f, s)
	node, at := member(lv.in.build, elem, f.path)
	sub := c.g.types[f.typ.name]
	if sub == nil && !hasPost(s) {
		switch {
		case len(s.Sub) > 0:
			c.fail(s.At, "%s is a %s: nothing can be selected in it", s.Name, f.typ.name).fix =
				"give it a type: " + s.Name + `: "` + strings.Join(f.path, ".") + ` as Type"`
		case len(s.Path) > 0:
			c.fail(s.At, "%s is a %s: it has no %s", s.Name, f.typ.name, s.Path[0])
		}
		if len(f.path) > 1 || f.typ.list && f.typ.name != "JSON" {
			lv.in.build.Each(node) // a path over a list maps, and lists of scalars are checked one by one
		}
		typ := f.typ
		if c.op.graphql {
			typ = f.shown(slices.Contains(t.key, f.name))
		}
		c.add(out, s, outField{kind: outLeaf, at: at, typ: typ, guards: c.guards(s, guards), source: f})
		return
	}
	part := &level{
		name: c.partName(lv, s), parent: lv, at: at, list: f.typ.list, depth: lv.depth,
	}
	c.place(part, s, lv.in, sub)
	part.elem = node
	c.policy(part, s, policyNull)
	c.finishLevel(part, s, out, f.typ, guards, f)
}

func (c *compiler) noArgs(f *field, s *Selection) {
	for i := range s.Args {
		if name := s.Args[i].Name; name != "first" && name != "skip" {
			c.fail(s.Args[i].At, "%s has no argument %q", f.name, name)
		} else {
			c.value(s.Args[i].Value, s.Args[i].At)
		}
	}
}

// finish compiles masks and works out what waits for what.
func (c *compiler) finish() {
	for _, f := range c.p.fetches {
		if f.call.doc != nil {
			asked, err := f.call.ask(f.build, f.body)
			if err != nil {
				c.fail(0, "%s: %v", f.call.word(), err).fix = "give the field a path of names"
				continue
			}
			f.call = asked
		}
		rules := scan.ResponseRules()
		mask, err := f.build.Mask(rules)
		if err != nil {
			c.fail(0, "%v", err)
			continue
		}
		f.mask = mask
		for _, g := range f.gathers {
			if g.given == nil && !slices.Contains(f.waits, g.from) {
				f.waits = append(f.waits, g.from)
			}
		}
	}
	for _, lv := range c.p.levels[1:] {
		lv.required = lv.policy.kind == policyRequired && lv.parent.required
		lv.waits = 1 // its parent
		if lv.fetch != nil {
			lv.waits++
			lv.fetch.feeds = append(lv.fetch.feeds, lv)
			lv.fetch.required = lv.fetch.required || lv.required
		}
	}
	c.bound()
}
