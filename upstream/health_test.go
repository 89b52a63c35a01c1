package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
)

// named is a cluster of n endpoints that nobody answers at, not running.
func named(t *testing.T, n int, env Env) *Cluster { //nolint:gocritic // a test
	t.Helper()
	c, err := New("svc", Config{URLs: urlsOf(n)}, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func urlsOf(n int) (urls []EndpointConfig) {
	for i := range n {
		urls = append(urls, EndpointConfig{URL: fmt.Sprintf("http://e%d:80", i)})
	}
	return urls
}

func addrsOf(n int) (addrs []Addr) {
	for _, u := range urlsOf(n) {
		addrs = append(addrs, Addr(u))
	}
	return addrs
}

// TestBounds does everything at random that takes endpoints out or brings them
// back, and holds what must be true after each step.
func TestBounds(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10} {
		now := time.Now()
		c := named(t, n, Env{Now: func() time.Time { return now }})
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for range 20_000 {
			now = now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
			all := c.Endpoints()
			e := all[rng.IntN(len(all))]
			up := c.census(all).up
			switch rng.IntN(8) {
			case 0, 1, 2:
				if c.eject(e, Stalled, "a test") && c.census(all).ejected > c.census(all).able/2 {
					t.Fatalf("%d of %d ejected", c.census(all).ejected, c.census(all).able)
				}
			case 3:
				c.readmit(e)
			case 4:
				c.ejectAgain(e, "a test")
			case 5:
				c.setDown(e, []string{"", "a check"}[rng.IntN(2)])
				up = min(up, c.census(all).up) // checks may take the last one
			case 6:
				_ = c.Eject(e.Name(), time.Minute, "a test")
			case 7:
				if rng.IntN(2) == 0 {
					_ = c.Drain(e.Name())
				} else {
					_ = c.Return(e.Name())
				}
			}
			k, s := c.census(all), c.set.Load()
			if up > 0 && k.up == 0 {
				t.Fatal("the last usable endpoint was taken out")
			}
			if got, want := c.Stats().Panic, k.ejected > 0 && 2*k.up < k.able; got != want {
				t.Fatalf("panic is %v with %+v", got, k)
			}
			usable := k.up
			if c.Stats().Panic {
				usable += k.ejected
			}
			if len(s.usable) != usable || len(s.usable)+len(s.spare) != k.up+k.ejected {
				t.Fatalf("%d usable, %d to spare with %+v", len(s.usable), len(s.spare), k)
			}
			if x := e.health.ejection; x != nil && x.Kind != ByOperator && x.Until.Sub(now) > ejectMost {
				t.Fatalf("out for %v", x.Until.Sub(now))
			}
		}
	}
}

func TestPanic(t *testing.T) {
	var lines bytes.Buffer
	c := named(t, 4, Env{Log: slog.New(slog.NewTextHandler(&lines, nil))})
	all := c.Endpoints()
	c.eject(all[0], Stalled, "a test")
	c.eject(all[1], Stalled, "a test")
	if s := c.Stats(); s.Panic || len(c.set.Load().usable) != 2 {
		t.Fatalf("half are usable, and it is %v", s.Panic)
	}
	c.setDown(all[2], "a check")
	if s := c.Stats(); !s.Panic || len(c.set.Load().usable) != 3 || s.Endpoints[0].State != Ejected {
		t.Fatalf("one of four is usable: %v %d", s.Panic, len(c.set.Load().usable))
	}
	for range 100 {
		if e := c.set.Load().choose(c, request("GET", "/"), nil); e == all[2] {
			t.Fatal("what a check says was ignored")
		}
	}
	c.setDown(all[2], "")
	if c.Stats().Panic || !strings.Contains(lines.String(), "ejections are ignored") || strings.Count(lines.String(), "\n") != 4 {
		t.Fatalf("one line for each change:\n%s", &lines)
	}
	// Endpoints that an operator took out do not make a panic.
	if err := errors.Join(c.Return(all[0].Name()), c.Return(all[1].Name()), c.Drain(all[0].Name()), c.Drain(all[1].Name()), c.Eject(all[2].Name(), time.Minute, "")); err != nil {
		t.Fatal(err)
	}
	if s := c.set.Load(); c.Stats().Panic || len(s.usable) != 1 || len(s.spare) != 0 {
		t.Fatalf("%v %d", c.Stats().Panic, len(s.usable))
	}
}

// A flood of errors is one line in the log.
func TestOneLinePerEjection(t *testing.T) {
	var lines lockedBuffer
	c := named(t, 3, Env{Log: slog.New(slog.NewTextHandler(&lines, nil))})
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 1000 {
				c.noteAnswer(c.Endpoints()[1], &message.Exchange{Began: time.Now()}, 503)
			}
		})
	}
	wait.Wait()
	if n := strings.Count(lines.String(), "\n"); n != 1 || !strings.Contains(lines.String(), "endpoint=e1:80 kind=gateway-errors") {
		t.Fatalf("%d lines:\n%s", n, lines.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// What is known of an endpoint stays while its address stays.
func TestHealthSurvivesSet(t *testing.T) {
	c := named(t, 4, Env{})
	all := c.Endpoints()
	c.eject(all[1], SlowAnswers, "a test")
	c.setDown(all[2], "a check")
	if err := errors.Join(c.SetWeight(all[0].Name(), 7), c.Drain(all[3].Name())); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(append([]Addr{{URL: "http://new:80"}}, addrsOf(4)...)); err != nil {
		t.Fatal(err)
	}
	s := c.Stats().Endpoints
	if s[1].Weight != 7 || s[2].State != Ejected || s[2].Ejected.Kind != SlowAnswers || s[3].State != Down || s[4].State != Draining {
		t.Fatalf("%+v", s)
	}
	// One that goes takes its trial along.
	c.health.due.Store(&trial{ep: all[1]})
	if err := c.Set(addrsOf(1)); err != nil {
		t.Fatal(err)
	}
	c.look(time.Now())
	if c.health.due.Load() != nil || all[1].State() != Gone || all[1].Usable() {
		t.Fatal("the trial of an endpoint that is gone is still due")
	}
	// Ejections that outlive the others are ignored.
	if err := c.Set(addrsOf(4)); err != nil {
		t.Fatal(err)
	}
	all = c.Endpoints()
	c.eject(all[2], Stalled, "a test")
	c.eject(all[3], Stalled, "a test")
	if err := c.Set(addrsOf(4)[2:]); err != nil {
		t.Fatal(err)
	}
	if !c.Stats().Panic || len(c.set.Load().usable) != 2 {
		t.Fatal("nobody is left to answer")
	}
}

func TestEjectionsInARow(t *testing.T) {
	now := time.Now()
	c := named(t, 3, Env{Now: func() time.Time { return now }, Float: func() float64 { return 0.5 }})
	e := c.Endpoints()[0]
	for i, want := range []time.Duration{2, 4, 8, 8} {
		if !c.eject(e, Stalled, "a test") {
			t.Fatal("not ejected")
		}
		x := e.health.ejection
		if d := x.Until.Sub(x.At); d != want*time.Second || x.Times != i+1 {
			t.Fatalf("%d: out for %v, %d times", i, d, x.Times)
		}
		now = now.Add(10 * time.Second)
		c.readmit(e)
		now = now.Add(10 * time.Second)
	}
	now = now.Add(time.Minute)
	c.eject(e, Stalled, "a test")
	if x := e.health.ejection; x.Times != 1 {
		t.Fatalf("after a good minute it counts %d", x.Times)
	}
}

func TestRow(t *testing.T) {
	for _, tt := range []struct {
		n, others, alike uint64
		tells            bool
	}{
		{4, 1000, 0, false},
		{5, 19, 0, false},
		{5, 20, 0, false},
		{6, 20, 0, true},
		{5, 40, 0, true},
		{5, 1000, 10, true},
		{5, 1000, 100, false},
		{8, 1000, 100, true},
		{20, 1000, 500, false},
		{30, 1000, 500, true},
		{1000, 1000, 1000, false},
	} {
		w := row{tries: 7, such: 3}
		others, alike, tells := w.telling(tt.n, 7+tt.others+tt.n, 3+tt.alike+tt.n, false)
		if others != tt.others || alike != tt.alike || tells != tt.tells {
			t.Errorf("%+v: %d %d %v", tt, others, alike, tells)
		}
	}
	w := row{tries: 7, such: 3}
	if _, _, tells := w.telling(0, 50, 9, false); tells || w != (row{50, 9}) {
		t.Errorf("no row: %+v", w)
	}
}

func TestColumn(t *testing.T) {
	var v column
	for _, x := range []float64{1, 0.2, 0.9, 1} {
		v.add(x)
	}
	v.sort()
	for _, tt := range []struct{ x, median, deviation float64 }{
		{0.2, 1, 0.0471}, {1, 0.9, 0.3559}, {0.9, 1, 0.3771},
	} {
		m, d, ok := v.without(tt.x)
		if !ok || m != tt.median || d < tt.deviation-0.001 || d > tt.deviation+0.001 {
			t.Errorf("without %v: %v %v", tt.x, m, d)
		}
	}
	if _, _, ok := new(column).without(1); ok {
		t.Error("nothing has a median")
	}
}

func TestSpread(t *testing.T) {
	for d := time.Microsecond; d < time.Minute; d += d/7 + 1 {
		step := spreadStep(d)
		top := spreadTop(step)
		if d > 16*time.Microsecond && (top < d || top > d*3/2+time.Microsecond) {
			t.Fatalf("%v is in a step up to %v", d, top)
		}
		if step > 0 && spreadTop(step-1) > d {
			t.Fatalf("%v is in step %d, but the one below ends at %v", d, step, spreadTop(step-1))
		}
	}
	if spreadStep(-1) != 0 || spreadStep(time.Hour) != spreadSteps-1 {
		t.Fatal("the ends are open")
	}
}

// A client that has no patience says nothing about the endpoint.
func TestImpatientClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 50*time.Millisecond, Config{Balance: Balance{Kind: roundRobin}})
		defer e.stop()
		e.load(100, 2*time.Second, nil)
		for range 60 {
			r := request("GET", "/")
			r.X.Deadline = r.X.Began.Add(20 * time.Millisecond)
			_, err := e.Do(r)
			wantProblem(t, err, 504, "exchange_timeout")
			time.Sleep(50 * time.Millisecond)
		}
		if e.states() != "up up up" {
			t.Fatal(e.states())
		}
	})
}

