package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/route"
)

// prover proves things about the routes of a file whose every part is right
// (gateway §16). Each finding holds a request that shows it, and the real
// route table has confirmed it.
type prover struct {
	*whole

	table *route.Table[int]
	route.Prover
}

// prove finds routes that take nothing and services that lead back to where
// they are called from.
func (w *whole) prove() {
	backs := w.allBacks()
	if w.brief && len(backs) == 0 {
		return
	}
	composed, err := w.file.ComposedRules()
	if err != nil {
		return // what edge.Build found as well
	}
	rules := make([]route.Rule[int], len(w.file.Routes), len(w.file.Routes)+len(composed))
	for i := range w.file.Routes {
		rc := &w.file.Routes[i]
		rules[i] = route.Rule[int]{Match: rc.Match, Name: rc.NameAt(i), Value: i}
	}
	for i, r := range composed {
		rules = append(rules, route.Rule[int]{Match: r.Match, Name: r.Name, Value: len(w.file.Routes) + i})
	}
	table, err := route.Build(rules)
	if err != nil {
		return // what edge.Build found as well
	}
	p := prover{whole: w, table: table, Prover: route.Prover{Listeners: slices.Sorted(maps.Keys(w.file.Listen)), Now: w.now}}
	if !w.brief {
		p.dead()
		p.windows()
		p.weights()
	}
	p.loops(backs)
}

func (p *prover) matchPath(i int) string {
	if i >= len(p.file.Routes) {
		return p.file.RulePath(i)
	}
	return p.file.RulePath(i) + ".match"
}

func (p *prover) nameOf(i int) string {
	if i >= len(p.file.Routes) {
		return strings.TrimPrefix(p.file.RulePath(i), "views.")
	}
	return p.file.Routes[i].NameAt(i)
}

// dead tells of routes that no request reaches.
func (p *prover) dead() {
	for _, proof := range p.table.Dead(p.Prover) {
		at := p.matchPath(proof.Rule)
		if proof.Example == nil {
			p.add(diag.At(at, "no request can match: its predicates exclude each other in %s", proof.Dead).
				WithCode("never").AsWarning().WithFix("change one of the predicates, or remove the route"))
			continue
		}
		var names, related []string
		for _, by := range proof.By {
			names = append(names, p.nameOf(by))
			related = append(related, p.matchPath(by))
		}
		e := diag.At(at, "the route takes no request: %s", takenBy(names)).WithCode("shadowed").AsWarning().
			WithRelated(related...).WithFix("remove it, make it more specific, or give it a higher priority")
		e.Example = proof.Example.String()
		p.add(e)
	}
}

func takenBy(names []string) string {
	if len(names) == 1 {
		return names[0] + " takes all that would match it"
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " take all that would match it"
}

// windows tells of routes whose time is over.
func (p *prover) windows() {
	for i := range p.file.Routes {
		w := &p.file.Routes[i].Match.Time
		end, path := w.Before, ".time.before"
		if len(w.Between) == 2 {
			end, path = w.Between[1], ".time.between[1]"
		}
		if at, err := time.Parse(time.RFC3339, end); err == nil && !p.now.Before(at) {
			p.add(diag.At(p.matchPath(i)+path, "the route takes no request any more: its time is over").
				WithCode("never").AsWarning().WithFix("remove the route, or give it a later end"))
		}
	}
}

// weights tells of weights that change nothing.
func (p *prover) weights() {
	for i := range p.file.Routes {
		weight := p.file.Routes[i].Match.Weight
		if weight == nil {
			continue
		}
		members := p.table.Members(i)
		switch {
		case *weight == 0:
			p.add(diag.At(p.matchPath(i)+".weight", "the route takes no request: its weight is 0").
				WithCode("never").AsWarning().WithFix("give it a weight, or remove it"))
		case len(members) == 1:
			p.add(diag.At(p.matchPath(i)+".weight", "no other route has the same match and a weight, so this one takes all").
				WithCode("never").AsWarning().WithFix("remove weight, or give the other route the same match"))
		}
	}
}
