package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatchWaitsForAWriterInPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "maru.yaml")
	write(t, path, "a")
	changes := watched(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"ha", "lf"} { // much slower than bursts are joined
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-changes:
			t.Errorf("%q was told while the file was being written", got)
		case <-time.After(80 * time.Millisecond):
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "half")
}

func TestWatchTakesWhatAWriterLeavesOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "maru.yaml")
	write(t, path, "a")
	changes := watched(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("left open"); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "left open")
}
