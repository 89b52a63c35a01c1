package spring

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// zuulReader reads Zuul's routes.
type zuulReader struct {
	*importer

	root      *node
	prefix    string
	strip     bool // the prefix
	sensitive []string
	own       *element // global settings that routes were made with
	ignored   []string // headers
	host      string
	retry     bool
	named     map[string]bool // services with a route
}

// sensitiveByDefault are what Zuul keeps from services and clients.
func sensitiveByDefault() []string { return []string{"Cookie", "Set-Cookie", "Authorization"} }

// zuul reads zuul.*.
func (im *importer) zuul() {
	root := im.set.root.get("zuul")
	if root == nil {
		return
	}
	z := zuulReader{importer: im, root: root, strip: true, sensitive: sensitiveByDefault(), own: &element{at: root}, host: "service", named: make(map[string]bool)}
	if p, ok := im.take(root.get("prefix"), z.own); ok {
		z.prefix = "/" + strings.Trim(p, "/")
		if z.prefix == "/" {
			z.prefix = ""
		}
	}
	if on, ok := im.boolean(root.get("strip-prefix"), z.own); ok {
		z.strip = on
	}
	if n := root.get("sensitive-headers"); n != nil {
		z.sensitive = im.words(n, z.own)
	}
	z.ignored = im.words(root.get("ignored-headers"), z.own)
	if on, ok := im.boolean(root.get("add-host-header"), z.own); ok && on {
		z.host = "client"
	}
	if on, ok := im.boolean(root.get("add-proxy-headers"), z.own); ok && !on {
		im.look(root.get("add-proxy-headers"), "forwarded", "remove them by the filter headers if services must not see them", "maru always sends X-Forwarded-*")
	}
	z.retry, _ = im.boolean(root.get("retryable"), z.own)
	z.ignoredPatterns()
	for _, n := range root.get("routes").keys() {
		z.route(n)
	}
	z.order()
	z.automatic()
	z.pools()
	z.disabled()
	for _, k := range []string{
		"ignore-security-headers", "remove-semicolon-content", "decode-url", "trace-request-body", "set-content-length",
		"include-debug-header", "ssl-hostname-validation-enabled", "force-original-query-string-encoding", "servlet-path", "ribbon-isolation-strategy", "ribbon",
	} {
		im.note(root.get(k), "Zuul's own")
	}
	if len(z.own.from) > 0 {
		im.set.notes = append(im.set.notes, note{"zuul: these hold for all routes and stand with each", z.own.from})
	}
}

// ignoredPatterns makes routes that take what no other route must.
func (z *zuulReader) ignoredPatterns() {
	n := z.root.get("ignored-patterns")
	e := &element{at: n}
	for i, text := range z.words(n, e) {
		list, fault := readPattern(text, false)
		if fault != "" {
			z.lost(n, "pattern", "write a route that answers 404", "the pattern %q: %s", shorten(text), fault)
			continue
		}
		p := &plan{element: element{at: n, from: e.from, says: "ignored: " + comment(text)}, id: "ignored-" + strconv.Itoa(i+1), paths: list, answers: true}
		add(&p.filters, "respond", number(404), n, "")
		z.draft.routes = append(z.draft.routes, p)
	}
}

// route reads one route, in either form.
func (z *zuulReader) route(n *node) {
	p := &plan{element: element{at: n}, id: routeName(n.name), vars: make(map[string]bool)}
	b := routeReader{importer: z.importer, plan: p, list: &p.filters}
	pattern := "/" + n.name + "/**"
	if n.value != nil {
		if t, ok := z.take(n, &p.element); ok {
			pattern = t
		} else {
			b.off("its path is not known")
		}
	}
	if t, ok := z.take(n.get("path"), &p.element); ok {
		pattern = t
	}
	if id, ok := z.take(n.get("id"), &p.element); ok {
		p.id = routeName(id)
	}
	pattern = "/" + strings.TrimPrefix(pattern, "/")
	list, fault := readPattern(z.prefix+pattern, false)
	if fault != "" {
		b.drop(n, "pattern", "write the pattern in maru's words: docs/routes.md", "the pattern %q: %s", shorten(pattern), fault)
	}
	p.paths = list
	z.headers(&b, n)
	z.strips(&b, n, pattern)
	z.target(&b, n)
	retry, given := z.boolean(n.get("retryable"), &p.element)
	if given && retry || !given && z.retry {
		p.says = joinWords(p.says, "retryable: services retry by themselves, what may be sent twice")
	}
	if on, ok := z.boolean(n.get("custom-sensitive-headers"), &p.element); ok && !on {
		z.look(n.get("custom-sensitive-headers"), "headers", "nothing", "what is sensitive is written out here")
	}
	z.draft.routes = append(z.draft.routes, p)
}

