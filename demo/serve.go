package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/maru-msa/maru/registry"
)

// Time-outs of a service as a process.
const (
	readHeadTime = 5 * time.Second
	idleTime     = 2 * time.Minute // longer than a gateway keeps a connection idle
	farewellTime = 3 * time.Second
	// renewal is how often a service tells the registry that it lives. Its lease
	// lasts three of them.
	renewal = 2 * time.Second
)

// Serve runs one service as a process: it listens on a loopback port, writes its
// URL as one line to out, registers, and serves until ctx ends or in does. in is
// the parent's pipe: it ends with the parent, however the parent ends, and each
// line of it is a [Trouble] to have from now on, or an empty one.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) (err error) {
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	d := &door{service: s, address: o.Address, failed: stop}
	if err := d.open(ctx); err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(in); lines.Scan(); {
			if err := d.trouble(ctx, Trouble(lines.Text())); err != nil {
				s.log.Error("trouble can't be had", "error", err)
			}
		}
		stop(nil)
	}()
	if _, err := fmt.Fprintf(out, "http://%s\n", d.address); err != nil {
		return errors.Join(fmt.Errorf("tell the parent: %w", err), d.shut())
	}
	var leased sync.WaitGroup
	if o.Registry != "" {
		leased.Go(func() { s.register(ctx, o.Registry, "http://"+d.address) })
	}
	<-ctx.Done()
	leased.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("serve: %w", cause)
	}
	last, done := context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
	defer done()
	return d.leave(last)
}

// register keeps the service's lease until ctx ends. That the registry is gone
// by then is no fault of ours: the gateway ends first.
func (s *Service) register(ctx context.Context, at, url string) {
	r := registry.Registration{
		Registries: []string{at}, Service: s.name, URL: url, ID: s.instance, Every: renewal, Log: s.log,
		Client: &http.Client{Timeout: renewal, Transport: new(http.Transport)},
	}
	if err := r.Run(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("it can't be registered", "error", err)
	}
}

// door is where a service is called: a listener that can be shut and opened
// again, with the trouble that stands in it.
type door struct {
	service *Service
	address string // host:port; "" takes a free port
	failed  func(error)

	mu     sync.Mutex
	server *http.Server // nil while it is shut
	now    Trouble
}

// open listens at the address or, when somebody else has it, at a free port.
func (d *door) open(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server != nil {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", d.address)
	if d.address == "" || err != nil {
		ln, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("open a port: %w", err)
	}
	d.address = ln.Addr().String()
	server := &http.Server{
		Handler: d, ReadHeaderTimeout: readHeadTime, ReadTimeout: 2 * readHeadTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(d.service.log.Handler(), slog.LevelError),
	}
	d.server = server
	go func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			d.failed(err)
		}
	}()
	return nil
}

// shut closes the port and all connections.
func (d *door) shut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		return nil
	}
	err := d.server.Close()
	d.server = nil
	return err
}

// leave closes the port and lets answers under way end.
func (d *door) leave(ctx context.Context) error {
	d.mu.Lock()
	server := d.server
	d.mu.Unlock()
	if server == nil {
		return nil
	}
	return server.Shutdown(ctx)
}
