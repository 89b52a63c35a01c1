package spring

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// filterSpecs is the table of Spring Cloud Gateway's filters.
func filterSpecs() map[string]*spec {
	nameValue := []string{"name", "value"}
	specs := map[string]*spec{
		"addrequestheader":              {fields: nameValue, filter: (*routeReader).addRequestHeader},
		"addrequestheadersifnotpresent": {fields: []string{"headers"}, list: true, filter: (*routeReader).defaultRequestHeaders},
		"setrequestheader":              {fields: nameValue, filter: (*routeReader).setRequestHeader},
		"removerequestheader":           {fields: []string{"name"}, filter: (*routeReader).removeRequestHeader},
		"maprequestheader":              {fields: []string{"fromHeader", "toHeader"}, filter: (*routeReader).mapRequestHeader},
		"addresponseheader":             {fields: []string{"name", "value", "override"}, filter: (*routeReader).addResponseHeader},
		"setresponseheader":             {fields: nameValue, filter: (*routeReader).setResponseHeader},
		"removeresponseheader":          {fields: []string{"name"}, filter: (*routeReader).removeResponseHeader},
		"setrequesthostheader":          {fields: []string{"host"}, filter: (*routeReader).setHost},
		"preservehostheader":            {filter: (*routeReader).preserveHost},
		"deduperesponseheader":          {fields: []string{"name", "strategy"}, filter: (*routeReader).dedupe},
		"rewriteresponseheader":         {fields: []string{"name", "regexp", "replacement"}, filter: (*routeReader).rewriteResponseHeader},
		"rewritelocationresponseheader": {fields: []string{"stripVersion", "locationHeaderName", "hostValue", "protocols"}, filter: (*routeReader).rewriteLocation},
		"secureheaders":                 {fields: []string{"none"}, filter: (*routeReader).secureHeaders},
		"requestheadersize":             {fields: []string{"maxSize", "errorHeaderName"}, filter: (*routeReader).headerSize},
		"addrequestparameter":           {fields: nameValue, filter: (*routeReader).addParameter},
		"removerequestparameter":        {fields: []string{"name"}, filter: (*routeReader).removeParameter},
		"rewriterequestparameter":       {fields: []string{"name", "replacement"}, filter: (*routeReader).rewriteParameter},
		"prefixpath":                    {fields: []string{"prefix"}, filter: (*routeReader).prefixPath},
		"stripprefix":                   {fields: []string{"parts"}, filter: (*routeReader).stripPrefix},
		"setpath":                       {fields: []string{"template"}, filter: (*routeReader).setPath},
		"rewritepath":                   {fields: []string{"regexp", "replacement"}, filter: (*routeReader).rewritePath},
		"redirectto":                    {fields: []string{"status", "url", "includeRequestParams"}, filter: (*routeReader).redirectTo},
		"setstatus":                     {fields: []string{"status"}, filter: (*routeReader).setStatus},
		"localresponsecache":            {fields: []string{"timeToLive", "size"}, filter: (*routeReader).cache},
		"requestsize":                   {fields: []string{"maxSize"}, filter: (*routeReader).requestSize},
		"retry": {fields: []string{
			"retries", "statuses", "methods", "backoff.firstBackoff", "backoff.maxBackoff", "backoff.factor",
			"backoff.basedOnPreviousValue", "jitter.randomFactor", "timeout",
		}, filter: (*routeReader).retry},
		"circuitbreaker":   {fields: []string{"name", "fallbackUri"}, filter: (*routeReader).circuitBreaker},
		"cacherequestbody": {fields: []string{"bodyClass"}, filter: (*routeReader).cacheBody},
	}
	for name, m := range missingFilters() {
		specs[name] = &spec{fields: m.fields, list: m.list, filter: func(b *routeReader, c *call) { b.missing(c, m.fix, "%s", m.words) }}
	}
	return specs
}

// lacking is a filter without an equal.
type lacking struct {
	words, fix string
	fields     []string
	list       bool
}

