package metrics

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// made makes objects out of "key=value …" for each host.
func made(t *testing.T, k *kinds, json ...string) []*object {
	t.Helper()
	list := make([]*object, len(json))
	for i, text := range json {
		o, err := parseObject([]byte(text), k)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = o
	}
	return list
}

// The table of the specification, row by row.
func TestAddFollowsTheRules(t *testing.T) {
	t.Parallel()
	k := newKinds()
	command := func(more string) string { return `{"type":"HystrixCommand","name":"a",` + more + `}` }
	pool := func(more string) string { return `{"type":"HystrixThreadPool","name":"a",` + more + `}` }
	for _, tt := range []struct {
		name, board string
		list        []string
		want        []string // parts of the sum
	}{
		{"counts, percentages and latencies are summed", "", []string{
			command(`"requestCount":3,"errorPercentage":50,"latencyTotal":{"99":7,"99.5":9},"latencyTotal_mean":2`),
			command(`"requestCount":4,"errorPercentage":10,"latencyTotal":{"99":1,"99.5":1},"latencyTotal_mean":1`),
		}, []string{`"requestCount":7,`, `"errorPercentage":60,`, `"99":8,"99.5":10,`, `"latencyTotal_mean":3,`, `"reportingHosts":2,`}},
		{"a command's settings: the common value, else the largest", "", []string{
			command(`"propertyValue_circuitBreakerRequestVolumeThreshold":20,"propertyValue_executionTimeoutInMilliseconds":1000`),
			command(`"propertyValue_circuitBreakerRequestVolumeThreshold":20,"propertyValue_executionTimeoutInMilliseconds":3000`),
		}, []string{`"propertyValue_circuitBreakerRequestVolumeThreshold":20,`, `"propertyValue_executionTimeoutInMilliseconds":3000,`}},
		{"words that differ are counted in a text", "", []string{
			command(`"group":"x","propertyValue_circuitBreakerEnabled":true`), command(`"group":"x","propertyValue_circuitBreakerEnabled":false`),
			command(`"group":"y","propertyValue_circuitBreakerEnabled":true`),
		}, []string{`"group":"{\"x\":2,\"y\":1}",`, `"propertyValue_circuitBreakerEnabled":"{\"false\":1,\"true\":2}",`}},
		{"no breaker is open", "", []string{command(`"isCircuitBreakerOpen":false`), command(`"isCircuitBreakerOpen":"false"`)}, []string{`"isCircuitBreakerOpen":false,`}},
		{"all breakers are open", "", []string{command(`"isCircuitBreakerOpen":true`), command(`"isCircuitBreakerOpen":"true"`)}, []string{`"isCircuitBreakerOpen":2,`}},
		{"some breakers are open", "", []string{
			command(`"isCircuitBreakerOpen":true`), command(`"isCircuitBreakerOpen":false`), command(`"isCircuitBreakerOpen":false`),
		}, []string{`"isCircuitBreakerOpen":"{\"false\":2,\"true\":1}",`}},
		{"a host that is a turbine itself", "", []string{
			command(`"reportingHosts":3,"isCircuitBreakerOpen":"{\"false\":1,\"true\":2}"`), command(`"reportingHosts":2,"isCircuitBreakerOpen":2`),
		}, []string{`"reportingHosts":5,`, `"isCircuitBreakerOpen":"{\"false\":1,\"true\":4}",`}},
		{"a pool's queue is summed, its window is not", "", []string{
			pool(`"propertyValue_queueSizeRejectionThreshold":5,"propertyValue_metricsRollingStatisticalWindowInMilliseconds":10000`),
			pool(`"propertyValue_queueSizeRejectionThreshold":5,"propertyValue_metricsRollingStatisticalWindowInMilliseconds":10000`),
		}, []string{`"propertyValue_queueSizeRejectionThreshold":10,`, `"propertyValue_metricsRollingStatisticalWindowInMilliseconds":10000,`}},
		{"but for Netflix' board it is", "netflix", []string{
			pool(`"propertyValue_metricsRollingStatisticalWindowInMilliseconds":10000`), pool(`"propertyValue_metricsRollingStatisticalWindowInMilliseconds":10000`),
		}, []string{`"propertyValue_metricsRollingStatisticalWindowInMilliseconds":20000,`}},
		{"the newest time", "", []string{pool(`"currentTime":5`), pool(`"currentTime":7`), pool(`"currentTime":6`)}, []string{`"currentTime":7,`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := string(add(made(t, k, tt.list...), tt.board).append(nil))
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in %s", want, got)
				}
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}
}

// A board shows of three equal hosts what it shows of one, per host.
func TestBoardsArithmeticOverThreeHosts(t *testing.T) {
	t.Parallel()
	k := newKinds()
	const host = `{"type":"HystrixCommand","name":"a","isCircuitBreakerOpen":%s,"requestCount":40,"errorPercentage":25,"latencyTotal":{"99":30},
		"propertyValue_metricsRollingStatisticalWindowInMilliseconds":10000}`
	for _, tt := range []struct {
		open  [3]string
		label string
	}{
		{[3]string{"false", "false", "false"}, "Closed"},
		{[3]string{"true", "true", "true"}, "Open"},
		{[3]string{"true", "false", "false"}, `{"false":2,"true":1}`},
	} {
		list := made(t, k, fmt.Sprintf(host, tt.open[0]), fmt.Sprintf(host, tt.open[1]), fmt.Sprintf(host, tt.open[2]))
		for hosts := 1; hosts <= 3; hosts += 2 {
			var o map[string]any
			if err := json.Unmarshal(add(list[:hosts], "").append(nil), &o); err != nil {
				t.Fatal(err)
			}
			got := compute(o)
			if got.rate != 4 || got.errorPercent != 25 || got.p99 != 30 {
				t.Errorf("%d hosts: %+v", hosts, got)
			}
			if hosts == 3 && got.label != tt.label {
				t.Errorf("label %q, want %q", got.label, tt.label)
			}
			if one := map[string]string{"true": "Open", "false": "Closed"}[tt.open[0]]; hosts == 1 && got.label != one {
				t.Errorf("one host: label %q, want %q", got.label, one)
			}
		}
	}
}

// Streams are as different as the programs that write them.
func TestReadObjectsIsTolerant(t *testing.T) {
	t.Parallel()
	k := newKinds()
	stream := ": comment\n" +
		"data:{\"type\":\"HystrixCommand\",\"name\":\"no-blank\",\"requestCount\":\"12\",\"errorPercentage\":1.6}\n\n" +
		"ping: \n\n" +
		"event: x\r\ndata:  {\"type\":\"HystrixThreadPool\",\"name\":\"crlf\",\"currentActiveCount\":null,\"reportingHosts\":0}\r\n\r\n" +
		"data: {\"type\":\"meta\",\"name\":\"meta\"}\n\n" +
		"data: {\"type\":\"HystrixCommand\",\"name\":\"\"}\n\n" +
		"data: {broken\n\n" +
		"data: {\"type\":\"HystrixCommand\",\"name\":\"" + strings.Repeat("x", mostLine) + "\"}\n\n" +
		"data: {\"type\":\"HystrixCommand\",\"name\":\"<script>\",\"isCircuitBreakerOpen\":[1],\"latencyTotal\":7,\"group\":\"a\\\"b\"}\n" +
		"data: {\"type\":\"HystrixCommand\",\"name\":\"cut off\""
	var got []string
	lines := 0
	bad, err := readObjects(strings.NewReader(stream), k, func() { lines++ }, func(o *object) { got = append(got, string(o.append(nil))) })
	if !errors.Is(err, io.EOF) || bad != 2 || lines < 15 {
		t.Errorf("%d bad lines, %d lines, %v", bad, lines, err)
	}
	if len(got) != 3 {
		t.Fatalf("objects %q", got)
	}
	for i, want := range []string{`"name":"no-blank","group":"",`, `"name":"crlf",`, `"name":"_script_","group":"a\"b","currentTime":0,"isCircuitBreakerOpen":false,`} {
		if !strings.Contains(got[i], want) {
			t.Errorf("no %s in %s", want, got[i])
		}
	}
	if !strings.Contains(got[0], `"errorPercentage":2,"errorCount":0,"requestCount":12,`) || !strings.Contains(got[1], `"reportingHosts":1}`) {
		t.Errorf("numbers in %q", got)
	}
}

func FuzzReadObjects(f *testing.F) {
	for _, seed := range []string{
		"data: {\"type\":\"HystrixCommand\",\"name\":\"a\",\"isCircuitBreakerOpen\":\"{\\\"true\\\":1}\",\"reportingHosts\":3}\n\n",
		"data:{\"type\":\"HystrixThreadPool\",\"name\":\"a\",\"currentTime\":1e300,\"reportingHosts\":-5}\n",
		"data: {\"type\":\"HystrixCollapser\",\"name\":\"\\u0000\\\"\",\"batchSize\":{\"25\":\"x\"}}\nping: \n",
		"data: {\"type\":\"HystrixCommand\",\"name\":\"a\",\"group\":\"\\ud800\",\"propertyValue_requestLogEnabled\":3}\n",
	} {
		f.Add([]byte(seed))
	}
	k := newKinds()
	f.Fuzz(func(t *testing.T, stream []byte) {
		groups := make(map[identity][]*object)
		_, _ = readObjects(strings.NewReader(string(stream)), k, func() {}, func(o *object) {
			id := identity{o.kind, o.name}
			groups[id] = append(groups[id], o)
		})
		for _, list := range groups {
			text := add(list, "netflix").append(nil)
			var o map[string]any
			if err := json.Unmarshal(text, &o); err != nil {
				t.Fatalf("%v in %s", err, text)
			}
			if len(o) != len(list[0].kind.keys)+2 {
				t.Fatalf("%d keys in %s", len(o), text)
			}
			if strings.ContainsAny(fmt.Sprint(o["name"]), "<>\"'& ") {
				t.Fatalf("name %q", o["name"])
			}
		}
	})
}

func TestTurbineConfig(t *testing.T) {
	t.Parallel()
	addr := upstream.Addr{URL: "http://10.0.0.1:8080", Meta: map[string]string{"management.port": "9090", "cluster": "gold"}}
	plain := upstream.Addr{URL: "https://[::1]:8443", Meta: map[string]string{"management.port": "none"}}
	for _, tt := range []struct {
		cfg           TurbineConfig
		addr          upstream.Addr
		cluster, want string
	}{
		{TurbineConfig{}, addr, "basket", "http://10.0.0.1:9090/actuator/hystrix.stream"},
		{TurbineConfig{}, plain, "basket", "https://[::1]:8443/actuator/hystrix.stream"},
		{TurbineConfig{ClusterNameExpression: "'default'"}, addr, "default", "http://10.0.0.1:9090/actuator/hystrix.stream"},
		{TurbineConfig{ClusterNameExpression: "metadata['cluster']", InstanceURLSuffix: Suffixes{"GOLD": "/x.stream", "default": "y"}}, addr, "gold", "http://10.0.0.1:9090/x.stream"},
		{TurbineConfig{ClusterNameExpression: "metadata['cluster']", InstanceURLSuffix: Suffixes{"default": "hystrix.stream"}}, plain, "default", "https://[::1]:8443/hystrix.stream"},
	} {
		if err := tt.cfg.Check(); err != nil {
			t.Error(err)
		}
		cluster := tt.cfg.cluster("basket", &tt.addr)
		if got := tt.cfg.stream(cluster, &tt.addr); cluster != tt.cluster || got != tt.want {
			t.Errorf("%+v: %s in %s, want %s in %s", tt.cfg, got, cluster, tt.want, tt.cluster)
		}
	}
	var apps Apps
	if err := apps.UnmarshalText([]byte("a, b,,c")); err != nil || !slices.Equal(apps, Apps{"a", "b", "c"}) {
		t.Errorf("apps %q, %v", apps, err)
	}
}

// estate is what Turbine follows in a bubble: processes with a stream each, by
// their address.
type estate struct {
	mu        sync.Mutex
	instances map[string][]upstream.Addr
	streams   map[string]func(w *io.PipeWriter) // by host:port; nil refuses
	dials     map[string]int
}

func (e *estate) list(app string) []upstream.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.instances[app])
}

