package aggregate

import (
	"slices"
	"time"

	"github.com/maru-msa/maru/scan"
)

// This file writes the answer: literals made at load, and spans of the bodies.

// members writes the members of an object: those of element e, which is the
// at-th of its level. first tells whether none was written before; ok is false when
// a member that can't be null has no value, so that the object can't be either.
func (x *run) members(o *object, at int, e elem, first bool) (stillFirst, ok bool) {
	for i := range o.fields {
		if x.fatal != nil {
			return first, true
		}
		f := &o.fields[i]
		if len(f.guards) > 0 && !x.lets(f.guards, e) {
			continue
		}
		if f.lift {
			if first, ok = x.lifted(f, at, first); !ok {
				return first, false
			}
			continue
		}
		mark := x.out.Mark()
		if !first {
			x.out.Byte(',')
		}
		x.out.Literal(f.lit)
		x.trail = append(x.trail, step{name: f.name})
		what := x.member(f, at, e)
		x.trail = x.trail[:len(x.trail)-1]
		switch what {
		case wroteNull:
			if x.p.graphql && f.typ.nonNull {
				return first, false
			}
			first = false
		case wroteValue:
			first = false
		case wroteNothing:
			x.out.Back(mark)
		}
	}
	return first, true
}

// wrote says what became of a member.
type wrote uint8

const (
	wroteValue wrote = iota
	wroteNull
	wroteNothing // the member is left out
)

// member writes one member's value.
func (x *run) member(f *outField, at int, e elem) wrote {
	switch f.kind {
	case outConst:
		x.out.Span(f.value)
	case outLeaf:
		return x.leaf(f, e)
	case outLevel:
		return x.level(f, at)
	}
	return wroteValue
}

// null writes what stands for a value that is not there.
func (x *run) null(def []byte) wrote {
	if def != nil {
		x.out.Span(def)
		return wroteValue
	}
	x.out.Literal("null")
	return wroteNull
}

// leaf copies a value.
func (x *run) leaf(f *outField, e elem) wrote {
	ref, ok := e.find(f.at)
	if !ok {
		if len(f.at) > 1 && x.mapped(f, e) {
			return wroteValue
		}
		return x.absent(f)
	}
	span := e.tape.Span(ref)
	switch {
	case isNull(span):
		return x.absent(f)
	case f.typ.name == "JSON":
		x.out.Span(span)
		return wroteValue
	case f.typ.list:
		return x.scalars(f, elem{e.tape, ref})
	}
	if !x.scalar(f.typ.name, span) {
		x.note(nil, failure{code: codeMismatch})
		return x.null(f.def)
	}
	return wroteValue
}

// absent is for a value that is null or not there. One that can't be null is a
// fault of the source.
func (x *run) absent(f *outField) wrote {
	if x.p.graphql && f.typ.nonNull && f.def == nil {
		x.note(nil, failure{code: codeMismatch})
	}
	return x.null(f.def)
}

// scalars writes a list of scalars, each checked.
func (x *run) scalars(f *outField, e elem) wrote {
	if e.tape.Kind(e.ref) != scan.Array {
		x.note(nil, failure{code: codeMismatch})
		return x.null(f.def)
	}
	mark := x.out.Mark()
	x.out.Byte('[')
	n := 0
	for c := e.tape.First(e.ref); c != scan.None; c = e.tape.After(e.ref, c) {
		if n > 0 {
			x.out.Byte(',')
		}
		span := e.tape.Span(c)
		if isNull(span) || !x.scalar(f.typ.name, span) {
			if !isNull(span) {
				x.trail = append(x.trail, step{index: n})
				x.note(nil, failure{code: codeMismatch})
				x.trail = x.trail[:len(x.trail)-1]
			}
			if x.p.graphql && f.typ.elemNonNull {
				x.out.Back(mark)
				return x.null(f.def)
			}
			x.out.Literal("null")
		}
		n++
	}
	x.out.Byte(']')
	return wroteValue
}

