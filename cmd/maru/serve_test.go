package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answering is a configuration whose listener public answers everything.
func (p *process) answering(body string) string {
	return fmt.Sprintf("listen: {public: {address: %q}}\nroutes:\n  - {match: '/{rest...}', filters: [{respond: {body: %s}}]}\n", p.front, body)
}

func TestServeReloads(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("one"), false)
	p.start()
	if status, body := p.get("/"); status != 200 || body != "one" {
		t.Fatalf("first configuration: %d %q", status, body)
	}
	for i, how := range []struct {
		word string
		do   func()
	}{
		{"replaced", func() { p.write(p.answering("replaced"), true) }},
		{"written", func() { p.write(p.answering("written"), false) }},
		{"signalled", func() { p.write(p.answering("signalled"), true); p.signal(syscall.SIGHUP) }},
		{"asked", func() { p.write(p.answering("asked"), true); p.ask("POST", "/v1/config/reload") }},
	} {
		how.do()
		p.until(how.word+" is live", func() bool { _, body := p.get("/"); return body == how.word })
		if v := p.live().Version; v < i+2 {
			t.Errorf("%s: version %d", how.word, v)
		}
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func TestServeKeepsRunningConfigurationWhenRefused(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("good"), false)
	p.start()
	good := p.live()
	taken := freeAddress(t)
	var lc net.ListenConfig
	holder, err := lc.Listen(t.Context(), "tcp", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	for _, bad := range []string{
		"routes: [",
		p.answering("bad") + "nonsense: 1\n",
		p.answering("bad") + "services: {a: {url: 'ftp://x'}}\n",
		fmt.Sprintf("listen: {public: {address: %q}}\nroutes:\n  - {match: '/{rest...}', filters: [{respond: {body: bad}}]}\n", taken),
	} {
		p.write(bad, true)
		p.until("the refusal shows", func() bool { l := p.live(); return l.LastError != nil && l.LastError.Hash != good.Hash })
		if l := p.live(); l.Version != good.Version || l.Hash != good.Hash {
			t.Errorf("%q went live: %+v", bad, l)
		}
		if status, body := p.get("/"); status != 200 || body != "good" {
			t.Errorf("%q changed the answer: %d %q", bad, status, body)
		}
		_, metrics := p.ask("GET", "/metrics")
		if !strings.Contains(string(metrics), "maru_config_last_reload_successful 0\n") {
			t.Errorf("%q: the metric does not show it", bad)
		}
		p.write(p.answering("good"), true) // and back
		p.until("the refusal is over", func() bool { return p.live().LastError == nil })
		good = p.live()
	}
	if n := strings.Count(p.log.String(), "reload refused; the running configuration stays"); n != 4 {
		t.Errorf("%d log lines for 4 refusals:\n%s", n, p.log.String())
	}
}

func TestServeMovesListenersAndAdmin(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("here"), false)
	p.start()
	old, oldAdmin := p.front, p.admin
	p.front, p.admin = freeAddress(t), freeAddress(t)
	p.write(p.answering("there"), true)
	p.until("the new address answers", func() bool { _, body := p.get("/"); return body == "there" })
	p.until("the admin API moved", func() bool { status, _ := p.ask("GET", "/readyz"); return status == 200 })
	for _, address := range []string{old, oldAdmin} {
		p.until(address+" is closed", func() bool {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err == nil {
				_ = c.Close()
			}
			return err != nil
		})
	}
}

func TestServeDrains(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("on"), false)
	p.start("--drain-wait", "300ms")
	p.signal(syscall.SIGTERM)
	p.until("it is not ready", func() bool { status, _ := p.ask("GET", "/readyz"); return status == http.StatusServiceUnavailable })
	if status, body := p.get("/"); status != 200 || body != "on" {
		t.Errorf("while the balancer looks away: %d %q", status, body)
	}
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if p.pid() != 0 {
		t.Error("the pid file is still there")
	}
}

func TestServeEndsAtOnceOnSecondSignal(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write(p.answering("on"), false)
	p.start("--drain-wait", "1h")
	p.signal(syscall.SIGTERM)
	p.until("it drains", func() bool { return strings.Contains(p.log.String(), "draining") })
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestServeRefusesBadFileAtStart(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.write("nonsense: 1\n", false)
	if code := run([]string{"serve", "--config", p.config}); code != 2 {
		t.Errorf("bad file: exit code %d, want 2", code)
	}
	if code := run([]string{"serve", "--config", filepath.Join(p.dir, "none.yaml")}); code != 2 {
		t.Errorf("no file: exit code %d, want 2", code)
	}
	if code := run([]string{"serve", "ledge", "--config", p.config}); code != 2 {
		t.Errorf("unknown role: exit code %d, want 2", code)
	}
}

func TestServeWritesAccessLog(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	path := filepath.Join(p.dir, "access.log")
	p.write(p.answering("logged"), false)
	text, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "access: off", "access: "+path, 1))
	if err := os.WriteFile(p.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.get("/one")
	lines := func(file string) (out []map[string]any) {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Errorf("%q is not JSON: %v", line, err)
			}
			out = append(out, m)
		}
		return out
	}
	p.until("the line is there", func() bool { return len(lines(path)) == 1 })
	line := lines(path)[0]
	for name, want := range map[string]any{"method": "GET", "path": "/one", "route": "route#1", "status": 200.0, "listener": "public", "proto": "HTTP/1.1"} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if trace, _ := line["trace"].(string); len(trace) != 32 {
		t.Errorf("trace %q", trace)
	}
	// A rotation: the file is moved away, and SIGHUP opens a new one.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.until("the new file is there", func() bool { _, err := os.Stat(path); return err == nil })
	p.get("/two")
	p.until("the line is in the new file", func() bool { return len(lines(path)) == 1 })
	if n := len(lines(path + ".1")); n != 1 {
		t.Errorf("the old file has %d lines", n)
	}
}

func TestServeTellsSystemd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	p := newProcess(t)
	p.write(p.answering("on"), false)
	p.start("--drain-wait", "0s")
	p.signal(syscall.SIGTERM)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		b := make([]byte, 100)
		if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("systemd got %q (%v), want %s", b[:n], err, want)
		}
	}
}

// What the file names is looked at too: a contract that changed is live without
// anybody asking, and a broken one changes nothing.
func TestServeReloadsWhatTheFileNames(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	contract := filepath.Join(p.dir, "order.json")
	promise := func(text string) {
		if err := os.WriteFile(contract, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	post := func() int {
		res, err := http.Post("http://"+p.front+"/", "application/json", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	promise(`{"type":"object","required":["id"]}`)
	p.write(fmt.Sprintf("listen: {public: {address: %q}}\nroutes:\n  - match: '/{rest...}'\n    filters:\n      - validate: {schema: %s, response: off, paths: open}\n      - respond: {body: taken}\n",
		p.front, contract), false)
	p.start()
	if status := post(); status != 400 {
		t.Fatalf("without id: %d", status)
	}
	promise(`{"type":"object"}`)
	p.until("the contract that wants no id is live", func() bool { return post() == 200 })
	promise(`{"type":`)
	p.until("the broken one is refused", func() bool { return p.live().LastError != nil })
	if status := post(); status != 200 {
		t.Errorf("with a broken contract: %d", status)
	}
	promise(`{"type":"array"}`)
	p.until("the mended one is live", func() bool { return post() == 400 && p.live().LastError == nil })
}
