package upstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// h2c serves a handler over HTTP/2 without TLS, on loopback.
func h2c(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wait.Go(func() {
				new(http2.Server).ServeConn(c, &http2.ServeConnOpts{Handler: h})
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	return "http://" + l.Addr().String()
}

// gateway is the least that stands before a cluster: net/http's HTTP/2 server
// adapted to messages.
func gateway(c *Cluster) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		r := message.NewRequest()
		defer r.Release()
		r.Method, r.Path, r.Scheme, r.Authority, r.Proto = in.Method, in.URL.Path, "http", in.Host, message.HTTP2
		r.X.Began = time.Now()
		for k, vs := range in.Header {
			for _, v := range vs {
				_ = r.Header.Add(strings.ToLower(k), v)
			}
		}
		if r.Length = in.ContentLength; r.Length != 0 {
			r.Body = in.Body
		}
		done := make(chan struct{})
		defer close(done)
		go func() {
			select {
			case <-in.Context().Done():
				select {
				case <-done:
				default:
					r.X.Cancel(message.ErrClientGone)
				}
			case <-done:
			}
		}()
		resp, err := c.Do(r) //nolint:contextcheck // a message has its own cancel
		if err != nil {
			p := problem.Of(err)
			w.WriteHeader(p.Status)
			_, _ = io.WriteString(w, p.Reason)
			return
		}
		defer resp.Release()
		pass(w, resp)
	})
}

// pass writes a response as it comes.
func pass(w http.ResponseWriter, resp *message.Response) {
	for _, f := range resp.Header.Fields() {
		w.Header().Add(f.Name, f.Value)
	}
	w.WriteHeader(resp.Status)
	if resp.Body == message.NoBody {
		return // the head ends the stream: gRPC's trailers-only form
	}
	_ = http.NewResponseController(w).Flush()
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		_, _ = w.Write(buf[:n])
		_ = http.NewResponseController(w).Flush()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	resp.MarkComplete()
	for _, f := range resp.Trailer.Fields() {
		w.Header().Add(http.TrailerPrefix+f.Name, f.Value)
	}
}

