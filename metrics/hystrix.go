package metrics

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/resilience"
	"github.com/maru-msa/maru/upstream"
)

// Hystrix serves hystrix.stream: what this process knows of its services, as
// Hystrix 1.5 and its dashboards have it (resilience §8).
type Hystrix struct {
	// Board keeps what is shown of routes and filters; its Clusters are the
	// services.
	Board *Board

	once   sync.Once
	id     string // of this process
	kinds  *kinds
	mu     sync.Mutex
	frames [2]hystrixFrame // without and with routes

	seats seats
}

// hystrixFrame is what all readers of one moment get.
type hystrixFrame struct {
	at    time.Time
	bytes []byte
}

// Numbers of the stream.
const (
	usualDelay = 500 * time.Millisecond
	leastDelay = 100 * time.Millisecond
	mostDelay  = time.Minute
)

// delayOf reads ?delay=, milliseconds; text that is no number is no choice.
func delayOf(r *http.Request, usual time.Duration) time.Duration {
	n, err := strconv.ParseInt(r.URL.Query().Get("delay"), 10, 32)
	if err != nil {
		return usual
	}
	return min(max(time.Duration(n)*time.Millisecond, leastDelay), mostDelay)
}

// beat gives the moments at which a stream writes: multiples of its delay on the
// wall clock, so that those with the same delay share what they write.
type beat struct {
	delay time.Duration
	timer *time.Timer
}

func newBeat(delay time.Duration) *beat {
	b := &beat{delay: delay}
	b.timer = time.NewTimer(b.left())
	return b
}

func (b *beat) left() time.Duration {
	now := time.Now()
	return now.Truncate(b.delay).Add(b.delay).Sub(now)
}

// next waits; false says that the reader left.
func (b *beat) next(r *http.Request) bool {
	b.timer.Reset(b.left())
	select {
	case <-r.Context().Done():
		return false
	case <-b.timer.C:
		return true
	}
}

// markField names the process that a stream comes from: a process that finds its
// own among those it adds up leaves it out.
const markField = "X-Maru-Process"

func (s *Hystrix) prepare() {
	s.once.Do(func() { s.id, s.kinds = rand.Text(), newKinds() })
}

// mark is the value of markField.
func (s *Hystrix) mark() string {
	s.prepare()
	return s.id
}

// known are the kinds of objects.
func (s *Hystrix) known() *kinds {
	s.prepare()
	return s.kinds
}

// eventStream sets the fields of a stream as Hystrix has them.
func eventStream(h http.Header) {
	h.Set("Content-Type", "text/event-stream;charset=UTF-8")
	h.Set("Cache-Control", "no-cache, no-store, max-age=0, must-revalidate")
	h.Set("Pragma", "no-cache")
}

// ServeHTTP streams every service's objects each ?delay= milliseconds (100 to
// 60,000, 500 when it is left out), from the first moment on, then a ping.
// ?by=route adds the routes.
func (s *Hystrix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by := r.URL.Query().Get("by")
	if by != "" && by != "route" && by != "service" {
		refuse(w, problem.New(http.StatusBadRequest, "bad_parameter", "by is route or service"))
		return
	}
	if !s.seats.enter(w) {
		return
	}
	defer s.seats.leave()
	eventStream(w.Header())
	w.Header().Set(markField, s.mark())
	out := s.seats.open(w)
	beat := newBeat(delayOf(r, usualDelay))
	defer beat.timer.Stop()
	for ok := true; ok; ok = beat.next(r) {
		if !out.send(s.frame(by == "route", time.Now().Truncate(beat.delay))) {
			return
		}
	}
}

// frame gives what there is to say, no older than since.
func (s *Hystrix) frame(byRoute bool, since time.Time) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.frames[0]
	if byRoute {
		f = &s.frames[1]
	}
	if f.bytes != nil && !f.at.Before(since) {
		return f.bytes
	}
	f.at = time.Now()
	b := make([]byte, 0, len(f.bytes)+len(f.bytes)/8+64)
	for _, o := range s.objects(f.at, byRoute) {
		b = o.event(b)
	}
	f.bytes = append(b, "ping: \n\n"...)
	return f.bytes
}

