package http1

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

// requestRow is one line of a table of requests: in must get reason with status,
// or be accepted and pass check.
type requestRow struct {
	name, in string
	reason   string
	status   int // 0: 400 when refused
	scheme   string
	lim      *Limits
	check    func(t *testing.T, r *message.Request, h requestHead)
}

// get makes a request with the given request line and a Host.
func get(line string) string { return line + "\r\nHost: a\r\n\r\n" }

// with makes a request with the given field lines, each with its own line end.
func with(lines string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" }

// post is with for a method that has a body.
func post(lines string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" }

func path(want string) func(*testing.T, *message.Request, requestHead) {
	return func(t *testing.T, r *message.Request, _ requestHead) {
		t.Helper()
		if r.Path != want || r.RawPath != want {
			t.Errorf("path %q, raw %q, want %q", r.Path, r.RawPath, want)
		}
	}
}

func field(name, want string) func(*testing.T, *message.Request, requestHead) {
	return func(t *testing.T, r *message.Request, _ requestHead) {
		t.Helper()
		if got := strings.Join(r.Header.Values(nil, name), "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func host(authority, want string) func(*testing.T, *message.Request, requestHead) {
	return func(t *testing.T, r *message.Request, _ requestHead) {
		t.Helper()
		if r.Authority != authority || r.Host != want {
			t.Errorf("authority %q, host %q, want %q, %q", r.Authority, r.Host, authority, want)
		}
	}
}

func length(want int64, chunked bool) func(*testing.T, *message.Request, requestHead) {
	return func(t *testing.T, r *message.Request, h requestHead) {
		t.Helper()
		if r.Length != want || h.chunked != chunked {
			t.Errorf("length %d, chunked %v, want %d, %v", r.Length, h.chunked, want, chunked)
		}
	}
}

func requestLineRows() []requestRow {
	return []requestRow{
		{name: "plain", in: get("GET /a?b=c HTTP/1.1"), check: func(t *testing.T, r *message.Request, h requestHead) {
			t.Helper()
			if r.Method != "GET" || r.Path != "/a" || r.Query != "b=c" || !r.HasQuery || r.Proto != message.HTTP11 || h.close {
				t.Errorf("%+v %+v", r, h)
			}
		}},
		{name: "one empty line before", in: "\r\n" + get("GET / HTTP/1.1"), check: path("/")},
		{name: "two empty lines before", in: "\r\n\r\n" + get("GET / HTTP/1.1"), reason: ReasonLeadingLines},
		{name: "three empty lines before", in: "\r\n\r\n\r\n" + get("GET / HTTP/1.1"), reason: ReasonLeadingLines},
		{name: "bare LF before", in: "\n" + get("GET / HTTP/1.1"), reason: ReasonBareLF},
		{name: "bare LF in request line", in: "GET / HTTP/1.1\nHost: a\r\n\r\n", reason: ReasonBareLF},
		{name: "bare LF in head", in: with("A: b\nC: d\r\n"), reason: ReasonBareLF},
		{name: "bare LF at the end of the head", in: "GET / HTTP/1.1\r\nHost: a\r\n\n", reason: ReasonBareLF},
		{name: "bare LF behind a line without colon", in: with("A\nC: d\r\n"), reason: ReasonBareLF},
		{name: "bare CR in request line", in: get("GET /\ra HTTP/1.1"), reason: ReasonBareCR},
		{name: "bare CR in value", in: with("A: b\rc\r\n"), reason: ReasonBareCR},
		{name: "bare CR in name", in: with("A\rB: c\r\n"), reason: ReasonBareCR},
		{name: "CR CR LF in field", in: with("A: b\r\r\n"), reason: ReasonBareCR},
		{name: "CR CR LF in request line", in: get("GET / HTTP/1.1\r"), reason: ReasonBareCR},
		{name: "CR CR LF at the end", in: "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", reason: ReasonBareCR},
		{name: "space before first field", in: "GET / HTTP/1.1\r\n Host: a\r\n\r\n", reason: ReasonLeadingSpace},
		{name: "tab before first field", in: "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", reason: ReasonLeadingSpace},
		{name: "double space before target", in: get("GET  / HTTP/1.1"), reason: ReasonRequestLine},
		{name: "double space before version", in: get("GET /  HTTP/1.1"), reason: ReasonRequestLine},
		{name: "no target", in: get("GET  HTTP/1.1"), reason: ReasonRequestLine},
		{name: "no spaces", in: get("GET"), reason: ReasonRequestLine},
		{name: "tab for space", in: get("GET\t/ HTTP/1.1"), reason: ReasonRequestLine},
		{name: "tab before version", in: get("GET /\tHTTP/1.1"), reason: ReasonRequestLine},
		{name: "tab in target", in: get("GET /a\tb HTTP/1.1"), reason: ReasonRequestLine},
		{name: "trailing space", in: get("GET / HTTP/1.1 "), reason: ReasonRequestLine},
		{name: "trailing tab", in: get("GET / HTTP/1.1\t"), reason: ReasonRequestLine},
		{name: "trailing space without version", in: get("GET "), reason: ReasonRequestLine},
		{name: "leading space", in: get(" GET / HTTP/1.1"), reason: ReasonRequestLine},
		{name: "space in target", in: get("GET /a b HTTP/1.1"), reason: ReasonRequestLine},
		{name: "version in lower case", in: get("GET / http/1.1"), reason: ReasonVersion},
		{name: "version with leading zero", in: get("GET / HTTP/01.1"), reason: ReasonVersion},
		{name: "version with two digits", in: get("GET / HTTP/1.10"), reason: ReasonVersion},
		{name: "version without minor", in: get("GET / HTTP/1"), reason: ReasonVersion},
		{name: "other word for version", in: get("GET / HTTQ/1.1"), reason: ReasonVersion},
		{name: "no version", in: get("GET /"), reason: ReasonVersion},
		{name: "HTTP/1.2", in: get("GET / HTTP/1.2"), reason: ReasonVersion, status: 505},
		{name: "HTTP/2.0", in: get("GET / HTTP/2.0"), reason: ReasonVersion, status: 505},
		{name: "HTTP/0.9", in: get("GET / HTTP/0.9"), reason: ReasonVersion, status: 505},
		{name: "HTTP/2 preface", in: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", check: func(t *testing.T, _ *message.Request, h requestHead) {
			t.Helper()
			if !h.preface || h.size != 0 {
				t.Errorf("%+v", h)
			}
		}},
		{name: "HTTP/2 preface behind an empty line", in: "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", reason: ReasonVersion, status: 505},
		{name: "method not a token", in: get("G@T / HTTP/1.1"), reason: ReasonMethod},
		{name: "method with NUL", in: get("G\x00T / HTTP/1.1"), reason: ReasonMethod},
		{name: "method in brackets", in: get("(GET) / HTTP/1.1"), reason: ReasonMethod},
		{name: "method with obs-text", in: get("G\xc9T / HTTP/1.1"), reason: ReasonMethod},
		{name: "get in lower case", in: get("get / HTTP/1.1"), reason: ReasonMethodCase},
		{name: "Post in mixed case", in: get("Post / HTTP/1.1"), reason: ReasonMethodCase},
		{name: "connect in lower case", in: get("connect / HTTP/1.1"), reason: ReasonMethodCase},
		{name: "oPTIONS in mixed case", in: get("oPTIONS / HTTP/1.1"), reason: ReasonMethodCase},
		{name: "PURGE", in: get("PURGE / HTTP/1.1"), check: path("/")},
		{name: "REPORT", in: get("REPORT / HTTP/1.1"), check: path("/")},
		{name: "purge in lower case", in: get("purge / HTTP/1.1"), check: path("/")},
		{name: "CONNECT", in: "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", reason: ReasonMethodNotAllowed, status: 405},
		{name: "TRACE", in: get("TRACE / HTTP/1.1"), reason: ReasonMethodNotAllowed, status: 405},
		{name: "CONNECT where enabled", in: "CONNECT A:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", lim: &Limits{Connect: true}, check: host("A:443", "a")},
		{name: "CONNECT with a Host without port", in: "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", lim: &Limits{Connect: true}, check: host("a:443", "a")},
		{name: "CONNECT without port", in: "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", lim: &Limits{Connect: true}, reason: ReasonTargetForm},
		{name: "CONNECT with another Host", in: "CONNECT a:1 HTTP/1.1\r\nHost: b:1\r\n\r\n", lim: &Limits{Connect: true}, reason: ReasonAuthorityMismatch},
		{name: "CONNECT with a path", in: "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", lim: &Limits{Connect: true}, reason: ReasonHostSyntax},
		{name: "CONNECT with framing", in: "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n", lim: &Limits{Connect: true}, reason: ReasonMethodNotAllowed, status: 405},
	}
}

func targetRows() []requestRow {
	return []requestRow{
		{name: "origin-form", in: get("GET /a/b;c=d/e!$&'()*+,:@-._~^`{|}[] HTTP/1.1"), check: path("/a/b;c=d/e!$&'()*+,:@-._~^`{|}[]")},
		{name: "escape", in: get("GET /%41%7e HTTP/1.1"), check: path("/%41%7e")},
		{name: "opaque query", in: get(`GET /a?<">\%zz%00??/ HTTP/1.1`), check: func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if r.Path != "/a" || r.Query != `<">\%zz%00??/` {
				t.Errorf("path %q, query %q", r.Path, r.Query)
			}
		}},
		{name: "empty query", in: get("GET /a? HTTP/1.1"), check: func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if r.Path != "/a" || r.Query != "" || !r.HasQuery {
				t.Errorf("path %q, query %q %v", r.Path, r.Query, r.HasQuery)
			}
		}},
		{name: "obs-text in path", in: get("GET /\x80 HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "UTF-8 in query", in: get("GET /?\xc3\xa9 HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "control", in: get("GET /\x01 HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "NUL", in: get("GET /\x00 HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "NUL in query", in: get("GET /?\x00 HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "DEL", in: get("GET /\x7f HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "fragment", in: get("GET /a#b HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "fragment in query", in: get("GET /a?b#c HTTP/1.1"), reason: ReasonTargetOctet},
		{name: "quote in path", in: get(`GET /a" HTTP/1.1`), reason: ReasonTargetOctet},
		{name: "less-than in path", in: get(`GET /a< HTTP/1.1`), reason: ReasonTargetOctet},
		{name: "greater-than in path", in: get(`GET /a> HTTP/1.1`), reason: ReasonTargetOctet},
		{name: "backslash in path", in: get(`GET /a\b HTTP/1.1`), reason: ReasonBackslash},
		{name: "percent with no hex", in: get("GET /%zz HTTP/1.1"), reason: ReasonPercent},
		{name: "percent with one hex digit", in: get("GET /%4z HTTP/1.1"), reason: ReasonPercent},
		{name: "percent at the end", in: get("GET /% HTTP/1.1"), reason: ReasonPercent},
		{name: "percent and a digit at the end", in: get("GET /%4 HTTP/1.1"), reason: ReasonPercent},
		{name: "percent before query", in: get("GET /%4?1 HTTP/1.1"), reason: ReasonPercent},
		{name: "encoded NUL", in: get("GET /%00 HTTP/1.1"), reason: ReasonPercentControl},
		{name: "encoded LF", in: get("GET /%0a HTTP/1.1"), reason: ReasonPercentControl},
		{name: "encoded 1F", in: get("GET /%1F HTTP/1.1"), reason: ReasonPercentControl},
		{name: "encoded DEL", in: get("GET /%7f HTTP/1.1"), reason: ReasonPercentControl},
		{name: "absolute-form", in: get("GET http://a/b?c HTTP/1.1"), check: func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if r.Path != "/b" || r.Query != "c" || r.Authority != "a" {
				t.Errorf("%q %q %q", r.Path, r.Query, r.Authority)
			}
		}},
		{name: "absolute-form, case and default port", in: get("GET HTTP://A:80/b HTTP/1.1"), check: host("a", "a")},
		{name: "absolute-form https", in: get("GET https://a:443/b HTTP/1.1"), scheme: "https", check: path("/b")},
		{name: "absolute-form without path", in: get("GET http://a HTTP/1.1"), check: path("/")},
		{name: "absolute-form with query alone", in: get("GET http://a?b HTTP/1.1"), check: path("/")},
		{name: "absolute-form in 1.0 without Host", in: "GET http://B/c HTTP/1.0\r\n\r\n", check: host("B", "b")},
		{name: "authority differs", in: get("GET http://b/ HTTP/1.1"), reason: ReasonAuthorityMismatch},
		{name: "port differs", in: get("GET http://a:81/ HTTP/1.1"), reason: ReasonAuthorityMismatch},
		{name: "default port of the other scheme", in: get("GET http://a:443/ HTTP/1.1"), reason: ReasonAuthorityMismatch},
		{name: "absolute-form without Host", in: "GET http://a/ HTTP/1.1\r\n\r\n", reason: ReasonHostMissing},
		{name: "other scheme", in: get("GET ftp://a/ HTTP/1.1"), reason: ReasonTargetForm},
		{name: "userinfo", in: get("GET http://u@a/ HTTP/1.1"), reason: ReasonTargetForm},
		{name: "empty host", in: get("GET http:///b HTTP/1.1"), reason: ReasonTargetForm},
		{name: "empty host with port", in: get("GET http://:80/b HTTP/1.1"), reason: ReasonTargetForm},
		{name: "scheme is not the transport's", in: get("GET https://a/ HTTP/1.1"), reason: ReasonTargetForm},
		{name: "http on TLS", in: get("GET http://a/ HTTP/1.1"), scheme: "https", reason: ReasonTargetForm},
		{name: "absolute-form with bad path", in: get("GET http://a/%zz HTTP/1.1"), reason: ReasonPercent},
		{name: "absolute-form with bad host", in: get("GET http://a,b/ HTTP/1.1"), reason: ReasonHostSyntax},
		{name: "star", in: get("OPTIONS * HTTP/1.1"), check: func(t *testing.T, r *message.Request, h requestHead) {
			t.Helper()
			if !h.starForm || r.Path != "*" {
				t.Errorf("%+v %q", h, r.Path)
			}
		}},
		{name: "OPTIONS absolute-form without path", in: get("OPTIONS http://a HTTP/1.1"), check: path("*")},
		{name: "star with GET", in: get("GET * HTTP/1.1"), reason: ReasonTargetForm},
		{name: "star and more", in: get("OPTIONS *a HTTP/1.1"), reason: ReasonTargetForm},
		{name: "authority-form with GET", in: get("GET a:80 HTTP/1.1"), reason: ReasonTargetForm},
		{name: "relative path", in: get("GET a/b HTTP/1.1"), reason: ReasonTargetForm},
		{name: "query alone", in: get("GET ?a HTTP/1.1"), reason: ReasonTargetForm},
		{name: "two slashes", in: get("GET //a/b HTTP/1.1"), check: path("//a/b")},
	}
}

func fieldRows() []requestRow {
	return []requestRow{
		{name: "space before colon", in: with("A : b\r\n"), reason: ReasonSpaceBeforeColon},
		{name: "tab before colon", in: with("A\t: b\r\n"), reason: ReasonSpaceBeforeColon},
		{name: "obs-fold", in: with("A: b\r\n c\r\n"), reason: ReasonObsFold},
		{name: "obs-fold with tab", in: with("A: b\r\n\tc: d\r\n"), reason: ReasonObsFold},
		{name: "line of spaces", in: with("A: b\r\n  \r\n"), reason: ReasonObsFold},
		{name: "no colon", in: with("foo\r\n"), reason: ReasonFieldName},
		{name: "empty name", in: with(": b\r\n"), reason: ReasonFieldName},
		{name: "name with space", in: with("A B: c\r\n"), reason: ReasonFieldName},
		{name: "name with NUL", in: with("A\x00: c\r\n"), reason: ReasonFieldName},
		{name: "name with obs-text", in: with("A\xe9: c\r\n"), reason: ReasonFieldName},
		{name: "name with brackets", in: with("A[]: c\r\n"), reason: ReasonFieldName},
		{name: "NUL in value", in: with("A: b\x00c\r\n"), reason: ReasonFieldValue},
		{name: "0x01 in value", in: with("A: b\x01\r\n"), reason: ReasonFieldValue},
		{name: "0x08 in value", in: with("A: \x08b\r\n"), reason: ReasonFieldValue},
		{name: "VT in value", in: with("A: b\x0bc\r\n"), reason: ReasonFieldValue},
		{name: "FF in value", in: with("A: b\x0cc\r\n"), reason: ReasonFieldValue},
		{name: "0x1F in value", in: with("A: b\x1fc\r\n"), reason: ReasonFieldValue},
		{name: "DEL in value", in: with("A: b\x7fc\r\n"), reason: ReasonFieldValue},
		{name: "DEL in a long value", in: with("A: aaaaaaaaaaaaaaaaaaaaaa\x7faaaaaaaaaaaa\r\n"), reason: ReasonFieldValue},
		{name: "obs-text", in: with("A: \x80\xff\x85\xa0\r\n"), check: field("a", "\x80\xff\x85\xa0")},
		{name: "long obs-text", in: with("A: \xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n"), check: field("a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
		{name: "inner tab", in: with("A: b\tc\r\n"), check: field("a", "b\tc")},
		{name: "inner tabs in a long value", in: with("A: bbbbbbbbbbbbbb\t\tcccccccccccccccc\td\r\n"), check: field("a", "bbbbbbbbbbbbbb\t\tcccccccccccccccc\td")},
		{name: "empty value", in: with("A:\r\nB: \t \r\n"), check: field("b", "")},
		{name: "no space behind colon", in: with("A:b\r\n"), check: field("a", "b")},
		{name: "white space around", in: with("A: \t b c\t \r\n"), check: field("a", "b c")},
		{name: "same name twice", in: with("A: b\r\nB: x\r\na: c\r\n"), check: field("A", "b|c")},
		{name: "colon in value", in: with("A: b:c\r\n"), check: field("A", "b:c")},
		{name: "case is kept", in: with("x-WeIrD: 1\r\n"), check: func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if f := r.Header.Fields(); len(f) != 1 || f[0].Name != "x-WeIrD" {
				t.Errorf("%+v", f)
			}
		}},
		{name: "two Authorization", in: with("Authorization: a\r\nauthorization: a\r\n"), reason: ReasonDuplicateSingleton},
		{name: "two Content-Type", in: with("Content-Type: a\r\nContent-Type: b\r\n"), reason: ReasonDuplicateSingleton},
		{name: "two Max-Forwards", in: with("Max-Forwards: 1\r\nMax-Forwards: 2\r\n"), reason: ReasonDuplicateSingleton},
		{name: "two Expect", in: with("Expect: 100-continue\r\nExpect: 100-continue\r\n"), reason: ReasonDuplicateSingleton},
		{name: "Content_Length", in: with("Content_Length: 1\r\n"), reason: ReasonFramingLookalike},
		{name: "Transfer.Encoding", in: with("transfer.Encoding: chunked\r\n"), reason: ReasonFramingLookalike},
		{name: "Content+Length", in: with("Content+Length: 1\r\n"), reason: ReasonFramingLookalike},
		{name: "X_Forwarded_For", in: with("X_Forwarded_For: 1\r\nx-forwarded.proto: 1\r\nX_Maru_Subject: me\r\n"), check: func(t *testing.T, r *message.Request, h requestHead) {
			t.Helper()
			if r.Header.Len() != 0 || h.lookalikes != 3 {
				t.Errorf("%+v %+v", r.Header.Fields(), h)
			}
		}},
		{name: "X-Forwarded-For itself", in: with("X-Forwarded-For: 1\r\n"), check: field("X-Forwarded-For", "1")},
		{name: "other name with underscore", in: with("my_name: 1\r\nx_request_id: 2\r\n"), check: field("my_name", "1")},
	}
}

func hostRows() []requestRow {
	h := func(v string) string { return "GET / HTTP/1.1\r\nHost: " + v + "\r\n\r\n" }
	long := strings.Repeat("a", 255)
	return []requestRow{
		{name: "missing", in: "GET / HTTP/1.1\r\n\r\n", reason: ReasonHostMissing},
		{name: "two equal", in: "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", reason: ReasonHostMany},
		{name: "two different", in: "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", reason: ReasonHostMany},
		{name: "two in 1.0", in: "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", reason: ReasonHostMany},
		{name: "empty", in: h(""), reason: ReasonHostEmpty},
		{name: "port alone", in: h(":80"), reason: ReasonHostEmpty},
		{name: "name", in: h("Example.COM"), check: host("Example.COM", "example.com")},
		{name: "name with dash, underscore, digits", in: h("a-b_c.d9"), check: host("a-b_c.d9", "a-b_c.d9")},
		{name: "trailing dot", in: h("a.b."), check: host("a.b.", "a.b")},
		{name: "trailing dot and port", in: h("A.b.:8080"), check: host("A.b.:8080", "a.b")},
		{name: "IPv4", in: h("127.0.0.1:80"), check: host("127.0.0.1:80", "127.0.0.1")},
		{name: "IPv6", in: h("[::1]"), check: host("[::1]", "[::1]")},
		{name: "IPv6 with port", in: h("[2001:DB8::1]:65535"), check: host("[2001:DB8::1]:65535", "[2001:db8::1]")},
		{name: "IPv6 with IPv4 tail", in: h("[::ffff:1.2.3.4]"), check: host("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]")},
		{name: "empty port", in: h("a:"), check: host("a:", "a")},
		{name: "port 1", in: h("a:1"), check: host("a:1", "a")},
		{name: "255 bytes", in: h(long), check: host(long, long)},
		{name: "256 bytes", in: h(long + "a"), reason: ReasonHostSyntax},
		{name: "comma", in: h("a,b"), reason: ReasonHostSyntax},
		{name: "userinfo", in: h("u@a"), reason: ReasonHostSyntax},
		{name: "userinfo with colon", in: h("u:p@a"), reason: ReasonHostSyntax},
		{name: "slash", in: h("a/b"), reason: ReasonHostSyntax},
		{name: "backslash", in: h(`a\b`), reason: ReasonHostSyntax},
		{name: "question mark", in: h("a?b"), reason: ReasonHostSyntax},
		{name: "hash", in: h("a#b"), reason: ReasonHostSyntax},
		{name: "percent", in: h("a%41"), reason: ReasonHostSyntax},
		{name: "space", in: h("a b"), reason: ReasonHostSyntax},
		{name: "obs-text", in: h("a\xe9"), reason: ReasonHostSyntax},
		{name: "empty label", in: h("a..b"), reason: ReasonHostSyntax},
		{name: "empty first label", in: h(".a"), reason: ReasonHostSyntax},
		{name: "dot alone", in: h("."), reason: ReasonHostSyntax},
		{name: "two trailing dots", in: h("a.."), reason: ReasonHostSyntax},
		{name: "zone id", in: h("[fe80::1%25eth0]"), reason: ReasonHostSyntax},
		{name: "bad IPv6", in: h("[::1::]"), reason: ReasonHostSyntax},
		{name: "IPv4 in brackets", in: h("[1.2.3.4]"), reason: ReasonHostSyntax},
		{name: "open bracket", in: h("[::1"), reason: ReasonHostSyntax},
		{name: "bare IPv6", in: h("::1"), reason: ReasonHostEmpty},
		{name: "bare IPv6 with letters", in: h("a::1"), reason: ReasonHostSyntax},
		{name: "behind bracket", in: h("[::1]a"), reason: ReasonHostSyntax},
		{name: "port not numeric", in: h("a:b"), reason: ReasonHostPort},
		{name: "port signed", in: h("a:+80"), reason: ReasonHostPort},
		{name: "port over 65535", in: h("a:65536"), reason: ReasonHostPort},
		{name: "port 0", in: h("a:0"), reason: ReasonHostPort},
		{name: "port of six digits", in: h("a:000080"), reason: ReasonHostPort},
		{name: "port wraps", in: h("a:18446744073709551696"), reason: ReasonHostPort},
		{name: "1.0 without Host", in: "GET / HTTP/1.0\r\n\r\n", check: host("", "")},
	}
}

func lengthRows() []requestRow {
	return []requestRow{
		{name: "neither", in: post(""), check: length(0, false)},
		{name: "CL", in: post("Content-Length: 3\r\n"), check: length(3, false)},
		{name: "CL 0", in: post("Content-Length: 0\r\n"), check: length(0, false)},
		{name: "CL then TE", in: post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonCLTE},
		{name: "TE then CL", in: post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), reason: ReasonCLTE},
		{name: "bad CL and TE", in: post("Content-Length: x\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonCLTE},
		{name: "CL and bad TE", in: post("Content-Length: 3\r\nTransfer-Encoding: identity\r\n"), reason: ReasonCLTE},
		{name: "CL and TE in 1.0", in: "POST / HTTP/1.0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", reason: ReasonCLTE},
		{name: "two equal CL", in: post("Content-Length: 3\r\nContent-Length: 3\r\n"), reason: ReasonCLMany},
		{name: "two different CL", in: post("Content-Length: 3\r\ncontent-length: 4\r\n"), reason: ReasonCLMany},
		{name: "listed CL", in: post("Content-Length: 3, 3\r\n"), reason: ReasonCLMany},
		{name: "listed CL without space", in: post("Content-Length: 3,4\r\n"), reason: ReasonCLMany},
		{name: "CL empty", in: post("Content-Length:\r\n"), reason: ReasonCLSyntax},
		{name: "CL with plus", in: post("Content-Length: +3\r\n"), reason: ReasonCLSyntax},
		{name: "CL negative", in: post("Content-Length: -1\r\n"), reason: ReasonCLSyntax},
		{name: "CL with fraction", in: post("Content-Length: 3.0\r\n"), reason: ReasonCLSyntax},
		{name: "CL in hex", in: post("Content-Length: 0x3\r\n"), reason: ReasonCLSyntax},
		{name: "CL with inner space", in: post("Content-Length: 3 4\r\n"), reason: ReasonCLSyntax},
		{name: "CL with underscore", in: post("Content-Length: 1_0\r\n"), reason: ReasonCLSyntax},
		{name: "CL of 19 digits", in: post("Content-Length: 1000000000000000000\r\n"), reason: ReasonCLRange},
		{name: "CL wraps", in: post("Content-Length: 18446744073709551619\r\n"), reason: ReasonCLRange},
		{name: "CL of 19 zeros", in: post("Content-Length: 0000000000000000000\r\n"), reason: ReasonCLRange},
		{name: "CL of 18 digits", in: post("Content-Length: 999999999999999999\r\n"), reason: ReasonBodyTooLarge, status: 413},
		{name: "CL of 18 digits without limit", in: post("Content-Length: 999999999999999999\r\n"), lim: noBodyLimit(), check: length(999999999999999999, false)},
		{name: "CL at the limit", in: post("Content-Length: 268435456\r\n"), check: length(256<<20, false)},
		{name: "CL over the limit", in: post("Content-Length: 268435457\r\n"), reason: ReasonBodyTooLarge, status: 413},
		{name: "CL with leading zeros", in: post("Content-Length: 0003\r\n"), check: length(3, false)},
		{name: "TE chunked", in: post("Transfer-Encoding: chunked\r\n"), check: length(-1, true)},
		{name: "TE Chunked", in: post("transfer-encoding: \tChunKED \r\n"), check: length(-1, true)},
		{name: "TE gzip, chunked", in: post("Transfer-Encoding: gzip, chunked\r\n"), reason: ReasonTEUnsupported, status: 501},
		{name: "TE deflate,compress,chunked", in: post("Transfer-Encoding: deflate,x-compress,Chunked\r\n"), reason: ReasonTEUnsupported, status: 501},
		{name: "TE empty", in: post("Transfer-Encoding:\r\n"), reason: ReasonTESyntax},
		{name: "TE ,chunked", in: post("Transfer-Encoding: ,chunked\r\n"), reason: ReasonTESyntax},
		{name: "TE chunked,", in: post("Transfer-Encoding: chunked,\r\n"), reason: ReasonTESyntax},
		{name: "TE chunked;q=1", in: post("Transfer-Encoding: chunked;q=1\r\n"), reason: ReasonTESyntax},
		{name: "TE VT chunked", in: post("Transfer-Encoding: \x0bchunked\r\n"), reason: ReasonTESyntax},
		{name: "TE identity", in: post("Transfer-Encoding: identity\r\n"), reason: ReasonTESyntax},
		{name: "TE xchunked", in: post("Transfer-Encoding: xchunked\r\n"), reason: ReasonTESyntax},
		{name: "TE quoted", in: post("Transfer-Encoding: \"chunked\"\r\n"), reason: ReasonTESyntax},
		{name: "TE NBSP chunked", in: post("Transfer-Encoding: \xa0chunked\r\n"), reason: ReasonTESyntax},
		{name: "TE gzip", in: post("Transfer-Encoding: gzip\r\n"), reason: ReasonTESyntax},
		{name: "TE chunked, gzip", in: post("Transfer-Encoding: chunked, gzip\r\n"), reason: ReasonTESyntax},
		{name: "TE identity, chunked", in: post("Transfer-Encoding: identity, chunked\r\n"), reason: ReasonTESyntax},
		{name: "TE chunked, chunked", in: post("Transfer-Encoding: chunked, chunked\r\n"), reason: ReasonTEMany},
		{name: "two TE lines", in: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonTEMany},
		{name: "two TE lines, one bad", in: post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"), reason: ReasonTEMany},
		{name: "TE in 1.0", in: "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", reason: ReasonTEOn10},
		{name: "GET with body", in: with("Content-Length: 3\r\n"), check: length(3, false)},
		{name: "HEAD with body", in: "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", check: length(3, false)},
		{name: "DELETE with body", in: "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", check: length(-1, true)},
		{name: "framing fields are not kept", in: post("Content-Length: 3\r\nA: b\r\n"), check: func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if r.Header.Len() != 1 {
				t.Errorf("%+v", r.Header.Fields())
			}
		}},
	}
}

func noBodyLimit() *Limits {
	none := message.Size(0)
	return &Limits{Body: &none}
}

func limitRows() []requestRow {
	line := func(n int) string { // a request line of n octets
		return "GET /" + strings.Repeat("a", n-len("GET / HTTP/1.1")) + " HTTP/1.1"
	}
	many := func(n int) string { return with(strings.Repeat("a: b\r\n", n-1)) }
	head := func(n int) string { // a head of n octets
		s := with("a: \r\n")
		var fill strings.Builder
		for len(s)+fill.Len() < n-300 {
			fill.WriteString("b: " + strings.Repeat("c", 290) + "\r\n")
		}
		return with(fill.String() + "a: " + strings.Repeat("d", n-len(s)-fill.Len()) + "\r\n")
	}
	name := func(n int) string { return with(strings.Repeat("n", n) + ": v\r\n") }
	return []requestRow{
		{name: "request line at the limit", in: get(line(8192))},
		{name: "request line over the limit", in: get(line(8193)), reason: ReasonTargetTooLong, status: 414},
		{name: "request line without end", in: strings.TrimSuffix(line(9000), " HTTP/1.1"), reason: ReasonTargetTooLong, status: 414},
		{name: "long line that is wrong too", in: get("GET /\x01" + line(9000)), reason: ReasonTargetTooLong, status: 414},
		{name: "method at the limit", in: get(strings.Repeat("M", 32) + " / HTTP/1.1")},
		{name: "method too long", in: get(strings.Repeat("M", 33) + " / HTTP/1.1"), reason: ReasonMethodTooLong, status: 501},
		{name: "method without end", in: strings.Repeat("M", 9000), reason: ReasonMethodTooLong, status: 501},
		{name: "head at the limit", in: head(32 << 10)},
		{name: "head over the limit", in: head(32<<10 + 1), reason: ReasonHeadTooLarge, status: 431},
		{name: "field line without end", in: with("a: " + strings.Repeat("b", 33<<10))[:33<<10], reason: ReasonHeadTooLarge, status: 431},
		{name: "fields at the limit", in: many(128)},
		{name: "fields over the limit", in: many(129), reason: ReasonTooManyFields, status: 431},
		{name: "name at the limit", in: name(256)},
		{name: "name over the limit", in: name(257), reason: ReasonNameTooLong, status: 431},
		{name: "own limits", in: get("GET /aaaaaaaa HTTP/1.1"), lim: &Limits{RequestLine: 16}, reason: ReasonTargetTooLong, status: 414},
		{name: "own tiny limit", in: get("GET /aaaaaaaa HTTP/1.1"), lim: &Limits{RequestLine: 2}, reason: ReasonTargetTooLong, status: 414},
	}
}

func connectionRows() []requestRow {
	conn := func(wantClose, wantKeep bool) func(*testing.T, *message.Request, requestHead) {
		return func(t *testing.T, _ *message.Request, h requestHead) {
			t.Helper()
			if h.close != wantClose || h.keepAlive10 != wantKeep {
				t.Errorf("close %v, keepAlive10 %v", h.close, h.keepAlive10)
			}
		}
	}
	up := func(want string) func(*testing.T, *message.Request, requestHead) {
		return func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if r.Upgrade != want {
				t.Errorf("upgrade %q, want %q", r.Upgrade, want)
			}
		}
	}
	expect := func(want bool) func(*testing.T, *message.Request, requestHead) {
		return func(t *testing.T, r *message.Request, _ requestHead) {
			t.Helper()
			if r.Expect != want {
				t.Errorf("expect %v", r.Expect)
			}
		}
	}
	old := func(lines string) string { return "GET / HTTP/1.0\r\n" + lines + "\r\n" }
	return []requestRow{
		{name: "1.1 persists", in: with(""), check: conn(false, false)},
		{name: "1.1 close", in: with("Connection: close\r\n"), check: conn(true, false)},
		{name: "1.1 close in a list, any case", in: with("Connection: a, ,CLOSE\r\n"), check: conn(true, false)},
		{name: "1.1 close on another line", in: with("Connection: keep-alive\r\nConnection: Close\r\n"), check: conn(true, false)},
		{name: "1.0 closes", in: old(""), check: conn(true, false)},
		{name: "1.0 keep-alive", in: old("Connection: Keep-Alive\r\n"), check: conn(false, true)},
		{name: "1.0 keep-alive and close", in: old("Connection: keep-alive, close\r\n"), check: conn(true, false)},
		{name: "upgrade", in: with("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"), check: up("WebSocket")},
		{name: "upgrade with version", in: with("Connection: upgrade\r\nUpgrade: foo/1.2\r\n"), check: up("foo/1.2")},
		{name: "upgrade without Connection", in: with("Upgrade: websocket\r\n"), check: up("")},
		{name: "upgrade in 1.0", in: old("Connection: upgrade\r\nUpgrade: websocket\r\n"), check: up("")},
		{name: "upgrade of two protocols", in: with("Connection: upgrade\r\nUpgrade: websocket, foo\r\n"), check: up("")},
		{name: "two Upgrade lines", in: with("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n"), check: up("")},
		{name: "upgrade with body", in: post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"), check: up("")},
		{name: "upgrade with chunked body", in: post("Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"), check: up("")},
		{name: "h2c", in: with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), check: up("")},
		{name: "H2C", in: with("Connection: Upgrade\r\nUpgrade: H2C\r\n"), check: up("")},
		{name: "TLS upgrade", in: with("Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n"), check: up("")},
		{name: "expect", in: post("Expect: 100-Continue\r\nContent-Length: 1\r\n"), check: expect(true)},
		{name: "expect chunked", in: post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"), check: expect(true)},
		{name: "expect without body", in: post("Expect: 100-continue\r\n"), check: expect(false)},
		{name: "expect in 1.0", in: "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", check: expect(false)},
		{name: "other expectation", in: post("Expect: 200-ok\r\nContent-Length: 1\r\n"), reason: ReasonExpectation, status: 417},
		{name: "empty expectation", in: post("Expect:\r\nContent-Length: 1\r\n"), reason: ReasonExpectation, status: 417},
		{name: "trailer announced", in: post("Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n"), check: field("Trailer", "X-Sum")},
		{name: "Transfer-Encoding announced", in: post("Trailer: A, transfer-encoding\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonTrailerFraming},
		{name: "Content-Length announced", in: post("Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonTrailerFraming},
		{name: "Host announced", in: post("Trailer: Host\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonTrailerFraming},
		{name: "Trailer announced", in: post("Trailer: A\r\nTrailer: trailer\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonTrailerFraming},
		{name: "nominated trailer announced", in: post("Trailer: X-A\r\nTransfer-Encoding: chunked\r\nConnection: x-a\r\n"), reason: ReasonTrailerFraming},
	}
}

func requestTables() map[string][]requestRow {
	return map[string][]requestRow{
		"TestRequestLine": requestLineRows(), "TestTarget": targetRows(), "TestFieldLines": fieldRows(), "TestHost": hostRows(),
		"TestBodyLength": lengthRows(), "TestLimits": limitRows(), "TestConnectionFields": connectionRows(),
	}
}

// responseRow is one line of a table of responses.
type responseRow struct {
	name, in string
	method   string // "" is GET
	reason   string // with status 502
	framing  framing
	length   int64
	close    bool
	check    func(t *testing.T, p *message.Response, h responseHead)
}

func ok(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n" }

func statusRows() []responseRow {
	reason := func(want string) func(*testing.T, *message.Response, responseHead) {
		return func(t *testing.T, p *message.Response, _ responseHead) {
			t.Helper()
			if p.Reason != want {
				t.Errorf("reason %q", p.Reason)
			}
		}
	}
	st := func(line string) string { return line + "\r\nContent-Length: 0\r\n\r\n" }
	return []responseRow{
		{name: "plain", in: st("HTTP/1.1 200 OK"), framing: framingLength, check: reason("OK")},
		{name: "no phrase", in: st("HTTP/1.1 200 "), framing: framingLength, check: reason("")},
		{name: "no space behind status", in: st("HTTP/1.1 200"), framing: framingLength, check: reason("")},
		{name: "phrase with obs-text and tab", in: st("HTTP/1.1 404 n\xe9\tx"), framing: framingLength, check: reason("n\xe9\tx")},
		{name: "599", in: st("HTTP/1.1 599 x"), framing: framingLength},
		{name: "HTTP/1.0", in: st("HTTP/1.0 200 OK"), framing: framingLength, close: true},
		{name: "HTTP/2.0", in: st("HTTP/2.0 200 OK"), reason: ReasonStatusLine},
		{name: "HTTP/1.2", in: st("HTTP/1.2 200 OK"), reason: ReasonStatusLine},
		{name: "000", in: st("HTTP/1.1 000 x"), reason: ReasonStatusLine},
		{name: "099", in: st("HTTP/1.1 099 x"), reason: ReasonStatusLine},
		{name: "600", in: st("HTTP/1.1 600 x"), reason: ReasonStatusLine},
		{name: "two digits", in: st("HTTP/1.1 20 x"), reason: ReasonStatusLine},
		{name: "four digits", in: st("HTTP/1.1 2000 x"), reason: ReasonStatusLine},
		{name: "letters", in: st("HTTP/1.1 2x0 x"), reason: ReasonStatusLine},
		{name: "leading CRLF", in: "\r\n" + st("HTTP/1.1 200 OK"), reason: ReasonStatusLine},
		{name: "bare LF", in: "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", reason: ReasonStatusLine},
		{name: "control in phrase", in: st("HTTP/1.1 200 O\x01"), reason: ReasonStatusLine},
		{name: "CR in phrase", in: st("HTTP/1.1 200 O\rK"), reason: ReasonStatusLine},
		{name: "no status line", in: "<html>\r\n\r\n", reason: ReasonStatusLine},
		{name: "lower case", in: st("http/1.1 200 OK"), reason: ReasonStatusLine},
		{name: "two spaces", in: st("HTTP/1.1  200 OK"), reason: ReasonStatusLine},
	}
}

func responseLengthRows() []responseRow {
	return []responseRow{
		{name: "CL", in: ok("Content-Length: 3\r\n"), framing: framingLength, length: 3},
		{name: "chunked", in: ok("Transfer-Encoding: chunked\r\n"), framing: framingChunked, length: -1},
		{name: "neither", in: ok(""), framing: framingClose, length: -1, close: true},
		{name: "close", in: ok("Content-Length: 3\r\nConnection: close\r\n"), framing: framingLength, length: 3, close: true},
		{name: "1.0 keep-alive", in: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", framing: framingLength, length: 1},
		{name: "to HEAD with CL", method: "HEAD", in: ok("Content-Length: 3\r\n"), length: 3},
		{name: "to HEAD with TE", method: "HEAD", in: ok("Transfer-Encoding: chunked\r\n"), length: -1},
		{name: "to HEAD with neither", method: "HEAD", in: ok(""), length: -1},
		{name: "to HEAD with both", method: "HEAD", in: ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), length: 3, close: true},
		{name: "to HEAD with bad CL", method: "HEAD", in: ok("Content-Length: x\r\n"), reason: ReasonCLSyntax},
		{name: "304 with CL", in: "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", length: 5},
		{name: "304", in: "HTTP/1.1 304 x\r\n\r\n", length: -1},
		{name: "204", in: "HTTP/1.1 204 x\r\n\r\n"},
		{name: "204 with CL 0", in: "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n"},
		{name: "204 with CL", in: "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", close: true},
		{name: "204 with TE", in: "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", close: true},
		{name: "103", in: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"},
		{name: "100 with CL", in: "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", close: true},
		{name: "205 with CL 0", in: "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n"},
		{name: "205 with CL", in: "HTTP/1.1 205 x\r\nContent-Length: 3\r\n\r\n", close: true},
		{name: "205 with TE", in: "HTTP/1.1 205 x\r\nTransfer-Encoding: chunked\r\n\r\n", close: true},
		{name: "205 to HEAD", method: "HEAD", in: "HTTP/1.1 205 x\r\n\r\n"},
		{name: "205 with neither", in: "HTTP/1.1 205 x\r\n\r\n", close: true},
		{name: "CL and TE", in: ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonCLTE},
		{name: "TE and CL", in: ok("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), reason: ReasonCLTE},
		{name: "two CL", in: ok("Content-Length: 3\r\nContent-Length: 3\r\n"), reason: ReasonCLMany},
		{name: "listed CL", in: ok("Content-Length: 3, 3\r\n"), reason: ReasonCLMany},
		{name: "bad CL", in: ok("Content-Length: +3\r\n"), reason: ReasonCLSyntax},
		{name: "CL out of range", in: ok("Content-Length: 18446744073709551619\r\n"), reason: ReasonCLRange},
		{name: "TE gzip, chunked", in: ok("Transfer-Encoding: gzip, chunked\r\n"), reason: ReasonTEUnsupported},
		{name: "TE identity", in: ok("Transfer-Encoding: identity\r\n"), reason: ReasonTESyntax},
		{name: "two TE", in: ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), reason: ReasonTEMany},
		{name: "TE in 1.0", in: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", reason: ReasonTEOn10},
		{name: "101", in: "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", check: func(t *testing.T, _ *message.Response, h responseHead) {
			t.Helper()
			if h.upgrade != "websocket" {
				t.Errorf("%+v", h)
			}
		}},
		{name: "101 without Connection", in: "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", check: func(t *testing.T, _ *message.Response, h responseHead) {
			t.Helper()
			if h.upgrade != "" {
				t.Errorf("%+v", h)
			}
		}},
		{name: "Keep-Alive", in: ok("Content-Length: 1\r\nKeep-Alive: max=9, Timeout=5\r\n"), framing: framingLength, length: 1, check: func(t *testing.T, _ *message.Response, h responseHead) {
			t.Helper()
			if h.keepAliveTimeout.Seconds() != 5 {
				t.Errorf("%+v", h)
			}
		}},
		{name: "trailer announced", in: ok("Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n"), reason: ReasonTrailerFraming},
	}
}

func responseFieldRows() []responseRow {
	l := "Content-Length: 0\r\n"
	var many strings.Builder
	for range 256 {
		many.WriteString("a: b\r\n")
	}
	return []responseRow{
		{name: "space before colon", in: ok("Content-Length : 3\r\n"), reason: ReasonSpaceBeforeColon},
		{name: "obs-fold", in: ok("A: b\r\n c\r\n"), reason: ReasonObsFold},
		{name: "leading space", in: ok(" A: b\r\n"), reason: ReasonLeadingSpace},
		{name: "no colon", in: ok("foo\r\n"), reason: ReasonFieldName},
		{name: "NUL in value", in: ok("A: \x00\r\n"), reason: ReasonFieldValue},
		{name: "bare LF", in: ok("A: b\nC: d\r\n"), reason: ReasonBareLF},
		{name: "bare CR", in: ok("A: b\rC: d\r\n"), reason: ReasonBareCR},
		{name: "two Content-Type", in: ok("Content-Type: a\r\nContent-Type: b\r\n"), reason: ReasonDuplicateSingleton},
		{name: "two Set-Cookie", in: ok(l + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), framing: framingLength},
		{name: "framing look-alike is dropped", in: ok(l + "Content_Length: 3\r\nA: b\r\n"), framing: framingLength, check: func(t *testing.T, p *message.Response, h responseHead) {
			t.Helper()
			if p.Header.Len() != 1 || h.lookalikes != 1 {
				t.Errorf("%+v %+v", p.Header.Fields(), h)
			}
		}},
		{name: "256 fields", in: ok(l + many.String()[6:]), framing: framingLength},
		{name: "257 fields", in: ok(l + many.String()), reason: ReasonResponseHeadTooLarge},
		{name: "head too large", in: ok(strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 66)), reason: ReasonResponseHeadTooLarge},
		{name: "line without end", in: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 64<<10), reason: ReasonResponseHeadTooLarge},
		{name: "status line without end", in: "HTTP/1.1 200 " + strings.Repeat("b", 64<<10), reason: ReasonResponseHeadTooLarge},
	}
}

func responseTables() map[string][]responseRow {
	return map[string][]responseRow{
		"TestStatusLine": statusRows(), "TestResponseLength": responseLengthRows(), "TestResponseFields": responseFieldRows(),
	}
}

// chunkRow is one line of a table of chunked bodies.
type chunkRow struct {
	name, in string
	reason   string
	payload  string
	rest     string // what belongs to the next message
	trailer  string // "Name: value|…"
	dropped  int
	head     string // Connection of the head
	response bool
}

func chunkRows() []chunkRow {
	one := func(line string) string { return line + "\r\nabc\r\n0\r\n\r\n" }
	return []chunkRow{
		{name: "one chunk", in: one("3"), payload: "abc"},
		{name: "two chunks", in: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", payload: "abcde", rest: "GET"},
		{name: "empty body", in: "0\r\n\r\n"},
		{name: "upper and lower case, leading zeros", in: "00000000000000A\r\n0123456789\r\n0b\r\n01234567890\r\n000\r\n\r\n", payload: "012345678901234567890"},
		{name: "0x3", in: one("0x3"), reason: ReasonChunkSize},
		{name: "+3", in: one("+3"), reason: ReasonChunkSize},
		{name: "-3", in: one("-3"), reason: ReasonChunkSize},
		{name: "empty size", in: one(""), reason: ReasonChunkSize},
		{name: "empty size with extension", in: one(";a"), reason: ReasonChunkSize},
		{name: "16 digits", in: one("0000000000000003"), reason: ReasonChunkSize},
		{name: "17 digits", in: one("10000000000000003"), reason: ReasonChunkSize},
		{name: "bad digit", in: one("3g"), reason: ReasonChunkSize},
		{name: "NUL in size", in: one("3\x00"), reason: ReasonChunkSize},
		{name: "space before size", in: one(" 3"), reason: ReasonChunkSpace},
		{name: "space behind size", in: one("3 "), reason: ReasonChunkSpace},
		{name: "tab behind size", in: one("3\t"), reason: ReasonChunkSpace},
		{name: "space before extension", in: one("3 ;a=b"), reason: ReasonChunkSpace},
		{name: "extension", in: one("3;a"), payload: "abc"},
		{name: "extension with token", in: one("3;a=b;c"), payload: "abc"},
		{name: "extension with quoted string", in: one(`3;a="b;\" c` + "\xff\t" + `";d=e`), payload: "abc"},
		{name: "extension on last chunk", in: "0;a=b\r\n\r\n"},
		{name: "extension with bare LF", in: one("3;a\nb"), reason: ReasonChunkExt},
		{name: "extension with LF line end", in: "3;a\nabc\r\n0\r\n\r\n", reason: ReasonChunkExt},
		{name: "extension with bare CR", in: one("3;a\rb"), reason: ReasonChunkExt},
		{name: "quoted LF", in: one("3;a=\"\n\""), reason: ReasonChunkExt},
		{name: "quoted CRLF", in: one("3;a=\"\r\n\""), reason: ReasonChunkExt},
		{name: "unbalanced quote", in: one(`3;a="b`), reason: ReasonChunkExt},
		{name: "behind the quote", in: one(`3;a="b"c`), reason: ReasonChunkExt},
		{name: "escaped LF", in: one("3;a=\"\\\n\""), reason: ReasonChunkExt},
		{name: "control in extension", in: one("3;a\x01"), reason: ReasonChunkExt},
		{name: "control in quoted string", in: one("3;a=\"\x01\""), reason: ReasonChunkExt},
		{name: "extension without name", in: one("3;"), reason: ReasonChunkExt},
		{name: "extension without value", in: one("3;a="), reason: ReasonChunkExt},
		{name: "space in extension", in: one("3; a=b"), reason: ReasonChunkExt},
		{name: "LF behind size", in: "3\nabc\r\n0\r\n\r\n", reason: ReasonChunkLF},
		{name: "CR alone behind size", in: "3\rabc\r\n0\r\n\r\n", reason: ReasonChunkLF},
		{name: "LF behind data", in: "3\r\nabc\n0\r\n\r\n", reason: ReasonChunkLF},
		{name: "LF behind last chunk", in: "3\r\nabc\r\n0\n\r\n", reason: ReasonChunkLF},
		{name: "LF at the end", in: "0\r\n\n", reason: ReasonChunkLF},
		{name: "LF in trailers", in: "0\r\nA: b\n\r\n", reason: ReasonChunkLF},
		{name: "no CRLF behind data", in: "3\r\nabcd\r\n0\r\n\r\n", reason: ReasonChunkEnd},
		{name: "CR alone behind data", in: "3\r\nabc\r0\r\n\r\n", reason: ReasonChunkEnd},
		{name: "wrong end of trailers", in: "0\r\nA: b\r\n\rX", payload: "", reason: "unfinished"},
		{name: "two zero-size chunks", in: "0\r\n\r\n0\r\n\r\n", rest: "0\r\n\r\n"},
		{name: "line at the limit", in: one("3;" + strings.Repeat("a", 254)), payload: "abc"},
		{name: "line over the limit", in: one("3;" + strings.Repeat("a", 255)), reason: ReasonChunkLineTooLong},
		{name: "one-octet chunks", in: strings.Repeat("1\r\na\r\n", 10000) + "0\r\n\r\n", payload: strings.Repeat("a", 10000)},
		{name: "overhead", in: strings.Repeat("1;"+strings.Repeat("x", 250)+"\r\na\r\n", 100), reason: ReasonChunkOverhead},
		{name: "fault in a response", in: one("3 "), reason: ReasonChunkSpace, response: true},
	}
}

func trailerRows() []chunkRow {
	end := func(lines string) string { return "1\r\na\r\n0\r\n" + lines + "\r\n" }
	ok := func(name, lines, want string, dropped int) chunkRow {
		return chunkRow{name: name, in: end(lines), payload: "a", trailer: want, dropped: dropped}
	}
	bad := func(name, lines, reason string) chunkRow { return chunkRow{name: name, in: end(lines), reason: reason} }
	rows := []chunkRow{
		ok("forwarded", "X-Sum: 1\r\ngrpc-status: 0\r\nx-sum:2 \r\n", "X-Sum: 1|grpc-status: 0|x-sum: 2", 0),
		ok("empty value", "X:\r\n", "X: ", 0),
		bad("space before colon", "X : 1\r\n", ReasonSpaceBeforeColon),
		bad("obs-fold", "X: 1\r\n 2\r\n", ReasonObsFold),
		bad("leading space", " X: 1\r\n", ReasonObsFold),
		bad("bad name", "X\r\n", ReasonFieldName),
		bad("bad value", "X: \x00\r\n", ReasonFieldValue),
		bad("bare CR", "X: a\rb\r\n", ReasonBareCR),
		bad("Transfer-Encoding", "transfer-encoding: chunked\r\n", ReasonTrailerFraming),
		bad("Content-Length", "Content-Length: 1\r\n", ReasonTrailerFraming),
		bad("Host", "Host: a\r\n", ReasonTrailerFraming),
		bad("Trailer", "Trailer: a\r\n", ReasonTrailerFraming),
		bad("framing look-alike", "Content_Length: 1\r\n", ReasonFramingLookalike),
		ok("managed look-alike", "X_Forwarded_For: 1\r\n", "", 1),
		{name: "nominated", in: end("X-A: 1\r\n"), reason: ReasonTrailerFraming, head: "close, x-a"},
		{name: "framing look-alike in a response", in: end("Content_Length: 1\r\nA: b\r\n"), payload: "a", trailer: "A: b", dropped: 1, response: true},
		{name: "framing in a response", in: end("Content-Length: 1\r\n"), reason: ReasonTrailerFraming, response: true},
		{name: "count at the limit", in: end(strings.Repeat("A: b\r\n", 32)), payload: "a", trailer: strings.TrimSuffix(strings.Repeat("A: b|", 32), "|")},
		bad("too many", strings.Repeat("A: b\r\n", 33), ReasonTrailerTooLarge),
		bad("too large", "A: "+strings.Repeat("b", 8<<10)+"\r\n", ReasonTrailerTooLarge),
		bad("name too long", strings.Repeat("A", 257)+": b\r\n", ReasonTrailerTooLarge),
	}
	for _, name := range []string{
		"Authorization", "Cookie", "Set-Cookie", "Content-Type", "Content-Encoding", "content-whatever", "Cache-Control", "Expires", "Age", "Date",
		"Location", "Vary", "Range", "TE", "Max-Forwards", "Expect", "If-Match", "if-anything", "WWW-Authenticate", "Forwarded",
		"X-Forwarded-For", "X-Forwarded-Other", "X-Maru-Subject", "Connection", "Keep-Alive", "Upgrade", "Proxy-Authorization",
	} {
		rows = append(rows, ok("dropped "+name, name+": 1\r\nZ: 2\r\n", "Z: 2", 1))
	}
	return rows
}
