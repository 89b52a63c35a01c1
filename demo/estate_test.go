package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
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
		o := Options{Name: os.Args[1], Instance: os.Args[2], Address: os.Args[3], Registry: os.Args[4]}
		if err := Serve(context.Background(), o, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "stands": // as a gateway, and as a registry that takes everything
		var servers []*http.Server
		for _, m := range regexp.MustCompile(`address: "(.*)"`).FindAllStringSubmatch(text1(os.Args[1]), -1) {
			ln, err := net.Listen("tcp", m[1])
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
			servers = append(servers, server)
			go func() { _ = server.Serve(ln) }()
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		for _, s := range servers {
			_ = s.Close()
		}
	}
}

func text1(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return string(text)
}

// stub is the gateway of an [Estate] under test.
func stub(t *testing.T) func(file string) *exec.Cmd {
	t.Helper()
	return func(file string) *exec.Cmd { return child(t, "stands", file) }
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
			return child(t, "serves", o.Name, o.Instance, o.Address, o.Registry)
		},
		Gateway: stub(t),
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
	if len(healthy) != len(Instances()) { // the gateway, and all but one
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
	e := Estate{Dir: t.TempDir(), Gateway: stub(t), Service: func(Options) *exec.Cmd {
		return exec.CommandContext(t.Context(), "/nowhere/maru")
	}}
	err := e.Run(t.Context(), func(context.Context, Site) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "start member") {
		t.Errorf("the error is %v", err)
	}
}

// A service that is in trouble shows it, one that is killed is started again
// where it was, and both are well afterwards.
func TestEstateMeetsTrouble(t *testing.T) {
	t.Parallel()
	back := make(chan Part, 1)
	e := Estate{
		Dir: t.TempDir(), Gateway: stub(t),
		Service: func(o Options) *exec.Cmd { return child(t, "serves", o.Name, o.Instance, o.Address, o.Registry) },
		Back:    func(p Part) { back <- p },
	}
	err := e.Run(t.Context(), func(ctx context.Context, s Site) error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		part := s.Parts[3]
		// status is that of an answer within the time, 0 for none, -1 when there
		// is no connection.
		status := func(within time.Duration) int {
			ctx, stop := context.WithTimeout(ctx, within)
			defer stop()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, part.URL+"/restaurants/3", http.NoBody)
			if err != nil {
				t.Error(err)
			}
			resp, err := client.Do(req)
			switch {
			case ctx.Err() != nil:
				return 0
			case err != nil:
				return -1
			}
			_ = resp.Body.Close()
			return resp.StatusCode
		}
		become := func(what string, want int) {
			t.Helper()
			got := 0
			for range 1000 { // a word over a pipe takes its time
				if got = status(10 * time.Second); got == want {
					return
				}
			}
			t.Errorf("%s: status %d, not %d", what, got, want)
		}
		for trouble, want := range map[Trouble]int{Fail: http.StatusServiceUnavailable, Refuse: -1} {
			if err := s.Befall(part.Name, trouble); err != nil {
				t.Error(err)
			}
			become(string(trouble), want)
			if err := s.Heal(part.Name); err != nil {
				t.Error(err)
			}
			become("after "+string(trouble), http.StatusOK)
		}
		if err := s.Befall(part.Name, Hang); err != nil {
			t.Error(err)
		}
		if got := status(100 * time.Millisecond); got != 0 {
			t.Errorf("one that hangs answers %d", got)
		}
		if err := s.Heal(part.Name); err != nil {
			t.Error(err)
		}
		become("after hanging", http.StatusOK)
		if err := s.Befall(part.Name, Kill); err != nil {
			t.Error(err)
		}
		if p := <-back; p.Name != part.Name || p.URL != part.URL || p.PID == part.PID {
			t.Errorf("%+v came back for %+v", p, part)
		}
		become("after being killed", http.StatusOK)
		if err := s.Befall("kitchen", Hang); err == nil {
			t.Error("an unknown instance hangs")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Every act is about an instance that has another beside it, one after the other.
func TestScriptBreaksOneOfSeveral(t *testing.T) {
	t.Parallel()
	service, many := map[string]string{}, map[string]int{}
	for _, in := range Instances() {
		service[in.Name] = in.Service
		many[in.Service]++
	}
	var before time.Duration
	done := map[Trouble]bool{}
	for _, a := range Script() {
		if many[service[a.Instance]] < 2 {
			t.Errorf("%s is the only one", a.Instance)
		}
		if a.At < before || a.For <= 0 {
			t.Errorf("%s begins at %v, before %v", a.Instance, a.At, before)
		}
		before = a.At + a.For + aftermath
		done[a.Trouble] = true
	}
	if len(done) != 5 {
		t.Errorf("the troubles are %v", done)
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
	s := Site{Gateway: "http://127.0.0.1:8080", Admin: "http://127.0.0.1:7070", Registry: "http://127.0.0.1:8761/eureka", Access: `C:\logs "a"/access.log`}
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
	if r := file.Services["restaurant"].Registry; r == nil || r.Name != "restaurant" || file.Registry.Address != "127.0.0.1:8761" {
		t.Errorf("restaurant is found in %+v", r)
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
	mark := m.Mark()
	if got := m.Since(mark); got.Calls != 0 || got.Failures != 0 {
		t.Errorf("nothing was %+v", got)
	}
	now = now.Add(time.Minute)
	if r := m.Read(); r.Calls != 1001 || r.All != (Pace{}) || len(r.Services) != 0 {
		t.Errorf("a minute later: %+v", r)
	}
	for range 2 * meterSamples {
		m.Seen("auction", time.Millisecond, nil)
	}
	if got := m.Since(mark); got.Calls != 2*meterSamples || got.Failures != 0 || got.P99 != time.Millisecond {
		t.Errorf("since then: %+v", got)
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
	for _, screen := range []string{"GET /home/{id}", "GET /auctions", "GET /auctions/{id}/screen", "GET /orders/{id}/screen"} {
		mux.HandleFunc(screen, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"auctions":[{"id":1}]}`)) })
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
		"the restaurants share the work",
		"the home screen is one answer",
		"the phone's shows less",
		"a preflight from a known origin is allowed",
		"a preflight from a known origin is allowed",
		"one from elsewhere is refused",
		"an unknown path is 404",       // in plain text
		"a body over the limit is 413", // the service's limit is higher
	}
	if fmt.Sprint(failed) != fmt.Sprint(want) || n != len(want) {
		t.Errorf("%d failed: %q", n, failed)
	}
	if groups["services"] != 6 || groups["auction"] != 13 || groups["screens"] != 2 || groups["gateway"] != 8 {
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
