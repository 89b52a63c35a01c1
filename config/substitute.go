package config

import "strings"

// expanded is a text whose ${NAME} parts were replaced.
type expanded struct {
	text    string
	changed bool     // something was replaced
	missing []string // names that are not set and have no default
	used    []hidden // values of the environment, and the references to them
}

// substitute replaces ${NAME} and ${NAME:-default} by environment variables.
// A name is upper case letters, digits and '_', so that the ${name} of a
// rewrite is left alone; $${ gives ${. Replaced text is not looked at again.
func substitute(in string, lookup func(string) (string, bool)) expanded {
	if !strings.Contains(in, "${") {
		return expanded{text: in}
	}
	var out strings.Builder
	var x expanded
	for rest := in; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1])
			out.WriteString("${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		name, value, hasDefault, size := reference(rest[i:])
		if size == 0 {
			out.WriteString("${")
			rest = rest[i+2:]
			continue
		}
		rest = rest[i+size:]
		x.changed = true
		set, ok := lookup(name)
		switch {
		case ok && (set != "" || !hasDefault): // as in a shell, ":-" also stands in for an empty one
			out.WriteString(set)
			x.used = append(x.used, hidden{set, "${" + name + "}"})
		case hasDefault:
			out.WriteString(value)
		default:
			x.missing = append(x.missing, name)
		}
	}
	x.text = out.String()
	return x
}

// reference reads one ${NAME} or ${NAME:-default} at the start of in; size 0
// says that there is none.
func reference(in string) (name, value string, hasDefault bool, size int) {
	i := len("${")
	for i < len(in) && (in[i] >= 'A' && in[i] <= 'Z' || in[i] == '_' || i > len("${") && in[i] >= '0' && in[i] <= '9') {
		i++
	}
	name = in[len("${"):i]
	if name == "" || i == len(in) {
		return "", "", false, 0
	}
	if in[i] == '}' {
		return name, "", false, i + 1
	}
	if !strings.HasPrefix(in[i:], ":-") {
		return "", "", false, 0
	}
	end := strings.IndexByte(in[i:], '}')
	if end < 0 {
		return "", "", false, 0
	}
	return name, in[i+2 : i+end], true, i + end + 1
}