// grpcThrough gives a client that reaches the interoperability service through
// a cluster.
func grpcThrough(t *testing.T) (testpb.TestServiceClient, *Cluster) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	testpb.RegisterTestServiceServer(srv, interop.NewTestServer())
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	c := cluster(t, Config{URL: "http://" + l.Addr().String(), HTTP: HTTP2C}, Env{})
	front := h2c(t, gateway(c))
	conn, err := grpc.NewClient(strings.TrimPrefix(front, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testpb.NewTestServiceClient(conn), c
}

// TestGRPC runs the interoperability cases of grpc-go, client through cluster
// to server.
func TestGRPC(t *testing.T) {
	client, c := grpcThrough(t)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for _, tt := range []struct {
		name string
		run  func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)
	}{
		{"empty unary", interop.DoEmptyUnaryCall},
		{"large unary", interop.DoLargeUnaryCall},
		{"client streaming", interop.DoClientStreaming},
		{"server streaming", interop.DoServerStreaming},
		{"ping pong", interop.DoPingPong},
		{"empty stream", interop.DoEmptyStream},
		{"timeout on sleeping server", interop.DoTimeoutOnSleepingServer},
		{"cancel after begin", interop.DoCancelAfterBegin},
		{"cancel after first response", interop.DoCancelAfterFirstResponse},
		{"custom metadata", interop.DoCustomMetadata},
		{"status code and message", interop.DoStatusCodeAndMessage},
		{"special status message", interop.DoSpecialStatusMessage},
	} {
		t.Run(tt.name, func(*testing.T) { tt.run(ctx, client) })
	}
	_, err := client.UnimplementedCall(ctx, &testpb.Empty{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("trailers-only: %v", err)
	}
	var trailer metadata.MD
	bin := string([]byte{0, 1, 254, 255})
	out := metadata.AppendToOutgoingContext(ctx, "x-grpc-test-echo-trailing-bin", bin)
	if _, err := client.UnaryCall(out, &testpb.SimpleRequest{}, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if got := trailer.Get("x-grpc-test-echo-trailing-bin"); len(got) != 1 || got[0] != bin {
		t.Errorf("binary trailer %q", got)
	}
	waitFor(t, func() bool { return c.Stats().Endpoints[0].InFlight == 0 })
	if st := c.Stats().Endpoints[0]; st.Conns != 1 || st.Latency == 0 {
		t.Errorf("%+v", st)
	}
}

func h2cluster(t *testing.T, h http.HandlerFunc) *Cluster {
	t.Helper()
	return cluster(t, Config{URL: h2c(t, h), HTTP: HTTP2C, TryTimeout: time.Second}, Env{})
}

func TestH2Plain(t *testing.T) {
	var got atomic.Pointer[http.Request]
	c := h2cluster(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r)
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		w.Header()["X-Two"] = []string{"1", "2"}
		w.WriteHeader(201)
		_, _ = w.Write(bytes.ToUpper(b))
		w.Header().Set("X-Sum", r.Trailer.Get("X-In"))
	})
	r := withBody(request("POST", "/a%2Fb;c=1/"), "hello")
	r.Query, r.HasQuery = "q=%20", true
	_ = r.Header.Add("Connection", "x-hop")
	_ = r.Header.Add("X-Mixed", "v")
	_ = r.Header.Add("TE", "trailers")
	_ = r.Header.Add("Trailer", "X-In")
	_ = r.Trailer.Add("X-In", "42")
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := message.ReadAll(nil, resp.Body, 100)
	if err != nil || resp.Status != 201 || string(b) != "HELLO" || resp.Proto != message.HTTP2 {
		t.Fatalf("%d %q %v", resp.Status, b, err)
	}
	if v := resp.Header.Values(nil, "x-two"); len(v) != 2 || v[1] != "2" {
		t.Errorf("x-two %q", v)
	}
	for _, f := range resp.Header.Fields() {
		if f.Name != strings.ToLower(f.Name) {
			t.Errorf("name %q is not lower case", f.Name)
		}
	}
	if resp.Header.Get("trailer") != "x-sum" || resp.Trailer.Get("x-sum") != "42" {
		t.Errorf("trailer %q announced as %q", resp.Trailer.Fields(), resp.Header.Get("trailer"))
	}
	resp.MarkComplete()
	resp.Release()
	in := got.Load()
	if in.RequestURI != "/a%2Fb;c=1/?q=%20" || in.Host != "example.com" {
		t.Errorf("target %q host %q", in.RequestURI, in.Host)
	}
	if in.Header.Get("X-Mixed") != "v" || in.Header.Get("Te") != "trailers" || in.Header["User-Agent"] != nil || in.Header["Accept-Encoding"] != nil || in.Header["Connection"] != nil {
		t.Errorf("header %v", in.Header)
	}
	p := r.X.Phases
	if p[message.PhaseSent] == 0 || p[message.PhaseHead] < p[message.PhaseSent] {
		t.Errorf("phases %v", p)
	}
}

func TestH2Heads(t *testing.T) {
	c := h2cluster(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		code, _ := strconv.Atoi(r.URL.Path[1:])
		if code == 204 || code == 304 {
			w.Header().Del("Content-Length")
		}
		w.WriteHeader(code)
		if r.Method != "HEAD" {
			_, _ = io.WriteString(w, "12345")
		}
	})
	for _, tt := range []struct {
		method, path string
		length       int64
		body         string
	}{{"GET", "/200", 5, "12345"}, {"HEAD", "/200", 5, ""}, {"GET", "/204", 0, ""}, {"GET", "/304", message.Unknown, ""}, {"GET", "/503", 5, "12345"}} {
		resp, err := c.Do(request(tt.method, tt.path))
		if err != nil {
			t.Fatal(err)
		}
		b, err := message.ReadAll(nil, resp.Body, 100)
		if err != nil || resp.Length != tt.length || string(b) != tt.body {
			t.Errorf("%s %s: length %d, body %q, %v", tt.method, tt.path, resp.Length, b, err)
		}
		if resp.Header.Has(message.ContentLength) {
			t.Error("framing field left")
		}
		resp.MarkComplete()
		resp.Release()
	}
}

