package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/maru-msa/maru/scan"
)

// This file compiles what calls a source: roots, links, and the calls that several
// of them share.

// root compiles one root with its call.
func (c *compiler) root(r *root, s *Selection, out *object, guards []guard) {
	f := c.newFetch(r.call, r.kind, 1)
	if f == nil {
		return
	}
	lv := &level{
		name: c.partName(nil, s), parent: c.p.levels[0], fetch: f, in: f, list: r.typ.list, typ: r.of, depth: 1, gather: -1,
	}
	g := &gather{from: c.p.levels[0]}
	args := make(map[string]Value)
	for i := range s.Args {
		a := &s.Args[i]
		if _, known := r.args[a.Name]; !known && !c.takes(r.call, a.Name) {
			c.fail(a.At, "%s has no argument %q", r.name, a.Name).fix = nearest(a.Name, maps.Keys(r.args))
			continue
		}
		c.value(a.Value, a.At)
		args[a.Name] = a.Value
	}
	for _, name := range slices.Sorted(maps.Keys(r.args)) {
		arg := r.args[name]
		_, given := args[name]
		switch {
		case given:
		case arg.hasDef:
			args[name] = Value{JSON: arg.def}
		case arg.typ.nonNull || r.keyed:
			c.fail(s.At, "%s needs the argument %s", r.name, name).fix = fmt.Sprintf("write %s(%s: …)", r.name, name)
			return
		}
	}
	if r.keyed {
		for _, k := range r.of.key {
			v, ok := args[k]
			if !ok {
				v, g.many = args[k+"s"], true
				delete(args, k+"s")
				if v.Var == "" { // written out: its length is known
					lv.bound, lv.bounded = countElements(v.JSON), true
				}
			}
			delete(args, k)
			g.given = append(g.given, v)
		}
		lv.gather = 0
		f.gathers, f.lists = []*gather{g}, []bool{g.many}
		f.text = r.of.keyText || c.untyped(g.given) || c.op.graphql && c.textual(r)
		c.pairKeys(f, r.of, r.of.key)
	}
	c.bindArgs(f, args, s.At)
	c.place(lv, s, f, r.of)
	c.policy(lv, s, policyRequired)
	c.finishLevel(lv, s, out, r.typ, guards, nil)
}

// countElements is the length of a list that is written out.
func countElements(list string) int {
	tape, n := scan.NewTape(), 0
	defer tape.Release()
	if scan.Scan(listMask(), []byte(list), tape) == nil {
		n = tape.Len(0)
	}
	return n
}

// untyped tells whether a key comes from an input whose type nobody said: the
// path of a view. Such keys compare as text.
func (c *compiler) untyped(values []Value) bool {
	for _, v := range values {
		if v.Var == "" {
			continue
		}
		if i := c.input(v.Var); i >= 0 && c.op.inputs[i].untyped {
			return true
		}
	}
	return false
}

// takes tells whether the call has a variable of that name.
func (c *compiler) takes(call *call, name string) bool {
	found := false
	call.variables(func(v *variable) { found = found || v.name == name && len(v.path) == 0 })
	return found
}

// newFetch makes a fetch with its mask begun.
func (c *compiler) newFetch(call *call, kind fetchKind, depth int) *fetch {
	src := c.g.sources[call.source]
	if src == nil {
		return nil // told already
	}
	f := &fetch{
		id: len(c.p.fetches), call: call, source: src, kind: kind, depth: depth, build: new(scan.Builder),
		slots: make(map[*variable]slot), order: len(c.p.fetches), stats: new(nodeStats),
	}
	f.elem, f.body = member(f.build, scan.Root, call.at)
	if call.doc != nil {
		f.refusals = wantRefusals(f.build)
	}
	switch call.pairing.how {
	case pairMap:
		if kind.batched() {
			f.elem = f.build.Any(f.elem)
		}
	case pairGrouped:
		if kind == fetchByMany {
			f.build.Each(f.elem)
			_, f.group = member(f.build, f.elem, strings.Split(call.pairing.group, "."))
			f.elem, f.inner = member(f.build, f.elem, call.pairing.at)
		}
	case pairKey, pairPosition, pairGroup:
	}
	f.build.Each(f.elem)
	if !call.safe() {
		f.after, c.last = c.last, f
	}
	c.p.fetches = append(c.p.fetches, f)
	return f
}

// member wants the path below at, and gives its node and the way there.
func member(b *scan.Builder, at scan.Field, path []string) (scan.Field, chain) {
	way := make(chain, 0, len(path))
	for _, name := range path {
		at = b.Member(at, name)
		way = append(way, at)
	}
	return at, way
}

// bindArgs gives the variables of a call that are no keys what they stand for.
func (c *compiler) bindArgs(f *fetch, args map[string]Value, at int) {
	keys := c.keyNames(f)
	f.keyNames = keys
	f.call.variables(func(v *variable) {
		s, ok := c.bind(f, v, keys, args)
		if !ok {
			c.fail(at, "nothing gives {%s} of the call %q", v.text, f.call.word()).fix = fmt.Sprintf("write %s: … among the arguments, or {%s:default} in the call", v.name, v.name)
		}
		f.slots[v] = s
	})
}

// keyNames are the fields of the key in the order of the fetch's gathers.
func (c *compiler) keyNames(f *fetch) []string {
	for _, t := range c.g.types {
		switch f.call {
		case t.one, t.many:
			return t.key
		}
		for name, by := range t.by {
			if f.call == by.one || f.call == by.many {
				return []string{name}
			}
		}
	}
	return nil
}

