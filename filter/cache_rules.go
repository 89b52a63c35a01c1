package filter

import (
	"strings"
	"time"

	"github.com/maru-msa/maru/message"
)

// This file holds the pure decisions of RFC 9111: no clock, no store, no I/O.

// maxDelta is the largest delta-seconds that counts (RFC 9111 §1.2.2).
const maxDelta = int64(1) << 31

// maxDirectives bounds the members of one Cache-Control; a longer list is malformed.
const maxDirectives = 64

// directive is a set of Cache-Control directives.
type directive uint32

const (
	ccNoStore directive = 1 << iota
	ccNoCache
	ccPrivate
	ccPublic
	ccMustRevalidate
	ccProxyRevalidate
	ccMustUnderstand
	ccNoTransform
	ccOnlyIfCached
	ccMaxAge
	ccSMaxAge
	ccStaleWhileRevalidate
	ccStaleIfError
	ccMaxStale
	ccMinFresh
)

// cacheControl is a parsed Cache-Control (RFC 9111 §5.2) or one of its targeted
// forms (RFC 9213). A time directive whose value is malformed or repeated is in
// faulty too: what it bounds counts as stale (§4.2.1).
type cacheControl struct {
	has    directive
	faulty directive
	bad    bool // the list can't be read to its end; a hidden no-store is possible
	count  int

	maxAge, sMaxAge, swr, sie, maxStale, minFresh int64
}

func (cc *cacheControl) is(d directive) bool { return cc.has&d != 0 }

// parseCacheControl reads all lines of Cache-Control.
func parseCacheControl(h *message.Header) (cc cacheControl) {
	if !h.Has(message.CacheControl) {
		return cc
	}
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID == message.CacheControl {
			cc.line(fields[i].Value)
		}
	}
	return cc
}

// line reads one line. Directives that restrict count even when they are
// misspelt around the name; those that permit must be well-formed.
func (cc *cacheControl) line(s string) {
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return
		}
		if cc.count++; cc.count > maxDirectives {
			cc.bad = true
			return
		}
		end := 0
		for end < len(s) && message.TokenOctet(s[end]) {
			end++
		}
		name, rest := s[:end], s[end:]
		value, rest, form := directiveValue(rest)
		if form == formBroken {
			cc.bad = true
		}
		cc.add(name, value, form)
		s = rest
	}
}

// valueForm tells how a directive's argument was written.
type valueForm uint8

const (
	formNone   valueForm = iota // no argument
	formToken                   // token or quoted-string
	formOdd                     // something else up to the next comma
	formBroken                  // a quoted-string without end
)

// directiveValue reads "=token", "=quoted" or nothing, up to the comma.
func directiveValue(s string) (value, rest string, form valueForm) {
	if s == "" || s[0] == ',' {
		return "", s, formNone
	}
	form = formNone
	if s[0] == '=' {
		s = s[1:]
		form = formToken
		if s != "" && s[0] == '"' {
			var ok bool
			value, s, ok = quoted(s)
			if !ok {
				return "", "", formBroken
			}
		} else {
			end := 0
			for end < len(s) && message.TokenOctet(s[end]) {
				end++
			}
			value, s = s[:end], s[end:]
			if value == "" {
				form = formOdd
			}
		}
	}
	s = strings.TrimLeft(s, " \t")
	if s == "" || s[0] == ',' {
		return value, s, form
	}
	// Something follows the argument: skip to the comma, over quoted strings.
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ',':
			return value, s[i:], formOdd
		case '"':
			_, after, ok := quoted(s[i:])
			if !ok {
				return "", "", formBroken
			}
			i = len(s) - len(after) - 1
		}
	}
	return value, "", formOdd
}

// quoted cuts a quoted-string (RFC 9110 §5.6.4) off s, which starts with its
// quote. Escapes stay in the value: no directive that we know needs one.
func quoted(s string) (value, rest string, ok bool) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

