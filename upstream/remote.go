package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Remotes are the registries of other processes. All services that name the same
// servers share one reader, so that one change costs what changed, not a listing
// for each service. The zero value is ready for use.
//
// The flow: a reader asks the first server that is not set aside. A maru streams
// changes (remote_watch.go); of any other server the reader takes the full
// listing once and then deltas, and the full listing again when the hash of what
// it knows is not that of the delta. After each change it wakes the sources of
// the services, and when nothing can be read it tells them why.
type Remotes struct {
	mu      sync.Mutex
	readers map[string]*eurekaReader
}

// Numbers of reading a registry elsewhere.
const (
	eurekaTimeout = 10 * time.Second
	// maxAnswer is the largest answer of a registry.
	maxAnswer = 256 << 20
	// setAside is how long a server that failed is not asked while there is
	// another.
	setAside = 30 * time.Second
)

// join makes a source one of those that a reader wakes; the first starts it, and
// it outlives the first.
func (m *Remotes) join(ctx context.Context, s *eurekaSource) *eurekaReader {
	cfg := s.cluster.cfg.Registry
	key := fmt.Sprint(cfg.servers(), cfg.Refresh, cfg.Prefer)
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.readers[key]
	if r == nil {
		ctx, end := context.WithCancel(context.WithoutCancel(ctx))
		r = newEurekaReader(s.cluster)
		r.key, r.end, r.ended = key, end, make(chan struct{})
		if m.readers == nil {
			m.readers = make(map[string]*eurekaReader)
		}
		m.readers[key] = r
		go func() {
			defer close(r.ended)
			r.run(ctx)
		}()
	}
	r.add(s)
	return r
}

// leave undoes join; the last source ends the reader.
func (m *Remotes) leave(s *eurekaSource, r *eurekaReader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.remove(s) == 0 {
		delete(m.readers, r.key)
		r.end()
		<-r.ended
	}
}

// eurekaReader reads the registry of some servers for all services that follow
// it.
type eurekaReader struct {
	key     string
	end     context.CancelFunc
	ended   chan struct{}
	servers []string
	refresh time.Duration
	byIP    bool
	client  *http.Client // for one answer
	streams *http.Client // for a watch
	now     func() time.Time
	float   func() float64
	log     *slog.Logger
	// Only run's goroutine uses these.
	server   string // whose state synced and tryWatch are about
	synced   bool   // what is known is what the server had
	tryWatch bool   // it may be a maru
	aside    map[string]time.Time
	faults   map[string]string // what servers fail with, as told
	followed chan struct{}     // another service is followed; has room for one

	mu      sync.Mutex
	sources map[*eurekaSource]struct{}
	apps    map[string]*remoteApp
	counts  map[string]int // instances by status
	version uint64
	ready   bool
	err     error
}

// remoteApp is what is known of one service.
type remoteApp struct {
	version   uint64
	instances map[string]remoteInstance
}

// remoteInstance is what is known of one instance; callable tells that an address
// could be made.
type remoteInstance struct {
	status   string
	addr     Addr
	callable bool
}

func newEurekaReader(c *Cluster) *eurekaReader {
	cfg := c.cfg.Registry
	transport := func() *http.Transport {
		return &http.Transport{
			DialContext: c.env.Dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: eurekaTimeout,
		}
	}
	return &eurekaReader{
		servers: cfg.servers(), refresh: cfg.Refresh, byIP: cfg.Prefer == "ip", now: c.env.Now, float: c.env.Float, log: c.env.Log,
		client: &http.Client{Timeout: eurekaTimeout, Transport: transport()}, streams: &http.Client{Transport: transport()},
		aside: make(map[string]time.Time), faults: make(map[string]string), followed: make(chan struct{}, 1),
		sources: make(map[*eurekaSource]struct{}), apps: make(map[string]*remoteApp), counts: make(map[string]int),
	}
}

func (r *eurekaReader) add(s *eurekaSource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources[s] = struct{}{}
	if r.ready || r.err != nil {
		signal(s.wake)
	}
	signal(r.followed)
}

func (r *eurekaReader) remove(s *eurekaSource) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sources, s)
	return len(r.sources)
}

// signal wakes who waits, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// endpoints gives the instances of a service that are up, in the order of their
// URLs, and the version of that; without them when it still is the known one.
func (r *eurekaReader) endpoints(name string, known uint64) (addrs []Addr, version uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, known, r.err
	}
	app := r.apps[name]
	if app == nil {
		return []Addr{}, r.version, nil
	}
	if app.version == known {
		return nil, known, nil
	}
	addrs = make([]Addr, 0, len(app.instances))
	for _, in := range app.instances {
		if in.status == "UP" && in.callable {
			addrs = append(addrs, in.addr)
		}
	}
	slices.SortFunc(addrs, func(a, b Addr) int { return cmp.Compare(a.URL, b.URL) })
	return addrs, app.version, nil
}

