package contract

import (
	"math/big"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/maru-msa/maru/scan"
)

// sampler makes up values for the schemas of answers. It knows the keywords that
// flat knows; whether the value keeps the others is for the judge.
type sampler struct {
	*version

	stack  []*Node // schemas that are being made up
	turn   int     // so that elements of one array differ
	failed bool    // a required member leads back to itself
}

const (
	mostSampled = 8   // schemas inside of one another before optional members are left out
	mostRepeats = 100 // elements or characters that are made up because there must be so many
)

// value appends a value of the schema.
func (s *sampler) value(dst []byte, doc *document, n *Node) []byte {
	meant := s.meant(doc, n)
	if slices.Contains(s.stack, meant) || len(s.stack) > maxDepth {
		s.failed = true
		return append(dst, "null"...)
	}
	s.stack = append(s.stack, meant)
	defer func() { s.stack = s.stack[:len(s.stack)-1] }()
	if example := s.example(doc, n); example != nil {
		return append(dst, example.json()...)
	}
	f := s.flat(doc, n)
	for _, keyword := range []string{"oneOf", "anyOf"} {
		if list := f.choices[keyword]; len(list) > 0 {
			s.flatten(f, list[0].doc, list[0].node, 0)
		}
	}
	switch {
	case len(f.enum) > 0:
		return append(dst, f.enum[s.turn%len(f.enum)]...)
	case f.is(scan.TypeObject, len(f.names) > 0):
		return s.object(dst, f)
	case f.is(scan.TypeArray, f.items.node != nil):
		return s.array(dst, f)
	case f.is(scan.TypeString, f.types == 0):
		return scan.AppendText(dst, s.text(f))
	case f.types&(scan.TypeInteger|scan.TypeNumber) != 0:
		return append(dst, s.number(f)...)
	case f.types&scan.TypeBoolean != 0:
		return append(dst, "true"...)
	}
	return append(dst, "null"...)
}

// is tells whether a value of that type may be made: the type is named, or none is
// and the keywords are those of the type.
func (f *flat) is(t scan.Types, alike bool) bool { return f.types&t != 0 || f.types == 0 && alike }

// example is what the schema itself, or the one that it refers to, gives as one.
func (s *sampler) example(doc *document, n *Node) *Node {
	for range maxDepth {
		if example := n.Get("example"); example != nil {
			return example
		}
		if list := items(n.Get("examples")); len(list) > 0 {
			return list[0]
		}
		if value := n.Get("default"); value != nil {
			return value
		}
		ref := n.Get("$ref")
		if ref == nil {
			return nil
		}
		if doc, n = s.target(doc, ref); n == nil {
			return nil
		}
	}
	return nil
}

func (s *sampler) object(dst []byte, f *flat) []byte {
	dst = append(dst, '{')
	first := true
	for _, name := range f.names {
		m := f.members[name]
		needed := f.required[name]
		if s.marked(m.doc, m.node, "writeOnly") || !needed && (len(s.stack) > mostSampled || s.under(m)) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = s.value(append(scan.AppendText(dst, name), ':'), m.doc, m.node)
	}
	return append(dst, '}')
}

// meant is the schema that n is, or refers to.
func (s *sampler) meant(doc *document, n *Node) *Node {
	for range maxDepth {
		ref := n.Get("$ref")
		if ref == nil {
			break
		}
		to, target := s.target(doc, ref)
		if target == nil {
			break
		}
		doc, n = to, target
	}
	return n
}

// under tells whether a member, or its elements, lead back to a schema that is being
// made up.
func (s *sampler) under(m place) bool {
	if slices.Contains(s.stack, s.meant(m.doc, m.node)) {
		return true
	}
	all := m.node.Get("items")
	return all != nil && slices.Contains(s.stack, s.meant(m.doc, all))
}

func (s *sampler) array(dst []byte, f *flat) []byte {
	n := 1
	if least, known := f.limit("minItems"); known {
		n = max(n, least)
	}
	if most, known := f.limit("maxItems"); known {
		n = min(n, most)
	}
	if f.items.node == nil {
		n = 0
	}
	dst = append(dst, '[')
	turn := s.turn
	for i := range min(n, mostRepeats) {
		if i > 0 {
			dst = append(dst, ',')
		}
		s.turn = turn + i
		dst = s.value(dst, f.items.doc, f.items.node)
	}
	s.turn = turn
	return append(dst, ']')
}

