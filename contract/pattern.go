package contract

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/maru-msa/maru/scan"
)

// White space of ECMA-262 (§22.2.2.9) as the inside of an RE2 class, and all else.
const (
	spaces    = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`
	notSpaces = `\x00-\x08\x0e-\x1f!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}` +
		`\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
)

// Bounds of repeats: RE2 knows up to 1,000 at once.
const (
	maxRepeat = 1000
	maxTimes  = 10_000
	// maxExpression is the longest expression that a pattern becomes.
	maxExpression = 64 << 10
)

// patterns makes what an ECMA-262 pattern means out of RE2 expressions, all of
// which have to hold: the pattern itself, and its leading look-aheads.
func patterns(source string) ([]scan.Pattern, error) {
	rest, anchored := strings.CutPrefix(source, "^")
	var out []scan.Pattern
	for strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") {
		end := groupEnd(rest)
		switch {
		case end < 0:
			return nil, errors.New("a parenthesis is not closed")
		case !anchored:
			return nil, errors.New("a look-ahead can be compiled behind a leading ^ only")
		case alternates(rest[end:]):
			return nil, errors.New("a look-ahead can't be compiled beside alternatives")
		}
		expr, err := translate("^(?:" + rest[3:end-1] + ")")
		if err != nil {
			return nil, err
		}
		out = append(out, scan.Pattern{Expr: expr, Not: rest[2] == '!', Source: source})
		rest = rest[end:]
	}
	if out != nil {
		rest = "^" + rest
	} else {
		rest = source
	}
	expr, err := translate(rest)
	if err != nil {
		return nil, err
	}
	return append(out, scan.Pattern{Expr: expr, Source: source}), nil
}

// groupEnd is the place after the parenthesis that closes the one at 0, or -1.
func groupEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			for i++; i < len(s) && s[i] != ']'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// alternates tells whether there is a | outside of groups.
func alternates(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '[':
			for i++; i < len(s) && s[i] != ']'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				return true
			}
		}
	}
	return false
}

// expression is a pattern as one thing that matches.
type expression struct {
	source string
	all    []scan.Pattern
}

func (e *expression) String() string { return e.source }

// MatchString tells whether all of the pattern holds.
func (e *expression) MatchString(s string) bool {
	for i := range e.all {
		if e.all[i].Expr.MatchString(s) == e.all[i].Not {
			return false
		}
	}
	return true
}

// translate makes an RE2 expression of an ECMA-262 pattern without look-arounds.
func translate(source string) (*regexp.Regexp, error) {
	t := translator{s: source}
	for t.i < len(t.s) {
		if err := t.term(); err != nil {
			return nil, err
		}
		if t.out.Len() > maxExpression {
			return nil, errors.New("the pattern grows too long for RE2")
		}
	}
	expr, err := regexp.Compile(t.out.String())
	if err != nil {
		return nil, fmt.Errorf("it is no expression: %w", err)
	}
	return expr, nil
}

// translator holds what was translated so far.
type translator struct {
	s    string
	i    int
	out  strings.Builder
	atom int   // where in out the last atom begins
	open []int // where the open groups begin
}

// emit writes an atom.
func (t *translator) emit(text string) {
	t.atom = t.out.Len()
	t.out.WriteString(text)
}

func (t *translator) term() error {
	switch c := t.s[t.i]; c {
	case '\\':
		text, err := t.escape(false)
		if err != nil {
			return err
		}
		t.emit(text)
		return nil
	case '.':
		t.emit(`[^\n\r\x{2028}\x{2029}]`)
	case '[':
		return t.class()
	case '(':
		return t.group()
	case ')':
		if len(t.open) > 0 {
			t.atom, t.open = t.open[len(t.open)-1], t.open[:len(t.open)-1]
		}
		t.out.WriteByte(')')
	case '{':
		return t.repeat()
	case '*', '+', '?', '|', '^', '$':
		t.out.WriteByte(c)
	default:
		size := 1
		for t.i+size < len(t.s) && t.s[t.i+size]&0xC0 == 0x80 {
			size++
		}
		t.emit(t.s[t.i : t.i+size])
		t.i += size
		return nil
	}
	t.i++
	return nil
}

