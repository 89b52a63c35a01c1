// Package registry is where services say that they live: a server of Eureka's
// wire protocol, with which clients of the original register, renew and read
// unmodified, and a peer that a cluster of the original takes for one of its own.
//
// The flow: [New] makes an empty [Registry]; [Registry.Run] loads the last good
// copy from disk, fetches from peers, then evicts what no longer renews and
// keeps the copy and the peers current until its context ends.
// [Registry.ServeHTTP] reads the path, the format and the body (wirejson.go,
// wirexml.go), calls one operation of registry.go, and answers as the original
// does. Each change makes a new immutable [Instance], raises the version and
// goes into the change log, from which deltas, the watch, in-process followers
// ([Registry.Follow]), the copy on disk and the peers are fed. Encoded answers
// are kept per version; encoded instances are kept as long as they live.
//
// Memory is the truth. Everything that a stranger can make grow has a limit of
// [Config] or of instance.go.
package registry

import (
	"container/list"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Env is what the registry uses of the house. Every field may be left out.
type Env struct {
	// Log is for operators; nil discards.
	Log *slog.Logger
	// Now is the wall clock, for times on the wire (default time.Now).
	Now func() time.Time
	// Elapsed is the monotonic clock that leases run on (default the time since
	// New).
	Elapsed func() time.Duration
	// Dial is how expired instances are asked whether their port still is open
	// (default a net.Dialer).
	Dial dialFunc
	// Console gives the URL of the console's page about the registry for whoever
	// opens the listener in a browser, "" when he can't reach it; nil means that
	// there is none.
	Console func(*http.Request) string
	// Client talks to peers (default one with a time-out of a second).
	Client *http.Client
}

func (e Env) withDefaults() Env {
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Elapsed == nil {
		born := time.Now()
		e.Elapsed = func() time.Duration { return time.Since(born) }
	}
	if e.Dial == nil {
		e.Dial = new(net.Dialer).DialContext
	}
	if e.Client == nil {
		e.Client = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: time.Second}).DialContext,
			ResponseHeaderTimeout: time.Second, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		}}
	}
	return e
}

// changeLog is how long a change stays in the delta (specification §8.1).
const changeLog = 180 * time.Second

// farFuture is how far ahead of our wall clock a stored lastDirtyTimestamp may
// be before it loses against any other: a client whose clock jumped ahead could
// otherwise never update itself.
const farFuture = 300_000 // milliseconds

// errFull is answered with 503.
var errFull = errors.New("the registry is full")

// Registry holds all instances. Make it with [New].
type Registry struct {
	env Env
	cfg atomic.Pointer[Config]

	mu        sync.RWMutex
	records   map[key]*record
	apps      map[string]*application
	overrides map[key]*override
	counts    [statuses]int
	expected  float64 // renewals a minute
	version   uint64  // begins at the wall clock, so that no restart repeats one
	log       *list.List
	logged    map[key]*list.Element
	trimmed   uint64 // the newest version that left the change log
	edition   uint64 // rises with each change and when one leaves the change log
	changed   chan struct{}
	findings  map[string]Finding
	altered   map[key]struct{} // for the copy on disk; nil without one

	opened   atomic.Bool // listings may be read (specification §9)
	joining  atomic.Bool // peers are asked for what they have
	renewals atomic.Uint64
	totals   totals
	deltas   atomic.Uint64
	bodies   bodies
	reads    throttle
	guard    protection
	peers    atomic.Pointer[[]*peer]
	watchers atomic.Int64
	started  time.Time
}

// totals are counters for metrics.
type totals struct {
	registered, cancelled, evicted, unknown, refused, skewed, damaged, replicated, dropped, throttled, denied atomic.Uint64
}

// record is one instance in the registry with its lease and its encodings. A
// change makes a new one.
type record struct {
	*Instance
	lease   *lease
	encoded [8]atomic.Pointer[[]byte]
}

// lease is what renewals write to, without a lock.
type lease struct {
	duration time.Duration
	perMin   float64
	last     atomic.Int64 // of the monotonic clock, nanoseconds
	wall     atomic.Int64 // the same for people, milliseconds
	renewed  atomic.Bool
	// before and at remember where the instance was before: two processes with
	// one id take turns.
	before string
	at     time.Duration
}

// application is one name with its instances. It is immutable.
type application struct {
	name    string
	members []*record
	pieces  [8]atomic.Pointer[piece] // by style
}

// override is a status that an operator set.
type override struct {
	status Status
	idle   bool          // there is no instance
	since  time.Duration // when it left, if idle
}

// change is one entry of the change log.
type change struct {
	*record
	version uint64
	at      time.Duration
}

