package graphql

import (
	"io"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/scan"
)

// refusal is why a request is not executed: an answer with errors and no data.
type refusal struct {
	kind   kind
	status int // of kindFixed
	allow  string
	faults []fault
	cause  error
}

// kind says which status a refusal has; see writer.status.
type kind uint8

const (
	kindFixed   kind = iota // the status itself
	kindRequest             // a parameter is missing or of the wrong type
	kindParse               // the document is no GraphQL
	kindInvalid             // the document, its variables or the operation's name do not fit
)

// fault is one error of an answer (GraphQL §7.1.2).
type fault struct {
	code string
	rule string // of GraphQL §5 that is broken; "" for other codes
	text string
	at   []place
	path []PathPart
}

// place is a line and column of the document, from 1.
type place struct{ line, column int }

func fixed(status int, code, text string) *refusal {
	return &refusal{status: status, faults: []fault{{code: code, text: text}}}
}

func badRequest(text string) *refusal {
	return &refusal{kind: kindRequest, faults: []fault{{code: "BAD_REQUEST", text: text}}}
}

func invalid(code, text string, at ...place) *refusal {
	return &refusal{kind: kindInvalid, faults: []fault{{code: code, text: text, at: at}}}
}

// ofProblem is the refusal of what went wrong outside of the document.
func ofProblem(p *problem.Error) *refusal {
	no := fixed(p.Status, strings.ToUpper(strings.ReplaceAll(p.Reason, "-", "_")), p.Detail)
	no.cause = p
	return no
}

// media is the type of an answer.
type media uint8

const (
	mediaJSON     media = iota // application/json
	mediaResponse              // application/graphql-response+json
)

func (m media) String() string {
	if m == mediaResponse {
		return "application/graphql-response+json; charset=utf-8"
	}
	return "application/json; charset=utf-8"
}

// negotiate chooses the type of the answer by the Accept fields (RFC 9110 §12.5.1);
// ok is false when the client takes neither. Of two that it likes the same, it is
// the newer one.
func (d *Door) negotiate(h *message.Header) (m media, ok bool) {
	def := mediaJSON
	if d.cfg.Status == year {
		def = mediaResponse
	}
	if !h.Has(message.Accept) {
		return def, true
	}
	var json, response, all weight
	var lines [8]string
	for _, line := range h.Values(lines[:0], "Accept") {
		for line != "" {
			var one string
			one, line = message.NextMember(line)
			name, params, _ := strings.Cut(one, ";")
			q := quality(params)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "application/json":
				json = json.or(q)
			case "application/graphql-response+json":
				response = response.or(q)
			case "application/*", "*/*":
				all = all.or(q)
			}
		}
	}
	anyType := all
	if !json.set {
		json.q = anyType.q
	}
	if !response.set {
		response.q = anyType.q
	}
	switch {
	case json.q <= 0 && response.q <= 0:
		return def, false
	case json.set == response.set && json.q == response.q && !json.set:
		return def, true
	case response.q > json.q || response.q == json.q && response.set:
		return mediaResponse, true
	}
	return mediaJSON, true
}

// weight is how much a client likes a type.
type weight struct {
	set bool
	q   float64
}

func (w weight) or(q float64) weight { return weight{true, max(w.q, q)} }

// quality is the weight among the parameters of a member of Accept; 1 without.
func quality(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || q < 0 || q > 1 {
			return 0
		}
		return q
	}
	return 1
}

// writer makes the response to one request.
type writer struct {
	door  *Door
	media media
}

// status is that of a refusal, by the table of docs/graphql.md.
func (w *writer) status(no *refusal) int {
	modern := w.door.cfg.Status == year
	switch {
	case no.kind == kindFixed:
		return no.status
	case modern && no.kind != kindParse:
		return 422
	case modern, w.media == mediaResponse, no.kind == kindRequest:
		return 400
	}
	return 200
}

// refuse answers with errors only.
func (w *writer) refuse(r *message.Request, no *refusal) *message.Response {
	resp := message.NewResponse(w.status(no))
	if r.X.Reason = "graphql"; len(no.faults) > 0 {
		r.X.Reason = "graphql_" + strings.ToLower(no.faults[0].code)
	}
	r.X.Cause = no.cause
	if no.allow != "" {
		resp.Header.AppendID(message.Allow, no.allow)
	}
	if w.door.cfg.Status == year && resp.Status >= 300 {
		w.media = mediaResponse // application/json stands for 2xx alone there
	}
	w.head(resp, "Accept", true)
	var out scan.Output
	out.Byte('{')
	writeErrors(&out, no.faults)
	out.Byte('}')
	resp.SetBytes(out.Bytes())
	return resp
}

