package config

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
)

// A file of 10,000 routes takes the YAML reader 50 ms, which is all the time a
// change may take to become live. So a large file is cut into pieces (the
// top-level keys, and groups of entries below them), the pieces are read side by
// side, and a Loader keeps those whose text did not change. Cutting is by indent
// alone, and careful: a piece that can't be read on its own, or that holds
// another number of entries than were cut, sends the whole file to the reader.
//
// When the whole file can't be read, the same pieces say which parts are at
// fault, and the others are still checked.

const (
	// wholeBelow is the size up to which cutting is not worth it.
	wholeBelow = 32 << 10
	// groupBytes is about the size of a group of entries. Groups end by the
	// hash of an entry, so that an entry put in or taken out changes one group.
	groupBytes = 2 << 10
)

// part is one top-level key of the file.
type part struct {
	key    *yaml.Node
	groups []*group // of the entries of its value; one group with the key itself if not cut
	whole  bool     // the only group holds key and value
}

// group is a run of lines that is read on its own.
type group struct {
	text    []byte
	line    int // lines of the file before it
	entries int // that it must hold; 0 is not known
	kind    yaml.Kind
	indent  int

	node     *yaml.Node
	findings []diag.Finding
}

// parse reads the file's text. On findings the node is nil, or holds what could be read.
func (l *Loader) parse(name string, text []byte) (*yaml.Node, []diag.Finding) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(text) < wholeBelow {
		root, findings := parseWhole(name, text)
		if findings == nil {
			return root, nil
		}
		return l.salvage(name, text, findings)
	}
	parts := cut(text)
	if parts != nil {
		l.read(name, parts)
		if root := join(parts); root != nil {
			return root, nil
		}
	}
	root, findings := parseWhole(name, text)
	if findings == nil {
		return root, nil
	}
	return l.salvage(name, text, findings)
}

// salvage gives the findings of each piece that can't be read, and a node of
// those that can; or the findings it got when the pieces know nothing better.
func (l *Loader) salvage(name string, text []byte, findings []diag.Finding) (*yaml.Node, []diag.Finding) {
	parts := cut(text)
	if parts == nil {
		return nil, findings
	}
	l.read(name, parts)
	var better []diag.Finding
	for i := range parts {
		p := &parts[i]
		kept := p.groups[:0]
		for _, g := range p.groups {
			switch {
			case g.node == nil && len(g.findings) == 0: // nothing but comments
			case g.node == nil:
				for _, f := range g.findings {
					if !strings.HasPrefix(f.Text, "no anchor") { // it may be in another piece
						better = append(better, f)
					}
				}
			case g.fits():
				kept = append(kept, g)
			}
		}
		p.groups = kept
	}
	if better == nil {
		return nil, findings
	}
	return assemble(parts), better
}

// cut divides a text into its top-level keys, and long values into groups of
// entries. It gives nil for a text that it does not understand.
func cut(text []byte) []part {
	lines := cutLines(text)
	var parts []part
	start := -1
	flush := func(end int) bool {
		if start < 0 {
			return true
		}
		p, ok := cutPart(lines, start, end)
		parts = append(parts, p)
		return ok
	}
	for i, line := range lines {
		if skippable(line.text) || line.text[0] == ' ' || line.text[0] == '\t' || isEntry(line.text) {
			if start < 0 && !skippable(line.text) {
				return nil
			}
			continue
		}
		if keyLength(line.text) == 0 || !flush(i) {
			return nil
		}
		start = i
	}
	if !flush(len(lines)) {
		return nil
	}
	return parts
}

type textLine struct {
	text []byte // without its break
	all  []byte // with it and all that follows in the file
}

func cutLines(text []byte) []textLine {
	lines := make([]textLine, 0, bytes.Count(text, []byte("\n"))+1)
	for len(text) > 0 {
		i := bytes.IndexAny(text, "\r\n")
		if i < 0 {
			return append(lines, textLine{text, text})
		}
		end := i + 1
		if text[i] == '\r' && end < len(text) && text[end] == '\n' {
			end++
		}
		lines = append(lines, textLine{text[:i], text})
		text = text[end:]
	}
	return lines
}

