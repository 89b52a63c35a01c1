package aggregate

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// This file keeps the last good value of parts whose policy is stale, as they were
// written. A value is known by its plan and part, the key that it was fetched by,
// all inputs, every field of the request that is forwarded, and who asks: nobody
// gets what another one was shown.

// Bounds of what a graph keeps.
const (
	maxStale      = 10_000
	maxStaleBytes = 64 << 20
	maxStaleOne   = 1 << 20 // of one value
)

// staleKey is a digest of everything that a value may depend on.
type staleKey [sha256.Size]byte

// staleParts are the values, the ones that were written longest ago at the back.
type staleParts struct {
	mu    sync.Mutex
	byKey map[staleKey]*list.Element
	ages  list.List // of *staleValue
	bytes int
}

type staleValue struct {
	key  staleKey
	text []byte
	at   time.Time
}

// keep remembers a value; text is not copied.
func (s *staleParts) keep(key staleKey, text []byte, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = make(map[staleKey]*list.Element)
	}
	if old := s.byKey[key]; old != nil {
		s.drop(old)
	}
	s.byKey[key] = s.ages.PushFront(&staleValue{key, text, now})
	s.bytes += len(text)
	for len(s.byKey) > maxStale || s.bytes > maxStaleBytes {
		s.drop(s.ages.Back())
	}
}

func (s *staleParts) drop(e *list.Element) {
	v, _ := s.ages.Remove(e).(*staleValue)
	delete(s.byKey, v.key)
	s.bytes -= len(v.text)
}

// find gives a value and its age when it is not older than most. The text must not
// be changed.
func (s *staleParts) find(key staleKey, now time.Time, most time.Duration) (text []byte, age time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[key]
	if e == nil {
		return nil, 0, false
	}
	v, _ := e.Value.(*staleValue)
	if age = now.Sub(v.at); age > most {
		s.drop(e)
		return nil, 0, false
	}
	return v.text, age, true
}

// staleKey is that of a part at an element above it; ok is false when the part has
// no key of its own.
func (x *run) staleKey(l *level, at int) (key staleKey, ok bool) {
	if l.fetch == nil || x.p.merge != nil && len(l.fetch.waits) > 0 {
		return key, false // within another answer, or made of others
	}
	var b []byte
	add := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendUvarint(binary.AppendUvarint(b, x.p.serial), uint64(l.id))
	for _, in := range x.in {
		add(string(in))
	}
	if l.gather >= 0 {
		s := &x.fetches[l.fetch.id]
		if l.fetch.lists[l.gather] || s.rows[l.gather] == nil {
			return key, false
		}
		if g := l.fetch.gathers[l.gather]; g.given != nil {
			at = 0
		}
		if at >= len(s.rows[l.gather]) || s.rows[l.gather][at] < 0 {
			return key, false
		}
		for _, part := range s.keys.key(int(s.rows[l.gather][at])) {
			add(string(part))
		}
	}
	add(x.r.Authority)
	for _, f := range x.p.fetches {
		for i := range x.r.Header.Fields() {
			if h := &x.r.Header.Fields()[i]; f.source.forwards(h) && !ownToRequest(h.ID) {
				add(h.Name)
				add(h.Value)
			}
		}
	}
	for _, id := range []message.ID{message.XMaruSubject, message.Authorization, message.Cookie} {
		add(x.r.Header.Value(id))
	}
	return sha256.Sum256(b), true
}

// ownToRequest tells the fields that every request has anew and no answer depends on.
func ownToRequest(id message.ID) bool {
	switch id {
	case message.Traceparent, message.Tracestate, message.XRequestID:
		return true
	default:
		return false
	}
}

// keepStale remembers what was just written for a part; noted is how many failures
// were noted before it: a value with a hole is not good.
func (x *run) keepStale(l *level, at int, from scan.Mark, noted int) {
	if x.noted != noted || x.fatal != nil || x.out.Err() != nil {
		return
	}
	for i := range x.fetches {
		for j := range x.fetches[i].calls {
			if x.fetches[i].calls[j].flaw != codeOK {
				return // an answer with errors inside may be a part of it
			}
		}
	}
	key, ok := x.staleKey(l, at)
	if !ok {
		return
	}
	if text := x.out.Since(from, nil); len(text) > 0 && len(text) <= maxStaleOne {
		x.p.graph.stale.keep(key, text, x.p.graph.env.Now())
	}
}

// writeStale writes the last good value of a part that failed, and gives its age.
func (x *run) writeStale(l *level, at int) (time.Duration, bool) {
	key, ok := x.staleKey(l, at)
	if !ok {
		return 0, false
	}
	text, age, ok := x.p.graph.stale.find(key, x.p.graph.env.Now(), l.policy.age)
	if ok {
		x.out.Span(text)
	}
	return age, ok
}
