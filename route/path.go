package route

import (
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Reading tells by which further rules a path could be read (gateway §3.2): what
// some servers do with octets that others leave alone. A path without any has
// one reading.
type Reading uint16

// The further readings.
const (
	ReadSlash     Reading = 1 << iota // %2F decoded to a slash
	ReadBackslash                     // %5C decoded, and taken for a slash
	ReadParams                        // ";…" cut from each segment
	ReadEmpty                         // "//" merged
	ReadTwice                         // %25XX decoded twice
	ReadQuery                         // cut at %3F
	ReadFragment                      // cut at %23
	numReadings   = 7
)

// String names the readings as explain shows them: "slash, params".
func (d Reading) String() string {
	words := [numReadings]string{"slash", "backslash", "params", "empty", "twice", "query", "fragment"}
	out := ""
	for i, w := range words {
		if d&(1<<i) == 0 {
			continue
		}
		if out != "" {
			out += ", "
		}
		out += w
	}
	return out
}

// Canonical makes r.Path canonical: hex digits upper-case, unreserved octets
// decoded (RFC 3986 §6.2.2), then dot segments removed (§5.2.4). The result is
// forwarded as well as matched. It gives the further readings that [Table.Find]
// has to judge. A path in canonical form costs one pass and no allocation;
// another one is written to the exchange's arena. The error is a *problem.Error
// with status 400.
func Canonical(r *message.Request) (Reading, error) {
	p, d, err := CanonicalPath(&r.X, r.Path)
	if err != nil {
		return 0, err
	}
	r.Path = p
	return d, nil
}

// CanonicalPath is [Canonical] of a path that stands alone, such as one that a
// filter made. The result is path itself, or lives in x's arena.
func CanonicalPath(x *message.Exchange, path string) (string, Reading, error) {
	if path == "" || path[0] != '/' {
		return "", 0, problem.New(400, "path_syntax", "the path does not start with a slash")
	}
	if clean, d := scanPath(path); clean {
		return path, d, nil
	}
	out, err := normalise(x.Scratch(len(path)), path)
	if err != nil {
		return "", 0, err
	}
	if out = removeDots(out); out == nil {
		return "", 0, problem.New(400, "path_above_root", "the path leads above its root")
	}
	p := message.View(out)
	_, d := scanPath(p)
	return p, d, nil
}

// Classes of octets in a path.
const (
	pathPlain  = iota
	pathBad    // must be percent-encoded
	pathEscape // %
	pathSlash
	pathParam // ;
)

var pathClass = pathClasses() //nolint:gochecknoglobals // read-only table

func pathClasses() (t [256]uint8) {
	for i := range t {
		switch c := byte(i); {
		case c <= 0x20, c >= 0x7F, c == '\\', c == '?', c == '#', c == '"', c == '<', c == '>':
			t[i] = pathBad
		case c == '%':
			t[i] = pathEscape
		case c == '/':
			t[i] = pathSlash
		case c == ';':
			t[i] = pathParam
		}
	}
	return t
}

// scanPath tells whether a path that starts with a slash is canonical, and its
// further readings. The readings count only when it is.
func scanPath(path string) (clean bool, d Reading) {
	for i := 0; i < len(path); i++ {
		switch pathClass[path[i]] {
		case pathPlain:
		case pathBad:
			return false, 0
		case pathParam:
			d |= ReadParams
		case pathSlash:
			if i+1 == len(path) {
				break
			}
			switch path[i+1] {
			case '/':
				d |= ReadEmpty
			case '.':
				if isDots(path[i+1 : nextSlash(path, i+1)]) {
					return false, 0
				}
			}
		case pathEscape:
			more, ok := scanEscape(path[i:])
			if !ok {
				return false, 0
			}
			d |= more
			i += 2
		}
	}
	return true, d
}

// scanEscape judges "%XX…": whether it is in canonical form, and its readings.
func scanEscape(s string) (d Reading, ok bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, lo := unhex(s[1]), unhex(s[2])
	if hi > 15 || lo > 15 || s[1] >= 'a' || s[2] >= 'a' {
		return 0, false
	}
	c := hi<<4 | lo
	switch {
	case c < 0x20, c == 0x7F, unreserved(c):
		return 0, false
	case c == '%':
		if len(s) >= 5 && unhex(s[3]) < 16 && unhex(s[4]) < 16 {
			return ReadTwice, true
		}
		return 0, true
	default:
		return readingOf(c), true
	}
}

// readingOf is the further reading that a decoded octet has.
func readingOf(c byte) Reading {
	switch c {
	case '/':
		return ReadSlash
	case '\\':
		return ReadBackslash
	case ';':
		return ReadParams
	case '?':
		return ReadQuery
	case '#':
		return ReadFragment
	}
	return 0
}

func isDots(s string) bool { return s == "." || s == ".." }

// unhex is the value of a hex digit, 255 for another octet.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// unreserved octets need no percent-encoding (RFC 3986 §2.3).
func unreserved(c byte) bool {
	return c-'0' < 10 || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// normalise appends path with its escapes in canonical form.
func normalise(dst []byte, path string) ([]byte, error) {
	const digits = "0123456789ABCDEF"
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch pathClass[c] {
		case pathBad:
			if c == '\\' {
				return nil, problem.New(400, "backslash", "the path holds a backslash")
			}
			return nil, problem.New(400, "target_octet", "the path holds an octet that must be percent-encoded")
		case pathEscape:
		default:
			dst = append(dst, c)
			continue
		}
		if i+2 >= len(path) || unhex(path[i+1]) > 15 || unhex(path[i+2]) > 15 {
			return nil, problem.New(400, "percent", "a percent sign without two hex digits")
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		i += 2
		switch v := hi<<4 | lo; {
		case v < 0x20 || v == 0x7F:
			return nil, problem.New(400, "percent_control", "the path holds an encoded control character")
		case unreserved(v):
			dst = append(dst, v)
		default:
			dst = append(dst, '%', digits[hi], digits[lo])
		}
	}
	return dst, nil
}

// removeDots removes dot segments in place (RFC 3986 §5.2.4); nil means that the
// path leads above its root. p starts with a slash.
func removeDots(p []byte) []byte {
	out := p[:0]
	for i := 0; i < len(p); {
		end := i + 1
		for end < len(p) && p[end] != '/' {
			end++
		}
		seg := message.View(p[i+1 : end])
		if !isDots(seg) {
			out = append(out, p[i:end]...)
			i = end
			continue
		}
		if seg == ".." {
			if len(out) == 0 {
				return nil
			}
			cut := len(out) - 1
			for out[cut] != '/' {
				cut--
			}
			out = out[:cut]
		}
		if end == len(p) {
			out = append(out, '/')
		}
		i = end
	}
	if len(out) == 0 {
		out = append(out, '/')
	}
	return out
}

// readAll is every further reading at once: what a chain of servers might do.
const readAll = Reading(1<<numReadings - 1)

// reread appends the canonical path as it looks by the given readings, dot
// segments removed; nil means that it leads above the root. It is never longer
// than path, and for matching alone: it may hold octets that a path can't.
func reread(dst []byte, path string, d Reading) []byte {
	p := decode(dst, path, d)
	if d&ReadParams != 0 {
		p = cutParams(p)
	}
	if d&ReadEmpty != 0 {
		p = mergeSlashes(p)
	}
	return removeDots(p)
}

// decode appends path with the octets decoded that d names.
func decode(dst []byte, path string, d Reading) []byte {
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			dst = append(dst, path[i])
			continue
		}
		c := unhex(path[i+1])<<4 | unhex(path[i+2])
		size := 3
		twice := c == '%' && d&ReadTwice != 0 && i+4 < len(path) && unhex(path[i+3]) < 16 && unhex(path[i+4]) < 16
		if twice {
			c, size = unhex(path[i+3])<<4|unhex(path[i+4]), 5
		}
		switch of := readingOf(c); {
		case c == '/' && (twice || d&of != 0), c == '\\' && d&of != 0:
			dst = append(dst, '/')
		case (c == '?' || c == '#') && d&of != 0:
			return dst
		case twice, c == ';' && d&of != 0:
			dst = append(dst, c)
		default:
			dst = append(dst, path[i:i+size]...)
		}
		i += size - 1
	}
	return dst
}

// cutParams removes ";…" from each segment, in place.
func cutParams(p []byte) []byte {
	out, inside := p[:0], false
	for _, c := range p {
		switch c {
		case '/':
			inside = false
		case ';':
			inside = true
		}
		if !inside {
			out = append(out, c)
		}
	}
	return out
}

// mergeSlashes makes one slash of several, in place.
func mergeSlashes(p []byte) []byte {
	out := p[:0]
	for i, c := range p {
		if c != '/' || i == 0 || p[i-1] != '/' {
			out = append(out, c)
		}
	}
	return out
}
