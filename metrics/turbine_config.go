package metrics

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/upstream"
)

// TurbineConfig says whose hystrix.streams are added up in turbine.stream. The
// names are those of Spring Cloud's Turbine, so that settings move as they are.
type TurbineConfig struct {
	// AppConfig names the services whose instances have a stream: services of this
	// file, or of the registry of this process. A list, or text with commas
	// (default none: only what this process knows itself).
	AppConfig Apps `yaml:"appConfig"`
	// ClusterNameExpression says which cluster an instance belongs to: serviceId
	// (default), its service; 'default', none but that of all; metadata['cluster'],
	// what it says in its metadata.
	ClusterNameExpression string `yaml:"clusterNameExpression"`
	// InstanceURLSuffix is the path of an instance's stream (default
	// actuator/hystrix.stream): one, or one for each cluster.
	InstanceURLSuffix Suffixes `yaml:"instanceUrlSuffix"`
	// Board is whose arithmetic pools are made for: spring (default) or netflix,
	// whose board divides a pool's window by the number of hosts.
	Board string `yaml:"board"`
}

// Apps are names of services. The short form is text with commas.
type Apps []string

// UnmarshalText reads the short form.
func (a *Apps) UnmarshalText(text []byte) error {
	*a = nil
	for name := range strings.SplitSeq(string(text), ",") {
		if name = strings.TrimSpace(name); name != "" {
			*a = append(*a, name)
		}
	}
	return nil
}

// Suffixes are paths by cluster; "default" is that of all others. The short form
// is that one.
type Suffixes map[string]string

// UnmarshalText reads the short form.
func (s *Suffixes) UnmarshalText(text []byte) error {
	*s = Suffixes{everything: string(text)}
	return nil
}

// everything is the cluster of all that is known, and the key of what holds for
// all clusters.
const everything = "default"

// The expressions that are understood.
const (
	byService  = "serviceId"
	byDefault  = "'default'"
	byMetadata = "metadata['cluster']"
)

const (
	usualSuffix = "actuator/hystrix.stream"
	mostApps    = 1000
)

// Check lists every fault as field errors of package diag, joined.
func (c *TurbineConfig) Check() error {
	var errs []error
	if !slices.Contains([]string{"", byService, byDefault, everything, byMetadata}, c.ClusterNameExpression) {
		errs = append(errs, diag.At("clusterNameExpression", "the expression %q is not understood", c.ClusterNameExpression).
			WithFix("write %s, \"%s\" or %s", byService, byDefault, byMetadata))
	}
	if !slices.Contains([]string{"", "spring", "netflix"}, c.Board) {
		errs = append(errs, diag.At("board", "%q is not known", c.Board).WithFix("write spring or netflix"))
	}
	if len(c.AppConfig) > mostApps {
		errs = append(errs, diag.At("appConfig", "%d services are more than %d", len(c.AppConfig), mostApps).WithFix("name fewer"))
	}
	for i, name := range c.AppConfig {
		if name == "" || strings.ContainsAny(name, " \t/,") {
			errs = append(errs, diag.At(diag.Index("appConfig", i), "%q is not the name of a service", name).WithFix("write the name that it registers with"))
		}
	}
	for cluster, suffix := range c.InstanceURLSuffix {
		if u, err := url.Parse("http://a/" + strings.TrimPrefix(suffix, "/")); err != nil || u.Host != "a" || u.Fragment != "" || strings.ContainsAny(suffix, " \t") {
			errs = append(errs, diag.At("instanceUrlSuffix."+cluster, "%q is not a path", suffix).WithFix("write for example %s", usualSuffix))
		}
	}
	return diag.Join(errs...)
}

// cluster is the name of an instance's cluster.
func (c *TurbineConfig) cluster(app string, a *upstream.Addr) string {
	switch c.ClusterNameExpression {
	case byDefault, everything:
		return everything
	case byMetadata:
		if name := a.Meta["cluster"]; name != "" {
			return name
		}
		return everything
	}
	return app
}

// stream is the address of an instance's stream; "" when none can be made of
// what it says.
func (c *TurbineConfig) stream(cluster string, a *upstream.Addr) string {
	u, err := url.Parse(a.URL)
	if err != nil || u.Host == "" {
		return ""
	}
	host, port := u.Hostname(), u.Port()
	if n, err := strconv.ParseUint(a.Meta["management.port"], 10, 16); err == nil && n > 0 {
		port = strconv.FormatUint(n, 10)
	}
	suffix := usualSuffix
	for _, key := range [...]string{everything, cluster} {
		for name, s := range c.InstanceURLSuffix {
			if strings.EqualFold(name, key) {
				suffix = s
			}
		}
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host + "/" + strings.TrimPrefix(suffix, "/")
}
