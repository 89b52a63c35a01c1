package edge

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/upstream"
)

func explained(t *testing.T) *Runtime {
	t.Helper()
	matching := func(text string) route.Match {
		var m route.Match
		if err := m.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return m
	}
	short := 800 * time.Millisecond
	rt, err := Build(Config{
		Listen: map[string]ListenerConfig{
			"public":  {Address: "127.0.0.1:0", TrustedProxies: []string{"10.0.0.0/8"}, Filters: []filter.Named{{Word: "request-id", Config: new(filter.RequestID)}}},
			"private": {Address: "127.0.0.1:0"},
		},
		Services: map[string]ServiceConfig{
			"auction": {Config: upstream.Config{URLs: []upstream.EndpointConfig{{URL: "http://127.0.0.1:1"}, {URL: "http://127.0.0.1:2"}}, TryTimeout: time.Second}},
			"all":     {Config: upstream.Config{URL: "http://127.0.0.1:3"}, Filters: []filter.Named{{Word: "prefix", Config: &filter.Prefix{Path: "/x"}}}},
		},
		Routes: []RouteConfig{
			{Match: matching("GET api.example.com/auctions/{id}"), To: "auction", Timeout: &short, Filters: []filter.Named{{Word: "strip", Config: &filter.Strip{Segments: 1}}}},
			{Name: "catch-all", Match: matching("/{rest...}"), To: "all"},
			{Name: "inside", Match: route.Match{Path: "/inside", Listener: route.List{"private"}, Client: route.List{"192.0.2.0/24"}}, To: "all"},
		},
	}, Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func TestExplain(t *testing.T) {
	t.Parallel()
	rt := explained(t)
	place := func(path string) string { return "maru.yaml:" + path }
	x, err := rt.Explain(ExplainQuery{Method: "GET", URL: "http://API.example.com:8080/x/../auctions/%37?q=1#here"}, place)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"verdict":"found","route":"auction#1","at":"maru.yaml:routes[0]","why":["host exact","prefix 10 bytes","segments","method listed"],` +
		`"not":[{"route":"catch-all","at":"maru.yaml:routes[1]","because":"less specific host: any"}],"canonical":"/auctions/7","params":{"id":"7"},` +
		`"listener":"public","client":"127.0.0.1","filters":["request-id","strip"],"service":"auction","endpoints":2,` +
		`"timeout":"800ms","try_timeout":"1s","connect_timeout":"1s"}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestExplainAppliesTheListenersRules(t *testing.T) {
	t.Parallel()
	rt := explained(t)
	for _, test := range []struct {
		q       ExplainQuery
		verdict string
		route   string
		reason  string
		client  string
	}{
		{ExplainQuery{URL: "/inside"}, "found", "catch-all", "", "127.0.0.1"},
		{ExplainQuery{URL: "/inside", Listener: "private"}, "found", "catch-all", "", "127.0.0.1"},
		{ExplainQuery{URL: "/inside", Listener: "private", Client: "192.0.2.7"}, "found", "inside", "", "192.0.2.7"},
		{ // a stranger's claim counts for nothing, a trusted proxy's does
			ExplainQuery{URL: "/inside", Listener: "private", Headers: [][2]string{{"X-Forwarded-For", "192.0.2.7"}}}, "found", "catch-all", "", "127.0.0.1",
		},
		{ExplainQuery{URL: "/", Client: "10.0.0.1", Headers: [][2]string{{"X-Forwarded-For", "192.0.2.7"}}}, "found", "catch-all", "", "192.0.2.7"},
		{ExplainQuery{URL: "example.com"}, "found", "catch-all", "", "127.0.0.1"},
		{ExplainQuery{URL: "/..", Method: "GET"}, "refused", "", "path_above_root", "127.0.0.1"},
		{ExplainQuery{URL: "/", Method: "get"}, "refused", "", "method_case", "127.0.0.1"},
		{ExplainQuery{URL: "/", Headers: [][2]string{{"a b", "c"}}}, "refused", "", "field_name", "127.0.0.1"},
		{ExplainQuery{URL: "http://a@b/"}, "refused", "", "host_syntax", "127.0.0.1"},
		{ExplainQuery{URL: "/a%zz"}, "refused", "", "percent", "127.0.0.1"},
		{ExplainQuery{URL: "/", Headers: [][2]string{{"Host", "api.example.com"}, {"Upgrade", "websocket"}, {"Connection", "upgrade"}}}, "found", "catch-all", "", "127.0.0.1"},
	} {
		x, err := rt.Explain(test.q, nil)
		if err != nil {
			t.Errorf("%+v: %v", test.q, err)
			continue
		}
		if x.Verdict != test.verdict || x.Route != test.route || x.Reason != test.reason || x.Client != test.client {
			t.Errorf("%+v: got %+v", test.q, x)
		}
	}
	for _, q := range []ExplainQuery{{URL: "ftp://x/"}, {URL: "/", Client: "nobody"}, {URL: "/", Listener: "other"}} {
		if x, err := rt.Explain(q, nil); err == nil {
			t.Errorf("%+v: got %+v", q, x)
		}
	}
}

func TestRoutesInfoListsByPrecedence(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range explained(t).RoutesInfo(func(path string) string { return path }) {
		got = append(got, strings.Join([]string{r.Name, r.Path, strings.Join(r.If, "; "), strings.Join(r.Filters, ","), r.Service, r.At}, "|"))
	}
	want := []string{
		"auction#1|/auctions/{id}||strip|auction|routes[0]",
		"inside|/inside|listener private; client 192.0.2.0/24||all|routes[2]",
		"catch-all|/{rest...}|||all|routes[1]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
