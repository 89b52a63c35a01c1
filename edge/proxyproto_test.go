package edge_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
)

const sigV2 = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a version 2 header: command, family, payload.
func v2(command, family byte, payload string) string {
	return sigV2 + string([]byte{0x20 | command, family, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

func v2tcp(command byte, from, to string) string {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	payload := string(a.Addr().AsSlice()) + string(b.Addr().AsSlice()) +
		string([]byte{byte(a.Port() >> 8), byte(a.Port()), byte(b.Port() >> 8), byte(b.Port())})
	family := byte(0x11)
	if a.Addr().Is6() {
		family = 0x21
	}
	return v2(command, family, payload)
}

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{ProxyProtocol: "require", TrustedProxies: []string{"127.0.0.0/8"}}))
	const own = "127.0.0.1"
	rows := []struct{ name, header, client, port string }{
		{"v1 TCP4", "PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n", "203.0.113.9", "443"},
		{"v1 TCP6", "PROXY TCP6 2001:db8::9 2001:db8::1 4711 8443\r\n", "2001:db8::9", "8443"},
		{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", own, ""},
		{"v1 UNKNOWN with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", own, ""},
		{"v2 TCP4", v2tcp(1, "203.0.113.9:4711", "198.51.100.1:443"), "203.0.113.9", "443"},
		{"v2 TCP6", v2tcp(1, "[2001:db8::9]:4711", "[2001:db8::1]:443"), "2001:db8::9", "443"},
		{"v2 LOCAL", v2tcp(0, "203.0.113.9:4711", "198.51.100.1:443"), own, ""},
		{"v2 LOCAL without addresses", v2(0, 0, ""), own, ""},
		{"v2 unspecified", v2(1, 0, ""), own, ""},
		{"v2 with TLVs", v2(1, 0x11, "\xcb\x00\x71\x09\xc6\x33\x64\x01\x12\x67\x01\xbb"+"\x04\x00\x03abc"), "203.0.113.9", "443"},
	}
	for _, row := range rows {
		c := g.Dial("public")
		if _, err := c.Write([]byte(row.header)); err != nil {
			t.Fatal(err)
		}
		a := edgetest.Talk(t, c, "GET /"+strings.ReplaceAll(row.name, " ", "-")+" HTTP/1.1\nHost: h\nX-Forwarded-For: 6.6.6.6\n\n")
		if a.Status != 200 {
			t.Errorf("%s: %+v", row.name, a)
			continue
		}
		got := s.Last()
		forwarded := row.client
		if row.client == own { // a trusted proxy's own connection: its word counts
			forwarded = "6.6.6.6, " + own
		}
		if f := edgetest.Field(got, "X-Forwarded-For"); len(f) != 1 || f[0] != forwarded {
			t.Errorf("%s: X-Forwarded-For %q, want %q", row.name, f, forwarded)
		}
		if p := edgetest.Field(got, "X-Forwarded-Port"); row.port != "" && (len(p) != 1 || p[0] != row.port) {
			t.Errorf("%s: X-Forwarded-Port %q, want %q", row.name, p, row.port)
		}
	}
}

// TestProxyProtocolInPieces has the header come octet by octet, with the request
// right behind it.
func TestProxyProtocolInPieces(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{ProxyProtocol: "require", TrustedProxies: []string{"127.0.0.0/8"}}))
	for _, header := range []string{"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n", v2tcp(1, "203.0.113.9:4711", "198.51.100.1:443")} {
		c := g.Dial("public")
		text := header + "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
		for i := range len(text) {
			if _, err := c.Write([]byte(text[i : i+1])); err != nil {
				t.Fatal(err)
			}
		}
		if a, err := edgetest.Read(c, false); err != nil || a.Status != 200 {
			t.Errorf("%q: %+v %v", header, a, err)
		}
		if f := edgetest.Field(s.Last(), "X-Real-IP"); len(f) != 1 || f[0] != "203.0.113.9" {
			t.Errorf("%q: X-Real-IP %q", header, f)
		}
	}
}

func TestProxyProtocolRefused(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{ProxyProtocol: "require", TrustedProxies: []string{"127.0.0.0/8"}}))
	rows := []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\n GET / HTTP/1.1\r\nHost: h\r\n\r\n" + strings.Repeat("x", 100),
		"PROXY TCP4 2001:db8::9 198.51.100.1 4711 443\r\n",
		"PROXY TCP4 203.0.113.9 198.51.100.1 99999 443\r\n",
		"PROXY TCP4 203.0.113.9 198.51.100.1\r\n",
		"PROXY UDP4 203.0.113.9 198.51.100.1 1 2\r\n",
		"PROXY UNKNOWN " + strings.Repeat("f", 100) + "\r\n",
		v2(2, 0x11, strings.Repeat("\x00", 12)),
		v2(1, 0x11, "short"),
		v2(1, 0x12, strings.Repeat("\x00", 12)),
		sigV2 + "\x21\x11\xff\xff",
		sigV2 + "\x31\x11\x00\x0c" + strings.Repeat("\x00", 12),
	}
	for i, text := range rows {
		c := g.Dial("public")
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if a, err := edgetest.Read(c, false); err == nil {
			t.Errorf("%q: answered %+v", text, a)
		}
		g.AwaitRefused("public proxy_header", i+1)
	}
	if len(s.Requests()) > 0 {
		t.Errorf("the service was called: %q", s.Requests())
	}
	far := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{ProxyProtocol: "require", TrustedProxies: []string{"10.0.0.0/8"}}))
	c := far.Dial("public")
	_, _ = c.Write([]byte("PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"))
	far.AwaitRefused("public proxy_untrusted", 1)
	if a, err := edgetest.Read(c, false); err == nil {
		t.Errorf("a stranger was answered: %+v", a)
	}
}

func TestProxyProtocolBeforeTLS(t *testing.T) {
	t.Parallel()
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), edge.ListenerConfig{
		ProxyProtocol: "require", TrustedProxies: []string{"127.0.0.1"}, TLS: &edge.TLSConfig{Development: true},
	}))
	c := g.Dial("public")
	if _, err := c.Write([]byte(v2tcp(1, "203.0.113.9:4711", "198.51.100.1:443"))); err != nil {
		t.Fatal(err)
	}
	if a := edgetest.Talk(t, overTLS(c), "GET / HTTP/1.1\nHost: localhost\n\n"); a.Status != 200 {
		t.Fatalf("%+v", a)
	}
	if f := edgetest.Field(s.Last(), "X-Real-IP"); len(f) != 1 || f[0] != "203.0.113.9" {
		t.Errorf("X-Real-IP %q", f)
	}
}
