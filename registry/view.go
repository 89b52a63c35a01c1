package registry

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Overview is the registry at one moment, for operators.
type Overview struct {
	Version      uint64            `json:"version"`
	Open         bool              `json:"open"`
	Applications int               `json:"applications"`
	Instances    int               `json:"instances"`
	ByStatus     map[string]int    `json:"by_status"`
	Hash         string            `json:"hash"`
	Renewals     uint64            `json:"renewals_last_minute"`
	Threshold    int               `json:"renewal_threshold"`
	Protected    bool              `json:"self_preservation"`
	Watchers     int64             `json:"watchers"`
	Peers        []PeerView        `json:"peers,omitempty"`
	Counts       map[string]uint64 `json:"counts"`
	Findings     []Finding         `json:"findings,omitempty"`
}

// PeerView is a peer at one moment.
type PeerView struct {
	URL     string `json:"url"`
	Reached bool   `json:"reached"`
	Maru    bool   `json:"maru"`
	Waiting int    `json:"waiting"`
}

// Overview takes a snapshot.
func (g *Registry) Overview() Overview {
	g.mu.RLock()
	defer g.mu.RUnlock()
	t := &g.totals
	o := Overview{
		Version: g.version, Open: g.opened.Load(), Applications: len(g.apps), Instances: len(g.records),
		ByStatus: make(map[string]int), Hash: hash(&g.counts), Renewals: g.guard.lastMin, Threshold: g.threshold(),
		Protected: g.guard.active, Watchers: g.watchers.Load(),
		Counts: map[string]uint64{
			"renewed": g.renewals.Load(), "registered": t.registered.Load(), "cancelled": t.cancelled.Load(),
			"evicted": t.evicted.Load(), "unknown": t.unknown.Load(), "refused": t.refused.Load(), "skewed": t.skewed.Load(),
			"damaged": t.damaged.Load(), "replicated": t.replicated.Load(), "dropped": t.dropped.Load(),
			"throttled": t.throttled.Load(), "denied": t.denied.Load(),
		},
	}
	for s, n := range g.counts {
		if n > 0 {
			o.ByStatus[Status(s).String()] = n
		}
	}
	if peers := g.peers.Load(); peers != nil {
		for _, p := range *peers {
			o.Peers = append(o.Peers, PeerView{redacted(p.url), p.reached.Load(), !p.foreign.Load(), p.waiting()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.findings)) {
		o.Findings = append(o.Findings, g.findings[name])
	}
	return o
}

// AppsView is every application at one moment.
type AppsView struct {
	Version uint64     `json:"version"`
	Apps    []AppCount `json:"services"`
}

// AppCount is how many instances one application has.
type AppCount struct {
	Name  string `json:"name"`
	Up    int    `json:"up"`
	Total int    `json:"total"`
}

// AppView is one application with its instances.
type AppView struct {
	Version   uint64         `json:"version"`
	Name      string         `json:"name"`
	Instances []InstanceView `json:"instances"`
}

// InstanceView is one instance of the plain view. The times and Why are not in
// what the watch tells.
type InstanceView struct {
	ID       string            `json:"id"`
	URL      string            `json:"url"`
	Status   string            `json:"status"`
	Override string            `json:"override,omitempty"` // the status that was set from outside
	Zone     string            `json:"zone,omitempty"`
	Meta     map[string]string `json:"metadata,omitempty"`
	Renewed  *time.Time        `json:"last_renewal,omitempty"`
	Deadline *time.Time        `json:"lease_deadline,omitempty"`
	Why      string            `json:"why,omitempty"`
}

// view answers /registry/v1/.
func (c *call) view(s []string) {
	switch {
	case len(s) == 1 && s[0] == "services":
		c.methods(map[string]func(){http.MethodGet: func() { c.plain(c.g.Apps()) }})
	case len(s) == 2 && s[0] == "services":
		c.methods(map[string]func(){http.MethodGet: func() {
			v, ok := c.g.App(s[1])
			c.shown(v, ok)
		}})
	case len(s) == 1 && s[0] == "health":
		c.methods(map[string]func(){http.MethodGet: func() { c.plain(c.g.Overview()) }})
	case len(s) == 1 && s[0] == "watch":
		c.methods(map[string]func(){http.MethodGet: c.watch})
	default:
		c.empty(http.StatusNotFound)
	}
}

// plain answers v as JSON.
func (c *call) plain(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		c.empty(http.StatusInternalServerError)
		return
	}
	c.write("application/json", append(b, '\n'), c.gzipped() && len(b) > worthPacking)
}

// shown answers v as JSON, or 404.
func (c *call) shown(v any, found bool) {
	if !found {
		c.empty(http.StatusNotFound)
		return
	}
	c.plain(v)
}

// Apps lists every application with how many instances it has.
func (g *Registry) Apps() AppsView {
	g.mu.RLock()
	version := g.version
	g.mu.RUnlock()
	list := []AppCount{}
	for _, app := range g.whole().apps {
		v := AppCount{Name: strings.ToLower(app.name), Total: len(app.members)}
		for _, rec := range app.members {
			if rec.Status == Up {
				v.Up++
			}
		}
		list = append(list, v)
	}
	return AppsView{version, list}
}

// App lists the instances of an application, which may be written in any case;
// false when there is none.
func (g *Registry) App(name string) (AppView, bool) {
	g.mu.RLock()
	app, version := g.apps[strings.ToUpper(name)], g.version
	g.mu.RUnlock()
	if app == nil {
		return AppView{}, false
	}
	list := make([]InstanceView, 0, len(app.members))
	for _, rec := range app.members {
		list = append(list, g.full(rec))
	}
	return AppView{version, strings.ToLower(app.name), list}, true
}

// brief is an instance as the watch tells it; without a URL when none can be made.
func brief(rec *record, byIP bool) InstanceView {
	v := InstanceView{ID: rec.ID, Status: rec.Status.String(), Zone: rec.Zone()}
	if rec.callable(byIP) {
		v.URL = rec.url(byIP)
	}
	if len(rec.Meta) > 0 {
		v.Meta = metaMap(rec.Meta)
	}
	return v
}

// full adds the lease and why the instance gets traffic or not.
func (g *Registry) full(rec *record) InstanceView {
	v := brief(rec, false)
	renewed := time.UnixMilli(rec.lease.wall.Load()).UTC()
	deadline := g.env.Now().Add(rec.lease.deadline(g.doubled()) - g.env.Elapsed()).UTC()
	v.Renewed, v.Deadline = &renewed, &deadline
	switch {
	case rec.Overridden != Unknown:
		v.Override = rec.Overridden.String()
		v.Why = "the status was set to " + rec.Overridden.String() + " from outside"
	case rec.Status == Up:
		v.Why = "it reports UP"
	case rec.Status == OutOfService:
		v.Why = "it registered as OUT_OF_SERVICE: that stays until it registers otherwise or the override is deleted"
	case rec.Status == Unknown:
		v.Why = "its override was deleted; it registers again at its next renewal"
	default:
		v.Why = "it reports " + rec.Status.String()
	}
	return v
}

func metaMap(list []Pair) map[string]string {
	m := make(map[string]string, len(list))
	for _, p := range list {
		m[p.Key] = p.Value
	}
	return m
}

// url is where the instance is called; by IP address when it is preferred.
func (in *Instance) url(byIP bool) string {
	scheme, port, host := "http", in.Port, in.HostName
	if !port.Enabled && in.SecurePort.Enabled {
		scheme, port = "https", in.SecurePort
	}
	if byIP || strings.EqualFold(in.meta("preferIpAddress"), "true") {
		host = in.IPAddr
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port.Number))
}

