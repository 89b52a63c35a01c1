package config

import (
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
)

// Source is the text a File was read from. It knows where each value was
// written, so that faults found later still name line and column.
type Source struct {
	// Name is the path as it was given, for findings.
	Name string
	// Text is the file's bytes.
	Text []byte

	root  *yaml.Node
	split sync.Once // of lines: places are asked for from several goroutines
	lines []string
	// hidden are values that came from the environment, with what stands for
	// them in the file: a finding never shows such a value.
	hidden []hidden
}

type hidden struct{ value, shown string }

// secret remembers a text that came from the environment.
func (s *Source) secret(value, shown string) {
	const shortest = 4 // a shorter one would blank out ordinary words
	if len(value) < shortest || value == shown {
		return
	}
	for _, h := range s.hidden {
		if h.value == value {
			return
		}
	}
	s.hidden = append(s.hidden, hidden{value, shown})
}

// hide puts ${NAME} back where a value of the environment would show, and makes
// one line of a text that quotes a value of several.
func (s *Source) hide(text string) string {
	for _, h := range s.hidden {
		text = strings.ReplaceAll(text, h.value, h.shown)
	}
	if strings.ContainsAny(text, "\n\r") {
		text = strings.Join(strings.Fields(text), " ")
	}
	return text
}

// at is the place of a node.
func (s *Source) at(n *yaml.Node) diag.Position {
	return diag.Position{File: s.Name, Line: n.Line, Column: n.Column}
}

// length is the number of characters of a scalar on its first line, or 1.
func (s *Source) length(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return 1 + utf8.RuneCountInString(n.Value)
	}
	line := s.from(n)
	if n.Kind != yaml.ScalarNode || line == "" {
		return 1
	}
	switch quote := line[0]; {
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && (quote == '"' || quote == '\''):
		for i := 1; i < len(line); i++ {
			switch {
			case quote == '"' && line[i] == '\\', quote == '\'' && strings.HasPrefix(line[i:], "''"):
				i++
			case line[i] == quote:
				return utf8.RuneCountInString(line[:i+1])
			}
		}
	case n.Value != "" && strings.HasPrefix(line, n.Value):
		return utf8.RuneCountInString(n.Value)
	}
	return 1
}

// from is the text of a node's line from the node on.
func (s *Source) from(n *yaml.Node) string {
	s.split.Do(func() { s.lines = diag.SplitLines(s.Text) })
	if n.Line < 1 || n.Line > len(s.lines) {
		return ""
	}
	line := s.lines[n.Line-1]
	for column := 1; column < n.Column && line != ""; column++ {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}

// Position gives the place of a path such as "routes[3].match"; for a path
// that is not in the file, the place of what it is nearest to. Without a text
// (defaults, flags) it is the zero Position.
func (s *Source) Position(path string) diag.Position {
	return s.place(path).Position
}

// has tells whether the file has a value at the path.
func (s *Source) has(path string) bool {
	return s.root != nil && walk(s.root, path).rest == ""
}

// key gives the key at the end of a path, or nil.
func (s *Source) key(path string) *yaml.Node {
	if s.root == nil {
		return nil
	}
	found := walk(s.root, path)
	if found.rest != "" {
		return nil
	}
	return found.key
}

// spot is where a path leads.
type spot struct {
	diag.Position

	length int
	rest   string     // the part of the path that is not in the file
	node   *yaml.Node // the deepest value found; nil without a text
}

// place finds a path in the file.
func (s *Source) place(path string) spot {
	p := spot{Position: diag.Position{File: s.Name}, rest: path, node: s.root}
	if s.root == nil {
		return p
	}
	found := walk(s.root, path)
	if found.rest == path && path != "" {
		return p
	}
	n := found.node
	p.node, p.rest = n, strings.TrimPrefix(found.rest, ".")
	// A block is named by its key: its own place is that of its first key.
	if flow := n.Style&yaml.FlowStyle != 0; found.key != nil && (n.Kind != yaml.ScalarNode && !flow || isNull(n)) {
		n = found.key
	}
	p.Position, p.length = s.at(n), s.length(n)
	return p
}

// inside moves a spot to a byte of its value, where the text is written as it is:
// in a literal block, or on one line.
func (s *Source) inside(at *spot, offset int) {
	n := follow(at.node)
	if n == nil || n.Kind != yaml.ScalarNode || offset > len(n.Value) {
		return
	}
	before := n.Value[:offset]
	line := strings.Count(before, "\n")
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	if n.Style&yaml.LiteralStyle == 0 {
		if line > 0 || n.Style&yaml.FoldedStyle != 0 {
			return
		}
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			column++
		}
		at.Position, at.length = s.at(n), 1
		at.Column += column
		return
	}
	s.split.Do(func() { s.lines = diag.SplitLines(s.Text) })
	first := n.Line // of the text, from 0: the line after the one with the "|"
	indent := 0
	for _, l := range s.lines[min(first, len(s.lines)):] {
		if text := strings.TrimLeft(l, " "); text != "" {
			indent = len(l) - len(text)
			break
		}
	}
	at.Line, at.Column, at.length = first+1+line, indent+1+column, 1
}

// located is a finding with the value that it is about.
type located struct {
	diag.Finding

	node *yaml.Node
}

// Findings turns the field errors of a package ([diag.FieldError], paths as in
// the file) into findings with their places.
func (s *Source) Findings(err error) []diag.Finding {
	var out []diag.Finding
	for _, l := range s.locate(err) {
		out = append(out, l.Finding)
	}
	return tidy(out)
}

func (s *Source) locate(err error) []located {
	var out []located
	for _, e := range diag.Flatten(err) {
		at := s.place(e.Path)
		if e.Offset > 0 && at.rest == "" {
			s.inside(&at, e.Offset)
		}
		f := diag.Finding{
			Position: at.Position, Length: at.length, Code: codeOr(e.Code, "value"),
			Text: s.hide(e.Text), Fix: s.hide(e.Fix), Example: s.hide(e.Example),
		}
		if e.Warn {
			f.Severity = diag.Warning
		}
		f.Text = named(at.node, at.rest, f.Text)
		if e.Position.Line > 0 {
			f.Related = append(f.Related, diag.Related{Position: at.Position, Length: at.length, Text: "named here"})
			f.Position, f.Length, f.Text = e.Position, e.Length, s.hide(e.Text)
		}
		for _, r := range e.Related {
			f.Related = append(f.Related, s.related(r))
		}
		out = append(out, located{f, at.node})
	}
	return out
}

// named puts the part of a path that is not in the file before a text, where a
// reader would miss it: a key that a mapping lacks. A short form has no keys.
func named(n *yaml.Node, rest, text string) string {
	if n = follow(n); rest == "" || strings.HasPrefix(rest, "[") || n != nil && n.Kind != yaml.MappingNode {
		return text
	}
	return rest + ": " + text
}

// related places a path that a field error names besides its own. It may be
// relative to the whole file or to the Config that named it.
func (s *Source) related(path string) diag.Related {
	for try := path; ; {
		at := s.place(try)
		if at.rest == "" {
			return diag.Related{Position: at.Position, Length: at.length, Text: "see " + try}
		}
		i := strings.IndexByte(try, '.')
		if i < 0 {
			break
		}
		try = try[i+1:]
	}
	at := s.place(path)
	return diag.Related{Position: at.Position, Length: at.length, Text: "see " + path}
}
