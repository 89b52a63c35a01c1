package graphql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/maru-msa/maru/scan"
)

// values are variables as JSON, coerced, by name. One that has no value is not
// among them.
type values map[string][]byte

// coerce gives the operation's variables the types that it declares (GraphQL
// §6.1.2).
func (op *operation) coerce(text []byte) (values, *refusal) {
	given := make(map[string]json.RawMessage)
	if text != nil {
		if err := json.Unmarshal(text, &given); err != nil {
			return nil, badRequest("variables must be an object")
		}
	}
	out := make(values, len(op.def.VariableDefinitions))
	no := &refusal{kind: kindInvalid}
	for _, def := range op.def.VariableDefinitions {
		value, ok := given[def.Variable]
		var text []byte
		var err error
		switch {
		case ok:
			text, err = coercer{op.door.schema}.value(nil, value, def.Type)
		case def.DefaultValue != nil:
			text, _ = appendLiteral(nil, def.DefaultValue, def.Type, op.door.schema, nil)
		case def.Type.NonNull:
			err = fmt.Errorf("it is required and of type %s", def.Type)
		default:
			continue
		}
		if err != nil {
			if len(no.faults) < maxErrors {
				no.faults = append(no.faults, fault{
					code: "BAD_USER_INPUT", text: fmt.Sprintf("Variable \"$%s\": %v.", def.Variable, err), at: []place{placeOf(def.Position)},
				})
			}
			continue
		}
		out[def.Variable] = text
	}
	if len(no.faults) > 0 {
		return nil, no
	}
	return out, nil
}

// coercer turns JSON of a client into JSON of a type (GraphQL §3.5, input coercion).
type coercer struct{ schema *ast.Schema }

// value appends a value as its type has it, or says why it is not of that type.
func (c coercer) value(dst []byte, v json.RawMessage, t *ast.Type) ([]byte, error) {
	v = bytes.TrimSpace(v)
	switch {
	case string(v) == "null":
		if t.NonNull {
			return nil, fmt.Errorf("null is no %s", t)
		}
		return append(dst, "null"...), nil
	case t.Elem != nil:
		return c.list(dst, v, t)
	}
	def := c.schema.Types[t.NamedType]
	switch {
	case def == nil:
		return nil, fmt.Errorf("there is no type %s", t)
	case def.Kind == ast.InputObject:
		return c.object(dst, v, def)
	case def.Kind == ast.Enum:
		var name string
		if json.Unmarshal(v, &name) != nil || def.EnumValues.ForName(name) == nil {
			return nil, fmt.Errorf("it is not a value of %s", def.Name)
		}
	default:
		return scalar(dst, v, def.Name)
	}
	return append(dst, v...), nil
}

// list takes a single value for a list of one.
func (c coercer) list(dst []byte, v json.RawMessage, t *ast.Type) ([]byte, error) {
	elements := []json.RawMessage{v}
	if v[0] == '[' {
		if err := json.Unmarshal(v, &elements); err != nil {
			return nil, errors.New("it is no list")
		}
	}
	dst = append(dst, '[')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = c.value(dst, e, t.Elem); err != nil {
			return nil, fmt.Errorf("at %d: %w", i, err)
		}
	}
	return append(dst, ']'), nil
}

func (c coercer) object(dst []byte, v json.RawMessage, def *ast.Definition) ([]byte, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(v, &members) != nil {
		return nil, fmt.Errorf("it is no %s, which is an object", def.Name)
	}
	for name := range members {
		if def.Fields.ForName(name) == nil {
			return nil, fmt.Errorf("%s has no field %q", def.Name, name)
		}
	}
	dst = append(dst, '{')
	first := true
	for _, f := range def.Fields {
		value, ok := members[f.Name]
		if !ok && f.DefaultValue == nil {
			if f.Type.NonNull {
				return nil, fmt.Errorf("%s.%s is required", def.Name, f.Name)
			}
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(scan.AppendText(dst, f.Name), ':')
		if !ok {
			dst, _ = appendLiteral(dst, f.DefaultValue, f.Type, c.schema, nil)
			continue
		}
		var err error
		if dst, err = c.value(dst, value, f.Type); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", def.Name, f.Name, err)
		}
	}
	return append(dst, '}'), nil
}

