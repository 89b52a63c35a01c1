package spring

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/maru-msa/maru/diag"
)

// gatewayRoots are where Spring Cloud Gateway's settings stand: before 4.3, and
// since then for its two servers.
func (im *importer) gatewayRoots() []*node {
	var out []*node
	gateway := im.set.root.get("spring", "cloud", "gateway")
	for _, n := range []*node{gateway, gateway.get("server", "webflux"), gateway.get("server", "webmvc"), gateway.get("mvc")} {
		if n != nil {
			out = append(out, n)
		}
	}
	return out
}

// gateway reads what Spring Cloud Gateway has.
func (im *importer) gateway() {
	for _, root := range im.gatewayRoots() {
		g := gatewayReader{importer: im, root: root}
		g.readDefaults()
		for _, n := range root.get("routes").list() {
			g.route(n)
		}
		for _, n := range root.get("routes-map").keys() {
			g.route(n)
		}
		g.locator()
		g.cors()
		g.client()
		g.switches()
	}
	im.draft.sortRoutes()
	im.weights()
}

// gatewayReader reads one of the roots.
type gatewayReader struct {
	*importer

	root     *node
	defaults []*call // filters of every route that each gets for itself
}

// readDefaults reads default-filters. Most go before the filters of all routes.
// Those that belong to a service, or work on the path as routes' own filters
// do, are put among each route's, in the order of theirs.
func (g *gatewayReader) readDefaults() {
	paths := false
	for _, r := range g.root.get("routes").list() {
		for _, f := range r.get("filters").list() {
			paths = paths || changesPath(callName(f))
		}
	}
	for _, n := range g.root.get("default-filters").list() {
		name := canonical(callName(n))
		if ofService(name) || paths && changesPath(name) {
			c := g.call(n, filterSpecs())
			g.defaults = append(g.defaults, c)
			if c == nil {
				g.draft.incomplete = changesTarget(name)
			}
			continue
		}
		g.defaults = append(g.defaults, nil) // keeps the place of the others
		if c := g.call(n, filterSpecs()); c != nil {
			b := routeReader{importer: g.importer, list: &g.draft.filters}
			b.filter(c)
		}
	}
}

func changesPath(name string) bool {
	return slices.Contains([]string{"stripprefix", "prefixpath", "setpath", "rewritepath", "setrequesturi", "requestheadertorequesturi"}, canonical(name))
}

// changesTarget tells whether requests go elsewhere without a filter.
func changesTarget(name string) bool {
	return changesPath(name) || slices.Contains([]string{"redirectto", "jsontogrpc", "setrequesthostheader"}, canonical(name))
}

func ofService(name string) bool {
	return slices.Contains([]string{"retry", "circuitbreaker", "fallbackheaders", "preservehostheader", "setrequesthostheader", "localresponsecache"}, canonical(name))
}

// route reads one route.
func (g *gatewayReader) route(n *node) {
	p := &plan{element: element{at: n}, vars: make(map[string]bool), kept: false}
	b := routeReader{importer: g.importer, plan: p, list: &p.filters}
	if n.value != nil {
		g.shortRoute(&b, n)
		return
	}
	id, _ := g.take(n.get("id"), &p.element)
	if id == "" && !n.index {
		id = n.name
	}
	if p.id = routeName(id); p.id == "" {
		p.id = "route-" + strconv.Itoa(len(g.draft.routes)+1)
	}
	if on, ok := g.boolean(n.get("enabled"), &p.element); ok && !on {
		p.off = "it is switched off in the source"
	}
	if order, ok := g.number(n.get("order"), &p.element, -1<<31, 1<<31-1); ok {
		p.order = order
	}
	for _, x := range n.get("predicates").list() {
		g.predicate(&b, x)
	}
	if one := n.get("predicates"); one != nil && one.value != nil && one.value.text != "" {
		b.drop(one, "shape", "write predicates as a list", "predicates is no list")
	}
	b.target(n.get("uri"))
	g.filters(&b, n.get("filters").list())
	if g.draft.incomplete {
		b.off("a filter of all routes is missing, without which requests would go elsewhere")
	}
	b.metadata(n.get("metadata"))
	b.finish()
	g.draft.routes = append(g.draft.routes, p)
}

