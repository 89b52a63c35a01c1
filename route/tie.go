package route

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// maxTies bounds the findings of one table, maxCompared the pairs that are
// looked at: a table that needs more has hundreds of regular expressions behind
// one prefix. Such routes go by their order in the file.
const (
	maxTies     = 100
	maxCompared = 1_000_000
)

// ties finds routes that rank equal and can take one request. Entries are
// sorted, so equal ranks lie side by side; and equal ranks that meet have the
// same host and the same literal prefix. What is left is compared only where the
// literal segments and exact values agree, so that the cost follows the number of
// ties and not the square of the routes.
func (c *core) ties(entries []entry) []error {
	t := tieSearch{core: c, tied: make(map[int32]bool), lab: newLab()}
	for from := 0; from < len(entries); {
		to := from + 1
		for to < len(entries) && entries[to].rank == entries[from].rank {
			to++
		}
		if to-from > 1 {
			t.equals(entries[from:to])
		}
		from = to
	}
	return t.faults
}

type tieSearch struct {
	*core
	tied   map[int32]bool // rules that a finding names as the later one
	lab    *lab
	pairs  int // compared
	faults []error
}

// equals looks at entries of one rank.
func (t *tieSearch) equals(entries []entry) {
	type spot struct{ host, prefix string }
	first := make(map[spot]int32, len(entries))
	more := make(map[spot][]*entry)
	for i := range entries {
		e := &entries[i]
		k := spot{e.host.name, e.rule.path.prefix}
		j, twice := first[k]
		switch {
		case !twice:
			first[k] = int32(i)
		case more[k] == nil:
			more[k] = []*entry{&entries[j], e}
		default:
			more[k] = append(more[k], e)
		}
	}
	for i := range entries { // in order, so that findings come in order
		k := spot{entries[i].host.name, entries[i].rule.path.prefix}
		if list := more[k]; list != nil {
			delete(more, k)
			t.classes(list)
		}
	}
}

// class is the shape of an entry: where its path is literal, and which names have
// exact values. Entries of one class that differ in one of these never meet.
type class struct {
	shape string
	names string
}

func classOf(e *entry) class {
	var shape, names strings.Builder
	for i := range e.rule.path.segs {
		shape.WriteByte("lrv"[e.rule.path.segs[i].kind])
	}
	e.rule.exact(func(name, _ string) { names.WriteString(name + "\x00") })
	return class{shape.String(), names.String()}
}

// exact yields what has exactly one value: named values, and a sole client range.
func (r *rule) exact(yield func(name, value string)) {
	for d, tests := range [][]test{r.headers, r.query, r.cookies} {
		for i := range tests {
			if tests[i].op == opExact {
				yield("hqc"[d:d+1]+tests[i].name, tests[i].want)
			}
		}
	}
	if len(r.client) == 1 {
		yield("client", r.client[0].String())
	}
}

// classes compares the entries of one host and prefix.
func (t *tieSearch) classes(list []*entry) {
	byClass := make(map[class][]*entry)
	var order []class
	for _, e := range list {
		k := classOf(e)
		if byClass[k] == nil {
			order = append(order, k)
		}
		byClass[k] = append(byClass[k], e)
	}
	for i, a := range order {
		t.within(byClass[a], a)
		for _, b := range order[:i] {
			t.between(byClass[b], b, byClass[a], a)
		}
	}
}

// within compares the entries of one class that agree in all that is exact.
func (t *tieSearch) within(list []*entry, k class) {
	if len(list) < 2 {
		return
	}
	groups := make(map[string][]*entry, len(list))
	for _, e := range list {
		key := joinKey(e, k, k)
		for _, o := range groups[key] {
			if t.meet(o, e) {
				break
			}
		}
		groups[key] = append(groups[key], e)
	}
}

