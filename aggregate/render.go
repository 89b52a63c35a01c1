package aggregate

import (
	"strconv"

	"github.com/maru-msa/maru/message"
)

// writer renders the templates of one call into its request.
type writer struct {
	x    *run
	s    *fetchState
	c    *callState
	sub  *message.Request
	buf  []byte
	room []byte
	fail failure
}

// request renders path, query, header fields and body.
func (w *writer) request() failure {
	call := w.s.f.call
	w.buf = w.c.room[:0]
	defer func() { w.c.room = w.buf[:0] }()
	for _, p := range call.path {
		if p.v == nil {
			w.buf = append(w.buf, p.lit...)
			continue
		}
		w.segment(p.v)
	}
	path := w.sub.X.String(w.buf)
	w.sub.Path, w.sub.RawPath = path, path
	w.buf = w.buf[:0]
	for _, q := range call.query {
		w.pair(q)
	}
	if len(call.query) > 0 && len(w.buf) > 0 {
		w.sub.Query, w.sub.HasQuery = w.sub.X.String(w.buf), true
	}
	for _, h := range call.headers {
		w.buf = w.buf[:0]
		for _, p := range h.value {
			if p.v == nil {
				w.buf = append(w.buf, p.lit...)
			} else {
				w.buf = append(w.buf, w.text(p.v)...)
			}
		}
		if w.sub.Header.Add(h.name, w.sub.X.String(w.buf)) != nil {
			w.fail = failure{code: codeInvalidKey}
		}
	}
	if call.body != nil {
		body := w.body(nil, call.body)
		w.sub.Body, w.sub.Length = message.Bytes(body), int64(len(body))
		w.sub.Header.SetID(message.ContentType, "application/json")
	}
	return w.fail
}

// span is the JSON of a single value.
func (w *writer) span(v *variable) []byte {
	switch s := w.s.f.slots[v]; s.kind {
	case slotKey:
		return w.s.keys.key(w.c.from)[s.part]
	case slotArg:
		return w.x.value(s.arg)
	case slotRef:
		return w.x.referred(s.ref)
	case slotKeys, slotNone:
	}
	return nil
}

// text is the text of a single value; null has none and fails the call.
func (w *writer) text(v *variable) []byte {
	span := w.span(v)
	if isNull(span) || !scalar(span) {
		w.fail = failure{code: codeInvalidKey}
		return nil
	}
	return textOf(&w.room, span)
}

// segment writes a variable in the path. What would change which resource it is
// (an empty segment, dots, a slash) is refused.
func (w *writer) segment(v *variable) {
	if w.s.f.slots[v].kind == slotKeys || w.listed(v) {
		w.list(v)
		return
	}
	t := w.text(v)
	whole := len(w.buf) > 0 && w.buf[len(w.buf)-1] == '/'
	if len(t) == 0 || whole && (string(t) == "." || string(t) == "..") {
		w.fail = failure{code: codeInvalidKey}
	}
	for _, c := range t {
		if c == '/' || c == '\\' {
			w.fail = failure{code: codeInvalidKey}
		}
	}
	w.buf = escape(w.buf, t)
}

// pair writes name=value; one whose variable has no value is left out if it may.
func (w *writer) pair(q pair) {
	if len(q.value) == 1 && q.value[0].v != nil {
		v := q.value[0].v
		s := w.s.f.slots[v]
		if s.kind == slotNone || v.optional && isNull(w.span(v)) {
			return
		}
		if v.join == '*' {
			w.each(v, func(key []byte) {
				w.and(q.name)
				w.buf = escape(w.buf, textOf(&w.room, key))
			})
			return
		}
	}
	w.and(q.name)
	for _, p := range q.value {
		switch {
		case p.v == nil:
			w.buf = append(w.buf, p.lit...)
		case w.s.f.slots[p.v].kind == slotKeys || w.listed(p.v):
			w.list(p.v)
		default:
			w.buf = escape(w.buf, w.text(p.v))
		}
	}
}

func (w *writer) and(name string) {
	if len(w.buf) > 0 {
		w.buf = append(w.buf, '&')
	}
	w.buf = append(append(w.buf, name...), '=')
}

