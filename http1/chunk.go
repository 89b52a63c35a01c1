package http1

import (
	"bytes"

	"github.com/maru-msa/maru/message"
)

// chunkState is where a chunkDecoder stands.
type chunkState uint8

const (
	chunkSize     chunkState = iota // before or inside the size
	chunkExtName                    // behind ';': a token
	chunkExtValue                   // behind '=': a token or '"'
	chunkExtToken                   // inside that token
	chunkExtQuote                   // inside a quoted string
	chunkExtPair                    // behind '\' in it
	chunkExtEnd                     // behind the closing '"'
	chunkSizeLF                     // behind the CR of the size line
	chunkExtLF                      // the same, with an extension
	chunkData                       // inside the payload
	chunkDataCR                     // behind the payload
	chunkDataLF                     // behind its CR
	chunkTrailer                    // in the trailer section
	chunkDone
)

const (
	maxSizeDigits = 15
	maxExcess     = 16 << 10
)

// chunkDecoder takes the chunked coding apart (RFC 9112 §7.1), at any split of
// the input, without copying payload. Its zero value needs reset.
type chunkDecoder struct {
	done    bool
	dropped int // trailer fields that were left out, by RFC 9110 §6.5.1

	lim     chunkLimits
	trailer *message.Header
	noms    nominations
	state   chunkState
	started bool // inside a size or an extension's name: an octet was seen
	digits  int
	line    int   // octets of the size line
	remain  int64 // of the chunk
	excess  int64 // framing octets that no payload pays for

	trailerN int    // octets of the trailer section
	fields   int    // its lines
	partial  []byte // a trailer line that came in pieces
}

// reset prepares for one body; trailer fields go to trailer.
func (d *chunkDecoder) reset(lim chunkLimits, trailer *message.Header) {
	*d = chunkDecoder{lim: lim, trailer: trailer, partial: d.partial[:0]}
}

// nominate makes the fields that the head's Connection nominates forbidden as
// trailers. It is called between reset and the removal of Connection.
func (d *chunkDecoder) nominate(head *message.Header) { _ = d.noms.collect(head) }

// next takes framing off the front of src: skip octets are framing, the data
// octets behind them payload. The caller takes both away and calls next with
// the rest. Without payload and before d.done all of src is consumed and more is
// needed. When d.done, what is behind skip belongs to the next message.
func (d *chunkDecoder) next(src []byte) (skip, data int, err error) {
	i := 0
	for i < len(src) {
		switch d.state {
		case chunkData:
			n := int(min(d.remain, int64(len(src)-i)))
			if d.remain -= int64(n); d.remain == 0 {
				d.state = chunkDataCR
			}
			return i, n, nil
		case chunkTrailer:
			n, ref := d.takeTrailer(src[i:])
			if ref != nil {
				return i, 0, ref.on(d.lim.response)
			}
			i += n
		case chunkDone:
			return i, 0, nil
		default:
			if ref := d.step(src[i]); ref != nil {
				return i, 0, ref.on(d.lim.response)
			}
			i++
		}
	}
	return i, 0, nil
}

// inside tells how many payload octets of the present chunk are still to come.
func (d *chunkDecoder) inside() int64 {
	if d.state != chunkData {
		return 0
	}
	return d.remain
}

// took accounts for payload that did not come through next.
func (d *chunkDecoder) took(n int) {
	if d.remain -= int64(n); d.remain == 0 && d.state == chunkData {
		d.state = chunkDataCR
	}
}

// step takes one octet of framing outside the trailer section.
func (d *chunkDecoder) step(c byte) *Refusal {
	switch d.state { //nolint:exhaustive // next takes the others
	case chunkDataCR:
		switch c {
		case '\r':
			d.state = chunkDataLF
			return nil
		case '\n':
			return refuseChunkLF
		}
		return refuseChunkEnd
	case chunkDataLF:
		if c != '\n' {
			return refuseChunkEnd
		}
		d.startLine()
		return nil
	case chunkSizeLF:
		if c != '\n' {
			return refuseChunkLF
		}
		return d.endLine()
	case chunkExtLF:
		if c != '\n' {
			return refuseChunkExt
		}
		return d.endLine()
	}
	if c != '\r' && c != '\n' {
		if d.line++; d.line > d.lim.line {
			return refuseChunkLineTooLong
		}
	}
	if d.state == chunkSize {
		return d.stepSize(c)
	}
	return d.stepExt(c)
}

func (d *chunkDecoder) startLine() {
	d.state, d.started, d.digits, d.line, d.remain = chunkSize, false, 0, 0, 0
}

func (d *chunkDecoder) stepSize(c byte) *Refusal {
	if v := hexValue[c]; v != 0xFF {
		if d.digits++; d.digits > maxSizeDigits {
			return refuseChunkSize
		}
		d.remain = d.remain<<4 | int64(v)
		return nil
	}
	switch {
	case c == ' ' || c == '\t':
		return refuseChunkSpace
	case d.digits == 0:
		return refuseChunkSize
	case c == '\r':
		d.state = chunkSizeLF
	case c == '\n':
		return refuseChunkLF
	case c == ';':
		d.state, d.started = chunkExtName, false
	default:
		return refuseChunkSize
	}
	return nil
}

