package aggregate_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// estate is a set of services in memory: what each answers, and what it was asked.
type estate struct {
	mu      sync.Mutex
	answers map[string]func(*message.Request) (*message.Response, error) // by "service METHOD /target"
	asked   []string
}

func newEstate() *estate {
	return &estate{answers: make(map[string]func(*message.Request) (*message.Response, error))}
}

// says makes a target answer with a body of JSON.
func (e *estate) says(target, body string) {
	e.answers[target] = func(*message.Request) (*message.Response, error) { return jsonResponse(200, body), nil }
}

// fails makes it answer with a status and nothing of use.
func (e *estate) fails(target string, status int) {
	e.answers[target] = func(*message.Request) (*message.Response, error) {
		return jsonResponse(status, `{"secret":"inner"}`), nil
	}
}

func jsonResponse(status int, body string) *message.Response {
	resp := message.NewResponse(status)
	resp.Header.AppendID(message.ContentType, "application/json")
	resp.SetBytes([]byte(body))
	return resp
}

func (e *estate) service(name string) aggregate.Caller {
	if name == "nobody" {
		return nil
	}
	return func(r *message.Request) (*message.Response, error) {
		target := name + " " + r.Method + " " + string(r.AppendTarget(nil))
		if r.HasBody() {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			target += " " + string(body)
		}
		e.mu.Lock()
		e.asked = append(e.asked, target)
		answer := e.answers[target]
		e.mu.Unlock()
		if answer == nil {
			return nil, problem.New(502, "connect_failed", "nothing answers "+target)
		}
		return answer(r)
	}
}

// calls are what was asked, sorted.
func (e *estate) calls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := slices.Clone(e.asked)
	slices.Sort(out)
	e.asked = nil
	return out
}

func (e *estate) env() aggregate.Env { return aggregate.Env{Whole: true, Service: e.service} }

// graph is the worked example of the house.
func graph() aggregate.Config {
	return aggregate.Config{
		Graph: aggregate.GraphConfig{
			Query: map[string]aggregate.RootConfig{
				"top": {Type: "[Restaurant]", Args: map[string]string{"first": "Int = 10"}, Call: aggregate.CallConfig{Call: "restaurant GET /restaurants/top?n={first} at items"}},
			},
			Types: map[string]aggregate.TypeConfig{
				"Member": {
					Key: aggregate.KeyConfig{Fields: []string{"id"}},
					One: &aggregate.CallConfig{Call: "member GET /members/{id}"},
					Fields: map[string]string{
						"id": "_", "name": "profile.displayName", "tier": "_", "joined": "createdAt",
						"points": "Points(memberId: id)", "auctions": "[Auction](memberId: id)",
					},
				},
				"Auction": {
					Key:    aggregate.KeyConfig{Fields: []string{"id"}},
					Many:   &aggregate.CallConfig{Call: "auction GET /auctions?ids={keys,}"},
					By:     map[string]aggregate.ByConfig{"memberId": {One: &aggregate.CallConfig{Call: "auction GET /auctions?member={key}&limit={first:10} at items"}}},
					Fields: map[string]string{"id": "_", "total": "budget.amount", "status": "_", "owner": "Member(id: memberId)", "bids": "[Bid](auctionId: id)"},
				},
				"Bid": {
					Key: aggregate.KeyConfig{Fields: []string{"id"}},
					By: map[string]aggregate.ByConfig{"auctionId": {Many: &aggregate.CallConfig{
						Call: "auction POST /bids/search", Body: map[string]any{"auctionIds": "{keys}"}, At: "bids", Max: 50, Idempotent: true,
					}}},
					Fields: map[string]string{"id": "_", "price": "amount.value", "restaurant": "Restaurant(id: restaurantId)"},
				},
				"Restaurant": {
					Key:    aggregate.KeyConfig{Fields: []string{"id"}},
					Many:   &aggregate.CallConfig{Call: "restaurant GET /restaurants?ids={keys,}"},
					Fields: map[string]string{"id": "_", "name": "_", "area": "Area(code: areaCode)"},
				},
				"Area": {
					Key:    aggregate.KeyConfig{Fields: []string{"code"}},
					Many:   &aggregate.CallConfig{Call: "location POST /areas", Body: map[string]any{"codes": "{keys}"}, Pair: aggregate.PairConfig{How: "map"}, Idempotent: true},
					Fields: map[string]string{"code": "_", "name": "label"},
				},
				"Points": {
					Key:    aggregate.KeyConfig{Fields: []string{"memberId"}},
					One:    &aggregate.CallConfig{Call: "reward GET /members/{memberId}/points"},
					Fields: map[string]string{"memberId": "_ as ID!", "balance": "points as Int!"},
				},
			},
		},
		Clients: []aggregate.ClientConfig{{Name: "mobile", Header: "X-Client: mobile"}, {Name: "web", Default: true}},
	}
}

