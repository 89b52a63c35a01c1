package http1

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/message"
)

const (
	getA  = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	sawA  = getA
	gotOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	// gotLast is gotOK on a connection that ends with it. The proxy closes only
	// its side at first: the client sees the end.
	gotLast = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok<end>"
)

// refused is the answer to a message that broke the protocol.
func refused(status int, reason string) string {
	return "HTTP/1.1 " + strconv.Itoa(status) + " " + message.StatusText(status) + "\r\nContent-Length: " + strconv.Itoa(len(reason)) +
		"\r\nConnection: close\r\n\r\n" + reason + "<end>"
}

// bad is the client's answer when the service broke the protocol: the client
// keeps its connection.
func bad(reason string) string {
	return "HTTP/1.1 502 Bad Gateway\r\nContent-Length: " + strconv.Itoa(len(reason)) + "\r\n\r\n" + reason
}

func limit(l Limits) func(*rig) { return func(g *rig) { g.srv.Limits = l } }

// §1 What a refusal does: an exact answer, the connection's end, and nothing
// served from what stands behind.
func TestSection1Refusals(t *testing.T) {
	t.Parallel()
	run(t, []row{
		{name: "answer and end", in: "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", want: refused(400, ReasonRequestLine)},
		{name: "nothing behind it is served", in: "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n" + getA, want: refused(400, ReasonTargetOctet)},
		{name: "what stood before it is answered", in: getA + "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n" + getA, want: gotOK + refused(400, ReasonTargetOctet), sees: []string{sawA}, idle: 1},
		{name: "a service's fault leaves the client its connection", in: getA + getA, say: []string{"HTTP/2.0 200 OK\r\n\r\n"}, want: bad(ReasonStatusLine) + bad(ReasonStatusLine), sees: []string{sawA, sawA}},
	})
}

