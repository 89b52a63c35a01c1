package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// wire carries requests between registries in memory; cut breaks it.
type wire struct {
	hosts map[string]http.Handler
	cut   atomic.Bool
	sent  atomic.Int64
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	h := w.hosts[r.URL.Host]
	if h == nil || w.cut.Load() {
		return nil, errors.New("no route to host")
	}
	w.sent.Add(1)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// pair makes two registries that are peers of one another.
func pair(w *wire) (a, b *Registry) {
	peers := []string{"http://a/eureka", "http://b/eureka/"}
	env := Env{Client: &http.Client{Transport: w}}
	a = New(Config{Peers: peers, Self: "http://a/eureka/"}, env)
	b = New(Config{Peers: peers, Self: "http://b/eureka"}, env)
	w.hosts = map[string]http.Handler{"a": a, "b": b}
	return a, b
}

// state is what a registry serves of everything but the registries themselves.
func state(t *testing.T, g *Registry) string {
	t.Helper()
	m, _, _ := listingOf(t, get(t, g, "/eureka/apps"))
	delete(m, "EUREKA/a:eureka:80")
	delete(m, "EUREKA/b:eureka:80")
	return fmt.Sprint(m)
}

func TestPeersReplicate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		a, b := pair(w)
		run(t, a)
		run(t, b)
		time.Sleep(time.Minute) // they find one another
		add(t, a, "BASKET", "1")
		add(t, b, "BASKET", "2")
		time.Sleep(time.Second)
		want := "map[BASKET/1:UP BASKET/2:UP]"
		if state(t, a) != want || state(t, b) != want {
			t.Fatalf("a has %s, b has %s", state(t, a), state(t, b))
		}
		a.setStatus(key{"BASKET", "2"}, OutOfService, 0, false)
		b.cancel(key{"BASKET", "1"}, false)
		time.Sleep(time.Second)
		want = "map[BASKET/2:OUT_OF_SERVICE]"
		if state(t, a) != want || state(t, b) != want {
			t.Errorf("a has %s, b has %s", state(t, a), state(t, b))
		}
		if !strings.Contains(get(t, a, "/eureka/apps"), `"app":"EUREKA"`) {
			t.Error("a registry does not register itself")
		}
		if a.doubled() {
			t.Error("a maru peer counts as foreign")
		}
		before := w.sent.Load()
		time.Sleep(25 * time.Second)
		if n := w.sent.Load() - before; n > 10 {
			t.Errorf("%d batches in 25 s without a change: replication goes in circles", n)
		}
	})
}

// After a partition both sides agree by the heartbeats: 404 makes the sender
// register, 409 brings the newer instance back.
func TestPeersHeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		a, b := pair(w)
		run(t, a)
		run(t, b)
		time.Sleep(time.Minute)
		add(t, a, "BASKET", "1")
		time.Sleep(time.Second)
		w.cut.Store(true)
		add(t, a, "BASKET", "2")
		newer := sample("BASKET", "1")
		newer.HostName, newer.Dirty = "moved", 2000
		_ = b.register(newer, false)
		time.Sleep(40 * time.Second) // longer than items are kept
		w.cut.Store(false)
		for range 3 {
			a.renew(key{"BASKET", "1"}, renewal{})
			a.renew(key{"BASKET", "2"}, renewal{})
			time.Sleep(2 * time.Second)
		}
		if a.size() != b.size() {
			t.Errorf("a has %s, b has %s", state(t, a), state(t, b))
		}
		for name, g := range map[string]*Registry{"a": a, "b": b} {
			if !strings.Contains(get(t, g, "/eureka/apps/BASKET/1"), `"hostName":"moved"`) {
				t.Errorf("%s does not have the newer instance", name)
			}
		}
	})
}

// One that starts takes everything from its peer before it lets anyone read;
// without peer and copy its listings stay closed for a while.
func TestStartFromPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		a, b := pair(w)
		run(t, a)
		if resp, _ := (exchange{method: "GET", path: "/eureka/apps"}).run(t, a); resp.StatusCode != http.StatusForbidden {
			t.Errorf("listings of a registry that knows nothing give %d", resp.StatusCode)
		}
		time.Sleep(31 * time.Second)
		for i := range 1000 {
			add(t, a, "BASKET", fmt.Sprint(i))
		}
		run(t, b)
		if !b.opened.Load() || b.size() < 1000 {
			t.Errorf("b begins with %d instances", b.size())
		}
		if _, _, want := listingOf(t, get(t, a, "/eureka/apps/BASKET")); want != "" {
			t.Errorf("an application has the hash %s", want)
		}
	})
}

// kill -9 of one peer: the other evicts nobody, and the dead one comes back with
// everything.
func TestPeerIsKilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		a, b := pair(w)
		run(t, a)
		stop := run(t, b)
		time.Sleep(time.Minute)
		for i := range 100 {
			add(t, b, "BASKET", fmt.Sprint(i))
		}
		time.Sleep(time.Second)
		delete(w.hosts, "b")
		stop()
		for range 10 { // clients renew at the one that is left
			for i := range 100 {
				if code, _ := a.renew(key{"BASKET", fmt.Sprint(i)}, renewal{dirty: 1000}); code != http.StatusOK {
					t.Fatalf("a renewal at the other peer: %d", code)
				}
			}
			time.Sleep(30 * time.Second)
		}
		if n := strings.Count(state(t, a), "BASKET/"); n != 100 {
			t.Errorf("%d of 100 are left", n)
		}
		fresh := New(*b.cfg.Load(), b.env)
		w.hosts["b"] = fresh
		run(t, fresh)
		if state(t, fresh) != state(t, a) {
			t.Error("the peer that came back has something else")
		}
	})
}

