package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figures are what one proxy's clients noticed in one scenario.
type figures struct {
	Proxy string `json:"proxy"`
	// Calls and Failed are of the fault and the recovery together, LateCalls and
	// LateFailed of the fault from two seconds on.
	Calls      int `json:"calls"`
	Failed     int `json:"failed"`
	LateCalls  int `json:"late_calls"`
	LateFailed int `json:"late_failed"`
	// Times in nanoseconds; Recovery and Open are -1 when they never came.
	P50      time.Duration `json:"healthy_p50"`
	P99      time.Duration `json:"healthy_p99"`
	LateP50  time.Duration `json:"late_p50"`
	LateP99  time.Duration `json:"late_p99"`
	Recovery time.Duration `json:"recovery"`
	// Attempts are what reached the backends per call, over the fault, and in
	// its worst second.
	Attempts      float64 `json:"attempts"`
	WorstAttempts float64 `json:"worst_attempts"`
	// Of a service that is wholly down: when next to nothing was sent to it any
	// more, how many other answers clients got, how the service beside it did.
	Open       time.Duration `json:"open"`
	Fallback   int           `json:"fallback"`
	OtherP99   time.Duration `json:"other_healthy_p99"`
	OtherLate  time.Duration `json:"other_late_p99"`
	OtherFails int           `json:"other_failed"`
	// Of an overload: what was answered well a second, against what can be done,
	// and how many of the important calls were not.
	Goodput  float64 `json:"goodput"`
	HighLost float64 `json:"high_lost"`
	// Generator is the share of a core that the load took.
	Generator float64 `json:"generator"`
	// Late is how late one call in a hundred left: what else the machine did.
	Late time.Duration `json:"late"`
}

// figures sums up what a proxy's clients noticed.
func (s *settings) figures(r *runner, p phases, a attempts) figures {
	calls := r.web.calls
	healthy, late := count(calls, p.healthy, p.fault), count(calls, p.late(), p.healed)
	whole := count(calls, p.fault, p.end)
	f := figures{
		Proxy: r.name, Calls: whole.calls, Failed: whole.failed, LateCalls: late.calls, LateFailed: late.failed,
		P50: healthy.p50, P99: healthy.p99, LateP50: late.p50, LateP99: late.p99, Fallback: whole.fallback,
		Recovery: recovered(calls, p, healthy.p99), WorstAttempts: a.worst(calls, p.fault, p.healed), Open: never, Late: lateness(calls),
	}
	fault := count(calls, p.fault, p.healed)
	f.Attempts = float64(a.between(p.fault, p.healed)) / float64(max(fault.calls, 1))
	if r.place.sc.all {
		f.Open = a.quiet(p, s.rate)
	}
	if r.other != nil {
		before, during := count(r.other.calls, p.healthy, p.fault), count(r.other.calls, p.fault, p.healed)
		f.OtherP99, f.OtherLate, f.OtherFails = before.p99, during.p99, during.failed
	}
	if c := r.place.sc.capacity(); c > 0 {
		good := fault.calls - fault.failed - fault.fallback
		f.Goodput = float64(good) / (p.healed - p.fault).Seconds() / c
		high := count(ofKind(calls, kindHigh), p.fault, p.healed)
		f.HighLost = float64(high.failed+high.fallback) / float64(max(high.calls, 1))
		f.LateP50, f.LateP99 = fault.p50, fault.p99
	}
	return f
}

