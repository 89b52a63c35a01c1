package filter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/route"
)

// Validate checks requests and answers against the contract of the service: an
// OpenAPI document, or a JSON Schema for the body. It changes no message.
type Validate struct {
	// Request is enforce (default): what breaks the contract is refused; observe:
	// it passes and is counted; or off.
	Request string `yaml:"request"`
	// Response is observe (default), enforce (the answer is held, and 502 in its
	// place when it breaks the contract) or off.
	Response string `yaml:"response"`
	// Sample is the share of the answers whose body is checked (default 1%). The
	// first of each operation, and those after a violation, are checked beyond that.
	Sample Share `yaml:"sample"`
	// Paths is closed (default): a path or method that the contract lacks is 404
	// or 405; or open: it passes unchecked.
	Paths string `yaml:"paths"`
	// Query is open (default): undeclared query parameters pass; or closed: 400.
	Query string `yaml:"query"`
	// Status of a well-formed request that breaks its schema: 400 (default) or 422.
	Status int `yaml:"status"`
	// Formats is assert or annotate (default what the service's contract says).
	Formats string `yaml:"formats"`
	// Patterns is strict or skip (default what the service's contract says).
	Patterns string `yaml:"patterns"`
	// Schema is a file with a JSON Schema for bodies, or an OpenAPI document, in
	// place of the service's contract.
	Schema string `yaml:"schema"`
	// Buffer is the largest body that is held: of requests (413 above), and of
	// answers under enforce (default 1MiB).
	Buffer message.Size `yaml:"buffer"`
	// OnLarge is what happens to an answer over buffer under enforce: pass (default) or refuse.
	OnLarge string `yaml:"on-large"`
}

// Share is a part of a whole, written as "1%" or 0.01.
type Share float64

// UnmarshalText reads either form.
func (s *Share) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(digits, 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("%q is no share; write one such as 1%% or 100%%", text)
	}
	*s = Share(f)
	return nil
}

// mode is what a check leads to.
type mode uint8

const (
	off mode = iota
	observe
	enforce
)

// modeOf reads a word that was checked.
func modeOf(word string) mode {
	switch word {
	case "enforce":
		return enforce
	case "observe":
		return observe
	}
	return off
}

// driftKey is under what the kept state of all validate filters is found.
const driftKey = "contract:drift"

// Filter is the constructor.
func (c *Validate) Filter(env Env) (Filter, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	cfg, at := env.Contract, ""
	if s.Schema != "" {
		cfg, at = contract.Config{File: s.Schema}, "schema"
	}
	var f faults
	if cfg.File == "" {
		f.at("", "there is no contract to check against").WithFix("add contract: FILE to the service, or schema: FILE here")
		return nil, f.join()
	}
	if s.Formats != "" {
		cfg.Formats = s.Formats
	}
	if s.Patterns != "" {
		cfg.Patterns = s.Patterns
	}
	loaded, err := env.LoadContract(at, cfg)
	if err != nil {
		return nil, err //nolint:wrapcheck // field errors
	}
	v := &validator{
		Validate: s, env: env, contract: loaded, request: modeOf(s.Request), response: modeOf(s.Response), service: env.To,
	}
	if v.service == "" {
		v.service = env.Route
	}
	v.drift, _ = env.Keep(driftKey, func() any { return new(contract.Drift) }).(*contract.Drift)
	if err := v.bind(); err != nil {
		return nil, err
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return v.serve(r, next) }
	}, nil
}

// settings fills in the defaults and checks the words.
func (c *Validate) settings() (Validate, error) {
	s := *c
	var f faults
	for _, key := range []struct {
		path  string
		value *string
		words []string
	}{
		{"request", &s.Request, []string{"enforce", "observe", "off"}},
		{"response", &s.Response, []string{"observe", "enforce", "off"}},
		{"paths", &s.Paths, []string{"closed", "open"}},
		{"query", &s.Query, []string{"open", "closed"}},
		{"on-large", &s.OnLarge, []string{"pass", "refuse"}},
		{"formats", &s.Formats, []string{"", "assert", "annotate"}},
		{"patterns", &s.Patterns, []string{"", "strict", "skip"}},
	} {
		if *key.value == "" {
			*key.value = key.words[0]
		}
		f.oneOf(key.path, *key.value, key.words...)
	}
	if s.Sample == 0 {
		s.Sample = 0.01
	}
	if s.Status == 0 {
		s.Status = 400
	}
	if s.Status != 400 && s.Status != 422 {
		f.at("status", "%d is no status for this", s.Status).WithFix("write 400 or 422")
	}
	if s.Buffer == 0 {
		s.Buffer = defaultBuffer
	}
	const most = 64 << 20
	if s.Buffer < 0 || s.Buffer > most {
		f.at("buffer", "%d bytes can't be held in memory for each message", int64(s.Buffer)).WithFix("write at most 64MiB")
	}
	return s, f.join()
}

