package registry

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
)

// model is the registry as §8.2 to §8.4 of the specification tell it, with
// nothing but two maps: what the real one does is compared with it.
type model struct {
	instances map[key]modelled
	overrides map[key]Status
}

type modelled struct {
	Status, Overridden Status
	Dirty              int64
	Host               string
}

// rule is the status that is served (§8.3).
func (m *model) rule(k key, reported Status, existing *modelled, replication bool) Status {
	live := func(s Status) bool { return s == Up || s == OutOfService }
	o, overridden := m.overrides[k]
	switch {
	case !live(reported):
		return reported
	case overridden:
		return o
	case !replication && existing != nil && live(existing.Status):
		return existing.Status
	}
	return reported
}

func (m *model) register(k key, in modelled, replication bool) {
	var existing *modelled
	if old, ok := m.instances[k]; ok {
		if existing = &old; old.Dirty > in.Dirty {
			in = old
		}
	}
	if _, ok := m.overrides[k]; !ok && in.Overridden != Unknown {
		m.overrides[k] = in.Overridden
	}
	if o, ok := m.overrides[k]; ok {
		in.Overridden = o
	}
	in.Status = m.rule(k, in.Status, existing, replication)
	m.instances[k] = in
}

func (m *model) renew(k key, dirty int64, replication bool) int {
	in, ok := m.instances[k]
	if !ok {
		return http.StatusNotFound
	}
	served := m.rule(k, in.Status, nil, true)
	if served == Unknown {
		return http.StatusNotFound
	}
	in.Status = served
	m.instances[k] = in
	switch {
	case dirty > in.Dirty:
		return http.StatusNotFound
	case dirty != 0 && dirty < in.Dirty && replication:
		return http.StatusConflict
	}
	return http.StatusOK
}

func (m *model) cancel(k key) bool {
	_, ok := m.instances[k]
	delete(m.instances, k)
	if ok {
		delete(m.overrides, k)
	}
	return ok
}

func (m *model) set(k key, value Status, dirty int64) bool {
	in, ok := m.instances[k]
	if ok && in.Status != value {
		m.overrides[k] = value
		m.instances[k] = modelled{value, value, max(in.Dirty, dirty), in.Host}
	}
	return ok
}

func (m *model) clear(k key, value Status, dirty int64) bool {
	in, ok := m.instances[k]
	if _, set := m.overrides[k]; ok && set {
		delete(m.overrides, k)
		m.instances[k] = modelled{value, Unknown, max(in.Dirty, dirty), in.Host}
	}
	return ok
}

// listed is what a client reads of a registry.
func listed(t *testing.T, g *Registry) map[key]modelled {
	t.Helper()
	list, err := decodeListing([]byte(get(t, g, "/eureka/apps")))
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[key]modelled)
	for i := range list {
		in := list[i].instance(0)
		out[in.key()] = modelled{in.Status, in.Overridden, in.Dirty, in.HostName}
	}
	return out
}

// After any operations, in any order, the registry answers and lists what the
// model does.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		g, m := New(Config{}, Env{}), &model{make(map[key]modelled), make(map[key]Status)}
		g.opened.Store(true)
		random := rand.New(rand.NewPCG(seed, 11))
		for step := range 300 {
			k := key{fmt.Sprint("APP", random.IntN(3)), fmt.Sprint("i", random.IntN(4))}
			status, dirty, replication := Status(random.IntN(int(statuses))), int64(random.IntN(4)), random.IntN(3) == 0
			var got, want any
			var did string
			switch op := random.IntN(12); {
			case op < 4:
				in := sample(k.app, k.id)
				in.Status, in.Dirty, in.HostName = status, 1+dirty, fmt.Sprint("h", step)
				if random.IntN(5) == 0 {
					in.Overridden = OutOfService
				}
				did = fmt.Sprint("register ", status, in.Overridden, in.Dirty)
				m.register(k, modelled{in.Status, in.Overridden, in.Dirty, in.HostName}, replication)
				got, want = g.register(in, replication), error(nil)
			case op < 8:
				did = fmt.Sprint("renew ", dirty)
				code, _ := g.renew(k, renewal{dirty: dirty, replication: replication})
				got, want = code, m.renew(k, dirty, replication)
			case op == 8:
				did = "cancel"
				got, want = g.cancel(k, replication), m.cancel(k)
			case op == 9:
				did = fmt.Sprint("clear to ", status)
				got, want = g.clearStatus(k, status, dirty, replication), m.clear(k, status, dirty)
			default:
				did = fmt.Sprint("set ", status)
				got, want = g.setStatus(k, status, dirty, replication), m.set(k, status, dirty)
			}
			if got != want {
				t.Fatalf("seed %d, step %d: %s of %v gives %v, not %v", seed, step, did, k, got, want)
			}
			if a, b := fmt.Sprint(listed(t, g)), fmt.Sprint(m.instances); a != b {
				t.Fatalf("seed %d, step %d: after %s of %v it lists\n%s\nnot\n%s", seed, step, did, k, a, b)
			}
		}
		if len(g.overrides) != len(m.overrides) {
			t.Errorf("seed %d: %d overrides, not %d", seed, len(g.overrides), len(m.overrides))
		}
	}
}
