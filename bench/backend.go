package main

import (
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 §4.2.2 asks for it
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// backend is what all proxies forward to: nginx for content, and a WebSocket
// echo in this process.
type backend struct {
	nginx *process
	echo  net.Listener
	web   string // host:port of nginx
	ws    string // host:port of the echo
}

const backendConf = `worker_processes 2; daemon off; pid %[1]s/backend.pid; error_log stderr warn;
events { worker_connections 20000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; sendfile on; tcp_nopush off;
  client_body_temp_path %[1]s/tmp; proxy_temp_path %[1]s/tmp; fastcgi_temp_path %[1]s/tmp;
  uwsgi_temp_path %[1]s/tmp; scgi_temp_path %[1]s/tmp;
  open_file_cache max=100 inactive=600s; types { application/json json; } client_body_buffer_size 32k;
  server { listen %[2]s reuseport; listen %[3]s http2; error_page 405 =200 $uri; location / { root %[1]s/www; } }
}
`

func startBackend(ctx context.Context, dir string) (*backend, error) {
	b := &backend{web: freeAddress(), ws: ""}
	www := filepath.Join(dir, "www")
	for _, d := range []string{www, filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(d, 0o755); err != nil { //nolint:gosec // nginx's user reads it
			return nil, fmt.Errorf("make folder: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(www, ordersFile), []byte(orders()), 0o644); err != nil { //nolint:gosec // nginx's user reads it
		return nil, fmt.Errorf("write content: %w", err)
	}
	for name, size := range map[string]int{"1k": 1 << 10, "64k": 64 << 10, "8m": 8 << 20} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte('a' + i%26)
		}
		if err := os.WriteFile(filepath.Join(www, name), body, 0o644); err != nil { //nolint:gosec // nginx's user reads it
			return nil, fmt.Errorf("write content: %w", err)
		}
	}
	conf := filepath.Join(dir, "backend.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, backendConf, dir, b.web, freeAddress()), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	var err error
	if b.nginx, err = start(ctx, dir, "backend", b.web, "nginx", "-c", conf, "-e", "stderr"); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if b.echo, err = lc.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		b.close()
		return nil, fmt.Errorf("listen for WebSockets: %w", err)
	}
	b.ws = b.echo.Addr().String()
	srv := &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(b.echo) }()
	return b, nil
}

func (b *backend) close() {
	if b.echo != nil {
		_ = b.echo.Close()
	}
	if b.nginx != nil {
		b.nginx.stop()
	}
}

// echo answers an upgrade and sends every message back, unmasked.
func echo(w http.ResponseWriter, r *http.Request) {
	hj, ok := w.(http.Hijacker)
	if !ok || r.Header.Get("Upgrade") == "" {
		http.Error(w, "a WebSocket is wanted", http.StatusUpgradeRequired)
		return
	}
	c, rw, err := hj.Hijack()
	if err != nil {
		return
	}
	defer c.Close()                                                                                     //nolint:errcheck // at the end
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 §4.2.2
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	sent, back := echoFrame(64)
	in := make([]byte, len(sent))
	out := append([]byte{0x81, byte(back - 2)}, sent[6:]...)
	for err == nil {
		if _, err = io.ReadFull(rw, in); err == nil {
			_, err = c.Write(out)
		}
	}
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer ln.Close() //nolint:errcheck // closed for the one that comes
	return ln.Addr().String()
}
