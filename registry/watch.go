package registry

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/maru-msa/maru/upstream"
)

// Numbers of the watch (specification §11).
const (
	mostWatchers  = 10_000
	watchComment  = 15 * time.Second
	watchDeadline = 5 * time.Second // a watcher that takes nothing so long is cut
)

// event is the data of one event.
type event struct {
	Service  string       `json:"service"`
	Action   string       `json:"action"`
	Instance InstanceView `json:"instance"`
}

// watch streams changes as server-sent events: first all, then each change.
func (c *call) watch() { c.g.Watch(c.w, c.r) }

// Watch streams the changes of all services, or of those that ?service= names,
// as server-sent events until the client leaves or is too slow. The first event
// is "all", unless Last-Event-ID names a version that the change log still has.
// ?prefer=ip has URLs with addresses instead of host names.
func (g *Registry) Watch(w http.ResponseWriter, r *http.Request) {
	if !g.opened.Load() {
		w.WriteHeader(http.StatusForbidden) // as the listings
		return
	}
	if g.watchers.Add(1) > mostWatchers {
		g.watchers.Add(-1)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer g.watchers.Add(-1)
	s := &stream{g: g, w: w, out: http.NewResponseController(w), services: make(map[string]bool)}
	for _, name := range r.URL.Query()["service"] {
		s.services[strings.ToUpper(name)] = true
	}
	s.byIP = r.URL.Query().Get("prefer") == "ip"
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	s.version, _ = strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64) // 0: from the start
	comment := time.NewTicker(watchComment)
	defer comment.Stop()
	for {
		changed, err := s.catchUp()
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-comment.C:
			if s.send([]byte(":\n\n")) != nil {
				return
			}
		}
	}
}

// stream is one watcher.
type stream struct {
	g        *Registry
	w        http.ResponseWriter
	out      *http.ResponseController
	services map[string]bool // none means all
	byIP     bool
	version  uint64
}

// send writes within the deadline.
func (s *stream) send(b []byte) error {
	_ = s.out.SetWriteDeadline(time.Now().Add(watchDeadline)) // a recorder in tests has none
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.out.Flush()
}

// catchUp tells what happened since the last time and gives what is closed at
// the next change. Changes are read when they are written, so a slow watcher
// costs no memory.
func (s *stream) catchUp() (<-chan struct{}, error) {
	g := s.g
	g.mu.RLock()
	changed, version := g.changed, g.version
	list, ok := g.since(s.version)
	g.mu.RUnlock()
	var b []byte
	switch {
	case !ok || s.version == 0:
		b = s.all(version)
	default:
		for _, ch := range list {
			if len(s.services) == 0 || s.services[ch.App] {
				b = appendEvent(b, ch.version, "change", event{strings.ToLower(ch.App), ch.Action.String(), brief(ch.record, s.byIP)})
			}
		}
	}
	s.version = version
	if len(b) == 0 {
		return changed, nil
	}
	return changed, s.send(b)
}

// all is everything that is watched, in one event.
func (s *stream) all(version uint64) []byte {
	list := []event{}
	for _, app := range s.g.whole().apps {
		if len(s.services) > 0 && !s.services[app.name] {
			continue
		}
		for _, rec := range app.members {
			list = append(list, event{strings.ToLower(app.name), rec.Action.String(), brief(rec, s.byIP)})
		}
	}
	return appendEvent(nil, version, "all", list)
}

func appendEvent(b []byte, id uint64, name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		return b // strings and maps of strings always marshal
	}
	b = append(b, "id: "...)
	b = strconv.AppendUint(b, id, 10)
	b = append(append(b, "\nevent: "...), name...)
	b = append(append(b, "\ndata: "...), text...)
	return append(b, "\n\n"...)
}

// Follow tells set the endpoints of a service now and after each change, until
// ctx ends: instances that are UP, as package upstream takes them. It waits
// until the registry's listings are open. byIP prefers addresses to host names.
func (g *Registry) Follow(ctx context.Context, service string, byIP bool, set func([]upstream.Addr) error) error {
	name := strings.ToUpper(service)
	for first, before := true, (*application)(nil); ; {
		g.mu.RLock()
		app, changed := g.apps[name], g.changed
		g.mu.RUnlock()
		if !g.opened.Load() {
			if !pause(ctx, followPause) {
				return nil
			}
			continue
		}
		if first || app != before {
			if err := set(app.endpoints(byIP)); err != nil {
				g.env.Log.Warn("the endpoints of a service can't be used, those before stay", "service", service, "error", err)
			}
			first, before = false, app
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Endpoints gives the present endpoints of a service, as Follow does: none while
// the listings are not open yet.
func (g *Registry) Endpoints(service string, byIP bool) []upstream.Addr {
	g.mu.RLock()
	app := g.apps[strings.ToUpper(service)]
	g.mu.RUnlock()
	if !g.opened.Load() {
		return nil
	}
	return app.endpoints(byIP)
}

// followPause is how often a follower looks whether the listings are open yet.
const followPause = 50 * time.Millisecond

// endpoints are the instances that are UP.
func (a *application) endpoints(byIP bool) []upstream.Addr {
	list := []upstream.Addr{}
	if a == nil {
		return list
	}
	for _, rec := range a.members {
		if rec.Status != Up || !rec.callable(byIP) {
			continue
		}
		weight, _ := strconv.Atoi(rec.meta("weight")) // none counts as 1
		list = append(list, upstream.Addr{
			URL: rec.url(byIP), Zone: rec.Zone(), Weight: min(max(weight, 0), 1000), Meta: metaMap(rec.Meta),
		})
	}
	return list
}

// callable tells whether an address can be made of what the instance says: one
// that can't must not take the others with it.
func (in *Instance) callable(byIP bool) bool {
	port := in.Port
	if !port.Enabled {
		port = in.SecurePort
	}
	host := in.HostName
	if byIP || strings.EqualFold(in.meta("preferIpAddress"), "true") {
		host = in.IPAddr
	}
	good := strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") == ""
	return good && port.Enabled && port.Number > 0
}
