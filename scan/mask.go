package scan

import (
	"fmt"
	"strings"
)

// Rules are the limits of a scan beyond the grammar. The zero value of a number
// means its default.
type Rules struct {
	// Depth is the most nesting of arrays and objects; 512, and never above 65,536.
	Depth int
	// Members is the most members of one object; 10,000.
	Members int
	// Number is the longest literal of a number in bytes; 512.
	Number int
	// Unique refuses duplicate names in every object, also where no mask enters.
	Unique bool
	// SkipBOM passes a leading byte order mark, and counts it, instead of refusing it.
	SkipBOM bool
}

// RequestRules are the rules for what strangers send: depth 128, no duplicates
// anywhere, no byte order mark.
func RequestRules() Rules { return Rules{Depth: 128, Unique: true} }

// ResponseRules are the rules for what services answer: depth 512, duplicates
// refused where a mask enters, a byte order mark skipped.
func ResponseRules() Rules { return Rules{SkipBOM: true} }

// withDefaults fills in what is zero.
func (r Rules) withDefaults() Rules {
	if r.Depth <= 0 {
		r.Depth = 512
	}
	if r.Members <= 0 {
		r.Members = 10_000
	}
	if r.Number <= 0 {
		r.Number = 512
	}
	r.Depth, r.Members = min(r.Depth, 1<<16), min(r.Members, MaxBody)
	return r
}

// Field is the small number that a Builder gives to each wanted node; 0 is the
// root. The entries of a Tape carry it.
type Field uint16

// Root is the Field of the whole value.
const Root Field = 0

// MaxFields is the most nodes of one mask.
const MaxFields = 1 << 16

// node is a compiled node of a mask: what is wanted of a value that lies there.
type node struct {
	field  Field
	emit   bool           // it has entries
	named  bool           // its entry follows one of its name
	names  []string       // wanted members
	kids   []*node        // their nodes, by the index of names
	index  map[string]int // the same, where there are many
	rest   *node          // every other member; nil: not wanted
	checks *checks        // of a Program; nil: none
	elems  *node          // the elements of an array; nil: not wanted one by one
}

// enters tells whether the machine looks into objects here.
func (n *node) enters() bool { return len(n.names) > 0 || n.rest != nil }

// child is the node of the member, or nil.
func (n *node) child(name []byte) *node {
	if i := n.find(name); i >= 0 {
		return n.kids[i]
	}
	return n.rest
}

// find is the index of the member's name, or -1.
func (n *node) find(name []byte) int {
	if n.index != nil {
		if i, found := n.index[string(name)]; found {
			return i
		}
		return -1
	}
	for i, want := range n.names {
		if want == string(name) {
			return i
		}
	}
	return -1
}

// manyNames is from where on a map finds a member faster than a look at each.
const manyNames = 8

// want adds a member.
func (n *node) want(name string, kid *node) {
	n.names = append(n.names, name)
	n.kids = append(n.kids, kid)
	if len(n.names) <= manyNames {
		return
	}
	if n.index == nil {
		n.index = make(map[string]int, 2*manyNames)
		for i, have := range n.names {
			n.index[have] = i
		}
	}
	n.index[name] = len(n.names) - 1
}

// Mask says which nodes of a value are wanted. It is immutable: any number of
// scans may share it. A nil *Mask wants nothing, under the zero Rules.
type Mask struct {
	rules Rules
	root  *node
	size  int
}

// Fields is the number of its nodes: every Field of it is smaller.
func (m *Mask) Fields() int { return m.size }

// Builder collects the wanted nodes of a Mask. The zero Builder wants the root
// only, as one span. Arrays need no node of their own: below an array, a node
// stands for each element, at any depth of arrays.
type Builder struct {
	nodes []*node
	err   error
}

// at gives the node of a Field.
func (b *Builder) at(f Field) *node {
	if len(b.nodes) == 0 {
		b.nodes = append(b.nodes, &node{emit: true})
	}
	if int(f) >= len(b.nodes) {
		b.err = fmt.Errorf("no node has the number %d", f)
		return b.nodes[0]
	}
	return b.nodes[f]
}

// add makes a node.
func (b *Builder) add() *node {
	if len(b.nodes) >= MaxFields {
		b.err = fmt.Errorf("more than %d nodes", MaxFields)
		return b.nodes[len(b.nodes)-1]
	}
	n := &node{field: Field(len(b.nodes)), emit: true}
	b.nodes = append(b.nodes, n)
	return n
}

// Member wants the member of that name (unescaped) below parent, and gives the
// node's number: the same one when it was wanted already.
func (b *Builder) Member(parent Field, name string) Field {
	p := b.at(parent)
	if i := p.find([]byte(name)); i >= 0 {
		return p.kids[i].field
	}
	n := b.add()
	p.want(strings.Clone(name), n)
	return n.field
}

// Path wants the members along a dotted path from parent, and gives the number
// of the last one. A last part * is Any, ** is All; for a name that holds a dot or
// star use Member.
func (b *Builder) Path(parent Field, path string) Field {
	f := parent
	parts := strings.Split(path, ".")
	for i, part := range parts {
		last := i == len(parts)-1
		switch {
		case part == "*" && last:
			f = b.Any(f)
		case part == "**" && last:
			f = b.All(f)
		case part == "" || part[0] == '*':
			b.err = fmt.Errorf("path %q: part %d is empty or a star that is not the last part", path, i+1)
			return parent
		default:
			f = b.Member(f, part)
		}
	}
	return f
}

// Any wants every member below parent that has no node of its own: all get one
// number, and an entry with the name (Tape.Name).
func (b *Builder) Any(parent Field) Field {
	p := b.at(parent)
	if p.rest == nil {
		p.rest = b.add()
		p.rest.named = true
	}
	return p.rest.field
}

// All wants the whole subtree below parent, node by node: its members as Any
// does, with the elements of arrays and what lies below each, under one number.
func (b *Builder) All(parent Field) Field {
	f := b.Any(parent)
	n := b.at(f)
	n.rest, n.elems = n, n
	b.Each(parent)
	return f
}

// Each wants an entry for every element where an array lies at f. Without it,
// an array below which nothing is wanted is one span.
func (b *Builder) Each(f Field) {
	n := b.at(f)
	n.elems = n
}

// Mask compiles what was collected. The Builder must not be used after it.
func (b *Builder) Mask(rules Rules) (*Mask, error) {
	root := b.at(Root)
	if b.err != nil {
		return nil, fmt.Errorf("mask: %w", b.err)
	}
	for _, n := range b.nodes {
		if n.enters() {
			n.elems = n
		}
	}
	return &Mask{rules: rules.withDefaults(), root: root, size: len(b.nodes)}, nil
}
