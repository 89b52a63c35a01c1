package edge

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Socket is one open socket of a Server, for handing it to a successor process.
type Socket struct {
	Network string `json:"network"` // "tcp" or "udp"
	Address string `json:"address"` // as it was asked for, not as it was bound
	Bound   string `json:"bound"`
	FD      int    `json:"fd"`
}

// Sockets lists the open sockets with duplicates of their descriptors, which
// the caller closes. The socket itself is passed on, never bound again: a
// second bound socket would lose the connections in the first one's queue.
func (s *Server) Sockets() ([]Socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Socket
	for _, d := range s.doors {
		k := d.socket
		k.handed = true
		fd, err := duplicate(k.ln)
		if err != nil {
			return out, fmt.Errorf("duplicate socket of listener %s: %w", d.name, err)
		}
		out = append(out, Socket{"tcp", k.addr, k.ln.Addr().String(), fd})
		if k.packet == nil {
			continue
		}
		if fd, err = duplicate(k.packet); err != nil {
			return out, fmt.Errorf("duplicate UDP socket of listener %s: %w", d.name, err)
		}
		out = append(out, Socket{"udp", k.ln.Addr().String(), k.packet.LocalAddr().String(), fd})
	}
	return out, nil
}

// NewSocket describes a listening socket that is not a Server's, with a duplicate
// of its descriptor, which the caller closes.
func NewSocket(ln net.Listener) (Socket, error) {
	fd, err := duplicate(ln)
	return Socket{"tcp", ln.Addr().String(), ln.Addr().String(), fd}, err
}

// duplicate duplicates a descriptor without touching its blocking mode, which
// both copies share.
func duplicate(c any) (int, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(f uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, dupErr = syscall.Dup(int(f)); dupErr == nil {
			syscall.CloseOnExec(fd)
		}
	})
	if err != nil {
		return -1, err
	}
	return fd, dupErr
}

// Inherited are the sockets that a predecessor handed over. Its Listen and
// ListenPacket are for Server: they give an inherited socket when one was bound
// to the asked address, and open a new one otherwise.
type Inherited struct {
	Sockets []Socket
	// Open opens what was not inherited.
	Open       func(network, address string) (net.Listener, error)
	OpenPacket func(network, address string) (net.PacketConn, error)
}

// Listen gives a listening socket.
func (h *Inherited) Listen(network, address string) (net.Listener, error) {
	f := h.take("tcp", address)
	if f == nil {
		return h.Open(network, address)
	}
	defer func() { _ = f.Close() }()
	return net.FileListener(f)
}

// ListenPacket gives a UDP socket.
func (h *Inherited) ListenPacket(network, address string) (net.PacketConn, error) {
	f := h.take("udp", address)
	if f == nil {
		return h.OpenPacket(network, address)
	}
	defer func() { _ = f.Close() }()
	return net.FilePacketConn(f)
}

func (h *Inherited) take(network, address string) *os.File {
	for i, s := range h.Sockets {
		if s.Network == network && (s.Address == address || s.Bound == address) {
			h.Sockets = append(h.Sockets[:i:i], h.Sockets[i+1:]...)
			return os.NewFile(uintptr(s.FD), network+" "+address)
		}
	}
	return nil
}

// CloseRest closes what nobody asked for: the new configuration has fewer listeners.
func (h *Inherited) CloseRest() {
	for _, s := range h.Sockets {
		_ = syscall.Close(s.FD)
	}
	h.Sockets = nil
}
