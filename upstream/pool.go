package upstream

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// conn is one HTTP/1 connection to an endpoint, made once with everything that
// an exchange over it needs.
type conn struct {
	h1    *http1.ClientConn
	ep    *Endpoint
	c     *Cluster
	shard uint32    // where it goes when it is idle
	since time.Time // when it became idle; zero for a connection just dialled
	opts  http1.RoundTripOptions

	wait    waitState
	stalled bool // the exchange was given up; of the exchange's goroutine
}

// pool keeps the connections of one endpoint. Idle ones lie in shards, newest
// on top; a client connection always asks the same shard, so cores seldom meet.
// No lock is held across I/O.
type pool struct {
	shards []shard // a power of two
	idle   atomic.Int64
	open   atomic.Int64 // idle, busy and being dialled

	waiting atomic.Int64
	mu      sync.Mutex
	queue   []*waiter // oldest first; only when connections are limited

	busy busy
}

type shard struct {
	mu    sync.Mutex
	stack []*conn
	_     [128 - 32]byte // its own cache lines, two of them
}

// waiter is a request that waits for a connection. ready is told at most once
// that something changed.
type waiter struct{ ready chan struct{} }

const maxShards = 64

// shardCount is the power of two at or above GOMAXPROCS.
func shardCount() int {
	n := 1
	for n < runtime.GOMAXPROCS(0) && n < maxShards {
		n *= 2
	}
	return n
}

func (p *pool) init() { p.shards = make([]shard, shardCount()) }

// shardOf chooses a shard: the same one for the life of a client connection.
func (p *pool) shardOf(r *message.Request) uint32 {
	return r.X.Shard & uint32(len(p.shards)-1)
}

// pop takes the newest idle connection of shard i, or one of another shard
// whose lock is free.
func (p *pool) pop(i uint32) *conn {
	if p.idle.Load() == 0 {
		return nil
	}
	if cn := p.shards[i].pop(true); cn != nil {
		p.idle.Add(-1)
		return cn
	}
	mask := uint32(len(p.shards) - 1)
	for k := uint32(1); k <= mask; k++ {
		if cn := p.shards[(i+k)&mask].pop(false); cn != nil {
			p.idle.Add(-1)
			return cn
		}
	}
	return nil
}

func (s *shard) pop(wait bool) *conn {
	if wait {
		s.mu.Lock()
	} else if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	n := len(s.stack) - 1
	if n < 0 {
		return nil
	}
	cn := s.stack[n]
	s.stack[n] = nil
	s.stack = s.stack[:n]
	return cn
}

func (p *pool) push(cn *conn) {
	s := &p.shards[cn.shard]
	s.mu.Lock()
	s.stack = append(s.stack, cn)
	s.mu.Unlock()
	p.idle.Add(1)
}

// take gives a usable idle connection, or nil. What is found dead or too old on
// the way is closed.
func (c *Cluster) take(ep *Endpoint, r *message.Request, now time.Time) *conn {
	p := &ep.pool
	i := p.shardOf(r)
	for {
		cn := p.pop(i)
		if cn == nil {
			return nil
		}
		cn.shard = i
		idle := now.Sub(cn.since)
		switch {
		case idle >= c.idleLimit(cn, now):
			c.discard(cn)
		case (idle >= aliveCheck || !r.Idempotent()) && !cn.h1.Alive():
			if idle >= aliveCheck {
				c.learn(idle, now)
			}
			c.dead.Add(1)
			c.discard(cn)
		default:
			return cn
		}
	}
}

// aliveCheck is from when on an idle connection is looked at before its use. A
// request that can't be sent twice looks at once.
const aliveCheck = 500 * time.Millisecond

// idleLimit is how long cn may lie idle: the configured time, less than what
// the service announced, and what was learnt.
func (c *Cluster) idleLimit(cn *conn, now time.Time) time.Duration {
	limit := c.cfg.IdleTimeout
	if ka := cn.h1.KeepAlive(); ka > 0 {
		limit = min(limit, ka-time.Second)
	}
	if l := c.learned.Load(); l != nil {
		limit = min(limit, l.limit(now))
	}
	return limit
}

// learned is what a dead connection taught about the service's idle time-out.
type learned struct {
	first time.Duration
	at    time.Time
}

// limit relaxes by 10 % a minute, since services change.
func (l *learned) limit(now time.Time) time.Duration {
	grown := float64(l.first) * math.Pow(1.1, now.Sub(l.at).Minutes())
	if grown > float64(24*time.Hour) {
		return 24 * time.Hour
	}
	return time.Duration(grown)
}

// learn sets the limit to 0.8 of the idle time after which a connection was
// found dead, at least 1 s; it never raises it.
func (c *Cluster) learn(idle time.Duration, now time.Time) {
	limit := max(time.Second, idle*8/10)
	if l := c.learned.Load(); l != nil && l.limit(now) <= limit {
		return
	}
	c.learned.Store(&learned{first: limit, at: now})
}

// release is where a connection comes back to from its exchange, once.
func (cn *conn) release(_ *http1.ClientConn, reusable bool) {
	ep, c := cn.ep, cn.c
	cn.waited()
	c.leave(ep)
	cn.since = cn.h1.IdleSince()
	if cn.h1.Extra() {
		c.extraBytes.Add(1)
	}
	if !reusable || c.retired.Load() || int(ep.pool.idle.Load()) >= c.cfg.Connections.Idle || c.idleLimit(cn, cn.since) <= 0 {
		c.discard(cn)
		return
	}
	c.keep(cn)
}

// keep puts an idle connection into the pool.
func (c *Cluster) keep(cn *conn) {
	ep := cn.ep
	ep.pool.push(cn)
	// The endpoint or the cluster may have gone between the push and the sweep
	// that this made; whoever comes last sees the other.
	if ep.State() == Gone || c.retired.Load() {
		c.closeIdle(ep)
		return
	}
	ep.pool.wake()
}

