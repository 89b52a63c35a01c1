package aggregate

import (
	"fmt"
	"slices"
)

// bound works out how many calls and keys the plan can need at most, and refuses
// what has no bound.
func (c *compiler) bound() {
	c.p.levels[0].bound, c.p.levels[0].bounded = 1, true
	done := map[*level]bool{c.p.levels[0]: true}
	for _, l := range c.p.levels[1:] { // parents come before their children
		up := l.parent
		switch {
		case !l.list:
			l.bound, l.bounded = up.bound, up.bounded
		case l.bounded:
			l.bound, l.bounded = times(l.bound, up.bound), up.bounded
		default:
			l.bound, l.bounded = times(c.g.limits.List, up.bound), false
		}
		done[l] = true
	}
	for _, f := range c.p.fetches {
		f.maxKeys, f.maxCalls = 1, 1
		bounded := true
		if f.kind != fetchRoot {
			f.maxKeys = 0
			for _, g := range f.gathers {
				n, ok := g.from.bound, g.from.bounded
				if g.given != nil {
					n, ok = 1, true
					if g.many {
						n = c.g.limits.Keys
					}
				}
				f.maxKeys += n
				bounded = bounded && ok
			}
			f.maxKeys = min(f.maxKeys, max(c.g.limits.Keys, 1))
			f.maxCalls = f.maxKeys
			if f.kind.batched() {
				f.maxCalls = (f.maxKeys + f.call.max - 1) / f.call.max
			}
		}
		c.checkFetch(f, bounded)
		c.p.bounds.Calls += f.maxCalls
		c.p.bounds.Keys += f.maxKeys
		c.p.bounds.Depth = max(c.p.bounds.Depth, f.depth)
	}
	if n := c.p.bounds.Calls; n > c.g.limits.Calls && !slices.ContainsFunc(c.faults, func(f fault) bool { return !f.warn }) {
		f := c.fail(0, "it may need %d calls; at most %d are allowed", n, c.g.limits.Calls)
		f.fix = "bound its lists with first: or @limit, or raise limits.calls"
	}
}

func times(a, b int) int {
	const most = 1 << 30
	if a != 0 && b > most/a {
		return most
	}
	return a * b
}

// fewCalls is how many calls of one fetch nobody is warned of.
const fewCalls = 10

// checkFetch warns of a call an element where that makes many, and refuses one call an element without end: 1,000 posts would make
// 1,001 calls.
func (c *compiler) checkFetch(f *fetch, bounded bool) {
	if f.kind != fetchOne && f.kind != fetchByOne {
		return
	}
	var l *level
	for _, one := range f.feeds {
		l = one
	}
	if l == nil || bounded && f.maxCalls <= fewCalls {
		return
	}
	n := f.gathers[0].from.bound
	out := c.fail(l.written, "%s calls %s once for each element of %s, without bound", l.name, f.call.word(), f.gathers[0].from.name)
	out.fix = fmt.Sprintf("give %s a call of many: in place of one:, or bound the list: first: 10", l.typeName())
	out.example = fmt.Sprintf("%d elements make %d calls", n, n+1)
	if bounded {
		out.text = fmt.Sprintf("%s may call %s %d times", l.name, f.call.word(), f.maxCalls)
		if out.warn = f.maxCalls <= c.g.limits.Calls; !out.warn {
			out.fix += ", or raise limits.calls"
		}
	}
}

func (l *level) typeName() string {
	if l.typ == nil {
		return "the source"
	}
	return l.typ.name
}
