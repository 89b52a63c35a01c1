package edge_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/http1"
)

// secure starts a gateway with TLS on its listener, in front of a service.
func secure(t *testing.T, cfg *edge.TLSConfig) (*edgetest.Gateway, *edgetest.Service) {
	t.Helper()
	s := edgetest.NewService(t, nil)
	return edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{TLS: cfg})), s
}

// handshake opens a TLS connection with the given SNI.
func handshake(g *edgetest.Gateway, cfg *tls.Config) (*tls.Conn, error) {
	c := tls.Client(g.Dial("public"), cfg)
	return c, c.Handshake()
}

// alertOf gives the words of the alert that ended a handshake.
func alertOf(err error) string {
	if alert, ok := errors.AsType[tls.AlertError](err); ok {
		return alert.Error()
	}
	if err != nil {
		return strings.TrimPrefix(err.Error(), "remote error: ")
	}
	return ""
}

func TestCertificateBySNI(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	certs := []edge.CertConfig{
		ca.Issue("a.example", "other.example").Files(t, t.TempDir()),
		ca.Issue("*.wild.example", "*.a.example").Files(t, t.TempDir()),
		ca.Issue("x.wild.example").Files(t, t.TempDir()),
	}
	strict, _ := secure(t, &edge.TLSConfig{Certificates: certs})
	lenient, _ := secure(t, &edge.TLSConfig{Certificates: certs, Default: true})
	const refused = "tls: unrecognized name"
	rows := []struct{ sni, first, strict, lenient string }{
		{"a.example", "a.example", "", ""},
		{"A.Example", "a.example", "", ""},
		{"other.example", "a.example", "", ""},
		{"y.wild.example", "*.wild.example", "", ""},
		{"x.wild.example", "x.wild.example", "", ""},
		{"y.x.wild.example", "a.example", refused, ""},
		{"wild.example", "a.example", refused, ""},
		{"unknown.example", "a.example", refused, ""},
		{"", "a.example", refused, ""},
	}
	for _, row := range rows {
		for g, alert := range map[*edgetest.Gateway]string{strict: row.strict, lenient: row.lenient} {
			c, err := handshake(g, &tls.Config{ServerName: row.sni, InsecureSkipVerify: true})
			if got := alertOf(err); got != alert {
				t.Errorf("SNI %q: alert %q, want %q", row.sni, got, alert)
				continue
			}
			if err == nil && c.ConnectionState().PeerCertificates[0].DNSNames[0] != row.first {
				t.Errorf("SNI %q: got %q", row.sni, c.ConnectionState().PeerCertificates[0].DNSNames)
			}
		}
	}
	strict.AwaitRefused("public tls_handshake", 4)
}

func TestHandshakeChoosesPostQuantumAndVersion(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	cert := ca.Issue("a.example").Files(t, t.TempDir())
	both, _ := secure(t, &edge.TLSConfig{Certificates: []edge.CertConfig{cert}})
	only13, _ := secure(t, &edge.TLSConfig{Certificates: []edge.CertConfig{cert}, TLSPolicy: edge.TLSPolicy{MinVersion: "1.3"}})
	c, err := handshake(both, &tls.Config{ServerName: "a.example", RootCAs: ca.Pool})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.ConnectionState(); s.CurveID != tls.X25519MLKEM768 || s.Version != tls.VersionTLS13 {
		t.Errorf("key exchange %v, version %x", s.CurveID, s.Version)
	}
	rows := []struct {
		g     *edgetest.Gateway
		most  uint16
		alert string
	}{
		{both, tls.VersionTLS12, ""},
		{both, tls.VersionTLS11, "tls: protocol version not supported"},
		{only13, tls.VersionTLS13, ""},
		{only13, tls.VersionTLS12, "tls: protocol version not supported"},
	}
	for _, row := range rows {
		_, err := handshake(row.g, &tls.Config{ServerName: "a.example", RootCAs: ca.Pool, MinVersion: tls.VersionTLS10, MaxVersion: row.most})
		if got := alertOf(err); got != row.alert {
			t.Errorf("version %x: alert %q, want %q", row.most, got, row.alert)
		}
	}
}

