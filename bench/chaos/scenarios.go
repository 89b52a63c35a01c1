package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"
)

// scenario is a fault, what it hits, and when.
type scenario struct {
	name, what string
	// fault is that of the backends; flap lets it come and go each second.
	fault string
	flap  bool
	// all makes it a fault of every endpoint; else of the first alone.
	all bool
	// fallback gives maru's route something to answer instead.
	fallback bool
	// workers bounds each backend; the load is then four times what they can do.
	workers int
}

// overloads is how much more comes than can be done.
const overloads = 4

func scenarios(s *settings) []scenario {
	workers := int(math.Round(s.capacity * crowdTime.Seconds() / endpoints))
	return []scenario{
		{name: "hang", what: "one of three accepts and reads, and never answers", fault: faultHang},
		{name: "500", what: "one of three answers 500 at once, to everything", fault: fault500},
		{name: "slow", what: "one of three takes ten times as long", fault: faultSlow},
		{name: "refuse", what: "one of three refuses connections and resets those it has", fault: faultRefuse},
		{name: "flap", what: "one of three refuses connections every other second", fault: faultRefuse, flap: true},
		{name: "down", what: "all three reset every connection; another service is beside them", fault: faultReset, all: true, fallback: true},
		{name: "stuck", what: "all three accept and read, and never answer", fault: faultHang, all: true, fallback: true},
		{name: "overload", what: "four times as many requests as the service can do", workers: max(workers, 1)},
	}
}

// capacity is what the bounded backends of a scenario can do, in requests a second.
func (sc scenario) capacity() float64 {
	return float64(sc.workers*endpoints) / crowdTime.Seconds()
}

// result is what a scenario gave: the figures of each proxy, in each round.
type result struct {
	Scenario string      `json:"scenario"`
	What     string      `json:"what"`
	Rounds   [][]figures `json:"rounds"`
	sc       scenario
}

// play runs the rounds of a scenario.
func (s *settings) play(ctx context.Context, sc scenario) (result, error) {
	r := result{Scenario: sc.name, What: sc.what, sc: sc}
	for round := range s.rounds {
		var row []figures
		for i, heat := range s.heats(sc) {
			fmt.Fprintf(os.Stderr, "%s, round %d of %d, heat %d…\n", sc.name, round+1, s.rounds, i+1)
			got, err := s.calmHeat(ctx, sc, heat)
			if err != nil {
				return r, err
			}
			row = append(row, got...)
		}
		r.Rounds = append(r.Rounds, row)
	}
	return r, nil
}

// heats are the proxies that play together. An overload is for each alone: the
// machine is to be no part of what is too small.
func (s *settings) heats(sc scenario) [][]rival {
	all := s.installed()
	if sc.workers == 0 {
		return [][]rival{all}
	}
	var out [][]rival
	for i := range all {
		out = append(out, all[i:i+1])
	}
	return out
}

// phases are the moments of a scenario.
func (s *settings) phases(sc scenario) phases {
	p := phases{healthy: warmUp, fault: warmUp + s.healthy}
	p.healed = p.fault + s.fault
	if sc.workers > 0 {
		p.healed = p.fault + s.overload
	}
	p.end = p.healed + s.recovery
	return p
}

// tooLate is how late one call in a hundred may leave: from there on the machine
// had so much else to do that times say nothing about proxies.
const tooLate = 4 * time.Millisecond

// calmHeat plays a heat, again when something else kept the machine busy, and
// gives the calmest.
func (s *settings) calmHeat(ctx context.Context, sc scenario, rivals []rival) ([]figures, error) {
	var best []figures
	for range s.tries {
		got, err := s.heat(ctx, sc, rivals)
		if err != nil {
			return nil, err
		}
		if best == nil || got[0].Late < best[0].Late {
			best = got
		}
		if best[0].Late <= tooLate {
			break
		}
		fmt.Fprintf(os.Stderr, "%s: the machine was busy, calls left %v late\n", sc.name, got[0].Late.Round(100*time.Microsecond))
	}
	return best, nil
}

