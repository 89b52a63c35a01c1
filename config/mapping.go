package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
)

// pair is one key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// pairs lists a mapping's keys: its own, then those merged in by "<<" that it
// does not have itself. A key that is there twice is a finding; the first one
// counts. Merging (YAML 1.1's merge key, which people use with anchors) takes a
// mapping or a list of mappings, and an earlier one wins.
func (d *decoder) pairs(n *yaml.Node) []pair {
	out := make([]pair, 0, len(n.Content)/2)
	var merges []*yaml.Node
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.ShortTag() == "!!merge":
			merges = append(merges, value)
		case key.Kind != yaml.ScalarNode || isNull(key):
			d.notAKey(key)
		case seen[key.Value] != nil:
			f := d.fault(key, "duplicate-key", fmt.Sprintf("the key %q is here twice", key.Value), "remove one of the two")
			first := seen[key.Value]
			f.Related = []diag.Related{{Position: d.src.at(first), Text: "the first one", Length: d.src.length(first)}}
		default:
			seen[key.Value] = key
			out = append(out, pair{key, value})
		}
	}
	for _, m := range merges {
		out = d.merge(m, out, seen)
	}
	return out
}

func (d *decoder) notAKey(n *yaml.Node) {
	if isNull(n) {
		d.fault(n, "type", `there is no key before the ":"`, "write the key")
		return
	}
	d.fault(n, "type", "a key is text, not "+kindOf(n), "write one word")
}

func (d *decoder) merge(m *yaml.Node, out []pair, seen map[string]*yaml.Node) []pair {
	list := []*yaml.Node{m}
	if target := follow(m); target != nil && target.Kind == yaml.SequenceNode {
		list = target.Content
	}
	for _, item := range list {
		target := follow(item)
		if target == nil || target.Kind != yaml.MappingNode {
			if m.Kind == yaml.AliasNode {
				item = m // what is wrong is to merge that
			}
			d.fault(item, "type", `"<<" merges mappings; this is none`, "write <<: *name, where name is the anchor of a mapping")
			continue
		}
		if d.open[target] != nil {
			d.fault(item, "syntax", "the alias *"+item.Value+" stands inside what it names", "write the value out")
			continue
		}
		if d.expanded += 1 + len(target.Content); d.expanded > maxExpanded {
			d.tooMany(item)
			return out
		}
		d.open[target] = item
		for _, p := range d.pairs(target) {
			if seen[p.key.Value] == nil {
				seen[p.key.Value] = p.key
				out = append(out, p)
			}
		}
		delete(d.open, target)
	}
	return out
}

// follow gives what an alias names, through chains of aliases.
func follow(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n == nil || n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return nil
}

func (d *decoder) fieldsOf(t reflect.Type) *fields {
	f := d.types[t]
	if f == nil {
		f = fieldsOf(t)
		d.types[t] = f
	}
	return f
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value) {
	f := d.fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		short := asText(v) != nil
		x := d.wants(n, map[bool]string{false: "a mapping", true: "text or a mapping"}[short])
		if !short {
			x.Fix = "write its keys: " + orWords(f.keys)
		} else if len(n.Content) != 1 {
			x.Fix = "write one text, or the keys " + orWords(f.keys)
		}
		return
	}
	for _, p := range d.pairs(n) {
		index, ok := f.byKey[p.key.Value]
		switch {
		case ok:
			d.value(p.value, v.FieldByIndex(index))
		case f.rest != nil:
			d.rest(p, v.FieldByIndex(f.rest))
		default:
			d.unknown(p.key, f, v.Type())
		}
	}
}

// rest puts a key that no field has into the map for such keys.
func (d *decoder) rest(p pair, v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	value := reflect.New(v.Type().Elem()).Elem()
	d.value(p.value, value)
	v.SetMapIndex(reflect.ValueOf(p.key.Value), value)
}

// keyed fills a list of structs from a mapping, in its order.
func (d *decoder) keyed(n *yaml.Node, v reflect.Value, own []int) {
	if n.Kind != yaml.MappingNode {
		d.wants(n, "a mapping").Fix = "write names with their values below it, indented: NAME: VALUE"
		return
	}
	pairs := d.pairs(n)
	out := reflect.MakeSlice(v.Type(), len(pairs), len(pairs))
	for i, p := range pairs {
		d.value(p.value, out.Index(i))
		out.Index(i).FieldByIndex(own).SetString(p.key.Value)
	}
	v.Set(out)
}

// unknown says what key was probably meant. Keys of the whole file that start
// with "x-" are the user's own: a place for anchors.
func (d *decoder) unknown(key *yaml.Node, f *fields, t reflect.Type) {
	if t == reflect.TypeFor[File]() && len(key.Value) > 2 && key.Value[:2] == "x-" {
		return
	}
	d.fault(key, "unknown-key", fmt.Sprintf("unknown key %q", key.Value), meant(key.Value, f.keys))
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value) {
	t := v.Type()
	if n.Kind != yaml.MappingNode {
		d.wants(n, "a mapping").Fix = "write names with their values below it, indented: NAME: VALUE"
		return
	}
	out := reflect.MakeMapWithSize(t, len(n.Content)/2)
	for _, p := range d.pairs(n) {
		if d.misplaced(p, t.Elem()) {
			continue
		}
		key := reflect.New(t.Key()).Elem()
		value := reflect.New(t.Elem()).Elem()
		ok := d.mapKey(p.key, key)
		if t.Elem().Kind() == reflect.Interface && isNull(p.value) {
			value = reflect.Zero(t.Elem())
		} else {
			d.value(p.value, value)
		}
		if ok {
			out.SetMapIndex(key, value)
		}
	}
	v.Set(out)
}

