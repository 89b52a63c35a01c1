package upstream

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// lookBusy is between two looks at a cluster that has something to do,
	// lookIdle at one that has not.
	lookBusy = 100 * time.Millisecond
	lookIdle = time.Second

	pastSeconds = 10

	fewest      = 20  // tries that a judgement needs
	successGap  = 0.2 // how far below its siblings' success rate an endpoint may be
	sigmas      = 1.9 // or so many standard deviations of theirs, if that is more
	slowTimes   = 5   // how many times as long as its siblings it may take
	slowMore    = 50 * time.Millisecond
	stallFewest = 3 // requests that wait
	stallAlone  = 6 // or so many, when the siblings have nothing to do
	stallLeast  = time.Second
	stallTimes  = 10 // of the p99

	// An endpoint is shunned by the picker when it seems to take more than
	// shunTimes as long as typical, or fails more often than fewFailures allows.
	// It is tried after shunLeast, doubled once to shunMost.
	shunTimes   = 2
	fewFailures = 0.9
	shunLeast   = 2 * time.Second
	shunMost    = 4 * time.Second
)

// view is what the watch remembers of a cluster from look to look. It belongs to
// the goroutine that runs the cluster.
type view struct {
	set      *set   // as it was at the last look
	requests uint64 // of all endpoints
	judged   time.Time
	turn     int                               // which second is written next
	times    *[pastSeconds][spreadSteps]uint32 // of all endpoints; nil before the first request
}

// watched is what the watch remembers of an endpoint.
type watched struct {
	answers uint64
	stuck   time.Time // since when requests wait and none is answered
	others  uint64    // the answers of all at that time
	shunned time.Time // since when the picker shuns it, or its last trial since; zero: it does not
	again   bool      // there was a trial since then

	failing, slowing row
	seen             sample // the tally at the last second
	times            [spreadSteps]uint32
	past             [pastSeconds]sample
}

// sample is what happened in a second, or up to a moment.
type sample struct{ tries, bad, timed, took, slowest uint64 }

// look compares the endpoints, ejects, and finds whose trial is due. It gives the
// time until the next look.
func (c *Cluster) look(now time.Time) time.Duration {
	v, s := &c.health.view, c.set.Load()
	requests, waiting, out := uint64(0), int64(0), 0
	for _, e := range s.all {
		requests += e.requests.Load()
		waiting += e.tally.waiting.Load()
		if e.State() == Ejected {
			out++
		}
	}
	busy := requests != v.requests || waiting > 0
	changed := s != v.set
	v.requests, v.set = requests, s
	c.forgetGone()
	if !busy && !changed && out == 0 {
		return lookIdle
	}
	if len(s.all) > 1 {
		c.lookForStalls(s, now, changed)
		c.lookForRows(s, changed)
	}
	if now.Sub(v.judged) >= time.Second-lookBusy/2 {
		v.judged = now
		c.judge(s)
	}
	c.lookForTrials(s, now)
	if busy {
		return lookBusy
	}
	return lookIdle
}

// forgetGone drops the trial of an endpoint that is no longer there.
func (c *Cluster) forgetGone() {
	if t := c.health.due.Load(); t != nil && t.ep.State() == Gone {
		c.health.due.CompareAndSwap(t, nil)
	}
}

// watching gives what is remembered of e; nil while it never had a request.
func (e *Endpoint) watching(now time.Time) *watched {
	if e.watched == nil && e.requests.Load() > 0 {
		e.watched = &watched{stuck: now}
	}
	return e.watched
}

// lookForStalls finds endpoints where requests wait and none is answered while
// the siblings answer: they give no errors for a whole time-out. Siblings that
// owe no answer count as well, once so many requests wait that the callers may
// all be among them.
func (c *Cluster) lookForStalls(s *set, now time.Time, changed bool) {
	total, siblings, owed := uint64(0), -1, int64(0)
	for _, e := range s.all {
		if e.State() == Up {
			total += e.tally.answers.Load()
			owed += e.tally.waiting.Load()
			siblings++
		}
	}
	after := max(stallLeast, stallTimes*time.Duration(c.health.p99.Load()))
	for _, e := range s.all {
		w := e.watching(now)
		if w == nil {
			continue
		}
		waiting, answers := e.tally.waiting.Load(), e.tally.answers.Load()
		if waiting == 0 || answers != w.answers || changed {
			w.answers, w.stuck, w.others = answers, now, total
			continue
		}
		given := total - w.others
		enough := given >= uint64(siblings*stallFewest) || waiting >= stallAlone && owed <= waiting
		if siblings < 1 || waiting < stallFewest || now.Sub(w.stuck) < after || !enough {
			continue
		}
		detail := fmt.Sprintf("%d requests wait and none was answered for %v, its siblings gave %d answers meanwhile",
			waiting, now.Sub(w.stuck).Round(time.Millisecond), given)
		if c.eject(e, Stalled, detail) {
			c.giveUp(e)
			return // the set has changed
		}
	}
}

