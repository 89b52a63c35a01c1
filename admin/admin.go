// Package admin is the operator's API: health, metrics, what is live, and what
// an operator may ask for (reload, check, purge, drain).
//
// The flow: the process hands [API] what it may look at and do; [API.Handler]
// puts the paths behind one guard ([API.guard]): loopback or a bearer token, no
// foreign Host, nothing cross-site, POST for everything that changes something.
// [Status] is where the process notes how loading went and whether it drains,
// and from which readiness follows. Metrics are built from merged snapshots
// when somebody scrapes, never on the way of a request.
//
// It runs on net/http: nothing here is hot, and nothing here may slow the edge.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/metrics"
	"github.com/maru-msa/maru/registry"
	"github.com/maru-msa/maru/telemetry"
)

// API answers the operator. Server and Status must be set.
type API struct {
	// Server is the edge that is looked at.
	Server *edge.Server
	// Status is the process's own state.
	Status *Status
	// Registry gives the registry of this process; nil, or a nil result, means
	// that there is none.
	Registry func() *registry.Registry
	// Recorder holds the counters; nil shows none.
	Recorder *telemetry.Recorder
	// Board keeps the last minutes of what was counted; nil shows none.
	Board *metrics.Board
	// Hystrix serves the same to dashboards of Hystrix; nil turns it off.
	Hystrix *metrics.Hystrix
	// Turbine adds up the streams of others; nil turns it off.
	Turbine *metrics.Turbine
	// Reload loads the configuration again; nil means that there is nothing to
	// load.
	Reload func(by string) Reload
	// Check finds what is wrong with a configuration text without starting it;
	// nil turns the call off.
	Check func(text io.Reader) []diag.Finding
	// Place gives the place of a configuration path such as "routes[3]" in the
	// live file; nil means that there is no file.
	Place func(path string) diag.Position
	// Drain starts the process's end; nil turns the call off.
	Drain func()
	// Token gives the bearer token that callers must send, nil or "" when they
	// need none. Without a token only loopback peers are served.
	Token func() string
	// Console serves the pages under /console/, by paths relative to that; nil
	// means that there are none. It must answer GET and HEAD alike for everyone.
	Console http.Handler
	// Version of the program, for maru_build_info.
	Version string
	// Log is for operators; nil discards.
	Log *slog.Logger
}

// Handler gives the API with its guard around it.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.start)
	if a.Console != nil {
		mux.Handle("GET "+pagesAt, http.StripPrefix(strings.TrimSuffix(pagesAt, "/"), a.Console))
	}
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /readyz", a.readiness)
	mux.Handle("GET /metrics", a.metrics())
	mux.HandleFunc("GET /v1/config", a.config)
	mux.HandleFunc("POST /v1/config/reload", a.reload)
	mux.HandleFunc("POST /v1/check", a.check)
	mux.HandleFunc("GET /v1/routes", a.routes)
	mux.HandleFunc("POST /v1/explain", a.explain)
	mux.HandleFunc("GET /v1/views", a.views)
	mux.HandleFunc("POST /v1/views/run", a.runView)
	mux.HandleFunc("GET /views/openapi.json", a.viewsDocument)
	mux.HandleFunc("GET /v1/listeners", a.listeners)
	mux.HandleFunc("GET /v1/services", a.services)
	mux.HandleFunc("GET /v1/services/{name}", a.service)
	a.endpointPaths(mux)
	mux.HandleFunc("POST /v1/services/{name}/breaker", a.setBreakerMode)
	a.registryPaths(mux)
	mux.HandleFunc("POST /v1/cache/purge", a.purge)
	mux.HandleFunc("GET /v1/contracts/drift", a.drift)
	mux.HandleFunc("POST /v1/drain", a.drain)
	a.boards(mux)
	profiles(mux)
	return a.guard(mux)
}

// index lists what there is, for whoever asks the address itself.
func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, `maru admin

GET  /console/            the console, for browsers
GET  /healthz             alive
GET  /readyz              ready for traffic, or why not
GET  /metrics             Prometheus
GET  /v1/config           version, hash, last error
POST /v1/config/reload    load the file again
POST /v1/check            find what is wrong with the configuration in the body
GET  /v1/routes           the routes, by precedence
POST /v1/explain          which route takes a request, and why: {"method", "url", "headers", "client", "listener"}
GET  /v1/views            the views: the plan of each client, with latencies; /views/openapi.json describes them
POST /v1/views/run        explain a request and run its view, with times: the query of /v1/explain
GET  /v1/listeners        the listeners
GET  /v1/services         the services; /v1/services/NAME with endpoints
POST /v1/services/NAME/breaker   {"mode"}: auto, forced-open, forced-closed, observe
POST /v1/services/NAME/endpoints/HOST:PORT/ACTION   eject {"for"}, return, drain, weight {"weight"}
GET  /v1/board            requests, errors and latency now, by service and route; /v1/board/stream streams it
GET  /hystrix.stream      the services as dashboards of Hystrix read them
GET  /turbine.stream      the streams of registered instances and this one added up: ?cluster= of /clusters
GET  /v1/registry         the registry: counts, leases, peers; /v1/registry/watch streams changes
GET  /v1/registry/apps    its services; /v1/registry/apps/NAME with instances, /v1/registry/apps/NAME/ID whole
POST /v1/registry/apps/NAME/ID/drain      take it out of traffic; the same with /status {"status"}; DELETE of /status ends both
POST /v1/registry/apps/NAME/ID/metadata   add metadata: {"zone": "a"}; DELETE of /v1/registry/apps/NAME/ID removes it
POST /v1/cache/purge      throw responses out: {"url"}, {"prefix"}, {"tag"} or {"all": true}; "soft" makes them stale
GET  /v1/contracts/drift  what messages broke of the contracts of their services, the latest first: ?service= of one
POST /v1/drain            drain and end
GET  /debug/pprof/        profiles
`)
}

// Serve answers on ln until ctx ends; requests under way get a second then.
func (a *API) Serve(ctx context.Context, ln net.Listener) error {
	log := a.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      5 * time.Minute, // profiles take the time that is asked for
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the admin API: %w", err)
	case <-ctx.Done():
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	if s.Shutdown(end) != nil {
		_ = s.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the admin API: %w", err)
	}
	return nil
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the caller is gone
}

// refusal is a problem document (RFC 9457) of this API.
type refusal struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail"`
	Findings []diag.Finding `json:"findings,omitempty"`
}

// refuse writes a problem document.
func refuse(w http.ResponseWriter, status int, detail string, findings ...diag.Finding) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal{"about:blank", http.StatusText(status), status, detail, findings}) // the caller is gone
}
