package edge

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
)

// front is one listener's part of a Runtime: its rules and its chain. The
// socket belongs to the Server and outlives it.
type front struct {
	rt    *Runtime
	name  string
	cfg   ListenerConfig
	addr  string // as given to net.Listen
	trust trust
	via   string
	chain filter.Func
	tls   *tlsSource
}

// fronts makes the listeners' rules.
func (b *builder) fronts() {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(b.rt.Config.Listen)) {
		cfg := b.rt.Config.Listen[name]
		path := "listen." + name
		f := &front{rt: b.rt, name: name, cfg: cfg, via: viaOf(cfg.Via)}
		var err error
		f.addr, err = bindAddress(name, cfg.Address)
		b.fault(path+".address", err)
		if other, taken := seen[f.addr]; taken && err == nil && !strings.HasSuffix(f.addr, ":0") {
			e := diag.At("", "listener %s has the same address", other).WithFix("give one of them another port")
			e.Related = []string{"listen." + other + ".address"}
			b.fault(path+".address", e)
		}
		seen[f.addr] = name
		f.trust, err = newTrust(&cfg)
		b.fault(path, err)
		f.trust.private = name != "public"
		b.protocols(path, f)
		filters, _ := b.filters(path+".filters", "listener:"+name, "", cfg.Filters)
		f.chain = filter.Chain(f.routed, filters...)
		b.rt.listeners[name] = f
	}
}

// protocols checks what a listener speaks and prepares its TLS.
func (b *builder) protocols(path string, f *front) {
	cfg := &f.cfg
	switch cfg.ProxyProtocol {
	case "", "off":
	case "require":
		if len(cfg.TrustedProxies) == 0 {
			b.fault(path+".proxy-protocol", diag.At("", "nobody may send the PROXY header").
				WithFix("name the balancer in trusted-proxies"))
		}
	default:
		b.fault(path+".proxy-protocol", diag.At("", "%q is not known", cfg.ProxyProtocol).WithFix("write require or off"))
	}
	switch cfg.Underscores {
	case "", "pass", "drop", "refuse":
	default:
		b.fault(path+".underscores", diag.At("", "%q is not known", cfg.Underscores).WithFix("write pass, drop or refuse"))
	}
	if cfg.Via != "" && !message.ValidToken(cfg.Via) {
		b.fault(path+".via", diag.At("", "%q is not a name for Via", cfg.Via).WithFix("write one word such as maru, or off"))
	}
	b.fault(path+".limits", cfg.Limits.Check())
	if cfg.HTTP3 && cfg.TLS == nil {
		b.fault(path+".http3", diag.At("", "HTTP/3 needs TLS").WithFix("add tls: to the listener"))
	}
	if cfg.H2C && cfg.TLS != nil {
		b.fault(path+".h2c", diag.At("", "h2c is HTTP/2 without TLS, and this listener has TLS").
			WithFix("leave h2c out; HTTP/2 is on by ALPN"))
	}
	if cfg.TLS == nil {
		return
	}
	src, err := b.tlsSource(f.name, cfg)
	b.fault(path+".tls", err)
	f.tls = src
	if src != nil && src.acme != nil {
		b.rt.acme = append(b.rt.acme, src.acme)
	}
}

// viaOf is our entry in Via (RFC 9110 §7.6.3), "" when it is off.
func viaOf(pseudonym string) string {
	switch pseudonym {
	case "off":
		return ""
	case "":
		pseudonym = "maru"
	}
	return "1.1 " + pseudonym
}

// bindAddress completes a listener's address: loopback unless the file says
// otherwise, except for the public listener.
func bindAddress(name, address string) (string, error) {
	if address == "" {
		return "", diag.At("", "the listener has no address").WithFix(`write address: ":8080"`)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", diag.At("", "%q is not host:port", address).WithFix(`write for example "127.0.0.1:8080" or ":8080"`)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", diag.At("", "%q is not a port", port).WithFix("write a number from 1 to 65535")
	}
	if host == "" && name != "public" {
		host = "127.0.0.1"
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil {
			return "", diag.At("", "%q is not an address of this machine", host).WithFix("write an IP address")
		}
	}
	return net.JoinHostPort(host, port), nil
}

// refuse makes the answer to bytes that never became a request.
func (f *front) refuse(ref *http1.Refusal, peer netip.AddrPort, line []byte) *message.Response {
	f.rt.env.Refused(f.name, ref.Reason)
	r := message.NewRequest()
	defer r.Release()
	startTrace(r)
	f.rt.env.Log.Warn("refused", "reason", ref.Reason, "listener", f.name, "client", peer.String(),
		"trace_id", hex.EncodeToString(r.X.Trace.ID[:]), "line", fmt.Sprintf("%q", line))
	e := problem.New(ref.Status, ref.Reason, ref.Detail())
	if ref.Status == 405 {
		e.Allow = methods
	}
	p := filter.Render(r, e)
	p.Close = true
	return p
}

// Run keeps what is alive of a Runtime going until ctx ends: sources of
// endpoints, reapers, certificate watchers.
func (rt *Runtime) run(ctx context.Context, start func(key string, run func(context.Context) error)) {
	_ = ctx
	for name, c := range rt.clusters {
		start("service "+name+" "+c.key, c.Run)
	}
	for _, f := range rt.listeners {
		if f.tls != nil {
			start("tls "+f.name+" "+f.tls.key, f.tls.Run)
			if f.tls.acme != nil {
				start("acme "+f.name+" "+f.tls.key, f.tls.acme.Run)
			}
		}
	}
}
