package scan

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// checks is what a Program adds to a node.
type checks struct {
	// byKind leads to the node for the kind of the value, tag to that for the
	// value of a member; all else is then empty.
	byKind *[Object + 1]*node
	tag    *tagChoice

	units []*unit
	names []*unit // for the names of members

	obvious obvious

	objects bool // it looks into objects
	arrays  bool // it looks into arrays
	text    bool // it looks at scalars
	unique  bool
	foreign bool

	required []demand
	patterns []*regexp.Regexp
	rests    []*node // for members without a node, by the patterns that match
	prefix   []*node // for the first elements
}

// obvious says which scalars are right at a glance, without a look at each unit: most
// of those that are. What it does not know is for the units to judge.
type obvious struct {
	// kinds has a bit for each Kind of scalar of which nothing but the type matters,
	// and that is right; and kindInteger for whole numbers.
	kinds uint16

	texts       bool     // strings may be known
	least, most int      // characters that a string must have, and may have
	words       []string // of an enum; nil: none

	numbers  bool // numbers may be known
	fraction bool // those with a fraction, too
	positive bool // only those from 1 on are
	digits   int  // that a whole number may have; 0: any
}

// kindInteger is the bit of obvious.kinds for numbers with the flag Integer.
const kindInteger = 1 << 8

// byKind tells whether a scalar is right for its kind alone.
func (p *obvious) byKind(k Kind, flags Flags) bool {
	bit := uint16(1) << k
	if flags&Integer != 0 {
		bit |= kindInteger
	}
	return p.kinds&bit != 0
}

// byValue tells whether the value of a scalar is right at a glance.
func (p *obvious) byValue(k Kind, raw []byte, flags Flags) bool {
	switch {
	case k == String && p.texts && flags&Escaped == 0:
		n := len(raw) - 2
		if p.words == nil { // a character has at most four bytes, and at least one
			return n <= p.most && (n+3)>>2 >= p.least
		}
		for _, word := range p.words {
			if len(word) == n && string(raw[1:n+1]) == word {
				return true
			}
		}
	case k == Number && p.numbers && raw[0] != '-' && (raw[0] != '0' || !p.positive):
		if flags&Integer != 0 {
			return p.digits == 0 || len(raw) <= p.digits
		}
		if !p.fraction || p.digits > 0 {
			return false
		}
		for _, c := range raw {
			if c|0x20 == 'e' {
				return false
			}
		}
		return true
	}
	return false
}

// glance fills in obvious, once all units are known.
func (k *checks) glance() {
	p := obvious{kinds: kindInteger, texts: true, numbers: true, fraction: true, most: math.MaxInt}
	for kind := range Array {
		p.kinds |= 1 << kind
	}
	for _, u := range k.units {
		if u.keyword != "" || u.constant != nil || u.schema.Foreign != nil {
			return
		}
		p.kindsOf(u)
		p.textsOf(u)
		p.numbersOf(u)
	}
	if p.words != nil && (p.least > 0 || p.most < math.MaxInt) {
		p.texts = false
	}
	k.obvious = p
}

// kindsOf takes in what a unit says of kinds.
func (p *obvious) kindsOf(u *unit) {
	s := u.schema
	for kind := range Array {
		if u.values != nil || u.types != 0 && u.types&typesOf(kind)&^TypeInteger == 0 {
			p.kinds &^= 1 << kind
		}
	}
	if u.values != nil || u.types != 0 && u.types&(TypeInteger|TypeNumber) == 0 || u.numeric || s.Formats != nil {
		p.kinds &^= kindInteger | 1<<Number
	}
	if s.Length.Min > 0 || s.Length.Bounded || s.Patterns != nil || s.Formats != nil {
		p.kinds &^= 1 << String
	}
}

