package spring_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/spring"
)

// estate is a gateway that runs what was imported, before services that say who
// they are and what they saw.
type estate struct {
	*edgetest.Gateway

	addresses map[string]string // by name
}

// runs imports a text in which @a, @b and so on stand for the addresses of services.
func runs(t *testing.T, text string) *estate {
	t.Helper()
	e := &estate{addresses: make(map[string]string)}
	for _, name := range []string{"a", "b", "c"} {
		s := edgetest.NewService(t, func(request string) string {
			head, _, _ := strings.Cut(request, "\r\n\r\n")
			body := name + " " + head
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Service: %s\r\nX-Dup: 1\r\nX-Dup: 1\r\nSet-Cookie: s=1\r\nContent-Length: %d\r\n\r\n%s", name, len(body), body)
		})
		e.addresses[name] = strings.TrimPrefix(s.URL(), "http://")
		text = strings.ReplaceAll(text, "@"+name+"@", e.addresses[name])
	}
	r := spring.Import([]spring.File{{Name: "application.yml", Text: []byte(text)}}, spring.Options{})
	for i := range r.Findings {
		if r.Findings[i].Severity == diag.Error {
			t.Errorf("%s", r.Findings[i])
		}
	}
	file, findings := config.LoadBytes("maru.yaml", r.YAML)
	if errs, _ := diag.Count(findings); errs > 0 {
		t.Fatalf("%v\n%s", findings, r.YAML)
	}
	l := file.Listen["public"]
	l.Address = "127.0.0.1:0"
	file.Listen["public"] = l
	e.Gateway = edgetest.Start(t, file.Config)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", r.YAML)
		}
	})
	return e
}

