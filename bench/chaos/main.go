// Command chaos breaks services behind maru, HAProxy and nginx, side by side,
// and writes what their clients noticed into docs/chaos.md.
//
// The flow: a child process holds the backends, three for each proxy, which
// answer in about 10 ms and can be told to hang, to fail, to be slow, to refuse
// connections, or to do only so much at a time. In front of them stands maru
// with its default configuration, and each of the others as a good operator
// would write it. All proxies get the same load in the same seconds, from a
// generator that fires at a constant rate, whatever the answers do, and counts
// time from when a request was due. A scenario is healthy for a while, then has
// its fault, then recovers; the bars are printed beside the figures.
//
// Everything is on loopback, bounded in count and time, and ends with it.
//
//	go run ./bench/chaos                            all scenarios, docs/chaos.md
//	go run ./bench/chaos -only hang,500 -no-write   two of them, printed
//	go run ./bench/chaos -only down -fault 4s -recovery 6s -proxies maru -look
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are what the command line says.
type settings struct {
	only, proxies            []string
	rate, capacity           float64
	healthy, fault, recovery time.Duration
	overload                 time.Duration
	rounds, tries            int
	port                     int
	out, report, maru        string
	json, look               bool
}

func main() {
	var s settings
	only := flag.String("only", "", "comma-separated scenarios; default all")
	proxies := flag.String("proxies", "", "comma-separated proxies; default all that are installed")
	flag.Float64Var(&s.rate, "rate", 500, "requests a second to each proxy, up to 2000")
	flag.Float64Var(&s.capacity, "capacity", 300, "requests a second that the overloaded service can do; four times as many come")
	flag.DurationVar(&s.healthy, "healthy", 5*time.Second, "time before the fault")
	flag.DurationVar(&s.fault, "fault", 10*time.Second, "time of the fault")
	flag.DurationVar(&s.recovery, "recovery", 12*time.Second, "time after the fault")
	flag.DurationVar(&s.overload, "overload", 30*time.Second, "time of the overload")
	flag.IntVar(&s.rounds, "rounds", 1, "rounds of each scenario; the medians are reported")
	flag.IntVar(&s.tries, "tries", 3, "times that a round is played while something else keeps the machine busy; the calmest counts")
	flag.IntVar(&s.port, "port", 24000, "first of 100 loopback ports for proxies and backends")
	flag.StringVar(&s.out, "out", "bench/out/chaos", "folder for binaries, configurations and logs")
	flag.StringVar(&s.report, "report", "docs/chaos.md", "file that gets the tables")
	flag.StringVar(&s.maru, "maru", "", "maru binary; default builds ./cmd/maru")
	flag.BoolVar(&s.json, "json", false, "print the figures as JSON, and write no report")
	flag.BoolVar(&s.look, "look", false, "print what maru says of its service at the end of each fault")
	noWrite := flag.Bool("no-write", false, "print only")
	crew := flag.Bool("crew", false, "hold the backends, as a child of this command")
	flag.Parse()
	s.only, s.proxies = list(*only), list(*proxies)
	if *noWrite || s.json {
		s.report = ""
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	work := func() error { return run(ctx, &s) }
	if *crew {
		work = func() error { return serveCrew(ctx, os.Stdin, os.Stdout) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// check refuses what would not be bounded.
func (s *settings) check() error {
	const longest = 2 * time.Minute
	switch {
	case !(s.rate >= 10 && s.rate <= 2000):
		return fmt.Errorf("-rate %v is not between 10 and 2000", s.rate)
	case !(s.capacity >= 50 && s.capacity <= 1000):
		return fmt.Errorf("-capacity %v is not between 50 and 1000", s.capacity)
	case max(s.healthy, s.fault, s.recovery, s.overload) > longest:
		return fmt.Errorf("no phase is longer than %v", longest)
	case s.healthy < 2*time.Second || s.fault < 3*time.Second || s.recovery < 3*time.Second || s.overload < 3*time.Second:
		return errors.New("-healthy is 2s at least, the other phases 3s")
	case s.rounds < 1 || s.rounds > 20 || s.tries < 1 || s.tries > 20:
		return errors.New("-rounds and -tries are between 1 and 20")
	}
	for _, name := range s.only {
		if !slices.ContainsFunc(scenarios(s), func(sc scenario) bool { return sc.name == name }) {
			return fmt.Errorf("there is no scenario %q", name)
		}
	}
	return nil
}

// run plays all scenarios and reports.
func run(ctx context.Context, s *settings) error {
	if err := s.check(); err != nil {
		return err
	}
	out, err := filepath.Abs(s.out)
	if err != nil {
		return fmt.Errorf("find folder %s: %w", s.out, err)
	}
	s.out = out
	if err := os.MkdirAll(filepath.Join(s.out, "tmp"), 0o755); err != nil { //nolint:gosec // results are for everybody
		return fmt.Errorf("make folder: %w", err)
	}
	if s.maru == "" {
		s.maru = filepath.Join(s.out, "maru")
		if text, err := exec.CommandContext(ctx, "go", "build", "-o", s.maru, "./cmd/maru").CombinedOutput(); err != nil {
			return fmt.Errorf("build maru: %w: %s", err, text)
		}
	}
	var results []result
	for _, sc := range scenarios(s) {
		if len(s.only) > 0 && !slices.Contains(s.only, sc.name) {
			continue
		}
		r, err := s.play(ctx, sc)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", sc.name, err)
		}
		results = append(results, r)
		if !s.json {
			r.print(os.Stdout)
		}
	}
	if s.json {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(results)
	}
	return writeReport(ctx, s, results)
}
