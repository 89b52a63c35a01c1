package route

import (
	"reflect"
	"strings"
	"testing"

	"github.com/maru-msa/maru/diag"
)

func TestShortForm(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		want Match
	}{
		{"/a/{id}", Match{Path: "/a/{id}"}},
		{"GET /a", Match{Methods: List{"GET"}, Path: "/a"}},
		{"GET,POST api.example.com/a/{rest...}", Match{Methods: List{"GET", "POST"}, Host: List{"api.example.com"}, Path: "/a/{rest...}"}},
		{"GET  /a", Match{Methods: List{"GET"}, Path: "/a"}},
		{" /a ", Match{Path: "/a"}},
		{"api.example.com", Match{Host: List{"api.example.com"}}},
		{"*.example.com/", Match{Host: List{"*.example.com"}, Path: "/"}},
		{"PURGE *.example.com", Match{Methods: List{"PURGE"}, Host: List{"*.example.com"}}},
		{"localhost", Match{Host: List{"localhost"}}},
		{"regex:/a b/.*", Match{Path: "regex:/a b/.*"}},
		{"GET regex:/a/.*", Match{Methods: List{"GET"}, Path: "regex:/a/.*"}},
	} {
		var m Match
		if err := m.UnmarshalText([]byte(test.in)); err != nil || !reflect.DeepEqual(m, test.want) {
			t.Errorf("%q: got %+v (%v), want %+v", test.in, m, err, test.want)
		}
	}
	for _, in := range []string{"", " ", "GET", "GET,", ",GET /a", "GET,,POST /a"} {
		var m Match
		if err := m.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q: got %+v", in, m)
		}
	}
}