// A status that was set, or given free, while the peers could not talk is known
// to both after the next renewal; the later change counts.
func TestStatusHealsAfterPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		a, b := pair(w)
		run(t, a)
		run(t, b)
		time.Sleep(time.Minute)
		add(t, a, "BASKET", "1")
		add(t, b, "BASKET", "2")
		time.Sleep(time.Second)
		k1, k2 := key{"BASKET", "1"}, key{"BASKET", "2"}
		apart := func(change func()) {
			w.cut.Store(true)
			change()
			time.Sleep(45 * time.Second) // longer than the change is kept
			w.cut.Store(false)
			for range 2 {
				a.renew(k1, renewal{})
				b.renew(k2, renewal{})
				time.Sleep(2 * time.Second)
			}
		}
		apart(func() { a.setStatus(k1, OutOfService, 0, false); a.setStatus(k2, OutOfService, 0, false) })
		// 2 renews at b, where nothing is known of the change until a tells of it.
		a.renew(k2, renewal{})
		time.Sleep(2 * time.Second)
		if want := "map[BASKET/1:OUT_OF_SERVICE BASKET/2:OUT_OF_SERVICE]"; state(t, a) != want || state(t, b) != want {
			t.Errorf("drained in a partition, a has %s, b %s", state(t, a), state(t, b))
		}
		apart(func() { b.clearStatus(k2, Up, 0, false) })
		if want := "map[BASKET/1:OUT_OF_SERVICE BASKET/2:UP]"; state(t, a) != want || state(t, b) != want {
			t.Errorf("restored in a partition, a has %s, b %s", state(t, a), state(t, b))
		}
		a.renew(k2, renewal{})
		if rec := a.records[k2]; rec.Status != Up || rec.Overridden != Unknown || a.overrides[k2] != nil {
			t.Errorf("an override is left: %v %v", rec.Status, rec.Overridden)
		}
	})
}

// A peer that begins with an old copy serves what happened while it was away.
func TestOldCopyYieldsToPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		a, b := pair(w)
		cfg := *a.cfg.Load()
		cfg.Data = t.TempDir()
		a.Configure(cfg)
		stop := run(t, a)
		run(t, b)
		time.Sleep(time.Minute)
		for _, id := range []string{"drained", "freed", "moved", "left"} {
			add(t, a, "BASKET", id)
		}
		a.setStatus(key{"BASKET", "freed"}, OutOfService, 0, false)
		time.Sleep(time.Second)
		delete(w.hosts, "a")
		stop()

		b.cancel(key{"BASKET", "left"}, false)
		time.Sleep(40 * time.Second) // longer than a is told of it
		b.setStatus(key{"BASKET", "drained"}, OutOfService, 0, false)
		b.clearStatus(key{"BASKET", "freed"}, Up, 0, false)
		moved := sample("BASKET", "moved")
		moved.HostName, moved.Dirty = "elsewhere", 2000
		_ = b.register(moved, false)
		add(t, b, "BASKET", "new")

		fresh := New(cfg, a.env)
		w.hosts["a"] = fresh
		run(t, fresh)
		want := "map[BASKET/drained:OUT_OF_SERVICE BASKET/freed:UP BASKET/left:UP BASKET/moved:UP BASKET/new:UP]"
		if got := state(t, fresh); got != want {
			t.Errorf("it begins with %s, not %s", got, want)
		}
		if !strings.Contains(get(t, fresh, "/eureka/apps/BASKET/moved"), "elsewhere") {
			t.Error("an instance that moved is where it was")
		}
		for range 12 { // what left without our knowing it ends with its lease
			for _, id := range []string{"drained", "freed", "moved", "new"} {
				b.renew(key{"BASKET", id}, renewal{})
			}
			time.Sleep(20 * time.Second)
		}
		if got := state(t, fresh); got != state(t, b) {
			t.Errorf("later it has %s, the other %s", got, state(t, b))
		}
	})
}

// A client that renews all the time must not hold up the others, and a peer that
// is away costs bounded memory.
func TestQueueOfPeer(t *testing.T) {
	t.Parallel()
	p := listOfPeers(&Config{Peers: []string{"http://x/eureka"}})[0]
	chatty := key{"A", "chatty"}
	p.push(item{action: actHeartbeat, key: chatty}, time.Second)
	p.push(item{action: actHeartbeat, key: chatty}, 5*time.Second)
	if q := p.queue[slot{actHeartbeat, chatty}]; q.at != time.Second {
		t.Errorf("a second renewal put the first off until %v", q.at)
	}
	for i := range 3 * mostQueued {
		p.push(item{action: actRegister, key: key{"A", fmt.Sprint(i)}}, 0)
		p.push(item{action: actRegister, key: chatty}, 0)
		p.push(item{action: actCancel, key: chatty}, 0)
	}
	if len(p.queue) > mostQueued || len(p.order) > 2*mostQueued+1 {
		t.Errorf("%d items, %d places", len(p.queue), len(p.order))
	}
}
