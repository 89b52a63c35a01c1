package contract

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/maru-msa/maru/scan"
)

// flat is what a schema says at its own place, with all that it refers to there
// ($ref, allOf) laid over one another.
type flat struct {
	types    scan.Types // 0: all
	enum     []string   // JSON texts; nil: no enum
	names    []string   // of members, in the order of the file
	members  map[string]place
	required map[string]bool
	closed   bool // no other members
	items    place
	choices  map[string][]place // oneOf and anyOf
	limits   map[string]*Node   // keywords of one value
}

// limits are the keywords that bound values: which way is wider, and how they read.
var limits = []struct { //nolint:gochecknoglobals // a table
	keyword string
	upper   bool // a larger number allows more
}{
	{"minimum", false},
	{"exclusiveMinimum", false},
	{"maximum", true},
	{"exclusiveMaximum", true},
	{"minLength", false},
	{"maxLength", true},
	{"minItems", false},
	{"maxItems", true},
	{"minProperties", false},
	{"maxProperties", true},
}

// flatten lays a schema and what it refers to over f.
func (v *version) flatten(f *flat, doc *document, n *Node, depth int) {
	if n == nil || n.Kind != Object || depth > maxDepth {
		return
	}
	if ref := n.Get("$ref"); ref != nil {
		to, target := v.target(doc, ref)
		v.flatten(f, to, target, depth+1)
		if v.old {
			return
		}
	}
	for _, part := range items(n.Get("allOf")) {
		v.flatten(f, doc, part, depth+1)
	}
	if t := v.types(n); t != 0 {
		if t&scan.TypeNumber != 0 {
			t |= scan.TypeInteger
		}
		if f.types == 0 {
			f.types = t
		} else {
			f.types &= t
		}
	}
	v.values(f, n)
	v.inside(f, doc, n)
	for _, keyword := range []string{"oneOf", "anyOf"} {
		for _, branch := range items(n.Get(keyword)) {
			f.choices[keyword] = append(f.choices[keyword], place{doc, branch})
		}
	}
}

// values reads what bounds a value.
func (v *version) values(f *flat, n *Node) {
	if list := n.Get("enum"); list != nil {
		f.enum = []string{}
		for _, item := range list.Items {
			f.enum = append(f.enum, item.json())
		}
	}
	if one := n.Get("const"); one != nil && !v.old {
		f.enum = []string{one.json()}
	}
	for _, l := range limits {
		if at := n.Get(l.keyword); at != nil && at.Kind == Number {
			f.limits[l.keyword] = at
		}
	}
	for _, keyword := range []string{"pattern", "format", "multipleOf"} {
		if at := n.Get(keyword); at != nil {
			f.limits[keyword] = at
		}
	}
}

// inside reads what a schema says of members and elements.
func (v *version) inside(f *flat, doc *document, n *Node) {
	if list := n.Get("properties"); list != nil && list.Kind == Object {
		for _, e := range list.Entries {
			if _, known := f.members[e.Key.Text]; !known {
				f.names = append(f.names, e.Key.Text)
			}
			f.members[e.Key.Text] = place{doc, e.Value}
		}
	}
	for _, name := range items(n.Get("required")) {
		f.required[name.Text] = true
	}
	if more := n.Get("additionalProperties"); more != nil && more.Kind == Bool && more.Text == "false" {
		f.closed = true
	}
	if all := n.Get("items"); all != nil {
		f.items = place{doc, all}
	}
}

func (v *version) flat(doc *document, n *Node) *flat {
	f := &flat{members: make(map[string]place), required: make(map[string]bool), choices: make(map[string][]place), limits: make(map[string]*Node)}
	v.flatten(f, doc, n, 0)
	return f
}

// schemas compares two schemas of messages that go that way. What allows less is
// breaking in a request, and what promises less in an answer.
func (d *differ) schemas(way direction, pointer string, oldDoc *document, old *Node, doc *document, now *Node) {
	pair := [2]*Node{old, now}
	if d.seen[pair] || d.pairs >= mostPairs {
		return // a tree
	}
	d.seen[pair] = true
	d.pairs++
	defer delete(d.seen, pair)
	s := sides{d, way, pointer, now, d.before.flat(oldDoc, old), d.after.flat(doc, now)}
	s.types()
	s.enums()
	s.bounds()
	s.members()
	s.choices()
	if s.was.items.node != nil && s.is.items.node != nil {
		d.schemas(way, pointer+"/*", s.was.items.doc, s.was.items.node, s.is.items.doc, s.is.items.node)
	}
}

