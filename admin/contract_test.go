package admin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/upstream"
)

// What messages broke is listed, and counted for Prometheus.
func TestDrift(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if status, text := b.call(t, "GET", "/v1/contracts/drift", ""); status != 200 || !strings.Contains(text, `"drift": []`) {
		t.Errorf("without contracts: %d %s", status, text)
	}
	name := filepath.Join(t.TempDir(), "reward.json")
	const text = `{"openapi":"3.1.0","paths":{"/rewards/{id}":{"get":{"operationId":"reward"}}}}`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rt, err := edge.Build(edge.Config{
		Services: map[string]edge.ServiceConfig{"reward": {Config: upstream.Config{URL: "http://127.0.0.1:1"}, Contract: contract.Config{File: name}}},
		Routes: []edge.RouteConfig{{
			Name: "rewards", Match: matching(t, "GET /rewards/{id}"), To: "reward",
			Filters: []filter.Named{{Word: "validate", Config: new(filter.Validate)}},
		}},
	}, edge.Env{}, b.api.Server.Runtime())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.api.Server.Swap(rt); err != nil {
		t.Fatal(err)
	}
	d := driftOf(rt.Kept())
	m := d.Meter("reward", "reward")
	m.Checked(true)
	m.Unchecked(true, contract.Encoded)
	v := contract.Violation{In: "body", Pointer: "/a/3", Folded: "/a/*", Keyword: "type", Want: "must be a string"}
	d.Record(m, contract.Message{Answer: true, Status: 200}, []contract.Violation{v, v})
	var got drifted
	status, body := b.call(t, "GET", "/v1/contracts/drift?service=reward", "")
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	if len(got.Drift) != 1 || got.Drift[0].Count != 2 || got.Drift[0].Pointer != "/a/*" || got.Drift[0].Direction != "response" || len(got.Checked) != 1 {
		t.Errorf("got %+v", got)
	}
	_, metrics := b.call(t, "GET", "/metrics", "")
	for _, want := range []string{
		`maru_contract_checked_total{service="reward",operation="reward",direction="response"} 1`,
		`maru_contract_violations_total{service="reward",operation="reward",direction="response",keyword="type"} 2`,
		`maru_contract_unchecked_total{service="reward",operation="reward",direction="response",reason="encoding"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}