func (e *estate) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

// RoundTrip answers as the process would.
func (e *estate) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	e.dials[r.URL.Host]++
	stream := e.streams[r.URL.Host]
	e.mu.Unlock()
	if stream == nil {
		return nil, net.ErrClosed
	}
	body, w := io.Pipe()
	go stream(w)
	context.AfterFunc(r.Context(), func() { _ = w.CloseWithError(context.Canceled) })
	return &http.Response{StatusCode: http.StatusOK, Body: body, Header: http.Header{}}, nil
}

// says writes the object each half second.
func says(name string, requests int) func(*io.PipeWriter) {
	return func(w *io.PipeWriter) {
		for {
			if _, err := fmt.Fprintf(w, "data: {\"type\":\"HystrixCommand\",\"name\":%q,\"requestCount\":%d}\n\n", name, requests); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}
}

func newEstate() *estate {
	return &estate{instances: make(map[string][]upstream.Addr), streams: make(map[string]func(*io.PipeWriter)), dials: make(map[string]int)}
}

func (e *estate) turbine(clusters func() []*upstream.Cluster, apps ...string) *Turbine {
	tb := &Turbine{
		Hystrix:   &Hystrix{Board: &Board{Recorder: new(telemetry.Recorder), Clusters: clusters}},
		Instances: e.list, Client: &http.Client{Transport: e},
	}
	tb.Configure(TurbineConfig{AppConfig: apps})
	return tb
}

// end ends Run and waits for the processes to notice.
func end(t *testing.T, stop func(), ended <-chan error) {
	t.Helper()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	time.Sleep(time.Second)
}

// requests gives requestCount and reportingHosts of a command, -1 when it is not there.
func (t *Turbine) requests(cluster, name string) (requests, hosts int64) {
	for _, s := range t.sum(cluster, time.Now()).sent {
		if s.object.kind.name == "HystrixCommand" && s.object.name == name {
			return s.object.get("requestCount"), s.object.get("reportingHosts")
		}
	}
	return -1, 0
}

// Two processes on one machine are two; who goes, or says nothing for ten
// seconds, is taken away again.
func TestTurbineAddsAndSubtracts(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1, "auction")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		e := newEstate()
		e.instances["basket"] = []upstream.Addr{{URL: "http://a:1"}, {URL: "http://a:2"}}
		e.instances["reward"] = []upstream.Addr{{URL: "http://b:1"}}
		e.streams["a:1/"], e.streams["a:1"], e.streams["a:2"], e.streams["b:1"] = nil, says("pay", 3), says("pay", 4), says("pay", 10)
		tb := e.turbine(clusters, "basket", "reward", "empty")
		ended := make(chan error, 1)
		go func() { ended <- tb.Run(ctx) }()
		check := func(when, cluster string, requests, hosts int64) {
			t.Helper()
			synctest.Wait()
			if n, h := tb.requests(cluster, "pay"); n != requests || h != hosts {
				t.Errorf("%s: %s has %d requests of %d hosts, want %d of %d", when, cluster, n, h, requests, hosts)
			}
		}
		check("at first", "basket", 7, 2)
		check("at first", "BASKET", 7, 2)
		check("at first", "reward", 10, 1)
		check("at first", "default", 17, 3)
		if n, _ := tb.requests("default", "auction"); n != 0 {
			t.Errorf("our own service has %d requests", n)
		}
		if tb.sum("nowhere", time.Now()) != nil || tb.sum("empty", time.Now()) == nil {
			t.Error("a cluster that nobody named is known, or one without instances is not")
		}
		e.set(func() { e.instances["basket"] = e.instances["basket"][:1] })
		time.Sleep(time.Second)
		check("after one left", "basket", 3, 1)
		e.set(func() {
			e.streams["b:1"] = nil // its next connect is refused
		})
		followed, connected := tb.Hosts()
		if followed != 2 || connected != 2 {
			t.Errorf("%d followed, %d connected", followed, connected)
		}
		// A process that stays connected but silent no longer counts after ten seconds.
		e.set(func() {
			e.instances["silent"] = []upstream.Addr{{URL: "http://c:1"}}
			e.streams["c:1"] = func(w *io.PipeWriter) {
				_, _ = io.WriteString(w, "data: {\"type\":\"HystrixCommand\",\"name\":\"pay\",\"requestCount\":100}\n\n")
			}
		})
		tb.Configure(TurbineConfig{AppConfig: Apps{"silent"}})
		time.Sleep(1100 * time.Millisecond)
		check("with the silent one", "silent", 100, 1)
		time.Sleep(10 * time.Second)
		check("after ten seconds", "silent", -1, 0)
		end(t, stop, ended)
	})
}

