package upstream

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	grpchealth "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestChecksTakeOutAndBringBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ramp := time.Minute // a check that hung may pass as soon as its instance is well
		e := newEstate(t, 2, time.Millisecond, Config{Health: &CheckConfig{HTTP: "/health"}, SlowStart: &ramp})
		defer e.stop()
		time.Sleep(3100 * time.Millisecond) // an interval, and up to a second until the endpoint is looked at
		for n := range 2 {
			if s := e.row(n); s.State != Up || s.Check.State != "up" || s.Check.LastError != "" {
				t.Fatalf("at first: %+v", s)
			}
		}
		if n := e.instances[0].tries.Load(); n != 1 && n != 2 {
			t.Fatalf("%d checks in 3 s", n)
		}
		for _, mode := range []int32{fails500, refuses, hangs} {
			e.instances[0].become(mode)
			time.Sleep(3 * time.Second)
			if s := e.row(0); s.State != Up {
				t.Fatalf("out after less than three checks: %+v", s)
			}
			time.Sleep(6 * time.Second)
			s := e.row(0)
			if s.State != Down || s.Check.State != "down" || s.Check.LastError == "" || !strings.HasPrefix(s.Why, "check: ") {
				t.Fatalf("after 9 s: %+v", s)
			}
			e.instances[0].become(healthy)
			time.Sleep(6 * time.Second)
			if s := e.row(0); s.State != Up || s.Check.State != "up" || s.Why != "slow start" {
				t.Fatalf("back: %+v", s)
			}
		}
		if s := e.Stats(); s.ChecksPassed == 0 || s.ChecksFailed < 9 {
			t.Fatalf("counted: %d passed, %d failed", s.ChecksPassed, s.ChecksFailed)
		}
	})
}

// Nobody is asked when all are down: what a check says is not ignored.
func TestChecksAreNotIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 2, time.Millisecond, Config{Health: &CheckConfig{TCP: true}})
		defer e.stop()
		for _, i := range e.instances {
			i.become(refuses)
		}
		time.Sleep(10 * time.Second)
		if e.states() != "down down" || e.Stats().Panic {
			t.Fatal(e.states())
		}
		_, err := e.Do(request("GET", "/"))
		wantProblem(t, err, 503, "no_endpoint")
	})
}

// A check decides what comes after an ejection, and no request is put at risk.
func TestCheckIsTheTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 3, 5*time.Millisecond, Config{Balance: Balance{Kind: roundRobin}, Health: &CheckConfig{HTTP: "/health", Fall: 100}})
		defer e.stop()
		var at time.Time
		e.load(200, 14*time.Second, map[time.Duration]func(){
			time.Second: func() { e.instances[0].become(fails503) },
			9 * time.Second: func() {
				if s := e.row(0); s.State != Ejected || s.Ejected.Times < 2 || !strings.Contains(s.Ejected.Detail, "check: it answered 503") {
					t.Errorf("while it fails: %+v %+v", s, s.Ejected)
				} else {
					at = s.Ejected.Until
				}
				e.instances[0].become(healthy)
			},
			13900 * time.Millisecond: func() {
				if s := e.row(0); s.State != Up && !at.After(time.Now()) {
					t.Errorf("well again: %+v %+v", s, s.Ejected)
				}
			},
		})
	})
}

// checks counts what arrives at a service that is checked.
type checks struct {
	paths, agents, hosts atomic.Value
	n                    atomic.Int64
}

func (k *checks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.n.Add(1)
	k.paths.Store(r.Method + " " + r.URL.RequestURI())
	k.agents.Store(r.UserAgent())
	k.hosts.Store(r.Host)
	w.WriteHeader(http.StatusNoContent)
}

func TestCheckOverHTTP2(t *testing.T) {
	var k checks
	u := h2c(t, &k)
	c := cluster(t, Config{URL: u, HTTP: HTTP2C, Health: &CheckConfig{HTTP: "/up?deep=1", Expect: "2xx", Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond}}, Env{})
	waitFor(t, func() bool { return k.n.Load() > 2 })
	if k.paths.Load() != "GET /up?deep=1" || k.agents.Load() != "maru-check" || "http://"+k.hosts.Load().(string) != u {
		t.Fatal(k.paths.Load(), k.agents.Load(), k.hosts.Load())
	}
	waitFor(t, func() bool { return c.Stats().ChecksPassed > 2 })
	if s := c.Stats().Endpoints[0]; s.Requests != 0 || s.Connects != 0 || s.Check.State != "up" {
		t.Fatalf("checks went through the pool: %+v", s)
	}
}

func TestCheckOverHTTP1(t *testing.T) {
	var head atomic.Value
	s := serve(t, func(w net.Conn, _ int, h string, _ []byte) bool {
		head.Store(h)
		_, _ = io.WriteString(w, "HTTP/1.1 204 No Content\r\n\r\n")
		return true
	})
	c := cluster(t, Config{URL: s.url(), Host: "shop.example", Health: &CheckConfig{HTTP: "/up?deep=1", Expect: "204", Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond}}, Env{})
	waitFor(t, func() bool { return c.Stats().ChecksPassed > 2 })
	h := head.Load().(string)
	if !strings.HasPrefix(h, "GET /up?deep=1 HTTP/1.1\r\n") || !strings.Contains(h, "Host: shop.example\r\n") || !strings.Contains(h, "User-Agent: maru-check\r\n") {
		t.Fatalf("%q", h)
	}
	if n := s.conns.Load(); n < 3 {
		t.Fatalf("%d connections for 3 checks", n)
	}
}

