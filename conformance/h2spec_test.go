package conformance

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
)

// TestH2Spec runs all of h2spec (generic, http2, hpack), over TLS and over h2c
// by prior knowledge. The suite prints each case.
func TestH2Spec(t *testing.T) {
	tests := []struct {
		name     string
		listener edge.ListenerConfig
		tls      bool
	}{
		{"h2c", edge.ListenerConfig{H2C: true}, false},
		{"tls", edge.ListenerConfig{TLS: &edge.TLSConfig{Development: true}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, "an answer with a body to cut into windows\n")
			}))
			t.Cleanup(service.Close)
			g := edgetest.Start(t, edgetest.Config(t, service.URL, tt.listener))
			host, portText, err := net.SplitHostPort(g.Addr("public"))
			if err != nil {
				t.Fatal(err)
			}
			port, err := strconv.Atoi(portText)
			if err != nil {
				t.Fatal(err)
			}
			ok, err := h2spec.Run(&config.Config{
				Host: host, Port: port, Path: "/", Timeout: 5 * time.Second, MaxHeaderLen: 4000,
				TLS: tt.tls, Insecure: true, Strict: true,
			})
			if err != nil || !ok {
				t.Errorf("h2spec: passed %v, error %v; its report stands above", ok, err)
			}
		})
	}
}
