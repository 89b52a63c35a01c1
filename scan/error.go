package scan

import (
	"bytes"
	"fmt"
)

// Reason is one word for why a text was refused. The words are stable: they
// stand in problem documents and metrics.
type Reason string

// The reasons. Those marked with a section are faults by RFC 8259, the others
// are rules of the house (Rules).
const (
	UnexpectedEnd    Reason = "unexpected-end"    // the text stops inside a value, or there is none (§2)
	UnexpectedByte   Reason = "unexpected-byte"   // a byte that the grammar does not allow here (§2)
	TrailingBytes    Reason = "trailing-bytes"    // more than one value (§2)
	BadNumber        Reason = "bad-number"        // leading zero, missing digits (§6)
	ControlCharacter Reason = "control-character" // U+0000 to U+001F inside a string (§7)
	BadEscape        Reason = "bad-escape"        // an escape that does not exist (§7)
	LoneSurrogate    Reason = "lone-surrogate"    // half of a surrogate pair (§8.2)
	BadUTF8          Reason = "bad-utf8"          // not UTF-8 (§8.1)
	ByteOrderMark    Reason = "byte-order-mark"   // U+FEFF before the value (§8.1)
	DuplicateMember  Reason = "duplicate-member"  // a name twice in one object (§4)
	TooDeep          Reason = "too-deep"          // more nesting than Rules.Depth
	TooManyMembers   Reason = "too-many-members"  // more members in one object than Rules.Members
	NumberTooLong    Reason = "number-too-long"   // a longer literal than Rules.Number
	TooLarge         Reason = "too-large"         // more than MaxBody bytes
	Closed           Reason = "write-after-close" // a Scanner was written to after Close
)

// Error tells why and where a text was refused. It never holds a byte of the
// text itself.
type Error struct {
	Reason Reason
	Offset int64 // bytes before the fault, from 0
	Line   int   // from 1; only line feeds count
	Column int   // in bytes, from 1
}

// Error says it in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("json: %s at byte %d (line %d, column %d)", e.Reason, e.Offset, e.Line, e.Column)
}

// code is a Reason, or the state of a token, in a register.
type code uint8

const (
	ok   code = iota
	more      // the bytes ended inside a token
	full      // the bytes ended, and what is there is a whole number
	unexpectedEnd
	unexpectedByte
	trailingBytes
	badNumber
	controlCharacter
	badEscape
	loneSurrogate
	badUTF8
	byteOrderMark
	duplicateMember
	tooDeep
	tooManyMembers
	numberTooLong
	tooLarge
)

// reason is the code's word.
func (c code) reason() Reason {
	return [...]Reason{
		unexpectedEnd: UnexpectedEnd, unexpectedByte: UnexpectedByte, trailingBytes: TrailingBytes,
		badNumber: BadNumber, controlCharacter: ControlCharacter, badEscape: BadEscape,
		loneSurrogate: LoneSurrogate, badUTF8: BadUTF8, byteOrderMark: ByteOrderMark,
		duplicateMember: DuplicateMember, tooDeep: TooDeep, tooManyMembers: TooManyMembers,
		numberTooLong: NumberTooLong, tooLarge: TooLarge,
	}[c]
}

// fault makes the error for the byte at, counted from the start of b. It lies
// before b when the token at fault began in an earlier chunk; strings and
// numbers hold no line feeds, so it is on the line on which b begins.
func (m *machine) fault(c code, b []byte, at int) *Error {
	e := &Error{Reason: c.reason(), Offset: m.base + int64(at), Line: m.lines + 1}
	start := m.line
	if at > 0 {
		before := b[:min(at, len(b))]
		e.Line += bytes.Count(before, []byte{10})
		if last := bytes.LastIndexByte(before, '\n'); last >= 0 {
			start = m.base + int64(last) + 1
		}
	}
	e.Column = int(e.Offset-start) + 1
	return e
}
