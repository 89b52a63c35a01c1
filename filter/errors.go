package filter

import (
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Errors replaces error answers by pages of your own: from a template, or from a
// service. Status and trailers stay, and so do all fields but those that
// describe the old content. A page that fails gives the built-in one. gRPC
// calls keep their own form of error.
type Errors struct {
	// Of says whose errors are replaced: "ours" (default), "service" or "both".
	Of string `yaml:"of"`
	// Pages in order; the first whose statuses and form fit is taken (required).
	Pages []ErrorPage `yaml:"pages"`
}

// ErrorPage is the page of some statuses.
type ErrorPage struct {
	// Status lists them: "404", "5xx", "500-504" (default: all errors).
	Status []string `yaml:"status"`
	// Template is the content; {status}, {title}, {detail}, {reason}, {trace-id}
	// and what respond knows are replaced (no default).
	Template string `yaml:"template"`
	// File holds the template and is read at load (no default).
	File string `yaml:"file"`
	// Service makes the content (no default).
	Service string `yaml:"service"`
	// Path is what the service is asked for, a template (default /{status}).
	Path string `yaml:"path"`
	// ContentType of the template (default: by its beginning).
	ContentType string `yaml:"content-type"`
	// Always uses an HTML page also for clients whose Accept does not prefer
	// HTML, and a JSON page for those whose does (default false).
	Always bool `yaml:"always"`
}

const (
	maxPage  = 1 << 20         // bytes of a page, from a file or a service
	pageTime = 2 * time.Second // for a page's service: the exchange's own time may be over
	maxDrain = 64 << 10        // bytes of a replaced body that are read for its trailers
)

type errorPages struct {
	ours, theirs bool
	pages        []errorPage
	now          func() time.Time
}

type errorPage struct {
	limited     bool
	statuses    statusSet
	contentType string
	form        form
	always      bool
	tmpl        *template
	service     Func
	path        *template
}

// Filter is the constructor.
func (c *Errors) Filter(env Env) (Filter, error) {
	var f faults
	e := errorPages{ours: c.Of != "service", theirs: c.Of == "service" || c.Of == "both", now: env.Now}
	if c.Of != "" {
		f.oneOf("of", c.Of, "ours", "service", "both")
	}
	if len(c.Pages) == 0 {
		f.at("pages", "errors needs a page").WithFix("write pages: with status and template, file or service")
	}
	for i := range c.Pages {
		e.pages = append(e.pages, f.page(env, at("pages", i), &c.Pages[i]))
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			resp, err := next(r)
			switch {
			case err != nil && e.ours:
				return e.replaceProblem(r, err)
			case err == nil && e.theirs && resp.Status >= 400 && !resp.Local:
				return e.replaceAnswer(r, resp)
			}
			return resp, err
		}
	}, nil
}

func (f *faults) page(env Env, path string, c *ErrorPage) errorPage {
	p := errorPage{limited: len(c.Status) > 0, always: c.Always, contentType: c.ContentType}
	p.statuses = f.statuses(path+".status", c.Status)
	for n := range 400 {
		if p.statuses.has(n) {
			f.at(path+".status", "%d is no error", n).WithFix("write statuses from 400 to 599")
			break
		}
	}
	set := 0
	for _, s := range []string{c.Template, c.File, c.Service} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		f.at(path, "a page needs one of template, file and service").WithFix("write template: \"<h1>{status} {title}</h1>\"")
	}
	if c.Path != "" && c.Service == "" {
		f.at(path+".path", "path belongs to service").WithFix("add service, or remove path")
	}
	f.value(path+".content-type", c.ContentType)
	switch {
	case c.Service != "":
		f.servicePage(env, path, c, &p)
	case c.File != "":
		p.text(f, path+".file", f.readPage(path+".file", c.File))
	default:
		p.text(f, path+".template", c.Template)
	}
	return p
}

func (f *faults) servicePage(env Env, path string, c *ErrorPage, p *errorPage) {
	fn, err := env.Service(c.Service)
	if err != nil {
		f.at(path+".service", "%v", err).WithFix("name one of the services")
	}
	p.service = fn
	target := c.Path
	if target == "" {
		target = "/{status}"
	}
	if target[0] != '/' {
		f.at(path+".path", "%q does not start with a slash", target).WithFix("write /%s", target)
	}
	p.path = f.template(path+".path", target, formURL, true)
	f.urlOctets(path+".path", p.path)
}

func (f *faults) readPage(path, name string) string {
	st, err := os.Stat(name)
	if err == nil && (!st.Mode().IsRegular() || st.Size() > maxPage) {
		f.at(path, "%s is not a file of at most 1MiB", name).WithFix("name a page")
		return ""
	}
	b, err := os.ReadFile(name) //nolint:gosec // the operator's own configuration names it
	if err != nil {
		f.at(path, "%v", err).WithFix("name an existing file; a relative path starts at the folder maru runs in")
	}
	return string(b)
}

func (p *errorPage) text(f *faults, path, text string) {
	if p.contentType == "" {
		p.contentType = sniff(text)
	}
	p.form = formOf(p.contentType)
	p.tmpl = f.template(path, text, p.form, true)
}

// find gives the page for a status in the form that the client takes.
func (e *errorPages) find(r *message.Request, status int) *errorPage {
	html := prefersHTML(&r.Header)
	for i := range e.pages {
		p := &e.pages[i]
		if p.limited && !p.statuses.has(status) {
			continue
		}
		wrongForm := p.form == formHTML && !html || p.form == formJSON && html
		if p.tmpl != nil && wrongForm && !p.always {
			continue
		}
		return p
	}
	return nil
}

