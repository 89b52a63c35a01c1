// Package acme obtains certificates for a gateway from pebble, Let's Encrypt's
// test server, which fails on purpose: it refuses nonces that are good, asks on
// ports where nobody answers, and refuses some names for ever.
//
// The flow: [newPebble] runs the server in this process, with a name server that
// sends every name to loopback and validation ports that are the gateway's own.
// Each test then waits until a handshake gets a certificate of pebble's root.
package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
)

// pebble is a running ACME server.
type pebble struct {
	directory, caFile string // what the gateway is told
	roots             *x509.CertPool
	orders            atomic.Int32 // new orders so far
	server            *httptest.Server
}

// newPebble starts a server that validates on the given ports and refuses names
// in blocked.
func newPebble(t *testing.T, httpPort, tlsPort int, blocked ...string) *pebble {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "30") // percent
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	for _, name := range blocked {
		if err := store.AddBlockedDomain(name); err != nil {
			t.Fatal(err)
		}
	}
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default"}})
	validation := va.New(quiet, httpPort, tlsPort, false, nameServer(t), store)
	front := wfe.New(quiet, store, validation, authority, []string{"pebble.test"}, false, false, 1, 1)
	p := &pebble{roots: x509.NewCertPool()}
	p.roots.AddCert(authority.GetRootCert(0).Cert)
	handler := front.Handler()
	p.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			p.orders.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(p.server.Close)
	p.directory = p.server.URL + wfe.DirectoryPath
	p.caFile = filepath.Join(t.TempDir(), "pebble.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(p.caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// nameServer answers every question for an address with loopback. Pebble asks by
// TCP.
func nameServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		if question := q.Question[0]; question.Qtype == dns.TypeA {
			a.Answer = append(a.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(a)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return ln.Addr().String()
}

// freePort gives a port of loopback that nobody has at the moment.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// gateway starts one with TLS on tlsPort and, when httpPort is not 0, a plain
// listener there.
func gateway(t *testing.T, httpPort, tlsPort int, cfg *edge.TLSConfig) *edgetest.Gateway {
	t.Helper()
	s := edgetest.NewService(t, nil)
	c := edgetest.Config(t, s.URL(), edge.ListenerConfig{Address: loopback(tlsPort), TLS: cfg})
	if httpPort != 0 {
		c.Listen["plain"] = edge.ListenerConfig{Address: loopback(httpPort)}
	}
	return edgetest.Start(t, c)
}

// patience is for a certificate, with the retries that refused nonces cost.
const patience = 40 * time.Second

// obtained waits until the gateway serves host with a certificate of p's.
func obtained(t *testing.T, g *edgetest.Gateway, p *pebble, host string) *x509.Certificate {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		c := tls.Client(g.Dial("public"), &tls.Config{ServerName: host, RootCAs: p.roots, NextProtos: []string{"http/1.1"}})
		if err = c.Handshake(); err != nil {
			_ = c.Close()
			continue
		}
		cert := c.ConnectionState().PeerCertificates[0]
		if a := edgetest.Talk(t, c, "GET / HTTP/1.1\nHost: "+host+"\n\n"); a.Status != 200 {
			t.Errorf("%s: %+v", host, a)
		}
		return cert
	}
	t.Fatalf("no certificate for %s: %v\nlog:\n%s", host, err, g.Log())
	return nil
}

func TestTLSALPN(t *testing.T) {
	port := freePort(t)
	p := newPebble(t, freePort(t), port) // nobody answers http-01
	ca := edgetest.NewCA(t)
	g := gateway(t, 0, port, &edge.TLSConfig{
		ACME: &edge.ACMEConfig{Hosts: []string{"A.example"}, Directory: p.directory, CA: p.caFile, Storage: t.TempDir(), Email: "ops@a.example"},
		// Who validates has no client certificate, and is not a client.
		Hosts: map[string]edge.TLSPolicy{"other.example": {ClientAuth: "require", ClientCA: []string{ca.File()}}},
	})
	obtained(t, g, p, "a.example")
	if strings.Contains(g.Log(), "level=ERROR") {
		t.Errorf("log:\n%s", g.Log())
	}
	// The challenge's protocol leads nowhere else.
	c := tls.Client(g.Dial("public"), &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err := c.Handshake(); err == nil {
		t.Error("a handshake for a challenge that does not exist succeeded")
	}
}

func TestHTTP(t *testing.T) {
	plain, secure := freePort(t), freePort(t)
	p := newPebble(t, plain, freePort(t)) // tls-alpn-01 fails: another port is asked
	storage := t.TempDir()
	acme := &edge.ACMEConfig{Hosts: []string{"a.example", "b.example"}, Directory: p.directory, CA: p.caFile, Storage: storage}
	g := gateway(t, plain, secure, &edge.TLSConfig{ACME: acme})
	first := obtained(t, g, p, "a.example")
	obtained(t, g, p, "b.example")

	// What is no challenge goes the way of any request.
	for _, target := range []string{"/.well-known/acme-challenge/unknown", "/.well-known/acme-challenge/../x"} {
		if a := g.Say("plain", "GET "+target+" HTTP/1.1\nHost: a.example\n\n"); a.Status != 200 || a.Body != "ok" {
			t.Errorf("%s: %+v", target, a)
		}
	}
	if _, err := (&net.Dialer{}).Dial("tcp", "127.0.0.1:80"); err == nil {
		t.Error("somebody opened port 80")
	}

	// The next process has it all from the storage, without the server.
	orders := p.orders.Load()
	p.server.Close()
	again := gateway(t, 0, freePort(t), &edge.TLSConfig{ACME: acme})
	if second := obtained(t, again, p, "a.example"); !second.Equal(first) {
		t.Error("a restart got another certificate")
	}
	if n := p.orders.Load(); n != orders {
		t.Errorf("a restart made %d orders", n-orders)
	}
}

func TestOneRefusedHostLeavesTheOthers(t *testing.T) {
	plain, secure := freePort(t), freePort(t)
	p := newPebble(t, plain, secure, "blocked.example")
	ca := edgetest.NewCA(t)
	g := gateway(t, plain, secure, &edge.TLSConfig{
		Certificates: []edge.CertConfig{ca.Issue("file.example").Files(t, t.TempDir())},
		ACME: &edge.ACMEConfig{
			Hosts: []string{"blocked.example", "good.example"}, Directory: p.directory, CA: p.caFile, Storage: t.TempDir(),
		},
	})
	obtained(t, g, p, "good.example")
	c := tls.Client(g.Dial("public"), &tls.Config{ServerName: "file.example", RootCAs: ca.Pool})
	if err := c.Handshake(); err != nil {
		t.Errorf("a certificate from files: %v", err)
	}
	c = tls.Client(g.Dial("public"), &tls.Config{ServerName: "blocked.example", RootCAs: p.roots})
	if err := c.Handshake(); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a refused host: %v", err)
	}
	if !strings.Contains(g.Log(), "blocked.example") || !strings.Contains(g.Log(), "part=acme") {
		t.Errorf("the log does not tell of the refusal:\n%s", g.Log())
	}
}
