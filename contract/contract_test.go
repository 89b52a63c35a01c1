package contract_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// load loads files of YAML or JSON, the first of which is the contract.
func load(cfg contract.Config, files ...string) (*contract.Contract, []diag.Finding) {
	fsys := make(fstest.MapFS)
	for pair := range slices.Chunk(files, 2) {
		fsys[pair[0]] = &fstest.MapFile{Data: []byte(pair[1])}
	}
	return contract.Load(fsys, files[0], contract.Options{Config: cfg, Decode: config.DecodeContract})
}

// keywords checks a body and lists what it breaks: "pointer keyword".
func keywords(m *contract.Media, body string, answer bool) []string {
	v := contract.NewVerdict()
	defer v.Release()
	m.Check([]byte(body), answer, v)
	var out []string
	if s := v.Syntax(); s != nil {
		out = append(out, string(s.Reason))
	}
	for _, x := range v.Violations() {
		out = append(out, strings.TrimSpace(x.Pointer+" "+x.Keyword))
	}
	return out
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ schema, body, want string }{
		{`{"maximum": 9007199254740993}`, `9007199254740993`, ""},
		{`{"maximum": 9007199254740992}`, `9007199254740993`, "maximum"},
		{`{"enum": [9007199254740993]}`, `9007199254740992`, "enum"},
		{`{"const": null}`, `1`, "const"},
		{`{"minimum": 0}`, `1e5000000`, "exponent"},
		{`{"not": {"minimum": 0}}`, `1e5000000`, "size"},
		{`{"type": "integer"}`, `1.0`, ""},
		{`{"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}`, `"12.5"`, ""},
		{`{"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}`, `"-."`, "pattern"},
		{`{"pattern": "^\\u00e9[\\s\\S]$"}`, `"éx"`, ""},
		{`{"format": "date-time"}`, `"2024-02-30T00:00:00Z"`, "format"},
		{`{"format": "date-time"}`, `"1998-12-31T23:59:60Z"`, ""},
		{`{"format": "date-time"}`, `"1998-12-31T22:59:60Z"`, "format"},
		{`{"format": "int32"}`, `2147483648`, "format"},
		{`{"uniqueItems": true}`, `[{"a":1,"b":2},{"b":2,"a":1.0}]`, "uniqueItems"},
		{`{"oneOf": [{"type": "integer"}, {"minimum": 2}]}`, `3`, "oneOf"},
		{`{"oneOf": [{"type": "null"}, {"type": "string", "maxLength": 1}]}`, `"ab"`, "maxLength"},
		{`{"anyOf": [{"type": "object", "required": ["k"], "properties": {"k": {"const": "a"}, "n": {"type": "integer"}}},
		  {"type": "object", "required": ["k"], "properties": {"k": {"const": "b"}}}]}`, `{"k":"a","n":"x"}`, "/n type"},
		{`{"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"next": {"$ref": "#/$defs/t"}, "v": {"type": "string"}}}}}`, `{"next":{"next":{"v":1}}}`, "/next/next/v type"},
		{`{"if": {"required": ["a"]}, "then": {"required": ["b"]}}`, `{"a":1}`, "required"},
		{`{"propertyNames": {"enum": ["a"]}}`, `{"b":1}`, "propertyNames"},
		{`true`, `{"a":1,"a":2}`, "duplicate-member"},
		{`true`, `"\ud800"`, "lone-surrogate"},
	} {
		c, findings := load(contract.Config{}, "s.json", test.schema)
		if c == nil {
			t.Errorf("%s: %v", test.schema, findings)
			continue
		}
		if got := strings.Join(keywords(c.Body, test.body, false), ", "); got != test.want {
			t.Errorf("%s: %s: %q, want %q", test.schema, test.body, got, test.want)
		}
	}
}

