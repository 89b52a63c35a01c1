// Package route finds the route of a request in an immutable table.
//
// The flow: [Match] is a route's predicates as the file has them. [Build]
// compiles each into a rule, puts the rules in order of precedence, refuses ties,
// and lays them out as a map of exact hosts, a trie of wildcard labels, and a
// trie of path segments for each host. At run time [Canonical] makes a path
// canonical, once, and [Table.Find] walks the tries: literal segments by hash,
// parameters, regular expressions below their literal prefix, predicates last.
// It takes no lock and allocates nothing, however many routes there are.
//
// The most specific route wins, whatever the order of the file (gateway §2):
// priority; exact host, wildcard with more labels, none; longer literal path
// prefix; exact, segments, regex, rest; more literal segments, more parameters
// with an expression; methods listed; headers, query, cookies (each: exact, regex,
// present, absent); client prefix length; scheme; protocol; listener; time;
// segment. Two routes that compare equal and can take one request are an error.
package route

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// Encoded says what happens to a path that can be read in more than one way
// (gateway §3.2).
type Encoded string

// What happens to such a path.
const (
	// SameRoute lets it through when every reading leads to the same route.
	SameRoute Encoded = "same-route"
	// Refuse refuses it.
	Refuse Encoded = "refuse"
	// Accept lets it through as it is.
	Accept Encoded = "accept"
)

// Rule is one route and what it leads to.
type Rule[T any] struct {
	Match Match
	// Name is for messages.
	Name string
	// Encoded is for paths with further readings; "" means SameRoute.
	Encoded Encoded
	Value   T
}

// Verdict is the outcome of a search.
type Verdict uint8

// The verdicts.
const (
	// NotFound: no route takes the request.
	NotFound Verdict = iota
	// Found: one does.
	Found
	// MethodNotAllowed: one would, with another method ([Table.Allow]).
	MethodNotAllowed
	// Options: the same, and the method is OPTIONS.
	Options
	// Ambiguous: the path can be read in a way that leads elsewhere.
	Ambiguous
)

func (v Verdict) String() string {
	return [...]string{"not found", "found", "method not allowed", "options", "ambiguous"}[v]
}

// MaxRoutes is the most routes of a table.
const MaxRoutes = 100_000

// maxEntries bounds routes times their hosts.
const maxEntries = 1_000_000

// Table is an immutable route table; it is safe for use by several goroutines.
type Table[T any] struct {
	rules []Rule[T]
	core
}

// core is what does not depend on what routes lead to.
type core struct {
	*index
	compiled []*rule
	names    []string
	draw     func(n int64) int64
}

// Build makes a table, or tells everything that is wrong with the rules as field
// errors with paths such as "[3].match.host".
func Build[T any](rules []Rule[T]) (*Table[T], error) { return (*Table[T])(nil).Rebuild(rules) }

// Rebuild is [Build] for a table that takes the place of t: what is compiled of
// rules whose Match is unchanged is used again. t may be nil, and stays as it is.
func (t *Table[T]) Rebuild(rules []Rule[T]) (*Table[T], error) {
	old := t
	t = &Table[T]{rules: rules, core: core{compiled: make([]*rule, len(rules)), names: make([]string, len(rules)), draw: rand.Int64N}}
	if len(rules) > MaxRoutes {
		return nil, diag.At("", "%d routes are more than %d", len(rules), MaxRoutes).WithFix("divide the file")
	}
	faults := t.compile(old)
	entries, errs := t.entries()
	faults = append(faults, errs...)
	// Looking for ties and making the index take the most time, and neither
	// needs the other.
	var index sync.WaitGroup
	if len(faults) == 0 {
		index.Go(func() { t.index = newIndex(entries) })
	}
	faults = append(faults, t.ties(entries)...)
	index.Wait()
	if len(faults) > 0 {
		return nil, diag.Join(faults...)
	}
	return t, nil
}

// compileRun is how many rules one goroutine compiles at a time.
const compileRun = 512

