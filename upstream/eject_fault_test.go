package upstream

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFaults breaks one of several endpoints at 500 requests a second and holds
// the bars of the faults: from 2 s after its begin on, clients see less than
// 0.1 % errors and a p99 of at most 1.5 times the healthy one; 10 s after its
// end the endpoint is in use again.
func TestFaults(t *testing.T) {
	const begin, end, whole = 5 * time.Second, 20 * time.Second, 36 * time.Second
	faults := []struct {
		name string
		mode int32
	}{{"hangs", hangs}, {"answers 500", fails500}, {"answers 503", fails503}, {"10 times slow", slow10}, {"refuses", refuses}, {"resets", resets}}
	for _, f := range faults {
		for _, n := range []int{2, 3, 10} {
			for _, took := range []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
				for _, kind := range []string{peakEWMA, roundRobin} {
					switch {
					case kind == roundRobin && f.mode == slow10 && took < 10*time.Millisecond:
						continue // 18 ms more are not 50: only the default balance sees them
					case n != 3 && took != 20*time.Millisecond:
						continue // the times were tried with three
					}
					t.Run(fmt.Sprintf("%s/%d/%v/%s", f.name, n, took, kind), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							e := newEstate(t, n, took, Config{Balance: Balance{Kind: kind}})
							defer e.stop()
							all := e.load(500, whole, map[time.Duration]func(){
								begin: func() { e.instances[0].become(f.mode) },
								end:   func() { e.instances[0].become(healthy) },
								end + 10*time.Second: func() {
									if s := e.row(0); s.State != Up {
										t.Errorf("10 s after the fault it is %v: %s", s.State, s.Why)
									}
								},
							})
							before, during := between(all, time.Second, begin), between(all, begin+2*time.Second, whole)
							if bad := errorsIn(during); bad*1000 >= len(during) {
								t.Errorf("%d errors in %d", bad, len(during))
							}
							if was, is := p99(before), p99(during); is > was*3/2 {
								t.Errorf("p99 %v, healthy %v", is, was)
							}
							if got := share(between(all, whole-time.Second, whole), "e0:80"); got < 0.7/float64(n) {
								t.Errorf("in the end it gets %.2f of the requests", got)
							}
						})
					})
				}
			}
		}
	}
}

// TestFlap lets one endpoint die and live again every second.
func TestFlap(t *testing.T) {
	for _, mode := range []int32{refuses, hangs, fails503} {
		synctest.Test(t, func(t *testing.T) {
			e := newEstate(t, 3, 20*time.Millisecond, Config{})
			defer e.stop()
			at := map[time.Duration]func(){}
			for s := 4; s < 24; s += 2 {
				at[time.Duration(s)*time.Second] = func() { e.instances[0].become(mode) }
				at[time.Duration(s+1)*time.Second] = func() { e.instances[0].become(healthy) }
			}
			at[33*time.Second] = func() {
				if s := e.row(0); s.State != Up {
					t.Errorf("10 s later: %+v", s)
				}
			}
			all := e.load(500, 34*time.Second, at)
			during := between(all, 6*time.Second, 34*time.Second)
			if bad := errorsIn(during); bad*1000 >= len(during) {
				t.Errorf("mode %d: %d errors in %d", mode, bad, len(during))
			}
			if d := p99(during); d > 30*time.Millisecond {
				t.Errorf("mode %d: p99 %v", mode, d)
			}
		})
	}
}

// TestAllFail breaks all endpoints: at most half of them are ejected, and when
// they are well again so are the clients, at once.
func TestAllFail(t *testing.T) {
	for _, mode := range []int32{refuses, hangs, fails500, fails503, resets} {
		for _, n := range []int{1, 2, 3, 10} {
			synctest.Test(t, func(t *testing.T) {
				e := newEstate(t, n, 5*time.Millisecond, Config{Balance: Balance{Kind: roundRobin}, TryTimeout: time.Second})
				defer e.stop()
				at := map[time.Duration]func(){
					2 * time.Second: func() {
						for _, i := range e.instances {
							i.become(mode)
						}
					},
					12 * time.Second: func() {
						for _, i := range e.instances {
							i.become(healthy)
						}
					},
				}
				most := 0
				for d := 2100 * time.Millisecond; d < 12*time.Second; d += 100 * time.Millisecond {
					at[d] = func() {
						out := 0
						for _, s := range e.Stats().Endpoints {
							if s.State == Ejected {
								out++
							}
						}
						most = max(most, out)
					}
				}
				all := e.load(200, 30*time.Second, at)
				if most > n/2 {
					t.Errorf("mode %d: %d of %d were ejected", mode, most, n)
				}
				// The breaker closes within 8.8 s, and lets few through before that.
				after := between(all, 26*time.Second, 30*time.Second)
				if bad := errorsIn(after); bad > 0 || e.Stats().Panic {
					t.Errorf("mode %d, %d endpoints: %d errors in %d: %s", mode, n, bad, len(after), e.states())
				}
			})
		}
	}
}

