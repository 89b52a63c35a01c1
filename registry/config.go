package registry

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
)

// Config is the registry as the file has it. The zero value works: it serves on
// loopback, keeps nothing on disk and has no peers.
type Config struct {
	// Address is host:port (default "127.0.0.1:8761"); an empty host is loopback.
	Address string `yaml:"address"`
	// Data is a folder for the last good copy, with which a restart begins
	// (default none: clients register again within their renewal interval).
	Data string `yaml:"data"`
	// Peers are the URLs of the other registries of the cluster, such as
	// http://10.0.0.2:8761/eureka (default none).
	Peers []string `yaml:"peers"`
	// Self is our own URL as the peers have it, so that it may stand in the same
	// list everywhere (default none).
	Self string `yaml:"self"`
	// Name is what we register ourselves as when Self is set: pages of the original
	// call a replica available by that (default "EUREKA").
	Name string `yaml:"name"`
	// Users may use the listener, each with "sha256:" and the SHA-256 of a secret in
	// hexadecimal; clients write name and secret into the URL (default none: no
	// password is asked for).
	Users map[string]string `yaml:"users"`
	// ReadLimit is the most readings of listings a second; further ones are answered
	// 503 (default 0: no limit). Registrations and renewals are never refused.
	ReadLimit int `yaml:"read-limit"`
	// Expiry is "maru" (default): a lease ends one duration after the last
	// renewal; or "eureka": after two, as in the original. Two count by
	// themselves while a peer is not maru.
	Expiry string `yaml:"expiry"`
	// Protect is "on" (default): while too few renewals arrive nobody is
	// evicted but whose port refuses connections; "strict": nobody at all;
	// "off": everybody whose lease ended.
	Protect string `yaml:"protect"`
	// LegacyOverrideKey writes overriddenstatus in JSON, for Spring clients with
	// eureka-client up to 1.9.1 (default false).
	LegacyOverrideKey bool `yaml:"legacy-override-key"`
	// MaxInstances is the most instances (default 200000).
	MaxInstances int `yaml:"max-instances"`
	// MaxApplications is the most applications (default 50000).
	MaxApplications int `yaml:"max-applications"`
}

// DefaultAddress is where the registry listens unless the file says otherwise.
const DefaultAddress = "127.0.0.1:8761"

func (c Config) withDefaults() Config { //nolint:gocritic // the copy is the point
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	if strings.HasPrefix(c.Address, ":") {
		c.Address = "127.0.0.1" + c.Address
	}
	if c.Name == "" {
		c.Name = "EUREKA"
	}
	if c.Expiry == "" {
		c.Expiry = "maru"
	}
	if c.Protect == "" {
		c.Protect = "on"
	}
	if c.MaxInstances == 0 {
		c.MaxInstances = 200_000
	}
	if c.MaxApplications == 0 {
		c.MaxApplications = 50_000
	}
	return c
}

// WithDefaults fills in what was left out.
func (c Config) WithDefaults() Config { return c.withDefaults() } //nolint:gocritic // the copy is the point

// Check lists every fault as field errors of package diag, joined. It opens
// nothing.
func (c Config) Check() error { //nolint:gocritic // as withDefaults
	c = c.withDefaults()
	var errs []error
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || port == "" {
		errs = append(errs, diag.At("address", "%q is not host:port", c.Address).WithFix("write for example %q", DefaultAddress))
	} else if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		errs = append(errs, diag.At("address", "%q is not an address of this machine", host).WithFix("write an IP address"))
	}
	for i, p := range c.Peers {
		errs = append(errs, checkURL(diag.Index("peers", i), p))
	}
	if c.Self != "" {
		errs = append(errs, checkURL("self", c.Self))
	}
	if strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) || len(c.Name) > maxID {
		errs = append(errs, diag.At("name", "%q is not the name of a service", c.Name).WithFix("write letters, digits and dashes"))
	}
	for _, user := range slices.Sorted(maps.Keys(c.Users)) {
		if _, ok := secretHash(c.Users[user]); !ok {
			errs = append(errs, diag.At("users."+user, "it is not sha256: and 64 hexadecimal digits").
				WithFix("make it with: printf %%s SECRET | sha256sum"))
		} else if user == "" || strings.Contains(user, ":") {
			errs = append(errs, diag.At("users."+user, "%q is not a user's name", user).WithFix("write a name without a colon"))
		}
	}
	if c.ReadLimit < 0 {
		errs = append(errs, diag.At("read-limit", "%d is less than 0", c.ReadLimit).WithFix("write 0 for no limit, or how many a second"))
	}
	errs = append(errs, oneOf("expiry", c.Expiry, "maru", "eureka"), oneOf("protect", c.Protect, "on", "strict", "off"))
	if c.MaxInstances < 1 {
		errs = append(errs, diag.At("max-instances", "%d is less than 1", c.MaxInstances).WithFix("write 1 or more"))
	}
	if c.MaxApplications < 1 {
		errs = append(errs, diag.At("max-applications", "%d is less than 1", c.MaxApplications).WithFix("write 1 or more"))
	}
	return diag.Join(errs...)
}

func checkURL(path, s string) error {
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return diag.At(path, "%q is not the URL of a registry", s).WithFix("write for example http://10.0.0.2:8761/eureka")
	}
	return nil
}

func oneOf(path, word string, words ...string) error {
	if slices.Contains(words, word) {
		return nil
	}
	return diag.At(path, "%q is not one of %s", word, strings.Join(words, ", ")).WithFix("write one of %s", strings.Join(words, ", "))
}