// textsOf takes in what a unit says of strings.
func (p *obvious) textsOf(u *unit) {
	s := u.schema
	p.texts = p.texts && (u.types == 0 || u.types&TypeString != 0) && s.Patterns == nil && s.Formats == nil
	p.least = max(p.least, s.Length.Min)
	if s.Length.Bounded {
		p.most = min(p.most, s.Length.Max)
	}
	if u.values == nil {
		return
	}
	p.texts = p.texts && p.words == nil
	for i := range u.values {
		if v := &u.values[i]; v.kind == String {
			p.words = append(p.words, v.text)
		}
	}
	p.texts = p.texts && p.words != nil
}

// numbersOf takes in what a unit says of numbers.
func (p *obvious) numbersOf(u *unit) {
	p.numbers = p.numbers && u.values == nil && u.schema.Formats == nil && !u.multiple && u.plain && p.bounded(u)
	if u.types != 0 && u.types&TypeNumber == 0 {
		p.fraction = false
		p.numbers = p.numbers && u.types&TypeInteger != 0
	}
}

// bounded takes the bounds of a unit in, and tells whether it could.
func (p *obvious) bounded(u *unit) bool {
	for i := range u.bounds {
		b := &u.bounds[i]
		switch from := b.small; {
		case b.below: // all that have fewer digits
			digits := 0
			for top := int64(10); top <= b.small && digits < maxSmall; top *= 10 {
				digits++
			}
			if digits == 0 {
				return false
			}
			if p.digits == 0 || digits < p.digits {
				p.digits = digits
			}
		case from < 0 || from == 0 && b.equal:
		case from == 0 || from == 1 && b.equal:
			p.positive = true
		default:
			return false
		}
	}
	return true
}

// demand is a member that has to be there: always, or when another one is.
type demand struct {
	unit  *unit
	name  string
	index int // of the name
	when  int // the other one's; -1: always
}

// tagChoice is an object's choice by the value of a member.
type tagChoice struct {
	name   string
	unit   *unit
	values []tagValue
	other  *node
}

type tagValue struct {
	value scalar
	node  *node
}

// unit is one schema's own keywords, made ready.
type unit struct {
	schema  *Schema
	types   Types
	keyword string // of a schema that refuses everything
	want    string // the same; otherwise of type

	objects, arrays, text bool

	values     []scalar // enum
	valuesWant string
	constant   *scalar
	constWant  string

	numeric  bool // it has a keyword of numbers
	bounds   []bound
	plain    bool // all of its bounds, and the divisor, are small: plain numbers need no decimal
	divisor  divisor
	multiple bool
}

// scalar is a value to compare with.
type scalar struct {
	kind   Kind
	text   string  // of a string, unescaped
	number decimal // of a number
}

// bound is one of the four bounds.
type bound struct {
	keyword, want string
	value         decimal
	small         int64 // the same, where it is small
	below         bool  // the value has to be below it
	equal         bool  // or equal
}

// typesOf are the types that values of the kind may have.
func typesOf(k Kind) Types {
	return [...]Types{TypeNull, TypeBoolean, TypeBoolean, TypeInteger | TypeNumber, TypeString, TypeArray, TypeObject}[k]
}

// typeNames are the words of the types, in the order of their bits.
func typeNames() []string {
	return []string{"null", "a boolean", "an integer", "a number", "a string", "an array", "an object"}
}

