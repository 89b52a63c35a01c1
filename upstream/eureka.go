package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
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
	if u, err := url.Parse(r.URL); r.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, diag.At("registry.url", "%q is not the URL of a registry", r.URL).WithFix("write for example http://127.0.0.1:8761/eureka"))
	}
	if r.Refresh < minAsk {
		errs = append(errs, diag.At("registry.refresh", "%v is too short", r.Refresh).WithFix("write %v or more", minAsk))
	}
	if r.Prefer != "" && r.Prefer != "host" && r.Prefer != "ip" {
		errs = append(errs, diag.At("registry.prefer", "%q is neither host nor ip", r.Prefer).WithFix("write host or ip"))
	}
	return diag.Join(errs...)
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

const (
	minAsk = 100 * time.Millisecond
	// maxAnswer is the largest answer of a registry about one service.
	maxAnswer     = 32 << 20
	eurekaTimeout = 5 * time.Second
)

// eurekaSource asks a Eureka server. What was found stays while the server is
// down, and also while it knows no instance: one that was restarted knows
// nobody for a while, and must not empty a cluster that works.
type eurekaSource struct {
	cfg    RegistryConfig
	client *http.Client
	failed func(error)
	fine   func()
	float  func() float64
	last   []Addr
}

func newEurekaSource(c *Cluster) *eurekaSource {
	return &eurekaSource{
		cfg: *c.cfg.Registry, failed: c.sourceFailed, fine: c.sourceFine, float: c.env.Float,
		client: &http.Client{Timeout: eurekaTimeout, Transport: &http.Transport{
			DialContext: c.env.Dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
		}},
	}
}

// Run asks until ctx ends.
func (s *eurekaSource) Run(ctx context.Context, set func([]Addr) error) error {
	defer s.client.CloseIdleConnections()
	for {
		if err := s.ask(ctx, set); err != nil && ctx.Err() == nil {
			s.failed(fmt.Errorf("registry %s: %w", redacted(s.cfg.URL), err))
		}
		wait := time.NewTimer(time.Duration(float64(s.cfg.Refresh) * (0.8 + 0.4*s.float()))) // not all at once
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
	}
}

// redacted is a URL without its password.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "?"
	}
	return u.Redacted()
}

// ask asks once.
func (s *eurekaSource) ask(ctx context.Context, set func([]Addr) error) error {
	to := strings.TrimRight(s.cfg.URL, "/") + "/apps/" + url.PathEscape(strings.ToUpper(s.cfg.Name))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL, which may hold a password
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxAnswer:
		return fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case resp.StatusCode == http.StatusNotFound && s.last != nil:
		return fmt.Errorf("it does not know %s", s.cfg.Name)
	case resp.StatusCode == http.StatusNotFound:
		return set(nil)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	addrs, err := parseEureka(body, s.cfg.Prefer == "ip")
	if err != nil {
		return err
	}
	if len(addrs) == 0 && len(s.last) > 0 {
		return fmt.Errorf("no instance of %s is UP", s.cfg.Name)
	}
	if s.last != nil && reflect.DeepEqual(addrs, s.last) {
		s.fine()
		return nil
	}
	if err := set(addrs); err != nil {
		return err
	}
	s.last = addrs
	return nil
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
	HostName   string                     `json:"hostName"`
	IPAddr     string                     `json:"ipAddr"`
	Status     string                     `json:"status"`
	Port       eurekaPort                 `json:"port"`
	SecurePort eurekaPort                 `json:"securePort"`
	Meta       map[string]json.RawMessage `json:"metadata"`
	DataCenter struct {
		Meta map[string]json.RawMessage `json:"metadata"`
	} `json:"dataCenterInfo"`
}

// parseEureka reads {"application": {"instance": […]}} and gives the endpoints
// that are UP. An instance that no address can be made of is left out.
func parseEureka(body []byte, byIP bool) ([]Addr, error) {
	var answer struct {
		Application *struct {
			Instance json.RawMessage `json:"instance"`
		} `json:"application"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer can't be read: %w", err)
	}
	if answer.Application == nil {
		return nil, errors.New("the answer has no application")
	}
	var list []eurekaInstance
	if raw := answer.Application.Instance; len(raw) > 0 && raw[0] == '{' { // one may stand alone
		list = make([]eurekaInstance, 1)
		if err := json.Unmarshal(raw, &list[0]); err != nil {
			return nil, fmt.Errorf("the answer can't be read: %w", err)
		}
	} else if len(raw) > 0 {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("the answer can't be read: %w", err)
		}
	}
	out := []Addr{}
	for i := range list {
		if a, ok := list[i].addr(byIP); ok && list[i].Status == "UP" {
			out = append(out, a)
		}
	}
	return out, nil
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
	if w, err := strconv.Atoi(meta["weight"]); err == nil {
		a.Weight = min(max(w, 0), maxWeight)
	}
	_, err := parseTarget(a.URL)
	return a, ok && err == nil
}
