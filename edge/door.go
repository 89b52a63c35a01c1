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

// door is one listener: the engine that serves its connections, and the socket
// that they come from. A change of the listener's limits or TLS gives it a new
// engine; connections that are open keep the one they began with.
type door struct {
	s      *Server
	name   string
	socket *socket
	engine atomic.Pointer[engines]
}

// socket is a bound address. It outlives the listener's name and definition: a
// change that leaves the address alone loses nothing of what waits to be accepted.
type socket struct {
	addr   string // as the configuration says
	port   uint16
	ln     net.Listener
	packet net.PacketConn // for HTTP/3, else nil
	quic   *h3Socket      // on packet, once it is open
	handed bool           // duplicated for a successor process
	gate   *http1.Gate    // counts the TCP connections
	ended  chan struct{}  // closed when accepting ends
	door   atomic.Pointer[door]
	closed atomic.Bool
}

// engines are what serves a listener: HTTP/1 always, the others as configured.
type engines struct {
	engine
	h2 *h2Server
	h3 *h3Server
}

// opened is what a listener of a new Runtime gets: its socket, and whether that
// is new; or only a new UDP socket beside the one it has.
type opened struct {
	socket *socket
	fresh  bool
	packet net.PacketConn
}

func (o *opened) close() {
	if o.fresh {
		o.socket.close()
	}
	if o.packet != nil {
		_ = o.packet.Close()
	}
}

// anyPort is how often a port of the system's choice is asked for until it is free
// for UDP too.
const anyPort = 16

// openFor opens what f needs and no listener has.
func (s *Server) openFor(f *front) (o opened, err error) {
	for range anyPort {
		if o, err = s.tryOpen(f); err == nil || !o.fresh || !f.cfg.HTTP3 || !strings.HasSuffix(f.addr, ":0") {
			break
		}
	}
	return o, err
}

func (s *Server) tryOpen(f *front) (o opened, err error) {
	if o.socket = s.holder(f); o.socket == nil {
		ln, err := s.listen(f.addr)
		if err != nil {
			return o, err
		}
		o.fresh, o.socket = true, &socket{addr: f.addr, ln: ln, gate: http1.NewGate(f.cfg.Limits.Connections), ended: make(chan struct{})}
		if a, ok := ln.Addr().(*net.TCPAddr); ok {
			o.socket.port = uint16(a.Port)
		}
	}
	if f.cfg.HTTP3 && o.socket.packet == nil {
		listen := net.ListenPacket
		if s.ListenPacket != nil {
			listen = s.ListenPacket
		}
		if o.packet, err = listen("udp", o.socket.ln.Addr().String()); err != nil {
			o.close()
			return o, err
		}
	}
	return o, nil
}

// holder finds the open socket of a listener: its own, or that of a listener
// which loses it by the same change (a renamed listener, swapped addresses).
func (s *Server) holder(f *front) *socket {
	if d := s.doors[f.name]; d != nil && d.socket.addr == f.addr {
		return d.socket
	}
	if strings.HasSuffix(f.addr, ":0") {
		return nil // any port: each listener its own
	}
	for _, d := range s.doors {
		if d.socket.addr == f.addr {
			return d.socket
		}
	}
	return nil
}

// openDoors gives every listener its socket and the engine for rt, starts
// accepting on new sockets and ends what rt does not have.
func (s *Server) openDoors(rt *Runtime, sockets map[string]opened) {
	old := s.doors
	s.doors = make(map[string]*door, len(sockets))
	for name, o := range sockets {
		f := rt.listeners[name]
		d := old[name]
		if d == nil || d.socket != o.socket {
			d = &door{s: s, name: name, socket: o.socket}
		}
		s.doors[name] = d
		d.socket.setPacket(o.packet, f.cfg.HTTP3)
		d.refit(f)
		d.socket.door.Store(d)
		if o.fresh {
			s.alive.Go(func() { s.accept(d.socket) })
		}
	}
	kept := make(map[*socket]bool, len(s.doors))
	for _, d := range s.doors {
		kept[d.socket] = true
	}
	for name, d := range old {
		if !kept[d.socket] {
			d.socket.shut()
		}
		if s.doors[name] != d {
			s.farewell(d)
		}
	}
}

// setPacket gives the socket the UDP socket for HTTP/3, or takes it away.
func (k *socket) setPacket(packet net.PacketConn, wanted bool) {
	switch {
	case packet != nil:
		k.packet = packet
	case !wanted && k.packet != nil:
		k.shutPacket()
		k.packet, k.quic = nil, nil
	}
}

// shutPacket takes no more connections of HTTP/3 and gives those that are there
// time to end.
func (k *socket) shutPacket() {
	if k.packet == nil {
		return
	}
	old, quic := k.packet, k.quic
	if quic != nil {
		_ = quic.listener.Close()
	}
	wait := drainTime
	if k.handed {
		wait = handedTime
	}
	time.AfterFunc(wait, func() { closePacket(old, quic) })
}

