package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maru-msa/maru/edge"
)

const explainFile = `listen:
  public: { address: "127.0.0.1:21050" }
filters:
  - request-id
services:
  member: http://127.0.0.1:21051
  auction: { urls: [http://127.0.0.1:21052, http://127.0.0.1:21053] }
routes:
  - match: GET,POST /members/{id}
    to: member
  - match: api.example.com/auctions/{id:[0-9]+}
    timeout: 800ms
    to: auction
  - name: beta
    match: { host: api.example.com, path: "/auctions/{id:[0-9]+}", headers: { X-Beta: "1" } }
    to: auction
`

func explainSource(t *testing.T, out *bytes.Buffer) source {
	t.Helper()
	name := filepath.Join(t.TempDir(), "maru.yaml")
	if err := os.WriteFile(name, []byte(explainFile), 0o600); err != nil {
		t.Fatal(err)
	}
	return source{Config: name, out: out}
}

func TestExplainForPeople(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, url string
		header      []string
		code        int
		want        string
	}{
		{
			"GET", "http://api.example.com/auctions/7", nil, 0, `
route       auction#2 (FILE:11:5)
because     host exact, prefix 10 bytes, segments
path        /auctions/7
parameters  id = 7
enters by   public from 127.0.0.1
filters     request-id
service     auction, 2 endpoints
time-outs   800ms in all, 5s a try, 1s to connect
not         beta (FILE:14:5): needs header x-beta: 1
`,
		},
		{
			"DELETE", "/members/7", nil, 1, `
answer     405 Method Not Allowed method_not_allowed
because    the path is known, but not with this method
allow      GET, HEAD, POST, OPTIONS
path       /members/7
enters by  public from 127.0.0.1
not        member#1 (FILE:9:5): takes GET, HEAD, POST, not DELETE
`,
		},
		{
			"GET", "http://api.example.com/auctions/..%2f7", []string{"X-Beta:1"}, 1, `
answer     404 Not Found no_route
because    no route matches
path       /auctions/..%2F7
readings   slash
enters by  public from 127.0.0.1
not        beta (FILE:14:5): its path is /auctions/{id:[0-9]+}
           auction#2 (FILE:11:5): its path is /auctions/{id:[0-9]+}
`,
		},
	} {
		var out bytes.Buffer
		c := explainCommand{Method: test.method, URL: test.url, Header: test.header, source: explainSource(t, &out)}
		err := c.Run()
		var exit exitError
		if errors.As(err, &exit); int(exit) != test.code {
			t.Errorf("%s %s: %v, want exit code %d", test.method, test.url, err, test.code)
		}
		if got := "\n" + strings.ReplaceAll(out.String(), c.Config, "FILE"); got != test.want {
			t.Errorf("%s %s: got %s\nwant %s", test.method, test.url, got, test.want)
		}
	}
}

func TestExplainAsksARunningMaru(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q edge.ExplainQuery
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != "POST" || r.URL.Path != "/v1/explain" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if q.URL == "/refused" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"detail":"there is no listener"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(edge.Explanation{Verdict: "found", Route: q.Method + " " + q.URL + " " + q.Headers[0][0] + "=" + q.Headers[0][1]})
	}))
	t.Cleanup(s.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := explainCommand{
		Method: "GET", URL: "/a", Header: []string{"X-A: b:c"},
		source: source{Admin: strings.TrimPrefix(s.URL, "http://"), TokenFile: token, JSON: true, out: &out},
	}
	if err := c.Run(); err != nil || !strings.Contains(out.String(), `"route": "GET /a X-A=b:c"`) {
		t.Errorf("got %v %s", err, out.String())
	}
	c.URL = "/refused"
	if err := c.Run(); err == nil || err.Error() != "there is no listener" {
		t.Errorf("got %v", err)
	}
	c.TokenFile = ""
	if err := c.Run(); err == nil || !strings.Contains(err.Error(), "400 Bad Request") {
		t.Errorf("got %v", err)
	}
	c.Header = []string{"nonsense"}
	if err := c.Run(); !errors.Is(err, exitError(2)) {
		t.Errorf("got %v", err)
	}
}

// A view's plan stands below; method and URL may be one word, and a client is named.
func TestExplainShowsAView(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	src := explainSource(t, &out)
	text := explainFile + `clients: { mobile: { header: "X-Client: mobile" }, web: { default: true } }
views:
  GET /both/{id}: { merge: [ "member GET /members/{id} -> member", "auction GET /auctions/{id} -> auction" ] }
`
	if err := os.WriteFile(src.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := explainCommand{Method: "GET /both/7", Client: "mobile", source: src}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	const want = `
GET /both/{id}, within 1s
#  part     on failure  after  calls  keys  call
1  member   required    -      1      -     member GET /members/{id}
2  auction  required    -      1      -     auction GET /auctions/{id}
calls: at most 2   critical path: 1
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %s\nwant at its end %s", &out, want)
	}
	c = explainCommand{Method: "GET", source: src}
	if err := c.Run(); !errors.Is(err, exitError(2)) {
		t.Errorf("without a URL: %v", err)
	}
}

func TestRoutesForPeople(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := routesCommand{explainSource(t, &out)}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	const want = `ROUTE      METHODS   HOST             PATH                   IF                FILTERS     SERVICE  AT
beta       -         api.example.com  /auctions/{id:[0-9]+}  header x-beta: 1  request-id  auction  FILE:14:5
auction#2  -         api.example.com  /auctions/{id:[0-9]+}  -                 request-id  auction  FILE:11:5
member#1   GET,POST  -                /members/{id}          -                 request-id  member   FILE:9:5
`
	if got := strings.ReplaceAll(out.String(), c.Config, "FILE"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
