package scan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Every byte of a word: 0x01 and 0x80 repeated.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, by the high bit of its byte, the first byte of x (lowest
// address first) that ends a run of plain text: a quote, a backslash, a control
// character or a byte beyond ASCII. Marks after the first may be false: a
// borrow runs upwards only.
func special(x uint64) uint64 {
	return (x | ((x ^ ones*'"') - ones) | ((x ^ ones*'\\') - ones) | (x - ones*' ')) & highs
}

// short finds the end of a string of at most eight plain bytes whose inside
// begins at i: the place after the closing quote, or 0 when text has to look.
func short(b []byte, i int) int {
	if i+8 < len(b) {
		i += bits.TrailingZeros64(special(binary.LittleEndian.Uint64(b[i:]))) >> 3 // 8 when nothing is special
		if b[i] == '"' {
			return i + 1
		}
	}
	return 0
}

// text reads the inside of a string from i to the closing quote: end is the
// place after it. On more, end is the start of the escape or UTF-8 sequence
// that the bytes cut, or len(b). On a fault, end is its place.
func text(b []byte, i int) (end int, flags Flags, c code) {
	for {
		for i+8 <= len(b) {
			hit := special(binary.LittleEndian.Uint64(b[i:]))
			if hit != 0 {
				i += bits.TrailingZeros64(hit) >> 3
				break
			}
			i += 8
		}
		for i < len(b) && plain(b[i]) { // the last bytes of b
			i++
		}
		if i >= len(b) {
			return i, flags, more
		}
		switch b[i] {
		case '"':
			return i + 1, flags, ok
		case '\\':
			flags |= Escaped
			i, c = escape(b, i)
		default:
			i, c = beyond(b, i)
		}
		if c != ok {
			return i, flags, c
		}
	}
}

// plain tells a byte of ASCII that stands for itself in a string.
func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// beyond reads the UTF-8 sequences from i, with single bytes of plain ASCII
// between them, or refuses a control character at i.
func beyond(b []byte, i int) (int, code) {
	if b[i] < ' ' {
		return i, controlCharacter
	}
	for i < len(b) {
		if b[i] < utf8.RuneSelf {
			if i+1 < len(b) && b[i+1] >= utf8.RuneSelf && plain(b[i]) { // the space between two words
				i++
				continue
			}
			return i, ok
		}
		if i+4 <= len(b) { // three bytes, as all of Hangul and Han
			x := binary.LittleEndian.Uint32(b[i:])
			if x&0xC0C0F0 == 0x8080E0 && threeBytes>>(x<<1&0x1E|x>>13&1)&1 != 0 {
				i += 3
				continue
			}
		}
		var c code
		if i, c = sequence(b, i); c != ok {
			return i, c
		}
	}
	return i, ok
}

// threeBytes has a bit for the low four bits of the first byte of three with the
// third-highest of the second: all but E0 80–9F (overlong) and ED A0–BF (surrogates).
const threeBytes = ^uint32(1<<0 | 1<<27)

// sequence reads the UTF-8 sequence at i.
func sequence(b []byte, i int) (int, code) {
	r, n := utf8.DecodeRune(b[i:])
	switch {
	case r != utf8.RuneError || n > 1:
		return i + n, ok
	case utf8.FullRune(b[i:]):
		return i, badUTF8
	}
	return i, more
}

// escape reads the escape at i, a surrogate pair as one. On more, the place is
// i; the fault of a pair is its first half's (RFC 8259 §7, §8.2).
func escape(b []byte, i int) (int, code) {
	if i+1 >= len(b) {
		return i, more
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, ok
	case 'u':
	default:
		return i + 1, badEscape
	}
	r, at, c := codeUnit(b, i)
	switch {
	case c == more:
		return i, more
	case c != ok:
		return at, c
	case r < 0xD800 || r > 0xDFFF:
		return at, ok
	case r >= 0xDC00:
		return i, loneSurrogate
	}
	for k, want := range []byte(`\u`) {
		if at+k >= len(b) {
			return i, more
		}
		if b[at+k] != want {
			return i, loneSurrogate
		}
	}
	low, end, c := codeUnit(b, at)
	switch {
	case c == more:
		return i, more
	case c != ok:
		return end, c
	case low < 0xDC00 || low > 0xDFFF:
		return i, loneSurrogate
	}
	return end, ok
}

// codeUnit reads the \uXXXX at i: its value, and the place after it or of a digit
// that is none.
func codeUnit(b []byte, i int) (r rune, end int, c code) {
	for k := i + 2; k < i+6; k++ {
		if k >= len(b) {
			return 0, i, more
		}
		d, valid := hex(b[k])
		if !valid {
			return 0, k, badEscape
		}
		r = r<<4 | d
	}
	return r, i + 6, ok
}

// hex is the value of a hexadecimal digit.
func hex(c byte) (rune, bool) {
	switch {
	case c-'0' <= 9:
		return rune(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20) - 'a' + 10, true
	}
	return 0, false
}

// unescape appends the text that raw stands for: the inside of a valid string,
// without its quotes.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, end, _ := codeUnit(raw, i)
			if utf16.IsSurrogate(r) {
				low, after, _ := codeUnit(raw, end)
				r, end = utf16.DecodeRune(r, low), after
			}
			dst = utf8.AppendRune(dst, r)
			i = end
			continue
		default: // quote, backslash, slash
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// number reads the number at i: end is the place after it. At the end of b it
// says full when what is there is a number, else more; both may go on. On a
// fault, end is its place (RFC 8259 §6).
func number(b []byte, i int) (end int, flags Flags, c code) {
	if b[i] == '-' {
		i++
	}
	if i >= len(b) {
		return i, 0, more
	}
	if b[i] == '0' {
		i++
		if i < len(b) && b[i]-'0' <= 9 {
			return i, 0, badNumber
		}
	} else if i, c = digits(b, i); c != ok {
		return i, Integer, c
	}
	if i >= len(b) {
		return i, Integer, full
	}
	flags = Integer
	if b[i] == '.' {
		flags = 0
		if i, c = digits(b, i+1); c != ok {
			return i, flags, c
		}
	}
	if b[i]|0x20 == 'e' {
		flags = 0
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i, c = digits(b, i); c != ok {
			return i, flags, c
		}
	}
	return i, flags, ok
}

// digits reads at least one digit from i; full says that b ended after one.
func digits(b []byte, i int) (int, code) {
	if i >= len(b) {
		return i, more
	}
	if b[i]-'0' > 9 {
		return i, badNumber
	}
	for i++; i < len(b); i++ {
		if b[i]-'0' > 9 {
			return i, ok
		}
	}
	return i, full
}

// space skips white space from i (RFC 8259 §2).
func space(b []byte, i int) int {
	for ; i < len(b); i++ {
		if c := b[i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return i
		}
		for i+9 <= len(b) && binary.LittleEndian.Uint64(b[i+1:]) == ones*' ' { // indentation
			i += 8
		}
	}
	return i
}
