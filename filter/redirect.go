package filter

import (
	"strconv"
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Redirect answers with a Location built from the request: what is not set is
// kept. A request that is at its target already goes on to the service, so that
// scheme: https on both listeners does not turn in a circle.
// Short form: the URL to go to.
type Redirect struct {
	// Status is 301, 302 (default), 303, 307 or 308.
	Status int `yaml:"status"`
	// To is a URL or a path that sets several of the parts below at once; its
	// path is a template such as /v2/{path.id}.
	To string `yaml:"to"`
	// Scheme is http or https (default: kept).
	Scheme string `yaml:"scheme"`
	// Host is the new host name (default: kept).
	Host string `yaml:"host"`
	// Port is the new port (default: kept; dropped when the scheme or the host changes).
	Port int `yaml:"port"`
	// Path is a template for the whole new path (default: kept).
	Path string `yaml:"path"`
	// Query is "keep" (default), "drop", or the new query after a "?", such as "?from=old".
	Query string `yaml:"query"`
}

// UnmarshalText reads the URL.
func (c *Redirect) UnmarshalText(text []byte) error {
	c.To = string(text)
	return nil
}

type redirecter struct {
	status             int
	scheme, host, port string
	path               *template
	dropQuery          bool
	query              string // with its question mark
}

// Filter is the constructor.
func (c *Redirect) Filter(Env) (Filter, error) {
	var f faults
	full := *c
	full.spread(&f)
	d := redirecter{status: full.Status, scheme: full.Scheme, host: full.Host}
	full.check(&f, &d)
	if err := f.join(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return d.do(r, next) }
	}, nil
}

// spread takes To apart into the other fields.
func (c *Redirect) spread(f *faults) {
	if c.To == "" {
		return
	}
	if c.Scheme != "" || c.Host != "" || c.Port != 0 || c.Path != "" || c.Query != "" {
		f.at("to", "to stands alone").WithFix("write either to, or scheme, host, port, path and query")
		return
	}
	rest := c.To
	if scheme, after, ok := strings.Cut(rest, "://"); ok {
		c.Scheme = scheme
		end := strings.IndexAny(after, "/?")
		if end < 0 {
			end = len(after)
		}
		c.Host, rest = after[:end], after[end:]
		if host, port, ok := strings.Cut(c.Host, ":"); ok && !strings.HasPrefix(host, "[") {
			n, err := strconv.Atoi(port)
			if err != nil {
				n = -1
			}
			c.Host, c.Port = host, n
		}
		if c.Host == "" {
			f.at("to", "%q has no host", c.To).WithFix("write https://host/path, or only a path")
		}
	} else if !strings.HasPrefix(rest, "/") {
		f.at("to", "%q is neither a URL nor a path", c.To).WithFix("write https://host/path or /path")
		return
	}
	if i := strings.IndexByte(rest, '?'); i >= 0 && i < len(rest) {
		c.Query, rest = rest[i:], rest[:i]
	}
	c.Path = rest
}

func (c *Redirect) check(f *faults, d *redirecter) {
	switch c.Status {
	case 0:
		d.status = 302
	case 301, 302, 303, 307, 308:
	default:
		f.at("status", "%d is no redirect", c.Status).
			WithFix("write 301 or 308 for good, 302, 303 or 307 for now; 307 and 308 keep the method")
	}
	if c.Scheme != "" {
		f.oneOf("scheme", c.Scheme, "http", "https")
	}
	if c.Host != "" && !validHost(c.Host) {
		f.at("host", "%q is not a host name", c.Host).WithFix("write a name or an address, without scheme, port and path")
	}
	if c.Port != 0 {
		if c.Port < 1 || c.Port > 65535 {
			f.at("port", "%d is not a port", c.Port).WithFix("write a number from 1 to 65535")
		}
		d.port = strconv.Itoa(c.Port)
	}
	if c.Path != "" {
		d.path = f.template("path", c.Path, formURL, false)
		if c.Path[0] != '/' && !strings.HasPrefix(c.Path, "{path}") || strings.HasPrefix(c.Path, "//") {
			f.at("path", "%q is not a path", c.Path).WithFix("start it with one slash, or with {path}")
		}
		if !validLocation(string(d.path.sample())) || strings.ContainsAny(c.Path, "?#") {
			f.at("path", "the path holds an octet that a URL can't").WithFix("percent-encode it; a query goes into query: \"?…\"")
		}
	}
	switch {
	case c.Query == "" || c.Query == "keep":
	case c.Query == "drop":
		d.dropQuery = true
	case c.Query[0] == '?' && validLocation(c.Query):
		d.query = c.Query
	default:
		f.at("query", "%q is not known here", c.Query).WithFix("write keep, drop, or the new query after a question mark")
	}
	if c.To == "" && c.Scheme == "" && c.Host == "" && c.Port == 0 && (c.Path == "" || c.Path == "{path}") &&
		(c.Query == "" || c.Query == "keep") {
		f.at("", "every request would be redirected to itself").WithFix("set scheme, host, port, path or query")
	}
}

