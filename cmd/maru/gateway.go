package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/http1"
)

// gateway runs an edge.Server in the foreground: load, build, swap, then wait
// for signals. SIGHUP loads again; SIGTERM and SIGINT drain and end, a second
// one ends at once.
type gateway struct {
	load   func() (edge.Config, error)
	banner func() string
	quiet  bool

	server edge.Server
	env    edge.Env
}

const drainLimit = 30 * time.Second

func (g *gateway) run() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	watch := http1.NewWatchdog()
	go func() { _ = watch.Run(ctx) }()
	g.env.Watch = watch
	if g.env.Log == nil {
		g.env.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	g.server.Env = g.env
	if err := g.reload(); err != nil {
		return err
	}
	if !g.quiet {
		fmt.Fprintln(os.Stderr, g.banner())
	}
	return g.wait()
}

// reload makes the newest configuration live, or leaves the running one.
func (g *gateway) reload() error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	rt, err := edge.Build(cfg, g.env, g.server.Runtime())
	if err != nil {
		return err
	}
	return g.server.Swap(rt)
}

func (g *gateway) wait() error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	for s := range signals {
		if s != syscall.SIGHUP {
			break
		}
		if err := g.reload(); err != nil {
			g.env.Log.Error("reload refused; the running configuration stays", "error", err)
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), drainLimit)
	defer stop()
	go func() {
		<-signals
		os.Exit(1) //nolint:revive // asked twice
	}()
	return g.server.Drain(ctx)
}