// A stream that broke is asked for again after 1, 2, 4, … 30 seconds, and sooner
// once it worked.
func TestTurbineConnectsAgain(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		e := newEstate()
		e.instances["a"] = []upstream.Addr{{URL: "http://a:1"}}
		tb := e.turbine(clusters, "a")
		ended := make(chan error, 1)
		go func() { ended <- tb.Run(ctx) }()
		dials := func() (n int) {
			synctest.Wait()
			e.set(func() { n = e.dials["a:1"] })
			return n
		}
		for _, tt := range []struct {
			after time.Duration // since the start
			want  int
		}{{0, 1}, {1, 2}, {3, 3}, {7, 4}, {15, 5}, {31, 6}, {61, 7}, {91, 8}, {120, 8}} {
			time.Sleep(time.Until(time.Unix(946684800, 0).Add(tt.after*time.Second + time.Millisecond)))
			if n := dials(); n != tt.want {
				t.Errorf("after %d s there were %d connects, want %d", tt.after, n, tt.want)
			}
		}
		e.set(func() {
			e.streams["a:1"] = func(w *io.PipeWriter) { _, _ = io.WriteString(w, "ping: \n\n"); _ = w.Close() }
		})
		time.Sleep(2 * time.Second)
		if n := dials(); n < 10 {
			t.Errorf("after a stream that worked there were %d connects", n)
		}
		end(t, stop, ended)
	})
}

