package edge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
)

// The standard library's reverse proxy has 43 tests; each stands for something
// that went wrong once. Here is what each of them asks of a gateway, asked of ours
// with a net/http client before it and a net/http service behind it.
//
// Not asked, because they test how the library is programmed and not what it does:
//
//	TestReverseProxyGetPutBuffer         its interface for buffer pools; ours are inside, see http1's allocation tests
//	TestReverseProxy_AllocatedHeader     its Director must not see a nil map; our header is never nil
//	TestServeHTTPDeepCopy                its handler must not change the caller's request; a filter may, that is its task
//	TestClonesRequestHeaders             the same, for headers
//	TestSetURL, TestSingleJoinSlash, TestJoinURLPath
//	                                     joining a base path; a service's URL has none here, the filter prefix adds one
//	TestReverseProxyRewriteReplacesOut   its Rewrite may replace a request; a filter changes it in place
//	TestReverseProxyResponseControllerFlushInterval
//	                                     flushing through its ResponseController; TestReverseProxyFlushes is the behaviour
//	TestSelectFlushInterval              when to flush; ours always does, see TestReverseProxyFlushes

// behind starts a gateway in front of a handler and gives its address.
func behind(t *testing.T, h http.HandlerFunc, change func(*edge.Config)) *way {
	t.Helper()
	plain := protocol{name: "plain", proto: "HTTP/1.1", client: func(*testing.T) http.RoundTripper {
		return &http.Transport{DisableCompression: true}
	}}
	return plain.start(t, h, change)
}

// after is a filter that does something with a response.
type after struct {
	do func(r *message.Request, p *message.Response) (*message.Response, error)
}

func (a after) Filter(filter.Env) (filter.Filter, error) {
	return func(next filter.Func) filter.Func {
		return func(r *message.Request) (*message.Response, error) {
			p, err := next(r)
			if err != nil {
				return nil, err
			}
			return a.do(r, p)
		}
	}, nil
}

// TestReverseProxy: fields, cookies, trailers, status, and a service that hangs up.
func TestReverseProxyPlain(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangup" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
			return
		}
		if len(r.TransferEncoding) > 0 || r.Header.Get("X-Forwarded-For") == "" || r.Host != "some-name" {
			t.Errorf("request %v %v", r.Header, r.Host)
		}
		for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Te"} {
			if v := r.Header.Get(name); v != "" && !(name == "Te" && v == "trailers") && !(name == "Connection" && v == "TE") {
				t.Errorf("%s: %q got through", name, v)
			}
		}
		h := w.Header()
		h.Set("Trailer", "X-Trailer")
		h.Set("X-Foo", "bar")
		h.Set("Upgrade", "foo")
		h["X-Multi-Value"] = []string{"a", "b"}
		http.SetCookie(w, &http.Cookie{Name: "flavor", Value: "chocolateChip"})
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "I am the service")
		h.Set("X-Trailer", "trailer_value")
		h.Set(http.TrailerPrefix+"X-Unannounced-Trailer", "unannounced_trailer_value")
	}, nil)
	r := w.request("GET", "/", nil)
	r.Host = "some-name"
	r.Header.Set("Connection", "close, TE")
	r.Header.Set("Te", "foo, trailers")
	r.Header.Set("Proxy-Connection", "should be deleted")
	r.Header.Set("Upgrade", "foo")
	p := w.do(r)
	if body := content(t, p); p.StatusCode != 418 || body != "I am the service" {
		t.Errorf("%d %q", p.StatusCode, body)
	}
	if p.Header.Get("X-Foo") != "bar" || !slices.Equal(p.Header["X-Multi-Value"], []string{"a", "b"}) || p.Header.Get("Upgrade") != "" {
		t.Errorf("%v", p.Header)
	}
	if c := p.Cookies(); len(c) != 1 || c[0].Name != "flavor" {
		t.Errorf("cookies %v", c)
	}
	if p.Trailer.Get("X-Trailer") != "trailer_value" || p.Trailer.Get("X-Unannounced-Trailer") != "unannounced_trailer_value" {
		t.Errorf("trailers %v", p.Trailer)
	}
	if p := w.do(w.request("GET", "/hangup", nil)); p.StatusCode != 502 {
		t.Errorf("a service that hangs up gives %d", p.StatusCode)
	}
}

