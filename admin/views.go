package admin

import (
	"net/http"
	"strconv"

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

// viewsDocument describes the views to ?client= as OpenAPI.
func (a *API) viewsDocument(w http.ResponseWriter, r *http.Request) {
	rt := a.Server.Runtime()
	if rt == nil || rt.Graph() == nil {
		refuse(w, http.StatusNotFound, "there are no views")
		return
	}
	text, err := rt.Graph().OpenAPI(r.URL.Query().Get("client"), "Views", strconv.FormatUint(uint64(rt.Version), 10))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text) //nolint:gosec // JSON under its type; a caller that is gone is no error
}
