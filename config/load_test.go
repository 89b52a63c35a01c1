package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/maru-msa/maru/diag"
)

// only gives the one finding that there has to be.
func only(t *testing.T, file *File, findings []diag.Finding) diag.Finding {
	t.Helper()
	if file == nil || file.Source == nil {
		t.Fatal("there is no File")
	}
	if len(findings) != 1 {
		t.Fatalf("findings\n%s", spell(findings))
	}
	return findings[0]
}

func TestLoadTellsWhyAFileCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, bytes.Repeat([]byte("# fill\n"), maxBytes/7+1), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, code, text string }{
		{filepath.Join(dir, "none.yaml"), "file", "there is no such file"},
		{dir, "file", "cannot read the file: it is a directory"},
		{large, "limit", "the file has more than 8 MiB"},
	}
	for _, test := range tests {
		file, findings := Load(test.path)
		f := only(t, file, findings)
		if f.Code != test.code || f.Text != test.text || f.File != test.path || f.Fix == "" {
			t.Errorf("got %s\nwant %s: %s", spell(findings), test.code, test.text)
		}
		if _, checked := Check(test.path); len(checked) != 1 {
			t.Errorf("Check adds to it:\n%s", spell(checked))
		}
	}
}

func TestCheckReader(t *testing.T) {
	t.Parallel()
	file, findings := CheckReader("stdin", strings.NewReader("services:\n  a: 127.0.0.1:9000\nroutes:\n  - { match: /a, to: a }\n"))
	if f := only(t, file, findings); f.Fix != "write http://127.0.0.1:9000" || f.String() != `stdin:2:6: error: "127.0.0.1:9000" is not a URL` {
		t.Errorf("got %s", spell(findings))
	}
	file, findings = CheckReader("stdin", iotest.ErrReader(errors.New("gone")))
	if f := only(t, file, findings); f.Text != "cannot read the file: gone" {
		t.Errorf("got %s", spell(findings))
	}
}

func TestSourceFindsThePlaceOfAPath(t *testing.T) {
	t.Parallel()
	text := "services:\n  a.b: { url: http://127.0.0.1:9101 }\nroutes:\n  - match: /a\n    filters:\n      - strip: 1\n      - cors: [\"https://example.com\"]\n      - compress\n    to: a.b\n"
	file, findings := LoadBytes("m", []byte(text))
	if findings != nil {
		t.Fatal(spell(findings))
	}
	for path, want := range map[string]string{
		"services.a.b.url":                     "m:2:15",
		"services":                             "m:1:1",
		"routes[0].filters[0].strip.segments":  "m:6:16",
		"routes[0].filters[1].cors.origins[0]": "m:7:16",
		"routes[0].filters[2].compress.types":  "m:8:9",
		"routes[0].to":                         "m:9:9",
		"routes[7]":                            "m:3:1",
		"nothing":                              "m",
	} {
		if got := file.Source.Position(path).String(); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
}
