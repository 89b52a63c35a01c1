package main

import (
	"math"
	"net"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		times []time.Duration
		q     float64
		want  time.Duration
	}{
		{nil, 0.99, 0},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{7}, 0, 7},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0.991, 100},
		{hundred, 1, 100},
	} {
		if got := quantile(c.times, c.q); got != c.want {
			t.Errorf("%v of %d: %d, not %d", c.q, len(c.times), got, c.want)
		}
	}
}

func TestScheduleIsEven(t *testing.T) {
	t.Parallel()
	calls := schedule([]stage{{time.Second, 4}, {500 * ms, 10}}, func(i int) kind { return kind(i % 2) })
	var due []time.Duration
	for _, c := range calls {
		due = append(due, c.due/ms)
	}
	if want := []time.Duration{0, 250, 500, 750, 1000, 1100, 1200, 1300, 1400}; !slices.Equal(due, want) {
		t.Errorf("%d", due)
	}
	if calls[5].kind != kindPost || calls[4].kind != kindGet {
		t.Errorf("%v", calls)
	}
}

// story is calls at 100 a second for 20 s which take 10 ms and are answered by
// the endpoints in turn; edit may change each.
func story(edit func(i int, c *call)) []call {
	calls := schedule([]stage{{20 * time.Second, 100}}, func(int) kind { return kindGet })
	for i := range calls {
		calls[i].took, calls[i].status, calls[i].endpoint = 10*ms, 200, byte('1'+i%endpoints)
		edit(i, &calls[i])
	}
	return calls
}