func homeView() aggregate.ViewConfig {
	return aggregate.ViewConfig{
		Select: aggregate.SelectConfig{
			"web": `...member(id) { name tier joined points { balance }
				auctions(first: 20) { id total bids[price <= 40000] @sort(by: "price") { price restaurant { name area { name } } } } }`,
			"mobile": `...member(id) { name auctions(first: 5) { id total best: bids @sort(by: "price") @first { price } } }`,
		},
		Parts: map[string]string{"member": "required", "member.points": "null"},
	}
}

// home answers the calls of the home view.
func home() *estate {
	e := newEstate()
	e.says("member GET /members/7", `{"id":7,"profile":{"displayName":"김하늘"},"tier":"gold","createdAt":"2024-01-02","secret":"x"}`)
	e.says("reward GET /members/7/points", `{"memberId":7,"points":12345678901234567890}`)
	for _, n := range []string{"20", "5"} {
		e.says("auction GET /auctions?member=7&limit="+n, `{"items":[{"id":"A-17","budget":{"amount":1.10},"memberId":7},{"id":"A-9","budget":{"amount":1e400},"memberId":7}]}`)
	}
	e.says(`auction POST /bids/search {"auctionIds":["A-17","A-9"]}`,
		`{"bids":[{"id":"b2","auctionId":"A-9","amount":{"value":39000},"restaurantId":3},{"id":"b1","auctionId":"A-17","amount":{"value":50000},"restaurantId":4},`+
			`{"id":"b3","auctionId":"A-17","amount":{"value":32000},"restaurantId":3},{"id":"b4","auctionId":"A-17","amount":{"value":31000},"restaurantId":5}]}`)
	e.says("restaurant GET /restaurants?ids=5,3", `[{"id":3,"name":"Three","areaCode":"seoul"},{"id":5,"name":"F\u0069ve","areaCode":"busan"}]`)
	e.says(`location POST /areas {"codes":["busan","seoul"]}`, `{"seoul":{"code":"seoul","label":"서울"},"busan":{"code":"busan","label":"부산"}}`)
	return e
}

