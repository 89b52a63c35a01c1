package edge_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/http1"
)

// h2raw is an HTTP/2 client that sends the very frames it is told to.
type h2raw struct {
	*http2.Framer
	t    *testing.T
	conn net.Conn
	enc  *hpack.Encoder
	head bytes.Buffer
}

// dialH2 opens a connection by prior knowledge.
func dialH2(t *testing.T, g *edgetest.Gateway) *h2raw {
	t.Helper()
	c := &h2raw{t: t, conn: g.Dial("public")}
	c.Framer = http2.NewFramer(c.conn, c.conn)
	c.enc = hpack.NewEncoder(&c.head)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c.conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.WriteSettings(), c.WriteSettingsAck()); err != nil {
		t.Fatal(err)
	}
	return c
}

// block encodes a header block of names and values.
func (c *h2raw) block(fields ...string) []byte {
	c.head.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.head.Bytes())
}

// get is the block of a plain request.
func (c *h2raw) get(more ...string) []byte {
	return c.block(append([]string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/"}, more...)...)
}

// open sends the head of a request.
func (c *h2raw) open(id uint32, end bool, block []byte) {
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: end, EndHeaders: true})
}

// until reads frames until one is of interest; nil means that the connection ended.
func (c *h2raw) until(wanted func(http2.Frame) bool) http2.Frame {
	c.t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				c.t.Fatal("waited in vain for a frame")
			}
			return nil
		}
		if wanted(f) {
			return f
		}
	}
}

// answer gives the status of the answer on a stream, 0 and the code when it was reset.
func (c *h2raw) answer(id uint32) (status string, code http2.ErrCode) {
	c.t.Helper()
	f := c.until(func(f http2.Frame) bool {
		switch f.(type) {
		case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
			return f.Header().StreamID == id
		}
		return false
	})
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return f.PseudoValue("status"), 0
	case *http2.RSTStreamFrame:
		return "", f.ErrCode
	}
	c.t.Fatal("the connection ended")
	return "", 0
}

// goAway gives the code of the GOAWAY and wants the connection to end after it.
func (c *h2raw) goAway() http2.ErrCode {
	c.t.Helper()
	f, ok := c.until(func(f http2.Frame) bool { return f.Header().Type == http2.FrameGoAway }).(*http2.GoAwayFrame)
	if !ok {
		c.t.Fatal("the connection ended without GOAWAY")
	}
	code := f.ErrCode
	c.until(func(http2.Frame) bool { return false })
	return code
}

func h2gateway(t *testing.T, change func(*edge.ListenerConfig)) (*edgetest.Gateway, *edgetest.Service) {
	t.Helper()
	s := edgetest.NewService(t, nil)
	l := edge.ListenerConfig{H2C: true}
	if change != nil {
		change(&l)
	}
	return edgetest.Start(t, edgetest.Config(t, s.URL(), l)), s
}

