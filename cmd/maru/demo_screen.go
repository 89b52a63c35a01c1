package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/maru-msa/maru/demo"
)

// screen writes what the demo shows. On a terminal there is one live line at the
// bottom, which every other output goes above; elsewhere only whole lines.
type screen struct {
	out      io.Writer
	terminal bool
	color    bool
	quiet    bool // shows nothing: the result is JSON
	width    func() int

	mu      sync.Mutex
	shown   bool // the cursor stands behind the live line
	started []string
	group   string
}

// narrow is the width of a terminal that does not say it.
const narrow = 80

func newScreen(f *os.File) *screen {
	s := &screen{out: f, color: colored(f, "auto"), width: func() int { return narrow }}
	if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
		s.terminal = os.Getenv("TERM") != "dumb" && size.Col > 0
		s.width = func() int {
			if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
				return int(size.Col)
			}
			return narrow
		}
	}
	return s
}

// style is a way of writing: an SGR parameter (ECMA-48 §8.3.117).
type style string

const (
	bold  style = "1"
	faint style = "2"
	red   style = "31"
	green style = "32"
	cyan  style = "36"
)

// in writes text in a style.
func (s *screen) in(st style, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

// print writes lines above the live line.
func (s *screen) print(lines ...string) {
	if s.quiet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	_, _ = io.WriteString(s.out, strings.Join(lines, "\n")+"\n") // a screen that is gone shows nothing
}

// draw replaces the live line.
func (s *screen) draw(line string) {
	if s.quiet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	_, _ = io.WriteString(s.out, line)
	s.shown = true
}

func (s *screen) clear() {
	if s.shown {
		_, _ = io.WriteString(s.out, "\r\x1b[K")
		s.shown = false
	}
}

// endLine takes the live line away.
func (s *screen) endLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

func (s *screen) title() {
	s.print("", "  "+s.in(bold, "maru demo")+"  마루 · a reverse-auction food platform behind one gateway", "")
}

// note tells something beforehand.
func (s *screen) note(text string) { s.print("  " + s.in(cyan, "note") + "  " + text) }

// event tells something that happened.
func (s *screen) event(text string) {
	first, rest, more := strings.Cut(text, "\n")
	line := "  " + s.in(red, "✗ "+first)
	if more {
		line += "\n" + rest
	}
	s.print(line)
}

// said shows a line that a process logged, without the time and the level.
func (s *screen) said(name, line string) {
	if _, rest, ok := strings.Cut(line, " msg="); ok && strings.HasPrefix(line, "time=") {
		line = rest
	}
	s.print("  " + s.in(cyan, name) + "  " + line)
}

// healthy shows how the start goes.
func (s *screen) healthy(p demo.Part) {
	s.started = append(s.started, p.Name)
	if s.terminal {
		s.draw(s.starting(s.width()))
		return
	}
	s.print(fmt.Sprintf("  %-13s %s  pid %d, ready in %s", p.Name, p.URL, p.PID, p.Took.Round(time.Millisecond)))
}

// starting is the line that shows how the start goes: the latest parts that fit.
func (s *screen) starting(width int) string {
	line := fmt.Sprintf("  starting %d/%d", len(s.started), len(demo.Instances())+1)
	names, left := "", width-1-utf8.RuneCountInString(line)
	for _, name := range slices.Backward(s.started) {
		if left -= utf8.RuneCountInString(name) + 4; left < 0 {
			break
		}
		names = "  " + s.in(green, "✓") + " " + name + names
	}
	return line + names
}

// running says in one line that all is up.
func (s *screen) running(site demo.Site) {
	slowest := time.Duration(0)
	for _, p := range site.Parts {
		slowest = max(slowest, p.Took)
	}
	s.print(fmt.Sprintf("  %s processes run, the slowest was ready in %s; the gateway is %s",
		strconv.Itoa(len(site.Parts)), slowest.Round(time.Millisecond), s.in(bold, site.Gateway)))
}

// site shows the addresses and what to try.
func (s *screen) site(site demo.Site) {
	gateway := site.Parts[len(site.Parts)-1]
	lines := []string{
		fmt.Sprintf("  %s  %s   pid %d", s.in(bold, "gateway "), s.in(bold, pad(site.Gateway, 32)), gateway.PID),
		fmt.Sprintf("  %s  %s   pages that show what happens, live", s.in(bold, "console "), pad(site.Admin+"/console/", 32)),
		fmt.Sprintf("  %s  %s   routes, services, metrics, reload", s.in(bold, "admin   "), pad(site.Admin, 32)),
		fmt.Sprintf("  %s  %s   where the services say that they live", s.in(bold, "registry"), pad(site.Registry, 32)),
		"",
		s.in(faint, "  "+pad("route", 15)+"   "+pad("service", 12)+pad("process", 14)+pad("address", 25)+"pid"),
	}
	last := ""
	for _, p := range site.Parts[:len(site.Parts)-1] {
		route, service := pad("", 15)+"   ", ""
		if p.Service != last {
			route, service = pad(prefixOf(p.Service)+"/…", 15)+" → ", p.Service
		}
		last = p.Service
		lines = append(lines, "  "+s.in(cyan, route)+pad(service, 12)+pad(p.Name, 14)+pad(p.URL, 25)+strconv.Itoa(p.PID))
	}
	lines = append(lines, "", s.in(bold, "  Try it:"))
	for _, line := range tryLines(site.Gateway) {
		lines = append(lines, "    "+line)
	}
	s.print(append(lines, "",
		"  "+s.in(faint, "files   ")+site.Config+s.in(faint, "  (watched: change it and look)"),
		"  "+s.in(faint, "        ")+site.Access,
		"  "+s.in(faint, "Ctrl-C stops everything."), "")...)
}

// prefixOf is the first segment of the routes to a service.
func prefixOf(service string) string {
	if service == "member" {
		return "/oauth"
	}
	return "/" + service
}

// tryLines are three commands that work when they are pasted.
func tryLines(gateway string) []string {
	return []string{
		fmt.Sprintf("curl -s '%s/restaurant?district=1'", gateway),
		fmt.Sprintf(`curl -s %s/auction -H 'Content-Type: application/json' \`+"\n"+
			`         -d '{"member": 1, "wish": "평양냉면 둘, 녹두지짐 하나", "people": 2, "district": 5}'`, gateway),
		fmt.Sprintf("curl -s -X POST %s/auction/1/accept", gateway),
	}
}

// How often the load is shown on a terminal, and elsewhere.
const (
	drawEvery  = 500 * time.Millisecond
	printEvery = 5 * time.Second
	turnEvery  = 2 * time.Second // one service after the other
)

// live shows the load until ctx ends.
func (s *screen) live(ctx context.Context, began time.Time, m *demo.Meter, chaos *demo.Chaos) {
	every := printEvery
	if s.terminal {
		every = drawEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		line := func(width int) string { return s.status(m.Read(), time.Since(began), width) }
		if chaos != nil {
			line = func(width int) string { return s.broken(m.Read(), chaos.Now(), time.Since(began), width) }
		}
		if s.terminal {
			s.draw(line(s.width()))
		} else {
			s.print(line(1 << 10))
		}
	}
}

// status is the line that shows the load: in the most telling form that fits
// into width columns. A narrow terminal sees one service after the other.
func (s *screen) status(r demo.Reading, up time.Duration, width int) string {
	head := func(requests, errors string) string {
		return fmt.Sprintf("  %s  %s %s  %.0f/s  %s %s  p50 %s  p99 %s", clock(up), grouped(r.Calls), requests, r.All.Rate,
			grouped(r.Failures), errors, millis(r.All.P50), millis(r.All.P99))
	}
	each := func(form func(name string, p demo.Pace) string) string {
		var text strings.Builder
		text.WriteString("  │")
		for _, name := range demo.Names() {
			text.WriteString("  " + form(name, r.Services[name]))
		}
		return text.String()
	}
	full := func(name string, p demo.Pace) string {
		return fmt.Sprintf("%s %.0f/s %s/%s", name, p.Rate, millis(p.P50), millis(p.P99))
	}
	brief := func(name string, p demo.Pace) string { return fmt.Sprintf("%s %s", name, millis(p.P50)) }
	short := func(name string, p demo.Pace) string { return fmt.Sprintf("%s %s", name[:3], millis(p.P50)) }
	turn := demo.Names()[int(up/turnEvery)%len(demo.Names())]
	wide, narrow := head("requests", "errors"), head("req", "err")
	line := narrow
	for _, form := range []string{
		wide + each(full), wide + each(brief), wide + each(short), narrow + each(short),
		narrow + "  │  " + full(turn, r.Services[turn]), narrow + "  │  " + brief(turn, r.Services[turn]),
	} {
		if utf8.RuneCountInString(form) < width {
			line = form
			break
		}
	}
	line = strings.Replace(line, clock(up), s.in(green, clock(up)), 1)
	if r.Failures > 0 {
		failed := grouped(r.Failures) + " err"
		line = strings.Replace(line, failed, s.in(red, failed), 1)
	}
	return line
}

// stopping tells what there was, while everything stops.
func (s *screen) stopping(m *demo.Meter, up time.Duration) {
	r := m.Read()
	line := fmt.Sprintf("  stopping after %s: %s requests, %s errors", clock(up), grouped(r.Calls), grouped(r.Failures))
	if r.Last != nil {
		line += "\n  the last error: " + r.Last.Error()
	}
	s.print(line)
}

// check shows one line of the self-check.
func (s *screen) check(k demo.Check) {
	var lines []string
	if k.Group != s.group {
		s.group = k.Group
		lines = append(lines, "", "  "+s.in(bold, k.Group))
	}
	mark, detail := s.in(green, "✓"), s.in(faint, k.Detail)
	if !k.OK {
		mark, detail = s.in(red, "✗"), s.in(red, k.Detail)
	}
	s.print(append(lines, "    "+mark+" "+pad(k.Name, 42)+"  "+detail)...)
}

func (s *screen) verdict(checks, failed int, took time.Duration) {
	line := s.in(green, counted(checks, "check")+" passed")
	if failed > 0 {
		line = s.in(red, fmt.Sprintf("%d of %s failed", failed, counted(checks, "check")))
	}
	s.print("", fmt.Sprintf("  %s in %s", line, took.Round(time.Millisecond)), "")
}

// pad fills text with spaces to a width in columns; a Hangul syllable has two.
func pad(text string, width int) string {
	columns := 0
	for _, r := range text {
		columns++
		if r >= 0x1100 && r <= 0x115F || r >= 0xAC00 && r <= 0xD7A3 {
			columns++
		}
	}
	return text + strings.Repeat(" ", max(0, width-columns))
}

// grouped writes a number as 12,345.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// clock writes a time as 01:23, with hours when there are some.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// millis writes a short time in milliseconds.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 100 {
		return fmt.Sprintf("%.0fms", ms)
	}
	return fmt.Sprintf("%.1fms", ms)
}
