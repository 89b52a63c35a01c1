package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetCode unmaps the pages of this program's code that the start touched; those
// that are needed again come back from the page cache, without a read from disk.
// Only mappings that are executable and were never written are meant: dropping
// them loses nothing (madvise(2), MADV_DONTNEED of a file).
func forgetCode() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("read the mappings: %w", err)
	}
	defer maps.Close() //nolint:errcheck // only read
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		from, to, ok := codeOf(lines.Text(), self)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("forget %d bytes of code: %w", to-from, errno)
		}
	}
	return nil
}

// codeOf reads a line of /proc/PID/maps (proc_pid_maps(5)) and tells whether it is
// code of the file self.
func codeOf(line, self string) (from, to uintptr, ok bool) {
	mapping, file, _ := strings.Cut(line, "/")
	if "/"+file != self || !strings.Contains(mapping, " r-xp ") {
		return 0, 0, false
	}
	_, err := fmt.Sscanf(mapping, "%x-%x ", &from, &to)
	return from, to, err == nil && from < to
}
