package route

import (
	"cmp"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// entry is one rule at one of its hosts. Entries are numbered by precedence: 0
// is tried first. Routes that share their traffic by weight are one entry.
type entry struct {
	rule    *rule
	host    host
	rank    rank
	source  int32   // place of the rule in Build's list
	members []int32 // of a group, in the order of the list; nil for a single route
	upto    []int64 // their weights, added up
}

// span is a part of one of the index's arrays.
type span struct{ from, to int32 }

// node is one place in a path trie. Its literal children lie side by side.
type node struct {
	label string // the segment that leads here
	tail  string // further literal segments without a branch: "/v1/users"
	best  int32  // the smallest entry at or below this node
	kids  span   // in nodes: literal children
	slots span   // in slots: their hash table, when they are many
	vars  span   // in nodes: {name:expr} children, then the {name} child
	ends  span   // in list: entries whose pattern ends here
	rests span   // in list: entries that take all from here on
	regex span   // in buckets
	expr  *segment

	longest int32 // bytes of the longest prefix in regex

	endsFork, restsFork *fork // divide long lists; nil for short ones
}

// bucket holds the regular expressions of a node with one literal prefix. The
// prefix is what follows the node's own path.
type bucket struct {
	prefix string
	list   span
}

// index finds the entry of a request. It is immutable.
type index struct {
	entries []entry
	nodes   []node
	list    []int32
	slots   []int32
	buckets []bucket
	seed    maphash.Seed

	exact  map[string]int32 // host to root node
	labels map[label]int32  // wildcard hosts, label by label from the right
	wild   []int32          // root node of each label node, or none
	any    int32            // root node of routes without host, or none
}

// label is an edge of the trie of wildcard hosts.
type label struct {
	parent int32
	name   string
}

const (
	none      = int32(-1)
	noEntry   = int32(math.MaxInt32)
	hashAbove = 8 // children that are searched without a hash table
)

// newIndex builds the tries over entries, which are in order of precedence.
func newIndex(entries []entry) *index {
	ix := &index{
		entries: entries, seed: maphash.MakeSeed(),
		exact: make(map[string]int32), labels: make(map[label]int32), wild: []int32{none}, any: none,
	}
	order := make([]int32, len(entries))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &entries[a], &entries[b]
		if x.host != y.host {
			return cmp.Or(strings.Compare(x.host.name, y.host.name), cmp.Compare(bit(x.host.exact), bit(y.host.exact)))
		}
		return x.rule.path.compareShape(y.rule.path)
	})
	ix.nodes = make([]node, 0, 2*len(entries)+len(entries)/4+8)
	ix.list = make([]int32, 0, len(entries))
	for from := 0; from < len(order); {
		to := from + 1
		h := entries[order[from]].host
		for to < len(order) && entries[order[to]].host == h {
			to++
		}
		ix.nodes = append(ix.nodes, node{best: noEntry})
		root := int32(len(ix.nodes) - 1)
		ix.grow(root, order[from:to], 0)
		ix.place(h, root)
		from = to
	}
	return ix
}

// place makes root the trie of a host.
func (ix *index) place(h host, root int32) {
	switch {
	case h.exact:
		ix.exact[h.name] = root
		return
	case h.name == "":
		ix.any = root
		return
	}
	at := int32(0)
	for rest := h.name; rest != ""; {
		i := strings.LastIndexByte(rest, '.')
		key := label{at, rest[i+1:]}
		next, ok := ix.labels[key]
		if !ok {
			next = int32(len(ix.wild))
			ix.labels[key] = next
			ix.wild = append(ix.wild, none)
		}
		at, rest = next, rest[:max(i, 0)]
	}
	ix.wild[at] = root
}

// compareShape orders patterns so that those of one node lie side by side: the
// pattern that ends first, then literals, {name:expr}, {name}; regular
// expressions by their prefix.
func (p *pattern) compareShape(o *pattern) int {
	if c := strings.Compare(p.shape, o.shape); c != 0 {
		return c
	}
	if p.kind != kindRegex && o.kind != kindRegex {
		return 0
	}
	return cmp.Or(cmp.Compare(p.kind, o.kind), strings.Compare(p.prefix, o.prefix))
}

// step gives segment i; false at the end.
func (p *pattern) step(i int) (*segment, bool) {
	if i >= len(p.segs) {
		return nil, false
	}
	return &p.segs[i], true
}

// grow fills node id from the entries in order, whose patterns agree in their
// first depth segments.
func (ix *index) grow(id int32, order []int32, depth int) {
	for _, e := range order {
		ix.nodes[id].best = min(ix.nodes[id].best, e)
	}
	n := 0 // entries that end here
	for n < len(order) && len(ix.pattern(order[n]).segs) == depth {
		n++
	}
	ix.finish(id, order[:n])
	groups := ix.branch(order[n:], depth)
	ix.children(id, groups, depth)
}

