package edge

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// connInfo is what is known of a connection before its first frame.
type connInfo struct {
	listener string
	port     uint16
	peer     netip.AddrPort
	tls      *tls.ConnectionState // nil on a plain connection
	scheme   string
}

// h2Server serves HTTP/2 connections (RFC 9113) for one listener.
//
// A connection has one reading goroutine, which parses frames with
// golang.org/x/net's Framer and decodes header blocks with its hpack, keeps
// the stream states, and counts what abuses the protocol. Each stream has a
// goroutine that runs the exchange and writes the answer straight to the
// connection, in turn with the others. It is an engine of our own around those
// two, because net/http's model loses what the rest of maru relies on: the order
// of fields, trailers that nobody announced, Expect, and the choice of what a
// malformed message is answered with.
type h2Server struct {
	handle  func(*message.Request) *message.Response
	refuse  func(ref *http1.Refusal, peer netip.AddrPort, line []byte) *message.Response
	refused func(listener, reason string)
	done    func(r *message.Request, p *message.Response, err error)
	log     *slog.Logger
	limits  http1.Limits
	date    *http1.Clock

	shard atomic.Uint32
	alive sync.WaitGroup

	mu       sync.Mutex
	conns    map[*h2Conn]struct{}
	draining bool
}

// newH2 makes the server of a listener.
func newH2(e *engines, limits http1.Limits, env Env) *h2Server {
	return &h2Server{
		handle: e.handle,
		refuse: func(ref *http1.Refusal, peer netip.AddrPort, line []byte) *message.Response {
			return e.front.Load().refuse(ref, peer, line)
		},
		refused: env.Refused,
		done:    env.Done,
		log:     env.Log,
		limits:  limits.WithDefaults(),
		date:    http1.NewClock(),
		conns:   make(map[*h2Conn]struct{}),
	}
}

// serveConn serves one connection until it ends, and closes it.
func (s *h2Server) serveConn(nc net.Conn, info connInfo) {
	c := newH2Conn(s, nc, info)
	c.greet() // before anybody can retire it: SETTINGS come first (RFC 9113 §3.4)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.alive.Add(1)
	draining := s.draining
	s.mu.Unlock()
	if draining {
		c.retire()
	}
	c.serve()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.alive.Done()
}

// count counts the open connections.
func (s *h2Server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// drain asks every connection to end: GOAWAY in two steps, so that a request
// under way to us is not lost (RFC 9113 §6.8), then the streams end. It returns
// when all are gone; the end of ctx cuts what is left.
func (s *h2Server) drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for c := range s.conns {
		go c.retire() // it may wait for a client that does not read
	}
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() { s.alive.Wait(); close(gone) }()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.nc.Close()
	}
	s.mu.Unlock()
	<-gone
	return fmt.Errorf("drain HTTP/2: connections were cut: %w", ctx.Err())
}
