package registry

import (
	"context"
	"sync"
	"time"
)

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
		wait.Go(func() { g.enlist(ctx, cfg.Self) })
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
	if !g.fetch(ctx, peers) && !g.opened.Load() {
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
