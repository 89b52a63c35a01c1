package aggregate

import (
	"bytes"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/maru-msa/maru/scan"
)

// levelState is a level of a run: a row of elements for each element of the level
// above.
type levelState struct {
	l     *level
	waits atomic.Int32
	rows  []row
	elems []elem
	fails []failure // of elements of lists whose keys failed one by one; by element, or empty
	spare []elem
}

// row is what one element of the level above has here.
type row struct {
	failure

	null     bool // there is no value, and that is no failure
	from, to int32
}

func (s *levelState) reset() {
	s.rows, s.elems, s.fails = s.rows[:0], s.elems[:0], s.fails[:0]
	clear(s.spare)
}

// layOut fills a level whose parent is laid out and whose fetch is done.
func (x *run) layOut(s *levelState) {
	l := s.l
	if l.parent == nil {
		return
	}
	parent := &x.levels[l.parent.id]
	for i, e := range parent.elems {
		r := row{from: int32(len(s.elems))}
		switch {
		case l.parent.parent != nil && e.tape == nil:
			r.null = true
		case l.fetch == nil:
			x.part(s, &r, e)
		case l.gather < 0:
			x.answer(s, &r)
		default:
			x.linkedTo(s, &r, i)
		}
		if r.code == codeOK && !r.null && l.list && l.post.any() {
			x.process(s, int(r.from))
		}
		r.to = int32(len(s.elems))
		s.rows = append(s.rows, r)
	}
}

// part lays out what lies in the parent's element itself.
func (x *run) part(s *levelState, r *row, e elem) {
	at, ok := e.find(s.l.at)
	if !ok {
		if s.l.list { // a path over a list maps
			n := len(s.elems)
			e.spread(s.l.at, func(c scan.Ref) { s.elems = append(s.elems, elem{e.tape, c}) })
			r.null = len(s.elems) == n
			return
		}
		r.null = true
		return
	}
	s.lay(r, elem{e.tape, at})
}

// lay adds a value: the elements of a list, or the one.
func (s *levelState) lay(r *row, e elem) {
	kind := e.tape.Kind(e.ref)
	switch {
	case kind == scan.Null:
		r.null = true
	case s.l.list && kind != scan.Array, !s.l.list && s.l.typ != nil && kind != scan.Object:
		r.code = codeMismatch
	case s.l.list:
		for n := e.tape.First(e.ref); n != scan.None; n = e.tape.After(e.ref, n) {
			if s.l.typ != nil && e.tape.Kind(n) != scan.Object {
				s.elems = append(s.elems, elem{}) // null in a list, or of another kind
				continue
			}
			s.elems = append(s.elems, elem{e.tape, n})
		}
	default:
		s.elems = append(s.elems, e)
	}
}

// answer lays out the one answer of a root without a key.
func (x *run) answer(s *levelState, r *row) {
	f := &x.fetches[s.l.fetch.id]
	if f.whole.code != codeOK {
		r.failure = f.whole
		return
	}
	x.head(s, r, &f.heads[0])
}

// head lays out what a key got.
func (x *run) head(s *levelState, r *row, h *keyRow) {
	f := &x.fetches[s.l.fetch.id]
	switch {
	case h.code == codeNotFound && s.l.policy.kind != policyRequired:
		r.null = true
	case h.code != codeOK:
		r.failure = h.failure
	case f.f.kind.listed():
		for n := h.first; n >= 0; n = f.links[n].next {
			if k := f.links[n].tape.Kind(f.links[n].ref); s.l.typ != nil && k != scan.Object {
				continue
			}
			s.elems = append(s.elems, f.links[n].elem)
		}
	case !h.found && s.l.policy.kind == policyRequired:
		r.code = codeNotFound
	case !h.found:
		r.null = true
	default:
		s.lay(r, h.at)
	}
}

