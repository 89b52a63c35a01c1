package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// mostConns is the most connections at once; further ones wait in the socket's
// queue.
const mostConns = 20_000

// Serve answers on ln until ctx ends; requests under way get a second then. It
// runs beside [Registry.Run].
func (g *Registry) Serve(ctx context.Context, ln net.Listener) error {
	s := &http.Server{
		Handler: g, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends the watches
		ErrorLog:    slog.NewLogLogger(g.env.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(netutil.LimitListener(ln, mostConns)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the registry: %w", err)
	case <-ctx.Done():
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	if s.Shutdown(end) != nil {
		_ = s.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the registry: %w", err)
	}
	return nil
}

// Run keeps the registry alive until ctx ends: the copy on disk, the peers, the
// evictor. It returns an error when the copy can't be opened. What changed is on
// disk when it returns.
func (g *Registry) Run(ctx context.Context) error {
	cfg := g.cfg.Load()
	var wait sync.WaitGroup
	defer wait.Wait()
	loaded := false
	if cfg.Data != "" {
		k, err := g.openCopy(cfg.Data)
		if err != nil {
			return err
		}
		loaded = g.size() > 0
		wait.Go(func() {
			k.run(ctx)
			g.forgetCopy()
		})
	}
	peers := listOfPeers(cfg)
	g.peers.Store(&peers)
	if len(peers) == 0 || loaded || g.size() > 0 {
		g.opened.Store(true)
	}
	wait.Go(func() { g.join(ctx, peers) })
	for _, p := range peers {
		wait.Go(func() { g.send(ctx, p) })
	}
	if cfg.Self != "" {
		wait.Go(func() { g.enlist(ctx, cfg.Self, cfg.Name) })
	}
	g.evictor(ctx)
	return nil
}

// forgetCopy ends noting changes for a copy that nobody writes.
func (g *Registry) forgetCopy() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.altered = nil
}

// join fetches from the peers and opens the listings (specification §9): an
// empty answer would make clients drop what they know, a 403 lets them keep it.
func (g *Registry) join(ctx context.Context, peers []*peer) {
	if len(peers) == 0 {
		return
	}
	begun := g.env.Elapsed()
	filled := g.fetch(ctx, peers)
	g.joining.Store(false)
	if !filled && !g.opened.Load() {
		g.env.Log.Warn("no peer of the registry answers and there is no copy: listings stay closed for a while", "limit", closedFor)
		if !pause(ctx, max(closedFor-(g.env.Elapsed()-begun), time.Millisecond)) {
			return
		}
	}
	g.opened.Store(true)
}

func (g *Registry) size() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.records)
}
