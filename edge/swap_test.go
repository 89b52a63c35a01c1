package edge_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maru-msa/maru/edge"
	"github.com/maru-msa/maru/edge/edgetest"
	"github.com/maru-msa/maru/http1"
	"github.com/maru-msa/maru/upstream"
)

const get = "GET / HTTP/1.1\nHost: a\n\n"

// free gives an address of this machine that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// within waits for what happens by itself.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

func TestSwapKeepsConnectionsOfAnUnchangedListener(t *testing.T) {
	t.Parallel()
	one, two := edgetest.NewService(t, nil), edgetest.NewService(t, nil)
	cfg := edgetest.Config(t, one.URL(), edge.ListenerConfig{})
	g := edgetest.Start(t, cfg)
	c := g.Dial("public")
	edgetest.Talk(t, c, get)
	for i, url := range []string{two.URL(), one.URL(), two.URL()} {
		cfg.Services = map[string]edge.ServiceConfig{"service": {Config: upstream.Config{URL: url}}}
		g.Swap(cfg)
		if a := edgetest.Talk(t, c, get); a.Status != 200 || a.Header.Get("Connection") != "" {
			t.Errorf("change %d: status %d, Connection %q", i, a.Status, a.Header.Get("Connection"))
		}
	}
	if got, want := len(one.Requests()), 2; got != want {
		t.Errorf("the first service got %d requests, want %d", got, want)
	}
	if got, want := len(two.Requests()), 2; got != want {
		t.Errorf("the second service got %d requests, want %d", got, want)
	}
}

func TestSwapWithOtherLimitsEndsOldConnectionsGently(t *testing.T) {
	t.Parallel()
	cfg := edgetest.Config(t, edgetest.NewService(t, nil).URL(), edge.ListenerConfig{Limits: http1.Limits{HeaderCount: 50}})
	g := edgetest.Start(t, cfg)
	busy, idle := g.Dial("public"), g.Dial("public")
	edgetest.Talk(t, busy, get)
	edgetest.Talk(t, idle, get)
	old := g.Addr("public")
	cfg.Listen = map[string]edge.ListenerConfig{"public": {Address: "127.0.0.1:0", Limits: http1.Limits{HeaderCount: 60}}}
	g.Swap(cfg)
	if now := g.Addr("public"); now != old {
		t.Errorf("the socket changed from %s to %s", old, now)
	}
	within(t, "the old connection is told to end", func() bool {
		a := edgetest.Talk(t, busy, get)
		return a.Header.Get("Connection") == "close"
	})
	within(t, "the idle connection is closed", func() bool { return closed(idle) })
	if a := g.Say("public", get); a.Status != 200 || a.Header.Get("Connection") != "" {
		t.Errorf("a new connection: status %d, Connection %q", a.Status, a.Header.Get("Connection"))
	}
}

func TestSwapLetsExchangesFinish(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	slow := edgetest.NewService(t, func(string) string {
		close(asked)
		<-answer
		return edgetest.OK
	})
	cfg := edgetest.Config(t, slow.URL(), edge.ListenerConfig{})
	g := edgetest.Start(t, cfg)
	c := g.Dial("public")
	if _, err := io.WriteString(c, edgetest.Wire(get)); err != nil {
		t.Fatal(err)
	}
	<-asked
	// Everything that the exchange uses goes: route, service and listener.
	g.Swap(edge.Config{
		Listen: map[string]edge.ListenerConfig{"other": {Address: "127.0.0.1:0"}},
	})
	close(answer)
	a, err := edgetest.Read(c, false)
	if err != nil || a.Status != 200 || a.Body != "ok" {
		t.Errorf("the exchange ended with %+v (%v)", a, err)
	}
}

func TestSwapClosesConnectionsOfARemovedService(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}, 2), make(chan struct{})
	service := edgetest.NewService(t, func(request string) string {
		if strings.HasPrefix(request, "GET /slow") {
			asked <- struct{}{}
			<-answer
		}
		return edgetest.OK
	})
	cfg := edgetest.Config(t, service.URL(), edge.ListenerConfig{})
	g := edgetest.Start(t, cfg)
	slow := g.Dial("public")
	if _, err := io.WriteString(slow, edgetest.Wire("GET /slow HTTP/1.1\nHost: a\n\n")); err != nil {
		t.Fatal(err)
	}
	<-asked
	g.Say("public", get) // makes a second connection, which is idle now
	cfg.Services, cfg.Routes = nil, nil
	g.Swap(cfg)
	within(t, "the idle connection is closed", func() bool { return service.Open() == 1 })
	close(answer)
	if a, err := edgetest.Read(slow, false); err != nil || a.Status != 200 {
		t.Fatalf("the exchange ended with %+v (%v)", a, err)
	}
	within(t, "the busy connection is closed after its exchange", func() bool { return service.Open() == 0 })
}

