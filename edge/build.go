package edge

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/maru-msa/maru/aggregate"
	"github.com/maru-msa/maru/contract"
	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/filter"
	"github.com/maru-msa/maru/message"
	"github.com/maru-msa/maru/problem"
	"github.com/maru-msa/maru/route"
	"github.com/maru-msa/maru/upstream"
)

// Runtime is one whole configuration, ready to serve. It is immutable.
type Runtime struct {
	// Config is what it was built from.
	Config Config
	// Version counts configurations, from 1; Built is when this one was made.
	Version int
	Built   time.Time

	env       Env
	table     *route.Table[*entry]
	rules     []route.Rule[*entry]
	warnings  error
	clusters  map[string]*cluster
	kept      map[string]any
	graph     *aggregate.Graph // of the views; nil without
	files     []File           // see Files
	listeners map[string]*front
	acme      []*acmeSource
}

// entry is what a route leads to.
type entry struct {
	name    string
	chain   filter.Func
	timeout time.Duration
	stream  bool
	prio    message.Priority
	words   []string // filter words in order, for explain
	service string
	view    *aggregate.View // nil of a route
}

// cluster is a service and the key of its definition.
type cluster struct {
	*upstream.Cluster
	key   string
	chain filter.Func // service filters around the call
}

const defaultTimeout = 15 * time.Second

// Build makes a Runtime of a Config, or says everything that is wrong with it as
// field errors of package diag. It opens nothing and starts nothing. What prev
// has and the new Config leaves unchanged is carried over. Warnings refuse nothing:
// see [Runtime.Warnings].
func Build(cfg Config, env Env, prev *Runtime) (*Runtime, error) {
	env = env.inherit(prev).withDefaults()
	rt := &Runtime{
		Config: cfg, Version: 1, Built: time.Now(), env: env,
		clusters: make(map[string]*cluster), kept: make(map[string]any), listeners: make(map[string]*front),
	}
	if prev != nil {
		rt.Version = prev.Version + 1
	}
	b := &builder{rt: rt, prev: prev, contracts: make(map[contract.Config]read), unread: make(map[string]bool)}
	b.services()
	b.routes()
	b.fronts()
	found := errors.Join(b.faults...)
	if slices.ContainsFunc(diag.Flatten(found), func(e *diag.FieldError) bool { return !e.Warn }) {
		return nil, found
	}
	rt.warnings = found
	return rt, nil
}

// Warnings are what Build found that keeps nothing from working, as field errors;
// nil without any.
func (rt *Runtime) Warnings() error { return rt.warnings }

type builder struct {
	rt     *Runtime
	prev   *Runtime
	faults []error
	// contracts are those that were read for this Runtime.
	contracts map[contract.Config]read
	unread    map[string]bool // files of contracts, which was told
}

func (b *builder) fault(path string, err error) {
	if err != nil {
		b.faults = append(b.faults, diag.Under(path, err))
	}
}

// services makes the clusters first, then their filters, which may name any service.
func (b *builder) services() {
	names := slices.Sorted(maps.Keys(b.rt.Config.Services))
	for _, name := range names {
		c, err := b.cluster(name, b.rt.Config.Services[name].Config)
		b.fault("services."+name, err)
		if err == nil {
			b.rt.clusters[name] = c
		}
	}
	for _, name := range names {
		if cfg := b.rt.Config.Services[name].Contract; cfg != (contract.Config{}) {
			if _, err := b.contract("contract", cfg); err != nil {
				b.fault("services."+name, err)
				b.unread[cfg.File] = true
			}
		}
		path := "services." + name + ".filters"
		filters, _ := b.filters(path, "service:"+name, name, b.rt.Config.Services[name].Filters)
		if c := b.rt.clusters[name]; c != nil {
			c.chain = filter.Chain(b.rt.call(c), filters...)
		}
	}
}

