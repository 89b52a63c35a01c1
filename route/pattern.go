package route

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// pathKind orders patterns: a higher one is more specific (gateway §2).
type pathKind int32

const (
	kindRest pathKind = iota
	kindRegex
	kindSegments
	kindExact
)

func (k pathKind) String() string {
	return [...]string{"rest", "regex", "segments", "exact"}[k]
}

// segKind orders segments in the trie.
type segKind uint8

const (
	segLiteral segKind = iota
	segRegex           // {name:expr}
	segAny             // {name}
)

// segment is one part of a pattern between slashes.
type segment struct {
	kind segKind
	text string // literal: the segment; regex: its expression
	name string // of the parameter
	re   *regexp.Regexp
}

// pattern is a parsed path pattern. "/a/{id}" has the segments a, {id}; "/a/"
// has a and an empty literal.
type pattern struct {
	kind   pathKind
	segs   []segment
	rest   string // the parameter of {rest...}
	re     *regexp.Regexp
	expr   string // of re, as written
	names  []string
	prefix string // the literal bytes that every path of it begins with
	text   string // as written; "" for none
	shape  string // the segments in a form that sorts as the trie branches

	literals, constrained int
}

const (
	maxPattern  = 4096
	maxRegex    = 1024
	regexPrefix = "regex:"
)

// parsePattern reads a pattern; "" takes every path. Faults are field errors.
func parsePattern(text string) (*pattern, error) {
	p := &pattern{text: text}
	if err := p.parse(text); err != nil {
		return nil, err
	}
	p.shape = p.shapeOf()
	return p, nil
}

func (p *pattern) parse(text string) error {
	switch {
	case text == "":
		p.kind = kindRest
		return nil
	case len(text) > maxPattern:
		return diag.At("", "the pattern has %d bytes, more than %d", len(text), maxPattern).WithFix("write a shorter one")
	case strings.HasPrefix(text, regexPrefix):
		return p.parseRegex(text[len(regexPrefix):])
	case text[0] != '/':
		return diag.At("", "a path begins with /").WithFix("write /%s", text)
	case strings.IndexByte(text, '{') < 0 && strings.IndexByte(text, '}') < 0:
		return p.parseLiteral(text)
	}
	return p.parseSegments(text)
}

// shapeOf writes the segments one after the other, each behind an octet that no
// path holds, parameters as octets that sort behind all literals.
func (p *pattern) shapeOf() string {
	size := 0
	for i := range p.segs {
		size += 2 + len(p.segs[i].text)
	}
	b := make([]byte, 0, size)
	for i := range p.segs {
		b = append(b, 0)
		if k := p.segs[i].kind; k != segLiteral {
			b = append(b, 0xFD+byte(k))
		}
		b = append(b, p.segs[i].text...)
	}
	return message.View(b)
}

// parseLiteral reads a pattern without parameters.
func (p *pattern) parseLiteral(text string) error {
	if err := literalFault(text); err != nil {
		return err
	}
	p.kind, p.prefix = kindExact, text
	p.segs = make([]segment, 0, strings.Count(text, "/"))
	for rest := text[1:]; ; {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			p.literal(rest)
			return nil
		}
		p.literal(rest[:i])
		rest = rest[i+1:]
	}
}

func (p *pattern) literal(s string) {
	p.segs = append(p.segs, segment{kind: segLiteral, text: s})
	if s != "" {
		p.literals++
	}
}

// literalFault tells why a path can't be the literal part of a pattern: no
// request's canonical path would be equal to it.
func literalFault(path string) error {
	if clean, reading := scanPath(path); clean && reading&ReadEmpty == 0 {
		return nil
	}
	if strings.Contains(path, "//") {
		return diag.At("", "the pattern has an empty segment").WithFix("write one slash, or regex: for paths with //")
	}
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		return diag.At("", "a path pattern holds no %q: it matches the path alone", path[i]).WithFix("use query:, or write %%%02X", path[i])
	}
	var x message.Exchange
	c, _, err := CanonicalPath(&x, escapeForeign(path))
	if err != nil {
		return diag.At("", "%s", problem.Of(err).Detail).WithFix("write the path as a client would send it")
	}
	return diag.At("", "the path is not in its canonical form, so no request would match").WithFix("write %s", c)
}

