package graphql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maru-msa/maru/graphql"
)

// Each limit has its code, and what breaks it is neither planned nor run. At the
// limit itself all is well.
func TestLimits(t *testing.T) {
	t.Parallel()
	friends := func(n int) string {
		return `{member(id:1){` + strings.Repeat("friend{", n-2) + "id" + strings.Repeat("}", n-2) + `}}`
	}
	aliases := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " a%d: name", i)
		}
		return `{member(id:1){` + b.String() + `}}`
	}
	tests := []struct {
		code      string
		set       func(*graphql.LimitsConfig)
		fits, not string
		variables string
	}{
		{"TOKEN_LIMIT", func(l *graphql.LimitsConfig) { l.Tokens = 11 }, `{member(id:1){id}}`, `{member(id:1){id name}}`, ""},
		{"DEPTH_LIMIT", nil, friends(12), friends(13), ""},
		{"ALIAS_LIMIT", nil, aliases(20), aliases(21), ""},
		{
			"FIELD_LIMIT", func(l *graphql.LimitsConfig) { l.Fields = 5 },
			`{member(id:1){...F}} fragment F on Member{id name friend{id}}`, `{member(id:1){...F friend{...F}}} fragment F on Member{id name}`, "",
		},
		{"ROOT_LIMIT", func(l *graphql.LimitsConfig) { l.Roots = 2 }, `{ratio found{__typename}}`, `{...F __typename} fragment F on Query{ratio found{__typename}}`, ""},
		{
			"DIRECTIVE_LIMIT", func(l *graphql.LimitsConfig) { l.Directives = 1 },
			`{ratio @include(if:true)}`, `{ratio @include(if:true) @skip(if:false)}`, "",
		},
		{"LIST_LIMIT", nil, `{top(first:100){id}}`, `{top(first:101){id}}`, ""},
		{
			"LIST_LIMIT", nil, `query($n:Int=5){top(first:$n){id}}`,
			`query($n:Int=101){top(first:$n){id}}`, "",
		},
		{"LIST_LIMIT", func(l *graphql.LimitsConfig) { l.List = 2 }, `{members(ids:["1","2"]){id}}`, `{members(ids:["1","2","3"]){id}}`, ""},
		{"LIST_LIMIT", func(l *graphql.LimitsConfig) { l.List = 2 }, `{top(first:2)@limit(n:2){id}}`, `{top(first:2)@limit(n:3){id}}`, ""},
		{"COST_LIMIT", nil, `{top{owner{auctions(first:40){id}}}}`, `{top{owner{auctions(first:99){id}}}}`, ""},
		{"COST_LIMIT", nil, `query($n:Int){top(first:2){owner{auctions(first:$n){id}}}}`, `query($n:Int){top(first:99){owner{auctions(first:$n){id}}}}`, `{"n":99}`},
	}
	for _, test := range tests {
		cfg := open()
		if test.set != nil {
			test.set(&cfg.Limits)
		}
		e := &recorder{}
		d := newDoor(t, cfg, e)
		if a := post(t, d, test.fits, test.variables); len(a.Errors) > 0 {
			t.Errorf("%s: %s\nis refused: %s", test.code, test.fits, a.body)
		}
		e.asked()
		a := post(t, d, test.not, test.variables)
		if a.code() != test.code {
			t.Errorf("%s: %s\ngives %s", test.code, test.not, a.body)
		}
		if _, ran := e.asked(); ran != nil {
			t.Errorf("%s: %s\nran", test.code, test.not)
		}
	}
}

