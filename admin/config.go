package admin

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/maru-msa/maru/diag"
)

// liveConfig is the answer of /v1/config.
type liveConfig struct {
	Version  int       `json:"version"`
	Hash     string    `json:"hash,omitempty"`
	LoadedAt time.Time `json:"loaded_at"`
	By       string    `json:"by"`
	TookMS   float64   `json:"took_ms"`
	// Warnings of the live configuration.
	Warnings []diag.Finding `json:"warnings,omitempty"`
	// LastError is the last attempt when it was refused, else null.
	LastError *refusedReload `json:"last_error"`
}

// refusedReload is an attempt that changed nothing.
type refusedReload struct {
	At       time.Time      `json:"at"`
	By       string         `json:"by"`
	Hash     string         `json:"hash,omitempty"`
	Detail   string         `json:"detail"`
	Findings []diag.Finding `json:"findings"`
}

func (a *API) config(w http.ResponseWriter, _ *http.Request) {
	live, last := a.Status.Live(), a.Status.Last()
	out := liveConfig{
		Version: live.Version, Hash: live.Hash, LoadedAt: live.At, By: live.By,
		TookMS: milliseconds(live.Took), Warnings: live.Findings,
	}
	if last.Refused() && !last.At.IsZero() {
		out.LastError = &refusedReload{last.At, last.By, last.Hash, last.why(), nonNil(last.Findings)}
	}
	answer(w, http.StatusOK, out)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// nonNil makes an empty list "[]" in JSON, not null.
func nonNil(f []diag.Finding) []diag.Finding {
	if f == nil {
		return []diag.Finding{}
	}
	return f
}

// why says in one line why an attempt was refused.
func (r *Reload) why() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	errs, _ := diag.Count(r.Findings)
	if errs == 1 {
		return "the configuration has 1 error"
	}
	return fmt.Sprintf("the configuration has %d errors", errs)
}

// reload loads the configuration again and tells how it went.
func (a *API) reload(w http.ResponseWriter, _ *http.Request) {
	if a.Reload == nil {
		refuse(w, http.StatusNotImplemented, "this process has no configuration file")
		return
	}
	r := a.Reload("api")
	if r.Refused() {
		refuse(w, http.StatusConflict, r.why()+"; the running configuration stays", r.Findings...)
		return
	}
	answer(w, http.StatusOK, liveConfig{
		Version: r.Version, Hash: r.Hash, LoadedAt: r.At, By: r.By, TookMS: milliseconds(r.Took), Warnings: r.Findings,
	})
}

// checked is the answer of /v1/check.
type checked struct {
	OK       bool           `json:"ok"`
	Errors   int            `json:"errors"`
	Warnings int            `json:"warnings"`
	Findings []diag.Finding `json:"findings"`
}

// maxCheck is the largest configuration text that is taken for a check.
const maxCheck = 64 << 20

func (a *API) check(w http.ResponseWriter, r *http.Request) {
	if a.Check == nil {
		refuse(w, http.StatusNotImplemented, "this process can't check configurations")
		return
	}
	findings := a.Check(io.LimitReader(http.MaxBytesReader(w, r.Body, maxCheck), maxCheck))
	errs, warnings := diag.Count(findings)
	answer(w, http.StatusOK, checked{errs == 0, errs, warnings, nonNil(findings)})
}
