package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/maru-msa/maru/diag"
)

// graphType is a type of the graph, resolved.
type graphType struct {
	name    string
	key     []string
	keyText bool
	fields  map[string]*field
	order   []string // of fields, sorted
	one     *call
	many    *call
	by      map[string]*byCalls
	union   []*graphType
	tag     string
}

type byCalls struct{ one, many *call }

// field is one field of a type: a path in the element, or a link.
type field struct {
	name string
	path []string
	typ  typeRef
	link *link
}

// link leads from an element to those of another type, by keys that the element
// holds. It is a join: never one call an element, when there is another way.
type link struct {
	target *graphType
	list   bool
	args   []linkArg
	call   *call
	kind   fetchKind
}

// linkArg says which path of the element gives a key field of the target.
type linkArg struct {
	name string
	path []string
}

// typeRef is a type as GraphQL writes it: "[Member!]!".
type typeRef struct {
	name        string
	list        bool
	nonNull     bool
	elemNonNull bool
}

// String writes it again.
func (t typeRef) String() string {
	s := t.name
	if t.list {
		if t.elemNonNull {
			s += "!"
		}
		s = "[" + s + "]"
	}
	if t.nonNull {
		s += "!"
	}
	return s
}

func parseTypeRef(text string) (typeRef, error) {
	var t typeRef
	s := strings.TrimSpace(text)
	s, t.nonNull = strings.CutSuffix(s, "!")
	if inner, isList := strings.CutPrefix(s, "["); isList {
		inner, closed := strings.CutSuffix(inner, "]")
		if !closed {
			return t, fmt.Errorf("%q is not a type", text)
		}
		t.list = true
		s, t.elemNonNull = strings.CutSuffix(inner, "!")
	}
	if !validName(s) {
		return t, fmt.Errorf("%q is not a type", text)
	}
	t.name = s
	return t, nil
}

// scalars are the leaf types. JSON is any value, copied as it is.
func scalars() map[string]bool {
	return map[string]bool{"String": true, "Int": true, "Float": true, "Boolean": true, "ID": true, "Long": true, "JSON": true}
}

// root is where a selection may begin.
type root struct {
	name  string
	typ   typeRef
	args  map[string]rootArg
	call  *call
	kind  fetchKind
	of    *graphType // nil for a scalar
	keyed bool       // the arguments are the key of the type
}

type rootArg struct {
	typ    typeRef
	def    string
	hasDef bool
}

// Graph is everything that views and GraphQL operations are compiled against. It
// is immutable.
type Graph struct {
	env       Env
	limits    LimitsConfig
	types     map[string]*graphType
	queries   map[string]*root
	mutations map[string]*root
	sources   map[string]*source
	fragments map[string][]Selection
	clients   []ClientConfig
	views     map[string]*View
	serial    atomic.Uint64 // of plans
	stale     staleParts
	crew      *crew
}

// builder resolves a Config into a Graph.
type builder struct {
	g   *Graph
	cfg *Config
	f   faults

	called map[string]bool // sources that some call names
}

// call compiles one call and finds its source.
func (b *builder) call(cfg *CallConfig, where string) *call {
	if cfg == nil {
		return nil
	}
	name, _, _ := strings.Cut(strings.TrimSpace(cfg.Call), " ")
	b.called[name] = true
	src := b.source(name, where)
	if src == nil {
		return nil
	}
	c, err := parseCall(cfg, src, where)
	b.f.add(diag.Under(where, err))
	if c == nil || c.source == "" {
		return nil
	}
	return c
}

// types makes all types first, then their fields, which may name any type.
func (b *builder) types() {
	names := slices.Sorted(maps.Keys(b.cfg.Graph.Types))
	for _, name := range names {
		cfg := b.cfg.Graph.Types[name]
		at := "graph." + name
		if !validName(name) || scalars()[name] {
			b.f.at(at, "%q can't be the name of a type", name).WithFix("use letters, digits and _")
		}
		t := &graphType{
			name: name, key: cfg.Key.Fields, keyText: cfg.Key.Text, fields: make(map[string]*field),
			by: make(map[string]*byCalls), tag: cfg.Tag,
		}
		t.one = b.call(cfg.One, at+".one")
		t.many = b.call(cfg.Many, at+".many")
		for _, by := range slices.Sorted(maps.Keys(cfg.By)) {
			c := cfg.By[by]
			t.by[by] = &byCalls{b.call(c.One, at+".by."+by+".one"), b.call(c.Many, at+".by."+by+".many")}
			if c.One == nil && c.Many == nil {
				b.f.at(at+".by."+by, "it has no call").WithFix("write one: CALL, or many: CALL")
			}
		}
		b.g.types[name] = t
	}
	for _, name := range names {
		b.fields(b.g.types[name], b.cfg.Graph.Types[name])
	}
	for _, name := range names {
		b.keys(b.g.types[name])
		b.proven(b.g.types[name])
		b.documents(b.g.types[name])
	}
}

