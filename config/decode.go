package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
)

// decoder fills Go values from YAML nodes. It never stops at a fault: each one
// becomes a finding and the value keeps what it had.
type decoder struct {
	src      *Source
	lookup   func(string) (string, bool)
	kinds    map[string]func() filter.Config
	types    map[reflect.Type]*fields
	findings []diag.Finding

	open     map[*yaml.Node]*yaml.Node // aliased nodes being read, and their aliases
	expanded int                       // nodes read through aliases
	inside   int                       // depth of aliases being read
	stopped  bool

	// kept are entries of long lists that were decoded before, by their node; a
	// node that is still the same means the same value. keep collects those of
	// this time: entries without findings, aliases and environment variables.
	kept, keep map[*yaml.Node]reflect.Value
	foreigners int // values that came from the environment
}

func newDecoder(src *Source, lookup func(string) (string, bool)) *decoder {
	return &decoder{
		src: src, lookup: lookup, kinds: filter.Kinds(),
		types: make(map[reflect.Type]*fields), open: make(map[*yaml.Node]*yaml.Node),
		keep: make(map[*yaml.Node]reflect.Value),
	}
}

// fault records a finding at a node.
func (d *decoder) fault(n *yaml.Node, code, text, fix string) *diag.Finding {
	d.findings = append(d.findings, diag.Finding{
		Position: d.src.at(n), Length: d.src.length(n), Code: code, Text: d.src.hide(text), Fix: d.src.hide(fix),
	})
	return &d.findings[len(d.findings)-1]
}

// foreign records the field errors that a type's own reader returned.
func (d *decoder) foreign(n *yaml.Node, err error) {
	for _, e := range diag.Flatten(err) {
		at, rest := n, ""
		if e.Path != "" {
			at, rest = step(n, e.Path)
		}
		text, fix := e.Text, e.Fix
		if fix == "" { // the error of a package that does not know findings
			if before, after, ok := strings.Cut(text, "; write "); ok {
				text, fix = before, "write "+after
			}
		}
		f := d.fault(at, codeOr(e.Code, "value"), named(at, rest, text), fix)
		f.Example = e.Example
		if e.Warn {
			f.Severity = diag.Warning
		}
	}
}

func codeOr(code, other string) string {
	if code == "" {
		return other
	}
	return code
}

// value fills v from n.
func (d *decoder) value(n *yaml.Node, v reflect.Value) {
	if d.stopped {
		return
	}
	if n.Kind == yaml.AliasNode {
		d.alias(n, v)
		return
	}
	if d.inside > 0 {
		if d.expanded++; d.expanded > maxExpanded {
			d.tooMany(n)
			return
		}
	}
	if v.Kind() == reflect.Pointer {
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem())
		v.Set(p)
		return
	}
	if !d.tagged(n) {
		return
	}
	if isNull(n) {
		d.fault(n, "type", "the value is missing", "write a value, or remove the key")
		return
	}
	switch {
	case isDuration(v.Type()):
		d.duration(n, v)
	case isSize(v.Type()):
		d.size(n, v)
	case isNamed(v.Type()):
		d.named(n, v)
	case n.Kind == yaml.ScalarNode && asText(v) != nil:
		d.short(n, v)
	case n.Kind == yaml.SequenceNode && asList(v) != nil:
		d.shortList(n, v)
	default:
		d.plain(n, v)
	}
}

// tooMany ends the reading: aliases of aliases grow without end.
func (d *decoder) tooMany(n *yaml.Node) {
	if !d.stopped {
		d.stopped = true
		d.fault(n, "limit", fmt.Sprintf("aliases repeat more than %d values", maxExpanded), "write the values out, or fewer of them")
	}
}

// tagged refuses tags of people's own (!foo), which would be ignored otherwise.
func (d *decoder) tagged(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 || strings.HasPrefix(n.ShortTag(), "!!") {
		return true
	}
	d.fault(n, "type", "the tag "+n.Tag+" means nothing here", "remove it").Length = len(n.Tag)
	return false
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func (d *decoder) alias(n *yaml.Node, v reflect.Value) {
	if d.open[n.Alias] != nil {
		d.fault(n, "syntax", "the alias *"+n.Value+" stands inside what it names", "write the value out")
		return
	}
	d.open[n.Alias] = n
	d.inside++
	d.value(n.Alias, v)
	d.inside--
	delete(d.open, n.Alias)
}

// plain fills the ordinary kinds.
func (d *decoder) plain(n *yaml.Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v)
	case reflect.Map:
		d.mapping(n, v)
	case reflect.Slice:
		d.list(n, v)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			if x := d.free(n, 0); x != nil {
				v.Set(reflect.ValueOf(x))
			}
		}
	default:
		if n.Kind != yaml.ScalarNode {
			d.wants(n, wordOf(v.Type()))
			return
		}
		d.scalar(n, v)
	}
}

