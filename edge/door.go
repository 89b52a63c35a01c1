package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// door is one open listener: a socket and the engine that serves its
// connections. A change of the listener's limits or TLS gives it a new engine;
// connections that are open keep the one they began with.
type door struct {
	s      *Server
	name   string
	addr   string
	port   uint16
	ln     net.Listener
	packet net.PacketConn // for HTTP/3, else nil
	engine atomic.Pointer[engines]
	closed atomic.Bool
}

// engines are what serves a listener: HTTP/1 always, the others as configured.
type engines struct {
	engine
	h2 *h2Server
	h3 *h3Server
}

func (s *Server) openDoor(f *front) (*door, error) {
	ln, err := s.listen(f.addr)
	if err != nil {
		return nil, err
	}
	d := &door{s: s, name: f.name, addr: f.addr, ln: ln}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		d.port = uint16(a.Port)
	}
	if f.cfg.HTTP3 {
		listen := net.ListenPacket
		if s.ListenPacket != nil {
			listen = s.ListenPacket
		}
		if d.packet, err = listen("udp", ln.Addr().String()); err != nil {
			_ = ln.Close()
			return nil, err
		}
	}
	return d, nil
}

// openDoors gives every listener the engine for rt and starts accepting on new ones.
func (s *Server) openDoors(rt *Runtime, opened map[string]*door) {
	for name, f := range rt.listeners {
		d := opened[name]
		if d == nil {
			s.doors[name].refit(f)
			continue
		}
		if old := s.doors[name]; old != nil {
			s.farewell(old)
		}
		s.doors[name] = d
		d.refit(f)
		s.alive.Go(func() { s.accept(d) })
	}
}

// closeDoors drains listeners that rt does not have.
func (s *Server) closeDoors(rt *Runtime) {
	for name, d := range s.doors {
		if rt.listeners[name] == nil {
			delete(s.doors, name)
			s.farewell(d)
		}
	}
}

const drainTime = 30 * time.Second

// farewell shuts a door and drains it in the background.
func (s *Server) farewell(d *door) {
	d.shut()
	s.drains.Go(func() {
		ctx, stop := context.WithTimeout(context.Background(), drainTime)
		defer stop()
		_ = d.drain(ctx)
	})
}

// refit gives the door the engine for f: the present one when what the engine
// depends on is unchanged, else a new one while the old one drains.
func (d *door) refit(f *front) {
	key := fmt.Sprintf("%+v|%v|%v|%p", f.cfg.Limits, f.cfg.H2C, f.cfg.HTTP2, f.tls)
	if e := d.engine.Load(); e != nil && e.key == key {
		e.front.Store(f)
		return
	}
	e := &engines{}
	e.key = key
	e.front.Store(f)
	env := d.s.Env
	e.h1 = &http1.Server{
		Handler: e.handle,
		Refuse: func(ref *http1.Refusal, peer netip.AddrPort, line []byte) *message.Response {
			return e.front.Load().refuse(ref, peer, line)
		},
		Done:   env.Done,
		Limits: f.cfg.Limits,
		Watch:  env.Watch,
	}
	e.h2 = newH2(e, f.cfg.Limits, env)
	if f.cfg.H2C {
		e.h1.H2C = func(c net.Conn, info http1.ConnInfo) {
			e.h2.serveConn(c, connInfo{listener: info.Listener, port: info.Port, peer: info.Peer, scheme: info.Scheme})
		}
	}
	old := d.engine.Swap(e)
	if d.packet != nil {
		d.startH3(e, f)
	}
	if old != nil {
		d.s.drains.Go(func() {
			ctx, stop := context.WithTimeout(context.Background(), drainTime)
			defer stop()
			_ = old.drain(ctx)
		})
	}
}

// serve serves one accepted connection on a goroutine of its own.
func (d *door) serve(c net.Conn) {
	e := d.engine.Load()
	f := e.front.Load()
	info := http1.ConnInfo{Peer: peerOf(c), Listener: d.name, Port: d.port, Scheme: "http"}
	if f.tls == nil && f.cfg.ProxyProtocol != "require" {
		go func() {
			defer d.guard(c)
			e.h1.ServeConn(c, info)
		}()
		return
	}
	go func() {
		defer d.guard(c)
		d.serveWrapped(e, f, c, info)
	}()
}

// guard keeps a panic to its connection, when it happened outside of a handler:
// in the engine, or in a body that a filter reads.
func (d *door) guard(c net.Conn) {
	if v := recover(); v != nil {
		d.s.Env.Log.Error("panic while serving a connection", "value", fmt.Sprint(v), "listener", d.name, "stack", string(debug.Stack()))
		_ = c.Close()
	}
}

// serveWrapped takes the PROXY header and the TLS handshake off a connection.
func (d *door) serveWrapped(e *engines, f *front, c net.Conn, info http1.ConnInfo) {
	if f.cfg.ProxyProtocol == "require" {
		said, err := acceptProxy(c, &f.trust)
		if err != nil {
			f.rt.env.Refused(d.name, proxyReason(err))
			f.rt.env.Log.Debug("PROXY header refused", "listener", d.name, "peer", info.Peer, "error", err)
			_ = c.Close()
			return
		}
		if said.peer.IsValid() {
			info.Peer, info.Port = said.peer, said.local.Port()
		}
	}
	if f.tls == nil {
		e.h1.ServeConn(c, info)
		return
	}
	info.Scheme = "https"
	tc := tls.Server(c, f.tls.config)
	_ = c.SetDeadline(time.Now().Add(e.h1.Limits.WithDefaults().FirstByte))
	if err := tc.Handshake(); err != nil { //nolint:noctx // the deadline ends it
		f.refuseHandshake(c, info.Peer, err)
		return
	}
	_ = c.SetDeadline(time.Time{})
	state := tc.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		e.h2.serveConn(tc, connInfo{listener: d.name, port: d.port, peer: info.Peer, tls: &state, scheme: "https"})
		return
	}
	info.Exchange = func(x *message.Exchange) { x.TLS = &state }
	e.h1.ServeConn(tc, info)
}

func peerOf(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return ap
}

// shut stops accepting.
func (d *door) shut() {
	if d.closed.Swap(true) {
		return
	}
	_ = d.ln.Close()
}

func (d *door) close() {
	d.shut()
	if d.packet != nil {
		_ = d.packet.Close()
	}
}

// drain waits for the door's connections to end; ctx's end cuts them.
func (d *door) drain(ctx context.Context) error {
	e := d.engine.Load()
	if e == nil {
		return nil
	}
	err := e.drain(ctx)
	if d.packet != nil {
		_ = d.packet.Close()
	}
	return err
}

func (e *engines) drain(ctx context.Context) error {
	others := make(chan error, 1)
	go func() {
		err := e.h2.drain(ctx)
		if e.h3 != nil {
			err = errors.Join(err, e.h3.drain(ctx))
		}
		others <- err
	}()
	err := e.h1.Drain(ctx)
	err = errors.Join(err, <-others)
	if err != nil {
		e.h1.CloseAll()
		if !strings.Contains(err.Error(), "deadline") {
			return err
		}
		return fmt.Errorf("drain listener: connections were cut: %w", err)
	}
	return nil
}