// plainDirectives are those without a number.
func plainDirective(name string) (d directive, restricts bool) {
	switch {
	case strings.EqualFold(name, "no-store"):
		return ccNoStore, true
	case strings.EqualFold(name, "no-cache"):
		return ccNoCache, true
	case strings.EqualFold(name, "private"):
		return ccPrivate, true
	case strings.EqualFold(name, "must-revalidate"):
		return ccMustRevalidate, true
	case strings.EqualFold(name, "proxy-revalidate"):
		return ccProxyRevalidate, true
	case strings.EqualFold(name, "no-transform"):
		return ccNoTransform, true
	case strings.EqualFold(name, "only-if-cached"):
		return ccOnlyIfCached, true
	case strings.EqualFold(name, "public"):
		return ccPublic, false
	case strings.EqualFold(name, "must-understand"):
		return ccMustUnderstand, false
	}
	return 0, false
}

// number finds the field of a directive with delta-seconds.
func (cc *cacheControl) number(name string) (directive, *int64) {
	switch {
	case strings.EqualFold(name, "max-age"):
		return ccMaxAge, &cc.maxAge
	case strings.EqualFold(name, "s-maxage"):
		return ccSMaxAge, &cc.sMaxAge
	case strings.EqualFold(name, "stale-while-revalidate"):
		return ccStaleWhileRevalidate, &cc.swr
	case strings.EqualFold(name, "stale-if-error"):
		return ccStaleIfError, &cc.sie
	case strings.EqualFold(name, "max-stale"):
		return ccMaxStale, &cc.maxStale
	case strings.EqualFold(name, "min-fresh"):
		return ccMinFresh, &cc.minFresh
	}
	return 0, nil
}

func (cc *cacheControl) add(name, value string, form valueForm) {
	if d, restricts := plainDirective(name); d != 0 {
		if restricts || form == formNone {
			cc.has |= d
		}
		return
	}
	d, field := cc.number(name)
	if field == nil {
		return // unknown directives are ignored (RFC 9111 §5.2.3)
	}
	if cc.is(d) {
		cc.faulty |= d
		return
	}
	cc.has |= d
	if d == ccMaxStale && form == formNone {
		*field = maxDelta // any staleness will do (RFC 9111 §5.2.1.2)
		return
	}
	n, ok := deltaSeconds(value)
	if !ok || form != formToken {
		cc.faulty |= d
		return
	}
	*field = n
}

// deltaSeconds reads a non-negative integer, clamped (RFC 9111 §1.2.2).
func deltaSeconds(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if n = n*10 + int64(s[i]-'0'); n > maxDelta {
			n = maxDelta
		}
	}
	return n, true
}

// parseTargeted reads CDN-Cache-Control, a Structured Fields Dictionary (RFC
// 9213 §2.1). ok is false when it is absent, empty or malformed: then
// Cache-Control decides. Otherwise Cache-Control and Expires are ignored (§2.2).
func parseTargeted(h *message.Header) (cc cacheControl, ok bool) {
	if !h.Has(message.CDNCacheControl) {
		return cc, false
	}
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != message.CDNCacheControl {
			continue
		}
		if !cc.dictionary(fields[i].Value) {
			return cacheControl{}, false
		}
	}
	return cc, cc.count > 0
}

// dictionary reads one line of a Structured Fields Dictionary (RFC 9651 §4.2.2).
func (cc *cacheControl) dictionary(s string) bool {
	s = strings.Trim(s, " ")
	for s != "" {
		if cc.count++; cc.count > maxDirectives {
			return false
		}
		name, rest := sfKey(s)
		if name == "" {
			return false
		}
		item := sfItem{kind: sfTrue}
		ok := true
		if strings.HasPrefix(rest, "=") {
			item, rest, ok = sfValue(rest[1:])
		}
		if !ok {
			return false
		}
		if rest, ok = sfParams(rest); !ok {
			return false
		}
		cc.member(name, item)
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return true
		}
		if rest[0] != ',' {
			return false
		}
		if s = strings.TrimLeft(rest[1:], " \t"); s == "" {
			return false // a trailing comma
		}
	}
	return true
}

