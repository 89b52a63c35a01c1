package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The examples of the filters' pages are whole files, and good ones.
func TestFilterExamplesLoad(t *testing.T) {
	pages, err := filepath.Glob("../docs/filters/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	texts := make(map[string]string)
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(page)] = string(b)
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir("public", 0o700); err != nil { // what respond serves
		t.Fatal(err)
	}
	if err := os.Mkdir("specs", 0o700); err != nil { // the contract of validate
		t.Fatal(err)
	}
	if err := os.WriteFile("specs/member.yaml", []byte("openapi: 3.1.0\npaths: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for page, text := range texts {
		examples := strings.Split(text, "```yaml\n")[1:]
		for i, example := range examples {
			example, _, _ = strings.Cut(example, "```")
			_, findings := CheckReader(page, strings.NewReader(example))
			for _, f := range findings {
				t.Errorf("%s, example %d: %s", page, i+1, f)
			}
		}
	}
}
