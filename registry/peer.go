package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Numbers of replication (specification §10).
const (
	batchItems   = 250
	batchDelay   = 500 * time.Millisecond
	batchBytes   = 16 << 20
	listingBytes = 512 << 20
	mostQueued   = 10_000
	itemLife     = 30 * time.Second
	fetchTries   = 5
	fetchPause   = time.Second
	closedFor    = 30 * time.Second // without a copy and without a peer
	ownRenewal   = 30 * time.Second
)

// The actions of a batch.
const (
	actRegister  = "Register"
	actHeartbeat = "Heartbeat"
	actCancel    = "Cancel"
	actStatus    = "StatusUpdate"
	actClear     = "DeleteStatusOverride"
)

// item is one change that peers are told of. What it says of the instance is
// filled in when it is sent.
type item struct {
	action string
	key    key
	status Status
	life   time.Duration // how long it is worth sending; 0 means itemLife
}

// slot is what items are de-duplicated by.
type slot struct {
	action string
	key    key
}

type queued struct {
	item
	at time.Duration
}

// peer is another registry of the cluster.
type peer struct {
	url     string
	mu      sync.Mutex
	queue   map[slot]*queued
	order   []slot
	wake    chan struct{}
	foreign atomic.Bool // it is not maru
	maru    atomic.Bool // it is, for certain
	reached atomic.Bool // the last batch got through
}

// forward queues a change for every peer.
func (g *Registry) forward(it item) {
	peers := g.peers.Load()
	if peers == nil {
		return
	}
	for _, p := range *peers {
		if !p.push(it, g.env.Elapsed()) {
			g.totals.dropped.Add(1)
		}
	}
}

// push queues an item; one that waits already keeps its place and its time, so
// that a client that renews all the time can't hold the others up.
func (p *peer) push(it item, now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch it.action { // the end of a lease and what goes on with it exclude each other
	case actCancel:
		for _, a := range []string{actRegister, actHeartbeat, actStatus, actClear} {
			delete(p.queue, slot{a, it.key})
		}
	case actRegister:
		delete(p.queue, slot{actCancel, it.key})
	}
	s := slot{it.action, it.key}
	if q := p.queue[s]; q != nil {
		q.item = it
		return true
	}
	if len(p.queue) >= mostQueued {
		return false
	}
	p.queue[s] = &queued{it, now}
	if p.order = append(p.order, s); len(p.order) > 2*mostQueued {
		p.compact()
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

// compact drops places whose items were taken back.
func (p *peer) compact() {
	seen := make(map[slot]bool, len(p.queue))
	p.order = slices.DeleteFunc(p.order, func(s slot) bool {
		if p.queue[s] == nil || seen[s] {
			return true
		}
		seen[s] = true
		return false
	})
}

// take gives the next items of a batch.
func (p *peer) take(now time.Duration) []queued {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []queued
	used := 0
	for _, s := range p.order {
		if len(out) == batchItems {
			break
		}
		used++
		q := p.queue[s]
		if q == nil {
			continue // taken back, or a second entry of its slot
		}
		delete(p.queue, s)
		if now-q.at <= cmp.Or(q.life, itemLife) {
			out = append(out, *q)
		}
	}
	p.order = slices.Delete(p.order, 0, used)
	return out
}

// back puts items of a batch that did not get through to the front again, but
// for those that something newer replaced.
func (p *peer) back(items []queued) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var front []slot
	for i := range items {
		s := slot{items[i].action, items[i].key}
		if p.queue[s] == nil && len(p.queue) < mostQueued {
			p.queue[s] = &items[i]
			front = append(front, s)
		}
	}
	p.order = append(front, p.order...)
}

func (p *peer) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// send sends batches until ctx ends, and then what still waits.
func (g *Registry) send(ctx context.Context, p *peer) {
	defer g.sendRest(ctx, p)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		if p.waiting() < batchItems && !pause(ctx, batchDelay) {
			return
		}
		for {
			items := p.take(g.env.Elapsed())
			if len(items) == 0 {
				break
			}
			if wait := g.deliver(ctx, p, items); wait > 0 && !pause(ctx, wait) {
				return
			}
		}
	}
}

