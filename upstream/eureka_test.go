package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
)

const eurekaAnswer = `{"applications":{"versions__delta":"1","apps__hashcode":"DOWN_1_UP_4_","application":[{"name":"AUCTION","instance":[
{"instanceId":"1","hostName":"h1","ipAddr":"10.0.0.1","status":"UP","port":{"$":8080,"@enabled":"true"},"metadata":{"zone":"z","weight":"3","n":1}},
{"hostName":"h2","ipAddr":"10.0.0.2","status":"DOWN","port":{"$":8080,"@enabled":"true"}},
{"hostName":"h3","ipAddr":"10.0.0.3","status":"UP","port":{"$":"8080","@enabled":"false"},"securePort":{"$":"8443","@enabled":true}},
{"hostName":"h 4","ipAddr":"10.0.0.4","status":"UP","port":{"$":8080,"@enabled":"true"}},
{"hostName":"h5","ipAddr":"10.0.0.5","status":"UP","port":{"$":8080,"@enabled":"true"},"metadata":{"preferIpAddress":"true"}}]}]}}`

func TestParseEureka(t *testing.T) {
	t.Parallel()
	read := func(body string, byIP bool) string {
		l, err := parseEureka([]byte(body))
		if err != nil {
			return err.Error()
		}
		r := newEurekaReader(&Cluster{cfg: Config{Registry: &RegistryConfig{}}})
		r.byIP = byIP
		r.replaceAll(l)
		var got strings.Builder
		addrs, _, _ := r.endpoints("AUCTION", 0)
		for _, a := range addrs {
			fmt.Fprintf(&got, "%s %s %d;", a.URL, a.Zone, a.Weight)
		}
		if r.hash() != l.Applications.Hash {
			t.Errorf("the hash is %s, not %s", r.hash(), l.Applications.Hash)
		}
		return got.String()
	}
	if got, want := read(eurekaAnswer, false), "http://10.0.0.5:8080  0;http://h1:8080 z 3;https://h3:8443  0;"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	one := `{"applications":{"apps__hashcode":"UP_1_","application":{"name":"Auction","instance":{"hostName":"h","ipAddr":"10.0.0.9","status":"UP","port":{"$":1,"@enabled":"true"}}}}}`
	if got := read(one, true); got != "http://10.0.0.9:1  0;" {
		t.Errorf("an instance alone: %s", got)
	}
	for _, bad := range []string{"", "{}", "<html>", `{"applications":{"application":7}}`, `{"applications":{"application":[{"instance":[7]}]}}`} {
		if _, err := parseEureka([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzEureka(f *testing.F) {
	f.Add([]byte(eurekaAnswer))
	f.Add([]byte(`{"applications":{"application":{"name":"a","instance":{}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parseEureka(body)
		if err != nil {
			return
		}
		r := newEurekaReader(&Cluster{cfg: Config{Registry: &RegistryConfig{}}})
		r.replaceAll(l)
		r.apply(l)
		for name := range r.apps {
			addrs, _, _ := r.endpoints(name, 0)
			for _, a := range addrs {
				if _, err := parseTarget(a.URL); err != nil || a.Weight < 0 || a.Weight > maxWeight {
					t.Errorf("%+v: %v", a, err)
				}
			}
		}
		for status, n := range r.counts {
			if n <= 0 {
				t.Errorf("%d instances are %s", n, status)
			}
		}
	})
}

func FuzzWatch(f *testing.F) {
	f.Add("id: 1\nevent: all\ndata: [{\"service\":\"a\",\"instance\":{\"id\":\"1\",\"url\":\"http://h:1\",\"status\":\"UP\"}}]\n\n:\n\nevent: change\ndata: {\"service\":\"a\",\"action\":\"DELETED\",\"instance\":{\"id\":\"1\"}}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := newEurekaReader(&Cluster{cfg: Config{Registry: &RegistryConfig{}}})
		if r.stream(bufio.NewScanner(strings.NewReader(text)), nil, func() {}) == nil {
			t.Error("a stream that ended is no error")
		}
	})
}

// original is a server of the original: it has no watch.
type original struct {
	mu     sync.Mutex
	status int
	full   string
	delta  string
	asked  []string
}

func (o *original) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, r.URL.Path)
	switch {
	case o.status != http.StatusOK:
		w.WriteHeader(o.status)
	case r.URL.Path == "/eureka/apps/":
		fmt.Fprint(w, o.full)
	case r.URL.Path == "/eureka/apps/delta":
		fmt.Fprint(w, o.delta)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// set changes what the server answers and forgets what it was asked for.
func (o *original) set(change func(o *original)) (asked []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked, o.asked = o.asked, nil
	change(o)
	return asked
}

// network is servers by host.
type network map[string]*memnet.Listener

func (n network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ln := n[address]
	if ln == nil {
		return nil, errors.New("no route to host")
	}
	return ln.DialContext(ctx, network, address)
}

func (n network) serve(t *testing.T, address string, h http.Handler) {
	t.Helper()
	ln := memnet.Listen(address)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: h}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
	n[address] = ln
}

// follow runs a cluster that finds its endpoints in registries until end is
// called.
func follow(t *testing.T, cfg RegistryConfig, env Env) (c *Cluster, end func()) {
	t.Helper()
	c, err := New(cfg.Name, Config{Registry: &cfg}, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	return c, func() { cancel(); <-done }
}

// urls are the endpoints of a cluster.
func urls(c *Cluster) string {
	var out []string
	for _, e := range c.Stats().Endpoints {
		out = append(out, e.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Endpoints stay while the server is down, and while it was restarted and knows
// nobody; how old they are can be seen.
func TestEurekaSourceKeepsTheLastGoodEndpoints(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		empty := `{"applications":{"versions__delta":"1","apps__hashcode":"","application":[]}}`
		o := &original{status: 200, full: eurekaAnswer, delta: strings.NewReplacer(`{"name"`, `{"x"`, `"instance":`, `"y":`).Replace(eurekaAnswer)}
		n := make(network)
		n.serve(t, "registry:8761", o)
		c, end := follow(t, RegistryConfig{Name: "auction", URL: "http://registry:8761/eureka/"}, Env{Dial: n.dial})
		defer end()
		time.Sleep(10 * time.Second)
		if s := c.Stats(); len(s.Endpoints) != 3 || s.SourceError != "" || time.Since(s.SourceGood) > 2*time.Second {
			t.Errorf("%d endpoints, error %q, good %v", len(s.Endpoints), s.SourceError, s.SourceGood)
		}
		for _, code := range []int{404, 500, 403, 200} {
			o.set(func(o *original) {
				o.status, o.full, o.delta = code, empty, empty
			})
			time.Sleep(time.Minute)
			if s := c.Stats(); len(s.Endpoints) != 3 || s.SourceError == "" || time.Since(s.SourceGood) < time.Minute {
				t.Errorf("status %d: %d endpoints, error %q, good %v", code, len(s.Endpoints), s.SourceError, s.SourceGood)
			}
		}
		o.set(func(o *original) { o.full, o.delta = eurekaAnswer, eurekaAnswer })
		time.Sleep(2 * time.Second)
		if s := c.Stats(); s.SourceError != "" || len(s.Endpoints) != 3 {
			t.Errorf("%d endpoints, the error stays: %s", len(s.Endpoints), s.SourceError)
		}
	})
}

// All services share the reader of a server: it asks for everything once, then
// for deltas, and for everything again when the hash is another.
func TestEurekaSourcesShareDeltas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := func(app, host, status, action string) string {
			return fmt.Sprintf(`{"name":%q,"instance":[{"instanceId":%q,"hostName":%q,"status":%q,"port":{"$":80,"@enabled":"true"},"actionType":%q}]}`, app, host, host, status, action)
		}
		list := func(hash string, apps ...string) string {
			return fmt.Sprintf(`{"applications":{"versions__delta":"1","apps__hashcode":%q,"application":[%s]}}`, hash, strings.Join(apps, ","))
		}
		o := &original{status: 200, full: list("UP_2_", in("A", "a1", "UP", "ADDED"), in("B", "b1", "UP", "ADDED")), delta: list("UP_2_")}
		n := make(network)
		n.serve(t, "registry:8761", o)
		env := Env{Dial: n.dial, Remotes: new(Remotes)}
		cfg := RegistryConfig{Name: "a", URL: "http://registry:8761/eureka"}
		a, endA := follow(t, cfg, env)
		cfg.Name = "B"
		b, endB := follow(t, cfg, env)
		time.Sleep(30 * time.Second)
		asked := o.set(func(o *original) {
			o.delta = list("DOWN_1_UP_3_", in("A", "a2", "UP", "ADDED"), in("B", "b2", "DOWN", "ADDED"))
		})
		fulls := 0
		for _, path := range asked {
			if path == "/eureka/apps/" {
				fulls++
			}
		}
		if fulls != 1 || len(asked) < 20 || len(asked) > 45 {
			t.Errorf("in 30 s two services asked %v", asked)
		}
		if urls(a) != "a1:80" || urls(b) != "b1:80" {
			t.Errorf("a has %s, b has %s", urls(a), urls(b))
		}
		time.Sleep(2 * time.Second)
		if urls(a) != "a1:80 a2:80" || urls(b) != "b1:80" {
			t.Errorf("after a delta a has %s, b has %s", urls(a), urls(b))
		}
		o.set(func(o *original) {
			o.delta = list("DOWN_1_UP_2_", in("A", "a1", "UP", "DELETED"))
		})
		time.Sleep(2 * time.Second)
		if urls(a) != "a2:80" {
			t.Errorf("after another a has %s", urls(a))
		}
		o.set(func(o *original) { // more happened than the delta tells
			o.delta, o.full = list("UP_3_"), list("UP_3_", in("A", "a3", "UP", "ADDED"), in("A", "a4", "UP", "ADDED"), in("B", "b3", "UP", "ADDED"))
		})
		time.Sleep(2 * time.Second)
		if asked := o.set(func(*original) {}); !slices.Contains(asked, "/eureka/apps/") {
			t.Errorf("with another hash it asks %v", asked)
		}
		if urls(b) != "b3:80" {
			t.Errorf("after that b has %s", urls(b))
		}
		endA()
		endB()
		if len(env.Remotes.readers) != 0 {
			t.Error("a reader goes on without services")
		}
	})
}

// When a server fails the next is asked at once; the first is tried again after
// a while.
func TestEurekaSourceHasSeveralServers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := func(host string) string {
			return strings.ReplaceAll(`{"applications":{"apps__hashcode":"UP_1_","application":[{"name":"A","instance":[{"hostName":"H","status":"UP","port":{"$":80,"@enabled":"true"}}]}]}}`, "H", host)
		}
		first, second := &original{status: 200, full: answer("a1"), delta: answer("a1")}, &original{status: 200, full: answer("a2"), delta: answer("a2")}
		n := make(network)
		n.serve(t, "first:1", first)
		n.serve(t, "second:1", second)
		cfg := RegistryConfig{Name: "a", URL: "http://none:1/eureka", URLs: []string{"http://first:1/eureka", "http://second:1/eureka/"}}
		c, end := follow(t, cfg, Env{Dial: n.dial})
		defer end()
		time.Sleep(5 * time.Second)
		if s := c.Stats(); urls(c) != "a1:80" || s.SourceError != "" {
			t.Errorf("it has %s, error %q", urls(c), s.SourceError)
		}
		first.set(func(o *original) { o.status = 500 })
		time.Sleep(2 * time.Second)
		if s := c.Stats(); urls(c) != "a2:80" || s.SourceError != "" {
			t.Errorf("after a failure it has %s, error %q", urls(c), s.SourceError)
		}
		first.set(func(o *original) { o.status = 200 })
		time.Sleep(40 * time.Second)
		if urls(c) != "a1:80" {
			t.Errorf("once the first is back it has %s", urls(c))
		}
		first.set(func(o *original) { o.status = 500 })
		second.set(func(o *original) { o.status = 500 })
		time.Sleep(time.Minute)
		if s := c.Stats(); urls(c) != "a1:80" || s.SourceError == "" {
			t.Errorf("without a server it has %s, error %q", urls(c), s.SourceError)
		}
	})
}

func TestWatchURL(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"http://h:8761/eureka":        "http://h:8761/registry/v1/watch?prefer=ip&service=A&service=B",
		"http://user@h/eureka/v2":     "http://user@h/registry/v1/watch?prefer=ip&service=A&service=B",
		"https://h/eureka/v1/":        "https://h/registry/v1/watch?prefer=ip&service=A&service=B",
		"http://h/behind/eureka":      "",
		"http://h":                    "http://h/registry/v1/watch?prefer=ip&service=A&service=B",
		"http://h/something/else/v2x": "",
	} {
		if got := watchURL(server, []string{"A", "B"}, true); got != want {
			t.Errorf("%s is watched at %q, not %q", server, got, want)
		}
	}
}
