package filter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Cache is a shared cache in memory (RFC 9111). Responses say themselves how
// long they may be used; equal requests at the same time become one call to the
// service. All caches of one size and object limit share one memory, which
// survives a reload; what was stored is found again only under the same route
// and the same settings.
type Cache struct {
	// Size is the memory of the store (default 64MiB). Filters that write the
	// same size and object share one store.
	Size *message.Size `yaml:"size"`
	// Object is the largest body that is stored (default 1MiB, at most a quarter
	// of size); larger ones stream through.
	Object *message.Size `yaml:"object"`
	// Query says what of the query belongs to the key: all of it as it came
	// (default), "ignore", "sort", or "only" the parameters of only.
	Query string `yaml:"query"`
	// Only are the parameters that count with query: only (no default).
	Only []string `yaml:"only"`
	// Headers are request fields whose values belong to the key (default none;
	// Vary of the response is obeyed anyhow).
	Headers []string `yaml:"headers"`
	// Heuristic is "on" (default), or "off" for responses without a lifetime of
	// their own to be validated each time (RFC 9111 §4.2.2).
	Heuristic string `yaml:"heuristic"`
	// ClientControl is "on" (default), or "off" to ignore what requests ask of
	// caches with Cache-Control and Pragma, no-store excepted.
	ClientControl string `yaml:"client-control"`
	// StaleWhileRevalidate is how long a stale response is used while a new one
	// is fetched behind it, for responses that don't say (default 0s).
	StaleWhileRevalidate time.Duration `yaml:"stale-while-revalidate"`
	// StaleIfError is how long a stale response stands in for a failed service,
	// for responses that don't say (default 0s).
	StaleIfError time.Duration `yaml:"stale-if-error"`
	// StripCookies removes Set-Cookie from responses, which can't be stored with
	// it (default false).
	StripCookies bool `yaml:"strip-cookies"`
	// Tell puts Cache-Status (RFC 9211) on responses: "private" (default: on all
	// listeners but the one named public), "always", "never".
	Tell string `yaml:"tell"`
}

const (
	cacheSize     = 64 << 20
	cacheBody     = 1 << 20
	passTime      = 10 * time.Second // hit-for-miss
	refreshTime   = 30 * time.Second // of a background refresh without a deadline of the route
	refreshPause  = time.Second      // between background refreshes that fail
	maxKeyHeaders = 16
)

// Filter is the constructor.
func (c *Cache) Filter(env Env) (Filter, error) {
	var f faults
	size, object := int64(cacheSize), int64(cacheBody)
	if c.Size != nil {
		size = int64(*c.Size)
	}
	object = min(object, size/4)
	if c.Object != nil {
		object = int64(*c.Object)
	}
	if size < 1<<20 {
		f.at("size", "%d bytes are too few for a cache", size).WithFix("write at least 1MiB")
	} else if object < 1 || object > size/4 {
		f.at("object", "%d bytes are not between 1 and a quarter of the size", object).WithFix("write one such as 1MiB")
	}
	c.check(&f)
	if err := f.join(); err != nil {
		return nil, err
	}
	store, ok := env.Keep(fmt.Sprintf("cache store %d/%d", size, object), func() any { return newCacheStore(size, object) }).(*CacheStore)
	if !ok {
		return nil, errors.New("cache: the kept state of the store is of another kind")
	}
	k := &cacher{
		env: env, store: store, object: object, headers: slices.Clone(c.Headers), strip: c.StripCookies,
		control: c.ClientControl != "off", tell: c.Tell,
	}
	k.terms = cacheTerms{noHeuristic: c.Heuristic == "off", swr: c.StaleWhileRevalidate, sie: c.StaleIfError}
	k.mode = queryMode{kind: c.Query, only: slices.Sorted(slices.Values(c.Only))}
	k.definition = strconv.FormatUint(hash64(0, fmt.Sprintf("%d %d %v %v %v %v", size, object, k.mode, k.headers, k.terms, k.strip)), 36)
	store.addMode(&k.mode)
	k.budget = &budget{take: store.takeFilling, give: store.giveFilling}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) { return k.do(r, next) }
	}, nil
}

