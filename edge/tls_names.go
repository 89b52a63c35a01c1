package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// clientNames says which of the clients that an authority vouches for may come:
// by the names in their certificates (RFC 5280 §4.2.1.6), a SPIFFE ID among them.
// The common name does not count.
type clientNames []string

func newClientNames(patterns []string) (clientNames, error) {
	var faults []error
	names := make(clientNames, len(patterns))
	for i, p := range patterns {
		ok := false
		if scheme, rest, isURI := strings.Cut(p, "://"); isURI {
			_, err := url.Parse(p)
			ok = err == nil && scheme != "" && !strings.HasPrefix(rest, "*") && rest != "" && !strings.Contains(strings.TrimSuffix(rest, "/*"), "*")
			names[i] = p
		} else {
			names[i] = strings.ToLower(p)
			ok = validServerName(strings.TrimPrefix(names[i], "*."))
		}
		if !ok {
			faults = append(faults, diag.At(fmt.Sprintf("client-names[%d]", i), "%q is neither a host nor a URI", p).
				WithFix("write shop.example.com, *.example.com, or spiffe://example.com/ns/shop/*"))
		}
	}
	return names, diag.Join(faults...)
}

var errClientName = errors.New("the client's certificate has none of the names that are let in")

// verify is for every connection, resumed ones too.
func (n clientNames) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 || n.match(state.PeerCertificates[0]) {
		return nil // whether one is required at all was decided before
	}
	return errClientName
}

func (n clientNames) match(cert *x509.Certificate) bool {
	for _, pattern := range n {
		if strings.Contains(pattern, "://") {
			for _, u := range cert.URIs {
				if matchURI(pattern, u.String()) {
					return true
				}
			}
			continue
		}
		for _, name := range cert.DNSNames {
			if matchHost(pattern, strings.ToLower(name)) {
				return true
			}
		}
	}
	return false
}

// matchURI compares octet by octet, as SPIFFE IDs are compared; a last "/*" takes
// one segment or more.
func matchURI(pattern, uri string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return len(uri) > len(prefix) && strings.HasPrefix(uri, prefix)
	}
	return uri == pattern
}

// matchHost takes the name itself, or one label for "*". A wildcard in the
// certificate is only its own spelling: it names no client.
func matchHost(pattern, name string) bool {
	parent, ok := strings.CutPrefix(pattern, "*.")
	if !ok {
		return name == pattern
	}
	label, rest, ok := strings.Cut(name, ".")
	return ok && label != "" && label != "*" && rest == parent
}
