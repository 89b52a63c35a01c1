package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Time-outs of a service as a process.
const (
	readHeadTime = 5 * time.Second
	idleTime     = 2 * time.Minute // longer than a gateway keeps a connection idle
	farewellTime = 3 * time.Second
)

// Serve runs one service as a process: it listens on a free loopback port,
// writes its URL as one line to out, and serves until ctx ends or in does. in is
// the parent's pipe: it ends with the parent, however the parent ends.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) (err error) {
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open a port: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		stop()
	}()
	server := http.Server{Handler: s, ReadHeaderTimeout: readHeadTime, ReadTimeout: 2 * readHeadTime, IdleTimeout: idleTime}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	if _, err := fmt.Fprintf(out, "http://%s\n", ln.Addr()); err != nil {
		return errors.Join(fmt.Errorf("tell the parent: %w", err), server.Close())
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	last, done := context.WithTimeout(context.WithoutCancel(ctx), farewellTime)
	defer done()
	return server.Shutdown(last)
}
