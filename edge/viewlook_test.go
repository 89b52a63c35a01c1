package edge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/upstream"
)

// looked is a live edge with a view of two clients over one real service.
func looked(t *testing.T) *Runtime {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/members/7":
			_, _ = io.WriteString(w, `{"id":7,"name":"Kim"}`)
		case "/points":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(service.Close)
	rt, err := Build(Config{
		Listen:   map[string]ListenerConfig{"public": {Address: "127.0.0.1:0"}},
		Services: map[string]ServiceConfig{"member": {Config: upstream.Config{URL: service.URL}}},
		Compose: aggregate.Config{
			Clients: []aggregate.ClientConfig{{Name: "mobile", Header: "X-Client: mobile"}, {Name: "tv", Query: "client=tv"}, {Name: "web", Default: true}},
			Graph: aggregate.GraphConfig{Types: map[string]aggregate.TypeConfig{
				"Member": {
					Key: aggregate.KeyConfig{Fields: []string{"id"}}, One: &aggregate.CallConfig{Call: "member GET /members/{id}"},
					Fields: map[string]string{"id": "_", "name": "_", "points": "Points(member: id)"},
				},
				"Points": {
					Key: aggregate.KeyConfig{Fields: []string{"member"}}, Many: &aggregate.CallConfig{Call: "member GET /points?of={keys,}"},
					Fields: map[string]string{"member": "_", "sum": "_"},
				},
			}},
		},
		Views: map[string]ViewConfig{
			"GET /home/{id}": {ViewConfig: aggregate.ViewConfig{Select: aggregate.SelectConfig{
				"web": "...member(id: $id) { name points { sum } }", "mobile": "...member(id: $id) { name }", "tv": "...member(id: $id) { id }",
			}}},
			"POST /orders": {ViewConfig: aggregate.ViewConfig{Merge: []aggregate.CallConfig{{Call: "member POST /orders -> order"}}}},
		},
	}, Env{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := new(Server)
	if err := server.Swap(rt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Drain(t.Context()); err != nil {
			t.Logf("drain: %v", err)
		}
	})
	return rt
}

func TestExplainShowsThePlanOfTheClient(t *testing.T) {
	t.Parallel()
	rt := looked(t)
	for _, test := range []struct {
		url, client, want string
		calls             int
		not               string
	}{
		{"/home/7", "", "web", 2, ""},
		{"/home/7", "mobile", "mobile", 1, "member GET /points?of={keys,}"},
		{"/home/7?x=1", "tv", "tv", 1, "member GET /points?of={keys,}"},
		{"/home/7", "tv", "tv", 1, "member GET /points?of={keys,}"},
		{"/home/7?fields=name", "web", "web", 1, "member GET /points?of={keys,}"},
	} {
		x, err := rt.Explain(ExplainQuery{URL: test.url, Client: test.client, Listener: "public"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if x.View == nil || x.View.Client != test.want || len(x.View.Calls) != test.calls || strings.Join(x.View.NotCalled, "; ") != test.not {
			t.Errorf("%s for %q: %+v", test.url, test.client, x.View)
		}
	}
	if x, err := rt.Explain(ExplainQuery{URL: "/home/7?fields=nam"}, nil); err != nil || x.Status != 400 || x.View != nil {
		t.Errorf("a field that there is not: %+v, %v", x, err)
	}
	if _, err := rt.Explain(ExplainQuery{URL: "/home/7", Client: "radio"}, nil); err == nil {
		t.Error("a client that there is not was explained")
	}
}

func TestRunViewTellsWhatEachCallTook(t *testing.T) {
	t.Parallel()
	rt := looked(t)
	x, err := rt.RunView(ExplainQuery{URL: "/home/7"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	member, points := x.View.Calls[0].Run, x.View.Calls[1].Run
	if member.Bytes != 21 || member.Code != "" || member.Calls != 1 || points.Code != "failed" || points.Keys != 1 {
		t.Errorf("member %+v, points %+v", member, points)
	}
	if a := x.View.Answer; a.Status != 200 || a.Partial != `"points";code=failed;policy=null` || a.Bytes != int64(len(`{"name":"Kim","points":null}`)) {
		t.Errorf("the answer is %+v", a)
	}
	if text := x.View.Text(); !strings.Contains(text, "failed") || !strings.Contains(text, "answer: 200 in ") {
		t.Errorf("in words:\n%s", text)
	}
	if _, err := rt.RunView(ExplainQuery{Method: "POST", URL: "/orders"}, nil); err == nil || !strings.Contains(err.Error(), "changes something") {
		t.Errorf("a view that changes something: %v", err)
	}
	if x, err := rt.RunView(ExplainQuery{URL: "/nowhere"}, nil); err != nil || x.View != nil {
		t.Errorf("no view: %+v, %v", x, err)
	}
}

func TestViewsInfo(t *testing.T) {
	t.Parallel()
	list := looked(t).ViewsInfo(func(path string) string { return path })
	if len(list) != 2 || list[0].View != "GET /home/{id}" || list[0].At != "views.GET /home/{id}" || len(list[0].Plans) != 3 || len(list[1].Plans) != 1 {
		t.Errorf("%+v", list)
	}
}

// A warning refuses nothing, neither at the start nor at a reload.
func TestWarningsRefuseNothing(t *testing.T) {
	t.Parallel()
	rt, err := Build(Config{
		Services: map[string]ServiceConfig{"member": {Config: upstream.Config{URL: "http://127.0.0.1:1"}}},
		Views: map[string]ViewConfig{"POST /both": {ViewConfig: aggregate.ViewConfig{Merge: []aggregate.CallConfig{
			{Call: "member POST /a -> a"}, {Call: "member POST /b -> b"},
		}}}},
	}, Env{}, nil)
	if err != nil {
		t.Fatalf("a warning refuses: %v", err)
	}
	if err := rt.Warnings(); err == nil || !strings.Contains(err.Error(), "can't be taken back") {
		t.Errorf("the warnings are %v", err)
	}
}