func compile(t *testing.T, cfg aggregate.Config, views map[string]aggregate.ViewConfig, e *estate) *aggregate.Graph {
	t.Helper()
	g, err := aggregate.Compile(cfg, views, e.env())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ask sends a request to a view and gives status and body.
func ask(t *testing.T, g *aggregate.Graph, route, target string, fields ...string) (int, string, message.Header) {
	t.Helper()
	r := message.NewRequest()
	defer r.Release()
	r.Method, _, _ = strings.Cut(route, " ")
	path, query, has := strings.Cut(target, "?")
	r.Path, r.Query, r.HasQuery = path, query, has
	pattern := strings.Split(strings.SplitN(route, " ", 2)[1], "/")
	for i, part := range strings.Split(path, "/") {
		if i < len(pattern) && strings.HasPrefix(pattern[i], "{") {
			r.X.AddParam(strings.Trim(pattern[i], "{}"), part)
		}
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if err := r.Header.Add(name, value); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := g.Views()[route].Do(r)
	if err != nil {
		p := problem.Of(err)
		return p.Status, string(p.AppendJSON(nil, "", "", "")), message.Header{}
	}
	defer resp.Release()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(body) {
		t.Fatalf("not JSON: %s", body)
	}
	var h message.Header
	for _, f := range resp.Header.Fields() {
		h.Append(message.Field{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value), ID: f.ID})
	}
	return resp.Status, string(body), h
}

func TestHome(t *testing.T) {
	e := home()
	g := compile(t, graph(), map[string]aggregate.ViewConfig{"GET /home/{id}": homeView()}, e)
	for range 3 { // with memory that was used before, too
		status, body, h := ask(t, g, "GET /home/{id}", "/home/7")
		want := `{"name":"김하늘","tier":"gold","joined":"2024-01-02","points":{"balance":12345678901234567890},"auctions":[` +
			`{"id":"A-17","total":1.10,"bids":[{"price":31000,"restaurant":{"name":"F\u0069ve","area":{"name":"부산"}}},{"price":32000,"restaurant":{"name":"Three","area":{"name":"서울"}}}]},` +
			`{"id":"A-9","total":1e400,"bids":[{"price":39000,"restaurant":{"name":"Three","area":{"name":"서울"}}}]}]}`
		if status != 200 || body != want {
			t.Fatalf("got %d %s\nwant %s", status, body, want)
		}
		if h.Get("Vary") != "x-client" {
			t.Errorf("Vary: %q", h.Get("Vary"))
		}
		calls := e.calls()
		if len(calls) != 6 {
			t.Errorf("%d calls: %s", len(calls), strings.Join(calls, "\n"))
		}
	}
	status, body, _ := ask(t, g, "GET /home/{id}", "/home/7", "X-Client: mobile")
	want := `{"name":"김하늘","auctions":[{"id":"A-17","total":1.10,"best":{"price":31000}},{"id":"A-9","total":1e400,"best":{"price":39000}}]}`
	if status != 200 || body != want {
		t.Fatalf("got %d %s\nwant %s", status, body, want)
	}
	if calls := e.calls(); len(calls) != 3 {
		t.Errorf("%d calls: %s", len(calls), strings.Join(calls, "\n"))
	}
}

func TestFieldsRemoveFetches(t *testing.T) {
	e := home()
	g := compile(t, graph(), map[string]aggregate.ViewConfig{"GET /home/{id}": homeView()}, e)
	status, body, _ := ask(t, g, "GET /home/{id}", "/home/7?fields=name,auctions{id}")
	if want := `{"name":"김하늘","auctions":[{"id":"A-17"},{"id":"A-9"}]}`; status != 200 || body != want {
		t.Fatalf("got %d %s", status, body)
	}
	if calls := e.calls(); len(calls) != 2 {
		t.Errorf("calls: %v", calls)
	}
	status, body, _ = ask(t, g, "GET /home/{id}", "/home/7?fields=nam")
	if status != 400 || !strings.Contains(body, "did you mean name?") {
		t.Errorf("got %d %s", status, body)
	}
}

func TestPartsFail(t *testing.T) {
	e := home()
	e.fails("reward GET /members/7/points", 500)
	e.fails(`location POST /areas {"codes":["busan","seoul"]}`, 503)
	g := compile(t, graph(), map[string]aggregate.ViewConfig{"GET /home/{id}": homeView()}, e)
	status, body, h := ask(t, g, "GET /home/{id}", "/home/7")
	if status != 200 || !strings.Contains(body, `"points":null`) || strings.Contains(body, "secret") {
		t.Errorf("got %d %s", status, body)
	}
	if got, want := h.Get("Maru-Partial"), `"points";code=failed;policy=null, "auctions.bids.restaurant.area";code=unavailable;policy=null;n=3`; got != want {
		t.Errorf("Maru-Partial: %s\nwant %s", got, want)
	}
	if h.Get("Cache-Control") != "no-store" {
		t.Error("a partial answer may be stored")
	}
	e.fails("member GET /members/7", 404)
	if status, body, _ = ask(t, g, "GET /home/{id}", "/home/7"); status != 404 || !strings.Contains(body, `"part":"member"`) {
		t.Errorf("got %d %s", status, body)
	}
}

func TestMerge(t *testing.T) {
	e := newEstate()
	e.says("reward GET /campaigns", `[{"id":1},{"id":2}]`)
	e.says("restaurant GET /restaurants/top?n=3", `{"items":[3,2,1]}`)
	e.says("a GET /1", `{"x":{"a":1,"b":[1]},"y":1,"z":"a"}`)
	e.says("b GET /2", `{"x":{"b":[2],"c":3},"y":2}`)
	e.says("c GET /for?ids=1,2", `{"ok":true}`)
	e.says("c GET /x/1?y=1", `{"x":{"b":3},"found":1}`)
	g := compile(t, aggregate.Config{}, map[string]aggregate.ViewConfig{
		"GET /splash": {Merge: []aggregate.CallConfig{{Call: "reward GET /campaigns -> campaigns"}, {Call: "restaurant GET /restaurants/top?n=3 at items -> top"}}},
		"GET /deep":   {Merge: []aggregate.CallConfig{{Call: "a GET /1"}, {Call: "b GET /2"}}},
		"GET /lists":  {Merge: []aggregate.CallConfig{{Call: "reward GET /campaigns -> all[]"}, {Call: "restaurant GET /restaurants/top?n=3 at items -> all[]"}}},
		"GET /chain":  {Merge: []aggregate.CallConfig{{Call: "c GET /for?ids={campaigns.id,} -> found"}, {Call: "reward GET /campaigns -> campaigns"}}},
		"GET /refer":  {Merge: []aggregate.CallConfig{{Call: "a GET /1"}, {Call: "c GET /x/{a.x.a}?y={a.y}"}}},
	}, e)
	for route, want := range map[string]string{
		"GET /splash": `{"campaigns":[{"id":1},{"id":2}],"top":[3,2,1]}`,
		"GET /deep":   `{"x":{"a":1,"b":[2],"c":3},"y":2,"z":"a"}`,
		"GET /lists":  `{"all":[{"id":1},{"id":2},3,2,1]}`,
		"GET /chain":  `{"found":{"ok":true},"campaigns":[{"id":1},{"id":2}]}`,
		"GET /refer":  `{"x":{"a":1,"b":3},"y":1,"z":"a","found":1}`,
	} {
		status, body, _ := ask(t, g, route, strings.TrimPrefix(route, "GET "))
		if status != 200 || body != want {
			t.Errorf("%s: got %d %s\nwant %s", route, status, body, want)
		}
	}
}

func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		view aggregate.ViewConfig
		want string
	}{
		"unknown field":  {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id) { nam }"}}, `Member has no field "nam"`},
		"unknown root":   {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "membr(id) { name }"}}, `there is no root "membr"`},
		"twice":          {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id) { name name: tier }"}}, `the member "name" is here twice`},
		"no fields":      {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id)"}}, "say which fields of it"},
		"no such input":  {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id: idd) { name }"}}, `there is no input "idd"`},
		"unbounded":      {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "top { name } x: members(ids: idlist) { name }"}}, `there is no root "members"`},
		"parts and else": {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id) { points { balance } ?? {} }"}, Parts: map[string]string{"member.points": "null"}}, "both say"},
		"unknown part":   {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id) { name }"}, Parts: map[string]string{"member.pints": "null"}}, `there is no part "member.pints"`},
		"cel":            {aggregate.ViewConfig{Select: aggregate.SelectConfig{"": "member(id) { auctions[totl > 1] { id } }"}}, "is not a condition"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := aggregate.Compile(graph(), map[string]aggregate.ViewConfig{"GET /x/{id}": c.view}, newEstate().env())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
