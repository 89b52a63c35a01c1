package scan

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ErrNeedsBody says that a Program can judge whole bodies only.
var ErrNeedsBody = errors.New("program needs the whole body")

// Scan is the package's Scan with the Program's mask, and collects in r what
// breaks the schema. The error is about the grammar and the Rules only; r is
// then of no use.
func (p *Program) Scan(body []byte, t *Tape, r *Report) error {
	t.m.report = r
	err := Scan(&p.mask, body, t)
	t.m.report = nil
	r.sort()
	return err
}

// ResetProgram makes the Scanner ready for a text that the Program judges; r is
// complete after Close. A Program that needs the whole body is refused.
func (s *Scanner) ResetProgram(p *Program, r *Report) error {
	if p.whole {
		return ErrNeedsBody
	}
	s.Reset(Rules{})
	s.mask, s.m.report = p.mask, r
	s.m.begin(&s.mask)
	return nil
}

// watch is what checks need to know of an open array or object.
type watch struct {
	name    int    // of the member at hand, in machine.names, unless a step was followed
	start   int64  // where it begins
	bits    uint64 // of the names seen, the first 64
	more    int    // the others': where they begin in machine.bits
	blessed bool   // its elements are no longer compared
}

// unwind is how many choices may follow one another at one place.
const unwind = 64

// resolve follows the choices at n for a value of that kind.
func (m *machine) resolve(n *node, k Kind, b []byte, start int) *node {
	for range unwind {
		switch {
		case n == nil || n.checks == nil:
			return n
		case n.checks.byKind != nil:
			n = n.checks.byKind[k]
		case n.checks.tag != nil:
			n = m.tagged(n.checks.tag, b, start)
		default:
			return n
		}
	}
	return nil
}

// tagged picks the node by the tag of the object that begins at start.
func (m *machine) tagged(t *tagChoice, b []byte, start int) *node {
	span, flags := peek(b, start+1, t.name)
	if span != nil {
		for i := range t.values {
			if m.equal(&t.values[i].value, kindOf(span[0]), span, flags) {
				return t.values[i].node
			}
		}
	}
	m.violate(m.depth-1, m.base+int64(start), Violation{Schema: t.unit.schema.Place, Keyword: t.unit.keyword, Want: t.unit.want})
	return t.other
}

// kindOf is the kind of the value that begins with c.
func kindOf(c byte) Kind {
	switch c {
	case '"':
		return String
	case '{':
		return Object
	case '[':
		return Array
	case 't', 'f', 'n':
		return literalKind(c)
	}
	return Number
}

// admit judges an array or object as it begins.
func (m *machine) admit(n *node, k Kind, start int) {
	w := &m.watches[m.depth]
	*w = watch{start: m.base + int64(start), more: len(m.bits)}
	if count := len(n.names); count > 64 && k == Object {
		for range (count - 1) / 64 {
			m.bits = append(m.bits, 0)
		}
	}
	for _, u := range n.checks.units {
		switch {
		case u.keyword != "":
			m.refuse(m.depth-1, w.start, u, u.keyword, u.want)
			continue
		case u.types != 0 && u.types&typesOf(k) == 0:
			m.refuse(m.depth-1, w.start, u, "type", u.want)
		}
		if u.values != nil {
			m.refuse(m.depth-1, w.start, u, "enum", u.valuesWant)
		}
		if u.constant != nil {
			m.refuse(m.depth-1, w.start, u, "const", u.constWant)
		}
	}
}

// refuse notes a violation of the unit.
func (m *machine) refuse(depth int, at int64, u *unit, keyword, want string) {
	m.violate(depth, at, Violation{Schema: u.schema.Place, Keyword: keyword, Want: want})
}

// leave judges an array or object as it ends before end.
func (m *machine) leave(f *frame, end int) {
	k, w := f.node.checks, &m.watches[m.depth]
	if f.kind == Object {
		m.demand(k, w)
	}
	m.bits = m.bits[:w.more]
	if f.kind == Array && k.unique {
		m.unique--
	}
	for _, u := range k.units {
		r, keyword, things := &u.schema.Members, "Properties", " members"
		if f.kind == Array {
			r, keyword, things = &u.schema.Count, "Items", " elements"
		}
		m.within(r, int(f.count), w.start, u, keyword, things)
		if u.schema.Foreign != nil {
			m.foreign(m.depth-1, u, w.start, end)
		}
	}
}

// within judges the count of an array or object that ends.
func (m *machine) within(r *Range, count int, at int64, u *unit, keyword, things string) {
	if count < r.Min {
		m.refuse(m.depth-1, at, u, "min"+keyword, "must have at least "+strconv.Itoa(r.Min)+things)
	}
	if r.Bounded && count > r.Max {
		m.refuse(m.depth-1, at, u, "max"+keyword, "must have at most "+strconv.Itoa(r.Max)+things)
	}
}

// demand looks for members that are missing.
func (m *machine) demand(k *checks, w *watch) {
	for i := range k.required {
		d := &k.required[i]
		if m.has(w, d.index) || d.when >= 0 && !m.has(w, d.when) {
			continue
		}
		keyword := "required"
		if d.when >= 0 {
			keyword = "dependentRequired"
		}
		m.violate(m.depth-1, w.start, Violation{Name: d.name, Schema: d.unit.schema.Place, Keyword: keyword, Want: "must be there"})
	}
}

