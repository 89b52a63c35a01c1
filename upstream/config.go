package upstream

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// Config is a service as the file has it. The short form, a scalar, is the URL.
// Exactly one of url, urls, dns, file and registry says where the endpoints are.
type Config struct {
	// URL of the only endpoint: http://host:port or https://host:port.
	URL string `yaml:"url"`
	// URLs of several endpoints, each a URL or {url, zone, weight, meta}.
	URLs []EndpointConfig `yaml:"urls"`
	// DNS finds the endpoints by name and follows their time to live.
	DNS *DNSConfig `yaml:"dns"`
	// File lists the endpoints: a JSON array of URLs or of {url, zone, weight,
	// meta}, or plain text with one URL a line. Watched for change.
	File string `yaml:"file"`
	// Registry finds the endpoints in a registry of services: those that are UP.
	// The short form, a scalar, is the name in the registry of this process.
	Registry *RegistryConfig `yaml:"registry"`

	// Balance chooses an endpoint for each request: peak-ewma (default),
	// round-robin, random, weighted, least-request, or {kind: hash, by: …}.
	Balance Balance `yaml:"balance"`
	// Zone is "prefer" (default): endpoints of the own zone first, the others
	// get what these can't carry; or "ignore".
	Zone string `yaml:"zone"`
	// SlowStart is how long an endpoint that appears later takes from 10 % to
	// its whole share (default 5s; 0 turns it off).
	SlowStart *time.Duration `yaml:"slow-start"`
	// Sticky keeps a client at its endpoint by a cookie (default none).
	Sticky *Sticky `yaml:"sticky"`
	// Health asks each endpoint again and again whether it is well (default none;
	// those that do badly are found without). The short form, a scalar, is a path
	// that answers 200, or tcp, or grpc.
	Health *CheckConfig `yaml:"check"`

	// HTTP is the version spoken to the service: 1 (default), 2 (over TLS) or
	// 2c (HTTP/2 without TLS).
	HTTP Version `yaml:"http"`
	// TLS of https endpoints; may be left out for the system's authorities.
	TLS *TLSConfig `yaml:"tls"`
	// Host is what the service sees as Host: "client" (default) what the client
	// sent, "service" the endpoint's own, anything else is sent as it is.
	Host string `yaml:"host"`

	// ConnectTimeout bounds one TCP connect (default 1s).
	ConnectTimeout time.Duration `yaml:"connect-timeout"`
	// TLSTimeout bounds one TLS handshake (default 3s).
	TLSTimeout time.Duration `yaml:"tls-timeout"`
	// TryTimeout bounds one try, from picking to the head of the response (default 5s).
	TryTimeout time.Duration `yaml:"try-timeout"`
	// BodyIdle is how long the service may pause within a body (default 30s).
	BodyIdle time.Duration `yaml:"body-idle"`
	// IdleTimeout closes connections that were not used so long (default 30s).
	IdleTimeout time.Duration `yaml:"idle-timeout"`
	// Connections limits what is open to one endpoint.
	Connections Connections `yaml:"connections"`
	// Limits of what the service may send.
	Limits http1.ResponseLimits `yaml:"limits"`

	// Breaker refuses requests while most would fail (default on); off turns it off.
	Breaker Breaker `yaml:"breaker"`
	// Limit bounds the requests under way (default one that finds its height); off
	// turns it off.
	Limit Limit `yaml:"limit"`
	// Retry sends a request once more where that does no harm (default on); off
	// turns it off.
	Retry Retry `yaml:"retry"`
}

// EndpointConfig is one entry of urls. The short form, a scalar, is the URL.
type EndpointConfig struct {
	// URL of the endpoint: http://host:port or https://host:port.
	URL string `json:"url" yaml:"url"`
	// Zone where the endpoint is (default none).
	Zone string `json:"zone,omitempty" yaml:"zone"`
	// Weight is its share against the others, 1 to 1000 (default 1).
	Weight int `json:"weight,omitempty" yaml:"weight"`
	// Meta is free data, shown by the admin page.
	Meta map[string]string `json:"meta,omitempty" yaml:"meta"`
}

