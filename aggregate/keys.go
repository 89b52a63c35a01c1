package aggregate

import (
	"bytes"
	"hash/maphash"
	"math"

	"github.com/maru-msa/maru/scan"
)

// keyTable holds the distinct keys of a fetch in the order they were first seen.
// A key of several fields has as many parts.
type keyTable struct {
	parts  int
	text   bool
	spans  [][]byte // parts of each key
	seed   maphash.Seed
	index  map[uint64]int32 // by hash: the newest key with it
	before []int32          // by key: the one before it with the same hash
	room   []byte
}

// few is up to how many keys a look at each is faster than a hash.
const few = 8

func (t *keyTable) len() int {
	if t.parts == 0 {
		return 0
	}
	return len(t.spans) / t.parts
}

func (t *keyTable) key(i int) [][]byte { return t.spans[i*t.parts : (i+1)*t.parts] }

func (t *keyTable) reset() {
	t.spans, t.before, t.room = t.spans[:0], t.before[:0], t.room[:0]
	if len(t.index) > 4096 {
		t.index = nil
	}
	clear(t.index)
}

// add gives the number of a key, a new one if it was not there.
func (t *keyTable) add(key [][]byte) int32 {
	if i := t.find(key); i >= 0 {
		return i
	}
	i := int32(t.len())
	t.spans = append(t.spans, key...)
	t.before = append(t.before, noKey)
	switch n := t.len(); {
	case n == few+1:
		if t.index == nil {
			t.index, t.seed = make(map[uint64]int32, 4*few), maphash.MakeSeed()
		}
		for k := range n {
			t.enter(int32(k))
		}
	case n > few:
		t.enter(i)
	}
	return i
}

func (t *keyTable) enter(i int32) {
	h := t.hash(t.key(int(i)))
	t.before[i] = noKey
	if old, ok := t.index[h]; ok {
		t.before[i] = old
	}
	t.index[h] = i
}

// find gives the number of a key, or noKey.
func (t *keyTable) find(key [][]byte) int32 {
	if n := t.len(); n <= few {
		for i := range n {
			if t.same(t.key(i), key) {
				return int32(i)
			}
		}
		return noKey
	}
	i, ok := t.index[t.hash(key)]
	if !ok {
		return noKey
	}
	for ; i != noKey; i = t.before[i] {
		if t.same(t.key(int(i)), key) {
			return i
		}
	}
	return noKey
}

func (t *keyTable) same(a, b [][]byte) bool {
	for i := range a {
		if t.text {
			if !sameText(a[i], b[i]) {
				return false
			}
		} else if !scan.SameKey(a[i], b[i]) {
			return false
		}
	}
	return true
}

func (t *keyTable) hash(key [][]byte) uint64 {
	var h uint64
	for _, part := range key {
		var one uint64
		if t.text {
			one = maphash.Bytes(t.seed, textOf(&t.room, part))
		} else {
			one = scan.HashKey(t.seed, part)
		}
		h = h*0x9E3779B97F4A7C15 + one
	}
	return h
}

// holds tells whether the text of a key has the byte that would part keys.
func (t *keyTable) holds(c byte) bool {
	for _, s := range t.spans {
		if bytes.IndexByte(textOf(&t.room, s), c) >= 0 {
			return true
		}
	}
	return false
}

// textOf is the text that a scalar stands for; it lives until the next call with
// the same room.
func textOf(room *[]byte, span []byte) []byte {
	if len(span) < 2 || span[0] != '"' {
		return span
	}
	if bytes.IndexByte(span, '\\') < 0 {
		return span[1 : len(span)-1]
	}
	*room = scan.Unquote((*room)[:0], span)
	return *room
}

func sameText(a, b []byte) bool {
	var x, y []byte
	return bytes.Equal(textOf(&x, a), textOf(&y, b))
}

// scalar tells whether a span is a value that can be a key; null is none.
func scalar(span []byte) bool {
	return len(span) > 0 && span[0] != '{' && span[0] != '['
}

func isNull(span []byte) bool { return len(span) == 0 || span[0] == 'n' }

// find follows a chain below an element. Arrays on the way end it: see spread.
func (e elem) find(way chain) (scan.Ref, bool) {
	if e.tape == nil {
		return 0, false
	}
	at := e.ref
	for _, f := range way {
		if at = e.tape.Child(at, f); at == scan.None {
			return 0, false
		}
	}
	return at, true
}

