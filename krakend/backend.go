package krakend

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// backend is one backend of an endpoint.
type backend struct {
	o       *sketch.Object
	number  int // place in the endpoint
	service *service
	source  string
	pattern string
	method  string
	group   string
	target  string
	allow   []string
	deny    []string
	mapping map[string]string

	collection bool
	encoding   string
	query      []string
	headers    []string
	referred   bool   // by a later one
	single     string // the only member that is let through, taken by its path
}

// shaped tells whether the answer is changed.
func (b *backend) shaped() bool {
	return b.group != "" || b.target != "" || len(b.allow)+len(b.deny)+len(b.mapping) > 0
}

// part is the name of its part in a merge: that of the entry, or of the source.
func (b *backend) part() string {
	if name := b.entry(); name != "" {
		return name
	}
	return b.source
}

// entry is the name in a merge; "" for none.
func (b *backend) entry() string {
	switch {
	case b.group != "":
		return b.group
	case b.collection:
		if name := b.mapping["collection"]; name != "" {
			return name
		}
		return "collection"
	case b.single != "":
		if name := b.mapping[b.single]; name != "" {
			return name
		}
		return b.single
	}
	return ""
}

// backend reads one backend.
func (e *endpoint) backend(t *config.Tree, path string) {
	o := e.Object(t, path)
	if o == nil {
		return
	}
	b := &backend{
		o: o, number: len(e.backends), pattern: o.Text("url_pattern"), method: strings.ToUpper(o.Text("method")), group: o.Text("group"),
		target: o.Text("target"), allow: o.Texts("allow"), deny: o.Texts("deny"), mapping: make(map[string]string),
		collection: o.True("is_collection"), encoding: o.Text("encoding"),
	}
	b.service = e.service(o)
	if m := o.Object("mapping"); m != nil {
		for _, entry := range m.Tree.Entries {
			b.mapping[entry.Key.Text] = m.Text(entry.Key.Text)
		}
	}
	b.query, b.headers = e.query, e.headers
	for _, k := range []struct {
		key string
		at  *[]string
	}{{"input_query_strings", &b.query}, {"input_headers", &b.headers}} {
		if o.Get(k.key) == nil {
			continue
		}
		all := *k.at
		*k.at = slices.DeleteFunc(o.Texts(k.key), func(s string) bool {
			return s != "*" && !slices.ContainsFunc(all, func(a string) bool { return strings.EqualFold(a, s) })
		})
		if slices.Contains(*k.at, "*") {
			*k.at = all
		}
	}
	b.headers = sortedTexts(b.headers)
	e.check(b)
	if b.service == nil {
		if e.off == "" {
			e.off = "one of its backends can't be called"
		}
		o.Rest(func(_, _ *config.Tree) {})
		return
	}
	e.backendExtra(b, o.Object("extra_config"))
	e.rest(o, backendGaps())
	e.sourceOf(b)
	e.backends = append(e.backends, b)
}

// check finds what can't be said of a backend.
func (e *endpoint) check(b *backend) {
	o := b.o
	if !strings.HasPrefix(b.pattern, "/") {
		b.pattern = "/" + b.pattern
	}
	switch b.encoding {
	case "", "json", "safejson", "fast-json", "no-op":
	default:
		e.shut(o.Key("encoding"), "encoding", "let the service answer as JSON", o.Path+".encoding: "+sketch.Shorten(b.encoding)+" can't be read: answers are JSON")
	}
	if len(b.deny) > 0 {
		e.shut(o.Key("deny"), "deny", "list what may go out: allow, or fields of a type in graph:", o.Path+".deny can't be said: a view lists what goes out")
	}
	if b.collection && len(b.allow) > 0 {
		e.shut(o.Key("allow"), "allow", "list the fields of a type in graph:", o.Path+".allow does not reach into a collection")
	}
	for _, a := range b.allow {
		for p := range strings.SplitSeq(a, ".") {
			if !sketch.Identifier(p) {
				e.shut(o.Get("allow"), "name", "let the service name it with letters, digits and _", sketch.Shorten(a)+" can't be selected: its name has other characters")
				break
			}
		}
	}
	for theirs, ours := range b.mapping {
		if !sketch.Identifier(ours) || !sketch.Identifier(theirs) {
			e.shut(o.Key("mapping"), "name", "use letters, digits and _", o.Path+".mapping: "+sketch.Shorten(theirs)+" or "+sketch.Shorten(ours)+" has other characters")
		}
	}
	if len(b.mapping) > 0 && len(b.allow) == 0 && !b.collection {
		e.shut(o.Key("mapping"), "mapping", "list all fields that go out: allow", o.Path+".mapping without allow can't be said: a view lists what goes out")
	}
	if b.collection && b.group != "" {
		e.Look(o.Key("group"), "collection", "read "+sketch.Shorten(b.group)+" as a list", "the list stands in "+sketch.Shorten(b.group)+" itself, not in its member collection")
	}
	if b.group != "" && !sketch.Identifier(b.group) {
		e.shut(o.Key("group"), "name", "use letters, digits and _", o.Path+".group has other characters")
	}
	for p := range strings.SplitSeq(b.target, ".") {
		if b.target != "" && !sketch.Identifier(p) {
			e.shut(o.Key("target"), "name", "let the service answer without the wrapping", o.Path+".target can't be written: "+sketch.Shorten(b.target))
			break
		}
	}
}

// sourceOf gives a backend its source: the service itself, or one of its own that
// sends headers on or keeps two calls of a view apart.
func (e *endpoint) sourceOf(b *backend) {
	key := b.service.name + " " + strings.Join(b.headers, ",")
	n := e.taken[key]
	e.taken[key]++
	if n == 0 && len(b.headers) == 0 {
		b.source = b.service.name
		e.needs = append(e.needs, b.service.block)
		return
	}
	key += " " + strconv.Itoa(n)
	s := e.callers[key]
	if s == nil {
		name := e.unique(b.service.name + "_" + strconv.Itoa(len(e.callers)+1))
		v := sketch.Map(sketch.Pair("http", sketch.Text(b.service.name)))
		if len(b.headers) > 0 {
			v = v.With("forward", sketch.Texts(b.headers))
		}
		s = &caller{name, &sketch.Block{Text: name + ": " + v.String(), Spare: true, At: b.o.Tree.Position, Needs: []*sketch.Block{b.service.block}}}
		e.callers[key] = s
		e.sources.Kids = append(e.sources.Kids, s.block)
	}
	b.source = s.name
	e.needs = append(e.needs, s.block)
}

// caller is a source of its own.
type caller struct {
	name  string
	block *sketch.Block
}
