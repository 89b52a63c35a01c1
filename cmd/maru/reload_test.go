package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// estate is the text of a configuration with many routes; turn names what
// changes.
func estate(routes, turn int) string {
	var b strings.Builder
	b.WriteString("listen: {public: {address: '127.0.0.1:0'}}\nadmin: {address: off}\nlog: {access: off, level: error}\nservices:\n")
	for i := range 100 {
		fmt.Fprintf(&b, "  s%d: {url: http://127.0.0.1:9}\n", i)
	}
	b.WriteString("routes:\n")
	for i := range routes {
		to := i % 100
		if i == routes/3 {
			to = turn % 100
		}
		fmt.Fprintf(&b, "  - match: /svc%d/res%d/{id}\n    to: s%d\n", i%100, i, to)
	}
	return b.String()
}

// TestReloadsLeaveNothingBehind changes everything that can change many times:
// goroutines and memory end where they were (pain 5).
func TestReloadsLeaveNothingBehind(t *testing.T) { //nolint:paralleltest // it counts goroutines
	loader, turn := new(config.Loader), 0
	g := &gateway{load: func() (*config.File, []diag.Finding) {
		var b strings.Builder
		fmt.Fprintf(&b, "listen: {public: {address: '127.0.0.1:0', h2c: true, limits: {header-count: %d}}}\n", 50+turn%50)
		b.WriteString("admin: {address: '127.0.0.1:0'}\nlog: {access: off, level: error}\nservices:\n")
		for i := range 20 {
			fmt.Fprintf(&b, "  s%d: {urls: [http://127.0.0.1:%d, http://127.0.0.1:9]}\n", i, 1000+turn%5000)
		}
		fmt.Fprintf(&b, "  dns: {dns: {name: localhost, port: %d}}\n  file: {file: /nowhere/%d.json}\nroutes:\n", 1000+turn, turn)
		for i := range 200 {
			fmt.Fprintf(&b, "  - {name: r%d-%d, match: /a%d/%d, to: s%d}\n", turn, i, turn, i, i%20)
		}
		fmt.Fprintf(&b, "  - {match: /dns/%d, to: dns}\n  - {match: /file/%d, to: file}\n", turn, turn)
		return loader.LoadBytes("maru.yaml", []byte(b.String()))
	}}
	ctx, stop := context.WithCancel(t.Context())
	var alive sync.WaitGroup
	g.prepare(ctx, &alive)
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	reload := func(n int) (goroutines int, heap uint64) {
		for range n {
			turn++
			if r := g.reload("signal"); r.Refused() {
				t.Fatal(r.Findings, r.Err)
			}
		}
		goroutines = settled(func() int { runtime.GC(); return runtime.NumGoroutine() })
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return goroutines, m.HeapAlloc
	}
	goroutines, heap := reload(50)
	after, heapAfter := reload(250)
	if after > goroutines+5 {
		t.Errorf("%d goroutines after 50 reloads, %d after 300", goroutines, after)
	}
	if heapAfter > heap+heap/10+1<<20 {
		t.Errorf("%d kB live after 50 reloads, %d kB after 300", heap>>10, heapAfter>>10)
	}
	t.Logf("after 50 reloads %d goroutines and %d kB, after 300 %d and %d kB", goroutines, heap>>10, after, heapAfter>>10)
	if err := g.server.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	g.desk.close()
	stop()
	alive.Wait()
}

// settled measures until a value has not fallen for longer than connections of
// replaced listeners take to end.
func settled(measure func() int) int {
	const still = 1500 * time.Millisecond
	least := measure()
	for since := time.Now(); time.Since(since) < still; time.Sleep(50 * time.Millisecond) {
		if now := measure(); now < least {
			least, since = now, time.Now()
		}
	}
	return least
}

// BenchmarkReload is one change of one route among 10,000, without the wait for
// the file to settle: what is left of 50 ms for it is 40 ms.
func BenchmarkReload(b *testing.B) {
	loader := new(config.Loader)
	texts := [][]byte{[]byte(estate(10_000, 1)), []byte(estate(10_000, 2))}
	turn := 0
	g := &gateway{load: func() (*config.File, []diag.Finding) { return loader.LoadBytes("maru.yaml", texts[turn%2]) }}
	var alive sync.WaitGroup
	g.prepare(b.Context(), &alive)
	if err := g.start(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		turn++
		if r := g.reload("signal"); r.Refused() {
			b.Fatal(r.Findings, r.Err)
		}
	}
	if err := g.server.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
}
