package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/upstream"
)

// run runs a registry until the test ends, or until stop is called.
func run(t *testing.T, g *Registry) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	synctest.Wait()
	return stop
}

func sample(app, id string) *Instance {
	return &Instance{
		ID: id, App: app, HostName: "h-" + id, IPAddr: "10.0.0.1", SID: "na", CountryID: 1, Status: Up, Port: Port{8080, true}, SecurePort: Port{443, false},
		DataCenter: DataCenter{plainCenter, "MyOwn", nil}, RenewalSecs: 30, DurationSecs: 90, VIP: strings.ToLower(app), Dirty: 1000,
	}
}

func add(t *testing.T, g *Registry, app, id string) {
	t.Helper()
	in := sample(app, id)
	if err := in.check(app); err != nil {
		t.Fatal(err)
	}
	if err := g.register(in, false); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, g *Registry, path string) string {
	t.Helper()
	resp, body := exchange{method: "GET", path: path, header: http.Header{"Accept": {"application/json"}}}.run(t, g)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d", path, resp.StatusCode)
	}
	return body
}

// An instance that stops renewing is evicted after one duration when the others
// go on.
func TestEviction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{})
		for i := range 20 {
			add(t, g, "A", fmt.Sprint("i", i))
		}
		for range 5 { // 150 s
			time.Sleep(30 * time.Second)
			for i := range 19 {
				g.renew(key{"A", fmt.Sprint("i", i)}, renewal{})
			}
		}
		if n := g.size(); n != 19 {
			t.Errorf("%d instances, not 19", n)
		}
		if !strings.Contains(get(t, g, "/eureka/apps/delta"), `"actionType":"DELETED"`) {
			t.Error("the delta does not tell of the eviction")
		}
	})
}

// When most renewals stay away, the network is to blame and nobody is evicted,
// unless a port refuses, which proves that the process is gone.
func TestSelfPreservation(t *testing.T) {
	t.Parallel()
	for _, protect := range []string{"on", "strict", "off"} {
		synctest.Test(t, func(t *testing.T) {
			g := New(Config{Protect: protect}, Env{Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				if address == "10.9.9.9:8080" {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				return nil, context.DeadlineExceeded
			}})
			run(t, g)
			for i := range 10 {
				in := sample("A", fmt.Sprint("i", i))
				if i == 0 {
					in.IPAddr = "10.9.9.9"
				}
				_ = g.register(in, false)
			}
			time.Sleep(10 * time.Minute)
			want := map[string]int{"on": 9, "strict": 10, "off": 0}[protect]
			if n := g.size(); n != want {
				t.Errorf("protect %s: %d instances, not %d", protect, n, want)
			}
			if o := g.Overview(); protect != "off" && !o.Protected {
				t.Error("protection is not shown")
			}
		})
	}
}

// A clock that jumps and a process that stood still evict nobody.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wall, mono atomic.Int64
		start := time.Now()
		g := New(Config{Protect: "off"}, Env{
			Now:     func() time.Time { return time.Now().Add(time.Duration(wall.Load())) },
			Elapsed: func() time.Duration { return time.Since(start) + time.Duration(mono.Load()) },
		})
		run(t, g)
		add(t, g, "A", "i")
		for _, jump := range []time.Duration{time.Hour, -2 * time.Hour} {
			wall.Add(int64(jump))
			time.Sleep(20 * time.Second)
			if g.size() != 1 {
				t.Fatalf("a wall clock jump of %v evicts", jump)
			}
		}
		mono.Add(int64(10 * time.Minute)) // suspended
		time.Sleep(20 * time.Second)
		if g.size() != 1 {
			t.Error("standing still evicts")
		}
		time.Sleep(100 * time.Second)
		if g.size() != 0 {
			t.Error("the lease does not end")
		}
	})
}

