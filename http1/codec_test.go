package http1

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

// verdict is what a parser says of some bytes.
type verdict struct {
	ok     bool
	reason string
	status int
	size   int
}

func judge(ok bool, size int, err error) verdict {
	if ref, ok := errors.AsType[*Refusal](err); ok {
		return verdict{reason: ref.Reason, status: ref.Status}
	}
	return verdict{ok: ok, size: size}
}

// exact copies in to memory without room behind it, so that a read past the end
// is a panic.
func exact(in string) []byte { return slices.Clip([]byte(in)) }

func limitsOf(l *Limits) *Limits {
	var v Limits
	if l != nil {
		v = *l
	}
	v = v.WithDefaults()
	return &v
}

func newRequest(scheme string) *message.Request {
	r := message.NewRequest()
	if r.Scheme = scheme; scheme == "" {
		r.Scheme = "http"
	}
	return r
}

// bytewise feeds in to parse byte by byte, a new copy each time; the inside of
// very long lines in larger steps.
func bytewise(in string, parse func([]byte) verdict) verdict {
	for n := 1; n <= len(in); n++ {
		if n > 1024 && n < len(in)-512 && n%1024 > 16 && !strings.Contains(in[n-4:n], "\n") {
			continue
		}
		if v := parse(exact(in[:n])); v.ok || v.reason != "" {
			return v
		}
	}
	return verdict{}
}

func runRequests(t *testing.T, rows []requestRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			lim := limitsOf(row.lim)
			r := newRequest(row.scheme)
			h, ok, err := parseRequest(exact(row.in), r, lim)
			got := judge(ok, h.size, err)
			want := verdict{ok: row.reason == "", reason: row.reason, status: row.status}
			if want.ok {
				want.size = len(row.in)
				if h.preface {
					want.size = 0
				}
			} else if want.status == 0 {
				want.status = 400
			}
			if got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			if row.check != nil && ok {
				row.check(t, r, h)
			}
			slow := bytewise(row.in, func(b []byte) verdict {
				h, ok, err := parseRequest(b, newRequest(row.scheme), lim)
				return judge(ok, h.size, err)
			})
			if slow != got {
				t.Errorf("byte by byte %+v, whole %+v", slow, got)
			}
		})
	}
}

func TestRequestLine(t *testing.T)      { t.Parallel(); runRequests(t, requestLineRows()) }
func TestTarget(t *testing.T)           { t.Parallel(); runRequests(t, targetRows()) }
func TestFieldLines(t *testing.T)       { t.Parallel(); runRequests(t, fieldRows()) }
func TestHost(t *testing.T)             { t.Parallel(); runRequests(t, hostRows()) }
func TestBodyLength(t *testing.T)       { t.Parallel(); runRequests(t, lengthRows()) }
func TestLimits(t *testing.T)           { t.Parallel(); runRequests(t, limitRows()) }
func TestConnectionFields(t *testing.T) { t.Parallel(); runRequests(t, connectionRows()) }

func TestKnownMethodsAreConstants(t *testing.T) {
	t.Parallel()
	buf := exact(get("GET / HTTP/1.1"))
	r := newRequest("")
	if _, ok, err := parseRequest(buf, r, limitsOf(nil)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	clear(buf)
	if r.Method != "GET" {
		t.Errorf("method is a view: %q", r.Method)
	}
}

func runResponses(t *testing.T, rows []responseRow) {
	t.Helper()
	lim := ResponseLimits{}.WithDefaults()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.method == "" {
				row.method = "GET"
			}
			p := message.NewResponse(0)
			h, ok, err := parseResponse(exact(row.in), p, row.method, &lim)
			got := judge(ok, h.size, err)
			want := verdict{ok: true, size: len(row.in)}
			if row.reason != "" {
				want = verdict{reason: row.reason, status: 502}
			}
			if got != want {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			if ok && (h.framing != row.framing || p.Length != row.length || h.close != row.close) {
				t.Errorf("framing %d length %d close %v, want %d %d %v", h.framing, p.Length, h.close, row.framing, row.length, row.close)
			}
			if ok && row.check != nil {
				row.check(t, p, h)
			}
			slow := bytewise(row.in, func(b []byte) verdict {
				h, ok, err := parseResponse(b, message.NewResponse(0), row.method, &lim)
				return judge(ok, h.size, err)
			})
			if slow != got {
				t.Errorf("byte by byte %+v, whole %+v", slow, got)
			}
		})
	}
}

