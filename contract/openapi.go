package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/scan"
)

// Operation is one method of one path.
type Operation struct {
	// Method in upper case; Path is the template, with the contract's base.
	Method, Path string
	// ID is the operationId, or "METHOD PATH": a name for metrics.
	ID string
	// At is where it stands.
	At diag.Position
	// Deprecated says that callers should stop.
	Deprecated bool

	params    []*parameter
	declared  map[string]bool // query parameters
	open      bool            // some may have any name
	segments  []string        // of the template
	body      []*Media
	required  bool // the body
	accept    string
	responses []*Response
}

// Response is what an operation may answer with one status, or a class of them.
type Response struct {
	// Status is "200", "2XX" or "default".
	Status  string
	content []*Media
	headers []*parameter
}

// methods are those that a path of OpenAPI may have.
func methods() []string {
	return []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}
}

// openAPI reads an OpenAPI document.
func (l *loader) openAPI(out *Contract, root *document) {
	version := root.node.Get("openapi")
	old := strings.HasPrefix(version.Text, "3.0")
	switch {
	case old, strings.HasPrefix(version.Text, "3.1"):
	case strings.HasPrefix(version.Text, "3.2"):
		l.warn(version, "version", "OpenAPI 3.2 is read as 3.1: what is new in it is not checked", "")
	default:
		l.fault(version, "version", fmt.Sprintf("OpenAPI %s is not read", version.Text), "write openapi: 3.1.0, or 3.0.3")
		return
	}
	out.Dialect = "OpenAPI " + version.Text
	c := newCompiler(l, true, old)
	paths := root.node.Get("paths")
	if paths == nil {
		if old {
			l.fault(root.node, "missing", "the document has no paths", "add paths: {}")
		}
		return
	}
	if paths.Kind != Object {
		l.fault(paths, "type", "paths is an object", "write the paths as its keys")
		return
	}
	for _, e := range paths.Entries {
		if strings.HasPrefix(e.Key.Text, "x-") {
			continue
		}
		if !strings.HasPrefix(e.Key.Text, "/") {
			l.fault(e.Key, "value", fmt.Sprintf("the path %q does not begin with /", e.Key.Text), "write /"+e.Key.Text)
			continue
		}
		doc, item := c.deref(root, e.Value)
		if item == nil {
			continue
		}
		for _, method := range methods() {
			if op := item.Get(method); op != nil {
				out.Operations = append(out.Operations, c.operation(doc, item, op, method, out.Base+e.Key.Text))
			}
		}
	}
	c.components(root)
	c.bundle.finish()
	out.coverage = c.coverage
}

// components looks at schemas that nobody refers to as well: their faults are
// faults.
func (c *compiler) components(root *document) {
	schemas := root.node.Get("components").Get("schemas")
	if schemas == nil {
		return
	}
	for _, e := range schemas.Entries {
		c.schema(root, e.Value, toService)
	}
}

// deref follows the reference of a part that is no schema: a parameter, a body.
func (c *compiler) deref(doc *document, n *Node) (*document, *Node) {
	for range maxDepth {
		ref := n.Get("$ref")
		if ref == nil {
			return doc, n
		}
		if doc, n = c.resolve(doc, ref); n == nil {
			return nil, nil
		}
	}
	c.fault(n, "reference", "the references lead in a circle", "let one of them be what is meant")
	return nil, nil
}

// operation reads one operation.
func (c *compiler) operation(doc *document, item, n *Node, method, path string) *Operation {
	op := &Operation{
		Method: strings.ToUpper(method), Path: path, ID: n.str("operationId"), At: n.Position,
		Deprecated: n.is("deprecated"), declared: make(map[string]bool), segments: strings.Split(path, "/"),
	}
	if op.ID == "" {
		op.ID = op.Method + " " + path
	}
	for _, p := range slices.Concat(items(n.Get("parameters")), items(item.Get("parameters"))) {
		c.parameter(op, doc, p)
	}
	c.templates(op, n)
	if body := n.Get("requestBody"); body != nil {
		if to, body := c.deref(doc, body); body != nil {
			op.required = body.is("required")
			op.body = c.content(to, body.Get("content"), toService)
		}
	}
	types := make([]string, 0, len(op.body))
	for _, m := range op.body {
		types = append(types, m.Type)
	}
	op.accept = strings.Join(types, ", ")
	c.answers(op, doc, n)
	return op
}

// templates checks that the names in the path are those of the parameters.
func (c *compiler) templates(op *Operation, n *Node) {
	named := make(map[string]bool)
	for _, segment := range op.segments {
		if name, whole := strings.CutPrefix(segment, "{"); whole && strings.HasSuffix(name, "}") {
			named[strings.TrimSuffix(name, "}")] = true
		} else if strings.Contains(segment, "{") {
			c.warn(n, "path", "a parameter that is a part of a segment of the path is not checked", "give it a segment of its own")
		}
	}
	for _, p := range op.params {
		if p.in == inPath && !named[p.name] {
			c.warn(n, "path", fmt.Sprintf("the path has no {%s}", p.name), "")
		}
		delete(named, p.name)
	}
	for name := range named {
		c.warn(n, "path", fmt.Sprintf("nothing says what {%s} is", name), "add it to parameters with in: path")
	}
}

