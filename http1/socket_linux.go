package http1

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Quick makes a TCP connection read and write without telling the scheduler of
// each system call: on a non-blocking socket they return at once, and a
// scheduler that is told keeps its monitor thread awake for them, which costs a
// proxy a tenth of its CPU. Waiting stays the runtime's: where a call would
// block, the goroutine parks in the network poller. Deadlines work as before.
//
// One goroutine at a time may read and one write. Any other connection comes
// back as it is.
func Quick(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	s := &socket{TCPConn: t, raw: raw}
	s.in.step, s.out.step = s.readStep, s.writeStep
	return s
}

// socket is what Quick makes.
type socket struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
}

// transfer is one direction. Its callback is made once and finds its arguments
// here, so that a call allocates nothing.
type transfer struct {
	p    []byte
	n    int
	err  error
	once bool // don't wait for the socket: a read gives os.ErrDeadlineExceeded, which TLS forgets
	step func(fd uintptr) bool
}

// NetConn is the connection below.
func (s *socket) NetConn() net.Conn { return s.TCPConn }

// Read reads what is there and waits only for the first byte.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.in.p, s.in.n, s.in.err = p, 0, nil
	err := s.raw.Read(s.in.step)
	s.in.p = nil
	if err == nil {
		err = s.in.err
	}
	if err == nil && s.in.n == 0 {
		err = io.EOF
	}
	return s.in.n, err
}

func (s *socket) readStep(fd uintptr) bool {
	n, errno := receive(fd, s.in.p)
	switch errno {
	case 0:
		s.in.n = n
	case syscall.EAGAIN:
		if s.in.once {
			s.in.err = os.ErrDeadlineExceeded
		}
		return s.in.once
	default:
		s.in.err = os.NewSyscallError("read", errno)
	}
	return true
}

// try writes what the socket takes at once.
func (s *socket) try(p []byte) (int, error) {
	s.out.once = true
	n, err := s.Write(p)
	s.out.once = false
	return n, err
}

// Write writes all of p.
func (s *socket) Write(p []byte) (int, error) {
	s.out.p, s.out.n, s.out.err = p, 0, nil
	err := s.raw.Write(s.out.step)
	s.out.p = nil
	if err == nil {
		err = s.out.err
	}
	return s.out.n, err
}

func (s *socket) writeStep(fd uintptr) bool {
	for s.out.n < len(s.out.p) {
		n, errno := send(fd, s.out.p[s.out.n:])
		switch errno {
		case 0:
			s.out.n += n
		case syscall.EAGAIN:
			return s.out.once
		default:
			s.out.err = os.NewSyscallError("write", errno)
			return true
		}
	}
	return true
}

// receive reads once from a non-blocking socket.
func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// send writes once to a non-blocking socket. A closed peer gives EPIPE, no signal.
func send(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