// predicate reads one predicate.
func (g *gatewayReader) predicate(b *routeReader, n *node) {
	if c := g.call(n, predicateSpecs()); c != nil {
		b.predicate(c)
	} else {
		b.off("a predicate is missing")
	}
}

// shortRoute reads a route in one line: "id=uri,predicate,predicate".
func (g *gatewayReader) shortRoute(b *routeReader, n *node) {
	p := b.plan
	text, ok := g.take(n, &p.element)
	id, rest, has := strings.Cut(text, "=")
	parts := words(rest)
	p.id = routeName(strings.TrimSpace(id))
	if !ok || !has || len(parts) < 2 || p.id == "" {
		g.lost(n, "shape", "write id, uri and predicates", "%q is no route", shorten(text))
		return
	}
	line := func(s string) *node {
		one := *n
		one.value = &setting{key: n.value.key, text: s, at: n.value.at, told: true}
		return &one
	}
	for _, s := range parts[1:] {
		g.predicate(b, line(s))
	}
	b.target(line(parts[0]))
	g.filters(b, nil)
	b.finish()
	g.draft.routes = append(g.draft.routes, p)
}

// filters reads a route's filters with those of every route between them: theirs
// are sorted by their place in their own list.
func (g *gatewayReader) filters(b *routeReader, list []*node) {
	for i := range max(len(list), len(g.defaults)) {
		if i < len(g.defaults) && g.defaults[i] != nil {
			b.filter(g.defaults[i].again())
		}
		if i < len(list) {
			if c := g.call(list[i], filterSpecs()); c != nil {
				b.filter(c)
			} else {
				b.gap(list[i], callName(list[i]), callName(list[i]), nil)
			}
		}
	}
}

// routeName makes an id a name of maru.
func routeName(id string) string {
	var b strings.Builder
	for _, r := range id {
		if r > 0x20 && r != '"' && r != '\\' && r != utf8.RuneError && unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	const longest = 100
	return strings.Trim(strings.ToValidUTF8(b.String()[:min(b.Len(), longest)], ""), "-")
}

// routeReader reads the parts of one route; of the filters of all routes when
// plan is nil.
type routeReader struct {
	*importer

	plan *plan
	list *[]*step // where filters go
}

// element is what settings are taken into.
func (b *routeReader) element() *element {
	if b.plan == nil {
		return &element{}
	}
	return &b.plan.element
}

// drop tells of a part of the route without which it would take other requests
// or treat them otherwise: it is written as a comment.
func (b *routeReader) drop(n *node, code, fix, format string, args ...any) {
	b.lost(n, code, fix, format, args...)
	b.off("see the finding at " + n.at.String())
}

func (b *routeReader) off(why string) {
	if b.plan != nil && b.plan.off == "" {
		b.plan.off = why
	}
}

// target reads uri.
func (b *routeReader) target(n *node) {
	p := b.plan
	if n == nil {
		p.target = "no://op"
		return
	}
	uri, ok := b.take(n, &p.element)
	if !ok {
		b.off("its target is not known")
		return
	}
	scheme, rest, _ := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "lb":
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "ws:"), "wss:")
		name := strings.Trim(rest, "/")
		if name, _, _ = strings.Cut(name, "/"); name == "" {
			b.drop(n, "target", "write lb://SERVICE", "%q names no service", shorten(uri))
			return
		}
		p.target = "lb://" + strings.ToLower(name)
	case "http", "https", "ws", "wss":
		b.address(n, uri)
	case "no":
		p.target = "no://op"
	case "forward":
		b.drop(n, "forward", "name the service that shall answer, or write filters: [respond: …]",
			"%q leads to a handler inside the gateway's own program", shorten(uri))
	default:
		b.drop(n, "target", "write http://HOST:PORT or lb://SERVICE", "%q is no target that maru knows", shorten(uri))
	}
}