func (w *writer) head(resp *message.Response, vary string, failed bool) {
	resp.Header.AppendID(message.ContentType, w.media.String())
	resp.Header.AppendID(message.Vary, vary)
	if failed {
		resp.Header.AppendID(message.CacheControl, "no-store")
	}
}

// writeErrors writes the member "errors".
func writeErrors(out *scan.Output, faults []fault) {
	out.Literal(`"errors":[`)
	for i := range faults {
		f := &faults[i]
		if i > 0 {
			out.Byte(',')
		}
		out.Literal(`{"message":`)
		out.Text(f.text)
		for j, at := range f.at {
			out.Literal([...]string{`,"locations":[`, `,`}[min(j, 1)])
			out.Literal(`{"line":` + strconv.Itoa(at.line) + `,"column":` + strconv.Itoa(at.column) + `}`)
		}
		if len(f.at) > 0 {
			out.Byte(']')
		}
		writePath(out, f.path)
		out.Literal(`,"extensions":{"code":`)
		out.Text(f.code)
		if f.rule != "" {
			out.Literal(`,"rule":`)
			out.Text(f.rule)
		}
		out.Literal(`}}`)
	}
	out.Byte(']')
}

func writePath(out *scan.Output, path []PathPart) {
	for i, part := range path {
		out.Literal([...]string{`,"path":[`, `,`}[min(i, 1)])
		if part.Name != "" {
			out.Text(part.Name)
		} else {
			out.Literal(strconv.Itoa(part.Index))
		}
	}
	if len(path) > 0 {
		out.Byte(']')
	}
}

// run executes a plan and answers with its data.
func (w *writer) run(r *message.Request, p *plan, vars values) (*message.Response, error) {
	a := &answer{}
	if p.runner != nil {
		var err error
		if a.parts, err = p.runner.Run(r, p.bind(vars)); err != nil {
			if cause := r.X.Err(); cause != nil {
				return nil, cause //nolint:wrapcheck // nobody reads an answer
			}
			return w.refuse(r, ofProblem(problem.Of(err))), nil
		}
		for _, e := range a.parts.Errors() {
			a.faults = append(a.faults, p.fault(e))
		}
	}
	out := &a.out
	out.Byte('{')
	if len(a.faults) > 0 {
		writeErrors(out, a.faults)
		out.Byte(',')
	}
	out.Literal(`"data":`)
	w.door.data(out, a.parts, p, vars)
	out.Byte('}')
	resp := message.NewResponse(200)
	if len(a.faults) > 0 && w.door.cfg.Status == year && w.media == mediaResponse {
		resp.Status, resp.Reason = 294, "Partial Success"
	}
	w.head(resp, p.vary, len(a.faults) > 0)
	a.pieces = out.Segments(nil)
	resp.Owner = a
	if len(a.pieces) == 1 {
		resp.SetBytes(a.pieces[0])
	} else {
		resp.Body, resp.Length = a, int64(out.Len())
	}
	return resp, nil
}

// answer owns what a response is made of, and is its body if that is of several
// pieces.
type answer struct {
	parts  Answer // nil when nothing was called
	faults []fault
	out    scan.Output
	pieces [][]byte
}

// ReleaseResponse gives the run back, and the response to its pool.
func (a *answer) ReleaseResponse(resp *message.Response, _ bool) {
	if a.parts != nil {
		a.parts.Release()
	}
	resp.Release()
}

// Peek shows what is left of the present piece.
func (a *answer) Peek() []byte {
	if len(a.pieces) == 0 {
		return nil
	}
	return a.pieces[0]
}

// Skip takes n bytes of it.
func (a *answer) Skip(n int) {
	if a.pieces[0] = a.pieces[0][n:]; len(a.pieces[0]) == 0 {
		a.pieces = a.pieces[1:]
	}
}

// Read copies.
func (a *answer) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(a.pieces) > 0 {
		c := copy(p[n:], a.pieces[0])
		a.Skip(c)
		n += c
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close ends it.
func (a *answer) Close() error {
	a.pieces = nil
	return nil
}
