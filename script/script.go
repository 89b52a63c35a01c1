// Package script runs behaviour tests that are written as a talk over HTTP: what
// is set up, what a client says (">") and what it must hear ("<").
//
//	# strip cuts the prefix
//	filter strip: 1
//	> GET /api/users HTTP/1.1
//	> Host: a.example
//	< 200
//	< X-Seen-Path: /users
//
// The flow: [Parse] cuts a file into cases at lines that begin with "==". [Run]
// plays each case as a subtest on a fresh [Player], which the caller provides:
// it gets the set-up lines in order, and the requests.
//
// Lines of an answer: the status first; then "Name: value" for a field that must
// be there with exactly this value, "Name: ~regexp" for one that must match,
// "!Name" for one that must not be there; after an empty "<" line the whole body,
// or with "~" in front of its only line a regular expression for it. A "!" alone
// is an exchange that must be aborted. Everything else in an answer is free.
// Indented lines continue a set-up line. "#" starts a comment.
//
// It is test support and imports nothing of maru.
package script

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Field is one header field line.
type Field struct{ Name, Value string }

// Request is what a client says.
type Request struct {
	Method, Target, Proto string
	Header                []Field
	Body                  string
}

// Response is what it hears.
type Response struct {
	Status int
	Header []Field
	Body   string
	// Aborted is true when the answer ended before its end.
	Aborted bool
}

// Player is what is tested. Set takes a set-up line, cut at the first space:
// "filter" and "strip: 1". Do plays one exchange.
type Player interface {
	Set(word, args string) error
	Do(req *Request) (*Response, error)
}

// Case is one part of a script.
type Case struct {
	Name  string
	Steps []Step
}

// Step is a set-up line or an exchange.
type Step struct {
	Line       int
	Word, Args string   // of a set-up line
	Request    *Request // of an exchange
	Want       Want
}

// Want is what must hold for an answer.
type Want struct {
	Status  int
	Aborted bool
	Fields  []Field // exact
	Match   []Field // value is a regular expression
	Absent  []string
	HasBody bool
	Body    string
	BodyRE  bool
}

// Run plays the script; start makes the player of one case.
func Run(t *testing.T, text string, start func(t *testing.T) Player) {
	t.Helper()
	cases, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { play(t, c, start(t)) })
	}
}

func play(t *testing.T, c Case, p Player) {
	t.Helper()
	for _, s := range c.Steps {
		if s.Request == nil {
			if err := p.Set(s.Word, s.Args); err != nil {
				t.Fatalf("line %d: %s %s: %v", s.Line, s.Word, s.Args, err)
			}
			continue
		}
		got, err := p.Do(s.Request)
		if err != nil {
			t.Fatalf("line %d: %s %s: %v", s.Line, s.Request.Method, s.Request.Target, err)
		}
		for _, fault := range s.Want.Check(got) {
			t.Errorf("line %d: %s %s: %s", s.Line, s.Request.Method, s.Request.Target, fault)
		}
		if t.Failed() {
			t.Logf("the answer was %d\n%s\n%s", got.Status, showFields(got.Header), got.Body)
			return
		}
	}
}