// DNSConfig finds endpoints by DNS.
type DNSConfig struct {
	// Name to look up, such as reward.prod.svc.cluster.local.
	Name string `yaml:"name"`
	// Type is A (default; AAAA is asked too) or SRV.
	Type string `yaml:"type"`
	// Port of the endpoints; an SRV record brings its own.
	Port int `yaml:"port"`
	// Refresh is the longest time between two look-ups; a shorter time to live
	// counts (default 30s, at least 1s).
	Refresh time.Duration `yaml:"refresh"`
	// Server is host:port of the DNS server (default those of /etc/resolv.conf).
	Server string `yaml:"server"`
}

// RegistryConfig finds endpoints in a registry.
type RegistryConfig struct {
	// Name of the service in the registry, in any case.
	Name string `yaml:"name"`
	// URL of a Eureka server, such as http://10.0.0.2:8761/eureka (default the
	// registry of this process).
	URL string `yaml:"url"`
	// URLs are further servers, tried in order when the one before fails (default
	// none).
	URLs []string `yaml:"urls"`
	// Refresh is how often a server is asked (default 1s, at least 100ms); the
	// registry of this process, and a maru elsewhere, tell by themselves.
	Refresh time.Duration `yaml:"refresh"`
	// Prefer is "host" (default) or "ip": which address of an instance is called.
	Prefer string `yaml:"prefer"`
}

// UnmarshalText takes the short form, the name.
func (r *RegistryConfig) UnmarshalText(text []byte) error {
	*r = RegistryConfig{Name: string(text)}
	return nil
}

// Balance chooses endpoints. The short form, a scalar, is the kind.
type Balance struct {
	// Kind is peak-ewma (default), round-robin, random, weighted, least-request or hash.
	Kind string `yaml:"kind"`
	// By is what hash looks at: "client", "header NAME", "cookie NAME" or "param NAME".
	By string `yaml:"by"`
	// Load bounds an endpoint's share under hash: at most so many times the
	// average of requests in flight (default 1.25).
	Load float64 `yaml:"load"`
}

// Sticky keeps a client at one endpoint. The short form, a scalar, is the cookie's name.
type Sticky struct {
	// Cookie is the name of the cookie (default maru_sticky). Its value tells
	// nothing about the endpoint's address.
	Cookie string `yaml:"cookie"`
}

// TLSConfig is TLS towards a service.
type TLSConfig struct {
	// CA is a PEM file with the authorities to trust (default the system's).
	CA string `yaml:"ca"`
	// Cert and Key are PEM files of our certificate, for mTLS (default none).
	Cert string `yaml:"cert"`
	// Key belongs to Cert.
	Key string `yaml:"key"`
	// ServerName is expected in the service's certificate (default the URL's host).
	ServerName string `yaml:"server-name"`
	// Insecure takes any certificate (default false). Warned about at each load.
	Insecure bool `yaml:"insecure"`
	// MinVersion is "1.2" (default) or "1.3".
	MinVersion string `yaml:"min-version"`
}

// Connections limits the connections to one endpoint.
type Connections struct {
	// Max is the most connections to one endpoint (default 0: no limit; for
	// HTTP/2 it counts connections, not streams).
	Max int `yaml:"max"`
	// Idle is the most unused connections kept per endpoint (default 1024).
	Idle int `yaml:"idle"`
	// Pending is how many requests may wait for a connection when Max are in
	// use; beyond it they get 503 (default 1024).
	Pending int `yaml:"pending"`
}

// Version is the HTTP version spoken to a service.
type Version string

// The versions.
const (
	HTTP1  Version = "1"
	HTTP2  Version = "2"
	HTTP2C Version = "2c"
)

// UnmarshalText takes the version as written: 1, 2, 2c.
func (v *Version) UnmarshalText(text []byte) error {
	*v = Version(text)
	return nil
}

// UnmarshalText takes the short form, the URL.
func (c *Config) UnmarshalText(text []byte) error {
	*c = Config{URL: string(text)}
	return nil
}

// UnmarshalText takes the short form, the URL.
func (e *EndpointConfig) UnmarshalText(text []byte) error {
	*e = EndpointConfig{URL: string(text)}
	return nil
}

