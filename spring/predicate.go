package spring

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/route"
)

// predicateSpecs is the table of Spring Cloud Gateway's predicates.
func predicateSpecs() map[string]*spec {
	java := func(b *routeReader, c *call) {
		for i := range c.args {
			c.args[i].used = true
		}
		b.drop(c.n, "java", "write the route by other predicates", "the predicate %s is Java code", c.name)
	}
	return map[string]*spec{
		"path":                     {fields: []string{"patterns"}, list: true, flag: "matchTrailingSlash", predicate: (*routeReader).pathPredicate},
		"host":                     {fields: []string{"patterns"}, list: true, predicate: (*routeReader).hostPredicate},
		"method":                   {fields: []string{"methods"}, list: true, predicate: (*routeReader).methodPredicate},
		"header":                   {fields: []string{"header", "regexp"}, predicate: (*routeReader).headerPredicate},
		"cookie":                   {fields: []string{"name", "regexp"}, predicate: (*routeReader).cookiePredicate},
		"query":                    {fields: []string{"param", "regexp", "predicate"}, predicate: (*routeReader).queryPredicate},
		"after":                    {fields: []string{"datetime"}, predicate: (*routeReader).timePredicate},
		"before":                   {fields: []string{"datetime"}, predicate: (*routeReader).timePredicate},
		"between":                  {fields: []string{"datetime1", "datetime2"}, predicate: (*routeReader).timePredicate},
		"remoteaddr":               {fields: []string{"sources"}, list: true, predicate: (*routeReader).clientPredicate},
		"xforwardedremoteaddr":     {fields: []string{"sources"}, list: true, predicate: (*routeReader).clientPredicate},
		"weight":                   {fields: []string{"group", "weight"}, predicate: (*routeReader).weightPredicate},
		"version":                  {fields: []string{"version"}, predicate: (*routeReader).versionPredicate},
		"readbody":                 {fields: []string{"inClass", "predicate"}, predicate: java},
		"cloudfoundryrouteservice": {fields: []string{"none"}, predicate: java},
	}
}

func (b *routeReader) pathPredicate(c *call) {
	slash := strings.ToLower(c.get("matchTrailingSlash")) != "false"
	c.get("matchOptionalTrailingSeparator")
	if b.plan.paths != nil {
		b.drop(c.n, "twice", "write one pattern that says both", "a second Path, which would have to hold as well")
		return
	}
	base := ""
	if t, ok := b.take(b.set.root.get("spring", "webflux", "base-path"), &b.plan.element); ok {
		base = "/" + strings.Trim(t, "/")
	}
	for _, pattern := range c.all("patterns") {
		if base != "" && base != "/" {
			pattern = base + "/" + strings.TrimPrefix(pattern, "/")
		}
		list, fault := readPattern(pattern, slash)
		if fault != "" {
			b.drop(c.n, "pattern", "write the pattern in maru's words: docs/routes.md", "the pattern %q: %s", shorten(pattern), fault)
			continue
		}
		for _, p := range list {
			if !slices.ContainsFunc(b.plan.paths, func(o path) bool { return o.pattern == p.pattern }) {
				b.plan.paths = append(b.plan.paths, p)
			}
		}
	}
	if len(b.plan.paths) == 0 {
		b.off("it has no path")
	}
}

func (b *routeReader) hostPredicate(c *call) {
	m := &b.plan.match
	if m.Host != nil {
		b.drop(c.n, "twice", "write one list of hosts", "a second Host, which would have to hold as well")
		return
	}
	for _, pattern := range c.all("patterns") {
		hosts, variables, loose, fault := hostPattern(pattern)
		if fault == "" && strings.Contains(strings.TrimPrefix(pattern, "["), ":") {
			b.look(c.n, "host", "nothing, if the gateway has one port", "%q names a port, which maru does not look at", shorten(pattern))
		}
		switch {
		case fault != "":
			b.drop(c.n, "host", "write the hosts out: host: [a.example.com, b.example.com]", "the host %q: %s", shorten(pattern), fault)
			return
		case loose:
			b.look(c.n, "host", "name the hosts if deeper ones must not be taken",
				"%q takes one label for each wildcard; maru's *. takes one or more", shorten(pattern))
		case hosts == nil:
			m.Host = nil
			return
		}
		for _, v := range variables {
			b.plan.vars[v] = true
		}
		for _, h := range hosts {
			if !slices.ContainsFunc(m.Host, func(o string) bool { return strings.EqualFold(o, h) }) {
				m.Host = append(m.Host, h)
			}
		}
	}
	if len(m.Host) == 0 {
		m.Host = nil
	}
}