// api is an OpenAPI document of that version around a schema X.
func api(version, schema string) string {
	return "openapi: " + version + `
info: {title: t, version: "1"}
paths:
  /x:
    post:
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/X'}}, text/plain: {}}}
      responses:
        '200': {description: '', content: {application/json: {schema: {$ref: '#/components/schemas/X'}}}}
        4XX: {description: '', content: {application/problem+json: {}}}
components:
  schemas:
    X: ` + schema + "\n"
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version, schema, body string
		strict                bool
		request, answer       string
	}{
		{"3.0.3", `{type: string, nullable: true}`, `null`, false, "", ""},
		{"3.1.0", `{type: string, nullable: true}`, `null`, false, "type", "type"},
		{"3.1.0", `{type: [string, "null"]}`, `null`, false, "", ""},
		{"3.0.3", `{type: integer, minimum: 1, exclusiveMinimum: true}`, `1`, false, "exclusiveMinimum", "exclusiveMinimum"},
		{"3.0.3", `{type: integer, minimum: 1, exclusiveMinimum: true, not: {enum: [3]}}`, `1`, false, "exclusiveMinimum", "exclusiveMinimum"},
		{"3.0.3", `{const: 1}`, `2`, false, "", ""},
		{"3.1.0", `{const: 1}`, `2`, false, "const", "const"},
		{"3.1.0", `{type: object, required: [id, pw], properties: {id: {type: integer, readOnly: true}, pw: {type: string, writeOnly: true}}}`, `{"pw":"x"}`, false, "", "required, /pw writeOnly"},
		{"3.1.0", `{type: object, required: [id, pw], properties: {id: {type: integer, readOnly: true}, pw: {type: string, writeOnly: true}}}`, `{"id":1}`, false, "required", ""},
		{"3.1.0", `{type: object, required: [id], properties: {id: {type: integer, readOnly: true}}}`, `{}`, true, "required", "required"},
		{"3.1.0", `{type: object, required: [id], properties: {id: {type: integer, readOnly: true}}, not: {required: [z]}}`, `{}`, false, "", "required"},
	} {
		cfg := contract.Config{}
		if test.strict {
			cfg.Direction = "strict"
		}
		c, findings := load(cfg, "api.yaml", api(test.version, test.schema))
		if c == nil {
			t.Errorf("%s: %v", test.schema, findings)
			continue
		}
		op := c.Operations[0]
		if got := strings.Join(keywords(op.Media("application/json; charset=utf-8"), test.body, false), ", "); got != test.request {
			t.Errorf("%s %s: request %s: %q, want %q", test.version, test.schema, test.body, got, test.request)
		}
		if got := strings.Join(keywords(op.Response(200).Content("APPLICATION/JSON"), test.body, true), ", "); got != test.answer {
			t.Errorf("%s %s: answer %s: %q, want %q", test.version, test.schema, test.body, got, test.answer)
		}
		if op.Response(404).Content("application/problem+json") == nil || op.Response(500) != nil || op.Media("application/xml") != nil {
			t.Error("a response or media type was not found, or one that is not there")
		}
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", "a.yaml: error: a.yaml is empty"},
		{"openapi: 4.0.0\n", "a.yaml:1:10: error: OpenAPI 4.0.0 is not read"},
		{"swagger: '2.0'\n", "a.yaml:1:10: error: Swagger 2.0 is not read"},
		{"type: [string, txt]\n", `a.yaml:1:16: error: "txt" is no type`},
		{"minLength: -1\n", `a.yaml:1:12: error: "-1" is no number of things`},
		{"required: name\n", "a.yaml:1:11: error: required has a value of the wrong type"},
		{"requierd: [name]\n", "a.yaml:1:1: warning: requierd is no keyword and so not checked"},
		{"$ref: 'b.yaml#/x'\n", "a.yaml:1:7: error: cannot read b.yaml: file does not exist"},
		{"$ref: '../b.yaml'\n", "a.yaml:1:7: error: cannot read ../b.yaml: it lies outside of the contract's folder"},
		{"$ref: 'http://example.com/b.json'\n", "a.yaml:1:1: error: the schema is none:"},
		{"allOf: [{$ref: '#'}]\n", "a.yaml:1:1: error: the schema refers to itself without going into the value"},
		{"pattern: '(a)\\1'\n", "a.yaml:1:10: error: a back-reference can't be compiled (RE2)"},
		{"maximum: .inf\n", "a.yaml:1:10: error: .inf is no number that JSON has"},
		{"{type: string, type: number}\n", "a.yaml:1:16: error: the key stands twice in this mapping"},
		{"type: object\nadditionalProperties: false\nallOf: [{properties: {a: {}}}]\n", "a.yaml:2:23: warning: additionalProperties: false sees only the properties beside it, not those of allOf"},
		{"format: colour\n", `a.yaml:1:9: warning: the format "colour" is not known and so not checked`},
	} {
		c, findings := load(contract.Config{}, "a.yaml", test.text)
		if errs, _ := diag.Count(findings); (errs > 0) == (c != nil) {
			t.Errorf("%q: a contract with %d errors", test.text, errs)
		}
		found := slices.ContainsFunc(findings, func(f diag.Finding) bool { return strings.HasPrefix(f.String(), test.want) })
		if !found {
			t.Errorf("%q: %v, want %s", test.text, findings, test.want)
		}
	}
	c, findings := load(contract.Config{Patterns: "skip"}, "a.yaml", "pattern: '(?<=a)b'\n")
	if c == nil || len(findings) != 1 || keywords(c.Body, `"x"`, false) != nil {
		t.Errorf("a skipped pattern: %v", findings)
	}
}

