package resilience

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBulkheadBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 4})
		for range 4 {
			if err := b.Enter(nil, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if b.TryEnter() {
			t.Error("a fifth came in")
		}
		var errs []error
		var mu sync.Mutex
		var wait sync.WaitGroup
		for range 3 { // two may wait
			wait.Go(func() {
				err := b.Enter(nil, time.Second)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
			synctest.Wait()
		}
		if s := b.Stats(); s.InFlight != 4 || s.Waiting != 2 || s.Full != 1 {
			t.Errorf("%+v", s)
		}
		began := time.Now()
		wait.Wait()
		if d := time.Since(began); d != time.Second {
			t.Errorf("they waited %v", d)
		}
		if !errors.Is(errs[0], ErrFull) || !errors.Is(errs[1], ErrWaited) || !errors.Is(errs[2], ErrWaited) {
			t.Error(errs)
		}
		gone := make(chan struct{})
		close(gone)
		if err := b.Enter(gone, time.Second); !errors.Is(err, ErrGivenUp) {
			t.Error(err)
		}
		b.Leave()
		if !b.TryEnter() || b.Stats().Late != 2 || b.Stats().Waiting != 0 {
			t.Errorf("%+v", b.Stats())
		}
	})
}

// The oldest goes first, until it waits too long: then the newest does.
func TestBulkheadOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hold time.Duration
		want []int
	}{{time.Millisecond, []int{0, 1, 2, 3}}, {100 * time.Millisecond, []int{3, 2, 1, 0}}} {
		synctest.Test(t, func(t *testing.T) {
			b := NewBulkhead(BulkheadConfig{Limit: 1, Queue: 4})
			if !b.TryEnter() {
				t.Fatal("full")
			}
			var order []int
			var wait sync.WaitGroup
			for i := range 4 {
				wait.Go(func() {
					if err := b.Enter(nil, time.Minute); err != nil {
						t.Error(err)
					}
					order = append(order, i)
					time.Sleep(c.hold)
					b.Leave()
				})
				synctest.Wait()
			}
			time.Sleep(c.hold)
			b.Leave()
			wait.Wait()
			if !slices.Equal(order, c.want) {
				t.Errorf("%v, want %v", order, c.want)
			}
		})
	}
}

// However callers come, wait, leave and the limit moves: never more than the
// limit come in, and in the end all places are free.
func TestBulkheadHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := random(5)
		b := NewBulkhead(BulkheadConfig{Limit: 20})
		var wait sync.WaitGroup
		for i := range 20_000 {
			patience, hold := time.Duration(rng.Int64N(int64(80*time.Millisecond))), time.Duration(rng.Int64N(int64(20*time.Millisecond)))
			leaves := rng.IntN(5) == 0
			wait.Go(func() {
				gone := make(chan struct{})
				if leaves {
					time.AfterFunc(patience/2, func() { close(gone) })
				}
				if b.Enter(gone, patience) != nil {
					return
				}
				time.Sleep(hold)
				b.Leave()
			})
			time.Sleep(time.Duration(rng.Int64N(int64(800 * time.Microsecond))))
			if s := b.Stats(); s.InFlight > 20 || s.Waiting > 10 || s.Waiting > 0 && s.InFlight < s.Limit {
				t.Fatalf("step %d: %+v", i, s)
			}
			if i%1000 == 999 {
				b.SetLimit(5 + rng.IntN(16))
			}
		}
		wait.Wait()
		s := b.Stats()
		if s.InFlight != 0 || s.Waiting != 0 || s.Full == 0 || s.Late == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A higher limit lets those in who wait.
func TestBulkheadGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 1, Queue: 2})
		b.TryEnter()
		go func() { _ = b.Enter(nil, time.Hour) }()
		synctest.Wait()
		b.SetLimit(2)
		synctest.Wait()
		if s := b.Stats(); s.InFlight != 2 || s.Waiting != 0 || b.Limit() != 2 {
			t.Errorf("%+v", s)
		}
	})
	if Patience(time.Second) != 250*time.Millisecond || Patience(-1) != 0 {
		t.Error("a quarter")
	}
}

// Places and shares under random calls, against plain counting.
func TestBulkheadShares(t *testing.T) {
	t.Parallel()
	rng, h := random(11), newHand()
	b := NewBulkhead(BulkheadConfig{Limit: 100, Now: h.now})
	inside, limit := 0, 100
	var high time.Time
	for range 1_000_000 {
		switch n := rng.IntN(100); {
		case n < 50:
			p := Priority(rng.IntN(NumPriorities))
			if p == High && rng.IntN(5) > 0 {
				p = Normal
			}
			if p == High {
				high = h.at
			}
			most := map[Priority]int{High: limit, Normal: limit * 9 / 10, Low: limit * 7 / 10, Sheddable: limit / 2}[p]
			if p == Normal && (high.IsZero() || h.at.Sub(high) > highMemory+2*time.Second) {
				most = limit
			} else if p == Normal && h.at.Sub(high) > highMemory-2*time.Second {
				continue // about a minute
			}
			if got := b.TryEnterAt(h.at, p); got != (inside < max(most, 1)) {
				t.Fatalf("%d of %d inside: priority %d entered %v", inside, limit, p, got)
			} else if got {
				inside++
			}
		case n < 98:
			if inside > 0 {
				b.Leave()
				inside--
			}
		case n == 98 && rng.IntN(100) == 0:
			limit = 1 + rng.IntN(200)
			b.SetLimit(limit)
		default:
			h.pass(time.Duration(rng.Int64N(int64(200 * time.Millisecond))))
		}
	}
	if s := b.Stats(); s.InFlight != inside {
		t.Errorf("%+v", s)
	}
}

// Where the queue is full, a lower priority gives way; a free place goes to the
// higher one.
func TestBulkheadPriorities(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBulkhead(BulkheadConfig{Limit: 1, Queue: 2})
		if !b.TryEnter() {
			t.Fatal("full")
		}
		var mu sync.Mutex
		var got []string
		var wait sync.WaitGroup
		for _, p := range []Priority{Sheddable, Low, Normal, High} {
			wait.Go(func() {
				err := b.EnterAs(p, nil, time.Second)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					got = append(got, map[Priority]string{High: "high", Normal: "normal"}[p])
					b.Leave()
				case !errors.Is(err, ErrFull):
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		b.Leave()
		wait.Wait()
		if s := b.Stats(); !slices.Equal(got, []string{"high", "normal"}) || s.Shed != [NumPriorities]uint64{0, 0, 1, 1} {
			t.Errorf("%v, %+v", got, s)
		}
	})
}
