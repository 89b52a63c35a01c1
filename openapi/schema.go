package openapi

import (
	"strconv"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// components reads the named schemas; names first, since they refer to one another.
func (im *importer) components(s *sketch.Object) {
	s.Rest(func(key, value *config.Tree) {
		im.schemas[key.Text] = value
		if im.isObject(value, 0) {
			t := &sketch.Type{Name: im.name(key.Text), At: key.Position, Above: sketch.Lines(key.Position, sketch.LastLine(value))}
			im.types[key.Text] = t
			im.order = append(im.order, t)
		}
	})
	s2 := im.Object(s.Tree, s.Path)
	s2.Rest(func(key, value *config.Tree) {
		if t := im.types[key.Text]; t != nil {
			im.properties(t, value, 0)
		}
	})
}

// name makes the name of a type differ from those before.
func (im *importer) name(s string) string {
	name := sketch.TypeName(s)
	out := name
	for i := 2; im.taken[out]; i++ {
		out = name + "_" + strconv.Itoa(i)
	}
	im.taken[out] = true
	return out
}

const deepest = 12 // levels of schemas in one another

// find gives the value of a key of a mapping, without taking it.
func find(t *config.Tree, key string) *config.Tree {
	if t == nil {
		return nil
	}
	for i := range t.Entries {
		if t.Entries[i].Key.Text == key {
			return t.Entries[i].Value
		}
	}
	return nil
}

func textOf(t *config.Tree, key string) string {
	if v := find(t, key); v != nil {
		return v.Text
	}
	return ""
}

// typeOf is the type of a schema; "null" beside another (OpenAPI 3.1) is passed over.
func typeOf(t *config.Tree) string {
	v := find(t, "type")
	if v == nil {
		return ""
	}
	for _, item := range v.Items {
		if item.Text != "null" {
			return item.Text
		}
	}
	return v.Text
}

// ref gives the name of the schema that a schema refers to.
func (im *importer) ref(t *config.Tree) string {
	name, ok := strings.CutPrefix(textOf(t, "$ref"), "#/components/schemas/")
	if !ok {
		return ""
	}
	return name
}

// isObject tells whether a schema has properties of its own.
func (im *importer) isObject(t *config.Tree, depth int) bool {
	if t == nil || depth > deepest {
		return false
	}
	if p := find(t, "properties"); p != nil && len(p.Entries) > 0 {
		return true
	}
	if all := find(t, "allOf"); all != nil {
		for _, item := range all.Items {
			if im.isObject(item, depth+1) || im.isObject(im.schemas[im.ref(item)], depth+1) || im.ref(item) != "" {
				return true
			}
		}
	}
	return false
}

// properties adds the fields of a schema to a type.
func (im *importer) properties(t *sketch.Type, schema *config.Tree, depth int) {
	if schema == nil || depth > deepest {
		return
	}
	if name := im.ref(schema); name != "" {
		im.properties(t, im.schemas[name], depth+1)
		return
	}
	if all := find(schema, "allOf"); all != nil {
		for _, item := range all.Items {
			im.properties(t, item, depth+1)
		}
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		if v := find(schema, word); v != nil {
			im.Look(v, "union", "write a type with union: and tag:", word+" of "+t.Name+" is not carried")
		}
	}
	required := make(map[string]bool)
	if list := find(schema, "required"); list != nil {
		for _, item := range list.Items {
			required[item.Text] = true
		}
	}
	props := find(schema, "properties")
	if props == nil {
		return
	}
	for _, e := range props.Entries {
		name := e.Key.Text
		if !sketch.Identifier(name) {
			im.Look(e.Key, "name", "write NAME: path, if a path can lead there", "the property "+sketch.Shorten(name)+" of "+t.Name+" can't name a field")
			continue
		}
		if t.Has(name) {
			continue
		}
		typ := im.fieldType(t.Name+sketch.TypeName(name), e.Key, e.Value, depth)
		if typ != "JSON" && required[name] && textOf(e.Value, "nullable") != "true" && typeOf(e.Value) == typeOnly(e.Value) {
			typ += "!"
		}
		text := "_"
		if typ != "JSON" {
			text = "_ as " + typ
		}
		t.Fields = append(t.Fields, sketch.Field{Name: name, Text: text, At: e.Key.Position})
	}
}

// typeOnly is the type of a schema that can't be null.
func typeOnly(t *config.Tree) string {
	if v := find(t, "type"); v != nil && v.Kind == config.TreeList && len(v.Items) != 1 {
		return "null"
	}
	return typeOf(t)
}

// fieldType gives the type of a property, making one of an object within.
func (im *importer) fieldType(name string, at, schema *config.Tree, depth int) string {
	if depth > deepest || schema == nil {
		return "JSON"
	}
	if ref := im.ref(schema); ref != "" {
		switch {
		case im.types[ref] != nil:
			return im.types[ref].Name
		case im.schemas[ref] == nil:
			im.Look(schema, "reference", "write the schema into components.schemas", "there is no schema "+sketch.Shorten(ref))
			return "JSON"
		}
		return im.fieldType(name, at, im.schemas[ref], depth+1)
	}
	if r := textOf(schema, "$ref"); r != "" {
		im.Look(schema, "reference", "bundle the document into one file first", sketch.Shorten(r)+" is not in this document")
		return "JSON"
	}
	if im.isObject(schema, depth) {
		t := &sketch.Type{Name: im.name(name), At: at.Position, Above: sketch.Lines(at.Position, sketch.LastLine(schema))}
		im.order = append(im.order, t)
		im.properties(t, schema, depth+1)
		if len(t.Fields) > 0 {
			return t.Name
		}
		return "JSON"
	}
	switch typeOf(schema) {
	case "string":
		return "String"
	case "integer":
		if textOf(schema, "format") == "int64" {
			return "Long"
		}
		return "Int"
	case "number":
		return "Float"
	case "boolean":
		return "Boolean"
	case "array":
		inner := im.fieldType(name, at, find(schema, "items"), depth+1)
		if inner == "JSON" || strings.HasPrefix(inner, "[") {
			return "JSON"
		}
		return "[" + inner + "]"
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		if v := find(schema, word); v != nil {
			im.Look(v, "union", "write a type with union: and tag:", word+" of "+name+" is not carried: it is any JSON")
		}
	}
	return "JSON"
}