// References lead to other files, and circles of data are no fault.
func TestReferencesOverFiles(t *testing.T) {
	t.Parallel()
	c, findings := load(contract.Config{}, "a.yaml", "$ref: 'sub/b.yaml#/defs/Tree'\n",
		"sub/b.yaml", "defs:\n  Tree: {type: object, properties: {kids: {type: array, items: {$ref: '#/defs/Tree'}}, name: {$ref: '../c.json#/a~1b'}}}\n",
		"c.json", `{"a/b": {"type": "string"}}`)
	if c == nil {
		t.Fatal(findings)
	}
	if got := keywords(c.Body, `{"kids":[{"kids":[{"name":1}]}]}`, false); !slices.Equal(got, []string{"/kids/0/kids/0/name type"}) {
		t.Errorf("got %q", got)
	}
}

func TestParameterStyles(t *testing.T) {
	t.Parallel()
	const text = `
openapi: 3.0.3
paths:
  /a/{label}/{matrix}:
    get:
      parameters:
        - {name: label, in: path, required: true, style: label, explode: true, schema: {type: array, items: {type: integer}}}
        - {name: matrix, in: path, required: true, style: matrix, schema: {type: integer}}
        - {name: pipe, in: query, style: pipeDelimited, explode: false, schema: {type: array, items: {type: integer}, maxItems: 2}}
        - {name: space, in: query, style: spaceDelimited, explode: false, schema: {type: array, items: {type: integer}}}
        - {name: list, in: query, schema: {type: array, items: {type: boolean}}}
        - {name: obj, in: query, schema: {type: object, additionalProperties: false, properties: {r: {type: integer}, g: {type: integer}}}}
        - {name: json, in: query, content: {application/json: {schema: {type: object, required: [x]}}}}
        - {name: X-List, in: header, schema: {type: array, items: {type: integer}}}
      responses: {default: {description: ''}}
`
	c, findings := load(contract.Config{}, "a.yaml", text)
	if c == nil {
		t.Fatal(findings)
	}
	for _, test := range []struct{ path, query, list, want string }{
		{"/a/.1.2/;matrix=3", "", "", ""},
		{"/a/.1.x/;matrix=y", "", "", "label /1 type, matrix type"},
		{"/a/.1/;matrix=3", "pipe=1|2", "", ""},
		{"/a/.1/;matrix=3", "pipe=1%7C2", "", "pipe /0 type"}, // split before decoding
		{"/a/.1/;matrix=3", "pipe=1|2|3", "", "pipe maxItems"},
		{"/a/.1/;matrix=3", "space=1%202", "", ""},
		{"/a/.1/;matrix=3", "space=1+x", "", "space /1 type"},
		{"/a/.1/;matrix=3", "list=true&list=false", "", ""},
		{"/a/.1/;matrix=3", "list=TRUE", "", "list /0 type"},
		{"/a/.1/;matrix=3", "r=1&g=x", "", "obj /g type"},
		{"/a/.1/;matrix=3", "json=%7B%22x%22:1%7D", "", ""},
		{"/a/.1/;matrix=3", "json=%7B%7D", "", "json required"},
		{"/a/.1/;matrix=3", "json=%7B", "", "json json-syntax"},
		{"/a/.1/;matrix=3", "other=1", "1, 2", "other unknown"},
		{"/a/.1/;matrix=3", "", "1, x", "X-List /1 type"},
	} {
		r := message.NewRequest()
		r.Path, r.Query, r.HasQuery = test.path, test.query, test.query != ""
		if test.list != "" {
			r.Header.Append(message.Field{Name: "x-list", Value: test.list})
		}
		v := contract.NewVerdict()
		c.Operations[0].Parameters(r, true, v)
		var got []string
		for _, x := range v.Violations() {
			name := x.Name
			if x.Keyword == "required" {
				name = "json"
			}
			got = append(got, strings.Join(strings.Fields(name+" "+x.Pointer+" "+x.Keyword), " "))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s?%s: %q, want %q", test.path, test.query, got, test.want)
		}
		v.Release()
		r.Release()
	}
}

