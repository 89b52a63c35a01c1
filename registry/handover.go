package registry

import (
	"bufio"
	"bytes"
	"cmp"
	"container/list"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// A registry is handed to the process that takes its place as lines of JSON, an
// empty line at the end: first a handed, then one parcel for each instance, for
// each that left within the change log, and for each override that outlived its
// instance. Ages are told, not times: the monotonic clock of a process is its
// own. With them and with the change log leases, deltas and watches go on as if
// nothing had happened.

// handed is the first line.
type handed struct {
	Version uint64 `json:"version"`
	Trimmed uint64 `json:"trimmed"`
	Deltas  uint64 `json:"deltas"`
}

// parcel is what is handed over about one instance. Ages are milliseconds.
type parcel struct {
	App string `json:"app"`
	ID  string `json:"id"`
	// Instance is left out when the other side has its present state.
	Instance json.RawMessage `json:"instance,omitempty"`
	Gone     bool            `json:"gone,omitempty"`
	Override string          `json:"override,omitempty"`
	// Idle tells that only the override is left; Age is how long then, else since
	// the last renewal.
	Idle    bool  `json:"idle,omitempty"`
	Age     int64 `json:"age,omitempty"`
	Renewal int64 `json:"renewal,omitempty"` // by the wall clock
	Renewed bool  `json:"renewed,omitempty"`
	// Change is the version in the change log, 0 when the change left it.
	Change    uint64 `json:"change,omitempty"`
	ChangeAge int64  `json:"change_age,omitempty"`
}

// Export writes the state for [Registry.Import] of the process that takes this
// one's place, and gives its version. Instances that have not changed since the
// version of an earlier call are written without their body; since 0 writes all.
func (g *Registry) Export(w io.Writer, since uint64) (version uint64, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	first, parcels, records := g.parcels()
	if err := lines.Encode(first); err != nil {
		return 0, fmt.Errorf("hand the registry over: %w", err)
	}
	for i := range parcels {
		p := &parcels[i]
		if rec := records[i]; rec != nil && (since < first.Trimmed || since > first.Version || p.Change > since) {
			p.Instance = appendJSON(nil, rec.Instance, rec.lease.wall.Load(), style{})
		}
		if err := lines.Encode(p); err != nil {
			return 0, fmt.Errorf("hand the registry over: %w", err)
		}
	}
	_ = out.WriteByte('\n') // the error stays for Flush
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("hand the registry over: %w", err)
	}
	return first.Version, nil
}

// parcels gives the first line, the parcels without bodies, and the record of each,
// nil where there is no body. All are of one moment.
func (g *Registry) parcels() (handed, []parcel, []*record) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	now := g.env.Elapsed()
	var parcels []parcel
	var records []*record
	add := func(rec *record, p parcel) {
		if e := g.logged[key{p.App, p.ID}]; e != nil {
			c := e.Value.(*change) //nolint:forcetypeassert,errcheck // the list holds nothing else
			p.Change, p.ChangeAge = c.version, (now - c.at).Milliseconds()
		}
		parcels, records = append(parcels, p), append(records, rec)
	}
	for _, app := range g.apps {
		for _, rec := range app.members {
			p := parcel{
				App: rec.App, ID: rec.ID, Age: (now - time.Duration(rec.lease.last.Load())).Milliseconds(),
				Renewal: rec.lease.wall.Load(), Renewed: rec.lease.renewed.Load(),
			}
			if o := g.overrides[rec.key()]; o != nil {
				p.Override = o.status.String()
			}
			add(rec, p)
		}
	}
	for e := g.log.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*change); c.Action == Deleted { //nolint:forcetypeassert,errcheck // as above
			add(c.record, parcel{App: c.App, ID: c.ID, Gone: true})
		}
	}
	for k, o := range g.overrides {
		if g.records[k] == nil {
			add(nil, parcel{App: k.app, ID: k.id, Override: o.status.String(), Idle: true, Age: (now - o.since).Milliseconds()})
		}
	}
	return handed{g.version, g.trimmed, g.deltas.Load()}, parcels, records
}

