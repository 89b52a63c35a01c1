package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// estate is the services and the two aggregators in front of them.
type estate struct {
	services, hand, maru *server
}

// server is a process that was started, and its address.
type server struct {
	cmd     *exec.Cmd
	address string
}

const servicesConf = `worker_processes 2; daemon off; pid %[1]s/nginx.pid; error_log stderr warn;
events { worker_connections 10000; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; tcp_nopush off;
  client_body_temp_path %[1]s/t; proxy_temp_path %[1]s/t; fastcgi_temp_path %[1]s/t; uwsgi_temp_path %[1]s/t; scgi_temp_path %[1]s/t;
  open_file_cache max=100 inactive=600s; default_type application/json;
  server { listen %[2]s reuseport; location / { root %[1]s/www; } }
}
`

// content is what the services answer, by file: a list of 20 auctions of 10 owners.
func content() map[string]string {
	var auctions, owners, top, news []string
	for i := range 20 {
		auctions = append(auctions, fmt.Sprintf(`{"id":"A-%d","title":"Dinner for %d in \ub9c8\ud3ec","budget":{"amount":%d.50,"currency":"KRW"},"ownerId":%d,"status":"open","createdAt":"2026-01-02T03:04:05Z","notes":"%s"}`,
			i, i+2, 30000+i, i%10+1, strings.Repeat("x", 120)))
	}
	for i := range 10 {
		owners = append(owners, fmt.Sprintf(`{"id":%d,"name":"Kim %d","tier":"gold","address":{"city":"Seoul","zip":"%05d"},"email":"kim%d@example.com","bio":"%s"}`, i+1, i, i, i, strings.Repeat("y", 80)))
		top = append(top, fmt.Sprintf(`{"id":%d,"name":"Restaurant %d","areaCode":"mapo","score":4.%d,"menu":["a","b","c"]}`, i, i, i))
		news = append(news, fmt.Sprintf(`{"id":%d,"title":"Campaign %d","text":"%s"}`, i, i, strings.Repeat("z", 60)))
	}
	kilo := func(n int) string {
		return fmt.Sprintf(`{"id":%d,"items":[%s{"sku":"last"}]}`, n, strings.Repeat(`{"sku":"abcdef","price":12.50,"tags":["a","b"]},`, 20))
	}
	return map[string]string{
		"kilo/1": kilo(1), "kilo/2": kilo(2), "kilo/3": kilo(3),
		"auctions":  `{"items":[` + strings.Join(auctions, ",") + `]}`,
		"members":   "[" + strings.Join(owners, ",") + "]",
		"member/1":  owners[0],
		"points/1":  `{"memberId":1,"balance":12345678901234567890,"history":[1,2,3]}`,
		"top":       `{"items":[` + strings.Join(top, ",") + `]}`,
		"campaigns": "[" + strings.Join(news, ",") + "]",
	}
}

const views = `
graph:
  Query:
    auctions: { type: "[Auction]", args: { limit: Int = 20 }, call: "web GET /auctions?limit={limit} at items" }
    me: { type: Member, call: "web GET /member/1" }
    points: { type: Points, call: "web GET /points/1" }
    top: { type: "[Restaurant]", args: { n: Int = 10 }, call: "web GET /top?n={n} at items" }
    news: { type: "[Campaign]", call: "web GET /campaigns" }
  Auction:
    fields: { id: _, title: _, total: budget.amount, owner: "Member(id: ownerId)" }
  Member:
    key: id
    many: "web GET /members?ids={keys,}"
    fields: { id: _, name: _, tier: _ }
  Points: { fields: { balance: _ } }
  Restaurant: { fields: { id: _, name: _ } }
  Campaign: { fields: { id: _, title: _ } }
views:
  GET /merge: { merge: [ "web GET /kilo/1 -> a", "web GET /kilo/2 -> b", "web GET /kilo/3 -> c" ] }
  GET /list: { select: "auctions { id title total owner { id name tier } }" }
  GET /screen:
    select: |
      me { id name tier } points { balance }
      auctions { id title total owner { id name tier } }
      top { id name } news { id title }
`

