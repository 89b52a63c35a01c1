package graphql_test

import (
	"slices"
	"strings"
	"testing"
)

// What a document comes down to: fragments inlined, fields merged, conditions
// decided, values as JSON (GraphQL §6.3.2, §6.4.1).
func TestOperations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, query, variables string
		plan, vars             string
	}{
		{"an alias", `{me: member(id: 7) {n: name}}`, "", `{me:member(id:"7"){n:name}}`, ""},
		{"merged fields", `{member(id:1){id friend{id}} member(id:1){name friend{name}}}`, "", `{member(id:"1"){id friend{id name} name}}`, ""},
		{
			"fragments", `{member(id:1){...F id ...{name}}} fragment F on Member{friend{...G} ...G} fragment G on Member{id}`, "",
			`{member(id:"1"){friend{id} id name}}`, "",
		},
		{
			"the order of the document", `{ratio __typename found{__typename}}`, "",
			`{ratio __typename found{on Member{__typename} on Auction{__typename}}}`, "",
		},
		{
			"a union", `{found{__typename ...on Member{name} ...F}} fragment F on Auction{total owner{id}}`, "",
			`{found{on Member{__typename name} on Auction{__typename total owner{id}}}}`, "",
		},
		{"a variable", `query($id: ID!){member(id:$id){id}}`, `{"id":7}`, `$0:ID! {member(id:$0){id}}`, `"7"`},
		{"the same variable twice", `query($id: ID!){a: member(id:$id){id} b: member(id:$id){id}}`, `{"id":"x"}`, `$0:ID! {a:member(id:$0){id} b:member(id:$0){id}}`, `"x"`},
		{"a default", `query($n: Int = 3){top(first:$n){id}}`, "", `$0:Int {top(first:$0){id}}`, "3"},
		{"the argument's default", `query($n: Int){top(first:$n){id}}`, "", `$0:Int {top(first:$0){id}}`, "10"},
		{"null is a value", `query($n: Int){top(first:$n){id}}`, `{"n":null}`, `$0:Int {top(first:$0){id}}`, "null"},
		{"no value", `query($of: Float){ratio(of:$of)}`, "", `$0:Float {ratio(of:$0)}`, ""},
		{"a variable in a list", `query($id: ID!){members(ids:["1",$id,3]){id}}`, `{"id":"2"}`, `$0:[ID!]! {members(ids:$0){id}}`, `["1","2","3"]`},
		{"a value for a list", `{members(ids:"1"){id}}`, "", `{members(ids:["1"]){id}}`, ""},
		{"an enum", `{top(tier:GOLD){id}}`, "", `{top(tier:"GOLD"){id}}`, ""},
		{"an object", `{top(range:{to:5,tags:"a"}){id}}`, "", `{top(range:{"from":1,"to":5,"tags":["a"]}){id}}`, ""},
		{"a variable in an object", `query($t:[String!]){top(range:{from:2,tags:$t}){id}}`, "", `$0:Range {top(range:$0){id}}`, `{"from":2}`},
		{"any value", `{top(any:{a:[1,"x",{b:null}],e:E}){id}}`, "", `{top(any:{"a":[1,"x",{"b":null}],"e":"E"}){id}}`, ""},
		{"a text of several lines", "{top(any:\"\"\"\n  a\n   \"b\n\"\"\"){id}}", "", `{top(any:"a\n \"b"){id}}`, ""},
		{"shape", `query($n:Int!){top @sort(by:"-total") @limit(n:$n) @include(if:true){id}}`, `{"n":3}`, `$0:Int! {top@sort(by:"-total")@limit(n:$0){id}}`, "3"},
		{"skip", `{ratio @skip(if:true) __typename}`, "", `{__typename}`, ""},
		{"include by a variable", `query($a:Boolean!){ratio @include(if:$a) __typename}`, `{"a":false}`, `{__typename}`, ""},
		{
			"one of two conditions", `query($a:Boolean!,$b:Boolean=true){member(id:1){id @include(if:$a) friend @skip(if:$a){id} ...@include(if:$b){name}}}`, `{"a":true}`,
			`{member(id:"1"){id name}}`, "",
		},
		{"either condition", `query($a:Boolean!,$b:Boolean!){ratio @include(if:$a) ratio @include(if:$b) __typename}`, `{"a":false,"b":true}`, `{ratio __typename}`, ""},
		{"a mutation", `mutation{a: bid(id:1,price:2){id} b: bid(id:2,price:3){id}}`, "", `mutation {a:bid(id:"1",price:2){id} b:bid(id:"2",price:3){id}}`, ""},
	}
	for _, test := range tests {
		e := &recorder{}
		a := post(t, newDoor(t, open(), e), test.query, test.variables)
		if len(a.Errors) > 0 {
			t.Errorf("%s: %s", test.name, a.body)
			continue
		}
		prepared, ran := e.asked()
		if !slices.Equal(prepared, []string{test.plan}) || !slices.Equal(ran, []string{test.vars}) {
			t.Errorf("%s:\nplan %q\nwant %q\nvariables %q, want %q", test.name, prepared, test.plan, ran, test.vars)
		}
	}
}

