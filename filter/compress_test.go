package filter

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// build makes a filter in front of next.
func build(t testing.TB, c Config, next Func) Func {
	t.Helper()
	f, err := c.Filter(Bare())
	if err != nil {
		t.Fatal(err)
	}
	return f(next)
}

// ask makes a request; fields are "Name: value".
func ask(method, path string, fields ...string) *message.Request {
	r := message.NewRequest()
	r.Method, r.Scheme, r.Authority, r.Host, r.Proto = method, "http", "example.com", "example.com", message.HTTP11
	r.Path, r.Query, r.HasQuery = strings.Cut(path, "?")
	r.RawPath = r.Path
	putFields(&r.Header, fields)
	return r
}

func putFields(h *message.Header, fields []string) {
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if err := h.Add(name, value); err != nil {
			panic(err)
		}
	}
}

// answer makes a response with a body that is read in small trickle.
func answer(status int, body string, fields ...string) *message.Response {
	r := message.NewResponse(status)
	putFields(&r.Header, fields)
	if body != "" {
		r.Body, r.Length = &trickle{data: []byte(body), size: 700}, int64(len(body))
	}
	return r
}

// trickle is a body that gives size bytes a read, then fails with end.
type trickle struct {
	data   []byte
	size   int
	end    error
	closed int
}

func (p *trickle) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		if p.end != nil {
			return 0, p.end
		}
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(p.size, len(p.data))])
	p.data = p.data[n:]
	return n, nil
}

func (p *trickle) Close() error { p.closed++; return nil }

// readBody reads a body to its end.
func readBody(t testing.TB, b message.Body) string {
	t.Helper()
	all, err := message.ReadAll(nil, b, 1<<30)
	if err != nil {
		t.Fatalf("reading the body: %v", err)
	}
	return string(all)
}

func decoded(t testing.TB, coding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	switch coding {
	case "gzip":
		g, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = g
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("decoding %s: %v", coding, err)
	}
	return string(all)
}