// headers writes out what Zuul keeps from both sides.
func (z *zuulReader) headers(b *routeReader, n *node) {
	p := b.plan
	list, says := z.sensitive, "sensitiveHeaders"
	if own := n.get("sensitive-headers"); own != nil {
		list = z.words(own, &p.element)
		p.takes(own)
	} else if z.root.get("sensitive-headers") == nil {
		says = "sensitiveHeaders, Zuul's default"
	}
	var names []string
	for _, h := range append(append([]string(nil), list...), z.ignored...) {
		switch strings.ToLower(h) {
		case "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive":
			continue // maru writes them itself
		}
		if !slices.Contains(names, h) {
			names = append(names, h)
		}
	}
	if len(z.ignored) > 0 {
		says += " and ignoredHeaders"
	}
	if len(names) > 0 {
		add(&p.filters, "headers", mapping(keyed("request", mapping(keyed("remove", texts(names)))), keyed("response", mapping(keyed("remove", texts(names))))), n, says)
	}
}

// strips cuts the prefix, and the route's own part before the wildcard.
func (z *zuulReader) strips(b *routeReader, n *node, pattern string) {
	p := b.plan
	own := true
	if on, ok := z.boolean(n.get("strip-prefix"), &p.element); ok {
		own = on
	}
	literal, _, wild := strings.Cut(pattern, "*")
	literal = strings.TrimRight(literal, "/")
	cut := ""
	if z.strip {
		cut = z.prefix
	}
	switch {
	case own && wild && !strings.ContainsAny(literal, "{?"):
		if z.prefix != "" && !z.strip { // only the middle goes
			if literal != "" {
				add(&p.filters, "strip", text(z.prefix+literal), n, "stripPrefix")
			}
			add(&p.filters, "prefix", text(z.prefix), n, "prefix stays")
			return
		}
		cut += literal
	case own && wild:
		b.lost(n, "strip", "write the filter rewrite", "what stands before the wildcard of %q is not literal, and was not cut", shorten(pattern))
	}
	if cut != "" {
		add(&p.filters, "strip", text(cut), n, "stripPrefix")
	}
}

// target reads url or serviceId.
func (z *zuulReader) target(b *routeReader, n *node) {
	p := b.plan
	if uri := n.get("url"); uri != nil {
		b.target(uri)
		if p.target == "" || p.off != "" {
			return
		}
		if t, _ := z.take(uri, &p.element); strings.Contains(t, "://") {
			_, path, _ := strings.Cut(t[strings.Index(t, "://")+len("://"):], "/")
			if path, _, _ = strings.Cut(path, "?"); strings.Trim(path, "/") != "" {
				add(&p.filters, "prefix", text("/"+strings.Trim(path, "/")), n, "the path of url")
			}
		}
		p.service = z.serviceFor(p.target, z.host, "")
		p.service.at = n
		return
	}
	name := n.name
	if id := n.get("service-id"); id != nil {
		t, ok := z.take(id, &p.element)
		if !ok {
			b.off("its service is not known")
			return
		}
		name = t
	}
	z.named[strings.ToLower(name)] = true
	p.service = z.serviceFor("lb://"+strings.ToLower(name), z.host, "")
	p.service.at = n
}

// order tells of routes whose order a properties file does not have.
func (z *zuulReader) order() {
	routes := z.root.get("routes").keys()
	for i, a := range routes {
		if !strings.HasSuffix(a.at.File, ".properties") {
			continue
		}
		for _, c := range routes[:i] {
			if strings.HasSuffix(c.at.File, ".properties") && overlapping(z.planOf(a), z.planOf(c)) {
				z.look(a, "order", "look at which of the two shall win; here the one that stands first",
					"this route and %s take the same paths, and a properties file has no order", c.name)
			}
		}
	}
}

func (z *zuulReader) planOf(n *node) *plan {
	for _, p := range z.draft.routes {
		if p.at == n {
			return p
		}
	}
	return nil
}

// overlapping tells whether one of two plans takes what lies below the other.
func overlapping(a, b *plan) bool {
	if a == nil || b == nil {
		return false
	}
	for _, x := range a.paths {
		for _, y := range b.paths {
			p, _, _ := strings.Cut(x.pattern, "{")
			q, _, _ := strings.Cut(y.pattern, "{")
			if strings.HasPrefix(p, q) || strings.HasPrefix(q, p) {
				return true
			}
		}
	}
	return false
}

