package edge_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/upstream"
)

// grpcGateway starts gRPC's test service behind a gateway.
func grpcGateway(t *testing.T, change func(*edge.Config)) (*edgetest.Gateway, *grpc.Server) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, interop.NewTestServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	cfg := edgetest.Config(t, "http://"+l.Addr().String(), edge.ListenerConfig{H2C: true})
	s := cfg.Services["service"]
	s.HTTP = upstream.HTTP2C
	cfg.Services["service"] = s
	if change != nil {
		change(&cfg)
	}
	return edgetest.Start(t, cfg), server
}

func grpcClient(t *testing.T, g *edgetest.Gateway) testpb.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(g.Addr("public"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testpb.NewTestServiceClient(conn)
}

func grpcContext(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(stop)
	return ctx
}

// TestGRPCProblems wants our own errors in gRPC's words (gateway §12).
func TestGRPCProblems(t *testing.T) {
	t.Parallel()
	short := 100 * time.Millisecond
	tests := []struct {
		name   string
		change func(*edge.Config)
		call   func(ctx context.Context, c testpb.TestServiceClient) error
		code   codes.Code
		text   string
	}{
		{"no route", func(cfg *edge.Config) { cfg.Routes[0].Match = edgetest.Match(t, "/other") }, emptyCall, codes.Unimplemented, "no route matches this request"},
		{"no connection", func(cfg *edge.Config) {
			s := cfg.Services["service"]
			s.URL = "http://127.0.0.1:1"
			cfg.Services["service"] = s
		}, emptyCall, codes.Unavailable, "service service could not be reached"},
		{"forbidden", func(cfg *edge.Config) {
			cfg.Filters = []filter.Named{{Word: "ip", Config: &filter.IP{Deny: []string{"127.0.0.1"}}}}
		}, emptyCall, codes.PermissionDenied, ""},
		{"time of the route", func(cfg *edge.Config) { cfg.Routes[0].Timeout = &short }, slowCall, codes.DeadlineExceeded, ""},
		{"service's own", nil, func(ctx context.Context, c testpb.TestServiceClient) error {
			_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: 9, Message: "Füße\n%"}})
			return err
		}, codes.FailedPrecondition, "Füße\n%"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, _ := grpcGateway(t, tt.change)
			err := tt.call(grpcContext(t), grpcClient(t, g))
			if got := status.Convert(err); got.Code() != tt.code || tt.text != "" && got.Message() != tt.text {
				t.Errorf("%v %q, want %v %q", got.Code(), got.Message(), tt.code, tt.text)
			}
		})
	}
}

func emptyCall(ctx context.Context, c testpb.TestServiceClient) error {
	_, err := c.EmptyCall(ctx, &testpb.Empty{})
	return err
}

// slowCall is a stream that nobody ends.
func slowCall(ctx context.Context, c testpb.TestServiceClient) error {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	_, err = s.Recv()
	return err
}

// TestGRPCServiceDies wants a call whose service breaks off to end in gRPC's
// words, not with a reset.
func TestGRPCServiceDies(t *testing.T) {
	t.Parallel()
	g, server := grpcGateway(t, nil)
	s, err := grpcClient(t, g).FullDuplexCall(grpcContext(t))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 10}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err = s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

