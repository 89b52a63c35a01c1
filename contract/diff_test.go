package contract_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/contract"
)

// memberContract is the version before.
const memberContract = `{"openapi":"3.1.0","info":{"title":"m","version":"1"},
"components":{"schemas":{
 "Tree":{"type":"object","properties":{"next":{"$ref":"#/components/schemas/Tree"}}},
 "Base":{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}},
 "Member":{"allOf":[{"$ref":"#/components/schemas/Base"}],"required":["name"],"properties":{
  "name":{"type":"string","minLength":1,"maxLength":40},"tier":{"type":"string","enum":["basic","plus"]},"age":{"type":"number","maximum":150},
  "tree":{"$ref":"#/components/schemas/Tree"},"tags":{"type":"array","items":{"type":"string"}}}}}},
"paths":{
"/members/{id}":{"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
 "get":{"parameters":[{"name":"lang","in":"query","schema":{"type":"string"}}],
  "responses":{"200":{"description":"","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Member"}}}},"404":{"description":""}}},
 "put":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Member"}}}},"responses":{"204":{"description":""}}}},
"/old":{"get":{"deprecated":true,"responses":{"200":{"description":""}}}}}}`

func diffOf(t *testing.T, before, after string) []string {
	t.Helper()
	version := func(text string) contract.Version {
		return contract.Version{FS: fstest.MapFS{"m.json": {Data: []byte(text)}}, Name: "m.json"}
	}
	changes, findings := contract.Diff(version(before), version(after))
	for _, f := range findings {
		if f.Severity == 0 {
			t.Fatalf("%v in\n%s", f, after)
		}
	}
	out := make([]string, 0, len(changes))
	for _, c := range changes {
		if c.Line == 0 || c.Text == "" {
			t.Errorf("%+v says neither where nor what", c)
		}
		out = append(out, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s %s", c.Level, c.Code, c.Operation, c.Where, c.Pointer)), " "))
	}
	slices.Sort(out)
	return out
}

// Each change is told with the level that it has in a request and in an answer.
func TestDiff(t *testing.T) {
	const get, put = "GET /members/{id}", "PUT /members/{id}"
	for _, test := range []struct {
		name, from, to string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"another name in the path", `/members/{id}":{"parameters":[{"name":"id"`, `/members/{memberId}":{"parameters":[{"name":"memberId"`, nil},
		{"a removed deprecated operation", `"/old":{"get"`, `"/new":{"get"`, []string{"info operation-added GET /new", "warning operation-removed GET /old"}},
		{"a removed operation", `"put":{`, `"patch":{`, []string{"breaking operation-removed " + put, "info operation-added PATCH /members/{id}"}},
		{"a required parameter", `"in":"query","schema"`, `"in":"query","required":true,"schema"`, []string{"breaking parameter-required " + get + " parameter lang"}},
		{"another parameter", `"name":"lang"`, `"name":"language"`, []string{"info parameter-added " + get + " parameter language", "warning parameter-removed " + get + " parameter lang"}},
		{"null", `"tier":{"type":"string",`, `"tier":{"type":["string","null"],`, []string{"breaking type-added " + get + " response 200 /tier", "info type-added " + put + " request /tier"}},
		{"an integer where a number was", `"age":{"type":"number"`, `"age":{"type":"integer"`, []string{"breaking type-removed " + put + " request /age", "info type-removed " + get + " response 200 /age"}},
		{"a new value", `["basic","plus"]`, `["basic","plus","gold"]`, []string{"info enum-value-added " + put + " request /tier", "warning enum-value-added " + get + " response 200 /tier"}},
		{"a value less", `["basic","plus"]`, `["basic"]`, []string{"breaking enum-value-removed " + put + " request /tier", "info enum-value-removed " + get + " response 200 /tier"}},
		{"shorter", `"maxLength":40`, `"maxLength":20`, []string{"breaking bound-tightened " + put + " request /name", "info bound-tightened " + get + " response 200 /name"}},
		{"the same number otherwise written", `"maximum":150`, `"maximum":1.5e2`, nil},
		{"larger", `"maximum":150`, `"maximum":200`, []string{"info bound-loosened " + put + " request /age", "warning bound-loosened " + get + " response 200 /age"}},
		{"a required member", `"required":["name"]`, `"required":["name","tier"]`, []string{"breaking member-required " + put + " request /tier", "info member-required " + get + " response 200 /tier"}},
		{"a member that may be missing", `"required":["id"]`, `"required":[]`, []string{"breaking member-optional " + get + " response 200 /id", "info member-optional " + put + " request /id"}},
		{"a removed member", `,"age":{"type":"number","maximum":150}`, ``, []string{"breaking member-removed " + get + " response 200 /age", "warning member-removed " + put + " request /age"}},
		{"elements", `"items":{"type":"string"}`, `"items":{"type":"integer"}`, []string{
			"breaking type-added " + get + " response 200 /tags/*", "breaking type-removed " + put + " request /tags/*",
			"info type-added " + put + " request /tags/*", "info type-removed " + get + " response 200 /tags/*",
		}},
		{"a new name of a schema", `#/components/schemas/Base"}]`, `#/components/schemas/Root"}]`, []string{
			"breaking member-removed " + get + " response 200 /id", "warning member-removed " + put + " request /id",
		}},
		{"another answer", `"404"`, `"410"`, []string{"info response-added " + get + " response 410", "info response-removed " + get + " response 404"}},
		{"a required body", `"requestBody":{`, `"requestBody":{"required":true,`, []string{"breaking body-required " + put + " request"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := memberContract
			if strings.Contains(test.to, "Root") {
				before = strings.Replace(before, `"Base":`, `"Root":{"type":"object"},"Base":`, 1)
			}
			after := strings.Replace(before, test.from, test.to, 1)
			if test.from != "" && after == before {
				t.Fatal("nothing was changed")
			}
			if got := diffOf(t, before, after); !slices.Equal(got, slices.Sorted(slices.Values(test.want))) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// A change and its opposite have the same places: what one takes the other gives.
func TestDiffThere(t *testing.T) {
	after := strings.NewReplacer(`"maxLength":40`, `"maxLength":20`, `["basic","plus"]`, `["basic"]`).Replace(memberContract)
	there, back := diffOf(t, memberContract, after), diffOf(t, after, memberContract)
	if len(there) != 4 || len(back) != 4 {
		t.Errorf("%q there, %q back", there, back)
	}
}

// A bare schema is one of requests.
func TestDiffOfSchemas(t *testing.T) {
	got := diffOf(t, `{"type":"object","properties":{"a/b":{"oneOf":[{"type":"string"},{"type":"integer"}]}}}`,
		`{"type":"object","additionalProperties":false,"properties":{"a/b":{"oneOf":[{"type":"string"}]}}}`)
	if want := []string{"breaking branch-removed /a~1b", "breaking members-closed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzDiff(f *testing.F) {
	f.Add(memberContract, strings.Replace(memberContract, "40", "20", 1))
	f.Add(`{"$ref":"#"}`, `{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"maximum":1e400}}}`)
	f.Fuzz(func(t *testing.T, before, after string) {
		version := func(text string) contract.Version {
			return contract.Version{FS: fstest.MapFS{"m.json": {Data: []byte(text)}}, Name: "m.json"}
		}
		same, _ := contract.Diff(version(before), version(before))
		if len(same) > 0 {
			t.Errorf("%s differs from itself: %v", before, same)
		}
		contract.Diff(version(before), version(after))
	})
}
