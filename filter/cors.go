package filter

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// CORS answers preflights and puts the Access-Control fields on responses, as
// the Fetch standard has them. It stands before every filter that authenticates:
// a preflight carries no credentials.
type CORS struct {
	// Origins that may read answers: "https://app.example.com", one wildcard
	// label as in "https://*.example.com", "regex:…", "null", or "*" (required).
	Origins []string `yaml:"origins"`
	// Methods a preflight allows (default: the one it asks for, which the route has).
	Methods []string `yaml:"methods"`
	// Headers a preflight allows (default: those it asks for).
	Headers []string `yaml:"headers"`
	// Expose are response fields that scripts may read (default none).
	Expose []string `yaml:"expose"`
	// MaxAge is how long a browser keeps the preflight's answer (default 2h).
	MaxAge *time.Duration `yaml:"max-age"`
	// Credentials lets scripts send cookies and read the answer (default false; never with origin *).
	Credentials bool `yaml:"credentials"`
	// Enforce refuses requests from other origins with 403 (default false: they
	// are forwarded and answered without the fields).
	Enforce bool `yaml:"enforce"`
}

// UnmarshalList reads the origins.
func (c *CORS) UnmarshalList(list []string) error {
	c.Origins = list
	return nil
}

type corsRules struct {
	any         bool
	exact       map[string]struct{}
	wild        [][2]string // scheme with "://", rest with its dot
	patterns    []*regexp.Regexp
	methods     string
	headers     []string
	expose      string
	exposeGRPC  string // for gRPC-Web, whose status is in fields
	maxAge      string
	credentials bool
	enforce     bool
}

const maxOrigin = 512

// Filter is the constructor.
func (c *CORS) Filter(Env) (Filter, error) {
	var f faults
	w := corsRules{exact: map[string]struct{}{}, credentials: c.Credentials, enforce: c.Enforce}
	if len(c.Origins) == 0 {
		f.at("origins", "cors needs the origins that may read answers").WithFix(`write origins: ["https://app.example.com"]`)
	}
	for i, o := range c.Origins {
		w.origin(&f, at("origins", i), o)
	}
	if w.any && c.Credentials {
		f.at("credentials", "browsers refuse credentials together with origin *").
			WithFix("name the origins, or set credentials: false")
	}
	for i, m := range c.Methods {
		if !message.ValidToken(m) || m != strings.ToUpper(m) {
			f.at(at("methods", i), "%q is not a method", m).WithFix("write one such as GET or PATCH, in capitals")
		}
	}
	for _, list := range []struct {
		path  string
		names []string
	}{{"headers", c.Headers}, {"expose", c.Expose}} {
		for i, name := range list.names {
			if !message.ValidToken(name) {
				f.at(at(list.path, i), "%q is not a field name", name).WithFix("use letters, digits and dashes")
			} else if name == "*" && c.Credentials {
				f.at(at(list.path, i), "* is taken literally together with credentials").WithFix("name the fields")
			}
		}
	}
	w.maxAge = "7200"
	if c.MaxAge != nil {
		if *c.MaxAge < 0 || *c.MaxAge%time.Second != 0 {
			f.at("max-age", "%v is not a number of whole seconds", *c.MaxAge).WithFix("write one such as 2h or 0s")
		}
		w.maxAge = strconv.FormatInt(int64(*c.MaxAge/time.Second), 10)
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	w.methods = strings.Join(c.Methods, ", ")
	w.headers = slices.Clone(c.Headers)
	w.expose = strings.Join(c.Expose, ", ")
	w.exposeGRPC = strings.Join(append(slices.Clone(c.Expose), "grpc-status", "grpc-message", "grpc-status-details-bin"), ", ")
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return w.do(r, next) }
	}, nil
}

