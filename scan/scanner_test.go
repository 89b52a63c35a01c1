package scan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/maru-msa/maru/scan"
)

// seeds are texts with something at every kind of place where a chunk may end.
func seeds() []string {
	wide := make([]string, 40)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"name%d":%d`, i, i)
	}
	return []string{
		`{"a":1,"b":[true,false,null],"c":{"d":"x"}}`,
		` { "\uD83D\uDE00" : "김하늘\n\"\\\/\b\f\r\t\u00e9" , "e":-0.5e+10, "f":1E400 } `,
		"\xEF\xBB\xBF[1]", "\xEF\xBB", "\xEFx",
		`"\uD83D"`, `"\uD83Dx"`, `"\uD83D\n"`, `"\uD83D\uD83D"`, `"\uDE00"`, `"\u12G4"`, `"\uD83D\u12G4"`, `"\x"`,
		"\"\xED\x95\x9C\xF0\x9F\x98\x80\"", "\"\xED\xA0\x80\"", "\"\xE0\x80\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xC0\xAF\"", "\"\xE1\x80", "\"\xE1\"",
		"\"a\x00b\"", "\"a\nb\"", `"abcdefgh"`, `"abcdefghi`, `""`, `"`,
		`01`, `-`, `-01`, `1.`, `1.e1`, `1e`, `1e+`, `1-2`, `[1-2]`, `1.2.3`, `-a`, `[1.5e5,2]`, `0e0`, `0x1`, `1 2`, `+1`, `.5`,
		`tru`, `trux`, `truex`, `[nul]`, `nulll`, `falsee`, `[true,]`, `[,]`, `[1 2]`, `{"a" 1}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":}`, `[}`, `{]`, `]`, `}`,
		"[1,\n2,\n  x]", "{\n\"a\":1,\n \"a\":2}", `{"a":1,"\u0061":2}`, `{"a":{"a":1},"b":{"a":1}}`, `[{"a":1},{"a":1}]`,
		"", " ", "\n\n", "[1]\n", "[1] x", "[1]\n2", "{}{}", "\x00", "/*c*/1", "[1,//\n2]", "NaN", "[Infinity]",
		strings.Repeat("1", 600), `"` + strings.Repeat("x", 600) + `"`, strings.Repeat("1", 512), strings.Repeat("1", 513), strings.Repeat("1", 511) + ".", strings.Repeat("1", 512) + "x",
		strings.Repeat("[", 20) + strings.Repeat("]", 20),
		"{" + strings.Join(wide, ",") + "}", "{" + strings.Join(wide, ",") + `,"name7":0}`,
	}
}

// splits are the rules that the tests of chunks run under.
func chunkRules() []scan.Rules {
	return []scan.Rules{{}, {Unique: true, Depth: 18}, {SkipBOM: true, Members: 3, Number: 4}}
}

// inChunks scans the text as the pieces.
func inChunks(s *scan.Scanner, rules scan.Rules, pieces ...[]byte) error {
	s.Reset(rules)
	for _, piece := range pieces {
		chunk := bytes.Clone(piece)
		_, err := s.Write(chunk)
		for i := range chunk {
			chunk[i] = 0xDB // a chunk is the caller's again
		}
		if err != nil {
			break
		}
	}
	return s.Close()
}

// same tells whether two errors are the same fault at the same place.
func same(a, b error) bool {
	var x, y *scan.Error
	if errors.As(a, &x) && errors.As(b, &y) {
		return *x == *y
	}
	return a == nil && b == nil
}

func TestVerdictDoesNotDependOnChunks(t *testing.T) {
	t.Parallel()
	texts := seeds()
	for _, c := range suite(t) {
		if len(c.text) < 2000 {
			texts = append(texts, string(c.text))
		}
	}
	var s scan.Scanner
	for _, rules := range chunkRules() {
		mask := maskOf(t, rules)
		tape := scan.NewTape()
		for _, text := range texts {
			body := []byte(text)
			want := scan.Scan(mask, body, tape)
			for i := range len(body) + 1 {
				if got := inChunks(&s, rules, body[:i], body[i:]); !same(got, want) {
					t.Errorf("%q cut at %d: %v, want %v", text, i, got, want)
				}
			}
			single := make([][]byte, len(body))
			for i := range body {
				single[i] = body[i : i+1]
			}
			if got := inChunks(&s, rules, single...); !same(got, want) {
				t.Errorf("%q byte by byte: %v, want %v", text, got, want)
			}
			for i := 0; i < len(body) && len(body) < 80; i++ {
				for j := i; j < len(body); j++ {
					if got := inChunks(&s, rules, body[:i], body[i:j], body[j:]); !same(got, want) {
						t.Errorf("%q cut at %d and %d: %v, want %v", text, i, j, got, want)
					}
				}
			}
		}
	}
}

func TestErrorPlaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want scan.Error
	}{
		{"", scan.Error{Reason: scan.UnexpectedEnd, Offset: 0, Line: 1, Column: 1}},
		{"[1,\n  2,\n  x]", scan.Error{Reason: scan.UnexpectedByte, Offset: 11, Line: 3, Column: 3}},
		{"{\"a\":1,\n\"\\u0061\":2}", scan.Error{Reason: scan.DuplicateMember, Offset: 8, Line: 2, Column: 1}},
		{"[\n\"ab\\uD800\"]", scan.Error{Reason: scan.LoneSurrogate, Offset: 5, Line: 2, Column: 4}},
		{"[1]\n\n]", scan.Error{Reason: scan.TrailingBytes, Offset: 5, Line: 3, Column: 1}},
		{"[\n", scan.Error{Reason: scan.UnexpectedEnd, Offset: 2, Line: 2, Column: 1}},
		{"[01]", scan.Error{Reason: scan.BadNumber, Offset: 2, Line: 1, Column: 3}},
		{"\xEF\xBB\xBF1", scan.Error{Reason: scan.ByteOrderMark, Offset: 0, Line: 1, Column: 1}},
		{"[[[[", scan.Error{Reason: scan.TooDeep, Offset: 3, Line: 1, Column: 4}},
		{`{"a":1,"b":2,"c":3,"d":4,"e":5}`, scan.Error{Reason: scan.TooManyMembers, Offset: 25, Line: 1, Column: 26}},
		{"[123456789]", scan.Error{Reason: scan.NumberTooLong, Offset: 9, Line: 1, Column: 10}},
		{"\"a\tb\"", scan.Error{Reason: scan.ControlCharacter, Offset: 2, Line: 1, Column: 3}},
		{`"\q"`, scan.Error{Reason: scan.BadEscape, Offset: 2, Line: 1, Column: 3}},
		{"\"a\xFF\"", scan.Error{Reason: scan.BadUTF8, Offset: 2, Line: 1, Column: 3}},
	}
	mask := maskOf(t, scan.Rules{Depth: 3, Members: 4, Number: 8, Unique: true})
	for _, test := range tests {
		tape := scan.NewTape()
		err := scan.Scan(mask, []byte(test.text), tape)
		if !same(err, &test.want) {
			t.Errorf("%q: %v, want %v", test.text, err, &test.want)
		}
		if len(tape.Entries()) != 0 {
			t.Errorf("%q: %d entries of a text that was refused", test.text, len(tape.Entries()))
		}
	}
}

func TestScannerAllocatesNothing(t *testing.T) {
	body := document(rand.New(rand.NewPCG(1, 2)), 20)
	var s scan.Scanner
	rules := scan.RequestRules()
	if n := testing.AllocsPerRun(50, func() {
		s.Reset(rules)
		for at := 0; at < len(body); at += 100 {
			if _, err := s.Write(body[at:min(at+100, len(body))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a text", n)
	}
}

func TestScannersFromThePool(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := scan.NewScanner(scan.RequestRules())
		if _, err := s.Write([]byte(`[{"a":1,"b":2},{"a":1,"b":2},{"a":1,"a`)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte(`":3}]`)); verdict(err) != "duplicate-member" {
			t.Fatalf("%v", err)
		}
		s.Release()
	}
}

func TestScannerAfterClose(t *testing.T) {
	t.Parallel()
	var s scan.Scanner
	if _, err := s.Write([]byte("[1]")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte(" ")); err == nil {
		t.Error("write after close passed")
	}
	s.Reset(scan.Rules{})
	if err := s.Close(); verdict(err) != "unexpected-end" {
		t.Errorf("empty text: %v", err)
	}
}

// document is a list of n orders as a service would answer it.
func document(r *rand.Rand, n int) []byte {
	names := []string{"김하늘", "이서준", "Anna Müller", "O'Brien \"Bob\"", "박지우"}
	var out []byte
	out = append(out, `{"items":[`...)
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(names[r.IntN(len(names))])
		if err != nil {
			panic(err)
		}
		out = fmt.Appendf(out, `{"id":"A-%d","memberId":%d,"status":"open","budget":{"amount":%d.%02d,"currency":"KRW"},"owner":{"name":%s,"tier":"plus"},"tags":["food","late night"],"createdAt":"2026-0%d-1%dT12:30:00Z","score":%g,"active":%t,"note":null}`,
			r.IntN(1e6), r.Int64(), r.IntN(1e5), r.IntN(100), name, 1+r.IntN(9), r.IntN(10), r.Float64(), r.IntN(2) == 0)
	}
	return append(out, `],"total":1234567890,"next":"/orders?after=A-17&limit=20"}`...)
}