// scalar appends a leaf: numbers keep their digits, an ID that is a number becomes
// text, and types of the graph's own take what comes.
func scalar(dst []byte, v json.RawMessage, typ string) ([]byte, error) {
	number := v[0] == '-' || v[0] >= '0' && v[0] <= '9'
	fits := true
	switch typ {
	case "Int":
		whole, ok := integer(string(v), 32)
		return append(dst, whole...), notA(typ, number && ok)
	case "Long":
		whole, ok := integer(string(v), 64)
		return append(dst, whole...), notA(typ, number && ok)
	case "Float":
		_, err := strconv.ParseFloat(string(v), 64)
		fits = number && err == nil
	case "String":
		fits = v[0] == '"'
	case "Boolean":
		fits = v[0] == 't' || v[0] == 'f'
	case "ID":
		if number && !bytes.ContainsAny(v, ".eE") {
			return append(append(append(dst, '"'), v...), '"'), nil
		}
		fits = v[0] == '"'
	}
	return append(dst, v...), notA(typ, fits)
}

func notA(typ string, fits bool) error {
	if fits {
		return nil
	}
	return fmt.Errorf("it is no %s", typ)
}

// integer is a whole number in its plain form: 1.0 is 1.
func integer(text string, bits int) (string, bool) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != float64(int64(f)) || f > 1<<53 || f < -1<<53 {
			return "", false
		}
		text = strconv.FormatInt(int64(f), 10)
	}
	_, err := strconv.ParseInt(text, 10, bits)
	return text, err == nil
}

// appendLiteral appends what a document writes as JSON of a type. ok is false for a
// variable that has no value.
func appendLiteral(dst []byte, v *ast.Value, t *ast.Type, schema *ast.Schema, vars values) (out []byte, ok bool) {
	if v.Kind == ast.Variable {
		text, has := vars[v.Raw]
		return append(dst, text...), has
	}
	if v.Kind == ast.NullValue {
		return append(dst, "null"...), true
	}
	if t.Elem != nil {
		return appendList(dst, v, t.Elem, schema, vars), true
	}
	switch kind := v.Kind; {
	case kind == ast.ListValue: // of a type of the graph's own, which takes any value
		return appendList(dst, v, t, schema, vars), true
	case kind == ast.ObjectValue:
		return appendObject(dst, v, t, schema.Types[t.NamedType], schema, vars), true
	case kind == ast.StringValue, kind == ast.BlockValue, kind == ast.EnumValue, kind == ast.IntValue && t.NamedType == "ID":
		return scan.AppendText(dst, v.Raw), true
	}
	return append(dst, v.Raw...), true
}

// appendList appends a list; a single value stands for a list of one, and a
// variable without a value for null.
func appendList(dst []byte, v *ast.Value, elem *ast.Type, schema *ast.Schema, vars values) []byte {
	elements := ast.ChildValueList{{Value: v}}
	if v.Kind == ast.ListValue {
		elements = v.Children
	}
	dst = append(dst, '[')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		var ok bool
		if dst, ok = appendLiteral(dst, e.Value, elem, schema, vars); !ok {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, ']')
}

// appendObject appends an object; members whose variable has no value are left out,
// and those that have a default get it.
func appendObject(dst []byte, v *ast.Value, t *ast.Type, def *ast.Definition, schema *ast.Schema, vars values) []byte {
	dst = append(dst, '{')
	first := true
	put := func(name string, value *ast.Value, t *ast.Type) {
		mark := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(scan.AppendText(dst, name), ':')
		var ok bool
		if dst, ok = appendLiteral(dst, value, t, schema, vars); !ok {
			dst = dst[:mark]
			return
		}
		first = false
	}
	if def == nil || def.Kind != ast.InputObject {
		for _, c := range v.Children {
			put(c.Name, c.Value, t)
		}
		return append(dst, '}')
	}
	for _, f := range def.Fields {
		i := slices.IndexFunc(v.Children, func(c *ast.ChildValue) bool { return c.Name == f.Name })
		given := i >= 0
		if given && v.Children[i].Value.Kind == ast.Variable {
			_, given = vars[v.Children[i].Value.Raw]
		}
		switch {
		case given:
			put(f.Name, v.Children[i].Value, f.Type)
		case f.DefaultValue != nil:
			put(f.Name, f.DefaultValue, f.Type)
		}
	}
	return append(dst, '}')
}

// lengthOf is the length of a list of JSON; -1 of what is none.
func lengthOf(text []byte) int {
	if len(text) == 0 || text[0] != '[' {
		return -1
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		return -1
	}
	return len(list)
}