// span is the text of the lines from start to before end.
func span(lines []textLine, start, end int) []byte {
	if end == len(lines) {
		return lines[start].all
	}
	return lines[start].all[:len(lines[start].all)-len(lines[end].all)]
}

// skippable tells blank lines and lines of nothing but a comment.
func skippable(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return len(line) == 0 || line[0] == '#'
}

// isEntry tells whether a line, without its indent, starts an entry of a list.
func isEntry(line []byte) bool {
	return line[0] == '-' && (len(line) == 1 || line[1] == ' ')
}

// keyLength is the length of a plain key at the start of a line, or 0.
func keyLength(line []byte) int {
	i := 0
	for i < len(line) && (line[i] >= 'a' && line[i] <= 'z' || line[i] >= 'A' && line[i] <= 'Z' ||
		i > 0 && (line[i] >= '0' && line[i] <= '9' || line[i] == '-' || line[i] == '_' || line[i] == '.')) {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' || i+1 < len(line) && line[i+1] != ' ' {
		return 0
	}
	return i
}

// cutPart divides one top-level key; the key is at lines[start].
func cutPart(lines []textLine, start, end int) (part, bool) {
	head := lines[start].text
	n := keyLength(head)
	p := part{key: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: string(head[:n]), Line: start + 1, Column: 1}}
	first := start + 1
	for first < end && skippable(lines[first].text) {
		first++
	}
	if !skippable(head[n+1:]) || first == end || resolved(p.key.Value) {
		p.whole = true
		p.groups = []*group{{text: span(lines, start, end), line: start, entries: 1, kind: yaml.MappingNode}}
		return p, true
	}
	indent := len(lines[first].text) - len(bytes.TrimLeft(lines[first].text, " "))
	kind := yaml.MappingNode
	if isEntry(lines[first].text[indent:]) {
		kind = yaml.SequenceNode
	}
	if kind == yaml.MappingNode && indent == 0 {
		return p, false
	}
	g := &group{line: first, kind: kind, indent: indent}
	from, entry := first, first
	for i := first; i <= end; i++ {
		starts, ok := i == end, true
		if !starts {
			starts, ok = entryStart(lines[i].text, indent, kind)
		}
		if !ok {
			return p, false
		}
		if !starts {
			continue
		}
		if i > entry || i == end {
			g.entries++
		}
		if i == end || i > entry && groupEnds(span(lines, entry, i)) {
			g.text = span(lines, from, i)
			p.groups = append(p.groups, g)
			g, from = &group{line: i, kind: kind, indent: indent}, i
		}
		entry = i
	}
	return p, true
}

// resolved tells keys that YAML does not take as text.
func resolved(key string) bool {
	switch strings.ToLower(key) {
	case "true", "false", "null":
		return true
	default:
		return false
	}
}

// entryStart tells whether a line starts an entry at this indent; not ok is a
// line that does not belong there.
func entryStart(line []byte, indent int, kind yaml.Kind) (starts, ok bool) {
	if skippable(line) {
		return false, true
	}
	have := len(line) - len(bytes.TrimLeft(line, " "))
	switch {
	case have < indent:
		return false, false
	case have > indent:
		return false, true
	case kind == yaml.SequenceNode:
		return isEntry(line[indent:]), isEntry(line[indent:])
	default:
		ok = keyLength(line[indent:]) > 0
		return ok, ok
	}
}

// groupEnds tells by the text of an entry whether its group ends after it.
func groupEnds(entry []byte) bool {
	h := uint32(2166136261) // FNV-1a
	for _, c := range entry {
		h = (h ^ uint32(c)) * 16777619
	}
	return h%groupBytes < uint32(min(len(entry), groupBytes))
}

