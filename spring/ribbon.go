package spring

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// loadBalancers reads Ribbon's settings of each service and those of all, and
// the endpoints that Spring's own discovery names in the file.
func (im *importer) loadBalancers() {
	root := im.set.root
	for _, k := range root.keys() {
		if k.get("ribbon") != nil && canonical(k.name) != "zuul" {
			im.serviceNamed(k.name, k)
		}
	}
	im.simpleDiscovery()
	global := root.get("ribbon")
	for _, s := range im.draft.services {
		r := ribbonReader{importer: im, s: s}
		if own := root.get(s.base); own != nil {
			r.own = own.get("ribbon")
		}
		if s.registry != "" {
			r.all = global
		}
		r.read()
	}
	for _, key := range []string{"eager-load", "http", "restclient", "okhttp"} {
		im.note(global.get(key), "Ribbon's own")
	}
	im.note(global.get("eureka"), "endpoints come from a registry only where no URLs are written")
	if global != nil {
		for _, k := range global.keys() {
			if _, known := ribbonKeys()[canonical(k.name)]; known {
				im.note(k, "there is no service that it would be for")
			}
		}
	}
}

// serviceNamed gives the services that settings call by a name; one is made when
// there is none, so that its settings have a place.
func (im *importer) serviceNamed(name string, at *node) []*service {
	var out []*service
	base := strings.ToLower(name)
	for _, s := range im.draft.services {
		if s.base == base || s.name == base {
			out = append(out, s)
		}
	}
	if out == nil && at != nil {
		s := im.serviceFor("lb://"+base, "service", "")
		s.at, s.says = at, "no route leads here"
		out = append(out, s)
	}
	return out
}

// simpleDiscovery reads spring.cloud.discovery.client.simple.instances.
func (im *importer) simpleDiscovery() {
	for _, k := range im.set.root.get("spring", "cloud", "discovery", "client", "simple", "instances").keys() {
		for _, s := range im.serviceNamed(k.name, k) {
			s.urls = nil
			for _, n := range k.list() {
				if uri, ok := im.take(n.get("uri"), &s.element); ok {
					im.endpoint(n, s, uri, false)
				}
				if m := n.get("metadata"); m != nil && untold(m) {
					im.look(m, "metadata", "write urls: [{ url: …, zone: … }] for a zone", "metadata of an endpoint was left out")
				}
			}
		}
	}
	im.note(im.set.root.get("spring", "cloud", "discovery", "client", "simple"), "see the services")
}

// endpoint adds a URL, or host:port, to a service.
func (im *importer) endpoint(n *node, s *service, uri string, secure bool) {
	if !strings.Contains(uri, "://") {
		scheme := "http://"
		if secure {
			scheme = "https://"
		}
		uri = scheme + uri
	}
	uri = strings.TrimSuffix(uri, "/")
	if !slices.Contains(s.urls, uri) {
		s.urls = append(s.urls, uri)
	} else {
		im.find(n, diag.Warning, "twice", "remove one", uri+" is there twice")
	}
}

// ribbonReader reads the settings of one service: its own go before those of all.
type ribbonReader struct {
	*importer

	s        *service
	own, all *node
}

func (r *ribbonReader) get(key string) *node {
	if n := r.own.get(key); n != nil {
		return n
	}
	return r.all.get(key)
}

// ribbonKeys are the keys that are read.
func ribbonKeys() map[string]func(*ribbonReader, *node) {
	return map[string]func(*ribbonReader, *node){
		"listofservers":                      (*ribbonReader).servers,
		"nfloadbalancerruleclassname":        (*ribbonReader).rule,
		"nfloadbalancerpingclassname":        (*ribbonReader).ping,
		"nfloadbalancerpinginterval":         (*ribbonReader).pingTime,
		"nfloadbalancermaxtotalpingtime":     (*ribbonReader).pingTime,
		"niwsserverlistclassname":            (*ribbonReader).serverList,
		"niwsserverlistfilterclassname":      (*ribbonReader).serverFilter,
		"serverlistrefreshinterval":          (*ribbonReader).refresh,
		"connecttimeout":                     (*ribbonReader).connectTimeout,
		"readtimeout":                        (*ribbonReader).readTimeout,
		"maxautoretries":                     nil, // read together by retries
		"maxautoretriesnextserver":           nil,
		"retryablestatuscodes":               nil,
		"oktoretryonalloperations":           (*ribbonReader).allOperations,
		"maxconnectionsperhost":              (*ribbonReader).connections,
		"maxtotalconnections":                (*ribbonReader).ownNumber,
		"enablezoneaffinity":                 (*ribbonReader).zone,
		"enablezoneexclusivity":              (*ribbonReader).zone,
		"deploymentcontextbasedvipaddresses": (*ribbonReader).vip,
		"issecure":                           (*ribbonReader).secure,
		"eureka":                             (*ribbonReader).ownNumber,
	}
}

