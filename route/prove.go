package route

import (
	"slices"
	"time"

	"github.com/maru-msa/maru/message"
)

// Proof says that a route takes no request, and why.
type Proof struct {
	// Rule is the route's place in Build's list.
	Rule int
	// By are the routes that take all of its requests; none means that no
	// request fits its own predicates.
	By []int
	// Dead says what can't be true when By is empty: "the path", "the client".
	Dead string
	// Example is a request that fits the route and that the first of By takes;
	// nil when no request fits.
	Example *Example
}

// Prover finds routes that take no request. The zero value works.
type Prover struct {
	// Listeners are the names of all listeners; nil means that any may be.
	Listeners []string
	// Now is the time at which routes are judged; zero means the present. A
	// window that begins later counts as open.
	Now time.Time
}

// maxRounds bounds the requests that are tried for one route, and the ways of
// going round other routes that are tried for one request.
const (
	maxRounds = 24
	maxWays   = 400
)

// Dead lists the routes that take no request. For each route it makes requests
// that fit it and sends them through the real route table; when another route takes
// one, the next must get past that one too. A route is listed only when there
// provably is no such request; one for which the search gives up is not. The
// cost is one search for a route that nothing hides.
func (t *Table[T]) Dead(p Prover) []Proof {
	c := &t.core
	var out []Proof
	done := make([]bool, len(c.compiled))
	entries := c.byRule()
	for rule := range c.compiled {
		own := entries[rule]
		if len(own) == 0 || done[rule] {
			continue // a later member of a group: what holds for the first holds for it
		}
		done[rule] = true
		if proof := p.dead(c, rule, own); proof != nil {
			out = append(out, *proof)
		}
	}
	return out
}

// Reach gives a request that a route takes, as the real route table says; nil when
// there is none or none was found.
func (t *Table[T]) Reach(p Prover, rule int) *Example {
	c := &t.core
	for i := range c.index.entries {
		e := &c.index.entries[i]
		if int(e.source) != rule && !slices.Contains(e.members, int32(rule)) {
			continue
		}
		h := p.hunt(c, int32(i))
		if ex, got := h.run(); got == yes {
			return ex
		}
	}
	return nil
}

// Members lists the routes that share their traffic with a route by weight,
// itself included; nil when it has no weight.
func (t *Table[T]) Members(rule int) []int {
	for i := range t.index.entries {
		if list := t.index.entries[i].members; slices.Contains(list, int32(rule)) {
			out := make([]int, len(list))
			for k, m := range list {
				out[k] = int(m)
			}
			return out
		}
	}
	return nil
}

// hunt makes the search for one entry.
func (p *Prover) hunt(c *core, e int32) hunt {
	now := p.Now
	if now.IsZero() {
		now = time.Now()
	}
	return hunt{core: c, own: e, puzzle: puzzle{
		take: []corner{{c.index.entries[e].rule, c.index.entries[e].host}}, listeners: p.Listeners, now: now, lab: newLab(),
	}}
}

// byRule lists the entries of each rule.
func (c *core) byRule() [][]int32 {
	out := make([][]int32, len(c.compiled))
	for i := range c.index.entries {
		s := c.index.entries[i].source
		out[s] = append(out[s], int32(i))
	}
	return out
}

// dead judges one rule: it is alive when one of its hosts gets a request.
func (p *Prover) dead(c *core, rule int, own []int32) *Proof {
	proof := &Proof{Rule: rule}
	for _, e := range own {
		h := p.hunt(c, e)
		if _, got := h.run(); got != no {
			return nil
		}
		for _, w := range h.winners {
			if by := int(c.index.entries[w].source); !slices.Contains(proof.By, by) {
				proof.By = append(proof.By, by)
			}
		}
		if proof.Example == nil {
			proof.Example = h.example
		}
		if h.example == nil {
			proof.Dead = h.blame.String()
		}
	}
	return proof
}

// hunt looks for a request that reaches one entry.
type hunt struct {
	*core
	puzzle

	own     int32
	winners []int32
	example *Example // the first request that fits the entry
	blame   dimension
	ways    int
}

// run gives yes and a request when it reaches the entry, no when none can.
func (h *hunt) run() (*Example, answer) {
	for range maxRounds {
		h.ways = 0
		ex, got := h.around(0)
		if got != yes {
			if h.example == nil && got == no {
				_, _, h.blame = h.solve()
			}
			return nil, got
		}
		winner, fits := h.send(ex)
		switch {
		case !fits:
			return nil, unknown // the solver was wrong about a predicate
		case winner == h.own:
			return ex, yes
		case winner == noEntry || slices.Contains(h.winners, winner):
			return nil, unknown
		}
		if h.example == nil {
			h.example = ex
		}
		h.winners = append(h.winners, winner)
	}
	return nil, unknown
}

// send runs a request through the route table, and tells whether it fits the entry.
func (h *hunt) send(ex *Example) (winner int32, fits bool) {
	r := message.NewRequest()
	defer r.Release()
	ex.Fill(r)
	if r.X.Began.IsZero() {
		r.X.Began = h.now
	}
	if r.X.Listener == "" && len(h.listeners) > 0 {
		r.X.Listener = h.listeners[0]
	}
	e := &h.index.entries[h.own]
	fits = e.host.takes(r.Host) && e.rule.path.matches(r.Path) && e.rule.methods.has(methodBit(r.Method), r.Method) && e.rule.takes(r)
	s := h.find(r, r.Path, r.Method)
	return s.best, fits
}

// around solves the puzzle with one predicate of each winner from i on failing:
// it tries them in turn and goes back when there is no way on.
func (h *hunt) around(i int) (*Example, answer) {
	if h.ways++; h.ways > maxWays {
		return nil, unknown
	}
	ex, got, _ := h.solve()
	if i == len(h.winners) || got == no {
		return ex, got
	}
	w := &h.index.entries[h.winners[i]]
	best := no
	for _, c := range (corner{w.rule, w.host}).demands() {
		h.avoid = append(h.avoid, c)
		ex, got := h.around(i + 1)
		h.avoid = h.avoid[:len(h.avoid)-1]
		if got == yes {
			return ex, yes
		}
		if got == unknown {
			best = unknown
		}
	}
	return nil, best
}

// String names the dimension in a sentence.
func (d dimension) String() string {
	return [...]string{
		dimHost: "the host", dimPath: "the path", dimMethod: "the method", dimHeader: "a header", dimQuery: "a query parameter",
		dimCookie: "a cookie", dimClient: "the client's address", dimScheme: "the scheme", dimProtocol: "the protocol",
		dimListener: "the listener", dimTime: "the time", dimSegment: "the segment",
	}[d]
}
