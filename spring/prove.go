package spring

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/route"
)

// prove writes the draft, checks it as maru check does, and writes what is
// refused as a comment, until nothing is. Routes that the check shows to take
// nothing are unreachable in the source too: the order there is kept here by
// priorities.
func (im *importer) prove() Result {
	d := im.draft
	d.uniqueNames()
	pr := prover{importer: im, routes: d.expand(), known: im.set.lines()}
	const most = 60
	var w *writer
	for range most {
		pr.spread()
		pr.order()
		w = pr.write()
		if !pr.judge(w) {
			return pr.result(w)
		}
	}
	// Each round takes something away, so that this is for files with hundreds of faults.
	im.report(diag.Finding{Position: d.position(), Code: "limit", Text: "the routes have so many faults that none was written", Fix: "mend those that the other findings name"})
	pr.none()
	w = pr.write()
	return pr.result(w)
}

// position is a place in the inputs to speak of the whole.
func (d *draft) position() diag.Position {
	for _, p := range d.routes {
		return p.at.at
	}
	return diag.Position{}
}

type prover struct {
	*importer

	routes []*writtenRoute
	known  map[string]map[int]bool
}

// spread takes routes away whose service is not written, and services whose
// routes are not.
func (pr *prover) spread() {
	live := make(map[*service]int)
	for _, r := range pr.routes {
		s := r.plan.service
		if r.off == "" && s != nil && s.off != "" {
			r.off = "its service could not be written"
		}
		if s != nil && r.off == "" {
			live[s]++
		} else if s != nil {
			live[s] += 0
		}
	}
	for s, n := range live {
		if n == 0 && s.off == "" {
			s.off = "no route that is written leads here"
		}
	}
}

// order gives the routes the priorities that keep the order of the source.
func (pr *prover) order() {
	for {
		var live []*writtenRoute
		var list []route.Match
		for _, r := range pr.routes {
			if r.off == "" {
				live = append(live, r)
				list = append(list, r.match)
			}
		}
		priorities, err := route.InOrder(list)
		if err == nil {
			for i, r := range live {
				r.priority = priorities[i]
			}
			return
		}
		for _, e := range diag.Flatten(err) {
			for i, r := range live {
				if rest, ok := strings.CutPrefix(e.Path, diag.Index("", i)); ok && r.off == "" {
					pr.refuse(&r.element, "refused", strings.Trim(rest, ".")+": "+e.Text, e.Fix)
				}
			}
		}
	}
}

// refuse writes an element as a comment, with a finding.
func (pr *prover) refuse(e *element, code, words, fix string) {
	e.off = words
	pr.find(e.origin(), diag.Error, code, fix, "maru does not take what this becomes: "+words)
}

// origin is where an element came from; a place of its own, so that the settings
// below it stay told as they are.
func (e *element) origin() *node {
	n := node{}
	if e.at != nil {
		n.at, n.length, n.path = e.at.at, e.at.length, e.at.path
	}
	if n.at.File == "" && len(e.from) > 0 {
		n.at, n.length = e.from[0].at, 1
	}
	return &n
}

func (pr *prover) write() *writer {
	live := make(map[*plan][]*writtenRoute)
	for _, r := range pr.routes {
		r.anchor, r.alias = "", false
		if r.off == "" {
			live[r.plan] = append(live[r.plan], r)
		}
	}
	for _, list := range live {
		for i, r := range list {
			if len(list) > 1 {
				r.anchor, r.alias = serviceName(list[0].name), i > 0
			}
		}
	}
	notes := merged(pr.set.notes)
	w := &writer{known: pr.known, named: make(map[*setting]bool)}
	w.file(pr.draft, pr.routes, notes)
	rest := note{why: "there is nothing that it would be for"}
	found := make(map[diag.Position]bool, len(pr.findings))
	for i := range pr.findings {
		found[lineOf(pr.findings[i].Position)] = true
	}
	for _, s := range pr.set.all {
		if !w.named[s] && !found[lineOf(s.at)] {
			rest.from = append(rest.from, s)
		}
	}
	if len(rest.from) > 0 {
		w = &writer{known: pr.known, named: make(map[*setting]bool)}
		w.file(pr.draft, pr.routes, append(notes, rest))
	}
	return w
}

