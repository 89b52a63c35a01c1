package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/diag"
)

// tlsSource is a listener's TLS: its certificates, its policies by host, and
// what keeps both fresh. Handshakes read it through atomic pointers; only Run
// changes what they lead to.
type tlsSource struct {
	key    string      // the whole definition: equal keys mean the same source
	config *tls.Config // for the listener: leads each handshake to its policy's

	listener string
	log      *slog.Logger
	count    func(filter, route, reason string)
	tickets  *TicketKeys

	files    []*certFile
	fallback bool             // the first file serves names that nobody has
	local    *tls.Certificate // the development certificate, or nil
	certs    atomic.Pointer[certSet]
	acme     *acmeSource // nil when no certificate is obtained

	own    *tlsPolicy
	exact  map[string]*tlsPolicy
	parent map[string]*tlsPolicy // "*.example.com" under "example.com"
}

// tlsPolicy is what a client must bring to talk to a host.
type tlsPolicy struct {
	name    string // host pattern; "" is the listener's own policy
	min     uint16
	auth    tls.ClientAuthType
	caFiles []string
	names   clientNames // nil: any
	caSum   string      // what caFiles held when config was made
	refused string      // why they were refused last, told of once
	config  atomic.Pointer[tls.Config]
}

// tlsSource makes the TLS of a listener, or takes an unchanged one over. It
// reads the files and starts nothing.
func (b *builder) tlsSource(name string, cfg *ListenerConfig) (*tlsSource, error) {
	local := b.developmentCertificate(cfg.TLS)
	h2 := cfg.HTTP2 == nil || *cfg.HTTP2
	definition := struct {
		TLS   *TLSConfig
		H2    bool
		Ports [2]int
	}{TLS: cfg.TLS, H2: h2}
	if cfg.TLS.ACME != nil {
		definition.Ports = [2]int{portOf(cfg.Address), b.plainPort()}
	}
	key, err := json.Marshal(definition)
	if err != nil {
		return nil, fmt.Errorf("key of TLS: %w", err)
	}
	if b.prev != nil {
		if old := b.prev.listeners[name]; old != nil && old.tls != nil && old.tls.key == string(key) {
			return old.tls, nil
		}
	}
	env := b.rt.env
	s := &tlsSource{
		key: string(key), listener: name, log: env.Log, count: env.Count, tickets: env.Tickets,
		fallback: cfg.TLS.Default, local: local,
	}
	faults := []error{s.readCertificates(cfg.TLS), s.makePolicies(cfg.TLS)}
	if cfg.TLS.ACME != nil {
		s.acme, err = b.acmeSource(name, cfg)
		faults = append(faults, diag.Under("acme", err))
	}
	if err := diag.Join(faults...); err != nil {
		return nil, err
	}
	s.publish()
	s.prepare(protocols(h2))
	return s, nil
}

