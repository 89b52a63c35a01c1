package aggregate

import (
	"runtime"
	"sync/atomic"
)

// crew are the goroutines that make fetches side by side. A fresh goroutine has a
// small stack, which grows in steps, each a copy, before the first byte of a call is
// written; that takes longer than all the rest of a small merge. So those that are
// through wait for another fetch, as many as Env.Crew says, until the graph is
// nobody's any more.
type crew struct {
	jobs    chan *fetchState // nil: nobody waits
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
	c.jobs = make(chan *fetchState)
	runtime.AddCleanup(g, func(jobs chan *fetchState) { close(jobs) }, c.jobs)
	return c
}

// do makes a fetch, and what becomes ready by it, beside the caller.
func (c *crew) do(f *fetchState) {
	select {
	case c.jobs <- f:
	default: // nobody waits
		go c.work(f)
	}
}

// work makes one fetch after another. What waits holds nothing of a graph but the
// channel, so that the graph can go.
func (c *crew) work(f *fetchState) {
	for ok := true; ok; {
		f.x.work(nil, f) // the run may be somebody else's from here on
		if c.waiting.Add(1) > c.most {
			c.waiting.Add(-1)
			return
		}
		f, ok = <-c.jobs
		c.waiting.Add(-1)
	}
}
