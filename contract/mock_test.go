package contract_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/scan"
)

// mockOf is the mock of an operation with that schema for its answer.
func mockOf(t *testing.T, schema string) (*contract.Mock, *contract.Contract, int) {
	t.Helper()
	text := `{"openapi":"3.1.0","info":{"title":"m","version":"1"},"components":{"schemas":{
	"Tree":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"next":{"$ref":"#/components/schemas/Tree"},"all":{"type":"array","items":{"$ref":"#/components/schemas/Tree"}}}},
	"Loop":{"type":"object","required":["self"],"properties":{"self":{"$ref":"#/components/schemas/Loop"}}}}},
	"paths":{"/a":{"get":{"responses":{"404":{"description":""},"200":{"description":"","content":{"application/json":{"schema":` + schema + `}}}}}}}}`
	files := fstest.MapFS{"m.json": {Data: []byte(text)}}
	c, findings := contract.Load(files, "m.json", contract.Options{})
	if c == nil {
		t.Fatalf("%s: %v", schema, findings)
	}
	m, findings := contract.NewMock(contract.Version{FS: files, Name: "m.json"})
	warned := 0
	for _, f := range findings {
		if f.Code == "mock" {
			warned++
		}
	}
	return m, c, warned
}

// What is made up keeps the schema, by the judge of the filter.
func TestMockKeepsTheSchema(t *testing.T) {
	for schema, want := range map[string]string{
		`{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"name":{"type":"string"}}}`:     `{"id":1,"name":"text"}`,
		`{"type":"string","minLength":6,"maxLength":6}`:                                                           `"texttt"`,
		`{"type":"string","maxLength":2}`:                                                                         `"te"`,
		`{"type":"string","pattern":"^[A-Z]{2}-[0-9]+(a|b)?$"}`:                                                   `"AA-0"`,
		`{"type":"string","format":"date-time"}`:                                                                  `"2026-01-02T03:04:05Z"`,
		`{"type":"integer","minimum":10,"multipleOf":7}`:                                                          `14`,
		`{"type":"number","exclusiveMinimum":0,"maximum":0.5}`:                                                    `0.5`,
		`{"type":"number","maximum":-3.25}`:                                                                       `-3.25`,
		`{"type":"array","minItems":3,"uniqueItems":true,"items":{"type":"integer"}}`:                             `[1,2,3]`,
		`{"type":"array","minItems":2,"uniqueItems":true,"items":{"type":"string"}}`:                              `["text","texto"]`,
		`{"enum":["basic","plus"]}`:                                                                               `"basic"`,
		`{"const":null}`:                                                                                          `null`,
		`{"type":["null","boolean"]}`:                                                                             `true`,
		`{"type":"integer","example":42}`:                                                                         `42`,
		`{"oneOf":[{"type":"object","required":["kind"],"properties":{"kind":{"const":"a"}}},{"type":"string"}]}`: `{"kind":"a"}`,
		`{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}}},{"required":["b"],"properties":{"b":{"type":"boolean"}}}]}`: `{"a":1,"b":true}`,
		`{"$ref":"#/components/schemas/Tree"}`: `{"name":"text"}`,
		`{}`:                                   `"text"`,
	} {
		m, c, warned := mockOf(t, schema)
		answer, _ := m.Answer("GET", "/a", 0)
		if warned > 0 || answer == nil || answer.Status != 200 || string(answer.Body) != want {
			t.Errorf("%s gives %+v (%d warnings), want %s", schema, answer, warned, want)
			continue
		}
		tape, report := scan.NewTape(), new(scan.Report)
		if err := c.Operations[0].Response(200).Content("application/json").Program(true).Scan(answer.Body, tape, report); err != nil || !report.Valid() {
			t.Errorf("%s: %s is not valid: %v", schema, answer.Body, err)
		}
		tape.Release()
	}
}

// What can't be made up is told, and the answer has no body.
func TestMockTellsWhatItCannotMakeUp(t *testing.T) {
	for _, schema := range []string{
		`{"$ref":"#/components/schemas/Loop"}`, `{"type":"string","not":{"const":"text"}}`, `{"type":"integer","minimum":3,"maximum":2}`,
	} {
		m, _, warned := mockOf(t, schema)
		if answer, _ := m.Answer("GET", "/a", 0); warned != 1 || answer == nil || answer.Body != nil {
			t.Errorf("%s gives %+v, %d warnings", schema, answer, warned)
		}
	}
}

// The most specific path answers, a status can be asked for, and methods are told.
func TestMockFindsOperations(t *testing.T) {
	text := strings.Replace(memberContract, `"/old":`, `"/members/me":{"get":{"responses":{"200":{"description":"","content":{"application/json":{"example":{"me":true}}}}}}},"/old":`, 1)
	m, findings := contract.NewMock(contract.Version{FS: fstest.MapFS{"m.json": {Data: []byte(text)}}, Name: "m.json"})
	if m == nil {
		t.Fatal(findings)
	}
	if a, _ := m.Answer("GET", "/members/me", 0); string(a.Body) != `{"me":true}` {
		t.Errorf("me: %s", a.Body)
	}
	if a, _ := m.Answer("GET", "/members/7", 0); !strings.Contains(string(a.Body), `"tier":"basic"`) {
		t.Errorf("a member: %s", a.Body)
	}
	if a, _ := m.Answer("GET", "/members/7", 404); a.Status != 404 || a.Body != nil {
		t.Errorf("404: %+v", a)
	}
	if a, allow := m.Answer("DELETE", "/members/7", 0); a != nil || len(allow) != 2 {
		t.Errorf("DELETE: %+v, allowed %v", a, allow)
	}
	if a, allow := m.Answer("GET", "/nothing", 0); a != nil || allow != nil {
		t.Errorf("nothing: %+v, allowed %v", a, allow)
	}
}

// Whatever the contract, making up answers ends and breaks nothing.
func FuzzMock(f *testing.F) {
	f.Add(memberContract)
	f.Add(`{"openapi":"3.1.0","paths":{"/a":{"get":{"responses":{"2XX":{"content":{"application/json":{"schema":{"type":"string","pattern":"(a*)+[^\\x00-z]{2,1000}$","minLength":99}}}}}}}}}`)
	f.Fuzz(func(_ *testing.T, text string) {
		contract.NewMock(contract.Version{FS: fstest.MapFS{"m.json": {Data: []byte(text)}}, Name: "m.json"})
	})
}