// typeWant continues "The value" for a set of types.
func typeWant(t Types) string {
	var words []string
	for i, name := range typeNames() {
		if t&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return "must be " + strings.Join(words, " or ")
}

// maxListed is how many values a violation lists.
const maxListed = 20

// listed writes JSON texts as a list for people.
func listed(texts []string) string {
	words := make([]string, 0, min(len(texts), maxListed)+1)
	for i, text := range texts {
		if i == maxListed {
			words = append(words, "…")
			break
		}
		if text[0] == '"' {
			text = string(Unquote(nil, []byte(text)))
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

// isScalar tells whether text is a JSON text of a scalar.
func isScalar(text string) bool {
	tape := NewTape()
	defer tape.Release()
	return Scan(nil, []byte(text), tape) == nil && strings.TrimSpace(text) == text && text[0] != '{' && text[0] != '['
}

// unit makes the schema's own keywords ready.
func (c *compiler) unit(s *Schema) *unit {
	if u := c.units[s]; u != nil {
		return u
	}
	u := &unit{schema: s, types: s.Types}
	c.units[s] = u
	if s.Never {
		u.keyword, u.want = "false", "must not be there"
		return u
	}
	if s.Types != 0 {
		u.want = typeWant(s.Types)
	}
	c.values(u)
	c.numbers(u)
	u.objects = len(s.Required) > 0 || len(s.Dependent) > 0 || s.Properties != nil || s.PatternProperties != nil || s.Additional != nil ||
		s.Names != nil || s.Members.Min > 0 || s.Members.Bounded
	u.arrays = s.Prefix != nil || s.Items != nil || s.Unique || s.Count.Min > 0 || s.Count.Bounded
	u.text = u.numeric || u.values != nil || u.constant != nil || s.Types&TypeInteger != 0 || s.Length.Min > 0 || s.Length.Bounded ||
		s.Patterns != nil || s.Formats != nil || s.Foreign != nil
	return u
}

// values makes enum and const ready.
func (c *compiler) values(u *unit) {
	s := u.schema
	for _, text := range s.Enum {
		value, valid := c.scalar(s, "enum", text)
		if !valid {
			return
		}
		u.values = append(u.values, value)
	}
	if s.Enum != nil {
		u.valuesWant = "must be one of " + listed(s.Enum)
	}
	if s.Const == "" {
		return
	}
	if value, valid := c.scalar(s, "const", s.Const); valid {
		u.constant, u.constWant = &value, "must be "+listed([]string{s.Const})
	}
}

// scalar reads a value to compare with.
func (c *compiler) scalar(s *Schema, keyword, text string) (scalar, bool) {
	if text == "" || !isScalar(text) {
		c.fail(s, keyword, fmt.Errorf("not a scalar: %w", ErrUndecided))
		return scalar{}, false
	}
	switch text[0] {
	case '"':
		return scalar{kind: String, text: string(Unquote(nil, []byte(text)))}, true
	case 't', 'f', 'n':
		return scalar{kind: literalKind(text[0])}, true
	}
	number := parseDecimal([]byte(text))
	if number.outOfRange {
		c.fail(s, keyword, fmt.Errorf("exponent beyond %d: %w", maxExponent, ErrUndecided))
		return scalar{}, false
	}
	return scalar{kind: Number, number: number}, true
}

// numbers makes the keywords of numbers ready.
func (c *compiler) numbers(u *unit) {
	s := u.schema
	u.plain = true
	for _, b := range []struct {
		keyword, text, words string
		below, equal         bool
	}{
		{"minimum", s.Minimum, "must be at least ", false, true},
		{"maximum", s.Maximum, "must be at most ", true, true},
		{"exclusiveMinimum", s.ExclusiveMinimum, "must be more than ", false, false},
		{"exclusiveMaximum", s.ExclusiveMaximum, "must be less than ", true, false},
	} {
		if b.text == "" {
			continue
		}
		value, valid := c.scalar(s, b.keyword, b.text)
		if valid && value.kind != Number {
			c.fail(s, b.keyword, fmt.Errorf("%s is no number", strconv.Quote(b.text)))
		}
		small, fits := value.number.small()
		u.plain = u.plain && fits
		u.numeric = true
		u.bounds = append(u.bounds, bound{b.keyword, b.words + b.text, value.number, small, b.below, b.equal})
	}
	if s.MultipleOf == "" {
		return
	}
	value, valid := c.scalar(s, "multipleOf", s.MultipleOf)
	if !valid || value.kind != Number {
		c.fail(s, "multipleOf", ErrUndecided)
		return
	}
	by, err := parseDivisor([]byte(s.MultipleOf))
	if err != nil {
		c.fail(s, "multipleOf", fmt.Errorf("%w: %w", err, ErrUndecided))
		return
	}
	u.numeric, u.multiple, u.divisor = true, true, by
	u.plain = u.plain && by.small()
}
