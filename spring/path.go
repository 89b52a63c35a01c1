package spring

import (
	"regexp"
	"strconv"
	"strings"
)

// path is a path pattern in maru's words.
type path struct {
	pattern string
	// names gives maru's parameter for a variable of the pattern.
	names map[string]string
	// rest is the variable that takes the rest, with its slash, or "".
	rest string
	// least is how many segments every path of it has.
	least int
}

// patternReader turns a PathPattern of Spring, or an Ant pattern, into maru's.
type patternReader struct {
	path

	expr  strings.Builder
	mixed bool // it needs an expression
	wild  int  // numbers nameless parameters
	taken map[string]bool
	fault string
}

// readPattern gives the patterns that together take what theirs takes: a second
// one for the path with a slash at the end, where they ignore that slash. The
// fault says what can't be written.
func readPattern(text string, slash bool) (out []path, fault string) {
	if !strings.HasPrefix(text, "/") {
		text = "/" + text
	}
	r := patternReader{path: path{names: make(map[string]string)}, taken: make(map[string]bool)}
	list := cutSegments(text[1:])
	for i, s := range list {
		r.segment(s, i == len(list)-1)
		if r.fault != "" {
			return nil, r.fault
		}
	}
	open := strings.HasSuffix(r.pattern, "...}")
	if r.mixed {
		expr := r.expr.String()
		if slash && !open && !strings.HasSuffix(text, "/") {
			expr += "/?"
		}
		if _, err := regexp.Compile(expr); err != nil {
			return nil, "the expression is none that RE2 knows: " + reason(err)
		}
		r.pattern = "regex:" + expr
		return []path{r.path}, ""
	}
	out = []path{r.path}
	if slash && !open && !strings.HasSuffix(text, "/") {
		twin := r.path
		twin.pattern += "/"
		out = append(out, twin)
	}
	return out, ""
}

// reason is a regexp error without its prefix.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "error parsing regexp: ") }

// cutSegments cuts at slashes outside of braces.
func cutSegments(text string) []string {
	var out []string
	depth, from := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case '}':
			depth = max(depth-1, 0)
		case '/':
			if depth == 0 {
				out = append(out, text[from:i])
				from = i + 1
			}
		}
	}
	return append(out, text[from:])
}

// name gives a variable a name that maru takes.
func (r *patternReader) name(variable string) string {
	var b strings.Builder
	for i := range len(variable) {
		c := variable[i]
		if c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' && i > 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
		}
	}
	name := unique(r.taken, b.String())
	name = strings.ReplaceAll(name, "-", "_")
	r.names[variable] = name
	return name
}

func (r *patternReader) nameless() string {
	for {
		r.wild++
		name := "any" + strconv.Itoa(r.wild)
		if !r.taken[name] {
			r.taken[name] = true
			return name
		}
	}
}

// segment reads one segment and adds it in both forms.
func (r *patternReader) segment(s string, last bool) {
	inner, braces := strings.CutPrefix(s, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	whole := braces && closed && closing(s) == len(s)-1
	switch {
	case s == "**" || whole && strings.HasPrefix(inner, "*"):
		r.everything(s, inner, last)
	case s == "*":
		name := r.nameless()
		r.add("{"+name+"}", "[^/]+")
	case whole:
		r.variable(inner)
	case strings.ContainsAny(s, "*?{}"):
		r.mixed = true
		r.mix(s)
	default:
		s = encoded(s)
		r.add(s, regexp.QuoteMeta(s))
	}
}

// encoded percent-encodes what no path holds as it is, such as letters beyond
// ASCII: theirs compares decoded segments, ours canonical ones.
func encoded(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c >= 0x7F || strings.IndexByte("\"<>\\^`|", c) >= 0 {
			b.WriteString("%" + digits[c>>4:c>>4+1] + digits[c&15:c&15+1])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (r *patternReader) add(segment, expr string) {
	r.pattern += "/" + segment
	r.expr.WriteString("/" + expr)
	if segment != "" {
		r.least++
	}
}

// everything reads "**" and "{*name}".
func (r *patternReader) everything(s, inner string, last bool) {
	if !last {
		r.mixed = true
		r.expr.WriteString("(?:/[^/]+)*")
		if s != "**" {
			r.fault = "the variable " + s + " can only stand at the end"
		}
		return
	}
	name := "rest"
	if s != "**" {
		r.rest = inner[1:]
		name = r.name(r.rest)
	} else {
		for r.taken[name] {
			name += "_"
		}
	}
	r.pattern += "/{" + name + "...}"
	r.expr.WriteString("(?:/(?P<" + name + ">.*))?")
}

// variable reads "name" and "name:expression".
func (r *patternReader) variable(inner string) {
	name, expr, constrained := strings.Cut(inner, ":")
	name = r.name(strings.TrimSpace(name))
	if !constrained || expr == "*" {
		r.add("{"+name+"}", "(?P<"+name+">[^/]+)")
		return
	}
	if _, err := regexp.Compile(expr); err != nil {
		r.fault = "the expression of {" + inner + "} is none that RE2 knows: " + reason(err)
		return
	}
	r.add("{"+name+":"+expr+"}", "(?P<"+name+">"+expr+")")
}

// mix reads a segment of texts, wildcards and variables.
func (r *patternReader) mix(s string) {
	r.pattern += "/" + s
	r.expr.WriteByte('/')
	r.least++
	for s != "" {
		switch s[0] {
		case '*':
			r.expr.WriteString("[^/]*")
			s = s[1:]
		case '?':
			r.expr.WriteString("[^/]")
			s = s[1:]
		case '{':
			end := closing(s)
			if end < 0 {
				r.fault = "a brace is not closed"
				return
			}
			name, expr, constrained := strings.Cut(s[1:end], ":")
			if !constrained {
				expr = "[^/]+"
			}
			r.expr.WriteString("(?P<" + r.name(name) + ">" + expr + ")")
			s = s[end+1:]
		default:
			end := strings.IndexAny(s[1:], "*?{")
			if end < 0 {
				end = len(s) - 1
			}
			r.expr.WriteString(regexp.QuoteMeta(encoded(s[:end+1])))
			s = s[end+1:]
		}
	}
}

// hostPattern turns an Ant pattern with "." as separator into hosts of maru.
// The fault says what can't be written; loose is true when maru's takes more.
func hostPattern(text string) (hosts []string, variables []string, loose bool, fault string) {
	name, port, _ := strings.Cut(text, ":")
	if strings.HasPrefix(text, "[") {
		name, port = text, ""
	}
	if port != "" && strings.Trim(port, "0123456789*") != "" {
		return nil, nil, false, "a port that is no number"
	}
	labels := strings.Split(name, ".")
	wild := 0
	for wild < len(labels) {
		l := labels[wild]
		if inner, ok := strings.CutPrefix(l, "{"); ok && strings.HasSuffix(inner, "}") && !strings.Contains(inner, ":") {
			variables = append(variables, strings.TrimSuffix(inner, "}"))
		} else if l != "*" && l != "**" {
			break
		}
		wild++
	}
	rest := strings.Join(labels[wild:], ".")
	switch {
	case strings.ContainsAny(rest, "*?{}"):
		return nil, nil, false, "wildcards inside or behind a name"
	case rest == "" && wild == 1 && labels[0] == "**":
		return nil, nil, false, "" // every host
	case rest == "":
		return nil, nil, true, ""
	case wild == 0:
		return []string{rest}, nil, false, ""
	case wild == 1 && labels[0] == "**":
		return []string{rest, "*." + rest}, nil, false, ""
	}
	return []string{"*." + rest}, variables, true, ""
}
