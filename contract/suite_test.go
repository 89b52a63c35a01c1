package contract_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/contract"
)

// suiteFolder holds the cases of the official suite.
const suiteFolder = "../conformance/testdata/jsonschema/"

// lines reads a file of JSON texts, one a line.
func lines[T any](tb testing.TB, name string) []T {
	tb.Helper()
	text, err := os.ReadFile(suiteFolder + name)
	if err != nil {
		tb.Fatal(err)
	}
	var out []T
	for line := range bytes.Lines(text) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			tb.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

type group struct {
	File, Description string
	Schema            json.RawMessage
	Tests             []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// remotes are the documents that the suite's schemas refer to by URL.
func remotes(tb testing.TB) map[string][]byte {
	tb.Helper()
	out := make(map[string][]byte)
	for _, r := range lines[struct {
		URL    string
		Schema json.RawMessage
	}](tb, "remotes.jsonl") {
		out[r.URL] = r.Schema
	}
	return out
}

// Every required case, through the scanner with the reference validator behind
// it and through the reference validator alone.
func TestSuite(t *testing.T) {
	t.Parallel()
	known := remotes(t)
	for _, alone := range []bool{false, true} {
		cases, scanned := 0, 0
		for _, g := range lines[group](t, "draft2020-12.jsonl") {
			opt := contract.Options{Known: known, Fallback: alone, Config: contract.Config{Formats: "annotate"}}
			c, findings := contract.Load(fstest.MapFS{"schema.json": {Data: g.Schema}}, "schema.json", opt)
			if c == nil {
				t.Errorf("%s: %s: %v", g.File, g.Description, findings)
				continue
			}
			if !alone && !c.Body.Program(true).NeedsBody() {
				scanned += len(g.Tests)
			}
			for _, test := range g.Tests {
				cases++
				v := contract.NewVerdict()
				c.Body.Check(test.Data, true, v)
				if v.Valid() != test.Valid {
					t.Errorf("alone %v: %s: %s: %s: valid is %v: %v %v", alone, g.File, g.Description, test.Description, v.Valid(), v.Violations(), v.Syntax())
				}
				v.Release()
			}
		}
		if cases != 1255 {
			t.Errorf("%d cases were run", cases)
		}
		if !alone && scanned < 600 {
			t.Errorf("only %d cases were decided by the scanner", scanned)
		}
	}
}
