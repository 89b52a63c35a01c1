package aggregate_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/aggregate"
)

// documented is a graph with types, and views of every policy.
func documented(t *testing.T) *aggregate.Graph {
	t.Helper()
	cfg := aggregate.Config{
		Clients: []aggregate.ClientConfig{{Name: "mobile", Header: "X-Client: mobile"}, {Name: "web", Default: true}},
		Graph: aggregate.GraphConfig{Types: map[string]aggregate.TypeConfig{
			"Member": {
				Key: aggregate.KeyConfig{Fields: []string{"id"}}, One: &aggregate.CallConfig{Call: "member GET /members/{id}"},
				Fields: map[string]string{
					"id": "_ as Int!", "name": "_ as String!", "nick": "_ as String", "extra": "_", "tags": "_ as [String!]!",
					"points": "Points(member: id)", "orders": "[Order](member: id)",
				},
			},
			"Points": {
				Key: aggregate.KeyConfig{Fields: []string{"member"}}, One: &aggregate.CallConfig{Call: "reward GET /points/{member}"},
				Fields: map[string]string{"member": "_ as Int!", "sum": "_ as Long!"},
			},
			"Order": {
				By:     map[string]aggregate.ByConfig{"member": {One: &aggregate.CallConfig{Call: "order GET /orders?member={key}"}}},
				Fields: map[string]string{"id": "_ as ID!", "total": "_ as Float", "member": "_"},
			},
		}},
	}
	return compile(t, cfg, map[string]aggregate.ViewConfig{
		"GET /home/{id:[0-9]+}": {
			Inputs: map[string]aggregate.InputConfig{"lang": {Enum: []string{"ko", "en"}, From: "header Accept-Language", Default: "ko"}},
			Select: aggregate.SelectConfig{
				"web":    `...member(id: $id) { name nick extra tags nickname: nick ?? "" points { sum } sum: points.sum orders { id total } last: orders @last { total } }`,
				"mobile": `...member(id: $id) { name orders { id } }`,
			},
			Parts: map[string]string{"member.orders": "default []", "member.points": `default {"sum":null}`, "member.last": "omit"},
		},
		"GET /splash": {Merge: []aggregate.CallConfig{{Call: "reward GET /campaigns -> campaigns"}}, Partial: "body"},
	}, newEstate())
}

func TestTypeScript(t *testing.T) {
	t.Parallel()
	const want = `// The answers of the views, by client. Made by maru graph types --ts.

/** GET /home/{id:[0-9]+} for mobile */
export type GetHomeByIdMobile = {
  name: string;
  orders: Array<{
    id: string;
  }>;
};

/** GET /home/{id:[0-9]+} for web */
export type GetHomeByIdWeb = {
  name: string;
  nick: string | null;
  extra: unknown;
  tags: Array<string>;
  nickname: string | "";
  points: {
    sum: number;
  } | {"sum":null};
  sum: number | null;
  orders: Array<{
    id: string;
    total: number | null;
  }>;
  last?: {
    total: number | null;
  };
};

/** GET /splash */
export type GetSplash = {
  campaigns: unknown;
  _errors?: Array<{
    path: string;
    code: string;
  }>;
};
`
	if got := documented(t).TypeScript(); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	g := documented(t)
	text, err := g.OpenAPI("", "Screens", "3")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Type       json.RawMessage
		Properties map[string]schema
		Required   []string
		Items      *schema
		AnyOf      []schema
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Parameters  []struct {
				Name, In string
				Required bool
				Schema   struct {
					Type    string
					Enum    []string
					Default any
				}
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	op := doc.Paths["/home/{id}"]["get"]
	if doc.OpenAPI != "3.1.0" || op.OperationID != "getHomeById" || len(op.Parameters) != 3 || !op.Parameters[0].Required || op.Parameters[1].In != "header" ||
		op.Parameters[1].Schema.Default != "ko" || !slices.Equal(op.Parameters[1].Schema.Enum, []string{"ko", "en"}) || op.Parameters[2].Name != "fields" {
		t.Errorf("the operation is %+v", op)
	}
	home := doc.Components.Schemas["GetHomeById"]
	if want := []string{"name", "nick", "extra", "tags", "nickname", "points", "sum", "orders"}; !slices.Equal(home.Required, want) {
		t.Errorf("required are %q", home.Required)
	}
	if got := string(home.Properties["nick"].Type); strings.Join(strings.Fields(got), "") != `["string","null"]` {
		t.Errorf("nick is %s", got)
	}
	if p := home.Properties["points"]; len(p.AnyOf) != 2 || string(p.AnyOf[0].Type) != `"object"` {
		t.Errorf("points are %+v", p)
	}
	if got := home.Properties["orders"]; string(got.Type) != `"array"` || got.Items == nil || len(got.Items.Properties) != 2 {
		t.Errorf("orders are %+v", got)
	}
	mobile, err := g.OpenAPI("mobile", "", "")
	if err != nil || strings.Contains(string(mobile), "points") {
		t.Errorf("the document for phones (%v):\n%s", err, mobile)
	}
	if _, err := g.OpenAPI("radio", "", ""); err == nil || !strings.Contains(err.Error(), "mobile, web") {
		t.Errorf("a client that there is not: %v", err)
	}
}

func TestComparePlans(t *testing.T) {
	t.Parallel()
	records := func(mobile string) []aggregate.PlanRecord {
		cfg := graph()
		return compile(t, cfg, map[string]aggregate.ViewConfig{"GET /home/{id}": {Select: aggregate.SelectConfig{"": mobile}}}, home()).Records()
	}
	before := records("...member(id: $id) { name tier }")
	after := records("...member(id: $id) { name auctions(first: 5) { id bids { price } } }")
	if got := aggregate.ComparePlans(before, before); len(got) != 0 {
		t.Errorf("the same differ: %+v", got)
	}
	var got []string
	for _, c := range aggregate.ComparePlans(before, after) {
		mark := " "
		if c.Worse {
			mark = "!"
		}
		got = append(got, mark+c.Kind+" "+strings.TrimPrefix(c.Text, "GET /home/{id}: "))
	}
	want := []string{
		"!calls one more upstream call: auction GET /auctions?member={key}&limit={first:10}",
		"!calls one more upstream call: auction POST /bids/search",
		"!calls at most 3 calls, not 1",
		"!depth 2 calls one after the other, not 1",
		"!fields the field is gone or changed: tier any|null",
		" fields the field is new or changed: auctions[].id any|null",
		" fields the field is new or changed: auctions[].bids[].price any|null",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if got := aggregate.ComparePlans(before, nil); len(got) != 1 || !got[0].Worse || got[0].Kind != "views" {
		t.Errorf("a view that is gone: %+v", got)
	}
}
