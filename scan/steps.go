package scan

import "encoding/binary"

// step is a name as it came before at the same place: `"name":`, after the same
// names, in an object at the same path. Objects of one kind mostly have their
// members in one order, so a machine that meets the same bytes again knows, after
// one comparison, what is wanted of the value, and that the name is no duplicate:
// the names before it are those of an object that had none.
//
// Steps form a tree, all in machine.steps: after leads to what came next in the same
// object, first to what the object inside the value began with, other to another
// name at the same place. Step 0 stands for the text itself. They are only a
// memory of what was worked out the long way: without them, or with others,
// every verdict is the same.
type step struct {
	words [3]uint64 // the bytes of the name with quotes and colon
	masks [3]uint64 // which bytes of words count
	size  int32
	index int32  // of the name in owner.names; -1: none
	owner *node  // what was wanted of the object
	node  *node  // what is wanted of the value
	bit   uint64 // of index, where the owner has checks and it is below 64
	aside bool   // heed has more to do

	before, after, first, other *step
}

const (
	maxSteps     = 256
	maxOthers    = 4
	maxStepBytes = 24
)

// learnt says for which mask the steps hold.
type learnt struct {
	root  *node
	rules Rules
}

// remember begins with no steps if the mask is another one, or memory is full.
func (m *machine) remember() {
	now := learnt{m.mask.root, m.mask.rules}
	if m.learnt == now && len(m.steps) > 0 && len(m.steps) < maxSteps {
		return
	}
	if m.steps == nil {
		m.steps = make([]step, 0, maxSteps) // and never more: steps are pointed at
	}
	clear(m.steps)
	m.learnt, m.steps = now, append(m.steps[:0], step{})
}

// is tells whether the name at i, behind which there are enough bytes, is the step's.
func (s *step) is(b []byte, i int, owner *node) bool {
	return binary.LittleEndian.Uint64(b[i:])&s.masks[0] == s.words[0] && binary.LittleEndian.Uint64(b[i+8:])&s.masks[1] == s.words[1] &&
		s.owner == owner && (s.size <= 16 || binary.LittleEndian.Uint64(b[i+16:])&s.masks[2] == s.words[2])
}

// recall gives the step of the name at i, or nil.
func (m *machine) recall(f *frame, b []byte, i int) *step {
	if i+maxStepBytes <= len(b) {
		for s := f.expect; s != nil; s = s.other {
			if s.is(b, i, f.node) {
				return s
			}
		}
	}
	return nil
}

// heed does what is rare: the name at i, which the step s knows, has an entry,
// or an index that no bit of a word stands for.
func (m *machine) heed(s *step, i int) {
	if s.node != nil && s.node.named {
		m.put(s.node, Name, i, i+int(s.size)-1, 0)
	}
	if s.index >= 64 && s.owner.checks != nil {
		m.watches[m.depth].mark(m, int(s.index))
	}
}

// stray notes one by one the names that f has passed by steps, because one came
// that no step knows.
func (m *machine) stray(f *frame) {
	f.followed, f.expect = false, nil
	if !f.track {
		return
	}
	var memory [maxStepBytes]byte
	for s := f.last; s != nil; s = s.before {
		text := s.text(&memory)
		m.seen(f, text, sketch(text), 0, true)
	}
}

// text is the name, written into memory.
func (s *step) text(memory *[maxStepBytes]byte) []byte {
	for i, word := range s.words {
		binary.LittleEndian.PutUint64(memory[8*i:], word)
	}
	return memory[1 : s.size-2]
}

// learn makes a step of the name that was read from start to end in b, with what
// is wanted of its value, or gives up for this object.
func (m *machine) learn(f *frame, n *node, b []byte, start, end int, flags Flags) {
	size := end + 1 - start
	f.chain = false
	if flags != 0 || size > maxStepBytes || end >= len(b) || b[end] != ':' || len(m.steps) >= maxSteps ||
		f.node != nil && f.node.checks != nil && len(f.node.checks.names) > 0 {
		return
	}
	link := &f.slot.first
	if f.last != nil {
		link = &f.last.after
	}
	for others := 0; *link != nil; others++ {
		if others == maxOthers {
			return
		}
		link = &(*link).other
	}
	var memory, mask [maxStepBytes]byte
	copy(memory[:], b[start:end+1])
	for i := range size {
		mask[i] = 0xFF
	}
	m.steps = append(m.steps, step{size: int32(size), index: -1, owner: f.node, node: n, before: f.last})
	s := &m.steps[len(m.steps)-1]
	for i := range s.words {
		s.words[i], s.masks[i] = binary.LittleEndian.Uint64(memory[8*i:]), binary.LittleEndian.Uint64(mask[8*i:])
	}
	if f.node != nil {
		text := b[start+1 : end-1]
		s.index = int32(f.node.find(text, sketch(text)))
		s.aside = s.index >= 64 || n != nil && n.named
		if f.node.checks != nil && s.index >= 0 && s.index < 64 {
			s.bit = 1 << s.index
		}
	}
	*link, f.last, f.chain = s, s, true
}
