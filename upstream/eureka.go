package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// checkRegistry lists the faults of the registry source.
func (c *Config) checkRegistry() error {
	r := c.Registry
	if r == nil {
		return nil
	}
	var errs []error
	if r.Name == "" {
		errs = append(errs, diag.At("registry.name", "the name in the registry is missing").WithFix("write registry: {name: NAME}"))
	}
	if r.URL != "" {
		errs = append(errs, checkRegistryURL("registry.url", r.URL))
	}
	for i, u := range r.URLs {
		errs = append(errs, checkRegistryURL(diag.Index("registry.urls", i), u))
	}
	if r.Refresh < minAsk {
		errs = append(errs, diag.At("registry.refresh", "%v is too short", r.Refresh).WithFix("write %v or more", minAsk))
	}
	if r.Prefer != "" && r.Prefer != "host" && r.Prefer != "ip" {
		errs = append(errs, diag.At("registry.prefer", "%q is neither host nor ip", r.Prefer).WithFix("write host or ip"))
	}
	return diag.Join(errs...)
}

func checkRegistryURL(path, s string) error {
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return diag.At(path, "%q is not the URL of a registry", s).WithFix("write for example http://127.0.0.1:8761/eureka")
	}
	return nil
}

// servers are the registries of other processes, in the order to try them; none
// means the registry of this one.
func (r *RegistryConfig) servers() []string {
	var out []string
	for _, u := range append([]string{r.URL}, r.URLs...) {
		if u = strings.TrimRight(u, "/"); u != "" && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// registrySource follows the registry of this process.
type registrySource struct {
	cfg      RegistryConfig
	registry Registry
}

// Run follows until ctx ends.
func (s *registrySource) Run(ctx context.Context, set func([]Addr) error) error {
	if s.registry == nil {
		return errors.New("this process has no registry")
	}
	return s.registry.Follow(ctx, s.cfg.Name, s.cfg.Prefer == "ip", set)
}

const minAsk = 100 * time.Millisecond

// eurekaSource follows a service in a registry elsewhere. What was found stays
// while no server can be reached, and also while a server knows no instance that
// is up: one that was restarted knows nobody for a while, and must not empty a
// cluster that works.
type eurekaSource struct {
	name    string // in upper case
	cluster *Cluster
	remotes *Remotes
	wake    chan struct{} // has room for one
	version uint64        // of the application when last looked at
	last    []Addr
}

// Run follows until ctx ends.
func (s *eurekaSource) Run(ctx context.Context, set func([]Addr) error) error {
	r := s.remotes.join(ctx, s)
	defer s.remotes.leave(s, r)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			if err := s.look(r, set); err != nil {
				s.cluster.sourceFailed(err)
			}
		}
	}
}

// look takes over what the reader has of the service.
func (s *eurekaSource) look(r *eurekaReader, set func([]Addr) error) error {
	addrs, version, err := r.endpoints(s.name, s.version)
	switch {
	case err != nil:
		return err
	case version == s.version && s.last != nil:
		s.cluster.sourceFine()
		return nil
	case len(addrs) == 0 && len(s.last) > 0:
		return fmt.Errorf("the registry has no instance of %s that is up", s.name)
	}
	if s.last != nil && slices.EqualFunc(addrs, s.last, Addr.equal) {
		s.cluster.sourceFine()
	} else if err := set(addrs); err != nil {
		return err
	}
	s.version, s.last = version, addrs
	return nil
}

// equal compares what a source tells of an endpoint.
func (a Addr) equal(b Addr) bool {
	return a.URL == b.URL && a.Zone == b.Zone && a.Weight == b.Weight && maps.Equal(a.Meta, b.Meta)
}

// redacted is a URL without its password.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "?"
	}
	return u.Redacted()
}

// eurekaPort is a port of an instance; its number may come as a text.
type eurekaPort struct {
	Number  json.RawMessage `json:"$"`
	Enabled json.RawMessage `json:"@enabled"`
}

func (p eurekaPort) open() (int, bool) {
	n, err := strconv.Atoi(strings.Trim(string(p.Number), `"`))
	return n, err == nil && n > 0 && n < 1<<16 && strings.Trim(string(p.Enabled), `"`) == "true"
}

// eurekaInstance is what counts of an instance for calling it.
type eurekaInstance struct {
	ID         string                     `json:"instanceId"`
	HostName   string                     `json:"hostName"`
	IPAddr     string                     `json:"ipAddr"`
	Status     string                     `json:"status"`
	Port       eurekaPort                 `json:"port"`
	SecurePort eurekaPort                 `json:"securePort"`
	Meta       map[string]json.RawMessage `json:"metadata"`
	Action     string                     `json:"actionType"`
	DataCenter struct {
		Meta map[string]json.RawMessage `json:"metadata"`
	} `json:"dataCenterInfo"`
}

// eurekaListing is a full listing or a delta.
type eurekaListing struct {
	Applications *struct {
		Hash string `json:"apps__hashcode"`
		List alone[struct {
			Name     string                `json:"name"`
			Instance alone[eurekaInstance] `json:"instance"`
		}] `json:"application"`
	} `json:"applications"`
}

// alone is an array in JSON of which one element may stand alone.
type alone[T any] []T

// UnmarshalJSON takes an array, an element, or null.
func (l *alone[T]) UnmarshalJSON(b []byte) error {
	if b[0] == '[' || string(b) == "null" {
		return json.Unmarshal(b, (*[]T)(l))
	}
	*l = make([]T, 1)
	return json.Unmarshal(b, &(*l)[0])
}

// parseEureka reads a listing or a delta.
func parseEureka(body []byte) (*eurekaListing, error) {
	l := new(eurekaListing)
	if err := json.Unmarshal(body, l); err != nil {
		return nil, fmt.Errorf("the answer can't be read: %w", err)
	}
	if l.Applications == nil {
		return nil, errors.New("the answer has no applications")
	}
	return l, nil
}

// addr is the endpoint of an instance; false when none can be made.
func (in *eurekaInstance) addr(byIP bool) (Addr, bool) {
	meta := make(map[string]string, len(in.Meta))
	for k, v := range in.Meta {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		if k != "@class" {
			meta[k] = s
		}
	}
	scheme, host := "http", in.HostName
	port, ok := in.Port.open()
	if !ok {
		scheme = "https"
		port, ok = in.SecurePort.open()
	}
	if byIP || strings.EqualFold(meta["preferIpAddress"], "true") || host == "" {
		host = in.IPAddr
	}
	a := Addr{URL: scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port)), Zone: meta["zone"], Meta: meta}
	if a.Zone == "" {
		a.Zone = strings.Trim(string(in.DataCenter.Meta["availability-zone"]), `"`)
	}
	a.Weight = weightOf(meta)
	_, err := parseTarget(a.URL)
	return a, ok && err == nil
}

// weightOf is the weight that an instance says of itself; none is 0.
func weightOf(meta map[string]string) int {
	w, err := strconv.Atoi(meta["weight"])
	if err != nil {
		return 0
	}
	return min(max(w, 0), maxWeight)
}