func TestStyle(t *testing.T) {
	t.Parallel()
	style := contract.NewStyle(contract.Rules{Names: "camelCase", Types: true, Errors: true, Dates: true, IDs: true})
	for name, text := range map[string]string{
		"a.yaml": "openapi: 3.1.0\npaths: {/a: {get: {responses: {'404': {content: {application/json: {}}}}}}}\ncomponents: {schemas: {A: {properties: {member_id: {type: integer}, createdAt: {type: string}}}}}\n",
		"b.yaml": "properties: {member_id: {type: string}}\n",
	} {
		if c, findings := contract.Load(fstest.MapFS{name: {Data: []byte(text)}}, name, contract.Options{Decode: config.DecodeContract, Style: style}); c == nil {
			t.Fatal(findings)
		}
	}
	var got []string
	for _, f := range style.Findings() {
		got = append(got, f.Code)
	}
	slices.Sort(got)
	if want := []string{"dates", "errors", "ids", "names", "names", "types"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever the bytes, loading and checking end without a panic, and the scanner
// with the reference validator says what the reference validator says alone.
func FuzzSchemaAndBody(f *testing.F) {
	f.Add(`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, `{"a":{}}`)
	f.Add(`{"oneOf":[{"type":"string"},{"type":"array","items":{"minimum":2}}]}`, `[1]`)
	f.Add(`{"multipleOf":0.1,"not":{"const":1e400}}`, `1e5000000`)
	f.Add(`{"patternProperties":{"^a{0,2000}$":false},"propertyNames":{"pattern":"^(?!b)"}}`, `{"aa":1}`)
	f.Add(`{"allOf":[{"$ref":"#/allOf/0"}]}`, `1`)
	f.Add(listSchema, `{"items":[{"id":1}]}`)
	f.Fuzz(func(t *testing.T, schema, body string) {
		if len(schema) > 4096 || len(body) > 4096 {
			return
		}
		files := fstest.MapFS{"s.json": {Data: []byte(schema)}}
		both, findings := contract.Load(files, "s.json", contract.Options{})
		if both == nil {
			if len(findings) == 0 {
				t.Fatal("refused without a finding")
			}
			return
		}
		alone, _ := contract.Load(files, "s.json", contract.Options{Fallback: true})
		if alone == nil {
			return // the reference validator is stricter about what no scan needs
		}
		a, b := keywords(both.Body, body, false), keywords(alone.Body, body, false)
		if (a == nil) != (b == nil) && !slices.Contains(b, "size") && !slices.Contains(b, "validator") {
			t.Fatalf("%s\n%s\nscanner %q, reference %q", schema, body, a, b)
		}
	})
}

// Parameters are text of strangers.
func FuzzParameters(f *testing.F) {
	const text = `{"openapi":"3.1.0","paths":{"/a/{p}":{"get":{"parameters":[
	  {"name":"p","in":"path","required":true,"schema":{"type":["integer","boolean"]}},
	  {"name":"d","in":"query","style":"deepObject","schema":{"type":"object","properties":{"k":{"type":"integer"}}}},
	  {"name":"l","in":"query","explode":false,"schema":{"type":"array"}},
	  {"name":"o","in":"query","explode":false,"schema":{"type":"object","properties":{"r":{"type":"integer"}}}}]}}}}`
	c, findings := load(contract.Config{}, "a.json", text)
	if c == nil {
		f.Fatal(findings)
	}
	f.Add("/a/1", "d[k]=1&l=1,2&o=r,1")
	f.Add("/a/%", "d[]=&d[&l=%zz&o=,,,")
	f.Fuzz(func(t *testing.T, path, query string) {
		r := message.NewRequest()
		defer r.Release()
		r.Path, r.Query, r.HasQuery = path, query, true
		v := contract.NewVerdict()
		defer v.Release()
		c.Operations[0].Parameters(r, true, v)
		for _, x := range v.Violations() {
			if x.Keyword == "json-syntax" && !strings.Contains(query+path, "%") && strings.ToValidUTF8(query+path, "") == query+path {
				t.Fatalf("%s?%s is written as no JSON", path, query)
			}
		}
	})
}
