package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// printResult prints one scenario as a table.
func printResult(w io.Writer, r result) {
	fmt.Fprintf(w, "\n%s: %s\n", r.scenario.name, r.scenario.what) //nolint:errcheck // to a terminal
	for _, row := range rows(r) {
		fmt.Fprintf(w, "  %-14s %12s %8s %10s %10s %10s %10s %s\n", row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7]) //nolint:errcheck // to a terminal
	}
}

// rows are the cells of a scenario: name, CPU a request, ratio of maru to it,
// requests a second, p50, p99, memory, faults.
func rows(r result) [][8]string {
	var out [][8]string
	base := r.runners[0]
	for i, p := range r.runners {
		row := [8]string{p.name, "", "", "", "", "", fmt.Sprintf("%.1f MB", float64(p.memory)/(1<<20)), ""}
		mine, theirs := float64(median(base.perRequest)), float64(median(p.perRequest))
		if r.scenario.memory {
			mine, theirs = float64(base.memory), float64(p.memory)
		} else {
			row[1] = fmt.Sprintf("%.2f µs", theirs/1e3)
			row[3] = fmt.Sprintf("%.0f/s", median(p.rate))
		}
		if r.scenario.variant != "" { // the variant against plain
			mine, theirs = theirs, mine
		}
		if i > 0 && theirs > 0 {
			row[2] = fmt.Sprintf("%.2f", mine/theirs)
		}
		if p50 := median(p.p50); p50 > 0 {
			row[4], row[5] = shown(p50), shown(median(p.p99))
		}
		if p.failed > 0 {
			row[7] = fmt.Sprintf("%d failed", p.failed)
		}
		out = append(out, row)
	}
	return out
}

func shown(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return fmt.Sprintf("%.2f ms", float64(d)/1e6)
}

// writeReport writes the tables into the report.
func writeReport(s *settings, results []result) error {
	if s.report == "" || len(results) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

Written by `+"`make bench`"+` (`+"`go run ./bench`"+`) on %s, %d processors, %s/%s, %s.
Client, backend and proxy share the machine, on loopback. %d rounds of %s a proxy and scenario, interleaved; medians.

*CPU* is the user and system time of the proxy's processes divided by the requests they served. *Ratio* is maru's CPU
(or memory) divided by that proxy's: under 1 means that maru needs less. Where maru is compared with its own plain
configuration, the ratio is that of the variant. *Memory* is the peak resident size over the scenario, for idle
connections the resident size while they are held.

`, time.Now().UTC().Format("2 January 2006"), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), s.rounds, s.duration)
	for _, p := range proxies(s.maru) {
		if v := versionOf(context.Background(), p); v != "" {
			fmt.Fprintf(&b, "- %s: %s\n", p.name, v)
		}
	}
	for _, r := range results {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n| proxy | CPU | ratio | rate | p50 | p99 | memory | |\n| --- | --: | --: | --: | --: | --: | --: | --- |\n", r.scenario.name, upper(r.scenario))
		for _, row := range rows(r) {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row[:], " | "))
		}
	}
	if err := os.WriteFile(s.report, []byte(b.String()), 0o644); err != nil { //nolint:gosec // documentation
		return fmt.Errorf("write report: %w", err)
	}
	fmt.Println("\nwrote", s.report)
	return nil
}

// upper is the sentence that tells what is measured.
func upper(sc scenario) string {
	unit := sc.unit
	if unit == "" {
		unit = "request"
	}
	text := strings.ToUpper(sc.what[:1]) + sc.what[1:]
	if sc.memory {
		return text
	}
	return text + "; CPU per " + unit
}
