package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/go-faster/jx"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/maru-msa/maru/scan"
)

// strictMask checks everything and has no limit that jsontext has not.
func strictMask(tb testing.TB) *scan.Mask {
	tb.Helper()
	mask, err := new(scan.Builder).Mask(scan.Rules{Unique: true, Depth: 10_000, Members: 1 << 30, Number: 1 << 30})
	if err != nil {
		tb.Fatal(err)
	}
	return mask
}

// byJSONText is the other judge: it refuses duplicate names, lone surrogates
// and what is not UTF-8, and reads several values, of which we want one.
func byJSONText(text []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := dec.ReadValue(); err != nil {
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one value: %w", err)
	}
	return nil
}

// jsonSeeds are the inputs of JSONTestSuite, as package scan keeps them.
func jsonSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	file, err := os.Open("../scan/testdata/jsontestsuite.txt")
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var texts [][]byte
	for lines := bufio.NewScanner(file); lines.Scan(); {
		_, rest, _ := strings.Cut(lines.Text(), ` "`)
		if quoted, err := strconv.Unquote(`"` + rest); err == nil { // the few repeated ones are package scan's to test
			texts = append(texts, []byte(quoted))
		}
	}
	return texts
}

// TestJSONTextAgrees compares verdicts on JSONTestSuite and on mutations of it.
func TestJSONTextAgrees(t *testing.T) {
	mask, tape := strictMask(t), scan.NewTape()
	defer tape.Release()
	texts := append(jsonSeeds(t), orders(3))
	if len(texts) < 330 {
		t.Fatalf("only %d texts", len(texts))
	}
	r := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for i := range 100_000 {
		text := bytes.Clone(texts[i%len(texts)])
		if i >= len(texts) {
			text = mutate(r, text, texts)
		}
		got, want := scan.Scan(mask, text, tape), byJSONText(text)
		if (got == nil) != (want == nil) {
			t.Fatalf("%q: %v, jsontext says %v", text, got, want)
		}
		if got != nil {
			refused++
		}
	}
	if refused < 10_000 || refused > 99_000 {
		t.Errorf("%d of 100,000 were refused: the texts are of one kind", refused)
	}
}

// mutate changes one or two places: a byte, a cut, a repetition, a piece of another text.
func mutate(r *rand.Rand, text []byte, others [][]byte) []byte {
	const alphabet = "{}[]\",:\\ue0123-+.Etfn \n\x00\x1F\x7F\x80\xBF\xC3\xED\xA0\xE1\xF0\xF4\xFF"
	for range 1 + r.IntN(2) {
		at := r.IntN(len(text) + 1)
		switch r.IntN(4) {
		case 0:
			if at < len(text) {
				text[at] = alphabet[r.IntN(len(alphabet))]
			}
		case 1:
			text = append(text[:at:at], text[min(at+1+r.IntN(3), len(text)):]...)
		case 2:
			text = append(text[:at:at], text[at/2:]...)
		default:
			other := others[r.IntN(len(others))]
			from := r.IntN(len(other) + 1)
			text = append(append(text[:at:at], other[from:min(from+1+r.IntN(8), len(other))]...), text[at:]...)
		}
	}
	return text
}

// FuzzJSONText is TestJSONTextAgrees with the fuzzer's inputs.
func FuzzJSONText(f *testing.F) {
	for _, text := range jsonSeeds(f) {
		f.Add(text)
	}
	mask := strictMask(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		tape := scan.NewTape()
		defer tape.Release()
		got, want := scan.Scan(mask, text, tape), byJSONText(text)
		if (got == nil) != (want == nil) {
			t.Fatalf("%q: %v, jsontext says %v", text, got, want)
		}
	})
}

// orders is a list of n orders as a service would answer it.
func orders(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := []byte(`{"items":[`)
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, `{"id":"A-%d","memberId":%d,"status":"open","budget":{"amount":%d.%02d,"currency":"KRW"},"owner":{"name":"김하늘","tier":"plus"},"tags":["food","late night"],"createdAt":"2026-0%d-1%dT12:30:00Z","score":%g,"active":%t,"note":null}`,
			r.IntN(1e6), r.Int64(), r.IntN(1e5), r.IntN(100), 1+r.IntN(9), r.IntN(10), r.Float64(), r.IntN(2) == 0)
	}
	return append(out, `],"total":1234567890,"next":"/orders?after=A-17&limit=20"}`...)
}

// BenchmarkJSONCheck puts the checks of a whole text side by side.
func BenchmarkJSONCheck(b *testing.B) {
	var indented bytes.Buffer
	if err := json.Indent(&indented, orders(200), "", "  "); err != nil {
		b.Fatal(err)
	}
	loose, err := new(scan.Builder).Mask(scan.ResponseRules())
	if err != nil {
		b.Fatal(err)
	}
	tape := scan.NewTape()
	judges := []struct {
		name string
		ok   func([]byte) bool
	}{
		{"scan", func(text []byte) bool { return scan.Scan(loose, text, tape) == nil }},
		{"jx", jx.Valid},
		{"std", json.Valid},
		{"jsontext", func(text []byte) bool { return jsontext.Value(text).IsValid() }},
	}
	for name, text := range map[string][]byte{"1KB": orders(3), "60KB": orders(200), "indented": indented.Bytes()} {
		for _, judge := range judges {
			b.Run(name+"/"+judge.name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if !judge.ok(text) {
						b.Fatal("refused")
					}
				}
			})
		}
	}
}
