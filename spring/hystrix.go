package spring

import (
	"strings"
	"time"

	"github.com/maru-msa/maru/diag"
)

// hystrix reads commands and thread pools. A command of Zuul is a service; the
// command and the pool "default" are for all.
func (im *importer) hystrix() {
	root := im.set.root.get("hystrix")
	if root == nil {
		return
	}
	commands, pools := root.get("command"), root.get("threadpool")
	h := hystrixReader{importer: im, command: commands.get("default"), pool: pools.get("default")}
	called := 0
	for _, s := range im.draft.services {
		own, pool := commands.get(s.base), pools.get(s.base)
		if s.registry == "" && own == nil && pool == nil {
			continue // Zuul calls URLs without Hystrix
		}
		called++
		h.service(s, own, pool)
	}
	for _, n := range []*node{commands, pools} {
		for _, k := range n.keys() {
			switch {
			case canonical(k.name) == "default":
				if called == 0 {
					im.lost(k, "service", "write breaker, limit and the filter timeout at the services", "there is no service that these settings would be for")
				}
			case len(im.serviceNamed(k.name, nil)) == 0:
				im.lost(k, "service", "write breaker, limit and the filter timeout at the service that the command called", "no service is called %q", shorten(k.name))
			}
		}
	}
	im.note(root.get("shareSecurityContext"), "Java's own")
	im.note(root.get("metrics"), "the board of maru takes its numbers from maru itself")
}

// hystrixReader joins the settings of a command with those of all.
type hystrixReader struct {
	*importer

	command, pool *node // defaults

	own     *node // the command read now
	ownPool *node
}

// get gives a setting of the command, else that of all.
func (h *hystrixReader) get(names ...string) *node {
	if n := h.own.get(names...); n != nil {
		return n
	}
	return h.command.get(names...)
}

func (h *hystrixReader) fromPool(name string) *node {
	if n := h.ownPool.get(name); n != nil {
		return n
	}
	return h.pool.get(name)
}

// service writes what a command and its pool say of one service.
func (h *hystrixReader) service(s *service, own, pool *node) {
	h.own, h.ownPool = own, pool
	if args, e := h.breaker(); args != nil {
		s.set("breaker", *args, e.at, "hystrix.command", e.from...)
	}
	e := &element{}
	if total, ok := h.timeout(e); ok {
		var list []*step
		add(&list, "timeout", mapping(keyed("total", span(total))), e.at, "hystrix.command", e.from...)
		s.filters = append(list, s.filters...)
		h.room(s, total)
	}
	if args, e := h.bulkhead(); args != nil && s.has("limit") == nil {
		s.set("limit", *args, e.at, "hystrix", e.from...)
	}
	h.rest(own)
	h.rest(h.command)
}

// room lets calls take as long as the command may.
func (im *importer) room(s *service, total time.Duration) {
	const try, whole = 5 * time.Second, 15 * time.Second
	if total > try && s.has("try-timeout") == nil {
		s.widen(total)
	}
	for _, p := range im.draft.routes {
		if p.service == s && total > whole && p.timeout == "" {
			p.timeout = span(total).String()
		}
	}
}

// place remembers where an element came from.
func place(e *element, n *node) *node {
	if n != nil && e.at == nil {
		e.at = n
	}
	return n
}

func (h *hystrixReader) breaker() (*value, *element) {
	e := &element{}
	v := mapping(keyed("like", word("hystrix")))
	if n, ok := h.number(place(e, h.get("circuitBreaker", "requestVolumeThreshold")), e, 1, 100_000); ok {
		v = v.With("volume", number(n))
	}
	if n, ok := h.number(place(e, h.get("circuitBreaker", "errorThresholdPercentage")), e, 1, 100); ok {
		v = v.With("errors", number(n))
	}
	if n, ok := h.number(place(e, h.get("circuitBreaker", "sleepWindowInMilliseconds")), e, 1, 600_000); ok {
		v = v.With("open", span(time.Duration(n)*time.Millisecond))
	}
	mode := ""
	if on, ok := h.boolean(place(e, h.get("circuitBreaker", "enabled")), e); ok && !on {
		mode = "off"
	}
	if on, ok := h.boolean(place(e, h.get("circuitBreaker", "forceClosed")), e); ok && on {
		mode = "forced-closed"
	}
	if on, ok := h.boolean(place(e, h.get("circuitBreaker", "forceOpen")), e); ok && on {
		mode = "forced-open"
	}
	if mode != "" {
		v = v.With("mode", word(mode))
	}
	if e.at == nil {
		return nil, nil
	}
	return &v, e
}

