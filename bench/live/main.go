// Command live measures what an operator feels of a running maru: how long a
// change takes until requests meet it, what a thousand changes leave behind in
// memory, and how soon and how small maru proxy starts.
//
//	go run ./bench/live --maru ./maru
//
// It starts the given binary on loopback, with a configuration of many routes of
// which one tells its version, changes the file again and again, and asks that
// route until the change shows.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var m measure
	flag.StringVar(&m.maru, "maru", "./maru", "binary to measure")
	flag.IntVar(&m.routes, "routes", 10_000, "routes of the configuration")
	flag.IntVar(&m.changes, "changes", 200, "changes of the file that are timed")
	flag.IntVar(&m.reloads, "reloads", 1000, "reloads for the memory")
	flag.IntVar(&m.conns, "connections", 10_000, "idle client connections")
	flag.Parse()
	if err := m.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

// measure is one run.
type measure struct {
	maru                            string
	routes, changes, reloads, conns int

	dir, config  string
	front, admin string
}

func (m *measure) run(ctx context.Context) (err error) {
	if m.dir, err = os.MkdirTemp("", "maru-live-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	m.config = filepath.Join(m.dir, "maru.yaml")
	if err := m.proxy(ctx); err != nil {
		return err
	}
	return m.serve(ctx)
}

// address gives a loopback address that nobody listens on.
func address(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// start runs maru and gives a function that ends it.
func (m *measure) start(ctx context.Context, args ...string) (*exec.Cmd, func(), error) {
	cmd := exec.CommandContext(ctx, m.maru, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return cmd, func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			fmt.Fprintf(os.Stderr, "maru ended with %v:\n%s", err, log.String())
		}
	}, nil
}

// proxy measures maru proxy: the first answer after exec, memory at rest, and
// memory with many idle connections.
func (m *measure) proxy(ctx context.Context) error {
	var lc net.ListenConfig
	backend, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})}
	go func() { _ = server.Serve(backend) }()
	defer server.Close() //nolint:errcheck // the end
	if m.front, err = address(ctx); err != nil {
		return err
	}
	began := time.Now()
	cmd, stop, err := m.start(ctx, "proxy", "--quiet", "--from", m.front, "--to", "http://"+backend.Addr().String())
	if err != nil {
		return err
	}
	defer stop()
	var first *client
	for first == nil {
		if first, err = dial(ctx, m.front); err != nil {
			time.Sleep(200 * time.Microsecond)
		}
		if time.Since(began) > 10*time.Second {
			return errors.New("maru proxy does not answer")
		}
	}
	if _, err := first.get("/"); err != nil {
		return err
	}
	ready := time.Since(began)
	first.close()
	time.Sleep(time.Second)
	idle := resident(cmd.Process.Pid)
	fmt.Printf("proxy: first answer %v after exec; %.1f MB at rest", ready.Round(100*time.Microsecond), idle)
	conns := make([]*client, 0, m.conns)
	defer func() {
		for _, c := range conns {
			c.close()
		}
	}()
	for range m.conns {
		c, err := dial(ctx, m.front)
		if err == nil {
			_, err = c.get("/")
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
	}
	time.Sleep(2 * time.Second)
	fmt.Printf("; %.1f MB with %d idle connections\n", resident(cmd.Process.Pid), len(conns))
	return nil
}

