package http1

import (
	"testing"
	"testing/synctest"
	"time"
)

// §2 Connections per listener: a full gate holds accepting back.
func TestSection2Gate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10)
		for i := range 10 {
			if !g.Wait(nil) {
				t.Fatal("stopped")
			}
			if crowded := g.Enter(); crowded != (i >= 8) {
				t.Errorf("%d connections: crowded %v", i+1, crowded)
			}
		}
		passed := make(chan bool, 1)
		go func() { passed <- g.Wait(nil) }()
		synctest.Wait()
		select {
		case <-passed:
			t.Fatal("an eleventh may be accepted")
		default:
		}
		g.Leave()
		if !<-passed || g.Open() != 9 {
			t.Fatal(g.Open())
		}
		g.Enter()
		stop := make(chan struct{})
		go func() { passed <- g.Wait(stop) }()
		synctest.Wait()
		close(stop)
		if <-passed {
			t.Fatal("it was stopped")
		}
		go func() { passed <- g.Wait(nil) }()
		synctest.Wait()
		g.SetMax(11)
		if !<-passed {
			t.Fatal("there is room")
		}
	})
	if n := DefaultConnections(); n < 1 {
		t.Error(n)
	}
}

// §2: from nine tenths on, idle connections end after a second, the oldest first.
func TestSection2Crowded(t *testing.T) {
	t.Parallel()
	bubble(t, answering(okay), func(g *rig) {
		g.srv.Gate = NewGate(10)
		var clients []*client
		open := func(n int) {
			for range n {
				g.srv.Gate.Enter()
				g.srv.Shed()
				c := g.client()
				c.send(getA)
				after(100 * time.Millisecond)
				c.want(gotOK)
				clients = append(clients, c)
			}
		}
		open(8)
		after(10 * time.Second)
		if n := g.srv.Conns(); n != 8 {
			t.Fatalf("%d connections, want 8: nothing is short", n)
		}
		open(2) // ten: one more than nine tenths
		clients[0].want(gotOK + "<end>")
		clients[1].want(gotOK)
		after(1100 * time.Millisecond) // the last two began with a second of time
		clients[8].want(gotOK + "<end>")
		clients[9].want(gotOK + "<end>")
		clients[1].want(gotOK)
	})
}