// TestGRPCFields looks at the frames of calls that gRPC's own client can't make
// or doesn't show.
func TestGRPCFields(t *testing.T) {
	t.Parallel()
	plain := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "no gRPC here")
		}
	}
	seen := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("X-Timeout", r.Header.Get("Grpc-Timeout"))
		w.Header().Set("X-Te", r.Header.Get("Te"))
	}
	tests := []struct {
		name    string
		h       http.HandlerFunc
		timeout string
		status  string
		field   string
		want    func(string) bool
	}{
		{"malformed timeout", seen, "soon", "3", "", nil},
		{"timeout of nine digits", seen, "123456789S", "3", "", nil},
		{"no time at all", seen, "0S", "4", "", nil},
		{"the client's time is sent on", seen, "5S", "0", "X-Timeout", func(v string) bool { return strings.HasPrefix(v, "49") && strings.HasSuffix(v, "u") }},
		{"the route's time where the client has more", seen, "1H", "0", "X-Timeout", func(v string) bool { return strings.HasPrefix(v, "14") }},
		{"the route's time where the client says none", seen, "", "0", "X-Timeout", func(v string) bool { return strings.HasPrefix(v, "14") }},
		{"te", seen, "", "0", "X-Te", func(v string) bool { return v == "trailers" }},
		{"plain 400", plain(400), "", "13", "", nil},
		{"plain 401", plain(401), "", "16", "", nil},
		{"plain 403", plain(403), "", "7", "", nil},
		{"plain 404", plain(404), "", "12", "", nil},
		{"plain 429", plain(429), "", "14", "", nil},
		{"plain 500", plain(500), "", "2", "", nil},
		{"plain 502", plain(502), "", "14", "", nil},
		{"plain 503", plain(503), "", "14", "", nil},
		{"plain 504", plain(504), "", "14", "", nil},
		{"plain 200", plain(200), "", "2", "", nil},
	}
	for _, p := range protocols()[2:] { // h2c and h3
		for _, tt := range tests {
			t.Run(p.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				w := p.start(t, tt.h, func(cfg *edge.Config) {
					s := cfg.Services["service"]
					s.HTTP = upstream.HTTP2C
					cfg.Services["service"] = s
				})
				r := w.request("POST", "/shop.Basket/Put", bytes.NewReader([]byte{0, 0, 0, 0, 0}))
				r.Header.Set("Content-Type", "application/grpc+proto")
				r.Header.Set("Te", "trailers")
				if tt.timeout != "" {
					r.Header.Set("Grpc-Timeout", tt.timeout)
				}
				resp := w.do(r)
				_ = content(t, resp)
				if got := resp.Header.Get("Grpc-Status"); got != tt.status || resp.StatusCode != 200 ||
					!strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") {
					t.Errorf("status %d, header %v, want grpc-status %s", resp.StatusCode, resp.Header, tt.status)
				}
				if tt.want != nil && !tt.want(resp.Header.Get(tt.field)) {
					t.Errorf("%s: %q", tt.field, resp.Header.Get(tt.field))
				}
			})
		}
	}
}

// TestGRPCWebCall calls gRPC's test service as a browser does, by every protocol.
func TestGRPCWebCall(t *testing.T) {
	t.Parallel()
	body := binary.BigEndian.AppendUint32([]byte{0}, 0)
	const trailers = "grpc-message:\r\ngrpc-status:0\r\n" // as the service sends them
	for _, p := range protocols() {
		for _, media := range []string{"application/grpc-web+proto", "application/grpc-web-text+proto"} {
			t.Run(p.name+" "+media, func(t *testing.T) {
				t.Parallel()
				target, _ := grpcGateway(t, nil) // only for the service behind it
				w := p.start(t, func(http.ResponseWriter, *http.Request) {}, func(cfg *edge.Config) {
					cfg.Services = target.Server.Runtime().Config.Services
					cfg.Routes[0].Filters = []filter.Named{{Word: "grpc-web", Config: new(filter.GRPCWeb)}}
				})
				text := strings.Contains(media, "text")
				sent := string(body)
				if text {
					sent = base64.StdEncoding.EncodeToString(body)
				}
				r := w.request("POST", "/grpc.testing.TestService/EmptyCall", strings.NewReader(sent))
				r.Header.Set("Content-Type", media)
				resp := w.do(r)
				got := content(t, resp)
				want := append(bytes.Clone(body), 0x80, 0, 0, 0, byte(len(trailers)))
				want = append(want, trailers...)
				if text {
					got = decodeGroups(t, got)
				}
				if got != string(want) || resp.Header.Get("Content-Type") != media {
					t.Errorf("%v: %q, want %q", resp.Header, got, want)
				}
			})
		}
	}
}

// decodeGroups decodes base64 with padding inside.
func decodeGroups(t *testing.T, s string) string {
	t.Helper()
	var out []byte
	for ; len(s) >= 4; s = s[4:] {
		b, err := base64.StdEncoding.DecodeString(s[:4])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	if s != "" {
		t.Fatalf("%q is left over", s)
	}
	return string(out)
}

// TestGRPCBackPressure sends into a call that the service does not read: the
// client is held back instead of the gateway filling its memory.
func TestGRPCBackPressure(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	p := protocols()[2]
	w := p.start(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}, func(cfg *edge.Config) {
		s := cfg.Services["service"]
		s.HTTP = upstream.HTTP2C
		cfg.Services["service"] = s
	})
	counted := &countingReader{}
	r := w.request("POST", "/shop.Basket/Put", counted)
	r.Header.Set("Content-Type", "application/grpc")
	if tr, ok := w.client.(*http2.Transport); ok {
		defer tr.CloseIdleConnections()
	}
	ctx, stop := context.WithTimeout(r.Context(), time.Second)
	defer stop()
	if resp, err := w.client.RoundTrip(r.WithContext(ctx)); err == nil {
		_ = resp.Body.Close()
	}
	close(hold)
	const windows = 4 << 20 // ours, the service's, and what lies in sockets
	if n := counted.n.Load(); n > windows {
		t.Errorf("the client could send %d bytes", n)
	}
}

// countingReader never ends.
type countingReader struct{ n atomic.Int64 }

func (c *countingReader) Read(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
