package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maru-msa/maru/message"
)

// exchange feeds an exchange to a recorder.
func exchange(rec *Recorder, route, service, method string, status int, fill func(*message.Request)) {
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Path, r.RawPath, r.Proto = method, "/", "/", message.HTTP11
	r.X.Route, r.X.Service, r.X.Began = route, service, time.Unix(1000, 123456789)
	if fill != nil {
		fill(r)
	}
	p := message.NewResponse(status)
	defer p.Release()
	rec.Done(r, p, nil)
}

func TestDeclareKeepsCountsAndEndsSeries(t *testing.T) {
	t.Parallel()
	var rec Recorder
	rec.Declare([]string{"a", "b"}, []string{"s"})
	exchange(&rec, "a", "s", "GET", 200, nil)
	exchange(&rec, "b", "s", "GET", 200, nil)
	exchange(&rec, "", "", "GET", 404, nil)
	rec.Filter("cors", "b", "preflight")
	rec.Filter("cors", "global", "preflight")
	rec.Declare([]string{"a", "c"}, []string{"t"})
	s := rec.Snapshot()
	if n := s.Routes["a"].Requests; len(n) != 1 || n[0].N != 1 {
		t.Errorf("the route that stays has %v", n)
	}
	if _, ok := s.Routes["b"]; ok {
		t.Error("the route that is gone still has a series")
	}
	if n := s.Routes[""].Requests; len(n) != 1 || n[0].N != 1 {
		t.Errorf("requests without a route: %v", n)
	}
	if _, ok := s.Services["s"]; ok {
		t.Error("the service that is gone still has a series")
	}
	if len(s.Filters) != 1 || s.Filters[0].Labels[1] != "global" {
		t.Errorf("filter events: %v", s.Filters)
	}
	for i := range 1000 { // churn leaves nothing behind
		rec.Declare([]string{fmt.Sprint("r", i)}, []string{fmt.Sprint("s", i)})
	}
	if s := rec.Snapshot(); len(s.Routes) > 3 || len(s.Services) > 2 {
		t.Errorf("%d routes and %d services after 1000 changes", len(s.Routes), len(s.Services))
	}
}

func TestTooManyNamesAreFolded(t *testing.T) {
	t.Parallel()
	var rec Recorder
	for i := range MaxSeries + 10 {
		rec.reasons.get(fmt.Sprint("reason", i)).add(0, 1)
		if i == 0 { // the table is copied for each new name: fill it at once
			names := make([]string, MaxSeries)
			for k := range names {
				names[k] = fmt.Sprint("reason", k)
			}
			rec.reasons.declare(names)
		}
	}
	s := rec.Snapshot()
	if len(s.Reasons) != MaxSeries+1 || s.Reasons[Overflow] != 10 {
		t.Errorf("%d reasons, %d folded", len(s.Reasons), s.Reasons[Overflow])
	}
}

func TestSnapshotAddsUp(t *testing.T) {
	t.Parallel()
	var rec Recorder
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for range 100 {
				exchange(&rec, "a", "s", "POST", 500+g%2, func(r *message.Request) {
					r.X.Shard, r.X.Attempts, r.X.Sent, r.X.Received, r.X.Reason = uint32(g), 2, 3, 5, "refused"
					r.X.Phases[message.PhaseDone] = 7 * time.Millisecond
				})
			}
		})
	}
	wait.Wait()
	s := rec.Snapshot()
	a, v := s.Routes["a"], s.Services["s"]
	if len(a.Requests) != 1 || a.Requests[0] != (MethodCount{"POST", "5xx", 800}) || a.Sent != 2400 || a.Received != 4000 {
		t.Errorf("route: %+v", a)
	}
	if v.Classes["5xx"] != 800 || v.Attempts != 1600 || v.Count != 800 || v.Buckets[0.005] != 0 || v.Buckets[0.01] != 800 || v.Sum < 5.59 || v.Sum > 5.61 {
		t.Errorf("service: %+v", v)
	}
	if s.Reasons["refused"] != 800 {
		t.Errorf("reasons: %v", s.Reasons)
	}
}

func TestDoneDoesNotAllocate(t *testing.T) {
	rec := Recorder{Log: &AccessLog{W: new(Target)}}
	r := message.NewRequest()
	defer r.Release()
	r.Method, r.Path, r.RawPath, r.Proto = "GET", "/", "/", message.HTTP11
	r.X.Route, r.X.Service, r.X.Sent, r.X.Client = "a", "s", 10, netip.MustParseAddr("192.0.2.1")
	r.X.Began = time.Unix(1000, 0)
	p := message.NewResponse(200)
	defer p.Release()
	spare := make([]byte, 0, logBuffer)
	if n := testing.AllocsPerRun(100, func() { rec.Done(r, p, nil); spare = rec.Log.flush(spare) }); n != 0 {
		t.Errorf("%g allocations an exchange", n)
	}
}

