package spring

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// value is a value of the maru.yaml, written on one line.
type value struct {
	text  string // a scalar as YAML has it
	list  []value
	keys  []entry
	shape shape
}

type shape uint8

const (
	scalarShape shape = iota
	listShape
	mapShape
	noValue // a filter without settings
)

type entry struct {
	key   string
	value value
}

// word is a scalar that needs no quotes: a number, a duration, a name of ours.
func word(s string) value { return value{text: s} }

func number(n int) value { return word(strconv.Itoa(n)) }

// text is a scalar of the inputs: quoted where YAML would read something else,
// and with ${ written so that maru takes it as it is.
func text(s string) value { return word(quoted(s)) }

func texts(list []string) value {
	v := value{shape: listShape}
	for _, s := range list {
		v.list = append(v.list, text(s))
	}
	return v
}

// textMap is a mapping to texts, by name.
func textMap(m map[string]string) value {
	v := mapping()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v = v.with(k, text(m[k]))
	}
	return v
}

func mapping(keys ...entry) value { return value{shape: mapShape, keys: keys} }

// with adds a key when there is something to say.
func (v value) with(key string, x value) value {
	v.shape = mapShape
	v.keys = append(v.keys, entry{key, x})
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

func quoted(s string) string {
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
func (v value) String() string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

func (v value) write(b *strings.Builder) {
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
			b.WriteString(quoted(e.key) + ": ")
			e.value.write(b)
		}
		b.WriteString(" }")
	case noValue:
	default:
		b.WriteString(v.text)
	}
}
