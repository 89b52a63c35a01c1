package upstream

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
)

// guard stands between callers and a service, and protects the one from the
// other. It belongs to the service, whichever route a call came by, and lives as
// long as the service's definition.
//
// The flow of a call: a place under the limit, or a wait for one; the breaker's
// permit; the tries, with a retry from the budget where that does no harm; and
// then all is given back, with what was seen. A call is over for its guard with
// the head of the answer: that is the time that the limit measures, and a client
// that reads slowly takes nothing from the others.
//
// What waits for a client instead of the service takes no place: upgrades, routes
// that stream, and bodies that are not here yet. Else fifty clients that send
// slowly could fill a service that has nothing to do.
type guard struct {
	c       *Cluster
	breaker *resilience.Breaker  // nil when off
	limit   *resilience.Limit    // nil when off
	places  *resilience.Bulkhead // nil when the limit is off
	retry   *resilience.Retry    // nil when off
	budget  *resilience.Budget
	hedge   *resilience.Hedge
	// total and execute hold 10 s of outcomes as callers saw them, after retries:
	// the one with the time from the call to the head of the answer, the other
	// with that of the try that decided.
	total, execute *resilience.Window
	most           peaks

	// quiet is since when nothing came back of all that is under way, as
	// nanoseconds since the cluster was born.
	quiet    atomic.Int64
	adjusted atomic.Int64 // when the places were last told of the limit
	applied  atomic.Int64 // and the limit that they were told
	slack    atomic.Int64 // and the places beyond it

	retried   atomic.Uint64
	fallbacks atomic.Uint64
}

const (
	// queuePatience is how long a call without a deadline waits for a place.
	queuePatience = time.Second
	// leastPatience is how long a call waits even if the service is quicker.
	leastPatience = 25 * time.Millisecond
	// learningQueue is how many calls may wait while it is not known how much the
	// service can take: a burst at the start is no overload yet.
	learningQueue = 1024
	// mostQueue bounds the calls that may wait for a moment to be over.
	mostQueue = 10_000
	// overloadFrom is how long somebody must have waited at any time for the queue
	// to be one of an overload.
	overloadFrom = time.Second
	// stallFrom is how many calls must be under way before silence means something.
	stallFrom = 20
	// adjustEach is how often those who find no place look for slack.
	adjustEach = 10 * time.Millisecond
)

func newGuard(c *Cluster) *guard {
	g := &guard{c: c}
	cfg, now := &c.cfg, c.env.Now
	g.total = resilience.NewWindow(resilience.WindowConfig{Latency: true, Now: now})
	g.execute = resilience.NewWindow(resilience.WindowConfig{Latency: true, Now: now})
	if cfg.Breaker.Mode != off {
		m := cfg.Breaker.machine()
		m.Now, m.Float, m.Changed = now, c.env.Float, g.changed
		g.breaker = resilience.NewBreaker(m)
		mode, _ := resilience.ParseMode(cfg.Breaker.Mode) // it was checked
		g.breaker.SetMode(mode)
	}
	if a, on := algorithm(cfg.Limit.Algorithm); on {
		g.limit = resilience.NewLimit(resilience.LimitConfig{
			Algorithm: a, Initial: cfg.Limit.Initial, Min: cfg.Limit.Min, Max: cfg.Limit.Max, Now: now,
		})
		g.places = resilience.NewBulkhead(resilience.BulkheadConfig{Limit: g.limit.Limit(), Queue: cfg.Limit.Queue, Now: now})
		g.adjust(c.born)
	}
	if cfg.Retry.Attempts > 1 {
		g.retry = resilience.NewRetry(resilience.RetryConfig{Attempts: cfg.Retry.Attempts, Backoff: cfg.Retry.Backoff, Float: c.env.Float})
	}
	g.budget = resilience.NewBudget(resilience.BudgetConfig{Percent: cfg.Retry.Budget, Now: now})
	g.hedge = resilience.NewHedge(resilience.HedgeConfig{Times: g.execute, Now: now})
	return g
}

