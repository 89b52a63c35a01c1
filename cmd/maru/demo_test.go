package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/maru-msa/maru/demo"
)

func TestDemoOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "maru.yaml")
	cmd := maru(t, "demo", "--once", "--port", "0", "--admin-port", "0", "--registry-port", "0", "--config-out", file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"services", "✓ the lowest bid wins", "✓ accepting again changes nothing", "29 checks passed"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "\x1b") {
		t.Errorf("escape sequences without a terminal:\n%q", out)
	}
	if out, err := maru(t, "check", "--strict", file).CombinedOutput(); err != nil {
		t.Errorf("maru check of its file: %v\n%s", err, out)
	}
}

func TestDemoOnceAsJSON(t *testing.T) {
	t.Parallel()
	out, err := maru(t, "demo", "--once", "--json", "--port", "0", "--admin-port", "0", "--registry-port", "0", "--data", t.TempDir()).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var result struct {
		OK     bool
		Failed int
		Checks []demo.Check
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !result.OK || result.Failed != 0 || len(result.Checks) != 29 {
		t.Errorf("%s", out)
	}
}

// running is a demo that was started and is up.
type running struct {
	cmd  *exec.Cmd
	out  string // what it showed until it was up
	end  func() error
	pids []int

	mu   sync.Mutex
	rest bytes.Buffer
}

// Write takes what the demo shows after it was up.
func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rest.Write(b)
}

// said is what it showed since.
func (r *running) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rest.String()
}

// startDemo starts a demo and waits until it is up.
func startDemo(t *testing.T, args ...string) *running {
	t.Helper()
	cmd := maru(t, append([]string{"demo", "--port", "0", "--admin-port", "0", "--registry-port", "0"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) } // so that it clears up after the test
	cmd.Env = append(cmd.Env, "TMPDIR="+t.TempDir())
	r := &running{cmd: cmd}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var text strings.Builder
	for !strings.Contains(text.String(), "Ctrl-C") {
		line, err := lines.ReadString('\n')
		text.WriteString(line)
		if err != nil {
			t.Fatalf("the demo did not come up: %v\n%s", err, &text)
		}
	}
	r.out = text.String()
	for _, m := range regexp.MustCompile(`pid (\d+), ready`).FindAllStringSubmatch(r.out, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		r.pids = append(r.pids, n)
	}
	if len(r.pids) != len(demo.Instances())+1 {
		t.Fatalf("%d processes in\n%s", len(r.pids), r.out)
	}
	var rest sync.WaitGroup
	rest.Go(func() { _, _ = io.Copy(r, lines) })
	r.end = sync.OnceValue(func() error {
		rest.Wait()
		return cmd.Wait()
	})
	t.Cleanup(func() { _ = r.end() })
	return r
}

// word gives what stands behind a word in what the demo showed.
func (r *running) word(t *testing.T, after string) string {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(after) + `\s+(\S+)`).FindStringSubmatch(r.out)
	if m == nil {
		t.Fatalf("no %q in\n%s", after, r.out)
	}
	return m[1]
}

// alive tells whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !bytes.Contains(stat, []byte(") Z "))
}

// waitFor waits until something holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
		<-tick.C
	}
}

// gone waits until none of the processes is alive.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		waitFor(t, func() bool { return !alive(pid) })
	}
}

