package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that the bench started, with its children.
type process struct {
	cmd *exec.Cmd
	log string
}

// start runs a command with its output in a log file and waits until address
// accepts connections.
func start(ctx context.Context, dir, name, address string, argv ...string) (*process, error) {
	log := filepath.Join(dir, name+".log")
	f, err := os.Create(log) //nolint:gosec // our own folder
	if err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	defer f.Close() //nolint:errcheck // the child has its own descriptor
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{cmd: cmd, log: log}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
			return p, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.stop()
	text, _ := os.ReadFile(log) //nolint:gosec // our own folder
	return nil, fmt.Errorf("%s did not listen on %s: %s", name, address, bytes.TrimSpace(text))
}

// stop ends the process and its children.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
}

// usage is what a process and its children used so far.
type usage struct {
	cpu  time.Duration // user + system
	peak int64         // bytes, peak resident memory, summed
	rss  int64         // bytes, resident now, summed
}

// usage reads the process group's use from /proc.
func (p *process) usage() (usage, error) {
	var u usage
	for _, pid := range group(p.cmd.Process.Pid) {
		cpu, err := cpuTime(pid)
		if err != nil {
			return u, err
		}
		u.cpu += cpu
		peak, rss := memory(pid)
		u.peak += peak
		u.rss += rss
	}
	if u.cpu == 0 && u.rss == 0 {
		return u, errors.New("the process is gone, see " + p.log)
	}
	return u, nil
}

// group lists the processes of a process group.
func group(pgid int) []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if g, err := syscall.Getpgid(pid); err == nil && g == pgid {
			out = append(out, pid)
		}
	}
	return out
}

// cpuTime sums the scheduler's run time of a process's threads, in nanoseconds
// where the kernel keeps it.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	_, rest, ok := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time: %q", text)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const hertz = 100 // USER_HZ of Linux
	return time.Duration(user+system) * time.Second / hertz, errors.Join(err1, err2)
}

// memory reads peak and present resident memory.
func memory(pid int) (peak, rss int64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		switch name {
		case "VmHWM":
			peak, _ = strconv.ParseInt(kb, 10, 64)
		case "VmRSS":
			rss, _ = strconv.ParseInt(kb, 10, 64)
		}
	}
	return peak << 10, rss << 10
}