// mark notes that the name of that index was seen; -1 is none.
func (w *watch) mark(m *machine, i int) {
	switch {
	case i < 0:
	case i < 64:
		w.bits |= 1 << i
	default:
		m.bits[w.more+i/64-1] |= 1 << (i % 64)
	}
}

// has tells whether the name of that index was seen.
func (m *machine) has(w *watch, i int) bool {
	if i < 64 {
		return w.bits&(1<<i) != 0
	}
	return m.bits[w.more+i/64-1]&(1<<(i%64)) != 0
}

// foreign lets someone else judge the value from start to end.
func (m *machine) foreign(depth int, u *unit, start int64, end int) {
	u.schema.Foreign.Check(m.body[start:end], func(pointer, keyword, want string) {
		m.violate(depth, start, Violation{Pointer: pointer, Schema: u.schema.Place, Keyword: keyword, Want: want})
	})
}

// element counts an element of f and gives what is wanted of it.
func (m *machine) element(f *frame) *node {
	f.count++
	if k := f.node.checks; k != nil && int(f.count) <= len(k.prefix) {
		return k.prefix[f.count-1]
	}
	return f.node.elems
}

// watched notes the name text (with its sketch h) of a member of f, whose
// string begins at start, and gives what is wanted of its value.
func (m *machine) watched(f *frame, text []byte, h uint32, start int) *node {
	n, w := f.node, &m.watches[m.depth]
	w.name = len(m.names) - 1
	k := n.checks
	for _, u := range k.names {
		m.judgeText(u, text, m.depth, m.base+int64(start))
	}
	if i := n.find(text, h); i >= 0 {
		w.mark(m, i)
		return n.kids[i]
	}
	matched := 0
	for i, expr := range k.patterns {
		if expr.Match(text) {
			matched |= 1 << i
		}
	}
	if len(k.rests) == 0 {
		return n.rest
	}
	return k.rests[matched]
}

// judge judges a scalar and gives the node that its choices lead to.
func (m *machine) judge(n *node, k Kind, raw []byte, flags Flags, at int64) *node {
	if n = m.resolve(n, k, nil, 0); n == nil || n.checks == nil {
		return n
	}
	for _, u := range n.checks.units {
		if u.keyword != "" {
			m.refuse(m.depth, at, u, u.keyword, u.want)
			continue
		}
		if u.types != 0 && !u.typed(k, raw, flags) {
			m.refuse(m.depth, at, u, "type", u.want)
		}
		if u.text {
			m.judgeValue(u, k, raw, flags, at)
		}
	}
	if m.unique > 0 {
		m.distinct(&m.stack[m.depth], k, raw, flags)
	}
	return n
}

// typed tells whether a scalar has one of the unit's types.
func (u *unit) typed(k Kind, raw []byte, flags Flags) bool {
	switch {
	case u.types&typesOf(k) == 0:
		return false
	case k != Number || u.types&TypeNumber != 0 || flags&Integer != 0:
		return true
	case u.schema.Literal:
		return false
	}
	d := parseDecimal(raw)
	return d.integer()
}

// judgeValue judges what depends on the value itself.
func (m *machine) judgeValue(u *unit, k Kind, raw []byte, flags Flags, at int64) {
	if u.values != nil {
		found := false
		for i := range u.values {
			if found = m.equal(&u.values[i], k, raw, flags); found {
				break
			}
		}
		if !found {
			m.refuse(m.depth, at, u, "enum", u.valuesWant)
		}
	}
	if u.constant != nil && !m.equal(u.constant, k, raw, flags) {
		m.refuse(m.depth, at, u, "const", u.constWant)
	}
	switch k {
	case Number:
		m.judgeNumber(u, raw, at)
	case String:
		m.judgeText(u, m.plainText(raw, flags), m.depth, at)
	default:
	}
	if u.schema.Foreign != nil {
		m.foreign(m.depth, u, at, int(at)+len(raw))
	}
}

// plainText is the text of a string; it dies with the next call.
func (m *machine) plainText(raw []byte, flags Flags) []byte {
	inside := raw[1 : len(raw)-1]
	if flags&Escaped == 0 {
		return inside
	}
	m.scratch = unescape(m.scratch[:0], inside)
	return m.scratch
}