// sides are two schemas of one place.
type sides struct {
	*differ

	way     direction
	pointer string
	at      *Node
	was, is *flat
}

// narrower and wider tell a change by the values that are allowed.
func (s *sides) narrower(at *Node, code, format string, words ...any) {
	level := Breaking
	if s.way == toClient {
		level = Info
	}
	s.add(level, at, code, s.pointer, format, words...)
}

func (s *sides) wider(at *Node, code string, inAnswer Level, format string, words ...any) {
	level := Info
	if s.way == toClient {
		level = inAnswer
	}
	s.add(level, at, code, s.pointer, format, words...)
}

// mostPairs bounds the comparisons of one diff: schemas may refer to one another in
// so many ways that nobody reads the result.
const mostPairs = 200_000

const allTypes = scan.TypeNull | scan.TypeBoolean | scan.TypeInteger | scan.TypeNumber | scan.TypeString | scan.TypeArray | scan.TypeObject

func (s *sides) types() {
	was, is := s.was.types, s.is.types
	if was == 0 {
		was = allTypes
	}
	if is == 0 {
		is = allTypes
	}
	if gone := was &^ is; gone != 0 {
		s.narrower(s.at, "type-removed", "%s is no longer allowed", typeWords(gone))
	}
	if more := is &^ was; more != 0 {
		s.wider(s.at, "type-added", Breaking, "%s is allowed too", typeWords(more))
	}
}

// typeWords lists types.
func typeWords(t scan.Types) string {
	if t&allTypes == allTypes {
		return "anything"
	}
	var words []string
	for i, name := range []string{"null", "boolean", "integer", "number", "string", "array", "object"} {
		if t&(1<<i) != 0 && (1<<i != scan.TypeInteger || t&scan.TypeNumber == 0) {
			words = append(words, name)
		}
	}
	return strings.Join(words, ", ")
}

func (s *sides) enums() {
	switch {
	case s.was.enum == nil && s.is.enum == nil:
	case s.was.enum == nil:
		s.narrower(s.at, "enum-added", "only some values are allowed now: %s", strings.Join(s.is.enum, ", "))
	case s.is.enum == nil:
		s.wider(s.at, "enum-gone", Warn, "all values are allowed now, not only %s", strings.Join(s.was.enum, ", "))
	default:
		for _, value := range s.was.enum {
			if !slices.Contains(s.is.enum, value) {
				s.narrower(s.at, "enum-value-removed", "%s is no longer allowed", value)
			}
		}
		for _, value := range s.is.enum {
			if !slices.Contains(s.was.enum, value) {
				s.wider(s.at, "enum-value-added", Warn, "%s is allowed too", value)
			}
		}
	}
}

func (s *sides) bounds() {
	for _, l := range limits {
		was, is := s.was.limits[l.keyword], s.is.limits[l.keyword]
		order := compareNumbers(was, is)
		switch {
		case was == nil && is == nil || was != nil && is != nil && order == 0:
		case was == nil, is != nil && (order < 0) != l.upper:
			s.narrower(is, "bound-tightened", "%s is %s now, %s", l.keyword, is.Text, before(was))
		case is == nil:
			s.wider(s.at, "bound-loosened", Warn, "%s is gone, %s", l.keyword, before(was))
		default:
			s.wider(is, "bound-loosened", Warn, "%s is %s now, %s", l.keyword, is.Text, before(was))
		}
	}
	for _, keyword := range []string{"pattern", "format", "multipleOf"} {
		was, is := s.was.limits[keyword], s.is.limits[keyword]
		switch {
		case was == nil && is == nil || was != nil && is != nil && was.Text == is.Text:
		case is == nil:
			s.wider(s.at, keyword+"-gone", Warn, "the %s is gone, %s", keyword, before(was))
		case s.way == toClient && was != nil:
			s.add(Warn, is, keyword+"-changed", s.pointer, "the %s is %s now, %s", keyword, is.Text, before(was))
		default:
			s.narrower(is, keyword+"-changed", "the %s is %s now, %s", keyword, is.Text, before(was))
		}
	}
}

