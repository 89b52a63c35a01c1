package spring

import (
	"strconv"
	"strings"

	"github.com/maru-msa/maru/route"
)

// written is a route of maru, made of a plan and one of its paths.
type writtenRoute struct {
	element

	plan     *plan
	name     string
	match    route.Match
	priority int
	anchor   string // of the filters, which the routes of a plan share
	alias    bool
}

// writer writes the YAML and remembers whose each line is.
type writer struct {
	b      strings.Builder
	owners []*element // by line, from 0
	known  map[string]map[int]bool
	named  map[*setting]bool // in comments
}

// places names settings in a comment.
func (w *writer) places(list []*setting) string {
	for _, s := range list {
		w.named[s] = true
	}
	return places(list, w.known)
}

// line writes one line for an element; nil is the frame around all. What is
// not written has its "#" where the element begins, so that it is taken away easily.
func (w *writer) line(e *element, indent int, text string) {
	if e != nil && e.off != "" {
		w.b.WriteString(strings.Repeat(" ", e.column) + "# ")
		indent -= e.column
	}
	w.b.WriteString(strings.Repeat(" ", indent))
	w.b.WriteString(text)
	w.b.WriteByte('\n')
	w.owners = append(w.owners, e)
}

// remark writes a comment above an element: what it was, where it stands, and
// why it is written as a comment.
func (w *writer) remark(e *element, indent int) {
	if parts := w.remarks(e); len(parts) > 0 {
		w.line(nil, indent, "# "+strings.Join(parts, "; "))
	}
}

func (w *writer) remarks(e *element) []string {
	var parts []string
	if e.says != "" {
		parts = append(parts, comment(e.says))
	}
	if len(e.from) > 0 {
		parts = append(parts, w.places(e.from))
	}
	if e.off != "" {
		parts = append(parts, "not written: "+comment(e.off))
	}
	return parts
}

// file writes the whole text.
func (w *writer) file(d *draft, routes []*writtenRoute, notes []note) {
	for _, l := range []string{
		"# Written by maru import spring. Comments say where each piece comes from.",
		"#",
		"# Theirs is the first route that matches; maru's the most specific one. Where the two differ, a priority says so.",
		"# As there: services see their own name as Host unless the source says otherwise, X-Forwarded-* are added, and",
		"# hop-by-hop fields are removed. Not as there: what has no time-out in the source has maru's (1 s to connect, 5 s",
		"# for a try, 15 s for the whole exchange), and services have a breaker, a limit and retries unless it is said below.",
	} {
		w.line(nil, 0, l)
	}
	if d.listener != nil {
		w.line(nil, 0, "")
		w.remark(d.listener, 0)
		w.line(nil, 0, "listen:")
		w.line(d.listener, 2, "public: "+mapping(keyed("address", text(d.address))).String())
	}
	if d.registry != nil {
		w.line(nil, 0, "")
		w.remark(d.registry, 0)
		w.line(nil, 0, "registry: {}")
	}
	w.services(d.services)
	if len(d.filters) > 0 {
		w.head("filters:", anyLive(d.filters))
		for _, s := range d.filters {
			w.step(s, 2, nil)
		}
	}
	if len(routes) > 0 {
		live := false
		for _, r := range routes {
			live = live || r.off == ""
		}
		w.head("routes:", live)
		for _, r := range routes {
			w.route(r)
		}
	}
	w.notes(notes)
}

// head writes a key whose entries follow; as a comment when all of them are comments.
func (w *writer) head(key string, live bool) {
	w.line(nil, 0, "")
	if !live {
		key = "# " + key
	}
	w.line(nil, 0, key)
}

func anyLive(list []*step) bool {
	for _, s := range list {
		if s.off == "" {
			return true
		}
	}
	return false
}

func (w *writer) services(list []*service) {
	if len(list) == 0 {
		return
	}
	live := false
	for _, s := range list {
		live = live || s.off == ""
	}
	w.head("services:", live)
	for _, s := range list {
		s.column = 2
		w.remark(&s.element, 2)
		w.line(&s.element, 2, s.name+":")
		for _, e := range s.endpoints() {
			w.line(&s.element, 4, e.Key+": "+e.Value.String())
		}
		for _, k := range s.keys {
			k.column = 4
			e := &k.element
			if s.off != "" {
				e = &s.element
			}
			w.line(e, 4, k.name+": "+k.value.String()+w.tail(&k.element))
		}
		if s.host != "client" {
			w.line(&s.element, 4, "host: "+quoted(s.host))
		}
		w.steps(&s.element, s.filters, 4, "")
	}
}