// changed tells operators that the breaker opened or closed, and why.
func (g *guard) changed(b resilience.BreakerChange) {
	log, name := g.c.env.Log, g.c.name
	switch b.State {
	case resilience.Open:
		if b.Window == 0 { // a trial's one outcome says it all
			log.Warn("breaker opened again", "service", name, "why", b.Why, "for", b.Wait.Round(time.Millisecond))
			return
		}
		log.Warn("breaker opened", "service", name, "why", b.Why, "for", b.Wait.Round(time.Millisecond),
			"window", b.Window, "outcomes", b.Counts.Total(), "errors", b.Counts.Errors(), "error_percent", b.Counts.ErrorPercent(),
			"timeouts", b.Counts.Timeout, "slow", b.Counts.Slow)
	case resilience.Closed:
		log.Info("breaker closed", "service", name, "why", b.Why)
	case resilience.HalfOpen:
		log.Debug("breaker half-open", "service", name)
	}
}

// call is one exchange as its guard sees it. What it took is given back by leave,
// on every path.
type call struct {
	g      *guard
	x      *message.Exchange
	permit resilience.Permit
	came   time.Time // when it was asked for
	began  time.Time // when it had its place
	ended  time.Time
	placed bool
	tries  int // that the retry policy counts
	extra  int // of them from the budget
	replay *message.Replay
	stale  bool // a dead connection was replaced
	doubt  bool // an endpoint under suspicion was replaced

	end     resilience.Outcome // as the caller sees it
	verdict resilience.Outcome // for the breaker, which does not judge what is not the service's doing
	lost    bool               // no answer came, and the service is to blame
	took    time.Duration      // from began to the head, or negative
	last    time.Duration      // the same of the deciding try
}

// priorities are those of package resilience, by those of message.
var priorities = [...]resilience.Priority{ //nolint:gochecknoglobals // read-only table
	message.PriorityNormal: resilience.Normal, message.PriorityHigh: resilience.High,
	message.PriorityLow: resilience.Low, message.PrioritySheddable: resilience.Sheddable,
}

// at is the time of a call, without a look at the clock where that was made just now.
func (c *Cluster) at(x *message.Exchange) time.Time {
	if d := x.Phases[message.PhaseFilters]; d > 0 {
		return x.Began.Add(d)
	}
	return c.env.Now()
}

// enter asks whether the call may be made. Without an error, leave must follow.
func (k *call) enter(r *message.Request) *problem.Error {
	g := k.g
	k.came = g.c.at(k.x)
	k.began, k.tries = k.came, 1
	k.end, k.verdict, k.took, k.last = resilience.Failure, resilience.Failure, -1, -1 // what a panic leaves behind
	if g.places != nil {
		counts, err := waitsForService(r)
		if err != nil {
			return g.c.clientFault(r, err)
		}
		if counts {
			if p := k.place(); p != nil {
				return p
			}
		}
	}
	if g.breaker != nil {
		var ok bool
		if k.permit, ok = g.breaker.AllowAt(k.began); !ok {
			if k.placed {
				g.places.Leave()
			}
			return g.open(k.began)
		}
	}
	since := k.began.Sub(g.c.born)
	n := g.budget.EnterAt(k.began, !k.x.Retrying || !r.Header.Has(message.XMaruAttempt))
	g.most.see(since, n)
	if n == stallFrom {
		g.quiet.Store(int64(since))
	} else if n > stallFrom {
		g.listen(k.began)
	}
	return nil
}

// listen tells the breaker when nothing comes back of all that is under way.
func (g *guard) listen(now time.Time) {
	if g.breaker != nil {
		g.breaker.Stalled(now, now.Sub(g.c.born)-time.Duration(g.quiet.Load()))
	}
}

// open is the refusal of an open breaker.
func (g *guard) open(now time.Time) *problem.Error {
	g.total.RecordAt(now, resilience.ShortCircuited, -1)
	p := problem.New(503, "breaker_open", "service "+g.c.name+" is failing and is left alone for a moment")
	p.RetryAfter = max(g.breaker.Wait(), time.Second)
	return p
}

// waitsForService tells whether a request waits for nothing but the service. A
// small body is read for that; the error is of reading it.
func waitsForService(r *message.Request) (bool, error) {
	switch {
	case r.Upgrade != "" || r.X.Stream || r.Length < 0 || r.Length > smallBody:
		return false, nil
	case r.Length == 0:
		return true, nil
	case r.Expect:
		return false, nil
	}
	if b, ok := r.Body.(interface{ ReadAhead() error }); ok {
		if err := b.ReadAhead(); err != nil {
			return false, err //nolint:wrapcheck // for clientFault
		}
	}
	if isWhole(r) {
		return true, nil
	}
	b, err := message.ReadAll(make([]byte, 0, r.Length+1), r.Body, r.Length)
	if err == nil && int64(len(b)) < r.Length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return false, err //nolint:wrapcheck // for clientFault
	}
	r.Body = message.Bytes(b)
	return true, nil
}

