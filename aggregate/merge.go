package aggregate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"cel.dev/cel-go/cel"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/scan"
)

// merge is a view without a graph: whole answers under their names, or merged
// into one object.
type merge struct {
	entries []*entry
}

// entry is one call of a merge. Its level has one row: the answer.
type entry struct {
	name   string // "" merges the answer's members into the object
	concat bool
	level  *level
	fetch  *fetch
	when   *entryCondition
	lit    string
	// named are members of an answer without a name that another entry refers to:
	// the scanner knows them by number.
	named map[scan.Field]string
}

// part is a piece of an entry's answer.
type part struct {
	elem

	of *entry
}

// reference is a value of another entry's answer.
type reference struct {
	entry *entry
	way   chain
}

// entryCondition is when: over inputs and other answers.
type entryCondition struct {
	program cel.Program
	entries map[string]*entry
	inputs  map[string]int
}

// mergeView compiles merge:.
func (b *builder) mergeView(v *View, at string) {
	m := &mergeBuilder{
		b: b, v: v, at: at, p: &Plan{Name: v.Route, graph: b.g, serial: b.g.serial.Add(1), inputs: v.inputs, merge: new(merge)},
		names: make(map[string]*entry),
	}
	top := &level{bound: 1, bounded: true, required: true, sub: &object{}}
	m.p.levels = []*level{top}
	for i := range v.cfg.Merge {
		m.entry(i)
	}
	for i, e := range m.p.merge.entries {
		m.refer(i, e)
	}
	for part := range v.parts {
		if m.names[part] == nil {
			m.b.f.at(at+".parts."+part, "there is no part %q", part).WithFix("%s", nearest(part, maps.Keys(m.names)))
		}
	}
	if m.cycle() {
		return
	}
	m.finish()
	v.settle(m.p)
	v.plans[""] = m.p
	v.vary = b.varyOf(v)
	b.g.views[v.Route] = v
}

type mergeBuilder struct {
	b     *builder
	v     *View
	at    string
	p     *Plan
	names map[string]*entry
	last  *fetch
	order []int // of entries in p.merge.entries, by their place in the file
}

func (m *mergeBuilder) where(i int) string { return diag.Index(m.at+".merge", i) }

// entry makes an entry's fetch and level.
func (m *mergeBuilder) entry(i int) {
	call := m.b.call(&m.v.cfg.Merge[i], m.where(i))
	if call == nil {
		return
	}
	src := m.b.g.sources[call.source]
	if src == nil {
		return
	}
	if call.doc != nil {
		m.b.f.at(m.where(i), "a GraphQL source answers only what is selected, and a merge takes whole answers").
			WithFix("make it a field of Query below graph:, and select it")
		return
	}
	f := &fetch{
		id: len(m.p.fetches), call: call, source: src, build: new(scan.Builder), slots: make(map[*variable]slot),
		stats: new(nodeStats), depth: 1, order: i, maxCalls: 1, maxKeys: 1,
	}
	f.elem, f.body = member(f.build, scan.Root, call.at)
	if !call.safe() {
		f.after, m.last = m.last, f
	}
	e := &entry{name: call.as, concat: call.concat, fetch: f}
	name := call.as
	if name == "" {
		name = call.source
		f.build.All(f.elem)
	} else {
		e.lit = quoteJSON(name) + ":"
	}
	if e.concat {
		f.build.Each(f.elem)
	}
	if old := m.names[name]; old != nil && call.as != "" && !(e.concat && old.concat) && m.v.cfg.Conflict != "order" {
		m.b.f.at(m.where(i), "the name %q is taken by another entry", name).
			WithFix("give it another name, write %s[] on both to join lists, or conflict: order", name)
	}
	e.level = &level{
		id: len(m.p.levels), name: name, shown: name, parent: m.p.levels[0], fetch: f, gather: -1, in: f, elem: f.elem,
		waits: 2, depth: 1, bound: 1, bounded: true, order: i, policy: policy{kind: policyRequired},
	}
	if src.cfg.Optional {
		e.level.policy.kind = policyNull
	}
	if p, ok := m.v.parts[name]; ok {
		e.level.policy = p
	}
	e.level.required = e.level.policy.kind == policyRequired
	f.required = e.level.required
	f.feeds = []*level{e.level}
	m.p.levels[0].children = append(m.p.levels[0].children, e.level)
	m.p.levels = append(m.p.levels, e.level)
	m.p.fetches = append(m.p.fetches, f)
	m.p.merge.entries = append(m.p.merge.entries, e)
	m.names[name] = e
	m.order = append(m.order, i)
}