// validator is the filter at work. It is immutable but for its counters.
type validator struct {
	Validate

	env      Env
	contract *contract.Contract
	drift    *contract.Drift
	service  string
	request  mode
	response mode

	table *route.Table[*bound] // of the contract's operations; nil for a bare schema
	body  *bound               // for a bare schema
	none  *contract.Meter      // for what the contract lacks
	burst burst
	codec decompressor
}

// bound is an operation of the contract with what is counted of it.
type bound struct {
	op    *contract.Operation // nil for a bare schema
	media *contract.Media     // of a bare schema
	meter *contract.Meter
	pace  pace
}

// bind makes the table of the operations: the routes' own matcher, so that a path
// means the same here and there.
func (v *validator) bind() error {
	v.none = v.drift.Meter(v.service, "none")
	v.codec = decompressor{request: true, limit: int64(v.Buffer), ratio: 1 << 10, count: v.env.Count}
	v.codec.equip()
	if v.contract.Body != nil {
		v.body = &bound{media: v.contract.Body, meter: v.drift.Meter(v.service, "body")}
		return nil
	}
	rules := make([]route.Rule[*bound], 0, len(v.contract.Operations))
	for _, op := range v.contract.Operations {
		rules = append(rules, route.Rule[*bound]{
			Match: route.Match{Path: pattern(op.Path), Methods: route.List{op.Method}}, Name: op.ID,
			Value: &bound{op: op, meter: v.drift.Meter(v.service, op.ID)},
		})
	}
	table, err := route.Build(rules)
	if err != nil {
		var f faults
		f.at("", "two operations of %s can take one request: %v", v.contract.File, firstLine(err)).WithFix("make their paths differ")
		return f.join()
	}
	v.table = table
	return nil
}

// firstLine is the begin of an error's text.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// pattern makes a route's pattern of a template: its parameters may have names,
// and share a segment, that a route's may not.
func pattern(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		switch open, shut := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}'); {
		case open < 0 || shut < open:
		case open == 0 && shut == len(s)-1 && strings.Count(s, "{") == 1:
			segments[i] = "{p" + strconv.Itoa(i) + "}"
		default:
			segments[i] = "{p" + strconv.Itoa(i) + ":" + partly(s) + "}"
		}
	}
	return strings.Join(segments, "/")
}

// partly is an expression for a segment in which parameters are parts.
func partly(s string) string {
	var out strings.Builder
	for s != "" {
		before, rest, found := strings.Cut(s, "{")
		for _, c := range []byte(before) {
			if c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' {
				out.WriteByte(c)
			} else {
				fmt.Fprintf(&out, `\x%02x`, c)
			}
		}
		if !found {
			break
		}
		_, s, _ = strings.Cut(rest, "}")
		out.WriteString("[^/]+")
	}
	return out.String()
}

// find gives the operation of a request; an error is a 404 or 405.
func (v *validator) find(r *message.Request) (*bound, error) {
	if v.body != nil {
		return v.body, nil
	}
	q := message.NewRequest() // so that the route's own parameters stay
	defer q.Release()
	q.Method, q.Path = r.Method, r.Path
	b, verdict := v.table.Find(q, 0)
	switch {
	case verdict == route.Found:
		return b, nil
	case v.Paths == "open", v.request == off, verdict == route.Options:
		return nil, nil
	case v.request == observe:
		v.record(v.none, contract.Message{Trace: r.X.Trace.ID}, contract.Violation{In: "path", Keyword: "path", Want: "is no operation of the contract"})
		return nil, nil
	case verdict == route.MethodNotAllowed:
		p := problem.New(405, "method_not_in_contract", "the contract of this service has no such method here")
		p.Allow = v.table.Allow(q)
		return nil, p
	}
	return nil, problem.New(404, "path_not_in_contract", "the contract of this service has no such path")
}

func (v *validator) serve(r *message.Request, next Func) (*message.Response, error) {
	b, err := v.find(r)
	if err != nil {
		v.env.Count("validate", "refused")
		return nil, err
	}
	if b == nil {
		v.none.Unchecked(false, contract.NoOperation)
		return next(r)
	}
	var stream *watched
	if v.request != off {
		if stream, err = v.checkRequest(b, r); err != nil {
			v.env.Count("validate", "refused")
			return nil, err
		}
	}
	resp, err := next(r)
	if stream != nil {
		stream.finish()
	}
	if err != nil || v.response == off || resp.Local || resp.Status < 200 {
		return resp, err
	}
	return v.checkResponse(b, r, resp)
}

