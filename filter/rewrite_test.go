package filter

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/problem"
)

func TestRewriteConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "rewrite", [][2]string{
		{"{}", ""},
		{`{"pattern": "/a"}`, "target"},
		{`{"target": "/a"}`, "pattern"},
		{`{"pattern": "(", "target": "/a"}`, "pattern"},
		{`{"pattern": "(?=a)", "target": "/a"}`, "pattern"},
		{`{"pattern": "` + strings.Repeat("a", 1025) + `", "target": "/a"}`, "pattern"},
		{`{"pattern": "/a", "target": "/$1"}`, "target"},
		{`{"pattern": "/(?<id>a)", "target": "/${ie}"}`, "target"},
		{`{"pattern": "/(a)", "target": "/$"}`, "target"},
		{`{"pattern": "/(a)", "target": "/x?y=$2"}`, "target"},
		{`{"pattern": "/(a)", "target": "x"}`, "target"},
		{`{"pattern": "/(a)", "replace": "$2"}`, "replace"},
		{`{"pattern": "/(a)", "replace": "/$1", "target": "/$1"}`, "replace"},
		{`{"pattern": "/a", "path": "/b"}`, "path"},
		{`{"path": "b"}`, "path"},
		{`{"path": "/{pth}"}`, "path"},
		{`{"path": "/{path.}"}`, "path"},
		{`{"path": "/{status}"}`, "path"},
		{`{"path": "/a?b={host}"}`, "path"},
		{`{"app-root": "app"}`, "app-root"},
		{`{"app-root": "/"}`, "app-root"},
	})
	takes(t, "rewrite", `{"pattern": "/(a)(b)", "target": "/$12$$"}`, `{"ssl-redirect": true}`, `{"path": "/a/{path.id}/{host}"}`)
}

func TestRewritePaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, target, want string }{
		// nginx Ingress, rewrite-target
		{`{"pattern": "/something(/|$)(.*)", "target": "/$2"}`, "/something", "/"},
		{`{"pattern": "/something(/|$)(.*)", "target": "/$2"}`, "/something/", "/"},
		{`{"pattern": "/something(/|$)(.*)", "target": "/$2"}`, "/something/new", "/new"},
		{`{"pattern": "/something(/|$)(.*)", "target": "/x/$2?v=$1"}`, "/something/new?q", "/x/new?v=/"},
		{`{"pattern": "^/something(/|$)(.*)", "target": "/$2"}`, "/something/a/b?q=1&r", "/a/b?q=1&r"},
		{`{"pattern": "/a/(.*)", "target": "/b?"}`, "/a/x?q", "/b"},
		{`{"pattern": "/a/(.*)", "target": "/$$$1"}`, "/a/x", "/$x"},
		{`{"pattern": "/(a)(b)?", "target": "/[$2]$12"}`, "/a", "/[]a2"},
		{`{"pattern": "/a%2Fb/(.*)", "target": "/$1"}`, "/a%2Fb/c%2Fd", "/c%2Fd"},
		{`{"pattern": "/(?i)shop/(.*)", "target": "/$1"}`, "/SHOP/x", "/x"},
		{`{"pattern": "/s(/|$)(.*)", "target": "$1$2"}`, "/s/x", "/x"},
		{`{"path": "/u/{query.id}"}`, "/x?id=../admin%2F+7", "/u/..%2Fadmin%2F%207?id=../admin%2F+7"},
		// a capture can't name a host or leave the root
		{`{"pattern": "/go/(.*)", "target": "/$1"}`, "/go///evil.example", "/evil.example"},
		{`{"pattern": "/go/(.*)", "target": "/../$1"}`, "/go/x", "400"},
		// Spring
		{`{"pattern": "/api/(?<rest>.*)", "replace": "/$\\{rest}"}`, "/api/x", "/x"},
		{`{"pattern": "o", "replace": "0"}`, "/foo/bool", "/f00/b00l"},
		{`{"pattern": "nothing", "replace": "z"}`, "/foo", "/foo"},
	} {
		config, err := configOf("rewrite", c.config)
		if err != nil {
			t.Fatal(err)
		}
		r := ask("GET", c.target)
		resp, err := build(t, config, reply)(r)
		got := string(r.AppendTarget(nil))
		if err != nil {
			got = "400"
			if problem.Of(err).Status != 400 {
				t.Errorf("%s on %s: %v", c.config, c.target, err)
			}
		} else {
			resp.Release()
		}
		if got != c.want {
			t.Errorf("%s on %s gives %s, want %s", c.config, c.target, got, c.want)
		}
		r.Release()
	}
}

// The idiom without the regexp engine agrees with it.
func TestRewriteIdiomAgrees(t *testing.T) {
	t.Parallel()
	idiom := build(t, &Rewrite{Pattern: "/s(/|$)(.*)", Target: "/$2|$1|$0"}, reply)
	engine := build(t, &Rewrite{Pattern: "/(?:s)(/|$)(.*)", Target: "/$2|$1|$0"}, reply)
	for _, path := range []string{"/", "/s", "/s/", "/s/a", "/s//a", "/sa", "/a/s/b", "/s/a/s/b", "/S/a", "/s%2Fa", "/s/%20"} {
		a, b := ask("GET", path), ask("GET", path)
		_, err1 := idiom(a)
		_, err2 := engine(b)
		if a.Path != b.Path || (err1 == nil) != (err2 == nil) {
			t.Errorf("%s: %s and %s, %v and %v", path, a.Path, b.Path, err1, err2)
		}
	}
}

func TestRewriteAllocs(t *testing.T) {
	f := build(t, &Rewrite{Pattern: "/s(/|$)(.*)", Target: "/v2/$2"}, reply)
	r := ask("GET", "/")
	got := testing.AllocsPerRun(100, func() {
		browse(r, "/s/users/7")
		resp, err := f(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
	})
	if got > 0 && !raceEnabled {
		t.Errorf("%v allocations", got)
	}
}
