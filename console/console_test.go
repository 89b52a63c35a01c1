package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maru-msa/maru/ui"
)

func built(t *testing.T) fs.FS {
	t.Helper()
	files, err := ui.Files()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func small(t *testing.T) *Pages {
	t.Helper()
	p, err := New(fstest.MapFS{
		"index.html":          {Data: []byte("<!doctype html>" + strings.Repeat("<p>page", 100))},
		"assets/main-1a2b.js": {Data: []byte("x()")},
		"SOURCES":             {Data: []byte("00")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPaths(t *testing.T) {
	t.Parallel()
	p := small(t)
	tests := []struct {
		method, path string
		status       int
		kind, cache  string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/services/auction", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/services/main.js", 200, "text/html; charset=utf-8", "no-cache"}, // a service may be called so
		{"GET", "/../../etc/passwd", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/SOURCES", 200, "text/html; charset=utf-8", "no-cache"},
		{"GET", "/assets/main-1a2b.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"GET", "/assets/main-old.js", 404, "text/plain; charset=utf-8", "no-store"},
		{"POST", "/", 405, "text/plain; charset=utf-8", ""},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.path, http.NoBody))
		h := w.Header()
		if w.Code != test.status || h.Get("Content-Type") != test.kind || h.Get("Cache-Control") != test.cache {
			t.Errorf("%s %s: %d, %q, %q", test.method, test.path, w.Code, h.Get("Content-Type"), h.Get("Cache-Control"))
		}
		if h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: headers %v", test.method, test.path, h)
		}
		if test.method == http.MethodHead && w.Body.Len() > 0 {
			t.Errorf("HEAD has a body")
		}
	}
}

func TestPackedAndUnchanged(t *testing.T) {
	t.Parallel()
	p := small(t)
	get := func(header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		return w
	}
	plain, packed := get(), get("Accept-Encoding", "br, gzip;q=0.5")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() {
		t.Fatalf("packed: %v", packed.Header())
	}
	r, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(text, plain.Body.Bytes()) {
		t.Errorf("unpacked: %v, %q", err, text)
	}
	tags := []string{plain.Header().Get("Etag"), packed.Header().Get("Etag")}
	if tags[0] == tags[1] || tags[0] == "" {
		t.Errorf("tags %q", tags)
	}
	for _, match := range []string{tags[0], "W/" + tags[0], `"other", ` + tags[0], "*"} {
		if w := get("If-None-Match", match); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("If-None-Match %s: %d", match, w.Code)
		}
	}
	if w := get("If-None-Match", tags[1]); w.Code != http.StatusOK {
		t.Errorf("the tag of the packed form answers %d for the plain one", w.Code)
	}
	for accept, want := range map[string]bool{
		"gzip": true, "GZIP": true, "*": true, "gzip;q=0": false, "gzip; q=0.000": false, "*;q=0": false, "identity": false, "": false, "*, gzip;q=0": false,
	} {
		if got := get("Accept-Encoding", accept).Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: gzip is %v", accept, got)
		}
	}
}

func TestPagesWithoutIndexAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := New(fstest.MapFS{"assets/a.js": {Data: []byte("x")}}); err == nil {
		t.Error("no error")
	}
}

// mostFirstLoad is how much the first page may take, packed, in bytes.
const mostFirstLoad = 150 << 10

func TestFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	p, err := New(built(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, f := range p.files {
		if packed := f.packed(); packed != nil {
			sum += len(packed)
		} else {
			sum += len(f.text)
		}
	}
	if len(p.files) < 3 || sum > mostFirstLoad {
		t.Errorf("%d files with %d bytes packed, at most %d", len(p.files), sum, mostFirstLoad)
	}
	t.Logf("%d files, %d bytes packed", len(p.files), sum)
}

// The policy forbids what a page does inline, so no page may need it; and none
// may know another host.
func TestPagesKeepToThemselves(t *testing.T) {
	t.Parallel()
	p, err := New(built(t))
	if err != nil {
		t.Fatal(err)
	}
	page := string(p.files[index].text)
	for _, inline := range []string{`<style`, ` style="`, ` onclick=`, `javascript:`} {
		if strings.Contains(page, inline) {
			t.Errorf("index.html has %s", inline)
		}
	}
	for _, m := range regexp.MustCompile(`<script([^>]*)>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(m[1], "src=") {
			t.Errorf("index.html has an inline script")
		}
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		name, ok := strings.CutPrefix(m[1], "/console/")
		if !ok || p.files[name] == nil {
			t.Errorf("index.html wants %s, which there is not", m[1])
		}
	}
	host := regexp.MustCompile(`https?://[^\s"'` + "`" + `)]*`)
	for name, f := range p.files {
		for _, url := range host.FindAllString(string(f.text), -1) {
			if !strings.HasPrefix(url, "http://www.w3.org/") { // names of XML, never fetched
				t.Errorf("%s names %s", name, url)
			}
		}
	}
}

// The bundle is what make console gives for the sources beside it. SOURCES holds
// the sum of them all; vite.config.ts writes it in the same way.
func TestBundleIsCurrent(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../console-src")
	names := []string{"index.html", "package-lock.json", "vite.config.ts"}
	err := fs.WalkDir(root, "src", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path.Clean(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write([]byte(name + "\n"))
		sum.Write(text)
		sum.Write([]byte("\n"))
	}
	want, err := fs.ReadFile(built(t), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != strings.TrimSpace(string(want)) {
		t.Error("ui/dist was not built from these sources: run make console and commit the result")
	}
}
