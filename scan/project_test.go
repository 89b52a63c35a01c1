package scan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/maru-msa/maru/scan"
)

// want is a node of a mask as the reference sees it.
type want struct {
	field scan.Field
	named bool
	kids  map[string]*want
	rest  *want
	each  bool
}

// names of the members in random documents: some escaped, some alike.
func randomNames() []string {
	return []string{"a", "b", "c", "id", "name", "budget", "", "a.b", "*", "김", "a\"b", "é", "averylongmembername"}
}

// randomMask wants random things of random documents.
func randomMask(r *rand.Rand, b *scan.Builder, f scan.Field, depth int) *want {
	w := &want{field: f}
	if depth == 0 || r.IntN(4) == 0 {
		if w.each = r.IntN(3) == 0; w.each {
			b.Each(f)
		}
		return w
	}
	w.kids = map[string]*want{}
	for range 1 + r.IntN(4) {
		name := randomNames()[r.IntN(len(randomNames()))]
		if w.kids[name] == nil {
			w.kids[name] = randomMask(r, b, b.Member(f, name), depth-1)
		}
	}
	w.each = true
	switch r.IntN(6) {
	case 0:
		rest := b.Any(f)
		w.rest = randomMask(r, b, rest, depth-1)
		w.rest.named = true
	case 1:
		w.rest = &want{field: b.All(f), named: true, each: true}
		w.rest.rest = w.rest
	}
	return w
}

// randomValue writes a random value, with white space and escapes where they may stand.
func randomValue(r *rand.Rand, out []byte, depth int) []byte {
	space := func() {
		if r.IntN(4) == 0 {
			out = append(out, "  \n\t \r      "[r.IntN(6):6+r.IntN(6)]...)
		}
	}
	kind := r.IntN(9)
	if depth == 0 {
		kind = r.IntN(5)
	}
	switch kind {
	case 0:
		return append(out, []string{"true", "false", "null"}[r.IntN(3)]...)
	case 1, 2:
		return append(out, []string{"0", "-0", "12345678901234567890", "1.10", "1e400", "-0.5E-3", "7"}[r.IntN(7)]...)
	case 3, 4:
		return randomText(r, out, []string{"", "x", "late night", "김하늘", "\x01\n\"\\/", "😀é", strings.Repeat("long ", 9)}[r.IntN(7)])
	case 5, 6:
		out = append(out, '[')
		for i := range r.IntN(5) {
			if i > 0 {
				out = append(out, ',')
			}
			space()
			out = randomValue(r, out, depth-1)
			space()
		}
		return append(out, ']')
	}
	out = append(out, '{')
	space()
	for i, at := range r.Perm(len(randomNames()))[:r.IntN(len(randomNames()))] {
		if i > 0 {
			out = append(out, ',')
			space()
		}
		out = randomText(r, out, randomNames()[at])
		space()
		out = append(out, ':')
		space()
		out = randomValue(r, out, depth-1)
		space()
	}
	return append(out, '}')
}

// randomText writes a string with random escapes.
func randomText(r *rand.Rand, out []byte, text string) []byte {
	if r.IntN(3) > 0 {
		return scan.AppendText(out, text)
	}
	out = append(out, '"')
	for _, c := range text {
		switch {
		case c > 0xFFFF:
			c -= 0x10000
			out = fmt.Appendf(out, `\u%04X\u%04x`, 0xD800+c>>10, 0xDC00+c&0x3FF)
		case r.IntN(2) == 0 || c < ' ' || c == '"' || c == '\\':
			out = fmt.Appendf(out, `\u%04x`, c)
		default:
			out = utf8.AppendRune(out, c)
		}
	}
	return append(out, '"')
}