// Equal documents are planned once, for each outcome of their conditions.
func TestPlansAreKept(t *testing.T) {
	t.Parallel()
	e := &recorder{}
	d := newDoor(t, open(), e)
	query := `query($a:Boolean!,$n:Int){ratio @include(if:$a) top(first:$n){id}}`
	for _, variables := range []string{`{"a":true,"n":1}`, `{"a":true,"n":2}`, `{"a":false}`, `{"a":false,"n":3}`} {
		if a := post(t, d, query, variables); len(a.Errors) > 0 {
			t.Error(a.body)
		}
	}
	prepared, ran := e.asked()
	if len(prepared) != 2 || !slices.Equal(ran, []string{"1", "2", "10", "3"}) {
		t.Errorf("planned %q, ran with %q", prepared, ran)
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	tests := []struct{ typ, value, want string }{
		{"Int", "1", "1"},
		{"Int", "1.0", "1"},
		{"Int", "2147483648", "!"},
		{"Int", "1.5", "!"},
		{"Int", `"1"`, "!"},
		{"Int", "true", "!"},
		{"Float", "1", "1"},
		{"Float", "1.10", "1.10"},
		{"Float", "1e999", "!"},
		{"String", `"\ud83d\ude00"`, `"\ud83d\ude00"`},
		{"String", "1", "!"},
		{"Boolean", "true", "true"},
		{"Boolean", "0", "!"},
		{"ID", "12345678901234567890", `"12345678901234567890"`},
		{"ID", `"a"`, `"a"`},
		{"ID", "1.5", "!"},
		{"ID", "null", "null"},
		{"ID!", "null", "!"},
		{"Tier", `"GOLD"`, `"GOLD"`},
		{"Tier", `"gold"`, "!"},
		{"Tier", "1", "!"},
		{"[Int!]", "[1, 2]", "[1,2]"},
		{"[Int!]", "3", "[3]"},
		{"[Int!]", "[1, null]", "!"},
		{"[[Int]]", "[[1], null, 2]", "[[1],null,[2]]"},
		{"Range", `{"to": 2.0}`, `{"from":1,"to":2}`},
		{"Range", `{"from": null}`, "!"},
		{"Range", `{"top": 1}`, "!"},
		{"Range", "[]", "!"},
		{"JSON", `{"a":[1.10,"x"]}`, `{"a":[1.10,"x"]}`},
	}
	for _, test := range tests {
		e := &recorder{sdl: sdl + "extend type Query { echo(of: " + strings.TrimSuffix(test.typ, "!") + "): Int }"}
		a := post(t, newDoor(t, open(), e), "query($v: "+test.typ+"){echo(of:$v)}", `{"v":`+test.value+`}`)
		_, ran := e.asked()
		switch {
		case test.want == "!":
			if a.code() != "BAD_USER_INPUT" || ran != nil || len(a.Errors[0].Locations) != 1 {
				t.Errorf("%s as %s: %s", test.value, test.typ, a.body)
			}
		case !slices.Equal(ran, []string{test.want}):
			t.Errorf("%s as %s: %q, want %q: %s", test.value, test.typ, ran, test.want, a.body)
		}
	}
}

func TestFieldsOfOneNameWithDifferentShapes(t *testing.T) {
	t.Parallel()
	e := &recorder{}
	a := post(t, newDoor(t, open(), e), `{top @sort(by:"id"){id} top @sort(by:"-id"){id}}`, "")
	if a.code() != "GRAPHQL_VALIDATION_FAILED" || len(a.Errors[0].Locations) != 2 {
		t.Error(a.body)
	}
}