// §2 Limits.
func TestSection2Limits(t *testing.T) {
	t.Parallel()
	fields := func(n int) string { return strings.Repeat("A: b\r\n", n) }
	none := message.Size(0)
	five := message.Size(5)
	run(t, []row{
		{name: "request line", in: get("GET /" + strings.Repeat("a", 8<<10) + " HTTP/1.1"), want: refused(414, ReasonTargetTooLong)},
		{name: "request line without end", in: "GET /" + strings.Repeat("a", 9<<10), want: refused(414, ReasonTargetTooLong)},
		{name: "method", in: get(strings.Repeat("M", 33) + " / HTTP/1.1"), want: refused(501, ReasonMethodTooLong)},
		{name: "head", in: with(strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 33)), want: refused(431, ReasonHeadTooLarge)},
		{name: "head without end", in: "GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("b", 33<<10), want: refused(431, ReasonHeadTooLarge)},
		{name: "head of 31 KiB", in: with(strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 31)), want: gotOK, sees: []string{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 31) + "\r\n"}, idle: 1},
		{name: "fields", in: with(fields(128)), want: refused(431, ReasonTooManyFields)},
		{name: "name", in: with(strings.Repeat("n", 257) + ": a\r\n"), want: refused(431, ReasonNameTooLong)},
		{name: "trailers too large", in: post("Transfer-Encoding: chunked\r\n") + "0\r\nA: " + strings.Repeat("b", 9<<10) + "\r\n\r\n", want: refused(400, ReasonTrailerTooLarge), sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{…"}},
		{name: "too many trailers", in: post("Transfer-Encoding: chunked\r\n") + "0\r\n" + fields(33) + "\r\n", want: refused(400, ReasonTrailerTooLarge), sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{…"}},
		{name: "chunk line", in: post("Transfer-Encoding: chunked\r\n") + "1;" + strings.Repeat("a", 256), want: refused(400, ReasonChunkLineTooLong), sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{…"}},
		{name: "body with a length, before any byte upstream", in: post("Content-Length: 6\r\n") + "abcdef", set: limit(Limits{Body: &five}), want: refused(413, ReasonBodyTooLarge)},
		{name: "body at the limit", in: post("Content-Length: 5\r\n") + "abcde", set: limit(Limits{Body: &five}), want: gotOK, sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"}, idle: 1},
		{name: "no limit of the body", in: post("Content-Length: 5\r\n") + "abcde", set: limit(Limits{Body: &none}), want: gotOK, sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"}, idle: 1},
		{name: "response head", in: getA, say: []string{ok("A: " + strings.Repeat("b", 65<<10) + "\r\n")}, want: bad(ReasonResponseHeadTooLarge), sees: []string{sawA}},
		{name: "response fields", in: getA, say: []string{ok(fields(257))}, want: bad(ReasonResponseHeadTooLarge), sees: []string{sawA}},
		{name: "nine interim responses", in: "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", say: []string{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9) + okay}, want: "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\ntoo_many_interim", sees: []string{sawA}},
		{name: "large interim responses", in: "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", say: []string{strings.Repeat("HTTP/1.1 103 Early Hints\r\nA: "+strings.Repeat("a", 17<<10)+"\r\n\r\n", 2) + okay}, want: "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\ntoo_many_interim", sees: []string{sawA}},
		{name: "requests per connection", in: getA + getA + getA, set: limit(Limits{RequestsPerConnection: 2}), want: gotOK + gotLast, sees: []string{sawA, sawA}, idle: 1},
	})
}

// A chunked body over the limit is noticed on its way: what went upstream is
// never ended, and the client learns why.
func TestSection2ChunkedBodyOverLimit(t *testing.T) {
	t.Parallel()
	five := message.Size(5)
	head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	run(t, []row{
		{name: "over", in: head + "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", set: limit(Limits{Body: &five}), want: refused(413, ReasonBodyTooLarge), sees: []string{head + "{abc…"}},
		{name: "at the limit", in: head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", set: limit(Limits{Body: &five}), want: gotOK, sees: []string{head + "{abcde}"}, idle: 1},
	})
}

// §3 Request line and target: what is refused here never reaches the service;
// what is accepted reaches it in origin-form.
func TestSection3RequestLine(t *testing.T) {
	t.Parallel()
	saw := func(target string) []string { return []string{"GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"} }
	rows := []row{
		{name: "one empty line before", in: "\r\n" + getA, want: gotOK, sees: []string{sawA}, idle: 1},
		{name: "an empty line between requests", in: getA + "\r\n" + getA, want: gotOK + gotOK, sees: []string{sawA, sawA}, idle: 1},
		{name: "absolute-form", in: get("GET http://a/b?c HTTP/1.1"), want: gotOK, sees: saw("/b?c"), idle: 1},
		{name: "absolute-form without path", in: get("GET http://a?c HTTP/1.1"), want: gotOK, sees: saw("/?c"), idle: 1},
		{name: "query byte for byte", in: get(`GET /a?<">\%zz%00??/ HTTP/1.1`), want: gotOK, sees: saw(`/a?<">\%zz%00??/`), idle: 1},
		{name: "PURGE is opaque", in: get("PURGE /a HTTP/1.1"), want: gotOK, sees: []string{"PURGE /a HTTP/1.1\r\nHost: a\r\n\r\n"}, idle: 1},
		{name: "HTTP/2 preface without h2c", in: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", want: refused(505, ReasonVersion)},
		{name: "HTTP/2 preface behind a request", in: getA + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", set: func(g *rig) {
			g.srv.H2C = func(net.Conn, ConnInfo) { g.t.Error("the preface may only stand first") }
		}, want: gotOK + refused(505, ReasonVersion), sees: []string{sawA}, idle: 1},
	}
	for _, method := range []string{"CONNECT a:443", "TRACE /"} {
		rows = append(rows, row{
			name: method, in: "" + method + " HTTP/1.1\r\nHost: a:443\r\n\r\n",
			want: "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\nContent-Length: 18\r\nConnection: close\r\n\r\nmethod_not_allowed<end>",
		})
	}
	// Every row of the codec's tables, through the whole proxy.
	for _, r := range append(append(requestLineRows(), targetRows()...), hostRows()...) {
		if r.reason == "" || r.lim != nil || r.scheme != "" || r.status == 405 {
			continue
		}
		status := r.status
		if status == 0 {
			status = 400
		}
		rows = append(rows, row{name: r.name, in: r.in + getA, want: refused(status, r.reason)})
	}
	run(t, rows)
}

// §4 Field lines.
func TestSection4FieldLines(t *testing.T) {
	t.Parallel()
	rows := []row{
		{name: "order, case and octets survive", in: with("b: 1\r\nA:\t\xff\t \r\nB:2\r\nc_d:\r\n"), want: gotOK, sees: []string{"GET / HTTP/1.1\r\nHost: a\r\nb: 1\r\nA: \xff\r\nB: 2\r\nc_d: \r\n\r\n"}, idle: 1},
		{name: "of a response too", in: getA, say: []string{"HTTP/1.1 200 OK\r\nset-cookie: a\r\nSet-Cookie:b\r\nX:\xe9 \r\nContent-Length: 2\r\n\r\nok"}, want: "HTTP/1.1 200 OK\r\nset-cookie: a\r\nSet-Cookie: b\r\nX: \xe9\r\nContent-Length: 2\r\n\r\nok", sees: []string{sawA}, idle: 1},
		{name: "a managed look-alike is dropped", in: with("X_Forwarded_For: 1\r\n"), want: gotOK, sees: []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"}, idle: 1},
	}
	for _, r := range fieldRows() {
		if r.reason == "" {
			continue
		}
		status := r.status
		if status == 0 {
			status = 400
		}
		rows = append(rows, row{name: r.name, in: r.in + getA, want: refused(status, r.reason)})
	}
	for _, r := range append(statusRows(), responseFieldRows()...) {
		if r.reason != "" && len(r.in) < 8192 {
			rows = append(rows, row{name: "response, " + r.name, in: getA, say: []string{r.in}, want: bad(r.reason), sees: []string{sawA}})
		}
	}
	run(t, rows)
}

// §6 Length of the body, of requests.
func TestSection6RequestLength(t *testing.T) {
	t.Parallel()
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	rows := []row{
		{name: "neither, with POST", in: "POST /a HTTP/1.1\r\nHost: a\r\n\r\n" + getA, want: gotOK + gotOK, sees: []string{"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", sawA}, idle: 1},
		{name: "CL", in: post("Content-Length: 3\r\n") + "abc" + getA, want: gotOK + gotOK, sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", sawA}, idle: 1},
		{name: "CL with leading zeros", in: post("Content-Length: 0003\r\n") + "abc", want: gotOK, sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"}, idle: 1},
		{name: "chunked", in: post("Transfer-Encoding: ChUnKeD\r\n") + "3\r\nabc\r\n0\r\n\r\n" + getA, want: gotOK + gotOK, sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{abc}", sawA}, idle: 1},
		{name: "body with GET", in: "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" + getA, want: gotOK + gotOK, sees: []string{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", sawA}, idle: 1},
		{name: "body with HEAD", in: "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" + getA, say: []string{ok("Content-Length: 7\r\n"), okay}, want: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + gotOK, sees: []string{"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", sawA}, idle: 1},
		{name: "body with DELETE", in: "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", want: gotOK, sees: []string{"DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{x}"}, idle: 1},
		{name: "body with OPTIONS", in: "OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", want: gotOK, sees: []string{"OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"}, idle: 1},
	}
	for _, r := range lengthRows() {
		if r.reason == "" || r.lim != nil {
			continue
		}
		status := r.status
		if status == 0 {
			status = 400
		}
		rows = append(rows, row{name: r.name, in: r.in + smuggled, want: refused(status, r.reason)})
	}
	run(t, rows)
}

// §6 Length of the body, of responses.
func TestSection6ResponseLength(t *testing.T) {
	t.Parallel()
	saw2 := []string{sawA, sawA}
	headA := "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"
	rows := []row{
		{name: "CL", in: getA + getA, want: gotOK + gotOK, sees: saw2, idle: 1},
		{name: "CL 0", in: getA, say: []string{ok("Content-Length: 0\r\n")}, want: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", sees: []string{sawA}, idle: 1},
		{name: "chunked", in: getA, say: []string{ok("Transfer-Encoding: chunked\r\n") + "3;x=y\r\nabc\r\n0\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", sees: []string{sawA}, idle: 1},
		{name: "HEAD with CL", in: headA + getA, say: []string{ok("Content-Length: 9\r\n"), okay}, want: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + gotOK, sees: []string{headA, sawA}, idle: 1},
		{name: "HEAD with TE", in: headA + getA, say: []string{ok("Transfer-Encoding: chunked\r\n"), okay}, want: "HTTP/1.1 200 OK\r\n\r\n" + gotOK, sees: []string{headA, sawA}, idle: 1},
		{name: "HEAD with neither", in: headA + getA, say: []string{ok(""), okay}, want: "HTTP/1.1 200 OK\r\n\r\n" + gotOK, sees: []string{headA, sawA}, idle: 1},
		{name: "204", in: getA + getA, say: []string{"HTTP/1.1 204 No Content\r\n\r\n", okay}, want: "HTTP/1.1 204 No Content\r\n\r\n" + gotOK, sees: saw2, idle: 1},
		{name: "204 with CL 0", in: getA, say: []string{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"}, want: "HTTP/1.1 204 No Content\r\n\r\n", sees: []string{sawA}, idle: 1},
		{name: "204 with CL is not pooled", in: getA, say: []string{"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"}, want: "HTTP/1.1 204 No Content\r\n\r\n", sees: []string{sawA}},
		{name: "204 with TE is not pooled", in: getA, say: []string{"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, want: "HTTP/1.1 204 No Content\r\n\r\n", sees: []string{sawA}},
		{name: "304 keeps CL", in: getA + getA, say: []string{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", okay}, want: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n" + gotOK, sees: saw2, idle: 1},
		{name: "205", in: getA + getA, say: []string{"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", okay}, want: "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" + gotOK, sees: saw2, idle: 1},
		{name: "205 with a body", in: getA, say: []string{"HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok"}, want: "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", sees: []string{sawA}},
		{name: "more bytes than announced", in: getA, say: []string{okay + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"}, want: gotOK, sees: []string{sawA}},
		{name: "no phrase", in: getA, say: []string{"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"}, want: gotOK, sees: []string{sawA}, idle: 1},
		{name: "own phrase", in: getA, say: []string{"HTTP/1.1 299 Meh\r\nContent-Length: 2\r\n\r\nok"}, want: "HTTP/1.1 299 Meh\r\nContent-Length: 2\r\n\r\nok", sees: []string{sawA}, idle: 1},
		{name: "close", in: getA, say: []string{ok("Content-Length: 2\r\nConnection: close\r\n") + "ok"}, want: gotOK, sees: []string{sawA}},
		{name: "1.0 without keep-alive", in: getA, say: []string{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"}, want: gotOK, sees: []string{sawA}},
		{name: "1.0 with keep-alive", in: getA, say: []string{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nok"}, want: gotOK, sees: []string{sawA}, idle: 1},
	}
	for _, r := range responseLengthRows() {
		if r.reason != "" && r.method == "" {
			rows = append(rows, row{name: r.name, in: getA, say: []string{r.in}, want: bad(r.reason), sees: []string{sawA}})
		}
	}
	run(t, rows)
}

// §6: neither CL nor TE: the body ends with the connection.
func TestSection6CloseDelimited(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		reset          bool
	}{
		{name: "to 1.1 it is chunked", in: getA, want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "to 1.0 it is close-delimited", in: "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc<end>"},
		{name: "a reset is no end", in: getA, reset: true, want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n<end>"},
		{name: "nor to 1.0", in: "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", reset: true, want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc<error>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(s *service) {
				s.request()
				s.say(ok("") + "abc")
				time.Sleep(time.Millisecond)
				if tt.reset {
					_ = s.Conn.(*memnet.Conn).Reset()
				}
			}, func(g *rig) {
				c := g.client()
				c.send(tt.in)
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				if got := c.got(); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if _, idle, _ := g.counts(); idle != 0 {
					t.Error("pooled")
				}
			})
		})
	}
}

// §7 Chunked coding: decoded and encoded again; a fault behind the head closes
// the upstream connection without a valid end.
func TestSection7Chunked(t *testing.T) {
	t.Parallel()
	head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	var rows []row
	for _, r := range append(chunkRows(), trailerRows()...) {
		if r.response || r.head != "" || len(r.in) > 16<<10 || r.reason == "unfinished" {
			continue
		}
		x := row{name: r.name, in: head + r.in, want: refused(400, r.reason), sees: []string{head + "{…"}}
		if r.reason == "" {
			if r.rest != "" {
				continue
			}
			trailer := ""
			if r.trailer != "" {
				trailer = strings.ReplaceAll(r.trailer, "|", "\r\n") + "\r\n"
			}
			x.want, x.sees, x.idle = gotOK, []string{head + "{" + r.payload + "}" + trailer}, 1
		}
		rows = append(rows, x)
	}
	run(t, rows)
}

// §7 in responses: before the head went to the client a 502, behind it an abort.
func TestSection7ResponseFault(t *testing.T) {
	t.Parallel()
	head := ok("Transfer-Encoding: chunked\r\n")
	want := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	run(t, []row{
		{name: "in the first chunk", in: getA + getA, say: []string{head + "3 \r\nabc\r\n0\r\n\r\n"}, want: want + "<end>", sees: []string{sawA}},
		{name: "in the second", in: getA + getA, say: []string{head + "3\r\nabc\r\n+1\r\n"}, want: want + "3\r\nabc\r\n<end>", sees: []string{sawA}},
		{name: "in the trailers", in: getA, say: []string{head + "0\r\nContent-Length: 3\r\n\r\n"}, want: want + "<end>", sees: []string{sawA}},
		{name: "two zero-size chunks", in: getA, say: []string{head + "0\r\n\r\n0\r\n\r\n"}, want: want + "0\r\n\r\n", sees: []string{sawA}},
	})
}

// §8 Trailers.
func TestSection8Trailers(t *testing.T) {
	t.Parallel()
	chunked := "Transfer-Encoding: chunked\r\n"
	run(t, []row{
		{
			name: "both ways, announced", in: post(chunked+"Trailer: X-Sum\r\nTE: trailers\r\n") + "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n",
			say:  []string{ok(chunked+"Trailer: y-sum\r\n") + "1\r\nb\r\n0\r\ny-sum: 2\r\n\r\n"},
			want: "HTTP/1.1 200 OK\r\nTrailer: y-sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\ny-sum: 2\r\n\r\n",
			sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\n\r\n{a}X-Sum: 1\r\n"}, idle: 1,
		},
		{name: "not announced", in: getA, say: []string{ok(chunked) + "0\r\nA: 1\r\nA: 2\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\n" + chunked + "\r\n0\r\nA: 1\r\nA: 2\r\n\r\n", sees: []string{sawA}, idle: 1},
		{name: "dropped for 1.0", in: "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", say: []string{ok(chunked) + "1\r\nb\r\n0\r\nA: 1\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nb<end>", sees: []string{sawA}, idle: 1},
		{name: "announced framing", in: post(chunked+"Trailer: Content-Length\r\n") + "0\r\n\r\n", want: refused(400, ReasonTrailerFraming)},
		{name: "announced framing in a response", in: getA, say: []string{ok(chunked + "Trailer: host\r\n")}, want: bad(ReasonTrailerFraming), sees: []string{sawA}},
		{name: "nominated by Connection", in: post(chunked+"Connection: x-a\r\n") + "0\r\nX-A: 1\r\n\r\n", want: refused(400, ReasonTrailerFraming), sees: []string{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{…"}},
		{name: "nominated in a response", in: getA, say: []string{ok(chunked+"Connection: x-a\r\n") + "0\r\nX-A: 1\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\n" + chunked + "\r\n<end>", sees: []string{sawA}},
		{name: "of one hop are dropped", in: getA, say: []string{ok(chunked) + "0\r\nSet-Cookie: 1\r\nZ: 1\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\n" + chunked + "\r\n0\r\nZ: 1\r\n\r\n", sees: []string{sawA}, idle: 1},
		{name: "none behind HEAD", in: "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n" + getA, say: []string{ok(chunked + "Trailer: a\r\n"), okay}, want: "HTTP/1.1 200 OK\r\n\r\n" + gotOK, sees: []string{"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n", sawA}, idle: 1},
	})
}

// §9 Forwarding: what belongs to one hop.
func TestSection9HopByHop(t *testing.T) {
	t.Parallel()
	run(t, []row{
		{
			name: "request", in: with("Connection: x-a, close\r\nX-A: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: a\r\nHTTP2-Settings: a\r\nProxy-Authorization: a\r\nB: 2\r\n"),
			want: gotLast, sees: []string{"GET / HTTP/1.1\r\nHost: a\r\nB: 2\r\n\r\n"}, idle: 1,
		},
		{
			name: "response", in: getA, say: []string{"HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: a\r\nUpgrade: a\r\nB: 2\r\nContent-Length: 2\r\n\r\nok"},
			want: "HTTP/1.1 200 OK\r\nB: 2\r\nContent-Length: 2\r\n\r\nok", sees: []string{sawA}, idle: 1,
		},
		{name: "protected", in: with("Connection: X-Forwarded-For\r\n"), want: "HTTP/1.1 400 Bad Request\r\nContent-Length: 20\r\nConnection: close\r\n\r\nconnection_protected<end>"},
		{name: "not a list", in: with("Connection: a b\r\n"), want: "HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\nConnection: close\r\n\r\nconnection_syntax<end>"},
		{name: "a protected nomination in a response is ignored", in: getA, say: []string{ok("Connection: cache-control\r\nCache-Control: no-store\r\nContent-Length: 2\r\n") + "ok"}, want: "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok", sees: []string{sawA}, idle: 1},
		{name: "1.0 clients never get chunks", in: "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", say: []string{ok("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n"}, want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc<end>", sees: []string{sawA}, idle: 1},
		{name: "a missing Date is added, one that is there stays", in: getA, say: []string{ok("date: yesterday\r\nContent-Length: 2\r\n") + "ok"}, want: "HTTP/1.1 200 OK\r\ndate: yesterday\r\nContent-Length: 2\r\n\r\nok", sees: []string{sawA}, idle: 1},
	})
}

// §9.7 Abort: a service that dies in each phase. What can't be completed never
// looks complete.
func TestSection9Abort(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, say, want string
		in              string
	}{
		{name: "before the head", say: "", want: bad("reset")},
		{name: "inside the status line", say: "HTTP/1.1 20", want: bad("reset")},
		{name: "inside the head", say: "HTTP/1.1 200 OK\r\nContent-Le", want: bad("reset")},
		{name: "behind an interim response", say: "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", want: "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + bad("reset")},
		{name: "behind the head", say: ok("Content-Length: 5\r\n"), want: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<end>"},
		{name: "inside a body with a length", say: ok("Content-Length: 5\r\n") + "abc", want: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc<end>"},
		{name: "inside a chunk", say: ok("Transfer-Encoding: chunked\r\n") + "5\r\nabc", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n<end>"},
		{name: "before the last chunk", say: ok("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n<end>"},
		{name: "inside the last chunk", say: ok("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n<end>"},
		{name: "inside the trailers", say: ok("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\nA: b\r\n", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n<end>"},
		{name: "short for a 1.0 client", in: "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", say: ok("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc<error>"},
	} {
		for _, reset := range []bool{false, true} {
			name := tt.name
			if reset {
				name += ", by a reset"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(s *service) {
					s.request()
					s.say(tt.say)
					time.Sleep(time.Millisecond)
					if reset {
						_ = s.Conn.(*memnet.Conn).Reset()
					}
				}, func(g *rig) {
					c := g.client()
					in := tt.in
					if in == "" {
						in = getA + getA // the second must not be answered with a rest
					}
					c.send(in)
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
					want := tt.want
					if strings.HasSuffix(want, bad("reset")) {
						want += want
					}
					if got := c.got(); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
					if _, idle, _ := g.counts(); idle != 0 {
						t.Error("pooled")
					}
				})
			})
		}
	}
}