// collector keeps what is written, or refuses it.
type collector struct {
	mu   sync.Mutex
	text strings.Builder
	err  error
}

func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	return c.text.Write(p)
}

func TestAccessLogLine(t *testing.T) {
	t.Parallel()
	var out collector
	rec := Recorder{Log: &AccessLog{W: &out}}
	exchange(&rec, "a", "s", "GET", 502, func(r *message.Request) {
		r.Path, r.RawPath, r.Authority = "/sent", "/raw", "host\x00"
		r.X.Path = "/한글\"\\\n"
		r.X.Client, r.X.Attempts, r.X.Reason, r.X.Cause = netip.MustParseAddr("2001:db8::1"), 2, "connect_failed", errors.New("dial: \"refused\"")
		r.X.Phases[message.PhaseRoute], r.X.Phases[message.PhaseDone] = 3*time.Microsecond, 2*time.Millisecond
		r.X.RequestID = strings.Repeat("x", 3*maxString)
	})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := rec.Log.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var line struct {
		Time, Client, Method, Host, Path, Reason, Cause string
		RequestID                                       string `json:"request_id"`
		RawPath                                         string `json:"raw_path"`
		ServicePath                                     string `json:"service_path"`
		Status, Attempts                                int
		US                                              map[string]int
	}
	if err := json.Unmarshal([]byte(out.text.String()), &line); err != nil {
		t.Fatalf("%q: %v", out.text.String(), err)
	}
	if line.Time != "1970-01-01T00:16:40.123456Z" || line.Client != "2001:db8::1" || line.Path != "/한글\"\\\n" || line.RawPath != "/raw" ||
		line.ServicePath != "/sent" ||
		line.Host != "host\x00" || line.Status != 502 || line.Attempts != 2 || line.Reason != "connect_failed" || line.Cause != "dial: \"refused\"" {
		t.Errorf("line: %+v", line)
	}
	if len(line.US) != 2 || line.US["route"] != 3 || line.US["done"] != 2000 {
		t.Errorf("phases: %v", line.US)
	}
	if len(line.RequestID) != maxString {
		t.Errorf("a field of %d bytes", len(line.RequestID))
	}
}

func TestAccessLogDropsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	var out collector
	rec := Recorder{Log: &AccessLog{W: &out}}
	const n = 4000
	for range n { // nobody writes: one shard fills
		exchange(&rec, "a", "s", "GET", 200, nil)
	}
	dropped := rec.Log.Dropped()
	if dropped == 0 || dropped == n {
		t.Fatalf("%d of %d lines dropped", dropped, n)
	}
	rec.Log.flush(nil)
	if lines := strings.Count(out.text.String(), "\n"); uint64(lines)+dropped != n {
		t.Errorf("%d lines and %d dropped of %d", lines, dropped, n)
	}
	out.err = errors.New("disk full")
	exchange(&rec, "a", "s", "GET", 200, nil)
	rec.Log.flush(nil)
	if rec.Log.Dropped() != dropped+1 || rec.Log.Err() == nil {
		t.Errorf("a failed write: %d dropped, error %v", rec.Log.Dropped(), rec.Log.Err())
	}
	out.err = nil
	exchange(&rec, "a", "s", "GET", 200, nil)
	rec.Log.flush(nil)
	if rec.Log.Err() != nil {
		t.Errorf("the disk has room again: %v", rec.Log.Err())
	}
	rec.Log.Mute(true)
	before := out.text.Len()
	exchange(&rec, "a", "s", "GET", 200, nil)
	rec.Log.flush(nil)
	if out.text.Len() != before {
		t.Error("a muted log wrote")
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	var target Target
	write := func(text string) {
		t.Helper()
		if n, err := target.Write([]byte(text)); err != nil || n != len(text) {
			t.Errorf("write %q: %d %v", text, n, err)
		}
	}
	write("to nowhere\n")
	if err := target.Open(path); err != nil {
		t.Fatal(err)
	}
	write("one\n")
	if err := target.Open(filepath.Join(path, "no folder")); err == nil {
		t.Error("opened a file below a file")
	}
	write("two\n") // it stayed
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := target.Open(path); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	write("after the end\n")
	for name, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", filepath.Base(name), got, err, want)
		}
	}
}