func missingFilters() map[string]lacking {
	return map[string]lacking{
		"setrequesturi":                    {words: "the target of a request can't be computed from it: whoever sends it would choose where the gateway calls", fix: "name each target as a service, with a route of its own", fields: []string{"template"}},
		"requestheadertorequesturi":        {words: "a header can't name the target: whoever sends it would choose where the gateway calls", fix: "name each target as a service, with a route of its own", fields: []string{"name"}},
		"fallbackheaders":                  {words: "a fallback learns nothing of the exception", fix: "the answer says X-Maru-Fallback: KIND; cause=WORD, and the access log has the reason", fields: []string{"executionExceptionTypeHeaderName"}},
		"requestratelimiter":               {words: "maru has no filter for rates yet", fix: "bound what is under way with the filter bulkhead, or limit rates in front of maru", fields: []string{"keyResolver"}},
		"removejsonattributesresponsebody": {words: "bodies are not changed", fix: "let the service leave the attributes out", fields: []string{"fieldList"}, list: true},
		"modifyrequestbody":                {words: "it is Java code", fix: "let the service read the body as it comes", fields: []string{"none"}},
		"modifyresponsebody":               {words: "it is Java code", fix: "let the service write the body as it shall be", fields: []string{"none"}},
		"jsontogrpc":                       {words: "JSON is not turned into gRPC yet", fix: "browsers can call gRPC with the filter grpc-web", fields: []string{"protoDescriptor", "protoFile", "service", "method"}},
		"tokenrelay":                       {words: "maru holds no tokens of users yet", fix: "clients that send Authorization themselves need nothing: it is passed on", fields: []string{"clientRegistrationId"}},
		"savesession":                      {words: "there is no session", fix: "remove it", fields: []string{"none"}},
	}
}

// headers adds a step that changes fields of requests or responses.
func (b *routeReader) headers(c *call, side, op string, v value) {
	b.step(c, "headers", mapping(keyed(side, mapping(keyed(op, v)))))
}

// field checks a name and tells whether maru's filter may change it.
func (b *routeReader) field(c *call, name string) bool {
	switch strings.ToLower(name) {
	case "":
		b.missing(c, "name a header", "the name of the header is missing")
	case "host":
		b.missing(c, "write host: at the service", "Host is the service's setting in maru")
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length":
		b.missing(c, "remove the filter", "%s frames the message and is written by maru itself", name)
	default:
		return true
	}
	return false
}

// template turns {variable} into maru's placeholder.
func (b *routeReader) template(c *call, text string) (string, bool) {
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '{')
		end := strings.IndexByte(text[max(i, 0):], '}')
		if i < 0 || end < 0 {
			out.WriteString(strings.ReplaceAll(text, "{", "{{"))
			return out.String(), true
		}
		name := text[i+1 : i+end]
		before := text[:i]
		text = text[i+end+1:]
		to, ok := b.variable(c, name)
		if !ok {
			return "", false
		}
		if b.isRest(name) && !strings.HasSuffix(before, "/") {
			before += "/" // theirs begins with the slash that ours leaves out
		}
		out.WriteString(before + "{path." + to + "}")
	}
}

func (b *routeReader) isRest(name string) bool {
	return b.plan != nil && len(b.plan.paths) > 0 && b.plan.paths[0].rest == name && name != ""
}

func (b *routeReader) variable(c *call, name string) (string, bool) {
	if b.plan == nil { // of some route
		return name, true
	}
	for i := range b.plan.paths {
		if to, ok := b.plan.paths[i].names[name]; ok {
			return to, true
		}
	}
	if b.plan.vars[name] {
		b.missing(c, "write {host}, or a route for each host", "{%s} is a part of the host, which has no parameters in maru", shorten(name))
	} else {
		b.missing(c, "name the variable in the pattern of the path", "no variable {%s} in the path", shorten(name))
	}
	return "", false
}

