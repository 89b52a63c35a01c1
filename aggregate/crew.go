package aggregate

import (
	"runtime"
	"sync/atomic"
)

// crew are the goroutines that make fetches side by side. A fresh goroutine has a
// small stack, which grows in steps, each a copy, before the first byte of a call is
// written; that takes longer than all the rest of a small merge. So those that are
// through wait for another run that wants help, as many as Env.Crew says, until the
// graph is nobody's any more.
type crew struct {
	runs    chan *run // that want help; nil: nobody waits
	waiting atomic.Int32
	most    int32
}

// maxCrew bounds the goroutines that wait.
const maxCrew = 1024

// newCrew makes the crew of a graph, which ends with it.
func newCrew(g *Graph, most int) *crew {
	c := &crew{most: int32(min(max(most, 0), maxCrew))}
	if c.most == 0 {
		return c
	}
	c.runs = make(chan *run)
	runtime.AddCleanup(g, func(runs chan *run) { close(runs) }, c.runs)
	return c
}

// send gives a run to somebody who helps with it, and who comes even if nothing is
// left to do by then.
func (c *crew) send(x *run) {
	select {
	case c.runs <- x:
	default: // nobody waits
		go c.work(x)
	}
}

// work helps one run after another. Who waits holds nothing of a graph but the
// channel, so that the graph can go.
func (c *crew) work(x *run) {
	for ok := true; ok; {
		x.help() // the run may be somebody else's from here on
		if c.waiting.Add(1) > c.most {
			c.waiting.Add(-1)
			return
		}
		x, ok = <-c.runs
		c.waiting.Add(-1)
	}
}

// offer leaves fetches to whoever has time first: somebody of the crew, or the
// goroutine itself once it is through with what it does. A source that answers at
// once, from memory, thus costs no change of goroutines.
func (x *run) offer(fetches []*fetchState) {
	if len(fetches) == 0 {
		return
	}
	x.mu.Lock()
	x.spare = append(x.spare, fetches...)
	x.mu.Unlock()
	x.p.graph.crew.send(x)
}

// take gives the first fetch that nobody does yet, or nil, and tells whether it
// leaves others.
func (x *run) take() (f *fetchState, others bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.spare) == 0 {
		return nil, false
	}
	f = x.spare[0]
	x.spare = append(x.spare[:0], x.spare[1:]...)
	return f, len(x.spare) > 0
}

// help does a fetch that was offered, if there still is one. As long as fetches
// are left somebody is on the way to them: the next one is sent before this one
// begins.
func (x *run) help() {
	f, others := x.take()
	if others {
		x.p.graph.crew.send(x)
	}
	if f != nil && x.work(nil, f) {
		x.done <- struct{}{}
	}
}
