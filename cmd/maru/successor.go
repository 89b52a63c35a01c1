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
}

// inherit reads what a predecessor hands over; nil when there is none.
func inherit() (*legacy, error) {
	if os.Getenv(handoverVar) == "" {
		return nil, nil //nolint:nilnil // no predecessor is the usual case
	}
	_ = os.Unsetenv(handoverVar)
	syscall.CloseOnExec(controlFD)
	l := &legacy{control: os.NewFile(controlFD, "control socket")}
	line, err := bufio.NewReader(l.control).ReadBytes('\n')
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
	l.key, l.tickets = h.Key, h.Tickets
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
	return nil
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
	return nil
}
