package scan_test

import (
	"bytes"
	"errors"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/maru-msa/maru/scan"
)

func TestOutputKeepsOrderAndBound(t *testing.T) {
	t.Parallel()
	large := []byte(`"` + strings.Repeat("x", scan.ByReference) + `"`)
	var out scan.Output
	for range 2 {
		out.Reset()
		out.Max = 3*len(large) + 100
		out.Span(large)
		out.Literal(`,`)
		out.Text("a\"b")
		out.Byte(',')
		out.Span([]byte("1.10"))
		out.Span(large)
		out.Span(large)
		out.Byte(']')
		want := string(large) + `,"a\"b",1.10` + string(large) + string(large) + "]"
		segments := out.Segments(nil)
		if got := string(bytes.Join(segments, nil)); got != want || string(out.Bytes()) != want || out.Len() != len(want) {
			t.Fatalf("%d bytes, want %d", len(got), len(want))
		}
		if len(segments) != 5 || &segments[0][0] != &large[0] || out.Err() != nil {
			t.Errorf("%d segments, %v: large spans are not taken by reference", len(segments), out.Err())
		}
	}
	out.Max = out.Len() + 1
	out.Text("too much")
	if !errors.Is(out.Err(), scan.ErrOutput) || bytes.Contains(out.Bytes(), []byte("too much")) {
		t.Errorf("beyond the bound: %v", out.Err())
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	tests := []struct {
		a, b string
		same bool
	}{
		{`1`, `1`, true},
		{`1`, `1.0`, false},
		{`1`, `"1"`, false},
		{`null`, `"null"`, false},
		{`"a"`, `"\u0061"`, true},
		{`"\u0061\/"`, `"a/"`, true},
		{`"a"`, `"\u0062"`, false},
		{`"\\n"`, `"\n"`, false},
	}
	for _, test := range tests {
		a, b := []byte(test.a), []byte(test.b)
		if scan.SameKey(a, b) != test.same || scan.SameKey(b, a) != test.same {
			t.Errorf("%s and %s: want the same: %v", a, b, test.same)
		}
		if hashes := scan.HashKey(seed, a) == scan.HashKey(seed, b); hashes != test.same {
			t.Errorf("hashes of %s and %s: the same: %v", a, b, hashes)
		}
	}
	if !scan.IsText([]byte(`"\u0061b"`), "ab") || scan.IsText([]byte(`ab`), "ab") || scan.IsText([]byte(`"ab"`), "a") {
		t.Error("IsText")
	}
}