// Zone is where the instance runs: its metadata zone, else what Amazon tells of
// the machine; "" when neither is there.
func (in *Instance) Zone() string {
	if z := in.meta("zone"); z != "" {
		return z
	}
	for _, p := range in.DataCenter.Meta {
		if p.Key == "availability-zone" {
			return p.Value
		}
	}
	return ""
}

// overrides answers the map of set statuses, by instance id.
func (c *call) overrides() {
	c.g.mu.RLock()
	m := make(map[string]string, len(c.g.overrides))
	for k, o := range c.g.overrides {
		m[k.id] = o.status.String()
	}
	c.g.mu.RUnlock()
	c.plain(m)
}

// info answers StatusInfo (specification §3).
func (c *call) info() {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	general := []Pair{
		{"environment", "test"},
		{"num-of-cpus", strconv.Itoa(runtime.NumCPU())},
		{"total-avail-memory", strconv.FormatUint(mem.Sys>>20, 10) + "mb"},
		{"current-memory-usage", strconv.FormatUint(mem.HeapAlloc>>20, 10) + "mb"},
		{"server-uptime", c.g.env.Now().Sub(c.g.started).Truncate(time.Second).String()},
	}
	var all, up, down []string
	for _, p := range c.g.Overview().Peers {
		all = append(all, p.URL)
		if p.Reached {
			up = append(up, p.URL)
		} else {
			down = append(down, p.URL)
		}
	}
	stats := []Pair{
		{"registered-replicas", strings.Join(all, ",")},
		{"available-replicas", strings.Join(up, ",")},
		{"unavailable-replicas", strings.Join(down, ",")},
	}
	if c.wantsJSON() {
		c.plain(map[string]any{"generalStats": metaMap(general), "applicationStats": metaMap(stats)})
		return
	}
	w := xmlWriter{[]byte("<com.netflix.eureka.util.StatusInfo>")}
	for _, part := range []struct {
		name string
		list []Pair
	}{{"generalStats", general}, {"applicationStats", stats}} {
		w.raw("<" + part.name + ">")
		for _, p := range part.list {
			w.text(p.Key, p.Value)
		}
		w.raw("</" + part.name + ">")
	}
	w.raw("</com.netflix.eureka.util.StatusInfo>")
	c.write("application/xml", w.b, false)
}

// page leads whoever opens the address in a browser to the console, or shows a
// table.
func (c *call) page() {
	h := c.w.Header()
	if c.g.env.Console != nil {
		if to := c.g.env.Console(c.r); to != "" {
			h.Set("Location", to)
			c.empty(http.StatusFound)
			return
		}
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	var b strings.Builder
	o := c.g.Overview()
	fmt.Fprintf(&b, "<!doctype html><html lang=en><meta charset=utf-8><title>maru registry</title>"+
		"<style>body{font:1rem system-ui;margin:2rem}td,th{text-align:left;padding:.2rem 1rem .2rem 0}</style>"+
		"<h1>maru registry</h1><p>%d instances of %d services; self-preservation: %t</p>"+
		"<table><tr><th>Service<th>Instance<th>Status<th>URL", o.Instances, o.Applications, o.Protected)
	rows := 0
	for _, app := range c.g.whole().apps {
		for _, rec := range app.members {
			if rows++; rows <= mostRows {
				fmt.Fprintf(&b, "<tr><td>%s<td>%s<td>%s<td>%s", html.EscapeString(app.name), html.EscapeString(rec.ID),
					rec.Status, html.EscapeString(rec.url(false)))
			}
		}
	}
	b.WriteString("</table>")
	if rows > mostRows {
		fmt.Fprintf(&b, "<p>and %d more", rows-mostRows)
	}
	_, _ = io.WriteString(c.w, b.String()) // the client is gone
}

// mostRows is how many instances the page shows.
const mostRows = 1000