func TestDemoStopsOnInterrupt(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--load", "100/s")
	dir := filepath.Dir(r.word(t, "files"))
	if _, err := os.Stat(filepath.Join(dir, "auction.db")); err != nil {
		t.Error(err)
	}
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	gone(t, r.pids)
	if got := r.said(); !strings.Contains(got, "stopping after") || !strings.Contains(got, " 0 errors") {
		t.Errorf("its last words are %q", got)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

// A demo that is killed can't stop its children: they end by themselves.
func TestDemoLeavesNoChildWhenKilled(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--load", "0", "--data", t.TempDir())
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err == nil {
		t.Error("a killed process ended without an error")
	}
	gone(t, r.pids)
}

// A killed instance is told, its work goes to the others, and it comes back.
func TestDemoGoesOnWithoutAnInstance(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--load", "0")
	url := r.word(t, "restaurant-2")
	pid, err := strconv.Atoi(strings.TrimSuffix(r.word(t, url+"  pid"), ","))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("restaurant-2 (pid %d) ended: signal: killed", pid)
	waitFor(t, func() bool { return strings.Contains(r.said(), want) })
	base := r.word(t, "\n  gateway")
	for range 20 {
		res, err := http.Get(base + "/restaurant/3")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s from %q", res.Status, res.Header.Get("X-Instance"))
		}
	}
	waitFor(t, func() bool { return strings.Contains(r.said(), "restaurant-2 was started again") })
	res, err := http.Get(url + "/health") // where it was
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// The screens are composed for the web and for phones, and come in time without the
// points when reward hangs or is gone; the answer says so.
func TestDemoScreens(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--load", "0")
	base := r.word(t, "\n  gateway")
	home := func(client string) (status int, partial, body string, took time.Duration) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/home/1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Client", client)
		began := time.Now()
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("Maru-Partial"), string(b), time.Since(began)
	}
	const phone = `{"name":"김서연","reward":{"points":%s},"auctions":[{"id":1,"wish":"생삼겹살에 김치찌개, 저녁 7시","state":"open","best":{"price":68000}}]}`
	well := func() bool {
		status, partial, body, _ := home("mobile")
		return status == http.StatusOK && partial == "" && body == fmt.Sprintf(phone, "1000")
	}
	waitFor(t, well)
	if _, partial, body, _ := home("web"); partial != "" || !strings.Contains(body, `{"price":68000,"restaurant":{"name":"연남 칼국수","rating":4.2}}`) ||
		!strings.Contains(body, `"district":{"name":"마포구"}`) || !strings.Contains(body, "첫 주문 10% 할인") {
		t.Errorf("the web's home is %s (%s)", body, partial)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(r.word(t, r.word(t, "\n  reward")+"  pid"), ","))
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []struct {
		signal syscall.Signal
		code   string
		within time.Duration
	}{
		{syscall.SIGSTOP, "timeout", 400 * time.Millisecond},
		{syscall.SIGKILL, "failed", 400 * time.Millisecond},
	} {
		if err := syscall.Kill(pid, how.signal); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return silent(pid) })
		status, partial, body, took := home("mobile")
		if want := `"reward";code=` + how.code + ";policy=default"; status != http.StatusOK || partial != want || body != fmt.Sprintf(phone, "null") {
			t.Errorf("%v: %d %s (%s), want %s", how.signal, status, body, partial, want)
		}
		if took > 2*how.within { // twice, for a machine that is busy
			t.Errorf("%v: it took %v", how.signal, took)
		}
	}
	waitFor(t, well) // reward was started again
}

// silent tells that no thread of a process runs any more: all are stopped, or
// gone. A signal takes its time, and until then the process still answers.
func silent(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // this one is gone
		}
		if at := bytes.LastIndexByte(b, ')') + 2; at >= len(b) || !strings.ContainsRune("TZX", rune(b[at])) {
			return false
		}
	}
	return true
}

// The script is played and told, and what is in trouble at the end of the demo
// ends with it.
func TestDemoChaos(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--chaos", "--plain", "--pace", "15", "--load", "100/s")
	for _, a := range demo.Script() {
		waitFor(t, func() bool { return strings.Contains(r.said(), a.Instance+" "+a.Trouble.Happens()) })
	}
	waitFor(t, func() bool { return strings.Contains(r.said(), "  round  ") })
	said := r.said()
	for _, want := range []string{"✓ restaurant-1 was started again", "✓ restaurant-2 is well again", "users: ", "before anything broke p99 was"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	n := strings.Count(said, "restaurant-2 hangs") // twice a round: when it begins, and at the end
	waitFor(t, func() bool { return strings.Count(r.said(), "restaurant-2 hangs") > n })
	if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	gone(t, r.pids)
}

func TestDemoChaosAsJSON(t *testing.T) {
	t.Parallel()
	out, err := maru(t, "demo", "--chaos", "--once", "--json", "--pace", "20", "--load", "100/s",
		"--port", "0", "--admin-port", "0", "--registry-port", "0", "--data", t.TempDir()).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // on a busy machine a user may see something
		t.Fatalf("%v\n%s", err, out)
	}
	var result struct {
		OK       bool
		Requests int
		Acts     []struct{ Instance, Trouble string }
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if result.OK != (err == nil) || result.Requests == 0 || len(result.Acts) != len(demo.Script()) || result.Acts[0].Trouble != "kill" {
		t.Errorf("%s", out)
	}
}

// A change of the gateway's file goes live or is refused, and either is shown.
func TestDemoShowsReloads(t *testing.T) {
	t.Parallel()
	r := startDemo(t, "--load", "0")
	file, base := r.word(t, "files"), r.word(t, "\n  gateway")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"strip: 1", "strop: 1"},
		{`{"welcome": "maru demo"`, `{"welcome": "changed"`},
	} {
		next := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if err := os.WriteFile(file, next, 0o644); err != nil { //nolint:gosec // as it was
			t.Fatal(err)
		}
		if change[1] == "strop: 1" {
			waitFor(t, func() bool { return strings.Contains(r.said(), "no filter is called") })
			continue
		}
		waitFor(t, func() bool {
			res, err := http.Get(base + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			return err == nil && strings.Contains(string(body), "changed")
		})
	}
	waitFor(t, func() bool { return strings.Contains(r.said(), "configuration live") })
}

