// Package aggregate answers one request from several services. A view (a saved
// query, written in the file) and a GraphQL operation are two ways of writing the
// same thing, and both are compiled ahead of time into a [Plan].
//
// The flow:
//
//	Config ─ Compile ─► Graph ─ View / Plan ─► Plan          at load; all faults at once, nothing is called
//	                                            │
//	Plan.Run:  inputs ─► fetch ─► pair ─► lay out ─► gather ─► fetch … ─► shape
//	                     one JSON pass a body,      distinct keys of all parents,
//	                     spans, nothing decoded     sent once
//
// A fetch calls a source; a level is a place in the answer where its elements are
// laid out in rows, one row for each element of the level above. A link is a join,
// never a loop: its keys are gathered from the whole level above, sent in as few
// calls as the source takes, and paired back by key. There are no waves: each
// fetch waits for just what it needs, and whoever finishes a node starts what has
// become ready and goes on with one of them himself.
//
// At the end the shape copies spans of the bodies between literals that were
// made at load. Numbers and strings leave as they came. A part that failed gets
// what its policy says (required, null, default, stale, omit), and the answer
// tells so.
//
// Who owns what: a [Graph] and its plans are immutable. All memory of one run
// (bodies, tapes, rows, output) belongs to the run, comes from a pool of the plan,
// and goes back when the response is released.
package aggregate

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// Caller calls one service with its filters. The response must be released; an
// error is a *problem.Error for anything that a client should understand.
type Caller func(*message.Request) (*message.Response, error)

// Env is what aggregate may use of the house.
type Env struct {
	// Service gives a service by name, nil when there is none.
	Service func(name string) Caller
	// Whole tells that clients may ask for everything in the graph, so that no type of
	// it is unused.
	Whole bool
	// ReadFile gives the files that contracts of gRPC sources name; nil has none.
	ReadFile func(name string) ([]byte, error)
	// Log is for operators; nil discards.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Crew is how many goroutines that make calls wait for others when they are
	// through; 0 lets each end.
	Crew int
	// Count adds 1 to a counter of parts by view and code; nil counts nothing.
	Count func(view, code string)
}

// Compile resolves a Config and its views, or says everything that is wrong with
// them as field errors of package diag. It reads contracts and calls nothing. views
// are by route: "GET /home/{id}".
func Compile(cfg Config, views map[string]ViewConfig, env Env) (*Graph, error) { //nolint:gocritic // once at load
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Count == nil {
		env.Count = func(string, string) {}
	}
	b := &builder{cfg: &cfg, called: make(map[string]bool), g: &Graph{
		env: env, limits: cfg.Limits.withDefaults(), types: make(map[string]*graphType),
		sources: make(map[string]*source), fragments: make(map[string][]Selection),
		clients: cfg.Clients, views: make(map[string]*View),
	}}
	b.g.crew = newCrew(b.g, env.Crew)
	b.sources()
	b.types()
	b.roots()
	for _, name := range slices.Sorted(maps.Keys(cfg.Fragments)) {
		sel, err := ParseSelection(cfg.Fragments[name])
		if err != nil {
			b.f.at("fragments."+name, "%v", err).WithOffset(Offset(err)).WithCode("syntax").
				WithFix("write a selection such as: name points { balance }")
		}
		b.g.fragments[name] = sel
	}
	b.clients()
	if len(b.f.list) == 0 { // a graph with faults would only repeat them in each view
		for _, name := range slices.Sorted(maps.Keys(views)) {
			v := views[name]
			b.view(name, &v)
		}
	}
	if err := b.refused(); err != nil {
		return nil, err
	}
	b.unused()
	return b.g, b.f.join()
}

// refused gives all findings when one of them is more than a warning.
func (b *builder) refused() error {
	err := b.f.join()
	for _, e := range diag.Flatten(err) {
		if !e.Warn {
			return err
		}
	}
	return nil
}

func (b *builder) clients() {
	defaults := 0
	for i, c := range b.cfg.Clients {
		at := "clients." + c.Name
		if c.Default {
			defaults++
		}
		if c.Header == "" && c.Query == "" && !c.Default {
			b.f.at(at, "nothing tells this client").WithFix("write header: \"Name: value\", query: name=value, or default: true")
		}
		if slices.IndexFunc(b.cfg.Clients, func(o ClientConfig) bool { return o.Name == c.Name }) != i {
			b.f.at(at, "the client %q is here twice", c.Name).WithFix("remove one of the two")
		}
	}
	if len(b.cfg.Clients) > 0 && defaults != 1 {
		b.f.at("clients", "%d clients are the default; one must be", defaults).WithFix("write default: true at one of them")
	}
}

// Views are the compiled views by route.
func (g *Graph) Views() map[string]*View { return g.views }
