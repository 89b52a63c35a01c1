package spring

import (
	"strconv"
	"strings"
	"time"
)

// instance is a named part of resilience4j with what it inherits: its own
// settings, those of the config that it names, those of the config "default".
type instance struct {
	own, base, byDefault *node
}

func (i instance) get(key string) *node {
	for _, n := range []*node{i.own, i.base, i.byDefault} {
		if x := n.get(key); x != nil {
			return x
		}
	}
	return nil
}

// instanceOf finds an instance of a kind: circuitbreaker, timelimiter and so on.
func (im *importer) instanceOf(kind, name string, e *element) instance {
	root := im.set.root.get("resilience4j", kind)
	instances := root.get("instances")
	if instances == nil {
		instances = root.get("backends") // the name before 1.1
	}
	i := instance{own: instances.get(name), byDefault: root.get("configs", "default")}
	if base := i.own.get("base-config"); base != nil {
		if t, ok := im.take(base, e); ok {
			if i.base = root.get("configs", t); i.base == nil {
				im.lost(base, "config", "write one of those under configs", "there is no config %q", shorten(t))
			}
		}
	}
	return i
}

// breakerArgs gives the breaker of a name, the time limiter's time, and the
// settings that said so. What is not said has resilience4j's defaults, written out.
func (im *importer) breakerArgs(name string) (value, time.Duration, []*setting) {
	e := &element{}
	i := im.instanceOf("circuitbreaker", name, e)
	if i.own != nil {
		e.at = i.own
	}
	v := mapping()
	whole := func(key, to string, least, most, byDefault int) {
		n, ok := im.number(i.get(key), e, least, most)
		if !ok {
			n = byDefault
		}
		v = v.With(to, number(n))
	}
	timed := func(key, to string, byDefault time.Duration) {
		d, ok := im.duration(i.get(key), e)
		if !ok || d <= 0 {
			d = byDefault
		}
		v = v.With(to, span(min(d, 10*time.Minute)))
	}
	whole("minimum-number-of-calls", "volume", 1, 100_000, 100)
	percent := func(key, to string, byDefault int) {
		n := byDefault
		if t, ok := im.take(i.get(key), e); ok {
			f, err := strconv.ParseFloat(t, 64)
			if err != nil || !(f > 0 && f <= 100) {
				im.lost(i.get(key), "value", "write a percentage", "%q is no percentage", shorten(t))
			} else {
				n = max(int(f), 1)
			}
		}
		v = v.With(to, number(n))
	}
	percent("failure-rate-threshold", "errors", 50)
	percent("slow-call-rate-threshold", "slow-calls", 100)
	timed("slow-call-duration-threshold", "slow", time.Minute)
	timed("wait-duration-in-open-state", "open", time.Minute)
	im.breakerRest(i, e)
	limit := &element{}
	total, limited := im.timeLimit(name, limit)
	if !limited {
		total = time.Second
	}
	if off, ok := im.boolean(im.set.root.get("spring", "cloud", "circuitbreaker", "resilience4j", "disable-time-limiter"), limit); ok && off {
		total = 0
	}
	return v, total, append(e.from, limit.from...)
}

func (im *importer) timeLimit(name string, e *element) (time.Duration, bool) {
	i := im.instanceOf("timelimiter", name, e)
	d, ok := im.duration(i.get("timeout-duration"), e)
	im.note(i.get("cancel-running-future"), "calls are cut off at their time")
	return d, ok && d > 0
}

// breakerRest tells of a breaker's settings that have no equal.
func (im *importer) breakerRest(i instance, e *element) {
	kind, _ := im.take(i.get("sliding-window-type"), e)
	size, given := im.number(i.get("sliding-window-size"), e, 1, 1_000_000)
	if given && !(strings.EqualFold(kind, "TIME_BASED") && size == 10) {
		im.look(i.get("sliding-window-size"), "window", "nothing, if 1 s and 10 s are right as well", "a breaker judges the last second and the last ten in maru, not a number of calls")
	}
	for _, k := range []struct{ key, fix, words string }{
		{"permitted-number-of-calls-in-half-open-state", "nothing", "two good trials close a breaker here, one bad one opens it"},
		{"max-wait-duration-in-half-open-state", "nothing", "trials are bounded by the time of the request here"},
		{"record-exceptions", "nothing", "exceptions are Java's: maru counts 5xx, no answer, and no answer in time"},
		{"ignore-exceptions", "nothing", "exceptions are Java's: maru counts 5xx, no answer, and no answer in time"},
		{"record-failure-predicate", "nothing", "a predicate is Java code: maru counts 5xx, no answer, and no answer in time"},
		{"ignore-exception-predicate", "nothing", "a predicate is Java code: maru counts 5xx, no answer, and no answer in time"},
	} {
		if n := i.get(k.key); n != nil && untold(n) {
			im.look(n, "breaker", k.fix, "%s", k.words)
		}
	}
	for _, k := range []string{"automatic-transition-from-open-to-half-open-enabled", "register-health-indicator", "event-consumer-buffer-size", "allow-health-indicator-to-fail", "writable-stack-trace-enabled"} {
		im.note(i.get(k), "resilience4j's own")
	}
}

// resilience4j reads what is not the breaker of a route: instances that are named
// as a service are for that service.
func (im *importer) resilience4j() {
	root := im.set.root.get("resilience4j")
	if root == nil {
		return
	}
	for _, kind := range []struct {
		name string
		do   func(*importer, *service, instance, *element)
	}{
		{"circuitbreaker", (*importer).serviceBreaker},
		{"timelimiter", (*importer).serviceTime},
		{"bulkhead", (*importer).serviceBulkhead},
		{"thread-pool-bulkhead", (*importer).servicePool},
		{"retry", (*importer).serviceRetry},
	} {
		im.instances(root.get(kind.name), kind.name, kind.do)
	}
	if n := root.get("ratelimiter"); n != nil {
		im.lost(n, "rate", "bound what is under way with the filter bulkhead, or limit rates in front of maru", "maru has no filter for rates yet")
	}
}

