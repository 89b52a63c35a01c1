package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/maru-msa/maru/config"
	"github.com/maru-msa/maru/diag"
)

// childVar makes the test binary be a child of an [Estate] instead.
const childVar = "MARU_TEST_DEMO_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "":
		os.Exit(m.Run())
	case "fails":
		fmt.Fprintln(os.Stderr, "the oven is cold")
		os.Exit(3)
	case "serves":
		if err := Serve(context.Background(), Options{Name: os.Args[1], Instance: os.Args[2]}, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func child(t *testing.T, as string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), childVar+"="+as)
	return cmd
}

// A part that fails at the start is told with the last it said, and the others
// do not stay.
func TestEstateTellsWhyAPartFails(t *testing.T) {
	t.Parallel()
	var healthy []Part
	e := Estate{
		Dir: t.TempDir(),
		Service: func(o Options) *exec.Cmd {
			if o.Instance == "restaurant-2" {
				return child(t, "fails")
			}
			return child(t, "serves", o.Name, o.Instance)
		},
		Healthy: func(p Part) { healthy = append(healthy, p) },
	}
	err := e.Run(t.Context(), func(context.Context, Site) error {
		t.Error("it ran")
		return nil
	})
	for _, want := range []string{"restaurant-2 (pid ", "exit status 3", "| the oven is cold"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if len(healthy) != len(Instances())-1 {
		t.Errorf("%d parts were healthy", len(healthy))
	}
	for _, p := range healthy {
		if _, err := http.Get(p.URL); err == nil {
			t.Errorf("%s still answers", p.Name)
		}
	}
}

func TestEstateTellsThatItCannotStart(t *testing.T) {
	t.Parallel()
	e := Estate{Dir: t.TempDir(), Service: func(Options) *exec.Cmd {
		return exec.CommandContext(t.Context(), "/nowhere/maru")
	}}
	err := e.Run(t.Context(), func(context.Context, Site) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "start member") {
		t.Errorf("the error is %v", err)
	}
}

// A service ends when its input does: that is what its parent's death looks like.
func TestServeEndsWithItsInput(t *testing.T) {
	t.Parallel()
	in, parent := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), Options{Name: "location"}, in, out) }()
	var line string
	if _, err := fmt.Fscanln(said, &line); err != nil {
		t.Fatal(err)
	}
	if err := answers(t.Context(), new(http.Client), line+"/health"); err != nil {
		t.Error(err)
	}
	_ = parent.Close()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if err := answers(t.Context(), new(http.Client), line+"/health"); err == nil {
		t.Error("it still answers")
	}
}

func TestTailKeepsTheLast(t *testing.T) {
	t.Parallel()
	var log tail
	if got := log.last(); got != "" {
		t.Errorf("an empty log is %q", got)
	}
	for i := range 3000 {
		_, _ = fmt.Fprintf(&log, "line %d\n", i)
	}
	got := log.last()
	if !strings.HasSuffix(got, "\n  | line 2999") || strings.Count(got, "\n") != tailLines || len(log.buf) > tailBytes {
		t.Errorf("%d bytes are kept, last %q", len(log.buf), got)
	}
}