// Over HTTP/2 too, what waits at an endpoint that stalls is answered elsewhere.
func TestStallOverHTTP2(t *testing.T) {
	var hang atomic.Bool
	release := make(chan struct{})
	endpoint := func(may bool) string {
		return h2c(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if may && hang.Load() {
				select {
				case <-r.Context().Done():
				case <-release:
				}
			}
			_, _ = w.Write([]byte("hello"))
		}))
	}
	t.Cleanup(func() { close(release) })
	urls := []EndpointConfig{{URL: endpoint(true)}, {URL: endpoint(false)}}
	c := cluster(t, Config{URLs: urls, HTTP: HTTP2C, Balance: Balance{Kind: roundRobin}}, Env{})
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var bad, late atomic.Int64
	for range 8 {
		wait.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				resp, err := c.Do(request("GET", "/")) //nolint:contextcheck // a message has its own cancel
				if err != nil {
					bad.Add(1)
					continue
				}
				resp.Release()
				if time.Since(began) > 3*time.Second {
					late.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	waitFor(t, func() bool { return c.Stats().Endpoints[0].Requests > 50 })
	hang.Store(true)
	waitFor(t, func() bool { return c.Stats().Endpoints[0].State == Ejected })
	if s := c.Stats().Endpoints[0]; s.Ejected.Kind != Stalled {
		t.Errorf("%+v", s.Ejected)
	}
	stop()
	wait.Wait()
	if bad.Load() > 0 || late.Load() > 0 {
		t.Errorf("%d failed, %d were late", bad.Load(), late.Load())
	}
}
