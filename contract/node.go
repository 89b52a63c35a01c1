package contract

import (
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/scan"
)

// Kind is what a Node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// Node is a value of a contract's file, with its place. Numbers keep their text.
type Node struct {
	diag.Position

	// Length is the number of characters of a scalar, for underlining.
	Length int
	Kind   Kind
	// Text is a scalar's: the text of a string, "true", "false", or the digits of a number.
	Text string
	// Entries are an object's, in the order of the file.
	Entries []Entry
	// Items are a list's.
	Items []*Node
}

// Entry is a member of an object.
type Entry struct{ Key, Value *Node }

// Decode reads a text of a file that is not JSON: package config brings YAML.
type Decode func(name string, text []byte) (*Node, []diag.Finding)

// Get gives the member of that name, or nil. A nil Node has none.
func (n *Node) Get(name string) *Node {
	if n == nil || n.Kind != Object {
		return nil
	}
	for i := range n.Entries {
		if n.Entries[i].Key.Text == name {
			return n.Entries[i].Value
		}
	}
	return nil
}

// has tells whether there is a member of one of the names.
func (n *Node) has(names ...string) bool {
	for _, name := range names {
		if n.Get(name) != nil {
			return true
		}
	}
	return false
}

// str is the text of a member that is a string, else "".
func (n *Node) str(name string) string {
	if v := n.Get(name); v != nil && v.Kind == String {
		return v.Text
	}
	return ""
}

// is tells whether a member is true.
func (n *Node) is(name string) bool {
	v := n.Get(name)
	return v != nil && v.Kind == Bool && v.Text == "true"
}

// scalar tells whether the node has one value.
func (n *Node) scalar() bool { return n.Kind < List }

// json is the node as a JSON text.
func (n *Node) json() string { return string(n.append(nil)) }

func (n *Node) append(dst []byte) []byte {
	switch n.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number:
		return append(dst, n.Text...)
	case String:
		return scan.AppendText(dst, n.Text)
	case List:
		dst = append(dst, '[')
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.append(dst)
		}
		return append(dst, ']')
	default:
		dst = append(dst, '{')
		for i, e := range n.Entries {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.Value.append(append(scan.AppendText(dst, e.Key.Text), ':'))
		}
		return append(dst, '}')
	}
}

// step is a reference token of a JSON pointer (RFC 6901 §3).
func step(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// unstep reads a reference token (RFC 6901 §4).
func unstep(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}

// at follows a JSON pointer; nil when it leads nowhere.
func (n *Node) at(pointer string) *Node {
	for _, token := range strings.Split(pointer, "/")[1:] {
		switch {
		case n == nil:
			return nil
		case n.Kind == List:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n.Items) {
				return nil
			}
			n = n.Items[i]
		default:
			n = n.Get(unstep(token))
		}
	}
	return n
}

// walk visits the node and all inside, with their pointers below base, until
// visit says false.
func (n *Node) walk(base string, visit func(n *Node, pointer string) bool) {
	if !visit(n, base) {
		return
	}
	for i := range n.Entries {
		n.Entries[i].Value.walk(base+"/"+step(n.Entries[i].Key.Text), visit)
	}
	for i, item := range n.Items {
		item.walk(base+"/"+strconv.Itoa(i), visit)
	}
}
