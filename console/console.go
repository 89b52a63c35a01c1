// Package console serves the pages of maru's console. What they show and do goes
// through the operator's API; the pages themselves hold nothing secret.
//
// The flow: [New] takes the built files, names each by its hash and packs it
// once, when it is first asked for. [Pages.ServeHTTP] answers assets, which
// never change under their name, forever; every other path is a page of the
// single application, so that a deep link or a reload finds it, and is asked
// about each time. No page may run inline code or talk to another host.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// index is the one page; the application shows what the path asks for.
const index = "index.html"

// assets is the folder of files whose names hold their hash.
const assets = "assets/"

// policy lets a page load what lies beside it and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Pages answers GET and HEAD for the console. Paths are relative to where it is
// mounted: "/", "/assets/NAME", "/services/auction".
type Pages struct {
	files map[string]*file
}

// file is one file in both forms.
type file struct {
	kind string // Content-Type
	sum  string
	text []byte
	// packed gives the text in gzip, nil when that is no smaller.
	packed func() []byte
}

// New takes the built files, index.html among them.
func New(built fs.FS) (*Pages, error) {
	p := &Pages{files: make(map[string]*file)}
	err := fs.WalkDir(built, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || kindOf(name) == "" {
			return err
		}
		text, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		p.files[name] = &file{
			kind: kindOf(name), sum: hex.EncodeToString(sum[:12]), text: text,
			packed: sync.OnceValue(func() []byte { return pack(text) }),
		}
		return nil
	})
	if err == nil && p.files[index] == nil {
		err = errors.New("there is no " + index)
	}
	if err != nil {
		return nil, fmt.Errorf("read the console's pages: %w", err)
	}
	return p, nil
}

// kindOf gives the Content-Type by the name; "" is no file of a page. The
// system's own table is left alone: it differs between machines.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return ""
	}
}

// pack compresses as well as gzip can.
func pack(text []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	_, err = w.Write(text)
	if err = errors.Join(err, w.Close()); err != nil || b.Len() >= len(text) {
		return nil
	}
	return b.Bytes()
}

// ServeHTTP answers with a file or the page.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "the console's pages are only read", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	cache := "no-cache" // kept, but asked about each time
	f := p.files[name]
	switch {
	case strings.HasPrefix(name, assets) && f == nil: // of another version: the page in hand is too old
		h.Set("Cache-Control", "no-store")
		http.Error(w, "there is no such asset; load the page again", http.StatusNotFound)
		return
	case strings.HasPrefix(name, assets):
		cache = "public, max-age=31536000, immutable"
	default:
		f = p.files[index]
	}
	h.Set("Cache-Control", cache)
	f.write(w, r)
}

// write answers with the file, packed if the client can take that, or tells that
// the client has it (RFC 9110 §13.1.2).
func (f *file) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	tag, text := `"`+f.sum+`"`, f.text
	if takesGzip(r.Header.Values("Accept-Encoding")) {
		if packed := f.packed(); packed != nil {
			tag, text = `"`+f.sum+`-gzip"`, packed
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Etag", tag)
	if hasTag(r.Header.Values("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(text) // the client is gone
	}
}

// takesGzip reads Accept-Encoding (RFC 9110 §12.5.3).
func takesGzip(fields []string) bool {
	others := false
	for part := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		yes := !refused(weight)
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return yes
		case "*":
			others = yes
		}
	}
	return others
}

// refused tells whether a weight is zero: "q=0", "q=0.000".
func refused(weight string) bool {
	key, value, _ := strings.Cut(weight, "=")
	if !strings.EqualFold(strings.TrimSpace(key), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err != nil || q == 0
}

// hasTag compares weakly, as If-None-Match wants it.
func hasTag(fields []string, tag string) bool {
	for one := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}
