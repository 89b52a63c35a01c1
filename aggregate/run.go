package aggregate

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/scan"
)

// runs is the pool of a plan's runs: each keeps the memory that a request needs.
type runs struct{ pool sync.Pool }

// run is one execution of a plan.
//
// The nodes are fetches and levels. Each counts what it waits for; whoever brings
// a count to zero owns the node from then on, so that nothing of it needs a lock.
type run struct {
	p       *Plan
	r       *message.Request
	in      [][]byte // JSON of the inputs
	began   time.Time
	by      time.Time // the deadline of everything; zero for none
	fetches []fetchState
	levels  []levelState
	nodes   atomic.Int64 // that are not done
	needed  atomic.Int64 // required fetches that are not done
	done    chan struct{}
	bytes   atomic.Int64 // of all bodies
	traced  bool         // times are noted

	mu     sync.Mutex
	spare  []*fetchState // that are ready and that nobody does yet
	active []*active     // calls under way
	over   error         // why no further call begins
	soft   bool          // optional calls are over: the laggard rule
	turn   uint64        // counts the requests that had this memory
	timer  *time.Timer

	queue ready // of the goroutine that the run began on
	out   scan.Output
	cuts  [][]byte // of out
	trail []step   // of the shape: where in the answer it is
	notes []note   // parts that failed
	noted int      // how often one was noted
	fatal error
	cause error // of the first call that failed, for the log
}

// active is a call under way, to be cancelled with the run.
type active struct {
	call     message.Canceler
	required bool
}

// newRun takes a run from the pool.
func (p *Plan) newRun(r *message.Request) *run {
	x, _ := p.pool.pool.Get().(*run)
	if x == nil {
		x = &run{
			p: p, fetches: make([]fetchState, len(p.fetches)), levels: make([]levelState, len(p.levels)),
			done: make(chan struct{}, 1),
		}
		for i, f := range p.fetches {
			x.fetches[i].f, x.fetches[i].x = f, x
			x.fetches[i].rows = make([][]int32, len(f.gathers))
			x.fetches[i].ends = make([][]int32, len(f.gathers))
		}
		for i, l := range p.levels {
			x.levels[i].l = l
		}
	}
	x.r, x.began = r, p.graph.env.Now()
	x.by = x.began.Add(p.budget)
	if p.budget == 0 {
		x.by = time.Time{}
	}
	if d := r.X.Deadline; !d.IsZero() && (x.by.IsZero() || d.Before(x.by)) {
		x.by = d
	}
	x.out.Max = int(p.graph.limits.Output)
	return x
}

// keepBuffer is the largest buffer that goes back to the pool.
const keepBuffer = 256 << 10

// release gives the run's memory back.
func (x *run) release() {
	for i := range x.fetches {
		x.fetches[i].reset()
	}
	for i := range x.levels {
		x.levels[i].reset()
	}
	x.r, x.over, x.soft, x.fatal, x.cause = nil, nil, false, nil, nil
	x.in, x.active, x.notes, x.trail = x.in[:0], x.active[:0], x.notes[:0], x.trail[:0]
	x.bytes.Store(0)
	x.traced, x.noted = false, 0
	big := x.out.Len() > keepBuffer
	x.out.Reset()
	if !big {
		x.p.pool.pool.Put(x)
	}
}

// Cancel ends every call when the client leaves, and lets none begin.
func (x *run) Cancel(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over == nil {
		x.over = cause
	}
	for _, a := range x.active {
		a.call.Cancel(cause)
	}
}

var errLaggard = errors.New("the required parts are there; this one was too late")

// begin registers a call; an error says that it must not be made.
func (x *run) begin(a *active) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.over != nil:
		return x.over
	case x.soft && !a.required:
		return errLaggard
	}
	x.active = append(x.active, a)
	return nil
}

func (x *run) end(a *active) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, b := range x.active {
		if a == b {
			x.active[i] = x.active[len(x.active)-1]
			x.active = x.active[:len(x.active)-1]
			return
		}
	}
}

// execute makes all calls that are needed. It returns when each is answered,
// failed or given up.
func (x *run) execute() error {
	if err := x.r.X.OnCancel(x); err != nil {
		return err //nolint:wrapcheck // the cause of the cancel is a problem already
	}
	defer x.r.X.OffCancel(x)
	p := x.p
	x.nodes.Store(int64(len(p.fetches) + len(p.levels)))
	required := 0
	for i, f := range p.fetches {
		x.fetches[i].waits.Store(int32(f.waitCount()))
		if f.required {
			required++
		}
	}
	x.needed.Store(int64(required))
	for i, l := range p.levels {
		x.levels[i].waits.Store(int32(l.waits))
	}
	top := &x.levels[0]
	top.elems = append(top.elems, elem{})
	if last := x.work(top, nil); !last {
		<-x.done
	}
	x.mu.Lock()
	x.turn++
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
	over := x.over
	x.mu.Unlock()
	return over
}

// waitCount is what a fetch waits for: the levels its keys come from, the call
// that is written before it, and the start.
func (f *fetch) waitCount() int {
	n := len(f.waits)
	if f.after != nil {
		n++
	}
	return max(n+len(f.behind), 1)
}

// ready is what can be done now: levels, which cost little, and fetches.
type ready struct {
	levels  []*levelState
	fetches []*fetchState
}

