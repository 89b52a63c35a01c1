package filter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Respond answers the request itself: with a fixed body, a template, one file,
// or the files below a root. Short form: the status.
type Respond struct {
	// Status of the answer (default 200; with files it follows from the request).
	Status int `yaml:"status"`
	// Body is the fixed content (default empty).
	Body string `yaml:"body"`
	// Template is content with values, such as {"id": {path.id:int}} (no default).
	Template string `yaml:"template"`
	// File is one file, read at each request (no default).
	File string `yaml:"file"`
	// Root is a folder whose files are served by path (no default).
	Root string `yaml:"root"`
	// Index is the file that stands for a folder below root (default index.html).
	Index string `yaml:"index"`
	// ContentType of the answer (default: by the beginning of the content, or by the file's name).
	ContentType string `yaml:"content-type"`
	// Headers are further fields of the answer (default none).
	Headers map[string]string `yaml:"headers"`
}

// UnmarshalText reads the status.
func (c *Respond) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a status; write one such as 204, or body, template, file or root", text)
	}
	c.Status = n
	return nil
}

// Filter is the constructor.
func (c *Respond) Filter(Env) (Filter, error) {
	var f faults
	fields := c.check(&f)
	status := c.Status
	if status == 0 {
		status = 200
	}
	var answer Func
	switch {
	case c.Root != "" || c.File != "":
		answer = c.files(&f)
	case c.Template != "":
		answer = c.templated(&f, status)
	default:
		answer = c.fixed(status)
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			resp, err := answer(r)
			if err != nil {
				return nil, err
			}
			for i := range fields {
				_ = resp.Header.Set(fields[i].Name, fields[i].Value) // checked at load
			}
			return resp, nil
		}
	}, nil
}

func (c *Respond) check(f *faults) []problem.Field {
	if n := c.Status; n != 0 && (n < 200 || n > 599) {
		f.at("status", "%d is no final status", n).WithFix("write 200 to 599")
	}
	set := 0
	for _, s := range []string{c.Body, c.Template, c.File, c.Root} {
		if s != "" {
			set++
		}
	}
	if set > 1 {
		f.at("", "body, template, file and root exclude each other").WithFix("keep one of them")
	}
	if set > 0 && message.NoContent(c.Status) && c.Status >= 200 {
		f.at("status", "%d has no content (RFC 9110 §6.4.1)", c.Status).WithFix("remove the body, or answer 200")
	}
	if c.Index != "" && c.Root == "" {
		f.at("index", "index belongs to root").WithFix("add root, or remove index")
	}
	if c.Status != 0 && (c.File != "" || c.Root != "") {
		f.at("status", "the status of a file follows from the request").WithFix("remove status")
	}
	f.value("content-type", c.ContentType)
	return f.fields("headers", c.Headers)
}

// fields checks constant fields and gives them in the order of their names, so
// that two builds of one file answer alike.
func (f *faults) fields(path string, m map[string]string) []problem.Field {
	var out []problem.Field
	for _, name := range sortedKeys(m) {
		at := path + "." + name
		if f.field(at, name) {
			f.value(at, m[name])
			out = append(out, problem.Field{Name: name, Value: m[name]})
		}
	}
	return out
}

// sniff chooses the media type of configured content.
func sniff(content string) string {
	switch s := strings.TrimSpace(content); {
	case strings.HasPrefix(s, "{"), strings.HasPrefix(s, "["):
		return "application/json"
	case strings.HasPrefix(s, "<"):
		return typeHTML
	default:
		return "text/plain; charset=utf-8"
	}
}

// formOf tells how values are escaped in content of that type.
func formOf(contentType string) form {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	media = strings.TrimSpace(media)
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		return formJSON
	case media == "text/html" || media == "application/xml" || media == "text/xml" || strings.HasSuffix(media, "+xml"):
		return formHTML
	default:
		return formText
	}
}

func (c *Respond) fixed(status int) Func {
	body, ct := []byte(c.Body), c.ContentType
	if ct == "" {
		ct = sniff(c.Body)
	}
	return func(r *message.Request) (*message.Response, error) {
		resp := message.NewResponse(status)
		if len(body) > 0 {
			resp.Header.AppendID(message.ContentType, ct)
			setContent(resp, r, body)
		}
		return resp, nil
	}
}

func setContent(resp *message.Response, r *message.Request, body []byte) {
	resp.SetBytes(body)
	if r.Method == "HEAD" {
		resp.Body = message.NoBody
	}
}

func (c *Respond) templated(f *faults, status int) Func {
	ct := c.ContentType
	if ct == "" {
		ct = sniff(c.Template)
	}
	t := f.template("template", c.Template, formOf(ct), false)
	return func(r *message.Request) (*message.Response, error) {
		b, err := t.append(make([]byte, 0, len(c.Template)+256), r, nil)
		if err != nil {
			return nil, err
		}
		resp := message.NewResponse(status)
		resp.Header.AppendID(message.ContentType, ct)
		setContent(resp, r, b)
		return resp, nil
	}
}

