package graphql_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/maru-msa/maru/graphql"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

const (
	newType = "application/graphql-response+json"
	oldType = "application/json"
)

// The table of docs/graphql.md: what each case is answered with in both editions.
func TestStatusByTheTable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		// compat under the new type, compat under the old, 2026 under the new
		status [3]int
		code   string
	}{
		{"data", `{"query":"{ratio}"}`, [3]int{200, 200, 200}, ""},
		{"null is absent", `{"query":"{ratio}","variables":null,"operationName":null,"extensions":null}`, [3]int{200, 200, 200}, ""},
		{"unknown members", `{"query":"{ratio}","more":[1]}`, [3]int{200, 200, 200}, ""},
		{"not JSON", `{"query":`, [3]int{400, 400, 400}, "BAD_REQUEST"},
		{"twice", `{"query":"{ratio}","query":"{ratio}"}`, [3]int{400, 400, 400}, "BAD_REQUEST"},
		{"not UTF-8", "{\"query\":\"{\xff}\"}", [3]int{400, 400, 400}, "BAD_REQUEST"},
		{"a list", `[{"query":"{ratio}"}]`, [3]int{400, 400, 400}, "BATCH_UNSUPPORTED"},
		{"a text", `"{ratio}"`, [3]int{400, 400, 400}, "BAD_REQUEST"},
		{"no query", `{}`, [3]int{400, 400, 422}, "BAD_REQUEST"},
		{"query of wrong type", `{"query":7}`, [3]int{400, 400, 422}, "BAD_REQUEST"},
		{"variables of wrong type", `{"query":"{ratio}","variables":[1]}`, [3]int{400, 400, 422}, "BAD_REQUEST"},
		{"name of wrong type", `{"query":"{ratio}","operationName":{}}`, [3]int{400, 400, 422}, "BAD_REQUEST"},
		{"extensions of wrong type", `{"query":"{ratio}","extensions":"x"}`, [3]int{400, 400, 422}, "BAD_REQUEST"},
		{"does not parse", `{"query":"{"}`, [3]int{400, 200, 400}, "GRAPHQL_PARSE_FAILED"},
		{"fails validation", `{"query":"{nope}"}`, [3]int{400, 200, 422}, "GRAPHQL_VALIDATION_FAILED"},
		{"variables do not fit", `{"query":"query($id:ID!){member(id:$id){id}}"}`, [3]int{400, 200, 422}, "BAD_USER_INPUT"},
		{"which operation", `{"query":"query A{ratio} query B{ratio}"}`, [3]int{400, 200, 422}, "OPERATION_RESOLUTION_FAILURE"},
		{"no such operation", `{"query":"query A{ratio}","operationName":"B"}`, [3]int{400, 200, 422}, "OPERATION_RESOLUTION_FAILURE"},
		{"no operation", `{"query":"fragment F on Member { id }"}`, [3]int{400, 200, 422}, "GRAPHQL_VALIDATION_FAILED"},
		{"subscription", `{"query":"subscription{ratio}"}`, [3]int{400, 200, 422}, "SUBSCRIPTION_UNSUPPORTED"},
	}
	doors := [3]*graphql.Door{}
	for i, status := range []string{"compat", "compat", "2026"} {
		cfg := open()
		cfg.Status = status
		doors[i] = newDoor(t, cfg, &recorder{data: `{"ratio":1.0}`})
	}
	for _, test := range tests {
		for i, accept := range []string{newType, oldType, newType} {
			a := call{method: "POST", media: oldType + "; charset=UTF-8", accept: accept, body: test.body}.do(t, doors[i])
			if a.status != test.status[i] || a.code() != test.code {
				t.Errorf("%s, case %d: %d %s, want %d %s\n%s", test.name, i, a.status, a.code(), test.status[i], test.code, a.body)
			}
			if want := accept + "; charset=utf-8"; a.header["content-type"] != want {
				t.Errorf("%s, case %d: Content-Type %q, want %q", test.name, i, a.header["content-type"], want)
			}
			if test.code != "" && strings.Contains(a.body, `"data"`) {
				t.Errorf("%s: a request error carries data: %s", test.name, a.body)
			}
		}
	}
}

