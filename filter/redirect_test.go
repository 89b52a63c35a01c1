package filter

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestRedirectConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "redirect", [][2]string{
		{"{}", ""},
		{`{"path": "{path}"}`, ""},
		{`{"query": "keep"}`, ""},
		{"example.com", "to"},
		{"https://", "to"},
		{"https:///x", "to"},
		{`{"to": "https://a.example", "host": "b.example"}`, "to"},
		{`{"to": "https://a.example:http/x"}`, "port"},
		{`{"to": "https://user@a.example/"}`, "host"},
		{`{"to": "ftp://a.example/"}`, "scheme"},
		{`{"status": 300, "host": "a.example"}`, "status"},
		{`{"status": 200, "host": "a.example"}`, "status"},
		{`{"scheme": "htps"}`, "scheme"},
		{`{"scheme": "javascript"}`, "scheme"},
		{`{"host": "a b"}`, "host"},
		{`{"host": "a.example/x"}`, "host"},
		{`{"host": "[::1"}`, "host"},
		{`{"port": 70000}`, "port"},
		{`{"port": -1}`, "port"},
		{`{"path": "x"}`, "path"},
		{`{"path": "//evil.example"}`, "path"},
		{`{"path": "/a b"}`, "path"},
		{`{"path": "/a?b"}`, "path"},
		{`{"path": "/%zz"}`, "path"},
		{`{"host": "a.example", "query": "some"}`, "query"},
		{`{"host": "a.example", "query": "?a b"}`, "query"},
	})
	takes(t, "redirect", "https://a.example", "https://a.example:8443/x?y", "/moved", `{"host": "[2001:db8::1]"}`, `{"query": "drop"}`)
}

func TestRedirectLocations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, scheme, authority, target, want string }{
		{"https://new.example", "http", "a.example", "/x?y", "https://new.example/x?y"},
		{"https://new.example/", "http", "a.example", "/x?y", "https://new.example/?y"},
		{"https://new.example/p?q=1", "http", "a.example", "/x?y", "https://new.example/p?q=1"},
		{"/moved", "http", "a.example:8080", "/x?y", "/moved?y"},
		{`{"scheme": "https"}`, "http", "a.example:8080", "/x", "https://a.example/x"},
		{`{"scheme": "https", "port": 8443}`, "http", "a.example:8080", "/x", "https://a.example:8443/x"},
		{`{"scheme": "https", "port": 443}`, "http", "a.example", "/x", "https://a.example/x"},
		{`{"scheme": "https"}`, "http", "[2001:db8::1]:80", "/x", "https://[2001:db8::1]/x"},
		{`{"port": 8080}`, "http", "a.example", "/x", "http://a.example:8080/x"},
		{`{"path": "{path}", "query": "?from=old"}`, "http", "a.example", "//evil.example/", "/evil.example/?from=old"},
		{`{"query": "drop"}`, "http", "a.example", "/x?y", "/x"},
		{`{"query": "drop"}`, "http", "a.example", "/x", "service"},
		{`{"scheme": "https"}`, "https", "a.example", "/x", "service"},
		{`{"host": "a.example"}`, "http", "a.example", "/x", "service"},
		{`{"host": "www.a.example"}`, "http", "a.example", "/x", "http://www.a.example/x"},
		{`{"scheme": "https"}`, "http", "", "/x", "400"},
		{`{"path": "/u/{query.id}"}`, "http", "a.example", "/x?id=a%2Fb%0D%0Ac", "/u/a%2Fb%0D%0Ac?id=a%2Fb%0D%0Ac"},
		{`{"path": "/u/{header.X-H}"}`, "http", "a.example", "/x", "/u/a%20%2F%3Fb"},
	} {
		config, err := configOf("redirect", c.config)
		if err != nil {
			t.Fatal(err)
		}
		r := ask("GET", c.target, "X-H: a /?b")
		r.Scheme, r.Authority = c.scheme, c.authority
		resp, err := build(t, config, reply)(r)
		var got string
		switch {
		case err != nil:
			got = map[int]string{400: "400"}[problem.Of(err).Status]
		case resp.Status == 200:
			got = "service"
		default:
			got = strings.Clone(resp.Header.Value(message.Location))
		}
		if resp != nil {
			resp.Release()
		}
		if got != c.want {
			t.Errorf("%s of %s://%s%s: %q, want %q", c.config, c.scheme, c.authority, c.target, got, c.want)
		}
		r.Release()
	}
}

// What strip cut comes back: the client knows the path with it.
func TestRedirectKeepsWhatWasStripped(t *testing.T) {
	t.Parallel()
	r := ask("GET", "/api/x")
	defer r.Release()
	one, err := (&Strip{Segments: 1}).Filter(Bare())
	if err != nil {
		t.Fatal(err)
	}
	two, err := (&Redirect{Host: "new.example"}).Filter(Bare())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Chain(reply, one, two)(r)
	if err != nil || resp.Header.Value(message.Location) != "http://new.example/api/x" {
		t.Fatalf("%v, %s", err, resp.Header.Value(message.Location))
	}
	resp.Release()
}

// A Location is always a valid one, whatever the request was.
func FuzzRedirect(f *testing.F) {
	f.Add("/a", "b=c", "a.example", "x")
	f.Add("//evil.example", "\r\nSet-Cookie: a=b", "a.example:80", "\xff")
	f.Add("/{}|\\^", "%", "[::1]", "..//")
	var chains []Func
	for _, c := range []Config{
		&Redirect{Scheme: "https"}, &Redirect{Path: "/v2/{query.id}/{header.X-H}"}, &Redirect{Path: "{path}", Query: "?x"},
		&Redirect{To: "https://new.example"}, &Rewrite{SSLRedirect: true},
	} {
		chains = append(chains, build(f, c, reply))
	}
	f.Fuzz(func(t *testing.T, path, query, authority, header string) {
		for _, chain := range chains {
			r := ask("GET", "/")
			r.Path, r.Query, r.HasQuery, r.Authority = "/"+path, query, query != "", authority
			_ = r.Header.Add("X-H", header)
			if resp, err := chain(r); err == nil {
				loc := resp.Header.Value(message.Location)
				if resp.Status != 200 && (!validLocation(loc) || strings.HasPrefix(loc, "//")) {
					t.Errorf("Location %q of %q ? %q at %q", loc, path, query, authority)
				}
				resp.Release()
			}
			r.Release()
		}
	})
}
