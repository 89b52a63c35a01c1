package upstream

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

func TestParseEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want, fault string }{
		{in: "", want: ""},
		{in: "http://a:1\n# b\n  http://b:2 # why\n", want: "http://a:1 http://b:2"},
		{in: `["http://a:1", {"url": "http://b:2", "zone": "z", "weight": 3, "meta": {"k": "v"}}]`, want: "http://a:1 http://b:2"},
		{in: `[]`, want: ""},
		{in: `["http://a:1"`, fault: "not a JSON array"},
		{in: `[{"url": "http://a:1", "wait": 3}]`, fault: "endpoint 1"},
		{in: `["http://a:1", "b"]`, fault: "endpoint 2"},
		{in: `[{"url": "http://a:1", "weight": -1}]`, fault: "weight -1"},
		{in: `[3]`, fault: "endpoint 1"},
		{in: "http://a:1\nftp://b\n", fault: "endpoint 2"},
		{in: strings.Repeat("http://a:1\n", maxEndpoints+1), fault: "more than"},
	} {
		addrs, err := parseEndpoints([]byte(tt.in))
		var urls []string
		for _, a := range addrs {
			urls = append(urls, a.URL)
		}
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%.40q: %v, want %q", tt.in, err, tt.fault)
			}
		} else if err != nil || strings.Join(urls, " ") != tt.want {
			t.Errorf("%.40q: %q %v", tt.in, urls, err)
		}
	}
}

