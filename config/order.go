package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
)

// placed is a filter with its path in the file.
type placed struct {
	word string
	path string
}

func placedOf(path string, list []filter.Named) []placed {
	out := make([]placed, 0, len(list))
	for i, n := range list {
		out = append(out, placed{word: n.Word, path: diag.Index(path, i)})
	}
	return out
}

// orderRule says that no filter of outer may come before one of inner.
type orderRule struct {
	outer, inner []string
	text         string // of the later one; %[1]s is its word, %[2]s the earlier one's
	fix          string // in the place of "write the later before the earlier", with the same words
	blameEarlier bool   // the finding is about the earlier one
	warn         bool   // it works, but hardly as meant
}

// askers are the filters that decide who calls, or whether they may.
func askers() []string {
	return []string{"auth", "jwt", "apikey", "basic", "oidc", "introspect", "extauth", "authz", "acl"}
}

func orderRules() []orderRule {
	return []orderRule{
		{
			outer: askers(), inner: []string{"cors"},
			text: "%[1]s comes after %[2]s: a preflight carries no credentials, so %[2]s would refuse it",
		},
		{
			outer: []string{"cache", "coalesce"}, inner: append(askers(), "ip"), blameEarlier: true,
			text: "%[2]s comes before %[1]s: it would answer callers that %[1]s has not let in",
		},
		{
			outer: []string{"cache", "coalesce"}, inner: []string{"split"}, blameEarlier: true,
			text: "%[2]s comes before %[1]s: it would give the answers of one variant to all",
			fix:  "write %[2]s among the filters of the services that %[1]s names",
		},
		{
			outer: []string{"transform"}, inner: []string{"compress"},
			text: "%[1]s comes after %[2]s: %[2]s would see compressed bytes",
		},
		{
			outer: []string{"retry"}, inner: []string{"cache"},
			text: "%[1]s comes after %[2]s: each try would go through the cache again",
		},
		{
			outer: []string{"retry"}, inner: []string{"breaker"}, warn: true,
			text: "%[1]s comes after %[2]s: it judges each try in the place of what the client sees",
		},
		{
			outer: []string{"retry", "breaker"}, inner: []string{"fallback"}, warn: true,
			text: "%[1]s comes after %[2]s: it answers before %[2]s sees a failure",
		},
	}
}

// once are filters that make no sense twice on one way.
func once() []string {
	return []string{"cors", "compress", "cache", "request-id", "retry"}
}

// enders are filters that answer whatever comes: what stands behind them in the
// same list never runs.
func enders() []string { return []string{"respond", "split"} }

// order finds filters in an order that cannot work, on the way of each route:
// listener, global, the route's own, the service's.
func (w *whole) order() {
	f := w.file
	var fronts [][]placed
	for _, name := range slices.Sorted(maps.Keys(f.Listen)) {
		if l := f.Listen[name]; len(l.Filters) > 0 {
			fronts = append(fronts, placedOf("listen."+name+".filters", l.Filters))
		}
	}
	if fronts == nil {
		fronts = [][]placed{nil}
	}
	global := placedOf("filters", f.Filters)
	seen := make(map[[2]string]bool)
	for i := range f.Routes {
		r := &f.Routes[i]
		if plain := len(r.Filters) == 0 && len(f.Services[r.To].Filters) == 0; plain && i > 0 {
			continue // its way is that of the first one, or shorter
		}
		own := placedOf(diag.Index("routes", i)+".filters", r.Filters)
		service := placedOf("services."+r.To+".filters", f.Services[r.To].Filters)
		for _, front := range fronts {
			w.chain(slices.Concat(front, global, own, service), seen)
		}
	}
	if len(f.Routes) == 0 {
		for _, front := range fronts {
			w.chain(slices.Concat(front, global), seen)
		}
	}
}

// chain looks at one way; seen are the pairs that were told already.
func (w *whole) chain(chain []placed, seen map[[2]string]bool) {
	if len(chain) < 2 {
		return
	}
	rules := orderRules()
	for j, late := range chain {
		for _, early := range chain[:j] {
			pair := [2]string{early.path, late.path}
			if seen[pair] {
				continue
			}
			for _, r := range rules {
				if slices.Contains(r.outer, early.word) && slices.Contains(r.inner, late.word) {
					seen[pair] = true
					w.add(r.finding(early, late))
				}
			}
			if slices.Contains(enders(), early.word) && sameList(early.path, late.path) {
				seen[pair] = true
				w.add(diag.At(late.path, "%s comes after %s, which answers every request: it never runs", late.word, early.word).
					WithCode("order").WithRelated(early.path).WithFix("move it up, or remove it").AsWarning())
			}
			if early.word == late.word && slices.Contains(once(), late.word) {
				seen[pair] = true
				w.add(diag.At(late.path, "%s is on this way twice", late.word).WithCode("order").WithRelated(early.path).
					WithFix("keep the one that is nearer to the route").AsWarning())
			}
		}
	}
}

func (r orderRule) finding(early, late placed) *diag.FieldError {
	at, other := late, early
	if r.blameEarlier {
		at, other = early, late
	}
	fix := r.fix
	if fix == "" {
		fix = "write %[1]s before %[2]s"
	}
	e := diag.At(at.path, r.text, late.word, early.word).WithCode("order").WithRelated(other.path).
		WithFix(fix, late.word, early.word)
	if r.warn {
		return e.AsWarning()
	}
	return e
}

// sameList tells whether two filters stand in one list.
func sameList(a, b string) bool {
	return a[:strings.LastIndexByte(a, '[')] == b[:strings.LastIndexByte(b, '[')]
}
