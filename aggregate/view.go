package aggregate

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// View is one composed answer with its variants by client.
type View struct {
	// Route is its key in the file: "GET /home/{id}".
	Route string

	graph   *Graph
	cfg     ViewConfig
	inputs  []input
	parts   map[string]policy
	sel     map[string][]Selection
	plans   map[string]*Plan
	noMask  bool
	mu      sync.Mutex
	masked  map[string]*Plan
	vary    string
	maskAge []string // of masked, the oldest first
}

// maxMasked is how many plans of ?fields= a view keeps.
const maxMasked = 100

// Plans are the compiled variants by client; "" is for all.
func (v *View) Plans() map[string]*Plan { return v.plans }

// view compiles one view for all its clients.
func (b *builder) view(route string, cfg *ViewConfig) {
	at := "views." + route
	v := &View{
		Route: route, graph: b.g, cfg: *cfg, parts: make(map[string]policy), sel: make(map[string][]Selection),
		plans: make(map[string]*Plan), masked: make(map[string]*Plan), noMask: cfg.Mask == "off",
	}
	var f faults
	v.inputs = viewInputs(route, cfg, &f)
	for _, name := range sortedKeys(cfg.Parts) {
		p, err := parsePolicy(cfg.Parts[name])
		if err != nil {
			f.add(diag.Under("parts."+name, err))
		}
		v.parts[name] = p
	}
	if err := v.check(cfg, &f); err != nil {
		b.f.add(diag.Under(at, f.join()))
		return
	}
	b.f.add(diag.Under(at, f.join()))
	if len(f.list) > 0 {
		return
	}
	if len(cfg.Merge) > 0 {
		b.mergeView(v, at)
		return
	}
	b.selections(v, at)
	v.vary = b.varyOf(v)
	b.g.views[route] = v
}

var errView = errors.New("the view can't be compiled")

// check finds what is wrong with a view besides its selections.
func (v *View) check(cfg *ViewConfig, f *faults) error {
	switch {
	case len(cfg.Merge) > 0 && len(cfg.Select) > 0:
		f.at("merge", "a view has either select: or merge:").WithFix("remove one of the two")
		return errView
	case len(cfg.Merge) == 0 && len(cfg.Select) == 0:
		f.at("", "the view selects nothing").WithFix("write select: or merge:")
		return errView
	}
	if cfg.Budget < 0 || cfg.Budget > 0 && cfg.Budget < 10*time.Millisecond {
		f.at("budget", "%v is too short to be meant", cfg.Budget).WithFix("write a time such as 400ms")
	}
	if !slices.Contains([]string{"", "header", "body", "refuse"}, cfg.Partial) {
		f.at("partial", "%q is not one of header, body and refuse", cfg.Partial).WithFix("write header, body or refuse")
	}
	if !slices.Contains([]string{"", "off"}, cfg.Mask) {
		f.at("mask", "%q is not off", cfg.Mask).WithFix("write off, or leave it out")
	}
	if !slices.Contains([]string{"", "order"}, cfg.Conflict) {
		f.at("conflict", "%q is not order", cfg.Conflict).WithFix("write order, or leave it out")
	}
	return nil
}

// selections parses and compiles the variants.
func (b *builder) selections(v *View, at string) {
	for _, client := range sortedKeys(v.cfg.Select) {
		path := at + ".select"
		if client != "" {
			path += "." + client
			if !slices.ContainsFunc(b.g.clients, func(c ClientConfig) bool { return c.Name == client }) {
				b.f.at(path, "there is no client %q", client).WithFix("name one of clients:")
			}
		}
		b.variant(v, at, path, client)
	}
	if len(v.plans) == len(v.cfg.Select) {
		b.unknownParts(v, at)
	}
	if _, all := v.cfg.Select[""]; !all {
		for _, c := range b.g.clients {
			if c.Default && v.sel[c.Name] == nil && len(v.sel) > 0 {
				b.f.at(at+".select", "there is no selection for the client %s, which is the default", c.Name).
					WithFix("write one for it, or let another client be the default")
			}
		}
	}
}

// variant parses and compiles the selection of one client.
func (b *builder) variant(v *View, at, path, client string) {
	sel, err := ParseSelection(v.cfg.Select[client])
	if err != nil {
		b.f.at(path, "%v", err).WithOffset(Offset(err)).WithCode("syntax").
			WithFix("write a selection such as: name points { balance }")
		return
	}
	v.sel[client] = sel
	plan, found := b.g.compile(v.operation(client, sel))
	for _, one := range found {
		e := diag.At(path, "%s", one.text)
		if one.at >= 0 {
			e.Offset = one.at
		} else {
			e.Path = at
		}
		e.Fix, e.Example, e.Warn = one.fix, one.example, one.warn
		if e.Fix == "" {
			e.Fix = "change it, or leave it out"
		}
		b.f.add(e)
	}
	if plan != nil {
		v.settle(plan)
		v.plans[client] = plan
	}
}

