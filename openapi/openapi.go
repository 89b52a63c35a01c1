// Package openapi turns an OpenAPI 3 document into sources and a graph of a
// maru.yaml, to be pruned.
//
// The flow: [Import] reads components.schemas into types (schema.go), then the
// GET operations into the calls that give them (operation.go): by key, several by
// their keys, lists by the value of a field, and roots. Fields that look like keys
// of other types become links, marked as guesses. A first view is written as a
// comment. The text is proved to pass maru check (sketch.File).
package openapi

import (
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// Import reads a document as YAML or JSON; name stands for it in findings and
// comments. It opens nothing and never fails: what is wrong is a finding.
func Import(name string, text []byte) sketch.Result {
	im := &importer{types: make(map[string]*sketch.Type), schemas: make(map[string]*config.Tree), taken: make(map[string]bool)}
	im.file.Head = []string{
		"Written by maru import openapi " + filepath.Base(name) + ", to be pruned. Comments say where each piece comes from; what is marked as a",
		"guess follows from names alone.",
	}
	services, sources := im.file.Section("services"), im.file.Section("sources")
	docs, findings := config.ReadTrees(name, text)
	im.Findings = findings
	if len(docs) > 0 {
		im.document(docs[0], services, sources, name)
	}
	return im.file.Prove(im.Findings)
}

// importer carries one Import.
type importer struct {
	sketch.Reader

	file    sketch.File
	service string
	prefix  string // path of the server's URL
	schemas map[string]*config.Tree
	types   map[string]*sketch.Type
	order   []*sketch.Type
	taken   map[string]bool // names of types
	roots   []*sketch.Block
	lists   []list
	views   []*sketch.Block
}

// list is a list of a type by the value of a field.
type list struct {
	of    *sketch.Type
	field string
	name  string // last segment of its path
}

// document reads the whole.
func (im *importer) document(t *config.Tree, services, sources *sketch.Block, name string) {
	o := im.Object(t, "openapi")
	if o == nil {
		return
	}
	if v := o.Text("openapi"); !strings.HasPrefix(v, "3.") {
		im.Lost(o.Key("openapi"), "version", "bring it to OpenAPI 3 first", "the version is "+strconv.Quote(sketch.Shorten(v))+"; only 3.x is known")
	}
	im.server(o, services, sources, name)
	if c := o.Object("components"); c != nil {
		if s := c.Object("schemas"); s != nil {
			im.components(s)
		}
	}
	if s := o.Get("security"); s != nil {
		im.Look(o.Key("security"), "security", "forward what the service wants to see: sources: { "+im.service+": { vary: [authorization] } }", "who may call is not imported")
	}
	if p := o.Object("paths"); p != nil {
		p.Rest(im.path)
	}
	im.links()
	for _, t := range im.order {
		im.file.AddType(t)
	}
	query := im.file.Section("graph").Add(&sketch.Block{Text: "Query:", Group: true})
	query.Kids = append(query.Kids, im.roots...)
	views := im.file.Section("views")
	views.Kids = im.views[:min(1, len(im.views))]
}

// server makes the service and the source.
func (im *importer) server(o *sketch.Object, services, sources *sketch.Block, name string) {
	title := ""
	if info := o.Object("info"); info != nil {
		title = info.Text("title")
	}
	base := filepath.Base(name)
	im.service = serviceName(strings.TrimSuffix(base, filepath.Ext(base)), title)
	b := services.Add(&sketch.Block{Text: im.service + ":", Kind: "service", At: o.Tree.Position})
	address := ""
	for _, s := range o.List("servers") {
		so := im.Object(s, "servers")
		if so == nil {
			continue
		}
		u, err := url.Parse(so.Text("url"))
		if address != "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Contains(u.Host, "{") {
			if err == nil && address == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") {
				im.prefix = strings.TrimSuffix(u.EscapedPath(), "/")
			}
			im.Look(s, "server", "write the URL of the service", "the server "+sketch.Shorten(so.Text("url"))+" was not taken")
			continue
		}
		address, im.prefix = u.Scheme+"://"+hostPort(u), strings.TrimSuffix(u.EscapedPath(), "/")
		b.Above, b.At = sketch.Lines(s.Position, sketch.LastLine(s)), s.Position
	}
	if address == "" {
		address, b.Above = "http://127.0.0.1:8080", "guess: the document names no server"
		im.Look(o.Key("servers"), "server", "write the URL of the service", "the document names no server that can be called")
	}
	b.Line("url", sketch.Text(address))
	sources.Kids = append(sources.Kids, &sketch.Block{
		Text: im.service + ": " + sketch.Map(sketch.Pair("contract", sketch.Text(base))).String(), Off: "plain", Plain: true,
		Above: "take the # away to prove paths by the document",
	})
}

func hostPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return u.Host + ":443"
	}
	return u.Host + ":80"
}

// serviceName makes a service's name of the file's, or of the title.
func serviceName(file, title string) string {
	for _, s := range []string{file, title} {
		name := strings.ToLower(sketch.TypeName(s))
		if name != "openapi" && name != "swagger" && name != "t" && name != "" {
			return name[:min(len(name), 60)]
		}
	}
	return "service"
}
