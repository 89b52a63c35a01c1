package route

import (
	"regexp"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// InOrder gives each match the priority with which the first of the list that
// takes a request gets it, as in gateways that try their routes one after the
// other. Priorities that the matches have are ignored; most stay 0, since routes
// that never meet, and routes that are more specific than later ones, need
// none. Matches with a weight that are the same otherwise share one priority,
// that of the first. The error holds the faults of the matches, with paths such
// as "[3].host".
func InOrder(list []Match) ([]int, error) {
	rules := make([]*rule, len(list))
	var faults []error
	for i := range list {
		m := list[i]
		m.Priority = 0
		r, err := compile(&m)
		if err != nil {
			faults = append(faults, diag.Under(at("", i), err))
			continue
		}
		rules[i] = r
	}
	if len(faults) > 0 {
		return nil, diag.Join(faults...)
	}
	first := make(map[string]int, len(rules)) // of the groups
	lead := make([]int, len(rules))
	for i, r := range rules {
		lead[i] = i
		if r.weight < 0 {
			continue
		}
		if f, known := first[r.key()]; known {
			lead[i] = f
		} else {
			first[r.key()] = i
		}
	}
	out := make([]int, len(list))
	before := ordering{lab: newLab()}
	for i := len(rules) - 1; i >= 0; i-- {
		if lead[i] != i {
			continue
		}
		for j := i + 1; j < len(rules); j++ {
			if lead[j] == j && out[j] >= out[i] {
				out[i] = max(out[i], before.least(rules[i], rules[j], out[i], out[j]))
			}
		}
	}
	for i := range out {
		out[i] = out[lead[i]]
	}
	return out, nil
}

// ordering compares rules; its lab bounds what that may cost.
type ordering struct{ lab *lab }

// least is the priority that a needs to go before b, whose priority is pb, where
// both take a request; pa when a has no need.
func (o *ordering) least(a, b *rule, pa, pb int) int {
	if a.methods.common(&b.methods) == "" || !strings.HasPrefix(a.path.prefix, b.path.prefix) && !strings.HasPrefix(b.path.prefix, a.path.prefix) {
		return pa
	}
	need := pa
	for _, ha := range a.hosts {
		for _, hb := range b.hosts {
			ra, rb := a.on(ha), b.on(hb)
			wanted, one, other := pb, corner{a, ha}, corner{b, hb}
			if ra.compare(&rb) <= 0 {
				wanted++
			}
			if ha.exact || !hb.exact && ha.labels > hb.labels {
				one, other = other, one // the puzzle takes its host from the last one
			}
			if wanted > need && o.meet(one, other) {
				need = wanted
			}
		}
	}
	return need
}

// meet tells whether two rules may take one request. When in doubt they may: a
// priority too many does no harm.
func (o *ordering) meet(a, b corner) bool {
	if !o.pathsMeet(a.rule.path, b.rule.path) {
		return false
	}
	if o.lab.spent() {
		return true
	}
	// The puzzle wants paths of one kind, and they are seen to.
	p := puzzle{take: []corner{a.anyPath(), b.anyPath()}, lab: o.lab}
	_, got, _ := p.solve()
	return got != no
}

// anyPath is a corner without its path.
func (c corner) anyPath() corner {
	r := *c.rule
	r.path = &pattern{kind: kindRest}
	return corner{&r, c.host}
}

// pathsMeet tells whether two patterns may take one path.
func (o *ordering) pathsMeet(a, b *pattern) bool {
	switch {
	case a.text == "" || b.text == "":
		return true
	case a.kind == kindExact:
		return b.matches(a.text)
	case b.kind == kindExact:
		return a.matches(b.text)
	case a.kind == kindRegex || b.kind == kindRegex:
		if o.lab.spent() {
			return true
		}
		_, got := o.lab.common(a.expression(), b.expression(), pathAlphabet)
		return got != no
	case a.kind == kindSegments && len(a.segs) < len(b.segs), b.kind == kindSegments && len(b.segs) < len(a.segs):
		return false
	}
	for i := range min(len(a.segs), len(b.segs)) {
		x, y := &a.segs[i], &b.segs[i]
		if x.kind == segLiteral && !y.takes(x.text) || y.kind == segLiteral && !x.takes(y.text) {
			return false
		}
	}
	return true
}

// expression is the pattern as a regular expression for the whole path.
func (p *pattern) expression() string {
	if p.kind == kindRegex {
		return p.expr
	}
	var b strings.Builder
	for i := range p.segs {
		b.WriteByte('/')
		switch s := &p.segs[i]; s.kind {
		case segLiteral:
			b.WriteString(regexp.QuoteMeta(s.text))
		case segRegex:
			b.WriteString("(?:" + s.text + ")")
		case segAny:
			b.WriteString("[^/]+")
		}
	}
	if p.kind == kindRest {
		b.WriteString("(?:/.*)?")
	}
	return b.String()
}
