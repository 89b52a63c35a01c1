package filter

import "testing"

func TestPrefixConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "prefix", [][2]string{
		{"", "path"}, {"/", "path"}, {"v1", "path"}, {"/v1/", "path"}, {"/v1/..", "path"}, {"/a b", "path"}, {"/%2e", "path"}, {"/a?b", "path"},
	})
	takes(t, "prefix", "/v1", `{"path": "/a/b%20c"}`)
}

func TestPrefixPaths(t *testing.T) {
	t.Parallel()
	f := build(t, &Prefix{Path: "/v1"}, reply)
	for path, want := range map[string]string{
		"/": "/v1/", "/a": "/v1/a", "/a//b": "/v1/a//b", "//a": "/v1//a", "/a%2Fb": "/v1/a%2Fb",
	} {
		r := ask("GET", path)
		resp, err := f(r)
		if err != nil || r.Path != want {
			t.Errorf("%s became %s, %v; want %s", path, r.Path, err, want)
		}
		resp.Release()
		r.Release()
	}
}
