package admin

import "net/http"

// readyAnswer is the answer of /readyz and /healthz.
type readyAnswer struct {
	OK bool `json:"ok"`
	// Reasons say why not.
	Reasons []string `json:"reasons,omitempty"`
	// Registry says how the registry is; "" without one.
	Registry string `json:"registry,omitempty"`
}

// health tells that the process is alive: that it answers.
func (a *API) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, readyAnswer{OK: true})
}

// readiness tells whether the process should get traffic.
func (a *API) readiness(w http.ResponseWriter, _ *http.Request) {
	reasons := a.Status.Unready(a.Server.Runtime())
	line, open := a.registryLine()
	if !open {
		reasons = append(reasons, "registry: its peers have not told it anything yet")
	}
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, readyAnswer{OK: len(reasons) == 0, Reasons: reasons, Registry: line})
}

// drain starts the end of the process.
func (a *API) drain(w http.ResponseWriter, _ *http.Request) {
	if a.Drain == nil {
		refuse(w, http.StatusNotImplemented, "this process can't be drained from here")
		return
	}
	a.Drain()
	answer(w, http.StatusAccepted, struct {
		Draining bool `json:"draining"`
	}{true})
}
