package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tell sends a registry one request and gives the status.
func tell(t *testing.T, method, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// registration is what a client posts for an instance at an address.
func registration(id, address string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`{"instance":{"instanceId":%q,"hostName":%q,"ipAddr":%q,"app":"auction","port":{"$":%s,"@enabled":"true"},"dataCenterInfo":{"name":"MyOwn"}}}`,
		id, host, host, port)
}

// maru register keeps a lease from its start to its end.
func TestRegisterKeepsALease(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "won") }))
	defer backend.Close()
	p := newProcess(t)
	at := freeAddress(t)
	p.write(fmt.Sprintf("registry: {address: %q}\nlisten: {public: {address: %q}}\nservices: {reward: {registry: reward}}\n"+
		"routes:\n  - {match: '/{rest...}', to: reward}\n", at, p.front), false)
	p.start()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "register", "--service", "reward", "--url", backend.URL, "--registry", "http://"+at+"/eureka", "--check", "/")
	cmd.Env = append(os.Environ(), asMaru+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.until("what was registered is called", func() bool { status, _ := p.get("/"); return status == http.StatusOK })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("maru register ends with %v", err)
	}
	p.until("it is deregistered", func() bool { status, _ := p.get("/"); return status == http.StatusServiceUnavailable })
}

// The gateway follows the registry of its own process; kill -9 loses nothing.
func TestServeFollowsItsRegistry(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "sold") }))
	defer backend.Close()
	address := strings.TrimPrefix(backend.URL, "http://")
	p := newProcess(t)
	at := freeAddress(t)
	file := fmt.Sprintf("registry: {address: %q, data: %q}\nlisten: {public: {address: %q}}\nservices: {auction: {registry: Auction}}\n"+
		"routes:\n  - {match: '/{rest...}', to: auction}\n", at, filepath.Join(p.dir, "data"), p.front)
	p.write(file, false)
	p.start()
	if status, _ := p.get("/"); status != http.StatusServiceUnavailable {
		t.Errorf("without an instance the gateway answers %d", status)
	}
	eureka := "http://" + at + "/eureka/apps/AUCTION"
	if status := tell(t, "POST", eureka, registration("a1", address)); status != http.StatusNoContent {
		t.Fatalf("register: %d", status)
	}
	served := func(want int) func() bool {
		return func() bool { status, _ := p.get("/"); return status == want }
	}
	p.until("the instance is called", served(http.StatusOK))
	if status := tell(t, "PUT", eureka+"/a1/status?value=OUT_OF_SERVICE", ""); status != http.StatusOK {
		t.Fatalf("drain: %d", status)
	}
	p.until("the instance is drained", served(http.StatusServiceUnavailable))
	if status := tell(t, "DELETE", eureka+"/a1/status?value=UP", ""); status != http.StatusOK {
		t.Fatalf("restore: %d", status)
	}
	p.until("the instance is back", served(http.StatusOK))
	if _, body := p.ask("GET", "/readyz"); !strings.Contains(string(body), "1 instances of 1 services") {
		t.Errorf("/readyz says %s", body)
	}
	if _, body := p.ask("GET", "/v1/registry"); !strings.Contains(string(body), `"hash": "UP_1_"`) {
		t.Errorf("/v1/registry says %s", body)
	}
	if _, body := p.ask("GET", "/metrics"); !strings.Contains(string(body), `maru_registry_instances{status="UP"} 1`) {
		t.Error("the metrics do not count the instance")
	}
	time.Sleep(300 * time.Millisecond) // the copy is written each 100 ms
	p.signal(syscall.SIGKILL)
	p.until("it is gone", func() bool { status, _ := p.ask("GET", "/healthz"); return status == 0 })
	again := newProcess(t)
	again.front, again.admin = p.front, p.admin
	again.write(file, false)
	again.start()
	again.until("the instance is still known", func() bool { status, _ := again.get("/"); return status == http.StatusOK })
	again.write(strings.Replace(file, "data:", "protect: strict, data:", 1), true)
	again.until("the change is live", func() bool { return again.live().Version == 2 })
	if status := tell(t, "PUT", eureka+"/a1", ""); status != http.StatusOK {
		t.Errorf("a renewal after a change of the settings: %d", status)
	}
}
