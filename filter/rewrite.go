package filter

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// Rewrite changes the path by a regular expression or a template.
//
// With target it works as nginx Ingress does with rewrite-target: a path that
// matches from its beginning becomes the target, whole; what is not captured is
// lost. With replace it works as Spring's RewritePath: every match inside the
// path is replaced. A path that does not match goes on as it is. Captures are
// inserted as they stand in the path, still percent-encoded.
type Rewrite struct {
	// Pattern is the regular expression (RE2) that is held against the canonical path.
	Pattern string `yaml:"pattern"`
	// Target becomes the whole path (no default): $1, ${1}, ${name} insert
	// captures, $$ is a dollar. With a ? it brings its own query, else the
	// query is kept.
	Target string `yaml:"target"`
	// Replace takes the place of every match (no default; this or target). $\{name} is read as ${name}.
	Replace string `yaml:"replace"`
	// Path is a template without pattern, such as /v2/{path.id} (no default).
	Path string `yaml:"path"`
	// AppRoot is where a request for / is redirected to, with 302 (no default).
	AppRoot string `yaml:"app-root"`
	// SSLRedirect redirects http to https with 308 (default false). Behind a
	// trusted proxy its X-Forwarded-Proto decides what the client used.
	SSLRedirect bool `yaml:"ssl-redirect"`
}

// maxPattern is the longest regular expression in bytes, as for routes.
const maxPattern = 1024

// Filter is the constructor.
func (c *Rewrite) Filter(Env) (Filter, error) {
	var f faults
	w := rewriter{ssl: c.SSLRedirect}
	if c.AppRoot != "" {
		w.appRoot = f.literalPath("app-root", c.AppRoot)
		if w.appRoot == "/" {
			f.at("app-root", "/ would redirect to itself").WithFix("name another path, or remove it")
		}
	}
	c.check(&f)
	if c.Pattern != "" {
		w.compile(&f, c)
	}
	if c.Path != "" {
		w.path = f.template("path", c.Path, formURL, false)
		if c.Path[0] != '/' {
			f.at("path", "%q does not start with a slash", c.Path).WithFix("write /%s", c.Path)
		}
		f.urlOctets("path", w.path)
		if strings.ContainsAny(c.Path, "?#") {
			f.at("path", "a path has no query").WithFix("write pattern: /(.*) with target: /path?query=$1")
		}
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return w.do(r, next) }
	}, nil
}

// check looks at which keys stand together.
func (c *Rewrite) check(f *faults) {
	if c.Target != "" && c.Replace != "" {
		f.at("replace", "target and replace exclude each other").
			WithFix("target sets the whole path (nginx), replace changes what matches (Spring); keep one")
	}
	if c.Path != "" && c.Pattern != "" {
		f.at("path", "path is a template and takes no pattern").WithFix("remove path, or write pattern with target")
	}
	hasResult := c.Target != "" || c.Replace != ""
	switch {
	case c.Pattern == "" && hasResult:
		f.at("pattern", "target and replace need a pattern").WithFix("add one such as /something(/|$)(.*), or write path")
	case c.Pattern != "" && !hasResult && c.Path == "":
		f.at("target", "a pattern needs a target or a replace").WithFix("write target: /$1")
	case c.Pattern == "" && c.Path == "" && c.AppRoot == "" && !c.SSLRedirect:
		f.at("", "rewrite has nothing to do").WithFix("write pattern and target, path, app-root or ssl-redirect")
	}
	if c.Target != "" && c.Target[0] != '/' && c.Target[0] != '$' {
		f.at("target", "%q does not start with a slash", c.Target).WithFix("write /%s", c.Target)
	}
}

type rewriter struct {
	ssl     bool
	appRoot string
	whole   bool // target: the path is replaced, not the matches
	re      *regexp.Regexp
	idiom   string // the literal of "literal(/|$)(.*)", which needs no regexp
	out     []piece
	query   []piece
	ownArgs bool
	path    *template
}

// piece is a literal, or the capture with that number.
type piece struct {
	text  string
	group int // -1 for a literal
}

const idiomTail = "(/|$)(.*)"

