package resilience

import (
	"errors"
	"sync"
	"time"
)

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

// Bulkhead bounds the calls under way to a service, and those that wait.
type Bulkhead struct {
	cfg BulkheadConfig

	mu       sync.Mutex
	limit    int
	inflight int
	waiting  int
	oldest   *waiter
	newest   *waiter
	full     uint64
	late     uint64
}

type waiter struct {
	since        time.Time
	in           chan struct{} // closed when its turn has come
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
	return &Bulkhead{cfg: cfg, limit: max(or(cfg.Limit, 100), 1)}
}

// Patience is how long a call should wait for a place when left remains of its
// time: a quarter.
func Patience(left time.Duration) time.Duration { return max(left/4, 0) }

// Enter takes a place, after waiting at most patience for one. It gives
// [ErrFull], [ErrWaited], or [ErrGivenUp] when gone was closed first. After nil,
// [Bulkhead.Leave] must follow.
func (b *Bulkhead) Enter(gone <-chan struct{}, patience time.Duration) error {
	w, err := b.enter(patience)
	if w == nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.in:
		return nil
	case <-gone:
		err = ErrGivenUp
	case <-timer.C:
		err = ErrWaited
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.queued { // its turn came at the same moment
		if err == ErrGivenUp { //nolint:errorlint // it was set above
			b.leave()
			return err
		}
		return nil
	}
	b.unlink(w)
	b.late++
	return err
}

// TryEnter takes a place if there is one without waiting; when there is none,
// nothing is counted.
func (b *Bulkhead) TryEnter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inflight >= b.limit {
		return false
	}
	b.inflight++
	return true
}

// enter takes a place, or one in the queue.
func (b *Bulkhead) enter(patience time.Duration) (*waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inflight < b.limit {
		b.inflight++
		return nil, nil //nolint:nilnil // in, and nobody waits
	}
	if patience <= 0 || b.waiting >= b.room() {
		b.full++
		return nil, ErrFull
	}
	w := &waiter{since: b.cfg.Now(), in: make(chan struct{}), older: b.newest, queued: true}
	if b.newest != nil {
		b.newest.newer = w
	} else {
		b.oldest = w
	}
	b.newest = w
	b.waiting++
	return w, nil
}

// room is how many may wait.
func (b *Bulkhead) room() int {
	if b.cfg.Queue != 0 {
		return max(b.cfg.Queue, 0)
	}
	return b.limit / 2
}

func (b *Bulkhead) unlink(w *waiter) {
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		b.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		b.newest = w.older
	}
	w.older, w.newer, w.queued = nil, nil, false
	b.waiting--
}

// Leave gives the place to the next, or back.
func (b *Bulkhead) Leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leave()
}

func (b *Bulkhead) leave() {
	b.inflight--
	b.admit()
}

// admit lets those in for whom there is a place.
func (b *Bulkhead) admit() {
	for b.inflight < b.limit && b.oldest != nil {
		w := b.oldest
		if b.cfg.Now().Sub(w.since) > b.cfg.Fair {
			w = b.newest
		}
		b.unlink(w)
		b.inflight++
		close(w.in)
	}
}

// SetLimit changes the limit, for one that adapts ([Limit]); it is at least 1.
// Calls under way stay when it falls.
func (b *Bulkhead) SetLimit(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = max(n, 1)
	b.admit()
}

// Limit is how many calls may be under way now.
func (b *Bulkhead) Limit() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit
}

// BulkheadStats is what a bulkhead shows of itself.
type BulkheadStats struct {
	Limit, InFlight, Waiting int
	// Full counts calls refused at once, Late those that waited in vain.
	Full, Late uint64
}

// Stats takes a snapshot.
func (b *Bulkhead) Stats() BulkheadStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BulkheadStats{b.limit, b.inflight, b.waiting, b.full, b.late}
}
