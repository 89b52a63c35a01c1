package aggregate

import (
	"github.com/maru-msa/maru/scan"
)

// This file writes the answer: literals made at load, and spans of the bodies.

// members writes the members of an object: those of element e, which is the
// at-th of its level. It tells whether any was written, counting from first.
func (x *run) members(o *object, at int, e elem, first bool) bool {
	for i := range o.fields {
		if x.fatal != nil {
			return first
		}
		f := &o.fields[i]
		if len(f.guards) > 0 && !x.lets(f.guards, e) {
			continue
		}
		if f.lift {
			first = x.lifted(f, at, first)
			continue
		}
		mark := x.out.Mark()
		if !first {
			x.out.Byte(',')
		}
		x.out.Literal(f.lit)
		x.trail = append(x.trail, step{name: f.name})
		written := x.member(f, at, e)
		x.trail = x.trail[:len(x.trail)-1]
		if !written {
			x.out.Back(mark)
			continue
		}
		first = false
	}
	return first
}

// member writes one member's value; false leaves the member out.
func (x *run) member(f *outField, at int, e elem) bool {
	switch f.kind {
	case outConst:
		x.out.Span(f.value)
	case outLeaf:
		x.leaf(f, e)
	case outLevel:
		return x.level(f, at)
	}
	return true
}

// leaf copies a value.
func (x *run) leaf(f *outField, e elem) {
	ref, ok := e.find(f.at)
	switch {
	case ok:
		span := e.tape.Span(ref)
		if isNull(span) && f.def != nil {
			span = f.def
		}
		x.out.Span(span)
	case len(f.at) > 1 && x.mapped(f, e):
	case f.def != nil:
		x.out.Span(f.def)
	default:
		x.out.Literal("null")
	}
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
func (x *run) level(f *outField, at int) bool {
	l := f.level
	s := &x.levels[l.id]
	r := s.rows[at]
	switch {
	case r.code != codeOK:
		return x.failed(l, r.failure)
	case r.null:
		return x.nothing(f)
	case f.typ.list:
		x.out.Byte('[')
		for i := r.from; i < r.to && x.fatal == nil; i++ {
			if i > r.from {
				x.out.Byte(',')
			}
			x.trail = append(x.trail, step{index: int(i - r.from)})
			x.one(f, s, int(i))
			x.trail = x.trail[:len(x.trail)-1]
		}
		x.out.Byte(']')
	case r.from == r.to:
		return x.nothing(f)
	default:
		x.one(f, s, int(r.from))
	}
	return true
}

// one writes one element.
func (x *run) one(f *outField, s *levelState, i int) {
	e := s.elems[i]
	switch {
	case e.tape == nil:
		x.out.Literal("null")
	case s.l.typ == nil:
		x.out.Span(e.tape.Span(e.ref))
	case f.pluck:
		only := &s.l.sub.fields[0]
		x.trail = append(x.trail, step{name: only.name})
		if !x.member(only, i, e) {
			x.out.Literal("null")
		}
		x.trail = x.trail[:len(x.trail)-1]
	default:
		x.out.Byte('{')
		x.members(s.l.sub, i, e, true)
		x.out.Byte('}')
	}
}

// lifted writes the members of an object in place of it.
func (x *run) lifted(f *outField, at int, first bool) bool {
	l := f.level
	s := &x.levels[l.id]
	r := s.rows[at]
	if r.code != codeOK {
		x.note(l, r.failure)
		return first
	}
	if r.null || r.from == r.to {
		if l.policy.kind == policyRequired {
			x.fatal = failure{code: codeNotFound}.problem(l.name)
		}
		return first
	}
	return x.members(l.sub, int(r.from), s.elems[r.from], first)
}

// nothing writes what stands for a value that is not there.
func (x *run) nothing(f *outField) bool {
	l := f.level
	switch {
	case f.def != nil:
		x.out.Span(f.def)
	case l.policy.kind == policyRequired && l.fetch != nil:
		x.fatal = failure{code: codeNotFound}.problem(l.name)
	case l.policy.kind == policyDefault:
		x.out.Span(l.policy.def)
	case l.policy.kind == policyOmit:
		return false
	default:
		x.out.Literal("null")
	}
	return true
}

// failed writes what a part's policy says when it has failed.
func (x *run) failed(l *level, f failure) bool {
	x.note(l, f)
	switch l.policy.kind {
	case policyDefault:
		x.out.Span(l.policy.def)
	case policyOmit:
		return false
	case policyNull, policyRequired, policyStale:
		x.out.Literal("null")
	}
	return true
}

// note remembers a part that failed; a required one ends the answer.
func (x *run) note(l *level, f failure) {
	x.p.graph.env.Count(x.p.Name, f.code.String())
	if l.policy.kind == policyRequired {
		if x.fatal == nil {
			x.fatal = f.problem(l.name)
		}
		return
	}
	for i := range x.notes {
		if n := &x.notes[i]; n.level == l && n.code == f.code {
			n.n++
			return
		}
	}
	x.notes = append(x.notes, note{level: l, code: f.code, policy: l.policy.kind, n: 1, path: pathOf(x.trail)})
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
