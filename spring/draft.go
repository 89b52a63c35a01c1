package spring

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/route"
)

// draft is the maru.yaml in the making.
type draft struct {
	listener *element // with address; nil for the default
	address  string
	registry *element // this process serves the registry; nil when it does not
	services []*service
	filters  []*step // of every route
	routes   []*plan
	// incomplete says that a filter of all routes is missing that changes where
	// requests go.
	incomplete bool
}

// element is a part of the draft that can be written as a comment instead.
type element struct {
	at   *node      // for findings
	from []*setting // what it was made of
	says string     // a comment
	off  string     // why it is written as a comment; "" for not

	column int // where it is written
}

// service is a service to be.
type service struct {
	element

	name     string
	base     string // what settings of the inputs call it, in lower case
	url      string // of the route
	urls     []string
	registry string   // name there
	servers  []string // URLs of registries; none for that of this process
	host     string   // "service", "client" or a literal
	keys     []*serviceKey
	filters  []*step
}

// serviceKey is a key of a service beside its endpoints.
type serviceKey struct {
	element

	name  string
	value value
}

// step is one filter.
type step struct {
	element

	word string
	args value
}

// plan is a route of the inputs. It becomes one route of maru for each of its paths.
type plan struct {
	element

	id      string
	order   int
	match   route.Match
	paths   []path // none: every path
	vars    map[string]bool
	weight  *int
	group   string
	filters []*step
	kept    bool // the client's Host goes on
	host    string
	target  string // uri
	connect string // time-out of its own
	respond string // the same
	timeout string
	service *service
	answers bool // a filter answers, there is no service
}

// key sets a key of a service, once.
func (s *service) key(name string, v value) *serviceKey {
	k := s.has(name)
	if k == nil {
		k = &serviceKey{name: name, element: element{at: s.at}}
		s.keys = append(s.keys, k)
	}
	k.value = v
	return k
}

// has gives a key that was set, or nil.
func (s *service) has(name string) *serviceKey {
	for _, k := range s.keys {
		if k.name == name {
			return k
		}
	}
	return nil
}

// set sets a key with what it came from.
func (s *service) set(name string, v value, at *node, says string, from ...*setting) {
	k := s.key(name, v)
	k.at, k.says, k.from = at, says, from
}

// endpoints is where the endpoints come from, as keys.
func (s *service) endpoints() []entry {
	switch {
	case len(s.urls) == 1:
		return []entry{keyed("url", text(s.urls[0]))}
	case len(s.urls) > 1:
		return []entry{keyed("urls", texts(s.urls))}
	case s.registry != "":
		if len(s.servers) == 0 {
			return []entry{keyed("registry", text(s.registry))}
		}
		v := mapping(keyed("name", text(s.registry)), keyed("url", text(s.servers[0])))
		if len(s.servers) > 1 {
			v = v.With("urls", texts(s.servers[1:]))
		}
		return []entry{keyed("registry", v)}
	}
	return []entry{keyed("url", text(s.url))}
}

// add puts a filter behind those of a list.
func add(list *[]*step, word string, args value, at *node, says string, from ...*setting) *step {
	s := &step{element: element{at: at, says: says, from: from}, word: word, args: args}
	*list = append(*list, s)
	return s
}

// sortRoutes brings the routes into the order in which theirs are tried.
func (d *draft) sortRoutes() {
	slices.SortStableFunc(d.routes, func(a, b *plan) int { return cmp.Compare(a.order, b.order) })
}

// matches gives the match of each route of maru that a plan becomes.
func (p *plan) matches() []route.Match {
	if len(p.paths) == 0 {
		m := p.match
		m.Weight = p.weight
		return []route.Match{m}
	}
	out := make([]route.Match, len(p.paths))
	for i := range p.paths {
		out[i] = p.match
		out[i].Path, out[i].Weight = p.paths[i].pattern, p.weight
	}
	return out
}

// uniqueNames makes the names of services and routes differ.
func (d *draft) uniqueNames() {
	seen := make(map[string]bool)
	for _, s := range d.services {
		s.name = unique(seen, s.name)
	}
	seen = make(map[string]bool)
	for _, p := range d.routes {
		p.id = unique(seen, p.id)
	}
}

func unique(seen map[string]bool, name string) string {
	out := name
	for i := 2; seen[out]; i++ {
		out = name + "-" + strconv.Itoa(i)
	}
	seen[out] = true
	return out
}

// places writes where settings stand: "application.yml:3-5,9".
func places(list []*setting, known map[string]map[int]bool) string {
	byFile := make(map[string]map[int]bool)
	for _, s := range list {
		if byFile[s.at.File] == nil {
			byFile[s.at.File] = make(map[int]bool)
		}
		byFile[s.at.File][s.at.Line] = true
	}
	var out []string
	for _, file := range slices.Sorted(maps.Keys(byFile)) {
		out = append(out, comment(file)+":"+ranges(byFile[file], known[file]))
	}
	return strings.Join(out, ", ")
}

// ranges writes line numbers; lines that hold no setting make no gap.
func ranges(lines, known map[int]bool) string {
	sorted := slices.Sorted(maps.Keys(lines))
	var out []string
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && joined(sorted[j], sorted[j+1], known) {
			j++
		}
		if i == j {
			out = append(out, strconv.Itoa(sorted[i]))
		} else {
			out = append(out, strconv.Itoa(sorted[i])+"-"+strconv.Itoa(sorted[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ",")
}

func joined(from, to int, known map[int]bool) bool {
	const farthest = 50
	if to-from > farthest {
		return false
	}
	for line := from + 1; line < to; line++ {
		if known[line] {
			return false
		}
	}
	return true
}

// joinWords adds to what a comment says.
func joinWords(says, more string) string {
	if says == "" {
		return more
	}
	return says + "; " + more
}