// pick is the reference: it decodes every level with the standard decoder.
func pick(t *testing.T, w *want, raw []byte, name string, lines []string) []string {
	t.Helper()
	if w == nil {
		return lines
	}
	line := fmt.Sprintf("%d %s", w.field, raw)
	if w.named {
		line += " named " + name
	}
	lines = append(lines, line)
	if raw[0] != '{' && raw[0] != '[' || raw[0] == '{' && w.kids == nil && w.rest == nil || raw[0] == '[' && !w.each {
		return lines
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		next := w
		member := name
		if raw[0] == '{' {
			token, err := dec.Token()
			if err != nil {
				t.Fatal(err)
			}
			member = token.(string)
			if next = w.kids[member]; next == nil {
				next = w.rest
			}
		} else if w.named {
			elem := *w
			elem.named = false
			if w.rest == w {
				elem.rest = w
			}
			next = &elem
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		lines = pick(t, next, value, member, lines)
	}
	return lines
}

// walk lists a tape through its methods.
func walk(tape *scan.Tape, r scan.Ref, lines []string) []string {
	line := fmt.Sprintf("%d %s", tape.Field(r), tape.Span(r))
	if name := tape.Name(r); name != nil {
		line += " named " + string(scan.Unquote(nil, name))
	}
	lines = append(lines, line)
	if tape.Kind(r) == scan.Array || tape.Kind(r) == scan.Object {
		for c := tape.First(r); c != scan.None; c = tape.After(r, c) {
			lines = walk(tape, c, lines)
		}
	}
	return lines
}

func TestProjectionEqualsDecodeAndPick(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	tape := scan.NewTape()
	defer tape.Release()
	entries := 0
	for range 10_000 {
		var b scan.Builder
		reference := randomMask(r, &b, scan.Root, 3)
		mask, err := b.Mask(scan.RequestRules())
		if err != nil {
			t.Fatal(err)
		}
		body := randomValue(r, nil, 4)
		if err := scan.Scan(mask, body, tape); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		want, got := pick(t, reference, body, "", nil), walk(tape, 0, nil)
		if !slices.Equal(got, want) {
			t.Fatalf("%s\ngot:\n%s\nwant:\n%s", body, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		entries += len(got)
		var s scan.Scanner
		cut := r.IntN(len(body) + 1)
		if err := inChunks(&s, scan.RequestRules(), body[:cut], body[cut:]); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	}
	if entries < 25_000 {
		t.Errorf("only %d entries were compared", entries)
	}
}

func TestDuplicatesAreRefusedWhereTheMaskEnters(t *testing.T) {
	t.Parallel()
	wide := func(n, twice int) string {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"member-%d":0`, i))
		}
		if twice >= 0 {
			members = append(members, fmt.Sprintf(`"member\u002d%d":0`, twice))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	tests := []struct {
		text   string
		rules  scan.Rules
		refuse bool
	}{
		{`{"in":{"a":1,"\u0061":1}}`, scan.ResponseRules(), true},
		{`{"in":[[{"a":1,"a":1}]]}`, scan.ResponseRules(), true},
		{`{"out":{"a":1,"a":1}}`, scan.ResponseRules(), false},
		{`{"out":{"a":1,"a":1}}`, scan.RequestRules(), true},
		{`{"x":1,"x":1}`, scan.ResponseRules(), true},
		{`{"in":{"a":{"b":1,"b":1}}}`, scan.ResponseRules(), false}, // below a leaf
		{`{"in":` + wide(9_000, -1) + `}`, scan.ResponseRules(), false},
		{`{"in":` + wide(9_000, 0) + `}`, scan.ResponseRules(), true},
		{`{"in":` + wide(9_000, 8_999) + `}`, scan.ResponseRules(), true},
		{`{"in":` + wide(8, 7) + `}`, scan.ResponseRules(), true},
		{`{"in":` + wide(9, 3) + `}`, scan.ResponseRules(), true},
		{`{"in":` + wide(9_999, -1) + `}`, scan.RequestRules(), false},
		{`{"in":[` + wide(50, -1) + `,` + wide(20, -1) + `,` + wide(300, -1) + `,` + wide(20, 4) + `]}`, scan.RequestRules(), true},
	}
	tape := scan.NewTape()
	for _, test := range tests {
		err := scan.Scan(maskOf(t, test.rules, "in.a"), []byte(test.text), tape)
		if got := verdict(err); got != "accept" && got != "duplicate-member" || (err != nil) != test.refuse {
			t.Errorf("%.80q: %v, want refused: %v", test.text, err, test.refuse)
		}
	}
}

func TestMaskPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"a..b", "", ".a", "*.a", "a.**.b", "a.*x"} {
		var b scan.Builder
		b.Path(scan.Root, path)
		if _, err := b.Mask(scan.Rules{}); err == nil {
			t.Errorf("path %q passed", path)
		}
	}
	var b scan.Builder
	if first, second := b.Path(scan.Root, "a.b"), b.Member(b.Member(scan.Root, "a"), "b"); first != second {
		t.Errorf("one node has the numbers %d and %d", first, second)
	}
	b.Member(99, "x")
	if _, err := b.Mask(scan.Rules{}); err == nil {
		t.Error("a node that does not exist passed")
	}
	var large scan.Builder
	for i := range scan.MaxFields {
		large.Member(scan.Root, fmt.Sprint(i))
	}
	if _, err := large.Mask(scan.Rules{}); err == nil {
		t.Error("too many nodes passed")
	}
}
