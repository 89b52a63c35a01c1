// Package krakend turns a krakend.json of version 3 into a maru.yaml: endpoints
// become views, or routes where they pass requests through as they are.
//
// The flow: [Import] reads the file into objects that know which of their keys
// were taken (sketch.Object). The service level (service.go) gives the listener,
// filters of all routes and defaults; each endpoint (endpoint.go) reads its backends
// (backend.go) and extra_config (extra.go), and becomes a route or a view (view.go).
// A key that nobody took is a finding. An endpoint that would answer more than
// KrakenD did, or to more people, because a part of it has no equal, is written as
// a comment. The text is proved to pass maru check (sketch.File).
package krakend

import (
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// Import reads a krakend.json, or the same as YAML; name stands for it in findings
// and comments. It opens nothing and never fails: what is wrong is a finding.
func Import(name string, text []byte) sketch.Result {
	im := &importer{text: strings.Split(string(text), "\n"), services: make(map[string]*service), callers: make(map[string]*caller), names: make(map[string]bool)}
	im.sections()
	docs, findings := config.ReadTrees(name, text)
	im.Findings = findings
	for i, doc := range docs {
		if i > 0 {
			im.Lost(doc, "documents", "import each document by itself", "a second document was not read")
			break
		}
		im.root(doc)
	}
	return im.file.Prove(im.Findings)
}

// importer carries one Import.
type importer struct {
	sketch.Reader

	text []string // lines
	file sketch.File

	listen, svcs, filters, sources, graph, roots, views, routes *sketch.Block

	services map[string]*service
	order    []*service
	callers  map[string]*caller
	names    map[string]bool // of services, sources, types and roots

	// Defaults of the service level.
	hosts    []string
	timeout  time.Duration
	cacheTTL time.Duration
	encoding string
	keys     []serviceKey // of every service
	insecure bool
}

// serviceKey is a key that every service gets.
type serviceKey struct {
	key   string
	value sketch.Value
	from  *config.Tree
}

// sections makes the top-level keys in their order.
func (im *importer) sections() {
	im.file.Head = []string{
		"Written by maru import krakend. Comments say where each piece comes from.",
		"",
		"As there: only the headers and parameters that are named reach the services of a view, and an answer of which a part",
		"is missing is still sent. Not as there: it says so in Maru-Partial, not in X-KrakenD-Completed; when no part is there it",
		"is {}, not 500; a field that an answer lacks is null; members that are objects in two answers are merged; routes pass all",
		"headers and parameters on; services have a breaker, a limit and retries unless it is said below.",
	}
	im.listen = im.file.Section("listen")
	im.svcs = im.file.Section("services")
	im.filters = im.file.Section("filters")
	im.sources = im.file.Section("sources")
	im.graph = im.file.Section("graph")
	im.roots = im.graph.Add(&sketch.Block{Text: "Query:", Group: true})
	im.views = im.file.Section("views")
	im.routes = im.file.Section("routes")
}

// from is where a value stands, for comments.
func from(t *config.Tree) string { return sketch.Lines(t.Position, sketch.LastLine(t)) }

// unknown tells of the keys of an object that nobody took; shut is why the
// endpoint must be a comment, or "".
func (im *importer) unknown(o *sketch.Object, known map[string]gap) (shut string) {
	o.Rest(func(key, value *config.Tree) {
		name := key.Text
		g, ok := known[name]
		switch {
		case strings.HasPrefix(name, "@") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "//") || name == "$schema":
			im.file.Notes = append(im.file.Notes, from(key)+": "+sketch.Shorten(name)+" is a remark")
			im.inner(value, o.Path+"."+name)
		case ok:
			if im.gap(key, o.Path+"."+name, &g) && shut == "" {
				shut = name + " " + g.words
			}
			im.below(value, o.Path+"."+name)
		default:
			im.Lost(key, "unknown", "look whether KrakenD knows it: docs/import-krakend.md has what is carried", o.Path+"."+sketch.Shorten(name)+" is not known")
			im.below(value, o.Path+"."+name)
		}
	})
	return shut
}

// inner notes what lies below a remark, so that all of it is named.
func (im *importer) inner(t *config.Tree, path string) {
	if last := sketch.LastLine(t); last > t.Line {
		im.file.Notes = append(im.file.Notes, from(t)+": "+path)
	}
}

// gap is a key that has no equal.
type gap struct {
	words, fix string
	// look makes it a warning: what is written works without it.
	look bool
	// shut makes the endpoint a comment: without it more would be answered, or to
	// more people.
	shut bool
	// none makes it a remark: nothing is to be done.
	none bool
}

// gap tells of one; it gives back whether the endpoint must be shut.
func (im *importer) gap(at *config.Tree, path string, g *gap) bool {
	switch {
	case g.none:
		im.file.Notes = append(im.file.Notes, from(at)+": "+path+" "+g.words)
	case g.look:
		im.Look(at, "no-equal", g.fix, path+" "+g.words)
	default:
		im.Lost(at, "no-equal", g.fix, path+" "+g.words)
	}
	return g.shut
}

// duration takes a key that holds a time such as 2s.
func (im *importer) duration(o *sketch.Object, key string) (time.Duration, bool) {
	text := o.Text(key)
	if text == "" {
		return 0, false
	}
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil || d < 0 {
		im.Lost(o.Get(key), "value", "write a time such as 500ms", o.Path+"."+key+": "+sketch.Shorten(text)+" is no time")
		return 0, false
	}
	return d, true
}

// unique makes a name differ from those given before.
func (im *importer) unique(name string) string {
	out := name
	for i := 2; im.names[out]; i++ {
		out = name + "_" + strconv.Itoa(i)
	}
	im.names[out] = true
	return out
}

// identifier is a text as a name of maru's: letters, digits and _.
func identifier(s, other string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	const longest = 60
	name := strings.Trim(b.String()[:min(b.Len(), longest)], "_")
	switch {
	case name == "":
		return other
	case name[0] >= '0' && name[0] <= '9':
		return other + "_" + name
	}
	return name
}
