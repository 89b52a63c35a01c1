package contract

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/scan"
)

// maxDepth is the deepest nesting of a contract's file.
const maxDepth = 64

// looksJSON tells whether a text is meant as JSON.
func looksJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// readJSON reads a JSON text as Nodes.
func readJSON(name string, text []byte) (*Node, []diag.Finding) {
	tape := scan.NewTape()
	defer tape.Release()
	if err := scan.Scan(nil, text, tape); err != nil {
		f := diag.Finding{Position: diag.Position{File: name}, Code: "syntax", Text: "the file is no JSON", Fix: "mend it there"}
		if fault, ok := errors.AsType[*scan.Error](err); ok {
			f.Line, f.Column, f.Text = fault.Line, fault.Column, "the file is no JSON: "+string(fault.Reason)
		}
		return nil, []diag.Finding{f}
	}
	r := jsonReader{name: name, text: text, line: 1}
	n := r.value(0)
	return n, r.findings
}

// jsonReader reads a text whose grammar was checked.
type jsonReader struct {
	name     string
	text     []byte
	i        int
	line     int
	begin    int // of the line
	findings []diag.Finding
}

func (r *jsonReader) space() {
	for r.i < len(r.text) && r.text[r.i] <= ' ' {
		if r.text[r.i] == '\n' {
			r.line++
			r.begin = r.i + 1
		}
		r.i++
	}
}

func (r *jsonReader) node(k Kind) *Node {
	column := utf8.RuneCount(r.text[r.begin:r.i]) + 1
	return &Node{Position: diag.Position{File: r.name, Line: r.line, Column: column}, Length: 1, Kind: k}
}

func (r *jsonReader) value(depth int) *Node {
	r.space()
	switch c := r.text[r.i]; c {
	case '{', '[':
		n := r.node(List)
		if c == '{' {
			n.Kind = Object
		}
		if depth >= maxDepth {
			r.findings = append(r.findings, diag.Finding{
				Position: n.Position, Code: "limit",
				Text: "values nest deeper than 64 levels", Fix: "write the file flatter",
			})
			r.i = len(r.text)
			return n
		}
		r.inside(n, depth)
		return n
	case '"':
		return r.quoted()
	default:
		n, start := r.node(Number), r.i
		for r.i < len(r.text) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(r.text[r.i])) {
			r.i++
		}
		n.Text = string(r.text[start:r.i])
		n.Length = r.i - start
		switch c {
		case 't', 'f':
			n.Kind = Bool
		case 'n':
			n.Kind, n.Text = Null, ""
		}
		return n
	}
}

// inside reads the members or elements of n up to its bracket.
func (r *jsonReader) inside(n *Node, depth int) {
	r.i++
	for r.space(); r.i < len(r.text); r.space() {
		switch r.text[r.i] {
		case '}', ']':
			r.i++
			return
		case ',', ':':
			r.i++
			continue
		}
		if n.Kind == List {
			n.Items = append(n.Items, r.value(depth+1))
			continue
		}
		key := r.quoted()
		if n.Get(key.Text) != nil {
			r.findings = append(r.findings, diag.Finding{
				Position: key.Position, Length: key.Length, Code: "key-twice",
				Text: "the name stands twice in this object", Fix: "remove one of them",
			})
		}
		r.space()
		r.i++ // the colon
		n.Entries = append(n.Entries, Entry{key, r.value(depth + 1)})
	}
}

func (r *jsonReader) quoted() *Node {
	n, start := r.node(String), r.i
	for r.i++; r.text[r.i] != '"'; r.i++ {
		if r.text[r.i] == '\\' {
			r.i++
		}
	}
	r.i++
	n.Text = string(scan.Unquote(nil, r.text[start:r.i]))
	n.Length = utf8.RuneCount(r.text[start:r.i])
	return n
}
