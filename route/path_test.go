package route

import (
	"errors"
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in, want string
		reading  Reading
		reason   string
	}{
		{in: "/", want: "/"},
		{in: "/a/b", want: "/a/b"},
		{in: "/a/", want: "/a/"},
		{in: "/a/.b/..c/...", want: "/a/.b/..c/..."},
		{in: "/%61%2D%2e%5F%7e", want: "/a-._~"},
		{in: "/%e3%81%82", want: "/%E3%81%82"},
		{in: "/%E3%81%82", want: "/%E3%81%82"},
		{in: "/a/./b", want: "/a/b"},
		{in: "/a/../b", want: "/b"},
		{in: "/a/b/..", want: "/a/"},
		{in: "/a/.", want: "/a/"},
		{in: "/..", reason: "path_above_root"},
		{in: "/a/../..", reason: "path_above_root"},
		{in: "/a/%2e%2e/b", want: "/b"},
		{in: "/%2E%2e/b", reason: "path_above_root"},
		{in: "/a%2fb", want: "/a%2Fb", reading: ReadSlash},
		{in: "/a%5cb", want: "/a%5Cb", reading: ReadBackslash},
		{in: "/a;x=1/b", want: "/a;x=1/b", reading: ReadParams},
		{in: "/a%3bx", want: "/a%3Bx", reading: ReadParams},
		{in: "//a", want: "//a", reading: ReadEmpty},
		{in: "/a//..", want: "/a/", reading: 0},
		{in: "/a%252e", want: "/a%252e", reading: ReadTwice},
		{in: "/100%25", want: "/100%25"},
		{in: "/100%25zz", want: "/100%25zz"},
		{in: "/a%3Fb%23", want: "/a%3Fb%23", reading: ReadQuery | ReadFragment},
		{in: "", reason: "path_syntax"},
		{in: "a", reason: "path_syntax"},
		{in: `/a\b`, reason: "backslash"},
		{in: "/a b", reason: "target_octet"},
		{in: "/\xff", reason: "target_octet"},
		{in: "/a?b", reason: "target_octet"},
		{in: "/%", reason: "percent"},
		{in: "/%4", reason: "percent"},
		{in: "/%zz", reason: "percent"},
		{in: "/%00", reason: "percent_control"},
		{in: "/%7f", reason: "percent_control"},
	} {
		r := message.NewRequest()
		r.Path = test.in
		d, err := Canonical(r)
		if test.reason != "" {
			var p *problem.Error
			if !errors.As(err, &p) || p.Status != 400 || p.Reason != test.reason {
				t.Errorf("%q: got %v, want %s", test.in, err, test.reason)
			}
			continue
		}
		if err != nil || r.Path != test.want || d != test.reading {
			t.Errorf("%q: got %q %v %v, want %q %v", test.in, r.Path, d, err, test.want, test.reading)
		}
	}
}

func TestReread(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path string
		d    Reading
		want string // "" is above the root
	}{
		{"/admin%2Fusers", ReadSlash, "/admin/users"},
		{"/a%2F..%2Fadmin", ReadSlash, "/admin"},
		{"/a%2F..%2F..%2Fadmin", ReadSlash, ""},
		{"/a%5C..%5Cadmin", ReadBackslash, "/admin"},
		{"/a%5C..%5Cadmin", ReadSlash, "/a%5C..%5Cadmin"},
		{"/admin;x=1/users;y", ReadParams, "/admin/users"},
		{"/a/..;/admin", ReadParams, "/admin"},
		{"/a/..%3B/admin", ReadParams, "/admin"},
		{"//admin///users", ReadEmpty, "/admin/users"},
		{"/a//../admin", ReadEmpty, "/admin"},
		{"/%252e%252e/admin", ReadTwice, ""},
		{"/a/%252e%252e/admin", ReadTwice, "/admin"},
		{"/a%252Fadmin", ReadTwice, "/a/admin"},
		{"/admin%3Fx", ReadQuery, "/admin"},
		{"/admin%23x", ReadFragment, "/admin"},
		{"/a%2F..%3B%5Cadmin", readAll, "/admin"},
		{"/a%253Bx/b", readAll, "/a/b"},
	} {
		if got := string(reread(nil, test.path, test.d)); got != test.want {
			t.Errorf("%q read with %v: got %q, want %q", test.path, test.d, got, test.want)
		}
	}
}

// TestAmbiguousPaths holds the examples of gateway §3.2.
func TestAmbiguousPaths(t *testing.T) {
	t.Parallel()
	tab := table(t, []Rule[int]{
		{Match: Match{Path: "/{rest...}"}, Value: 0},
		{Match: Match{Path: "/admin/{rest...}"}, Value: 1},
		{Match: Match{Path: "/api/v4/{rest...}"}, Value: 2},
		{Match: Match{Path: "/files/{rest...}"}, Encoded: Accept, Value: 3},
		{Match: Match{Path: "/strict/{rest...}"}, Encoded: Refuse, Value: 4},
	})
	for path, want := range map[string]Verdict{
		"/api/v4/projects/group%2Fapp":   Found,
		"/api/v4/projects/group%252Fapp": Found,
		"/admin%2Fusers":                 Ambiguous,
		"/x/..%2Fadmin":                  Ambiguous,
		"/x;/admin":                      Found,
		"/admin;x/users":                 Ambiguous,
		"//admin/users":                  Ambiguous,
		"/x/%252e%252e/admin/users":      Ambiguous,
		"/x%2F..%2F..%2Fy":               Ambiguous,
		"/admin%3Fx":                     Ambiguous,
		"/admin%5Cusers":                 Ambiguous,
		"/files/..%2Fadmin":              Found,
		"/strict/a%2Fb":                  Ambiguous,
		"/strict/a":                      Found,
		"/100%25":                        Found,
	} {
		r := message.NewRequest()
		set(r, "GET", "h", path)
		d, err := Canonical(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := tab.Find(r, d); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%61%2f", "/..", "/a;b//c%252f%5c%3f", "/%", "/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		x := &message.NewRequest().X
		p, d, err := CanonicalPath(x, path)
		if err != nil {
			if problem.Of(err).Status != 400 {
				t.Fatalf("%q: %v", path, err)
			}
			return
		}
		again, d2, err := CanonicalPath(x, p)
		if err != nil || again != p || d2 != d {
			t.Fatalf("%q gives %q, which gives %q (%v, %v, %v)", path, p, again, d, d2, err)
		}
		if p[0] != '/' || strings.Contains(p+"/", "/../") || strings.Contains(p+"/", "/./") {
			t.Fatalf("%q gives %q", path, p)
		}
		for bit := Reading(1); bit <= readAll; bit <<= 1 {
			if q := reread(nil, p, bit); d&bit == 0 && string(q) != p {
				t.Fatalf("%q read with %v gives %q, but the scan says there is no such reading", p, bit, q)
			}
		}
	})
}
