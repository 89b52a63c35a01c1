package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/maru-msa/maru/edge"
)

// upgradeCommand asks a running maru to replace itself by the binary that now
// lies at its path.
type upgradeCommand struct {
	PID     int    `name:"pid" help:"Process to upgrade." xor:"who"`
	PIDFile string `name:"pid-file" help:"File with the process id." placeholder:"FILE" xor:"who"`
}

// Help is shown by maru upgrade --help.
func (upgradeCommand) Help() string {
	return "Sends SIGUSR2. The process starts its successor, hands it the listening sockets,\nand drains when the successor is ready; if the successor fails, the old one goes on."
}

// Run sends the signal.
func (c *upgradeCommand) Run() error {
	pid := c.PID
	if c.PIDFile != "" {
		text, err := os.ReadFile(filepath.Clean(c.PIDFile))
		if err != nil {
			return err
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

// The successor finds what it inherits in this variable; descriptor 3 is the
// control socket, on which it says "ready".
const handoverVar = "MARU_HANDOVER"

const (
	controlFD   = 3
	upgradeTime = 30 * time.Second
)

// inherit gives the sockets that a predecessor handed over, or nil.
func inherit() (*edge.Inherited, error) {
	text := os.Getenv(handoverVar)
	if text == "" {
		return nil, nil //nolint:nilnil // no predecessor is the usual case
	}
	_ = os.Unsetenv(handoverVar)
	h := &edge.Inherited{
		Open: func(network, address string) (net.Listener, error) {
			lc := net.ListenConfig{KeepAlive: -1}
			return lc.Listen(context.Background(), network, address)
		},
		OpenPacket: func(network, address string) (net.PacketConn, error) {
			var lc net.ListenConfig
			return lc.ListenPacket(context.Background(), network, address)
		},
	}
	if err := json.Unmarshal([]byte(text), &h.Sockets); err != nil {
		return nil, fmt.Errorf("read handed-over sockets: %w", err)
	}
	syscall.CloseOnExec(controlFD)
	for _, s := range h.Sockets {
		syscall.CloseOnExec(s.FD)
	}
	return h, nil
}

// sayReady tells the predecessor that it may stop accepting.
func sayReady() error {
	control := os.NewFile(controlFD, "control socket")
	defer func() { _ = control.Close() }()
	if _, err := control.WriteString("ready\n"); err != nil {
		return fmt.Errorf("tell the predecessor: %w", err)
	}
	return nil
}

// upgrade starts a successor with our sockets and waits until it is ready. On
// an error the successor is gone and nothing has changed.
func upgrade(server *edge.Server) (pid int, err error) {
	if os.Getpid() == 1 {
		return 0, errors.New("process 1 of a container can't be replaced from inside: roll the deployment")
	}
	path, err := successor()
	if err != nil {
		return 0, err
	}
	sockets, err := server.Sockets()
	defer func() {
		for _, s := range sockets {
			_ = syscall.Close(s.FD)
		}
	}()
	if err != nil {
		return 0, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("make control socket: %w", err)
	}
	files := []uintptr{0, 1, 2, uintptr(pair[1])}
	given := make([]edge.Socket, len(sockets))
	for i, s := range sockets {
		given[i] = s
		given[i].FD = len(files)
		files = append(files, uintptr(s.FD))
	}
	text, err := json.Marshal(given)
	if err != nil {
		return 0, err
	}
	// Descriptors go as they are: os/exec would switch the shared sockets to
	// blocking mode under the running accept loops.
	pid, err = syscall.ForkExec(path, os.Args, &syscall.ProcAttr{ //nolint:gosec // the binary that we were started from
		Env: append(os.Environ(), handoverVar+"="+string(text)), Files: files,
	})
	_ = syscall.Close(pair[1])
	control := os.NewFile(uintptr(pair[0]), "control socket")
	defer func() { _ = control.Close() }()
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	return pid, awaitReady(pid, control)
}

// successor is the binary that now lies where we were started from.
func successor() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	path = strings.TrimSuffix(path, " (deleted)")
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("find the new binary: %w", err)
	}
	return path, nil
}

// awaitReady waits for the successor's word; a successor that fails or is too
// slow is killed.
func awaitReady(pid int, control *os.File) error {
	said := make(chan error, 1)
	go func() {
		word := make([]byte, 6)
		_, err := io.ReadFull(control, word)
		if err == nil && string(word) != "ready\n" {
			err = fmt.Errorf("it said %q", word)
		}
		said <- err
	}()
	timer := time.NewTimer(upgradeTime)
	defer timer.Stop()
	var err error
	select {
	case err = <-said:
		if err == nil {
			return nil
		}
		err = fmt.Errorf("the successor ended before it was ready: %w", err)
	case <-timer.C:
		err = fmt.Errorf("the successor was not ready after %s", upgradeTime)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(pid, &status, 0, nil)
	return err
}
