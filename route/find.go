package route

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/message"
)

// search is one search of the index.
type search struct {
	ix     *index
	r      *message.Request
	path   string
	method string
	bit    uint16

	best   int32 // the entry found, or noEntry
	missed bool  // an entry took all but the method

	all *[]int32 // when not nil: collects each entry whose host and path match
}

// find gives the entry of the request's path as it is read, or noEntry.
func (ix *index) find(r *message.Request, path, method string) search {
	s := search{ix: ix, r: r, path: path, method: method, bit: methodBit(method), best: noEntry}
	s.run()
	return s
}

// run searches the tries of all hosts that the request's could be, the most
// specific first, so that the others are mostly left out by their best entry.
func (s *search) run() {
	ix := s.ix
	if root, ok := ix.exact[s.r.Host]; ok {
		s.node(root, 0)
	}
	if len(ix.labels) > 0 {
		s.wildcards()
	}
	if ix.any != none {
		s.node(ix.any, 0)
	}
}

// wildcards goes down the labels of the host from the right, then searches what
// it passed from the longest suffix to the shortest.
func (s *search) wildcards() {
	var roots [maxLabels + 1]int32
	n, at := 0, int32(0)
	for rest := s.r.Host; ; {
		i := strings.LastIndexByte(rest, '.')
		next, ok := s.ix.labels[label{at, rest[i+1:]}]
		if !ok || i <= 0 { // the first label is the wildcard's own
			break
		}
		at, rest = next, rest[:i]
		if root := s.ix.wild[at]; root != none {
			roots[n] = root
			n++
		}
	}
	for n > 0 {
		n--
		s.node(roots[n], 0)
	}
}

// node searches the trie below a node; path[:pos] led to it.
func (s *search) node(id int32, pos int) {
	n := &s.ix.nodes[id]
	if n.best >= s.best {
		return
	}
	if pos == len(s.path) {
		s.entries(n.ends, n.endsFork)
	} else {
		s.segment(n, pos)
	}
	if n.regex.from < n.regex.to {
		s.regexes(n, pos)
	}
	s.entries(n.rests, n.restsFork)
}

// segment follows the next segment: as a literal, by expression, as any.
func (s *search) segment(n *node, pos int) {
	end := nextSlash(s.path, pos+1)
	seg := s.path[pos+1 : end]
	if kid := s.ix.kid(n, seg); kid != none {
		s.literal(kid, end)
	}
	if seg == "" || n.vars.from == n.vars.to {
		return
	}
	for id := n.vars.from; id < n.vars.to; id++ {
		c := &s.ix.nodes[id]
		if c.best < s.best && (c.expr == nil || c.expr.re.MatchString(seg)) {
			s.node(id, end)
		}
	}
}

func (s *search) literal(id int32, end int) {
	if tail := s.ix.nodes[id].tail; tail != "" {
		if !strings.HasPrefix(s.path[end:], tail) {
			return
		}
		if end += len(tail); end < len(s.path) && s.path[end] != '/' {
			return
		}
	}
	s.node(id, end)
}

// kid gives the literal child of a segment, or none.
func (ix *index) kid(n *node, seg string) int32 {
	if n.slots.from == n.slots.to {
		for id := n.kids.from; id < n.kids.to; id++ {
			if ix.nodes[id].label == seg {
				return id
			}
		}
		return none
	}
	table := ix.slots[n.slots.from:n.slots.to]
	for at := ix.slot(seg, len(table)); table[at] != none; at = (at + 1) & (len(table) - 1) {
		if ix.nodes[table[at]].label == seg {
			return table[at]
		}
	}
	return none
}

// regexes tries the expressions whose literal prefix the path has. Prefixes end
// within the next segment, so few lengths come into question.
func (s *search) regexes(n *node, pos int) {
	buckets := s.ix.buckets[n.regex.from:n.regex.to]
	rest := s.path[pos:]
	for i := 0; i < len(buckets) && len(buckets) <= hashAbove; i++ {
		if strings.HasPrefix(rest, buckets[i].prefix) {
			s.expressions(buckets[i].list)
		}
	}
	if len(buckets) <= hashAbove {
		return
	}
	for length := range min(len(rest), int(n.longest)) + 1 {
		at, ok := slices.BinarySearchFunc(buckets, rest[:length], func(b bucket, prefix string) int {
			return strings.Compare(b.prefix, prefix)
		})
		if ok {
			s.expressions(buckets[at].list)
		}
	}
}

func (s *search) expressions(list span) {
	for _, e := range s.ix.list[list.from:list.to] {
		if e >= s.best {
			return
		}
		if s.ix.entries[e].rule.path.re.MatchString(s.path) {
			s.try(e)
		}
	}
}

// entries tries a list until one takes the request; f divides it, if it is long.
func (s *search) entries(list span, f *fork) {
	if f != nil && s.all == nil {
		s.fork(f)
		return
	}
	for _, e := range s.ix.list[list.from:list.to] {
		if e >= s.best {
			return
		}
		s.try(e)
	}
}

// try makes e the best entry if the request's method and predicates are right.
func (s *search) try(e int32) {
	r := s.ix.entries[e].rule
	switch {
	case s.all != nil:
		*s.all = append(*s.all, e)
	case r.methods.has(s.bit, s.method):
		if r.takes(s.r) {
			s.best = e
		}
	case !s.missed && s.best == noEntry:
		s.missed = r.takes(s.r)
	}
}

// touched gives the entries whose host and path take the request, by precedence.
// It allocates: it is for answers that explain.
func (ix *index) touched(r *message.Request, path string) []int32 {
	var out []int32
	s := search{ix: ix, r: r, path: path, best: noEntry, all: &out}
	s.run()
	slices.Sort(out)
	return out
}