func lineOf(at diag.Position) diag.Position { return diag.Position{File: at.File, Line: at.Line} }

// judge checks the text and takes away what is refused; it tells whether
// anything was.
func (pr *prover) judge(w *writer) bool {
	_, findings := config.CheckReader("maru.yaml", strings.NewReader(w.b.String()))
	changed := false
	for i := range findings {
		f := &findings[i]
		var e *element
		if f.Line > 0 && f.Line <= len(w.owners) {
			e = w.owners[f.Line-1]
		}
		switch {
		case f.Severity == diag.Error && e == nil:
			pr.report(diag.Finding{Position: pr.draft.position(), Code: "refused", Text: "maru does not take what was written: " + f.Text, Fix: f.Fix})
			pr.none()
			return true
		case f.Severity == diag.Error && e.off == "":
			pr.refuse(e, "refused", f.Text, f.Fix)
			pr.misled(e)
			changed = true
		case e != nil && e.off == "" && (f.Code == "shadowed" || f.Code == "never"):
			changed = pr.unreachable(e, f, w) || changed
		}
	}
	return changed
}

// misled takes the routes away that would send requests elsewhere without a filter.
func (pr *prover) misled(e *element) {
	for _, r := range pr.routes {
		for _, s := range slices.Concat(pr.draft.filters, r.plan.filters) {
			if &s.element == e && r.off == "" && slices.Contains([]string{"rewrite", "strip", "prefix", "redirect", "respond"}, s.word) {
				r.off = "without the filter that was refused requests would go elsewhere"
			}
		}
	}
}

// unreachable writes a route as a comment that takes no request.
func (pr *prover) unreachable(e *element, f *diag.Finding, w *writer) bool {
	for _, r := range pr.routes {
		if &r.element != e {
			continue
		}
		if strings.Contains(f.Text, "weight") && strings.Contains(f.Text, "no other route") {
			r.match.Weight = nil
			return true
		}
		e.off = f.Text
		x := diag.Finding{Position: e.at.at, Length: e.at.length, Severity: diag.Warning, Code: "unreachable", Fix: f.Fix, Example: f.Example}
		if f.Code == "shadowed" {
			e.off = "unreachable in the source: " + f.Text
			x.Fix = "remove it, or move it before the other in the source"
		}
		x.Text = comment(e.off)
		for _, rel := range f.Related {
			if rel.Line > 0 && rel.Line <= len(w.owners) && w.owners[rel.Line-1] != nil {
				o := w.owners[rel.Line-1].origin()
				x.Related = append(x.Related, diag.Related{Position: o.at, Length: o.length, Text: "the other route"})
			}
		}
		pr.report(x)
		return true
	}
	return false
}

// none writes everything as a comment.
func (pr *prover) none() {
	for _, r := range pr.routes {
		r.off = "see the findings"
	}
	for _, s := range pr.draft.services {
		s.off = "see the findings"
	}
	for _, s := range pr.draft.filters {
		s.off = "see the findings"
	}
	pr.draft.listener, pr.draft.registry = nil, nil
}

func (pr *prover) result(w *writer) Result {
	r := Result{YAML: []byte(w.b.String())}
	for _, x := range pr.routes {
		if x.off == "" {
			r.Routes++
		}
	}
	for _, s := range pr.draft.services {
		if s.off == "" {
			r.Services++
		}
	}
	return r
}

// merged joins notes of one reason.
func merged(list []note) []note {
	var out []note
	at := make(map[string]int)
	for _, n := range list {
		i, ok := at[n.why]
		if !ok {
			at[n.why] = len(out)
			out = append(out, note{n.why, slices.Clone(n.from)})
			continue
		}
		out[i].from = append(out[i].from, n.from...)
	}
	return out
}
