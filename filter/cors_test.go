package filter

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestCORSConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "cors", [][2]string{
		{"{}", "origins"},
		{"[]", "origins"},
		{`{"origins": ["*"], "credentials": true}`, "credentials"},
		{`["app.example"]`, "origins[0]"},
		{`["https://"]`, "origins[0]"},
		{`["https://app.example/"]`, "origins[0]"},
		{`["https://app.example/x"]`, "origins[0]"},
		{`["https://u@app.example"]`, "origins[0]"},
		{`["https://App.example"]`, "origins[0]"},
		{`["https://app.example:443"]`, "origins[0]"},
		{`["http://app.example:80"]`, "origins[0]"},
		{`["https://*"]`, "origins[0]"},
		{`["https://a.*.example"]`, "origins[0]"},
		{`["https://*.*.example"]`, "origins[0]"},
		{`["regex:("]`, "origins[0]"},
		{`["regex:` + strings.Repeat("a", 1025) + `"]`, "origins[0]"},
		{`{"origins": ["*"], "methods": ["get"]}`, "methods[0]"},
		{`{"origins": ["*"], "methods": ["G T"]}`, "methods[0]"},
		{`{"origins": ["*"], "headers": ["a b"]}`, "headers[0]"},
		{`{"origins": ["*"], "expose": ["a:b"]}`, "expose[0]"},
		{`{"origins": ["https://a.example"], "credentials": true, "expose": ["*"]}`, "expose[0]"},
		{`{"origins": ["*"], "max-age": "1500ms"}`, "max-age"},
		{`{"origins": ["*"], "max-age": "-1s"}`, "max-age"},
	})
	takes(t, "cors", `["null", "http://localhost:3000", "chrome-extension://abcdef", "https://*.foo.bar:8443"]`, `{"origins": ["*"], "headers": ["*"], "max-age": "0s"}`)
}

func TestCORSOrigins(t *testing.T) {
	t.Parallel()
	f := build(t, &CORS{Origins: []string{"https://app.example", "https://*.foo.bar", "https://*.port.bar:8443", "regex:https://pr-[0-9]+\\.dev"}}, reply)
	for origin, want := range map[string]bool{
		"https://app.example": true, "http://app.example": false, "https://app.example:8443": false, "https://app.example.evil": false,
		"https://app.example, https://evil": false, "https://APP.example": false,
		"https://a.foo.bar": true, "https://a.b.foo.bar": false, "https://foo.bar": false, "https://.foo.bar": false,
		"https://evil.com:x.foo.bar": false, "https://afoo.bar": false, "https://a.foo.bar:8443": false, "https://a.port.bar:8443": true,
		"https://pr-12.dev": true, "https://pr-12.devil": false, "xhttps://pr-12.dev": false, "https://pr-12.dev\n": false,
		"null": false, "": false, "https://" + strings.Repeat("a", 600) + ".foo.bar": false,
	} {
		r := ask("GET", "/")
		if origin != "" {
			r.Header.AppendID(message.Origin, origin)
		}
		resp, err := f(r)
		if err != nil {
			t.Fatal(err)
		}
		got := resp.Header.Value(message.AccessControlAllowOrigin)
		if want && got != origin || !want && got != "" {
			t.Errorf("%q gets %q", origin, got)
		}
		if resp.Header.Value(message.Vary) != "Origin" {
			t.Errorf("%q: Vary is %q: it is on every response", origin, resp.Header.Value(message.Vary))
		}
		resp.Release()
		r.Release()
	}
}

func TestCORSTwoOriginsAreNone(t *testing.T) {
	t.Parallel()
	r := ask("GET", "/", "Origin: https://app.example", "Origin: https://app.example")
	defer r.Release()
	resp, err := build(t, &CORS{Origins: []string{"https://app.example"}}, reply)(r)
	if err != nil || resp.Header.Has(message.AccessControlAllowOrigin) {
		t.Error("two Origin lines were taken for one")
	}
	resp.Release()
}

// A Vary that is there already is completed, not repeated.
func TestCORSVary(t *testing.T) {
	t.Parallel()
	for have, want := range map[string]string{"Accept": "Accept|Origin", "accept, ORIGIN": "accept, ORIGIN", "*": "*"} {
		r := ask("GET", "/")
		resp, err := build(t, &CORS{Origins: []string{"*"}}, func(*message.Request) (*message.Response, error) {
			return answer(200, "", "Vary: "+have), nil
		})(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(resp.Header.Values(nil, "Vary"), "|"); got != want {
			t.Errorf("Vary %q became %q", have, got)
		}
		resp.Release()
		r.Release()
	}
}

func TestCORSPreflight(t *testing.T) {
	t.Parallel()
	f := build(t, &CORS{Origins: []string{"https://app.example"}}, func(*message.Request) (*message.Response, error) {
		t.Error("a preflight reached the service")
		return reply(nil)
	})
	r := ask("OPTIONS", "/", "Origin: https://app.example", "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: x-a,  x-b , b@d,")
	defer r.Release()
	resp, err := f(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Release()
	if resp.Status != 204 || resp.Length != 0 {
		t.Errorf("%d with %d bytes", resp.Status, resp.Length)
	}
	for id, want := range map[message.ID]string{
		message.AccessControlAllowMethods: "PATCH", message.AccessControlAllowHeaders: "x-a, x-b", message.AccessControlMaxAge: "7200",
		message.AccessControlAllowCredentials: "",
	} {
		if got := resp.Header.Value(id); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	bad := ask("OPTIONS", "/", "Origin: https://app.example", "Access-Control-Request-Method: A B")
	defer bad.Release()
	if _, err := f(bad); problem.Of(err).Status != 400 {
		t.Errorf("a method that is none: %v", err)
	}
}
