package filter

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// A template is text with placeholders such as {path.id}, {query.page},
// {header.Accept}, {client}. There is nothing to compute in it: no functions,
// no conditions. What it inserts is escaped for the place where it stands, so
// that no client can break out of a JSON string, an element or a field value.
// "{{" is a literal brace; a brace that does not open a placeholder is literal too.
type template struct {
	parts []part
	form  form
}

// form is what the text is, and so how values are escaped.
type form uint8

const (
	formText  form = iota // as it is, percent-decoded
	formJSON              // JSON string escapes
	formHTML              // character references
	formURL               // percent-encoded
	formField             // a field value: still percent-encoded
)

type source uint8

const (
	srcLiteral source = iota
	srcMethod
	srcPath
	srcQuery
	srcHost
	srcScheme
	srcClient
	srcRequestID
	srcTraceID
	srcRoute
	srcStatus
	srcTitle
	srcDetail
	srcReason
	srcParam
	srcQueryValue
	srcHeader
	srcCookie
)

type part struct {
	text   string // the literal, or the name behind the dot
	source source
	typ    string // "", "int", "number", "bool"
	quoted bool   // stands inside a JSON string
}

// plainWords are the placeholders without a name; the last four exist only
// where a problem is told.
var plainWords = []string{ //nolint:gochecknoglobals // read-only table
	"method", "path", "query", "host", "scheme", "client", "request-id", "trace-id", "route",
	"status", "title", "detail", "reason",
}

const problemWords = 4

var namedWords = map[string]source{ //nolint:gochecknoglobals // read-only table
	"path": srcParam, "query": srcQueryValue, "header": srcHeader, "cookie": srcCookie,
}

// template reads a template; withProblem allows {status}, {title}, {detail}, {reason}.
func (f *faults) template(path, text string, fm form, withProblem bool) *template {
	t := &template{form: fm}
	lit := make([]byte, 0, len(text))
	inString := false // of a JSON text
	flush := func() {
		if len(lit) > 0 {
			t.parts = append(t.parts, part{text: string(lit)})
			lit = lit[:0]
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '{' {
			if c == '\\' && inString && i+1 < len(text) {
				lit = append(lit, c, text[i+1])
				i++
				continue
			}
			inString = inString != (c == '"')
			lit = append(lit, c)
			continue
		}
		if strings.HasPrefix(text[i:], "{{") {
			lit = append(lit, '{')
			i++
			continue
		}
		end := strings.IndexByte(text[i:], '}')
		p, ok := part{}, false
		if end > 0 {
			p, ok = f.placeholder(path, text[i+1:i+end], withProblem)
		}
		if !ok {
			lit = append(lit, c)
			continue
		}
		flush()
		p.quoted = inString
		t.parts = append(t.parts, p)
		i += end
	}
	flush()
	if fm == formJSON && !json.Valid(t.sample()) {
		f.at(path, "the text is not JSON once its values stand in it").
			WithFix("check commas and quotes; {path.id} without quotes gives a JSON string, {path.id:int} a number")
	}
	return t
}

// urlOctets checks that the text of a URL holds nothing else, such as the braces
// of a misspelt placeholder.
func (f *faults) urlOctets(path string, t *template) {
	if !validLocation(string(t.sample())) {
		f.at(path, "the path holds an octet that a URL can't").WithFix("percent-encode it; placeholders are {path.NAME}, {query.NAME}, {path}, {host}…")
	}
}

// sample is the text with a value of the right kind at each placeholder.
func (t *template) sample() []byte {
	var out []byte
	for _, p := range t.parts {
		switch {
		case p.source == srcLiteral:
			out = append(out, p.text...)
		case p.typ != "" || p.quoted || t.form != formJSON:
			out = append(out, '1')
		default:
			out = append(out, `"x"`...)
		}
	}
	return out
}

func looksLikeWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '.' && c != ':' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != "" && s[0] >= 'a' && s[0] <= 'z'
}

// placeholder reads what stands between braces; false means that it is plain text.
func (f *faults) placeholder(path, word string, withProblem bool) (part, bool) {
	if !looksLikeWord(word) {
		return part{}, false
	}
	base, typ, _ := strings.Cut(word, ":")
	kind, name, named := strings.Cut(base, ".")
	if named {
		src, ok := namedWords[kind]
		if !ok || name == "" {
			f.at(path, "{%s} is no placeholder", word).
				WithFix("write {path.NAME}, {query.NAME}, {header.NAME} or {cookie.NAME}; {{ stands for a brace")
			return part{}, true
		}
		if typ != "" {
			f.oneOf(path, typ, "int", "number", "bool")
		}
		return part{text: name, source: src, typ: typ}, true
	}
	i := slices.Index(plainWords, base)
	if i < 0 {
		if best := diag.Nearest(base, plainWords); typ == "" && len(base) >= 4 && best != "" {
			f.at(path, "{%s} is no placeholder", word).WithFix("did you mean {%s}? {{ stands for a brace", best)
		}
		return part{}, false
	}
	if i >= len(plainWords)-problemWords && !withProblem {
		f.at(path, "{%s} is known only to error pages", word).WithFix("remove it; {{ stands for a brace")
	}
	if typ != "" {
		f.oneOf(path, typ, "int", "number", "bool")
	}
	return part{source: srcMethod + source(i), typ: typ}, true
}

// constant gives the text of a template without placeholders.
func (t *template) constant() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].source == srcLiteral:
		return t.parts[0].text, true
	}
	return "", false
}