func TestRequestOverTLS(t *testing.T) {
	t.Parallel()
	g, s := secure(t, &edge.TLSConfig{Development: true})
	for _, address := range []string{"localhost", "127.0.0.1", "::1"} {
		probe, err := handshake(g, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		leaf := probe.ConnectionState().PeerCertificates[0]
		if err := leaf.VerifyHostname(address); err != nil {
			t.Error(err)
		}
	}
	c, err := handshake(g, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	first := c.ConnectionState().PeerCertificates[0]
	if a := edgetest.Talk(t, c, "GET /x HTTP/1.1\nHost: localhost\n\n"); a.Status != 200 || a.Body != "ok" {
		t.Errorf("%+v", a)
	}
	if got := edgetest.Field(s.Last(), "X-Forwarded-Proto"); len(got) != 1 || got[0] != "https" {
		t.Errorf("X-Forwarded-Proto %q", got)
	}
	cfg := g.Server.Runtime().Config
	l := cfg.Listen["public"]
	l.TLS = &edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{MinVersion: "1.3"}}
	cfg.Listen = map[string]edge.ListenerConfig{"public": l}
	g.Swap(cfg)
	c, err = handshake(g, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	if !c.ConnectionState().PeerCertificates[0].Equal(first) {
		t.Error("a reload made another development certificate")
	}
}

func TestPlainHTTPOnATLSPort(t *testing.T) {
	t.Parallel()
	g, _ := secure(t, &edge.TLSConfig{Development: true})
	a := g.Say("public", "GET / HTTP/1.1\nHost: localhost\n\n")
	if a.Status != 400 || !strings.Contains(a.Body, `"reason":"plain_on_tls"`) {
		t.Errorf("%+v", a)
	}
	g.AwaitRefused("public plain_on_tls", 1)
	c := g.Dial("public")
	_, _ = c.Write([]byte("\x00\x01rubbish\r\n\r\n"))
	g.AwaitRefused("public tls_handshake", 1)
}

func TestHandshakeMustNotTakeLong(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{
		TLS: &edge.TLSConfig{Development: true}, Limits: http1.Limits{FirstByte: 30 * time.Millisecond},
	}))
	c := g.Dial("public")
	_, _ = c.Write([]byte{22, 3, 1, 0, 100, 1})
	g.AwaitRefused("public tls_timeout", 1)
}

