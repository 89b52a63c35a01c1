package route

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// Match says which requests a route takes: all its predicates must hold. The
// short form, a scalar, is "METHODS HOST/PATH", each part but one optional:
// "GET,POST api.example.com/members/{id}", "/auctions/{rest...}".
type Match struct {
	// Host names, any of which the request's host must be: "api.example.com", or
	// "*.example.com" for one or more labels before the domain, but not the
	// domain itself. Any case; ports are ignored. Default: every host.
	Host List `yaml:"host"`
	// Path pattern: literal segments, "{id}" for one non-empty segment,
	// "{id:[0-9]+}" for one that a regular expression takes whole, "{rest...}" at
	// the end for everything below; or "regex:" with an RE2 expression for the
	// whole path. Matched on the canonical path. Default: every path.
	Path string `yaml:"path"`
	// Methods, any of which the request's must be; GET implies HEAD, and a CORS
	// preflight counts as the method it asks for. Default: every method.
	Methods List `yaml:"methods"`
	// Headers by name, in any case: a value, "regex:…", "present" or "absent". All
	// lines of a repeated field are tried; "exact:…" escapes these words.
	Headers map[string]string `yaml:"headers"`
	// Query parameters by exact name: a value (compared after percent-decoding),
	// "regex:…", "present" or "absent".
	Query map[string]string `yaml:"query"`
	// Cookies by exact name: a value, "regex:…", "present" or "absent".
	Cookies map[string]string `yaml:"cookies"`
	// Client addresses as CIDRs, one of which must hold the client's address, as
	// it is after the rules of trusted proxies.
	Client List `yaml:"client"`
	// Scheme is "http" or "https".
	Scheme string `yaml:"scheme"`
	// Listener names, one of which the request must have entered by.
	Listener List `yaml:"listener"`
	// Protocol is "grpc" or "websocket".
	Protocol string `yaml:"protocol"`
	// Time is when the route takes requests.
	Time Window `yaml:"time"`
	// Segment takes a fixed share of the callers.
	Segment Segment `yaml:"segment"`
	// Weight is this route's share, 0 to 1000000, among the routes with the same
	// match; which of them takes a request is random. Default: none.
	Weight *int `yaml:"weight"`
	// Group names routes that share their traffic by weight; all of them must
	// have the same match. Default: the routes with weight and the same match.
	Group string `yaml:"group"`
	// Priority goes before everything else: of two routes that take a request
	// the one with the higher number wins (default 0).
	Priority int `yaml:"priority"`
}

// equal tells whether two matches are written the same way.
func (m *Match) equal(o *Match) bool {
	sameWeight := m.Weight == o.Weight || m.Weight != nil && o.Weight != nil && *m.Weight == *o.Weight
	return sameWeight && m.Path == o.Path && slices.Equal(m.Host, o.Host) && slices.Equal(m.Methods, o.Methods) &&
		maps.Equal(m.Headers, o.Headers) && maps.Equal(m.Query, o.Query) && maps.Equal(m.Cookies, o.Cookies) &&
		slices.Equal(m.Client, o.Client) && m.Scheme == o.Scheme && slices.Equal(m.Listener, o.Listener) &&
		m.Protocol == o.Protocol && m.Time.After == o.Time.After && m.Time.Before == o.Time.Before &&
		slices.Equal(m.Time.Between, o.Time.Between) && m.Segment == o.Segment && m.Group == o.Group && m.Priority == o.Priority
}

// List is several words. The short form, a scalar, is one word, or several with
// commas between them.
type List []string

// UnmarshalText reads the short form.
func (l *List) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), ",")
	for i, p := range parts {
		if parts[i] = strings.TrimSpace(p); parts[i] == "" {
			return diag.At("", "an entry of the list is empty").WithFix("write a, b or [a, b]")
		}
	}
	*l = parts
	return nil
}

// Window is a span of time, with RFC 3339 times such as
// "2026-12-24T18:00:00+09:00".
type Window struct {
	// After is when the route begins to take requests, that moment included.
	After string `yaml:"after"`
	// Before is when the route stops taking requests.
	Before string `yaml:"before"`
	// Between is [after, before] in one key.
	Between List `yaml:"between"`
}

// Segment is a share of all callers that is stable for each of them: the hash of
// a key lies in [from, to) of 0 to 1. The list short form is [from, to], by the
// client's address.
type Segment struct {
	// By is what is hashed: "client" (default), "header NAME" or "cookie NAME".
	// A request without it is hashed by the client's address.
	By string `yaml:"by"`
	// From is where the share begins, 0 to 1.
	From float64 `yaml:"from"`
	// To is where the share ends, 0 to 1, itself not included.
	To float64 `yaml:"to"`
}

// UnmarshalList reads the list short form.
func (s *Segment) UnmarshalList(list []string) error {
	if len(list) != 2 {
		return diag.At("", "a segment has two ends, not %d", len(list)).WithFix("write [0, 0.1]")
	}
	ends := [2]float64{}
	for i, text := range list {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return diag.At("["+strconv.Itoa(i)+"]", "%q is not a number", text).WithFix("write [0, 0.1]")
		}
		ends[i] = f
	}
	*s = Segment{From: ends[0], To: ends[1]}
	return nil
}

// UnmarshalText reads the short form.
func (m *Match) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if s == "" {
		return diag.At("", "the match is empty").WithFix("write /{rest...} for every request")
	}
	if i := strings.IndexByte(s, ' '); i > 0 && !strings.HasPrefix(s, "regex:") && s[0] != '/' {
		if err := m.Methods.UnmarshalText([]byte(s[:i])); err != nil {
			return err
		}
		s = strings.TrimSpace(s[i:])
	}
	switch {
	case s[0] == '/', strings.HasPrefix(s, "regex:"):
		m.Path = s
		return nil
	case s == strings.ToUpper(s) && m.Methods == nil && !strings.ContainsAny(s, "./0123456789"):
		return diag.At("", "%q is a method without a path", s).WithFix("write %s /{rest...}", s)
	}
	host, path, _ := strings.Cut(s, "/")
	m.Host = List{host}
	if len(host) < len(s) {
		m.Path = "/" + path
	}
	return nil
}

// bounds gives the two ends; a zero time is open.
func (w *Window) bounds() (after, before time.Time, err error) {
	var errs []error
	read := func(path, text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			errs = append(errs, diag.At(path, "%q is not an RFC 3339 time", text).WithFix("write for example 2026-12-24T18:00:00+09:00"))
		}
		return t
	}
	switch {
	case w.Between == nil:
		after, before = read("after", w.After), read("before", w.Before)
	case w.After != "" || w.Before != "":
		errs = append(errs, diag.At("between", "between can't be combined with after and before").WithFix("keep one of the two forms"))
	case len(w.Between) != 2:
		errs = append(errs, diag.At("between", "between has two times, not %d", len(w.Between)).WithFix("write [after, before]"))
	default:
		after, before = read("between[0]", w.Between[0]), read("between[1]", w.Between[1])
	}
	return after, before, errors.Join(errs...)
}