// member applies one member. The last of equal names wins, as the dictionary's
// parser has it; a value of the wrong type does not count (RFC 9213 §2.1).
func (cc *cacheControl) member(name string, item sfItem) {
	if d, restricts := plainDirective(name); d != 0 {
		cc.has &^= d
		if item.kind == sfTrue || restricts && item.kind != sfFalse {
			cc.has |= d
		}
		return
	}
	d, field := cc.number(name)
	if field == nil {
		return
	}
	cc.has &^= d
	if item.kind == sfInteger && item.n >= 0 {
		cc.has |= d
		*field = min(item.n, maxDelta)
	}
}

// httpDate reads the three forms of a date (RFC 9110 §5.6.7). now settles the
// century of the two-digit year.
func httpDate(s string, now time.Time) (time.Time, bool) {
	const imf, asctime, rfc850 = "Mon, 02 Jan 2006 15:04:05 GMT", "Mon Jan _2 15:04:05 2006", "Monday, 02-Jan-06 15:04:05 GMT"
	switch {
	case len(s) == len(imf):
		t, err := time.Parse(imf, s)
		return t, err == nil
	case len(s) == len(asctime):
		t, err := time.Parse(asctime, s)
		return t, err == nil
	case strings.HasSuffix(s, " GMT") && len(s) <= len("Wednesday, 02-Jan-06 15:04:05 GMT"):
		t, err := time.Parse(rfc850, s)
		if err != nil {
			return t, false
		}
		// A year that seems more than 50 years ahead is of the last century.
		year := now.Year()/100*100 + t.Year()%100
		if year > now.Year()+50 {
			year -= 100
		}
		return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC), true
	}
	return time.Time{}, false
}

// dateField reads the date in the only line of id. many is true when there are several.
func dateField(h *message.Header, id message.ID, now time.Time) (t time.Time, ok, many bool) {
	if !h.Has(id) {
		return t, false, false
	}
	n := 0
	fields := h.Fields()
	for i := range fields {
		if fields[i].ID != id {
			continue
		}
		if n++; n == 1 {
			t, ok = httpDate(fields[i].Value, now)
		}
	}
	return t, ok, n > 1
}

// cacheAnswer is what RFC 9111 wants to know of a response.
type cacheAnswer struct {
	status       int
	cc           cacheControl
	date         time.Time // Date, or the time of receipt (§4.2.3)
	lastModified time.Time // zero: none
	received     time.Time
	initialAge   time.Duration
	lifetime     time.Duration
	explicit     bool // the lifetime is not a guess
	validator    bool // ETag or Last-Modified is there
	swr, sie     time.Duration
}

// cacheTerms is a route's say in the decisions.
type cacheTerms struct {
	noHeuristic bool
	swr, sie    time.Duration // for responses that don't say
}

// readAnswer computes freshness and age of a response that was asked for at
// asked and received at received.
func readAnswer(status int, h *message.Header, asked, received time.Time, terms cacheTerms) cacheAnswer {
	a := cacheAnswer{status: status, received: received}
	var targeted bool
	if a.cc, targeted = parseTargeted(h); !targeted {
		a.cc = parseCacheControl(h)
	}
	if a.cc.is(ccMustUnderstand) && understood(status) {
		a.cc.has &^= ccNoStore // §5.2.2.3
	}
	date, ok, _ := dateField(h, message.Date, received)
	if !ok {
		date = received
	}
	a.date = date
	a.lastModified, ok, _ = dateField(h, message.LastModified, received)
	a.validator = ok || h.Has(message.ETag)
	// §4.2.3: the larger of the clock's word and the upstream caches' word.
	apparent := max(0, received.Sub(date))
	a.initialAge = max(apparent, ageField(h)+received.Sub(asked))
	a.lifetime, a.explicit = a.freshness(h, targeted)
	if !a.explicit && !terms.noHeuristic {
		a.lifetime = a.heuristic()
	}
	a.swr = staleWindow(&a.cc, ccStaleWhileRevalidate, a.cc.swr, terms.swr)
	a.sie = staleWindow(&a.cc, ccStaleIfError, a.cc.sie, terms.sie)
	return a
}