// judge closes a second: what happened in it is written down, and each endpoint
// is compared with its siblings.
func (c *Cluster) judge(s *set) {
	v := &c.health.view
	if v.times == nil {
		v.times = new([pastSeconds][spreadSteps]uint32)
	}
	v.turn = (v.turn + 1) % pastSeconds
	v.times[v.turn] = [spreadSteps]uint32{}
	for _, e := range s.all {
		if w := e.watched; w != nil {
			w.close(&e.tally, v.turn, &v.times[v.turn])
			if e.State() != Up {
				w.past = [pastSeconds]sample{} // what led there does not count again
			}
		}
	}
	p99, median := v.quantiles()
	c.health.p99.Store(int64(p99))
	c.health.median.Store(int64(median))
	c.health.slow.Store(int64(slowLimit(median)))
	c.compare(s)
}

// close writes down what happened at an endpoint since the last time.
func (w *watched) close(t *tally, turn int, all *[spreadSteps]uint32) {
	p := &w.past[turn]
	*p = sample{}
	for i := range t.times {
		n := t.times[i].Load()
		if n != w.times[i] {
			p.slowest = uint64(spreadTop(i))
		}
		all[i] += n - w.times[i]
		p.timed += uint64(n - w.times[i])
		w.times[i] = n
	}
	bad, lost := t.bad.Load(), t.lost.Load() // bad before answers, which is never less
	now := sample{tries: t.answers.Load() + lost, bad: bad + lost, took: t.took.Load()}
	p.tries, p.bad, p.took = now.tries-w.seen.tries, now.bad-w.seen.bad, now.took-w.seen.took
	w.seen = now
}

// quantiles are of the last seconds; zero when too little happened.
func (v *view) quantiles() (p99, median time.Duration) {
	var sum [spreadSteps]uint64
	n := uint64(0)
	for i := range v.times {
		for k, x := range v.times[i] {
			sum[k] += uint64(x)
			n += uint64(x)
		}
	}
	if n < fewest {
		return 0, 0
	}
	at := func(rank uint64) time.Duration {
		for k, x := range sum {
			if x >= rank {
				return spreadTop(k)
			}
			rank -= x
		}
		return spreadTop(spreadSteps - 1)
	}
	return at((n*99 + 99) / 100), at((n + 1) / 2)
}

// compare sets each endpoint against its siblings.
func (c *Cluster) compare(s *set) {
	turn := c.health.view.turn
	var rates, means column
	var up []*Endpoint
	for _, e := range s.all {
		if e.watched == nil || e.State() != Up {
			continue
		}
		up = append(up, e)
		if rate, _, ok := e.watched.success(turn); ok {
			rates.add(rate)
		}
		if mean, _, ok := e.watched.mean(turn); ok {
			means.add(float64(mean))
		}
	}
	rates.sort()
	means.sort()
	for _, e := range up {
		if !c.ejectFailing(e, turn, &rates) {
			c.ejectSlow(e, turn, &means)
		}
	}
}

// ejectFailing ejects an endpoint that fails more than its siblings, and still does.
func (c *Cluster) ejectFailing(e *Endpoint, turn int, rates *column) bool {
	rate, tries, ok := e.watched.success(turn)
	if !ok {
		return false
	}
	typical, deviation, ok := rates.without(rate)
	least := typical - max(successGap, sigmas*deviation)
	if last := e.watched.last(turn); !ok || rate >= least || last.tries > 0 && last.rate() >= least {
		return false
	}
	return c.eject(e, SuccessRate, fmt.Sprintf("%.0f %% of %d requests succeeded, of its siblings' %.0f %%", 100*rate, tries, 100*typical))
}

// ejectSlow ejects an endpoint that is slower than its siblings, and still is.
func (c *Cluster) ejectSlow(e *Endpoint, turn int, means *column) {
	mean, timed, ok := e.watched.mean(turn)
	if !ok {
		return
	}
	median, _, ok := means.without(float64(mean))
	typical := time.Duration(median)
	if last := e.watched.last(turn); !ok || !slowAgainst(mean, typical) || last.timed > 0 && !slowAgainst(time.Duration(last.took/last.timed), typical) {
		return
	}
	c.eject(e, SlowAnswers, fmt.Sprintf("%v on average of %d answers, its siblings %v",
		mean.Round(time.Millisecond), timed, typical.Round(100*time.Microsecond)))
}