// Import replaces the state by what [Registry.Export] of a predecessor wrote;
// bodies that it left out are those of the state before. What can't be read of
// an instance leaves that one out. Listings are open then. On an error nothing
// has changed.
func (g *Registry) Import(r *bufio.Reader) error {
	first, parcels, err := unpack(r)
	if err != nil {
		return fmt.Errorf("take the registry over: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &succession{g: g, now: g.env.Elapsed(), apps: make(map[string]*application), records: make(map[key]*record), overrides: make(map[key]*override), seen: make(map[key]bool)}
	for i := range parcels {
		if err := s.take(&parcels[i]); err != nil {
			g.totals.damaged.Add(1)
			g.env.Log.Warn("an instance could not be taken over; it registers again", "app", parcels[i].App, "id", parcels[i].ID, "error", err)
		}
	}
	s.install(first)
	return nil
}

// unpack reads all lines.
func unpack(r *bufio.Reader) (first handed, parcels []parcel, err error) {
	for n := 0; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return first, nil, err
		}
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 && n > 0:
			return first, parcels, nil
		case n == 0:
			err = json.Unmarshal(line, &first)
		default:
			parcels = append(parcels, parcel{})
			err = json.Unmarshal(line, &parcels[len(parcels)-1])
		}
		if err != nil {
			return first, nil, err
		}
	}
}

// succession is a state that is put together.
type succession struct {
	g         *Registry
	now       time.Duration
	apps      map[string]*application
	records   map[key]*record
	overrides map[key]*override
	seen      map[key]bool
	counts    [statuses]int
	expected  float64
	log       []*change
}

// What is wrong with a parcel.
var (
	errBody  = errors.New("its body is missing")
	errTwice = errors.New("it came before")
)

// take takes one parcel in.
func (s *succession) take(p *parcel) error {
	k := key{p.App, p.ID}
	if o, ok := parseStatus(p.Override); ok && p.Override != "" {
		s.overrides[k] = &override{o, p.Idle, s.before(p.Age)}
	}
	if p.Idle {
		return nil
	}
	if s.seen[k] {
		return errTwice
	}
	s.seen[k] = true
	in, err := s.body(k, p)
	if err != nil {
		return err
	}
	l := &lease{duration: time.Duration(in.DurationSecs) * time.Second, perMin: 60 / float64(in.RenewalSecs)}
	l.last.Store(int64(s.before(p.Age)))
	l.wall.Store(p.Renewal)
	l.renewed.Store(p.Renewed)
	rec := &record{Instance: in, lease: l}
	if p.Change > 0 {
		s.log = append(s.log, &change{rec, p.Change, s.before(p.ChangeAge)})
	}
	if p.Gone {
		return nil
	}
	app := s.apps[k.app]
	if app == nil {
		app = &application{name: k.app}
		s.apps[k.app] = app
	}
	app.members = append(app.members, rec)
	s.records[k] = rec
	s.counts[in.Status]++
	s.expected += l.perMin
	return nil
}

// before is a moment on our clock, which may lie before its beginning.
func (s *succession) before(ms int64) time.Duration {
	return s.now - time.Duration(ms)*time.Millisecond
}

// body is the instance of a parcel, or the one that we had.
func (s *succession) body(k key, p *parcel) (*Instance, error) {
	if p.Instance == nil {
		if rec := s.g.records[k]; rec != nil && !p.Gone {
			return rec.Instance, nil
		}
		if e := s.g.logged[k]; e != nil && p.Gone {
			return e.Value.(*change).Instance, nil //nolint:forcetypeassert,errcheck // the list holds nothing else
		}
		return nil, errBody
	}
	var in posted
	if err := json.Unmarshal(p.Instance, &in); err != nil {
		return nil, err
	}
	out := in.instance(s.g.wall())
	out.App, out.ID = k.app, k.id
	out.clamp()
	out.Coordinating = in.Coordinating == "true"
	for _, a := range []Action{Added, Modified, Deleted} {
		if string(in.Action) == a.String() {
			out.Action = a
		}
	}
	return out, out.check("")
}

// install puts the state in the place of the one before. The caller holds the
// lock.
func (s *succession) install(first handed) {
	g := s.g
	slices.SortFunc(s.log, func(a, b *change) int { return cmp.Compare(a.version, b.version) })
	g.records, g.apps, g.overrides, g.counts, g.expected = s.records, s.apps, s.overrides, s.counts, s.expected
	g.log, g.logged = list.New(), make(map[key]*list.Element, len(s.log))
	for _, c := range s.log {
		g.logged[c.key()] = g.log.PushBack(c)
	}
	g.version, g.trimmed = first.Version, first.Trimmed
	g.deltas.Store(first.Deltas)
	g.edition++
	if g.altered != nil {
		for k := range g.records {
			g.altered[k] = struct{}{}
		}
	}
	g.opened.Store(true)
	close(g.changed)
	g.changed = make(chan struct{})
}