// refer finds what the variables of an entry stand for.
func (m *mergeBuilder) refer(n int, e *entry) {
	at := m.where(m.order[n])
	e.fetch.call.variables(func(v *variable) {
		s, ok := m.bind(e, v)
		if !ok {
			known := make(map[string]bool)
			for name := range m.names {
				known[name] = true
			}
			for _, in := range m.v.inputs {
				known[in.name] = true
			}
			m.b.f.at(at, "nothing gives {%s}", v.text).WithFix("%s", nearest(v.name, maps.Keys(known)))
		}
		e.fetch.slots[v] = s
	})
	if e.fetch.call.when != "" {
		m.when(at, e)
	}
}

func (m *mergeBuilder) bind(e *entry, v *variable) (slot, bool) {
	if other := m.names[v.name]; other != nil && other != e {
		node, way := member(other.fetch.build, other.fetch.elem, v.path)
		other.fetch.build.Each(node)
		other.keep(way, v.path)
		m.await(e, other)
		return slot{kind: slotRef, ref: &reference{entry: other, way: way}}, true
	}
	if len(v.path) == 0 && slices.ContainsFunc(m.v.inputs, func(in input) bool { return in.name == v.name }) {
		return slot{kind: slotArg, arg: Value{Var: v.name}}, true
	}
	switch {
	case v.hasDef:
		return slot{kind: slotArg, arg: Value{JSON: literalOf(v.def)}}, true
	case v.optional:
		return slot{kind: slotNone}, true
	}
	return slot{}, false
}

// keep lets the members on a way be written under their names, with all they hold,
// when the whole answer is.
func (e *entry) keep(way chain, path []string) {
	if e.name != "" {
		return
	}
	if e.named == nil {
		e.named = make(map[scan.Field]string)
	}
	for i, f := range way {
		e.fetch.build.All(f)
		e.named[f] = path[i]
	}
}

// await makes an entry wait for another.
func (m *mergeBuilder) await(e, other *entry) {
	if !slices.Contains(e.fetch.waits, other.level) {
		e.fetch.waits = append(e.fetch.waits, other.level)
		e.fetch.depth = max(e.fetch.depth, other.fetch.depth+1)
	}
}

// when compiles a condition.
func (m *mergeBuilder) when(at string, e *entry) {
	c := &condition{text: e.fetch.call.when}
	e.when = &entryCondition{entries: make(map[string]*entry), inputs: make(map[string]int)}
	options := []cel.EnvOption{cel.CrossTypeNumericComparisons(true)}
	for name, other := range m.names {
		if other != e && validName(name) {
			options = append(options, cel.Variable(name, cel.DynType))
		}
	}
	for i, in := range m.v.inputs {
		if m.names[in.name] == nil {
			options = append(options, cel.Variable(in.name, cel.DynType))
			e.when.inputs[in.name] = i
		}
	}
	used, err := c.compile(options)
	if err != nil {
		m.b.f.at(at+".when", "%q is not a condition: %v", c.text, err).WithFix("write one such as order.total > 0")
		return
	}
	for _, name := range used {
		if other := m.names[name]; other != nil && other != e {
			e.when.entries[name] = other
			m.await(e, other)
		}
	}
	e.when.program = c.program
}

