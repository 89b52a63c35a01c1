package filter

import (
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// This file reads the fields that the cache compares: entity tags, conditions,
// ranges, and the few Structured Fields (RFC 9651) it needs.

// nextTag cuts the first entity-tag off a list (RFC 9110 §8.8.3). opaque keeps
// its quotes. ok is false when the list ends or can't be read further.
func nextTag(list string) (opaque string, weak bool, rest string, ok bool) {
	list = strings.TrimLeft(list, " \t,")
	if strings.HasPrefix(list, "W/") {
		weak, list = true, list[2:]
	}
	if list == "" || list[0] != '"' {
		return "", false, "", false
	}
	end := strings.IndexByte(list[1:], '"')
	if end < 0 {
		return "", false, "", false
	}
	return list[:end+2], weak, list[end+2:], true
}

// tagListHas tells whether any line of the list field id holds the entity tag,
// by weak comparison (RFC 9110 §8.8.3.2), or "*".
func tagListHas(h *message.Header, id message.ID, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != id {
			continue
		}
		list := fields[i].Value
		if strings.Trim(list, " \t") == "*" {
			return true
		}
		for {
			opaque, _, rest, ok := nextTag(list)
			if !ok {
				break
			}
			if tag != "" && opaque == tag {
				return true
			}
			list = rest
		}
	}
	return false
}

// unmodified tells whether a request's conditions make a 304 of the stored
// response (RFC 9111 §4.3.2): If-None-Match first, and alone if it is there.
func unmodified(rq *message.Header, etag string, a *cacheAnswer) bool {
	if a.status < 200 || a.status > 299 {
		return false // RFC 9110 §13.2.1
	}
	if rq.Has(message.IfNoneMatch) {
		return tagListHas(rq, message.IfNoneMatch, etag)
	}
	since, ok, many := dateField(rq, message.IfModifiedSince, a.received)
	if !ok || many {
		return false
	}
	changed := a.lastModified
	if changed.IsZero() {
		changed = a.date
	}
	return !changed.Truncate(time.Second).After(since)
}

// rangeKind is what a Range field asks of a body.
type rangeKind uint8

const (
	rangeWhole rangeKind = iota // no range, one we don't understand, or several
	rangeOne
	rangeNone // not satisfiable: 416
)

// parseRange reads Range (RFC 9110 §14.1.2, §14.2) against a body of size bytes.
// Several ranges get the whole, which a server may always send.
func parseRange(v string, size int64) (from, to int64, kind rangeKind) {
	unit, set, ok := strings.Cut(v, "=")
	if !ok || !strings.EqualFold(strings.Trim(unit, " \t"), "bytes") {
		return 0, 0, rangeWhole
	}
	if strings.Trim(set, " \t,") == "" {
		return 0, 0, rangeNone
	}
	n, good := 0, 0
	for set != "" {
		var spec string
		spec, set = message.NextMember(set)
		if spec == "" {
			continue
		}
		f, t, state := oneRange(spec, size)
		if state == rangeWhole {
			return 0, 0, rangeWhole
		}
		n++
		if state == rangeOne {
			good++
			from, to = f, t
		}
	}
	switch {
	case good == 0:
		return 0, 0, rangeNone
	case n > 1:
		return 0, 0, rangeWhole
	}
	return from, to, rangeOne
}

// oneRange reads "first-last", "first-" or "-suffix"; rangeWhole means not readable.
func oneRange(spec string, size int64) (from, to int64, kind rangeKind) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return 0, 0, rangeWhole
	}
	if first == "" {
		n, ok := position(last)
		switch {
		case !ok:
			return 0, 0, rangeWhole
		case n == 0 || size == 0:
			return 0, 0, rangeNone
		}
		return max(0, size-n), size, rangeOne
	}
	from, ok = position(first)
	if !ok {
		return 0, 0, rangeWhole
	}
	to = size
	if last != "" {
		if to, ok = position(last); !ok || to < from {
			return 0, 0, rangeWhole
		}
		to = min(to+1, size)
	}
	if from >= size {
		return 0, 0, rangeNone
	}
	return from, to, rangeOne
}

// position reads digits, clamped far above any stored size.
func position(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = n*10 + int64(s[i]-'0'); n > 1<<53 {
			n = 1 << 53
		}
	}
	return n, true
}

// rangeStands tells whether If-Range lets Range count: the strong tag, or the
// exact and strong date, of the stored response (RFC 9110 §13.1.5).
func rangeStands(rq *message.Header, etag string, a *cacheAnswer) bool {
	if !rq.Has(message.IfRange) {
		return true
	}
	v := rq.Value(message.IfRange)
	if strings.HasPrefix(v, `"`) {
		return v == etag
	}
	t, ok := httpDate(v, a.received)
	// A date is a strong validator a second after it (§8.8.2.2).
	return ok && !a.lastModified.IsZero() && t.Equal(a.lastModified) && a.date.Sub(a.lastModified) >= time.Second
}

