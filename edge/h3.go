package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

const (
	// altSvcAge is for how long clients may remember that HTTP/3 is there.
	altSvcAge = "; ma=86400"
	// freshHandshakes is how many handshakes a second begin without a proof that
	// the client's address is its own (RFC 9000 §8.1.2); above it each costs the
	// client another round trip.
	freshHandshakes = 500
	// h3Farewell is how long a connection stays after its last exchange, so that
	// the end of the answer still arrives.
	h3Farewell = time.Second
)

// h3Socket is the UDP side of a socket: one QUIC endpoint that lives as long and
// hands each connection to the engine of the moment.
type h3Socket struct {
	transport *quic.Transport
	listener  *quic.Listener
	accepting sync.WaitGroup
}

// openH3 starts QUIC on the UDP socket.
func (k *socket) openH3() error {
	current := func() *front { return k.door.Load().engine.Load().front.Load() }
	config := http3.ConfigureTLSConfig(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			f := current()
			if f.tls == nil {
				return nil, errors.New("this listener has no TLS any more")
			}
			if f.tls.config.GetConfigForClient == nil {
				return f.tls.config, nil
			}
			return f.tls.config.GetConfigForClient(hello)
		},
	})
	limits := current().cfg.Limits.WithDefaults()
	var mu sync.Mutex
	fresh := newBucket(freshHandshakes, freshHandshakes)
	tr := &quic.Transport{
		Conn: k.packet,
		VerifySourceAddress: func(net.Addr) bool {
			mu.Lock()
			defer mu.Unlock()
			return !fresh.take()
		},
	}
	ln, err := tr.Listen(config, &quic.Config{
		HandshakeIdleTimeout:           limits.FirstByte,
		MaxIdleTimeout:                 limits.Idle,
		MaxIncomingStreams:             h2Streams,
		MaxIncomingUniStreams:          8, // control and QPACK streams, and some that we ignore
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindow,
		Allow0RTT:                      false, // a replay could repeat a request (RFC 8470)
	})
	if err != nil {
		return fmt.Errorf("listen for QUIC: %w", err)
	}
	k.quic = &h3Socket{transport: tr, listener: ln}
	k.quic.accepting.Go(func() {
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			go k.door.Load().engine.Load().h3.serveConn(c)
		}
	})
	return nil
}

// close ends QUIC on the socket; connections that are left are cut.
func (s *h3Socket) close() {
	_ = s.listener.Close()
	_ = s.transport.Close()
	s.accepting.Wait()
}

// startH3 opens QUIC when it is not open yet. Only then does Alt-Svc tell
// clients of it.
func (d *door) startH3(e *engines) {
	if e.h3 == nil {
		return
	}
	d.socket.door.Store(d)
	if d.socket.quic == nil {
		if err := d.socket.openH3(); err != nil {
			d.s.Env.Log.Error("no HTTP/3 on this listener", "listener", d.name, "error", err)
			return
		}
	}
	e.altSvc.Store(fmt.Sprintf(`h3=":%d"%s`, d.socket.port, altSvcAge))
}

// announce tells a client of HTTP/1 or 2 that HTTP/3 is there (RFC 7838 §3).
func (e *engine) announce(r *message.Request, p *message.Response) {
	if v, _ := e.altSvc.Load().(string); v != "" && r.Proto < message.HTTP3 && !p.Header.Has(message.AltSvc) {
		p.Header.AppendID(message.AltSvc, v)
	}
}

// h3Server serves HTTP/3 connections (RFC 9114) for one listener. The protocol
// is quic-go's; requests become messages like those of the other versions.
type h3Server struct {
	e      *engines
	server *http3.Server
	limits http1.Limits
	date   *http1.Clock
	env    Env
	name   string
	port   uint16
	shard  atomic.Uint32

	mu       sync.Mutex
	conns    map[*h3Conn]struct{}
	draining bool
}

// h3Conn is one connection with the number of its exchanges.
type h3Conn struct {
	conn   *quic.Conn
	shard  uint32
	peer   netip.AddrPort
	active int // under the server's mu
}

type h3connKey struct{}

func newH3(d *door, e *engines) *h3Server {
	f := e.front.Load()
	s := &h3Server{
		e: e, limits: f.cfg.Limits.WithDefaults(), date: http1.NewClock(), env: d.s.Env,
		name: d.name, port: d.socket.port, conns: make(map[*h3Conn]struct{}),
	}
	s.server = &http3.Server{
		Handler:        http.HandlerFunc(s.serve),
		MaxHeaderBytes: int(s.limits.HeaderBytes),
		IdleTimeout:    s.limits.Idle,
		ConnContext: func(ctx context.Context, c *quic.Conn) context.Context {
			return context.WithValue(ctx, h3connKey{}, s.find(c))
		},
	}
	return s
}

// serveConn serves one connection until it ends. Without a server (the listener
// has given HTTP/3 up) it is closed.
func (s *h3Server) serveConn(conn *quic.Conn) {
	if s == nil {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		return
	}
	c := &h3Conn{conn: conn, shard: s.shard.Add(1)}
	if a, ok := conn.RemoteAddr().(*net.UDPAddr); ok {
		ap := a.AddrPort()
		c.peer = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	_ = s.server.ServeQUICConn(conn) // how a client leaves is its own affair
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func (s *h3Server) find(conn *quic.Conn) *h3Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.conn == conn {
			return c
		}
	}
	return &h3Conn{conn: conn}
}

// enter and leave count a connection's exchanges.
func (s *h3Server) enter(c *h3Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.active++
}

func (s *h3Server) leave(c *h3Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.active--; c.active == 0 && s.draining {
		s.closeSoon(c)
	}
}

// closeSoon closes a connection without exchanges. The caller holds s.mu.
func (s *h3Server) closeSoon(c *h3Conn) {
	time.AfterFunc(h3Farewell, func() {
		s.mu.Lock()
		idle := c.active == 0
		s.mu.Unlock()
		if idle {
			_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
		}
	})
}

// drain tells every client to open no more streams (GOAWAY, RFC 9114 §5.2) and
// returns when all connections are gone; the end of ctx cuts what is left.
func (s *h3Server) drain(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.e.altSvc.Store("")
	s.mu.Lock()
	s.draining = true
	for c := range s.conns {
		if c.active == 0 {
			s.closeSoon(c)
		}
	}
	s.mu.Unlock()
	err := s.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	}
	s.mu.Unlock()
	return fmt.Errorf("drain HTTP/3: connections were cut: %w", err)
}
