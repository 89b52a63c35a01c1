package krakend_test

import (
	"flag"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/krakend"
	"github.com/maru-msa/maru/sketch/sketchtest"
)

var update = flag.Bool("update", false, "write the golden files again") //nolint:gochecknoglobals // flags are

func TestExamples(t *testing.T) {
	t.Parallel()
	for _, e := range sketchtest.Examples(t) {
		t.Run(filepath.Base(e.Dir), func(t *testing.T) {
			t.Parallel()
			r := krakend.Import(e.Name, e.Text)
			sketchtest.Golden(t, &e, &r, *update)
			for _, key := range sketchtest.Dropped(e.Name, e.Text, &r) {
				t.Errorf("%s is in no comment of the output and in no finding", key)
			}
		})
	}
}

// TestUnknownKeysAreFindings puts a key that nobody knows into each object of each
// example: a finding must name it at its place, wherever it stands.
func TestUnknownKeysAreFindings(t *testing.T) {
	t.Parallel()
	open := regexp.MustCompile(`\{\s*$`)
	tried := 0
	for _, e := range sketchtest.Examples(t) {
		lines := strings.Split(string(e.Text), "\n")
		for i, line := range lines {
			if !open.MatchString(line) || strings.Contains(line, "@") || filepath.Ext(e.Name) != ".json" {
				continue
			}
			tried++
			text := strings.Join(slices.Insert(slices.Clone(lines), i+1, `"zzz": 1,`), "\n")
			r := krakend.Import(e.Name, []byte(text))
			sketchtest.Loads(t, r.YAML)
			told := false
			for j := range r.Findings {
				told = told || r.Findings[j].Line == i+2
			}
			inside := strings.Contains(string(r.YAML), "see the finding") && slices.Contains(keysAround(lines, i), "opaque")
			if !told && !inside && !strings.Contains(string(r.YAML), `zzz`) {
				t.Errorf("%s/%s:%d: the key was dropped", e.Dir, e.Name, i+2)
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d places were tried", tried)
	}
}

// keysAround tells whether a line is inside of a value that has a finding as a
// whole: the settings of a namespace that has no equal.
func keysAround(lines []string, at int) []string {
	depth := 0
	name := regexp.MustCompile(`^\s*"((?:auth|modifier|plugin|telemetry|validation|qos/ratelimit|security/policies|backend|websocket|router|flatmap_filter|async)[^"]*)": [\[{]`)
	for i := at; i >= 0; i-- {
		if i < at || strings.HasSuffix(strings.TrimSpace(lines[i]), "{") {
			depth += strings.Count(lines[i], "{") + strings.Count(lines[i], "[") - strings.Count(lines[i], "}") - strings.Count(lines[i], "]")
		}
		if depth > 0 && name.MatchString(lines[i]) {
			return []string{"opaque"}
		}
	}
	return nil
}

func FuzzImport(f *testing.F) {
	for _, e := range sketchtest.Examples(f) {
		f.Add(e.Text)
	}
	f.Add([]byte(`{"version":3,"endpoints":[{"endpoint":"/a/{b}","backend":[{"host":["x"],"url_pattern":"/{resp0_}{b}","allow":["a.b","a"]}]}]}`))
	f.Add([]byte(`{"version":3,"endpoints":[{"endpoint":"/a","backend":[{"host":["x"],"allow":["a..b","c"]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		sketchtest.Loads(t, krakend.Import("krakend.json", text).YAML)
	})
}
