package upstream

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/message"
)

// balancer makes the pickers of one cluster. What must outlive a change of the
// endpoint set (counters, the median) is here; what depends on the set (rings,
// schedules) is built with each picker.
type balancer struct {
	cfg   Balance
	ramp  time.Duration
	float func() float64
	born  time.Time
	by    by
	turn  atomic.Uint64 // round robin

	total      atomic.Int64 // requests in flight, kept for hash only
	countTotal bool

	median    atomic.Uint32 // float32 bits of nanoseconds
	medianSec atomic.Uint32
	medianMu  sync.Mutex
	scratch   []float32
}

// unknownLatency stands for the median while nothing was measured.
const unknownLatency = float32(time.Millisecond)

func newBalancer(cfg Balance, ramp time.Duration, float func() float64, born time.Time) *balancer {
	b := &balancer{cfg: cfg, ramp: ramp, float: float, born: born, countTotal: cfg.Kind == hashPick}
	b.by, _ = parseBy(cfg.By)
	b.scratch = make([]float32, 0, medianSample)
	b.turn.Store(uint64(float() * (1 << 20)))
	return b
}

// picker builds the picker for a set of usable endpoints.
func (b *balancer) picker(eps []*Endpoint) Picker {
	switch b.cfg.Kind {
	case roundRobin:
		return b.pickRoundRobin
	case randomPick:
		return b.pickRandom
	case weighted:
		return b.weighted(eps)
	case leastRequest:
		return b.pickLeast
	case hashPick:
		return b.ring(eps)
	}
	return b.pickEWMA
}

// now is the time of the request on the cluster's clock. It costs no look at
// the real one: a second more or less does not matter to pickers.
func (b *balancer) now(r *message.Request) time.Duration {
	return r.X.Began.Sub(b.born) + r.X.Phases[message.PhaseFilters]
}

func (b *balancer) index(n int) int {
	return min(int(b.float()*float64(n)), n-1)
}

// two draws two distinct endpoints of at least two.
func (b *balancer) two(eps []*Endpoint) (*Endpoint, *Endpoint) {
	i, j := b.index(len(eps)), b.index(len(eps)-1)
	if j >= i {
		j++
	}
	return eps[i], eps[j]
}

// admit lets an endpoint in slow start through for its part of the draws.
func (b *balancer) admit(e *Endpoint, now time.Duration) bool {
	if e.rampSince.Load() == 0 {
		return true
	}
	f := e.ramp(now, b.ramp)
	return f >= 1 || b.float() < f
}

// rampTries is how many draws may fall to endpoints in slow start before one
// of them is taken anyway.
const rampTries = 8

func (b *balancer) pickRandom(r *message.Request, eps []*Endpoint) *Endpoint {
	e := eps[b.index(len(eps))]
	for range rampTries {
		if b.admit(e, b.now(r)) {
			break
		}
		e = eps[b.index(len(eps))]
	}
	return e
}

func (b *balancer) pickRoundRobin(r *message.Request, eps []*Endpoint) *Endpoint {
	n := uint64(len(eps))
	e := eps[b.turn.Add(1)%n]
	for range rampTries {
		if b.admit(e, b.now(r)) {
			break
		}
		e = eps[b.turn.Add(1)%n]
	}
	return e
}

// pickLeast takes the one with fewer requests in flight for its weight out of
// two: a full scan makes all gateways run to the same endpoint.
func (b *balancer) pickLeast(r *message.Request, eps []*Endpoint) *Endpoint {
	if len(eps) == 1 {
		return eps[0]
	}
	now := b.now(r)
	load := func(e *Endpoint) float64 {
		return float64(e.inflight.Load()+1) / (e.Weight() * e.ramp(now, b.ramp))
	}
	x, y := b.two(eps)
	if load(y) < load(x) {
		return y
	}
	return x
}

// pickEWMA takes the cheaper of two random endpoints, where cost is the
// peak-sensitive average latency × (in flight + 1) / weight, and failures make
// it dearer.
func (b *balancer) pickEWMA(r *message.Request, eps []*Endpoint) *Endpoint {
	if len(eps) == 1 {
		return eps[0]
	}
	now := b.now(r)
	median := b.typical(now, eps)
	x, y := b.two(eps)
	if y.cost(now, b.ramp, median) < x.cost(now, b.ramp, median) {
		return y
	}
	return x
}

// medianSample is how many endpoints are looked at for the median.
const medianSample = 256

// typical is the median latency of the endpoints, brought up to date once a
// second by one of the requests.
func (b *balancer) typical(now time.Duration, eps []*Endpoint) float32 {
	sec := second(now)
	if last := b.medianSec.Load(); sec > last && b.medianSec.CompareAndSwap(last, sec) && b.medianMu.TryLock() {
		b.measure(sec, eps)
		b.medianMu.Unlock()
	}
	if m := math.Float32frombits(b.median.Load()); m > 0 {
		return m
	}
	return unknownLatency
}

func (b *balancer) measure(sec uint32, eps []*Endpoint) {
	b.scratch = b.scratch[:0]
	step := len(eps)/medianSample + 1
	for i := 0; i < len(eps); i += step {
		if v, known := eps[i].latency.value(sec, 0); known {
			b.scratch = append(b.scratch, v)
		}
	}
	if n := len(b.scratch); n > 0 {
		slices.Sort(b.scratch)
		b.median.Store(math.Float32bits(b.scratch[(n-1)/2]))
	}
}

