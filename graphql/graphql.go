// Package graphql is the GraphQL front door of the plan engine: it reads requests
// of GraphQL over HTTP, decides whether a document may run at all, and turns it
// into an operation of the engine, which answers from the services.
//
// The flow:
//
//	request ─ read ─► document ─ limits ─ parse ─ validate ─► operation    known ones at load, others kept in a cache
//	                                                              │
//	   variables ─ coerce ─► conditions ─ collect ─► engine.Prepare ─► Runner    a plan for each outcome of @include and @skip
//	                                                              │
//	                 cost ─► Runner.Run ─► data, errors ─► response
//
// Everything that can be refused is refused before the engine calls a service:
// what a document holds (tokens, depth, aliases, fields, roots, directives), what
// it may cost with the variables at hand (lists, cost), and what its plan may need
// (the engine's own bounds).
//
// By default only trusted documents run: those that the configuration names. No
// request ever adds one.
//
// The engine is package aggregate's graph, but the two are siblings: this package
// says what it needs as [Engine] and [Runner], and edge adapts one to the other.
package graphql

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// Engine plans operations over one schema.
type Engine interface {
	// SDL is the schema in GraphQL's language.
	SDL() string
	// Prepare plans an operation, or says what is wrong with it. It calls nothing.
	Prepare(*Operation) (Runner, []Fault)
}

// Runner is a planned operation; any number of requests run it.
type Runner interface {
	// Vary names the request fields that answers depend on.
	Vary() []string
	// Run answers for a request. vars are JSON in the order of
	// [Operation.Variables], nil for one without a value. The error is of the
	// whole request: the client left, or its time is over.
	Run(r *message.Request, vars [][]byte) (Answer, error)
}

// Answer is what an operation gave. It must be released.
type Answer interface {
	// Errors are the parts that failed.
	Errors() []PartError
	// Data writes the data, an object or null; what it writes dies with Release.
	Data(*scan.Output)
	// Release gives back what the run used.
	Release()
}

// Operation is a document's operation as an engine takes it: fragments are
// inlined, fields of one name are merged, conditions are decided.
type Operation struct {
	Name      string
	Mutation  bool
	Selection []Selection
	// Variables are the values that differ by request, of which the engine knows
	// the names only.
	Variables []Variable
}

// Variable is one value with its type as GraphQL writes it.
type Variable struct{ Name, Type string }

// Selection is one field, or with On what to select if the object is of that type.
type Selection struct {
	Alias, Name string
	On          string
	Args        []Arg
	Directives  []Directive
	Sub         []Selection
	// At is what a [Fault] tells its place by.
	At int
}

// Arg is an argument: a literal as JSON, or the name of one of the operation's
// variables.
type Arg struct{ Name, JSON, Var string }

// Directive is one of those that shape a list: @sort, @limit.
type Directive struct {
	Name string
	Args []Arg
}

// Fault is what an engine finds wrong with an operation.
type Fault struct {
	// At is the one of the selection.
	At        int
	Text, Fix string
}

// PartError is one part of an answer that failed.
type PartError struct {
	Path []PathPart
	// Code is one word, such as "timeout".
	Code string
}

// PathPart is a member's name, or an index when Name is "".
type PathPart struct {
	Name  string
	Index int
}

// Door answers requests. It is made once for a configuration and serves any number
// of them at once.
type Door struct {
	cfg    Config
	engine Engine
	schema *ast.Schema
	rules  []core.Rule
	// members is the mask of requests.
	members *members
	known   map[string]*document // trusted, by every name they have
	cache   cache
}

// New loads the schema and the trusted documents, or says everything that is wrong
// with them as field errors of package diag.
func New(cfg Config, engine Engine) (*Door, error) { //nolint:gocritic // once at load
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	schema, err := loadSchema(engine.SDL())
	if err != nil {
		return nil, err
	}
	masks, err := requestMembers()
	if err != nil {
		return nil, err
	}
	d := &Door{
		cfg: cfg, engine: engine, schema: schema, members: masks, rules: rulesFor(cfg.Introspection == on),
		known: make(map[string]*document), cache: cache{max: maxCached, maxBytes: maxCachedBytes},
	}
	if err := d.loadDocuments(); err != nil {
		return nil, err
	}
	return d, nil
}