// isWhole tells whether all of a request's body is in memory, and stays there.
func isWhole(r *message.Request) bool {
	if r.Length == 0 {
		return true
	}
	b, ok := r.Body.(message.Buffered)
	return ok && r.Length > 0 && int64(len(b.Peek())) == r.Length
}

// place takes a place, or waits for one.
func (k *call) place() *problem.Error {
	g, p := k.g, priorities[k.x.Priority]
	if k.placed = g.places.TryEnterAt(k.came, p); k.placed {
		return nil
	}
	if g.budget.Calls() >= stallFrom {
		g.listen(k.came)
	}
	if g.breaker != nil && !g.breaker.Passes(k.came) {
		_, _ = g.breaker.AllowAt(k.came) // counted as refused, and no reason to wait
		return g.open(k.came)
	}
	g.limit.Pressed(k.came)
	if since := int64(k.came.Sub(g.c.born)); since-g.adjusted.Load() >= int64(adjustEach) {
		g.adjust(k.came)
	}
	gone := make(message.Gone)
	if err := k.x.OnCancel(gone); err != nil {
		return givenUp(err)
	}
	err := g.places.EnterAs(p, gone, k.patience())
	k.x.OffCancel(gone)
	k.began = g.c.env.Now()
	switch {
	case err == nil:
		k.placed = true
		return nil
	case errors.Is(err, resilience.ErrGivenUp):
		g.total.RecordAt(k.began, resilience.Cancelled, -1)
		return givenUp(k.x.Err())
	}
	g.total.RecordAt(k.began, resilience.Rejected, -1)
	full := problem.Wrap(err, 503, "overloaded", "service "+g.c.name+" has as many requests as it can take")
	full.RetryAfter = time.Second
	return full
}

// patience is how long the call may wait for a place: a quarter of its time, and
// where the limit follows the service, no longer than a call usually takes. Who
// waits longer than that gets an answer too late to be glad of it. But whoever
// came while all stood still is answered in a moment: only where the queue stays
// it is one of too many calls.
func (k *call) patience() time.Duration {
	d := queuePatience
	if by := k.x.Deadline; !by.IsZero() {
		d = resilience.Patience(by.Sub(k.came))
	}
	usual, least := k.g.limit.Usual(), leastPatience
	if usual == 0 || k.g.places.Standing(k.came) < overloadFrom || k.x.Priority == message.PriorityHigh { // which go first
		return d
	}
	if k.g.limit.Learning() {
		least *= 2
	}
	return min(d, max(usual, least))
}

// hiccup is how many calls come while something behind the service, or this
// process, stands still for a moment. They have their answers as soon as that is
// over: it is no overload, and they may wait. Under a true overload the queue is
// as long, but then those who came last are let in first, and the others turned
// away, so that it does not make answers later.
func (g *guard) hiccup(now time.Time) int {
	const moment = 500 * time.Millisecond
	seen := min(max(now.Sub(g.c.born), time.Second), 10*time.Second)
	n := g.total.Counts()
	return int(min((n.Success+n.BadRequest)*uint64(moment)/uint64(seen), mostQueue))
}

// adjust tells the places what the limit is now. Calls that hang at endpoints
// which were taken out hold no place of the others.
func (g *guard) adjust(now time.Time) {
	g.adjusted.Store(int64(now.Sub(g.c.born)))
	limit := g.limit.Limit()
	g.applied.Store(int64(limit))
	stuck, spare := 0, 0
	for _, e := range g.c.set.Load().all {
		if !e.Usable() {
			stuck += e.InFlight()
		}
	}
	if g.limit.Learning() {
		spare = learningQueue
	} else {
		spare = g.hiccup(now)
	}
	stuck = min(stuck, limit)
	g.slack.Store(int64(stuck))
	g.places.Adjust(limit, stuck, spare)
}

