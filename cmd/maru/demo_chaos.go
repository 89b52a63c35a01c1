package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/maru-msa/maru/demo"
)

// chaos prepares the script; it is nil where nobody asked for it.
func (c *demoCommand) chaos(show *screen, s *demo.Site, m *demo.Meter) *demo.Chaos {
	if !c.Chaos {
		return nil
	}
	return &demo.Chaos{
		Site: s, Meter: m, Pace: c.Pace, Begins: show.breaks, Healed: show.heals, Over: show.seen,
	}
}

// rounds plays round after round until ctx ends.
func (c *demoCommand) rounds(ctx context.Context, show *screen, chaos *demo.Chaos) {
	for ctx.Err() == nil {
		round, err := chaos.Round(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil: // the instance is about to be started again
			show.event(err.Error())
		default:
			show.round(round)
		}
	}
}

// mostSeen is the share of requests from which on users see that something is
// wrong.
const mostSeen = 0.001

// onceChaos plays the script once and prints what users saw.
func (c *demoCommand) onceChaos(ctx context.Context, show *screen, s demo.Site) error {
	show.running(s)
	var meter demo.Meter
	client, done := demoClient(s, meter.Seen)
	defer done()
	load := demo.Load{Client: client, Rate: float64(c.Load)}
	loading, stop := context.WithCancel(ctx)
	var customers sync.WaitGroup
	customers.Go(func() { _ = load.Run(loading) }) // it ends with its context and in no other way
	round, err := c.chaos(show, &s, &meter).Round(ctx)
	stop()
	customers.Wait()
	if err != nil {
		return err
	}
	show.round(round)
	ok := float64(round.Failures) < mostSeen*float64(round.Calls)
	if c.JSON {
		if err := printRound(round, ok); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	if !ok {
		return exitError(1)
	}
	return nil
}

// actResult is one act in JSON.
type actResult struct {
	Instance string       `json:"instance"`
	Trouble  demo.Trouble `json:"trouble"`
	Millis   int64        `json:"for_ms"`
	Requests int64        `json:"requests"`
	Errors   int64        `json:"errors"`
	P99      float64      `json:"p99_ms"`
}

func printRound(r demo.Round, ok bool) error {
	acts := []actResult{}
	for _, o := range r.Outcomes {
		acts = append(acts, actResult{o.Instance, o.Trouble, o.For.Milliseconds(), o.Calls, o.Failures, inMillis(o.P99)})
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		OK       bool        `json:"ok"`
		Requests int64       `json:"requests"`
		Errors   int64       `json:"errors"`
		Calm     float64     `json:"calm_p99_ms"`
		P99      float64     `json:"p99_ms"`
		Millis   int64       `json:"took_ms"`
		Acts     []actResult `json:"acts"`
	}{ok, r.Calls, r.Failures, inMillis(r.Calm), inMillis(r.P99), r.Took.Milliseconds(), acts})
}

func inMillis(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// breaks tells that an act begins.
func (s *screen) breaks(a demo.Act) {
	s.print("  " + s.in(red, "✗ "+a.Instance+" "+a.Trouble.Happens()))
}

// heals tells that the trouble of an act ended; a killed instance comes back by
// itself.
func (s *screen) heals(a demo.Act) {
	if a.Trouble != demo.Kill {
		s.print("  " + s.in(green, "✓ "+a.Instance+" is well again"))
	}
}

// back tells that a service was started again.
func (s *screen) back(p demo.Part) {
	s.print("  " + s.in(green, "✓ "+p.Name+" was started again") + fmt.Sprintf(", pid %d, ready in %s", p.PID, p.Took.Round(time.Millisecond)))
}

// seen tells what users saw of an act.
func (s *screen) seen(o demo.Outcome) {
	s.print("    " + s.in(faint, "users: ") + s.stretch(o.Stretch))
}

// stretch writes what users saw in a stretch of time.
func (s *screen) stretch(x demo.Stretch) string {
	errors := counted(int(x.Failures), "error")
	if x.Failures > 0 {
		errors = s.in(red, errors)
	}
	return fmt.Sprintf("%s requests, %s, p99 %s", grouped(x.Calls), errors, millis(x.P99))
}

// round sums up a round.
func (s *screen) round(r demo.Round) {
	lines := []string{"", fmt.Sprintf("  %s  %s in %s; before anything broke p99 was %s", s.in(bold, "round"), s.stretch(r.Stretch), clock(r.Took), millis(r.Calm))}
	for _, o := range r.Outcomes {
		lines = append(lines, fmt.Sprintf("    %s%s%s", pad(o.Instance, 14), pad(o.Trouble.Happens(), 21), s.stretch(o.Stretch)))
	}
	said := s.in(green, "Users saw nothing.")
	if r.Failures > 0 {
		said = s.in(red, fmt.Sprintf("Users saw %s: %.2f %%.", counted(int(r.Failures), "error"), 100*float64(r.Failures)/float64(r.Calls)))
	}
	s.print(append(lines, "  "+said, "")...)
}

// broken is the line that shows the load and what is broken meanwhile, in the
// most telling form that fits into width columns.
func (s *screen) broken(r demo.Reading, now demo.Standing, up time.Duration, width int) string {
	what, long := "all is well", "all is well"
	if now.Instance != "" {
		left := max(0, time.Until(now.Until).Round(time.Second))
		what = now.Instance + " " + now.Trouble.Happens()
		long = fmt.Sprintf("%s, %s more", what, left)
		if !now.Broken {
			what, long = "all is well", fmt.Sprintf("all is well; in %s %s", left, what)
		}
	}
	calm := ""
	if now.Calm > 0 {
		calm = ", calm " + millis(now.Calm)
	}
	line := ""
	for _, form := range []string{
		fmt.Sprintf("  %s  %s requests  %.0f/s  %s errors  p50 %s  p99 %s%s  │  %s", clock(up), grouped(r.Calls), r.All.Rate, grouped(r.Failures), millis(r.All.P50), millis(r.All.P99), calm, long),
		fmt.Sprintf("  %s  %s req  %.0f/s  %s err  p99 %s%s  │  %s", clock(up), grouped(r.Calls), r.All.Rate, grouped(r.Failures), millis(r.All.P99), calm, long),
		fmt.Sprintf("  %s  %s err  p99 %s%s  │  %s", clock(up), grouped(r.Failures), millis(r.All.P99), calm, what),
		fmt.Sprintf("  %s  %s err  │  %s", clock(up), grouped(r.Failures), what),
	} {
		if line = form; utf8.RuneCountInString(form) < width {
			break
		}
	}
	line = strings.Replace(line, clock(up), s.in(green, clock(up)), 1)
	if now.Broken {
		line = strings.Replace(line, what, s.in(red, what), 1)
	}
	if r.Failures > 0 {
		failed := grouped(r.Failures) + " err"
		line = strings.Replace(line, failed, s.in(red, failed), 1)
	}
	return line
}