// What a reader gets: everything at once, then what changes, all each five
// seconds, and signs of life each three.
func TestTurbineStream(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1, "auction")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		e := newEstate()
		e.instances["basket"] = []upstream.Addr{{URL: "http://a:1"}}
		e.streams["a:1"] = says("pay", 3)
		tb := e.turbine(clusters, "basket")
		ended := make(chan error, 1)
		go func() { ended <- tb.Run(ctx) }()
		synctest.Wait()
		r, w := io.Pipe()
		go func() {
			tb.ServeStream(&pipeWriter{PipeWriter: w}, httptest.NewRequestWithContext(ctx, http.MethodGet, "/turbine.stream", nil))
			_ = w.Close()
		}()
		began, seen := time.Now(), map[string][]int{}
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			at := int(time.Since(began).Seconds())
			if at > 11 {
				break
			}
			switch data, isData := strings.CutPrefix(lines.Text(), "data: "); {
			case isData:
				var o map[string]any
				if err := json.Unmarshal([]byte(data), &o); err != nil {
					t.Fatal(err)
				}
				if o["type"] == "meta" && o["reportingHostsLast10Seconds"] != 2.0 {
					t.Errorf("meta %v", o)
				}
				key := fmt.Sprint(o["type"], " ", o["name"])
				seen[key] = append(seen[key], at)
			case lines.Text() == ": ping":
				seen["ping"] = append(seen["ping"], at)
			}
		}
		want := map[string][]int{
			"HystrixCommand pay": {0, 5, 10}, "HystrixCommand auction": {0, 5, 10}, "HystrixThreadPool auction": {0, 5, 10},
			"meta meta": {0, 3, 6, 9}, "ping": {0, 3, 6, 9},
		}
		if !maps.EqualFunc(seen, want, slices.Equal[[]int]) {
			t.Errorf("seen at seconds %v, want %v", seen, want)
		}
		_ = r.Close()
		end(t, stop, ended)
	})
}

