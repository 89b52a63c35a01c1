package upstream

import (
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestExplore(t *testing.T) {
	modes := map[string]int32{"hang": hangs, "500": fails500, "503": fails503, "slow": slow10, "refuse": refuses, "reset": resets}
	for name, mode := range modes {
		if want := os.Getenv("MODE"); want != "" && want != name {
			continue
		}
		for _, kind := range []string{peakEWMA, roundRobin} {
			for _, took := range []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
				synctest.Test(t, func(t *testing.T) {
					e := newEstate(t, 3, took, Config{Balance: Balance{Kind: kind}})
					defer e.stop()
					var st string
					out := e.load(500, 40*time.Second, map[time.Duration]func(){
						5 * time.Second: func() { e.instances[0].become(mode) },
						20 * time.Second: func() {
							st = e.states() + fmt.Sprint(e.Stats().Ejections, e.row(0).Ejected)
							e.instances[0].become(healthy)
						},
					})
					h := between(out, 1*time.Second, 5*time.Second)
					f := between(out, 7*time.Second, 20*time.Second)
					first := between(out, 5*time.Second, 7*time.Second)
					var s string
					for k := range 10 {
						s += fmt.Sprintf(" %.2f", share(between(out, time.Duration(20+2*k)*time.Second, time.Duration(22+2*k)*time.Second), "e0:80"))
					}
					fmt.Printf("%-7s %-12s %5v healthy p99 %v err %d | first 2s p99 %v err %d | fault p99 %v err %d of %d | share%s | %s\n", name, kind, took, p99(h), errorsIn(h), p99(first), errorsIn(first), p99(f), errorsIn(f), len(f), s, st)
				})
			}
		}
	}
}
