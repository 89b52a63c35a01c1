// Command bench compares maru with nginx, HAProxy and Caddy, side by side in
// one run, and writes the table in docs/benchmarks.md.
//
// The flow: it builds maru, starts one backend (nginx, and a WebSocket echo of
// its own) and, scenario by scenario, every proxy in front of it. A scenario is
// played in rounds: each round gives every proxy its turn, so that what else the
// machine does falls on all of them. What counts is the CPU time of the proxy's
// processes (user + system) per request, as the median over the rounds; requests
// per second and latency depend on what is left of the machine for the proxy
// when client and backend share it.
//
// Everything is on loopback, bounded in count and time, and stops with it.
//
//	go run ./bench                       all scenarios, 7 rounds, the table
//	go run ./bench -only plain-64,tls -rounds 3 -no-write
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are what the command line says.
type settings struct {
	rounds   int
	duration time.Duration
	only     []string
	proxies  []string
	out      string // folder for binaries, configurations and logs
	report   string // file that gets the table; "" means none
	maru     string // binary; "" builds it
}

func main() {
	var s settings
	only := flag.String("only", "", "comma-separated scenarios; default all")
	proxies := flag.String("proxies", "", "comma-separated proxies; default all that are installed")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds a scenario")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "time of one proxy's turn in a round")
	flag.StringVar(&s.out, "out", "bench/out", "folder for binaries, configurations and logs")
	flag.StringVar(&s.report, "report", "docs/benchmarks.md", "file that gets the table")
	flag.StringVar(&s.maru, "maru", "", "maru binary; default builds ./cmd/maru")
	noWrite := flag.Bool("no-write", false, "print the table only")
	flag.Parse()
	s.only, s.proxies = list(*only), list(*proxies)
	if *noWrite {
		s.report = ""
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// run plays all scenarios and reports.
func run(ctx context.Context, s *settings) error {
	out, err := filepath.Abs(s.out)
	if err != nil {
		return fmt.Errorf("find folder %s: %w", s.out, err)
	}
	s.out = out
	if err := os.MkdirAll(s.out, 0o755); err != nil { //nolint:gosec // results are for everybody
		return fmt.Errorf("make folder: %w", err)
	}
	b := &bench{settings: s}
	defer b.close()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var results []result
	for _, sc := range scenarios() {
		if len(s.only) > 0 && !slices.Contains(s.only, sc.name) {
			continue
		}
		r, err := b.play(ctx, sc)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", sc.name, err)
		}
		printResult(os.Stdout, r)
		results = append(results, r)
	}
	return writeReport(s, results)
}