func TestTurbineSendsWhatChanged(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		e := newEstate()
		e.instances["a"] = []upstream.Addr{{URL: "http://a:1"}}
		e.streams["a:1"] = func(w *io.PipeWriter) {
			for n := 0; ; n++ {
				if _, err := fmt.Fprintf(w, "data: {\"type\":\"HystrixCommand\",\"name\":\"moves\",\"requestCount\":%d,\"currentTime\":%d}\n\n"+
					"data: {\"type\":\"HystrixCommand\",\"name\":\"stays\",\"currentTime\":%d}\n\n", n, n, n); err != nil {
					return
				}
				time.Sleep(700 * time.Millisecond)
			}
		}
		tb := e.turbine(clusters, "a")
		ended := make(chan error, 1)
		go func() { ended <- tb.Run(ctx) }()
		synctest.Wait()
		s := turbineReader{t: tb, cluster: "a", delay: time.Second}
		counts := map[string]int{}
		for range 5 {
			b := string(s.due(time.Now(), time.Second))
			counts["moves"] += strings.Count(b, `"name":"moves"`)
			counts["stays"] += strings.Count(b, `"name":"stays"`)
			time.Sleep(time.Second)
		}
		if counts["moves"] != 5 || counts["stays"] != 1 {
			t.Errorf("sent %v times", counts)
		}
		end(t, stop, ended)
	})
}

