// Package route finds the route of a request in an immutable table.
package route

import (
	"errors"
	"strings"

	"github.com/maru-msa/maru/message"
)

// Match says which requests a route takes.
type Match struct {
	// Methods that the route takes; empty means all. GET implies HEAD.
	Methods []string `yaml:"methods"`
	// Path is the pattern.
	Path string `yaml:"path"`
}

// UnmarshalText reads the short form: "GET /path/{id}".
func (m *Match) UnmarshalText(text []byte) error {
	s := string(text)
	if method, rest, ok := strings.Cut(s, " "); ok {
		m.Methods, s = []string{method}, rest
	}
	if !strings.HasPrefix(s, "/") {
		return errors.New("a path begins with /")
	}
	m.Path = s
	return nil
}

// Encoded says what happens to a path that can be read in more than one way.
type Encoded string

// Rule is one route and what it leads to.
type Rule[T any] struct {
	Match   Match
	Name    string
	Encoded Encoded
	Value   T
}

// Verdict is the outcome of a search.
type Verdict uint8

// The verdicts.
const (
	NotFound Verdict = iota
	Found
	MethodNotAllowed
	Options
	Ambiguous
)

// Reading tells which further readings a path has.
type Reading uint16

// Canonical makes the request's path canonical.
func Canonical(*message.Request) (Reading, error) { return 0, nil }

// Table is an immutable route table.
type Table[T any] struct{ rules []Rule[T] }

// Build makes a table.
func Build[T any](rules []Rule[T]) (*Table[T], error) { return &Table[T]{rules}, nil }

// Find finds the route of a request.
func (t *Table[T]) Find(r *message.Request, _ Reading) (T, Verdict) {
	for i := range t.rules {
		p, _, _ := strings.Cut(t.rules[i].Match.Path, "{")
		if strings.HasPrefix(r.Path, p) {
			return t.rules[i].Value, Found
		}
	}
	var zero T
	return zero, NotFound
}

// Allow is the Allow field of the request's path.
func (t *Table[T]) Allow(*message.Request) string { return "GET" }