// read reads all keys of a service, its endpoints first.
func (r *ribbonReader) read() {
	if r.own == nil && r.all == nil {
		return
	}
	keys := ribbonKeys()
	for _, from := range []*node{r.own, r.all} {
		for _, k := range from.keys() {
			name := canonical(k.name)
			if do := keys[name]; do != nil && r.get(k.name) == k {
				do(r, k)
			}
		}
	}
	r.retries()
}

// pingTime is read by check.
func (r *ribbonReader) pingTime(n *node) {
	if class := r.get("NFLoadBalancerPingClassName"); class == nil || class.value == nil || className(class.value.text) != "PingUrl" {
		r.note(n, "there is no check that it would be for")
	}
}

// ownNumber is a setting that has nothing to become.
func (r *ribbonReader) ownNumber(n *node) { r.note(n, "Ribbon's own") }

func (r *ribbonReader) servers(n *node) {
	secure, _ := r.boolean(r.get("is-secure"), &r.s.element)
	r.s.urls = nil
	for _, w := range r.words(n, &r.s.element) {
		r.endpoint(n, r.s, w, secure)
	}
}

func (r *ribbonReader) secure(n *node) {
	on, ok := r.boolean(n, &r.s.element)
	if ok && on && r.get("list-of-servers") == nil && r.s.registry != "" {
		r.look(n, "secure", "write tls: {} at the service when its instances are registered with a secure port", "which port is called follows from what is registered")
	}
}

// className is a Java class without its package.
func className(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }

func (r *ribbonReader) rule(n *node) {
	class, ok := r.take(n, &r.s.element)
	if !ok {
		return
	}
	switch className(class) {
	case "RoundRobinRule", "ClientConfigEnabledRoundRobinRule":
		r.s.key("balance", word("round-robin"))
	case "RandomRule":
		r.s.key("balance", word("random"))
	case "WeightedResponseTimeRule":
		r.s.key("balance", word("peak-ewma"))
	case "ResponseTimeWeightedRule":
		r.s.key("balance", word("peak-ewma"))
	case "BestAvailableRule":
		r.s.key("balance", word("least-request"))
	case "AvailabilityFilteringRule":
		r.s.key("balance", word("round-robin"))
		r.s.says = joinWords(r.s.says, "endpoints that fail are passed over by themselves")
	case "ZoneAvoidanceRule":
		r.s.key("balance", word("peak-ewma"))
		r.s.key("zone", word("prefer"))
	case "RetryRule":
		r.s.key("balance", word("round-robin"))
		add(&r.s.filters, "timeout", mapping(keyed("total", word("500ms"))), n, "RetryRule", n.value)
	default:
		r.lost(n, "rule", "write balance: peak-ewma, round-robin, random, weighted, least-request or hash", "%s is no rule of Ribbon's own", shorten(class))
	}
}

func (r *ribbonReader) ping(n *node) {
	class, ok := r.take(n, &r.s.element)
	if !ok {
		return
	}
	switch className(class) {
	case "NoOpPing", "DummyPing", "PingConstant", "NIWSDiscoveryPing":
		r.s.says = joinWords(r.s.says, className(class)+": no check; what is registered as down is not called")
	case "PingUrl":
		r.check()
	default:
		r.lost(n, "ping", "let the service register, or let failing calls tell", "%s is no ping of Ribbon's own", shorten(class))
	}
}

// check calls endpoints as PingUrl does, each at its own time.
func (r *ribbonReader) check() {
	v := mapping(keyed("http", text("/")))
	if n, ok := r.number(r.get("NFLoadBalancerPingInterval"), &r.s.element, 1, 3600); ok {
		v = v.With("interval", span(time.Duration(n)*time.Second))
	}
	if n, ok := r.number(r.get("NFLoadBalancerMaxTotalPingTime"), &r.s.element, 1, 60); ok {
		v = v.With("timeout", span(time.Duration(n)*time.Second))
	}
	r.s.key("check", v)
}

