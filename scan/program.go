package scan

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Limits of Compile.
const (
	maxNodes        = 50_000 // of one Program
	maxPatternRules = 4      // different patternProperties that meet at one place
)

// ErrUndecided says that a scan cannot decide a schema; the error that wraps it
// names the schema and the keyword. Such a schema is for a Foreign.
var ErrUndecided = errors.New("a scan cannot decide it")

// Program is a Mask with checks: a scan with it fills the Tape as the Mask
// says, and a Report with what breaks the schema. It is immutable.
type Program struct {
	mask  Mask
	whole bool
}

// NeedsBody tells whether the Program can judge whole bodies only, not chunks:
// it looks ahead for tags, or has a Foreign.
func (p *Program) NeedsBody() bool { return p.whole }

// Compile makes a Program of a schema, and of a mask whose entries are wanted as
// well; either may be nil. What applies to one place of a text (allOf, $ref,
// several patternProperties) becomes one node, so that a scan never looks twice
// at a value.
func Compile(schema *Schema, mask *Mask, rules Rules) (*Program, error) {
	c := compiler{
		ids: map[*Schema]int{}, choices: map[*Choice]int{}, units: map[*Schema]*unit{},
		masks: map[*node]int{nil: 0}, nodes: map[string]*node{}, refusals: map[refusal]*Schema{},
	}
	var want *node
	if mask != nil {
		want = mask.root
	}
	var parts parts
	if schema != nil {
		parts = c.flatten(nil, schema)
	}
	root := c.node(parts, want)
	if c.err != nil {
		return nil, c.err
	}
	size := 0
	if mask != nil {
		size = mask.size
	}
	return &Program{mask: Mask{rules: rules.withDefaults(), root: root, size: size}, whole: c.whole || mask != nil}, nil
}

// part is one thing that holds at a place: a schema's own keywords, or a choice
// that is still open.
type part struct {
	schema *Schema
	choice *Choice // of schema; nil: its keywords
}

// refusal names a keyword of a schema that refuses everything at some place.
type refusal struct {
	schema  *Schema
	keyword string
}

// parts is all that holds at a place.
type parts []part

// compiler holds what Compile has made so far.
type compiler struct {
	ids     map[*Schema]int
	choices map[*Choice]int
	units   map[*Schema]*unit
	masks   map[*node]int
	nodes   map[string]*node // by their parts and mask

	refusals map[refusal]*Schema
	whole    bool
	err      error
}

// fail keeps the first fault.
func (c *compiler) fail(s *Schema, keyword string, err error) {
	if c.err == nil {
		c.err = fmt.Errorf("%s: %s: %w", s.Place, keyword, err)
	}
}

// flatten adds the schema, all that it refers to at the same place, and its choices.
func (c *compiler) flatten(have parts, s *Schema) parts {
	if s == nil || slices.Contains(have, part{schema: s}) {
		return have
	}
	if _, known := c.ids[s]; !known {
		c.ids[s] = len(c.ids)
	}
	have = append(have, part{schema: s})
	for _, choice := range s.Choices {
		if _, known := c.choices[choice]; !known {
			c.choices[choice] = len(c.choices)
		}
		have = append(have, part{s, choice})
	}
	for _, also := range s.All {
		have = c.flatten(have, also)
	}
	return have
}

// key names the parts and the mask.
func (c *compiler) key(p parts, want *node) string {
	words := make([]string, 0, len(p)+1)
	for _, part := range p {
		if part.choice != nil {
			words = append(words, fmt.Sprintf("c%d", c.choices[part.choice]))
		} else {
			words = append(words, fmt.Sprintf("s%d", c.ids[part.schema]))
		}
	}
	slices.Sort(words)
	if _, known := c.masks[want]; !known {
		c.masks[want] = len(c.masks)
	}
	return strings.Join(append(words, fmt.Sprintf("m%d", c.masks[want])), " ")
}