// listed tells whether a variable is a list from another answer.
func (w *writer) listed(v *variable) bool { return w.s.f.slots[v].kind == slotRef && v.join != 0 }

// each calls f with every value of a list.
func (w *writer) each(v *variable, f func([]byte)) {
	if slot := w.s.f.slots[v]; slot.kind == slotRef {
		w.x.referredList(slot.ref, f)
		return
	}
	for i := w.c.from; i < w.c.to; i++ {
		f(w.s.keys.key(i)[0])
	}
}

// list writes all values of a list, joined; one of none fails the call.
func (w *writer) list(v *variable) {
	n := 0
	w.each(v, func(key []byte) {
		if n++; n > 1 {
			if v.join == '|' {
				w.buf = append(w.buf, "%7C"...)
			} else {
				w.buf = append(w.buf, ',')
			}
		}
		w.buf = escape(w.buf, textOf(&w.room, key))
	})
	if n == 0 {
		w.fail = failure{code: codeInvalidKey}
	}
}

// escape appends t percent-encoded but for unreserved characters (RFC 3986 §2.3).
func escape(b, t []byte) []byte {
	const upper = "0123456789ABCDEF"
	for _, c := range t {
		if nameByte(c) || c == '-' || c == '.' || c == '~' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upper[c>>4], upper[c&15])
	}
	return b
}

func (w *writer) body(b []byte, t *bodyTemplate) []byte {
	switch {
	case t.entity != "":
		return w.entities(b, t)
	case t.bare:
		return appendBare(b, w.bodyValue(nil, t.whole))
	case t.whole != nil:
		return w.bodyValue(b, t.whole)
	case t.text != nil:
		var s []byte
		for _, p := range t.text {
			if p.v == nil {
				s = append(s, p.lit...)
			} else {
				s = append(s, w.text(p.v)...)
			}
		}
		return appendQuoted(b, string(s))
	case t.list:
		b = append(b, '[')
		for i, v := range t.values {
			if i > 0 {
				b = append(b, ',')
			}
			b = w.body(b, v)
		}
		return append(b, ']')
	case t.object:
		b = append(b, '{')
		for i, v := range t.values {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, t.names[i]), ':')
			b = w.body(b, v)
		}
		return append(b, '}')
	}
	return append(b, t.lit...)
}

// entities writes all keys as representations (Apollo Federation).
func (w *writer) entities(b []byte, t *bodyTemplate) []byte {
	b = append(b, '[')
	for i := w.c.from; i < w.c.to; i++ {
		if i > w.c.from {
			b = append(b, ',')
		}
		b = appendQuoted(append(b, `{"__typename":`...), t.entity)
		for k, part := range w.s.keys.key(i) {
			b = append(appendQuoted(append(b, ','), t.names[k]), ':')
			b = append(b, part...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendBare appends a value without its quotes when it is a number or a boolean
// that came as text.
func appendBare(b, span []byte) []byte {
	if n := len(span); n > 2 && span[0] == '"' {
		if text := string(span[1 : n-1]); jsonNumber(text) || text == "true" || text == "false" {
			return append(b, text...)
		}
	}
	return append(b, span...)
}

// bodyValue writes a variable as the JSON that it is: {keys} as a list, of
// objects when a key has several fields.
func (w *writer) bodyValue(b []byte, v *variable) []byte {
	if w.listed(v) {
		b = append(b, '[')
		n := 0
		w.each(v, func(key []byte) {
			if n++; n > 1 {
				b = append(b, ',')
			}
			b = append(b, key...)
		})
		return append(b, ']')
	}
	if w.s.f.slots[v].kind != slotKeys {
		span := w.span(v)
		if span == nil {
			return append(b, "null"...)
		}
		return append(b, span...)
	}
	b = append(b, '[')
	for i := w.c.from; i < w.c.to; i++ {
		if i > w.c.from {
			b = append(b, ',')
		}
		key := w.s.keys.key(i)
		if len(key) == 1 {
			b = append(b, key[0]...)
			continue
		}
		b = append(b, '{')
		for k, part := range key {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, w.s.f.keyNames[k]), ':')
			b = append(b, part...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// intOf reads a whole number; false for anything else.
func intOf(span []byte) (int, bool) {
	n, err := strconv.Atoi(string(span))
	return n, err == nil
}