// serve measures changes of a file with many routes.
func (m *measure) serve(ctx context.Context) (err error) {
	if m.front, err = address(ctx); err != nil {
		return err
	}
	if m.admin, err = address(ctx); err != nil {
		return err
	}
	turn := 0
	if err := m.write(turn); err != nil {
		return err
	}
	cmd, stop, err := m.start(ctx, "serve", "--quiet", "--config", m.config)
	if err != nil {
		return err
	}
	defer stop()
	c, err := m.await(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"by file", m.place},
		{"by API", func() error { return errors.Join(m.place(), m.reload(ctx)) }},
	} {
		var took []time.Duration
		for range m.changes {
			turn++
			if err := m.prepare(turn); err != nil { // what is timed begins with the file in its place
				return err
			}
			one, err := m.change(c, turn, way.do)
			if err != nil {
				return err
			}
			took = append(took, one)
			time.Sleep(120 * time.Millisecond) // else it is a burst, which is joined
		}
		report(fmt.Sprintf("change to live, %d routes, %s", m.routes, way.name), took)
	}

	var burst []time.Duration
	before := resident(cmd.Process.Pid)
	for i := range m.reloads {
		turn++
		if err := m.write(turn); err != nil {
			return err
		}
		took, err := m.change(c, turn, func() error { return m.reload(ctx) })
		if err != nil {
			return err
		}
		burst = append(burst, took)
		if i == m.reloads/5 {
			before = resident(cmd.Process.Pid) // the heap has its size
		}
	}
	report(fmt.Sprintf("change to live, %d routes, by API without a pause", m.routes), burst)
	fmt.Printf("memory: %.1f MB after %d reloads, %.1f MB after %d\n", before, 2*m.changes+m.reloads/5, resident(cmd.Process.Pid), turn)
	return nil
}

// await waits for the first answer.
func (m *measure) await(ctx context.Context) (*client, error) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c, err := dial(ctx, m.front)
		if err != nil {
			continue
		}
		if _, err := c.get("/version"); err == nil {
			return c, nil
		}
		c.close()
	}
	return nil, errors.New("maru serve does not answer")
}

// change makes a change and tells how long it took until a request met it.
func (m *measure) change(c *client, turn int, do func() error) (time.Duration, error) {
	began := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	for {
		body, err := c.get("/version")
		if err != nil {
			return 0, err
		}
		if body == strconv.Itoa(turn) {
			return time.Since(began), nil
		}
		if time.Since(began) > 10*time.Second {
			return 0, fmt.Errorf("change %d does not show", turn)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

func (m *measure) reload(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.admin+"/v1/config/reload", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		return fmt.Errorf("reload: %s: %s", res.Status, body)
	}
	return nil
}

// write replaces the file, as an editor does.
func (m *measure) write(turn int) error {
	if err := m.prepare(turn); err != nil {
		return err
	}
	return m.place()
}

// place puts the prepared file into its place.
func (m *measure) place() error { return os.Rename(m.config+".new", m.config) }

// prepare writes the file beside its place. One route of many changes.
func (m *measure) prepare(turn int) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "listen: {public: {address: %q}}\nadmin: {address: %q}\nlog: {access: off, level: warn}\nservices:\n", m.front, m.admin)
	const services = 100
	for i := range services {
		fmt.Fprintf(&b, "  s%d: {url: http://127.0.0.1:9}\n", i)
	}
	b.WriteString("routes:\n")
	for i := range m.routes {
		if i == m.routes/2 {
			fmt.Fprintf(&b, "  - match: /version\n    filters: [{respond: {body: \"%d\"}}]\n", turn)
		}
		fmt.Fprintf(&b, "  - match: /svc%d/res%d/{id}\n    to: s%d\n", i%services, i, i%services)
	}
	return os.WriteFile(m.config+".new", b.Bytes(), 0o600)
}

func report(what string, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(100 * time.Microsecond) }
	fmt.Printf("%s: %d changes, p50 %v, p90 %v, p99 %v, max %v\n", what, len(took), at(.5), at(.9), at(.99), at(1))
}

// resident is the resident memory of a process in MB.
func resident(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return -1
	}
	kb, _ := strconv.ParseFloat(fields[0], 64)
	return kb / 1024
}

// client is one keep-alive connection.
type client struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(ctx context.Context, address string) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 512)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

// get asks for a path and gives the body.
func (c *client) get(path string) (string, error) {
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: live\r\n\r\n", path); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close() //nolint:errcheck // read
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
