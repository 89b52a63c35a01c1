package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/upstream"
)

// protocol is one way into the gateway.
type protocol struct {
	name     string
	proto    string
	listener edge.ListenerConfig
	client   func(t *testing.T) http.RoundTripper
}

func protocols() []protocol {
	insecure := func() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
	secure := edge.ListenerConfig{TLS: &edge.TLSConfig{Development: true}}
	both := secure
	both.HTTP3 = true
	return []protocol{
		{"h1", "HTTP/1.1", secure, func(*testing.T) http.RoundTripper {
			return &http.Transport{TLSClientConfig: insecure(), DisableCompression: true}
		}},
		{"h2", "HTTP/2.0", secure, func(*testing.T) http.RoundTripper {
			return &http2.Transport{TLSClientConfig: insecure(), DisableCompression: true}
		}},
		{"h2c", "HTTP/2.0", edge.ListenerConfig{H2C: true}, func(*testing.T) http.RoundTripper {
			return &http2.Transport{
				AllowHTTP: true, DisableCompression: true,
				DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, addr)
				},
			}
		}},
		{"h3", "HTTP/3.0", both, func(t *testing.T) http.RoundTripper {
			tr := &http3.Transport{TLSClientConfig: insecure(), DisableCompression: true}
			t.Cleanup(func() { _ = tr.Close() })
			return tr
		}},
	}
}

// way is a running gateway with a client of one protocol.
type way struct {
	*edgetest.Gateway
	t      *testing.T
	proto  string
	client http.RoundTripper
	base   string
}

// eachProtocol runs a test once for each protocol, in front of the handler.
func eachProtocol(t *testing.T, h http.HandlerFunc, change func(*edge.Config), test func(t *testing.T, w *way)) {
	t.Helper()
	for _, p := range protocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			test(t, p.start(t, h, change))
		})
	}
}

// start starts a gateway in front of the handler.
func (p protocol) start(t *testing.T, h http.HandlerFunc, change func(*edge.Config)) *way {
	t.Helper()
	service := httptest.NewUnstartedServer(h)
	service.Config.Protocols = new(http.Protocols)
	service.Config.Protocols.SetHTTP1(true)
	service.Config.Protocols.SetUnencryptedHTTP2(true)
	service.Start()
	t.Cleanup(service.Close)
	cfg := edgetest.Config(t, service.URL, p.listener)
	if change != nil {
		change(&cfg)
	}
	g := edgetest.Start(t, cfg)
	w := &way{Gateway: g, t: t, proto: p.proto, base: "https://" + g.Addr("public")}
	if p.listener.TLS == nil {
		w.base = "http://" + g.Addr("public")
	}
	w.client = p.client(t)
	if c, ok := w.client.(interface{ CloseIdleConnections() }); ok {
		t.Cleanup(c.CloseIdleConnections)
	}
	return w
}

func (w *way) request(method, path string, body io.Reader) *http.Request {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.t.Context(), 10*time.Second)
	w.t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, method, w.base+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *way) do(r *http.Request) *http.Response {
	w.t.Helper()
	p, err := w.client.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = p.Body.Close() })
	if p.Proto != w.proto {
		w.t.Errorf("the answer came by %s", p.Proto)
	}
	return p
}

func content(t *testing.T, p *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(p.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRequestsByEveryProtocol(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Host+" te="+strings.Join(r.TransferEncoding, ","))
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("X-Cookie", strings.Join(r.Header.Values("Cookie"), "|"))
		_, _ = io.Copy(w, r.Body)
	}, nil, func(t *testing.T, w *way) {
		host := strings.TrimPrefix(strings.TrimPrefix(w.base, "https://"), "http://")
		r := w.request("GET", "/a/b?c=d&e", nil)
		r.Header["Cookie"] = []string{"x=1; y=2"}
		p := w.do(r)
		if got, want := p.Header.Get("X-Seen"), "GET /a/b?c=d&e "+host+" te="; got != want {
			t.Errorf("the service saw %q, want %q", got, want)
		}
		if got := p.Header.Get("X-Cookie"); got != "x=1; y=2" {
			t.Errorf("cookies %q", got)
		}
		if got := p.Header.Values("Set-Cookie"); len(got) != 2 || p.Header.Get("Date") == "" || len(p.Header.Values("Date")) != 1 {
			t.Errorf("header %v", p.Header)
		}
		if p.ContentLength != 0 || content(t, p) != "" {
			t.Errorf("length %d", p.ContentLength)
		}
		p = w.do(w.request("POST", "/", strings.NewReader("hello")))
		if got := content(t, p); got != "hello" || p.ContentLength != 5 {
			t.Errorf("body %q, length %d", got, p.ContentLength)
		}
		p = w.do(w.request("HEAD", "/", nil))
		if p.StatusCode != 200 || content(t, p) != "" {
			t.Errorf("HEAD gave %d", p.StatusCode)
		}
	})
}

