package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/maru-msa/maru/edge"
)

// An upgrade replaces the running process by the binary at its path. The old
// process starts the new one with copies of its listening sockets and one end
// of a control socket, tells it over that which descriptor is which, and waits
// for the word "ready". Until then both hold the same sockets and only the old
// one accepts; afterwards only the new one does. The sockets are handed over
// and never bound again: what waits in their queues would be lost.

// handover is what the old process tells the new one.
type handover struct {
	Sockets []edge.Socket `json:"sockets"`
	// Key signs cookies when the file names no secret.
	Key []byte `json:"key"`
	// Tickets are the keys of TLS session tickets.
	Tickets json.RawMessage `json:"tickets,omitempty"`
}

// handoverVar tells a process that it has a predecessor; descriptor 3 is its
// end of the control socket then.
const (
	handoverVar = "MARU_HANDOVER"
	controlFD   = 3
	upgradeTime = 30 * time.Second
	readyWord   = "ready\n"
)

// upgrade starts a successor and waits until it is ready. On an error the
// successor is gone and nothing has changed.
func (g *gateway) upgrade() (pid int, err error) {
	if os.Getpid() == 1 {
		return 0, errors.New("process 1 of a container can't be replaced from inside: roll the deployment")
	}
	path, err := successor()
	if err != nil {
		return 0, err
	}
	sockets, err := g.sockets()
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
		return 0, fmt.Errorf("make the control socket: %w", err)
	}
	control := os.NewFile(uintptr(pair[0]), "control socket")
	defer func() { _ = control.Close() }()
	pid, err = launch(path, pair[1], sockets)
	_ = syscall.Close(pair[1])
	if err != nil {
		return 0, err
	}
	if err := g.introduce(control, sockets); err != nil {
		kill(pid)
		return 0, err
	}
	return pid, awaitReady(pid, control)
}

// sockets duplicates all listening sockets, those of the admin API and of the
// registry included.
func (g *gateway) sockets() ([]edge.Socket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sockets, err := g.server.Sockets()
	if err != nil {
		return sockets, err
	}
	for name, ln := range map[string]net.Listener{"the admin API": g.desk.ln, "the registry": g.registrar.ln} {
		if ln == nil {
			continue
		}
		s, err := edge.NewSocket(ln)
		if err != nil {
			return sockets, fmt.Errorf("duplicate the socket of %s: %w", name, err)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

// launch starts the new binary with the arguments of this one. Descriptors go
// as they are: os/exec would switch the shared sockets to blocking mode under
// the running accept loops.
func launch(path string, control int, sockets []edge.Socket) (pid int, err error) {
	files := []uintptr{0, 1, 2, uintptr(control)}
	for _, s := range sockets {
		files = append(files, uintptr(s.FD))
	}
	pid, err = syscall.ForkExec(path, os.Args, &syscall.ProcAttr{Env: append(os.Environ(), handoverVar+"=1"), Files: files}) //nolint:gosec // the binary that we were started from
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	return pid, nil
}

// introduce tells the successor what it got.
func (g *gateway) introduce(control *os.File, sockets []edge.Socket) error {
	h := handover{Key: g.env.Key}
	var err error
	if h.Tickets, err = g.env.Tickets.Export(); err != nil {
		return fmt.Errorf("hand over the TLS sessions: %w", err)
	}
	for i, s := range sockets {
		s.FD = controlFD + 1 + i
		h.Sockets = append(h.Sockets, s)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("describe the sockets: %w", err)
	}
	if _, err := control.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("talk to the successor: %w", err)
	}
	return nil
}

// successor is the binary that now lies where we were started from.
func successor() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the own binary: %w", err)
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
		word := make([]byte, len(readyWord))
		_, err := io.ReadFull(control, word)
		if err == nil && string(word) != readyWord {
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
	kill(pid)
	return err
}

func kill(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL)
	reap(pid)
}

// reap waits for a child that ends, so that it does not stay as a zombie.
func reap(pid int) {
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}
