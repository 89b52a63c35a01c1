package edgetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
)

// CA is a certificate authority for tests.
type CA struct {
	// Cert is the authority itself; Pool holds it alone.
	Cert *x509.Certificate
	Pool *x509.CertPool

	t   testing.TB
	key *ecdsa.PrivateKey
}

// NewCA makes an authority.
func NewCA(t testing.TB) *CA {
	t.Helper()
	key := newKey(t)
	template := template("test authority")
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	cert := sign(t, template, template, &key.PublicKey, key)
	ca := &CA{Cert: cert, Pool: x509.NewCertPool(), t: t, key: key}
	ca.Pool.AddCert(cert)
	return ca
}

// Pair is a certificate with its key.
type Pair struct {
	Cert            *x509.Certificate
	CertPEM, KeyPEM []byte
	TLS             tls.Certificate
}

// Issue makes a certificate for names, hosts and URIs, good for a day from now.
func (ca *CA) Issue(names ...string) *Pair {
	return ca.IssueUntil(time.Now().AddDate(0, 0, 1), names...)
}

// IssueUntil makes a certificate for names with an end.
func (ca *CA) IssueUntil(end time.Time, names ...string) *Pair {
	ca.t.Helper()
	key := newKey(ca.t)
	template := template("test")
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			template.URIs = append(template.URIs, u)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	template.NotBefore, template.NotAfter = end.AddDate(0, 0, -2), end
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	cert := sign(ca.t, template, ca.Cert, &key.PublicKey, ca.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.t.Fatal(err)
	}
	p := &Pair{
		Cert:    cert,
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
	if p.TLS, err = tls.X509KeyPair(p.CertPEM, p.KeyPEM); err != nil {
		ca.t.Fatal(err)
	}
	return p
}

// File writes the authority as a PEM file and gives its name.
func (ca *CA) File() string {
	ca.t.Helper()
	name := filepath.Join(ca.t.TempDir(), "ca.pem")
	write(ca.t, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert.Raw}))
	return name
}

// Files writes the pair into a folder as tls.crt and tls.key.
func (p *Pair) Files(t testing.TB, folder string) edge.CertConfig {
	t.Helper()
	c := edge.CertConfig{Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}
	write(t, c.Key, p.KeyPEM)
	write(t, c.Cert, p.CertPEM)
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)) // never fails
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 0, 1), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func sign(t testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// write replaces a file as careful programs do: whole or not at all.
func write(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}
