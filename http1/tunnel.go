package http1

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/message"
)

// tunnelIdle is how long both directions of a tunnel may be silent.
const tunnelIdle = time.Hour

// tunnel makes the response to an upgrade a duplex stream (RFC 9110 §7.8): the
// 101 must name the protocol that was asked for.
func (c *ClientConn) tunnel(r *message.Request) error {
	if r.Upgrade == "" || !strings.EqualFold(c.head.upgrade, r.Upgrade) {
		return refuseUnexpected101
	}
	c.in.stash()
	c.body.start(&c.in, framingClose, message.Unknown)
	c.in.idle, c.in.by = tunnelIdle, neverAt
	c.head.close = true
	c.resp.Body = &c.duplex
	c.resp.Length = message.Unknown
	return nil
}

// duplex is the service's end of a tunnel.
type duplex struct{ c *ClientConn }

func (d *duplex) Read(p []byte) (int, error) { return d.c.body.Read(p) }

func (d *duplex) Write(p []byte) (int, error) {
	if err := d.c.out.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite passes a half-close on.
func (d *duplex) CloseWrite() error {
	if hc, ok := d.c.conn.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return nil
}

// Close wakes a Read in progress.
func (d *duplex) Close() error {
	d.c.spoilt.Store(true)
	return d.c.body.Close()
}

// await waits, without holding memory, until there is something to read.
func (d *duplex) await() ([]byte, error) {
	return d.c.in.some()
}

// awaiter is a tunnel end that needs no memory while it waits.
type awaiter interface{ await() ([]byte, error) }

// runTunnel copies both ways until both are closed, passing half-closes on.
func (c *serverConn) runTunnel(far message.Duplex, x *message.Exchange) error {
	var once sync.WaitGroup
	var up error
	once.Go(func() {
		up = c.tunnelUp(far, x)
		if up != nil {
			_ = far.Close()
		} else {
			_ = far.CloseWrite()
		}
	})
	down := c.tunnelDown(far, x)
	if down != nil {
		_ = c.conn.SetDeadline(longAgo)
	} else if hc, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
	} else {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	once.Wait()
	return errors.Join(up, down)
}

// tunnelUp copies from the client to the service.
func (c *serverConn) tunnelUp(far message.Duplex, x *message.Exchange) error {
	c.in.idle, c.in.by = tunnelIdle, neverAt
	for {
		p, err := c.in.some()
		if len(p) > 0 {
			x.Received += int64(len(p))
			if _, werr := far.Write(p); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tunnelDown copies from the service to the client.
func (c *serverConn) tunnelDown(far message.Duplex, x *message.Exchange) error {
	next := c.readFar(far)
	for {
		p, err := next()
		if len(p) > 0 {
			x.Sent += int64(len(p))
			if werr := c.out.write(p); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readFar gives the next bytes of any duplex; our own needs no buffer to wait.
func (c *serverConn) readFar(far message.Duplex) func() ([]byte, error) {
	if a, ok := far.(awaiter); ok {
		return a.await
	}
	buf := make([]byte, smallBlock)
	return func() ([]byte, error) {
		n, err := far.Read(buf)
		return buf[:n], err
	}
}
