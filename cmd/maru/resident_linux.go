package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetTables unmaps the pages of this program's constants (tables of symbols and
// types, embedded pages) that the start touched; those that are needed again come
// back from the page cache, without a read from disk. Code stays: it would come back
// in small pages, which costs every request. Only mappings without a page of their own
// are meant: dropping those loses nothing (madvise(2), MADV_DONTNEED of a file).
func forgetTables() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read the mappings: %w", err)
	}
	defer maps.Close() //nolint:errcheck // only read
	var from, to uintptr
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		if size, found := strings.CutPrefix(line, "Anonymous:"); !found {
			if a, b, ok := tablesOf(line, self); ok {
				from, to = a, b
			}
			continue
		} else if from < to && strings.TrimSpace(size) == "0 kB" {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("forget %d bytes: %w", to-from, errno)
			}
		}
		from, to = 0, 0
	}
	return nil
}

// tablesOf reads the first line of a mapping in /proc/PID/smaps (proc_pid_smaps(5))
// and tells whether it holds constants of the file self.
func tablesOf(line, self string) (from, to uintptr, ok bool) {
	mapping, file, _ := strings.Cut(line, "/")
	if "/"+file != self || !strings.Contains(mapping, " r--p ") {
		return 0, 0, false
	}
	_, err := fmt.Sscanf(mapping, "%x-%x ", &from, &to)
	return from, to, err == nil && from < to
}