func encoded(t testing.TB, coding, body string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressNegotiation(t *testing.T) {
	text := strings.Repeat("all work and no play ", 200)
	for _, c := range []struct{ accept, want string }{
		{"gzip, deflate, br, zstd", "zstd"}, // equal weights: our order
		{"gzip;q=1, br;q=0.9, zstd;q=0.8", "gzip"},
		{"br;q=0.5, gzip;q=0.5", "br"},
		{"GZIP", "gzip"},
		{"x-gzip", "gzip"},
		{"*", "zstd"},
		{"*;q=0.5, zstd;q=0", "br"},
		{"gzip;q=0", ""},
		{"gzip;q=0.5, identity;q=1", ""},
		{"gzip;q=0.5, identity;q=0.5", "gzip"},
		{"gzip;q=2", ""}, // no weight
		{"gzip;q=0.1234", ""},
		{"gzip; level=3", ""},
		{"deflate", ""},
		{"", ""},
		{"-", ""}, // no field
	} {
		t.Run(c.accept, func(t *testing.T) { negotiated(t, text, c.accept, c.want) })
	}
}

// negotiated sends one Accept-Encoding ("-" is none) and looks at the answer.
func negotiated(t *testing.T, text, accept, want string) {
	t.Helper()
	f := build(t, &Compress{}, func(*message.Request) (*message.Response, error) {
		return answer(200, text, "Content-Type: text/plain; charset=utf-8", `ETag: "abc"`, "Accept-Ranges: bytes", "Content-Digest: x=:y:"), nil
	})
	req := ask("GET", "/")
	if accept != "-" {
		req.Header.AppendID(message.AcceptEncoding, accept)
	}
	resp, err := f(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Release()
	if got := resp.Header.Get("Vary"); got != "Accept-Encoding" {
		t.Errorf("Vary %q: every eligible response has it", got)
	}
	if got := resp.Header.Get("Content-Encoding"); got != want {
		t.Fatalf("coding %q, want %q", got, want)
	}
	tag, ranges, digest := `"abc"`, "bytes", "x=:y:"
	if want != "" {
		tag, ranges, digest = `"abc--`+want+`"`, "", ""
	}
	if got := resp.Header.Get("ETag"); got != tag {
		t.Errorf("ETag %s, want %s", got, tag)
	}
	if resp.Header.Get("Accept-Ranges") != ranges || resp.Header.Get("Content-Digest") != digest {
		t.Error("Accept-Ranges or Content-Digest is about other bytes")
	}
	length := resp.Length
	body := readBody(t, resp.Body)
	if length != int64(len(body)) {
		t.Errorf("length %d of %d bytes: a small body has a known size", length, len(body))
	}
	if decoded(t, want, body) != text {
		t.Error("the body changed")
	}
}

func TestCompressRefusesNothingAcceptable(t *testing.T) {
	for accept, status := range map[string]int{
		"identity;q=0": 406, "*;q=0": 406, "gzip;q=0, identity;q=0": 406,
		"identity;q=0, deflate": 200, "*;q=0, gzip": 200,
	} {
		f := build(t, &Compress{}, func(*message.Request) (*message.Response, error) {
			return answer(200, "short", "Content-Type: image/png"), nil
		})
		resp, err := f(ask("GET", "/", "Accept-Encoding: "+accept))
		if err != nil {
			if p := problem.Of(err); p.Status != status {
				t.Errorf("%s: %v, want %d", accept, p, status)
			}
			continue
		}
		if status != 200 {
			t.Errorf("%s: passed, want %d", accept, status)
		}
		// Unencoded bytes are refused, so that even a small picture is encoded.
		if accept == "*;q=0, gzip" && resp.Header.Get("Content-Encoding") != "gzip" {
			t.Error("identity is refused and gzip taken, yet the body is not gzip")
		}
		resp.Release()
	}
}

func TestCompressLeavesAlone(t *testing.T) {
	big := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name   string
		resp   func() *message.Response
		method string
		vary   string
	}{
		{"206", func() *message.Response { return answer(206, big, "Content-Type: text/plain") }, "GET", ""},
		{"204", func() *message.Response { return answer(204, "", "Content-Type: text/plain") }, "GET", ""},
		{"empty", func() *message.Response { return answer(200, "", "Content-Type: text/plain") }, "GET", ""},
		{"encoded", func() *message.Response { return answer(200, big, "Content-Type: text/plain", "Content-Encoding: br") }, "GET", ""},
		{"no-transform", func() *message.Response {
			return answer(200, big, "Content-Type: text/plain", "Cache-Control: public, no-transform")
		}, "GET", ""},
		{"events", func() *message.Response { return answer(200, big, "Content-Type: text/event-stream") }, "GET", ""},
		{"stream", func() *message.Response {
			r := answer(200, big, "Content-Type: application/x-ndjson")
			r.Stream, r.Length = true, message.Unknown
			return r
		}, "GET", ""},
		{"type", func() *message.Response { return answer(200, big, "Content-Type: image/png") }, "GET", ""},
		{"no type", func() *message.Response { return answer(200, big) }, "GET", ""},
		{"small", func() *message.Response { return answer(200, big[:1023], "Content-Type: text/plain") }, "GET", ""},
		{"random", func() *message.Response {
			return answer(200, "\x01\x99\xf0"+encoded(t, "zstd", random(4000)), "Content-Type: text/plain")
		}, "GET", "Accept-Encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := build(t, &Compress{}, func(*message.Request) (*message.Response, error) { return c.resp(), nil })(
				ask(c.method, "/", "Accept-Encoding: gzip, zstd, br"))
			if err != nil {
				t.Fatal(err)
			}
			want := c.resp()
			if resp.Header.Get("Content-Encoding") != want.Header.Get("Content-Encoding") || resp.Length != want.Length {
				t.Errorf("coding %q length %d", resp.Header.Get("Content-Encoding"), resp.Length)
			}
			if got := resp.Header.Get("Vary"); got != c.vary {
				t.Errorf("Vary %q, want %q", got, c.vary)
			}
			if readBody(t, resp.Body) != readBody(t, want.Body) {
				t.Error("the body changed")
			}
			resp.Release()
		})
	}
}

// random gives n bytes that don't compress, the same each time.
func random(n int) string {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 32)
	}
	return string(b)
}

