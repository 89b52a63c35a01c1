package filter

import (
	"regexp"
	"slices"
	"strings"

	"github.com/maru-msa/maru/message"
)

// headerEdit replaces what matches inside the values of a field.
type headerEdit struct {
	name string
	re   *regexp.Regexp
	with []piece
}

// edits reads the changes of values.
func (f *faults) edits(path string, m map[string]HeaderEdit) []headerEdit {
	var out []headerEdit
	for _, name := range sortedKeys(m) {
		where, c := path+"."+name, m[name]
		if !f.field(where, name) {
			continue
		}
		switch {
		case c.Pattern == "":
			f.at(where+".pattern", "there is nothing to look for").WithFix("write an expression such as ^http:")
			continue
		case len(c.Pattern) > maxPattern:
			f.at(where+".pattern", "the pattern has %d bytes, more than %d", len(c.Pattern), maxPattern).WithFix("write a shorter one")
			continue
		}
		re, err := regexp.Compile(c.Pattern)
		if err != nil {
			f.at(where+".pattern", "%v", err).WithFix("write an RE2 expression: no look-around, no back references")
			continue
		}
		f.value(where+".with", c.With)
		out = append(out, headerEdit{name, re, replacement(f, where+".with", c.With, re)})
	}
	return out
}

// apply changes the lines of the field; one that is empty then is removed.
func (e *headerEdit) apply(r *message.Request, h *message.Header) {
	id, empty := message.NameID(e.name), false
	fields := h.Fields()
	for i := range fields {
		l := &fields[i]
		if l.ID != id || !strings.EqualFold(l.Name, e.name) || !e.re.MatchString(l.Value) { // costs nothing, unlike the next call
			continue
		}
		var room [512]byte
		b, from := room[:0], 0
		for _, m := range e.re.FindAllStringSubmatchIndex(l.Value, -1) {
			b = append(b, l.Value[from:m[0]]...)
			b = appendPieces(b, e.with, l.Value, m)
			from = m[1]
		}
		l.Value = r.X.String(trimSpace(append(b, l.Value[from:]...)))
		empty = empty || l.Value == ""
	}
	if empty {
		h.DelFunc(func(l *message.Field) bool { return l.ID == id && l.Value == "" && strings.EqualFold(l.Name, e.name) })
	}
}

// copyLines appends the lines of one name under another.
func copyLines(h *message.Header, from, to string) {
	var room [8]string
	id := message.NameID(to)
	for _, v := range h.Values(room[:0], from) {
		h.Append(message.Field{Name: to, Value: v, ID: id})
	}
}

// headerDedupe leaves some of the lines of a field.
type headerDedupe struct {
	name string
	keep string // "first", "last", "unique"
}

func (f *faults) dedupes(path string, m map[string]string) []headerDedupe {
	var out []headerDedupe
	for _, name := range sortedKeys(m) {
		where := path + "." + name
		if f.field(where, name) {
			f.oneOf(where, m[name], "first", "last", "unique")
			out = append(out, headerDedupe{name, m[name]})
		}
	}
	return out
}

func (d *headerDedupe) apply(h *message.Header) {
	var room [8]string
	list := h.Values(room[:0], d.name)
	if len(list) < 2 {
		return
	}
	id, at := message.NameID(d.name), -1
	h.DelFunc(func(l *message.Field) bool {
		if l.ID != id || !strings.EqualFold(l.Name, d.name) {
			return false
		}
		at++
		switch d.keep {
		case "first":
			return at > 0
		case "last":
			return at < len(list)-1
		}
		return slices.Contains(list[:at], l.Value)
	})
}
