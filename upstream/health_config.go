package upstream

import (
	"net/url"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// CheckConfig is how endpoints are checked, each over a connection of its own.
// One of http, tcp and grpc says how.
type CheckConfig struct {
	// HTTP is a path that is asked for with GET, such as /health.
	HTTP string `yaml:"http"`
	// TCP only connects, and shakes hands with TLS (default false).
	TCP bool `yaml:"tcp"`
	// GRPC asks the service grpc.health.v1.Health (default false).
	GRPC bool `yaml:"grpc"`
	// Service is the name that grpc asks about (default the whole server).
	Service string `yaml:"service"`
	// Expect is the status that http wants, or a class such as 2xx (default 200).
	Expect string `yaml:"expect"`
	// Interval is between two checks of an endpoint, ±20 % (default 2s).
	Interval time.Duration `yaml:"interval"`
	// Timeout bounds one check (default 1s).
	Timeout time.Duration `yaml:"timeout"`
	// Rise is how many checks in a row must pass until the endpoint is up again (default 2).
	Rise int `yaml:"rise"`
	// Fall is how many checks in a row must fail until it is down (default 3).
	Fall int `yaml:"fall"`
}

// UnmarshalText takes the short form: a path, tcp or grpc.
func (k *CheckConfig) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "tcp":
		*k = CheckConfig{TCP: true}
	case "grpc":
		*k = CheckConfig{GRPC: true}
	default:
		*k = CheckConfig{HTTP: s}
	}
	return nil
}

// withDefaults fills in what is left out; nil stays nil.
func (k *CheckConfig) withDefaults() *CheckConfig {
	if k == nil {
		return nil
	}
	full := *k
	if full.Interval == 0 {
		full.Interval = 2 * time.Second
	}
	if full.Timeout == 0 {
		full.Timeout = time.Second
	}
	if full.Expect == "" {
		full.Expect = "200"
	}
	if full.Rise == 0 {
		full.Rise = 2
	}
	if full.Fall == 0 {
		full.Fall = 3
	}
	return &full
}

func (c *Config) checkCheck() error {
	k := c.Health
	if k == nil {
		return nil
	}
	const write = "write check: /health, check: tcp or check: grpc"
	var errs []error
	fault := func(key, fix, format string, args ...any) {
		errs = append(errs, diag.At(key, format, args...).WithFix("%s", fix))
	}
	ways := 0
	for _, used := range []bool{k.HTTP != "", k.TCP, k.GRPC} {
		if used {
			ways++
		}
	}
	switch {
	case ways != 1:
		fault("", write, "exactly one of http, tcp and grpc says how to check")
	case k.HTTP != "" && !validCheckPath(k.HTTP):
		fault("http", "write a path such as /health", "%q is not a path", k.HTTP)
	case k.GRPC && c.HTTP == HTTP1:
		fault("grpc", "write http: 2c, or http: 2 with TLS", "gRPC needs HTTP/2, but the service is called by HTTP/1.1")
	case k.Service != "" && !k.GRPC:
		fault("service", "remove service, or check by grpc", "service is only for grpc")
	}
	if _, _, err := parseExpect(k.Expect); err != nil {
		fault("expect", "write 200, or a class such as 2xx", "%s", err.Error())
	}
	if k.Interval < 100*time.Millisecond || k.Interval > time.Hour {
		fault("interval", "write a time such as 2s", "%v is not between 100ms and 1h", k.Interval)
	}
	if k.Timeout < time.Millisecond || k.Timeout > k.Interval {
		fault("timeout", "write a time that is not above the interval", "%v is not between 1ms and the interval, %v", k.Timeout, k.Interval)
	}
	if k.Rise < 1 || k.Rise > 100 {
		fault("rise", "write a number such as 2", "%d is not between 1 and 100", k.Rise)
	}
	if k.Fall < 1 || k.Fall > 100 {
		fault("fall", "write a number such as 3", "%d is not between 1 and 100", k.Fall)
	}
	return diag.Join(errs...)
}

// validCheckPath takes a path with an optional query, as it stands in a request line.
func validCheckPath(s string) bool {
	u, err := url.ParseRequestURI(s)
	return err == nil && strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && u.Fragment == "" &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' })
}
