package registry

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/flate"
)

// A large packed listing is put together of pieces: each application is deflated
// by itself, once for as long as it does not change, and what one change costs is
// the deflation of one application. Deflate allows that: a piece ends at a byte
// (RFC 1951 §3.2.4, an empty stored block) and refers to nothing before it. The
// whole is one member of gzip (RFC 1952), whose CRC is computed from those of the
// pieces.

// piece is a part of a gzip body.
type piece struct {
	deflated []byte
	crc      uint32
	size     int
	shift    uint32 // shiftOf(size)
}

// worthPiecing is how many instances an application must have on average: small
// ones compress badly by themselves.
const worthPiecing = 8

// piece gives the application in a style, deflated once.
func (a *application) piece(s style, w *flate.Writer) *piece {
	slot := &a.pieces[s.index()]
	if p := slot.Load(); p != nil {
		return p
	}
	plain := appendApplication(nil, a, s)
	var out bytes.Buffer
	w.Reset(&out)
	_, _ = w.Write(plain) // a buffer takes all
	_ = w.Flush()
	p := &piece{slices.Clip(out.Bytes()), crc32.ChecksumIEEE(plain), len(plain), shiftOf(len(plain))}
	slot.Store(p)
	return p
}

// member is a gzip member that grows by pieces.
type member struct {
	b    []byte
	crc  uint32
	size int
}

// begin writes the header: deflate, no name, no time, any system.
func (m *member) begin(room int) {
	m.b = append(make([]byte, 0, room), 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255)
}

// add appends a piece.
func (m *member) add(p *piece) {
	m.b = append(m.b, p.deflated...)
	m.crc = times(m.crc, p.shift) ^ p.crc
	m.size += p.size
}

// text appends a short text as it is, as a stored block.
func (m *member) text(s string) {
	n := uint16(len(s)) // texts of this package, far below 65,536
	m.b = append(m.b, 0, byte(n), byte(n>>8), byte(^n), byte(^n>>8))
	m.b = append(m.b, s...)
	m.crc = times(m.crc, shiftOf(len(s))) ^ crc32.ChecksumIEEE([]byte(s))
	m.size += len(s)
}

// end writes the last block and the trailer.
func (m *member) end() []byte {
	m.b = append(m.b, 1, 0, 0, 0xff, 0xff)
	m.b = binary.LittleEndian.AppendUint32(m.b, m.crc)
	return binary.LittleEndian.AppendUint32(m.b, uint32(m.size)) // modulo 2³², as RFC 1952 wants it
}

// packed is the listing in pieces.
func (p *picture) packed(version string, s style, w *flate.Writer) (b []byte, size int) {
	pieces, room := make([]*piece, len(p.apps)), 1024
	for i, app := range p.apps {
		pieces[i] = app.piece(s, w)
		room += len(pieces[i].deflated) + 6
	}
	var m member
	m.begin(room)
	head, tail := listingFrame(p.hash, version, s)
	m.text(head)
	for i, piece := range pieces {
		if i > 0 && !s.xml {
			m.text(",")
		}
		m.add(piece)
	}
	m.text(tail)
	return m.end(), m.size
}

// times multiplies two polynomials over GF(2) modulo that of the CRC, the highest
// bit being x⁰.
func times(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 == 1 {
			product ^= b
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return product
}

// shiftOf is x to the power of 8n: the CRC of a text is multiplied by it when n
// bytes follow, and that of these bytes added.
func shiftOf(n int) uint32 {
	power, square := uint32(1)<<31, uint32(1)<<23 // x⁰ and x⁸
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			power = times(power, square)
		}
		square = times(square, square)
	}
	return power
}
