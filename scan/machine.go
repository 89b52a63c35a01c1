package scan

import "hash/maphash"

// MaxBody is the most bytes of one text: places in it are 32 bits wide.
const MaxBody = 1<<31 - 1

// frame is an array or object that is open.
type frame struct {
	node  *node  // what is wanted of its elements or members; nil: nothing
	bloom uint64 // the bits of the names seen
	names int32  // its first name in machine.names
	arena int32  // where its names begin in machine.arena
	entry int32  // its entry on the tape, or -1
	count int32  // members or elements so far
	set   int32  // its nameSet, or -1

	slot   *step // leads to what is inside
	last   *step // of the last name; nil: there was none
	expect *step // the first one that may follow

	kind     Kind // Array or Object; Null at the bottom of the stack
	track    bool // refuses duplicate names
	chain    bool // there is a step for each name so far
	followed bool // names so far are in steps only
}

// state is where the grammar stands between two bytes.
type state uint8

const (
	atStart  state = iota // before the value, a byte order mark may come
	atValue               // a value has to come
	atFirst               // the same, or the end of the array
	atName                // a name has to come
	atMember              // the same, or the end of the object
	atColon               // a colon has to come
	atAfter               // a comma or the end of what is open
	inToken               // inside a token that a chunk's end cut: machine.cut
)

// token is a token that a chunk's end cut.
type token uint8

const (
	cutNothing token = iota
	cutText          // a string that is a value
	cutName          // a string that is a name
	cutNumber
	cutLiteral
	cutMark // a byte order mark
)

// machine runs the grammar over bytes that come at once or in chunks. All
// working memory is kept between two texts.
type machine struct {
	mask  *Mask
	loose Mask // stands in for none
	tape  []Entry
	body  []byte // the whole text; nil when it comes in chunks

	stack []frame // stack[0] stands for the text itself
	depth int
	state state
	next  *node // what is wanted of the value that comes
	bom   bool

	names []name
	arena []byte // names that are not in the body
	pool  []nameSet
	sets  int // of the pool, in use
	seed  maphash.Seed

	learnt learnt
	steps  []step // never more than its capacity

	report  *Report // nil: there are no checks
	watches []watch // beside stack
	bits    []uint64
	scratch []byte
	unique  int // open arrays whose elements are compared

	base  int64 // bytes before this chunk
	lines int   // line feeds before this chunk
	line  int64 // where the line began on which this chunk begins

	cut     token
	start   int64  // of the cut token
	flags   Flags  // of the cut token so far
	carried []byte // its bytes so far; of a string only the unit that was cut, unless keep is set
	keep    bool   // all bytes of the cut string are wanted
	unit    int    // bytes at the end of carried that are a cut escape or UTF-8 sequence
	chunks  bool   // the text comes in chunks
}

// begin prepares for a new text.
func (m *machine) begin(mask *Mask) {
	if len(m.stack) < mask.rules.Depth+1 {
		m.stack = make([]frame, mask.rules.Depth+1)
		m.seed = maphash.MakeSeed()
	}
	m.mask = mask
	m.tape = m.tape[:0]
	m.remember()
	m.stack[0] = frame{entry: -1, set: -1, chain: true, slot: &m.steps[0]}
	m.depth, m.state, m.next, m.bom = 0, atStart, mask.root, false
	m.names, m.arena, m.sets = m.names[:0], m.arena[:0], 0
	m.bits, m.scratch, m.unique = m.bits[:0], m.scratch[:0], 0
	if m.report != nil && len(m.watches) < len(m.stack) {
		m.watches = make([]watch, len(m.stack))
	}
	m.base, m.lines, m.line = 0, 0, 0
	m.cut, m.carried, m.unit = cutNothing, m.carried[:0], 0
}