// work does what is ready and what becomes ready by it: levels at once, then the
// first fetch, while the others are offered, and at last what nobody took. It tells
// whether it did the last node of all: then somebody waits to hear of it.
func (x *run) work(level *levelState, fetch *fetchState) (last bool) {
	q := &x.queue
	if level != nil {
		q.levels = append(q.levels[:0], level)
		q.fetches = q.fetches[:0]
	} else {
		q = &fetch.queue // of nobody else: the fetch is this goroutine's
		q.levels, q.fetches = q.levels[:0], append(q.fetches[:0], fetch)
	}
	for more := true; more; {
		if n := len(q.levels); n > 0 {
			l := q.levels[n-1]
			q.levels = q.levels[:n-1]
			x.layOut(l)
			x.laidOut(l, q)
		} else {
			x.offer(q.fetches[1:])
			f := q.fetches[0]
			q.fetches = q.fetches[:0]
			x.clocked(f)
			x.fetched(f, q)
		}
		more = len(q.levels) > 0 || len(q.fetches) > 0
		if x.nodes.Add(-1) == 0 {
			return true
		}
		if more {
			continue
		}
		// Others may have done the last node since, and the run may be another
		// request's: its work is as good as any.
		if f, _ := x.take(); f != nil {
			q, more = &f.queue, true
			q.levels, q.fetches = q.levels[:0], append(q.fetches[:0], f)
		}
	}
	return false
}

// laidOut adds what becomes ready by a level.
func (x *run) laidOut(l *levelState, q *ready) {
	for _, child := range l.l.children {
		if s := &x.levels[child.id]; s.waits.Add(-1) == 0 {
			q.levels = append(q.levels, s)
		}
	}
	for i := range x.fetches {
		f := &x.fetches[i]
		if f.f.awaits(l.l) && f.waits.Add(-1) == 0 {
			q.fetches = append(q.fetches, f)
		}
	}
}

// awaits tells whether a fetch counts the level among what it waits for. One that
// needs nothing waits for the answer itself, which is there at once.
func (f *fetch) awaits(l *level) bool {
	if len(f.waits) == 0 {
		return l.parent == nil && f.after == nil && len(f.behind) == 0
	}
	return slices.Contains(f.waits, l)
}

// fetched adds what becomes ready by a fetch.
func (x *run) fetched(f *fetchState, q *ready) {
	f.done.Store(true)
	if f.f.required && x.needed.Add(-1) == 0 {
		x.grace()
	}
	for _, l := range f.f.feeds {
		if s := &x.levels[l.id]; s.waits.Add(-1) == 0 {
			q.levels = append(q.levels, s)
		}
	}
	if f.f.call.safe() && !x.p.inTurn {
		return
	}
	for i := range x.fetches {
		next := &x.fetches[i]
		if (next.f.after == f.f || slices.Contains(next.f.behind, f.f)) && next.waits.Add(-1) == 0 {
			q.fetches = append(q.fetches, next)
		}
	}
}

// grace starts the last time of optional parts: all that is required is there.
// They get what they usually take, call behind call, and the plan's grace on top;
// while nobody knows what they take, only the budget ends them.
func (x *run) grace() {
	if x.p.grace <= 0 {
		return
	}
	usual, known := x.usual()
	if !known || usual == 0 {
		return // nobody knows, or nothing is left
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over == nil && x.timer == nil {
		turn := x.turn
		x.timer = time.AfterFunc(usual+x.p.grace, func() { x.late(turn) })
	}
}

// late ends what is optional, unless the run has gone to another request meanwhile.
func (x *run) late(turn uint64) {
	x.mu.Lock()
	same := x.turn == turn
	if same {
		x.soft = true
		for _, a := range x.active {
			if !a.required {
				a.call.Cancel(errLaggard)
			}
		}
	}
	x.mu.Unlock()
}

// usual is how long the fetches that are not done take when they are slow: the sum
// over the depths of the slowest one's 95th percentile.
func (x *run) usual() (sum time.Duration, known bool) {
	for depth := 1; depth <= x.p.bounds.Depth; depth++ {
		var slowest time.Duration
		for i := range x.fetches {
			f := &x.fetches[i]
			if f.f.depth != depth || f.done.Load() {
				continue
			}
			took, enough := f.f.stats.slow()
			if !enough {
				return 0, false
			}
			slowest = max(slowest, took)
		}
		sum += slowest
	}
	return sum, true
}

// blame keeps the cause of the first call that failed.
func (x *run) blame(f *fetch, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cause == nil {
		x.cause = fmt.Errorf("%s: %w", f.call.word(), err)
	}
}

// codeOf is the word for why a call gave nothing.
func codeOf(err error) code {
	if errors.Is(err, errLaggard) {
		return codeLaggard
	}
	p := problem.Of(err)
	switch {
	case errors.Is(p, errLaggard) || errors.Is(p.Cause, errLaggard):
		return codeLaggard
	case errors.Is(p.Cause, errValue):
		return codeInvalidKey
	case p.Status == 504 || p.Status == 408:
		return codeTimeout
	case p.Status == 503 || p.Status == 429:
		return codeUnavailable
	case p.Status == 499:
		return codeLaggard
	}
	return codeFailed
}