// compile compiles all rules, many side by side: a change is live sooner. The
// faults are in the order of the rules.
func (t *Table[T]) compile(old *Table[T]) []error {
	faults := make([]error, len(t.rules))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(t.rules)/compileRun+1) {
		wait.Go(func() {
			for {
				to := int(next.Add(compileRun))
				for i := to - compileRun; i < min(to, len(t.rules)); i++ {
					if t.compiled[i] = old.compiledAs(&t.rules[i], i, len(t.rules)); t.compiled[i] != nil {
						t.names[i] = t.rules[i].Name
						continue
					}
					faults[i] = t.compileRule(i)
				}
				if to >= len(t.rules) {
					return
				}
			}
		})
	}
	wait.Wait()
	return slices.DeleteFunc(faults, func(err error) bool { return err == nil })
}

func (t *Table[T]) compileRule(i int) error {
	rule := &t.rules[i]
	r, err := compile(&rule.Match)
	if err != nil {
		return diag.Under(at("", i)+".match", err)
	}
	t.compiled[i], t.names[i] = r, rule.Name
	switch r.encoded = rule.Encoded; r.encoded {
	case "", SameRoute, Refuse, Accept:
		return nil
	default:
		return diag.At(at("", i)+".encoded", "%q is not a way to treat encoded paths", r.encoded).
			WithFix("write same-route, refuse or accept")
	}
}

// at gives the path of an entry of a list.
func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

// entries lists the rules at each of their hosts, by precedence.
func (c *core) entries() ([]entry, []error) {
	groups := groups{byKey: make(map[string]int32), byName: make(map[string]int32)}
	list := make([]entry, 0, len(c.compiled))
	for i, r := range c.compiled {
		if r == nil {
			continue
		}
		source := int32(i)
		if r.weight >= 0 && !groups.leads(c, source) {
			continue
		}
		for _, h := range r.hosts {
			list = append(list, entry{rule: r, host: h, rank: r.on(h), source: source})
		}
		if len(list) > maxEntries {
			return nil, []error{diag.At(at("", i)+".match.host", "all routes together have more than %d hosts", maxEntries).WithFix("divide the file")}
		}
	}
	return byPrecedence(list, &groups, c), groups.faults
}

// byPrecedence sorts the entries. It moves short keys about and each entry once.
func byPrecedence(list []entry, groups *groups, c *core) []entry {
	type key struct {
		head uint64
		i    int32
	}
	keys := make([]key, len(list))
	for i := range list {
		keys[i] = key{list[i].rank.head, int32(i)}
	}
	slices.SortFunc(keys, func(a, b key) int {
		if a.head != b.head {
			return cmp.Compare(b.head, a.head)
		}
		x, y := &list[a.i], &list[b.i]
		return cmp.Or(bytes.Compare(y.rank.tail[:], x.rank.tail[:]), cmp.Compare(x.source, y.source))
	})
	out := make([]entry, len(list))
	for i, k := range keys {
		out[i] = list[k.i]
		if groups.members != nil {
			groups.share(c, &out[i])
		}
	}
	return out
}

// groups finds the routes that share their traffic by weight.
type groups struct {
	byKey   map[string]int32 // match and group: its first route
	byName  map[string]int32 // group name: its first route
	members map[int32][]int32
	faults  []error
}

// leads notes a route with a weight, and tells whether it is the first of its group.
func (g *groups) leads(c *core, source int32) bool {
	r := c.compiled[source]
	key := r.key()
	if g.members == nil {
		g.members = make(map[int32][]int32)
	}
	first, ok := g.byKey[key]
	if !ok {
		first = source
		g.byKey[key] = source
	}
	g.members[first] = append(g.members[first], source)
	if r.group == "" {
		return !ok
	}
	if named, known := g.byName[r.group]; known && named != first {
		g.faults = append(g.faults, diag.At(at("", int(source))+".match.group", "the routes of group %q have different matches", r.group).
			WithRelated(at("", int(named))+".match").WithFix("give them the same match, or another group"))
	} else {
		g.byName[r.group] = first
	}
	return !ok
}

// share gives an entry its group.
func (g *groups) share(c *core, e *entry) {
	list := g.members[e.source]
	if list == nil {
		return
	}
	e.members = list
	sum := int64(0)
	for _, m := range list {
		sum += int64(c.compiled[m].weight)
		e.upto = append(e.upto, sum)
	}
}

