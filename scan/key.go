package scan

import (
	"bytes"
	"hash/maphash"
)

// SameKey tells whether two scalar spans are the same key: the same JSON type
// and the same bytes, of strings the same text. 1, 1.0 and "1" differ.
func SameKey(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) < 2 || len(b) < 2 || a[0] != '"' || b[0] != '"' {
		return false
	}
	a, b = a[1:len(a)-1], b[1:len(b)-1]
	escapedA, escapedB := bytes.IndexByte(a, '\\') >= 0, bytes.IndexByte(b, '\\') >= 0
	if !escapedA && !escapedB {
		return false
	}
	var memory [2][128]byte
	if escapedA {
		a = unescape(memory[0][:0], a)
	}
	if escapedB {
		b = unescape(memory[1][:0], b)
	}
	return bytes.Equal(a, b)
}

// HashKey is a hash of a scalar span; the same for what SameKey calls the same.
func HashKey(seed maphash.Seed, span []byte) uint64 {
	if len(span) < 2 || span[0] != '"' || bytes.IndexByte(span, '\\') < 0 {
		return maphash.Bytes(seed, span)
	}
	var memory [128]byte
	text := append(unescape(append(memory[:0], '"'), span[1:len(span)-1]), '"')
	return maphash.Bytes(seed, text)
}

// Unquote appends the text of a string's span (with its quotes) to dst. The
// span must come from a scan.
func Unquote(dst, span []byte) []byte {
	inside := span[1 : len(span)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return append(dst, inside...)
	}
	return unescape(dst, inside)
}

// IsText tells whether the span is a string that stands for text.
func IsText(span []byte, text string) bool {
	if len(span) < 2 || span[0] != '"' {
		return false
	}
	inside := span[1 : len(span)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside) == text
	}
	var memory [128]byte
	return string(unescape(memory[:0], inside)) == text
}
