package route

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/message"
)

// host is one host of a route.
type host struct {
	name   string // lower case; of a wildcard without "*."; "" is any
	labels int    // of a wildcard
	exact  bool
}

// rule is a compiled Match.
type rule struct {
	hosts   []host
	path    *pattern
	methods methodSet
	preds   []predicate

	headers, query, cookies []test
	client                  []netip.Prefix
	scheme, protocol        string
	listeners               []string
	window                  windowTest
	segment                 *segmentTest
	weight                  int // -1: none
	group                   string
	priority                int
	encoded                 Encoded
	rank                    rank // without the host
}

// Limits of a Match.
const (
	maxHosts    = 256
	maxTests    = 32
	maxLabels   = 32
	maxPriority = 1_000_000
	maxWeight   = 1_000_000
)

// compiler collects the faults of one Match.
type compiler struct {
	errs []error
}

func (c *compiler) at(path, format string, args ...any) *diag.FieldError {
	e := diag.At(path, format, args...)
	c.errs = append(c.errs, e)
	return e
}

// compile makes a rule of a Match; the error holds field errors.
func compile(m *Match) (*rule, error) {
	var c compiler
	r := &rule{weight: -1, group: m.Group, priority: m.Priority}
	var err error
	if r.path, err = parsePattern(m.Path); err != nil {
		c.errs = append(c.errs, diag.Under("path", err))
	}
	c.hosts(r, m.Host)
	c.methods(r, m.Methods)
	r.headers = c.tests("headers", m.Headers)
	r.query = c.tests("query", m.Query)
	r.cookies = c.tests("cookies", m.Cookies)
	c.fieldNames(r)
	c.client(r, m.Client)
	c.words(r, m)
	c.time(r, &m.Time)
	c.segment(r, &m.Segment)
	c.weight(r, m)
	if m.Priority > maxPriority || m.Priority < -maxPriority {
		c.at("priority", "the priority %d is not between -%d and %d", m.Priority, maxPriority, maxPriority).WithFix("write a small number such as 10")
	}
	if c.errs != nil {
		return nil, errors.Join(c.errs...)
	}
	r.predicates()
	r.rank = rankOf(r)
	return r, nil
}

func (c *compiler) hosts(r *rule, names List) {
	if len(names) > maxHosts {
		c.at("host", "%d hosts are more than %d", len(names), maxHosts).WithFix("write a wildcard such as *.example.com, or more routes")
		return
	}
	for i, n := range names {
		h, err := parseHost(n)
		path := "host"
		if len(names) > 1 {
			path = at("host", i)
		}
		if err != nil {
			c.errs = append(c.errs, diag.Under(path, err))
			continue
		}
		if slices.Contains(r.hosts, h) {
			c.at(path, "the host %q is there twice", n).WithFix("remove one of the two")
			continue
		}
		r.hosts = append(r.hosts, h)
	}
	if len(names) == 0 {
		r.hosts = []host{{}}
	}
}

// parseHost reads "api.example.com", "*.example.com", "[::1]".
func parseHost(s string) (host, error) {
	name := strings.ToLower(s)
	if name == "*" || name == "" {
		return host{}, diag.At("", "%q is not a host", s).WithFix("leave host out for every host")
	}
	if name[0] == '[' {
		a, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if err != nil || !a.Is6() || !strings.HasSuffix(name, "]") {
			return host{}, diag.At("", "%q is not a host", s).WithFix("write [::1]: brackets, no port")
		}
		return host{name: name, exact: true}, nil
	}
	suffix, wild := strings.CutPrefix(name, "*.")
	trimmed := strings.TrimSuffix(suffix, ".")
	switch i := strings.IndexFunc(trimmed, func(c rune) bool { return !hostOctet(c) }); {
	case i >= 0 && trimmed[i] == ':':
		return host{}, diag.At("", "%q has a port; routes don't look at it", s).WithFix("write %s", s[:strings.IndexByte(s, ':')])
	case i >= 0 && trimmed[i] == '*':
		return host{}, diag.At("", "%q: a * stands for whole labels at the start only", s).WithFix("write *.example.com")
	case i >= 0, len(trimmed) > 255, trimmed == "", trimmed[0] == '.', strings.Contains(trimmed, ".."):
		return host{}, diag.At("", "%q is not a host", s).WithFix("write a name such as api.example.com; letters beyond ASCII in their xn-- form")
	}
	if trimmed != suffix {
		return host{}, diag.At("", "%q ends with a dot, which requests are matched without", s).WithFix("write %s", strings.TrimSuffix(s, "."))
	}
	labels := strings.Count(suffix, ".") + 1
	if wild && labels > maxLabels {
		return host{}, diag.At("", "%q has more than %d labels", s, maxLabels).WithFix("write a shorter name")
	}
	if !wild {
		labels = 0
	}
	return host{name: suffix, labels: labels, exact: !wild}, nil
}

