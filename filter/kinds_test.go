package filter

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/maru-msa/maru/diag"
)

// Every filter has its file, its test, its script and its page.
func TestEveryFilterHasFourFiles(t *testing.T) {
	t.Parallel()
	for word := range Kinds() {
		name := strings.ReplaceAll(word, "-", "_")
		for _, path := range []string{name + ".go", name + "_test.go", "testdata/" + name + ".script", "../docs/filters/" + word + ".md"} {
			if st, err := os.Stat(path); err != nil || st.Size() == 0 {
				t.Errorf("%s: %s is missing", word, path)
			}
		}
	}
}

// Every key of a filter stands on its page, and no page is about nothing.
func TestEveryFilterKeyIsDocumented(t *testing.T) {
	t.Parallel()
	for word, mk := range Kinds() {
		page, err := os.ReadFile("../docs/filters/" + word + ".md")
		if err != nil {
			t.Error(err)
			continue
		}
		for _, key := range keysOf(reflect.TypeOf(mk()).Elem(), nil) {
			if !strings.Contains(string(page), "| `"+key+"` |") {
				t.Errorf("docs/filters/%s.md does not tell about the key %s", word, key)
			}
		}
		if !strings.Contains(string(page), "```yaml") {
			t.Errorf("docs/filters/%s.md has no example", word)
		}
	}
	pages, err := os.ReadDir("../docs/filters")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		word := strings.TrimSuffix(p.Name(), ".md")
		if Kinds()[word] == nil && word != "README" {
			t.Errorf("docs/filters/%s is about no filter", p.Name())
		}
	}
}

// keysOf lists the yaml keys of a Config and of the structs in it.
func keysOf(t reflect.Type, keys []string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return keys
	}
	for field := range t.Fields() {
		key := field.Tag.Get("yaml")
		if key == "" || slices.Contains(keys, key) {
			continue
		}
		keys = keysOf(field.Type, append(keys, key))
	}
	return keys
}

// refuses checks that each configuration, as JSON or a short form, has a finding
// at the path, with a fix.
func refuses(t *testing.T, word string, cases [][2]string) {
	t.Helper()
	env := Bare()
	env.To = "shop"
	env.Service = func(name string) (Func, error) {
		if name != "shop" && name != "shadow" {
			return nil, errNoService
		}
		return reply, nil
	}
	for _, c := range cases {
		config, err := configOf(word, c[0])
		if err != nil {
			t.Errorf("%s %s: %v", word, c[0], err)
			continue
		}
		f, err := config.Filter(env)
		if err == nil || f != nil {
			t.Errorf("%s %s was taken", word, c[0])
			continue
		}
		found := false
		for _, e := range diag.Flatten(err) {
			found = found || e.Path == c[1]
			if e.Fix == "" || e.Text == "" {
				t.Errorf("%s %s: %q has no fix", word, c[0], e.Text)
			}
		}
		if !found {
			t.Errorf("%s %s: no finding at %q but %v", word, c[0], c[1], err)
		}
	}
}

// takes checks that each configuration is good.
func takes(t *testing.T, word string, cases ...string) {
	t.Helper()
	env := Bare()
	env.To = "shop"
	env.Service = func(string) (Func, error) { return reply, nil }
	for _, text := range cases {
		config, err := configOf(word, text)
		if err == nil {
			_, err = config.Filter(env)
		}
		if err != nil {
			t.Errorf("%s %s: %v", word, text, err)
		}
	}
}
