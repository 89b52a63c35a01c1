package spring

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// locator reads discovery.locator: a route for each registered service, which
// maru does not make by itself.
func (g *gatewayReader) locator() {
	n := g.root.get("discovery", "locator")
	if n == nil {
		return
	}
	if on, ok := g.boolean(n.get("enabled"), &element{}); !ok || !on {
		g.note(n, "there are no routes by discovery")
		return
	}
	g.lost(n, "locator", `write a route for each service: { match: "/SERVICE/{rest...}", filters: [strip: 1], to: SERVICE }`,
		"every registered service has the route /{serviceId}/** there; maru makes no routes by itself")
}

// cors reads globalcors: what is for every path goes before all routes' filters,
// the rest to the routes below its path.
func (g *gatewayReader) cors() {
	n := g.root.get("globalcors")
	if n == nil {
		return
	}
	g.note(n.get("add-to-simple-url-handler-mapping"), "a preflight is answered for every route")
	g.note(n.get("enabled"), "see cors-configurations")
	for _, k := range n.get("cors-configurations").keys() {
		v, e := g.corsOf(k)
		if v == nil {
			continue
		}
		if k.name == "/**" {
			g.draft.filters = append([]*step{{element: element{at: k, says: "globalcors", from: e.from}, word: "cors", args: *v}}, g.draft.filters...)
			continue
		}
		below, open := strings.CutSuffix(k.name, "/**")
		found := false
		for _, p := range g.draft.routes {
			if !open || !p.below(below) {
				continue
			}
			found = true
			p.filters = append([]*step{{element: element{at: k, says: "globalcors " + k.name, from: e.from}, word: "cors", args: *v}}, p.filters...)
		}
		if !found {
			g.draftNote(e, k.path+": see the finding")
			g.lost(k, "cors", "write the filter cors at the routes that it is for", "cors for %q: no route has all its paths below it", shorten(k.name))
		}
	}
}

// below tells whether all paths of a plan lie below a literal one.
func (p *plan) below(prefix string) bool {
	for _, x := range p.paths {
		if x.pattern != prefix && !strings.HasPrefix(x.pattern, prefix+"/") {
			return false
		}
	}
	return len(p.paths) > 0
}

// corsOf reads one CorsConfiguration; nil when it can't be written.
func (g *gatewayReader) corsOf(n *node) (*value, *element) {
	e := &element{at: n}
	var origins []string
	for _, o := range g.words(n.get("allowed-origins"), e) {
		origins = append(origins, strings.TrimSuffix(o, "/"))
	}
	for _, o := range g.words(n.get("allowed-origin-patterns"), e) {
		origins = append(origins, originPattern(o))
	}
	credentials, _ := g.boolean(n.get("allow-credentials"), e)
	v := mapping()
	if len(origins) > 0 {
		v = v.With("origins", texts(origins))
	}
	methods := g.words(n.get("allowed-methods"), e)
	switch {
	case len(methods) == 0:
		v = v.With("methods", texts([]string{"GET", "HEAD"})) // theirs, when nothing is said
	case methods[0] != "*":
		v = v.With("methods", texts(methods))
	}
	headers := g.words(n.get("allowed-headers"), e)
	if len(headers) > 0 && headers[0] != "*" {
		v = v.With("headers", texts(headers))
	}
	if expose := g.words(n.get("exposed-headers"), e); len(expose) > 0 {
		v = v.With("expose", texts(expose))
	}
	if age := n.get("max-age"); age != nil {
		if t, ok := g.take(age, e); ok {
			d, fine := readDuration(t, time.Second)
			if !fine || d < 0 {
				g.lost(age, "value", "write seconds", "%q is no time", shorten(t))
			} else {
				v = v.With("max-age", span(d.Truncate(time.Second)))
			}
		}
	}
	if credentials {
		v = v.With("credentials", word("true"))
	}
	switch {
	case len(origins) == 0:
		g.lost(n, "cors", "write cors: { origins: [...] }", "cors without origins lets nobody read answers")
	case credentials && slices.Contains(origins, "*"):
		g.lost(n, "cors", "name the origins", "browsers refuse credentials together with origin *")
	default:
		return &v, e
	}
	g.draftNote(e, n.path+": see the finding")
	return nil, nil
}

// originPattern turns https://*.example.com:[8080,8081] into maru's words.
func originPattern(o string) string {
	scheme, host, ok := strings.Cut(o, "://")
	if o == "*" || !strings.ContainsAny(o, "*[") {
		return o
	}
	if !ok {
		scheme, host = "*", o
	}
	expr := strings.ReplaceAll(regexp.QuoteMeta(scheme+"://"+host), `\*`, ".*")
	if i := strings.Index(expr, `:\[`); i >= 0 && strings.HasSuffix(expr, `\]`) {
		ports := expr[i+len(`:\[`) : len(expr)-len(`\]`)]
		if ports == ".*" {
			expr = expr[:i] + "(?::[0-9]+)?"
		} else {
			expr = expr[:i] + ":(?:" + strings.ReplaceAll(ports, ",", "|") + ")"
		}
	}
	return "regex:" + expr
}

