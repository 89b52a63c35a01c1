package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// call is one compiled [CallConfig]: where it goes and the templates of what is sent.
type call struct {
	source     string
	method     string
	path       []piece
	query      []pair
	headers    []headerTemplate
	body       *bodyTemplate // nil without one
	at         []string
	as         string
	concat     bool // as name[]: several are joined
	pairing    pairing
	max        int
	timeout    time.Duration
	when       string
	idempotent bool
	strict     bool
	rpc        *rpc      // of a gRPC source
	doc        *document // of a GraphQL source
	where      string    // path in the configuration, for findings
}

// safe tells whether the call may be shared, repeated and left out.
func (c *call) safe() bool {
	return c.method == "GET" || c.method == "HEAD" || c.idempotent || c.doc != nil && !c.doc.mutation
}

// word is how explain names the call.
func (c *call) word() string {
	if c.doc != nil {
		return c.source + " " + c.doc.text
	}
	if c.rpc != nil {
		return c.source + " " + strings.TrimPrefix(c.path[0].lit, "/")
	}
	var b strings.Builder
	b.WriteString(c.source + " " + c.method + " ")
	writePieces(&b, c.path)
	for i, q := range c.query {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(q.name + "=")
		writePieces(&b, q.value)
	}
	return b.String()
}

func writePieces(b *strings.Builder, list []piece) {
	for _, p := range list {
		if p.v == nil {
			b.WriteString(p.lit)
			continue
		}
		b.WriteString("{" + p.v.text + "}")
	}
}

// pairing is how elements find their keys.
type pairing struct {
	how   pairHow
	group string
	at    []string
}

type pairHow uint8

const (
	pairKey pairHow = iota
	pairPosition
	pairMap
	pairGroup   // elements name the parent's key
	pairGrouped // {group: f, at: path}: one object a group
)

// piece is literal text or a variable in a template.
type piece struct {
	lit string
	v   *variable
}

// pair is name=value of a query.
type pair struct {
	name  string // encoded as written
	value []piece
}

type headerTemplate struct {
	name  string
	value []piece
}

// variable is {name}, {name:default}, {name?}, {keys,}, {keys*}, {keys|}, or a
// reference {entry.path}.
type variable struct {
	text     string // as written, for explain
	name     string
	path     []string // behind the name: a reference into another answer
	def      string
	hasDef   bool
	optional bool
	join     byte // ',' '|' '*', 0 for a single value
}

// keys tells whether the variable stands for all keys of a call.
func (v *variable) keys() bool { return v.join != 0 && len(v.path) == 0 || v.name == "keys" }

// variables calls f for every variable of the call.
func (c *call) variables(f func(*variable)) {
	each := func(list []piece) {
		for _, p := range list {
			if p.v != nil {
				f(p.v)
			}
		}
	}
	each(c.path)
	for _, q := range c.query {
		each(q.value)
	}
	for _, h := range c.headers {
		each(h.value)
	}
	if c.body != nil {
		c.body.variables(f)
	}
}

// parseCall compiles a call to src; where is its path in the configuration.
func parseCall(cfg *CallConfig, src *source, where string) (*call, error) {
	c := &call{
		max: cfg.Max, timeout: cfg.Timeout, when: cfg.When, idempotent: cfg.Idempotent, strict: cfg.Strict,
		as: cfg.As, where: where,
	}
	var f faults
	if err := c.short(src.kind, cfg.Call); err != nil {
		f.add(diag.At("", "%v", err).WithFix("%s", src.kind.form()))
		return nil, f.join()
	}
	if cfg.At != "" {
		c.at = strings.Split(cfg.At, ".")
	}
	if c.max == 0 {
		c.max = 100
	}
	if c.max < 1 || c.max > 10_000 {
		f.add(diag.At("max", "%d is not between 1 and 10000", cfg.Max).WithFix("write one such as 100"))
	}
	if err := c.pairs(&cfg.Pair); err != nil {
		f.add(diag.Under("pair", err))
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Headers)) {
		value, err := parsePieces(cfg.Headers[name])
		switch {
		case err != nil:
			f.add(diag.At("headers."+name, "%v", err))
		case !message.ValidToken(name) || message.Reserved(name):
			f.add(diag.At("headers."+name, "%q can't be sent by a call", name).WithFix("use another name"))
		}
		c.headers = append(c.headers, headerTemplate{name, value})
	}
	switch {
	case c.doc != nil:
		f.add(c.document(cfg, src))
	case cfg.Body != nil:
		body, err := parseBody(cfg.Body)
		if err != nil {
			f.add(diag.Under("body", err))
		}
		c.body = body
	}
	if src.kind == sourceGRPC && len(f.list) == 0 {
		f.add(c.bindRPC(src.rpc))
	}
	return c, f.join()
}

