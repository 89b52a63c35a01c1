package filter

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestStripConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "strip", [][2]string{
		{"", "segments"},
		{"0", "segments"},
		{"-1", "segments"},
		{"/", "prefix"},
		{`{"prefix": "api"}`, "prefix"},
		{`{"prefix": "/a/../b"}`, "prefix"},
		{`{"prefix": "/a?b"}`, "prefix"},
		{`{"prefix": "/%61"}`, "prefix"},
		{`{"segments": 1, "prefix": "/a"}`, "segments"},
	})
	takes(t, "strip", "1", "/api", "/api/", `{"segments": 3}`)
	if _, err := configOf("strip", "api"); err == nil {
		t.Error("a short form without slash was taken")
	}
}

func TestStripPaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, path, want, cut string }{
		{"1", "/api", "/", "/api"},
		{"1", "/api/", "/", "/api"},
		{"1", "/api/a", "/a", "/api"},
		{"2", "/a/b/c/d", "/c/d", "/a/b"},
		{"2", "/a", "404", ""},
		{"1", "/", "404", ""},
		{"1", "//", "404", ""},
		{"2", "//a//b//c", "/c", "/a//b"},
		{"/api", "/api", "/", "/api"},
		{"/api", "/api/", "/", "/api"},
		{"/api", "/apis", "404", ""},
		{"/api", "/API/x", "404", ""},
		{"/api", "/x/api", "404", ""},
		{"/a%2Fb", "/a%2Fb/c", "/c", "/a%2Fb"},
		{"/a", "/a%2Fb/c", "404", ""},
		{"/api", "/api//evil.example", "/evil.example", "/api"},
		{"/api", "/api///evil.example", "/evil.example", "/api"},
		{"1", "/x/..%2f..%2fetc", "/..%2F..%2Fetc", "/x"},
	} {
		config, err := configOf("strip", c.config)
		if err != nil {
			t.Fatal(err)
		}
		r := ask("GET", c.path)
		resp, err := build(t, config, reply)(r)
		got := r.Path
		if err != nil {
			got = "404"
			if problem.Of(err).Status != 404 {
				t.Errorf("strip %s on %s: %v", c.config, c.path, err)
			}
		} else {
			resp.Release()
			if r.X.Stripped != c.cut {
				t.Errorf("strip %s on %s cut %q, want %q", c.config, c.path, r.X.Stripped, c.cut)
			}
		}
		if got != c.want {
			t.Errorf("strip %s on %s gives %s, want %s", c.config, c.path, got, c.want)
		}
		r.Release()
	}
}

// Whatever comes in, what goes on is canonical: one slash in front, no dot
// segments, no lower-case hex, nothing that decodes to itself.
func FuzzPathFilters(f *testing.F) {
	for _, p := range []string{"/a/b", "/api/../x", "/a//b", "/%61", "/a%2e%2e/b", "//a", "/a/%2E%2E/b", "/%", "/a\\b", "/a%00", "/..", "/a/./b/"} {
		f.Add(p)
	}
	var chains []Func
	for _, c := range []Config{
		&Strip{Segments: 1}, &Strip{Prefix: "/a"}, &Prefix{Path: "/p"},
		&Rewrite{Pattern: "/(.)(.*)", Target: "/$2$1"}, &Rewrite{Pattern: "a(/|$)(.*)", Replace: "$2"},
		&Rewrite{Pattern: "/a(/|$)(.*)", Target: "/$2"}, &Rewrite{Path: "/x{path}"},
	} {
		chains = append(chains, build(f, c, reply))
	}
	f.Fuzz(func(t *testing.T, path string) {
		for i, chain := range chains {
			r := ask("GET", "/")
			r.Path = path
			resp, err := chain(r)
			if err != nil {
				if p := problem.Of(err); p.Status != 400 && p.Status != 404 {
					t.Errorf("chain %d: %v", i, err)
				}
				r.Release()
				continue
			}
			resp.Release()
			if changed := r.Path != path; changed && !canonicalForm(r.Path) {
				t.Errorf("chain %d made %q of %q", i, r.Path, path)
			}
			r.Release()
		}
	})
}

func canonicalForm(p string) bool {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") {
		return false
	}
	for seg := range strings.SplitSeq(p[1:], "/") {
		if seg == "." || seg == ".." {
			return false
		}
	}
	var x message.Exchange
	again, err := canonical(&x, p)
	return err == nil && again == p
}
