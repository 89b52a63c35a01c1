package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maru-msa/maru/admin"
	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/metrics"
	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
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

	server    edge.Server
	env       edge.Env
	level     slog.LevelVar
	recorder  telemetry.Recorder
	target    telemetry.Target
	board     metrics.Board
	hystrix   metrics.Hystrix
	turbine   metrics.Turbine
	status    admin.Status
	desk      desk
	registrar registrar

	mu       sync.Mutex   // one reload at a time
	file     *config.File // the live one, or the first that was refused
	live     atomic.Pointer[config.File]
	proving  *time.Timer
	legacy   *legacy // from a predecessor; nil without
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
	if err := g.takeOver(); err != nil {
		return err
	}
	if err := g.start(); err != nil {
		return err
	}
	if g.watch != "" {
		alive.Go(func() {
			if err := config.Watch(ctx, g.watch, g.fileChanged); err != nil {
				g.env.Log.Error("the file is no longer watched; SIGHUP loads it", "error", err)
			}
		})
		alive.Go(func() { _ = config.NamedFiles{List: g.namedFiles, Changed: g.namedFileChanged}.Run(ctx) })
	}
	if err := g.announce(); err != nil {
		return err
	}
	return g.wait()
}

// announce tells everyone who waits for it that this process serves.
func (g *gateway) announce() error {
	if err := g.sayReady(); err != nil {
		return err
	}
	if g.pidFile != "" {
		if err := os.WriteFile(g.pidFile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil { //nolint:gosec // others read it
			return fmt.Errorf("write the process id: %w", err)
		}
	}
	tellSystemd(g.env.Log, "READY=1")
	go settle(g.env.Log)
	if !g.quiet {
		fmt.Fprintln(os.Stderr, g.banner())
	}
	return nil
}

// settle gives back what only the start needed: the heap of reading and building,
// and the pages of constants that were read once.
func settle(log *slog.Logger) {
	debug.FreeOSMemory()
	if err := forgetTables(); err != nil {
		log.Debug("constants that only the start needed stay resident", "error", err)
	}
}

// prepare makes what outlives every configuration and starts what runs beside it.
func (g *gateway) prepare(ctx context.Context, alive *sync.WaitGroup) {
	// A reader of our output that went away must not take the gateway with it.
	signal.Ignore(syscall.SIGPIPE)
	g.signals, g.drainNow = make(chan os.Signal, 8), make(chan struct{}, 1)
	signal.Notify(g.signals, syscall.SIGHUP, syscall.SIGUSR2, syscall.SIGINT, syscall.SIGTERM)
	g.env.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &g.level}))
	g.env.Watch = http1.NewWatchdog()
	alive.Go(func() { _ = g.env.Watch.Run(ctx) })
	g.env.Tickets, g.env.Decode = new(edge.TicketKeys), config.DecodeContract
	g.registrar.prepare(g.env.Log, g.desk.registryPage)
	g.env.Registry, g.env.Remotes = g.registrar.registry, new(upstream.Remotes)
	g.env.Key = make([]byte, 32)
	_, _ = rand.Read(g.env.Key) // never fails (crypto/rand)
	if !g.plain {
		g.recorder.Log = &telemetry.AccessLog{W: &g.target}
		alive.Go(func() { _ = g.recorder.Log.Run(ctx) })
		g.watchServices()
		alive.Go(func() { _ = g.board.Run(ctx) })
		alive.Go(func() { _ = g.turbine.Run(ctx) })
		g.env.Done, g.env.Refused, g.env.Count = g.recorder.Done, g.recorder.Refused, g.recorder.Filter
	}
	g.server.Env = g.env
	g.equip()
}

// watchServices gives the board what it looks at.
func (g *gateway) watchServices() {
	g.board.Recorder, g.board.Clusters, g.board.Version = &g.recorder, g.clusters, g.version
	g.board.Targets = func() map[string]string {
		if rt := g.server.Runtime(); rt != nil {
			return rt.RouteTargets()
		}
		return nil
	}
	g.hystrix.Board = &g.board
	g.turbine.Hystrix, g.turbine.Log, g.turbine.Instances = &g.hystrix, g.env.Log, g.instances
}

// instances are those of a service of the file, else of the registry of this process.
func (g *gateway) instances(app string) []upstream.Addr {
	if rt := g.server.Runtime(); rt != nil {
		if c := rt.Cluster(app); c != nil {
			var list []upstream.Addr
			for _, e := range c.Endpoints() {
				list = append(list, upstream.Addr{URL: e.URL(), Meta: e.Meta()})
			}
			return list
		}
	}
	if r := g.registrar.running(); r != nil {
		return r.Endpoints(app, false)
	}
	return nil
}

