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