func hostOctet(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_'
}

func (c *compiler) methods(r *rule, names List) {
	for i, m := range names {
		path := "methods"
		if len(names) > 1 {
			path = at("methods", i)
		}
		upper := strings.ToUpper(m)
		switch {
		case !message.ValidToken(m):
			c.at(path, "%q is not a method", m).WithFix("write GET, or [GET, POST]")
		case m != upper && methodBit(upper) != 0:
			c.at(path, "%q is not a method: they are case-sensitive", m).WithFix("write %s", upper)
		default:
			r.methods.add(m)
		}
	}
}

// tests reads a mapping of names to predicates, in the order of the names.
func (c *compiler) tests(field string, m map[string]string) []test {
	if len(m) == 0 {
		return nil
	}
	if len(m) > maxTests {
		c.at(field, "%d predicates are more than %d", len(m), maxTests).WithFix("leave out those that others imply")
	}
	out := make([]test, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		t, err := parseTest(name, m[name])
		if err != nil {
			c.errs = append(c.errs, diag.Under(field+"."+name, err))
			continue
		}
		out = append(out, t)
	}
	return out
}

func parseTest(name, value string) (test, error) {
	t := test{name: name, want: value}
	switch {
	case value == "present":
		t.op, t.want = opPresent, ""
	case value == "absent":
		t.op, t.want = opAbsent, ""
	case strings.HasPrefix(value, "exact:"):
		t.want = value[len("exact:"):]
	case strings.HasPrefix(value, regexPrefix):
		re, err := compileRegex(value[len(regexPrefix):])
		if err != nil {
			return t, err
		}
		t.op, t.want, t.re = opRegex, value[len(regexPrefix):], re
	}
	return t, nil
}

// fieldNames refuses names that no request can have.
func (c *compiler) fieldNames(r *rule) {
	seen := make(map[string]bool, len(r.headers))
	for i := range r.headers {
		t := &r.headers[i]
		folded := strings.ToLower(t.name)
		switch {
		case !message.ValidToken(t.name):
			c.at("headers."+t.name, "%q is not a field name", t.name).WithFix("use letters, digits and dashes")
		case seen[folded]:
			c.at("headers."+t.name, "the header %q is there twice, in another case", t.name).WithFix("keep one of the two")
		case folded == "host":
			c.at("headers."+t.name, "Host is not a header here").WithFix("write host: %s", t.want)
		case folded == "content-length", folded == "transfer-encoding":
			c.at("headers."+t.name, "%s frames the message and is not a header here", t.name).WithFix("remove it")
		case t.op == opExact && !message.ValidValue(t.want):
			c.at("headers."+t.name, "%q can't be the value of a header", t.want).WithFix("remove control characters, and spaces at the ends")
		}
		seen[folded] = true
	}
	for i := range r.cookies {
		if t := &r.cookies[i]; !message.ValidToken(t.name) {
			c.at("cookies."+t.name, "%q is not the name of a cookie", t.name).WithFix("use letters, digits, dashes and underscores")
		}
	}
	for i := range r.query {
		if t := &r.query[i]; t.name == "" {
			c.at("query", "a parameter has no name").WithFix("write its name, or remove it")
		}
	}
}

