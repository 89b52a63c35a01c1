package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/maru-msa/maru/upstream"
)

// routes lists the routes by precedence.
func (a *API) routes(w http.ResponseWriter, _ *http.Request) {
	rt := a.Server.Runtime()
	if rt == nil {
		refuse(w, http.StatusServiceUnavailable, "no configuration is live yet")
		return
	}
	answer(w, http.StatusOK, rt.RoutesInfo(a.place()))
}

// listenerRow is one listener of /v1/listeners.
type listenerRow struct {
	Name        string `json:"name"`
	Address     string `json:"address"`
	Bound       string `json:"bound"`
	Connections int    `json:"connections"`
}

func (a *API) listeners(w http.ResponseWriter, _ *http.Request) {
	rows := []listenerRow{}
	for _, l := range a.Server.Listeners() {
		rows = append(rows, listenerRow{l.Name, l.Address, l.Bound.String(), l.Conns})
	}
	answer(w, http.StatusOK, rows)
}

// serviceRow is one service of /v1/services; Endpoints are left out there.
type serviceRow struct {
	Name string `json:"name"`
	// Filled tells whether the endpoints were ever known.
	Filled bool `json:"filled"`
	// Up and Down count endpoints by state.
	Up       int `json:"up"`
	Down     int `json:"down"`
	InFlight int `json:"in_flight"`
	// Panic tells that too few endpoints are usable, so that ejections are ignored.
	Panic bool   `json:"panic,omitempty"`
	At    string `json:"at,omitempty"`

	Stale         *staleRow  `json:"stale_connections,omitempty"`
	LearnedIdleMS float64    `json:"learned_idle_ms,omitempty"`
	Overloaded    uint64     `json:"overloaded,omitempty"`
	NoEndpoint    uint64     `json:"no_endpoint,omitempty"`
	SourceError   string     `json:"source_error,omitempty"`
	SourceErrorAt *time.Time `json:"source_error_at,omitempty"`
	// SourceGoodAt is when the endpoints were last confirmed, SourceAge how many
	// seconds ago that was, while their source fails.
	SourceGoodAt *time.Time    `json:"source_good_at,omitempty"`
	SourceAge    float64       `json:"source_age_s,omitempty"`
	Guard        *guardRow     `json:"guard"`
	Endpoints    []endpointRow `json:"endpoints,omitempty"`
}

// staleRow counts pooled connections that turned out to be dead.
type staleRow struct {
	BeforeUse uint64 `json:"found_before_use"`
	Replaced  uint64 `json:"replaced"`
	Replayed  uint64 `json:"replayed"`
	Refused   uint64 `json:"refused"`
}

// endpointRow is one endpoint of /v1/services/{name}.
type endpointRow struct {
	Name        string            `json:"name"`
	URL         string            `json:"url"`
	Zone        string            `json:"zone,omitempty"`
	Weight      float64           `json:"weight"`
	Meta        map[string]string `json:"meta,omitempty"`
	State       string            `json:"state"`
	Why         string            `json:"why,omitempty"`
	Ejected     *ejectedRow       `json:"ejected,omitempty"`
	Check       *checkRow         `json:"check,omitempty"`
	InFlight    int               `json:"in_flight"`
	EWMAms      float64           `json:"ewma_ms"`
	Success     float64           `json:"success"`
	Connections int               `json:"connections"`
	Idle        int               `json:"idle"`
	Waiting     int               `json:"waiting"`
	Requests    uint64            `json:"requests"`
	Errors      uint64            `json:"errors"`
	LastError   string            `json:"last_error,omitempty"`
	LastErrorAt *time.Time        `json:"last_error_at,omitempty"`
}

// ejectedRow is why an endpoint is out for a time, with the numbers that led
// there. Times counts ejections in a row.
type ejectedRow struct {
	Kind   string    `json:"kind"`
	Detail string    `json:"detail"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"`
	Times  int       `json:"times"`
}

// checkRow is what active checks say of an endpoint.
type checkRow struct {
	State     string     `json:"state"`
	LastError string     `json:"last_error,omitempty"`
	At        *time.Time `json:"at,omitempty"`
}

// services lists the services without their endpoints.
func (a *API) services(w http.ResponseWriter, _ *http.Request) {
	rows := []serviceRow{}
	if rt := a.Server.Runtime(); rt != nil {
		stats := rt.Services()
		for i := range stats {
			row := a.serviceRow(&stats[i])
			row.Endpoints = nil
			rows = append(rows, row)
		}
	}
	answer(w, http.StatusOK, rows)
}

// service shows one service with the live state of its endpoints.
func (a *API) service(w http.ResponseWriter, r *http.Request) {
	if rt := a.Server.Runtime(); rt != nil {
		if s, ok := rt.Service(r.PathValue("name")); ok {
			answer(w, http.StatusOK, a.serviceRow(&s))
			return
		}
	}
	refuse(w, http.StatusNotFound, fmt.Sprintf("there is no service %q", r.PathValue("name")))
}

func (a *API) serviceRow(s *upstream.Stats) serviceRow {
	row := serviceRow{
		Guard: newGuardRow(&s.Guard),
		Name:  s.Name, Filled: s.Filled, Panic: s.Panic, Overloaded: s.Overloaded, NoEndpoint: s.NoEndpoint,
		LearnedIdleMS: milliseconds(s.LearnedIdle), SourceError: s.SourceError, SourceErrorAt: known(s.SourceErrorAt),
	}
	if s.SourceError != "" && !s.SourceGood.IsZero() {
		row.SourceGoodAt, row.SourceAge = known(s.SourceGood), time.Since(s.SourceGood).Seconds()
	}
	if a.Place != nil {
		row.At = a.Place("services." + s.Name).String()
	}
	if s.Dead+s.StaleFree+s.StaleReplayed+s.StalePost > 0 {
		row.Stale = &staleRow{s.Dead, s.StaleFree, s.StaleReplayed, s.StalePost}
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if e.State == upstream.Up {
			row.Up++
		} else {
			row.Down++
		}
		row.InFlight += e.InFlight
		row.Endpoints = append(row.Endpoints, rowOf(e))
	}
	return row
}

func rowOf(e *upstream.EndpointStats) endpointRow {
	row := endpointRow{
		Name: e.Name, URL: e.URL, Zone: e.Zone, Weight: e.Weight, Meta: e.Meta, State: e.State.String(), Why: e.Why,
		InFlight: e.InFlight, EWMAms: milliseconds(e.Latency), Success: e.Success,
		Connections: e.Conns, Idle: e.Idle, Waiting: e.Waiting, Requests: e.Requests, Errors: e.Errors,
		LastError: e.LastError, LastErrorAt: known(e.LastErrorAt),
	}
	if x := e.Ejected; x != nil {
		row.Ejected = &ejectedRow{x.Kind.String(), x.Detail, x.At, x.Until, x.Times}
	}
	if e.Check.State != "" {
		row.Check = &checkRow{e.Check.State, e.Check.LastError, known(e.Check.At)}
	}
	return row
}

// known leaves out a time that never was.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