// TestHealthyStaysIn runs endpoints of unlike speed that all are well, with a
// fault in one route: nobody is ejected.
func TestHealthyStaysIn(t *testing.T) {
	for _, kind := range []string{peakEWMA, roundRobin} {
		synctest.Test(t, func(t *testing.T) {
			e := newEstate(t, 3, 20*time.Millisecond, Config{Balance: Balance{Kind: kind}})
			defer e.stop()
			e.instances[1].took, e.instances[2].took = 50*time.Millisecond, 60*time.Millisecond
			for _, i := range e.instances {
				i.each = func(n int64) int { // a route fails everywhere, and some answers take long
					switch {
					case n%10 == 3:
						return 500
					case n%50 == 7:
						time.Sleep(2 * time.Second)
					}
					return 200
				}
			}
			e.load(300, 20*time.Second, nil)
			if s := e.Stats(); s.Ejections != [EjectionKinds]uint64{} {
				t.Errorf("%s: ejected: %v", kind, s.Ejections)
			}
		})
	}
}

// TestSlowInNoise makes one endpoint slow whose siblings have slow moments too, so
// that the picker alone would not keep away from it.
func TestSlowInNoise(t *testing.T) {
	const begin, end, whole = 5 * time.Second, 15 * time.Second, 26 * time.Second
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 10*time.Millisecond, Config{})
		defer e.stop()
		for _, i := range e.instances {
			i.each = func(n int64) int {
				if n%40 == 0 {
					time.Sleep(time.Duration(n%7) * 10 * time.Millisecond)
				}
				return 200
			}
		}
		all := e.load(500, whole, map[time.Duration]func(){
			begin: func() { e.instances[0].become(slow10) },
			begin + 600*time.Millisecond: func() {
				if s := e.row(0); s.State != Ejected || s.Ejected.Kind != SlowAnswers {
					t.Errorf("%+v", s)
				}
			},
			end: func() { e.instances[0].become(healthy) },
		})
		was, is := p99(between(all, time.Second, begin)), p99(between(all, begin+2*time.Second, whole))
		if is > was*3/2 {
			t.Errorf("p99 %v, healthy %v", is, was)
		}
		if got := share(between(all, whole-time.Second, whole), "e0:80"); got < 0.25 {
			t.Errorf("in the end it gets %.2f of the requests", got)
		}
	})
}

// One slow answer is no reason, and neither is what is over.
func TestOneSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 4*time.Millisecond, Config{Balance: Balance{Kind: roundRobin}})
		defer e.stop()
		e.instances[0].each = func(n int64) int {
			if n == 40 || n == 80 {
				time.Sleep(4 * time.Second)
			}
			return 200
		}
		e.load(60, 10*time.Second, map[time.Duration]func(){
			6 * time.Second: func() { e.instances[1].become(slow10) }, // 36 ms more are not enough
			8 * time.Second: func() { e.instances[1].become(healthy) },
		})
		if s := e.Stats(); s.Ejections != [EjectionKinds]uint64{} {
			t.Errorf("ejected: %v", s.Ejections)
		}
	})
}