// TestRequestsGoWhereSpringSendsThem runs imported routes and asks for each what
// the documents of Spring Cloud Gateway and Zuul say of it.
func TestRequestsGoWhereSpringSendsThem(t *testing.T) {
	t.Parallel()
	e := runs(t, `
zuul:
  ignoredPatterns: /**/secret/**
  ignoredServices: '*'
  routes:
    zusers: { path: /zusers/**, url: "http://@b@/base" }
    zkeep: { path: /zkeep/**, url: "http://@b@", stripPrefix: false, sensitiveHeaders: "" }
spring.cloud.gateway:
  globalcors.cors-configurations.[/name/**]: { allowedOrigins: "https://app.example", allowedMethods: [GET, PUT], maxAge: 30 }
  default-filters:
    - AddResponseHeader=X-Default, yes
  routes:
    - { id: strip, uri: "http://@a@", predicates: [Path=/name/**], filters: [StripPrefix=2] }
    - { id: rewrite, uri: "http://@a@", predicates: [Path=/red/**], filters: ['RewritePath=/red/?(?<segment>.*), /$\{segment}'] }
    - { id: setpath, uri: "http://@a@", predicates: ["Path=/set/{segment}"], filters: ["SetPath=/v2/{segment}"] }
    - { id: prefix, uri: "http://@a@", predicates: [Path=/hello], filters: [PrefixPath=/mypath] }
    - { id: host, uri: "http://@b@", predicates: [Host=**.somehost.org] }
    - { id: kept, uri: "http://@a@", predicates: [Path=/kept/**], filters: [PreserveHostHeader] }
    - { id: own, uri: "http://@a@", predicates: [Path=/own/**], filters: [{ name: SetRequestHostHeader, args: { host: example.org } }] }
    - { id: header, uri: "http://@b@", predicates: [Path=/h, 'Header=X-Request-Id, \d+'] }
    - { id: other, uri: "http://@c@", predicates: [Path=/h] }
    - { id: query, uri: "http://@b@", predicates: [Path=/q, "Query=red, gree."] }
    - { id: cookie, uri: "http://@c@", predicates: [Path=/q, "Cookie=chocolate, ch.p"] }
    - { id: broad, uri: "http://@b@", predicates: [Path=/shop/**, Method=GET] }
    - { id: narrow, uri: "http://@c@", predicates: [Path=/shop/new] }
    - { id: heads, uri: "http://@a@", predicates: ["Path=/heads/{id}/{*rest}"], filters: ["AddRequestHeader=X-Id, id-{id}", "AddRequestHeadersIfNotPresent=X-Tenant:acme", "MapRequestHeader=X-From, X-To", RemoveRequestHeader=X-Gone, "DedupeResponseHeader=X-Dup", "AddRequestParameter=p, a b", RemoveRequestParameter=q, RemoveResponseHeader=X-Service] }
    - { id: redirect, uri: "http://@a@", predicates: [Path=/go], filters: ["RedirectTo=302, https://acme.org"] }
    - { id: closed, uri: "no://op", predicates: [Path=/closed], filters: [SetStatus=401] }
    - { id: big, uri: "http://@a@", predicates: [Path=/big], filters: [{ name: RequestSize, args: { maxSize: 10B } }] }
    - { id: 메뉴, uri: "http://@c@", predicates: ["Path=/메뉴/{이름}"], filters: ["SetPath=/menu/{이름}"] }
    - { id: past, uri: "http://@a@", predicates: [Path=/when, "Before=2017-01-20T17:42:47.789-07:00[America/Denver]"] }
    - { id: now, uri: "http://@c@", predicates: [Path=/when, "After=2017-01-20T17:42:47.789-07:00[America/Denver]"] }
`)
	for _, c := range []struct {
		name, request string
		status        int
		has, not      []string
	}{
		{"StripPrefix", "GET /name/blue/red/x?a=1 HTTP/1.1", 200, []string{"a GET /red/x?a=1 ", "Host: " + e.addresses["a"], "X-Default: yes"}, nil},
		{"StripPrefix of a short path", "GET /name HTTP/1.1", 200, []string{"a GET / "}, nil},
		{"RewritePath", "GET /red/blue HTTP/1.1", 200, []string{"a GET /blue "}, nil},
		{"RewritePath of the beginning alone", "GET /red HTTP/1.1", 200, []string{"a GET / "}, nil},
		{"SetPath", "GET /set/7 HTTP/1.1", 200, []string{"a GET /v2/7 "}, nil},
		{"SetPath, slash at the end", "GET /set/7/ HTTP/1.1", 200, []string{"a GET /v2/7 "}, nil},
		{"SetPath, more segments", "GET /set/7/8 HTTP/1.1", 404, nil, nil},
		{"PrefixPath", "GET /hello HTTP/1.1", 200, []string{"a GET /mypath/hello "}, nil},
		{"Host", "GET /x HTTP/1.1\nHost: www.somehost.org", 200, []string{"b GET /x "}, nil},
		{"Host, the domain itself", "GET /x HTTP/1.1\nHost: somehost.org", 200, []string{"b GET /x "}, nil},
		{"Host, another", "GET /x HTTP/1.1\nHost: other.org", 404, nil, nil},
		{"PreserveHostHeader", "GET /kept/1 HTTP/1.1\nHost: client.example", 200, []string{"Host: client.example"}, nil},
		{"SetRequestHostHeader", "GET /own/1 HTTP/1.1", 200, []string{"Host: example.org"}, nil},
		{"Header", "GET /h HTTP/1.1\nX-Request-Id: 42", 200, []string{"b GET /h "}, nil},
		{"Header, no match", "GET /h HTTP/1.1\nX-Request-Id: 42x", 200, []string{"c GET /h "}, nil},
		{"Query", "GET /q?red=green HTTP/1.1", 200, []string{"b GET /q?red=green "}, nil},
		{"Cookie", "GET /q HTTP/1.1\nCookie: chocolate=chip", 200, []string{"c GET /q "}, nil},
		{"Query and Cookie: the first", "GET /q?red=greet HTTP/1.1\nCookie: chocolate=chip", 200, []string{"b GET "}, nil},
		{"neither", "GET /q HTTP/1.1", 404, nil, nil},
		{"the broader route stands first", "GET /shop/new HTTP/1.1", 200, []string{"b GET "}, nil},
		{"what it leaves over", "POST /shop/new HTTP/1.1\nContent-Length: 0", 200, []string{"c POST "}, nil},
		{
			"header fields", "GET /heads/7/a/b?q=1&r=2 HTTP/1.1\nX-From: f\nX-Gone: g", 200,
			[]string{"X-Id: id-7", "X-Tenant: acme", "X-To: f", "X-From: f", "a GET /heads/7/a/b?r=2&p=a%20b ", "X-Dup: 1 of 1"},
			[]string{"X-Gone", "X-Service"},
		},
		{"AddRequestHeadersIfNotPresent, present", "GET /heads/7 HTTP/1.1\nX-Tenant: own", 200, []string{"X-Tenant: own"}, []string{"acme"}},
		{"RedirectTo", "GET /go?a=1 HTTP/1.1", 302, []string{"Location: https://acme.org/"}, []string{"a=1"}},
		{"SetStatus without a target", "GET /closed HTTP/1.1", 401, nil, nil},
		{"RequestSize", "POST /big HTTP/1.1\nContent-Length: 11\n\n12345678901", 413, nil, nil},
		{"letters beyond ASCII", "GET /%EB%A9%94%EB%89%B4/%EA%B9%80%EB%B0%A5 HTTP/1.1", 200, []string{"c GET /menu/%EA%B9%80%EB%B0%A5 "}, nil},
		{"globalcors", "GET /name/a/b HTTP/1.1\nOrigin: https://app.example", 200, []string{"Access-Control-Allow-Origin: https://app.example"}, nil},
		{
			"globalcors, a preflight", "OPTIONS /name/a/b HTTP/1.1\nOrigin: https://app.example\nAccess-Control-Request-Method: PUT", 204,
			[]string{"Access-Control-Allow-Methods: GET, PUT", "Access-Control-Max-Age: 30"},
			nil,
		},
		{"globalcors, another origin", "OPTIONS /name/a/b HTTP/1.1\nOrigin: https://evil.example\nAccess-Control-Request-Method: PUT", 403, nil, []string{"Access-Control-Allow-Origin"}},
		{"After", "GET /when HTTP/1.1", 200, []string{"c GET "}, nil},
		{"Zuul, with the path of url", "GET /zusers/1 HTTP/1.1\nCookie: a=b\nAuthorization: x", 200, []string{"b GET /base/1 "}, []string{"Cookie", "Authorization"}},
		{"Zuul, nothing stripped or sensitive", "GET /zkeep/1 HTTP/1.1\nCookie: a=b", 200, []string{"b GET /zkeep/1 ", "Cookie: a=b", "Set-Cookie: s=1"}, nil},
		{"Zuul, ignored", "GET /zkeep/secret/1 HTTP/1.1", 404, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, body, _ := strings.Cut(c.request, "\n\n")
			if !strings.Contains(head, "\nHost: ") {
				head += "\nHost: gateway.example"
			}
			a := e.Say("public", head+"\n\n"+body)
			var seen strings.Builder
			seen.WriteString(a.Body)
			for name, values := range a.Header {
				for _, v := range values {
					fmt.Fprintf(&seen, "\n%s: %s of %d", name, v, len(values))
				}
			}
			if a.Status != c.status {
				t.Errorf("status %d, want %d: %s", a.Status, c.status, seen.String())
			}
			for _, want := range c.has {
				if !strings.Contains(seen.String(), want) {
					t.Errorf("no %q in\n%s", want, seen.String())
				}
			}
			for _, not := range c.not {
				if strings.Contains(seen.String(), not) {
					t.Errorf("%q in\n%s", not, seen.String())
				}
			}
		})
	}
}

// TestWeightsShareRequests counts where 400 requests of a group go.
func TestWeightsShareRequests(t *testing.T) {
	t.Parallel()
	e := runs(t, `
spring.cloud.gateway.routes:
  - { id: high, uri: "http://@a@", predicates: [Path=/w, "Weight=group1, 8"] }
  - { id: low, uri: "http://@b@", predicates: [Path=/w, "Weight=group1, 2"] }
`)
	const all = 400
	high := 0
	c := e.Dial("public")
	for range all {
		a := edgetest.Talk(t, c, "GET /w HTTP/1.1\nHost: x\n\n")
		if a.Header.Get("X-Service") == "a" {
			high++
		}
	}
	// 80 % of 400 is 320 with a standard deviation of 8: ten of them do not happen.
	if high < 240 || high > all-1 {
		t.Errorf("%d of %d went to the route of weight 8", high, all)
	}
}
