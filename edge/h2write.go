package edge

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/message"
)

// h2Output is the write side of a connection. Exchanges write their frames in
// turn; what one writes while others wait leaves together with theirs. Control
// frames of the reading goroutine never wait: they are queued and leave with
// whoever writes.
type h2Output struct {
	nc    net.Conn
	limit time.Duration // how long the client may take no byte

	waiting atomic.Int32 // writers that hold or want the turn
	turn    sync.Mutex
	buf     []byte // frames that are not written yet
	block   *[]byte
	by      time.Time // the write deadline that is set
	err     error

	ctlMu sync.Mutex
	ctl   []byte
}

const (
	outputBlock = 32 << 10
	outputFlush = 20 << 10 // from here on the buffer is written whatever follows
)

var outputBlocks = sync.Pool{New: func() any { //nolint:gochecknoglobals // a pool is shared by its nature
	b := make([]byte, 0, outputBlock)
	return &b
}}

func (o *h2Output) init(nc net.Conn, limit time.Duration) { o.nc, o.limit = nc, limit }

// queue adds control frames; false means that too many are unread.
func (o *h2Output) queue(frames []byte) bool {
	o.ctlMu.Lock()
	o.ctl = append(o.ctl, frames...)
	ok := len(o.ctl) <= maxQueuedControl
	o.ctlMu.Unlock()
	o.kick()
	return ok
}

// kick writes queued control frames unless somebody has the turn, who will.
func (o *h2Output) kick() {
	for o.queued() && o.turn.TryLock() {
		o.flush()
		o.turn.Unlock()
	}
}

func (o *h2Output) queued() bool {
	o.ctlMu.Lock()
	defer o.ctlMu.Unlock()
	return len(o.ctl) > 0
}

// lock takes the turn and gives the buffer to append frames to.
func (o *h2Output) lock() {
	o.waiting.Add(1)
	o.turn.Lock()
	if o.block == nil {
		o.block, _ = outputBlocks.Get().(*[]byte)
		o.buf = (*o.block)[:0]
	}
}

// unlock ends the turn. The frames leave now, unless more is true (the caller
// writes again before it waits for anything) or another writer waits.
func (o *h2Output) unlock(more bool) error {
	others := o.waiting.Add(-1) > 0
	if len(o.buf) >= outputFlush || !more && !others {
		o.flush()
	}
	err := o.err
	o.turn.Unlock()
	o.kick()
	return err
}

// flush writes everything; the caller has the turn.
func (o *h2Output) flush() {
	o.ctlMu.Lock()
	if len(o.ctl) > 0 {
		o.buf = append(o.buf, o.ctl...)
		o.ctl = o.ctl[:0]
	}
	o.ctlMu.Unlock()
	if len(o.buf) > 0 && o.err == nil {
		if now := time.Now(); o.by.Sub(now) < max(o.limit-time.Second, o.limit/2) {
			o.by = now.Add(o.limit)
			_ = o.nc.SetWriteDeadline(o.by)
		}
		_, o.err = o.nc.Write(o.buf)
	}
	o.buf = o.buf[:0]
	if o.block != nil {
		if cap(o.buf) <= outputBlock {
			*o.block = o.buf
			outputBlocks.Put(o.block)
		}
		o.block, o.buf = nil, nil
	}
}

// push writes what a writer left behind with more.
func (o *h2Output) push() error {
	o.lock()
	return o.unlock(false)
}