// setField maps a filter with a name and a value.
func (b *routeReader) setField(c *call, side, op string) {
	name := c.get("name")
	text, ok := b.template(c, c.get("value"))
	if !ok || !b.field(c, name) {
		return
	}
	b.headers(c, side, op, mapping(keyed(name, word(quoted(text)))))
}

func (b *routeReader) addRequestHeader(c *call) {
	switch strings.ToLower(c.get("name")) {
	case "authorization", "content-type", "max-forwards":
		b.look(c.n, "header", "nothing, if clients never send it", "a second %s makes a message that servers refuse: the value is set, not added", c.get("name"))
		b.setField(c, "request", "set")
	default:
		b.setField(c, "request", "add")
	}
}

func (b *routeReader) setRequestHeader(c *call)  { b.setField(c, "request", "set") }
func (b *routeReader) setResponseHeader(c *call) { b.setField(c, "response", "set") }

func (b *routeReader) addResponseHeader(c *call) {
	op := "add"
	if strings.EqualFold(c.get("override"), "false") {
		op = "default"
	}
	b.setField(c, "response", op)
}

func (b *routeReader) defaultRequestHeaders(c *call) {
	v := mapping()
	for _, h := range c.all("headers") {
		name, text, ok := strings.Cut(h, ":")
		if !ok {
			b.missing(c, "write NAME:VALUE", "%q is no name with a value", shorten(h))
			return
		}
		text, ok = b.template(c, strings.TrimSpace(text))
		if !ok || !b.field(c, strings.TrimSpace(name)) {
			return
		}
		v = v.With(strings.TrimSpace(name), word(quoted(text)))
	}
	if v.Len() > 0 {
		b.headers(c, "request", "default", v)
	}
}

func (b *routeReader) removeRequestHeader(c *call) {
	if name := c.get("name"); b.field(c, name) {
		b.headers(c, "request", "remove", texts([]string{name}))
	}
}

func (b *routeReader) removeResponseHeader(c *call) {
	if name := c.get("name"); b.field(c, name) {
		b.headers(c, "response", "remove", texts([]string{name}))
	}
}

func (b *routeReader) mapRequestHeader(c *call) {
	from, to := c.get("fromHeader"), c.get("toHeader")
	if b.field(c, from) && b.field(c, to) {
		b.headers(c, "request", "copy", mapping(keyed(from, text(to))))
	}
}

func (b *routeReader) setHost(c *call) {
	host := c.get("host")
	switch {
	case b.plan == nil:
		return // read with each route
	case strings.ContainsAny(host, "{}") || host == "":
		b.missing(c, "write a host name", "the Host %q is computed", shorten(host))
	default:
		b.plan.host = strings.ToLower(host)
	}
}

func (b *routeReader) preserveHost(*call) { b.plan.kept = true }

func (b *routeReader) dedupe(c *call) {
	how := map[string]string{"": "first", "RETAIN_FIRST": "first", "RETAIN_LAST": "last", "RETAIN_UNIQUE": "unique"}[strings.ToUpper(c.get("strategy"))]
	if how == "" {
		b.missing(c, "write RETAIN_FIRST, RETAIN_LAST or RETAIN_UNIQUE", "no strategy %q", shorten(c.get("strategy")))
		return
	}
	v := mapping()
	for name := range strings.FieldsSeq(c.get("name")) {
		if !b.field(c, name) {
			return
		}
		v = v.With(name, word(how))
	}
	if v.Len() > 0 {
		b.headers(c, "response", "dedupe", v)
	}
}

func (b *routeReader) rewriteResponseHeader(c *call) {
	name, expr := c.get("name"), c.get("regexp")
	pattern, with, ok := b.replacement(c, expr, c.get("replacement"))
	if ok && b.field(c, name) {
		b.headers(c, "response", "replace", mapping(keyed(name, mapping(keyed("pattern", text(pattern)), keyed("with", text(with))))))
	}
}

