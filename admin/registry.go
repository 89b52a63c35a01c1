package admin

import (
	"fmt"
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

// registryOverview shows the registry at one moment.
func (a *API) registryOverview(w http.ResponseWriter, _ *http.Request) {
	if g := a.running(); g != nil {
		answer(w, http.StatusOK, g.Overview())
		return
	}
	refuse(w, http.StatusNotFound, "this process has no registry")
}

// registryWatch streams the changes of the registry as server-sent events.
func (a *API) registryWatch(w http.ResponseWriter, r *http.Request) {
	if g := a.running(); g != nil {
		g.Watch(w, r)
		return
	}
	refuse(w, http.StatusNotFound, "this process has no registry")
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