// group opens a group.
func (t *translator) group() error {
	t.open = append(t.open, t.out.Len())
	rest := t.s[t.i:]
	switch {
	case strings.HasPrefix(rest, "(?<=") || strings.HasPrefix(rest, "(?<!"):
		return errors.New("look-behind can't be compiled (RE2)")
	case strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!"):
		return errors.New("a look-ahead that is not at the begin can't be compiled (RE2)")
	case strings.HasPrefix(rest, "(?:"):
		t.out.WriteString("(?:")
		t.i += 3
		return nil
	case strings.HasPrefix(rest, "(?<"):
		end := strings.IndexByte(rest, '>')
		if end < 0 {
			return errors.New("the name of a group is not closed")
		}
		t.out.WriteString("(")
		t.i += end + 1
		return nil
	case strings.HasPrefix(rest, "(?"):
		return errors.New("flags inside of a pattern are not of ECMA-262")
	}
	t.out.WriteByte('(')
	t.i++
	return nil
}

// repeat reads {n}, {n,}, {n,m}; those over RE2's bound are split.
func (t *translator) repeat() error {
	end := strings.IndexByte(t.s[t.i:], '}')
	if end < 0 {
		t.emit(`\{`)
		t.i++
		return nil
	}
	from, to, isRange := strings.Cut(t.s[t.i+1:t.i+end], ",")
	low, err := strconv.Atoi(from)
	high := low
	if err == nil && isRange && to != "" {
		high, err = strconv.Atoi(to)
	}
	if standsForItself := err != nil || low < 0; standsForItself {
		t.emit(`\{`)
		t.i++
		return nil
	}
	t.i += end + 1
	endless := isRange && to == ""
	switch {
	case high < low:
		return errors.New("a repeat's bounds are the wrong way round")
	case high > maxTimes:
		return fmt.Errorf("more than %d repeats can't be compiled", maxTimes)
	}
	atom := t.out.String()[t.atom:]
	head := t.out.String()[:t.atom]
	t.out.Reset()
	t.out.WriteString(head)
	lazy := ""
	if t.i < len(t.s) && t.s[t.i] == '?' {
		lazy = "?"
		t.i++
	}
	t.out.WriteString("(?:")
	for ; low > maxRepeat; low, high = low-maxRepeat, high-maxRepeat {
		fmt.Fprintf(&t.out, "%s{%d}", atom, maxRepeat)
	}
	if endless {
		fmt.Fprintf(&t.out, "%s{%d,}%s)", atom, low, lazy)
		return nil
	}
	for ; high > maxRepeat; high -= maxRepeat {
		fmt.Fprintf(&t.out, "%s{%d,%d}%s", atom, min(low, maxRepeat), maxRepeat, lazy)
		low = max(0, low-maxRepeat)
	}
	fmt.Fprintf(&t.out, "%s{%d,%d}%s)", atom, low, high, lazy)
	return nil
}

// class reads a class of characters.
func (t *translator) class() error {
	rest := t.s[t.i:]
	switch {
	case strings.HasPrefix(rest, "[^]"):
		t.emit(`[\x00-\x{10ffff}]`)
		t.i += 3
		return nil
	case strings.HasPrefix(rest, "[]"):
		t.emit(`[^\x00-\x{10ffff}]`)
		t.i += 2
		return nil
	}
	var set strings.Builder
	set.WriteByte('[')
	t.i++
	if t.i < len(t.s) && t.s[t.i] == '^' {
		set.WriteByte('^')
		t.i++
	}
	for t.i < len(t.s) {
		switch c := t.s[t.i]; c {
		case ']':
			set.WriteByte(']')
			t.i++
			t.emit(set.String())
			return nil
		case '\\':
			text, err := t.escape(true)
			if err != nil {
				return err
			}
			set.WriteString(text)
		case '[':
			set.WriteString(`\[`)
			t.i++
		default:
			set.WriteByte(c)
			t.i++
		}
	}
	return errors.New("a class of characters is not closed")
}