// protocols are what ALPN offers, in our order of preference (RFC 7301).
func protocols(h2 bool) []string {
	if h2 {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}

func (s *tlsSource) readCertificates(cfg *TLSConfig) error {
	var faults []error
	for i, pair := range cfg.Certificates {
		f := &certFile{CertConfig: pair}
		if err := f.load(); err != nil {
			faults = append(faults, diag.Under(fmt.Sprintf("certificates[%d]", i), err))
		}
		s.files = append(s.files, f)
	}
	if len(cfg.Certificates) == 0 && !cfg.Development && cfg.ACME == nil {
		faults = append(faults, diag.At("", "TLS needs a certificate").
			WithFix("add certificates:, acme:, or for this machine alone development: true"))
	}
	if cfg.Default && len(cfg.Certificates) == 0 {
		faults = append(faults, diag.At("default", "there is no first certificate").WithFix("add certificates:"))
	}
	return diag.Join(faults...)
}

// publish makes the present certificates those that handshakes find.
func (s *tlsSource) publish() {
	set := newCertSet()
	for _, f := range s.files {
		set.add(f.cert)
	}
	switch {
	case s.fallback:
		set.fallback = s.files[0].cert
	case s.local != nil:
		set.fallback = s.local
	}
	s.certs.Store(set)
}

// makePolicies reads who must show a certificate, for the listener and by host.
func (s *tlsSource) makePolicies(cfg *TLSConfig) error {
	own, err := newTLSPolicy("", &cfg.TLSPolicy)
	s.own = own
	faults := []error{err}
	s.exact, s.parent = make(map[string]*tlsPolicy), make(map[string]*tlsPolicy)
	for _, host := range slices.Sorted(maps.Keys(cfg.Hosts)) {
		pc := cfg.Hosts[host]
		p, err := newTLSPolicy(host, &pc)
		name, into := strings.ToLower(host), s.exact
		if rest, wild := strings.CutPrefix(name, "*."); wild {
			name, into = rest, s.parent
		}
		if !validServerName(name) {
			err = diag.Join(diag.At("", "%q is not a host", host).WithFix("write api.example.com or *.example.com"), err)
		}
		into[name] = p
		faults = append(faults, diag.Under("hosts."+host, err))
	}
	return diag.Join(faults...)
}

// validServerName tells whether SNI can carry the name: labels of letters,
// digits, '-' and '_', and no address (RFC 6066 §3).
func validServerName(name string) bool {
	if name == "" || len(name) > 253 || net.ParseIP(name) != nil {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func newTLSPolicy(name string, cfg *TLSPolicy) (*tlsPolicy, error) {
	p := &tlsPolicy{name: name, min: tls.VersionTLS12, caFiles: cfg.ClientCA}
	var faults []error
	switch cfg.MinVersion {
	case "", "1.2":
	case "1.3":
		p.min = tls.VersionTLS13
	default:
		faults = append(faults, diag.At("min-version", "%q is not offered", cfg.MinVersion).WithFix(`write "1.2" or "1.3"`))
	}
	switch cfg.ClientAuth {
	case "", "off":
	case "request":
		p.auth = tls.VerifyClientCertIfGiven
	case "require":
		p.auth = tls.RequireAndVerifyClientCert
	default:
		faults = append(faults, diag.At("client-auth", "%q is not known", cfg.ClientAuth).WithFix("write off, request or require"))
	}
	switch {
	case p.auth != tls.NoClientCert && len(cfg.ClientCA) == 0:
		faults = append(faults, diag.At("client-auth", "no authority says which clients are good").
			WithFix("name the CA's PEM file in client-ca"))
	case p.auth == tls.NoClientCert && len(cfg.ClientCA) > 0:
		faults = append(faults, diag.At("client-ca", "nobody is asked for a certificate").
			WithFix("add client-auth: require, or request"))
	}
	if p.auth == tls.NoClientCert && len(cfg.ClientNames) > 0 {
		faults = append(faults, diag.At("client-names", "nobody is asked for a certificate").
			WithFix("add client-auth: require, or request"))
	}
	var err error
	p.names, err = newClientNames(cfg.ClientNames)
	faults = append(faults, err)
	for i, file := range cfg.ClientCA {
		if _, _, err := readCAs(file); err != nil {
			faults = append(faults, diag.At(fmt.Sprintf("client-ca[%d]", i), "%s", err).WithFix("name a readable file of certificates in PEM form"))
		}
	}
	return p, diag.Join(faults...)
}

// readCAs reads the authorities in PEM files, and their bytes.
func readCAs(files ...string) (*x509.CertPool, string, error) {
	pool := x509.NewCertPool()
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, "", fmt.Errorf("cannot read it: %w", err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, "", fmt.Errorf("%s holds no certificate in PEM form", file)
		}
		all.Write(text)
	}
	return pool, all.String(), nil
}

// prepare makes the configurations of crypto/tls.
func (s *tlsSource) prepare(protos []string) {
	s.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protos,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if s.acme != nil {
				if c := s.acme.challenge(hello); c != nil {
					return c, nil
				}
			}
			return s.policy(hello.ServerName).config.Load(), nil
		},
		// Without an own certificate list, finding none is the alert
		// unrecognized_name (RFC 6066 §3).
		GetCertificate: s.certificate,
	}
	for _, p := range s.policies() {
		if err := s.refresh(p); err != nil {
			// The files were good a moment ago: the policy stays closed to all
			// until they are again.
			s.log.Error("client CA files changed while loading", "listener", s.listener, "host", p.name, "error", err)
			p.config.Store(s.policyConfig(p, x509.NewCertPool()))
		}
	}
}

// policies lists the listener's own policy and those of hosts.
func (s *tlsSource) policies() []*tlsPolicy {
	return slices.Concat([]*tlsPolicy{s.own}, slices.Collect(maps.Values(s.exact)), slices.Collect(maps.Values(s.parent)))
}