func staleWindow(cc *cacheControl, d directive, seconds int64, byRoute time.Duration) time.Duration {
	switch {
	case cc.faulty&d != 0:
		return 0
	case cc.is(d):
		return time.Duration(seconds) * time.Second
	}
	return byRoute
}

// ageField reads Age: the first member, invalid ignored (RFC 9111 §5.1).
func ageField(h *message.Header) time.Duration {
	if !h.Has(message.Age) {
		return 0
	}
	first, _ := message.NextMember(h.Value(message.Age))
	n, ok := deltaSeconds(first)
	if !ok {
		return 0
	}
	return time.Duration(n) * time.Second
}

// freshness is the explicit lifetime (§4.2.1). Malformed or repeated means stale.
func (a *cacheAnswer) freshness(h *message.Header, targeted bool) (time.Duration, bool) {
	cc := &a.cc
	switch {
	case cc.faulty&(ccSMaxAge|ccMaxAge) != 0:
		return 0, true
	case cc.is(ccSMaxAge):
		return time.Duration(cc.sMaxAge) * time.Second, true
	case cc.is(ccMaxAge):
		return time.Duration(cc.maxAge) * time.Second, true
	case targeted || !h.Has(message.Expires):
		return 0, false
	}
	expires, ok, many := dateField(h, message.Expires, a.received)
	if !ok || many {
		return 0, true // §5.3: an invalid date, "0" above all, is in the past
	}
	return min(max(0, expires.Sub(a.date)), time.Duration(maxDelta)*time.Second), true
}

// heuristic is a tenth of the time since the last change, at most a day (§4.2.2).
func (a *cacheAnswer) heuristic() time.Duration {
	if a.lastModified.IsZero() || !heuristicStatus(a.status) && !a.cc.is(ccPublic) {
		return 0
	}
	return min(max(0, a.date.Sub(a.lastModified)/10), 24*time.Hour)
}

