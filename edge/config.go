package edge

import (
	"time"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/graphql"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/upstream"
)

// Config is everything the request path is built from. Package config fills it
// from the file; [Build] turns it into a Runtime.
type Config struct {
	// Listen names the listeners: where requests enter.
	Listen map[string]ListenerConfig `yaml:"listen"`
	// Services names the backends.
	Services map[string]ServiceConfig `yaml:"services"`
	// Filters run on every route, before the route's own.
	Filters []filter.Named `yaml:"filters"`
	// Routes say which request goes where.
	Routes []RouteConfig `yaml:"routes"`
	// Views are composed answers, by the requests that they answer: "GET /home/{id}".
	Views map[string]ViewConfig `yaml:"views"`
	// GraphQL answers queries over the graph (default none; "graphql: {trusted: off}"
	// answers every document within the limits).
	GraphQL *GraphQLConfig `yaml:"graphql"`
	// Compose holds sources, graph and clients, which views are made from.
	Compose aggregate.Config `yaml:",inline"`
}

// ViewConfig is one view, which is a route of its own, with its filters.
type ViewConfig struct {
	aggregate.ViewConfig `yaml:",inline"`
	// Filters in the order they see the request.
	Filters []filter.Named `yaml:"filters"`
}

// GraphQLConfig is the GraphQL front door, which is a route of its own, with its
// filters.
type GraphQLConfig struct {
	graphql.Config `yaml:",inline"`
	// Budget is the time for one operation (default 1s).
	Budget time.Duration `yaml:"budget"`
	// Filters in the order they see the request.
	Filters []filter.Named `yaml:"filters"`
}

// ServiceConfig is one service: where it is and how it is called, and the
// filters that run on every request to it, after the route's own.
type ServiceConfig struct {
	upstream.Config `yaml:",inline"`
	// Contract is what the service promised: an OpenAPI document or a JSON Schema,
	// which the filter validate checks against. The short form is the file.
	Contract contract.Config `yaml:"contract"`
	// Filters run last before the service.
	Filters []filter.Named `yaml:"filters"`
}

// RouteConfig is one route.
type RouteConfig struct {
	// Name is shown in logs and metrics; default "SERVICE#n" with the route's
	// place in the file.
	Name string `yaml:"name"`
	// Match says which requests. Short form: "GET /path/{id}", "host/path".
	Match route.Match `yaml:"match"`
	// Filters in the order they see the request.
	Filters []filter.Named `yaml:"filters"`
	// To is the service's name; may be left out when a filter always answers
	// (redirect, respond, split).
	To string `yaml:"to"`
	// Timeout is the budget of the whole exchange, queue and retries included
	// (default 15 s; 0 turns it off).
	Timeout *time.Duration `yaml:"timeout"`
	// Priority is high, normal (default), low or sheddable: when the service has
	// not room for all requests, the higher ones go first.
	Priority string `yaml:"priority"`
	// Stream passes each read on at once and lifts the overall time-out after
	// the head.
	Stream bool `yaml:"stream"`
	// Encoded says what happens to a path with another reading (gateway §3):
	// "same-route" (default), "refuse", "accept".
	Encoded string `yaml:"encoded"`
}

// ListenerConfig is one listener.
type ListenerConfig struct {
	// Address is host:port; an empty host means loopback, except for the
	// listener named public, which takes all addresses.
	Address string `yaml:"address"`
	// TLS turns TLS on.
	TLS *TLSConfig `yaml:"tls"`
	// HTTP2 offers HTTP/2 by ALPN on TLS (default true).
	HTTP2 *bool `yaml:"http2"`
	// H2C takes HTTP/2 by prior knowledge on a listener without TLS (default
	// false).
	H2C bool `yaml:"h2c"`
	// HTTP3 serves HTTP/3 on the UDP port of the same number; it needs TLS
	// (default false).
	HTTP3 bool `yaml:"http3"`
	// TrustedProxies are CIDRs whose X-Forwarded-* count (default none).
	TrustedProxies []string `yaml:"trusted-proxies"`
	// ProxyProtocol requires the PROXY header: "require" or "off" (default).
	// Only trusted proxies may connect then.
	ProxyProtocol string `yaml:"proxy-protocol"`
	// Forwarded is "x-forwarded" (default), "rfc7239" or "both".
	Forwarded string `yaml:"forwarded"`
	// Via is the pseudonym in Via (default "maru"), or "off".
	Via string `yaml:"via"`
	// Limits of what a client may send.
	Limits http1.Limits `yaml:"limits"`
	// Filters run on every request of this listener, before its route is found.
	Filters []filter.Named `yaml:"filters"`
	// Underscores says what happens to field names with '_': "pass"
	// (default), "drop", "refuse".
	Underscores string `yaml:"underscores"`
}

// TLSConfig is a listener's TLS.
type TLSConfig struct {
	// Certificates are files, chosen by SNI; the first is the default only
	// when Default is true. Watched for change.
	Certificates []CertConfig `yaml:"certificates"`
	// Default serves the first certificate to clients with an unknown or no
	// SNI, instead of the alert unrecognized_name.
	Default bool `yaml:"default"`
	// Development makes a self-signed certificate for localhost, kept for the
	// life of the process.
	Development bool `yaml:"development"`
	// ACME obtains certificates (RFC 8555).
	ACME *ACMEConfig `yaml:"acme"`
	// TLSPolicy holds for every host that has none of its own.
	TLSPolicy `yaml:",inline"`
	// Hosts gives single hosts a policy of their own, whole: "admin.example.com",
	// "*.example.com" (one label). A request for one of them on a connection that
	// was opened for a host with another policy is answered 421.
	Hosts map[string]TLSPolicy `yaml:"hosts"`
}

// TLSPolicy is what a client must bring.
type TLSPolicy struct {
	// MinVersion is "1.2" (default) or "1.3".
	MinVersion string `yaml:"min-version"`
	// ClientAuth asks the client for a certificate: "off" (default), "request"
	// (one that is shown must be good) or "require".
	ClientAuth string `yaml:"client-auth"`
	// ClientCA are PEM files with the authorities whose clients are good. Watched
	// for change.
	ClientCA []string `yaml:"client-ca"`
	// ClientNames are the names of which a client's certificate must have one: a
	// host (shop.example.com, *.example.com for one label) or a URI, in which a last
	// "/*" stands for any rest (spiffe://example.com/ns/shop/*). Default: any.
	ClientNames []string `yaml:"client-names"`
}

// CertConfig is one certificate with its key, as PEM files.
type CertConfig struct {
	// Cert is the file with the certificate and the chain behind it.
	Cert string `yaml:"cert"`
	// Key is the file with the private key.
	Key string `yaml:"key"`
}

// ACMEConfig asks an ACME server for certificates.
type ACMEConfig struct {
	// Hosts to obtain certificates for.
	Hosts []string `yaml:"hosts"`
	// Email of the account.
	Email string `yaml:"email"`
	// Directory is the server's directory URL (default Let's Encrypt).
	Directory string `yaml:"directory"`
	// CA is a PEM file that verifies the ACME server itself (for test servers).
	CA string `yaml:"ca"`
	// Storage is a folder for account and certificates.
	Storage string `yaml:"storage"`
}
