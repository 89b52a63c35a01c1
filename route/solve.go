package route

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// puzzle asks for one request that every corner in take accepts and that fails at
// each of the predicates in avoid. Each dimension of a request (method, host, path, a
// header …) is solved for itself.
type puzzle struct {
	take  []corner
	avoid []demand
	// listeners are the names that there are; nil means any.
	listeners []string
	// lab is for regular expressions.
	lab *lab
	// now is the time to try first.
	now time.Time
}

// corner is a rule at one of its hosts.
type corner struct {
	rule *rule
	host host
}

// dimension is a part of a request that predicates look at.
type dimension uint8

const (
	dimHost dimension = iota
	dimPath
	dimMethod
	dimHeader
	dimQuery
	dimCookie
	dimClient
	dimScheme
	dimProtocol
	dimListener
	dimTime
	dimSegment
)

// demand is what one rule wants in one dimension.
type demand struct {
	corner
	dim  dimension
	test *test // of header, query and cookie
}

// demands lists all that a corner wants.
func (c corner) demands() []demand {
	var out []demand
	add := func(there bool, d dimension) {
		if there {
			out = append(out, demand{corner: c, dim: d})
		}
	}
	r := c.rule
	add(r.path.text != "", dimPath)
	add(!r.methods.all(), dimMethod)
	add(c.host.name != "", dimHost)
	for d, tests := range map[dimension][]test{dimHeader: r.headers, dimQuery: r.query, dimCookie: r.cookies} {
		for i := range tests {
			out = append(out, demand{corner: c, dim: d, test: &tests[i]})
		}
	}
	add(r.client != nil, dimClient)
	add(r.scheme != "", dimScheme)
	add(r.protocol != "", dimProtocol)
	add(r.listeners != nil, dimListener)
	add(r.window != (windowTest{}), dimTime)
	add(r.segment != nil, dimSegment)
	slices.SortStableFunc(out, func(a, b demand) int { return cmp.Compare(a.dim, b.dim) })
	return out
}

// solve gives such a request. The dimension is the one without a solution when
// the answer is not yes.
func (p *puzzle) solve() (*Example, answer, dimension) {
	e := &Example{}
	for _, s := range []struct {
		dim   dimension
		solve func(*Example) answer
	}{
		{dimHost, p.host},
		{dimPath, p.path},
		{dimMethod, p.method},
		{dimScheme, p.scheme},
		{dimProtocol, p.protocol},
		{dimListener, p.listener},
		{dimTime, p.time},
		{dimHeader, p.headers},
		{dimQuery, p.query},
		{dimCookie, p.cookies},
		{dimClient, p.client},
	} {
		if a := s.solve(e); a != yes {
			return nil, a, s.dim
		}
	}
	return e, yes, 0
}

// avoided yields the predicates to fail at in a dimension.
func (p *puzzle) avoided(d dimension) []*demand {
	var out []*demand
	for i := range p.avoid {
		if p.avoid[i].dim == d {
			out = append(out, &p.avoid[i])
		}
	}
	return out
}

// first gives the first candidate that every taker takes and no avoided
// predicate does.
func first[T any](p *puzzle, d dimension, candidates []T, takes func(corner, T) bool) (T, bool) {
	avoid := p.avoided(d)
	i := slices.IndexFunc(candidates, func(v T) bool {
		return !slices.ContainsFunc(p.take, func(c corner) bool { return !takes(c, v) }) &&
			!slices.ContainsFunc(avoid, func(n *demand) bool { return takes(n.corner, v) })
	})
	if i < 0 {
		var zero T
		return zero, false
	}
	return candidates[i], true
}

func sure(ok bool) answer {
	if ok {
		return yes
	}
	return no
}

func (p *puzzle) host(e *Example) answer {
	candidates := []string{"example.com", "maru.invalid", "maru-2.invalid"}
	for _, c := range p.take {
		switch {
		case c.host.exact:
			candidates = []string{c.host.name}
		case c.host.name != "":
			candidates = []string{"www." + c.host.name, "maru." + c.host.name, "maru-2." + c.host.name}
		}
	}
	host, ok := first(p, dimHost, candidates, func(c corner, v string) bool { return c.host.takes(v) })
	e.Host = host
	return sure(ok)
}

func (p *puzzle) method(e *Example) answer {
	candidates := slices.Concat(knownMethods[:7], []string{"REPORT", "MARU"})
	for _, c := range p.take {
		candidates = append(candidates, c.rule.methods.others...)
		if c.rule.protocol == "grpc" {
			candidates = []string{"POST"}
		}
		if c.rule.protocol == "websocket" {
			candidates = []string{"GET"}
		}
		candidates = append(candidates, c.rule.methods.names()...)
	}
	method, ok := first(p, dimMethod, candidates, func(c corner, v string) bool {
		return c.rule.methods.has(methodBit(v), v) && (c.rule.protocol != "grpc" || v == "POST") && (c.rule.protocol != "websocket" || v == "GET")
	})
	e.Method = method
	return sure(ok)
}