// run reads b, the whole text or its next chunk. It gives ok at the end of b
// and otherwise the fault and its place. What b must not end in is the caller's
// to decide.
//
// This is the one hot loop: names and values of every text go through it, so
// it is one function with jumps instead of a dozen that would call one another.
//
//nolint:funlen,gocognit // see above
func (m *machine) run(b []byte, i int) (int, code) {
	var (
		f       = &m.stack[m.depth]
		n       = m.next
		members = int32(m.mask.rules.Members)
		start   int
		end     int
		flags   Flags
		c       code
		x       byte
		s       *step
	)
	switch m.state {
	case atFirst:
		goto first
	case atName:
		goto name
	case atMember:
		goto member
	case atColon:
		goto colon
	case atAfter:
		goto after
	default:
		goto value
	}

first: // of an array: a value, or its end
	if i = skip(b, i); uint(i) >= uint(len(b)) {
		return m.dry(atFirst, nil, i)
	}
	if b[i] == ']' {
		goto pop
	}
	n = nil
	if f.node != nil {
		n = m.element(f)
	}

value:
	if uint(i) >= uint(len(b)) {
		return m.dry(atValue, n, i)
	}
	x = b[i]
	start = i
	switch {
	case x == '"':
		flags = 0
		if i = short(b, i+1); i == 0 {
			if i, flags, c = text(b, start+1); c != ok {
				return m.stop(cutText, n, b, start, i, flags, c)
			}
		}
		if n != nil {
			m.scalar(n, String, b, start, i, flags)
		}
	case x == '{' || x == '[':
		if m.depth >= m.mask.rules.Depth {
			return i, tooDeep
		}
		m.depth++
		f = &m.stack[m.depth]
		f.enter(x, m, &m.stack[m.depth-1])
		if n != nil {
			m.open(f, n, b, start)
		}
		i++
		if x == '{' {
			goto member
		}
		goto first
	case x == '-' || x-'0' <= 9:
		i, flags, c = number(b, i)
		if c != ok && (c != full || m.chunks) || i-start > m.mask.rules.Number {
			return m.stop(cutNumber, n, b, start, i, flags, c)
		}
		if n != nil {
			m.scalar(n, Number, b, start, i, flags)
		}
	case x == ' ': // one, behind a colon or comma
		i++
		goto value
	case white(x):
		i = space(b, i)
		goto value
	default:
		if i, c = literal(b, i); c != ok {
			return m.stop(cutLiteral, n, b, start, i, 0, c)
		}
		if n != nil {
			m.scalar(n, literalKind(x), b, start, i, 0)
		}
	}

after:
	if uint(i) >= uint(len(b)) {
		return m.dry(atAfter, nil, i)
	}
	x = b[i]
	switch {
	case x == ',' && f.kind == Object:
		i++
		goto name
	case x == ',' && f.kind == Array:
		i++
		n = nil
		if f.node != nil {
			n = m.element(f)
		}
		goto value
	case x == '}' && f.kind == Object, x == ']' && f.kind == Array:
	case white(x):
		i = space(b, i)
		goto after
	default:
		return i, trailing(m.depth)
	}

pop:
	i++
	if f.entry >= 0 {
		m.shut(f, i)
	}
	if f.node != nil && f.node.checks != nil {
		m.leave(f, i)
	}
	if len(m.names) > int(f.names) {
		m.forget(f)
	}
	m.depth--
	f = &m.stack[m.depth]
	goto after

member: // of an object: a name, or its end
	if i = skip(b, i); uint(i) >= uint(len(b)) {
		return m.dry(atMember, nil, i)
	}
	if b[i] == '}' {
		goto pop
	}

name:
	if uint(i) >= uint(len(b)) {
		return m.dry(atName, nil, i)
	}
	if x = b[i]; x != '"' {
		if white(x) {
			i = space(b, i)
			goto name
		}
		return i, unexpectedByte
	}
	if f.count++; f.count > members {
		return i, tooManyMembers
	}
	start = i
	if s = f.expect; s != nil {
		if i+maxStepBytes > len(b) || !s.is(b, i, f.node) {
			s = m.recall(f, b, i)
		}
		if s != nil {
			f.last, f.expect, f.followed = s, s.after, true
			if s.bit != 0 {
				m.watches[m.depth].bits |= s.bit
			}
			if s.aside {
				m.heed(s, i)
			}
			i += int(s.size)
			n = s.node
			goto value
		}
		f.expect = nil // the steps that follow are those of another object
	}
	if f.followed {
		m.stray(f)
	}
	flags = 0
	if end = short(b, i+1); end == 0 {
		if end, flags, c = text(b, i+1); c != ok {
			return m.stop(cutName, nil, b, start, end, flags, c)
		}
	}
	i = end
	n = nil
	if f.node != nil || f.track {
		if n, c = m.named(f, b[start+1:i-1], start+1, flags); c != ok {
			return start, c
		}
	}
	if f.chain {
		m.learn(f, n, b, start, i, flags)
	}

colon:
	if i = skip(b, i); uint(i) >= uint(len(b)) {
		return m.dry(atColon, n, i)
	}
	if b[i] != ':' {
		return i, unexpectedByte
	}
	i++
	goto value
}

// white tells white space (RFC 8259 §2).
func white(x byte) bool { return x <= ' ' && (x == ' ' || x == '\n' || x == '\r' || x == '\t') }

// skip skips white space from i; most often there is none.
func skip(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] <= ' ' {
		return space(b, i)
	}
	return i
}

// enter makes f the frame of what begins with the bracket x, inside of outer.
func (f *frame) enter(x byte, m *machine, outer *frame) {
	f.node, f.bloom, f.names, f.arena, f.entry, f.count, f.set = nil, 0, int32(len(m.names)), int32(len(m.arena)), -1, 0, -1
	f.kind, f.track, f.chain, f.followed = Object, m.mask.rules.Unique, outer.chain, false
	f.slot, f.last, f.expect = outer.slot, nil, nil
	if outer.kind == Object {
		f.slot = outer.last
	}
	if x == '[' {
		f.kind = Array
	} else if f.chain {
		f.expect = f.slot.first
	}
}

