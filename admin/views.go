package admin

import (
	"net/http"

	"github.com/maru-msa/maru/edge"
)

// views lists the views with the plan of each client.
func (a *API) views(w http.ResponseWriter, _ *http.Request) {
	rt := a.Server.Runtime()
	if rt == nil {
		refuse(w, http.StatusServiceUnavailable, "no configuration is live yet")
		return
	}
	answer(w, http.StatusOK, rt.ViewsInfo(a.place()))
}

// runView explains a request and runs its view.
func (a *API) runView(w http.ResponseWriter, r *http.Request) {
	a.query(w, r, (*edge.Runtime).RunView)
}
