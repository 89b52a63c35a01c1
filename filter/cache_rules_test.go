package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

func fieldsOf(lines ...string) *message.Header {
	h := new(message.Header)
	putFields(h, lines)
	return h
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

const noonDate = "Date: Sun, 01 Mar 2026 12:00:00 GMT"

// RFC 9111 §4.2.1: which lifetime counts.
func TestCacheLifetime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		fields   string // separated by "|"
		lifetime time.Duration
		explicit bool
	}{
		{"Cache-Control: max-age=60", time.Minute, true},
		{"Cache-Control: MAX-AGE=60", time.Minute, true},
		{"Cache-Control: max-age=\"60\"", time.Minute, true},
		{"Cache-Control: max-age=60, s-maxage=30", 30 * time.Second, true},
		{"Cache-Control: max-age=60|Expires: Sun, 01 Mar 2026 13:00:00 GMT", time.Minute, true},
		{"Cache-Control: max-age=99999999999999999999", time.Duration(maxDelta) * time.Second, true},
		{"Cache-Control: max-age=60|CDN-Cache-Control: max-age=10", 10 * time.Second, true},
		{"Cache-Control: s-maxage=60|CDN-Cache-Control: ", time.Minute, true},            // empty: ignored
		{"Cache-Control: s-maxage=60|CDN-Cache-Control: max-age=1,,", time.Minute, true}, // malformed: ignored
		{"Expires: Sun, 01 Mar 2026 13:00:00 GMT|CDN-Cache-Control: public", 0, false},   // RFC 9213 §2.2
		{"CDN-Cache-Control: max-age=10, max-age=20", 20 * time.Second, true},
		{"CDN-Cache-Control: max-age=1.5", 0, false},
		// malformed or repeated means stale
		{"Cache-Control: max-age=", 0, true},
		{"Cache-Control: max-age", 0, true},
		{"Cache-Control: max-age=-1", 0, true},
		{"Cache-Control: max-age=1.5", 0, true},
		{"Cache-Control: max-age=6 0", 0, true},
		{"Cache-Control: max-age =60", 0, true},
		{"Cache-Control: max-age=60, max-age=70", 0, true},
		{"Cache-Control: max-age=60|Cache-Control: max-age=70", 0, true},
		{"Cache-Control: s-maxage=x, max-age=60", 0, true},
		{"Cache-Control: \"max-age=60\"", 0, false},
		{"Cache-Control: x=\"max-age=60, s-maxage=5\"", 0, false},
		{"Cache-Control: x=\"a\\\"b, max-age=9\", max-age=60", time.Minute, true},
		{"Expires: Sun, 01 Mar 2026 13:00:00 GMT", time.Hour, true},
		{"Expires: Sunday, 01-Mar-26 13:00:00 GMT", time.Hour, true},
		{"Expires: Sun Mar  1 13:00:00 2026", time.Hour, true},
		{"Expires: Sun, 01 Mar 2026 11:00:00 GMT", 0, true},
		{"Expires: 0", 0, true},
		{"Expires: soon", 0, true},
		{"Expires: Sun, 01 Mar 2026 13:00:00 GMT|Expires: Sun, 01 Mar 2026 14:00:00 GMT", 0, true},
		// heuristic: a tenth, at most a day
		{"Last-Modified: Sun, 01 Mar 2026 02:00:00 GMT", time.Hour, false},
		{"Last-Modified: Sun, 01 Mar 2020 12:00:00 GMT", day, false},
		{"Last-Modified: Mon, 02 Mar 2026 12:00:00 GMT", 0, false},
		{"Last-Modified: never", 0, false},
	} {
		h := fieldsOf(append([]string{noonDate}, strings.Split(c.fields, "|")...)...)
		a := readAnswer(200, h, noon, noon, cacheTerms{})
		if a.lifetime != c.lifetime || a.explicit != c.explicit {
			t.Errorf("%s: %v, explicit %v; want %v, %v", c.fields, a.lifetime, a.explicit, c.lifetime, c.explicit)
		}
	}
	h := fieldsOf(noonDate, "Last-Modified: Sun, 01 Mar 2026 02:00:00 GMT")
	if a := readAnswer(200, h, noon, noon, cacheTerms{noHeuristic: true}); a.lifetime != 0 {
		t.Error("the heuristic was not off")
	}
	if a := readAnswer(500, h, noon, noon, cacheTerms{}); a.lifetime != 0 {
		t.Error("500 is not heuristically cacheable")
	}
}

