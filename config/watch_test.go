package config

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// watched runs a watcher over a file and counts its calls.
func watched(t *testing.T, path string) (changes chan string) {
	t.Helper()
	changes = make(chan string, 100)
	ready, done := make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	w := watcher{quiet: 5 * time.Millisecond, settle: 20 * time.Millisecond, lookAgain: time.Hour, ready: func() { close(ready) }}
	go func() {
		done <- w.run(ctx, path, func() {
			text, err := os.ReadFile(path)
			if err != nil {
				text = []byte(err.Error())
			}
			changes <- string(text)
		})
	}()
	<-changes // that it has begun
	<-ready
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the watcher ended with %v", err)
		}
	})
	return changes
}

func expect(t *testing.T, changes chan string, want string) {
	t.Helper()
	select {
	case got := <-changes:
		if got != want {
			t.Errorf("a change to %q was told, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("the change to %q was not told", want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatchSeesWritesAndReplacements(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "maru.yaml")
	write(t, path, "a")
	changes := watched(t, path)

	write(t, path, "b") // in place
	expect(t, changes, "b")

	write(t, filepath.Join(dir, "other"), "x") // a neighbour is nothing
	write(t, path, "b")                        // the same content is nothing
	write(t, path+".new", "c")                 // an editor's rename over
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "c")

	if err := os.Rename(path, path+"~"); err != nil { // an editor's backup
		t.Fatal(err)
	}
	write(t, path, "d")
	expect(t, changes, "d")

	if err := os.Remove(path); err != nil { // gone is not a change
		t.Fatal(err)
	}
	write(t, path, "")
	write(t, path, "e")
	expect(t, changes, "e")
	if len(changes) != 0 {
		t.Errorf("%d changes too many", len(changes))
	}
}

func TestWatchJoinsABurst(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "maru.yaml")
	write(t, path, "a")
	changes := make(chan struct{}, 100)
	ready, done := make(chan struct{}), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	w := watcher{settle: 300 * time.Millisecond, lookAgain: time.Hour, ready: func() { close(ready) }}
	go func() { done <- w.run(ctx, path, func() { changes <- struct{}{} }) }()
	<-changes
	<-ready
	for i := range 20 {
		write(t, path, string(rune('b'+i)))
	}
	<-changes
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(changes) > 1 { // a slow machine may need a second round, not twenty
		t.Errorf("20 writes were told as %d changes", len(changes)+1)
	}
}

// A Kubernetes volume: maru.yaml -> ..data/maru.yaml, ..data -> ..1, and an
// update makes ..2, links ..data_tmp to it and renames that over ..data.
func TestWatchSeesAKubernetesVolumeSwap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := func(name, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "maru.yaml"), text)
		if err := os.Symlink(name, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..1", "one")
	path := filepath.Join(dir, "maru.yaml")
	if err := os.Symlink(filepath.Join("..data", "maru.yaml"), path); err != nil {
		t.Fatal(err)
	}
	changes := watched(t, path)
	version("..2", "two")
	expect(t, changes, "two")
	if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
		t.Fatal(err)
	}
	version("..3", "three")
	expect(t, changes, "three")
}

func TestWatchSeesTheTargetOfALinkInAnotherFolder(t *testing.T) {
	t.Parallel()
	target := filepath.Join(t.TempDir(), "real.yaml")
	path := filepath.Join(t.TempDir(), "maru.yaml")
	write(t, target, "a")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	changes := watched(t, path)
	write(t, target, "b")
	expect(t, changes, "b")
	next := filepath.Join(t.TempDir(), "next.yaml") // the link is set anew
	write(t, next, "c")
	if err := os.Symlink(next, path+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "c")
	write(t, next, "d")
	expect(t, changes, "d")
}

func TestWatchLooksByItselfWhereNothingIsTold(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "maru.yaml") // its folder does not exist yet
	changes := make(chan struct{}, 10)
	ctx, stop := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	w := watcher{settle: time.Millisecond, lookAgain: 5 * time.Millisecond, ready: func() { close(ready) }}
	go func() { done <- w.run(ctx, path, func() { changes <- struct{}{} }) }()
	<-changes
	<-ready
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, "a")
	select {
	case <-changes:
	case <-time.After(10 * time.Second):
		t.Error("the file was not found")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
