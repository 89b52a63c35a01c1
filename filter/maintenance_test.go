package filter

import (
	"net/netip"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestMaintenanceConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "maintenance", [][2]string{
		{`{"retry-after": "-1s"}`, "retry-after"},
		{`{"bypass": ["x"]}`, "bypass[0]"},
		{`{"bypass-header": {"name": "X-P", "value": "short"}}`, "bypass-header.value"},
		{`{"bypass-header": {"name": "X P", "value": "0123456789abcdef"}}`, "bypass-header.name"},
		{`{"bypass-header": {"name": "Host", "value": "0123456789abcdef"}}`, "bypass-header.name"},
		{`{"bypass-header": {"name": "X-P", "value": "0123456789abcdef\r\n"}}`, "bypass-header.value"},
	})
	takes(t, "maintenance", "", `{"active": false}`, `{"retry-after": "0s", "detail": "back at noon"}`)
}

func TestMaintenanceAnswer(t *testing.T) {
	t.Parallel()
	zero, odd := time.Duration(0), 1500*time.Millisecond
	for _, c := range []struct {
		config Maintenance
		after  string
	}{{Maintenance{}, "300"}, {Maintenance{RetryAfter: &zero}, ""}, {Maintenance{RetryAfter: &odd}, "2"}} {
		r := ask("GET", "/")
		_, err := build(t, &c.config, reply)(r)
		resp := Render(r, err)
		if resp.Status != 503 || resp.Header.Value(message.RetryAfter) != c.after || resp.Header.Value(message.CacheControl) != "no-store" {
			t.Errorf("%d, Retry-After %q, %q", resp.Status, resp.Header.Value(message.RetryAfter), resp.Header.Value(message.CacheControl))
		}
		resp.Release()
		r.Release()
	}
}

// The secret never reaches the service, right or wrong, by address or not.
func TestMaintenanceBypass(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	f := build(t, &Maintenance{Bypass: []string{"10.0.0.0/8", "2001:db8::/32"}, BypassHeader: &BypassHeader{Name: "X-Pass", Value: secret}}, reply)
	for _, c := range []struct {
		client string
		fields []string
		in     bool
	}{
		{"10.1.1.1", []string{"X-Pass: guess"}, true},
		{"::ffff:10.1.1.1", nil, true},
		{"2001:db8::1", nil, true},
		{"192.0.2.1", nil, false},
		{"192.0.2.1", []string{"x-pass: " + secret}, true},
		{"192.0.2.1", []string{"X-Pass: " + secret + "x"}, false},
		{"192.0.2.1", []string{"X-Pass: "}, false},
	} {
		r := ask("GET", "/", c.fields...)
		r.X.Client = netip.MustParseAddr(c.client)
		resp, err := f(r)
		if (err == nil) != c.in || err != nil && problem.Of(err).Status != 503 || r.Header.Get("X-Pass") != "" {
			t.Errorf("%+v: %v, the service would see %q", c, err, r.Header.Get("X-Pass"))
		}
		if resp != nil {
			resp.Release()
		}
		r.Release()
	}
}
