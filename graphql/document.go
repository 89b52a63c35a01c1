package graphql

import (
	"errors"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// document is one that has passed limits and validation. It is immutable but for
// the plans of its operations.
type document struct {
	text string
	ast  *ast.QueryDocument
	ops  []*operation
}

// operation is one of a document's, with the plans that were made of it.
type operation struct {
	door *Door
	doc  *document
	def  *ast.OperationDefinition
	// conditions are the variables that @include and @skip look at.
	conditions []string

	mu    sync.Mutex
	plans map[string]*plan // by the outcome of the conditions
}

// maxErrors is how many faults of one document are told.
const maxErrors = 10

// compile takes a document through limits, parser and validation. name is a file's,
// or "".
func (d *Door) compile(name, text string) (*document, *refusal) {
	parsed, no := d.parse(name, text)
	if no != nil {
		return nil, no
	}
	if no := d.cfg.Limits.measure(parsed); no != nil {
		return nil, no
	}
	if no := d.validate(parsed); no != nil {
		return nil, no
	}
	doc := &document{text: text, ast: parsed}
	for _, def := range parsed.Operations {
		if def.Operation == ast.Subscription {
			return nil, unsupported(def)
		}
		op := &operation{door: d, doc: doc, def: def, plans: make(map[string]*plan)}
		if op.conditions = conditionsOf(def, parsed); len(op.conditions) > maxConditions {
			return nil, invalid("CONDITION_LIMIT", "@include and @skip look at too many variables", placeOf(def.Position))
		}
		doc.ops = append(doc.ops, op)
	}
	return doc, nil
}

func unsupported(def *ast.OperationDefinition) *refusal {
	return invalid("SUBSCRIPTION_UNSUPPORTED", "subscriptions are not supported", placeOf(def.Position))
}

// parse reads a document's text; the parser stops at the limit of tokens.
func (d *Door) parse(name, text string) (*ast.QueryDocument, *refusal) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Name: name, Input: text}, d.cfg.Limits.Tokens)
	if err == nil {
		return doc, nil
	}
	no := &refusal{kind: kindParse}
	f := fault{code: "GRAPHQL_PARSE_FAILED", text: err.Error()}
	if e, ok := errors.AsType[*gqlerror.Error](err); ok {
		f.text, f.at = e.Message, placesOf(e)
	}
	if strings.HasPrefix(f.text, "exceeded token limit") {
		f.code, no.kind = "TOKEN_LIMIT", kindInvalid
	}
	no.faults = []fault{f}
	return nil, no
}

// validate applies the rules of GraphQL §5, and stops at ten faults.
func (d *Door) validate(doc *ast.QueryDocument) *refusal {
	no := &refusal{kind: kindInvalid}
	var events core.Events
	for _, rule := range d.rules {
		rule.RuleFunc(&events, func(options ...core.ErrorOption) {
			if len(no.faults) >= maxErrors {
				return
			}
			var e gqlerror.Error
			for _, option := range options {
				option(&e)
			}
			code := "GRAPHQL_VALIDATION_FAILED"
			if rule.Name == introspectionRule {
				code = "INTROSPECTION_DISABLED"
			}
			no.faults = append(no.faults, fault{code: code, rule: rule.Name, text: e.Message, at: placesOf(&e)})
		})
	}
	core.Walk(d.schema, doc, &events)
	if len(no.faults) == 0 {
		return nil
	}
	for _, def := range doc.Operations { // say so first, where the schema has none
		if def.Operation == ast.Subscription && d.schema.Subscription == nil {
			no.faults = append(unsupported(def).faults, no.faults[:min(len(no.faults), maxErrors-1)]...)
			break
		}
	}
	return no
}

const introspectionRule = "NoIntrospection"

