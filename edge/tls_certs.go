package edge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// certSet finds a certificate by SNI. It is immutable once published.
type certSet struct {
	exact  map[string][]*tls.Certificate
	parent map[string][]*tls.Certificate // "*.example.com" under "example.com"
	// fallback serves unknown names and clients without SNI; nil refuses them.
	fallback *tls.Certificate
}

func newCertSet() *certSet {
	return &certSet{exact: make(map[string][]*tls.Certificate), parent: make(map[string][]*tls.Certificate)}
}

// add files a certificate under its DNS names.
func (s *certSet) add(c *tls.Certificate) {
	for _, name := range c.Leaf.DNSNames {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if rest, wild := strings.CutPrefix(name, "*."); wild {
			s.parent[rest] = append(s.parent[rest], c)
			continue
		}
		s.exact[name] = append(s.exact[name], c)
	}
}

// find gives the certificate for a handshake: exact name, wildcard of one label
// (RFC 9525 §6.3), or nil.
func (s *certSet) find(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := lowerName(hello.ServerName)
	list := s.exact[name]
	if len(list) == 0 {
		if _, parent, ok := strings.Cut(name, "."); ok {
			list = s.parent[parent]
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	for _, c := range list { // an ECDSA and an RSA one for old clients
		if hello.SupportsCertificate(c) == nil {
			return c
		}
	}
	return list[0]
}

// certFile is a pair of PEM files and what they held when they were last good.
type certFile struct {
	CertConfig

	certText, keyText []byte
	cert              *tls.Certificate
	// refused is what was refused last, and why: it is told of once.
	refused string
}

// load reads the pair; faults are field errors.
func (f *certFile) load() error {
	if f.Cert == "" || f.Key == "" {
		return diag.At("", "a certificate is two files").WithFix("write cert: FILE and key: FILE")
	}
	certText, err := os.ReadFile(f.Cert)
	if err != nil {
		return diag.At("cert", "cannot read it: %s", err).WithFix("name a readable file of certificates in PEM form")
	}
	keyText, err := os.ReadFile(f.Key)
	if err != nil {
		return diag.At("key", "cannot read it: %s", err).WithFix("name a readable file with the key in PEM form")
	}
	f.certText, f.keyText = certText, keyText
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return diag.At("key", "certificate and key don't fit: %s", strings.TrimPrefix(err.Error(), "tls: ")).
			WithFix("name the key that the certificate was made with")
	}
	f.cert = &pair
	return nil
}

// reload takes a changed pair over and tells whether it did. A pair that can't
// be used, or that has run out while the present one has not, is an error the
// first time it is seen, and changes nothing.
func (f *certFile) reload(now time.Time) (took bool, err error) {
	next := certFile{CertConfig: f.CertConfig}
	err = next.load()
	if err == nil {
		if bytes.Equal(next.certText, f.certText) && bytes.Equal(next.keyText, f.keyText) {
			f.refused = ""
			return false, nil
		}
		if end := next.cert.Leaf.NotAfter; now.After(end) && now.Before(f.cert.Leaf.NotAfter) {
			err = fmt.Errorf("it ran out on %s", end.UTC().Format(time.DateOnly))
		}
	}
	if err == nil {
		*f = next
		return true, nil
	}
	what := err.Error() + string(next.certText) + string(next.keyText)
	if what == f.refused {
		return false, nil
	}
	f.refused = what
	return false, err
}

// developmentCertificate is the self-signed one of this process, or nil.
func (b *builder) developmentCertificate(cfg *TLSConfig) *tls.Certificate {
	if !cfg.Development {
		return nil
	}
	made := b.keep("edge development certificate", func() any {
		c, err := selfSigned(time.Now())
		if err != nil {
			b.fault("", fmt.Errorf("make a development certificate: %w", err))
			return (*tls.Certificate)(nil)
		}
		return c
	})
	c, _ := made.(*tls.Certificate)
	return c
}

// selfSigned makes a certificate for this machine's loopback names.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "maru development"},
		NotBefore:    now.Add(-time.Hour),
		// Browsers refuse a longer life than 398 days.
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost", "*.localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
