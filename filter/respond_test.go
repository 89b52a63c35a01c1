package filter

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

func TestRespondConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refuses(t, "respond", [][2]string{
		{"100", "status"},
		{"600", "status"},
		{`{"body": "a", "template": "b"}`, ""},
		{`{"status": 204, "body": "x"}`, "status"},
		{`{"status": 304, "body": "x"}`, "status"},
		{`{"index": "a.html"}`, "index"},
		{`{"root": "` + dir + `", "status": 200}`, "status"},
		{`{"root": "` + dir + `/none"}`, "root"},
		{`{"root": "` + dir + `", "index": "a/b"}`, "index"},
		{`{"file": "` + dir + `"}`, "file"},
		{`{"file": "` + dir + `/none"}`, "file"},
		{`{"headers": {"Content-Length": "1"}}`, "headers.Content-Length"},
		{`{"headers": {"A": "b\r\nc"}}`, "headers.A"},
		{`{"content-type": "a\u0000"}`, "content-type"},
		{`{"template": "{\"a\": {path.id}"}`, "template"},
		{`{"template": "{\"a\": {path.id:text}}"}`, "template"},
		{`{"template": "{status}"}`, "template"},
		{`{"template": "{\"a\": x{path.id}}"}`, "template"},
	})
	takes(t, "respond", "", "204", `{"body": "{ not a template }"}`, `{"template": "{{\"a\": {path.id:int}, \"b\": \"{path.b}\", \"c\": {path.c}}"}`, `{"root": "`+dir+`"}`)
	if _, err := configOf("respond", "OK"); err == nil {
		t.Error("a short form that is no status was taken")
	}
}