func TestStatusLine(t *testing.T)     { t.Parallel(); runResponses(t, statusRows()) }
func TestResponseLength(t *testing.T) { t.Parallel(); runResponses(t, responseLengthRows()) }
func TestResponseFields(t *testing.T) { t.Parallel(); runResponses(t, responseFieldRows()) }

// decoded is what a chunkDecoder made of some bytes.
type decoded struct {
	payload, trailer, rest string
	reason                 string
	status, dropped        int
	done                   bool
}

// decode feeds in to d in pieces of the given sizes, in turn; 0 is all the rest.
func decode(t *testing.T, d *chunkDecoder, trailer *message.Header, in string, sizes ...int) (out decoded) {
	t.Helper()
	var payload strings.Builder
	var pending []byte
	for i := 0; !d.done && out.reason == ""; i++ {
		n := len(in)
		if len(sizes) > 0 && sizes[i%len(sizes)] > 0 {
			n = min(n, sizes[i%len(sizes)])
		}
		if n == 0 {
			break
		}
		pending, in = slices.Clip(append(pending, in[:n]...)), in[n:]
		for len(pending) > 0 && !d.done {
			skip, data, err := d.next(pending)
			if err != nil {
				v := judge(false, 0, err)
				out.reason, out.status = v.reason, v.status
				break
			}
			if skip+data > len(pending) || skip+data == 0 && !d.done {
				t.Fatalf("skip %d data %d of %d", skip, data, len(pending))
			}
			payload.Write(pending[skip : skip+data])
			pending = pending[skip+data:]
		}
		if len(d.partial) > d.lim.trailerBytes {
			t.Fatalf("kept %d bytes of trailers", len(d.partial))
		}
	}
	out.payload, out.done, out.dropped = payload.String(), d.done, d.dropped
	if d.done {
		out.rest = string(pending) + in
	}
	clear(pending[:cap(pending)])
	var lines []string
	for _, f := range trailer.Fields() {
		lines = append(lines, f.Name+": "+f.Value)
	}
	out.trailer = strings.Join(lines, "|")
	return out
}

func newDecoder(row *chunkRow) (*chunkDecoder, *message.Header) {
	trailer := new(message.Header)
	d := new(chunkDecoder)
	lim := limitsOf(nil).chunk()
	if row.response {
		rl := ResponseLimits{}.WithDefaults()
		lim = rl.chunk()
	}
	d.reset(lim, trailer)
	if row.head != "" {
		var head message.Header
		head.AppendID(message.Connection, row.head)
		d.nominate(&head)
	}
	return d, trailer
}

func runChunks(t *testing.T, rows []chunkRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want := decoded{payload: row.payload, trailer: row.trailer, rest: row.rest, dropped: row.dropped, done: true}
			d, trailer := newDecoder(&row)
			got := decode(t, d, trailer, row.in)
			switch {
			case row.reason == "unfinished":
				if got.done || got.reason != "" {
					t.Errorf("got %+v", got)
				}
			case row.reason != "":
				status := 400
				if row.response {
					status = 502
				}
				if got.reason != row.reason || got.status != status || got.done {
					t.Errorf("got %+v, want %s", got, row.reason)
				}
			case got != want:
				t.Errorf("got %+v, want %+v", got, want)
			}
			for _, sizes := range [][]int{{1}, {2}, {3, 1}, {7, 2, 5}} {
				d, trailer := newDecoder(&row)
				slow := decode(t, d, trailer, row.in, sizes...)
				if slow != got {
					t.Errorf("split %v: %+v, whole %+v", sizes, slow, got)
				}
			}
		})
	}
}