// heuristicStatus lists the heuristically cacheable statuses (RFC 9110 §15.1)
// but 206, which this cache does not store.
func heuristicStatus(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understood tells whether the caching rules of a status are implemented here:
// all final statuses of RFC 9110 §15 but 206 and 304, which are about ranges and validation.
func understood(status int) bool {
	return status >= 200 && status != 206 && status != 304 && message.StatusText(status) != ""
}

// unstorable gives the reason why a response to GET may not be stored (§3), or "".
// auth tells that the request had Authorization, noStore that it had no-store.
func (a *cacheAnswer) unstorable(h *message.Header, auth, noStore bool) string {
	cc := &a.cc
	switch {
	case a.status < 200 || a.status == 206 || a.status == 304:
		return "status"
	case cc.is(ccMustUnderstand) && !understood(a.status):
		return "must_understand"
	case noStore || cc.is(ccNoStore):
		return "no_store"
	case cc.bad:
		return "cache_control"
	case cc.is(ccPrivate):
		return "private"
	case varyStar(h):
		return "vary"
	case h.Has(message.SetCookie):
		return "set_cookie"
	case h.Has(message.Trailer):
		return "trailer"
	case auth && !cc.is(ccPublic|ccSMaxAge|ccMustRevalidate):
		return "authorization" // §3.5
	case !a.explicit && !cc.is(ccPublic) && !heuristicStatus(a.status):
		return "status"
	case a.lifetime <= a.initialAge && !a.validator && a.sie == 0 && a.swr == 0:
		return "useless" // neither fresh ever nor to be validated
	}
	return ""
}

func varyStar(h *message.Header) bool { return h.HasToken(message.Vary, "*") }

// age is the current age (§4.2.3).
func (a *cacheAnswer) age(now time.Time) time.Duration {
	return a.initialAge + max(0, now.Sub(a.received))
}

// cacheWants is what a request asks of caches (§5.2.1).
type cacheWants struct {
	noStore, noCache, onlyIfCached bool
	maxAge, minFresh, maxStale     time.Duration // < 0: not said
	sie                            time.Duration
}

// readWants reads the request's directives. Without control only no-store counts.
func readWants(h *message.Header, control bool) cacheWants {
	w := cacheWants{maxAge: -1, minFresh: -1, maxStale: -1}
	if !h.Has(message.CacheControl) {
		// A lone Pragma speaks for HTTP/1.0 clients (§5.4).
		w.noCache = control && h.HasToken(message.Pragma, "no-cache")
		return w
	}
	cc := parseCacheControl(h)
	w.noStore = cc.is(ccNoStore) || cc.bad
	if !control {
		return w
	}
	w.onlyIfCached = cc.is(ccOnlyIfCached)
	// A wish that can't be read is taken as the strictest one.
	w.noCache = cc.is(ccNoCache) || cc.bad || cc.faulty&(ccMaxAge|ccMinFresh) != 0
	if cc.is(ccMaxAge) {
		w.maxAge = time.Duration(cc.maxAge) * time.Second
	}
	if cc.is(ccMinFresh) {
		w.minFresh = time.Duration(cc.minFresh) * time.Second
	}
	if cc.is(ccMaxStale) && cc.faulty&ccMaxStale == 0 {
		w.maxStale = time.Duration(cc.maxStale) * time.Second
	}
	if cc.is(ccStaleIfError) && cc.faulty&ccStaleIfError == 0 {
		w.sie = time.Duration(cc.sie) * time.Second
	}
	return w
}

// cacheVerdict is what may be done with a stored response.
type cacheVerdict uint8

const (
	verdictValidate cacheVerdict = iota // ask the service first
	verdictFresh                        // use it
	verdictStale                        // use it although stale: the client allowed that
	verdictRefresh                      // use it although stale, and refresh it behind
)

// judge decides on the use of a stored response (§4, §4.2.4, §5.2). left is
// what remains of its freshness, negative when stale.
func (a *cacheAnswer) judge(w *cacheWants, left, age time.Duration) cacheVerdict {
	switch {
	case a.cc.is(ccNoCache), w.noCache,
		w.maxAge >= 0 && age > w.maxAge,
		w.minFresh >= 0 && left < w.minFresh:
		return verdictValidate
	case left > 0:
		return verdictFresh
	case a.cc.is(ccMustRevalidate | ccProxyRevalidate):
		return verdictValidate
	case w.maxStale >= 0 && -left <= w.maxStale && !a.cc.is(ccSMaxAge):
		return verdictStale
	case w.maxAge >= 0 || w.minFresh >= 0:
		return verdictValidate // such a client does not take stale ones (§5.2.1.1)
	case a.swr > 0 && -left <= a.swr && a.staleSaid(ccStaleWhileRevalidate):
		return verdictRefresh
	}
	return verdictValidate
}

// staleSaid tells whether a stale window may be used: with s-maxage, which
// implies proxy-revalidate (§5.2.2.10), only when the response itself names it.
func (a *cacheAnswer) staleSaid(d directive) bool {
	return !a.cc.is(ccSMaxAge) || a.cc.is(d)
}

// onError tells whether the stored response may stand in for a failure (RFC 5861 §4).
func (a *cacheAnswer) onError(w *cacheWants, left time.Duration) bool {
	if a.cc.is(ccNoCache|ccMustRevalidate|ccProxyRevalidate) || w.noCache {
		return false
	}
	if a.staleSaid(ccStaleIfError) && a.sie > 0 && -left <= a.sie {
		return true
	}
	return !a.cc.is(ccSMaxAge) && w.sie > 0 && -left <= w.sie
}

// mustAsk tells that a stale copy is forbidden, so that an unreachable service is 504 (§5.2.2.2).
func (a *cacheAnswer) mustAsk() bool {
	return a.cc.is(ccMustRevalidate | ccProxyRevalidate | ccSMaxAge)
}