// folder makes a root with files of all kinds.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for name, text := range map[string]string{
		"root/index.html": "<p>root", "root/a.txt": "0123456789", "root/sub/index.html": "<p>sub", "root/empty/x": "x", "root/sp ace.txt": "space",
		"root/.env": "SECRET", "root/.git/config": "SECRET", "root/.well-known/security.txt": "public", "root/zero": "", "outside.txt": "SECRET", "root2/x": "SECRET",
	} {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
		if err := os.Chtimes(full, when, when); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"root/escape.txt": "../outside.txt", "root/up": "..", "root/inside.txt": "a.txt", "root/loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

// Nothing outside the root is ever served, whatever the path; nothing hangs.
func TestRespondFilesStayInside(t *testing.T) {
	t.Parallel()
	f := build(t, &Respond{Root: folder(t)}, nil)
	for path, want := range map[string]string{
		"/": "<p>root", "/a.txt": "0123456789", "/sub/": "<p>sub", "/sp%20ace.txt": "space", "/inside.txt": "0123456789", "//a.txt": "0123456789",
		"/.well-known/security.txt": "public", "/zero": "",
		"/sub": "307", "/empty/": "404", "/none": "404", "/a.txt/": "404", "/index.html/": "404", "/index.html": "<p>root", "/a.txt/b": "404", "/pipe": "404",
		"/.env": "404", "/.git/config": "404", "/%2Eenv": "404", "/escape.txt": "404", "/up/outside.txt": "404", "/loop": "404",
		"/..%2Foutside.txt": "404", "/%2e%2e/outside.txt": "404", "/../outside.txt": "404", "/sub/..%2F..%2Foutside.txt": "404", "/..%5Coutside.txt": "404",
		"/a.txt%00": "404", "/a.txt%00.html": "404", "/../root2/x": "404", "/" + strings.Repeat("a", 5000): "404", "/A.TXT": "404",
	} {
		r := ask("GET", path)
		resp, err := f(r)
		var got string
		switch {
		case err != nil:
			got = "404"
			if s := problem.Of(err).Status; s != 404 {
				t.Errorf("%s: %v", path, err)
			}
		case resp.Status == 307:
			got = "307"
		default:
			got = readBody(t, resp.Body)
		}
		if got != want {
			t.Errorf("%s gives %q, want %q", path, got, want)
		}
		if resp != nil {
			resp.Release()
		}
		r.Release()
	}
}

// Conditions and ranges, in the order of RFC 9110 §13.2.2.
func TestRespondConditions(t *testing.T) {
	t.Parallel()
	root := folder(t)
	f := build(t, &Respond{Root: root}, nil)
	probe := ask("HEAD", "/a.txt")
	resp, err := f(probe)
	if err != nil {
		t.Fatal(err)
	}
	tag := strings.Clone(resp.Header.Value(message.ETag))
	date := strings.Clone(resp.Header.Value(message.LastModified))
	if resp.Length != 10 || resp.Body != message.NoBody || date != "Fri, 02 Jan 2026 03:04:05 GMT" {
		t.Errorf("HEAD: length %d, %s", resp.Length, date)
	}
	resp.Release()
	const before, after = "Thu, 01 Jan 2026 00:00:00 GMT", "Sat, 03 Jan 2026 00:00:00 GMT"
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{[]string{"If-None-Match: " + tag}, "304"},
		{[]string{"If-None-Match: \"x\", W/" + tag}, "304"},
		{[]string{"If-None-Match: *"}, "304"},
		{[]string{"If-None-Match: \"x\"", "If-Modified-Since: " + after}, "200"}, // the tag decides alone
		{[]string{"If-Modified-Since: " + date}, "304"},
		{[]string{"If-Modified-Since: " + after}, "304"},
		{[]string{"If-Modified-Since: " + before}, "200"},
		{[]string{"If-Modified-Since: yesterday"}, "200"},
		{[]string{"If-Match: " + tag}, "200"},
		{[]string{"If-Match: *"}, "200"},
		{[]string{"If-Match: W/" + tag}, "412"}, // strong comparison
		{[]string{"If-Match: \"x\""}, "412"},
		{[]string{"If-Unmodified-Since: " + before}, "412"},
		{[]string{"If-Unmodified-Since: " + date}, "200"},
		{[]string{"If-Match: " + tag, "If-Unmodified-Since: " + before}, "200"},
		{[]string{"Range: bytes=0-0"}, "206 0"},
		{[]string{"Range: bytes=-1"}, "206 9"},
		{[]string{"Range: bytes=8-"}, "206 89"},
		{[]string{"Range: bytes=8-100"}, "206 89"},
		{[]string{"Range: bytes=10-"}, "416"},
		{[]string{"Range: bytes=-0"}, "416"},
		{[]string{"Range: bytes="}, "416"},
		{[]string{"Range: bytes=5-1"}, "200"},
		{[]string{"Range: bytes=0-1,3-4"}, "200"},
		{[]string{"Range: lines=0-1"}, "200"},
		{[]string{"Range: bytes=0-1", "If-Range: " + tag}, "206 01"},
		{[]string{"Range: bytes=0-1", "If-Range: W/" + tag}, "200"},
		{[]string{"Range: bytes=0-1", "If-Range: " + date}, "206 01"},
		{[]string{"Range: bytes=0-1", "If-Range: " + after}, "200"},
		{[]string{"Range: bytes=0-1", "If-None-Match: " + tag}, "304"},
	} {
		r := ask("GET", "/a.txt", c.fields...)
		resp, err := f(r)
		got := ""
		if err != nil {
			got = map[int]string{412: "412"}[problem.Of(err).Status]
		} else {
			got = map[int]string{200: "200", 206: "206 ", 304: "304", 416: "416"}[resp.Status]
			if b := readBody(t, resp.Body); resp.Status == 206 {
				got += b
			}
			resp.Release()
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.fields, got, c.want)
		}
		r.Release()
	}
}

// A file that shrinks while it is sent aborts: it must not look whole.
func TestRespondShrinkingFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	r := ask("GET", "/")
	defer r.Release()
	resp, err := build(t, &Respond{File: name}, nil)(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Release()
	if err := os.Truncate(name, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := message.ReadAll(nil, resp.Body, 1<<20); err == nil {
		t.Error("a file that shrank looked whole")
	}
}

// FuzzTemplate: no template panics, and what a JSON template gives is JSON
// whatever the client sends.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		`{"a": {path.id}}`, `{"a": "{query.q}"}`, `{"a": {path.id:int}}`, `{{"a": "\"{header.X}\""}`, `<p>{query.q}`, `{`, `{}`, `{path.}`, `[{cookie.c}, {client}]`, `{"{path.id}": 1}`,
	} {
		f.Add(text, "v", "a%22b", "h\xff")
	}
	f.Fuzz(func(t *testing.T, text, param, query, header string) {
		for _, fm := range []form{formText, formJSON, formHTML, formURL, formField} {
			var fl faults
			tm := fl.template("t", text, fm, false)
			if fl.join() != nil {
				continue
			}
			r := ask("GET", "/")
			r.Query = "q=" + query
			r.X.AddParam("id", param)
			_ = r.Header.Add("X", header)
			b, err := tm.append(nil, r, nil)
			if err == nil && fm == formJSON && !json.Valid(b) {
				t.Errorf("%q gave %q", text, b)
			}
			r.Release()
		}
	})
}
