package contract

import (
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Mock answers as a contract promises, for those whose service does not exist yet:
// with the examples that the contract has, and otherwise with values made up for its
// schemas. The same request always gets the same answer. Requests are not checked:
// that is the filter's work, in front of it.
type Mock struct {
	routes []*mockRoute
}

// mockRoute is one operation.
type mockRoute struct {
	op       *Operation
	segments []string
	answers  []MockAnswer // in the order of the contract
	usual    int          // of the answers
}

// MockAnswer is one answer of an operation.
type MockAnswer struct {
	Status int
	// Media is the media type of the Body; "" is no body.
	Media string
	Body  []byte
}

// NewMock reads a contract and makes up its answers, once. A body that can't be made
// up so that it keeps the schema is a warning, and the answer has none.
func NewMock(v Version) (*Mock, []diag.Finding) {
	doc, findings := v.open()
	if doc == nil {
		return nil, findings
	}
	if !doc.openapi {
		doc.fault(doc.root.node, "type", "a bare schema has no operations to answer", "name an OpenAPI document")
		return nil, append(findings, doc.findings...)
	}
	s := sampler{version: doc}
	m := new(Mock)
	_, actions := s.actions()
	for _, op := range doc.contract.Operations {
		a := actions[op.Method+" "+nameless(strings.TrimPrefix(op.Path, doc.contract.Base))]
		r := &mockRoute{op: op, segments: strings.Split(op.Path, "/")}
		for _, e := range entries(a.node.Get("responses")) {
			if answer, usable := s.answer(op, a.doc, e); usable {
				r.answers = append(r.answers, answer)
			}
		}
		if len(r.answers) == 0 {
			r.answers = []MockAnswer{{Status: 200}}
		}
		good := func(a MockAnswer) bool { return a.Status/100 == 2 }
		r.usual = max(slices.IndexFunc(r.answers, good), 0)
		m.routes = append(m.routes, r)
	}
	return m, append(findings, s.findings...)
}

// entries are an object's; none of what is no object.
func entries(n *Node) []Entry {
	if n == nil || n.Kind != Object {
		return nil
	}
	return n.Entries
}

// Operations are those that the Mock answers, in the order of the contract.
func (m *Mock) Operations() []*Operation {
	out := make([]*Operation, 0, len(m.routes))
	for _, r := range m.routes {
		out = append(out, r.op)
	}
	return out
}

// Answer finds the operation of a request, and its answer with that status, or its
// usual one for 0 or a status that the contract lacks. Without an operation, allow
// lists the methods that the path has; none means that there is no such path.
func (m *Mock) Answer(method, urlPath string, status int) (answer *MockAnswer, allow []string) {
	segments := strings.Split(urlPath, "/")
	var best *mockRoute
	for _, r := range m.routes {
		switch {
		case !r.matches(segments):
		case r.op.Method != method:
			allow = append(allow, r.op.Method)
		case best == nil || r.fixed() > best.fixed():
			best = r
		}
	}
	if best == nil {
		return nil, allow
	}
	for i := range best.answers {
		if best.answers[i].Status == status {
			return &best.answers[i], nil
		}
	}
	return &best.answers[best.usual], nil
}

// matches tells whether a path is one of the route's.
func (r *mockRoute) matches(segments []string) bool {
	return slices.EqualFunc(r.segments, segments, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}

// fixed counts the segments that are no parameters: the more, the more specific.
func (r *mockRoute) fixed() (n int) {
	for _, s := range r.segments {
		if !strings.HasPrefix(s, "{") {
			n++
		}
	}
	return n
}

// answer makes an answer of what the contract says of a status.
func (s *sampler) answer(op *Operation, doc *document, e Entry) (MockAnswer, bool) {
	status, err := strconv.Atoi(strings.NewReplacer("X", "0", "x", "0", "default", "500").Replace(e.Key.Text))
	if err != nil || status < 200 {
		return MockAnswer{}, false
	}
	doc, response := s.deref(doc, e.Value)
	out := MockAnswer{Status: status}
	for _, content := range entries(response.Get("content")) {
		out.Media = content.Key.Text
		if !isJSON(out.Media) {
			out.Media = "" // nobody knows what it looks like
			continue
		}
		body, made := s.body(doc, content.Value)
		if made {
			made = keeps(op, status, out.Media, body)
		}
		if made {
			out.Body = body
			return out, true
		}
		s.warn(content.Key, "mock", "no body could be made up that keeps the schema: the mock answers without one", "add an example")
		out.Media = ""
	}
	return out, true
}

// keeps tells whether a body is one that the contract allows.
func keeps(op *Operation, status int, media string, body []byte) bool {
	r := op.Response(status)
	if r == nil {
		return true
	}
	m := r.Content(media)
	if m == nil || !m.Checked(true) {
		return true
	}
	v := NewVerdict()
	defer v.Release()
	m.Check(body, true, v)
	return v.Valid()
}

// body is the example of a media type, or what its schema looks like.
func (s *sampler) body(doc *document, media *Node) ([]byte, bool) {
	if example := media.Get("example"); example != nil {
		return []byte(example.json()), true
	}
	for _, e := range entries(media.Get("examples")) {
		if _, example := s.deref(doc, e.Value); example != nil && example.Get("value") != nil {
			return []byte(example.Get("value").json()), true
		}
	}
	schema := media.Get("schema")
	if schema == nil {
		return nil, false
	}
	s.stack, s.turn, s.failed = s.stack[:0], 0, false
	body := s.value(nil, doc, schema)
	return body, !s.failed
}