// UnmarshalText takes the short form, the kind.
func (b *Balance) UnmarshalText(text []byte) error {
	*b = Balance{Kind: string(text)}
	return nil
}

// UnmarshalText takes the short form, the cookie's name.
func (s *Sticky) UnmarshalText(text []byte) error {
	*s = Sticky{Cookie: string(text)}
	return nil
}

// The balance kinds.
const (
	peakEWMA     = "peak-ewma"
	roundRobin   = "round-robin"
	randomPick   = "random"
	weighted     = "weighted"
	leastRequest = "least-request"
	hashPick     = "hash"
)

const (
	maxWeight    = 1000
	maxEndpoints = 10_000
)

// Key is the whole definition in one canonical form: a cluster survives a
// reload while its key stays the same.
func (c Config) Key() string { //nolint:gocritic // a value keeps callers from sharing it
	b, err := json.Marshal(c.withDefaults())
	if err != nil {
		// Only NaN in Balance.Load gets here, which Check refuses.
		return fmt.Sprintf("%+v", c)
	}
	return string(b)
}

func (c Config) withDefaults() Config { //nolint:gocritic // the copy is the point
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.ConnectTimeout, time.Second)
	def(&c.TLSTimeout, 3*time.Second)
	def(&c.TryTimeout, 5*time.Second)
	def(&c.BodyIdle, 30*time.Second)
	def(&c.IdleTimeout, 30*time.Second)
	if c.SlowStart == nil {
		d := 5 * time.Second
		c.SlowStart = &d
	}
	if c.HTTP == "" {
		c.HTTP = HTTP1
	}
	if c.Host == "" {
		c.Host = "client"
	}
	if c.Zone == "" {
		c.Zone = "prefer"
	}
	if c.Balance.Kind == "" {
		c.Balance.Kind = peakEWMA
	}
	if c.Balance.Load == 0 {
		c.Balance.Load = 1.25
	}
	if c.Sticky != nil && c.Sticky.Cookie == "" {
		c.Sticky = &Sticky{Cookie: "maru_sticky"}
	}
	c.Health = c.Health.withDefaults()
	if c.Connections.Idle == 0 {
		c.Connections.Idle = 1024
	}
	if c.Connections.Pending == 0 {
		c.Connections.Pending = 1024
	}
	if c.DNS != nil {
		d := *c.DNS
		if d.Type == "" {
			d.Type = "A"
		}
		def(&d.Refresh, 30*time.Second)
		c.DNS = &d
	}
	if c.Registry != nil {
		r := *c.Registry
		def(&r.Refresh, time.Second)
		c.Registry = &r
	}
	c.Limits = c.Limits.WithDefaults()
	c.Breaker, c.Limit, c.Retry = c.Breaker.withDefaults(), c.Limit.withDefaults(), c.Retry.withDefaults()
	return c
}

// Check lists every fault of the definition as field errors of package diag,
// joined. It opens no file.
func (c Config) Check() error { //nolint:gocritic // as Key
	c = c.withDefaults()
	return diag.Join(
		c.checkPlaces(),
		c.checkBalance(),
		diag.Under("check", c.checkCheck()),
		c.checkTLS(),
		c.checkTimes(),
		c.checkRest(),
		c.checkGuard(),
		c.warnings(),
	)
}

// warnings are what works but should not stay so.
func (c *Config) warnings() error {
	if c.TLS != nil && c.TLS.Insecure {
		return diag.At("tls.insecure", "the service's certificate is not verified: anyone on the way can read and change the traffic").
			WithFix("name the authority that signed it: tls: {ca: FILE}").AsWarning()
	}
	return nil
}

func (c *Config) checkPlaces() error {
	var given []string
	for _, p := range []struct {
		key string
		set bool
	}{{"url", c.URL != ""}, {"urls", len(c.URLs) > 0}, {"dns", c.DNS != nil}, {"file", c.File != ""}, {"registry", c.Registry != nil}} {
		if p.set {
			given = append(given, p.key)
		}
	}
	if len(given) == 0 {
		return diag.At("", "the service has no endpoints").WithFix("write url: http://127.0.0.1:9000, or urls, dns, file or registry")
	}
	var errs []error
	if len(given) > 1 {
		e := diag.At(given[1], "%s can't be combined with %s", given[1], given[0]).WithFix("keep one of url, urls, dns, file and registry")
		e.Related = given[:1]
		errs = append(errs, e)
	}
	if c.URL != "" {
		errs = append(errs, c.checkURL("url", c.URL))
	}
	errs = append(errs, c.checkURLs(), c.checkDNS(), c.checkRegistry())
	return diag.Join(errs...)
}

