package http1

import (
	"bytes"
	"time"

	"github.com/maru-msa/maru/message"
)

// responseHead is what the engine must know of a parsed head besides the response.
type responseHead struct {
	size             int
	framing          framing
	close            bool          // the connection must not be used again
	keepAliveTimeout time.Duration // Keep-Alive: timeout=N, 0 without
	upgrade          string        // the protocol of a valid 101
	lookalikes       int           // field lines dropped because they imitate framing
}

// responseState collects what is judged at the end of the head.
type responseState struct {
	length   lengthState
	conn     connOptions
	upgrades int
	trailer  bool
	alive    string // the value of Keep-Alive
}

// parseResponse parses one complete head from buf, the answer to a request with
// the given method, into p: Status, Reason, Proto, Header, Length. Strings are
// views into buf. ok is false, without an error, while bytes are missing.
// Every refusal has status 502.
func parseResponse(buf []byte, p *message.Response, method string, lim *ResponseLimits) (h responseHead, ok bool, err error) {
	p.Header.Reset()
	limit := int(lim.Head)
	pos, ref := parseStatusLine(buf, p, limit)
	if ref != nil {
		return h, false, ref
	}
	if pos == 0 {
		return h, false, nil
	}
	var st responseState
	pos, ref = parseResponseFields(buf, pos, p, &st, &h, lim)
	if ref != nil {
		return h, false, ref.on(true)
	}
	if pos == 0 {
		return h, false, nil
	}
	h.size = pos
	if ref = finishResponse(p, &st, &h, method); ref != nil {
		return h, false, ref.on(true)
	}
	return h, true, nil
}

// parseStatusLine parses the status line (RFC 9112 §4) and gives the place behind
// it, 0 while bytes are missing.
func parseStatusLine(buf []byte, p *message.Response, limit int) (int, *Refusal) {
	const prefix = "HTTP/1."
	if n := min(len(buf), len(prefix)); string(buf[:n]) != prefix[:n] {
		return 0, refuseStatusLine
	}
	n := bytes.IndexByte(buf[:min(len(buf), limit)], '\n')
	if n < 0 {
		if len(buf) >= limit {
			return 0, refuseResponseHeadTooLarge
		}
		return 0, nil
	}
	line := buf[:n]
	const least = len("HTTP/1.1 200\r")
	if len(line) < least || line[n-1] != '\r' || line[8] != ' ' {
		return 0, refuseStatusLine
	}
	line = line[:n-1]
	switch line[7] {
	case '1':
		p.Proto = message.HTTP11
	case '0':
		p.Proto = message.HTTP10
	default:
		return 0, refuseStatusLine
	}
	a, b, c := line[9], line[10], line[11]
	if a < '1' || a > '5' || !digit(b) || !digit(c) || len(line) > 12 && line[12] != ' ' {
		return 0, refuseStatusLine
	}
	if valueEnd(line, 12) != len(line) {
		return 0, refuseStatusLine
	}
	p.Status = int(a-'0')*100 + int(b-'0')*10 + int(c-'0')
	p.Reason = ""
	if len(line) > 13 {
		p.Reason = message.View(line[13:])
	}
	return n + 1, nil
}

// parseResponseFields reads the header section from pos and gives the place
// behind it, 0 while bytes are missing.
func parseResponseFields(buf []byte, pos int, p *message.Response, st *responseState, h *responseHead, lim *ResponseLimits) (int, *Refusal) {
	start, count := pos, 0
	for {
		f, end, ref := headLine(buf, pos, start, int(lim.Head), refuseResponseHeadTooLarge)
		if ref != nil || end || f.next == 0 {
			return f.next, ref
		}
		if count++; count > lim.Fields {
			return 0, refuseResponseHeadTooLarge
		}
		field := message.Field{Name: message.View(buf[pos:f.name]), Value: message.View(buf[f.value:f.valueEnd])}
		field.ID = message.NameID(field.Name)
		pos = f.next
		keep := true
		switch {
		case field.ID != message.Other:
			if judgedInResponse.has(field.ID) {
				keep, ref = st.take(&field, p)
			}
		case f.odd:
			keep = h.takeOdd(field.Name)
		}
		if ref != nil {
			return 0, ref
		}
		if keep {
			p.Header.Append(field)
		}
	}
}

