package scan

import (
	"strings"
	"testing"
)

// What came after a mark is given back, also where it is made of references.
func TestOutputSince(t *testing.T) {
	t.Parallel()
	var o Output
	o.Literal("head")
	long := strings.Repeat("x", 64<<10)
	o.Span([]byte(long))
	m := o.Mark()
	if got := o.Since(m, nil); len(got) != 0 {
		t.Errorf("nothing came, and it gives %d bytes", len(got))
	}
	want := "[" + long + "," + long + "]"
	o.Byte('[')
	o.Span([]byte(long))
	o.Byte(',')
	o.Span([]byte(long))
	o.Byte(']')
	if got := string(o.Since(m, []byte("-"))); got != "-"+want {
		t.Errorf("%d bytes came back of %d", len(got)-1, len(want))
	}
}