func closePacket(packet net.PacketConn, quic *h3Socket) {
	if quic != nil {
		quic.close()
	}
	if packet != nil {
		_ = packet.Close()
	}
}

const (
	// drainTime is what the connections of HTTP/3 get before their socket closes.
	drainTime = 30 * time.Second
	// handedTime is what they get when a successor reads the same socket: each
	// packet that one of the two takes is lost to the other, so it must be short.
	handedTime = 3 * time.Second
)

// farewell lets the connections of a door end in the background.
func (s *Server) farewell(d *door) {
	if e := d.engine.Load(); e != nil {
		s.retireEngines(e)
	}
}

// retireEngines lets the connections of engines end in the background: each at
// the end of its exchange, long ones (tunnels, streams) whenever they do, at
// most after the server's Linger.
func (s *Server) retireEngines(e *engines) {
	linger := s.Linger
	if linger == 0 {
		linger = DefaultLinger
	}
	s.drains.Go(func() {
		ctx, stop := context.WithTimeout(s.ctx, linger)
		defer stop()
		_ = e.drain(ctx)
	})
}

// refit gives the door the engine for f: the present one when what the engine
// depends on is unchanged, else a new one while the old one drains.
func (d *door) refit(f *front) {
	d.socket.gate.SetMax(f.cfg.Limits.Connections)
	key := fmt.Sprintf("%+v|%v|%v|%v|%p", f.cfg.Limits, f.cfg.H2C, f.cfg.HTTP2, f.cfg.HTTP3, f.tls)
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
		Gate:   d.socket.gate,
		Watch:  env.Watch,
	}
	e.h2 = newH2(e, f.cfg.Limits, env)
	if f.cfg.H2C {
		e.h1.H2C = func(c net.Conn, info http1.ConnInfo) {
			e.h2.serveConn(c, connInfo{listener: info.Listener, port: info.Port, peer: info.Peer, scheme: info.Scheme})
		}
	}
	if d.socket.packet != nil {
		e.h3 = newH3(d, e)
	}
	old := d.engine.Swap(e)
	d.startH3(e)
	if old != nil {
		d.s.retireEngines(old)
	}
}

// serve serves one accepted connection on a goroutine of its own.
func (d *door) serve(c net.Conn) {
	e := d.engine.Load()
	if d.socket.gate.Enter() {
		e.h1.Shed()
	}
	f := e.front.Load()
	info := http1.ConnInfo{Peer: peerOf(c), Listener: d.name, Port: d.socket.port, Scheme: "http"}
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
// in the engine, or in a body that a filter reads. It counts the connection out.
func (d *door) guard(c net.Conn) {
	defer d.socket.gate.Leave()
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
	tc := tls.Server(http1.Quick(c), f.tls.config)
	_ = c.SetDeadline(time.Now().Add(f.cfg.Limits.WithDefaults().FirstByte))
	if err := tc.Handshake(); err != nil { //nolint:noctx // the deadline ends it
		f.refuseHandshake(c, info.Peer, err)
		return
	}
	_ = c.SetDeadline(time.Time{})
	state := tc.ConnectionState()
	if state.NegotiatedProtocol == acmeALPN {
		_ = tc.Close() // the handshake was the answer (RFC 8737 §3)
		return
	}
	if state.NegotiatedProtocol == "h2" {
		e.h2.serveConn(tc, connInfo{listener: d.name, port: d.socket.port, peer: info.Peer, tls: &state, scheme: "https"})
		return
	}
	info.Exchange = func(x *message.Exchange) { x.TLS = &state }
	// A handshake needs a deep stack and an idle connection a shallow one: the
	// deep one goes back with this goroutine.
	go func() {
		defer d.guard(c)
		e.h1.ServeConn(tc, info)
	}()
}

func peerOf(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return ap
}

// shut stops accepting; a UDP socket goes on for the connections it has.
func (k *socket) shut() {
	if k.closed.Swap(true) {
		return
	}
	_ = k.ln.Close()
	close(k.ended)
	k.shutPacket()
}

func (k *socket) close() {
	k.closed.Store(true)
	_ = k.ln.Close()
	closePacket(k.packet, k.quic)
}

// drain waits for the door's connections to end; ctx's end cuts them.
func (d *door) drain(ctx context.Context) error {
	e := d.engine.Load()
	if e == nil {
		return nil
	}
	err := e.drain(ctx)
	closePacket(d.socket.packet, d.socket.quic)
	return err
}

func (e *engines) drain(ctx context.Context) error {
	h2, h3 := make(chan error, 1), make(chan error, 1)
	go func() { h2 <- e.h2.drain(ctx) }()
	go func() { h3 <- e.h3.drain(ctx) }()
	err := e.h1.Drain(ctx)
	err = errors.Join(err, <-h2, <-h3)
	if err != nil {
		e.h1.CloseAll()
		if !strings.Contains(err.Error(), "deadline") {
			return err
		}
		return fmt.Errorf("drain listener: connections were cut: %w", err)
	}
	return nil
}