func (b *builder) fields(t *graphType, cfg TypeConfig) { //nolint:gocritic // once at load
	at := "graph." + t.name
	for _, name := range slices.Sorted(maps.Keys(cfg.Fields)) {
		f, err := b.field(name, cfg.Fields[name])
		if err != nil {
			b.f.add(diag.Under(at+".fields."+name, err))
			continue
		}
		t.fields[name] = f
		t.order = append(t.order, name)
	}
	for i, member := range cfg.Union {
		m := b.g.types[member]
		if m == nil {
			b.f.at(diag.Index(at+".union", i), "there is no type %q", member).WithFix("%s", nearest(member, maps.Keys(b.g.types)))
			continue
		}
		t.union = append(t.union, m)
	}
	if len(t.union) > 0 && t.tag == "" {
		b.f.at(at, "nothing tells the types of the union apart").WithFix("write tag: FIELD")
	}
	for _, k := range t.key {
		if t.fields[k] == nil {
			b.f.at(at+".key", "the key %q is not among the fields", k).WithFix("write %s: _ below fields", k)
		} else if t.fields[k].link != nil {
			b.f.at(at+".key", "the key %q is a link", k).WithFix("a key is a value of the element itself")
		}
	}
}

// field reads "_", "a.b", "a.b as Type!", "Type(arg: path)" or "[Type](arg: path)".
func (b *builder) field(name, text string) (*field, error) {
	if !validName(name) {
		return nil, diag.At("", "%q can't be the name of a field", name).WithFix("use letters, digits and _")
	}
	f := &field{name: name, typ: typeRef{name: "JSON"}}
	if strings.HasSuffix(text, ")") {
		return f, b.link(f, text)
	}
	path, as, typed := strings.Cut(text, " as ")
	if typed {
		t, err := parseTypeRef(as)
		if err != nil {
			return nil, diag.At("", "%v", err).WithFix("write a type such as Int! or [Bid]")
		}
		if !scalars()[t.name] && b.g.types[t.name] == nil {
			return nil, diag.At("", "there is no type %q", t.name).WithFix("%s", nearest(t.name, maps.Keys(b.g.types)))
		}
		f.typ = t
	}
	if path = strings.TrimSpace(path); path == "_" {
		path = name
	}
	f.path = strings.Split(path, ".")
	if slices.Contains(f.path, "") {
		return nil, diag.At("", "%q is not a path", text).WithFix(`write a path such as profile.name, or "_" for the same name`)
	}
	return f, nil
}

func (b *builder) link(f *field, text string) error {
	typ, args, _ := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	ref, err := parseTypeRef(typ)
	if err != nil {
		return diag.At("", "%v", err).WithFix("write a link such as Bid(id: bidId) or [Bid](auction: id)")
	}
	target := b.g.types[ref.name]
	if target == nil {
		return diag.At("", "there is no type %q", ref.name).WithFix("%s", nearest(ref.name, maps.Keys(b.g.types)))
	}
	f.typ = ref
	l := &link{target: target, list: ref.list}
	for one := range strings.SplitSeq(args, ",") {
		name, path, ok := strings.Cut(one, ":")
		name, path = strings.TrimSpace(name), strings.TrimSpace(path)
		if !ok || !validName(name) || path == "" {
			return diag.At("", "%q is not an argument of a link", one).WithFix("write key: path, such as id: memberId")
		}
		l.args = append(l.args, linkArg{name, strings.Split(path, ".")})
	}
	f.link = l
	return b.choose(l)
}

// choose finds the call whose key set equals the link's argument names.
func (b *builder) choose(l *link) error {
	names := make([]string, 0, len(l.args))
	for _, a := range l.args {
		names = append(names, a.name)
	}
	slices.Sort(names)
	key := slices.Sorted(slices.Values(l.target.key))
	if slices.Equal(names, key) && len(key) > 0 {
		switch {
		case l.target.many != nil:
			l.call, l.kind = l.target.many, fetchMany
		case l.target.one != nil:
			l.call, l.kind = l.target.one, fetchOne
		default:
			return diag.At("", "%s has neither one: nor many:, so nothing can be called by its key", l.target.name).
				WithFix("give %s a call: many: SOURCE GET /path?ids={keys,}", l.target.name)
		}
		return nil
	}
	if by := l.target.by[names[0]]; len(names) == 1 && by != nil {
		if !l.list {
			return diag.At("", "%s by %s is a list", l.target.name, names[0]).WithFix("write [%s](…)", l.target.name)
		}
		l.call, l.kind = by.many, fetchByMany
		if by.many == nil {
			l.call, l.kind = by.one, fetchByOne
		}
		return nil
	}
	return diag.At("", "%s has no call for %s", l.target.name, strings.Join(names, " and ")).
		WithFix("write by: {%s: {many: CALL}} below %s", names[0], l.target.name)
}

