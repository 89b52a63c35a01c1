package scan

import (
	"errors"
)

// ByReference is from how many bytes on an Output takes a span by reference
// instead of copying it.
const ByReference = 4 << 10

// ErrOutput says that an Output would have grown beyond its bound.
var ErrOutput = errors.New("output is larger than its bound")

// Output collects a text from literals and spans: small ones are copied into
// one buffer, large ones are taken by reference. The zero Output has no bound.
// What was taken by reference must stay unchanged until the segments are
// written.
type Output struct {
	// Max is the most bytes; 0 means no bound. Bytes beyond it are counted, not kept.
	Max int

	buf  []byte
	cuts []cut // the references, in order
	size int
}

// cut is a span that stands after the first at bytes of Output.buf.
type cut struct {
	at   int
	span []byte
}

// Reset empties the Output and keeps its buffer.
func (o *Output) Reset() {
	clear(o.cuts)
	o.buf, o.cuts, o.size = o.buf[:0], o.cuts[:0], 0
}

// Len is the number of bytes so far.
func (o *Output) Len() int { return o.size }

// Err is ErrOutput once more than Max bytes came.
func (o *Output) Err() error {
	if o.Max > 0 && o.size > o.Max {
		return ErrOutput
	}
	return nil
}

// room counts n bytes and tells whether they may be kept.
func (o *Output) room(n int) bool {
	o.size += n
	return o.Max <= 0 || o.size <= o.Max
}

// Literal appends constant bytes.
func (o *Output) Literal(s string) {
	if o.room(len(s)) {
		o.buf = append(o.buf, s...)
	}
}

// Byte appends one byte.
func (o *Output) Byte(c byte) {
	if o.room(1) {
		o.buf = append(o.buf, c)
	}
}

// Span appends the bytes of a scanned value as they are.
func (o *Output) Span(span []byte) {
	if !o.room(len(span)) {
		return
	}
	if len(span) < ByReference {
		o.buf = append(o.buf, span...)
		return
	}
	o.cuts = append(o.cuts, cut{len(o.buf), span})
}

// Text appends text as a JSON string.
func (o *Output) Text(text string) {
	before := len(o.buf)
	o.buf = AppendText(o.buf, text)
	if !o.room(len(o.buf) - before) {
		o.buf = o.buf[:before]
	}
}

// Mark is a place in an Output to go back to.
type Mark struct{ buf, cuts, size int }

// Mark gives the present end.
func (o *Output) Mark() Mark { return Mark{len(o.buf), len(o.cuts), o.size} }

// Since appends a copy of what came after a Mark to dst.
func (o *Output) Since(m Mark, dst []byte) []byte {
	at := m.buf
	for _, c := range o.cuts[m.cuts:] {
		dst = append(append(dst, o.buf[at:c.at]...), c.span...)
		at = c.at
	}
	return append(dst, o.buf[at:]...)
}

// Back takes away what came after a Mark.
func (o *Output) Back(m Mark) {
	clear(o.cuts[m.cuts:])
	o.buf, o.cuts, o.size = o.buf[:m.buf], o.cuts[:m.cuts], m.size
}

// Segments appends the output's pieces to dst, in order. They are the Output's
// own memory and die with the next Reset.
func (o *Output) Segments(dst [][]byte) [][]byte {
	at := 0
	for _, c := range o.cuts {
		if c.at > at {
			dst = append(dst, o.buf[at:c.at])
			at = c.at
		}
		dst = append(dst, c.span)
	}
	if at < len(o.buf) {
		dst = append(dst, o.buf[at:])
	}
	return dst
}

// Bytes is the whole output when nothing was taken by reference: the Output's
// own memory, no copy. Otherwise it is one new piece.
func (o *Output) Bytes() []byte {
	if len(o.cuts) == 0 {
		return o.buf
	}
	return o.AppendTo(make([]byte, 0, o.size))
}

// AppendTo appends the whole output to dst.
func (o *Output) AppendTo(dst []byte) []byte {
	at := 0
	for _, c := range o.cuts {
		dst = append(append(dst, o.buf[at:c.at]...), c.span...)
		at = c.at
	}
	return append(dst, o.buf[at:]...)
}

// AppendText appends text as a JSON string: quoted, with the escapes that RFC
// 8259 §7 demands and no others. Bytes that are not UTF-8 become U+FFFD.
func AppendText[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if plain(c) {
			i++
			continue
		}
		if c >= 0x80 {
			n := runeLen(text, i)
			if n > 0 {
				i += n
				continue
			}
			dst = append(append(dst, text[from:i]...), "\uFFFD"...)
		} else {
			dst = appendEscape(append(dst, text[from:i]...), c)
		}
		i++
		from = i
	}
	return append(append(dst, text[from:]...), '"')
}

// runeLen is the length of the UTF-8 sequence at i, or 0 if there is none.
func runeLen[T string | []byte](text T, i int) int {
	var head [4]byte
	n := copy(head[:], text[i:min(i+4, len(text))])
	if end, c := sequence(head[:n], 0); c == ok {
		return end
	}
	return 0
}

// appendEscape appends the shortest escape of c.
func appendEscape(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