func (h *hystrixReader) timeout(e *element) (time.Duration, bool) {
	n := h.get("execution", "isolation", "thread", "timeoutInMilliseconds")
	if n == nil {
		n = h.get("execution", "isolation", "thread", "timeout") // an old name
	}
	on, given := h.boolean(h.get("execution", "timeout", "enabled"), e)
	ms, ok := h.number(place(e, n), e, 1, 24*3600*1000)
	if given && !on || !ok {
		if len(e.from) > 0 {
			h.set.notes = append(h.set.notes, note{"hystrix: no time-out of the command; the route's stays (15 s unless it says otherwise)", e.from})
		}
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// bulkhead is the semaphore, or the thread pool with its queue.
func (h *hystrixReader) bulkhead() (*value, *element) {
	e := &element{}
	strategy, _ := h.take(h.get("execution", "isolation", "strategy"), e)
	semaphore := h.get("execution", "isolation", "semaphore", "maxConcurrentRequests")
	if strings.EqualFold(strategy, "SEMAPHORE") || semaphore != nil && h.fromPool("coreSize") == nil {
		limit := 10
		if n, ok := h.number(semaphore, e, 1, 1_000_000); ok {
			limit = n
		}
		if e.at = semaphore; e.at == nil {
			e.at = h.get("execution", "isolation", "strategy")
		}
		v := fixedLimit(limit, -1)
		return &v, e
	}
	keys := []string{"coreSize", "maximumSize", "maxQueueSize", "queueSizeRejectionThreshold", "allowMaximumSizeToDivergeFromCoreSize"}
	for _, k := range keys {
		place(e, h.fromPool(k))
	}
	if e.at == nil {
		h.draftNote(e, "hystrix: calls run where the request runs, bounded by the service's limit")
		return nil, nil
	}
	core, queue, threshold := 10, -1, 5
	if n, ok := h.number(h.fromPool("coreSize"), e, 1, 1_000_000); ok {
		core = n
	}
	most, given := h.number(h.fromPool("maximumSize"), e, 1, 1_000_000)
	if diverge, ok := h.boolean(h.fromPool("allowMaximumSizeToDivergeFromCoreSize"), e); ok && diverge && given {
		core = max(core, most)
	}
	if n, ok := h.number(h.fromPool("maxQueueSize"), e, -1, 1_000_000); ok {
		queue = n
	}
	if n, ok := h.number(h.fromPool("queueSizeRejectionThreshold"), e, 0, 1_000_000); ok {
		threshold = n
	}
	if queue = min(queue, threshold); queue <= 0 {
		queue = -1
	}
	v := fixedLimit(core, queue)
	return &v, e
}

// draftNote keeps settings that were taken for nothing.
func (im *importer) draftNote(e *element, why string) {
	if len(e.from) > 0 {
		im.set.notes = append(im.set.notes, note{why, e.from})
	}
}

// rest reads what a command has besides.
func (h *hystrixReader) rest(n *node) {
	if n == nil {
		return
	}
	if f := n.get("fallback"); f != nil && untold(f) {
		h.look(f, "fallback", "write the filter fallback before the breaker: docs/filters/fallback.md", "a fallback is a Java method there, and a filter here")
	}
	stats := n.get("metrics", "rollingStats")
	if ms := stats.get("timeInMilliseconds"); ms != nil && untold(ms) {
		if ms.value.text == "10000" {
			h.note(ms, "the breaker's window is 10 s, as here")
		} else {
			h.find(ms, diag.Warning, "window", "nothing, if 10 s are right as well", "the window of a breaker is 10 s in maru")
		}
	}
	h.note(n.get("metrics"), "the windows and histograms of maru are its own")
	for _, k := range []string{"requestCache", "requestLog", "collapser"} {
		h.note(n.get(k), "Java's own")
	}
	h.note(n.get("execution", "isolation", "thread"), "calls are cut off at their time")
	h.note(n.get("execution", "isolation", "semaphore"), "calls are bounded by the thread pool")
	h.note(h.ownPool.get("keepAliveTimeMinutes"), "maru has no threads to hold")
	h.note(h.pool.get("keepAliveTimeMinutes"), "maru has no threads to hold")
	h.note(h.ownPool.get("metrics"), "the windows of maru are its own")
	h.note(h.pool.get("metrics"), "the windows of maru are its own")
	h.note(n.get("threadPoolKeyOverride"), "a limit belongs to its service")
}

// untold tells whether something at or below a node was not told yet.
func untold(n *node) bool {
	out := false
	n.each(func(s *setting) { out = out || !s.told })
	return out
}
