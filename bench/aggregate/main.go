// Command aggregate compares maru's views with the same aggregation written by
// hand in Go, side by side in one run.
//
// The flow: nginx answers for the services with fixed bodies; maru serves views
// over them; this program, started as a child, serves the same paths by net/http and
// encoding/json, written as a good engineer would (hand.go). The answers are compared
// first. Then wrk loads the two in turn (ABBA), and the CPU time of each process
// (user + system) per request counts, as the median over the rounds.
//
//	go run ./bench/aggregate
//	go run ./bench/aggregate -rounds 3 -duration 1s
//
// Everything is on loopback, bounded in count and time, and stops with it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

type settings struct {
	rounds   int
	duration time.Duration
	maru     string
}

func main() {
	var s settings
	hand := flag.String("hand", "", "serve the hand-written aggregation on this address (the child)")
	services := flag.String("services", "", "address of the services (the child)")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds")
	flag.DurationVar(&s.duration, "duration", 2*time.Second, "time of one turn")
	flag.StringVar(&s.maru, "maru", "", "maru binary; default builds ./cmd/maru")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *hand != "" {
		err = serveByHand(ctx, *hand, *services)
	} else {
		err = run(ctx, &s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/aggregate:", err)
		os.Exit(1)
	}
}

// paths are what is compared, with what it is.
func paths() [][2]string {
	return [][2]string{
		{"/merge", "three answers of 1 KB under their names"},
		{"/list", "a list of 20 joined with its owners by key"},
		{"/screen", "five services cut to what a screen shows, one depending on another"},
	}
}

func run(ctx context.Context, s *settings) error {
	dir, err := os.MkdirTemp("", "maru-bench-aggregate-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system's temporary folder
	if s.maru == "" {
		s.maru = filepath.Join(dir, "maru")
		build := exec.CommandContext(ctx, "go", "build", "-o", s.maru, "./cmd/maru")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build maru: %w", err)
		}
	}
	e, err := startEstate(ctx, dir, s.maru)
	if err != nil {
		return err
	}
	defer e.stop()
	for _, p := range paths() {
		if err := e.same(ctx, p[0]); err != nil {
			return err
		}
	}
	fmt.Printf("%-10s %-68s %12s %12s %8s %10s %10s\n", "path", "what", "hand µs/req", "maru µs/req", "ratio", "hand p99", "maru p99")
	for _, p := range paths() {
		if err := e.compare(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}

// sample is one turn of one server.
type sample struct {
	cpu float64 // microseconds a request
	p99 time.Duration
}

// compare plays the rounds of one path and prints its row.
func (e *estate) compare(ctx context.Context, s *settings, p [2]string) error {
	var hand, maru []sample
	for i := range s.rounds + 1 {
		order := []*server{e.hand, e.maru}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, srv := range order {
			one, err := srv.turn(ctx, p[0], s.duration)
			if err != nil {
				return err
			}
			switch {
			case i == 0: // to warm up
			case srv == e.hand:
				hand = append(hand, one)
			default:
				maru = append(maru, one)
			}
		}
	}
	h, m := median(hand), median(maru)
	fmt.Printf("%-10s %-68s %12.1f %12.1f %8.2f %10s %10s\n", p[0], p[1], h.cpu, m.cpu, m.cpu/h.cpu, h.p99, m.p99)
	return nil
}

func median(all []sample) sample {
	byCPU := slices.Clone(all)
	slices.SortFunc(byCPU, func(a, b sample) int { return compareFloat(a.cpu, b.cpu) })
	byP99 := slices.Clone(all)
	slices.SortFunc(byP99, func(a, b sample) int { return int(a.p99 - b.p99) })
	return sample{byCPU[len(all)/2].cpu, byP99[len(all)/2].p99}
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
