package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/certmagic"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// acmeALPN is the protocol of the challenge tls-alpn-01 (RFC 8737 §3).
const acmeALPN = "acme-tls/1"

// acmePath is where the challenge http-01 asks (RFC 8555 §8.3).
const acmePath = "/.well-known/acme-challenge/"

// acmeSource obtains and renews the certificates of a listener's ACME hosts.
// Nothing of it lives until Run: no goroutine, no cache, no file.
type acmeSource struct {
	hosts   []string // lower case
	issuer  certmagic.ACMEIssuer
	storage string
	log     slogCore

	live atomic.Pointer[liveACME]
}

// liveACME is what Run made.
type liveACME struct {
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
}

// acmeSource reads what the file says about ACME.
func (b *builder) acmeSource(name string, cfg *ListenerConfig) (*acmeSource, error) {
	ac := cfg.TLS.ACME
	a := &acmeSource{log: slogCore{b.rt.env.Log.With("part", "acme", "listener", name)}, storage: ac.Storage}
	faults := []error{a.readHosts(ac.Hosts)}
	if a.storage == "" {
		var err error
		a.storage, err = stateFolder()
		if err != nil {
			faults = append(faults, diag.At("storage", "there is no folder for certificates: %s", err).WithFix("name one"))
		}
	}
	if ac.Directory != "" {
		u, err := url.Parse(ac.Directory)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			faults = append(faults, diag.At("directory", "%q is not an https URL", ac.Directory).
				WithFix("write the URL of the server's directory (RFC 8555 §7.1.1)"))
		}
	}
	var roots *x509.CertPool
	if ac.CA != "" {
		pool, _, err := readCAs(ac.CA)
		if err != nil {
			faults = append(faults, diag.At("ca", "%s", err))
		}
		roots = pool
	}
	a.issuer = certmagic.ACMEIssuer{
		CA: ac.Directory, Email: ac.Email, Agreed: true, TrustedRoots: roots,
		// The engine answers challenges on its own sockets. certmagic would open
		// a port that it finds free: ours are not.
		ListenHost: "127.0.0.1", AltTLSALPNPort: portOf(cfg.Address), AltHTTPPort: b.plainPort(),
	}
	a.issuer.DisableTLSALPNChallenge = a.issuer.AltTLSALPNPort == 0
	a.issuer.DisableHTTPChallenge = a.issuer.AltHTTPPort == 0
	return a, diag.Join(faults...)
}

// readHosts takes the names to obtain certificates for.
func (a *acmeSource) readHosts(hosts []string) error {
	if len(hosts) == 0 {
		return diag.At("hosts", "no host to obtain a certificate for").WithFix("write hosts: [api.example.com]")
	}
	var faults []error
	for i, host := range hosts {
		name := strings.ToLower(host)
		switch {
		case strings.HasPrefix(name, "*."):
			faults = append(faults, diag.At(fmt.Sprintf("hosts[%d]", i), "a wildcard needs a challenge by DNS, which is not offered").
				WithFix("list the names, or use certificate files"))
		case !validServerName(name):
			faults = append(faults, diag.At(fmt.Sprintf("hosts[%d]", i), "%q is not a host", host).WithFix("write a name such as api.example.com"))
		default:
			a.hosts = append(a.hosts, name)
		}
	}
	return diag.Join(faults...)
}

// stateFolder is where account and certificates are kept unless the file says
// otherwise.
func stateFolder() (string, error) {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" { // systemd.exec(5)
		first, _, _ := strings.Cut(dir, ":")
		return filepath.Join(first, "acme"), nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "maru", "acme"), err
}

// plainPort is the port of a listener without TLS, where http-01 is answered; 0
// without one.
func (b *builder) plainPort() int {
	least := 0 // 80 rather than 8080
	for _, l := range b.rt.Config.Listen {
		if p := portOf(l.Address); l.TLS == nil && p != 0 && (least == 0 || p < least) {
			least = p
		}
	}
	return least
}

func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

// Run obtains what is missing, renews what ends, and keeps doing so until ctx
// ends.
func (a *acmeSource) Run(ctx context.Context) error {
	logger := a.log.zap()
	live := &liveACME{}
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return live.config, nil },
		Logger:           logger,
	})
	defer cache.Stop()
	live.config = certmagic.New(cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.storage}, Logger: logger,
	})
	template := a.issuer
	template.Logger = logger
	live.issuer = certmagic.NewACMEIssuer(live.config, template)
	live.config.Issuers = []certmagic.Issuer{live.issuer}
	a.live.Store(live)
	defer a.live.Store(nil)
	if err := live.config.ManageAsync(ctx, a.hosts); err != nil {
		return fmt.Errorf("obtain certificates: %w", err)
	}
	<-ctx.Done()
	return nil
}

// certificate gives the certificate for a handshake, or nil.
func (a *acmeSource) certificate(hello *tls.ClientHelloInfo) *tls.Certificate {
	live := a.live.Load()
	if live == nil || !slices.Contains(a.hosts, lowerName(hello.ServerName)) {
		return nil
	}
	c, err := live.config.GetCertificate(hello)
	if err != nil {
		return nil // none yet: certmagic logs how obtaining it goes
	}
	return c
}

// challenge answers a handshake of tls-alpn-01. Only that protocol is agreed on
// then, and the connection ends with the handshake.
func (a *acmeSource) challenge(hello *tls.ClientHelloInfo) *tls.Config {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmeALPN {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{acmeALPN}, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate(hello), nil },
	}
}

// answer answers a request of http-01, or gives nil when it is none of ours.
// Only requests for a host of ours get as far as the storage, where another
// node may have put what the ACME server asks for.
func (a *acmeSource) answer(r *message.Request) *message.Response {
	live := a.live.Load()
	if live == nil || r.Method != "GET" || !slices.Contains(a.hosts, r.Host) {
		return nil
	}
	w := &challengeWriter{header: make(http.Header)}
	req := &http.Request{Method: "GET", URL: &url.URL{Path: strings.Clone(r.Path)}, Host: strings.Clone(r.Host), Header: w.header}
	if !live.issuer.HandleHTTPChallenge(w, req) {
		return nil
	}
	p := message.NewResponse(200)
	p.Header.AppendID(message.ContentType, "text/plain")
	p.SetBytes(w.body)
	return p
}

// challengeWriter takes what certmagic writes to an http.ResponseWriter.
type challengeWriter struct {
	header http.Header
	body   []byte
}

// Header is of no use here.
func (w *challengeWriter) Header() http.Header { return w.header }

// WriteHeader is of no use either: a challenge is answered 200 or not at all.
func (w *challengeWriter) WriteHeader(int) {}

// Write keeps the answer.
func (w *challengeWriter) Write(p []byte) (int, error) {
	if len(w.body)+len(p) > 4<<10 {
		return 0, errors.New("a key authorization is short")
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// challenge answers a request of http-01 for any listener's ACME hosts; nil when
// it is none.
func (rt *Runtime) challenge(r *message.Request) *message.Response {
	if !strings.HasPrefix(r.Path, acmePath) {
		return nil
	}
	for _, a := range rt.acme {
		if p := a.answer(r); p != nil {
			return p
		}
	}
	return nil
}
