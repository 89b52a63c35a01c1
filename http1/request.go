package http1

import (
	"bytes"

	"github.com/maru-msa/maru/message"
)

// framing is how the end of a message is found.
type framing uint8

const (
	framingNone framing = iota // no body
	framingLength
	framingChunked
	framingClose // the body ends with the connection
)

// requestHead is what the engine must know of a parsed head besides the message.
type requestHead struct {
	size        int  // bytes consumed, an empty line before the head included
	chunked     bool // the body is chunked
	close       bool // the client asked to close, or spoke 1.0 without keep-alive
	keepAlive10 bool // a 1.0 client asked to keep the connection
	preface     bool // the HTTP/2 preface began; nothing is consumed
	starForm    bool // OPTIONS *
	lookalikes  int  // field lines dropped because they imitate managed names
}

// connOptions are the Connection options that frame an exchange.
type connOptions struct{ close, keepAlive, upgrade bool }

// requestState collects what is judged at the end of the head.
type requestState struct {
	length    lengthState
	hosts     int
	host      string
	upgrades  int
	conn      connOptions
	authority string // of an absolute-form target
	absolute  bool
	connect   bool
	trailer   bool
}

// parseRequest parses one complete head from buf into r; r.Scheme holds the
// transport's. Strings of r are views into buf. ok is false, without an error,
// while bytes are missing. It refuses as soon as a complete line is bad, so that
// a head that comes byte by byte gets the verdict of the whole.
func parseRequest(buf []byte, r *message.Request, lim *Limits) (h requestHead, ok bool, err error) {
	r.Header.Reset()
	pos := 0
	if len(buf) >= 2 && buf[0] == '\r' && buf[1] == '\n' {
		pos = 2 // RFC 9112 §2.2: one empty line before the request line is ignored
	}
	var st requestState
	next, ref := parseRequestLine(buf, pos, r, &st, lim)
	if ref != nil {
		if ref == refuseOtherVersion && pos == 0 && bytes.HasPrefix(buf, prefaceLine) {
			h.preface = true
			return h, true, nil
		}
		return h, false, ref
	}
	if next == 0 {
		return h, false, nil
	}
	next, ref = parseRequestFields(buf, next, r, &st, &h, lim)
	if ref != nil {
		return h, false, ref
	}
	if next == 0 {
		return h, false, nil
	}
	h.size = next
	if ref = finishRequest(r, &st, &h, lim); ref != nil {
		return h, false, ref
	}
	return h, true, nil
}

// parseRequestFields reads the header section from pos and gives the place
// behind it, 0 while bytes are missing.
func parseRequestFields(buf []byte, pos int, r *message.Request, st *requestState, h *requestHead, lim *Limits) (int, *Refusal) {
	start, count := pos, 0
	for {
		f, end, ref := headLine(buf, pos, start, int(lim.HeaderBytes), refuseHeadTooLarge)
		if ref != nil || end || f.next == 0 {
			return f.next, ref
		}
		if f.name-pos > lim.HeaderName {
			return 0, refuseNameTooLong
		}
		if count++; count > lim.HeaderCount {
			return 0, refuseTooManyFields
		}
		field := message.Field{Name: message.View(buf[pos:f.name]), Value: message.View(buf[f.value:f.valueEnd])}
		field.ID = message.NameID(field.Name)
		pos = f.next
		keep := true
		switch {
		case field.ID != message.Other:
			if judgedNames.has(field.ID) {
				keep, ref = st.take(&field, r)
			}
		case f.odd:
			keep, ref = h.takeOdd(field.Name)
		}
		if ref != nil {
			return 0, ref
		}
		if keep {
			r.Header.Append(field)
		}
	}
}

// takeOdd judges a name that other software may read as another one: CGI, WSGI,
// PHP and others fold '_' and more to '-'. What would be read as framing is
// refused, what would be read as a managed name is dropped.
func (h *requestHead) takeOdd(name string) (keep bool, ref *Refusal) {
	if !isLookalike(name) && !message.Reserved(name) {
		return true, nil
	}
	if id, _ := message.Lookalike(name); framingNames.has(id) {
		return false, refuseFramingLookalike
	}
	h.lookalikes++
	return false, nil
}

// isLookalike tells whether a name folds onto a framing or managed one.
func isLookalike(name string) bool {
	id, ok := message.Lookalike(name)
	return ok && (framingNames.has(id) || managedNames.has(id))
}

