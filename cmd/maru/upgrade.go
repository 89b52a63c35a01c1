package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// upgradeCommand asks a running maru to replace itself by the binary that now
// lies at its path.
type upgradeCommand struct {
	PID     int    `name:"pid" help:"Process to upgrade." xor:"who"`
	PIDFile string `name:"pid-file" help:"File with the process id." placeholder:"FILE" xor:"who"`
}

// Help is shown by maru upgrade --help.
func (upgradeCommand) Help() string {
	return `Sends SIGUSR2. The process starts the binary that now lies at its path, hands it the listening sockets,
and drains once that one is ready; if it fails or takes over 30 s, it is killed and the old process goes on.
WebSockets and streams stay with the old process until they end.

Example:
  maru serve --pid-file /run/maru.pid &
  cp maru-new /usr/local/bin/maru.new && mv /usr/local/bin/maru.new /usr/local/bin/maru
  maru upgrade --pid-file /run/maru.pid`
}

// Run sends the signal.
func (c *upgradeCommand) Run() error {
	pid := c.PID
	if c.PIDFile != "" {
		text, err := os.ReadFile(filepath.Clean(c.PIDFile))
		if err != nil {
			return fmt.Errorf("find the process: %w", err)
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return fmt.Errorf("%s holds no process id: %w", c.PIDFile, err)
		}
	}
	if pid <= 1 {
		return errors.New("say which process: --pid N or --pid-file FILE")
	}
	if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	fmt.Printf("asked process %d to upgrade; its log says how it went\n", pid)
	return nil
}