// discard closes a connection and frees its place.
func (c *Cluster) discard(cn *conn) {
	_ = cn.h1.Close()
	cn.ep.pool.busy.drop(cn)
	cn.ep.pool.open.Add(-1)
	cn.ep.pool.wake()
}

// closeIdle closes all idle connections of an endpoint.
func (c *Cluster) closeIdle(ep *Endpoint) {
	for i := range ep.pool.shards {
		for {
			cn := ep.pool.shards[i].pop(true)
			if cn == nil {
				break
			}
			ep.pool.idle.Add(-1)
			c.discard(cn)
		}
	}
}

// reap closes the idle connections that are over their limit.
func (c *Cluster) reap(ep *Endpoint, now time.Time) {
	for i := range ep.pool.shards {
		s := &ep.pool.shards[i]
		var old []*conn
		s.mu.Lock()
		kept := s.stack[:0]
		for _, cn := range s.stack {
			if now.Sub(cn.since) >= c.idleLimit(cn, now) {
				old = append(old, cn)
			} else {
				kept = append(kept, cn)
			}
		}
		clear(s.stack[len(kept):])
		s.stack = kept
		s.mu.Unlock()
		for _, cn := range old {
			ep.pool.idle.Add(-1)
			c.discard(cn)
		}
	}
}

// wake tells the longest waiting request that there may be a connection.
func (p *pool) wake() {
	if p.waiting.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 {
		close(p.queue[0].ready)
		p.queue[0] = nil
		p.queue = p.queue[1:]
	}
}

// errOverloaded says that too many requests wait already, or one waited too long.
var errOverloaded = errors.New("all connections are in use")

// acquire gives a connection for one exchange: an idle one, unless fresh, or a
// new one.
func (c *Cluster) acquire(ep *Endpoint, r *message.Request, fresh bool, now time.Time) (*conn, error) {
	p := &ep.pool
	limit := int64(c.cfg.Connections.Max)
	if limit > 0 && p.waiting.Load() > 0 {
		return c.queueUp(ep, r, fresh, now) // those who came first go first
	}
	if !fresh {
		if cn := c.take(ep, r, now); cn != nil {
			return cn, nil
		}
	}
	if !p.reserve(limit, fresh, c) {
		return c.queueUp(ep, r, fresh, now)
	}
	return c.connect(ep, r, now)
}

// reserve takes a place for a new connection; a fresh one may take the place
// of an idle one.
func (p *pool) reserve(limit int64, fresh bool, c *Cluster) bool {
	for {
		if n := p.open.Add(1); limit == 0 || n <= limit {
			return true
		}
		p.open.Add(-1)
		if !fresh {
			return false
		}
		cn := p.pop(0)
		if cn == nil {
			return false
		}
		c.discard(cn)
	}
}

// queueUp waits for a connection, at most until the try is over.
func (c *Cluster) queueUp(ep *Endpoint, r *message.Request, fresh bool, now time.Time) (*conn, error) {
	p := &ep.pool
	if p.waiting.Add(1) > int64(c.cfg.Connections.Pending) {
		p.waiting.Add(-1)
		return nil, errOverloaded
	}
	defer p.waiting.Add(-1)
	ctx, stop := context.WithDeadline(r.X.Context(), now.Add(c.tryTime(&r.X)))
	defer stop()
	for again := false; ; again = true {
		w := &waiter{ready: make(chan struct{})}
		p.mu.Lock()
		if again { // somebody was quicker: keep the place at the front
			p.queue = slices.Insert(p.queue, 0, w)
		} else {
			p.queue = append(p.queue, w)
		}
		p.mu.Unlock()
		// What was given back before w stood in the queue woke nobody: look again.
		cn, err := c.tryNow(ep, r, fresh, now)
		if cn != nil || err != nil {
			p.forget(w)
			return cn, err
		}
		select {
		case <-w.ready:
			cn, err := c.tryNow(ep, r, fresh, time.Now())
			if cn != nil || err != nil {
				return cn, err
			}
		case <-ctx.Done():
			p.forget(w)
			if err := r.X.Err(); err != nil {
				return nil, err
			}
			return nil, errOverloaded
		}
	}
}

func (c *Cluster) tryNow(ep *Endpoint, r *message.Request, fresh bool, now time.Time) (*conn, error) {
	if !fresh {
		if cn := c.take(ep, r, now); cn != nil {
			return cn, nil
		}
	}
	if ep.pool.reserve(int64(c.cfg.Connections.Max), fresh, c) {
		return c.connect(ep, r, now)
	}
	return nil, nil //nolint:nilnil // neither a connection nor a fault: wait on
}

// forget takes w out of the queue; if it was told already, it passes that on.
func (p *pool) forget(w *waiter) {
	p.mu.Lock()
	for i := range p.queue {
		if p.queue[i] == w {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.mu.Unlock()
			return
		}
	}
	p.mu.Unlock()
	p.wake()
}

// connect dials in a place that was reserved.
func (c *Cluster) connect(ep *Endpoint, r *message.Request, now time.Time) (*conn, error) {
	nc, err := c.dialEndpoint(r.X.Context(), ep, now.Add(c.tryTime(&r.X)), ep.dial.tls1)
	if err != nil {
		ep.pool.open.Add(-1)
		ep.pool.wake()
		return nil, err
	}
	cn := &conn{ep: ep, c: c, shard: ep.pool.shardOf(r)}
	cn.h1 = http1.NewClientConn(nc, &c.h1cfg)
	cn.opts.OnIdle = cn.release
	ep.pool.busy.add(cn)
	return cn, nil
}
