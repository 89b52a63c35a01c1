package upstream

import (
	"strconv"
	"time"

	"github.com/maru-msa/maru/message"
)

// prepare keeps what another try may need. Bodies that are read ahead before they
// are sent need nothing; others are recorded as they pass.
func (k *call) prepare(r *message.Request) {
	if !r.HasBody() || r.Length > message.ReplaySize || !r.Idempotent() || !k.mayRepeat(r) || isWhole(r) {
		return
	}
	if _, ahead := r.Body.(interface{ ReadAhead() error }); ahead && r.Length > 0 {
		return
	}
	k.replay = message.NewReplay(r.Body, r.Length)
	r.Body = k.replay
}

// mayRepeat tells whether the service's own retries are for this call at all: one
// layer retries, and not this one where another does.
func (k *call) mayRepeat(r *message.Request) bool {
	if k.g.retry == nil || k.x.Retrying {
		return false
	}
	v := r.Header.Value(message.XMaruAttempt)
	return v == "" || v == "0" || k.tries > 1 // then the mark is ours
}

// again decides whether another try follows one that gave resp, or failed, and
// waits until it is time for it. A response that nobody gets is released.
func (k *call) again(r *message.Request, resp *message.Response, f *failure, endpoints int) bool {
	if k.x.Err() != nil {
		return false
	}
	if f != nil {
		if done, ok := k.replace(f.retry); done {
			return ok
		}
	}
	after, wanted := worthAgain(r, resp, f, endpoints)
	if !wanted || !k.mayRepeat(r) {
		return false
	}
	wait, ok := k.g.retry.Next(k.tries, after, k.left())
	if !ok || !k.whole(r) {
		return false
	}
	elsewhere := f != nil && f.retry == retryConnect && endpoints > 1
	switch {
	case k.g.budget.Take():
		k.extra++
	case elsewhere && k.g.c.anyReachable():
		k.g.budget.Charge()
	default:
		return false
	}
	if elsewhere {
		wait = 0 // nothing was sent: there is nothing to spread
		k.g.c.failover.Add(1)
	}
	if k.x.Wait(wait) != nil {
		return false
	}
	if resp != nil {
		discard(resp)
	}
	k.tries++
	k.g.retried.Add(1)
	k.rewind(r)
	return true
}

// replace deals with tries that say nothing about the service: a connection that
// was dead before, an endpoint that was under suspicion. Each is replaced once,
// whatever the budget says; it counts there. done tells that it was one of these.
func (k *call) replace(kind retryKind) (done, again bool) {
	c := k.g.c
	switch kind {
	case retryFree, retryReplay:
		if again = !k.stale; again {
			k.stale = true
			if kind == retryFree {
				c.staleFree.Add(1)
			} else {
				c.staleReplay.Add(1)
			}
			k.g.budget.Charge()
		}
		return true, again
	case retryStall, retryTrial:
		if again = !k.doubt; again {
			k.doubt = true
			k.g.budget.Charge()
		}
		return true, again
	case retryNone, retryConnect, retryLost:
	}
	return false, false
}

// anyReachable tells whether an endpoint is there whose last connection could be
// made. A request that was not sent may go there whatever the budget says: when a
// service goes down as a whole, each of its endpoints says yes once at most.
func (c *Cluster) anyReachable() bool {
	for _, e := range c.set.Load().usable {
		if e.tally.connect.Load() == 0 && e.tally.answers.Load() > 0 {
			return true
		}
	}
	return false
}

// worthAgain tells whether an outcome is one that another try may mend, and how
// long the service wants to be left alone (resilience §6.2).
//
// A plain 500 mostly is a fault of the program, the same everywhere; but it may
// be one of the instance, and to ask another one does no harm when nothing is
// changed by asking.
func worthAgain(r *message.Request, resp *message.Response, f *failure, endpoints int) (after time.Duration, worth bool) {
	if f != nil {
		return f.RetryAfter, f.retry == retryConnect || f.retry == retryLost && r.Idempotent()
	}
	switch resp.Status {
	case 502, 503, 504:
	case 500:
		if !r.Safe() || endpoints < 2 {
			return 0, false
		}
	default:
		return 0, false
	}
	if !r.Idempotent() || r.Upgrade != "" || r.X.Stream {
		return 0, false
	}
	if n, err := strconv.Atoi(resp.Header.Value(message.RetryAfter)); err == nil && n > 0 {
		after = time.Duration(min(n, 3600)) * time.Second
	}
	return after, true
}

// left is what remains of the call's time for the wait before another try, when
// that takes as long as tries usually do.
func (k *call) left() time.Duration {
	if k.x.Deadline.IsZero() {
		return time.Hour
	}
	return k.x.Deadline.Sub(k.g.c.env.Now()) - time.Duration(k.g.c.health.median.Load())
}

// whole tells whether the body can be sent once more.
func (k *call) whole(r *message.Request) bool {
	if k.replay != nil {
		return k.replay.Again() != nil
	}
	return isWhole(r)
}

// rewind makes the request what it was, marked as a retry.
func (k *call) rewind(r *message.Request) {
	r.Header.SetID(message.XMaruAttempt, strconv.Itoa(k.tries-1))
	if k.replay == nil {
		return
	}
	if r.Body = k.replay.Again(); r.Body != message.Body(k.replay) {
		r.Expect = false
		r.Header.DelID(message.Expect)
	}
}

// forget takes our mark off a request that another service may get next.
func (k *call) forget(r *message.Request) {
	if k.tries > 1 {
		r.Header.DelID(message.XMaruAttempt)
	}
}

// discard releases an answer that nobody gets. Its connection is used again
// where the body is here already.
func discard(resp *message.Response) {
	if b, ok := resp.Body.(message.Buffered); ok {
		if n := len(b.Peek()); int64(n) == resp.Length {
			b.Skip(n)
			resp.MarkComplete()
		}
	}
	resp.Release()
}