func (w *rewriter) compile(f *faults, c *Rewrite) {
	if len(c.Pattern) > maxPattern {
		f.at("pattern", "the pattern has %d bytes, more than %d", len(c.Pattern), maxPattern).WithFix("split the route")
		return
	}
	re, err := regexp.Compile(c.Pattern)
	if err != nil {
		f.at("pattern", "%v", err).WithFix("write an RE2 expression: no look-around, no back references")
		return
	}
	if w.whole = c.Replace == ""; w.whole {
		re = regexp.MustCompile("^(?:" + c.Pattern + ")") // what compiles alone compiles in a group
	}
	w.re = re
	if !w.whole {
		w.out = replacement(f, "replace", strings.ReplaceAll(c.Replace, `$\`, "$"), re)
		return
	}
	if lit, ok := strings.CutSuffix(strings.TrimPrefix(c.Pattern, "^"), idiomTail); ok && regexp.QuoteMeta(lit) == lit && strings.HasPrefix(lit, "/") {
		w.idiom = lit
	}
	path, query, own := strings.Cut(c.Target, "?")
	w.ownArgs = own
	w.out = replacement(f, "target", path, re)
	w.query = replacement(f, "target", query, re)
}

// replacement reads a replacement. A dollar sign that names no group is a fault:
// whoever wrote it expects something of it.
func replacement(f *faults, field, text string, re *regexp.Regexp) []piece {
	var out []piece
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			return append(out, piece{text, -1})
		}
		if i > 0 {
			out = append(out, piece{text[:i], -1})
		}
		text = text[i+1:]
		if strings.HasPrefix(text, "$") {
			out = append(out, piece{"$", -1})
			text = text[1:]
			continue
		}
		name, rest := groupName(text, re.NumSubexp())
		group := groupNumber(name, re)
		if group < 0 {
			f.add(unknownGroup(field, name, re))
		}
		out = append(out, piece{"", group})
		text = rest
	}
	return out
}

// groupName cuts "{name}" or digits off the text; digits go on while there is
// a group of that number, so that $12 with two groups is $1 and "2".
func groupName(text string, groups int) (name, rest string) {
	if inner, ok := strings.CutPrefix(text, "{"); ok {
		name, rest, _ = strings.Cut(inner, "}")
		return name, rest
	}
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		n, err := strconv.Atoi(text[:end+1])
		if err != nil || end > 0 && n > groups {
			break
		}
		end++
	}
	return text[:end], text[end:]
}

func groupNumber(name string, re *regexp.Regexp) int {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 0 || n > re.NumSubexp() {
			return -1
		}
		return n
	}
	if name == "" {
		return -1
	}
	return re.SubexpIndex(name)
}

func unknownGroup(field, name string, re *regexp.Regexp) *diag.FieldError {
	if name == "" {
		return diag.At(field, "$ without a group").WithFix("write $1, ${name}, or $$ for a dollar sign")
	}
	var names []string
	for _, n := range re.SubexpNames() {
		if n != "" {
			names = append(names, n)
		}
	}
	e := diag.At(field, "$%s: the pattern has no such group", name)
	if best := diag.Nearest(name, names); best != "" {
		return e.WithFix("did you mean ${%s}?", best)
	}
	return e.WithFix("the pattern has %d groups; $$ stands for a dollar sign", re.NumSubexp())
}

func (w *rewriter) do(r *message.Request, next Func) (*message.Response, error) {
	if w.ssl && r.Scheme == "http" {
		return sslRedirect(r)
	}
	if w.appRoot != "" && r.Path == "/" {
		resp := message.NewResponse(302)
		resp.Header.AppendID(message.Location, w.appRoot)
		return resp, nil
	}
	var err error
	switch {
	case w.path != nil:
		var room [512]byte
		var b []byte
		if b, err = w.path.append(room[:0], r, nil); err == nil {
			err = setPath(r, r.X.String(b))
		}
	case w.idiom != "":
		err = w.byIdiom(r)
	case w.re != nil && w.whole:
		if m := w.re.FindStringSubmatchIndex(r.Path); m != nil {
			err = w.replaceWhole(r, r.Path, m)
		}
	case w.re != nil:
		err = w.replaceAll(r)
	}
	if err != nil {
		return nil, err
	}
	return next(r)
}

// byIdiom is replaceWhole for "literal(/|$)(.*)", by far the most common
// pattern, without the regexp engine and so without allocating.
func (w *rewriter) byIdiom(r *message.Request) error {
	path, n := r.Path, len(w.idiom)
	if !strings.HasPrefix(path, w.idiom) || len(path) > n && path[n] != '/' {
		return nil
	}
	slash := n
	if len(path) > n {
		slash++
	}
	m := [6]int{0, len(path), n, slash, slash, len(path)}
	return w.replaceWhole(r, path, m[:])
}

func (w *rewriter) replaceWhole(r *message.Request, path string, m []int) error {
	var room [512]byte
	if w.ownArgs {
		r.Query = r.X.String(appendPieces(room[:0], w.query, path, m))
		r.HasQuery = r.Query != ""
	}
	return setPath(r, r.X.String(appendPieces(room[:0], w.out, path, m)))
}

func (w *rewriter) replaceAll(r *message.Request) error {
	if !w.re.MatchString(r.Path) { // costs nothing, unlike the next call
		return nil
	}
	path := r.Path
	var room [512]byte
	b, from := room[:0], 0
	for _, m := range w.re.FindAllStringSubmatchIndex(path, -1) {
		b = append(b, path[from:m[0]]...)
		b = appendPieces(b, w.out, path, m)
		from = m[1]
	}
	return setPath(r, r.X.String(append(b, path[from:]...)))
}

func appendPieces(dst []byte, list []piece, path string, m []int) []byte {
	for _, p := range list {
		if p.group < 0 {
			dst = append(dst, p.text...)
			continue
		}
		if lo, hi := m[2*p.group], m[2*p.group+1]; lo >= 0 {
			dst = append(dst, path[lo:hi]...)
		}
	}
	return dst
}

// sslRedirect answers with the same URL under https; 308 keeps the method
// (RFC 9110 §15.4.9). The port of the plain listener means nothing there.
func sslRedirect(r *message.Request) (*message.Response, error) {
	host := authorityHost(r.Authority)
	if host == "" {
		return nil, noHost()
	}
	b := append(r.X.Scratch(len("https://")+len(host)+len(r.X.Stripped)+len(r.Path)+1+len(r.Query)), "https://"...)
	b = append(b, host...)
	b = append(b, r.X.Stripped...)
	b = r.AppendTarget(b)
	return redirectTo(r, 308, message.View(b))
}