// A client whose clock was far ahead can register again when it is right.
func TestFarFutureDirtyLoses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{})
		in := sample("A", "i")
		in.Dirty = time.Now().Add(time.Hour).UnixMilli()
		_ = g.register(in, false)
		right := sample("A", "i")
		right.HostName, right.Dirty = "right", time.Now().UnixMilli()
		_ = g.register(right, false)
		if !strings.Contains(get(t, g, "/eureka/apps"), `"hostName":"right"`) {
			t.Error("the jumped clock still wins")
		}
		if o := g.Overview(); o.Counts["skewed"] != 1 || len(o.Findings) != 1 {
			t.Errorf("it is not shown: %+v", o)
		}
	})
}

// Two processes with one id are reported with both places.
func TestTwins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{})
		for i := range 4 {
			in := sample("A", "i")
			in.Port.Number, in.Dirty = 8080+i%2, int64(i)
			_ = g.register(in, false)
			time.Sleep(10 * time.Second)
		}
		o := g.Overview()
		if len(o.Findings) != 1 || !strings.Contains(o.Findings[0].Text, "10.0.0.1:8081") || !strings.Contains(o.Findings[0].Text, "10.0.0.1:8080") {
			t.Errorf("findings: %+v", o.Findings)
		}
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	g := New(Config{MaxInstances: 2, MaxApplications: 1}, Env{})
	add(t, g, "A", "1")
	if err := g.register(sample("B", "1"), false); err == nil {
		t.Error("a second application fits")
	}
	add(t, g, "A", "2")
	if err := g.register(sample("A", "3"), false); err == nil {
		t.Error("a third instance fits")
	}
	add(t, g, "A", "2") // known: no more room is needed
	many := sample("A", "1")
	for i := range maxMeta + 1 {
		many.Meta = append(many.Meta, Pair{fmt.Sprint(i), "v"})
	}
	long := sample("A", "1")
	long.HomePage = strings.Repeat("x", maxField+1)
	id := sample("A", strings.Repeat("i", maxID+1))
	wide := sample("A", "1")
	for i := range 10 {
		wide.Meta = append(wide.Meta, Pair{fmt.Sprint(i), strings.Repeat("v", maxField)})
	}
	for name, in := range map[string]*Instance{"metadata has more": many, "homePageUrl is longer": long, "instanceId is longer": id, "metadata is larger": wide} {
		if err := in.check("A"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not tell that %s", err, name)
		}
	}
	big := exchange{method: "POST", path: "/eureka/apps/A", header: http.Header{}, body: "{" + strings.Repeat(" ", maxBody) + "}"}
	if resp, body := big.run(t, g); resp.StatusCode != 400 || !strings.Contains(body, "larger than 65536") {
		t.Errorf("a large body gives %d %s", resp.StatusCode, body)
	}
}

// A restart begins with the copy: nothing is lost by kill -9, a damaged tail is
// cut, and no lease ends for the time away.
func TestWarmRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Data: dir}, Env{})
		stop := run(t, g)
		for i := range 50 {
			add(t, g, "A", fmt.Sprint("i", i))
		}
		g.setStatus(key{"A", "i1"}, OutOfService, 0, false)
		g.cancel(key{"A", "i2"}, false)
		time.Sleep(2 * syncEvery)
		text, err := os.ReadFile(filepath.Join(dir, copyName)) // as it is at a kill -9
		if err != nil {
			t.Fatal(err)
		}
		stop()
		killed := t.TempDir()
		if err := os.WriteFile(filepath.Join(killed, copyName), append(text, "0badc0de {\"app\":\"A\",\"id"...), 0o600); err != nil {
			t.Fatal(err)
		}
		half := filepath.Join(killed, copyName+".123")
		if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		again := New(Config{Data: killed}, Env{})
		run(t, again)
		if _, err := os.Stat(half); err == nil {
			t.Error("a half written copy stays")
		}
		if again.size() != 49 || again.totals.damaged.Load() != 1 {
			t.Fatalf("%d instances, %d damaged", again.size(), again.totals.damaged.Load())
		}
		if body := get(t, again, "/eureka/apps/A/i1"); !strings.Contains(body, `"status":"OUT_OF_SERVICE","overriddenStatus":"OUT_OF_SERVICE"`) {
			t.Errorf("the override is lost: %s", body)
		}
		if code, _ := again.renew(key{"A", "i3"}, renewal{dirty: 1000}); code != 200 {
			t.Errorf("a renewal after the restart: %d", code)
		}
	})
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{Data: dir, Protect: "strict"}, Env{})
		run(t, g)
		add(t, g, "A", "i")
		for range 100 {
			time.Sleep(2 * syncEvery)
			g.setStatus(key{"A", "i"}, Down, 0, false)
			time.Sleep(2 * syncEvery)
			g.clearStatus(key{"A", "i"}, Up, 0, false)
		}
		time.Sleep(rewriteEvery + time.Second)
		text, err := os.ReadFile(filepath.Join(dir, copyName))
		if err != nil || strings.Count(string(text), "\n") != 1 {
			t.Errorf("the copy has %d lines: %v", strings.Count(string(text), "\n"), err)
		}
	})
}

