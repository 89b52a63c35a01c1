package route

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

// A rebuilt table is the table that Build makes, with the unchanged rules
// compiled once.
func TestRebuild(t *testing.T) {
	t.Parallel()
	rule := func(path string) Rule[string] {
		return Rule[string]{Name: path, Match: Match{Path: path, Headers: map[string]string{"X": "1"}}, Value: path}
	}
	old, err := Build([]Rule[string]{rule("/a/{id}"), rule("/b"), rule("/c/{rest...}"), rule("/d")})
	if err != nil {
		t.Fatal(err)
	}
	refuse := rule("/b")
	refuse.Encoded = Refuse
	changed := rule("/c/{rest...}")
	changed.Match.Headers = map[string]string{"X": "2"}
	for name, c := range map[string]struct {
		rules []Rule[string]
		kept  string // a letter a rule: k for kept, n for new
	}{
		"the same":     {[]Rule[string]{rule("/a/{id}"), rule("/b"), rule("/c/{rest...}"), rule("/d")}, "kkkk"},
		"one more":     {[]Rule[string]{rule("/new"), rule("/a/{id}"), rule("/b"), rule("/c/{rest...}"), rule("/d")}, "nkkkk"},
		"one less":     {[]Rule[string]{rule("/a/{id}"), rule("/c/{rest...}"), rule("/d")}, "kkk"},
		"other fields": {[]Rule[string]{rule("/a/{id}"), refuse, changed, rule("/d")}, "knnk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := old.Rebuild(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			var kept strings.Builder
			for i, r := range table.compiled {
				word := "n"
				for _, was := range old.compiled {
					if r == was {
						word = "k"
					}
				}
				kept.WriteString(word)
				path := c.rules[i].Match.Path
				for from, to := range map[string]string{"/a/{id}": "/a/7", "/c/{rest...}": "/c/x/y"} {
					if path == from {
						path = to
					}
				}
				req := message.NewRequest()
				req.Method, req.Path = "GET", path
				if err := req.Header.Add("X", c.rules[i].Match.Headers["X"]); err != nil {
					t.Fatal(err)
				}
				if got, v := table.Find(req, 0); v != Found || got != c.rules[i].Value {
					t.Errorf("%s: %q, %s", path, got, v)
				}
				req.Release()
			}
			if kept.String() != c.kept {
				t.Errorf("kept %s, want %s", kept.String(), c.kept)
			}
		})
	}
}