func validHost(h string) bool {
	if in, ok := strings.CutPrefix(h, "["); ok {
		in, ok = strings.CutSuffix(in, "]")
		return ok && strings.Contains(in, ":") && strings.Trim(in, "0123456789abcdefABCDEF:.") == ""
	}
	for i := range len(h) {
		if c := h[i]; c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return h != "" && len(h) <= 255
}

// validLocation tells whether s consists of URI octets with whole percent
// triplets (RFC 3986 §2): no control, no space, no backslash, nothing that a
// client would have to guess at.
func validLocation(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case !uriOctet(c):
			return false
		case c == '%':
			if i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15 {
				return false
			}
			i += 2
		}
	}
	return true
}

func (d *redirecter) do(r *message.Request, next Func) (*message.Response, error) {
	var room [1024]byte
	b, err := d.location(room[:0], r)
	if err != nil {
		return nil, err
	}
	var other [1024]byte
	if self := appendSelf(other[:0], r); string(self) == string(b) {
		return next(r)
	}
	loc := message.View(b)
	if d.sameOrigin(r) { // RFC 9110 §10.2.2 allows a reference; it survives proxies in front
		loc = loc[len(r.Scheme)+len("://")+len(r.Authority):]
	}
	return redirectTo(r, d.status, loc)
}

// redirectTo makes the answer with that Location, valid whatever the client sent.
func redirectTo(r *message.Request, status int, loc string) (*message.Response, error) {
	var room [1024]byte
	resp := message.NewResponse(status)
	if err := resp.Header.Set("Location", r.X.String(appendLocation(room[:0], loc))); err != nil {
		resp.Release()
		return nil, err
	}
	return resp, nil
}

// appendLocation percent-encodes what the grammar of a URI does not have but
// clients send raw: quotes, braces, a lone percent sign.
func appendLocation(dst []byte, loc string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(loc) {
		c := loc[i]
		lone := c == '%' && (i+2 >= len(loc) || unhex(loc[i+1]) > 15 || unhex(loc[i+2]) > 15)
		if lone || !uriOctet(c) {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func uriOctet(c byte) bool {
	return c > 0x20 && c < 0x7F && strings.IndexByte("\\\"<>^`{|}", c) < 0
}

func (d *redirecter) sameOrigin(r *message.Request) bool {
	return (d.scheme == "" || d.scheme == r.Scheme) && d.host == "" && d.port == ""
}

// location writes the absolute URL to go to.
func (d *redirecter) location(dst []byte, r *message.Request) ([]byte, error) {
	scheme := d.scheme
	if scheme == "" {
		scheme = r.Scheme
	}
	dst = append(append(dst, scheme...), "://"...)
	switch {
	case d.sameOrigin(r):
		dst = append(dst, r.Authority...)
	default:
		host := d.host
		if host == "" {
			if host = authorityHost(r.Authority); host == "" {
				return nil, noHost()
			}
		}
		dst = append(dst, host...)
		if d.port != "" && (scheme != "https" || d.port != "443") && (scheme != "http" || d.port != "80") {
			dst = append(append(dst, ':'), d.port...)
		}
	}
	start := len(dst)
	if d.path == nil {
		dst = append(append(dst, r.X.Stripped...), r.Path...)
	} else {
		var err error
		if dst, err = d.path.append(dst, r, nil); err != nil {
			return nil, err
		}
	}
	// A path that begins with two slashes would name a host (RFC 3986 §4.2).
	n := leadingSlashes(message.View(dst[start:]))
	dst = append(dst[:start], dst[start+n:]...)
	switch {
	case d.query != "":
		dst = append(dst, d.query...)
	case !d.dropQuery && r.HasQuery:
		dst = append(append(dst, '?'), r.Query...)
	}
	return dst, nil
}

func appendSelf(dst []byte, r *message.Request) []byte {
	dst = append(append(dst, r.Scheme...), "://"...)
	dst = append(dst, r.Authority...)
	dst = append(dst, r.X.Stripped...)
	return r.AppendTarget(dst)
}

// authorityHost cuts the port off, keeping the brackets of an IPv6 address.
func authorityHost(a string) string {
	if i := strings.LastIndexByte(a, ':'); i > strings.LastIndexByte(a, ']') {
		return a[:i]
	}
	return a
}

func noHost() error {
	return problem.New(400, "host_missing", "the request names no host to redirect to")
}
