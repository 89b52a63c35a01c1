package diag_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/diag"
)

func TestUnderPutsThePrefixBeforePathsAndRelatedPaths(t *testing.T) {
	t.Parallel()
	err := diag.Under("routes[3]", diag.Join(
		diag.At("", "whole"),
		diag.At("[1]", "item").WithRelated("[0]"),
		fmt.Errorf("wrapped: %w", diag.Under("filters[0]", diag.At("cors.by", "field").WithFix("x").WithCode("tie").AsWarning())),
		errors.New("plain"),
	))
	var got []string
	for _, e := range diag.Flatten(err) {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%v|%v", e.Path, e.Text, e.Fix, e.Code, e.Warn, e.Related))
	}
	want := []string{
		"routes[3]|whole|||false|[]",
		"routes[3][1]|item|||false|[routes[3][0]]",
		"routes[3].filters[0].cors.by|field|x|tie|true|[]",
		"routes[3]|plain|||false|[]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if diag.Under("a", nil) != nil {
		t.Error("Under(nil) is not nil")
	}
}

func TestJoinPath(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{{"a", "b", "a.b"}, {"a", "[1].c", "a[1].c"}, {"", "b", "b"}, {"a", "", "a"}} {
		if got := diag.JoinPath(c[0], c[1]); got != c[2] {
			t.Errorf("JoinPath(%q, %q) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestPositionString(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]diag.Position{
		"f:3:7": {File: "f", Line: 3, Column: 7}, "f:3": {File: "f", Line: 3}, "f": {File: "f", Column: 2},
	} {
		if got := p.String(); got != want {
			t.Errorf("%#v gives %q, want %q", p, got, want)
		}
	}
}

func finding(line, column, length int) diag.Finding {
	return diag.Finding{
		Position: diag.Position{File: "maru.yaml", Line: line, Column: column}, Length: length,
		Code: "unknown-key", Text: `unknown key "tmeout"`, Fix: `write "timeout"`,
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	long := "key: " + strings.Repeat("a", 200) + "HERE" + strings.Repeat("b", 200)
	tests := []struct {
		name, source string
		finding      diag.Finding
		color        bool
		want         string
	}{
		{
			name: "underlined", source: "a: 1\n  tmeout: 3\n", finding: finding(2, 3, 6),
			want: "maru.yaml:2:3: error: unknown key \"tmeout\"\n    2 |   tmeout: 3\n      |   ^^^^^^\n  fix: write \"timeout\"\n",
		},
		{
			name: "tab is two columns", source: "\ttmeout: 3", finding: finding(1, 2, 6),
			want: "maru.yaml:1:2: error: unknown key \"tmeout\"\n    1 |   tmeout: 3\n      |   ^^^^^^\n  fix: write \"timeout\"\n",
		},
		{
			name: "wide characters take two columns", source: "이름: 가나", finding: finding(1, 5, 2),
			want: "maru.yaml:1:5: error: unknown key \"tmeout\"\n    1 | 이름: 가나\n      |       ^^^^\n  fix: write \"timeout\"\n",
		},
		{
			name: "past the end", source: "abc", finding: finding(1, 9, 4),
			want: "maru.yaml:1:9: error: unknown key \"tmeout\"\n    1 | abc\n      |    ^\n  fix: write \"timeout\"\n",
		},
		{
			name: "no such line", source: "abc", finding: finding(4, 1, 1),
			want: "maru.yaml:4:1: error: unknown key \"tmeout\"\n  fix: write \"timeout\"\n",
		},
		{
			name: "byte order mark is not a column", source: "\ufeffabc", finding: finding(1, 1, 3),
			want: "maru.yaml:1:1: error: unknown key \"tmeout\"\n    1 | abc\n      | ^^^\n  fix: write \"timeout\"\n",
		},
		{
			name: "escape sequences of the file stay out of the terminal", source: "a\x1b[31mb\xff", finding: finding(1, 1, 1),
			want: "maru.yaml:1:1: error: unknown key \"tmeout\"\n    1 | a\ufffd[31mb\ufffd\n      | ^\n  fix: write \"timeout\"\n",
		},
		{
			name: "long line is cut around the place", source: long, finding: finding(1, 206, 4),
			want: "maru.yaml:1:206: error: unknown key \"tmeout\"\n    1 | …" + strings.Repeat("a", 55) + "HERE" + strings.Repeat("b", 51) + "…\n" +
				"      | " + strings.Repeat(" ", 56) + "^^^^\n  fix: write \"timeout\"\n",
		},
		{
			name: "colours", source: "abc", finding: finding(1, 1, 3), color: true,
			want: "\x1b[1mmaru.yaml:1:1\x1b[0m: \x1b[1;31merror\x1b[0m: unknown key \"tmeout\"\n\x1b[34m    1 | \x1b[0mabc\n\x1b[34m      | \x1b[0m\x1b[1;31m^^^\x1b[0m\n  \x1b[36mfix\x1b[0m: write \"timeout\"\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := diag.Print(&out, []diag.Finding{test.finding}, map[string][]byte{"maru.yaml": []byte(test.source)}, test.color); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), test.want)
			}
		})
	}
}

func TestPrintShowsRelatedPlacesAndTheExample(t *testing.T) {
	t.Parallel()
	f := diag.Finding{
		Position: diag.Position{File: "m", Line: 3, Column: 3}, Length: 3, Severity: diag.Warning, Text: "tie",
		Related: []diag.Related{{Position: diag.Position{File: "m", Line: 1, Column: 1}, Text: "the other route", Length: 3}},
		Example: "GET /a",
	}
	want := `m:3:3: warning: tie
    3 |   two
      |   ^^^
  m:1:1: the other route
    1 | one
      | ^^^
  example: GET /a
`
	var out strings.Builder
	if err := diag.Print(&out, []diag.Finding{f}, map[string][]byte{"m": []byte("one\r\n\r  two")}, false); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPrintTellsAWriteError(t *testing.T) {
	t.Parallel()
	if err := diag.Print(failing{}, []diag.Finding{finding(1, 1, 1)}, nil, false); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
	if err := diag.PrintJSON(failing{}, nil); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
}

var errFull = errors.New("disk full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestPrintJSON(t *testing.T) {
	t.Parallel()
	w := finding(2, 3, 6)
	w.Severity = diag.Warning
	in := []diag.Finding{finding(1, 2, 3), w}
	var out bytes.Buffer
	if err := diag.PrintJSON(&out, in); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Errors, Warnings int
		Findings         []diag.Finding
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Errors != 1 || got.Warnings != 1 || len(got.Findings) != 2 || got.Findings[1].Severity != diag.Warning ||
		got.Findings[0].Line != 1 || got.Findings[0].File != "maru.yaml" {
		t.Errorf("got %+v", got)
	}
	out.Reset()
	if err := diag.PrintJSON(&out, nil); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"errors\": 0,\n  \"warnings\": 0,\n  \"findings\": []\n}\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestSort(t *testing.T) {
	t.Parallel()
	in := []diag.Finding{finding(2, 1, 1), finding(1, 9, 1), finding(1, 2, 1), finding(1, 2, 2)}
	diag.Sort(in)
	var got []string
	for _, f := range in {
		got = append(got, fmt.Sprint(f.Line, f.Column, f.Length))
	}
	if want := []string{"1 2 1", "1 2 2", "1 9 1", "2 1 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzPrint(f *testing.F) {
	f.Add([]byte("a: 1\n\tb: 가\r\n"), 2, 3, 4, "text")
	f.Add([]byte("\ufeff\x1b\xff"), 1, 1, 0, "\x1b")
	f.Add([]byte(strings.Repeat("가", 300)), 1, 250, 900, "")
	f.Fuzz(func(t *testing.T, source []byte, line, column, length int, text string) {
		x := diag.Finding{Position: diag.Position{File: "f", Line: line, Column: column}, Length: length, Text: text}
		var out bytes.Buffer
		if err := diag.Print(&out, []diag.Finding{x}, map[string][]byte{"f": source}, false); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(out.Bytes(), "\x1b\r\x00") {
			t.Errorf("control characters reach the terminal: %q", out.Bytes())
		}
	})
}