// node gives the node for the parts and the mask; nil wants and checks nothing.
func (c *compiler) node(p parts, want *node) *node {
	if len(p) == 0 || c.err != nil {
		return want
	}
	key := c.key(p, want)
	if n := c.nodes[key]; n != nil {
		return n
	}
	if len(c.nodes) >= maxNodes {
		c.fail(p[0].schema, "$ref", fmt.Errorf("more than %d places: %w", maxNodes, ErrUndecided))
		return want
	}
	n := &node{checks: &checks{}}
	if want != nil {
		n.field, n.emit, n.named = want.field, want.emit, want.named
	}
	c.nodes[key] = n
	open := slices.IndexFunc(p, func(part part) bool { return part.choice != nil })
	if open >= 0 {
		c.choose(n, p, open, want)
	} else {
		c.fill(n, p, want)
	}
	return n
}

// choose makes n a node that goes on in another one, as the type of the value or a tag says.
func (c *compiler) choose(n *node, p parts, open int, want *node) {
	s, choice := p[open].schema, p[open].choice
	rest := slices.Delete(slices.Clone(p), open, open+1)
	keyword := choice.Keyword
	none := c.refusal(s, keyword, "must be of a type that one branch allows")
	byKind := new([Object + 1]*node)
	n.checks.byKind = byKind
	for kind := range byKind {
		if choice.Tag != "" && Kind(kind) == Object {
			byKind[kind] = &node{field: n.field, emit: n.emit, named: n.named, checks: &checks{tag: c.tag(s, choice, rest, want)}}
			c.whole = true
			continue
		}
		with := none
		for _, b := range choice.Branches {
			if choice.Tag != "" || b.Types&typesOf(Kind(kind)) == 0 {
				continue
			}
			if with != none {
				c.fail(s, keyword, fmt.Errorf("two branches for one type: %w", ErrUndecided))
			}
			if with = b.Schema; with == nil {
				with = &Schema{}
			}
		}
		byKind[kind] = c.node(c.flatten(slices.Clone(rest), with), want)
	}
}

// tag makes the table of a choice by tag.
func (c *compiler) tag(s *Schema, choice *Choice, rest parts, want *node) *tagChoice {
	t := &tagChoice{name: choice.Tag, unit: &unit{schema: s, keyword: choice.Keyword}, other: c.node(rest, want)}
	if t.other == nil {
		t.other = &node{checks: &checks{}}
	}
	var known []string
	for _, b := range choice.Branches {
		for _, text := range b.Tags {
			value, valid := c.scalar(s, choice.Keyword, text)
			if !valid {
				return t
			}
			known = append(known, text)
			to := c.node(c.flatten(slices.Clone(rest), b.Schema), want)
			if to == nil {
				to = t.other
			}
			t.values = append(t.values, tagValue{value: value, node: to})
		}
	}
	t.unit.want = "must have a " + choice.Tag + " that is one of " + listed(known)
	return t
}

// fill makes n check all its units and know its members and elements.
func (c *compiler) fill(n *node, p parts, want *node) {
	k := n.checks
	var names []string
	for _, part := range p {
		u := c.unit(part.schema)
		if c.err != nil {
			return
		}
		k.units = append(k.units, u)
		s := part.schema
		k.objects = k.objects || u.objects
		k.arrays = k.arrays || u.arrays
		k.text = k.text || u.text
		k.unique = k.unique || s.Unique
		if s.Foreign != nil {
			k.foreign, c.whole = true, true
		}
		names = append(names, slices.Sorted(maps.Keys(s.Properties))...)
		names = append(names, s.Required...)
		for _, name := range slices.Sorted(maps.Keys(s.Dependent)) {
			names = append(append(names, name), s.Dependent[name]...)
		}
	}
	if want != nil {
		names = append(names, want.names...)
		k.objects = k.objects || want.enters()
	}
	for _, name := range names {
		if n.lookup(name) < 0 {
			n.want(name, nil)
		}
	}
	for i, name := range n.names {
		n.kids[i] = c.node(c.member(p, name), wanted(want, name))
	}
	k.glance()
	c.rest(n, p, want)
	c.elements(n, p, want)
	c.demands(n, p)
}

// wanted is what the mask wants of the member.
func wanted(want *node, name string) *node {
	if want == nil {
		return nil
	}
	return want.child([]byte(name), sketch([]byte(name)))
}

