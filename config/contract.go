package config

import (
	"math/big"
	"strings"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
)

// DecodeContract reads a contract in YAML: the first document of the text. The
// digits of numbers stay as they are written.
func DecodeContract(name string, text []byte) (*contract.Node, []diag.Finding) {
	docs, findings := ReadTrees(name, text)
	if len(docs) == 0 {
		return nil, findings
	}
	c := nodes{findings: findings}
	return c.node(docs[0]), c.findings
}

// nodes makes Nodes of Trees.
type nodes struct{ findings []diag.Finding }

func (c *nodes) node(t *Tree) *contract.Node {
	n := &contract.Node{Position: t.Position, Length: t.Length, Text: t.Text, Kind: contract.String}
	switch t.Kind {
	case TreeNull:
		n.Kind = contract.Null
	case TreeList:
		n.Kind = contract.List
		for _, item := range t.Items {
			n.Items = append(n.Items, c.node(item))
		}
	case TreeMapping:
		n.Kind = contract.Object
		seen := make(map[string]bool, len(t.Entries))
		for _, e := range t.Entries {
			if seen[e.Key.Text] {
				c.fault(e.Key, "key-twice", "the key stands twice in this mapping", "remove one of them")
			}
			seen[e.Key.Text] = true
			key := &contract.Node{Position: e.Key.Position, Length: e.Key.Length, Kind: contract.String, Text: e.Key.Text}
			n.Entries = append(n.Entries, contract.Entry{Key: key, Value: c.node(e.Value)})
		}
	case TreeScalar:
		c.scalar(n, t)
	}
	return n
}

func (c *nodes) fault(t *Tree, code, text, fix string) {
	c.findings = append(c.findings, diag.Finding{Position: t.Position, Length: t.Length, Code: code, Text: text, Fix: fix})
}

// scalar says what a scalar is, and writes numbers as JSON does.
func (c *nodes) scalar(n *contract.Node, t *Tree) {
	switch t.Tag {
	case "!!bool":
		n.Kind, n.Text = contract.Bool, strings.ToLower(t.Text)
	case "!!int", "!!float":
		n.Kind = contract.Number
		var known bool
		if n.Text, known = number(t.Text, t.Tag); !known {
			c.fault(t, "value", t.Text+" is no number that JSON has", "write its digits")
		}
	}
}

// number is a number of YAML as JSON writes it: 0x1F, 1_000, +1, .5 and 5. are
// written differently there, .inf and .nan not at all.
func number(text, tag string) (string, bool) {
	if tag == "!!int" {
		digits := strings.ReplaceAll(text, "_", "")
		i, known := new(big.Int).SetString(strings.TrimPrefix(digits, "+"), 0)
		if !known {
			return "0", false
		}
		if plain := strings.TrimLeft(digits, "-"); plain != "" && (plain[0] != '0' || plain == "0") && plain[0] != '+' {
			return digits, true
		}
		return i.String(), true
	}
	text = strings.TrimPrefix(text, "+")
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	whole, rest, _ := strings.Cut(text, ".")
	if whole == "" {
		text = "0" + text
	}
	if i := strings.IndexAny(rest, "eE"); strings.Contains(text, ".") && (rest == "" || i == 0) {
		text = strings.Replace(text, ".", ".0", 1)
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && !strings.ContainsRune(".eE+-", rune(c)) {
			return "0", false
		}
	}
	return sign + text, true
}