// heat plays a scenario once for some proxies, side by side.
func (s *settings) heat(ctx context.Context, sc scenario, rivals []rival) ([]figures, error) {
	c, err := startCrew(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	var runners []*runner
	defer func() {
		for _, r := range runners {
			r.process.stop()
		}
	}()
	p := s.phases(sc)
	for i, v := range rivals {
		r, err := s.enter(ctx, c, v, sc, i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		runners = append(runners, r)
		r.web = &load{address: r.place.front, calls: schedule(s.stages(sc, p), mixOf(sc))}
		if sc.all {
			r.other = &load{address: r.place.front, calls: schedule([]stage{{p.end, s.rate / 2}}, func(int) kind { return kindOther })}
		}
	}
	cpu, began := used(), time.Now()
	var loads sync.WaitGroup
	for _, r := range runners {
		loads.Go(func() { r.web.run(ctx, began) })
		if r.other != nil {
			loads.Go(func() { r.other.run(ctx, began) })
		}
	}
	err = s.script(ctx, c, runners, sc, p, began)
	loads.Wait()
	if err != nil {
		return nil, err
	}
	cpu = used() - cpu
	var out []figures
	for _, r := range runners {
		counted, err := c.do(command{Do: "count", Name: r.name + "/web/"})
		if err != nil {
			return nil, err
		}
		f := s.figures(r, p, attemptsOf(counted.Slots, began, p.end))
		if s.look {
			r.tellFailures(os.Stderr, p)
		}
		f.Generator = cpu.Seconds() / p.end.Seconds() / float64(len(runners))
		out = append(out, f)
	}
	return out, ctx.Err()
}

// stages are the load of a scenario.
func (s *settings) stages(sc scenario, p phases) []stage {
	if sc.workers == 0 {
		return []stage{{p.end, s.rate}}
	}
	unloaded := sc.capacity() / 4
	return []stage{{p.fault, unloaded}, {p.healed - p.fault, overloads * sc.capacity()}, {p.end - p.healed, unloaded}}
}

// mixOf says which requests come: one in ten is a POST, and under overload one
// in ten is important.
func mixOf(sc scenario) func(i int) kind {
	return func(i int) kind {
		switch {
		case i%10 == 3:
			return kindPost
		case sc.workers > 0 && i%10 == 7:
			return kindHigh
		}
		return kindGet
	}
}

// turn is a fault at a moment.
type turn struct {
	at    time.Duration
	fault string
}

// turns lists when the fault of a scenario comes and goes.
func (sc scenario) turns(p phases) []turn {
	var out []turn
	for at := p.fault; sc.flap && at < p.healed; at += 2 * time.Second {
		out = append(out, turn{at, sc.fault}, turn{at + time.Second, faultNone})
	}
	if !sc.flap {
		out = append(out, turn{p.fault, sc.fault})
	}
	return append(out, turn{p.healed, faultNone})
}

// script makes the faults come and go.
func (s *settings) script(ctx context.Context, c *crew, runners []*runner, sc scenario, p phases, began time.Time) error {
	clock := time.NewTimer(0)
	defer clock.Stop()
	for _, t := range sc.turns(p) {
		if t.at == p.healed && s.look && until(ctx, clock, began.Add(t.at-100*time.Millisecond)) {
			look(ctx, runners)
		}
		if !until(ctx, clock, began.Add(t.at)) {
			return ctx.Err()
		}
		for _, r := range runners {
			if err := r.set(c, t.fault); err != nil {
				return err
			}
		}
	}
	return nil
}

// set begins or ends the fault at a proxy's backends.
func (r *runner) set(c *crew, fault string) error {
	hit := 1
	if r.place.sc.all {
		hit = endpoints
	}
	for i := range hit {
		if _, err := c.do(command{Do: "fault", Name: r.endpoint(i), Fault: fault}); err != nil {
			return err
		}
	}
	return nil
}

// tellFailures prints the first calls that failed, by their time from the start
// of the fault on.
func (r *runner) tellFailures(w io.Writer, p phases) {
	const most = 25
	told := 0
	for i := range r.web.calls {
		c := &r.web.calls[i]
		if c.fallback && (i+1 == len(r.web.calls) || !r.web.calls[i+1].fallback) {
			fmt.Fprintf(w, "%s: other answers until %.3fs\n", r.name, (c.due - p.fault).Seconds()) //nolint:errcheck // to a terminal
		}
		if c.ok() || c.fallback {
			continue
		}
		if told++; told <= most {
			fmt.Fprintf(w, "%s: %s due at %.3fs: status %d after %v\n", r.name, c.kind, (c.due - p.fault).Seconds(), c.status, c.took.Round(time.Millisecond)) //nolint:errcheck // to a terminal
		}
	}
	fmt.Fprintf(w, "%s: %d failures\n", r.name, told) //nolint:errcheck // to a terminal
}

// look prints what maru says of its service.
func look(ctx context.Context, runners []*runner) {
	for _, r := range runners {
		if r.name == "maru" {
			fmt.Fprintln(os.Stderr, r.look(ctx))
		}
	}
}
