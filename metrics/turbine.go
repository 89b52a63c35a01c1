package metrics

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/upstream"
)

// Turbine adds up the hystrix.streams of registered instances and our own
// (resilience §9). Its fields are set before Run and stay.
type Turbine struct {
	// Hystrix gives this process's own objects.
	Hystrix *Hystrix
	// Instances gives the instances of a service that are up; nil means that none
	// are looked for.
	Instances func(app string) []upstream.Addr
	// Client reads the streams; nil makes one.
	Client *http.Client
	// Log is for operators; nil discards.
	Log *slog.Logger

	mu       sync.Mutex
	cfg      TurbineConfig
	kinds    *kinds
	members  map[string]*member     // by the address of the stream
	clusters map[string]string      // names as they are written, by their key
	views    map[string]*sumOfHosts // by the key of the cluster

	seats seats
}

// member is an instance and the clusters that it belongs to.
type member struct {
	*instance
	clusters []string // keys
	stop     func()
}

// ownCluster is the cluster of this process and its likes.
const ownCluster = "maru"

// mostMembers is how many streams are read at a time.
const mostMembers = 2000

// keyOf is a cluster's name without its case: Eureka writes services in capitals.
func keyOf(cluster string) string { return strings.ToLower(cluster) }

// Configure makes cfg the settings from the next look on.
func (t *Turbine) Configure(cfg TurbineConfig) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if reflect.DeepEqual(t.cfg, cfg) {
		return
	}
	t.cfg, t.views = cfg, nil
}

