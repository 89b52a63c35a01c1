package filter

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestHeadersConfig(t *testing.T) {
	t.Parallel()
	cases := [][2]string{
		{"{}", ""},
		{`{"request": {"status": ["404"], "set": {"A": "b"}}}`, "request.status"},
		{`{"by-status": [{"set": {"A": "b"}}]}`, "by-status[0].status"},
		{`{"by-status": [{"status": ["6xx"], "set": {"A": "b"}}]}`, "by-status[0].status[0]"},
		{`{"by-status": [{"status": ["404-400"], "set": {"A": "b"}}]}`, "by-status[0].status[0]"},
		{`{"request": {"remove": ["*"]}}`, "request.remove[0]"},
		{`{"request": {"remove": ["A B"]}}`, "request.remove[0]"},
		{`{"request": {"remove": ["X Y*"]}}`, "request.remove[0]"},
		{`{"request": {"set": {"A": "b\r\nC: d"}}}`, "request.set.A"},
		{`{"request": {"set": {"A": "b\u0000"}}}`, "request.set.A"},
		{`{"request": {"set": {"A": " b"}}}`, "request.set.A"},
		{`{"request": {"set": {"A:": "b"}}}`, "request.set.A:"},
		{`{"request": {"set": {"A": "{clint}"}}}`, "request.set.A"},
		{`{"request": {"rename": {"A": "a"}}}`, "request.rename.A"},
		{`{"request": {"rename": {"A": "Host"}}}`, "request.rename.A"},
		{`{"request": {"add": {"Authorization": "x"}}}`, "request.add.Authorization"},
		{`{"response": {"add": {"Content-Type": "x"}}}`, "response.add.Content-Type"},
		{`{"request": {"copy": {"A": "Host"}}}`, "request.copy.A"},
		{`{"request": {"default": {"A": "{clint}"}}}`, "request.default.A"},
		{`{"response": {"dedupe": {"A": "frist"}}}`, "response.dedupe.A"},
		{`{"response": {"replace": {"A": {}}}}`, "response.replace.A.pattern"},
		{`{"response": {"replace": {"A": {"pattern": "("}}}}`, "response.replace.A.pattern"},
		{`{"response": {"replace": {"A": {"pattern": "(a)", "with": "$2"}}}}`, "response.replace.A.with"},
		{`{"response": {"replace": {"A": {"pattern": "a", "with": "b\r\n"}}}}`, "response.replace.A.with"},
	}
	for _, name := range []string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "Proxy-Connection",
		"HTTP2-Settings", "Proxy-Authorization", "Expect", "content-length", "Content_Length", "Transfer.Encoding",
	} {
		cases = append(cases, [2]string{`{"request": {"set": {"` + name + `": "x"}}}`, "request.set." + name},
			[2]string{`{"response": {"remove": ["` + name + `"]}}`, "response.remove[0]"})
	}
	refuses(t, "headers", cases)
	takes(t, "headers", `{"request": {"set": {"X-A": "{client} {header.User-Agent} {{x}", "X-B": ""}}}`, `{"by-status": [{"status": ["404", "5xx"], "remove": ["Server"]}]}`)
}

// The fields that are not touched survive in order, case and bytes.
func TestHeadersLeavesTheRest(t *testing.T) {
	t.Parallel()
	config := &Headers{Request: HeaderRule{
		Remove: []string{"X-Del"}, Rename: map[string]string{"x-from": "X-To"},
		Set: map[string]string{"X-SET": "new", "X-Gone": ""}, Add: map[string]string{"X-Add": "2"},
	}}
	r := ask("GET", "/", "x-First: 1", "X-Del: a", "X-From: f1", "x-set: old", "X-Set: older", "X-Add: 1", "x-del: b", "x-FROM: f2", "X-Gone: x", "X-Last: \xff")
	defer r.Release()
	resp, err := build(t, config, reply)(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Release()
	var got []string
	for _, f := range r.Header.Fields() {
		got = append(got, f.Name+": "+f.Value)
	}
	want := "x-First: 1|X-SET: new|X-Add: 1|X-Last: \xff|X-To: f1|X-To: f2|X-Add: 2"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

// No value that a client sends can break out of a field, and one that is no
// field value is refused, not sent.
func TestHeadersValues(t *testing.T) {
	t.Parallel()
	f := build(t, &Headers{Request: HeaderRule{Set: map[string]string{"X-Q": "{query.q}", "X-P": " {path.id} ", "X-C": "{cookie.c}"}}}, reply)
	r := ask("GET", "/?q=a%0D%0AX-Evil:%201", "Cookie: b=1; c=x y")
	defer r.Release()
	r.X.AddParam("id", "%0d%0a")
	resp, err := f(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Release()
	for name, want := range map[string]string{"X-Q": "a%0D%0AX-Evil:%201", "X-P": "%0d%0a", "X-C": "x y"} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	r.X.RequestID = "a\nb" // what no engine would let in
	f = build(t, &Headers{Request: HeaderRule{Set: map[string]string{"X-Id": "{request-id}"}}}, reply)
	if _, err := f(r); err == nil || r.Header.Get("X-Id") != "" {
		t.Error("a line feed got into a field")
	}
}

func TestHeadersFamiliesSpareTheEngines(t *testing.T) {
	t.Parallel()
	r := ask("GET", "/", "Te: trailers", "T-One: 1", "X-Internal: 1", "X-Internal-User: 2", "x-internal-role: 3")
	defer r.Release()
	resp, err := build(t, &Headers{Request: HeaderRule{Remove: []string{"T*", "X-Internal-*"}}}, reply)(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Release()
	if r.Header.Len() != 2 || !r.Header.Has(message.TE) || r.Header.Get("X-Internal") != "1" {
		t.Errorf("left: %v", r.Header.Fields())
	}
}

func TestHeadersOnErrors(t *testing.T) {
	t.Parallel()
	shared := problem.New(503, "no_endpoint", "")
	f := build(t, &Headers{
		Response: HeaderRule{Set: map[string]string{"X-All": "1"}},
		ByStatus: []HeaderRule{{Status: []string{"503"}, Add: map[string]string{"X-503": "1"}}, {Status: []string{"404"}, Set: map[string]string{"X-404": "1"}}},
	}, func(*message.Request) (*message.Response, error) { return nil, shared })
	for range 3 {
		r := ask("GET", "/")
		_, err := f(r)
		if p := problem.Of(err); p.Status != 503 || len(p.Fields) != 2 {
			t.Errorf("%+v", p)
		}
		r.Release()
	}
	if len(shared.Fields) != 0 {
		t.Error("a shared problem was changed")
	}
}
