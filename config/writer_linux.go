package config

import (
	"errors"
	"os"
	"syscall"
)

// beingWritten tells whether a process has the file open for writing: then what
// it holds may be a part only. Not known means that this can't be found out.
//
// A read lease (fcntl(2), F_SETLEASE) is granted only while nobody has the file
// open for writing. It is given back at once; taking it needs the file to be
// ours, or CAP_LEASE.
func beingWritten(path string) (yes, known bool) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return false, false
	}
	defer f.Close() //nolint:errcheck // only read
	raw, err := f.SyscallConn()
	if err != nil {
		return false, false
	}
	var failed syscall.Errno
	err = raw.Control(func(fd uintptr) {
		if _, _, failed = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETLEASE, syscall.F_RDLCK); failed == 0 {
			_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETLEASE, syscall.F_UNLCK)
		}
	})
	switch {
	case err != nil:
		return false, false
	case failed == 0:
		return false, true
	default:
		return true, errors.Is(failed, syscall.EAGAIN)
	}
}
