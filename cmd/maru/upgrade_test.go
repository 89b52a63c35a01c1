package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// echoes is a backend that answers with its name and echoes over WebSockets.
func echoes(t *testing.T, name string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, name)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // it may be closed already
		for {
			kind, text, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, text); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (p *process) forwarding(backend string) string {
	return fmt.Sprintf("listen: {public: {address: %q}}\nservices: {a: {url: %q}}\nroutes:\n  - {match: '/{rest...}', to: a}\n", p.front, backend)
}

func echo(ctx context.Context, c *websocket.Conn, text string) error {
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	_, got, err := c.Read(ctx)
	if err == nil && string(got) != text {
		err = fmt.Errorf("echo of %q is %q", text, got)
	}
	return err
}

func TestUpgradeKeepsTunnelsAndEndsIdleConnections(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.forwarding(echoes(t, "a").URL), false)
	p.start()
	old := p.pid()
	ws, _, err := websocket.Dial(t.Context(), "ws://"+p.front+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow() //nolint:errcheck // closed below
	idle, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.front)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	kept := bufio.NewReader(idle)
	exchange := func() *http.Response {
		t.Helper()
		if _, err := fmt.Fprintf(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(kept, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Discard(int(res.ContentLength)); err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := exchange(); res.Close {
		t.Error("the connection closes before the upgrade")
	}

	if code := run([]string{"upgrade", "--pid-file", p.pidFile()}); code != 0 {
		t.Fatalf("maru upgrade: exit code %d", code)
	}
	p.until("the successor serves", func() bool { return p.pid() != old && p.pid() > 0 })
	p.until("the old process drains", func() bool { return strings.Contains(p.log.String(), "upgraded; draining") })
	if res := exchange(); !res.Close {
		t.Error("the old process does not say Connection: close on a connection that was idle")
	}
	if status, body := p.get("/"); status != 200 || body != "a" {
		t.Errorf("new connection: %d %q", status, body)
	}
	if err := echo(t.Context(), ws, "still here"); err != nil {
		t.Errorf("the WebSocket did not live on: %v", err)
	}
	if err := syscall.Kill(old, 0); err != nil {
		t.Errorf("the old process has gone while a tunnel is open: %v", err)
	}
	// The new process can do all that the old one could.
	p.write(p.forwarding(echoes(t, "b").URL), true)
	p.until("the successor reloads", func() bool { _, body := p.get("/"); return body == "b" })
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close the WebSocket: %v", err)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("the old process ended with %d", code)
	}
}

func TestUpgradeFailsWithoutHarm(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("old"), false)
	p.start("--no-watch")
	p.write("nonsense: 1\n", true)
	p.signal(syscall.SIGUSR2)
	p.until("the failure is told", func() bool { return strings.Contains(p.log.String(), "the upgrade failed; this process goes on") })
	if pid := p.pid(); pid != p.cmd.Process.Pid {
		t.Errorf("the pid file says %d, want %d", pid, p.cmd.Process.Pid)
	}
	if status, body := p.get("/"); status != 200 || body != "old" {
		t.Errorf("after a failed upgrade: %d %q", status, body)
	}
	if status, _ := p.ask("GET", "/readyz"); status != 200 {
		t.Errorf("readiness after a failed upgrade: %d", status)
	}
	p.write(p.answering("mended"), true)
	p.signal(syscall.SIGUSR2) // and it can be tried again
	p.until("the successor serves", func() bool { _, body := p.get("/"); return body == "mended" })
	p.until("the old process has gone", func() bool { return p.pid() != p.cmd.Process.Pid })
	if code := p.exit(); code != 0 {
		t.Errorf("the old process ended with %d", code)
	}
}

func TestUpgradeWithOtherListeners(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("old"), false)
	p.start("--no-watch")
	gone := p.front
	p.front = freeAddress(t)
	p.write(p.answering("new"), true)
	p.signal(syscall.SIGUSR2)
	p.until("the successor serves the new address", func() bool { _, body := p.get("/"); return body == "new" })
	p.until("the old address is closed", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", gone)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	p.exit()
}

func TestUpgradeCommandRefusesNonsense(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/pid"
	if err := os.WriteFile(file, []byte("many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"upgrade"},
		{"upgrade", "--pid", "1"},
		{"upgrade", "--pid-file", file},
		{"upgrade", "--pid-file", file + ".none"},
		{"upgrade", "--pid", "999999999"},
	} {
		if code := run(args); code != 1 {
			t.Errorf("maru %s: exit code %d, want 1", strings.Join(args, " "), code)
		}
	}
}