func TestCompressTags(t *testing.T) {
	f := build(t, &Compress{}, func(r *message.Request) (*message.Response, error) {
		if got := r.Header.Get("If-None-Match"); got != `W/"x", "abc" ,"d--e", ""` {
			t.Errorf("the service sees If-None-Match %s", got)
		}
		if got := r.Header.Get("If-Match"); got != `"abc"` {
			t.Errorf("the service sees If-Match %s", got)
		}
		if got := r.Header.Get("If-Range"); got != `"abc--zstd"` {
			t.Errorf("If-Range is %s: with a cut suffix it would join parts of different bodies", got)
		}
		return answer(304, "", `ETag: "abc"`), nil
	})
	resp, err := f(ask("GET", "/", `If-None-Match: W/"x", "abc--zstd" ,"d--e", "--gzip"`, `If-Match: "abc--br"`, `If-Range: "abc--zstd"`, "Accept-Encoding: zstd"))
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("ETag"); got != `"abc--zstd"` || resp.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("304 with ETag %s, Vary %q", got, resp.Header.Get("Vary"))
	}
	resp.Release()
}

func TestCompressStreamsAndHead(t *testing.T) {
	big := strings.Repeat("0123456789 maru ", 20000)
	for _, c := range []string{"zstd", "br", "gzip"} {
		src := &trickle{data: []byte(big), size: 3000}
		resp, err := build(t, &Compress{}, func(*message.Request) (*message.Response, error) {
			r := answer(200, "", "Content-Type: application/json")
			r.Body, r.Length = src, int64(len(big))
			return r, nil
		})(ask("GET", "/", "Accept-Encoding: "+c))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Length != message.Unknown {
			t.Errorf("%s: length %d: the encoded size is not known before", c, resp.Length)
		}
		if decoded(t, c, readBody(t, resp.Body)) != big {
			t.Errorf("%s: the body changed", c)
		}
		resp.Release()
		if src.closed == 0 {
			t.Errorf("%s: the source was not closed", c)
		}
	}
	head, err := build(t, &Compress{}, func(*message.Request) (*message.Response, error) {
		r := answer(200, "", "Content-Type: text/plain", `ETag: "a"`)
		r.Length = 5000
		return r, nil
	})(ask("HEAD", "/", "Accept-Encoding: br"))
	if err != nil {
		t.Fatal(err)
	}
	if head.Header.Get("Content-Encoding") != "br" || head.Header.Get("ETag") != `"a--br"` || head.Length != message.Unknown {
		t.Errorf("HEAD: %v length %d", head.Header.Fields(), head.Length)
	}
	head.Release()
}

// TestCompressFlush: with streams each read of the service reaches the client.
func TestCompressFlush(t *testing.T) {
	for _, c := range []string{"zstd", "br", "gzip"} {
		pr, pw := io.Pipe()
		resp, err := build(t, &Compress{Streams: true}, func(*message.Request) (*message.Response, error) {
			r := answer(200, "", "Content-Type: application/x-ndjson")
			r.Body, r.Length, r.Stream = pr, message.Unknown, true
			return r, nil
		})(ask("GET", "/", "Accept-Encoding: "+c))
		if err != nil {
			t.Fatal(err)
		}
		dr, dw := io.Pipe()
		go func() {
			_, err := io.Copy(dw, struct{ io.Reader }{resp.Body})
			_ = dw.CloseWithError(err)
		}()
		var r io.Reader
		go func() { _, _ = pw.Write([]byte("one\n")) }()
		switch c {
		case "zstd":
			z, err := zstd.NewReader(dr, zstd.WithDecoderConcurrency(1))
			if err != nil {
				t.Fatal(err)
			}
			r = z
		case "br":
			r = brotli.NewReader(dr)
		case "gzip":
			g, err := gzip.NewReader(dr)
			if err != nil {
				t.Fatal(err)
			}
			r = g
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "one\n" { // blocks for ever without the flush
			t.Errorf("%s: %q %v", c, got, err)
		}
		_ = pw.Close()
		if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
			t.Errorf("%s: rest %q %v", c, rest, err)
		}
	}
}