func (p *puzzle) scheme(e *Example) answer {
	scheme, ok := first(p, dimScheme, []string{"http", "https"}, func(c corner, v string) bool {
		return c.rule.scheme == "" || c.rule.scheme == v
	})
	e.Scheme = scheme
	return sure(ok)
}

func (p *puzzle) protocol(e *Example) answer {
	protocol, ok := first(p, dimProtocol, []string{"", "grpc", "websocket"}, func(c corner, v string) bool {
		return c.rule.protocol == "" || c.rule.protocol == v
	})
	switch protocol {
	case "grpc":
		if e.Method != "POST" {
			return no
		}
		e.Fields = append(e.Fields, message.Field{Name: "Content-Type", Value: "application/grpc"})
	case "websocket":
		if e.Method != "GET" {
			return no
		}
		e.Upgrade = "websocket"
	}
	return sure(ok)
}

func (p *puzzle) listener(e *Example) answer {
	candidates := []string{""}
	if p.listeners != nil {
		candidates = append(candidates[:0], p.listeners...)
	} else {
		for _, c := range p.take {
			candidates = append(candidates, c.rule.listeners...)
		}
	}
	name, ok := first(p, dimListener, candidates, func(c corner, v string) bool {
		return c.rule.listeners == nil || slices.Contains(c.rule.listeners, v)
	})
	if slices.ContainsFunc(p.take, func(c corner) bool { return c.rule.listeners != nil }) || p.avoided(dimListener) != nil {
		e.Listener = name
	}
	return sure(ok)
}

// time tries now, then every moment at which a window opens or closes.
func (p *puzzle) time(e *Example) answer {
	candidates := []time.Time{p.now}
	moments := func(w *windowTest) {
		for _, t := range []time.Time{w.after, w.before} {
			if !t.IsZero() {
				candidates = append(candidates, t, t.Add(-time.Second))
			}
		}
	}
	for _, c := range p.take {
		moments(&c.rule.window)
	}
	for _, n := range p.avoided(dimTime) {
		moments(&n.rule.window)
	}
	r := message.NewRequest()
	defer r.Release()
	at, ok := first(p, dimTime, candidates, func(c corner, v time.Time) bool {
		r.X.Began = v
		return c.rule.window.holds(r)
	})
	if !at.Equal(p.now) {
		e.At = at
	}
	return sure(ok)
}

// named is one name of a dimension with all that is wanted of its value.
type named struct {
	name  string
	take  []*test
	avoid []*test
	share []*segmentTest
	miss  []*segmentTest
}

// names collects what is wanted of each name in a dimension, in order.
func (p *puzzle) names(d dimension, tests func(*rule) []test) []named {
	var out []named
	at := func(name string) *named {
		i := slices.IndexFunc(out, func(n named) bool { return n.name == name })
		if i < 0 {
			out = append(out, named{name: name})
			i = len(out) - 1
		}
		return &out[i]
	}
	kind := map[dimension]byte{dimHeader: 'h', dimCookie: 'k'}[d]
	shares := func(s *segmentTest) bool { return s != nil && kind != 0 && s.kind == kind }
	for _, c := range p.take {
		list := tests(c.rule)
		for i := range list {
			n := at(list[i].name)
			n.take = append(n.take, &list[i])
		}
		if s := c.rule.segment; shares(s) {
			n := at(strings.ToLower(s.name))
			n.share = append(n.share, s)
		}
	}
	for _, a := range p.avoided(d) {
		n := at(a.test.name)
		n.avoid = append(n.avoid, a.test)
	}
	for _, a := range p.avoided(dimSegment) {
		if s := a.rule.segment; shares(s) {
			n := at(strings.ToLower(s.name))
			n.miss = append(n.miss, s)
		}
	}
	return out
}

// value gives a value for a name; there is false for none at all.
func (n *named) value(l *lab, place func(*segmentTest, string) float64) (value string, there bool, a answer) {
	absent := n.share == nil
	for _, t := range n.take {
		absent = absent && t.op == opAbsent
	}
	for _, t := range n.avoid {
		absent = absent && t.op != opAbsent
	}
	if absent && n.miss == nil {
		return "", false, yes
	}
	candidates, complete := n.candidates(l)
	for _, v := range candidates {
		if n.fits(v, place) {
			return v, true, yes
		}
	}
	if complete && n.share == nil && n.miss == nil {
		return "", false, no
	}
	return "", false, unknown
}

// candidates lists values to try; complete means that if none fits, none does.
func (n *named) candidates(l *lab) (list []string, complete bool) {
	complete = true
	expr := ".*"
	for _, t := range n.take {
		switch t.op {
		case opExact:
			return []string{t.want}, true
		case opRegex:
			v, a := l.common(t.want, expr, valueAlphabet)
			if a == no {
				return nil, true
			}
			list = append(list, v)
			complete, expr = false, t.want
		case opAbsent:
			return nil, true
		case opPresent:
		}
	}
	list = append(list, "1", "a", "maru", "maru-2", "")
	for _, t := range n.avoid {
		if t.op == opRegex {
			complete = false
		}
	}
	if n.share != nil || n.miss != nil {
		for i := range 5000 {
			list = append(list, "u"+strconv.Itoa(i))
		}
	}
	for i := range len(n.avoid) {
		list = append(list, "v"+strconv.Itoa(i))
	}
	return list, complete
}

