package sketch

import (
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Type is a type of the graph to be.
type Type struct {
	Name      string
	Key       string
	One, Many string // calls, "" for none
	By        []Field
	Fields    []Field
	Tag       string
	Union     []string
	Above     string // comment
	At        diag.Position
}

// Field is a field of a type with what it is made of, or a call by a field's value.
type Field struct {
	Name, Text string
	Behind     string // comment
	At         diag.Position
}

// Has tells whether there is a field of the name.
func (t *Type) Has(name string) bool {
	return slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Name == name })
}

// AddType writes a type into graph:.
func (f *File) AddType(t *Type) *Block {
	b := f.Section("graph").Add(&Block{Text: t.Name + ":", Kind: "type", Above: t.Above, At: t.At})
	if t.Key != "" {
		b.Line("key", Text(t.Key))
	}
	if t.One != "" {
		b.Line("one", Text(t.One))
	}
	if t.Many != "" {
		b.Line("many", Text(t.Many))
	}
	if len(t.Union) > 0 {
		b.Line("union", Texts(t.Union))
		b.Line("tag", Text(t.Tag))
	}
	by := b.Add(&Block{Text: "by:", Group: true})
	for _, c := range t.By {
		k := by.Line(c.Name, Map(Pair("one", Text(c.Text))))
		k.Behind, k.At = c.Behind, c.At
	}
	fields := b.Add(&Block{Text: "fields:", Group: true})
	for _, c := range t.Fields {
		k := fields.Line(c.Name, Text(c.Text))
		k.Behind, k.At = c.Behind, c.At
	}
	return b
}

// Identifier tells whether a text can name a field or type: letters, digits and _.
func Identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// TypeName makes the name of a type of a text: "user-profile" gives UserProfile.
// Names that mean something in graph: get a _ behind.
func TypeName(s string) string {
	var b strings.Builder
	up := true
	for _, r := range s {
		switch {
		case !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'):
			up = true
		case up && r >= 'a' && r <= 'z':
			b.WriteRune(r - 'a' + 'A')
			up = false
		default:
			b.WriteRune(r)
			up = false
		}
	}
	name := b.String()
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "T" + name
	}
	switch name {
	case "Query", "Mutation", "Subscription", "String", "Int", "Float", "Boolean", "ID", "Long", "JSON":
		name += "_"
	}
	return name
}

// Lower is a name with its first letter small.
func Lower(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToLower(name[:1]) + name[1:]
}