// RFC 9111 §4.2.3.
func TestCacheAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fields string
		delay  time.Duration // between asking and receiving
		later  time.Duration // since
		age    time.Duration
	}{
		{noonDate, 0, 0, 0},
		{noonDate, 0, 30 * time.Second, 30 * time.Second},
		{noonDate + "|Age: 100", 0, 0, 100 * time.Second},
		{noonDate + "|Age: 100", 2 * time.Second, 0, 102 * time.Second},
		{noonDate + "|Age: 100, 5", 0, 0, 100 * time.Second}, // the first of a list
		{noonDate + "|Age: 100|Age: 5", 0, 0, 100 * time.Second},
		{noonDate + "|Age: -5", 0, 0, 0},
		{noonDate + "|Age: 1.5", 0, 0, 0},
		{noonDate + "|Age: x", 0, 0, 0},
		{"Date: Sun, 01 Mar 2026 11:59:00 GMT", 0, 0, time.Minute},
		{"Date: Sun, 01 Mar 2026 11:59:00 GMT|Age: 5", 0, 0, time.Minute},
		{"Date: Sun, 01 Mar 2026 12:10:00 GMT", 0, 0, 0}, // a clock ahead of ours
		{"X: no date", time.Second, time.Second, 2 * time.Second},
		{noonDate, 0, -time.Minute, 0}, // our clock went back
	} {
		a := readAnswer(200, fieldsOf(strings.Split(c.fields, "|")...), noon.Add(-c.delay), noon, cacheTerms{})
		if got := a.age(noon.Add(c.later)); got != c.age {
			t.Errorf("%s, %v, %v: age %v, want %v", c.fields, c.delay, c.later, got, c.age)
		}
	}
}

// RFC 9111 §3, one row for each reason.
func TestCacheStores(t *testing.T) {
	t.Parallel()
	const fresh = "Cache-Control: max-age=60"
	for _, c := range []struct {
		name   string
		status int
		auth   bool
		fields string
		reason string
	}{
		{"fresh", 200, false, fresh, ""},
		{"a status that nobody knows", 299, false, fresh, ""},
		{"any status with a lifetime", 500, false, fresh, ""},
		{"interim", 103, false, fresh, "status"},
		{"partial", 206, false, fresh, "status"},
		{"304", 304, false, fresh, "status"},
		{"no-store", 200, false, fresh + ", no-store", "no_store"},
		{"NO-STORE", 200, false, fresh + ", NO-STORE", "no_store"},
		{"no-store with an argument", 200, false, fresh + ", no-store=x", "no_store"},
		{"no-store behind an odd value", 200, false, "Cache-Control: a=\"x\"y, no-store, max-age=60", "no_store"},
		{"a list that can't be read", 200, false, "Cache-Control: max-age=60, x=\"no end", "cache_control"},
		{"too many directives", 200, false, fresh + strings.Repeat(", x", 100), "cache_control"},
		{"private", 200, false, fresh + ", private", "private"},
		{"private, qualified", 200, false, fresh + ", private=\"Set-Cookie\"", "private"},
		{"Vary: *", 200, false, fresh + "|Vary: Accept, *", "vary"},
		{"Set-Cookie", 200, false, fresh + "|Set-Cookie: a=b", "set_cookie"},
		{"trailers announced", 200, false, fresh + "|Trailer: X-Sum", "trailer"},
		{"authorization", 200, true, fresh, "authorization"},
		{"authorization, public", 200, true, fresh + ", public", ""},
		{"authorization, s-maxage", 200, true, "Cache-Control: s-maxage=60", ""},
		{"authorization, must-revalidate", 200, true, fresh + ", must-revalidate", ""},
		{"authorization, proxy-revalidate", 200, true, fresh + ", proxy-revalidate", "authorization"},
		{"must-understand, known", 200, false, fresh + ", must-understand, no-store", ""},
		{"must-understand, unknown", 299, false, fresh + ", must-understand", "must_understand"},
		{"nothing said, no validator", 200, false, "X: y", "useless"},
		{"nothing said, a tag", 200, false, "ETag: \"a\"", ""},
		{"no-cache with a tag", 200, false, "Cache-Control: no-cache|ETag: \"a\"", ""},
		{"stale at once, nothing to validate", 200, false, "Cache-Control: max-age=0", "useless"},
		{"stale at once, but stale-if-error", 200, false, "Cache-Control: max-age=0, stale-if-error=60", ""},
		{"nothing said, another status", 302, false, "ETag: \"a\"", "status"},
		{"nothing said, public", 302, false, "Cache-Control: public|ETag: \"a\"", ""},
		{"private for everybody but us", 200, false, "Cache-Control: private|CDN-Cache-Control: max-age=60", ""},
		{"the other way round", 200, false, "Cache-Control: max-age=60|CDN-Cache-Control: no-store", "no_store"},
	} {
		h := fieldsOf(append([]string{noonDate}, strings.Split(c.fields, "|")...)...)
		a := readAnswer(c.status, h, noon, noon, cacheTerms{})
		if got := a.unstorable(h, c.auth, false); got != c.reason {
			t.Errorf("%s: %q, want %q", c.name, got, c.reason)
		}
		if got := a.unstorable(h, c.auth, true); c.reason == "" && got != "no_store" {
			t.Errorf("%s, no-store in the request: %q", c.name, got)
		}
	}
}