func (c *call) pairs(p *PairConfig) error {
	c.pairing.group = p.Group
	if p.At != "" {
		c.pairing.at = strings.Split(p.At, ".")
	}
	switch {
	case p.Group != "":
		c.pairing.how = pairGrouped
	case p.How == "position":
		c.pairing.how = pairPosition
	case p.How == "map":
		c.pairing.how = pairMap
	case p.How == "group":
		c.pairing.how = pairGroup
	case p.How != "" && p.How != "key":
		return diag.At("", "%q is not one of key, position, map and group", p.How).WithFix("write one of them, or {group: FIELD, at: PATH}")
	}
	return nil
}

// short reads the short form, as a source of the kind has it.
func (c *call) short(kind sourceKind, text string) error {
	switch kind {
	case sourceStatic:
		if err := c.shortHTTP(text); err != nil {
			return err
		}
		if c.method != "GET" {
			return fmt.Errorf("a static source has no %s", c.method)
		}
		return nil
	case sourceGRPC:
		return c.shortRPC(text)
	case sourceGraphQL:
		return c.shortGraphQL(text)
	case sourceHTTP:
	}
	return c.shortHTTP(text)
}

// shortHTTP reads "source METHOD /path?query [at path] [-> name]".
func (c *call) shortHTTP(text string) error {
	words := strings.Fields(text)
	if len(words) < 3 {
		return fmt.Errorf("%q is not a call", text)
	}
	c.source, c.method = words[0], words[1]
	if !methods()[c.method] {
		return fmt.Errorf("%q is not a method that can be called", c.method)
	}
	if !strings.HasPrefix(words[2], "/") {
		return fmt.Errorf("the target %q does not begin with /", words[2])
	}
	if err := c.target(words[2]); err != nil {
		return err
	}
	return c.tail(words[3:])
}

// tail reads "[at path] [-> name]".
func (c *call) tail(rest []string) error {
	for ; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 {
			return fmt.Errorf("nothing follows %q", rest[0])
		}
		switch rest[0] {
		case "at":
			c.at = strings.Split(rest[1], ".")
		case "->":
			c.as, c.concat = strings.CutSuffix(rest[1], "[]")
		default:
			return fmt.Errorf("%q has no meaning in a call", rest[0])
		}
	}
	return nil
}

func methods() map[string]bool {
	return map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true}
}

func (c *call) target(target string) (err error) {
	path, query, hasQuery := strings.Cut(target, "?")
	if strings.Contains(path, "?") || strings.ContainsAny(target, "#") {
		return fmt.Errorf("%q is not a target", target)
	}
	// A ? inside braces, {x?}, belongs to the variable.
	if open := strings.LastIndexByte(path, '{'); open >= 0 && !strings.Contains(path[open:], "}") {
		return fmt.Errorf("a variable in a path can't be left out: %q", target)
	}
	if c.path, err = parsePieces(path); err != nil {
		return err
	}
	for _, p := range c.path {
		if p.v != nil && p.v.join == '*' {
			return fmt.Errorf("{%s} repeats a pair of the query; it can't stand in a path", p.v.text)
		}
	}
	if !hasQuery {
		return nil
	}
	for one := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(one, "=")
		pieces, err := parsePieces(value)
		if err != nil {
			return err
		}
		if name == "" {
			return fmt.Errorf("a pair of the query has no name: %q", query)
		}
		c.query = append(c.query, pair{name, pieces})
	}
	return nil
}

// parsePieces reads text with {variables}; "{{" and "}}" are braces.
func parsePieces(text string) ([]piece, error) {
	var out []piece
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			out = append(out, piece{lit: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "{{") || strings.HasPrefix(text[i:], "}}"):
			lit.WriteByte(text[i])
			i++
		case text[i] == '}':
			return nil, fmt.Errorf("a } without { in %q", text)
		case text[i] == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, fmt.Errorf("a { is not closed in %q", text)
			}
			flush()
			v, err := parseVariable(text[i+1 : i+end])
			if err != nil {
				return nil, err
			}
			out = append(out, piece{v: v})
			i += end
		default:
			lit.WriteByte(text[i])
		}
	}
	flush()
	return out, nil
}

