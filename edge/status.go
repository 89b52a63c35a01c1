package edge

import (
	"maps"
	"net"
	"slices"

	"github.com/maru-msa/maru/upstream"
)

// Services gives a snapshot of every service, by name.
func (rt *Runtime) Services() []upstream.Stats {
	out := make([]upstream.Stats, 0, len(rt.clusters))
	for _, name := range slices.Sorted(maps.Keys(rt.clusters)) {
		out = append(out, rt.clusters[name].Stats())
	}
	return out
}

// Clusters lists the services by name, for those who look often and at parts.
func (rt *Runtime) Clusters() []*upstream.Cluster {
	out := make([]*upstream.Cluster, 0, len(rt.clusters))
	for _, name := range slices.Sorted(maps.Keys(rt.clusters)) {
		out = append(out, rt.clusters[name].Cluster)
	}
	return out
}

// Cluster gives a service by its name; nil when there is none.
func (rt *Runtime) Cluster(name string) *upstream.Cluster {
	if c := rt.clusters[name]; c != nil {
		return c.Cluster
	}
	return nil
}

// Service gives a snapshot of one service; false when there is none.
func (rt *Runtime) Service(name string) (upstream.Stats, bool) {
	c := rt.clusters[name]
	if c == nil {
		return upstream.Stats{}, false
	}
	return c.Stats(), true
}

// Unfilled names the services whose endpoints were never known.
func (rt *Runtime) Unfilled() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(rt.clusters)) {
		select {
		case <-rt.clusters[name].Filled():
		default:
			out = append(out, name)
		}
	}
	return out
}

// RouteNames lists the names of the routes, in the order of the file.
func (rt *Runtime) RouteNames() []string {
	out := make([]string, len(rt.rules))
	for i := range rt.rules {
		out[i] = rt.rules[i].Name
	}
	return out
}

// ServiceNames lists the names of the services, sorted.
func (rt *Runtime) ServiceNames() []string { return slices.Sorted(maps.Keys(rt.clusters)) }

// ListenerStatus is one open listener at one moment.
type ListenerStatus struct {
	Name    string
	Address string   // as the configuration says
	Bound   net.Addr // as the system gave it
	Conns   int      // open TCP connections of the present engine
}

// Listeners lists the open listeners by name.
func (s *Server) Listeners() []ListenerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]ListenerStatus, 0, len(s.doors))
	for _, name := range slices.Sorted(maps.Keys(s.doors)) {
		d := s.doors[name]
		st := ListenerStatus{Name: name, Address: d.socket.addr, Bound: d.socket.ln.Addr()}
		if e := d.engine.Load(); e != nil {
			st.Conns = e.h1.Conns() // HTTP/2 without TLS included
			if e.front.Load().tls != nil {
				st.Conns += e.h2.count()
			}
		}
		out = append(out, st)
	}
	return out
}

// RouteTargets gives the service that each route leads to; routes that lead to
// none are left out.
func (rt *Runtime) RouteTargets() map[string]string {
	out := make(map[string]string, len(rt.rules))
	for i := range rt.rules {
		if e := rt.rules[i].Value; e.service != "" {
			out[e.name] = e.service
		}
	}
	return out
}
