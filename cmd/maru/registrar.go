package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"sync/atomic"

	"github.com/maru-msa/maru/registry"
)

// registrar runs the registry of this process as the file says. Its instances
// outlive every change of the file.
type registrar struct {
	registry *registry.Registry
	log      *slog.Logger
	// listen opens a socket, or gives the one that a predecessor left; nil means
	// net.ListenConfig.
	listen func(network, address string) (net.Listener, error)
	cfg    *registry.Config // what runs; nil means nothing
	ln     net.Listener
	alive  atomic.Bool
	// expecting tells that a predecessor still serves and hands its registry over
	// later: nothing is begun until then.
	expecting bool
	// endServe and endRun end what is alive, and wait for it.
	endServe, endRun func()
}

// prepare makes the registry, empty and asleep.
func (r *registrar) prepare(log *slog.Logger, console func(*http.Request) string) {
	r.log, r.registry = log, registry.New(registry.Config{}, registry.Env{Log: log, Console: console})
}

// running gives the registry when it runs, else nil.
func (r *registrar) running() *registry.Registry {
	if !r.alive.Load() {
		return nil
	}
	return r.registry
}

// follow runs the registry as the file says; nil ends it. On an error nothing
// has changed.
func (r *registrar) follow(cfg *registry.Config) error {
	if cfg == nil {
		r.close()
		return nil
	}
	if r.cfg != nil && reflect.DeepEqual(*r.cfg, *cfg) {
		return nil
	}
	if cfg.Data != "" {
		if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
			return fmt.Errorf("make the registry's data folder: %w", err)
		}
	}
	ln := r.ln
	if ln == nil || r.cfg.Address != cfg.Address {
		var err error
		if ln, err = r.open(cfg.Address); err != nil {
			return fmt.Errorf("open the registry: %w", err)
		}
	}
	if r.endRun != nil {
		r.endRun()
	}
	r.registry.Configure(*cfg)
	r.cfg = cfg
	r.alive.Store(true)
	if r.expecting {
		if r.ln != nil && r.ln != ln {
			_ = r.ln.Close() // nobody serves on it yet
		}
		r.ln = ln
		return nil
	}
	r.endRun = r.begin("the registry stopped", r.registry.Run)
	if ln != r.ln {
		if r.endServe != nil {
			r.endServe()
		}
		r.ln = ln
		r.serve()
	}
	return nil
}

// serve answers on the listener.
func (r *registrar) serve() {
	ln := r.ln
	r.endServe = r.begin("the registry's listener stopped", func(ctx context.Context) error { return r.registry.Serve(ctx, ln) })
}

// takeOver begins what follow put off, with what the predecessor handed over.
func (r *registrar) takeOver() {
	r.expecting = false
	if r.cfg == nil {
		return
	}
	r.endRun = r.begin("the registry stopped", r.registry.Run)
	r.serve()
}

// begin runs what is alive and gives what ends it.
func (r *registrar) begin(failed string, run func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			r.log.Error(failed, "error", err) //nolint:sloglint // one of two constants
		}
	}()
	return func() { cancel(); <-done }
}

func (r *registrar) open(address string) (net.Listener, error) {
	if r.listen != nil {
		return r.listen("tcp", address)
	}
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", address)
}

// close ends serving, then what runs beside it: what was registered until then
// is on disk.
func (r *registrar) close() {
	if r.cfg == nil {
		return
	}
	r.alive.Store(false)
	if r.expecting {
		_ = r.ln.Close() // nobody serves on it yet
	} else {
		r.endServe()
		r.endRun()
	}
	r.cfg, r.ln, r.endServe, r.endRun = nil, nil, nil, nil
}