// The lines to try are run as they are shown.
func TestDemoLinesToTryWork(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here; make test installs it where that is allowed")
	}
	r := startDemo(t, "--load", "0")
	_, block, ok := strings.Cut(r.out, "Try it:\n")
	block, _, ok2 := strings.Cut(block, "\n\n")
	lines := strings.Split(strings.ReplaceAll(block, "\\\n", ""), "\n")
	if !ok || !ok2 || len(lines) != 3 {
		t.Fatalf("lines to try: %q", lines)
	}
	for i, want := range []string{"망원 스시", `"state":"open"`, `"state":"accepted"`} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", lines[i]).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s\n%v: %s\nwant %s", lines[i], err, out, want)
		}
	}
}

func TestDemoTellsThatAPortIsTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	out, err := maru(t, "demo", "--once", "--port", port).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if want := "port " + port + " is taken by another program; choose another with --port"; !strings.Contains(string(out), want) {
		t.Errorf("no %q in\n%s", want, out)
	}
}

func TestDemoRefusesFaultyFlags(t *testing.T) {
	t.Parallel()
	for _, c := range [][]string{
		{"--load", "fast"},
		{"--load", "-1"},
		{"--load", "3000/s"},
		{"--load", "NaN"},
		{"--json"},
		{"--chaos", "--load", "0"},
		{"--pace", "0"},
		{"--pace", "NaN"},
	} {
		out, err := maru(t, append([]string{"demo"}, c...)...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%v: it ended with %v\n%s", c, err, out)
		}
	}
}

func TestStatusFitsTheWidth(t *testing.T) {
	t.Parallel()
	r := demo.Reading{Calls: 1_234_567, Failures: 3, All: demo.Pace{Rate: 50, P50: 1100 * time.Microsecond, P99: 123 * time.Millisecond}}
	s := screen{}
	for _, c := range []struct {
		width int
		says  string
	}{
		{200, "member 0/s 0.0ms/0.0ms"},
		{170, "restaurant 0.0ms"},
		{130, "res 0.0ms"},
		{100, "auction 0/s"},
		{80, "auction 0.0ms"},
		{40, "1,234,567 req  50/s  3 err"}, // no form is shorter
	} {
		line := s.status(r, 6*time.Second, c.width)
		if n := len([]rune(line)); n >= c.width && c.width > 60 || !strings.Contains(line, c.says) {
			t.Errorf("width %d: %d columns, %q", c.width, n, line)
		}
	}
}

func TestStartingFitsTheWidth(t *testing.T) {
	t.Parallel()
	s := screen{started: []string{"gateway", "restaurant-1", "auction-2"}}
	for _, c := range []struct {
		width int
		want  string
	}{
		{80, "  starting 3/10  ✓ gateway  ✓ restaurant-1  ✓ auction-2"},
		{50, "  starting 3/10  ✓ restaurant-1  ✓ auction-2"},
		{20, "  starting 3/10"},
	} {
		if got := s.starting(c.width); got != c.want {
			t.Errorf("width %d: %q", c.width, got)
		}
	}
}

func TestBrokenFitsTheWidth(t *testing.T) {
	t.Parallel()
	r := demo.Reading{Calls: 1_234_567, Failures: 3, All: demo.Pace{Rate: 50, P50: 1100 * time.Microsecond, P99: 123 * time.Millisecond}}
	act := demo.Act{Instance: "restaurant-2", Trouble: demo.Hang}
	hangs := demo.Standing{Act: act, Broken: true, Until: time.Now().Add(-time.Second), Calm: 2 * time.Millisecond}
	s := screen{}
	for _, c := range []struct {
		now   demo.Standing
		width int
		says  string
	}{
		{hangs, 200, "p50 1.1ms  p99 123ms, calm 2.0ms  │  restaurant-2 hangs, 0s more"},
		{hangs, 100, "3 err  p99 123ms, calm 2.0ms  │  restaurant-2 hangs, 0s more"},
		{hangs, 70, "3 err  p99 123ms, calm 2.0ms  │  restaurant-2 hangs"},
		{hangs, 45, "00:06  3 err  │  restaurant-2 hangs"},
		{demo.Standing{Act: act}, 200, "p99 123ms  │  all is well; in 0s restaurant-2 hangs"},
		{demo.Standing{}, 200, "p99 123ms  │  all is well"},
	} {
		line := s.broken(r, c.now, 6*time.Second, c.width)
		if n := len([]rune(line)); n >= c.width || !strings.HasSuffix(line, c.says) {
			t.Errorf("width %d: %d columns, %q", c.width, n, line)
		}
	}
}

func TestWritingOfNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{grouped(0), "0"},
		{grouped(999), "999"},
		{grouped(1000), "1,000"},
		{grouped(1234567), "1,234,567"},
		{clock(59 * time.Second), "00:59"},
		{clock(3725 * time.Second), "1:02:05"},
		{millis(1234 * time.Microsecond), "1.2ms"},
		{millis(3 * time.Second), "3000ms"},
		{pad("마루", 6) + "|", "마루  |"},
		{pad("maru", 2), "maru"},
	} {
		if c.got != c.want {
			t.Errorf("%q is not %q", c.got, c.want)
		}
	}
}
