package sketch

import (
	"strconv"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// Reader collects what is found while an input is read.
type Reader struct {
	// Findings in the order in which they came.
	Findings []diag.Finding

	seen map[string]bool
}

// Lost tells of something that is missing in the output.
func (r *Reader) Lost(at *config.Tree, code, fix, text string) {
	r.find(at, diag.Error, code, fix, text)
}

// Look tells of something that is there, but differently.
func (r *Reader) Look(at *config.Tree, code, fix, text string) {
	r.find(at, diag.Warning, code, fix, text)
}

func (r *Reader) find(at *config.Tree, s diag.Severity, code, fix, text string) {
	f := diag.Finding{Severity: s, Code: code, Text: Comment(text), Fix: Comment(fix)}
	if at != nil {
		f.Position, f.Length = at.Position, at.Length
	}
	key := f.Position.String() + f.Text
	if r.seen == nil {
		r.seen = make(map[string]bool)
	}
	if !r.seen[key] {
		r.seen[key] = true
		r.Findings = append(r.Findings, f)
	}
}

// Object reads a mapping of the input and knows which of its keys were taken.
// Methods of nil, which is no mapping, give nothing.
type Object struct {
	// Tree is the mapping, Path its place in words.
	Tree *config.Tree
	Path string

	r     *Reader
	taken []bool
}

// Object reads a mapping; of anything else it is a finding and nil.
func (r *Reader) Object(t *config.Tree, path string) *Object {
	if t == nil || t.Kind == config.TreeNull {
		return nil
	}
	if t.Kind != config.TreeMapping {
		r.Lost(t, "type", "write an object", path+" is not an object")
		return nil
	}
	return &Object{Tree: t, Path: path, r: r, taken: make([]bool, len(t.Entries))}
}

// Get takes a key and gives its value, nil when it is not there. Of a key that
// stands twice the last one counts.
func (o *Object) Get(key string) *config.Tree {
	if o == nil {
		return nil
	}
	var out *config.Tree
	for i := range o.Tree.Entries {
		if o.Tree.Entries[i].Key.Text == key {
			o.taken[i] = true
			out = o.Tree.Entries[i].Value
		}
	}
	return out
}

// Key gives where a key is written, the mapping itself when it is not there.
func (o *Object) Key(key string) *config.Tree {
	for i := range o.Tree.Entries {
		if o.Tree.Entries[i].Key.Text == key {
			return o.Tree.Entries[i].Key
		}
	}
	return o.Tree
}

// Object takes a key whose value is a mapping.
func (o *Object) Object(key string) *Object {
	if o == nil {
		return nil
	}
	return o.r.Object(o.Get(key), o.Path+"."+key)
}

// List takes a key whose value is a list; a single value stands for a list of it.
func (o *Object) List(key string) []*config.Tree {
	t := o.Get(key)
	switch {
	case t == nil || t.Kind == config.TreeNull:
		return nil
	case t.Kind == config.TreeList:
		return t.Items
	}
	return []*config.Tree{t}
}

// Text takes a key whose value is a scalar; "" when it is not there.
func (o *Object) Text(key string) string {
	t := o.Get(key)
	if t == nil || t.Kind == config.TreeNull {
		return ""
	}
	if t.Kind != config.TreeScalar {
		o.r.Lost(t, "type", "write a single value", o.Path+"."+key+" is not a single value")
		return ""
	}
	return t.Text
}

// Texts takes a key whose value is a list of scalars.
func (o *Object) Texts(key string) []string {
	var out []string
	for _, t := range o.List(key) {
		if t.Kind != config.TreeScalar {
			o.r.Lost(t, "type", "write a list of single values", o.Path+"."+key+" holds something that is not a single value")
			continue
		}
		out = append(out, t.Text)
	}
	return out
}

// True takes a key that may be true.
func (o *Object) True(key string) bool { return strings.EqualFold(o.Text(key), "true") }

// Number takes a key whose value is a whole number of 0 and more; ok is false
// when it is not there or is none, which is a finding.
func (o *Object) Number(key string) (n int, ok bool) {
	text := o.Text(key)
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		o.r.Lost(o.Get(key), "value", "write a whole number", o.Path+"."+key+": "+Shorten(text)+" is no whole number")
		return 0, false
	}
	return n, true
}

// Rest calls fn for each key that nobody took.
func (o *Object) Rest(fn func(key, value *config.Tree)) {
	if o == nil {
		return
	}
	for i, e := range o.Tree.Entries {
		if !o.taken[i] {
			o.taken[i] = true
			fn(e.Key, e.Value)
		}
	}
}

// LastLine is the last line that a value of the input touches.
func LastLine(t *config.Tree) int {
	last := t.Line
	for _, e := range t.Entries {
		last = max(last, e.Key.Line, LastLine(e.Value))
	}
	for _, item := range t.Items {
		last = max(last, LastLine(item))
	}
	return last
}
