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
	"strconv"
	"strings"
)

// FieldError is one fault of one field of a Config.
type FieldError struct {
	Path string // within the Config: "allow[2]", "by", ""; "" is the Config itself
	Text string // lower case: what is wrong
	Fix  string // what to write instead, or ""
	// Code is one stable word for programs ("tie", "shadowed"); "" means "value".
	Code string
	// Warn makes the finding a warning, which refuses nothing.
	Warn bool
	// Related names other fields by their path, whose lines the finding shows
	// too: the other half of a tie.
	Related []string
	// Example is a request that shows the fault, or "".
	Example string
	// Offset is where in the field's value the fault is, in bytes: a value may be a
	// text of many lines. 0 means the value as a whole.
	Offset int
	// Position is where the fault is when that is another file than the
	// configuration, with Length characters to underline; the zero Position is none.
	Position Position
	Length   int
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

// WithCode adds the stable word and returns e.
func (e *FieldError) WithCode(code string) *FieldError {
	e.Code = code
	return e
}

// WithOffset adds the place within the value and returns e.
func (e *FieldError) WithOffset(offset int) *FieldError {
	e.Offset = offset
	return e
}

// WithRelated adds the paths of other fields and returns e.
func (e *FieldError) WithRelated(paths ...string) *FieldError {
	e.Related = append(e.Related, paths...)
	return e
}

// Elsewhere says that the fault lies in another file, and returns e.
func (e *FieldError) Elsewhere(at Position, length int) *FieldError {
	e.Position, e.Length = at, length
	return e
}

// AsWarning makes e a warning and returns it.
func (e *FieldError) AsWarning() *FieldError {
	e.Warn = true
	return e
}

// Under puts a prefix before the path of every field error in err, and before
// the paths related to it.
func Under(prefix string, err error) error {
	if err == nil {
		return nil
	}
	var out []error
	for _, e := range Flatten(err) {
		f := *e
		f.Path = JoinPath(prefix, e.Path)
		f.Related = nil
		for _, r := range e.Related {
			f.Related = append(f.Related, JoinPath(prefix, r))
		}
		out = append(out, &f)
	}
	return errors.Join(out...)
}

// JoinPath puts a prefix before a path: "a" and "b" give "a.b", "a" and "[1]"
// give "a[1]".
func JoinPath(prefix, path string) string {
	switch {
	case path == "":
		return prefix
	case prefix == "" || strings.HasPrefix(path, "["):
		return prefix + path
	default:
		return prefix + "." + path
	}
}

// Index gives the path of element i of a list: "routes" and 3 give "routes[3]".
// It is cheap: a table of 10,000 routes is walked at each change.
func Index(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

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
	// An error wrapped around field errors adds words but would hide their
	// places: the places are worth more.
	if _, ok := errors.AsType[*FieldError](err); ok {
		return Flatten(errors.Unwrap(err))
	}
	return []*FieldError{{Text: err.Error()}}
}