// answered judges a response by its head.
func (k *call) answered(r *message.Request, resp *message.Response) {
	x := k.x
	sent, head := x.Phases[message.PhaseSent], x.Phases[message.PhaseHead]
	k.ended = x.Began.Add(head)
	switch {
	case resp.Status >= 500:
		k.end = resilience.Failure
	case resp.Status >= 400:
		k.end = resilience.BadRequest
	default:
		k.end = resilience.Success
		if v := resp.Header.Value(message.GrpcStatus); v != "" {
			k.end = grpcOutcome(v)
		}
	}
	k.verdict = k.end
	if resp.Status == 101 || r.Length < 0 || r.Length > smallBody || sent == 0 || sent > head {
		return // the time would tell nothing about the service
	}
	k.took, k.last = k.ended.Sub(k.began), head-sent
}

// grpcOutcome judges an answer of gRPC that is over with its head.
func grpcOutcome(status string) resilience.Outcome {
	switch status {
	case "0":
		return resilience.Success
	case "1":
		return resilience.Cancelled
	case "4": // DEADLINE_EXCEEDED
		return resilience.Timeout
	case "2", "13", "14", "15": // UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS
		return resilience.Failure
	}
	return resilience.BadRequest
}

// failed judges a call that got no response.
func (k *call) failed(p *problem.Error) {
	k.ended = k.g.c.env.Now()
	switch {
	case k.x.Err() != nil || p.Status == 499:
		k.end = resilience.Cancelled
	case p.Status < 500:
		k.end = resilience.BadRequest
	case p.Reason == "overloaded": // no connection was free
		k.end = resilience.Rejected
		k.verdict = resilience.Cancelled
		return
	case p.Reason == "no_endpoint": // there is nothing to leave alone
		k.end = resilience.Failure
		k.verdict = resilience.Cancelled
		return
	case p.Status == 504:
		k.end, k.lost = resilience.Timeout, true
		if k.x.CallerDeadline && p.Reason == "exchange_timeout" && !k.patient() {
			k.lost, k.verdict = false, resilience.Cancelled
			return
		}
	default:
		k.end = resilience.Failure
		k.lost = p.Reason == "reset" || strings.HasPrefix(p.Reason, "h2_")
	}
	k.verdict = k.end
}

// patient tells whether the service had the time that it usually takes, several
// times over: a caller may give it a millisecond, and prove nothing.
func (k *call) patient() bool {
	usual := time.Duration(k.g.c.health.p99.Load())
	return k.ended.Sub(k.began) >= max(time.Second, 2*usual)
}

// leave gives back what the call took, and tells how it ended.
func (k *call) leave() {
	g := k.g
	if k.ended.IsZero() {
		k.ended = g.c.env.Now()
	}
	for range k.extra {
		g.budget.Give()
	}
	g.budget.Leave()
	total := k.took
	if total >= 0 {
		total = k.ended.Sub(k.came)
	}
	g.total.RecordAt(k.ended, k.end, total)
	g.execute.RecordAt(k.ended, k.end, k.last)
	if k.end != resilience.Cancelled {
		g.quiet.Store(int64(k.ended.Sub(g.c.born)))
	}
	if k.placed {
		g.sample(k)
	}
	k.permit.DoneAt(k.ended, k.verdict, k.took)
}

// sample tells the limit what a call showed, and gives its place to the next.
func (g *guard) sample(k *call) {
	o := resilience.BadRequest // no sample
	switch {
	case k.lost:
		o = k.end
	case k.end == resilience.Success && k.last >= 0:
		o = k.end
	}
	g.limit.Observe(k.ended, o, k.last, g.places.InFlight()-int(g.slack.Load()))
	g.places.Leave()
	if int64(g.limit.Limit()) != g.applied.Load() {
		g.adjust(k.ended)
	}
}

// peaks are the most calls at once of each of the last seconds.
type peaks [peakSeconds + 1]atomic.Uint64

const peakSeconds = 10

// see notes that n calls are under way at a time since the cluster was born.
func (p *peaks) see(since time.Duration, n int) {
	sec := uint64(second(since))
	slot, next := &p[sec%uint64(len(p))], sec<<32|uint64(uint32(n))
	for old := slot.Load(); old < next; old = slot.Load() {
		if slot.CompareAndSwap(old, next) {
			return
		}
	}
}

// top is the most of the last ten seconds.
func (p *peaks) top(since time.Duration) int {
	now, top := uint64(second(since)), uint64(0)
	for i := range p {
		if v := p[i].Load(); v>>32+peakSeconds > now {
			top = max(top, v&0xffff_ffff)
		}
	}
	return int(top)
}
