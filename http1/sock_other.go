//go:build !linux

package http1

import "golang.org/x/sys/unix"

// nothing tells whether a socket has neither bytes nor an end to read; p is room
// for one byte.
func nothing(fd uintptr, p *[1]byte) bool {
	_, _, err := unix.Recvfrom(int(fd), p[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == unix.EAGAIN
}

// hungUp tells whether the peer closed its side; bytes before the end hide it here.
func hungUp(fd uintptr) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n == 0 || err != nil && err != unix.EAGAIN //nolint:errorlint // a bare errno
}
