package edge_test

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
)

// TestExplainOfALiveRequest asks with X-Maru-Explain: a trusted peer gets the
// explanation, a stranger the service's answer without the service seeing the field.
func TestExplainOfALiveRequest(t *testing.T) {
	t.Parallel()
	const text = "GET /a HTTP/1.1\nHost: h.example\nX-Maru-Explain: 1\n\n"
	s := edgetest.NewService(t, nil)
	g := edgetest.Start(t, edgetest.Config(t, s.URL(), trusted("127.0.0.1")))
	a := g.Say("public", text)
	if a.Status != 200 || !strings.Contains(a.Body, `"verdict":"found"`) || !strings.Contains(a.Body, `"canonical":"/a"`) {
		t.Errorf("a trusted peer got %d %s", a.Status, a.Body)
	}
	if strings.Contains(s.Last(), "GET") {
		t.Errorf("the service was called:\n%s", s.Last())
	}
	if got := through(t, edge.ListenerConfig{}, text); edgetest.Field(got, "X-Maru-Explain") != nil || !strings.HasPrefix(got, "GET /a ") {
		t.Errorf("a stranger's request reached the service as\n%s", got)
	}
}