// sfKind is a type of Structured Fields as far as the cache cares.
type sfKind uint8

const (
	sfOther sfKind = iota
	sfTrue
	sfFalse
	sfInteger
	sfString
)

type sfItem struct {
	kind sfKind
	n    int64
	s    string // of sfString, escapes kept
}

// sfKey cuts a key off s (RFC 9651 §4.2.3.3).
func sfKey(s string) (key, rest string) {
	for i := range len(s) {
		c := s[i]
		ok := c >= 'a' && c <= 'z' || c == '*'
		if i > 0 {
			ok = ok || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
		}
		if !ok {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// sfValue cuts an item or inner list off s (RFC 9651 §4.2.1.1).
func sfValue(s string) (sfItem, string, bool) {
	if !strings.HasPrefix(s, "(") {
		return sfBare(s)
	}
	s = s[1:]
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return sfItem{}, "", false
		}
		if s[0] == ')' {
			return sfItem{}, s[1:], true
		}
		var ok bool
		if _, s, ok = sfBare(s); !ok {
			return sfItem{}, "", false
		}
		if s, ok = sfParams(s); !ok {
			return sfItem{}, "", false
		}
		if s != "" && s[0] != ' ' && s[0] != ')' {
			return sfItem{}, "", false
		}
	}
}

// sfBare cuts a bare item off s (RFC 9651 §4.2.3.1).
func sfBare(s string) (sfItem, string, bool) {
	if s == "" {
		return sfItem{}, "", false
	}
	switch c := s[0]; {
	case c == '"':
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
				i++
			case s[i] == '"':
				return sfItem{kind: sfString, s: s[1:i]}, s[i+1:], true
			case s[i] == '\\' || s[i] < 0x20 || s[i] > 0x7E:
				return sfItem{}, "", false
			}
		}
		return sfItem{}, "", false
	case c == '?':
		if strings.HasPrefix(s, "?1") {
			return sfItem{kind: sfTrue}, s[2:], true
		}
		return sfItem{kind: sfFalse}, strings.TrimPrefix(s, "?0"), strings.HasPrefix(s, "?0")
	case c == '-' || c == '@' || c >= '0' && c <= '9':
		return sfNumber(s)
	case c == ':':
		end := strings.IndexByte(s[1:], ':')
		return sfItem{}, s[max(0, end+2):], end >= 0
	case c == '*' || c|0x20 >= 'a' && c|0x20 <= 'z':
		end := 1
		for end < len(s) && (message.TokenOctet(s[end]) || s[end] == ':' || s[end] == '/') {
			end++
		}
		return sfItem{}, s[end:], true
	}
	return sfItem{}, "", false
}

// sfNumber cuts an integer, a decimal or a date off s.
func sfNumber(s string) (sfItem, string, bool) {
	item := sfItem{kind: sfInteger}
	if s[0] == '@' {
		item.kind, s = sfOther, s[1:]
	}
	sign := int64(1)
	if strings.HasPrefix(s, "-") {
		sign, s = -1, s[1:]
	}
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		item.n = item.n*10 + int64(s[end]-'0')
		if end++; end > 15 {
			return sfItem{}, "", false
		}
	}
	if end == 0 {
		return sfItem{}, "", false
	}
	item.n *= sign
	s = s[end:]
	if strings.HasPrefix(s, ".") && item.kind == sfInteger {
		end = 1
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		return sfItem{}, s[end:], end > 1 && end <= 4
	}
	return item, s, true
}

// sfParams skips parameters (RFC 9651 §4.2.3.2).
func sfParams(s string) (string, bool) {
	for strings.HasPrefix(s, ";") {
		key, rest := sfKey(strings.TrimLeft(s[1:], " "))
		if key == "" {
			return "", false
		}
		s = rest
		if strings.HasPrefix(s, "=") {
			var ok bool
			if _, s, ok = sfBare(s[1:]); !ok {
				return "", false
			}
		}
	}
	return s, true
}

// sfStrings lists the strings of a Structured Fields List over all lines of id
// (Cache-Groups and Cache-Group-Invalidation, RFC 9875 §2, §3), at most max.
// A malformed field gives none.
func sfStrings(h *message.Header, id message.ID, most int) []string {
	if !h.Has(id) {
		return nil
	}
	var out []string
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != id {
			continue
		}
		s := strings.Trim(fields[i].Value, " \t")
		for s != "" {
			item, rest, ok := sfValue(s)
			if !ok {
				return nil
			}
			if rest, ok = sfParams(rest); !ok {
				return nil
			}
			if item.kind == sfString && len(out) < most {
				out = append(out, item.s)
			}
			rest = strings.TrimLeft(rest, " \t")
			if rest == "" {
				break
			}
			if rest[0] != ',' {
				return nil
			}
			s = strings.TrimLeft(rest[1:], " \t")
		}
	}
	return out
}