// checkRequest judges a request; an error refuses it. A body that streams is
// judged while it does.
func (v *validator) checkRequest(b *bound, r *message.Request) (*watched, error) {
	verdict := contract.NewVerdict()
	defer verdict.Release()
	if b.op != nil {
		b.op.Parameters(r, v.Query == "closed", verdict)
	}
	media, err := v.media(b, r, verdict)
	if err != nil {
		if v.request == enforce {
			return nil, err
		}
		p := problem.Of(err)
		v.record(b.meter, contract.Message{Trace: r.X.Trace.ID}, contract.Violation{In: "body", Keyword: "media-type", Want: p.Detail})
		return nil, nil
	}
	var stream *watched
	switch {
	case media == nil:
	case !media.Checked(false):
		b.meter.Unchecked(false, contract.NoSchema)
	case v.request == enforce:
		if err := v.held(r, media, verdict); err != nil {
			return nil, err
		}
	default:
		stream = v.watchRequest(b, r, media)
	}
	b.meter.Checked(false)
	if verdict.Valid() {
		return stream, nil
	}
	v.note(b, contract.Message{Trace: r.X.Trace.ID}, verdict)
	if v.request == enforce {
		return nil, verdict.Problem(v.Status)
	}
	return stream, nil
}

// media finds what the contract says of the request's body; nil is nothing.
func (v *validator) media(b *bound, r *message.Request, verdict *contract.Verdict) (*contract.Media, error) {
	switch {
	case b.op == nil && (r.HasBody() || !r.Safe() && r.Method != "DELETE"):
		return b.media, acceptable(r, "application/json")
	case b.op == nil:
		return nil, nil
	case !r.HasBody():
		if b.op.Required() {
			verdict.Missing("body")
		}
		return nil, nil
	case !b.op.Bodied():
		if v.Paths == "closed" {
			verdict.Unwanted()
		}
		return nil, nil
	}
	m := b.op.Media(r.Header.Value(message.ContentType))
	if m == nil {
		return nil, mediaType(b.op.Accept())
	}
	return m, acceptable(r, m.Type)
}

// mediaType is the answer to a body of a type that the contract lacks.
func mediaType(accept string) error {
	p := problem.New(415, "media_type", "the contract has no body of this media type here")
	p.Fields = []problem.Field{{Name: "Accept", Value: accept}} // RFC 9110 §15.5.16
	return p
}

// acceptable refuses a charset other than UTF-8 for JSON.
func acceptable(r *message.Request, kind string) error {
	value := r.Header.Value(message.ContentType)
	_, params, found := strings.Cut(value, ";")
	if !found || !strings.HasSuffix(kind, "json") {
		return nil
	}
	for found {
		var one string
		one, params, found = strings.Cut(params, ";")
		name, set, _ := strings.Cut(one, "=")
		if strings.EqualFold(strings.TrimSpace(name), "charset") && !strings.EqualFold(strings.Trim(set, " \t\""), "utf-8") {
			return problem.New(415, "charset", "JSON is UTF-8")
		}
	}
	return nil
}

// note records what a message breaks.
func (v *validator) note(b *bound, m contract.Message, verdict *contract.Verdict) { //nolint:gocritic // off the plain path
	list := verdict.Violations()
	if s := verdict.Syntax(); s != nil {
		list = append(slices.Clone(list), contract.Violation{In: "body", Keyword: "json-syntax", Want: "must be JSON: " + string(s.Reason)})
	}
	v.record(b.meter, m, list...)
}

func (v *validator) record(meter *contract.Meter, m contract.Message, list ...contract.Violation) { //nolint:gocritic // off the plain path
	m.At = v.env.Now()
	m.Media = strings.Clone(m.Media)
	v.drift.Record(meter, m, list)
}

// LoadContract reads a contract from its file and what it refers to in the folder
// of that file and below. What is wrong with it becomes field errors at the path.
func LoadContract(decode contract.Decode, at string, cfg contract.Config) (*contract.Contract, error) {
	if err := cfg.Check(); err != nil {
		return nil, diag.Under(at, err)
	}
	loaded, findings := contract.LoadFile(cfg.File, contract.Options{Config: cfg, Decode: decode})
	if loaded != nil {
		return loaded, nil
	}
	var errs []error
	for i := range findings {
		f := &findings[i]
		if f.Severity == diag.Warning {
			continue
		}
		errs = append(errs, diag.At(at, "%s", f.Text).WithFix("%s", f.Fix).WithCode(f.Code).Elsewhere(f.Position, f.Length))
	}
	return nil, diag.Join(errs...)
}
