package aggregate

import (
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/scan"
)

// Operation is a query that no view holds, such as a GraphQL document's. Who made
// it has checked it against the schema; what it may cost is checked here.
type Operation struct {
	// Name is for logs and metrics.
	Name string
	// Mutation runs the roots one after the other, in written order.
	Mutation  bool
	Selection []Selection
	Fragments map[string][]Selection
	// Variables it declares.
	Variables []Variable
	// Budget is the time for the whole answer; 0 means one second.
	Budget time.Duration
}

// Variable is one declared variable with its type as GraphQL writes it.
type Variable struct{ Name, Type string }

// Fault is what is wrong with an operation.
type Fault struct {
	// At is the byte offset that the [Selection] has.
	At        int
	Text, Fix string
}

// Prepare compiles an operation: the same plan as an equal view's, with answers as
// GraphQL has them (nullability, coercion, an error with its path for each part).
func (g *Graph) Prepare(o *Operation) (*Plan, []Fault) {
	op := &operation{name: o.Name, mutation: o.Mutation, graphql: true, sel: o.Selection, fragments: o.Fragments}
	for _, v := range o.Variables {
		typ, _ := parseTypeRef(v.Type) // of input types only the name matters here
		op.inputs = append(op.inputs, input{name: v.Name, typ: typ, from: fromCaller})
	}
	p, found := g.compile(op)
	if p != nil {
		if p.budget, p.grace = o.Budget, defaultGrace; p.budget == 0 {
			p.budget = time.Second
		}
		return p, nil
	}
	var out []Fault
	for _, f := range found {
		if !f.warn {
			out = append(out, Fault{At: max(f.at, 0), Text: f.text, Fix: f.fix})
		}
	}
	return nil, out
}

// Result is what an operation gave. It must be released.
type Result struct {
	// Errors are the parts that failed.
	Errors []PartError

	x    *run
	null bool
}

// PartError is one part that failed.
type PartError struct {
	// Path holds names (string) and indexes (int) of the answer.
	Path []PathPart
	// Code is a word of the closed set: "timeout", "failed", "mismatch", …
	Code string
}

// PathPart is a name, or an index when Name is "".
type PathPart struct {
	Name  string
	Index int
}

// Execute runs a prepared operation. vars are the variables' JSON in the order of
// [Operation.Variables], nil for one without a value. The error is of the whole
// request: the client left, or its time is over.
func (p *Plan) Execute(r *message.Request, vars [][]byte) (*Result, error) {
	x := p.newRun(r)
	x.in = append(x.in, vars...)
	if err := x.execute(); err != nil {
		x.release()
		return nil, problem.Of(err)
	}
	x.out.Byte('{')
	_, ok := x.members(p.root, 0, elem{}, true)
	x.noteFlaws()
	x.out.Byte('}')
	if x.cause != nil {
		r.X.Cause = x.cause
	}
	if x.out.Err() != nil {
		x.release()
		return nil, failure{code: codeLimit}.problem("")
	}
	res := &Result{x: x, null: !ok}
	for _, n := range x.notes {
		e := PartError{Code: n.code.String()}
		for _, s := range n.path {
			e.Path = append(e.Path, PathPart{s.name, s.index})
		}
		res.Errors = append(res.Errors, e)
	}
	return res, nil
}

// Data writes the data into out: an object, or null.
func (r *Result) Data(out *scan.Output) {
	if r.null {
		out.Literal("null")
		return
	}
	for _, s := range r.x.out.Segments(nil) {
		out.Span(s)
	}
}

// Release gives back what the run used; spans of its data die with it.
func (r *Result) Release() { r.x.release() }

// SDL is the graph's schema in GraphQL's language.
func (g *Graph) SDL() string {
	var b strings.Builder
	b.WriteString("scalar JSON\n\nscalar Long\n\n")
	b.WriteString("directive @sort(by: String!) on FIELD\n\ndirective @limit(n: Int!) on FIELD\n\n")
	writeRoots(&b, "Query", g.queries)
	writeRoots(&b, "Mutation", g.mutations)
	for _, name := range sortedKeys(g.types) {
		t := g.types[name]
		if len(t.union) > 0 {
			var members []string
			for _, m := range t.union {
				members = append(members, m.name)
			}
			b.WriteString("union " + name + " = " + strings.Join(members, " | ") + "\n\n")
			continue
		}
		b.WriteString("type " + name + " {\n")
		for _, field := range t.order {
			f := t.fields[field]
			b.WriteString("  " + field + fieldArgs(f) + ": " + f.shown(slices.Contains(t.key, field)).String() + "\n")
		}
		b.WriteString("}\n\n")
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// shown is a field's type as GraphQL has it; a key without one is an ID.
func (f *field) shown(key bool) typeRef {
	typ := f.typ
	if key && typ.name == "JSON" && f.link == nil {
		typ.name = "ID"
	}
	return typ
}

// fieldArgs are the arguments of a link: those of its call, and first and skip of
// lists.
func fieldArgs(f *field) string {
	if f.link == nil && !f.typ.list {
		return ""
	}
	args := make(map[string]string)
	if f.typ.list {
		args["first"], args["skip"] = "Int", "Int"
	}
	if f.link != nil {
		keys := map[string]bool{"keys": true, "key": true}
		for _, a := range f.link.args {
			keys[a.name] = true
		}
		f.link.call.variables(func(v *variable) {
			if keys[v.name] || args[v.name] != "" {
				return
			}
			switch {
			case !v.hasDef && !v.optional:
				args[v.name] = "String!"
			case v.hasDef && jsonNumber(v.def):
				args[v.name] = "Int"
			default:
				args[v.name] = "String"
			}
		})
	}
	return writeArgs(args)
}

func writeArgs(args map[string]string) string {
	if len(args) == 0 {
		return ""
	}
	var list []string
	for _, name := range sortedKeys(args) {
		list = append(list, name+": "+args[name])
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// writeRoots writes a root type, unless it has nothing in it.
func writeRoots(b *strings.Builder, typ string, roots map[string]*root) {
	if len(roots) == 0 {
		return
	}
	b.WriteString("type " + typ + " {\n")
	for _, name := range sortedKeys(roots) {
		r := roots[name]
		args := make(map[string]string)
		for arg, a := range r.args { //nolint:gocritic // once at load
			args[arg] = a.typ.String()
			if a.hasDef {
				args[arg] += " = " + a.def
			}
		}
		b.WriteString("  " + name + writeArgs(args) + ": " + r.typ.String() + "\n")
	}
	b.WriteString("}\n\n")
}
