package edge

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/maru-msa/maru/message"
)

// startTrace continues the caller's trace (W3C Trace Context §3.2, or B3) or
// starts one. Every exchange has a trace id: problems and log lines show it.
func startTrace(r *message.Request) {
	t := &r.X.Trace
	if v := r.Header.Value(message.Traceparent); v != "" && single(&r.Header, message.Traceparent) && parseTraceparent(v, t) {
		newSpan(t)
		return
	}
	// The state belongs to the trace that could not be read (§3.3).
	r.Header.DelID(message.Tracestate)
	if parseB3(&r.Header, t) {
		t.B3 = true
		newSpan(t)
		return
	}
	*t = message.Trace{Flags: 1}
	if v := r.Header.Value(message.B3); v == "0" || v == "" && r.Header.Value(message.XB3Sampled) == "0" {
		t.Flags = 0 // the caller decided only that
	}
	for t.ID == [16]byte{} {
		binary.LittleEndian.PutUint64(t.ID[:8], rand.Uint64()) //nolint:gosec // an id, not a secret
		binary.LittleEndian.PutUint64(t.ID[8:], rand.Uint64()) //nolint:gosec // an id, not a secret
	}
	newSpan(t)
}

// single tells whether a field stands on one line only (§3.2: more than one
// traceparent is none).
func single(h *message.Header, id message.ID) bool {
	n := 0
	for i := range h.Fields() {
		if h.Fields()[i].ID == id {
			n++
		}
	}
	return n == 1
}

func newSpan(t *message.Trace) {
	for t.Span == [8]byte{} {
		binary.LittleEndian.PutUint64(t.Span[:], rand.Uint64()) //nolint:gosec // an id, not a secret
	}
}

// parseTraceparent reads version-traceid-parentid-flags; a later version may
// have more behind the flags (§3.2.2.1 and §4.3).
func parseTraceparent(v string, t *message.Trace) bool {
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	var version [1]byte
	if !unhex(version[:], v[:2]) || version[0] == 0xFF || version[0] == 0 && len(v) != 55 || len(v) > 55 && v[55] != '-' {
		return false
	}
	var flags [1]byte
	if !unhex(t.ID[:], v[3:35]) || !unhex(t.Parent[:], v[36:52]) || !unhex(flags[:], v[53:55]) ||
		t.ID == [16]byte{} || t.Parent == [8]byte{} {
		*t = message.Trace{}
		return false
	}
	t.Flags = flags[0] & 1
	return true
}

// parseB3 reads the single b3 field or the X-B3-* fields.
func parseB3(h *message.Header, t *message.Trace) bool {
	id, parent, sampled := h.Value(message.XB3TraceID), h.Value(message.XB3SpanID), h.Value(message.XB3Sampled)
	if v := h.Value(message.B3); len(v) >= 33 {
		id, parent, sampled = splitB3(v)
	}
	if id == "" || !unhex(t.Parent[:], parent) {
		return false
	}
	ok := false
	switch len(id) {
	case 32:
		ok = unhex(t.ID[:], id)
	case 16:
		ok = unhex(t.ID[8:], id)
	}
	if !ok || t.ID == [16]byte{} {
		*t = message.Trace{}
		return false
	}
	if sampled == "1" || sampled == "d" || sampled == "true" || h.Value(message.XB3Flags) == "1" {
		t.Flags = 1
	}
	return true
}

// splitB3 cuts {traceid}-{spanid}[-{sampled}[-{parent}]].
func splitB3(v string) (id, span, sampled string) {
	n := 32
	if len(v) > 16 && v[16] == '-' {
		n = 16
	}
	if len(v) < n+17 || v[n] != '-' {
		return "", "", ""
	}
	id, span = v[:n], v[n+1:n+17]
	if len(v) > n+18 && v[n+17] == '-' {
		sampled = v[n+18 : n+19]
	}
	return id, span, sampled
}

// unhex reads lower-case hex digits into dst.
func unhex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	for i := range dst {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		dst[i] = hi<<4 | lo
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// writeTrace passes the trace on, with our span as the parent.
func writeTrace(r *message.Request) {
	t := &r.X.Trace
	if t.ID == [16]byte{} {
		return
	}
	b := r.X.Scratch(55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.ID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.Span[:])
	b = append(b, '-', '0', '0'+t.Flags&1)
	r.Header.SetID(message.Traceparent, message.View(b))
	if !t.B3 {
		return
	}
	h := &r.Header
	if h.Has(message.B3) {
		c := r.X.Scratch(51)
		c = append(hex.AppendEncode(c, t.ID[:]), '-')
		c = append(hex.AppendEncode(c, t.Span[:]), '-', '0'+t.Flags&1)
		h.SetID(message.B3, message.View(c))
		return
	}
	h.SetID(message.XB3TraceID, message.View(hex.AppendEncode(r.X.Scratch(32), t.ID[:])))
	h.SetID(message.XB3SpanID, message.View(hex.AppendEncode(r.X.Scratch(16), t.Span[:])))
	h.SetID(message.XB3ParentSpanID, message.View(hex.AppendEncode(r.X.Scratch(16), t.Parent[:])))
}
