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
	"sync"
	"syscall"
	"time"
)

// process is a child with its own children.
type process struct {
	cmd *exec.Cmd
}

// launch starts a command in a process group of its own, which dies with us.
func launch(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return &process{cmd}, nil
}

// serve starts a server with its output in a log and waits until address
// accepts connections.
func serve(ctx context.Context, log, address string, argv []string) (*process, error) {
	f, err := os.Create(log) //nolint:gosec // our own folder
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer f.Close() //nolint:errcheck // the child has its own descriptor
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return p, c.Close()
		}
	}
	p.stop()
	said, _ := os.ReadFile(log) //nolint:gosec // our own folder
	return nil, fmt.Errorf("%s did not listen on %s; it said:\n%s", filepath.Base(argv[0]), address, said)
}

// stop ends the process and its children.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	force := time.AfterFunc(2*time.Second, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	_ = p.cmd.Wait()
	force.Stop()
}

// crew is the child that holds the backends.
type crew struct {
	process *process
	mu      sync.Mutex
	in      io.Closer
	enc     *json.Encoder
	dec     *json.Decoder
}

func startCrew(ctx context.Context) (*crew, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-crew")
	cmd.Stderr = io.Discard // net/http tells of every connection that is reset
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := launch(cmd)
	if err != nil {
		return nil, err
	}
	return &crew{process: p, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}, nil
}

// do tells the child a command and waits for its answer.
func (c *crew) do(what command) (reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var r reply
	if err := c.enc.Encode(what); err != nil {
		return r, fmt.Errorf("tell the backends: %w", err)
	}
	if err := c.dec.Decode(&r); err != nil {
		return r, fmt.Errorf("hear the backends: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

func (c *crew) stop() {
	_ = c.in.Close()
	c.process.stop()
}

// used is the CPU time of this process so far.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
