package resilience

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Priority is how much a call matters when there is not room for all.
type Priority uint8

// The priorities. A call gets the places that those below it may not use.
const (
	High      Priority = iota // may use every place
	Normal                    // nine in ten, while there are calls of High
	Low                       // seven in ten
	Sheddable                 // half
)

// NumPriorities is how many there are.
const NumPriorities = int(Sheddable) + 1

// shares are percentages of the limit, and of the queue.
var shares = [NumPriorities]int64{100, 90, 70, 50} //nolint:gochecknoglobals // read-only table

// highMemory is how long places are kept free for calls of High after the last one.
const highMemory = time.Minute

// BulkheadConfig makes a [Bulkhead].
type BulkheadConfig struct {
	// Limit is how many calls may be under way (default 100).
	Limit int
	// Queue is how many may wait (default half of the limit, which moves with
	// it; negative for none).
	Queue int
	// Fair is how long the oldest may have waited before the newest goes first
	// (default 50ms): under overload those who came last are the ones whose
	// callers are still there.
	Fair time.Duration
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Bulkhead bounds the calls under way to a service, and those that wait. A free
// place is taken and given back without a lock; who waits, waits in one queue
// per [Priority], and the higher ones go first.
type Bulkhead struct {
	cfg  BulkheadConfig
	born time.Time

	inflight atomic.Int64
	limit    atomic.Int64 // the slack included
	waiting  atomic.Int64
	standing atomic.Int64 // since born, when somebody began to wait after nobody did
	highAt   atomic.Int64 // since born, when the last call of High came; 0: never

	mu     sync.Mutex // of all below
	slack  int64
	spare  int64 // how many may wait at least
	queues [NumPriorities]queue
	shed   [NumPriorities]uint64
	late   uint64
}

// queue holds the waiting calls of one priority.
type queue struct{ oldest, newest *waiter }

type waiter struct {
	since        time.Time
	told         chan struct{} // closed when it is decided
	err          error         // the decision
	older, newer *waiter
	queued       bool
}

// Why a [Bulkhead] let a call not in.
var (
	ErrFull    = errors.New("too many calls are waiting")
	ErrWaited  = errors.New("no place became free in time")
	ErrGivenUp = errors.New("the caller left while waiting")
)

// NewBulkhead makes an empty bulkhead.
func NewBulkhead(cfg BulkheadConfig) *Bulkhead {
	cfg.Fair, cfg.Now = orTime(cfg.Fair, 50*time.Millisecond), clock(cfg.Now)
	b := &Bulkhead{cfg: cfg, born: cfg.Now()}
	b.limit.Store(int64(max(or(cfg.Limit, 100), 1)))
	return b
}

// Patience is how long a call should wait for a place when left remains of its
// time: a quarter.
func Patience(left time.Duration) time.Duration { return max(left/4, 0) }

// TryEnter takes a place if there is one without waiting; when there is none,
// nothing is counted. It may use every place, as [High] does.
func (b *Bulkhead) TryEnter() bool { return b.take(b.limit.Load()) }

// TryEnterAt is TryEnter for a call of that priority. It gives false also when
// others wait already.
func (b *Bulkhead) TryEnterAt(now time.Time, p Priority) bool {
	return b.waiting.Load() == 0 && b.take(b.share(now, p))
}

// take takes one of the first most places.
func (b *Bulkhead) take(most int64) bool {
	for {
		n := b.inflight.Load()
		if n >= most {
			return false
		}
		if b.inflight.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// share is how many places calls of a priority may fill.
func (b *Bulkhead) share(now time.Time, p Priority) int64 {
	limit := b.limit.Load()
	switch p {
	case High:
		since := int64(now.Sub(b.born)) + 1
		if last := b.highAt.Load(); last == 0 || since-last > int64(time.Second) {
			b.highAt.Store(since)
		}
		return limit
	case Normal:
		last := b.highAt.Load()
		if last == 0 || int64(now.Sub(b.born))-last > int64(highMemory) {
			return limit // nobody to keep a place for
		}
	case Low, Sheddable:
	}
	return portion(limit, p)
}

// portion is a priority's part of n, at least one.
func portion(n int64, p Priority) int64 { return max(n*shares[p]/100, 1) }

// Enter takes a place, after waiting at most patience for one; it may use every
// place, as [High] does. It gives [ErrFull], [ErrWaited], or [ErrGivenUp] when
// gone was closed first. After nil, [Bulkhead.Leave] must follow.
func (b *Bulkhead) Enter(gone <-chan struct{}, patience time.Duration) error {
	return b.EnterAs(High, gone, patience)
}

// EnterAs is Enter for a call of that priority. Where the queue is full it makes
// a call of a lower one give way, or one that has waited longer than the newest
// would have to.
func (b *Bulkhead) EnterAs(p Priority, gone <-chan struct{}, patience time.Duration) error {
	w, err := b.enter(p, patience)
	if w == nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.told:
		return w.err
	case <-gone:
		err = ErrGivenUp
	case <-timer.C:
		err = ErrWaited
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.queued { // it was decided at the same moment
		if w.err == nil && err == ErrGivenUp { //nolint:errorlint // it was set above
			b.inflight.Add(-1)
			b.admit()
			return err
		}
		return w.err
	}
	b.unlink(p, w)
	if err == ErrWaited { //nolint:errorlint // it was set above
		b.late++
		b.shed[p]++
	}
	b.admit() // others may have more use for a place than it had
	return err
}

// enter takes a place, or one in the queue.
func (b *Bulkhead) enter(p Priority, patience time.Duration) (*waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.cfg.Now()
	// Counted before the look at the places: whoever leaves meanwhile sees one
	// who waits, or this one sees the place that became free.
	if b.waiting.Add(1) == 1 {
		b.standing.Store(int64(now.Sub(b.born)))
	}
	if !b.anyone(p) && b.take(b.share(now, p)) {
		b.waiting.Add(-1)
		return nil, nil //nolint:nilnil // in, and nobody waits
	}
	if patience <= 0 || !b.makeRoom(now, p) {
		b.waiting.Add(-1)
		b.shed[p]++
		return nil, ErrFull
	}
	q := &b.queues[p]
	w := &waiter{since: now, told: make(chan struct{}), older: q.newest, queued: true}
	if q.newest != nil {
		q.newest.newer = w
	} else {
		q.oldest = w
	}
	q.newest = w
	return w, nil
}

// anyone tells whether calls wait that come before a new one of p.
func (b *Bulkhead) anyone(p Priority) bool {
	for i := range p + 1 {
		if b.queues[i].oldest != nil {
			return true
		}
	}
	return false
}

// makeRoom tells whether one more may wait; it may turn another one away. The
// new one is counted already.
func (b *Bulkhead) makeRoom(now time.Time, p Priority) bool {
	room := b.room()
	if room <= 0 {
		return false
	}
	if b.waiting.Load() <= portion(room, p) {
		return true
	}
	for lower := Sheddable; lower > p; lower-- {
		if w := b.queues[lower].oldest; w != nil {
			b.refuse(lower, w)
			return true
		}
	}
	if w := b.queues[p].oldest; w != nil && now.Sub(w.since) > b.cfg.Fair {
		b.refuse(p, w)
		return true
	}
	return false
}

// refuse turns one away that waits.
func (b *Bulkhead) refuse(p Priority, w *waiter) {
	b.shed[p]++
	b.unlink(p, w)
	w.err = ErrFull
	close(w.told)
}

// room is how many may wait.
func (b *Bulkhead) room() int64 {
	if b.cfg.Queue != 0 {
		return int64(max(b.cfg.Queue, 0))
	}
	return max((b.limit.Load()-b.slack)/2, b.spare)
}

func (b *Bulkhead) unlink(p Priority, w *waiter) {
	q := &b.queues[p]
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		q.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		q.newest = w.older
	}
	w.older, w.newer, w.queued = nil, nil, false
	b.waiting.Add(-1)
}

// Leave gives the place to the next, or back.
func (b *Bulkhead) Leave() {
	b.inflight.Add(-1)
	if b.waiting.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admit()
}

// admit lets those in for whom there is a place. The caller has the lock.
func (b *Bulkhead) admit() {
	for p := High; p <= Sheddable; {
		q := &b.queues[p]
		if q.oldest == nil {
			p++
			continue
		}
		now := b.cfg.Now()
		if !b.take(b.share(now, p)) {
			return // none for this one, and so none for those below
		}
		w := q.oldest
		if now.Sub(w.since) > b.cfg.Fair {
			w = q.newest
		}
		b.unlink(p, w)
		close(w.told)
	}
}

// SetLimit changes the limit, for one that adapts ([Limit]); it is at least 1.
// Calls under way stay when it falls, and of those that wait as many as may.
func (b *Bulkhead) SetLimit(n int) { b.Adjust(n, 0, 0) }

// Adjust is SetLimit with two exceptions to it: slack are places beyond the
// limit, for calls under way that use nothing of the service's, and spare is how
// many may wait at least.
func (b *Bulkhead) Adjust(limit, slack, spare int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slack, b.spare = int64(max(slack, 0)), int64(max(spare, 0))
	b.limit.Store(int64(max(limit, 1)) + b.slack)
	b.admit()
	for p := Sheddable; b.waiting.Load() > max(b.room(), 0); {
		if w := b.queues[p].oldest; w != nil {
			b.refuse(p, w)
		} else {
			p--
		}
	}
}

// InFlight is how many calls are under way.
func (b *Bulkhead) InFlight() int { return int(b.inflight.Load()) }

// Standing is for how long there always was somebody who waited: a burst, or a
// moment in which all stood still, is over soon, an overload is not.
func (b *Bulkhead) Standing(now time.Time) time.Duration {
	if b.waiting.Load() == 0 {
		return 0
	}
	return now.Sub(b.born) - time.Duration(b.standing.Load())
}

// Limit is how many calls may be under way now.
func (b *Bulkhead) Limit() int { return int(b.limit.Load()) }

// BulkheadStats is what a bulkhead shows of itself.
type BulkheadStats struct {
	// Limit includes Slack.
	Limit, Slack, InFlight, Waiting int
	// Queue is how many may wait.
	Queue int
	// Full counts calls refused for want of room, Late those that waited in vain;
	// Shed are both, by priority.
	Full, Late uint64
	Shed       [NumPriorities]uint64
}

// Stats takes a snapshot.
func (b *Bulkhead) Stats() BulkheadStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BulkheadStats{
		Limit: int(b.limit.Load()), Slack: int(b.slack), InFlight: int(b.inflight.Load()), Waiting: int(b.waiting.Load()),
		Queue: int(b.room()), Late: b.late, Shed: b.shed,
	}
	for _, n := range b.shed {
		s.Full += n
	}
	s.Full -= b.late
	return s
}