// rewriteLocation maps what needs nothing of the request.
func (b *routeReader) rewriteLocation(c *call) {
	strip, name, host, protocols := c.get("stripVersion"), c.get("locationHeaderName"), c.get("hostValue"), c.get("protocols")
	if name == "" {
		name = "Location"
	}
	if protocols == "" {
		protocols = "https?|ftps?"
	}
	if host == "" || strip != "NEVER_STRIP" {
		b.missing(c, "give the service its public Host (host: client at the service), so that it writes the right Location; or NEVER_STRIP and a hostValue",
			"a Location that follows the host or the version of the request can't be written")
		return
	}
	expr := "^(" + protocols + ")://[^/]*"
	if _, err := regexp.Compile(expr); err != nil {
		b.missing(c, "write an expression that RE2 knows", "the protocols %q: %s", shorten(protocols), reason(err))
		return
	}
	b.headers(c, "response", "replace", mapping(keyed(name, mapping(keyed("pattern", text(expr)), keyed("with", text("${1}://"+strings.ReplaceAll(host, "$", "$$")))))))
}

func (b *routeReader) headerSize(c *call) {
	c.get("errorHeaderName")
	size := c.get("maxSize")
	if size == "" {
		size = "16000B"
	}
	bytes, ok := readSize(size)
	if !ok {
		b.missing(c, "write a size such as 16KB", "%q is no size", shorten(size))
		return
	}
	b.missing(c, "write listen.public.limits.head: "+strconv.Itoa(bytes), "a header section is bounded for a whole listener (431), not for a route")
}

func (b *routeReader) addParameter(c *call) {
	if v, ok := b.template(c, c.get("value")); ok {
		b.step(c, "query", mapping(keyed("add", mapping(keyed(c.get("name"), word(quoted(v)))))))
	}
}

func (b *routeReader) removeParameter(c *call) {
	b.step(c, "query", mapping(keyed("remove", texts([]string{c.get("name")}))))
}

func (b *routeReader) rewriteParameter(c *call) {
	if v, ok := b.template(c, c.get("replacement")); ok {
		b.step(c, "query", mapping(keyed("replace", mapping(keyed(c.get("name"), word(quoted(v)))))))
	}
}

func (b *routeReader) prefixPath(c *call) {
	prefix := c.get("prefix")
	if strings.ContainsAny(prefix, "{}") {
		b.missing(c, "write the prefix out, or rewrite: { path: … }", "a prefix with variables")
		return
	}
	if prefix = "/" + encoded(strings.Trim(prefix, "/")); prefix != "/" {
		b.step(c, "prefix", text(prefix))
	}
}

// stripPrefix cuts segments. Where a path may have fewer, theirs gives "/" and
// the filter strip 404, so that an expression takes its place.
func (b *routeReader) stripPrefix(c *call) {
	parts := 1
	if t, ok := c.lookup("parts"); ok {
		n, err := strconv.Atoi(t)
		if err != nil || n < 0 || n > 64 {
			b.missing(c, "write a number of segments", "%q is no number of segments", shorten(t))
			return
		}
		parts = n
	}
	if parts == 0 {
		return
	}
	enough := b.plan != nil && len(b.plan.paths) > 0 && countWords(*b.list, "rewrite", "strip", "prefix") == 0
	for i := 0; enough && i < len(b.plan.paths); i++ {
		enough = b.plan.paths[i].least >= parts
	}
	if enough {
		b.step(c, "strip", number(parts))
		return
	}
	b.step(c, "rewrite", mapping(keyed("pattern", text("^(?:/+[^/]+){0,"+strconv.Itoa(parts)+"}/*")), keyed("replace", text("/"))))
}

// countWords counts the steps of these words.
func countWords(list []*step, words ...string) int {
	n := 0
	for _, s := range list {
		for _, w := range words {
			if s.word == w {
				n++
			}
		}
	}
	return n
}

