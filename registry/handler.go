package registry

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ServeHTTP answers Eureka's paths under /eureka/, /eureka/v2/ and /eureka/v1/,
// and the plain view under /registry/v1/. Errors have an empty body, or plain
// text with 400: clients of the original take a JSON body for an answer.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments, err := split(r.URL.EscapedPath())
	if err != nil {
		badRequest(w, err)
		return
	}
	w.Header().Set("Server", "maru")
	c := &call{g: g, w: w, r: r}
	if !g.admitted(r) {
		g.totals.denied.Add(1)
		w.Header().Set("WWW-Authenticate", `Basic realm="maru registry", charset="UTF-8"`)
		c.empty(http.StatusUnauthorized)
		return
	}
	switch {
	case len(segments) == 0:
		c.methods(map[string]func(){http.MethodGet: c.page})
	case segments[0] == "eureka":
		segments = segments[1:]
		if len(segments) > 0 && isVersion(segments[0]) {
			segments = segments[1:]
		}
		c.eureka(segments)
	case slices.Equal(segments, []string{"serverinfo", "statusoverrides"}):
		c.methods(map[string]func(){http.MethodGet: c.overrides})
	case len(segments) > 2 && segments[0] == "registry" && segments[1] == "v1":
		c.view(segments[2:])
	default:
		c.empty(http.StatusNotFound)
	}
}

// split cuts a path into its segments, each decoded once; repeated and trailing
// slashes count for nothing.
func split(path string) ([]string, error) {
	var out []string
	for s := range strings.SplitSeq(path, "/") {
		if s == "" {
			continue
		}
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return nil, refuse("cannot read the path: %v", err)
		}
		out = append(out, decoded)
	}
	return out, nil
}

// isVersion tells whether a segment is a version of the protocol, such as v2.
func isVersion(s string) bool {
	return len(s) > 1 && s[0] == 'v' && strings.Trim(s[1:], "0123456789") == ""
}

// call is one exchange.
type call struct {
	g *Registry
	w http.ResponseWriter
	r *http.Request
}

// methods runs the function of the request's method, or answers 405.
func (c *call) methods(table map[string]func()) {
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if f := table[method]; f != nil {
		f()
		return
	}
	var allow []string
	for m := range table {
		allow = append(allow, m)
	}
	slices.Sort(allow)
	c.w.Header().Set("Allow", strings.Join(allow, ", "))
	c.empty(http.StatusMethodNotAllowed)
}

// eureka finds the resource of a path without its base (specification §3).
func (c *call) eureka(s []string) {
	switch {
	case len(s) == 1 && s[0] == "apps":
		c.methods(map[string]func(){http.MethodGet: func() { c.listing(what{kind: listAll}) }})
	case len(s) == 2 && s[0] == "apps" && s[1] == "delta":
		c.methods(map[string]func(){http.MethodGet: func() { c.listing(what{kind: listDelta}) }})
	case len(s) == 2 && s[0] == "apps":
		app := strings.ToUpper(s[1])
		c.methods(map[string]func(){
			http.MethodGet:  func() { c.listing(what{listApp, app}) },
			http.MethodPost: func() { c.register(app) },
		})
	case len(s) == 3 && s[0] == "apps":
		k := key{strings.ToUpper(s[1]), s[2]}
		c.methods(map[string]func(){
			http.MethodGet: func() { c.instance(k) }, http.MethodPut: func() { c.renew(k) },
			http.MethodDelete: func() { c.found(c.g.cancel(k, c.replication())) },
		})
	case len(s) == 4 && s[0] == "apps" && s[3] == "status":
		k := key{strings.ToUpper(s[1]), s[2]}
		c.methods(map[string]func(){
			http.MethodPut: func() { c.status(k, c.g.setStatus, "") }, http.MethodDelete: func() { c.status(k, c.g.clearStatus, "UNKNOWN") },
		})
	case len(s) == 4 && s[0] == "apps" && s[3] == "metadata":
		c.methods(map[string]func(){http.MethodPut: func() { c.metadata(key{strings.ToUpper(s[1]), s[2]}) }})
	case len(s) == 2 && s[0] == "instances":
		c.methods(map[string]func(){http.MethodGet: func() { c.byID(s[1]) }})
	case len(s) == 2 && s[0] == "vips":
		c.methods(map[string]func(){http.MethodGet: func() { c.listing(what{listVIP, s[1]}) }})
	case len(s) == 2 && s[0] == "svips":
		c.methods(map[string]func(){http.MethodGet: func() { c.listing(what{listSecureVIP, s[1]}) }})
	case len(s) == 3 && s[0] == "asg" && s[2] == "status":
		c.methods(map[string]func(){http.MethodPut: func() { badRequest(c.w, refuse("auto scaling groups are known on AWS only")) }})
	case len(s) == 2 && s[0] == "peerreplication" && s[1] == "batch":
		c.methods(map[string]func(){http.MethodPost: c.batch})
	case len(s) == 1 && s[0] == "status":
		c.methods(map[string]func(){http.MethodGet: c.info})
	default:
		c.empty(http.StatusNotFound)
	}
}

