package krakend_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/krakend"
)

// runs imports a text in which @a and @b stand for services that answer by path,
// and starts a gateway with what came of it.
func runs(t *testing.T, text string, answers map[string]string) (*edgetest.Gateway, map[string]*edgetest.Service) {
	t.Helper()
	services := make(map[string]*edgetest.Service)
	for _, name := range []string{"a", "b"} {
		services[name] = edgetest.NewService(t, func(request string) string {
			target := strings.Fields(request)[1]
			body, ok := answers[name+" "+target]
			if !ok {
				return "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"
			}
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		})
		text = strings.ReplaceAll(text, "@"+name, services[name].URL())
	}
	r := krakend.Import("krakend.json", []byte(text))
	for i := range r.Findings {
		if r.Findings[i].Severity == diag.Error {
			t.Errorf("%s", r.Findings[i])
		}
	}
	file, findings := config.LoadBytes("maru.yaml", r.YAML)
	if errs, _ := diag.Count(findings); errs > 0 {
		t.Fatalf("%v\n%s", findings, r.YAML)
	}
	l := file.Listen["public"]
	l.Address = "127.0.0.1:0"
	file.Listen["public"] = l
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", r.YAML)
		}
	})
	return edgetest.Start(t, file.Config), services
}

// TestAnswersAsKrakenD asks imported endpoints what KrakenD's documents say of them.
func TestAnswersAsKrakenD(t *testing.T) {
	t.Parallel()
	g, services := runs(t, `{
  "version": 3, "host": ["@a"], "cache_ttl": "60s",
  "endpoints": [
    {"endpoint": "/merged/{id}", "input_query_strings": ["lang"], "input_headers": ["X-Tenant"], "backend": [
      {"url_pattern": "/users/{id}"},
      {"host": ["@b"], "url_pattern": "/posts?user={id}", "group": "posts"}]},
    {"endpoint": "/picked/{id}", "backend": [
      {"url_pattern": "/users/{id}", "allow": ["id", "address.city", "name"], "mapping": {"name": "nick"}},
      {"host": ["@b"], "url_pattern": "/wrapped", "target": "data", "allow": ["y"], "group": "in"}]},
    {"endpoint": "/list", "backend": [{"host": ["@b"], "url_pattern": "/list", "is_collection": true, "mapping": {"collection": "all"}}]},
    {"endpoint": "/target", "backend": [{"host": ["@b"], "url_pattern": "/wrapped", "target": "data", "group": "in"}]},
    {"endpoint": "/chain/{id}", "backend": [
      {"url_pattern": "/users/{id}"},
      {"host": ["@b"], "url_pattern": "/place/{resp0_address.code}"}],
      "extra_config": {"proxy": {"sequential": true}}},
    {"endpoint": "/partial", "backend": [{"url_pattern": "/users/7"}, {"host": ["@b"], "url_pattern": "/broken", "group": "gone"}]},
    {"endpoint": "/static", "backend": [{"url_pattern": "/users/7", "group": "user"}, {"host": ["@b"], "url_pattern": "/broken", "group": "gone"}],
      "extra_config": {"proxy": {"static": {"strategy": "incomplete", "data": {"gone": {"n": "1", "m": [1.50, null, true]}}}}}},
    {"endpoint": "/alone", "backend": [{"host": ["@b"], "url_pattern": "/broken"}]},
    {"endpoint": "/raw/{id}", "output_encoding": "no-op", "backend": [{"host": ["@b"], "url_pattern": "/raw/{id}/x?of={id}"}]}
  ]}`, map[string]string{
		"a /users/7": `{"id":7,"name":"n","address":{"city":"서울","code":"s1"},"secret":1}`, "a /users/7?lang=ko": `{"id":7}`,
		"b /posts?user=7": `[{"id":1}]`, "b /posts?user=7&lang=ko": `[{"id":2}]`, "b /list": `[1,2]`, "b /wrapped": `{"data":{"x":1,"y":2}}`,
		"b /place/s1": `{"zone":"kr"}`, "b /raw/7/x?of=7": `raw`,
	})
	for _, c := range []struct {
		name, target, fields string
		status               int
		body, caching        string
	}{
		{"merge", "/merged/7", "", 200, `{"posts":[{"id":1}],"id":7,"name":"n","address":{"city":"서울","code":"s1"},"secret":1}`, "public, max-age=60"},
		{"query strings that are named", "/merged/7?lang=ko&other=1", "", 200, `{"posts":[{"id":2}],"id":7}`, "public, max-age=60"},
		{"allow, mapping, group, target", "/picked/7", "", 200, `{"id":7,"address":{"city":"서울"},"nick":"n","in":{"y":2}}`, "public, max-age=60"},
		{"is_collection", "/list", "", 200, `{"all":[1,2]}`, "public, max-age=60"},
		{"target", "/target", "", 200, `{"in":{"x":1,"y":2}}`, "public, max-age=60"},
		{"sequential", "/chain/7", "", 200, `{"id":7,"name":"n","address":{"city":"서울","code":"s1"},"secret":1,"zone":"kr"}`, "public, max-age=60"},
		{"partial", "/partial", "", 200, `{"id":7,"name":"n","address":{"city":"서울","code":"s1"},"secret":1}`, "no-store"},
		{"static", "/static", "", 200, `{"user":{"id":7,"name":"n","address":{"city":"서울","code":"s1"},"secret":1},"gone":{"n":"1","m":[1.50,null,true]}}`, "no-store"},
		{"the only one fails", "/alone", "", 502, "", ""},
		{"no-op", "/raw/7", "", 200, "raw", "public, max-age=60"},
		{"no such endpoint", "/merged", "", 404, "", ""},
	} {
		a := g.Say("public", "GET "+c.target+" HTTP/1.1\nHost: shop.example\nX-Tenant: acme\nX-Other: 1\n\n")
		if a.Status != c.status || c.body != "" && a.Body != c.body || c.caching != "" && a.Header.Get("Cache-Control") != c.caching {
			t.Errorf("%s: got %d %s (%s)\nwant %d %s (%s)", c.name, a.Status, a.Body, a.Header.Get("Cache-Control"), c.status, c.body, c.caching)
		}
		if partial := a.Header.Get("Maru-Partial") != ""; partial != (c.caching == "no-store") {
			t.Errorf("%s: Maru-Partial is %q", c.name, a.Header.Get("Maru-Partial"))
		}
	}
	for _, request := range services["a"].Requests() {
		tenant, other := edgetest.Field(request, "X-Tenant"), edgetest.Field(request, "X-Other")
		if strings.Contains(request, "lang=ko") && len(tenant) != 1 || len(other) > 0 {
			t.Errorf("headers that are not named went out, or one that is did not:\n%s", request)
		}
	}
}

