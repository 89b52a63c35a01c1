package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// rival is one of those compared.
type rival struct {
	name string
	// binary is looked for in PATH, unless it is a path.
	binary string
	// version prints the version.
	version string
	// config writes the configuration file.
	config func(place) string
	// argv is the command line for a configuration file.
	argv func(file string) []string
}

// place is where one started proxy is, and what is behind it.
type place struct {
	dir   string
	front string   // host:port
	admin string   // host:port, of those that have one
	web   []string // host:port of the three endpoints of the service that fails
	other string   // host:port of the service beside it
	sc    scenario
}

func rivals(maru string) []rival {
	return []rival{
		{"maru", maru, "version", maruConf, func(f string) []string { return []string{maru, "serve", "--config", f} }},
		{"haproxy", "haproxy", "-v", haproxyConf, func(f string) []string { return []string{"haproxy", "-db", "-q", "-f", f} }},
		{"nginx", "nginx", "-v", nginxConf, func(f string) []string { return []string{"nginx", "-c", f, "-e", "stderr"} }},
	}
}

// maruConf says where the services are and which requests go there; all that
// this command measures is on by default. Only a fallback must be written, since
// nobody else can know what to answer, and which requests matter more.
func maruConf(p place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listen:
  plain: { address: %q }
admin: { address: %q }
log: { access: off, level: info }
services:
  web: { urls: ["http://%s"] }
  other: { url: "http://%s" }
routes:
  - { match: "/other/{rest...}", to: other }
  - match: /{rest...}
    to: web
`, p.front, p.admin, strings.Join(p.web, `", "http://`), p.other)
	if p.sc.fallback {
		b.WriteString("    filters:\n      - fallback: { status: 200, body: \"back soon\" }\n")
	}
	if p.sc.workers > 0 {
		b.WriteString("  - { match: \"/high/{rest...}\", to: web, priority: high }\n")
	}
	return b.String()
}

// haproxyConf has health checks, retries of what may be sent again, on another
// server, and the usual time-outs. Requests are spread by load, which is the
// better choice when a server is slow.
func haproxyConf(p place) string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
  maxconn 20000
  no strict-limits
  nbthread 2
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 5s
  timeout queue 5s
  timeout check 1s
  timeout http-request 10s
  timeout http-keep-alive 30s
  option forwardfor
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response response-timeout 500 502 503 504
  http-reuse safe
  default-server check inter 2s fall 3 rise 2
frontend in
  bind %s
  use_backend other if { path_beg /other/ }
  default_backend web
backend web
  balance leastconn
  option httpchk GET /health
  http-check expect status 200
  http-request disable-l7-retry if METH_POST
`, p.front)
	most := ""
	if p.sc.workers > 0 { // an operator who knows what a server can do says so
		most = fmt.Sprintf(" maxconn %d", 2*p.sc.workers)
	}
	for i, address := range p.web {
		fmt.Fprintf(&b, "  server web%d %s%s\n", i+1, address, most)
	}
	fmt.Fprintf(&b, "backend other\n  option httpchk GET /health\n  http-check expect status 200\n  server other %s\n", p.other)
	return b.String()
}

// nginxConf has passive health, the retries that nginx makes of what may be
// sent again, and the usual time-outs.
func nginxConf(p place) string {
	var servers strings.Builder
	for _, address := range p.web {
		most := ""
		if p.sc.workers > 0 {
			most = fmt.Sprintf(" max_conns=%d", 2*p.sc.workers)
		}
		fmt.Fprintf(&servers, "    server %s max_fails=3 fail_timeout=10s%s;\n", address, most)
	}
	return fmt.Sprintf(`worker_processes 2; daemon off; pid %[1]s/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 65536;
events { worker_connections 20000; }
http {
  access_log off; server_tokens off;
  client_body_temp_path %[1]s/tmp; proxy_temp_path %[1]s/tmp; fastcgi_temp_path %[1]s/tmp;
  uwsgi_temp_path %[1]s/tmp; scgi_temp_path %[1]s/tmp;
  upstream web {
    zone web 128k; least_conn;
%[2]s    keepalive 64;
  }
  upstream other { zone other 64k; server %[3]s; keepalive 64; }
  server {
    listen %[4]s backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_connect_timeout 1s; proxy_read_timeout 5s; proxy_send_timeout 5s;
    proxy_next_upstream error timeout http_500 http_502 http_503 http_504;
    proxy_next_upstream_tries 3; proxy_next_upstream_timeout 15s;
    location / { proxy_pass http://web; }
    location /other/ { proxy_pass http://other; }
  }
}
`, p.dir, servers.String(), p.other, p.front)
}

// runner is a started proxy with its backends and its load.
type runner struct {
	name    string
	place   place
	process *process
	web     *load
	other   *load // nil without a second service
}

// workTime is what a request takes at a backend.
const (
	workTime  = 10 * time.Millisecond
	crowdTime = 40 * time.Millisecond // where the number of workers is bounded
	endpoints = 3
)

// enter opens the backends of a proxy and starts it. n tells the proxies apart.
func (s *settings) enter(ctx context.Context, c *crew, v rival, sc scenario, n int) (*runner, error) {
	port := s.port + 10*n
	next := func() string {
		port++
		return fmt.Sprintf("127.0.0.1:%d", port-1)
	}
	r := &runner{name: v.name, place: place{dir: s.out, front: next(), admin: next(), other: next(), sc: sc}}
	work := workTime
	if sc.workers > 0 {
		work = crowdTime
	}
	for i := range endpoints {
		r.place.web = append(r.place.web, next())
		open := command{Do: "open", Name: r.endpoint(i), Address: r.place.web[i], Work: work, Workers: sc.workers}
		if _, err := c.do(open); err != nil {
			return nil, err
		}
	}
	if _, err := c.do(command{Do: "open", Name: v.name + "/other/1", Address: r.place.other, Work: workTime}); err != nil {
		return nil, err
	}
	file := filepath.Join(s.out, v.name+"-"+sc.name+".conf")
	if err := os.WriteFile(file, []byte(v.config(r.place)), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	var err error
	r.process, err = serve(ctx, filepath.Join(s.out, v.name+"-"+sc.name+".log"), r.place.front, v.argv(file))
	return r, err
}

// endpoint names the i-th backend of the service that fails.
func (r *runner) endpoint(i int) string { return fmt.Sprintf("%s/web/%d", r.name, i+1) }

// look gives what maru says of the service.
func (r *runner) look(ctx context.Context) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.place.admin+"/v1/services/web", http.NoBody)
	if err != nil {
		return err.Error()
	}
	client := http.Client{Timeout: time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // only looked at
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(text)
}

// installed lists the rivals that are to play and can.
func (s *settings) installed() []rival {
	var out []rival
	for _, v := range rivals(s.maru) {
		if len(s.proxies) > 0 && !slices.Contains(s.proxies, v.name) {
			continue
		}
		if _, err := exec.LookPath(v.binary); err != nil {
			fmt.Fprintln(os.Stderr, v.name, "is not installed: left out")
			continue
		}
		out = append(out, v)
	}
	return out
}

// versionOf asks a proxy for its version.
func versionOf(ctx context.Context, v rival) string {
	text, _ := exec.CommandContext(ctx, v.binary, v.version).CombinedOutput()
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(strings.TrimSpace(line), "nginx version: ")
}