// empty answers without a body.
func (c *call) empty(status int) {
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(status)
}

// found answers 200 or 404.
func (c *call) found(ok bool) {
	if ok {
		c.empty(http.StatusOK)
		return
	}
	c.empty(http.StatusNotFound)
}

// badRequest answers 400 with what is wrong, as plain text.
func badRequest(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, err.Error())
}

func (c *call) replication() bool {
	return strings.EqualFold(c.r.Header.Get("X-Netflix-Discovery-Replication"), "true")
}

// wantsJSON tells which format the client reads.
func (c *call) wantsJSON() bool {
	return strings.Contains(strings.ToLower(c.r.Header.Get("Accept")), "json")
}

func (c *call) style() style {
	return style{
		xml: !c.wantsJSON(), compact: strings.EqualFold(c.r.Header.Get("X-Eureka-Accept"), "compact"),
		legacy: c.g.cfg.Load().LegacyOverrideKey,
	}
}

// errTooLarge is told in the words of a 400.
func errTooLarge(limit int) error { return refuse("the request body is larger than %d bytes", limit) }

// body reads the request's body, unpacked, up to a limit.
func (c *call) body(limit int) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(c.w, c.r.Body, int64(limit))
	if strings.EqualFold(c.r.Header.Get("Content-Encoding"), "gzip") {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, refuse("cannot unpack request body: %v", err)
		}
		in = unpacked
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if _, large := errors.AsType[*http.MaxBytesError](err); large || len(data) > limit {
		return nil, errTooLarge(limit)
	}
	if err != nil {
		return nil, refuse("cannot read request body: %v", err)
	}
	return data, nil
}

// posted reads the instance in the body; false when it was answered.
func (c *call) posted() (*posted, bool) {
	data, err := c.body(maxBody)
	if err != nil {
		badRequest(c.w, err)
		return nil, false
	}
	kind := strings.ToLower(c.r.Header.Get("Content-Type"))
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	var p *posted
	switch {
	case strings.Contains(kind, "json") || kind == "" && bytes.HasPrefix(trimmed, []byte("{")):
		p, err = decodeJSON(trimmed)
	case strings.Contains(kind, "xml") || kind == "" && bytes.HasPrefix(trimmed, []byte("<")):
		p, err = decodeXML(trimmed)
	case kind == "":
		err = refuse("cannot parse request body: it begins neither with < nor with {")
	default:
		c.empty(http.StatusUnsupportedMediaType)
		return nil, false
	}
	if err != nil {
		badRequest(c.w, err)
		return nil, false
	}
	return p, true
}

func (c *call) register(app string) {
	p, ok := c.posted()
	if !ok {
		return
	}
	in := p.instance(c.g.wall())
	if err := in.check(app); err != nil {
		badRequest(c.w, err)
		return
	}
	if c.g.register(in, c.replication()) != nil {
		c.empty(http.StatusServiceUnavailable)
		return
	}
	c.w.WriteHeader(http.StatusNoContent)
}

