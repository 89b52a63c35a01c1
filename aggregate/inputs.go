package aggregate

import (
	"net/url"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// input is one value that a request brings.
type input struct {
	name     string
	typ      typeRef
	untyped  bool // nobody said the type: keys of it compare as text
	from     inputFrom
	key      string // parameter, or field name
	def      string // JSON
	hasDef   bool
	required bool
	enum     []string
}

type inputFrom uint8

const (
	fromPath inputFrom = iota
	fromQuery
	fromHeader
	fromCaller // variables of a GraphQL request
)

// viewInputs are the path's parameters, then those of the file.
func viewInputs(route string, cfg *ViewConfig, f *faults) []input {
	var out []input
	for _, name := range pathParams(route) {
		in := input{name: name, typ: typeRef{name: "String", nonNull: true}, untyped: true, from: fromPath, key: name, required: true}
		if c, ok := cfg.Inputs[name]; ok {
			in = declaredInput(name, &c, f)
			in.from, in.key, in.required = fromPath, name, true
		}
		out = append(out, in)
	}
	for _, name := range sortedKeys(cfg.Inputs) {
		if slices.ContainsFunc(out, func(in input) bool { return in.name == name }) {
			continue
		}
		c := cfg.Inputs[name]
		out = append(out, declaredInput(name, &c, f))
	}
	return out
}

// pathParams are the names in braces of "GET /home/{id}".
func pathParams(route string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(route, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return out
		}
		name, _, _ = strings.Cut(name, ":")
		if name = strings.TrimSuffix(name, "..."); name != "" {
			out = append(out, name)
		}
		route = after
	}
}

func declaredInput(name string, c *InputConfig, f *faults) input {
	at := "inputs." + name
	in := input{name: name, from: fromQuery, key: name, enum: c.Enum}
	if c.Type == "" {
		c.Type = "String"
	}
	typ, err := parseTypeRef(c.Type)
	if err != nil || !scalars()[typ.name] || typ.list {
		f.at(at, "%q is not the type of an input", c.Type).WithFix("write String, Int, Float, Boolean or ID, with ! when it is required")
	}
	in.typ, in.required = typ, typ.nonNull
	switch words := strings.Fields(c.From); {
	case len(words) == 0:
	case words[0] == "query" && len(words) <= 2:
		if len(words) == 2 {
			in.key = words[1]
		}
	case words[0] == "header" && len(words) == 2 && message.ValidToken(words[1]):
		in.from, in.key = fromHeader, words[1]
	default:
		f.at(at+".from", "%q is not a place in a request", c.From).WithFix("write query NAME or header NAME")
	}
	if c.Default != "" {
		in.hasDef = true
		if in.def, err = in.json(nil, strings.Trim(c.Default, `"`)); err != nil {
			f.at(at+".default", "%v", err).WithFix("write a value of the input's type")
		}
	}
	return in
}

// json gives the JSON form of a text, or an error that says what is expected.
func (in *input) json(x *message.Exchange, text string) (string, error) {
	if len(in.enum) > 0 && !slices.Contains(in.enum, text) {
		return "", diag.At("", "%s must be one of %s", in.name, strings.Join(in.enum, ", "))
	}
	switch in.typ.name {
	case "Int", "Long":
		if strings.ContainsAny(text, ".eE") || !jsonNumber(text) || len(text) > 20 {
			return "", diag.At("", "%s must be a whole number", in.name)
		}
		return text, nil
	case "Float":
		if !jsonNumber(text) || len(text) > 64 {
			return "", diag.At("", "%s must be a number", in.name)
		}
		return text, nil
	case "Boolean":
		if text != "true" && text != "false" {
			return "", diag.At("", "%s must be true or false", in.name)
		}
		return text, nil
	}
	b := appendQuoted(nil, text)
	if x != nil {
		return x.String(b), nil
	}
	return string(b), nil
}

// read takes the inputs from a request as JSON values; nil stands for none. A
// fault is a 400 that names the input.
func readInputs(list []input, r *message.Request, dst [][]byte) ([][]byte, error) {
	for i := range list {
		in := &list[i]
		text, ok, err := in.find(r)
		if err != nil {
			return dst, badInput(in, in.name+" is not properly encoded")
		}
		switch {
		case ok:
			value, err := in.json(&r.X, text)
			if err != nil {
				return dst, badInput(in, err.Error())
			}
			dst = append(dst, []byte(value))
		case in.hasDef:
			dst = append(dst, []byte(in.def))
		case in.required:
			return dst, badInput(in, in.name+" is missing")
		default:
			dst = append(dst, nil)
		}
	}
	return dst, nil
}

func (in *input) find(r *message.Request) (text string, ok bool, err error) {
	switch in.from {
	case fromPath:
		text, err = url.PathUnescape(r.X.Param(in.key))
		return text, true, err //nolint:wrapcheck // only told apart from nil
	case fromHeader:
		text, ok = r.Header.Lookup(in.key)
		return text, ok, nil
	case fromQuery:
		return queryValue(r.Query, in.key)
	case fromCaller:
	}
	return "", false, nil
}

// queryValue finds the first value of a name in a query.
func queryValue(query, name string) (value string, ok bool, err error) {
	for query != "" {
		var one string
		one, query, _ = strings.Cut(query, "&")
		key, val, _ := strings.Cut(one, "=")
		if key, err = url.QueryUnescape(key); err != nil || key != name {
			continue
		}
		value, err = url.QueryUnescape(val)
		return value, true, err //nolint:wrapcheck // only told apart from nil
	}
	return "", false, nil
}

func badInput(in *input, detail string) error {
	p := problem.New(400, "input", detail)
	_ = in
	return p
}
