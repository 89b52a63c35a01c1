package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/maru-msa/maru/message"
)

// classes of octets in a field name.
const (
	nameEnd   = 0 // not a token octet
	namePlain = 1 // a letter, a digit, or '-'
	nameOdd   = 2 // a token octet that other software may fold to '-'
)

var nameClass = nameClasses() //nolint:gochecknoglobals // read-only table

func nameClasses() (t [256]byte) {
	for i := range t {
		c := byte(i)
		switch {
		case !message.TokenOctet(c):
		case c == '-' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z':
			t[i] = namePlain
		default:
			t[i] = nameOdd
		}
	}
	return t
}

// fieldSpan is where the parts of a field line stand; next is the start of the
// line behind it, 0 when the line is incomplete or wrong.
type fieldSpan struct {
	name, value, valueEnd, next int
	odd                         bool
}

// scanField looks at the field line at buf[pos:] in one pass (RFC 9112 §5). It
// takes exactly the valid lines; [lineFault] tells what is wrong with others.
func scanField(buf []byte, pos int) (f fieldSpan) {
	i := pos
	var class byte
	for ; i < len(buf); i++ {
		c := nameClass[buf[i]]
		if c == nameEnd {
			break
		}
		class |= c
	}
	if i == pos || i >= len(buf) || buf[i] != ':' {
		return f
	}
	f.name, f.odd = i, class&nameOdd != 0
	i++
	for i < len(buf) && (buf[i] == ' ' || buf[i] == '\t') {
		i++
	}
	f.value = i
	i = valueEnd(buf, i)
	if i+1 >= len(buf) || buf[i] != '\r' || buf[i+1] != '\n' {
		return f
	}
	f.next = i + 2
	for i > f.value && (buf[i-1] == ' ' || buf[i-1] == '\t') {
		i--
	}
	f.valueEnd = i
	return f
}

// headLine looks at the line of a header section at buf[pos:]; start is where
// the section began, large the refusal of a head over limit octets. end tells
// that it is the empty line. Without refusal, next is 0 while bytes are missing.
func headLine(buf []byte, pos, start, limit int, large *Refusal) (f fieldSpan, end bool, ref *Refusal) {
	if pos+1 < len(buf) && buf[pos] == '\r' && buf[pos+1] == '\n' {
		f.next, end = pos+2, true
	} else {
		f = scanField(buf, pos)
	}
	switch {
	case f.next > limit, f.next == 0 && noLineWithin(buf, pos, limit):
		return fieldSpan{}, false, large
	case f.next == 0:
		return fieldSpan{}, false, lineFault(buf, pos, pos == start)
	}
	return f, end, nil
}

// noLineWithin tells that the line at pos does not end within the first limit bytes.
func noLineWithin(buf []byte, pos, limit int) bool {
	return len(buf) >= limit && (pos >= limit || bytes.IndexByte(buf[pos:limit], '\n') < 0)
}

// valueEnd gives the first place from i on whose octet may not stand in a field
// value (RFC 9110 §5.5: anything but HTAB, SP, VCHAR and obs-text), or len(buf).
func valueEnd(buf []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for i+8 <= len(buf) {
		x := binary.LittleEndian.Uint64(buf[i:])
		del := x ^ 0x7F*ones
		// A high bit for each octet below 0x20 and for each 0x7F. Borrows can set
		// bits above a true one, never below: the lowest is exact.
		hit := ((x-0x20*ones)&^x | (del-ones)&^del) & highs
		if hit == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hit) >> 3
		if buf[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(buf) && message.ValueOctet(buf[i]) {
		i++
	}
	return i
}

// lineFault says what is wrong with the field line at buf[pos:], or nil when it
// is only incomplete. first tells that no field line stands before it.
func lineFault(buf []byte, pos int, first bool) *Refusal {
	n := bytes.IndexByte(buf[pos:], '\n')
	if n < 0 {
		return nil
	}
	line := buf[pos : pos+n]
	if n == 0 || line[n-1] != '\r' {
		return refuseBareLF // RFC 9112 §2.2
	}
	line = line[:n-1]
	if bytes.IndexByte(line, '\r') >= 0 {
		return refuseBareCR // RFC 9112 §2.2
	}
	if line[0] == ' ' || line[0] == '\t' {
		if first {
			return refuseLeadingSpace // RFC 9112 §2.2
		}
		return refuseObsFold // RFC 9112 §5.2
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return refuseFieldName
	}
	name := line[:colon]
	if trimmed := bytes.TrimRight(name, " \t"); len(trimmed) < len(name) && message.ValidToken(message.View(trimmed)) {
		return refuseSpaceBeforeColon // RFC 9112 §5.1
	}
	if !message.ValidToken(message.View(name)) {
		return refuseFieldName
	}
	if message.NameID(message.View(name)) == message.TransferEncoding {
		return refuseTESyntax
	}
	return refuseFieldValue
}

// idSet is a set of known field names.
type idSet [2]uint64

func setOf(ids ...message.ID) (s idSet) {
	for _, id := range ids {
		s[id>>6] |= 1 << (id & 63)
	}
	return s
}

func (s *idSet) has(id message.ID) bool { return s[id>>6]&(1<<(id&63)) != 0 }

//nolint:gochecknoglobals // read-only tables
var (
	// singletons may stand once in a head.
	singletons = setOf(message.Authorization, message.ContentType, message.MaxForwards, message.Expect)

	// framingNames decide where a message ends.
	framingNames = setOf(message.ContentLength, message.TransferEncoding)

	// managedNames are set by maru itself or by a trusted peer; a name that only
	// folds onto one of them is dropped.
	managedNames = setOf(message.Forwarded, message.XForwardedFor, message.XForwardedHost, message.XForwardedPort,
		message.XForwardedPrefix, message.XForwardedProto, message.XForwardedServer, message.XRealIP,
		message.XMaruAttempt, message.XMaruExplain, message.XMaruMirror, message.XMaruPriority, message.XMaruSubject, message.XMaruVariant,
		message.XOriginalURL, message.XRewriteURL, message.ClientCert, message.ClientCertChain)
)

func (s *idSet) add(id message.ID)    { s[id>>6] |= 1 << (id & 63) }
func (s *idSet) remove(id message.ID) { s[id>>6] &^= 1 << (id & 63) }

// anyIn tells whether h has a line of one of the names.
func (s *idSet) anyIn(h *message.Header) bool {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if h.Has(message.ID(i<<6 + bits.TrailingZeros64(word))) {
				return true
			}
		}
	}
	return false
}
