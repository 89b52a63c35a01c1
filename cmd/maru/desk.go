package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/maru-msa/maru/admin"
	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/console"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/ui"
)

// desk is where the operator's API listens. Its address may change by reload.
type desk struct {
	api admin.API
	// listen opens a socket, or gives the one that a predecessor left;
	// nil means net.ListenConfig.
	listen  func(network, address string) (net.Listener, error)
	token   atomic.Pointer[string]
	address string // as the file says; "" before the first
	ln      net.Listener
	bound   atomic.Pointer[netip.AddrPort] // of ln, for other goroutines; nil without
	stop    func()                         // ends serving and waits; nil when nothing is open
}

// equip gives the API what it may look at and do.
func (g *gateway) equip() {
	g.desk.api = admin.API{
		Server: &g.server, Status: &g.status, Version: versionText(), Log: g.env.Log,
		Token: func() string { return *g.desk.token.Load() },
		Check: func(text io.Reader) []diag.Finding {
			_, findings := config.CheckReader("body", text)
			return findings
		},
		Drain: func() {
			select {
			case g.drainNow <- struct{}{}:
			default:
			}
		},
	}
	g.desk.api.Registry = g.registrar.running
	g.desk.api.Console = g.pages()
	if g.fromFile {
		g.desk.api.Reload, g.desk.api.Place = g.reload, g.place
	}
	if !g.plain {
		g.desk.api.Recorder, g.desk.api.Board, g.desk.api.Hystrix = &g.recorder, &g.board, &g.hystrix
		g.desk.api.Turbine = &g.turbine
	}
}

// pages gives the console's pages. They are part of this binary: without them the
// API serves all the same.
func (g *gateway) pages() http.Handler {
	files, err := ui.Files()
	if err != nil {
		g.env.Log.Error("there is no console", "error", err)
		return nil
	}
	pages, err := console.New(files)
	if err != nil {
		g.env.Log.Error("there is no console", "error", err)
		return nil
	}
	return pages
}

// registryPage is where the console shows the registry to whoever asks its
// listener; "" when there is no console, or none that he can reach.
func (d *desk) registryPage(r *http.Request) string {
	at := d.bound.Load()
	if at == nil || d.api.Console == nil {
		return ""
	}
	host := at.Addr().String()
	switch peer, err := netip.ParseAddrPort(r.RemoteAddr); {
	case at.Addr().IsLoopback() && (err != nil || !peer.Addr().Unmap().IsLoopback()):
		return ""
	case at.Addr().IsUnspecified():
		u := url.URL{Host: r.Host}
		host = u.Hostname()
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(at.Port()))) + "/console/registry"
}

// place finds a path of the configuration in the live file.
func (g *gateway) place(path string) diag.Position {
	return g.live.Load().Source.Position(path)
}

// follow opens the address that the configuration says and closes the one
// before. On an error nothing has changed.
func (d *desk) follow(cfg *config.Admin) error {
	token := ""
	if cfg.TokenFile != "" {
		text, err := os.ReadFile(cfg.TokenFile)
		if err != nil {
			return fmt.Errorf("read admin.token-file: %w", err)
		}
		if token = strings.TrimSpace(string(text)); token == "" {
			return fmt.Errorf("admin.token-file %s is empty", cfg.TokenFile)
		}
	}
	if cfg.Address == d.address {
		d.token.Store(&token)
		return nil
	}
	var ln net.Listener
	if cfg.Address != "off" {
		address := cfg.Address
		if strings.HasPrefix(address, ":") {
			address = "127.0.0.1" + address
		}
		var err error
		if ln, err = d.open(address); err != nil {
			return fmt.Errorf("open the admin API: %w", err)
		}
	}
	d.token.Store(&token)
	d.close()
	d.address, d.ln = cfg.Address, ln
	if ln == nil {
		return nil
	}
	if at, err := netip.ParseAddrPort(ln.Addr().String()); err == nil {
		d.bound.Store(&at)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.api.Serve(ctx, ln); err != nil {
			d.api.Log.Error("the admin API stopped", "error", err)
		}
	}()
	d.stop = func() { cancel(); <-done }
	return nil
}

func (d *desk) open(address string) (net.Listener, error) {
	if d.listen != nil {
		return d.listen("tcp", address)
	}
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", address)
}

// close ends serving; an answer under way is finished.
func (d *desk) close() {
	if d.stop != nil {
		// A reload that was asked for over this very connection waits for us:
		// it gets its answer first.
		go d.stop()
		d.stop = nil
		d.bound.Store(nil)
	}
}
