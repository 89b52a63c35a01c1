package contract

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/scan"
)

// Violation is what a message breaks. It never carries the value.
type Violation struct {
	// In is path, query, header, cookie, body, or status.
	In string
	// Name is a parameter's, or that of a missing member.
	Name string
	// Pointer is the place in the body (RFC 6901), Folded the same with * for
	// each index of an array.
	Pointer, Folded string
	// Schema is the place of the schema, Keyword what does not hold.
	Schema, Keyword string
	// Want continues the sentence "The value …".
	Want string
}

// Verdict collects what is wrong with one message. Verdicts come from a pool.
type Verdict struct {
	list    []Violation
	more    int
	syntax  *scan.Error
	tape    *scan.Tape
	report  *scan.Report
	scratch []byte
	text    []byte
	listed  []int // arrays of a form that were written
}

var verdicts = sync.Pool{New: func() any { return &Verdict{} }} //nolint:gochecknoglobals // a pool is shared by its nature

// NewVerdict takes an empty Verdict from the pool.
func NewVerdict() *Verdict {
	v := verdicts.Get().(*Verdict) //nolint:errcheck // the pool makes nothing else
	if v.tape == nil {
		v.tape, v.report = scan.NewTape(), scan.NewReport()
	}
	return v
}

// Release gives the Verdict back.
func (v *Verdict) Release() {
	clear(v.list)
	v.list, v.more, v.syntax = v.list[:0], 0, nil
	v.report.Reset()
	const keep = 64 << 10
	if cap(v.scratch) > keep || cap(v.text) > keep {
		v.scratch, v.text = nil, nil
	}
	verdicts.Put(v)
}

// Valid tells whether nothing is wrong.
func (v *Verdict) Valid() bool { return len(v.list) == 0 && v.syntax == nil }

// Violations are those that are kept. The slice is the Verdict's own.
func (v *Verdict) Violations() []Violation { return v.list }

// Syntax is why the body is no JSON, or nil.
func (v *Verdict) Syntax() *scan.Error { return v.syntax }

// add notes a violation.
func (v *Verdict) add(x Violation) { //nolint:gocritic // off the plain path
	if len(v.list) >= scan.MaxViolations {
		v.more++
		return
	}
	v.list = append(v.list, x)
}

// Report adds what a scan found in a part of the message.
func (v *Verdict) Report(r *scan.Report, in, name string) {
	for _, x := range r.Violations() {
		one := Violation{In: in, Name: name, Pointer: x.Pointer, Folded: x.Folded, Schema: x.Schema, Keyword: x.Keyword, Want: x.Want}
		if x.Name != "" {
			one.Name = x.Name
		}
		for _, mark := range []string{"readOnly", "writeOnly"} {
			if one.Keyword == "false" && strings.HasSuffix(one.Schema, "/"+mark) {
				one.Keyword, one.Want = mark, "must not be there: it is "+mark
			}
		}
		v.add(one)
	}
	v.more += r.More()
}

// Problem is the answer to a request with these violations, with the status for
// well-formed ones that break the schema.
func (v *Verdict) Problem(status int) *problem.Error {
	if s := v.syntax; s != nil {
		p := problem.New(400, "json_syntax", "the body is no JSON that every reader understands alike")
		p.Members = []problem.Member{
			{Name: "fault", JSON: strconv.Quote(string(s.Reason))},
			{Name: "offset", JSON: strconv.FormatInt(s.Offset, 10)},
			{Name: "line", JSON: strconv.Itoa(s.Line)},
			{Name: "column", JSON: strconv.Itoa(s.Column)},
		}
		return p
	}
	p := problem.New(status, "request_invalid", "")
	p.Title = "The request does not match its contract"
	p.Members = []problem.Member{{Name: "errors", JSON: v.errors()}}
	if v.more > 0 {
		p.Members = append(p.Members, problem.Member{Name: "more", JSON: strconv.Itoa(v.more)})
	}
	return p
}

// errors writes the violations for the client: without places of schemas.
func (v *Verdict) errors() string {
	out := []byte{'['}
	for i, x := range v.list {
		if i > 0 {
			out = append(out, ',')
		}
		out = problem.AppendString(append(out, `{"in":`...), x.In)
		if x.In == "body" {
			out = problem.AppendString(append(out, `,"pointer":`...), "#"+fragment(x.Pointer))
		}
		if x.Name != "" {
			out = problem.AppendString(append(out, `,"name":`...), x.Name)
		}
		out = problem.AppendString(append(out, `,"keyword":`...), x.Keyword)
		out = problem.AppendString(append(out, `,"detail":`...), x.Want)
		out = append(out, '}')
	}
	return string(append(out, ']'))
}

// fragment writes a pointer as part of a URI (RFC 6901 §6).
func fragment(pointer string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(pointer) {
		c := pointer[i]
		if c > ' ' && c < 0x7F && !slices.Contains([]byte("\"<>\\^`{|}%#[]"), c) {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(hex[c>>4])
		out.WriteByte(hex[c&15])
	}
	return out.String()
}

// Missing notes that the body is not there.
func (v *Verdict) Missing(in string) {
	v.add(Violation{In: in, Keyword: "required", Want: "must be there"})
}

// Unwanted notes a body where the contract has none.
func (v *Verdict) Unwanted() {
	v.add(Violation{In: "body", Keyword: "unwanted", Want: "must not be there: the operation takes no body"})
}

// Undeclared notes an answer with a status that the contract lacks.
func (v *Verdict) Undeclared() {
	v.add(Violation{In: "status", Keyword: "undeclared-status", Want: "must be a status of the contract"})
}

// MediaType notes an answer of a media type that the contract lacks.
func (v *Verdict) MediaType() {
	v.add(Violation{In: "body", Keyword: "media-type", Want: "must be of a media type of the contract"})
}
