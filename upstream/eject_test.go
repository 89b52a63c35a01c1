package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/maru-msa/maru/memnet"
	"github.com/maru-msa/maru/message"
)

// instance is one endpoint in virtual time. How it behaves may change at any
// moment.
type instance struct {
	name   string
	mode   atomic.Int32
	took   time.Duration // of a healthy answer
	l      atomic.Pointer[memnet.Listener]
	tries  atomic.Int64 // requests that arrived
	mu     sync.Mutex
	conns  map[net.Conn]bool
	wait   sync.WaitGroup
	change chan struct{}     // closed at each change of mode
	each   func(n int64) int // when not nil, gives the status of the n-th answer
	busy   chan struct{}     // when not nil, has room for as many as are worked on at once
}

// The ways to behave.
const (
	healthy int32 = iota
	hangs
	fails500
	fails503
	slow10
	refuses
	resets
)

func newInstance(name string, took time.Duration) *instance {
	i := &instance{name: name, took: took, conns: map[net.Conn]bool{}, change: make(chan struct{})}
	i.open()
	return i
}

func (i *instance) open() {
	l := memnet.Listen(i.name)
	i.l.Store(l)
	i.wait.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			i.mu.Lock()
			i.conns[nc] = true
			i.mu.Unlock()
			i.wait.Go(func() { i.serve(nc) })
		}
	})
}

// become changes how the instance behaves. One that refuses is a process that
// has died: its connections are gone too.
func (i *instance) become(mode int32) {
	before := i.mode.Swap(mode)
	i.mu.Lock()
	close(i.change)
	i.change = make(chan struct{})
	if mode == refuses {
		_ = i.l.Load().Close()
		for nc := range i.conns {
			_ = nc.Close()
		}
	}
	i.mu.Unlock()
	if before == refuses && mode != refuses {
		i.open()
	}
}

func (i *instance) serve(nc net.Conn) {
	defer func() {
		_ = nc.Close()
		i.mu.Lock()
		delete(i.conns, nc)
		i.mu.Unlock()
	}()
	in := bufio.NewReader(nc)
	for {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
		}
		i.tries.Add(1)
		if !i.answer(nc) {
			return
		}
	}
}

func (i *instance) answer(nc net.Conn) bool {
	i.mu.Lock()
	change := i.change
	i.mu.Unlock()
	status, took := "200 OK", i.took
	switch i.mode.Load() {
	case hangs:
		<-change // whoever waits gets an answer when it is over
	case fails500:
		status, took = "500 Internal Server Error", time.Millisecond
	case fails503:
		status, took = "503 Service Unavailable", time.Millisecond
	case slow10:
		took *= 10
	case resets:
		return false
	}
	if i.each != nil && i.each(i.tries.Load()) != 200 {
		status = "500 Internal Server Error"
	}
	if i.busy != nil {
		i.busy <- struct{}{}
		defer func() { <-i.busy }()
	}
	if i.busy != nil { // no two are alike
		took = time.Duration(float64(took) * (0.8 + 0.4*rand.Float64()))
	}
	time.Sleep(took)
	_, err := io.WriteString(nc, "HTTP/1.1 "+status+"\r\nContent-Length: 2\r\n\r\nok")
	return err == nil
}

func (i *instance) stop() {
	i.become(refuses)
	i.wait.Wait()
}

// estate is a cluster of instances in virtual time.
type estate struct {
	*Cluster
	t         *testing.T
	instances []*instance
	stop      func()
}