// linkedTo lays out what the keys of the parent's i-th element got.
func (x *run) linkedTo(s *levelState, r *row, i int) {
	f := &x.fetches[s.l.fetch.id]
	if f.whole.code != codeOK {
		r.failure = f.whole
		return
	}
	g := s.l.gather
	if f.f.gathers[g].given != nil && !f.f.gathers[g].many {
		i = 0 // the same for all
	}
	if !f.f.lists[g] {
		x.keyed(s, r, f, f.rows[g][i])
		return
	}
	from := int32(0)
	if i > 0 {
		from = f.ends[g][i-1]
	}
	for _, key := range f.rows[g][from:f.ends[g][i]] {
		if key < 0 {
			continue
		}
		h := &f.heads[key]
		if h.code != codeOK {
			r.failure = h.failure
			continue
		}
		if h.found && h.at.tape.Kind(h.at.ref) == scan.Object {
			s.elems = append(s.elems, h.at)
		}
	}
	if r.code != codeOK {
		s.elems = s.elems[:r.from]
	}
}

func (x *run) keyed(s *levelState, r *row, f *fetchState, key int32) {
	switch key {
	case noKey:
		if r.null = true; s.l.policy.kind == policyRequired {
			r.null, r.code = false, codeNotFound
		}
	case invalidKey:
		r.code = codeInvalidKey
	default:
		x.head(s, r, &f.heads[key])
	}
}

// process does to a row of a list what the selection asks for: keep, sort, skip,
// cut. It runs before children are fetched, so that nothing is fetched in vain.
func (x *run) process(s *levelState, from int) {
	p := &s.l.post
	list := s.elems[from:]
	if p.where != nil {
		kept := list[:0]
		for _, e := range list {
			if p.where.holds(x, e) {
				kept = append(kept, e)
			}
		}
		list = kept
	}
	if len(p.sort) > 0 {
		slices.SortStableFunc(list, func(a, b elem) int { return p.compare(a, b) })
	}
	if n, ok := intOf(x.value(p.skip)); ok && n > 0 {
		list = list[:copy(list, list[min(n, len(list)):])]
	}
	if n, ok := intOf(x.value(p.limit)); ok && n >= 0 && n < len(list) {
		list = list[:n]
	}
	switch {
	case p.first && len(list) > 1:
		list = list[:1]
	case p.last && len(list) > 1:
		list[0] = list[len(list)-1]
		list = list[:1]
	}
	s.elems = s.elems[:from+len(list)]
}

// compare orders two elements: null last, numbers by value, text by its bytes.
func (p *post) compare(a, b elem) int {
	for _, k := range p.sort {
		x, y := spanAt(a, k.at), spanAt(b, k.at)
		if n := compareSpans(x, y); n != 0 {
			if k.desc && !isNull(x) && !isNull(y) {
				return -n
			}
			return n
		}
	}
	return 0
}

func spanAt(e elem, way chain) []byte {
	at, ok := e.find(way)
	if !ok {
		return nil
	}
	return e.tape.Span(at)
}

func compareSpans(a, b []byte) int {
	switch {
	case isNull(a) && isNull(b):
		return 0
	case isNull(a):
		return 1
	case isNull(b):
		return -1
	}
	if numeral(a) && numeral(b) {
		return compareNumbers(a, b)
	}
	var x, y []byte
	return bytes.Compare(textOf(&x, a), textOf(&y, b))
}

func numeral(s []byte) bool { return s[0] == '-' || s[0] >= '0' && s[0] <= '9' }

// compareNumbers orders two literals: whole numbers exactly at any length, others
// as a 64-bit float.
func compareNumbers(a, b []byte) int {
	if !bytes.ContainsAny(a, ".eE") && !bytes.ContainsAny(b, ".eE") {
		return compareWhole(a, b)
	}
	x, _ := strconv.ParseFloat(string(a), 64)
	y, _ := strconv.ParseFloat(string(b), 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func compareWhole(a, b []byte) int {
	minusA, minusB := a[0] == '-', b[0] == '-'
	switch {
	case minusA && !minusB:
		return -1
	case minusB && !minusA:
		return 1
	case minusA:
		return compareWhole(b[1:], a[1:])
	case len(a) != len(b):
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}
