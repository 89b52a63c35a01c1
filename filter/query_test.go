package filter

import (
	"strings"
	"testing"

	"github.com/maru-msa/maru/message"
)

func TestQueryConfig(t *testing.T) {
	t.Parallel()
	refuses(t, "query", [][2]string{
		{"{}", ""},
		{`{"remove": [""]}`, "remove[0]"},
		{`{"set": {"": "x"}}`, "set"},
		{`{"replace": {"": "x"}}`, "replace"},
		{`{"add": {"a": "{pth.id}"}}`, "add.a"},
	})
	takes(t, "query", `{"remove": ["a b"], "set": {"x": "{path.id} {{y}"}, "add": {"z": ""}}`)
}

// A query that no rule concerns is not copied.
func TestQueryLeavesTheRest(t *testing.T) {
	h := build(t, &Query{Remove: []string{"gone"}, Replace: map[string]string{"old": "new"}}, reply)
	r := ask("GET", "/?a=1&b=%32&c")
	defer r.Release()
	if n := testing.AllocsPerRun(100, func() {
		resp, err := h(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
	}); n > 1 { // the response
		t.Errorf("%v allocations", n)
	}
	if r.Query != "a=1&b=%32&c" {
		t.Errorf("got %q", r.Query)
	}
}

// Whatever names and values are, the query keeps its parameters apart.
func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=2", "b", "x&y=z")
	f.Add("%61=1&&=&a", "a", "")
	f.Add("q=%zz&+=1", " ", "\x00#")
	f.Fuzz(func(t *testing.T, query, name, value string) {
		if name == "" || strings.ContainsAny(value, "{}") {
			return
		}
		filter, err := (&Query{Set: map[string]string{name: value}}).Filter(Bare())
		if err != nil {
			t.Fatal(err)
		}
		r := message.NewRequest()
		defer r.Release()
		r.Query, r.HasQuery = query, query != ""
		resp, err := filter(reply)(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Release()
		found := 0
		for pair := range strings.SplitSeq(r.Query, "&") {
			n, v, _ := strings.Cut(pair, "=")
			if sameParam(n, name) {
				found++
				if !sameParam(v, value) {
					t.Errorf("%q has the value %q, want %q", r.Query, v, value)
				}
			}
		}
		if found != 1 {
			t.Errorf("%q has %q %d times", r.Query, name, found)
		}
	})
}
