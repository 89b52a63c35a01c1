package aggregate

import (
	"fmt"
	"maps"
	"slices"
)

// PlanRecord is one plan as a committed file holds it: without anything measured, so
// that two of them differ only when the plan does.
type PlanRecord struct {
	View   string       `json:"view"`
	Client string       `json:"client,omitempty"`
	Bounds Bounds       `json:"bounds"`
	Calls  []CallRecord `json:"calls"`
	// Fields of the answer with their types: "auctions[].price integer".
	Fields []string `json:"fields"`
}

// CallRecord is one call of a PlanRecord; Max is how often it is made at most.
type CallRecord struct {
	Call  string `json:"call"`
	Part  string `json:"part"`
	Class string `json:"on_failure"`
	After []int  `json:"after,omitempty"`
	Max   int    `json:"max_calls"`
}

// Records are the plans of all views, by view and client.
func (g *Graph) Records() []PlanRecord {
	out := []PlanRecord{}
	for _, route := range sortedKeys(g.views) {
		v := g.views[route]
		for _, client := range sortedKeys(v.plans) {
			p := v.plans[client]
			e := p.Explain()
			r := PlanRecord{View: route, Client: client, Bounds: e.Bounds, Fields: p.outline().fields("", []string{}), Calls: []CallRecord{}}
			for i := range e.Calls {
				c := &e.Calls[i]
				c.P50 = 0
				r.Calls = append(r.Calls, CallRecord{Call: c.Call, Part: c.Part, Class: c.Class, After: c.After, Max: c.Calls})
			}
			r.Bounds.Depth = len(critical(e.Calls)) // by number: nothing is measured here
			out = append(out, r)
		}
	}
	return out
}

// PlanChange is one difference between two sets of plans.
type PlanChange struct {
	// Kind is "calls", "depth", "fields" or "views".
	Kind string `json:"kind"`
	// Worse tells that clients or services may notice: more calls, more of them one
	// after the other, a field or a view that is gone or changed.
	Worse bool `json:"worse"`
	// Text says it: "GET /home/{id} for web: one more upstream call: reward GET /…".
	Text string `json:"text"`
}

// ComparePlans tells what changed, view by view.
func ComparePlans(before, after []PlanRecord) []PlanChange {
	index := func(list []PlanRecord) map[string]*PlanRecord {
		m := make(map[string]*PlanRecord, len(list))
		for i := range list {
			m[list[i].name()] = &list[i]
		}
		return m
	}
	old, now := index(before), index(after)
	names := maps.Clone(old)
	maps.Copy(names, now)
	var out []PlanChange
	for _, name := range sortedKeys(names) {
		switch a, b := old[name], now[name]; {
		case a == nil:
			out = append(out, PlanChange{"views", false, name + ": new"})
		case b == nil:
			out = append(out, PlanChange{"views", true, name + ": gone"})
		default:
			out = append(out, a.compare(b)...)
		}
	}
	return out
}

func (r *PlanRecord) name() string {
	if r.Client == "" {
		return r.View
	}
	return r.View + " for " + r.Client
}

func (r *PlanRecord) compare(now *PlanRecord) (out []PlanChange) {
	say := func(kind string, worse bool, format string, args ...any) {
		out = append(out, PlanChange{kind, worse, r.name() + ": " + fmt.Sprintf(format, args...)})
	}
	calls := func(r *PlanRecord) (list []string) {
		for _, c := range r.Calls {
			list = append(list, c.Call)
		}
		return list
	}
	gone, added := apart(calls(r), calls(now))
	for _, c := range added {
		say("calls", true, "one more upstream call: %s", c)
	}
	for _, c := range gone {
		say("calls", false, "no longer called: %s", c)
	}
	if a, b := r.Bounds.Calls, now.Bounds.Calls; a != b {
		say("calls", b > a, "at most %d calls, not %d", b, a)
	}
	if a, b := r.Bounds.Depth, now.Bounds.Depth; a != b {
		say("depth", b > a, "%d calls one after the other, not %d", b, a)
	}
	gone, added = apart(r.Fields, now.Fields)
	for _, f := range gone {
		say("fields", true, "the field is gone or changed: %s", f)
	}
	for _, f := range added {
		say("fields", false, "the field is new or changed: %s", f)
	}
	return out
}

// apart gives what only one of two lists has, each as often as it has it more.
func apart(a, b []string) (onlyA, onlyB []string) {
	rest := slices.Clone(b)
	for _, s := range a {
		if i := slices.Index(rest, s); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
			continue
		}
		onlyA = append(onlyA, s)
	}
	return onlyA, rest
}