// rulesFor are the rules of GraphQL §5. Where a client may not ask for the schema,
// errors suggest no names of it either.
func rulesFor(introspection bool) []core.Rule {
	list := []core.Rule{
		rules.FragmentsOnCompositeTypesRule, rules.KnownDirectivesRule, rules.KnownFragmentNamesRule,
		rules.KnownRootTypeRule, rules.LoneAnonymousOperationRule, rules.MaxIntrospectionDepth, rules.NoFragmentCyclesRule,
		rules.NoUndefinedVariablesRule, rules.NoUnusedFragmentsRule, rules.NoUnusedVariablesRule,
		rules.OverlappingFieldsCanBeMergedRule, rules.PossibleFragmentSpreadsRule, rules.ProvidedRequiredArgumentsRule,
		rules.SingleFieldSubscriptionsRule, rules.UniqueArgumentNamesRule,
		rules.UniqueDirectivesPerLocationRule, rules.UniqueFragmentNamesRule, rules.UniqueInputFieldNamesRule,
		rules.UniqueOperationNamesRule, rules.UniqueVariableNamesRule, rules.VariablesAreInputTypesRule,
		rules.VariablesInAllowedPositionRule,
	}
	if introspection {
		return append(list, rules.FieldsOnCorrectTypeRule, rules.KnownArgumentNamesRule, rules.KnownTypeNamesRule,
			rules.ScalarLeafsRule, rules.ValuesOfCorrectTypeRule)
	}
	closed := core.Rule{Name: introspectionRule, RuleFunc: func(events *core.Events, add core.AddErrFunc) {
		events.OnField(func(_ *core.Walker, f *ast.Field) {
			if isMeta(f.Name) {
				add(core.Message("introspection is off"), core.At(f.Position))
			}
		})
	}}
	return append(list, closed, rules.FieldsOnCorrectTypeRuleWithoutSuggestions, rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRuleWithoutSuggestions, rules.ScalarLeafsRuleWithoutSuggestions, rules.ValuesOfCorrectTypeRuleWithoutSuggestions)
}

func isMeta(name string) bool { return name == "__schema" || name == "__type" }

func placeOf(p *ast.Position) place {
	if p == nil {
		return place{1, 1}
	}
	return place{p.Line, p.Column}
}

func placesOf(e *gqlerror.Error) []place {
	var out []place
	for _, l := range e.Locations {
		out = append(out, place{l.Line, l.Column})
	}
	return out
}

// maxCached is how many documents of requests are kept, compiled, and
// maxCachedBytes how long their texts may be together.
const (
	maxCached      = 1000
	maxCachedBytes = 4 << 20
)

// cache keeps the documents that were used last.
type cache struct {
	max, maxBytes int

	mu    sync.Mutex
	docs  map[string]*cached
	bytes int
	// newest and oldest are the ends of a list by use.
	newest, oldest *cached
}

type cached struct {
	doc          *document
	newer, older *cached
}

// get gives the document of a text, or makes it. What is refused is not kept.
func (c *cache) get(text string, compile func() (*document, *refusal)) (*document, *refusal) {
	c.mu.Lock()
	e := c.docs[text]
	if e != nil {
		c.unlink(e)
		c.front(e)
	}
	c.mu.Unlock()
	if e != nil {
		return e.doc, nil
	}
	doc, no := compile()
	if no != nil {
		return nil, no
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e = c.docs[text]; e != nil { // somebody was faster
		return e.doc, nil
	}
	if c.docs == nil {
		c.docs = make(map[string]*cached)
	}
	e = &cached{doc: doc}
	c.docs[text] = e
	c.bytes += len(text)
	c.front(e)
	for len(c.docs) > c.max || c.bytes > c.maxBytes && c.oldest != e {
		c.bytes -= len(c.oldest.doc.text)
		delete(c.docs, c.oldest.doc.text)
		c.unlink(c.oldest)
	}
	return doc, nil
}

func (c *cache) unlink(e *cached) {
	if e.newer == nil {
		c.newest = e.older
	} else {
		e.newer.older = e.older
	}
	if e.older == nil {
		c.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	e.newer, e.older = nil, nil
}

func (c *cache) front(e *cached) {
	e.older, c.newest = c.newest, e
	if e.older != nil {
		e.older.newer = e
	} else {
		c.oldest = e
	}
}