// files serves one file or a folder. os.Root keeps every open inside the
// folder, symbolic links included.
func (c *Respond) files(f *faults) Func {
	field, name := "root", c.Root
	if c.File != "" {
		field, name = "file", c.File
	}
	st, err := os.Stat(name)
	switch {
	case err != nil:
		f.at(field, "%v", err).WithFix("name an existing path; a relative one starts at the folder maru runs in")
	case c.File != "" && !st.Mode().IsRegular():
		f.at(field, "%s is not a regular file", name).WithFix("use root for a folder")
	case c.Root != "" && !st.IsDir():
		f.at(field, "%s is not a folder", name).WithFix("use file for a single file")
	}
	s := fileServer{dir: c.Root, index: c.Index, contentType: c.ContentType}
	if s.index == "" {
		s.index = "index.html"
	}
	if strings.ContainsAny(s.index, "/\\") {
		f.at("index", "%q is not a file name", c.Index).WithFix("write a name without slashes")
	}
	if c.File != "" {
		s.dir, s.one = filepath.Dir(c.File), filepath.Base(c.File)
	}
	return s.serve
}

type fileServer struct {
	dir, one, index string
	contentType     string
}

func notFound() error { return problem.New(404, "no_file", "there is no such file") }

func (s *fileServer) serve(r *message.Request) (*message.Response, error) {
	if r.Method != "GET" && r.Method != "HEAD" {
		p := problem.New(405, "method", "a file can only be read")
		p.Allow = "GET, HEAD"
		return nil, p
	}
	name := s.one
	if name == "" {
		var err error
		if name, err = fileName(r.Path); err != nil {
			return nil, err
		}
	}
	file, st, err := s.open(name)
	if err != nil {
		return nil, err
	}
	folder := st.IsDir()
	if folder {
		_ = file.Close()
		if !strings.HasSuffix(r.Path, "/") { // links relative to the folder need its slash
			return redirectTo(r, 307, folderTarget(r))
		}
		name = path.Join(name, s.index)
		if file, st, err = s.open(name); err != nil {
			return nil, err
		}
	}
	// A file has no slash behind it: links relative to it would lead elsewhere.
	slash := s.one == "" && !folder && strings.HasSuffix(r.Path, "/")
	if !st.Mode().IsRegular() || slash {
		_ = file.Close()
		return nil, notFound()
	}
	ct := s.contentType
	if ct == "" {
		ct = typeByName(name)
	}
	return serveFile(r, file, st, ct)
}

func (s *fileServer) open(name string) (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, nil, problem.Wrap(err, 404, "no_file", "there is no such file")
	}
	defer root.Close() //nolint:errcheck // it was only read
	// Without O_NONBLOCK the open of a named pipe would wait for its writer.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, nil, problem.Wrap(err, 403, "file_permission", "the file can't be read")
		}
		return nil, nil, problem.Wrap(err, 404, "no_file", "there is no such file")
	}
	st, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, nil, problem.Wrap(err, 404, "no_file", "there is no such file")
	}
	return file, st, nil
}

func folderTarget(r *message.Request) string {
	b := append(make([]byte, 0, 256), r.X.Stripped...)
	b = append(append(b, r.Path...), '/')
	if r.HasQuery {
		b = append(append(b, '?'), r.Query...)
	}
	loc := string(b)
	return loc[leadingSlashes(loc):]
}

// fileName turns a canonical path into a name below the root. A segment that
// decodes to something with a slash, backslash or NUL has no file; hidden
// files are not served, except .well-known (RFC 8615).
func fileName(p string) (string, error) {
	var parts []string
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "" {
			continue
		}
		t := template{form: formText}
		name := string(t.decoded(nil, seg, false))
		if strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".") && name != ".well-known" {
			return "", notFound()
		}
		parts = append(parts, name)
	}
	if len(parts) == 0 {
		return ".", nil
	}
	name := path.Join(parts...)
	if !filepath.IsLocal(name) {
		return "", notFound()
	}
	return name, nil
}