// RFC 9111 §4, §5.2: what may be done with a stored response of an age.
func TestCacheJudges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer, request string
		age             time.Duration
		want            cacheVerdict
		onError         bool
	}{
		{"max-age=60", "", 10 * time.Second, verdictFresh, false},
		{"max-age=60", "", 60 * time.Second, verdictValidate, false},
		{"max-age=60, no-cache", "", 10 * time.Second, verdictValidate, false},
		{"max-age=60, no-cache=\"X\"", "", 10 * time.Second, verdictValidate, false},
		{"max-age=60", "no-cache", 10 * time.Second, verdictValidate, false},
		{"max-age=60", "max-age=5", 10 * time.Second, verdictValidate, false},
		{"max-age=60", "max-age=x", 10 * time.Second, verdictValidate, false},
		{"max-age=60", "max-age=10", 10 * time.Second, verdictFresh, false},
		{"max-age=60", "min-fresh=50", 10 * time.Second, verdictFresh, false},
		{"max-age=60", "min-fresh=51", 10 * time.Second, verdictValidate, false},
		{"max-age=60", "max-stale", 1000 * time.Second, verdictStale, false},
		{"max-age=60", "max-stale=10", 70 * time.Second, verdictStale, false},
		{"max-age=60", "max-stale=10", 71 * time.Second, verdictValidate, false},
		{"max-age=60, must-revalidate", "max-stale", 61 * time.Second, verdictValidate, false},
		{"max-age=60, proxy-revalidate", "max-stale", 61 * time.Second, verdictValidate, false},
		{"s-maxage=60", "max-stale", 61 * time.Second, verdictValidate, false},
		{"max-age=60, stale-while-revalidate=30", "", 90 * time.Second, verdictRefresh, false},
		{"max-age=60, stale-while-revalidate=30", "", 91 * time.Second, verdictValidate, false},
		{"max-age=60, stale-while-revalidate=30", "max-age=100", 70 * time.Second, verdictValidate, false},
		{"max-age=60, stale-while-revalidate=x", "", 70 * time.Second, verdictValidate, false},
		{"max-age=60, must-revalidate, stale-while-revalidate=30", "", 70 * time.Second, verdictValidate, false},
		{"s-maxage=60, stale-while-revalidate=30", "", 70 * time.Second, verdictRefresh, false}, // the CDN idiom
		{"max-age=60, stale-if-error=30", "", 90 * time.Second, verdictValidate, true},
		{"max-age=60, stale-if-error=30", "", 91 * time.Second, verdictValidate, false},
		{"max-age=60, stale-if-error=30", "no-cache", 70 * time.Second, verdictValidate, false},
		{"max-age=60, stale-if-error=30, must-revalidate", "", 70 * time.Second, verdictValidate, false},
		{"s-maxage=60, stale-if-error=30", "", 70 * time.Second, verdictValidate, true},
		{"max-age=60", "stale-if-error=30", 70 * time.Second, verdictValidate, true},
		{"s-maxage=60", "stale-if-error=30", 70 * time.Second, verdictValidate, false},
	} {
		a := readAnswer(200, fieldsOf(noonDate, "Cache-Control: "+c.answer), noon, noon, cacheTerms{})
		rq := fieldsOf()
		if c.request != "" {
			rq = fieldsOf("Cache-Control: " + c.request)
		}
		w := readWants(rq, true)
		left := a.lifetime - c.age
		if got := a.judge(&w, left, c.age); got != c.want {
			t.Errorf("%s, asked with %q at %v: %d, want %d", c.answer, c.request, c.age, got, c.want)
		}
		if got := left <= 0 && a.onError(&w, left); got != c.onError {
			t.Errorf("%s, asked with %q at %v: stands in for an error: %v", c.answer, c.request, c.age, got)
		}
	}
	// The route's own windows: not with s-maxage, which forbids stale ones.
	terms := cacheTerms{swr: time.Minute, sie: time.Minute}
	none := readWants(fieldsOf(), true)
	for cc, want := range map[string]cacheVerdict{"max-age=60": verdictRefresh, "s-maxage=60": verdictValidate, "max-age=60, stale-while-revalidate=0": verdictValidate} {
		a := readAnswer(200, fieldsOf(noonDate, "Cache-Control: "+cc), noon, noon, terms)
		if got := a.judge(&none, -time.Second, 61*time.Second); got != want {
			t.Errorf("%s with the route's windows: %d, want %d", cc, got, want)
		}
	}
}

