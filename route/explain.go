package route

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/maru-msa/maru/message"
)

// Explanation tells how a request was routed.
type Explanation struct {
	Verdict Verdict
	// Rule is the place of the route in Build's list, or -1.
	Rule int
	// Why says what made the route the most specific one.
	Why []string
	// Not are the routes that came into question, by precedence.
	Not []Rejection
	// Readings are the further readings of the path; Elsewhere those of them
	// that lead to another route, when the verdict is Ambiguous.
	Readings, Elsewhere Reading
}

// Rejection is a route that did not take the request.
type Rejection struct {
	Rule    int
	Because string
}

// maxRejections bounds the routes that an explanation names.
const maxRejections = 20

// Explain finds the route of a request as [Table.Find] does, with the same
// search, and tells why it is that one. It is for people: it allocates.
func (t *Table[T]) Explain(r *message.Request, d Reading) Explanation {
	x := Explanation{Rule: -1, Readings: d}
	var source int32
	if source, x.Verdict = t.search(r, d); source != none {
		x.Rule = int(source)
	}
	s, method := t.lookup(r)
	if x.Verdict == Ambiguous {
		x.Elsewhere = t.otherwise(r, d, method, s.best)
	}
	if x.Verdict == Found {
		x.Why = t.why(&t.index.entries[s.best], source)
	}
	seen := map[int32]bool{}
	if s.best != noEntry {
		seen[t.index.entries[s.best].source] = x.Verdict == Found
	}
	for _, e := range t.touched(r, r.Path) {
		t.reject(&x, seen, e, s.best, r, method)
	}
	if x.Verdict == NotFound && len(x.Not) == 0 {
		t.near(&x, seen, r)
	}
	return x
}

