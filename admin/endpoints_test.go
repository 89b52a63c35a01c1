package admin

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/upstream"
)

// newEndpointBench is an API over a service with two endpoints.
func newEndpointBench(t *testing.T) (*bench, *bytes.Buffer) {
	t.Helper()
	b, lines := newBench(t), new(bytes.Buffer)
	rt, err := edge.Build(edge.Config{
		Services: map[string]edge.ServiceConfig{"reward": {Config: upstream.Config{
			URLs: []upstream.EndpointConfig{{URL: "http://127.0.0.1:1", Weight: 2}, {URL: "http://127.0.0.1:2"}},
		}}},
	}, edge.Env{}, b.api.Server.Runtime())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.api.Server.Swap(rt); err != nil {
		t.Fatal(err)
	}
	b.api.Log = slog.New(slog.NewTextHandler(lines, nil))
	b.serve(t)
	return b, lines
}

func TestOperatorActsOnEndpoints(t *testing.T) {
	t.Parallel()
	b, lines := newEndpointBench(t)
	act := func(action, body string) (row endpointRow) {
		t.Helper()
		status, text := b.call(t, "POST", "/v1/services/reward/endpoints/127.0.0.1:1/"+action, body)
		if status != 200 {
			t.Fatalf("%s %s gives %d %s", action, body, status, text)
		}
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			t.Fatal(err)
		}
		return row
	}
	row := act("eject", `{"for":"1m","why":"a bad disk"}`)
	if row.State != "ejected" || row.Ejected == nil || row.Ejected.Kind != "operator" || row.Ejected.Detail != "a bad disk" ||
		row.Ejected.Until.Sub(row.Ejected.At).Seconds() != 60 || row.Why != "ejected, operator: a bad disk" {
		t.Errorf("ejected it is %+v", row)
	}
	if row = act("return", ""); row.State != "up" || row.Ejected != nil || row.Why != "slow start" {
		t.Errorf("returned it is %+v", row)
	}
	if row = act("eject", "{}"); row.Ejected == nil || row.Ejected.Until.Sub(row.Ejected.At).Seconds() != 30 {
		t.Errorf("ejected for a time not said it is %+v", row)
	}
	if row = act("drain", "{}"); row.State != "draining" || row.Why != "drained by an operator" {
		t.Errorf("drained it is %+v", row)
	}
	_, text := b.call(t, "GET", "/v1/services/reward", "")
	if !strings.Contains(text, `"up": 1`) || !strings.Contains(text, `"down": 1`) || !strings.Contains(text, `"draining"`) {
		t.Errorf("the service is %s", text)
	}
	if row = act("return", "{}"); row.State != "up" {
		t.Errorf("returned it is %+v", row)
	}
	if row = act("weight", `{"weight":5}`); row.Weight != 5 {
		t.Errorf("weighed it is %+v", row)
	}
	if row = act("weight", `{"weight":0}`); row.Weight != 2 {
		t.Errorf("weighed as its source says it is %+v", row)
	}
	for _, want := range []string{
		`level=INFO msg="operator action" action=eject service=reward endpoint=127.0.0.1:1 for=1m0s why="a bad disk" by=api remote=127.0.0.1:`,
		"action=return service=reward", "action=drain service=reward", "action=weight service=reward endpoint=127.0.0.1:1 weight=5 by=api",
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, lines)
		}
	}
	if n := strings.Count(lines.String(), "operator action"); n != 7 {
		t.Errorf("%d lines about 7 actions:\n%s", n, lines)
	}
}

func TestOperatorActionsOnEndpointsRefuseNonsense(t *testing.T) {
	t.Parallel()
	b, lines := newEndpointBench(t)
	const path = "/v1/services/reward/endpoints/127.0.0.1:1/"
	for _, c := range []struct {
		path, body string
		status     int
		text       string
	}{
		{"/v1/services/none/endpoints/127.0.0.1:1/drain", "{}", 404, "there is no service none"},
		{"/v1/services/reward/endpoints/127.0.0.1:9/drain", "{}", 404, "service reward has no endpoint 127.0.0.1:9"},
		{path + "explode", "{}", 404, ""},
		{path + "eject", "", 400, "the body can't be read"},
		{path + "eject", `{"for":"soon"}`, 400, "for is no time"},
		{path + "eject", `{"for":"1ms"}`, 400, "1ms is not between 1s and 24h"},
		{path + "eject", `{"until":"1s"}`, 400, `unknown field \"until\"`},
		{path + "return", "{}", 400, "it is neither drained nor ejected"},
		{path + "weight", "{}", 400, "weight is missing"},
		{path + "weight", `{"weight":-1}`, 400, "weight -1 is not between 1 and 1000"},
		{path + "weight", `{"weight":1001}`, 400, "weight 1001 is not between 1 and 1000"},
	} {
		status, text := b.call(t, "POST", c.path, c.body)
		if status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s %s gives %d %s, not %d %s", c.path, c.body, status, text, c.status, c.text)
		}
	}
	if strings.Contains(lines.String(), "operator action") {
		t.Errorf("what was refused is logged as done:\n%s", lines)
	}
	if status, text := b.call(t, "POST", path+"drain", "{}"); status != 200 {
		t.Errorf("drain: %d %s", status, text)
	}
	for _, action := range []string{"drain", "eject"} {
		status, text := b.call(t, "POST", "/v1/services/reward/endpoints/127.0.0.1:2/"+action, "{}")
		if status != 400 || !strings.Contains(text, "it is the last usable endpoint") {
			t.Errorf("%s of the last one gives %d %s", action, status, text)
		}
	}
	if status, _ := b.call(t, "GET", path+"drain", ""); status != 405 {
		t.Errorf("GET gives %d", status)
	}
}