func TestCacheWants(t *testing.T) {
	t.Parallel()
	if w := readWants(fieldsOf("Pragma: no-cache"), true); !w.noCache {
		t.Error("a lone Pragma counts")
	}
	if w := readWants(fieldsOf("Pragma: no-cache", "Cache-Control: max-age=1"), true); w.noCache {
		t.Error("Pragma counts only alone")
	}
	w := readWants(fieldsOf("Cache-Control: no-cache, no-store, only-if-cached, max-age=0"), false)
	if w.noCache || w.onlyIfCached || w.maxAge >= 0 || !w.noStore {
		t.Errorf("without client control only no-store counts: %+v", w)
	}
}

// RFC 9111 §4.1.
func TestCacheVary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		vary, a, b string
		same       bool
	}{
		{"Accept-Language", "Accept-Language: de, en", "Accept-Language: de,en", true},
		{"Accept-Language", "Accept-Language: de,  en;q=1", "accept-language: de ,  en;q=1", true},
		{"Accept-Language", "Accept-Language: de|Accept-Language: en", "Accept-Language: de,en", true},
		{"Accept-Language", "Accept-Language: de", "Accept-Language: DE", false},
		{"Accept-Language", "Accept-Language: de", "X: y", false},
		{"Accept-Language", "Accept-Language: ", "X: y", false}, // empty is not absent
		{"X-A, x-a, X-B", "X-A: 1|X-B: 2", "X-B: 2|X-A: 1", true},
		{"X-A,, X-B", "X-A: 1|X-B: 2", "X-A: 1|X-B: 3", false},
		{"Cookie", "Cookie: a=1", "Cookie: a=2", false},
		{"Accept-Encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: br, gzip", true},
		{"Accept-Encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: gzip, br, sdch", true},
		{"Accept-Encoding", "Accept-Encoding: gzip;q=0.5, br", "Accept-Encoding: gzip, br", false},
		{"Accept-Encoding", "Accept-Encoding: gzip", "X: y", false},
		{"Accept-Encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, identity;q=0", false},
	} {
		answer := fieldsOf("Vary: " + c.vary)
		vary := readVary(fieldsOf(strings.Split(c.a, "|")...), answer)
		if got := varyMatches(vary, fieldsOf(strings.Split(c.b, "|")...)); got != c.same {
			t.Errorf("Vary: %s, %q and %q: %v", c.vary, c.a, c.b, got)
		}
	}
	// A coding that the reduction does not know must not reach who never named it.
	answer := fieldsOf("Vary: Accept-Encoding", "Content-Encoding: dcz")
	vary := readVary(fieldsOf("Accept-Encoding: gzip, dcz"), answer)
	if varyMatches(vary, fieldsOf("Accept-Encoding: gzip, other")) {
		t.Error("an unknown coding was shared")
	}
}