// answers reads the responses.
func (c *compiler) answers(op *Operation, doc *document, n *Node) {
	responses := n.Get("responses")
	if responses == nil {
		if c.old {
			c.fault(n, "missing", "the operation has no responses", "add responses: {default: {description: …}}")
		}
		return
	}
	for _, e := range responses.Entries {
		status := strings.ToUpper(e.Key.Text)
		if strings.HasPrefix(e.Key.Text, "x-") {
			continue
		}
		if !isStatus(status) {
			c.fault(e.Key, "value", fmt.Sprintf("%q is no status", e.Key.Text), "write one such as '200', 2XX or default")
			continue
		}
		to, r := c.deref(doc, e.Value)
		if r == nil {
			continue
		}
		out := &Response{Status: status, content: c.content(to, r.Get("content"), toClient)}
		if status == "DEFAULT" {
			out.Status = "default"
		}
		if headers := r.Get("headers"); headers != nil {
			for _, h := range headers.Entries {
				if hd, header := c.deref(to, h.Value); header != nil && header.is("required") {
					out.headers = append(out.headers, c.header(hd, header, h.Key.Text))
				}
			}
		}
		op.responses = append(op.responses, out)
	}
}

// isStatus tells whether a key of responses is a status, a class of them, or default.
func isStatus(key string) bool {
	if key == "DEFAULT" {
		return true
	}
	if len(key) != 3 || key[0] < '1' || key[0] > '5' {
		return false
	}
	_, err := strconv.Atoi(key)
	return err == nil || key[1:] == "XX"
}

// content reads the bodies by media type.
func (c *compiler) content(doc *document, n *Node, way direction) []*Media {
	if n == nil || n.Kind != Object {
		return nil
	}
	var out []*Media
	for _, e := range n.Entries {
		kind, _, _ := strings.Cut(strings.ToLower(e.Key.Text), ";")
		m := &Media{Type: strings.TrimSpace(kind)}
		out = append(out, m)
		s := e.Value.Get("schema")
		switch {
		case isJSON(m.Type):
			m.kind = jsonBody
		case m.Type == formType && way == toService && s != nil:
			m.kind, m.form = formBody, c.form(doc, s)
		default:
			continue
		}
		if s != nil {
			m.programs[way] = c.program(doc, s, way)
		} else {
			m.programs[way], _ = scan.Compile(&scan.Schema{}, nil, rules(way)) // the grammar only
		}
	}
	return out
}

// Response is what the contract says of an answer with that status: the status
// itself, its class, or default; nil when nothing.
func (o *Operation) Response(status int) *Response {
	best, rank := (*Response)(nil), 0
	for _, r := range o.responses {
		got := 0
		switch {
		case r.Status == "default":
			got = 1
		case r.Status[1] == 'X' && int(r.Status[0]-'0') == status/100:
			got = 2
		case len(r.Status) == 3 && int(r.Status[0]-'0') == status/100 && int(r.Status[1]-'0') == status/10%10 && int(r.Status[2]-'0') == status%10:
			got = 3
		}
		if got > rank {
			best, rank = r, got
		}
	}
	return best
}

// Silent tells whether the contract says nothing about answers at all.
func (o *Operation) Silent() bool { return len(o.responses) == 0 }

// Content gives the entry for a media type; nil when there is none.
func (r *Response) Content(kind string) *Media { return choose(r.content, kind) }

// Bodied tells whether the answer has declared bodies.
func (r *Response) Bodied() bool { return len(r.content) > 0 }

// Media gives the entry for a request's media type; nil when there is none.
func (o *Operation) Media(kind string) *Media { return choose(o.body, kind) }

// Bodied tells whether requests may have a body, Required whether they must.
func (o *Operation) Bodied() bool { return len(o.body) > 0 }

// Required tells whether requests must have a body.
func (o *Operation) Required() bool { return o.required }

// Accept lists the media types of requests, for a 415.
func (o *Operation) Accept() string { return o.accept }

// Part is a part of an operation's messages, and how it is checked.
type Part struct{ Name, How string }

// Parts lists the bodies of the operation.
func (o *Operation) Parts() []Part {
	var out []Part
	for _, m := range o.body {
		out = append(out, Part{"request " + m.Type, m.how(toService)})
	}
	for _, r := range o.responses {
		for _, m := range r.content {
			out = append(out, Part{r.Status + " " + m.Type, m.how(toClient)})
		}
	}
	return out
}

// how says who checks a body.
func (m *Media) how(way direction) string {
	switch p := m.programs[way]; {
	case m.kind == opaque:
		return "not checked: only the media type"
	case p == nil:
		return "not checked"
	case m.kind == formBody, p.NeedsBody():
		return "checked as a whole"
	}
	return "checked as it streams"
}