// serveFile answers with the file or what conditions and Range ask of it
// (RFC 9110 §13.2.2, §14.2). It takes over the file.
func serveFile(r *message.Request, file *os.File, st fs.FileInfo, ct string) (*message.Response, error) {
	etag := string(appendETag(nil, st))
	mod := st.ModTime().Truncate(time.Second)
	size := st.Size()
	resp := message.NewResponse(200)
	h := &resp.Header
	h.AppendID(message.ContentType, ct)
	h.AppendID(message.ETag, etag)
	h.AppendID(message.LastModified, mod.UTC().Format(httpTime))
	h.AppendID(message.AcceptRanges, "bytes")
	if err := h.Add("X-Content-Type-Options", "nosniff"); err != nil {
		_ = file.Close()
		resp.Release()
		return nil, err
	}
	lo, n := int64(0), size
	switch resp.Status = conditions(&r.Header, etag, mod); resp.Status {
	case 200:
		if r.Method == "GET" && r.Header.Has(message.Range) && rangeApplies(&r.Header, etag, mod) {
			lo, n, resp.Status = byteRange(r.Header.Value(message.Range), size)
		}
	case 412:
		_ = file.Close()
		resp.Release()
		return nil, problem.New(412, "precondition", "the file is not in the state the request asks for")
	}
	switch resp.Status {
	case 206:
		h.AppendID(message.ContentRange, contentRange(lo, n, size))
	case 304: // RFC 9110 §15.4.5: the validators, no content
		h.DelID(message.ContentType)
		resp.Length = message.Unknown
		_ = file.Close()
		return resp, nil
	case 416:
		h.DelID(message.ContentType)
		h.AppendID(message.ContentRange, "bytes */"+strconv.FormatInt(size, 10))
		_ = file.Close()
		return resp, nil
	}
	resp.Length = n
	if r.Method == "HEAD" || n == 0 {
		_ = file.Close()
		return resp, nil
	}
	if _, err := file.Seek(lo, io.SeekStart); err != nil {
		_ = file.Close()
		resp.Release()
		return nil, problem.Wrap(err, 500, "file_read", "the file can't be read")
	}
	resp.Body = &fileBody{file: file, left: n}
	return resp, nil
}

// fileBody is n bytes of a file. A file that shrank meanwhile aborts: a short
// answer must not look whole (RFC 9112 §8).
type fileBody struct {
	file *os.File
	left int64
}

func (b *fileBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.file.Read(p)
	b.left -= int64(n)
	if b.left > 0 && errors.Is(err, io.EOF) {
		return n, message.ErrAborted
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (b *fileBody) Close() error {
	_ = b.file.Close() // a second Close of the file changes nothing
	return nil
}

func appendETag(dst []byte, st fs.FileInfo) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendInt(dst, st.ModTime().UnixNano(), 36)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, st.Size(), 36)
	return append(dst, '"')
}

const httpTime = "Mon, 02 Jan 2006 15:04:05 GMT"

// conditions gives 200, 304 or 412, in the order of RFC 9110 §13.2.2.
func conditions(h *message.Header, etag string, mod time.Time) int {
	if h.Has(message.IfMatch) {
		if !strongMatch(h, etag) {
			return 412
		}
	} else if t, ok, many := dateField(h, message.IfUnmodifiedSince, mod); ok && !many && mod.After(t) {
		return 412
	}
	if h.Has(message.IfNoneMatch) {
		if tagListHas(h, message.IfNoneMatch, etag) {
			return 304
		}
	} else if t, ok, many := dateField(h, message.IfModifiedSince, mod); ok && !many && !mod.After(t) {
		return 304
	}
	return 200
}

// strongMatch is If-Match: strong comparison (RFC 9110 §13.1.1).
func strongMatch(h *message.Header, etag string) bool {
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if f.ID != message.IfMatch {
			continue
		}
		if f.Value == "*" {
			return true
		}
		for list, more := f.Value, true; more; {
			var tag string
			var weak bool
			if tag, weak, list, more = nextTag(list); more && !weak && tag == etag {
				return true
			}
		}
	}
	return false
}

// rangeApplies is If-Range (RFC 9110 §13.1.5): a strong tag or the exact date.
func rangeApplies(h *message.Header, etag string, mod time.Time) bool {
	v := h.Value(message.IfRange)
	if v == "" || v == etag {
		return true
	}
	t, ok := httpDate(v, mod)
	return ok && t.Equal(mod)
}

func contentRange(lo, n, size int64) string {
	b := append(make([]byte, 0, 64), "bytes "...)
	b = strconv.AppendInt(b, lo, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, lo+n-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

func byteRange(v string, size int64) (lo, n int64, status int) {
	from, to, kind := parseRange(v, size)
	switch kind {
	case rangeOne:
		return from, to - from, 206
	case rangeNone:
		return 0, 0, 416
	default:
		return 0, size, 200
	}
}

// typeByName knows what web folders hold; the system's own tables differ from
// machine to machine.
func typeByName(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm":
		return typeHTML
	case ".css":
		return "text/css; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".txt", ".md":
		return "text/plain; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".webp":
		return "image/webp"
	case ".avif":
		return "image/avif"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".woff":
		return "font/woff"
	case ".wasm":
		return "application/wasm"
	case ".pdf":
		return "application/pdf"
	case ".xml":
		return "application/xml"
	case ".webmanifest":
		return "application/manifest+json"
	case ".mp4":
		return "video/mp4"
	case ".csv":
		return "text/csv; charset=utf-8"
	}
	return "application/octet-stream"
}