// run reads until ctx ends.
func (r *eurekaReader) run(ctx context.Context) {
	defer r.client.CloseIdleConnections()
	defer r.streams.CloseIdleConnections()
	for ctx.Err() == nil {
		server := r.choose()
		if server != r.server {
			r.server, r.synced, r.tryWatch = server, false, true
		}
		again, err := r.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.synced, r.tryWatch = false, true
			again = r.failed(err)
		} else {
			delete(r.faults, server)
		}
		if again {
			continue
		}
		wait := time.NewTimer(time.Duration(float64(r.refresh) * (0.8 + 0.4*r.float()))) // not all at once
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// failed sets the server aside. When there is another to try, it says so, and
// the services are not told.
func (r *eurekaReader) failed(err error) (another bool) {
	server, now := r.server, r.now()
	fault := fmt.Sprintf("registry %s: %v", redacted(server), err)
	told := r.faults[server] == fault
	r.aside[server], r.faults[server] = now.Add(setAside), fault
	if !now.Before(r.aside[r.choose()]) {
		if !told {
			r.log.Warn("a registry fails, the next one is asked", "registry", redacted(server), "error", err)
		}
		return true
	}
	var all []string // in one text, that does not change with whom was asked last
	for _, s := range r.servers {
		if f := r.faults[s]; f != "" {
			all = append(all, f)
		}
	}
	r.lost(errors.New(strings.Join(all, "; ")))
	return false
}

// choose gives the first server that is not set aside, else the one that was
// first set aside.
func (r *eurekaReader) choose() string {
	now := r.now()
	for _, s := range r.servers {
		if !now.Before(r.aside[s]) {
			return s
		}
	}
	return slices.MinFunc(r.servers, func(a, b string) int { return r.aside[a].Compare(r.aside[b]) })
}

// round learns what there is to learn now; it stays as long as a watch goes on.
// again asks for the next round at once.
func (r *eurekaReader) round(ctx context.Context) (again bool, err error) {
	if r.tryWatch {
		streams, err := r.watch(ctx)
		if streams {
			return err == nil, err
		}
		r.tryWatch = false // whatever it said: it is no maru
	}
	if r.synced {
		l, err := r.ask(ctx, "/apps/delta")
		if err == nil && r.apply(l) {
			return false, nil
		}
	}
	l, err := r.ask(ctx, "/apps/")
	if err != nil {
		return false, err
	}
	r.replaceAll(l)
	r.synced = true
	return false, nil
}

// ask asks the server once.
func (r *eurekaReader) ask(ctx context.Context, path string) (*eurekaListing, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.server+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return parseEureka(body)
}

// withoutURL takes the URL out of an error: it may hold a password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// apply takes a delta in; false when what is known then is not what the server
// has.
func (r *eurekaReader) apply(l *eurekaListing) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range l.Applications.List {
		a := &l.Applications.List[i]
		for j := range a.Instance {
			in := &a.Instance[j]
			if in.Action == "DELETED" {
				r.drop(a.Name, in.id())
			} else {
				addr, ok := in.addr(r.byIP)
				r.put(a.Name, in.id(), remoteInstance{in.Status, addr, ok})
			}
		}
	}
	if hash := r.hash(); hash != l.Applications.Hash {
		return false
	}
	r.told()
	return true
}

// replaceAll takes a full listing in.
func (r *eurekaReader) replaceAll(l *eurekaListing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepOnly(nil, func(keep map[string]map[string]bool) {
		for i := range l.Applications.List {
			a := &l.Applications.List[i]
			for j := range a.Instance {
				in := &a.Instance[j]
				addr, ok := in.addr(r.byIP)
				r.put(a.Name, in.id(), remoteInstance{in.Status, addr, ok})
				note(keep, a.Name, in.id())
			}
		}
	})
	r.told()
}

// note marks an instance as one to keep.
func note(keep map[string]map[string]bool, app, id string) {
	app = strings.ToUpper(app)
	if keep[app] == nil {
		keep[app] = make(map[string]bool)
	}
	keep[app][id] = true
}

// keepOnly takes away what fill does not mark, of the named services (none means
// all). The caller holds the lock.
func (r *eurekaReader) keepOnly(names []string, fill func(keep map[string]map[string]bool)) {
	keep := make(map[string]map[string]bool)
	fill(keep)
	for name, app := range r.apps {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		for id := range app.instances {
			if !keep[name][id] {
				r.drop(name, id)
			}
		}
	}
}

// put notes an instance. The caller holds the lock.
func (r *eurekaReader) put(name, id string, in remoteInstance) {
	name = strings.ToUpper(name)
	app := r.apps[name]
	if app == nil {
		app = &remoteApp{instances: make(map[string]remoteInstance)}
		r.apps[name] = app
	}
	old, known := app.instances[id]
	if known && old.status == in.status && old.callable == in.callable && old.addr.equal(in.addr) {
		return
	}
	if known {
		r.count(old.status, -1)
	}
	r.count(in.status, 1)
	app.instances[id] = in
	r.version++
	app.version = r.version
}

// drop forgets an instance. The caller holds the lock.
func (r *eurekaReader) drop(name, id string) {
	app := r.apps[strings.ToUpper(name)]
	if app == nil {
		return
	}
	old, known := app.instances[id]
	if !known {
		return
	}
	r.count(old.status, -1)
	delete(app.instances, id)
	r.version++
	app.version = r.version // it stays, empty: who looked at it must see that it changed
}

func (r *eurekaReader) count(status string, by int) {
	if r.counts[status] += by; r.counts[status] == 0 {
		delete(r.counts, status)
	}
}

// hash is the protocol's of what is known. The caller holds the lock.
func (r *eurekaReader) hash() string {
	var b strings.Builder
	for _, status := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(&b, "%s_%d_", status, r.counts[status])
	}
	return b.String()
}

// told wakes the sources: what is known is what the server has. The caller holds
// the lock.
func (r *eurekaReader) told() {
	r.ready, r.err = true, nil
	for s := range r.sources {
		signal(s.wake)
	}
}

// lost tells the sources that nothing can be read.
func (r *eurekaReader) lost(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	for s := range r.sources {
		signal(s.wake)
	}
}

// id names the instance within its service.
func (in *eurekaInstance) id() string { return cmp.Or(in.ID, in.HostName) }
