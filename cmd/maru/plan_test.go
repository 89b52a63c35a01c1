package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A change that adds a call to a view fails the comparison, and tells which.
func TestPlanDiff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plans := func(name, entries string) string {
		t.Helper()
		file := filepath.Join(dir, name+".yaml")
		text := explainFile + "views:\n  GET /home/{id}: { merge: [ " + entries + " ] }\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, name+".json")
		if err := (&planWriteCommand{Out: out, viewFile: viewFile{Config: file}}).Run(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := plans("before", `"member GET /members/{id} -> member"`)
	after := plans("after", `"member GET /members/{id} -> member", "auction GET /auctions?of={member.id} -> auctions"`)
	for _, test := range []struct {
		old, now string
		fail     []string
		code     int
		want     string
	}{
		{before, after, []string{"calls", "fields"}, 1, "! calls   GET /home/{id}: one more upstream call: auction GET /auctions?of={member.id}\n"},
		{before, after, []string{"depth"}, 1, "! depth   GET /home/{id}: 2 calls one after the other, not 1\n"},
		{before, after, nil, 0, "! calls "},
		{after, before, []string{"fields"}, 1, "! fields  GET /home/{id}: the field is gone or changed: auctions any\n"},
		{after, before, []string{"calls", "depth"}, 0, "  calls   GET /home/{id}: no longer called"},
		{before, before, []string{"calls", "depth", "fields", "views"}, 0, "nothing changed\n"},
	} {
		var out bytes.Buffer
		err := (&planDiffCommand{Old: test.old, New: test.now, FailOn: test.fail, out: &out}).Run()
		var exit exitError
		if errors.As(err, &exit); int(exit) != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("--fail-on %q: %v, want exit code %d and %q in\n%s", test.fail, err, test.code, test.want, &out)
		}
	}
	if err := (&planDiffCommand{Old: before, New: filepath.Join(dir, "before.yaml")}).Run(); err == nil || !strings.Contains(err.Error(), "no file of maru plan") {
		t.Errorf("a file of something else: %v", err)
	}
}
