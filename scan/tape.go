package scan

import (
	"sync"
)

// Kind is the JSON type of an entry.
type Kind uint8

// The kinds. Name is no value: it is the name of the value after it.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
	Name
)

// Flags tell more about an entry.
type Flags uint8

// The flags.
const (
	Escaped Flags = 1 << iota // a String or Name that holds escapes
	Integer                   // a Number without fraction and exponent
)

// Entry is one wanted node.
type Entry struct {
	Off, Len uint32 // its bytes in the body, quotes and brackets included
	Next     uint32 // the index of the entry after it and all below it
	Field    Field  // its node of the Mask
	Kind     Kind
	Flags    Flags
}

// Tape is what a scan found: the wanted nodes in the order of the text, each
// followed by the ones below it. It refers to the body, which the caller keeps
// unchanged until Release or the next Scan. A Tape serves one goroutine at a
// time while it is filled, and any number once it is.
type Tape struct {
	m machine
}

var tapes = sync.Pool{New: func() any { return new(Tape) }} //nolint:gochecknoglobals // a pool is shared by its nature

// What a Tape takes back to the pool at most, in entries, names, bytes and slots.
const (
	keptMemory = 1 << 16
	keptSets   = 8
	keptSlots  = 1 << 12
)

// NewTape takes an empty Tape from the pool.
func NewTape() *Tape { return tapes.Get().(*Tape) } //nolint:errcheck // the pool makes nothing else

// Release gives the Tape back to the pool. Neither it nor its Entries may be
// used after that; spans are the body's and live on with it.
func (t *Tape) Release() {
	t.m.lighten()
	tapes.Put(t)
}

// Reset empties the Tape and lets go of the body, for who keeps it for the next
// text under the same mask: a Tape remembers the names that came in the last one.
func (t *Tape) Reset() { t.m.lighten() }

// lighten lets go of the text and of memory that one large text has claimed.
func (m *machine) lighten() {
	m.body, m.mask, m.next, m.report = nil, nil, nil, nil
	m.tape = kept(m.tape)
	m.names = kept(m.names)
	m.arena = kept(m.arena)
	m.bits = kept(m.bits)
	m.scratch = kept(m.scratch)
	m.carried = kept(m.carried)
	if len(m.pool) > keptSets {
		m.pool = m.pool[:keptSets:keptSets]
	}
	for i := range m.pool {
		if len(m.pool[i].slots) > keptSlots {
			m.pool[i] = nameSet{}
		}
	}
}

// kept is s emptied, or nothing when it is too large to be kept.
func kept[T any](s []T) []T {
	if cap(s) > keptMemory {
		return nil
	}
	return s[:0]
}

// Scan reads body, which must be one JSON value by RFC 8259 and the mask's
// Rules, and leaves the entries of the wanted nodes in t. A fault is an *Error;
// t then holds nothing.
func Scan(mask *Mask, body []byte, t *Tape) error {
	m := &t.m
	if mask == nil {
		m.loose.rules = Rules{}.withDefaults()
		mask = &m.loose
	}
	m.begin(mask)
	m.chunks, m.body = false, body
	if len(body) > MaxBody {
		return m.drop(tooLarge, body, 0)
	}
	i, c := m.mark(body)
	if c == ok {
		i, c = m.run(body, i)
	}
	if c == ok && (m.depth > 0 || m.state != atAfter) {
		c = unexpectedEnd
	}
	if c != ok {
		return m.drop(c, body, i)
	}
	return nil
}

// drop empties the tape and gives the fault.
func (m *machine) drop(c code, b []byte, at int) error {
	m.tape = m.tape[:0]
	return m.fault(c, b, at)
}

// mark passes a byte order mark, or refuses it.
func (m *machine) mark(b []byte) (int, code) {
	if len(b) < 3 || string(b[:3]) != "\xEF\xBB\xBF" {
		return 0, ok
	}
	if !m.mask.rules.SkipBOM {
		return 0, byteOrderMark
	}
	m.bom = true
	return 3, ok
}

// BOM tells whether a byte order mark was skipped.
func (t *Tape) BOM() bool { return t.m.bom }

// Ref is the index of an entry.
type Ref uint32

// None is no entry. It is not the root's Ref, which is 0.
const None Ref = 1<<32 - 1

// Entries shows all entries; the first one is the root, if the mask wants it.
func (t *Tape) Entries() []Entry { return t.m.tape }

// At is the entry of r.
func (t *Tape) At(r Ref) Entry { return t.m.tape[r] }

// Body is the text that was scanned.
func (t *Tape) Body() []byte { return t.m.body }

// Span is the value's bytes as they came, quotes and brackets included.
func (t *Tape) Span(r Ref) []byte {
	e := &t.m.tape[r]
	return t.m.body[e.Off : e.Off+e.Len : e.Off+e.Len]
}

// Kind is the value's JSON type.
func (t *Tape) Kind(r Ref) Kind { return t.m.tape[r].Kind }

// Field is the value's node of the Mask.
func (t *Tape) Field(r Ref) Field { return t.m.tape[r].Field }

// First is the first wanted element or member below r, or None. Iterate with
//
//	for c := t.First(r); c != scan.None; c = t.After(r, c) {
func (t *Tape) First(r Ref) Ref {
	return t.value(r, r+1)
}

// After is the next element or member below r after c, or None.
func (t *Tape) After(r, c Ref) Ref {
	return t.value(r, Ref(t.m.tape[c].Next))
}

// value passes a name at c; None is the end of r.
func (t *Tape) value(r, c Ref) Ref {
	if c >= Ref(t.m.tape[r].Next) {
		return None
	}
	if t.m.tape[c].Kind == Name {
		c++
	}
	return c
}

// Child is the member below r with that field, or None. It looks at the wanted
// members only; of several (Any) it gives the first.
func (t *Tape) Child(r Ref, f Field) Ref {
	tape := t.m.tape
	end := tape[r].Next
	for c := uint32(r) + 1; c < end; c = tape[c].Next {
		if tape[c].Field == f && tape[c].Kind != Name {
			return Ref(c)
		}
	}
	return None
}

// Len is the number of wanted elements or members below r.
func (t *Tape) Len(r Ref) int {
	n := 0
	for c := t.First(r); c != None; c = t.After(r, c) {
		n++
	}
	return n
}

// Name is the name of a member that Any or All matched, as the string's bytes
// came with their quotes; nil for other entries.
func (t *Tape) Name(r Ref) []byte {
	if r == 0 || r == None || t.m.tape[r-1].Kind != Name {
		return nil
	}
	return t.Span(r - 1)
}