// cluster takes an unchanged cluster over, else makes a new one.
func (b *builder) cluster(name string, cfg upstream.Config) (*cluster, error) {
	key := name + "\x00" + cfg.Key()
	if b.prev != nil {
		if old := b.prev.clusters[name]; old != nil && old.key == key {
			return &cluster{Cluster: old.Cluster, key: key}, nil
		}
	}
	c, err := upstream.New(name, cfg, upstream.Env{
		Log: b.rt.env.Log, Zone: b.rt.env.Zone, Watch: b.rt.env.Watch,
		Secret: b.rt.env.secret, Now: time.Now, Float: rand.Float64, Registry: b.rt.env.Registry, Remotes: b.rt.env.Remotes,
	})
	if err != nil {
		return nil, err
	}
	return &cluster{Cluster: c, key: key}, nil
}

// routes folds one chain per route and builds the table.
func (b *builder) routes() {
	global, _ := b.filters("filters", "global", "", b.rt.Config.Filters)
	list := b.rt.Config.Routes
	views := b.composed(global)
	rules, entries := make([]route.Rule[*entry], len(list), len(list)+len(views)), make([]entry, len(list))
	for i := range list {
		rc, e := &list[i], &entries[i]
		e.name = rc.NameAt(i)
		rules[i] = route.Rule[*entry]{Match: rc.Match, Name: e.name, Encoded: b.encoded(rc), Value: e}
	}
	rules = append(rules, views...)
	var old *route.Table[*entry]
	if b.prev != nil {
		old = b.prev.table
	}
	// The table does not look into the entries: both are made side by side, since
	// a change waits for them.
	var table sync.WaitGroup
	var err error
	table.Go(func() { b.rt.table, err = old.Rebuild(rules) })
	for i := range list {
		b.entry(&entries[i], diag.Index("routes", i), &list[i], global)
	}
	table.Wait()
	b.fault("", b.rt.Config.faultsOf(err))
	b.rt.rules = rules
}

// NameAt is the name of the route at place i of the list.
func (rc *RouteConfig) NameAt(i int) string {
	switch {
	case rc.Name != "":
		return rc.Name
	case rc.To != "":
		return fmt.Sprintf("%s#%d", rc.To, i+1)
	default:
		return fmt.Sprintf("route#%d", i+1)
	}
}

// encoded is what happens to paths with further readings: refused where a
// filter decides by the path, unless the route says otherwise (gateway §3.2).
func (b *builder) encoded(rc *RouteConfig) route.Encoded {
	decides := func(n filter.Named) bool { return n.Word == "authz" || n.Word == "extauth" }
	if rc.Encoded == "" && (slices.ContainsFunc(rc.Filters, decides) || slices.ContainsFunc(b.rt.Config.Filters, decides)) {
		return route.Refuse
	}
	return route.Encoded(rc.Encoded)
}

func (b *builder) entry(e *entry, path string, rc *RouteConfig, global []filter.Filter) {
	e.timeout, e.stream, e.service = defaultTimeout, rc.Stream, rc.To
	if rc.Timeout != nil {
		e.timeout = *rc.Timeout
		if e.timeout < 0 || e.timeout > 0 && e.timeout < time.Millisecond {
			b.fault(path+".timeout", diag.At("", "%v is too short to be meant", e.timeout).WithFix("write a time such as 15s, or 0 for none"))
		}
	}
	if rc.Priority != "" {
		var known bool
		if e.prio, known = message.ParsePriority(rc.Priority); !known {
			b.fault(path+".priority", diag.At("", "%q is no priority", rc.Priority).WithFix("write high, normal, low or sheddable"))
		}
	}
	own, words := b.filters(path+".filters", e.name, rc.To, rc.Filters)
	for _, n := range b.rt.Config.Filters {
		e.words = append(e.words, n.Word)
	}
	e.words = append(e.words, words...)
	last := b.target(path, rc)
	e.chain = filter.Chain(last, slices.Concat(global, own)...)
}

// target is the end of a route's chain: its service.
func (b *builder) target(path string, rc *RouteConfig) filter.Func {
	if rc.To == "" {
		if !answers(rc.Filters) {
			b.fault(path, diag.At("", "the route leads nowhere").
				WithFix("add to: SERVICE, or a filter that answers (redirect, respond, split)"))
		}
		return func(*message.Request) (*message.Response, error) {
			return nil, problem.New(404, "no_route", "no filter of this route answered")
		}
	}
	fn, err := b.rt.service(rc.To)
	if _, defined := b.rt.Config.Services[rc.To]; err != nil && !defined { // else its own fault was told
		b.fault(path+".to", diag.At("", "%v", err).WithCode("reference").WithFix("name one of services:"))
	}
	return fn
}