func newEstate(t *testing.T, n int, took time.Duration, cfg Config) *estate { //nolint:gocritic // a test
	t.Helper()
	e := &estate{t: t}
	byName := map[string]*instance{}
	for k := range n {
		i := newInstance(fmt.Sprintf("e%d:80", k), took)
		byName[i.name] = i
		e.instances = append(e.instances, i)
		cfg.URLs = append(cfg.URLs, EndpointConfig{URL: "http://" + i.name})
	}
	c, err := New("svc", cfg, Env{Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		return byName[address].l.Load().Dial(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Cluster = c
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _ = c.Run(ctx); close(done) }()
	e.stop = func() {
		cancel()
		<-done
		c.Retire()
		for _, i := range e.instances {
			i.stop()
		}
	}
	return e
}

// outcome is how one request ended.
type outcome struct {
	sent, took time.Duration // sent since the load began
	bad        bool
	endpoint   string
	attempts   int
}

// load sends GETs at a rate for some time, and calls at at the times given. It
// returns when all have ended.
func (e *estate) load(rate int, whole time.Duration, at map[time.Duration]func()) []outcome {
	var mu sync.Mutex
	var out []outcome
	var wait sync.WaitGroup
	times := slices.Collect(func(yield func(time.Duration) bool) {
		for d := range at {
			if !yield(d) {
				return
			}
		}
	})
	slices.Sort(times)
	began := time.Now()
	for n := range int(whole.Seconds() * float64(rate)) {
		sent := time.Duration(n) * time.Second / time.Duration(rate)
		for len(times) > 0 && times[0] <= sent {
			at[times[0]]()
			times = times[1:]
		}
		time.Sleep(time.Until(began.Add(sent)))
		wait.Go(func() {
			o := e.get()
			o.sent = sent
			mu.Lock()
			out = append(out, o)
			mu.Unlock()
		})
	}
	wait.Wait()
	return out
}

// get makes one request.
func (e *estate) get() outcome {
	r := request("GET", "/")
	defer r.Release()
	r.X.Deadline = r.X.Began.Add(15 * time.Second)
	resp, err := e.Do(r)
	o := outcome{took: time.Since(r.X.Began), bad: err != nil || resp.Status >= 500, endpoint: r.X.Endpoint, attempts: r.X.Attempts}
	if err == nil {
		_, _ = message.ReadAll(nil, resp.Body, 100)
		resp.MarkComplete()
		resp.Release()
	}
	return o
}

// between are the outcomes of requests sent in a time.
func between(all []outcome, from, to time.Duration) (some []outcome) {
	for _, o := range all {
		if o.sent >= from && o.sent < to {
			some = append(some, o)
		}
	}
	return some
}

func p99(some []outcome) time.Duration {
	var took []time.Duration
	for _, o := range some {
		took = append(took, o.took)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func errorsIn(some []outcome) (n int) {
	for _, o := range some {
		if o.bad {
			n++
		}
	}
	return n
}

func share(some []outcome, name string) float64 {
	n := 0
	for _, o := range some {
		if o.endpoint == name {
			n++
		}
	}
	return float64(n) / float64(len(some))
}

// row is the state of an endpoint.
func (e *estate) row(n int) EndpointStats { return e.Stats().Endpoints[n] }

func (e *estate) states() string {
	var s []string
	for _, ep := range e.Stats().Endpoints {
		s = append(s, ep.State.String())
	}
	return strings.Join(s, " ")
}

func TestErrorsInARowEject(t *testing.T) {
	for _, tt := range []struct {
		mode int32
		kind EjectionKind
	}{{fails503, GatewayErrors}, {resets, GatewayErrors}, {refuses, ConnectErrors}} {
		synctest.Test(t, func(t *testing.T) {
			e := newEstate(t, 3, 5*time.Millisecond, Config{Balance: Balance{Kind: roundRobin}})
			defer e.stop()
			e.instances[1].become(tt.mode)
			for range 30 {
				e.get()
			}
			s := e.row(1)
			if s.State != Ejected || s.Ejected.Kind != tt.kind || s.Ejected.Times != 1 || s.Ejected.Detail == "" {
				t.Fatalf("%v: %+v", tt.kind, s)
			}
			if d := s.Ejected.Until.Sub(s.Ejected.At); d < 1800*time.Millisecond || d > 2200*time.Millisecond {
				t.Fatalf("out for %v", d)
			}
			before := e.instances[1].tries.Load()
			for range 30 {
				if o := e.get(); o.bad || o.endpoint == "e1:80" {
					t.Fatalf("%+v", o)
				}
			}
			if n := e.instances[1].tries.Load(); n != before {
				t.Fatalf("%d requests while it was ejected", n-before)
			}
		})
	}
}