func (c *Cache) check(f *faults) {
	if c.Query != "" {
		f.oneOf("query", c.Query, "ignore", "sort", "only")
	}
	switch {
	case c.Query == "only" && len(c.Only) == 0:
		f.at("only", "query: only needs the parameters that count").WithFix("write only: [page], or query: ignore")
	case c.Query != "only" && len(c.Only) > 0:
		f.at("only", "only is used only with query: only").WithFix("write query: only, or remove it")
	}
	for i, name := range c.Headers {
		if !message.ValidToken(name) {
			f.at(at("headers", i), "%q is not a field name", name).WithFix("use letters, digits and dashes")
		}
	}
	if len(c.Headers) > maxKeyHeaders {
		f.at("headers", "%d fields are more than %d", len(c.Headers), maxKeyHeaders).WithFix("let the service answer with Vary")
	}
	for _, s := range []struct{ path, word string }{{"heuristic", c.Heuristic}, {"client-control", c.ClientControl}} {
		if s.word != "" {
			f.oneOf(s.path, s.word, "on", "off")
		}
	}
	for _, d := range []struct {
		path string
		d    time.Duration
	}{{"stale-while-revalidate", c.StaleWhileRevalidate}, {"stale-if-error", c.StaleIfError}} {
		if d.d < 0 {
			f.at(d.path, "%v is in the past", d.d).WithFix("write one such as 30s")
		}
	}
	if c.Tell != "" {
		f.oneOf("tell", c.Tell, "private", "always", "never")
	}
}

// cacher is one cache filter at run time.
type cacher struct {
	env        Env
	store      *CacheStore
	object     int64
	mode       queryMode
	headers    []string
	terms      cacheTerms
	control    bool
	strip      bool
	tell       string
	definition string
	budget     *budget
}

// visit is one request's way through the cache.
type visit struct {
	c     *cacher
	r     *message.Request
	next  Func
	key   []byte // of stored responses
	base  []byte // of flights and marks: key, and whether credentials came
	url   int    // length of the URL part of both
	wants cacheWants
	found found
	rule  []cacheVary // what the flight to join varies by
	until time.Time   // of waiting for others; zero before the first wait

	variants int // flights joined that brought another variant
}

func (c *cacher) do(r *message.Request, next Func) (*message.Response, error) {
	switch r.Method {
	case "GET", "HEAD":
	case "OPTIONS", "TRACE":
		return next(r)
	default:
		return c.change(r, next)
	}
	h := &r.Header
	if r.Upgrade != "" || r.HasBody() || h.Has(message.IfMatch) || h.Has(message.IfUnmodifiedSince) {
		return next(r) // conditions that are about the service's state (RFC 9111 §4.3.2)
	}
	v := visit{c: c, r: r, next: next, wants: readWants(h, c.control)}
	v.key, v.url = c.appendKey(r.X.Scratch(c.keySize(r)), r)
	v.base = v.key
	if h.Has(message.Authorization) {
		v.base = append(v.key, 'A')
	}
	return v.run()
}

// keySize is room enough for a key without configured headers, and some for them.
func (c *cacher) keySize(r *message.Request) int {
	return len(r.Scheme) + len(r.Authority) + len(r.X.Stripped) + len(r.Path) + len(r.Query) +
		len(r.X.Route) + len(c.definition) + 32 + 64*len(c.headers)
}

// appendKey appends the whole key and tells where its URL part ends.
func (c *cacher) appendKey(dst []byte, r *message.Request) (key []byte, url int) {
	path := r.Path
	if s := r.X.Stripped; s != "" { // what purges and unsafe methods name
		b := append(r.X.Scratch(len(s)+len(path)), s...)
		path = message.View(append(b, path...))
	}
	dst = appendCacheURL(dst, r.Scheme, r.Authority, path, r.Query, r.HasQuery, &c.mode)
	url = len(dst)
	dst = append(dst, 0)
	dst = strconv.AppendInt(dst, int64(len(r.X.Stripped)), 10)
	dst = append(append(dst, 0), r.X.Route...)
	dst = append(append(dst, 0), c.definition...)
	dst = append(dst, 0)
	for _, name := range c.headers {
		dst = append(appendFolded(dst, &r.Header, name), 0)
	}
	return dst, url
}

