// Package maru_test holds the rules of the house that no compiler knows: which
// package may import which, and what may reach the binary.
//
// The flow: rows below is the table of ARCHITECTURE.md as data; each test asks
// `go list` what is really there and compares.
package maru_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/maru-msa/maru"

// row is one row of the house. Its packages import packages of lower rows only,
// never one another.
type row struct {
	name     string
	packages []string
}

// rows lists the rows, lowest first. A package whose issue has not come yet is
// here already, so that nothing else takes its place.
func rows() []row {
	return []row{
		{"0", []string{"problem", "diag", "message", "jose", "scan", "ui", "memnet", "script"}},
		{"1", []string{"http1", "resilience", "contract", "topology", "runner", "store", "bus", "telemetry"}},
		{"2", []string{"upstream", "route"}},
		{"3", []string{"filter", "aggregate", "graphql"}},
		{"4", []string{"edge", "registry", "configserver", "identity", "trace", "logs", "metrics", "outbox", "saga"}},
		{"5", []string{"k8s", "console", "admin", "audit", "scaffold"}},
		{"6", []string{"config"}},
		{"6¼", []string{"sketch"}}, // what importers share
		{"6½", []string{"demo", "bench", "spring", "krakend", "openapi", "sdl", "protobuf"}}, // estates, benchmarks and importers stand on the house, the commands start them
		{"7", []string{"cmd/maru"}},
	}
}

// testSupport are the packages that only tests may import. A package whose name
// ends in "test" is one of them too.
func testSupport() []string { return []string{"memnet", "script"} }

// bannedNames say nothing about what a package holds.
func bannedNames() []string {
	return []string{
		"util", "utils", "common", "helper", "helpers", "manager", "base", "misc", "types", "models", "shared",
		"internal", "pkg", "lib", "core", "tools",
	}
}

// rank gives the place of a package in the table. A package below one of the
// table (demo/seed, bench/load) stands where that one stands.
func rank(pkg string) (row int, owner string, ok bool) {
	for i, r := range rows() {
		for _, p := range r.packages {
			if pkg == p || strings.HasPrefix(pkg, p+"/") {
				return i, p, true
			}
		}
	}
	return 0, "", false
}

// listed is what `go list -json` says of one package.
type listed struct {
	ImportPath   string
	Name         string
	Module       *struct{ Path, Version string }
	Standard     bool
	Imports      []string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// path is the package's path inside the module; "" is the root.
func (l listed) path() string {
	return strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, module), "/")
}

// list runs `go list -json` with the arguments.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	look(t)
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Name,Module,Standard,Imports,GoFiles,TestGoFiles,XTestGoFiles"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, l)
	}
}

// breaks lists how a package's imports break the rows.
func breaks(pkg string, imports []string) []string {
	from, owner, ok := rank(pkg)
	if !ok {
		return []string{fmt.Sprintf("package %s has no row: give it one in ARCHITECTURE.md and here, or another home", pkg)}
	}
	var out []string
	for _, path := range imports {
		path, inside := strings.CutPrefix(path, module+"/")
		if !inside {
			continue
		}
		to, other, ok := rank(path)
		switch {
		case !ok || other == owner: // reported by itself; a package and what lies below it are one
		case to > from:
			out = append(out, fmt.Sprintf("%s (row %s) imports %s (row %s): imports go down only", pkg, rows()[from].name, path, rows()[to].name))
		case to == from:
			out = append(out, fmt.Sprintf("%s imports its sibling %s: let the user declare a small interface", pkg, path))
		}
	}
	return out
}

func TestImportsGoDownTheRows(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, l := range list(t, "./...") {
		if l.path() == "" || strings.HasPrefix(l.path(), "examples/") {
			continue // this test; programs that people copy
		}
		seen++
		for _, text := range breaks(l.path(), l.Imports) {
			t.Error(text)
		}
	}
	if seen < 10 {
		t.Errorf("go list gave %d packages: the test looks at the wrong place", seen)
	}
}

// The rule itself is tested: a check that can't fail is none.
func TestBreaksAreFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pkg, imports string
		want         bool
	}{
		{"edge", "filter", false},
		{"edge", "message", false},
		{"filter", "edge", true},
		{"route", "upstream", true},
		{"config", "yaml", false},
		{"demo/seed", "demo", false},
		{"demo", "cmd/maru", true},
		{"toolbox", "message", true},
		{"messages", "problem", true},
	}
	for _, test := range tests {
		if got := breaks(test.pkg, []string{module + "/" + test.imports}); (got != nil) != test.want {
			t.Errorf("%s importing %s: got %q, want a finding: %v", test.pkg, test.imports, got, test.want)
		}
	}
}

func TestPackageNamesSayWhatTheyHold(t *testing.T) {
	t.Parallel()
	for _, l := range list(t, "./...") {
		for _, part := range append(strings.Split(l.path(), "/"), l.Name) {
			if slices.Contains(bannedNames(), part) {
				t.Errorf("package %s: %q says nothing about what it holds", l.path(), part)
			}
		}
	}
}

func TestTestSupportStaysOutOfTheBinary(t *testing.T) {
	t.Parallel()
	for _, l := range list(t, "-deps", "./cmd/maru") {
		path, name := l.path(), l.Name
		switch {
		case l.ImportPath == "testing" || strings.HasPrefix(l.ImportPath, "testing/"):
			t.Errorf("the binary holds package %s", l.ImportPath)
		case l.Module == nil || l.Module.Path != module:
		case slices.Contains(testSupport(), path), strings.HasSuffix(name, "test"):
			t.Errorf("the binary holds the test support package %s", path)
		}
	}
}

// realTime are the packages whose tests drive processes and sockets, and so may
// wait in real time.
func realTime() []string { return []string{"cmd/maru", "demo", "bench", "edge", "http1", "upstream"} }

// Unit tests wait for events, or sleep in the bubble of testing/synctest, whose
// clock costs nothing.
func TestTestsDoNotSleep(t *testing.T) {
	t.Parallel()
	looked := 0
	for _, l := range list(t, "./...") {
		if slices.Contains(realTime(), l.path()) {
			continue
		}
		for _, name := range slices.Concat(l.TestGoFiles, l.XTestGoFiles) {
			looked++
			text, err := os.ReadFile(filepath.Join(filepath.FromSlash(l.path()), name))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("time.Sleep"+"(")) && !bytes.Contains(text, []byte(`"testing/synctest"`)) {
				t.Errorf("%s/%s sleeps: wait for an event, or use testing/synctest", l.path(), name)
			}
		}
	}
	if looked < 10 {
		t.Errorf("%d test files were looked at", looked)
	}
}

// look opens every folder of the module: go test keeps a result only until
// something that the test opened has changed, and it does not see what
// `go list` opens.
func look(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
