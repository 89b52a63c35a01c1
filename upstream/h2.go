package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	// maxStreams is how many exchanges share one HTTP/2 connection before
	// another is opened.
	maxStreams = 100
	// retireAfter is how long a connection takes new exchanges, ± a tenth, so
	// that endpoints behind a balancer get their share.
	retireAfter = 30 * time.Minute
)

// h2pool keeps the HTTP/2 connections of one endpoint. It is the
// http2.ClientConnPool of a transport of its own, which so retries refused
// streams and those that a GOAWAY left out (RFC 9113 §8.7).
type h2pool struct {
	c  *Cluster
	ep *Endpoint
	t  *http2.Transport

	mu      sync.Mutex
	conns   []*h2conn
	dialing *h2dial
	waiting map[*h2exchange]struct{} // those that may be given up
}

type h2conn struct {
	cc      *http2.ClientConn
	retire  time.Time
	retired bool
}

// h2dial is a dial that requests wait for together.
type h2dial struct {
	done chan struct{}
	err  error
}

func newH2Pool(c *Cluster, ep *Endpoint) *h2pool {
	p := &h2pool{c: c, ep: ep}
	p.t = &http2.Transport{
		ConnPool:           p,
		AllowHTTP:          true,
		DisableCompression: true, // bodies pass as they are
		MaxHeaderListSize:  uint32(min(c.cfg.Limits.Head, 1<<30)),
		IdleConnTimeout:    c.cfg.IdleTimeout,
		WriteByteTimeout:   c.cfg.BodyIdle,
	}
	return p
}

// GetClientConn gives a connection with a free stream, reserved. It is called
// by the transport, again for each retry.
func (p *h2pool) GetClientConn(req *http.Request, _ string) (*http2.ClientConn, error) {
	ctx := req.Context()
	e, _ := ctx.Value(h2key{}).(*h2exchange)
	for first := true; ; first = false {
		cc, dial, err := p.reserve(time.Now())
		if err != nil {
			return nil, err
		}
		if cc != nil {
			if e != nil {
				e.connected(first)
			}
			return cc, nil
		}
		select {
		case <-dial.done:
			if dial.err != nil {
				return nil, dial.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// reserve takes a stream of a connection that has one, else it joins or starts
// a dial.
func (p *h2pool) reserve(now time.Time) (*http2.ClientConn, *h2dial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := 0
	for _, hc := range p.conns {
		if hc.retired {
			continue
		}
		if !now.Before(hc.retire) {
			hc.stop()
			continue
		}
		live++
		st := hc.cc.State()
		if st.StreamsActive+st.StreamsReserved+st.StreamsPending < maxStreams && hc.cc.ReserveNewRequest() {
			return hc.cc, nil, nil
		}
	}
	if p.dialing != nil {
		return nil, p.dialing, nil
	}
	if limit := p.c.cfg.Connections.Max; limit > 0 && live >= limit {
		return nil, nil, errOverloaded
	}
	d := &h2dial{done: make(chan struct{})}
	p.dialing = d
	go p.dial(d)
	return nil, d, nil
}

// dial makes a connection for all who wait; its time-outs end it.
func (p *h2pool) dial(d *h2dial) {
	nc, err := p.c.dialEndpoint(context.Background(), p.ep, time.Now().Add(p.c.cfg.TryTimeout), p.ep.dial.tls2)
	var hc *h2conn
	if err == nil {
		hc = &h2conn{retire: time.Now().Add(time.Duration(float64(retireAfter) * (0.9 + 0.2*p.c.env.Float())))}
		if hc.cc, err = p.t.NewClientConn(nc); err != nil {
			_ = nc.Close()
			err = &dialError{op: "connect", timeout: timedOut(err), err: err}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = nil
	if err == nil {
		// Of an endpoint that has gone meanwhile it is still needed by those who
		// wait; IdleConnTimeout closes it after them.
		p.conns = append(p.conns, hc)
	}
	d.err = err
	close(d.done)
}

// stop takes a connection out of use; it closes when its last stream ends. The
// caller holds the pool's lock.
func (hc *h2conn) stop() {
	if !hc.retired {
		hc.retired = true
		hc.cc.SetDoNotReuse()
	}
	if hc.unused() {
		_ = hc.cc.Close()
	}
}

func (hc *h2conn) unused() bool {
	st := hc.cc.State()
	return st.StreamsActive+st.StreamsReserved+st.StreamsPending == 0
}

// MarkDead forgets a connection; the transport calls it when one has ended.
func (p *h2pool) MarkDead(cc *http2.ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, hc := range p.conns {
		if hc.cc == cc {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			return
		}
	}
}

// wait notes an exchange that may be given up while it waits for its head.
func (p *h2pool) wait(e *h2exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[*h2exchange]struct{}{}
	}
	p.waiting[e] = struct{}{}
}

// waited ends what wait began and tells whether the exchange was given up.
func (p *h2pool) waited(e *h2exchange) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, e)
	return errors.Is(context.Cause(e.ctx), errStalled)
}

// giveUp ends the exchanges that wait for their heads.
func (p *h2pool) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := range p.waiting {
		e.cancel(errStalled)
	}
}

// suspect takes all connections out of use after an exchange got no answer: a
// connection that hangs looks as good as any other.
func (p *h2pool) suspect() { p.retireAll() }

func (p *h2pool) retireAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, hc := range p.conns {
		hc.stop()
	}
}

// reap retires old connections and closes retired ones without streams.
func (p *h2pool) reap(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.conns[:0]
	for _, hc := range p.conns {
		if hc.retired || !now.Before(hc.retire) {
			hc.stop()
		}
		if st := hc.cc.State(); !st.Closed {
			kept = append(kept, hc)
		}
	}
	clear(p.conns[len(kept):])
	p.conns = kept
}

func (p *h2pool) count() (conns, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, hc := range p.conns {
		if hc.unused() {
			idle++
		}
	}
	return len(p.conns), idle
}

// h2key finds the exchange in the context of its http.Request.
type h2key struct{}

// Causes with which an exchange over HTTP/2 is ended.
var (
	errHeadTimeout = errors.New("no response head in time")
	errBodyIdle    = errors.New("the service paused too long within the body")
	errDeadline    = errors.New("the time for this request ran out")
	errReleased    = errors.New("response released")
)
