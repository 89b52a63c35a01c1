package sketch

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Value is a value of the maru.yaml, written on one line.
type Value struct {
	text  string // a scalar as YAML has it
	list  []Value
	keys  []Entry
	shape shape
}

type shape uint8

const (
	scalarShape shape = iota
	listShape
	mapShape
	noShape
)

// Entry is a key with its value.
type Entry struct {
	Key   string
	Value Value
}

// Pair makes an Entry.
func Pair(key string, v Value) Entry { return Entry{key, v} }

// None is the value of a filter without settings.
func None() Value { return Value{shape: noShape} }

// Word is a scalar that needs no quotes: a number, a duration, a name of ours.
func Word(s string) Value { return Value{text: s} }

// Number is a whole number.
func Number(n int) Value { return Word(strconv.Itoa(n)) }

// Text is a scalar of the inputs: quoted where YAML would read something else,
// and with ${ written so that maru takes it as it is.
func Text(s string) Value { return Word(Quoted(s)) }

// Texts is a list of them.
func Texts(list []string) Value {
	v := Value{shape: listShape}
	for _, s := range list {
		v.list = append(v.list, Text(s))
	}
	return v
}

// List is a list of values.
func List(list ...Value) Value { return Value{shape: listShape, list: list} }

// TextMap is a mapping to texts, by name.
func TextMap(m map[string]string) Value {
	v := Map()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v = v.With(k, Text(m[k]))
	}
	return v
}

// Map is a mapping in the order given.
func Map(keys ...Entry) Value { return Value{shape: mapShape, keys: keys} }

// With is the mapping with one more key.
func (v Value) With(key string, x Value) Value {
	v.shape = mapShape
	v.keys = append(slices.Clip(v.keys), Pair(key, x))
	return v
}

// Len is the number of keys of a mapping.
func (v Value) Len() int { return len(v.keys) }

// IsNone tells whether it is None.
func (v Value) IsNone() bool { return v.shape == noShape }

// Before is the mapping with one more key in front.
func (v Value) Before(key string, x Value) Value {
	v.shape = mapShape
	v.keys = append([]Entry{Pair(key, x)}, v.keys...)
	return v
}

// plainScalar tells whether YAML reads a text as text without quotes; numbers
// and the words of YAML 1.1 are not among those.
func plainScalar(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c == '/' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '.' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	return true
}

// Quoted is a text as a scalar of YAML in flow style.
func Quoted(s string) string {
	if s = escapeReferences(s); plainScalar(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\ufffe' || r == '\uffff':
			const digits = "0123456789abcdef"
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(digits[r>>shift&15])
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// escapeReferences writes $${ where maru would look for an environment variable.
func escapeReferences(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], "${") {
			next := byte(0)
			if i+2 < len(s) {
				next = s[i+2]
			}
			if i > 0 && s[i-1] == '$' || next >= 'A' && next <= 'Z' || next == '_' {
				b.WriteByte('$')
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// String is the value in flow style.
func (v Value) String() string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

func (v Value) write(b *strings.Builder) {
	switch v.shape {
	case listShape:
		b.WriteByte('[')
		for i, x := range v.list {
			if i > 0 {
				b.WriteString(", ")
			}
			x.write(b)
		}
		b.WriteByte(']')
	case mapShape:
		if len(v.keys) == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteString("{ ")
		for i, e := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(Quoted(e.Key) + ": ")
			e.Value.write(b)
		}
		b.WriteString(" }")
	case noShape:
	default:
		b.WriteString(v.text)
	}
}

// Comment makes one line of a text, without what a comment can't hold.
func Comment(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// Shorten bounds a text that is quoted in a message.
func Shorten(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

// Span writes a time as maru has it.
func Span(d time.Duration) Value {
	if d == 0 {
		return Word("0s")
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return Word(s)
}