// cycle finds entries that wait for one another.
func (m *mergeBuilder) cycle() bool {
	state := make(map[*fetch]int)
	var visit func(f *fetch) bool
	visit = func(f *fetch) bool {
		switch state[f] {
		case 1:
			return true
		case 2:
			return false
		}
		state[f] = 1
		for _, l := range f.waits {
			if visit(l.fetch) {
				return true
			}
		}
		if f.after != nil && visit(f.after) {
			return true
		}
		state[f] = 2
		return false
	}
	for i, e := range m.p.merge.entries {
		if visit(e.fetch) {
			m.b.f.at(m.where(m.order[i]), "the entries wait for one another in a circle").WithFix("take one of the references out")
			return true
		}
	}
	return false
}

func (m *mergeBuilder) finish() {
	for i, e := range m.p.merge.entries {
		mask, err := e.fetch.build.Mask(scan.ResponseRules())
		if err != nil {
			m.b.f.at(m.where(m.order[i]), "%v", err)
		}
		e.fetch.mask = mask
		m.p.bounds.Calls++
		m.p.bounds.Depth = max(m.p.bounds.Depth, e.fetch.depth)
	}
	unsafe := 0
	for _, e := range m.p.merge.entries {
		if !e.fetch.call.safe() {
			unsafe++
		}
	}
	if unsafe > 1 {
		m.b.f.at(m.at+".merge", "%d calls change something and can't be taken back together", unsafe).
			WithFix("make it a saga").AsWarning()
	}
}

// referred is the JSON of a reference; nil when there is none.
func (x *run) referred(ref *reference) []byte {
	s := &x.levels[ref.entry.level.id]
	if len(s.elems) == 0 {
		return nil
	}
	at, ok := s.elems[0].find(ref.way)
	if !ok {
		return nil
	}
	return s.elems[0].tape.Span(at)
}

// referredList calls f with the distinct values of a reference.
func (x *run) referredList(ref *reference, f func([]byte)) {
	s := &x.levels[ref.entry.level.id]
	if len(s.elems) == 0 {
		return
	}
	t := keyTable{parts: 1}
	e := s.elems[0]
	e.spread(ref.way, func(at scan.Ref) {
		span := [1][]byte{e.tape.Span(at)}
		if n := int32(t.len()); scalar(span[0]) && !isNull(span[0]) && t.add(span[:]) == n {
			f(span[0])
		}
	})
}

// wanted tells whether the condition of an entry lets it be called.
func (x *run) wanted(f *fetch) bool {
	if x.p.merge == nil || f.call.when == "" {
		return true
	}
	e := x.p.merge.entries[f.id]
	if e.when == nil || e.when.program == nil {
		return true
	}
	out, _, err := e.when.program.Eval(&entryScope{e.when, x})
	if err != nil {
		return false
	}
	b, ok := out.Value().(bool)
	return ok && b
}

type entryScope struct {
	c *entryCondition
	x *run
}

// ResolveName gives an answer, decoded, or an input.
func (s *entryScope) ResolveName(name string) (any, bool) {
	if i, ok := s.c.inputs[name]; ok {
		return celValue(s.x.in[i]), true
	}
	e, ok := s.c.entries[name]
	if !ok {
		return nil, false
	}
	var v any
	if span := s.x.referred(&reference{entry: e}); span != nil {
		if err := json.Unmarshal(span, &v); err != nil {
			return nil, false
		}
	}
	return v, true
}

// Parent is none.
func (s *entryScope) Parent() cel.Activation { return nil } //nolint:ireturn // the library's signature

