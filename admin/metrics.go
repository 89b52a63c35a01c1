package admin

import (
	"cmp"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/telemetry"
	"github.com/maru-msa/maru/upstream"
)

// metrics serves the Prometheus exposition. Labels are names of the
// configuration, methods, status classes and reasons: all bounded.
func (a *API) metrics() http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		own := a.families()
		rest, err := process.Gather()
		return append(own, rest...), err
	})
	return promhttp.HandlerFor(gather, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// families builds everything that maru itself counts. The registry of the
// Prometheus client would sort and check each series again: at 10,000 routes
// that is most of a scrape.
func (a *API) families() []*dto.MetricFamily {
	var e exposition
	a.own(&e)
	if a.Recorder != nil {
		s := a.Recorder.Snapshot()
		e.requests(&s)
	}
	if rt := a.Server.Runtime(); rt != nil {
		stats := rt.Services()
		e.services(stats)
		e.endpoints(stats)
		e.guards(stats)
		e.health(stats)
		e.caches(rt.Kept())
		e.contracts(rt.Kept())
	}
	a.streams(&e)
	if g := a.running(); g != nil {
		o := g.Overview()
		e.registry(&o)
	}
	slices.SortFunc(e.families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return e.families
}

// own is the state of the process.
func (a *API) own(e *exposition) {
	live, last := a.Status.Live(), a.Status.Last()
	e.gauge("maru_build_info", "Always 1; the labels say what runs.", "version", "go").add(1, a.Version, runtime.Version())
	e.gauge("maru_ready", "1 when the process should get traffic.").add(one(len(a.Status.Unready(a.Server.Runtime())) == 0))
	e.gauge("maru_config_version", "Number of the live configuration, from 1.").add(float64(live.Version))
	if !live.At.IsZero() {
		e.gauge("maru_config_loaded_timestamp_seconds", "When the live configuration was loaded.").add(float64(live.At.UnixMilli()) / 1000)
		e.gauge("maru_config_load_seconds", "How long loading the live configuration took.").add(live.Took.Seconds())
	}
	e.gauge("maru_config_last_reload_successful", "0 when the last attempt to load a configuration was refused.").add(one(!last.Refused()))
	reloads := e.counter("maru_config_reloads_total", "Attempts to load a configuration.", "by", "result")
	counts := a.Status.reloads()
	for _, kind := range slices.SortedFunc(maps.Keys(counts), reloadKind.compare) {
		reloads.add(float64(counts[kind]), kind.by, kind.result)
	}
	conns := e.gauge("maru_listener_connections", "Open client connections.", "listener")
	for _, l := range a.Server.Listeners() {
		conns.add(float64(l.Conns), l.Name)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// requests is what the recorder counted.
func (e *exposition) requests(s *telemetry.Snapshot) {
	requests := e.counter("maru_requests_total", "Exchanges by route, method and status class.", "route", "method", "class")
	sent := e.counter("maru_response_body_bytes_total", "Body bytes sent to clients.", "route")
	received := e.counter("maru_request_body_bytes_total", "Body bytes received from clients.", "route")
	for _, name := range slices.Sorted(maps.Keys(s.Routes)) {
		r := s.Routes[name]
		for _, m := range r.Requests {
			requests.add(float64(m.N), name, m.Method, m.Class)
		}
		if r.Sent > 0 {
			sent.add(float64(r.Sent), name)
		}
		if r.Received > 0 {
			received.add(float64(r.Received), name)
		}
	}
	calls := e.counter("maru_service_requests_total", "Exchanges for a service, refused ones included, by status class.", "service", "class")
	attempts := e.counter("maru_service_attempts_total", "Tries at a service's endpoints.", "service")
	duration := e.histogram("maru_service_duration_seconds", "From the end of the filters to the last byte.", "service")
	for _, name := range slices.Sorted(maps.Keys(s.Services)) {
		v := s.Services[name]
		if v.Attempts == 0 && v.Count == 0 && len(v.Classes) == 0 {
			continue
		}
		for _, class := range slices.Sorted(maps.Keys(v.Classes)) {
			calls.add(float64(v.Classes[class]), name, class)
		}
		attempts.add(float64(v.Attempts), name)
		duration.observe(&v, name)
	}
	reasons := e.counter("maru_problems_total", "Exchanges that did not simply succeed, by reason.", "reason")
	for _, name := range slices.Sorted(maps.Keys(s.Reasons)) {
		reasons.add(float64(s.Reasons[name]), name)
	}
	e.labelled("maru_http1_refused_total", "Messages and connections refused before they became a request.", s.Refused, "listener", "reason")
	e.labelled("maru_filter_total", "Events of filters.", s.Filters, "filter", "route", "reason")
	e.counter("maru_access_log_dropped_total", "Access log lines that did not fit or could not be written.").add(float64(s.LogDropped))
}

// services is what the clusters counted besides their endpoints.
func (e *exposition) services(stats []upstream.Stats) {
	events := e.counter("maru_service_events_total", "What went wrong on the way to a service, by kind.", "service", "event")
	source := e.counter("maru_service_source_errors_total", "Failed attempts to find a service's endpoints.", "service")
	age := e.gauge("maru_service_source_age_seconds", "How old a service's endpoints are while their source fails.", "service")
	for i := range stats {
		s := &stats[i]
		if s.SourceError != "" && !s.SourceGood.IsZero() {
			age.add(time.Since(s.SourceGood).Seconds(), s.Name)
		}
		for _, v := range [...]struct {
			name string
			n    uint64
		}{
			{"dead", s.Dead},
			{"failover", s.Failover},
			{"no_endpoint", s.NoEndpoint},
			{"overloaded", s.Overloaded},
			{"stale_free", s.StaleFree},
			{"stale_post", s.StalePost},
			{"stale_replayed", s.StaleReplayed},
		} {
			if v.n > 0 {
				events.add(float64(v.n), s.Name, v.name)
			}
		}
		if s.SourceErrors > 0 {
			source.add(float64(s.SourceErrors), s.Name)
		}
	}
}

// caches is what the response caches hold, all together.
func (e *exposition) caches(kept map[string]any) {
	var sum filter.CacheStats
	n := 0
	for _, k := range kept {
		if c, ok := k.(interface{ Stats() filter.CacheStats }); ok {
			s := c.Stats()
			sum.Entries, sum.Bytes, sum.Limit, n = sum.Entries+s.Entries, sum.Bytes+s.Bytes, sum.Limit+s.Limit, n+1
		}
	}
	if n == 0 {
		return
	}
	e.gauge("maru_cache_entries", "Responses in the caches.").add(float64(sum.Entries))
	e.gauge("maru_cache_bytes", "Memory that they take.").add(float64(sum.Bytes))
	e.gauge("maru_cache_limit_bytes", "Memory that they may take.").add(float64(sum.Limit))
}

// health is what was found out about the endpoints of each service.
func (e *exposition) health(stats []upstream.Stats) {
	ejections := e.counter("maru_endpoint_ejections_total", "Endpoints ejected, failed trials included, by kind.", "service", "kind")
	ejected := e.gauge("maru_endpoint_ejected", "Endpoints that are ejected.", "service")
	panicking := e.gauge("maru_endpoint_panic", "1 while too few endpoints are usable, so that ejections are ignored.", "service")
	checks := e.counter("maru_endpoint_checks_total", "Active checks of endpoints.", "service", "result")
	for i := range stats {
		s := &stats[i]
		if s.ChecksPassed+s.ChecksFailed > 0 {
			checks.add(float64(s.ChecksPassed), s.Name, "passed")
			checks.add(float64(s.ChecksFailed), s.Name, "failed")
		}
		out := 0
		for k := range s.Endpoints {
			if s.Endpoints[k].State == upstream.Ejected {
				out++
			}
		}
		for kind, n := range s.Ejections {
			if n > 0 {
				ejections.add(float64(n), s.Name, upstream.EjectionKind(kind).String())
			}
		}
		ejected.add(float64(out), s.Name)
		panicking.add(one(s.Panic), s.Name)
	}
}

// endpoints is the live state of every endpoint.
func (e *exposition) endpoints(stats []upstream.Stats) {
	labels := []string{"service", "endpoint"}
	up := e.gauge("maru_endpoint_up", "1 when the endpoint may be chosen.", labels...)
	busy := e.gauge("maru_endpoint_in_flight", "Exchanges under way.", labels...)
	open := e.gauge("maru_endpoint_connections", "Open connections.", labels...)
	idle := e.gauge("maru_endpoint_idle_connections", "Open connections that are not in use.", labels...)
	waiting := e.gauge("maru_endpoint_waiting", "Requests that wait for a connection.", labels...)
	requests := e.counter("maru_endpoint_requests_total", "Exchanges.", labels...)
	errs := e.counter("maru_endpoint_errors_total", "Exchanges that failed.", labels...)
	connects := e.counter("maru_endpoint_connects_total", "Connections made.", labels...)
	refused := e.counter("maru_endpoint_connect_failures_total", "Connections that could not be made.", labels...)
	late := e.counter("maru_endpoint_timeouts_total", "Time-outs.", labels...)
	for i := range stats {
		name := stats[i].Name
		for k := range stats[i].Endpoints {
			p := &stats[i].Endpoints[k]
			up.add(one(p.State == upstream.Up), name, p.Name)
			busy.add(float64(p.InFlight), name, p.Name)
			open.add(float64(p.Conns), name, p.Name)
			idle.add(float64(p.Idle), name, p.Name)
			waiting.add(float64(p.Waiting), name, p.Name)
			requests.add(float64(p.Requests), name, p.Name)
			errs.add(float64(p.Errors), name, p.Name)
			connects.add(float64(p.Connects), name, p.Name)
			refused.add(float64(p.Refused), name, p.Name)
			late.add(float64(p.TimeOuts), name, p.Name)
		}
	}
}
