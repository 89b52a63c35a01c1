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
	emit   bool     // it has entries
	named  bool     // its entry follows one of its name
	names  []string // wanted members
	kids   []*node  // their nodes, by the index of names
	table  []uint16 // where a name is: its index + 1 at the place of its sketch, or after it
	rest   *node    // every other member; nil: not wanted
	checks *checks  // of a Program; nil: none
	elems  *node    // the elements of an array; nil: not wanted one by one
}

// enters tells whether the machine looks into objects here.
func (n *node) enters() bool { return len(n.names) > 0 || n.rest != nil }

// child is the node of the member, or nil. h is the name's sketch.
func (n *node) child(name []byte, h uint32) *node {
	if i := n.find(name, h); i >= 0 {
		return n.kids[i]
	}
	return n.rest
}

// find is the index of the member's name, or -1. h is its sketch.
func (n *node) find(name []byte, h uint32) int {
	last := uint32(len(n.table) - 1)
	if len(n.table) == 0 {
		return -1
	}
	for at := h & last; ; at = (at + 1) & last {
		i := int(n.table[at]) - 1
		if i < 0 || n.names[i] == string(name) {
			return i
		}
	}
}

// lookup is find for those who compile.
func (n *node) lookup(name string) int {
	return n.find([]byte(name), sketch([]byte(name)))
}

// want adds a member. The table is at most a quarter full, so that most names
// that nobody wants meet an empty place at once.
func (n *node) want(name string, kid *node) {
	n.names = append(n.names, name)
	n.kids = append(n.kids, kid)
	if 4*len(n.names) <= len(n.table) {
		n.place(len(n.names) - 1)
		return
	}
	n.table = make([]uint16, max(16, 2*len(n.table)))
	for i := range n.names {
		n.place(i)
	}
}

// place puts the name of that index into the table.
func (n *node) place(i int) {
	last := uint32(len(n.table) - 1)
	at := sketch([]byte(n.names[i])) & last
	for n.table[at] != 0 {
		at = (at + 1) & last
	}
	n.table[at] = uint16(i + 1)
}

// sketch is a cheap hash of a name, from its length and three of its bytes:
// names that collide cost time, and those of a mask are not a stranger's.
func sketch(text []byte) uint32 {
	n := len(text)
	if n == 0 {
		return 0
	}
	h := uint32(text[0]) + uint32(text[n-1])<<8 + uint32(text[n>>1])<<16 + uint32(n)<<24
	h *= 0x9E3779B1
	return h ^ h>>15
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
	if i := p.lookup(name); i >= 0 {
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

// Wanted lists the members that are wanted by name below f, in the order in which
// they were first wanted, and their numbers.
func (b *Builder) Wanted(f Field) (names []string, fields []Field) {
	n := b.at(f)
	for _, kid := range n.kids {
		fields = append(fields, kid.field)
	}
	return n.names, fields
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