func (w *corsRules) origin(f *faults, path, o string) {
	switch {
	case o == "*":
		w.any = true
	case o == "null":
		w.exact[o] = struct{}{}
	case strings.HasPrefix(o, "regex:"):
		expr := strings.TrimPrefix(o, "regex:")
		if len(expr) > maxPattern {
			f.at(path, "the pattern has %d bytes, more than %d", len(expr), maxPattern).WithFix("list the origins")
			return
		}
		re, err := regexp.Compile("^(?:" + expr + ")$")
		if err != nil {
			f.at(path, "%v", err).WithFix("write an RE2 expression for the whole origin")
			return
		}
		w.patterns = append(w.patterns, re)
	default:
		w.plainOrigin(f, path, o)
	}
}

// plainOrigin checks the serialised form of an origin (RFC 6454 §6.2): it is
// compared byte by byte with what browsers send.
func (w *corsRules) plainOrigin(f *faults, path, o string) {
	scheme, rest, ok := strings.Cut(o, "://")
	if !ok || scheme == "" || rest == "" {
		f.at(path, "%q is not an origin", o).WithFix("write scheme://host, with the port unless it is the scheme's own")
		return
	}
	if lower := strings.ToLower(o); lower != o {
		f.at(path, "browsers send origins in lower case").WithFix("write %s", lower)
		return
	}
	if strings.ContainsAny(rest, "/?#@") {
		f.at(path, "%q is more than an origin", o).WithFix("write only scheme://host:port, without slash, path and user")
		return
	}
	wild := strings.HasPrefix(rest, "*.")
	probe := strings.TrimPrefix(rest, "*.")
	u, err := url.Parse(scheme + "://" + probe)
	if err != nil || u.Hostname() == "" || strings.Contains(probe, "*") {
		f.at(path, "%q is not an origin", o).WithFix("a wildcard stands for one whole label at the front: https://*.example.com")
		return
	}
	if p := u.Port(); scheme == "https" && p == "443" || scheme == "http" && p == "80" {
		f.at(path, "browsers leave the scheme's own port out").WithFix("write %s", strings.TrimSuffix(o, ":"+p))
		return
	}
	if wild {
		w.wild = append(w.wild, [2]string{scheme + "://", rest[1:]})
		return
	}
	w.exact[o] = struct{}{}
}

func (w *corsRules) allows(origin string) bool {
	if origin == "" || len(origin) > maxOrigin {
		return false
	}
	if w.any {
		return true
	}
	if _, ok := w.exact[origin]; ok {
		return true
	}
	for i := range w.wild {
		label, ok := strings.CutPrefix(origin, w.wild[i][0])
		if !ok {
			continue
		}
		label, ok = strings.CutSuffix(label, w.wild[i][1])
		if ok && label != "" && strings.IndexByte(label, '.') < 0 && strings.IndexByte(label, ':') < 0 {
			return true
		}
	}
	for _, re := range w.patterns {
		if re.MatchString(origin) {
			return true
		}
	}
	return false
}

func (w *corsRules) do(r *message.Request, next Func) (*message.Response, error) {
	origin := oneOrigin(&r.Header)
	allowed := w.allows(origin)
	if r.Method == "OPTIONS" && origin != "" && r.Header.Has(message.AccessControlRequestMethod) {
		return w.preflight(r, origin, allowed)
	}
	if w.enforce && origin != "" && !allowed && !sameOrigin(r, origin) {
		return nil, w.refusal("Origin")
	}
	resp, err := next(r)
	if err != nil {
		return nil, w.onError(r, err, origin, allowed)
	}
	h := &resp.Header
	// Two values of one of these make browsers refuse the answer.
	h.DelFunc(isCORSField)
	varyBy(h, "Origin")
	if allowed {
		h.AppendID(message.AccessControlAllowOrigin, w.answerOrigin(origin))
		if w.credentials {
			h.AppendID(message.AccessControlAllowCredentials, "true")
		}
		if e := w.exposed(r); e != "" {
			h.AppendID(message.AccessControlExposeHeaders, e)
		}
	}
	return resp, nil
}