// What is meant to exhaust the gateway is refused by a limit (aggregation §14).
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("query{member(id:1){...F0}}")
	for i := range 40 { // doubles at each step
		fmt.Fprintf(&bomb, " fragment F%d on Member{friend{...F%d} ...F%d}", i, i+1, i+1)
	}
	bomb.WriteString(" fragment F40 on Member{id}")
	var overlapping strings.Builder
	for range 600 {
		overlapping.WriteString("friend{name} ")
	}
	tests := []struct {
		name, query, variables string
		status                 int
		codes                  string
	}{
		{"10,000 aliases", "{" + repeated(10_000, "a%d:ratio ") + "}", "", 413, "DOCUMENT_TOO_LARGE"},
		{"1,000 aliases", "{" + repeated(600, "a%d:ratio ") + "}", "", 200, "ALIAS_LIMIT"},
		{"100,000 directives", "{__typename " + strings.Repeat("@a ", 100_000) + "}", "", 413, "DOCUMENT_TOO_LARGE"},
		{"10,000 directives", "{__typename " + strings.Repeat("@a ", 10_000) + "}", "", 200, "TOKEN_LIMIT"},
		{"900 directives", "{__typename " + strings.Repeat("@a ", 900) + "}", "", 200, "DIRECTIVE_LIMIT"},
		{"a cycle", "{member(id:1){...F}} fragment F on Member{friend{...G}} fragment G on Member{...F}", "", 200, "GRAPHQL_VALIDATION_FAILED"},
		{"a cycle of one", "{member(id:1){...F}} fragment F on Member{...F}", "", 200, "GRAPHQL_VALIDATION_FAILED"},
		{"1 MiB of variables", "query($id:ID!){member(id:$id){id}}", `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "DOCUMENT_TOO_LARGE"},
		{"deep variables", "query($id:ID!){member(id:$id){id}}", `{"id":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, 400, "BAD_REQUEST"},
		{"a fragment bomb", bomb.String(), "", 200, "DEPTH_LIMIT"},
		{"overlapping fields", "{member(id:1){" + overlapping.String() + "}}", "", 200, "TOKEN_LIMIT FIELD_LIMIT"},
		{"deep nesting", strings.Repeat("{friend", 900), "", 200, "GRAPHQL_PARSE_FAILED"},
		{"nested lists", "{top(any:" + strings.Repeat("[", 1500) + strings.Repeat("]", 1500) + "){id}}", "", 200, "TOKEN_LIMIT GRAPHQL_PARSE_FAILED"},
		{"many conditions", conditions(20), "", 200, "CONDITION_LIMIT"},
		{"many faults", "{" + repeated(20, "nope%d ") + "}", "", 200, "GRAPHQL_VALIDATION_FAILED"},
	}
	for _, test := range tests {
		e := &recorder{}
		d := newDoor(t, open(), e)
		a := post(t, d, test.query, test.variables)
		if a.status != test.status || !strings.Contains(test.codes, a.code()) || a.code() == "" || len(a.Errors) > 10 {
			t.Errorf("%s: %d, %d errors, %.300s", test.name, a.status, len(a.Errors), a.body)
		}
		if prepared, ran := e.asked(); prepared != nil || ran != nil {
			t.Errorf("%s: planned %q, ran %q", test.name, prepared, ran)
		}
	}
}

func repeated(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func conditions(n int) string {
	var vars, fields strings.Builder
	for i := range n {
		fmt.Fprintf(&vars, "$v%d:Boolean! ", i)
		fmt.Fprintf(&fields, "ratio @skip(if:$v%d) ", i)
	}
	return "query(" + vars.String() + "){" + fields.String() + "}"
}

func TestPlanFaultsAreToldWithTheirPlace(t *testing.T) {
	t.Parallel()
	e := &recorder{refuse: []graphql.Fault{{At: 2, Text: "it may need 65 calls", Fix: "bound its lists"}}}
	a := post(t, newDoor(t, open(), e), "{\n  member(id: 1) { id }\n}", "")
	want := `{"errors":[{"message":"it may need 65 calls: bound its lists","locations":[{"line":2,"column":19}],"extensions":{"code":"PLAN_REFUSED"}}]}`
	if a.body != want {
		t.Errorf("got  %s\nwant %s", a.body, want)
	}
}