// replaceProblem answers one of our own errors. Log and metrics still learn the reason.
func (e *errorPages) replaceProblem(r *message.Request, err error) (*message.Response, error) {
	p := problem.Of(err)
	if _, grpc := grpcType(r); grpc || p.Status == 499 {
		return nil, err
	}
	page := e.find(r, p.Status)
	if page == nil {
		return nil, err
	}
	content, contentType, bad := page.make(r, p, e.now().Add(pageTime))
	if bad != nil {
		return nil, err
	}
	resp := message.NewResponse(p.Status)
	resp.Close = p.Close
	resp.Header.AppendID(message.ContentType, contentType)
	resp.Header.AppendID(message.CacheControl, "no-store")
	resp.Header.AppendID(message.Vary, "Accept")
	finish(resp, r, p, content)
	r.X.Reason, r.X.Cause = p.Reason, err
	return resp, nil
}

// replaceAnswer puts a page in the place of a service's error body. It makes a
// new response, because the old one's connection is free once it is read.
func (e *errorPages) replaceAnswer(r *message.Request, old *message.Response) (*message.Response, error) {
	page := e.find(r, old.Status)
	if _, grpc := grpcType(r); grpc || page == nil {
		return old, nil
	}
	p := problem.New(old.Status, "service_error", "")
	content, contentType, bad := page.make(r, p, e.now().Add(pageTime))
	if bad != nil { // the service's own page is better than a failed one
		return old, nil //nolint:nilerr // see above
	}
	resp := message.NewResponse(old.Status)
	resp.Close = old.Close
	resp.Header.AppendID(message.ContentType, contentType)
	for _, f := range old.Header.Fields() {
		if !describesContent(&f) {
			resp.Header.Append(message.Field{Name: keep(&r.X, f.Name), Value: keep(&r.X, f.Value), ID: f.ID})
		}
	}
	varyBy(&resp.Header, "Accept")
	setContent(resp, r, content)
	if r.Method != "HEAD" {
		keepTrailers(r, resp, old)
		return resp, nil
	}
	old.Release()
	return resp, nil
}

// keepTrailers reads the rest of the old body, whose trailers are complete then
// (RFC 9110 §6.5), and releases it.
func keepTrailers(r *message.Request, resp, old *message.Response) {
	defer old.Release()
	var buf [4096]byte
	for left := maxDrain; left > 0; {
		n, err := old.Body.Read(buf[:])
		left -= n
		if errors.Is(err, io.EOF) {
			old.MarkComplete()
			break
		}
		if err != nil {
			return
		}
	}
	for _, f := range old.Trailer.Fields() {
		resp.Trailer.Append(message.Field{Name: keep(&r.X, f.Name), Value: keep(&r.X, f.Value), ID: f.ID})
		resp.Length = message.Unknown // trailers need the chunked coding (RFC 9112 §7.1.2)
	}
}

// describesContent tells which fields belong to the body that is gone.
func describesContent(f *message.Field) bool {
	switch f.ID {
	case message.ContentType, message.ContentEncoding, message.ContentLocation, message.ContentMD5,
		message.ContentRange, message.ETag, message.LastModified, message.AcceptRanges, message.Digest:
		return true
	case message.Other:
		return strings.EqualFold(f.Name, "Content-Language") || strings.EqualFold(f.Name, "Content-Digest") ||
			strings.EqualFold(f.Name, "Repr-Digest") || strings.EqualFold(f.Name, "Content-Disposition")
	default:
		return false
	}
}

var errPage = errors.New("the page's service did not answer 200")

// make gives the content of the page.
func (p *errorPage) make(r *message.Request, pr *problem.Error, until time.Time) (content []byte, contentType string, err error) {
	if p.tmpl != nil {
		content, err = p.tmpl.append(make([]byte, 0, 1024), r, pr)
		return content, p.contentType, err
	}
	target, err := p.path.append(make([]byte, 0, 64), r, pr)
	if err != nil {
		return nil, "", err
	}
	q := message.NewRequest()
	defer q.Release()
	path, query, has := strings.Cut(string(target), "?")
	q.Method, q.Query, q.HasQuery = "GET", query, has
	q.Scheme, q.Authority, q.Host, q.Proto = r.Scheme, r.Authority, r.Host, r.Proto
	q.X.Began, q.X.Deadline, q.X.Client, q.X.Trace = r.X.Began, until, r.X.Client, r.X.Trace
	q.X.Route, q.X.Listener = r.X.Route, r.X.Listener
	if v := r.Header.Value(message.Accept); v != "" {
		q.Header.AppendID(message.Accept, v)
	}
	if err := setPath(q, path); err != nil {
		return nil, "", err
	}
	resp, err := p.service(q)
	if err != nil {
		return nil, "", err
	}
	defer resp.Release()
	if resp.Status != 200 || resp.Length > maxPage {
		return nil, "", errPage
	}
	content, err = message.ReadAll(make([]byte, 0, 4096), resp.Body, maxPage)
	if err != nil {
		return nil, "", err
	}
	resp.MarkComplete()
	contentType = p.contentType
	if contentType == "" {
		contentType = strings.Clone(resp.Header.Value(message.ContentType))
	}
	if contentType == "" {
		contentType = sniff(string(content))
	}
	return content, contentType, nil
}