// why lists what an entry wants, as the order of precedence goes.
func (c *core) why(e *entry, source int32) []string {
	r := e.rule
	var out []string
	if r.priority != 0 {
		out = append(out, "priority "+strconv.Itoa(r.priority))
	}
	switch {
	case e.host.exact:
		out = append(out, "host exact")
	case e.host.name != "":
		out = append(out, "host "+e.host.String())
	}
	switch p := r.path; p.kind {
	case kindExact:
		out = append(out, "path exact")
	case kindSegments, kindRegex, kindRest:
		if p.prefix == "" && p.kind == kindRest {
			out = append(out, "any path")
			break
		}
		out = append(out, "prefix "+counted(len(p.prefix), "byte"), p.kind.String())
	}
	if !r.methods.all() {
		out = append(out, "method listed")
	}
	for _, p := range r.preds {
		out = append(out, p.String())
	}
	if e.members != nil {
		out = append(out, fmt.Sprintf("weight %d of %d", c.compiled[source].weight, e.upto[len(e.upto)-1]))
	}
	return out
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// reject notes why an entry whose host and path match did not take the request.
func (c *core) reject(x *Explanation, seen map[int32]bool, e, best int32, r *message.Request, method string) {
	entry := &c.index.entries[e]
	if seen[entry.source] || len(x.Not) >= maxRejections || e == best && x.Verdict == Found {
		return
	}
	seen[entry.source] = true
	because := ""
	switch {
	case !entry.rule.methods.has(methodBit(method), method):
		because = fmt.Sprintf("takes %s, not %s", entry.rule.methods.String(), method)
	case e == best && x.Verdict == Ambiguous:
		because = c.elsewhereTo(r, entry.rule, x.Elsewhere, method)
	case e == best:
		because = "all weights of its group are 0"
	}
	for _, p := range entry.rule.preds {
		if because == "" && !p.holds(r) {
			because = "needs " + p.String()
		}
	}
	if because == "" && best != noEntry {
		because = lesser(entry, &c.index.entries[best])
	}
	x.Not = append(x.Not, Rejection{int(entry.source), because})
}

// elsewhereTo says where a path leads by its first reading that leads elsewhere.
func (c *core) elsewhereTo(r *message.Request, own *rule, d Reading, method string) string {
	if own.encoded == Refuse {
		return "takes no path that can be read in other ways: " + d.String()
	}
	p := reread(nil, r.Path, d)
	if p == nil {
		return "read by " + d.String() + " the path leads above the root"
	}
	s := c.find(r, message.View(p), method)
	if s.best == noEntry {
		return fmt.Sprintf("read by %s the path is %s, which no route takes", d, p)
	}
	return fmt.Sprintf("read by %s the path is %s, which %s takes", d, p, c.called(c.index.entries[s.best].source))
}

// lesser says in what a is less specific than b.
func lesser(a, b *entry) string {
	p, q := a.rule.path, b.rule.path
	switch {
	case a.rule.priority != b.rule.priority:
		return fmt.Sprintf("lower priority: %d, not %d", a.rule.priority, b.rule.priority)
	case a.host.exact != b.host.exact, a.host.labels != b.host.labels:
		return "less specific host: " + anyOr(a.host.String())
	case len(p.prefix) != len(q.prefix):
		return "shorter prefix"
	case p.kind != q.kind:
		return fmt.Sprintf("%s, not %s", p.kind, q.kind)
	case p.literals != q.literals:
		return "fewer literal segments"
	case p.constrained != q.constrained:
		return "fewer parameters with an expression"
	case a.rule.methods.all() != b.rule.methods.all():
		return "no method listed"
	}
	for i := range a.rank.tail {
		if a.rank.tail[i] != b.rank.tail[i] {
			return "less specific " + tailWord(i)
		}
	}
	return "later in the file"
}

// tailWord names what place i of a rank's tail is about.
func tailWord(i int) string {
	switch {
	case i < tailQuery:
		return "headers"
	case i < tailCookie:
		return "query"
	case i < tailClient:
		return "cookies"
	}
	return [...]string{"client", "scheme", "protocol", "listener", "time", "segment"}[i-tailClient]
}

func anyOr(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

// near names routes that almost took a request that none took: those of another
// host, then those with the longest common start of the path.
func (c *core) near(x *Explanation, seen map[int32]bool, r *message.Request) {
	const most = 3
	type neighbour struct {
		e      int32
		common int
	}
	var found []neighbour
	for i := range c.index.entries {
		e := &c.index.entries[i]
		if seen[e.source] {
			continue
		}
		n := commonPrefix(e.rule.path.prefix, r.Path)
		switch {
		case e.rule.path.matches(r.Path):
			n = len(r.Path) + 1
		case !e.host.takes(r.Host), n < 2:
			continue
		}
		found = append(found, neighbour{int32(i), n})
	}
	slices.SortStableFunc(found, func(a, b neighbour) int { return b.common - a.common })
	for _, f := range found[:min(len(found), most)] {
		e := &c.index.entries[f.e]
		because := "its path is " + e.rule.path.text
		if f.common > len(r.Path) {
			because = "its host is " + e.host.String()
		}
		if !seen[e.source] {
			seen[e.source] = true
			x.Not = append(x.Not, Rejection{int(e.source), because})
		}
	}
}

func commonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Order lists the places of the routes in Build's list by precedence.
func (t *Table[T]) Order() []int {
	out := make([]int, 0, len(t.rules))
	seen := make([]bool, len(t.rules))
	add := func(i int32) {
		if !seen[i] {
			seen[i] = true
			out = append(out, int(i))
		}
	}
	for i := range t.index.entries {
		e := &t.index.entries[i]
		add(e.source)
		for _, m := range e.members {
			add(m)
		}
	}
	return out
}

// Predicates lists what a route wants besides host, path and method, in words.
func (t *Table[T]) Predicates(i int) []string {
	r := t.compiled[i]
	var out []string
	if r.priority != 0 {
		out = append(out, "priority "+strconv.Itoa(r.priority))
	}
	for _, p := range r.preds {
		out = append(out, p.String())
	}
	if r.weight >= 0 {
		out = append(out, "weight "+strconv.Itoa(r.weight))
	}
	return out
}
