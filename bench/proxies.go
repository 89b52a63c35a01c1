package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// proxy is one of those compared.
type proxy struct {
	name string
	// binary is looked for in PATH, unless it is a path.
	binary string
	// version prints the version.
	version []string
	// config writes the configuration file.
	config func(ports) string
	// argv is the command line for a configuration file.
	argv func(file string) []string
}

// ports are the addresses of one started proxy and of what is behind it.
type ports struct {
	dir        string
	plain, tls string // host:port
	web, ws    string // of the backend
	cert, key  string // PEM files
	both       string // PEM file with both
	variant    string // "plain", "routes", "filters", "validate", …
}

func proxies(maru string) []proxy {
	return []proxy{
		{"maru", maru, []string{"version"}, maruConf, func(f string) []string { return []string{maru, "serve", "--config", f} }},
		{"nginx", "nginx", []string{"-v"}, nginxConf, func(f string) []string { return []string{"nginx", "-c", f, "-e", "stderr"} }},
		{"haproxy", "haproxy", []string{"-v"}, haproxyConf, func(f string) []string { return []string{"haproxy", "-db", "-q", "-f", f} }},
		{"caddy", "caddy", []string{"version"}, caddyConf, func(f string) []string {
			return []string{"caddy", "run", "--adapter", "caddyfile", "--config", f}
		}},
	}
}

func maruConf(p ports) string {
	var b strings.Builder
	log, off := "off", ""
	check := map[string]string{"validate": "{}", "validate-all": "{ sample: 100% }"}[p.variant]
	if check != "" {
		off = fmt.Sprintf(", contract: %s/orders.json", p.dir)
	}
	if p.variant == "bare" {
		off = ", breaker: off, limit: off, retry: off"
	}
	if p.variant == "filters" {
		log = p.dir + "/maru-access.log"
	}
	fmt.Fprintf(&b, `listen:
  plain: { address: %q }
  tls: { address: %q, tls: { certificates: [{ cert: %s, key: %s }], default: true } }
admin: { address: "off" }
log: { access: %s, level: warn }
services:
  web: { url: "http://%s"%s }
  echo: { url: "http://%s" }
routes:
  - match: /ws
    to: echo
`, p.plain, p.tls, p.cert, p.key, log, p.web, off, p.ws)
	switch p.variant {
	case "filters":
		b.WriteString("  - match: /{rest...}\n    filters:\n      - request-id: {}\n      - cors: { origins: [\"https://app.example\"] }\n" +
			"      - headers:\n          request: { set: { X-Team: bench } }\n          response: { set: { X-Served-By: maru } }\n    to: web\n")
	case "validate", "validate-all":
		fmt.Fprintf(&b, "  - match: /{rest...}\n    filters: [validate: %s]\n    to: web\n", check)
	case "routes":
		for i := range 10_000 {
			fmt.Fprintf(&b, "  - match: GET /team%d/service%d/items/{id}\n    to: web\n", i%100, i)
		}
		b.WriteString("  - match: /{rest...}\n    to: web\n")
	default:
		b.WriteString("  - match: /{rest...}\n    to: web\n")
	}
	return b.String()
}

func nginxConf(p ports) string {
	return fmt.Sprintf(`worker_processes 2; daemon off; pid %[1]s/nginx.pid; error_log stderr warn;
worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; server_tokens off;
  client_body_temp_path %[1]s/tmp; proxy_temp_path %[1]s/tmp; fastcgi_temp_path %[1]s/tmp;
  uwsgi_temp_path %[1]s/tmp; scgi_temp_path %[1]s/tmp;
  upstream web { server %[2]s; keepalive 256; keepalive_requests 1000000000; }
  upstream echo { server %[3]s; }
  server {
    listen %[4]s reuseport backlog=4096; listen %[5]s ssl http2 reuseport;
    ssl_certificate %[6]s; ssl_certificate_key %[7]s; ssl_protocols TLSv1.3;
    location / { proxy_pass http://web; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }
    location /ws { proxy_pass http://echo; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade"; proxy_read_timeout 600s; }
  }
}
`, p.dir, p.web, p.ws, p.plain, p.tls, p.cert, p.key)
}

func haproxyConf(p ports) string {
	return fmt.Sprintf(`global
  maxconn 12000
  no strict-limits
  nbthread 2
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  timeout tunnel 600s
  option forwardfor
  http-reuse always
frontend in
  bind %[1]s
  bind %[2]s ssl crt %[3]s alpn h2,http/1.1 ssl-min-ver TLSv1.3
  use_backend echo if { path /ws }
  default_backend web
backend web
  server a %[4]s
backend echo
  server b %[5]s
`, p.plain, p.tls, p.both, p.web, p.ws)
}

func caddyConf(p ports) string {
	_, plain, _ := net.SplitHostPort(p.plain)
	_, secure, _ := net.SplitHostPort(p.tls)
	const site = `{
	bind 127.0.0.1
	@ws path /ws
	reverse_proxy @ws %s
	reverse_proxy %s
`
	return fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tstorage file_system %s/caddy\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n", p.dir) +
		fmt.Sprintf("http://:%s "+site+"}\n", plain, p.ws, p.web) +
		fmt.Sprintf("https://:%s "+site+"\ttls %s %s\n}\n", secure, p.ws, p.web, p.cert, p.key)
}

// certificate makes a self-signed certificate for localhost.
func certificate(dir string) (cert, key, both string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", "", fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", "", fmt.Errorf("make certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", "", fmt.Errorf("make key: %w", err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	cert, key, both = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "both.pem")
	for name, text := range map[string][]byte{cert: certPEM, key: keyPEM, both: append(certPEM, keyPEM...)} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return "", "", "", fmt.Errorf("write certificate: %w", err)
		}
	}
	return cert, key, both, nil
}

// launch starts a proxy with the configuration of a variant.
func (b *bench) launch(ctx context.Context, p proxy, variant string) (*process, ports, error) {
	at := ports{
		dir: b.out, plain: freeAddress(), tls: freeAddress(), web: b.backend.web, ws: b.backend.ws,
		cert: b.cert, key: b.key, both: b.both, variant: variant,
	}
	name := p.name + "-" + variant // a file of its own: maru watches it
	file := filepath.Join(b.out, name+".conf")
	if err := os.WriteFile(file, []byte(p.config(at)), 0o600); err != nil {
		return nil, at, fmt.Errorf("write configuration: %w", err)
	}
	proc, err := start(ctx, b.out, name, at.plain, p.argv(file)...)
	return proc, at, err
}

// versionOf asks a proxy for its version.
func versionOf(ctx context.Context, p proxy) string {
	text, _ := exec.CommandContext(ctx, p.binary, p.version...).CombinedOutput()
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimPrefix(strings.TrimSpace(line), "nginx version: ")
	return line
}
