package aggregate_test

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/diag"
)

func TestStatic(t *testing.T) {
	e := newEstate()
	e.says("member GET /members/7", `{"id":7}`)
	cfg := aggregate.Config{
		Sources: map[string]aggregate.SourceConfig{"lang": {Static: map[string]any{
			"langs": []any{map[string]any{"code": "ko", "name": "한국어"}, map[string]any{"code": "en", "name": "English"}}, "first": "{ko}",
		}}},
		Graph: aggregate.GraphConfig{
			Query: map[string]aggregate.RootConfig{"langs": {Type: "[Lang]", Call: aggregate.CallConfig{Call: "lang GET / at langs"}}},
			Types: map[string]aggregate.TypeConfig{
				"Lang": {
					Key: aggregate.KeyConfig{Fields: []string{"code"}}, Many: &aggregate.CallConfig{Call: "lang GET /?codes={keys,} at langs"},
					Fields: map[string]string{"code": "_", "name": "_"},
				},
			},
		},
	}
	g := compile(t, cfg, map[string]aggregate.ViewConfig{
		"GET /langs":       {Select: aggregate.SelectConfig{"": "langs { name }"}},
		"GET /lang/{code}": {Select: aggregate.SelectConfig{"": "...lang(code) { name }"}},
		"GET /both":        {Merge: []aggregate.CallConfig{{Call: "lang GET / at first -> first"}, {Call: "member GET /members/7 -> member"}}},
	}, e)
	for target, want := range map[string]string{
		"/langs": `{"langs":[{"name":"한국어"},{"name":"English"}]}`,
		"/both":  `{"first":"{ko}","member":{"id":7}}`,
	} {
		if status, body, _ := ask(t, g, "GET "+target, target); status != 200 || body != want {
			t.Errorf("%s: got %d %s\nwant %s", target, status, body, want)
		}
	}
	if status, body, _ := ask(t, g, "GET /lang/{code}", "/lang/en"); status != 200 || body != `{"name":"English"}` {
		t.Errorf("got %d %s", status, body)
	}
	if status, body, _ := ask(t, g, "GET /lang/{code}", "/lang/zz"); status != 404 {
		t.Errorf("of what is not in the value: got %d %s", status, body)
	}
	if calls := e.calls(); len(calls) != 1 {
		t.Errorf("calls: %v", calls)
	}
	if got := cfg.Services(map[string]aggregate.ViewConfig{"GET /both": {Merge: []aggregate.CallConfig{{Call: "member GET /members/7"}, {Call: "lang GET /"}}}}); strings.Join(got, " ") != "member" {
		t.Errorf("services: %v", got)
	}
}

// findings compiles what has faults, and gives each as "path: text".
func findings(cfg aggregate.Config, views map[string]aggregate.ViewConfig, env aggregate.Env) string {
	_, err := aggregate.Compile(cfg, views, env)
	var lines []string
	for _, f := range diag.Flatten(err) {
		lines = append(lines, f.Path+": "+f.Text)
	}
	return strings.Join(lines, "\n")
}

func TestSourceFindings(t *testing.T) {
	for name, c := range map[string]struct {
		source aggregate.SourceConfig
		call   string
		want   string
	}{
		"two kinds":      {aggregate.SourceConfig{HTTP: "member", Static: 1}, "", "sources.s: a source is one of http, grpc, graphql and static, and this is 2 of them"},
		"path of static": {aggregate.SourceConfig{Static: 1, Path: "/x"}, "", "sources.s.path: only a GraphQL source has a path"},
		"longs of http":  {aggregate.SourceConfig{HTTP: "member", Longs: "number"}, "", "sources.s.longs: only a gRPC source has 64-bit integers of its own"},
		"static forward": {aggregate.SourceConfig{Static: 1, Forward: []string{"x"}}, "", "sources.s: a static source calls nobody"},
		"static post":    {aggregate.SourceConfig{Static: 1}, "s POST /", "views.GET /v.merge[0]: a static source has no POST"},
		"no service":     {aggregate.SourceConfig{GraphQL: "nobody"}, "", `sources.s: there is no service "nobody"`},
	} {
		t.Run(name, func(t *testing.T) {
			views := map[string]aggregate.ViewConfig{}
			if c.call != "" {
				views["GET /v"] = aggregate.ViewConfig{Merge: []aggregate.CallConfig{{Call: c.call}}}
			}
			got := findings(aggregate.Config{Sources: map[string]aggregate.SourceConfig{"s": c.source}}, views, newEstate().env())
			if !strings.Contains(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}