// dry notes where the grammar stands at the end of b.
func (m *machine) dry(s state, n *node, i int) (int, code) {
	m.state, m.next = s, n
	return i, ok
}

// stop ends run inside a token: with its fault at place i, or by noting what
// the end of the chunk cut.
func (m *machine) stop(t token, n *node, b []byte, start, i int, flags Flags, c code) (int, code) {
	if t == cutNumber && i-start > m.mask.rules.Number {
		return start + m.mask.rules.Number, numberTooLong
	}
	if c != more && c != full {
		return i, c
	}
	if !m.chunks {
		return len(b), unexpectedEnd
	}
	m.state, m.next, m.cut, m.start, m.flags = inToken, n, t, m.base+int64(start), flags
	m.unit = len(b) - i
	m.keep = true
	switch t {
	case cutName:
		f := &m.stack[m.depth]
		m.keep = f.node != nil || f.track
	case cutText:
		m.keep = n != nil // it has checks then
	default:
	}
	if !m.keep {
		start = i
	}
	m.carried = append(m.carried[:0], b[start:]...)
	return len(b), ok
}

// literal reads true, false or null at i.
func literal(b []byte, i int) (int, code) {
	var want string
	switch b[i] {
	case 't':
		want = "true"
	case 'f':
		want = "false"
	case 'n':
		want = "null"
	default:
		return i, unexpectedByte
	}
	if i+len(want) <= len(b) && string(b[i:i+len(want)]) == want {
		return i + len(want), ok
	}
	for k := range len(want) {
		if i+k >= len(b) {
			return i + k, more
		}
		if b[i+k] != want[k] {
			return i + k, unexpectedByte
		}
	}
	return i, unexpectedByte
}

// literalKind is the kind of the literal that begins with x.
func literalKind(x byte) Kind {
	switch x {
	case 't':
		return True
	case 'f':
		return False
	}
	return Null
}

// named notes the name raw (the inside of the string at off) of a member of f
// and gives what is wanted of its value.
func (m *machine) named(f *frame, raw []byte, off int, flags Flags) (n *node, c code) {
	text, keep := raw, m.body == nil
	if flags&Escaped != 0 {
		mark := len(m.arena)
		m.arena = unescape(m.arena, raw)
		text = m.arena[mark:]
		m.arena = m.arena[:mark] // seen copies it to the very same place
		keep = true
	}
	h := sketch(text)
	if f.track && m.seen(f, text, h, uint32(off), keep) {
		return nil, duplicateMember
	}
	if f.node == nil {
		return nil, ok
	}
	if f.node.checks != nil {
		n = m.watched(f, text, h, off-1)
	} else {
		n = f.node.child(text, h)
	}
	if n != nil && n.named {
		m.tape = append(m.tape, Entry{Off: uint32(off - 1), Len: uint32(len(raw) + 2), Next: uint32(len(m.tape) + 1), Field: n.field, Kind: Name, Flags: flags})
	}
	return n, ok
}

// scalar judges the value from start to end of b, where there are checks, and
// gives it its entry.
func (m *machine) scalar(n *node, k Kind, b []byte, start, end int, flags Flags) {
	if n.checks != nil && (m.unique > 0 || !n.checks.obvious.byKind(k, flags) && !n.checks.obvious.byValue(k, b[start:end], flags)) {
		if n = m.judge(n, k, b[start:end], flags, m.base+int64(start)); n == nil {
			return
		}
	}
	if n.emit {
		m.put(n, k, start, end, flags)
	}
}

// put adds an entry.
func (m *machine) put(n *node, k Kind, start, end int, flags Flags) {
	m.tape = append(m.tape, Entry{Off: uint32(start), Len: uint32(end - start), Next: uint32(len(m.tape) + 1), Field: n.field, Kind: k, Flags: flags})
}

// open gives an array or object its entry, and says whether the machine looks
// into it.
func (m *machine) open(f *frame, n *node, b []byte, start int) {
	if n.checks != nil {
		if n = m.resolve(n, f.kind, b, start); n == nil {
			return
		}
	}
	looks := f.kind == Array && n.elems != nil || f.kind == Object && n.enters()
	if k := n.checks; k != nil {
		m.admit(n, f.kind, start)
		looks = looks || k.foreign || f.kind == Array && k.arrays || f.kind == Object && k.objects
	}
	if looks {
		if f.kind == Array && n.checks != nil && n.checks.unique {
			m.unique++
		}
		f.node, f.track = n, f.kind == Object
	}
	if n.emit {
		f.entry = int32(len(m.tape))
		m.put(n, f.kind, start, start, 0)
	}
}

// shut completes the entry of an array or object that ends before end.
func (m *machine) shut(f *frame, end int) {
	e := &m.tape[f.entry]
	e.Len = uint32(end) - e.Off
	e.Next = uint32(len(m.tape))
}

// forget drops the names of an object that ends.
func (m *machine) forget(f *frame) {
	m.names = m.names[:f.names]
	m.arena = m.arena[:f.arena]
	if f.set >= 0 {
		m.sets--
	}
}
