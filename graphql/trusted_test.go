package graphql_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/graphql"
)

const home = "query Home($id: ID!) {\n  member(id: $id) { name }\n}\n"

// files writes documents into a folder and gives the pattern for all.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "*")
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTrustedDocuments(t *testing.T) {
	t.Parallel()
	relay, apollo := "query R { ratio }", "query A { top { id } }"
	pattern := files(t, map[string]string{
		"home.graphql": home,
		"relay.json":   marshal(t, map[string]string{"abc123": relay}),
		"apollo.json": marshal(t, map[string]any{
			"format": "apollo-persisted-query-manifest", "version": 1,
			"operations": []map[string]string{{"id": hashOf(apollo), "name": "A", "type": "query", "body": apollo}},
		}),
	})
	e := &recorder{}
	d := newDoor(t, graphql.Config{Documents: []string{pattern}}, e)
	if n := len(e.prepared); n != 3 || len(d.Documents()) != 4 { // with and without the line's end
		t.Fatalf("%d operations were planned at load, %d ids: %v", n, len(d.Documents()), d.Documents())
	}
	vars := `"variables":{"id":1}`
	id := "sha256:" + hashOf(home)
	tests := []struct {
		name   string
		call   call
		status int
		code   string
	}{
		{"by documentId", call{method: "POST", media: oldType, body: `{"documentId":"` + id + `",` + vars + `}`}, 200, ""},
		{"by its text", call{method: "POST", media: oldType, body: `{"query":` + marshal(t, home) + `,` + vars + `}`}, 200, ""},
		{"by its trimmed text's id", call{method: "POST", media: oldType, body: `{"documentId":"sha256:` + hashOf(strings.TrimSpace(home)) + `",` + vars + `}`}, 200, ""},
		{"by Apollo's extension", call{method: "POST", media: oldType, body: `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hashOf(apollo) + `"}}}`}, 200, ""},
		{"by Relay's doc_id", call{method: "POST", media: oldType, body: `{"doc_id":"abc123"}`}, 200, ""},
		{"by the URL", call{method: "GET", query: "documentId=" + id + "&variables=%7B%22id%22:1%7D"}, 200, ""},
		{"by the path", call{method: "GET", id: id, query: "variables=%7B%22id%22:1%7D"}, 200, ""},
		{"by the path, encoded", call{method: "GET", id: strings.Replace(id, ":", "%3A", 1), query: "variables=%7B%22id%22:1%7D"}, 200, ""},
		{"post to the path", call{method: "POST", id: id, media: oldType, body: `{}`}, 405, "METHOD_NOT_ALLOWED"},
		{"its variables do not fit", call{method: "GET", id: id}, 200, "BAD_USER_INPUT"},
		{"an unknown id", call{method: "POST", media: oldType, body: `{"documentId":"sha256:00"}`}, 404, "DOCUMENT_NOT_FOUND"},
		{"any other text", call{method: "POST", media: oldType, body: `{"query":"{ratio}"}`}, 403, "DOCUMENT_NOT_TRUSTED"},
		{"another text with a known id", call{method: "POST", media: oldType, body: `{"query":"{ratio}","documentId":"abc123"}`}, 400, "BAD_REQUEST"},
		{"a text that wants to be known", call{method: "POST", media: oldType, body: `{"query":"{ratio}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hashOf("{ratio}") + `"}}}`}, 404, "DOCUMENT_NOT_FOUND"},
		{"which is not known after that", call{method: "POST", media: oldType, body: `{"documentId":"sha256:` + hashOf("{ratio}") + `"}`}, 404, "DOCUMENT_NOT_FOUND"},
	}
	for _, test := range tests {
		a := test.call.do(t, d)
		if a.status != test.status || a.code() != test.code {
			t.Errorf("%s: %d %s, want %d %s: %s", test.name, a.status, a.code(), test.status, test.code, a.body)
		}
	}
}

func TestPreferTakesOthersToo(t *testing.T) {
	t.Parallel()
	d := newDoor(t, graphql.Config{Trusted: "prefer", Documents: []string{files(t, map[string]string{"home.graphql": home})}}, &recorder{})
	if a := post(t, d, "{ratio}", ""); a.status != 200 || len(a.Errors) > 0 {
		t.Error(a.body)
	}
	a := call{method: "GET", id: "sha256:" + hashOf(home), query: "variables=%7B%22id%22:1%7D"}.do(t, d)
	if a.status != 200 || len(a.Errors) > 0 {
		t.Error(a.body)
	}
}

// What is wrong with a document is found at load, at its own line.
func TestDocumentsAreProvedAtLoad(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"gone.graphql", "query Home {\n  member(id: 1) {\n    nickname\n  }\n}", `gone.graphql:3:5: Cannot query field "nickname" on type "Member".`},
		{"broken.graphql", "query {", "broken.graphql:1:8: Expected Name"},
		{"costly.graphql", "{\n top(first: 100) { bids { price } owner { auctions { id } } }\n}", "costly.graphql:1:1: the operation may need 20200 objects; at most 1000 are allowed"},
		{"empty.graphql", "fragment F on Member { id }", "empty.graphql:1:1: Fragment \"F\" is never used."},
		{"list.graphql", "{\n  top(first: 101) { id }\n}", "list.graphql:2:3: first asks for 101; at most 100 are allowed"},
		{"x.json", `{"a":1}`, "x.json: it is neither Apollo's manifest nor Relay's map of ids to texts"},
		{"y.json", `{"format":"other","operations":[]}`, `y.json: the format "other" is not known`},
		{"z.json", `{"a":"{ratio}","b":"{ nope }"}`, `z.json:1:3: Cannot query field "nope" on type "Query".`},
	}
	for _, test := range tests {
		pattern := files(t, map[string]string{test.name: test.text})
		_, err := graphql.New(graphql.Config{Documents: []string{pattern}}, &recorder{})
		list := diag.Flatten(err)
		if len(list) != 1 || list[0].Path != "documents[0]" || !strings.Contains(list[0].Text, test.want) || list[0].Fix == "" {
			t.Errorf("%s: %v\nwant %s", test.name, err, test.want)
		}
	}
	e := &recorder{refuse: []graphql.Fault{{At: 1, Text: "it may need 65 calls"}}}
	_, err := graphql.New(graphql.Config{Documents: []string{files(t, map[string]string{"a.graphql": "{\n ratio }"})}}, e)
	if list := diag.Flatten(err); len(list) != 1 || !strings.Contains(list[0].Text, "a.graphql:2:2: it may need 65 calls") {
		t.Errorf("a plan that is refused: %v", err)
	}
}