// escape reads an escape, outside or inside of a class.
func (t *translator) escape(inside bool) (string, error) {
	if t.i+1 >= len(t.s) {
		return "", errors.New("it ends with a backslash")
	}
	c := t.s[t.i+1]
	start := t.i
	t.i += 2
	switch c {
	case 'd', 'D', 'w', 'W', 't', 'n', 'r', 'f', 'v':
		return t.s[start:t.i], nil
	case 'b', 'B':
		if inside && c == 'b' {
			return `\x08`, nil
		}
		return t.s[start:t.i], nil
	case 's', 'S':
		set := spaces
		if c == 'S' {
			set = notSpaces
		}
		if !inside {
			set = "[" + set + "]"
		}
		return set, nil
	case 'c':
		if t.i < len(t.s) && (t.s[t.i]|0x20 >= 'a' && t.s[t.i]|0x20 <= 'z') {
			t.i++
			return fmt.Sprintf(`\x%02x`, t.s[t.i-1]&31), nil
		}
		return "", errors.New(`\c needs a letter`)
	case 'u', 'x':
		return t.codePoint(c)
	case 'p', 'P':
		return t.property(c)
	case '0':
		return `\x00`, nil
	case 'k':
		return "", errors.New("a back-reference can't be compiled (RE2)")
	}
	switch {
	case c >= '1' && c <= '9':
		return "", errors.New("a back-reference can't be compiled (RE2)")
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return "", fmt.Errorf(`\%c is no escape of ECMA-262`, c)
	case c >= 0x80:
		return string(t.s[t.i-1]), nil
	}
	return regexp.QuoteMeta(string(c)), nil
}

// codePoint reads \xHH, \uXXXX (a surrogate pair as one), \u{X…}.
func (t *translator) codePoint(c byte) (string, error) {
	read := func(size int) (uint64, bool) {
		if t.i+size > len(t.s) {
			return 0, false
		}
		n, err := strconv.ParseUint(t.s[t.i:t.i+size], 16, 32)
		t.i += size
		return n, err == nil
	}
	if c == 'u' && t.i < len(t.s) && t.s[t.i] == '{' {
		end := strings.IndexByte(t.s[t.i:], '}')
		if end < 2 {
			return "", errors.New(`\u{ is not closed`)
		}
		t.i++
		n, valid := read(end - 1)
		t.i++
		if !valid {
			return "", errors.New(`\u needs hexadecimal digits`)
		}
		return fmt.Sprintf(`\x{%x}`, n), nil
	}
	size := 4
	if c == 'x' {
		size = 2
	}
	n, valid := read(size)
	if !valid {
		return "", fmt.Errorf(`\%c needs %d hexadecimal digits`, c, size)
	}
	if r := rune(n); utf16.IsSurrogate(r) {
		if !strings.HasPrefix(t.s[t.i:], `\u`) {
			return "", errors.New("half a surrogate pair is no character")
		}
		t.i += 2
		low, valid := read(4)
		if both := utf16.DecodeRune(r, rune(low)); valid && both != 0xFFFD {
			return fmt.Sprintf(`\x{%x}`, both), nil
		}
		return "", errors.New("half a surrogate pair is no character")
	}
	return fmt.Sprintf(`\x{%x}`, n), nil
}

// property reads \p{…}.
func (t *translator) property(c byte) (string, error) {
	end := strings.IndexByte(t.s[t.i:], '}')
	if end < 2 || t.s[t.i] != '{' {
		return "", errors.New(`\p needs a property in braces`)
	}
	name := t.s[t.i+1 : t.i+end]
	t.i += end + 1
	if key, value, found := strings.Cut(name, "="); found {
		switch key {
		case "Script", "sc", "General_Category", "gc":
			name = value
		default:
			return "", fmt.Errorf("the property %s can't be compiled (RE2)", key)
		}
	}
	for _, long := range [][2]string{
		{"Letter", "L"},
		{"Uppercase_Letter", "Lu"},
		{"Lowercase_Letter", "Ll"},
		{"Titlecase_Letter", "Lt"},
		{"Mark", "M"},
		{"Number", "N"},
		{"Decimal_Number", "Nd"},
		{"digit", "Nd"},
		{"Punctuation", "P"},
		{"punct", "P"},
		{"Symbol", "S"},
		{"Separator", "Z"},
		{"Space_Separator", "Zs"},
		{"Other", "C"},
		{"Control", "Cc"},
		{"cntrl", "Cc"},
	} {
		if name == long[0] {
			name = long[1]
		}
	}
	return `\` + string(c) + "{" + name + "}", nil
}