func (b *routeReader) methodPredicate(c *call) {
	m := &b.plan.match
	var list route.List
	for _, w := range c.all("methods") {
		if w = strings.ToUpper(w); !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	if m.Methods != nil {
		list = slices.DeleteFunc(list, func(w string) bool { return !slices.Contains(m.Methods, w) })
	}
	if m.Methods = list; len(list) == 0 {
		b.drop(c.n, "method", "name a method", "no method is left that the route takes")
	}
}

// named sets a predicate on a header, query parameter or cookie.
func (b *routeReader) named(c *call, m *map[string]string, name, expr string, given bool) {
	test := "present"
	if given {
		var fault string
		if test, fault = valueTest(expr); fault != "" {
			b.drop(c.n, "regex", "write an expression that RE2 knows: no look-around, no back references", "%s: %s", c.name, fault)
			return
		}
	}
	if have, twice := (*m)[name]; twice && have != test {
		if test == "present" {
			return // the other one implies it
		}
		if have != "present" {
			b.drop(c.n, "twice", "write one expression that says both", "a second predicate on %s, which would have to hold as well", name)
			return
		}
	}
	if *m == nil {
		*m = make(map[string]string)
	}
	(*m)[name] = test
}

// valueTest turns an expression for a whole value into a predicate of maru.
func valueTest(expr string) (test, fault string) {
	if expr == "" || expr == ".*" {
		return "present", ""
	}
	if regexp.QuoteMeta(expr) == expr {
		if expr == "present" || expr == "absent" || strings.HasPrefix(expr, "regex:") || strings.HasPrefix(expr, "exact:") {
			return "exact:" + expr, ""
		}
		return expr, ""
	}
	if _, err := regexp.Compile(expr); err != nil {
		return "", "the expression is none that RE2 knows: " + reason(err)
	}
	return "regex:" + expr, ""
}

func (b *routeReader) headerPredicate(c *call) {
	expr, given := c.lookup("regexp")
	name := c.get("header")
	if strings.EqualFold(name, "Host") {
		b.drop(c.n, "host", "write match.host", "a predicate on the header Host is the match's host in maru")
		return
	}
	for have := range b.plan.match.Headers {
		if strings.EqualFold(have, name) {
			name = have
		}
	}
	b.named(c, &b.plan.match.Headers, name, expr, given)
}

func (b *routeReader) cookiePredicate(c *call) {
	expr, given := c.lookup("regexp")
	b.named(c, &b.plan.match.Cookies, c.get("name"), expr, given)
}

func (b *routeReader) queryPredicate(c *call) {
	if bean, ok := c.lookup("predicate"); ok {
		c.get("param")
		c.get("regexp")
		b.drop(c.n, "java", "write a value or an expression", "the predicate %s is a Java bean", shorten(bean))
		return
	}
	expr, given := c.lookup("regexp")
	b.named(c, &b.plan.match.Query, c.get("param"), expr, given)
}

// timePredicate reads After, Before and Between; several narrow the window.
func (b *routeReader) timePredicate(c *call) {
	w := &b.plan.match.Time
	set := func(arg string, to *string, later bool) {
		text, ok := c.lookup(arg)
		if !ok {
			return
		}
		at, err := readTime(text)
		if err != nil {
			b.drop(c.n, "time", "write for example 2026-12-24T18:00:00+09:00", "%s: %q is no time with an offset", c.name, shorten(text))
			return
		}
		if *to != "" {
			have, _ := time.Parse(time.RFC3339, *to)
			if at.After(have) != later {
				return
			}
		}
		*to = at.Format(time.RFC3339Nano)
	}
	switch canonical(c.name) {
	case "after":
		set("datetime", &w.After, true)
	case "before":
		set("datetime", &w.Before, false)
	default:
		set("datetime1", &w.After, true)
		set("datetime2", &w.Before, false)
	}
}

// readTime reads a ZonedDateTime: 2017-01-20T17:42:47.789-07:00[America/Denver].
// The offset decides, as it does there; or milliseconds since 1970.
func readTime(text string) (time.Time, error) {
	text, _, _ = strings.Cut(text, "[")
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms).UTC(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", text)
}

func (b *routeReader) clientPredicate(c *call) {
	m := &b.plan.match
	if m.Client != nil {
		b.drop(c.n, "twice", "write one list of addresses", "a second list of addresses, which would have to hold as well")
		return
	}
	for _, s := range c.all("sources") {
		if _, err := netip.ParsePrefix(s); err != nil {
			if _, err := netip.ParseAddr(s); err != nil {
				b.drop(c.n, "client", "write for example 10.0.0.0/8", "%q is neither a CIDR nor an address", shorten(s))
				return
			}
		} else if p, _ := netip.ParsePrefix(s); p != p.Masked() {
			s = p.Masked().String() // 192.168.1.1/24 means its network
		}
		if !slices.Contains(m.Client, s) {
			m.Client = append(m.Client, s)
		}
	}
	if canonical(c.name) == "xforwardedremoteaddr" {
		c.get("maxTrustedIndex")
		b.look(c.n, "trusted-proxies", "write the proxies in front: listen.public.trusted-proxies: [10.0.0.0/8]",
			"which hops of X-Forwarded-For are believed is said by the listener here, not by a number")
	}
}

func (b *routeReader) weightPredicate(c *call) {
	group, w := c.get("group"), c.get("weight")
	n, err := strconv.Atoi(w)
	if err != nil || n < 0 || n > 1_000_000 {
		b.drop(c.n, "weight", "write a number", "the weight %q is no number", shorten(w))
		return
	}
	if b.plan.group != "" {
		b.drop(c.n, "twice", "keep one", "a second Weight")
		return
	}
	b.plan.group, b.plan.weight = group, &n
}

func (b *routeReader) versionPredicate(c *call) {
	b.drop(c.n, "version", `where a header says the version, write headers: { X-Version: "`+comment(c.get("version"))+`" }`,
		"maru has no predicate for API versions yet")
}

// quotedMatch is what a plan takes, in a form that can be compared.
func quotedMatch(p *plan) string {
	var paths []string
	for _, x := range p.paths {
		paths = append(paths, x.pattern)
	}
	m := p.match
	return fmt.Sprintf("%q %q %q %q %q %q %q %q %q", paths, m.Host, m.Methods, m.Headers, m.Query, m.Cookies, m.Client, m.Time.After, m.Time.Before)
}
