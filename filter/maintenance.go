package filter

import (
	"net/netip"
	"time"

	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// Maintenance answers 503 with Retry-After while it is active, except to those
// who may pass: by address, or by a header with a secret.
type Maintenance struct {
	// Active turns it off and on without removing it (default true).
	Active *bool `yaml:"active"`
	// RetryAfter tells clients when to come back (default 5m; 0s sends none).
	RetryAfter *time.Duration `yaml:"retry-after"`
	// Detail is what clients read (default "this part is under maintenance").
	Detail string `yaml:"detail"`
	// Bypass are CIDRs or addresses that pass (default none).
	Bypass []string `yaml:"bypass"`
	// BypassHeader is a field whose secret value lets a request pass (default none).
	BypassHeader *BypassHeader `yaml:"bypass-header"`
}

// BypassHeader is a field name with the value that opens.
type BypassHeader struct {
	// Name of the field (required).
	Name string `yaml:"name"`
	// Value that opens, at least 16 bytes (required).
	Value string `yaml:"value"`
}

const minSecret = 16

// Filter is the constructor.
func (c *Maintenance) Filter(Env) (Filter, error) {
	var f faults
	p := problem.Error{Status: 503, Reason: "maintenance", Detail: c.Detail, RetryAfter: 5 * time.Minute}
	if p.Detail == "" {
		p.Detail = "this part is under maintenance"
	}
	if c.RetryAfter != nil {
		p.RetryAfter = *c.RetryAfter
		if p.RetryAfter < 0 {
			f.at("retry-after", "%v is in the past", p.RetryAfter).WithFix("write a time such as 5m")
		}
	}
	var pass []netip.Prefix
	for i, text := range c.Bypass {
		pass = append(pass, f.prefix(at("bypass", i), text)...)
	}
	var key BypassHeader
	if c.BypassHeader != nil {
		key = *c.BypassHeader
		f.field("bypass-header.name", key.Name)
		f.value("bypass-header.value", key.Value)
		if len(key.Value) < minSecret {
			f.at("bypass-header.value", "the secret has %d bytes, less than %d", len(key.Value), minSecret).
				WithFix("write a longer one, such as the output of openssl rand -hex 16")
		}
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	if c.Active != nil && !*c.Active {
		return func(next Func) Func { return next }, nil
	}
	return func(next Func) Func {
		return func(r *message.Request) (*message.Response, error) {
			open := contains(pass, r.X.Client.Unmap())
			if key.Name != "" {
				if sameSecret(r.Header.Get(key.Name), key.Value) {
					open = true
				}
				r.Header.Del(key.Name) // the service has no business with the secret
			}
			if !open {
				q := p
				return nil, &q
			}
			return next(r)
		}
	}, nil
}
