package graphql

import (
	"fmt"
	"strings"
	"testing"
)

// The documents that were used last are kept, within a number and a size.
func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	t.Parallel()
	c := cache{max: 3, maxBytes: 100}
	made := 0
	get := func(text string) {
		doc, no := c.get(text, func() (*document, *refusal) {
			made++
			return &document{text: text}, nil
		})
		if no != nil || doc.text != text {
			t.Fatalf("%q: %v", text, no)
		}
	}
	for i, step := range []struct {
		text string
		made int
	}{
		{"a", 1},
		{"b", 2},
		{"c", 3},
		{"a", 3},
		{"d", 4}, // b is the oldest and goes
		{"a", 4},
		{"c", 4},
		{"b", 5}, // d goes
		{"d", 6},
		{strings.Repeat("x", 99), 7},
		{"d", 7}, // one byte more than the rest leaves room for
		{strings.Repeat("y", 200), 8},
		{strings.Repeat("y", 200), 8}, // too large, but what is in use stays
		{"d", 9},
	} {
		if get(step.text); made != step.made {
			t.Errorf("step %d: %d documents were made, want %d", i, made, step.made)
		}
	}
	if len(c.docs) != 1 || c.bytes != 1 {
		t.Errorf("%d documents of %d bytes", len(c.docs), c.bytes)
	}
	if _, no := c.get("bad", func() (*document, *refusal) { return nil, badRequest("no") }); no == nil || c.docs["bad"] != nil {
		t.Error("a refusal is kept")
	}
	for i := range 10 {
		get(fmt.Sprint(i))
	}
	if len(c.docs) != 3 || c.newest.doc.text != "9" || c.oldest.doc.text != "7" {
		t.Errorf("%d documents, from %q to %q", len(c.docs), c.oldest.doc.text, c.newest.doc.text)
	}
}
