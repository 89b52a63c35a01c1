package maru_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

//go:generate go test . -run ^TestGenerated -update

var update = flag.Bool("update", false, "write generated files") //nolint:gochecknoglobals // a flag

// The modules that the binary holds are written down, so that a change of them
// is seen in review: docs/dependencies.txt.
func TestGeneratedDependenciesAreCurrent(t *testing.T) {
	const name = "docs/dependencies.txt"
	t.Setenv("GOOS", "linux") // one list, wherever it is made
	t.Setenv("GOARCH", "amd64")
	t.Setenv("CGO_ENABLED", "0")
	want := dependencies(list(t, "-deps", "./cmd/maru"))
	if *update {
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the binary holds; run make generate and look at the difference", name)
	}
}

// dependencies lists modules with their versions, which of our packages import
// them (none: another module does), and how many of their packages are used.
func dependencies(all []listed) []byte {
	moduleOf := make(map[string]string)
	packages := make(map[string]int)
	users := make(map[string]map[string]bool)
	for _, l := range all {
		if l.Module != nil && l.Module.Path != module {
			key := l.Module.Path + " " + l.Module.Version
			moduleOf[l.ImportPath] = key
			packages[key]++
		}
	}
	for _, l := range all {
		if l.Module == nil || l.Module.Path != module {
			continue
		}
		for _, path := range l.Imports {
			if key, ok := moduleOf[path]; ok {
				if users[key] == nil {
					users[key] = make(map[string]bool)
				}
				users[key][l.path()] = true
			}
		}
	}
	var b bytes.Buffer
	b.WriteString("# The modules in the maru binary (linux, amd64): version, packages used, and which\n" +
		"# of our packages import them; without one, another module does.\n" +
		"# Generated: make generate.\n")
	for _, key := range slices.Sorted(maps.Keys(packages)) {
		fmt.Fprintf(&b, "%s, %d", key, packages[key])
		if users[key] != nil {
			fmt.Fprintf(&b, " <- %s", strings.Join(slices.Sorted(maps.Keys(users[key])), ", "))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// A new module is a decision, and a decision has its sentence.
func TestDirectModulesHaveTheirSentence(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "require (\n")
	direct, _, _ := strings.Cut(rest, ")")
	seen := 0
	for line := range strings.Lines(direct) {
		path, _, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.Contains(line, "// indirect") {
			continue
		}
		seen++
		if !bytes.Contains(text, []byte("`"+path+"`")) {
			t.Errorf("%s has no sentence in CONTRIBUTING.md", path)
		}
	}
	if seen < 5 {
		t.Errorf("%d direct modules: go.mod is not read as it is", seen)
	}
}

// The table of ARCHITECTURE.md and the rows of the test are one.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows() {
		for _, p := range r.packages {
			if !bytes.Contains(text, []byte("`"+p+"`")) {
				t.Errorf("ARCHITECTURE.md does not name package %s (row %s)", p, r.name)
			}
		}
	}
}