// TestReverseProxyStripHeadersPresentInConnection, TestReverseProxyStripEmptyConnection.
func TestReverseProxyStripsNominated(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Connection", "Keep-Alive", "X-Fake", "X-Some"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s got through", name)
			}
		}
		w.Header()["Connection"] = []string{"", "Upgrade, X-Fake", "X-Some"}
		for _, name := range []string{"Upgrade", "X-Fake", "X-Some", "X-Kept"} {
			w.Header().Set(name, "here")
		}
	}, nil)
	r := w.request("GET", "/", nil)
	r.Header["Connection"] = []string{"", "Upgrade, X-Fake", "X-Some"}
	for _, name := range []string{"Keep-Alive", "X-Fake", "X-Some"} {
		r.Header.Set(name, "should be deleted")
	}
	p := w.do(r)
	for _, name := range []string{"Connection", "Upgrade", "X-Fake", "X-Some"} {
		if v := p.Header.Get(name); v != "" {
			t.Errorf("%s: %q", name, v)
		}
	}
	if p.Header.Get("X-Kept") != "here" {
		t.Error("X-Kept is lost")
	}
}

// TestXForwardedFor, TestXForwardedFor_Omit, TestReverseProxyRewriteStripsForwarded.
func TestReverseProxyForwarded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, listener, want string
		trusted              []string
	}{
		{name: "a stranger's word is dropped", want: "127.0.0.1"},
		{name: "a trusted proxy's word is kept", trusted: []string{"127.0.0.0/8"}, want: "client.ip, 127.0.0.1"},
		{name: "the other form instead", listener: "rfc7239", want: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := behind(t, func(_ http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("X-Forwarded-For"); got != tt.want {
					t.Errorf("X-Forwarded-For %q, want %q", got, tt.want)
				}
				if strings.Contains(r.Header.Get("Forwarded"), "1.2.3.4") || (r.Header.Get("Forwarded") == "") != (tt.listener == "") {
					t.Errorf("Forwarded %q", r.Header.Get("Forwarded"))
				}
			}, func(cfg *edge.Config) {
				l := cfg.Listen["public"]
				l.Forwarded, l.TrustedProxies = tt.listener, tt.trusted
				cfg.Listen["public"] = l
			})
			r := w.request("GET", "/", nil)
			r.Header.Set("X-Forwarded-For", "client.ip")
			if tt.trusted == nil {
				r.Header.Set("Forwarded", "for=1.2.3.4")
			}
			w.do(r)
		})
	}
}

// TestReverseProxyQuery and the four TestReverseProxyQueryParameterSmuggling…: the
// query arrives byte for byte, whatever a parser would think of it.
func TestReverseProxyQueries(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) }, nil)
	for _, query := range []string{"", "?", "?q=a;b", "?a=1&a=2&b", "?a=%zz&b=3", "?a=%00", "?a=1&b=2;c=3", "?" + strings.Repeat("a=1&", 1500), "?a+b=%20%2B"} {
		r := w.request("GET", "/", nil)
		r.URL.RawQuery, r.URL.ForceQuery = strings.TrimPrefix(query, "?"), query == "?"
		if got := content(t, w.do(r)); got != "/"+query {
			t.Errorf("%q arrives as %q", query, got)
		}
	}
}

// TestReverseProxyFlushInterval, TestReverseProxyFlushIntervalHeaders.
func TestReverseProxyFlushes(t *testing.T) {
	t.Parallel()
	next := make(chan bool)
	w := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		flush := http.NewResponseController(w).Flush
		w.Header().Set("My-Header", "x")
		w.WriteHeader(200)
		_ = flush()
		<-next
		_, _ = io.WriteString(w, "hi")
		_ = flush()
		<-next
	}, nil)
	p := w.do(w.request("GET", "/", nil)) // the head comes before the body
	if p.Header.Get("My-Header") != "x" {
		t.Errorf("%v", p.Header)
	}
	next <- true
	buf := make([]byte, 2) // and its first bytes before its end
	if _, err := io.ReadFull(p.Body, buf); err != nil || string(buf) != "hi" {
		t.Errorf("%q %v", buf, err)
	}
	next <- true
}

// TestReverseProxyCancellation.
func TestReverseProxyCancels(t *testing.T) {
	t.Parallel()
	asked, cancelled := make(chan bool), make(chan bool)
	w := behind(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-r.Context().Done():
			close(cancelled)
		case <-time.After(10 * time.Second):
			t.Error("the service was not told")
		}
	}, nil)
	c := w.Dial("public")
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-asked
	_ = c.Close()
	<-cancelled
}

// TestNilBody, TestReverseProxy_NilBody: without a body there is neither a body
// nor a word of one, in both directions.
func TestReverseProxyWithoutBodies(t *testing.T) {
	t.Parallel()
	w := behind(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
			t.Errorf("a body of %d, %v", r.ContentLength, r.TransferEncoding)
		}
	}, nil)
	if p := w.do(w.request("GET", "/", nil)); p.ContentLength != 0 || content(t, p) != "" {
		t.Errorf("a body of %d", p.ContentLength)
	}
}

