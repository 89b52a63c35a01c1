package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestContractLintAndCoverage(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(name, []byte("type: object\nproperties:\n  member_id: {type: integer}\n  b: {not: {const: 1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	lint := contractLintCommand{Files: []string{name}, Color: "never", Names: "camelCase", Strict: true, out: &out}
	var exit exitError
	if err := lint.Run(); !errors.As(err, &exit) || exit != 2 {
		t.Errorf("warnings under strict: %v", err)
	}
	if want := ":3:3: warning: \"member_id\" is not in camelCase\n    3 |   member_id: {type: integer}\n      |   ^^^^^^^^^\n  fix: call it memberId\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
	out.Reset()
	if err := (&contractCoverageCommand{File: name, out: &out}).Run(); err != nil {
		t.Fatal(err)
	}
	if want := "a.yaml:4:6: not  a.yaml#/properties/b"; !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
	if err := (&contractCoverageCommand{File: name + "x", out: &out}).Run(); !errors.As(err, &exit) || exit != 2 {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestContractDiff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, tier string) string {
		path := filepath.Join(dir, name)
		text := "type: object\nproperties:\n  tier: {enum: [" + tier + "]}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two, one := write("two.yaml", "basic, plus"), write("one.yaml", "basic")
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("type: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		old, now, failOn string
		json             bool
		code             int
		want             string
	}{
		{two, one, "breaking", false, 1, "breaking  " + one + ":3:9: /tier: \"plus\" is no longer allowed\n1 breaking, 0 warnings, 0 for information\n"},
		{two, one, "none", false, 0, "1 breaking, "},
		{one, two, "breaking", false, 0, "0 breaking, 0 warnings, 1 for information\n"},
		{one, two, "info", true, 1, `"level": "info"`},
		{two, two, "info", true, 0, "[]\n"},
		{two, broken, "none", false, 2, ""},
		{filepath.Join(dir, "none", "a.yaml"), two, "none", false, -1, ""},
	} {
		var out strings.Builder
		err := (&contractDiffCommand{Old: test.old, New: test.now, FailOn: test.failOn, JSON: test.json, out: &out}).Run()
		code := 0
		if exit, known := errors.AsType[exitError](err); known {
			code = int(exit)
		} else if err != nil {
			code = -1
		}
		if code != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("%s → %s: code %d, %s", test.old, test.now, code, out.String())
		}
	}
}