// startEstate starts everything.
func startEstate(ctx context.Context, dir, maru string) (*estate, error) {
	e := &estate{}
	services, hand, gateway := freeAddress(), freeAddress(), freeAddress()
	for name, body := range content() {
		path := filepath.Join(dir, "www", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // nginx's user reads it
			return nil, fmt.Errorf("make folder: %w", err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil { //nolint:gosec // nginx's user reads it
			return nil, fmt.Errorf("write content: %w", err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // nginx's user reads it
		return nil, fmt.Errorf("open folder: %w", err)
	}
	conf, file := filepath.Join(dir, "nginx.conf"), filepath.Join(dir, "maru.yaml")
	text := fmt.Sprintf("listen: { public: { address: %q } }\nadmin: { address: \"off\" }\nlog: { access: off, level: warn }\nservices: { web: { url: \"http://%s\" } }\n%s", gateway, services, views)
	if err := errors.Join(os.WriteFile(conf, fmt.Appendf(nil, servicesConf, dir, services), 0o600), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	for _, one := range []struct {
		at      **server
		address string
		argv    []string
	}{
		{&e.services, services, []string{"nginx", "-c", conf, "-e", "stderr"}},
		{&e.hand, hand, []string{self, "-hand", hand, "-services", services}},
		{&e.maru, gateway, []string{maru, "serve", "--config", file}},
	} {
		if *one.at, err = start(ctx, one.address, one.argv...); err != nil {
			e.stop()
			return nil, err
		}
	}
	return e, nil
}

func freeAddress() string {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer ln.Close() //nolint:errcheck // nothing was sent
	return ln.Addr().String()
}

func start(ctx context.Context, address string, argv ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	s := &server{cmd, address}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			_ = c.Close()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen: %s", argv[0], log.String())
}

func (s *server) stop() {
	if s == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	kill := time.AfterFunc(2*time.Second, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	_ = s.cmd.Wait()
}

func (e *estate) stop() {
	e.maru.stop()
	e.hand.stop()
	e.services.stop()
}

// same checks that both give the same value for a path.
func (e *estate) same(ctx context.Context, path string) error {
	var values [2]any
	for i, s := range []*server{e.hand, e.maru} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, http.NoBody)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %d: %s", path, resp.StatusCode, body)
		}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			return fmt.Errorf("%s is not JSON: %w", path, err)
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		return fmt.Errorf("%s differs:\n%v\n%v", path, values[0], values[1])
	}
	return nil
}

// turn loads a server once.
func (s *server) turn(ctx context.Context, path string, d time.Duration) (sample, error) {
	before, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	out, err := exec.CommandContext(ctx, "wrk", "-t1", "-c32", fmt.Sprintf("-d%ds", max(1, int(d.Seconds()))), "--latency", "http://"+s.address+path).Output()
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w", err)
	}
	after, err := s.cpu()
	if err != nil {
		return sample{}, err
	}
	var one sample
	requests := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 4 && f[1] == "requests" && f[2] == "in":
			requests, _ = strconv.Atoi(f[0])
		case len(f) >= 2 && f[0] == "99%":
			one.p99, _ = time.ParseDuration(f[1])
		case strings.Contains(line, "Non-2xx") || strings.Contains(line, "Socket errors"):
			return one, fmt.Errorf("%s failed: %s", path, strings.TrimSpace(line))
		}
	}
	if requests == 0 {
		return one, fmt.Errorf("wrk made no request: %s", out)
	}
	one.cpu = float64((after - before).Microseconds()) / float64(requests)
	return one, nil
}

// cpu is the time that the process used, user and system.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	f := strings.Fields(string(rest))
	if len(f) < 13 {
		return 0, fmt.Errorf("read CPU time: %q", text)
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	const hertz = 100 // USER_HZ of Linux
	return time.Duration(user+system) * time.Second / hertz, errors.Join(err1, err2)
}