func showFields(list []Field) string {
	var b strings.Builder
	for _, f := range list {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

// Check tells how an answer differs from what is wanted.
func (w *Want) Check(got *Response) []string {
	var faults []string
	tell := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if w.Status != got.Status {
		tell("status %d, want %d", got.Status, w.Status)
	}
	if w.Aborted != got.Aborted {
		tell("aborted is %v, want %v", got.Aborted, w.Aborted)
	}
	for _, f := range w.Fields {
		if have := values(got.Header, f.Name); !hasString(have, f.Value) {
			tell("%s is %q, want %q", f.Name, have, f.Value)
		}
	}
	for _, f := range w.Match {
		have := values(got.Header, f.Name)
		if !matchesOne(f.Value, have) {
			tell("%s is %q, want a match of %s", f.Name, have, f.Value)
		}
	}
	for _, name := range w.Absent {
		if have := values(got.Header, name); len(have) > 0 {
			tell("%s is %q, want none", name, have)
		}
	}
	switch {
	case w.HasBody && w.BodyRE:
		if !matchesOne(w.Body, []string{got.Body}) {
			tell("the body is %q, want a match of %s", got.Body, w.Body)
		}
	case w.HasBody && got.Body != w.Body:
		tell("the body is %q, want %q", got.Body, w.Body)
	}
	return faults
}

func matchesOne(expr string, list []string) bool {
	re := regexp.MustCompile(expr) // Parse compiled it before
	return slices.ContainsFunc(list, re.MatchString)
}

func values(list []Field, name string) []string {
	var out []string
	for _, f := range list {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

func hasString(list []string, s string) bool {
	return slices.Contains(list, s)
}

// Parse reads a script.
func Parse(text string) ([]Case, error) {
	p := parser{lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	var cases []Case
	c := Case{Name: "start"}
	for p.at < len(p.lines) {
		line := p.lines[p.at]
		var err error
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
			p.at++
		case strings.HasPrefix(line, "=="):
			if len(c.Steps) > 0 {
				cases = append(cases, c)
			}
			c = Case{Name: strings.TrimSpace(strings.TrimLeft(line, "="))}
			p.at++
		case line[0] == '>':
			err = p.exchange(&c)
		case line[0] == '<':
			err = errors.New("an answer without its request")
		default:
			err = p.setup(&c)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.at+1, err)
		}
	}
	if len(c.Steps) > 0 {
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		return nil, errors.New("the script has no steps")
	}
	return cases, nil
}

type parser struct {
	lines []string
	at    int
}

func (p *parser) setup(c *Case) error {
	line := p.lines[p.at]
	if line[0] == ' ' || line[0] == '\t' {
		return errors.New("an indented line continues nothing")
	}
	s := Step{Line: p.at + 1}
	s.Word, s.Args, _ = strings.Cut(line, " ")
	for p.at++; p.at < len(p.lines) && p.lines[p.at] != "" && (p.lines[p.at][0] == ' ' || p.lines[p.at][0] == '\t'); p.at++ {
		s.Args += "\n" + strings.TrimSpace(p.lines[p.at])
	}
	s.Args = strings.TrimSpace(s.Args)
	c.Steps = append(c.Steps, s)
	return nil
}

// block takes the lines that begin with mark, without it and one space.
func (p *parser) block(mark byte) []string {
	var out []string
	for p.at < len(p.lines) && p.lines[p.at] != "" && p.lines[p.at][0] == mark {
		out = append(out, strings.TrimPrefix(p.lines[p.at][1:], " "))
		p.at++
	}
	return out
}

func (p *parser) exchange(c *Case) error {
	s := Step{Line: p.at + 1}
	said := p.block('>')
	first := strings.Fields(said[0])
	if len(first) != 3 {
		return fmt.Errorf("%q is not METHOD TARGET HTTP/1.1", said[0])
	}
	s.Request = &Request{Method: first[0], Target: first[1], Proto: first[2]}
	head, body, _ := cutBody(said[1:])
	s.Request.Body = body
	for _, line := range head {
		f, err := field(line)
		if err != nil {
			return err
		}
		s.Request.Header = append(s.Request.Header, f)
	}
	heard := p.block('<')
	if len(heard) == 0 {
		return errors.New("a request without its answer")
	}
	if err := s.Want.read(heard); err != nil {
		return err
	}
	c.Steps = append(c.Steps, s)
	return nil
}

func cutBody(lines []string) (head []string, body string, has bool) {
	for i, line := range lines {
		if line == "" {
			return lines[:i], strings.Join(lines[i+1:], "\n"), true
		}
	}
	return lines, "", false
}

func field(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return Field{}, fmt.Errorf("%q is not a field line", line)
	}
	return Field{name, strings.TrimSpace(value)}, nil
}

func (w *Want) read(lines []string) error {
	n, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || n < 100 || n > 599 {
		return fmt.Errorf("%q is not a status", lines[0])
	}
	w.Status = n
	var head []string
	head, w.Body, w.HasBody = cutBody(lines[1:])
	if w.HasBody && strings.HasPrefix(w.Body, "~") {
		w.Body, w.BodyRE = strings.TrimSpace(w.Body[1:]), true
		if _, err := regexp.Compile(w.Body); err != nil {
			return fmt.Errorf("the pattern of the body: %w", err)
		}
	}
	for _, line := range head {
		if err := w.line(line); err != nil {
			return err
		}
	}
	return nil
}

func (w *Want) line(line string) error {
	if line == "!" {
		w.Aborted = true
		return nil
	}
	if name, ok := strings.CutPrefix(line, "!"); ok {
		w.Absent = append(w.Absent, strings.TrimSpace(name))
		return nil
	}
	f, err := field(line)
	if err != nil {
		return err
	}
	expr, ok := strings.CutPrefix(f.Value, "~")
	if !ok {
		w.Fields = append(w.Fields, f)
		return nil
	}
	f.Value = strings.TrimSpace(expr)
	if _, err := regexp.Compile(f.Value); err != nil {
		return fmt.Errorf("the pattern of %s: %w", f.Name, err)
	}
	w.Match = append(w.Match, f)
	return nil
}