// sendRest tells a peer that listens what it was not told yet: an end that was
// asked for loses nothing.
func (g *Registry) sendRest(ctx context.Context, p *peer) {
	if !p.reached.Load() {
		return
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	for {
		items := p.take(g.env.Elapsed())
		if len(items) == 0 || g.deliver(end, p, items) > 0 {
			return
		}
	}
}

// pause waits; false when ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// deliver sends one batch and gives how long to wait before the next.
func (g *Registry) deliver(ctx context.Context, p *peer, items []queued) time.Duration {
	resp, err := g.post(ctx, p.url+"/peerreplication/batch/", g.batch(items, p.maru.Load()))
	if err != nil {
		g.reach(p, false, err)
		p.back(items)
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			return time.Second
		}
		return 100 * time.Millisecond
	}
	defer func() { _ = resp.Body.Close() }()
	p.meet(strings.HasPrefix(resp.Header.Get("Server"), "maru"))
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		p.back(items)
		return time.Second
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		why := "the peer refuses"
		if resp.StatusCode == http.StatusUnauthorized {
			why = "the peer wants other credentials: write them into its URL"
		}
		g.reach(p, false, fmt.Errorf("%s: status %d", why, resp.StatusCode))
		g.totals.dropped.Add(uint64(len(items)))
		return 0
	}
	g.reach(p, true, nil)
	body, err := io.ReadAll(io.LimitReader(resp.Body, batchBytes))
	if err != nil {
		return 0
	}
	g.totals.replicated.Add(uint64(len(items)))
	g.learn(p, items, body)
	return 0
}

// reach notes whether a peer can be reached; a change is one line in the log.
func (g *Registry) reach(p *peer, ok bool, err error) {
	if p.reached.Swap(ok) == ok {
		return
	}
	if ok {
		g.env.Log.Info("a peer of the registry is reached", "peer", redacted(p.url))
		return
	}
	g.env.Log.Warn("a peer of the registry is lost", "peer", redacted(p.url), "error", err)
}

// redacted is a URL without its password.
func redacted(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return "?"
}

func (g *Registry) post(ctx context.Context, to string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Java-EurekaClient-Replication")
	req.Header.Set("X-Netflix-Discovery-Replication", "true")
	return g.env.Client.Do(req)
}

// batch writes items with the present state of their instances; to a maru also
// since when renewed ones have it.
func (g *Registry) batch(items []queued, maru bool) []byte {
	g.mu.RLock()
	defer g.mu.RUnlock()
	b := []byte(`{"replicationList":[`)
	for i, q := range items {
		if i > 0 {
			b = append(b, ',')
		}
		w := jsonWriter{append(b, '{'), true}
		w.text("appName", q.key.app)
		w.text("id", q.key.id)
		if rec := g.records[q.key]; rec != nil {
			w.number("lastDirtyTimestamp", rec.Dirty)
			if rec.Overridden != Unknown {
				w.text("overriddenStatus", rec.Overridden.String())
			}
			status := rec.Status
			if q.action == actStatus || q.action == actClear {
				status = q.status
			}
			w.text("status", status.String())
			if maru && q.action == actHeartbeat {
				w.number("lastUpdatedTimestamp", rec.Updated)
			}
			if q.action == actRegister {
				w.key("instanceInfo")
				w.b = appendJSON(w.b, rec.Instance, rec.lease.wall.Load(), style{})
			}
		}
		w.text("action", q.action)
		b = append(w.b, '}')
	}
	return append(b, `]}`...)
}

// learn acts on what a peer answered to each item.
func (g *Registry) learn(p *peer, items []queued, body []byte) {
	var answers struct {
		List []struct {
			Code   int     `json:"statusCode"`
			Entity *posted `json:"responseEntity"`
		} `json:"responseList"`
	}
	if json.Unmarshal(body, &answers) != nil || len(answers.List) != len(items) {
		return
	}
	for i, a := range answers.List {
		if items[i].action != actHeartbeat {
			continue
		}
		switch {
		case a.Code == http.StatusNotFound:
			p.push(item{action: actRegister, key: items[i].key}, g.env.Elapsed())
		case a.Code == http.StatusConflict && a.Entity != nil:
			in := a.Entity.instance(g.wall())
			if in.check(items[i].key.app) != nil || in.ID != items[i].key.id {
				continue
			}
			if in.Overridden != Unknown {
				g.adoptOverride(in.key(), in.Overridden)
			}
			_ = g.register(in, true) // it is registered already: never full
		}
	}
}

// receive runs a batch of a peer and gives the answer's body.
func (g *Registry) receive(list []replicated) []byte {
	b := []byte(`{"responseList":[`)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		code, entity := g.apply(&list[i])
		b = append(b, `{"statusCode":`...)
		b = strconv.AppendInt(b, int64(code), 10)
		if entity != nil {
			b = append(b, `,"responseEntity":`...)
			b = appendJSON(b, entity.Instance, entity.lease.wall.Load(), style{})
		}
		b = append(b, '}')
	}
	return append(b, `]}`...)
}

