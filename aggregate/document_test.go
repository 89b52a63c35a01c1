package aggregate_test

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/aggregate"
)

// stocked is a graph over one GraphQL source and one of JSON.
func stocked() aggregate.Config {
	one := func(text string) *aggregate.CallConfig { return &aggregate.CallConfig{Call: text} }
	return aggregate.Config{
		Sources: map[string]aggregate.SourceConfig{"stock": {GraphQL: "inventory"}},
		Graph: aggregate.GraphConfig{
			Query: map[string]aggregate.RootConfig{
				"cheap": {Type: "[Product]", Args: map[string]string{"under": "Int!", "kind": "String"}, Call: *one(`stock search(under: {under}, kind: {kind?}, by: PRICE, page: {page:1}) at items`)},
				"lines": {Type: "[Line]", Call: *one("shop GET /lines")},
				"count": {Type: "Int", Call: *one("stock count")},
				"order": {Type: "Order", Args: map[string]string{"id": "ID!"}, Call: *one("shop GET /orders/{id}")},
			},
			Mutation: map[string]aggregate.RootConfig{
				"reserve": {Type: "Product", Args: map[string]string{"id": "ID!"}, Call: *one("stock reserve(id: {id})")},
			},
			Types: map[string]aggregate.TypeConfig{
				"Product": {
					Key: aggregate.KeyConfig{Fields: []string{"id"}}, Many: one("stock _entities Product(upc)"),
					Fields: map[string]string{"id": "upc as ID!", "name": "_", "left": "stock.count", "shelves": "[Shelf](product: upc)"},
				},
				"Shelf": {
					Key: aggregate.KeyConfig{Fields: []string{"code"}}, Many: one("stock shelves(codes: {keys})"), One: one("stock shelf(code: {code})"),
					By:     map[string]aggregate.ByConfig{"product": {Many: &aggregate.CallConfig{Call: "stock shelvesOf(products: {keys})", Pair: aggregate.PairConfig{Group: "product", At: "shelves"}}}},
					Fields: map[string]string{"code": "_", "row": "_"},
				},
				"Line":  {Fields: map[string]string{"upc": "_", "product": "Product(id: upc)"}},
				"Order": {Fields: map[string]string{"id": "_", "products": "[Product](id: lines.upc)"}},
			},
		},
	}
}