func TestLargeBodiesByEveryProtocol(t *testing.T) {
	t.Parallel()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16)
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}, nil, func(t *testing.T, w *way) {
		p := w.do(w.request("POST", "/", io.MultiReader(bytes.NewReader(sent)))) // its length is not known
		if got := content(t, p); got != string(sent) {
			t.Errorf("%d bytes came back of %d", len(got), len(sent))
		}
	})
}

func TestTrailersByEveryProtocol(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "body")
		_ = http.NewResponseController(w).Flush() // chunked: else there is no place for trailers
		w.Header().Set(http.TrailerPrefix+"X-Sum", r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "yes")
	}, nil, func(t *testing.T, w *way) {
		r := w.request("POST", "/", io.MultiReader(strings.NewReader("hello")))
		r.Trailer = http.Header{"X-Sum": {"12"}}
		p := w.do(r)
		if got := content(t, p); got != "body" {
			t.Errorf("body %q", got)
		}
		if p.Trailer.Get("X-Sum") != "12" || p.Trailer.Get("X-Unannounced") != "yes" {
			t.Errorf("trailer %v", p.Trailer)
		}
	})
}

func TestBrokenAnswerNeverLooksWhole(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, nil, func(t *testing.T, w *way) {
		for _, path := range []string{"/length", "/chunked"} {
			p, err := w.client.RoundTrip(w.request("GET", path, nil))
			if err != nil {
				if w.proto != "HTTP/3.0" { // whose reset may overtake what came before
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			b, err := io.ReadAll(p.Body)
			_ = p.Body.Close()
			if err == nil || string(b) != "part" && w.proto != "HTTP/3.0" {
				t.Errorf("%s: read %q, error %v", path, b, err)
			}
		}
	})
}

// TestStreamsAreFlushed sends an event, and the next one only when the client has
// read it: by its media type, and because the route says stream.
func TestStreamsAreFlushed(t *testing.T) {
	t.Parallel()
	for _, media := range []string{"text/event-stream", "application/json"} {
		for _, p := range protocols() {
			t.Run(p.name+" "+media, func(t *testing.T) {
				t.Parallel()
				events := make(chan string)
				w := p.start(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", media)
					_ = http.NewResponseController(w).Flush()
					for e := range events {
						_, _ = io.WriteString(w, e)
						_ = http.NewResponseController(w).Flush()
					}
				}, func(cfg *edge.Config) { cfg.Routes[0].Stream = media == "application/json" })
				t.Cleanup(func() { close(events) })
				in := bufio.NewReader(w.do(w.request("GET", "/", nil)).Body)
				for range 3 {
					events <- "data: x\n"
					if line, err := in.ReadString('\n'); err != nil || line != "data: x\n" {
						t.Fatalf("read %q, %v", line, err)
					}
				}
			})
		}
	}
}

func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for _, p := range protocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			came, gone := make(chan struct{}), make(chan struct{})
			w := p.start(t, func(_ http.ResponseWriter, r *http.Request) {
				close(came)
				<-r.Context().Done()
				close(gone)
			}, nil)
			ctx, leave := context.WithCancel(t.Context())
			go func() { <-came; leave() }()
			if resp, err := w.client.RoundTrip(w.request("GET", "/", nil).WithContext(ctx)); err == nil {
				_ = resp.Body.Close()
				t.Error("an answer came")
			}
			<-gone // the service's request was given up
			if x := w.Done(1)[0]; x.Status != 499 {
				t.Errorf("logged as %d %s", x.Status, x.Reason)
			}
		})
	}
}

func TestInterimByEveryProtocol(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "ok")
	}, nil, func(t *testing.T, w *way) {
		var hints atomic.Value
		r := w.request("GET", "/", nil)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints.Store(http.StatusText(code) + " " + h.Get("Link"))
				return nil
			},
		}))
		p := w.do(r)
		if got := content(t, p); got != "ok" || p.Header.Get("Link") != "" {
			t.Errorf("body %q, header %v", got, p.Header)
		}
		if got := hints.Load(); got != "Early Hints </style.css>; rel=preload" {
			t.Errorf("hints %v", got)
		}
	})
}

func TestBodyLimitByEveryProtocol(t *testing.T) {
	t.Parallel()
	for _, version := range []upstream.Version{upstream.HTTP1, upstream.HTTP2C} {
		t.Run("to "+string(version), func(t *testing.T) {
			t.Parallel()
			testBodyLimit(t, version)
		})
	}
}

func testBodyLimit(t *testing.T, version upstream.Version) {
	t.Helper()
	limit := message.Size(1000)
	eachProtocol(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "ok")
	}, func(cfg *edge.Config) {
		l := cfg.Listen["public"]
		l.Limits.Body = &limit
		cfg.Listen["public"] = l
		s := cfg.Services["service"]
		s.HTTP = version
		cfg.Services["service"] = s
	}, func(t *testing.T, w *way) {
		large := strings.Repeat("x", 5000)
		for name, body := range map[string]io.Reader{"announced": strings.NewReader(large), "streamed": io.MultiReader(strings.NewReader(large))} {
			p := w.do(w.request("POST", "/", body))
			if got := content(t, p); p.StatusCode != 413 || !strings.Contains(got, "body_too_large") {
				t.Errorf("%s: %d %s", name, p.StatusCode, got)
			}
		}
		if p := w.do(w.request("POST", "/", strings.NewReader("small"))); p.StatusCode != 200 {
			t.Errorf("status %d", p.StatusCode)
		}
	})
}

