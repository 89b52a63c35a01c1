package http1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nothing tells whether a socket has neither bytes nor an end to read; p is room
// for one byte.
func nothing(fd uintptr, p *[1]byte) bool {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(p)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno == syscall.EAGAIN
}

// hungUp tells whether the peer closed its side, even when bytes before the end
// are unread.
func hungUp(fd uintptr) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p[:], 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