// takeOdd drops a name that other software may read as a framing one.
func (h *responseHead) takeOdd(name string) (keep bool) {
	if id, like := message.Lookalike(name); !like || !framingNames.has(id) {
		return true
	}
	h.lookalikes++
	return false
}

// judgedInResponse are the fields that parsing itself must look at.
var judgedInResponse = setOf(message.ContentLength, message.TransferEncoding, message.Connection, message.Upgrade, //nolint:gochecknoglobals // read-only table
	message.KeepAlive, message.Trailer, message.Expect, message.Authorization, message.ContentType, message.MaxForwards)

// take looks at one of judgedInResponse and tells whether the line stays.
func (st *responseState) take(f *message.Field, p *message.Response) (keep bool, ref *Refusal) {
	switch f.ID {
	case message.ContentLength:
		st.length.addCL(f.Value)
		return false, nil
	case message.TransferEncoding:
		st.length.addTE(f.Value)
		return false, nil
	case message.Connection:
		st.conn.add(f.Value)
	case message.Upgrade:
		st.upgrades++
	case message.KeepAlive:
		st.alive = f.Value
	case message.Trailer:
		st.trailer = true
	default:
		if p.Header.Has(f.ID) {
			return false, refuseDuplicateSingleton
		}
	}
	return true, nil
}

// finishResponse finds how the body ends (RFC 9112 §6.3) and whether the
// connection lives on (§9.3).
func finishResponse(p *message.Response, st *responseState, h *responseHead, method string) *Refusal {
	h.close = st.conn.close || p.Proto == message.HTTP10 && !st.conn.keepAlive
	h.keepAliveTimeout = aliveTimeout(st.alive)
	if st.trailer {
		if ref := judgeAnnounced(&p.Header); ref != nil {
			return ref
		}
	}
	l := &st.length
	switch {
	case p.Status < 200 || p.Status == 204:
		// RFC 9110 §8.6, RFC 9112 §6.1: neither field may stand here. A service
		// that sent one may send the body too.
		p.Length = 0
		if l.tes > 0 || l.cls > 0 && !l.zero() {
			h.close = true
		}
		if p.Status == 101 && st.conn.upgrade && st.upgrades == 1 {
			h.upgrade = p.Header.Value(message.Upgrade)
		}
		return nil
	case method == "HEAD" || p.Status == 304:
		return l.judgeBodyless(p, h)
	}
	length, chunked, ref := l.judge(p.Proto)
	switch {
	case ref != nil:
		return ref
	case p.Status == 205: // RFC 9110 §15.3.6: it never has content
		p.Length = 0
		h.close = h.close || l.cls == 0 || length != 0
	case chunked:
		p.Length, h.framing = message.Unknown, framingChunked
	case l.cls > 0:
		p.Length, h.framing = length, framingLength
	default:
		p.Length, h.framing, h.close = message.Unknown, framingClose, true
	}
	return nil
}

// judgeBodyless keeps what Content-Length says of the answer to HEAD and of a
// 304; Transfer-Encoding says nothing there (RFC 9112 §6.3).
func (l *lengthState) judgeBodyless(p *message.Response, h *responseHead) *Refusal {
	p.Length = message.Unknown
	if l.tes > 0 && l.cls > 0 {
		h.close = true // no body to disagree about, but no service to trust either
	}
	if l.cls > 0 {
		n, ref := l.parseCL()
		if ref != nil {
			return ref
		}
		p.Length = n
	}
	if p.Status == 205 {
		p.Length = 0
	}
	return nil
}

// zero tells that Content-Length is valid and 0.
func (l *lengthState) zero() bool {
	n, ref := l.parseCL()
	return ref == nil && n == 0
}

// aliveTimeout reads timeout=N, in seconds, from a Keep-Alive value
// (RFC 2068 §19.7.1.1); anything else is ignored.
func aliveTimeout(v string) time.Duration {
	const name = "timeout="
	const most = 24 * 60 * 60
	for v != "" {
		var m string
		m, v = message.NextMember(v)
		if len(m) <= len(name) || !foldEqual(m[:len(name)], name) {
			continue
		}
		n, ref := parseLength(m[len(name):])
		if ref != nil {
			return 0
		}
		return time.Duration(min(n, most)) * time.Second
	}
	return 0
}
