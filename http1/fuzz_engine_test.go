package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/message"
)

// FuzzPath: a target that we take is one that net/url takes too, with the same
// path and query; it is written back byte for byte.
func FuzzPath(f *testing.F) {
	for _, row := range targetRows() {
		_, target, _ := strings.Cut(row.in, " ")
		target, _, _ = strings.Cut(target, " HTTP/")
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if strings.ContainsAny(target, "\r\n") {
			return
		}
		r := newRequest("")
		h, ok, err := parseRequest(exact(get("GET "+target+" HTTP/1.1")), r, limitsOf(nil))
		if !ok || err != nil || h.preface {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatalf("net/url refuses %q: %v", target, err)
		}
		if plain, err := url.PathUnescape(r.Path); err != nil || plain != u.Path && !(u.Path == "" && plain == "/") {
			t.Fatalf("%q: path %q, net/url %q, %v", target, r.Path, u.Path, err)
		}
		if u.RawQuery != r.Query || r.HasQuery != (u.RawQuery != "" || u.ForceQuery) {
			t.Fatalf("%q: query %q, net/url %q", target, r.Query, u.RawQuery)
		}
		if out := appendTarget(nil, r); target[0] == '/' && string(out) != target {
			t.Fatalf("%q is written as %q", target, out)
		}
		for _, c := range []byte(r.Path) {
			if c <= ' ' || c >= 0x7F || strings.IndexByte("\"<>\\#?", c) >= 0 {
				t.Fatalf("path %q holds %q", r.Path, c)
			}
		}
	})
}

var runWatch = sync.OnceValue(func() *Watchdog { //nolint:gochecknoglobals // one for all inputs of a process
	w := NewWatchdog()
	go func() { _ = w.Run(context.Background()) }()
	return w
})

// mirror answers with what it read of the request.
func mirror(r *message.Request) *message.Response {
	b, err := message.ReadAll(nil, r.Body, 1<<20)
	p := message.NewResponse(200)
	if ref, ok := errors.AsType[*Refusal](err); ok {
		p.Status, p.Close = ref.Status, true
		p.SetBytes([]byte(ref.Reason))
		return p
	}
	var out bytes.Buffer
	out.WriteString(r.Method + " " + string(r.AppendTarget(nil)) + "\n" + lines(&r.Header) + "\n")
	out.Write(b)
	out.WriteString("\n" + lines(&r.Trailer))
	p.SetBytes(out.Bytes())
	return p
}

// served is all that a client gets for in, sent in pieces of step bytes.
func served(t *testing.T, in []byte, step int) string {
	t.Helper()
	s := &Server{Handler: mirror, Watch: runWatch()}
	here, there := memnet.Pipe()
	done := make(chan struct{})
	go func() { s.ServeConn(there, ConnInfo{Scheme: "http"}); close(done) }()
	go func() {
		for rest := in; len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := here.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		_ = here.CloseWrite()
	}()
	_ = here.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(here)
	if err != nil && len(b) == 0 && errors.Is(err, errTimeout) {
		t.Fatalf("it hangs: %v", err)
	}
	_ = here.Close()
	<-done
	return dateLine.ReplaceAllString(string(b), "")
}

// FuzzServer: the engine gives the same answers however the bytes are cut, and
// answers that net/http can read. What is not asked for is not said.
func FuzzServer(f *testing.F) {
	addRequests(f, uint8(3))
	f.Add([]byte(getA+getA), uint8(1))
	f.Add([]byte(expecting+"abc"+getA), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		if len(in) > 8<<10 || bytes.Contains(bytes.ToLower(in), []byte("expect")) {
			return // when a 100 is sent depends on the pieces, by design
		}
		whole := served(t, in, len(in)+1)
		if cut := served(t, in, int(step)%17+1); cut != whole {
			t.Fatalf("in pieces %q, whole %q", cut, whole)
		}
		if whole == "" {
			return
		}
		first := "GET"
		if bytes.HasPrefix(in, []byte("HEAD ")) || bytes.HasPrefix(in, []byte("\r\nHEAD ")) {
			first = "HEAD"
		}
		p, err := http.ReadResponse(bufio.NewReader(strings.NewReader(whole)), &http.Request{Method: first})
		if err != nil {
			t.Fatalf("net/http can't read %q: %v", whole, err)
		}
		if _, err := io.ReadAll(p.Body); err != nil {
			t.Fatalf("net/http can't read the body of %q: %v", whole, err)
		}
	})
}

// called is what a ClientConn makes of a service's answer.
func called(t *testing.T, in []byte, step int, method string) string {
	t.Helper()
	here, there := memnet.Pipe()
	go func() {
		_, _ = there.Read(make([]byte, 4096))
		for rest := in; len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := there.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		_ = there.CloseWrite()
	}()
	c := NewClientConn(here, &ClientConfig{Limits: ResponseLimits{}.WithDefaults(), Watch: runWatch()})
	r := newRequest("")
	r.Method, r.Path, r.Proto, r.X.Began = method, "/", message.HTTP11, time.Now()
	var out strings.Builder
	r.X.Interim = func(p *message.Response) error {
		out.WriteString("interim " + itoa(p.Status) + lines(&p.Header) + "\n")
		return nil
	}
	reusable := false
	p, err := c.RoundTrip(r, &RoundTripOptions{
		Host: "a", Head: time.Now().Add(10 * time.Second), BodyIdle: 10 * time.Second,
		OnIdle: func(c *ClientConn, ok bool) { reusable = ok; _ = c.Close() },
	})
	var ref *Refusal
	var ce *ConnError
	switch {
	case errors.As(err, &ref):
		return out.String() + "refused " + ref.Reason
	case errors.As(err, &ce):
		if ce.Timeout {
			t.Fatal("it hangs")
		}
		return out.String() + "cut"
	case err != nil:
		t.Fatal(err)
	}
	out.WriteString(itoa(p.Status) + " " + p.Reason + " " + lines(&p.Header) + "\n")
	b, err := message.ReadAll(nil, p.Body, 1<<20)
	out.Write(b)
	switch {
	case errors.As(err, &ref):
		out.WriteString(" refused " + ref.Reason)
	case err != nil:
		out.WriteString(" cut")
	default:
		out.WriteString(" whole " + lines(&p.Trailer))
		p.MarkComplete()
	}
	p.Release()
	if reusable && len(in) > 0 && out.Len() == 0 {
		t.Fatal("reusable without a response")
	}
	return out.String()
}

// FuzzClient: the same for what a service answers; and where the response came
// whole, net/http reads the same body.
func FuzzClient(f *testing.F) {
	addResponses(f, uint8(3))
	f.Add([]byte(hints+okay), false, uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, head bool, step uint8) {
		if len(in) > 8<<10 || bytes.Contains(in, []byte(" 101")) {
			return
		}
		method := "GET"
		if head {
			method = "HEAD"
		}
		whole := called(t, in, len(in)+1, method)
		if cut := called(t, in, int(step)%17+1, method); cut != whole {
			t.Fatalf("in pieces %q, whole %q", cut, whole)
		}
	})
}
