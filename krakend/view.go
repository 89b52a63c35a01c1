package krakend

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// view writes a view: a merge of whole answers, or a selection where fields are
// let through one by one.
func (e *endpoint) view() {
	if e.method != "GET" && e.method != "HEAD" {
		e.shut(e.o.Key("method"), "body", "make a view by GET, or a route to a service that does it", "a view can't send the body of a request to several services")
	}
	if _, ok := e.params["*"]; ok {
		e.shut(e.o.Key("endpoint"), "wildcard", "use the output encoding no-op, or name the segments", "a view has no path that ends in *")
	}
	if slices.ContainsFunc(e.backends, func(b *backend) bool { return b.encoding == "no-op" }) {
		e.shut(e.o.Tree, "encoding", "use encoding json for all backends", "answers that pass as they are can't be merged")
	}
	for _, b := range e.backends {
		if b.method != "" && b.method != e.method {
			e.Look(b.o.Key("method"), "method", "look whether the service needs the body of the request, which a view does not send", b.o.Path+" calls by "+sketch.Shorten(b.method)+" what is asked for by "+e.method)
		}
	}
	picks := slices.ContainsFunc(e.backends, func(b *backend) bool { return len(b.allow) > 0 })
	if picks {
		e.singles()
	}
	picks = slices.ContainsFunc(e.backends, func(b *backend) bool { return len(b.allow) > 0 && b.single == "" })
	selects := picks && !e.sequential && !slices.ContainsFunc(e.backends, func(b *backend) bool {
		return len(b.allow) == 0 && b.entry() == ""
	})
	if selects {
		for _, b := range e.backends {
			b.single = ""
		}
	}
	if picks && !selects {
		e.shut(e.firstAllow(), "allow", "let the other backends have allow or group too, and name values by links in graph:",
			"a list of fields can't stand beside a whole answer, nor beside a reference to another answer")
	}
	block := e.views.Add(&sketch.Block{Text: sketch.Quoted(e.match()) + ":", Kind: "view", Above: from(e.o.Tree), Off: e.off, At: e.o.Key("endpoint").Position})
	block.Line("budget", sketch.Span(e.timeout))
	parts := make(map[string]string)
	var body *sketch.Block
	if selects {
		body = e.selection(block, parts)
	} else {
		body = e.merge(block, parts)
	}
	e.policies(block, parts)
	if v := e.inputMap(); v.Len() > 0 {
		block.Line("inputs", v)
	}
	block.Add(body)
	filters := block.Add(&sketch.Block{Text: "filters:", Group: true})
	e.cached(filters)
	block.Off = e.off
	block.Needs = e.needs
	if e.encoding == "json-collection" {
		e.Look(e.o.Key("output_encoding"), "encoding", "read the list by its name", "the answer is an object that holds the list")
	}
}

// singles finds backends of which one member is let through: its path says it all.
func (e *endpoint) singles() {
	for _, b := range e.backends {
		if len(b.allow) == 1 && b.group == "" && !strings.Contains(b.allow[0], ".") {
			b.single = b.allow[0]
		}
	}
}

func (e *endpoint) firstAllow() *config.Tree {
	for _, b := range e.backends {
		if len(b.allow) > 0 && b.single == "" {
			return b.o.Key("allow")
		}
	}
	return e.o.Tree
}

// merge writes the calls one by one.
func (e *endpoint) merge(block *sketch.Block, parts map[string]string) *sketch.Block {
	out := &sketch.Block{Text: "merge:", At: block.At}
	names := make(map[string]bool)
	clash := false
	for i, b := range e.backends {
		call := e.call(b)
		if at := strings.Trim(b.target+"."+b.single, "."); at != "" {
			call += " at " + at
		}
		if name := b.entry(); name != "" {
			call += " -> " + name
		}
		clash = clash || names[b.part()]
		names[b.part()] = true
		if len(e.backends) > 1 && (i > 0 || !e.sequential) {
			parts[b.part()] = "omit"
		}
		out.Kids = append(out.Kids, &sketch.Block{Text: "- " + sketch.Quoted(call), At: b.o.Tree.Position})
	}
	if clash {
		block.Line("conflict", sketch.Word("order"))
	}
	return out
}

// selection writes types of what is let through, and a selection of them.
func (e *endpoint) selection(block *sketch.Block, parts map[string]string) *sketch.Block {
	out := &sketch.Block{Text: "select: |", At: block.At}
	base := typeName(e.method + e.path)
	for _, b := range e.backends {
		call := e.call(b)
		if b.target != "" {
			call += " at " + b.target
		}
		args := sketch.Map()
		var pass []string
		for _, name := range e.variables(call) {
			typ := "String"
			if slices.Contains(slices.Collect(maps.Values(e.params)), name) {
				typ = "String!"
			}
			args = args.With(name, sketch.Text(typ))
			pass = append(pass, name)
		}
		name := e.unique(base)
		root := strings.ToLower(name[:1]) + name[1:]
		text, typ := root, "JSON"
		if len(pass) > 0 {
			text += "(" + strings.Join(pass, ", ") + ")"
		}
		var types []*sketch.Block
		if len(b.allow) > 0 {
			typ = name
			text += " { " + e.fields(b, name, &types) + " }"
		}
		v := sketch.Map(sketch.Pair("type", sketch.Text(typ)))
		if args.Len() > 0 {
			v = v.With("args", args)
		}
		r := &sketch.Block{Text: root + ": " + v.With("call", sketch.Text(call)).String(), Spare: true, At: b.o.Tree.Position}
		r.Needs = append(slices.Clone(e.needs), types...)
		e.roots.Kids = append(e.roots.Kids, r)
		e.needs = append(e.needs, r)
		part := root
		if entry := b.entry(); entry != "" {
			part = entry
			text = entry + ": " + text
		} else {
			text = "..." + text
		}
		if len(e.backends) > 1 {
			parts[part] = "omit"
		}
		out.Kids = append(out.Kids, &sketch.Block{Text: text, At: b.o.Tree.Position})
	}
	return out
}

