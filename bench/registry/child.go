package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// child is the maru that is measured.
type child struct {
	cmd             *exec.Cmd
	dir             string
	log             bytes.Buffer
	registry, front string // addresses
}

// witnessed is the service whose endpoints the gateway follows.
const witnessed = "witness"

// newChild starts maru with a registry and a gateway, and waits until it serves.
func newChild(ctx context.Context, binary string) (*child, error) {
	dir, err := os.MkdirTemp("", "maru-registry-")
	if err != nil {
		return nil, err
	}
	c := &child{dir: dir}
	for _, at := range []*string{&c.registry, &c.front} {
		if *at, err = address(ctx); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	file := fmt.Sprintf("admin: {address: 'off'}\nlog: {access: 'off', level: warn}\nregistry: {address: %q}\nlisten: {public: {address: %q}}\n"+
		"services: {%s: {registry: %s}}\nroutes:\n  - {match: '/{rest...}', to: %s}\n", c.registry, c.front, witnessed, witnessed, witnessed)
	config := filepath.Join(dir, "maru.yaml")
	if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.cmd = exec.CommandContext(ctx, binary, "serve", "--quiet", "--no-watch", "--config", config)
	c.cmd.Stderr = &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for range 500 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.registry+"/registry/v1/health", http.NoBody)
		if err != nil {
			break
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return c, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.stop()
	return nil, fmt.Errorf("maru does not serve:\n%s", c.log.String())
}

// address gives a loopback address that nobody listens on.
func address(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// stop ends the child.
func (c *child) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	_ = os.RemoveAll(c.dir)
}

// phase runs f and prints what it took of the child.
func (c *child) phase(name string, f func() error) error {
	before, err := c.cpu()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(begun)
	after, err := c.cpu()
	if err != nil {
		return err
	}
	now, err := c.memory("VmRSS")
	if err != nil {
		return err
	}
	peak, err := c.memory("VmHWM")
	if err != nil {
		return err
	}
	fmt.Printf("%-58s %5.1f %% of a core  %4d MB, peak %4d MB\n", name, 100*float64(after-before)/float64(took), now, peak)
	return nil
}

// cpu is the CPU time that the child took so far, user and system.
func (c *child) cpu() (time.Duration, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(c.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces (proc(5))
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time: %q", text)
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// memory is a line of /proc/PID/status, in megabytes.
func (c *child) memory(line string) (int, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(c.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\n"+line+":")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("no %s", line)
	}
	kb, err := strconv.Atoi(fields[0])
	return kb / 1000, err
}
