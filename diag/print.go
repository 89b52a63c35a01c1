package diag

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lineWidth is the number of terminal columns of a source line that are shown;
// a longer line is cut around the place.
const lineWidth = 110

// Print writes findings for people: the place and the fault, the source line
// with the place underlined, the other places, an example and the fix.
// Sources gives the text of the files; a file that is not in it is shown
// without its lines. Color adds terminal colours.
func Print(w io.Writer, findings []Finding, sources map[string][]byte, color bool) error {
	p := printer{w: bufio.NewWriter(w), lines: make(map[string][]string), sources: sources, color: color}
	for i := range findings {
		p.finding(&findings[i])
	}
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}

// PrintJSON writes findings for programs: one JSON object with the list and
// the number of errors and warnings.
func PrintJSON(w io.Writer, findings []Finding) error {
	errs, warnings := Count(findings)
	if findings == nil {
		findings = []Finding{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(struct {
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
		Findings []Finding `json:"findings"`
	}{errs, warnings, findings})
	if err != nil {
		return fmt.Errorf("print findings as JSON: %w", err)
	}
	return nil
}

// style is an SGR parameter of ECMA-48 §8.3.117.
type style string

const (
	bold   style = "1"
	red    style = "1;31"
	yellow style = "1;33"
	blue   style = "34"
	cyan   style = "36"
)

type printer struct {
	w       *bufio.Writer
	lines   map[string][]string
	sources map[string][]byte
	color   bool
}

func (p *printer) paint(s style, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

func (p *printer) print(parts ...string) {
	for _, s := range parts {
		_, _ = p.w.WriteString(s) // the error stays in the writer until Flush
	}
}

func (p *printer) finding(f *Finding) {
	mark := red
	if f.Severity == Warning {
		mark = yellow
	}
	p.print(p.paint(bold, clean(f.Position.String())), ": ", p.paint(mark, f.Severity.String()), ": ", clean(f.Text), "\n")
	p.source(f.Position, f.Length, mark)
	for _, r := range f.Related {
		p.print("  ", clean(r.Position.String()))
		if r.Text != "" {
			p.print(": ", clean(r.Text))
		}
		p.print("\n")
		p.source(r.Position, r.Length, blue)
	}
	if f.Example != "" {
		p.print("  ", p.paint(cyan, "example"), ": ", clean(f.Example), "\n")
	}
	if f.Fix != "" {
		p.print("  ", p.paint(cyan, "fix"), ": ", clean(f.Fix), "\n")
	}
}

// source shows a line with its place underlined.
func (p *printer) source(at Position, length int, mark style) {
	lines := p.linesOf(at.File)
	if at.Line < 1 || at.Line > len(lines) {
		return
	}
	number := strconv.Itoa(at.Line)
	text, carets := underline(lines[at.Line-1], at.Column, length)
	p.print(p.paint(blue, fmt.Sprintf("%5s | ", number)), text, "\n")
	if carets != "" {
		p.print(p.paint(blue, "      | "), p.paint(mark, carets), "\n")
	}
}

func (p *printer) linesOf(file string) []string {
	if lines, ok := p.lines[file]; ok {
		return lines
	}
	lines := SplitLines(p.sources[file])
	p.lines[file] = lines
	return lines
}

// SplitLines cuts a text at its line breaks as YAML counts them: CR LF, CR or
// LF (YAML 1.2.2 §5.4). A byte order mark is not part of the first line.
func SplitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var lines []string
	for {
		i := bytes.IndexAny(text, "\r\n")
		if i < 0 {
			return append(lines, string(text))
		}
		lines = append(lines, string(text[:i]))
		if text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n' {
			i++
		}
		text = text[i+1:]
	}
}

// underline gives the shown form of a line and the line of carets below it.
// Column and length count characters; a column past the end underlines the
// place after the last character.
func underline(line string, column, length int) (shown, carets string) {
	runes := []rune(strings.ToValidUTF8(line, "\ufffd"))
	if column < 1 {
		return clean(string(runes)), ""
	}
	from := min(column-1, len(runes))
	to := min(from+max(length, 1), len(runes))
	to = max(to, from+1)
	cut := 0
	if columns(runes) > lineWidth && from > lineWidth/2 {
		cut = from - lineWidth/2
	}
	var text, under strings.Builder
	if cut > 0 {
		text.WriteString("…")
		under.WriteString(" ")
	}
	used := 0
	for i := cut; i <= len(runes); i++ {
		if i == len(runes) {
			if i >= from && i < to {
				under.WriteByte('^')
			}
			break
		}
		cell := cellOf(runes[i])
		if used+width(cell) > lineWidth {
			text.WriteString("…")
			break
		}
		used += width(cell)
		text.WriteString(cell)
		if i < to {
			fill := " "
			if i >= from {
				fill = "^"
			}
			under.WriteString(strings.Repeat(fill, width(cell)))
		}
	}
	return text.String(), under.String()
}

// cellOf is the shown form of one character: a tab becomes two spaces, and
// control characters never reach a terminal.
func cellOf(r rune) string {
	switch {
	case r == '\t':
		return "  "
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
		return "\ufffd"
	default:
		return string(r)
	}
}

func clean(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		b.WriteString(cellOf(r))
	}
	return b.String()
}

func columns(runes []rune) int {
	n := 0
	for _, r := range runes {
		n += width(cellOf(r))
	}
	return n
}

// width is the number of terminal columns of a cell. East Asian wide
// characters take two (Unicode Standard Annex #11); combining marks none.
func width(cell string) int {
	if len(cell) == 1 {
		return 1
	}
	if cell == "  " {
		return 2
	}
	r, _ := utf8.DecodeRuneInString(cell)
	switch {
	case unicode.Is(unicode.Mn, r):
		return 0
	case r >= 0x1100 && r <= 0x115f, // Hangul Jamo
		r >= 0x2e80 && r <= 0x303e, r >= 0x3041 && r <= 0x33ff, // CJK radicals to Hiragana, Katakana
		r >= 0x3400 && r <= 0x4dbf, r >= 0x4e00 && r <= 0x9fff, // CJK ideographs
		r >= 0xac00 && r <= 0xd7a3, // Hangul syllables
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, // full width forms
		r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	default:
		return 1
	}
}