// mapped writes the values of a path over a list, and tells whether it is one.
func (x *run) mapped(f *outField, e elem) bool {
	mark, n := x.out.Mark(), 0
	x.out.Byte('[')
	e.spread(f.at, func(c scan.Ref) {
		if n++; n > 1 {
			x.out.Byte(',')
		}
		x.out.Span(e.tape.Span(c))
	})
	if n == 0 {
		x.out.Back(mark)
		return false
	}
	x.out.Byte(']')
	return true
}

// level writes what a level has for the at-th element above it.
func (x *run) level(f *outField, at int) wrote {
	if f.level.policy.kind != policyStale {
		return x.laid(f, at)
	}
	mark, noted := x.out.Mark(), x.noted
	w := x.laid(f, at)
	if w == wroteValue {
		x.keepStale(f.level, at, mark, noted)
	}
	return w
}

// laid writes what was laid out.
func (x *run) laid(f *outField, at int) wrote {
	l := f.level
	s := &x.levels[l.id]
	r := s.rows[at]
	switch {
	case r.code != codeOK:
		return x.failed(f, at, r.failure)
	case r.null:
		return x.nothing(f)
	case f.typ.list:
		return x.list(f, s, r)
	case r.from == r.to:
		return x.nothing(f)
	}
	mark := x.out.Mark()
	if w := x.one(f, s, int(r.from)); w != wroteNull || f.def == nil {
		return w
	}
	x.out.Back(mark)
	return x.null(f.def)
}

// list writes a row of elements.
func (x *run) list(f *outField, s *levelState, r row) wrote {
	mark := x.out.Mark()
	x.out.Byte('[')
	for i := r.from; i < r.to && x.fatal == nil; i++ {
		if i > r.from {
			x.out.Byte(',')
		}
		x.trail = append(x.trail, step{index: int(i - r.from)})
		w := x.one(f, s, int(i))
		x.trail = x.trail[:len(x.trail)-1]
		if w == wroteNull && x.p.graphql && f.typ.elemNonNull {
			x.out.Back(mark)
			return x.null(f.def)
		}
	}
	x.out.Byte(']')
	return wroteValue
}

// one writes one element.
func (x *run) one(f *outField, s *levelState, i int) wrote {
	e := s.elems[i]
	switch {
	case e.tape == nil:
		return x.noElement(f)
	case s.l.typ == nil:
		return x.bare(f, e.tape.Span(e.ref))
	case s.l.tag != nil && !s.l.typ.tagged(e, s.l.tag):
		x.note(nil, failure{code: codeMismatch})
		return x.null(nil)
	case f.pluck:
		only := &s.l.sub.fields[0]
		x.trail = append(x.trail, step{name: only.name})
		w := x.member(only, i, e)
		x.trail = x.trail[:len(x.trail)-1]
		if w == wroteNothing {
			return x.null(nil)
		}
		return w
	}
	mark := x.out.Mark()
	x.out.Byte('{')
	if _, ok := x.members(s.l.sub, i, e, true); !ok {
		x.out.Back(mark)
		return x.null(nil)
	}
	x.out.Byte('}')
	return wroteValue
}

// noElement writes null for an element of a list; one that can't be null is a fault
// of the source.
func (x *run) noElement(f *outField) wrote {
	if x.p.graphql && f.typ.list && f.typ.elemNonNull {
		x.note(nil, failure{code: codeMismatch})
	}
	return x.null(nil)
}

// bare writes a scalar that is a level of its own: what a root gives, or an element
// of a list that was sorted or cut.
func (x *run) bare(f *outField, span []byte) wrote {
	switch {
	case !x.p.graphql || f.typ.name == "JSON":
		x.out.Span(span)
		return wroteValue
	case isNull(span):
		return x.noElement(f)
	case !x.scalar(f.typ.name, span):
		x.note(nil, failure{code: codeMismatch})
		return x.null(nil)
	}
	return wroteValue
}

