package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// Server holds the sockets and the Runtime that serves them.
type Server struct {
	// Env is given to the engines; the same as to Build.
	Env Env
	// Listen opens a socket; nil means net.ListenConfig. A process that was
	// handed its sockets by a predecessor sets it.
	Listen func(network, address string) (net.Listener, error)
	// ListenPacket opens a UDP socket; nil means net.ListenPacket.
	ListenPacket func(network, address string) (net.PacketConn, error)
	// Linger is how long connections of a listener that was changed or removed
	// may live on: tunnels and streams end when they end. 0 means
	// [DefaultLinger].
	Linger time.Duration

	rt atomic.Pointer[Runtime]

	mu       sync.Mutex // Swap, Drain: one at a time
	ctx      context.Context
	stop     context.CancelFunc
	running  map[string]context.CancelFunc
	doors    map[string]*door
	draining bool
	alive    sync.WaitGroup
	drains   sync.WaitGroup
}

// DefaultLinger is how long a tunnel or a stream may outlive a change of its
// listener, or an upgrade of the program.
const DefaultLinger = 24 * time.Hour

// errDraining refuses a change of a server that is about to end.
var errDraining = errors.New("the server drains")

// Runtime is the one that serves now; nil before the first Swap.
func (s *Server) Runtime() *Runtime { return s.rt.Load() }

// Swap makes rt the serving Runtime. New sockets are opened first; when one
// can't be, nothing changes and the error says which. Then one pointer is
// stored, and what the new Runtime does not have is drained in the background.
func (s *Server) Swap(rt *Runtime) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return errDraining
	}
	if s.ctx == nil {
		s.Env = s.Env.withDefaults()
		s.ctx, s.stop = context.WithCancel(context.Background())
		s.running = make(map[string]context.CancelFunc)
		s.doors = make(map[string]*door)
	}
	sockets, err := s.open(rt)
	if err != nil {
		return err
	}
	s.startParts(rt)
	old := s.rt.Swap(rt)
	s.openDoors(rt, sockets)
	s.stopParts(rt)
	if old != nil {
		s.retire(old, rt)
	}
	return nil
}

// open opens the sockets that the new Runtime needs and the Server lacks.
func (s *Server) open(rt *Runtime) (map[string]opened, error) {
	sockets := make(map[string]opened, len(rt.listeners))
	for name, f := range rt.listeners {
		o, err := s.openFor(f)
		if err != nil {
			for _, o := range sockets {
				o.close()
			}
			return nil, fmt.Errorf("open listener %s: %w", name, err)
		}
		sockets[name] = o
	}
	return sockets, nil
}

func (s *Server) listen(address string) (net.Listener, error) {
	if s.Listen != nil {
		return s.Listen("tcp", address)
	}
	// Time-outs of our own find dead clients; probes would cost system calls
	// on each accept.
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(s.ctx, "tcp", address)
}

// startParts runs what is alive of rt and does not run yet.
func (s *Server) startParts(rt *Runtime) {
	rt.run(s.ctx, func(key string, run func(context.Context) error) {
		if _, ok := s.running[key]; ok {
			return
		}
		ctx, stop := context.WithCancel(s.ctx)
		s.running[key] = stop
		s.alive.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				s.Env.Log.Error("a part of the gateway stopped", "part", key, "error", err)
			}
		})
	})
}

// stopParts ends what runs and rt does not have. A cluster that is gone
// finishes its exchanges: stopping its Run only ends sources and reaping.
func (s *Server) stopParts(rt *Runtime) {
	wanted := make(map[string]bool)
	rt.run(s.ctx, func(key string, _ func(context.Context) error) { wanted[key] = true })
	for key, stop := range s.running {
		if !wanted[key] {
			stop()
			delete(s.running, key)
		}
	}
}

// retire ends the pools of clusters that the new Runtime does not have: idle
// connections close now, the others when their exchanges end.
func (s *Server) retire(old, rt *Runtime) {
	for name, c := range old.clusters {
		if n := rt.clusters[name]; n == nil || n.Cluster != c.Cluster {
			c.Retire()
		}
	}
}

// Drain stops accepting, lets every exchange end, and returns when all
// connections are gone or ctx ends; then whatever is left is cut. The Server
// can't be used again.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	doors := make([]*door, 0, len(s.doors))
	for _, d := range s.doors {
		d.socket.shut()
		doors = append(doors, d)
	}
	s.mu.Unlock()
	if s.stop == nil { // nothing was ever served
		return nil
	}
	errs := make(chan error, len(doors))
	for _, d := range doors {
		go func() { errs <- d.drain(ctx) }()
	}
	cut := context.AfterFunc(ctx, s.stop) // what lingers from earlier changes
	defer cut()
	var err error
	for range doors {
		err = errors.Join(err, <-errs)
	}
	s.drains.Wait()
	s.stop()
	s.alive.Wait()
	return err
}

// Addr is the address that the named listener is bound to; nil without one.
func (s *Server) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.doors[name]; d != nil {
		return d.socket.ln.Addr()
	}
	return nil
}

// accept takes connections until the socket is closed. Running out of
// descriptors is waited out, with the backlog as the queue.
func (s *Server) accept(k *socket) {
	for k.gate.Wait(k.ended) {
		c, err := k.ln.Accept()
		if err == nil {
			k.door.Load().serve(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) || k.closed.Load() {
			return
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) {
			s.Env.Log.Error("accept: out of resources, waiting", "listener", k.door.Load().name, "error", err)
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // nothing tells when a descriptor is free
	}
}

// engine is the protocol machinery behind a door for one configuration of it.
type engine struct {
	front  atomic.Pointer[front]
	h1     *http1.Server
	altSvc atomic.Value // string: what Alt-Svc says, "" while HTTP/3 is not served
	key    string
}

// handle answers a request with the Runtime that serves now.
func (e *engine) handle(r *message.Request) *message.Response {
	p := e.front.Load().answer(r)
	e.announce(r, p)
	return p
}