// TestUserAgentHeader.
func TestReverseProxyUserAgent(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q", r.Header["User-Agent"])
	}, nil)
	for agent, want := range map[string]string{"explicit UA": `["explicit UA"]`, "": "[]"} {
		r := w.request("GET", "/", nil)
		r.Header.Set("User-Agent", agent)
		if got := content(t, w.do(r)); got != want {
			t.Errorf("%q arrives as %s", agent, got)
		}
	}
}

// TestReverseProxy_Post.
func TestReverseProxyPosts(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("a"), 1<<20)
	w := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		_, _ = io.WriteString(w, "thanks")
	}, nil)
	if got := content(t, w.do(w.request("POST", "/", bytes.NewReader(want)))); got != "thanks" {
		t.Errorf("%q", got)
	}
}

// TestReverseProxyModifyResponse, TestReverseProxyErrorHandler,
// TestModifyResponseClosesBody: a filter changes or refuses a response; what it
// refuses is given back all the same.
func TestReverseProxyResponseFilter(t *testing.T) {
	t.Parallel()
	filters := func(do func(r *message.Request, p *message.Response) (*message.Response, error)) func(*edge.Config) {
		return func(cfg *edge.Config) { cfg.Filters = []filter.Named{{Word: "after", Config: after{do}}} }
	}
	service := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Hit-Mod", "true")
		_, _ = io.WriteString(w, "body")
	}
	w := behind(t, service, filters(func(_ *message.Request, p *message.Response) (*message.Response, error) {
		p.Header.Del("X-Hit-Mod")
		return p, p.Header.Set("X-Changed", "yes")
	}))
	if p := w.do(w.request("GET", "/", nil)); p.Header.Get("X-Hit-Mod") != "" || p.Header.Get("X-Changed") != "yes" || content(t, p) != "body" {
		t.Errorf("%v", p.Header)
	}
	w = behind(t, service, filters(func(_ *message.Request, p *message.Response) (*message.Response, error) {
		p.Release()
		return nil, errors.New("not this one")
	}))
	for range 3 {
		if p := w.do(w.request("GET", "/", nil)); p.StatusCode != 500 || strings.Contains(content(t, p), "not this one") {
			t.Errorf("%d", p.StatusCode)
		}
	}
	w.Done(3)
}

// TestReverseProxy_CopyBuffer, TestReverseProxy_PanicBodyError,
// TestReverseProxy_PanicClosesIncomingBody: a response shorter than it said is
// an error for the client and never a panic, also while an upload is on its way.
func TestReverseProxyShortResponses(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200")
		_, _ = io.WriteString(w, "short")
	}, nil)
	if b, err := io.ReadAll(w.do(w.request("GET", "/", nil)).Body); err == nil {
		t.Errorf("%q looks whole", b)
	}
	for range 10 {
		r := w.request("POST", "/", io.LimitReader(endless{}, 6<<20))
		r.ContentLength = 6 << 20
		p, err := w.client.RoundTrip(r)
		if err != nil {
			continue // the answer may be lost in the upload
		}
		if _, err := io.ReadAll(p.Body); err == nil {
			t.Error("it looks whole")
		}
		_ = p.Body.Close()
	}
	if strings.Contains(w.Log(), "panic") {
		t.Error(w.Log())
	}
	if got := w.Done(1)[0]; got.Err == nil {
		t.Errorf("nothing was reported: %+v", got)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// upgraded is a service that switches to a protocol and then does as told.
func upgraded(do func(c net.Conn, in *bufio.ReadWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = fmt.Fprintf(in, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_ = in.Flush()
		do(c, in)
	}
}

// tunnel asks for an upgrade and gives the connection behind the 101.
func tunnel(t *testing.T, w *way) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := w.Dial("public")
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	head, err := textproto.NewReader(in).ReadLine()
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Fatalf("%q %v", head, err)
	}
	h, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil || h.Get("Upgrade") != "websocket" {
		t.Fatalf("%v %v", h, err)
	}
	return c, in
}

// TestReverseProxyWebSocket.
func TestReverseProxyTunnels(t *testing.T) {
	t.Parallel()
	w := behind(t, upgraded(func(_ net.Conn, in *bufio.ReadWriter) {
		line, _ := in.ReadString('\n')
		_, _ = fmt.Fprintf(in, "got %q\n", line)
		_ = in.Flush()
	}), nil)
	c, in := tunnel(t, w)
	_, _ = io.WriteString(c, "Hello\n")
	if line, err := in.ReadString('\n'); line != "got \"Hello\\n\"\n" {
		t.Errorf("%q %v", line, err)
	}
}

