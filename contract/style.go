package contract

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/maru-msa/maru/diag"
)

// Rules say in what contracts of several services agree. The zero value asks for
// nothing.
type Rules struct {
	// Names is "camelCase" or "snake_case": how members and parameters are called.
	Names string
	// Types says that one name has one type everywhere.
	Types bool
	// Errors says that answers of 400 and above are problem documents (RFC 9457).
	Errors bool
	// Dates says that strings whose names say that they are dates have a format.
	Dates bool
	// IDs says that names that end in id are strings.
	IDs bool
	// Allow are places that need not follow, with all that is below them:
	// "specs/old.yaml#/paths/~1x", or a whole file.
	Allow []string
}

// Style holds several contracts against Rules: hand it to Load, then ask for the
// Findings, which are warnings.
type Style struct {
	rules    Rules
	types    map[string]typed // by name
	at       string           // the pointer of what is looked at
	findings []diag.Finding
}

// typed is where a name had its type first.
type typed struct {
	kind string
	at   *Node
}

// NewStyle makes a Style.
func NewStyle(r Rules) *Style { return &Style{rules: r, types: make(map[string]typed)} }

// Findings are those of all contracts so far.
func (s *Style) Findings() []diag.Finding {
	diag.Sort(s.findings)
	return s.findings
}

func (s *Style) warn(n *Node, code, text, fix string, related ...diag.Related) {
	if s.allowed(n.File) {
		return
	}
	s.findings = append(s.findings, diag.Finding{
		Position: n.Position, Length: n.Length, Severity: diag.Warning, Code: code, Text: text, Fix: fix, Related: related,
	})
}

// allowed tells whether what is looked at need not follow the rules.
func (s *Style) allowed(file string) bool {
	return slices.ContainsFunc(s.rules.Allow, func(place string) bool {
		name, pointer, _ := strings.Cut(place, "#")
		pointer = strings.TrimSuffix(pointer, "/")
		return path.Clean(name) == path.Clean(file) && (s.at == pointer || strings.HasPrefix(s.at, pointer+"/"))
	})
}

// document looks at all of a document.
func (s *Style) document(d *document) {
	d.node.walk("", func(n *Node, pointer string) bool {
		if strings.HasSuffix(pointer, "/example") || strings.HasSuffix(pointer, "/examples") || strings.HasSuffix(pointer, "/default") {
			return false
		}
		s.at = pointer
		if list := n.Get("properties"); list != nil && list.Kind == Object && !strings.HasSuffix(pointer, "/properties") {
			for _, e := range list.Entries {
				s.at = pointer + "/properties/" + step(e.Key.Text)
				s.named(e.Key, e.Value)
			}
			s.at = pointer
		}
		if n.has("in") && n.str("name") != "" && n.has("schema") && n.str("in") != inHeader {
			s.named(n.Get("name"), n.Get("schema"))
		}
		if s.rules.Errors && strings.HasSuffix(pointer, "/responses") && n.Kind == Object {
			s.errors(n)
		}
		return true
	})
}

// named looks at a member or parameter and its schema.
func (s *Style) named(key, schema *Node) {
	name := key.Text
	if s.rules.Names != "" && s.rules.Names != "off" && !styled(name, s.rules.Names) {
		s.warn(key, "names", fmt.Sprintf("%q is not in %s", name, s.rules.Names), "call it "+restyled(name, s.rules.Names))
	}
	kind := schema.str("type")
	if kind == "" {
		return
	}
	lower := strings.ToLower(name)
	if s.rules.IDs && (lower == "id" || strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "_id")) && kind != "string" {
		s.warn(schema.Get("type"), "ids", fmt.Sprintf("%s is of type %s: JavaScript rounds integers over 2^53", name, kind), "write type: string")
	}
	if s.rules.Dates && kind == "string" && dated(name) && !schema.has("format", "pattern", "enum") {
		s.warn(key, "dates", name+" is called a date and has no format", "add format: date-time, or format: date")
	}
	if !s.rules.Types || kind == "object" || kind == "array" {
		return
	}
	first, known := s.types[name]
	switch {
	case !known:
		s.types[name] = typed{kind, schema.Get("type")}
	case first.kind != kind:
		s.warn(schema.Get("type"), "types", fmt.Sprintf("%s is of type %s here and %s elsewhere", name, kind, first.kind), "agree on one type, or on two names",
			diag.Related{Position: first.at.Position, Length: first.at.Length, Text: "the other type"})
	}
}

// errors looks at the media types of error answers.
func (s *Style) errors(responses *Node) {
	for _, e := range responses.Entries {
		content := e.Value.Get("content")
		if c := e.Key.Text; c == "" || c[0] != '4' && c[0] != '5' || content == nil || content.Kind != Object {
			continue
		}
		problem := slices.ContainsFunc(content.Entries, func(m Entry) bool { return m.Key.Text == "application/problem+json" })
		if !problem && len(content.Entries) > 0 {
			s.warn(content.Entries[0].Key, "errors", fmt.Sprintf("the answer %s is no problem document", e.Key.Text), "write application/problem+json (RFC 9457)")
		}
	}
}

// dated tells whether a name says that it is a date or a time.
func dated(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasSuffix(name, "At") || strings.HasSuffix(name, "_at") || strings.HasSuffix(lower, "date") || strings.HasSuffix(lower, "timestamp") ||
		strings.HasPrefix(lower, "date")
}

// styled tells whether a name is in the style.
func styled(name, style string) bool {
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', unicode.IsDigit(r) && i > 0:
		case style == "snake_case" && r == '_' && i > 0:
		case style == "camelCase" && r >= 'A' && r <= 'Z' && i > 0:
		case (r == '$' || r == '@' || r == '_') && i == 0:
		default:
			return false
		}
	}
	return true
}

// restyled writes a name in the style.
func restyled(name, style string) string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, strings.ToLower(word.String()))
			word.Reset()
		}
	}
	lower := false
	for _, r := range name {
		switch {
		case r == '_' || r == '-' || r == ' ' || r == '.':
			end()
			lower = false
			continue
		case unicode.IsUpper(r) && lower:
			end()
		}
		lower = !unicode.IsUpper(r)
		word.WriteRune(r)
	}
	end()
	if style == "snake_case" {
		return strings.Join(words, "_")
	}
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}
