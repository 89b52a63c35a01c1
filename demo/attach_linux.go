package demo

import (
	"os/exec"
	"syscall"
)

// attach ties a child's life to ours: should the parent be killed and the child
// be too stuck to see its input end, the kernel kills it. A process group of its
// own keeps the terminal's Ctrl-C from it: the parent ends it, in order.
func attach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