// wants says that a value is of the wrong kind. For the value of an alias the
// fault is in the use.
func (d *decoder) wants(n *yaml.Node, want string) *diag.Finding {
	fix := "write " + want
	if n.Kind == yaml.SequenceNode && len(n.Content) == 1 && n.Content[0].Kind == yaml.ScalarNode && strings.HasPrefix(want, "text") {
		fix = "write " + n.Content[0].Value + " without brackets"
	}
	alias := d.open[n]
	if alias == nil {
		return d.fault(n, "type", "this is "+kindOf(n)+", not "+want, fix)
	}
	f := d.fault(alias, "type", "this stands for "+kindOf(n)+", not "+want, fix)
	f.Related = []diag.Related{{Position: d.src.at(n), Text: "which is here", Length: d.src.length(n)}}
	return f
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// wordOf names what a type wants.
func wordOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wordOf(t.Elem())
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	default:
		return "a number"
	}
}

// short reads the scalar short form of a type.
func (d *decoder) short(n *yaml.Node, v reflect.Value) {
	text, ok := d.text(n)
	if !ok {
		return
	}
	if err := asText(v).UnmarshalText([]byte(text.text)); err != nil {
		d.foreign(n, err)
	}
}

// shortList reads the list short form of a type.
func (d *decoder) shortList(n *yaml.Node, v reflect.Value) {
	list := make([]string, 0, len(n.Content))
	faults := len(d.findings)
	for _, c := range n.Content {
		var s string
		d.value(c, reflect.ValueOf(&s).Elem())
		list = append(list, s)
	}
	if len(d.findings) > faults {
		return
	}
	if err := asList(v).UnmarshalList(list); err != nil {
		d.foreign(n, err)
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value) {
	elem := v.Type().Elem()
	if elem.Kind() == reflect.Struct && !isNamed(elem) {
		if own := d.fieldsOf(elem).own; own != nil {
			d.keyed(n, v, own)
			return
		}
	}
	if n.Kind != yaml.SequenceNode {
		d.notAList(n, v)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	if elem.Kind() == reflect.Uint8 {
		d.wants(n, "text")
		return
	}
	if len(n.Content) < longList || elem.Kind() != reflect.Struct {
		for i, c := range n.Content {
			d.value(c, out.Index(i))
		}
		v.Set(out)
		return
	}
	for i, c := range n.Content {
		d.entry(c, out.Index(i))
	}
	v.Set(out)
}

// longList is from how many entries on a list's decoded entries are kept for the
// next time the file is loaded: to decode 10,000 routes takes a fifth of the time
// that a change may take to become live.
const longList = 256

// entry fills one entry of a long list, from what was kept if its node is the
// same as the last time. Nothing changes a value once it is decoded.
func (d *decoder) entry(n *yaml.Node, v reflect.Value) {
	if old, ok := d.kept[n]; ok && old.Type() == v.Type() {
		v.Set(old)
		d.keep[n] = v
		return
	}
	faults, foreigners, expanded := len(d.findings), d.foreigners, d.expanded
	d.value(n, v)
	if len(d.findings) == faults && d.foreigners == foreigners && d.expanded == expanded && d.inside == 0 && n.Kind == yaml.MappingNode {
		d.keep[n] = v
	}
}

// notAList says what to write, and reads on as if it had been written.
func (d *decoder) notAList(n *yaml.Node, v reflect.Value) {
	f := d.wants(n, "a list")
	switch {
	case isNamed(v.Type().Elem()) && n.Kind == yaml.MappingNode:
		f.Fix = `put "- " before each filter`
	case n.Kind == yaml.MappingNode:
		f.Fix = `put "- " before each entry`
	case n.Kind == yaml.ScalarNode:
		if len(n.Value) <= 80 {
			f.Fix = d.src.hide("write [" + n.Value + "]")
		}
		return
	}
	one := reflect.New(v.Type().Elem()).Elem()
	if !isNamed(one.Type()) {
		d.value(n, one)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		d.filter(n.Content[i], n.Content[i+1], one)
	}
}

// named reads one entry of a filter list: a word, or a word with its settings.
func (d *decoder) named(n *yaml.Node, v reflect.Value) {
	switch {
	case n.Kind == yaml.ScalarNode:
		if text, ok := d.text(n); ok {
			d.word(n, text.text, nil, v)
		}
		return
	case n.Kind != yaml.MappingNode:
		d.fault(n, "type", "a filter is one word with its settings, not "+kindOf(n), `write "- compress" or "- strip: 1"`)
		return
	case len(n.Content) == 0:
		d.fault(n, "type", "a filter is one word with its settings, and there is none", `write "- compress" or "- strip: 1"`)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if i > 0 {
			what := fmt.Sprintf("%q is a second word in one entry; each filter is an entry of its own", key.Value)
			fix := fmt.Sprintf(`write "- %s:"`, key.Value)
			if _, known := d.kinds[key.Value]; !known {
				what = fmt.Sprintf("%q stands beside the filter %q, not inside it", key.Value, n.Content[0].Value)
				fix = fmt.Sprintf("indent it below %q", n.Content[0].Value+":")
			}
			d.fault(key, "type", what, fix)
			if _, known := d.kinds[key.Value]; known {
				other := reflect.New(v.Type()).Elem()
				d.filter(key, n.Content[i+1], other)
			} else { // the filter lacks what stands beside it
				v.Set(reflect.ValueOf(filter.Named{Word: n.Content[0].Value, Config: broken{}}))
			}
			continue
		}
		d.filter(key, n.Content[i+1], v)
	}
}

func (d *decoder) filter(key, settings *yaml.Node, v reflect.Value) {
	if key.Kind != yaml.ScalarNode {
		d.fault(key, "type", "a filter's word is text", `write "- strip: 1"`)
		return
	}
	d.word(key, key.Value, settings, v)
}

// word makes the Config of a filter and fills it. Settings nil or empty means
// the filter's defaults.
func (d *decoder) word(at *yaml.Node, word string, settings *yaml.Node, v reflect.Value) {
	mk, ok := d.kinds[word]
	if !ok {
		words := make([]string, 0, len(d.kinds))
		for w := range d.kinds {
			words = append(words, w)
		}
		d.fault(at, "unknown-filter", fmt.Sprintf("no filter is called %q", word), meant(word, words))
		return
	}
	cfg := mk()
	if settings != nil && !isNull(settings) {
		p := reflect.ValueOf(cfg)
		if p.Kind() != reflect.Pointer {
			// A Config that is a plain value is filled in a copy.
			box := reflect.New(p.Type())
			box.Elem().Set(p)
			d.value(settings, box.Elem())
			cfg, _ = reflect.TypeAssert[filter.Config](box.Elem())
		} else {
			d.value(settings, p.Elem())
		}
	}
	v.Set(reflect.ValueOf(filter.Named{Word: word, Config: cfg}))
}

// free reads a value whose shape is the user's own, such as a body given as YAML.
func (d *decoder) free(n *yaml.Node, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		var out any
		d.alias(n, reflect.ValueOf(&out).Elem())
		return out
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for _, p := range d.pairs(n) {
			var x any
			d.freeInto(p.value, &x, depth)
			out[p.key.Value] = x
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			d.freeInto(c, &out[i], depth)
		}
		return out
	default:
		return d.freeScalar(n)
	}
}

func (d *decoder) freeInto(n *yaml.Node, out *any, depth int) {
	if isNull(n) {
		return // null is a value of its own here
	}
	if d.inside > 0 {
		d.value(n, reflect.ValueOf(out).Elem()) // counted
		return
	}
	*out = d.free(n, depth+1)
}

func (d *decoder) freeScalar(n *yaml.Node) any {
	text, ok := d.text(n)
	if !ok {
		return nil
	}
	switch n.ShortTag() {
	case "!!bool":
		return n.Value == "true" || n.Value == "True" || n.Value == "TRUE"
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f-f == 0 {
			return f
		}
	}
	return text.text
}