// oneOrigin gives the only Origin; two of them are none that anybody may trust.
func oneOrigin(h *message.Header) string {
	if !h.Has(message.Origin) {
		return ""
	}
	v, n := "", 0
	for i := range h.Fields() {
		if h.Fields()[i].ID == message.Origin {
			v = h.Fields()[i].Value
			n++
		}
	}
	if n > 1 {
		return "many"
	}
	return v
}

// sameOrigin: browsers send Origin with a POST to their own origin too.
func sameOrigin(r *message.Request, origin string) bool {
	rest, ok := strings.CutPrefix(origin, r.Scheme)
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(rest, "://")
	return ok && strings.EqualFold(rest, r.Authority)
}

func isCORSField(f *message.Field) bool {
	const prefix = "access-control-"
	return len(f.Name) > len(prefix) && f.Name[0]|0x20 == 'a' && strings.EqualFold(f.Name[:len(prefix)], prefix)
}

func (w *corsRules) answerOrigin(origin string) string {
	if w.any {
		return "*"
	}
	return origin
}

func (w *corsRules) exposed(r *message.Request) string {
	if ct := r.Header.Value(message.ContentType); strings.HasPrefix(ct, "application/grpc-web") {
		return w.exposeGRPC
	}
	return w.expose
}

func (w *corsRules) refusal(vary ...string) error {
	p := problem.New(403, "cors_origin", "this origin may not call this route")
	for _, v := range vary {
		p.Fields = append(p.Fields, problem.Field{Name: "Vary", Value: v})
	}
	return p
}

// onError lets scripts of allowed origins read our error documents too.
func (w *corsRules) onError(r *message.Request, err error, origin string, allowed bool) error {
	fields := []problem.Field{{Name: "Vary", Value: "Origin"}}
	if allowed {
		fields = append(fields, problem.Field{Name: "Access-Control-Allow-Origin", Value: w.answerOrigin(origin)})
		if w.credentials {
			fields = append(fields, problem.Field{Name: "Access-Control-Allow-Credentials", Value: "true"})
		}
		if e := w.exposed(r); e != "" {
			fields = append(fields, problem.Field{Name: "Access-Control-Expose-Headers", Value: e})
		}
	}
	return problem.With(err, fields...)
}

// preflight answers without any call to the service.
func (w *corsRules) preflight(r *message.Request, origin string, allowed bool) (*message.Response, error) {
	if !allowed {
		return nil, w.refusal("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
	}
	resp := message.NewResponse(204)
	h := &resp.Header
	h.AppendID(message.AccessControlAllowOrigin, w.answerOrigin(origin))
	if w.credentials {
		h.AppendID(message.AccessControlAllowCredentials, "true")
	}
	methods := w.methods
	if methods == "" {
		methods = r.Header.Value(message.AccessControlRequestMethod)
		if !message.ValidToken(methods) {
			resp.Release()
			return nil, problem.New(400, "cors_method", "Access-Control-Request-Method is not a method")
		}
	}
	h.AppendID(message.AccessControlAllowMethods, methods)
	if names := w.grant(r); names != "" {
		h.AppendID(message.AccessControlAllowHeaders, names)
	}
	h.AppendID(message.AccessControlMaxAge, w.maxAge)
	h.AppendID(message.Vary, "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	return resp, nil
}

// grant gives the asked field names that are allowed; what is no name is left out.
func (w *corsRules) grant(r *message.Request) string {
	asked := r.Header.Value(message.AccessControlRequestHeaders)
	if asked == "" {
		return ""
	}
	b := r.X.Scratch(2*len(asked) + 2)
	for rest := asked; rest != ""; {
		var name string
		name, rest = message.NextMember(rest)
		if !message.ValidToken(name) || !w.grants(name) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = append(b, name...)
	}
	return message.View(b)
}

func (w *corsRules) grants(name string) bool {
	if len(w.headers) == 0 {
		return true
	}
	for _, h := range w.headers {
		if h == "*" || strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}