func TestMethodsMediaAndTypes(t *testing.T) {
	t.Parallel()
	d := newDoor(t, open(), &recorder{})
	body := `{"query":"{ratio}"}`
	get := "query=" + url.QueryEscape("{ratio}")
	tests := []struct {
		name   string
		call   call
		status int
		allow  string
		media  string
	}{
		{"no type", call{method: "POST", body: body}, 415, "", oldType},
		{"a form", call{method: "POST", media: "application/x-www-form-urlencoded", body: get}, 415, "", oldType},
		{"text", call{method: "POST", media: "text/plain", body: body}, 415, "", oldType},
		{"multipart", call{method: "POST", media: "multipart/form-data; boundary=x", body: body}, 415, "", oldType},
		{"another charset", call{method: "POST", media: "application/json; charset=utf-16", body: body}, 415, "", oldType},
		{"empty body", call{method: "POST", media: oldType}, 400, "", oldType},
		{"get", call{method: "GET", query: get}, 200, "", oldType},
		{"get with empty parts", call{method: "GET", query: get + "&variables=&extensions=&operationName="}, 200, "", oldType},
		{"get without a query", call{method: "GET"}, 400, "", oldType},
		{"get with variables that are no object", call{method: "GET", query: get + "&variables=7"}, 400, "", oldType},
		{"get with variables that close", call{method: "GET", query: get + "&variables=" + url.QueryEscape(`{},"query":"x"`)}, 400, "", oldType},
		{"get, badly encoded", call{method: "GET", query: "query=%zz"}, 400, "", oldType},
		{"mutation by get", call{method: "GET", query: "query=" + url.QueryEscape(`mutation{bid(id:1,price:1){id}}`)}, 405, "POST", oldType},
		{"put", call{method: "PUT", media: oldType, body: body}, 405, "GET, POST", oldType},
		{"options", call{method: "OPTIONS"}, 204, "GET, POST", ""},
		{"any type", call{method: "GET", query: get, accept: "*/*"}, 200, "", oldType},
		{"the new type", call{method: "GET", query: get, accept: newType}, 200, "", newType},
		{"both", call{method: "GET", query: get, accept: oldType + ", " + newType}, 200, "", newType},
		{"by weight", call{method: "GET", query: get, accept: newType + ";q=0.1, " + oldType + ";q=0.9"}, 200, "", oldType},
		{"never one", call{method: "GET", query: get, accept: oldType + ";q=0, " + newType}, 200, "", newType},
		{"neither", call{method: "GET", query: get, accept: "text/html"}, 406, "", oldType},
	}
	for _, test := range tests {
		a := test.call.do(t, d)
		media, _, _ := strings.Cut(a.header["content-type"], ";")
		if a.status != test.status || a.header["allow"] != test.allow || media != test.media {
			t.Errorf("%s: %d allow %q type %q, want %d %q %q\n%s", test.name, a.status, a.header["allow"], media, test.status, test.allow, test.media, a.body)
		}
	}
}

func TestEditionOf2026(t *testing.T) {
	t.Parallel()
	cfg := open()
	cfg.Status = "2026"
	d := newDoor(t, cfg, &recorder{data: `{"ratio":null}`, errors: []graphql.PartError{{Path: []graphql.PathPart{{Name: "ratio"}}, Code: "timeout"}}})
	body := `{"query":"{ratio}"}`
	for _, test := range []struct {
		accept, body, media string
		status              int
	}{
		{"", body, newType, 294},
		{"*/*", body, newType, 294},
		{oldType, body, oldType, 200},
		{oldType, `{"query":"{nope}"}`, newType, 422}, // application/json stands for 2xx alone
	} {
		a := call{method: "POST", media: oldType, accept: test.accept, body: test.body}.do(t, d)
		media, _, _ := strings.Cut(a.header["content-type"], ";")
		if a.status != test.status || media != test.media {
			t.Errorf("Accept %q: %d %s, want %d %s", test.accept, a.status, media, test.status, test.media)
		}
	}
}

