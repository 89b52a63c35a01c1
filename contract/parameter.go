package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// The places of parameters.
const (
	inPath   = "path"
	inQuery  = "query"
	inHeader = "header"
	inCookie = "cookie"
)

// parameter is one declared parameter, or a header of an answer.
type parameter struct {
	in, name string
	place    string // of its schema
	required bool
	style    string
	explode  bool
	text     bool // its value is a JSON text
	empty    bool // it may be empty
	segment  int  // of the path
	id       message.ID

	value value            // of the whole
	items value            // of an array's elements
	props map[string]value // of an object's members
	names []string         // of props
	open  bool             // other members may be there
	check *scan.Program
}

// value says how a text becomes a value: by the types that it may have.
type value struct{ types scan.Types }

// parameter reads one; of two with one name and place the first counts, which is
// the operation's own.
func (c *compiler) parameter(op *Operation, doc *document, n *Node) {
	doc, n = c.deref(doc, n)
	if n == nil {
		return
	}
	p := &parameter{in: n.str("in"), name: n.str("name"), required: n.is("required"), style: n.str("style"), empty: n.is("allowEmptyValue")}
	switch p.in {
	case inPath:
		p.required = true
		for i, segment := range op.segments {
			if segment == "{"+p.name+"}" {
				p.segment = i
			}
		}
	case inQuery, inCookie:
	case inHeader:
		if slices.Contains([]message.ID{message.Accept, message.ContentType, message.Authorization}, message.NameID(p.name)) {
			return // as the standard says
		}
	default:
		c.fault(n, "value", fmt.Sprintf("a parameter in %q is unknown", p.in), "write in: path, query, header or cookie")
		return
	}
	for _, have := range op.params {
		if have.in == p.in && have.name == p.name {
			return
		}
	}
	c.fillParameter(p, doc, n)
	op.params = append(op.params, p)
	if p.in != inQuery {
		return
	}
	op.declared[p.name] = true
	if p.style == "form" && p.explode && p.props != nil {
		for name := range p.props {
			op.declared[name] = true
		}
		op.open = op.open || p.open
	}
}

// header reads a header of an answer.
func (c *compiler) header(doc *document, n *Node, name string) *parameter {
	p := &parameter{in: inHeader, name: name, required: true, style: "simple"}
	c.fillParameter(p, doc, n)
	return p
}

// fillParameter reads style and schema.
func (c *compiler) fillParameter(p *parameter, doc *document, n *Node) {
	p.id = message.NameID(p.name)
	if p.style == "" {
		p.style = "simple"
		if p.in == inQuery || p.in == inCookie {
			p.style = "form"
		}
	}
	p.explode = p.style == "form"
	if v := n.Get("explode"); v != nil {
		p.explode = v.Text == "true"
	}
	s := n.Get("schema")
	if content := n.Get("content"); content != nil && content.Kind == Object && len(content.Entries) == 1 {
		p.text = isJSON(content.Entries[0].Key.Text)
		s = content.Entries[0].Value.Get("schema")
	}
	if s == nil {
		p.value = value{scan.TypeString}
		return
	}
	p.place = c.place(doc, s)
	p.check = c.program(doc, s, toService)
	p.value = value{c.shape(doc, s, 0).types}
	doc, s = c.inner(doc, s)
	if all := s.Get("items"); all != nil {
		p.items = value{c.shape(doc, all, 0).types}
	} else {
		p.items = value{anyType}
	}
	if list := s.Get("properties"); list != nil && list.Kind == Object {
		p.props = make(map[string]value, len(list.Entries))
		for _, e := range list.Entries {
			p.props[e.Key.Text] = value{c.shape(doc, e.Value, 0).types}
			p.names = append(p.names, e.Key.Text)
		}
	}
	more := s.Get("additionalProperties")
	p.open = more == nil || more.Kind != Bool || more.Text == "true"
}

// inner follows the references of a schema.
func (c *compiler) inner(doc *document, n *Node) (*document, *Node) {
	for range maxDepth {
		ref := n.Get("$ref")
		if ref == nil {
			break
		}
		to, target := c.resolve(doc, ref)
		if target == nil {
			break
		}
		doc, n = to, target
	}
	return doc, n
}