// run looks at the store, then at what others are fetching, then asks itself.
func (v *visit) run() (*message.Response, error) {
	for {
		now := v.c.env.Now()
		v.found = v.c.store.find(v.key, v.key[:v.url], &v.r.Header, now)
		if len(v.base) > len(v.key) {
			v.found.pass = v.c.store.marked(v.base, v.url, now)
		}
		if v.found.obj != nil {
			if resp := v.stored(now); resp != nil {
				return resp, nil
			}
		}
		if v.wants.onlyIfCached {
			v.r.X.Cache = "miss"
			return nil, problem.New(504, "only_if_cached", "there is no stored response that may be used")
		}
		if v.passes() {
			return v.pass("bypass")
		}
		resp, again, err := v.join(now)
		if !again {
			return resp, err
		}
	}
}

// passes tells requests that ask the service themselves, for themselves.
func (v *visit) passes() bool {
	return v.found.pass || v.wants.noStore || v.r.Method == "HEAD" ||
		v.found.obj == nil && v.r.Header.Has(message.Range)
}

// stored answers from the store if that is allowed without asking.
func (v *visit) stored(now time.Time) *message.Response {
	o := v.found.obj
	age := o.answer.age(now)
	left := o.answer.lifetime - age
	switch o.answer.judge(&v.wants, left, age) {
	case verdictFresh:
		return v.hit(o, age, left, "hit")
	case verdictStale:
		return v.hit(o, age, left, "stale")
	case verdictRefresh:
		v.refresh(now)
		return v.hit(o, age, left, "stale")
	case verdictValidate:
	}
	return nil
}

// hit answers with a stored response.
func (v *visit) hit(o *cacheObject, age, left time.Duration, word string) *message.Response {
	resp := o.respond(v.r, nil, age)
	v.r.X.Cache = word
	if v.tells() {
		b := append(v.r.X.Scratch(64), "maru; hit; ttl="...)
		resp.Header.AppendID(message.CacheStatus, message.View(message.AppendInt(b, int64(floorSeconds(left)))))
	}
	return resp
}

// floorSeconds rounds towards stale.
func floorSeconds(d time.Duration) time.Duration {
	if s := d / time.Second; d >= 0 || d == s*time.Second {
		return s
	}
	return d/time.Second - 1
}

func (v *visit) tells() bool {
	switch v.c.tell {
	case "always":
		return true
	case "never":
		return false
	default:
		return v.r.X.Listener != "public"
	}
}

// say sets Cache-Status of a response that was forwarded, and the word for the log.
func (v *visit) say(resp *message.Response, word string, parts ...string) {
	v.r.X.Cache = word
	if !v.tells() {
		return
	}
	n := len("maru")
	for _, p := range parts {
		n += 2 + len(p)
	}
	b := append(v.r.X.Scratch(n), "maru"...)
	for _, p := range parts {
		if p != "" {
			b = append(append(b, "; "...), p...)
		}
	}
	resp.Header.AppendID(message.CacheStatus, message.View(b))
}

// pass calls the service with the request as it is.
func (v *visit) pass(why string) (*message.Response, error) { //nolint:unparam // it is told to the client
	asked := v.c.env.Now()
	resp, err := v.next(v.r)
	now := v.c.env.Now()
	o := v.found.obj
	if (err != nil || resp.Status >= 500) && o != nil && o.answer.onError(&v.wants, o.left(now)) {
		if err == nil {
			resp.Release()
		}
		return v.standIn(o, now), nil
	}
	if err != nil {
		return nil, v.unreachable(err)
	}
	if v.c.strip {
		resp.Header.DelID(message.SetCookie)
	}
	if o != nil && v.r.Method == "HEAD" && resp.Status == 200 {
		v.headFreshens(resp, asked, now)
	}
	v.say(resp, "pass", "fwd="+why)
	return resp, nil
}