func TestErrorsOfPartsAndOfTheWhole(t *testing.T) {
	t.Parallel()
	e := &recorder{
		data:   `{"member":{"auctions":[{"total":null}]}}`,
		errors: []graphql.PartError{{Path: []graphql.PathPart{{Name: "member"}, {Name: "auctions"}, {Index: 0}, {Name: "sum"}}, Code: "no-time"}},
	}
	d := newDoor(t, open(), e)
	a := post(t, d, "{\n  member(id: 1) {\n    auctions { sum: total }\n  }\n}", "")
	want := `{"errors":[{"message":"this part did not come in time","locations":[{"line":3,"column":16}],` +
		`"path":["member","auctions",0,"sum"],"extensions":{"code":"NO_TIME"}}],"data":{"member":{"auctions":[{"total":null}]}}}`
	if a.body != want || a.status != 200 || a.header["cache-control"] != "no-store" {
		t.Errorf("%d %s\ngot  %s\nwant %s", a.status, a.header["cache-control"], a.body, want)
	}
	if e.released != 1 {
		t.Errorf("the run was released %d times", e.released)
	}
	e.fail = problem.Wrap(errors.New("inner secret"), 503, "no_endpoint", "nobody is there")
	a = post(t, d, "{ratio}", "")
	if a.status != 503 || a.code() != "NO_ENDPOINT" || strings.Contains(a.body, "secret") || strings.Contains(a.body, `"data"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What the services' answers depend on is told to caches.
func TestVary(t *testing.T) {
	t.Parallel()
	d := newDoor(t, open(), &recorder{vary: []string{"accept-language", "authorization"}})
	if a := post(t, d, "{ratio}", ""); a.header["vary"] != "Accept, accept-language, authorization" {
		t.Errorf("Vary: %s", a.header["vary"])
	}
	if a := post(t, d, "{nope}", ""); a.header["vary"] != "Accept" || a.header["cache-control"] != "no-store" {
		t.Errorf("%v", a.header)
	}
}

// A large part is passed on by reference, in several pieces.
func TestAnswersInPieces(t *testing.T) {
	t.Parallel()
	data := `{"ratio":"` + strings.Repeat("x", 20_000) + `"}`
	d := newDoor(t, open(), &recorder{data: data})
	if a := post(t, d, "{ratio}", ""); a.body != `{"data":`+data+`}` {
		t.Errorf("%d bytes, want %d", len(a.body), len(data)+9)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("POST", "", oldType, `{"query":"{ratio}","variables":{"a":[1,{"b":null}]},"operationName":"A"}`)
	f.Add("POST", "", oldType, `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`)
	f.Add("GET", "query=%7Bratio%7D&variables=%7B%22a%22:1%7D&extensions=%7B%7D", "", "")
	f.Add("GET", "documentId=sha256:00&variables=%7D%2C%22query%22", "*/*;q=0.5", "")
	f.Add("POST", "", oldType, `{"query":"query A($r:Range,$t:Tier){top(range:$r,tier:$t){id}}","variables":{"r":{"to":1.0},"t":"GOLD"}}`)
	f.Add("POST", "", oldType, `{"query":"{found{...on Member{...F} ...on Auction{id}}} fragment F on Member{friend{...F}}"}`)
	d := newDoor(f, open(), &recorder{})
	f.Fuzz(func(t *testing.T, method, query, accept, body string) {
		if !message.ValidValue(accept) {
			return // no listener lets such a field in
		}
		a := call{method: method, query: query, accept: accept, media: oldType, body: body}.do(t, d)
		hasData := a.Data != nil
		switch {
		case a.status == 204 && method == "OPTIONS":
		case a.status != 200 && hasData:
			t.Errorf("%d with data: %s", a.status, a.body)
		case len(a.Errors) == 0 && !hasData:
			t.Errorf("neither data nor errors: %s", a.body)
		}
	})
}