// Parameters checks the parameters of a request whose path the operation takes.
// On valid ones it allocates nothing. Closed refuses undeclared query parameters.
func (o *Operation) Parameters(r *message.Request, closed bool, v *Verdict) {
	for _, p := range o.params {
		switch p.in {
		case inPath:
			p.path(r, v)
		case inQuery:
			p.query(r.Query, v)
		case inHeader:
			p.field(&r.Header, v)
		case inCookie:
			p.cookie(&r.Header, v)
		}
	}
	if closed && r.HasQuery && !o.open {
		o.undeclared(r.Query, v)
	}
}

// undeclared refuses query parameters that the contract does not know.
func (o *Operation) undeclared(query string, v *Verdict) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, _, _ := strings.Cut(pair, "=")
		v.text = percent(v.text[:0], name, true)
		if base, _, deep := strings.Cut(message.View(v.text), "["); name != "" && !o.declared[message.View(v.text)] && (!deep || !o.declared[base]) {
			v.add(Violation{In: inQuery, Name: clip(string(v.text)), Keyword: "unknown", Want: "is no parameter of this operation"})
		}
	}
}

// clip bounds a name that a stranger chose.
func clip(s string) string {
	const most = 64
	return s[:min(len(s), most)]
}

// missing notes that a required parameter is not there.
func (p *parameter) missing(v *Verdict) {
	if p.required {
		v.add(Violation{In: p.in, Name: p.name, Schema: p.place, Keyword: "required", Want: "must be there"})
	}
}

// judge checks the JSON text in v.scratch.
func (p *parameter) judge(v *Verdict) {
	if p.check == nil {
		return
	}
	v.report.Reset()
	if err := p.check.Scan(v.scratch, v.tape, v.report); err != nil {
		v.add(Violation{In: p.in, Name: p.name, Schema: p.place, Keyword: "json-syntax", Want: "must be JSON"})
		return
	}
	for _, x := range v.report.Violations() {
		v.add(Violation{In: p.in, Name: p.name, Pointer: x.Pointer, Folded: x.Folded, Schema: x.Schema, Keyword: x.Keyword, Want: x.Want})
	}
}

// path checks a parameter of the path.
func (p *parameter) path(r *message.Request, v *Verdict) {
	if p.segment == 0 {
		return
	}
	raw := r.Path
	for range p.segment {
		_, raw, _ = strings.Cut(raw, "/")
	}
	raw, _, _ = strings.Cut(raw, "/")
	switch p.style {
	case "label":
		raw = strings.TrimPrefix(raw, ".")
	case "matrix":
		raw = strings.TrimPrefix(raw, ";")
		if !p.explode || p.value.types&(scan.TypeArray|scan.TypeObject) == 0 {
			_, raw, _ = strings.Cut(raw, "=")
		}
	}
	p.delimited(raw, p.separator(), false, v)
}

// separator parts the elements of an array or object.
func (p *parameter) separator() string {
	switch {
	case p.style == "label" && p.explode:
		return "."
	case p.style == "matrix" && p.explode:
		return ";"
	case p.style == "spaceDelimited":
		return "%20"
	case p.style == "pipeDelimited":
		return "|"
	}
	return ","
}

// delimited checks a value that stands in one piece.
func (p *parameter) delimited(raw, separator string, plus bool, v *Verdict) {
	v.scratch = v.scratch[:0]
	switch {
	case p.text:
		v.scratch = percent(v.scratch, raw, plus)
	case p.value.types&scan.TypeObject != 0 && p.props != nil && p.value.types&scan.TypeString == 0:
		p.members(raw, separator, plus, v)
	case p.value.types&scan.TypeArray != 0 && p.value.types&scan.TypeString == 0:
		p.elements(raw, separator, plus, v)
	default:
		v.text = percent(v.text[:0], raw, plus)
		v.scratch = p.value.append(v.scratch, v.text)
	}
	p.judge(v)
}

// elements writes an array.
func (p *parameter) elements(raw, separator string, plus bool, v *Verdict) {
	v.scratch = append(v.scratch, '[')
	for more := raw != ""; more; {
		var one string
		one, raw, more = strings.Cut(raw, separator)
		if p.style == "matrix" && p.explode {
			_, one, _ = strings.Cut(one, "=")
		}
		v.text = percent(v.text[:0], one, plus)
		v.scratch = p.items.append(v.scratch, v.text)
		if more {
			v.scratch = append(v.scratch, ',')
		}
	}
	v.scratch = append(v.scratch, ']')
}

