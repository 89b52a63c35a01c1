package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
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
//
// A registry has state besides. The successor asks for it with the word
// "registry" as soon as it can, so that its services have endpoints, and does
// not serve it: once it said "ready" the old process stops serving the
// registry, sends what changed since, and only then the new one begins. Who
// comes in between waits in the socket's queue.

// handover is what the old process tells the new one.
type handover struct {
	Sockets []edge.Socket `json:"sockets"`
	// Key signs cookies when the file names no secret.
	Key []byte `json:"key"`
	// Tickets are the keys of TLS session tickets.
	Tickets json.RawMessage `json:"tickets,omitempty"`
	// Registry tells that there is one to ask for.
	Registry bool `json:"registry,omitempty"`
}

// heir is a successor that is ready.
type heir struct {
	pid     int
	control *os.File
	// asked tells that it wants the registry, version what it has of it.
	asked   bool
	version uint64
}

// handoverVar tells a process that it has a predecessor; descriptor 3 is its
// end of the control socket then.
const (
	handoverVar = "MARU_HANDOVER"
	controlFD   = 3
	upgradeTime = 30 * time.Second
	// registryTime bounds handing over the last changes of the registry.
	registryTime = 10 * time.Second
	readyWord    = "ready\n"
	registryWord = "registry\n"
)

// upgrade starts a successor and waits until it is ready. On an error the
// successor is gone and nothing has changed.
func (g *gateway) upgrade() (*heir, error) {
	if os.Getpid() == 1 {
		return nil, errors.New("process 1 of a container can't be replaced from inside: roll the deployment")
	}
	path, err := successor()
	if err != nil {
		return nil, err
	}
	sockets, err := g.sockets()
	defer func() {
		for _, s := range sockets {
			_ = syscall.Close(s.FD)
		}
	}()
	if err != nil {
		return nil, err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make the control socket: %w", err)
	}
	h := &heir{control: os.NewFile(uintptr(pair[0]), "control socket")}
	h.pid, err = launch(path, pair[1], sockets)
	_ = syscall.Close(pair[1])
	if err == nil {
		err = errors.Join(h.control.SetDeadline(time.Now().Add(upgradeTime)), g.introduce(h.control, sockets))
		if err == nil {
			err = g.awaitReady(h)
		}
		if err != nil {
			kill(h.pid)
		}
	}
	if err != nil {
		_ = h.control.Close()
		return nil, err
	}
	return h, nil
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
	h := handover{Key: g.env.Key, Registry: g.registrar.running() != nil}
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

// awaitReady waits for the successor's word, and hands the registry over as it
// is now when it is asked for it. A successor that is too slow has failed.
func (g *gateway) awaitReady(h *heir) error {
	words := bufio.NewReader(h.control)
	for {
		word, err := words.ReadString('\n')
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("the successor was not ready after %s", upgradeTime)
		case err != nil:
			return fmt.Errorf("the successor ended before it was ready: %w", err)
		case word == readyWord:
			return nil
		case word != registryWord:
			return fmt.Errorf("the successor said %q", word)
		}
		h.asked = true
		if h.version, err = g.registrar.registry.Export(h.control, 0); err != nil {
			return err
		}
	}
}

// bequeath ends the registry and hands over what changed since the successor
// asked for it.
func (g *gateway) bequeath(h *heir) {
	defer func() { _ = h.control.Close() }()
	g.registrar.close()
	if !h.asked {
		return
	}
	err := h.control.SetDeadline(time.Now().Add(registryTime))
	if err == nil {
		_, err = g.registrar.registry.Export(h.control, h.version)
	}
	if err != nil {
		g.env.Log.Error("the last changes of the registry are not handed over; clients register again", "error", err)
	}
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
