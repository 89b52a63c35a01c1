package aggregate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Selection is one entry of a selection set: a field, a lift or a fragment. A
// view's text and a GraphQL document both come down to it.
type Selection struct {
	// Alias is the name in the answer; "" for Name's own.
	Alias string
	// Name of the field; "" of an inline fragment.
	Name string
	// Path are the names behind Name: a.b.c.
	Path []string
	// Lift puts the members of the object in place of it: ...name.
	Lift bool
	// Spread is a fragment by name: ...Name, which may also be a lift; On the type
	// condition of an inline one.
	Spread bool
	On     string
	// Args in written order.
	Args []Arg
	// Where keeps elements of a list, in CEL; "" keeps all.
	Where string
	// Default is a JSON literal for null and failure; "" without one.
	Default string
	// Directives in written order.
	Directives []Directive
	// Sub are the fields of the object.
	Sub []Selection
	// At is the byte offset in the text.
	At int
}

// Out is the name in the answer.
func (s *Selection) Out() string {
	if s.Alias != "" {
		return s.Alias
	}
	if len(s.Path) > 0 {
		return s.Path[len(s.Path)-1]
	}
	return s.Name
}

// Arg is one argument.
type Arg struct {
	Name  string
	Value Value
	At    int
}

// Value is a literal or a variable: JSON is the literal, Var the input's name.
type Value struct {
	JSON string
	Var  string
}

// Directive is @name(args).
type Directive struct {
	Name string
	Args []Arg
	At   int
}

// arg gives an argument's value.
func (d *Directive) arg(name string) (Value, bool) {
	for i := range d.Args {
		if d.Args[i].Name == name {
			return d.Args[i].Value, true
		}
	}
	return Value{}, false
}

// syntaxError is a fault in the text of a selection.
type syntaxError struct {
	at   int
	text string
}

func (e *syntaxError) Error() string { return e.text }

// maxSelection is the size of a selection's text in bytes, maxNesting its depth.
const (
	maxSelection = 64 << 10
	maxNesting   = 32
)

// ParseSelection reads the text of a selection set without its outer braces. The
// error is of one fault and tells its byte offset by [Offset].
func ParseSelection(text string) ([]Selection, error) {
	if len(text) > maxSelection {
		return nil, &syntaxError{0, fmt.Sprintf("the selection has %d bytes; at most %d are read", len(text), maxSelection)}
	}
	if !utf8.ValidString(text) {
		return nil, &syntaxError{0, "the selection is not UTF-8"}
	}
	p := &parser{text: text}
	p.next()
	out := p.set(0)
	if p.fault == nil && p.tok.kind != tokEnd {
		p.fail(p.tok.at, "unexpected %s", p.tok)
	}
	if p.fault != nil {
		return nil, p.fault
	}
	if len(out) == 0 {
		return nil, &syntaxError{0, "the selection is empty"}
	}
	return out, nil
}

// Offset is the byte offset of a fault of [ParseSelection] in its text.
func Offset(err error) int {
	if e, ok := err.(*syntaxError); ok { //nolint:errorlint // made here, never wrapped
		return e.at
	}
	return 0
}

type tokKind uint8

const (
	tokEnd tokKind = iota
	tokName
	tokNumber
	tokString
	tokPunct  // one of { } ( ) : ! . @ $ [ ] ?
	tokSpread // ...
	tokElse   // ??
)

type token struct {
	kind tokKind
	text string
	at   int
}

func (t token) String() string {
	if t.kind == tokEnd {
		return "end of the selection"
	}
	return strconv.Quote(t.text)
}

// parser reads GraphQL's selection syntax and the four extras of views.
type parser struct {
	text  string
	pos   int
	tok   token
	fault error
}

func (p *parser) fail(at int, format string, args ...any) {
	if p.fault == nil {
		p.fault = &syntaxError{at, fmt.Sprintf(format, args...)}
		p.pos = len(p.text)
		p.tok = token{at: at}
	}
}

func nameStart(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func nameByte(c byte) bool { return nameStart(c) || c >= '0' && c <= '9' }

// blank skips what GraphQL ignores: white space, commas, comments, a BOM.
func (p *parser) blank() {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',':
			p.pos++
		case c == '#':
			for p.pos < len(p.text) && p.text[p.pos] != '\n' {
				p.pos++
			}
		case strings.HasPrefix(p.text[p.pos:], "\ufeff"):
			p.pos += len("\ufeff")
		default:
			return
		}
	}
}

