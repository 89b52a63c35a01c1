package filter

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestBulkheadConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "bulkhead", [][2]string{
		{"0", "limit"}, {"many", "limit"}, {`{"limit": "5", "max": 9}`, "min"}, {`{"min": 5, "max": 4}`, "max"}, {`{"queue": -2}`, "queue"},
	})
	if f, err := new(Bulkhead).Filter(Bare()); err == nil || f != nil {
		t.Error("a bulkhead that guards nothing was taken")
	}
	takes(t, "bulkhead", "", "auto", "100", `{"limit": "10", "queue": -1}`, `{"min": 1, "max": 5}`)
}

// bulkheaded is a chain with a limit of 2 and one that waits.
func bulkheaded(t *testing.T, last Func) (Func, map[string]int) {
	t.Helper()
	env, counts := Bare(), map[string]int{}
	env.To = "shop"
	env.Count = func(_, reason string) { counts[reason]++ }
	f, err := (&Bulkhead{Limit: "2", Queue: 1}).Filter(env)
	if err != nil {
		t.Fatal(err)
	}
	return f(last), counts
}

// A place is held until the response is released, not only until its head.
func TestBulkheadHoldsUntilRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		released := 0
		chain, counts := bulkheaded(t, func(r *message.Request) (*message.Response, error) {
			resp, err := reply(r)
			if r.Path == "/owned" {
				resp.Owner = ownerFunc(func() { released++ })
			}
			return resp, err
		})
		call := func(path string) (*message.Response, error) {
			r := ask("GET", path)
			r.X.Deadline = time.Now().Add(4 * time.Second)
			return chain(r)
		}
		one, err1 := call("/owned")
		two, err2 := call("/local")
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		done := make(chan error, 2)
		go func() { _, err := call("/waits"); done <- err }()
		synctest.Wait()
		if _, err := call("/full"); problem.Of(err).Reason != "bulkhead_full" || problem.Of(err).RetryAfter != time.Second {
			t.Error(err)
		}
		one.Release()
		if err := <-done; err != nil || released != 1 {
			t.Errorf("%v, %d released", err, released)
		}
		began := time.Now()
		if _, err := call("/late"); problem.Of(err).Reason != "bulkhead_full" || time.Since(began) != time.Second {
			t.Errorf("%v after %v, a quarter of its time", err, time.Since(began))
		}
		two.Release()
		if resp, err := call("/again"); err != nil {
			t.Error(err)
		} else {
			resp.Release()
		}
		if counts["full"] != 1 || counts["waited"] != 1 || counts["waited_in_vain"] != 1 {
			t.Error(counts)
		}
	})
}

// A client that leaves while it waits, and a panic, leave no place taken.
func TestBulkheadGivesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain, _ := bulkheaded(t, func(r *message.Request) (*message.Response, error) {
			if r.Path == "/panic" {
				panic("behind it")
			}
			return reply(r)
		})
		for range 5 {
			func() {
				defer func() { _ = recover() }()
				_, _ = chain(ask("GET", "/panic"))
			}()
		}
		one, _ := chain(ask("GET", "/"))
		two, _ := chain(ask("GET", "/"))
		r := ask("GET", "/")
		time.AfterFunc(100*time.Millisecond, func() { r.X.Cancel(message.ErrClientGone) })
		began := time.Now()
		if _, err := chain(r); err == nil || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		one.Release()
		two.Release()
		if resp, err := chain(ask("GET", "/")); err != nil {
			t.Error(err)
		} else {
			resp.Release()
		}
	})
}