func (c *Config) checkURLs() error {
	if len(c.URLs) > maxEndpoints {
		return diag.At("urls", "%d endpoints are more than %d", len(c.URLs), maxEndpoints).WithFix("divide the service, or find its endpoints by dns or file")
	}
	var errs []error
	seen := map[string]int{}
	for i, e := range c.URLs {
		path := "urls[" + strconv.Itoa(i) + "]"
		at := path
		if e.Weight != 0 || e.Zone != "" || e.Meta != nil {
			at += ".url"
		}
		err := c.checkURL(at, e.URL)
		errs = append(errs, err)
		if e.Weight < 0 || e.Weight > maxWeight {
			errs = append(errs, diag.At(path+".weight", "weight %d is not between 1 and %d", e.Weight, maxWeight).WithFix("weights count against one another: 1 and 3 share as 25 and 75 do"))
		}
		if err != nil {
			continue
		}
		t, _ := parseTarget(e.URL)
		if first, ok := seen[t.key()]; ok {
			dup := diag.At(at, "the same endpoint as urls[%d]", first).WithFix("give it once, with a weight")
			dup.Related = []string{"urls[" + strconv.Itoa(first) + "]"}
			errs = append(errs, dup)
		}
		seen[t.key()] = i
	}
	return diag.Join(errs...)
}

func (c *Config) checkURL(path, raw string) error {
	t, err := parseTarget(raw)
	if err != nil {
		fix := "write http://HOST:PORT or https://HOST:PORT"
		if _, bare := parseTarget("http://" + raw); bare == nil && !strings.Contains(raw, "://") {
			fix = "write http://" + raw
		}
		return diag.At(path, "%s", err.Error()).WithFix("%s", fix)
	}
	if c.TLS != nil && !t.tls {
		return diag.At(path, "tls is configured, but the URL is http").WithFix("write https://%s", t.address)
	}
	if c.HTTP == HTTP2 && !t.tls {
		return diag.At(path, "http: 2 needs TLS").WithFix("write https://%s, or http: 2c for HTTP/2 without TLS", t.address)
	}
	if c.HTTP == HTTP2C && t.tls {
		return diag.At(path, "http: 2c is HTTP/2 without TLS, but the URL is https").WithFix("write http: 2")
	}
	return nil
}

func (c *Config) checkDNS() error {
	if c.DNS == nil {
		return nil
	}
	var errs []error
	d := c.DNS
	if !validName(d.Name) {
		errs = append(errs, diag.At("dns.name", "%q is not a DNS name", d.Name).WithFix("write one such as reward.prod.svc.cluster.local"))
	}
	switch d.Type {
	case "A":
		if d.Port < 1 || d.Port > 65535 {
			errs = append(errs, diag.At("dns.port", "%d is not a port; A records carry none", d.Port).WithFix("write port: 8080, or type: SRV"))
		}
	case "SRV":
		if d.Port != 0 {
			errs = append(errs, diag.At("dns.port", "SRV records bring their own port").WithFix("leave port out"))
		}
	default:
		errs = append(errs, diag.At("dns.type", "%q is not A or SRV", d.Type).WithFix("write type: A (AAAA is asked too) or type: SRV"))
	}
	if d.Refresh < time.Second {
		errs = append(errs, diag.At("dns.refresh", "%v is shorter than 1s", d.Refresh).WithFix("write 1s or more; a shorter time to live counts anyway"))
	}
	if d.Server != "" {
		if _, err := netip.ParseAddrPort(d.Server); err != nil {
			errs = append(errs, diag.At("dns.server", "%q is not an address with a port", d.Server).WithFix("write server: 10.0.0.10:53"))
		}
	}
	if c.HTTP == HTTP2 && c.TLS == nil {
		errs = append(errs, diag.At("http", "http: 2 needs TLS, and endpoints from dns have it only with tls").WithFix("add tls: {}, or write http: 2c"))
	}
	if c.HTTP == HTTP2C && c.TLS != nil {
		errs = append(errs, diag.At("http", "http: 2c is HTTP/2 without TLS, but tls is configured").WithFix("write http: 2"))
	}
	return diag.Join(errs...)
}

