package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is maru, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "maru-console-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "maru")
	build := exec.Command("go", "build", "-o", binary, "./cmd/maru")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build maru: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// house is maru as a process, with what is in front of and behind it.
type house struct {
	gateway, admin, registry string // host:port
	dir                      string
	cmd                      *exec.Cmd
	log                      logged
	token                    string // sent with every call of the API
	// broken makes the services answer 500 to paths with /broken in them.
	broken   atomic.Bool
	services []*httptest.Server
}

// logged collects what the process writes.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newHouse starts three services and picks addresses; the process is started by
// start.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), gateway: freeAddress(t), admin: freeAddress(t), registry: freeAddress(t)}
	for range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h.broken.Load() && strings.Contains(r.URL.Path, "/broken") {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = io.WriteString(w, "ok")
		}))
		t.Cleanup(s.Close)
		h.services = append(h.services, s)
	}
	return h
}

// freeAddress is a port of loopback that nobody has now.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// write writes maru.yaml: the top as the house needs it, then the rest.
func (h *house) write(t *testing.T, admin, rest string) {
	t.Helper()
	text := fmt.Sprintf("listen:\n  public: { address: %q }\nadmin: { address: %q%s }\nlog: { access: %q }\n%s",
		h.gateway, h.admin, admin, filepath.Join(h.dir, "access.log"), rest)
	if err := os.WriteFile(filepath.Join(h.dir, "maru.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs maru until the test ends.
func (h *house) start(t *testing.T) {
	t.Helper()
	h.cmd = exec.Command(binary, "serve", "--config", filepath.Join(h.dir, "maru.yaml"))
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.cmd.Process.Signal(syscall.SIGCONT)
		_ = h.cmd.Process.Signal(syscall.SIGINT)
		if err := h.cmd.Wait(); err != nil {
			t.Errorf("maru ended with %v", err)
		}
		if t.Failed() {
			t.Logf("maru said:\n%s", h.log.String())
		}
	})
	within(t, 20*time.Second, "maru is ready", func() bool {
		status, _, err := h.call(http.MethodGet, "/readyz", "")
		return err == nil && status == http.StatusOK
	})
}

// within waits for something that happens elsewhere.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// call asks the operator's API.
func (h *house) call(method, path, body string) (int, []byte, error) {
	req, err := http.NewRequest(method, "http://"+h.admin+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return res.StatusCode, out, err
}

// get decodes an answer of the operator's API.
func get[T any](t *testing.T, h *house, path string) T {
	t.Helper()
	var v T
	status, body, err := h.call(http.MethodGet, path, "")
	if err == nil && status != http.StatusOK {
		err = errors.New(string(body))
	}
	if err = errors.Join(err, json.Unmarshal(body, &v)); err != nil {
		t.Fatalf("GET %s: %d %v", path, status, err)
	}
	return v
}

// load sends n requests for a path, a few at a time, and gives how many were
// answered 5xx.
func (h *house) load(t *testing.T, path string, n int) (failed int) {
	t.Helper()
	var bad atomic.Int64
	var work sync.WaitGroup
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	for range 4 {
		work.Go(func() {
			for range left {
				res, err := http.Get("http://" + h.gateway + path)
				if err != nil {
					t.Errorf("GET %s: %v", path, err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode >= http.StatusInternalServerError {
					bad.Add(1)
				}
			}
		})
	}
	work.Wait()
	return int(bad.Load())
}

// exchange is a line of the access log.
type exchange struct {
	Route   string `json:"route"`
	Service string `json:"service"`
	Status  int    `json:"status"`
}

// exchanges reads the access log.
func (h *house) exchanges(t *testing.T) []exchange {
	t.Helper()
	f, err := os.Open(filepath.Join(h.dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []exchange
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var x exchange
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		list = append(list, x)
	}
	return list
}

// register puts an instance into the registry, as a client of Eureka does.
func (h *house) register(t *testing.T, app, id string, service *httptest.Server) {
	t.Helper()
	_, port, err := net.SplitHostPort(service.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"instance": {"instanceId": %q, "app": %q, "hostName": "127.0.0.1", "ipAddr": "127.0.0.1", "vipAddress": %q, "status": "UP",
		"port": {"$": %s, "@enabled": "true"}, "metadata": {"zone": "a", "version": "1.4"},
		"dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}}}`, id, strings.ToUpper(app), app, port)
	res, err := http.Post("http://"+h.registry+"/eureka/apps/"+strings.ToUpper(app), "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("register %s: %s", id, res.Status)
	}
}