// address reads a target that is a URL.
func (b *routeReader) address(n *node, uri string) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		b.drop(n, "target", "write http://HOST:PORT", "%q is no URL", shorten(uri))
		return
	}
	if u.User != nil {
		b.drop(n, "target", "write the URL without it, and send Authorization by the filter headers", "the URL holds a user")
		return
	}
	if (strings.Trim(u.Path, "/") != "" || u.RawQuery != "") && canonical(n.name) == "uri" {
		b.look(n, "target", "for a path before that of the request write the filter prefix",
			"Spring ignores what follows the host in %q, and so does this", shorten(uri))
	}
	scheme := strings.Replace(strings.ToLower(u.Scheme), "ws", "http", 1)
	b.plan.target = scheme + "://" + strings.ToLower(u.Host)
}

// metadata reads the time-outs; all else there is for code of their own.
func (b *routeReader) metadata(n *node) {
	p := b.plan
	for _, k := range n.keys() {
		switch canonical(k.name) {
		case "connecttimeout":
			if ms, ok := b.number(k, &p.element, 1, 24*3600*1000); ok {
				p.connect = (time.Duration(ms) * time.Millisecond).String()
			}
		case "responsetimeout":
			if ms, ok := b.number(k, &p.element, -1, 24*3600*1000); ok {
				p.respond = (time.Duration(ms) * time.Millisecond).String()
			}
		case "cors":
			g := gatewayReader{importer: b.importer}
			if v, from := g.corsOf(k); v != nil {
				s := &step{element: element{at: k, says: "cors of the route", from: from.from}, word: "cors", args: *v}
				p.filters = append([]*step{s}, p.filters...)
			}
		default:
			b.look(k, "metadata", "nothing, if only code of the gateway's own read it", "metadata %s is free data that maru does not have", k.name)
		}
	}
}

// finish finds the service.
func (b *routeReader) finish() {
	p := b.plan
	if p.target == "" {
		return // a finding told why
	}
	if strings.HasPrefix(p.target, "no:") {
		if !p.answers {
			b.drop(p.at, "target", "name the service, or a filter that answers: redirect or respond", "the route leads nowhere, and no filter of it answers")
		}
		return
	}
	host := "service"
	switch {
	case p.host != "":
		host = p.host
	case p.kept:
		host = "client"
	}
	if p.answers {
		return
	}
	p.service = b.serviceFor(p.target, host, p.connect)
	if p.service.at == nil {
		p.service.at = p.at.get("uri")
	}
	b.response(p)
}

// response writes the time-out of the head. Theirs is none unless one is set.
func (im *importer) response(p *plan) {
	if p.respond == "" {
		return
	}
	d, _ := time.ParseDuration(p.respond)
	if d < 0 {
		p.timeout = "0s"
		p.service.key("try-timeout", word("24h"))
		return
	}
	const ours, whole = 5 * time.Second, 15 * time.Second
	if d > ours {
		p.service.widen(d)
	}
	p.filters = append([]*step{{element: element{at: p.at, says: "response-timeout"}, word: "timeout", args: mapping(keyed("try", span(d)))}}, p.filters...)
	if d > whole {
		p.timeout = span(d).String()
	}
}

// widen makes the time of a try at least d.
func (s *service) widen(d time.Duration) {
	if k := s.has("try-timeout"); k != nil {
		if have, err := time.ParseDuration(k.value.String()); err == nil && have >= d {
			return
		}
	}
	s.key("try-timeout", span(d))
}