func (v *View) operation(client string, sel []Selection) *operation {
	return &operation{name: v.Route, client: client, sel: sel, inputs: v.inputs, parts: v.parts}
}

// unknownParts finds policies that no variant has a part for.
func (b *builder) unknownParts(v *View, at string) {
	known := make(map[string]bool)
	for _, p := range v.plans {
		for _, l := range p.levels[1:] {
			known[l.name] = true
		}
	}
	for _, part := range sortedKeys(v.parts) {
		if !known[part] {
			b.f.at(at+".parts."+part, "there is no part %q", part).WithFix("%s", nearest(part, maps.Keys(known)))
		}
	}
}

// settle gives a plan what the view says besides the selection.
func (v *View) settle(p *Plan) {
	p.budget, p.grace = v.cfg.Budget, defaultGrace
	if p.budget == 0 {
		p.budget = time.Second
	}
	if v.cfg.Grace != nil {
		p.grace = *v.cfg.Grace
	}
	p.partial = map[string]partialMode{"": partialHeader, "header": partialHeader, "body": partialBody, "refuse": partialRefuse}[v.cfg.Partial]
}

const defaultGrace = 20 * time.Millisecond

// parsePolicy reads "required", "null", "omit", "default JSON" or "stale 10m".
func parsePolicy(text string) (policy, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "required", "null", "omit":
		if rest != "" {
			return policy{}, diag.At("", "nothing follows %q", word).WithFix("write %s alone", word)
		}
		return policy{kind: map[string]policyKind{"required": policyRequired, "null": policyNull, "omit": policyOmit}[word]}, nil
	case "default":
		if !json.Valid([]byte(rest)) {
			return policy{}, diag.At("", "%q is not JSON", rest).WithFix("write a value such as default []")
		}
		return policy{kind: policyDefault, def: []byte(rest)}, nil
	case "stale":
		age, err := time.ParseDuration(rest)
		if err != nil || age <= 0 {
			return policy{}, diag.At("", "%q is not an age", rest).WithFix("write one such as stale 10m")
		}
		return policy{kind: policyStale, age: age}, nil
	}
	return policy{}, diag.At("", "%q is not a policy", text).WithFix("write required, null, omit, default JSON or stale AGE")
}

