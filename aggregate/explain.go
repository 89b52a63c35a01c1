package aggregate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/maru-msa/maru/message"
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
	// NotCalled are calls that other variants of the view make and this one does not.
	NotCalled []string `json:"not_called,omitempty"`
	// Answer is what a run of it gave, when it was run ([Plan.Trace]).
	Answer *Answer `json:"answer,omitempty"`
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
	// Run is what it did in the run that was traced.
	Run *CallRun `json:"run,omitempty"`
}

// Explain tells what a plan does.
func (p *Plan) Explain() Explanation {
	e := Explanation{View: p.Name, Client: p.Client, Bounds: p.bounds, Budget: p.budget.String(), Calls: []Call{}}
	order := p.ordered()
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

// ordered are the fetches as an explanation numbers them: those that others wait
// for come first.
func (p *Plan) ordered() []*fetch {
	order := slices.Clone(p.fetches)
	slices.SortStableFunc(order, func(a, b *fetch) int { return a.depth - b.depth })
	return order
}

// Explain tells what the view does for each kind of client, by their names.
func (v *View) Explain() []Explanation {
	out := make([]Explanation, 0, len(v.plans))
	for _, client := range sortedKeys(v.plans) {
		out = append(out, v.ExplainPlan(v.plans[client]))
	}
	return out
}

// ExplainPlan tells what one plan of the view does, and what other variants call
// besides. p is of [View.Plans] or [View.Plan].
func (v *View) ExplainPlan(p *Plan) Explanation {
	e := p.Explain()
	v.notCalled(p, &e)
	return e
}

// TracePlan is [Plan.Trace] with what other variants call besides.
func (v *View) TracePlan(p *Plan, r *message.Request) (*Explanation, error) {
	e, err := p.Trace(r)
	if err == nil {
		v.notCalled(p, e)
	}
	return e, err
}

func (v *View) notCalled(p *Plan, e *Explanation) {
	called := make(map[*call]bool)
	for _, f := range p.fetches {
		called[f.call] = true
	}
	for _, client := range sortedKeys(v.plans) {
		for _, f := range v.plans[client].ordered() {
			if !called[f.call] {
				called[f.call] = true
				e.NotCalled = append(e.NotCalled, f.call.word())
			}
		}
	}
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

// Text writes the explanation as tables.
func (e *Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.View)
	if e.Client != "" {
		fmt.Fprintf(&b, " for %s", e.Client)
	}
	fmt.Fprintf(&b, ", within %s\n", e.Budget)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "#\tpart\ton failure\tafter\tcalls\tkeys\tcall\n")
	for i := range e.Calls {
		c := &e.Calls[i]
		after := "-"
		if len(c.After) > 0 {
			after = numbers(c.After, ", ")
		}
		keys := "-"
		switch {
		case c.Input:
			keys = "= input"
		case c.Kind != fetchRoot.String():
			keys = fmt.Sprintf("≤%d", c.Keys)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", c.Number, c.Part, c.Class, after, c.Calls, keys, c.Call)
	}
	_ = w.Flush() // a Builder takes everything
	fmt.Fprintf(&b, "calls: at most %d   critical path: %s\n", e.Bounds.Calls, numbers(e.Path, " → "))
	if len(e.NotCalled) > 0 {
		fmt.Fprintf(&b, "not called: %s\n", strings.Join(e.NotCalled, ", "))
	}
	if e.Answer != nil {
		e.ran(&b)
	}
	return b.String()
}

// ran writes what a run did.
func (e *Explanation) ran(b *strings.Builder) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\n#\tbegan\ttook\tcalls\tkeys\tbytes\tstatus\n")
	for i := range e.Calls {
		c, r := &e.Calls[i], e.Calls[i].Run
		status := "ok"
		switch {
		case r.Code != "":
			status = r.Code
		case r.Calls == 0:
			status = "nothing to ask for"
		case r.Shared > 0:
			status = "ok, shared"
		}
		fmt.Fprintf(w, "%d\t%.1f ms\t%.1f ms\t%d\t%d\t%d\t%s\n", c.Number, r.Began, r.Took, r.Calls, r.Keys, r.Bytes, status)
	}
	_ = w.Flush() // a Builder takes everything
	fmt.Fprintf(b, "answer: %d in %.1f ms, %d bytes", e.Answer.Status, e.Answer.Took, e.Answer.Bytes)
	for _, more := range []string{e.Answer.Detail, e.Answer.Partial} {
		if more != "" {
			b.WriteString(", " + more)
		}
	}
	b.WriteString("\n")
}

func numbers(list []int, between string) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, between)
}