// listingOf is what a client knows: app/id to status.
func listingOf(t *testing.T, body string) (map[string]string, map[string]string, string) {
	t.Helper()
	var l struct {
		Applications struct {
			Hash        string `json:"apps__hashcode"`
			Application []struct {
				Name     string
				Instance []struct{ InstanceID, Status, ActionType string }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		t.Fatal(err)
	}
	state, action := make(map[string]string), make(map[string]string)
	for _, a := range l.Applications.Application {
		for _, in := range a.Instance {
			state[a.Name+"/"+in.InstanceID], action[a.Name+"/"+in.InstanceID] = in.Status, in.ActionType
		}
	}
	return state, action, l.Applications.Hash
}

func hashOf(state map[string]string) string {
	var counts [statuses]int
	for _, word := range state {
		s, _ := parseStatus(word)
		counts[s]++
	}
	return hash(&counts)
}

// A full listing and any deltas after it are the full listing, and the hash
// always is that of the body's moment, while eight writers write.
func TestDeltasAddUp(t *testing.T) {
	t.Parallel()
	g := New(Config{}, Env{})
	g.opened.Store(true)
	known, _, _ := listingOf(t, get(t, g, "/eureka/apps"))
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 7))
			for range 300 {
				k := key{fmt.Sprint("APP", random.IntN(5)), fmt.Sprint("i", random.IntN(20))}
				switch random.IntN(5) {
				case 0, 1:
					in := sample(k.app, k.id)
					in.Status = Status(random.IntN(int(statuses)))
					_ = g.register(in, false)
				case 2:
					g.cancel(k, false)
				case 3:
					g.setStatus(k, OutOfService, 0, false)
				default:
					g.clearStatus(k, Up, 0, false)
				}
			}
		})
	}
	apply := func() {
		state, action, want := listingOf(t, get(t, g, "/eureka/apps/delta"))
		for name, status := range state {
			known[name] = status
			if action[name] == "DELETED" {
				delete(known, name)
			}
		}
		if got := hashOf(known); got != want {
			t.Errorf("the hash of the delta is %s, the client has %s", want, got)
		}
	}
	for range 50 {
		apply()
		state, _, want := listingOf(t, get(t, g, "/eureka/apps"))
		if got := hashOf(state); got != want {
			t.Errorf("the hash of the listing is %s, its body has %s", want, got)
		}
	}
	wait.Wait()
	apply()
	state, _, _ := listingOf(t, get(t, g, "/eureka/apps"))
	if fmt.Sprint(state) != fmt.Sprint(known) {
		t.Errorf("deltas give\n%v\nnot\n%v", known, state)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{})
		var seen []string
		go func() {
			_ = g.Follow(t.Context(), "basket", false, func(list []upstream.Addr) error {
				var urls []string
				for _, a := range list {
					urls = append(urls, a.URL)
				}
				seen = append(seen, strings.Join(urls, " "))
				return nil
			})
		}()
		synctest.Wait()
		steps := []func(){
			func() { add(t, g, "BASKET", "1") },
			func() { add(t, g, "OTHER", "1") },
			func() { g.setStatus(key{"BASKET", "1"}, OutOfService, 0, false) },
			func() {
				bad := sample("BASKET", "2")
				bad.HostName = "a host/with?rubbish"
				_ = g.register(bad, false)
			},
			func() { g.clearStatus(key{"BASKET", "1"}, Up, 0, false) },
		}
		for _, step := range steps {
			step()
			synctest.Wait()
		}
		want := "|http://h-1:8080|||http://h-1:8080"
		if got := strings.Join(seen, "|"); got != want {
			t.Errorf("followed %q, not %q", got, want)
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := started(t, Config{})
		add(t, g, "BASKET", "1")
		version := g.Overview().Version
		ctx, stop := context.WithCancel(t.Context())
		watch := func(last string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(ctx, "GET", "/registry/v1/watch?service=basket", nil)
			r.Header.Set("Last-Event-Id", last)
			w := httptest.NewRecorder()
			go g.ServeHTTP(w, r)
			return w
		}
		fresh := watch("")
		synctest.Wait()
		add(t, g, "OTHER", "1")
		g.setStatus(key{"BASKET", "1"}, OutOfService, 0, false)
		synctest.Wait()
		resumed, stale := watch(fmt.Sprint(version)), watch("7")
		synctest.Wait()
		stop()
		synctest.Wait()
		if body := fresh.Body.String(); !strings.Contains(body, "event: all\ndata: [{\"service\":\"basket\"") ||
			!strings.Contains(body, `"action":"MODIFIED","instance":{"id":"1","url":"http://h-1:8080","status":"OUT_OF_SERVICE"`) || strings.Contains(body, "other") {
			t.Errorf("a fresh watcher hears\n%s", body)
		}
		if body := resumed.Body.String(); strings.Contains(body, "event: all") || !strings.Contains(body, "event: change") {
			t.Errorf("a watcher that comes back hears\n%s", body)
		}
		if body := stale.Body.String(); !strings.Contains(body, "event: all") {
			t.Errorf("a watcher with an unknown version hears\n%s", body)
		}
	})
}

