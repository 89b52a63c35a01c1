package main

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/upstream"
)

// proxyCommand forwards everything to one service.
type proxyCommand struct {
	From  string   `help:"Address to listen on, host:port; an empty host is loopback." default:":8080" placeholder:"ADDR"`
	To    []string `help:"URL of the service; repeat it for several endpoints." required:"" placeholder:"URL"`
	TLS   bool     `name:"tls" help:"Serve TLS with a development certificate."`
	H2C   bool     `name:"h2c" help:"Also take HTTP/2 without TLS (prior knowledge)."`
	Quiet bool     `short:"q" help:"Say nothing but errors."`
}

// Help is shown by maru proxy --help.
func (proxyCommand) Help() string {
	return "Example:\n  maru proxy --from :8080 --to http://127.0.0.1:9000"
}

// Run serves until it is told to stop.
func (c *proxyCommand) Run() error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	file := &config.File{
		Config: cfg, Admin: config.Admin{Address: "off"}, Log: config.Log{Level: "warn", Access: "off"},
		Source: &config.Source{Name: "command line"},
	}
	g := &gateway{
		quiet: c.Quiet, plain: true, drainLimit: 30 * time.Second,
		load: func() (*config.File, []diag.Finding) { return file, nil },
	}
	scheme := "http"
	if c.TLS {
		scheme = "https"
	}
	g.banner = func() string {
		return fmt.Sprintf("maru proxy: %s://%s -> %s", scheme, g.server.Addr("proxy"), strings.Join(c.To, ", "))
	}
	return g.run()
}

// config is the configuration that the flags describe.
func (c *proxyCommand) config() (edge.Config, error) {
	from := c.From
	if !strings.Contains(from, ":") {
		from = ":" + from
	}
	var service edge.ServiceConfig
	for _, to := range c.To {
		if !strings.Contains(to, "://") {
			to = "http://" + to
		}
		service.URLs = append(service.URLs, upstream.EndpointConfig{URL: to})
	}
	if _, _, err := net.SplitHostPort(from); err != nil {
		return edge.Config{}, fmt.Errorf("--from %s: %w", c.From, err)
	}
	listener := edge.ListenerConfig{Address: from, H2C: c.H2C}
	if c.TLS {
		listener.TLS = &edge.TLSConfig{Development: true}
	}
	var m route.Match
	if err := m.UnmarshalText([]byte("/{rest...}")); err != nil {
		return edge.Config{}, err
	}
	return edge.Config{
		Listen:   map[string]edge.ListenerConfig{"proxy": listener},
		Services: map[string]edge.ServiceConfig{"service": service},
		Routes:   []edge.RouteConfig{{Name: "all", Match: m, To: "service"}},
	}, nil
}
