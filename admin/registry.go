package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/maru-msa/maru/registry"
)

// running gives the registry of this process, or nil.
func (a *API) running() *registry.Registry {
	if a.Registry == nil {
		return nil
	}
	return a.Registry()
}

// withRegistry runs f with the registry of this process, or answers 404.
func (a *API) withRegistry(f func(http.ResponseWriter, *http.Request, *registry.Registry)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g := a.running(); g != nil {
			f(w, r, g)
			return
		}
		refuse(w, http.StatusNotFound, "this process has no registry")
	}
}

// registryPaths adds the paths of the registry.
func (a *API) registryPaths(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/registry", a.withRegistry(func(w http.ResponseWriter, _ *http.Request, g *registry.Registry) {
		answer(w, http.StatusOK, g.Overview())
	}))
	mux.HandleFunc("GET /v1/registry/watch", a.withRegistry(func(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
		g.Watch(w, r)
	}))
	mux.HandleFunc("GET /v1/registry/apps", a.withRegistry(func(w http.ResponseWriter, _ *http.Request, g *registry.Registry) {
		answer(w, http.StatusOK, g.Apps())
	}))
	mux.HandleFunc("GET /v1/registry/apps/{app}", a.withRegistry(registryApp))
	mux.HandleFunc("GET /v1/registry/apps/{app}/{id}", a.withRegistry(registryInstance))
	mux.HandleFunc("DELETE /v1/registry/apps/{app}/{id}", a.withRegistry(a.removeInstance))
	mux.HandleFunc("POST /v1/registry/apps/{app}/{id}/status", a.withRegistry(a.setInstanceStatus))
	mux.HandleFunc("DELETE /v1/registry/apps/{app}/{id}/status", a.withRegistry(a.clearInstanceStatus))
	mux.HandleFunc("POST /v1/registry/apps/{app}/{id}/drain", a.withRegistry(a.drainInstance))
	mux.HandleFunc("POST /v1/registry/apps/{app}/{id}/metadata", a.withRegistry(a.annotateInstance))
}

// registryApp lists the instances of an application.
func registryApp(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	v, ok := g.App(r.PathValue("app"))
	if !ok {
		refuse(w, http.StatusNotFound, "nothing is registered as "+r.PathValue("app"))
		return
	}
	answer(w, http.StatusOK, v)
}

// registryInstance shows a whole instance.
func registryInstance(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	v, err := g.Details(r.PathValue("app"), r.PathValue("id"))
	if err != nil {
		refuseInstance(w, r, err)
		return
	}
	answer(w, http.StatusOK, v)
}

// setInstanceStatus overrides the status of an instance.
func (a *API) setInstanceStatus(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	var body struct {
		Status string `json:"status"`
	}
	if !read(w, r, &body, `write {"status": "OUT_OF_SERVICE"}`) {
		return
	}
	a.actOn(w, r, g, "set status", g.SetStatus(r.PathValue("app"), r.PathValue("id"), body.Status), slog.String("status", body.Status))
}

// clearInstanceStatus removes the override; ?status= is what the instance shows
// until it reports another (default UP).
func (a *API) clearInstanceStatus(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	status := r.URL.Query().Get("status")
	a.actOn(w, r, g, "clear status", g.ClearStatus(r.PathValue("app"), r.PathValue("id"), status))
}

// drainInstance takes an instance out of traffic; what it has under way it ends.
func (a *API) drainInstance(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	a.actOn(w, r, g, "drain", g.SetStatus(r.PathValue("app"), r.PathValue("id"), registry.OutOfService.String()))
}

// annotateInstance adds metadata.
func (a *API) annotateInstance(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	var meta map[string]string
	if !read(w, r, &meta, `write {"zone": "a"}`) {
		return
	}
	keys := slices.Sorted(maps.Keys(meta))
	a.actOn(w, r, g, "add metadata", g.Annotate(r.PathValue("app"), r.PathValue("id"), meta), slog.Any("keys", keys))
}

// removeInstance ends a lease.
func (a *API) removeInstance(w http.ResponseWriter, r *http.Request, g *registry.Registry) {
	app, id := r.PathValue("app"), r.PathValue("id")
	was, err := g.Details(app, id)
	if err == nil {
		err = g.Remove(app, id)
	}
	if err != nil {
		refuseInstance(w, r, err)
		return
	}
	a.acted(r, "remove", slog.String("service", app), slog.String("instance", id))
	answer(w, http.StatusOK, was)
}

// actOn notes what was done to an instance and answers it as it is now.
func (a *API) actOn(w http.ResponseWriter, r *http.Request, g *registry.Registry, action string, err error, more ...slog.Attr) {
	app, id := r.PathValue("app"), r.PathValue("id")
	if err != nil {
		refuseInstance(w, r, err)
		return
	}
	a.acted(r, action, append([]slog.Attr{slog.String("service", app), slog.String("instance", id)}, more...)...)
	registryInstance(w, r, g)
}

// refuseInstance says why nothing was done to an instance.
func refuseInstance(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, registry.ErrUnknown) {
		refuse(w, http.StatusNotFound, r.PathValue("id")+" is not registered as an instance of "+r.PathValue("app"))
		return
	}
	refuse(w, http.StatusBadRequest, err.Error())
}

// registryLine says in one line how the registry is, and whether its listings
// may be read; without a registry it is "" and true.
func (a *API) registryLine() (line string, open bool) {
	g := a.running()
	if g == nil {
		return "", true
	}
	o := g.Overview()
	line = fmt.Sprintf("%d instances of %d services, %d renewals in the last minute", o.Instances, o.Applications, o.Renewals)
	if o.Protected {
		line += ", self-preservation"
	}
	return line, o.Open
}

// registry is the state of the registry.
func (e *exposition) registry(o *registry.Overview) {
	byStatus := e.gauge("maru_registry_instances", "Registered instances, by status.", "status")
	for _, status := range slices.Sorted(maps.Keys(o.ByStatus)) {
		byStatus.add(float64(o.ByStatus[status]), status)
	}
	e.gauge("maru_registry_services", "Names with at least one instance.").add(float64(o.Applications))
	e.gauge("maru_registry_open", "1 when listings may be read.").add(one(o.Open))
	e.gauge("maru_registry_renewals_last_minute", "Renewals of the last 60 seconds.").add(float64(o.Renewals))
	e.gauge("maru_registry_renewal_threshold", "Renewals a minute below which nobody is evicted.").add(float64(o.Threshold))
	e.gauge("maru_registry_self_preservation", "1 while too few renewals arrive for eviction.").add(one(o.Protected))
	e.gauge("maru_registry_watchers", "Open watches.").add(float64(o.Watchers))
	e.gauge("maru_registry_findings", "Registrations that want a look.").add(float64(len(o.Findings)))
	events := e.counter("maru_registry_events_total", "What happened to registrations, by kind.", "event")
	for _, name := range slices.Sorted(maps.Keys(o.Counts)) {
		events.add(float64(o.Counts[name]), name)
	}
	reached := e.gauge("maru_registry_peer_reached", "1 when the last batch to a peer got through.", "peer")
	waiting := e.gauge("maru_registry_peer_waiting", "Changes that wait to be sent to a peer.", "peer")
	for _, p := range o.Peers {
		reached.add(one(p.Reached), p.URL)
		waiting.add(float64(p.Waiting), p.URL)
	}
}
