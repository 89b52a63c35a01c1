package aggregate

import (
	"encoding/json"
	"slices"
	"strings"
)

// outline is what a plan's answer looks like: what its documents are written from.
// A part's policy decides whether its member is always there and may be null.
type outline struct {
	kind     outlineKind
	nullable bool
	members  []outlineMember // of an object
	open     bool            // the object has members that are not known
	items    *outline        // of a list
	or       string          // JSON that may stand in its place; "" for none
}

type outlineKind uint8

const (
	outlineAny outlineKind = iota
	outlineObject
	outlineList
	outlineText
	outlineInt
	outlineLong
	outlineNumber
	outlineBool
)

// outlineMember is one member of an object.
type outlineMember struct {
	name     string
	required bool
	outline  *outline
}

// outline tells what the answer looks like.
func (p *Plan) outline() *outline {
	o := &outline{kind: outlineObject}
	if p.merge != nil {
		p.merge.outline(o)
	} else {
		o.add(p.root, true)
	}
	if p.partial == partialBody {
		text := func() *outline { return &outline{kind: outlineText} }
		o.members = append(o.members, outlineMember{"_errors", false, &outline{kind: outlineList, items: &outline{
			kind: outlineObject, members: []outlineMember{{"path", true, text()}, {"code", true, text()}},
		}}})
	}
	return o
}

func (m *merge) outline(o *outline) {
	for _, e := range m.entries {
		if e.name == "" {
			o.open = true
			continue
		}
		one := &outline{kind: outlineAny}
		if e.concat {
			one = &outline{kind: outlineList, items: one}
		}
		required := true
		if e.level.policy.kind == policyOmit {
			required = false
		}
		o.set(outlineMember{e.name, required, one})
	}
}

// set adds a member; a later one of the same name counts.
func (o *outline) set(m outlineMember) {
	if i := slices.IndexFunc(o.members, func(old outlineMember) bool { return old.name == m.name }); i >= 0 {
		m.required = m.required && o.members[i].required
		o.members[i] = m
		return
	}
	o.members = append(o.members, m)
}

// add adds the members of an object of the plan. always is false where the object
// itself may not be there.
func (o *outline) add(of *object, always bool) {
	for i := range of.fields {
		f := &of.fields[i]
		required := always && len(f.guards) == 0
		if f.lift {
			o.add(f.level.sub, required && f.level.policy.kind == policyRequired)
			continue
		}
		if f.kind == outLevel && f.level.policy.kind == policyOmit {
			required = false
		}
		o.set(outlineMember{f.name, required, f.outline()})
	}
}

// outline tells what a member's value looks like.
func (f *outField) outline() *outline {
	switch f.kind {
	case outConst:
		return &outline{kind: outlineText}
	case outLevel:
		return f.levelOutline()
	case outLeaf:
	}
	o := scalarOutline(f.typ.name)
	if f.typ.list {
		o.nullable = !f.typ.elemNonNull
		o = &outline{kind: outlineList, items: o}
	}
	o.nullable = !f.typ.nonNull
	o.instead(f.def)
	return o
}

func scalarOutline(name string) *outline {
	switch name {
	case "String", "ID":
		return &outline{kind: outlineText}
	case "Int":
		return &outline{kind: outlineInt}
	case "Long":
		return &outline{kind: outlineLong}
	case "Float":
		return &outline{kind: outlineNumber}
	case "Boolean":
		return &outline{kind: outlineBool}
	}
	return &outline{kind: outlineAny}
}

// levelOutline is that of a part.
func (f *outField) levelOutline() *outline {
	l := f.level
	var o *outline
	switch {
	case l.typ == nil:
		o = scalarOutline(f.typ.name)
	case f.pluck:
		o = l.sub.fields[0].outline()
	default:
		o = &outline{kind: outlineObject}
		o.add(l.sub, true)
	}
	if f.typ.list {
		if l.fetch == nil && !f.typ.elemNonNull { // null in a list of the source stays
			o.nullable = true
		}
		o = &outline{kind: outlineList, items: o}
	}
	switch l.policy.kind {
	case policyRequired:
		o.nullable = o.nullable && f.pluck || l.fetch == nil && !f.typ.nonNull
	case policyDefault:
		o.nullable = o.nullable && f.pluck
		o.instead(l.policy.def)
	case policyOmit: // left out in place of null
		o.nullable = o.nullable && f.pluck
	case policyNull, policyStale:
		o.nullable = true
	}
	o.instead(f.def)
	return o
}