// between compares the entries of two classes that agree where both are exact.
func (t *tieSearch) between(as []*entry, a class, bs []*entry, b class) {
	groups := make(map[string][]*entry, len(as))
	for _, e := range as {
		key := joinKey(e, a, b)
		groups[key] = append(groups[key], e)
	}
	for _, e := range bs {
		for _, o := range groups[joinKey(e, a, b)] {
			if t.meet(o, e) {
				break
			}
		}
	}
}

// joinKey is what an entry has where both classes are exact.
func joinKey(e *entry, a, b class) string {
	var key strings.Builder
	for i := range min(len(a.shape), len(b.shape)) {
		if a.shape[i] == 'l' && b.shape[i] == 'l' {
			key.WriteString(e.rule.path.segs[i].text)
			key.WriteByte('/')
		}
	}
	if e.rule.path.kind != kindRest {
		// Without {rest...} only paths of one length meet.
		key.WriteString(strings.Repeat("#", len(e.rule.path.segs)))
	}
	if a.names != "" && b.names != "" {
		e.rule.exact(func(name, value string) {
			if strings.Contains("\x00"+a.names, "\x00"+name+"\x00") && strings.Contains("\x00"+b.names, "\x00"+name+"\x00") {
				key.WriteString("\x00" + value)
			}
		})
	}
	return key.String()
}

// meet tells of a tie if the two entries can take one request, or one that a
// finding names already is among them.
func (t *tieSearch) meet(a, b *entry) bool {
	if a.source > b.source {
		a, b = b, a
	}
	if t.pairs++; a.source == b.source || t.tied[b.source] || len(t.faults) >= maxTies || t.pairs > maxCompared {
		return true
	}
	ex := t.overlap(a, b)
	if ex == nil {
		return false
	}
	t.tied[b.source] = true
	fault := diag.At(at("", int(b.source))+".match",
		"this route and %s take the same request, and neither is more specific", t.called(a.source)).
		WithCode("tie").WithRelated(at("", int(a.source)) + ".match").
		WithFix("make one more specific, or give one of them a higher priority")
	fault.Example = ex.String()
	t.faults = append(t.faults, fault)
	return true
}

func (c *core) called(i int32) string {
	if c.names[i] == "" {
		return "another one"
	}
	return c.names[i]
}

// overlap gives a request that two entries of equal rank take, or nil.
func (t *tieSearch) overlap(a, b *entry) *Example {
	if disjoint(a.rule, b.rule) || t.lab.spent() && a.rule.expressive() && b.rule.expressive() {
		return nil
	}
	p := puzzle{take: []corner{{a.rule, a.host}, {b.rule, b.host}}, lab: t.lab}
	ex, got, _ := p.solve()
	if got != yes || !ex.takenBy(a) || !ex.takenBy(b) {
		return nil
	}
	return ex
}

// expressive tells whether a rule has a regular expression.
func (r *rule) expressive() bool {
	has := func(tests []test) bool {
		return slices.ContainsFunc(tests, func(t test) bool { return t.op == opRegex })
	}
	return r.path.kind == kindRegex || r.path.constrained > 0 || has(r.headers) || has(r.query) || has(r.cookies)
}

// disjoint tells cheaply that two rules never take one request.
func disjoint(a, b *rule) bool {
	return a.methods.common(&b.methods) == "" ||
		a.scheme != "" && b.scheme != "" && a.scheme != b.scheme ||
		a.protocol != "" && b.protocol != "" && a.protocol != b.protocol ||
		a.path.kind == kindExact && a.path.text != b.path.text ||
		a.segment != nil && b.segment != nil && a.segment.by == b.segment.by && (a.segment.to <= b.segment.from || b.segment.to <= a.segment.from)
}

// takenBy tries the request on the real predicates of an entry.
func (e *Example) takenBy(x *entry) bool {
	r := message.NewRequest()
	defer r.Release()
	e.Fill(r)
	return x.host.takes(r.Host) && x.rule.path.matches(r.Path) &&
		x.rule.methods.has(methodBit(r.Method), r.Method) && x.rule.takes(r)
}