func TestDocuments(t *testing.T) {
	e := newEstate()
	e.says("shop GET /orders/7", `{"id":7,"lines":[{"upc":"b"},{"upc":"a"},{"upc":"b"}]}`)
	const ask2 = `inventory POST /graphql {"query":"query($representations:[_Any!]!){_entities(representations:$representations){...on Product{stock{count} upc}}}",` +
		`"variables":{"representations":[{"__typename":"Product","upc":"b"},{"__typename":"Product","upc":"a"}]}}`
	const shelves = `inventory POST /graphql {"query":"query($products:[ID!]!){shelvesOf(products:$products){product shelves{code row}}}","variables":{"products":["b","a"]}}`
	const search = `inventory POST /graphql {"query":"query($under:Int!,$kind:String,$page:Int){search(under:$under,kind:$kind,by:PRICE,page:$page){items{name}}}","variables":{"under":12,"kind":null,"page":1}}`
	const count = `inventory POST /graphql {"query":"query{count}","variables":{}}`
	const shelf = `inventory POST /graphql {"query":"query($codes:[ID!]!){shelves(codes:$codes){code row}}","variables":{"codes":["x"]}}`
	e.says(ask2, `{"data":{"_entities":[{"upc":"b","stock":{"count":1.50}},{"upc":"a","stock":null}]}}`)
	e.says(shelves, `{"data":{"shelvesOf":[{"product":"a","shelves":[{"code":"s1","row":1}]}]}}`)
	e.says(search, `{"data":{"search":{"items":[{"name":"x"}]}}}`)
	e.says(count, `{"data":{"count":3}}`)
	e.says(shelf, `{"data":{"shelves":[{"row":9,"code":"x"}]}}`)
	g := compile(t, stocked(), map[string]aggregate.ViewConfig{
		"GET /order/{id}":    {Select: aggregate.SelectConfig{"": "...order(id) { id products { left shelves { code row } } }"}},
		"GET /cheap/{price}": {Select: aggregate.SelectConfig{"": "cheap(under: price) { name }"}},
		"GET /count":         {Select: aggregate.SelectConfig{"": "count"}},
		"GET /shelf/{code}":  {Select: aggregate.SelectConfig{"": "shelfs(codes: [\"x\"]) { row }"}},
	}, e)
	for _, c := range []struct {
		route, target, want string
		calls               int
	}{
		{"GET /order/{id}", "/order/7", `{"id":7,"products":[{"left":1.50,"shelves":[]},{"left":null,"shelves":[{"code":"s1","row":1}]},{"left":1.50,"shelves":[]}]}`, 3},
		{"GET /cheap/{price}", "/cheap/12", `{"cheap":[{"name":"x"}]}`, 1},
		{"GET /count", "/count", `{"count":3}`, 1},
		{"GET /shelf/{code}", "/shelf/x", `{"shelfs":[{"row":9}]}`, 1},
	} {
		status, body, _ := ask(t, g, c.route, c.target)
		calls := e.calls()
		if status != 200 || body != c.want || len(calls) != c.calls {
			t.Errorf("%s: got %d %s\nwant %s\ncalls %s", c.target, status, body, c.want, strings.Join(calls, "\n"))
		}
	}
	// What nobody wants is not in the document either.
	e.says(strings.Replace(ask2, "stock{count} upc", "upc", 1), `{"data":{"_entities":[{"upc":"b"},{"upc":"a"}]}}`)
	status, body, _ := ask(t, g, "GET /order/{id}", "/order/7?fields=products{shelves{code}}")
	if calls := e.calls(); status != 200 || !strings.Contains(strings.Join(calls, "\n"), "{shelvesOf(products:$products){product shelves{code}}}") {
		t.Errorf("got %d %s\ncalls %s", status, body, strings.Join(calls, "\n"))
	}
}

func TestDocumentErrors(t *testing.T) {
	const target = `inventory POST /graphql {"query":"query($representations:[_Any!]!){_entities(representations:$representations){...on Product{name stock{count}}}}",` +
		`"variables":{"representations":[{"__typename":"Product","upc":"a"},{"__typename":"Product","upc":"b"}]}}`
	for name, c := range map[string]struct {
		answer string
		strict bool
		want   string
	}{
		"all of it":   {answer: `{"data":null,"errors":[{"message":"secret"}]}`, want: `{"lines":[{"product":null},{"product":null}]} "lines.product";code=failed;policy=null;n=2`},
		"no data":     {answer: `{"errors":[{"message":"secret","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`, want: `{"lines":[{"product":null},{"product":null}]} "lines.product";code=refused;policy=null;n=2`},
		"who asks":    {answer: `{"errors":[{"message":"secret","extensions":{"code":"UNAUTHENTICATED"}}]}`, want: `{"lines":[{"product":null},{"product":null}]} "lines.product";code=unauthorized;policy=null;n=2`},
		"one element": {answer: `{"data":{"_entities":[{"name":"A"},null]},"errors":[{"message":"secret","path":["_entities",1],"extensions":{"code":"FORBIDDEN"}}]}`, want: `{"lines":[{"product":{"name":"A","left":null}},{"product":null}]} "lines.product";code=unauthorized;policy=null`},
		"deep inside": {answer: `{"data":{"_entities":[{"name":"A"},{"name":"B","stock":null}]},"errors":[{"message":"secret","path":["_entities",1,"stock"]}]}`, want: `{"lines":[{"product":{"name":"A","left":null}},{"product":{"name":"B","left":null}}]} "lines.product";code=failed;policy=null`},
		"strict":      {answer: `{"data":{"_entities":[{"name":"A"},{"name":"B","stock":null}]},"errors":[{"message":"secret","path":["_entities",1,"stock"]}]}`, strict: true, want: `{"lines":[{"product":null},{"product":null}]} "lines.product";code=failed;policy=null;n=2`},
		"odd errors":  {answer: `{"data":{"_entities":[{"name":"A"},null]},"errors":[7,{"path":"x"},{"path":["_entities",{}]},{"path":["_entities",99]},{"path":["_entities",-1]}]}`, want: `{"lines":[{"product":{"name":"A","left":null}},{"product":null}]} "lines.product";code=failed;policy=null`},
		"no list":     {answer: `{"data":{"_entities":{}}}`, want: `{"lines":[{"product":null},{"product":null}]} "lines.product";code=mismatch;policy=null;n=2`},
		"short":       {answer: `{"data":{"_entities":[{"name":"A"}]}}`, want: `{"lines":[{"product":null},{"product":null}]} "lines.product";code=mismatch;policy=null;n=2`},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEstate()
			e.says("shop GET /lines", `[{"upc":"a"},{"upc":"b"}]`)
			e.says(target, c.answer)
			cfg := stocked()
			cfg.Graph.Types["Product"].Many.Strict = c.strict
			g := compile(t, cfg, map[string]aggregate.ViewConfig{"GET /lines": {
				Select: aggregate.SelectConfig{"": `lines { product { name left } }`}, Parts: map[string]string{"lines.product": "null"},
			}}, e)
			status, body, h := ask(t, g, "GET /lines", "/lines")
			if got := body + " " + h.Get("Maru-Partial"); status != 200 || got != c.want {
				t.Errorf("got %d %s\nwant %s\ncalls %v", status, got, c.want, e.calls())
			}
		})
	}
}

