package http1

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Watchdog keeps the deadlines of many connections at the price of one atomic
// store each, where a timer per read would cost a lock and a heap operation.
// One goroutine ([Watchdog.Run]) looks at all armed deadlines; it sleeps until
// the earliest of them, so a quiet process stays asleep. A deadline fires up to
// one tick late, never early.
type Watchdog struct {
	start time.Time
	next  atomic.Int64 // when the next look is planned
	poke  chan struct{}

	mu    sync.Mutex
	pages []*page
	free  []*watch
}

const (
	tick      = int64(10 * time.Millisecond)
	idleLook  = int64(time.Hour)
	pageSize  = 256
	neverAt   = int64(0)
	firedAt   = int64(-1)
	watchStep = 20 * time.Millisecond // how long an exchange waits before its client is watched
)

type page [pageSize]watch

// expirer is told that its deadline passed. It runs on the watchdog's
// goroutine and must not block.
type expirer interface{ expire(w *watch) }

// watch is one deadline. Its owner arms and disarms it; the watchdog fires it.
type watch struct {
	at  atomic.Int64 // nanoseconds since the watchdog's start, neverAt or firedAt
	who expirer
	dog *Watchdog
}

// NewWatchdog makes a watchdog; nothing fires until [Watchdog.Run] runs.
func NewWatchdog() *Watchdog {
	w := &Watchdog{start: time.Now(), poke: make(chan struct{}, 1)}
	w.next.Store(idleLook)
	return w
}

// Run fires deadlines until ctx ends.
func (d *Watchdog) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		looked := d.now()
		next := d.look(looked)
		timer.Reset(time.Duration(next - d.now()))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			continue
		case <-d.poke:
		}
		// Somebody armed an earlier deadline: look again, at most once a tick.
		timer.Reset(time.Duration(looked + tick - d.now()))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
	}
}

// look fires what is due and plans the next look.
func (d *Watchdog) look(now int64) (planned int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// While looking, a deadline at least a tick away need not poke; the second
	// pass sees what was armed behind the first one's back.
	d.next.Store(now + tick)
	planned = max(d.pass(now, now+idleLook), now+tick)
	d.next.Store(planned)
	return max(d.pass(now, planned), now+tick)
}

// pass fires what is due and gives the earliest deadline that is not, or limit.
func (d *Watchdog) pass(now, limit int64) int64 {
	for _, p := range d.pages {
		for i := range p {
			w := &p[i]
			at := w.at.Load()
			switch {
			case at <= 0:
			case at > now:
				limit = min(limit, at)
			case w.at.CompareAndSwap(at, firedAt):
				w.who.expire(w)
			}
		}
	}
	return limit
}

func (d *Watchdog) now() int64 { return int64(time.Since(d.start)) }

// offset turns a time into the watchdog's clock; the zero time is neverAt.
func (d *Watchdog) offset(t time.Time) int64 {
	if t.IsZero() {
		return neverAt
	}
	return max(int64(t.Sub(d.start)), 1)
}

func (d *Watchdog) add(who expirer) *watch {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) == 0 {
		p := new(page)
		d.pages = append(d.pages, p)
		for i := range p {
			d.free = append(d.free, &p[i])
		}
	}
	w := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	w.dog, w.who = d, who
	w.at.Store(neverAt)
	return w
}

func (d *Watchdog) remove(w *watch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.at.Store(neverAt)
	w.who = nil
	d.free = append(d.free, w)
}

// arm sets the deadline and tells whether the old one had fired already: then
// the connection's socket deadline is spoilt and the caller gives up.
func (w *watch) arm(at int64) (fired bool) {
	if w.at.Swap(at) == firedAt {
		w.at.Store(firedAt)
		return true
	}
	if at != neverAt && at < w.dog.next.Load() {
		select {
		case w.dog.poke <- struct{}{}:
		default:
		}
	}
	return false
}

// after arms the deadline d from now; zero or less disarms.
func (w *watch) after(d time.Duration) (fired bool) {
	if d <= 0 {
		return w.arm(neverAt)
	}
	return w.arm(w.dog.now() + int64(d))
}

// disarm clears the deadline and tells whether it had fired.
func (w *watch) disarm() (fired bool) { return w.arm(neverAt) }

// rearm clears a fired state after its owner has dealt with it. When it returns,
// what the firing did is done.
func (w *watch) rearm() {
	w.dog.mu.Lock()
	defer w.dog.mu.Unlock()
	w.at.Store(neverAt)
}