// refresh makes a policy's configuration from its CA files as they are now.
func (s *tlsSource) refresh(p *tlsPolicy) error {
	pool, sum, err := readCAs(p.caFiles...)
	if err != nil {
		return err
	}
	if p.config.Load() == nil || sum != p.caSum {
		p.config.Store(s.policyConfig(p, pool))
		p.caSum = sum
	}
	return nil
}

func (s *tlsSource) policyConfig(p *tlsPolicy, pool *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:     p.min,
		NextProtos:     s.config.NextProtos,
		GetCertificate: s.certificate,
		ClientAuth:     p.auth,
		ClientCAs:      pool,
		// One response is one record and one write; the time to the first byte
		// of a large one is not worth a system call per 1.2 KB.
		DynamicRecordSizingDisabled: true,
	}
	if len(p.names) > 0 {
		c.VerifyConnection = p.names.verify
	}
	c.SetSessionTicketKeys(s.tickets.derive(s.ticketPurpose(p)))
	return c
}

// ticketPurpose keeps a ticket of one policy from opening another: a session
// that began without a client certificate must not go on where one is asked for.
func (s *tlsSource) ticketPurpose(p *tlsPolicy) string {
	return fmt.Sprintf("%s\x00%s\x00%d\x00%d\x00%q\x00%q", s.listener, p.name, p.min, p.auth, p.caFiles, p.names)
}

// certificate picks by SNI; none at all gives the alert unrecognized_name.
func (s *tlsSource) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := s.certs.Load()
	if c := set.find(hello); c != nil {
		return c, nil
	}
	if s.acme != nil {
		if c := s.acme.certificate(hello); c != nil {
			return c, nil
		}
	}
	return set.fallback, nil
}

// policy is the one that holds for a host.
func (s *tlsSource) policy(host string) *tlsPolicy {
	if len(s.exact) == 0 && len(s.parent) == 0 {
		return s.own
	}
	host = lowerName(host)
	if p := s.exact[host]; p != nil {
		return p
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		if p := s.parent[parent]; p != nil {
			return p
		}
	}
	return s.own
}

// misdirected tells whether a request asks for a host whose policy its
// connection did not have to meet (RFC 9110 §15.5.20): HTTP/2 connection reuse,
// or a Host field made up, would else walk around client certificates.
func (s *tlsSource) misdirected(state *tls.ConnectionState, host string) bool {
	return state != nil && s.policy(state.ServerName) != s.policy(host)
}

// lowerName lowers ASCII letters; it allocates only when there are capitals.
func lowerName(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

// Run keeps the certificates, the CAs and the ticket keys fresh until ctx ends.
func (s *tlsSource) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	if files := s.paths(); len(files) > 0 {
		go watchFiles(ctx, files, s.log, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}
	rotate := time.NewTimer(s.tickets.untilNext(time.Now()))
	defer rotate.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			s.reread()
		case <-rotate.C:
			s.tickets.rotate(time.Now())
			for _, p := range s.policies() {
				p.config.Load().SetSessionTicketKeys(s.tickets.derive(s.ticketPurpose(p)))
			}
			rotate.Reset(s.tickets.untilNext(time.Now()))
		}
	}
}

// paths are the files that the source was made from.
func (s *tlsSource) paths() []string {
	var out []string
	for _, f := range s.files {
		out = append(out, f.Cert, f.Key)
	}
	for _, p := range s.policies() {
		out = append(out, p.caFiles...)
	}
	return out
}

// reread takes over what changed. What is bad leaves the old in place.
func (s *tlsSource) reread() {
	now := time.Now()
	var fresh []*certFile
	for _, f := range s.files {
		took, err := f.reload(now)
		switch {
		case err != nil:
			s.count("tls", s.listener, "certificate_refused")
			s.log.Error("certificate refused; the old one stays", "listener", s.listener, "file", f.Cert, "error", err)
		case took:
			fresh = append(fresh, f)
		}
	}
	if len(fresh) > 0 {
		s.publish()
	}
	for _, f := range fresh {
		s.count("tls", s.listener, "certificate_taken")
		s.log.Info("certificate taken", "listener", s.listener, "file", f.Cert, "names", f.cert.Leaf.DNSNames, "until", f.cert.Leaf.NotAfter)
	}
	for _, p := range s.policies() {
		err := s.refresh(p)
		switch {
		case err == nil:
			p.refused = ""
		case err.Error() != p.refused:
			p.refused = err.Error()
			s.count("tls", s.listener, "client_ca_refused")
			s.log.Error("client CA refused; the old one stays", "listener", s.listener, "host", p.name, "error", err)
		}
	}
}
