package resilience

import (
	"sync/atomic"
	"time"
)

// HedgeConfig makes a [Hedge].
type HedgeConfig struct {
	// Quantile of the last 10 s' times is when a second call is made (default 0.95).
	Quantile float64
	// Least and Most bound that time (default 1ms and 1s).
	Least, Most time.Duration
	// Samples is how many calls the last 10 s need (default 20): of fewer, the
	// quantile says nothing and no second call is made.
	Samples int
	// Times is a window with latency that somebody else fills (default one of its
	// own, filled by [Hedge.Observe]).
	Times *Window
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Hedge learns how long calls to a service take, and so after what time a
// second one is worth making. Whether there is room for it, a [Budget] says.
type Hedge struct {
	cfg   HedgeConfig
	born  time.Time
	times *Window
	delay atomic.Int64 // nanoseconds; 0: unknown
	next  atomic.Int64 // since born: when to look again
}

// NewHedge makes a Hedge that has learnt nothing.
func NewHedge(cfg HedgeConfig) *Hedge {
	if cfg.Quantile <= 0 || cfg.Quantile >= 1 {
		cfg.Quantile = 0.95
	}
	cfg.Least, cfg.Most, cfg.Samples = orTime(cfg.Least, time.Millisecond), orTime(cfg.Most, time.Second), or(cfg.Samples, 20)
	cfg.Now = clock(cfg.Now)
	if cfg.Times == nil {
		cfg.Times = NewWindow(WindowConfig{Latency: true, Now: cfg.Now})
	}
	return &Hedge{cfg: cfg, born: cfg.Now(), times: cfg.Times}
}

// Observe tells how long a first call took that went well.
func (h *Hedge) Observe(took time.Duration) { h.times.Record(Success, took) }

// Delay is the time after which a second call is worth making; false says that
// too little is known. The quantile is taken anew five times a second at most.
func (h *Hedge) Delay() (time.Duration, bool) {
	since := int64(h.cfg.Now().Sub(h.born))
	if next := h.next.Load(); since >= next && h.next.CompareAndSwap(next, since+int64(200*time.Millisecond)) {
		d, n := h.times.Quantile(h.cfg.Quantile)
		if n < uint64(h.cfg.Samples) {
			d = 0
		} else {
			d = min(max(d, h.cfg.Least), h.cfg.Most)
		}
		h.delay.Store(int64(d))
	}
	d := time.Duration(h.delay.Load())
	return d, d > 0
}
