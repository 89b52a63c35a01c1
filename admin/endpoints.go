package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/maru-msa/maru/upstream"
)

// ejectedFor is how long an operator ejects an endpoint who says nothing else.
const ejectedFor = 30 * time.Second

// endpointPaths are what an operator may do with an endpoint of a service. Each
// answers the endpoint as it is afterwards.
func (a *API) endpointPaths(mux *http.ServeMux) {
	for action, do := range map[string]func(http.ResponseWriter, *http.Request, *upstream.Cluster, string){
		"eject": a.ejectEndpoint, "return": a.returnEndpoint, "drain": a.drainEndpoint, "weight": a.weighEndpoint,
	} {
		mux.HandleFunc("POST /v1/services/{name}/endpoints/{endpoint}/"+action, func(w http.ResponseWriter, r *http.Request) {
			if rt := a.Server.Runtime(); rt != nil {
				if c := rt.Cluster(r.PathValue("name")); c != nil {
					do(w, r, c, r.PathValue("endpoint"))
					return
				}
			}
			refuse(w, http.StatusNotFound, "there is no service "+r.PathValue("name"))
		})
	}
}

// ejectEndpoint takes an endpoint out of the choice for a time.
func (a *API) ejectEndpoint(w http.ResponseWriter, r *http.Request, c *upstream.Cluster, endpoint string) {
	var body struct {
		For string `json:"for"`
		Why string `json:"why"`
	}
	const fix = `write {"for": "30s"}`
	if !read(w, r, &body, fix) {
		return
	}
	d, err := ejectedFor, error(nil)
	if body.For != "" {
		if d, err = time.ParseDuration(body.For); err != nil {
			refuse(w, http.StatusBadRequest, "for is no time; "+fix)
			return
		}
	}
	if body.Why == "" {
		body.Why = "by an operator"
	}
	a.actOnEndpoint(w, r, c, "eject", c.Eject(endpoint, d, body.Why), slog.Duration("for", d), slog.String("why", body.Why))
}

// returnEndpoint ends an ejection or a drain.
func (a *API) returnEndpoint(w http.ResponseWriter, r *http.Request, c *upstream.Cluster, endpoint string) {
	a.actOnEndpoint(w, r, c, "return", c.Return(endpoint))
}

// drainEndpoint keeps new requests from an endpoint; those under way finish.
func (a *API) drainEndpoint(w http.ResponseWriter, r *http.Request, c *upstream.Cluster, endpoint string) {
	a.actOnEndpoint(w, r, c, "drain", c.Drain(endpoint))
}

// weighEndpoint gives an endpoint another weight; 0 gives it its source's again.
func (a *API) weighEndpoint(w http.ResponseWriter, r *http.Request, c *upstream.Cluster, endpoint string) {
	var body struct {
		Weight *int `json:"weight"`
	}
	const fix = `write {"weight": 5}`
	if !read(w, r, &body, fix) {
		return
	}
	if body.Weight == nil {
		refuse(w, http.StatusBadRequest, "weight is missing; "+fix)
		return
	}
	a.actOnEndpoint(w, r, c, "weight", c.SetWeight(endpoint, *body.Weight), slog.Int("weight", *body.Weight))
}

// actOnEndpoint notes what was done to an endpoint and answers it as it is now.
func (a *API) actOnEndpoint(w http.ResponseWriter, r *http.Request, c *upstream.Cluster, action string, err error, more ...slog.Attr) {
	endpoint := r.PathValue("endpoint")
	s, ok := c.EndpointStats(endpoint)
	switch {
	case errors.Is(err, upstream.ErrNoEndpoint), err == nil && !ok:
		refuse(w, http.StatusNotFound, "service "+c.Name()+" has no endpoint "+endpoint)
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	default:
		a.acted(r, action, append([]slog.Attr{slog.String("service", c.Name()), slog.String("endpoint", endpoint)}, more...)...)
		answer(w, http.StatusOK, rowOf(&s))
	}
}
