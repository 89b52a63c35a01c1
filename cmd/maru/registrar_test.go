package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// clientOf is what a client of a registry does, at one address or several.
type clientOf struct {
	t    *testing.T
	http http.Client
	at   []string // addresses; the first that answers is used
}

// do makes one request and gives the status and the body; 0 when nobody answers
// or all say that they can't now.
// As other clients do it tries again when a connection is closed that it kept.
func (c *clientOf) do(method, path, body string) (status int, text string) {
	for _, at := range slices.Concat(c.at, c.at) {
		req, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, "http://"+at+path, strings.NewReader(body))
		if err != nil {
			c.t.Error(err)
			return 0, ""
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		res, err := c.http.Do(req)
		if err != nil {
			continue
		}
		out, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil && res.StatusCode != http.StatusServiceUnavailable {
			return res.StatusCode, string(out)
		}
	}
	return 0, ""
}

// statuses is what the registry says of the instances of auction: "a1:UP a2:UP",
// by id.
func (c *clientOf) statuses() string {
	var answer struct {
		Application struct {
			Instance []struct {
				ID     string `json:"instanceId"`
				Status string `json:"status"`
			} `json:"instance"`
		} `json:"application"`
	}
	if status, body := c.do("GET", "/eureka/apps/AUCTION", ""); status != http.StatusOK || json.Unmarshal([]byte(body), &answer) != nil {
		return fmt.Sprint(status)
	}
	var list []string
	for _, in := range answer.Application.Instance {
		list = append(list, in.ID+":"+in.Status)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// An upgrade hands the registry over, with a copy on disk and without: no lease is
// lost, no renewal answered 404, and what comes in between is not lost either.
func TestUpgradeKeepsTheRegistry(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{"memory": "", "disk": fmt.Sprintf(", data: %q", t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upgradeWithRegistry(t, settings)
		})
	}
}

func upgradeWithRegistry(t *testing.T, settings string) {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "sold") }))
	defer backend.Close()
	address := strings.TrimPrefix(backend.URL, "http://")
	p := newProcess(t)
	at := freeAddress(t)
	p.write(fmt.Sprintf("registry: {address: %q%s}\nlisten: {public: {address: %q}}\nservices: {auction: {registry: auction}}\n"+
		"routes:\n  - {match: '/{rest...}', to: auction}\n", at, settings, p.front), false)
	p.start("--no-watch")
	c := &clientOf{t: t, at: []string{at}}
	const path = "/eureka/apps/AUCTION"
	for _, id := range []string{"a1", "drained", "left"} {
		if status, _ := c.do("POST", path, registration(id, address)); status != http.StatusNoContent {
			t.Fatalf("register: %d", status)
		}
	}
	c.do("PUT", path+"/drained/status?value=OUT_OF_SERVICE", "")
	c.do("DELETE", path+"/left", "")
	var before struct{ Version uint64 }
	_, body := c.do("GET", "/registry/v1/services/auction", "")
	if err := json.Unmarshal([]byte(body), &before); err != nil {
		t.Fatal(err)
	}

	stop, ended := make(chan struct{}), make(chan []string)
	go func() { // renews and registers all the time
		renewing := &clientOf{t: t, at: []string{at}}
		ids := []string{"a1"}
		for n := 0; ; n++ {
			select {
			case <-stop:
				ended <- ids
				return
			case <-time.After(2 * time.Millisecond):
			}
			if status, _ := renewing.do("PUT", path+"/"+ids[n%len(ids)], ""); status != http.StatusOK {
				t.Errorf("the renewal of %s is answered %d", ids[n%len(ids)], status)
			}
			if n%10 == 0 {
				id := fmt.Sprint("b", n)
				if status, _ := renewing.do("POST", path, registration(id, address)); status != http.StatusNoContent {
					t.Errorf("the registration of %s is answered %d", id, status)
				}
				ids = append(ids, id)
			}
		}
	}()
	old := p.pid()
	p.signal(syscall.SIGUSR2)
	p.until("the successor serves", func() bool { return p.pid() != old && p.pid() > 0 })
	if code := p.exit(); code != 0 {
		t.Errorf("the old process ended with %d", code)
	}
	time.Sleep(50 * time.Millisecond)
	close(stop)
	want := []string{"drained:OUT_OF_SERVICE"}
	for _, id := range <-ended {
		want = append(want, id+":UP")
	}
	slices.Sort(want)
	if got := c.statuses(); got != strings.Join(want, " ") {
		t.Errorf("after the upgrade there are %s, not %s", got, want)
	}
	if _, delta := c.do("GET", "/eureka/apps/delta", ""); !strings.Contains(delta, `"actionType":"DELETED"`) || !strings.Contains(delta, fmt.Sprintf("UP_%d_", len(want)-1)) {
		t.Errorf("the delta of the successor: %s", delta)
	}
	var after struct{ Version uint64 }
	if _, body := c.do("GET", "/registry/v1/services/auction", ""); json.Unmarshal([]byte(body), &after) != nil || after.Version != before.Version+uint64(len(want)-2) {
		t.Errorf("the version was %d and is %d after %d registrations", before.Version, after.Version, len(want)-2)
	}
	if status, _ := p.get("/"); status != http.StatusOK {
		t.Errorf("the successor's gateway answers %d", status)
	}
	if strings.Contains(p.log.String(), "register again") {
		t.Errorf("something was not handed over:\n%s", p.log.String())
	}
}

// An operator drains an instance: nothing new goes to it, and what it has under
// way it ends.
func TestDrainedInstanceEndsItsRequests(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-release
		}
		fmt.Fprint(w, "sold")
	}))
	defer backend.Close()
	p := newProcess(t)
	at := freeAddress(t)
	p.write(fmt.Sprintf("registry: {address: %q}\nlisten: {public: {address: %q}}\nservices: {auction: {registry: auction}}\n"+
		"routes:\n  - {match: '/{rest...}', to: auction}\n", at, p.front), false)
	p.start()
	if status := tell(t, "POST", "http://"+at+"/eureka/apps/AUCTION", registration("a1", strings.TrimPrefix(backend.URL, "http://"))); status != http.StatusNoContent {
		t.Fatalf("register: %d", status)
	}
	p.until("the instance is called", func() bool { status, _ := p.get("/"); return status == http.StatusOK })
	answered := make(chan int)
	go func() { status, _ := p.get("/slow"); answered <- status }()
	<-begun
	if status, body := p.ask("POST", "/v1/registry/apps/auction/a1/drain"); status != http.StatusOK || !strings.Contains(string(body), `"override": "OUT_OF_SERVICE"`) {
		t.Errorf("drain: %d %s", status, body)
	}
	p.until("nothing new goes to it", func() bool { status, _ := p.get("/"); return status == http.StatusServiceUnavailable })
	close(release)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("what was under way ends with %d", status)
	}
	if !strings.Contains(p.log.String(), `msg="operator action" action=drain service=auction instance=a1 by=api`) {
		t.Errorf("the log does not tell of it:\n%s", p.log.String())
	}
	if status, _ := p.ask("DELETE", "/v1/registry/apps/auction/a1/status"); status != http.StatusOK {
		t.Errorf("restore: %d", status)
	}
	p.until("it is called again", func() bool { status, _ := p.get("/"); return status == http.StatusOK })
}
