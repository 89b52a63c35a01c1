package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/registry"
	"github.com/maru-msa/maru/upstream"
)

// elsewhere is a maru with a registry that can be killed and started again.
type elsewhere struct {
	mu       sync.Mutex
	ln       *memnet.Listener
	registry *registry.Registry
	kill     func()
}

func (e *elsewhere) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ln, g := memnet.Listen("registry:8761"), registry.New(registry.Config{}, registry.Env{Dial: unreachable})
	var wait sync.WaitGroup
	wait.Go(func() { _ = g.Run(ctx) })
	wait.Go(func() { _ = g.Serve(ctx, ln) })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ln, e.registry, e.kill = ln, g, func() {
		cancel()
		_ = ln.Close()
		wait.Wait()
	}
}

// unreachable is the network of instances that nobody looks at.
func unreachable(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no route to host")
}

func (e *elsewhere) dial(ctx context.Context, network, address string) (net.Conn, error) {
	e.mu.Lock()
	ln := e.ln
	e.mu.Unlock()
	if address != "registry:8761" {
		return nil, errors.New("no route to host")
	}
	return ln.DialContext(ctx, network, address)
}

func (e *elsewhere) add(t *testing.T, app, id string) {
	t.Helper()
	body := fmt.Sprintf(`{"instance":{"instanceId":%q,"hostName":%q,"ipAddr":"10.0.0.7","app":%q,"port":{"$":80,"@enabled":"true"},`+
		`"dataCenterInfo":{"name":"MyOwn"},"metadata":{"zone":"z","weight":"2"}}}`, id, id, app)
	w := httptest.NewRecorder()
	e.registry.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/eureka/apps/"+app, strings.NewReader(body)))
	if w.Code != http.StatusNoContent {
		t.Fatalf("register: %d %s", w.Code, w.Body)
	}
}

// watching runs a cluster that follows the registry.
func watching(t *testing.T, e *elsewhere, remotes *upstream.Remotes, name, prefer string) (urls func() string, stats func() upstream.Stats, end func()) {
	t.Helper()
	cfg := upstream.Config{Registry: &upstream.RegistryConfig{Name: name, URL: "http://registry:8761/eureka", Prefer: prefer}}
	c, err := upstream.New(name, cfg, upstream.Env{Dial: e.dial, Remotes: remotes})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	urls = func() string {
		var out []string
		for _, ep := range c.Stats().Endpoints {
			out = append(out, ep.Name)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	return urls, c.Stats, func() { cancel(); <-done }
}

// A maru elsewhere tells of each change at once; while it is away, or begins
// with nothing, the endpoints stay.
func TestRemoteMaruTellsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := new(elsewhere)
		e.start(t)
		e.add(t, "AUCTION", "a1")
		e.add(t, "REWARD", "r1")
		remotes := new(upstream.Remotes)
		auction, stats, endAuction := watching(t, e, remotes, "auction", "")
		reward, _, endReward := watching(t, e, remotes, "reward", "ip")
		time.Sleep(time.Second)
		if auction() != "a1:80" || reward() != "10.0.0.7:80" {
			t.Fatalf("they begin with %s and %s", auction(), reward())
		}
		at := func(want string, change func()) {
			t.Helper()
			before := time.Now()
			change()
			synctest.Wait()
			if auction() != want || time.Since(before) > 0 {
				t.Errorf("%v after a change it has %s, not %s", time.Since(before), auction(), want)
			}
		}
		set := func(id, status string) func() {
			return func() {
				if err := e.registry.SetStatus("auction", id, status); err != nil {
					t.Error(err)
				}
			}
		}
		at("a1:80 a2:80", func() { e.add(t, "AUCTION", "a2") })
		at("a2:80", set("a1", "OUT_OF_SERVICE"))
		at("a1:80 a2:80", set("a1", "UP"))
		at("a1:80", func() {
			if err := e.registry.Remove("auction", "a2"); err != nil {
				t.Error(err)
			}
		})
		at("a1:80", set("a1", "DOWN")) // the last one stays
		at("a1:80", set("a1", "UP"))
		late, _, endLate := watching(t, e, remotes, "late", "")
		time.Sleep(time.Second)
		e.add(t, "LATE", "l1")
		synctest.Wait()
		if late() != "l1:80" || auction() != "a1:80" {
			t.Errorf("a service that is followed later has %s, the other %s", late(), auction())
		}
		time.Sleep(time.Hour)
		if s := stats(); s.SourceError != "" || time.Since(s.SourceGood) > 20*time.Second {
			t.Errorf("after a quiet hour: error %q, good %v ago", s.SourceError, time.Since(s.SourceGood))
		}

		e.kill()
		time.Sleep(time.Minute)
		if s := stats(); auction() != "a1:80" || s.SourceError == "" || time.Since(s.SourceGood) < time.Minute {
			t.Errorf("without the registry it has %s, error %q", auction(), s.SourceError)
		}
		e.start(t)
		time.Sleep(time.Minute)
		if s := stats(); auction() != "a1:80" || s.SourceError == "" {
			t.Errorf("while the registry knows nobody it has %s, error %q", auction(), s.SourceError)
		}
		at("a3:80", func() { e.add(t, "AUCTION", "a3") })
		for _, end := range []func(){endAuction, endReward, endLate, e.kill} {
			end()
		}
	})
}
