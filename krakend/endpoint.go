package krakend

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// endpoint is one endpoint of theirs.
type endpoint struct {
	*importer

	o        *sketch.Object
	method   string
	path     string            // as maru has it
	params   map[string]string // theirs to ours
	timeout  time.Duration
	cacheTTL time.Duration
	encoding string
	query    []string
	headers  []string
	backends []*backend
	off      string // why it is written as a comment

	sequential bool
	static     []static
	inputs     map[string]string // our name of an input to the parameter
	taken      map[string]int    // sources used, by service and headers
	needs      []*sketch.Block
}

// static is data that stands in.
type static struct {
	name  string
	value string // JSON
	at    *config.Tree
	when  string
}

// shut writes the endpoint as a comment, with a finding.
func (e *endpoint) shut(at *config.Tree, code, fix, text string) {
	e.Lost(at, code, fix, text)
	if e.off == "" {
		e.off = text
	}
}

// rest tells of the keys that nobody took.
func (e *endpoint) rest(o *sketch.Object, known map[string]gap) {
	if why := e.unknown(o, known); why != "" && e.off == "" {
		e.off = why
	}
}

// endpoint reads one and writes what it becomes.
func (im *importer) endpoint(t *config.Tree, path string) {
	o := im.Object(t, path)
	if o == nil {
		return
	}
	e := &endpoint{
		importer: im, o: o, params: make(map[string]string), timeout: im.timeout, cacheTTL: im.cacheTTL, encoding: im.encoding,
		inputs: make(map[string]string), taken: make(map[string]int),
	}
	e.head()
	e.extra(o.Object("extra_config"))
	for i, b := range o.List("backend") {
		e.backend(b, path+".backend["+strconv.Itoa(i)+"]")
	}
	e.rest(o, endpointGaps())
	switch {
	case e.path == "":
		im.Lost(o.Tree, "endpoint", "write endpoint: \"/path\"", path+" has no path")
	case len(e.backends) == 0:
		im.Lost(o.Tree, "backend", "write a backend with a host", path+" has no backend that can be called")
	case e.through():
		e.route()
	default:
		e.view()
	}
}

// head reads what is no backend.
func (e *endpoint) head() {
	o := e.o
	e.method = strings.ToUpper(o.Text("method"))
	if e.method == "" {
		e.method = "GET"
	}
	e.path = e.pattern(o.Text("endpoint"))
	if d, ok := e.duration(o, "timeout"); ok && d > 0 {
		e.timeout = d
	}
	if d, ok := e.duration(o, "cache_ttl"); ok {
		e.cacheTTL = d
	}
	if v := o.Text("output_encoding"); v != "" {
		e.encoding = v
	}
	switch e.encoding {
	case "", "json", "fast-json", "no-op", "json-collection":
	case "negotiate":
		e.Look(o.Key("output_encoding"), "encoding", "nothing, if clients take JSON", "the answer is JSON, whatever a client asks for")
	default:
		e.shut(o.Key("output_encoding"), "encoding", "let clients take JSON", "answers as "+sketch.Shorten(e.encoding)+" can't be written")
	}
	e.query = e.named("input_query_strings", "parameters")
	e.headers = e.named("input_headers", "headers")
	if n, ok := o.Number("concurrent_calls"); ok && n > 1 {
		e.Look(o.Get("concurrent_calls"), "no-equal", "attach the filter hedge, which sends a second call only when the first is late",
			"views send each call once, not "+strconv.Itoa(n)+" times")
	}
}

// named reads a list of names; "*" stands for all, which only routes pass on.
func (e *endpoint) named(key, what string) []string {
	list := e.o.Texts(key)
	if slices.Contains(list, "*") && e.encoding != "no-op" && (e.method == "GET" || e.method == "HEAD") {
		e.Lost(e.o.Get(key), "no-equal", "name them one by one", "a view passes only "+what+" on that it names, not *")
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "*" })
}

// pattern turns their path into ours; names of parameters become identifiers.
func (e *endpoint) pattern(path string) string {
	if !strings.HasPrefix(path, "/") {
		return ""
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		name, isParam := strings.CutPrefix(s, "{")
		if colon, ok := strings.CutPrefix(s, ":"); ok {
			name, isParam = colon+"}", true
		}
		switch {
		case isParam:
			name = strings.TrimSuffix(name, "}")
			ours := identifier(name, "p")
			e.params[name] = ours
			segments[i] = "{" + ours + "}"
		case s == "*":
			e.params["*"] = "rest"
			segments[i] = "{rest...}"
		}
	}
	return strings.Join(segments, "/")
}

// through tells whether the endpoint passes the answer of its only backend on, or
// has to: a view can't send the body of a request on, nor answer with a list.
func (e *endpoint) through() bool {
	if len(e.backends) != 1 {
		return false
	}
	b := e.backends[0]
	return e.encoding == "no-op" || b.encoding == "no-op" || e.encoding == "json-collection" || e.method != "GET" && e.method != "HEAD"
}

// match is the key of a view and the match of a route.
func (e *endpoint) match() string { return e.method + " " + e.path }

