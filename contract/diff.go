package contract

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Level is how much a change of a contract matters to those who use it.
type Level uint8

// The levels, from what nobody has to know.
const (
	Info     Level = iota // callers go on as before
	Warn                  // some may not: one that knows all values of an enum, say
	Breaking              // a request that was good is refused now, or an answer lacks what was promised
)

// String gives the word of the command line.
func (l Level) String() string { return [...]string{"info", "warning", "breaking"}[l] }

// MarshalText writes the word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Change is one difference between two versions of a contract.
type Change struct {
	// Position is where the new version says it; of what is gone, where the old one did.
	diag.Position

	Level Level `json:"level"`
	// Code names the kind of change, for programs: "member-removed".
	Code string `json:"code"`
	// Operation is "GET /members/{id}", and Where the part of it: "parameter limit",
	// "request", "response 200". Both are empty for a bare JSON Schema.
	Operation string `json:"operation,omitempty"`
	Where     string `json:"where,omitempty"`
	// Pointer is the place in the message, "/items/*/price"; "" is the whole.
	Pointer string `json:"pointer,omitempty"`
	// Text is the change in words.
	Text string `json:"text"`
}

// Version is one version of a contract: the arguments of [Load].
type Version struct {
	FS      fs.FS
	Name    string
	Options Options
}

// Diff tells what changed from one version of a contract to the next, as callers
// see it: a request may become easier and an answer more exact, never the other way
// round. Operations are matched by method and path, whatever the names in the path;
// schemas by where they stand, so that a new name for the same schema is no change.
// The findings are those of the versions; with an error among them there is no diff.
func Diff(before, after Version) ([]Change, []diag.Finding) {
	a, found := before.open()
	b, more := after.open()
	found = append(found, more...)
	if a == nil || b == nil {
		return nil, found
	}
	d := differ{before: a, after: b, seen: make(map[[2]*Node]bool)}
	if a.openapi && b.openapi {
		d.operations()
	} else {
		d.schemas(toService, "", a.root, a.root.node, b.root, b.root.node)
	}
	slices.SortStableFunc(d.changes, func(x, y Change) int { return cmp.Compare(y.Level, x.Level) })
	return d.changes, found
}

// version is a contract that can be walked through.
type version struct {
	*compiler

	contract *Contract
	root     *document
	openapi  bool
}

// open reads a version; nil when it has errors.
func (v Version) open() (*version, []diag.Finding) {
	c, findings := Load(v.FS, v.Name, v.Options)
	if c == nil {
		return nil, findings
	}
	l := &loader{fsys: v.FS, opt: v.Options, docs: make(map[string]*document)}
	root := l.document(path.Clean(v.Name))
	openapi := root.node.has("openapi")
	old := openapi && strings.HasPrefix(root.node.Get("openapi").Text, "3.0")
	return &version{newCompiler(l, openapi, old), c, root, openapi}, findings
}

// differ compares two versions.
type differ struct {
	before, after *version

	changes   []Change
	operation string
	where     string
	seen      map[[2]*Node]bool // pairs of schemas that are being compared
	pairs     int               // that were
}

func (d *differ) add(l Level, at *Node, code, pointer, format string, words ...any) {
	d.changes = append(d.changes, Change{
		Position: at.Position, Level: l, Code: code, Operation: d.operation, Where: d.where, Pointer: pointer, Text: fmt.Sprintf(format, words...),
	})
}

// action is one operation where it stands.
type action struct {
	name string // "GET /members/{id}"
	doc  *document
	item *Node // of its path
	node *Node
}

// actions are the operations by method and path without the names in it.
func (v *version) actions() (keys []string, byKey map[string]action) {
	byKey = make(map[string]action)
	paths := v.root.node.Get("paths")
	if paths == nil {
		return nil, byKey
	}
	for _, e := range paths.Entries {
		doc, item := v.deref(v.root, e.Value)
		if item == nil || !strings.HasPrefix(e.Key.Text, "/") {
			continue
		}
		for _, method := range methods() {
			op := item.Get(method)
			if op == nil {
				continue
			}
			method = strings.ToUpper(method)
			key := method + " " + nameless(e.Key.Text)
			keys = append(keys, key)
			byKey[key] = action{method + " " + e.Key.Text, doc, item, op}
		}
	}
	return keys, byKey
}