// standIn is a stale response in the place of a failure (RFC 5861 §4).
func (v *visit) standIn(o *cacheObject, now time.Time) *message.Response {
	v.c.env.Count("cache", "stale_if_error")
	age := o.answer.age(now)
	return v.hit(o, age, o.answer.lifetime-age, "stale")
}

// unreachable makes a 504 of a failed call where a stale copy is held but must
// not be used (RFC 9111 §5.2.2.2).
func (v *visit) unreachable(err error) error {
	if o := v.found.obj; o == nil || !o.answer.mustAsk() {
		return err
	}
	switch p := problem.Of(err); p.Status {
	case 502, 503, 504:
		return problem.Wrap(p, 504, "must_revalidate", "the stored response must be validated, and the service can't be reached")
	default:
		return err
	}
}

// headFreshens updates or drops the stored response to GET by the answer to a
// HEAD (RFC 9111 §4.3.5).
func (v *visit) headFreshens(resp *message.Response, asked, now time.Time) {
	o, h := v.found.obj, &resp.Header
	same := (resp.Length == message.Unknown || resp.Length == int64(len(o.body))) &&
		(!h.Has(message.ETag) || h.Value(message.ETag) == o.etag)
	if same && h.Has(message.LastModified) {
		t, ok, _ := dateField(h, message.LastModified, now)
		same = ok && t.Equal(o.answer.lastModified)
	}
	key := string(v.key)
	if !same {
		v.c.store.drop(key, v.url, o)
		return
	}
	n := o.freshened(h, &v.r.Header, asked, now, v.c.terms)
	if n.answer.unstorable(n.header(), v.r.Header.Has(message.Authorization), false) != "" {
		v.c.store.drop(key, v.url, o)
		return
	}
	v.c.store.replace(key, v.url, &v.r.Header, o, n)
}

// change runs a request that may change what is stored (RFC 9111 §4.4).
func (c *cacher) change(r *message.Request, next Func) (*message.Response, error) {
	// Before next: later filters change the path.
	t := target{scheme: r.Scheme, authority: r.Authority, query: r.Query, hasQuery: r.HasQuery}
	b := append(r.X.Scratch(len(r.X.Stripped)+len(r.Path)), r.X.Stripped...)
	t.path = message.View(append(b, r.Path...))
	resp, err := next(r)
	if err != nil || resp.Status < 200 || resp.Status > 399 {
		return resp, err
	}
	now := c.env.Now()
	c.store.purgeTarget(&t, false, now)
	for _, id := range []message.ID{message.Location, message.ContentLocation} {
		if u, ok := t.sameOrigin(resp.Header.Value(id)); ok {
			c.store.purgeTarget(&u, false, now)
		}
	}
	if groups := sfStrings(&resp.Header, message.CacheGroupInvalidation, maxTags); len(groups) > 0 {
		origin := string(appendCacheURL(nil, t.scheme, t.authority, "", "", false, &queryMode{}))
		for _, g := range groups {
			c.store.purgeTag(g, origin, false, now)
		}
	}
	return resp, nil
}

// sameOrigin resolves a reference and gives its target if that is on the same
// origin: another one's responses are none of this service's business.
func (t *target) sameOrigin(ref string) (target, bool) {
	switch {
	case ref == "":
		return target{}, false
	case strings.HasPrefix(ref, "//"):
		ref = t.scheme + ":" + ref
	case ref[0] == '/':
		ref = t.scheme + "://" + t.authority + ref
	case ref[0] == '?':
		ref = t.scheme + "://" + t.authority + t.path + ref
	case !strings.Contains(ref, "://"):
		ref = t.scheme + "://" + t.authority + t.path[:strings.LastIndexByte(t.path, '/')+1] + ref
	}
	u, ok := purgeTarget(ref)
	if !ok {
		return target{}, false
	}
	mode := &queryMode{}
	a := appendCacheURL(nil, t.scheme, t.authority, "", "", false, mode)
	b := appendCacheURL(nil, u.scheme, u.authority, "", "", false, mode)
	return u, string(a) == string(b)
}
