package scan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/maru-msa/maru/scan"
)

// addSeeds gives a fuzz target the suite and the seeds of this package.
func addSeeds(f *testing.F, add func(text []byte)) {
	f.Helper()
	for _, c := range suite(f) {
		if len(c.text) < 2000 {
			add(c.text)
		}
	}
	for _, text := range seeds() {
		add([]byte(text))
	}
}

// FuzzScan compares with the standard library, which is looser in known ways.
func FuzzScan(f *testing.F) {
	addSeeds(f, func(text []byte) { f.Add(text) })
	loose := maskOf(f, scan.Rules{Depth: 10_000, Number: 1 << 20})
	all := maskOf(f, scan.Rules{Depth: 10_000, Number: 1 << 20, SkipBOM: true}, "**")
	f.Fuzz(func(t *testing.T, text []byte) {
		tape := scan.NewTape()
		defer tape.Release()
		err := scan.Scan(loose, text, tape)
		valid := json.Valid(text)
		switch got := verdict(err); got {
		case "accept":
			if !valid || !utf8.Valid(text) {
				t.Fatalf("accepted: %q", text)
			}
		case "bad-utf8":
			if utf8.Valid(text) {
				t.Fatalf("is UTF-8: %q", text)
			}
		case "lone-surrogate":
			if !bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) {
				t.Fatalf("no surrogate: %q", text)
			}
		default:
			if valid {
				t.Fatalf("%v: %q", err, text)
			}
		}
		if scan.Scan(all, text, tape) == nil {
			checkTape(t, tape)
		}
	})
}

// checkTape looks whether every span of a tape of everything is a value, and
// every entry ends where its parent allows.
func checkTape(t *testing.T, tape *scan.Tape) {
	t.Helper()
	entries := tape.Entries()
	for i, e := range entries {
		if int(e.Next) <= i || int(e.Next) > len(entries) {
			t.Fatalf("entry %d goes on at %d of %d", i, e.Next, len(entries))
		}
		if span := tape.Span(scan.Ref(i)); i < 50 && !json.Valid(span) {
			t.Fatalf("entry %d: %q", i, span)
		}
		for c := i + 1; c < int(e.Next); c = int(entries[c].Next) {
			if inner := entries[c]; inner.Off <= e.Off || inner.Off+inner.Len >= e.Off+e.Len || inner.Next > e.Next {
				t.Fatalf("entry %d lies outside of entry %d", c, i)
			}
		}
	}
}

// FuzzChunks cuts texts anywhere.
func FuzzChunks(f *testing.F) {
	addSeeds(f, func(text []byte) { f.Add(text, uint16(3), uint16(1)) })
	f.Fuzz(func(t *testing.T, text []byte, first, every uint16) {
		for _, rules := range chunkRules() {
			tape := scan.NewTape()
			want := scan.Scan(maskOf(t, rules), text, tape)
			tape.Release()
			pieces := [][]byte{text[:min(int(first), len(text))]}
			for at := len(pieces[0]); at < len(text); at += 1 + int(every) {
				pieces = append(pieces, text[at:min(at+1+int(every), len(text))])
			}
			var s scan.Scanner
			if got := inChunks(&s, rules, pieces...); !same(got, want) {
				t.Fatalf("%q: %v, want %v", text, got, want)
			}
		}
	})
}

// FuzzDuplicates compares with a decoder that keeps names in a map.
func FuzzDuplicates(f *testing.F) {
	addSeeds(f, func(text []byte) { f.Add(text) })
	mask := maskOf(f, scan.Rules{Unique: true, Depth: 10_000, Number: 1 << 20})
	f.Fuzz(func(t *testing.T, text []byte) {
		tape := scan.NewTape()
		defer tape.Release()
		err := scan.Scan(mask, text, tape)
		if err != nil && verdict(err) != "duplicate-member" {
			return
		}
		if twice := duplicates(text); twice != (err != nil) {
			t.Fatalf("%v, want refused: %v: %q", err, twice, text)
		}
	})
}

// duplicates tells whether a name stands twice in one object, up to the first
// fault of the grammar.
func duplicates(text []byte) bool {
	type level struct {
		names map[string]bool // nil: an array
		value bool            // the next token is a value
	}
	var open []level
	for dec := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := dec.Token()
		if err != nil {
			return false
		}
		delim, _ := token.(json.Delim)
		top := len(open) - 1
		if delim == 0 && top >= 0 && open[top].names != nil && !open[top].value {
			name := token.(string)
			if open[top].names[name] {
				return true
			}
			open[top].names[name] = true
			open[top].value = true
			continue
		}
		switch delim {
		case '{':
			open = append(open, level{names: map[string]bool{}})
			continue
		case '[':
			open = append(open, level{})
			continue
		case '}', ']':
			open = open[:top]
			top--
		}
		if top >= 0 {
			open[top].value = false
		}
	}
}

// FuzzText writes texts and reads them again.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "a", "김\n\"\\", "\xFF", "\u2028\x7F\x00", "😀"} {
		f.Add(text)
	}
	mask := maskOf(f, scan.Rules{})
	f.Fuzz(func(t *testing.T, text string) {
		quoted := scan.AppendText(nil, text)
		if !bytes.Equal(quoted, scan.AppendText(nil, []byte(text))) {
			t.Fatal("bytes and strings differ")
		}
		if err := scan.Scan(mask, quoted, scan.NewTape()); err != nil {
			t.Fatalf("%v: %s", err, quoted)
		}
		var standard string
		if err := json.Unmarshal(quoted, &standard); err != nil {
			t.Fatal(err)
		}
		if got := string(scan.Unquote(nil, quoted)); got != standard || utf8.ValidString(text) && got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
		var syntax *scan.Error
		if err := scan.Scan(mask, []byte(text), scan.NewTape()); err != nil && !errors.As(err, &syntax) {
			t.Fatal(err)
		}
	})
}

// FuzzProgram judges texts by random schemas, and compares with the reference.
func FuzzProgram(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		f.Add([]byte(randomInstance(r, 3)), seed)
	}
	f.Add([]byte(`{"a":1e99999999,"b":-0.0e-0}`), uint64(7))
	large := regexp.MustCompile(`[eE][-+]?[0-9]{4}`)
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		var known []*scan.Schema
		s := randomSchema(rand.New(rand.NewPCG(seed, 2)), 2, &known)
		p, err := scan.Compile(s, nil, scan.RequestRules())
		if err != nil {
			return
		}
		tape, report := scan.NewTape(), scan.NewReport()
		defer tape.Release()
		defer report.Release()
		if p.Scan(text, tape, report) != nil || large.Match(text) {
			return
		}
		budget := 2_000
		if want := holds(s, decode(string(text)), &budget); budget > 0 && want != report.Valid() {
			t.Fatalf("%s: %q, want valid: %v\n%s", text, lines(report), want, describe(s, 0))
		}
	})
}
