package aggregate

import (
	"fmt"
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/maru-msa/maru/scan"
)

// condition is a compiled CEL expression over an element and the inputs. Its cost
// is bounded; what fails at run time counts as false.
type condition struct {
	text    string
	program cel.Program
	fields  map[string]chain
	inputs  map[string]int
}

// maxCost bounds what one evaluation may cost, in CEL's units.
const maxCost = 10_000

// where compiles list[condition].
func (c *compiler) where(lv *level, s *Selection) {
	if !lv.list || lv.typ == nil {
		c.fail(s.At, "only lists of a type can be filtered by [%s]", s.Where)
		return
	}
	cond := &condition{text: s.Where, fields: make(map[string]chain), inputs: make(map[string]int)}
	options := []cel.EnvOption{cel.CrossTypeNumericComparisons(true)}
	for _, name := range lv.typ.order {
		if lv.typ.fields[name].link == nil {
			options = append(options, cel.Variable(name, cel.DynType))
		}
	}
	for i, in := range c.op.inputs {
		if f := lv.typ.fields[in.name]; f == nil || f.link != nil {
			options = append(options, cel.Variable(in.name, cel.DynType))
			cond.inputs[in.name] = i
		}
	}
	used, err := cond.compile(options)
	if err != nil {
		c.fail(s.At, "[%s] is not a condition: %v", s.Where, err).fix = "write one such as [price <= 40000]"
		return
	}
	for _, name := range used {
		if f := lv.typ.fields[name]; f != nil && f.link == nil {
			_, cond.fields[name] = member(lv.in.build, lv.elem, f.path)
		}
	}
	lv.post.where = cond
}

// compile checks the expression and tells the names that it uses.
func (c *condition) compile(options []cel.EnvOption) ([]string, error) {
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	checked, issues := env.Compile(c.text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%s", issues.Errors()[0].Message) //nolint:err113 // the library's words for people
	}
	if t := checked.OutputType(); !t.IsEquivalentType(cel.BoolType) && !t.IsEquivalentType(cel.DynType) {
		return nil, fmt.Errorf("it gives a %s, not true or false", t) //nolint:err113 // for people
	}
	var used []string
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && !slices.Contains(used, e.AsIdent()) {
			used = append(used, e.AsIdent())
		}
	}))
	if c.program, err = env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize)); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return used, nil
}

// holds tells whether the condition is true of an element.
func (c *condition) holds(x *run, e elem) bool {
	out, _, err := c.program.Eval(&scope{c: c, x: x, e: e})
	if err != nil {
		x.p.graph.env.Count(x.p.Name, "condition")
		return false
	}
	b, ok := out.Value().(bool)
	return ok && b
}

// scope gives a condition the values that it asks for, and no others.
type scope struct {
	c *condition
	x *run
	e elem
}

// ResolveName gives a field of the element, or an input.
func (s *scope) ResolveName(name string) (any, bool) {
	if way, ok := s.c.fields[name]; ok {
		return celValue(spanAt(s.e, way)), true
	}
	if i, ok := s.c.inputs[name]; ok {
		return celValue(s.x.in[i]), true
	}
	return nil, false
}

// Parent is none: there is nothing around an element.
func (s *scope) Parent() cel.Activation { return nil } //nolint:ireturn // the library's signature

// celValue decodes a scalar; objects and lists are not looked into.
func celValue(span []byte) any {
	switch {
	case isNull(span):
		return types.NullValue
	case span[0] == 't' || span[0] == 'f':
		return span[0] == 't'
	case span[0] == '"':
		return string(scan.Unquote(nil, span))
	case numeral(span):
		if n, err := strconv.ParseInt(string(span), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(span), 64)
		return f
	}
	return types.NullValue
}