// stepExt reads extensions only to know where they end; they are never passed
// on (RFC 9112 §7.1.1).
func (d *chunkDecoder) stepExt(c byte) *Refusal {
	switch d.state { //nolint:exhaustive // the states of an extension
	case chunkExtQuote:
		switch {
		case c == '"':
			d.state = chunkExtEnd
		case c == '\\':
			d.state = chunkExtPair
		case !message.ValueOctet(c):
			return refuseChunkExt
		}
		return nil
	case chunkExtPair:
		d.state = chunkExtQuote
		if !message.ValueOctet(c) {
			return refuseChunkExt
		}
		return nil
	case chunkExtValue:
		if c == '"' {
			d.state = chunkExtQuote
			return nil
		}
		if !message.TokenOctet(c) {
			return refuseChunkExt
		}
		d.state = chunkExtToken
		return nil
	case chunkExtName, chunkExtToken:
		if message.TokenOctet(c) {
			d.started = true
			return nil
		}
		if d.state == chunkExtName {
			if !d.started {
				return refuseChunkExt
			}
			if c == '=' {
				d.state = chunkExtValue
				return nil
			}
		}
	}
	switch c {
	case ';':
		d.state, d.started = chunkExtName, false
	case '\r':
		d.state = chunkExtLF
	default:
		return refuseChunkExt
	}
	return nil
}

// endLine ends a size line. Framing must not outweigh payload for long: one-octet
// chunks burn work for nothing.
func (d *chunkDecoder) endLine() *Refusal {
	d.excess = max(d.excess+int64(d.line)+2-16-2*d.remain, 0)
	if d.excess > maxExcess {
		return refuseChunkOverhead
	}
	d.state = chunkData
	if d.remain == 0 {
		d.state = chunkTrailer
	}
	return nil
}

// takeTrailer takes one line of the trailer section, or what there is of it.
func (d *chunkDecoder) takeTrailer(src []byte) (int, *Refusal) {
	n := bytes.IndexByte(src, '\n') + 1
	whole := n > 0
	if !whole {
		n = len(src)
	}
	if d.trailerN += n; d.trailerN > d.lim.trailerBytes {
		return 0, refuseTrailerTooLarge
	}
	line := src[:n]
	if !whole || len(d.partial) > 0 {
		d.partial = append(d.partial, line...)
		line = d.partial
	}
	if !whole {
		return n, nil
	}
	ref := d.trailerLine(line)
	d.partial = d.partial[:0]
	return n, ref
}

// trailerLine judges one complete line (RFC 9110 §6.5.1, RFC 9112 §7.1.2).
func (d *chunkDecoder) trailerLine(line []byte) *Refusal {
	if len(line) == 2 && line[0] == '\r' {
		d.state, d.done = chunkDone, true
		return nil
	}
	f := scanField(line, 0)
	if f.next == 0 {
		ref := lineFault(line, 0, false)
		if ref == refuseBareLF {
			return refuseChunkLF
		}
		return ref
	}
	if d.fields++; d.fields > d.lim.trailerCount || d.lim.name > 0 && f.name > d.lim.name {
		return refuseTrailerTooLarge
	}
	name := message.View(line[:f.name])
	id := message.NameID(name)
	if f.odd && isLookalike(name) {
		if like, _ := message.Lookalike(name); framingNames.has(like) && !d.lim.response {
			return refuseFramingLookalike
		}
		d.dropped++
		return nil
	}
	switch {
	case forbiddenTrailers.has(id) || d.noms.has(name):
		return refuseTrailerFraming
	case droppedTrailers.has(id) || droppedPrefix(name) || message.Reserved(name):
		d.dropped++
		return nil
	}
	s := string(line[:f.valueEnd]) // it outlives the buffer
	d.trailer.Append(message.Field{Name: s[:f.name], Value: s[f.value:], ID: id})
	return nil
}

// droppedPrefix tells the families of names that have no meaning as trailers.
func droppedPrefix(name string) bool {
	for _, prefix := range [...]string{"content-", "if-", "x-forwarded-", "proxy-"} {
		if len(name) >= len(prefix) && foldEqual(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

//nolint:gochecknoglobals // read-only tables
var (
	// forbiddenTrailers frame or route the message (RFC 9110 §6.5.1).
	forbiddenTrailers = setOf(message.TransferEncoding, message.ContentLength, message.Host, message.Trailer)

	// droppedTrailers modify, authenticate or control: too late behind the body,
	// or of one hop.
	droppedTrailers = setOf(message.Authorization, message.Cookie, message.SetCookie, message.CacheControl, message.Expires,
		message.Age, message.Date, message.Location, message.Vary, message.Range, message.TE, message.MaxForwards,
		message.Expect, message.WWWAuthenticate, message.Forwarded, message.XRealIP, message.ClientCert,
		message.ClientCertChain, message.XMaruAttempt, message.XMaruExplain, message.XMaruMirror, message.XMaruPriority,
		message.XMaruSubject, message.XMaruVariant, message.XOriginalURL, message.XRewriteURL, message.Connection, message.KeepAlive,
		message.Upgrade, message.HTTP2Settings)
)

// appendChunkHead appends the size line of a chunk of n octets, n > 0.
func appendChunkHead(dst []byte, n int) []byte {
	const hex = "0123456789abcdef"
	shift := 0
	for n>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, hex[n>>shift&15])
	}
	return append(dst, '\r', '\n')
}

// appendChunkEnd appends what stands behind the payload of a chunk.
func appendChunkEnd(dst []byte) []byte { return append(dst, '\r', '\n') }

// appendLastChunk appends the last chunk and the trailer section.
func appendLastChunk(dst []byte, t *message.Header) []byte {
	dst = append(dst, '0', '\r', '\n')
	for i, fields := 0, t.Fields(); i < len(fields); i++ {
		if !forbiddenTrailers.has(fields[i].ID) {
			dst = appendField(dst, &fields[i])
		}
	}
	return append(dst, '\r', '\n')
}
