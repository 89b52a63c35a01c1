package filter

import (
	"strings"

	"github.com/maru-msa/maru/message"
)

// Query changes the parameters of the query that the service sees. The order is
// remove, set, replace, add. Parameters that no rule names stay as they are, byte
// for byte.
type Query struct {
	// Remove deletes every parameter of these names (default none).
	Remove []string `yaml:"remove"`
	// Set gives a parameter one value, whatever it had; values may hold
	// placeholders such as {path.id} (default none).
	Set map[string]string `yaml:"set"`
	// Replace is set for parameters that are there (default none).
	Replace map[string]string `yaml:"replace"`
	// Add appends a parameter (default none).
	Add map[string]string `yaml:"add"`
}

// queryRules are compiled.
type queryRules struct {
	remove            []string
	set, replace, add []queryParam
}

type queryParam struct {
	name    string
	encoded string
	value   *template
}

// Filter is the constructor.
func (c *Query) Filter(Env) (Filter, error) {
	var f faults
	var w queryRules
	for i, name := range c.Remove {
		if name == "" {
			f.at(at("remove", i), "a parameter has no name").WithFix("write its name, or remove the entry")
		}
		w.remove = append(w.remove, name)
	}
	w.set = f.params("set", c.Set)
	w.replace = f.params("replace", c.Replace)
	w.add = f.params("add", c.Add)
	if len(w.remove)+len(c.Set)+len(c.Replace)+len(c.Add) == 0 && len(f) == 0 {
		f.at("", "query has nothing to do").WithFix("write remove, set, replace or add")
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			if err := w.apply(r); err != nil {
				return nil, err
			}
			return next(r)
		}
	}, nil
}

func (f *faults) params(path string, m map[string]string) []queryParam {
	var out []queryParam
	for _, name := range sortedKeys(m) {
		if name == "" {
			f.at(path, "a parameter has no name").WithFix("write its name, or remove the entry")
			continue
		}
		out = append(out, queryParam{name, string(appendQuery(nil, name)), f.template(path+"."+name, m[name], formText, false)})
	}
	return out
}

// apply writes the new query, unless no rule has anything to do.
func (w *queryRules) apply(r *message.Request) error {
	if len(w.set)+len(w.add) == 0 && !w.concerned(r.Query) {
		return nil
	}
	var room [1024]byte
	b := room[:0]
	for rest := r.Query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, _, _ := strings.Cut(pair, "=")
		if !w.drops(name) {
			b = append(append(b, '&'), pair...)
		}
	}
	var err error
	for i := range w.set {
		if b, err = w.set[i].append(b, r); err != nil {
			return err
		}
	}
	for i := range w.replace {
		if !hasParam(r.Query, w.replace[i].name) {
			continue
		}
		if b, err = w.replace[i].append(b, r); err != nil {
			return err
		}
	}
	for i := range w.add {
		if b, err = w.add[i].append(b, r); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		b = b[1:] // the first &
	}
	r.Query = r.X.String(b)
	r.HasQuery = r.Query != ""
	return nil
}

// concerned tells whether a rule names a parameter of the query.
func (w *queryRules) concerned(query string) bool {
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if name, _, _ := strings.Cut(pair, "="); w.drops(name) {
			return true
		}
	}
	return false
}

// drops tells whether a parameter, by its name as sent, is removed or written anew.
func (w *queryRules) drops(name string) bool {
	for _, n := range w.remove {
		if sameParam(name, n) {
			return true
		}
	}
	for _, list := range [2][]queryParam{w.set, w.replace} {
		for i := range list {
			if sameParam(name, list[i].name) {
				return true
			}
		}
	}
	return false
}

func hasParam(query, want string) bool {
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if name, _, _ := strings.Cut(pair, "="); sameParam(name, want) {
			return true
		}
	}
	return false
}

// sameParam compares a name as sent, percent-encoded, with a plain one.
func sameParam(sent, plain string) bool {
	i := 0
	for j := 0; j < len(sent); i++ {
		c := sent[j]
		j++
		switch {
		case c == '+':
			c = ' '
		case c == '%' && j+1 < len(sent) && unhex(sent[j]) < 16 && unhex(sent[j+1]) < 16:
			c = unhex(sent[j])<<4 | unhex(sent[j+1])
			j += 2
		}
		if i >= len(plain) || plain[i] != c {
			return false
		}
	}
	return i == len(plain)
}

// append writes "&name=value".
func (p *queryParam) append(dst []byte, r *message.Request) ([]byte, error) {
	var room [512]byte
	value, err := p.value.append(room[:0], r, nil)
	if err != nil {
		return dst, err
	}
	dst = append(append(append(dst, '&'), p.encoded...), '=')
	return appendQuery(dst, message.View(value)), nil
}

// appendQuery percent-encodes all but unreserved octets (RFC 3986 §2.3), so that a
// value can't bring parameters of its own.
func appendQuery(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c == '-' || c == '.' || c == '_' || c == '~' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
