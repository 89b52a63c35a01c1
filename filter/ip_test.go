package filter

import (
	"net/netip"
	"testing"

	"github.com/maru-msa/maru/problem"
)

func TestIPConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "ip", [][2]string{
		{"{}", ""},
		{"[]", "rules"},
		{`{"allow": []}`, "allow"},
		{`{"rules": ["allow 10.0.0.1"], "deny": ["10.0.0.1"]}`, "rules"},
		{"10.0.0.0/33", "rules[0]"},
		{"example.com", "rules[0]"},
		{`["block 10.0.0.1"]`, "rules[0]"},
		{`["allow"]`, "rules[0]"},
		{`{"allow": ["10.0.0.1/8"]}`, "allow[0]"},
		{`{"deny": ["fe80::1%eth0"]}`, "deny[0]"},
	})
	takes(t, "ip", "10.0.0.0/8", `["deny all"]`, `{"deny": ["2001:db8::/32", "10.0.0.1"]}`, `{"allow": ["::ffff:10.0.0.0/104"]}`)
}

func TestIPDecides(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config, client string
		in             bool
	}{
		{`{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.7"]}`, "10.0.0.7", false},
		{`{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.7"]}`, "10.0.0.8", true},
		{`{"allow": ["10.0.0.0/8"], "deny": ["10.0.0.7"]}`, "11.0.0.1", false},
		{`["allow 10.0.0.7", "deny 10.0.0.0/8"]`, "10.0.0.7", true},
		{`["allow 10.0.0.7", "deny 10.0.0.0/8"]`, "11.0.0.1", false},
		{`["deny 10.0.0.0/8", "allow all"]`, "11.0.0.1", true},
		{`["deny 10.0.0.0/8", "allow all"]`, "2001:db8::1", true},
		{`["deny 10.0.0.0/8"]`, "::ffff:10.0.0.1", false}, // an IPv4 client on an IPv6 socket
		{`["deny 10.0.0.0/8"]`, "192.0.2.1", true},
		{`["10.0.0.0/8"]`, "::ffff:10.0.0.1", true},
		{`{"allow": ["::ffff:10.0.0.0/104"]}`, "10.9.9.9", true},
		{`{"allow": ["2001:db8::/32"]}`, "2001:db8:ffff::1", true},
		{`{"allow": ["0.0.0.0/0"]}`, "2001:db8::1", false}, // one family is not the other
		{`{"allow": ["all"]}`, "2001:db8::1", true},
		{`{"allow": ["all"]}`, "", false}, // no address at all is nobody
	} {
		config, err := configOf("ip", c.config)
		if err != nil {
			t.Fatal(err)
		}
		r := ask("GET", "/")
		if c.client != "" {
			r.X.Client = netip.MustParseAddr(c.client)
		}
		resp, err := build(t, config, reply)(r)
		if (err == nil) != c.in || err != nil && problem.Of(err).Status != 403 {
			t.Errorf("%s, %q: %v", c.config, c.client, err)
		}
		if resp != nil {
			resp.Release()
		}
		r.Release()
	}
}
