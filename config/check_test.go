package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/diag"
)

// environ is the environment of the files below testdata.
func environ(name string) (string, bool) {
	value, ok := map[string]string{
		"HOST": "127.0.0.1", "PORT": "9101", "WORD": "word", "EMPTY": "", "LEVEL": "warn", "PASSWORD": "correct-horse-battery",
	}[name]
	return value, ok
}

// examine is [Check] of a text, on a day and in an environment of our own.
func examine(name string, text []byte) []diag.Finding {
	l := Loader{Getenv: environ}
	file, findings := l.LoadBytes(name, text)
	c := Checker{Now: func() time.Time { return time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC) }}
	return c.Check(file, findings)
}

// spell writes findings as the .want files hold them: place, severity, code and
// text on one line, what else there is on indented ones.
func spell(findings []diag.Finding) string {
	var b strings.Builder
	for i := range findings {
		f := &findings[i]
		fmt.Fprintf(&b, "%s %s %s: %s\n", placeOf(f.Position), f.Severity, f.Code, f.Text)
		for _, r := range f.Related {
			fmt.Fprintf(&b, "  at %s: %s\n", placeOf(r.Position), r.Text)
		}
		if f.Example != "" {
			fmt.Fprintf(&b, "  example: %s\n", f.Example)
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "  fix: %s\n", f.Fix)
		}
	}
	return b.String()
}

func placeOf(at diag.Position) string {
	if at.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%d:%d", at.Line, at.Column)
}

// files lists the YAML files of a folder; fewer than least is a fault.
func files(t *testing.T, dir string, least int) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < least {
		t.Fatalf("%d files in testdata/%s, want at least %d", len(names), dir, least)
	}
	return names
}

// Each file of testdata/bad has a fault that people make, and beside it the
// findings that it must give: exactly these.
func TestBadFilesGiveTheirFindings(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "bad", 60) {
		base := filepath.Base(name)
		t.Run(strings.TrimSuffix(base, ".yaml"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			findings := examine(base, text)
			if len(findings) == 0 {
				t.Error("nothing was found")
			}
			for i := range findings {
				wellFormed(t, &findings[i], text)
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".want", spell(findings))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// wellFormed holds what is true of every finding: it can be shown.
func wellFormed(t *testing.T, f *diag.Finding, text []byte) {
	t.Helper()
	lines := diag.SplitLines(text)
	places := []diag.Position{f.Position}
	for _, r := range f.Related {
		places = append(places, r.Position)
	}
	for _, at := range places {
		switch {
		case strings.HasPrefix(at.File, "testdata/contracts/") && at.Line > 0 && at.Column > 0: // of a contract that the file names
		case at.Line < 0 || at.Line > len(lines)+1:
			t.Errorf("%q is at line %d of %d", f.Text, at.Line, len(lines))
		case at.Line > 0 && at.Column < 1:
			t.Errorf("%q at line %d has no column", f.Text, at.Line)
		}
	}
	if f.Fix == "" {
		t.Errorf("%q: and what is to be done?", f.Text)
	}
	if f.Code == "" || f.Text == "" || strings.ContainsAny(f.Text+f.Fix+f.Example, "\n\r") {
		t.Errorf("code %q, text %q, fix %q: each is one line", f.Code, f.Text, f.Fix)
	}
	if strings.Contains(f.Text+f.Fix, "correct-horse") {
		t.Errorf("the finding shows a value of the environment: %q %q", f.Text, f.Fix)
	}
	if err := diag.Print(new(bytes.Buffer), []diag.Finding{*f}, map[string][]byte{f.File: text}, true); err != nil {
		t.Error(err)
	}
}

func TestGoodFilesGiveNone(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "good", 15) {
		base := filepath.Base(name)
		t.Run(strings.TrimSuffix(base, ".yaml"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if findings := examine(base, text); findings != nil {
				t.Errorf("found\n%s", spell(findings))
			}
		})
	}
}
