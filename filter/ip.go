package filter

import (
	"net/netip"
	"strings"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// IP lets clients in or keeps them out by address: the client's address after
// the trust rules of the listener. The first entry that matches decides. When
// none does, a list with an allow entry refuses, any other lets in.
// Short forms: one CIDR to allow, or the rules.
type IP struct {
	// Rules in order: "allow 10.0.0.0/8", "deny 10.0.0.7", "deny all"; without
	// a word the entry allows (no default; this, or allow and deny).
	Rules []string `yaml:"rules"`
	// Allow are CIDRs or addresses that may call (no default); asked after deny.
	Allow []string `yaml:"allow"`
	// Deny are CIDRs or addresses that may not (no default); asked first.
	Deny []string `yaml:"deny"`
}

// UnmarshalText reads one CIDR to allow.
func (c *IP) UnmarshalText(text []byte) error {
	c.Rules = []string{string(text)}
	return nil
}

// UnmarshalList reads the rules.
func (c *IP) UnmarshalList(list []string) error {
	c.Rules = append([]string{}, list...)
	return nil
}

type ipRule struct {
	prefix netip.Prefix
	allow  bool
}

// Filter is the constructor.
func (c *IP) Filter(Env) (Filter, error) {
	var f faults
	var rules []ipRule
	add := func(path, text string, allow bool) {
		for _, p := range f.prefix(path, text) {
			rules = append(rules, ipRule{p, allow})
		}
	}
	c.check(&f)
	for i, text := range c.Rules {
		word, cidr, ok := strings.Cut(strings.TrimSpace(text), " ")
		if !ok {
			word, cidr = "allow", word
		}
		if word != "allow" && word != "deny" {
			f.at(at("rules", i), "%q is neither allow nor deny", word).WithFix("write allow %s or deny %s", cidr, cidr)
			continue
		}
		add(at("rules", i), strings.TrimSpace(cidr), word == "allow")
	}
	for i, text := range c.Deny {
		add(at("deny", i), text, false)
	}
	for i, text := range c.Allow {
		add(at("allow", i), text, true)
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	rest := true // what happens to an address that no rule names
	for i := range rules {
		rest = rest && !rules[i].allow
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			if !decideIP(rules, r.X.Client, rest) {
				return nil, problem.New(403, "ip_denied", "this address may not call this route")
			}
			return next(r)
		}
	}, nil
}

func (c *IP) check(f *faults) {
	if c.Rules != nil && (c.Allow != nil || c.Deny != nil) {
		f.at("rules", "rules stands alone").WithFix("write everything as rules, or use allow and deny")
	}
	switch {
	case c.Allow != nil && len(c.Allow) == 0:
		f.at("allow", "an empty allow list would let nobody in").WithFix("name an address, or remove allow")
	case c.Rules != nil && len(c.Rules) == 0:
		f.at("rules", "there is no rule").WithFix("write one such as allow 10.0.0.0/8")
	case len(c.Rules)+len(c.Allow)+len(c.Deny) == 0:
		f.at("", "ip needs addresses to allow or deny").WithFix("write allow: [10.0.0.0/8]")
	}
}

func decideIP(rules []ipRule, a netip.Addr, rest bool) bool {
	a = a.Unmap()
	for i := range rules {
		if rules[i].prefix.Contains(a) {
			return rules[i].allow
		}
	}
	return rest
}
