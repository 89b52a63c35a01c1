package spring

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// importer carries one Import.
type importer struct {
	set      *settings
	draft    *draft
	findings []diag.Finding
	reported map[string]bool // findings, by place and words
}

// lost tells of something that is missing in the output; look of something
// that works, but differently. Both count the settings of the node as told.
func (im *importer) lost(n *node, code, fix, format string, args ...any) {
	im.find(n, diag.Error, code, fix, fmt.Sprintf(format, args...))
}

func (im *importer) look(n *node, code, fix, format string, args ...any) {
	im.find(n, diag.Warning, code, fix, fmt.Sprintf(format, args...))
}

func (im *importer) find(n *node, s diag.Severity, code, fix, words string) {
	im.report(diag.Finding{Position: n.at, Length: n.length, Severity: s, Code: code, Text: comment(words), Fix: comment(fix)})
	x := note{why: n.path + ": see the finding"}
	n.each(func(s *setting) {
		if !s.told && (s.at.File != n.at.File || s.at.Line != n.at.Line) {
			x.from = append(x.from, s) // the finding's place does not show it
		}
		s.told = true
	})
	if len(x.from) > 0 {
		im.set.notes = append(im.set.notes, x)
	}
}

// report adds a finding, once.
func (im *importer) report(f diag.Finding) {
	key := f.Position.String() + f.Text
	if im.reported == nil {
		im.reported = make(map[string]bool)
	}
	if !im.reported[key] {
		im.reported[key] = true
		im.findings = append(im.findings, f)
	}
}

// note writes into the output that a setting has nothing to become.
func (im *importer) note(n *node, why string) {
	if n == nil {
		return
	}
	x := note{why: n.path + ": " + why}
	n.each(func(s *setting) {
		if !s.told {
			s.told = true
			x.from = append(x.from, s)
		}
	})
	if len(x.from) > 0 {
		im.set.notes = append(im.set.notes, x)
	}
}

// take gives the value of a node with its placeholders filled in, and puts the
// setting among those of an element. The flag is false when there is none, or it
// can't be known; then a finding says so.
func (im *importer) take(n *node, e *element) (string, bool) {
	if n == nil || n.value == nil {
		return "", false
	}
	text, ok := im.resolve(n, n.value.text)
	if !ok {
		return "", false
	}
	e.takes(n)
	return text, true
}

// takes puts the settings of a node among those of an element.
func (e *element) takes(n *node) {
	n.each(func(s *setting) {
		s.told = true
		if !slices.Contains(e.from, s) {
			e.from = append(e.from, s)
		}
	})
}

// resolve fills placeholders in; SpEL is a finding, as is what has no value.
func (im *importer) resolve(n *node, raw string) (string, bool) {
	f := im.set.fill(raw)
	switch {
	case strings.Contains(f.text, "#{"):
		expr := f.text[strings.Index(f.text, "#{"):]
		if end := closing(expr); end > 0 {
			expr = expr[:end+1]
		}
		im.lost(n, "expression", "write the value itself, or do it in a filter of maru", "%s is an expression of Spring, which is never evaluated here", shorten(expr))
		return "", false
	case len(f.missing) > 0:
		im.lost(n, "unresolved", "give it: --property "+f.missing[0]+"=VALUE", "no value for ${%s}", f.missing[0])
		return "", false
	}
	for _, name := range f.defaults {
		im.set.notes = append(im.set.notes, note{"${" + name + "} is not among what was given: its default was taken", []*setting{n.value}})
	}
	return strings.TrimSpace(f.text), true
}

// words gives a list: the entries of a node, or its one value cut at commas.
func (im *importer) words(n *node, e *element) []string {
	if n == nil {
		return nil
	}
	var out []string
	if n.value != nil {
		if t, ok := im.take(n, e); ok {
			out = words(t)
		}
	}
	for _, k := range n.list() {
		if t, ok := im.take(k, e); ok && t != "" {
			out = append(out, t)
		}
	}
	return out
}

// number gives a whole number in a range; anything else is a finding.
func (im *importer) number(n *node, e *element, least, most int) (int, bool) {
	t, ok := im.take(n, e)
	if !ok {
		return 0, false
	}
	v, err := strconv.Atoi(t)
	if err != nil || v < least || v > most {
		im.lost(n, "value", fmt.Sprintf("write a number between %d and %d", least, most), "%q is no number that can be used here", shorten(t))
		return 0, false
	}
	return v, true
}

