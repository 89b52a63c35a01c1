// Command registry measures what maru's registry takes: CPU and memory with many
// instances that renew, with clients that poll deltas, and while statuses change
// steadily; and how long a status change takes until the gateway picks by it.
//
//	go run ./bench/registry -maru ./maru
//	go run ./bench/registry -maru ./maru -instances 100000 -services 5000
//
// The flow: [newChild] starts the binary on loopback with a registry, and a
// gateway whose one service follows it; [load] registers the instances and then
// renews each once in 30 s over kept connections, as clients do; each phase of
// [measure.run] reads the child's CPU time and memory from /proc before and
// after. Everything is over in about half a minute. The client runs on the same
// machine, and its CPU time is not counted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	var m measure
	flag.StringVar(&m.maru, "maru", "./maru", "binary to measure")
	flag.IntVar(&m.instances, "instances", 10_000, "instances")
	flag.IntVar(&m.services, "services", 500, "services that they belong to")
	flag.DurationVar(&m.phase, "phase", 7*time.Second, "time of each phase")
	flag.IntVar(&m.changes, "changes", 300, "most status changes in a row")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := m.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

// measure is one run.
type measure struct {
	maru                         string
	instances, services, changes int
	phase                        time.Duration
}

// run takes the phases one after another and prints a line about each.
func (m *measure) run(ctx context.Context) error {
	c, err := newChild(ctx, m.maru)
	if err != nil {
		return err
	}
	defer c.stop()
	l := &load{base: "http://" + c.registry + "/eureka", instances: m.instances, services: m.services}
	begun := time.Now()
	if err := c.phase("register all", func() error { return l.registerAll(ctx) }); err != nil {
		return err
	}
	fmt.Printf("  %d instances of %d services in %.1f s\n", m.instances, m.services, time.Since(begun).Seconds())

	rate := float64(m.instances) / 30
	for _, p := range []struct {
		name         string
		renew, polls float64
	}{
		{"renewals", rate, 0},
		{"renewals, deltas polled", rate, rate},
	} {
		err := c.phase(fmt.Sprintf("%.0f/s %s", rate, p.name), func() error { return l.during(ctx, m.phase, p.renew, p.polls, nil) })
		if err != nil {
			return err
		}
	}
	for _, format := range []string{"application/json", "application/xml"} {
		first, second, size, err := l.listing(ctx, format)
		if err != nil {
			return err
		}
		fmt.Printf("  full listing, %s, packed: %.1f MB, first %v, built before %v\n", format, float64(size)/1e6, first, second)
	}
	w, err := newWitness(ctx, c, l)
	if err != nil {
		return err
	}
	defer w.close()
	err = c.phase(fmt.Sprintf("%.0f/s renewals, 100/s deltas polled, statuses change", rate), func() error {
		return l.during(ctx, m.phase, rate, 100, func(ctx context.Context) error { return w.change(ctx, m.changes) })
	})
	w.print()
	return err
}
