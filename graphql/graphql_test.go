package graphql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/maru-msa/maru/graphql"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

const sdl = `
scalar JSON
directive @sort(by: String!) on FIELD
directive @limit(n: Int!) on FIELD
enum Tier { GOLD SILVER }
input Range { from: Int! = 1, to: Int, tags: [String!] }
type Query {
  member(id: ID!): Member
  members(ids: [ID!]!): [Member]
  top(first: Int = 10, tier: Tier, range: Range, any: JSON): [Auction]
  found: [Found]
  ratio(of: Float): Float
}
type Mutation { bid(id: ID!, price: Int!): Auction }
type Member { id: ID! name: String auctions(first: Int): [Auction] friend: Member }
type Auction { id: ID! total: Float owner: Member bids: [Bid] }
type Bid { id: ID! price: Int }
union Found = Member | Auction
`

// recorder is an engine that answers with fixed data and remembers what it was asked.
type recorder struct {
	sdl    string
	data   string
	errors []graphql.PartError
	refuse []graphql.Fault
	fail   error
	vary   []string

	mu       sync.Mutex
	prepared []string
	ran      []string
	released int
}

func (e *recorder) SDL() string {
	if e.sdl != "" {
		return e.sdl
	}
	return sdl
}

func (e *recorder) Prepare(o *graphql.Operation) (graphql.Runner, []graphql.Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prepared = append(e.prepared, written(o))
	if e.refuse != nil {
		return nil, e.refuse
	}
	return e, nil
}

func (e *recorder) Run(_ *message.Request, vars [][]byte) (graphql.Answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []string
	for _, v := range vars {
		list = append(list, string(v))
	}
	e.ran = append(e.ran, strings.Join(list, " "))
	if e.fail != nil {
		return nil, e.fail
	}
	return e, nil
}

func (e *recorder) Vary() []string { return e.vary }

func (e *recorder) Errors() []graphql.PartError { return e.errors }

func (e *recorder) Data(out *scan.Output) {
	if e.data == "" {
		out.Literal("{}")
		return
	}
	out.Span([]byte(e.data))
}

func (e *recorder) Release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.released++
}

// asked forgets and gives what was planned and run.
func (e *recorder) asked() (prepared, ran []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	prepared, ran = e.prepared, e.ran
	e.prepared, e.ran = nil, nil
	return prepared, ran
}

// written is an operation as text, for comparison.
func written(o *graphql.Operation) string {
	var b strings.Builder
	if o.Mutation {
		b.WriteString("mutation ")
	}
	for _, v := range o.Variables {
		fmt.Fprintf(&b, "$%s:%s ", v.Name, v.Type)
	}
	writeSelections(&b, o.Selection)
	return b.String()
}

func writeSelections(b *strings.Builder, list []graphql.Selection) {
	b.WriteString("{")
	for i := range list {
		s := &list[i]
		if i > 0 {
			b.WriteString(" ")
		}
		if s.Alias != "" {
			b.WriteString(s.Alias + ":")
		}
		b.WriteString(s.Name)
		if s.On != "" {
			b.WriteString("on " + s.On)
		}
		writeArgs(b, s.Args)
		for _, d := range s.Directives {
			b.WriteString("@" + d.Name)
			writeArgs(b, d.Args)
		}
		if len(s.Sub) > 0 {
			writeSelections(b, s.Sub)
		}
	}
	b.WriteString("}")
}

func writeArgs(b *strings.Builder, args []graphql.Arg) {
	for i, a := range args {
		b.WriteString([]string{"(", ","}[min(i, 1)] + a.Name + ":" + a.JSON)
		if a.Var != "" {
			b.WriteString("$" + a.Var)
		}
	}
	if len(args) > 0 {
		b.WriteString(")")
	}
}

// open is a door that answers every document within the limits.
func open() graphql.Config { return graphql.Config{Trusted: "off", Introspection: "on"} }

func newDoor(t testing.TB, cfg graphql.Config, e *recorder) *graphql.Door { //nolint:gocritic // a test
	t.Helper()
	d, err := graphql.New(cfg, e)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// answer is a response, read.
type answer struct {
	status int
	header map[string]string
	body   string
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Locations  []struct{ Line, Column int }
		Path       []any
		Extensions struct{ Code, Rule string }
	}
}

// code is that of the first error, "" without one.
func (a *answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Extensions.Code
}

// call is a request to a door.
type call struct {
	method, query, id string
	accept, media     string
	body              string
}

func (c call) do(t testing.TB, d *graphql.Door) answer {
	t.Helper()
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Path, r.Query = c.method, "/graphql", c.query
	if c.id != "" {
		r.X.AddParam("document", c.id)
	}
	if c.body != "" {
		r.Body, r.Length = message.Bytes([]byte(c.body)), message.Unknown
	}
	for name, value := range map[string]string{"Accept": c.accept, "Content-Type": c.media} {
		if value != "" {
			if err := r.Header.Add(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := d.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	text, err := message.ReadAll(nil, p.Body, 1<<22)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: p.Status, body: string(text), header: make(map[string]string)}
	for _, f := range p.Header.Fields() {
		a.header[strings.ToLower(f.Name)] = f.Value
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	return a
}

// post sends a document with variables (JSON, or "").
func post(t testing.TB, d *graphql.Door, query, variables string) answer {
	t.Helper()
	body := map[string]json.RawMessage{"query": quoted(query)}
	if variables != "" {
		body["variables"] = json.RawMessage(variables)
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return call{method: "POST", media: "application/json", body: string(text)}.do(t, d)
}

func quoted(s string) []byte { return scan.AppendText(nil, s) }