func (ix *index) pattern(e int32) *pattern { return ix.entries[e].rule.path }

// branch cuts entries into runs with the same next segment.
func (ix *index) branch(order []int32, depth int) [][]int32 {
	var groups [][]int32
	for from := 0; from < len(order); {
		s := &ix.pattern(order[from]).segs[depth]
		to := from + 1
		for to < len(order) {
			o := &ix.pattern(order[to]).segs[depth]
			if o.kind != s.kind || o.text != s.text {
				break
			}
			to++
		}
		groups = append(groups, order[from:to])
		from = to
	}
	return groups
}

// children makes a node for each run, literal ones first, and grows them.
func (ix *index) children(id int32, groups [][]int32, depth int) {
	if len(groups) == 0 {
		return
	}
	first := int32(len(ix.nodes))
	literals := int32(0)
	deep := make([]int, len(groups))
	for i, g := range groups {
		s := &ix.pattern(g[0]).segs[depth]
		c := node{label: s.text, best: noEntry}
		deep[i] = depth + 1
		switch s.kind {
		case segLiteral:
			literals++
			deep[i] = ix.stretch(&c, g, depth+1)
		case segRegex:
			c.expr = s
		case segAny:
		}
		ix.nodes = append(ix.nodes, c)
	}
	ix.nodes[id].kids = span{first, first + literals}
	ix.nodes[id].vars = span{first + literals, int32(len(ix.nodes))}
	ix.hash(id)
	for i, g := range groups {
		ix.grow(first+int32(i), g, deep[i])
	}
}

// stretch takes into a node the literal segments that all of its entries share,
// as long as none of them ends. It gives the depth reached. The entries are
// sorted, so the first and the last one speak for all.
func (ix *index) stretch(c *node, g []int32, depth int) int {
	first, last := ix.pattern(g[0]), ix.pattern(g[len(g)-1])
	for {
		a, moreA := first.step(depth)
		b, moreB := last.step(depth)
		if !moreA || !moreB || a.kind != segLiteral || b.kind != segLiteral || a.text != b.text {
			return depth
		}
		c.tail += "/" + a.text
		depth++
	}
}

// hash makes the hash table of a node's literal children.
func (ix *index) hash(id int32) {
	n := &ix.nodes[id]
	count := int(n.kids.to - n.kids.from)
	if count <= hashAbove {
		return
	}
	size := 1 << bits.Len(uint(2*count-1))
	from := len(ix.slots)
	ix.slots = slices.Grow(ix.slots, size)[:from+size]
	table := ix.slots[from:]
	for i := range table {
		table[i] = none
	}
	for kid := n.kids.from; kid < n.kids.to; kid++ {
		at := ix.slot(ix.nodes[kid].label, size)
		for table[at] != none {
			at = (at + 1) & (size - 1)
		}
		table[at] = kid
	}
	n.slots = span{int32(from), int32(from + size)}
}

func (ix *index) slot(text string, size int) int {
	return int(maphash.String(ix.seed, text) & uint64(size-1))
}

// finish notes the entries that end at a node.
func (ix *index) finish(id int32, order []int32) {
	n := &ix.nodes[id]
	n.ends = ix.pick(order, func(k pathKind) bool { return k >= kindSegments })
	n.rests = ix.pick(order, func(k pathKind) bool { return k == kindRest })
	n.endsFork, n.restsFork = ix.newFork(n.ends), ix.newFork(n.rests)
	var regexes []int32
	for _, e := range order {
		if ix.pattern(e).kind == kindRegex {
			regexes = append(regexes, e)
		}
	}
	from := len(ix.buckets)
	for len(regexes) > 0 { // they are sorted by prefix
		prefix := ix.pattern(regexes[0]).prefix
		k := 1
		for k < len(regexes) && ix.pattern(regexes[k]).prefix == prefix {
			k++
		}
		b := bucket{prefix: prefix[ix.pattern(regexes[0]).whole():], list: ix.pick(regexes[:k], func(pathKind) bool { return true })}
		ix.buckets = append(ix.buckets, b)
		n.longest = max(n.longest, int32(len(b.prefix)))
		regexes = regexes[k:]
	}
	n.regex = span{int32(from), int32(len(ix.buckets))}
}

// pick appends the chosen entries to the list, by precedence.
func (ix *index) pick(order []int32, want func(pathKind) bool) span {
	from := len(ix.list)
	for _, e := range order {
		if want(ix.pattern(e).kind) {
			ix.list = append(ix.list, e)
		}
	}
	slices.Sort(ix.list[from:])
	return span{int32(from), int32(len(ix.list))}
}
