package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/maru-msa/maru/edge"
)

// legacy is what a process got from its predecessor.
type legacy struct {
	sockets edge.Inherited
	key     []byte
	tickets []byte
	control *os.File
	words   *bufio.Reader // what the predecessor says over it
	// registry tells that there is one to ask for.
	registry bool
}

// inherit reads what a predecessor hands over; nil when there is none.
func inherit() (*legacy, error) {
	if os.Getenv(handoverVar) == "" {
		return nil, nil //nolint:nilnil // no predecessor is the usual case
	}
	_ = os.Unsetenv(handoverVar)
	syscall.CloseOnExec(controlFD)
	l := &legacy{control: os.NewFile(controlFD, "control socket")}
	l.words = bufio.NewReaderSize(l.control, 64<<10)
	line, err := l.words.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("listen to the predecessor: %w", err)
	}
	var h handover
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, fmt.Errorf("understand the predecessor: %w", err)
	}
	for _, s := range h.Sockets {
		syscall.CloseOnExec(s.FD)
	}
	l.key, l.tickets, l.registry = h.Key, h.Tickets, h.Registry
	l.sockets = edge.Inherited{
		Sockets: h.Sockets,
		Open: func(network, address string) (net.Listener, error) {
			lc := net.ListenConfig{KeepAlive: -1}
			return lc.Listen(context.Background(), network, address)
		},
		OpenPacket: func(network, address string) (net.PacketConn, error) {
			var lc net.ListenConfig
			return lc.ListenPacket(context.Background(), network, address)
		},
	}
	return l, nil
}

// takeOver makes the gateway use what a predecessor left, if there was one.
func (g *gateway) takeOver() error {
	l, err := inherit()
	if err != nil || l == nil {
		return err
	}
	g.legacy = l
	g.env.Key = l.key
	if len(l.tickets) > 0 {
		if err := g.env.Tickets.Import(l.tickets); err != nil {
			return fmt.Errorf("take over the TLS sessions: %w", err)
		}
	}
	g.server.Listen, g.server.ListenPacket = l.sockets.Listen, l.sockets.ListenPacket
	g.desk.listen = l.sockets.Listen
	g.registrar.listen = l.sockets.Listen
	if !l.registry {
		return nil
	}
	g.registrar.expecting = true
	if _, err := l.control.WriteString(registryWord); err != nil {
		return fmt.Errorf("ask for the registry: %w", err)
	}
	return g.registrar.registry.Import(l.words)
}

// sayReady tells the predecessor that it may stop accepting: once this process
// would call itself ready.
func (g *gateway) sayReady() error {
	if g.legacy == nil {
		return nil
	}
	g.legacy.sockets.CloseRest()
	for len(g.status.Unready(g.server.Runtime())) > 0 {
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // endpoints come by themselves
	}
	defer func() { _ = g.legacy.control.Close() }()
	if _, err := g.legacy.control.WriteString(readyWord); err != nil {
		return fmt.Errorf("tell the predecessor: %w", err)
	}
	if g.registrar.expecting {
		g.inheritRegistry()
	}
	return nil
}

// inheritRegistry begins to serve the registry, once the predecessor ended its
// own and told what changed since.
func (g *gateway) inheritRegistry() {
	err := g.legacy.control.SetReadDeadline(time.Now().Add(registryTime))
	if err == nil {
		err = g.registrar.registry.Import(g.legacy.words)
	}
	if err != nil {
		g.env.Log.Error("the last changes of the registry did not arrive; clients register again", "error", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.registrar.takeOver()
}