// validName is a host name as DNS has them: underscores are for SRV names.
func validName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

func (c *Config) checkBalance() error {
	var errs []error
	kinds := []string{peakEWMA, roundRobin, randomPick, weighted, leastRequest, hashPick}
	if !slices.Contains(kinds, c.Balance.Kind) {
		errs = append(errs, diag.At("balance", "%q is not a way of balancing", c.Balance.Kind).WithFix("write one of %s", strings.Join(kinds, ", ")))
	}
	if c.Balance.Kind == hashPick {
		if _, err := parseBy(c.Balance.By); err != nil {
			errs = append(errs, diag.At("balance.by", "%s", err.Error()).
				WithFix(`write balance: {kind: hash, by: client}, or by: "header NAME", "cookie NAME", "param NAME"`))
		}
		if !(c.Balance.Load > 1 && c.Balance.Load <= 100) {
			errs = append(errs, diag.At("balance.load", "%v is not above 1", c.Balance.Load).WithFix("write load: 1.25"))
		}
	} else if c.Balance.By != "" {
		errs = append(errs, diag.At("balance.by", "by is only for kind: hash").WithFix("write kind: hash, or remove by"))
	}
	if c.Zone != "prefer" && c.Zone != "ignore" {
		errs = append(errs, diag.At("zone", "%q is not prefer or ignore", c.Zone).WithFix("write zone: prefer or zone: ignore; where maru itself runs is the zone at the top of the file"))
	}
	if c.Sticky != nil && !message.ValidToken(c.Sticky.Cookie) {
		errs = append(errs, diag.At("sticky.cookie", "%q is not a cookie name", c.Sticky.Cookie).WithFix("use letters, digits, dashes and underscores"))
	}
	return diag.Join(errs...)
}

func (c *Config) checkTLS() error {
	if c.TLS == nil {
		return nil
	}
	var errs []error
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		errs = append(errs, diag.At("tls", "cert and key belong together, one is missing").WithFix("write cert: FILE and key: FILE"))
	}
	if c.TLS.Insecure && c.TLS.CA != "" {
		errs = append(errs, diag.At("tls.insecure", "insecure ignores the authorities of ca").WithFix("remove one of the two"))
	}
	if _, err := minVersion(c.TLS.MinVersion); err != nil {
		errs = append(errs, diag.At("tls.min-version", "%s", err.Error()).WithFix("write 1.2 or 1.3"))
	}
	if n := c.TLS.ServerName; n != "" && !validName(n) {
		errs = append(errs, diag.At("tls.server-name", "%q is not a host name", n).WithFix("write the name in the service's certificate"))
	}
	return diag.Join(errs...)
}

