package contract

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/scan"
)

// formats are the formats that are checked, by name.
func formats() map[string]scan.Format {
	out := make(map[string]scan.Format)
	text := func(name, want string, check func(s string) bool) {
		out[name] = scan.Format{Name: name, Want: want, Text: func(b []byte) bool { return check(message.View(b)) }}
	}
	text("date-time", "an RFC 3339 date and time with its offset", isDateTime)
	text("date", "an RFC 3339 date", isDate)
	text("time", "an RFC 3339 time with its offset", isTime)
	text("duration", "a duration such as P1DT12H", isDuration)
	text("email", "an e-mail address", isEmail)
	text("hostname", "a host name", isHostname)
	text("ipv4", "an IPv4 address", func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is4() })
	text("ipv6", "an IPv6 address", func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && !a.Is4() && a.Zone() == "" })
	text("uri", "a URI", func(s string) bool { return isReference(s) && hasScheme(s) })
	text("uri-reference", "a URI or a relative reference", isReference)
	text("uuid", "a UUID", isUUID)
	text("json-pointer", "a JSON pointer", isPointer)
	text("regex", "a regular expression", func(s string) bool { _, err := patterns(s); return err == nil })
	text("byte", "base64", isBase64)
	number := func(name, want, low, high string, whole bool) {
		program := rangeProgram(low, high, whole)
		out[name] = scan.Format{Name: name, Want: want, Number: func(literal []byte) bool { return holds(program, literal) }}
	}
	number("int32", "a 32-bit integer", "-2147483648", "2147483647", true)
	number("int64", "a 64-bit integer", "-9223372036854775808", "9223372036854775807", true)
	number("float", "a number within single precision", "-3.4028235e38", "3.4028235e38", false)
	number("double", "a number within double precision", "-1.7976931348623157e308", "1.7976931348623157e308", false)
	return out
}

// rangeProgram checks a number's literal.
func rangeProgram(low, high string, whole bool) *scan.Program {
	s := &scan.Schema{Minimum: low, Maximum: high}
	if whole {
		s.Types = scan.TypeInteger
	}
	p, err := scan.Compile(s, nil, scan.Rules{})
	if err != nil {
		return nil // never: the bounds are constants
	}
	return p
}

// holds tells whether the literal passes.
func holds(p *scan.Program, literal []byte) bool {
	tape, report := scan.NewTape(), scan.NewReport()
	err := p.Scan(literal, tape, report)
	valid := err == nil && report.Valid()
	tape.Release()
	report.Release()
	return valid
}

// digits reads n digits as a number; -1 when they are none.
func digits(s string, from, n int) int {
	if from+n > len(s) {
		return -1
	}
	value := 0
	for _, c := range []byte(s[from : from+n]) {
		if c < '0' || c > '9' {
			return -1
		}
		value = value*10 + int(c-'0')
	}
	return value
}

// isDate is full-date of RFC 3339 §5.6.
func isDate(s string) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	year, month, day := digits(s, 0, 4), digits(s, 5, 2), digits(s, 8, 2)
	return year >= 0 && month >= 1 && month <= 12 && day >= 1 &&
		day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// isTime is full-time of RFC 3339 §5.6; a leap second ends a day of UTC (§5.7).
func isTime(s string) bool {
	if len(s) < 9 || s[2] != ':' || s[5] != ':' {
		return false
	}
	hour, minute, second := digits(s, 0, 2), digits(s, 3, 2), digits(s, 6, 2)
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 {
		return false
	}
	rest := s[8:]
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 1 {
			return false
		}
		rest = rest[n:]
	}
	offset := 0
	switch {
	case rest == "Z" || rest == "z":
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		h, m := digits(rest, 1, 2), digits(rest, 4, 2)
		if h < 0 || h > 23 || m < 0 || m > 59 {
			return false
		}
		if offset = h*60 + m; rest[0] == '+' {
			offset = -offset
		}
	default:
		return false
	}
	const day = 24 * 60
	return second < 60 || (hour*60+minute+offset+day)%day == day-1
}

func isDateTime(s string) bool {
	return len(s) > 11 && s[10]|0x20 == 't' && isDate(s[:10]) && isTime(s[11:])
}

// isDuration is duration of RFC 3339 appendix A.
func isDuration(s string) bool {
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return false
	}
	date, clock, timed := strings.Cut(rest, "T")
	if strings.HasSuffix(date, "W") {
		return !timed && units(date, "W")
	}
	if timed && clock == "" {
		return false
	}
	return units(date, "YMD") && units(clock, "HMS")
}

