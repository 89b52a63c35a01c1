package message

import (
	"errors"
	"fmt"
	"strings"
)

// Field is one field line. Name keeps the sender's case; Value is without the
// optional white space around it (RFC 9112 §5.1).
type Field struct {
	Name  string
	Value string
	ID    ID
}

// Header is an ordered list of field lines: no map, no canonicalisation. Access
// is case-insensitive; lines of one name stay apart and in order. The zero
// Header is empty and ready.
type Header struct {
	fields []Field
	known  [2]uint64 // a bit per known ID that may be present
}

// Errors of the setters.
var (
	ErrFieldName  = errors.New("field name is not a token")
	ErrFieldValue = errors.New("field value holds a control character")
)

// Len is the number of field lines.
func (h *Header) Len() int { return len(h.fields) }

// Fields shows the lines in order. The slice is the header's own: read it, and
// change it only through the methods.
func (h *Header) Fields() []Field { return h.fields }

// Reset removes all lines and keeps the memory.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
	h.known = [2]uint64{}
}

// Append adds a line that the caller has validated (a parser, or constants).
func (h *Header) Append(f Field) {
	h.fields = append(h.fields, f)
	h.known[f.ID>>6] |= 1 << (f.ID & 63)
}

// AppendID adds a line under the standard spelling of id; value must be valid.
func (h *Header) AppendID(id ID, value string) {
	h.Append(Field{Name: id.String(), Value: value, ID: id})
}

// Has tells whether a line with the known name id is there.
func (h *Header) Has(id ID) bool { return h.known[id>>6]&(1<<(id&63)) != 0 }

// Value gives the first value of the known name id, or "".
func (h *Header) Value(id ID) string {
	if !h.Has(id) {
		return ""
	}
	for i := range h.fields {
		if h.fields[i].ID == id {
			return h.fields[i].Value
		}
	}
	return ""
}

// Lookup gives the first value of name and whether there is one.
func (h *Header) Lookup(name string) (string, bool) {
	if i := h.index(name, 0); i >= 0 {
		return h.fields[i].Value, true
	}
	return "", false
}

// Get gives the first value of name, or "".
func (h *Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Values appends all values of name to dst, in order.
func (h *Header) Values(dst []string, name string) []string {
	for i := h.index(name, 0); i >= 0; i = h.index(name, i+1) {
		dst = append(dst, h.fields[i].Value)
	}
	return dst
}

// Add appends a line after validating it.
func (h *Header) Add(name, value string) error {
	if err := check(name, value); err != nil {
		return err
	}
	h.Append(Field{Name: name, Value: value, ID: NameID(name)})
	return nil
}

// Set replaces the first line of name where it stands, with the given spelling,
// and removes the others; without one it appends.
func (h *Header) Set(name, value string) error {
	if err := check(name, value); err != nil {
		return err
	}
	f := Field{Name: name, Value: value, ID: NameID(name)}
	i := h.index(name, 0)
	if i < 0 {
		h.Append(f)
		return nil
	}
	h.fields[i] = f
	h.remove(name, f.ID, i+1)
	return nil
}

// SetID is Set for a known name; value must be valid.
func (h *Header) SetID(id ID, value string) {
	if !h.Has(id) {
		h.AppendID(id, value)
		return
	}
	for i := range h.fields {
		if h.fields[i].ID == id {
			h.fields[i] = Field{Name: id.String(), Value: value, ID: id}
			h.remove("", id, i+1)
			return
		}
	}
}

// Del removes every line of name and tells how many there were.
func (h *Header) Del(name string) int {
	id := NameID(name)
	if id != Other {
		return h.DelID(id)
	}
	return h.remove(name, id, 0)
}

// DelID removes every line of the known name id.
func (h *Header) DelID(id ID) int {
	if !h.Has(id) {
		return 0
	}
	n := h.remove("", id, 0)
	h.known[id>>6] &^= 1 << (id & 63)
	return n
}

// DelFunc removes every line for which drop returns true and tells how many.
func (h *Header) DelFunc(drop func(*Field) bool) int {
	from := 0
	for from < len(h.fields) && !drop(&h.fields[from]) {
		from++
	}
	if from == len(h.fields) {
		return 0
	}
	out := h.fields[:from]
	for i := from + 1; i < len(h.fields); i++ {
		f := &h.fields[i] // not a copy: a copy would escape into drop
		if !drop(f) {
			out = append(out, *f)
		}
	}
	var known [2]uint64
	for i := range out {
		known[out[i].ID>>6] |= 1 << (out[i].ID & 63)
	}
	n := len(h.fields) - len(out)
	clear(h.fields[len(out):])
	h.fields, h.known = out, known
	return n
}

// CopyFrom appends all lines of o; the strings are shared, not copied.
func (h *Header) CopyFrom(o *Header) {
	h.fields = append(h.fields, o.fields...)
	h.known[0] |= o.known[0]
	h.known[1] |= o.known[1]
}

// remove drops lines of a name from index from on.
func (h *Header) remove(name string, id ID, from int) int {
	same := func(f *Field) bool { return f.ID == id && (id != Other || strings.EqualFold(f.Name, name)) }
	for from < len(h.fields) && !same(&h.fields[from]) {
		from++
	}
	if from == len(h.fields) {
		return 0
	}
	out := h.fields[:from]
	for i := from + 1; i < len(h.fields); i++ {
		if f := &h.fields[i]; !same(f) {
			out = append(out, *f)
		}
	}
	n := len(h.fields) - len(out)
	clear(h.fields[len(out):])
	h.fields = out
	return n
}

func (h *Header) index(name string, from int) int {
	id := NameID(name)
	if id != Other && !h.Has(id) {
		return -1
	}
	for i := from; i < len(h.fields); i++ {
		f := &h.fields[i]
		if f.ID == id && (id != Other || strings.EqualFold(f.Name, name)) {
			return i
		}
	}
	return -1
}

func check(name, value string) error {
	if !ValidToken(name) {
		return fmt.Errorf("%w: %q", ErrFieldName, name)
	}
	if !ValidValue(value) {
		return fmt.Errorf("%w: field %s", ErrFieldValue, name)
	}
	return nil
}

// HasToken tells whether the list field id (Connection, Cache-Control…) has the
// member token, over all its lines, any case (RFC 9110 §5.6.1).
func (h *Header) HasToken(id ID, token string) bool {
	if !h.Has(id) {
		return false
	}
	for i := range h.fields {
		if h.fields[i].ID != id {
			continue
		}
		rest := h.fields[i].Value
		for rest != "" {
			var m string
			m, rest = NextMember(rest)
			if strings.EqualFold(m, token) {
				return true
			}
		}
	}
	return false
}

// NextMember cuts the first member off a comma-separated list, trimmed; empty
// members come out as "". It does not look into quoted strings.
func NextMember(list string) (member, rest string) {
	member, rest, _ = strings.Cut(list, ",")
	return strings.Trim(member, " \t"), rest
}
