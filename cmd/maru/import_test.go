package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maru-msa/maru/diag"
)

const importPlain = `spring.cloud.gateway.routes:
  - id: users
    uri: ${USERS}
    predicates: [Path=/users/**]
`

// imports writes files into a folder and imports them there.
func imports(t *testing.T, files map[string]string, c importSpringCommand) (dir, out, errs string, err error) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range c.Files {
		c.Files[i] = filepath.Join(dir, name)
	}
	if c.Output != "" {
		c.Output = filepath.Join(dir, c.Output)
	}
	var o, e bytes.Buffer
	c.out, c.errs, c.Color = &o, &e, "never"
	err = c.Run()
	return dir, o.String(), e.String(), err
}

func TestImportSpringPrintsWhatCheckTakes(t *testing.T) {
	t.Parallel()
	dir, out, errs, err := imports(t, map[string]string{"application.yml": importPlain}, importSpringCommand{
		Files: []string{"application.yml"}, Property: map[string]string{"USERS": "http://127.0.0.1:9101"},
	})
	if err != nil || errs != "1 route, 1 service, 0 findings\n" {
		t.Fatalf("got %v, %s\n%s", err, errs, out)
	}
	name := filepath.Join(dir, "maru.yaml")
	if err := os.WriteFile(name, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	var checked bytes.Buffer
	if err := (&checkCommand{File: name, Strict: true, Color: "never", out: &checked}).Run(); err != nil {
		t.Errorf("maru check: %v\n%s", err, checked.String())
	}
}

func TestImportSpringTellsFindings(t *testing.T) {
	t.Parallel()
	dir, out, errs, err := imports(t, map[string]string{"application.yml": importPlain}, importSpringCommand{Files: []string{"application.yml"}})
	var exit exitError
	if !errors.As(err, &exit) || exit != 2 {
		t.Errorf("got %v, want exit 2", err)
	}
	want := filepath.Join(dir, "application.yml") + `:3:5: error: no value for ${USERS}
    3 |     uri: ${USERS}
      |     ^^^
  fix: give it: --property USERS=VALUE
0 routes, 0 services, 1 finding
`
	if errs != want || !strings.Contains(out, "# - name: users") {
		t.Errorf("got\n%s\nwant\n%s\nand\n%s", errs, want, out)
	}
}

func TestImportSpringWritesJSONAndFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{"application.yml": importPlain, "there.yaml": "kept"}
	dir, out, _, err := imports(t, files, importSpringCommand{Files: []string{"application.yml"}, importOutput: importOutput{JSON: true, Output: "maru.yaml"}})
	var exit exitError
	if !errors.As(err, &exit) || exit != 2 {
		t.Errorf("got %v, want exit 2", err)
	}
	var told struct {
		Errors   int
		Findings []diag.Finding
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil || told.Errors != 1 || told.Findings[0].Line != 3 || told.Findings[0].Code != "unresolved" {
		t.Errorf("got %v, %s", err, out)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "maru.yaml")); err != nil || !bytes.Contains(text, []byte("Written by maru import spring")) {
		t.Errorf("got %v, %s", err, text)
	}
	if _, _, _, err := imports(t, files, importSpringCommand{Files: []string{"application.yml"}, importOutput: importOutput{JSON: true}}); !errors.As(err, &exit) || exit != 2 {
		t.Errorf("--json without -o: got %v, want exit 2", err)
	}
	dir, _, _, err = imports(t, files, importSpringCommand{Files: []string{"application.yml"}, importOutput: importOutput{Output: "there.yaml"}})
	if err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("got %v", err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "there.yaml")); string(text) != "kept" {
		t.Errorf("the file is %q", text)
	}
	dir, _, _, _ = imports(t, files, importSpringCommand{Files: []string{"application.yml"}, importOutput: importOutput{Output: "there.yaml", Force: true}})
	if text, _ := os.ReadFile(filepath.Join(dir, "there.yaml")); string(text) == "kept" {
		t.Error("-f did not write")
	}
	if _, _, _, err := imports(t, files, importSpringCommand{Files: []string{"nowhere.yml"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// The command line as people type it, with what a shell leaves of it.
func TestImportSpringCommandLine(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "application.yml")
	if err := os.WriteFile(name, []byte(importPlain+"---\nspring.config.activate.on-profile: prod\nserver.port: 8081\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := maru(t, "import", "spring", name, "--property", "USERS=http://127.0.0.1:9101", "--property", "OTHER=a;b=c", "--profile", "prod")
	out, err := cmd.Output()
	if err != nil || !bytes.Contains(out, []byte(`address: ":8081"`)) || !bytes.Contains(out, []byte(`url: "http://127.0.0.1:9101"`)) {
		t.Errorf("got %v\n%s", err, out)
	}
}

// The example in the documents is what the importer says.
func TestImportSpringPageIsTrue(t *testing.T) {
	t.Parallel()
	var source, told, made string
	for _, b := range blocks(t, "../../docs/import-spring.md") {
		switch {
		case b.kind == "yml":
			source = b.text
		case b.kind == "yaml":
			made = b.text
		case strings.HasPrefix(b.text, "$ maru import"):
			_, told, _ = strings.Cut(b.text, "\n")
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "application.yml"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := maru(t, "import", "spring", "application.yml")
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 2 {
		t.Errorf("got %v, want exit 2", err)
	}
	if out.String() != made || errs.String() != told {
		t.Errorf("got\n%s%s\nthe page has\n%s%s", errs.String(), out.String(), told, made)
	}
}

// TestImportOfOneFile runs each importer on an example of its package.
func TestImportOfOneFile(t *testing.T) {
	for name, c := range map[string]struct {
		dir, file, tally string
		command          func(file string, o importOutput) interface{ Run() error }
	}{
		"krakend": {"../../krakend/testdata/routes", "krakend.json", "3 services, 3 routes, 2 findings", func(f string, o importOutput) interface{ Run() error } {
			return &importKrakendCommand{File: f, importOutput: o}
		}},
		"openapi": {"../../openapi/testdata/shop", "shop.yaml", "1 service, 7 types, 4 findings", func(f string, o importOutput) interface{ Run() error } {
			return &importOpenAPICommand{File: f, importOutput: o}
		}},
		"graphql": {"../../sdl/testdata/shop", "shop.graphql", "5 types, 5 findings", func(f string, o importOutput) interface{ Run() error } {
			return &importGraphQLCommand{File: f, importOutput: o}
		}},
		"proto": {"../../protobuf/testdata/shop", "shop.proto", "1 service, 4 types, 2 findings", func(f string, o importOutput) interface{ Run() error } {
			return &importProtoCommand{File: f, importOutput: o}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(c.dir)
			var out, errs bytes.Buffer
			var exit exitError
			err := c.command(c.file, importOutput{Color: "never", out: &out, errs: &errs}).Run()
			if !errors.As(err, &exit) || exit != 2 || !strings.HasSuffix(errs.String(), c.tally+"\n") || !strings.Contains(errs.String(), c.file+":") {
				t.Errorf("got %v\n%s", err, errs.String())
			}
			want, err := os.ReadFile("maru.yaml")
			if err != nil || !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%v: got\n%s", err, out.String())
			}
			if err := c.command("nothing", importOutput{Color: "never", out: &out, errs: &errs}).Run(); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file that is not there: %v", err)
			}
		})
	}
}