func TestH2InterimAndContinue(t *testing.T) {
	c := h2cluster(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	r := withBody(request("POST", "/"), "body")
	r.Expect = true
	_ = r.Header.Add("Expect", "100-continue")
	var events []string
	var mu sync.Mutex
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, s)
	}
	r.X.Interim = func(p *message.Response) error {
		note(strconv.Itoa(p.Status) + " " + p.Header.Get("Link"))
		return nil
	}
	r.X.Continue = func() error { note("continue"); return nil }
	if status, body := do(t, c, r); status != 200 || body != "body" {
		t.Fatalf("%d %q", status, body)
	}
	if len(events) != 2 || events[0] != "103 </a.css>; rel=preload" || events[1] != "continue" {
		t.Fatalf("%q", events)
	}
}

func TestH2AnswerBeforeContinue(t *testing.T) {
	c := h2cluster(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	r := withBody(request("POST", "/"), "body")
	r.Expect = true
	asked := false
	r.X.Continue = func() error { asked = true; return nil }
	if status, _ := do(t, c, r); status != 401 {
		t.Fatal(status)
	}
	if asked {
		t.Fatal("the client was told to go on")
	}
}

func TestH2Problems(t *testing.T) {
	release := make(chan struct{})
	c := h2cluster(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/cut":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	defer close(release)
	c.cfg.TryTimeout = 50 * time.Millisecond
	_, err := c.Do(request("GET", "/hang"))
	wantProblem(t, err, 504, "head_timeout")
	_, err = c.Do(withBody(request("POST", "/hang"), "x"))
	wantProblem(t, err, 504, "head_timeout")
	c.cfg.TryTimeout = time.Minute
	r := request("GET", "/hang")
	r.X.Deadline = time.Now().Add(20 * time.Millisecond)
	_, err = c.Do(r)
	wantProblem(t, err, 504, "exchange_timeout")
	r = request("GET", "/hang")
	time.AfterFunc(10*time.Millisecond, func() { r.X.Cancel(message.ErrClientGone) })
	_, err = c.Do(r)
	wantProblem(t, err, 499, "client_abort")
	_, err = c.Do(withBody(request("POST", "/abort"), "x"))
	wantProblem(t, err, 502, "h2_internal_error")
	resp, err := c.Do(request("GET", "/cut"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := message.ReadAll(nil, resp.Body, 100)
	if string(b) != "half" || !errors.Is(err, message.ErrAborted) {
		t.Fatalf("a cut body gave %q, %v", b, err)
	}
	resp.Release()
	if st := c.Stats().Endpoints[0]; st.InFlight != 0 {
		t.Fatalf("%+v", st)
	}
}

// TestH2Duplex writes and reads in turns on one exchange.
func TestH2Duplex(t *testing.T) {
	c := h2cluster(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 10)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	pr, pw := io.Pipe()
	r := request("POST", "/")
	r.Body, r.Length = pr, message.Unknown
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	for range 5 {
		_, _ = pw.Write([]byte("ping"))
		n, err := resp.Body.Read(buf)
		if err != nil || string(buf[:n]) != "ping" {
			t.Fatalf("%q %v", buf[:n], err)
		}
	}
	// The response is given up while the upload waits for its client.
	resp.Release()
	if _, err := pw.Write([]byte("x")); err == nil {
		t.Fatal("somebody still reads the request's body")
	}
}

func TestH2StreamsPerConnection(t *testing.T) {
	gate := make(chan struct{})
	in := make(chan struct{}, 500)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int64
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			wait.Go(func() {
				s := &http2.Server{MaxConcurrentStreams: 250}
				s.ServeConn(nc, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					in <- struct{}{}
					<-gate
				})})
			})
		}
	})
	c := cluster(t, Config{URL: "http://" + l.Addr().String(), HTTP: HTTP2C, Limit: Limit{Algorithm: off}}, Env{})
	var calls sync.WaitGroup
	for range 150 {
		calls.Go(func() {
			resp, err := c.Do(request("GET", "/"))
			if err != nil {
				t.Error(err)
				return
			}
			resp.MarkComplete()
			resp.Release()
		})
	}
	for range 150 {
		<-in
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections for 150 exchanges", n)
	}
	close(gate)
	calls.Wait()
	// A connection that is over its time takes nothing new and closes.
	p := c.Endpoints()[0].h2
	p.reap(time.Now().Add(34 * time.Minute))
	waitFor(t, func() bool { n, _ := p.count(); return n == 0 })
	do(t, c, request("GET", "/"))
	if n := conns.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
	c.CloseIdle()
	_ = l.Close()
	wait.Wait()
}

