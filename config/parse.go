package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/maru-msa/maru/diag"
)

const flatter = "nothing in this file nests deeper than 10: look for brackets without end"

const (
	// maxBytes bounds the file: 10,000 routes take about half a MiB.
	maxBytes = 8 << 20
	// maxDepth bounds how deep values nest; a real file has about 10.
	maxDepth = 64
	// maxExpanded bounds the nodes that are read again through aliases, which
	// is what makes a few lines of YAML grow without end.
	maxExpanded = 200_000
	// maxFindings bounds the list: a file of another kind gives thousands.
	maxFindings = 200
)

// checkBytes finds what no YAML text may hold: its findings name the place,
// which the YAML reader does not.
func checkBytes(name string, data []byte) []diag.Finding {
	fault := func(line, column int, text, fix string) []diag.Finding {
		return []diag.Finding{{
			Position: diag.Position{File: name, Line: line, Column: column}, Code: "syntax", Text: text, Fix: fix,
		}}
	}
	switch {
	case len(data) > maxBytes:
		return []diag.Finding{{
			Position: diag.Position{File: name}, Code: "limit",
			Text: fmt.Sprintf("the file has more than %d MiB", maxBytes>>20), Fix: "keep data, such as lists of endpoints, in files of their own",
		}}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return fault(1, 1, "the file is UTF-16", "save it as UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	line, column := 1, 1
	for i := 0; i < len(data); {
		c := data[i]
		if c >= 0x20 && c < 0x7f || c == '\t' {
			i++
			column++
			continue
		}
		if c == '\n' || c == '\r' {
			if c == '\r' && i+1 < len(data) && data[i+1] == '\n' {
				i++
			}
			i++
			line, column = line+1, 1
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fault(line, column, fmt.Sprintf("byte 0x%02x is not UTF-8", c), "save the file as UTF-8")
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return fault(line, column, fmt.Sprintf("control character U+%04X", r), `remove it, or write it as an escape in double quotes ("\x1b")`)
		case r == '\u2028' || r == '\u2029':
			return fault(line, column, fmt.Sprintf("invisible line separator U+%04X", r), "write a line break")
		case r == '\ufeff' || r == '\ufffe' || r == '\uffff':
			return fault(line, column, fmt.Sprintf("invisible character U+%04X", r), "remove it")
		}
		i += size
		column++
	}
	return nil
}

// parseWhole reads one YAML document. A nil node with no findings is an empty file.
func parseWhole(name string, data []byte) (root *yaml.Node, findings []diag.Finding) {
	defer func() {
		if r := recover(); r != nil {
			root, findings = nil, []diag.Finding{internal(name, r)}
		}
	}()
	var docs []yaml.Node
	err := yaml.Load(data, &docs, yaml.WithAllDocuments())
	if err != nil {
		return nil, syntaxFindings(name, data, err)
	}
	if len(docs) > 1 {
		return nil, []diag.Finding{{
			Position: diag.Position{File: name, Line: docs[1].Line, Column: docs[1].Column}, Length: len("---"), Code: "syntax",
			Text: "a second document starts here; the file is one document", Fix: `remove the line "---"`,
		}}
	}
	if len(docs) == 0 || len(docs[0].Content) == 0 {
		return nil, nil
	}
	return docs[0].Content[0], nil
}

// syntaxFindings puts the YAML reader's error into words.
func syntaxFindings(name string, data []byte, err error) []diag.Finding {
	var many *yaml.LoadErrors
	if errors.As(err, &many) && len(many.Errors) > 0 {
		var out []diag.Finding
		for _, e := range many.Errors {
			out = append(out, syntaxFinding(name, data, e))
		}
		return out
	}
	if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		return []diag.Finding{syntaxFinding(name, data, one)}
	}
	return []diag.Finding{{Position: diag.Position{File: name}, Code: "syntax", Text: strings.TrimPrefix(err.Error(), "yaml: "), Fix: "divide the file until the rest is read"}}
}

func syntaxFinding(name string, data []byte, e *yaml.LoadError) diag.Finding {
	at := diag.Position{File: name, Line: e.Mark.Line, Column: e.Mark.Column}
	start := diag.Position{File: name, Line: e.ContextMark.Line, Column: e.ContextMark.Column}
	f := diag.Finding{Position: at, Code: "syntax", Text: e.Message, Fix: "put quotes around the value, or look at the line before"}
	if e.ContextMsg != "" {
		f.Text = e.Message + " " + e.ContextMsg
	}
	// open turns the finding around: the fault is where a thing was opened.
	open := func(text, fix string) {
		f.Text, f.Fix = text, fix
		if start.Line > 0 && start != at {
			f.Position = start
			f.Related = []diag.Related{{Position: at, Text: "read up to here"}}
		}
	}
	switch next := charAt(data, at); {
	case strings.Contains(e.Message, "exceeded max depth"):
		f.Code, f.Text, f.Fix = "limit", fmt.Sprintf("values nest deeper than %d levels", maxDepth), flatter
	case strings.Contains(e.Message, "expected ',' or ']'"):
		open("the list that starts here is not closed", `write "]", or put quotes around a value that holds one of { } [ ] ,`)
	case strings.Contains(e.Message, "expected ',' or '}'"):
		open("the braces that open here are not closed", `write "}", or put quotes around a value that holds one of { } [ ] ,`)
	case strings.Contains(e.Message, "unexpected end of stream"), strings.Contains(e.Message, "unexpected document indicator"):
		open("the quote that opens here is not closed", "close it; two single quotes are one inside single quotes")
	case strings.Contains(e.Message, "mapping values are not allowed"):
		f.Text = `a ":" is not expected here`
		f.Fix = `indent the key like its neighbours, or put quotes around a value that holds ": "`
	case strings.Contains(e.Message, "cannot start any token") && next == '\t', strings.Contains(e.Message, "tab character that violates indentation"):
		f.Text, f.Fix = "a tab cannot indent", "indent with spaces"
	case strings.Contains(e.Message, "alphabetic or numeric character"):
		f.Text, f.Fix = "a name is expected after * (alias) or & (anchor)", "put quotes around a value that starts with * or &"
	case strings.Contains(e.Message, "cannot start any token"):
		f.Text, f.Fix = fmt.Sprintf("a value cannot start with %q", next), "put quotes around the value"
	case strings.Contains(e.Message, "unknown escape"):
		f.Text, f.Fix = "this escape is not known", `write \\ for a backslash, or use single quotes, which have no escapes`
		f.Position.Column++
	case strings.Contains(e.Message, "did not find expected key"):
		f.Text, f.Fix = "this line is indented unlike its neighbours", "give all keys of one block the same indent"
		f.Related = relatedStart(start, at)
	case strings.Contains(e.Message, "expected '-' indicator"):
		f.Text, f.Fix = `an entry of this list is expected to start with "- "`, `start it with "- " under the first one's, or indent it as a part of that entry`
		f.Related = relatedStart(start, at)
	case strings.Contains(e.Message, "could not find expected ':'"):
		open(`a key without ":"`, `write "key: value", or indent the line as part of the one before`)
	case strings.Contains(e.Message, "unknown anchor"):
		name := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(e.Message, "unknown anchor "), " referenced"), "'")
		f.Text, f.Fix = "no anchor &"+name+" before this line", "write the anchor before it is used, or quotes around a value that starts with *"
	case strings.Contains(e.Message, "incompatible YAML document"):
		f.Text, f.Fix = `the reader does not take this "%YAML" line`, "remove it: YAML 1.2 is what is read"
	case strings.Contains(e.Message, "expected node content"):
		f.Text, f.Fix = fmt.Sprintf("a value is expected here, not %q", next), "put quotes around the value"
	}
	return f
}

func relatedStart(start, at diag.Position) []diag.Related {
	if start.Line <= 0 || start == at {
		return nil
	}
	return []diag.Related{{Position: start, Text: "the block starts here"}}
}

// charAt gives the character at a position, or 0.
func charAt(data []byte, at diag.Position) rune {
	lines := diag.SplitLines(data)
	if at.Line < 1 || at.Line > len(lines) {
		return 0
	}
	column := 1
	for _, r := range lines[at.Line-1] {
		if column == at.Column {
			return r
		}
		column++
	}
	return 0
}

// deepest gives the first node that nests deeper than maxDepth, or nil. An
// alias is not followed: what it names is counted where it stands.
func deepest(n *yaml.Node, depth int) *yaml.Node {
	if depth > maxDepth {
		return n
	}
	for _, c := range n.Content {
		if deep := deepest(c, depth+1); deep != nil {
			return deep
		}
	}
	return nil
}
