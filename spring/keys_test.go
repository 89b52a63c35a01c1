package spring_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maru-msa/maru/spring"
)

// TestNoUnknownKeyIsDropped puts a key that nobody knows at each place of each
// example: it must be a finding, or named in a comment of the output, as must all others.
func TestNoUnknownKeyIsDropped(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, e := range examples(t) {
		if filepath.Base(e.dir) == "syntax" {
			continue // nothing is read of it
		}
		for i := range e.files {
			lines := strings.Split(string(e.files[i].Text), "\n")
			for at := range lines {
				added, ok := unknownKey(e.files[i].Name, lines, at)
				if !ok {
					continue
				}
				tried++
				files := slices.Clone(e.files)
				files[i].Text = []byte(strings.Join(slices.Insert(slices.Clone(lines), at, added), "\n"))
				r := spring.Import(files, e.options)
				for _, key := range dropped(t, files, &r) {
					t.Errorf("%s: %s is in no comment and in no finding", e.dir, key)
				}
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d places were tried", tried)
	}
}

// unknownKey makes a line to put before line at: a sibling of the key there.
func unknownKey(name string, lines []string, at int) (string, bool) {
	line := lines[at]
	if strings.HasSuffix(name, ".properties") {
		key, _, ok := strings.Cut(line, "=")
		if !ok || line[0] == '#' || at > 0 && strings.HasSuffix(lines[at-1], `\`) {
			return "", false
		}
		if i := strings.LastIndexByte(key, '.'); i >= 0 {
			return key[:i] + ".zzz=1", true
		}
		return "zzz=1", true
	}
	body := strings.TrimLeft(line, " ")
	key, _, ok := strings.Cut(body, ":")
	if !ok || strings.HasPrefix(body, "-") || strings.ContainsAny(key, "#{} =,\"'") {
		return "", false
	}
	return line[:len(line)-len(body)] + "zzz: 1", true
}

// FuzzImport looks for files that make the importer panic, write what does not
// load, or drop a key.
func FuzzImport(f *testing.F) {
	for _, e := range examples(f) {
		for _, file := range e.files {
			f.Add(file.Text)
		}
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("word\n--- \n- 1\n"))
	f.Add([]byte("spring.cloud.gateway.routes: {a: {uri: x}, <<: {b: c}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		files := []spring.File{{Name: "f.yml", Text: text}}
		r := spring.Import(files, spring.Options{})
		loads(t, r.YAML)
		for _, key := range dropped(t, files, &r) {
			t.Errorf("%s is in no comment and in no finding\n%s", key, r.YAML)
		}
	})
}

// FuzzProperties does the same with the other format, whose reader is ours.
func FuzzProperties(f *testing.F) {
	for _, e := range examples(f) {
		for _, file := range e.files {
			if strings.HasSuffix(file.Name, ".properties") {
				f.Add(file.Text)
			}
		}
	}
	f.Add([]byte("a\\\n  b = c \\u00e9\\u00\\\n#---\n! x\nk\\:1:v\\"))
	f.Add([]byte("a[99999999].b[x.y]=1\na[0]=\xe9\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		loads(t, spring.Import([]spring.File{{Name: "f.properties", Text: text}}, spring.Options{}).YAML)
	})
}

// TestProperties reads what java.util.Properties documents.
func TestProperties(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, port, route string }{
		{"server.port=8081", "8081", ""},
		{"server.port = 8082", "8082", ""},
		{"  server.port:8083", "8083", ""},
		{"server.port 8084", "8084", ""},
		{"server.\\\n   port=80\\\n  85", "8085", ""},
		{"# server.port=1\n! server.port=2\nserver.port=8086", "8086", ""},
		{"server.\\u0070ort=8087\r\n", "8087", ""},
		{"server.port=1\nserver.port=8088", "8088", ""},
		{"server.port=8089\n#---\nspring.config.activate.on-profile=prod\nserver.port=1", "8089", ""},
		{"server.port=${P}\nP=8090", "8090", ""},
		{"SERVER.Port=8091", "8091", ""},
	} {
		r := spring.Import([]spring.File{{Name: "a.properties", Text: []byte(c.text)}}, spring.Options{})
		if want := strconv.Quote(":" + c.port); !strings.Contains(string(r.YAML), "address: "+want) {
			t.Errorf("%q: no %s in\n%s", c.text, want, r.YAML)
		}
	}
}

// TestExpressionsAreNeverEvaluated is about CVE-2022-22947.
func TestExpressionsAreNeverEvaluated(t *testing.T) {
	t.Parallel()
	const evil = "#{T(java.lang.Runtime).getRuntime().exec('id')}"
	text := "spring.cloud.gateway.routes[0].id=a\nspring.cloud.gateway.routes[0].uri=http://127.0.0.1:1\n" +
		"spring.cloud.gateway.routes[0].filters[0]=AddResponseHeader=X, " + evil + "\nspring.cloud.gateway.routes[0].filters[1]=SetPath=/${x}\nx=" + evil + "\n"
	r := spring.Import([]spring.File{{Name: "a.properties", Text: []byte(text)}}, spring.Options{})
	found := 0
	for i := range r.Findings {
		if r.Findings[i].Code == "expression" {
			found++
		}
	}
	if found != 2 {
		t.Errorf("%d findings of expressions: %v", found, r.Findings)
	}
	for line := range strings.Lines(string(r.YAML)) {
		if before, _, _ := strings.Cut(line, "#"); strings.Contains(before, "T(java") {
			t.Errorf("the expression is written: %s", line)
		}
	}
}