func TestChunked(t *testing.T) { t.Parallel(); runChunks(t, chunkRows()) }
func TestTrailer(t *testing.T) { t.Parallel(); runChunks(t, trailerRows()) }

func TestChunkedWriting(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1: "1\r\n", 15: "f\r\n", 16: "10\r\n", 0xabc: "abc\r\n", 32768: "8000\r\n", 1<<31 - 1: "7fffffff\r\n"} {
		if got := string(appendChunkHead(nil, n)); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	var tr message.Header
	tr.AppendID(message.GrpcStatus, "0")
	tr.AppendID(message.ContentLength, "5")
	if got, want := string(appendLastChunk([]byte("x"), &tr)), "x0\r\ngrpc-status: 0\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := string(appendChunkEnd(nil)); got != "\r\n" {
		t.Errorf("%q", got)
	}
}

// stripped parses a request and strips it; it gives the field lines that are left.
func stripped(t *testing.T, in string) (string, *message.Request, error) {
	t.Helper()
	r := newRequest("")
	if _, ok, err := parseRequest(exact(in), r, limitsOf(nil)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	err := StripRequest(r)
	return lines(&r.Header), r, err
}

func lines(h *message.Header) string {
	var out []string
	for _, f := range h.Fields() {
		out = append(out, f.Name+": "+f.Value)
	}
	return strings.Join(out, "|")
}

func TestForwardRequest(t *testing.T) {
	t.Parallel()
	many := strings.TrimSuffix(strings.Repeat("a,", 17), ",")
	for _, row := range []struct{ name, lines, want, reason string }{
		{name: "nothing to remove", lines: "A: b\r\nc: d\r\n", want: "A: b|c: d"},
		{name: "hop-by-hop", lines: "A: b\r\nConnection: close\r\nProxy-Connection: x\r\nKeep-Alive: x\r\nUpgrade: x\r\nHTTP2-Settings: x\r\n" +
			"Proxy-Authenticate: x\r\nProxy-Authorization: x\r\nProxy-Authentication-Info: x\r\nTE: gzip\r\nZ: y\r\n", want: "A: b|Z: y"},
		{name: "TE trailers", lines: "TE: gzip;q=0.5, Trailers\r\nConnection: TE\r\nA: b\r\n", want: "A: b|TE: trailers"},
		{name: "nominated, any case, all lines", lines: "X-A: 1\r\nConnection: keep-alive, x-a\r\nx-B: 2\r\nConnection: ,X-b ,\r\nC: 3\r\n", want: "C: 3"},
		{name: "nominated known name", lines: "Accept: x\r\nConnection: accept\r\n", want: ""},
		{name: "16 tokens", lines: "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p\r\nP: 1\r\nQ: 2\r\n", want: "Q: 2"},
		{name: "17 tokens", lines: "Connection: " + many + "\r\n", reason: ReasonConnectionSyntax},
		{name: "17 tokens over lines", lines: strings.Repeat("Connection: a\r\n", 17), reason: ReasonConnectionSyntax},
		{name: "17 times close", lines: strings.Repeat("Connection: close\r\n", 17), reason: ReasonConnectionSyntax},
		{name: "not a token", lines: "Connection: a b\r\n", reason: ReasonConnectionSyntax},
		{name: "quoted", lines: "Connection: \"a\"\r\n", reason: ReasonConnectionSyntax},
		{name: "protected Host", lines: "Connection: host\r\n", reason: ReasonConnectionProtected},
		{name: "protected Content-Length", lines: "Connection: close, Content-Length\r\n", reason: ReasonConnectionProtected},
		{name: "protected Authorization", lines: "Connection: AUTHORIZATION\r\n", reason: ReasonConnectionProtected},
		{name: "protected Cookie", lines: "Connection: cookie\r\n", reason: ReasonConnectionProtected},
		{name: "protected Cache-Control", lines: "Connection: cache-control\r\n", reason: ReasonConnectionProtected},
		{name: "protected Via", lines: "Connection: via\r\n", reason: ReasonConnectionProtected},
		{name: "protected Forwarded", lines: "Connection: forwarded\r\n", reason: ReasonConnectionProtected},
		{name: "protected X-Forwarded-For", lines: "Connection: x-forwarded-for\r\n", reason: ReasonConnectionProtected},
		{name: "protected X-Forwarded-Anything", lines: "Connection: X-Forwarded-Anything\r\n", reason: ReasonConnectionProtected},
		{name: "protected X-Real-IP", lines: "Connection: x-real-ip\r\n", reason: ReasonConnectionProtected},
		{name: "protected traceparent", lines: "Connection: Traceparent\r\n", reason: ReasonConnectionProtected},
		{name: "protected identity", lines: "Connection: X-Maru-Subject\r\n", reason: ReasonConnectionProtected},
		{name: "Expect with body stays", lines: "Expect: 100-continue\r\nContent-Length: 1\r\n", want: "Expect: 100-continue"},
		{name: "Expect without body goes", lines: "Expect: 100-continue\r\n", want: ""},
		{name: "Trailer stays with chunked", lines: "Trailer: A\r\nTransfer-Encoding: chunked\r\n", want: "Trailer: A"},
		{name: "Trailer goes with a length", lines: "Trailer: A\r\nContent-Length: 1\r\n", want: ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := stripped(t, post(row.lines))
			v := judge(true, 0, err)
			if v.reason != row.reason || row.reason != "" && v.status != 400 {
				t.Fatalf("%+v, want %q", v, row.reason)
			}
			if row.reason == "" && got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestForwardResponse(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, in, want string
		ignored        int
	}{
		{name: "hop-by-hop", in: ok("A: b\r\nConnection: x-c, close\r\nX-C: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTE: x\r\nZ: y\r\n"), want: "A: b|Z: y"},
		{name: "protected nomination", in: ok("Connection: Cache-Control, x-a, Via\r\nCache-Control: no-store\r\nX-A: 1\r\nVia: x\r\n"), want: "Cache-Control: no-store|Via: x", ignored: 2},
		{name: "Upgrade of a 101", in: "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nA: b\r\n\r\n", want: "Upgrade: WebSocket|A: b"},
		{name: "Trailer with chunked", in: ok("Transfer-Encoding: chunked\r\nTrailer: A\r\n"), want: "Trailer: A"},
		{name: "Trailer with length", in: ok("Content-Length: 1\r\nTrailer: A\r\n"), want: ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			lim := ResponseLimits{}.WithDefaults()
			p := message.NewResponse(0)
			if _, ok, err := parseResponse(exact(row.in), p, "GET", &lim); !ok || err != nil {
				t.Fatal(ok, err)
			}
			if n := StripResponse(p); n != row.ignored || lines(&p.Header) != row.want {
				t.Errorf("%d %q, want %d %q", n, lines(&p.Header), row.ignored, row.want)
			}
		})
	}
}

func TestWriteRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, in, want string }{
		{name: "plain", in: "GET /a?b HTTP/1.1\r\nhost: X\r\nfOO:  bar \r\nA: 1\r\na: 2\r\n\r\n", want: "GET /a?b HTTP/1.1\r\nHost: h\r\nfOO: bar\r\nA: 1\r\na: 2\r\n\r\n"},
		{name: "absolute-form", in: get("GET http://a/b HTTP/1.1"), want: "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"},
		{name: "1.0", in: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", want: "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{name: "length", in: post("Content-Length: 007\r\n"), want: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n"},
		{name: "no body with POST", in: post(""), want: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		{name: "chunked with trailers", in: post("Transfer-Encoding: Chunked\r\nTrailer: A\r\nTE: trailers\r\n"), want: "POST / HTTP/1.1\r\nHost: h\r\nTrailer: A\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\n\r\n"},
		{name: "upgrade", in: with("Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n"), want: "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"},
		{name: "h2c", in: with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), want: "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{name: "star", in: get("OPTIONS * HTTP/1.1"), want: "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, r, err := stripped(t, row.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(appendRequestHead(nil, r, "h")); got != row.want {
				t.Errorf("got\n%q, want\n%q", got, row.want)
			}
		})
	}
}

// What filters put into a request can't split it or change its framing.
func TestWriteRequestDefends(t *testing.T) {
	t.Parallel()
	r := newRequest("")
	r.Method, r.Path, r.Query, r.HasQuery, r.Length = "GET", "/a b\r\nX: y", "q\x00#\xff", true, 0
	r.Header.AppendID(message.ContentLength, "5")
	r.Header.AppendID(message.TransferEncoding, "chunked")
	r.Header.AppendID(message.Host, "evil")
	r.Header.AppendID(message.Connection, "x")
	r.Header.AppendID(message.Accept, "y")
	want := "GET /a%20b%0D%0AX:%20y?q%00%23%FF HTTP/1.1\r\nHost: h\r\nAccept: y\r\n\r\n"
	if got := string(appendRequestHead(nil, r, "h")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Path, r.HasQuery = "", false
	r.Header.Reset()
	if got, want := string(appendRequestHead(nil, r, "h")), "GET / HTTP/1.1\r\nHost: h\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriteResponse(t *testing.T) {
	t.Parallel()
	type p = message.Response
	fields := func(r *p, kv ...string) {
		for i := 0; i < len(kv); i += 2 {
			if err := r.Header.Add(kv[i], kv[i+1]); err != nil {
				panic(err)
			}
		}
	}
	const d = "Date: D\r\n"
	for _, row := range []struct {
		name   string
		status int
		make   func(r *p)
		o      responseOptions
		want   string
	}{
		{name: "length", status: 200, make: func(r *p) { r.Length = 3; fields(r, "b", "1", "A", "2") }, want: "HTTP/1.1 200 OK\r\nb: 1\r\nA: 2\r\nContent-Length: 3\r\n" + d + "\r\n"},
		{name: "own Date", status: 200, make: func(r *p) { fields(r, "date", "x") }, want: "HTTP/1.1 200 OK\r\ndate: x\r\nContent-Length: 0\r\n\r\n"},
		{name: "chunked with trailer", status: 200, make: func(r *p) { r.Length = -1; fields(r, "Trailer", "X") }, o: responseOptions{chunked: true}, want: "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n" + d + "\r\n"},
		{name: "close-delimited", status: 200, make: func(r *p) { r.Length = -1; fields(r, "Trailer", "X") }, o: responseOptions{proto: message.HTTP10, close: true}, want: "HTTP/1.1 200 OK\r\n" + d + "Connection: close\r\n\r\n"},
		{name: "keep-alive", status: 200, make: func(r *p) { r.Length = 1 }, o: responseOptions{proto: message.HTTP10, keepAlive10: true}, want: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + d + "Connection: keep-alive\r\n\r\n"},
		{name: "HEAD", status: 200, make: func(r *p) { r.Length = 9 }, o: responseOptions{head: true}, want: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + d + "\r\n"},
		{name: "HEAD of unknown length", status: 200, make: func(r *p) { r.Length = -1 }, o: responseOptions{head: true, chunked: true}, want: "HTTP/1.1 200 OK\r\n" + d + "\r\n"},
		{name: "304 with length", status: 304, make: func(r *p) { r.Length = 9 }, want: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n" + d + "\r\n"},
		{name: "304", status: 304, make: func(*p) {}, want: "HTTP/1.1 304 Not Modified\r\n" + d + "\r\n"},
		{name: "204", status: 204, make: func(*p) {}, want: "HTTP/1.1 204 No Content\r\n" + d + "\r\n"},
		{name: "205", status: 205, make: func(r *p) { r.Length = -1 }, o: responseOptions{chunked: true}, want: "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n" + d + "\r\n"},
		{name: "103", status: 103, make: func(r *p) { fields(r, "Link", "x") }, want: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
		{name: "101", status: 101, make: func(r *p) { fields(r, "Upgrade", "WebSocket") }, want: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"},
		{name: "426", status: 426, make: func(r *p) { fields(r, "Upgrade", "websocket") }, o: responseOptions{close: true}, want: "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n" + d + "Connection: upgrade, close\r\n\r\n"},
		{name: "reason kept", status: 200, make: func(r *p) { r.Reason = "Fine \xe9" }, want: "HTTP/1.1 200 Fine \xe9\r\nContent-Length: 0\r\n" + d + "\r\n"},
		{name: "reason that would split", status: 200, make: func(r *p) { r.Reason = "x\r\nSet-Cookie: a" }, want: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + d + "\r\n"},
		{name: "unknown status", status: 299, make: func(*p) {}, want: "HTTP/1.1 299 \r\nContent-Length: 0\r\n" + d + "\r\n"},
		{name: "framing put in by hand", status: 200, make: func(r *p) {
			fields(r, "content-length", "7", "Transfer-Encoding", "chunked", "Connection", "close", "A", "b", "Keep-Alive", "x")
		}, want: "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n" + d + "\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := message.NewResponse(row.status)
			row.make(r)
			row.o.date = "D"
			if got := string(appendResponseHead(nil, r, row.o)); got != row.want {
				t.Errorf("got\n%q, want\n%q", got, row.want)
			}
		})
	}
}

func TestCheckRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, method, target, authority string
		fields                          []string
		reason                          string
		status, lookalikes              int
		connect                         bool
		want                            string
	}{
		{name: "plain", fields: []string{"A", "b"}, want: "A: b"},
		{name: "Host repeats :authority", fields: []string{"host", "A.b"}, want: ""},
		{name: "Host differs", fields: []string{"host", "c"}, reason: ReasonAuthorityMismatch},
		{name: "two Hosts", fields: []string{"host", "a.b", "host", "a.b"}, reason: ReasonHostMany},
		{name: "userinfo", authority: "u@a.b", reason: ReasonHostSyntax},
		{name: "no authority", authority: "-", reason: ReasonHostMissing},
		{name: "Host alone", authority: "-", fields: []string{"host", "a.b"}},
		{name: "Connection", fields: []string{"connection", "close"}, reason: ReasonConnectionSpecific},
		{name: "Keep-Alive", fields: []string{"keep-alive", "x"}, reason: ReasonConnectionSpecific},
		{name: "Proxy-Connection", fields: []string{"proxy-connection", "x"}, reason: ReasonConnectionSpecific},
		{name: "Transfer-Encoding", fields: []string{"transfer-encoding", "chunked"}, reason: ReasonConnectionSpecific},
		{name: "Upgrade", fields: []string{"upgrade", "x"}, reason: ReasonConnectionSpecific},
		{name: "TE trailers", fields: []string{"te", "trailers"}, want: "te: trailers"},
		{name: "TE gzip", fields: []string{"te", "trailers, gzip"}, reason: ReasonConnectionSpecific},
		{name: "bad name", fields: []string{"a b", "c"}, reason: ReasonFieldName},
		{name: "bad value", fields: []string{"a", "b\nc"}, reason: ReasonFieldValue},
		{name: "value with space around", fields: []string{"a", " b"}, reason: ReasonFieldValue},
		{name: "duplicate", fields: []string{"authorization", "a", "authorization", "b"}, reason: ReasonDuplicateSingleton},
		{name: "two lengths", fields: []string{"content-length", "3", "content-length", "3"}, reason: ReasonCLMany},
		{name: "bad length", fields: []string{"content-length", "+3"}, reason: ReasonCLSyntax},
		{name: "length", fields: []string{"content-length", "3", "A", "b"}, want: "A: b"},
		{name: "framing look-alike", fields: []string{"content_length", "3"}, reason: ReasonFramingLookalike},
		{name: "managed look-alike", fields: []string{"x_real_ip", "3", "A", "b"}, lookalikes: 1, want: "A: b"},
		{name: "relative path", target: "a", reason: ReasonTargetForm},
		{name: "absolute-form", target: "http://a.b/", reason: ReasonTargetForm},
		{name: "empty path", target: "-", reason: ReasonTargetForm},
		{name: "star", method: "OPTIONS", target: "*"},
		{name: "star with GET", target: "*", reason: ReasonTargetForm},
		{name: "bad octet", target: "/\x01", reason: ReasonTargetOctet},
		{name: "percent", target: "/%0", reason: ReasonPercent},
		{name: "TRACE", method: "TRACE", reason: ReasonMethodNotAllowed, status: 405},
		{name: "CONNECT", method: "CONNECT", authority: "a:1", reason: ReasonMethodNotAllowed, status: 405},
		{name: "CONNECT where enabled", method: "CONNECT", authority: "a:1", connect: true},
		{name: "method case", method: "get", reason: ReasonMethodCase},
		{name: "method not a token", method: "G T", reason: ReasonMethod},
		{name: "other expectation", fields: []string{"expect", "x"}, reason: ReasonExpectation, status: 417},
		{name: "framing trailer announced", fields: []string{"trailer", "host"}, reason: ReasonTrailerFraming},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			def := func(v, d string) string {
				switch v {
				case "":
					return d
				case "-":
					return ""
				}
				return v
			}
			r := newRequest("")
			r.Proto, r.Method, r.Authority = message.HTTP2, def(row.method, "GET"), def(row.authority, "a.b")
			for i := 0; i < len(row.fields); i += 2 {
				r.Header.Append(message.Field{Name: row.fields[i], Value: row.fields[i+1], ID: message.NameID(row.fields[i])})
			}
			n, err := CheckRequest(r, def(row.target, "/x?y"), row.connect)
			v := judge(true, 0, err)
			if row.status == 0 && row.reason != "" {
				row.status = 400
			}
			if v.reason != row.reason || v.status != row.status {
				t.Fatalf("%+v, want %q", v, row.reason)
			}
			if row.reason == "" && (n != row.lookalikes || lines(&r.Header) != row.want || r.Host == "") {
				t.Errorf("%d %q host %q", n, lines(&r.Header), r.Host)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	if refuseBareLF.on(true).Status != 502 || refuseBareLF.on(false).Status != 400 {
		t.Error("status of the twins")
	}
	if refuseBareLF.Error() != "bare_lf: "+refuseBareLF.Detail() {
		t.Error(refuseBareLF.Error())
	}
}

func TestValidAuthorityWithoutExchange(t *testing.T) {
	t.Parallel()
	h, err := ValidAuthority(nil, "A.B.:80")
	if err != nil || h != "a.b" {
		t.Error(h, err)
	}
	_, err = ValidAuthority(nil, "a b")
	if judge(false, 0, err).reason != ReasonHostSyntax {
		t.Error(err)
	}
}

// Every reason word stands in the page for users.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/http1.md")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`Reason\w+\s*= "([a-z0-9_]+)"`).FindAllSubmatch(source, -1)
	if len(words) < 50 {
		t.Fatalf("%d words", len(words))
	}
	for _, w := range words {
		if !bytes.Contains(page, []byte("`"+string(w[1])+"`")) {
			t.Errorf("docs/http1.md lacks %s", w[1])
		}
	}
}