// escapeForeign percent-encodes what can't stand in a path as it is.
func escapeForeign(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c >= 0x7F || c == '"' || c == '<' || c == '>' || c == '\\' || c == '^' || c == '`' || c == '|' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// parseSegments reads a pattern with parameters.
func (p *pattern) parseSegments(text string) error {
	p.kind = kindSegments
	p.segs = make([]segment, 0, strings.Count(text, "/"))
	for pos := 0; pos < len(text); {
		end := segmentEnd(text, pos+1)
		s := text[pos+1 : end]
		switch {
		case s == "" || s[0] != '{':
			if strings.ContainsAny(s, "{}") {
				return diag.At("", "a parameter is a whole segment; %q mixes text and parameter", s).
					WithFix("write regex: with an expression for the whole path")
			}
			p.literal(s)
		default:
			if p.prefix == "" {
				p.prefix = text[:pos+1]
			}
			if err := p.parameter(s, end == len(text)); err != nil {
				return err
			}
			if p.kind == kindRest && len(p.prefix) == pos+1 {
				p.prefix = p.prefix[:pos] // {rest...} takes /a as well
			}
		}
		pos = end
	}
	if n := p.parameters(); n > message.MaxParams {
		return diag.At("", "%d parameters are more than %d", n, message.MaxParams).WithFix("write a shorter one")
	}
	return literalFault(p.plain())
}

// plain is the pattern with "x" in the place of what holds an expression, to
// judge the rest as a path. A name can't be at fault: it is made of plain octets.
func (p *pattern) plain() string {
	if p.constrained == 0 {
		return p.text
	}
	var b strings.Builder
	for i := range p.segs {
		b.WriteByte('/')
		if s := &p.segs[i]; s.kind == segLiteral {
			b.WriteString(s.text)
		} else {
			b.WriteByte('x')
		}
	}
	return b.String()
}

// segmentEnd is the end of the segment that begins at pos: a slash inside braces
// belongs to a parameter's expression.
func segmentEnd(text string, pos int) int {
	if pos >= len(text) || text[pos] != '{' {
		if i := strings.IndexByte(text[pos:], '/'); i >= 0 {
			return pos + i
		}
		return len(text)
	}
	depth := 0
	for i := pos; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			depth--
		case '/':
			if depth <= 0 {
				return i
			}
		}
	}
	return len(text)
}

// parameter reads "{id}", "{id:expr}" or "{rest...}".
func (p *pattern) parameter(s string, last bool) error {
	if len(s) < 2 || s[len(s)-1] != '}' {
		return diag.At("", "the parameter %q is not closed, or text follows it", s).WithFix("write {name} as a whole segment")
	}
	inner := s[1 : len(s)-1]
	if name, ok := strings.CutSuffix(inner, "..."); ok {
		if err := p.name(name); err != nil {
			return err
		}
		if !last {
			return diag.At("", "{%s} takes the rest of the path, so nothing may follow it", inner).WithFix("put it at the end")
		}
		p.kind, p.rest = kindRest, name
		return nil
	}
	name, expr, constrained := strings.Cut(inner, ":")
	if err := p.name(name); err != nil {
		return err
	}
	if !constrained {
		p.segs = append(p.segs, segment{kind: segAny, name: name})
		return nil
	}
	re, err := compileRegex(expr)
	if err != nil {
		return err
	}
	p.segs = append(p.segs, segment{kind: segRegex, text: expr, name: name, re: re})
	p.constrained++
	return nil
}

