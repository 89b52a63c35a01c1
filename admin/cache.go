package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/maru-msa/maru/filter"
)

// purged is the answer of /v1/cache/purge.
type purged struct {
	// Purged counts the responses that were thrown out, or made stale.
	Purged int `json:"purged"`
	// Caches counts the caches that were asked.
	Caches int `json:"caches"`
}

// purger is a cache among what filters keep.
type purger interface {
	Purge(p filter.Purge, now time.Time) (int, error)
}

// purge throws responses out of all caches.
func (a *API) purge(w http.ResponseWriter, r *http.Request) {
	var p filter.Purge
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuery))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		refuse(w, http.StatusBadRequest, "the body is no purge: "+err.Error())
		return
	}
	rt := a.Server.Runtime()
	if rt == nil {
		refuse(w, http.StatusServiceUnavailable, "no configuration is live yet")
		return
	}
	var out purged
	var errs []error
	for _, kept := range rt.Kept() {
		cache, ok := kept.(purger)
		if !ok {
			continue
		}
		n, err := cache.Purge(p, time.Now())
		errs = append(errs, err)
		out.Purged += n
		out.Caches++
	}
	if err := errors.Join(errs...); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, out)
}
