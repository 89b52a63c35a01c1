package admin

import (
	"cmp"
	"maps"
	"sync"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
)

// Reload is one attempt to make a configuration live.
type Reload struct {
	// At is when it began, Took how long it took until requests met it.
	At   time.Time
	Took time.Duration
	// By says what asked for it: "start", "signal", "file", "api".
	By string
	// Version of the configuration that went live; 0 when it was refused.
	Version int
	// Hash is the start of the file's SHA-256, "" without a file.
	Hash string
	// Findings are all that was found, warnings included.
	Findings []diag.Finding
	// Err is a fault without a place in the file, such as an address in use.
	Err error
}

// Refused tells whether the configuration did not go live.
func (r *Reload) Refused() bool { return r.Version == 0 }

// Status is what the process knows of its own state: which configuration is
// live, how the last reload went, whether it may get traffic. The zero value
// is "starting".
type Status struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	mu       sync.Mutex
	live     Reload
	last     Reload
	counts   map[reloadKind]uint64
	draining bool
	ready    bool // it was ready once: what comes later does not take that back
}

// reloadKind are the labels that reloads are counted under.
type reloadKind struct{ by, result string }

func (k reloadKind) compare(o reloadKind) int {
	return cmp.Or(cmp.Compare(k.by, o.by), cmp.Compare(k.result, o.result))
}

// Loaded notes how an attempt ended.
func (s *Status) Loaded(r Reload) { //nolint:gocritic // kept as a value
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = r
	kind := reloadKind{r.By, "refused"}
	if !r.Refused() {
		s.live = r
		kind.result = "live"
	}
	if s.counts == nil {
		s.counts = make(map[reloadKind]uint64)
	}
	s.counts[kind]++
}

// Warn notes warnings about a configuration that were found after it went live.
func (s *Status) Warn(version int, warnings []diag.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live.Version == version {
		s.live.Findings = warnings
	}
}

// Drain notes that the process is about to end: it is not ready from now on.
func (s *Status) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// Draining tells whether the process is about to end.
func (s *Status) Draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// Last is the last attempt, Live the one that serves. Both are zero before the
// first.
func (s *Status) Last() Reload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Live is the attempt whose configuration serves.
func (s *Status) Live() Reload {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// patience is how long a service whose endpoints are not known yet delays
// readiness.
const patience = 10 * time.Second

// Unready gives the reasons why the process must not get traffic yet, or any
// more; none means ready. rt is the Runtime that serves, nil before the first.
func (s *Status) Unready(rt *edge.Runtime) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return []string{"draining"}
	}
	if s.ready {
		return nil
	}
	if rt == nil || s.live.Version == 0 {
		return []string{"no configuration is live yet"}
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	var reasons []string
	if now().Sub(s.live.At) < patience {
		for _, name := range rt.Unfilled() {
			reasons = append(reasons, "service "+name+": its endpoints are not known yet")
		}
	}
	s.ready = len(reasons) == 0
	return reasons
}

// reloads gives the counts of attempts.
func (s *Status) reloads() map[reloadKind]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}