// instances gives each instance of a kind to the service of its name.
func (im *importer) instances(n *node, kind string, do func(*importer, *service, instance, *element)) {
	instances := n.get("instances")
	if instances == nil {
		instances = n.get("backends")
	}
	for _, k := range instances.keys() {
		if !untold(k) {
			continue
		}
		services := im.serviceNamed(k.name, nil)
		for _, s := range services {
			e := &element{at: k}
			do(im, s, im.instanceOf(kind, k.name, e), e)
		}
		if len(services) == 0 {
			im.lost(k, "service", "write the filter at the service or route that it was for", "no service and no breaker of a route is called %q", shorten(k.name))
		}
	}
	for _, k := range n.get("configs").keys() {
		if untold(k) {
			im.note(k, "inherited by no instance that was written")
		}
	}
	for _, k := range n.keys() {
		if strings.HasSuffix(canonical(k.name), "aspectorder") || canonical(k.name) == "metrics" {
			im.note(k, "resilience4j's own")
		}
	}
}

func (im *importer) serviceBreaker(s *service, i instance, e *element) {
	for _, x := range im.draft.routes { // read already as a route's
		for _, f := range x.filters {
			if f.word == "breaker" && f.at == i.own {
				return
			}
		}
	}
	args, total, from := im.breakerArgs(i.own.name)
	s.set("breaker", args, i.own, "resilience4j.circuitbreaker", append(e.from, from...)...)
	if im.set.root.get("resilience4j", "timelimiter") != nil {
		add(&s.filters, "timeout", mapping(keyed("total", span(total))), i.own, "resilience4j.timelimiter")
	}
}

func (im *importer) serviceTime(s *service, i instance, e *element) {
	d, ok := im.duration(i.get("timeout-duration"), e)
	if !ok || d <= 0 {
		d = time.Second
	}
	im.note(i.get("cancel-running-future"), "calls are cut off at their time")
	add(&s.filters, "timeout", mapping(keyed("total", span(d))), i.own, "resilience4j.timelimiter", e.from...)
	im.room(s, d)
}

func (im *importer) serviceBulkhead(s *service, i instance, e *element) {
	limit := 25
	if n, ok := im.number(i.get("max-concurrent-calls"), e, 1, 1_000_000); ok {
		limit = n
	}
	queue := -1
	if d, ok := im.duration(i.get("max-wait-duration"), e); ok && d > 0 {
		queue = max(limit/2, 1)
		im.look(i.get("max-wait-duration"), "bulkhead", "nothing", "a request waits for a quarter of the time that it has left, not for a time of its own")
	}
	im.limit(s, fixedLimit(limit, queue), i.own, "resilience4j.bulkhead", e)
	im.note(i.get("writable-stack-trace-enabled"), "Java's own")
	im.note(i.get("event-consumer-buffer-size"), "resilience4j's own")
}

// limit sets the limit of a service; the first of two counts.
func (im *importer) limit(s *service, v value, at *node, says string, e *element) {
	if s.has("limit") != nil {
		im.look(at, "twice", "write the lower one", "a second bound for %s, which has one limit", s.name)
		im.draftNote(e, at.path+": see the finding")
		return
	}
	s.set("limit", v, at, says, e.from...)
}

func (im *importer) servicePool(s *service, i instance, e *element) {
	limit, queue := 4, 100
	if n, ok := im.number(i.get("core-thread-pool-size"), e, 1, 1_000_000); ok {
		limit = n
	}
	if n, ok := im.number(i.get("max-thread-pool-size"), e, 1, 1_000_000); ok {
		limit = n
	}
	if n, ok := im.number(i.get("queue-capacity"), e, 0, 1_000_000); ok {
		queue = n
	}
	if queue == 0 {
		queue = -1
	}
	im.limit(s, fixedLimit(limit, queue), i.own, "resilience4j.thread-pool-bulkhead", e)
	im.note(i.get("keep-alive-duration"), "maru has no threads to hold")
}

func (im *importer) serviceRetry(s *service, i instance, e *element) {
	attempts := 3
	if n, ok := im.number(i.get("max-attempts"), e, 1, 1000); ok {
		attempts = n
	}
	wait := 500 * time.Millisecond
	if d, ok := im.duration(i.get("wait-duration"), e); ok {
		wait = d
	}
	for _, k := range []string{"enable-exponential-backoff", "exponential-backoff-multiplier", "exponential-max-wait-duration", "enable-randomized-wait", "randomized-wait-factor"} {
		im.note(i.get(k), "the wait doubles with each retry, with full jitter")
	}
	for _, k := range []string{"retry-exceptions", "ignore-exceptions", "retry-exception-predicate", "result-predicate", "fail-after-max-attempts"} {
		if n := i.get(k); n != nil && untold(n) {
			im.look(n, "retry", "nothing", "what is sent again is not told by Java's exceptions: no answer, none in time, 502, 503 and 504")
		}
	}
	im.note(i.get("event-consumer-buffer-size"), "resilience4j's own")
	const most = 10
	s.set("retry", mapping(keyed("attempts", number(min(attempts, most))), keyed("backoff", span(min(wait, time.Second)))), i.own, "resilience4j.retry", e.from...)
}
