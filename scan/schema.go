package scan

import "regexp"

// Types is a set of JSON types.
type Types uint8

// The types. TypeNumber holds every number, TypeInteger those without a
// fractional part: 1.0 and 1e2 are integers (JSON Schema 2020-12 §6.1.1).
const (
	TypeNull Types = 1 << iota
	TypeBoolean
	TypeInteger
	TypeNumber
	TypeString
	TypeArray
	TypeObject
)

// Schema is what one schema says of the value at its place, as far as a scan
// can decide it. It is what Compile reads: whoever loads contracts fills it. The
// zero Schema allows everything. Schemas may refer to one another in circles.
//
// Numbers and values are JSON texts, so that none of their digits is lost.
type Schema struct {
	// Place names the schema in its document; violations carry it.
	Place string
	// Never refuses every value: the schema false.
	Never bool

	// Types are the types allowed; none means all. Literal refuses 1.0 and 1e2
	// where an integer is wanted.
	Types   Types
	Literal bool
	// Enum and Const are scalars; no Enum and "" mean anything.
	Enum  []string
	Const string

	// Bounds of numbers; "" means none.
	Minimum, Maximum, ExclusiveMinimum, ExclusiveMaximum, MultipleOf string

	// Length bounds the code points of a string.
	Length   Range
	Patterns []Pattern
	Formats  []Format

	// Members bounds the number of members of an object.
	Members   Range
	Required  []string
	Dependent map[string][]string
	// Properties are the members by name, PatternProperties by what matches the
	// name, and Additional all others; nil allows anything.
	Properties        map[string]*Schema
	PatternProperties []PatternProperty
	Additional        *Schema
	// Names is what holds for the names, as strings.
	Names *Schema

	// Count bounds the elements of an array. Prefix holds for the first ones,
	// Items for all others; nil allows anything. Unique compares scalars only.
	Count  Range
	Prefix []*Schema
	Items  *Schema
	Unique bool

	// All hold as well: allOf, and $ref beside other keywords.
	All []*Schema
	// Choices are what oneOf and anyOf amount to when something decides which
	// branch it is.
	Choices []*Choice
	// Foreign judges the whole value after the scan; nil means nobody does. It
	// takes the keywords that no scan can decide.
	Foreign Foreign
}

// Range bounds a count. Max holds only when it is Bounded.
type Range struct {
	Min, Max int
	Bounded  bool
}

// Pattern is a regular expression that has to match anywhere in a string, or,
// with Not, must not. Source is how the contract writes it.
type Pattern struct {
	Expr   *regexp.Regexp
	Not    bool
	Source string
}

// Format is a check of a string's text, or of a number's literal; a nil function
// checks nothing. Want continues "must be …".
type Format struct {
	Name, Want string
	Text       func(text []byte) bool
	Number     func(literal []byte) bool
}

// PatternProperty is a schema for the members whose name matches.
type PatternProperty struct {
	Expr   *regexp.Regexp
	Schema *Schema
}

// Choice is a oneOf or anyOf of which the value's type or a tag decides the
// branch, so that just that branch has to hold.
type Choice struct {
	// Keyword is what violations are called: oneOf or anyOf.
	Keyword string
	// Tag is the member whose value decides; "" means that the type does. A tag
	// decides between objects: every other value is a violation.
	Tag      string
	Branches []Branch
}

// Branch is a branch of a Choice: for a value of one of the Types, or for a tag
// that equals one of the Tags (JSON texts of scalars).
type Branch struct {
	Types  Types
	Tags   []string
	Schema *Schema
}

// Foreign judges whole values: a validator of everything that no scan can
// decide. add notes a violation: pointer (RFC 6901) is relative to the value.
type Foreign interface {
	Check(span []byte, add func(pointer, keyword, want string))
}
