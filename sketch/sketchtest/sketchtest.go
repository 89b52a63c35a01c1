// Package sketchtest holds what the tests of importers have in common: golden
// files, the proof that maru check takes an output, and the one that no key of
// an input was dropped.
package sketchtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/sketch"
)

// Import makes a maru.yaml of a file.
type Import func(name string, text []byte) sketch.Result

// Example is a folder of testdata: one input beside maru.yaml and findings.
type Example struct {
	Dir, Name string
	Text      []byte
}

// Examples reads the folders of testdata.
func Examples(t testing.TB) []Example {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var out []Example
	for _, dir := range dirs {
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if n.Name() == "maru.yaml" || n.Name() == "findings" || filepath.Base(dir) == "fuzz" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, n.Name())) //nolint:gosec // testdata
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Example{dir, n.Name(), text})
		}
	}
	return out
}

// Golden compares what is made of an example with its golden files, or writes
// them again; and proves that maru check takes it.
func Golden(t *testing.T, e *Example, r *sketch.Result, update bool) {
	t.Helper()
	var list strings.Builder
	for i := range r.Findings {
		f := &r.Findings[i]
		fmt.Fprintf(&list, "%s: %s %s: %s\n  fix: %s\n", f.Position, f.Severity, f.Code, f.Text, f.Fix)
	}
	for name, got := range map[string]string{"maru.yaml": string(r.YAML), "findings": list.String()} {
		name = filepath.Join(e.Dir, name)
		if update {
			if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name) //nolint:gosec // testdata
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is\n%s\nnot\n%s", name, got, want)
		}
	}
	Loads(t, r.YAML)
}

// Loads fails unless maru check takes the text.
func Loads(t testing.TB, text []byte) {
	t.Helper()
	_, findings := config.CheckReader("maru.yaml", strings.NewReader(string(text)))
	for i := range findings {
		if findings[i].Severity == diag.Error {
			t.Errorf("%s\n%s", findings[i], text)
		}
	}
}

// Dropped lists the values of an input whose line is named nowhere: in no comment
// of the output and by no finding.
func Dropped(name string, text []byte, r *sketch.Result) []string {
	named := make(map[int]bool)
	places := regexp.MustCompile(regexp.QuoteMeta(name) + `:(\d+)(?:-(\d+))?`)
	for line := range strings.Lines(string(r.YAML)) {
		_, remark, _ := strings.Cut(line, "#")
		for _, m := range places.FindAllStringSubmatch(remark, -1) {
			lo, _ := strconv.Atoi(m[1])
			hi, err := strconv.Atoi(m[2])
			if err != nil {
				hi = lo
			}
			for n := lo; n <= hi; n++ {
				named[n] = true
			}
		}
	}
	for i := range r.Findings {
		named[r.Findings[i].Line] = true
	}
	var out []string
	docs, _ := config.ReadTrees(name, text)
	for _, d := range docs {
		leaves(d, "", func(key string, line int) {
			if !named[line] {
				out = append(out, name+":"+strconv.Itoa(line)+" "+key)
			}
		})
	}
	return out
}

func leaves(t *config.Tree, key string, fn func(key string, line int)) {
	for _, e := range t.Entries {
		leaves(e.Value, key+"."+e.Key.Text, fn)
	}
	for i, item := range t.Items {
		leaves(item, key+"["+strconv.Itoa(i)+"]", fn)
	}
	if len(t.Entries)+len(t.Items) == 0 {
		fn(key, t.Line)
	}
}
