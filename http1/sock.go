package http1

import (
	"net"
	"syscall"
)

// rawOf finds the socket below c, through TLS; nil when there is none.
func rawOf(c net.Conn) syscall.RawConn {
	for {
		switch v := c.(type) {
		case syscall.Conn:
			raw, err := v.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		default:
			return nil
		}
	}
}

// broken tells whether the peer of a socket has left.
func broken(raw syscall.RawConn) (gone bool) {
	if raw == nil {
		return false
	}
	err := raw.Control(func(fd uintptr) { gone = hungUp(fd) })
	return gone || err != nil
}

// reset closes c so that the peer sees an error, not an end: a TLS connection
// goes without close_notify, a TCP one with RST.
func reset(c net.Conn) {
	for {
		switch v := c.(type) {
		case interface{ SetLinger(sec int) error }:
			_ = v.SetLinger(0)
			_ = c.Close()
			return
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		default:
			_ = c.Close()
			return
		}
	}
}
