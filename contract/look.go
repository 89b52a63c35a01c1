package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// keywords are those of a schema, with the kinds that their values may have.
func keywords() map[string][]Kind {
	schema, number := []Kind{Object, Bool}, []Kind{Number}
	list, object, text, flag := []Kind{List}, []Kind{Object}, []Kind{String}, []Kind{Bool}
	return map[string][]Kind{
		"$ref": text, "$id": text, "$schema": text, "$anchor": text, "$comment": text, "$dynamicRef": text, "$dynamicAnchor": text, "$defs": object,
		"type": {String, List}, "enum": list, "const": nil, "format": text, "pattern": text,
		"minimum": number, "maximum": number, "exclusiveMinimum": {Number, Bool}, "exclusiveMaximum": {Number, Bool}, "multipleOf": number,
		"minLength": number, "maxLength": number, "minItems": number, "maxItems": number, "minProperties": number, "maxProperties": number,
		"minContains": number, "maxContains": number, "uniqueItems": flag,
		"required": list, "properties": object, "patternProperties": object, "dependentRequired": object, "dependentSchemas": object,
		"additionalProperties": schema, "propertyNames": schema, "items": schema, "contains": schema, "prefixItems": list,
		"unevaluatedItems": schema, "unevaluatedProperties": schema, "contentSchema": schema,
		"allOf": list, "anyOf": list, "oneOf": list, "not": schema, "if": schema, "then": schema, "else": schema,
		"title": nil, "description": nil, "default": nil, "example": nil, "examples": nil, "deprecated": flag, "readOnly": flag, "writeOnly": flag,
		"nullable": flag, "discriminator": nil, "xml": nil, "externalDocs": nil, "contentEncoding": text, "contentMediaType": text,
		"definitions": nil, "dependencies": nil, "$recursiveRef": nil, "$recursiveAnchor": nil, "$vocabulary": nil, "additionalItems": nil, "id": nil,
	}
}

// look finds what is wrong or without effect in a schema's own keywords.
func (c *compiler) look(n *Node) {
	if c.known == nil {
		c.known = keywords()
		for name := range c.known {
			c.words = append(c.words, name)
		}
		slices.Sort(c.words)
		c.looked = make(map[*Node]bool)
	}
	if c.looked[n] {
		return
	}
	c.looked[n] = true
	for _, e := range n.Entries {
		name := e.Key.Text
		kinds, known := c.known[name]
		switch {
		case !known:
			if best := diag.Nearest(name, c.words); best != "" && len(name) > 4 && len(best) > 4 {
				c.warn(e.Key, "misspelt", name+" is no keyword and so not checked", "write "+best)
			}
		case kinds != nil && !slices.Contains(kinds, e.Value.Kind):
			c.fault(e.Value, "type", name+" has a value of the wrong type", "write "+kindWords(kinds))
		}
	}
	c.effects(n)
}

// kindWords names kinds for people.
func kindWords(kinds []Kind) string {
	words := [...]string{"null", "true or false", "a number", "a text", "a list", "an object"}
	out := make([]string, 0, len(kinds))
	for _, k := range kinds {
		out = append(out, words[k])
	}
	return strings.Join(out, " or ")
}

// effects warns of keywords that do nothing, or not what they seem to.
func (c *compiler) effects(n *Node) {
	if c.openapi {
		c.versions(n)
	}
	if n.has("minContains", "maxContains") && !n.has("contains") {
		c.warn(n, "no-effect", "minContains and maxContains do nothing without contains", "add contains")
	}
	if v := n.Get("additionalProperties"); v != nil && v.Kind == Bool && v.Text == "false" && n.has("allOf") {
		fix := "write unevaluatedProperties: false"
		if c.old {
			fix = "merge the schemas into one"
		}
		c.warn(v, "closed", "additionalProperties: false sees only the properties beside it, not those of allOf", fix)
	}
	kind := n.str("type")
	for _, pair := range [][2]string{
		{"minLength", "string"},
		{"maxLength", "string"},
		{"pattern", "string"},
		{"minItems", "array"},
		{"maxItems", "array"},
		{"uniqueItems", "array"},
		{"minProperties", "object"},
		{"maxProperties", "object"},
	} {
		if kind != "" && kind != pair[1] && n.has(pair[0]) {
			c.warn(n.Get(pair[0]), "no-effect", fmt.Sprintf("%s does nothing beside type: %s", pair[0], kind), "remove it, or write type: "+pair[1])
		}
	}
	if (kind == "string" || kind == "object" || kind == "array") && n.has("minimum", "maximum") {
		c.warn(n.Get("type"), "no-effect", "minimum and maximum do nothing beside type: "+kind, "remove them, or write type: number")
	}
}

// versions warns of keywords of the other version of OpenAPI.
func (c *compiler) versions(n *Node) {
	if !c.old {
		if v := n.Get("nullable"); v != nil {
			c.warn(v, "no-effect", "nullable has no effect in OpenAPI 3.1", `write type: [string, "null"]`)
		}
		for _, name := range []string{"$dynamicRef", "$anchor", "$id", "$dynamicAnchor"} {
			if v := n.Get(name); v != nil {
				c.fault(v, "unsupported", name+" is not followed within an OpenAPI document", "refer by a pointer: #/components/schemas/…")
			}
		}
		return
	}
	if v := n.Get("nullable"); v != nil && !n.has("type", "$ref") {
		c.warn(v, "no-effect", "nullable does nothing without type", "add type")
	}
	if n.has("$ref") && len(n.Entries) > 1 {
		for _, e := range n.Entries {
			if e.Key.Text != "$ref" && e.Key.Text != "description" && e.Key.Text != "summary" {
				c.warn(e.Key, "no-effect", "what stands beside $ref is ignored in OpenAPI 3.0", "put both into allOf")
				break
			}
		}
	}
	for _, name := range []string{
		"const", "if", "then", "else", "contains", "prefixItems", "patternProperties", "propertyNames",
		"dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems",
	} {
		if n.has(name) {
			c.warn(n.Get(name), "no-effect", name+" is no keyword of OpenAPI 3.0 and so not checked", "write openapi: 3.1.0")
		}
	}
	for _, name := range []string{"exclusiveMinimum", "exclusiveMaximum"} {
		if v := n.Get(name); v != nil && v.Kind == Number {
			c.fault(v, "type", name+" is true or false in OpenAPI 3.0", "write the bound as minimum or maximum beside it")
		}
	}
}