// objects gives this process's own objects.
func (s *Hystrix) objects(now time.Time, byRoute bool) []*object {
	s.prepare()
	clusters := s.Board.Clusters()
	stats := make([]upstream.Stats, len(clusters))
	for i, c := range clusters {
		stats[i] = c.Stats()
	}
	b := s.Board
	b.mu.Lock()
	defer b.mu.Unlock()
	happened := b.happened()
	var out []*object
	for i := range stats {
		st := &stats[i]
		command := s.command(st, happened[st.Name], now)
		command.thrown(b.services[st.Name])
		if cfg, on := clusters[i].BreakerConfig(); on {
			command.breaker(&cfg)
		}
		out = append(out, command, s.pool(st, b.services[st.Name], now))
		if o := s.collapser(st.Name, happened[st.Name], now); o != nil {
			out = append(out, o)
		}
	}
	if byRoute {
		out = append(out, s.routes(now)...)
	}
	unique(out)
	return out
}

// unique tells apart names that became the same when they were made safe.
func unique(list []*object) {
	type identity struct {
		kind *kind
		name string
	}
	taken := make(map[identity]bool, len(list))
	for _, o := range list {
		name := o.name
		for n := 2; taken[identity{o.kind, o.name}]; n++ {
			o.name = name + "_" + strconv.Itoa(n)
		}
		taken[identity{o.kind, o.name}] = true
	}
}

func count[N int | uint64](n N) int64 { return int64(min(uint64(max(n, 0)), 1<<62)) }

// command is one service as a Hystrix command.
func (s *Hystrix) command(st *upstream.Stats, happened map[string]uint64, now time.Time) *object {
	o := s.kinds.command.object(st.Name)
	g := &st.Guard
	c := g.Counts
	o.set("currentTime", now.UnixMilli())
	o.say("group", "service")
	o.say("threadPool", o.name)
	o.say("propertyValue_executionIsolationThreadPoolKeyOverride", o.name)
	o.put("isCircuitBreakerOpen", strconv.FormatBool(g.Breaker.State != resilience.Closed || g.Breaker.Mode == resilience.ForcedOpen))
	o.set("errorPercentage", int64(c.ErrorPercent()))
	o.set("errorCount", count(c.Errors()))
	o.set("requestCount", count(c.Total()))
	o.set("rollingCountBadRequests", count(c.BadRequest+c.Cancelled))
	o.set("rollingCountFailure", count(c.Failure))
	o.set("rollingCountShortCircuited", count(c.ShortCircuited))
	o.set("rollingCountSuccess", count(c.Success))
	o.set("rollingCountThreadPoolRejected", count(c.Rejected))
	o.set("rollingCountTimeout", count(c.Timeout))
	o.set("rollingCountFallbackSuccess", count(happened["fallback static"]+happened["fallback service"]+happened["fallback stale"]))
	o.set("rollingCountFallbackFailure", count(happened["fallback failed"]))
	o.set("rollingCountFallbackRejection", count(happened["fallback full"]))
	o.set("rollingCountResponsesFromCache", count(happened["cache hit"]+happened["cache stale"]))
	o.set("rollingCountCollapsedRequests", count(happened["cache collapsed"]))
	o.set("currentConcurrentExecutionCount", count(g.InFlight))
	o.set("rollingMaxConcurrentExecutionCount", count(max(g.MaxInFlight, g.InFlight)))
	latency(o, "latencyExecute", &g.Execute)
	latency(o, "latencyTotal", &g.Latency)
	o.properties(g)
	return o
}

// thrown sets how many errors clients saw, and how many of them no fallback was
// tried for.
func (o *object) thrown(counted *series) {
	if counted == nil {
		return
	}
	_, errors := counted.window()
	thrown := count(errors)
	o.set("rollingCountExceptionsThrown", thrown)
	o.set("rollingCountFallbackMissing", max(thrown-o.get("rollingCountFallbackFailure")-o.get("rollingCountFallbackRejection"), 0))
}

// latency sets a map of percentiles and its mean, in milliseconds.
func latency(o *object, name string, l *resilience.LatencyStats) {
	var values [9]int64
	for i, d := range [...]time.Duration{l.P0, l.P25, l.P50, l.P75, l.P90, l.P95, l.P99, l.P995, l.P100} {
		values[i] = d.Round(time.Millisecond).Milliseconds()
	}
	o.set(name, values[:]...)
	o.set(name+"_mean", l.Mean.Round(time.Millisecond).Milliseconds())
}

// breaker sets what the service's breaker is made of.
func (o *object) breaker(cfg *resilience.BreakerConfig) {
	o.set("propertyValue_circuitBreakerRequestVolumeThreshold", count(cfg.Volume))
	o.set("propertyValue_circuitBreakerSleepWindowInMilliseconds", cfg.Open.Milliseconds())
	o.set("propertyValue_circuitBreakerErrorThresholdPercentage", count(cfg.ErrorPercent))
}