// spread calls f with every value at the end of a chain, through the arrays on
// the way and at its end.
func (e elem) spread(way chain, f func(scan.Ref)) {
	if e.tape == nil {
		return
	}
	if e.tape.Kind(e.ref) == scan.Array {
		for c := e.tape.First(e.ref); c != scan.None; c = e.tape.After(e.ref, c) {
			elem{e.tape, c}.spread(way, f)
		}
		return
	}
	if len(way) == 0 {
		f(e.ref)
		return
	}
	if c := e.tape.Child(e.ref, way[0]); c != scan.None {
		elem{e.tape, c}.spread(way[1:], f)
	}
}

// gather finds the distinct keys of all places; false says that the fetch as a
// whole has failed.
func (x *run) gather(s *fetchState) bool {
	f := s.f
	s.keys.parts, s.keys.text = f.parts(), f.text
	for i, g := range f.gathers {
		var ok bool
		if g.given != nil {
			ok = x.gatherGiven(s, i, g)
		} else {
			ok = x.gatherLevel(s, i, g)
		}
		if !ok || s.keys.len() > math.MaxInt32/2 {
			return false
		}
	}
	return true
}

// parts is of how many fields a key is.
func (f *fetch) parts() int {
	g := f.gathers[0]
	return max(len(g.at), len(g.given))
}

// gatherGiven takes keys from inputs and literals.
func (x *run) gatherGiven(s *fetchState, i int, g *gather) bool {
	if !g.many {
		var room [4][]byte
		key := room[:0]
		for _, v := range g.given {
			span := x.value(v)
			if !scalar(span) || isNull(span) {
				s.rows[i] = append(s.rows[i], noKey)
				return true
			}
			key = append(key, span)
		}
		s.rows[i] = append(s.rows[i], s.keys.add(key))
		return true
	}
	tape := scan.NewTape()
	defer tape.Release()
	if err := scan.Scan(listMask(), x.value(g.given[0]), tape); err != nil {
		s.whole = failure{code: codeInvalidKey}
		return false
	}
	elem{tape, 0}.spread(nil, func(at scan.Ref) {
		key := [1][]byte{tape.Span(at)}
		n := int32(invalidKey)
		if scalar(key[0]) && !isNull(key[0]) {
			n = s.keys.add(key[:])
		}
		s.rows[i] = append(s.rows[i], n)
	})
	s.ends[i] = append(s.ends[i], int32(len(s.rows[i])))
	return true
}

// listMask wants the elements of an array.
func listMask() *scan.Mask {
	var b scan.Builder
	b.Each(scan.Root)
	m, _ := b.Mask(scan.RequestRules()) // two nodes: it can't fail
	return m
}

// gatherLevel takes the keys of a level's elements.
func (x *run) gatherLevel(s *fetchState, i int, g *gather) bool {
	from := &x.levels[g.from.id]
	lists := s.f.lists[i]
	for _, e := range from.elems {
		if lists {
			x.keysOf(s, i, g, e)
		} else {
			s.rows[i] = append(s.rows[i], s.keyOf(g, e))
		}
		if s.keys.len() > x.p.graph.limits.Keys {
			s.whole = failure{code: codeLimit}
			return false
		}
	}
	return true
}

// keyOf is the number of an element's key.
func (s *fetchState) keyOf(g *gather, e elem) int32 {
	var room [4][]byte
	key := room[:0]
	for _, at := range g.at {
		ref, ok := e.find(at)
		if !ok {
			return noKey
		}
		span := e.tape.Span(ref)
		switch {
		case isNull(span):
			return noKey
		case !scalar(span):
			return invalidKey
		}
		key = append(key, span)
	}
	return s.keys.add(key)
}

// keysOf are the keys that an element holds as a list.
func (x *run) keysOf(s *fetchState, i int, g *gather, e elem) {
	e.spread(g.at[0], func(at scan.Ref) {
		key := [1][]byte{e.tape.Span(at)}
		switch {
		case isNull(key[0]):
		case !scalar(key[0]):
			s.rows[i] = append(s.rows[i], invalidKey)
		default:
			s.rows[i] = append(s.rows[i], s.keys.add(key[:]))
		}
	})
	s.ends[i] = append(s.ends[i], int32(len(s.rows[i])))
}

// value is the JSON of an argument; nil when an input has none.
func (x *run) value(v Value) []byte {
	if v.Var == "" {
		return []byte(v.JSON)
	}
	for i := range x.p.inputs {
		if x.p.inputs[i].name == v.Var {
			return x.in[i]
		}
	}
	return nil
}
