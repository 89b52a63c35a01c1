package aggregate

import (
	"encoding/json"
	"fmt"
	"strings"
)

// openAPI is a document of OpenAPI 3.1.
type openAPI struct {
	OpenAPI    string              `json:"openapi"`
	Info       openAPIInfo         `json:"info"`
	Paths      map[string]pathItem `json:"paths"`
	Components components          `json:"components"`
}

type openAPIInfo struct {
	Title   string `json:"title"`
	Version string `json:"version"`
}

// pathItem holds operations by method in lower case.
type pathItem map[string]operationDoc

type components struct {
	Schemas map[string]*jsonSchema `json:"schemas"`
}

type operationDoc struct {
	ID         string                 `json:"operationId"`
	Parameters []parameter            `json:"parameters,omitempty"`
	Responses  map[string]responseDoc `json:"responses"`
}

type parameter struct {
	Name        string      `json:"name"`
	In          string      `json:"in"`
	Description string      `json:"description,omitempty"`
	Required    bool        `json:"required,omitempty"`
	Schema      *jsonSchema `json:"schema"`
}

type responseDoc struct {
	Description string               `json:"description"`
	Headers     map[string]headerDoc `json:"headers,omitempty"`
	Content     map[string]mediaDoc  `json:"content,omitempty"`
}

type headerDoc struct {
	Description string      `json:"description"`
	Schema      *jsonSchema `json:"schema"`
}

type mediaDoc struct {
	Schema *jsonSchema `json:"schema"`
}

