package http1

import (
	"net"
	"syscall"
)

// probe looks at a socket without waiting and without taking anything; its
// callback is made once, so that looking does not allocate.
type probe struct {
	raw   syscall.RawConn // nil when there is no socket
	look  func(fd uintptr)
	buf   [1]byte
	still bool
}

func (p *probe) init(c net.Conn) {
	p.raw = rawOf(c)
	p.look = func(fd uintptr) { p.still = nothing(fd, &p.buf) }
}

// quiet tells whether the socket has neither bytes nor an end to read.
func (p *probe) quiet() bool {
	if p.raw == nil {
		return true
	}
	p.still = false
	err := p.raw.Control(p.look)
	return err == nil && p.still
}