func (p *pattern) name(name string) error {
	if !validName(name) {
		return diag.At("", "%q is not a parameter name", name).WithFix("write letters, digits and _, such as {id}")
	}
	for i := range p.segs {
		if p.segs[i].name == name {
			return diag.At("", "the parameter {%s} is there twice", name).WithFix("give each its own name")
		}
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// parameters counts what the pattern captures.
func (p *pattern) parameters() int {
	n := int(bit(p.rest != ""))
	for i := range p.segs {
		n += int(bit(p.segs[i].name != ""))
	}
	for _, name := range p.names {
		n += int(bit(name != ""))
	}
	return n
}

// parseRegex reads the expression of "regex:".
func (p *pattern) parseRegex(expr string) error {
	re, err := compileRegex(expr)
	if err != nil {
		return err
	}
	p.kind, p.re, p.expr, p.prefix = kindRegex, re, expr, literalPrefix(expr)
	if p.prefix != "" && p.prefix[0] != '/' {
		return diag.At("", "every path begins with /, and the expression with %q", p.prefix[:1]).WithFix("write regex:/%s", expr)
	}
	for _, n := range re.SubexpNames() {
		if n != "" {
			p.names = re.SubexpNames()
		}
	}
	// The trie holds it below the whole segments of its prefix.
	if whole := p.whole(); whole > 0 {
		for s := range strings.SplitSeq(p.prefix[1:whole], "/") {
			p.segs = append(p.segs, segment{kind: segLiteral, text: s})
		}
	}
	if n := p.parameters(); n > message.MaxParams {
		return diag.At("", "%d named groups are more than %d", n, message.MaxParams).WithFix("write a shorter one")
	}
	return nil
}

// whole is the length of the whole segments at the start of a regular
// expression's prefix: of "/a/b", which may go on as "/a/bc", it is that of "/a".
func (p *pattern) whole() int { return max(strings.LastIndexByte(p.prefix, '/'), 0) }

// compileRegex makes an expression that takes the whole text (RE2 syntax).
func compileRegex(expr string) (*regexp.Regexp, error) {
	if expr == "" {
		return nil, diag.At("", "the regular expression is empty").WithFix("write one after the colon")
	}
	if len(expr) > maxRegex {
		return nil, diag.At("", "the regular expression has %d bytes, more than %d", len(expr), maxRegex).WithFix("write a shorter one")
	}
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
		return nil, regexFault(err)
	}
	re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
	if err != nil {
		return nil, regexFault(err)
	}
	return re, nil
}

func regexFault(err error) error {
	text := err.Error()
	if se, ok := errors.AsType[*syntax.Error](err); ok {
		text = se.Code.String() + ": " + se.Expr
	}
	return diag.At("", "the regular expression is wrong: %s", text).WithFix("write RE2 syntax: no look-around, no back-references")
}

// literalPrefix is the text that everything the expression takes begins with.
func literalPrefix(expr string) string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return ""
	}
	var b strings.Builder
	literalStart(re.Simplify(), &b)
	return b.String()
}

// literalStart appends the literal start of re and tells whether it is all of re.
func literalStart(re *syntax.Regexp, b *strings.Builder) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginText:
		return true
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return false
		}
		b.WriteString(string(re.Rune))
		return true
	case syntax.OpCapture:
		return literalStart(re.Sub[0], b)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !literalStart(sub, b) {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// matches is the plain reading of a pattern, without a trie: the definition that
// the search must agree with.
func (p *pattern) matches(path string) bool {
	if p.kind == kindRegex {
		return p.re.MatchString(path)
	}
	pos := 0
	for i := range p.segs {
		if pos >= len(path) {
			return false
		}
		end := nextSlash(path, pos+1)
		if !p.segs[i].takes(path[pos+1 : end]) {
			return false
		}
		pos = end
	}
	return p.kind == kindRest || pos == len(path)
}

func (s *segment) takes(text string) bool {
	switch s.kind {
	case segLiteral:
		return s.text == text
	case segRegex:
		return text != "" && s.re.MatchString(text)
	default:
		return text != ""
	}
}

// nextSlash is the place of the first slash from pos on, or the end.
func nextSlash(path string, pos int) int {
	for pos < len(path) && path[pos] != '/' {
		pos++
	}
	return pos
}

// capture records the parameters of a path that the pattern takes.
func (p *pattern) capture(x *message.Exchange, path string) {
	if p.kind == kindRegex {
		if p.names == nil {
			return
		}
		groups := p.re.FindStringSubmatchIndex(path)
		for i, name := range p.names {
			if name != "" && groups[2*i] >= 0 {
				x.AddParam(name, path[groups[2*i]:groups[2*i+1]])
			}
		}
		return
	}
	pos := 0
	for i := range p.segs {
		end := nextSlash(path, pos+1)
		if name := p.segs[i].name; name != "" {
			x.AddParam(name, path[pos+1:end])
		}
		pos = end
	}
	if p.rest != "" {
		x.AddParam(p.rest, path[min(pos+1, len(path)):])
	}
}
