package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explanation is a plan for people and programs: its calls in order, what each
// waits for, and what the whole may cost.
type Explanation struct {
	View   string `json:"view"`
	Client string `json:"client,omitempty"`
	Calls  []Call `json:"calls"`
	Bounds Bounds `json:"bounds"`
	// Path is the critical path: the longest chain of calls, by their number.
	Path []int `json:"critical_path"`
	// Budget is the time for the whole answer.
	Budget string `json:"budget"`
}

// Call is one fetch of a plan.
type Call struct {
	// Number counts from 1; After are the numbers of those it waits for.
	Number int   `json:"number"`
	After  []int `json:"after,omitempty"`
	// Part is where its answer goes, Call what is called, Kind how keys become calls.
	Part string `json:"part"`
	Call string `json:"call"`
	Kind string `json:"kind"`
	// Class is what happens when it fails: "required", "null", "default []", …
	Class string `json:"class"`
	// Calls and Keys are the most it makes and takes.
	Calls int `json:"max_calls"`
	Keys  int `json:"max_keys"`
	// Input tells that its keys are known from the request.
	Input bool `json:"keys_from_input,omitempty"`
	// Made and Failed count the calls since the plan was compiled; P50 and P95 are
	// of those that went well, "" before any.
	Made   uint64  `json:"made"`
	Failed uint64  `json:"failed"`
	P50    float64 `json:"p50_ms,omitempty"`
	P95    float64 `json:"p95_ms,omitempty"`
}

// Explain tells what a plan does.
func (p *Plan) Explain() Explanation {
	e := Explanation{View: p.Name, Client: p.Client, Bounds: p.bounds, Budget: p.budget.String(), Calls: []Call{}}
	order := slices.Clone(p.fetches)
	slices.SortStableFunc(order, func(a, b *fetch) int { return a.depth - b.depth })
	number := make(map[*fetch]int)
	for i, f := range order {
		number[f] = i + 1
	}
	for _, f := range order {
		c := Call{
			Number: number[f], Call: f.call.word(), Kind: f.kind.String(), Calls: f.maxCalls, Keys: f.maxKeys,
			Made: f.stats.calls.Load(), Failed: f.stats.failures.Load(),
			P50: ms(f.stats.quantile(0.5)), P95: ms(f.stats.quantile(0.95)),
		}
		var parts []string
		for _, l := range f.feeds {
			parts = append(parts, l.name)
			c.Class = l.policy.String()
		}
		c.Part = strings.Join(parts, ", ")
		for _, w := range f.needs() {
			if n := number[w]; !slices.Contains(c.After, n) {
				c.After = append(c.After, n)
			}
		}
		slices.Sort(c.After)
		c.Input = len(f.gathers) > 0 && f.gathers[0].given != nil
		e.Calls = append(e.Calls, c)
	}
	e.Path = critical(e.Calls)
	return e
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// needs are the fetches that must be done before f.
func (f *fetch) needs() []*fetch {
	var out []*fetch
	for _, l := range f.waits {
		for ; l != nil; l = l.parent {
			if l.fetch != nil {
				out = append(out, l.fetch)
				break
			}
		}
	}
	if f.after != nil {
		out = append(out, f.after)
	}
	return out
}

// critical is the longest chain, by what was measured, else by its length.
func critical(calls []Call) []int {
	type way struct {
		cost float64
		path []int
	}
	best := make(map[int]way)
	var longest way
	for _, c := range calls { // those before come first
		var before way
		for _, n := range c.After {
			if best[n].cost > before.cost {
				before = best[n]
			}
		}
		w := way{before.cost + max(c.P50, 0.001), append(slices.Clone(before.path), c.Number)}
		best[c.Number] = w
		if w.cost > longest.cost {
			longest = w
		}
	}
	return longest.path
}

// Text writes the explanation as a table.
func (e *Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.View)
	if e.Client != "" {
		fmt.Fprintf(&b, " for %s", e.Client)
	}
	fmt.Fprintf(&b, ", within %s\n", e.Budget)
	fmt.Fprintf(&b, "%3s  %-34s %-12s %-7s %5s %6s  %s\n", "#", "part", "on failure", "after", "calls", "keys", "call")
	for _, c := range e.Calls {
		after := "-"
		if len(c.After) > 0 {
			after = strings.Trim(strings.ReplaceAll(fmt.Sprint(c.After), " ", ","), "[]")
		}
		keys := "-"
		switch {
		case c.Input:
			keys = "input"
		case c.Kind != "root":
			keys = fmt.Sprintf("≤%d", c.Keys)
		}
		fmt.Fprintf(&b, "%3d  %-34s %-12s %-7s %5d %6s  %s\n", c.Number, c.Part, c.Class, after, c.Calls, keys, c.Call)
	}
	fmt.Fprintf(&b, "calls: at most %d   critical path: %s\n", e.Bounds.Calls, strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Path), " ", " → "), "[]"))
	return b.String()
}