// member is what holds for the member of that name.
func (c *compiler) member(p parts, name string) parts {
	var out parts
	for _, part := range p {
		s := part.schema
		child, found := s.Properties[name]
		if found {
			out = c.flatten(out, child)
		}
		for _, pattern := range s.PatternProperties {
			if pattern.Expr.MatchString(name) {
				out, found = c.flatten(out, pattern.Schema), true
			}
		}
		if !found {
			out = c.flatten(out, c.additional(s))
		}
	}
	return out
}

// additional is the schema of all other members, with a refusal of its own name.
func (c *compiler) additional(s *Schema) *Schema {
	if s.Additional != nil && s.Additional.Never {
		return c.refusal(s, "additionalProperties", "must not be there: no member of this name is allowed")
	}
	return s.Additional
}

// refusal is the schema that refuses everything in the name of a keyword of s.
func (c *compiler) refusal(s *Schema, keyword, want string) *Schema {
	at := refusal{s, keyword}
	if c.refusals[at] == nil {
		never := &Schema{Place: s.Place, Never: true}
		c.units[never] = &unit{schema: never, keyword: keyword, want: want}
		c.refusals[at] = never
	}
	return c.refusals[at]
}

// rest fills in what holds for members without a node of their own: for each
// combination of patterns that may match.
func (c *compiler) rest(n *node, p parts, want *node) {
	k := n.checks
	for _, part := range p {
		for _, pattern := range part.schema.PatternProperties {
			if !slices.ContainsFunc(k.patterns, func(have *regexp.Regexp) bool { return have.String() == pattern.Expr.String() }) {
				k.patterns = append(k.patterns, pattern.Expr)
			}
		}
	}
	if len(k.patterns) > maxPatternRules {
		c.fail(p[0].schema, "patternProperties", fmt.Errorf("more than %d at one place: %w", maxPatternRules, ErrUndecided))
		return
	}
	var wantRest *node
	if want != nil {
		wantRest = want.rest
	}
	k.rests = make([]*node, 1<<len(k.patterns))
	for matched := range k.rests {
		var out parts
		for _, part := range p {
			found := false
			for _, pattern := range part.schema.PatternProperties {
				i := slices.IndexFunc(k.patterns, func(have *regexp.Regexp) bool { return have.String() == pattern.Expr.String() })
				if matched&(1<<i) != 0 {
					out, found = c.flatten(out, pattern.Schema), true
				}
			}
			if !found {
				out = c.flatten(out, c.additional(part.schema))
			}
		}
		k.rests[matched] = c.node(out, wantRest)
	}
	n.rest = k.rests[0]
}

// elements fills in what holds for elements.
func (c *compiler) elements(n *node, p parts, want *node) {
	var wantElem *node
	if want != nil {
		wantElem = want.elems
	}
	longest := 0
	for _, part := range p {
		longest = max(longest, len(part.schema.Prefix))
	}
	for i := range longest + 1 {
		var out parts
		for _, part := range p {
			s := part.schema
			if i < len(s.Prefix) {
				out = c.flatten(out, s.Prefix[i])
			} else if s.Items != nil {
				items := s.Items
				if items.Never {
					items = c.refusal(s, "items", "must not be there: no element is allowed at this place")
				}
				out = c.flatten(out, items)
			}
		}
		elem := c.node(out, wantElem)
		if elem == nil && n.checks.unique {
			elem = &node{checks: &checks{}} // so that scalars come to be compared
		}
		if i < longest {
			n.checks.prefix = append(n.checks.prefix, elem)
		} else {
			n.elems = elem
		}
	}
}

// demands notes which names have to be there, and what holds for names.
func (c *compiler) demands(n *node, p parts) {
	k := n.checks
	for _, part := range p {
		s := part.schema
		u := c.units[s]
		for _, name := range s.Required {
			k.required = append(k.required, demand{u, name, n.lookup(name), -1})
		}
		for _, when := range slices.Sorted(maps.Keys(s.Dependent)) {
			for _, name := range s.Dependent[when] {
				k.required = append(k.required, demand{u, name, n.lookup(name), n.lookup(when)})
			}
		}
		if s.Names == nil {
			continue
		}
		for _, part := range c.flatten(nil, s.Names) {
			if part.choice != nil || part.schema.Foreign != nil {
				c.fail(s, "propertyNames", ErrUndecided)
				return
			}
			k.names = append(k.names, c.unit(part.schema))
		}
	}
}
