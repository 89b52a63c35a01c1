package config

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// same compares trees with their places.
func same(a, b *yaml.Node) string {
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Style != b.Style ||
		a.Line != b.Line || a.Column != b.Column || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return fmt.Sprintf("%d:%d %q (%d entries) and %d:%d %q (%d entries)",
			a.Line, a.Column, a.Value, len(a.Content), b.Line, b.Column, b.Value, len(b.Content))
	}
	for i := range a.Content {
		if d := same(a.Content[i], b.Content[i]); d != "" {
			return d
		}
	}
	return ""
}

// agree cuts a text and, when that succeeds, compares with reading it whole.
func agree(t *testing.T, l *Loader, text []byte) bool {
	t.Helper()
	if checkBytes("f", text) != nil {
		return false
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	parts := cut(text)
	if parts == nil {
		return false
	}
	l.read("f", parts)
	got := join(parts)
	if got == nil {
		return false
	}
	want, findings := parseWhole("f", text)
	if findings != nil {
		t.Errorf("in pieces it is read, whole it is refused: %v\n%s", findings, text)
		return false
	}
	if d := same(got, want); d != "" {
		t.Errorf("pieces and whole differ: %s\n%s", d, text)
	}
	return true
}

func manyRoutes(n int) []byte {
	var b bytes.Buffer
	b.WriteString("services:\n  a: http://127.0.0.1:9101\n\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - match: GET /service%d/items/{id}\n    to: a\n", i)
	}
	return b.Bytes()
}

func pieceSeeds() []string {
	return []string{
		"a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n",
		"# c\n\na:\n# c\n  b: 1 # d\n\n  c:\n    d: 2\ne: 5\n",
		"routes:\n- a: 1\n- b: 2\nlisten: {x: 1,\n  y: 2}\n",
		"a:\n  b: |\n    - x\n   # no\n  c: >-\n    text\n\n    more\n",
		"a:\n  - \"x\n\n    y\"\n  - 'z'\n",
		"a:\r\n  - b\r\n  - c\r\nd: e\r\n",
		"a:\n  b: [1,\n2]\n",
		"a:\n  - |1\n   x\n  - &q y\n  - *q\n",
		"a:\n  b: &q {x: 1}\nc:\n  d: *q\n",
		"a:\n  - b\n  -\n    c\n  - - d\n    - e\n",
		"a:\n  b:\n  c:\n",
		"a: !x\n  b: c\n", "a: &x\n  b: c\n", "a: |\n  x\n  - y\nb:\n  k: v\n",
		"a:\n  - x: \"\n  - y\"\n", "a:\n  - x: [\n  - y ]\n", "a:\n  b: c\n d: e\n", "true:\n  - a\n", "a:\n  ? b\n  : c\n",
		"a:\n  b: c\n...\n", "---\na:\n  b: c\n", "a:\n\t- b\n", "a:\n  b: >\n\n\n  c: d\n", "a:\n  - b\n  c: d\n", "a:\n    b: c\n  # x\n    d: e\n",
	}
}

func TestPiecesAreReadAsTheWhole(t *testing.T) {
	t.Parallel()
	cutOK := 0
	for _, seed := range pieceSeeds() {
		if agree(t, new(Loader), []byte(seed)) {
			cutOK++
		}
	}
	if cutOK < 10 {
		t.Errorf("only %d texts could be cut", cutOK)
	}
	if !agree(t, new(Loader), manyRoutes(500)) {
		t.Error("a plain list of routes is not cut")
	}
}

func TestLoaderKeepsUnchangedPieces(t *testing.T) {
	t.Parallel()
	l := new(Loader)
	before := manyRoutes(2000)
	if !agree(t, l, before) {
		t.Fatal("not cut")
	}
	kept := make(map[string]*yaml.Node)
	maps.Copy(kept, l.pieces)
	after := []byte(strings.Replace(string(before), "/service77/", "/other/", 1))
	after = bytes.Replace(after, []byte("  - match: GET /service1500/"), []byte("  - match: GET /new\n    to: a\n  - match: GET /service1500/"), 1)
	if !agree(t, l, after) {
		t.Fatal("not cut after the change")
	}
	changed := 0
	for k := range l.pieces {
		if kept[k] == nil {
			changed++
		}
	}
	if len(l.pieces) < 20 || changed == 0 || changed > 4 {
		t.Errorf("%d of %d pieces were read again after two small changes", changed, len(l.pieces))
	}
}

func FuzzPieces(f *testing.F) {
	for _, seed := range pieceSeeds() {
		f.Add([]byte(seed))
	}
	f.Add(manyRoutes(60))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4<<10 {
			return
		}
		l := new(Loader)
		agree(t, l, text)
		agree(t, l, append([]byte("# one line more\n"), text...)) // with what the first one kept
	})
}

func BenchmarkParse10000Routes(b *testing.B) {
	text := manyRoutes(10000)
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			parseWhole("f", text)
		}
	})
	b.Run("pieces", func(b *testing.B) {
		for b.Loop() {
			new(Loader).parse("f", text)
		}
	})
	b.Run("again", func(b *testing.B) {
		l := new(Loader)
		l.parse("f", text)
		for b.Loop() {
			l.parse("f", text)
		}
	})
	b.Run("load again", func(b *testing.B) {
		l := new(Loader)
		for b.Loop() {
			if _, findings := l.LoadBytes("f", text); findings != nil {
				b.Fatal(findings)
			}
		}
	})
}
