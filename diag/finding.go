package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Position is a place in a file. Line and Column count from 1, Column in
// characters (not bytes); 0 means that it is not known.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives "file:line:column" without the parts that are not known.
func (p Position) String() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
		if p.Column > 0 {
			s += ":" + strconv.Itoa(p.Column)
		}
	}
	return s
}

// Severity says whether a finding refuses the configuration.
type Severity uint8

// An Error refuses the configuration, a Warning does not.
const (
	Error Severity = iota
	Warning
)

// String gives "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText writes the word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Severity) UnmarshalText(text []byte) error {
	switch string(text) {
	case "error":
		*s = Error
	case "warning":
		*s = Warning
	default:
		return fmt.Errorf("%q is not a severity; write error or warning", text)
	}
	return nil
}

// Related is another place that a finding is about.
type Related struct {
	Position

	// Text says what is there: "the other route".
	Text string `json:"text,omitempty"`
	// Length is the number of characters to underline.
	Length int `json:"length,omitempty"`
}

// Finding is one fault of a configuration, with its place.
type Finding struct {
	Position

	// Length is the number of characters to underline; 0 means one.
	Length   int      `json:"length,omitempty"`
	Severity Severity `json:"severity"`
	// Code is one stable word for programs: "unknown-key", "value", "tie".
	Code string `json:"code"`
	// Text says what is wrong, lower case, one line.
	Text string `json:"text"`
	// Fix says what to write instead, or is "".
	Fix string `json:"fix,omitempty"`
	// Related are the other places, such as the other half of a tie.
	Related []Related `json:"related,omitempty"`
	// Example is a request that shows the fault, or "".
	Example string `json:"example,omitempty"`
}

// String is the finding's first line: "maru.yaml:12:7: error: unknown key".
func (f Finding) String() string {
	return f.Position.String() + ": " + f.Severity.String() + ": " + f.Text
}

// Sort orders findings by file, line and column; findings of one place keep
// their order.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// Count gives the number of errors and of warnings.
func Count(findings []Finding) (errs, warnings int) {
	for i := range findings {
		if findings[i].Severity == Warning {
			warnings++
		} else {
			errs++
		}
	}
	return errs, warnings
}
