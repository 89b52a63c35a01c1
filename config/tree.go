package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
)

// Tree is a value of a YAML text that is no maru.yaml, with its place: what
// importers of other programs' files read. Aliases and merge keys are followed.
type Tree struct {
	diag.Position

	// Length is the number of characters of a scalar, for underlining.
	Length int
	// Kind says which of the fields below is used.
	Kind TreeKind
	// Text is a scalar as it was meant (without quotes), "" for null.
	Text string
	// Tag is what YAML takes a scalar for: "!!str", "!!int", "!!float", "!!bool".
	Tag string
	// Entries are a mapping's, in the order of the file. A key that stands twice
	// is there twice.
	Entries []TreeEntry
	// Items are a list's.
	Items []*Tree
}

// TreeEntry is a key of a mapping and its value.
type TreeEntry struct {
	Key   *Tree // a scalar
	Value *Tree
}

// TreeKind is what a Tree is.
type TreeKind uint8

// The kinds of Tree.
const (
	TreeScalar TreeKind = iota
	TreeNull
	TreeMapping
	TreeList
)

// ReadTrees reads a YAML text of several documents; name stands for it in the
// findings. Documents without content are left out. The bounds are those of a
// maru.yaml: 8 MiB, 64 levels, 200,000 values through aliases.
func ReadTrees(name string, text []byte) (docs []*Tree, findings []diag.Finding) {
	if findings := checkBytes(name, text); findings != nil {
		return nil, findings
	}
	defer func() {
		if r := recover(); r != nil { // the YAML reader's own fault
			docs, findings = nil, []diag.Finding{internal(name, r)}
		}
	}()
	var nodes []yaml.Node
	if err := yaml.Load(text, &nodes, yaml.WithAllDocuments()); err != nil {
		return nil, syntaxFindings(name, text, err)
	}
	r := treeReader{src: &Source{Name: name, Text: text}}
	for i := range nodes {
		if len(nodes[i].Content) == 0 || isNull(nodes[i].Content[0]) {
			continue
		}
		if t := r.read(nodes[i].Content[0], 1); t != nil {
			docs = append(docs, t)
		}
	}
	return docs, tidy(r.findings)
}

type treeReader struct {
	src      *Source
	inside   int // depth of aliases
	expanded int
	stopped  bool
	findings []diag.Finding
}

func (r *treeReader) fault(n *yaml.Node, code, text, fix string) {
	r.findings = append(r.findings, diag.Finding{Position: r.src.at(n), Length: r.src.length(n), Code: code, Text: text, Fix: fix})
}

// read gives a node as a Tree, or nil when a limit ends the reading.
func (r *treeReader) read(n *yaml.Node, depth int) *Tree {
	if r.stopped {
		return nil
	}
	if r.inside > 0 {
		r.expanded++
	}
	switch {
	case depth > maxDepth: // an alias inside what it names ends here too
		r.stopped = true
		r.fault(n, "limit", fmt.Sprintf("values nest deeper than %d levels", maxDepth), "write the file flatter")
		return nil
	case r.expanded > maxExpanded:
		r.stopped = true
		r.fault(n, "limit", fmt.Sprintf("aliases repeat more than %d values", maxExpanded), "write the values out, or fewer of them")
		return nil
	}
	t := &Tree{Position: r.src.at(n), Length: r.src.length(n)}
	switch n.Kind {
	case yaml.AliasNode:
		r.inside++
		defer func() { r.inside-- }()
		return r.read(n.Alias, depth+1)
	case yaml.MappingNode:
		t.Kind = TreeMapping
		r.mapping(t, n, depth)
	case yaml.SequenceNode:
		t.Kind = TreeList
		for _, c := range n.Content {
			if item := r.read(c, depth+1); item != nil {
				t.Items = append(t.Items, item)
			}
		}
	default:
		if t.Text, t.Tag = n.Value, n.ShortTag(); isNull(n) {
			t.Kind, t.Text = TreeNull, ""
		}
	}
	return t
}

// mapping reads the entries of a mapping; what "<<" names comes first, so that
// the mapping's own keys count.
func (r *treeReader) mapping(t *Tree, n *yaml.Node, depth int) {
	var own []TreeEntry
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			r.fault(k, "type", "a key is a word, not "+kindOf(k), "write the key as text")
			continue
		}
		value := r.read(v, depth+1)
		if value == nil {
			continue
		}
		if k.ShortTag() == "!!merge" {
			t.merge(value)
			continue
		}
		own = append(own, TreeEntry{&Tree{Position: r.src.at(k), Length: r.src.length(k), Text: k.Value}, value})
	}
	for _, e := range own {
		t.drop(e.Key.Text)
	}
	t.Entries = append(t.Entries, own...)
}

// merge adds the entries of a mapping, or of each of a list of them, of which the
// first one counts.
func (t *Tree) merge(from *Tree) {
	for _, item := range slices.Backward(from.Items) {
		t.merge(item)
	}
	for _, e := range from.Entries {
		t.drop(e.Key.Text)
		t.Entries = append(t.Entries, e)
	}
}

func (t *Tree) drop(key string) {
	for i := range t.Entries {
		if t.Entries[i].Key.Text == key {
			t.Entries = append(t.Entries[:i:i], t.Entries[i+1:]...)
			return
		}
	}
}
