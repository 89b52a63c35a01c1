package krakend

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/sketch"
)

// service is a service to be: a list of hosts.
type service struct {
	name   string
	block  *sketch.Block
	prefix string // path that the hosts had
	https  bool
	set    map[string]string // keys that backends asked for
}

// root reads the service level.
func (im *importer) root(t *config.Tree) {
	o := im.Object(t, "krakend")
	if o == nil {
		return
	}
	if v := o.Text("version"); v != "3" {
		im.Lost(o.Key("version"), "version", "bring the file to version 3 with KrakenD's own tool first", "the version is "+strconv.Quote(sketch.Shorten(v))+"; only 3 is known")
	}
	if name := o.Text("name"); name != "" {
		im.file.Head = append(im.file.Head, "", "Of "+name+", "+from(o.Key("name")))
	}
	im.timeout = 2 * time.Second
	if d, ok := im.duration(o, "timeout"); ok && d > 0 {
		im.timeout = d
	}
	im.cacheTTL, _ = im.duration(o, "cache_ttl")
	im.hosts = o.Texts("host")
	im.encoding = o.Text("output_encoding")
	im.listener(o)
	im.dialer(o)
	im.serviceExtra(o.Object("extra_config"))
	for i, e := range o.List("endpoints") {
		im.endpoint(e, "endpoints["+strconv.Itoa(i)+"]")
	}
	im.unknown(o, serviceGaps())
	im.defaults(o)
}

// defaults names where the defaults stand that went into the endpoints.
func (im *importer) defaults(o *sketch.Object) {
	for _, key := range []string{"version", "timeout", "cache_ttl", "host", "output_encoding"} {
		if t := o.Get(key); t != nil {
			im.file.Notes = append(im.file.Notes, sketch.Lines(o.Key(key).Position, sketch.LastLine(t))+": "+key+" stands where it counts")
		}
	}
}

// listener reads where requests come in.
func (im *importer) listener(o *sketch.Object) {
	port, ok := o.Number("port")
	if !ok {
		port = 8080
	}
	b := im.listen.Add(&sketch.Block{Text: "public:", At: o.Key("port").Position})
	if o.Get("port") != nil {
		b.Above = from(o.Key("port"))
	}
	b.Line("address", sketch.Text(net.JoinHostPort(o.Text("listen_ip"), strconv.Itoa(port))))
	if ip := o.Get("listen_ip"); ip != nil {
		b.Above += ", " + from(ip)
	}
	if o.True("use_h2c") {
		b.Line("h2c", sketch.Word("true")).Behind = from(o.Get("use_h2c"))
	} else if t := o.Get("use_h2c"); t != nil {
		im.file.Notes = append(im.file.Notes, from(t)+": use_h2c is off as it is in maru")
	}
	im.tls(o.Object("tls"), b)
}

// tls reads the certificates.
func (im *importer) tls(o *sketch.Object, listener *sketch.Block) {
	if o == nil {
		return
	}
	if o.True("disabled") {
		im.file.Notes = append(im.file.Notes, from(o.Tree)+": tls is disabled")
		o.Rest(func(_, _ *config.Tree) {})
		return
	}
	var list []sketch.Value
	pair := func(o *sketch.Object) {
		cert, key := o.Text("public_key"), o.Text("private_key")
		if cert != "" {
			list = append(list, sketch.Map(sketch.Pair("cert", sketch.Text(cert)), sketch.Pair("key", sketch.Text(key))))
		}
	}
	pair(o)
	for i, k := range o.List("keys") {
		if k := im.Object(k, o.Path+".keys["+strconv.Itoa(i)+"]"); k != nil {
			pair(k)
			im.unknown(k, nil)
		}
	}
	b := listener.Add(&sketch.Block{Text: "tls:", Above: from(o.Tree), At: o.Tree.Position})
	b.Line("certificates", sketch.List(list...))
	if v := o.Text("min_version"); v == "TLS13" {
		b.Line("min-version", sketch.Text("1.3"))
	} else if v != "" && v != "TLS12" {
		im.Look(o.Get("min_version"), "no-equal", "nothing: clients of TLS 1.2 and 1.3 are taken", o.Path+".min_version: "+sketch.Shorten(v)+" is older than what maru speaks")
	}
	if o.True("enable_mtls") {
		b.Line("client-auth", sketch.Word("require"))
	}
	if ca := o.Texts("ca_certs"); len(ca) > 0 {
		b.Line("client-ca", sketch.Texts(ca))
	}
	im.unknown(o, nil)
}