// TestH2Abuse spends each budget of a connection (http1 §15). The client sends
// what the attack sends; it is told to calm down and thrown out, and counted.
func TestH2Abuse(t *testing.T) {
	t.Parallel()
	const flood = 2000
	tests := []struct {
		reason string
		attack func(c *h2raw)
	}{
		{"h2_rapid_reset", func(c *h2raw) { // CVE-2023-44487
			for i := range uint32(flood) {
				c.open(2*i+1, true, c.get())
				_ = c.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			}
		}},
		{"h2_made_reset", func(c *h2raw) { // CVE-2025-8671: WINDOW_UPDATE of 0
			for i := range uint32(flood) {
				c.open(2*i+1, false, c.get())
				_ = c.WriteRawFrame(http2.FrameWindowUpdate, 0, 2*i+1, make([]byte, 4))
			}
		}},
		{"h2_made_reset", func(c *h2raw) { // the same with DATA behind the end
			for i := range uint32(flood) {
				c.open(2*i+1, true, c.get())
				_ = c.WriteData(2*i+1, true, []byte("x"))
			}
		}},
		{"h2_made_reset", func(c *h2raw) { // and with requests that are malformed
			for i := range uint32(flood) {
				c.open(2*i+1, true, c.get("connection", "close"))
			}
		}},
		{"h2_continuation", func(c *h2raw) { // CVE-2023-45288
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.get(), EndStream: true})
			for range flood {
				_ = c.WriteContinuation(1, false, c.block("a", "b"))
			}
		}},
		{"h2_continuation", func(c *h2raw) { // empty ones
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.get(), EndStream: true})
			for range 3 {
				_ = c.WriteContinuation(1, false, nil)
			}
		}},
		{"h2_header_bomb", func(c *h2raw) { // CVE-2019-9516's kin: little that decodes to much
			b := c.get("x-bomb", strings.Repeat("b", 3000))
			for range 200 {
				b = append(b, c.block("x-bomb", strings.Repeat("b", 3000))...) // an index each
			}
			c.open(1, true, b)
		}},
		{"h2_header_bomb", func(c *h2raw) { // a string longer than all fields may be
			b := append(c.get(), 0x00, 0x01, 'x', 0x7F)
			b = binary.AppendUvarint(b, 100<<10)
			c.open(1, true, b)
		}},
		{"h2_control_flood", func(c *h2raw) { // CVE-2019-9512
			for range flood {
				_ = c.WritePing(false, [8]byte{1})
			}
		}},
		{"h2_control_flood", func(c *h2raw) { // CVE-2019-9515
			for range flood {
				_ = c.WriteSettings()
			}
		}},
		{"h2_control_flood", func(c *h2raw) { // CVE-2019-9513
			for range flood {
				_ = c.WritePriority(1, http2.PriorityParam{StreamDep: 3})
			}
		}},
		{"h2_control_flood", func(c *h2raw) { // frames that nobody knows
			for range flood {
				_ = c.WriteRawFrame(0xF0, 0, 0, []byte("?"))
			}
		}},
		{"h2_empty_data", func(c *h2raw) { // CVE-2019-9518
			c.open(1, false, c.block(":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/"))
			for range flood {
				_ = c.WriteData(1, false, nil)
			}
		}},
		{"h2_window_update", func(c *h2raw) { // CVE-2019-9511, -9517
			for range flood {
				_ = c.WriteWindowUpdate(0, 1)
			}
		}},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i, " ", tt.reason), func(t *testing.T) {
			t.Parallel()
			g, _ := h2gateway(t, nil)
			c := dialH2(t, g)
			done := make(chan struct{})
			go func() { defer close(done); tt.attack(c) }()
			if code := c.goAway(); code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("code %v", code)
			}
			_ = c.conn.Close()
			<-done
			g.AwaitRefused("public "+tt.reason, 1)
		})
	}
}

// TestH2BudgetsLetHonestClientsBe does often what a busy client does.
func TestH2BudgetsLetHonestClientsBe(t *testing.T) {
	t.Parallel()
	g, _ := h2gateway(t, nil)
	c := dialH2(t, g)
	for i := range uint32(1000) {
		id := 2*i + 1
		c.open(id, false, c.block(":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/"))
		_ = c.WriteData(id, true, []byte("x"))
		_ = c.WritePing(false, [8]byte{1}) // as gRPC does to measure the bandwidth
		_ = c.WriteWindowUpdate(0, 2)
		_ = c.WriteWindowUpdate(id, 2)
		if status, code := c.answer(id); status != "200" {
			t.Fatalf("stream %d: %s %v", id, status, code)
		}
	}
	if refused := g.Refused(); len(refused) > 0 {
		t.Errorf("refused %q", refused)
	}
}

