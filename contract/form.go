package contract

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// form says how a body of application/x-www-form-urlencoded becomes a value for its
// schema: an object whose members are the fields. A field that the schema calls an
// array may come again and again (style form, exploded, which is what OpenAPI means
// by default); any other one comes once, because services disagree on which of two
// counts. Fields are texts: numbers, true, false and null are meant where the schema
// allows them and the text is one to the letter, as in parameters.
type form struct {
	fields map[string]formField
}

type formField struct {
	index int // among the fields, from 0
	value value
	array bool
	items value
}

// mostFields is how many fields a form may have.
const mostFields = 256

const formType = "application/x-www-form-urlencoded"

// form reads how the fields of a schema look.
func (c *compiler) form(doc *document, n *Node) *form {
	f := &form{fields: make(map[string]formField)}
	doc, n = c.inner(doc, n)
	for i, e := range entries(n.Get("properties")) {
		field := formField{index: i, value: value{c.shape(doc, e.Value, 0).types}, items: value{anyType}}
		const composed = scan.TypeArray | scan.TypeObject
		field.array = field.value.types&scan.TypeArray != 0 && field.value.types&^(composed|scan.TypeNull) == 0
		if to, inner := c.inner(doc, e.Value); field.array && inner.Get("items") != nil {
			field.items = value{c.shape(to, inner.Get("items"), 0).types}
		}
		f.fields[e.Key.Text] = field
	}
	return f
}

// check judges a whole form. Its fields become members in the order they come, all
// of one array together; that a member comes twice is for the scan to find.
func (f *form) check(body []byte, p *scan.Program, v *Verdict) {
	text, count := message.View(body), 0
	if v.text = percent(v.text[:0], text, true); !escaped(text) || !utf8.Valid(v.text) {
		v.add(Violation{In: "body", Keyword: "form-syntax", Want: "must be percent-encoded UTF-8"})
		return
	}
	v.scratch, v.listed = append(v.scratch[:0], '{'), v.listed[:0]
	for rest := text; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if pair == "" {
			continue
		}
		if count++; count > mostFields {
			v.add(Violation{In: "body", Keyword: "limit", Want: "must have at most 256 fields"})
			return
		}
		name, raw, _ := strings.Cut(pair, "=")
		v.text = percent(v.text[:0], name, true)
		field, known := f.fields[message.View(v.text)]
		switch {
		case !known:
			f.member(formField{value: value{anyType}}, raw, v)
		case !field.array:
			f.member(field, raw, v)
		case !slices.Contains(v.listed, field.index):
			v.listed = append(v.listed, field.index)
			f.list(field, name, raw, rest, v)
		}
	}
	v.scratch = append(v.scratch, '}')
	f.judge(p, v)
}

// judge checks the object in v.scratch.
func (f *form) judge(p *scan.Program, v *Verdict) {
	v.report.Reset()
	err := p.Scan(v.scratch, v.tape, v.report)
	if fault, ok := errors.AsType[*scan.Error](err); ok && fault.Reason == scan.DuplicateMember {
		v.add(Violation{In: "body", Keyword: "repeated", Want: "must not hold a field twice that is no array"})
		return
	}
	if err != nil {
		v.Syntactic(err)
		return
	}
	if !v.report.Valid() {
		v.Report(v.report, "body", "")
	}
}

// begin writes the name in v.text as that of the next member.
func (f *form) begin(v *Verdict) {
	if len(v.scratch) > 1 {
		v.scratch = append(v.scratch, ',')
	}
	v.scratch = append(scan.AppendText(v.scratch, message.View(v.text)), ':')
}

// member writes a field that comes once.
func (f *form) member(field formField, raw string, v *Verdict) {
	f.begin(v)
	v.text = percent(v.text[:0], raw, true)
	v.scratch = field.value.append(v.scratch, v.text)
}

// list writes all fields of one name, which has the text in v.text.
func (f *form) list(field formField, name, raw, rest string, v *Verdict) {
	f.begin(v)
	v.scratch = append(v.scratch, '[')
	v.text = percent(v.text[:0], raw, true)
	v.scratch = field.items.append(v.scratch, v.text)
	for rest != "" {
		var pair, other string
		pair, rest, _ = strings.Cut(rest, "&")
		other, raw, _ = strings.Cut(pair, "=")
		v.text = percent(v.text[:0], name, true)
		mark := len(v.text)
		v.text = percent(v.text, other, true)
		if pair == "" || string(v.text[mark:]) != string(v.text[:mark]) {
			continue
		}
		v.text = percent(v.text[:0], raw, true)
		v.scratch = field.items.append(append(v.scratch, ','), v.text)
	}
	v.scratch = append(v.scratch, ']')
}

// escaped tells whether each % begins an escape.
func escaped(s string) bool {
	for i := range len(s) {
		if s[i] == '%' && (i+2 >= len(s) || !hexDigit(s[i+1]) || !hexDigit(s[i+2])) {
			return false
		}
	}
	return true
}
