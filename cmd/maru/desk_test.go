package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// A browser at the registry's address is led to the console, where it can reach
// that.
func TestRegistryPage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ admin, remote, want string }{
		{"127.0.0.1:7070", "127.0.0.1:5000", "http://127.0.0.1:7070/console/registry"},
		{"127.0.0.1:7070", "10.0.0.9:5000", ""},
		{"[::1]:7070", "127.0.0.1:5000", "http://[::1]:7070/console/registry"},
		{"10.0.0.2:7070", "10.0.0.9:5000", "http://10.0.0.2:7070/console/registry"},
		{"0.0.0.0:7070", "10.0.0.9:5000", "http://registry.example:7070/console/registry"},
		{"127.0.0.1:7070", "nonsense", ""},
		{"", "127.0.0.1:5000", ""},
	} {
		d := new(desk)
		d.api.Console = http.NotFoundHandler()
		if c.admin != "" {
			at := netip.MustParseAddrPort(c.admin)
			d.bound.Store(&at)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://registry.example:8761/", http.NoBody)
		r.RemoteAddr = c.remote
		if got := d.registryPage(r); got != c.want {
			t.Errorf("the admin API at %s, a browser at %s: %q, not %q", c.admin, c.remote, got, c.want)
		}
		if d.api.Console = nil; d.registryPage(r) != "" {
			t.Error("without a console it is led there")
		}
	}
}