// apply runs one item.
func (g *Registry) apply(r *replicated) (int, *record) {
	k := key{strings.ToUpper(string(r.App)), string(r.ID)}
	status, _ := parseStatus(string(r.Status))
	found := true
	switch string(r.Action) {
	case actRegister:
		if r.Instance == nil {
			return http.StatusInternalServerError, nil
		}
		in := r.Instance.instance(g.wall())
		if err := in.check(k.app); err == nil {
			_ = g.register(in, true) // refused or not: the sender is told 200
		}
	case actHeartbeat:
		overridden, _ := parseStatus(string(r.Overridden))
		return g.renew(k, renewal{dirty: int64(r.Dirty), overridden: overridden, replication: true, status: status, updated: int64(r.Updated)})
	case actCancel:
		found = g.cancel(k, true)
	case actStatus:
		found = g.setStatus(k, status, int64(r.Dirty), true)
	case actClear:
		found = g.clearStatus(k, status, int64(r.Dirty), true)
	default:
		return http.StatusInternalServerError, nil
	}
	if !found {
		return http.StatusNotFound, nil
	}
	return http.StatusOK, nil
}

// withoutUser is a URL as it is compared: without credentials and a slash at the
// end.
func withoutUser(s string) string {
	if u, err := url.Parse(s); err == nil {
		u.User = nil
		s = u.String()
	}
	return strings.TrimRight(s, "/")
}

// listOfPeers makes the peers of the configuration, without ourselves.
func listOfPeers(cfg *Config) []*peer {
	var out []*peer
	self := withoutUser(cfg.Self)
	for _, u := range cfg.Peers {
		if u = strings.TrimRight(u, "/"); withoutUser(u) != self {
			out = append(out, &peer{url: u, queue: make(map[slot]*queued), wake: make(chan struct{}, 1)})
		}
	}
	return out
}

// fetch fills the registry from the first peer that answers.
func (g *Registry) fetch(ctx context.Context, peers []*peer) bool {
	for try := range fetchTries {
		if try > 0 && !pause(ctx, fetchPause) {
			return false
		}
		for _, p := range peers {
			n, err := g.fetchFrom(ctx, p)
			if err == nil {
				g.env.Log.Info("the registry was filled by a peer", "peer", redacted(p.url), "instances", n)
				return true
			}
			g.env.Log.Debug("a peer gives no listing", "peer", redacted(p.url), "error", err)
		}
	}
	return false
}

func (g *Registry) fetchFrom(ctx context.Context, p *peer) (int, error) {
	list, maru, err := Remote{URL: p.url, Client: g.env.Client}.list(ctx)
	if err != nil {
		return 0, err
	}
	p.meet(maru)
	n := 0
	for i := range list {
		in := list[i].instance(g.wall())
		if in.check("") == nil && g.adopt(in) == nil {
			n++
		}
	}
	return n, nil
}

// adopt takes an instance of a peer's listing in. Of one that we have, from a
// copy or because it registered already, the newer state is served.
func (g *Registry) adopt(in *Instance) error {
	g.mu.RLock()
	rec := g.records[in.key()]
	g.mu.RUnlock()
	if rec == nil || rec.Dirty < in.Dirty {
		return g.register(in, true)
	}
	switch {
	case rec.Dirty == in.Dirty && in.Updated > rec.Updated && (in.Status != rec.Status || in.Overridden != rec.Overridden):
		g.adoptState(in.key(), renewal{dirty: in.Dirty, status: in.Status, overridden: in.Overridden, updated: in.Updated})
	case rec.Dirty > in.Dirty && in.Overridden != Unknown && rec.Overridden == Unknown:
		g.adoptOverride(in.key(), in.Overridden) // it registered with us before we knew
	}
	return nil
}

// meet notes of what kind a peer is that answers.
func (p *peer) meet(maru bool) {
	p.maru.Store(maru)
	p.foreign.Store(!maru)
}

// enlist keeps ourselves registered, for pages of the original, which look for
// an instance whose host is the one of our URL.
func (g *Registry) enlist(ctx context.Context, self, name string) {
	u, err := url.Parse(self)
	if err != nil {
		return
	}
	port, _ := strconv.Atoi(cmp.Or(u.Port(), "80"))
	in := Instance{
		ID: u.Hostname() + ":" + strings.ToLower(name) + ":" + strconv.Itoa(port), App: strings.ToUpper(name), HostName: u.Hostname(), IPAddr: u.Hostname(),
		SID: "na", CountryID: 1, Status: Up, Port: Port{port, true}, SecurePort: Port{443, false},
		DataCenter: DataCenter{Class: plainCenter, Name: "MyOwn"}, VIP: strings.ToLower(name), SecureVIP: strings.ToLower(name),
		Coordinating: true, Dirty: g.wall(),
	}
	for {
		if code, _ := g.renew(in.key(), renewal{dirty: in.Dirty}); code != http.StatusOK {
			mine := in
			_ = g.register(&mine, false) // full: the next round tries again
		}
		if !pause(ctx, ownRenewal) {
			return
		}
	}
}
