package metrics

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// Every key of the specification's example, with a value of its kind.
func TestObjectsHaveAllKeys(t *testing.T) {
	t.Parallel()
	const latency = `{"0":0,"25":0,"50":0,"75":0,"90":0,"95":0,"99":0,"99.5":0,"100":0}`
	k := newKinds()
	for _, tt := range []struct {
		kind *kind
		want string
	}{
		{k.command, `{"type":"HystrixCommand","name":"auction","group":"","currentTime":0,"isCircuitBreakerOpen":false,"errorPercentage":0,"errorCount":0,
"requestCount":0,"rollingCountBadRequests":0,"rollingCountCollapsedRequests":0,"rollingCountEmit":0,"rollingCountExceptionsThrown":0,
"rollingCountFailure":0,"rollingCountFallbackEmit":0,"rollingCountFallbackFailure":0,"rollingCountFallbackMissing":0,"rollingCountFallbackRejection":0,
"rollingCountFallbackSuccess":0,"rollingCountResponsesFromCache":0,"rollingCountSemaphoreRejected":0,"rollingCountShortCircuited":0,
"rollingCountSuccess":0,"rollingCountThreadPoolRejected":0,"rollingCountTimeout":0,"currentConcurrentExecutionCount":0,
"rollingMaxConcurrentExecutionCount":0,"latencyExecute_mean":0,"latencyExecute":` + latency + `,
"latencyTotal_mean":0,"latencyTotal":` + latency + `,
"propertyValue_circuitBreakerRequestVolumeThreshold":0,"propertyValue_circuitBreakerSleepWindowInMilliseconds":0,
"propertyValue_circuitBreakerErrorThresholdPercentage":0,"propertyValue_circuitBreakerForceOpen":false,"propertyValue_circuitBreakerForceClosed":false,
"propertyValue_circuitBreakerEnabled":true,"propertyValue_executionIsolationStrategy":"THREAD",
"propertyValue_executionIsolationThreadTimeoutInMilliseconds":0,"propertyValue_executionTimeoutInMilliseconds":0,
"propertyValue_executionIsolationThreadInterruptOnTimeout":true,"propertyValue_executionIsolationThreadPoolKeyOverride":"",
"propertyValue_executionIsolationSemaphoreMaxConcurrentRequests":0,"propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests":0,
"propertyValue_metricsRollingStatisticalWindowInMilliseconds":0,"propertyValue_requestCacheEnabled":false,"propertyValue_requestLogEnabled":false,
"reportingHosts":1,"threadPool":""}`},
		{k.pool, `{"type":"HystrixThreadPool","name":"auction","currentTime":0,"currentActiveCount":0,"currentCompletedTaskCount":0,"currentCorePoolSize":0,
"currentLargestPoolSize":0,"currentMaximumPoolSize":0,"currentPoolSize":0,"currentQueueSize":0,"currentTaskCount":0,"rollingCountThreadsExecuted":0,
"rollingMaxActiveThreads":0,"rollingCountCommandRejections":0,"propertyValue_queueSizeRejectionThreshold":0,
"propertyValue_metricsRollingStatisticalWindowInMilliseconds":0,"reportingHosts":1}`},
		{k.collapser, `{"type":"HystrixCollapser","name":"auction","currentTime":0,"rollingCountRequestsBatched":0,"rollingCountBatches":0,
"rollingCountResponsesFromCache":0,"batchSize_mean":0,"batchSize":{"25":0,"50":0,"75":0,"90":0,"95":0,"99":0,"99.5":0,"100":0},
"propertyValue_requestCacheEnabled":false,"propertyValue_maxRequestsInBatch":0,"propertyValue_timerDelayInMilliseconds":0,
"propertyValue_rollingStatisticalWindowInMilliseconds":0,"reportingHosts":1}`},
	} {
		want := strings.ReplaceAll(tt.want, "\n", "")
		if got := string(tt.kind.object("auction").append(nil)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.kind.name, got, want)
		}
	}
}