func TestDocumentFindings(t *testing.T) {
	for name, c := range map[string]struct {
		call aggregate.CallConfig
		want string
	}{
		"http":        {aggregate.CallConfig{Call: "stock GET /graphql"}, `graph.Query.q.call: nothing follows "/graphql"`},
		"no field":    {aggregate.CallConfig{Call: "stock 7"}, "names no field"},
		"no entity":   {aggregate.CallConfig{Call: "stock _entities"}, "names no type of entities"},
		"no key":      {aggregate.CallConfig{Call: "stock _entities Product"}, "Product needs the fields of its key"},
		"entities":    {aggregate.CallConfig{Call: "stock _entities Product(id)"}, "_entities gives one object for each of many keys"},
		"open":        {aggregate.CallConfig{Call: "stock product(id: {id}"}, "a ( is not closed"},
		"no value":    {aggregate.CallConfig{Call: "stock product(id)"}, `"id" is not an argument`},
		"twice":       {aggregate.CallConfig{Call: "stock product(id: {id}, id: 1)"}, `the argument "id" is here twice`},
		"object":      {aggregate.CallConfig{Call: "stock product(by: [1])"}, `"[1]" is neither {name} nor a plain value`},
		"type":        {aggregate.CallConfig{Call: "stock product(id: {id} as [Int)"}, "does not say the type of {id}"},
		"no type":     {aggregate.CallConfig{Call: "stock product(id: {other})"}, "nothing tells the type of {other}"},
		"body":        {aggregate.CallConfig{Call: "stock product(id: {id})", Body: "x"}, "graph.Query.q.call.body: the body of a GraphQL call is its document"},
		"map":         {aggregate.CallConfig{Call: "stock product(id: {id})", Pair: aggregate.PairConfig{How: "map"}}, "graph.Query.q.call.pair: a GraphQL answer has no members named by keys"},
		"rest":        {aggregate.CallConfig{Call: "stock product(id: {id}) { name }"}, `"{" has no meaning in a call`},
		"a string":    {aggregate.CallConfig{Call: `stock product(id: "a, \"b)", n: {id} as Float!)`}, ""},
		"with a type": {aggregate.CallConfig{Call: "stock product(n: {other} as [Int!]!) at x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := stocked()
			cfg.Graph.Query["q"] = aggregate.RootConfig{Type: "Product", Args: map[string]string{"id": "ID!"}, Call: c.call}
			got := findings(cfg, nil, newEstate().env())
			if !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
	got := findings(stocked(), map[string]aggregate.ViewConfig{"GET /m": {Merge: []aggregate.CallConfig{{Call: "stock count -> n"}}}}, newEstate().env())
	if !strings.Contains(got, "views.GET /m.merge[0]: a GraphQL source answers only what is selected") {
		t.Errorf("got %s", got)
	}
}