// before says what stood there.
func before(n *Node) string {
	if n == nil {
		return "there was none"
	}
	return "it was " + n.Text
}

// compareNumbers orders the numbers of two nodes by their digits; 0 when one is missing
// or too large to be compared.
func compareNumbers(a, b *Node) int {
	const most = 100 // digits
	if a == nil || b == nil || a.Text == b.Text || len(a.Text) > most || len(b.Text) > most {
		return 0
	}
	for _, n := range []*Node{a, b} {
		if _, exponent, _ := strings.Cut(strings.ToLower(n.Text), "e"); !smallExponent([]byte(exponent)) {
			return 0
		}
	}
	x, fine := new(big.Rat).SetString(a.Text)
	y, fine2 := new(big.Rat).SetString(b.Text)
	if !fine || !fine2 {
		return 0
	}
	return x.Cmp(y)
}

func (s *sides) members() {
	inner := s.pointer
	for _, name := range s.was.names {
		was := s.was.members[name]
		is, kept := s.is.members[name]
		s.pointer = inner + "/" + step(name)
		switch {
		case kept:
			s.schemas(s.way, s.pointer, was.doc, was.node, is.doc, is.node)
		case s.way == toClient:
			s.add(Breaking, was.node, "member-removed", s.pointer, "the member is gone")
		case s.is.closed:
			s.add(Breaking, was.node, "member-removed", s.pointer, "the member is refused now")
		default:
			s.add(Warn, was.node, "member-removed", s.pointer, "the member is gone: what callers send is not looked at any more")
		}
	}
	for _, name := range s.is.names {
		if _, known := s.was.members[name]; !known && !s.is.required[name] {
			s.add(Info, s.is.members[name].node, "member-added", inner+"/"+step(name), "the member is new")
		}
	}
	s.pointer = inner
	s.demands()
	switch {
	case s.is.closed && !s.was.closed:
		s.narrower(s.at, "members-closed", "other members are refused now")
	case s.was.closed && !s.is.closed:
		s.wider(s.at, "members-opened", Warn, "other members are allowed now")
	}
}

// demands compares what has to be there.
func (s *sides) demands() {
	for _, name := range s.is.names {
		if s.is.required[name] && !s.was.required[name] {
			at := s.is.members[name].node
			if s.way == toService {
				s.add(Breaking, at, "member-required", s.pointer+"/"+step(name), "the member is required now")
			} else {
				s.add(Info, at, "member-required", s.pointer+"/"+step(name), "the member is always there now")
			}
		}
	}
	for _, name := range s.was.names {
		if _, kept := s.is.members[name]; !kept || !s.was.required[name] || s.is.required[name] {
			continue
		}
		at := s.is.members[name].node
		if s.way == toClient {
			s.add(Breaking, at, "member-optional", s.pointer+"/"+step(name), "the member may be missing now")
		} else {
			s.add(Info, at, "member-optional", s.pointer+"/"+step(name), "the member is no longer required")
		}
	}
}

// choices compares the branches of oneOf and anyOf: by what they refer to, and
// without a name by their order.
func (s *sides) choices() {
	for _, keyword := range []string{"oneOf", "anyOf"} {
		was, is := named(s.was.choices[keyword]), named(s.is.choices[keyword])
		for _, b := range was {
			if i := slices.IndexFunc(is, func(n branch) bool { return n.name == b.name }); i >= 0 {
				s.schemas(s.way, s.pointer, b.doc, b.node, is[i].doc, is[i].node)
			} else {
				s.narrower(b.node, "branch-removed", "%s is no longer a branch of %s", b.name, keyword)
			}
		}
		for _, b := range is {
			if len(was) > 0 && !slices.ContainsFunc(was, func(o branch) bool { return o.name == b.name }) {
				s.wider(b.node, "branch-added", Warn, "%s is a branch of %s too", b.name, keyword)
			}
		}
	}
}

// branch is a branch of a choice with a name.
type branch struct {
	place

	name string
}

func named(list []place) []branch {
	out := make([]branch, 0, len(list))
	for i, p := range list {
		name := fmt.Sprintf("branch %d", i+1)
		if ref := p.node.Get("$ref"); ref != nil {
			name = ref.Text[strings.LastIndexByte(ref.Text, '/')+1:]
		}
		out = append(out, branch{p, name})
	}
	return out
}
