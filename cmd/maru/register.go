package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/maru-msa/maru/registry"
)

// registerCommand keeps a lease for something that can't do so itself.
type registerCommand struct {
	Service  string            `help:"Name to register under." required:"" placeholder:"NAME"`
	URL      string            `name:"url" help:"Where the service is called: http://host:port." required:"" placeholder:"URL"`
	Registry []string          `help:"URL of the registry; repeat it for others to try." default:"http://127.0.0.1:8761/eureka" placeholder:"URL"`
	ID       string            `name:"id" help:"Id of the instance (default: host:service:port)." placeholder:"ID"`
	Meta     map[string]string `help:"Metadata, such as zone=a; repeat it for more." placeholder:"KEY=VALUE"`
	Check    string            `help:"Path to ask before each renewal: a failure makes the instance DOWN." placeholder:"PATH"`
	Every    time.Duration     `help:"Time between renewals; the lease lasts three of them." default:"10s" placeholder:"TIME"`
}

// Help is shown by maru register --help.
func (registerCommand) Help() string {
	return `It registers, renews, registers again when the registry was restarted, and deregisters on SIGTERM or SIGINT.
It works with maru's registry and with any Eureka server.

Example:
  maru register --service auction --url http://127.0.0.1:9103 --check /health --meta zone=a`
}

// Run keeps the lease until it is told to stop.
func (c *registerCommand) Run() error {
	for _, r := range c.Registry {
		if u, err := url.Parse(r); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("--registry %s: write for example http://127.0.0.1:8761/eureka", r)
		}
	}
	if c.Every < time.Second {
		return errors.New("--every: a second at least")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r := registry.Registration{
		Registries: c.Registry, Service: c.Service, URL: c.URL, ID: c.ID, Meta: c.Meta, Check: c.Check, Every: c.Every,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	return r.Run(ctx)
}
