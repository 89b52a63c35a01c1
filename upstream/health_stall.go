package upstream

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// When an endpoint is ejected because it stalls, requests wait there for a head
// that may never come. Those that may be sent again are given up, so that they
// find another endpoint now and not after the whole time of a try; the others
// wait on.

var errStalled = errors.New("the endpoint stalls: no answer while its siblings give some")

// waitState is what an exchange over a connection may be interrupted in.
type waitState = atomic.Uint32

const (
	notWaiting uint32 = iota
	mayGiveUp         // it waits for a head, and may be sent again
	gaveUp            // it was told to stop
)

// busy is all connections of an endpoint, whoever has them.
type busy struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
}

func (b *busy) add(cn *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		b.conns = map[*conn]struct{}{}
	}
	b.conns[cn] = struct{}{}
}

func (b *busy) drop(cn *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, cn)
}

// giveUp ends every wait that may be ended.
func (b *busy) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for cn := range b.conns {
		if cn.wait.CompareAndSwap(mayGiveUp, gaveUp) {
			cn.h1.Cancel(errStalled)
		}
	}
}

// giveUp ends the waits at an endpoint for heads that may never come.
func (c *Cluster) giveUp(ep *Endpoint) {
	ep.pool.busy.giveUp()
	if ep.h2 != nil {
		ep.h2.giveUp()
	}
}

// waits marks that the exchange that begins may be given up.
func (cn *conn) waits(r *message.Request) {
	if r.Length >= 0 && r.Length <= smallBody && r.Upgrade == "" && r.Idempotent() {
		cn.wait.Store(mayGiveUp)
	}
}

// waited ends what waits began. Afterwards nobody touches the connection any
// more, and stalled tells whether the exchange was given up.
func (cn *conn) waited() {
	if cn.wait.Load() == notWaiting || cn.wait.CompareAndSwap(mayGiveUp, notWaiting) {
		return
	}
	cn.ep.pool.busy.mu.Lock() // until giveUp has done with it
	cn.stalled = true
	cn.ep.pool.busy.mu.Unlock()
	cn.wait.Store(notWaiting)
}

// stalledAt is the failure of an exchange that was given up.
func (c *Cluster) stalledAt(r *message.Request, ep *Endpoint, again bool) *failure {
	ep.timeouts.Add(1)
	c.lost(r, ep, errStalled)
	f := &failure{Error: problem.Wrap(errStalled, 504, "stalled", "service "+c.name+" did not answer in time")}
	if again {
		f.retry = retryStall
	}
	return f
}
