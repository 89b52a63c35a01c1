package scan_test

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/maru-msa/maru/scan"
)

// suiteCase is a line of testdata/jsontestsuite.txt.
type suiteCase struct {
	name, decision string
	text           []byte
}

// suite reads JSONTestSuite.
func suite(tb testing.TB) []suiteCase {
	tb.Helper()
	file, err := os.Open("testdata/jsontestsuite.txt")
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var cases []suiteCase
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		decision, rest, _ := strings.Cut(rest, " ")
		cases = append(cases, suiteCase{name, decision, quotedTerms(tb, rest)})
	}
	return cases
}

// quotedTerms reads Go strings, each with an optional *N behind it.
func quotedTerms(tb testing.TB, s string) []byte {
	tb.Helper()
	var text []byte
	for s != "" {
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			tb.Fatalf("%v: %s", err, s)
		}
		term, err := strconv.Unquote(quoted)
		if err != nil {
			tb.Fatal(err)
		}
		times := 1
		s = s[len(quoted):]
		count, rest, _ := strings.Cut(s, " ")
		if number, found := strings.CutPrefix(count, "*"); found {
			if times, err = strconv.Atoi(number); err != nil {
				tb.Fatal(err)
			}
		}
		s = rest
		text = append(text, strings.Repeat(term, times)...)
	}
	return text
}

// verdict is what a scan says in a word.
func verdict(err error) string {
	if err == nil {
		return "accept"
	}
	var fault *scan.Error
	if !errors.As(err, &fault) {
		return err.Error()
	}
	return string(fault.Reason)
}

func TestJSONTestSuite(t *testing.T) {
	t.Parallel()
	count := map[byte]int{}
	for _, c := range suite(t) {
		count[c.name[0]]++
		rules := scan.Rules{Unique: c.name[0] == 't'}
		tape := scan.NewTape()
		got := verdict(scan.Scan(maskOf(t, rules), c.text, tape))
		if want := c.decision; got != want && (want != "refuse" || got == "accept") {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
		var s scan.Scanner
		s.Reset(rules)
		for i := range c.text {
			if _, err := s.Write(c.text[i : i+1]); err != nil {
				break
			}
		}
		if whole := got; verdict(s.Close()) != whole {
			t.Errorf("%s: byte by byte %s, at once %s", c.name, verdict(s.Close()), whole)
		}
	}
	for kind, want := range map[byte]int{'y': 95, 'n': 188, 'i': 35, 't': 22} {
		if count[kind] != want {
			t.Errorf("%d cases of %c_, want %d", count[kind], kind, want)
		}
	}
}

// maskOf compiles a mask of paths.
func maskOf(tb testing.TB, rules scan.Rules, paths ...string) *scan.Mask {
	tb.Helper()
	var b scan.Builder
	for _, path := range paths {
		b.Path(scan.Root, path)
	}
	mask, err := b.Mask(rules)
	if err != nil {
		tb.Fatal(err)
	}
	return mask
}