// loadSchema reads what an engine says of itself.
func loadSchema(sdl string) (*ast.Schema, error) {
	schema, err := validator.LoadSchema(validator.Prelude, &ast.Source{Name: "schema", Input: sdl})
	if err == nil && (schema.Query == nil || len(schema.Query.Fields) == 0) {
		err = errors.New("there is nothing to query")
	}
	if err == nil {
		return schema, nil
	}
	text := err.Error()
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		text = e.Message
	}
	return nil, diag.At("", "the graph is no GraphQL schema: %s", text).
		WithFix("GraphQL needs a type with a key and a call, or a root under graph.Query; each type needs a field")
}

// Do answers a request. What is wrong with it is part of the answer, in GraphQL's
// form; the error is nil but for a client that has left.
func (d *Door) Do(r *message.Request) (*message.Response, error) {
	media, acceptable := d.negotiate(&r.Header)
	w := &writer{door: d, media: media}
	if r.Method == "OPTIONS" {
		resp := message.NewResponse(204)
		resp.Header.AppendID(message.Allow, "GET, POST")
		return resp, nil
	}
	if !acceptable {
		return w.refuse(r, fixed(406, "NOT_ACCEPTABLE", "the answer is application/graphql-response+json or application/json")), nil
	}
	q, no := d.read(r)
	if no != nil {
		return w.refuse(r, no), nil
	}
	op, no := d.operation(&q)
	if no == nil && op.def.Operation == ast.Mutation && r.Method != "POST" {
		no = fixed(405, "METHOD_NOT_ALLOWED", "a mutation must come by POST")
		no.allow = "POST"
	}
	if no != nil {
		return w.refuse(r, no), nil
	}
	vars, no := op.coerce(q.variables)
	if no != nil {
		return w.refuse(r, no), nil
	}
	p, no := op.plan(vars)
	if no == nil {
		no = p.charge(vars)
	}
	if no != nil {
		return w.refuse(r, no), nil
	}
	return w.run(r, p, vars)
}

// operation finds the operation that a request means.
func (d *Door) operation(q *request) (*operation, *refusal) {
	doc, no := d.document(q)
	if no != nil {
		return nil, no
	}
	if len(doc.ops) == 0 {
		return nil, invalid("OPERATION_RESOLUTION_FAILURE", "the document has no operation")
	}
	if q.operationName == "" {
		if len(doc.ops) != 1 {
			return nil, invalid("OPERATION_RESOLUTION_FAILURE", "the document has several operations: say which by operationName")
		}
		return doc.ops[0], nil
	}
	for _, op := range doc.ops {
		if op.def.Name == q.operationName {
			return op, nil
		}
	}
	return nil, invalid("OPERATION_RESOLUTION_FAILURE", "the document has no operation of the name that operationName has")
}

// document finds the document that a request names or brings.
func (d *Door) document(q *request) (*document, *refusal) {
	if q.id != "" {
		doc := d.known[q.id]
		switch {
		case doc == nil:
			return nil, fixed(404, "DOCUMENT_NOT_FOUND", "no document has this id; documents are made known by the configuration only")
		case q.query != "" && q.query != doc.text:
			return nil, badRequest("the query is not the text of the document with this id")
		}
		return doc, nil
	}
	if doc := d.known[idOf(q.query)]; doc != nil {
		return doc, nil
	}
	if d.cfg.Trusted == only {
		return nil, fixed(403, "DOCUMENT_NOT_TRUSTED", "only documents that the configuration knows are answered")
	}
	return d.cache.get(q.query, func() (*document, *refusal) { return d.compile("", q.query) })
}

// idOf is the id of a text: "sha256:" and 64 hexadecimal digits.
func idOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return sha256Prefix + hex.EncodeToString(sum[:])
}

const sha256Prefix = "sha256:"

// Documents gives the ids of the trusted documents, "sha256:…", and how many
// operations each has.
func (d *Door) Documents() map[string]int {
	out := make(map[string]int)
	for id, doc := range d.known {
		if strings.HasPrefix(id, sha256Prefix) {
			out[id] = len(doc.ops)
		}
	}
	return out
}
