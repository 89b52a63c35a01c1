package aggregate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// messageWriter writes messages as JSON (ProtoJSON format). Fields have their
// lowerCamelCase names; those without presence are there with their zero value,
// others only when they are set.
type messageWriter struct {
	d    *descriptors
	b    []byte
	end  int // the longest that b may become
	fail failure
}

func (w *messageWriter) message(m protoreflect.Message) {
	if len(w.b) > w.end {
		w.fail = failure{code: codeTooLarge}
	}
	if w.fail.code != codeOK {
		return
	}
	md := m.Descriptor()
	if wellKnown(md) {
		w.special(m)
		return
	}
	w.b = append(w.b, '{')
	first := true
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if fd.HasPresence() && !m.Has(fd) {
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.b = append(appendQuoted(w.b, fd.JSONName()), ':')
		w.field(fd, m.Get(fd))
	}
	w.b = append(w.b, '}')
}

// special writes a message that has a form of its own.
func (w *messageWriter) special(m protoreflect.Message) {
	if name := m.Descriptor().Name(); w.d.longs && (name == "Int64Value" || name == "UInt64Value") {
		fd := m.Descriptor().Fields().ByNumber(1)
		w.value(fd, m.Get(fd))
		return
	}
	text, err := protojson.MarshalOptions{Resolver: w.d.types, AllowPartial: true}.Marshal(m.Interface())
	if err != nil {
		w.fail = failure{code: codeInvalid} // a time before the year 1, an Any of an unknown type
		return
	}
	var flat bytes.Buffer // protojson varies its white space
	if err := json.Compact(&flat, text); err != nil {
		w.fail = failure{code: codeInvalid}
		return
	}
	w.b = append(w.b, flat.Bytes()...)
}

func (w *messageWriter) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case fd.IsList():
		w.b = append(w.b, '[')
		for i := range v.List().Len() {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.value(fd, v.List().Get(i))
		}
		w.b = append(w.b, ']')
	case fd.IsMap():
		w.entries(fd, v.Map())
	default:
		w.value(fd, v)
	}
}

// entries writes a map, in the order of its keys: the same answer twice is the same
// bytes.
func (w *messageWriter) entries(fd protoreflect.FieldDescriptor, m protoreflect.Map) {
	keys := make([]protoreflect.MapKey, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	w.b = append(w.b, '{')
	for i, k := range keys {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(appendQuoted(w.b, k.String()), ':')
		w.value(fd.MapValue(), m.Get(k))
	}
	w.b = append(w.b, '}')
}

func (w *messageWriter) value(fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		w.b = strconv.AppendBool(w.b, v.Bool())
	case protoreflect.StringKind:
		w.b = appendQuoted(w.b, v.String())
	case protoreflect.BytesKind:
		w.b = append(base64.StdEncoding.AppendEncode(append(w.b, '"'), v.Bytes()), '"')
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		w.b = strconv.AppendInt(w.b, v.Int(), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		w.b = strconv.AppendUint(w.b, v.Uint(), 10)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		w.long(func(b []byte) []byte { return strconv.AppendInt(b, v.Int(), 10) })
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		w.long(func(b []byte) []byte { return strconv.AppendUint(b, v.Uint(), 10) })
	case protoreflect.FloatKind:
		w.float(v.Float(), 32)
	case protoreflect.DoubleKind:
		w.float(v.Float(), 64)
	case protoreflect.EnumKind:
		w.enum(fd.Enum(), v.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.message(v.Message())
	}
}

// long writes a 64-bit integer: as a string, because a number of JSON is a double
// to many who read it.
func (w *messageWriter) long(digits func([]byte) []byte) {
	if w.d.longs {
		w.b = digits(w.b)
		return
	}
	w.b = append(digits(append(w.b, '"')), '"')
}

func (w *messageWriter) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		w.b = append(w.b, `"NaN"`...)
	case math.IsInf(f, 1):
		w.b = append(w.b, `"Infinity"`...)
	case math.IsInf(f, -1):
		w.b = append(w.b, `"-Infinity"`...)
	default:
		w.b = strconv.AppendFloat(w.b, f, 'g', -1, bits)
	}
}

// enum writes the value's name, or its number when the contract has none for it.
func (w *messageWriter) enum(ed protoreflect.EnumDescriptor, n protoreflect.EnumNumber) {
	if ed.FullName() == "google.protobuf.NullValue" {
		w.b = append(w.b, "null"...)
		return
	}
	if v := ed.Values().ByNumber(n); v != nil {
		w.b = appendQuoted(w.b, string(v.Name()))
		return
	}
	w.b = strconv.AppendInt(w.b, int64(n), 10)
}