// clusters are the live services.
func (g *gateway) clusters() []*upstream.Cluster {
	if rt := g.server.Runtime(); rt != nil {
		return rt.Clusters()
	}
	return nil
}

// version is the number of the live configuration.
func (g *gateway) version() int { return g.status.Live().Version }

// mostWarnings is how many warnings are printed at the start.
const mostWarnings = 10

// start makes the first configuration live. What is wrong with it is printed.
func (g *gateway) start() error {
	r := g.reload("start")
	errs, _ := diag.Count(r.Findings)
	shown := r.Findings
	if errs == 0 { // what runs all the same need not fill the screen
		shown = shown[:min(len(shown), mostWarnings)]
	}
	if len(shown) > 0 {
		if err := printFindings(os.Stderr, g.file, shown, colored(os.Stderr, "auto")); err != nil {
			return err
		}
	}
	if more := len(r.Findings) - len(shown); more > 0 {
		fmt.Fprintf(os.Stderr, "and %s: maru check shows all\n", counted(more, "more warning"))
	}
	switch {
	case errs > 0:
		return exitError(2)
	case r.Err != nil:
		return r.Err
	}
	return nil
}

// wait serves until a signal, the admin API or a successor ends it.
func (g *gateway) wait() error {
	upgrading, upgraded := false, make(chan *heir, 1)
	for {
		select {
		case s := <-g.signals:
			switch s {
			case syscall.SIGHUP:
				g.reopen()
				g.reload("signal")
			case syscall.SIGUSR2:
				if !upgrading {
					upgrading = true
					go g.tryUpgrade(upgraded)
				}
			case syscall.SIGINT:
				return g.end(0)
			default:
				return g.end(g.drainWait)
			}
		case <-g.drainNow:
			return g.end(g.drainWait)
		case h := <-upgraded:
			if upgrading = false; h != nil {
				return g.makeWay(h)
			}
		}
	}
}

// tryUpgrade gives the successor that is ready, or nil.
func (g *gateway) tryUpgrade(upgraded chan<- *heir) {
	g.env.Log.Info("upgrading")
	h, err := g.upgrade()
	if err != nil {
		g.env.Log.Error("the upgrade failed; this process goes on", "error", err)
	}
	upgraded <- h
}

// drain makes the process not ready and lets no reload begin any more; one under
// way is over when it returns.
func (g *gateway) drain() {
	g.status.Drain()
	g.mu.Lock()
	defer g.mu.Unlock()
}

// end drains and stops: not ready at once, still serving for wait, then no new
// connections, and at most drainLimit until the last exchange is over. A
// further signal ends the process at once.
func (g *gateway) end(wait time.Duration) error {
	g.drain()
	tellSystemd(g.env.Log, "STOPPING=1")
	g.env.Log.Info("draining", "wait", wait, "limit", g.drainLimit)
	go func() {
		for s := range g.signals {
			if s == syscall.SIGINT || s == syscall.SIGTERM {
				os.Exit(1)
			}
		}
	}()
	time.Sleep(wait) //nolint:forbidigo // balancers need this time to look away
	ctx, stop := context.WithTimeout(context.Background(), g.drainLimit)
	defer stop()
	err := g.server.Drain(ctx)
	g.registrar.close()
	g.desk.close()
	if g.pidFile != "" {
		err = errors.Join(err, os.Remove(g.pidFile))
	}
	return err
}

// makeWay stops accepting for a successor that is ready, and ends when the last
// connection has: exchanges at once, tunnels and streams when they do. SIGTERM
// shortens that to drainLimit.
func (g *gateway) makeWay(h *heir) error {
	go reap(h.pid)
	tellSystemd(g.env.Log, fmt.Sprintf("MAINPID=%d", h.pid))
	g.env.Log.Info("upgraded; draining", "successor", h.pid)
	g.drain()
	g.bequeath(h)
	g.desk.close()
	ctx, stop := context.WithTimeout(context.Background(), edge.DefaultLinger)
	defer stop()
	go func() {
		for s := range g.signals {
			if s == syscall.SIGINT || s == syscall.SIGTERM {
				time.AfterFunc(g.drainLimit, stop)
				break
			}
		}
		for s := range g.signals {
			if s == syscall.SIGINT || s == syscall.SIGTERM {
				os.Exit(1)
			}
		}
	}()
	if err := g.server.Drain(ctx); err != nil {
		return err
	}
	g.env.Log.Info("drained", "successor", h.pid)
	return nil
}
