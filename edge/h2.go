package edge

import (
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/maru-msa/maru/message"
)

// connInfo is what is known of a connection.
type connInfo struct {
	listener string
	port     uint16
	peer     netip.AddrPort
	tls      *tls.ConnectionState
	scheme   string
}

type h2Server struct{}

func newH2(*ListenerConfig, func(*message.Request) *message.Response, func(*message.Request, *message.Response, error)) *h2Server {
	return &h2Server{}
}

func (*h2Server) serveConn(c net.Conn, _ connInfo) { _ = c.Close() }
func (*h2Server) drain()                           {}
