package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// jsClient is the client of Eureka that npm has, in the version that is driven.
const jsClient = "eureka-js-client@4.5.0"

// npmTime bounds installing it.
const npmTime = 2 * time.Minute

// installJS lays the client into a folder of its own and gives the script beside
// it. Without node, npm or their registry the test is skipped: the same formats
// are covered by recorded exchanges.
func installJS(t *testing.T) (script string) {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not here, which %s needs", name, jsClient)
		}
	}
	dir := t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), npmTime)
	defer stop()
	npm := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--no-save", "--no-package-lock", "--ignore-scripts", jsClient)
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("%s can't be installed here: %v\n%s", jsClient, err, out)
	}
	text, err := os.ReadFile("testdata/eureka-client.js")
	if err != nil {
		t.Fatal(err)
	}
	script = filepath.Join(dir, "client.js")
	if err := os.WriteFile(script, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return script
}

// told is one line of the client.
type told struct {
	Event             string
	Text              string
	App, Basket, Cart []string // what it knows
}

// up tells whether an instance of cart is known that may be called. The client
// keeps those that a delta modified, whatever their status.
func (l told) up() bool {
	return slices.ContainsFunc(l.Cart, func(in string) bool { return strings.Contains(in, " UP ") })
}

// jsService is the running client.
type jsService struct {
	t     *testing.T
	lines chan told
	in    io.Closer
}

func startJS(t *testing.T, script string, args ...string) *jsService {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, "pipe", err)
	in, err := cmd.StdinPipe()
	must(t, "pipe", err)
	must(t, "start node", cmd.Start())
	s := &jsService{t: t, lines: make(chan told, 1000), in: in}
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var l told
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				l = told{Event: "error", Text: lines.Text()}
			}
			s.lines <- l
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return s
}

// until waits for what the client tells; an error of it fails the test.
func (s *jsService) until(what string, done func(told) bool) {
	s.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case l, open := <-s.lines:
			if !open {
				s.t.Fatalf("the client ended before %s", what)
			}
			if l.Event == "error" || l.Text != "" {
				s.t.Errorf("the client says: %s %s", l.Event, l.Text)
			}
			if done(l) {
				return
			}
		case <-limit:
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (s *jsService) event(name string) {
	s.t.Helper()
	s.until(name, func(l told) bool { return l.Event == name })
}

// TestEurekaJS drives the registry with a client of Eureka that speaks JSON,
// unmodified: register, renew, discover by full listings and by deltas,
// deregister.
func TestEurekaJS(t *testing.T) {
	script := installJS(t)
	for _, delta := range []string{"false", "true"} {
		for _, path := range []string{"/eureka/apps/", "/eureka/v2/apps/"} {
			t.Run(path+" delta "+delta, func(t *testing.T) {
				base := startRegistry(t)
				u, err := url.Parse(base)
				must(t, "parse", err)
				s := startJS(t, script, u.Hostname(), u.Port(), path, delta)
				s.event("registered")
				s.event("heartbeat")
				mine := []string{"n1:basket:9301 9301 UP a"}
				s.until("it finds itself", func(l told) bool { return slices.Equal(l.App, mine) && slices.Equal(l.Basket, mine) })

				cart := `{"instance":{"instanceId":"c1","hostName":"c1","ipAddr":"10.4.0.8","app":"CART","port":{"$":80,"@enabled":"true"},"vipAddress":"cart","dataCenterInfo":{"name":"MyOwn"},"metadata":{"color":"b"}}}`
				send(t, http.MethodPost, base+"/apps/CART", cart, http.StatusNoContent)
				s.until("it finds another", func(l told) bool { return slices.Equal(l.Cart, []string{"c1 80 UP b"}) })
				send(t, http.MethodPut, base+"/apps/CART/c1/status?value=OUT_OF_SERVICE", "", http.StatusOK)
				s.until("the other is drained", func(l told) bool { return l.Event == "knows" && !l.up() })
				send(t, http.MethodDelete, base+"/apps/CART/c1/status?value=UP", "", http.StatusOK)
				s.until("the other is back", func(l told) bool { return slices.Equal(l.Cart, []string{"c1 80 UP b"}) })
				send(t, http.MethodDelete, base+"/apps/CART/c1", "", http.StatusOK)
				s.until("the other leaves", func(l told) bool { return l.Event == "knows" && len(l.Cart) == 0 })
				s.event("heartbeat")

				must(t, "end", s.in.Close())
				s.event("deregistered")
				send(t, http.MethodGet, base+"/apps/BASKET", "", http.StatusNotFound)
			})
		}
	}
}

// send makes one request of a client that is not the driven one.
func send(t *testing.T, method, to, body string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	must(t, "request", err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(t, "send", err)
	defer resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s %s: %d, not %d", method, to, resp.StatusCode, want)
	}
}