func (c *compiler) client(r *rule, list List) {
	for i, s := range list {
		path := "client"
		if len(list) > 1 {
			path = at("client", i)
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil || a.Zone() != "" {
				c.at(path, "%q is neither a CIDR nor an address", s).WithFix("write for example 10.0.0.0/8")
				continue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			c.at(path, "%q is an IPv4 address in IPv6 form", s).WithFix("write it as IPv4")
			continue
		}
		if p != p.Masked() {
			c.at(path, "%q has bits beyond its length", s).WithFix("write %s", p.Masked())
			continue
		}
		r.client = append(r.client, p)
	}
}

func (c *compiler) words(r *rule, m *Match) {
	switch m.Scheme {
	case "", "http", "https":
		r.scheme = m.Scheme
	default:
		c.at("scheme", "%q is not a scheme", m.Scheme).WithFix("write http or https")
	}
	switch m.Protocol {
	case "", "grpc", "websocket":
		r.protocol = m.Protocol
	default:
		c.at("protocol", "%q is not a protocol that routes know", m.Protocol).WithFix("write grpc or websocket")
	}
	r.listeners = m.Listener
}

func (c *compiler) time(r *rule, w *Window) {
	after, before, err := w.bounds()
	if err != nil {
		c.errs = append(c.errs, diag.Under("time", err))
		return
	}
	if !after.IsZero() && !before.IsZero() && !after.Before(before) {
		c.at("time", "the window ends before it begins, so the route takes nothing").WithFix("exchange the two times")
	}
	r.window = windowTest{after, before}
}

func (c *compiler) segment(r *rule, s *Segment) {
	if *s == (Segment{}) {
		return
	}
	t := &segmentTest{by: s.By, kind: 'c', from: s.From, to: s.To}
	kind, name, _ := strings.Cut(s.By, " ")
	switch {
	case s.By == "", s.By == "client":
		t.by = "client"
	case kind == "header" && message.ValidToken(name):
		t.kind, t.name = 'h', name
	case kind == "cookie" && message.ValidToken(name):
		t.kind, t.name = 'k', name
	default:
		c.at("segment.by", "%q is not a key", s.By).WithFix("write client, header NAME or cookie NAME")
	}
	if !(s.From >= 0 && s.To <= 1 && s.From < s.To) {
		c.at("segment", "%v to %v is no part of 0 to 1", s.From, s.To).WithFix("write two numbers, the smaller first, such as [0, 0.1]")
	}
	r.segment = t
}

func (c *compiler) weight(r *rule, m *Match) {
	if m.Weight != nil {
		r.weight = *m.Weight
		if r.weight < 0 || r.weight > maxWeight {
			c.at("weight", "the weight %d is not between 0 and %d", r.weight, maxWeight).WithFix("write a number such as 20; 0 takes nothing")
		}
		return
	}
	if m.Group != "" {
		c.at("group", "a group shares traffic by weight, and there is none").WithFix("add weight: 1")
	}
}

// predicates lists them in the order of their cost.
func (r *rule) predicates() {
	if r.scheme != "" {
		r.preds = append(r.preds, &schemeTest{r.scheme})
	}
	if r.listeners != nil {
		r.preds = append(r.preds, &listenerTest{r.listeners})
	}
	switch r.protocol {
	case "grpc":
		r.preds = append(r.preds, grpcTest{})
	case "websocket":
		r.preds = append(r.preds, websocketTest{})
	}
	if r.client != nil {
		r.preds = append(r.preds, &clientTest{r.client})
	}
	for i := range r.headers {
		r.headers[i].name = strings.ToLower(r.headers[i].name)
	}
	for _, t := range byCost(r.headers) {
		r.preds = append(r.preds, &headerTest{t, message.NameID(t.name)})
	}
	for _, t := range byCost(r.query) {
		r.preds = append(r.preds, &queryTest{t})
	}
	for _, t := range byCost(r.cookies) {
		r.preds = append(r.preds, &cookieTest{t})
	}
	if r.window != (windowTest{}) {
		r.preds = append(r.preds, &r.window)
	}
	if r.segment != nil {
		r.preds = append(r.preds, r.segment)
	}
}

// byCost puts regular expressions last.
func byCost(tests []test) []test {
	if len(tests) < 2 {
		return tests
	}
	return slices.SortedStableFunc(slices.Values(tests), func(a, b test) int {
		return cmp.Compare(bit(a.op == opRegex), bit(b.op == opRegex))
	})
}

// takes tells whether all but host, path and method hold.
func (r *rule) takes(q *message.Request) bool {
	for _, p := range r.preds {
		if !p.holds(q) {
			return false
		}
	}
	return true
}

// takesHost tells whether h takes the host of a request.
func (h host) takes(name string) bool {
	switch {
	case h.name == "":
		return true
	case h.exact:
		return h.name == name
	}
	// One or more whole labels before the domain.
	n := len(name) - len(h.name)
	return n > 1 && name[n-1] == '.' && name[n:] == h.name
}

// key is everything that a rule matches on, and its group: rules with equal keys
// share their traffic by weight.
func (r *rule) key() string {
	hosts := make([]string, len(r.hosts))
	for i, h := range r.hosts {
		hosts[i] = h.String()
	}
	slices.Sort(hosts)
	methods := r.methods.names()
	slices.Sort(methods)
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q %q %q %v %q %q %q %v %d", r.group, hosts, r.path.text, methods, r.client, r.scheme, r.protocol, r.listeners, r.window, r.priority)
	for _, tests := range [][]test{r.headers, r.query, r.cookies} {
		b.WriteByte('|')
		for i := range tests {
			fmt.Fprintf(&b, "%q %d %q ", tests[i].name, tests[i].op, tests[i].want)
		}
	}
	if r.segment != nil {
		fmt.Fprintf(&b, "|%q %v %v", r.segment.by, r.segment.from, r.segment.to)
	}
	return b.String()
}

// String is the host as a file has it.
func (h host) String() string {
	if h.exact || h.name == "" {
		return h.name
	}
	return "*." + h.name
}
