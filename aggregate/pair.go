package aggregate

import (
	"github.com/maru-msa/maru/scan"
)

// pair gives every key of a call what the answer has for it.
func (s *fetchState) pair(c *callState) {
	if c.code != codeOK {
		// Of one thing, that it is not there is an answer: null.
		if c.code == codeNotFound && !s.f.kind.batched() {
			c.failure = failure{}
			s.heads[c.from].failure = failure{code: codeNotFound}
			return
		}
		s.fail(c, c.failure)
		return
	}
	e := elem{c.tape, 0}
	at, ok := e.find(s.f.body)
	if !ok || c.tape.Kind(at) == scan.Null {
		s.nothing(c, ok)
		return
	}
	e.ref = at
	switch s.f.kind {
	case fetchRoot, fetchOne:
		s.heads[c.from].at, s.heads[c.from].found = e, true
	case fetchByOne:
		if c.tape.Kind(at) != scan.Array {
			s.fail(c, failure{code: codeMismatch})
			return
		}
		for n := c.tape.First(at); n != scan.None; n = c.tape.After(at, n) {
			s.chain(c.from, elem{c.tape, n})
		}
		s.heads[c.from].found = true
	case fetchMany, fetchByMany:
		s.pairMany(c, e)
	}
}

// nothing is for an answer that has null, or nothing, where the value should be.
func (s *fetchState) nothing(c *callState, there bool) {
	if there && !s.f.kind.batched() {
		s.heads[c.from].failure = failure{code: codeNotFound}
		return
	}
	s.fail(c, failure{code: codeMismatch})
}

// fail gives all keys of a call the same failure.
func (s *fetchState) fail(c *callState, f failure) {
	c.failure = f
	for i := c.from; i < c.to; i++ {
		s.heads[i].failure = f
	}
}

// chain adds an element to a key's list.
func (s *fetchState) chain(key int, e elem) {
	h := &s.heads[key]
	n := int32(len(s.links))
	s.links = append(s.links, linked{e, -1})
	if h.last >= 0 {
		s.links[h.last].next = n
	} else {
		h.first = n
	}
	h.last = n
	h.n++
}

// pairMany pairs a batch.
func (s *fetchState) pairMany(c *callState, e elem) {
	if s.f.kind == fetchByMany {
		for i := c.from; i < c.to; i++ {
			s.heads[i].found = true // a list of none is a list
		}
	}
	switch s.f.call.pairing.how {
	case pairPosition:
		s.byPosition(c, e)
	case pairMap:
		s.byMap(c, e)
	case pairGrouped:
		s.byGroups(c, e)
	case pairKey, pairGroup:
		s.byKey(c, e)
	}
}

// byKey is for elements that name their key themselves, in any order.
func (s *fetchState) byKey(c *callState, e elem) {
	t := e.tape
	if t.Kind(e.ref) != scan.Array {
		s.fail(c, failure{code: codeMismatch})
		return
	}
	paired, seen := 0, 0
	for n := t.First(e.ref); n != scan.None; n = t.After(e.ref, n) {
		if t.Kind(n) == scan.Null {
			continue
		}
		seen++
		one := elem{t, n}
		key, ok := s.keyIn(c, one)
		if !ok {
			continue
		}
		if paired++; s.take(c, key, one) {
			return
		}
	}
	// A static source has all that there is, whatever was asked for.
	if seen > 0 && paired == 0 && s.f.source.kind != sourceStatic {
		s.fail(c, failure{code: codeMismatch})
	}
}

// keyIn is the number of the key that an element names, among those of the call.
func (s *fetchState) keyIn(c *callState, e elem) (int, bool) {
	var room [4][]byte
	key := room[:0]
	for _, way := range s.f.key {
		at, ok := e.find(way)
		if !ok {
			return 0, false
		}
		span := e.tape.Span(at)
		if !scalar(span) || isNull(span) {
			return 0, false
		}
		key = append(key, span)
	}
	i := int(s.keys.find(key))
	return i, i >= c.from && i < c.to
}

// take gives a key an element. It tells whether that ended the pairing: a key
// that came twice, where that is not allowed.
func (s *fetchState) take(c *callState, key int, e elem) bool {
	h := &s.heads[key]
	switch {
	case s.f.kind == fetchByMany:
		s.chain(key, e)
	case h.found:
		if s.f.call.strict {
			s.fail(c, failure{code: codeMismatch})
			return true
		}
	default:
		h.at, h.found = e, true
	}
	return false
}

// byPosition is for answers in the order of the keys: never guessed when the
// lengths differ.
func (s *fetchState) byPosition(c *callState, e elem) {
	t := e.tape
	if t.Kind(e.ref) != scan.Array || t.Len(e.ref) != c.to-c.from {
		s.fail(c, failure{code: codeMismatch})
		return
	}
	key := c.from
	for n := t.First(e.ref); n != scan.None; n = t.After(e.ref, n) {
		s.give(key, elem{t, n})
		key++
	}
	s.refusedElements(c)
}

// give gives a key one value: an element, or its whole list.
func (s *fetchState) give(key int, e elem) {
	h := &s.heads[key]
	if s.f.kind == fetchMany {
		if e.tape.Kind(e.ref) != scan.Null {
			h.at, h.found = e, true
		}
		return
	}
	if e.tape.Kind(e.ref) == scan.Array {
		for n := e.tape.First(e.ref); n != scan.None; n = e.tape.After(e.ref, n) {
			s.chain(key, elem{e.tape, n})
		}
	}
}

// byMap is for an object whose member names are the keys.
func (s *fetchState) byMap(c *callState, e elem) {
	t := e.tape
	if t.Kind(e.ref) != scan.Object {
		s.fail(c, failure{code: codeMismatch})
		return
	}
	for n := t.First(e.ref); n != scan.None; n = t.After(e.ref, n) {
		name := t.Name(n)
		for key := c.from; key < c.to; key++ {
			if sameText(s.keys.key(key)[0], name) {
				s.give(key, elem{t, n})
				break
			}
		}
	}
}

// byGroups is for a list of groups, each with its key and its elements.
func (s *fetchState) byGroups(c *callState, e elem) {
	t := e.tape
	if t.Kind(e.ref) != scan.Array {
		s.fail(c, failure{code: codeMismatch})
		return
	}
	paired, seen := 0, 0
	for n := t.First(e.ref); n != scan.None; n = t.After(e.ref, n) {
		seen++
		group := elem{t, n}
		key, ok := s.keyIn(c, group)
		if !ok {
			continue
		}
		paired++
		if at, ok := group.find(s.f.inner); ok {
			s.give(key, elem{t, at})
		}
	}
	if seen > 0 && paired == 0 {
		s.fail(c, failure{code: codeMismatch})
	}
}