// What routes and filters have unless the file says otherwise.
const (
	usualTimeout  = 15000 // ms
	usualFallback = 10    // calls at once
)

// properties sets the settings that boards show.
func (o *object) properties(g *upstream.GuardStats) {
	const at = "propertyValue_"
	o.put(at+"circuitBreakerForceOpen", strconv.FormatBool(g.Breaker.Mode == resilience.ForcedOpen))
	o.put(at+"circuitBreakerForceClosed", strconv.FormatBool(g.Breaker.Mode == resilience.ForcedClosed))
	o.put(at+"circuitBreakerEnabled", strconv.FormatBool(!g.BreakerOff))
	o.set(at+"executionIsolationThreadTimeoutInMilliseconds", usualTimeout)
	o.set(at+"executionTimeoutInMilliseconds", usualTimeout)
	o.set(at+"executionIsolationSemaphoreMaxConcurrentRequests", count(g.Limit))
	o.set(at+"fallbackIsolationSemaphoreMaxConcurrentRequests", usualFallback)
	o.set(at+"metricsRollingStatisticalWindowInMilliseconds", window*1000)
}

// pool is one service's limit as a Hystrix thread pool.
func (s *Hystrix) pool(st *upstream.Stats, counted *series, now time.Time) *object {
	o := s.kinds.pool.object(st.Name)
	g := &st.Guard
	c := g.Counts
	active, done := count(g.InFlight), int64(0)
	if counted != nil {
		done = count(counted.last.Requests)
	}
	o.set("currentTime", now.UnixMilli())
	o.set("currentActiveCount", active)
	o.set("currentCompletedTaskCount", done)
	o.set("currentTaskCount", done+active)
	o.set("currentCorePoolSize", count(g.Limit))
	o.set("currentMaximumPoolSize", count(g.Limit))
	o.set("currentPoolSize", count(g.Limit))
	o.set("currentLargestPoolSize", count(max(g.Limit, g.MaxInFlight)))
	o.set("currentQueueSize", count(g.Waiting))
	o.set("rollingCountThreadsExecuted", count(c.Success+c.Failure+c.Timeout+c.BadRequest+c.Cancelled))
	o.set("rollingMaxActiveThreads", count(max(g.MaxInFlight, g.InFlight)))
	o.set("rollingCountCommandRejections", count(c.Rejected))
	o.set("propertyValue_queueSizeRejectionThreshold", count(g.Queue))
	o.set("propertyValue_metricsRollingStatisticalWindowInMilliseconds", window*1000)
	return o
}

// collapser tells of requests that shared a call; nil when none did.
func (s *Hystrix) collapser(name string, happened map[string]uint64, now time.Time) *object {
	shared := happened["cache collapsed"]
	if shared == 0 {
		return nil
	}
	o := s.kinds.collapser.object(name)
	requests := max(happened["batched"], shared+1)
	batches := requests - shared
	mean := count((requests + batches/2) / batches)
	o.set("currentTime", now.UnixMilli())
	o.set("rollingCountRequestsBatched", count(requests))
	o.set("rollingCountBatches", count(batches))
	o.set("rollingCountResponsesFromCache", count(happened["cache hit"]))
	o.set("batchSize_mean", mean)
	o.set("batchSize", mean, mean, mean, mean, mean, mean, mean, mean) // only the mean is known
	o.set("propertyValue_rollingStatisticalWindowInMilliseconds", window*1000)
	return o
}

// routes are the routes as commands of their own. Their latencies are not kept:
// they are zero. The caller has the board's lock.
func (s *Hystrix) routes(now time.Time) []*object {
	views := s.Board.routeViews()
	out := make([]*object, 0, len(views))
	for i := range views {
		v := &views[i]
		o := s.kinds.command.object("route." + v.Name)
		_, errors := s.Board.routes[v.Name].window()
		o.set("currentTime", now.UnixMilli())
		o.say("group", "route")
		o.say("threadPool", "route")
		o.set("requestCount", count(v.Requests))
		o.set("errorCount", count(errors))
		o.set("errorPercentage", count(errors*100/max(v.Requests, 1)))
		o.set("rollingCountSuccess", count(v.Requests-errors))
		o.set("rollingCountFailure", count(errors))
		o.set("rollingCountExceptionsThrown", count(errors))
		o.set("rollingCountFallbackMissing", count(errors))
		o.properties(&upstream.GuardStats{BreakerOff: true})
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *object) int { return cmp.Compare(a.name, b.name) })
	return out
}

// Readers tells of the stream's readers.
func (s *Hystrix) Readers() Readers { return s.seats.readers("hystrix") }
