package spring

import (
	"fmt"
	"slices"
	"strings"
)

// call is one predicate or filter, in either form.
type call struct {
	name string // as written
	n    *node
	spec *spec
	args []arg
	from []*setting
}

// arg is one argument; a list has several of one name.
type arg struct {
	name string // canonical
	text string
	n    *node
	used bool
}

// spec says how a predicate or filter reads its arguments.
type spec struct {
	// fields are the names in the order of the short form.
	fields []string
	// list says that the first field takes all arguments of the short form.
	list bool
	// flag is a field that a last true or false of such a list is for.
	flag string
	// predicate or filter does the mapping.
	predicate func(*routeReader, *call)
	filter    func(*routeReader, *call)
}

// callName gives the name that a node calls.
func callName(n *node) string {
	if n.value != nil {
		name, _, _ := strings.Cut(n.value.text, "=")
		return strings.TrimSpace(name)
	}
	if name := n.get("name"); name != nil && name.value != nil {
		return strings.TrimSpace(name.value.text)
	}
	return ""
}

// call reads a predicate or filter; nil when that fails, with a finding.
func (im *importer) call(n *node, specs map[string]*spec) *call {
	c := &call{name: callName(n), n: n}
	var e element
	c.spec = specs[canonical(c.name)]
	if c.spec == nil {
		im.lost(n, "unknown", "write what it did by the filters and predicates of maru: docs/filters, docs/routes.md",
			"%q is none of Spring Cloud Gateway's own", shorten(c.name))
		return nil
	}
	var ok bool
	if n.value != nil {
		ok = im.short(c, &e)
	} else {
		im.take(n.get("name"), &e)
		ok = im.long(c, n.get("args"), nil, &e)
	}
	if !ok {
		words, fix := "it was left out: one of its values is not known", "see the other finding"
		if m, lacks := missingFilters()[canonical(c.name)]; lacks {
			words, fix = m.words, m.fix
		}
		im.lost(n, "no-equal", fix, "%s: %s", c.name, words)
		im.draftNote(&e, n.path+": see the finding")
		return nil
	}
	c.from = e.from
	return c
}

// again is the call for another route.
func (c *call) again() *call {
	d := *c
	d.args = slices.Clone(c.args)
	for i := range d.args {
		d.args[i].used = false
	}
	return &d
}

// short reads "Name=a,b".
func (im *importer) short(c *call, e *element) bool {
	text, ok := im.take(c.n, e)
	if !ok {
		return false
	}
	_, rest, _ := strings.Cut(text, "=")
	list := words(rest)
	s := c.spec
	if s.list && s.flag != "" && len(list) > 0 {
		if last := strings.ToLower(list[len(list)-1]); last == "true" || last == "false" {
			c.args = append(c.args, arg{name: canonical(s.flag), text: last, n: c.n})
			list = list[:len(list)-1]
		}
	}
	for i, w := range list {
		switch {
		case s.list:
			c.args = append(c.args, arg{name: canonical(s.fields[0]), text: w, n: c.n})
		case i < len(s.fields):
			c.args = append(c.args, arg{name: canonical(s.fields[i]), text: w, n: c.n})
		default:
			c.args = append(c.args, arg{name: fmt.Sprintf("argument %d", i+1), text: w, n: c.n})
		}
	}
	return true
}

// long reads args; names of nested keys are joined by dots.
func (im *importer) long(c *call, n *node, path []string, e *element) bool {
	if n == nil {
		return true
	}
	ok := true
	if n.value != nil && len(path) > 0 {
		text, known := im.take(n, e)
		if !known {
			return false
		}
		name := strings.Join(path, ".")
		list := []string{text}
		if c.spec.list && name == canonical(c.spec.fields[0]) {
			list = words(text)
		}
		for _, w := range list {
			c.args = append(c.args, arg{name: name, text: w, n: n})
		}
	}
	for _, k := range n.kids {
		next := path
		switch {
		case strings.HasPrefix(k.name, "_genkey_"): // how the short form is written out
			next = append(slices.Clip(path), im.generated(c, k.name))
		case !k.index:
			name := canonical(k.name)
			if name == "pattern" && c.spec.list { // as it was called first
				name = canonical(c.spec.fields[0])
			}
			next = append(slices.Clip(path), name)
		}
		ok = im.long(c, k, next, e) && ok
	}
	return ok
}

func (im *importer) generated(c *call, key string) string {
	var i int
	if _, err := fmt.Sscanf(key, "_genkey_%d", &i); err != nil || i < 0 {
		return key
	}
	switch {
	case c.spec.list:
		return canonical(c.spec.fields[0])
	case i < len(c.spec.fields):
		return canonical(c.spec.fields[i])
	}
	return key
}

// get gives an argument, "" when it is not there.
func (c *call) get(name string) string {
	text, _ := c.lookup(name)
	return text
}

func (c *call) lookup(name string) (string, bool) {
	want, out, ok := canonical(name), "", false
	for i := range c.args {
		if c.args[i].name == want {
			c.args[i].used = true
			if !ok {
				out, ok = c.args[i].text, true
			}
		}
	}
	return out, ok
}

// all gives all arguments of a name.
func (c *call) all(name string) []string {
	var out []string
	want := canonical(name)
	for i := range c.args {
		if c.args[i].name == want {
			c.args[i].used = true
			out = append(out, c.args[i].text)
		}
	}
	return out
}

// says is the call in one line, for comments.
func (c *call) says() string {
	if c.n.value != nil {
		return shorten(c.n.value.text)
	}
	return c.name
}

// predicate maps one predicate.
func (b *routeReader) predicate(c *call) {
	b.plan.from = append(b.plan.from, c.from...)
	told := len(b.findings)
	c.spec.predicate(b, c)
	for _, a := range c.args {
		if !a.used && len(b.findings) == told {
			b.drop(a.n, "argument", "look at what the predicate does without it", "%s has no argument %s", c.name, a.name)
		}
	}
}

// filter maps one filter.
func (b *routeReader) filter(c *call) {
	before := len(*b.list)
	c.spec.filter(b, c)
	told := false
	for _, s := range (*b.list)[before:] {
		if s.from == nil {
			s.from = c.from
		}
		told = true
	}
	if !told { // it went into the route or its service
		e := b.element()
		e.from = append(e.from, c.from...)
		if b.plan == nil {
			for _, s := range c.from {
				b.set.notes = append(b.set.notes, note{c.says(), []*setting{s}})
			}
		}
	}
	for _, a := range c.args {
		if !a.used {
			b.lost(a.n, "argument", "see docs/import-spring.md", "the argument %s of %s has no equal", a.name, c.name)
		}
	}
}

// step adds a filter of maru for a call.
func (b *routeReader) step(c *call, word string, args value) *step {
	return add(b.list, word, args, c.n, c.says(), c.from...)
}

// missing tells of a filter that has no equal.
func (b *routeReader) missing(c *call, fix, format string, args ...any) {
	for i := range c.args {
		c.args[i].used = true
	}
	b.lost(c.n, "no-equal", fix, "%s: %s", c.name, fmt.Sprintf(format, args...))
	b.gap(c.n, c.name, c.says(), c.from)
}

// gap leaves a comment where a filter is missing. A route that would send
// requests elsewhere without it is written as a comment.
func (b *routeReader) gap(n *node, name, says string, from []*setting) {
	s := add(b.list, "", none(), n, says, from...)
	s.off = "see the finding"
	if changesTarget(name) {
		b.off("without " + name + " requests would go elsewhere")
	}
}
