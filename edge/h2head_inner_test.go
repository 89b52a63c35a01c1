package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// FuzzH2Head wants every head that is taken to mean the same once it is written
// as HTTP/1.1: nothing in it may become a line, a field or a target of its own.
// in holds names and values by turns, each ended by a NUL.
func FuzzH2Head(f *testing.F) {
	for _, fields := range [][]string{
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/"},
		{":method", "POST", ":scheme", "https", ":authority", "h:80", ":path", "/a?b=c", "content-length", "5", "cookie", "a=1", "cookie", "b=2"},
		{":method", "GET", ":scheme", "http", ":path", "/", "host", "h", "te", "trailers"},
		{":method", "OPTIONS", ":scheme", "http", ":authority", "h", ":path", "*"},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/ HTTP/1.1\r\nx: y", "a", "b\r\nc: d"},
		{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/", "connection", "x", "x y", "z"},
		{":method", "CONNECT", ":authority", "h:443"},
		{":method", "GET", ":scheme", "http", ":authority", "a@h", ":path", "//x", "transfer-encoding", "chunked"},
	} {
		f.Add([]byte(strings.Join(fields, "\x00")), true)
		f.Add([]byte(strings.Join(fields, "\x00")), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, ended bool) {
		parts := strings.Split(string(in), "\x00")
		c := &h2Conn{s: &h2Server{limits: http1.Limits{}.WithDefaults()}, info: connInfo{scheme: "http"}}
		c.block.ended = ended
		for i := 0; i+1 < len(parts); i += 2 {
			c.emit(hpack.HeaderField{Name: parts[i], Value: parts[i+1]})
		}
		r := c.newRequest()
		defer r.Release()
		ref, err := c.fillRequest(r)
		if ref != nil || err != nil {
			return
		}
		compareWithHTTP1(t, r)
	})
}

// compareWithHTTP1 writes the request and lets net/http read it.
func compareWithHTTP1(t *testing.T, r *message.Request) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.AppendTarget(nil), r.Authority)
	n := 0
	for _, f := range r.Header.Fields() {
		if f.ID != message.Expect && f.ID != message.Trailer { // net/http takes those out
			n++
		}
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\nrest")
	in := bufio.NewReader(&b)
	got, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("taken, but net/http says %v", err)
	}
	if got.Method != r.Method || got.RequestURI != string(r.AppendTarget(nil)) || got.Host != r.Authority {
		t.Errorf("%s %s %s became %s %s %s", r.Method, r.AppendTarget(nil), r.Authority, got.Method, got.RequestURI, got.Host)
	}
	m := 0
	for name, values := range got.Header {
		if name != "Expect" {
			m += len(values)
		}
	}
	if n != m {
		t.Errorf("%d fields became %d: %v", n, m, got.Header)
	}
	if rest, _ := in.Peek(4); !slices.Equal(rest, []byte("rest")) {
		t.Errorf("the head ends before %q", rest)
	}
}