// failureFloor is the least latency that a failure counts as.
const failureFloor = float32(100 * time.Millisecond)

// record takes an outcome in. A failure never looks fast: an endpoint that
// refuses at once would attract everything.
func (b *balancer) record(e *Endpoint, took, now time.Duration, good bool) {
	sec := second(now)
	sample := float32(max(took, 1))
	median := math.Float32frombits(b.median.Load())
	if !good {
		sample = max(sample, 5*median, failureFloor)
	} else if median == 0 {
		b.median.CompareAndSwap(0, math.Float32bits(sample))
	}
	e.latency.observe(sample, sec)
	e.success.observe(good, sec)
}

// maxSchedule bounds the length of a weighted schedule; larger sums are scaled.
const maxSchedule = 4096

// weighted builds a repeating schedule in which each endpoint stands as often
// as its weight says, spread as evenly as possible.
func (b *balancer) weighted(eps []*Endpoint) Picker {
	sum, div := 0, 0
	for _, e := range eps {
		w := int(e.Weight())
		sum += w
		div = gcd(div, w)
	}
	if div == 0 {
		return b.pickRoundRobin
	}
	scale := 1 / float64(div)
	if sum/div > maxSchedule {
		scale = maxSchedule / float64(sum)
	}
	type slot struct {
		at float64
		i  int
	}
	var slots []slot
	for i, e := range eps {
		n := max(int(math.Round(e.Weight()*scale)), 1)
		for k := range n {
			slots = append(slots, slot{(float64(k) + 0.5) / float64(n), i})
		}
	}
	slices.SortStableFunc(slots, func(x, y slot) int { return cmp.Compare(x.at, y.at) })
	order := make([]*Endpoint, len(slots))
	for k, s := range slots {
		order[k] = eps[s.i]
	}
	return func(r *message.Request, _ []*Endpoint) *Endpoint { return b.pickRoundRobin(r, order) }
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ringPoints is how many points an endpoint of average weight has on the ring.
const ringPoints = 160

type point struct {
	at uint64
	e  *Endpoint
}

// ring builds a consistent-hash ring. Walking on from the key's point, the first
// endpoint whose load is not above its share × load takes the request, so that
// a popular key cannot drown one endpoint. A change of the set moves only the
// keys of the endpoints that came or went.
func (b *balancer) ring(eps []*Endpoint) Picker {
	sum := 0.0
	for _, e := range eps {
		sum += e.Weight()
	}
	var points []point
	for _, e := range eps {
		n := max(int(math.Round(e.Weight()/sum*float64(len(eps))*ringPoints)), 1)
		h := hashString(e.target.key())
		for k := range n {
			points = append(points, point{mix(h + uint64(k)*0x9E3779B97F4A7C15), e})
		}
	}
	slices.SortFunc(points, func(x, y point) int {
		return cmp.Or(cmp.Compare(x.at, y.at), strings.Compare(x.e.target.key(), y.e.target.key()))
	})
	return func(r *message.Request, eps []*Endpoint) *Endpoint {
		h, ok := b.keyHash(r)
		if !ok {
			return b.pickEWMA(r, eps)
		}
		return b.walk(points, h, sum)
	}
}

func (b *balancer) walk(points []point, h uint64, sum float64) *Endpoint {
	start := sort.Search(len(points), func(i int) bool { return points[i].at >= h })
	if start == len(points) {
		start = 0
	}
	total := float64(b.total.Load() + 1)
	for k := range points {
		i := start + k
		if i >= len(points) {
			i -= len(points)
		}
		e := points[i].e
		if float64(e.inflight.Load()+1) <= math.Ceil(b.cfg.Load*total*e.Weight()/sum) {
			return e
		}
	}
	return points[start].e
}

// keyHash hashes what the request is told apart by; ok is false when it lacks it.
func (b *balancer) keyHash(r *message.Request) (h uint64, ok bool) {
	switch b.by.kind {
	case byClient:
		if !r.X.Client.IsValid() {
			return 0, false
		}
		return hashAddr(r.X.Client), true
	case byHeader:
		v, ok := r.Header.Lookup(b.by.name)
		return hashString(v), ok && v != ""
	case byCookie:
		v := cookieValue(&r.Header, b.by.name)
		return hashString(v), v != ""
	case byParam:
		v := r.X.Param(b.by.name)
		return hashString(v), v != ""
	}
	return 0, false
}

// hashString is FNV-1a with a final mix. It is the same in every process, so
// that all gateways agree.
func hashString(s string) uint64 {
	h := uint64(0xCBF29CE484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001B3
	}
	return mix(h)
}

func hashAddr(a netip.Addr) uint64 {
	b := a.As16()
	return hashString(message.View(b[:]))
}

// mix spreads the bits of h over the whole word.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xFF51AFD7ED558CCD
	h ^= h >> 33
	h *= 0xC4CEB9FE1A85EC53
	return h ^ h>>33
}

// cookieValue finds a cookie of the request (RFC 6265 §5.4), or "".
func cookieValue(h *message.Header, name string) string {
	if !h.Has(message.Cookie) {
		return ""
	}
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != message.Cookie {
			continue
		}
		for rest := fields[i].Value; rest != ""; {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			k, v, _ := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if k == name {
				return v
			}
		}
	}
	return ""
}