func (c *call) renew(k key) {
	r := renewal{replication: c.replication()}
	if c.r.URL.RawQuery != "" {
		q := c.r.URL.Query()
		r.dirty = int64(parseNumber(q.Get("lastDirtyTimestamp")))
		r.overridden, _ = parseStatus(q.Get("overriddenstatus"))
	}
	code, ours := c.g.renew(k, r)
	if ours == nil {
		if code == http.StatusNotFound && c.g.joining.Load() {
			code = http.StatusServiceUnavailable // a peer may know it: the client asks another
		}
		c.empty(code)
		return
	}
	c.writeInstance(code, ours)
}

// status runs a change of the override.
func (c *call) status(k key, change func(key, Status, int64, bool) bool, otherwise string) {
	q := c.r.URL.Query()
	word := q.Get("value")
	if word == "" {
		word = otherwise
	}
	value, ok := parseStatus(word)
	if !ok {
		c.empty(http.StatusInternalServerError) // as the original answers
		return
	}
	c.found(change(k, value, int64(parseNumber(q.Get("lastDirtyTimestamp"))), c.replication()))
}

func (c *call) metadata(k key) {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		badRequest(c.w, refuse("cannot read the query: %v", err))
		return
	}
	meta := make([]Pair, 0, len(q))
	for name, values := range q {
		meta = append(meta, Pair{name, values[0]})
	}
	found, err := c.g.annotate(k, meta)
	if err != nil {
		badRequest(c.w, err)
		return
	}
	c.found(found)
}

func (c *call) batch() {
	data, err := c.body(batchBytes)
	if err != nil {
		badRequest(c.w, err)
		return
	}
	list, err := decodeBatch(data)
	if err != nil {
		badRequest(c.w, err)
		return
	}
	c.write("application/json", c.g.receive(list), false)
}

// instance answers one instance of an application.
func (c *call) instance(k key) {
	c.g.mu.RLock()
	rec := c.g.records[k]
	c.g.mu.RUnlock()
	c.one(rec)
}

// byID answers an instance whatever its application.
func (c *call) byID(id string) {
	c.g.mu.RLock()
	var rec *record
	for k, r := range c.g.records {
		if k.id == id {
			rec = r
			break
		}
	}
	c.g.mu.RUnlock()
	c.one(rec)
}

func (c *call) one(rec *record) {
	switch {
	case !c.g.opened.Load():
		c.empty(http.StatusForbidden)
	case rec == nil:
		c.empty(http.StatusNotFound)
	default:
		c.writeInstance(http.StatusOK, rec)
	}
}

func (c *call) writeInstance(status int, rec *record) {
	s := c.style()
	var b []byte
	kind := "application/json"
	if s.xml {
		kind = "application/xml"
		b = appendXML(nil, rec.Instance, rec.lease.wall.Load(), s)
	} else {
		b = append(appendJSON([]byte(`{"instance":`), rec.Instance, rec.lease.wall.Load(), s), '}')
	}
	if status != http.StatusOK {
		c.w.Header().Set("Content-Type", kind)
		c.w.WriteHeader(status)
		_, _ = c.w.Write(b)
		return
	}
	c.write(kind, b, c.gzipped() && len(b) > worthPacking)
}

// gzipped tells whether the client unpacks gzip.
func (c *call) gzipped() bool {
	for part := range strings.SplitSeq(c.r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(weight, " ", "")
			return q != "q=0" && strings.TrimRight(q, "0") != "q=0."
		}
	}
	return false
}

// write answers 200 with a body, packed on demand.
func (c *call) write(kind string, b []byte, pack bool) {
	if pack {
		plain := b
		b = c.g.packed(func(write func([]byte)) { write(plain) })
	}
	c.send(kind, b, pack)
}

// send answers 200 with a body as it is.
func (c *call) send(kind string, b []byte, isPacked bool) {
	h := c.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if isPacked {
		h.Set("Content-Encoding", "gzip")
	}
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(b) // the client is gone
	}
}
