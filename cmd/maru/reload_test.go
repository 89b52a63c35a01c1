package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

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