// read parses all groups, those that the Loader does not hold side by side.
func (l *Loader) read(name string, parts []part) {
	held := make(map[string]*yaml.Node)
	var open []*group
	for i := range parts {
		for _, g := range parts[i].groups {
			if n := l.pieces[string(g.text)]; n != nil {
				g.node = shifted(n, g.line+1-n.Line)
				held[string(g.text)] = g.node
				continue
			}
			open = append(open, g)
		}
	}
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(open))
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(open); i += workers {
				open[i].parse(name)
			}
		})
	}
	wg.Wait()
	for _, g := range open {
		if g.node != nil && g.node.Line == g.line+1 && !hasAlias(g.node) {
			held[string(g.text)] = g.node
		}
	}
	l.pieces = held
}

func (g *group) parse(name string) {
	defer func() {
		if r := recover(); r != nil {
			g.node, g.findings = nil, []diag.Finding{internal(name, r)}
		}
	}()
	var docs []yaml.Node
	err := yaml.Load(g.text, &docs, yaml.WithAllDocuments())
	switch {
	case err != nil:
		g.findings = syntaxFindings(name, g.text, err)
	case len(docs) > 1:
		g.findings = []diag.Finding{{
			Position: diag.Position{File: name, Line: docs[1].Line, Column: 1}, Code: "syntax",
			Text: "a second document starts here; the file is one document", Fix: `remove the line "---"`,
		}}
	case len(docs) == 1 && len(docs[0].Content) == 1:
		g.node = docs[0].Content[0]
		move(g.node, g.line)
	}
	for i := range g.findings {
		f := &g.findings[i]
		if f.Line == 0 {
			f.Line = 1
		}
		f.Line += g.line
		for j := range f.Related {
			f.Related[j].Line += g.line
		}
	}
}

// fits tells whether the group holds what was cut, and nothing else.
func (g *group) fits() bool {
	n := g.node
	if n == nil || n.Kind != g.kind || n.Anchor != "" || n.Style&(yaml.FlowStyle|yaml.TaggedStyle) != 0 || n.Column != g.indent+1 {
		return false
	}
	entries := len(n.Content)
	if g.kind == yaml.MappingNode {
		entries /= 2
	}
	return entries == g.entries
}

// join makes the whole file's node of its parts, or nil when one does not fit.
func join(parts []part) *yaml.Node {
	for i := range parts {
		for _, g := range parts[i].groups {
			if !g.fits() {
				return nil
			}
		}
	}
	return assemble(parts)
}

func assemble(parts []part) *yaml.Node {
	if len(parts) == 0 {
		return nil
	}
	root := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: parts[0].key.Line, Column: 1}
	for i := range parts {
		p := &parts[i]
		if len(p.groups) == 0 {
			continue
		}
		if p.whole {
			root.Content = append(root.Content, p.groups[0].node.Content...)
			continue
		}
		first := p.groups[0].node
		value := &yaml.Node{Kind: first.Kind, Tag: first.Tag, Line: first.Line, Column: first.Column}
		for _, g := range p.groups {
			value.Content = append(value.Content, g.node.Content...)
		}
		root.Content = append(root.Content, p.key, value)
	}
	return root
}

// move adds lines to all nodes of a tree.
func move(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		move(c, lines)
	}
}

// shifted is n with all its lines moved: n itself when nothing moves, else a copy.
func shifted(n *yaml.Node, lines int) *yaml.Node {
	if lines == 0 {
		return n
	}
	m := *n
	m.Line += lines
	m.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		m.Content[i] = shifted(c, lines)
	}
	return &m
}

// hasAlias tells trees whose nodes point at one another, which are not copied.
func hasAlias(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		return true
	}
	return slices.ContainsFunc(n.Content, hasAlias)
}

func internal(name string, r any) diag.Finding {
	return diag.Finding{
		Position: diag.Position{File: name}, Code: "syntax",
		Text: fmt.Sprintf("the YAML reader failed: %v", r), Fix: "simplify the file",
	}
}