// A renewal takes no memory: ten thousand instances renew all the time.
func TestRenewalDoesNotAllocate(t *testing.T) {
	g := New(Config{}, Env{})
	add(t, g, "A", "i")
	k := key{"A", "i"}
	if n := testing.AllocsPerRun(1000, func() { g.renew(k, renewal{}) }); n > 0 {
		t.Errorf("a renewal allocates %v times", n)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(templates()["json"]))
	f.Add([]byte(templates()["bare"]))
	f.Add([]byte(`{"instance":{"port":{"$":"x"},"metadata":{"a":1e99},"leaseInfo":{"durationInSecs":-9e18}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := decodeJSON(body); err == nil {
			roundTrip(t, p)
		}
		if list, err := decodeBatch(body); err == nil && len(list) < 100 {
			if b := New(Config{}, Env{}).receive(list); !json.Valid(b) {
				t.Errorf("the answer is no JSON: %s", b)
			}
		}
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(templates()["xml"]))
	f.Add([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?><instance><app>` + "\xe4" + `</app></instance>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, err := decodeXML(body); err == nil {
			roundTrip(t, p)
		}
	})
}

// roundTrip writes an instance in both formats and reads it again: what was
// accepted must be readable for everyone.
func roundTrip(t *testing.T, p *posted) {
	t.Helper()
	in := p.instance(1)
	in.clamp()
	if in.check("") != nil {
		return
	}
	j := append(appendJSON([]byte(`{"instance":`), in, 1, style{}), '}')
	again, err := decodeJSON(j)
	if err != nil {
		t.Fatalf("%v in our own JSON: %s", err, j)
	}
	if got := again.instance(1); !json.Valid(j) || got.App != in.App || got.Status != in.Status || got.Port != in.Port {
		t.Errorf("JSON gives %+v, not %+v", got, in)
	}
	x := appendXML(nil, in, 1, style{})
	if _, err := parseXML(x); err != nil {
		t.Fatalf("%v in our own XML: %s", err, x)
	}
}