// judgedNames are the fields that parsing itself must look at.
var judgedNames = setOf(message.ContentLength, message.TransferEncoding, message.Host, message.Connection, //nolint:gochecknoglobals // read-only table
	message.Upgrade, message.Expect, message.Authorization, message.ContentType, message.MaxForwards, message.Trailer)

// take looks at one of judgedNames and tells whether the line stays in the header.
func (st *requestState) take(f *message.Field, r *message.Request) (keep bool, ref *Refusal) {
	switch f.ID {
	case message.ContentLength:
		st.length.addCL(f.Value)
		return false, nil
	case message.TransferEncoding:
		st.length.addTE(f.Value)
		return false, nil
	case message.Host:
		st.hosts++
		st.host = f.Value
		return false, nil
	case message.Connection:
		st.conn.add(f.Value)
	case message.Upgrade:
		st.upgrades++
	case message.Trailer:
		st.trailer = true
	default:
		if r.Header.Has(f.ID) {
			return false, refuseDuplicateSingleton
		}
	}
	return true, nil
}

// add reads one Connection line (RFC 9110 §7.6.1).
func (o *connOptions) add(list string) {
	for list != "" {
		var m string
		m, list = message.NextMember(list)
		switch len(m) {
		case len("close"):
			o.close = o.close || foldEqual(m, "close")
		case len("upgrade"):
			o.upgrade = o.upgrade || foldEqual(m, "upgrade")
		case len("keep-alive"):
			o.keepAlive = o.keepAlive || foldEqual(m, "keep-alive")
		}
	}
}

// foldEqual compares s with a lower-case word without regard to ASCII case.
func foldEqual(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// finishRequest judges the head as a whole.
func finishRequest(r *message.Request, st *requestState, h *requestHead, lim *Limits) *Refusal {
	if ref := st.judgeHost(r); ref != nil {
		return ref
	}
	length, chunked, ref := st.length.judge(r.Proto)
	if ref != nil {
		return ref
	}
	if st.connect && (chunked || st.length.cls > 0) {
		return refuseMethodNotAllowed
	}
	if limit := lim.body(); limit > 0 && length > limit {
		return refuseBodyTooLarge
	}
	r.Length, h.chunked = length, chunked
	h.starForm = r.Path == "*"
	h.close = st.conn.close
	if r.Proto == message.HTTP10 && !h.close { // RFC 9112 §9.3
		h.close, h.keepAlive10 = !st.conn.keepAlive, st.conn.keepAlive
	}
	if st.trailer {
		if ref := judgeAnnounced(&r.Header); ref != nil {
			return ref
		}
	}
	if r.Expect, ref = judgeExpect(r); ref != nil {
		return ref
	}
	r.Upgrade = ""
	if st.conn.upgrade && st.upgrades == 1 && r.Proto == message.HTTP11 && r.Length == 0 {
		r.Upgrade = validUpgrade(r.Header.Value(message.Upgrade))
	}
	return nil
}

// judgeExpect tells whether the client waits for 100 (RFC 9110 §10.1.1): only
// 1.1 knows it, and only with a body.
func judgeExpect(r *message.Request) (bool, *Refusal) {
	if !r.Header.Has(message.Expect) {
		return false, nil
	}
	if !foldEqual(r.Header.Value(message.Expect), "100-continue") {
		return false, refuseExpectation
	}
	return r.Proto != message.HTTP10 && r.Length != 0, nil
}

// validUpgrade gives the value back when it is one protocol, name with an
// optional version (RFC 9110 §7.8), and not h2c: an upgrade to HTTP/2 would take
// every later request past the rules.
func validUpgrade(v string) string {
	name, version := v, ""
	for i := range len(v) {
		if v[i] == '/' {
			name, version = v[:i], v[i+1:]
			if !message.ValidToken(version) {
				return ""
			}
			break
		}
	}
	if !message.ValidToken(name) || foldEqual(name, "h2c") || foldEqual(name, "h2") || foldEqual(name, "http") {
		return ""
	}
	return v
}

// judgeAnnounced refuses a Trailer field that announces what must not be a
// trailer (RFC 9110 §6.5.1): framing, routing, and what Connection nominated.
func judgeAnnounced(h *message.Header) *Refusal {
	var noms nominations
	_ = noms.collect(h) // refused before
	for _, f := range h.Fields() {
		if f.ID != message.Trailer {
			continue
		}
		for rest := f.Value; rest != ""; {
			var m string
			m, rest = message.NextMember(rest)
			if m != "" && (forbiddenTrailers.has(message.NameID(m)) || noms.has(m)) {
				return refuseTrailerFraming
			}
		}
	}
	return nil
}
