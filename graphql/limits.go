package graphql

import (
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
)

// size is what a selection holds with its fragments written out.
type size struct{ depth, aliases, fields, roots int }

// enough is where counting stops to matter: fragments within fragments double at
// each step.
const enough = 1 << 20

func (s *size) add(o size) {
	s.depth = max(s.depth, o.depth)
	s.aliases = min(s.aliases+o.aliases, enough)
	s.fields = min(s.fields+o.fields, enough)
	s.roots = min(s.roots+o.roots, enough)
}

// gauge measures the operations of a document that nobody has validated yet.
type gauge struct {
	limits    *LimitsConfig
	doc       *ast.QueryDocument
	fragments map[string]size
	open      map[string]bool // fragments being measured: a cycle is for validation to tell
	crowded   *ast.Position   // a place with too many directives
}

// measure refuses a document that holds too much. It takes time in proportion to
// the document's text, whatever its fragments multiply to.
func (l *LimitsConfig) measure(doc *ast.QueryDocument) *refusal {
	g := &gauge{limits: l, doc: doc, fragments: make(map[string]size), open: make(map[string]bool)}
	var most size
	for _, f := range doc.Fragments {
		g.directives(f.Directives, f.Position)
		g.fragment(f.Name)
	}
	for _, op := range doc.Operations {
		g.directives(op.Directives, op.Position)
		for _, v := range op.VariableDefinitions {
			g.directives(v.Directives, v.Position)
		}
		s := g.set(op.SelectionSet)
		most.depth, most.aliases = max(most.depth, s.depth), max(most.aliases, s.aliases)
		most.fields, most.roots = max(most.fields, s.fields), max(most.roots, s.roots)
	}
	for _, one := range []struct {
		code, what string
		n, most    int
	}{
		{"DEPTH_LIMIT", "is %d fields deep or more", most.depth, l.Depth},
		{"ALIAS_LIMIT", "has %d aliases or more", most.aliases, l.Aliases},
		{"FIELD_LIMIT", "has %d fields or more, fragments written out", most.fields, l.Fields},
		{"ROOT_LIMIT", "begins with %d fields or more", most.roots, l.Roots},
	} {
		if one.n > one.most {
			text := fmt.Sprintf("an operation "+one.what+"; at most %d are allowed", one.n, one.most)
			return invalid(one.code, text)
		}
	}
	if g.crowded != nil {
		return invalid("DIRECTIVE_LIMIT", fmt.Sprintf("more than %d directives stand at one place", l.Directives), placeOf(g.crowded))
	}
	return nil
}

func (g *gauge) directives(list ast.DirectiveList, at *ast.Position) {
	if len(list) > g.limits.Directives && g.crowded == nil {
		g.crowded = at
	}
}

func (g *gauge) fragment(name string) size {
	if s, ok := g.fragments[name]; ok || g.open[name] {
		return s
	}
	i := slices.IndexFunc(g.doc.Fragments, func(f *ast.FragmentDefinition) bool { return f.Name == name })
	if i < 0 {
		return size{}
	}
	g.open[name] = true
	s := g.set(g.doc.Fragments[i].SelectionSet)
	delete(g.open, name)
	g.fragments[name] = s
	return s
}

func (g *gauge) set(set ast.SelectionSet) size {
	var all size
	for _, one := range set {
		switch s := one.(type) {
		case *ast.Field:
			g.directives(s.Directives, s.Position)
			all.add(g.field(s))
		case *ast.InlineFragment:
			g.directives(s.Directives, s.Position)
			all.add(g.set(s.SelectionSet))
		case *ast.FragmentSpread:
			g.directives(s.Directives, s.Position)
			all.add(g.fragment(s.Name))
		}
	}
	return all
}

// field measures one field. The depth of introspection is for a rule of its own:
// the usual query for a schema is deep, and calls nothing.
func (g *gauge) field(f *ast.Field) size {
	s := g.set(f.SelectionSet)
	s.roots = 1
	s.depth++
	s.fields = min(s.fields+1, enough)
	if f.Alias != "" && f.Alias != f.Name {
		s.aliases = min(s.aliases+1, enough)
	}
	if isMeta(f.Name) {
		s.depth = 1
	}
	return s
}