// merged writes the entries of a merge.
func (x *run) merged(first bool) bool {
	entries := x.p.merge.entries
	done := make(map[string]bool)
	var loose []part
	for i, e := range entries {
		s := &x.levels[e.level.id]
		r := s.rows[0]
		if e.name == "" {
			switch {
			case r.code != codeOK:
				x.note(e.level, r.failure)
			case !r.null && len(s.elems) > 0 && s.elems[0].tape.Kind(s.elems[0].ref) == scan.Object:
				loose = append(loose, part{s.elems[0], e})
			}
			continue
		}
		if done[e.name] || !e.concat && slices.ContainsFunc(entries[i+1:], func(o *entry) bool { return o.name == e.name }) {
			if r.code != codeOK {
				x.note(e.level, r.failure)
			}
			continue
		}
		mark := x.out.Mark()
		if !first {
			x.out.Byte(',')
		}
		x.out.Literal(e.lit)
		x.trail = append(x.trail[:0], step{name: e.name})
		what := wroteValue
		if e.concat {
			done[e.name] = true
			x.concat(e.name)
		} else {
			what = x.entry(e, s, r)
		}
		x.trail = x.trail[:0]
		if what == wroteNothing {
			x.out.Back(mark)
			continue
		}
		first = false
	}
	if len(loose) > 0 {
		first = x.deep(loose, first, done)
	}
	return first
}

func (x *run) entry(e *entry, s *levelState, r row) wrote {
	switch {
	case r.code != codeOK:
		return x.failed(&outField{level: e.level}, 0, r.failure)
	case r.null || len(s.elems) == 0:
		return x.nothing(&outField{level: e.level})
	}
	mark := x.out.Mark()
	x.out.Span(s.elems[0].tape.Span(s.elems[0].ref))
	if e.level.policy.kind == policyStale {
		x.keepStale(e.level, 0, mark, x.noted)
	}
	return wroteValue
}

// concat joins the lists of all entries of a name, in written order.
func (x *run) concat(name string) {
	x.out.Byte('[')
	n := 0
	for _, e := range x.p.merge.entries {
		if e.name != name {
			continue
		}
		s := &x.levels[e.level.id]
		switch r := s.rows[0]; {
		case r.code != codeOK:
			x.note(e.level, r.failure)
		case !r.null && len(s.elems) > 0 && s.elems[0].tape.Kind(s.elems[0].ref) != scan.Array:
			x.note(e.level, failure{code: codeMismatch})
		case len(s.elems) > 0:
			s.elems[0].spread(nil, func(at scan.Ref) {
				if n++; n > 1 {
					x.out.Byte(',')
				}
				x.out.Span(s.elems[0].tape.Span(at))
			})
		}
	}
	x.out.Byte(']')
}

// deep writes the members of several objects as one: members that are objects in
// two of them are merged, of others the later one counts.
func (x *run) deep(list []part, first bool, taken map[string]bool) bool {
	type one struct {
		lit    string
		values []part
	}
	var order []string
	found := make(map[string]*one)
	for _, e := range list {
		for c := e.tape.First(e.ref); c != scan.None; c = e.tape.After(e.ref, c) {
			name := e.nameOf(c)
			if name == nil {
				continue
			}
			key := string(scan.Unquote(nil, name))
			if taken[key] {
				continue
			}
			o := found[key]
			if o == nil {
				o = &one{lit: string(name) + ":"}
				found[key] = o
				order = append(order, key)
			}
			v := part{elem{e.tape, c}, e.of}
			if n := len(o.values); n > 0 && (v.tape.Kind(c) != scan.Object || o.values[n-1].tape.Kind(o.values[n-1].ref) != scan.Object) {
				o.values = o.values[:0]
			}
			o.values = append(o.values, v)
		}
	}
	for _, key := range order {
		o := found[key]
		if !first {
			x.out.Byte(',')
		}
		first = false
		x.out.Literal(o.lit)
		if len(o.values) == 1 {
			x.out.Span(o.values[0].tape.Span(o.values[0].ref))
			continue
		}
		x.out.Byte('{')
		x.deep(o.values, true, nil)
		x.out.Byte('}')
	}
	return first
}

// nameOf is a member's name in quotes; nil for what is no member.
func (p part) nameOf(c scan.Ref) []byte {
	if name := p.tape.Name(c); name != nil {
		return name
	}
	if name, ok := p.of.named[p.tape.Field(c)]; ok {
		return []byte(quoteJSON(name))
	}
	return nil
}

// String tells an entry for findings.
func (e *entry) String() string { return fmt.Sprintf("%s -> %s", e.fetch.call.word(), e.name) }