// units tells whether s is numbers with these units in order, none left out
// between two of them.
func units(s, order string) bool {
	last := -1
	for s != "" {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		if n == 0 || n == len(s) {
			return false
		}
		i := strings.IndexByte(order, s[n])
		if i < 0 || last >= 0 && i != last+1 {
			return false
		}
		last, s = i, s[n+1:]
	}
	return true
}

// isEmail is a mailbox of RFC 5321 §4.1.2.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > 254 || at > 64 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if len(local) > 2 && local[0] == '"' && local[len(local)-1] == '"' {
		return mailDomain(domain) && !strings.ContainsAny(strings.ReplaceAll(local[1:len(local)-1], `\"`, ""), "\"\n\r")
	}
	if local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return false
	}
	for _, c := range []byte(local) {
		if c <= ' ' || c >= 0x7F || strings.IndexByte(`()<>[]:;@\,"`, c) >= 0 {
			return false
		}
	}
	return mailDomain(domain)
}

func mailDomain(s string) bool {
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = strings.TrimPrefix(s[1:len(s)-1], "IPv6:")
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return isHostname(s)
}

// isHostname is a name of RFC 1123 §2.1.
func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if label == 0 || s[i-1] == '-' {
				return false
			}
			label = 0
			continue
		case c == '-' && label > 0, c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && s[len(s)-1] != '-'
}

// hasScheme tells whether a reference begins with a scheme (RFC 3986 §3.1).
func hasScheme(s string) bool {
	colon := strings.IndexByte(s, ':')
	if colon < 1 || s[0]|0x20 < 'a' || s[0]|0x20 > 'z' {
		return false
	}
	for _, c := range []byte(s[1:colon]) {
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.' {
			continue
		}
		return false
	}
	return true
}

// isReference tells whether s holds only what a URI reference may (RFC 3986 §2).
func isReference(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !hexDigit(s[i+1]) || !hexDigit(s[i+2]) {
				return false
			}
			i += 2
		case c <= ' ' || c >= 0x7F || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return false
		}
	}
	before, fragment, _ := strings.Cut(s, "#")
	if strings.Contains(fragment, "#") {
		return false
	}
	if !hasScheme(s) { // the first segment of a relative one has no colon (§4.2)
		first, _, _ := strings.Cut(before, "/")
		first, _, _ = strings.Cut(first, "?")
		if strings.Contains(first, ":") {
			return false
		}
	}
	_, after, found := strings.Cut(before, "//")
	if !found {
		return !strings.ContainsAny(before, "[]")
	}
	authority, _, _ := strings.Cut(after, "/")
	return isAuthority(authority)
}

// isAuthority checks brackets and the port (RFC 3986 §3.2).
func isAuthority(s string) bool {
	s, _, _ = strings.Cut(s, "?")
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		if strings.ContainsAny(s[:at], "[]@") {
			return false
		}
		s = s[at+1:]
	}
	port := ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		if a, err := netip.ParseAddr(s[1:end]); (err != nil || a.Is4()) && !strings.HasPrefix(s[1:], "v") {
			return false
		}
		port = s[end+1:]
	} else if colon := strings.IndexByte(s, ':'); colon >= 0 {
		port = s[colon:]
	}
	if strings.ContainsAny(port, "[]") {
		return false
	}
	port = strings.TrimPrefix(port, ":")
	return strings.Trim(port, "0123456789") == ""
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// isUUID is a UUID of RFC 9562 §4.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !hexDigit(s[i]) {
			return false
		}
	}
	return true
}

// isPointer is a JSON pointer (RFC 6901 §3).
func isPointer(s string) bool {
	if s != "" && s[0] != '/' {
		return false
	}
	for i := range len(s) {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return false
		}
	}
	return true
}

// isBase64 is base64 of RFC 4648 §4 with its padding.
func isBase64(s string) bool {
	if len(s)%4 != 0 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9', c|0x20 >= 'a' && c|0x20 <= 'z', c == '+', c == '/':
		case c == '=' && (i == len(s)-1 || i == len(s)-2 && s[i+1] == '='):
		default:
			return false
		}
	}
	return true
}

// isNumber tells whether a text is a JSON number (RFC 8259 §6).
func isNumber(s []byte) bool {
	rest := bytes.TrimPrefix(s, []byte("-"))
	run := func() int {
		n := 0
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		rest = rest[n:]
		return n
	}
	if len(rest) == 0 || rest[0] == '0' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9' || run() == 0 {
		return false
	}
	if len(rest) > 0 && rest[0] == '.' {
		if rest = rest[1:]; run() == 0 {
			return false
		}
	}
	if len(rest) > 0 && rest[0]|0x20 == 'e' {
		if rest = rest[1:]; len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		if run() == 0 {
			return false
		}
	}
	return len(rest) == 0
}
