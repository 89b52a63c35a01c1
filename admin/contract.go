package admin

import (
	"maps"
	"net/http"
	"slices"

	"github.com/maru-msa/maru/contract"
)

// drifted is the answer of /v1/contracts/drift.
type drifted struct {
	// Drift is what messages broke, the latest first.
	Drift []contract.Row `json:"drift"`
	// Checked is what was checked, by operation.
	Checked []checkedCount `json:"checked"`
}

// checkedCount is what was checked of one operation's requests or answers.
type checkedCount struct {
	Service   string            `json:"service"`
	Operation string            `json:"operation"`
	Direction string            `json:"direction"`
	Checked   uint64            `json:"checked"`
	Unchecked map[string]uint64 `json:"unchecked,omitempty"`
}

// driftOf finds the table among what filters keep; nil when nothing is checked.
func driftOf(kept map[string]any) *contract.Drift {
	for _, k := range kept {
		if d, ok := k.(*contract.Drift); ok {
			return d
		}
	}
	return nil
}

// drift lists what messages broke.
func (a *API) drift(w http.ResponseWriter, r *http.Request) {
	rt := a.Server.Runtime()
	if rt == nil {
		refuse(w, http.StatusServiceUnavailable, "no configuration is live yet")
		return
	}
	out := drifted{Drift: []contract.Row{}, Checked: []checkedCount{}}
	service := r.URL.Query().Get("service")
	if d := driftOf(rt.Kept()); d != nil {
		for _, row := range d.Rows() {
			if service == "" || row.Service == service {
				out.Drift = append(out.Drift, row)
			}
		}
		for _, c := range d.Counts() {
			if (service == "" || c.Service == service) && (c.Checked > 0 || c.Unchecked != nil) {
				out.Checked = append(out.Checked, checkedCount{c.Service, c.Operation, c.Direction, c.Checked, c.Unchecked})
			}
		}
	}
	answer(w, http.StatusOK, out)
}

// contracts is what was checked against contracts. The operations of the contracts
// bound the labels.
func (e *exposition) contracts(kept map[string]any) {
	d := driftOf(kept)
	if d == nil {
		return
	}
	checked := e.counter("maru_contract_checked_total", "Messages that were checked against a contract.", "service", "operation", "direction")
	broken := e.counter("maru_contract_violations_total", "Violations of contracts.", "service", "operation", "direction", "keyword")
	unchecked := e.counter("maru_contract_unchecked_total", "Messages, or bodies, that could not be checked.", "service", "operation", "direction", "reason")
	for _, c := range d.Counts() {
		checked.some(c.Checked, c.Service, c.Operation, c.Direction)
		for _, keyword := range slices.Sorted(maps.Keys(c.Violations)) {
			broken.add(float64(c.Violations[keyword]), c.Service, c.Operation, c.Direction, keyword)
		}
		for _, reason := range slices.Sorted(maps.Keys(c.Unchecked)) {
			unchecked.add(float64(c.Unchecked[reason]), c.Service, c.Operation, c.Direction, reason)
		}
	}
}