// TestCompressCut: a body that was cut short must not get a proper end.
func TestCompressCut(t *testing.T) {
	for _, length := range []int64{message.Unknown, 4000} {
		resp, err := build(t, &Compress{}, func(*message.Request) (*message.Response, error) {
			r := answer(200, "", "Content-Type: text/plain")
			r.Body, r.Length = &trickle{data: make([]byte, 3000), size: 500, end: message.ErrAborted}, length
			return r, nil
		})(ask("GET", "/", "Accept-Encoding: gzip"))
		if length != message.Unknown {
			if p := problem.Of(err); err == nil || p.Status != 502 {
				t.Errorf("known length: %v, want 502", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := message.ReadAll(nil, resp.Body, 1<<20); !errors.Is(err, message.ErrAborted) {
			t.Errorf("got %v, want the abort", err)
		}
		resp.Release()
	}
}

func TestCompressConfig(t *testing.T) {
	_, err := (&Compress{Codings: []string{"gzip", "lzma", "gzip"}, Types: []string{"text"}, ZstdLevel: 23, BrLevel: -1, GzipLevel: 10}).Filter(Bare())
	for _, want := range []string{"codings[1]", "codings[2]", "types[0]", "zstd-level", "br-level", "gzip-level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no finding for %s in %v", want, err)
		}
	}
	c := new(Compress)
	if err := c.UnmarshalList([]string{"gzip"}); err != nil || !slices.Equal(c.Codings, []string{"gzip"}) {
		t.Errorf("%v %v", c, err)
	}
}

func TestCompressPlainAllocs(t *testing.T) {
	resp := answer(200, "", "Content-Type: image/png")
	resp.Length = 9000
	f := build(t, &Compress{}, func(*message.Request) (*message.Response, error) { return resp, nil })
	req := ask("GET", "/", "Accept-Encoding: gzip, deflate, br, zstd", `If-None-Match: "a"`)
	if n := testing.AllocsPerRun(100, func() { _, _ = f(req) }); n != 0 {
		t.Errorf("%v allocations for a response that passes", n)
	}
}

func FuzzCompressRoundTrip(f *testing.F) {
	for i, s := range []string{"", "a", strings.Repeat("abc", 1000), random(7000), strings.Repeat("\x00", 9000)} {
		f.Add(s, uint8(i), uint16(1+i*977))
	}
	names := []string{"zstd", "br", "gzip"}
	var inner Func
	comp, err := (&Compress{}).Filter(Bare())
	if err != nil {
		f.Fatal(err)
	}
	ratio := 1 << 20
	deco, err := (&Decompress{Response: true, Ratio: ratio}).Filter(Bare())
	if err != nil {
		f.Fatal(err)
	}
	both := deco(comp(func(r *message.Request) (*message.Response, error) { return inner(r) }))
	f.Fuzz(func(t *testing.T, body string, pick uint8, size uint16) {
		inner = func(*message.Request) (*message.Response, error) {
			r := answer(200, body, "Content-Type: text/plain")
			if p, ok := r.Body.(*trickle); ok {
				p.size = int(size) + 1
			}
			if pick >= 128 {
				r.Length = message.Unknown
			}
			return r, nil
		}
		resp, err := both(ask("GET", "/", "Accept-Encoding: identity;q=0, "+names[int(pick)%3]))
		if err != nil {
			t.Fatal(err)
		}
		if got := readBody(t, resp.Body); got != body {
			t.Fatalf("%d bytes became %d", len(body), len(got))
		}
		resp.Release()
	})
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", "*;q=0", "identity;q=0,zstd;q=1.000", ";q=,", "x-gzip;Q=0.001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var h message.Header
		if h.Add("Accept-Encoding", s) != nil {
			return
		}
		a := readAccept(&h)
		c := a.choose([]coding{codingZstd, codingBr, codingGzip})
		if c != codingIdentity && a.q[c] <= 0 {
			t.Fatalf("chose %s, which %q refuses", codingNames[c], s)
		}
		for _, q := range a.q {
			if q < -1 || q > 1000 {
				t.Fatalf("weight %d from %q", q, s)
			}
		}
	})
}