// TestReverseProxyWebSocketCancellation, TestReverseProxyUpgradeNoCloseWrite: a
// client that leaves takes the service's side with it.
func TestReverseProxyTunnelEnds(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		over := make(chan bool)
		w := behind(t, upgraded(func(_ net.Conn, in *bufio.ReadWriter) {
			_, _ = io.Copy(io.Discard, in)
			close(over)
		}), nil)
		c, _ := tunnel(t, w)
		if broken {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
		select {
		case <-over:
		case <-time.After(10 * time.Second):
			t.Errorf("broken %v: the service waits on", broken)
		}
	}
}

// TestReverseProxyWebSocketHalfTCP.
func TestReverseProxyTunnelHalves(t *testing.T) {
	t.Parallel()
	t.Run("the client's half", func(t *testing.T) {
		t.Parallel()
		w := behind(t, upgraded(func(_ net.Conn, in *bufio.ReadWriter) {
			b, _ := io.ReadAll(in)
			_, _ = fmt.Fprintf(in, "%d bytes", len(b))
			_ = in.Flush()
		}), nil)
		c, in := tunnel(t, w)
		_, _ = io.WriteString(c, "hello")
		_ = c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(in); string(b) != "5 bytes" || err != nil {
			t.Errorf("%q %v", b, err)
		}
	})
	t.Run("the service's half", func(t *testing.T) {
		t.Parallel()
		got := make(chan string)
		w := behind(t, upgraded(func(c net.Conn, in *bufio.ReadWriter) {
			_, _ = io.WriteString(c, "all")
			_ = c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(in)
			got <- string(b)
		}), nil)
		c, in := tunnel(t, w)
		if b, err := io.ReadAll(in); string(b) != "all" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		_, _ = io.WriteString(c, "and more")
		_ = c.(*net.TCPConn).CloseWrite()
		if b := <-got; b != "and more" {
			t.Errorf("%q", b)
		}
	})
}

// TestReverseProxyHijackCopyError: a tunnel whose service breaks off at once
// ends, and no second answer is tried on the connection.
func TestReverseProxyTunnelBreaks(t *testing.T) {
	t.Parallel()
	w := behind(t, upgraded(func(c net.Conn, _ *bufio.ReadWriter) { _ = c.(*net.TCPConn).SetLinger(0) }), nil)
	_, in := tunnel(t, w)
	if b, _ := io.ReadAll(in); len(b) > 0 {
		t.Errorf("%q", b)
	}
}

// TestUnannouncedTrailer, without a body before it.
func TestReverseProxyLateTrailer(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Late", "value")
	}, nil)
	p := w.do(w.request("GET", "/", nil))
	if content(t, p); p.Trailer.Get("X-Late") != "value" {
		t.Errorf("%v", p.Trailer)
	}
}

// Test1xxResponses, Test1xxHeadersNotModifiedAfterRoundTrip: 1xx in order, each
// with its own fields, which are not those of the answer.
func TestReverseProxyInterims(t *testing.T) {
	t.Parallel()
	w := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Add("Link", "</style.css>; rel=preload; as=style")
		w.WriteHeader(103)
		h.Add("Link", "</foo.js>; rel=preload; as=script")
		w.WriteHeader(103)
		h.Del("Link")
		w.WriteHeader(102)
		_, _ = io.WriteString(w, "Hello")
	}, nil)
	c := w.Dial("public")
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitAfter(string(b), "\r\n\r\n")
	for i, want := range []struct {
		status string
		links  int
	}{{"103", 1}, {"103", 2}, {"102", 0}, {"200", 0}} {
		if !strings.HasPrefix(parts[i], "HTTP/1.1 "+want.status+" ") || strings.Count(parts[i], "Link: ") != want.links {
			t.Errorf("part %d: %q", i, parts[i])
		}
	}
	if last := parts[len(parts)-1]; last != "Hello" {
		t.Errorf("body %q", last)
	}
}

// TestReverseProxyInvalidUpstream100ContinueDoNotHang: a client that waits for
// 100 before a dead service gets its answer at once.
func TestReverseProxyExpectBeforeDeadService(t *testing.T) {
	t.Parallel()
	cfg := edgetest.Config(t, deadAddress(t), edge.ListenerConfig{Address: "127.0.0.1:0"})
	g := edgetest.Start(t, cfg)
	c := g.Dial("public")
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\nExpect: 100-continue\r\n\r\n")
	a, err := edgetest.Read(c, false)
	if err != nil || a.Status != 502 {
		t.Errorf("%+v %v", a, err)
	}
}
