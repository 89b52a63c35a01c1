package edge_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/graphql"
	"github.com/maru-msa/maru/upstream"
)

// graphqlGateway is a gateway with GraphQL over one stub service, whose answers are
// by request line; what has none is a 500.
type graphqlGateway struct {
	*edgetest.Gateway

	service *edgetest.Service
	seen    int
}

func startGraphQL(t *testing.T, answers map[string]string, change func(*edge.Config)) *graphqlGateway {
	t.Helper()
	service := edgetest.NewService(t, func(request string) string {
		line, _, _ := strings.Cut(request, " HTTP/1.1\r\n")
		if _, body, ok := strings.Cut(request, "\r\n\r\n"); ok && body != "" {
			line += " " + body
		}
		body, ok := answers[line]
		if !ok {
			return "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
		}
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	cfg := edge.Config{
		Listen:   map[string]edge.ListenerConfig{"public": {Address: "127.0.0.1:0"}},
		Services: map[string]edge.ServiceConfig{"s": {Config: upstream.Config{URL: service.URL()}}},
		Compose:  aggregate.Config{Graph: auctionGraph()},
		GraphQL:  &edge.GraphQLConfig{Config: graphql.Config{Trusted: "off", Introspection: "on"}},
	}
	if change != nil {
		change(&cfg)
	}
	return &graphqlGateway{Gateway: edgetest.Start(t, cfg), service: service}
}

func auctionGraph() aggregate.GraphConfig {
	key := func(name string) aggregate.KeyConfig { return aggregate.KeyConfig{Fields: []string{name}} }
	call := func(text string) *aggregate.CallConfig { return &aggregate.CallConfig{Call: text} }
	return aggregate.GraphConfig{
		Query: map[string]aggregate.RootConfig{
			"top":     {Type: "[Auction]", Args: map[string]string{"first": "Int = 10"}, Call: *call("s GET /top?n={first} at items")},
			"must":    {Type: "Strict!", Call: *call("s GET /must")},
			"strict":  {Type: "Strict", Call: *call("s GET /strict")},
			"stricts": {Type: "[Strict!]", Call: *call("s GET /stricts")},
			"loose":   {Type: "[Strict]", Call: *call("s GET /stricts")},
			"number":  {Type: "Int", Call: *call("s GET /strict")},
			"numbers": {Type: "[Int!]", Call: *call("s GET /strict")},
			"found":   {Type: "[Found]", Call: *call("s GET /found")},
		},
		Mutation: map[string]aggregate.RootConfig{
			"bid": {Type: "Bid", Args: map[string]string{"auction": "ID!", "price": "Int!"}, Call: aggregate.CallConfig{
				Call: "s POST /bids", Body: map[string]any{"auction": "{auction}", "price": "{price}"},
			}},
		},
		Types: map[string]aggregate.TypeConfig{
			"Member": {
				Key: key("id"), One: call("s GET /members/{id}"),
				Fields: map[string]string{"id": "_", "name": "_ as String", "auctions": "[Auction](memberId: id)"},
			},
			"Auction": {
				Key: key("id"), Many: call("s GET /auctions?ids={keys,}"),
				By:     map[string]aggregate.ByConfig{"memberId": {One: call("s GET /auctions?member={key}&limit={first:10} at items")}},
				Fields: map[string]string{"id": "_", "total": "_ as Float", "owner": "Member(id: memberId)", "bids": "[Bid](auctionId: id)"},
			},
			"Bid": {
				Key: key("id"),
				By: map[string]aggregate.ByConfig{"auctionId": {Many: &aggregate.CallConfig{
					Call: "s POST /bids/search", Body: map[string]any{"auctions": "{keys}"}, At: "bids", Idempotent: true,
				}}},
				Fields: map[string]string{"id": "_", "price": "_ as Int", "by": "Member(id: by)"},
			},
			"Strict": {Fields: map[string]string{"a": "_ as Int!", "b": "_ as String", "in": "_ as Strict!", "maybe": "_ as Strict", "list": "_ as [Int!]"}},
			"Found":  {Union: []string{"Member", "Auction"}, Tag: "kind"},
		},
	}
}

// query sends a document and gives the answer's body, with the calls it made.
func (g *graphqlGateway) query(t *testing.T, query, variables string) (body string, calls []string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"query": query, "variables": json.RawMessage(variables)})
	if err != nil {
		t.Fatal(err)
	}
	a := g.Say("public", fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
	if a.Status != 200 {
		t.Errorf("%s: %d %s", query, a.Status, a.Body)
	}
	all := g.service.Requests()
	for _, r := range all[g.seen:] {
		line, _, _ := strings.Cut(r, " HTTP/1.1\r\n")
		calls = append(calls, line)
	}
	g.seen = len(all)
	slices.Sort(calls)
	return a.Body, calls
}

// A list of auctions with its bids is two calls, however long it is; a condition
// that leaves a part out leaves its call out.
func TestGraphQLMakesTheCallsOfItsPlan(t *testing.T) {
	t.Parallel()
	g := startGraphQL(t, map[string]string{
		"GET /members/7":                               `{"id":7,"name":"김하늘"}`,
		"GET /auctions?member=7&limit=2":               `{"items":[{"id":"A-1","total":1.10,"memberId":7},{"id":"A-2","total":2,"memberId":7}]}`,
		`POST /bids/search {"auctions":["A-1","A-2"]}`: `{"bids":[{"id":12345678901234567890,"price":3.0,"auctionId":"A-2"},{"id":2,"price":1,"auctionId":"A-1"}]}`,
	}, nil)
	query := `query($id: ID!, $bids: Boolean = true, $n: Int = 2) { member(id: $id) { ...F } }
		fragment F on Member { id name auctions(first: $n) { id total bids @include(if: $bids) @sort(by: "price") { id price } } }`
	body, calls := g.query(t, query, `{"id":7}`)
	want := `{"data":{"member":{"id":"7","name":"김하늘","auctions":[{"id":"A-1","total":1.10,"bids":[{"id":"2","price":1}]},` +
		`{"id":"A-2","total":2,"bids":[{"id":"12345678901234567890","price":3}]}]}}}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if list := []string{"GET /auctions?member=7&limit=2", "GET /members/7", "POST /bids/search"}; !slices.Equal(calls, list) {
		t.Errorf("calls %q, want %q", calls, list)
	}
	_, calls = g.query(t, query, `{"id":"7","bids":false}`)
	if list := []string{"GET /auctions?member=7&limit=2", "GET /members/7"}; !slices.Equal(calls, list) {
		t.Errorf("without bids: calls %q, want %q", calls, list)
	}
	for _, refused := range []string{`{ member(id: 7) { nope } }`, `{ top(first: 1000) { id } }`, `{ top { owner { auctions(first: 50) { bids { id } } } } }`} {
		if body, calls = g.query(t, refused, "null"); calls != nil || strings.Contains(body, `"data"`) {
			t.Errorf("%s: %s after %q", refused, body, calls)
		}
	}
}

// A view and a GraphQL document that ask for the same make the same calls: as many
// as the plan says they can be at most.
func TestGraphQLPlansAsViewsDo(t *testing.T) {
	t.Parallel()
	const selection = `member(id: $id) { name auctions(first: 2) { id bids @limit(n: 10) { price by { name } } } }`
	answers := map[string]string{
		"GET /members/7":                               `{"id":7,"name":"Kim"}`,
		"GET /members/8":                               `{"id":8,"name":"Lee"}`,
		"GET /members/9":                               `{"id":9,"name":"Han"}`,
		"GET /auctions?member=7&limit=2":               `{"items":[{"id":"A-1","memberId":7},{"id":"A-2","memberId":7}]}`,
		`POST /bids/search {"auctions":["A-1","A-2"]}`: `{"bids":[{"id":1,"price":3,"by":8,"auctionId":"A-2"},{"id":2,"price":1,"by":9,"auctionId":"A-1"}]}`,
	}
	g := startGraphQL(t, answers, func(c *edge.Config) {
		member := c.Compose.Graph.Types["Member"]
		member.Many = &aggregate.CallConfig{Call: "s GET /people?ids={keys,}"}
		c.Compose.Graph.Types["Member"] = member
		c.Views = map[string]edge.ViewConfig{"GET /home/{id}": {ViewConfig: aggregate.ViewConfig{Select: aggregate.SelectConfig{"": selection}}}}
	})
	answers["GET /people?ids=9,8"] = `[{"id":9,"name":"Han"},{"id":8,"name":"Lee"}]`
	body, calls := g.query(t, `query($id: ID!) {`+selection+`}`, `{"id":7}`)
	view := g.Say("public", "GET /home/7 HTTP/1.1\r\nHost: x\r\n\r\n")
	if want := `{"data":` + view.Body + `}`; body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if most := g.Server.Runtime().Graph().Views()["GET /home/{id}"].Plans()[""].Bounds().Calls; len(calls) != most {
		t.Errorf("%d calls, the plan says %d: %q", len(calls), most, calls)
	}
	if of := len(g.service.Requests()); of != 2*len(calls) {
		t.Errorf("%d calls in all, want twice %d", of, len(calls))
	}
}

// Many requests share documents, plans and their memory.
func TestGraphQLManyAtOnce(t *testing.T) {
	t.Parallel()
	g := startGraphQL(t, map[string]string{"GET /members/1": `{"id":1,"name":"a"}`, "GET /members/2": `{"id":2,"name":"b"}`}, nil)
	var all sync.WaitGroup
	for i := range 40 {
		id, name := i%2+1, i%4 < 2
		all.Go(func() {
			text := fmt.Sprintf(`{"query":"query($id:ID!,$n:Boolean!){member(id:$id){id name @include(if:$n)}}","variables":{"id":%d,"n":%t}}`, id, name)
			want := fmt.Sprintf(`{"data":{"member":{"id":"%d"}}}`, id)
			if name {
				want = fmt.Sprintf(`{"data":{"member":{"id":"%d","name":"%c"}}}`, id, 'a'+id-1)
			}
			a := g.Say("public", fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
			if a.Body != want {
				t.Errorf("got %s, want %s", a.Body, want)
			}
		})
	}
	all.Wait()
}

// What is null where it can't be takes the nearest thing that can (GraphQL §6.4.4).
func TestGraphQLNullsBubble(t *testing.T) {
	t.Parallel()
	mismatch := func(path string, column int) string {
		return fmt.Sprintf(`{"message":"this part is not of its type","locations":[{"line":1,"column":%d}],"path":[%s],"extensions":{"code":"MISMATCH"}}`, column, path)
	}
	tests := []struct{ name, query, strict, data, fault string }{
		{"all is well", `{strict{a b in{a}}}`, `{"a":1,"b":"x","in":{"a":2}}`, `{"strict":{"a":1,"b":"x","in":{"a":2}}}`, ""},
		{"a field that can be null", `{strict{a b}}`, `{"a":1,"b":7}`, `{"strict":{"a":1,"b":null}}`, mismatch(`"strict","b"`, 11)},
		{"one that can't", `{strict{a b}}`, `{"a":"x","b":"y"}`, `{"strict":null}`, mismatch(`"strict","a"`, 9)},
		{"null where it can't be", `{strict{a b}}`, `{"a":null,"b":"y"}`, `{"strict":null}`, mismatch(`"strict","a"`, 9)},
		{"through one that can't", `{strict{b in{a}}}`, `{"b":"y","in":{"a":2147483648}}`, `{"strict":null}`, mismatch(`"strict","in","a"`, 14)},
		{"up to one that can", `{strict{b maybe{in{a}}}}`, `{"b":"y","maybe":{"in":{"a":true}}}`, `{"strict":{"b":"y","maybe":null}}`, mismatch(`"strict","maybe","in","a"`, 20)},
		{"an element of a list that can't be null", `{stricts{a}}`, `[{"a":1},{"a":"x"}]`, `{"stricts":null}`, mismatch(`"stricts",1,"a"`, 10)},
		{"one that can", `{loose{a}}`, `[{"a":1},{"a":"x"},null]`, `{"loose":[{"a":1},null,null]}`, mismatch(`"loose",1,"a"`, 8)},
		{"a list of numbers", `{strict{list}}`, `{"list":[1,"x"]}`, `{"strict":{"list":null}}`, mismatch(`"strict","list",1`, 9)},
		{"a part of a list of numbers", `{strict{list(first: 1, skip: 1)}}`, `{"list":[1,2.0,3]}`, `{"strict":{"list":[2]}}`, ""},
		{"null in a list that can't have it", `{stricts{a}}`, `[{"a":1},null]`, `{"stricts":null}`, mismatch(`"stricts",1`, 2)},
		{"a root that is a number", `{number}`, `1.0`, `{"number":1}`, ""},
		{"or should be one", `{number}`, `"x"`, `{"number":null}`, mismatch(`"number"`, 2)},
		{"a root of numbers", `{numbers}`, `[1,2.0]`, `{"numbers":[1,2]}`, ""},
		{"with null among them", `{numbers}`, `[1,null]`, `{"numbers":null}`, mismatch(`"numbers",1`, 2)},
		{"the whole", `{must{a}}`, `{"a":null}`, `null`, mismatch(`"must","a"`, 7)},
	}
	for _, test := range tests {
		g := startGraphQL(t, map[string]string{"GET /strict": test.strict, "GET /stricts": test.strict, "GET /must": test.strict}, nil)
		body, _ := g.query(t, test.query, "null")
		want := `{"data":` + test.data + `}`
		if test.fault != "" {
			want = `{"errors":[` + test.fault + `],"data":` + test.data + `}`
		}
		if body != want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, body, want)
		}
	}
}

func TestGraphQLPartsThatFail(t *testing.T) {
	t.Parallel()
	g := startGraphQL(t, map[string]string{"GET /members/7": `{"id":7,"name":"Kim"}`}, nil)
	body, _ := g.query(t, `{member(id:7){name auctions{id}}}`, "null")
	want := `{"errors":[{"message":"this part could not be had","locations":[{"line":1,"column":20}],"path":["member","auctions"],` +
		`"extensions":{"code":"FAILED"}}],"data":{"member":{"name":"Kim","auctions":null}}}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	body, _ = g.query(t, `{must{a}}`, "null")
	if !strings.HasSuffix(body, `"data":null}`) || strings.Count(body, `"message"`) != 1 {
		t.Errorf("a root that can't be null: %s", body)
	}
}

func TestGraphQLUnions(t *testing.T) {
	t.Parallel()
	g := startGraphQL(t, map[string]string{
		"GET /found":     `[{"kind":"Auction","id":"A-1","total":5,"memberId":7},{"kind":"Member","id":7,"name":"Kim"},{"kind":"Robot","id":1}]`,
		"GET /members/7": `{"id":7,"name":"Kim"}`,
	}, nil)
	body, _ := g.query(t, `{found @limit(n: 3) {__typename ...on Member{n: name} ...A}} fragment A on Auction{id owner{name}}`, "null")
	want := `{"errors":[{"message":"this part is not of its type","locations":[{"line":1,"column":2}],"path":["found",2],"extensions":{"code":"MISMATCH"}}],` +
		`"data":{"found":[{"__typename":"Auction","id":"A-1","owner":{"name":"Kim"}},{"__typename":"Member","n":"Kim"},null]}}`
	if body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

// Mutations run one after the other in the order of the document, each with all that
// is selected in it; one that fails does not keep the next from running (GraphQL §6.2.2).
func TestGraphQLMutationsAreSerial(t *testing.T) {
	t.Parallel()
	g := startGraphQL(t, map[string]string{
		`POST /bids {"auction":"A","price":1}`: `{"id":"b1","price":1}`,
		`POST /bids {"auction":"A","price":2}`: `{"id":"b2","price":2,"by":7}`,
		`POST /bids {"auction":"A","price":3}`: `{"id":"b3","price":3,"by":7}`,
		"GET /members/7":                       `{"id":7,"name":"Kim"}`,
	}, nil)
	body, _ := g.query(t, `mutation($p: Int!){a: bid(auction:"A",price:1){id} b: bid(auction:"A",price:$p){id price}}`, `{"p":2}`)
	if want := `{"data":{"a":{"id":"b1"},"b":{"id":"b2","price":2}}}`; body != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	body, _ = g.query(t, `mutation{a: bid(auction:"A",price:2){by{name}} no: bid(auction:"A",price:9){id} b: bid(auction:"A",price:3){id by{name}}}`, "null")
	if !strings.HasSuffix(body, `"data":{"a":{"by":{"name":"Kim"}},"no":null,"b":{"id":"b3","by":{"name":"Kim"}}}}`) || strings.Count(body, "message") != 1 {
		t.Errorf("got  %s", body)
	}
	var order []string
	for _, r := range g.service.Requests() {
		order = append(order, r[:4]+r[len(r)-2:])
	}
	if want := []string{"POST1}", "POST2}", "POST2}", "GET \r\n", "POST9}", "POST3}", "GET \r\n"}; !slices.Equal(order, want) {
		t.Errorf("calls %q, want %q", order, want)
	}
}

// The front door is a route: its filters run, its documents have URLs, and its
// methods are told.
func TestGraphQLIsARoute(t *testing.T) {
	t.Parallel()
	g := startGraphQL(t, nil, func(c *edge.Config) {
		c.GraphQL.Path = "/api/graph"
		c.GraphQL.Filters = []filter.Named{{Word: "maintenance", Config: &filter.Maintenance{}}}
	})
	if a := g.Say("public", "GET /api/graph?query={__typename} HTTP/1.1\r\nHost: x\r\n\r\n"); a.Status != 503 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	g = startGraphQL(t, nil, nil)
	for request, status := range map[string]int{
		"GET /graphql?query=%7B__typename%7D": 200, "GET /graphql/sha256:00": 404, "DELETE /graphql": 405, "GET /graphql": 400, "GET /other": 404,
	} {
		if a := g.Say("public", request+" HTTP/1.1\r\nHost: x\r\n\r\n"); a.Status != status {
			t.Errorf("%s: %d %s, want %d", request, a.Status, a.Body, status)
		}
	}
	g.AwaitCount("graphql graphql document_not_found", 1)
}
