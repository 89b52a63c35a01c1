package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running maru with a configuration file of its own.
type process struct {
	t      *testing.T
	dir    string
	config string // path of the file
	front  string // address of the listener public
	admin  string // address of the admin API
	cmd    *exec.Cmd
	log    lockedBuffer
	ended  chan error
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// freeAddress gives a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// newProcess prepares a process; start starts it.
func newProcess(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	return &process{
		t: t, dir: dir, config: filepath.Join(dir, "maru.yaml"),
		front: freeAddress(t), admin: freeAddress(t), ended: make(chan error, 1),
	}
}

// write writes the configuration: what every one has, and rest. In place, or as
// an editor that replaces the file.
func (p *process) write(rest string, replace bool) {
	p.t.Helper()
	text := fmt.Sprintf("admin: {address: %q}\nlog: {access: off}\n%s", p.admin, rest)
	path := p.config
	if replace {
		path += ".new"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if replace {
		if err := os.Rename(path, p.config); err != nil {
			p.t.Fatal(err)
		}
	}
}

// start runs maru serve and waits until it is ready.
func (p *process) start(flags ...string) {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	args := append([]string{"serve", "--config", p.config, "--pid-file", p.pidFile()}, flags...)
	p.cmd = exec.CommandContext(context.WithoutCancel(p.t.Context()), self, args...)
	p.cmd.Env = append(os.Environ(), asMaru+"=1")
	p.cmd.Stderr = &p.log
	// A successor inherits the pipe: do not wait for it to be closed.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	p.t.Cleanup(p.stop)
	p.until("it is ready", func() bool {
		status, _ := p.ask("GET", "/readyz")
		return status == http.StatusOK && p.pid() > 0
	})
}

func (p *process) pidFile() string { return filepath.Join(p.dir, "pid") }

// pid is the process id in the pid file, 0 without one.
func (p *process) pid() int {
	text, err := os.ReadFile(p.pidFile())
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// stop kills what still runs, successors too.
func (p *process) stop() {
	if pid := p.pid(); pid > 0 && pid != p.cmd.Process.Pid {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = p.cmd.Process.Kill()
	if p.t.Failed() {
		p.t.Logf("log of maru:\n%s", p.log.String())
	}
}

// until waits for something that another process does.
func (p *process) until(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("waited in vain until %s; log:\n%s", what, p.log.String())
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			if !done() {
				p.t.Fatalf("the process ended (%v) before %s; log:\n%s", err, what, p.log.String())
			}
			return
		default:
		}
	}
}

// ask calls the admin API; status 0 means that nobody answered.
func (p *process) ask(method, path string) (status int, body []byte) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(p.t.Context()), method, "http://"+p.admin+path, http.NoBody)
	if err != nil {
		p.t.Error(err)
		return 0, nil
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	body, _ = io.ReadAll(res.Body)
	return res.StatusCode, body
}

// live is what the admin API says of the configuration.
type live struct {
	Version   int    `json:"version"`
	Hash      string `json:"hash"`
	LastError *struct {
		Hash   string `json:"hash"`
		Detail string `json:"detail"`
	} `json:"last_error"`
}

func (p *process) live() (l live) {
	if status, body := p.ask("GET", "/v1/config"); status == http.StatusOK {
		if err := json.Unmarshal(body, &l); err != nil {
			p.t.Error(err)
		}
	}
	return l
}

// get makes one request on a connection of its own.
func (p *process) get(path string) (status int, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.front+path, http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

// exit waits for the first process to end and gives its code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		if ee, ok := errors.AsType[*exec.ExitError](err); ok {
			return ee.ExitCode()
		}
		if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			p.t.Errorf("wait for the process: %v", err)
		}
		return 0
	case <-time.After(40 * time.Second):
		p.t.Fatalf("the process did not end; log:\n%s", p.log.String())
		return -1
	}
}