func (n *named) fits(v string, place func(*segmentTest, string) float64) bool {
	for _, t := range n.take {
		if t.op == opAbsent || !t.takes(v) {
			return false
		}
	}
	for _, t := range n.avoid {
		if t.op != opAbsent && t.takes(v) {
			return false
		}
	}
	inside := func(s *segmentTest) bool { at := place(s, v); return at >= s.from && at < s.to }
	return !slices.ContainsFunc(n.share, func(s *segmentTest) bool { return !inside(s) }) && !slices.ContainsFunc(n.miss, inside)
}

func (p *puzzle) headers(e *Example) answer {
	return p.values(dimHeader, func(r *rule) []test { return r.headers }, func(name, value string) {
		i := slices.IndexFunc(e.Fields, func(f message.Field) bool { return strings.EqualFold(f.Name, name) })
		if i >= 0 {
			e.Fields[i].Value = value
			return
		}
		e.Fields = append(e.Fields, message.Field{Name: name, Value: value})
	})
}

func (p *puzzle) query(e *Example) answer {
	return p.values(dimQuery, func(r *rule) []test { return r.query }, func(name, value string) {
		if e.Query != "" {
			e.Query += "&"
		}
		e.Query += encodeQuery(name, value)
	})
}

func (p *puzzle) cookies(e *Example) answer {
	var pairs []string
	a := p.values(dimCookie, func(r *rule) []test { return r.cookies }, func(name, value string) {
		pairs = append(pairs, name+"="+value)
	})
	if pairs != nil {
		e.Fields = append(e.Fields, message.Field{Name: "Cookie", Value: strings.Join(pairs, "; ")})
	}
	return a
}

func (p *puzzle) values(d dimension, tests func(*rule) []test, set func(name, value string)) answer {
	names := p.names(d, tests)
	place := func(s *segmentTest, v string) float64 { return s.at(v, netip.Addr{}, true) }
	for i := range names {
		value, there, a := names[i].value(p.lab, place)
		if a != yes {
			return a
		}
		if there {
			set(names[i].name, value)
		}
	}
	return yes
}

// client tries the ends of all ranges that are wanted or to be avoided: any range
// that is left begins at one of them.
func (p *puzzle) client(e *Example) answer {
	var candidates []netip.Addr
	for _, c := range p.take {
		for _, f := range c.rule.client {
			candidates = append(candidates, f.Addr())
		}
	}
	for _, n := range p.avoided(dimClient) {
		for _, f := range n.rule.client {
			if after := lastOf(f).Next(); after.IsValid() {
				candidates = append(candidates, after)
			}
		}
	}
	shares := p.clientShares()
	if candidates == nil && !shares && p.avoided(dimClient) == nil {
		return yes
	}
	candidates = append(candidates, netip.IPv4Unspecified().Next(), netip.IPv6Unspecified())
	if shares {
		for _, a := range slices.Clone(candidates) {
			for range 2000 {
				if a = a.Next(); a.IsValid() {
					candidates = append(candidates, a)
				}
			}
		}
	}
	i := slices.IndexFunc(candidates, p.fitsClient)
	switch {
	case i >= 0:
		e.Client = candidates[i]
		return yes
	case shares:
		return unknown
	default:
		return no
	}
}

func (r *rule) takesClient(a netip.Addr) bool {
	return r.client == nil || slices.ContainsFunc(r.client, func(f netip.Prefix) bool { return f.Contains(a) })
}

// fitsClient judges one address, by the ranges and by the segments of clients.
func (p *puzzle) fitsClient(a netip.Addr) bool {
	share := func(r *rule) (inside, there bool) {
		s := r.segment
		if s == nil || s.kind != 'c' {
			return false, false
		}
		return s.inside(s.at("", a, false)), true
	}
	for _, c := range p.take {
		if inside, there := share(c.rule); there && !inside || !c.rule.takesClient(a) {
			return false
		}
	}
	for _, n := range p.avoided(dimClient) {
		if n.rule.takesClient(a) {
			return false
		}
	}
	return !slices.ContainsFunc(p.avoided(dimSegment), func(n *demand) bool {
		inside, _ := share(n.rule)
		return inside
	})
}

// clientShares tells whether a segment by client address is wanted or to be avoided.
func (p *puzzle) clientShares() bool {
	by := func(r *rule) bool { return r.segment != nil && r.segment.kind == 'c' }
	return slices.ContainsFunc(p.take, func(c corner) bool { return by(c.rule) }) ||
		slices.ContainsFunc(p.avoided(dimSegment), func(n *demand) bool { return by(n.rule) })
}

// lastOf is the last address of a range.
func lastOf(f netip.Prefix) netip.Addr {
	b := f.Addr().AsSlice()
	for i := f.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