func (r *ribbonReader) serverList(n *node) {
	class, ok := r.take(n, &r.s.element)
	if !ok {
		return
	}
	switch className(class) {
	case "ConfigurationBasedServerList":
		if r.get("list-of-servers") == nil {
			r.lost(n, "servers", "write url or urls at the service", "there is no listOfServers")
		}
	case "DiscoveryEnabledNIWSServerList", "DomainExtractingServerList":
	default:
		r.lost(n, "servers", "write url, urls, dns, file or registry at the service", "%s is no list of servers that maru knows", shorten(class))
	}
}

func (r *ribbonReader) serverFilter(n *node) {
	class, ok := r.take(n, &r.s.element)
	if !ok {
		return
	}
	switch className(class) {
	case "ZonePreferenceServerListFilter", "ZoneAffinityServerListFilter", "DefaultNIWSServerListFilter":
		r.s.key("zone", word("prefer"))
	default:
		r.lost(n, "servers", "nothing: of two endpoints picked at random the better one is taken, however many there are", "%s has no equal", shorten(class))
	}
}

func (r *ribbonReader) refresh(n *node) {
	ms, ok := r.number(n, &r.s.element, 1, 24*3600*1000)
	if !ok {
		return
	}
	r.s.says = joinWords(r.s.says, "ServerListRefreshInterval "+strconv.Itoa(ms)+" ms: maru is told of changes, or asks each second")
}

func (r *ribbonReader) connectTimeout(n *node) {
	if ms, ok := r.number(n, &r.s.element, 1, 24*3600*1000); ok {
		r.s.key("connect-timeout", span(time.Duration(ms)*time.Millisecond))
	}
}

func (r *ribbonReader) readTimeout(n *node) {
	if ms, ok := r.number(n, &r.s.element, 1, 24*3600*1000); ok {
		r.s.key("try-timeout", span(time.Duration(ms)*time.Millisecond))
	}
}

func (r *ribbonReader) connections(n *node) {
	if k, ok := r.number(n, &r.s.element, 1, 1<<20); ok {
		r.s.key("connections", mapping(keyed("max", number(k))))
	}
}

func (r *ribbonReader) zone(n *node) {
	if on, ok := r.boolean(n, &r.s.element); ok && on {
		r.s.key("zone", word("prefer"))
	} else if ok {
		r.s.key("zone", word("ignore"))
	}
}

func (r *ribbonReader) vip(n *node) {
	list := r.words(n, &r.s.element)
	if len(list) > 0 && r.s.registry != "" {
		r.s.registry = strings.ToLower(list[0])
	}
	if len(list) > 1 {
		r.look(n, "registry", "write a service for each, and the filter split", "of several names only the first is looked up")
	}
}

func (r *ribbonReader) allOperations(n *node) {
	if on, ok := r.boolean(n, &r.s.element); ok && on {
		r.look(n, "retry", "let clients send Idempotency-Key: such requests are sent again", "POST is sent again there, and may then happen twice; maru does so only when it was not sent at all")
	}
}

// retries joins the retries at one server and at the next ones: maru's always go
// to another endpoint while there is one.
func (r *ribbonReader) retries() {
	same, next, statuses := r.get("max-auto-retries"), r.get("max-auto-retries-next-server"), r.get("retryable-status-codes")
	if same == nil && next == nil && statuses == nil {
		return
	}
	e := &element{at: same}
	for _, n := range []*node{same, next, statuses} {
		if n != nil {
			e.at = n
		}
	}
	tries, others := 0, 1
	if n, ok := r.number(same, e, 0, 100); ok {
		tries = n
	}
	if n, ok := r.number(next, e, 0, 100); ok {
		others = n
	}
	const most = 10
	attempts := min((tries+1)*(others+1), most)
	const says = "MaxAutoRetries, MaxAutoRetriesNextServer"
	list := r.words(statuses, e)
	switch {
	case attempts < 2:
		r.s.set("retry", word("off"), e.at, says, e.from...)
	case len(list) > 0:
		add(&r.s.filters, "retry", mapping(keyed("attempts", number(attempts)), keyed("statuses", texts(list))), e.at, says, e.from...)
	default:
		r.s.set("retry", number(attempts), e.at, says, e.from...)
	}
}
