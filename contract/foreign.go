package contract

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Bounds of what goes to the reference validator: it decodes, and it does
// arithmetic on numbers as they come.
const (
	maxSpan     = 1 << 20
	maxValues   = 10_000
	maxExponent = 5 // digits
)

// foreign is a schema that the reference validator judges, on the span of the
// value it stands for.
type foreign struct {
	node   *Node
	way    direction
	url    string
	schema *jsonschema.Schema
}

// Check judges a span. What can't be judged is a violation of a request, and
// passes in an answer.
func (f *foreign) Check(span []byte, add func(pointer, keyword, want string)) {
	refuse := func(keyword, want string) {
		if f.way == toService {
			add("", keyword, want)
		}
	}
	if !affordable(span) {
		refuse("size", "must be smaller: this part of the contract can't be checked on so much")
		return
	}
	defer func() {
		if recover() != nil { // numbers that it can't hold
			refuse("validator", "can't be checked")
		}
	}()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(span))
	if err != nil {
		refuse("validator", "can't be checked")
		return
	}
	if err := f.schema.Validate(value); err != nil {
		if v, ok := err.(*jsonschema.ValidationError); ok { //nolint:errorlint // it makes nothing else
			leaves(v, add)
			return
		}
		add("", "schema", "must be as the schema says")
	}
}

// affordable tells whether a span is within the bounds: bytes, values, exponents.
func affordable(span []byte) bool {
	if len(span) > maxSpan {
		return false
	}
	values, inside := 1, false
	for i := 0; i < len(span); i++ {
		switch c := span[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == ',' || c == '{' || c == '[':
			values++
		case (c == 'e' || c == 'E') && i > 0 && span[i-1] >= '0' && span[i-1] <= '9':
			if !smallExponent(span[i+1:]) {
				return false
			}
		}
	}
	return values <= maxValues
}

// smallExponent tells whether the digits at the begin are at most 10,000.
func smallExponent(s []byte) bool {
	s = bytes.TrimLeft(bytes.TrimLeft(s, "+-"), "0")
	n, value := 0, 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		if n++; n > maxExponent {
			return false
		}
		value = value*10 + int(s[n-1]-'0')
	}
	return value <= 10_000
}

// leaves reports the innermost violations; of a choice only that none or too
// many branches matched.
func leaves(v *jsonschema.ValidationError, add func(pointer, keyword, want string)) {
	switch v.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains, *kind.MinContains, *kind.MaxContains, *kind.PropertyNames:
	default:
		if len(v.Causes) > 0 {
			for _, c := range v.Causes {
				leaves(c, add)
			}
			return
		}
	}
	keyword, want := told(v)
	var pointer strings.Builder
	for _, token := range v.InstanceLocation {
		pointer.WriteString("/" + step(token))
	}
	add(pointer.String(), keyword, want)
}

// told is a violation in words, without the value.
func told(v *jsonschema.ValidationError) (keyword, want string) {
	switch k := v.ErrorKind.(type) {
	case *kind.Type:
		return "type", "must be of type " + strings.Join(k.Want, " or ")
	case *kind.Required:
		return "required", "must have " + strings.Join(k.Missing, ", ")
	case *kind.AnyOf:
		return "anyOf", "must match at least one of the alternatives"
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			return "oneOf", fmt.Sprintf("must match one alternative only, and matches number %d and number %d", k.Subschemas[0]+1, k.Subschemas[1]+1)
		}
		return "oneOf", "must match one of the alternatives"
	case *kind.Not:
		return "not", "must not match what is excluded"
	case *kind.FalseSchema:
		return "false", "must not be there"
	case *kind.Enum:
		return "enum", "must be one of the values listed"
	case *kind.Const:
		return "const", "must be the value given"
	case *kind.Contains, *kind.MinContains:
		return "contains", "must have an element that matches"
	case *kind.MaxContains:
		return "maxContains", "must not have so many elements that match"
	case *kind.UniqueItems:
		return "uniqueItems", "must not have two equal elements"
	case *kind.AdditionalProperties:
		return "additionalProperties", "must not have members beyond those listed"
	case *kind.PropertyNames:
		return "propertyNames", "must have no member of such a name"
	case *kind.Format:
		return "format", "must be " + k.Want
	case *kind.MinLength:
		return "minLength", fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return "maxLength", fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return "minItems", fmt.Sprintf("must have at least %d elements", k.Want)
	case *kind.MaxItems:
		return "maxItems", fmt.Sprintf("must have at most %d elements", k.Want)
	case *kind.Pattern:
		return "pattern", "must match " + k.Want
	}
	if path := v.ErrorKind.KeywordPath(); len(path) > 0 {
		return path[0], "must be as " + path[0] + " says"
	}
	return "schema", "must be as the schema says"
}