// The other end is the health service of gRPC's own library.
func TestCheckOverGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, state := grpc.NewServer(), grpchealth.NewServer()
	healthpb.RegisterHealthServer(server, state)
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Stop(); <-done })
	state.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
	start := func(service string) *Cluster {
		return cluster(t, Config{
			URL: "http://" + l.Addr().String(), HTTP: HTTP2C,
			Health: &CheckConfig{GRPC: true, Service: service, Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Rise: 1, Fall: 1},
		}, Env{})
	}
	whole, shop, unknown := start(""), start("shop"), start("nobody")
	waitFor(t, func() bool { return whole.Stats().ChecksPassed > 1 && shop.Stats().ChecksPassed > 1 })
	waitFor(t, func() bool { return unknown.Stats().Endpoints[0].State == Down })
	if why := unknown.Stats().Endpoints[0].Why; !strings.Contains(why, `gRPC status "5"`) {
		t.Fatal(why)
	}
	state.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
	waitFor(t, func() bool { return shop.Stats().Endpoints[0].State == Down })
	if why := shop.Stats().Endpoints[0].Why; why != "check: it is not serving" {
		t.Fatal(why)
	}
	state.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
	waitFor(t, func() bool { return shop.Stats().Endpoints[0].State == Up })
}

func TestChecksEndWithTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t, 1, time.Millisecond, Config{Health: &CheckConfig{HTTP: "/", Interval: time.Minute, Timeout: 50 * time.Second}})
		e.instances[0].become(hangs)
		time.Sleep(70 * time.Second)
		began := time.Now()
		e.stop()
		if d := time.Since(began); d > time.Second {
			t.Fatalf("took %v", d)
		}
		if s := e.Stats(); s.ChecksFailed > 1 {
			t.Fatalf("%d failed", s.ChecksFailed)
		}
	})
}

func TestParseHealth(t *testing.T) {
	for _, tt := range []struct {
		hex     string
		serving bool
		ok      bool
	}{
		{"00000000020801", true, true},
		{"00000000020802", false, true},
		{"0000000000", false, true}, // UNKNOWN is not on the wire
		{"000000000a0801120461626364" + "10ff", false, false},
		{"00000000080801120461626364", true, true},
		{"000000000b1100000000000000000801", true, true},
		{"00000000071d000000000801", true, true},
		{"01000000020801", false, false}, // compressed
		{"000000000208", false, false},
		{"0000000001ff", false, false},
		{"000000000112", false, false},
		{"00000000021205", false, false},
		{"00000000010b", false, false},
		{"0000000001" + "11", false, false},
		{"", false, false},
	} {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		serving, err := parseHealth(b)
		if serving != tt.serving || (err == nil) != tt.ok {
			t.Errorf("%s gives %v, %v", tt.hex, serving, err)
		}
	}
}

func FuzzParseHealth(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Add(healthRequest("shop"))
	f.Add([]byte{0, 0, 0, 0, 3, 0x12, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		serving, err := parseHealth(b)
		if serving && err != nil {
			t.Fatal("serving, and an error")
		}
	})
}

func TestCheckOfConfig(t *testing.T) {
	for _, tt := range []struct {
		check CheckConfig
		http  Version
		path  string
	}{
		{check: CheckConfig{}, path: "check"},
		{check: CheckConfig{HTTP: "/a", TCP: true}, path: "check"},
		{check: CheckConfig{HTTP: "health"}, path: "check.http"},
		{check: CheckConfig{HTTP: "/a b"}, path: "check.http"},
		{check: CheckConfig{HTTP: "//a"}, path: "check.http"},
		{check: CheckConfig{GRPC: true}, path: "check.grpc"},
		{check: CheckConfig{GRPC: true, Service: "a"}, http: HTTP2C},
		{check: CheckConfig{TCP: true, Service: "a"}, path: "check.service"},
		{check: CheckConfig{TCP: true, Expect: "6xx"}, path: "check.expect"},
		{check: CheckConfig{TCP: true, Expect: "ok"}, path: "check.expect"},
		{check: CheckConfig{TCP: true, Interval: time.Millisecond, Timeout: time.Millisecond}, path: "check.interval"},
		{check: CheckConfig{TCP: true, Timeout: 3 * time.Second}, path: "check.timeout"},
		{check: CheckConfig{TCP: true, Rise: -1}, path: "check.rise"},
		{check: CheckConfig{TCP: true, Fall: 101}, path: "check.fall"},
		{check: CheckConfig{HTTP: "/health?deep=1", Expect: "2xx"}},
	} {
		err := Config{URL: "http://a:1", HTTP: tt.http, Health: &tt.check}.Check()
		got := ""
		if err != nil {
			got = fmt.Sprint(err)
		}
		if (tt.path == "") != (got == "") || !strings.Contains(got, tt.path) {
			t.Errorf("%+v gives %q, want it at %q", tt.check, got, tt.path)
		}
	}
}