// TestH2RefusedStream is RFC 9113 §8.7: a refused stream was not processed and
// is sent again, body included.
func TestH2RefusedStream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	bodies := make(chan string, 2)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		refuseThenServe(nc, bodies)
	}()
	c := cluster(t, Config{URL: "http://" + l.Addr().String(), HTTP: HTTP2C}, Env{})
	r := request("POST", "/")
	r.Body, r.Length = io.NopCloser(strings.NewReader("payload")), message.Unknown
	if status, _ := do(t, c, r); status != 200 {
		t.Fatal(status)
	}
	for i := range 2 {
		if b := <-bodies; b != "payload" {
			t.Errorf("try %d had body %q", i+1, b)
		}
	}
}

// refuseThenServe speaks frames: the first request is read whole and refused,
// the second answered.
func refuseThenServe(nc net.Conn, bodies chan<- string) {
	defer func() { _ = nc.Close() }()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil {
		return
	}
	f := http2.NewFramer(nc, nc)
	_ = f.WriteSettings()
	body := map[uint32]string{}
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return
		}
		d, ok := fr.(*http2.DataFrame)
		if !ok {
			if s, ok := fr.(*http2.SettingsFrame); ok && !s.IsAck() {
				_ = f.WriteSettingsAck()
			}
			continue
		}
		body[d.StreamID] += string(d.Data())
		if !d.StreamEnded() {
			continue
		}
		bodies <- body[d.StreamID]
		if len(body) == 1 {
			_ = f.WriteRSTStream(d.StreamID, http2.ErrCodeRefusedStream)
			continue
		}
		var hb bytes.Buffer
		_ = hpack.NewEncoder(&hb).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: d.StreamID, BlockFragment: hb.Bytes(), EndHeaders: true, EndStream: true})
	}
}

// authority makes certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), n: 1}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.cert, _ = x509.ParseCertificate(der)
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.n++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	pair, err := tls.LoadX509KeyPair(a.write(t, name+".pem", "CERTIFICATE", der), a.write(t, name+".key", "PRIVATE KEY", keyDER))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	srvTLS := &tls.Config{
		Certificates: []tls.Certificate{a.issue(t, "service.test")}, NextProtos: []string{"h2", "http/1.1"},
		ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
	a.issue(t, "gateway.test")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{TLSConfig: srvTLS, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.PeerCertificates[0].Subject.CommonName)
	})}
	srv.ErrorLog = nil
	go func() { _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = srv.Close() })
	url := "https://" + l.Addr().String()
	ours := TLSConfig{CA: a.file("ca.pem"), Cert: a.file("gateway.test.pem"), Key: a.file("gateway.test.key"), ServerName: "service.test"}
	wrong := ours
	wrong.ServerName = "other.test"
	stranger := ours
	stranger.CA = ""
	blind := stranger
	blind.Insecure = true
	for _, tt := range []struct {
		name   string
		tls    TLSConfig
		http   Version
		body   string
		reason string
	}{
		{"HTTP/1.1", ours, HTTP1, "HTTP/1.1 gateway.test", ""},
		{"HTTP/2", ours, HTTP2, "HTTP/2.0 gateway.test", ""},
		{"insecure", blind, HTTP1, "HTTP/1.1 gateway.test", ""},
		{"wrong name", wrong, HTTP1, "", "tls_failed"},
		{"wrong name, HTTP/2", wrong, HTTP2, "", "tls_failed"},
		{"unknown authority", stranger, HTTP1, "", "tls_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, Config{URL: url, TLS: &tt.tls, HTTP: tt.http}, Env{})
			if tt.reason != "" {
				_, err := c.Do(request("GET", "/"))
				wantProblem(t, err, 502, tt.reason)
				return
			}
			for range 2 {
				if _, body := do(t, c, request("GET", "/")); body != tt.body {
					t.Fatalf("%q", body)
				}
			}
		})
	}
}