// appendFrameHead appends a frame header (RFC 9113 §4.1).
func appendFrameHead(b []byte, length int, t http2.FrameType, flags http2.Flags, stream uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(flags),
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendUint32(b []byte, v uint32) []byte {
	return append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendWindowUpdate(b []byte, stream uint32, n int) []byte {
	return appendUint32(appendFrameHead(b, 4, http2.FrameWindowUpdate, 0, stream), uint32(n))
}

func appendReset(b []byte, stream uint32, code http2.ErrCode) []byte {
	return appendUint32(appendFrameHead(b, 4, http2.FrameRSTStream, 0, stream), uint32(code))
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode) []byte {
	b = appendUint32(appendFrameHead(b, 8, http2.FrameGoAway, 0, 0), last)
	return appendUint32(b, uint32(code))
}

// appendHeaders appends a header block that begins at start of b as HEADERS and
// CONTINUATION frames. write appends the encoded fields.
func appendHeaders(b []byte, stream uint32, end bool, write func([]byte) []byte) []byte {
	start := len(b)
	b = appendFrameHead(b, 0, http2.FrameHeaders, 0, stream)
	b = write(b)
	n := len(b) - start - 9
	flags := http2.FlagHeadersEndHeaders
	if end {
		flags |= http2.FlagHeadersEndStream
	}
	if n <= h2Frame {
		appendFrameHead(b[start:start], n, http2.FrameHeaders, flags, stream)
		return b
	}
	// A head that large is rare: cut a copy of it into frames.
	block := append([]byte(nil), b[start+9:]...)
	b = b[:start]
	t, flags := http2.FrameHeaders, flags&^http2.FlagHeadersEndHeaders
	for len(block) > h2Frame {
		b = append(appendFrameHead(b, h2Frame, t, flags, stream), block[:h2Frame]...)
		block, t, flags = block[h2Frame:], http2.FrameContinuation, 0
	}
	b = appendFrameHead(b, len(block), t, http2.FlagContinuationEndHeaders, stream)
	return append(b, block...)
}

// staticNames are the places of field names in HPACK's static table (RFC 7541
// appendix A).
var staticNames = [128]byte{ //nolint:gochecknoglobals // read-only table
	message.Accept: 19, message.AcceptRanges: 18, message.AccessControlAllowOrigin: 20, message.Age: 21,
	message.Allow: 22, message.CacheControl: 24, message.ContentEncoding: 26, message.ContentLength: 28,
	message.ContentLocation: 29, message.ContentRange: 30, message.ContentType: 31, message.Date: 33,
	message.ETag: 34, message.Expires: 36, message.LastModified: 44, message.Location: 46,
	message.ProxyAuthenticate: 48, message.RetryAfter: 53, message.Server: 54, message.SetCookie: 55,
	message.TransferEncoding: 57, message.Vary: 59, message.Via: 60, message.WWWAuthenticate: 61,
}

// appendStatus encodes :status (RFC 9113 §8.3.2).
func appendStatus(b []byte, status int) []byte {
	switch status { // RFC 7541 appendix A, 8 to 14
	case 200:
		return append(b, 0x88)
	case 204:
		return append(b, 0x89)
	case 206:
		return append(b, 0x8A)
	case 304:
		return append(b, 0x8B)
	case 400:
		return append(b, 0x8C)
	case 404:
		return append(b, 0x8D)
	case 500:
		return append(b, 0x8E)
	}
	b = append(b, 0x08, 3)
	return strconv.AppendInt(b, int64(status), 10)
}

// appendField encodes a field as a literal without indexing, the name in lower
// case (RFC 7541 §6.2.2). No dynamic table: it would keep strings beyond the
// exchange that they belong to, and cost a search per field.
func appendField(b []byte, id message.ID, name, value string) []byte {
	if at := staticNames[id]; at != 0 {
		b = append(b, 0x0F, at-15)
	} else {
		b = appendPrefixed(append(b, 0), len(name))
		for i := range len(name) {
			c := name[i]
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			b = append(b, c)
		}
	}
	return append(appendPrefixed(b, len(value)), value...)
}

// appendPrefixed encodes a length with a prefix of 7 bits (RFC 7541 §5.1).
func appendPrefixed(b []byte, n int) []byte {
	if n < 127 {
		return append(b, byte(n))
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// appendResponse encodes the head of a response.
func appendResponse(b []byte, p *message.Response, date string) []byte {
	b = appendStatus(b, p.Status)
	dated := false
	fields := p.Header.Fields()
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case message.Connection, message.ProxyConnection, message.KeepAlive, message.TransferEncoding,
			message.Upgrade, message.HTTP2Settings, message.ContentLength: // RFC 9113 §8.2.2
			continue
		case message.Date:
			dated = true
		default:
		}
		b = appendField(b, f.ID, f.Name, f.Value)
	}
	if p.Status < 200 {
		return b
	}
	length := p.Length
	switch {
	case p.Status == 204, p.Status == 304 && length == 0, length == 0 && isGRPC(&p.Header):
		length = message.Unknown
	case p.Status == 205: // RFC 9110 §15.3.6
		length = 0
	}
	if length >= 0 {
		var digits [20]byte
		b = appendField(b, message.ContentLength, "", message.View(strconv.AppendInt(digits[:0], length, 10)))
	}
	if !dated {
		b = appendField(b, message.Date, "", date)
	}
	return b
}

// appendTrailer encodes a trailer section.
func appendTrailer(b []byte, t *message.Header) []byte {
	fields := t.Fields()
	for i := range fields {
		b = appendField(b, fields[i].ID, fields[i].Name, fields[i].Value)
	}
	return b
}