// TestNothingIsOpened holds endpoints closed of which something that hides or
// guards is not carried.
func TestNothingIsOpened(t *testing.T) {
	t.Parallel()
	for name, inner := range map[string]string{ //nolint:gosec // no credentials: endpoints that ask for them
		"deny":                        `"backend": [{"url_pattern": "/a", "deny": ["secret"]}]`,
		"blacklist":                   `"backend": [{"url_pattern": "/a", "blacklist": ["secret"]}]`,
		"whitelist":                   `"backend": [{"url_pattern": "/a", "whitelist": ["id"]}]`,
		"allow beside a whole answer": `"backend": [{"url_pattern": "/a", "allow": ["id", "b"]}, {"url_pattern": "/b"}]`,
		"allow in a no-op":            `"output_encoding": "no-op", "backend": [{"url_pattern": "/a", "allow": ["id"]}]`,
		"allow in a collection":       `"backend": [{"url_pattern": "/a", "is_collection": true, "allow": ["id"]}]`,
		"mapping alone":               `"backend": [{"url_pattern": "/a", "mapping": {"a": "b"}}]`,
		"flatmap":                     `"backend": [{"url_pattern": "/a", "extra_config": {"proxy": {"flatmap_filter": [{"type": "del", "args": ["a"]}]}}}]`,
		"tokens":                      `"extra_config": {"auth/validator": {"alg": "RS256"}}, "backend": [{"url_pattern": "/a"}]`,
		"a rule":                      `"extra_config": {"validation/cel": [{"check_expr": "false"}]}, "backend": [{"url_pattern": "/a"}]`,
		"what nobody knows":           `"extra_config": {"acme/guard": {}}, "backend": [{"url_pattern": "/a"}]`,
	} {
		r := krakend.Import("krakend.json", []byte(`{"version": 3, "host": ["http://a:1"], "endpoints": [{"endpoint": "/x", `+inner+`}]}`))
		if errs, _ := diag.Count(r.Findings); errs == 0 {
			t.Errorf("%s: no finding", name)
		}
		file, _ := config.LoadBytes("maru.yaml", r.YAML)
		if len(file.Views)+len(file.Routes) > 0 {
			t.Errorf("%s: the endpoint is open\n%s", name, r.YAML)
		}
	}
}