func parseVariable(text string) (*variable, error) {
	v := &variable{text: text}
	name := text
	if before, def, has := strings.Cut(name, ":"); has {
		name, v.def, v.hasDef = before, def, true
	}
	if n := len(name); n > 0 {
		switch c := name[n-1]; c {
		case ',', '|', '*':
			v.join, name = c, name[:n-1]
		case '?':
			v.optional, name = true, name[:n-1]
		}
	}
	parts := strings.Split(name, ".")
	for i, p := range parts {
		p = strings.TrimSuffix(p, "[]")
		if !validName(p) {
			return nil, fmt.Errorf("{%s} is not a variable", text)
		}
		parts[i] = p
	}
	v.name, v.path = parts[0], parts[1:]
	return v, nil
}

func validName(s string) bool {
	if s == "" || !nameStart(s[0]) {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

// document settles what only calls of a GraphQL source have.
func (c *call) document(cfg *CallConfig, src *source) error {
	c.path = []piece{{lit: "/graphql"}}
	if src.cfg.Path != "" {
		c.path[0].lit = src.cfg.Path
	}
	if cfg.At != "" {
		c.at = append([]string{"data", c.doc.field}, c.at...)
	}
	if cfg.Body != nil {
		return diag.At("body", "the body of a GraphQL call is its document, which is made of what views select").WithFix("leave it out")
	}
	return c.pairsDocument(&cfg.Pair)
}

// bodyTemplate is a JSON value with variables in it.
type bodyTemplate struct {
	lit    string // JSON before value or members
	whole  *variable
	text   []piece // a string with variables in it
	names  []string
	values []*bodyTemplate
	list   bool
	object bool
	bare   bool   // whole is a number or a boolean: one that came as text loses its quotes
	entity string // whole is all keys, as objects of that type with members by names
}

func (b *bodyTemplate) variables(f func(*variable)) {
	if b.whole != nil {
		f(b.whole)
	}
	for _, p := range b.text {
		if p.v != nil {
			f(p.v)
		}
	}
	for _, v := range b.values {
		v.variables(f)
	}
}

func parseBody(v any) (*bodyTemplate, error) {
	switch v := v.(type) {
	case nil:
		return &bodyTemplate{lit: "null"}, nil
	case string:
		return parseBodyText(v)
	case bool, int, int64, uint64, float64:
		return &bodyTemplate{lit: fmt.Sprint(v)}, nil
	case []any:
		out := &bodyTemplate{list: true}
		for i, e := range v {
			one, err := parseBody(e)
			if err != nil {
				return nil, diag.Under(fmt.Sprintf("[%d]", i), err)
			}
			out.values = append(out.values, one)
		}
		return out, nil
	case map[string]any:
		out := &bodyTemplate{object: true}
		for name := range v {
			out.names = append(out.names, name)
		}
		sort.Strings(out.names)
		for _, name := range out.names {
			one, err := parseBody(v[name])
			if err != nil {
				return nil, diag.Under(name, err)
			}
			out.values = append(out.values, one)
		}
		return out, nil
	}
	return nil, diag.At("", "a value of type %T can't be sent as JSON", v)
}

func parseBodyText(s string) (*bodyTemplate, error) {
	pieces, err := parsePieces(s)
	if err != nil {
		return nil, diag.At("", "%v", err)
	}
	switch {
	case len(pieces) == 1 && pieces[0].v != nil:
		return &bodyTemplate{whole: pieces[0].v}, nil
	case slices.ContainsFunc(pieces, func(p piece) bool { return p.v != nil }):
		return &bodyTemplate{text: pieces}, nil
	}
	var text strings.Builder
	for _, p := range pieces {
		text.WriteString(p.lit)
	}
	return &bodyTemplate{lit: quoteJSON(text.String())}, nil
}

// faults collects field errors.
type faults struct{ list []error }

func (f *faults) add(err error) {
	if err != nil {
		f.list = append(f.list, err)
	}
}

func (f *faults) at(path, format string, args ...any) *diag.FieldError {
	e := diag.At(path, format, args...)
	f.list = append(f.list, e)
	return e
}

func (f *faults) join() error { return diag.Join(f.list...) }
