package aggregate

import (
	"time"

	"github.com/maru-msa/maru/scan"
)

// fetchKind says how keys become calls.
type fetchKind uint8

const (
	fetchRoot   fetchKind = iota // one call, no keys
	fetchOne                     // a call a key, an element each
	fetchMany                    // ⌈keys/max⌉ calls, an element a key
	fetchByOne                   // a call a key, a list each
	fetchByMany                  // ⌈keys/max⌉ calls, a list a key
)

// String is the word for explain.
func (k fetchKind) String() string {
	return [...]string{"root", "one", "many", "by.one", "by.many"}[k]
}

func (k fetchKind) batched() bool { return k == fetchMany || k == fetchByMany }

// listed tells whether a key's answer is a list.
func (k fetchKind) listed() bool { return k == fetchByOne || k == fetchByMany }

// Plan is a compiled query: the calls to make, what each waits for, and the
// shape of the answer. It is immutable; any number of requests run it.
type Plan struct {
	// Name is the view's, such as "GET /home/{id}", or the operation's.
	Name string
	// Client is the variant that it is for; "" for all.
	Client string

	graph   *Graph
	serial  uint64 // among the plans of the graph
	inputs  []input
	fetches []*fetch
	levels  []*level // levels[0] is the answer itself
	root    *object
	merge   *merge
	budget  time.Duration
	grace   time.Duration
	partial partialMode
	graphql bool
	inTurn  bool // a GraphQL mutation: a root begins when all before it is done
	bounds  Bounds
	pool    runs
}

// Bounds are what a plan may cost at most, known before any call.
type Bounds struct {
	Calls int `json:"calls"`
	Keys  int `json:"keys"`
	Depth int `json:"depth"`
}

// Bounds of the plan.
func (p *Plan) Bounds() Bounds { return p.bounds }

// chain is the way from an element to a node below it, member by member.
type chain []scan.Field

// fetch is one node of the plan that calls a source.
type fetch struct {
	id     int
	call   *call
	source *source
	kind   fetchKind
	depth  int
	mask   *scan.Mask
	build  *scan.Builder
	body   chain      // from the root to where elements are: what `at` names
	elem   scan.Field // one element
	group  chain      // from a group to its key, and inner from it to its elements
	inner  chain
	key    []chain // the element's key, for pairing
	args   []boundArg
	slots  map[*variable]slot

	gathers  []*gather
	waits    []*level // that must be laid out first
	feeds    []*level // that are laid out from it
	after    *fetch   // of unsafe calls: the one before
	behind   []*fetch // of a GraphQL mutation: all of those written before it (GraphQL §6.2.2)
	required bool
	order    int // of writing, for which failure counts
	maxKeys  int
	maxCalls int
	text     bool     // keys compare as text
	lists    []bool   // by gather: a place holds a list of keys
	keyNames []string // of a key with several fields
	stats    *nodeStats
	refusals *refusals // of a GraphQL source
}

// gather says where a fetch's keys come from: elements of a level, or inputs.
type gather struct {
	from  *level
	at    []chain // a part of the key each
	given []Value // instead of at: the same for all
	many  bool    // given holds a list of keys
}

// boundArg is an argument of a call that is no key.
type boundArg struct {
	name  string
	value Value
}

// slot is what stands for a variable of a call at run time.
type slot struct {
	kind slotKind
	part int // of a composite key
	arg  Value
	ref  *reference
}

type slotKind uint8

const (
	slotKey slotKind = iota
	slotKeys
	slotArg
	slotRef
	slotNone // left out
)

// level is a place in the answer where objects (or the elements of a list) are
// laid out: one row of elements for every element of its parent.
type level struct {
	id       int
	name     string // "member.auctions.bids", what parts: calls it
	shown    string // the same as the answer has it: without what is lifted
	parent   *level
	fetch    *fetch // whose keys or answer it shows; nil for a part of the parent's element
	gather   int
	in       *fetch // whose bodies hold the elements
	at       chain  // of a part: the way from the parent's element
	elem     scan.Field
	list     bool
	typ      *graphType // nil for scalars
	tag      chain      // of a union: the way to the name of the element's type
	post     post
	policy   policy
	sub      *object
	children []*level
	waits    int
	depth    int
	bound    int
	bounded  bool
	required bool
	order    int
	written  int // byte offset in the selection
}

// post is what happens to a row of a list before its children are fetched.
type post struct {
	where *condition
	sort  []sortKey
	skip  Value
	limit Value
	first bool
	last  bool
}

func (p *post) any() bool {
	return p.where != nil || len(p.sort) > 0 || p.skip != (Value{}) || p.limit != (Value{}) || p.first || p.last
}

type sortKey struct {
	at   chain
	desc bool
}

// object is the shape of one object of the answer.
type object struct {
	fields []outField
}

type outKind uint8

const (
	outLeaf  outKind = iota // a span of the element
	outLevel                // the elements of a level
	outConst                // always the same
)

// outField is one member of an object.
type outField struct {
	name   string
	lit    string // "name":
	kind   outKind
	at     chain
	typ    typeRef
	level  *level
	value  []byte // of outConst
	def    []byte // for null and failure; nil without one
	lift   bool
	pluck  bool // the value is that of the object's only member
	guards []guard
	source *field
}

// guard leaves a member out unless its value says so.
type guard struct {
	value Value
	want  bool
	// tag compares a member of the element instead: it is of that type.
	tag   chain
	tagIs string
}

// policy is what happens when a part fails.
type policy struct {
	kind policyKind
	def  []byte
	age  time.Duration
}

type policyKind uint8

const (
	policyNull policyKind = iota
	policyRequired
	policyDefault
	policyStale
	policyOmit
)

// String is how parts: writes it.
func (p policy) String() string {
	switch p.kind {
	case policyRequired:
		return "required"
	case policyDefault:
		return "default " + string(p.def)
	case policyStale:
		return "stale " + p.age.String()
	case policyOmit:
		return "omit"
	case policyNull:
	}
	return "null"
}

// word is the policy without its value.
func (p policy) word() string {
	return [...]string{"null", "required", "default", "stale", "omit"}[p.kind]
}

type partialMode uint8

const (
	partialHeader partialMode = iota
	partialBody
	partialRefuse
)