// route writes a route.
func (e *endpoint) route() {
	b := e.backends[0]
	if b.shaped() {
		e.shut(b.o.Tree, "shape", "let the service answer so, or make it a view by GET", "a route passes the answer on as it is: allow, deny, mapping, group, target and the like do nothing")
	}
	for _, s := range e.static {
		e.Lost(s.at, "no-equal", "attach the filter fallback", "a route has no static data")
	}
	block := e.routes.Add(&sketch.Block{Text: "- name: " + sketch.Quoted(e.match()), Kind: "route", Above: from(e.o.Tree), Off: e.off, At: e.o.Key("endpoint").Position})
	block.Needs = append(e.needs, b.service.block)
	kid := func(key string, v sketch.Value) {
		block.Kids = append(block.Kids, &sketch.Block{Text: key + ": " + v.String(), At: block.At})
	}
	kid("match", sketch.Text(e.match()))
	kid("timeout", sketch.Span(e.timeout))
	filters := &sketch.Block{Text: "filters:", Group: true, At: block.At}
	block.Kids = append(block.Kids, filters)
	e.rewrite(b, filters)
	e.cached(filters)
	if b.method != "" && b.method != e.method {
		e.shut(b.o.Key("method"), "method", "use the same method", "a route can't change the method "+e.method+" to "+sketch.Shorten(b.method))
		block.Off = e.off
	}
	block.Line("to", sketch.Text(b.service.name))
}

// rewrite makes the path and query of a request those of the backend.
func (e *endpoint) rewrite(b *backend, filters *sketch.Block) {
	path, query, _ := strings.Cut(b.pattern, "?")
	path = b.service.prefix + path
	template := e.fill(b, path, func(name string) string { return "{path." + name + "}" })
	if template != strings.NewReplacer("{rest...}", "{path.rest}", "{", "{path.").Replace(e.path) {
		filters.Add(&sketch.Block{Text: "- rewrite: " + sketch.Map(sketch.Pair("path", sketch.Text(template))).String(), At: b.o.Key("url_pattern").Position})
	}
	set := sketch.Map()
	for one := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(one, "="); name != "" {
			set = set.With(name, sketch.Text(e.fill(b, value, func(name string) string { return "{path." + name + "}" })))
		}
	}
	if set.Len() > 0 {
		filters.Add(&sketch.Block{Text: "- query: " + sketch.Map(sketch.Pair("set", set)).String(), At: b.o.Key("url_pattern").Position})
	}
}

// cached tells caches how long a complete answer is good.
func (e *endpoint) cached(filters *sketch.Block) {
	if e.cacheTTL <= 0 {
		return
	}
	v := "public, max-age=" + strconv.Itoa(int(e.cacheTTL/time.Second))
	text := "- headers: " + sketch.Map(sketch.Pair("response", sketch.Map(sketch.Pair("default", sketch.Map(sketch.Pair("Cache-Control", sketch.Text(v))))))).String()
	filters.Add(&sketch.Block{Text: text, Behind: "cache_ttl", At: e.o.Key("cache_ttl").Position})
}

// fill writes a template of theirs by our names; what it can't know is a finding
// that shuts the endpoint.
func (e *endpoint) fill(b *backend, text string, param func(name string) string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		name, after, closed := strings.Cut(rest, "}")
		out.WriteString(strings.ReplaceAll(before, " ", "%20"))
		if !ok || !closed {
			return out.String()
		}
		text = after
		ours, known := e.params[name]
		switch {
		case known:
			out.WriteString(param(ours))
		case strings.HasPrefix(name, "resp") && e.sequential:
			out.WriteString(e.refer(b, name))
		default:
			e.shut(b.o.Key("url_pattern"), "variable", "name it in the path of the endpoint", "nothing gives {"+sketch.Shorten(name)+"} of "+b.o.Path+".url_pattern")
			out.WriteString("x")
		}
	}
}

// refer turns resp0_a.b into a reference to an earlier backend of the endpoint.
func (e *endpoint) refer(b *backend, name string) string {
	number, path, ok := strings.Cut(strings.TrimPrefix(name, "resp"), "_")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 0 || n >= len(e.backends) || n >= b.number || path == "" {
		e.shut(b.o.Key("url_pattern"), "variable", "refer to a backend before this one: {resp0_name}", "{"+sketch.Shorten(name)+"} is no answer of a backend before this one")
		return "x"
	}
	other := e.backends[n]
	if other.group != "" {
		inner, in := strings.CutPrefix(path, other.group+".")
		if !in {
			e.shut(b.o.Key("url_pattern"), "variable", "begin with the group: {resp"+number+"_"+sketch.Shorten(other.group)+".name}", "{"+sketch.Shorten(name)+"} is not in the group of that backend")
			return "x"
		}
		path = inner
	}
	for theirs, ours := range other.mapping { // references see the new names
		if path == ours || strings.HasPrefix(path, ours+".") {
			path = theirs + strings.TrimPrefix(path, ours)
			break
		}
	}
	parts := strings.Split(path, ".")
	for _, p := range parts {
		if !sketch.Identifier(p) {
			e.shut(b.o.Key("url_pattern"), "variable", "refer to a member of an object by its name: letters, digits and _", "{"+sketch.Shorten(name)+"}: "+sketch.Shorten(p)+" can't be referred to")
			return "x"
		}
	}
	other.referred = true
	if other.single != "" {
		if parts[0] != other.single {
			e.shut(b.o.Key("url_pattern"), "variable", "add it to allow", "{"+sketch.Shorten(name)+"} is not among what that backend lets through")
			return "x"
		}
		parts = parts[1:]
	}
	return "{" + strings.Join(append([]string{other.part()}, parts...), ".") + "}"
}