// TestFaults holds what is wrong with a Match, by path, and a word of what is said.
func TestFaults(t *testing.T) {
	t.Parallel()
	weight := func(n int) *int { return &n }
	for _, test := range []struct {
		match Match
		path  string
		word  string
	}{
		{Match{Path: "a"}, "path", "begins with /"},
		{Match{Path: "/a//b"}, "path", "empty segment"},
		{Match{Path: "/a/../b"}, "path", "canonical"},
		{Match{Path: "/%61"}, "path", "canonical"},
		{Match{Path: "/a%2fb"}, "path", "canonical"},
		{Match{Path: "/카페"}, "path", "canonical"},
		{Match{Path: "/a?b"}, "path", "path alone"},
		{Match{Path: "/a%zz"}, "path", "percent sign"},
		{Match{Path: "/{id}.json"}, "path", "not closed"},
		{Match{Path: "/a{id}"}, "path", "whole segment"},
		{Match{Path: "/{id"}, "path", "not closed"},
		{Match{Path: "/{}"}, "path", "parameter name"},
		{Match{Path: "/{1a}"}, "path", "parameter name"},
		{Match{Path: "/{a}/{a}"}, "path", "twice"},
		{Match{Path: "/{rest...}/a"}, "path", "nothing may follow"},
		{Match{Path: "/{id:}"}, "path", "empty"},
		{Match{Path: "/{id:[}"}, "path", "wrong"},
		{Match{Path: "/{id:(?=a)}"}, "path", "wrong"},
		{Match{Path: "regex:"}, "path", "empty"},
		{Match{Path: "regex:a.*"}, "path", "begins with /"},
		{Match{Path: "regex:/(" + strings.Repeat("a", 1025) + ")"}, "path", "more than 1024"},
		{Match{Path: "/" + strings.Repeat("a", 5000)}, "path", "more than 4096"},
		{Match{Path: "/" + strings.Repeat("{a}/", 17)}, "path", "twice"},
		{Match{Path: "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}"}, "path", "more than 16"},
		{Match{Host: List{"a_b.example:80"}}, "host", "port"},
		{Match{Host: List{"a.*"}}, "host", "whole labels"},
		{Match{Host: List{"*"}}, "host", "not a host"},
		{Match{Host: List{"a..b"}}, "host", "not a host"},
		{Match{Host: List{"a."}}, "host", "ends with a dot"},
		{Match{Host: List{"[::1"}}, "host", "not a host"},
		{Match{Host: List{"a", "A"}}, "host[1]", "twice"},
		{Match{Methods: List{"get"}}, "methods", "case-sensitive"},
		{Match{Methods: List{"GET", "P T"}}, "methods[1]", "not a method"},
		{Match{Headers: map[string]string{"a b": "1"}}, "headers.a b", "field name"},
		{Match{Headers: map[string]string{"Host": "a"}}, "headers.Host", "not a header"},
		{Match{Headers: map[string]string{"Content-Length": "1"}}, "headers.Content-Length", "frames"},
		{Match{Headers: map[string]string{"a": "1", "A": "2"}}, "headers.a", "another case"},
		{Match{Headers: map[string]string{"a": "x\n"}}, "headers.a", "can't be the value"},
		{Match{Headers: map[string]string{"a": "regex:("}}, "headers.a", "wrong"},
		{Match{Cookies: map[string]string{"a b": "x"}}, "cookies.a b", "not the name"},
		{Match{Query: map[string]string{"": "x"}}, "query", "no name"},
		{Match{Client: List{"10.0.0.1/8"}}, "client", "beyond its length"},
		{Match{Client: List{"10.0.0.0/8", "x"}}, "client[1]", "neither"},
		{Match{Client: List{"::ffff:10.0.0.0/104"}}, "client", "IPv6 form"},
		{Match{Scheme: "ftp"}, "scheme", "not a scheme"},
		{Match{Protocol: "mqtt"}, "protocol", "not a protocol"},
		{Match{Time: Window{After: "tomorrow"}}, "time.after", "RFC 3339"},
		{Match{Time: Window{After: "2026-01-02T00:00:00Z", Before: "2026-01-01T00:00:00Z"}}, "time", "ends before"},
		{Match{Time: Window{Between: List{"2026-01-02T00:00:00Z"}}}, "time.between", "two times"},
		{Match{Time: Window{Between: List{"a", "b"}, After: "c"}}, "time.between", "combined"},
		{Match{Segment: Segment{From: 0.5, To: 0.1}}, "segment", "no part"},
		{Match{Segment: Segment{To: 0.1, By: "moon"}}, "segment.by", "not a key"},
		{Match{Weight: weight(-1)}, "weight", "between"},
		{Match{Group: "g"}, "group", "by weight"},
		{Match{Priority: 2_000_000}, "priority", "between"},
	} {
		_, err := Build([]Rule[int]{{Match: test.match}})
		found := diag.Flatten(err)
		if len(found) != 1 || found[0].Path != "[0].match."+test.path || !strings.Contains(found[0].Text, test.word) {
			t.Errorf("%+v: got %v, want %s: … %s …", test.match, err, test.path, test.word)
		}
	}
	_, err := Build([]Rule[int]{{Match: Match{Path: "/a"}, Encoded: "maybe"}})
	if found := diag.Flatten(err); len(found) != 1 || found[0].Path != "[0].encoded" {
		t.Errorf("encoded: %v", err)
	}
	_, err = Build([]Rule[int]{{Match: Match{Path: "/a", Weight: weight(1), Group: "g"}}, {Match: Match{Path: "/b", Weight: weight(1), Group: "g"}}})
	if found := diag.Flatten(err); len(found) != 1 || found[0].Path != "[1].match.group" {
		t.Errorf("group: %v", err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Build([]Rule[int]{{Match: Match{Path: "a", Scheme: "x", Methods: List{"get"}}}, {Match: Match{Path: "/b", Host: List{"*"}}}})
	var got []string
	for _, e := range diag.Flatten(err) {
		got = append(got, e.Path)
	}
	if want := []string{"[0].match.path", "[0].match.methods", "[0].match.scheme", "[1].match.host"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSegmentShortForm(t *testing.T) {
	t.Parallel()
	var s Segment
	if err := s.UnmarshalList([]string{"0", "0.1"}); err != nil || s != (Segment{To: 0.1}) {
		t.Errorf("%+v %v", s, err)
	}
	for _, bad := range [][]string{nil, {"0"}, {"0", "x"}, {"0", "1", "2"}} {
		if err := s.UnmarshalList(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{
		"/", "/a/{id}", "/a/{id:[0-9]{2}}/b", "/{rest...}", "regex:/a(?P<x>.*)", "regex:(?i)/A", "/a/", "/{a:b/c}/d", "/{a:\\}}", "/a%2Fb", "regex:",
	} {
		f.Add(s, "/a/1")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := parsePattern(text)
		if err != nil {
			for _, e := range diag.Flatten(err) {
				if e.Text == "" {
					t.Fatalf("%q: a fault without words", text)
				}
			}
			return
		}
		if clean, _ := scanPath(path); path == "" || path[0] != '/' || !clean {
			return
		}
		agrees(t, p, path)
	})
}

// agrees compares the trie with the plain reading of a pattern on one path.
func agrees(t *testing.T, p *pattern, path string) {
	t.Helper()
	r := requestOf(path)
	defer r.Release()
	takes := p.matches(path)
	ix := newIndex([]entry{{rule: &rule{path: p, weight: -1}}})
	if got := ix.find(r, path, "GET").best != noEntry; got != takes {
		t.Fatalf("%q takes %q: %v by the trie, %v by the pattern", p.text, path, got, takes)
	}
	if !takes {
		return
	}
	p.capture(&r.X, path)
	if p.kind != kindRegex && len(r.X.Params()) != p.parameters() {
		t.Fatalf("%q on %q captured %v", p.text, path, r.X.Params())
	}
	if !strings.HasPrefix(path, p.prefix) {
		t.Fatalf("%q takes %q without its prefix %q", p.text, path, p.prefix)
	}
}

func FuzzShortForm(f *testing.F) {
	for _, s := range []string{"GET /a", "a.example/b", "GET", "", "GET,POST *.x/{a}", "regex:/a"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		var m Match
		if m.UnmarshalText([]byte(text)) == nil {
			_, _ = Build([]Rule[int]{{Match: m}})
		}
	})
}
