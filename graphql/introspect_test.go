package graphql_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// wholeSchema is the query that clients and editors send for a schema.
const wholeSchema = `query IntrospectionQuery {
  __schema {
    description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
    kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }
}`

func TestIntrospectionOfTheWholeSchema(t *testing.T) {
	t.Parallel()
	e := &recorder{}
	a := post(t, newDoor(t, open(), e), wholeSchema, "")
	if len(a.Errors) > 0 {
		t.Fatal(a.body)
	}
	if prepared, ran := e.asked(); prepared != nil || ran != nil {
		t.Errorf("introspection planned %q and ran %q", prepared, ran)
	}
	type ref struct {
		Kind, Name string
		OfType     *ref
	}
	var data struct {
		Schema struct {
			QueryType, MutationType, SubscriptionType *ref
			Types                                     []struct {
				Kind, Name    string
				Fields        []struct{ Name string }
				PossibleTypes []ref
				EnumValues    []struct{ Name string }
				InputFields   []struct {
					Name         string
					Type         ref
					DefaultValue *string
				}
			}
			Directives []struct{ Name string }
		} `json:"__schema"`
	}
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatal(err)
	}
	s := data.Schema
	if s.QueryType == nil || s.QueryType.Name != "Query" || s.MutationType == nil || s.SubscriptionType != nil || len(s.Directives) < 5 {
		t.Errorf("%+v", s)
	}
	seen := make(map[string]string)
	for _, typ := range s.Types {
		seen[typ.Name] = typ.Kind
		switch typ.Name {
		case "Found":
			if len(typ.PossibleTypes) != 2 || typ.Fields != nil {
				t.Errorf("%+v", typ)
			}
		case "Range":
			if len(typ.InputFields) != 3 || typ.InputFields[0].Type.Kind != "NON_NULL" || typ.InputFields[0].Type.OfType.Name != "Int" || *typ.InputFields[0].DefaultValue != "1" {
				t.Errorf("%+v", typ)
			}
		case "Tier":
			if len(typ.EnumValues) != 2 {
				t.Errorf("%+v", typ)
			}
		}
	}
	for name, kind := range map[string]string{"Member": "OBJECT", "JSON": "SCALAR", "Found": "UNION", "Tier": "ENUM", "Range": "INPUT_OBJECT", "__Type": "OBJECT"} {
		if seen[name] != kind {
			t.Errorf("%s is %q, want %s", name, seen[name], kind)
		}
	}
}

func TestIntrospectionBesideData(t *testing.T) {
	t.Parallel()
	d := newDoor(t, open(), &recorder{data: `{"ratio":1.5,"__typename":"Query"}`})
	a := post(t, d, `query($n:String!){ratio __typename t: __type(name:$n){__typename kind name ofType{name}} none: __type(name:"Nope"){name}}`, `{"n":"Member"}`)
	want := `{"data":{"ratio":1.5,"__typename":"Query","t":{"__typename":"__Type","kind":"OBJECT","name":"Member","ofType":null},"none":null}}`
	if a.body != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
}

func TestIntrospectionIsOffByDefault(t *testing.T) {
	t.Parallel()
	cfg := open()
	cfg.Introspection = ""
	e := &recorder{data: `{"__typename":"Query"}`}
	d := newDoor(t, cfg, e)
	for _, query := range []string{`{__schema{queryType{name}}}`, `{...F} fragment F on Query{__type(name:"Member"){name}}`} {
		if a := post(t, d, query, ""); a.code() != "INTROSPECTION_DISABLED" {
			t.Error(a.body)
		}
	}
	if a := post(t, d, `{__typename}`, ""); a.body != `{"data":{"__typename":"Query"}}` {
		t.Error(a.body)
	}
	if a := post(t, d, `{rati}`, ""); strings.Contains(a.body, "ratio") || a.code() != "GRAPHQL_VALIDATION_FAILED" {
		t.Errorf("a closed schema is suggested: %s", a.body)
	}
}

func TestIntrospectionDepth(t *testing.T) {
	t.Parallel()
	e := &recorder{}
	a := post(t, newDoor(t, open(), e), `{__schema{types{fields{type{fields{type{fields{type{fields{name}}}}}}}}}}`, "")
	if a.code() != "GRAPHQL_VALIDATION_FAILED" || a.Errors[0].Extensions.Rule != "MaxIntrospectionDepth" {
		t.Error(a.body)
	}
}
