package contract

import (
	"maps"
	"slices"

	"github.com/maru-msa/maru/scan"
)

// undecided names the keyword of a schema that no scan decides, or "".
func (c *compiler) undecided(doc *document, n *Node) string {
	if !c.old {
		for _, keyword := range []string{
			"if", "contains", "unevaluatedProperties", "unevaluatedItems",
			"dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef", "additionalItems",
		} {
			if n.has(keyword) {
				return keyword
			}
		}
		if v := n.Get("const"); v != nil && !v.scalar() {
			return "const"
		}
	}
	if n.has("not") {
		return "not"
	}
	for _, v := range items(n.Get("enum")) {
		if !v.scalar() {
			return "enum"
		}
	}
	if list := n.Get("enum"); list != nil && len(list.Items) == 0 {
		return "enum"
	}
	if n.is("uniqueItems") && !c.scalars(doc, n) {
		return "uniqueItems"
	}
	if keyword := c.undecidedNames(doc, n); keyword != "" {
		return keyword
	}
	for _, keyword := range []string{"oneOf", "anyOf"} {
		list := items(n.Get(keyword))
		if len(list) < 2 {
			continue
		}
		if len(list) > maxBranches {
			c.fault(n.Get(keyword), "limit", keyword+" has more than 32 branches of which nothing decides", "give the branches a member with a const each")
		}
		if _, decided := c.decide(doc, list); !decided {
			return keyword
		}
	}
	return ""
}

// maxBranches is the most branches of a choice.
const maxBranches = 32

// undecidedNames looks at the keywords of names.
func (c *compiler) undecidedNames(doc *document, n *Node) string {
	if c.old {
		return ""
	}
	if list := n.Get("patternProperties"); list != nil {
		for _, e := range list.Entries {
			if _, usable := plain(e.Key.Text); !usable {
				return "patternProperties"
			}
		}
		const most = 4
		if len(list.Entries) > most {
			return "patternProperties"
		}
	}
	names := n.Get("propertyNames")
	for range maxDepth {
		if names == nil || names.Kind != Object {
			return ""
		}
		if names.has("allOf", "oneOf", "anyOf", "enum", "const") || names.has("type") && names.str("type") != "string" || c.undecided(doc, names) != "" {
			return "propertyNames"
		}
		ref := names.Get("$ref")
		if ref == nil {
			return ""
		}
		if doc, names = c.resolve(doc, ref); names == nil {
			return ""
		}
	}
	return "propertyNames"
}

// scalars tells whether all elements of an array are scalars.
func (c *compiler) scalars(doc *document, n *Node) bool {
	const composed = scan.TypeArray | scan.TypeObject
	list := items(n.Get("prefixItems"))
	all := n.Get("items")
	if all == nil {
		return false
	}
	for _, item := range append(slices.Clone(list), all) {
		if item.Kind == Bool && item.Text == "false" {
			continue
		}
		if c.shape(doc, item, 0).types&composed != 0 {
			return false
		}
	}
	return true
}

// shape is what a schema says of the type of its values and, for objects, of the
// members that tell them apart.
type shape struct {
	types scan.Types
	tags  map[string][]string // required members with their values, as JSON texts
}

const (
	anyType    = scan.TypeNull | scan.TypeBoolean | anyNumber | scan.TypeString | scan.TypeArray | scan.TypeObject
	anyNumber  = scan.TypeInteger | scan.TypeNumber
	shapeDepth = 16
)

// shape looks at a schema, its references and its allOf.
func (c *compiler) shape(doc *document, n *Node, depth int) shape {
	out := shape{types: anyType, tags: map[string][]string{}}
	if n == nil || n.Kind != Object || depth > shapeDepth {
		return out
	}
	narrow := func(other shape) {
		out.types &= other.types
		maps.Copy(out.tags, other.tags)
	}
	if ref := n.Get("$ref"); ref != nil {
		if to, target := c.resolve(doc, ref); target != nil {
			narrow(c.shape(to, target, depth+1))
		}
		if c.old {
			return out
		}
	}
	if t := c.types(n); t != 0 {
		if t&anyNumber != 0 {
			t |= anyNumber
		}
		out.types &= t
	}
	if values := c.values(n); values != nil {
		var t scan.Types
		for _, v := range values {
			t |= [...]scan.Types{scan.TypeNull, scan.TypeBoolean, anyNumber, scan.TypeString, scan.TypeArray, scan.TypeObject}[v.Kind]
		}
		out.types &= t
	}
	for _, also := range items(n.Get("allOf")) {
		narrow(c.shape(doc, also, depth+1))
	}
	for _, name := range items(n.Get("required")) {
		if p := n.Get("properties").Get(name.Text); p != nil {
			if texts := c.constants(doc, p, depth+1); texts != nil {
				out.tags[name.Text] = texts
			}
		}
	}
	return out
}

// values are those of const or enum.
func (c *compiler) values(n *Node) []*Node {
	if v := n.Get("const"); v != nil && !c.old {
		return []*Node{v}
	}
	return items(n.Get("enum"))
}

// constants are the scalars that a member may be, as JSON texts.
func (c *compiler) constants(doc *document, n *Node, depth int) []string {
	if ref := n.Get("$ref"); ref != nil && depth < shapeDepth {
		to, target := c.resolve(doc, ref)
		if target == nil {
			return nil
		}
		return c.constants(to, target, depth+1)
	}
	var out []string
	for _, v := range c.values(n) {
		if v.Kind != String && v.Kind != Bool { // numbers have many forms
			return nil
		}
		out = append(out, v.json())
	}
	return out
}

// decision is how the branches of a choice are told apart.
type decision struct {
	shapes  []shape
	tag     string
	objects []int // the branches that the tag decides between
}

// decide tells whether type or tag decide a choice.
func (c *compiler) decide(doc *document, list []*Node) (decision, bool) {
	var d decision
	var taken scan.Types
	for i, n := range list {
		s := c.shape(doc, n, 0)
		d.shapes = append(d.shapes, s)
		if s.types == scan.TypeObject {
			d.objects = append(d.objects, i)
			continue
		}
		if s.types == 0 || taken&s.types != 0 {
			return d, false
		}
		taken |= s.types
	}
	switch {
	case len(d.objects) == 0:
		return d, true
	case taken&scan.TypeObject != 0:
		return d, false
	case len(d.objects) == 1:
		return d, true
	}
	for name := range d.shapes[d.objects[0]].tags {
		if d.apart(name) && (d.tag == "" || name < d.tag) {
			d.tag = name
		}
	}
	return d, d.tag != ""
}

// apart tells whether the member has another value in each branch.
func (d *decision) apart(name string) bool {
	seen := make(map[string]bool)
	for _, i := range d.objects {
		values := d.shapes[i].tags[name]
		if values == nil {
			return false
		}
		for _, v := range values {
			if seen[v] {
				return false
			}
			seen[v] = true
		}
	}
	return true
}