// nameless is a path without the names of its parameters.
func nameless(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

func (d *differ) operations() {
	keys, was := d.before.actions()
	newKeys, is := d.after.actions()
	for _, key := range keys {
		a := was[key]
		d.operation, d.where = a.name, ""
		b, kept := is[key]
		switch {
		case kept:
			d.action(a, b)
		case a.node.is("deprecated"):
			d.add(Warn, a.node, "operation-removed", "", "the operation, which was deprecated, is gone")
		default:
			d.add(Breaking, a.node, "operation-removed", "", "the operation is gone")
		}
	}
	for _, key := range newKeys {
		if _, known := was[key]; !known {
			d.operation, d.where = is[key].name, ""
			d.add(Info, is[key].node, "operation-added", "", "the operation is new")
		}
	}
}

func (d *differ) action(a, b action) {
	if !a.node.is("deprecated") && b.node.is("deprecated") {
		d.add(Info, b.node.Get("deprecated"), "operation-deprecated", "", "the operation is deprecated now")
	}
	d.parameters(a, b)
	d.requests(a, b)
	d.responses(a, b)
}

// place is a node with its document.
type place struct {
	doc  *document
	node *Node
}

// parameters are those of an operation by where they are and what they are called;
// those of the path by their position in it.
func (v *version) parameters(a action) (keys []string, byKey map[string]place) {
	byKey = make(map[string]place)
	_, template, _ := strings.Cut(a.name, " ")
	for _, p := range slices.Concat(items(a.node.Get("parameters")), items(a.item.Get("parameters"))) {
		doc, n := v.deref(a.doc, p)
		if n == nil {
			continue
		}
		in, name := n.str("in"), n.str("name")
		key := in + " " + name
		switch in {
		case "path":
			key = fmt.Sprintf("path %d", slices.Index(strings.Split(template, "/"), "{"+name+"}"))
		case "header":
			key = strings.ToLower(key)
		}
		if _, known := byKey[key]; !known { // the operation's own come first
			keys = append(keys, key)
			byKey[key] = place{doc, n}
		}
	}
	return keys, byKey
}

func (d *differ) parameters(a, b action) {
	keys, was := d.before.parameters(a)
	newKeys, is := d.after.parameters(b)
	for _, key := range keys {
		old := was[key]
		d.where = "parameter " + old.node.str("name")
		now, kept := is[key]
		if !kept {
			d.add(Warn, old.node, "parameter-removed", "", "the %s parameter is gone: what callers send is not looked at any more", old.node.str("in"))
			continue
		}
		switch wasNeeded, needed := old.node.is("required"), now.node.is("required"); {
		case needed && !wasNeeded:
			d.add(Breaking, now.node, "parameter-required", "", "the parameter is required now")
		case wasNeeded && !needed:
			d.add(Info, now.node, "parameter-optional", "", "the parameter is no longer required")
		}
		if from, to := old.node.Get("schema"), now.node.Get("schema"); from != nil && to != nil {
			d.schemas(toService, "", old.doc, from, now.doc, to)
		}
	}
	for _, key := range newKeys {
		if _, known := was[key]; known {
			continue
		}
		now := is[key].node
		d.where = "parameter " + now.str("name")
		if now.is("required") {
			d.add(Breaking, now, "parameter-added", "", "a required parameter is new")
		} else {
			d.add(Info, now, "parameter-added", "", "an optional parameter is new")
		}
	}
}

func (d *differ) requests(a, b action) {
	d.where = "request"
	oldDoc, old := d.before.deref(a.doc, a.node.Get("requestBody"))
	doc, now := d.after.deref(b.doc, b.node.Get("requestBody"))
	switch {
	case old == nil && now == nil:
	case old == nil && now.is("required"):
		d.add(Breaking, now, "body-required", "", "a body is required now")
	case old == nil:
		d.add(Info, now, "body-added", "", "a body may be sent now")
	case now == nil:
		d.add(Warn, old, "body-removed", "", "the body is gone: what callers send is not looked at any more")
	default:
		if now.is("required") && !old.is("required") {
			d.add(Breaking, now, "body-required", "", "a body is required now")
		}
		d.media(toService, place{oldDoc, old}, place{doc, now})
	}
}

func (d *differ) responses(a, b action) {
	old, now := a.node.Get("responses"), b.node.Get("responses")
	if old == nil {
		old = &Node{Kind: Object}
	}
	for _, e := range old.Entries {
		status := e.Key.Text
		d.where = "response " + status
		next := now.Get(status)
		if next == nil {
			if strings.HasPrefix(status, "2") {
				d.add(Breaking, e.Key, "response-removed", "", "the answer %s is gone", status)
			} else {
				d.add(Info, e.Key, "response-removed", "", "the answer %s is gone", status)
			}
			continue
		}
		oldDoc, from := d.before.deref(a.doc, e.Value)
		doc, to := d.after.deref(b.doc, next)
		if from != nil && to != nil {
			d.media(toClient, place{oldDoc, from}, place{doc, to})
		}
	}
	if now == nil {
		return
	}
	for _, e := range now.Entries {
		if old.Get(e.Key.Text) == nil {
			d.where = "response " + e.Key.Text
			level := Info
			if strings.HasPrefix(e.Key.Text, "2") {
				level = Warn
			}
			d.add(level, e.Key, "response-added", "", "the answer %s is new", e.Key.Text)
		}
	}
}

// media compares the content of bodies.
func (d *differ) media(way direction, old, now place) {
	was, is := old.node.Get("content"), now.node.Get("content")
	if was == nil {
		return
	}
	for _, e := range was.Entries {
		next := is.Get(e.Key.Text)
		if next == nil {
			d.add(Breaking, e.Key, "media-type-removed", "", "the type %s is gone", e.Key.Text)
			continue
		}
		if from, to := e.Value.Get("schema"), next.Get("schema"); from != nil && to != nil {
			d.schemas(way, "", old.doc, from, now.doc, to)
		}
	}
	if is == nil {
		return
	}
	for _, e := range is.Entries {
		if was.Get(e.Key.Text) == nil {
			d.add(Info, e.Key, "media-type-added", "", "the type %s is new", e.Key.Text)
		}
	}
}