// serial opens a connection and tells which certificate was served.
func serial(t *testing.T, g *edgetest.Gateway, sni string) string {
	t.Helper()
	c, err := handshake(g, &tls.Config{ServerName: sni, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestCertificateFilesAreWatched(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	folder := t.TempDir()
	first := ca.Issue("a.example")
	g, _ := secure(t, &edge.TLSConfig{Certificates: []edge.CertConfig{first.Files(t, folder)}})
	if serial(t, g, "a.example") != first.Cert.SerialNumber.String() {
		t.Fatal("another certificate at start")
	}
	second := ca.Issue("a.example", "b.example")
	second.Files(t, folder)
	g.AwaitCount("tls public certificate_taken", 1)
	if serial(t, g, "b.example") != second.Cert.SerialNumber.String() {
		t.Error("the new certificate is not served under its new name")
	}
	ca.IssueUntil(time.Now().Add(-time.Hour), "a.example").Files(t, folder)
	g.AwaitCount("tls public certificate_refused", 1)
	if err := os.WriteFile(filepath.Join(folder, "tls.key"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.AwaitCount("tls public certificate_refused", 2)
	if err := os.Remove(filepath.Join(folder, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	g.AwaitCount("tls public certificate_refused", 3)
	if serial(t, g, "a.example") != second.Cert.SerialNumber.String() {
		t.Error("an expired, a broken or a missing pair replaced a good one")
	}
	if !strings.Contains(g.Log(), "certificate refused; the old one stays") {
		t.Error("the log says nothing")
	}
	// A log in the same folder does not have the broken pair told of again, nor
	// keep a change from being seen.
	writing, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for n := 0; ; n++ {
			select {
			case <-writing:
				return
			default:
				_ = os.WriteFile(filepath.Join(folder, "access.log"), make([]byte, n%512), 0o600)
			}
		}
	}()
	defer func() { close(writing); <-over }()
	third := ca.Issue("a.example")
	third.Files(t, folder)
	g.AwaitCount("tls public certificate_taken", 2)
	if serial(t, g, "a.example") != third.Cert.SerialNumber.String() {
		t.Error("a good pair after bad ones is not served")
	}
	if n := strings.Count(g.Log(), "certificate refused"); n > 4 { // a key before its certificate may be the fourth
		t.Errorf("refusals were told of %d times:\n%s", n, g.Log())
	}
}

// TestCertificateInAKubernetesVolume has files that are links through a folder
// link, which alone is replaced.
func TestCertificateInAKubernetesVolume(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	root := t.TempDir()
	fill := func(name string) *edgetest.Pair {
		p := ca.Issue("a.example")
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
		p.Files(t, filepath.Join(root, name))
		if err := os.Symlink(name, filepath.Join(root, "..data.new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(root, "..data.new"), filepath.Join(root, "..data")); err != nil {
			t.Fatal(err)
		}
		return p
	}
	fill("..1")
	for _, f := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", f), filepath.Join(root, f)); err != nil {
			t.Fatal(err)
		}
	}
	g, _ := secure(t, &edge.TLSConfig{Certificates: []edge.CertConfig{{Cert: filepath.Join(root, "tls.crt"), Key: filepath.Join(root, "tls.key")}}})
	for i, name := range []string{"..2", "..3"} {
		next := fill(name)
		g.AwaitCount("tls public certificate_taken", i+1)
		if serial(t, g, "a.example") != next.Cert.SerialNumber.String() {
			t.Errorf("%s is not served", name)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, foreign := edgetest.NewCA(t), edgetest.NewCA(t)
	server := ca.Issue("a.example").Files(t, t.TempDir())
	policy := edge.TLSPolicy{ClientAuth: "require", ClientCA: []string{ca.File()}}
	required, s := secure(t, &edge.TLSConfig{Certificates: []edge.CertConfig{server}, TLSPolicy: policy})
	policy.ClientAuth = "request"
	requested, _ := secure(t, &edge.TLSConfig{Certificates: []edge.CertConfig{server}, TLSPolicy: policy})
	good, bad := ca.Issue("client"), foreign.Issue("client")

	// In TLS 1.3 the client's handshake is over before the server judges: the
	// alert comes with the first read.
	try := func(g *edgetest.Gateway, certs ...tls.Certificate) (*edgetest.Answer, error) {
		c := tls.Client(g.Dial("public"), &tls.Config{
			ServerName: "a.example", RootCAs: ca.Pool, NextProtos: []string{"http/1.1"},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(certs) == 0 {
					return &tls.Certificate{}, nil
				}
				return &certs[0], nil
			},
		})
		if _, err := c.Write([]byte(edgetest.Wire("GET / HTTP/1.1\nHost: a.example\nClient-Cert: :AAAA:\nClient-Cert-Chain: :AAAA:\n\n"))); err != nil {
			return nil, err
		}
		return read(c)
	}
	rows := []struct {
		name  string
		g     *edgetest.Gateway
		certs []tls.Certificate
		alert string
	}{
		{"required and shown", required, []tls.Certificate{good.TLS}, ""},
		{"required and not shown", required, nil, "tls: certificate required"},
		{"required and foreign", required, []tls.Certificate{bad.TLS}, "tls: unknown certificate authority"},
		{"requested and shown", requested, []tls.Certificate{good.TLS}, ""},
		{"requested and not shown", requested, nil, ""},
		{"requested and foreign", requested, []tls.Certificate{bad.TLS}, "tls: unknown certificate authority"},
	}
	for _, row := range rows {
		a, err := try(row.g, row.certs...)
		if got := alertOf(err); got != row.alert {
			t.Errorf("%s: alert %q, want %q", row.name, got, row.alert)
		}
		if err == nil && a.Status != 200 {
			t.Errorf("%s: %+v", row.name, a)
		}
	}
	first := s.Requests()[0]
	wantCert := ":" + base64.StdEncoding.EncodeToString(good.Cert.Raw) + ":"
	if got := edgetest.Field(first, "Client-Cert"); len(got) != 1 || got[0] != wantCert {
		t.Errorf("Client-Cert %q, want %q", got, wantCert)
	}
	if got := edgetest.Field(first, "Client-Cert-Chain"); got != nil {
		t.Errorf("Client-Cert-Chain %q", got)
	}
	chained := good.TLS
	chained.Certificate = append(chained.Certificate[:1:1], ca.Cert.Raw)
	if _, err := try(required, chained); err != nil {
		t.Fatal(err)
	}
	wantChain := ":" + base64.StdEncoding.EncodeToString(ca.Cert.Raw) + ":"
	if got := edgetest.Field(s.Last(), "Client-Cert-Chain"); len(got) != 1 || got[0] != wantChain {
		t.Errorf("Client-Cert-Chain %q", got)
	}
}

func TestMisdirectedRequest(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	server := ca.Issue("open.example", "admin.example", "x.internal.example", "other.example").Files(t, t.TempDir())
	mtls := edge.TLSPolicy{ClientAuth: "require", ClientCA: []string{ca.File()}}
	g, s := secure(t, &edge.TLSConfig{
		Certificates: []edge.CertConfig{server},
		Hosts:        map[string]edge.TLSPolicy{"admin.example": mtls, "*.internal.example": {MinVersion: "1.3"}},
	})
	client := ca.Issue("client").TLS
	rows := []struct {
		sni, host string
		status    int
	}{
		{"open.example", "open.example", 200},
		{"open.example", "other.example:8443", 200},
		{"open.example", "admin.example", 421},
		{"open.example", "ADMIN.example.", 421},
		{"open.example", "x.internal.example", 421},
		{"admin.example", "admin.example", 200},
		{"admin.example", "open.example", 421},
		{"x.internal.example", "x.internal.example", 200},
	}
	for _, row := range rows {
		before := len(s.Requests())
		c, err := handshake(g, &tls.Config{ServerName: row.sni, RootCAs: ca.Pool, Certificates: []tls.Certificate{client}})
		if err != nil {
			t.Fatal(err)
		}
		a := edgetest.Talk(t, c, "GET / HTTP/1.1\nHost: "+row.host+"\n\n")
		if a.Status != row.status {
			t.Errorf("SNI %s, Host %s: %d %s", row.sni, row.host, a.Status, a.Body)
		}
		if called := len(s.Requests()) > before; called != (row.status == 200) {
			t.Errorf("SNI %s, Host %s: service called: %t", row.sni, row.host, called)
		}
	}
	if _, err := handshake(g, &tls.Config{ServerName: "x.internal.example", RootCAs: ca.Pool, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("a host's own version was not held")
	}
	c := tls.Client(g.Dial("public"), &tls.Config{ServerName: "admin.example", RootCAs: ca.Pool})
	_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: admin.example\r\n\r\n"))
	if a, err := read(c); err == nil {
		t.Errorf("no client certificate: %+v", a)
	}
}

func TestSessionsResume(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	server := ca.Issue("a.example", "admin.example").Files(t, t.TempDir())
	cfg := &edge.TLSConfig{
		Certificates: []edge.CertConfig{server},
		Hosts:        map[string]edge.TLSPolicy{"admin.example": {ClientAuth: "request", ClientCA: []string{ca.File()}}},
	}
	keys := new(edge.TicketKeys)
	s := edgetest.NewService(t, nil)
	start := func(keys *edge.TicketKeys) *edgetest.Gateway {
		return edgetest.StartWith(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{TLS: cfg}), func(e *edge.Env) { e.Tickets = keys })
	}
	g := start(keys)
	text, err := keys.Export()
	if err != nil {
		t.Fatal(err)
	}
	imported := new(edge.TicketKeys)
	if err := imported.Import(text); err != nil {
		t.Fatal(err)
	}
	successor, stranger := start(imported), start(nil)

	cache := tls.NewLRUClientSessionCache(4)
	visit := func(g *edgetest.Gateway, sni string) bool {
		c, err := handshake(g, &tls.Config{ServerName: sni, RootCAs: ca.Pool, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		edgetest.Talk(t, c, "GET / HTTP/1.1\nHost: "+sni+"\n\n") // the ticket comes with the answer
		return c.ConnectionState().DidResume
	}
	if visit(g, "a.example") {
		t.Error("resumed out of nothing")
	}
	if !visit(g, "a.example") {
		t.Error("not resumed")
	}
	if !visit(successor, "a.example") {
		t.Error("not resumed at a successor that has the keys")
	}
	if visit(stranger, "a.example") {
		t.Error("resumed where the keys are others")
	}
	visit(g, "a.example")
	state, _ := cache.Get("a.example")
	cache.Put("admin.example", state) // a client that tries its ticket elsewhere
	if visit(g, "admin.example") {
		t.Error("a ticket of one policy opened another")
	}
	if err := imported.Import([]byte("{")); err == nil {
		t.Error("rubbish taken for ticket keys")
	}
}

func TestTLSFaultsAtBuild(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	good := ca.Issue("a.example").Files(t, t.TempDir())
	other := ca.Issue("b.example").Files(t, t.TempDir())
	rows := []struct {
		cfg  edge.TLSConfig
		path string
		text string
	}{
		{edge.TLSConfig{}, "", "TLS needs a certificate"},
		{edge.TLSConfig{Development: true, Default: true}, "default", "no first certificate"},
		{edge.TLSConfig{Certificates: []edge.CertConfig{good, {Cert: good.Cert, Key: other.Key}}}, "certificates[1].key", "don't fit"},
		{edge.TLSConfig{Certificates: []edge.CertConfig{{Cert: "nowhere.pem", Key: good.Key}}}, "certificates[0].cert", "cannot read"},
		{edge.TLSConfig{Certificates: []edge.CertConfig{{Cert: good.Cert}}}, "certificates[0]", "two files"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{MinVersion: "1.1"}}, "min-version", "not offered"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{ClientAuth: "maybe"}}, "client-auth", "not known"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{ClientAuth: "require"}}, "client-auth", "no authority"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{ClientCA: []string{ca.File()}}}, "client-ca", "nobody is asked"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{ClientAuth: "request", ClientCA: []string{good.Key}}}, "client-ca[0]", "no certificate"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{ClientNames: []string{"a.example"}}}, "client-names", "nobody is asked"},
		{edge.TLSConfig{Development: true, TLSPolicy: edge.TLSPolicy{
			ClientAuth: "require", ClientCA: []string{ca.File()}, ClientNames: []string{"a.example", "spiffe://*/x"},
		}}, "client-names[1]", "neither a host nor a URI"},
		{edge.TLSConfig{Development: true, Hosts: map[string]edge.TLSPolicy{"a b": {}}}, "hosts.a b", "not a host"},
		{edge.TLSConfig{Development: true, Hosts: map[string]edge.TLSPolicy{"10.0.0.1": {}}}, "hosts.10.0.0.1", "not a host"},
		{edge.TLSConfig{Development: true, Hosts: map[string]edge.TLSPolicy{"*.a.example": {ClientAuth: "require"}}}, "hosts.*.a.example.client-auth", "no authority"},
	}
	for _, row := range rows {
		cfg := edgetest.Config(t, "http://127.0.0.1:1", edge.ListenerConfig{TLS: &row.cfg})
		_, err := edge.Build(cfg, edge.Env{}, nil)
		found := diag.Flatten(err)
		want := diag.JoinPath("listen.public.tls", row.path)
		if len(found) != 1 || found[0].Path != want || !strings.Contains(found[0].Text, row.text) {
			t.Errorf("%+v: %v, want %s: …%s…", row.cfg, err, want, row.text)
		}
	}
}

// read reads one answer from a connection that may end instead.
func read(c net.Conn) (*edgetest.Answer, error) { return edgetest.Read(c, false) }

// TestRecordsAreNotMessages has a request come in TLS records of any size: one
// octet first, all octets apart, two requests in one.
func TestRecordsAreNotMessages(t *testing.T) {
	t.Parallel()
	g, s := secure(t, &edge.TLSConfig{Development: true})
	one := edgetest.Wire("POST /x HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nabc")
	rows := map[string][]string{
		"one octet, then the rest": {one[:1], one[1:]},
		"head, then body":          {one[:len(one)-3], one[len(one)-3:]},
		"octet by octet":           strings.Split(one, ""),
		"in one":                   {one},
		"two in one":               {one + one},
		"one and a half":           {one + one[:9], one[9:]},
	}
	for name, records := range rows {
		before := len(s.Requests())
		c := overTLS(g.Dial("public"))
		for _, r := range records {
			if _, err := c.Write([]byte(r)); err != nil {
				t.Fatal(err)
			}
		}
		r := bufio.NewReader(c)
		n := strings.Count(strings.Join(records, ""), "POST")
		for range n {
			if a, err := edgetest.ReadAnswer(r, false); err != nil || a.Status != 200 {
				t.Fatalf("%s: %+v %v", name, a, err)
			}
		}
		got := s.Requests()[before:]
		if len(got) != n || !strings.HasSuffix(got[0], "\r\n\r\nabc") {
			t.Errorf("%s: the service got %q", name, got)
		}
	}
}

// overTLS speaks TLS on c to a development certificate.
func overTLS(c net.Conn) *tls.Conn {
	return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
}

// TestMisdirectedOverHTTP2: a connection that was opened for one host carries no
// request for another one with a policy of its own.
func TestMisdirectedOverHTTP2(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	server := ca.Issue("open.example", "admin.example").Files(t, t.TempDir())
	g, s := secure(t, &edge.TLSConfig{
		Certificates: []edge.CertConfig{server},
		Hosts:        map[string]edge.TLSPolicy{"admin.example": {ClientAuth: "require", ClientCA: []string{ca.File()}}},
	})
	visit := func(sni, host string) int {
		transport := &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{
				RootCAs: ca.Pool, ServerName: sni, Certificates: []tls.Certificate{ca.Issue("client").TLS},
			},
		}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.Addr("public")+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		p, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Body.Close()
		if p.ProtoMajor != 2 {
			t.Errorf("spoke %s", p.Proto)
		}
		return p.StatusCode
	}
	if got := visit("open.example", "admin.example"); got != 421 {
		t.Errorf("another policy: %d", got)
	}
	if len(s.Requests()) > 0 {
		t.Errorf("the service was called: %q", s.Requests())
	}
	if got := visit("admin.example", "admin.example"); got != 200 {
		t.Errorf("its own: %d", got)
	}
	if got := edgetest.Field(s.Last(), "Client-Cert"); len(got) != 1 || !strings.HasPrefix(got[0], ":MII") {
		t.Errorf("Client-Cert %q", got)
	}
}

func TestClientNames(t *testing.T) {
	t.Parallel()
	ca := edgetest.NewCA(t)
	g, _ := secure(t, &edge.TLSConfig{
		Certificates: []edge.CertConfig{ca.Issue("a.example").Files(t, t.TempDir())},
		TLSPolicy: edge.TLSPolicy{
			ClientAuth: "require", ClientCA: []string{ca.File()},
			ClientNames: []string{"shop.example", "*.Clients.example", "spiffe://example.com/ns/shop/*", "spiffe://example.com/exact"},
		},
	})
	rows := map[string]bool{
		"shop.example": true, "SHOP.example": true, "xshop.example": false, "x.shop.example": false,
		"a.clients.example": true, "a.b.clients.example": false, "clients.example": false, "*.clients.example": false,
		"spiffe://example.com/ns/shop/sa/web": true, "spiffe://example.com/ns/shop/": false, "spiffe://example.com/ns/shopx/sa": false,
		"spiffe://other.com/ns/shop/sa": false, "spiffe://example.com/exact": true, "spiffe://example.com/exact/more": false,
	}
	for name, want := range rows {
		cache := tls.NewLRUClientSessionCache(1)
		for range 2 { // the second time by a ticket, if there is one
			c := tls.Client(g.Dial("public"), &tls.Config{
				ServerName: "a.example", RootCAs: ca.Pool, Certificates: []tls.Certificate{ca.Issue(name).TLS}, ClientSessionCache: cache,
			})
			_, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
			if err == nil {
				_, err = read(c)
			}
			if got := err == nil; got != want {
				t.Errorf("%s: let in: %t, %v", name, got, err)
			}
		}
	}
}