// choose gives the rule of an entry: its own, or one of its group by weight. A
// group whose weights are all 0 takes nothing.
func (c *core) choose(e *entry) int32 {
	if e.members == nil {
		return e.source
	}
	total := e.upto[len(e.upto)-1]
	if total == 0 {
		return none
	}
	n := c.draw(total)
	i, _ := slices.BinarySearch(e.upto, n+1)
	return e.members[i]
}

// Len is the number of routes.
func (t *Table[T]) Len() int { return len(t.rules) }

// Find finds the route of a request whose path [Canonical] made canonical; d is
// what it gave. The path's parameters are put into the exchange.
func (t *Table[T]) Find(r *message.Request, d Reading) (T, Verdict) {
	i, v := t.search(r, d)
	if v != Found {
		var zero T
		return zero, v
	}
	return t.rules[i].Value, Found
}

// search gives the rule of a request, or none.
func (c *core) search(r *message.Request, d Reading) (int32, Verdict) {
	r.X.ResetParams()
	s, method := c.lookup(r)
	if s.best == noEntry {
		switch {
		case !s.missed:
			return none, NotFound
		case r.Method == "OPTIONS":
			return none, Options
		default:
			return none, MethodNotAllowed
		}
	}
	e := &c.index.entries[s.best]
	if d != 0 && c.otherwise(r, d, method, s.best) != noReading {
		return none, Ambiguous
	}
	chosen := c.choose(e)
	if chosen == none {
		return none, NotFound
	}
	if p := c.compiled[chosen].path; p.kind != kindExact {
		p.capture(&r.X, r.Path)
	}
	return chosen, Found
}

// lookup searches by the request's method; a preflight by the one it asks for,
// then as the OPTIONS that it is.
func (c *core) lookup(r *message.Request) (search, string) {
	asked := preflight(r)
	if asked == "" {
		return c.find(r, r.Path, r.Method), r.Method
	}
	s := c.find(r, r.Path, asked)
	if s.best != noEntry {
		return s, asked
	}
	missed := s.missed
	s = c.find(r, r.Path, r.Method)
	s.missed = s.missed || missed
	return s, r.Method
}

// noReading says that no further reading leads elsewhere.
const noReading = Reading(0)

// otherwise judges the further readings of a path whose entry is best. It gives
// one that leads elsewhere, or noReading.
func (c *core) otherwise(r *message.Request, d Reading, method string, best int32) Reading {
	rule := c.index.entries[best].rule
	switch rule.encoded {
	case Accept:
		return noReading
	case Refuse:
		return d
	case SameRoute:
	}
	buf := r.X.Scratch(len(r.Path))
	for bit := Reading(1); bit < 1<<numReadings; bit <<= 1 {
		if d&bit != 0 && c.elsewhere(r, buf, bit, method, rule) {
			return bit
		}
	}
	if c.elsewhere(r, buf, readAll, method, rule) {
		return readAll
	}
	return noReading
}

// elsewhere tells whether a reading leads to another rule, or above the root.
func (c *core) elsewhere(r *message.Request, buf []byte, d Reading, method string, rule *rule) bool {
	p := reread(buf, r.Path, d)
	if p == nil {
		return true
	}
	s := c.find(r, message.View(p), method)
	return s.best == noEntry || c.index.entries[s.best].rule != rule
}

// Allow gives the methods of all routes that would take the request but for its
// method, as the Allow field lists them (RFC 9110 §10.2.1). OPTIONS is among
// them: the edge answers it.
func (t *Table[T]) Allow(r *message.Request) string {
	set := methodSet{bits: bitOptions}
	for _, e := range t.touched(r, r.Path) {
		if rule := t.index.entries[e].rule; rule.takes(r) {
			set.join(&rule.methods)
		}
	}
	return strings.Join(set.names(), ", ")
}

// compiledAs gives what r was compiled to before, or nil. r is looked for where
// it is now, and where it was if routes came or went before it.
func (t *Table[T]) compiledAs(r *Rule[T], i, of int) *rule {
	if t == nil {
		return nil
	}
	for _, j := range [...]int{i, i + len(t.rules) - of} {
		if j < 0 || j >= len(t.rules) {
			continue
		}
		if was := &t.rules[j]; was.Encoded == r.Encoded && was.Match.equal(&r.Match) {
			return t.compiled[j]
		}
	}
	return nil
}