func TestCacheKeyURL(t *testing.T) {
	t.Parallel()
	key := func(mode queryMode, scheme, authority, path string) string {
		p, q, has := strings.Cut(path, "?")
		return string(appendCacheURL(nil, scheme, authority, p, q, has, &mode))
	}
	all := queryMode{}
	for _, c := range []struct {
		mode queryMode
		a, b [3]string
		same bool
	}{
		{all, [3]string{"http", "A.example:80", "/x"}, [3]string{"http", "a.example", "/x"}, true},
		{all, [3]string{"https", "a.example:443", "/x"}, [3]string{"https", "a.example", "/x"}, true},
		{all, [3]string{"http", "a.example:443", "/x"}, [3]string{"http", "a.example", "/x"}, false},
		{all, [3]string{"http", "a.example", "/x"}, [3]string{"https", "a.example", "/x"}, false},
		{all, [3]string{"http", "a.example", "/x"}, [3]string{"http", "b.example", "/x"}, false},
		{all, [3]string{"http", "", "/x"}, [3]string{"http", "a.example", "/x"}, false},
		{all, [3]string{"http", "a", "/x?"}, [3]string{"http", "a", "/x"}, false},
		{all, [3]string{"http", "a", "/x?a=1&b=2"}, [3]string{"http", "a", "/x?b=2&a=1"}, false},
		{queryMode{kind: "ignore"}, [3]string{"http", "a", "/x?a"}, [3]string{"http", "a", "/x"}, true},
		{queryMode{kind: "sort"}, [3]string{"http", "a", "/x?a=1&b=2"}, [3]string{"http", "a", "/x?b=2&&a=1"}, true},
		{queryMode{kind: "sort"}, [3]string{"http", "a", "/x?a=1&a=2"}, [3]string{"http", "a", "/x?a=2&a=1"}, false},
		{queryMode{kind: "sort"}, [3]string{"http", "a", "/x?a"}, [3]string{"http", "a", "/x?a="}, false},
		{queryMode{kind: "only", only: []string{"p"}}, [3]string{"http", "a", "/x?p=1&utm=2"}, [3]string{"http", "a", "/x?utm=3&p=1"}, true},
		{queryMode{kind: "only", only: []string{"p"}}, [3]string{"http", "a", "/x?p=1"}, [3]string{"http", "a", "/x?p=2"}, false},
	} {
		a, b := key(c.mode, c.a[0], c.a[1], c.a[2]), key(c.mode, c.b[0], c.b[1], c.b[2])
		if (a == b) != c.same {
			t.Errorf("%v: %q and %q", c.mode, a, b)
		}
	}
	long := "/x?" + strings.Repeat("a&", 100) + "z"
	if key(queryMode{kind: "sort"}, "http", "a", long) != "http://a"+long {
		t.Error("a query over the bound is taken as it is")
	}
}

func TestCacheTags(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		"Surrogate-Key: a b  c":                             "[a b c]",
		"Cache-Tag: a, b c,,d":                              "[a b c d]",
		`Cache-Groups: "a", "b";x=1`:                        "[a b]",
		`Cache-Groups: "a", b`:                              "[a]",
		`Cache-Groups: "a", "b`:                             "[]",
		`Cache-Groups: "a"|Surrogate-Key: b`:                "[a b]",
		"Surrogate-Key: " + strings.Repeat("a ", 100) + "b": fmt.Sprint(strings.Fields(strings.Repeat("a ", maxTags))),
	} {
		if got := fmt.Sprint(readTags(fieldsOf(strings.Split(strings.TrimSpace(fields), "|")...))); got != want {
			t.Errorf("%s: %s, want %s", fields, got, want)
		}
	}
}

// What is in a Cache-Control can't be hidden: if a plain reading finds no-store
// or private outside quotes, so does ours, or the list counts as unreadable.
func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{
		"max-age=60", "no-store", "a=\"b, no-store\", private", "max-age=1, max-age=2", "x=\"\\\"\", no-store", ",,no-store=,", "no-store;x", "private=\"a\" b", "=x, no-store", "@@@,no-store",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !message.ValidValue(s) {
			return
		}
		h := fieldsOf("X: y")
		h.AppendID(message.CacheControl, s)
		cc := parseCacheControl(h)
		for _, n := range []int64{cc.maxAge, cc.sMaxAge, cc.swr, cc.sie, cc.maxStale, cc.minFresh} {
			if n < 0 || n > maxDelta {
				t.Errorf("%q: %d", s, n)
			}
		}
		if !strings.Contains(s, `"`) && !cc.bad {
			for m := range strings.SplitSeq(strings.ToLower(s), ",") {
				switch strings.Trim(m, " \t") {
				case "no-store":
					if !cc.is(ccNoStore) {
						t.Errorf("%q: no-store was not seen", s)
					}
				case "private":
					if !cc.is(ccPrivate) {
						t.Errorf("%q: private was not seen", s)
					}
				}
			}
		}
		h.AppendID(message.CDNCacheControl, s)
		a := readAnswer(200, h, noon, noon, cacheTerms{})
		if a.lifetime < 0 || a.initialAge < 0 {
			t.Errorf("%q: lifetime %v, age %v", s, a.lifetime, a.initialAge)
		}
	})
}

