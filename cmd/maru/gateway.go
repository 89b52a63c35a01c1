package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maru-msa/maru/admin"
	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/telemetry"
)

// gateway runs an edge.Server in the foreground: load, build, swap, then wait
// for signals, for the file to change, and for what the admin API asks.
type gateway struct {
	load func() (*config.File, []diag.Finding)
	// fromFile tells that load reads a file, which may change.
	fromFile bool
	watch    string // file that is loaded again when it changes; "" means none
	banner   func() string
	quiet    bool
	// plain runs without counters and access log.
	plain      bool
	pidFile    string
	drainWait  time.Duration
	drainLimit time.Duration

	server   edge.Server
	env      edge.Env
	level    slog.LevelVar
	recorder telemetry.Recorder
	target   telemetry.Target
	status   admin.Status
	desk     desk

	mu       sync.Mutex   // one reload at a time
	file     *config.File // the live one, or the first that was refused
	live     atomic.Pointer[config.File]
	signals  chan os.Signal
	drainNow chan struct{}
}

// run serves until it is told to stop.
func (g *gateway) run() error {
	ctx, stop := context.WithCancel(context.Background())
	var alive sync.WaitGroup
	defer alive.Wait()
	defer stop()
	g.prepare(ctx, &alive)
	if err := g.start(); err != nil {
		return err
	}
	if g.watch != "" {
		alive.Go(func() {
			if err := config.Watch(ctx, g.watch, func() { g.reload("file") }); err != nil {
				g.env.Log.Error("the file is no longer watched; SIGHUP loads it", "error", err)
			}
		})
	}
	if !g.quiet {
		fmt.Fprintln(os.Stderr, g.banner())
	}
	return g.wait()
}

// prepare makes what outlives every configuration and starts what runs beside it.
func (g *gateway) prepare(ctx context.Context, alive *sync.WaitGroup) {
	// A reader of our output that went away must not take the gateway with it.
	signal.Ignore(syscall.SIGPIPE)
	g.signals, g.drainNow = make(chan os.Signal, 8), make(chan struct{}, 1)
	signal.Notify(g.signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	g.env.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &g.level}))
	g.env.Watch = http1.NewWatchdog()
	alive.Go(func() { _ = g.env.Watch.Run(ctx) })
	g.env.Key = make([]byte, 32)
	_, _ = rand.Read(g.env.Key) // never fails (crypto/rand)
	if !g.plain {
		g.recorder.Log = &telemetry.AccessLog{W: &g.target}
		alive.Go(func() { _ = g.recorder.Log.Run(ctx) })
		g.env.Done, g.env.Refused, g.env.Count = g.recorder.Done, g.recorder.Refused, g.recorder.Filter
	}
	g.server.Env = g.env
	g.equip()
}

// start makes the first configuration live. What is wrong with it is printed.
func (g *gateway) start() error {
	r := g.reload("start")
	if len(r.Findings) > 0 {
		if err := printFindings(os.Stderr, g.file, r.Findings, colored(os.Stderr, "auto")); err != nil {
			return err
		}
	}
	switch errs, _ := diag.Count(r.Findings); {
	case errs > 0:
		return exitError(2)
	case r.Err != nil:
		return r.Err
	}
	if g.pidFile == "" {
		return nil
	}
	if err := os.WriteFile(g.pidFile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil { //nolint:gosec // others read it
		return fmt.Errorf("write the process id: %w", err)
	}
	return nil
}

// wait serves until a signal or the admin API ends it.
func (g *gateway) wait() error {
	for {
		select {
		case s := <-g.signals:
			switch s {
			case syscall.SIGHUP:
				g.reopen()
				g.reload("signal")
			case syscall.SIGINT:
				return g.end(0)
			default:
				return g.end(g.drainWait)
			}
		case <-g.drainNow:
			return g.end(g.drainWait)
		}
	}
}

// end drains and stops: not ready at once, still serving for wait, then no new
// connections, and at most drainLimit until the last exchange is over. A
// further signal ends the process at once.
func (g *gateway) end(wait time.Duration) error {
	g.status.Drain()
	g.env.Log.Info("draining", "wait", wait, "limit", g.drainLimit)
	go func() {
		for s := range g.signals {
			if s != syscall.SIGHUP {
				os.Exit(1)
			}
		}
	}()
	time.Sleep(wait) //nolint:forbidigo // load balancers need it to look elsewhere
	ctx, stop := context.WithTimeout(context.Background(), g.drainLimit)
	defer stop()
	err := g.server.Drain(ctx)
	g.desk.close()
	if g.pidFile != "" {
		err = errors.Join(err, os.Remove(g.pidFile))
	}
	return err
}
