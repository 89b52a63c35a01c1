//go:build !linux

package demo

import (
	"os/exec"
	"syscall"
)

// attach gives a child a process group of its own, which keeps the terminal's
// Ctrl-C from it: the parent ends it, in order.
func attach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
