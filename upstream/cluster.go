// Package upstream calls services: it knows their endpoints, chooses one for
// each request, keeps connections to them, and turns what goes wrong into
// problems.
//
// The flow: [New] checks a [Config] and makes a [Cluster] that is usable at
// once when its endpoints are in the file; [Cluster.Run] runs the sources that
// find others (DNS, a file, a registry), watches how the endpoints do (see
// health.go) and closes connections that lie idle too long.
// [Cluster.Do] is the way of a request: past the service's guard (guard.go: a
// place under the limit, the breaker's permit), the current endpoint set is loaded
// (one atomic pointer), a picker chooses, the endpoint's pool gives a connection or
// dials one, http1 (or HTTP/2) makes the exchange, and the outcome feeds the
// endpoint's averages and the guard. Releasing the response gives the connection
// back.
//
// Do tries again only where that can't do harm: when a pooled connection turned
// out to be dead (RFC 9112 §9.3.1), when nothing was sent, and where a request may
// be sent twice (guard_retry.go), within the service's budget.
package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maru-msa/maru/diag"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/message"
)

// Env is what a cluster may use of the house. Every field may be left out.
type Env struct {
	// Log is for operators; nil discards.
	Log *slog.Logger
	// Now is the clock of slow paths (default time.Now).
	Now func() time.Time
	// Float gives random numbers in [0, 1) (default math/rand).
	Float func() float64
	// Zone is where this process runs; "" turns zone preference off.
	Zone string
	// Secret derives a key of 32 bytes for a purpose, stable over restarts; nil
	// makes a random one, which ends sticky sessions with the process.
	Secret func(purpose string) []byte
	// Watch keeps the deadlines of connections and must be running; nil makes
	// one that runs while the cluster does.
	Watch *http1.Watchdog
	// Registry is the registry of this process; nil means that there is none.
	Registry Registry
	// Remotes are the registries elsewhere that services follow; nil means that
	// this cluster shares its reader with no other.
	Remotes *Remotes
	// Dial makes connections (default a net.Dialer).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Source finds endpoints. Run blocks until ctx ends and calls set with the full
// set whenever it changes; set's error tells that it was refused and the one
// before stays.
type Source interface {
	Run(ctx context.Context, set func([]Addr) error) error
}

// Registry is a registry of services in this process.
type Registry interface {
	// Follow tells set the endpoints of a service now and after each change,
	// until ctx ends. byIP asks for addresses instead of host names.
	Follow(ctx context.Context, service string, byIP bool, set func([]Addr) error) error
}

// Cluster is one service: its endpoints, and what was learnt about them.
type Cluster struct {
	name     string
	cfg      Config
	env      Env
	born     time.Time
	tls      *tls.Config
	h1cfg    http1.ClientConfig
	ownWatch *http1.Watchdog
	balancer *balancer
	source   Source // nil for endpoints from the file
	macKey   []byte

	set    atomic.Pointer[set]
	setMu  sync.Mutex // writers of set
	filled chan struct{}
	once   sync.Once

	guard   *guard
	learned atomic.Pointer[learned]
	retired atomic.Bool
	health  clusterHealth
	counters
}

// counters are what [Stats] shows of a cluster besides its endpoints.
type counters struct {
	dead         atomic.Uint64 // pooled connections found dead before use
	staleFree    atomic.Uint64 // replaced, nothing had been sent
	staleReplay  atomic.Uint64 // replaced, the request was sent again
	stalePost    atomic.Uint64 // refused to send again
	extraBytes   atomic.Uint64 // responses with bytes behind them; their connection was closed
	failover     atomic.Uint64 // another endpoint after a failed connect
	overloaded   atomic.Uint64 // too many waited
	noEndpoint   atomic.Uint64
	sourceErrors atomic.Uint64
	sourceError  atomic.Pointer[lastError]
	sourceGood   atomic.Int64 // when the endpoints were last confirmed, Unix nanoseconds
}

// New makes the cluster of a service. It reads the TLS files of the definition
// but opens no connection and starts nothing. The error holds all faults as
// field errors of package diag.
func New(name string, cfg Config, env Env) (*Cluster, error) { //nolint:gocritic // kept as a value
	if err := refusals(cfg.Check()); err != nil {
		return nil, err
	}
	c := &Cluster{name: name, cfg: cfg.withDefaults(), env: env.withDefaults(), filled: make(chan struct{})}
	c.born = c.env.Now()
	var err error
	if c.tls, err = clientTLS(cfg.TLS); err != nil {
		return nil, err
	}
	if c.env.Watch == nil {
		c.ownWatch = http1.NewWatchdog()
		c.env.Watch = c.ownWatch
	}
	c.h1cfg = http1.ClientConfig{Limits: c.cfg.Limits, Watch: c.env.Watch}
	c.balancer = newBalancer(c.cfg.Balance, *c.cfg.SlowStart, c.env.Float, c.born)
	c.macKey = c.env.Secret("sticky " + name)
	c.set.Store(&set{})
	c.guard = newGuard(c)
	c.source = newSource(c)
	if addrs := c.cfg.static(); addrs != nil {
		if err := c.Set(addrs); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// refusals drops the warnings among findings.
func refusals(err error) error {
	var errs []error
	for _, e := range diag.Flatten(err) {
		if !e.Warn {
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

func (e Env) withDefaults() Env { //nolint:gocritic // the copy is the point
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Float == nil {
		e.Float = mathrand.Float64
	}
	if e.Secret == nil {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		e.Secret = func(string) []byte { return key }
	}
	if e.Dial == nil {
		e.Dial = new(net.Dialer).DialContext
	}
	return e
}

func (c *Config) static() []Addr {
	if c.URL != "" {
		return []Addr{{URL: c.URL}}
	}
	var addrs []Addr
	for _, e := range c.URLs {
		addrs = append(addrs, Addr(e))
	}
	return addrs
}

// Name is the service's name.
func (c *Cluster) Name() string { return c.name }

// Key is the key of the definition, see [Config.Key].
func (c *Cluster) Key() string { return c.cfg.Key() }

// Run finds endpoints and closes idle connections until ctx ends; then it
// closes what lies idle. Exchanges under way go on.
func (c *Cluster) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	if c.ownWatch != nil {
		wait.Go(func() { _ = c.ownWatch.Run(ctx) })
	}
	if c.source != nil {
		wait.Go(func() { c.runSource(ctx) })
	}
	tick := time.NewTimer(lookIdle)
	defer tick.Stop()
	for swept := c.env.Now(); ; {
		select {
		case <-ctx.Done():
			c.CloseIdle()
			return nil
		case <-tick.C:
		}
		now := c.env.Now()
		tick.Reset(min(c.look(now), c.startChecks(ctx, now, &wait)))
		if now.Sub(swept) >= time.Second {
			c.sweep(now)
			swept = now
		}
	}
}

// runSource keeps the source running; it ends only by a fault of its own.
func (c *Cluster) runSource(ctx context.Context) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := c.source.Run(ctx, func(addrs []Addr) error {
			err := c.Set(addrs)
			if err == nil {
				c.sourceFine()
			}
			return err
		})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended")
		}
		c.sourceFailed(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// sourceFine notes that the endpoints are as the source has them.
func (c *Cluster) sourceFine() {
	c.sourceGood.Store(c.env.Now().UnixNano())
	c.sourceError.Store(nil)
}

// sourceFailed notes that endpoints could not be found; those known stay.
func (c *Cluster) sourceFailed(err error) {
	c.sourceErrors.Add(1)
	last := c.sourceError.Swap(&lastError{text: err.Error(), at: c.env.Now()})
	if last == nil || last.text != err.Error() {
		c.env.Log.Warn("finding endpoints failed, the known ones stay", "service", c.name, "error", err)
	}
}

func (c *Cluster) sweep(now time.Time) {
	for _, ep := range c.set.Load().all {
		c.reap(ep, now)
		if ep.h2 != nil {
			ep.h2.reap(now)
		}
	}
}

// CloseIdle closes every connection that is not in use.
func (c *Cluster) CloseIdle() {
	for _, ep := range c.set.Load().all {
		c.closeIdle(ep)
		if ep.h2 != nil {
			ep.h2.retireAll()
		}
	}
}

// Retire ends the cluster's use: idle connections close now, and each other one
// when its exchange ends. Exchanges may go on, and begin.
func (c *Cluster) Retire() {
	c.retired.Store(true)
	c.CloseIdle()
}

// Set makes addrs the whole endpoint set. Endpoints that stay keep their
// connections and what was learnt about them; those that are gone finish their
// exchanges. A bad address refuses the whole set.
func (c *Cluster) Set(addrs []Addr) error {
	if len(addrs) > maxEndpoints {
		return fmt.Errorf("%d endpoints are more than %d", len(addrs), maxEndpoints)
	}
	targets := make([]target, len(addrs))
	for i, a := range addrs {
		t, err := parseTarget(a.URL)
		if err != nil {
			return err
		}
		if a.Weight < 0 || a.Weight > maxWeight {
			return fmt.Errorf("%s: weight %d is not between 1 and %d", a.URL, a.Weight, maxWeight)
		}
		if c.cfg.HTTP == HTTP2 && !t.tls || c.cfg.HTTP == HTTP2C && t.tls {
			return fmt.Errorf("%s does not fit http: %s", a.URL, c.cfg.HTTP)
		}
		targets[i] = t
	}
	c.setMu.Lock()
	defer c.setMu.Unlock()
	old := c.set.Load()
	before := make(map[string]*Endpoint, len(old.all))
	for _, e := range old.all {
		before[e.target.key()] = e
	}
	var all []*Endpoint
	taken := make(map[string]bool, len(addrs))
	for i, t := range targets {
		key := t.key()
		if taken[key] {
			continue
		}
		taken[key] = true
		e := before[key]
		if e == nil {
			e = c.newEndpoint(t, c.isFilled())
		}
		e.describe(addrs[i]) //nolint:gosec // there is a target for each address
		all = append(all, e)
	}
	c.set.Store(c.newSet(all))
	for key, e := range before {
		if !taken[key] {
			c.remove(e)
		}
	}
	c.once.Do(func() { close(c.filled) })
	return nil
}

func (c *Cluster) newEndpoint(t target, late bool) *Endpoint {
	e := &Endpoint{name: t.address, target: t, dial: c.tlsFor(t)}
	e.pool.init()
	if late {
		c.startSlowly(e, c.env.Now())
	}
	if c.cfg.HTTP != HTTP1 {
		e.h2 = newH2Pool(c, e)
	}
	if c.cfg.Sticky != nil {
		h := hmac.New(sha256.New, c.macKey)
		h.Write([]byte(t.key()))
		e.mac = base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
		e.cookie = c.cfg.Sticky.Cookie + "=" + e.mac + "; Path=/; HttpOnly; SameSite=Lax"
		e.cookieSecure = e.cookie + "; Secure"
	}
	return e
}

func (c *Cluster) remove(e *Endpoint) {
	e.state.Store(uint32(Gone))
	e.usable.Store(false)
	c.closeIdle(e)
	if e.h2 != nil {
		e.h2.retireAll()
	}
}

func (c *Cluster) isFilled() bool {
	select {
	case <-c.filled:
		return true
	default:
		return false
	}
}

// Filled is closed once the cluster knows its endpoints for the first time.
func (c *Cluster) Filled() <-chan struct{} { return c.filled }

// Warm waits until the endpoints are known and has one idle connection to each
// of the first n, so that the first requests need not dial. It needs Run. An
// endpoint that can't be reached is no error: requests will find out.
func (c *Cluster) Warm(ctx context.Context, n int) error {
	select {
	case <-c.filled:
	case <-ctx.Done():
		return fmt.Errorf("service %s: no endpoints known yet: %w", c.name, ctx.Err())
	}
	r := message.NewRequest()
	defer r.Release()
	for _, ep := range c.set.Load().usable {
		if n--; n < 0 {
			break
		}
		if ep.h2 != nil || ep.pool.open.Load() > 0 || !ep.pool.reserve(int64(c.cfg.Connections.Max), false, c) {
			continue
		}
		cn, err := c.connect(ep, r, time.Now())
		if err != nil {
			continue
		}
		cn.since = time.Now()
		c.keep(cn)
	}
	return nil
}
