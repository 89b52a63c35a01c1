//go:build !linux

package http1

import (
	"net"
	"syscall"
)

// Quick gives c back: its shorter way exists on Linux only.
func Quick(c net.Conn) net.Conn { return c }

// socket does not exist here.
type socket struct {
	*net.TCPConn
	in struct{ once bool }
}

func (s *socket) try([]byte) (int, error) { return 0, nil }

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	errno, _ := err.(syscall.Errno) //nolint:errorlint // a bare errno
	return max(n, 0), errno
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	errno, _ := err.(syscall.Errno) //nolint:errorlint // a bare errno
	return max(n, 0), errno
}