func TestCount(t *testing.T) {
	t.Parallel()
	calls := story(func(i int, c *call) {
		switch i {
		case 100:
			c.status = 500
		case 101:
			c.status = 0
		case 102:
			c.fallback = true
		case 103:
			c.took = time.Second
		case 200:
			c.status = 500 // due when the stretch is over
		}
	})
	got := count(calls, time.Second, 2*time.Second)
	if want := (tally{calls: 100, failed: 2, fallback: 1, p50: 10 * ms, p99: time.Second}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	p := phases{fault: 2 * time.Second, healed: 5 * time.Second}
	steady := scenario{fault: faultHang}.turns(p)
	if want := []turn{{p.fault, faultHang}, {p.healed, faultNone}}; !slices.Equal(steady, want) {
		t.Errorf("%v", steady)
	}
	flapping := scenario{fault: faultRefuse, flap: true}.turns(p)
	want := []turn{
		{p.fault, faultRefuse}, {3 * time.Second, faultNone}, {4 * time.Second, faultRefuse}, {5 * time.Second, faultNone}, {p.healed, faultNone},
	}
	if !slices.Equal(flapping, want) {
		t.Errorf("%v", flapping)
	}
}

func TestRecovered(t *testing.T) {
	t.Parallel()
	p := phases{healthy: time.Second, fault: 5 * time.Second, healed: 10 * time.Second, end: 20 * time.Second}
	during := func(c *call, from, to time.Duration) bool { return c.due >= from && c.due < to }
	for _, c := range []struct {
		name string
		edit func(i int, c *call)
		want time.Duration
	}{
		{"at once", func(int, *call) {}, 0},
		{"errors before the end of the fault do not count", func(_ int, c *call) {
			if during(c, 6*time.Second, p.healed) {
				c.status = 503
			}
		}, 0},
		{"slow for three seconds", func(_ int, c *call) {
			if during(c, p.healed, 13*time.Second) {
				c.took = 16 * ms
			}
		}, 3 * time.Second},
		{"an endpoint comes back after four seconds", func(_ int, c *call) {
			if c.endpoint == '2' && during(c, p.healed, 14*time.Second) {
				c.endpoint = '1'
			}
		}, 2250 * ms}, // in the two seconds from there it has its thirtieth
		{"one late error", func(i int, c *call) {
			if i == 1500 {
				c.status = 502
			}
		}, 5*time.Second + 1},
		{"never", func(_ int, c *call) {
			if c.due >= p.healed {
				c.took = 20 * ms
			}
		}, never},
	} {
		if got := recovered(story(c.edit), p, 10*ms); got != c.want {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_000_000, 0)
	first := began.UnixNano() / int64(slotTime)
	slots := map[int64]int{first - 1: 99, first + 1_000_000: 99}
	for i := range int64(200) { // 100 a second as the calls, twice as many in the seventh
		slots[first+i] = 10
		if i >= 60 && i < 70 {
			slots[first+i] = 20
		}
		if i >= 76 {
			slots[first+i] = 1
		}
	}
	a := attemptsOf(slots, began, 20*time.Second)
	calls := story(func(int, *call) {})
	if got := a.between(0, 6*time.Second); got != 600 {
		t.Errorf("%d attempts", got)
	}
	if got := a.worst(calls, 5*time.Second, 10*time.Second); math.Abs(got-2) > 1e-9 {
		t.Errorf("%v in the worst second", got)
	}
	p := phases{fault: 7 * time.Second, healed: 12 * time.Second}
	if got := a.quiet(p, 100); got != 600*ms {
		t.Errorf("quiet after %v", got)
	}
	p.healed = 7500 * ms
	if got := a.quiet(p, 100); got != never {
		t.Errorf("quiet after %v", got)
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	r := result{Rounds: [][]figures{
		{{Proxy: "maru", Failed: 3, Recovery: never}},
		{{Proxy: "maru", Failed: 1, Recovery: time.Second}},
		{{Proxy: "maru", Failed: 2, Recovery: never}},
	}}
	got := r.medians()
	if len(got) != 1 || got[0].Failed != 2 || got[0].Recovery != never {
		t.Errorf("%+v", got)
	}
}

func TestBarsJudge(t *testing.T) {
	t.Parallel()
	good := figures{Proxy: "maru", LateCalls: 1000, P99: 10 * ms, LateP99: 15 * ms, Recovery: 3 * time.Second}
	bad := figures{Proxy: "maru", Failed: 2, LateCalls: 1000, LateFailed: 1, P99: 10 * ms, LateP99: 16 * ms, Recovery: never}
	other := figures{Proxy: "nginx", Failed: 2}
	var r result
	for _, b := range r.bars([]figures{good, other}) {
		if !b.pass {
			t.Errorf("%v", b)
		}
	}
	for _, b := range r.bars([]figures{other, bad}) {
		if b.pass {
			t.Errorf("%v", b)
		}
	}
	if got := r.bars([]figures{other}); got != nil {
		t.Errorf("bars without maru: %v", got)
	}
}

// A scenario that is played again replaces its own section only.
func TestSectionsStay(t *testing.T) {
	t.Parallel()
	r := result{Scenario: "slow", What: "one is slow", Rounds: [][]figures{{{Proxy: "maru"}}, {{Proxy: "maru"}}}}
	got := sectionsOf("# Title\n\npreface\n\n## hang\n\nold\n" + r.section())
	if len(got) != 2 || got["hang"] != "\n## hang\n\nold\n" || got["slow"] != r.section() {
		t.Errorf("%q", got)
	}
}

// A service that never answers does not stop the clock: all calls are made, and
// those that are cut off have failed.
func TestLoadIsAnOpenLoop(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{}, 100)
	go func() {
		var conns []net.Conn
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			got <- struct{}{}
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	l := load{address: ln.Addr().String(), calls: schedule([]stage{{100 * ms, 100}}, func(int) kind { return kindGet })}
	done := make(chan struct{})
	go func() { l.run(t.Context(), time.Now()); close(done) }()
	for range l.calls {
		<-got // each has a connection of its own, since none becomes free
	}
	_ = ln.Close()
	<-done
	for _, c := range l.calls {
		if c.ok() || c.status != 0 || c.took <= 0 {
			t.Errorf("%+v", c)
		}
	}
}
