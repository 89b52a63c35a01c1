package admin

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// Every metric is described in docs/operations.md, and nothing else is.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	names := func(file, pattern string) map[string]bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out := make(map[string]bool)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			out[m[1]] = true
		}
		return out
	}
	code := names("metrics.go", `"(maru_[a-z0-9_]+)"`)
	maps.Copy(code, names("metrics_guard.go", `"(maru_[a-z0-9_]+)"`))
	maps.Copy(code, names("registry.go", `"(maru_[a-z0-9_]+)"`))
	maps.Copy(code, names("contract.go", `"(maru_[a-z0-9_]+)"`))
	maps.Copy(code, names("board.go", `"(maru_[a-z0-9_]+)"`))
	docs := names("../docs/operations.md", "`(maru_[a-z0-9_]+)`")
	for _, name := range slices.Sorted(maps.Keys(code)) {
		if !docs[name] {
			t.Errorf("docs/operations.md lacks %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		if !code[name] {
			t.Errorf("docs/operations.md describes %s, which there is not", name)
		}
	}
	if len(code) < 20 {
		t.Errorf("%d metrics were found", len(code))
	}
}
