package telemetry

import (
	"iter"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// Totals are all exchanges so far, local answers and refusals included, as their
// clients saw them; the numbers only grow.
type Totals struct {
	// Requests counts exchanges: one for each line of the access log. Errors are
	// those of them whose answer was a 5xx.
	Requests, Errors uint64
	// Latency holds their whole times, but those of tunnels and of routes that
	// stream: how long these last says nothing about speed.
	Latency Latency
}

// Tally counts the exchanges of one route or service; it only grows.
type Tally struct {
	Requests, Errors uint64 // as in [Totals]
}

// Latency counts durations in steps of a 16th of a power of two, from 1 µs to
// 137 s. Differences of two readings make windows, sums of several merge.
type Latency [latencySteps]uint64

const (
	latencyLow   = 10 // 2^10 ns, about 1 µs, is the first bound
	latencyHigh  = 36 // 2^37 ns, about 137 s, is the last one
	latencyParts = 16 // of a power of two
	latencySteps = (latencyHigh - latencyLow + 1) * latencyParts
)

func latencyStep(d time.Duration) int {
	v := uint64(max(d, 1<<latencyLow))
	exp := bits.Len64(v) - 1
	if exp > latencyHigh {
		return latencySteps - 1
	}
	return (exp-latencyLow)*latencyParts + int(v>>(exp-4))&(latencyParts-1)
}

// Count is how many durations there are.
func (l *Latency) Count() (n uint64) {
	for _, c := range l {
		n += c
	}
	return n
}

// Since takes away an earlier reading.
func (l *Latency) Since(earlier *Latency) {
	for i := range l {
		l[i] -= earlier[i]
	}
}

// Quantile is the duration that the share q (0 to 1) stayed within, at most
// 3.2 % off; 0 when there is none.
func (l *Latency) Quantile(q float64) time.Duration {
	n := l.Count()
	if n == 0 {
		return 0
	}
	rank := uint64(q * float64(n-1))
	for i, c := range l {
		if c > rank {
			exp, part := i/latencyParts+latencyLow, i%latencyParts
			width := 1 << (exp - 4)
			return time.Duration((latencyParts+part)*width + width/2)
		}
		rank -= c
	}
	return 0
}

// totals are what Done counts of every exchange.
type totals struct {
	latency [shards][latencySteps]atomic.Uint64
	untimed counter // exchanges whose time says nothing
	errors  counter
}

// add costs one atomic addition, two for an error.
func (t *totals) add(x *message.Exchange, status int) {
	if status == 101 || x.Stream {
		t.untimed.add(x.Shard, 1)
	} else {
		t.latency[x.Shard%shards][latencyStep(x.Phases[message.PhaseDone])].Add(1)
	}
	if status >= 500 {
		t.errors.add(x.Shard, 1)
	}
}

// Totals fills t with the present numbers.
func (t *Recorder) Totals(into *Totals) {
	into.Errors = t.totals.errors.sum() // before the rest, so that it is never more than that
	into.Latency = Latency{}
	for s := range t.totals.latency {
		for i := range t.totals.latency[s] {
			into.Latency[i] += t.totals.latency[s][i].Load()
		}
	}
	into.Requests = into.Latency.Count() + t.totals.untimed.sum()
}

// Services gives the numbers of every service. It allocates nothing and is meant
// to be read each second.
func (t *Recorder) Services() iter.Seq2[string, Tally] {
	return func(yield func(string, Tally) bool) {
		for name, s := range t.services.all() {
			var n Tally
			for class := range s.requests {
				n.Requests += s.requests[class].sum()
			}
			n.Errors = s.requests[len(Classes)-1].sum()
			if !yield(name, n) {
				return
			}
		}
	}
}

// Routes gives the numbers of every route, as Services does; "" are the
// exchanges that no route took.
func (t *Recorder) Routes() iter.Seq2[string, Tally] {
	return func(yield func(string, Tally) bool) {
		for name, r := range t.routes.all() {
			if !yield(name, r.tally()) {
				return
			}
		}
	}
}

func (r *route) tally() (n Tally) {
	for m := range r.requests {
		method := r.requests[m].Load()
		if method == nil {
			continue
		}
		for class := range method {
			if c := method[class].Load(); c != nil {
				v := c.sum()
				n.Requests += v
				if class == len(Classes)-1 {
					n.Errors += v
				}
			}
		}
	}
	return n
}

// Event is how often a filter told of something; it only grows. Owner is the
// route, "service:NAME", "listener:NAME" or "global".
type Event struct {
	Filter, Owner, Reason string
	N                     uint64
}

// Events gives the events of the filters that wanted takes, each with a key of
// its own that stays. It allocates nothing.
func (t *Recorder) Events(wanted func(filter string) bool) iter.Seq2[string, Event] {
	return func(yield func(string, Event) bool) {
		for key, c := range t.filters.all() {
			name, rest, _ := strings.Cut(key, "\x00")
			if !wanted(name) {
				continue
			}
			owner, reason, _ := strings.Cut(rest, "\x00")
			if !yield(key, Event{name, owner, reason, c.sum()}) {
				return
			}
		}
	}
}
