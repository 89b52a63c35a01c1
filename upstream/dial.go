package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/http1"
)

// endpointDial is how connections to an endpoint are secured: nil means plain.
type endpointDial struct {
	tls1 *tls.Config // HTTP/1
	tls2 *tls.Config // HTTP/2
}

// dialError says which part of making a connection failed.
type dialError struct {
	op      string // connect or tls
	timeout bool
	err     error
}

func (e *dialError) Error() string { return e.op + ": " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dialEndpoint connects and shakes hands, each within its time-out and both
// within the try's.
func (c *Cluster) dialEndpoint(ctx context.Context, ep *Endpoint, by time.Time, cfg *tls.Config) (net.Conn, error) {
	ep.connects.Add(1)
	ctx, stop := context.WithDeadline(ctx, by)
	defer stop()
	nc, err := c.dialTCP(ctx, ep.target.address)
	if err == nil && cfg != nil {
		nc, err = c.shakeHands(ctx, nc, cfg)
	}
	if err != nil {
		ep.refused.Add(1)
		return nil, err
	}
	return nc, nil
}

func (c *Cluster) dialTCP(ctx context.Context, address string) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer stop()
	nc, err := c.env.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, &dialError{op: "connect", timeout: timedOut(err), err: err}
	}
	return nc, nil
}

func (c *Cluster) shakeHands(ctx context.Context, nc net.Conn, cfg *tls.Config) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, c.cfg.TLSTimeout)
	defer stop()
	tc := tls.Client(http1.Quick(nc), cfg)
	err := tc.HandshakeContext(ctx)
	if err == nil && len(cfg.NextProtos) == 1 && cfg.NextProtos[0] == "h2" && tc.ConnectionState().NegotiatedProtocol != "h2" {
		err = errors.New("the service does not offer HTTP/2 (ALPN)")
	}
	if err != nil {
		_ = nc.Close()
		return nil, &dialError{op: "tls", timeout: timedOut(err), err: err}
	}
	return tc, nil
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// clientTLS reads the files of the definition and makes the common TLS
// configuration; nil without TLS.
func clientTLS(cfg *TLSConfig) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(64)}
	if cfg == nil {
		return t, nil
	}
	var errs []error
	if v, err := minVersion(cfg.MinVersion); err == nil {
		t.MinVersion = v
	}
	t.ServerName = cfg.ServerName
	t.InsecureSkipVerify = cfg.Insecure
	if cfg.CA != "" {
		pool, err := readAuthorities(cfg.CA)
		if err != nil {
			errs = append(errs, diag.At("tls.ca", "%s", err.Error()).WithFix("name a file with PEM certificates"))
		}
		t.RootCAs = pool
	}
	if cfg.Cert != "" && cfg.Key != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			errs = append(errs, diag.At("tls.cert", "%s", err.Error()).WithFix("name the PEM files of one certificate and its key"))
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, diag.Join(errs...)
}

func readAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file) //nolint:gosec // the operator's file
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// tlsFor fits the common configuration to an endpoint.
func (c *Cluster) tlsFor(t target) endpointDial {
	if !t.tls {
		return endpointDial{}
	}
	one := c.tls.Clone()
	if one.ServerName == "" {
		one.ServerName = t.host
	}
	two := one.Clone()
	one.NextProtos = []string{"http/1.1"}
	two.NextProtos = []string{"h2"}
	return endpointDial{tls1: one, tls2: two}
}
