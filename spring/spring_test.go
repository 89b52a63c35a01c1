package spring_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/spring"
)

var update = flag.Bool("update", false, "write the golden files again") //nolint:gochecknoglobals // flags are

// example is a folder of testdata: the inputs, and perhaps a file "options" with
// lines such as "profile prod" and "property NAME=VALUE".
type example struct {
	dir     string
	files   []spring.File
	options spring.Options
}

func examples(t testing.TB) []example {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var out []example
	for _, dir := range dirs {
		if filepath.Base(dir) == "fuzz" {
			continue
		}
		e := example{dir: dir}
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			text, err := os.ReadFile(filepath.Join(dir, n.Name()))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case n.Name() == "options":
				e.options = optionsOf(t, string(text))
			case n.Name() != "maru.yaml" && n.Name() != "findings":
				e.files = append(e.files, spring.File{Name: n.Name(), Text: text})
			}
		}
		out = append(out, e)
	}
	return out
}

func optionsOf(t testing.TB, text string) spring.Options {
	t.Helper()
	o := spring.Options{Properties: make(map[string]string)}
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "profile":
			o.Profiles = append(o.Profiles, rest)
		case "property":
			k, v, _ := strings.Cut(rest, "=")
			o.Properties[k] = v
		default:
			t.Fatalf("no option %q", kind)
		}
	}
	return o
}

// TestExamples compares what is made of each example with its golden files, and
// proves of each that maru check takes it and that no key was dropped.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		t.Run(filepath.Base(e.dir), func(t *testing.T) {
			t.Parallel()
			r := spring.Import(e.files, e.options)
			golden(t, filepath.Join(e.dir, "maru.yaml"), r.YAML)
			golden(t, filepath.Join(e.dir, "findings"), listed(r.Findings))
			loads(t, r.YAML)
			for _, key := range dropped(t, e.files, &r) {
				t.Errorf("%s is in no comment of the output and in no finding", key)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is\n%s\nnot\n%s", name, got, want)
	}
}

func listed(findings []diag.Finding) []byte {
	var b strings.Builder
	for i := range findings {
		f := &findings[i]
		fmt.Fprintf(&b, "%s: %s %s: %s\n  fix: %s\n", f.Position, f.Severity, f.Code, f.Text, f.Fix)
	}
	return []byte(b.String())
}

// loads fails unless maru check takes the text.
func loads(t testing.TB, text []byte) {
	t.Helper()
	_, findings := config.CheckReader("maru.yaml", strings.NewReader(string(text)))
	for i := range findings {
		if findings[i].Severity == diag.Error {
			t.Errorf("%s\n%s", findings[i], text)
		}
	}
}

// leaf is a key with a value, and where the value stands.
type leaf struct {
	key  string
	file string
	line int
}

// leaves reads the keys of the files once more, by other means than the importer.
func leaves(t testing.TB, files []spring.File) []leaf {
	t.Helper()
	var out []leaf
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".properties") {
			goesOn := false
			for i, line := range strings.Split(string(f.Text), "\n") {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != '!' && !goesOn {
					out = append(out, leaf{line, f.Name, i + 1})
				}
				goesOn = strings.HasSuffix(line, "\\")
			}
			continue
		}
		docs, _ := config.ReadTrees(f.Name, f.Text)
		for _, d := range docs {
			var walk func(tree *config.Tree, key string)
			walk = func(tree *config.Tree, key string) {
				switch {
				case len(tree.Entries) > 0:
					for _, e := range tree.Entries {
						walk(e.Value, key+"."+e.Key.Text)
					}
				case len(tree.Items) > 0:
					for i, item := range tree.Items {
						walk(item, key+"["+strconv.Itoa(i)+"]")
					}
				default:
					out = append(out, leaf{key, f.Name, tree.Line})
				}
			}
			walk(d, "")
		}
	}
	return out
}

// dropped lists the keys that are named nowhere: in no comment of the output by
// file and line, and by no finding at their line.
func dropped(t testing.TB, files []spring.File, r *spring.Result) []string {
	t.Helper()
	named := make(map[string]bool)
	places := regexp.MustCompile(`([^\s,;:]+):(\d[\d,-]*)`)
	for line := range strings.Lines(string(r.YAML)) {
		_, remark, ok := strings.Cut(line, "#")
		if !ok {
			continue
		}
		for _, m := range places.FindAllStringSubmatch(remark, -1) {
			for part := range strings.SplitSeq(strings.Trim(m[2], ","), ",") {
				from, to, isRange := strings.Cut(part, "-")
				lo, _ := strconv.Atoi(from)
				hi := lo
				if isRange {
					hi, _ = strconv.Atoi(to)
				}
				for n := lo; n <= hi; n++ {
					named[m[1]+":"+strconv.Itoa(n)] = true
				}
			}
		}
	}
	found := make(map[string]bool)
	for i := range r.Findings {
		found[r.Findings[i].File+":"+strconv.Itoa(r.Findings[i].Line)] = true
	}
	var out []string
	for _, l := range leaves(t, files) {
		if at := l.file + ":" + strconv.Itoa(l.line); !named[at] && !found[at] {
			out = append(out, at+" "+l.key)
		}
	}
	return out
}