// middle is the median of what the rounds gave for one measure.
func middle[T cmp.Ordered](rounds []figures, of func(*figures) T) T {
	var all []T
	for i := range rounds {
		all = append(all, of(&rounds[i]))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// medians gives the medians of each proxy over the rounds. A recovery that
// never came in some round counts as the longest.
func (r *result) medians() []figures {
	var out []figures
	for i := range r.Rounds[0] {
		var all []figures
		for _, round := range r.Rounds {
			all = append(all, round[i])
		}
		out = append(out, medianOf(all))
	}
	return out
}

func medianOf(all []figures) figures {
	late := func(d time.Duration) time.Duration {
		if d == never {
			return time.Hour
		}
		return d
	}
	came := func(d time.Duration) time.Duration {
		if d == time.Hour {
			return never
		}
		return d
	}
	return figures{
		Proxy:         all[0].Proxy,
		Calls:         middle(all, func(f *figures) int { return f.Calls }),
		Failed:        middle(all, func(f *figures) int { return f.Failed }),
		LateCalls:     middle(all, func(f *figures) int { return f.LateCalls }),
		LateFailed:    middle(all, func(f *figures) int { return f.LateFailed }),
		P50:           middle(all, func(f *figures) time.Duration { return f.P50 }),
		P99:           middle(all, func(f *figures) time.Duration { return f.P99 }),
		LateP50:       middle(all, func(f *figures) time.Duration { return f.LateP50 }),
		LateP99:       middle(all, func(f *figures) time.Duration { return f.LateP99 }),
		Recovery:      came(middle(all, func(f *figures) time.Duration { return late(f.Recovery) })),
		Attempts:      middle(all, func(f *figures) float64 { return f.Attempts }),
		WorstAttempts: middle(all, func(f *figures) float64 { return f.WorstAttempts }),
		Open:          came(middle(all, func(f *figures) time.Duration { return late(f.Open) })),
		Fallback:      middle(all, func(f *figures) int { return f.Fallback }),
		OtherP99:      middle(all, func(f *figures) time.Duration { return f.OtherP99 }),
		OtherLate:     middle(all, func(f *figures) time.Duration { return f.OtherLate }),
		OtherFails:    middle(all, func(f *figures) int { return f.OtherFails }),
		Goodput:       middle(all, func(f *figures) float64 { return f.Goodput }),
		HighLost:      middle(all, func(f *figures) float64 { return f.HighLost }),
		Generator:     middle(all, func(f *figures) float64 { return f.Generator }),
		Late:          middle(all, func(f *figures) time.Duration { return f.Late }),
	}
}

// columns and cells are the table of a scenario.
func (r *result) columns() []string {
	switch {
	case r.sc.workers > 0:
		return []string{"proxy", "goodput / capacity", "unloaded p50", "unloaded p99", "accepted p50", "accepted p99", "ratio", "important ones lost", "attempts"}
	case r.sc.all:
		return []string{"proxy", "left alone after", "errors", "fallbacks", "attempts", "worst second", "recovery", "other service p99", "during the fault", "ratio"}
	}
	return []string{"proxy", "failed", "from 2 s on", "healthy p50", "healthy p99", "p99 from 2 s on", "ratio", "recovery", "attempts"}
}

func (r *result) cells(f *figures) []string {
	switch {
	case r.sc.workers > 0:
		return []string{
			f.Proxy, percent(f.Goodput, 0), millis(f.P50), millis(f.P99), millis(f.LateP50), millis(f.LateP99), ratio(f.LateP99, f.P99),
			percent(f.HighLost, 1), fmt.Sprintf("%.2f", f.Attempts),
		}
	case r.sc.all:
		return []string{
			f.Proxy, seconds(f.Open), strconv.Itoa(f.Failed), strconv.Itoa(f.Fallback), fmt.Sprintf("%.2f", f.Attempts),
			fmt.Sprintf("%.2f", f.WorstAttempts), seconds(f.Recovery), millis(f.OtherP99), millis(f.OtherLate), ratio(f.OtherLate, f.OtherP99),
		}
	}
	return []string{
		f.Proxy, fmt.Sprintf("%d of %d", f.Failed, f.Calls), percent(share(f.LateFailed, f.LateCalls), 2), millis(f.P50), millis(f.P99),
		millis(f.LateP99), ratio(f.LateP99, f.P99), seconds(f.Recovery), fmt.Sprintf("%.2f", f.Attempts),
	}
}

func share(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

func percent(v float64, digits int) string { return fmt.Sprintf("%.*f %%", digits, 100*v) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func ratio(a, b time.Duration) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

func seconds(d time.Duration) string {
	if d == never {
		return "never"
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// bar is one thing that maru is to reach.
type bar struct {
	what string
	seen string
	pass bool
}

func (b bar) String() string {
	word := "pass"
	if !b.pass {
		word = "FAIL"
	}
	return fmt.Sprintf("%s: %s: %s", b.what, b.seen, word)
}

// bars judges maru's figures beside those of the others.
func (r *result) bars(all []figures) []bar {
	i := slices.IndexFunc(all, func(f figures) bool { return f.Proxy == "maru" })
	if i < 0 {
		return nil
	}
	m := &all[i]
	times := func(a, b time.Duration, most float64) bool { return float64(a) <= most*float64(b) }
	soon := func(d, most time.Duration) bool { return d != never && d <= most }
	switch {
	case r.sc.workers > 0:
		return []bar{
			{"goodput at least 90 % of capacity", percent(m.Goodput, 0), m.Goodput >= 0.9},
			{"accepted p99 at most 3 × unloaded", ratio(m.LateP99, m.P99), times(m.LateP99, m.P99, 3)},
			{"important requests lost under 1 %", percent(m.HighLost, 2), m.HighLost < 0.01},
		}
	case r.sc.all:
		out := []bar{
			{"fallback served", strconv.Itoa(m.Fallback), m.Fallback > 0},
			{"attempts at most 1.2 × requests in every second", fmt.Sprintf("%.2f", m.WorstAttempts), m.WorstAttempts <= 1.2},
			{"other service's p99 at most 1.1 ×", ratio(m.OtherLate, m.OtherP99), times(m.OtherLate, m.OtherP99, 1.1)},
			{"recovery within 10 s", seconds(m.Recovery), soon(m.Recovery, 10*time.Second)},
		}
		if r.sc.fault != faultHang { // who never answers is not known to fail before a time-out
			out = append(out, bar{"breaker open within 1 s", seconds(m.Open), soon(m.Open, time.Second)})
		}
		return out
	}
	out := []bar{
		{"errors from 2 s on under 0.1 %", percent(share(m.LateFailed, m.LateCalls), 2), share(m.LateFailed, m.LateCalls) < 0.001},
		{"p99 from 2 s on at most 1.5 × healthy", ratio(m.LateP99, m.P99), times(m.LateP99, m.P99, 1.5)},
		{"recovery within 10 s", seconds(m.Recovery), soon(m.Recovery, 10*time.Second)},
	}
	for j := range all {
		if o := &all[j]; j != i { // nobody can have fewer than none
			out = append(out, bar{"fewer failed requests than " + o.Proxy, fmt.Sprintf("%d against %d", m.Failed, o.Failed), m.Failed < o.Failed || m.Failed == 0})
		}
	}
	return out
}

// print shows a scenario.
func (r *result) print(w io.Writer) {
	all := r.medians()
	rows := [][]string{r.columns()}
	for i := range all {
		rows = append(rows, r.cells(&all[i]))
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %s\n", r.Scenario, r.What)
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString("  " + cell + strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		b.WriteByte('\n')
	}
	for _, x := range r.bars(all) {
		fmt.Fprintf(&b, "  - %s\n", x)
	}
	fmt.Fprintf(&b, "  the load took %s of a core for each proxy; one call in a hundred left %s late or later\n", percent(all[0].Generator, 1), millis(all[0].Late))
	_, _ = io.WriteString(w, b.String())
}

const preface = `# Services that fail, side by side

Written by ` + "`go run ./bench/chaos`" + `, %d processors, %s/%s, %s.

maru stands in front with its default configuration: a list of URLs and the routes. HAProxy has health checks (each 2 s, down after 3, up after 2), three
retries on another server of all that may be sent again, 500s and time-outs among them, and spreads by load; nginx (open source) has ` + "`max_fails=3 fail_timeout=10s`" + `, the retries that it
can make, and spreads by load too. All time out after 1 s to connect and 5 s without an answer. The files are in [` + "`bench/chaos/rivals.go`" + `](../bench/chaos/rivals.go).

All proxies get the same load in the same seconds, each with backends of its own: %.0f requests a second at a constant rate, whatever the answers do, one in ten a
POST; time counts from when a request was due. Three endpoints answer in 10 ms ± 20 %%. After %v the fault comes, lasts %v, and goes. *Failed* are answers from 400 on and those that
did not come within 10 s, over fault and recovery. *Recovery* is the time from the end of the fault until no request failed any more and, for two seconds, the p99 was at most 1.5 times
the healthy one with every endpoint in use. *Attempts* are what reached the backends per request; a closed port does not count them.

The last line of each section tells how late calls left the generator: what else the machine had to do in those seconds. Above some milliseconds, quantiles and their ratios
are those of the machine; failures still count. Under overload each backend works on four requests at a time, 40 ms each, four times what they can do comes for 30 s, and one
in ten is *important* (` + "`priority: high`" + ` on its route); HAProxy and nginx have a bound for each server there.

`

// writeReport writes the tables into the report.
func writeReport(ctx context.Context, s *settings, results []result) error {
	if s.report == "" || len(results) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, preface, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), s.rate, s.healthy, s.fault)
	for _, v := range s.installed() {
		if text := versionOf(ctx, v); text != "" {
			fmt.Fprintf(&b, "- %s: %s\n", v.name, text)
		}
	}
	before, err := os.ReadFile(s.report)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the report before: %w", err)
	}
	sections := sectionsOf(string(before))
	for i := range results {
		sections[results[i].Scenario] = results[i].section()
	}
	for _, sc := range scenarios(s) {
		b.WriteString(sections[sc.name])
	}
	if err := os.WriteFile(s.report, []byte(b.String()), 0o644); err != nil { //nolint:gosec // documentation
		return fmt.Errorf("write report: %w", err)
	}
	fmt.Println("\nwrote", s.report)
	return nil
}

// sectionsOf takes a report apart, by scenario: those that are not played again
// stay as they are.
func sectionsOf(report string) map[string]string {
	out := make(map[string]string)
	for i, text := range strings.Split(report, "\n## ") {
		if name, _, ok := strings.Cut(text, "\n"); ok && i > 0 {
			out[name] = "\n## " + strings.TrimRight(text, "\n") + "\n"
		}
	}
	return out
}

// section is the part of the report about a scenario.
func (r *result) section() string {
	var b strings.Builder
	all, columns := r.medians(), r.columns()
	fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n| %s |\n| --- |%s\n", r.Scenario, strings.ToUpper(r.What[:1])+r.What[1:], strings.Join(columns, " | "),
		strings.Repeat(" --: |", len(columns)-1))
	for i := range all {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.cells(&all[i]), " | "))
	}
	b.WriteByte('\n')
	for _, x := range r.bars(all) {
		fmt.Fprintf(&b, "- %s\n", x)
	}
	rounds := "one round"
	if len(r.Rounds) > 1 {
		rounds = fmt.Sprintf("medians of %d rounds", len(r.Rounds))
	}
	fmt.Fprintf(&b, "\n%s, %s; the load took %s of a core for each proxy; one call in a hundred left %s late or later.\n",
		time.Now().UTC().Format("2 January 2006"), rounds, percent(all[0].Generator, 1), millis(all[0].Late))
	return b.String()
}