// tagged tells whether an element is of one of a union's types.
func (t *graphType) tagged(e elem, tag chain) bool {
	span := spanAt(e, tag)
	return slices.ContainsFunc(t.union, func(m *graphType) bool { return scan.IsText(span, m.name) })
}

// lifted writes the members of an object in place of it.
func (x *run) lifted(f *outField, at int, first bool) (stillFirst, ok bool) {
	l := f.level
	s := &x.levels[l.id]
	r := s.rows[at]
	if r.code != codeOK {
		x.note(l, r.failure)
		return first, true
	}
	if r.null || r.from == r.to {
		if l.policy.kind == policyRequired {
			x.fatal = failure{code: codeNotFound}.problem(l.name)
		}
		return first, true
	}
	return x.members(l.sub, int(r.from), s.elems[r.from], first)
}

// nothing writes what stands for a part that is not there.
func (x *run) nothing(f *outField) wrote {
	l := f.level
	switch {
	case l.policy.kind == policyRequired && l.fetch != nil && f.def == nil:
		x.fatal = failure{code: codeNotFound}.problem(l.name)
	case l.policy.kind == policyDefault && f.def == nil:
		return x.null(l.policy.def)
	case l.policy.kind == policyOmit:
		return wroteNothing
	case x.p.graphql && f.typ.nonNull && f.def == nil:
		x.note(nil, failure{code: codeNotFound})
	}
	return x.null(f.def)
}

// failed writes what a part's policy says when it has failed.
func (x *run) failed(f *outField, at int, why failure) wrote {
	l := f.level
	if l.policy.kind == policyStale {
		if age, ok := x.writeStale(l, at); ok {
			x.noteAged(l, why, age)
			return wroteValue
		}
	}
	x.note(l, why)
	switch l.policy.kind {
	case policyDefault:
		return x.null(l.policy.def)
	case policyOmit:
		return wroteNothing
	case policyNull, policyRequired, policyStale:
	}
	return x.null(f.def)
}

// maxErrors is how many failures a GraphQL answer lists.
const maxErrors = 100

// note remembers what failed at the present place of the answer; a required part
// ends the answer. l is nil for a value that is not as its type says.
func (x *run) note(l *level, f failure) { x.noteAged(l, f, noAge) }

// noteAged is note with the age of what stands in.
func (x *run) noteAged(l *level, f failure, age time.Duration) {
	x.p.graph.env.Count(x.p.Name, f.code.String())
	n := note{code: f.code, n: 1, part: pathOf(x.trail, false), age: age}
	if l != nil {
		if l.policy.kind == policyRequired && !x.p.graphql {
			if x.fatal == nil {
				x.fatal = f.problem(l.name)
			}
			return
		}
		n.part, n.policy = l.shown, l.policy.kind
	}
	x.addNote(n)
}

// noteAt notes a failure inside a part that is there.
func (x *run) noteAt(part string, why code) {
	x.p.graph.env.Count(x.p.Name, why.String())
	x.addNote(note{code: why, n: 1, part: part, age: noAge})
}

func (x *run) addNote(n note) {
	x.noted++
	for i := range x.notes {
		if o := &x.notes[i]; !x.p.graphql && o.part == n.part && o.code == n.code {
			o.n++
			o.age = max(o.age, n.age)
			return
		}
	}
	if len(x.notes) < maxErrors {
		n.path = slices.Clone(x.trail)
		x.notes = append(x.notes, n)
	}
}

// lets tells whether a member's guards let it through.
func (x *run) lets(guards []guard, e elem) bool {
	for i := range guards {
		g := &guards[i]
		if g.tagIs != "" {
			if !scan.IsText(spanAt(e, g.tag), g.tagIs) {
				return false
			}
			continue
		}
		if (string(x.value(g.value)) == "true") != g.want {
			return false
		}
	}
	return true
}
