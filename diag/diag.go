// Package diag holds findings about a configuration: what is wrong, where, and
// what to do.
//
// The flow: a package that owns a Config returns field errors ([At], [Join])
// which name the field by its path inside that Config ("origins[1]"). Package
// config knows at which line and column that field was written and turns each
// into a [Finding]; commands print findings with the source line.
package diag

import (
	"errors"
	"fmt"
	"strings"
)

// FieldError is one fault of one field of a Config.
type FieldError struct {
	Path string // within the Config: "allow[2]", "by", ""; "" is the Config itself
	Text string // lower case: what is wrong
	Fix  string // what to write instead, or ""
	// Related names other fields by their path, whose lines the finding shows
	// too: the other half of a tie.
	Related []string
	// Example is a request that shows the fault, or "".
	Example string
}

// Error gives "path: text".
func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Text
	}
	return e.Path + ": " + e.Text
}

// At makes a field error.
func At(path, format string, args ...any) *FieldError {
	return &FieldError{Path: path, Text: fmt.Sprintf(format, args...)}
}

// WithFix adds what to do and returns e.
func (e *FieldError) WithFix(format string, args ...any) *FieldError {
	e.Fix = fmt.Sprintf(format, args...)
	return e
}

// Under puts a prefix before the path of every field error in err.
func Under(prefix string, err error) error {
	if err == nil {
		return nil
	}
	var out []error
	for _, e := range Flatten(err) {
		path := prefix
		if e.Path != "" {
			path = prefix + "." + e.Path
			if strings.HasPrefix(e.Path, "[") {
				path = prefix + e.Path
			}
		}
		f := *e
		f.Path = path
		out = append(out, &f)
	}
	return errors.Join(out...)
}

// Join is errors.Join: the way to return several faults at once.
func Join(errs ...error) error { return errors.Join(errs...) }

// Flatten lists all field errors in err's tree; any other error becomes one without a path.
func Flatten(err error) []*FieldError {
	if err == nil {
		return nil
	}
	if e, ok := err.(*FieldError); ok { //nolint:errorlint // the tree is walked by hand
		return []*FieldError{e}
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []*FieldError
		for _, e := range many.Unwrap() {
			out = append(out, Flatten(e)...)
		}
		return out
	}
	return []*FieldError{{Text: err.Error()}}
}
