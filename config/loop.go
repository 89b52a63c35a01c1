package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/route"
)

// maxHops is how far a request is followed through maru's own listeners.
const maxHops = 8

// back is an endpoint of a service that is one of maru's own listeners.
type back struct {
	listener string
	path     string // of the endpoint in the file
	url      *url.URL
}

// loops finds routes whose requests come back to them: their service has an
// endpoint that is one of maru's own listeners, and what the filters leave of the
// request is routed to the same route again.
func (p *prover) loops(backs map[string][]back) {
	for i := range p.file.Routes {
		if backs[p.file.Routes[i].To] == nil {
			continue
		}
		ex := p.table.Reach(p.Prover, i)
		if ex == nil {
			continue
		}
		for _, b := range backs[p.file.Routes[i].To] {
			p.follow(i, ex, b, backs)
		}
	}
}

// allBacks lists, for each service that has any, the endpoints that are own
// listeners.
func (w *whole) allBacks() map[string][]back {
	all := make(map[string][]back)
	for _, name := range w.services() {
		if list := w.backs(name); list != nil {
			all[name] = list
		}
	}
	return all
}

// backs lists the endpoints of a service that are own listeners.
func (w *whole) backs(service string) []back {
	cfg := w.file.Services[service]
	paths, urls := []string{"services." + service}, []string{cfg.URL}
	for i, e := range cfg.URLs {
		paths, urls = append(paths, fmt.Sprintf("services.%s.urls[%d]", service, i)), append(urls, e.URL)
	}
	var out []back
	for i, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			continue
		}
		for name, l := range w.file.Listen {
			if own, ok := boundOf(l.Address, name == "public"); ok && own.reaches(u) {
				out = append(out, back{listener: name, path: paths[i], url: u})
			}
		}
	}
	return out
}

// reaches tells whether a URL leads to the address.
func (b bound) reaches(u *url.URL) bool {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != b.port {
		return false
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if host == "localhost" {
		return !b.host.IsValid() || b.host == loopback
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if a = a.Unmap(); a.IsUnspecified() {
		a = loopback
	}
	if !b.host.IsValid() {
		return a.IsLoopback()
	}
	return a == b.host
}

// follow sends an example of route i by an endpoint and through the tables until
// it leaves maru or comes back.
func (p *prover) follow(i int, ex *route.Example, by back, backs map[string][]back) {
	r := message.NewRequest()
	defer r.Release()
	ex.Fill(r)
	if r.X.Listener == "" {
		r.X.Listener = p.Listeners[0]
	}
	start, at, way := by, i, []string{p.nameOf(i)}
	for range maxHops {
		if !p.pass(at, r, by) {
			return
		}
		d, err := route.Canonical(r)
		if err != nil {
			return
		}
		next, verdict := p.table.Find(r, d)
		if verdict != route.Found {
			return
		}
		way = append(way, p.nameOf(next))
		if next == i {
			e := diag.At(fmt.Sprintf("routes[%d].to", i), "the service %s is this gateway's own listener %s, which sends the request to the same route again: %s",
				p.file.Routes[i].To, start.listener, strings.Join(way, " > ")).WithCode("loop").WithRelated(start.path).
				WithFix("write the address of the service itself")
			e.Example = ex.String()
			p.add(e)
			return
		}
		if at = next; backs[p.file.Routes[at].To] == nil {
			return
		}
		by = backs[p.file.Routes[at].To][0]
	}
}

// pass changes r as the filters of a route that change its target do, and makes
// it the request that the endpoint's listener gets. It is false when it does not
// get that far.
func (p *prover) pass(i int, r *message.Request, by back) bool {
	rc := &p.file.Routes[i]
	service := p.file.Services[rc.To]
	passed := false
	last := func(*message.Request) (*message.Response, error) {
		passed = true
		return message.NewResponse(204), nil
	}
	var chain []filter.Filter
	for _, n := range slices.Concat(p.file.Filters, rc.Filters, service.Filters) {
		if !slices.Contains([]string{"strip", "prefix", "rewrite", "redirect", "respond", "headers"}, n.Word) {
			continue
		}
		if f, err := n.Config.Filter(filter.Bare()); err == nil && f != nil {
			chain = append(chain, f)
		}
	}
	answer, err := filter.Chain(last, chain...)(r)
	if answer != nil {
		answer.Release()
	}
	if err != nil || !passed {
		return false
	}
	p.enter(r, service, by)
	return true
}

// enter makes r a request as it enters by a listener.
func (p *prover) enter(r *message.Request, service edge.ServiceConfig, by back) {
	r.Scheme, r.X.Listener, r.X.Client = by.url.Scheme, by.listener, netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch service.Host {
	case "", "client":
		return
	case "service":
		r.Authority = by.url.Host
	default:
		r.Authority = service.Host
	}
	r.Host = strings.ToLower(r.Authority)
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		r.Host = host
	}
}
