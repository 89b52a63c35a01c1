package edge

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// h2Block is the header block that is being read.
type h2Block struct {
	stream        uint32
	ended         bool // END_STREAM: no body, or no more of it
	selfDependent bool // its priority names the stream itself (RFC 7540 §5.3.1)
	continued     int
	empty         int
	size          int // decoded
	fields        []hpack.HeaderField
	over          bool // larger than the limit: the fields are not whole
}

// headers begins a header block (RFC 9113 §6.2).
func (c *h2Conn) headers(f *http2.HeadersFrame) error {
	c.block = h2Block{
		stream: f.StreamID, ended: f.StreamEnded(), fields: c.block.fields[:0],
		selfDependent: f.HasPriority() && f.Priority.StreamDep == f.StreamID,
	}
	if f.StreamID%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// continuation goes on with it (RFC 9113 §6.10); the Framer has seen to it that
// no other frame stands between.
func (c *h2Conn) continuation(f *http2.ContinuationFrame) error {
	b := &c.block
	b.continued++
	p := f.HeaderBlockFragment()
	if len(p) == 0 {
		b.empty++
	}
	if b.continued > maxContinuations || b.empty > maxEmptyContinuations {
		return abuseContinued
	}
	return c.fragment(p, f.HeadersEnded())
}

func (c *h2Conn) fragment(p []byte, last bool) error {
	if _, err := c.dec.Write(p); err != nil {
		return c.decodeError(err)
	}
	if !last {
		if c.stage.Load() != stageBlock {
			c.enter(stageBlock)
		}
		return nil
	}
	if err := c.dec.Close(); err != nil {
		return c.decodeError(err)
	}
	c.enter(stageFrames)
	defer clear(c.block.fields)
	return c.blockDone()
}

// decodeError is a fault of the compression, which both ends share: it ends the
// connection (RFC 9113 §4.3).
func (*h2Conn) decodeError(err error) error {
	if errors.Is(err, hpack.ErrStringLength) || errors.Is(err, abuseHeaderBomb) {
		return abuseHeaderBomb
	}
	return http2.ConnectionError(http2.ErrCodeCompression)
}

// emit takes one decoded field.
func (c *h2Conn) emit(f hpack.HeaderField) {
	b := &c.block
	b.size += int(f.Size())
	limit := int(c.s.limits.HeaderBytes)
	if b.size > limit || len(b.fields) > c.s.limits.HeaderCount+numPseudo {
		b.over = true
		return
	}
	b.fields = append(b.fields, f)
}

// blockDone handles a whole header block: a request or a trailer section.
func (c *h2Conn) blockDone() error {
	b := &c.block
	if b.size > bombFactor*int(c.s.limits.HeaderBytes) {
		return abuseHeaderBomb
	}
	c.mu.Lock()
	st, draining := c.streams[b.stream], c.beyond(b.stream)
	c.mu.Unlock()
	switch {
	case st != nil:
		return c.trailers(st)
	case draining || c.isLate(b.stream):
		return nil
	case b.stream <= c.opened:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	return c.open()
}

// open begins a stream (RFC 9113 §5.1.1).
func (c *h2Conn) open() error {
	b := &c.block
	c.mu.Lock()
	c.opened = b.stream
	busy := c.live >= h2Streams
	c.mu.Unlock()
	switch {
	case b.selfDependent:
		return http2.StreamError{StreamID: b.stream, Code: http2.ErrCodeProtocol}
	case busy: // counts as a reset that the client made us send
		return http2.StreamError{StreamID: b.stream, Code: http2.ErrCodeRefusedStream}
	}
	r := c.newRequest()
	ref, err := c.fillRequest(r)
	if err == nil && b.ended && r.Length > 0 {
		err = errMalformed // RFC 9113 §8.1.1: content-length and no content
	}
	if err != nil {
		r.Release()
		return http2.StreamError{StreamID: b.stream, Code: http2.ErrCodeProtocol}
	}
	c.start(newH2Stream(c, b.stream, r, ref, b.ended))
	return nil
}

// start runs a stream's exchange.
func (c *h2Conn) start(st *h2Stream) {
	c.mu.Lock()
	st.window, st.counted = c.initial, true
	c.streams[st.id] = st
	c.live++
	c.mu.Unlock()
	if c.used++; c.used >= c.s.limits.RequestsPerConnection {
		c.retire()
	}
	c.running.Go(st.run)
}

func (c *h2Conn) newRequest() *message.Request {
	r := message.NewRequest()
	x := &r.X
	x.Began = time.Now()
	x.Shard = c.shard
	x.Peer, x.Client = c.info.peer, c.info.peer.Addr()
	x.Listener, x.Port, x.TLS = c.info.listener, c.info.port, c.info.tls
	r.Scheme, r.Proto = c.info.scheme, message.HTTP2
	return r
}

// errMalformed is a request that RFC 9113 §8.1.1 calls malformed: its stream is
// reset. What is well-formed and breaks a rule of ours gets an answer instead.
var errMalformed = errors.New("malformed request")

// fillRequest makes the request of the block's fields.
func (c *h2Conn) fillRequest(r *message.Request) (*http1.Refusal, error) {
	b := &c.block
	if b.over {
		r.Path = "/"
		return &http1.Refusal{Status: 431, Reason: http1.ReasonHeadTooLarge}, nil
	}
	var pseudo pseudoFields
	regular := 0
	for i := range b.fields {
		f := &b.fields[i]
		if strings.HasPrefix(f.Name, ":") {
			if regular > 0 || !pseudo.take(f) {
				return nil, errMalformed
			}
			continue
		}
		regular++
		if hasUpper(f.Name) { // RFC 9113 §8.2.1
			return nil, errMalformed
		}
		r.Header.Append(message.Field{Name: f.Name, Value: f.Value, ID: message.NameID(f.Name)})
	}
	if !pseudo.complete() {
		return nil, errMalformed
	}
	joinCookies(r)
	r.Method, r.Authority = pseudo.method, pseudo.authority
	if !b.ended {
		r.Length = message.Unknown
	}
	return judge(r, &pseudo, &c.s.limits)
}

// judge applies the rules that hold for every protocol version.
func judge(r *message.Request, pseudo *pseudoFields, limits *http1.Limits) (*http1.Refusal, error) {
	if s := pseudo.scheme; s != "http" && s != "https" && r.Method != "CONNECT" {
		return &http1.Refusal{Status: 400, Reason: http1.ReasonTargetForm}, nil
	}
	_, err := http1.CheckRequest(r, pseudo.path, limits.Connect)
	if err == nil {
		err = http1.CheckLimits(r, limits)
	}
	var ref *http1.Refusal
	if err == nil || !errors.As(err, &ref) {
		return nil, err
	}
	switch ref.Reason { // RFC 9113 §8.2.1, §8.2.2
	case http1.ReasonFieldName, http1.ReasonFieldValue, http1.ReasonConnectionSpecific:
		return nil, errMalformed
	}
	return ref, nil
}

const numPseudo = 4

// pseudoFields are those of a request (RFC 9113 §8.3.1).
type pseudoFields struct {
	method, scheme, authority, path string
	seen                            [numPseudo]bool
}

// take takes a pseudo-field; false means that it is unknown or came twice.
func (p *pseudoFields) take(f *hpack.HeaderField) bool {
	var at int
	var to *string
	switch f.Name {
	case ":method":
		at, to = 0, &p.method
	case ":scheme":
		at, to = 1, &p.scheme
	case ":authority":
		at, to = 2, &p.authority
	case ":path":
		at, to = 3, &p.path
	default:
		return false
	}
	if p.seen[at] {
		return false
	}
	p.seen[at] = true
	*to = f.Value
	return true
}

// complete tells whether all are there that must be (RFC 9113 §8.3.1, §8.5).
func (p *pseudoFields) complete() bool {
	if p.method == "CONNECT" {
		return p.authority != "" && !p.seen[1] && !p.seen[3]
	}
	return p.method != "" && p.scheme != "" && p.path != ""
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// joinCookies makes one Cookie field of the crumbs (RFC 9113 §8.2.3).
func joinCookies(r *message.Request) {
	h := &r.Header
	crumbs, size := 0, 0
	for _, f := range h.Fields() {
		if f.ID == message.Cookie {
			crumbs++
			size += len(f.Value) + len("; ")
		}
	}
	if crumbs < 2 {
		return
	}
	joined := r.X.Scratch(size)
	for _, f := range h.Fields() {
		if f.ID != message.Cookie {
			continue
		}
		if len(joined) > 0 {
			joined = append(joined, "; "...)
		}
		joined = append(joined, f.Value...)
	}
	h.SetID(message.Cookie, message.View(joined))
	for i, f := range h.Fields() {
		if f.ID == message.Cookie {
			h.Fields()[i].Name = "cookie"
		}
	}
}

// trailers ends a request's body with a trailer section (RFC 9113 §8.1).
func (c *h2Conn) trailers(st *h2Stream) error {
	b := &c.block
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case st.byClient:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	case st.gone:
		return nil
	case st.ended:
		return http2.StreamError{StreamID: b.stream, Code: http2.ErrCodeStreamClosed}
	case !b.ended:
		return http2.StreamError{StreamID: b.stream, Code: http2.ErrCodeProtocol}
	}
	l := &c.s.limits
	if b.over || len(b.fields) > l.TrailerCount || b.size > int(l.TrailerBytes) {
		st.fault = &http1.Refusal{Status: 400, Reason: http1.ReasonTrailerTooLarge}
		st.cond.Broadcast()
		return nil
	}
	for i := range b.fields {
		f := &b.fields[i]
		if strings.HasPrefix(f.Name, ":") || hasUpper(f.Name) {
			return http2.StreamError{StreamID: b.stream, Code: http2.ErrCodeProtocol}
		}
		keep, err := http1.CheckTrailer(f.Name, f.Value)
		if err != nil {
			st.fault = err
			st.cond.Broadcast()
			return nil
		}
		if keep {
			st.trailer = append(st.trailer, message.Field{Name: f.Name, Value: f.Value, ID: message.NameID(f.Name)})
		}
	}
	return st.finish()
}