// rows reads a stream's objects up to the next ping; the keys are "type name".
func rows(t *testing.T, lines *bufio.Scanner) map[string]map[string]any {
	t.Helper()
	out := make(map[string]map[string]any)
	for lines.Scan() {
		line := lines.Text()
		data, isData := strings.CutPrefix(line, "data: ")
		switch {
		case isData:
			var o map[string]any
			if err := json.Unmarshal([]byte(data), &o); err != nil {
				t.Fatalf("%v in %s", err, data)
			}
			out[fmt.Sprint(o["type"], " ", o["name"])] = o
		case line == "ping: ":
			return out
		case line != "":
			t.Fatalf("a line that is neither data nor ping: %q", line)
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return nil
}

// listen opens a stream in a bubble.
func listen(ctx context.Context, h http.Handler, url string) (*pipeWriter, *bufio.Scanner) {
	r, w := io.Pipe()
	p := &pipeWriter{PipeWriter: w}
	go func() {
		h.ServeHTTP(p, httptest.NewRequestWithContext(ctx, http.MethodGet, url, nil))
		_ = w.Close()
	}()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	return p, lines
}

// Every known service is there from the first tick on, with its pool; ticks come
// as asked; names are such as boards can take.
func TestHystrixStream(t *testing.T) {
	t.Parallel()
	clusters := named(t, 1, "auction", "reward", "a/b<c>", "a.b_c_")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		h := &Hystrix{Board: &Board{Recorder: new(telemetry.Recorder), Clusters: clusters}}
		p, lines := listen(ctx, h, "/hystrix.stream")
		first := rows(t, lines)
		keys := slices.Sorted(maps.Keys(first))
		if want := []string{
			"HystrixCommand a.b_c_", "HystrixCommand a_b_c_", "HystrixCommand auction", "HystrixCommand reward",
			"HystrixThreadPool a.b_c_", "HystrixThreadPool a_b_c_", "HystrixThreadPool auction", "HystrixThreadPool reward",
		}; !slices.Equal(keys, want) {
			t.Errorf("the first tick has %q", keys)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream;charset=UTF-8", "Pragma": "no-cache",
			"Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		rows(t, lines) // the wall clock's next half second
		for _, tt := range []struct {
			delay string
			want  time.Duration
		}{{"", 500 * time.Millisecond}, {"?delay=2000", 2 * time.Second}, {"?delay=1", 100 * time.Millisecond}, {"?delay=99999999", time.Minute}, {"?delay=x", 500 * time.Millisecond}} {
			_, lines := listen(ctx, h, "/hystrix.stream"+tt.delay)
			rows(t, lines)
			rows(t, lines)
			at := time.Now()
			rows(t, lines)
			if got := time.Since(at); got != tt.want {
				t.Errorf("%s: ticks are %v apart, want %v", tt.delay, got, tt.want)
			}
		}
		stop()
		synctest.Wait()
		if n := h.Readers().Open; n != 0 {
			t.Errorf("%d readers are left", n)
		}
	})
}

func TestNamesStayApart(t *testing.T) {
	t.Parallel()
	h := &Hystrix{Board: &Board{Recorder: new(telemetry.Recorder), Clusters: named(t, 1, "a#1", "a_1", "a/1")}}
	var names []string
	for _, o := range h.objects(time.Now(), false) {
		if !regexp.MustCompile(`^[A-Za-z0-9_.-]+$`).MatchString(o.name) {
			t.Errorf("name %q", o.name)
		}
		names = append(names, o.kind.name+" "+o.name)
	}
	if slices.Sort(names); len(slices.Compact(names)) != 6 {
		t.Errorf("names %q", names)
	}
}

// dashboard does with an object what the boards do (resilience §8.1).
type dashboard struct {
	rate, errorPercent float64
	label              string
	p99                float64
}

func compute(o map[string]any) dashboard {
	hosts := o["reportingHosts"].(float64)
	d := dashboard{
		rate:         o["requestCount"].(float64) / (o["propertyValue_metricsRollingStatisticalWindowInMilliseconds"].(float64) / 1000) / hosts,
		errorPercent: o["errorPercentage"].(float64) / hosts,
		p99:          o["latencyTotal"].(map[string]any)["99"].(float64) / hosts,
		label:        fmt.Sprint(o["isCircuitBreakerOpen"]),
	}
	open := math.NaN() // what JavaScript's == makes of it
	switch v := o["isCircuitBreakerOpen"].(type) {
	case bool:
		if open = 0; v {
			open = 1
		}
	case float64:
		open = v
	}
	switch open {
	case hosts:
		d.label = "Open"
	case 0:
		d.label = "Closed"
	}
	return d
}

// A board on our stream shows what happened: rate, errors, the breaker's label.
func TestBoardsArithmetic(t *testing.T) {
	t.Parallel()
	service := edgetest.NewService(t, func(request string) string {
		if strings.HasPrefix(request, "GET /broken") {
			return "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
		}
		return edgetest.OK
	})
	var rec telemetry.Recorder
	g := edgetest.StartWith(t, edgetest.Config(t, service.URL(), edge.ListenerConfig{}), func(env *edge.Env) {
		done := env.Done
		env.Done = func(r *message.Request, p *message.Response, err error) { rec.Done(r, p, err); done(r, p, err) }
	})
	name := g.Server.Runtime().ServiceNames()[0]
	var says []string
	for range 9 {
		says = append(says, "/fine", "/fine", "/broken")
	}
	for _, path := range says {
		g.Say("public", edgetest.Wire("GET "+path+" HTTP/1.1\nHost: a\nConnection: close\n\n"))
	}
	g.Done(len(says))
	b := &Board{Recorder: &rec, Clusters: g.Server.Runtime().Clusters}
	b.sample(time.Now())
	h := &Hystrix{Board: b}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_, lines := listen(ctx, h, "/hystrix.stream?by=route")
	all := rows(t, lines)
	command, pool := all["HystrixCommand "+name], all["HystrixThreadPool "+name]
	if command == nil || pool == nil {
		t.Fatalf("there are %v", slices.Sorted(maps.Keys(all)))
	}
	if d := compute(command); d.rate != 2.7 || d.errorPercent != 33 || d.label != "Closed" {
		t.Errorf("a board shows %+v of %v", d, command)
	}
	for key, want := range map[string]float64{
		"rollingCountSuccess": 18, "rollingCountFailure": 9, "rollingCountExceptionsThrown": 9, "rollingCountFallbackMissing": 9, "rollingCountTimeout": 0,
		"propertyValue_circuitBreakerRequestVolumeThreshold": 20, "propertyValue_circuitBreakerSleepWindowInMilliseconds": 2000,
		"propertyValue_circuitBreakerErrorThresholdPercentage": 50,
	} {
		if command[key] != want {
			t.Errorf("%s is %v, want %v", key, command[key], want)
		}
	}
	if pool["rollingCountThreadsExecuted"] != 27.0 || pool["currentCompletedTaskCount"] != 27.0 {
		t.Errorf("pool %v", pool)
	}
	route := all["HystrixCommand route."+safe(g.Server.Runtime().RouteNames()[0])]
	if route == nil {
		t.Fatalf("no route among %v", slices.Sorted(maps.Keys(all)))
	}
	if d := compute(route); d.rate != 2.7 || d.errorPercent != 33 {
		t.Errorf("a board shows %+v of the route", d)
	}
}

// What the filters did is told per service: fallbacks, cached answers, shared calls.
func TestFilterEventsReachTheCommand(t *testing.T) {
	t.Parallel()
	var rec telemetry.Recorder
	rec.Declare([]string{"r"}, []string{"s"})
	b := &Board{
		Recorder: &rec, Clusters: named(t, 1, "s"), Version: func() int { return 1 },
		Targets: func() map[string]string { return map[string]string{"r": "s"} },
	}
	b.sample(time.Unix(1_790_000_000, 0))
	for range 6 {
		record(&rec, "r", "s", 200, time.Millisecond)
	}
	for _, e := range []string{"fallback static", "fallback stale", "fallback failed", "cache collapsed", "cache collapsed", "cache collapsed", "cache collapsed", "cache hit", "cors preflight"} {
		filter, reason, _ := strings.Cut(e, " ")
		rec.Filter(filter, "r", reason)
	}
	rec.Filter("fallback", "service:s", "service")
	rec.Filter("fallback", "elsewhere", "service")
	b.sample(time.Unix(1_790_000_001, 0))
	if n := b.View().Services[0].Fallbacks; n != 3 {
		t.Errorf("the board has %d fallbacks", n)
	}
	h := &Hystrix{Board: b}
	var command, collapser *object
	for _, o := range h.objects(time.Now(), false) {
		switch o.kind.name {
		case "HystrixCommand":
			command = o
		case "HystrixCollapser":
			collapser = o
		}
	}
	for key, want := range map[string]int64{
		"rollingCountFallbackSuccess": 3, "rollingCountFallbackFailure": 1, "rollingCountResponsesFromCache": 1, "rollingCountCollapsedRequests": 4,
	} {
		if got := command.get(key); got != want {
			t.Errorf("%s is %d, want %d", key, got, want)
		}
	}
	if collapser == nil || collapser.get("rollingCountRequestsBatched") != 6 || collapser.get("rollingCountBatches") != 2 || collapser.get("batchSize_mean") != 3 {
		t.Errorf("collapser %+v", collapser)
	}
	for k := range 11 {
		b.sample(time.Unix(1_790_000_002+int64(k), 0))
	}
	for _, o := range h.objects(time.Now(), false) {
		if o.kind.name == "HystrixCollapser" || o.kind.name == "HystrixCommand" && o.get("rollingCountFallbackSuccess") != 0 {
			t.Errorf("ten seconds later there is %s", o.append(nil))
		}
	}
}

func TestHystrixRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	h := &Hystrix{Board: &Board{Recorder: new(telemetry.Recorder), Clusters: func() []*upstream.Cluster { return nil }}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hystrix.stream?by=zone", nil))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "by is route or service") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
