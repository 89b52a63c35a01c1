package upstream

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// Pickers are judged over many draws with a fixed sequence of random numbers.

const draws = 10_000

// still makes a cluster of n endpoints that nobody calls.
func still(t *testing.T, n int, cfg Config, env Env) *Cluster {
	t.Helper()
	if cfg.URLs == nil {
		for i := range n {
			cfg.URLs = append(cfg.URLs, EndpointConfig{URL: "http://127.0.0.1:" + strconv.Itoa(20000+i)})
		}
	}
	random := rand.New(rand.NewPCG(7, 11))
	env.Float = random.Float64
	c, err := New("svc", cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shares counts how the cluster spreads requests, as parts of 1.
func shares(c *Cluster, each func(i int, r *message.Request)) map[*Endpoint]float64 {
	out := make(map[*Endpoint]float64)
	r := request("GET", "/")
	for i := range draws {
		if each != nil {
			each(i, r)
		}
		out[c.set.Load().choose(c, r, nil)] += 1. / draws
	}
	return out
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }

func TestPickersSpreadEvenly(t *testing.T) {
	for _, kind := range []string{roundRobin, randomPick, weighted, leastRequest, peakEWMA} {
		c := still(t, 5, Config{Balance: Balance{Kind: kind}}, Env{})
		for e, s := range shares(c, nil) {
			if !near(s, 0.2, 0.02) {
				t.Errorf("%s: %s gets %.3f", kind, e.Name(), s)
			}
		}
	}
}

func TestRoundRobinIsExact(t *testing.T) {
	c := still(t, 4, Config{Balance: Balance{Kind: roundRobin}}, Env{})
	r := request("GET", "/")
	for range 10 {
		seen := map[*Endpoint]bool{}
		for range 4 {
			seen[c.set.Load().choose(c, r, nil)] = true
		}
		if len(seen) != 4 {
			t.Fatalf("four turns met %d endpoints", len(seen))
		}
	}
}

func TestWeights(t *testing.T) {
	urls := []EndpointConfig{{URL: "http://a:1", Weight: 1}, {URL: "http://b:1", Weight: 3}, {URL: "http://c:1", Weight: 6}}
	c := still(t, 0, Config{URLs: urls, Balance: Balance{Kind: weighted}}, Env{})
	for e, s := range shares(c, nil) {
		if want := e.Weight() / 10; !near(s, want, 0.001) {
			t.Errorf("%s gets %.3f, want %.1f", e.Name(), s, want)
		}
	}
	// The schedule is smooth: the heavy one does not come six times in a row.
	r, run, last := request("GET", "/"), 0, (*Endpoint)(nil)
	for range 100 {
		if e := c.set.Load().choose(c, r, nil); e == last {
			run++
		} else {
			run, last = 1, e
		}
		if run > 3 {
			t.Fatal("not smooth")
		}
	}
	// Weights that have no small common measure are scaled, not refused.
	urls = nil
	for i, w := range []int{1000, 999, 997, 991, 983, 1} {
		urls = append(urls, EndpointConfig{URL: "http://a:" + strconv.Itoa(i+1), Weight: w})
	}
	c = still(t, 0, Config{URLs: urls, Balance: Balance{Kind: weighted}}, Env{})
	if n := shares(c, nil); len(n) != 6 {
		t.Errorf("%d endpoints get requests, want 6", len(n))
	}
}

func TestLeastRequestAvoidsTheBusy(t *testing.T) {
	c := still(t, 4, Config{Balance: Balance{Kind: leastRequest}}, Env{})
	busy := c.Endpoints()[2]
	busy.inflight.Store(50)
	if s := shares(c, nil)[busy]; s > 0.001 {
		t.Errorf("the busy one gets %.3f", s)
	}
}

func TestEWMAPrefersTheFast(t *testing.T) {
	c := still(t, 4, Config{}, Env{})
	slow := c.Endpoints()[1]
	for _, e := range c.Endpoints() {
		took := 10 * time.Millisecond
		if e == slow {
			took = 100 * time.Millisecond
		}
		c.balancer.record(e, took, time.Second, true)
	}
	if s := shares(c, nil)[slow]; s > 0.001 {
		t.Errorf("the slow one gets %.3f", s)
	}
	// One that fails at once is not taken for a fast one.
	failing := c.Endpoints()[3]
	for range 10 {
		c.balancer.record(failing, 100*time.Microsecond, time.Second, false)
	}
	if s := shares(c, nil)[failing]; s > 0.001 {
		t.Errorf("the failing one gets %.3f", s)
	}
	// With the time what was bad is forgotten, or nobody would ever look again.
	got := shares(c, func(_ int, r *message.Request) { r.X.Began = c.born.Add(5 * time.Minute) })
	if got[slow] < 0.1 || got[failing] < 0.1 {
		t.Errorf("after five minutes: %.3f and %.3f", got[slow], got[failing])
	}
}

// clientKey makes each request come from another client.
func clientKey(i int, r *message.Request) {
	r.X.Client = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestHashKeepsKeys(t *testing.T) {
	cfg := Config{Balance: Balance{Kind: hashPick, By: "client"}}
	c := still(t, 10, cfg, Env{})
	place := func(c *Cluster) map[int]string {
		out := make(map[int]string)
		r := request("GET", "/")
		for i := range draws {
			clientKey(i, r)
			out[i] = c.set.Load().choose(c, r, nil).Name()
		}
		return out
	}
	before := place(c)
	again := place(still(t, 10, cfg, Env{})) // another gateway
	for i := range before {
		if before[i] != again[i] {
			t.Fatal("two gateways disagree")
		}
	}
	counts := map[string]int{}
	for _, name := range before {
		counts[name]++
	}
	for name, n := range counts {
		if !near(float64(n)/draws, 0.1, 0.03) {
			t.Errorf("%s gets %d of %d", name, n, draws)
		}
	}
	// One endpoint leaves: only its keys move.
	gone := c.Endpoints()[4]
	c.setDown(gone, "test")
	after := place(c)
	for i := range before {
		if before[i] != after[i] && before[i] != gone.Name() {
			t.Fatalf("a key moved from %s to %s though %s left", before[i], after[i], gone.Name())
		}
		if after[i] == gone.Name() {
			t.Fatal("a key stayed with the one that left")
		}
	}
}

// One key that everybody asks for: its endpoint takes its share × load and no
// more, the rest spills over to the next.
func TestHashBoundedLoad(t *testing.T) {
	c := still(t, 4, Config{Balance: Balance{Kind: hashPick, By: "client", Load: 1.25}}, Env{})
	r := request("GET", "/")
	clientKey(1, r)
	const flying = 100
	for range flying { // none of them ends
		c.enter(c.set.Load().choose(c, r, nil))
	}
	for _, e := range c.Endpoints() {
		if n := e.InFlight(); n > int(math.Ceil(1.25*flying/4)) {
			t.Errorf("%s carries %d of %d", e.Name(), n, flying)
		}
	}
	// A request without the key goes by load.
	if e := c.set.Load().choose(c, request("GET", "/"), nil); e == nil {
		t.Error("no endpoint for a request without the key")
	}
}

func TestHashBy(t *testing.T) {
	for by, set := range map[string]func(r *message.Request, v string){
		"header X-Tenant": func(r *message.Request, v string) { _ = r.Header.Set("x-tenant", v) },
		"cookie sid":      func(r *message.Request, v string) { _ = r.Header.Set("Cookie", "a=b; sid="+v) },
		"param id":        func(r *message.Request, v string) { r.X.ResetParams(); r.X.AddParam("id", v) },
	} {
		c := still(t, 8, Config{Balance: Balance{Kind: hashPick, By: by}}, Env{})
		places := map[*Endpoint]bool{}
		for i := range 200 {
			r := request("GET", "/")
			set(r, strconv.Itoa(i))
			first := c.set.Load().choose(c, r, nil)
			if c.set.Load().choose(c, r, nil) != first {
				t.Fatalf("%s: one key, two endpoints", by)
			}
			places[first] = true
		}
		if len(places) != 8 {
			t.Errorf("%s: 200 keys meet %d of 8 endpoints", by, len(places))
		}
	}
}

// Slow start: an endpoint that comes later begins with a tenth of its share and
// has the whole after the ramp.
func TestSlowStart(t *testing.T) {
	ramp := 10 * time.Second
	for _, kind := range []string{roundRobin, randomPick, peakEWMA, leastRequest, weighted} {
		now := time.Now()
		c := still(t, 4, Config{Balance: Balance{Kind: kind}, SlowStart: &ramp}, Env{Now: func() time.Time { return now }})
		for _, e := range c.Endpoints() { // they are measured, the new one is not
			c.balancer.record(e, 10*time.Millisecond, time.Second, true)
			e.inflight.Store(1)
		}
		addrs := c.cfg.static()
		addrs = append(addrs, Addr{URL: "http://127.0.0.1:29999"})
		now = now.Add(time.Minute)
		if err := c.Set(addrs); err != nil {
			t.Fatal(err)
		}
		late := c.Endpoints()[4]
		late.inflight.Store(1)
		at := func(d time.Duration) float64 {
			return shares(c, func(_ int, r *message.Request) { r.X.Began = now.Add(d) })[late]
		}
		start, half, whole := at(0), at(5*time.Second), at(11*time.Second)
		if start > 0.08 {
			t.Errorf("%s: %.3f at once", kind, start)
		}
		if kind == roundRobin || kind == randomPick || kind == weighted {
			if half < start || half > 0.16 {
				t.Errorf("%s: %.3f at half time", kind, half)
			}
		}
		if !near(whole, 0.2, 0.03) {
			t.Errorf("%s: %.3f behind the ramp", kind, whole)
		}
	}
}

// Zone preference: all at home while home can carry it; what it can't carry
// spills over; without endpoints at home everybody serves.
func TestZonePreference(t *testing.T) {
	zones := func(home, away int) []EndpointConfig {
		var out []EndpointConfig
		for i := range home + away {
			zone := "home"
			if i >= home {
				zone = "away"
			}
			out = append(out, EndpointConfig{URL: "http://127.0.0.1:" + strconv.Itoa(21000+i), Zone: zone})
		}
		return out
	}
	atHome := func(c *Cluster) (share float64) {
		for e, s := range shares(c, nil) {
			if e.Zone() == "home" {
				share += s
			}
		}
		return share
	}
	for _, tt := range []struct {
		home, away int
		own        string
		cfg        string
		want       float64
	}{
		{home: 3, away: 3, own: "home", want: 1},
		{home: 5, away: 1, own: "home", want: 1},
		{home: 1, away: 3, own: "home", want: 0.5}, // a quarter of the capacity, half of an equal part
		{home: 0, away: 3, own: "home", want: 0},
		{home: 3, away: 0, own: "home", want: 1},
		{home: 2, away: 2, own: "", want: 0.5},
		{home: 2, away: 2, own: "home", cfg: "ignore", want: 0.5},
	} {
		c := still(t, 0, Config{URLs: zones(tt.home, tt.away), Zone: tt.cfg, Balance: Balance{Kind: roundRobin}}, Env{Zone: tt.own})
		if got := atHome(c); !near(got, tt.want, 0.02) {
			t.Errorf("%d at home, %d away, own %q: %.3f at home, want %.2f", tt.home, tt.away, tt.own, got, tt.want)
		}
	}
	// A home that answers four times slower gives up what is not its share.
	c := still(t, 0, Config{URLs: zones(2, 2)}, Env{Zone: "home"})
	for _, e := range c.Endpoints() {
		took := 10 * time.Millisecond
		if e.Zone() == "home" {
			took = 100 * time.Millisecond
		}
		c.balancer.record(e, took, time.Second, true)
	}
	if got := atHome(c); !near(got, 0.5, 0.03) {
		t.Errorf("a slow home keeps %.3f", got)
	}
}

func TestChooseAvoids(t *testing.T) {
	for _, kind := range []string{roundRobin, hashPick, peakEWMA} {
		c := still(t, 3, Config{Balance: Balance{Kind: kind, By: map[string]string{hashPick: "client"}[kind]}}, Env{})
		s := c.set.Load()
		avoid := c.Endpoints()[1]
		r := request("GET", "/")
		for i := range 200 {
			clientKey(i, r)
			if s.choose(c, r, avoid) == avoid {
				t.Fatalf("%s chose what it was to avoid", kind)
			}
		}
	}
	one := still(t, 1, Config{}, Env{})
	if e := one.set.Load().choose(one, request("GET", "/"), one.Endpoints()[0]); e == nil {
		t.Error("the only endpoint is better than none")
	}
	none := still(t, 1, Config{}, Env{})
	none.setDown(none.Endpoints()[0], "test")
	if e := none.set.Load().choose(none, request("GET", "/"), nil); e != nil {
		t.Error("chose one that is down")
	}
}

func TestAverages(t *testing.T) {
	var l latency
	if _, known := l.value(1, 5); known {
		t.Error("known before the first sample")
	}
	l.observe(100, 1)
	l.observe(300, 2) // a peak counts at once
	if v, _ := l.value(2, 10); v != 300 {
		t.Errorf("%v", v)
	}
	l.observe(100, 12) // a time constant later: 1/e of the way is left
	if v, _ := l.value(12, 10); !near(float64(v), 100+200/math.E, 1) {
		t.Errorf("%v", v)
	}
	var s success
	for range 100 {
		s.observe(false, 1)
	}
	if v := s.value(1); v > 0.02 || v < successFloor {
		t.Errorf("%v", v)
	}
	if v := s.value(100); v != 1 {
		t.Errorf("%v: nothing is for ever", v)
	}
}