func TestTurbineHTTP(t *testing.T) {
	t.Parallel()
	tb := newEstate().turbine(named(t, 1, "auction"))
	tb.look(nil)
	get := func(serve http.HandlerFunc, url string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		serve(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
		return w
	}
	if w := get(tb.ServeStream, "/turbine.stream?cluster=nowhere"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "/clusters") {
		t.Errorf("unknown cluster: %d %s", w.Code, w.Body)
	}
	want := `[{"name":"default","link":"http://h:7070/turbine.stream?cluster=default"},{"name":"maru","link":"http://h:7070/turbine.stream?cluster=maru"}]` + "\n"
	if w := get(tb.ServeClusters, "http://h:7070/clusters"); w.Body.String() != want {
		t.Errorf("clusters: %s", w.Body)
	}
}

// A process that finds its own stream among the others leaves it out.
func TestTurbineLeavesItselfOut(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1, "auction")
	h := &Hystrix{Board: &Board{Recorder: new(telemetry.Recorder), Clusters: clusters}}
	server := httptest.NewServer(h)
	defer server.Close()
	read := func(self string) (*instance, error) {
		i := &instance{url: server.URL, kinds: h.known(), client: streamClient(), self: self, objects: make(map[identity]heard)}
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		return i, i.read(ctx)
	}
	if i, err := read(h.mark()); !errors.Is(err, errSelf) || len(i.objects) != 0 {
		t.Errorf("our own stream: %v, %d objects", err, len(i.objects))
	}
	if i, err := read("another"); err == nil || len(i.objects) != 2 {
		t.Errorf("another's stream: %v, %d objects", err, len(i.objects))
	}
}