// TestH2Requests judges requests by RFC 9113 §8 and http1 §15: what is malformed
// resets the stream, what breaks a rule of ours is answered.
func TestH2Requests(t *testing.T) {
	t.Parallel()
	base := func(c *h2raw, more ...string) []byte { return c.get(more...) }
	tests := []struct {
		name   string
		block  func(c *h2raw) []byte
		status string
		code   http2.ErrCode
	}{
		{"plain", func(c *h2raw) []byte { return base(c) }, "200", 0},
		{"host that repeats the authority", func(c *h2raw) []byte { return base(c, "host", "H:80") }, "200", 0},
		{"te trailers", func(c *h2raw) []byte { return base(c, "te", "trailers") }, "200", 0},
		{"authority and another host", func(c *h2raw) []byte { return base(c, "host", "other") }, "400", 0},
		{"userinfo", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "http", ":authority", "me@h", ":path", "/")
		}, "400", 0},
		{"no authority and no host", func(c *h2raw) []byte { return c.block(":method", "GET", ":scheme", "http", ":path", "/") }, "400", 0},
		{"host in the place of the authority", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "http", ":path", "/", "host", "h")
		}, "200", 0},
		{"path without a slash", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "http", ":authority", "h", ":path", "x")
		}, "400", 0},
		{"scheme of something else", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "ftp", ":authority", "h", ":path", "/")
		}, "400", 0},
		{"star with OPTIONS", func(c *h2raw) []byte {
			return c.block(":method", "OPTIONS", ":scheme", "http", ":authority", "h", ":path", "*")
		}, "200", 0},
		{"star with GET", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "http", ":authority", "h", ":path", "*")
		}, "400", 0},
		{"CONNECT", func(c *h2raw) []byte { return c.block(":method", "CONNECT", ":authority", "h:443") }, "405", 0},
		{"method in lower case", func(c *h2raw) []byte {
			return c.block(":method", "get", ":scheme", "http", ":authority", "h", ":path", "/")
		}, "400", 0},
		{"two content-types", func(c *h2raw) []byte { return base(c, "content-type", "a/b", "content-type", "a/b") }, "400", 0},
		{"name that folds onto a framing name", func(c *h2raw) []byte { return base(c, "content_length", "1") }, "400", 0},
		{"large head", func(c *h2raw) []byte { return base(c, "a", strings.Repeat("x", 40<<10)) }, "", 0},
		{"many fields", func(c *h2raw) []byte { return base(c, strings.Split(strings.Repeat("a,b,", 200), ",")[:400]...) }, "431", 0},
		{"long name", func(c *h2raw) []byte { return base(c, strings.Repeat("n", 300), "v") }, "431", 0},
		{"long path", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/"+strings.Repeat("x", 9000))
		}, "414", 0},
		{"connection-specific field", func(c *h2raw) []byte { return base(c, "transfer-encoding", "chunked") }, "", http2.ErrCodeProtocol},
		{"te of something else", func(c *h2raw) []byte { return base(c, "te", "gzip") }, "", http2.ErrCodeProtocol},
		{"upper case name", func(c *h2raw) []byte { return base(c, "Accept", "x") }, "", http2.ErrCodeProtocol},
		{"line end in a value", func(c *h2raw) []byte { return base(c, "a", "b\r\nc: d") }, "", http2.ErrCodeProtocol},
		{"space around a value", func(c *h2raw) []byte { return base(c, "a", " b") }, "", http2.ErrCodeProtocol},
		{"name that is no token", func(c *h2raw) []byte { return base(c, "a b", "c") }, "", http2.ErrCodeProtocol},
		{"unknown pseudo-field", func(c *h2raw) []byte { return c.block(":method", "GET", ":scheme", "http", ":path", "/", ":x", "y") }, "", http2.ErrCodeProtocol},
		{"pseudo-field behind a field", func(c *h2raw) []byte {
			return c.block(":method", "GET", ":scheme", "http", "a", "b", ":path", "/")
		}, "", http2.ErrCodeProtocol},
		{"path twice", func(c *h2raw) []byte { return base(c, ":path", "/") }, "", http2.ErrCodeProtocol},
		{"content-length without content", func(c *h2raw) []byte { return base(c, "content-length", "5") }, "", http2.ErrCodeProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "large head" {
				return // in TestH2LargeHead: it takes more than one frame
			}
			g, s := h2gateway(t, nil)
			c := dialH2(t, g)
			c.open(1, true, tt.block(c))
			if status, code := c.answer(1); status != tt.status || code != tt.code {
				t.Errorf("status %q, code %v, want %q, %v", status, code, tt.status, tt.code)
			}
			if n := len(s.Requests()); (n > 0) != (tt.status == "200" && tt.name != "star with OPTIONS") {
				t.Errorf("the service got %d requests", n)
			}
			// The connection goes on.
			c.open(3, true, c.get())
			if status, _ := c.answer(3); status != "200" {
				t.Errorf("then status %q", status)
			}
		})
	}
}

func TestH2LargeHead(t *testing.T) {
	t.Parallel()
	g, _ := h2gateway(t, nil)
	c := dialH2(t, g)
	b := c.get()
	for i := range 4 {
		b = append(b, c.block(fmt.Sprintf("a%d", i), strings.Repeat("x", 10<<10))...)
	}
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b[:10<<10], EndStream: true})
	for b = b[10<<10:]; len(b) > 10<<10; b = b[10<<10:] {
		_ = c.WriteContinuation(1, false, b[:10<<10])
	}
	_ = c.WriteContinuation(1, true, b)
	if status, code := c.answer(1); status != "431" {
		t.Errorf("status %q, code %v", status, code)
	}
}

func TestH2FieldsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	g, s := h2gateway(t, nil)
	c := dialH2(t, g)
	c.open(1, true, c.get("z-first", "1", "cookie", "a=1", "m-second", "2", "cookie", "b=2", "a-third", "3", "cookie", "c=3"))
	if status, _ := c.answer(1); status != "200" {
		t.Fatalf("status %q", status)
	}
	got := s.Last()
	at := 0
	for _, line := range []string{"z-first: 1\r\n", "cookie: a=1; b=2; c=3\r\n", "m-second: 2\r\n", "a-third: 3\r\n"} {
		i := strings.Index(got[at:], line)
		if i < 0 {
			t.Fatalf("%q is not in its place in\n%s", line, got)
		}
		at += i
	}
	if strings.Count(got, "cookie") != 1 {
		t.Errorf("cookie crumbs in\n%s", got)
	}
}