// members writes an object: name=value each, or name and value in turn.
func (p *parameter) members(raw, separator string, plus bool, v *Verdict) {
	v.scratch = append(v.scratch, '{')
	for more := raw != ""; more; {
		var name, one string
		name, raw, more = strings.Cut(raw, separator)
		if p.explode {
			name, one, _ = strings.Cut(name, "=")
		} else {
			one, raw, more = strings.Cut(raw, separator)
		}
		p.member(name, one, plus, v)
		if more {
			v.scratch = append(v.scratch, ',')
		}
	}
	v.scratch = append(v.scratch, '}')
}

// member writes one member of an object.
func (p *parameter) member(name, raw string, plus bool, v *Verdict) {
	v.text = percent(v.text[:0], name, plus)
	kind, known := p.props[message.View(v.text)]
	if !known {
		kind = value{anyType}
	}
	v.scratch = append(scan.AppendText(v.scratch, message.View(v.text)), ':')
	v.text = percent(v.text[:0], raw, plus)
	v.scratch = kind.append(v.scratch, v.text)
}

// append writes a text as the value that is meant: a number, true, false or null
// where the schema allows it and the text is one to the letter, else a string.
func (t value) append(dst, text []byte) []byte {
	switch {
	case t.types&anyNumber != 0 && isNumber(text):
		return append(dst, text...)
	case t.types&scan.TypeBoolean != 0 && (string(text) == "true" || string(text) == "false"):
		return append(dst, text...)
	case t.types&scan.TypeNull != 0 && string(text) == "null":
		return append(dst, text...)
	}
	return scan.AppendText(dst, text)
}

// query checks a parameter of the query.
func (p *parameter) query(query string, v *Verdict) {
	composed := p.value.types&(scan.TypeArray|scan.TypeObject) != 0 && p.value.types&scan.TypeString == 0
	switch {
	case p.style == "deepObject":
		p.deep(query, v)
		return
	case p.style == "form" && p.explode && composed && p.props != nil && !p.text:
		p.spread(query, v)
		return
	}
	array := composed && p.explode && !p.text && p.props == nil
	count, first := 0, ""
	v.scratch = append(v.scratch[:0], '[')
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, raw, _ := strings.Cut(pair, "=")
		if !same(name, p.name, v) {
			continue
		}
		if count++; count == 1 {
			first = raw
		} else {
			v.scratch = append(v.scratch, ',')
		}
		if array {
			v.text = percent(v.text[:0], raw, true)
			v.scratch = p.items.append(v.scratch, v.text)
		}
	}
	switch {
	case count == 0:
		p.missing(v)
	case array:
		v.scratch = append(v.scratch, ']')
		p.judge(v)
	case count > 1:
		v.add(Violation{In: inQuery, Name: p.name, Schema: p.place, Keyword: "repeated", Want: "must be there once"})
	case first == "" && p.empty:
	default:
		if p.style == "spaceDelimited" && !strings.Contains(first, "%20") {
			p.delimited(first, "+", false, v)
			return
		}
		p.delimited(first, p.separator(), true, v)
	}
}

// same tells whether a name of the query is the wanted one.
func same(raw, name string, v *Verdict) bool {
	if !strings.ContainsAny(raw, "%+") {
		return raw == name
	}
	v.text = percent(v.text[:0], raw, true)
	return string(v.text) == name
}

// deep checks a deepObject: name[member]=value.
func (p *parameter) deep(query string, v *Verdict) {
	v.scratch = append(v.scratch[:0], '{')
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, raw, _ := strings.Cut(pair, "=")
		v.text = percent(v.text[:0], name, true)
		inside, found := strings.CutPrefix(message.View(v.text), p.name)
		if !found || len(inside) < 3 || inside[0] != '[' || inside[len(inside)-1] != ']' {
			continue
		}
		if len(v.scratch) > 1 {
			v.scratch = append(v.scratch, ',')
		}
		inside = inside[1 : len(inside)-1]
		kind, known := p.props[inside]
		if !known {
			kind = value{anyType}
		}
		v.scratch = append(scan.AppendText(v.scratch, inside), ':')
		v.text = percent(v.text[:0], raw, true)
		v.scratch = kind.append(v.scratch, v.text)
	}
	p.close(v)
}

