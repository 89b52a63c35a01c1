package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/afex/hystrix-go/hystrix"

	"github.com/maru-msa/maru/metrics"
	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// followed is a turbine.stream over other programs' hystrix.streams.
type followed struct {
	t     *testing.T
	lines *bufio.Scanner
}

// follow adds up the streams of the addresses, which all serve them at the path.
func follow(t *testing.T, path string, urls ...string) *followed {
	t.Helper()
	none := func() []*upstream.Cluster { return nil }
	tb := &metrics.Turbine{
		Hystrix: &metrics.Hystrix{Board: &metrics.Board{Recorder: new(telemetry.Recorder), Clusters: none}},
		Instances: func(string) []upstream.Addr {
			var list []upstream.Addr
			for _, u := range urls {
				list = append(list, upstream.Addr{URL: u})
			}
			return list
		},
	}
	tb.Configure(metrics.TurbineConfig{AppConfig: metrics.Apps{"app"}, InstanceURLSuffix: metrics.Suffixes{"default": path}})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- tb.Run(ctx) }()
	server := httptest.NewServer(http.HandlerFunc(tb.ServeStream))
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(server.Close)
	until, give := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(give)
	req, err := http.NewRequestWithContext(until, http.MethodGet, server.URL+"/turbine.stream?delay=100", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return &followed{t, lines}
}

// await reads until a command satisfies ok.
func (f *followed) await(name string, ok func(map[string]any) bool) map[string]any {
	f.t.Helper()
	var last string
	for f.lines.Scan() {
		data, isData := strings.CutPrefix(f.lines.Text(), "data: ")
		var o map[string]any
		if !isData {
			continue
		}
		if err := json.Unmarshal([]byte(data), &o); err != nil {
			f.t.Fatalf("%v in %s", err, data)
		}
		if o["type"] == "HystrixCommand" && o["name"] == name {
			if last = data; ok(o) {
				return o
			}
		}
	}
	f.t.Fatalf("waited in vain for %s; last %s", name, last)
	return nil
}

func expect(t *testing.T, o map[string]any, want map[string]any) {
	t.Helper()
	for key, v := range want {
		if o[key] != v {
			t.Errorf("%s is %v, want %v", key, o[key], v)
		}
	}
}

// TestHystrixGo adds up the streams of hystrix-go, which lacks half of the keys:
// the same process behind two ports counts as two hosts.
func TestHystrixGo(t *testing.T) {
	hystrix.ConfigureCommand("charge", hystrix.CommandConfig{Timeout: 5000, RequestVolumeThreshold: 1000, ErrorPercentThreshold: 40})
	for i := range 12 {
		_ = hystrix.Do("charge", func() error {
			if i%4 == 0 {
				return errors.New("declined")
			}
			return nil
		}, nil)
	}
	handler := hystrix.NewStreamHandler()
	handler.Start()
	t.Cleanup(handler.Stop)
	var urls []string
	for range 2 {
		s := httptest.NewServer(handler)
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	o := follow(t, "/", urls...).await("charge", func(o map[string]any) bool {
		return o["reportingHosts"] == 2.0 && o["requestCount"] == 24.0
	})
	expect(t, o, map[string]any{
		"errorCount": 6.0, "errorPercentage": 50.0, "rollingCountSuccess": 18.0, "rollingCountFailure": 6.0, "isCircuitBreakerOpen": false,
		"propertyValue_circuitBreakerErrorThresholdPercentage": 40.0, "propertyValue_metricsRollingStatisticalWindowInMilliseconds": 10000.0,
		"rollingCountBadRequests": 0.0, "rollingCountThreadPoolRejected": 0.0, "threadPool": "",
	})
	if len(o) != 48 {
		t.Errorf("%d keys: boards want all of them", len(o))
	}
}

// nodeProgram serves the streams of hystrixjs and opossum-hystrix.
const nodeProgram = `
const http = require('http');
const hystrixjs = require('hystrixjs');
const Opossum = require('opossum');
const Stats = require('opossum-hystrix');
const command = hystrixjs.commandFactory.getOrCreate('charge', 'shop').run(ok => ok ? Promise.resolve(1) : Promise.reject(new Error('declined'))).build();
for (let i = 0; i < 12; i++) command.execute(i % 4 !== 0).catch(() => {});
const breaker = new Opossum(async ok => { if (!ok) throw new Error('declined'); }, { name: 'refund', group: 'shop', volumeThreshold: 1000, rollingCountTimeout: 60000, rollingCountBuckets: 60 });
const stats = new Stats([breaker]);
for (let i = 0; i < 12; i++) breaker.fire(i % 4 !== 0).catch(() => {});
const head = { 'Content-Type': 'text/event-stream;charset=UTF-8' };
http.createServer((req, res) => {
  res.writeHead(200, head);
  if (req.url === '/opossum') stats.getHystrixStream().pipe(res);
  else hystrixjs.hystrixSSEStream.toObservable(300).subscribe(d => res.write('data: ' + d + '\n\n'));
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
`

// nodeStreams starts a program with both, once npm has fetched them.
func nodeStreams(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("needs node and npm on the path")
		}
	}
	dir := t.TempDir()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir,
		"hystrixjs@0.2.0", "opossum@8.1.4", "opossum-hystrix@0.1.1", "rxjs@5.5.12")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm can't fetch the packages: %v\n%s", err, out)
	}
	program := filepath.Join(dir, "serve.js")
	if err := os.WriteFile(program, []byte(nodeProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", program)
	node.Dir, node.Stderr = dir, os.Stderr
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Wait() }) // it is killed when the test's context ends
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// TestNodeStreams adds up what the two packages for JavaScript send.
func TestNodeStreams(t *testing.T) {
	url := nodeStreams(t)
	o := follow(t, "hystrixjs", url).await("charge", func(o map[string]any) bool { return o["requestCount"] == 12.0 })
	expect(t, o, map[string]any{"group": "shop", "errorCount": 3.0, "errorPercentage": 25.0, "rollingCountSuccess": 9.0, "rollingCountFailure": 3.0, "reportingHosts": 1.0})
	o = follow(t, "opossum", url).await("refund", func(o map[string]any) bool { return o["requestCount"] == 12.0 })
	expect(t, o, map[string]any{
		"group": "shop", "errorCount": 3.0, "errorPercentage": 25.0, "rollingCountSuccess": 9.0, "isCircuitBreakerOpen": false,
		"propertyValue_executionIsolationThreadPoolKeyOverride": "", "reportingHosts": 1.0,
	})
}