// TestEventsOutliveTheTimeout lets a stream of events go on when the time of its
// route is long over, from services of both versions.
func TestEventsOutliveTheTimeout(t *testing.T) {
	t.Parallel()
	short := 100 * time.Millisecond
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for i := range 6 {
			_, _ = io.WriteString(w, "data: x\n")
			_ = http.NewResponseController(w).Flush()
			if i < 5 {
				select { // a service takes its time
				case <-time.After(short / 2):
				case <-r.Context().Done():
				}
			}
		}
	}
	for _, p := range protocols() {
		for _, version := range []upstream.Version{upstream.HTTP1, upstream.HTTP2C} {
			t.Run(p.name+" to "+string(version), func(t *testing.T) {
				t.Parallel()
				w := p.start(t, h, func(cfg *edge.Config) {
					cfg.Routes[0].Timeout = &short
					s := cfg.Services["service"]
					s.HTTP = version
					cfg.Services["service"] = s
				})
				if got := content(t, w.do(w.request("GET", "/", nil))); got != strings.Repeat("data: x\n", 6) {
					t.Errorf("read %q", got)
				}
			})
		}
	}
}

func TestAltSvcWhileHTTP3IsServed(t *testing.T) {
	t.Parallel()
	for _, p := range protocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.listener.HTTP3 = p.listener.TLS != nil
			w := p.start(t, func(http.ResponseWriter, *http.Request) {}, nil)
			_, port, _ := net.SplitHostPort(w.Addr("public"))
			want := `h3=":` + port + `"; ma=86400`
			if p.listener.TLS == nil || p.proto == "HTTP/3.0" {
				want = ""
			}
			if got := w.do(w.request("GET", "/", nil)).Header.Get("Alt-Svc"); got != want {
				t.Errorf("Alt-Svc %q, want %q", got, want)
			}
			p.listener.HTTP3 = false
			cfg := w.Server.Runtime().Config
			cfg.Listen = map[string]edge.ListenerConfig{"public": p.listener}
			l := p.listener
			l.Address = w.Addr("public")
			if p.proto == "HTTP/3.0" {
				return
			}
			l.Address = "127.0.0.1:0"
			cfg.Listen["public"] = l
			w.Swap(cfg)
			if c, ok := w.client.(interface{ CloseIdleConnections() }); ok {
				c.CloseIdleConnections()
			}
			if got := w.do(w.request("GET", "/", nil)).Header.Get("Alt-Svc"); got != "" {
				t.Errorf("Alt-Svc %q without HTTP/3", got)
			}
		})
	}
}

// TestDrainLosesNothing lets requests come while the gateway drains: each that
// was accepted is answered, each that was not is told so and may go elsewhere.
func TestDrainLosesNothing(t *testing.T) {
	t.Parallel()
	for _, p := range protocols() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			came, answer := make(chan struct{}), make(chan struct{})
			w := p.start(t, func(w http.ResponseWriter, _ *http.Request) {
				close(came)
				<-answer
				_, _ = io.WriteString(w, "late")
			}, nil)
			drained := make(chan error, 1)
			go func() {
				<-came
				ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
				defer stop()
				go func() {
					time.AfterFunc(100*time.Millisecond, func() { close(answer) })
				}()
				drained <- w.Server.Drain(ctx)
			}()
			if got := content(t, w.do(w.request("GET", "/", nil))); got != "late" {
				t.Errorf("body %q", got)
			}
			if err := <-drained; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("drain: %v", err)
			}
		})
	}
}

// faulty is a filter whose answers have a body that panics.
type faulty struct{}

func (faulty) Filter(filter.Env) (filter.Filter, error) {
	return func(next filter.Func) filter.Func {
		return func(r *message.Request) (*message.Response, error) {
			p, err := next(r)
			if err == nil && r.Path == "/faulty" {
				p.Body, p.Length = panicBody{}, message.Unknown
			}
			return p, err
		}
	}, nil
}

type panicBody struct{}

func (panicBody) Read([]byte) (int, error) { panic("a bug in a filter's body") }
func (panicBody) Close() error             { return nil }

// TestPanicByEveryProtocol wants a bug to cost its exchange and nothing else.
func TestPanicByEveryProtocol(t *testing.T) {
	t.Parallel()
	eachProtocol(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, func(cfg *edge.Config) {
		cfg.Filters = []filter.Named{{Word: "faulty", Config: faulty{}}}
	}, func(t *testing.T, w *way) {
		if p, err := w.client.RoundTrip(w.request("GET", "/faulty", nil)); err == nil {
			if b, err := io.ReadAll(p.Body); err == nil {
				t.Errorf("%d %q", p.StatusCode, b)
			}
			_ = p.Body.Close()
		}
		if got := content(t, w.do(w.request("GET", "/good", nil))); got != "ok" {
			t.Errorf("then %q", got)
		}
	})
}