func (p *parser) next() {
	if p.fault != nil {
		return
	}
	p.blank()
	at := p.pos
	if at >= len(p.text) {
		p.tok = token{at: at}
		return
	}
	rest := p.text[at:]
	kind, n := tokPunct, 1
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "..."):
		kind, n = tokSpread, 3
	case strings.HasPrefix(rest, "??"):
		kind, n = tokElse, 2
	case nameStart(c):
		kind = tokName
		for n < len(rest) && nameByte(rest[n]) {
			n++
		}
	case c == '-' || c >= '0' && c <= '9':
		kind = tokNumber
		for n < len(rest) && (nameByte(rest[n]) || strings.IndexByte("+-.", rest[n]) >= 0) {
			n++
		}
		if !jsonNumber(rest[:n]) {
			p.fail(at, "%s is not a number", rest[:n])
			return
		}
	case c == '"':
		kind = tokString
		if n = stringEnd(rest); n < 0 {
			p.fail(at, "the text has no closing quote")
			return
		}
	case strings.IndexByte("{}():!.@$[]", c) < 0:
		_, size := utf8.DecodeRuneInString(rest)
		p.fail(at, "%q has no meaning here", rest[:size])
		return
	}
	p.tok = token{kind, rest[:n], at}
	p.pos = at + n
}

// stringEnd is the length of the JSON string that s begins with, -1 without an end.
func stringEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case '\n':
			return -1
		}
	}
	return -1
}

// jsonNumber tells whether s is a number of RFC 8259.
func jsonNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, exp, hasExp := cutAny(s, "eE")
	whole, frac, hasFrac := strings.Cut(whole, ".")
	if !digits(whole) || len(whole) > 1 && whole[0] == '0' || hasFrac && !digits(frac) {
		return false
	}
	if hasExp {
		exp = strings.TrimLeft(exp, "+-")
		return digits(exp)
	}
	return true
}

func cutAny(s, chars string) (before, after string, found bool) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func (p *parser) is(punct string) bool { return p.tok.kind == tokPunct && p.tok.text == punct }

// take passes a punctuation mark that must come now.
func (p *parser) take(punct string) {
	if !p.is(punct) {
		p.fail(p.tok.at, "expected %q, not %s", punct, p.tok)
		return
	}
	p.next()
}

func (p *parser) name() string {
	if p.tok.kind != tokName {
		p.fail(p.tok.at, "expected a name, not %s", p.tok)
		return ""
	}
	s := p.tok.text
	p.next()
	return s
}

func (p *parser) set(depth int) []Selection {
	var out []Selection
	if depth > maxNesting {
		p.fail(p.tok.at, "the selection is nested more than %d deep", maxNesting)
	}
	for p.fault == nil && (p.tok.kind == tokName || p.tok.kind == tokSpread) {
		out = append(out, p.one(depth))
	}
	return out
}

func (p *parser) one(depth int) Selection {
	s := Selection{At: p.tok.at}
	if p.tok.kind == tokSpread {
		p.next()
		s.Spread = true
		if p.tok.kind == tokName && p.tok.text == "on" {
			p.next()
			s.On = p.name()
			s.Directives = p.directives()
			s.Sub = p.braces(depth)
			return s
		}
		if p.is("@") || p.is("{") {
			s.Directives = p.directives()
			s.Sub = p.braces(depth)
			return s
		}
		s.Lift = true
	}
	s.Name = p.name()
	if p.is(":") {
		if s.Spread {
			p.fail(p.tok.at, "what is lifted has no name of its own")
		}
		p.next()
		s.Alias = s.Name
		s.Name = p.name()
	}
	for p.is(".") {
		p.next()
		s.Path = append(s.Path, p.name())
	}
	if p.is("(") {
		s.Args = p.args()
	}
	if p.is("[") {
		s.Where = p.where()
	}
	s.Directives = p.directives()
	if p.is("{") {
		s.Sub = p.braces(depth)
	}
	if p.tok.kind == tokElse {
		s.Default = p.fallback()
	}
	return s
}