// automatic makes routes for the services that the files know and no route
// names: Zuul has one for every registered service.
func (z *zuulReader) automatic() {
	n := z.root.get("ignored-services")
	e := &element{}
	ignored := z.words(n, e)
	if len(e.from) > 0 {
		z.set.notes = append(z.set.notes, note{"zuul.ignoredServices: routes by discovery that there are not", e.from})
	}
	if slices.Contains(ignored, "*") {
		return
	}
	var made []string
	for _, k := range z.set.root.keys() {
		name := strings.ToLower(k.name)
		if k.get("ribbon") == nil || z.named[name] || slices.Contains(ignored, k.name) || k.name == "zuul" {
			continue
		}
		p := &plan{element: element{at: k, says: "Zuul's own route of a registered service"}, id: routeName(name), vars: make(map[string]bool)}
		list, fault := readPattern(z.prefix+"/"+name+"/**", false)
		if fault != "" {
			continue
		}
		p.paths = list
		b := routeReader{importer: z.importer, plan: p, list: &p.filters}
		z.headers(&b, &node{})
		z.strips(&b, &node{}, "/"+name+"/**")
		p.service = z.serviceFor("lb://"+name, z.host, "")
		p.service.at = k
		z.draft.routes = append(z.draft.routes, p)
		made = append(made, name)
	}
	words := "every registered service has the route /{serviceId}/** in Zuul; maru makes no routes by itself"
	if len(made) > 0 {
		words += "; written were those that the files know: " + strings.Join(made, ", ")
	}
	at := z.root
	if n != nil {
		at = n
	}
	value := *at // the settings below it are told elsewhere
	value.kids, value.value = nil, nil
	z.look(&value, "automatic", "write a route for each service that clients call, or zuul.ignoredServices: '*' in the source", "%s", words)
}

// pools reads zuul.host, for routes with a url, and the semaphores.
func (z *zuulReader) pools() {
	h := z.root.get("host")
	e := &element{}
	connect, socket, per := 2*time.Second, 10*time.Second, 20
	says := "Zuul's defaults for routes with a url: 2 s, 10 s, 20 connections"
	if ms, ok := z.number(h.get("connect-timeout-millis"), e, 1, 24*3600*1000); ok {
		connect = time.Duration(ms) * time.Millisecond
	}
	if ms, ok := z.number(h.get("socket-timeout-millis"), e, 1, 24*3600*1000); ok {
		socket = time.Duration(ms) * time.Millisecond
	}
	if k, ok := z.number(h.get("max-per-route-connections"), e, 1, 1<<20); ok {
		per = k
	}
	if len(e.from) > 0 {
		says = "zuul.host"
	}
	used := false
	for _, p := range z.draft.routes {
		if s := p.service; s != nil && s.url != "" && z.planOf(p.at) != nil && p.at.get("url") != nil {
			used = true
			s.key("connect-timeout", span(connect))
			s.key("try-timeout", span(socket))
			s.key("connections", mapping(keyed("max", number(per))))
			s.from = append(s.from, e.from...)
			s.says = says
		}
	}
	if !used && len(e.from) > 0 {
		z.set.notes = append(z.set.notes, note{"zuul.host is for routes with a url, and there is none", e.from})
	}
	z.note(h.get("max-total-connections"), "maru bounds connections for each endpoint")
	z.note(h.get("connection-request-timeout-millis"), "how long a request waits for a connection follows from its time")
	z.note(h.get("time-to-live"), "connections are closed when idle")
	z.note(h.get("time-unit"), "connections are closed when idle")
	z.semaphores()
}

// fixedLimit is a limit of a service that stays as it is; queue -1 is none.
func fixedLimit(limit, queue int) value {
	return mapping(keyed("algorithm", word("fixed")), keyed("initial", number(limit)), keyed("queue", number(queue)))
}

func (z *zuulReader) semaphores() {
	global := &element{}
	most, ok := z.number(z.root.get("semaphore", "max-semaphores"), global, 1, 1_000_000)
	for _, p := range z.draft.routes {
		s := p.service
		if s == nil || z.planOf(p.at) == nil || s.has("limit") != nil {
			continue
		}
		e := &element{}
		limit, own := z.number(z.root.get("eureka", s.base, "semaphore", "max-semaphores"), e, 1, 1_000_000)
		if !own {
			limit, e = most, global
		}
		if own || ok {
			s.set("limit", fixedLimit(limit, -1), s.at, "semaphore.maxSemaphores", e.from...)
		}
	}
	z.note(z.root.get("thread-pool"), "maru has no threads to hold")
}

// disabled tells of filters that were switched off, and so of what else there was.
func (z *zuulReader) disabled() {
	orders := map[string]int{
		"servletdetectionfilter": -3, "servlet30wrapperfilter": -2, "formbodywrapperfilter": -1, "debugfilter": 1, "predecorationfilter": 5,
		"ribbonroutingfilter": 10, "simplehostroutingfilter": 100, "sendforwardfilter": 500, "senderrorfilter": 0, "locationrewritefilter": 900, "sendresponsefilter": 1000,
	}
	for _, f := range z.root.keys() {
		for _, kind := range f.keys() {
			off := kind.get("disable")
			if off == nil {
				continue
			}
			what := "a filter of your own"
			if order, known := orders[canonical(f.name)]; known {
				what = "order " + strconv.Itoa(order)
			}
			z.lost(off, "filter", "look at what the filter did, and write a filter of maru if it is missed: docs/filters",
				"disable of %s (%s, %s): maru has none of Zuul's filters", f.name, kind.name, what)
		}
	}
}
