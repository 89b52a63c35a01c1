package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/registry"
)

// serveCommand runs what the file says.
type serveCommand struct {
	Roles      []string      `arg:"" optional:"" help:"Roles to run (default: all that the file configures): edge, registry." placeholder:"ROLE"`
	Config     string        `short:"c" help:"Configuration file." default:"maru.yaml" placeholder:"FILE"`
	Data       string        `help:"Folder for the registry's copy on disk, when it runs without a file." placeholder:"DIR"`
	PIDFile    string        `name:"pid-file" help:"Write the process id to this file." placeholder:"FILE"`
	NoWatch    bool          `name:"no-watch" help:"Reload by SIGHUP and the admin API only, not when the file changes."`
	DrainWait  time.Duration `name:"drain-wait" help:"How long to go on serving, not ready, after SIGTERM: balancers need it to look away." default:"5s" placeholder:"TIME"`
	DrainLimit time.Duration `name:"drain-limit" help:"How long exchanges may take to end after that." default:"30s" placeholder:"TIME"`
	Quiet      bool          `short:"q" help:"No banner."`
}

// Help is shown by maru serve --help.
func (serveCommand) Help() string {
	return `The file is watched; a change goes live within 50 ms, or is refused as a whole and the running configuration stays.

Signals: SIGHUP loads the file again, SIGUSR2 replaces the process by the binary at its path (maru upgrade),
SIGTERM drains and ends, SIGINT does so without the wait, a second one ends at once.

Examples:
  maru serve
  maru serve --config /etc/maru/maru.yaml --pid-file /run/maru.pid
  maru serve edge
  maru serve registry --data /var/lib/maru   # without a file: the registry alone, on 127.0.0.1:8761`
}

// roles are the parts that can run alone.
func roles() []string { return []string{"edge", "registry"} }

// Run serves until it is told to stop.
func (c *serveCommand) Run() error {
	for _, r := range c.Roles {
		if !slices.Contains(roles(), r) {
			fmt.Fprintf(os.Stderr, "maru: there is no role %q; roles: %s\n", r, strings.Join(roles(), ", "))
			return exitError(2)
		}
	}
	loader := new(config.Loader)
	g := &gateway{
		load: func() (*config.File, []diag.Finding) {
			file, findings := loader.Load(c.Config)
			only(file, c.Roles)
			return file, findings
		},
		pidFile:    c.PIDFile,
		drainWait:  c.DrainWait,
		drainLimit: c.DrainLimit,
		quiet:      c.Quiet,
		fromFile:   true,
	}
	switch alone := c.registryAlone(); {
	case alone != nil:
		g.load, g.fromFile = func() (*config.File, []diag.Finding) { return alone, nil }, false
	case c.Data != "":
		fmt.Fprintln(os.Stderr, "maru: --data is for the registry without a file; with one write registry: {data: DIR} into it")
		return exitError(2)
	case !c.NoWatch:
		g.watch = c.Config
	}
	g.banner = func() string { return g.serveBanner(c.Config) }
	return g.run()
}

// only leaves out what belongs to other roles; none named means all.
func only(file *config.File, names []string) {
	if len(names) == 0 {
		return
	}
	if !slices.Contains(names, "edge") {
		file.Config = edge.Config{Listen: map[string]edge.ListenerConfig{}}
	}
	if !slices.Contains(names, "registry") {
		file.Registry = nil
	}
}

// registryAlone is the configuration of "maru serve registry" where there is no
// file; nil when something else is meant.
func (c *serveCommand) registryAlone() *config.File {
	if !slices.Equal(c.Roles, []string{"registry"}) {
		return nil
	}
	if _, err := os.Stat(c.Config); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	cfg := registry.Config{Data: c.Data}.WithDefaults()
	return &config.File{
		Config: edge.Config{Listen: map[string]edge.ListenerConfig{}}, Registry: &cfg,
		Admin: config.Admin{Address: "off"}, Log: config.Log{Level: "info", Access: "off"},
		Source: &config.Source{Name: "command line"},
	}
}

// serveBanner is what an operator wants to know at the start.
func (g *gateway) serveBanner(file string) string {
	rt := g.server.Runtime()
	var b strings.Builder
	if fmt.Fprintf(&b, "maru %s", versionText()); g.fromFile {
		fmt.Fprintf(&b, ": %s, %s, %s", file, counted(len(rt.Config.Routes), "route"), counted(len(rt.Config.Services), "service"))
	}
	for _, l := range g.server.Listeners() {
		scheme := "http"
		if rt.Config.Listen[l.Name].TLS != nil {
			scheme = "https"
		}
		fmt.Fprintf(&b, "\n  %-9s %s://%s", l.Name, scheme, l.Bound)
	}
	if g.registrar.ln != nil {
		fmt.Fprintf(&b, "\n  %-9s http://%s/eureka/", "registry", g.registrar.ln.Addr())
	}
	if g.desk.ln != nil {
		fmt.Fprintf(&b, "\n  %-9s http://%s", "admin", g.desk.ln.Addr())
	}
	return b.String()
}
