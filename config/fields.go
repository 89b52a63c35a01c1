package config

import (
	"encoding"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
)

// listReader is a Config with a list short form.
type listReader interface {
	UnmarshalList(list []string) error
}

// fields is what the keys of a mapping lead to in a struct.
type fields struct {
	byKey map[string][]int // reflect index path
	keys  []string         // in the order of the struct
	rest  []int            // of the map that takes all other keys; nil without
	own   []int            // of the field that takes the entry's own key; nil without
}

// fieldsOf lists the keys of a struct type: its yaml tags, those of inlined
// structs included. A field without a tag has no key. A map tagged ",rest" takes
// the keys that no field has; a list of structs with a field tagged ",key" is
// written as a mapping, whose order counts, and that field is the key.
func fieldsOf(t reflect.Type) *fields {
	f := &fields{byKey: make(map[string][]int)}
	f.collect(t, nil)
	return f
}

func (f *fields) collect(t reflect.Type, index []int) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag, ok := field.Tag.Lookup("yaml")
		if !ok || tag == "-" || !field.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		at := append(slices.Clone(index), i)
		switch list := strings.Split(options, ","); {
		case slices.Contains(list, "inline"):
			f.collect(field.Type, at)
			continue
		case slices.Contains(list, "rest"):
			f.rest = at
			continue
		case slices.Contains(list, "key"):
			f.own = at
			continue
		}
		if _, twice := f.byKey[name]; name == "" || twice {
			continue // the outer struct's key comes first, as in Go
		}
		f.byKey[name] = at
		f.keys = append(f.keys, name)
	}
}

// asText gives v's way to read a scalar short form, or nil. v is addressable.
func asText(v reflect.Value) encoding.TextUnmarshaler {
	u, _ := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr())
	return u
}

// asList gives v's way to read a list short form, or nil. v is addressable.
func asList(v reflect.Value) listReader {
	u, _ := reflect.TypeAssert[listReader](v.Addr())
	return u
}

func isDuration(t reflect.Type) bool { return t == reflect.TypeFor[time.Duration]() }

func isSize(t reflect.Type) bool { return t == reflect.TypeFor[message.Size]() }

func isNamed(t reflect.Type) bool { return t == reflect.TypeFor[filter.Named]() }