func FuzzEndpoints(f *testing.F) {
	for _, s := range []string{"http://a:1\nhttp://b", `["http://a:1"]`, `[{"url":"https://b","weight":2}]`, "[", `[null]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		addrs, err := parseEndpoints(data)
		if err != nil {
			return
		}
		for _, a := range addrs {
			if _, err := parseTarget(a.URL); err != nil || a.Weight < 0 {
				t.Fatalf("%+v was taken: %v", a, err)
			}
		}
	})
}

// The file source follows a file that is written, replaced and spoilt.
func TestFileSource(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "endpoints")
	write := func(text string) {
		t.Helper()
		next := file + ".new"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	write("http://127.0.0.1:1")
	c := cluster(t, Config{File: file}, Env{})
	names := func() string {
		var out []string
		for _, e := range c.Endpoints() {
			out = append(out, e.Name())
		}
		return strings.Join(out, " ")
	}
	<-c.Filled()
	if got := names(); got != "127.0.0.1:1" {
		t.Fatal(got)
	}
	first := c.Endpoints()[0]
	write("http://127.0.0.1:1\nhttp://127.0.0.1:2")
	waitFor(t, func() bool { return names() == "127.0.0.1:1 127.0.0.1:2" })
	if c.Endpoints()[0] != first {
		t.Error("an endpoint that stays is a new one")
	}
	write("http://127.0.0.1:3\nnonsense")
	waitFor(t, func() bool { return c.Stats().SourceErrors > 0 })
	if got := names(); got != "127.0.0.1:1 127.0.0.1:2" {
		t.Error("a bad file changed the set: " + got)
	}
	write("http://127.0.0.1:3")
	waitFor(t, func() bool { return names() == "127.0.0.1:3" && c.Stats().SourceError == "" })
}

// resolver is a DNS server on loopback with records that the test changes.
type resolver struct {
	addr string
	mu   sync.Mutex
	rrs  []string // "name. ttl IN A 1.2.3.4"
	code int
}

func newResolver(t *testing.T) *resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &resolver{addr: pc.LocalAddr().String()}
	s := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(r.answer)}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = pc.Close() })
	return r
}

func (r *resolver) set(code int, rrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.code, r.rrs = code, rrs
}

func (r *resolver) answer(w dns.ResponseWriter, q *dns.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := new(dns.Msg)
	m.SetRcode(q, r.code)
	for _, text := range r.rrs {
		rr, err := dns.NewRR(text)
		if err == nil && rr.Header().Rrtype == q.Question[0].Qtype && rr.Header().Name == q.Question[0].Name {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m)
}

func TestDNSLookup(t *testing.T) {
	t.Parallel()
	r := newResolver(t)
	look := func(cfg DNSConfig) (string, time.Duration, error) {
		cfg.Server, cfg.Refresh = r.addr, 30*time.Second
		s := &dnsSource{cfg: cfg}
		f, err := s.lookup(t.Context())
		var out []string
		for _, a := range f.addrs {
			text := a.URL
			if a.Weight > 0 {
				text += " " + string(rune('0'+a.Weight%10))
			}
			out = append(out, text)
		}
		slices.Sort(out)
		return strings.Join(out, ","), f.ttl, err
	}
	host := DNSConfig{Name: "svc.test", Type: "A", Port: 80}
	r.set(dns.RcodeSuccess, "svc.test. 9 IN A 10.0.0.2", "svc.test. 7 IN A 10.0.0.1", "svc.test. 60 IN AAAA fd00::1")
	if got, ttl, err := look(host); got != "http://10.0.0.1:80,http://10.0.0.2:80,http://[fd00::1]:80" || ttl != 7*time.Second || err != nil {
		t.Errorf("%s %v %v", got, ttl, err)
	}
	r.set(dns.RcodeNameError)
	if got, _, err := look(host); got != "" || err != nil {
		t.Errorf("no such name: %s %v", got, err)
	}
	r.set(dns.RcodeServerFailure)
	if _, _, err := look(host); err == nil {
		t.Error("a failing server is no empty answer")
	}
	r.set(dns.RcodeSuccess,
		"_http._tcp.svc.test. 30 IN SRV 10 3 8080 a.test.", "_http._tcp.svc.test. 30 IN SRV 10 1 8081 b.test.",
		"_http._tcp.svc.test. 30 IN SRV 20 9 8082 c.test.", "_http._tcp.svc.test. 30 IN SRV 10 9 8083 .",
		"a.test. 5 IN A 10.0.0.1", "b.test. 50 IN A 10.0.0.2", "c.test. 50 IN A 10.0.0.3")
	if got, ttl, err := look(DNSConfig{Name: "_http._tcp.svc.test", Type: "SRV"}); got != "http://10.0.0.1:8080 3,http://10.0.0.2:8081 1" || ttl != 5*time.Second || err != nil {
		t.Errorf("SRV: %s %v %v", got, ttl, err)
	}
}

// A cluster follows DNS, keeps what it knows when DNS fails, and believes an
// empty answer only the second time.
func TestDNSCluster(t *testing.T) {
	t.Parallel()
	r := newResolver(t)
	r.set(dns.RcodeSuccess, "svc.test. 1 IN A 127.0.0.1")
	c := cluster(t, Config{DNS: &DNSConfig{Name: "svc.test", Port: 80, Server: r.addr, Refresh: time.Second}}, Env{})
	<-c.Filled()
	if got := c.Endpoints()[0].Name(); got != "127.0.0.1:80" {
		t.Fatal(got)
	}
	r.set(dns.RcodeServerFailure)
	waitFor(t, func() bool { return c.Stats().SourceErrors > 0 })
	if len(c.Endpoints()) != 1 {
		t.Error("a failure emptied the service")
	}
	r.set(dns.RcodeSuccess, "svc.test. 1 IN A 127.0.0.2")
	waitFor(t, func() bool { return c.Endpoints()[0].Name() == "127.0.0.2:80" })
}

// The reaper closes what lies idle over its limit, and nothing else; with a
// clock of its own.
func TestLearnedLimitRelaxes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := still(t, 1, Config{}, Env{})
		now := time.Now()
		c.learn(10*time.Second, now)
		if l := c.Stats().LearnedIdle; l != 8*time.Second {
			t.Errorf("learnt %v", l)
		}
		c.learn(20*time.Second, now) // never up
		if l := c.Stats().LearnedIdle; l != 8*time.Second {
			t.Errorf("learnt %v", l)
		}
		c.learn(100*time.Millisecond, now)
		if l := c.Stats().LearnedIdle; l != time.Second {
			t.Errorf("never below a second: %v", l)
		}
		time.Sleep(10 * time.Minute)
		if l := c.Stats().LearnedIdle; l < 2500*time.Millisecond || l > 2700*time.Millisecond {
			t.Errorf("a tenth a minute: %v", l)
		}
		time.Sleep(1000 * time.Hour)
		if l := c.Stats().LearnedIdle; l != 24*time.Hour {
			t.Errorf("for ever: %v", l)
		}
	})
}
