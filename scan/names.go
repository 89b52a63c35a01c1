package scan

import (
	"hash/maphash"
)

// fewNames is up to how many names of an object are compared one by one.
const fewNames = 8

// name is a member name that was seen in an object that is still open, as its
// text: in the body, or in machine.arena when escapes or a chunk's end came in
// between.
type name struct {
	off, len uint32
	hash     uint32 // once it is in a nameSet
	arena    bool
}

// nameSet finds a name among those of one wide object. Slots of an older
// generation are empty: nothing is cleared between two objects.
type nameSet struct {
	slots []nameSlot
	gen   uint32
	size  int // slots in use: a power of two
	first int // the object's first name
	next  int // its first name that is not in yet
}

type nameSlot struct {
	gen, hash, name uint32
}

// smallSet is the number of slots that a set begins with.
const smallSet = 32

// seen notes the name in the open object f and tells whether it was there. text
// is the name unescaped, at off in the body, or nowhere that lasts when keep is
// set: then it is copied. h is its sketch.
func (m *machine) seen(f *frame, text []byte, h, off uint32, keep bool) bool {
	bit := uint64(1) << (h >> 26)
	if f.bloom&bit != 0 && m.among(f, text) {
		return true
	}
	f.bloom |= bit
	if keep {
		off = uint32(len(m.arena))
		m.arena = append(m.arena, text...)
	}
	m.names = append(m.names, name{off: off, len: uint32(len(text)), arena: keep})
	return false
}

// text is the text of a name.
func (m *machine) text(n name) []byte {
	if n.arena {
		return m.arena[n.off : n.off+n.len]
	}
	return m.body[n.off : n.off+n.len]
}

// among looks for the text among the names of f.
func (m *machine) among(f *frame, text []byte) bool {
	open := m.names[f.names:]
	if len(open) <= fewNames {
		for _, n := range open {
			if int(n.len) == len(text) && string(m.text(n)) == string(text) {
				return true
			}
		}
		return false
	}
	if f.set < 0 {
		f.set = int32(m.sets)
		if m.sets == len(m.pool) {
			m.pool = append(m.pool, nameSet{})
		}
		m.sets++
		m.pool[f.set].reset(int(f.names))
	}
	s := &m.pool[f.set]
	for ; s.next < len(m.names); s.next++ {
		m.names[s.next].hash = m.hash(m.text(m.names[s.next]))
		s.insert(m.names)
	}
	return m.find(s, text)
}

// hash is a name's hash under this machine's own seed: who picks names can't
// know which collide.
func (m *machine) hash(text []byte) uint32 {
	h := maphash.Bytes(m.seed, text)
	return uint32(h ^ h>>32)
}

// reset empties the set for an object whose names begin at first.
func (s *nameSet) reset(first int) {
	s.first, s.next = first, first
	s.resize(smallSet)
}

// resize takes that many slots, all empty.
func (s *nameSet) resize(size int) {
	s.size = size
	s.gen++
	if len(s.slots) < size || s.gen == 0 { // the latter every four billion objects
		s.slots = make([]nameSlot, max(size, len(s.slots)))
		s.gen = 1
	}
}

// insert adds the name at s.next, which is not in the set.
func (s *nameSet) insert(names []name) {
	if s.next-s.first >= s.size/2 {
		s.resize(s.size * 4)
		for i := s.first; i < s.next; i++ {
			s.place(names[i].hash, i)
		}
	}
	s.place(names[s.next].hash, s.next)
}

// place puts a name into the first free slot.
func (s *nameSet) place(hash uint32, index int) {
	slots := s.slots[:s.size]
	for i := int(hash); ; i++ {
		if at := &slots[i&(len(slots)-1)]; at.gen != s.gen {
			*at = nameSlot{s.gen, hash, uint32(index)}
			return
		}
	}
}

// find looks the text up.
func (m *machine) find(s *nameSet, text []byte) bool {
	hash := m.hash(text)
	slots := s.slots[:s.size]
	for i := int(hash); ; i++ {
		slot := slots[i&(len(slots)-1)]
		if slot.gen != s.gen {
			return false
		}
		if slot.hash == hash && string(m.text(m.names[slot.name])) == string(text) {
			return true
		}
	}
}
