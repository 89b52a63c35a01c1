package registry

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// handOver moves the state from one registry to another and gives how much was
// written.
func handOver(t *testing.T, from, to *Registry, since uint64) (version uint64, size int) {
	t.Helper()
	var b bytes.Buffer
	version, err := from.Export(&b, since)
	if err != nil {
		t.Fatal(err)
	}
	size = b.Len()
	b.WriteString("what follows\n")
	in := bufio.NewReader(&b)
	if err := to.Import(in); err != nil {
		t.Fatal(err)
	}
	if rest, _ := in.ReadString('\n'); rest != "what follows\n" {
		t.Errorf("after the registry comes %q", rest)
	}
	return version, size
}

// pictures are what clients of a registry see, without the counter of deltas and
// the times of renewals, which depend on when a body was built.
func pictures(t *testing.T, g *Registry) string {
	t.Helper()
	mask := regexp.MustCompile(`"(versions__delta|lastRenewalTimestamp)":"?\d+"?`)
	all := get(t, g, "/eureka/apps") + "\n" + get(t, g, "/eureka/apps/delta") + "\n" + get(t, g, "/serverinfo/statusoverrides")
	return mask.ReplaceAllString(all, "")
}

// A registry that takes another's place goes on with its instances, leases,
// overrides, deltas and watches.
func TestHandOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := started(t, Config{})
		for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "dies"} {
			add(t, old, "BASKET", id)
		}
		time.Sleep(200 * time.Second) // out of the change log, for all but what was evicted
		renewAll := func(g *Registry) {
			for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
				g.renew(key{"BASKET", id}, renewal{})
			}
		}
		renewAll(old)
		add(t, old, "CART", "gone")
		old.cancel(key{"CART", "gone"}, false)
		add(t, old, "CART", "drained")
		old.setStatus(key{"CART", "drained"}, OutOfService, 0, false)
		old.overrides[key{"CART", "away"}] = &override{Down, true, old.env.Elapsed()}

		time.Sleep(10 * time.Second)
		heir := New(Config{}, Env{})
		version, whole := handOver(t, old, heir, 0)
		if a, b := pictures(t, old), pictures(t, heir); a != b {
			t.Fatalf("the old registry gives\n%s\nits heir\n%s", a, b)
		}
		if !strings.Contains(pictures(t, heir), `"actionType":"DELETED"`) {
			t.Error("what left is not in the delta of the heir")
		}

		old.cancel(key{"BASKET", "8"}, false)
		add(t, old, "BASKET", "9")
		_, changes := handOver(t, old, heir, version)
		if a, b := pictures(t, old), pictures(t, heir); a != b {
			t.Errorf("after further changes the old registry gives\n%s\nits heir\n%s", a, b)
		}
		if changes > whole/2 {
			t.Errorf("two changes take %d bytes, all %d", changes, whole)
		}
		a, err := old.Details("basket", "2")
		if err != nil {
			t.Fatal(err)
		}
		b, err := heir.Details("basket", "2")
		if err != nil || !a.Deadline.Equal(*b.Deadline) || !a.Renewed.Equal(*b.Renewed) || *a.Registered != *b.Registered {
			t.Errorf("the lease was %+v, is %+v: %v", a, b, err)
		}
		heir.mu.RLock()
		list, ok := heir.since(version)
		heir.mu.RUnlock()
		if !ok || len(list) != 2 {
			t.Errorf("a watch that goes on is told of %d changes: %v", len(list), ok)
		}

		run(t, heir)
		for range 8 {
			time.Sleep(20 * time.Second)
			renewAll(heir)
		}
		if got := strings.Count(get(t, heir, "/eureka/apps/BASKET"), `"instanceId"`); got != 7 {
			t.Errorf("%d instances live on, not the 7 that renew", got)
		}
	})
}

// What a predecessor can't tell right leaves the registry as it was, or one
// instance out.
func TestHandOverOfRubbish(t *testing.T) {
	t.Parallel()
	g := New(Config{}, Env{})
	add(t, g, "BASKET", "1")
	for _, text := range []string{"", "{}", "{}\n", "{}\nnot JSON\n\n", "not JSON\n\n", "{}\n{\"app\":1}\n\n"} {
		if err := g.Import(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%q is taken", text)
		}
		if g.size() != 1 {
			t.Fatalf("%q changed the registry", text)
		}
	}
	text := `{"version":5,"trimmed":4}` + "\n" + `{"app":"A","id":"bodiless"}` + "\n" + `{"app":"A","id":"bad","instance":{"port":[]}}` + "\n" +
		`{"app":"BASKET","id":"1"}` + "\n" + `{"app":"BASKET","id":"1"}` + "\n\n"
	if err := g.Import(bufio.NewReader(strings.NewReader(text))); err != nil {
		t.Error(err)
	}
	if g.size() != 1 || g.totals.damaged.Load() != 3 || g.version != 5 {
		t.Errorf("it holds %d instances, %d damaged, version %d", g.size(), g.totals.damaged.Load(), g.version)
	}
}

func FuzzImport(f *testing.F) {
	g := New(Config{}, Env{})
	_ = g.register(sample("BASKET", "1"), false)
	g.setStatus(key{"BASKET", "1"}, OutOfService, 0, false)
	_ = g.register(sample("CART", "2"), false)
	g.cancel(key{"CART", "2"}, false)
	var b bytes.Buffer
	if _, err := g.Export(&b, 0); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add(`{"version":5,"trimmed":4}` + "\n" + `{"app":"A","id":"1","override":"DOWN","idle":true,"age":5}` + "\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		heir := New(Config{}, Env{})
		if heir.Import(bufio.NewReader(strings.NewReader(text))) != nil {
			return
		}
		n := 0
		for _, app := range heir.apps {
			n += len(app.members)
		}
		if n != len(heir.records) {
			t.Errorf("%d instances are in applications, %d in all", n, len(heir.records))
		}
		if _, err := heir.Export(&bytes.Buffer{}, 0); err != nil {
			t.Error(err)
		}
	})
}