// picked is a tree of the fields that are let through.
type picked struct {
	names []string
	below map[string]*picked
}

func (p *picked) add(path string) {
	name, rest, nested := strings.Cut(path, ".")
	if p.below == nil {
		p.below = make(map[string]*picked)
	}
	k := p.below[name]
	if k == nil {
		k = &picked{}
		p.below[name] = k
		p.names = append(p.names, name)
	}
	if nested {
		k.add(rest)
	}
}

// fields writes the type of a backend's answer and gives the selection of it.
func (e *endpoint) fields(b *backend, name string, types *[]*sketch.Block) string {
	top := &picked{}
	for _, a := range b.allow {
		top.add(a)
	}
	var write func(p *picked, name string, mapping map[string]string) string
	write = func(p *picked, name string, mapping map[string]string) string {
		v := sketch.Map()
		var list []string
		for _, n := range p.names {
			ours, path, show := n, "_", n
			if to := mapping[n]; to != "" && to != n {
				ours, path, show = to, n, to
			}
			if k := p.below[n]; len(k.names) > 0 {
				inner := e.unique(name + sketch.TypeName(n))
				show += " { " + write(k, inner, nil) + " }"
				path += " as " + inner
			}
			v = v.With(ours, sketch.Text(path))
			list = append(list, show)
		}
		block := &sketch.Block{Text: name + ": " + sketch.Map(sketch.Pair("fields", v)).String(), Spare: true, At: b.o.Key("allow").Position}
		block.Needs = slices.Clone(*types)
		e.graph.Kids = append(e.graph.Kids, block)
		*types = append(*types, block)
		return strings.Join(list, " ")
	}
	return write(top, name, b.mapping)
}

// call writes "source METHOD /path?query".
func (e *endpoint) call(b *backend) string {
	method := b.method
	if method == "" {
		method = e.method
	}
	path, query, has := strings.Cut(b.pattern, "?")
	var out strings.Builder
	out.WriteString(b.source + " " + method + " " + b.service.prefix + e.fill(b, path, braces))
	sign := "?"
	given := make(map[string]bool)
	pair := func(name, value string) {
		out.WriteString(sign + name + "=" + value)
		sign = "&"
	}
	if has {
		for one := range strings.SplitSeq(query, "&") {
			if one == "" {
				continue
			}
			name, value, _ := strings.Cut(one, "=")
			given[name] = true
			pair(strings.ReplaceAll(name, " ", "%20"), e.fill(b, value, braces))
		}
	}
	encoded := strings.NewReplacer(" ", "%20", "{", "%7B", "}", "%7D", "&", "%26", "=", "%3D")
	for _, q := range b.query {
		if !given[q] {
			given[q] = true
			pair(encoded.Replace(q), "{"+e.input(q)+"?}")
		}
	}
	return out.String()
}

func braces(name string) string { return "{" + name + "}" }

// input gives the name of the input for a parameter of the query.
func (e *endpoint) input(param string) string {
	for name, of := range e.inputs {
		if of == param {
			return name
		}
	}
	name := identifier(param, "q")
	used := func(name string) bool {
		if _, ok := e.inputs[name]; ok {
			return true
		}
		return slices.Contains(slices.Collect(maps.Values(e.params)), name) ||
			slices.ContainsFunc(e.backends, func(b *backend) bool { return b.part() == name })
	}
	for used(name) {
		name += "_q"
	}
	e.inputs[name] = param
	return name
}

// inputMap writes the inputs.
func (e *endpoint) inputMap() sketch.Value {
	v := sketch.Map()
	for _, name := range slices.Sorted(maps.Keys(e.inputs)) {
		if param := e.inputs[name]; param == name {
			v = v.With(name, sketch.Text("String"))
		} else {
			v = v.With(name, sketch.Map(sketch.Pair("type", sketch.Text("String")), sketch.Pair("from", sketch.Text("query "+param))))
		}
	}
	return v
}

// variables lists the inputs and parameters that a call names.
func (e *endpoint) variables(call string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(call, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return out
		}
		if name = strings.TrimSuffix(name, "?"); !slices.Contains(out, name) {
			out = append(out, name)
		}
		call = after
	}
}

// policies writes what happens when a part fails.
func (e *endpoint) policies(block *sketch.Block, parts map[string]string) {
	for _, s := range e.static {
		_, isPart := parts[s.name]
		if len(e.backends) == 1 && e.backends[0].entry() == s.name {
			isPart = true
		}
		if isPart && (s.when == "incomplete" || s.when == "errored") {
			parts[s.name] = "default " + s.value
			continue
		}
		e.Lost(s.at, "static", "write it as parts: { PART: default JSON }, or let a service answer it",
			"static data for "+sketch.Shorten(s.name)+" ("+s.when+") is not the whole of one part, and not added")
	}
	v := sketch.Map()
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		v = v.With(name, sketch.Text(parts[name]))
	}
	if v.Len() > 0 {
		block.Line("parts", v)
	}
}

// typeName makes the name of a type of a method and path: GetUsersId.
func typeName(s string) string {
	var b strings.Builder
	up := true
	for i, r := range s {
		switch {
		case r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		case i < 4 && strings.HasPrefix(s, "GET/"):
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return identifier(b.String(), "T")
}
