package route

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// path finds a canonical path that all takers take and none of the avoided
// patterns. With several takers they are of one kind and literal prefix, as ties
// are.
func (p *puzzle) path(e *Example) answer {
	avoid := p.avoided(dimPath)
	one := p.take[0].rule.path
	for _, n := range avoid {
		if covers(n.rule.path, one) {
			return no
		}
	}
	sure := no
	for c := range p.pathCandidates(&sure) {
		if p.fitsPath(c, avoid) {
			e.Path = c
			return yes
		}
	}
	if sure == no && len(avoid) > 0 && one.kind != kindExact {
		return unknown
	}
	return sure
}

func (p *puzzle) fitsPath(path string, avoid []*demand) bool {
	if clean, d := scanPath(path); path == "" || !clean || d != 0 {
		return false
	}
	return !slices.ContainsFunc(p.take, func(c corner) bool { return !c.rule.path.matches(path) }) &&
		!slices.ContainsFunc(avoid, func(n *demand) bool { return n.rule.path.matches(path) })
}

// covers tells, when it is plain to see, that a takes every path that b takes.
func covers(a, b *pattern) bool {
	switch {
	case a.text == b.text, a.text == "":
		return true
	case a.kind == kindRegex:
		return b.kind != kindRegex && everything(a.expr, true)
	case b.kind == kindRegex || b.kind == kindRest && a.kind != kindRest:
		return false
	case b.kind == kindExact:
		return a.matches(b.text)
	case len(a.segs) > len(b.segs) || a.kind != kindRest && len(a.segs) != len(b.segs):
		return false
	}
	for i := range a.segs {
		x, y := &a.segs[i], &b.segs[i]
		switch {
		case y.kind == segLiteral && !x.takes(y.text), x.kind == segLiteral && y.kind != segLiteral:
			return false
		case x.kind == segRegex && y.kind != segLiteral && !everything(x.text, false) && x.text != y.text:
			return false
		}
	}
	return true
}

// pathCandidates yields paths to try. The answer is what it means if none fits.
func (p *puzzle) pathCandidates(a *answer) iter.Seq[string] {
	one := p.take[0].rule.path
	switch {
	case one.kind == kindExact:
		return slices.Values([]string{one.text})
	case one.kind == kindRegex:
		return p.regexPaths(a)
	case one.text == "":
		return slices.Values([]string{"/", "/maru", "/maru/1", "/maru/1/a/b/c/d", "/a"})
	}
	ends := []string{""}
	if one.kind == kindRest {
		ends = []string{"/maru", "/1", "/maru/1", "/", "", "/maru/1/a/b/c/d"}
	}
	return func(yield func(string) bool) {
		for round := range 12 {
			base, got := p.segmentsPath(round)
			if got != yes {
				*a = got
				return
			}
			for _, end := range ends {
				if !yield(base + end) {
					return
				}
			}
		}
	}
}

// regexPaths yields paths of expressions, some of them longer ones.
func (p *puzzle) regexPaths(a *answer) iter.Seq[string] {
	one := p.take[0].rule.path.expr
	other := "/.*"
	if len(p.take) > 1 {
		other = p.take[1].rule.path.expr
	}
	return func(yield func(string) bool) {
		for _, end := range []string{"", "maru", "/maru/1", "[0-9]{3}"} {
			text, got := p.lab.common(one, other+end, pathAlphabet)
			switch {
			case got == yes:
				if !yield(text) {
					return
				}
			case end == "":
				*a = got
				return
			}
		}
	}
}

// fresh are segments that patterns seldom name.
func fresh(round int) string {
	words := [...]string{"1", "maru", "a", "x-1", "7a", "A1"}
	if round < len(words) {
		return words[round]
	}
	return "maru" + strconv.Itoa(round)
}

// segmentsPath builds a path segment by segment; where a parameter is free, each
// round brings another text.
func (p *puzzle) segmentsPath(round int) (string, answer) {
	longest := 0
	for _, c := range p.take {
		longest = max(longest, len(c.rule.path.segs))
	}
	var b strings.Builder
	for i := range longest {
		var wants []*segment
		for _, c := range p.take {
			if i < len(c.rule.path.segs) {
				wants = append(wants, &c.rule.path.segs[i])
			}
		}
		text, a := p.segmentText(wants, round)
		if a != yes {
			return "", a
		}
		b.WriteByte('/')
		b.WriteString(text)
	}
	return b.String(), yes
}

// segmentText gives a text that all of the segments take.
func (p *puzzle) segmentText(wants []*segment, round int) (string, answer) {
	var exprs []string
	for _, s := range wants {
		switch s.kind {
		case segLiteral:
			ok := !slices.ContainsFunc(wants, func(o *segment) bool { return !o.takes(s.text) })
			return s.text, sure(ok)
		case segRegex:
			exprs = append(exprs, s.text)
		case segAny:
		}
	}
	free := fresh(round)
	if !slices.ContainsFunc(wants, func(o *segment) bool { return !o.takes(free) }) {
		return free, yes
	}
	if len(exprs) > 2 {
		return "", unknown
	}
	other := ".+"
	if len(exprs) == 2 {
		other = exprs[1]
	} else if round%3 == 1 {
		if text, a := p.lab.common(exprs[0], "..+", segmentAlphabet); a == yes {
			return text, yes
		}
	}
	return p.lab.common(exprs[0], other, segmentAlphabet)
}