// steps writes the filters of an owner.
func (w *writer) steps(owner *element, list []*step, indent int, anchor string) {
	if len(list) == 0 {
		return
	}
	if !anyLive(list) {
		w.line(nil, indent, "# filters:")
	} else {
		w.line(owner, indent, "filters:"+anchor)
	}
	for _, s := range list {
		w.step(s, indent+2, owner)
	}
}

// tail is the comment behind an element that has a line of its own.
func (w *writer) tail(e *element) string {
	if parts := w.remarks(e); len(parts) > 0 {
		return " # " + strings.Join(parts, "; ")
	}
	return ""
}

func (w *writer) step(s *step, indent int, owner *element) {
	text := "- " + s.word
	if !s.args.IsNone() {
		text += ": " + s.args.String()
	}
	tail := w.tail(&s.element)
	if s.word == "" {
		w.line(nil, indent, strings.TrimSpace(tail))
		return
	}
	text += tail
	e := &s.element
	if e.column = indent; owner != nil && owner.off != "" {
		e = owner
	}
	w.line(e, indent, text)
}

func (w *writer) route(r *writtenRoute) {
	e := &r.element
	e.column = 2
	w.remark(&element{from: r.plan.from, says: r.plan.says, off: r.off}, 2)
	w.line(e, 2, "- name: "+quoted(r.name))
	w.line(e, 4, "match: "+matchOf(r.match, r.priority).String())
	if r.plan.timeout != "" {
		w.line(e, 4, "timeout: "+r.plan.timeout)
	}
	switch {
	case r.anchor == "" || len(r.plan.filters) == 0:
		w.steps(e, r.plan.filters, 4, "")
	case r.alias && anyLive(r.plan.filters):
		w.line(e, 4, "filters: *"+r.anchor)
	case !r.alias:
		w.steps(e, r.plan.filters, 4, " &"+r.anchor)
	}
	if r.plan.service != nil {
		w.line(e, 4, "to: "+quoted(r.plan.service.name))
	}
}

// matchOf writes a match, in the short form where that says it all.
func matchOf(m route.Match, priority int) value {
	v := mapping()
	if len(m.Host) == 1 {
		v = v.With("host", text(m.Host[0]))
	} else if len(m.Host) > 1 {
		v = v.With("host", texts(m.Host))
	}
	if m.Path != "" {
		v = v.With("path", text(m.Path))
	}
	if len(m.Methods) > 0 {
		v = v.With("methods", texts(m.Methods))
	}
	for _, part := range []struct {
		key  string
		list map[string]string
	}{{"headers", m.Headers}, {"query", m.Query}, {"cookies", m.Cookies}} {
		if len(part.list) > 0 {
			v = v.With(part.key, textMap(part.list))
		}
	}
	if len(m.Client) > 0 {
		v = v.With("client", texts(m.Client))
	}
	if m.Time.After != "" || m.Time.Before != "" {
		t := mapping()
		if m.Time.After != "" {
			t = t.With("after", text(m.Time.After))
		}
		if m.Time.Before != "" {
			t = t.With("before", text(m.Time.Before))
		}
		v = v.With("time", t)
	}
	if m.Weight != nil {
		v = v.With("weight", number(*m.Weight))
	}
	if priority != 0 {
		v = v.With("priority", number(priority))
	}
	switch {
	case v.Len() == 0:
		return text("/{rest...}")
	case v.Len() == 1 && m.Path != "":
		return text(m.Path)
	case v.Len() == 2 && m.Path != "" && len(m.Methods) > 0 && !strings.HasPrefix(m.Path, "regex:"):
		return text(strings.Join(m.Methods, ",") + " " + m.Path)
	}
	return v
}

// notes writes what was read and has nothing to become.
func (w *writer) notes(list []note) {
	if len(list) == 0 {
		return
	}
	w.line(nil, 0, "")
	w.line(nil, 0, "# Read, and not written:")
	for _, n := range list {
		w.line(nil, 0, "# "+comment(n.why)+"; "+w.places(n.from))
	}
}

// expand makes the routes of the plans.
func (d *draft) expand() []*writtenRoute {
	var out []*writtenRoute
	seen := make(map[string]bool)
	for _, p := range d.routes {
		for i, m := range p.matches() {
			name := p.id
			switch {
			case i > 0 && strings.HasSuffix(m.Path, "/") && p.paths[i-1].pattern+"/" == m.Path:
				name += "-slash"
			case i > 0:
				name += "-" + strconv.Itoa(i+1)
			}
			out = append(out, &writtenRoute{element: element{at: p.at, off: p.off}, plan: p, name: unique(seen, name), match: m})
		}
	}
	return out
}