// A range is inside the body, whatever is asked.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=", "bytes=0-0,1-1", "bytes=9999999999999999999-", "bytes=1-0", "BYTES = 0-", "lines=0-1", "bytes=--1", "bytes=0-1,"} {
		f.Add(s, int64(10))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 || size > 1<<50 {
			return
		}
		from, to, kind := parseRange(s, size)
		if kind == rangeOne && (from < 0 || from >= to || to > size) {
			t.Errorf("%q of %d: %d to %d", s, size, from, to)
		}
	})
}

// Dates, tags and Structured Fields of strangers never panic, and what they give is in bounds.
func FuzzCacheFields(f *testing.F) {
	for _, s := range []string{
		`"a"`, `W/"a", "b"`, `"a`, "*", "Sun, 01 Mar 2026 12:00:00 GMT", "Sunday, 01-Mar-26 12:00:00 GMT", "Sun Mar  1 12:00:00 2026",
		`"a";x=1;y, ("b" c);z`, "?1", ":YQ==:", "@1", "-1.5", "a=1, b", "(", "(a", `"\"`, "1234567890123456",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !message.ValidValue(s) {
			return
		}
		h := new(message.Header)
		for _, id := range []message.ID{message.IfNoneMatch, message.IfModifiedSince, message.IfRange, message.CacheGroups, message.Expires, message.Age, message.Vary} {
			h.AppendID(id, s)
		}
		if len(sfStrings(h, message.CacheGroups, 5)) > 5 {
			t.Error("more strings than asked for")
		}
		a := readAnswer(200, h, noon, noon, cacheTerms{})
		_ = unmodified(h, `"a"`, &a)
		_ = rangeStands(h, `"a"`, &a)
		rest, n := s, 0
		for {
			tag, _, after, ok := nextTag(rest)
			if !ok {
				break
			}
			if len(tag) < 2 || len(after) >= len(rest) {
				t.Fatalf("%q: tag %q, rest %q", s, tag, after)
			}
			rest = after
			n++
		}
		vary := readVary(h, h)
		if !varyMatches(vary, h) {
			t.Errorf("%q: a request does not match itself", s)
		}
	})
}

// A purge by URL finds what a request of that URL stores.
func FuzzPurgeTarget(f *testing.F) {
	for _, s := range []string{"http://a.example/x", "HTTPS://A.example:443/%7Ex?y=1#z", "http://a.example", "http://[::1]:80/a/../b", "http://a/%", "x", "http:///", "http://a?b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := purgeTarget(s)
		if !ok {
			return
		}
		key := string(appendCacheURL(nil, p.scheme, p.authority, p.path, p.query, p.hasQuery, &queryMode{}))
		again, ok := purgeTarget(key)
		if !ok {
			t.Fatalf("%q gives %q, which is no URL", s, key)
		}
		if k := string(appendCacheURL(nil, again.scheme, again.authority, again.path, again.query, again.hasQuery, &queryMode{})); k != key {
			t.Errorf("%q gives %q, then %q", s, key, k)
		}
	})
}

// A cookie is found exactly where a simple reading finds it.
func FuzzCookie(f *testing.F) {
	f.Add("a=1; b=2", "b")
	f.Add("a=1;a=2", "a")
	f.Add(" a = 1 ; =x; b", "a")
	f.Add("maru=\"a=b\"", "maru")
	f.Fuzz(func(t *testing.T, line, name string) {
		if !message.ValidToken(name) {
			return
		}
		h := new(message.Header)
		h.AppendID(message.Cookie, line)
		got, ok := cookie(h, name)
		for pair := range strings.SplitSeq(line, ";") {
			k, v, eq := strings.Cut(pair, "=")
			if eq && strings.Trim(k, " \t") == name {
				if !ok || got != strings.Trim(v, " \t") {
					t.Errorf("%q in %q: %q, %v", name, line, got, ok)
				}
				return
			}
		}
		if ok {
			t.Errorf("%q in %q: found %q", name, line, got)
		}
	})
}