func (c *compiler) bind(f *fetch, v *variable, keys []string, args map[string]Value) (slot, bool) {
	if f.kind != fetchRoot {
		switch part := slices.Index(keys, v.name); {
		case v.keys() && f.kind.batched():
			return slot{kind: slotKeys}, true
		case v.name == "key" && len(keys) == 1:
			return slot{kind: slotKey}, true
		case part >= 0 && !f.kind.batched():
			return slot{kind: slotKey, part: part}, true
		case part >= 0 && len(keys) == 1 && v.join != 0:
			return slot{kind: slotKeys}, true
		}
	}
	if value, ok := args[v.name]; ok {
		f.args = append(f.args, boundArg{v.name, value})
		return slot{kind: slotArg, arg: value}, true
	}
	switch {
	case v.hasDef:
		return slot{kind: slotArg, arg: Value{JSON: literalOf(v.def)}}, true
	case v.optional:
		return slot{kind: slotNone}, true
	}
	return slot{}, false
}

// literalOf gives the JSON form of a default as a call writes it: numbers, true,
// false and null are themselves, anything else is text.
func literalOf(s string) string {
	if s == "true" || s == "false" || s == "null" || jsonNumber(s) {
		return s
	}
	return quoteJSON(s)
}

// link compiles a field that leads to elements of another call.
func (c *compiler) link(lv *level, elem scan.Field, f *field, s *Selection, out *object, guards []guard) {
	l := f.link
	args := make(map[string]Value)
	for i := range s.Args {
		a := &s.Args[i]
		c.value(a.Value, a.At)
		if !c.takes(l.call, a.Name) && a.Name != "first" && a.Name != "skip" {
			c.fail(a.At, "%s has no argument %q", f.name, a.Name).fix = "the call " + l.call.word() + " has no {" + a.Name + "}"
			continue
		}
		args[a.Name] = a.Value
	}
	g, keyed := c.shortcut(lv, l), true
	if g == nil {
		g, keyed = &gather{from: lv}, false
		for _, key := range c.linkKeys(l) {
			i := slices.IndexFunc(l.args, func(a linkArg) bool { return a.name == key })
			node, at := member(lv.in.build, elem, l.args[i].path)
			lv.in.build.Each(node)
			g.at = append(g.at, at)
		}
	}
	depth := lv.depth + 1
	if keyed {
		depth = 1
	}
	fetch, n := c.join(l, depth, args, g, s.At)
	if fetch == nil {
		return
	}
	part := &level{
		name: c.partName(lv, s), parent: lv, fetch: fetch, gather: n, list: f.typ.list, depth: lv.depth + 1,
	}
	c.place(part, s, fetch, l.target)
	c.policy(part, s, policyNull)
	c.localLimit(part, l.call, args)
	c.finishLevel(part, s, out, f.typ, guards, f)
}

// linkKeys are the key fields in the order of the fetch's key.
func (c *compiler) linkKeys(l *link) []string {
	if l.kind.listed() {
		return []string{l.args[0].name}
	}
	return l.target.key
}

// shortcut gives the keys of a link from the input, when the parent was itself
// asked for by the same value: then nothing has to wait.
func (c *compiler) shortcut(lv *level, l *link) *gather {
	if lv.fetch == nil || lv.fetch.kind != fetchOne || len(lv.fetch.gathers) != 1 || lv.depth != 1 || !l.call.safe() || c.op.mutation {
		return nil
	}
	given := lv.fetch.gathers[0]
	if given.given == nil || given.many {
		return nil
	}
	g := &gather{from: c.p.levels[0]}
	for _, key := range c.linkKeys(l) {
		i := slices.IndexFunc(l.args, func(a linkArg) bool { return a.name == key })
		part := -1
		for k, name := range lv.typ.key {
			if f := lv.typ.fields[name]; f != nil && slices.Equal(f.path, l.args[i].path) {
				part = k
			}
		}
		if part < 0 {
			return nil
		}
		g.given = append(g.given, given.given[part])
	}
	return g
}

// join finds a fetch of the same call, arguments and depth to share, or makes one,
// and adds the gather to it.
func (c *compiler) join(l *link, depth int, args map[string]Value, g *gather, at int) (*fetch, int) {
	var id strings.Builder
	fmt.Fprintf(&id, "%p %d", l.call, depth)
	for _, name := range slices.Sorted(maps.Keys(args)) {
		fmt.Fprintf(&id, " %s=%s$%s", name, args[name].JSON, args[name].Var)
	}
	f := c.merged[id.String()]
	if f == nil || !l.call.safe() {
		if f = c.newFetch(l.call, l.kind, depth); f == nil {
			return nil, 0
		}
		c.merged[id.String()] = f
		c.bindArgs(f, args, at)
		c.pairKeys(f, l.target, c.linkKeys(l))
	}
	f.text = f.text || l.target.keyText || c.untyped(g.given) || c.op.graphql && g.given != nil
	f.gathers = append(f.gathers, g)
	f.lists = append(f.lists, l.list && !l.kind.listed())
	return f, len(f.gathers) - 1
}

// pairKeys wants the members of an element that tell whose it is.
func (c *compiler) pairKeys(f *fetch, t *graphType, keys []string) {
	if !f.kind.batched() {
		return
	}
	switch f.call.pairing.how {
	case pairKey, pairGroup:
		for _, name := range keys {
			path := []string{name}
			if field := t.fields[name]; field != nil && field.link == nil {
				path = field.path
			}
			_, at := member(f.build, f.elem, path)
			f.key = append(f.key, at)
		}
	case pairGrouped:
		f.key = []chain{f.group}
	case pairPosition, pairMap:
	}
}
