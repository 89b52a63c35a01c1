package admin

import (
	"log/slog"
	"net/http"

	"github.com/maru-msa/maru/resilience"
)

// breakerRow is a breaker after an operator's action.
type breakerRow struct {
	State  string `json:"state"`
	Mode   string `json:"mode"`
	Opened uint64 `json:"opened"`
}

// setBreakerMode lets a breaker decide by itself again, or not: it is held open or
// closed, or only observes.
func (a *API) setBreakerMode(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	rt := a.Server.Runtime()
	if rt == nil || rt.Cluster(name) == nil {
		refuse(w, http.StatusNotFound, "there is no service "+name)
		return
	}
	var body struct {
		Mode string `json:"mode"`
	}
	const fix = `write {"mode": "auto"}, or "forced-open", "forced-closed" or "observe"`
	if !read(w, r, &body, fix) {
		return
	}
	mode, ok := resilience.ParseMode(body.Mode)
	if !ok {
		refuse(w, http.StatusBadRequest, "that is no mode of a breaker; "+fix)
		return
	}
	c := rt.Cluster(name)
	if !c.SetBreakerMode(mode) {
		refuse(w, http.StatusConflict, "service "+name+" has no breaker: the file turns it off")
		return
	}
	a.acted(r, "breaker", slog.String("service", name), slog.String("mode", mode.String()))
	s := c.Stats().Guard.Breaker
	answer(w, http.StatusOK, breakerRow{s.State.String(), s.Mode.String(), s.Opened})
}