// varyOf is what the answer depends on besides its URL.
func (b *builder) varyOf(v *View) string {
	names := make(map[string]bool)
	if len(v.sel) > 1 || v.cfg.Select[""] == "" {
		for _, c := range b.g.clients {
			if name, _, ok := strings.Cut(c.Header, ":"); ok {
				names[strings.ToLower(strings.TrimSpace(name))] = true
			}
		}
	}
	for _, in := range v.inputs {
		if in.from == fromHeader {
			names[strings.ToLower(in.key)] = true
		}
	}
	for _, p := range v.plans {
		for _, name := range p.Vary() {
			names[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// Vary names, in lower case and sorted, the request fields that the answer depends
// on because a source declares them.
func (p *Plan) Vary() []string {
	names := make(map[string]bool)
	for _, f := range p.fetches {
		if f.source.cfg.Vary == nil {
			continue
		}
		for _, name := range *f.source.cfg.Vary {
			names[strings.ToLower(name)] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// client is the name of the variant for a request.
func (v *View) client(r *message.Request) string {
	if _, all := v.plans[""]; all {
		return ""
	}
	def := ""
	for i := range v.graph.clients {
		c := &v.graph.clients[i]
		if c.Default {
			def = c.Name
		}
		if name, value, ok := strings.Cut(c.Header, ":"); ok {
			if r.Header.Get(strings.TrimSpace(name)) == strings.TrimSpace(value) {
				return c.Name
			}
		}
		if name, value, ok := strings.Cut(c.Query, "="); ok {
			if got, has, _ := queryValue(r.Query, name); has && got == value {
				return c.Name
			}
		}
	}
	return def
}

// Do answers a request that the view's route took.
func (v *View) Do(r *message.Request) (*message.Response, error) {
	p, err := v.Plan(r)
	if err != nil {
		return nil, err
	}
	resp, err := p.Run(r)
	if err == nil && v.vary != "" {
		resp.Header.SetID(message.Vary, v.vary)
	}
	return resp, err
}

// Plan is the plan for a request: that of its client, masked by its ?fields=.
func (v *View) Plan(r *message.Request) (*Plan, error) {
	name := v.client(r)
	p := v.plans[name]
	if p == nil {
		for i := range v.graph.clients {
			if v.graph.clients[i].Default {
				p = v.plans[v.graph.clients[i].Name]
			}
		}
	}
	if p == nil {
		return nil, problem.New(400, "client", "this view has no variant for the client "+name)
	}
	if !v.noMask && r.Query != "" {
		fields, ok, err := queryValue(r.Query, "fields")
		if err != nil {
			return nil, problem.New(400, "fields", "fields is not properly encoded")
		}
		if ok {
			return v.mask(p, fields)
		}
	}
	return p, nil
}

// Run executes the plan for a request and gives its answer, which the caller must
// release. The error is a *problem.Error.
func (p *Plan) Run(r *message.Request) (*message.Response, error) {
	x := p.newRun(r)
	var err error
	if x.in, err = readInputs(p.inputs, r, x.in); err != nil {
		x.release()
		return nil, err
	}
	resp, err := x.respondAll()
	if err != nil {
		x.release()
		return nil, err
	}
	return resp, nil
}

// respondAll makes the calls and the response.
func (x *run) respondAll() (*message.Response, error) {
	if err := x.execute(); err != nil {
		return nil, problem.Of(err)
	}
	x.out.Byte('{')
	first := true
	if x.p.merge != nil {
		first = x.merged(first)
	} else {
		first, _ = x.members(x.p.root, 0, elem{}, first)
		x.noteFlaws()
	}
	if len(x.notes) > 0 && x.p.partial == partialBody && !x.p.graphql {
		x.errorsMember(first)
	}
	x.out.Byte('}')
	if x.cause != nil {
		x.r.X.Cause = x.cause
	}
	if x.fatal != nil {
		p := problem.Of(x.fatal)
		p.Cause = x.cause
		return nil, p
	}
	if len(x.notes) > 0 && x.p.partial == partialRefuse {
		return nil, failure{code: x.notes[0].code}.problem(x.notes[0].part)
	}
	if x.out.Err() != nil {
		return nil, failure{code: codeLimit}.problem("")
	}
	return x.respond(), nil
}

// respond makes the response of what was shaped.
func (x *run) respond() *message.Response {
	resp := message.NewResponse(200)
	resp.Header.AppendID(message.ContentType, "application/json")
	if len(x.notes) > 0 {
		resp.Header.AppendID(message.CacheControl, "no-store")
		resp.Header.Append(message.Field{Name: "Maru-Partial", Value: partialHeaderValue(x.notes)})
	}
	x.send(resp)
	return resp
}

// errorsMember puts _errors into the answer as its last member.
func (x *run) errorsMember(first bool) {
	if !first {
		x.out.Byte(',')
	}
	x.out.Literal(`"_errors":[`)
	for i, n := range x.notes {
		if i > 0 {
			x.out.Byte(',')
		}
		x.out.Literal(`{"path":`)
		x.out.Text(pathOf(n.path, true))
		x.out.Literal(`,"code":"` + n.code.String() + `"}`)
	}
	x.out.Byte(']')
}

// send makes the output the body; the response owns the run from here on.
func (x *run) send(resp *message.Response) {
	resp.Local = true
	resp.Owner = x
	x.cuts = x.out.Segments(x.cuts[:0])
	if len(x.cuts) == 1 {
		resp.SetBytes(x.cuts[0])
		return
	}
	resp.Body, resp.Length = &pieces{list: x.cuts}, int64(x.out.Len())
}

// ReleaseResponse gives the run back.
func (x *run) ReleaseResponse(r *message.Response, _ bool) {
	x.release()
	r.Release() // without an owner now: back to its pool
}

// pieces is a body of several spans.
type pieces struct {
	list [][]byte
	at   int
}

// Peek shows what is left of the present span.
func (b *pieces) Peek() []byte {
	if len(b.list) == 0 {
		return nil
	}
	return b.list[0][b.at:]
}

// Skip takes n bytes of it.
func (b *pieces) Skip(n int) {
	if b.at += n; len(b.list) > 0 && b.at == len(b.list[0]) {
		b.list, b.at = b.list[1:], 0
	}
}

// Read copies.
func (b *pieces) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(b.list) > 0 {
		c := copy(p[n:], b.Peek())
		b.Skip(c)
		n += c
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close ends it.
func (b *pieces) Close() error {
	b.list = nil
	return nil
}
