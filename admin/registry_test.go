package admin

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/maru-msa/maru/registry"
)

const posted = `{"instance":{"instanceId":"b7:basket:9301","hostName":"b7","app":"BASKET","ipAddr":"10.4.0.7","port":{"$":9301,"@enabled":"true"},` +
	`"dataCenterInfo":{"name":"MyOwn"},"metadata":{"zone":"z1"},"healthCheckUrl":"http://b7:9301/health","vipAddress":"basket"}}`

// row is what the tests look at of an instance.
type row struct {
	App      string            `json:"app"`
	ID       string            `json:"id"`
	Status   string            `json:"status"`
	Override string            `json:"override"`
	Why      string            `json:"why"`
	URL      string            `json:"url"`
	Health   string            `json:"health_check"`
	Lease    int               `json:"lease_s"`
	Meta     map[string]string `json:"metadata"`
}

// newRegistryBench is an API with a registry that holds one instance; the log of
// the API goes to the buffer.
func newRegistryBench(t *testing.T) (*bench, *registry.Registry, *bytes.Buffer) {
	t.Helper()
	b, lines := newBench(t), new(bytes.Buffer)
	g := registry.New(registry.Config{}, registry.Env{})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/eureka/apps/BASKET", strings.NewReader(posted))
	w := httptest.NewRecorder()
	if g.ServeHTTP(w, r); w.Code != http.StatusNoContent {
		t.Fatalf("register: %d %s", w.Code, w.Body)
	}
	b.api.Registry = func() *registry.Registry { return g }
	b.api.Log = slog.New(slog.NewTextHandler(lines, nil))
	b.serve(t)
	return b, g, lines
}

func (b *bench) row(t *testing.T, method, path, body string, want int) row {
	t.Helper()
	status, text := b.call(t, method, "/v1/registry/apps/"+path, body)
	if status != want {
		t.Fatalf("%s %s gives %d, not %d: %s", method, path, status, want, text)
	}
	var v row
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	return v
}

func TestOperatorActsOnInstances(t *testing.T) {
	t.Parallel()
	b, _, lines := newRegistryBench(t)
	const path = "basket/b7:basket:9301"
	v := b.row(t, "GET", path, "", 200)
	if v.App != "BASKET" || v.Status != "UP" || v.Override != "" || v.URL != "http://b7:9301" || v.Lease != 90 ||
		v.Meta["zone"] != "z1" || v.Health != "http://b7:9301/health" {
		t.Errorf("the instance is %+v", v)
	}
	if v = b.row(t, "POST", path+"/drain", "{}", 200); v.Status != "OUT_OF_SERVICE" || v.Override != "OUT_OF_SERVICE" || v.Why == "" {
		t.Errorf("drained it is %+v", v)
	}
	if v = b.row(t, "DELETE", path+"/status", "", 200); v.Status != "UP" || v.Override != "" {
		t.Errorf("restored it is %+v", v)
	}
	if v = b.row(t, "POST", "BASKET/b7%3Abasket%3A9301/status", `{"status":"DOWN"}`, 200); v.Status != "DOWN" || v.Override != "DOWN" {
		t.Errorf("set down it is %+v", v)
	}
	if v = b.row(t, "DELETE", path+"/status?status=STARTING", "", 200); v.Status != "STARTING" {
		t.Errorf("set to start it is %+v", v)
	}
	if v = b.row(t, "POST", path+"/metadata", `{"zone":"z2","color":"a"}`, 200); v.Meta["zone"] != "z2" || v.Meta["color"] != "a" {
		t.Errorf("with more metadata it is %+v", v)
	}
	if _, text := b.call(t, "GET", "/v1/registry/apps", ""); !strings.Contains(text, `"name": "basket"`) {
		t.Errorf("the services are %s", text)
	}
	if _, text := b.call(t, "GET", "/v1/registry/apps/Basket", ""); !strings.Contains(text, `"id": "b7:basket:9301"`) {
		t.Errorf("the service is %s", text)
	}
	if v = b.row(t, "DELETE", path, "", 200); v.ID != "b7:basket:9301" {
		t.Errorf("removed was %+v", v)
	}
	if status, _ := b.call(t, "GET", "/v1/registry/apps/"+path, ""); status != 404 {
		t.Errorf("once removed it gives %d", status)
	}
	for _, want := range []string{
		`level=INFO msg="operator action" action=drain service=basket instance=b7:basket:9301 by=api remote=127.0.0.1:`,
		`action="clear status" service=basket`, `action="set status"`, `status=DOWN by=api`, `action="add metadata"`, `keys="[color zone]"`,
		`action=remove service=basket`,
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, lines)
		}
	}
	if n := strings.Count(lines.String(), "operator action"); n != 6 {
		t.Errorf("%d lines about 6 actions:\n%s", n, lines)
	}
}

func TestOperatorActionsRefuseNonsense(t *testing.T) {
	t.Parallel()
	b, g, lines := newRegistryBench(t)
	const path = "/v1/registry/apps/basket/b7:basket:9301"
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", path + "/status", "", 400, "the body can't be read"},
		{"POST", path + "/status", `{"state":"UP"}`, 400, `unknown field \"state\"`},
		{"POST", path + "/status", `{"status":"SLEEPY"}`, 400, `status \"SLEEPY\" is none of UP, DOWN`},
		{"POST", path + "/status", `{"status":"UP"}{}`, 400, "something follows the body"},
		{"DELETE", path + "/status?status=SLEEPY", "", 400, `status \"SLEEPY\"`},
		{"POST", path + "/metadata", `{"a":1}`, 400, "the body can't be read"},
		{"POST", path + "/metadata", `{"a":"` + strings.Repeat("x", 3000) + `"}`, 400, "metadata a is longer than 2048 bytes"},
		{"POST", "/v1/registry/apps/basket/b8/drain", "", 404, "b8 is not registered as an instance of basket"},
		{"DELETE", "/v1/registry/apps/basket/b8", "", 404, "b8 is not registered"},
		{"GET", "/v1/registry/apps/none", "", 404, "nothing is registered as none"},
		{"GET", path + "/drain", "", 405, ""},
	} {
		status, text := b.call(t, c.method, c.path, c.body)
		if status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s %.40s gives %d %s, not %d %s", c.method, c.path, c.body, status, text, c.status, c.text)
		}
	}
	v, err := g.Details("basket", "b7:basket:9301")
	if err != nil || v.Status != "UP" || len(v.Meta) != 1 {
		t.Errorf("nonsense changed the instance to %+v: %v", v, err)
	}
	if strings.Contains(lines.String(), "operator action") {
		t.Errorf("what was refused is logged as done:\n%s", lines)
	}
	b.api.Registry = nil
	if status, _ := b.call(t, "POST", path+"/drain", ""); status != http.StatusNotFound {
		t.Errorf("without a registry: %d", status)
	}
}
