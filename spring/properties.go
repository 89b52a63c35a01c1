package spring

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/maru-msa/maru/diag"
)

// pair is one key of a .properties file with its value.
type pair struct {
	key, value string
	at         diag.Position
	length     int // of the key
}

// readProperties reads the format of java.util.Properties: logical lines that a
// backslash continues, "=", ":" or white space between key and value, escapes,
// comments with # and !. A comment of exactly "#---" or "!---" begins another
// document, as Spring Boot has it. Text that is not UTF-8 is Latin-1. No text is
// wrong.
func readProperties(name string, text []byte) [][]pair {
	docs := [][]pair{nil}
	lines := diag.SplitLines(text)
	for i := 0; i < len(lines); i++ {
		line, start := lines[i], i
		if !utf8.ValidString(line) {
			line = latin1(line)
		}
		body := strings.TrimLeft(line, " \t\f")
		column := utf8.RuneCountInString(line[:len(line)-len(body)]) + 1
		if body == "" {
			continue
		}
		if body[0] == '#' || body[0] == '!' {
			if strings.TrimRight(body[1:], " \t\f") == "---" {
				docs = append(docs, nil)
			}
			continue
		}
		for continued(body) && i+1 < len(lines) {
			i++
			next := lines[i]
			if !utf8.ValidString(next) {
				next = latin1(next)
			}
			body = body[:len(body)-1] + strings.TrimLeft(next, " \t\f")
		}
		if continued(body) { // at the end of the file
			body = body[:len(body)-1]
		}
		p := splitPair(body)
		if p.key == "" {
			continue
		}
		p.at = diag.Position{File: name, Line: start + 1, Column: column}
		last := len(docs) - 1
		docs[last] = append(docs[last], p)
	}
	return docs
}

func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// continued tells whether a line ends with an odd number of backslashes.
func continued(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

// splitPair cuts a logical line into key and value.
func splitPair(line string) pair {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	rest := strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return pair{key: unescape(line[:end]), value: unescape(rest), length: utf8.RuneCountInString(line[:end])}
}

// unescape reads \t, \n, \r, \f and \uXXXX; any other escaped character stands
// for itself.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+4 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+5], 16, 32); err == nil {
					b.WriteRune(rune(n))
					i += 4
					continue
				}
			}
			b.WriteByte('u')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
