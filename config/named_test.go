package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
)

// A file is told of once for each change: when it is another one than what was built
// from it, and has been left alone for a while.
func TestNamedFilesAreToldOfOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "contract.yaml")
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	read := began
	files := NamedFiles{Every: time.Second, List: func() []edge.File {
		return []edge.File{{Name: file, Modified: read}, {Name: filepath.Join(dir, "none")}}
	}}
	seen := make(map[string]time.Time)
	for _, step := range []struct {
		what          string
		modified, now time.Duration // after began
		told, read    bool
	}{
		{"what was built from it", 0, time.Second, false, false},
		{"just being written", 5 * time.Second, 5500 * time.Millisecond, false, false},
		{"left alone", 5 * time.Second, 6 * time.Second, true, true},
		{"built from again", 5 * time.Second, 7 * time.Second, false, false},
		{"put back to an older one", -2 * time.Hour, 8 * time.Second, true, false},
		{"refused, and still the same", -2 * time.Hour, 9 * time.Second, false, false},
		{"mended", 10 * time.Second, 12 * time.Second, true, true},
	} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := began.Add(step.modified)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
		if got := files.look(seen, began.Add(step.now)); (got == file) != step.told {
			t.Errorf("%s: %q was told", step.what, got)
		}
		if step.read {
			read = at
		}
	}
}
