package admin

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/maru-msa/maru/edge"
)

// maxQuery bounds the body of POST /v1/explain.
const maxQuery = 128 << 10

// explain tells which route takes a request and what happens then. Nothing is
// sent anywhere.
func (a *API) explain(w http.ResponseWriter, r *http.Request) {
	a.query(w, r, (*edge.Runtime).Explain)
}

// query answers with what a runtime says of a request.
func (a *API) query(w http.ResponseWriter, r *http.Request, ask func(*edge.Runtime, edge.ExplainQuery, func(string) string) (*edge.Explanation, error)) {
	rt := a.Server.Runtime()
	if rt == nil {
		refuse(w, http.StatusServiceUnavailable, "no configuration is live yet")
		return
	}
	var q edge.ExplainQuery
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuery))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		refuse(w, http.StatusBadRequest, "the body is no query: "+err.Error())
		return
	}
	if _, err := d.Token(); err != io.EOF {
		refuse(w, http.StatusBadRequest, "something follows the query")
		return
	}
	x, err := ask(rt, q, a.place())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, x)
}

// place is Place as edge wants it; nil when there is no file.
func (a *API) place() func(string) string {
	if a.Place == nil {
		return nil
	}
	return func(path string) string { return a.Place(path).String() }
}
