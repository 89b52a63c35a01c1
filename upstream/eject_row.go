package upstream

import (
	"fmt"
	"math"
)

// row is a row of equal outcomes at an endpoint: failures, or slow answers. It
// remembers what all endpoints had counted when it began.
type row struct{ tries, such uint64 }

const (
	rowLeast  = 5  // such outcomes one after the other
	rowOthers = 20 // while the siblings had so many tries
	// rowChance is how likely a row may be if the endpoint were as its siblings:
	// at 1,000 requests a second some such row comes by chance in hours.
	rowChance = 1e-7
)

// telling takes in that the row is n long now and that all endpoints count so
// many tries, and such outcomes among them. It tells whether n can't be chance,
// and what the siblings had meanwhile. A row of nothing begins anew.
func (w *row) telling(n, tries, such uint64, fresh bool) (others, alike uint64, tells bool) {
	if n == 0 || fresh {
		*w = row{tries, such}
		return 0, 0, false
	}
	others, alike = tries-w.tries, such-w.such
	others, alike = others-min(others, n), alike-min(alike, n)
	if n < rowLeast || others < rowOthers {
		return others, alike, false
	}
	return others, alike, math.Pow(float64(alike+1)/float64(others+1), float64(n)) < rowChance
}

// lookForRows finds endpoints that fail each request, or take long for each,
// while their siblings do well. The picker sends so little there that the rules
// about rates and averages would wait long for their numbers; and where it sends
// more, each moment counts.
func (c *Cluster) lookForRows(s *set, changed bool) {
	var all outcomes
	for _, e := range s.all {
		if e.State() == Up {
			all.add(&e.tally)
		}
	}
	for _, e := range s.all {
		w := e.watched
		if w == nil || e.State() != Up {
			continue
		}
		n := uint64(e.tally.failed.Load())
		others, alike, tells := w.failing.telling(n, all.tries, all.failed, changed)
		if tells && c.eject(e, SuccessRate, fmt.Sprintf("its last %d requests failed, of its siblings' %d meanwhile %d", n, others, alike)) {
			return // the set has changed
		}
		n = uint64(e.tally.slow.Load())
		others, alike, tells = w.slowing.telling(n, all.timed, all.slow, changed)
		if tells && c.eject(e, SlowAnswers, fmt.Sprintf("its last %d answers were far slower than usual, of its siblings' %d meanwhile %d", n, others, alike)) {
			return
		}
	}
}

// outcomes are sums over endpoints.
type outcomes struct{ tries, failed, timed, slow uint64 }

func (o *outcomes) add(t *tally) {
	// What is part of something else is read before it, since both grow.
	slow, bad, lost := t.slowAll.Load(), t.bad.Load(), t.lost.Load()
	answers := t.answers.Load()
	o.slow += slow
	o.failed += bad + lost
	o.tries += answers + lost
	o.timed += answers - bad
}