// serviceFor gives the service of a target, made once for each way to call it.
func (im *importer) serviceFor(target, host, connect string) *service {
	name, registry := strings.CutPrefix(target, "lb://")
	if !registry {
		if u, err := url.Parse(target); err == nil {
			name = u.Hostname()
			if strings.Trim(name, "0123456789.:[]") == "" || name == "localhost" {
				name = strings.Trim(name+"-"+u.Port(), "-")
			}
		}
	}
	base := strings.ToLower(name)
	for _, s := range im.draft.services {
		if s.base == base && s.host == host && (registry && s.registry == name || s.url == target) && s.connect() == connect {
			return s
		}
	}
	s := &service{name: serviceName(base), base: base, host: host}
	if host == "client" {
		s.says = "sees the client's Host"
	}
	if registry {
		s.registry = name
	} else {
		s.url = target
	}
	if connect != "" {
		s.key("connect-timeout", word(connect))
	}
	im.draft.services = append(im.draft.services, s)
	return s
}

func (s *service) connect() string {
	if k := s.has("connect-timeout"); k != nil {
		return k.value.String()
	}
	return ""
}

// serviceName makes a name that maru takes.
func serviceName(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	const longest = 60
	name := strings.Trim(b.String()[:min(b.Len(), longest)], "-")
	if name == "" {
		name = "service"
	}
	return name
}

// weights gives groups: maru's members have the same match. Theirs draw a
// member first and then look at its other predicates.
func (im *importer) weights() {
	groups := make(map[string][]int)
	for i, p := range im.draft.routes {
		if p.group != "" {
			groups[p.group] = append(groups[p.group], i)
		}
	}
	for _, list := range groups {
		first := im.draft.routes[list[0]]
		if len(list) == 1 {
			first.weight, first.says = nil, joinWords(first.says, "the only route of its weight group")
			continue
		}
		for k, i := range list {
			p := im.draft.routes[i]
			switch {
			case !sameMatch(first, p):
				im.find(p.at, diag.Error, "weight", "give all routes of the group the same predicates",
					"the routes of weight group "+p.group+" have different predicates, which share no requests in maru")
				for _, j := range list {
					if q := im.draft.routes[j]; q.off == "" {
						q.off = "the routes of its weight group have different predicates"
					}
				}
			case k > 0 && i != list[k-1]+1:
				im.find(p.at, diag.Warning, "weight", "look whether the routes between take what this group should have",
					"other routes stand between those of weight group "+p.group+"; here the group stands where its first route does")
			}
		}
	}
}

// sameMatch tells whether two plans take the same requests.
func sameMatch(a, b *plan) bool {
	return quotedMatch(a) == quotedMatch(b)
}

// switches are settings of the gateway that are on or off by nature here.
func (g *gatewayReader) switches() {
	if on, ok := g.boolean(g.root.get("enabled"), &element{}); ok && !on {
		g.look(g.root.get("enabled"), "disabled", "remove the key if the routes shall be imported", "the gateway is switched off in the source; its routes were imported all the same")
	} else {
		g.note(g.root.get("enabled"), "the gateway is on")
	}
	for _, k := range []struct{ key, why string }{
		{"metrics", "maru counts all routes"},
		{"observability", "maru continues traces by itself"},
		{"forwarded", "maru sends X-Forwarded-*; Forwarded with listen.public.forwarded"},
		{"x-forwarded", "maru sends X-Forwarded-*"},
		{"fail-on-route-definition-error", "maru check refuses the whole file"},
		{"streaming-media-types", "maru passes streams on as they come"},
		{"loadbalancer", "a service without endpoints gives 503"},
		{"route-refresh-listener", "maru takes a changed file over by itself"},
		{"handler-mapping", "maru has one table of routes"},
		{"restrictive-property-accessor", "nothing is evaluated"},
	} {
		g.note(g.root.get(k.key), k.why)
	}
	if n := g.root.get("trusted-proxies"); n != nil {
		g.lost(n, "trusted-proxies", "write their addresses as CIDRs: listen.public.trusted-proxies: [10.0.0.0/8]", "trusted proxies are an expression there, a list of addresses here")
	}
}