// judgeNumber judges a number by its digits.
func (m *machine) judgeNumber(u *unit, raw []byte, at int64) {
	for i := range u.schema.Formats {
		if f := &u.schema.Formats[i]; f.Number != nil && !f.Number(raw) {
			m.refuse(m.depth, at, u, "format", "must be "+f.Want)
		}
	}
	if !u.numeric {
		return
	}
	if v, fits := parsePlain(raw); fits && u.plain {
		for i := range u.bounds {
			if b := &u.bounds[i]; !b.holds(v.compare(b.small)) {
				m.refuse(m.depth, at, u, b.keyword, b.want)
			}
		}
		if u.multiple && !u.divisor.dividesPlain(v) {
			m.refuse(m.depth, at, u, "multipleOf", "must be a multiple of "+u.schema.MultipleOf)
		}
		return
	}
	d := parseDecimal(raw)
	if d.outOfRange {
		m.refuse(m.depth, at, u, "exponent", fmt.Sprintf("must have an exponent of at most %d", maxExponent))
		return
	}
	for i := range u.bounds {
		if b := &u.bounds[i]; !b.holds(d.compare(&b.value)) {
			m.refuse(m.depth, at, u, b.keyword, b.want)
		}
	}
	if u.multiple && !u.divisor.divides(&d) {
		m.refuse(m.depth, at, u, "multipleOf", "must be a multiple of "+u.schema.MultipleOf)
	}
}

// holds tells whether a number may stand in that order to the bound.
func (b *bound) holds(order int) bool {
	if b.below {
		order = -order
	}
	return order > 0 || order == 0 && b.equal
}

// judgeText judges the text of a string, or of a name.
func (m *machine) judgeText(u *unit, text []byte, depth int, at int64) {
	s := u.schema
	if u.keyword != "" {
		m.refuse(depth, at, u, u.keyword, u.want)
		return
	}
	if r := &s.Length; r.Min > 0 || r.Bounded {
		switch length := utf8.RuneCount(text); {
		case length < r.Min:
			m.refuse(depth, at, u, "minLength", "must have at least "+counted(r.Min, "character"))
		case r.Bounded && length > r.Max:
			m.refuse(depth, at, u, "maxLength", "must have at most "+counted(r.Max, "character"))
		}
	}
	for i := range s.Patterns {
		if p := &s.Patterns[i]; p.Expr.Match(text) == p.Not {
			m.refuse(depth, at, u, "pattern", "must match "+p.Source)
		}
	}
	for i := range s.Formats {
		if f := &s.Formats[i]; f.Text != nil && !f.Text(text) {
			m.refuse(depth, at, u, "format", "must be "+f.Want)
		}
	}
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// equal tells whether a scalar is the JSON value s: 1 is 1.0.
func (m *machine) equal(s *scalar, k Kind, raw []byte, flags Flags) bool {
	if s.kind != k {
		return false
	}
	switch k {
	case String:
		return string(m.plainText(raw, flags)) == s.text
	case Number:
		d := parseDecimal(raw)
		return !d.outOfRange && d.compare(&s.number) == 0
	default:
		return true
	}
}

// distinct compares a scalar with those before it, if it stands in an array that
// wants that: as names of the frame, in a form that is the same for what is equal.
func (m *machine) distinct(f *frame, k Kind, raw []byte, flags Flags) {
	w := &m.watches[m.depth]
	if f.kind != Array || f.node == nil || f.node.checks == nil || !f.node.checks.unique || w.blessed {
		return
	}
	form := raw
	switch {
	case k == Number:
		d := parseDecimal(raw)
		m.scratch = d.appendTo(m.scratch[:0])
		form = m.scratch
	case k == String && flags&Escaped != 0:
		m.scratch = append(unescape(append(m.scratch[:0], '"'), raw[1:len(raw)-1]), '"')
		form = m.scratch
	}
	if !m.seen(f, form, sketch(form), 0, true) {
		return
	}
	w.blessed = true
	for _, u := range f.node.checks.units {
		if u.schema.Unique {
			m.refuse(m.depth-1, w.start, u, "uniqueItems", "must not have two equal elements")
		}
	}
}

// peek looks for the member of that name in the object whose inside begins at
// i, without judging what it passes, and gives its value if that is a scalar.
func peek(b []byte, i int, name string) ([]byte, Flags) {
	for {
		if i = skip(b, i); i >= len(b) || b[i] != '"' {
			return nil, 0
		}
		start := i
		end, _, c := text(b, i+1)
		if c != ok {
			return nil, 0
		}
		if i = skip(b, end); i >= len(b) || b[i] != ':' {
			return nil, 0
		}
		i = skip(b, i+1)
		if IsText(b[start:end], name) {
			return peekScalar(b, i)
		}
		if i = pass(b, i); i < 0 {
			return nil, 0
		}
		if i = skip(b, i); i >= len(b) || b[i] != ',' {
			return nil, 0
		}
		i++
	}
}

// peekScalar gives the scalar at i, or nil.
func peekScalar(b []byte, i int) ([]byte, Flags) {
	if i >= len(b) {
		return nil, 0
	}
	var (
		end   int
		flags Flags
		c     code
	)
	switch x := b[i]; {
	case x == '"':
		end, flags, c = text(b, i+1)
	case x == '-' || x-'0' <= 9:
		end, flags, c = number(b, i)
	default:
		end, c = literal(b, i)
	}
	if c != ok {
		return nil, 0
	}
	return b[i:end], flags
}

// pass gives the place after the value at i, by its brackets only; -1 if there
// is none.
func pass(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			end, _, c := text(b, i+1)
			if c != ok {
				return -1
			}
			i = end
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',':
			if depth == 0 {
				return i
			}
			i++
		default:
			i++
			continue
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}