func minVersion(s string) (uint16, error) {
	switch s {
	case "", "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("%q is not a TLS version that is served", s)
}

func (c *Config) checkTimes() error {
	var errs []error
	for _, t := range []struct {
		key string
		d   time.Duration
	}{
		{"connect-timeout", c.ConnectTimeout},
		{"tls-timeout", c.TLSTimeout},
		{"try-timeout", c.TryTimeout},
		{"body-idle", c.BodyIdle},
		{"idle-timeout", c.IdleTimeout},
	} {
		if t.d < time.Millisecond || t.d > 24*time.Hour {
			errs = append(errs, diag.At(t.key, "%v is not between 1ms and 24h", t.d).WithFix("write a time with its unit, such as 800ms or 10s"))
		}
	}
	if *c.SlowStart < 0 || *c.SlowStart > time.Hour {
		errs = append(errs, diag.At("slow-start", "%v is not between 0 and 1h", *c.SlowStart).WithFix("write a time such as 30s, or 0 to turn it off"))
	}
	return diag.Join(errs...)
}

func (c *Config) checkRest() error {
	var errs []error
	switch c.HTTP {
	case HTTP1, HTTP2, HTTP2C:
	default:
		errs = append(errs, diag.At("http", "%q is not an HTTP version for services", string(c.HTTP)).WithFix("write 1, 2 or 2c"))
	}
	if c.Host != "client" && c.Host != "service" && !validAuthority(c.Host) {
		errs = append(errs, diag.At("host", "%q is not a host", c.Host).WithFix("write client, service, or a host name"))
	}
	for _, n := range []struct {
		key string
		n   int
	}{{"connections.max", c.Connections.Max}, {"connections.idle", c.Connections.Idle}, {"connections.pending", c.Connections.Pending}} {
		if n.n < 0 {
			errs = append(errs, diag.At(n.key, "%d is negative", n.n).WithFix("write a number from 1 on, or leave it out for the default"))
		}
	}
	return diag.Join(append(errs, diag.Under("limits", c.Limits.Check()))...)
}

// validAuthority is a name, an IPv4 or a bracketed IPv6 address, with an optional port.
func validAuthority(s string) bool {
	u, err := url.Parse("http://" + s + "/")
	return err == nil && u.Host == s && u.User == nil && checkHost(u) == nil
}

// target is one parsed endpoint URL.
type target struct {
	tls     bool
	host    string // without port and brackets
	address string // host:port for dialling
	literal string // authority as a Host field would say it: no default port
}

func (t target) scheme() string {
	if t.tls {
		return "https"
	}
	return "http"
}

// key is the canonical URL.
func (t target) key() string { return t.scheme() + "://" + t.address }

// parseTarget reads http://host[:port] and refuses all that an endpoint can't have.
func parseTarget(raw string) (target, error) {
	var t target
	if !strings.Contains(raw, "://") {
		return t, fmt.Errorf("%q is not a URL", raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return t, fmt.Errorf("%q is not a URL", raw)
	}
	switch u.Scheme {
	case "http":
	case "https":
		t.tls = true
	default:
		return t, fmt.Errorf("scheme %q is not http or https", u.Scheme)
	}
	switch {
	case u.User != nil:
		return t, fmt.Errorf("%q: a URL of an endpoint holds no user", u.Redacted())
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return t, fmt.Errorf("%q: an endpoint is a scheme, host and port; a path belongs into the prefix or rewrite filter", raw)
	}
	if err := checkHost(u); err != nil {
		return t, err
	}
	t.host = strings.ToLower(u.Hostname())
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	t.literal = host
	if port == "" {
		port = "80"
		if t.tls {
			port = "443"
		}
	} else if !(port == "80" && !t.tls || port == "443" && t.tls) {
		t.literal = host + ":" + port
	}
	t.address = host + ":" + port
	return t, nil
}

func checkHost(u *url.URL) error {
	host := u.Hostname()
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%q is not a port", p)
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("%q: the port is missing", u.Host)
	}
	if strings.Contains(host, ":") {
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
			return fmt.Errorf("%q is not an IPv6 address", host)
		}
		return nil
	}
	if !validName(host) {
		return fmt.Errorf("%q is not a host name", host)
	}
	return nil
}

// by is what hash looks at.
type by struct {
	kind byKind
	name string
}

type byKind uint8

const (
	byClient byKind = iota
	byHeader
	byCookie
	byParam
)

func parseBy(s string) (by, error) {
	word, name, _ := strings.Cut(strings.TrimSpace(s), " ")
	name = strings.TrimSpace(name)
	switch word {
	case "":
		return by{}, errors.New("hash needs to know by what")
	case "client":
		if name == "" {
			return by{kind: byClient}, nil
		}
		return by{}, fmt.Errorf("%q: client takes no name", s)
	case "header", "cookie", "param":
	default:
		return by{}, fmt.Errorf("%q is not client, header, cookie or param", word)
	}
	if !message.ValidToken(name) {
		return by{}, fmt.Errorf("%q lacks a valid name", s)
	}
	kinds := map[string]byKind{"header": byHeader, "cookie": byCookie, "param": byParam}
	return by{kind: kinds[word], name: name}, nil
}