// keys checks that a type's calls can use their keys.
func (b *builder) keys(t *graphType) {
	at := "graph." + t.name
	if (t.one != nil || t.many != nil) && len(t.key) == 0 {
		b.f.at(at, "it has a call and no key").WithFix("write key: FIELD")
	}
	for _, c := range []*call{t.one, t.many} {
		if c == nil {
			continue
		}
		used := false
		c.variables(func(v *variable) {
			used = used || v.name == "keys" || v.name == "key" || slices.Contains(t.key, v.name)
		})
		if !used && len(t.key) > 0 {
			b.f.at(c.where, "the call does not use its key").WithFix("write {%s} or {keys,} in the call", t.key[0])
		}
	}
	for name, by := range t.by {
		if by.many != nil && by.many.pairing.how == pairKey {
			by.many.pairing.how = pairGroup
		}
		if by.many != nil && by.many.pairing.how == pairGroup && t.fields[name] == nil {
			// The element names its parent by a member of that name.
			t.fields[name] = &field{name: name, path: []string{name}, typ: typeRef{name: "JSON"}}
			t.order = append(t.order, name)
			slices.Sort(t.order)
		}
	}
}

// roots makes what a selection may begin with: those of the file, and for each
// type with a key its own: member(id), members(ids).
func (b *builder) roots() {
	b.g.queries = b.declared("graph.Query", b.cfg.Graph.Query)
	b.g.mutations = b.declared("graph.Mutation", b.cfg.Graph.Mutation)
	for _, t := range b.g.types {
		if len(t.key) == 0 {
			continue
		}
		name := strings.ToLower(t.name[:1]) + t.name[1:]
		if c := t.one; c != nil || t.many != nil {
			kind := fetchOne
			if c == nil {
				c, kind = t.many, fetchMany
			}
			args := make(map[string]rootArg, len(t.key))
			for _, k := range t.key {
				args[k] = rootArg{typ: typeRef{name: keyType(t, k), nonNull: true}}
			}
			b.derived(&root{name: name, typ: typeRef{name: t.name}, args: args, call: c, kind: kind, of: t, keyed: true})
		}
		if t.many != nil && len(t.key) == 1 {
			args := map[string]rootArg{t.key[0] + "s": {typ: typeRef{name: keyType(t, t.key[0]), list: true, nonNull: true, elemNonNull: true}}}
			b.derived(&root{name: name + "s", typ: typeRef{name: t.name, list: true}, args: args, call: t.many, kind: fetchMany, of: t, keyed: true})
		}
	}
}

// keyType is the type of a key field as a client writes it.
func keyType(t *graphType, key string) string {
	if f := t.fields[key]; f != nil && f.typ.name != "JSON" {
		return f.typ.name
	}
	return "ID"
}

// derived adds a root that a type gives, unless the file has one of that name.
func (b *builder) derived(r *root) {
	if b.g.queries[r.name] == nil {
		b.g.queries[r.name] = r
	}
}

func (b *builder) declared(at string, roots map[string]RootConfig) map[string]*root {
	out := make(map[string]*root)
	for _, name := range slices.Sorted(maps.Keys(roots)) {
		cfg := roots[name]
		typ, err := parseTypeRef(cfg.Type)
		if err != nil {
			b.f.at(at+"."+name+".type", "%v", err).WithFix("write a type such as [Member]")
			continue
		}
		r := &root{name: name, typ: typ, args: make(map[string]rootArg), kind: fetchRoot, of: b.g.types[typ.name]}
		if r.of == nil && !scalars()[typ.name] {
			b.f.at(at+"."+name+".type", "there is no type %q", typ.name).WithFix("%s", nearest(typ.name, maps.Keys(b.g.types)))
		}
		for _, arg := range slices.Sorted(maps.Keys(cfg.Args)) {
			text, def, has := strings.Cut(cfg.Args[arg], "=")
			t, err := parseTypeRef(text)
			if err != nil {
				b.f.at(at+"."+name+".args."+arg, "%v", err).WithFix("write a type such as Int = 10")
			}
			r.args[arg] = rootArg{typ: t, def: strings.TrimSpace(def), hasDef: has}
		}
		if r.call = b.call(&cfg.Call, at+"."+name+".call"); r.call != nil {
			b.rootDocument(r, at == "graph.Mutation")
			out[name] = r
		}
	}
	return out
}

// nearest is the mend for a name that is not known.
func nearest(name string, known func(func(string) bool)) string {
	list := slices.Sorted(known)
	if best := diag.Nearest(name, list); best != "" {
		return "did you mean " + best + "?"
	}
	if len(list) > 8 {
		list = append(list[:8], "…")
	}
	if len(list) == 0 {
		return "there is none yet"
	}
	return "known are " + strings.Join(list, ", ")
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
