package graphql

import (
	"fmt"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// charge refuses an operation whose lists, or whose objects together, may be more
// than allowed with these variables. It runs before any call.
func (p *plan) charge(vars values) *refusal {
	m := &meter{limits: &p.op.door.cfg.Limits, schema: p.op.door.schema, vars: vars}
	cost := m.members(p.roots)
	switch {
	case m.fault != nil:
		return m.fault
	case cost > m.limits.Cost:
		return invalid("COST_LIMIT", fmt.Sprintf("the operation may need %s objects; at most %d are allowed", counted(cost), m.limits.Cost), placeOf(p.op.def.Position))
	}
	return nil
}

func counted(n int) string {
	if n >= enough {
		return "more than a million"
	}
	return strconv.Itoa(n)
}

// meter adds up what an operation may cost.
type meter struct {
	limits *LimitsConfig
	schema *ast.Schema
	vars   values
	fault  *refusal
}

func (m *meter) members(list []*node) int {
	sum := 0
	for _, n := range list {
		sum = min(sum+m.node(n), enough)
	}
	return sum
}

// node is what one member costs: 1 for each object that it may hold.
func (m *meter) node(n *node) int {
	f := n.first()
	bound := m.bound(f)
	if len(f.SelectionSet) == 0 {
		return 0
	}
	inner := m.members(n.sub)
	for _, t := range n.types {
		inner = max(inner, m.members(t.sub))
	}
	return min(bound*(1+inner), enough)
}

// bound is the most elements of a field's list; 1 of what is no list. What asks for
// more than a list may have is a fault.
func (m *meter) bound(f *ast.Field) int {
	list := f.Definition != nil && f.Definition.Type.Elem != nil
	bound := m.limits.List
	if f.Definition != nil {
		for _, def := range f.Definition.Arguments {
			value := def.DefaultValue
			if arg := f.Arguments.ForName(def.Name); arg != nil {
				value = arg.Value
			}
			switch {
			case value == nil:
			case def.Type.Elem != nil:
				m.most(m.length(value), f, "the argument "+def.Name+" lists")
			case list && def.Name == "first":
				bound = min(bound, m.most(m.number(value), f, "first asks for"))
			}
		}
	}
	if d := f.Directives.ForName("limit"); d != nil && list {
		if arg := d.Arguments.ForName("n"); arg != nil {
			bound = min(bound, m.most(m.number(arg.Value), f, "@limit asks for"))
		}
	}
	if !list {
		return 1
	}
	return bound
}

// most refuses a number beyond what a list may have; one that is not known is that.
func (m *meter) most(n int, f *ast.Field, what string) int {
	if n < 0 {
		return m.limits.List
	}
	if n > m.limits.List && m.fault == nil {
		m.fault = invalid("LIST_LIMIT", fmt.Sprintf("%s %d; at most %d are allowed", what, n, m.limits.List), placeOf(f.Position))
	}
	return n
}

// number is a whole number that is written or that a variable has; -1 of others.
func (m *meter) number(v *ast.Value) int {
	text := v.Raw
	if v.Kind == ast.Variable {
		text = string(m.vars[v.Raw])
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return max(n, 0)
}

// length is how many values a list has; -1 of what is none.
func (m *meter) length(v *ast.Value) int {
	if v.Kind == ast.Variable {
		return lengthOf(m.vars[v.Raw])
	}
	if v.Kind == ast.ListValue {
		return len(v.Children)
	}
	return -1
}