// dialer reads what holds for calls of all services.
func (im *importer) dialer(o *sketch.Object) {
	for _, k := range []struct{ theirs, ours string }{
		{"dialer_timeout", "connect-timeout"}, {"response_header_timeout", "try-timeout"}, {"idle_connection_timeout", "idle-timeout"},
	} {
		if d, ok := im.duration(o, k.theirs); ok && d > 0 {
			im.keys = append(im.keys, serviceKey{k.ours, sketch.Span(d), o.Get(k.theirs)})
		} else if ok {
			im.file.Notes = append(im.file.Notes, from(o.Get(k.theirs))+": "+k.theirs+" is 0: maru's own counts")
		}
	}
	if n, ok := o.Number("max_idle_connections_per_host"); ok && n > 0 {
		im.keys = append(im.keys, serviceKey{"connections", sketch.Map(sketch.Pair("idle", sketch.Number(n))), o.Get("max_idle_connections_per_host")})
	} else if ok {
		im.file.Notes = append(im.file.Notes, from(o.Get("max_idle_connections_per_host"))+": 0: maru's own counts")
	}
	if t := o.Get("allow_insecure_connections"); t != nil {
		im.insecure = t.Text == "true"
		im.file.Notes = append(im.file.Notes, from(t)+": allow_insecure_connections stands at the services with https")
	}
	if c := o.Object("client_tls"); c != nil {
		if t := c.Get("allow_insecure_connections"); t != nil {
			im.insecure = im.insecure || t.Text == "true"
			im.file.Notes = append(im.file.Notes, from(t)+": allow_insecure_connections stands at the services with https")
		}
		im.unknown(c, nil)
	}
}

// service gives the service of a list of hosts; nil when there is none.
func (im *importer) service(o *sketch.Object) *service {
	hosts, at := im.hosts, o.Tree
	if own := o.Texts("host"); len(own) > 0 {
		hosts, at = own, o.Get("host")
	}
	sd := o.Text("sd")
	scheme := o.Text("sd_scheme")
	o.Get("disable_host_sanitize")
	if len(hosts) == 0 {
		im.Lost(o.Tree, "host", "write host: [\"http://…\"]", o.Path+" has no host")
		return nil
	}
	id := sd + " " + scheme + " " + strings.Join(hosts, " ")
	if s := im.services[id]; s != nil {
		return s
	}
	s := &service{set: make(map[string]string)}
	name := ""
	var urls []string
	for _, h := range hosts {
		u := parseHost(h, scheme)
		if u == nil {
			im.Lost(at, "host", "write http://HOST:PORT", sketch.Shorten(h)+" is no host")
			return nil
		}
		if name == "" {
			name = nameOf(u)
		}
		if path := strings.TrimSuffix(u.EscapedPath(), "/"); len(urls) == 0 {
			s.prefix = path
		} else if path != s.prefix {
			im.Lost(at, "host", "give them the same path, or services of their own", "the hosts have different paths")
			return nil
		}
		s.https = s.https || u.Scheme == "https"
		urls = append(urls, u.Scheme+"://"+u.Host)
	}
	s.name = im.unique(name)
	s.block = im.svcs.Add(&sketch.Block{Text: s.name + ":", Kind: "service", Spare: true, Above: from(at), At: at.Position})
	switch {
	case sd == "dns":
		s.block.Line("dns", sketch.Map(sketch.Pair("name", sketch.Text(hostName(urls[0]))), sketch.Pair("type", sketch.Word("SRV"))))
	case sd != "" && sd != "static":
		im.Lost(o.Get("sd"), "no-equal", "name the endpoints: url, urls, dns, file or registry", o.Path+".sd: "+sketch.Shorten(sd)+" is not known")
		s.block.Off = "see the finding"
	case len(urls) == 1:
		s.block.Line("url", sketch.Text(urls[0]))
	default:
		s.block.Line("urls", sketch.Texts(urls))
	}
	s.block.Line("host", sketch.Word("service"))
	for _, k := range im.keys {
		b := s.block.Line(k.key, k.value)
		b.At, b.Behind = k.from.Position, from(k.from)
	}
	if im.insecure && s.https {
		s.block.Line("tls", sketch.Map(sketch.Pair("insecure", sketch.Word("true"))))
	}
	im.services[id] = s
	im.order = append(im.order, s)
	return s
}

// parseHost reads a host as KrakenD does: without a scheme it is http.
func parseHost(h, scheme string) *url.URL {
	if !strings.Contains(h, "://") {
		if scheme == "" {
			scheme = "http"
		}
		h = scheme + "://" + h
	}
	u, err := url.Parse(strings.TrimSpace(h))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return nil
	}
	if u.Port() == "" && u.Scheme == "http" {
		u.Host += ":80"
	} else if u.Port() == "" {
		u.Host += ":443"
	}
	return u
}

func hostName(u string) string {
	p, err := url.Parse(u)
	if err != nil {
		return ""
	}
	return p.Hostname()
}

// nameOf makes a service's name of its first host: the first label of a name.
func nameOf(u *url.URL) string {
	host := u.Hostname()
	if net.ParseIP(host) != nil {
		return identifier(u.Host, "service")
	}
	label, _, _ := strings.Cut(host, ".")
	return strings.ToLower(identifier(label, "service"))
}

// ask sets a key of a service that a backend asks for; another value than an
// earlier one is a finding.
func (im *importer) ask(s *service, key string, v sketch.Value, at *config.Tree) {
	text := v.String()
	if old, ok := s.set[key]; ok {
		if old != text {
			im.Look(at, "differs", "make two services of it, or take one of the two", "another backend of the service "+s.name+" says otherwise: "+key+" is "+old)
		}
		return
	}
	s.set[key] = text
	b := s.block.Line(key, v)
	b.At, b.Behind = at.Position, from(at)
}

// sortedTexts is a list without doubles, sorted.
func sortedTexts(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
