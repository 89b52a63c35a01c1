package resilience_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/maru-msa/maru/resilience"
)

// A breaker around a call that fails.
func ExampleBreaker() {
	b := resilience.NewBreaker(resilience.BreakerConfig{Volume: 3})
	call := func() error { return errors.New("no answer") }
	for range 5 {
		p, ok := b.Allow()
		if !ok {
			fmt.Println("not called")
			continue
		}
		if err := call(); err != nil {
			p.Done(resilience.Failure)
			fmt.Println(err)
			continue
		}
		p.Done(resilience.Success)
	}
	fmt.Println(b.Stats().State)
	// Output:
	// no answer
	// no answer
	// no answer
	// not called
	// not called
	// open
}

// Hystrix' numbers instead of our own.
func ExampleHystrix() {
	b := resilience.NewBreaker(resilience.Hystrix())
	b.SetMode(resilience.ForcedOpen)
	_, ok := b.Allow()
	fmt.Println(ok, b.Wait())
	// Output: false 5s
}

// Retries that share a budget.
func ExampleRetry() {
	retry := resilience.NewRetry(resilience.RetryConfig{Attempts: 3, Float: func() float64 { return 1 }})
	budget := resilience.NewBudget(resilience.BudgetConfig{})
	budget.Enter()
	defer budget.Leave()
	for attempts := 1; ; attempts++ {
		wait, again := retry.Next(attempts, 0, time.Second)
		if !again || !budget.Take() {
			fmt.Println("given up after", attempts)
			return
		}
		fmt.Println("once more after", wait)
		budget.Give()
	}
	// Output:
	// once more after 25ms
	// once more after 50ms
	// given up after 3
}

// A bulkhead with room for one, and none to wait.
func ExampleBulkhead() {
	b := resilience.NewBulkhead(resilience.BulkheadConfig{Limit: 1, Queue: -1})
	fmt.Println(b.Enter(nil, time.Second))
	fmt.Println(b.Enter(nil, time.Second))
	b.Leave()
	// Output:
	// <nil>
	// too many calls are waiting
}

// A limit that moves a bulkhead.
func ExampleLimit() {
	limit := resilience.NewLimit(resilience.LimitConfig{Initial: 80})
	b := resilience.NewBulkhead(resilience.BulkheadConfig{Limit: limit.Limit()})
	if b.Enter(nil, time.Second) == nil {
		limit.Begin()
		limit.Done(resilience.Success, 12*time.Millisecond)
		b.SetLimit(limit.Limit())
		b.Leave()
	}
	fmt.Println(b.Stats().Limit)
	// Output: 80
}

// A second call once the first takes longer than most.
func ExampleHedge() {
	h := resilience.NewHedge(resilience.HedgeConfig{Samples: 3})
	for range 3 {
		h.Observe(10 * time.Millisecond)
	}
	d, ok := h.Delay()
	fmt.Println(d.Round(time.Millisecond), ok)
	// Output: 10ms true
}

// What is left of a call's time, for the next hop.
func ExampleAppendGRPC() {
	fmt.Printf("%s %s\n", resilience.AppendGRPC(nil, 1500*time.Microsecond), resilience.AppendMillis(nil, 1500*time.Microsecond))
	// Output: 1500000n 1
}

// What the last ten seconds held.
func ExampleWindow() {
	w := resilience.NewWindow(resilience.WindowConfig{Latency: true})
	w.Record(resilience.Success, 20*time.Millisecond)
	w.Record(resilience.Timeout, time.Second)
	c := w.Counts()
	fmt.Println(c.Errors(), c.Total(), c.ErrorPercent())
	// Output: 1 2 50
}