// Finding is something that an operator should look at.
type Finding struct {
	App  string    `json:"app"`
	ID   string    `json:"id"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// mostFindings bounds what is remembered; the text about an instance replaces
// the one before.
const mostFindings = 256

// New makes an empty registry. It opens nothing and starts nothing. cfg must
// have passed its Check.
func New(cfg Config, env Env) *Registry { //nolint:gocritic // kept as a value
	g := &Registry{
		env: env.withDefaults(), records: make(map[key]*record), apps: make(map[string]*application),
		overrides: make(map[key]*override), log: list.New(), logged: make(map[key]*list.Element),
		changed: make(chan struct{}), findings: make(map[string]Finding),
	}
	g.started = g.env.Now()
	g.version = uint64(max(g.started.UnixMilli(), 1))
	g.trimmed = g.version
	g.Configure(cfg)
	return g
}

// Configure changes the settings. Run must not be under way: address, peers and
// data are followed when it begins again.
func (g *Registry) Configure(cfg Config) { //nolint:gocritic // kept as a value
	cfg = cfg.withDefaults()
	g.cfg.Store(&cfg)
	g.joining.Store(len(listOfPeers(&cfg)) > 0)
}

func (g *Registry) wall() int64 { return g.env.Now().UnixMilli() }

// register takes an instance that passed its check.
func (g *Registry) register(in *Instance, replication bool) error {
	clamped := in.clamp()
	now, wall := g.env.Elapsed(), g.wall()
	g.mu.Lock()
	defer g.mu.Unlock()
	k := in.key()
	old := g.records[k]
	cfg := g.cfg.Load()
	if old == nil && (len(g.records) >= cfg.MaxInstances || g.apps[k.app] == nil && len(g.apps) >= cfg.MaxApplications) {
		g.totals.refused.Add(1)
		return errFull
	}
	if clamped {
		g.find(k, "its lease times are outside of their bounds and were brought inside: renewal "+
			strconv.Itoa(in.RenewalSecs)+" s, duration "+strconv.Itoa(in.DurationSecs)+" s")
	}
	next := *in
	if old != nil && old.Dirty > in.Dirty {
		if old.Dirty <= wall+farFuture {
			next = *old.Instance // what we have is newer
		} else {
			g.totals.skewed.Add(1)
			g.find(k, "its lastDirtyTimestamp was far in the future: the clock of its machine jumped")
		}
	}
	next.Registered, next.ServiceUp, next.Updated = wall, 0, wall
	if old != nil {
		next.Registered, next.ServiceUp = old.Registered, old.ServiceUp
		g.twins(old, in, now)
	}
	if next.Overridden != Unknown && g.overrides[k] == nil {
		g.overrides[k] = &override{status: next.Overridden}
	}
	if o := g.overrides[k]; o != nil {
		o.idle, next.Overridden = false, o.status
	}
	next.Status = g.ruled(k, next.Status, old, replication)
	if next.Status == Up && next.ServiceUp == 0 {
		next.ServiceUp = wall
	}
	g.put(old, &next, g.newLease(&next, old, now, wall), Added)
	g.totals.registered.Add(1)
	if old == nil {
		g.expected += 60 / float64(next.RenewalSecs)
	}
	if !replication {
		g.forward(item{action: actRegister, key: k, life: time.Duration(next.RenewalSecs) * time.Second})
	}
	return nil
}

// newLease begins a lease; old is the record before, nil when there was none.
func (g *Registry) newLease(in *Instance, old *record, now time.Duration, wall int64) *lease {
	l := &lease{duration: time.Duration(in.DurationSecs) * time.Second, perMin: 60 / float64(in.RenewalSecs)}
	l.last.Store(int64(now))
	l.wall.Store(wall)
	if old != nil {
		l.before, l.at = old.lease.before, old.lease.at
		if place := old.place(); place != in.place() {
			l.before, l.at = place, now
		}
	}
	return l
}

// place tells two processes apart that use one id.
func (in *Instance) place() string {
	return net.JoinHostPort(in.IPAddr, strconv.Itoa(in.Port.Number))
}

// twins reports two processes that register with one id in turn.
func (g *Registry) twins(old *record, in *Instance, now time.Duration) {
	l := old.lease
	if place := in.place(); place != old.place() && place == l.before && now-l.at <= l.duration {
		g.find(in.key(), "two processes register with this id in turn, at "+old.place()+" and "+place+
			": give each an instance id of its own; the last that registered is served")
	}
}

// find notes a finding about an instance, and logs it when it is new.
func (g *Registry) find(k key, words string) {
	name := k.app + "/" + k.id
	before, known := g.findings[name]
	if !known && len(g.findings) >= mostFindings {
		return
	}
	g.findings[name] = Finding{k.app, k.id, words, g.env.Now()}
	if before.Text != words {
		g.env.Log.Warn("a registration wants a look", "app", k.app, "id", k.id, "finding", words)
	}
}

// ruled is the status that is served (specification §8.3).
func (g *Registry) ruled(k key, reported Status, old *record, replication bool) Status {
	if reported != Up && reported != OutOfService {
		return reported
	}
	if o := g.overrides[k]; o != nil {
		return o.status
	}
	if !replication && old != nil && (old.Status == Up || old.Status == OutOfService) {
		return old.Status
	}
	return reported
}

// put replaces old (nil: nothing) by next and notes the change. The caller holds
// the lock.
func (g *Registry) put(old *record, next *Instance, l *lease, action Action) {
	next.Action = action
	rec := &record{Instance: next, lease: l}
	k := next.key()
	g.records[k] = rec
	app := g.apps[k.app]
	grown := &application{name: k.app}
	switch {
	case old != nil:
		g.counts[old.Status]--
		grown.members = slices.Clone(app.members)
		grown.members[slices.Index(app.members, old)] = rec
	case app != nil:
		grown.members = append(slices.Clone(app.members), rec)
	default:
		grown.members = []*record{rec}
	}
	g.counts[next.Status]++
	g.apps[k.app] = grown
	g.note(rec)
}

// remove takes a record out and notes the change. The caller holds the lock.
func (g *Registry) remove(rec *record) {
	k := rec.key()
	delete(g.records, k)
	app := g.apps[k.app]
	if len(app.members) == 1 {
		delete(g.apps, k.app)
	} else {
		i := slices.Index(app.members, rec)
		g.apps[k.app] = &application{name: k.app, members: slices.Concat(app.members[:i], app.members[i+1:])}
	}
	g.counts[rec.Status]--
	gone := *rec.Instance
	gone.Action, gone.Updated = Deleted, g.wall()
	g.note(&record{Instance: &gone, lease: rec.lease})
}

// note appends to the change log, once for each instance, and wakes who waits.
func (g *Registry) note(rec *record) {
	g.version++
	g.edition++
	k, now := rec.key(), g.env.Elapsed()
	if e := g.logged[k]; e != nil {
		g.log.Remove(e)
	}
	g.logged[k] = g.log.PushBack(&change{rec, g.version, now})
	g.trim(now)
	if g.altered != nil {
		g.altered[k] = struct{}{}
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

// trim drops what is too old, or too much: instances that are gone stay in the
// log a while, so that its length has a bound of its own.
func (g *Registry) trim(now time.Duration) {
	most := g.cfg.Load().MaxInstances
	for e := g.log.Front(); e != nil; e = g.log.Front() {
		c := e.Value.(*change) //nolint:forcetypeassert,errcheck // the list holds nothing else
		if now-c.at <= changeLog && g.log.Len() <= most {
			return
		}
		g.trimmed = max(g.trimmed, c.version)
		g.edition++
		g.log.Remove(e)
		delete(g.logged, c.key())
	}
}

// since lists the changes after a version, oldest first; false when the log does
// not reach back so far, or the version is not one of this registry. The caller
// holds the lock.
func (g *Registry) since(version uint64) ([]*change, bool) {
	if version < g.trimmed || version > g.version {
		return nil, false
	}
	var out []*change
	for e := g.log.Back(); e != nil; e = e.Prev() {
		c := e.Value.(*change) //nolint:forcetypeassert,errcheck // the list holds nothing else
		if c.version <= version {
			break
		}
		out = append(out, c)
	}
	slices.Reverse(out)
	return out, true
}

// renewal is what comes with a heartbeat; zero values were left out.
type renewal struct {
	dirty       int64
	overridden  Status
	replication bool
	// status and updated are what a peer that is maru serves since when.
	status  Status
	updated int64
}

// renew renews a lease and gives the status code of the answer: 200, 404 when
// the client has to register again, 409 for a replication that is older than
// what we have (specification §3, §8.3).
func (g *Registry) renew(k key, r renewal) (int, *record) {
	g.mu.RLock()
	rec, o := g.records[k], g.overrides[k]
	g.mu.RUnlock()
	if rec == nil {
		g.totals.unknown.Add(1)
		return http.StatusNotFound, nil
	}
	served := rec.Status
	if o != nil && (served == Up || served == OutOfService) {
		served = o.status
	}
	if served == Unknown {
		return http.StatusNotFound, nil
	}
	if served != rec.Status {
		g.alter(k, func(in *Instance) { in.Status = served })
	}
	g.touch(rec.lease)
	if !r.replication {
		g.forward(item{action: actHeartbeat, key: k, life: time.Duration(rec.RenewalSecs) * time.Second})
	}
	switch {
	case r.dirty == 0 || r.dirty == rec.Dirty:
		if r.updated > rec.Updated && (r.status != rec.Status || r.overridden != rec.Overridden) {
			g.adoptState(k, r)
		}
		return http.StatusOK, nil
	case r.dirty > rec.Dirty:
		if r.replication && r.overridden != Unknown {
			g.adoptOverride(k, r.overridden)
		}
		return http.StatusNotFound, nil
	case r.replication:
		return http.StatusConflict, rec
	}
	return http.StatusOK, nil
}

// touch renews a lease.
func (g *Registry) touch(l *lease) {
	l.last.Store(int64(g.env.Elapsed()))
	l.wall.Store(g.wall())
	l.renewed.Store(true)
	g.renewals.Add(1)
}

// alter makes a changed copy of an instance; false when there is none. The
// lease goes on.
func (g *Registry) alter(k key, change func(*Instance)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.alterLocked(k, Modified, change)
}

func (g *Registry) alterLocked(k key, action Action, change func(*Instance)) bool {
	old := g.records[k]
	if old == nil {
		return false
	}
	next := *old.Instance
	change(&next)
	next.Updated = max(g.wall(), old.Updated+1)
	if next.Status == Up && next.ServiceUp == 0 {
		next.ServiceUp = next.Updated
	}
	g.put(old, &next, old.lease, action)
	return true
}

// cancel ends a lease at the wish of its owner.
func (g *Registry) cancel(k key, replication bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.records[k]
	if rec == nil {
		return false
	}
	delete(g.overrides, k)
	g.remove(rec)
	g.expected = max(0, g.expected-rec.lease.perMin)
	g.totals.cancelled.Add(1)
	if !replication {
		g.forward(item{action: actCancel, key: k})
	}
	return true
}

// setStatus overrides the status of an instance (specification §8.4).
func (g *Registry) setStatus(k key, value Status, dirty int64, replication bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.records[k]
	if rec == nil {
		return false
	}
	g.touch(rec.lease)
	if rec.Status != value {
		g.overrides[k] = &override{status: value}
		g.alterLocked(k, Modified, func(in *Instance) {
			in.Status, in.Overridden, in.Dirty = value, value, max(in.Dirty, dirty)
		})
	}
	if !replication {
		g.forward(item{action: actStatus, key: k, status: value})
	}
	return true
}

// clearStatus removes an override; the instance shows value until it says more.
func (g *Registry) clearStatus(k key, value Status, dirty int64, replication bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.records[k]
	if rec == nil {
		return false
	}
	g.touch(rec.lease)
	if g.overrides[k] != nil {
		delete(g.overrides, k)
		g.alterLocked(k, Modified, func(in *Instance) {
			in.Status, in.Overridden, in.Dirty = value, Unknown, max(in.Dirty, dirty)
		})
	}
	if !replication {
		g.forward(item{action: actClear, key: k, status: value})
	}
	return true
}

// annotate merges metadata; false when there is no such instance.
func (g *Registry) annotate(k key, meta []Pair) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.records[k]
	if rec == nil {
		return false, nil
	}
	merged := sortPairs(slices.Concat(rec.Meta, meta))
	if err := checkMeta(merged); err != nil {
		return true, err
	}
	g.alterLocked(k, Added, func(in *Instance) { in.Meta = merged })
	g.forward(item{action: actRegister, key: k, life: time.Duration(rec.RenewalSecs) * time.Second})
	return true, nil
}

// adoptOverride takes the override of a peer for an instance that we hold.
func (g *Registry) adoptOverride(k key, value Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if rec := g.records[k]; rec != nil && (g.overrides[k] == nil || g.overrides[k].status != value) {
		g.overrides[k] = &override{status: value}
		g.alterLocked(k, Modified, func(in *Instance) {
			in.Overridden = value
			in.Status = g.ruled(k, in.Status, rec, true)
		})
	}
}

// adoptState takes the status that a peer serves, and its override or that there
// is none, when it changed there after it changed here: what told us of it was
// lost on the way.
func (g *Registry) adoptState(k key, r renewal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rec := g.records[k]
	if rec == nil || r.updated <= rec.Updated || r.dirty != rec.Dirty {
		return
	}
	delete(g.overrides, k)
	if r.overridden != Unknown {
		g.overrides[k] = &override{status: r.overridden}
	}
	g.alterLocked(k, Modified, func(in *Instance) { in.Status, in.Overridden = r.status, r.overridden })
}

// hash is the hash code of the protocol: how many instances have which status
// (specification §8.1).
func hash(counts *[statuses]int) string {
	var b []byte
	for _, s := range [...]Status{Down, OutOfService, Starting, Unknown, Up} { // by name
		if counts[s] > 0 {
			b = append(b, s.String()...)
			b = append(b, '_')
			b = strconv.AppendInt(b, int64(counts[s]), 10)
			b = append(b, '_')
		}
	}
	return string(b)
}