func TestTailPassesLinesOn(t *testing.T) {
	t.Parallel()
	var log tail
	var got []string
	write := func(s string) {
		if n, err := log.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	write("before\n")
	log.listen(func(line string) { got = append(got, line) })
	write("one\ntw")
	write("o\n")
	write(strings.Repeat("x", tailBytes+1)) // no line is that long
	write("three\n")
	log.listen(nil)
	write("after\n")
	if want := []string{"one", "two", "three"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
}

func TestFreePort(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	var taken int
	if _, err := fmt.Sscanf(server.URL, "http://127.0.0.1:%d", &taken); err != nil {
		t.Fatal(err)
	}
	_, err := freePort(t.Context(), taken)
	if pt, ok := errors.AsType[*PortTakenError](err); !ok || pt.Port != taken {
		t.Errorf("a taken port: %v", err)
	}
	if PortFree(t.Context(), taken) {
		t.Error("it is said to be free")
	}
	if n, err := freePort(t.Context(), 0); err != nil || n == 0 {
		t.Errorf("any free port: %d, %v", n, err)
	}
}

// site is what an Estate could have started; nothing runs.
func site() Site {
	s := Site{Gateway: "http://127.0.0.1:8080", Admin: "http://127.0.0.1:7070", Access: `C:\logs "a"/access.log`}
	for i, in := range Instances() {
		s.Parts = append(s.Parts, Part{Name: in.Name, Service: in.Service, URL: fmt.Sprintf("http://127.0.0.1:%d", 9101+i)})
	}
	return s
}

func TestConfigLoadsWithoutFindings(t *testing.T) {
	t.Parallel()
	file, findings := config.CheckReader("maru.yaml", bytes.NewReader(Config(site())))
	var out bytes.Buffer
	if err := diag.Print(&out, findings, map[string][]byte{"maru.yaml": file.Source.Text}, false); err != nil {
		t.Fatal(err)
	}
	if len(findings) > 0 {
		t.Errorf("findings:\n%s", &out)
	}
	if n := len(file.Services["restaurant"].URLs); n != 2 {
		t.Errorf("restaurant has %d endpoints", n)
	}
	if file.Log.Access != site().Access || file.Admin.Address != "127.0.0.1:7070" {
		t.Errorf("%+v %+v", file.Log, file.Admin)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	m := Meter{Now: func() time.Time { return now }}
	if r := m.Read(); r.Calls != 0 || r.All != (Pace{}) {
		t.Errorf("at the start: %+v", r)
	}
	for i := range 1000 { // 100 a second for ten seconds
		m.Seen([]string{"auction", "reward"}[i%2], time.Duration(i)*time.Microsecond, nil)
		now = now.Add(10 * time.Millisecond)
	}
	m.Seen("auction", time.Second, errors.New("503"))
	r := m.Read()
	if r.Calls != 1001 || r.Failures != 1 || r.Last == nil {
		t.Errorf("%+v", r)
	}
	if got := r.All; got.Rate < 99 || got.Rate > 101 || got.P50 != 500*time.Microsecond || got.P99 != 990*time.Microsecond {
		t.Errorf("all: %+v", got)
	}
	if got := r.Services["reward"]; got.Rate < 49 || got.Rate > 51 || got.P50 != 501*time.Microsecond {
		t.Errorf("reward: %+v", got)
	}
	now = now.Add(time.Minute)
	if r := m.Read(); r.Calls != 1001 || r.All != (Pace{}) || len(r.Services) != 0 {
		t.Errorf("a minute later: %+v", r)
	}
	for range 2 * meterSamples {
		m.Seen("auction", time.Millisecond, nil)
	}
	if len(m.samples) != meterSamples {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}

// plain is a gateway that does nothing but route, for tests of what calls it.
func plain(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for _, r := range []struct{ prefix, strip, service string }{
		{"/oauth/", "/oauth", "member"},
		{"/location/", "/location", "location"},
		{"/reward/", "/reward", "reward"},
	} {
		mux.Handle(r.prefix, http.StripPrefix(r.strip, opened(t, r.service)))
	}
	for _, name := range []string{"restaurant", "auction"} {
		s := opened(t, name)
		renamed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "/"+name, "/"+name+"s", 1)
			s.ServeHTTP(w, r)
		})
		mux.Handle("/"+name, renamed)
		mux.Handle("/"+name+"/", renamed)
		mux.Handle("/"+name+"/health", http.StripPrefix("/"+name, s))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// Through a gateway that only routes, the services' checks hold, and those of
// what a gateway must add fail: each check can fail.
func TestWalkSeesWhatIsMissing(t *testing.T) {
	t.Parallel()
	var failed []string
	groups := map[string]int{}
	n := Walk(t.Context(), &Client{HTTP: new(http.Client), Base: plain(t).URL}, func(k Check) {
		groups[k.Group]++
		if !k.OK {
			failed = append(failed, k.Name)
		}
	})
	want := []string{
		"both restaurants share the work",
		"a preflight from a known origin is allowed",
		"a preflight from a known origin is allowed",
		"one from elsewhere is refused",
		"an unknown path is 404",       // in plain text
		"a body over the limit is 413", // the service's limit is higher
	}
	if fmt.Sprint(failed) != fmt.Sprint(want) || n != len(want) {
		t.Errorf("%d failed: %q", n, failed)
	}
	if groups["services"] != 6 || groups["auction"] != 13 || groups["gateway"] != 8 {
		t.Errorf("checks: %v", groups)
	}
}

func TestWalkEndsWhereNothingAnswers(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	all := 0
	if failed := Walk(t.Context(), &Client{HTTP: new(http.Client), Base: server.URL}, func(Check) { all++ }); failed != all || failed < 10 {
		t.Errorf("%d of %d failed", failed, all)
	}
}

// A visit of each kind makes no call that is answered otherwise than expected.
func TestLoadIsAnswered(t *testing.T) {
	t.Parallel()
	var m Meter
	client := &Client{HTTP: new(http.Client), Base: plain(t).URL, Seen: m.Seen}
	ctx, stop := context.WithCancel(t.Context())
	turns := make(chan struct{})
	go func() {
		defer stop()
		for range 400 {
			turns <- struct{}{}
		}
	}()
	for ctx.Err() == nil {
		v := visit{client: client, turns: turns}
		if err := v.run(ctx); err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	r := m.Read()
	if r.Failures > 0 {
		t.Errorf("%d of %d calls failed: %v", r.Failures, r.Calls, r.Last)
	}
	for _, name := range Names() {
		if _, ok := r.Services[name]; !ok {
			t.Errorf("%s was not called", name)
		}
	}
}
