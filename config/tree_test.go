package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/maru-msa/maru/config"
)

// said writes a tree in one line, with the places of its scalars.
func said(t *config.Tree) string {
	switch t.Kind {
	case config.TreeMapping:
		var parts []string
		for _, e := range t.Entries {
			parts = append(parts, e.Key.Text+"="+said(e.Value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	case config.TreeList:
		var parts []string
		for _, i := range t.Items {
			parts = append(parts, said(i))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case config.TreeNull:
		return "null"
	default:
		return fmt.Sprintf("%s@%d:%d", t.Text, t.Line, t.Column)
	}
}

func TestReadTrees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"a: 1\nb: [x, 'y']\n", "{a=1@1:4 b=[x@2:5 y@2:8]}"},
		{"a: 1\n---\n# nothing\n---\nb:\n", "{a=1@1:4} {b=null}"},
		{"a: &x { b: 1, c: 2 }\nd: *x\n", "{a={b=1@1:12 c=2@1:18} d={b=1@1:12 c=2@1:18}}"},
		{"x: &x { b: 1, c: 2 }\nd: { <<: *x, c: 3 }\n", "{x={b=1@1:12 c=2@1:18} d={b=1@1:12 c=3@2:17}}"},
		{"x: &x { b: 1 }\ny: &y { b: 2 }\nd: { <<: [*x, *y] }\n", "{x={b=1@1:12} y={b=2@2:12} d={b=1@1:12}}"},
		{"a: 1\na: 2\n", "{a=1@1:4 a=2@2:4}"},
	} {
		docs, findings := config.ReadTrees("f.yml", []byte(c.text))
		var got []string
		for _, d := range docs {
			got = append(got, said(d))
		}
		if strings.Join(got, " ") != c.want || findings != nil {
			t.Errorf("%q: got %q, %v, want %q", c.text, got, findings, c.want)
		}
	}
}

func TestReadTreesRefuses(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("a: &a [x, x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c < 'j'; c++ {
		fmt.Fprintf(&bomb, "%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for _, c := range []struct{ text, code string }{
		{"a: [\n", "syntax"},
		{"a: \x00\n", "syntax"},
		{"? [a]\n: 1\n", "type"},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), "limit"},
		{bomb.String(), "limit"},
		{"a: &a [*a]\n", "limit"},
	} {
		_, findings := config.ReadTrees("f.yml", []byte(c.text))
		if len(findings) == 0 || findings[0].Code != c.code || findings[0].Line == 0 {
			t.Errorf("%.40q: got %v, want %s", c.text, findings, c.code)
		}
	}
}
