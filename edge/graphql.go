package edge

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/graphql"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// graphql makes the front door over a graph; nil when there is none, or when it
// can't be made, which is a fault then.
func (b *builder) graphql(g *aggregate.Graph) filter.Func {
	cfg := b.rt.Config.GraphQL
	if cfg == nil || g == nil {
		return nil
	}
	if cfg.Budget < 0 || cfg.Budget > 0 && cfg.Budget < 10*time.Millisecond {
		b.fault("graphql.budget", diag.At("", "%v is too short to be meant", cfg.Budget).WithFix("write a time such as 1s"))
	}
	for _, pattern := range cfg.Documents {
		files, _ := filepath.Glob(pattern) // a pattern that is none is told by New
		b.note(append(files, filepath.Dir(pattern))...)
	}
	d, err := graphql.New(cfg.Config, planner{g, cfg.Budget})
	b.fault("graphql", err)
	if d == nil {
		return nil
	}
	count := b.rt.env.Count
	return func(r *message.Request) (*message.Response, error) {
		p, err := d.Do(r)
		if code, refused := strings.CutPrefix(r.X.Reason, "graphql_"); refused {
			count("graphql", "graphql", code)
		}
		return p, err //nolint:wrapcheck // the client has left
	}
}

// planner is the graph as the GraphQL front door needs it.
type planner struct {
	graph  *aggregate.Graph
	budget time.Duration
}

// SDL is the schema.
func (p planner) SDL() string { return p.graph.SDL() }

// Prepare plans an operation.
func (p planner) Prepare(o *graphql.Operation) (graphql.Runner, []graphql.Fault) {
	op := &aggregate.Operation{Name: o.Name, Mutation: o.Mutation, Selection: selections(o.Selection), Budget: p.budget}
	if op.Name == "" {
		op.Name = "graphql"
	}
	for _, v := range o.Variables {
		op.Variables = append(op.Variables, aggregate.Variable{Name: v.Name, Type: v.Type})
	}
	plan, found := p.graph.Prepare(op)
	if plan != nil {
		return runner{plan}, nil
	}
	var faults []graphql.Fault
	for _, f := range found {
		faults = append(faults, graphql.Fault{At: f.At, Text: f.Text, Fix: f.Fix})
	}
	return nil, faults
}

func selections(list []graphql.Selection) []aggregate.Selection {
	out := make([]aggregate.Selection, 0, len(list))
	for i := range list {
		s := &list[i]
		one := aggregate.Selection{
			Alias: s.Alias, Name: s.Name, On: s.On, Spread: s.On != "", Args: arguments(s.Args, s.At), Sub: selections(s.Sub), At: s.At,
		}
		for _, d := range s.Directives {
			one.Directives = append(one.Directives, aggregate.Directive{Name: d.Name, Args: arguments(d.Args, s.At), At: s.At})
		}
		out = append(out, one)
	}
	return out
}

func arguments(list []graphql.Arg, at int) []aggregate.Arg {
	out := make([]aggregate.Arg, 0, len(list))
	for _, a := range list {
		out = append(out, aggregate.Arg{Name: a.Name, Value: aggregate.Value{JSON: a.JSON, Var: a.Var}, At: at})
	}
	return out
}

// runner runs a plan of the graph.
type runner struct{ plan *aggregate.Plan }

// Vary names the request fields that its sources look at.
func (u runner) Vary() []string { return u.plan.Vary() }

// Run answers for a request.
func (u runner) Run(r *message.Request, vars [][]byte) (graphql.Answer, error) {
	res, err := u.plan.Execute(r, vars)
	if err != nil {
		return nil, err //nolint:wrapcheck // a problem
	}
	return result{res}, nil
}

// result is what a plan gave.
type result struct{ *aggregate.Result }

// Errors are the parts that failed.
func (a result) Errors() []graphql.PartError {
	var out []graphql.PartError
	for _, e := range a.Result.Errors {
		one := graphql.PartError{Code: e.Code}
		for _, p := range e.Path {
			one.Path = append(one.Path, graphql.PathPart{Name: p.Name, Index: p.Index})
		}
		out = append(out, one)
	}
	return out
}

// Data writes the data.
func (a result) Data(out *scan.Output) { a.Result.Data(out) }

// Release gives the run back.
func (a result) Release() { a.Result.Release() }
