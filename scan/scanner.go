package scan

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Scanner checks one text that comes in chunks: the grammar, UTF-8, the Rules.
// What it says never depends on where the chunks end. It keeps no chunk: at
// most one number, and with Rules.Unique the names of the objects that are open.
//
// The zero Scanner is ready, under the zero Rules; NewScanner takes one with
// its working memory from a pool.
type Scanner struct {
	m     machine
	mask  Mask
	fault *Error
	begun bool
	ended bool
}

var _ io.WriteCloser = (*Scanner)(nil)

var scanners = sync.Pool{New: func() any { return new(Scanner) }} //nolint:gochecknoglobals // a pool is shared by its nature

// NewScanner takes a Scanner from the pool, ready under these rules.
func NewScanner(rules Rules) *Scanner {
	s := scanners.Get().(*Scanner) //nolint:errcheck // the pool makes nothing else
	s.Reset(rules)
	return s
}

// Release gives the Scanner back to the pool. It must not be used after that.
func (s *Scanner) Release() {
	s.m.lighten()
	s.fault, s.begun = nil, false
	scanners.Put(s)
}

// errClosed is what Write says after Close.
var errClosed = errors.New("scan: write after close")

// Reset makes the Scanner ready for another text, under these rules.
func (s *Scanner) Reset(rules Rules) {
	s.mask = Mask{rules: rules.withDefaults()}
	s.m.report = nil
	s.m.begin(&s.mask)
	s.m.chunks, s.m.body = true, nil
	s.fault, s.begun, s.ended = nil, true, false
}

// Write checks the next chunk. The error is an *Error, the same one from the
// first fault on; the count is then the bytes before the fault, if it lies in
// this chunk.
func (s *Scanner) Write(p []byte) (int, error) {
	if !s.begun {
		s.Reset(Rules{})
	}
	switch {
	case s.ended:
		return 0, errClosed
	case s.fault != nil:
		return 0, s.fault
	case len(p) == 0:
		return 0, nil
	}
	m := &s.m
	i, c := 0, tooLarge
	if m.base+int64(len(p)) <= MaxBody {
		i, c = m.chunk(p)
	}
	if c != ok {
		s.fault = m.fault(c, p, i)
		return max(i, 0), s.fault
	}
	m.lines += bytes.Count(p, []byte{'\n'})
	if last := bytes.LastIndexByte(p, '\n'); last >= 0 {
		m.line = m.base + int64(last) + 1
	}
	m.base += int64(len(p))
	return len(p), nil
}

// Close says that the text has ended, and gives the verdict: nil or an *Error.
func (s *Scanner) Close() error {
	if !s.begun {
		s.Reset(Rules{})
	}
	if s.fault == nil && !s.ended {
		if i, c := s.m.finish(); c != ok {
			s.fault = s.m.fault(c, nil, i)
		}
	}
	s.ended = true
	if s.m.report != nil {
		s.m.report.sort()
	}
	if s.fault != nil {
		return s.fault
	}
	return nil
}

// BOM tells whether a byte order mark was skipped.
func (s *Scanner) BOM() bool { return s.m.bom }

// chunk reads the next chunk, which is not empty.
func (m *machine) chunk(b []byte) (int, code) {
	i := 0
	if m.state == atStart && b[0] == 0xEF {
		m.state, m.cut, m.start, m.carried = inToken, cutMark, 0, m.carried[:0]
	}
	if m.state == inToken {
		var c code
		if i, c = m.resume(b); c != ok || m.state == inToken {
			return i, c
		}
	}
	return m.run(b, i)
}

// resume goes on with the token that the last chunk's end cut. If it ends in
// b, the place after it is given, and state says what has to follow.
func (m *machine) resume(b []byte) (int, code) {
	switch m.cut {
	case cutMark:
		return m.resumeMark(b)
	case cutText, cutName:
		return m.resumeText(b)
	case cutNumber:
		n := 0
		for n < len(b) && numeric(b[n]) && len(m.carried)+n <= m.mask.rules.Number {
			n++
		}
		m.carried = append(m.carried, b[:n]...)
		if n == len(b) && len(m.carried) <= m.mask.rules.Number {
			return n, ok
		}
		return m.number()
	default:
		const longest = len("false")
		n := min(len(b), longest-len(m.carried))
		held := len(m.carried)
		m.carried = append(m.carried, b[:n]...)
		end, c := literal(m.carried, 0)
		if c == more {
			return n, ok
		}
		if c == ok {
			m.carried = m.carried[:end]
			m.settle(literalKind(m.carried[0]), 0)
		}
		return end - held, c
	}
}