// TestStallFreesRequests lets one endpoint hang: what can be sent again is
// answered by another long before its try is over, what can't waits on.
func TestStallFreesRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 5*time.Millisecond, Config{Balance: Balance{Kind: roundRobin}})
		defer e.stop()
		e.load(100, 2*time.Second, nil)
		e.instances[2].become(hangs)
		post := make(chan error)
		go func() {
			var err error
			for range 3 { // one of three meets it
				r := withBody(request("POST", "/"), "x")
				if resp, failed := e.Do(r); failed != nil {
					err = failed
				} else {
					resp.Release()
				}
			}
			post <- err
		}()
		moved := 0
		for _, o := range e.load(100, 2*time.Second, nil) {
			if o.bad || o.took > 1300*time.Millisecond {
				t.Errorf("%+v", o)
			}
			if o.attempts > 1 {
				moved++
			}
		}
		if moved < 3 {
			t.Errorf("%d requests were moved", moved)
		}
		if s := e.row(2); s.State != Ejected || s.Ejected.Kind != Stalled {
			t.Errorf("%+v", s)
		}
		wantProblem(t, <-post, 504, "head_timeout")
	})
}

// TestOneTrial counts what an ejected endpoint gets: one request when its time
// is over, and again when that failed.
func TestOneTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 5*time.Millisecond, Config{})
		defer e.stop()
		e.load(100, time.Second, nil)
		ep := e.Endpoints()[1]
		if !e.eject(ep, GatewayErrors, "a test") {
			t.Fatal("not ejected")
		}
		e.instances[1].become(hangs)
		tries := e.instances[1].tries.Load()
		var trials []outcome
		for range 40 { // 20 s: after 2, 4, 8 s
			for _, o := range e.load(200, 500*time.Millisecond, nil) {
				if o.bad {
					t.Errorf("%+v", o)
				}
				if o.attempts > 1 {
					trials = append(trials, o)
				}
			}
		}
		if n := e.instances[1].tries.Load() - tries; n != 3 || len(trials) != 3 {
			t.Errorf("%d requests reached it, %d were sent twice", n, len(trials))
		}
		for _, o := range trials {
			if o.took > 300*time.Millisecond {
				t.Errorf("a trial cost its client %v", o.took)
			}
		}
		if s := e.row(1); s.Ejected == nil || s.Ejected.Times != 4 || s.Ejected.Until.Sub(s.Ejected.At) < 14*time.Second {
			t.Errorf("%+v", s.Ejected)
		}
		e.instances[1].become(healthy)
		e.load(200, 9*time.Second, nil)
		if s := e.row(1); s.State != Up {
			t.Errorf("%+v", s)
		}
	})
}

// TestTrialByPost brings an endpoint back to a service that is only posted to.
func TestTrialByPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 2, 5*time.Millisecond, Config{})
		defer e.stop()
		post := func() {
			t.Helper()
			resp, err := e.Do(withBody(request("POST", "/"), "x"))
			if err != nil {
				t.Fatal(err)
			}
			resp.MarkComplete()
			resp.Release()
		}
		for range 50 {
			post()
		}
		time.Sleep(2 * time.Second)
		e.eject(e.Endpoints()[0], GatewayErrors, "a test")
		e.instances[0].took = time.Second // too slow to return, but whoever waits gets the answer
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			post()
		}
		if s := e.row(0); s.State != Ejected || s.Ejected.Times != 2 || !strings.Contains(s.Ejected.Detail, "it took 1s") {
			t.Fatalf("%+v", s.Ejected)
		}
		e.instances[0].took = 5 * time.Millisecond
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			post()
		}
		if s := e.row(0); s.State != Ejected {
			t.Fatalf("a post was risked early: %+v", s)
		}
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			post()
		}
		if s := e.row(0); s.State != Up {
			t.Fatalf("%+v", s.Ejected)
		}
	})
}

// TestPassedOver fails two requests at one endpoint, too few for an ejection: the
// picker shuns it, and a trial brings it back.
func TestPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 20*time.Millisecond, Config{})
		defer e.stop()
		e.load(100, 2*time.Second, nil)
		ep := e.Endpoints()[0]
		for range 2 {
			e.balancer.record(ep, time.Millisecond, time.Since(e.born), false)
		}
		e.instances[0].become(fails500)
		all := e.load(100, 9*time.Second, nil)
		if n := errorsIn(all); n > 0 {
			t.Errorf("%d errors", n)
		}
		if n := share(all, "e0:80"); n > 0 {
			t.Errorf("a trial's failure reached a client: %v", n)
		}
		e.instances[0].become(healthy)
		all = e.load(100, 12*time.Second, nil)
		if n := share(between(all, 10*time.Second, 12*time.Second), "e0:80"); n < 0.2 {
			t.Errorf("it gets %.2f of the requests", n)
		}
	})
}
