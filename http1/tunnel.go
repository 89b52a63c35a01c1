package http1

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
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
	c.in.idle, c.in.by, c.out.limit = 0, neverAt, 0
	c.head.close = true
	c.resp.Body = &c.duplex
	c.resp.Length = message.Unknown
	return nil
}

// duplex is the service's end of a tunnel. It has no deadlines of its own:
// who runs the tunnel watches both directions together.
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

// Close wakes a Read or Write in progress.
func (d *duplex) Close() error {
	d.c.Cancel(nil)
	return d.c.body.Close()
}

// await waits, without holding memory, until there is something to read.
func (d *duplex) await() ([]byte, error) {
	return d.c.in.some()
}

// awaiter is a tunnel end that needs no memory while it waits.
type awaiter interface{ await() ([]byte, error) }

// tunnel is both directions between a client and a service. It ends when both
// are closed, when one fails, or when both were silent for long.
type tunnel struct {
	c     *serverConn
	far   message.Duplex
	x     *message.Exchange
	watch *watch
	moved atomic.Int64 // when something last moved, on the watchdog's clock
}

// runTunnel copies both ways until both are closed, passing half-closes on.
func (c *serverConn) runTunnel(far message.Duplex, x *message.Exchange) error {
	t := &tunnel{c: c, far: far, x: x}
	t.watch = c.s.Watch.add(t)
	defer c.s.Watch.remove(t.watch)
	c.in.idle, c.in.by, c.out.limit = 0, neverAt, 0
	t.touch()
	var both sync.WaitGroup
	var up error
	both.Go(func() {
		if up = t.up(); up != nil {
			_ = far.Close()
		} else {
			_ = far.CloseWrite()
		}
	})
	down := t.down()
	if down != nil {
		_ = c.conn.SetDeadline(longAgo)
	} else if hc, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
	} else {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
	both.Wait()
	return errors.Join(up, down)
}

// touch notes that something moved; the deadline itself is set anew only when
// it moves by a second.
func (t *tunnel) touch() {
	now := t.c.s.Watch.now()
	if now-t.moved.Load() >= int64(time.Second) || t.moved.Load() == 0 {
		t.moved.Store(now)
		t.watch.arm(now + int64(tunnelIdle))
	}
}

// expire ends a silent tunnel.
func (t *tunnel) expire(*watch) {
	_ = t.c.conn.SetDeadline(longAgo)
	_ = t.far.Close()
}

// up copies from the client to the service.
func (t *tunnel) up() error {
	for {
		p, err := t.c.in.some()
		if len(p) > 0 {
			t.touch()
			t.x.Received += int64(len(p))
			if _, err := t.far.Write(p); err != nil {
				return err
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

// down copies from the service to the client.
func (t *tunnel) down() error {
	next := readFar(t.far)
	for {
		p, err := next()
		if len(p) > 0 {
			t.touch()
			t.x.Sent += int64(len(p))
			if err := t.c.out.write(p); err != nil {
				return err
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
func readFar(far message.Duplex) func() ([]byte, error) {
	if a, ok := far.(awaiter); ok {
		return a.await
	}
	buf := make([]byte, smallBlock)
	return func() ([]byte, error) {
		n, err := far.Read(buf)
		return buf[:n], err
	}
}