// Run follows the instances until ctx ends.
func (t *Turbine) Run(ctx context.Context) error {
	if t.Client == nil {
		t.Client = streamClient()
	}
	if t.Log == nil {
		t.Log = slog.New(slog.DiscardHandler)
	}
	var alive sync.WaitGroup
	defer alive.Wait()
	defer t.Client.CloseIdleConnections()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		t.look(func(m *member) {
			mine, stop := context.WithCancel(ctx)
			m.stop = stop
			alive.Go(func() { m.run(mine) })
		})
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look starts reading instances that are new and ends those that are gone.
func (t *Turbine) look(start func(*member)) {
	t.mu.Lock()
	cfg := t.cfg
	t.mu.Unlock()
	clusters := map[string]string{keyOf(everything): everything, keyOf(ownCluster): ownCluster}
	wanted := make(map[string][]string)
	for _, app := range cfg.AppConfig {
		if cfg.cluster(app, new(upstream.Addr)) == app {
			clusters[keyOf(app)] = app
		}
		if t.Instances == nil {
			continue
		}
		for _, a := range t.Instances(app) {
			name := cfg.cluster(app, &a)
			if at := cfg.stream(name, &a); at != "" && len(wanted) < mostMembers {
				clusters[keyOf(name)] = name
				wanted[at] = append(wanted[at], keyOf(name))
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prepare()
	t.clusters = clusters
	for at, m := range t.members {
		if wanted[at] == nil {
			m.stop()
			delete(t.members, at)
		}
	}
	for at, names := range wanted {
		m := t.members[at]
		if m == nil {
			m = &member{instance: &instance{
				url: at, kinds: t.kinds, client: t.Client, log: t.Log, self: t.Hystrix.mark(), objects: make(map[identity]heard),
			}}
			t.members[at] = m
			start(m)
		}
		m.clusters = names
	}
	maps.DeleteFunc(t.views, func(key string, _ *sumOfHosts) bool { return clusters[key] == "" })
}

// prepare makes what the first user needs. The caller has the lock.
func (t *Turbine) prepare() {
	if t.members == nil {
		t.kinds = t.Hystrix.known()
		t.members = make(map[string]*member)
		t.clusters = map[string]string{keyOf(everything): everything, keyOf(ownCluster): ownCluster}
	}
	if t.views == nil {
		t.views = make(map[string]*sumOfHosts)
	}
}

// sumOfHosts is a cluster's objects at one moment.
type sumOfHosts struct {
	at    time.Time
	hosts int
	sent  []*sent // by type and name
}

// sent is one object as readers get it.
type sent struct {
	object  *object
	event   []byte
	changed time.Time // when it last said something new
}

// sum gives a cluster's objects, no older than since; nil when it is unknown.
func (t *Turbine) sum(cluster string, since time.Time) *sumOfHosts {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prepare()
	key := keyOf(cluster)
	if t.clusters[key] == "" {
		return nil
	}
	old := t.views[key]
	if old != nil && !old.at.Before(since) {
		return old
	}
	now := time.Now()
	next := &sumOfHosts{at: now}
	groups := make(map[identity][]*object)
	gather := func(list []*object) {
		for _, o := range list {
			id := identity{o.kind, o.name}
			groups[id] = append(groups[id], o)
		}
	}
	for _, m := range t.members {
		if (key == keyOf(everything) || slices.Contains(m.clusters, key)) && m.connected(now) {
			next.hosts++
			gather(m.last(now))
		}
	}
	if key == keyOf(everything) || key == keyOf(ownCluster) {
		next.hosts++
		gather(t.Hystrix.objects(now, false))
	}
	before := make(map[identity]*sent)
	if old != nil {
		for _, s := range old.sent {
			before[identity{s.object.kind, s.object.name}] = s
		}
	}
	for id, list := range groups {
		o := add(list, t.cfg.Board)
		s := &sent{object: o, event: o.event(nil), changed: now}
		if b := before[id]; b != nil && same(b.object, o) {
			s.changed = b.changed
		}
		next.sent = append(next.sent, s)
	}
	slices.SortFunc(next.sent, func(a, b *sent) int {
		return cmp.Or(cmp.Compare(a.object.kind.name, b.object.kind.name), cmp.Compare(a.object.name, b.object.name))
	})
	t.views[key] = next
	return next
}

// same tells whether two objects say the same, whatever their time.
func same(a, b *object) bool {
	at := a.kind.offsets[a.kind.places["currentTime"]]
	return slices.Equal(a.words, b.words) &&
		slices.Equal(a.numbers[:at], b.numbers[:at]) && slices.Equal(a.numbers[at+1:], b.numbers[at+1:])
}

// Times of turbine.stream.
const (
	turbineDelay = time.Second
	turbineAlive = 3 * time.Second // between signs of life
	turbineWhole = 5 * time.Second // between two sendings of an object that stays as it is
)

// ServeStream streams a cluster's objects (?cluster=, else everything): each when
// it changed, looked at each ?delay= milliseconds, and at least each five seconds;
// and signs of life each three.
func (t *Turbine) ServeStream(w http.ResponseWriter, r *http.Request) {
	cluster := cmp.Or(r.URL.Query().Get("cluster"), everything)
	delay := delayOf(r, turbineDelay)
	beat := newBeat(min(delay, turbineAlive))
	defer beat.timer.Stop()
	if t.sum(cluster, time.Time{}) == nil {
		refuse(w, problem.New(http.StatusNotFound, "no_cluster", fmt.Sprintf("there is no cluster %q; /clusters lists them", cluster)))
		return
	}
	if !t.seats.enter(w) {
		return
	}
	defer t.seats.leave()
	eventStream(w.Header())
	out := t.seats.open(w)
	s := turbineReader{t: t, cluster: cluster, delay: delay}
	for ok := true; ok; ok = beat.next(r) {
		b := s.due(time.Now(), beat.delay)
		if len(b) > 0 && !out.send(b) {
			return
		}
	}
}

// turbineReader is what one reader was sent already.
type turbineReader struct {
	t            *Turbine
	cluster      string
	delay        time.Duration
	looked       time.Time // the moment of the objects sent last
	whole, alive time.Time // when all objects, and a sign of life, were sent last
	hosts        int
}

// due is what to send now; step is how far two calls are apart.
func (s *turbineReader) due(now time.Time, step time.Duration) []byte {
	var b []byte
	slack := step / 2 // a beat that came early counts
	if now.Sub(s.looked) >= s.delay-slack {
		if v := s.t.sum(s.cluster, now.Truncate(step)); v != nil {
			all := v.at.Sub(s.whole) >= turbineWhole-slack
			for _, o := range v.sent {
				if all || o.changed.After(s.looked) {
					b = append(b, o.event...)
				}
			}
			if all {
				s.whole = v.at
			}
			s.looked, s.hosts = v.at, v.hosts
		}
	}
	if now.Sub(s.alive) >= turbineAlive-slack {
		s.alive = now
		b = append(b, ": ping\n\n"...)
		b = fmt.Appendf(b, "data: {\"reportingHostsLast10Seconds\":%d,\"name\":\"meta\",\"type\":\"meta\",\"timestamp\":%d}\n\n", s.hosts, now.UnixMilli())
	}
	return b
}

// ServeClusters lists the clusters with the addresses of their streams.
func (t *Turbine) ServeClusters(w http.ResponseWriter, r *http.Request) {
	type row struct {
		Name string `json:"name"`
		Link string `json:"link"`
	}
	t.mu.Lock()
	t.prepare()
	rows := make([]row, 0, len(t.clusters))
	for _, name := range slices.Sorted(maps.Values(t.clusters)) {
		rows = append(rows, row{name, "http://" + r.Host + "/turbine.stream?cluster=" + url.QueryEscape(name)})
	}
	t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(rows) // the caller is gone
}

// Readers tells of the stream's readers.
func (t *Turbine) Readers() Readers { return t.seats.readers("turbine") }

// Hosts counts the instances whose streams are followed, and those of them that
// are heard.
func (t *Turbine) Hosts() (followed, connected int) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.members {
		followed++
		if m.connected(now) {
			connected++
		}
	}
	return followed, connected
}