// append writes the text for r. p is the problem that is told, nil without one.
// A value that is not of its type gives a 400.
func (t *template) append(dst []byte, r *message.Request, p *problem.Error) ([]byte, error) {
	var room [256]byte
	for i := range t.parts {
		pt := &t.parts[i]
		if pt.source == srcLiteral {
			dst = append(dst, pt.text...)
			continue
		}
		v := t.value(room[:0], pt, r, p)
		if pt.typ != "" {
			if !typed(pt.typ, v) {
				return dst, problem.New(400, "template_value", pt.text+" is not of the type "+pt.typ)
			}
			dst = append(dst, v...)
			continue
		}
		dst = t.escape(dst, pt, v)
	}
	return dst, nil
}

// value gives the bytes to insert, not yet escaped. It may use room.
func (t *template) value(room []byte, pt *part, r *message.Request, p *problem.Error) []byte {
	switch pt.source {
	case srcMethod:
		return append(room, r.Method...)
	case srcPath:
		return append(room, r.Path...)
	case srcQuery:
		return append(room, r.Query...)
	case srcHost:
		return append(room, r.Host...)
	case srcScheme:
		return append(room, r.Scheme...)
	case srcClient:
		if r.X.Client.IsValid() {
			return r.X.Client.AppendTo(room)
		}
	case srcRequestID:
		return append(room, r.X.RequestID...)
	case srcTraceID:
		return appendTraceID(room, r)
	case srcRoute:
		return append(room, r.X.Route...)
	case srcStatus, srcTitle, srcDetail, srcReason:
		return appendProblem(room, pt.source, p)
	case srcParam:
		return t.decoded(room, r.X.Param(pt.text), false)
	case srcQueryValue:
		return t.decoded(room, queryValue(r.Query, pt.text), true)
	case srcHeader:
		return append(room, r.Header.Get(pt.text)...)
	case srcCookie:
		v, _ := cookie(&r.Header, pt.text)
		return append(room, v...)
	case srcLiteral:
	}
	return room
}

func appendProblem(dst []byte, s source, p *problem.Error) []byte {
	if p == nil {
		return dst
	}
	switch s {
	case srcStatus:
		return strconv.AppendInt(dst, int64(p.Status), 10)
	case srcTitle:
		return append(dst, titleOf(p)...)
	case srcDetail:
		return append(dst, p.Detail...)
	default:
		return append(dst, p.Reason...)
	}
}

// decoded takes the percent-encoding off, except where the result is a URL or a
// field value again.
func (t *template) decoded(dst []byte, v string, plus bool) []byte {
	if t.form == formURL || t.form == formField {
		return append(dst, v...)
	}
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			hi, lo := unhex(v[i+1]), unhex(v[i+2])
			if hi < 16 && lo < 16 {
				dst = append(dst, hi<<4|lo)
				i += 2
				continue
			}
		}
		if plus && v[i] == '+' {
			dst = append(dst, ' ')
			continue
		}
		dst = append(dst, v[i])
	}
	return dst
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// queryValue gives the first value of a query parameter, still encoded.
func queryValue(query, name string) string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k == name {
			return v
		}
	}
	return ""
}

func (t *template) escape(dst []byte, pt *part, v []byte) []byte {
	switch t.form {
	case formJSON:
		n := len(dst)
		dst = problem.AppendString(dst, message.View(v))
		if pt.quoted { // the quotes stand in the text already
			copy(dst[n:], dst[n+1:])
			dst = dst[:len(dst)-2]
		}
		return dst
	case formHTML:
		return appendHTML(dst, message.View(v))
	case formURL:
		switch pt.source {
		case srcParam, srcPath, srcQuery:
			return append(dst, v...) // URL parts are inserted still encoded
		case srcQueryValue:
			return appendQueryValue(dst, v)
		default:
			return appendPercent(dst, v)
		}
	default:
		return append(dst, v...)
	}
}

// appendHTML escapes what could end an element's text or a quoted attribute.
func appendHTML(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendPercent encodes all but the unreserved octets (RFC 3986 §2.3).
func appendPercent(dst, v []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range v {
		if unreserved(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&15])
	}
	return dst
}

// appendQueryValue inserts one value of a query elsewhere in a URL: what is
// encoded stays so, and what has a meaning there that it had not in the query is
// encoded: a slash would begin another segment.
func appendQueryValue(dst, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '+':
			dst = append(dst, "%20"...)
		case c == '%' && i+2 < len(v) && unhex(v[i+1]) < 16 && unhex(v[i+2]) < 16:
			dst = append(dst, v[i:i+3]...)
			i += 2
		default:
			dst = appendPercent(dst, v[i:i+1])
		}
	}
	return dst
}

func unreserved(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// typed tells whether v may stand where a value of that type is promised, in JSON's grammar.
func typed(typ string, v []byte) bool {
	switch typ {
	case "bool":
		return string(v) == "true" || string(v) == "false"
	case "int":
		d := v
		if len(d) > 0 && d[0] == '-' {
			d = d[1:]
		}
		for _, c := range d {
			if c < '0' || c > '9' {
				return false
			}
		}
		return len(d) > 0 && len(d) <= 18 && (d[0] != '0' || len(d) == 1)
	default:
		return len(v) > 0 && len(v) <= 64 && (v[0] == '-' || v[0] >= '0' && v[0] <= '9') && json.Valid(v)
	}
}