func TestSwapRenamesListenersAndExchangesAddresses(t *testing.T) {
	t.Parallel()
	url := edgetest.NewService(t, nil).URL()
	left, right := free(t), free(t)
	cfg := edgetest.Config(t, url, edge.ListenerConfig{Address: left})
	cfg.Listen["private"] = edge.ListenerConfig{Address: right, Via: "private"}
	g := edgetest.Start(t, cfg)
	cfg.Listen = map[string]edge.ListenerConfig{"public": {Address: right}, "private": {Address: left, Via: "private"}}
	g.Swap(cfg)
	if got := g.Addr("public"); got != right {
		t.Errorf("public listens on %s, want %s", got, right)
	}
	cfg.Listen = map[string]edge.ListenerConfig{"main": {Address: right}, "private": {Address: left}}
	g.Swap(cfg)
	for _, name := range []string{"main", "private"} {
		if a := g.Say(name, get); a.Status != 200 {
			t.Errorf("listener %s answers %d", name, a.Status)
		}
	}
	if a := g.Server.Addr("public"); a != nil {
		t.Errorf("public is still there, on %s", a)
	}
}

func TestSwapThatCannotListenChangesNothing(t *testing.T) {
	t.Parallel()
	cfg := edgetest.Config(t, edgetest.NewService(t, nil).URL(), edge.ListenerConfig{})
	g := edgetest.Start(t, cfg)
	before := g.Server.Runtime()
	var lc net.ListenConfig
	taken, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	fresh := free(t)
	cfg.Listen = map[string]edge.ListenerConfig{"a": {Address: fresh}, "b": {Address: taken.Addr().String()}}
	rt, err := edge.Build(cfg, g.Env, before)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Server.Swap(rt); err == nil || !strings.Contains(err.Error(), "open listener b") {
		t.Errorf("swap: %v", err)
	}
	if g.Server.Runtime() != before {
		t.Error("the runtime was swapped")
	}
	if a := g.Say("public", get); a.Status != 200 {
		t.Errorf("the old listener answers %d", a.Status)
	}
	again, err := lc.Listen(t.Context(), "tcp", fresh)
	if err != nil {
		t.Fatalf("the socket that could be opened is still open: %v", err)
	}
	_ = again.Close()
}

func TestDrainFinishesAndRefusesChanges(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	cfg := edgetest.Config(t, edgetest.NewService(t, func(string) string {
		close(asked)
		<-answer
		return edgetest.OK
	}).URL(), edge.ListenerConfig{})
	g := edgetest.Start(t, cfg)
	c := g.Dial("public")
	if _, err := io.WriteString(c, edgetest.Wire(get)); err != nil {
		t.Fatal(err)
	}
	<-asked
	address := g.Addr("public")
	drained := make(chan error, 1)
	go func() { drained <- g.Server.Drain(context.WithoutCancel(t.Context())) }()
	within(t, "nobody listens any more", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	rt, err := edge.Build(cfg, g.Env, g.Server.Runtime())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Server.Swap(rt); err == nil {
		t.Error("a server that drains took another configuration")
	}
	close(answer)
	if a, err := edgetest.Read(c, false); err != nil || a.Status != 200 || a.Header.Get("Connection") != "close" {
		t.Errorf("the exchange ended with %+v (%v)", a, err)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestDrainCutsWhatLingersFromEarlierChanges(t *testing.T) {
	t.Parallel()
	service := edgetest.NewService(t, func(string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
	})
	cfg := edgetest.Config(t, service.URL(), edge.ListenerConfig{Limits: http1.Limits{HeaderCount: 50}})
	g := edgetest.Start(t, cfg)
	tunnel := g.Dial("public")
	if _, err := io.WriteString(tunnel, edgetest.Wire("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: echo\n\n")); err != nil {
		t.Fatal(err)
	}
	if a, err := edgetest.ReadAnswer(bufio.NewReader(tunnel), false); err != nil || a.Status != 101 {
		t.Fatalf("the tunnel did not open: %+v %v", a, err)
	}
	cfg.Listen = map[string]edge.ListenerConfig{"public": {Address: "127.0.0.1:0", Limits: http1.Limits{HeaderCount: 60}}}
	g.Swap(cfg)
	if closed(tunnel) {
		t.Fatal("the tunnel was cut by a change of the listener's limits")
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_ = g.Server.Drain(ctx) // the tunnel is cut, whether that counts as an error or not
	within(t, "the tunnel is cut", func() bool { return closed(tunnel) })
}