// spread checks an object whose members are parameters of their own.
func (p *parameter) spread(query string, v *Verdict) {
	v.scratch = append(v.scratch[:0], '{')
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, raw, _ := strings.Cut(pair, "=")
		v.text = percent(v.text[:0], name, true)
		if _, known := p.props[message.View(v.text)]; !known {
			continue
		}
		if len(v.scratch) > 1 {
			v.scratch = append(v.scratch, ',')
		}
		p.member(name, raw, true, v)
	}
	p.close(v)
}

// close ends an object and judges it, if there is something in it.
func (p *parameter) close(v *Verdict) {
	if len(v.scratch) == 1 {
		p.missing(v)
		return
	}
	v.scratch = append(v.scratch, '}')
	p.judge(v)
}

// field checks a header field. The lines of a list are one list (RFC 9110 §5.3).
func (p *parameter) field(h *message.Header, v *Verdict) {
	count := 0
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if f.ID != p.id || f.ID == message.Other && !strings.EqualFold(f.Name, p.name) {
			continue
		}
		if count++; count == 2 && p.value.types&scan.TypeArray == 0 {
			v.add(Violation{In: p.in, Name: p.name, Schema: p.place, Keyword: "repeated", Want: "must be there once"})
			return
		}
		p.list(f.Value, v)
	}
	if count == 0 {
		p.missing(v)
	}
}

// list checks a value in which nothing is percent-encoded.
func (p *parameter) list(raw string, v *Verdict) {
	v.scratch = v.scratch[:0]
	if p.text || p.value.types&scan.TypeString != 0 || p.value.types&(scan.TypeArray|scan.TypeObject) == 0 {
		v.text = append(v.text[:0], raw...)
		if p.text {
			v.scratch = append(v.scratch, raw...)
		} else {
			v.scratch = p.value.append(v.scratch, v.text)
		}
		p.judge(v)
		return
	}
	open, shut := byte('['), byte(']')
	object := p.props != nil && p.value.types&scan.TypeObject != 0
	if object {
		open, shut = '{', '}'
	}
	v.scratch = append(v.scratch, open)
	for more := raw != ""; more; {
		var one string
		one, raw, more = strings.Cut(raw, ",")
		one = strings.Trim(one, " \t")
		kind := p.items
		if object {
			name := one
			if p.explode {
				name, one, _ = strings.Cut(one, "=")
			} else {
				one, raw, more = strings.Cut(raw, ",")
			}
			kind = p.props[name]
			v.scratch = append(scan.AppendText(v.scratch, name), ':')
		}
		v.text = append(v.text[:0], one...)
		v.scratch = kind.append(v.scratch, v.text)
		if more {
			v.scratch = append(v.scratch, ',')
		}
	}
	v.scratch = append(v.scratch, shut)
	p.judge(v)
}

// cookie checks a cookie; names are case-sensitive (RFC 6265 §4.2).
func (p *parameter) cookie(h *message.Header, v *Verdict) {
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if f.ID != message.Cookie {
			continue
		}
		for rest := f.Value; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			name, raw, ok := strings.Cut(pair, "=")
			if ok && strings.Trim(name, " \t") == p.name {
				p.delimited(strings.Trim(raw, " \t"), ",", false, v)
				return
			}
		}
	}
	p.missing(v)
}

// Headers checks the required header fields of an answer.
func (r *Response) Headers(h *message.Header, v *Verdict) {
	for _, p := range r.headers {
		p.field(h, v)
	}
}

// percent decodes percent-encoding; plus says that + is a space. What is no
// encoding stays as it is.
func percent(dst []byte, s string, plus bool) []byte {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+' && plus:
			dst = append(dst, ' ')
		case s[i] == '%' && i+2 < len(s) && hexDigit(s[i+1]) && hexDigit(s[i+2]):
			dst = append(dst, nibble(s[i+1])<<4|nibble(s[i+2]))
			i += 2
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