// limit is a keyword that counts.
func (f *flat) limit(keyword string) (int, bool) {
	n := f.limits[keyword]
	if n == nil {
		return 0, false
	}
	r, fine := new(big.Rat).SetString(n.Text)
	if !fine || !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return int(r.Num().Int64()), true
}

// formatted is one value of each format.
func formatted() map[string]string {
	return map[string]string{
		"date-time": "2026-01-02T03:04:05Z", "date": "2026-01-02", "time": "03:04:05Z", "duration": "P1D",
		"email": "kim@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
		"uri": "https://example.com/", "uri-reference": "/a", "uuid": "123e4567-e89b-42d3-a456-426614174000",
		"json-pointer": "/a", "regex": "a", "byte": "bWFydQ==",
	}
}

func (s *sampler) text(f *flat) string {
	out := "text"
	if format := f.limits["format"]; format != nil {
		if known := formatted()[format.Text]; known != "" {
			return known
		}
	}
	if pattern := f.limits["pattern"]; pattern != nil {
		if expr, err := syntax.Parse(pattern.Text, syntax.Perl); err == nil {
			out = spell(expr)
		}
	} else if s.turn > 0 {
		out += strings.Repeat("o", s.turn)
	}
	if least, known := f.limit("minLength"); known {
		for utf8.RuneCountInString(out) < min(least, mostRepeats) {
			out += out[max(len(out)-1, 0):]
			if out == "" {
				out = "a"
			}
		}
	}
	if most, known := f.limit("maxLength"); known && most < len(out) {
		out = out[:max(most, 0)]
	}
	return out
}

// spell is a short text that an expression matches.
func spell(e *syntax.Regexp) string {
	switch e.Op {
	case syntax.OpLiteral:
		return string(e.Rune)
	case syntax.OpCharClass:
		return string(member(e.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture, syntax.OpPlus:
		return spell(e.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(spell(e.Sub[0]), min(e.Min, mostRepeats))
	case syntax.OpConcat:
		var b strings.Builder
		for _, part := range e.Sub {
			b.WriteString(spell(part))
		}
		return b.String()
	case syntax.OpAlternate:
		return spell(e.Sub[0])
	default: // what may be nothing is nothing
	}
	return ""
}

// member is a character of a class, which is given as pairs of its ranges' ends.
func member(ranges []rune) rune {
	for i := 0; i+1 < len(ranges); i += 2 {
		if ranges[i] <= 'a' && 'a' <= ranges[i+1] {
			return 'a'
		}
	}
	for _, r := range ranges {
		if r > ' ' {
			return r
		}
	}
	return 'a' // of an empty class; the judge tells
}

// number is the turn's number, moved into the bounds.
func (s *sampler) number(f *flat) string {
	x := big.NewRat(int64(s.turn)+1, 1)
	one := big.NewRat(1, 1)
	bound := func(keyword string) *big.Rat {
		n := f.limits[keyword]
		if n == nil || len(n.Text) > 100 {
			return nil
		}
		if _, exponent, _ := strings.Cut(strings.ToLower(n.Text), "e"); !smallExponent([]byte(exponent)) {
			return nil
		}
		r, _ := new(big.Rat).SetString(n.Text)
		return r
	}
	if low := bound("minimum"); low != nil && x.Cmp(low) < 0 {
		x.Add(low, big.NewRat(int64(s.turn), 1))
	}
	if low := bound("exclusiveMinimum"); low != nil && x.Cmp(low) <= 0 {
		x.Add(low, one)
	}
	if high := bound("maximum"); high != nil && x.Cmp(high) > 0 {
		x.Set(high)
	}
	if high := bound("exclusiveMaximum"); high != nil && x.Cmp(high) >= 0 {
		x.Sub(high, one)
	}
	if f.types&scan.TypeNumber == 0 && !x.IsInt() {
		x.SetInt(new(big.Int).Div(x.Num(), x.Denom()))
		x.Add(x, one)
	}
	if step := bound("multipleOf"); step != nil && step.Sign() > 0 {
		times := new(big.Rat).Quo(x, step)
		if !times.IsInt() {
			up := new(big.Int).Div(times.Num(), times.Denom())
			x.Mul(step, new(big.Rat).SetInt(up.Add(up, big.NewInt(1))))
		}
	}
	if x.IsInt() {
		return x.Num().String()
	}
	const places = 20
	return strings.TrimRight(x.FloatString(places), "0")
}