func (b *routeReader) setPath(c *call) {
	t, ok := b.template(c, c.get("template"))
	if !ok {
		return
	}
	if !strings.HasPrefix(t, "/") {
		t = "/" + t
	}
	b.step(c, "rewrite", mapping(keyed("path", word(quoted(t)))))
}

func (b *routeReader) rewritePath(c *call) {
	pattern, with, ok := b.replacement(c, c.get("regexp"), c.get("replacement"))
	if ok {
		b.step(c, "rewrite", mapping(keyed("pattern", text(pattern)), keyed("replace", text(with))))
	}
}

// replacement turns an expression and what takes its place into those of Go.
// In theirs "$\" stands for "$", and a backslash escapes what follows it.
func (b *routeReader) replacement(c *call, expr, with string) (pattern, out string, ok bool) {
	re, err := regexp.Compile(expr)
	if err != nil {
		b.missing(c, "write an expression that RE2 knows: no look-around, no back references", "the expression %q: %s", shorten(expr), reason(err))
		return "", "", false
	}
	with = strings.ReplaceAll(with, `$\`, "$")
	var o strings.Builder
	for i := 0; i < len(with); i++ {
		switch ch := with[i]; {
		case ch == '\\' && i+1 < len(with):
			if i++; with[i] == '$' {
				o.WriteByte('$')
			}
			o.WriteByte(with[i])
		default:
			o.WriteByte(ch)
		}
	}
	if o.Len() == 0 { // maru's filters want a text: an empty group gives none
		return "(?:" + expr + ")()", "$" + strconv.Itoa(re.NumSubexp()+1), true
	}
	return expr, o.String(), true
}

func (b *routeReader) redirectTo(c *call) {
	status, ok := readStatus(c.get("status"))
	to := c.get("url")
	if !ok || status < 300 || status > 399 {
		b.missing(c, "write 301, 302, 303, 307 or 308", "%q is no status of a redirect", shorten(c.get("status")))
		return
	}
	to, ok = b.template(c, to)
	if !ok {
		return
	}
	v := mapping(keyed("status", number(status)))
	keep := strings.EqualFold(c.get("includeRequestParams"), "true")
	switch target, query, has := strings.Cut(to, "?"); {
	case !has && keep:
		v = v.With("to", word(quoted(to)))
	case keep:
		b.missing(c, "write the redirect with path and query", "a query of its own together with that of the request")
		return
	default:
		var fine bool
		if v, fine = redirectParts(v, target); !fine {
			b.missing(c, "write https://HOST/PATH or /PATH", "%q is no URL to go to", shorten(to))
			return
		}
		if q := text("?" + query); has && query != "" {
			v = v.With("query", q)
		} else {
			v = v.With("query", word("drop"))
		}
	}
	b.step(c, "redirect", v)
	if b.plan != nil {
		b.plan.answers = true
	}
}

// redirectParts writes a URL by its parts, since a query can't stand beside to.
func redirectParts(v value, to string) (value, bool) {
	rest := to
	if scheme, after, ok := strings.Cut(to, "://"); ok {
		host, path, _ := strings.Cut(after, "/")
		rest = "/" + path
		if scheme != "http" && scheme != "https" || host == "" {
			return v, false
		}
		v = v.With("scheme", word(scheme))
		if name, port, ok := strings.Cut(host, ":"); ok {
			n, err := strconv.Atoi(port)
			if err != nil || n < 1 || n > 65535 {
				return v, false
			}
			v = v.With("host", text(name)).With("port", number(n))
		} else {
			v = v.With("host", text(host))
		}
	}
	if !strings.HasPrefix(rest, "/") {
		return v, false
	}
	return v.With("path", word(quoted(rest))), true
}

// readStatus reads 404, "404 NOT_FOUND" or NOT_FOUND.
func readStatus(s string) (int, bool) {
	s, _, _ = strings.Cut(strings.TrimSpace(s), " ")
	if n, err := strconv.Atoi(s); err == nil {
		return n, n >= 100 && n <= 599
	}
	want := strings.ToUpper(s)
	for n := 100; n < 600; n++ {
		name := strings.Map(func(r rune) rune {
			switch r {
			case ' ', '-':
				return '_'
			case '\'':
				return -1
			}
			return r
		}, strings.ToUpper(http.StatusText(n)))
		if name != "" && name == want {
			return n, true
		}
	}
	other := map[string]int{"PAYLOAD_TOO_LARGE": 413, "CONTENT_TOO_LARGE": 413, "URI_TOO_LONG": 414, "I_AM_A_TEAPOT": 418, "UNPROCESSABLE_CONTENT": 422, "REQUESTED_RANGE_NOT_SATISFIABLE": 416}
	n, ok := other[want]
	return n, ok
}

func (b *routeReader) setStatus(c *call) {
	status, ok := readStatus(c.get("status"))
	if ok && b.plan != nil && strings.HasPrefix(b.plan.target, "no:") {
		b.step(c, "respond", number(status))
		b.plan.answers = true
		return
	}
	b.missing(c, "let the service answer with the status", "the status of a service's answer can't be changed")
}

func (b *routeReader) cache(c *call) {
	v := none()
	if t, ok := c.lookup("size"); ok {
		n, fine := readSize(t)
		if !fine {
			b.missing(c, "write a size such as 10MB", "%q is no size", shorten(t))
			return
		}
		v = mapping(keyed("size", size(n)))
	}
	c.get("timeToLive")
	b.look(c.n, "cache", "let the service send Cache-Control: max-age", "how long answers are kept is said by the service here, as HTTP has it (RFC 9111); there is no time of the gateway's own")
	b.step(c, "cache", v)
}

func (b *routeReader) requestSize(c *call) {
	t := c.get("maxSize")
	if t == "" {
		t = "5MB"
	}
	n, ok := readSize(t)
	if !ok {
		b.missing(c, "write a size such as 5MB", "%q is no size", shorten(t))
		return
	}
	b.step(c, "body", size(n))
}

// readSize reads a DataSize: bytes, or with a unit of 1024.
func readSize(s string) (int, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	for i, unit := range []string{"KB", "MB", "GB"} {
		if rest, ok := strings.CutSuffix(s, unit); ok {
			n, err := strconv.Atoi(strings.TrimSpace(rest))
			if err != nil || n < 0 || n > 1<<20 {
				return 0, false
			}
			return n << (10 * (i + 1)), true
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(s, "B")))
	return n, err == nil && n >= 0
}

// size writes a number of bytes.
func size(n int) value {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return word(strconv.Itoa(n>>20) + "MiB")
	case n > 0 && n%(1<<10) == 0:
		return word(strconv.Itoa(n>>10) + "KiB")
	}
	return number(n)
}

func (b *routeReader) cacheBody(c *call) {
	c.get("bodyClass")
	b.step(c, "buffer", none())
}

// retry maps Retry: theirs calls for GET alone unless told, ours for all methods
// that may be repeated, at another endpoint and within a budget.
func (b *routeReader) retry(c *call) {
	retries := 3
	if t, ok := c.lookup("retries"); ok {
		n, err := strconv.Atoi(t)
		if err != nil || n < 0 {
			b.missing(c, "write a number", "%q is no number of retries", shorten(t))
			return
		}
		retries = n
	}
	if retries == 0 {
		return
	}
	const most = 9
	if retries > most {
		b.look(c.n, "retry", "nothing", "%d retries are more than %d, the most that maru makes", retries, most)
		retries = most
	}
	v := mapping(keyed("attempts", number(retries+1)), keyed("statuses", texts(b.retryStatuses(c))))
	for _, w := range splitAll(c.all("methods")) {
		if w = strings.ToUpper(w); w == "POST" || w == "PATCH" {
			b.look(c.n, "retry", "let clients send Idempotency-Key: such requests are sent again", "%s is sent again there, and may then happen twice; maru does so only when it was not sent at all", w)
		}
	}
	if d, ok := b.span(c, "backoff.firstBackoff"); ok {
		v = v.With("backoff", span(min(d, time.Second)))
	}
	for _, name := range []string{"backoff.maxBackoff", "backoff.factor", "backoff.basedOnPreviousValue", "jitter.randomFactor"} {
		c.get(name) // ours doubles, with full jitter
	}
	if len(c.all("exceptions")) > 0 {
		b.look(c.n, "retry", "nothing", "exceptions are Java's: maru sends again what got no answer, or none in time")
	}
	if d, ok := b.span(c, "timeout"); ok {
		b.step(c, "timeout", mapping(keyed("total", span(d))))
	}
	if countWords(*b.list, "breaker") > 0 {
		b.look(c.n, "order", "nothing, if the retries are wanted", "behind a breaker with a fallback theirs never fires; here it does")
	}
	b.step(c, "retry", v)
}

// span gives a time among the arguments.
func (b *routeReader) span(c *call, name string) (time.Duration, bool) {
	t, given := c.lookup(name)
	if !given {
		return 0, false
	}
	d, ok := readDuration(t, time.Millisecond)
	if !ok {
		b.lost(c.n, "value", "write a time such as 500ms", "%q is no time", shorten(t))
	}
	return d, ok && d > 0
}

// retryStatuses are the statuses and the classes of them after which a request
// is sent again.
func (b *routeReader) retryStatuses(c *call) []string {
	var out []string
	for _, w := range splitAll(c.all("statuses")) {
		if n, ok := readStatus(w); ok {
			out = append(out, strconv.Itoa(n))
		} else {
			b.lost(c.n, "value", "write a number", "%q is no status", shorten(w))
		}
	}
	series := splitAll(c.all("series"))
	for _, w := range series {
		if class, ok := statusSeries()[strings.ToUpper(w)]; ok {
			out = append(out, class)
		} else {
			b.lost(c.n, "value", "write SERVER_ERROR", "%q is no series of statuses", shorten(w))
		}
	}
	if len(series) == 0 {
		out = append(out, "5xx")
	}
	return out
}

// splitAll cuts each of a list at its commas.
func splitAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, words(s)...)
	}
	return out
}

// statusSeries are the words for classes of statuses.
func statusSeries() map[string]string {
	return map[string]string{"INFORMATIONAL": "1xx", "SUCCESSFUL": "2xx", "REDIRECTION": "3xx", "CLIENT_ERROR": "4xx", "SERVER_ERROR": "5xx"}
}

// circuitBreaker maps CircuitBreaker with what resilience4j says of its name.
func (b *routeReader) circuitBreaker(c *call) {
	name := c.get("name")
	if to, ok := c.lookup("fallbackUri"); ok {
		b.lost(c.n, "fallback", "write before the breaker for example fallback: { status: 503, body: … }, or fallback: SERVICE",
			"the fallback %q is a handler inside the gateway's own program", shorten(to))
	}
	if len(c.all("statusCodes")) > 0 {
		b.look(c.n, "breaker", "nothing, if they are all 5xx", "which statuses count as errors can't be chosen: maru counts 5xx and no answer")
	}
	if t, ok := c.lookup("resumeWithoutError"); ok && strings.EqualFold(t, "true") {
		b.lost(c.n, "fallback", "write before the breaker fallback: { status: 200, body: … }", "resumeWithoutError passes an empty answer on")
	}
	if name == "" {
		name = b.plan.id
	}
	args, total, more := b.breakerArgs(name)
	if total > 0 {
		s := b.step(c, "timeout", mapping(keyed("total", span(total))))
		s.says = c.says() + ": resilience4j's time limiter"
	}
	args = args.Before("name", text(name))
	s := b.step(c, "breaker", args)
	s.from = append(append([]*setting(nil), s.from...), more...)
	if countWords(*b.list, "retry") > 0 {
		b.look(c.n, "order", "move retry behind the breaker, so that it judges what the client would see",
			"the breaker stands behind the retry here as there, and judges each try")
	}
}