// settle ends the carried value.
func (m *machine) settle(k Kind, flags Flags) {
	if m.next != nil && m.next.checks != nil {
		m.judge(m.next, k, m.carried, flags, m.start)
	}
	m.state = atAfter
}

// numeric tells the bytes that a number may hold.
func numeric(c byte) bool {
	return c-'0' <= 9 || c == '-' || c == '+' || c == '.' || c|0x20 == 'e'
}

// number judges the carried number, of which all bytes have come or more than
// are allowed. The place is relative to the current chunk.
func (m *machine) number() (int, code) {
	at := int(m.start - m.base)
	end, flags, c := number(m.carried, 0)
	switch {
	case end > m.mask.rules.Number:
		return at + m.mask.rules.Number, numberTooLong
	case c == more:
		return at + end, badNumber // a byte follows that is no part of it
	case c != ok && c != full:
		return at + end, c
	case end < len(m.carried): // as 1-2
		return at + end, trailing(m.depth)
	}
	m.settle(Number, flags)
	return at + end, ok
}

// resumeMark reads what may be a byte order mark.
func (m *machine) resumeMark(b []byte) (int, code) {
	n := min(len(b), 3-len(m.carried))
	m.carried = append(m.carried, b[:n]...)
	if len(m.carried) < 3 {
		return n, ok
	}
	if string(m.carried) != "\xEF\xBB\xBF" {
		return -int(m.base), unexpectedByte
	}
	if !m.mask.rules.SkipBOM {
		return -int(m.base), byteOrderMark
	}
	m.bom, m.state = true, atValue
	return n, ok
}

// longestUnit is the longest escape: a surrogate pair.
const longestUnit = len(`\uD83D\uDE00`)

// resumeText goes on inside a string.
func (m *machine) resumeText(b []byte) (int, code) {
	i := 0
	if m.unit > 0 {
		var pending [2 * longestUnit]byte
		held := copy(pending[:], m.carried[len(m.carried)-m.unit:])
		all := held + copy(pending[held:], b[:min(len(b), longestUnit)])
		end, flags, c := one(pending[:all])
		m.flags |= flags
		switch c {
		case ok:
			i = end - held
		case more:
			m.carried = append(m.carried, b...)
			m.unit += len(b)
			return len(b), ok
		default:
			return end - held, c
		}
	}
	end, flags, c := text(b, i)
	m.flags |= flags
	if c != ok && c != more {
		return end, c
	}
	if c == more {
		m.unit = len(b) - end
		if m.keep {
			m.carried = append(m.carried, b...)
		} else {
			m.carried = append(m.carried[:0], b[end:]...)
		}
		return len(b), ok
	}
	if m.keep {
		m.carried = append(m.carried, b[:end]...)
	}
	if m.cut == cutText {
		m.settle(String, m.flags)
		return end, ok
	}
	m.state, m.next = atColon, nil
	f := &m.stack[m.depth]
	if f.chain = false; !m.keep {
		return end, ok
	}
	n, c := m.named(f, m.carried[1:len(m.carried)-1], int(m.start-m.base)+1, m.flags)
	if c != ok {
		return int(m.start - m.base), c
	}
	m.next = n
	return end, ok
}

// one reads the single escape or UTF-8 sequence at the start of b.
func one(b []byte) (int, Flags, code) {
	if b[0] == '\\' {
		end, c := escape(b, 0)
		return end, Escaped, c
	}
	end, c := sequence(b, 0)
	return end, 0, c
}

// finish says what the end of the text means where the machine stands.
func (m *machine) finish() (int, code) {
	switch {
	case m.state == inToken && m.cut == cutMark:
		return -int(m.base), unexpectedByte
	case m.state == inToken && m.cut == cutNumber:
		end, flags, c := number(m.carried, 0)
		if c == full {
			m.settle(Number, flags)
			break
		}
		if c == ok {
			return end - len(m.carried), trailing(m.depth)
		}
		if c != more {
			return end - len(m.carried), c
		}
	}
	if m.depth > 0 || m.state != atAfter {
		return 0, unexpectedEnd
	}
	return 0, ok
}

// trailing is the fault of a byte after a value.
func trailing(depth int) code {
	if depth == 0 {
		return trailingBytes
	}
	return unexpectedByte
}