// slowAgainst tells whether an answer is far slower than typical ones.
func slowAgainst(took, typical time.Duration) bool {
	return typical > 0 && took > slowLimit(typical)
}

// slowLimit is what an answer must take to be far slower than typical ones; 0
// while these are not known.
func slowLimit(typical time.Duration) time.Duration {
	if typical == 0 {
		return 0
	}
	return max(slowTimes*typical, typical+slowMore)
}

// second gives what happened i seconds before the last one.
func (w *watched) second(turn, i int) *sample {
	return &w.past[(turn-i+pastSeconds)%pastSeconds]
}

// last is the last second in which anything happened.
func (w *watched) last(turn int) *sample {
	for i := range w.past {
		if p := w.second(turn, i); p.tries > 0 {
			return p
		}
	}
	return w.second(turn, 0)
}

func (p *sample) rate() float64 { return 1 - float64(p.bad)/float64(p.tries) }

// success is the share of good answers in as few of the last seconds as hold
// enough tries; ok is false when all together don't.
func (w *watched) success(turn int) (rate float64, tries uint64, ok bool) {
	var sum sample
	for i := range w.past {
		p := w.second(turn, i)
		sum.tries, sum.bad = sum.tries+p.tries, sum.bad+p.bad
		if sum.tries >= fewest {
			return sum.rate(), sum.tries, true
		}
	}
	return 0, 0, false
}

// mean is the average time of good answers in as few of the last seconds as hold
// enough of them. The slowest one does not count: one alone says little.
func (w *watched) mean(turn int) (mean time.Duration, timed uint64, ok bool) {
	var sum sample
	for i := range w.past {
		p := w.second(turn, i)
		sum.timed, sum.took, sum.slowest = sum.timed+p.timed, sum.took+p.took, max(sum.slowest, p.slowest)
		if sum.timed >= fewest {
			return time.Duration((sum.took - min(sum.slowest, sum.took)) / (sum.timed - 1)), sum.timed, true
		}
	}
	return 0, 0, false
}

// column is one number of each endpoint.
type column struct {
	values       []float64
	sum, squares float64
}

func (v *column) add(x float64) {
	v.values = append(v.values, x)
	v.sum += x
	v.squares += x * x
}

func (v *column) sort() { slices.Sort(v.values) }

// without gives median and standard deviation of all values but one x, which is
// among them; ok is false when there is no other. The values must be sorted.
func (v *column) without(x float64) (median, deviation float64, ok bool) {
	n := len(v.values) - 1
	if n < 1 {
		return 0, 0, false
	}
	own, _ := slices.BinarySearch(v.values, x)
	at := func(i int) float64 {
		if i >= own {
			i++
		}
		return v.values[i]
	}
	mean := (v.sum - x) / float64(n)
	variance := (v.squares-x*x)/float64(n) - mean*mean
	return (at((n-1)/2) + at(n/2)) / 2, math.Sqrt(max(variance, 0)), true
}

// lookForTrials finds an endpoint that should be tried.
func (c *Cluster) lookForTrials(s *set, now time.Time) {
	for _, e := range s.all {
		kind, due := c.dueTrial(e, now)
		if due && !e.tried.Load() {
			c.health.due.CompareAndSwap(nil, &trial{ep: e, since: now, kind: kind})
		}
	}
}

// dueTrial tells whether a request should try e: its ejection is over, or it
// looks so bad to the picker that nothing would ever show that it is well again.
func (c *Cluster) dueTrial(e *Endpoint, now time.Time) (trialKind, bool) {
	if e.State() == Ejected {
		if c.cfg.Health != nil {
			return afterEjection, false // a check decides
		}
		c.setMu.Lock()
		defer c.setMu.Unlock()
		x := e.health.ejection
		return afterEjection, x != nil && !now.Before(x.Until)
	}
	w := e.watched
	if w == nil || e.State() != Up || c.cfg.Balance.Kind != peakEWMA {
		return passedOver, false
	}
	switch {
	case !c.shuns(e, now):
		w.shunned, w.again = time.Time{}, false
		return passedOver, false
	case w.shunned.IsZero():
		w.shunned = now
		return passedOver, false
	}
	after := shunLeast
	if w.again {
		after = shunMost
	}
	if now.Sub(w.shunned) < after {
		return passedOver, false
	}
	w.shunned, w.again = now, true
	return passedOver, true
}

// shuns tells whether the picker sees e as far dearer than the others.
func (c *Cluster) shuns(e *Endpoint, now time.Time) bool {
	sec, typical := second(now.Sub(c.born)), math.Float32frombits(c.balancer.median.Load())
	took, known := e.latency.value(sec, typical)
	return typical > 0 && known && took > max(shunTimes*typical, float32(time.Millisecond)) || e.success.value(sec) < fewFailures
}