// answers tells whether one of the filters can end the chain itself.
func answers(filters []filter.Named) bool {
	return slices.ContainsFunc(filters, func(n filter.Named) bool {
		return slices.Contains([]string{"redirect", "respond", "split", "maintenance"}, n.Word)
	})
}

// service gives a service with its filters as a Func. It is resolved at the
// first call, because service filters may name services that are not made yet.
func (rt *Runtime) service(name string) (filter.Func, error) {
	c := rt.clusters[name]
	if c == nil {
		return nil, fmt.Errorf("there is no service %q", name)
	}
	return func(r *message.Request) (*message.Response, error) { return c.chain(r) }, nil
}

// filters makes the filters of one list, which lead to a service or to "" for several.
func (b *builder) filters(path, owner, to string, list []filter.Named) ([]filter.Filter, []string) {
	out := make([]filter.Filter, 0, len(list))
	words := make([]string, 0, len(list))
	for i, n := range list {
		f, err := n.Config.Filter(b.env(owner, to))
		if err != nil && !errors.Is(err, errTold) {
			b.fault(diag.Index(path, i)+"."+n.Word, err)
		}
		if f != nil {
			out = append(out, f)
		}
		words = append(words, n.Word)
	}
	return out, words
}

func (b *builder) env(owner, to string) filter.Env {
	e := b.rt.env
	key := ""
	var guard filter.Guard
	if c := b.rt.clusters[to]; c != nil {
		key, guard = c.key, c.Cluster
	}
	return filter.Env{
		Route:    owner,
		To:       to,
		ToKey:    key,
		Guard:    guard,
		Contract: b.rt.Config.Services[to].Contract, LoadContract: b.contract,
		Service: b.rt.service,
		Keep:    b.keep,
		Log:     e.Log,
		Secret:  e.secret,
		Count:   func(f, reason string) { e.Count(f, owner, reason) },
		Now:     time.Now,
		Float:   rand.Float64,
	}
}

// read is a contract, or why there is none.
type read struct {
	contract *contract.Contract
	err      error
}

// errTold is the error of who needs a contract that could not be read, which was
// told where the service names it.
var errTold = errors.New("the contract could not be read")

// contract reads each contract once.
func (b *builder) contract(at string, cfg contract.Config) (*contract.Contract, error) {
	if r, known := b.contracts[cfg]; known && r.err == nil {
		return r.contract, nil
	}
	if at == "" && b.unread[cfg.File] {
		return nil, errTold
	}
	c, err := filter.LoadContract(b.rt.env.Decode, at, cfg)
	b.contracts[cfg] = read{c, err}
	if err == nil {
		b.note(c.Files...)
	}
	return c, err
}

// keep carries a filter's state over from the previous configuration.
func (b *builder) keep(key string, mk func() any) any {
	if v, ok := b.rt.kept[key]; ok {
		return v
	}
	var v any
	if b.prev != nil {
		v = b.prev.kept[key]
	}
	if v == nil {
		v = mk()
	}
	b.rt.kept[key] = v
	return v
}

// readFile reads a file that the configuration names.
func (b *builder) readFile(name string) ([]byte, error) {
	b.note(name)
	return os.ReadFile(name) //nolint:gosec // the operator names the file
}

// note keeps what files were when they were read.
func (b *builder) note(names ...string) {
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			b.rt.files = append(b.rt.files, File{name, info.ModTime()})
		}
	}
}

// File is a file that a Runtime was built from, and when that had been changed.
type File struct {
	Name     string
	Modified time.Time
}

// Files are the contracts, protocols and documents that were read to build this:
// names as the configuration has them, and of patterns the folders too. When one of
// them changes, the configuration says something else.
func (rt *Runtime) Files() []File { return rt.files }

// Kept gives the filter state under key, or nil: for admin actions such as purging a cache.
func (rt *Runtime) Kept() map[string]any { return rt.kept }