func (p *parser) braces(depth int) []Selection {
	at := p.tok.at
	p.take("{")
	out := p.set(depth + 1)
	p.take("}")
	if len(out) == 0 {
		p.fail(at, "nothing is selected between the braces")
	}
	return out
}

func (p *parser) directives() []Directive {
	var out []Directive
	for p.is("@") && p.fault == nil {
		d := Directive{At: p.tok.at}
		p.next()
		d.Name = p.name()
		if p.is("(") {
			d.Args = p.args()
		}
		out = append(out, d)
	}
	return out
}

// args reads (name: value, name): a name alone stands for the input of that name.
func (p *parser) args() []Arg {
	p.take("(")
	var out []Arg
	for p.tok.kind == tokName && p.fault == nil {
		a := Arg{At: p.tok.at, Name: p.tok.text}
		p.next()
		if p.is(":") {
			p.next()
			a.Value = p.value(0)
		} else {
			a.Value = Value{Var: a.Name}
		}
		for i := range out {
			if out[i].Name == a.Name {
				p.fail(a.At, "the argument %s is here twice", a.Name)
			}
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		p.fail(p.tok.at, "expected an argument, not %s", p.tok)
	}
	p.take(")")
	return out
}

// value reads a literal or a variable; a bare word is an input's name.
func (p *parser) value(depth int) Value {
	t := p.tok
	switch {
	case p.is("$"):
		p.next()
		return Value{Var: p.name()}
	case t.kind == tokName && (t.text == "true" || t.text == "false" || t.text == "null"):
		p.next()
		return Value{JSON: t.text}
	case t.kind == tokName:
		p.next()
		return Value{Var: t.text}
	}
	return Value{JSON: p.literal(depth)}
}

// literal reads a JSON value and gives it in its shortest form.
func (p *parser) literal(depth int) string {
	t := p.tok
	if depth > maxNesting {
		p.fail(t.at, "the value is nested more than %d deep", maxNesting)
		return ""
	}
	switch {
	case t.kind == tokNumber:
		p.next()
		return t.text
	case t.kind == tokString:
		p.next()
		var s string
		if err := json.Unmarshal([]byte(t.text), &s); err != nil {
			p.fail(t.at, "%s is not a text", t.text)
		}
		return quoteJSON(s)
	case t.kind == tokName && (t.text == "true" || t.text == "false" || t.text == "null"):
		p.next()
		return t.text
	case p.is("["):
		p.next()
		var items []string
		for !p.is("]") && p.fault == nil {
			items = append(items, p.literal(depth+1))
		}
		p.take("]")
		return "[" + strings.Join(items, ",") + "]"
	case p.is("{"):
		return p.object(depth)
	}
	p.fail(t.at, "expected a value, not %s", t)
	return ""
}

func (p *parser) object(depth int) string {
	p.take("{")
	var items []string
	for !p.is("}") && p.fault == nil {
		var name string
		if p.tok.kind == tokString {
			name = p.literal(depth + 1)
		} else {
			name = quoteJSON(p.name())
		}
		p.take(":")
		items = append(items, name+":"+p.literal(depth+1))
	}
	p.take("}")
	return "{" + strings.Join(items, ",") + "}"
}

// where reads [condition] as it stands: the condition is CEL, not GraphQL.
func (p *parser) where() string {
	depth, start := 1, p.pos
	for i := p.pos; i < len(p.text); i++ {
		switch p.text[i] {
		case '[':
			depth++
		case ']':
			depth--
		case '"', '\'':
			quote := p.text[i]
			for i++; i < len(p.text) && p.text[i] != quote; i++ {
				if p.text[i] == '\\' {
					i++
				}
			}
		}
		if depth == 0 {
			p.pos = i + 1
			where := strings.TrimSpace(p.text[start:i])
			if where == "" {
				p.fail(start, "the condition between the brackets is empty")
			}
			p.next()
			return where
		}
	}
	p.fail(p.tok.at, "the bracket is not closed")
	return ""
}

// fallback reads ?? literal.
func (p *parser) fallback() string {
	p.next()
	return p.literal(0)
}

// quoteJSON writes s as a JSON string.
func quoteJSON(s string) string {
	return string(appendQuoted(nil, s))
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends s as a JSON string; s is UTF-8.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
