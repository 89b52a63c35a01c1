package edge_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
)

// What a caller says about how much a request matters and how long it may take
// counts when it is trusted, or where only friends come in.
func TestWishes(t *testing.T) {
	t.Parallel()
	stranger, proxy := edge.ListenerConfig{}, trusted("127.0.0.0/8")
	rows := []struct {
		name     string
		listener string
		cfg      edge.ListenerConfig
		priority string // of the route
		fields   string
		status   int
		want     string        // X-Maru-Priority that the service sees
		most     time.Duration // that it may take
	}{
		{"nothing said", "public", stranger, "", "", 200, "", 15 * time.Second},
		{"the route's", "public", stranger, "low", "", 200, "low", 15 * time.Second},
		{"a stranger has no say", "public", stranger, "low", "X-Maru-Priority: high\nX-Request-Timeout-Ms: 500\n", 200, "low", 15 * time.Second},
		{"nor a bad one", "public", stranger, "", "X-Maru-Priority: urgent\nX-Request-Timeout-Ms: soon\n", 200, "", 15 * time.Second},
		{"a trusted proxy has", "public", proxy, "low", "X-Maru-Priority: high\nX-Request-Timeout-Ms: 500\n", 200, "high", 500 * time.Millisecond},
		{"normal is a wish too", "public", proxy, "low", "X-Maru-Priority: normal\n", 200, "normal", 15 * time.Second},
		{"so has a private listener", "inside", stranger, "", "X-Maru-Priority: sheddable\nX-Request-Timeout-Ms: 500\n", 200, "sheddable", 500 * time.Millisecond},
		{"time is never lengthened", "inside", stranger, "", "X-Request-Timeout-Ms: 60000\n", 200, "", 15 * time.Second},
		{"time that is over starts nothing", "inside", stranger, "", "X-Request-Timeout-Ms: 0\n", 504, "", 0},
		{"no priority", "inside", stranger, "", "X-Maru-Priority: urgent\n", 400, "", 0},
		{"no time", "inside", stranger, "", "X-Request-Timeout-Ms: 1s\n", 400, "", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := edgetest.NewService(t, nil)
			cfg := edgetest.Config(t, s.URL(), row.cfg)
			if row.listener != "public" {
				cfg.Listen[row.listener] = edge.ListenerConfig{Address: "127.0.0.1:0"}
			}
			for i := range cfg.Routes {
				cfg.Routes[i].Priority = row.priority
			}
			g := edgetest.Start(t, cfg)
			if a := g.Say(row.listener, "GET /x HTTP/1.1\nHost: h\n"+row.fields+"\n"); a.Status != row.status {
				t.Fatalf("status %d: %s", a.Status, a.Body)
			}
			if row.status != 200 {
				return
			}
			if got := edgetest.Field(s.Last(), "X-Maru-Priority"); len(got) > 1 || len(got) == 1 && got[0] != row.want || len(got) == 0 && row.want != "" {
				t.Errorf("the service saw priority %q", got)
			}
			got := edgetest.Field(s.Last(), "X-Request-Timeout-Ms")
			if len(got) != 1 {
				t.Fatalf("the service saw times %q", got)
			}
			ms, err := strconv.Atoi(got[0])
			if left := time.Duration(ms) * time.Millisecond; err != nil || left > row.most || left < row.most-row.most/2 {
				t.Errorf("the service has %q ms of %v", got[0], row.most)
			}
		})
	}
}