// TestH2BodyNotAsLongAsAnnounced wants the service never to see a whole request.
func TestH2BodyNotAsLongAsAnnounced(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"four", "six by"} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			g, s := h2gateway(t, nil)
			c := dialH2(t, g)
			c.open(1, false, c.block(":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/", "content-length", "5"))
			_ = c.WriteData(1, true, []byte(body))
			if status, code := c.answer(1); code != http2.ErrCodeProtocol {
				t.Errorf("status %q, code %v", status, code)
			}
			c.open(3, true, c.get())
			if status, _ := c.answer(3); status != "200" || len(s.Requests()) != 1 {
				t.Errorf("then status %q, the service has seen %q", status, s.Requests())
			}
		})
	}
}

// TestH2GoAwayInTwoSteps opens a stream between the two: it is served.
func TestH2GoAwayInTwoSteps(t *testing.T) {
	t.Parallel()
	g, _ := h2gateway(t, nil)
	c := dialH2(t, g)
	c.open(1, true, c.get())
	if status, _ := c.answer(1); status != "200" {
		t.Fatalf("status %q", status)
	}
	drained := make(chan error, 1)
	go func() {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		drained <- g.Server.Drain(ctx)
	}()
	first, ok := c.until(func(f http2.Frame) bool { return f.Header().Type == http2.FrameGoAway }).(*http2.GoAwayFrame)
	if !ok || first.LastStreamID != 1<<31-1 || first.ErrCode != http2.ErrCodeNo {
		t.Fatalf("first GOAWAY %v", first)
	}
	ping, ok := c.until(func(f http2.Frame) bool { return f.Header().Type == http2.FramePing }).(*http2.PingFrame)
	if !ok {
		t.Fatal("no PING behind it")
	}
	data := ping.Data
	c.open(3, true, c.get()) // was under way
	_ = c.WritePing(true, data)
	var last uint32
	status := ""
	c.until(func(f http2.Frame) bool {
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			last = f.LastStreamID
		case *http2.MetaHeadersFrame:
			status = f.PseudoValue("status")
		}
		return false
	})
	if last != 3 || status != "200" {
		t.Errorf("second GOAWAY names %d, the stream between had status %q", last, status)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

// TestH2TimeLimits wants each of them to end what it is for.
func TestH2TimeLimits(t *testing.T) {
	t.Parallel()
	short := 200 * time.Millisecond
	tests := []struct {
		name string
		set  func(l *http1.Limits)
		do   func(t *testing.T, c *h2raw)
	}{
		{"idle connection", func(l *http1.Limits) { l.Idle = short }, func(t *testing.T, c *h2raw) {
			if code := c.goAway(); code != http2.ErrCodeNo {
				t.Errorf("code %v", code)
			}
		}},
		{"head that does not end", func(l *http1.Limits) { l.Head = short }, func(t *testing.T, c *h2raw) {
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.get()})
			if code := c.goAway(); code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("code %v", code)
			}
		}},
		{"body that does not come", func(l *http1.Limits) { l.BodyIdle = short }, func(t *testing.T, c *h2raw) {
			c.open(1, false, c.block(":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/"))
			if status, code := c.answer(1); status != "408" {
				t.Errorf("status %q, code %v", status, code)
			}
		}},
		{"answer that nobody takes", func(l *http1.Limits) { l.Write = short }, func(t *testing.T, c *h2raw) {
			_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			c.open(1, true, c.get())
			if status, _ := c.answer(1); status != "200" {
				t.Errorf("status %q", status)
			}
			if status, code := c.answer(1); code != http2.ErrCodeCancel {
				t.Errorf("status %q, code %v", status, code)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, _ := h2gateway(t, func(l *edge.ListenerConfig) { tt.set(&l.Limits) })
			tt.do(t, dialH2(t, g))
		})
	}
}

// TestH2NoPreface closes a connection that speaks neither version.
func TestH2NoPreface(t *testing.T) {
	t.Parallel()
	g, _ := h2gateway(t, nil)
	c := g.Dial("public")
	_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil || bytes.Contains(b, []byte("HTTP/1.1 200")) {
		t.Errorf("read %q, %v", b, err)
	}
}

// TestH2NeedsConsent answers the preface with 505 on a listener without h2c.
func TestH2NeedsConsent(t *testing.T) {
	t.Parallel()
	g, _ := h2gateway(t, func(l *edge.ListenerConfig) { l.H2C = false })
	a := g.Say("public", http2.ClientPreface)
	if a.Status != 505 {
		t.Errorf("status %d", a.Status)
	}
}
