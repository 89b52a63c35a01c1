package route

import (
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
	for i, c := range p.pathCandidates(&sure) {
		if i > 400 {
			break
		}
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

func (p *puzzle) fitsPath(path string, avoid []*condition) bool {
	if clean, d := scanPath(path); path == "" || !clean || d != 0 {
		return false
	}
	return !slices.ContainsFunc(p.take, func(c corner) bool { return !c.rule.path.matches(path) }) &&
		!slices.ContainsFunc(avoid, func(n *condition) bool { return n.rule.path.matches(path) })
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

// pathCandidates lists paths to try. The answer is what it means if none fits.
func (p *puzzle) pathCandidates(a *answer) []string {
	one := p.take[0].rule.path
	switch one.kind {
	case kindExact:
		return []string{one.text}
	case kindRegex:
		return p.regexPaths(a)
	case kindSegments, kindRest:
	}
	if one.text == "" {
		return []string{"/", "/maru", "/maru/1", "/maru/1/a/b/c/d", "/a"}
	}
	var base []string
	for round := range 12 {
		path, got := p.segmentsPath(round)
		if got != yes {
			*a = got
			break
		}
		base = append(base, path)
	}
	if one.kind != kindRest {
		return base
	}
	var out []string
	for _, b := range base {
		out = append(out, b+"/maru", b+"/1", b+"/maru/1", b+"/", b, b+"/maru/1/a/b/c/d")
	}
	return out
}

// regexPaths lists paths of expressions, some of them longer ones.
func (p *puzzle) regexPaths(a *answer) []string {
	one := p.take[0].rule.path.expr
	other := "/.*"
	if len(p.take) > 1 {
		other = p.take[1].rule.path.expr
	}
	var out []string
	for _, want := range []string{other, other + "maru", other + "/maru/1", other + "[0-9]{3}"} {
		text, got := common(one, want, pathAlphabet)
		if got == yes {
			out = append(out, text)
		} else if want == other {
			*a = got
		}
	}
	return out
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
		text, a := segmentText(wants, round)
		if a != yes {
			return "", a
		}
		b.WriteByte('/')
		b.WriteString(text)
	}
	return b.String(), yes
}

// segmentText gives a text that all of the segments take.
func segmentText(wants []*segment, round int) (string, answer) {
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
		if text, a := common(exprs[0], "..+", segmentAlphabet); a == yes {
			return text, yes
		}
	}
	return common(exprs[0], other, segmentAlphabet)
}