// client reads httpclient, which is for the services of all routes.
func (g *gatewayReader) client() {
	n := g.root.get("httpclient")
	if n == nil {
		return
	}
	e := &element{}
	each := func(key string, v value) {
		for _, s := range g.draft.services {
			if key != "connect-timeout" || s.connect() == "" {
				s.key(key, v)
			}
		}
	}
	if ms, ok := g.number(n.get("connect-timeout"), e, 1, 24*3600*1000); ok {
		each("connect-timeout", span(time.Duration(ms)*time.Millisecond))
	}
	if d, ok := g.duration(n.get("response-timeout"), e); ok && d > 0 {
		g.responses(d)
	}
	pool := n.get("pool")
	if d, ok := g.duration(pool.get("max-idle-time"), e); ok && d > 0 {
		each("idle-timeout", span(d))
	}
	if most, ok := g.number(pool.get("max-connections"), e, 1, 1<<20); ok {
		each("connections", mapping(keyed("max", number(most))))
	}
	g.note(pool.get("type"), "maru keeps connections for each endpoint, bounded by connections")
	g.note(n.get("compression"), "bodies pass as they are")
	insecure := n.get("ssl", "use-insecure-trust-manager")
	if on, ok := g.boolean(insecure, e); ok && on {
		g.look(insecure, "insecure", "name the authority: tls: { ca: FILE }", "certificates of services are not verified in the source; here they are")
	}
	for _, s := range g.draft.services {
		s.from = append(s.from, e.from...)
	}
	if len(g.draft.services) == 0 {
		g.draftNote(e, "httpclient: there is no service that it would be for")
	}
}

// responses gives all routes without a time-out of their own that of all.
func (g *gatewayReader) responses(d time.Duration) {
	for _, p := range g.draft.routes {
		if p.respond != "" || p.service == nil {
			continue
		}
		p.service.widen(d)
		if d > 15*time.Second {
			p.timeout = span(d).String()
		}
	}
}

// surroundings reads what stands beside the routes: the gateway's own address,
// the registry, and what needs no equal.
func (im *importer) surroundings() {
	root := im.set.root
	e := &element{at: root.get("server", "port"), says: "server.port"}
	if port, ok := im.number(root.get("server", "port"), e, 0, 65535); ok && port > 0 {
		address := ":" + strconv.Itoa(port)
		if host, ok := im.take(root.get("server", "address"), e); ok {
			address = host + address
		}
		im.draft.listener, im.draft.address = e, address
	}
	im.note(root.get("server", "shutdown"), "maru drains for 30 s at its end")
	im.note(root.get("server", "compression", "enabled"), "write the filter compress where bodies shall be compressed")
	im.note(root.get("server", "http2"), "HTTP/2 is on where there is TLS")
	im.note(root.get("server", "forward-headers-strategy"), "whose X-Forwarded-* count is said by listen.public.trusted-proxies")
	im.note(root.get("spring", "application", "name"), "maru has no name of its own")
	im.note(root.get("spring", "main", "web-application-type"), "Spring's own")
	im.note(root.get("spring", "webflux", "base-path"), "it stands before the patterns of the routes")
	im.note(root.get("spring", "profiles", "active"), "the active profiles")
	im.eureka()
}

// eureka finds the registry.
func (im *importer) eureka() {
	var services []*service
	for _, s := range im.draft.services {
		if s.registry != "" && len(s.urls) == 0 {
			services = append(services, s)
		}
	}
	client := im.set.root.get("eureka", "client")
	e := &element{}
	var list []string
	zones := client.get("service-url").keys()
	for _, z := range zones {
		list = append(list, im.words(z, e)...)
	}
	switch {
	case len(services) == 0:
		im.note(client, "no service of this file is looked up")
	case len(list) > 0:
		for i := range list {
			list[i] = im.registryURL(zones[0], list[i])
		}
		for _, s := range services {
			s.servers = list
			s.from = append(s.from, e.from...)
		}
		if d, ok := im.number(client.get("registry-fetch-interval-seconds"), e, 1, 3600); ok {
			im.set.notes = append(im.set.notes, note{"maru asks each second, not each " + strconv.Itoa(d) + " s", e.from})
		}
	default:
		im.draft.registry = &element{says: "services register here: no registry is named in the source"}
		im.find(services[0].origin(), 1, "registry", "give the services the address of this registry (http://HOST:8761/eureka), or write registry: { name: …, url: … } at each",
			"no registry is named for lb://"+services[0].registry+": this maru serves one")
	}
	im.note(client.get("register-with-eureka"), "maru does not register itself")
	im.note(client.get("fetch-registry"), "only names that routes lead to are asked for")
	im.note(client.get("enabled"), "see service-url")
	im.note(im.set.root.get("eureka", "instance"), "maru does not register itself")
}

// registryURL is the URL of a server without its user.
func (im *importer) registryURL(n *node, server string) string {
	server = strings.TrimSuffix(server, "/")
	u, err := url.Parse(server)
	if err != nil || u.User == nil {
		return server
	}
	im.lost(n, "registry", "let maru's registry take the place of the server", "the registry wants a user, which maru does not send")
	u.User = nil
	return u.String()
}

// origin is a node that a service came from.
func (s *service) origin() *node {
	if s.at != nil {
		return s.at
	}
	return &node{}
}