// OpenAPI describes the views for one kind of client as an OpenAPI 3.1 document; ""
// is the default client. Policies decide which members are always there and which
// may be null. The error says that there is no such client.
func (g *Graph) OpenAPI(client, title, version string) ([]byte, error) {
	client, err := g.known(client)
	if err != nil {
		return nil, err
	}
	text := func() *jsonSchema { return &jsonSchema{Type: oneOrMore{"string"}} }
	doc := openAPI{
		OpenAPI: "3.1.0", Info: openAPIInfo{title, version}, Paths: make(map[string]pathItem),
		Components: components{map[string]*jsonSchema{"Problem": {Type: oneOrMore{"object"}, Required: []string{"type", "title", "status"}, Properties: &properties{
			names:   []string{"type", "title", "status", "detail", "part"},
			schemas: []*jsonSchema{text(), text(), {Type: oneOrMore{"integer"}}, text(), text()},
		}}}},
	}
	for _, route := range sortedKeys(g.views) {
		v := g.views[route]
		p := v.planOf(client)
		if p == nil {
			continue
		}
		name, method, path := documentName(route)
		doc.Components.Schemas[name] = p.outline().schema()
		if doc.Paths[path] == nil {
			doc.Paths[path] = make(pathItem)
		}
		doc.Paths[path][method] = v.document(name)
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return append(out, '\n'), nil
}

// known resolves the name of a client; "" is the default one, or none.
func (g *Graph) known(client string) (string, error) {
	var names []string
	for i := range g.clients {
		c := &g.clients[i]
		if c.Name == client || client == "" && c.Default {
			return c.Name, nil
		}
		names = append(names, c.Name)
	}
	if client == "" {
		return "", nil
	}
	return "", fmt.Errorf("there is no client %q; there are: %s", client, strings.Join(names, ", "))
}

// planOf is the variant for a client: its own, the one for all, or the default's.
func (v *View) planOf(client string) *Plan {
	for _, name := range []string{client, ""} {
		if p := v.plans[name]; p != nil {
			return p
		}
	}
	for i := range v.graph.clients {
		if c := &v.graph.clients[i]; c.Default {
			return v.plans[c.Name]
		}
	}
	return nil
}

// document describes the view's operation.
func (v *View) document(name string) operationDoc {
	op := operationDoc{ID: strings.ToLower(name[:1]) + name[1:], Responses: map[string]responseDoc{
		"200": {
			Description: "The answer.",
			Headers: map[string]headerDoc{"Maru-Partial": {
				Description: "The parts that failed, with code and policy (a list of RFC 9651); absent when all are there.",
				Schema:      &jsonSchema{Type: oneOrMore{"string"}},
			}},
			Content: map[string]mediaDoc{"application/json": {&jsonSchema{Ref: "#/components/schemas/" + name}}},
		},
		"default": {
			Description: "Why there is no answer.",
			Content:     map[string]mediaDoc{"application/problem+json": {&jsonSchema{Ref: "#/components/schemas/Problem"}}},
		},
	}}
	for i := range v.inputs {
		in := &v.inputs[i]
		s := scalarOutline(in.typ.name).schema()
		s.Enum = in.enum
		if in.hasDef {
			s.Default = json.RawMessage(in.def)
		}
		op.Parameters = append(op.Parameters, parameter{
			Name: in.key, In: [...]string{"path", "query", "header", "query"}[in.from], Required: in.required || in.from == fromPath, Schema: s,
		})
	}
	if !v.noMask && len(v.cfg.Merge) == 0 {
		op.Parameters = append(op.Parameters, parameter{
			Name: "fields", In: "query", Description: "The members that are wanted: name,auctions{id}; what nobody wants is not fetched.",
			Schema: &jsonSchema{Type: oneOrMore{"string"}},
		})
	}
	return op
}

// documentName is the name of a view in documents, with its method in lower case and
// its path as OpenAPI writes it: "GET /home/{id:[0-9]+}" is GetHomeById, get, /home/{id}.
func documentName(route string) (name, method, path string) {
	method, target, _ := strings.Cut(route, " ")
	method, _, _ = strings.Cut(method, ",")
	if i := strings.IndexByte(target, '/'); i > 0 {
		target = target[i:]
	}
	var b, p strings.Builder
	b.WriteString(titled(method))
	for segment := range strings.SplitSeq(strings.Trim(target, "/"), "/") {
		inner, isParam := strings.CutPrefix(segment, "{")
		if isParam {
			inner, _, _ = strings.Cut(strings.TrimSuffix(inner, "}"), ":")
			inner = strings.TrimSuffix(inner, "...")
			b.WriteString("By")
			segment = "{" + inner + "}"
		}
		for word := range strings.FieldsFuncSeq(inner, func(r rune) bool { return !nameByte(byte(min(r, 0x7f))) }) {
			b.WriteString(titled(word))
		}
		p.WriteString("/" + segment)
	}
	return b.String(), strings.ToLower(method), p.String()
}

func titled(word string) string {
	if word == "" {
		return ""
	}
	if strings.ToUpper(word) == word {
		word = strings.ToLower(word)
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// TypeScript writes the types of the views' answers: for each client of a view an
// interface, named by method and path.
func (g *Graph) TypeScript() string {
	var b strings.Builder
	b.WriteString("// The answers of the views, by client. Made by maru graph types --ts.\n")
	for _, route := range sortedKeys(g.views) {
		v := g.views[route]
		name, _, _ := documentName(route)
		for _, client := range sortedKeys(v.plans) {
			fmt.Fprintf(&b, "\n/** %s", route)
			if client != "" {
				fmt.Fprintf(&b, " for %s", client)
			}
			fmt.Fprintf(&b, " */\nexport type %s%s = ", name, titled(strings.ReplaceAll(client, "-", "_")))
			v.plans[client].outline().typescript(&b, "")
			b.WriteString(";\n")
		}
	}
	return b.String()
}

// typescript writes the type of the outline.
func (o *outline) typescript(b *strings.Builder, indent string) {
	switch o.kind {
	case outlineObject:
		b.WriteString("{\n")
		for _, m := range o.members {
			name := m.name
			if !validName(name) {
				name = quoteJSON(name)
			}
			if !m.required {
				name += "?"
			}
			b.WriteString(indent + "  " + name + ": ")
			m.outline.typescript(b, indent+"  ")
			b.WriteString(";\n")
		}
		if o.open {
			b.WriteString(indent + "  [name: string]: unknown;\n")
		}
		b.WriteString(indent + "}")
	case outlineList:
		b.WriteString("Array<")
		o.items.typescript(b, indent)
		b.WriteString(">")
	case outlineAny, outlineText, outlineInt, outlineLong, outlineNumber, outlineBool:
		b.WriteString([...]string{"unknown", "", "", "string", "number", "number", "number", "boolean"}[o.kind])
	}
	if o.nullable && o.kind != outlineAny {
		b.WriteString(" | null")
	}
	if o.or != "" {
		b.WriteString(" | " + o.or)
	}
}