// instead notes the JSON that stands in for null.
func (o *outline) instead(def []byte) {
	switch text := string(def); text {
	case "":
	case "null":
		o.nullable = true
	default:
		o.nullable = false
		if o.kind != outlineAny && (text != "[]" || o.kind != outlineList) {
			o.or = text
		}
	}
}

// fields lists the paths of the values with their types: "auctions[].bids[].price
// integer".
func (o *outline) fields(at string, out []string) []string {
	switch o.kind {
	case outlineObject:
		for _, m := range o.members {
			name := strings.TrimPrefix(at+"."+m.name, ".")
			if !m.required {
				name += "?"
			}
			out = m.outline.fields(name, out)
		}
		return out
	case outlineList:
		return o.items.fields(at+"[]", out)
	case outlineAny, outlineText, outlineInt, outlineLong, outlineNumber, outlineBool:
	}
	word := o.kind.word()
	if o.nullable {
		word += "|null"
	}
	return append(out, at+" "+word)
}

// word is JSON Schema's for a kind.
func (k outlineKind) word() string {
	return [...]string{"any", "object", "array", "string", "integer", "integer", "number", "boolean"}[k]
}

// schema is the JSON Schema (2020-12) of the outline. The order of members is that
// of the answer.
func (o *outline) schema() *jsonSchema {
	s := new(jsonSchema)
	switch o.kind {
	case outlineAny:
		return s
	case outlineObject:
		s.Properties = new(properties)
		for _, m := range o.members {
			s.Properties.names = append(s.Properties.names, m.name)
			s.Properties.schemas = append(s.Properties.schemas, m.outline.schema())
			if m.required {
				s.Required = append(s.Required, m.name)
			}
		}
	case outlineList:
		s.Items = o.items.schema()
	case outlineInt:
		s.Format = "int32"
	case outlineLong:
		s.Format = "int64"
	case outlineText, outlineNumber, outlineBool:
	}
	s.Type = []string{o.kind.word()}
	if o.nullable {
		s.Type = append(s.Type, "null")
	}
	if o.or != "" {
		return &jsonSchema{AnyOf: []*jsonSchema{s, {Const: json.RawMessage(o.or)}}}
	}
	return s
}

// jsonSchema is what is used of JSON Schema.
type jsonSchema struct {
	Ref        string          `json:"$ref,omitempty"`
	Type       oneOrMore       `json:"type,omitempty"`
	Format     string          `json:"format,omitempty"`
	Enum       []string        `json:"enum,omitempty"`
	Default    json.RawMessage `json:"default,omitempty"`
	Const      json.RawMessage `json:"const,omitempty"`
	Properties *properties     `json:"properties,omitempty"`
	Required   []string        `json:"required,omitempty"`
	Items      *jsonSchema     `json:"items,omitempty"`
	AnyOf      []*jsonSchema   `json:"anyOf,omitempty"`
}

// oneOrMore is written as one word when it is one.
type oneOrMore []string

// MarshalJSON writes "string" or ["string","null"].
func (l oneOrMore) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0]) //nolint:wrapcheck // a string can be written
	}
	return json.Marshal([]string(l)) //nolint:wrapcheck // so can several
}

// properties keep their order.
type properties struct {
	names   []string
	schemas []*jsonSchema
}

// MarshalJSON writes the object in the order of the answer.
func (p *properties) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, name := range p.names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendQuoted(out, name), ':')
		text, err := json.Marshal(p.schemas[i])
		if err != nil {
			return nil, err //nolint:wrapcheck // the encoder's words, told once
		}
		out = append(out, text...)
	}
	return append(out, '}'), nil
}
