package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file is told of once for each change: when it is newer than what was built, or
// than it was, and has been left alone for a while.
func TestBesideTellsOfEachChangeOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "contract.yaml")
	built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := Beside{Names: func() ([]string, time.Time) { return []string{file, filepath.Join(dir, "none")}, built }, Every: time.Second}
	seen := make(map[string]time.Time)
	for _, step := range []struct {
		what     string
		modified time.Duration // after built
		now      time.Duration
		told     bool
	}{
		{"older than what was built", -time.Hour, time.Second, false},
		{"just being written", 5 * time.Second, 5500 * time.Millisecond, false},
		{"left alone", 5 * time.Second, 6 * time.Second, true},
		{"the same", 5 * time.Second, 7 * time.Second, false},
		{"put back to an older one", -2 * time.Hour, 8 * time.Second, true},
		{"the same again", -2 * time.Hour, 9 * time.Second, false},
	} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if at := built.Add(step.modified); os.Chtimes(file, at, at) != nil {
			t.Fatal("the time can't be set")
		}
		if got := b.look(seen, built.Add(step.now)); (got == file) != step.told {
			t.Errorf("%s: %q was told", step.what, got)
		}
	}
}

// One that changed between its reading and the first look is told of as well.
func TestBesideTellsOfAChangeBeforeTheFirstLook(t *testing.T) {
	file := filepath.Join(t.TempDir(), "contract.yaml")
	built := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if at := built.Add(time.Second); os.Chtimes(file, at, at) != nil {
		t.Fatal("the time can't be set")
	}
	b := Beside{Names: func() ([]string, time.Time) { return []string{file}, built }, Every: time.Second}
	if got := b.look(make(map[string]time.Time), built.Add(time.Minute)); got != file {
		t.Errorf("%q was told", got)
	}
}