// misplaced finds a list of the file, such as routes, that is indented so that
// it seems to be the name of a service or a listener.
func (d *decoder) misplaced(p pair, elem reflect.Type) bool {
	value := follow(p.value)
	if elem.Kind() != reflect.Struct || value == nil || value.Kind != yaml.SequenceNode {
		return false
	}
	if _, ok := d.fieldsOf(reflect.TypeFor[File]()).byKey[p.key.Value]; !ok {
		return false
	}
	d.fault(p.key, "type", p.key.Value+" belongs to the top of the file", "write it without indent")
	return true
}

func (d *decoder) mapKey(n *yaml.Node, key reflect.Value) bool {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](key.Addr()); ok {
		if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			d.foreign(n, err)
			return false
		}
		return true
	}
	switch {
	case key.Kind() == reflect.String:
		key.SetString(n.Value)
	case key.CanInt():
		i, err := strconv.ParseInt(n.Value, 10, key.Type().Bits())
		if err != nil {
			d.fault(n, "type", fmt.Sprintf("the key %q is not a whole number", n.Value), "write a number")
			return false
		}
		key.SetInt(i)
	default:
		d.fault(n, "type", "this key cannot be set in a file", "remove it")
		return false
	}
	return true
}

// step follows a path inside a node as far as it goes: the deepest node found,
// and what is left of the path.
func step(n *yaml.Node, path string) (*yaml.Node, string) {
	s := walk(n, path)
	return s.node, s.rest
}

// stop is where a walk along a path ended.
type stop struct {
	node *yaml.Node // the deepest value found
	key  *yaml.Node // its key, or nil for an entry of a list
	rest string     // the part of the path that is not in the file
}

// walk follows "routes[3].filters[1].cors.origins[0]". Keys may hold dots: the
// longest one that is there is taken. Short forms are walked through: an index
// under a list short form, a filter's settings without its word.
func walk(n *yaml.Node, path string) stop {
	at := stop{node: n, rest: path}
	for at.rest != "" {
		next, ok := at.next()
		if !ok {
			break
		}
		at = next
	}
	return at
}

func (s stop) next() (stop, bool) {
	n := follow(s.node)
	if n == nil {
		return s, false
	}
	if s.rest[0] == '[' {
		return s.index(n)
	}
	rest := s.rest
	if rest[0] == '.' {
		rest = rest[1:]
	}
	if n.Kind == yaml.MappingNode {
		for _, end := range slices.Backward(ends(rest)) {
			if key, value := find(n, rest[:end], new(int)); value != nil {
				return stop{node: value, key: key, rest: rest[end:]}, true
			}
		}
		return s, false
	}
	// A list short form has no key of its own: "allow[2]" is entry 2.
	if end := keyEnd(rest); n.Kind == yaml.SequenceNode && end < len(rest) && rest[end] == '[' {
		return stop{node: n, key: s.key, rest: rest[end:]}, true
	}
	// A bare filter word: "compress.types" is in the word "compress".
	if word := rest[:keyEnd(rest)]; n.Kind == yaml.ScalarNode && word == n.Value {
		return stop{node: s.node, key: s.key, rest: rest[len(word):]}, true
	}
	return s, false
}

func (s stop) index(n *yaml.Node) (stop, bool) {
	i := 1
	for i < len(s.rest) && s.rest[i] != ']' {
		i++
	}
	number, err := strconv.Atoi(s.rest[1:i])
	if err != nil || i == len(s.rest) || n.Kind != yaml.SequenceNode || number < 0 || number >= len(n.Content) {
		return s, false
	}
	return stop{node: n.Content[number], rest: s.rest[i+1:]}, true
}

func keyEnd(path string) int {
	for i := range len(path) {
		if path[i] == '.' || path[i] == '[' {
			return i
		}
	}
	return len(path)
}

// ends lists where a key at the start of path may end, the shortest first.
func ends(path string) []int {
	var out []int
	for i := 1; i < len(path); i++ {
		if path[i] == '.' || path[i] == '[' {
			out = append(out, i)
		}
	}
	return append(out, len(path))
}

// find looks a key up in a mapping and in what it merges; looked counts the
// mappings, which bounds merges of merges.
func find(n *yaml.Node, key string, looked *int) (k, v *yaml.Node) {
	if *looked++; n.Kind != yaml.MappingNode || *looked > maxDepth {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key && n.Content[i].ShortTag() != "!!merge" {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		list := []*yaml.Node{n.Content[i+1]}
		if m := follow(n.Content[i+1]); m != nil && m.Kind == yaml.SequenceNode {
			list = m.Content
		}
		for _, item := range list {
			if m := follow(item); m != nil {
				if k, v := find(m, key, looked); v != nil {
					return k, v
				}
			}
		}
	}
	return nil, nil
}