// boolean gives true or false; the second is false when there is nothing.
func (im *importer) boolean(n *node, e *element) (set, ok bool) {
	t, ok := im.take(n, e)
	if !ok {
		return false, false
	}
	switch strings.ToLower(t) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	im.lost(n, "value", "write true or false", "%q is neither true nor false", shorten(t))
	return false, false
}

// duration gives a time as Spring reads it: 500ms, 10s, PT10S, or a number of
// milliseconds.
func (im *importer) duration(n *node, e *element) (time.Duration, bool) {
	t, ok := im.take(n, e)
	if !ok {
		return 0, false
	}
	d, ok := readDuration(t, time.Millisecond)
	if !ok {
		im.lost(n, "value", "write a time such as 500ms", "%q is no time", shorten(t))
	}
	return d, ok
}

// readDuration reads a time; unit is that of a bare number.
func readDuration(t string, unit time.Duration) (time.Duration, bool) {
	t = strings.ToLower(strings.TrimSpace(t))
	if n, err := strconv.ParseInt(t, 10, 64); err == nil {
		const longest = int64(365 * 24 * time.Hour)
		if n > longest/int64(unit) || n < -longest/int64(unit) {
			return 0, false
		}
		return time.Duration(n) * unit, true
	}
	if iso, ok := strings.CutPrefix(t, "p"); ok {
		days, clock, _ := strings.Cut(iso, "t")
		t = clock
		if d, ok := strings.CutSuffix(days, "d"); ok {
			n, err := strconv.ParseInt(d, 10, 32)
			if err != nil {
				return 0, false
			}
			t = strconv.FormatInt(n*24, 10) + "h" + clock
		}
	} else if d, ok := strings.CutSuffix(t, "d"); ok {
		n, err := strconv.ParseInt(d, 10, 32)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(t)
	return d, err == nil
}

// unknown tells of what nobody took: for each branch of the inputs in which
// nothing was known, once.
func (im *importer) unknown() { im.strange(im.set.root) }

// strange reports what nobody took at and below a node; as a whole when that is
// all of it.
func (im *importer) strange(n *node) {
	left, told := 0, 0
	n.each(func(s *setting) {
		if s.told {
			told++
		} else {
			left++
		}
	})
	if left == 0 {
		return
	}
	words, fix := meaning(n.path)
	if told == 0 && n != im.set.root && !wide(n) {
		if left > 1 {
			words += " (" + strconv.Itoa(left) + " keys)"
		}
		severity := diag.Error
		if fix == "" {
			severity, fix = diag.Warning, "nothing, if it is not about requests; else see docs/import-spring.md"
		}
		im.find(n, severity, "unknown", fix, n.path+" "+words)
		return
	}
	if n.value != nil && !n.value.told {
		value := *n
		value.kids = nil
		if fix == "" {
			fix = "see docs/import-spring.md"
		}
		im.find(&value, diag.Error, "unknown", fix, n.path+" "+words)
	}
	for _, k := range n.kids {
		im.strange(k)
	}
}

// wide tells whether a node holds too many things to speak of them as one.
func wide(n *node) bool {
	switch canonical(n.path) {
	case "spring", "spring.cloud", "spring.cloud.gateway", "spring.cloud.gateway.server":
		return true
	}
	return false
}

// meaning says what is known of keys that have no equal.
func meaning(path string) (words, fix string) {
	p := canonical(path)
	for _, k := range []struct{ prefix, words, fix string }{
		{"spring.cloud.gateway.", "has no equal", "look for what it did in docs/import-spring.md"},
		{"spring.cloud.loadbalancer", "is not imported", "write balance, zone, sticky, check or retry at the services: docs/resilience.md"},
		{"zuul.", "has no equal", "look for what it did in docs/import-spring.md"},
		{"hystrix.", "has no equal", "look for what it did in docs/import-spring.md"},
		{"ribbon.", "has no equal", "look for what it did in docs/import-spring.md"},
		{"resilience4j.", "has no equal", "look for what it did in docs/import-spring.md"},
		{"spring.security", "is not imported: who may call is not decided by routes", "write down who may call before the gateway takes requests"},
		{"server.ssl", "is not imported", "write listen.public.tls with the certificate as PEM files"},
		{"management", "is not imported: maru's admin API has health and metrics on 127.0.0.1:7070", ""},
	} {
		if strings.HasPrefix(p, k.prefix) {
			return k.words, k.fix
		}
	}
	if strings.Contains(p, ".ribbon.") {
		return "has no equal", "look for what it did in docs/import-spring.md"
	}
	return "is not about routing and was left out", ""
}
